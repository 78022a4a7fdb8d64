/* main.c - finds the command and hands it its options. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "guide.h"
#include "net.h"

static const struct weir_cli_command commands[] = {
    {"run", WEIR_CLI_RUN, weir_cli_run, "MODEL", "continue a text, streaming it as it comes",
     "  The text goes to standard output, everything else to standard error. It ends after -n\n"
     "  tokens, at an end token, or when the context is full. Ctrl-C keeps what is there.\n"
     "  The hit rate and the bytes a token count the tokens after the first: the first one comes\n"
     "  out of the prompt.\n",
     "  weir run model.gguf -p \"Once upon a time\"\n"
     "  weir run model.gguf -p \"The capital of France is\" -n 20 --temp 0 --mem 3G\n"
     "  weir run model.gguf --json < prompt.txt > answer.json\n"
     "  weir run model.gguf --chat -p \"What is the capital of France?\"\n"
     "  weir run model.gguf -p \"The old man\" --mem 3G --trace run.json\n"},
    {"chat", WEIR_CLI_CHAT, weir_cli_chat, "MODEL", "talk with a model, turn by turn",
     "  What is typed is asked in the model's chat template; /help lists commands to save, load,\n"
     "  undo and set. Ctrl-C ends an answer, Ctrl-D the chat. Lines from a pipe are a script of\n"
     "  the same; answers go to standard output, all else, reasoning too, to standard error.\n",
     "  weir chat model.gguf --mem 3G\n"
     "  weir chat model.gguf --system \"You are terse.\" --think hide\n"
     "  weir chat base-model.gguf --template chatml\n"
     "  printf 'Who are you?\\n/save chat.json\\n' | weir chat model.gguf\n"},
    {"serve", WEIR_CLI_SERVE, weir_cli_serve, "[MODEL...]",
     "answer the OpenAI and Anthropic APIs over HTTP",
     "  Several clients are answered at the same time, each step of the model being computed for\n"
     "  all of them. Requests wait in a queue; SIGTERM and Ctrl-C let answers end, then stop.\n"
     "  docs/SERVER.md lists paths, fields and limits. One line a request goes to standard "
     "error.\n"
     "  Several MODELs, or without one all that are in --models DIR, are served one at a time, as "
     "they\n"
     "  are asked for.\n",
     "  weir serve model.gguf --mem 8G\n"
     "  weir serve model.gguf --parallel 8 --ctx 8192 --port 9000\n"
     "  weir serve qwen3-30b.gguf olmoe.gguf --mem 8G\n"
     "  weir serve --models ~/models --mem 8G --idle-time 600\n"
     "  weir serve model.gguf --host 0.0.0.0 --api-key-file keys.txt\n"
     "  curl -s localhost:8080/v1/chat/completions -H 'Content-Type: application/json' \\\n"
     "    -d '{\"messages\": [{\"role\": \"user\", \"content\": \"Who are you?\"}]}'\n"},
    {"eval", WEIR_CLI_EVAL, weir_cli_eval, "MODEL",
     "perplexity of a text, divergence from a reference, and logits",
     "  The text is cut in chunks of --ctx tokens, each computed on an empty context, its first\n"
     "  token replaced by the beginning-of-text token where the model wants one; the second half\n"
     "  of each chunk is scored. Tokens after the last whole chunk are left out. A text shorter\n"
     "  than one chunk is one chunk, scored from its first token on.\n"
     "  --save-reference keeps what the model says there; with --reference another file of the\n"
     "  same model is told how far it is from that. With --mc the model answers questions: of\n"
     "  each the choice that is the likeliest behind the prompt. docs/EVAL.md\n",
     "  weir eval model.gguf --text book.txt --chunks 20\n"
     "  weir eval big.gguf --text book.txt --chunks 20 --save-reference book.ref\n"
     "  weir eval model-q4.gguf --reference book.ref\n"
     "  weir eval model.gguf --mc questions.jsonl\n"
     "  weir eval model.gguf --tokens ids.txt --logits logits.f32 --json\n"},
    {"eval compare", WEIR_CLI_COMPARE, weir_cli_eval_compare, "FILE...",
     "results of weir eval --json side by side, with 95 % intervals",
     "  FILE is what weir eval --json printed; all are of one text, cut the same way. Each is\n"
     "  compared with the first one on the chunks that all have. With -o a picture shows what is\n"
     "  lost over bytes and over speed. docs/EVAL.md\n",
     "  weir eval q8.gguf --reference book.ref --json > q8.json\n"
     "  weir eval q4.gguf --reference book.ref --json > q4.json\n"
     "  weir eval compare q8.json q4.json -o quality.svg\n"},
    {"imatrix", WEIR_CLI_IMATRIX, weir_cli_imatrix, "MODEL",
     "which columns of the weights matter for a text",
     "  Sums of squares of what each column is multiplied by, measured while the text is computed\n"
     "  in chunks of --ctx tokens, as in eval, for weir quantize --imatrix and llama.cpp's\n"
     "  llama-quantize. The model may be larger than --mem. All of it is computed on the CPU.\n"
     "  Ctrl-C writes what was measured until then. docs/formats/imatrix.md\n",
     "  weir imatrix model.gguf --text book.txt -o book.imatrix\n"
     "  weir imatrix model.gguf --text book.txt -o book.imatrix --chunks 100 --mem 4G\n"
     "  weir imatrix model.gguf --text book.txt -o book.dat --dat\n"},
    {"bench", WEIR_CLI_BENCH, weir_cli_bench, "MODEL", "measure speed with seeded random tokens",
     "  Random tokens make the routing vary, which is the hard case for a cache of experts.\n"
     "  Printed are the median, the least and the most of the rounds.\n",
     "  weir bench model.gguf --mem 3G --prompt 512 --gen 64 --repeat 5\n"
     "  weir bench model.gguf --expert-share 0.25 --json\n"},
    {"plan", WEIR_CLI_PLAN, weir_cli_plan, "MODEL",
     "what memory would be used and how fast it would be, without loading",
     "  MODEL may be elsewhere too, hf:ORG/REPO[/FILE] or a URL: a few MiB of it are read.\n"
     "  The forecast uses what weir calibrate has kept; without that, it measures for a second.\n"
     "  Earlier runs of the model here narrow it. --json has its ends: the low one takes routing\n"
     "  without habits, the disk's slow moments and no overlap, the high one routing as in other\n"
     "  models, the fast moments and full overlap; caches are warm.\n",
     "  weir plan model.gguf\n"
     "  weir plan model.gguf --mem 3G --ctx 4096\n"
     "  weir plan hf:unsloth/Qwen3-30B-A3B-GGUF --mem 8G\n"
     "  weir plan model.gguf --mem 3G --routing story.trace\n"},
    {"calibrate", WEIR_CLI_CALIBRATE, weir_cli_calibrate, "PATH",
     "measure disk and memory for this model, and keep it",
     "  Direct reads of the model's own slices of experts by bytes in flight, memory, and both at\n"
     "  once; about 5 s. A file that is no model is read by 128 KiB and by 1 MiB. Kept in\n"
     "  $XDG_CACHE_HOME/weir or ~/.cache/weir for plan, run, bench and eval.\n",
     "  weir calibrate model.gguf\n"
     "  weir calibrate model.gguf --threads 4 --json\n"},
    {"info", WEIR_CLI_INFO, weir_cli_info, "MODEL", "what a model file holds",
     "  With --verbose also every metadata key and every tensor. Of a MODEL that is elsewhere,\n"
     "  hf:ORG/REPO[/FILE] or a URL, a few MiB are read.\n",
     "  weir info model.gguf\n"
     "  weir info hf:unsloth/Qwen3-30B-A3B-GGUF\n"
     "  weir info model.gguf --verbose | grep rope\n"},
    {"pull", WEIR_CLI_PULL, weir_cli_pull, "SOURCE", "download a model",
     "  SOURCE is hf:ORG/REPO, hf:ORG/REPO/FILE, hf:ORG/REPO:PART-OF-A-NAME, or a URL. A split\n"
     "  model comes whole, and a repository without GGUF files as its directory of safetensors.\n"
     "  What broke off goes on where it stopped; sizes and checksums are compared with the hub's.\n"
     "  A token for private repositories is taken from HF_TOKEN, or as `hf auth login` keeps it.\n",
     "  weir pull hf:unsloth/Qwen3-30B-A3B-GGUF\n"
     "  weir pull hf:unsloth/Qwen3-30B-A3B-GGUF:Q5_K_M\n"
     "  weir pull https://example.org/model.gguf -o model.gguf\n"},
    {"convert", WEIR_CLI_CONVERT, weir_cli_convert, "DIR",
     "a Hugging Face directory as one GGUF file",
     "  The file has the names and keys that llama.cpp reads, the tokenizer and the chat\n"
     "  templates. Weights keep their format, unless --type names another; FP8 becomes BF16, and\n"
     "  codes of 4 bits the blocks of GGUF that have their values or are nearest to them. The\n"
     "  file is there when it is whole and was read back. What broke off goes on when the same\n"
     "  command is given again.\n",
     "  weir convert ./Qwen3-30B-A3B -o qwen3-30b.gguf\n"
     "  weir convert ./Qwen3-30B-A3B -o qwen3-30b-q4.gguf --type Q4_K_M --mem 4G\n"
     "  weir convert ./gpt-oss-20b -o gpt-oss-20b.gguf --json\n"},
    {"quantize", WEIR_CLI_QUANTIZE, weir_cli_quantize, "IN OUT",
     "a model file with its weights in other formats",
     "  IN is a GGUF file, or the first part of a split one; OUT is there when it is whole and "
     "was\n"
     "  read back, and replaces what was there. Mixtures give each tensor the format that\n"
     "  llama.cpp's quantize gives it. Norms, routers and vectors keep theirs. Rows that fill no\n"
     "  whole block fall back to a format that fits, and this is said. Weights go through in\n"
     "  pieces, so a model far larger than --mem can be made smaller; the bytes are the same.\n"
     "  With --bytes or --bpw each tensor gets the format that loses least together: the text is\n"
     "  computed once for each tensor, which is then in a low format, and compared with IN's.\n",
     "  weir quantize model-bf16.gguf model-q4.gguf --type Q4_K_M\n"
     "  weir quantize model-bf16.gguf model-q4.gguf --type Q4_0 --mem 2G --threads 4\n"
     "  weir quantize model-bf16.gguf model-iq2.gguf --type IQ2_XXS --imatrix book.imatrix\n"
     "  weir quantize model-bf16.gguf out.gguf --type Q4_K_M --tensor '*ffn_down_exps*=Q5_K'\n"
     "  weir quantize model-bf16.gguf --type Q3_K_M --dry-run\n"
     "  weir quantize model-bf16.gguf out.gguf --bpw 4 --text book.txt --imatrix book.imatrix\n"
     "  weir quantize model-bf16.gguf out.gguf --bytes 5G --text book.txt --slopes model.slopes\n"},
    {"models", WEIR_CLI_MODELS, weir_cli_models, "[WORD]", "the models that weir pull has brought",
     "  Their names, sizes, families and formats; with WORD those that have it in their name.\n"
     "  Every command takes such a name, or its end after a slash, as MODEL.\n",
     "  weir models\n"
     "  weir models qwen --models /mnt/big/models --json\n"},
    {"tokenize", WEIR_CLI_TOKENIZE, weir_cli_tokenize, "MODEL", "a text's tokens, and back again",
     "  MODEL may also be a tokenizer.json, or a directory that has one and nothing else.\n"
     "  Nothing is added to the text unless --bos asks. The tokens are decoded again and compared\n"
     "  with the text.\n",
     "  weir tokenize model.gguf -p \"Hello world\"\n"
     "  weir tokenize tokenizer.json --text book.txt --json\n"},
    {"template", WEIR_CLI_TEMPLATE, weir_cli_template, "[MODEL]",
     "the text that a conversation becomes for a model",
     "  The messages are written as the model's chat template has them, as transformers does it,\n"
     "  and nothing else. Without MODEL, --template says how; with both, the special tokens are\n"
     "  the model's.\n",
     "  weir template model.gguf --messages chat.json\n"
     "  weir template --template chatml --messages chat.json --no-generation-prompt\n"
     "  weir template model.gguf --messages chat.json --tools tools.json --vars vars.json\n"},
    {"doctor", WEIR_CLI_DOCTOR, weir_cli_doctor, "[PATH]",
     "what this machine offers and lacks, and what to do",
     "  PATH is a model file or a folder whose file system is examined (the current folder).\n",
     "  weir doctor\n"
     "  weir doctor model.gguf --json\n"},
    {"trace record", WEIR_CLI_RECORD, weir_cli_trace_record, "MODEL",
     "as run, and write which experts each token used",
     "  The trace goes to -o FILE, one line a token, of the prompt and of what is generated; the\n"
     "  last token generated is not computed, so it has no line. docs/formats/trace.md\n",
     "  weir trace record model.gguf -p \"Once upon a time\" -o story.trace\n"
     "  weir trace record model.gguf --expert-share 0.2 -n 500 -o long.trace -f in.txt\n"},
    {"trace replay", WEIR_CLI_REPLAY, weir_cli_trace_replay, "FILE",
     "hit rates of the policies over a trace",
     "  Every policy decides as it would in an engine. The prompt and the first third of the\n"
     "  other tokens only warm the cache; the rest is counted. FILE is a trace of weir, JSON\n"
     "  Lines of tok and layers, or CSV of turn, phase, step, layer, slot, expert; - reads\n"
     "  standard input.\n",
     "  weir trace replay story.trace\n"
     "  weir trace replay story.trace --policy decayed --slots 16 --json\n"
     "  weir trace replay story.trace --policy lru --pool --fraction 0.05,0.1\n"},
    {"trace show", WEIR_CLI_SHOW, weir_cli_trace_show, "FILE",
     "draw a trace: what was used, what was missing, and when",
     "  The picture is one SVG, which any browser opens. FILE as for weir trace replay.\n",
     "  weir trace show story.trace -o story.svg\n"
     "  weir trace show story.trace -o story.svg --policy lru --fraction 0.1\n"},
};

static void print_command(FILE *file, const struct weir_cli_command *command)
{
    char name[48];
    snprintf(name, sizeof(name), "weir %s %s", command->name, command->argument);
    weir_cli_print_entry(file, 2, name, command->summary);
}

static void print_overview(FILE *file)
{
    fprintf(file, "weir %s runs Mixture-of-Experts models larger than memory.\n\nCommands\n",
            WEIR_VERSION);
    for (size_t index = 0; index < WEIR_COUNT(commands); index++)
        print_command(file, &commands[index]);
    fprintf(file, "\nExamples\n"
                  "  weir run model.gguf -p \"Once upon a time\"\n"
                  "  weir plan model.gguf --mem 3G\n"
                  "\nweir help COMMAND lists its options, weir help COMMAND all every one.\n");
}

/* Whether word is the first of the two words of some command's name. */
static bool is_group(const char *word)
{
    const size_t length = strlen(word);
    for (size_t index = 0; index < WEIR_COUNT(commands); index++)
        if (strncmp(commands[index].name, word, length) == 0 && commands[index].name[length] == ' ')
            return true;
    return false;
}

