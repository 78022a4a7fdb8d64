/* attend_tiles.h - packed keys and values on registers of LANES floats: a part of attend_lanes.h.
 *
 * Keys and values are the same sum over a tile's indices, with one factor for each: a query's
 * channels, or the weights of positions.
 *
 *   sum[lane] = sum over i of factor[i] * (scale[i] * code(lane, i) + zero[i])
 *             = sum over i of (factor[i] * scale[i]) * code(lane, i)
 *               + sum over i of factor[i] * zero[i]
 *
 * A level gives, beside what attend_lanes.h asks for: type codes, of LANES words, and
 *
 *   load_codes(at)  first_codes(x, bits) the lowest of each word, as floats
 *   next_codes(x, bits) shifted to the next */
#ifndef WEIR_KERNELS_ATTEND_TILES_H
#define WEIR_KERNELS_ATTEND_TILES_H

/* Indices whose factors are scaled at once, and registers that a tile's lanes take. */
enum { TILE_PIECE = 32, TILE_REGISTERS = WEIR_TILE / LANES };

/* What is fetched ahead while a tile is read: as many bytes of tiles as it has. */
struct tile {
    const uint8_t *codes;
    const uint16_t *scales, *zeros;
    const uint8_t *ahead; /* NULL: nothing is */
};

WEIR_INLINE struct tile tile_at(const uint8_t *at, size_t n, const uint8_t *ahead, const int bits)
{
    const uint16_t *scales =
        (const uint16_t *)(const void *)(at + n * WEIR_TILE * (size_t)bits / 8);
    return (struct tile){.codes = at, .scales = scales, .zeros = scales + n, .ahead = ahead};
}

/* What n jobs have of a tile so far. */
struct tile_sums {
    lanes sums[JOBS_MAX][TILE_REGISTERS];
    lanes zeros[JOBS_MAX];
};

WEIR_INLINE void begin_sums(struct tile_sums *of, const int n)
{
    for (int j = 0; j < n; j++) {
        of->zeros[j] = spread(0.0f);
        for (int r = 0; r < TILE_REGISTERS; r++)
            of->sums[j][r] = spread(0.0f);
    }
}

/* scaled[j] = factors times scales of indices [first, first + TILE_PIECE). */
WEIR_INLINE void scale_factors(const struct tile *tile, size_t first,
                               const float *const factors[JOBS_MAX],
                               float scaled[JOBS_MAX][TILE_PIECE], struct tile_sums *of,
                               const int n)
{
    for (size_t i = 0; i < TILE_PIECE; i += LANES) {
        const lanes scales = load_halves(tile->scales + first + i, LANES);
        const lanes zeros = load_halves(tile->zeros + first + i, LANES);
        for (int j = 0; j < n; j++) {
            const lanes factor = load_floats(factors[j] + i, LANES);
            store_floats(scaled[j] + i, multiply(factor, scales), LANES);
            of->zeros[j] = multiply_add(factor, zeros, of->zeros[j]);
        }
    }
}

WEIR_INLINE void ask_tile(const struct tile *tile, size_t first, const int bits)
{
    const size_t bytes = TILE_PIECE * weir_tile_row_bytes(bits, WEIR_TILE);
    for (size_t line = 0; line < bytes && tile->ahead != NULL; line += LINE_BYTES)
        __builtin_prefetch(tile->ahead + first / TILE_PIECE * bytes + line, 0, FIRST_LEVEL);
}

/* TILE_PIECE indices more, from `first` on. factors[j] is job j's, of the first of them. */
WEIR_INLINE void add_piece(const struct tile *tile, size_t first,
                           const float *const factors[JOBS_MAX], struct tile_sums *of, const int n,
                           const int bits)
{
    const int each = 32 / bits;
    const uint8_t *at = tile->codes + first * WEIR_TILE * (size_t)bits / 8;
    float scaled[JOBS_MAX][TILE_PIECE];
    scale_factors(tile, first, factors, scaled, of, n);
    ask_tile(tile, first, bits);
    lanes sums[JOBS_MAX][TILE_REGISTERS]; /* here, so that they are registers */
    for (int j = 0; j < n; j++)
        for (int r = 0; r < TILE_REGISTERS; r++)
            sums[j][r] = of->sums[j][r];
    for (int unit = 0; unit < bits; unit++, at += WEIR_TILE_UNIT_BYTES) {
        codes words[TILE_REGISTERS];
        for (int r = 0; r < TILE_REGISTERS; r++)
            words[r] = load_codes(at + (size_t)r * LANES * sizeof(uint32_t));
        for (int i = 0; i < each; i++)
            for (int r = 0; r < TILE_REGISTERS; r++) {
                const lanes values = first_codes(words[r], bits);
                words[r] = next_codes(words[r], bits);
                for (int j = 0; j < n; j++)
                    sums[j][r] =
                        multiply_add(spread(scaled[j][unit * each + i]), values, sums[j][r]);
            }
    }
    for (int j = 0; j < n; j++)
        for (int r = 0; r < TILE_REGISTERS; r++)
            of->sums[j][r] = sums[j][r];
}

