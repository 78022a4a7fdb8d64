/* mixture_test.c - the format that a mixture gives a tensor, by its name, its layer and its model.
 * tests/integration/quantize_peer.py compares whole models with llama.cpp. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "recast/recast.h"

enum { LAYERS_MAX = 80, TENSORS_MAX = 2 + 7 * LAYERS_MAX };

static const struct weir_mixture_facts
    dense = {.family = "llama", .n_layer = 32, .n_head = 16, .n_kv_head = 16},
    grouped = {.family = "llama", .n_layer = 32, .n_head = 16, .n_kv_head = 4},
    eight = {.family = "llama", .n_layer = 32, .n_head = 16, .n_kv_head = 8, .n_expert = 8},
    large = {.family = "llama", .n_layer = 80, .n_head = 64, .n_kv_head = 8};

static struct weir_recast_tensor tensors[TENSORS_MAX];
static char names[TENSORS_MAX][64];
static struct weir_tensor source = {.name = "any", .known = true, .type = WEIR_TYPE_F32};

static void add(struct weir_recast_list *list, const char *name, uint64_t cols, uint64_t rows)
{
    struct weir_recast_tensor *tensor = &tensors[list->count];
    snprintf(names[list->count], sizeof(names[0]), "%s", name);
    *tensor = (struct weir_recast_tensor){.name = names[list->count++],
                                          .n_dim = rows > 1 ? 2 : 1,
                                          .dims = {cols, rows, 1, 1},
                                          .type = WEIR_TYPE_F32,
                                          .meant = WEIR_TYPE_F32,
                                          .source = &source};
}

/* The last layers come first: the order of a file decides nothing. */
static struct weir_recast_list make(const struct weir_mixture_facts *facts, uint64_t cols)
{
    static const char *const words[] = {"attn_v",   "attn_k",   "attn_q", "attn_output",
                                        "ffn_down", "ffn_gate", "ffn_up"};
    struct weir_recast_list list = {.tensors = tensors};
    add(&list, "token_embd.weight", cols, 8);
    add(&list, "output.weight", cols, 8);
    for (uint64_t layer = facts->n_layer; layer-- > 0;)
        for (size_t word = 0; word < WEIR_COUNT(words); word++) {
            char name[64];
            snprintf(name, sizeof(name), "blk.%u.%s.weight", (unsigned)layer, words[word]);
            add(&list, name, cols, 8);
        }
    return list;
}

static void apply(const char *mixture, const struct weir_mixture_facts *facts,
                  struct weir_recast_list *list)
{
    assert_non_null(weir_mixture_find(mixture));
    assert_int_equal(weir_mixture_apply(weir_mixture_find(mixture), facts, NULL, NULL, list, NULL),
                     WEIR_OK);
}

/* How many tensors with that in their names have the type. */
static uint32_t count(const struct weir_recast_list *list, const char *part, enum weir_type type)
{
    uint32_t found = 0;
    for (uint32_t index = 0; index < list->count; index++)
        found +=
            strstr(list->tensors[index].name, part) != NULL && list->tensors[index].type == type;
    return found;
}

static void better_formats_go_where_they_count(void **state)
{
    (void)state;
    static const struct {
        const char *mixture;
        const struct weir_mixture_facts *facts;
        const char *part;
        enum weir_type type;
        uint32_t count;
    } rows[] = {
        {"Q4_K_M", &dense, "attn_v", WEIR_TYPE_Q6_K, 16},
        {"Q4_K_M", &dense, "attn_v", WEIR_TYPE_Q4_K, 16},
        {"Q4_K_M", &dense, "ffn_down", WEIR_TYPE_Q6_K, 16},
        {"Q4_K_M", &dense, "output.weight", WEIR_TYPE_Q6_K, 1},
        {"q4_k", &dense, "ffn_gate", WEIR_TYPE_Q4_K, 32},
        {"Q4_K_S", &dense, "attn_v", WEIR_TYPE_Q5_K, 4},
        {"Q4_K_S", &dense, "ffn_down", WEIR_TYPE_Q5_K, 4},
        {"Q4_K_M", &eight, "attn_k", WEIR_TYPE_Q8_0, 32},
        {"Q4_K_M", &eight, "attn_v", WEIR_TYPE_Q8_0, 32},
        {"Q4_K_M", &eight, "attn_output", WEIR_TYPE_Q5_K, 32},
        {"Q4_K_M", &large, "attn_v", WEIR_TYPE_Q4_K, 0},
        {"Q3_K_M", &dense, "attn_v", WEIR_TYPE_Q5_K, 2},
        {"Q3_K_M", &dense, "ffn_down", WEIR_TYPE_Q5_K, 2},
        {"Q3_K_L", &dense, "attn_output", WEIR_TYPE_Q5_K, 32},
        {"Q2_K", &dense, "attn_v", WEIR_TYPE_Q3_K, 32},
        {"Q2_K", &grouped, "attn_v", WEIR_TYPE_Q4_K, 32},
        {"IQ3_XS", &dense, "ffn_up", WEIR_TYPE_IQ3_XXS, 24},
        {"IQ4_XS", &dense, "ffn_down", WEIR_TYPE_Q5_K, 4},
        {"IQ2_XXS", &dense, "token_embd", WEIR_TYPE_Q2_K, 1},
        {"IQ2_XXS", &dense, "ffn_down", WEIR_TYPE_Q2_K, 4},
        {"IQ2_XXS", &dense, "output.weight", WEIR_TYPE_Q5_K, 1},
        {"Q8_0", &dense, ".weight", WEIR_TYPE_Q8_0, 226},
        {"F16", &dense, ".weight", WEIR_TYPE_F16, 226},
        {"MXFP4_MOE", &dense, ".weight", WEIR_TYPE_Q8_0, 226},
    };
    for (size_t row = 0; row < WEIR_COUNT(rows); row++) {
        struct weir_recast_list list = make(rows[row].facts, 512);
        apply(rows[row].mixture, rows[row].facts, &list);
        const uint32_t found = count(&list, rows[row].part, rows[row].type);
        if (found != rows[row].count)
            fail_msg("%s: %u of %s are %s, wanted %u", rows[row].mixture, found, rows[row].part,
                     weir_quant_info(rows[row].type)->name, rows[row].count);
    }
}

