/* convert_layout.c - what GGUF files have otherwise than directories: rows in another order, one
 * tensor for two, matrices the other way round.
 *
 * A directory is read as it was trained (docs/decisions/0025-directories-as-trained.md); a file has
 * what llama.cpp's loaders want. Each difference is a row of rules[]. */
#include "convert/laying.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"

enum { KEY_BYTES = 96 };

/* ---- keys ------------------------------------------------------------------------------------ */

static bool find_number(const struct weir_maker *maker, const char *suffix, uint64_t *value)
{
    char key[KEY_BYTES];
    double number = 0.0;
    uint64_t count = 0;
    snprintf(key, sizeof(key), "%s.%s", maker->family, suffix);
    const bool is_array = weir_manifest_array_count(maker->manifest, key, &count);
    if (!weir_manifest_element(maker->manifest, key, is_array ? maker->layer : 0, &number) ||
        number < 0.0)
        return false;
    *value = (uint64_t)number;
    return true;
}

static enum weir_status need_number(const struct weir_maker *maker, const char *suffix,
                                    uint64_t *value)
{
    if (find_number(maker, suffix, value) && *value > 0)
        return WEIR_OK;
    return WEIR_FAIL(maker->err, WEIR_ERR_FORMAT,
                     "key %s.%s is missing: tensor %s cannot be put in order without it",
                     maker->family, suffix, maker->source->name);
}

static bool says(const struct weir_maker *maker, const char *suffix, bool wanted)
{
    char key[KEY_BYTES];
    bool value = !wanted;
    snprintf(key, sizeof(key), "%s.%s", maker->family, suffix);
    return weir_manifest_bool(maker->manifest, key, &value) && value == wanted;
}

static enum weir_status check_extent(const struct weir_maker *maker, uint64_t wanted,
                                     uint64_t found)
{
    if (wanted == found)
        return WEIR_OK;
    return WEIR_FAIL(maker->err, WEIR_ERR_FORMAT,
                     "tensor %s: wanted %" PRIu64 " values or rows of heads, found %" PRIu64,
                     maker->source->name, wanted, found);
}

/* ---- rules ----------------------------------------------------------------------------------- */

static bool is_vector(const struct weir_tensor *tensor)
{
    return tensor->n_dim == 1;
}

/* Rows of a matrix, values of a vector. */
static uint64_t count_rows(const struct weir_tensor *source)
{
    return is_vector(source) ? source->dims[0] : source->dims[1];
}

/* A tensor of those rows of the source, or of those values of a vector, that the runs name. */
static enum weir_status lay_runs(struct weir_maker *maker, const char *word,
                                 const struct weir_run *runs, uint32_t run_count)
{
    struct weir_recast_tensor *laid = NULL;
    uint64_t count = 0;
    for (uint32_t run = 0; run < run_count; run++)
        count += runs[run].count;
    const bool is_flat = is_vector(maker->source);
    WEIR_TRY(weir_laid_add(maker, word, is_flat ? 1 : count, &laid));
    if (is_flat) {
        laid->dims[0] = count;
        WEIR_TRY(weir_laid_cols(maker, laid, runs, run_count));
    } else {
        WEIR_TRY(weir_laid_rows(maker, laid, runs, run_count));
    }
    return weir_laid_finish(maker, laid);
}

/* Rope turns neighbouring rows of a file, and rows half a head apart of a directory. */
static enum weir_status order_pairs(const struct weir_maker *maker, const char *head_count,
                                    struct weir_run *run)
{
    uint64_t n_head = 0;
    uint64_t n_rot = 0;
    if (!find_number(maker, head_count, &n_head))
        WEIR_TRY(need_number(maker, "attention.head_count", &n_head));
    if (n_head == 0 || run->count % n_head != 0 || run->count / n_head % 2 != 0)
        return WEIR_FAIL(maker->err, WEIR_ERR_FORMAT,
                         "tensor %s: wanted rows for %" PRIu64 " heads of an even width, found "
                         "%" PRIu64,
                         maker->source->name, n_head, run->count);
    const uint64_t d_head = run->count / n_head;
    if (find_number(maker, "rope.dimension_count", &n_rot) && n_rot != d_head)
        return WEIR_FAIL(maker->err, WEIR_ERR_UNSUPPORTED,
                         "tensor %s: no GGUF file of family %s has heads that are turned in part: "
                         "wanted %" PRIu64 " of %" PRIu64 " values, found %" PRIu64,
                         maker->source->name, maker->family, d_head, d_head, n_rot);
    run->order = (struct weir_order){.first = run->order.first,
                                     .inner = 2,
                                     .middle = d_head / 2,
                                     .outer_step = d_head,
                                     .middle_step = 1,
                                     .inner_step = d_head / 2};
    return WEIR_OK;
}

