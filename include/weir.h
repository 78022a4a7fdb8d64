/* weir.h - the public door: plan, engine, session, sampler, statistics.
 *
 * Job       Run a language model whose experts live on an SSD inside a memory ceiling.
 * Not here  Printing, options, files of text: the library never prints and never exits, and leaves
 *           the process as it is: signals, locale, allocator, environment, limits.
 * Shapes    logits are f32 [n_vocab]; ids are uint32_t in [0, n_vocab).
 * Units     *_bytes in bytes, *_s in seconds, *_tps in tokens per second, shares from 0 to 1.
 * Owns      weir_engine owns the model and all memory; a session borrows its engine and must be
 *           destroyed first. What a function hands out is borrowed unless it says "take".
 * Threads   One thread at a time, any thread, calls into an engine and its sessions;
 *           weir_session_cancel() may be called from any thread and from a signal handler.
 *           Ids become text (pieces, decoders, replies) on any thread, while another one encodes.
 *           While one call runs, a callback of it or another thread that would change the engine
 *           or a session of it gets WEIR_ERR_ARG: eval, create, fork, adopt, recall, save, rewind,
 *           close.
 * Errors    Every status has a struct weir_err that names the thing, the wanted and the found.
 *           A pointer that is NULL where none is allowed is WEIR_ERR_ARG; a function without a
 *           status then does nothing, and returns 0, NULL or WEIR_ID_NONE.
 * Limits    As many sessions as fit under the ceiling.
 *
 * A whole program, for C and C++: `cc program.c $(pkg-config --cflags --libs weir)`.
 *
 *   #include <stdio.h>
 *   #include <weir.h>
 *
 *   int main(int argc, char **argv)
 *   {
 *       struct weir_err err = {WEIR_OK};
 *       struct weir_config config = {0};
 *       struct weir_sampler_config choice = {0};
 *       weir_engine *engine = NULL;
 *       weir_session *session = NULL;
 *       weir_sampler *sampler = NULL;
 *       uint32_t *ids = NULL;
 *       size_t count = 0;
 *       char text[WEIR_TOKEN_BYTES_MAX];
 *       config.model_path = argc > 1 ? argv[1] : "model.gguf";
 *       config.mem_bytes = 3ull << 30;
 *       if (weir_engine_open(&engine, &config, &err) == WEIR_OK &&
 *           weir_session_create(&session, engine, &err) == WEIR_OK &&
 *           weir_sampler_create(&sampler, &choice, weir_engine_model(engine)->n_vocab, &err) ==
 *               WEIR_OK &&
 *           weir_tokenizer_encode(weir_engine_tokenizer(engine), "The old man", 11,
 *                                 WEIR_TEXT_ADD_SPECIAL, &ids, &count, &err) == WEIR_OK)
 *           weir_session_eval(session, ids, count, NULL, NULL, &err);
 *       for (int turn = 0; turn < 20 && err.status == WEIR_OK; turn++) {
 *           uint32_t id = weir_sampler_pick(sampler, weir_session_logits(session));
 *           fwrite(text, 1, weir_tokenizer_piece(weir_engine_tokenizer(engine), id, text), stdout);
 *           weir_session_eval(session, &id, 1, NULL, NULL, &err);
 *       }
 *       if (err.status != WEIR_OK)
 *           fprintf(stderr, "%s\n", err.text);
 *       weir_ids_free(&ids);
 *       weir_sampler_destroy(&sampler);
 *       weir_session_destroy(&session);
 *       weir_engine_close(&engine);
 *       return err.status != WEIR_OK;
 *   }
 */
#ifndef WEIR_H
#define WEIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "weir_status.h"

#define WEIR_VERSION "0.2.0"

#if defined(__GNUC__)
#define WEIR_API __attribute__((visibility("default")))
#else
#define WEIR_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- what to run, and how ------------------------------------------------------------------ */

enum weir_engine_io { WEIR_ENGINE_IO_AUTO, WEIR_ENGINE_IO_URING, WEIR_ENGINE_IO_THREADS };

/* Layers and experts on a GPU. AUTO: as many as fit, where there is a GPU that this build can use.
 * SIM: a slow GPU that is simulated in host memory, to try without one what would be decided. */
enum weir_engine_gpu { WEIR_ENGINE_GPU_AUTO, WEIR_ENGINE_GPU_OFF, WEIR_ENGINE_GPU_SIM };

/* Look-ahead: where slots are short, experts that the next layers will probably use are read before
 * these layers have chosen. The output is the same. AUTO: on for prompts; while a text is written
 * steps with it and without it are timed now and then, and the faster way is kept. */
enum weir_lookahead { WEIR_LOOKAHEAD_AUTO, WEIR_LOOKAHEAD_ON, WEIR_LOOKAHEAD_OFF };

/* Told how far the load is; return false to cancel. */
typedef bool weir_progress_fn(void *user, const char *what, uint64_t done_bytes,
                              uint64_t total_bytes);

/* Told, in one sentence: at open and at plan what is odd about the model file, a warning a call;
 * while the engine runs, what it did on its own: slots given back because memory became short. On
 * the thread that opens, plans or evaluates; text is borrowed during the call. */
typedef void weir_notice_fn(void *user, const char *text);

struct weir_bench_config; /* for the programs that measure weir: not installed */

/* An expert and the layer that it is of. */
struct weir_expert {
    uint32_t layer, expert;
    float share; /* of all tokens so far, those that used it, 0 to 1; 0: that is not known */
};

/* Zero means "choose for me" everywhere. */
struct weir_config {
    const char *model_path;
    uint64_t mem_bytes;    /* ceiling of the whole process; 0: what machine and cgroup leave free */
    uint64_t caller_bytes; /* of it for the caller: what it holds beside the engine (texts, ids) */
    uint32_t n_thread;     /* 0: the CPUs this process may use */
    uint32_t n_ctx;        /* positions of the KV cache; 0: the model's own, at most 4096 */
    uint32_t n_chunk;      /* tokens of one prefill step; 0: as many as the plan affords, <= 512 */
    uint32_t n_slot;       /* expert slots a layer; 0: as many as fit under the ceiling */
    double expert_share;   /* > 0: expert slots as a share of the experts, instead of n_slot */
    enum weir_lookahead lookahead;
    enum weir_engine_gpu gpu;
    uint64_t gpu_bytes; /* ceiling of what is taken of the GPU's memory; 0: what is free, but for a
                           reserve */
    /* Experts come to the GPU and go while a text runs, and each is computed where it is sooner, as
     * measured: so the last bits of a result go by the time that things take. False: what opening
     * measures says whether they stay, or come and go and are all computed there; time has no say
     * in the bits of either. */
    bool gpu_moves;
    enum weir_engine_io io;
    bool buffered;            /* ask for buffered instead of direct reads */
    uint32_t io_depth;        /* reads in flight; 0: default */
    uint64_t io_budget_bytes; /* bytes of reads in flight (see weir_calibrate); 0: 32 MiB */
    uint32_t timeline_events; /* room for a timeline: what is recorded; 0: nothing is */
    /* What keys and values are kept as: "f16", "f32", "bf16", "q8_0", "q4_0", "kivi4", "kivi2"
     * (docs/decisions/0060-kv.md); NULL: f16. */
    const char *kv;
    /* Copied: experts to fill empty slots with while the device is idle, the first of them first,
     * and how often each was used, by which slots are dealt until this engine knows better. What an
     * earlier run kept (weir_engine_kept_experts) is a good list; what this model has not, or what
     * needs no filling, is passed over. */
    const struct weir_expert *warm_up;
    uint32_t warm_up_count;
    const char *isa; /* at most this level, named as in struct weir_mode; NULL: best */
    /* A folder on a disk for what texts remember (see "texts on disk"); NULL: nothing is kept. The
     * file there has at most text_bytes; 0: 4 GiB. */
    const char *text_folder;
    uint64_t text_bytes;
    bool measures_inputs; /* see "importance"; with gpu OFF */
    /* What trades the text for fewer reads, each below 1, with gpu OFF; 0: nothing does. Of the
     * experts that a token's gate chose those are left out that weigh less than lossy_skip of all
     * of them together, but never the best. An expert that would have to be read gives way to the
     * best one in memory that weighs at least 1 - lossy_resident as much, in steps of few rows:
     * then the text depends on what was in memory. */
    double lossy_skip, lossy_resident;
    /* A GGUF file of the same model in fewer bits, and up to which share of its token's weight an
     * expert is read from there when it would have to be read, in steps of few rows; never the
     * token's best one. At most 1. Both or neither: NULL and 0. */
    const char *copies_path;
    double lossy_copies;
    weir_progress_fn *progress;
    void *progress_user;
    weir_notice_fn *notice;
    void *notice_user;
    const struct weir_bench_config *bench; /* NULL, except to measure weir itself; weir_bench.h */
};

