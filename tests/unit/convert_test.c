/* convert_test.c - what a GGUF file says of a tokenizer.json, and codes that become blocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/heap.h"
#include "convert/convert.h"
#include "convert/scores.h"
#include "quant/f4_e2m1.h"
#include "recast/packed.h"

/* ---- names of pre-tokenizers ----------------------------------------------------------------- */

static bool are_alike(const struct weir_text_rules *one, const struct weir_text_rules *other)
{
    bool alike = one->normal_count == other->normal_count &&
                 one->split_count == other->split_count && one->whole_first == other->whole_first;
    for (uint32_t at = 0; alike && at < one->split_count; at++)
        alike = strcmp(one->splits[at].pattern, other->splits[at].pattern) == 0 &&
                one->splits[at].keep == other->splits[at].keep &&
                one->splits[at].in_threes == other->splits[at].in_threes;
    return alike;
}

/* No name is lost: what has its rules is called by it, or by one that means the same. */
static void test_names(void **state)
{
    (void)state;
    const char *name = NULL;
    uint32_t count = 0;
    for (uint32_t index = 0; (name = weir_text_pre_at(index)) != NULL; index++, count++) {
        struct weir_text_rules rules;
        struct weir_text_rules found;
        bool is_raw = false;
        bool is_found_raw = false;
        bool always = false;
        const struct weir_bytes pre = {name, strlen(name)};
        assert_int_equal(weir_text_find_rules(pre, &rules, &is_raw, NULL), WEIR_OK);
        const bool adds_bos = weir_text_pre_adds_bos(pre, &always);
        const char *called = weir_pre_find(&rules, is_raw, adds_bos, "");
        assert_non_null(called);
        assert_int_equal(weir_text_find_rules((struct weir_bytes){called, strlen(called)}, &found,
                                              &is_found_raw, NULL),
                         WEIR_OK);
        assert_true(is_raw == is_found_raw && are_alike(&rules, &found));
    }
    assert_true(count > 60);
}

static const char *name_of(const char *pattern, bool whole_first, const char *family)
{
    struct weir_text_rules rules = {.splits = {{.pattern = pattern}}, .split_count = 1};
    rules.whole_first = whole_first ? WEIR_WHOLE_ANY : WEIR_WHOLE_NEVER;
    return weir_pre_find(&rules, false, false, family);
}

#define REST                                                                                       \
    "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+"           \
    "|\\s+(?!\\S)|\\s+"

static void test_spellings(void **state)
{
    (void)state;
    const char *one = name_of("(?i:'s|'t|'re|'ve|'m|'ll|'d)" REST, false, "");
    assert_non_null(one);
    assert_string_equal(
        one, name_of("(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])" REST, false, ""));
    assert_string_equal(one, name_of("'(?i:[sdmt]|ll|ve|re)" REST, false, ""));
    assert_string_equal(name_of("(?i:'s|'t|'re|'ve|'m|'ll|'d)" REST, false, "hunyuan-moe"),
                        "hunyuan");
    /* Another flag, another pattern: another name, or none. */
    assert_null(name_of("(?i:'s|'t|'re|'ve|'m|'ll|'d)" REST, true, ""));
    assert_null(name_of("(?i:'s|'t|'re|'ve|'m|'ll)" REST, false, ""));
    assert_null(name_of("\\p{L}+", false, ""));
}

/* ---- scores ---------------------------------------------------------------------------------- */

enum { TOKENS = 8, MERGES = 5 };

struct toy {
    struct weir_bytes tokens[TOKENS], merges[MERGES];
    uint8_t types[TOKENS];
    uint32_t lefts[MERGES];
    struct weir_vocab vocab;
};