/* The verbs of a group, on standard output. */
static void print_group(const char *group)
{
    const size_t length = strlen(group);
    printf("weir %s VERB ...\n\nVerbs\n", group);
    for (int part = 0; part < 2; part++) {
        for (size_t index = 0; index < WEIR_COUNT(commands); index++) {
            const struct weir_cli_command *command = &commands[index];
            if (strncmp(command->name, group, length) != 0 || command->name[length] != ' ')
                continue;
            if (part == 0)
                print_command(stdout, command);
            else
                printf("%s", command->examples);
        }
        if (part == 0)
            printf("\nEach takes --json; weir help %s VERB lists its options.\n\nExamples\n",
                   group);
    }
}

/* The command that the first word or two name, and how many words that took: two where they name
 * one (eval compare), or where the first alone names none (trace). */
static const struct weir_cli_command *find_command(int count, char **words, int *used)
{
    char name[64];
    for (*used = count < 2 ? count : 2; *used > 0; --*used) {
        snprintf(name, sizeof(name), "%s%s%s", words[0], *used == 2 ? " " : "",
                 *used == 2 ? words[1] : "");
        for (size_t index = 0; index < WEIR_COUNT(commands); index++)
            if (strcmp(commands[index].name, name) == 0)
                return &commands[index];
    }
    *used = is_group(words[0]) ? 2 : 1;
    return NULL;
}