/* ---- plan: what would happen, without loading ---------------------------------------------- */

enum { WEIR_PLAN_LINE_MAX = 24, WEIR_STATE_COST_MAX = 8 };

/* What layers of one kind remember of a text, all of them together. */
struct weir_state_cost {
    char what[32]; /* "keys and values", "recurrent state", ... */
    uint32_t n_layer;
    uint32_t window;         /* only of the last so many positions; 0: of every position */
    uint64_t position_bytes; /* of one position; 0: the same however long the text is ... */
    uint64_t fixed_bytes;    /* ... and this is it */
};

/* What one token costs: the numbers behind weir_plan_expect(). */
struct weir_token_cost {
    uint32_t n_layer, n_moe_layer, n_expert;
    uint32_t n_expert_used;     /* the most of a layer */
    uint64_t expert_uses;       /* of a token, in all layers */
    uint64_t record_bytes;      /* of an expert, as the model has it; mean of all layers */
    uint64_t miss_bytes;        /* read from the device for one that is missing: aligned slices */
    uint64_t trunk_bytes;       /* weights of other kinds that a token is multiplied with */
    uint64_t prompt_parameters; /* multiplied with each token of a prompt */
    uint32_t slice_bytes;       /* the longest slice of an expert; a reading size without experts */
    char type[16]; /* of most of the work: the experts' weights, or a dense network's */
    char isa[16];
    uint32_t state_count;
    struct weir_state_cost states[WEIR_STATE_COST_MAX];
};

/* What a token passes over of what is remembered of the n_position positions before it. */
WEIR_API uint64_t weir_token_cost_state(const struct weir_token_cost *cost, uint32_t n_position);

struct weir_plan_line {
    char what[64];
    uint64_t bytes;
};

/* What is on a GPU. */
struct weir_gpu_plan {
    char name[96];          /* empty: none is used */
    uint64_t budget_bytes;  /* the ceiling of its memory */
    uint64_t planned_bytes; /* <= budget_bytes: the sum of these four */
    uint64_t weight_bytes, kv_bytes, scratch_bytes, expert_bytes;
    uint32_t n_layer;     /* with their mixers, norms, routers, and keys and values */
    uint32_t layer_first; /* the first of them */
    uint32_t n_expert;    /* of these layers */
    bool has_output;      /* the output matrix */
    bool moves;           /* these experts are only the first ones: others come and go */
    bool moves_by_time;   /* each is computed where it is sooner: last bits go by that, too */
    char moves_why[224];  /* why experts stay or come and go; empty: all are there, or it was
                             asked for */
    char why[256];        /* what is not there, and why; empty: all is, or none was asked for */
};

struct weir_plan {
    uint64_t min_bytes;      /* smallest ceiling that holds: one slot less is refused */
    uint64_t useful_bytes;   /* one token's working set of experts stays resident */
    uint64_t resident_bytes; /* everything in memory */
    uint64_t budget_bytes;   /* the ceiling this plan is for */
    uint64_t planned_bytes;  /* sum of lines, <= budget_bytes */
    uint64_t kv_later_bytes; /* of K and V, not among the lines: slots give way to them */
    uint32_t n_snapshot;     /* of recurrent state: rewinding goes back to the nearest */
    /* Tables that are not in memory, so that each token's row is read: the embedding, and the one
     * of inputs that layers get of the token. 0: it is, or there is none. */
    uint64_t embedding_on_disk_bytes;
    uint64_t layer_inputs_on_disk_bytes;
    uint32_t n_slot;         /* per layer with experts */
    uint32_t n_slot_total;   /* from the start ... */
    uint32_t n_slot_last;    /* ... and when the context is full */
    uint32_t n_expert_total; /* experts of all layers but those whose experts are all on the GPU */
    uint32_t n_ctx, n_chunk, n_thread;
    uint64_t io_budget_bytes; /* of reads in flight */
    uint64_t token_bytes;     /* expert bytes one token uses */
    uint64_t begun_bytes;     /* of the lines: what an engine that was only begun has at most */
    struct weir_gpu_plan gpu;
    struct weir_token_cost cost;
    uint32_t line_count;
    struct weir_plan_line lines[WEIR_PLAN_LINE_MAX];
};

/* With config->mem_bytes too small: WEIR_ERR_NOMEM naming the smallest ceiling that would hold, and
 * *plan still carries min_bytes, useful_bytes, resident_bytes. */
WEIR_API enum weir_status weir_plan_make(struct weir_plan *plan, const struct weir_config *config,
                                         struct weir_err *err);

/* ---- a model's facts, without loading ------------------------------------------------------ */

enum { WEIR_MISSING_MAX = 4 };

/* What a model's file may say of how its tokens are to be chosen: keys general.sampling.* of a GGUF
 * file, generation_config.json of a directory. */
enum weir_advice {
    WEIR_ADVICE_TEMPERATURE,
    WEIR_ADVICE_TOP_K,
    WEIR_ADVICE_TOP_P,
    WEIR_ADVICE_MIN_P,
    WEIR_ADVICE_REPEAT_PENALTY,
    WEIR_ADVICE_REPEAT_LAST,
    WEIR_ADVICE_XTC_PROBABILITY,
    WEIR_ADVICE_XTC_THRESHOLD,
    WEIR_ADVICE_COUNT,
};

struct weir_advice_values {
    uint32_t said;                    /* 1 << enum weir_advice: which of them it says; */
    double values[WEIR_ADVICE_COUNT]; /* others are 0 */
};

struct weir_model_info {
    char family[32];
    char name[128];
    char types[128]; /* "Q4_0 72.1 %, Q8_0 27.0 %, F32 0.9 %", by bytes; those built in */
    uint64_t file_bytes;
    uint64_t parameter_count;
    uint64_t active_parameter_count; /* of one token */
    uint64_t expert_bytes;           /* all routed experts */
    uint64_t trunk_bytes;            /* everything else */
    uint32_t n_layer, n_moe_layer, n_head, n_kv_head, n_expert;
    uint32_t n_expert_used; /* of a token; the most of a layer */
    uint64_t expert_uses;   /* of a token, in all layers; 0: the model cannot run */
    uint32_t d_model, d_head, d_ffn, d_ffn_expert, n_vocab, n_ctx_train;
    uint32_t file_count; /* parts of a split model; 1 */
    uint32_t tensor_count, key_count, gguf_version;
    struct weir_advice_values advice; /* of a model that runs */
    struct weir_warnings warnings;    /* what weir_config.notice was told, or would be */
    enum weir_status status;          /* OK: it runs; what opening an engine would return ... */
    uint32_t missing_count;
    char missing[WEIR_MISSING_MAX][WEIR_ERR_TEXT_MAX]; /* ... and what it lacks for that */
};

