/* kernels_kv_test.c - formats of keys and values: packing is exact, and attention over them is the
 * formula over the values that they hold, at every level, in every company and page. */
#include "kernels_test.h"
#include "pace.h"

enum { HEAD_MAX = 192, POSITIONS = 330, PAGES = (POSITIONS + 31) / 32 };

/* K and V of a head, as floats and as they are kept, in pages out of order. */
struct cache {
    enum weir_kv kv;
    size_t d_head, d_value, page_length;
    float k[POSITIONS * HEAD_MAX], v[POSITIONS * HEAD_MAX];
    uint8_t *rows, *tiles; /* of a page K, then V; one ends where nothing can be read */
    struct guarded row_memory, tile_memory;
    size_t page_bytes, packed_page_bytes;
    uint32_t pages[PAGES];
    float seen[2][2][POSITIONS * HEAD_MAX]; /* of rows and of tiles, of K and V: what is kept */
};

static size_t page_of(const struct cache *cache, size_t position)
{
    return cache->pages[position / cache->page_length];
}

static uint8_t *row_of(const struct cache *cache, bool is_v, size_t position)
{
    const enum weir_kv rows = weir_kv_rows(cache->kv);
    const size_t k_bytes = weir_kv_row_bytes(rows, cache->d_head);
    const size_t bytes = is_v ? weir_kv_row_bytes(rows, cache->d_value) : k_bytes;
    return cache->rows + page_of(cache, position) * cache->page_bytes +
           (is_v ? cache->page_length * k_bytes : 0) + position % cache->page_length * bytes;
}

/* The tiles of the 32 positions that this one is of. */
static uint8_t *tile_of(const struct cache *cache, bool is_v, size_t position)
{
    const size_t k_bytes = weir_kv_row_bytes(cache->kv, cache->d_head);
    const size_t bytes = is_v ? weir_kv_row_bytes(cache->kv, cache->d_value) : k_bytes;
    const size_t first = position % cache->page_length / WEIR_TILE * WEIR_TILE;
    return cache->tiles + page_of(cache, position) * cache->packed_page_bytes +
           (is_v ? cache->page_length * k_bytes : 0) + first * bytes;
}

static void keep(struct cache *cache)
{
    const bool is_packed = weir_kv_info(cache->kv)->bits > 0;
    const enum weir_kv rows = weir_kv_rows(cache->kv);
    const size_t page_count = (POSITIONS + cache->page_length - 1) / cache->page_length;
    const size_t widths[2] = {cache->d_head, cache->d_value};
    cache->page_bytes = cache->page_length * (weir_kv_row_bytes(rows, cache->d_head) +
                                              weir_kv_row_bytes(rows, cache->d_value));
    cache->packed_page_bytes = cache->page_length * (weir_kv_row_bytes(cache->kv, cache->d_head) +
                                                     weir_kv_row_bytes(cache->kv, cache->d_value));
    cache->row_memory = guarded_alloc(page_count * cache->page_bytes, true);
    cache->tile_memory = guarded_alloc(page_count * cache->packed_page_bytes, true);
    cache->rows = cache->row_memory.start;
    cache->tiles = cache->tile_memory.start;
    for (size_t page = 0; page < page_count; page++)
        cache->pages[page] = (uint32_t)(page_count - 1 - page);
    for (size_t position = 0; position < POSITIONS; position++)
        for (int is_v = 0; is_v < 2; is_v++)
            weir_kv_store_row(cache->kv, (is_v ? cache->v : cache->k) + position * HEAD_MAX,
                              row_of(cache, is_v, position), widths[is_v]);
    for (size_t position = 0; is_packed && position + WEIR_TILE <= POSITIONS;
         position += WEIR_TILE) {
        weir_kv_pack_keys(cache->kv, row_of(cache, false, position),
                          weir_kv_row_bytes(rows, cache->d_head), cache->d_head,
                          tile_of(cache, false, position));
        weir_kv_pack_values(cache->kv, row_of(cache, true, position),
                            weir_kv_row_bytes(rows, cache->d_value), cache->d_value,
                            tile_of(cache, true, position));
    }
}

static void let_go(struct cache *cache)
{
    guarded_free(&cache->row_memory);
    guarded_free(&cache->tile_memory);
}

