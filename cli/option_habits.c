/* option_habits.c - what a word that is no option and no command may be meant to be: by its
 * letters, and by what other programs call it. */
#include <string.h>

#include "cli.h"

/* ---- names --------------------------------------------------------------------------------- */

bool weir_cli_is_name(const char *word, size_t length, const char *names)
{
    for (const char *at = names; at != NULL && *at != '\0';) {
        const size_t here = strcspn(at, " ");
        if (here == length && strncmp(at, word, length) == 0)
            return true;
        at += here + (at[here] == ' ');
    }
    return false;
}

static const char *skip_dashes(const char *word)
{
    return word + strspn(word, "-");
}

const char *weir_cli_nearest(const char *word, const char *const *names, size_t count)
{
    const char *nearest = NULL;
    const char *letters = skip_dashes(word);
    /* Further away is another word, not a slip: a changed letter counts two. */
    uint32_t least = 2 + (uint32_t)strlen(letters) / 3;
    for (size_t index = 0; index < count; index++) {
        const char *name = skip_dashes(names[index]);
        const uint32_t edits = weir_edit_distance(letters, name);
        if (edits > 0 && strlen(name) < 2)
            continue; /* every word is near to one letter */
        if (edits < least) {
            least = edits;
            nearest = names[index];
        }
    }
    return nearest;
}

/* ---- habits -------------------------------------------------------------------------------- */

/* Options of llama.cpp and ollama that are none here, or have another name. */
static const struct habit {
    const char *theirs; /* apart by spaces */
    const char *ours;   /* told only to commands that have it; NULL: told to all */
    const char *says;   /* NULL: that ours is the name */
} habits[] = {
    {"-b --batch-size -ub --ubatch-size", "--chunk", NULL},
    {"-ngl --n-gpu-layers --gpu-layers --num-gpu --n-cpu-moe -ncmoe --cpu-moe -cmoe -ot "
     "--override-tensor",
     "--gpu-mem",
     "nothing is placed by hand; --gpu-mem SIZE says how much of a GPU's memory weir may fill"},
    {"-ts --tensor-split -sm --split-mode -mg --main-gpu -dev --device", NULL,
     "weir computes on the processor, and on one GPU (--gpu)"},
    {"--mmap --no-mmap --mlock --use-mmap", "--mem",
     "no file is mapped; --mem SIZE says how much of the model is kept in memory"},
    {"-tb --threads-batch --num-thread", "--threads", NULL},
    {"--no-display-prompt --log-disable --no-perf --silent-prompt", "--quiet", NULL},
    {"--verbose-prompt", "--verbose", NULL},
    {"--log-prompts --enable-log-requests --log-requests", "--log-text", NULL},
    {"-fa --flash-attn", NULL, "attention has one form here, which needs no option"},
    {"-ctk --cache-type-k -ctv --cache-type-v --kv-cache-type", "--kv", NULL},
    {"--kl-divergence-base --kl-divergence", "--reference",
     "--save-reference FILE keeps a run; --reference FILE compares with it, or with llama.cpp's"},
    {"--grammar-file", "--grammar", NULL},
    {"-j --json-schema-file", "--json-schema", "--json-schema FILE reads the schema from a file"},
    {"-sys --system-prompt", "--system", NULL},
    {"--chat-template --chat-template-file", "--template", NULL},
    {"-cnv --conversation -i --interactive -if --interactive-first -st --single-turn --jinja",
     "--chat", "run --chat asks one question, and weir chat goes on talking"},
    {"-no-cnv --no-conversation", "-p", "run continues the text as it is"},
    {"--mirostat --mirostat-lr --mirostat-ent", "--min-p",
     "weir has no mirostat; --min-p and --typical also cut off what is unlikely"},
    {"--samplers --sampling-seq --sampler-seq", "--top-k", "the order of sampling is fixed"},
    {"-co --color --no-color", NULL, "terminals show colour; NO_COLOR=1 turns it off"},
    {"--format --output-format", "--json", "--json prints one JSON object"},
    {"--max-tokens --max_tokens --max-new-tokens --num-predict --num_predict -np", "-n", NULL},
    {"--num-ctx --num_ctx --context --context-length --n-ctx", "--ctx", NULL},
    {"--memory --ram --max-memory --max-ram --mem-limit --budget", "--mem", NULL},
    {"--prompt-file --input", "--text", NULL},
    {"--no-warmup --warmup", NULL, "nothing is computed before the prompt"},
    {"--keepalive --keep-alive", NULL, "no model stays loaded after a command"},
    {"--rope-freq-base --rope-freq-scale --rope-scaling --rope-scale", NULL,
     "the model file says how positions are rotated"},
};

