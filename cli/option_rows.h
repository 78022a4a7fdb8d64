/* option_rows.h - the table of options: the parser, help, manual and completion are made of it.
 *
 * After our own name of an option come those that people bring from llama.cpp, with the meaning
 * that they have there: -p and --prompt are a text in run and a count of tokens in bench, as in its
 * two programs. A word that would mean something else here is no name; option_habits.c says what
 * the thing is called.
 */
#ifndef WEIR_CLI_OPTION_ROWS_H
#define WEIR_CLI_OPTION_ROWS_H

#include "option_rows_eval.h"
#include "option_rows_quantize.h"
#include "option_rows_serve.h"

/* X(field, type, flag, aliases, value, default, low, high, commands, rank, help)
 * aliases are apart by spaces; rank is COMMON, or RARE for what only --help all lists.
 * A number whose default is 0 below its range is chosen by weir when it is not given.
 * Rows without help are for tests and do not show. */
/* clang-format off */
#define WEIR_CLI_OPTIONS(X)                                                                        \
    X(model, TEXT, "--model", "-m", "MODEL", NULL, 0, 0, WEIR_CLI_PLANNERS | WEIR_CLI_INFO |       \
      WEIR_CLI_TOKENIZE, RARE, "the MODEL, as an option instead of the first word")                \
    X(prompt, TEXT, "-p", "--prompt", "TEXT", NULL, 0, 0, WEIR_CLI_WRITERS | WEIR_CLI_TOKENIZE,    \
      COMMON, "the text; - reads standard input (run drops one final newline)")                    \
    X(escape, FLAG, "-e", "--escape --escapes", NULL, false, 0, 0, WEIR_CLI_WRITERS |              \
      WEIR_CLI_TOKENIZE, COMMON,                                                                   \
      "\\n, \\t, \\\\ and \\xHH in -p and --stop are as in C")                                     \
    X(ids, TEXT, "--ids", NULL, "\"1 2 3\"", NULL, 0, 0, WEIR_CLI_WRITERS, RARE,                   \
      "the prompt as token ids, instead of -p; nothing is added")                                  \
    X(token_limit, COUNT, "-n", "--n-predict --predict", "N", 128, 0, 1e9, WEIR_CLI_WRITERS,       \
      COMMON, "tokens to generate at most")                                                        \
    X(answer_limit, COUNT, "-n", "--n-predict --predict", "N", 0, 1, 1e9, WEIR_CLI_CHAT, COMMON,   \
      "tokens of an answer at most (what the context holds)")                                      \
    X(text, TEXT, "--text", "--file -f", "FILE", NULL, 0, 0, WEIR_CLI_WRITERS | WEIR_CLI_EVAL |    \
      WEIR_CLI_IMATRIX | WEIR_CLI_QUANTIZE | WEIR_CLI_TOKENIZE, COMMON,                            \
      "the text is in FILE; - reads standard input")                                               \
    X(tokens, TEXT, "--tokens", NULL, "FILE", NULL, 0, 0, WEIR_CLI_EVAL | WEIR_CLI_BENCH |         \
      WEIR_CLI_IMATRIX, COMMON,                                                                    \
      "token ids in FILE, apart by white space; nothing is added or replaced")                     \
    X(eval_ctx, COUNT, "--ctx", "--ctx-size -c", "N", 512, 2, 16777216, WEIR_CLI_EVAL |            \
      WEIR_CLI_IMATRIX | WEIR_CLI_QUANTIZE, COMMON, "tokens of a chunk")                           \
    X(chunk_limit, COUNT, "--chunks", NULL, "N", 0, 1, 1e9, WEIR_CLI_EVAL | WEIR_CLI_IMATRIX |     \
      WEIR_CLI_QUANTIZE, COMMON, "stop after N chunks (quantize: 2)")                              \
    X(dat, FLAG, "--dat", NULL, NULL, false, 0, 0, WEIR_CLI_IMATRIX, RARE,                         \
      "write the form from before GGUF, which older programs want")                                \
    WEIR_CLI_EVAL_OPTIONS(X)                                                                       \
    X(bench_prompt, COUNT, "--prompt", "-p --n-prompt", "N", 128, 0, 16777216, WEIR_CLI_BENCH,     \
      COMMON, "random tokens of a prompt")                                                         \
    X(bench_gen, COUNT, "--gen", "-n --n-gen", "N", 64, 0, 16777216, WEIR_CLI_BENCH, COMMON,       \
      "random tokens fed one at a time after it")                                                  \
    X(bench_batch, COUNT, "--batch", NULL, "N", 1, 1, 1024, WEIR_CLI_BENCH, RARE,                  \
      "texts that are computed together, each of --prompt and --gen tokens")                       \
    X(bench_repeat, COUNT, "--repeat", "-r --repetitions", "R", 3, 1, 1000, WEIR_CLI_BENCH,        \
      COMMON, "rounds; the cache stays warm between them")                                         \
    X(bench_seed, COUNT, "--seed", "-s", "S", 1, 0, WEIR_CLI_EXACT_MAX, WEIR_CLI_BENCH, RARE,      \
      "seed of the random tokens")                                                                 \
    X(chat, FLAG, "--chat", NULL, NULL, false, 0, 0, WEIR_CLI_RUN, COMMON,                         \
      "the prompt is a question, asked in the chat template")                                      \
    X(system, TEXT, "--system", NULL, "TEXT", NULL, 0, 0, WEIR_CLI_CHATTERS,                       \
      COMMON, "what the model is told before the conversation")                                    \
    X(think, CHOICE, "--think", NULL, "on|off|hide", "on", 0, 0, WEIR_CLI_CHATTERS, COMMON,        \
      "reasoning: shown, asked of the template to be left out, or not shown")                      \
    X(think_budget, COUNT, "--think-budget", "--reasoning-budget", "N", 0, 0, 1e9,                 \
      WEIR_CLI_CHATTERS, RARE, "end reasoning behind N tokens, and go on with the answer")         \
    X(template, TEXT, "--template", NULL, "FILE|NAME", NULL, 0, 0,                                 \
      WEIR_CLI_CHATTERS | WEIR_CLI_SERVE | WEIR_CLI_TEMPLATE, COMMON,                              \
      "a Jinja file, or a known format, instead of the model's own chat template; formats are")    \
    X(messages, TEXT, "--messages", NULL, "FILE", NULL, 0, 0, WEIR_CLI_TEMPLATE, COMMON,           \
      "the conversation, a JSON array of objects with role and content; - reads standard input")   \
    X(tools, TEXT, "--tools", NULL, "FILE", NULL, 0, 0, WEIR_CLI_TEMPLATE, COMMON,                 \
      "what the model may call, a JSON array")                                                     \
    X(variables, TEXT, "--vars", NULL, "FILE", NULL, 0, 0, WEIR_CLI_TEMPLATE,                      \
      COMMON, "more variables of the template, a JSON object such as {\"enable_thinking\": false}")\
    X(no_generation_prompt, FLAG, "--no-generation-prompt", NULL, NULL, false, 0, 0,               \
      WEIR_CLI_TEMPLATE, COMMON,                                                                   \
      "end behind the last message, not with the beginning of an answer")                          \
    WEIR_CLI_SERVE_OPTIONS(X)                                                                      \
    X(prefix_cache, TEXT, "--prefix-cache", NULL, "DIR", NULL, 0, 0, WEIR_CLI_SERVE |              \
      WEIR_CLI_CHAT, COMMON,                                                                       \
      "keep what texts remember in DIR, on a disk: what was read once is not computed again")      \
    X(prefix_bytes, SIZE, "--prefix-bytes", NULL, "SIZE", 0, 1048576, WEIR_CLI_EXACT_MAX,          \
      WEIR_CLI_SERVE | WEIR_CLI_CHAT, RARE, "bytes of a file of --prefix-cache (4G)")              \
    X(log_json, FLAG, "--log-json", NULL, NULL, false, 0, 0, WEIR_CLI_SERVE, RARE,                 \
      "the log's lines are JSON")                                                                  \
    X(type, TEXT, "--type", NULL, "TYPE", NULL, 0, 0, WEIR_CLI_REMAKERS, COMMON,                   \
      "a mixture of formats, or one of them; types are")                                           \
    WEIR_CLI_QUANTIZE_OPTIONS(X)                                                                   \
    X(mem, SIZE, "--mem", NULL, "SIZE", 0, 1, WEIR_CLI_EXACT_MAX, WEIR_CLI_PLANNERS |              \
      WEIR_CLI_REMAKERS, COMMON,                                                                   \
      "ceiling of the whole process: 3G, 512M, bytes (what is free)")                              \
    X(gpu, CHOICE, "--gpu", NULL, "auto|off|sim", "auto", 0, 0, WEIR_CLI_GPU_USERS, COMMON,        \
      "layers and experts on a GPU: where one is there, never, or on a simulated one (slow)")      \
    X(gpu_moves, FLAG, "--gpu-moves", NULL, NULL, false, 0, 0, WEIR_CLI_GPU_USERS, RARE,           \
      "experts come to the GPU and go, by time: so do a text's last bits, then")           \
    X(gpu_mem, SIZE, "--gpu-mem", NULL, "SIZE", 0, 1048576, WEIR_CLI_EXACT_MAX,                    \
      WEIR_CLI_GPU_USERS, COMMON,                                                                  \
      "ceiling of what is taken of the GPU's memory (what is free, but for a reserve)")    \
    X(kv, CHOICE, "--kv", NULL, "f16|f32|bf16|q8_0|q4_0|kivi4|kivi2", "f16", 0, 0,                 \
      WEIR_CLI_PLANNERS, COMMON,                                                                   \
      "what keys and values are kept as; q8_0 to kivi2 take 1/2 to 1/5 of f16's memory")           \
    X(output, TEXT, "-o", NULL, "FILE", NULL, 0, 0, WEIR_CLI_RECORD | WEIR_CLI_SHOW |              \
      WEIR_CLI_PULL | WEIR_CLI_IMATRIX | WEIR_CLI_COMPARE | WEIR_CLI_CONVERT, COMMON,              \
      "write to FILE")                                                                             \
    X(no_vocab, FLAG, "--no-vocab", NULL, NULL, false, 0, 0, WEIR_CLI_CONVERT, RARE,               \
      "leave the tokenizer and the chat templates out")                                            \
    X(temperature, REAL, "--temp", "--temperature", "T", 0.8, 0, WEIR_TEMPERATURE_MAX,             \
      WEIR_CLI_SAMPLERS, COMMON, "temperature; 0 takes the likeliest token")                       \
    X(top_k, COUNT, "--top-k", NULL, "K", 40, 0, 1e9, WEIR_CLI_SAMPLERS, COMMON,                   \
      "sample among the K likeliest; 0 is off")                                                    \
    X(top_p, REAL, "--top-p", NULL, "P", 0.95, 0, 1, WEIR_CLI_SAMPLERS, COMMON,                    \
      "sample among the likeliest with a share P; 0 takes the likeliest, 1 is off")                \
    X(min_p, REAL, "--min-p", NULL, "P", 0.05, 0, 1, WEIR_CLI_SAMPLERS, COMMON,                    \
      "drop what is less likely than P times the best; 0 is off")                                  \
    X(typical_p, REAL, "--typical", "--typical-p", "P", 1.0, 0, 1, WEIR_CLI_SAMPLERS, RARE,        \
      "sample among those nearest to the mean surprise, with a share P; 1 is off")                 \
    X(xtc_probability, REAL, "--xtc-probability", NULL, "P", 0.0, 0, 1, WEIR_CLI_SAMPLERS, RARE,   \
      "XTC: how often all likely tokens but the least likely of them are dropped; 0 is off")       \
    X(xtc_threshold, REAL, "--xtc-threshold", NULL, "P", 0.1, 0, 0.5, WEIR_CLI_SAMPLERS, RARE,     \
      "XTC: the share from which on a token is likely")                                            \
    X(repeat_penalty, REAL, "--repeat-penalty", NULL, "X", 1.0, 0.01, WEIR_REPEAT_PENALTY_MAX,     \
      WEIR_CLI_SAMPLERS, RARE, "weaken tokens that were there lately; 1 is off")                   \
    X(repeat_last, COUNT, "--repeat-last", "--repeat-last-n", "N", 64, 1, WEIR_REPEAT_LAST_MAX,    \
      WEIR_CLI_SAMPLERS, RARE, "how many of the last tokens count as lately")                      \
    X(frequency_penalty, REAL, "--frequency-penalty", NULL, "X", 0.0, -WEIR_PENALTY_MAX,           \
      WEIR_PENALTY_MAX, WEIR_CLI_SAMPLERS, RARE,                                                   \
      "taken off a logit for each time that the token was there lately; 0 is off")                 \
    X(presence_penalty, REAL, "--presence-penalty", NULL, "X", 0.0, -WEIR_PENALTY_MAX,             \
      WEIR_PENALTY_MAX, WEIR_CLI_SAMPLERS, RARE,                                                   \
      "taken off once if the token was there lately; 0 is off")                                    \
    X(dry_multiplier, REAL, "--dry-multiplier", NULL, "X", 0.0, 0, WEIR_PENALTY_MAX,               \
      WEIR_CLI_SAMPLERS, RARE, "DRY: against repeated phrases; how strong; 0 is off")              \
    X(dry_base, REAL, "--dry-base", NULL, "X", 1.75, 1, WEIR_PENALTY_MAX, WEIR_CLI_SAMPLERS,       \
      RARE, "DRY: how much stronger with each repeated token")                                     \
    X(dry_allowed, COUNT, "--dry-allowed-length", NULL, "N", 2, 1, WEIR_REPEAT_LAST_MAX,           \
      WEIR_CLI_SAMPLERS, RARE, "DRY: shorter repetitions cost nothing")                            \
    X(dry_last, COUNT, "--dry-last", "--dry-penalty-last-n", "N", 4096, 1, WEIR_REPEAT_LAST_MAX,   \
      WEIR_CLI_SAMPLERS, RARE, "DRY: look for repetitions in so many of the last tokens")          \
    X(dry_breakers, LIST, "--dry-breaker", "--dry-sequence-breaker", "TEXT", WEIR_CLI_NO_WORDS,    \
      0, 0, WEIR_CLI_SAMPLERS, RARE,                                                               \
      "DRY: no repetition goes across tokens with TEXT; again for more (newline : \" *)")          \
    X(biases, LIST, "--logit-bias", "-l", "ID+X|ID-X", WEIR_CLI_NO_WORDS, 0, 0,                    \
      WEIR_CLI_SAMPLERS, RARE, "add X to the logit of token ID, -inf forbids it; again for more")  \
    X(grammar, TEXT, "--grammar", NULL, "FILE", NULL, 0, 0, WEIR_CLI_SAMPLERS, RARE,               \
      "only texts of this grammar, in GBNF")                                                       \
    X(json_schema, TEXT, "--json-schema", "-jf", "FILE", NULL, 0, 0, WEIR_CLI_SAMPLERS, RARE,      \
      "only JSON that is valid by this schema")                                                    \
    X(whole, FLAG, "--whole", NULL, NULL, false, 0, 0, WEIR_CLI_WRITERS, RARE,                     \
      "come to the grammar's end within -n: near it, by the shortest way")                         \
    X(stops, LIST, "--stop", "--reverse-prompt -r", "TEXT", WEIR_CLI_NO_WORDS, 0, 0,               \
      WEIR_CLI_SAMPLERS, COMMON, "end before TEXT, which is not printed; again for more")          \
    X(seed, COUNT, "--seed", "-s", "S", 0, 0, WEIR_CLI_EXACT_MAX, WEIR_CLI_SAMPLERS, COMMON,       \
      "seed of the sampling (random, and printed)")                                                \
    X(plain_sampling, FLAG, "--plain-sampling", NULL, NULL, false, 0, 0, WEIR_CLI_SAMPLERS |       \
      WEIR_CLI_SERVE, RARE, "do not choose tokens as the model's file advises, where it does")     \
    X(ignore_eos, FLAG, "--ignore-eos", NULL, NULL, false, 0, 0, WEIR_CLI_SAMPLERS, RARE,          \
      "go on after an end token")                                                                  \
    X(threads, COUNT, "--threads", "-t", "N", 0, 1, 256, WEIR_CLI_PLANNERS | WEIR_CLI_CALIBRATE |  \
      WEIR_CLI_REMAKERS, COMMON, "compute threads (the CPUs this process may use)")                \
    X(ctx, COUNT, "--ctx", "--ctx-size -c", "N", 0, 1, 16777216, WEIR_CLI_SAMPLERS |               \
      WEIR_CLI_BENCH | WEIR_CLI_PLAN | WEIR_CLI_SERVE, COMMON,                                     \
      "positions of the context (the model's own, at most 4096; bench: what it needs)")            \
    X(chunk, COUNT, "--chunk", NULL, "N", 0, 1, 65536, WEIR_CLI_PLANNERS, RARE,                    \
      "prompt tokens computed together (what the plan affords, at most 512)")                      \
    X(slots, COUNT, "--slots", NULL, "N", 0, 1, 65536, WEIR_CLI_PLANNERS, RARE,                    \
      "expert slots a layer (as many as fit)")                                                     \
    X(expert_share, REAL, "--expert-share", NULL, "F", 0, 0.0001, 1, WEIR_CLI_PLANNERS, RARE,      \
      "expert slots as a share of all experts, instead of --slots")                                \
    X(shares, TEXT, "--fraction", NULL, "F[,F...]", "0.1,0.2,0.3,0.5", 0, 0, WEIR_CLI_REPLAY,      \
      COMMON, "expert slots as shares of all experts, a column each (0.1,0.2,0.3,0.5)")            \
    X(show_share, REAL, "--fraction", NULL, "F", 0.3, 0.0001, 1, WEIR_CLI_SHOW, COMMON,            \
      "expert slots as a share of all experts")                                                    \
    X(trace_slots, COUNT, "--slots", NULL, "N", 0, 1, 65536, WEIR_CLI_REPLAY | WEIR_CLI_SHOW,      \
      RARE, "expert slots a layer, instead of --fraction")                                         \
    X(together, COUNT, "--together", NULL, "N", 1, 1, 65536, WEIR_CLI_REPLAY, RARE,                \
      "cut the text into N of one length that decode together, each expert once for all")          \
    X(policy, TEXT, "--policy", NULL, "NAME", NULL, 0, 0, WEIR_CLI_POLICIES, RARE,                 \
      "which expert gives up its slot (learned); one of")                                          \
    X(policies, TEXT, "--policy", NULL, "NAME|all", "all", 0, 0, WEIR_CLI_REPLAY, COMMON,          \
      "which expert gives up its slot (all); one of")                                              \
    X(pool, FLAG, "--pool", NULL, NULL, false, 0, 0, WEIR_CLI_POLICIES | WEIR_CLI_REPLAY, RARE,    \
      "layers share their slots, as with learned and edgemoe always")                              \
    X(lookahead, CHOICE, "--lookahead", NULL, "auto|on|off", "auto", 0, 0, WEIR_CLI_OPENERS,       \
      RARE, "read experts that the next layer will probably use (auto: where slots are short)")    \
    X(lookahead_count, COUNT, "--lookahead-experts", NULL, "N", 0, 1, 4096, WEIR_CLI_BENCH,        \
      RARE, "experts to guess a token (as many as a token uses)")                                  \
    X(lookahead_by, CHOICE, "--lookahead-by", NULL, "residual|gate|path", "residual", 0, 0,        \
      WEIR_CLI_BENCH, RARE,                                                                        \
      "guess by the next router on the residual stream, on this layer's input, or by habit")       \
    X(without, TEXT, "--without", NULL, "PART[,PART]", NULL, 0, 0, WEIR_CLI_BENCH, RARE,           \
      "to measure what parts are worth: cache, hits-first, gate-up-first, gpu-overlap")            \
    X(gpu_experts, TEXT, "--gpu-experts", NULL, "WAY[,WAY]", NULL, 0, 0, WEIR_CLI_BENCH, RARE,     \
      "experts on the GPU: stay, demand or cheapest, gate or path, a policy, pool, 12GB/s")  \
    X(routing, TEXT, "--routing", NULL, "FILE", NULL, 0, 0, WEIR_CLI_PLAN | WEIR_CLI_BENCH,        \
      RARE,                                                                                        \
      "the experts of this trace (weir trace record): plan tells what hits, bench uses them")      \
    X(routing_recall, REAL, "--routing-recall", NULL, "SHARE", 0, 0.0001, 1, WEIR_CLI_BENCH,       \
      RARE, "with --routing: so much of what comes next look-ahead is told (it is off)")           \
    X(lossy, TEXT, "--lossy", NULL, "skip=S,resident=M,copies=S", NULL, 0, 0, WEIR_CLI_LOSERS,     \
      RARE, "fewer reads, and another text: leave out experts below a share S of the gate's "      \
      "weight, prefer those in memory that weigh at least 1 - M as much; read those below S in "   \
      "--copies")                                                                                  \
    X(copies, TEXT, "--copies", NULL, "FILE", NULL, 0, 0, WEIR_CLI_LOSERS, RARE,                   \
      "the same model in fewer bits, for --lossy copies=S")                                        \
    X(io, CHOICE, "--io", NULL, "auto|uring|threads", "auto", 0, 0, WEIR_CLI_OPENERS, RARE,        \
      "how experts are read")                                                                      \
    X(io_depth, COUNT, "--io-depth", NULL, "N", 0, 1, 1024, WEIR_CLI_OPENERS, RARE,                \
      "reads in flight (chosen)")                                                                  \
    X(buffered, FLAG, "--buffered", NULL, NULL, false, 0, 0, WEIR_CLI_OPENERS | WEIR_CLI_REMAKERS, \
      RARE,                                                                                        \
      "read through the page cache instead of directly")                                           \
    X(isa, CHOICE, "--isa", NULL, "auto|ref|avx2|avx512|avx512-vnni|neon-dotprod", "auto", 0, 0,   \
      WEIR_CLI_PLANNERS | WEIR_CLI_CALIBRATE, RARE, "instructions to use at most")                 \
    X(fake_io, TEXT, "--fake-io", NULL, "SEED[:FAULT]", NULL, 0, 0, WEIR_CLI_OPENERS, RARE, NULL)  \
    X(decode, TEXT, "--decode", NULL, "\"1 2 3\"", NULL, 0, 0, WEIR_CLI_TOKENIZE, COMMON,          \
      "the text of these ids, instead of -p")                                                      \
    X(bos, FLAG, "--bos", NULL, NULL, false, 0, 0, WEIR_CLI_TOKENIZE, COMMON,                      \
      "add the tokens that the model wants around a text")                                         \
    X(plain, FLAG, "--plain", NULL, NULL, false, 0, 0, WEIR_CLI_TOKENIZE, RARE,                    \
      "read the names of special tokens as ordinary text")                                         \
    X(stats, TEXT, "--stats", NULL, "FILE", NULL, 0, 0, WEIR_CLI_OPENERS & ~(WEIR_CLI_CHAT |       \
      WEIR_CLI_SERVE), RARE, "write the JSON object to FILE")                                      \
    X(timeline, TEXT, "--trace", NULL, "FILE", NULL, 0, 0, WEIR_CLI_TIMERS, RARE,                  \
      "write what threads and device did to FILE, for ui.perfetto.dev or chrome://tracing")        \
    X(timeline_events, COUNT, "--trace-events", NULL, "N", 131072, 1, 1e9, WEIR_CLI_TIMERS,        \
      RARE, "room for N events of --trace, 48 bytes each of --mem; the first ones are kept")       \
    X(quiet, FLAG, "--quiet", "-q", NULL, false, 0, 0, WEIR_CLI_OPENERS | WEIR_CLI_CALIBRATE |     \
      WEIR_CLI_REMAKERS, COMMON,                                                                   \
      "only the result, warnings and errors: no prompt, progress or report")                       \
    X(models, TEXT, "--models", NULL, "DIR", NULL, 0, 0, WEIR_CLI_ALL & ~(WEIR_CLI_REPLAY |        \
      WEIR_CLI_SHOW | WEIR_CLI_DOCTOR | WEIR_CLI_COMPARE), RARE,                                   \
      "where models are kept (WEIR_MODELS, or ~/.local/share/weir/models)")                        \
    X(json, FLAG, "--json", NULL, NULL, false, 0, 0, WEIR_CLI_ALL & ~(WEIR_CLI_TEMPLATE |          \
      WEIR_CLI_CHAT | WEIR_CLI_SERVE), COMMON,                                                     \
      "one JSON object on standard output, and nothing else")                                      \
    X(no_warm_up, FLAG, "--no-warm-up", NULL, NULL, false, 0, 0, WEIR_CLI_CHATTERS |               \
      WEIR_CLI_SERVE, RARE,                                                                        \
      "begin with empty slots: do not read what the last run kept, and keep nothing")              \
    X(verbose, FLAG, "--verbose", "-v", NULL, false, 0, 0, WEIR_CLI_ALL & ~(WEIR_CLI_TOKENIZE |    \
      WEIR_CLI_COMPARE |                                                                           \
      WEIR_CLI_REPLAY | WEIR_CLI_SHOW | WEIR_CLI_CALIBRATE | WEIR_CLI_TEMPLATE | WEIR_CLI_PULL |   \
      WEIR_CLI_MODELS | WEIR_CLI_CONVERT), COMMON, "say more")                                     \
    X(config, TEXT, "--config", NULL, "FILE", NULL, 0, 0, WEIR_CLI_ALL, RARE,                      \
      "lines of option = value, instead of $XDG_CONFIG_HOME/weir/config")                          \
    X(version, FLAG, "--version", "-V", NULL, false, 0, 0, WEIR_CLI_ALL, RARE,                     \
      "print the version")                                                                         \
    X(help, FLAG, "--help", "-h", "[all]", false, 0, 0, WEIR_CLI_ALL, COMMON,                      \
      "this text; all: with every option")
/* clang-format on */

#endif
