/* q32_avx512vnni.c - blocks of 32 values with integer dot products: sixteen rows are the lanes.
 *
 * A block is eight registers of steps, unsigned as vpdpbusd wants them. What that adds to signed
 * ones, 128 each, the activations' offset takes away as the integer sum's first term. Where sums of
 * products stay small, one token's rows are folded instead (docs/decisions/0011-folded-rows.md).
 *
 * I1  One output is summed block by block from the left: sum = fma(float(integer dot),
 *     weight scale * activation scale, sum), whatever the number of rows and tokens. */
#include "kernels/x86/q32_blocks.h"
#include "kernels/x86/walk16_avx512.h"

enum { PANEL_BLOCKS = 16, TOKEN_TILE = 8 };

/* One block of 16 rows. */
struct block {
    __m512i steps[8];
    __m512 scale;
    __m512 minimum; /* Q4_1 and Q5_1 only */
};

typedef const struct weir_act_q8_32 *act_blocks;
typedef struct block panel_block;
enum { BLOCK_VALUES = 32 };

/* Q4_0's steps are taken 16 times larger for a sixteenth of the scale, Q5_0's 8 times for an
 * eighth: so their middle becomes 128 too. All of it is exact. */
WEIR_INLINE unsigned steps_shift(const enum weir_type type)
{
    return type == WEIR_TYPE_Q4_0 ? 4 : type == WEIR_TYPE_Q5_0 ? 3 : 0;
}

/* weir_mxfp4_scale() of each row's first byte: half of 2^(e - 127), whose bits are e << 23 but for
 * the least; 255 is infinite. */
WEIR_INLINE __m512 load_powers(struct rows16 *rows)
{
    __m512i words[4];
    rows16_words(rows, offsetof(struct weir_mxfp4, e), words);
    const __m512i e = _mm512_and_si512(words[0], _mm512_set1_epi32(255));
    const __m512i powers = _mm512_max_epi32(_mm512_slli_epi32(e, 23), _mm512_set1_epi32(1 << 22));
    return _mm512_mul_ps(_mm512_castsi512_ps(powers), _mm512_set1_ps(0.5f));
}

/* The fifth bits, which lie before the nibbles, put above them: bit 4 k + j of a row's word belongs
 * to byte j of register k. */
WEIR_INLINE void add_fifth_bits(struct rows16 *rows, __m512i steps[8], const enum weir_type type)
{
    const __m512i fifth = _mm512_set1_epi8((char)(16 << steps_shift(type)));
    __m512i words[4];
    rows16_words(rows, steps_at(type) - 4, words);
    for (int k = 0; k < 8; k++) {
        const __m512i same =
            _mm512_add_epi8(_mm512_set4_epi32(0x0c0c0c0c, 0x08080808, 0x04040404, 0),
                            _mm512_set1_epi8((char)(k / 2)));
        const __m512i mask = _mm512_set1_epi32(k % 2 == 0 ? 0x08040201 : (int)0x80402010);
        const __mmask64 is_set = _mm512_test_epi8_mask(_mm512_shuffle_epi8(words[0], same), mask);
        steps[k] = _mm512_mask_add_epi8(steps[k], is_set, steps[k], fifth);
    }
}

WEIR_INLINE void load_scales(struct rows16 *rows, struct block *block, const enum weir_type type)
{
    const float smaller = 1.0f / (float)(1 << steps_shift(type));
    block->scale = type == WEIR_TYPE_MXFP4 ? load_powers(rows) : rows16_halves(rows, 0);
    if (steps_shift(type) > 0)
        block->scale = _mm512_mul_ps(block->scale, _mm512_set1_ps(smaller));
    block->minimum = _mm512_setzero_ps();
    if (has_minimum(type))
        block->minimum = rows16_halves(rows, offsetof(struct weir_q4_1, m));
}