/* Also of a model that cannot run, from the keys and the tensors that are there: numbers that
 * nobody says are 0. Errors: IO, NOMEM; FORMAT and UNSUPPORTED of a file that cannot be read. */
WEIR_API enum weir_status weir_model_info_get(struct weir_model_info *info, const char *path,
                                              struct weir_err *err);
/* For a model that is still elsewhere: whether the first there_bytes of one of its files hold all
 * that weir_model_info_get() and weir_plan_make() read of it. The file is as long as it will be;
 * what is behind them does not matter. *wanted_bytes: 0 when they do, or how many it takes at
 * least. Errors: IO, NOMEM; FORMAT and UNSUPPORTED of what is there. */
WEIR_API enum weir_status weir_model_head_check(const char *path, uint64_t there_bytes,
                                                uint64_t *wanted_bytes, struct weir_err *err);
/* Tell visit every metadata key and then every tensor, one line of text each. */
typedef void weir_model_visit_fn(void *user, bool is_tensor, const char *name, const char *value);
WEIR_API enum weir_status weir_model_visit(const char *path, weir_model_visit_fn *visit, void *user,
                                           struct weir_err *err);

/* ---- engine -------------------------------------------------------------------------------- */

typedef struct weir_engine weir_engine;

/* Plan, allocate, load the trunk, and (when all experts fit) the experts. Refuses before loading
 * when the ceiling cannot hold. On failure *out stays unset. */
WEIR_API enum weir_status weir_engine_open(weir_engine **out, const struct weir_config *config,
                                           struct weir_err *err);
/* WEIR_ERR_ARG while one of its sessions is open, or an eval runs; the engine then stays open
 * too. */
WEIR_API enum weir_status weir_engine_close(weir_engine **engine);

/* One ceiling for a model that answers and the next one, whose weights are read meanwhile:
 *
 *   weir_engine_lend(one, plan.begun_bytes)   one gives slots back; plan is weir_plan_make()'s
 *   weir_engine_begin(&other, &config)        other has what every token needs
 *   weir_engine_close(&one)                   when it has answered
 *   weir_engine_finish(other)                 other has the whole ceiling
 *
 * begin is the first half of weir_engine_open(), finish the second. What config points to lives
 * until finish. In between the engine's plan and model can be looked at, and it can be closed; all
 * else is refused as while a call runs, or counts nothing. After a finish that failed it can only
 * be closed. */
WEIR_API enum weir_status weir_engine_begin(weir_engine **out, const struct weir_config *config,
                                            struct weir_err *err);
WEIR_API enum weir_status weir_engine_finish(weir_engine *engine, struct weir_err *err);
/* So many bytes of the engine's ceiling are somebody else's from now on; 0: all is its own again.
 * Slots give them back. NOMEM: they cannot, and all is as it was. */
WEIR_API enum weir_status weir_engine_lend(weir_engine *engine, uint64_t bytes,
                                           struct weir_err *err);

struct weir_mode {
    const char *io; /* "uring", "threads", "fake" */
    bool direct;
    const char *isa;    /* "ref", "avx2", "avx512", "avx512-vnni", "neon-dotprod" */
    const char *policy; /* NULL: a model without experts */
    bool pool;          /* layers share slots */
    bool lookahead;     /* experts are read ahead where slots are short, as it looks so far */
    const char *gpu;    /* its name; NULL: all is computed on the CPU */
    const char *kv;     /* what keys and values are kept as: "f16", ... */
    bool kv_is_lossy;   /* that is less than f16 */
    double lossy_skip, lossy_resident, lossy_copies; /* as in weir_config */
    double lookahead_ratio; /* time of a token with look-ahead over without, tried; 0: not yet */
    char why[256];          /* what was refused and why; empty when nothing was */
};

WEIR_API const struct weir_plan *weir_engine_plan(const weir_engine *engine);
/* What a session takes whose text grows to n_position: pages and blocks as they are given out, and
 * its logits. */
WEIR_API uint64_t weir_engine_text_bytes(const weir_engine *engine, uint32_t n_position);
WEIR_API const struct weir_model_info *weir_engine_model(const weir_engine *engine);
/* Of the experts that are in slots now, or were used, those that are the most worth a slot, the
 * most of them first: at most count into experts. Returns how many; 0 also while a call to this
 * engine runs. */
WEIR_API uint32_t weir_engine_kept_experts(weir_engine *engine, struct weir_expert *experts,
                                           uint32_t count);

/* What is so of an expert between two evals; bits. */
enum weir_expert_mark {
    WEIR_EXPERT_RESIDENT = 1,
    WEIR_EXPERT_READING = 2, /* or it has landed since the last eval */
    WEIR_EXPERT_USED = 4,    /* by what its layer computed last */
    WEIR_EXPERT_ABSENT = 8,  /* the layer has no such expert */
};
/* marks [count], which is [n_layer][n_expert] of weir_engine_model(): enum weir_expert_mark. It
 * changes nothing, and nothing is kept for it. False, and marks untouched: count is another, the
 * model has no experts, or a call to this engine runs. */
WEIR_API bool weir_engine_experts_look(weir_engine *engine, uint8_t *marks, size_t count);
WEIR_API const struct weir_mode *weir_engine_mode(const weir_engine *engine);

/* ---- text ---------------------------------------------------------------------------------- */

enum weir_text_flags { WEIR_TEXT_ADD_SPECIAL = 1, WEIR_TEXT_PARSE_SPECIAL = 2 };

/* A vocabulary alone, without the weights: of a model file, of a tokenizer.json, or of a directory
 * that has one. */
typedef struct weir_tokenizer weir_tokenizer;
WEIR_API enum weir_status weir_tokenizer_open(weir_tokenizer **out, const char *path,
                                              struct weir_err *err);
/* What is odd about the file; borrowed. */
WEIR_API const struct weir_warnings *weir_tokenizer_warnings(const weir_tokenizer *tokenizer);
WEIR_API void weir_tokenizer_close(weir_tokenizer **tokenizer);
/* The engine's own; borrowed. NULL when the model file has no vocabulary that can be used: then
 * weir_engine_tokenizer_why() is a sentence that says why, else NULL. */
WEIR_API weir_tokenizer *weir_engine_tokenizer(weir_engine *engine);
WEIR_API const char *weir_engine_tokenizer_why(const weir_engine *engine);
/* take: free *ids with weir_ids_free(). */
WEIR_API enum weir_status weir_tokenizer_encode(weir_tokenizer *tokenizer, const char *bytes,
                                                size_t length, unsigned flags, uint32_t **ids,
                                                size_t *count, struct weir_err *err);
WEIR_API void weir_ids_free(uint32_t **ids);

/* A text that comes in parts: the ids are those of the whole text, and the memory does not grow
 * with it (but for runs of mixed white space that have no end). Borrows the tokenizer; flags as
 * above. */
typedef struct weir_encoder weir_encoder;
WEIR_API enum weir_status weir_encoder_create(weir_encoder **out, weir_tokenizer *tokenizer,
                                              unsigned flags, struct weir_err *err);
