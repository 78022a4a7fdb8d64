/* options.h - every option of every command, once.
 *
 * Job       One row an option (option_rows.h); struct, parser, help and ranges come from the rows.
 * Not here  What an option does: that is in the command's own file.
 * Owns      Nothing: texts point into argv.
 * Threads   The main thread, before anything else runs.
 * Errors    A usage error is printed where it is found and reported as false.
 */
#ifndef WEIR_CLI_OPTIONS_H
#define WEIR_CLI_OPTIONS_H

#include <stdio.h>

#include "base/base.h"
#include "option_rows.h"

enum weir_cli_command_bit {
    WEIR_CLI_RUN = 1,
    WEIR_CLI_INFO = 2,
    WEIR_CLI_PLAN = 4,
    WEIR_CLI_EVAL = 8,
    WEIR_CLI_BENCH = 16,
    WEIR_CLI_TOKENIZE = 32,
    WEIR_CLI_DOCTOR = 64,
    WEIR_CLI_RECORD = 128,
    WEIR_CLI_REPLAY = 256,
    WEIR_CLI_SHOW = 512,
    WEIR_CLI_CALIBRATE = 1024,
    WEIR_CLI_TEMPLATE = 2048,
    WEIR_CLI_CHAT = 4096,
    WEIR_CLI_PULL = 8192,
    WEIR_CLI_MODELS = 16384,
    WEIR_CLI_SERVE = 32768,
    WEIR_CLI_QUANTIZE = 1 << 17,
    WEIR_CLI_CONVERT = 1 << 18,
    WEIR_CLI_REMAKERS = WEIR_CLI_QUANTIZE | WEIR_CLI_CONVERT,
    WEIR_CLI_IMATRIX = 1 << 20,
    WEIR_CLI_COMPARE = 1 << 21,
    WEIR_CLI_WRITERS = WEIR_CLI_RUN | WEIR_CLI_RECORD,
    WEIR_CLI_CHATTERS = WEIR_CLI_RUN | WEIR_CLI_CHAT,
    WEIR_CLI_SAMPLERS = WEIR_CLI_WRITERS | WEIR_CLI_CHAT,
    WEIR_CLI_TIMERS = WEIR_CLI_RUN | WEIR_CLI_EVAL | WEIR_CLI_BENCH,
    WEIR_CLI_OPENERS =
        WEIR_CLI_SAMPLERS | WEIR_CLI_EVAL | WEIR_CLI_BENCH | WEIR_CLI_SERVE | WEIR_CLI_IMATRIX,
    WEIR_CLI_PLANNERS = WEIR_CLI_OPENERS | WEIR_CLI_PLAN,
    WEIR_CLI_GPU_USERS = WEIR_CLI_PLANNERS & ~WEIR_CLI_IMATRIX,
    WEIR_CLI_LOSERS = WEIR_CLI_GPU_USERS & ~WEIR_CLI_RECORD, /* who may lose a little of the text */
    WEIR_CLI_POLICIES = WEIR_CLI_BENCH | WEIR_CLI_SHOW,
    WEIR_CLI_ALL = 65535 | WEIR_CLI_IMATRIX | WEIR_CLI_COMPARE | WEIR_CLI_REMAKERS,
};

enum weir_cli_option_type {
    WEIR_CLI_TEXT,   /* any text */
    WEIR_CLI_LIST,   /* any text; given again it is one more */
    WEIR_CLI_CHOICE, /* one of the words in the value's name, a|b|c; the first is the default */
    WEIR_CLI_COUNT,  /* a whole number */
    WEIR_CLI_SIZE,   /* bytes: 3G, 512M, 64K, 1000 */
    WEIR_CLI_REAL,   /* a decimal number */
    WEIR_CLI_FLAG,   /* no value */
};

enum { WEIR_CLI_LIST_MAX = 64 };
struct weir_cli_list {
    const char *words[WEIR_CLI_LIST_MAX];
    size_t count;
};
#define WEIR_CLI_NO_WORDS                                                                          \
    {                                                                                              \
        {NULL}, 0                                                                                  \
    }

/* The field's type in struct weir_cli_options. */
#define WEIR_CLI_C_TEXT const char *
#define WEIR_CLI_C_LIST struct weir_cli_list
#define WEIR_CLI_C_CHOICE const char *
#define WEIR_CLI_C_COUNT uint64_t
#define WEIR_CLI_C_SIZE uint64_t
#define WEIR_CLI_C_REAL double
#define WEIR_CLI_C_FLAG bool

/* Whole numbers stay exact in a JSON reader that has only doubles. */
#define WEIR_CLI_EXACT_MAX 9007199254740992.0

#define WEIR_CLI_OPTION_ID(field, ...) WEIR_CLI_OPTION_##field,
enum weir_cli_option_id { WEIR_CLI_OPTIONS(WEIR_CLI_OPTION_ID) WEIR_CLI_OPTION_COUNT };
#undef WEIR_CLI_OPTION_ID

enum { WEIR_CLI_MORE_MAX = 15 };