WEIR_INLINE void load_block(struct rows16 *rows, struct block *block, const enum weir_type type)
{
    const __m512i sign = _mm512_set1_epi8(-128);
    load_scales(rows, block, type);
    rows16_words(rows, steps_at(type), block->steps);
    if (type == WEIR_TYPE_Q8_0) {
        rows16_words(rows, steps_at(type) + 16, block->steps + 4);
        for (int i = 0; i < 8; i++)
            block->steps[i] = _mm512_xor_si512(block->steps[i], sign);
        return;
    }
    const unsigned shift = steps_shift(type);
    const __m512i mask = _mm512_set1_epi8((char)(15 << shift));
    for (int i = 0; i < 4; i++) {
        const __m512i both = block->steps[i];
        block->steps[i] = _mm512_and_si512(_mm512_slli_epi16(both, shift), mask);
        block->steps[i + 4] = _mm512_and_si512(_mm512_srli_epi16(both, 4 - shift), mask);
    }
    if (has_fifth_bits(type))
        add_fifth_bits(rows, block->steps, type);
    if (has_codes(type)) {
        const int8_t *steps = type == WEIR_TYPE_MXFP4 ? weir_mxfp4_steps : weir_iq4_nl_steps;
        const __m512i table = _mm512_xor_si512(
            _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)steps)), sign);
        for (int i = 0; i < 8; i++)
            block->steps[i] = _mm512_shuffle_epi8(table, block->steps[i]);
    }
}

/* The first term of a block's integer sum. */
WEIR_INLINE __m512i first_term(const struct weir_act_q8_32 *x, const enum weir_type type)
{
    return has_minimum(type) ? _mm512_setzero_si512() : spread_word(&x->offset);
}

/* *sum += a block's integer sum, scaled. */
WEIR_INLINE void add_dot(const struct block *block, const struct weir_act_q8_32 *x, __m512i dot,
                         __m512 *sum, const enum weir_type type)
{
    const __m512 scale = _mm512_mul_ps(block->scale, _mm512_set1_ps(x->scale));
    *sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot), scale, *sum);
    if (has_minimum(type))
        *sum = _mm512_fmadd_ps(block->minimum, _mm512_set1_ps(x->sum), *sum);
}

/* sums[t] += one block times token t's, t in [0, n). */
WEIR_INLINE void add_block(const struct block *block, const act_blocks *x, size_t at, __m512 *sums,
                           const int n, const enum weir_type type)
{
    __m512i dots[TOKEN_TILE];
    for (int t = 0; t < n; t++)
        dots[t] = first_term(&x[t][at], type);
    for (int i = 0; i < 8; i++)
        for (int t = 0; t < n; t++)
            dots[t] =
                _mm512_dpbusd_epi32(dots[t], block->steps[i], spread_word(x[t][at].q + 4 * i));
    for (int t = 0; t < n; t++)
        add_dot(block, &x[t][at], dots[t], &sums[t], type);
}

/* A panel against n tokens of which x is the first. */
WEIR_INLINE void add_panel(const struct block *panel, size_t count, const uint8_t *x,
                           size_t x_row_bytes, __m512 *sums, const int n, const enum weir_type type)
{
    act_blocks rows[TOKEN_TILE];
    __m512 sum[TOKEN_TILE];
    for (int t = 0; t < n; t++) {
        rows[t] = (act_blocks)(const void *)(x + (size_t)t * x_row_bytes);
        sum[t] = sums[t];
    }
    for (size_t at = 0; at < count; at++)
        add_block(&panel[at], rows, at, sum, n, type);
    for (int t = 0; t < n; t++)
        sums[t] = sum[t];
}

WEIR_INLINE void load_panel(struct rows16 *rows, const uint8_t *next, struct block *block,
                            const enum weir_type type)
{
    const size_t tile_bytes = WEIR_ROWS * block_bytes(type);
    prefetch_bytes(next, tile_bytes);
    load_block(rows, block, type);
}

