/* options.c - reads the words of a command line by the option table. */
#include "options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

const struct weir_cli_option_row weir_cli_option_rows[WEIR_CLI_OPTION_COUNT] = {
#define COMMON true
#define RARE false
#define ROW(field, type, flag, aliases, value, initial, low, high, commands, rank, help)           \
    {                                                                                              \
        flag,                                                                                      \
        aliases,                                                                                   \
        value,                                                                                     \
        WEIR_CLI_##type,                                                                           \
        offsetof(struct weir_cli_options, field),                                                  \
        low,                                                                                       \
        high,                                                                                      \
        commands,                                                                                  \
        rank,                                                                                      \
        help},
    WEIR_CLI_OPTIONS(ROW)
#undef ROW
#undef RARE
#undef COMMON
};

const struct weir_cli_options weir_cli_option_defaults = {
#define DEFAULT(field, type, flag, aliases, value, initial, ...) .field = initial,
    WEIR_CLI_OPTIONS(DEFAULT)
#undef DEFAULT
};

bool weir_cli_option_given(const struct weir_cli_options *options, enum weir_cli_option_id id)
{
    return options->given[id];
}

/* ---- reading ------------------------------------------------------------------------------- */

static bool is_one_of(const char *word, const char *choices)
{
    const size_t length = strcspn(word, "|");
    if (word[length] != '\0')
        return false;
    for (const char *at = choices; at != NULL; at = strchr(at, '|')) {
        at += *at == '|';
        if (length > 0 && strncmp(at, word, length) == 0 &&
            (at[length] == '|' || at[length] == '\0'))
            return true;
    }
    return false;
}

static bool read_count(const char *word, double low, double high, uint64_t *value)
{
    char *end = NULL;
    if (*word < '0' || *word > '9')
        return false;
    errno = 0;
    *value = strtoull(word, &end, 10);
    return errno == 0 && *end == '\0' && *value >= (uint64_t)low && *value <= (uint64_t)high;
}

static bool read_real(const char *word, double low, double high, double *value)
{
    char *end = NULL;
    *value = strtod(word, &end);
    return end != word && *end == '\0' && isfinite(*value) && *value >= low && *value <= high;
}

void weir_cli_option_wanted(const struct weir_cli_option_row *row, char *out, size_t capacity)
{
    switch (row->type) {
    case WEIR_CLI_CHOICE:
        snprintf(out, capacity, "%s", row->value);
        break;
    case WEIR_CLI_COUNT:
        snprintf(out, capacity, "a whole number from %.0f to %.0f", row->low, row->high);
        break;
    case WEIR_CLI_REAL:
        snprintf(out, capacity, "a number from %g to %g", row->low, row->high);
        break;
    case WEIR_CLI_SIZE:
        snprintf(out, capacity,
                 row->low > 1 ? "a size such as 3G, 512M or bytes, at least %.0f"
                              : "a size such as 3G, 512M or bytes",
                 row->low);
        break;
    case WEIR_CLI_LIST:
        snprintf(out, capacity, "%s, at most %d times", row->value, WEIR_CLI_LIST_MAX);
        break;
    case WEIR_CLI_TEXT:
    case WEIR_CLI_FLAG:
        snprintf(out, capacity, "%s", row->value == NULL ? "on or off" : row->value);
        break;
    }
}

bool weir_cli_option_read(const struct weir_cli_option_row *row, const char *word,
                          struct weir_cli_options *options)
{
    char *field = (char *)options + row->offset;
    struct weir_cli_list *list = (struct weir_cli_list *)(void *)field;
    uint64_t bytes = 0;
    switch (row->type) {
    case WEIR_CLI_TEXT:
        memcpy(field, &word, sizeof(word));
        return true;
    case WEIR_CLI_LIST:
        if (list->count == WEIR_CLI_LIST_MAX)
            return false;
        list->words[list->count++] = word;
        return true;
    case WEIR_CLI_CHOICE:
        memcpy(field, &word, sizeof(word));
        return is_one_of(word, row->value);
    case WEIR_CLI_COUNT:
        return read_count(word, row->low, row->high, (uint64_t *)(void *)field);
    case WEIR_CLI_REAL:
        return read_real(word, row->low, row->high, (double *)(void *)field);
    case WEIR_CLI_SIZE:
        if (!weir_parse_size(word, &bytes) || bytes < (uint64_t)row->low ||
            bytes > (uint64_t)row->high)
            return false;
        memcpy(field, &bytes, sizeof(bytes));
        return true;
    case WEIR_CLI_FLAG: /* a word of the command line is enough: this is for settings */
        *(bool *)field = is_one_of(word, "on|true|yes");
        return is_one_of(word, "on|true|yes|off|false|no");
    }
    return false;
}

static const struct weir_cli_option_row *find_row(unsigned command_bit, const char *word,
                                                  size_t length)
{
    for (size_t id = 0; id < WEIR_COUNT(weir_cli_option_rows); id++) {
        const struct weir_cli_option_row *row = &weir_cli_option_rows[id];
        if ((row->commands & command_bit) != 0 && (weir_cli_is_name(word, length, row->flag) ||
                                                   weir_cli_is_name(word, length, row->aliases)))
            return row;
    }
    return NULL;
}