static void make_toy(struct toy *toy, const char *const tokens[TOKENS],
                     const char *const merges[MERGES])
{
    *toy = (struct toy){0};
    for (uint32_t id = 0; id < TOKENS; id++) {
        toy->tokens[id] = (struct weir_bytes){tokens[id], strlen(tokens[id])};
        toy->types[id] = WEIR_TOKEN_NORMAL;
    }
    for (; toy->vocab.n_merge < MERGES && merges[toy->vocab.n_merge] != NULL;
         toy->vocab.n_merge++) {
        const char *text = merges[toy->vocab.n_merge];
        toy->merges[toy->vocab.n_merge] = (struct weir_bytes){text, strlen(text)};
        toy->lefts[toy->vocab.n_merge] = (uint32_t)strcspn(text, " ");
    }
    toy->vocab.n_vocab = TOKENS;
    toy->vocab.tokens = toy->tokens;
    toy->vocab.types = toy->types;
    toy->vocab.merges = toy->merges;
    toy->vocab.merge_lefts = toy->lefts;
}

static const char *const letters[TOKENS] = {"a", "b", "c", "ab", "abc", "bc", "ca", "x"};

static void test_scores(void **state)
{
    (void)state;
    static const char *const merges[MERGES] = {"a b", "b c", "ab c", "a bc", "c a"};
    struct toy toy;
    float *scores = NULL;
    struct weir_err err = {0};
    make_toy(&toy, letters, merges);
    assert_int_equal(weir_scores_make(&scores, &toy.vocab, &err), WEIR_OK);
    /* What is joined first has the best score. */
    assert_true(scores[3] > scores[5] && scores[5] > scores[4] && scores[4] > scores[6]);
    weir_heap_free(scores);
}

static void expect_refusal(const char *const merges[MERGES], const char *wanted)
{
    struct toy toy;
    float *scores = NULL;
    struct weir_err err = {0};
    make_toy(&toy, letters, merges);
    assert_int_equal(weir_scores_make(&scores, &toy.vocab, &err), WEIR_ERR_UNSUPPORTED);
    assert_null(scores);
    if (strstr(err.text, wanted) == NULL)
        fail_msg("%s: wanted \"%s\"", err.text, wanted);
}

static void test_unscored(void **state)
{
    (void)state;
    /* "bc" and "ca" could be joined, and no merge does. */
    static const char *const missing[MERGES] = {"a b", "ab c"};
    /* Another token's merge between the two that make abc. */
    static const char *const apart[MERGES] = {"a b", "ab c", "b c", "a bc", "c a"};
    static const char *const strange[MERGES] = {"a b", "b x"};
    expect_refusal(missing, "no merge makes token");
    expect_refusal(apart, "are between those that make");
    expect_refusal(strange, "is not of tokens");
}

/* ---- codes as blocks ------------------------------------------------------------------------- */

enum { COLS = 128 };

static uint8_t code_at(const uint8_t *codes, uint32_t col)
{
    return col % 2 == 0 ? codes[col / 2] & 15 : codes[col / 2] >> 4;
}

/* Every value is its code's times its scale, to the bit. */
static void check_kept(enum weir_type type, enum weir_scale_type scale_type, uint32_t group,
                       const uint8_t *scales)
{
    uint64_t seed = group;
    uint8_t codes[COLS / 2];
    uint8_t blocks[COLS];
    float values[COLS];
    for (uint32_t at = 0; at < COLS / 2; at++)
        codes[at] = (uint8_t)weir_random_next(&seed);
    const struct weir_packed row = {.type = WEIR_TYPE_F4_E2M1,
                                    .codes = codes,
                                    .cols = COLS,
                                    .scale_type = scale_type,
                                    .scales = scales,
                                    .group_cols = group};
    weir_packed_put(&row, type, blocks);
    weir_quant_decode_row(type, blocks, values, COLS);
    for (uint32_t col = 0; col < COLS; col++) {
        const float wanted = weir_scale_decode(scale_type, scales, col / group) * 0.5f *
                             (float)weir_f4_e2m1_steps[code_at(codes, col)];
        assert_true(values[col] == wanted);
    }
}

