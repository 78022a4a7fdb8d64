/* kernels_recurrent_test.c - the short convolution and the gated delta rule at every level against
 * the formula, in any division into calls, on guard pages. */
#include "kernels_test.h"

enum { POSITIONS = 19 };

static float *floats_of(const struct guarded *memory)
{
    return (float *)(void *)memory->start;
}

static void check_value(const char *what, const char *isa, size_t at, float found, double wanted,
                        double limit)
{
    if (!(fabs((double)found - wanted) <= limit))
        fail_msg("%s at %s: value %zu: wanted %.9g, found %.9g", what, isa, at, wanted,
                 (double)found);
}

/* ---- the convolution ------------------------------------------------------------------------- */

/* A job, its memory, and a copy of what the kernel changes. */
struct conv_case {
    struct guarded x, past, taps;
    float first_x[POSITIONS * 64], first_past[WEIR_CONV_TAP_MAX * 64];
    struct weir_conv job;
};

static void conv_open(struct conv_case *at, size_t n_channel, size_t n_tap)
{
    const size_t count = POSITIONS * n_channel;
    const size_t past = (n_tap - 1) * n_channel;
    at->x = guarded_alloc(count * sizeof(float), true);
    at->past = guarded_alloc(weir_max(past, 1) * sizeof(float), true);
    at->taps = guarded_alloc(n_tap * n_channel * sizeof(float), true);
    fill_floats(floats_of(&at->taps), n_tap * n_channel, FILL_RANDOM);
    fill_floats(at->first_x, count, FILL_RANDOM);
    fill_floats(at->first_past, past, FILL_RANDOM);
    at->job = (struct weir_conv){
        .x = floats_of(&at->x),
        .past = floats_of(&at->past),
        .taps = floats_of(&at->taps),
        .x_stride = n_channel,
        .tap_stride = n_channel,
        .n_tap = n_tap,
        .n_channel = n_channel,
        .n_position = POSITIONS,
    };
}

static void conv_reset(struct conv_case *at)
{
    memcpy(at->job.x, at->first_x, POSITIONS * at->job.n_channel * sizeof(float));
    memcpy(at->job.past, at->first_past, (at->job.n_tap - 1) * at->job.n_channel * sizeof(float));
}

static void conv_close(struct conv_case *at)
{
    guarded_free(&at->x);
    guarded_free(&at->past);
    guarded_free(&at->taps);
}

/* x at a position, which may lie before the first. */
static double conv_input(const struct conv_case *at, size_t position_after_past, size_t channel)
{
    const size_t n_past = at->job.n_tap - 1;
    return (
        double)(position_after_past < n_past
                    ? at->first_past[position_after_past * at->job.n_channel + channel]
                    : at->first_x[(position_after_past - n_past) * at->job.n_channel + channel]);
}

static void conv_check(const struct conv_case *at, const char *isa)
{
    const struct weir_conv *job = &at->job;
    for (size_t t = 0; t < POSITIONS; t++)
        for (size_t c = 0; c < job->n_channel; c++) {
            double y = 0.0;
            double magnitude = 0.0;
            for (size_t j = 0; j < job->n_tap; j++) {
                const double term =
                    (double)job->taps[j * job->n_channel + c] * conv_input(at, t + j, c);
                y += term;
                magnitude += fabs(term);
            }
            check_value("conv", isa, t * job->n_channel + c, job->x[t * job->n_channel + c],
                        y / (1.0 + exp(-y)), 1e-5 * magnitude);
        }
    for (size_t j = 0; j + 1 < job->n_tap; j++)
        for (size_t c = 0; c < job->n_channel; c++)
            assert_true((double)job->past[j * job->n_channel + c] ==
                        conv_input(at, POSITIONS + j, c));
}

static void conv_is_the_formula_in_any_division(void **state)
{
    (void)state;
    static const size_t channels[] = {1, 3, 8, 13, 16, 20, 48};
    for (size_t size = 0; size < WEIR_COUNT(channels); size++)
        for (size_t n_tap = 1; n_tap <= WEIR_CONV_TAP_MAX; n_tap++)
            for (size_t level = 0; level < WEIR_COUNT(level_masks); level++) {
                static float whole[POSITIONS * 64];
                struct weir_kernels kernels;
                struct conv_case at;
                if (!level_init(&kernels, level))
                    continue;
                conv_open(&at, channels[size], n_tap);
                conv_reset(&at);
                kernels.conv(&at.job);
                conv_check(&at, kernels.isa);
                memcpy(whole, at.job.x, POSITIONS * channels[size] * sizeof(float));
                conv_reset(&at);
                struct weir_conv part = at.job;
                for (size_t t = 0, step = 1; t < POSITIONS; t += step, step += 2) {
                    part.n_position = weir_min(step, POSITIONS - t);
                    part.x = at.job.x + t * channels[size];
                    kernels.conv(&part);
                }
                assert_memory_equal(whole, at.job.x, POSITIONS * channels[size] * sizeof(float));
                conv_close(&at);
            }
}