static enum weir_status lay_pairs(struct weir_maker *maker, const char *head_count)
{
    struct weir_run run = {count_rows(maker->source), weir_order_plain(0)};
    WEIR_TRY(order_pairs(maker, head_count, &run));
    return lay_runs(maker, maker->word, &run, 1);
}

static enum weir_status lay_query(struct weir_maker *maker)
{
    return lay_pairs(maker, "attention.head_count");
}

static enum weir_status lay_key(struct weir_maker *maker)
{
    return lay_pairs(maker, "attention.head_count_kv");
}

/* q, k and v in one, as rows are trained; loaders want neighbouring pairs. */
static enum weir_status lay_fused_pairs(struct weir_maker *maker)
{
    static const char *const words[2][3] = {{"attn_q.weight", "attn_k.weight", "attn_v.weight"},
                                            {"attn_q.bias", "attn_k.bias", "attn_v.bias"}};
    static const char *const counts[] = {"attention.head_count", "attention.head_count_kv"};
    const bool is_bias = weir_ends_with(maker->word, ".bias");
    const uint64_t rows = count_rows(maker->source);
    uint64_t n_head = 0;
    uint64_t n_kv_head = 0;
    WEIR_TRY(need_number(maker, counts[0], &n_head));
    n_kv_head = find_number(maker, counts[1], &n_kv_head) ? n_kv_head : n_head;
    const uint64_t d_head = rows / (n_head + 2 * n_kv_head);
    WEIR_TRY(check_extent(maker, d_head * (n_head + 2 * n_kv_head), rows));
    struct weir_run run = {0, weir_order_plain(0)};
    for (uint32_t part = 0; part < 3; part++) {
        run = (struct weir_run){d_head * (part == 0 ? n_head : n_kv_head),
                                weir_order_plain(run.order.first + run.count)};
        if (part < 2)
            WEIR_TRY(order_pairs(maker, counts[part], &run));
        WEIR_TRY(lay_runs(maker, words[is_bias][part], &run, 1));
    }
    return WEIR_OK;
}

/* ---- delta nets ------------------------------------------------------------------------------ */

struct delta {
    uint64_t n_key_head, n_value_head, d_key, d_value;
};

static enum weir_status read_delta(const struct weir_maker *maker, struct delta *delta)
{
    uint64_t d_inner = 0;
    WEIR_TRY(need_number(maker, "ssm.group_count", &delta->n_key_head));
    WEIR_TRY(need_number(maker, "ssm.time_step_rank", &delta->n_value_head));
    WEIR_TRY(need_number(maker, "ssm.state_size", &delta->d_key));
    WEIR_TRY(need_number(maker, "ssm.inner_size", &d_inner));
    delta->d_value = d_inner / delta->n_value_head;
    if (delta->n_value_head % delta->n_key_head == 0 && d_inner % delta->n_value_head == 0)
        return WEIR_OK;
    return WEIR_FAIL(maker->err, WEIR_ERR_FORMAT,
                     "keys %s.ssm: %" PRIu64 " value heads of %" PRIu64 " values in all cannot "
                     "share %" PRIu64 " key heads evenly",
                     maker->family, delta->n_value_head, d_inner, delta->n_key_head);
}

/* Value heads in turns of all key heads, of width values each; in a directory the heads that share
 * a key head follow each other. */
