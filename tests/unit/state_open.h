/* state_open.h - a state of small layers, and the blocks that a device would have. */
#ifndef WEIR_STATE_OPEN_H
#define WEIR_STATE_OPEN_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/heap.h"
#include "state/state_internal.h"
#include "state_layouts.h"

enum {
    CTX = 160,
    DEADLINE_S = 900, /* a test that goes on for ever is killed, and so fails */
};

struct toy {
    struct weir_mem mem;
    struct weir_state_layer layers[LAYERS_MAX];
    struct weir_state_config config;
    weir_state *state;
    uint32_t page_length;
    uint64_t elsewhere[BLOCKS_ELSEWHERE][LAYERS_MAX]; /* what a device has of blocks */
};

/* A sequence, and the ids that it should have. */
struct text {
    weir_sequence *sequence;
    uint32_t ids[CTX];
    uint32_t length;
};

static inline void copy_block(void *user, uint32_t to, uint32_t from)
{
    struct toy *toy = user;
    if (from == WEIR_STATE_NO_PAGE)
        memset(toy->elsewhere[to], 0, sizeof(toy->elsewhere[to]));
    else
        memcpy(toy->elsewhere[to], toy->elsewhere[from], sizeof(toy->elsewhere[to]));
}

static inline void carry(void *user, uint32_t layer, uint32_t number, void *here, bool comes)
{
    struct toy *toy = user;
    uint64_t *there = &toy->elsewhere[number][layer];
    if (comes)
        memcpy(here, there, sizeof(*there));
    else
        memcpy(there, here, sizeof(*there));
}

static inline bool carried_all(void *user)
{
    return user != NULL;
}

static inline void open_toy_of(struct toy *toy, const struct layout *layout, uint32_t n_ctx)
{
    struct weir_err err = {0};
    *toy = (struct toy){.config = layout->config};
    toy->config.n_ctx = n_ctx;
    memcpy(toy->layers, layout->layers, sizeof(toy->layers));
    while (toy->config.layer_count < LAYERS_MAX && toy->layers[toy->config.layer_count].bytes > 0)
        toy->config.layer_count++;
    toy->config.layers = toy->layers;
    memset(toy->elsewhere, 0xa5, sizeof(toy->elsewhere));
    if (toy->config.block_max > 0) {
        toy->config.copy_block = copy_block;
        toy->config.carry = carry;
        toy->config.carried = carried_all;
        toy->config.copy_user = toy;
    }
    weir_mem_init(&toy->mem);
    if (weir_state_create(&toy->state, &toy->config, &toy->mem, &err) != WEIR_OK ||
        weir_mem_open(&toy->mem, &err) != WEIR_OK ||
        weir_state_create(&toy->state, &toy->config, &toy->mem, &err) != WEIR_OK)
        fail_msg("%s: %s", layout->name, err.text);
    weir_mem_seal(&toy->mem);
    toy->page_length = weir_state_page_length(&toy->config);
    assert_int_equal(weir_state_populated_bytes(toy->state), 0);
    weir_state_check(toy->state);
}

static inline void open_toy(struct toy *toy, const struct layout *layout)
{
    open_toy_of(toy, layout, CTX);
}

static inline void close_toy(struct toy *toy)
{
    weir_state_check(toy->state);
    weir_state_destroy(&toy->state);
    assert_null(toy->state);
    weir_mem_close(&toy->mem);
}

static inline struct weir_state_stats stats_of(const struct toy *toy)
{
    struct weir_state_stats stats;
    weir_state_stats_get(toy->state, &stats);
    return stats;
}

#endif