static void conv_keeps_what_is_not_finite(void **state)
{
    (void)state;
    static const float bad[] = {INFINITY, -INFINITY, NAN};
    for (size_t which = 0; which < WEIR_COUNT(bad); which++)
        for (size_t level = 0; level < WEIR_COUNT(level_masks); level++) {
            struct weir_kernels kernels;
            struct conv_case at;
            if (!level_init(&kernels, level))
                continue;
            conv_open(&at, 17, 4);
            conv_reset(&at);
            at.job.x[5 * 17 + 16] = bad[which];
            kernels.conv(&at.job);
            for (size_t t = 0; t < POSITIONS; t++)
                assert_int_equal(isfinite(at.job.x[t * 17 + 16]) != 0, t < 5 || t > 8);
            conv_close(&at);
        }
}

/* ---- the delta rule -------------------------------------------------------------------------- */

enum { KEY_MAX = 128 };

struct delta_case {
    struct guarded state, q, k, v, out;
    struct weir_delta_gate gate[POSITIONS];
    float first_state[KEY_MAX * WEIR_DELTA_COL_MAX];
    struct weir_delta job;
};

static void delta_open(struct delta_case *at, size_t d_key, size_t n_col)
{
    at->state = guarded_alloc(d_key * n_col * sizeof(float), true);
    at->q = guarded_alloc(POSITIONS * d_key * sizeof(float), true);
    at->k = guarded_alloc(POSITIONS * d_key * sizeof(float), true);
    at->v = guarded_alloc(POSITIONS * n_col * sizeof(float), true);
    at->out = guarded_alloc(POSITIONS * n_col * sizeof(float), true);
    fill_floats(at->first_state, d_key * n_col, FILL_RANDOM);
    fill_floats(floats_of(&at->q), POSITIONS * d_key, FILL_RANDOM);
    fill_floats(floats_of(&at->k), POSITIONS * d_key, FILL_RANDOM);
    fill_floats(floats_of(&at->v), POSITIONS * n_col, FILL_RANDOM);
    for (size_t t = 0; t < POSITIONS; t++) {
        double overlap = 0.0;
        for (size_t i = 0; i < d_key; i++) {
            floats_of(&at->k)[t * d_key + i] /= sqrtf((float)d_key); /* about of length 1 */
            overlap +=
                (double)floats_of(&at->q)[t * d_key + i] * (double)floats_of(&at->k)[t * d_key + i];
        }
        at->gate[t] = (struct weir_delta_gate){.decay = 0.5f + 0.5f * fill_value(FILL_RANDOM),
                                               .beta = 0.5f + 0.5f * fill_value(FILL_RANDOM),
                                               .overlap = (float)overlap};
    }
    at->job = (struct weir_delta){
        .state = floats_of(&at->state),
        .q = floats_of(&at->q),
        .k = floats_of(&at->k),
        .v = floats_of(&at->v),
        .out = floats_of(&at->out),
        .gate = at->gate,
        .key_stride = d_key,
        .v_stride = n_col,
        .gate_stride = 1,
        .d_key = d_key,
        .n_col = n_col,
        .n_position = POSITIONS,
    };
}

static void delta_reset(struct delta_case *at)
{
    memcpy(at->job.state, at->first_state, at->job.d_key * at->job.n_col * sizeof(float));
}

static void delta_close(struct delta_case *at)
{
    guarded_free(&at->state);
    guarded_free(&at->q);
    guarded_free(&at->k);
    guarded_free(&at->v);
    guarded_free(&at->out);
}

