/* convert_keys.c - the keys of a directory's manifest as a file has them.
 *
 * The manifest's keys are those of a GGUF file already (docs/formats/hf.md). A file has none of
 * weir's own, and says some things otherwise; and what llama.cpp's loaders cannot do without is
 * said where a directory leaves it to its family. */
#include "convert/convert.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { KEY_BYTES = 96, QUANTIZATION_VERSION = 2, SIGMOID = 2, SECTIONS = 4 };

struct keys {
    weir_gguf_writer *writer;
    const weir_manifest *manifest;
    const char *family;
    bool has_experts;
    bool is_latent; /* heads are of a latent: the file says their widths as newer files do */
};

static const char *key_of(const struct keys *keys, const char *suffix, char out[KEY_BYTES])
{
    snprintf(out, KEY_BYTES, "%s.%s", keys->family, suffix);
    return out;
}

static bool find_count(const struct keys *keys, const char *suffix, uint64_t *value)
{
    char key[KEY_BYTES];
    return weir_manifest_u64(keys->manifest, key_of(keys, suffix, key), value);
}

static bool is_said(const struct keys *keys, const char *suffix)
{
    char key[KEY_BYTES];
    return weir_manifest_has(keys->manifest, key_of(keys, suffix, key));
}

static void put_count(const struct keys *keys, const char *suffix, uint64_t value)
{
    char key[KEY_BYTES];
    weir_gguf_put_u32(keys->writer, key_of(keys, suffix, key), (uint32_t)value);
}

/* ---- keys that are not carried over ---------------------------------------------------------- */

static bool is_one_of(const struct keys *keys, const char *key, const char *const *suffixes)
{
    char name[KEY_BYTES];
    for (; *suffixes != NULL; suffixes++)
        if (strcmp(key, key_of(keys, *suffixes, name)) == 0)
            return true;
    return false;
}

static bool is_left_out(void *user, const char *key)
{
    static const char *const own[] = {"rope.interleaved", "ssm.heads_are_grouped", NULL};
    static const char *const latent[] = {"attention.head_count_kv", "attention.key_length",
                                         "attention.value_length", NULL};
    /* Of a model that has none, a configuration may have the family's numbers. */
    static const char *const experts[] = {"expert_used_count",
                                          "expert_group_count",
                                          "expert_group_used_count",
                                          "expert_weights_norm",
                                          "expert_weights_scale",
                                          "expert_gating_func",
                                          NULL};
    const struct keys *keys = user;
    return is_one_of(keys, key, own) || (!keys->has_experts && is_one_of(keys, key, experts)) ||
           (keys->is_latent && is_one_of(keys, key, latent));
}

/* A latent is one head of keys that all heads share; their own widths have keys of their own. */
static enum weir_status put_latent(const struct keys *keys, struct weir_err *err)
{
    uint64_t rank = 0;
    uint64_t n_rot = 0;
    uint64_t d_key = 0;
    uint64_t d_value = 0;
    if (!find_count(keys, "attention.kv_lora_rank", &rank) ||
        !find_count(keys, "rope.dimension_count", &n_rot) ||
        !find_count(keys, "attention.key_length", &d_key) ||
        !find_count(keys, "attention.value_length", &d_value))
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "config.json: latent heads of family %s need kv_lora_rank, "
                         "qk_nope_head_dim, qk_rope_head_dim and v_head_dim",
                         keys->family);
    put_count(keys, "attention.head_count_kv", 1);
    put_count(keys, "attention.key_length", rank + n_rot);
    put_count(keys, "attention.value_length", rank);
    put_count(keys, "attention.key_length_mla", d_key);
    put_count(keys, "attention.value_length_mla", d_value);
    return WEIR_OK;
}

/* ---- keys that loaders want ------------------------------------------------------------------ */

/* What a file must say where the directory does not. */
enum want { WANT_VALUE, WANT_LEADING, WANT_SHARED_ROWS, WANT_SECTIONS, WANT_STEP };