WEIR_API void weir_encoder_destroy(weir_encoder **encoder);
/* The next bytes, and the ids that are certain now, borrowed until the next call. ends: the text
 * does; the next push begins another. After an error only destroy. */
WEIR_API enum weir_status weir_encoder_push(weir_encoder *encoder, const char *bytes, size_t length,
                                            bool ends, const uint32_t **ids, size_t *count,
                                            struct weir_err *err);
/* How many ids at least are still to come for what was pushed. */
WEIR_API uint64_t weir_encoder_least(const weir_encoder *encoder);

/* The bytes of one token into out (WEIR_TOKEN_BYTES_MAX); returns how many. */
enum { WEIR_TOKEN_BYTES_MAX = 4096 };
WEIR_API size_t weir_tokenizer_piece(weir_tokenizer *tokenizer, uint32_t id, char *out);
WEIR_API bool weir_tokenizer_is_end(const weir_tokenizer *tokenizer, uint32_t id);
WEIR_API uint32_t weir_tokenizer_vocab_count(const weir_tokenizer *tokenizer);
/* WEIR_ID_NONE when the vocabulary has none. */
#define WEIR_ID_NONE UINT32_MAX
WEIR_API uint32_t weir_tokenizer_bos(const weir_tokenizer *tokenizer);
WEIR_API bool weir_tokenizer_adds_bos(const weir_tokenizer *tokenizer);

/* Streaming: whole UTF-8 characters only. out holds WEIR_TOKEN_BYTES_MAX bytes. is_continuation:
 * the first id follows a text (a prompt), so a space it begins with is kept. */
typedef struct weir_decoder weir_decoder;
WEIR_API enum weir_status weir_decoder_create(weir_decoder **out, weir_tokenizer *tokenizer,
                                              bool is_continuation, struct weir_err *err);
WEIR_API void weir_decoder_destroy(weir_decoder **decoder);
WEIR_API size_t weir_decoder_push(weir_decoder *decoder, uint32_t id, char *out);
WEIR_API size_t weir_decoder_flush(weir_decoder *decoder, char *out);

/* ---- chat ---------------------------------------------------------------------------------- */

/* How a conversation becomes a prompt: a chat template (Jinja, as transformers runs it) with the
 * special tokens that it names. Constant once it is open: any thread may render it. */
typedef struct weir_chat weir_chat;

struct weir_chat_config {
    const char *model_path; /* whose template and special tokens; NULL: there are none */
    const char *format;     /* instead of its template a known format, by name; NULL */
    const char *source;     /* instead of its template this one; NULL */
    size_t source_length;
    uint64_t memory_max; /* bytes that one rendering may take; 0: 256 MiB */
};

enum weir_chat_origin {
    WEIR_CHAT_OF_MODEL, /* the model's own template */
    WEIR_CHAT_GIVEN,    /* config.source */
    WEIR_CHAT_KNOWN,    /* config.format */
    WEIR_CHAT_PLAIN,    /* the model has none: only the texts, one below the other */
};

/* Errors: IO, FORMAT (no model, no template: says the line), UNSUPPORTED (Jinja that is not built
 * in), ARG (no such format: names all), NOMEM. */
WEIR_API enum weir_status weir_chat_open(weir_chat **out, const struct weir_chat_config *config,
                                         struct weir_err *err);
WEIR_API void weir_chat_close(weir_chat **chat);
WEIR_API enum weir_chat_origin weir_chat_origin(const weir_chat *chat);
/* Whether its template has that word in it, such as a variable's name. */
WEIR_API bool weir_chat_mentions(const weir_chat *chat, const char *word);
/* The known formats; NULL past the last. */
WEIR_API const char *weir_chat_format_name(uint32_t index);

/* JSON texts, as OpenAI's API and transformers have them. */
struct weir_chat_request {
    const char *messages; /* an array of objects with role and content; members that are null do not
                             count */
    size_t messages_length;
    const char *tools; /* an array of functions; NULL: none */
    size_t tools_length;
    const char *variables; /* an object of what else the template may ask for; NULL: nothing */
    size_t variables_length;
    bool no_generation_prompt; /* the text ends behind the last message */
};

/* take: the text, ended by NUL, which *length does not count; free it with weir_chat_text_free().
 * Errors: ARG (no such JSON, what the template itself refuses), FORMAT (what fails in the template,
 * limits included), NOMEM. */
WEIR_API enum weir_status weir_chat_render(const weir_chat *chat,
                                           const struct weir_chat_request *request, char **text,
                                           size_t *length, struct weir_err *err);
WEIR_API void weir_chat_text_free(char **text);
/* The same as token ids, which weir_ids_free() frees. Names of control tokens that the template
 * writes become these tokens; those in messages of other roles than system, developer and assistant
 * stay text. Known formats and the plain one begin with BOS where the vocabulary says so. */
WEIR_API enum weir_status weir_chat_encode(const weir_chat *chat, weir_tokenizer *tokenizer,
                                           const struct weir_chat_request *request, uint32_t **ids,
                                           size_t *count, struct weir_err *err);

/* The name of the way in which a chat's model writes calls of tools, by its template; NULL: none is
 * known. */
WEIR_API const char *weir_chat_calls(const weir_chat *chat);
/* The known ways; NULL past the last. */
WEIR_API const char *weir_call_format_name(uint32_t index);

enum {
    WEIR_CALL_MAX = 128,           /* calls of one reply */
    WEIR_CALL_BYTES_MAX = 1 << 20, /* of one call, as the model writes it */
};

/* What a model answers, as it comes: reasoning, the answer, calls of tools, which the families mark
 * each in their way. Marks, and white space around them, are left out; so are control tokens. How
 * the text is cut makes no difference. What looks like a call and is none is text of the answer. */
typedef struct weir_reply weir_reply;

enum weir_reply_kind {
    WEIR_REPLY_ANSWER,      /* bytes: text of the answer */
    WEIR_REPLY_REASONING,   /* bytes: text of the reasoning */
    WEIR_REPLY_CALL,        /* a call begins; bytes: the name of one of the tools */
    WEIR_REPLY_ARGUMENTS,   /* bytes: the next piece of its arguments; all of them are an object */
    WEIR_REPLY_CALL_END,    /* it is whole */
    WEIR_REPLY_CALL_BROKEN, /* it is none: forget it. bytes: why; its text comes as ANSWER */
    WEIR_REPLY_NOTE,        /* bytes: a sentence for a log: what stays text, and why */
};

struct weir_reply_event {
    enum weir_reply_kind kind;
    uint32_t call; /* of CALL to CALL_BROKEN: 0, 1, ...; that of a broken one is not used again */
    const char *bytes; /* [length] whole characters of UTF-8; borrowed during the call */
    size_t length;
    const char *id; /* of CALL, ended by NUL: the model's own where later turns need it */
};

typedef void weir_reply_fn(void *user, const struct weir_reply_event *event);

struct weir_reply_config {
    const weir_chat *chat; /* how its model writes calls; NULL: calls stay text. Used by create */
    const char *format;    /* instead, a way by name; NULL */
    const char *tools;     /* [tools_length] as in a request; NULL: calls stay text. Copied */
    size_t tools_length;
    const uint32_t *ids; /* [id_count] the prompt, whose end may be a mark. Used by create */
    size_t id_count;
    const char *prompt; /* [prompt_length] the same as text, where there is no tokenizer; NULL */
    size_t prompt_length;
    uint64_t id_seed;        /* ids of calls are made of it: a random number for each reply */
    uint32_t call_max;       /* later calls stay text; 0: WEIR_CALL_MAX */
    uint32_t call_bytes_max; /* a longer call is none; 0: WEIR_CALL_BYTES_MAX. Memory: eight times
                                that at most, and the tools */
    bool whole_calls;        /* CALL, ARGUMENTS and CALL_END come together once a call is whole, and
                         CALL_BROKEN never */
};

