/* budget.c - formats under a budget of bytes: the hull first, then exchanges. */
#include "recast/budget.h"

static double loss_of(const struct weir_budget_item *item)
{
    return item->losses[item->chosen];
}

static uint64_t bytes_of(const struct weir_budget_item *item)
{
    return item->bytes[item->chosen];
}

double weir_budget_loss(const struct weir_budget_item *items, uint32_t count)
{
    double loss = 0.0;
    for (uint32_t index = 0; index < count; index++)
        loss += loss_of(&items[index]);
    return loss;
}

/* The smallest, and of equals the best. */
static void choose_least(struct weir_budget_item *item)
{
    item->chosen = 0;
    for (uint32_t at = 1; at < item->choice_count; at++)
        if (item->bytes[at] < bytes_of(item) ||
            (item->bytes[at] == bytes_of(item) && item->losses[at] < loss_of(item)))
            item->chosen = at;
}

/* What a change of one item gives: loss saved for bytes, at most `room` more of them. */
struct change {
    uint32_t item, choice;
    double saved;
    uint64_t bytes;
};

static bool is_better(const struct change *one, const struct change *other)
{
    if (other->saved <= 0.0)
        return true;
    return one->saved * (double)weir_max(other->bytes, 1) >
           other->saved * (double)weir_max(one->bytes, 1);
}

/* The best for a byte; saved is 0 when there is none. */
static struct change find_step(const struct weir_budget_item *items, uint32_t count, uint64_t room)
{
    struct change best = {0};
    for (uint32_t index = 0; index < count; index++) {
        const struct weir_budget_item *item = &items[index];
        for (uint32_t at = 0; at < item->choice_count; at++) {
            const struct change change = {
                index, at, loss_of(item) - item->losses[at],
                item->bytes[at] > bytes_of(item) ? item->bytes[at] - bytes_of(item) : 0};
            if (change.saved > 0.0 && change.bytes <= room && is_better(&change, &best))
                best = change;
        }
    }
    return best;
}

/* The most that one other item saves with so much room. */
static struct change find_most(const struct weir_budget_item *items, uint32_t count,
                               uint32_t but_item, uint64_t room)
{
    struct change best = {0};
    for (uint32_t index = 0; index < count; index++) {
        const struct weir_budget_item *item = &items[index];
        for (uint32_t at = 0; index != but_item && at < item->choice_count; at++) {
            const struct change change = {
                index, at, loss_of(item) - item->losses[at],
                item->bytes[at] > bytes_of(item) ? item->bytes[at] - bytes_of(item) : 0};
            if (change.bytes <= room && change.saved > best.saved)
                best = change;
        }
    }
    return best;
}

/* One item gets less, another more, and together they lose less. */
static bool exchange(struct weir_budget_item *items, uint32_t count, uint64_t *used_bytes,
                     uint64_t limit_bytes)
{
    for (uint32_t index = 0; index < count; index++)
        for (uint32_t at = 0; at < items[index].choice_count; at++) {
            struct weir_budget_item *item = &items[index];
            if (item->bytes[at] >= bytes_of(item))
                continue;
            const uint64_t freed = bytes_of(item) - item->bytes[at];
            const double lost = item->losses[at] - loss_of(item);
            const struct change best =
                find_most(items, count, index, limit_bytes - *used_bytes + freed);
            if (best.saved <= lost)
                continue;
            *used_bytes -= bytes_of(item) + bytes_of(&items[best.item]);
            item->chosen = at;
            items[best.item].chosen = best.choice;
            *used_bytes += bytes_of(item) + bytes_of(&items[best.item]);
            return true;
        }
    return false;
}

bool weir_budget_choose(struct weir_budget_item *items, uint32_t count, uint64_t limit_bytes,
                        uint64_t *least_bytes)
{
    enum { EXCHANGE_MAX = 1000 };
    uint64_t used_bytes = 0;
    for (uint32_t index = 0; index < count; index++) {
        choose_least(&items[index]);
        used_bytes += bytes_of(&items[index]);
    }
    *least_bytes = used_bytes;
    if (used_bytes > limit_bytes)
        return false;
    for (uint32_t round = 0; round < EXCHANGE_MAX; round++) {
        for (struct change step = find_step(items, count, limit_bytes - used_bytes);
             step.saved > 0.0; step = find_step(items, count, limit_bytes - used_bytes)) {
            used_bytes -= bytes_of(&items[step.item]);
            items[step.item].chosen = step.choice;
            used_bytes += bytes_of(&items[step.item]);
        }
        if (!exchange(items, count, &used_bytes, limit_bytes))
            break;
    }
    return true;
}
