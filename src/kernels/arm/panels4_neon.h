/* panels4_neon.h - prompts: four rows, a panel of blocks at a time, against many tokens.
 *
 * The file that includes it has: panel_block, four rows' block taken apart; act_blocks, what a
 * pointer to activations is; BLOCK_VALUES; PANEL_BLOCKS, how many stay in the cache; load_panel;
 * and add_panel, which takes the number of its tokens as a constant. */
#ifndef WEIR_KERNELS_ARM_PANELS4_NEON_H
#define WEIR_KERNELS_ARM_PANELS4_NEON_H

WEIR_INLINE void run_panels(const struct weir_matmul *job, size_t first, size_t n_token,
                            struct rows4 rows, float *y, const enum weir_type type)
{
    panel_block panel[PANEL_BLOCKS];
    float32x4_t sums[WEIR_TOKENS_MAX];
    const size_t block_count = job->cols / BLOCK_VALUES;
    for (size_t t = 0; t < n_token; t++)
        sums[t] = vdupq_n_f32(0.0f);
    for (size_t from = 0; from < block_count; from += PANEL_BLOCKS) {
        const size_t left = block_count - from;
        const size_t count = left < PANEL_BLOCKS ? left : PANEL_BLOCKS;
        for (size_t at = 0; at < count; at++) {
            load_panel(&rows, &panel[at], type);
            rows4_advance(&rows, block_bytes(type));
        }
        const uint8_t *x =
            (const uint8_t *)job->x + first * job->x_row_bytes + from * sizeof(*(act_blocks)NULL);
        size_t t = 0;
        for (; t + WEIR_TOKEN_TILE <= n_token; t += WEIR_TOKEN_TILE)
            add_panel(panel, count, x + t * job->x_row_bytes, job->x_row_bytes, sums + t,
                      WEIR_TOKEN_TILE, type);
        for (; t < n_token; t++)
            add_panel(panel, count, x + t * job->x_row_bytes, job->x_row_bytes, sums + t, 1, type);
    }
    for (size_t t = 0; t < n_token; t++)
        rows4_store(&rows, y + t * job->y_stride, sums[t]);
}

#endif