/* Borrows the tokenizer; NULL: only texts are pushed. Errors: ARG (tools are no such JSON, no such
 * format: names all), UNSUPPORTED (there are tools, and no way to call them is known), NOMEM. */
WEIR_API enum weir_status weir_reply_create(weir_reply **out, weir_tokenizer *tokenizer,
                                            const struct weir_reply_config *config,
                                            struct weir_err *err);
WEIR_API void weir_reply_destroy(weir_reply **reply);
/* The next token, or the next bytes: tells what is certain now. tell may be NULL. */
WEIR_API void weir_reply_push(weir_reply *reply, uint32_t id, weir_reply_fn *tell, void *user);
WEIR_API void weir_reply_push_text(weir_reply *reply, const char *bytes, size_t length,
                                   weir_reply_fn *tell, void *user);
/* There are no more: tells what was held back. A call that was cut is none. */
WEIR_API void weir_reply_end(weir_reply *reply, weir_reply_fn *tell, void *user);
/* Whole ones so far. */
WEIR_API uint32_t weir_reply_call_count(const weir_reply *reply);
/* The marks that would end the reasoning that goes on now, as the family writes them before its
 * answer; NULL: none goes on. */
WEIR_API const char *weir_reply_reasoning_end(const weir_reply *reply);
/* All such marks that are known; NULL past the last. */
WEIR_API const char *weir_reasoning_end(uint32_t index);
/* The mark of reasoning with which a prompt ends, so that a reply to it begins with reasoning;
 * NULL: there is none. */
WEIR_API const char *weir_reply_mark_before(weir_tokenizer *tokenizer, const uint32_t *ids,
                                            size_t count);

/* ---- session ------------------------------------------------------------------------------- */

/* A text: what has been evaluated so far. An engine has as many as fit under its ceiling. */
typedef struct weir_session weir_session;

/* Errors: NOMEM (no room under the ceiling for one more: says how many there are). */
WEIR_API enum weir_status weir_session_create(weir_session **out, weir_engine *engine,
                                              struct weir_err *err);
/* What its text has taken from the expert slots goes back to them. While an eval of the engine runs
 * nothing is done, and *session stays set: destroy it when the eval has returned. */
WEIR_API void weir_session_destroy(weir_session **session);
/* Another session with the same text so far. Nothing is computed or copied until one of the two
 * goes on. Errors: as create. */
WEIR_API enum weir_status weir_session_fork(weir_session **out, const weir_session *session,
                                            struct weir_err *err);
/* An empty session takes over what any session has computed of a text that begins with these ids:
 * *adopted of them, fewer than count, need not be evaluated any more. Errors: ARG (not empty). */
WEIR_API enum weir_status weir_session_adopt(weir_session *session, const uint32_t *ids,
                                             size_t count, uint32_t *adopted, struct weir_err *err);

/* Told the logits of one position; borrowed during the call. Return false to cancel. */
typedef bool weir_logits_fn(void *user, uint32_t position, const float *logits);

/* Told the state [d_model] of one position behind the model's final norm, which its logits are made
 * of; borrowed during the call. Return false to cancel. */
typedef bool weir_state_fn(void *user, uint32_t position, const float *state);

/* AUTO: one id is a token that was just chosen, several are a prompt. */
enum weir_eval_phase { WEIR_PHASE_AUTO, WEIR_PHASE_PROMPT, WEIR_PHASE_DECODE };

/* What one session is to evaluate, beside others. */
struct weir_eval {
    weir_session *session;
    const uint32_t *ids; /* [count] */
    size_t count;
    enum weir_eval_phase phase;
    weir_logits_fn *each; /* told every position in order; NULL: only the last one's are kept */
    weir_state_fn *state; /* told every position in order, before its logits; NULL: nobody */
    void *user;
    enum weir_status status; /* set by the call, as done is; ARG is that of all */
    size_t done;             /* ids that the session holds now */
};

/* Append the ids of all evals to their sessions and compute them together: each step has those that
 * decode first, then as much of the prompts as fits in a chunk, and reads each expert that it needs
 * once. A session's logits and states do not depend on its company, bit for bit.
 * Returns the first eval's status that is not OK; each eval has its own.
 * Errors: ARG (an id out of range, or past n_ctx: names both numbers; a session twice; another
 * call to the engine runs), IO, FORMAT (the file shrank, or its weights give values that are
 * not finite), NOMEM (keys and values need memory that slots cannot give back, or that the kernel
 * has not), CANCELLED. IO and NOMEM are those of all evals of the step. After an error a session
 * holds the positions of the steps that were finished. */
WEIR_API enum weir_status weir_engine_eval(weir_engine *engine, struct weir_eval *evals,
                                           size_t count, struct weir_err *err);
/* The same for one session. */
WEIR_API enum weir_status weir_session_eval(weir_session *session, const uint32_t *ids,
                                            size_t count, weir_logits_fn *each, void *user,
                                            struct weir_err *err);
/* Logits of the last position evaluated, until the session's next eval, rewind or destroy; NULL
 * when there is none. */
WEIR_API const float *weir_session_logits(const weir_session *session);
WEIR_API uint32_t weir_session_position(const weir_session *session);
/* Forget everything after the first `position` positions. What windows and recurrences do not
 * remember of those before it any more is computed again by the next eval. ARG when there are not
 * so many, or an eval runs. */
WEIR_API enum weir_status weir_session_rewind(weir_session *session, uint32_t position);
/* Any thread, or a signal handler: the running eval, or else the next one, returns CANCELLED at its
 * next layer; a session that others keep company at the end of the step. */
WEIR_API void weir_session_cancel(weir_session *session);

/* ---- texts on disk ------------------------------------------------------------------------- */

/* With weir_config.text_folder: what sessions have computed is kept in one file for each model and
 * layout (docs/formats/prefixes.md), beginnings that texts share once, and is there after a
 * restart. What is read back is what was written, bit by bit, or it is computed again: torn pages
 * and files of other models are found by checksums, told to weir_config.notice, and ignored; where
 * the disk is full or fails at open, the engine tells that and keeps none. One process at a time
 * has the file (IO: another one does), and no file of somebody else is touched (FORMAT). Pages are
 * written and read while others compute. */

/* Begin to write what the session has and the file has not. Errors: ARG (no text_folder). A disk
 * that is full or fails is no error: the notice tells. */
WEIR_API enum weir_status weir_session_save(weir_session *session, struct weir_err *err);
/* As weir_session_adopt(), and from the file too, when that has more and reading it is quicker than
 * computing it. The session has *recalled positions at once; what is still on its way is waited for
 * by the next call that needs it, and computed then should it not come. Errors: ARG (not empty),
 * NOMEM (no room for its pages). */
WEIR_API enum weir_status weir_session_recall(weir_session *session, const uint32_t *ids,
                                              size_t count, uint32_t *recalled,
                                              struct weir_err *err);
/* Whether it waits for the disk. */
WEIR_API bool weir_session_is_coming(const weir_session *session);
/* Of weir_session_position(), how many need not be computed again by the next eval. */
WEIR_API uint32_t weir_session_ready(const weir_session *session);
/* How many of these ids the file has, fewer than count; 0 also while a call to this engine runs. */
WEIR_API uint32_t weir_engine_saved(weir_engine *engine, const uint32_t *ids, size_t count);
/* Where no eval runs: let the disk go on, and wait for something to be done, at most so long.
 * Returns whether anything is still on its way. */