#include "kernels/x86/panels16_avx512.h"

/* Q8_0 goes by faster than the CPU reads ahead by itself. */
enum { BYTES_AHEAD = 512 };

WEIR_INLINE void ask_ahead(const struct rows16 *rows, const enum weir_type type)
{
    if (type != WEIR_TYPE_Q8_0)
        return;
    for (int row = 0; row < WEIR_LANES; row++)
        prefetch_near(rows16_row(rows, row) + BYTES_AHEAD, 1);
}

/* Nibbles times bytes: the sum of eight products, and of sixteen, fits 16 bits. */
WEIR_INLINE bool is_folded(const enum weir_type type)
{
    return type == WEIR_TYPE_Q4_0 || type == WEIR_TYPE_Q4_1;
}

/* `first` plus the integer dots of sixteen rows' blocks. A register has bytes of four rows as they
 * lie; `low` and `high` are what their low and high nibbles are multiplied with. */
WEIR_INLINE __m512i dot_folded(struct rows16 *rows, __m512i low, __m512i high, __m512i first,
                               const enum weir_type type)
{
    const __m512i mask = _mm512_set1_epi8(15);
    const __m512i one = _mm512_set1_epi16(1);
    __m512i sums[4];
    for (int j = 0; j < 4; j++) {
        const __m512i both = rows16_quad(rows, j, steps_at(type));
        const __m512i steps = _mm512_and_si512(_mm512_srli_epi16(both, 4), mask);
        sums[j] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), _mm512_and_si512(both, mask), low);
        sums[j] = _mm512_dpbusd_epi32(sums[j], steps, high);
    }
    const __m512i ab = _mm512_madd_epi16(_mm512_packs_epi32(sums[0], sums[1]), one);
    const __m512i cd = _mm512_madd_epi16(_mm512_packs_epi32(sums[2], sums[3]), one);
    return _mm512_dpwssd_epi32(first, _mm512_packs_epi32(ab, cd),
                               _mm512_set1_epi16((short)(1 << steps_shift(type))));
}

/* *sum += a block of sixteen rows times x. */
WEIR_INLINE void add_rows(struct rows16 *rows, const struct weir_act_q8_32 *x, __m512 *sum,
                          const enum weir_type type)
{
    struct block block;
    if (is_folded(type)) {
        load_scales(rows, &block, type);
        const __m512i dot = dot_folded(rows, spread_quarter(x->q), spread_quarter(x->q + 16),
                                       first_term(x, type), type);
        add_dot(&block, x, dot, sum, type);
    } else {
        load_block(rows, &block, type);
        add_block(&block, &x, 0, sum, 1, type);
    }
}

/* One token: blocks go from memory through registers into the sum. tiles: what rows in order ask
 * for; NULL: they are streams. */
WEIR_INLINE void run_one(const struct weir_matmul *job, struct rows16 rows, struct tiles *tiles,
                         size_t apart, float *y, const enum weir_type type)
{
    const size_t tile_bytes = WEIR_LANES * block_bytes(type);
    const act_blocks x = job->x;
    __m512 sum = _mm512_setzero_ps();
    for (size_t at = 0; at < job->cols / 32; at++) {
        if (tiles != NULL)
            tiles_ask(tiles, tile_bytes, &rows);
        else
            ask_ahead(&rows, type);
        add_rows(&rows, &x[at], &sum, type);
        rows16_advance(&rows, block_bytes(type));
    }
    rows16_store(&rows, y, apart, sum);
}

/* Lanes 0 to 7 are a, the others b. */
WEIR_INLINE __m512i pair_words(const void *a, const void *b)
{
    return _mm512_mask_mov_epi32(spread_word(a), 0xff00, spread_word(b));
}

WEIR_INLINE __m512 pair_floats(float a, float b)
{
    return _mm512_mask_mov_ps(_mm512_set1_ps(a), 0xff00, _mm512_set1_ps(b));
}

