/* manual.c - manual pages from the table of options, in the language of man(7). */
#include <string.h>

#include "cli.h"
#include "guide.h"
#include "weir_files.h"

/* The day of this version, as CHANGELOG.md has it. */
#define RELEASED "2026-11-30"

enum { LINE_MAX = 76 };

struct entry {
    const char *name, *text;
};

static const struct entry environment[] = {
    {"WEIR_MEM, WEIR_THREADS", "the same as --mem and --threads"},
    {"WEIR_MODELS", "the folder of models that weir pull fills (~/.local/share/weir/models)"},
    {"NO_COLOR", "no colours on terminals"},
    {"WEIR_API_KEY", "the key that clients of weir serve must show"},
    {"HF_TOKEN, HF_TOKEN_PATH, HF_HOME", "a token for private repositories, the file that has it, "
                                         "or the folder in which hf auth login keeps it"},
    {"HF_ENDPOINT", "another server than https://huggingface.co"},
    {"XDG_CONFIG_HOME, XDG_CACHE_HOME, XDG_DATA_HOME, XDG_STATE_HOME",
     "where settings, measurements, models and what was typed are kept"},
    {"TMPDIR", "where the heads of a model that is not here are kept for a moment"},
};

static const struct entry files[] = {
    {"~/.config/weir/config",
     "settings, a line each: the long name of an option, =, and its value, such as mem = 8G; "
     "words of the command line and the environment come before them"},
    {"~/.cache/weir",
     "what weir calibrate measured, how fast the last runs of a model were, and which experts "
     "they used most"},
    {"~/.local/share/weir/models", "what weir pull has brought"},
    {"~/.local/state/weir/chat_history", "the lines that were typed in weir chat"},
};

static const struct entry statuses[] = {
    {"0", "it did what was asked"},
    {"1", "it could not; why is on standard error"},
    {"2", "the command line is wrong"},
    {"130, 143", "it was ended by Ctrl-C or SIGTERM, and has told what it had by then"},
};

/* ---- text ------------------------------------------------------------------------------------ */

/* So that every letter stays what it is, also for who copies an example. */
static void put_letters(FILE *file, const char *text, size_t length)
{
    static const char *const spelled[][2] = {{"\\", "\\e"},  {"-", "\\-"},   {"'", "\\(aq"},
                                             {"`", "\\(ga"}, {"^", "\\(ha"}, {"~", "\\(ti"}};
    for (size_t at = 0; at < length; at++) {
        size_t index = 0;
        while (index < WEIR_COUNT(spelled) && text[at] != spelled[index][0][0])
            index++;
        if (index < WEIR_COUNT(spelled))
            fputs(spelled[index][1], file);
        else
            fputc(text[at], file);
    }
}

/* Words in lines, the first of which is at column already; one that would begin a request does
 * not. */
static void put_words(FILE *file, size_t column, const char *text)
{
    for (const char *at = text + strspn(text, " \n"); *at != '\0'; at += strspn(at, " \n")) {
        const size_t length = strcspn(at, " \n");
        if (column > 0 && column + 1 + length > LINE_MAX) {
            fputc('\n', file);
            column = 0;
        }
        if (column > 0)
            fputc(' ', file);
        else if (*at == '.')
            fputs("\\&", file);
        put_letters(file, at, length);
        column += length + 1;
        at += length;
    }
    fputc('\n', file);
}

static void put_styled(FILE *file, char font, const char *text)
{
    fprintf(file, "\\f%c", font);
    put_letters(file, text, strlen(text));
    fputs("\\fR", file);
}

static void put_entries(FILE *file, const struct entry *entries, size_t count)
{
    for (size_t index = 0; index < count; index++) {
        fprintf(file, ".TP\n");
        put_styled(file, 'B', entries[index].name);
        fputc('\n', file);
        put_words(file, 0, entries[index].text);
    }
}

static void put_examples(FILE *file, const char *examples)
{
    fprintf(file, ".SH EXAMPLES\n.EX\n");
    for (const char *at = examples; *at != '\0';) {
        const size_t length = strcspn(at, "\n");
        const size_t indent = weir_min(strspn(at, " "), (size_t)2);
        put_letters(file, at + indent, length - indent);
        fputc('\n', file);
        at += length + (at[length] == '\n');
    }
    fprintf(file, ".EE\n");
}

/* ---- pages ----------------------------------------------------------------------------------- */

/* "trace record" with another letter between its words. */
static void name_page(char *out, size_t capacity, const struct weir_cli_command *command)
{
    snprintf(out, capacity, "weir-%s", command->name);
    for (char *space = strchr(out, ' '); space != NULL; space = strchr(space, ' '))
        *space = '-';
}

static void put_head(FILE *file, const char *page, const char *summary)
{
    fprintf(file, ".TH ");
    for (const char *at = page; *at != '\0'; at++)
        fputc(*at >= 'a' && *at <= 'z' ? *at - 'a' + 'A' : *at, file);
    fprintf(file, " 1 " RELEASED " \"weir " WEIR_VERSION "\"\n.nh\n.SH NAME\n");
    put_letters(file, page, strlen(page));
    fprintf(file, " \\-");
    put_words(file, strlen(page) + strlen(" -"), summary);
    fprintf(file, ".SH SYNOPSIS\n");
}

static void put_types(FILE *file)
{
    fprintf(file, ".RS\n");
    for (uint32_t index = 0; weir_quantize_type_name(index) != NULL; index++) {
        const struct entry entry = {weir_quantize_type_name(index),
                                    weir_quantize_type_about(index)};
        put_entries(file, &entry, 1);
    }
    fprintf(file, ".RE\n");
}

