/* complete.c - which words may come next on a command line: what shells ask at Tab. */
#include "guide.h"

#include <string.h>

#include "cli.h"
#include "net.h"
#include "weir_files.h"

/* A command line so far. */
struct line {
    const struct weir_cli_commands *commands;
    const struct weir_cli_command *command; /* NULL: none yet */
    const char *current;                    /* the word to complete, or the value within it */
    int before;                             /* letters of the word before that value */
    const char *word;
    const char *models; /* of --models; NULL: as the settings say */
    bool given[WEIR_CLI_OPTION_COUNT];
    bool has_argument, only_arguments;
};

/* ---- candidates ------------------------------------------------------------------------------ */

static bool begins(const char *text, size_t length, const char *with)
{
    const size_t wanted = strlen(with);
    return wanted <= length && strncmp(text, with, wanted) == 0;
}

/* Prints the candidate if the current word is its beginning. */
static bool offer(const struct line *line, const char *text, size_t length, const char *about)
{
    if (!begins(text, length, line->current))
        return false;
    char candidate[WEIR_CLI_PATH_MAX];
    snprintf(candidate, sizeof(candidate), "%.*s%.*s", line->before, line->word, (int)length, text);
    printf("%s\t%s\n", weir_cli_shown(candidate), about);
    return true;
}

static void offer_text(const struct line *line, const char *text, const char *about)
{
    offer(line, text, strlen(text), about);
}

/* The commands' first words; with a group, its verbs. */
static void offer_commands(const struct line *line, const char *group)
{
    const size_t skipped = group == NULL ? 0 : strlen(group) + 1;
    const char *last = "";
    for (size_t index = 0; index < line->commands->count; index++) {
        const struct weir_cli_command *command = &line->commands->list[index];
        if (group != NULL &&
            (strlen(command->name) <= skipped || command->name[skipped - 1] != ' ' ||
             strncmp(command->name, group, skipped - 1) != 0))
            continue;
        const char *name = command->name + skipped;
        const size_t length = strcspn(name, " ");
        if (strncmp(last, name, length) == 0 && (last[length] == ' ' || last[length] == '\0'))
            continue; /* another verb of the same group */
        last = name;
        offer(line, name, length, name[length] == '\0' ? command->summary : "a verb follows");
    }
}

/* Model names that weir pull has given; and files. */
static void offer_models(const struct line *line)
{
    struct weir_cli_options options = weir_cli_option_defaults;
    struct weir_cli_library library;
    options.models = line->models;
    if (line->models == NULL && !weir_cli_settings_read(&options, line->command))
        return;
    if (!weir_cli_library_read(&library, &options))
        return;
    for (size_t index = 0; index < library.count; index++) {
        const struct weir_cli_held *held = &library.models[index];
        const char *brief = weir_cli_library_short(&library, index);
        if (!held->is_unfinished && !offer(line, brief, strlen(brief), "a model that is here"))
            offer_text(line, held->name, "a model that is here");
    }
    weir_cli_library_free(&library);
}

/* ---- options --------------------------------------------------------------------------------- */

static const struct weir_cli_option_row *find_option(const struct line *line, const char *word,
                                                     size_t length)
{
    for (size_t id = 0; id < WEIR_CLI_OPTION_COUNT; id++) {
        const struct weir_cli_option_row *row = &weir_cli_option_rows[id];
        if ((row->commands & line->command->bit) != 0 && row->help != NULL &&
            (weir_cli_is_name(word, length, row->flag) ||
             weir_cli_is_name(word, length, row->aliases)))
            return row;
    }
    return NULL;
}

/* The first part of what an option does: a shell has little room. */
static size_t first_part(const char *text)
{
    int depth = 0;
    size_t at = 0;
    for (; text[at] != '\0' && (text[at] != ';' || depth > 0); at++)
        depth += (text[at] == '(') - (text[at] == ')');
    return at;
}

static bool offer_option(const struct line *line, const struct weir_cli_option_row *row,
                         const char *name, size_t length)
{
    char about[WEIR_CLI_DESCRIPTION_MAX];
    snprintf(about, sizeof(about), "%.*s", (int)first_part(row->help), row->help);
    return offer(line, name, length, about);
}

/* Of each option that may still come the first name that fits. */
static void offer_options(const struct line *line)
{
    for (size_t id = 0; id < WEIR_CLI_OPTION_COUNT; id++) {
        const struct weir_cli_option_row *row = &weir_cli_option_rows[id];
        if ((row->commands & line->command->bit) == 0 || row->help == NULL ||
            (line->given[id] && row->type != WEIR_CLI_LIST) ||
            weir_cli_option_excluded(line->given, (enum weir_cli_option_id)id))
            continue;
        if (offer_option(line, row, row->flag, strlen(row->flag)))
            continue;
        for (const char *at = row->aliases; at != NULL && *at != '\0';) {
            const size_t length = strcspn(at, " ");
            if (offer_option(line, row, at, length))
                break;
            at += length + (at[length] == ' ');
        }
    }
}

static void offer_choices(const struct line *line, const char *choices)
{
    for (const char *at = choices; *at != '\0';) {
        const size_t length = strcspn(at, "|");
        offer(line, at, length, "");
        at += length + (at[length] == '|');
    }
}

