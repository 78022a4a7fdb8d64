/* options.c - reads the words of a command line by the option table, and prints its help. */
#include "options.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"

struct option_row {
    const char *flag;
    const char *value;
    enum weir_cli_option_type type;
    size_t offset;
    double low, high;
    unsigned commands;
    const char *help;
};

static const struct option_row rows[] = {
#define ROW(field, type, flag, value, initial, low, high, commands, help)                          \
    {flag, value, WEIR_CLI_##type, offsetof(struct weir_cli_options, field),                       \
     low,  high,  commands,        help},
    WEIR_CLI_OPTIONS(ROW)
#undef ROW
};

static const struct weir_cli_options defaults = {
#define DEFAULT(field, type, flag, value, initial, ...) .field = initial,
    WEIR_CLI_OPTIONS(DEFAULT)
#undef DEFAULT
};

bool weir_cli_option_given(const struct weir_cli_options *options, enum weir_cli_option_id id)
{
    return options->given[id];
}

/* ---- near names ---------------------------------------------------------------------------- */

enum { NAME_MAX_LENGTH = 48 };

/* How many letters must be added, dropped, changed or swapped (Damerau 1964, adjacent swaps). */
static size_t count_edits(const char *from, const char *to)
{
    size_t edits[NAME_MAX_LENGTH + 1][NAME_MAX_LENGTH + 1];
    const size_t from_length = strlen(from);
    const size_t to_length = strlen(to);
    if (from_length > NAME_MAX_LENGTH || to_length > NAME_MAX_LENGTH)
        return SIZE_MAX;
    for (size_t row = 0; row <= from_length; row++)
        for (size_t col = 0; col <= to_length; col++) {
            size_t best = row == 0 ? col : row;
            if (row > 0 && col > 0) {
                best = edits[row - 1][col - 1] + (from[row - 1] != to[col - 1]);
                best = weir_min(best, edits[row - 1][col] + 1);
                best = weir_min(best, edits[row][col - 1] + 1);
                if (row > 1 && col > 1 && from[row - 1] == to[col - 2] &&
                    from[row - 2] == to[col - 1])
                    best = weir_min(best, edits[row - 2][col - 2] + 1);
            }
            edits[row][col] = best;
        }
    return edits[from_length][to_length];
}

const char *weir_cli_nearest(const char *word, const char *const *names, size_t count)
{
    const char *nearest = NULL;
    size_t least = 1 + strlen(word) / 3; /* further away is another word, not a slip */
    for (size_t index = 0; index < count; index++) {
        const size_t edits = count_edits(word, names[index]);
        if (edits < least || (edits == least && nearest == NULL)) {
            least = edits;
            nearest = names[index];
        }
    }
    return nearest;
}

/* ---- reading ------------------------------------------------------------------------------- */

static void say_unknown(const struct weir_cli_command *command, const char *flag)
{
    const char *names[WEIR_CLI_OPTION_COUNT];
    size_t count = 0;
    for (size_t id = 0; id < WEIR_COUNT(rows); id++)
        if ((rows[id].commands & command->bit) != 0 && rows[id].help != NULL)
            names[count++] = rows[id].flag;
    const char *nearest = weir_cli_nearest(flag, names, count);
    weir_cli_misuse(command->name, "unknown option %s%s%s%s", flag,
                    nearest == NULL ? "" : "; did you mean ", nearest == NULL ? "" : nearest,
                    nearest == NULL ? "" : "?");
}

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

/* What a value must look like, for the message that says it does not. */
static void describe_wanted(const struct option_row *row, char *out, size_t capacity)
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
        snprintf(out, capacity, "a size such as 3G, 512M or bytes");
        break;
    case WEIR_CLI_LIST:
        snprintf(out, capacity, "%s, at most %d times", row->value, WEIR_CLI_LIST_MAX);
        break;
    case WEIR_CLI_TEXT:
    case WEIR_CLI_FLAG:
        snprintf(out, capacity, "%s", row->value == NULL ? "no value" : row->value);
        break;
    }
}

static bool read_value(const struct option_row *row, const char *word,
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
    case WEIR_CLI_FLAG:
        break;
    }
    return false;
}

static const struct option_row *find_row(unsigned command_bit, const char *word, size_t length)
{
    if (length == 2 && strncmp(word, "-h", 2) == 0)
        return &rows[WEIR_CLI_OPTION_help];
    for (size_t id = 0; id < WEIR_COUNT(rows); id++)
        if ((rows[id].commands & command_bit) != 0 && strlen(rows[id].flag) == length &&
            strncmp(rows[id].flag, word, length) == 0)
            return &rows[id];
    return NULL;
}