/* What is kept, as floats again. */
static void look(struct cache *cache)
{
    const size_t tile_bytes = WEIR_TILE * weir_kv_row_bytes(cache->kv, WEIR_TILE);
    const size_t end = weir_kv_info(cache->kv)->bits > 0 ? POSITIONS / WEIR_TILE * WEIR_TILE : 0;
    for (int is_v = 0; is_v < 2; is_v++) {
        const size_t width = is_v ? cache->d_value : cache->d_head;
        for (size_t position = 0; position < POSITIONS; position++)
            weir_kv_load_row(cache->kv, row_of(cache, is_v, position),
                             cache->seen[0][is_v] + position * HEAD_MAX, width);
        for (size_t position = 0; position < end; position++)
            for (size_t i = 0; i < width; i++) {
                const uint8_t *tiles = tile_of(cache, is_v, position);
                const size_t lane = position % WEIR_TILE;
                cache->seen[1][is_v][position * HEAD_MAX + i] =
                    is_v ? weir_tile_value(cache->kv, tiles + i / WEIR_TILE * tile_bytes, WEIR_TILE,
                                           i % WEIR_TILE, lane)
                         : weir_tile_value(cache->kv, tiles, width, lane, i);
            }
    }
}

/* A value as a query sees it. */
static double kept(const struct cache *cache, bool is_v, size_t position, size_t i,
                   size_t packed_end)
{
    return (double)cache->seen[position < packed_end][is_v][position * HEAD_MAX + i];
}

static struct weir_attention query_of(const struct cache *cache, const float *q, size_t first,
                                      size_t n_position, float *out)
{
    const enum weir_kv rows = weir_kv_rows(cache->kv);
    return (struct weir_attention){
        .q = q,
        .k = cache->rows,
        .v = cache->rows + cache->page_length * weir_kv_row_bytes(rows, cache->d_head),
        .packed_k = cache->tiles,
        .packed_v = cache->tiles + cache->page_length * weir_kv_row_bytes(cache->kv, cache->d_head),
        .pages = cache->pages,
        .k_row_bytes = weir_kv_row_bytes(rows, cache->d_head),
        .v_row_bytes = weir_kv_row_bytes(rows, cache->d_value),
        .page_length = cache->page_length,
        .page_bytes = cache->page_bytes,
        .packed_page_bytes = cache->packed_page_bytes,
        .d_head = cache->d_head,
        .d_value = cache->d_value,
        .first = first,
        .packed_end = weir_kv_packed_end(cache->kv, n_position - 1),
        .n_position = n_position,
        .scale = 0.1f,
        .out = out,
    };
}

static void exact(const struct cache *cache, const struct weir_attention *job, double *out,
                  double *magnitude)
{
    static double scores[POSITIONS];
    double most = -HUGE_VAL;
    double total = 0.0;
    for (size_t p = job->first; p < job->n_position; p++) {
        scores[p] = 0.0;
        for (size_t i = 0; i < job->d_head; i++)
            scores[p] += (double)job->q[i] * kept(cache, false, p, i, job->packed_end);
        scores[p] *= (double)job->scale;
        most = fmax(most, scores[p]);
    }
    for (size_t p = job->first; p < job->n_position; p++)
        total += scores[p] = exp(scores[p] - most);
    for (size_t i = 0; i < job->d_value; i++) {
        out[i] = magnitude[i] = 0.0;
        for (size_t p = job->first; p < job->n_position; p++) {
            const double term = scores[p] / total * kept(cache, true, p, i, job->packed_end);
            out[i] += term;
            magnitude[i] += fabs(term);
        }
    }
}

static void fill_cache(struct cache *cache)
{
    fill_floats(cache->k, WEIR_COUNT(cache->k), FILL_RANDOM);
    fill_floats(cache->v, WEIR_COUNT(cache->v), FILL_RANDOM);
    for (size_t i = 0; i < WEIR_COUNT(cache->k); i++) /* a channel that stands out */
        cache->k[i] = i % 17 == 3 ? cache->k[i] + 9.0f : cache->k[i];
}