static void test_floats(void **state)
{
    (void)state;
    static const uint8_t powers[COLS / 32] = {127, 120, 131, 64};
    /* The last but one is negative. */
    static const uint8_t floats[COLS / 16] = {0x38, 0x7e, 0x01, 0x40, 0x15, 0x66, 0xb9, 0x2f};
    check_kept(WEIR_TYPE_MXFP4, WEIR_SCALE_E8M0, 32, powers);
    check_kept(WEIR_TYPE_NVFP4, WEIR_SCALE_F8_E4M3, 16, floats);
}

/* Whole numbers, the third row of eight with zero points. */
static void check_whole(enum weir_type type, const uint8_t *zeros)
{
    enum { GROUP = 64 };
    static const float scales[COLS / GROUP] = {0.25f, -0.0078125f};
    uint8_t codes[COLS / 2];
    uint8_t blocks[COLS];
    float values[COLS];
    for (uint32_t at = 0; at < COLS / 2; at++)
        codes[at] = (uint8_t)(37 * at + 11);
    const struct weir_packed row = {.type = WEIR_TYPE_I4,
                                    .codes = codes,
                                    .cols = COLS,
                                    .scale_type = WEIR_SCALE_F32,
                                    .scales = (const uint8_t *)scales,
                                    .group_cols = GROUP,
                                    .zeros = zeros,
                                    .zero_row = 3};
    weir_packed_put(&row, type, blocks);
    weir_quant_decode_row(type, blocks, values, COLS);
    for (uint32_t col = 0; col < COLS; col++) {
        const uint32_t group = col / GROUP;
        const int zero = zeros == NULL ? 8 : zeros[4 * group + 1] >> 4;
        assert_true(values[col] == scales[group] * (float)(code_at(codes, col) - zero));
    }
}

static void test_whole(void **state)
{
    (void)state;
    static const uint8_t zeros[8] = {0x12, 0x73, 0, 0, 0xff, 0xc0, 0, 0};
    check_whole(WEIR_TYPE_Q4_0, NULL);
    check_whole(WEIR_TYPE_Q4_1, zeros);
}

/* Which blocks codes become: of groups and rows that fill them. */
static void test_types(void **state)
{
    (void)state;
    struct weir_tensor source = {.known = true, .type = WEIR_TYPE_F4_E2M1, .dims = {128, 4, 1, 1}};
    struct weir_tensor scales = {.known = true,
                                 .is_scales = true,
                                 .scale_type = WEIR_SCALE_E8M0,
                                 .group_rows = 1,
                                 .group_cols = 32,
                                 .dims = {4, 4, 1, 1}};
    struct weir_recast_tensor tensor = {
        .source = &source, .scales = &scales, .dims = {128, 4, 1, 1}, .row_step = 1};
    assert_int_equal(weir_packed_type(&tensor), WEIR_TYPE_MXFP4);
    tensor.type = WEIR_TYPE_MXFP4;
    assert_true(weir_packed_is_kept(&tensor));
    tensor.factor = &scales;
    assert_false(weir_packed_is_kept(&tensor));
    tensor.factor = NULL;
    scales.scale_type = WEIR_SCALE_BF16;
    assert_int_equal(weir_packed_type(&tensor), WEIR_TYPE_BF16);
    scales.scale_type = WEIR_SCALE_F8_E4M3;
    scales.group_cols = 16;
    assert_int_equal(weir_packed_type(&tensor), WEIR_TYPE_NVFP4);
    source.dims[0] = tensor.dims[0] = 96; /* no whole block of 64 */
    assert_int_equal(weir_packed_type(&tensor), WEIR_TYPE_BF16);
    source.type = WEIR_TYPE_I4;
    assert_int_equal(weir_packed_type(&tensor), WEIR_TYPE_BF16);
    scales.group_cols = 96;
    assert_int_equal(weir_packed_type(&tensor), WEIR_TYPE_Q4_0);
    tensor.is_turned = true;
    assert_int_equal(weir_packed_type(&tensor), WEIR_TYPE_BF16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),  cmocka_unit_test(test_spellings),
        cmocka_unit_test(test_scores), cmocka_unit_test(test_unscored),
        cmocka_unit_test(test_floats), cmocka_unit_test(test_whole),
        cmocka_unit_test(test_types),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
