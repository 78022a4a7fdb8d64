# weir.bash - completion for bash: weir itself says what may come next (cli/complete.c).
# shellcheck shell=bash

_weir()
{
    local program=${COMP_WORDS[0]/#\~/$HOME} words=() word glued='' files='' line
    # Bash cuts --option=value in three; weir takes it as one word.
    for word in "${COMP_WORDS[@]:1:COMP_CWORD}"; do
        if [[ (-n $glued || $word == "=") && ${#words[@]} -gt 0 ]]; then
            words[-1]+=$word
        else
            words+=("$word")
        fi
        glued=${word/#[^=]*/}
    done
    local current=${words[-1]} before=
    [[ $current == --*=* && $COMP_WORDBREAKS == *"="* ]] && before=${current%%=*}=
    COMPREPLY=()
    while IFS=$'\t' read -r word _; do
        case $word in
        :files) files=-f ;;
        :folders) files=-d ;;
        *) COMPREPLY+=("${word#"$before"}") ;;
        esac
    done < <("$program" --complete "${words[@]}" 2>/dev/null)
    if [[ -n $files ]]; then
        compopt -o filenames
        while IFS= read -r line; do COMPREPLY+=("$line"); done < <(compgen $files -- "${current#"$before"}")
    fi
    # What goes on without a blank: hf:ORG/REPO.
    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *: ]] && compopt -o nospace
}

complete -F _weir weir