static int refuse_command(const char *name)
{
    const char *ours = weir_cli_command_habit(name);
    for (size_t index = 0; ours != NULL && index < WEIR_COUNT(commands); index++)
        if (strcmp(commands[index].name, ours) == 0)
            return weir_cli_misuse(NULL, "unknown command \"%s\"; here it is called %s", name,
                                   ours);
    const char *names[WEIR_COUNT(commands) + 2];
    for (size_t index = 0; index < WEIR_COUNT(commands); index++)
        names[index] = commands[index].name;
    names[WEIR_COUNT(commands)] = "help";
    names[WEIR_COUNT(commands) + 1] = "trace";
    const char *nearest = weir_cli_nearest(name, names, WEIR_COUNT(names));
    return weir_cli_misuse(NULL, "unknown command \"%s\"%s%s%s", name,
                           nearest == NULL ? "" : "; did you mean ", nearest == NULL ? "" : nearest,
                           nearest == NULL ? "" : "?");
}

static int refuse_verb(const char *group, const char *verb)
{
    const size_t length = strlen(group);
    const char *verbs[WEIR_COUNT(commands)];
    size_t count = 0;
    if (verb == NULL || verb[0] == '-')
        return weir_cli_misuse(group, "wanted a verb after %s, found %s", group,
                               verb == NULL ? "nothing" : verb);
    for (size_t index = 0; index < WEIR_COUNT(commands); index++)
        if (strncmp(commands[index].name, group, length) == 0 &&
            commands[index].name[length] == ' ')
            verbs[count++] = commands[index].name + length + 1;
    const char *nearest = weir_cli_nearest(verb, verbs, count);
    return weir_cli_misuse(group, "%s: unknown verb \"%s\"%s%s%s", group, verb,
                           nearest == NULL ? "" : "; did you mean ", nearest == NULL ? "" : nearest,
                           nearest == NULL ? "" : "?");
}

