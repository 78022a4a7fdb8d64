/* order.h - numbered things in the order of their use, from the oldest to the newest: each has its
 * own link inside, so that one is taken out, or becomes the newest, without a search. */
#ifndef WEIR_ORDER_H
#define WEIR_ORDER_H

#include <stddef.h>
#include <stdint.h>

#define WEIR_ORDER_NONE UINT32_MAX

/* Of a thing that is in the order; WEIR_ORDER_NONE: there is no older, or newer, one. */
struct weir_order_link {
    uint32_t older, newer;
};

struct weir_order {
    struct weir_order_link *first; /* of thing 0 */
    size_t stride;                 /* bytes from one thing's link to the next one's */
    uint32_t oldest, newest;       /* WEIR_ORDER_NONE: there is none */
};

static inline struct weir_order weir_order_of(struct weir_order_link *first, size_t stride)
{
    return (struct weir_order){first, stride, WEIR_ORDER_NONE, WEIR_ORDER_NONE};
}

static inline struct weir_order_link *weir_order_link(const struct weir_order *order,
                                                      uint32_t thing)
{
    return (struct weir_order_link *)(void *)((uint8_t *)order->first + thing * order->stride);
}

static inline uint32_t weir_order_newer(const struct weir_order *order, uint32_t thing)
{
    return weir_order_link(order, thing)->newer;
}

/* Between two neighbours, either of which may be WEIR_ORDER_NONE. */
static inline void weir_order_put(struct weir_order *order, uint32_t thing, uint32_t older,
                                  uint32_t newer)
{
    *weir_order_link(order, thing) = (struct weir_order_link){older, newer};
    *(older == WEIR_ORDER_NONE ? &order->oldest : &weir_order_link(order, older)->newer) = thing;
    *(newer == WEIR_ORDER_NONE ? &order->newest : &weir_order_link(order, newer)->older) = thing;
}

static inline void weir_order_put_newest(struct weir_order *order, uint32_t thing)
{
    weir_order_put(order, thing, order->newest, WEIR_ORDER_NONE);
}

/* The next older one than another. */
static inline void weir_order_put_before(struct weir_order *order, uint32_t thing, uint32_t newer)
{
    weir_order_put(order, thing, weir_order_link(order, newer)->older, newer);
}

static inline void weir_order_take_out(struct weir_order *order, uint32_t thing)
{
    const struct weir_order_link at = *weir_order_link(order, thing);
    *(at.older == WEIR_ORDER_NONE ? &order->oldest : &weir_order_link(order, at.older)->newer) =
        at.newer;
    *(at.newer == WEIR_ORDER_NONE ? &order->newest : &weir_order_link(order, at.newer)->older) =
        at.older;
}

#endif