WEIR_INLINE __m512i pair_quarters(const int8_t *a, const int8_t *b)
{
    const __m128i second = _mm_loadu_si128((const __m128i *)(const void *)b);
    return _mm512_mask_broadcast_i32x4(spread_quarter(a), 0xff00, second);
}

/* The integer dots of eight rows' blocks with a, and of their second blocks with b. */
WEIR_INLINE __m512i dot_pair(struct rows16 *rows, struct block *block,
                             const struct weir_act_q8_32 *a, const struct weir_act_q8_32 *b,
                             const enum weir_type type)
{
    __m512i dots = has_minimum(type) ? _mm512_setzero_si512() : pair_words(&a->offset, &b->offset);
    if (is_folded(type)) {
        load_scales(rows, block, type);
        return dot_folded(rows, pair_quarters(a->q, b->q), pair_quarters(a->q + 16, b->q + 16),
                          dots, type);
    }
    load_block(rows, block, type);
    for (int i = 0; i < 8; i++)
        dots = _mm512_dpbusd_epi32(dots, block->steps[i], pair_words(a->q + 4 * i, b->q + 4 * i));
    return dots;
}

/* sum plus two neighbouring blocks of eight rows, or plus the first of them. */
WEIR_INLINE __m256 add_pair(struct rows16 *rows, const struct weir_act_q8_32 *x, __m256 sum,
                            const int count, const enum weir_type type)
{
    const struct weir_act_q8_32 *a = x;
    const struct weir_act_q8_32 *b = x + count - 1;
    struct block block;
    const __m512 dots = _mm512_cvtepi32_ps(dot_pair(rows, &block, a, b, type));
    const __m512 scale = _mm512_mul_ps(block.scale, pair_floats(a->scale, b->scale));
    sum = _mm256_fmadd_ps(_mm512_castps512_ps256(dots), _mm512_castps512_ps256(scale), sum);
    if (has_minimum(type))
        sum = _mm256_fmadd_ps(_mm512_castps512_ps256(block.minimum), _mm256_set1_ps(a->sum), sum);
    if (count == 1)
        return sum;
    sum = _mm256_fmadd_ps(_mm512_extractf32x8_ps(dots, 1), _mm512_extractf32x8_ps(scale, 1), sum);
    if (has_minimum(type))
        sum =
            _mm256_fmadd_ps(_mm512_extractf32x8_ps(block.minimum, 1), _mm256_set1_ps(b->sum), sum);
    return sum;
}

/* Q8_0: two neighbouring blocks are 17 words, a scale in the first and one in the middle. No load
 * is for a scale alone, and hardly one for bytes that another has. */
enum { TWO_WORDS = 17, TWO_MIDDLE = 8 };

/* Sixteen of the activations' bytes from `byte` on, as words that lanes 0 to 7 have from a, the
 * others from b. */
WEIR_INLINE void spread_quad(const struct weir_act_q8_32 *a, const struct weir_act_q8_32 *b,
                             int byte, __m512i words[4])
{
    const __m128i low = _mm_loadu_si128((const __m128i *)(const void *)(a->q + byte));
    const __m128i high = _mm_loadu_si128((const __m128i *)(const void *)(b->q + byte));
    const __m512i quad = _mm512_mask_broadcast_i32x4(_mm512_broadcast_i32x4(low), 0xff00, high);
    words[0] = _mm512_shuffle_epi32(quad, 0x00);
    words[1] = _mm512_shuffle_epi32(quad, 0x55);
    words[2] = _mm512_shuffle_epi32(quad, 0xaa);
    words[3] = _mm512_shuffle_epi32(quad, 0xff);
}

/* Only the steps among a word's bytes are kept. */
WEIR_INLINE __m512i add_word(__m512i dots, __m512i word, __m512i x, unsigned steps)
{
    const __m512i above = _mm512_xor_si512(word, _mm512_set1_epi8(-128));
    return _mm512_dpbusd_epi32(dots, _mm512_and_si512(above, _mm512_set1_epi32((int)steps)), x);
}

