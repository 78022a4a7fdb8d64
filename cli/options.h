/* options.h - every option of every command, once.
 *
 * Job       One row an option; the struct, the parser, the help and the ranges come from the rows.
 * Not here  What an option does: that is in the command's own file.
 * Owns      Nothing: texts point into argv.
 * Threads   The main thread, before anything else runs.
 * Errors    A usage error is printed where it is found and reported as false.
 */
#ifndef WEIR_CLI_OPTIONS_H
#define WEIR_CLI_OPTIONS_H

#include "base/base.h"

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
    WEIR_CLI_WRITERS = WEIR_CLI_RUN | WEIR_CLI_RECORD,
    WEIR_CLI_TIMERS = WEIR_CLI_RUN | WEIR_CLI_EVAL | WEIR_CLI_BENCH,
    WEIR_CLI_OPENERS = WEIR_CLI_WRITERS | WEIR_CLI_EVAL | WEIR_CLI_BENCH,
    WEIR_CLI_PLANNERS = WEIR_CLI_OPENERS | WEIR_CLI_PLAN,
    WEIR_CLI_POLICIES = WEIR_CLI_BENCH | WEIR_CLI_SHOW,
    WEIR_CLI_ALL = 2047,
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

/* X(field, type, flag, value, default, low, high, commands, help)
 * A number whose default is 0 below its range is chosen by weir when it is not given.
 * Rows without help are for tests and do not show. */