static void attention_is_the_formula_on_what_is_kept(void **state)
{
    static struct cache cache;
    static const size_t widths[][2] = {{32, 32}, {64, 64}, {128, 128}, {192, 64}};
    static const size_t spans[][2] = {{0, 1},   {0, 127},  {0, 128},  {0, 160},
                                      {0, 330}, {70, 290}, {97, 330}, {201, 329}};
    float q[HEAD_MAX];
    float out[HEAD_MAX];
    double wanted[HEAD_MAX];
    double magnitude[HEAD_MAX];
    (void)state;
    fill_cache(&cache);
    fill_floats(q, HEAD_MAX, FILL_RANDOM);
    for (int kv = 0; kv < WEIR_KV_COUNT; kv++)
        for (size_t width = 0; width < WEIR_COUNT(widths); width += pace_step(3)) {
            cache.kv = (enum weir_kv)kv;
            cache.d_head = widths[width][0];
            cache.d_value = widths[width][1];
            cache.page_length = 64;
            keep(&cache);
            look(&cache);
            for (size_t span = 0; span < WEIR_COUNT(spans); span++) {
                const struct weir_attention job =
                    query_of(&cache, q, spans[span][0], spans[span][1], out);
                exact(&cache, &job, wanted, magnitude);
                for (size_t level = 0; level < WEIR_COUNT(level_masks); level++) {
                    struct weir_kernels kernels;
                    if (!level_init(&kernels, level))
                        continue;
                    kernels.attention[kv](&job, 1);
                    for (size_t i = 0; i < job.d_value; i++)
                        if (!(fabs((double)out[i] - wanted[i]) <= 1e-4 * magnitude[i] + 1e-9))
                            fail_msg("%s at %s: heads of %zu and %zu, positions %zu to %zu, value "
                                     "%zu: wanted %.9g, found %.9g",
                                     weir_kv_info(cache.kv)->name, kernels.isa, job.d_head,
                                     job.d_value, job.first, job.n_position, i, wanted[i],
                                     (double)out[i]);
                }
            }
            let_go(&cache);
        }
}

/* Each alone, and all together, in pages of two lengths: the same bits. */
static void company_and_pages_change_no_bit(void **state)
{
    static struct cache caches[2];
    static float q[WEIR_ATTENTION_MAX * HEAD_MAX], alone[WEIR_ATTENTION_MAX * HEAD_MAX],
        together[WEIR_ATTENTION_MAX * HEAD_MAX];
    static const size_t windows[] = {POSITIONS, 200, 161};
    static const size_t steps[] = {0, 1, 11};
    const size_t width = 64;
    (void)state;
    fill_cache(&caches[0]);
    fill_floats(q, WEIR_COUNT(q), FILL_RANDOM);
    for (int kv = 0; kv < WEIR_KV_COUNT; kv++) {
        for (int at = 0; at < 2; at++) {
            memcpy(caches[at].k, caches[0].k, sizeof(caches[0].k));
            memcpy(caches[at].v, caches[0].v, sizeof(caches[0].v));
            caches[at].kv = (enum weir_kv)kv;
            caches[at].d_head = caches[at].d_value = width;
            caches[at].page_length = at == 0 ? 32 : 128;
            keep(&caches[at]);
        }
        for (size_t level = 0; level < WEIR_COUNT(level_masks); level++) {
            struct weir_kernels kernels;
            if (!level_init(&kernels, level))
                continue;
            for (size_t window = 0; window < WEIR_COUNT(windows); window++)
                for (size_t step = 0; step < WEIR_COUNT(steps); step++) {
                    struct weir_attention jobs[WEIR_ATTENTION_MAX];
                    for (size_t at = 0; at < WEIR_ATTENTION_MAX; at++) {
                        const size_t n = POSITIONS - (WEIR_ATTENTION_MAX - 1 - at) * steps[step];
                        const size_t first = n > windows[window] ? n - windows[window] : 0;
                        const struct weir_attention job =
                            query_of(&caches[0], q + at * width, first, n, alone + at * width);
                        kernels.attention[kv](&job, 1);
                        jobs[at] =
                            query_of(&caches[1], q + at * width, first, n, together + at * width);
                    }
                    kernels.attention[kv](jobs, WEIR_ATTENTION_MAX);
                    assert_memory_equal(together, alone,
                                        WEIR_ATTENTION_MAX * width * sizeof(float));
                }
        }
        let_go(&caches[0]);
        let_go(&caches[1]);
    }
}

/* Values that are a scale times a code plus a zero come back as they were; others are off by half a
 * scale at most, and by what f16 takes from the scale. */
