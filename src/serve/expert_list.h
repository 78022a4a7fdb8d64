/* expert_list.h - the experts that are worth the most, as told by the only thread that may look.
 *
 * One thread asks, the scheduler's tells when it comes round, and the list is the asker's until it
 * asks again.
 */
#ifndef WEIR_SERVE_EXPERT_LIST_H
#define WEIR_SERVE_EXPERT_LIST_H

#include <stdatomic.h>

#include "base/base.h"
#include "weir.h"

struct weir_expert_list {
    struct weir_expert *experts; /* [most] */
    uint32_t most, count; /* most 0: all experts are in memory, and there is nothing to tell */
    atomic_uint state;    /* whose the list is; acquire and release */
};

/* Bytes of a list for so many experts. */
uint64_t weir_expert_list_bytes(uint64_t expert_count);
/* False: no memory. */
bool weir_expert_list_init(struct weir_expert_list *list, const weir_engine *engine);
void weir_expert_list_deinit(struct weir_expert_list *list);
/* The scheduler's thread: tell, if somebody asks. */
void weir_expert_list_take(struct weir_expert_list *list, weir_engine *engine);
/* What was asked for the last time, and how many; 0: it is not there yet, or there is nothing.
 * *asks: the scheduler's thread has to come round. */
uint32_t weir_expert_list_get(struct weir_expert_list *list, const struct weir_expert **experts,
                              bool *asks);

#endif
