/* option_rows_serve.h - rows of option_rows.h that weir serve alone has. */
#ifndef WEIR_CLI_OPTION_ROWS_SERVE_H
#define WEIR_CLI_OPTION_ROWS_SERVE_H

/* clang-format off */
#define WEIR_CLI_SERVE_OPTIONS(X)                                                                  \
    X(host, TEXT, "--host", NULL, "ADDRESS", "127.0.0.1", 0, 0, WEIR_CLI_SERVE, COMMON,            \
      "listen at this address; any but this machine's own wants a key, or --insecure")             \
    X(port, COUNT, "--port", NULL, "N", 8080, 0, 65535, WEIR_CLI_SERVE, COMMON,                    \
      "listen at this port; 0: one that is free")                                                  \
    X(alias, TEXT, "--alias", "-a", "NAME", NULL, 0, 0, WEIR_CLI_SERVE, COMMON,                    \
      "what clients call the model (the file's name)")                                             \
    X(api_key_file, TEXT, "--api-key-file", NULL, "FILE", NULL, 0, 0, WEIR_CLI_SERVE, COMMON,      \
      "clients must show one of the keys in FILE, one a line (WEIR_API_KEY)")                      \
    X(cors_origins, LIST, "--cors-origin", NULL, "ORIGIN", WEIR_CLI_NO_WORDS, 0, 0,                \
      WEIR_CLI_SERVE, RARE,                                                                        \
      "let browsers' pages of ORIGIN in (https://app.example), or of all (*); again for more")     \
    X(any_model, FLAG, "--any-model", NULL, NULL, false, 0, 0, WEIR_CLI_SERVE, RARE,               \
      "answer requests for models that are not here, as those that name none")                     \
    X(insecure, FLAG, "--insecure", NULL, NULL, false, 0, 0, WEIR_CLI_SERVE, RARE,                 \
      "let everybody in who reaches the address")                                                  \
    X(parallel, COUNT, "--parallel", "-np", "N", 4, 1, 1024, WEIR_CLI_SERVE, COMMON,               \
      "texts that are written at the same time, as far as memory goes")                            \
    X(queue, COUNT, "--queue", NULL, "N", 32, 0, 65536, WEIR_CLI_SERVE, COMMON,                    \
      "texts that wait beside them; who comes then is told when to ask again")                     \
    X(answer_tokens, COUNT, "-n", "--n-predict --predict", "N", 0, 1, 1e9, WEIR_CLI_SERVE, COMMON, \
      "tokens that a request may ask for (what the context holds)")                                \
    X(connections, COUNT, "--connections", NULL, "N", 128, 1, 65536, WEIR_CLI_SERVE, RARE,         \
      "connections that may be open")                                                              \
    X(grammars, COUNT, "--grammars", NULL, "N", 2, 0, 1024, WEIR_CLI_SERVE, RARE,                  \
      "schemas and grammars that may be in use; some 8 MiB of --mem each")                  \
    X(body_bytes, SIZE, "--body-bytes", NULL, "SIZE", 0, 1024, 1073741824.0, WEIR_CLI_SERVE, RARE, \
      "bytes of a request (64 for each position of the context)")                                  \
    X(request_time, COUNT, "--request-time", NULL, "S", 60, 1, 86400, WEIR_CLI_SERVE, RARE,        \
      "seconds in which a connection has to bring a request, and to take what it is sent")         \
    X(answer_time, COUNT, "--answer-time", NULL, "S", 3600, 0, 1e9, WEIR_CLI_SERVE, RARE,          \
      "seconds in which an answer has to end; 0: as long as it takes")                             \
    X(beat_time, COUNT, "--beat-time", NULL, "S", 10, 0, 86400, WEIR_CLI_SERVE, RARE,              \
      "seconds without a word after which a stream gets a comment, so that it is kept; 0: none")   \
    X(gap, COUNT, "--gap", NULL, "MS", 6, 1, 600000, WEIR_CLI_SERVE, RARE,                        \
      "between two tokens beside others' prompts, or two to three times as long as without them")  \
    X(drain_time, COUNT, "--drain-time", NULL, "S", 30, 0, 86400, WEIR_CLI_SERVE, RARE,            \
      "after a signal to stop, seconds in which answers may still end")                            \
    X(idle_time, COUNT, "--idle-time", NULL, "S", 0, 0, 1e9, WEIR_CLI_SERVE, RARE,                 \
      "seconds without a text after which the model is unloaded until it is asked for; 0: never")  \
    X(stored_bytes, SIZE, "--stored-bytes", NULL, "SIZE", 4194304, 0, 1e12, WEIR_CLI_SERVE, RARE,  \
      "responses kept in memory to be gone on from: 1024 at most, in SIZE of --mem; 0: none (4M)") \
    X(log_text, FLAG, "--log-text", NULL, NULL, false, 0, 0, WEIR_CLI_SERVE, RARE,                 \
      "prompts and answers are in the log too: whoever reads it reads what people write")        \
    X(usual_temperature, REAL, "--temp", "--temperature", "T", 0, 0, 2, WEIR_CLI_SERVE, RARE,      \
      "what requests mean that do not say, before what the model advises: temperature (1)")        \
    X(usual_top_k, COUNT, "--top-k", NULL, "K", 0, 0, 1e9, WEIR_CLI_SERVE, RARE,                   \
      "the same: sample among the K likeliest (off)")                                              \
    X(usual_top_p, REAL, "--top-p", NULL, "P", 0, 0, 1, WEIR_CLI_SERVE, RARE,                      \
      "the same: sample among the likeliest with a share P (off)")                                 \
    X(usual_min_p, REAL, "--min-p", NULL, "P", 0, 0, 1, WEIR_CLI_SERVE, RARE,                      \
      "the same: drop what is less likely than P times the best (off)")                            \
    X(usual_typical_p, REAL, "--typical", "--typical-p", "P", 0, 0, 1, WEIR_CLI_SERVE, RARE,       \
      "the same: sample among those nearest to the mean surprise (off)")                           \
    X(usual_repeat_penalty, REAL, "--repeat-penalty", NULL, "X", 0, 0.01, WEIR_REPEAT_PENALTY_MAX, \
      WEIR_CLI_SERVE, RARE, "the same: weaken tokens that were there lately (off)")                \
    X(usual_repeat_last, COUNT, "--repeat-last", "--repeat-last-n", "N", 0, 1,                     \
      WEIR_REPEAT_LAST_MAX, WEIR_CLI_SERVE, RARE,                                                  \
      "how many of the last tokens count as lately (all)")                                         \
    X(usual_frequency_penalty, REAL, "--frequency-penalty", NULL, "X", 0, -2, 2, WEIR_CLI_SERVE,   \
      RARE, "the same: taken off for each time that the token was there (off)")                    \
    X(usual_presence_penalty, REAL, "--presence-penalty", NULL, "X", 0, -2, 2, WEIR_CLI_SERVE,     \
      RARE, "the same: taken off once if the token was there (off)")                               \
    X(usual_tokens, COUNT, "--default-tokens", NULL, "N", 0, 1, 1e9, WEIR_CLI_SERVE, RARE,         \
      "the same: the most tokens of an answer (as many as -n and the context allow)")              \
    X(usual_effort, CHOICE, "--reasoning-effort", NULL,                                            \
      "model|none|minimal|low|medium|high|xhigh|max", "model", 0, 0, WEIR_CLI_SERVE, RARE,         \
      "the same: how much a chat is to reason")                                                    \
    X(usual_budget, COUNT, "--think-budget", "--reasoning-budget", "N", 0, 0, 1e9, WEIR_CLI_SERVE, \
      RARE, "the same: tokens of reasoning, behind which it ends (as many as come)")               \
    X(usual_seed, COUNT, "--seed", "-s", "S", 0, 0, WEIR_CLI_EXACT_MAX, WEIR_CLI_SERVE, RARE,      \
      "the same: seed of the sampling (another one each time)")                                    \
    X(usual_stops, LIST, "--stop", "--reverse-prompt -r", "TEXT", WEIR_CLI_NO_WORDS, 0, 0,         \
      WEIR_CLI_SERVE, RARE, "the same: end before TEXT, which is not sent; again for more")        \
    X(ignore_tools, FLAG, "--ignore-tools", NULL, NULL, false, 0, 0, WEIR_CLI_SERVE, RARE,         \
      "leave out tools that are no functions (web_search and such) instead of refusing them")
/* clang-format on */

#endif