/* What its value is called says what it may be. */
static void offer_value(const struct line *line, const struct weir_cli_option_row *row)
{
    const enum weir_cli_option_id id = (enum weir_cli_option_id)(row - weir_cli_option_rows);
    if (row->type == WEIR_CLI_CHOICE)
        offer_choices(line, row->value);
    if (id == WEIR_CLI_OPTION_policy || id == WEIR_CLI_OPTION_policies)
        for (uint32_t index = 0; weir_policy_name(index) != NULL; index++)
            offer_text(line, weir_policy_name(index), weir_policy_about(index));
    if (id == WEIR_CLI_OPTION_policies)
        offer_text(line, "all", "all of them");
    if (id == WEIR_CLI_OPTION_template)
        for (uint32_t index = 0; weir_chat_format_name(index) != NULL; index++)
            offer_text(line, weir_chat_format_name(index), "a known format");
    if (id == WEIR_CLI_OPTION_type)
        for (uint32_t index = 0; weir_quantize_type_name(index) != NULL; index++)
            offer_text(line, weir_quantize_type_name(index), weir_quantize_type_about(index));
    if (id == WEIR_CLI_OPTION_model)
        offer_models(line);
    if (strcmp(row->value, "DIR") == 0)
        printf(":folders\n");
    else if (strncmp(row->value, "FILE", 4) == 0 || id == WEIR_CLI_OPTION_model)
        printf(":files\n");
}

/* ---- the line -------------------------------------------------------------------------------- */

/* Takes the words before the current one; the option whose value that is, or NULL. */
static const struct weir_cli_option_row *read_words(struct line *line, int count, char **words)
{
    const struct weir_cli_option_row *open = NULL;
    for (int at = 0; at < count; at++) {
        const size_t length = strcspn(words[at], "=");
        const bool has_value = words[at][length] == '=';
        const struct weir_cli_option_row *row =
            line->only_arguments ? NULL : find_option(line, words[at], length);
        open = NULL;
        if (row == NULL) {
            line->only_arguments = line->only_arguments || strcmp(words[at], "--") == 0;
            line->has_argument = line->has_argument || words[at][0] != '-';
            continue;
        }
        const enum weir_cli_option_id id = (enum weir_cli_option_id)(row - weir_cli_option_rows);
        line->given[id] = true;
        const bool is_next = row->type != WEIR_CLI_FLAG && !has_value;
        if (id == WEIR_CLI_OPTION_models && (has_value || at + 1 < count))
            line->models = has_value ? words[at] + length + 1 : words[at + 1];
        if (is_next && at + 1 == count)
            open = row;
        at += is_next;
    }
    line->has_argument = line->has_argument || line->given[WEIR_CLI_OPTION_model];
    return open;
}

static void complete_argument(const struct line *line)
{
    const char *argument = line->command->argument;
    if (line->given[WEIR_CLI_OPTION_help])
        offer_text(line, "all", "every option");
    const bool is_there = line->has_argument && strpbrk(argument, ". ") == NULL;
    if (is_there || line->given[WEIR_CLI_OPTION_help])
        return;
    const bool is_model = strstr(argument, "MODEL") != NULL || strcmp(argument, "IN OUT") == 0;
    if (!line->has_argument && line->command->bit == WEIR_CLI_EVAL)
        offer_text(line, "compare", "results side by side");
    if (is_model || strcmp(argument, "[WORD]") == 0 || line->command->bit == WEIR_CLI_CALIBRATE)
        offer_models(line);
    if (line->command->bit == WEIR_CLI_PULL)
        offer_text(line, "hf:", "a repository of huggingface.co: hf:ORG/REPO");
    if (is_model || strstr(argument, "PATH") != NULL || strncmp(argument, "FILE", 4) == 0)
        printf(":files\n");
}

/* The words after the command's name. */
static void complete_words(struct line *line, int count, char **words)
{
    const struct weir_cli_option_row *open = read_words(line, count - 1, words);
    line->word = line->current = words[count - 1];
    const size_t length = strcspn(line->word, "=");
    if (open == NULL && !line->only_arguments && line->word[length] == '=') {
        open = find_option(line, line->word, length);
        if (open != NULL && open->type == WEIR_CLI_FLAG)
            return;
        line->before = open == NULL ? 0 : (int)length + 1;
        line->current += line->before;
    }
    if (open != NULL)
        offer_value(line, open);
    else if (line->word[0] == '-' && !line->only_arguments)
        offer_options(line);
    else
        complete_argument(line);
}

/* The command of the first word or two, and how many they are; 0: none. */
static int find_command(struct line *line, int count, char **words)
{
    int used = 0;
    for (size_t index = 0; index < line->commands->count; index++) {
        const char *name = line->commands->list[index].name;
        const size_t first = strcspn(name, " ");
        const bool is_pair = name[first] == ' ';
        if (count < 1 + is_pair || strlen(words[0]) != first || strncmp(name, words[0], first) != 0)
            continue;
        if (is_pair && strcmp(name + first + 1, words[1]) != 0)
            continue;
        line->command = &line->commands->list[index];
        used = 1 + is_pair;
    }
    return used; /* of the longer name, which comes later */
}

void weir_cli_complete(const struct weir_cli_commands *commands, int count, char **words)
{
    struct line line = {.commands = commands, .word = ""};
    if (count == 0)
        return;
    line.current = words[count - 1];
    const bool is_help = count > 1 && strcmp(words[0], "help") == 0;
    const int used = find_command(&line, count - 1 - is_help, words + is_help);
    if (used > 0 && is_help && count == used + 2)
        offer_text(&line, "all", "every option");
    else if (used > 0 && !is_help)
        complete_words(&line, count - used, words + used);
    else if (used == 0 && count == 1 + is_help) {
        offer_commands(&line, NULL);
        if (!is_help) {
            offer_text(&line, "help", "what a command does, and its options");
            offer_text(&line, "--help", "the list of commands");
            offer_text(&line, "--version", "print the version");
        }
    } else if (used == 0 && count == 2 + is_help)
        offer_commands(&line, words[count - 2]);
}
