/* quant_test.c - the table of formats; decode and encode against gguf-py's values and bytes. */
#include "quant_test.h"
#include "encode/encode.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "golden.h"

/* tests/golden/blocks/<name><ending>. */
static void *read_golden(const char *name, const char *ending, size_t *bytes)
{
    char path[128];
    snprintf(path, sizeof(path), "tests/golden/blocks/%s%s", name, ending);
    void *data = golden_read(path, bytes);
    if (data == NULL)
        fail_msg("cannot read %s", path);
    return data;
}

/* --- the table --- */

static const struct weir_type_info wanted_infos[WEIR_TYPE_BLOCK_COUNT] = {
    [WEIR_TYPE_F32] = {"F32", 0, 1, 4},
    [WEIR_TYPE_F16] = {"F16", 1, 1, 2},
    [WEIR_TYPE_BF16] = {"BF16", 30, 1, 2},
    [WEIR_TYPE_Q8_0] = {"Q8_0", 8, 32, 34},
    [WEIR_TYPE_Q4_0] = {"Q4_0", 2, 32, 18},
    [WEIR_TYPE_Q4_1] = {"Q4_1", 3, 32, 20},
    [WEIR_TYPE_Q5_0] = {"Q5_0", 6, 32, 22},
    [WEIR_TYPE_Q5_1] = {"Q5_1", 7, 32, 24},
    [WEIR_TYPE_IQ4_NL] = {"IQ4_NL", 20, 32, 18},
    [WEIR_TYPE_MXFP4] = {"MXFP4", 39, 32, 17},
    [WEIR_TYPE_Q2_K] = {"Q2_K", 10, 256, 84},
    [WEIR_TYPE_Q3_K] = {"Q3_K", 11, 256, 110},
    [WEIR_TYPE_Q4_K] = {"Q4_K", 12, 256, 144},
    [WEIR_TYPE_Q5_K] = {"Q5_K", 13, 256, 176},
    [WEIR_TYPE_Q6_K] = {"Q6_K", 14, 256, 210},
    [WEIR_TYPE_IQ4_XS] = {"IQ4_XS", 23, 256, 136},
    [WEIR_TYPE_IQ1_S] = {"IQ1_S", 19, 256, 50},
    [WEIR_TYPE_IQ1_M] = {"IQ1_M", 29, 256, 56},
    [WEIR_TYPE_IQ2_XXS] = {"IQ2_XXS", 16, 256, 66},
    [WEIR_TYPE_IQ2_XS] = {"IQ2_XS", 17, 256, 74},
    [WEIR_TYPE_IQ2_S] = {"IQ2_S", 22, 256, 82},
    [WEIR_TYPE_IQ3_XXS] = {"IQ3_XXS", 18, 256, 98},
    [WEIR_TYPE_IQ3_S] = {"IQ3_S", 21, 256, 110},
    [WEIR_TYPE_TQ1_0] = {"TQ1_0", 34, 256, 54},
    [WEIR_TYPE_TQ2_0] = {"TQ2_0", 35, 256, 66},
    [WEIR_TYPE_NVFP4] = {"NVFP4", 40, 64, 36},
    [WEIR_TYPE_Q1_0] = {"Q1_0", 41, 128, 18},
    [WEIR_TYPE_Q2_0] = {"Q2_0", 42, 64, 18},
};

static void types_have_the_names_numbers_and_sizes_of_gguf(void **state)
{
    (void)state;
    for (int at = 0; at < WEIR_TYPE_BLOCK_COUNT; at++) {
        const struct weir_type_info *wanted = &wanted_infos[at];
        const struct weir_type_info *found = weir_quant_info((enum weir_type)at);
        char lower[16] = {0};
        enum weir_type type = WEIR_TYPE_COUNT;
        assert_string_equal(found->name, wanted->name);
        assert_int_equal(found->ggml_id, wanted->ggml_id);
        assert_int_equal(found->block_len, wanted->block_len);
        assert_int_equal(found->block_bytes, wanted->block_bytes);
        assert_true(weir_quant_from_ggml(wanted->ggml_id, &type));
        assert_int_equal(type, at);
        for (size_t i = 0; wanted->name[i] != '\0'; i++)
            lower[i] =
                (char)(wanted->name[i] >= 'A' && wanted->name[i] <= 'Z' ? wanted->name[i] | 0x20
                                                                        : wanted->name[i]);
        assert_true(weir_quant_from_name(lower, &type));
        assert_int_equal(type, at);
        assert_true(weir_quant_from_name(wanted->name, &type));
        assert_int_equal(type, at);
        assert_string_equal(weir_quant_ggml_name(wanted->ggml_id), wanted->name);
        assert_int_equal(weir_quant_row_bytes((enum weir_type)at, 3 * (size_t)wanted->block_len),
                         3 * wanted->block_bytes);
        assert_int_equal(weir_quant_row_bytes((enum weir_type)at, 0), 0);
    }
}