static const char *const command_habits[][2] = {
    {"list ls", "models"},
    {"show inspect gguf-dump", "info"},
    {"generate gen complete completion continue llama-cli main simple", "run"},
    {"perplexity ppl llama-perplexity", "eval"},
    {"llama-imatrix importance", "imatrix"},
    {"llama-quantize quantise requantize", "quantize"},
    {"benchmark llama-bench", "bench"},
    {"download get fetch", "pull"},
    {"talk conversation cli", "chat"},
    {"tokens encode llama-tokenize", "tokenize"},
    {"estimate fit", "plan"},
};

const char *weir_cli_command_habit(const char *word)
{
    for (size_t index = 0; index < WEIR_COUNT(command_habits); index++)
        if (weir_cli_is_name(word, strlen(word), command_habits[index][0]))
            return command_habits[index][1];
    return NULL;
}

/* The names of the command's options, cut out of the rows into letters. */
enum { NAME_MAX_COUNT = 4 * WEIR_CLI_OPTION_COUNT, LETTER_MAX = 32 * NAME_MAX_COUNT };
struct names {
    const char *list[NAME_MAX_COUNT];
    size_t count, used;
    char letters[LETTER_MAX];
};

static void add_names(struct names *names, const char *text)
{
    for (const char *at = text; at != NULL && *at != '\0';) {
        const size_t length = strcspn(at, " ");
        WEIR_ASSERT(names->count < NAME_MAX_COUNT && names->used + length < LETTER_MAX);
        char *name = names->letters + names->used;
        memcpy(name, at, length);
        name[length] = '\0';
        names->list[names->count++] = name;
        names->used += length + 1;
        at += length + (at[length] == ' ');
    }
}

static void list_names(struct names *names, unsigned commands)
{
    names->count = names->used = 0;
    for (size_t id = 0; id < WEIR_CLI_OPTION_COUNT; id++) {
        const struct weir_cli_option_row *row = &weir_cli_option_rows[id];
        if ((row->commands & commands) == 0 || row->help == NULL)
            continue;
        add_names(names, row->flag);
        add_names(names, row->aliases);
    }
}

static bool has_name(const struct names *names, const char *word)
{
    for (size_t index = 0; index < names->count; index++)
        if (strcmp(names->list[index], word) == 0)
            return true;
    return false;
}

const char *weir_cli_option_nearest(unsigned commands, const char *word)
{
    static struct names names;
    list_names(&names, commands);
    return weir_cli_nearest(word, names.list, names.count);
}

void weir_cli_option_unknown(const struct weir_cli_command *command, const char *word)
{
    static struct names names;
    char flag[64];
    const size_t length = strcspn(word, "=");
    list_names(&names, command->bit);
    for (size_t index = 0; index < WEIR_COUNT(habits); index++) {
        const struct habit *habit = &habits[index];
        if (!weir_cli_is_name(word, length, habit->theirs) ||
            (habit->ours != NULL && !has_name(&names, habit->ours)))
            continue;
        if (habit->says == NULL)
            weir_cli_misuse(command->name, "unknown option %.*s; here it is called %s", (int)length,
                            word, habit->ours);
        else
            weir_cli_misuse(command->name, "unknown option %.*s: %s", (int)length, word,
                            habit->says);
        return;
    }
    snprintf(flag, sizeof(flag), "%.*s", (int)length, word);
    const char *nearest = weir_cli_nearest(flag, names.list, names.count);
    weir_cli_misuse(command->name, "unknown option %s%s%s%s", word,
                    nearest == NULL ? "" : "; did you mean ", nearest == NULL ? "" : nearest,
                    nearest == NULL ? "" : "?");
}