static struct weir_run run_heads(const struct delta *delta, uint64_t first, uint64_t width)
{
    return (struct weir_run){delta->n_value_head * width,
                             {.first = first,
                              .inner = width,
                              .middle = delta->n_key_head,
                              .outer_step = width,
                              .middle_step = delta->n_value_head / delta->n_key_head * width,
                              .inner_step = 1}};
}

/* A value, or d_value rows, of each value head. */
static enum weir_status lay_value_heads(struct weir_maker *maker, bool has_width)
{
    struct delta delta;
    WEIR_TRY(read_delta(maker, &delta));
    const struct weir_run run = run_heads(&delta, 0, has_width ? delta.d_value : 1);
    WEIR_TRY(check_extent(maker, run.count, count_rows(maker->source)));
    return lay_runs(maker, maker->word, &run, 1);
}

static enum weir_status lay_head_values(struct weir_maker *maker)
{
    return lay_value_heads(maker, false);
}

static enum weir_status lay_head_rows(struct weir_maker *maker)
{
    return lay_value_heads(maker, true);
}

/* Rows of q and k, and then those of value heads. */
static enum weir_status lay_delta_qkv(struct weir_maker *maker)
{
    struct delta delta;
    WEIR_TRY(read_delta(maker, &delta));
    const uint64_t lead = 2 * delta.n_key_head * delta.d_key;
    const struct weir_run runs[] = {{lead, weir_order_plain(0)},
                                    run_heads(&delta, lead, delta.d_value)};
    WEIR_TRY(check_extent(maker, lead + runs[1].count, count_rows(maker->source)));
    return lay_runs(maker, maker->word, runs, 2);
}

static enum weir_status lay_head_cols(struct weir_maker *maker)
{
    struct delta delta;
    struct weir_recast_tensor *laid = NULL;
    WEIR_TRY(read_delta(maker, &delta));
    const struct weir_run run = run_heads(&delta, 0, delta.d_value);
    WEIR_TRY(check_extent(maker, run.count, maker->source->dims[0]));
    WEIR_TRY(weir_laid_add(maker, maker->word, maker->source->dims[1], &laid));
    WEIR_TRY(weir_laid_cols(maker, laid, &run, 1));
    return weir_laid_finish(maker, laid);
}

/* Rows of q, k, v and gate of one key head, and then of the next. */
static enum weir_status lay_packed(struct weir_maker *maker)
{
    struct delta delta;
    struct weir_run runs[4];
    uint64_t first = 0;
    WEIR_TRY(read_delta(maker, &delta));
    const uint64_t d_values = delta.n_value_head / delta.n_key_head * delta.d_value;
    const uint64_t widths[] = {delta.d_key, delta.d_key, d_values, d_values};
    const uint64_t step = 2 * delta.d_key + 2 * d_values;
    WEIR_TRY(check_extent(maker, delta.n_key_head * step, count_rows(maker->source)));
    for (uint32_t part = 0; part < WEIR_COUNT(runs); first += widths[part++])
        runs[part] = (struct weir_run){delta.n_key_head * widths[part],
                                       {.first = first,
                                        .inner = widths[part],
                                        .middle = 1,
                                        .outer_step = step,
                                        .inner_step = 1}};
    WEIR_TRY(lay_runs(maker, "attn_qkv.weight", runs, 3));
    return lay_runs(maker, "attn_gate.weight", runs + 3, 1);
}

/* ---- latent heads, and gate and up ----------------------------------------------------------- */

