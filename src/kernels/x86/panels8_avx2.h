/* panels8_avx2.h - prompts: two times eight rows, a panel of blocks at a time, against many tokens.
 *
 * The file that includes it has: panel_block, eight rows' block taken apart; act_blocks, what a
 * pointer to activations is; BLOCK_VALUES; PANEL_BLOCKS, how many stay in the cache; TOKEN_TILE,
 * for how many tokens sums stay in registers; load_panel, which may ask for what lies at `next`;
 * and add_panel, which takes the number of its tokens as a constant. */
#ifndef WEIR_KERNELS_X86_PANELS8_AVX2_H
#define WEIR_KERNELS_X86_PANELS8_AVX2_H

WEIR_INLINE void run_panels(const struct weir_matmul *job, size_t first, size_t n_token,
                            struct tile tile, const uint8_t *next, float *y,
                            const enum weir_type type)
{
    struct rows8 rows[PARTS] = {part_rows(&tile, 0), part_rows(&tile, 1)};
    panel_block panel[PANEL_BLOCKS][PARTS];
    __m256 sums[WEIR_TOKENS_MAX][PARTS];
    const size_t block_count = job->cols / BLOCK_VALUES;
    for (size_t t = 0; t < n_token; t++)
        sums[t][0] = sums[t][1] = _mm256_setzero_ps();
    for (size_t from = 0; from < block_count; from += PANEL_BLOCKS) {
        const size_t left = block_count - from;
        const size_t count = left < PANEL_BLOCKS ? left : PANEL_BLOCKS;
        for (size_t at = 0; at < count; at++)
            for (int part = 0; part < PARTS; part++) {
                load_panel(&rows[part], next, &panel[at][part], type);
                rows8_advance(&rows[part], block_bytes(type));
                next += WEIR_LANES * block_bytes(type);
            }
        const uint8_t *x =
            (const uint8_t *)job->x + first * job->x_row_bytes + from * sizeof(*(act_blocks)NULL);
        size_t t = 0;
        for (; t + TOKEN_TILE <= n_token; t += TOKEN_TILE)
            add_panel(panel, count, x + t * job->x_row_bytes, job->x_row_bytes, sums + t,
                      TOKEN_TILE, type);
        for (; t + 2 <= n_token; t += 2)
            add_panel(panel, count, x + t * job->x_row_bytes, job->x_row_bytes, sums + t, 2, type);
        if (t < n_token)
            add_panel(panel, count, x + t * job->x_row_bytes, job->x_row_bytes, sums + t, 1, type);
    }
    for (size_t t = 0; t < n_token; t++)
        parts_store(&tile, rows, y + t * job->y_stride, sums[t]);
}

#endif