WEIR_API bool weir_engine_disk_wait(weir_engine *engine, double seconds);

/* Since the engine was opened, but for the first four. A page is one record of the file. */
struct weir_saved_stats {
    uint64_t disk_bytes, disk_bytes_max, pages; /* in the file now; what it may have */
    uint32_t writing, reading;                  /* pages and texts that are on their way */
    uint64_t written_bytes, write_calls, read_bytes, read_calls;
    uint64_t reused_pages;  /* that were to be written, and were there */
    uint64_t evicted_pages; /* that gave way to others */
    uint64_t torn_pages, failed_reads, failed_writes, dropped_pages; /* dropped: not even tried */
    uint64_t recalled_texts, recalled_tokens;
    uint64_t computed_texts; /* that were there, and computed since that is quicker */
    double wait_s;           /* in which nothing else could be done */
    double read_bytes_per_s; /* as measured; 0: not yet */
};
/* False: there is no such file. */
WEIR_API bool weir_engine_saved_get(const weir_engine *engine, struct weir_saved_stats *stats);

/* ---- grammars ------------------------------------------------------------------------------ */

/* What a text may be, over the bytes of a vocabulary's tokens: a grammar in GBNF, as llama.cpp has
 * it (its grammars/README.md); rule `root` is the text. Many samplers may use one. End tokens are
 * allowed where the text may end, and only there; other special tokens never. */
typedef struct weir_grammar weir_grammar;
enum {
    WEIR_GRAMMAR_BYTES_MAX = 1 << 20,   /* of its text */
    WEIR_GRAMMAR_READ_BYTES = 20 << 20, /* that reading one takes at most, until it is made */
};
/* Borrows the tokenizer. name is that of the text in messages. Errors: FORMAT (the line, the column
 * and the rule: also one that begins with itself or never ends), NOMEM. */
WEIR_API enum weir_status weir_grammar_create(weir_grammar **out, weir_tokenizer *tokenizer,
                                              const char *text, size_t length, const char *name,
                                              struct weir_err *err);
/* The same of JSON values that are valid by a schema (draft 2020-12; docs/formats/grammars.md says
 * which part of it is built, and in which order properties come). Errors: also UNSUPPORTED (what is
 * not built, with its line and column). */
WEIR_API enum weir_status weir_grammar_from_schema(weir_grammar **out, weir_tokenizer *tokenizer,
                                                   const char *schema, size_t length,
                                                   const char *name, struct weir_err *err);
/* What the two would say of the text itself: for before a model is loaded. */
WEIR_API enum weir_status weir_grammar_check(const char *text, size_t length, bool is_schema,
                                             const char *name, struct weir_err *err);

/* What a reply must be: calls, or an answer that is JSON, or either where both are wished. */
struct weir_reply_rules {
    const weir_chat *chat; /* how its model writes, as in struct weir_reply_config */
    const char *format;    /* instead, a way by name; NULL */
    const char *tools;     /* [tools_length] calls of these, with arguments that are valid by their
                              schemas; NULL: no calls */
    size_t tools_length;
    const char *tool;   /* this one only; NULL: any */
    bool one_call;      /* and not several */
    const char *schema; /* [schema_length] an answer that is valid by it; NULL: no answer */
    size_t schema_length;
    const uint32_t *ids; /* [id_count] the prompt: where it begins reasoning, that goes on first */
    size_t id_count;
};
/* The same of a reply, as the family writes it; its control tokens come where it has them, and only
 * there. Reasoning may come first where the template knows of it. Errors: also ARG (neither tools
 * nor schema, no such tool), UNSUPPORTED (of a schema, or no way to call tools is known). */
WEIR_API enum weir_status weir_grammar_of_reply(weir_grammar **out, weir_tokenizer *tokenizer,
                                                const struct weir_reply_rules *rules,
                                                struct weir_err *err);
WEIR_API void weir_grammar_destroy(weir_grammar **grammar);

/* ---- sampling ------------------------------------------------------------------------------ */

enum {
    WEIR_TEMPERATURE_MAX = 100,
    WEIR_REPEAT_PENALTY_MAX = 100,
    WEIR_PENALTY_MAX = 100, /* of presence, of frequency and of DRY's multiplier and base */
    WEIR_REPEAT_LAST_MAX = 65536,
};

/* Added to the logit of one id; -INFINITY: never that one. */
struct weir_logit_bias {
    uint32_t id;
    float bias;
};

/* All zeros: the likeliest id each time, without a penalty. The steps, in this order; shares are
 * those at temperature 1 of what the steps before have left:
 *   1 logit biases
 *   2 of ids that were there lately: repetition penalty (CTRL, arXiv:1909.05858 section 4.1), then
 *     frequency and presence penalty (OpenAI's API reference, "frequency and presence penalties")
 *   3 DRY, "don't repeat yourself" (p-e-w, oobabooga/text-generation-webui pull request 5677)
 *   . what the grammar does not allow is dropped
 *   4 top-k (arXiv:1805.04833 section 5.4)
 *   5 typical (arXiv:2202.00666 section 4)
 *   6 top-p (arXiv:1904.09751 section 3.1)
 *   7 min-p (arXiv:2407.01082)
 *   8 XTC, "exclude top choices" (p-e-w, oobabooga/text-generation-webui pull request 6335)
 *   9 one of what is left is drawn at the temperature; at 0 the likeliest is taken
 * There is no mirostat. Arrays are copied. */
struct weir_sampler_config {
    float temperature; /* 0: the likeliest id each time */
    uint32_t top_k;    /* only the k likeliest; 0: off */
    float top_p;       /* only the likeliest that hold a share p, at least one; 0 or 1: off */
    float min_p;       /* only what is at least p times as likely as the best; 0: off */
    float typical_p;   /* only those that hold a share p whose surprise is nearest to the mean
                          one; 0 or 1: off */
    /* With this probability, drawn for each id, all that have at least a share xtc_threshold are
     * dropped but the least likely of them. */
    float xtc_probability; /* 0: off */
    float xtc_threshold;   /* at most 0.5: no two can have more; 0: 0.1 */
    /* Of ids that were there lately: divides positive logits, multiplies negative ones, once
     * however often an id was there; 0 or 1: off. */
    float repeat_penalty;
    float frequency_penalty; /* taken off their logits for each time they were there */
    float presence_penalty;  /* taken off once */
    uint32_t repeat_last;    /* how many of the last ids are "lately"; 0: 64 */
    /* An id that would prolong a repetition, the longest of `length` ids, loses
     * dry_multiplier * dry_base^(length - dry_allowed) where length is at least dry_allowed. */
    float dry_multiplier;         /* 0: off */
    float dry_base;               /* at least 1; 0: 1.75 */
    uint32_t dry_allowed;         /* 0: 2 */
    uint32_t dry_last;            /* look at so many of the last ids; 0: 4096 */
    const uint32_t *dry_breakers; /* [dry_breaker_count] ids that no repetition goes across */
    size_t dry_breaker_count;
    const struct weir_logit_bias *biases; /* [bias_count], of one id the sum */
    size_t bias_count;
    const weir_grammar *grammar; /* NULL: any text; borrowed, and must live longer */
    /* With a grammar: the text is whole within so many picks. Once it needs as many bytes as picks
     * are left, only tokens come that lead to its nearest end. It cannot be when its shortest text
     * has more tokens than that. 0: it ends when it ends. */
    uint32_t whole_within;
    uint64_t seed;
};

