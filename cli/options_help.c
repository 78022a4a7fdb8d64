/* options_help.c - a command's help, from the option table, within the width of the screen. */
#include <string.h>

#include "cli.h"
#include "weir_files.h"

enum {
    WIDTH = 80,
    TEXT_COLUMN = 26,
    NARROW = 60,
    NARROW_COLUMN = 6,
    NAMES_MAX = WEIR_CLI_NAMES_MAX,
    TEXT_MAX = WEIR_CLI_DESCRIPTION_MAX
};

static size_t find_width(FILE *file)
{
    return weir_min(weir_cli_columns(file), WIDTH);
}

void weir_cli_print_wrapped(FILE *file, size_t column, size_t indent, const char *text)
{
    const size_t width = find_width(file);
    bool is_first = true;
    for (const char *at = text + strspn(text, " \n"); *at != '\0'; at += strspn(at, " \n")) {
        const size_t length = strcspn(at, " \n");
        if (!is_first && column + 1 + length > width) {
            fprintf(file, "\n%*s", (int)indent, "");
            column = indent;
        } else if (!is_first) {
            fputc(' ', file);
            column++;
        }
        fwrite(at, 1, length, file);
        column += length;
        at += length;
        is_first = false;
    }
    fputc('\n', file);
}

void weir_cli_print_entry(FILE *file, size_t indent, const char *name, const char *text)
{
    const bool is_narrow = find_width(file) < NARROW;
    const size_t to = is_narrow ? indent + NARROW_COLUMN : indent + TEXT_COLUMN - 2;
    const size_t after = indent + strlen(name);
    fprintf(file, "%*s%s", (int)indent, "", name);
    if (is_narrow || after + 2 > to)
        fprintf(file, "\n%*s", (int)to, "");
    else
        fprintf(file, "%*s", (int)(to - after), "");
    weir_cli_print_wrapped(file, to, to, text);
}

void weir_cli_option_names(const struct weir_cli_option_row *row, bool all, char *out,
                           size_t capacity)
{
    char names[NAMES_MAX];
    size_t length = 0;
    bool has_long = false;
    snprintf(names, sizeof(names), "%s%s%s", row->flag, row->aliases == NULL ? "" : " ",
             row->aliases == NULL ? "" : row->aliases);
    out[0] = '\0';
    for (int is_long = 0; is_long < 2; is_long++)
        for (const char *at = names; *at != '\0';) {
            const size_t here = strcspn(at, " ");
            const bool is_wanted =
                (strncmp(at, "--", 2) == 0) == (is_long == 1) && (is_long == 0 || all || !has_long);
            if (is_wanted && length + here + 3 < capacity) {
                length += (size_t)snprintf(out + length, capacity - length, "%s%.*s",
                                           length == 0 ? "" : ", ", (int)here, at);
                has_long = has_long || is_long == 1;
            }
            at += here + (at[here] == ' ');
        }
}

void weir_cli_option_describe(const struct weir_cli_option_row *row, char *out, size_t capacity)
{
    const void *field = (const char *)&weir_cli_option_defaults + row->offset;
    const size_t length = (size_t)snprintf(out, capacity, "%s", row->help);
    if (length >= capacity)
        return;
    out += length;
    capacity -= length;
    if (row->type == WEIR_CLI_COUNT && *(const uint64_t *)field > 0)
        snprintf(out, capacity, " (%llu)", (unsigned long long)*(const uint64_t *)field);
    if (row->type == WEIR_CLI_REAL && *(const double *)field > 0.0)
        snprintf(out, capacity, " (%g)", *(const double *)field);
    if (row->type == WEIR_CLI_CHOICE)
        snprintf(out, capacity, " (%.*s)", (int)strcspn(row->value, "|"), row->value);
}

static void print_policies(void)
{
    for (uint32_t index = 0; weir_policy_name(index) != NULL; index++)
        weir_cli_print_entry(stdout, NARROW_COLUMN, weir_policy_name(index),
                             weir_policy_about(index));
}

static void print_formats(void)
{
    char names[TEXT_MAX] = "";
    size_t length = 0;
    for (uint32_t index = 0; weir_chat_format_name(index) != NULL && length < sizeof(names);
         index++)
        length += (size_t)snprintf(names + length, sizeof(names) - length, "%s%s",
                                   index > 0 ? ", " : "", weir_chat_format_name(index));
    printf("%*s", TEXT_COLUMN, "");
    weir_cli_print_wrapped(stdout, TEXT_COLUMN, TEXT_COLUMN, names);
}

static void print_types(void)
{
    for (uint32_t index = 0; weir_quantize_type_name(index) != NULL; index++)
        weir_cli_print_entry(stdout, NARROW_COLUMN, weir_quantize_type_name(index),
                             weir_quantize_type_about(index));
}

/* Prints the rows of one rank; returns how many there are. */
static size_t print_rows(const struct weir_cli_command *command, bool is_common, bool all)
{
    size_t count = 0;
    for (size_t id = 0; id < WEIR_CLI_OPTION_COUNT; id++) {
        const struct weir_cli_option_row *row = &weir_cli_option_rows[id];
        char names[NAMES_MAX];
        char text[TEXT_MAX];
        if ((row->commands & command->bit) == 0 || row->help == NULL || row->is_common != is_common)
            continue;
        count++;
        if (!is_common && !all)
            continue;
        weir_cli_option_names(row, all, names, sizeof(names));
        const size_t length = strlen(names);
        if (row->value != NULL)
            snprintf(names + length, sizeof(names) - length, " %s", row->value);
        weir_cli_option_describe(row, text, sizeof(text));
        weir_cli_print_entry(stdout, 2, names, text);
        if (id == WEIR_CLI_OPTION_policy || id == WEIR_CLI_OPTION_policies)
            print_policies();
        if (id == WEIR_CLI_OPTION_template)
            print_formats();
        if (id == WEIR_CLI_OPTION_type)
            print_types();
    }
    return count;
}

void weir_cli_options_help(const struct weir_cli_command *command, bool all)
{
    printf("weir %s %s [options]\n\n  ", command->name, command->argument);
    weir_cli_print_wrapped(stdout, 2, 2, command->summary);
    if (command->about != NULL) {
        printf("\n  ");
        weir_cli_print_wrapped(stdout, 2, 2, command->about);
    }
    printf("\nOptions (defaults in parentheses)\n");
    print_rows(command, true, all);
    if (all)
        printf("\nMore options\n");
    const size_t more = print_rows(command, false, all);
    if (!all && more > 0) {
        char rest[128];
        snprintf(rest, sizeof(rest), "And %zu more: weir help %s all", more, command->name);
        printf("\n");
        weir_cli_print_wrapped(stdout, 0, 0, rest);
    }
    printf("\nExamples\n%s", command->examples);
}