/* The matrix that makes keys and values of a latent, as two stacks: that of keys turned round. */
static enum weir_status lay_latent(struct weir_maker *maker)
{
    struct weir_recast_tensor *laid = NULL;
    uint64_t n_head = 0;
    uint64_t d_value = 0;
    const uint64_t rows = maker->source->dims[1];
    WEIR_TRY(need_number(maker, "attention.head_count", &n_head));
    WEIR_TRY(need_number(maker, "attention.value_length", &d_value));
    const uint64_t step = rows / n_head;
    if (rows % n_head != 0 || step <= d_value)
        return WEIR_FAIL(maker->err, WEIR_ERR_FORMAT,
                         "tensor %s: wanted rows for %" PRIu64 " heads, each more than %" PRIu64
                         ", found %" PRIu64,
                         maker->source->name, n_head, d_value, rows);
    WEIR_TRY(weir_laid_add(maker, "attn_k_b.weight", maker->source->dims[0], &laid));
    laid->dims[0] = step - d_value;
    laid->dims[2] = n_head;
    laid->n_dim = 3;
    laid->stride_rows = step;
    laid->is_turned = true;
    WEIR_TRY(weir_laid_finish(maker, laid));
    WEIR_TRY(weir_laid_add(maker, "attn_v_b.weight", d_value, &laid));
    laid->dims[2] = n_head;
    laid->n_dim = 3;
    laid->stride_rows = step;
    laid->first_row = step - d_value;
    return weir_laid_finish(maker, laid);
}

/* Rows of gate and up, one after the other or in turn; or columns of the biases of experts. */
static enum weir_status lay_gate_up(struct weir_maker *maker, const char *const words[2])
{
    const struct weir_tensor *source = maker->source;
    const bool is_bias = weir_ends_with(source->name, ".bias");
    const uint64_t both = is_bias ? source->dims[0] : source->dims[1];
    if (both % 2 != 0)
        return WEIR_FAIL(maker->err, WEIR_ERR_FORMAT,
                         "tensor %s: wanted as many rows of gate as of up, found %" PRIu64
                         " of both",
                         source->name, both);
    for (uint32_t part = 0; part < 2; part++) {
        struct weir_recast_tensor *laid = NULL;
        struct weir_run run = {both / 2, weir_order_plain(part * both / 2)};
        if (source->takes_turns) {
            run.order.first = part;
            run.order.inner_step = 2;
        }
        WEIR_TRY(weir_laid_add(maker, words[part], is_bias ? source->dims[1] : both / 2, &laid));
        if (is_bias) {
            laid->dims[0] = both / 2;
            WEIR_TRY(weir_laid_cols(maker, laid, &run, 1));
        } else {
            laid->first_row = run.order.first;
            laid->row_step = run.order.inner_step;
        }
        WEIR_TRY(weir_laid_finish(maker, laid));
    }
    return WEIR_OK;
}

static enum weir_status lay_experts(struct weir_maker *maker)
{
    static const char *const weights[] = {"ffn_gate_exps.weight", "ffn_up_exps.weight"};
    static const char *const biases[] = {"ffn_gate_exps.bias", "ffn_up_exps.bias"};
    return lay_gate_up(maker, weir_ends_with(maker->word, ".bias") ? biases : weights);
}

static enum weir_status lay_shared(struct weir_maker *maker)
{
    static const char *const weights[] = {"ffn_gate_shexp.weight", "ffn_up_shexp.weight"};
    return lay_gate_up(maker, weights);
}

static enum weir_status lay_plain(struct weir_maker *maker)
{
    struct weir_recast_tensor *laid = NULL;
    WEIR_TRY(weir_laid_add(maker, maker->word, maker->source->dims[1], &laid));
    return weir_laid_finish(maker, laid);
}

/* ---- all of them ----------------------------------------------------------------------------- */

enum when { ALWAYS, HALF_PAIRS, GROUPED_HEADS, NOT_GEMMA4 };