/* The names that an option takes instead of files. */
static void put_names(FILE *file, size_t id)
{
    const bool is_policy = id == WEIR_CLI_OPTION_policy || id == WEIR_CLI_OPTION_policies;
    if (id == WEIR_CLI_OPTION_type)
        put_types(file);
    if (!is_policy && id != WEIR_CLI_OPTION_template)
        return;
    fprintf(file, ".RS\n");
    for (uint32_t index = 0; is_policy && weir_policy_name(index) != NULL; index++) {
        const struct entry entry = {weir_policy_name(index), weir_policy_about(index)};
        put_entries(file, &entry, 1);
    }
    for (uint32_t index = 0; !is_policy && weir_chat_format_name(index) != NULL; index++) {
        fprintf(file, "%s", index == 0 ? ".P\n" : ",\n");
        put_letters(file, weir_chat_format_name(index), strlen(weir_chat_format_name(index)));
    }
    fprintf(file, "%s.RE\n", is_policy ? "" : "\n");
}

static void put_options(FILE *file, const struct weir_cli_command *command, bool is_common)
{
    char names[WEIR_CLI_NAMES_MAX];
    char text[WEIR_CLI_DESCRIPTION_MAX];
    for (size_t id = 0; id < WEIR_CLI_OPTION_COUNT; id++) {
        const struct weir_cli_option_row *row = &weir_cli_option_rows[id];
        if ((row->commands & command->bit) == 0 || row->help == NULL || row->is_common != is_common)
            continue;
        weir_cli_option_names(row, true, names, sizeof(names));
        weir_cli_option_describe(row, text, sizeof(text));
        fprintf(file, ".TP\n");
        put_styled(file, 'B', names);
        if (row->value != NULL) {
            fputc(' ', file);
            put_styled(file, 'I', row->value);
        }
        fputc('\n', file);
        put_words(file, 0, text);
        put_names(file, id);
    }
}

static void put_command(FILE *file, const struct weir_cli_command *command)
{
    char page[64];
    name_page(page, sizeof(page), command);
    put_head(file, page, command->summary);
    fprintf(file, ".B weir %s\n.I ", command->name);
    put_words(file, 0, command->argument);
    fprintf(file, ".RI [ options ]\n.SH DESCRIPTION\n");
    put_words(file, 0, command->about == NULL ? command->summary : command->about);
    fprintf(file, ".SH OPTIONS\nDefaults are in parentheses.\n");
    put_options(file, command, true);
    fprintf(file, ".SS More options\n");
    put_options(file, command, false);
    fprintf(file, ".SH EXIT STATUS\n");
    put_entries(file, statuses, WEIR_COUNT(statuses));
    put_examples(file, command->examples);
    fprintf(file, ".SH SEE ALSO\n.BR weir (1)\n");
}

static void put_overview(FILE *file, const struct weir_cli_commands *commands)
{
    char page[64];
    put_head(file, "weir", "run Mixture-of-Experts models that are larger than memory");
    fprintf(file, ".B weir\n.I command\n.RI [ options ]\n.SH DESCRIPTION\n");
    put_words(file, 0,
              "The experts of the model stay on the disk; memory holds what every token "
              "needs, and as many experts as fit below the ceiling of --mem, which counts "
              "the whole process and holds. weir help COMMAND is short help; weir help "
              "COMMAND all lists every option.");
    fprintf(file, ".SH COMMANDS\n");
    for (size_t index = 0; index < commands->count; index++) {
        fprintf(file, ".TP\n");
        name_page(page, sizeof(page), &commands->list[index]);
        put_styled(file, 'B', page);
        fprintf(file, "(1)\n");
        put_words(file, 0, commands->list[index].summary);
    }
    fprintf(file, ".SH ENVIRONMENT\n");
    put_entries(file, environment, WEIR_COUNT(environment));
    fprintf(file, ".SH FILES\n");
    put_entries(file, files, WEIR_COUNT(files));
    fprintf(file, ".SH EXIT STATUS\n");
    put_entries(file, statuses, WEIR_COUNT(statuses));
    put_examples(file, "  weir plan model.gguf --mem 8G\n"
                       "  weir chat model.gguf --mem 8G\n"
                       "  weir run model.gguf --mem 8G -p \"The old man\"\n");
    fprintf(file, ".SH SEE ALSO\n");
    for (size_t index = 0; index < commands->count; index++) {
        name_page(page, sizeof(page), &commands->list[index]);
        fprintf(file, ".BR ");
        put_letters(file, page, strlen(page));
        fprintf(file, " (1)%s\n", index + 1 < commands->count ? "," : "");
    }
}

/* command: NULL for the page of weir itself. */
static bool write_page(const struct weir_cli_commands *commands,
                       const struct weir_cli_command *command, const char *folder)
{
    char page[64] = "weir";
    char path[WEIR_CLI_PATH_MAX];
    struct weir_cli_out out = {0};
    if (command != NULL)
        name_page(page, sizeof(page), command);
    if ((size_t)snprintf(path, sizeof(path), "%s/%s.1", folder, page) >= sizeof(path)) {
        weir_cli_say("--man: the path of the folder is too long");
        return false;
    }
    if (!weir_cli_out_open(&out, path))
        return false;
    if (command != NULL)
        put_command(out.file, command);
    else
        put_overview(out.file, commands);
    return weir_cli_out_finish(&out);
}

int weir_cli_manual_write(const struct weir_cli_commands *commands, const char *folder)
{
    for (size_t index = 0; index < commands->count; index++)
        if (!write_page(commands, &commands->list[index], folder))
            return WEIR_CLI_FAILURE;
    return write_page(commands, NULL, folder) ? WEIR_CLI_OK : WEIR_CLI_FAILURE;
}
