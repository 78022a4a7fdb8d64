/* panels16_avx512.h - prompts: sixteen rows, a panel of blocks at a time, against many tokens.
 *
 * The file that includes it has: panel_block, sixteen rows' block taken apart; act_blocks, what a
 * pointer to activations is; BLOCK_VALUES; PANEL_BLOCKS, how many stay in the cache; TOKEN_TILE,
 * for how many tokens sums stay in registers; load_panel, which may ask for what lies at `next`;
 * and add_panel, which takes the number of its tokens as a constant. */
#ifndef WEIR_KERNELS_X86_PANELS16_AVX512_H
#define WEIR_KERNELS_X86_PANELS16_AVX512_H

WEIR_INLINE void run_panels(const struct weir_matmul *job, size_t first, size_t n_token,
                            struct rows16 rows, const uint8_t *next, float *y,
                            const enum weir_type type)
{
    panel_block panel[PANEL_BLOCKS];
    __m512 sums[WEIR_TOKENS_MAX];
    const size_t block_count = job->cols / BLOCK_VALUES;
    for (size_t t = 0; t < n_token; t++)
        sums[t] = _mm512_setzero_ps();
    for (size_t from = 0; from < block_count; from += PANEL_BLOCKS) {
        const size_t left = block_count - from;
        const size_t count = left < PANEL_BLOCKS ? left : PANEL_BLOCKS;
        for (size_t at = 0; at < count; at++) {
            load_panel(&rows, next, &panel[at], type);
            rows16_advance(&rows, block_bytes(type));
            next += WEIR_ROWS * block_bytes(type);
        }
        const uint8_t *x =
            (const uint8_t *)job->x + first * job->x_row_bytes + from * sizeof(*(act_blocks)NULL);
        size_t t = 0;
        for (; t + TOKEN_TILE <= n_token; t += TOKEN_TILE)
            add_panel(panel, count, x + t * job->x_row_bytes, job->x_row_bytes, sums + t,
                      TOKEN_TILE, type);
        for (; t + 4 <= n_token; t += 4)
            add_panel(panel, count, x + t * job->x_row_bytes, job->x_row_bytes, sums + t, 4, type);
        for (; t + 2 <= n_token; t += 2)
            add_panel(panel, count, x + t * job->x_row_bytes, job->x_row_bytes, sums + t, 2, type);
        if (t < n_token)
            add_panel(panel, count, x + t * job->x_row_bytes, job->x_row_bytes, sums + t, 1, type);
    }
    for (size_t t = 0; t < n_token; t++)
        rows16_store(&rows, y + t * job->y_stride, 1, sums[t]);
}

#endif