static void types_that_are_not_built_in_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"", "Q4", "Q4_K_M", " Q4_K", "Q4_K ", "F", "I32", "Q8_K"};
    for (uint32_t id = 0; id < 300; id++) {
        enum weir_type type = WEIR_TYPE_COUNT;
        bool known = false;
        for (int at = 0; at < WEIR_TYPE_BLOCK_COUNT; at++)
            known |= wanted_infos[at].ggml_id == id;
        assert_int_equal(weir_quant_from_ggml(id, &type), known);
        if (!known)
            assert_int_equal(type, WEIR_TYPE_COUNT); /* nothing is written on failure */
    }
    enum weir_type type = WEIR_TYPE_COUNT;
    assert_false(weir_quant_from_ggml(UINT32_MAX, &type));
    for (size_t at = 0; at < WEIR_COUNT(names); at++)
        assert_false(weir_quant_from_name(names[at], &type));
    assert_int_equal(type, WEIR_TYPE_COUNT);
    /* Messages can name what is refused; numbers that ggml has given up have no name. */
    assert_string_equal(weir_quant_ggml_name(15), "Q8_K");
    assert_string_equal(weir_quant_ggml_name(26), "I32");
    assert_null(weir_quant_ggml_name(4));
    assert_null(weir_quant_ggml_name(5));
    assert_null(weir_quant_ggml_name(1000));
    assert_null(weir_quant_ggml_name(UINT32_MAX));
}

