/* device.h - layers of a model on a device that computes: what is there, and its part of a step.
 *
 * A layer on the device has its mixer, norms, router, dense and shared network and its keys and
 * values there; of its experts some, or all. The others are computed here, from the store's slots,
 * and join theirs before the sum. Which layers, and how many experts, is decided before anything is
 * loaded (engine/placement.c).
 */
#ifndef WEIR_MODEL_DEVICE_H
#define WEIR_MODEL_DEVICE_H

#include "gpu/gpu_ops.h"
#include "model/forward.h"
#include "store/cache.h"

/* How a prompt's rows come to experts that are not there: copied where that is sooner than to
 * compute them here, or one way always, for tests and measurements. */
enum weir_device_copies {
    WEIR_DEVICE_COPIES_AUTO,
    WEIR_DEVICE_COPIES_ALWAYS,
    WEIR_DEVICE_COPIES_NEVER,
};
enum { WEIR_DEVICE_TRANSIT_MAX = 8 };

/* Whether experts of layers that are there come and go while texts run. */
enum weir_device_moves {
    WEIR_DEVICE_STAY, /* no: the others are computed here */
    /* All are computed there, and go there when a step wants them: a result's bits do not depend on
     * which were there. */
    WEIR_DEVICE_DEMAND,
    WEIR_DEVICE_CHEAPEST, /* each step's where they are sooner, as measured: the bits go by that */
};

/* What goes there before it is wanted. */
enum weir_device_ahead {
    WEIR_DEVICE_NO_GUESS,
    WEIR_DEVICE_BY_GATE, /* what the next layer's router says of this one's input (Fate) */
    WEIR_DEVICE_BY_PATH, /* what texts that went the same way used (MoE-Infinity) */
};

/* What is on the device. */
struct weir_device_plan {
    bool has_output;        /* the last norm and the output matrix */
    uint32_t n_layer;       /* that are there; 0: nothing is */
    uint32_t transit_count; /* experts that cross together; 0: none do */
    enum weir_device_copies copies;
    enum weir_device_moves moves;
    enum weir_device_ahead ahead;
    struct weir_policy policy; /* of experts that move: which one gives up its place */
    bool is_serial;            /* to measure: one crosses, and is computed, after the other */
    double pace_bytes_per_s;   /* to measure: experts cross no faster; 0: as fast as they do */
    uint32_t page_length, page_max, table_length; /* of keys and values; as the state has them */
    uint32_t block_max;                           /* of recurrent state; the same */
    enum weir_kv kv;
    struct {
        bool is_there;
        uint32_t expert_count; /* of its experts, those there */
    } layers[WEIR_LAYER_MAX];
};

typedef struct weir_device weir_device;

struct weir_device_config {
    struct weir_model *model;
    const struct weir_device_plan *plan; /* borrowed */
    uint32_t n_chunk;
    /* While opening: */
    weir_timeline *timeline;
    weir_io *io; /* the model's files; experts are read through staging (WEIR_IO_ALIGN aligned) */
    void *staging;
    uint64_t staging_bytes;
    /* Experts that are to be there before others of their layer, the first of them first. */
    const struct weir_record_name *wanted;
    uint32_t wanted_count;
    weir_model_progress_fn *progress; /* of experts; may be NULL */
    void *progress_user;
};

/* Why a layer cannot be on a device of that kind, whatever its memory: a phrase; NULL: it can. */
const char *weir_device_refusal(const struct weir_model *model, uint32_t layer,
                                enum weir_gpu_kind kind, enum weir_kv kv);
/* The same of the output matrix. */
const char *weir_device_output_refusal(const struct weir_model *model, enum weir_gpu_kind kind);

/* Ask both for memory: gpu_mem for all that is on the device, mem (use SCRATCH) for what crosses.
 * Both are planning, and *out stays NULL, or both are open: then the trunk is in memory, and what
 * the plan has goes to the device. The device borrows gpu_mem's gpu until destroy. Errors: what io
 * and gpu report; CANCELLED; NOMEM. */
enum weir_status weir_device_create(weir_device **out, const struct weir_device_config *config,
                                    struct weir_gpu_mem *gpu_mem, struct weir_mem *mem,
                                    struct weir_err *err);
void weir_device_destroy(weir_device **device);
/* For the state: user is the weir_device. */
weir_state_copy_fn weir_device_copy_page, weir_device_copy_block;
weir_state_carry_fn weir_device_carry;
weir_state_carried_fn weir_device_carried;

/* Whether a layer, which is there, has this expert there. */
bool weir_device_holds(const weir_device *device, uint32_t layer, uint32_t expert);
/* Assignments of experts since create, and how many were computed on the device. */
struct weir_device_stats {
    uint64_t uses, uses_there;
    uint64_t copied;       /* experts that went there because a step wanted them */
    uint64_t copied_bytes; /* of all that went there */
    uint64_t ahead,
        ahead_used; /* that went before, and were then used by their layer's next step */
    /* Of layers whose experts move, each expert once a step: those that were used, that were there
     * by then, and that were on their way. */
    uint64_t wanted, hits, late;
    uint64_t wait_ns; /* this thread waited for a layer's choice */
};
void weir_device_stats_get(const weir_device *device, struct weir_device_stats *stats);
void weir_device_stats_reset(weir_device *device);

#endif
