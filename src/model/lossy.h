/* lossy.h - routing that trades what comes out for fewer reads: off unless it is asked for. */
#ifndef WEIR_MODEL_LOSSY_H
#define WEIR_MODEL_LOSSY_H

#include <stdbool.h>
#include <stdint.h>

struct weir_forward;
struct weir_mem;

struct weir_lossy {
    bool *dropped;  /* [n_chunk][n_expert_used] of the running layer's assignments: left out */
    uint8_t *marks; /* [n_expert] enum weir_record_mark, of the running layer */
    bool is_marked; /* marks are of now: they are asked for, and the step has few rows */
    bool *matters;  /* [n_expert] a row wants more of it than copies have (copies.h) */
};

void weir_lossy_layout(struct weir_forward *forward, struct weir_mem *mem);
/* Engine thread, before the rows of a layer are routed: which of its experts are in memory? */
void weir_lossy_begin(struct weir_forward *forward);
/* A row's best experts, the best first, in ids: those that would have to be read give way to the
 * next best in memory, where these come near enough; the best one stays (Mixture of
 * Cache-Conditional Experts, arXiv:2412.00099 section 3). */
void weir_lossy_prefer(const struct weir_forward *forward, const float *router,
                       const float *selection, uint32_t *ids);
/* Marks what is left out of a row's n_used weights, and makes the others as much as all were where
 * the gate makes weights sum 1 (Not All Experts are Equal, arXiv:2402.14800 section 3.3). */
void weir_lossy_drop(const struct weir_forward *forward, uint64_t row, float *weights);
/* Whether an expert of the running layer is in memory, or on its way; wants is_marked. */
bool weir_lossy_is_here(const struct weir_forward *forward, uint32_t expert);
/* Whether an assignment is left out. */
bool weir_lossy_drops(const struct weir_forward *forward, uint64_t index);

#endif
