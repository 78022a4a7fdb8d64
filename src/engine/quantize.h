/* quantize.h - a quantization on its way: the plan (quantize.c), the file (quantize_write.c). */
#ifndef WEIR_QUANTIZE_H
#define WEIR_QUANTIZE_H

#include "engine/divergence.h"
#include "formats/imatrix.h"
#include "recast/recast.h"
#include "weir_files.h"

struct weir_quantizing_rule {
    enum weir_type type;
    uint32_t match_count;
};

struct weir_quantizing {
    const struct weir_quantize_config *config;
    struct weir_quantize_result *result;
    const struct weir_mixture *mixture;
    struct weir_mixture_facts facts;
    struct weir_quantizing_rule *rules; /* [config->rule_count] */
    weir_manifest *manifest;
    weir_imatrix *imatrix; /* NULL: none */
    struct weir_recast_list list;
    struct weir_divergence divergence; /* of a budget, once formats are chosen */
};

/* The list, with the type of each tensor. Errors: as of weir_quantize(). */
enum weir_status weir_quantizing_plan(struct weir_quantizing *quantizing, struct weir_err *err);
/* How many bytes the file would have. */
enum weir_status weir_quantizing_measure(struct weir_quantizing *quantizing, struct weir_err *err);
/* The file, whole and checked, or none. job: all but its memory and its progress. */
enum weir_status weir_quantizing_write(struct weir_quantizing *quantizing,
                                       struct weir_recast_job *job, struct weir_err *err);

/* One more tensor that fell back; pairs of formats beyond the room there is are not counted. */
void weir_fallback_add(struct weir_quantize_fallback fallbacks[WEIR_QUANTIZE_FALLBACK_MAX],
                       uint32_t *count, const struct weir_recast_tensor *tensor);

/* Importance of one matrix of a tensor that has weights. */
weir_recast_weights_fn weir_quantizing_weights;
/* Sets job->mem_bytes, what the ceiling leaves. NOMEM: it is too low. */
enum weir_status weir_quantizing_memory(struct weir_quantizing *quantizing,
                                        struct weir_recast_job *job, struct weir_err *err);

#endif