/* Standard output holds the last words in its buffer: they may still not reach their reader. */
static int flush_output(int code)
{
    if (weir_cli_output_flush())
        return code;
    if (code == WEIR_CLI_OK && errno != EPIPE)
        weir_cli_say("cannot write to standard output: %s", weir_cli_stream_why(errno));
    return code == WEIR_CLI_OK ? WEIR_CLI_FAILURE : code;
}

static int print_version(void)
{
    printf("weir %s\n", WEIR_VERSION);
    return flush_output(WEIR_CLI_OK);
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* words begin with the command's name. */
static int run_words(bool wants_help, int count, char **words)
{
    struct weir_cli_options options;
    int used = 0;
    const struct weir_cli_command *command = find_command(count, words, &used);
    if (used == 2 && (count == 1 ? wants_help : is_help(words[1]))) {
        print_group(words[0]);
        return flush_output(WEIR_CLI_OK);
    }
    if (command == NULL)
        return used == 2 ? refuse_verb(words[0], count > 1 ? words[1] : NULL)
                         : refuse_command(words[0]);
    if (!wants_help && !weir_cli_options_parse(&options, command, count - used, words + used))
        return WEIR_CLI_USAGE;
    if (!wants_help && options.version)
        return print_version();
    if (wants_help || options.help) {
        weir_cli_options_help(command, wants_help ? count > used && strcmp(words[used], "all") == 0
                                                  : options.help_all);
        return flush_output(WEIR_CLI_OK);
    }
    if (!weir_cli_outputs_check(&options, command->argument))
        return WEIR_CLI_USAGE;
    weir_cli_quiet_set(options.quiet);
    int code = weir_cli_model_resolve(&options, command);
    if (code == WEIR_CLI_OK)
        code = command->run(&options);
    if (code == WEIR_CLI_FAILURE)
        weir_cli_model_advise();
    weir_cli_heads_remove();
    return flush_output(weir_cli_exit_code(code));
}

int main(int argc, char **argv)
{
    weir_cli_streams_open();
    if (argc < 2) {
        print_overview(stderr);
        return WEIR_CLI_USAGE;
    }
    const char *name = argv[1];
    json_set_alloc_funcs(weir_heap_alloc, weir_heap_free);
    weir_cli_signals_catch();
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0 || strcmp(name, "version") == 0)
        return print_version();
    const bool wants_help = strcmp(name, "help") == 0;
    if (is_help(name) || (wants_help && argc == 2)) {
        print_overview(stdout);
        return flush_output(WEIR_CLI_OK);
    }
    const struct weir_cli_commands all = {commands, WEIR_COUNT(commands)};
    if (strcmp(name, "--complete") == 0) {
        weir_cli_complete(&all, argc - 2, argv + 2);
        return flush_output(WEIR_CLI_OK);
    }
    if (strcmp(name, "--man") == 0)
        return argc == 3 ? weir_cli_manual_write(&all, argv[2])
                         : weir_cli_misuse(NULL, "--man: wanted one FOLDER for the manual pages");
    if (name[0] == '-')
        return weir_cli_misuse(NULL, "unknown option %s: a command comes first", name);
    return run_words(wants_help, argc - 1 - wants_help, argv + 1 + wants_help);
}