/* clang-format off */
#define WEIR_CLI_OPTIONS(X)                                                                        \
    X(prompt, TEXT, "-p", "TEXT", NULL, 0, 0, WEIR_CLI_WRITERS | WEIR_CLI_TOKENIZE,                \
      "the text; - reads standard input (run drops one final newline)")                            \
    X(ids, TEXT, "--ids", "\"1 2 3\"", NULL, 0, 0, WEIR_CLI_WRITERS,                               \
      "the prompt as token ids, instead of -p; nothing is added")                                  \
    X(token_limit, COUNT, "-n", "N", 128, 0, 1e9, WEIR_CLI_WRITERS, "tokens to generate at most")  \
    X(text, TEXT, "--text", "FILE", NULL, 0, 0, WEIR_CLI_EVAL | WEIR_CLI_TOKENIZE,                 \
      "the text is in FILE; - reads standard input")                                               \
    X(tokens, TEXT, "--tokens", "FILE", NULL, 0, 0, WEIR_CLI_EVAL | WEIR_CLI_BENCH,                \
      "token ids in FILE, apart by white space; nothing is added or replaced")                     \
    X(eval_ctx, COUNT, "--ctx", "N", 512, 2, 16777216, WEIR_CLI_EVAL, "tokens of a chunk")         \
    X(chunk_limit, COUNT, "--chunks", "N", 0, 1, 1e9, WEIR_CLI_EVAL, "stop after N chunks")        \
    X(logits, TEXT, "--logits", "FILE", NULL, 0, 0, WEIR_CLI_EVAL,                                 \
      "write f32 [tokens][n_vocab] of every position evaluated")                                   \
    X(bench_prompt, COUNT, "--prompt", "N", 128, 0, 16777216, WEIR_CLI_BENCH,                      \
      "random tokens of a prompt")                                                                 \
    X(bench_gen, COUNT, "--gen", "N", 64, 0, 16777216, WEIR_CLI_BENCH,                             \
      "random tokens fed one at a time after it")                                                  \
    X(bench_batch, COUNT, "--batch", "N", 1, 1, 1024, WEIR_CLI_BENCH,                              \
      "texts that are computed together, each of --prompt and --gen tokens")                       \
    X(bench_repeat, COUNT, "--repeat", "R", 3, 1, 1000, WEIR_CLI_BENCH,                            \
      "rounds; the cache stays warm between them")                                                 \
    X(bench_seed, COUNT, "--seed", "S", 1, 0, WEIR_CLI_EXACT_MAX, WEIR_CLI_BENCH,                  \
      "seed of the random tokens")                                                                 \
    X(mem, SIZE, "--mem", "SIZE", 0, 1, WEIR_CLI_EXACT_MAX, WEIR_CLI_PLANNERS,                     \
      "ceiling of the whole process: 3G, 512M, bytes (what is free)")                              \
    X(output, TEXT, "-o", "FILE", NULL, 0, 0, WEIR_CLI_RECORD | WEIR_CLI_SHOW, "write to FILE")    \
    X(temperature, REAL, "--temp", "T", 0.8, 0, WEIR_TEMPERATURE_MAX, WEIR_CLI_WRITERS,            \
      "temperature; 0 takes the likeliest token each time")                                        \
    X(top_k, COUNT, "--top-k", "K", 40, 0, 1e9, WEIR_CLI_WRITERS,                                  \
      "sample among the K likeliest; 0 is off")                                                    \
    X(top_p, REAL, "--top-p", "P", 0.95, 0, 1, WEIR_CLI_WRITERS,                                   \
      "sample among the likeliest with a share P; 0 takes the likeliest, 1 is off")                \
    X(min_p, REAL, "--min-p", "P", 0.05, 0, 1, WEIR_CLI_WRITERS,                                   \
      "drop what is less likely than P times the best; 0 is off")                                  \
    X(typical_p, REAL, "--typical", "P", 1.0, 0, 1, WEIR_CLI_WRITERS,                              \
      "sample among those nearest to the mean surprise, with a share P; 1 is off")                 \
    X(xtc_probability, REAL, "--xtc-probability", "P", 0.0, 0, 1, WEIR_CLI_WRITERS,                \
      "XTC: how often all likely tokens but the least likely of them are dropped; 0 is off")       \
    X(xtc_threshold, REAL, "--xtc-threshold", "P", 0.1, 0, 0.5, WEIR_CLI_WRITERS,                  \
      "XTC: the share from which on a token is likely")                                            \
    X(repeat_penalty, REAL, "--repeat-penalty", "X", 1.0, 0.01, WEIR_REPEAT_PENALTY_MAX,           \
      WEIR_CLI_WRITERS,                                                                            \
      "weaken tokens that were there lately; 1 is off")                                            \
    X(repeat_last, COUNT, "--repeat-last", "N", 64, 1, WEIR_REPEAT_LAST_MAX, WEIR_CLI_WRITERS,     \
      "how many of the last tokens count as lately")                                               \
    X(frequency_penalty, REAL, "--frequency-penalty", "X", 0.0, -WEIR_PENALTY_MAX,                 \
      WEIR_PENALTY_MAX, WEIR_CLI_WRITERS,                                                          \
      "taken off a logit for each time that the token was there lately; 0 is off")                 \
    X(presence_penalty, REAL, "--presence-penalty", "X", 0.0, -WEIR_PENALTY_MAX,                   \
      WEIR_PENALTY_MAX, WEIR_CLI_WRITERS,                                                          \
      "taken off once if the token was there lately; 0 is off")                                    \
    X(dry_multiplier, REAL, "--dry-multiplier", "X", 0.0, 0, WEIR_PENALTY_MAX, WEIR_CLI_WRITERS,   \
      "DRY: against repeated phrases; how strong; 0 is off")                                       \
    X(dry_base, REAL, "--dry-base", "X", 1.75, 1, WEIR_PENALTY_MAX, WEIR_CLI_WRITERS,              \
      "DRY: how much stronger with each repeated token")                                           \
    X(dry_allowed, COUNT, "--dry-allowed-length", "N", 2, 1, WEIR_REPEAT_LAST_MAX,                 \
      WEIR_CLI_WRITERS,                                                                            \
      "DRY: shorter repetitions cost nothing")                                                     \
    X(dry_last, COUNT, "--dry-last", "N", 4096, 1, WEIR_REPEAT_LAST_MAX, WEIR_CLI_WRITERS,         \
      "DRY: look for repetitions in so many of the last tokens")                                   \
    X(dry_breakers, LIST, "--dry-breaker", "TEXT", WEIR_CLI_NO_WORDS, 0, 0, WEIR_CLI_WRITERS,      \
      "DRY: no repetition goes across tokens with TEXT; again for more (newline : \" *)")          \
    X(biases, LIST, "--logit-bias", "ID+X|ID-X", WEIR_CLI_NO_WORDS, 0, 0, WEIR_CLI_WRITERS,        \
      "add X to the logit of token ID, -inf forbids it; again for more")                           \
    X(grammar, TEXT, "--grammar", "FILE", NULL, 0, 0, WEIR_CLI_WRITERS,                            \
      "only texts of this grammar, in GBNF")                                                       \
    X(json_schema, TEXT, "--json-schema", "FILE", NULL, 0, 0, WEIR_CLI_WRITERS,                    \
      "only JSON that is valid by this schema")                                                    \
    X(stops, LIST, "--stop", "TEXT", WEIR_CLI_NO_WORDS, 0, 0, WEIR_CLI_WRITERS,                    \
      "end before TEXT, which is not printed; again for more")                                     \
    X(seed, COUNT, "--seed", "S", 0, 0, WEIR_CLI_EXACT_MAX, WEIR_CLI_WRITERS,                      \
      "seed of the sampling (random, and printed)")                                                \
    X(ignore_eos, FLAG, "--ignore-eos", NULL, false, 0, 0, WEIR_CLI_WRITERS,                       \
      "go on after an end token")                                                                  \
    X(threads, COUNT, "--threads", "N", 0, 1, 256, WEIR_CLI_PLANNERS | WEIR_CLI_CALIBRATE,         \
      "compute threads (the CPUs this process may use)")                                           \
    X(ctx, COUNT, "--ctx", "N", 0, 1, 16777216,                                                    \
      WEIR_CLI_WRITERS | WEIR_CLI_BENCH | WEIR_CLI_PLAN,                                           \
      "positions of the context (the model's own, at most 4096; bench: what it needs)")            \
    X(chunk, COUNT, "--chunk", "N", 0, 1, 65536, WEIR_CLI_PLANNERS,                                \
      "prompt tokens computed together (what the plan affords, at most 512)")                      \
    X(slots, COUNT, "--slots", "N", 0, 1, 65536, WEIR_CLI_PLANNERS,                                \
      "expert slots a layer (as many as fit)")                                                     \
    X(expert_share, REAL, "--expert-share", "F", 0, 0.0001, 1, WEIR_CLI_PLANNERS,                  \
      "expert slots as a share of all experts, instead of --slots")                                \
    X(shares, TEXT, "--fraction", "F[,F...]", "0.1,0.2,0.3,0.5", 0, 0, WEIR_CLI_REPLAY,            \
      "expert slots as shares of all experts, a column each (0.1,0.2,0.3,0.5)")                    \
    X(show_share, REAL, "--fraction", "F", 0.3, 0.0001, 1, WEIR_CLI_SHOW,                          \
      "expert slots as a share of all experts")                                                    \
    X(trace_slots, COUNT, "--slots", "N", 0, 1, 65536, WEIR_CLI_REPLAY | WEIR_CLI_SHOW,            \
      "expert slots a layer, instead of --fraction")                                               \
    X(together, COUNT, "--together", "N", 1, 1, 65536, WEIR_CLI_REPLAY,                            \
      "cut the text into N of one length that decode together, each expert once for all")          \
    X(policy, TEXT, "--policy", "NAME", NULL, 0, 0, WEIR_CLI_POLICIES,                             \
      "which expert gives up its slot (learned); one of")                                          \
    X(policies, TEXT, "--policy", "NAME|all", "all", 0, 0, WEIR_CLI_REPLAY,                        \
      "which expert gives up its slot (all); one of")                                              \
    X(pool, FLAG, "--pool", NULL, false, 0, 0, WEIR_CLI_POLICIES | WEIR_CLI_REPLAY,                \
      "layers share their slots, as with learned and edgemoe always")                              \
    X(lookahead, CHOICE, "--lookahead", "auto|on|off", "auto", 0, 0, WEIR_CLI_OPENERS,             \
      "read experts that the next layer will probably use (auto: where slots are short)")          \
    X(lookahead_count, COUNT, "--lookahead-experts", "N", 0, 1, 4096, WEIR_CLI_BENCH,              \
      "experts to guess a token (as many as a token uses)")                                        \
    X(lookahead_by, CHOICE, "--lookahead-by", "residual|gate|path", "residual", 0, 0,              \
      WEIR_CLI_BENCH,                                                                              \
      "guess by the next router on the residual stream, on this layer's input, or by habit")       \
    X(without, TEXT, "--without", "PART[,PART]", NULL, 0, 0, WEIR_CLI_BENCH,                       \
      "to measure what parts are worth: cache, hits-first, gate-up-first")                         \
    X(routing, TEXT, "--routing", "FILE", NULL, 0, 0, WEIR_CLI_PLAN | WEIR_CLI_BENCH,              \
      "the experts of this trace (weir trace record): plan tells what hits, bench uses them")      \
    X(routing_recall, REAL, "--routing-recall", "SHARE", 0, 0.0001, 1, WEIR_CLI_BENCH,             \
      "with --routing: so much of what comes next look-ahead is told (it is off)")                 \
    X(io, CHOICE, "--io", "auto|uring|threads", "auto", 0, 0, WEIR_CLI_OPENERS,                    \
      "how experts are read")                                                                      \
    X(io_depth, COUNT, "--io-depth", "N", 0, 1, 1024, WEIR_CLI_OPENERS,                            \
      "reads in flight (chosen)")                                                                  \
    X(buffered, FLAG, "--buffered", NULL, false, 0, 0, WEIR_CLI_OPENERS,                           \
      "read through the page cache instead of directly")                                           \
    X(isa, CHOICE, "--isa", "auto|ref|avx2|avx512|avx512-vnni|neon-dotprod", "auto", 0, 0,         \
      WEIR_CLI_PLANNERS | WEIR_CLI_CALIBRATE,                                                      \
      "instructions to use at most")                                                               \
    X(fake_io, TEXT, "--fake-io", "SEED[:FAULT]", NULL, 0, 0, WEIR_CLI_OPENERS, NULL)              \
    X(decode, TEXT, "--decode", "\"1 2 3\"", NULL, 0, 0, WEIR_CLI_TOKENIZE,                        \
      "the text of these ids, instead of -p")                                                      \
    X(bos, FLAG, "--bos", NULL, false, 0, 0, WEIR_CLI_TOKENIZE,                                    \
      "add the tokens that the model wants around a text")                                         \
    X(plain, FLAG, "--plain", NULL, false, 0, 0, WEIR_CLI_TOKENIZE,                                \
      "read the names of special tokens as ordinary text")                                         \
    X(stats, TEXT, "--stats", "FILE", NULL, 0, 0, WEIR_CLI_OPENERS,                                \
      "write the JSON object to FILE")                                                             \
    X(timeline, TEXT, "--trace", "FILE", NULL, 0, 0, WEIR_CLI_TIMERS,                              \
      "write what threads and device did to FILE, for ui.perfetto.dev or chrome://tracing")        \
    X(timeline_events, COUNT, "--trace-events", "N", 131072, 1, 1e9, WEIR_CLI_TIMERS,              \
      "room for N events of --trace, 48 bytes each of --mem; the first ones are kept")             \
    X(json, FLAG, "--json", NULL, false, 0, 0, WEIR_CLI_ALL,                                       \
      "one JSON object on standard output, and nothing else")                                      \
    X(verbose, FLAG, "--verbose", NULL, false, 0, 0,                                               \
      WEIR_CLI_ALL &                                                                               \
          ~(WEIR_CLI_TOKENIZE | WEIR_CLI_REPLAY | WEIR_CLI_SHOW | WEIR_CLI_CALIBRATE),             \
      "say more")                                                                                  \
    X(help, FLAG, "--help", NULL, false, 0, 0, WEIR_CLI_ALL, "this text")