static const struct wanted {
    const char *family, *suffix;
    enum want want;
    uint32_t value;
    int32_t sections[SECTIONS];
} wanted[] = {
    {"afmoe", "expert_shared_count", WANT_VALUE, 0, {0}},
    {"bailingmoe", "expert_shared_count", WANT_VALUE, 0, {0}},
    {"bailingmoe2", "expert_shared_count", WANT_VALUE, 0, {0}},
    {"deepseek", "expert_shared_count", WANT_VALUE, 0, {0}},
    {"deepseek2", "expert_shared_count", WANT_VALUE, 0, {0}},
    {"dots1", "expert_shared_count", WANT_VALUE, 0, {0}},
    {"glm4moe", "expert_shared_count", WANT_VALUE, 0, {0}},
    {"mistral4", "expert_shared_count", WANT_VALUE, 0, {0}},
    {"bailingmoe2", "expert_gating_func", WANT_VALUE, SIGMOID, {0}},
    {"exaone-moe", "expert_gating_func", WANT_VALUE, SIGMOID, {0}},
    {"glm4moe", "expert_gating_func", WANT_VALUE, SIGMOID, {0}},
    {"minimax-m2", "expert_gating_func", WANT_VALUE, SIGMOID, {0}},
    {"ernie4_5-moe", "interleave_moe_layer_step", WANT_VALUE, 1, {0}},
    {"llama4", "interleave_moe_layer_step", WANT_VALUE, 1, {0}},
    {"bailingmoe", "leading_dense_block_count", WANT_LEADING, 0, {0}},
    {"bailingmoe2", "leading_dense_block_count", WANT_LEADING, 0, {0}},
    {"cohere2moe", "leading_dense_block_count", WANT_LEADING, 0, {0}},
    {"deepseek", "leading_dense_block_count", WANT_LEADING, 0, {0}},
    {"deepseek2", "leading_dense_block_count", WANT_LEADING, 0, {0}},
    {"dots1", "leading_dense_block_count", WANT_LEADING, 0, {0}},
    {"exaone-moe", "leading_dense_block_count", WANT_LEADING, 0, {0}},
    {"glm4moe", "leading_dense_block_count", WANT_LEADING, 0, {0}},
    {"mistral4", "leading_dense_block_count", WANT_LEADING, 0, {0}},
    {"step35", "leading_dense_block_count", WANT_LEADING, 0, {0}},
    {"bailingmoe2", "expert_shared_feed_forward_length", WANT_SHARED_ROWS, 0, {0}},
    {"cohere2moe", "expert_shared_feed_forward_length", WANT_SHARED_ROWS, 0, {0}},
    {"ernie4_5-moe", "expert_shared_feed_forward_length", WANT_SHARED_ROWS, 0, {0}},
    {"exaone-moe", "expert_shared_feed_forward_length", WANT_SHARED_ROWS, 0, {0}},
    {"hunyuan-moe", "expert_shared_feed_forward_length", WANT_SHARED_ROWS, 0, {0}},
    {"step35", "expert_shared_feed_forward_length", WANT_SHARED_ROWS, 0, {0}},
    {"mistral4", "attention.temperature_length", WANT_STEP, 0, {0}},
    {"qwen35", "rope.dimension_sections", WANT_SECTIONS, 0, {11, 11, 10, 0}},
    {"qwen35moe", "rope.dimension_sections", WANT_SECTIONS, 0, {11, 11, 10, 0}},
    {"qwen3vlmoe", "rope.dimension_sections", WANT_SECTIONS, 0, {24, 20, 20, 0}},
};

static const struct weir_recast_tensor *find_laid(const struct weir_layout *layout,
                                                  const char *pattern, uint64_t layer)
{
    char name[WEIR_LAYOUT_NAME_BYTES];
    snprintf(name, sizeof(name), "blk.%" PRIu64 ".%s", layer, pattern);
    for (uint32_t index = 0; index < layout->list.count; index++)
        if (strcmp(layout->list.tensors[index].name, name) == 0)
            return &layout->list.tensors[index];
    return NULL;
}

/* Layers before the first one with experts. */
static uint64_t count_leading(const struct keys *keys, const struct weir_layout *layout)
{
    uint64_t n_layer = 0;
    uint64_t layer = 0;
    find_count(keys, "block_count", &n_layer);
    while (layer < n_layer && find_laid(layout, "ffn_down_exps.weight", layer) == NULL)
        layer++;
    return layer;
}

/* A text's positions are the same in all sections, but pairs of none are not turned: together they
 * are as many as turn, three kinds in turn. */
static void put_sections(const struct keys *keys, const struct wanted *row)
{
    char key[KEY_BYTES];
    int32_t sections[SECTIONS];
    uint64_t n_rot = UINT64_MAX;
    uint64_t sum = 0;
    if (!find_count(keys, "rope.dimension_count", &n_rot))
        find_count(keys, "attention.key_length", &n_rot);
    memcpy(sections, row->sections, sizeof(sections));
    for (uint32_t at = 0; at < SECTIONS; at++)
        sum += (uint64_t)sections[at];
    const uint64_t n_pair = n_rot / 2;
    for (uint64_t at = 0; at + 1 < SECTIONS && n_rot != UINT64_MAX && sum != n_pair; at++)
        sections[at] = (int32_t)((n_pair + 2 - at) / 3);
    weir_gguf_put_array(keys->writer, key_of(keys, row->suffix, key), GGUF_I32, SECTIONS);
    weir_gguf_put_values(keys->writer, sections, SECTIONS);
}