typedef struct weir_sampler weir_sampler;
/* Errors: ARG (names the setting, its range and what was found; or the rule at which a grammar
 * becomes too much), NOMEM. */
WEIR_API enum weir_status weir_sampler_create(weir_sampler **out,
                                              const struct weir_sampler_config *config,
                                              uint32_t n_vocab, struct weir_err *err);
WEIR_API void weir_sampler_destroy(weir_sampler **sampler);
/* Tell it an id that the text holds already (the prompt), for penalties and DRY. */
WEIR_API void weir_sampler_accept(weir_sampler *sampler, uint32_t id);
/* Choose, and accept what was chosen. Greedy ties go to the smallest id. WEIR_ID_NONE: logits is
 * NULL (nothing is evaluated yet); or the grammar's text is whole, or weir_sampler_why() tells what
 * kept it from going on. */
WEIR_API uint32_t weir_sampler_pick(weir_sampler *sampler, const float *logits);
/* Accept an id that the caller has chosen, as if it had been picked. False: it is not in the
 * vocabulary or the grammar does not allow it here, and nothing has happened. */
WEIR_API bool weir_sampler_force(weir_sampler *sampler, uint32_t id);
/* Bytes at least that the grammar's text still needs to be whole; 0: it may end here, or there is
 * no grammar. */
WEIR_API uint32_t weir_sampler_bytes_left(const weir_sampler *sampler);
/* Why the last pick found nothing; NULL: nothing went wrong. */
WEIR_API const char *weir_sampler_why(const weir_sampler *sampler);

enum { WEIR_STOP_MAX = 64, WEIR_STOP_BYTES_MAX = 1024 };

/* Strings that end a text, wherever its tokens are cut: at the first byte with which one of them is
 * whole. What comes before that string is the text (of several that end there, before the longest),
 * and is given out as soon as no such string can begin in it any more. */
typedef struct weir_stops weir_stops;
/* Copies the strings. Errors: ARG (more than WEIR_STOP_MAX, one that is empty or longer than
 * WEIR_STOP_BYTES_MAX: names its number), NOMEM. */
WEIR_API enum weir_status weir_stops_create(weir_stops **out, const char *const *strings,
                                            size_t count, struct weir_err *err);
WEIR_API void weir_stops_destroy(weir_stops **stops);
/* The next bytes of the text: what is certain now goes into out, which holds
 * WEIR_STOP_BYTES_MAX + length; returns how many that are. 0 once a string was found. */
WEIR_API size_t weir_stops_push(weir_stops *stops, const char *bytes, size_t length, char *out);
/* The text ends here: what was held back goes into out (WEIR_STOP_BYTES_MAX), as above. */
WEIR_API size_t weir_stops_flush(weir_stops *stops, char *out);
/* The number of the string that ended the text; SIZE_MAX: none has. */
WEIR_API size_t weir_stops_found(const weir_stops *stops);

/* ---- statistics ---------------------------------------------------------------------------- */

struct weir_stats {
    uint64_t expert_uses, expert_hits, expert_reads;
    uint64_t expert_bytes; /* of the experts read, as the model has them */
    uint64_t read_bytes;   /* asked of the device for them: aligned supersets */
    double io_wait_s;      /* engine thread waiting for reads */
    double device_busy_s;  /* at least one read in flight */
    uint64_t io_short_count, io_retry_count;
    uint64_t reads_per_expert_max; /* within one step; 1 is the invariant */
    double pending_s;              /* something that the engine needs now was being read ... */
    uint64_t pending_bytes;        /* ... and what arrived in that time */
    uint64_t ahead_reads;          /* of expert_reads: before their layer asked for them */
    uint64_t ahead_hits;           /* of those, there in time, and used */
    uint64_t ahead_late;           /* used too, but still on their way */
    uint64_t warm_up_reads;        /* of expert_reads: to fill empty slots */
    uint64_t ahead_wasted_bytes;   /* read for experts that were not used then */
    uint64_t guessed,
        guessed_right; /* experts that single tokens used after a guess; in the guess */
};

/* Since the last reset; the load does not count. */
WEIR_API void weir_engine_stats_get(const weir_engine *engine, struct weir_stats *stats);
WEIR_API void weir_engine_stats_reset(weir_engine *engine);
/* With config.timeline_events: what each thread and the device did since open, as a Chrome trace
 * (docs/formats/timeline.md). Errors of writing stay in file. Returns how many events are not in it
 * because there was no room; a timeline keeps the first ones. UINT64_MAX: nothing was written, for
 * want of an engine or a file, or because an eval runs. */
WEIR_API uint64_t weir_engine_timeline_write(weir_engine *engine, FILE *file);

/* ---- importance ---------------------------------------------------------------------------- */

/* With config.measures_inputs an engine adds up the squares of what each column of each matrix is
 * multiplied by, for every token that is evaluated: how much an error in that column matters, which
 * a quantizer can use. The sums are among the plan's lines, 8 bytes a column; they depend on
 * neither threads, slots nor chunks. */
struct weir_importance {
    uint32_t tensor_count;       /* that have sums */
    uint32_t n_expert_total;     /* experts of all layers ... */
    uint32_t n_expert_unreached; /* ... and those that no token used so far */
    uint64_t token_count;        /* evaluated so far */
};
/* What was measured so far. False: the engine does not measure, or a call to it runs. */
WEIR_API bool weir_engine_importance_get(weir_engine *engine, struct weir_importance *importance);

struct weir_importance_file {
    const char *text_name;              /* what the text is called */
    uint32_t chunk_count, chunk_tokens; /* pieces of text, and tokens of each */
    bool is_old; /* the form from before GGUF (.dat), in which an expert that was never reached has
                    the weights 1 */
};
/* Write it as llama.cpp's tools read it (docs/formats/imatrix.md). Errors: ARG (the engine does not
 * measure; a call to it runs), NOMEM, IO, UNSUPPORTED (too many columns for the old form). */
WEIR_API enum weir_status weir_engine_importance_write(weir_engine *engine,
                                                       const struct weir_importance_file *facts,
                                                       FILE *file, struct weir_err *err);

/* ---- guard --------------------------------------------------------------------------------- */

/* While it evaluates, the engine watches its control group's limit and the machine's memory, at
 * most every 50 ms; before either runs out it gives expert slots back to the system. They never
 * come back; results do not change, only how much is read. */
struct weir_guard_stats {
    uint64_t samples; /* looks at memory */
    uint64_t shrinks; /* times that slots were given back */
    uint64_t retired_slots;
    uint64_t shrunk_bytes;
    char reason[256]; /* of the last time that memory was short; empty when it never was */
};

/* Since the engine was opened. */
WEIR_API void weir_engine_guard_get(const weir_engine *engine, struct weir_guard_stats *stats);
/* Peak memory of this process so far. */
WEIR_API uint64_t weir_peak_bytes(void);
/* Its memory now; 0 where /proc is not there. */
WEIR_API uint64_t weir_memory_bytes(void);

/* ---- how fast this machine reads a file ------------------------------------------------------ */

struct weir_band {
    double low, high;
};

enum { WEIR_CALIBRATION_CELL_MAX = 8 };

struct weir_calibration_cell {
    uint64_t in_flight_bytes;
    double bytes_per_s; /* median */
};