static void packing_is_exact(void **state)
{
    enum { WIDTH = 96 };
    static uint16_t rows[WEIR_TILE][WIDTH];
    static uint8_t tiles[WEIR_TILE * WIDTH];
    (void)state;
    for (int kv = WEIR_KV_KIVI4; kv <= WEIR_KV_KIVI2; kv++)
        for (int is_v = 0; is_v < 2; is_v++)
            for (int is_grid = 0; is_grid < 2; is_grid++) {
                const uint32_t last = (1u << weir_kv_info((enum weir_kv)kv)->bits) - 1;
                for (size_t p = 0; p < WEIR_TILE; p++)
                    for (size_t i = 0; i < WIDTH; i++) {
                        const size_t group = is_v ? p * 3 + i / WEIR_TILE : i;
                        const size_t lane = is_v ? i % WEIR_TILE : p;
                        const float scale = 0.125f * (float)(1 + group % 5);
                        const uint32_t code =
                            lane < 2 ? (uint32_t)lane * last
                                     : (uint32_t)weir_random_next(&test_seed) % (last + 1);
                        const float value = is_grid ? scale * (float)code - (float)(group % 7)
                                                    : fill_value(FILL_RANDOM);
                        rows[p][i] = weir_f32_to_f16(value);
                    }
                (is_v ? weir_kv_pack_values : weir_kv_pack_keys)((enum weir_kv)kv, rows,
                                                                 sizeof(rows[0]), WIDTH, tiles);
                for (size_t p = 0; p < WEIR_TILE; p++)
                    for (size_t i = 0; i < WIDTH; i++) {
                        const size_t tile_bytes =
                            WEIR_TILE * weir_kv_row_bytes((enum weir_kv)kv, WEIR_TILE);
                        const float found =
                            is_v ? weir_tile_value((enum weir_kv)kv,
                                                   tiles + i / WEIR_TILE * tile_bytes, WEIR_TILE,
                                                   i % WEIR_TILE, p)
                                 : weir_tile_value((enum weir_kv)kv, tiles, WIDTH, p, i);
                        const float was = weir_f16_to_f32(rows[p][i]);
                        const float most = is_grid ? 0.0f : 1.002f / (float)last;
                        if (!(fabsf(found - was) <= most))
                            fail_msg("%s of %s: position %zu, channel %zu: was %g, is %g",
                                     weir_kv_info((enum weir_kv)kv)->name, is_v ? "values" : "keys",
                                     p, i, (double)was, (double)found);
                    }
            }
}

/* Rows come back within half a step of their block. */
static void rows_are_near(void **state)
{
    static const float steps[WEIR_KV_COUNT] = {[WEIR_KV_F16] = 1.0f / 2048,
                                               [WEIR_KV_BF16] = 1.0f / 256,
                                               [WEIR_KV_Q8_0] = 0.51f / 127,
                                               [WEIR_KV_Q4_0] = 1.02f / 8};
    float x[64];
    float back[64];
    uint8_t row[sizeof(x)];
    (void)state;
    for (int kv = WEIR_KV_F16; kv <= WEIR_KV_Q4_0; kv++)
        for (int round = 0; round < 200; round++) {
            fill_floats(x, 64, round == 0 ? FILL_TINY : FILL_RANDOM);
            memset(x + 32, 0, (round % 3 == 0 ? 32 : 0) * sizeof(float));
            weir_kv_store_row((enum weir_kv)kv, x, row, 64);
            weir_kv_load_row((enum weir_kv)kv, row, back, 64);
            for (size_t i = 0; i < 64; i++)
                if (!(fabsf(back[i] - x[i]) <= (round == 0 ? 1e-6f : steps[kv])))
                    fail_msg("%s: was %g, is %g", weir_kv_info((enum weir_kv)kv)->name,
                             (double)x[i], (double)back[i]);
        }
}

/* One value that is not finite makes its block or group not finite, and what attends to it. */
static void what_is_not_finite_stays_so(void **state)
{
    static struct cache cache;
    static const float bad[] = {INFINITY, -INFINITY, NAN};
    float q[HEAD_MAX];
    float out[HEAD_MAX];
    (void)state;
    fill_floats(q, HEAD_MAX, FILL_RANDOM);
    for (int kv = 0; kv < WEIR_KV_COUNT; kv++)
        for (size_t at = 0; at < WEIR_COUNT(bad); at++)
            for (int is_v = 0; is_v < 2; is_v++) {
                fill_cache(&cache);
                (is_v ? cache.v : cache.k)[40 * HEAD_MAX + 5] = bad[at];
                cache.kv = (enum weir_kv)kv;
                cache.d_head = cache.d_value = 32;
                cache.page_length = 64;
                keep(&cache);
                for (size_t level = 0; level < WEIR_COUNT(level_masks); level++) {
                    struct weir_kernels kernels;
                    if (!level_init(&kernels, level))
                        continue;
                    for (size_t n = 100; n <= 300; n += 200) {
                        const struct weir_attention job = query_of(&cache, q, 0, n, out);
                        kernels.attention[kv](&job, 1);
                        if (weir_all_finite(out, 32))
                            fail_msg("%s at %s: nothing shows of %g in %s",
                                     weir_kv_info(cache.kv)->name, kernels.isa, (double)bad[at],
                                     is_v ? "values" : "keys");
                    }
                }
                let_go(&cache);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packing_is_exact),
        cmocka_unit_test(rows_are_near),
        cmocka_unit_test(attention_is_the_formula_on_what_is_kept),
        cmocka_unit_test(company_and_pages_change_no_bit),
        cmocka_unit_test(what_is_not_finite_stays_so),
    };
    return cmocka_run_group_tests(tests, choose_seed, NULL);
}