static const struct rule {
    const char *word;
    enum when when;
    enum weir_status (*lay)(struct weir_maker *maker);
} rules[] = {
    {"attn_q.weight", HALF_PAIRS, lay_query},
    {"attn_q.bias", HALF_PAIRS, lay_query},
    {"attn_k.weight", HALF_PAIRS, lay_key},
    {"attn_k.bias", HALF_PAIRS, lay_key},
    {"attn_qkv.weight", HALF_PAIRS, lay_fused_pairs},
    {"attn_qkv.bias", HALF_PAIRS, lay_fused_pairs},
    {"attn_qkv.weight", GROUPED_HEADS, lay_delta_qkv},
    {"attn_gate.weight", GROUPED_HEADS, lay_head_rows},
    {"ssm_beta.weight", GROUPED_HEADS, lay_head_values},
    {"ssm_alpha.weight", GROUPED_HEADS, lay_head_values},
    {"ssm_a", GROUPED_HEADS, lay_head_values},
    {"ssm_dt.bias", GROUPED_HEADS, lay_head_values},
    {"ssm_conv1d.weight", GROUPED_HEADS, lay_delta_qkv},
    {"ssm_out.weight", GROUPED_HEADS, lay_head_cols},
    {"ssm_in.weight", ALWAYS, lay_packed},
    {"attn_kv_b.weight", ALWAYS, lay_latent},
    {"ffn_gate_up_exps.weight", NOT_GEMMA4, lay_experts},
    {"ffn_gate_up_exps.bias", NOT_GEMMA4, lay_experts},
    {"ffn_gate_up_shexp.weight", ALWAYS, lay_shared},
};

static bool holds(const struct weir_maker *maker, enum when when)
{
    switch (when) {
    case HALF_PAIRS:
        return says(maker, "rope.interleaved", false);
    case GROUPED_HEADS:
        return says(maker, "ssm.heads_are_grouped", true);
    case NOT_GEMMA4:
        return strcmp(maker->family, "gemma4") != 0;
    default:
        return true;
    }
}

/* "blk.3.attn_q.weight": the layer, and what is behind it. */
static void read_name(struct weir_maker *maker)
{
    int length = 0;
    maker->layer = 0;
    maker->word = maker->source->name;
    if (sscanf(maker->source->name, "blk.%u.%n", &maker->layer, &length) == 1 && length > 0)
        maker->word += length;
}

static enum weir_status lay_one(struct weir_maker *maker)
{
    if (weir_recast_is_beside(maker->manifest, maker->source))
        return WEIR_OK;
    read_name(maker);
    for (size_t row = 0; row < WEIR_COUNT(rules); row++)
        if (strcmp(maker->word, rules[row].word) == 0 && holds(maker, rules[row].when))
            return rules[row].lay(maker);
    return lay_plain(maker);
}

/* Pairs of latent heads are neighbours in every file. */
static enum weir_status check_latent(const struct weir_maker *maker)
{
    uint64_t rank = 0;
    if (!find_number(maker, "attention.kv_lora_rank", &rank) ||
        !says(maker, "rope.interleaved", false))
        return WEIR_OK;
    return WEIR_FAIL(maker->err, WEIR_ERR_UNSUPPORTED,
                     "rope_interleave: no GGUF file of family %s has pairs half a head apart: "
                     "wanted true, found false",
                     maker->family);
}

enum weir_status weir_layout_make(struct weir_layout *layout, const weir_manifest *manifest,
                                  struct weir_err *err)
{
    const uint32_t count = weir_manifest_tensor_count(manifest);
    struct weir_maker maker = {.manifest = manifest,
                               .family = weir_manifest_text(manifest, "general.architecture"),
                               .layout = layout,
                               .capacity = 4 * count, /* three of one at most, and factors */
                               .err = err};
    *layout = (struct weir_layout){0};
    layout->list.tensors = weir_heap_array(maker.capacity, sizeof(*layout->list.tensors));
    layout->names = weir_heap_array(maker.capacity, WEIR_LAYOUT_NAME_BYTES);
    if (layout->list.tensors == NULL || layout->names == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for %u tensors", maker.capacity);
    WEIR_TRY(check_latent(&maker));
    for (uint32_t index = 0; index < count; index++) {
        maker.source = weir_manifest_tensor_at(manifest, index);
        WEIR_TRY(lay_one(&maker));
    }
    return WEIR_OK;
}

void weir_layout_free(struct weir_layout *layout)
{
    for (uint32_t index = 0; index < layout->order_count; index++)
        weir_heap_free(layout->orders[index].at);
    weir_heap_free(layout->orders);
    weir_heap_free(layout->names);
    weir_factors_free(layout);
    weir_recast_list_free(&layout->list);
    *layout = (struct weir_layout){0};
}
