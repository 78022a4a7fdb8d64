# weir.fish - completion for fish: weir itself says what may come next (cli/complete.c).

function __weir_complete
    set -l words (commandline -opc) (commandline -ct)
    set -l program (string replace -r '^~' $HOME -- $words[1])
    for line in (command $program --complete $words[2..-1] 2>/dev/null)
        switch $line
            case :files
                __fish_complete_path (string replace -r '^--[^=]*=' '' -- $words[-1])
            case :folders
                __fish_complete_directories (string replace -r '^--[^=]*=' '' -- $words[-1])
            case '*'
                echo $line
        end
    end
end

complete -c weir -f -a '(__weir_complete)'