/* One option and its value; *at ends on the last word used. */
static bool read_option(struct weir_cli_options *options, const struct weir_cli_command *command,
                        int count, char **words, int *at)
{
    const char *word = words[*at];
    const int length = (int)strcspn(word, "=");
    const struct weir_cli_option_row *row = find_row(command->bit, word, (size_t)length);
    const char *value = word[length] == '=' ? word + length + 1 : NULL;
    char wanted[96];
    if (row == NULL) {
        weir_cli_option_unknown(command, word);
        return false;
    }
    const bool is_again = options->given[row - weir_cli_option_rows];
    options->given[row - weir_cli_option_rows] = true;
    weir_cli_option_wanted(row, wanted, sizeof(wanted));
    if (row->type == WEIR_CLI_FLAG) {
        *(bool *)((char *)options + row->offset) = true;
        if (value != NULL)
            weir_cli_misuse(command->name, "%.*s: wanted no value, found \"%s\"", length, word,
                            value);
        return value == NULL;
    }
    if (value == NULL && *at + 1 < count)
        value = words[++*at];
    if (value == NULL) {
        weir_cli_misuse(command->name, "%.*s: wanted %s, found nothing", length, word, wanted);
        return false;
    }
    if (!weir_cli_option_read(row, value, options)) {
        weir_cli_misuse(command->name, "%.*s: wanted %s, found \"%s\"", length, word, wanted,
                        value);
        return false;
    }
    if (is_again && row->type != WEIR_CLI_LIST)
        weir_cli_say("%.*s is given twice: %s counts", length, word, weir_cli_shown(value));
    return true;
}

/* The one thing that a command is about: the first word, or -m. */
static bool take_argument(struct weir_cli_options *options, const struct weir_cli_command *command)
{
    if (options->argument != NULL && options->typed[WEIR_CLI_OPTION_model]) {
        weir_cli_misuse(command->name, "wanted one %s, found \"%s\" and \"%s\"", command->argument,
                        options->argument, options->model);
        return false;
    }
    if (options->argument == NULL)
        options->argument = options->model;
    if (options->argument == NULL && command->argument[0] != '[')
        weir_cli_misuse(command->name, "wanted %s, found nothing", command->argument);
    return options->argument != NULL || command->argument[0] == '[';
}

/* How many words there may be behind the first. */
static size_t most_words(const struct weir_cli_command *command)
{
    size_t count = 0;
    if (strstr(command->argument, "...") != NULL)
        return WEIR_CLI_MORE_MAX;
    for (const char *at = command->argument; *at != '\0'; at++)
        count += *at == ' ';
    return count;
}

/* A word that is no option. */
static bool take_word(struct weir_cli_options *options, const struct weir_cli_command *command,
                      const char *word)
{
    if (options->argument == NULL) {
        options->argument = word;
        return true;
    }
    if (options->more_count < most_words(command)) {
        options->more[options->more_count++] = word;
        return true;
    }
    if (strchr(command->argument, ' ') != NULL)
        weir_cli_misuse(command->name, "wanted %s, found \"%s\" after them", command->argument,
                        word);
    else if (options->more_count > 0)
        weir_cli_misuse(command->name, "wanted at most %d of %s, found more", 1 + WEIR_CLI_MORE_MAX,
                        command->argument);
    else
        weir_cli_misuse(command->name, "wanted one %s, found \"%s\" after \"%s\"%s",
                        command->argument, word, options->argument,
                        (command->bit & (WEIR_CLI_WRITERS | WEIR_CLI_TOKENIZE)) != 0
                            ? "; a text goes behind -p"
                            : "");
    return false;
}

/* The words of the command line; what they say together is looked at afterwards. */
static bool read_words(struct weir_cli_options *options, const struct weir_cli_command *command,
                       int count, char **words)
{
    bool only_arguments = false;
    *options = weir_cli_option_defaults;
    options->command = command->name;
    for (int at = 0; at < count; at++) {
        const char *word = words[at];
        if (!only_arguments && strcmp(word, "--") == 0) {
            only_arguments = true;
        } else if (!only_arguments && word[0] == '-' && word[1] != '\0') {
            if (!read_option(options, command, count, words, &at))
                return false;
        } else if (!only_arguments && options->help && strcmp(word, "all") == 0) {
            options->help_all = true;
        } else if (!take_word(options, command, word)) {
            return false;
        }
    }
    memcpy(options->typed, options->given, sizeof(options->typed));
    return true;
}

void weir_cli_option_show(const struct weir_cli_options *options, enum weir_cli_option_id id,
                          char *out, size_t capacity)
{
    const struct weir_cli_option_row *row = &weir_cli_option_rows[id];
    const void *field = (const char *)options + row->offset;
    const char *text = NULL;
    switch (row->type) {
    case WEIR_CLI_COUNT:
    case WEIR_CLI_SIZE:
        snprintf(out, capacity, "%llu", (unsigned long long)*(const uint64_t *)field);
        return;
    case WEIR_CLI_REAL:
        snprintf(out, capacity, "%g", *(const double *)field);
        return;
    case WEIR_CLI_FLAG:
        snprintf(out, capacity, "%s", *(const bool *)field ? "on" : "off");
        return;
    case WEIR_CLI_TEXT:
    case WEIR_CLI_CHOICE:
        memcpy(&text, field, sizeof(text));
        break;
    case WEIR_CLI_LIST:
        break;
    }
    snprintf(out, capacity, "%s", text == NULL ? "" : text);
}