static void put_wanted(const struct keys *keys, const struct weir_layout *layout,
                       const struct wanted *row)
{
    uint64_t n_layer = 0;
    uint64_t n_step = 0;
    const struct weir_recast_tensor *shared = NULL;
    switch (row->want) {
    case WANT_VALUE:
        put_count(keys, row->suffix, row->value);
        return;
    case WANT_LEADING:
        put_count(keys, row->suffix, count_leading(keys, layout));
        return;
    case WANT_SHARED_ROWS:
        find_count(keys, "block_count", &n_layer);
        for (uint64_t layer = 0; layer < n_layer && shared == NULL; layer++)
            shared = find_laid(layout, "ffn_up_shexp.weight", layer);
        if (shared != NULL)
            put_count(keys, row->suffix, shared->dims[1]);
        return;
    case WANT_SECTIONS:
        put_sections(keys, row);
        return;
    case WANT_STEP: /* scores get steeper each time the text is longer by what YaRN began with */
        if (is_said(keys, "attention.temperature_scale") &&
            find_count(keys, "rope.scaling.original_context_length", &n_step))
            put_count(keys, row->suffix, n_step);
        return;
    }
}

/* ---- what the file is ------------------------------------------------------------------------ */

/* "7.2B": two digits at least. */
static void show_count(double count, char out[16])
{
    static const struct {
        double unit;
        const char *word;
    } units[] = {{1e12, "T"}, {1e9, "B"}, {1e6, "M"}, {1e3, "K"}};
    size_t row = 0;
    while (row + 1 < WEIR_COUNT(units) && count <= units[row].unit)
        row++;
    const double shown = count / units[row].unit;
    const int decimals = nearbyint(shown) >= 10.0 ? 0 : nearbyint(shown) >= 1.0 ? 1 : 2;
    snprintf(out, 16, "%.*f%s", decimals, shown, units[row].word);
}

/* general.size_label: how many weights; of experts how many, and those of one beside the rest. */
static void put_size(const struct keys *keys, const struct weir_layout *layout)
{
    char label[40];
    char shown[16];
    double all = 0.0;
    double apart = 0.0;
    uint64_t n_expert = 0;
    for (uint32_t index = 0; index < layout->list.count; index++) {
        const struct weir_recast_tensor *laid = &layout->list.tensors[index];
        const bool is_expert = strstr(laid->name, "_exps.") != NULL && laid->n_dim > 2;
        const double count = (double)laid->dims[0] * (double)laid->dims[1] * (double)laid->dims[2];
        all += count;
        apart += is_expert ? count / (double)laid->dims[2] : count;
        if (is_expert)
            n_expert = laid->dims[2];
    }
    show_count(n_expert > 0 ? apart : all, shown);
    if (n_expert > 0)
        snprintf(label, sizeof(label), "%" PRIu64 "x%s", n_expert, shown);
    else
        snprintf(label, sizeof(label), "%s", shown);
    weir_gguf_put_text(keys->writer, "general.size_label", label);
}

/* Families whose loaders always make the chosen experts' weights sum 1. */
static void warn_of_unread(const struct keys *keys, struct weir_warnings *warnings)
{
    static const char *const always[] = {"qwen3moe", "qwen3next", "qwen35moe", "qwen3vlmoe"};
    char key[KEY_BYTES];
    bool is_normed = true;
    weir_manifest_bool(keys->manifest, key_of(keys, "expert_weights_norm", key), &is_normed);
    for (size_t row = 0; row < WEIR_COUNT(always) && !is_normed; row++)
        if (strcmp(keys->family, always[row]) == 0)
            weir_warn(
                warnings,
                "norm_topk_prob is false: the file says so and weir obeys, llama.cpp does not "
                "in family %s",
                keys->family);
}

enum weir_status weir_convert_put_keys(weir_gguf_writer *writer, const weir_manifest *manifest,
                                       const struct weir_layout *layout, uint32_t file_type,
                                       struct weir_warnings *warnings, struct weir_err *err)
{
    struct keys keys = {.writer = writer,
                        .manifest = manifest,
                        .family = weir_manifest_text(manifest, "general.architecture")};
    uint64_t n_expert = 0;
    keys.has_experts = find_count(&keys, "expert_count", &n_expert) && n_expert > 0;
    keys.is_latent = is_said(&keys, "attention.kv_lora_rank");
    weir_gguf_put_manifest_keys(writer, manifest, is_left_out, &keys);
    if (keys.is_latent)
        WEIR_TRY(put_latent(&keys, err));
    for (size_t row = 0; row < WEIR_COUNT(wanted); row++)
        if (strcmp(wanted[row].family, keys.family) == 0 && !is_said(&keys, wanted[row].suffix))
            put_wanted(&keys, layout, &wanted[row]);
    weir_gguf_put_text(writer, "general.type", "model");
    put_size(&keys, layout);
    if (file_type != UINT32_MAX)
        weir_gguf_put_u32(writer, "general.file_type", file_type);
    weir_gguf_put_u32(writer, "general.quantization_version", QUANTIZATION_VERSION);
    warn_of_unread(&keys, warnings);
    return WEIR_OK;
}
