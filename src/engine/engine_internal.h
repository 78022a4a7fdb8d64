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
#include "model/model.h"
#include "store/cache.h"
#include "store/store.h"
#include "sys/sys.h"
#include "text/text.h"
#include "weir.h"
#include "weir_bench.h"

/* What is to be measured; zeros when nothing is. */
static inline struct weir_bench_config weir_bench_of(const struct weir_config *config)
{
    return config->bench == NULL ? (struct weir_bench_config){0} : *config->bench;
}

/* Everything that is known before a byte of weights is read. */
struct weir_blueprint {
    weir_manifest *manifest;
    struct weir_model *model;
    struct weir_tokenizer *tokenizer; /* NULL when the file has no vocabulary, or a wrong one: */
    struct weir_err no_tokenizer;     /* why */
    struct weir_kernels kernels;
    uint64_t description_bytes; /* heap that the above holds */
};

/* On failure nothing is left open. */
enum weir_status weir_blueprint_open(struct weir_blueprint *blueprint,
                                     const struct weir_config *config, struct weir_err *err);
void weir_blueprint_close(struct weir_blueprint *blueprint);

/* The kernels up to a level called by name; NULL: the best. Errors: ARG, UNSUPPORTED. */
enum weir_status weir_kernels_choose(struct weir_kernels *kernels, const char *isa,
                                     struct weir_err *err);

/* What a plan decides. */
struct weir_choice {
    uint32_t n_ctx, n_chunk, n_thread;
    uint32_t n_kv; /* positions whose K and V have memory from the start; slots make room later */
    bool kv_f32;
    bool embedding_on_disk;
    uint64_t caller_bytes;
    uint32_t timeline_events;
    struct weir_policy policy;
    enum weir_predictor predictor;
    uint32_t slot_total; /* over all layers with experts; see weir_choice_layer() */
};

/* The store's view of one layer with the slots that the choice gives it: slots are dealt evenly,
 * what is left over goes to the first layers. */
void weir_choice_layer(const struct weir_blueprint *blueprint, const struct weir_choice *choice,
                       uint32_t layer, struct weir_store_layer *out);
/* Run every layout against mem, PLANNING: afterwards mem knows what the choice needs. */
enum weir_status weir_choice_layout(const struct weir_blueprint *blueprint,
                                    const struct weir_choice *choice, struct weir_mem *mem,
                                    struct weir_err *err);
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

struct weir_engine {
    struct weir_blueprint blueprint;
    struct weir_choice choice;
    struct weir_plan plan;
    struct weir_model_info info;
    struct weir_mode mode;
    struct weir_mem mem;
    weir_pool *pool;
    weir_timeline *timeline; /* in mem; NULL: nothing is recorded */
    weir_io *io;
    weir_io *row_io;   /* of embedding rows; NULL: the table is in memory */
    weir_store *store; /* NULL: a model without experts */
    weir_forward *forward;
    struct weir_guard guard;
    struct weir_kv kv;
    bool has_session;
    /* Who may want a wait for the device to end; see wants_stop() in engine.c. */
    struct weir_load_progress *loading; /* NULL: the model is loaded */
    const _Atomic bool *cancel;         /* of the session that evaluates; NULL: none does */
    bool is_closing;
    enum weir_lookahead lookahead; /* decided: never AUTO where there is nothing to read ahead */
    uint32_t lookahead_m;
    struct weir_trial trial;                /* while lookahead is AUTO */
    uint64_t recall_used, recall_found;     /* at the last reset */
    struct weir_io_stats io_base, row_base; /* counters at the last reset */
};

/* Before positions up to n_position are evaluated: memory for their K and V. NOMEM. */
enum weir_status weir_engine_reach(struct weir_engine *engine, uint32_t n_position,
                                   struct weir_err *err);

#endif