/* clang-format on */

#define WEIR_CLI_OPTION_ID(field, ...) WEIR_CLI_OPTION_##field,
enum weir_cli_option_id { WEIR_CLI_OPTIONS(WEIR_CLI_OPTION_ID) WEIR_CLI_OPTION_COUNT };
#undef WEIR_CLI_OPTION_ID

struct weir_cli_options {
#define WEIR_CLI_OPTION_FIELD(field, type, ...) WEIR_CLI_C_##type field;
    WEIR_CLI_OPTIONS(WEIR_CLI_OPTION_FIELD)
#undef WEIR_CLI_OPTION_FIELD
    bool given[WEIR_CLI_OPTION_COUNT]; /* the user named it */
    const char *argument;              /* MODEL, FILE or PATH; NULL when absent */
    const char *command;               /* the name of the command that reads them */
};

struct weir_cli_command {
    const char *name; /* one word, or two: the second is a verb */
    unsigned bit;     /* of enum weir_cli_command_bit */
    int (*run)(const struct weir_cli_options *options);
    const char *argument; /* "MODEL"; in brackets when it may be left out */
    const char *summary;  /* one line */
    const char *about;    /* more lines, for the command's own help; may be NULL */
    const char *examples;
};

/* Read the words after the command, and look at what they say together. False when they are wrong:
 * it has been said on stderr. */
bool weir_cli_options_parse(struct weir_cli_options *options,
                            const struct weir_cli_command *command, int count, char **words);
bool weir_cli_option_given(const struct weir_cli_options *options, enum weir_cli_option_id id);
/* The command's help, on standard output. */
void weir_cli_options_help(const struct weir_cli_command *command);
/* Which of the names is nearest to word; NULL when none is near. */
const char *weir_cli_nearest(const char *word, const char *const *names, size_t count);

#endif