bool weir_cli_option_change(struct weir_cli_options *options, enum weir_cli_option_id id,
                            const char *value, char *wanted, size_t capacity)
{
    struct weir_cli_options changed = *options;
    weir_cli_option_wanted(&weir_cli_option_rows[id], wanted, capacity);
    if (!weir_cli_option_read(&weir_cli_option_rows[id], value, &changed))
        return false;
    changed.given[id] = true;
    *options = changed;
    return true;
}

/* ---- options together ---------------------------------------------------------------------- */

/* Two options of one command: the second takes away what the first says, or nothing is there for
 * the first without it. */
struct rule {
    enum weir_cli_option_id one, other;
    bool is_needed;
};

#define NOT_BOTH(one, other)                                                                       \
    {                                                                                              \
        WEIR_CLI_OPTION_##one, WEIR_CLI_OPTION_##other, false                                      \
    }
#define NEEDS(one, other)                                                                          \
    {                                                                                              \
        WEIR_CLI_OPTION_##one, WEIR_CLI_OPTION_##other, true                                       \
    }
static const struct rule rules[] = {
    NOT_BOTH(prompt, ids),
    NOT_BOTH(prompt, text),
    NOT_BOTH(prompt, decode),
    NOT_BOTH(ids, text),
    NEEDS(escape, prompt),
    NOT_BOTH(text, decode),
    NOT_BOTH(text, tokens),
    NOT_BOTH(mc, text),
    NOT_BOTH(mc, tokens),
    NOT_BOTH(mc, reference),
    NOT_BOTH(mc, save_reference),
    NOT_BOTH(mc, logits),
    NOT_BOTH(mc, chunk_limit),
    NOT_BOTH(decode, bos),
    NOT_BOTH(decode, plain),
    NOT_BOTH(tokens, bench_seed),
    NOT_BOTH(quiet, verbose),
    NOT_BOTH(slots, expert_share),
    NOT_BOTH(trace_slots, shares),
    NOT_BOTH(trace_slots, show_share),
    NEEDS(timeline_events, timeline),
    NOT_BOTH(grammar, json_schema),
    NOT_BOTH(grammar, ignore_eos),
    NOT_BOTH(json_schema, ignore_eos),
    NEEDS(xtc_threshold, xtc_probability),
    NEEDS(dry_base, dry_multiplier),
    NEEDS(dry_allowed, dry_multiplier),
    NEEDS(dry_last, dry_multiplier),
    NEEDS(dry_breakers, dry_multiplier),
    NOT_BOTH(ids, chat),
    NEEDS(system, chat),
    NEEDS(think, chat),
    NEEDS(think_budget, chat),
    NOT_BOTH(think_budget, grammar), /* which says itself when reasoning may end */
    NOT_BOTH(think_budget, json_schema),
    NEEDS(template, chat),
};
#undef NOT_BOTH
#undef NEEDS

/* What a setting needs may be missing: it is for commands that have it. */
static bool check_together(const struct weir_cli_options *options,
                           const struct weir_cli_command *command)
{
    for (size_t index = 0; index < WEIR_COUNT(rules); index++) {
        const struct rule *rule = &rules[index];
        const char *one = weir_cli_option_rows[rule->one].flag;
        const char *other = weir_cli_option_rows[rule->other].flag;
        const bool is_there =
            rule->is_needed ? options->typed[rule->one] : weir_cli_option_given(options, rule->one);
        if (!is_there || (weir_cli_option_rows[rule->other].commands & command->bit) == 0 ||
            weir_cli_option_given(options, rule->other) == rule->is_needed)
            continue;
        if (rule->is_needed)
            weir_cli_misuse(command->name, "%s: wanted %s with it, found none", one, other);
        else
            weir_cli_misuse(command->name, "wanted %s or %s, found both", one, other);
        return false;
    }
    return true;
}

bool weir_cli_option_excluded(const bool given[WEIR_CLI_OPTION_COUNT], enum weir_cli_option_id id)
{
    for (size_t index = 0; index < WEIR_COUNT(rules); index++) {
        const struct rule *rule = &rules[index];
        if (!rule->is_needed &&
            ((rule->one == id && given[rule->other]) || (rule->other == id && given[rule->one])))
            return true;
    }
    return false;
}

bool weir_cli_options_parse(struct weir_cli_options *options,
                            const struct weir_cli_command *command, int count, char **words)
{
    if (!read_words(options, command, count, words))
        return false;
    if (options->help || options->version)
        return true;
    return weir_cli_settings_read(options, command) && take_argument(options, command) &&
           check_together(options, command) && weir_cli_escapes_read(options);
}