WEIR_INLINE __m512 halves_of(__m512i words)
{
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(words));
}

/* dots[i], scales[i]: block i of eight rows, and in lanes 8 to 15 block i + 2; both with x's. */
WEIR_INLINE void dot_two(struct rows16 *rows, const struct weir_act_q8_32 *x, __m512i dots[2],
                         __m512 scales[2])
{
    __m512i words[TWO_WORDS];
    __m512i last[4];
    __m512i near[12];
    for (size_t i = 0; i + 4 <= TWO_WORDS; i += 4)
        rows16_words(rows, 4 * i, words + i);
    rows16_words(rows, (TWO_WORDS - 4) * sizeof(uint32_t), last);
    words[TWO_WORDS - 1] = last[3];
    for (int i = 0; i < 2; i++) {
        const __m512i scale = i == 0 ? words[0] : _mm512_srli_epi32(words[TWO_MIDDLE], 16);
        scales[i] = _mm512_mul_ps(halves_of(scale), pair_floats(x[i].scale, x[i + 2].scale));
        dots[i] = pair_words(&x[i].offset, &x[i + 2].offset);
    }
    /* The first block's steps begin in the middle of a word. */
    spread_quad(&x[0], &x[2], -2, near);
    spread_quad(&x[0], &x[2], 14, near + 4);
    spread_quad(&x[0], &x[2], 30, near + 8);
    dots[0] = add_word(dots[0], words[0], near[0], 0xffff0000);
    for (int i = 1; i < TWO_MIDDLE; i++)
        dots[0] = add_word(dots[0], words[i], near[i], 0xffffffff);
    dots[0] = add_word(dots[0], words[TWO_MIDDLE], near[TWO_MIDDLE], 0x0000ffff);
    spread_quad(&x[1], &x[3], 0, near);
    spread_quad(&x[1], &x[3], 16, near + 4);
    for (int i = 0; i < 8; i++)
        dots[1] = add_word(dots[1], words[TWO_MIDDLE + 1 + i], near[i], 0xffffffff);
}

/* sum plus four neighbouring blocks of eight rows of Q8_0. */
WEIR_INLINE __m256 add_four(struct rows16 *rows, const struct weir_act_q8_32 *x, __m256 sum)
{
    __m512i integers[2];
    __m512 scales[2];
    dot_two(rows, x, integers, scales);
    const __m512 dots[2] = {_mm512_cvtepi32_ps(integers[0]), _mm512_cvtepi32_ps(integers[1])};
    for (int i = 0; i < 2; i++)
        sum = _mm256_fmadd_ps(_mm512_castps512_ps256(dots[i]), _mm512_castps512_ps256(scales[i]),
                              sum);
    for (int i = 0; i < 2; i++)
        sum = _mm256_fmadd_ps(_mm512_extractf32x8_ps(dots[i], 1),
                              _mm512_extractf32x8_ps(scales[i], 1), sum);
    return sum;
}

/* One token, eight rows: several blocks of each at once. */
WEIR_INLINE void run_pairs(const struct weir_matmul *job, struct rows16 rows, struct tiles *tiles,
                           float *y, const enum weir_type type)
{
    const size_t group_bytes = WEIR_LANES / 2 * block_bytes(type);
    const size_t block_count = job->cols / 32;
    const struct weir_act_q8_32 *x = job->x;
    __m256 sum = _mm256_setzero_ps();
    size_t at = 0;
    if (type == WEIR_TYPE_Q8_0) {
        rows8x2_apart(&rows, block_bytes(type));
        for (; at + 4 <= block_count; at += 4) {
            tiles_ask(tiles, 4 * group_bytes, &rows);
            sum = add_four(&rows, x + at, sum);
            rows16_advance(&rows, 4 * block_bytes(type));
        }
        rows8x2_nearer(&rows, block_bytes(type));
    }
    for (; at + 2 <= block_count; at += 2) {
        tiles_ask(tiles, 2 * group_bytes, &rows);
        sum = add_pair(&rows, x + at, sum, 2, type);
        rows16_advance(&rows, 2 * block_bytes(type));
    }
    if (at < block_count) {
        rows8x2_nearer(&rows, block_bytes(type));
        sum = add_pair(&rows, x + at, sum, 1, type);
    }
    rows8x2_store(&rows, y, sum);
}