/* Speeds in bytes per second, 0 where nothing was measured. Lows and highs are the 10th and the
 * 90th percentile of short pieces spread over the whole measurement; of memory and kernels the high
 * is kept, of both at once the middle. */
struct weir_calibration {
    uint64_t device_id;   /* of the file's file system (st_dev) */
    uint32_t slice_bytes; /* as in struct weir_token_cost, or what was asked for */
    uint32_t n_thread;
    char filesystem[32];
    char io[16]; /* as in struct weir_mode */
    bool direct;
    bool quick;   /* about a second: io_budget_bytes is the default, not searched */
    char isa[16]; /* as in struct weir_token_cost; type is empty without a model */
    char type[16];
    double measured_s;        /* what it took */
    uint64_t io_budget_bytes; /* the least that holds a burst and gives 95 % of the best */
    uint32_t cell_count;
    struct weir_calibration_cell cells[WEIR_CALIBRATION_CELL_MAX]; /* by bytes in flight */
    struct weir_band read;        /* io_budget_bytes in flight all the time */
    struct weir_band burst;       /* as decoding reads: bursts, timed while reads are pending */
    uint64_t burst_bytes;         /* of one burst */
    double dram_bytes_per_s;      /* all threads reading memory */
    double both_read_bytes_per_s; /* the two at the same time */
    double both_dram_bytes_per_s;
    double decode_bytes_per_s; /* weights through the kernel, one token */
    double prefill_ops_per_s;  /* two for each weight and token, in a prompt */
};

struct weir_calibrate_config {
    const char *path; /* a model, or any file */
    uint32_t
        slice_bytes;   /* of one read; 0: the model's slices, or 1 MiB in a file without experts */
    uint32_t n_thread; /* 0: the CPUs this process may use */
    const char *isa;   /* as in struct weir_config */
    bool quick;
};

/* share: of the time it takes, 0 to 1; return false to cancel. */
typedef bool weir_calibrate_fn(void *user, double share);
/* Measure; takes about 5 s, 1 s when quick, and up to 400 MiB. progress may be NULL.
 * Errors: IO, NOMEM, ARG (a file too small: names both numbers), CANCELLED. */
WEIR_API enum weir_status weir_calibrate(struct weir_calibration *calibration,
                                         const struct weir_calibrate_config *config,
                                         weir_calibrate_fn *progress, void *user,
                                         struct weir_err *err);
/* What a calibration of this file is found by: a calibration fits a file when both agree.
 * *slice_bytes is 0 when the file is no model. Errors: IO. */
WEIR_API enum weir_status weir_calibration_key_get(const char *path, uint64_t *device_id,
                                                   uint32_t *slice_bytes, struct weir_err *err);

/* How fast a GPU copies and multiplies; bytes per second unless said otherwise. */
enum { WEIR_GPU_COPY_MAX = 8, WEIR_GPU_FORMAT_MAX = 40 };
struct weir_gpu_copy_speed {
    uint64_t bytes; /* of one copy, many of which follow each other */
    double pinned_in_bytes_per_s, pinned_out_bytes_per_s;
    double pageable_in_bytes_per_s, pageable_out_bytes_per_s;
};
struct weir_gpu_format_speed {
    char type[16];
    double decode_bytes_per_s; /* weights through a product with one row */
    double prompt_ops_per_s;   /* two for each weight and row, 512 rows */
};
struct weir_gpu_speeds {
    char name[96], driver[64];
    bool is_pinned; /* false: the driver refused, and "pinned" is as pageable */
    uint32_t copy_count;
    struct weir_gpu_copy_speed copies[WEIR_GPU_COPY_MAX]; /* by size */
    double both_bytes_per_s;                              /* in and out at the same time: of each */
    double memory_bytes_per_s;                            /* the GPU's own, read and written */
    uint32_t format_count;
    struct weir_gpu_format_speed formats[WEIR_GPU_FORMAT_MAX];
};
/* Measure; takes about 2 s, 1 GiB of the GPU's memory and 256 MiB of the machine's. progress may be
 * NULL. Errors: UNSUPPORTED (no GPU that can be used: says why), NOMEM, IO, CANCELLED. */
WEIR_API enum weir_status weir_gpu_calibrate(struct weir_gpu_speeds *speeds,
                                             weir_calibrate_fn *progress, void *user,
                                             struct weir_err *err);

/* ---- how fast a run would be ----------------------------------------------------------------- */

/* What a run should show once its cache is warm. Not a number: does not apply, or not measured. */
struct weir_expected {
    double hit_rate;                    /* while decoding; the middle of its band */
    struct weir_band hit_rate_band;     /* uniform routing, to routing as real models have it */
    struct weir_band decode_tps;        /* all of it slow and in turn, to fast and overlapped */
    struct weir_band prefill_tps;       /* the same for prompt_tokens together */
    struct weir_band decode_read_bytes; /* from the device, a token */
    struct weir_band decode_compute_s;  /* a token */
};

/* Whether a calibration's speeds are of the plan's weights, threads and instructions. */
WEIR_API bool weir_calibration_fits(const struct weir_calibration *calibration,
                                    const struct weir_plan *plan);
/* A forecast. calibration: NULL, or one that does not fit: no speeds. prompt_tokens: of one prompt;
 * 0: a whole chunk. hit_rate: as the text is known to have it (weir trace replay), or not a
 * number. */
WEIR_API void weir_plan_expect(struct weir_expected *expected, const struct weir_plan *plan,
                               const struct weir_calibration *calibration, uint64_t prompt_tokens,
                               double hit_rate);

/* ---- this machine -------------------------------------------------------------------------- */

struct weir_gpu_facts {
    bool is_there; /* and can be used */
    bool is_seen;  /* the kernel has NVIDIA's driver */
    char why[400]; /* why there is none that can be used */
    char name[96];
    char driver[64];       /* its version, and CUDA's */
    char code[32];         /* what runs there: "sm_90", "PTX 12.0" */
    uint32_t major, minor; /* compute capability */
    uint32_t processors;   /* streaming multiprocessors */
    uint64_t total_bytes, free_bytes;
};

struct weir_machine {
    char cpu_name[128];
    char kernel[128];
    char isa[32];
    uint32_t n_cpu;
    uint64_t total_bytes, available_bytes;           /* 0 when nobody tells */
    char memory_source[80];                          /* who tells; empty: nobody */
    uint64_t cgroup_limit_bytes, cgroup_usage_bytes; /* limit UINT64_MAX: none */
    char cgroup_path[256];
    int cgroup_version;         /* 0: none is seen */
    char cgroup_why[128];       /* why none is seen, or ours is a guess; empty: neither */
    uint64_t default_mem_bytes; /* what --mem is when nobody says */
    char default_mem_why[400];  /* whose number that is, or who does not tell */
    char guard_sees[512];       /* what the guard goes by while an engine runs */
    char guard_misses[128];     /* what it cannot see; empty when all is there */
    char huge_pages[64];
    bool uring_ok;
    char uring_why[200]; /* why not */
    bool direct_ok;      /* on the file system of path */
    char direct_why[200];
    char filesystem[32];
    uint64_t filesystem_free_bytes;
    double read_bytes_per_s; /* a short direct-read probe of path when it is a file >= 16 MiB; else
                                0 */
    double dram_bytes_per_s; /* a short read probe with all threads */
    struct weir_gpu_facts gpu;
};

/* path: a file or folder whose file system and device are examined; NULL: the current folder. In a
 * folder a file of 8 KiB is made for it, and removed again. */
WEIR_API void weir_machine_get(struct weir_machine *machine, const char *path);

#ifdef __cplusplus
}
#endif

#endif
