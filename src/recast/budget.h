/* budget.h - which of its formats each tensor gets, so that all fit and little is lost.
 *
 * A choice is worth what it loses less than a smaller one. Each step takes the change that saves
 * the most loss for a byte and still fits: the way along the convex hull of each tensor's choices,
 * which is the best there is but for the last bytes. Those are filled by exchanging pairs. */
#ifndef WEIR_RECAST_BUDGET_H
#define WEIR_RECAST_BUDGET_H

#include "base/base.h"

enum { WEIR_BUDGET_CHOICE_MAX = 24 };

struct weir_budget_item {
    uint32_t choice_count;
    uint32_t chosen; /* set by the choice */
    uint64_t bytes[WEIR_BUDGET_CHOICE_MAX];
    double losses[WEIR_BUDGET_CHOICE_MAX]; /* >= 0, finite */
};

/* False: even the smallest choices have more bytes than limit_bytes; *least_bytes is how many. */
bool weir_budget_choose(struct weir_budget_item *items, uint32_t count, uint64_t limit_bytes,
                        uint64_t *least_bytes);
/* The sum over what was chosen. */
double weir_budget_loss(const struct weir_budget_item *items, uint32_t count);

#endif