WEIR_INLINE void run_stream(const struct weir_matmul *job, struct rows16 rows, size_t apart,
                            float *y, const enum weir_type type)
{
    run_one(job, rows, NULL, apart, y, type);
}

/* A tile and what is asked for share the L1 cache: wide rows make tiles of eight. */
enum { TILE_BYTES = 28 << 10 };

WEIR_INLINE void run_in_order(const struct weir_matmul *job, const enum weir_type type)
{
    const bool is_wide = type == WEIR_TYPE_Q8_0 || WEIR_LANES * job->w_row_bytes > TILE_BYTES;
    const size_t count = is_wide ? WEIR_LANES / 2 : WEIR_LANES;
    const size_t blocks = !is_wide ? 1 : type == WEIR_TYPE_Q8_0 ? 4 : 2;
    const bool asks_twice = type != WEIR_TYPE_Q8_0 && type != WEIR_TYPE_Q4_0;
    struct tiles tiles = tiles_first(job, count, count * blocks * block_bytes(type), asks_twice);
    for (; tiles.row < job->row_end; tiles_next(&tiles, count)) {
        const size_t left = job->row_end - tiles.row;
        float *y = job->y + tiles.row;
        if (is_wide)
            run_pairs(job, rows8x2_at(tiles.w, job->w_row_bytes, left, block_bytes(type)), &tiles,
                      y, type);
        else
            run_one(job, rows16_at(tiles.w, job->w_row_bytes, left), &tiles, 1, y, type);
    }
}

WEIR_ROWS16_MATMUL(q8_0, WEIR_TYPE_Q8_0)
WEIR_ROWS16_MATMUL(q4_0, WEIR_TYPE_Q4_0)
WEIR_ROWS16_MATMUL(q4_1, WEIR_TYPE_Q4_1)
WEIR_ROWS16_MATMUL(q5_0, WEIR_TYPE_Q5_0)
WEIR_ROWS16_MATMUL(q5_1, WEIR_TYPE_Q5_1)
WEIR_ROWS16_MATMUL(iq4_nl, WEIR_TYPE_IQ4_NL)
WEIR_ROWS16_MATMUL(mxfp4, WEIR_TYPE_MXFP4)

void weir_q32_init_vnni(struct weir_kernels *kernels, bool in_order)
{
    kernels->matmul[WEIR_TYPE_Q8_0] = in_order ? matmul_q8_0_in_order : matmul_q8_0;
    kernels->matmul[WEIR_TYPE_Q4_0] = in_order ? matmul_q4_0_in_order : matmul_q4_0;
    kernels->matmul[WEIR_TYPE_Q4_1] = in_order ? matmul_q4_1_in_order : matmul_q4_1;
    kernels->matmul[WEIR_TYPE_Q5_0] = in_order ? matmul_q5_0_in_order : matmul_q5_0;
    kernels->matmul[WEIR_TYPE_Q5_1] = in_order ? matmul_q5_1_in_order : matmul_q5_1;
    kernels->matmul[WEIR_TYPE_IQ4_NL] = in_order ? matmul_iq4_nl_in_order : matmul_iq4_nl;
    kernels->matmul[WEIR_TYPE_MXFP4] = in_order ? matmul_mxfp4_in_order : matmul_mxfp4;
}
