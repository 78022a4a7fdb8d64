/* engine_internal.h - what the files of room engine share. */
#ifndef WEIR_ENGINE_INTERNAL_H
#define WEIR_ENGINE_INTERNAL_H

#include "base/mem.h"
#include "base/timeline.h"
#include "engine/guard.h"
#include "engine/trial.h"
#include "formats/formats.h"
#include "io/io.h"
#include "kernels/kernels.h"
#include "model/device.h"
#include "model/forward.h"
#include "prefix/prefix.h"
#include "state/state.h"
#include "store/cache.h"
#include "store/store.h"
#include "sys/sys.h"
#include "text/text.h"
#include "weir.h"
#include "weir_bench.h"

/* Refuse an argument that is missing, by its name. */
#define WEIR_NEED(argument, err)                                                                   \
    do {                                                                                           \
        if ((argument) == NULL)                                                                    \
            return WEIR_FAIL((err), WEIR_ERR_ARG, "%s: wanted a pointer, found NULL", #argument);  \
    } while (0)

/* What is to be measured; zeros when nothing is. */
static inline struct weir_bench_config weir_bench_of(const struct weir_config *config)
{
    return config->bench == NULL ? (struct weir_bench_config){0} : *config->bench;
}

/* Everything that is known before a byte of weights is read. */
struct weir_blueprint {
    weir_manifest *manifest;
    struct weir_model *model;
    weir_manifest *copies_manifest;   /* of experts in fewer bits; ... */
    struct weir_model *copies;        /* ... both NULL: there are none */
    struct weir_tokenizer *tokenizer; /* NULL when the file has no vocabulary, or a wrong one: */
    struct weir_err no_tokenizer;     /* why */
    struct weir_kernels kernels;
    struct weir_advice_values advice;
    uint64_t description_bytes; /* heap that the above holds */
};

/* On failure nothing is left open. */
enum weir_status weir_blueprint_open(struct weir_blueprint *blueprint,
                                     const struct weir_config *config, struct weir_err *err);
void weir_blueprint_close(struct weir_blueprint *blueprint);

/* The kernels up to a level called by name; NULL: the best. Errors: ARG, UNSUPPORTED. */
enum weir_status weir_kernels_choose(struct weir_kernels *kernels, const char *isa,
                                     struct weir_err *err);

/* Positions from one snapshot of recurrent state to the next: as many as a long chunk has, for a
 * prompt's steps end where one is taken. */
#ifdef WEIR_HOSTILE
enum { WEIR_SNAPSHOT_LENGTH = 1 };
#else
enum { WEIR_SNAPSHOT_LENGTH = 512 };
#endif

/* What a plan decides. */
struct weir_choice {
    uint32_t n_ctx, n_chunk, n_thread;
    uint32_t n_kv;       /* positions whose pages the plan has; slots make room for more */
    uint32_t n_snapshot; /* of recurrent state, for rewinding */
    enum weir_kv kv;
    unsigned tables_on_disk; /* as in struct weir_model */
    uint64_t caller_bytes;
    uint64_t text_bytes; /* of texts on disk; 0: none are kept */
    uint32_t timeline_events;
    bool measures_inputs;
    struct weir_policy policy;
    enum weir_predictor predictor;
    enum weir_gpu_kind gpu_kind; /* of the device, where anything is on it */
    struct weir_device_plan device;
    uint32_t slot_total; /* over all layers with experts; see weir_choice_layer() */
};

/* The store's view of one layer with the slots that the choice gives it: slots are dealt evenly,
 * what is left over goes to the first layers; copies' layers, after those, have a token's. */
void weir_choice_layer(const struct weir_blueprint *blueprint, const struct weir_choice *choice,
                       uint32_t layer, struct weir_store_layer *out);
/* Of the sequences' state; layers [WEIR_STATE_LAYER_MAX] is where config points. */
void weir_choice_state(const struct weir_blueprint *blueprint, const struct weir_choice *choice,
                       struct weir_state_layer *layers, struct weir_state_config *config);
/* Bytes of what a sequence of n_position positions remembers, with all snapshots. */
uint64_t weir_choice_state_bytes(const struct weir_blueprint *blueprint,
                                 const struct weir_choice *choice, uint32_t n_position);
/* The same of one more sequence, whose snapshots are among those. */
uint64_t weir_choice_text_bytes(const struct weir_blueprint *blueprint,
                                const struct weir_choice *choice, uint32_t n_position);
/* What the index of texts on disk takes; 0: there is none. */
uint64_t weir_choice_index_bytes(const struct weir_blueprint *blueprint,
                                 const struct weir_choice *choice);
/* Layers whose experts the store has: not those that have all of them on a device. */
uint32_t weir_choice_moe_layer_count(const struct weir_blueprint *blueprint,
                                     const struct weir_choice *choice);
/* Run every layout against mem, PLANNING, and gpu_mem: then they know what the choice needs. */
enum weir_status weir_choice_layout(const struct weir_blueprint *blueprint,
                                    const struct weir_choice *choice, struct weir_mem *mem,
                                    struct weir_gpu_mem *gpu_mem, struct weir_err *err);
enum weir_status weir_blueprint_plan(const struct weir_blueprint *blueprint,
                                     const struct weir_config *config, struct weir_choice *choice,
                                     struct weir_plan *plan, struct weir_err *err);
void weir_model_info_fill(struct weir_model_info *info, const struct weir_blueprint *blueprint);
uint32_t weir_moe_layer_count(const struct weir_model *model);

/* name NULL: the usual one. pool: layers share slots, also where the policy by itself gives each
 * its own. ARG names all policies when there is none of that name, or says why it cannot pool. */
enum weir_status weir_policy_choose(const char *name, bool pool, struct weir_policy *out,
                                    struct weir_err *err);

/* Open a model's files in io, in the manifest's order, so that a tensor's file is io's too; or one
 * of them, which is io's next. A file whose size is not what the manifest saw is an error. */
enum weir_status weir_files_open(weir_io *io, const weir_manifest *manifest, struct weir_err *err);
enum weir_status weir_file_open(weir_io *io, const weir_manifest *manifest, uint32_t file,
                                struct weir_err *err);

/* The bytes of the load's staging buffer. */
uint64_t weir_staging_bytes(const struct weir_model *model);

struct weir_tokenizer {
    weir_manifest *manifest; /* owned when opened alone, else NULL */
    const struct weir_warnings *warnings;
    weir_text *text;
    const struct weir_vocab *vocab;
};

enum weir_status weir_tokenizer_create(struct weir_tokenizer **out, weir_manifest *manifest,
                                       struct weir_err *err);

/* Tells the caller's progress what is being loaded, and how far that is. */
struct weir_load_progress {
    const struct weir_config *config;
    const char *what;
    uint64_t done_bytes, total_bytes;
};

/* The step that is being composed. */
struct weir_batch {
    struct weir_run *runs;    /* [n_chunk] */
    struct weir_eval **evals; /* [n_chunk]: whose each run is */
    uint32_t n_run, n_row;    /* n_run is 0 while no step runs */
    float *logits;            /* [rows at once][n_vocab] */
};

/* Whether every session of the running step was cancelled; false while none runs. */
bool weir_batch_is_unwanted(const struct weir_batch *batch);
/* Ask mem for it, planning or opening. */
void weir_batch_layout(struct weir_batch *batch, const struct weir_choice *choice, uint32_t n_vocab,
                       struct weir_mem *mem);

struct weir_session {
    struct weir_engine *engine; /* borrowed */
    weir_sequence *sequence;
    /* Ids that follow the sequence's own: it was rewound past what a window or a recurrence still
     * remembers, and computes them again before any others. */
    uint32_t *owed; /* [n_ctx] */
    uint32_t owed_count;
    float *logits; /* [n_vocab] of the last position */
    bool has_logits;
    weir_routing_fn *watch;
    void *watch_user;
    weir_guess_fn *watch_guess;
    void *watch_guess_user;
    bool is_coming; /* its text is read from the disk; all its ids are owed until then */
    struct weir_prescription prescription; /* without experts: routers choose */
    _Atomic bool cancel; /* set from anywhere, cleared by the eval that it stops */
};

/* What a run of this session's next rows is, but for ids, rows and phase. */
void weir_session_fill_run(weir_session *session, struct weir_run *run);
/* Only the first `position` positions are left, and nothing of a step that was not finished. */
void weir_session_keep(weir_session *session, uint32_t position);

struct weir_engine {
    struct weir_config config; /* until it is finished */
    bool is_begun;             /* and not finished: it counts as busy */
    uint64_t load_begin_ns;
    uint64_t lent_bytes; /* of the ceiling, that are somebody else's */
    struct weir_blueprint blueprint;
    struct weir_choice choice;
    struct weir_plan plan;
    struct weir_model_info info;
    struct weir_mode mode;
    struct weir_mem mem;
    weir_pool *pool;
    weir_timeline *timeline; /* in mem; NULL: nothing is recorded */
    weir_io *io;
    weir_io *row_io;                 /* of rows of tables; NULL: they are in memory */
    struct weir_io_config io_config; /* of both, as it was asked for */
    weir_prefix *prefix;             /* texts on disk; NULL: none are kept */
    double prompt_row_s;             /* what a position of a prompt takes; 0: not yet measured */
    uint64_t recalled_texts, computed_texts;
    weir_store *store;                /* NULL: a model without experts */
    struct weir_record_name *warm_up; /* the store's, on the heap; NULL: none */
    weir_forward *forward;
    struct weir_guard guard;
    weir_gpu *gpu;  /* NULL: all is computed on the CPU */
    bool is_pinned; /* the device knows the memory that crosses */
    struct weir_gpu_mem gpu_mem;
    weir_device *device;
    void *staging; /* of the load, in mem; after it nothing is there */
    weir_state *state;
    uint64_t plan_state_bytes; /* of pages and blocks, among the plan's lines */
    uint32_t session_count;
    struct weir_batch batch;
    _Atomic bool is_busy; /* somebody is inside; see weir_engine_enter() */
    /* Who may want a wait for the device to end; see wants_stop() in engine.c. */
    struct weir_load_progress *loading; /* NULL: the model is loaded */
    bool is_closing;
    enum weir_lookahead lookahead;
    struct weir_trial trials[2]; /* of steps that decode one row, and several; while AUTO */
    uint32_t lookahead_m;
    uint64_t recall_used, recall_found;     /* at the last reset */
    struct weir_io_stats io_base, row_base; /* counters at the last reset */
};

/* Whatever changes an engine or its sessions is done between the two, so that a callback of an eval
 * and another thread are refused instead of changing what is in use. Errors: ARG (somebody is
 * inside; then do not leave). */
enum weir_status weir_engine_enter(struct weir_engine *engine, struct weir_err *err);
void weir_engine_leave(struct weir_engine *engine);

/* Before a step: memory for as many pages. From what the plan leaves, from pages that are kept for
 * nobody, from slots. NOMEM. */
enum weir_status weir_engine_room_for_pages(struct weir_engine *engine, uint32_t page_count,
                                            struct weir_err *err);
enum weir_status weir_engine_room_for_session(struct weir_engine *engine, struct weir_err *err);
/* Texts on disk (saved.c). Errors: as weir_prefix_open(). */
enum weir_status weir_engine_open_texts(struct weir_engine *engine,
                                        const struct weir_config *config, struct weir_err *err);
/* Before a session is changed: until its text is here, and its block is written. */
void weir_session_settle(weir_session *session);
/* Wait until a page that is being written is free; false: none is. */
bool weir_engine_wait_for_page(struct weir_engine *engine);
/* A step has taken until now. */
void weir_engine_time_prompt(struct weir_engine *engine, uint64_t begin_ns);
/* Hand the store the config's list of experts to fill empty slots with. ARG, NOMEM. */
enum weir_status weir_engine_begin_warm_up(struct weir_engine *engine,
                                           const struct weir_config *config, struct weir_err *err);
/* A text has ended: slots take back what its pages had. */
void weir_engine_slots_return(struct weir_engine *engine);

#endif