static void pure_is_one_format(void **state)
{
    (void)state;
    struct weir_mixture_facts facts = dense;
    struct weir_recast_list list = make(&facts, 512);
    facts.is_pure = true;
    apply("Q4_K_M", &facts, &list);
    assert_int_equal(count(&list, ".weight", WEIR_TYPE_Q4_K), 226);
}

static void an_embedding_may_be_the_output(void **state)
{
    (void)state;
    struct weir_recast_list list = make(&dense, 512);
    names[1][0] = 'X'; /* no output.weight */
    apply("Q4_0", &dense, &list);
    assert_int_equal(tensors[0].type, WEIR_TYPE_Q6_K);
}

static void odd_rows_fall_back(void **state)
{
    (void)state;
    static const struct {
        uint64_t cols;
        enum weir_type meant, type;
    } rows[] = {
        {256, WEIR_TYPE_Q4_K, WEIR_TYPE_Q4_K},  {96, WEIR_TYPE_Q4_K, WEIR_TYPE_Q5_0},
        {96, WEIR_TYPE_Q5_K, WEIR_TYPE_Q5_1},   {96, WEIR_TYPE_Q6_K, WEIR_TYPE_Q8_0},
        {96, WEIR_TYPE_Q3_K, WEIR_TYPE_Q4_0},   {96, WEIR_TYPE_IQ2_XS, WEIR_TYPE_IQ4_NL},
        {96, WEIR_TYPE_NVFP4, WEIR_TYPE_MXFP4}, {96, WEIR_TYPE_Q4_0, WEIR_TYPE_Q4_0},
        {100, WEIR_TYPE_Q4_K, WEIR_TYPE_F16},   {100, WEIR_TYPE_Q8_0, WEIR_TYPE_F16},
        {100, WEIR_TYPE_BF16, WEIR_TYPE_BF16},
    };
    for (size_t row = 0; row < WEIR_COUNT(rows); row++) {
        struct weir_recast_tensor tensor = {.dims = {rows[row].cols, 4, 1, 1}};
        weir_mixture_set(&tensor, rows[row].meant);
        assert_int_equal(tensor.type, rows[row].type);
        assert_int_equal(tensor.meant, rows[row].meant);
        assert_int_equal(tensor.fell_back, rows[row].type != rows[row].meant);
    }
}

static void small_parts_keep_their_format(void **state)
{
    (void)state;
    static const char *const kept[] = {"blk.0.attn_norm.weight",  "blk.0.ffn_gate_inp.weight",
                                       "blk.0.ssm_conv1d.weight", "blk.0.attn_q.bias",
                                       "position_embd.weight",    "per_layer_model_proj.weight"};
    struct weir_recast_list list = {.tensors = tensors};
    for (size_t row = 0; row < WEIR_COUNT(kept); row++)
        add(&list, kept[row], 512, 8);
    add(&list, "blk.0.ffn_up.weight", 512, 1);
    apply("Q8_0", &dense, &list);
    assert_int_equal(count(&list, "", WEIR_TYPE_F32), list.count);
}

static void few_bits_want_importance(void **state)
{
    (void)state;
    struct weir_recast_tensor tensor = {.name = "blk.0.ffn_up.weight", .type = WEIR_TYPE_IQ2_XS};
    assert_true(weir_mixture_needs_weights(weir_mixture_find("Q8_0"), &tensor));
    tensor.type = WEIR_TYPE_Q2_K;
    assert_false(weir_mixture_needs_weights(weir_mixture_find("Q2_K"), &tensor));
    assert_true(weir_mixture_needs_weights(weir_mixture_find("Q2_K_S"), &tensor));
    tensor.name = "token_embd.weight";
    assert_false(weir_mixture_needs_weights(weir_mixture_find("Q2_K_S"), &tensor));
    assert_null(weir_mixture_find("Q9_K"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(better_formats_go_where_they_count),
        cmocka_unit_test(pure_is_one_format),
        cmocka_unit_test(an_embedding_may_be_the_output),
        cmocka_unit_test(odd_rows_fall_back),
        cmocka_unit_test(small_parts_keep_their_format),
        cmocka_unit_test(few_bits_want_importance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