/* One option and its value; *at ends on the last word used. */
static bool read_option(struct weir_cli_options *options, const struct weir_cli_command *command,
                        int count, char **words, int *at)
{
    const char *word = words[*at];
    const size_t length = strcspn(word, "=");
    const struct option_row *row = find_row(command->bit, word, length);
    const char *value = word[length] == '=' ? word + length + 1 : NULL;
    char wanted[96];
    if (row == NULL) {
        say_unknown(command, word);
        return false;
    }
    options->given[row - rows] = true;
    describe_wanted(row, wanted, sizeof(wanted));
    if (row->type == WEIR_CLI_FLAG) {
        *(bool *)((char *)options + row->offset) = true;
        if (value != NULL)
            weir_cli_misuse(command->name, "%s: wanted no value, found \"%s\"", row->flag, value);
        return value == NULL;
    }
    if (value == NULL && *at + 1 < count)
        value = words[++*at];
    if (value == NULL) {
        weir_cli_misuse(command->name, "%s: wanted %s, found nothing", row->flag, wanted);
        return false;
    }
    if (!read_value(row, value, options)) {
        weir_cli_misuse(command->name, "%s: wanted %s, found \"%s\"", row->flag, wanted, value);
        return false;
    }
    return true;
}

/* The words of the command line; what they say together is looked at afterwards. */
static bool read_words(struct weir_cli_options *options, const struct weir_cli_command *command,
                       int count, char **words)
{
    bool only_arguments = false;
    *options = defaults;
    options->command = command->name;
    for (int at = 0; at < count; at++) {
        const char *word = words[at];
        if (!only_arguments && strcmp(word, "--") == 0) {
            only_arguments = true;
        } else if (!only_arguments && word[0] == '-' && word[1] != '\0') {
            if (!read_option(options, command, count, words, &at))
                return false;
        } else if (options->argument == NULL) {
            options->argument = word;
        } else {
            weir_cli_misuse(command->name, "wanted one %s, found \"%s\" after \"%s\"",
                            command->argument, word, options->argument);
            return false;
        }
    }
    if (!options->help && options->argument == NULL && command->argument[0] != '[') {
        weir_cli_misuse(command->name, "wanted %s, found nothing", command->argument);
        return false;
    }
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
    NOT_BOTH(text, decode),
    NOT_BOTH(text, tokens),
    NOT_BOTH(decode, bos),
    NOT_BOTH(decode, plain),
    NOT_BOTH(tokens, bench_seed),
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
};
#undef NOT_BOTH
#undef NEEDS

static bool check_together(const struct weir_cli_options *options,
                           const struct weir_cli_command *command)
{
    for (size_t index = 0; index < WEIR_COUNT(rules); index++) {
        const struct rule *rule = &rules[index];
        const char *one = rows[rule->one].flag;
        const char *other = rows[rule->other].flag;
        if (!weir_cli_option_given(options, rule->one) ||
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

bool weir_cli_options_parse(struct weir_cli_options *options,
                            const struct weir_cli_command *command, int count, char **words)
{
    return read_words(options, command, count, words) &&
           (options->help || check_together(options, command));
}

/* ---- help ---------------------------------------------------------------------------------- */

static void print_default(const struct option_row *row)
{
    const char *field = (const char *)&defaults + row->offset;
    if (row->type == WEIR_CLI_COUNT && *(const uint64_t *)(const void *)field > 0)
        printf(" (%llu)", (unsigned long long)*(const uint64_t *)(const void *)field);
    if (row->type == WEIR_CLI_REAL && *(const double *)(const void *)field > 0.0)
        printf(" (%g)", *(const double *)(const void *)field);
    if (row->type == WEIR_CLI_CHOICE)
        printf(" (%.*s)", (int)strcspn(row->value, "|"), row->value);
}

static void print_policies(void)
{
    for (uint32_t index = 0; weir_policy_name(index) != NULL; index++)
        printf("  %-24s    %-13s %s\n", "", weir_policy_name(index), weir_policy_about(index));
}

void weir_cli_options_help(const struct weir_cli_command *command)
{
    printf("weir %s %s [options]\n\n  %s\n", command->name, command->argument, command->summary);
    if (command->about != NULL)
        printf("\n%s", command->about);
    printf("\nOptions (defaults in parentheses)\n");
    for (size_t id = 0; id < WEIR_COUNT(rows); id++) {
        const struct option_row *row = &rows[id];
        char name[64];
        if ((row->commands & command->bit) == 0 || row->help == NULL)
            continue;
        snprintf(name, sizeof(name), "%s%s%s", row->flag, row->value == NULL ? "" : " ",
                 row->value == NULL ? "" : row->value);
        if (strlen(name) > 24)
            printf("  %s\n  %-24s  %s", name, "", row->help);
        else
            printf("  %-24s  %s", name, row->help);
        print_default(row);
        putchar('\n');
        if (id == WEIR_CLI_OPTION_policy || id == WEIR_CLI_OPTION_policies)
            print_policies();
    }
    printf("\nExamples\n%s", command->examples);
}