/* Does the deed in a child abort? */
static bool breaks_a_promise(void (*deed)(enum weir_type, size_t), enum weir_type type, size_t cols)
{
    int status = 0;
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        if (freopen("/dev/null", "w", stderr) != NULL)
            deed(type, cols);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void ask_row_bytes(enum weir_type type, size_t cols)
{
    (void)weir_quant_row_bytes(type, cols);
}

static void decode_cols(enum weir_type type, size_t cols)
{
    static const uint8_t src[4096];
    static float dst[ROW];
    weir_quant_decode_row(type, src, dst, cols);
}

static void encode_cols(enum weir_type type, size_t cols)
{
    static const float src[ROW];
    static uint8_t dst[4096];
    weir_encode_row(type, src, NULL, dst, cols);
}

static void rows_that_are_not_whole_blocks_are_refused(void **state)
{
    (void)state;
    for (int at = 0; at < WEIR_TYPE_BLOCK_COUNT; at++) {
        const enum weir_type type = (enum weir_type)at;
        const size_t block_len = wanted_infos[at].block_len;
        assert_false(breaks_a_promise(ask_row_bytes, type, 2 * block_len));
        if (block_len == 1)
            continue;
        assert_true(breaks_a_promise(ask_row_bytes, type, 1));
        assert_true(breaks_a_promise(ask_row_bytes, type, 2 * block_len - 1));
        assert_true(breaks_a_promise(ask_row_bytes, type, 2 * block_len + 1));
        assert_true(breaks_a_promise(decode_cols, type, block_len / 2));
        assert_true(breaks_a_promise(encode_cols, type, block_len / 2));
    }
    assert_true(breaks_a_promise(ask_row_bytes, WEIR_TYPE_COUNT, 256));
}

/* --- decode --- */

/* To the judges MXFP4's exponent 255 is a power of two like all others, and NVFP4's scale 0x7f is
 * 0, or with the unused bit set a number; to the formats, and to us, they are not numbers. */
static void unsay_numbers(enum weir_type type, const uint8_t *raw, float *wanted, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (type == WEIR_TYPE_MXFP4 ? raw[i / 32 * 17] == 255
                                    : (raw[i / 64 * 36 + i % 64 / 16] & 0x7f) == 0x7f)
            wanted[i] = NAN;
}

/* The same bits as gguf-py's values, from any alignment and however a row is cut into blocks. */
static void check_decode(enum weir_type type)
{
    const struct weir_type_info *info = weir_quant_info(type);
    size_t raw_bytes = 0;
    size_t wanted_bytes = 0;
    uint8_t *raw = read_golden(info->name, ".bin", &raw_bytes);
    float *wanted = read_golden(info->name, ".f32", &wanted_bytes);
    const size_t count = wanted_bytes / sizeof(float);
    assert_true(count > 0);
    assert_int_equal(weir_quant_row_bytes(type, count), raw_bytes);
    if (type == WEIR_TYPE_MXFP4 || type == WEIR_TYPE_NVFP4)
        unsay_numbers(type, raw, wanted, count);
    uint8_t *moved = malloc(raw_bytes + 4);
    float *found = malloc((count + 1) * sizeof(float));
    for (size_t offset = 0; offset < 4; offset++) {
        memcpy(moved + offset, raw, raw_bytes);
        memset(found, 0x7f, (count + 1) * sizeof(float));
        weir_quant_decode_row(type, moved + offset, found, count);
        for (size_t i = 0; i < count; i++)
            if (bits_of(found[i]) != bits_of(wanted[i]))
                fail_msg("%s value %zu: wanted %.9g (%08x), found %.9g (%08x)", info->name, i,
                         (double)wanted[i], bits_of(wanted[i]), (double)found[i],
                         bits_of(found[i]));
        assert_int_equal(bits_of(found[count]), 0x7f7f7f7f); /* nothing past the row */
    }
    for (size_t block = 0; block < count / info->block_len; block++) {
        float *at = found + block * info->block_len;
        memset(at, 0x7f, info->block_len * sizeof(float));
        weir_quant_decode_row(type, raw + block * info->block_bytes, at, info->block_len);
    }
    assert_memory_equal(found, wanted, wanted_bytes);
    free(found);
    free(moved);
    free(wanted);
    free(raw);
}

static void decode_gives_the_bits_of_the_judge(void **state)
{
    (void)state;
    for (int type = 0; type < WEIR_TYPE_BLOCK_COUNT; type++)
        check_decode((enum weir_type)type);
}

/* --- encode, against the judge's bytes --- */

static void halves_encode_to_the_bytes_of_the_judge(void **state)
{
    (void)state;
    static const enum weir_type types[] = {WEIR_TYPE_F16, WEIR_TYPE_BF16};
    size_t input_bytes = 0;
    float *input = read_golden("inputs-half", ".f32", &input_bytes);
    const size_t count = input_bytes / sizeof(float);
    uint16_t *found = malloc(count * sizeof(*found));
    for (size_t at = 0; at < WEIR_COUNT(types); at++) {
        const char *name = weir_quant_info(types[at])->name;
        size_t wanted_bytes = 0;
        uint16_t *wanted = read_golden(name, ".encoded", &wanted_bytes);
        assert_int_equal(wanted_bytes, count * sizeof(*wanted));
        weir_encode_row(types[at], input, NULL, found, count);
        for (size_t i = 0; i < count; i++)
            if (found[i] != wanted[i])
                fail_msg("%s of %a: wanted %04x, found %04x", name, (double)input[i], wanted[i],
                         found[i]);
        free(wanted);
    }
    free(found);
    free(input);
}

static double squared_error(enum weir_type type, const uint8_t *block, const float *x)
{
    float back[32];
    double sum = 0.0;
    weir_quant_decode_row(type, block, back, 32);
    for (int i = 0; i < 32; i++)
        sum += ((double)back[i] - (double)x[i]) * ((double)back[i] - (double)x[i]);
    return sum;
}

/* The judge takes the plain rule's scale, and steps under it before it is rounded to a half. Ours
 * decodes to values as large as they were, which costs the square of what is lost (encode_test.c):
 * where both choose the same codes, its error is a little more. */
static void blocks_encode_at_least_as_near_as_the_judge(void **state)
{
    (void)state;
    static const enum weir_type types[] = {WEIR_TYPE_Q8_0, WEIR_TYPE_Q4_0, WEIR_TYPE_Q4_1,
                                           WEIR_TYPE_Q5_0, WEIR_TYPE_Q5_1, WEIR_TYPE_MXFP4};
    /* The last rows lie on a grid: first Q8_0's, then two of Q4_0, Q4_1; others have none. */
    enum { GRID_ROWS = 4 };
    static const double DEARER = 0.02;
    static const size_t grid_first[] = {0, 1, 3, 4, 4, 4};
    static const size_t grid_end[] = {1, 3, 4, 4, 4, 4};
    size_t input_bytes = 0;
    float *input = read_golden("inputs-block", ".f32", &input_bytes);
    const size_t count = input_bytes / sizeof(float);
    uint8_t *found = malloc(count * sizeof(float));
    for (size_t at = 0; at < WEIR_COUNT(types); at++) {
        const struct weir_type_info *info = weir_quant_info(types[at]);
        const size_t grid_at = count / 32 - GRID_ROWS;
        double sums[2] = {0};
        size_t wanted_bytes = 0;
        uint8_t *wanted = read_golden(info->name, ".encoded", &wanted_bytes);
        assert_int_equal(weir_quant_row_bytes(types[at], count), wanted_bytes);
        weir_encode_row(types[at], input, NULL, found, count);
        for (size_t block = 0; block < count / 32; block++) {
            const size_t from = block * info->block_bytes;
            const double ours = squared_error(types[at], found + from, input + block * 32);
            const double theirs = squared_error(types[at], wanted + from, input + block * 32);
            if (!(ours <= theirs * (1.0 + DEARER)))
                fail_msg("%s, block %zu: error %.9g, the judge's %.9g", info->name, block, ours,
                         theirs);
            sums[0] += theirs > 0.0 ? sqrt(ours / theirs) : 1.0;
            sums[1] += 1.0;
        }
        /* Where nothing needs rounding, bytes are equal. */
        assert_memory_equal(found + (grid_at + grid_first[at]) * info->block_bytes,
                            wanted + (grid_at + grid_first[at]) * info->block_bytes,
                            (grid_end[at] - grid_first[at]) * info->block_bytes);
        printf("%-5s errors are %.3f of the judge's\n", info->name, sums[0] / sums[1]);
        free(wanted);
    }
    free(found);
    free(input);
}

static void encode_not_finite(enum weir_type type, size_t bad)
{
    static const float values[] = {NAN, INFINITY, -INFINITY};
    static float x[ROW];
    static uint8_t row[ROW * sizeof(float)];
    x[77] = values[bad];
    weir_encode_row(type, x, NULL, row, ROW);
}

static void values_that_are_not_finite_are_the_callers_bug(void **state)
{
    (void)state;
#ifdef WEIR_RELEASE
    const bool asserts = false;
#else
    const bool asserts = true;
#endif
    for (int type = 0; type < WEIR_TYPE_BLOCK_COUNT; type++)
        for (size_t bad = 0; bad < 3; bad++)
            assert_int_equal(breaks_a_promise(encode_not_finite, (enum weir_type)type, bad),
                             asserts && wanted_infos[type].block_len > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_have_the_names_numbers_and_sizes_of_gguf),
        cmocka_unit_test(types_that_are_not_built_in_are_refused),
        cmocka_unit_test(rows_that_are_not_whole_blocks_are_refused),
        cmocka_unit_test(decode_gives_the_bits_of_the_judge),
        cmocka_unit_test(halves_encode_to_the_bytes_of_the_judge),
        cmocka_unit_test(blocks_encode_at_least_as_near_as_the_judge),
        cmocka_unit_test(values_that_are_not_finite_are_the_callers_bug),
    };
    return cmocka_run_group_tests(tests, choose_seed, NULL);
}