/* Column j by the rule as it is written: the state decays, the difference is written, then read. */
static void delta_check_column(const struct delta_case *at, const char *isa, size_t j)
{
    const struct weir_delta *job = &at->job;
    double state[KEY_MAX];
    for (size_t i = 0; i < job->d_key; i++)
        state[i] = (double)at->first_state[i * job->n_col + j];
    for (size_t t = 0; t < POSITIONS; t++) {
        const float *k = job->k + t * job->d_key;
        double missing = (double)job->v[t * job->n_col + j];
        double out = 0.0;
        double magnitude = fabs(missing);
        for (size_t i = 0; i < job->d_key; i++) {
            state[i] *= (double)at->gate[t].decay;
            missing -= (double)k[i] * state[i];
        }
        for (size_t i = 0; i < job->d_key; i++) {
            state[i] += (double)k[i] * (double)at->gate[t].beta * missing;
            out += (double)job->q[t * job->d_key + i] * state[i];
            magnitude += fabs((double)job->q[t * job->d_key + i] * state[i]);
        }
        check_value("delta", isa, t * job->n_col + j, job->out[t * job->n_col + j], out,
                    1e-5 * (magnitude + 1.0));
    }
    for (size_t i = 0; i < job->d_key; i++)
        check_value("delta's state", isa, i * job->n_col + j, job->state[i * job->n_col + j],
                    state[i], 1e-5 * (fabs(state[i]) + 1.0));
}

static void delta_is_the_rule_in_any_division(void **state)
{
    (void)state;
    static const size_t keys[] = {1, 2, 7, 16, 128};
    static const size_t columns[] = {1, 4, 7, 8, 13, 16, 31, 32};
    for (size_t key = 0; key < WEIR_COUNT(keys); key++)
        for (size_t column = 0; column < WEIR_COUNT(columns); column++)
            for (size_t level = 0; level < WEIR_COUNT(level_masks); level++) {
                static float out[POSITIONS * WEIR_DELTA_COL_MAX];
                static float after[KEY_MAX * WEIR_DELTA_COL_MAX];
                const size_t n_col = columns[column];
                const size_t state_bytes = keys[key] * n_col * sizeof(float);
                struct weir_kernels kernels;
                struct delta_case at;
                if (!level_init(&kernels, level))
                    continue;
                delta_open(&at, keys[key], n_col);
                delta_reset(&at);
                kernels.delta(&at.job);
                for (size_t j = 0; j < n_col; j++)
                    delta_check_column(&at, kernels.isa, j);
                memcpy(out, at.job.out, POSITIONS * n_col * sizeof(float));
                memcpy(after, at.job.state, state_bytes);
                delta_reset(&at);
                struct weir_delta part = at.job;
                part.out = floats_of(&at.v); /* out may be v */
                for (size_t t = 0, step = 1; t < POSITIONS; t += step, step += 2) {
                    part.n_position = weir_min(step, POSITIONS - t);
                    kernels.delta(&part);
                    part.q += step * keys[key];
                    part.k += step * keys[key];
                    part.v += step * n_col;
                    part.out += step * n_col;
                    part.gate += step;
                }
                assert_memory_equal(out, floats_of(&at.v), POSITIONS * n_col * sizeof(float));
                assert_memory_equal(after, at.job.state, state_bytes);
                delta_close(&at);
            }
}

static void delta_keeps_what_is_not_finite(void **state)
{
    (void)state;
    static const float bad[] = {INFINITY, -INFINITY, NAN};
    for (size_t which = 0; which < WEIR_COUNT(bad); which++)
        for (int place = 0; place < 5; place++)
            for (size_t level = 0; level < WEIR_COUNT(level_masks); level++) {
                struct weir_kernels kernels;
                struct delta_case at;
                if (!level_init(&kernels, level))
                    continue;
                delta_open(&at, 16, WEIR_DELTA_COL_MAX);
                delta_reset(&at);
                float *const places[] = {&floats_of(&at.q)[3 * 16 + 5], &floats_of(&at.k)[3 * 16],
                                         &floats_of(&at.v)[3 * WEIR_DELTA_COL_MAX + 31],
                                         &at.gate[3].decay, &at.gate[3].beta};
                *places[place] = bad[which];
                kernels.delta(&at.job);
                for (size_t t = 0; t < 3; t++)
                    assert_true(isfinite(at.job.out[t * WEIR_DELTA_COL_MAX + 31]));
                assert_false(isfinite(at.job.out[3 * WEIR_DELTA_COL_MAX + 31]));
                delta_close(&at);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conv_is_the_formula_in_any_division),
        cmocka_unit_test(conv_keeps_what_is_not_finite),
        cmocka_unit_test(delta_is_the_rule_in_any_division),
        cmocka_unit_test(delta_keeps_what_is_not_finite),
    };
    return cmocka_run_group_tests(tests, choose_seed, NULL);
}