struct weir_cli_options {
#define WEIR_CLI_OPTION_FIELD(field, type, ...) WEIR_CLI_C_##type field;
    WEIR_CLI_OPTIONS(WEIR_CLI_OPTION_FIELD)
#undef WEIR_CLI_OPTION_FIELD
    bool given[WEIR_CLI_OPTION_COUNT];   /* the user named it */
    bool typed[WEIR_CLI_OPTION_COUNT];   /* in words: not in the environment or a file */
    bool help_all;                       /* --help all */
    const char *argument;                /* MODEL, FILE or PATH; NULL when absent */
    const char *more[WEIR_CLI_MORE_MAX]; /* [more_count] the others, where there are several */
    size_t more_count;
    const char *remote;  /* where the model is whose head argument is; NULL: it is here */
    const char *command; /* the name of the command that reads them */
};

/* A row of the table. */
struct weir_cli_option_row {
    const char *flag;
    const char *aliases; /* apart by spaces; NULL: none */
    const char *value;   /* what the value is called; NULL: none */
    enum weir_cli_option_type type;
    size_t offset; /* of the field */
    double low, high;
    unsigned commands;
    bool is_common;
    const char *help; /* NULL: for tests, not shown */
};
extern const struct weir_cli_option_row weir_cli_option_rows[WEIR_CLI_OPTION_COUNT];
extern const struct weir_cli_options weir_cli_option_defaults;

struct weir_cli_command {
    const char *name; /* one word, or two: the second is a verb */
    unsigned bit;     /* of enum weir_cli_command_bit */
    int (*run)(const struct weir_cli_options *options);
    /* "MODEL"; in brackets when it may be left out; "IN OUT": two, "MODEL...": several */
    const char *argument;
    const char *summary; /* one line */
    const char *about;   /* more lines, for the command's own help; may be NULL */
    const char *examples;
};

/* Read the words after the command, and look at what they say together. False when they are wrong:
 * it has been said on stderr. */
bool weir_cli_options_parse(struct weir_cli_options *options,
                            const struct weir_cli_command *command, int count, char **words);
bool weir_cli_option_given(const struct weir_cli_options *options, enum weir_cli_option_id id);
/* Of an option that has one value: the value as text, and another one. False: wanted says what it
 * must be. */
void weir_cli_option_show(const struct weir_cli_options *options, enum weir_cli_option_id id,
                          char *out, size_t capacity);
bool weir_cli_option_change(struct weir_cli_options *options, enum weir_cli_option_id id,
                            const char *value, char *wanted, size_t capacity);

/* One value into its field. False: it is not what the row wants. */
bool weir_cli_option_read(const struct weir_cli_option_row *row, const char *word,
                          struct weir_cli_options *options);
/* What a value must look like, for the message that says it does not. */
void weir_cli_option_wanted(const struct weir_cli_option_row *row, char *out, size_t capacity);
/* Whether one of those given may not stand beside this one. */
bool weir_cli_option_excluded(const bool given[WEIR_CLI_OPTION_COUNT], enum weir_cli_option_id id);

/* Options of the environment and of the settings file, where the words say nothing
 * (option_settings.c). False: one is wrong, which has been said. */
bool weir_cli_settings_read(struct weir_cli_options *options,
                            const struct weir_cli_command *command);
/* With -e: what the texts mean. False: one means nothing, which has been said. */
bool weir_cli_escapes_read(struct weir_cli_options *options);

/* ---- names (option_habits.c) --------------------------------------------------------------- */

/* Whether the word is one of names, which are apart by spaces; NULL has none. */
bool weir_cli_is_name(const char *word, size_t length, const char *names);
/* Which of the names is nearest to word; NULL when none is near. */
const char *weir_cli_nearest(const char *word, const char *const *names, size_t count);
/* The name of an option of these commands that is nearest to word; NULL when none is near. */
const char *weir_cli_option_nearest(unsigned commands, const char *word);
/* Say that the command has no such option, and what may be meant. */
void weir_cli_option_unknown(const struct weir_cli_command *command, const char *word);
/* What a command of another program is called here; NULL when nobody calls ours so. */
const char *weir_cli_command_habit(const char *word);

/* ---- help (options_help.c) ----------------------------------------------------------------- */

/* The command's help, on standard output: the common options, or all. */
void weir_cli_options_help(const struct weir_cli_command *command, bool all);
enum { WEIR_CLI_NAMES_MAX = 256, WEIR_CLI_DESCRIPTION_MAX = 512 };
/* Short names before long ones; of the long ones only the first, unless all are wanted. */
void weir_cli_option_names(const struct weir_cli_option_row *row, bool all, char *out,
                           size_t capacity);
/* What the option does, and what it is when it is not given. */
void weir_cli_option_describe(const struct weir_cli_option_row *row, char *out, size_t capacity);
/* Words within the width of the screen, which is at column already; lines after the first begin at
 * indent. Ends the line. */
void weir_cli_print_wrapped(FILE *file, size_t column, size_t indent, const char *text);
/* One entry of a list: its name, and what it means at its side or below. */
void weir_cli_print_entry(FILE *file, size_t indent, const char *name, const char *text);

#endif
