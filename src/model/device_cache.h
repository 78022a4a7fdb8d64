/* device_cache.h - experts that come to a device and go while texts run.
 *
 * Slots there belong to sets, as the store's do, and the same policies choose who goes. An expert
 * has a slot from the moment its copy is called; it is used through the layer's tables once the
 * copy has passed, or, sooner, by a step that waits for it.
 */
#ifndef WEIR_MODEL_DEVICE_CACHE_H
#define WEIR_MODEL_DEVICE_CACHE_H

#include "gpu/gpu_ops.h"
#include "model/forward.h"
#include "store/cache.h"

struct weir_device;
struct weir_device_layer;

enum { WEIR_DEVICE_WISH_MAX = 64 };

/* Layers that share slots: each by itself, or, when the policy is pooled, those whose experts are
 * laid out alike. */
struct weir_device_sets {
    uint32_t count;
    uint32_t of[WEIR_LAYER_MAX];          /* of layers whose experts move */
    uint32_t first_layer[WEIR_LAYER_MAX]; /* of a set */
    uint32_t slots[WEIR_LAYER_MAX];       /* of a set */
};

/* Ways of texts through the experts (device_paths.c): how often each text used each expert. */
enum { WEIR_DEVICE_PATHS = 16 };
struct weir_device_paths {
    float *uses;          /* [PATHS + 1][n_layer][n_expert]: of texts before; last, of this one */
    uint32_t count, next; /* of texts before: how many, and where the next one goes */
    uint32_t nearest;     /* which of them went most as this one; PATHS: itself */
};

struct weir_device_cache {
    struct weir_cache cache;
    uint64_t table_bytes;  /* of a layer's three tables */
    uint8_t *tables;       /* [n_layer][table_bytes]: what the device's are to be */
    uint8_t *published[2]; /* the last two on their way there */
    uint64_t published_count;
    bool *is_stale;              /* [n_layer]: the tables there are older */
    uint64_t *turns;             /* [n_layer][n_expert]: of the copy that brings it; 0: it is used
                                    * through the tables, or not there */
    bool *is_ahead;              /* [n_layer][n_expert]: it came before it was wanted */
    uint64_t turn;               /* copies so far */
    uint32_t *held;              /* slots that the last layer's work may still read */
    uint32_t *used, *row_counts; /* [n_expert]: the running layer's experts, and how many rows */
    uint32_t *late;              /* [n_expert]: of those, on their way */
    uint32_t *ranked;            /* [n_expert]: of a guess */
    float *scores;               /* the same */
    uint32_t held_count, used_count, late_count;
    struct weir_record_name wishes[WEIR_DEVICE_WISH_MAX]; /* to go there when there is time */
    uint32_t wish_count, wish_next;
    struct weir_device_paths paths;
    /* Measured: of an expert in each case; 0: not yet. */
    double copy_ns_per_byte; /* across, paced as it is */
    double pace;             /* how many times each byte crosses */
    double gather_ns;        /* into memory that it crosses from */
    double compute_ns;       /* here, for the rows of a token */
    double window_ns;        /* from a layer's wishes to the next one's choice */
    double spare_ns;         /* of waiting, that wishes may take */
    uint64_t window_began_ns;
};

/* ---- device_cache.c -------------------------------------------------------------------------- */

bool weir_device_layer_moves(const struct weir_device *device, uint32_t layer);
void weir_device_find_sets(const struct weir_device *device, struct weir_device_sets *sets);
void weir_device_cache_layout(struct weir_device *device, const struct weir_device_sets *sets,
                              struct weir_mem *mem);
/* Before anything is there: a slot of the layer's set for one that is put there at the load. */
void weir_device_cache_put(struct weir_device *device, uint32_t layer, uint32_t expert);
/* The layer's tables there, for what is called on COMPUTE from now on. */
void weir_device_cache_publish(struct weir_device *device, uint32_t layer);
/* The running layer's choice is known: what it uses is counted, and held until the next layer's is
 * known. */
void weir_device_cache_begin(struct weir_forward *forward, struct weir_device_layer *layer);
void weir_device_cache_end(struct weir_forward *forward);
/* A slot for an expert of a layer, whose copy is called next; false: there is none. Ahead: it takes
 * none of the running layer's. */
bool weir_device_cache_claim(struct weir_device *device, uint32_t layer, uint32_t expert,
                             bool is_ahead);
/* The copy's bytes are there for all that is called on COMPUTE from now on. */
void weir_device_cache_arrive(struct weir_device *device, uint32_t layer, uint32_t expert);
/* Nothing is under way: nothing is held. */
void weir_device_cache_let_go(struct weir_device *device);

/* ---- device_move.c --------------------------------------------------------------------------- */

/* bytes to the device on COPY_IN, as slowly as the plan wants it. */
void weir_device_cross(struct weir_device *device, weir_gpu_address to, const void *from,
                       uint64_t bytes);
/* A lease's slices, each by itself, to a slot. */
void weir_device_cross_slices(struct weir_device *device, const struct weir_device_layer *layer,
                              const struct weir_store_layer *view, const struct weir_lease *lease,
                              weir_gpu_address to);
/* Once, when memory is known to the device: how fast experts cross. Errors: IO. */
enum weir_status weir_device_measure_copies(struct weir_device *device, struct weir_err *err);
/* One expert whose bytes the store has in memory goes there. False: it does not. */
bool weir_device_move(struct weir_forward *forward, uint32_t layer, uint32_t expert, bool is_ahead);
/* Wishes, as far as there is time, while the device is on its way to the running layer's choice. */
void weir_device_make_moves(struct weir_forward *forward);
void weir_device_wish(struct weir_device *device, uint32_t layer, uint32_t expert);
/* Of the running layer's experts that are not there: those that are sooner there than computed
 * here go there. */
void weir_device_move_cheapest(struct weir_forward *forward, struct weir_device_layer *layer);
/* What was measured: experts that were computed here for a token's rows; a wait for a choice. */
void weir_device_count_here(struct weir_device *device, uint32_t count, uint64_t took_ns);
void weir_device_count_wait(struct weir_device *device, uint64_t began_ns);
/* Copies that may still be reading their places here are over. Errors: IO. */
enum weir_status weir_device_await_moves(struct weir_device *device, struct weir_err *err);

/* ---- device_ahead.c -------------------------------------------------------------------------- */

/* On COMPUTE, with the running layer's router: what the next layer's says. */
void weir_device_ask_ahead(struct weir_forward *forward);
/* What comes back of that. */
void weir_device_bring_guess(const struct weir_forward *forward);
/* The running layer's choice is known: wishes about layers that follow. */
void weir_device_guess(struct weir_forward *forward);

/* ---- device_paths.c -------------------------------------------------------------------------- */

void weir_device_paths_layout(struct weir_device *device, struct weir_mem *mem);
/* The running layer's choice is known: it is counted. */
void weir_device_paths_count(struct weir_forward *forward);
/* scores [n_expert]: how often the text that went most as this one used a layer's experts, of 1. */
void weir_device_paths_score(const struct weir_forward *forward, uint32_t layer, float *scores);

#endif