/* Scores of n jobs at the 32 positions of a tile. */
WEIR_INLINE void score_tile(const struct weir_attend_range *range,
                            const struct weir_attention *jobs, weir_attend_scores *scores,
                            const int n, const int bits)
{
    const size_t k_bytes = WEIR_TILE * weir_tile_row_bytes(bits, jobs->d_head);
    const size_t v_bytes = WEIR_TILE * weir_tile_row_bytes(bits, jobs->d_value);
    const uint8_t *at =
        (const uint8_t *)jobs->packed_k + weir_attend_tile(jobs, k_bytes, range->begin);
    const uint8_t *ahead = jobs != range->jobs ? NULL
                                               : (const uint8_t *)jobs->packed_v +
                                                     weir_attend_tile(jobs, v_bytes, range->begin);
    const struct tile tile = tile_at(at, jobs->d_head, ahead, bits);
    struct tile_sums of;
    begin_sums(&of, n);
    for (size_t first = 0; first < jobs->d_head; first += TILE_PIECE) {
        const float *factors[JOBS_MAX];
        for (int j = 0; j < n; j++)
            factors[j] = jobs[j].q + first;
        add_piece(&tile, first, factors, &of, n, bits);
    }
    for (int j = 0; j < n; j++) {
        const lanes zero = spread(sum_of(of.zeros[j]));
        float *to = scores[j] + (range->begin - range->block);
        for (int r = 0; r < TILE_REGISTERS; r++)
            store_floats(to + r * LANES, multiply(add(of.sums[j][r], zero), spread(jobs[j].scale)),
                         LANES);
    }
}

/* Where the keys of the same place in the next block are, which are read after this one's values;
 * NULL: they are no tile. */
WEIR_INLINE const uint8_t *next_keys(const struct weir_attend_range *range, size_t k_bytes)
{
    const struct weir_attention *last = &range->jobs[range->n - 1];
    const size_t next = range->begin + WEIR_ATTEND_BLOCK;
    return next >= last->packed_end
               ? NULL
               : (const uint8_t *)last->packed_k + weir_attend_tile(last, k_bytes, next);
}

/* What each job's positions weigh: those before its first one nothing. */
WEIR_INLINE void weigh_tile(const struct weir_attend_range *range,
                            const struct weir_attention *jobs, const weir_attend_scores *scores,
                            float weights[JOBS_MAX][WEIR_TILE], const int n)
{
    for (int j = 0; j < n; j++)
        for (size_t i = 0; i < WEIR_TILE; i++)
            weights[j][i] = range->begin + i < jobs[j].first
                                ? 0.0f
                                : scores[j][range->begin - range->block + i];
}

/* The values of 32 positions to n outputs. */
WEIR_INLINE void sum_tile(const struct weir_attend_range *range, const struct weir_attention *jobs,
                          const weir_attend_scores *scores, const int n, const int bits)
{
    const size_t k_bytes = WEIR_TILE * weir_tile_row_bytes(bits, jobs->d_head);
    const size_t v_bytes = WEIR_TILE * weir_tile_row_bytes(bits, jobs->d_value);
    const size_t tile_bytes = WEIR_TILE * weir_tile_row_bytes(bits, WEIR_TILE);
    const uint8_t *at =
        (const uint8_t *)jobs->packed_v + weir_attend_tile(jobs, v_bytes, range->begin);
    const uint8_t *ahead = jobs == range->jobs ? next_keys(range, k_bytes) : NULL;
    float weights[JOBS_MAX][WEIR_TILE];
    const float *factors[JOBS_MAX];
    weigh_tile(range, jobs, scores, weights, n);
    for (int j = 0; j < n; j++)
        factors[j] = weights[j];
    for (size_t first = 0; first < jobs->d_value; first += WEIR_TILE) {
        const struct tile tile = tile_at(at, WEIR_TILE, ahead, bits);
        struct tile_sums of;
        begin_sums(&of, n);
        add_piece(&tile, 0, factors, &of, n, bits);
        for (int j = 0; j < n; j++) {
            const lanes zero = spread(sum_of(of.zeros[j]));
            float *out = jobs[j].out + first;
            for (int r = 0; r < TILE_REGISTERS; r++)
                store_floats(out + r * LANES,
                             add(load_floats(out + r * LANES, LANES), add(of.sums[j][r], zero)),
                             LANES);
        }
        at += tile_bytes;
        ahead = ahead == NULL ? NULL : ahead + tile_bytes;
    }
}

/* Where a tile's sums of four jobs are more than there are registers, two at a time. */
WEIR_INLINE void fill_tile(const struct weir_attend_range *range, weir_attend_scores *scores,
                           const int bits)
{
    size_t j = 0;
    for (; TILE_JOBS == 4 && j + 4 <= range->n; j += 4)
        score_tile(range, range->jobs + j, scores + j, 4, bits);
    for (; j + 2 <= range->n; j += 2)
        score_tile(range, range->jobs + j, scores + j, 2, bits);
    if (j < range->n)
        score_tile(range, range->jobs + j, scores + j, 1, bits);
}

WEIR_INLINE void add_tile(const struct weir_attend_range *range, const weir_attend_scores *scores,
                          const int bits)
{
    size_t j = 0;
    for (; TILE_JOBS == 4 && j + 4 <= range->n; j += 4)
        sum_tile(range, range->jobs + j, scores + j, 4, bits);
    for (; j + 2 <= range->n; j += 2)
        sum_tile(range, range->jobs + j, scores + j, 2, bits);
    if (j < range->n)
        sum_tile(range, range->jobs + j, scores + j, 1, bits);
}

static void fill_tile_4(const struct weir_attend_range *range, weir_attend_scores *scores)
{
    fill_tile(range, scores, 4);
}

static void add_tile_4(const struct weir_attend_range *range, const weir_attend_scores *scores)
{
    add_tile(range, scores, 4);
}

static void fill_tile_2(const struct weir_attend_range *range, weir_attend_scores *scores)
{
    fill_tile(range, scores, 2);
}

static void add_tile_2(const struct weir_attend_range *range, const weir_attend_scores *scores)
{
    add_tile(range, scores, 2);
}

#endif
