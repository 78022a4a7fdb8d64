/* known_keys.c - the keys of an architecture that change what is computed, and those that do not.
 *
 * Files carry keys of many families' parts. Whoever ignores one that matters computes fluent
 * nonsense, so each key is in one of the tables, or a warning says that nobody reads it. */
#include <stdio.h>
#include <string.h>

#include "model/key_reader.h"

/* Read by shape.c, or checked there against the tensors. */
static const char *const read_keys[] = {
    "block_count",
    "context_length",
    "embedding_length",
    "feed_forward_length",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.key_length",
    "attention.value_length",
    "attention.layer_norm_rms_epsilon",
    "attention.layer_norm_epsilon", /* of norms of another kind, where the family has no such */
    "attention.scale",
    "attention.sliding_window",
    "attention.sliding_window_pattern",
    "attention.key_length_swa",
    "attention.value_length_swa",
    "attention.temperature_scale",
    "attention.temperature_length",
    "attn_logit_softcapping",
    "final_logit_softcapping",
    "logit_scale",
    "residual_scale",
    "embedding_scale",
    "rope.dimension_count",
    "rope.freq_base",
    "rope.freq_base_swa",
    "rope.dimension_count_swa",
    "rope.interleaved", /* weir's own (docs/formats/hf.md) */
    "rope.scale_linear",
    "rope.scaling.type",
    "rope.scaling.factor",
    "rope.scaling.original_context_length",
    "rope.scaling.attn_factor",
    "rope.scaling.yarn_log_multiplier",
    "rope.scaling.yarn_ext_factor",
    "rope.scaling.yarn_beta_fast",
    "rope.scaling.yarn_beta_slow",
    "expert_count",
    "expert_used_count",
    "expert_feed_forward_length",
    "expert_shared_feed_forward_length",
    "expert_weights_scale",
    "expert_weights_norm",
    "expert_gating_func",
    "expert_group_count",
    "expert_group_used_count",
    "expert_shared_count",
    "leading_dense_block_count",
    "interleave_moe_layer_step",
    "swiglu_clamp_exp",
    "swiglu_clamp_shexp",
};

/* Of no consequence for text by the families that are built in: notes about how the file came to
 * be, other uses of a model, and details of what is_off[] keeps off. */
static const char *const idle_keys[] = {
    "vocab_size", /* the tensors say how many */
    "tensor_data_layout",
    "rope.scaling.finetuned",
    "rope.dimension_sections", /* a text's positions are the same in all sections */
    "n_deepstack_layers",      /* of pictures */
    "pooling_type",
    "classifier.output_labels",
    "attention.group_norm_epsilon",
};

/* What would have to be computed otherwise: only these values say that nothing changes. A name
 * that ends in a dot stands for all that begin with it. */
static const struct off_key {
    const char *name;
    weir_parts unless; /* a family with it gets what the key says from its tensors */
    double off[2];
} off_keys[] = {
    {"attention.causal", 0, {1, 1}},
    {"attention.clamp_kqv", 0, {0, 0}},
    {"attention.max_alibi_bias", 0, {0, 0}},
    {"attention.output_scale", 0, {0, 1}},
    {"attention.value_scale", 0, {0, 1}},
    {"attention.q_lora_rank", WEIR_PART_LATENT, {0, 0}},
    {"attention.kv_lora_rank", WEIR_PART_LATENT, {0, 0}},
    {"attention.output_lora_rank", 0, {0, 0}},
    {"attention.gate_lora_rank", 0, {0, 0}},
    {"attention.key_length_mla", WEIR_PART_LATENT, {0, 0}},
    {"attention.value_length_mla", WEIR_PART_LATENT, {0, 0}},
    {"attention.shared_kv_layers", WEIR_PART_LENT_KEYS, {0, 0}},
    {"attention.recurrent_layers", WEIR_PART_DELTA, {0, 0}},
    {"attention.relative_buckets_count", 0, {0, 0}},
    {"attention.group_norm_groups", 0, {0, 0}},
    {"attention.value_expert_count", 0, {0, 0}},
    {"attention.compress_ratios", 0, {0, 1}},
    {"attention.indexer.", 0, {0, 0}},
    {"router_logit_softcapping", 0, {0, 0}},
    {"rope.scaling.alpha", 0, {0, 1}},
    {"rope.scaling.yarn_attn_factor", 0, {1, 1}},
    {"use_parallel_residual", 0, {0, 0}},
    {"full_attention_interval", WEIR_PART_DELTA, {0, 1}},
    {"nextn_predict_layers", WEIR_PART_GUESSES, {0, 0}},
    {"embedding_length_per_layer_input", WEIR_PART_LAYER_INPUT, {0, 0}},
    {"embedding_length_out", 0, {0, 0}},
    {"expert_group_scale", 0, {0, 1}},
    {"expert_latent_length", 0, {0, 0}},
    {"expert_chunk_feed_forward_length", 0, {0, 0}},
    {"experts_per_group", 0, {0, 0}},
    {"moe_latent_size", 0, {0, 0}},
    {"moe_every_n_layers", 0, {0, 1}},
    {"num_loops", 0, {0, 1}},
    {"decoder_block_count", 0, {0, 0}},
    {"hidden_activation", 0, {0, 0}},
    {"hash_layer_count", 0, {0, 0}},
    {"hyper_connection.", 0, {0, 0}},
    {"activation.", 0, {0, 0}},
    {"shortconv.", 0, {0, 0}},
    {"kda.", 0, {0, 0}},
    {"ple.", 0, {0, 0}},
    {"ssm.conv_kernel", WEIR_PART_DELTA, {0, 0}},
    {"ssm.state_size", WEIR_PART_DELTA, {0, 0}},
    {"ssm.group_count", WEIR_PART_DELTA, {0, 0}},
    {"ssm.time_step_rank", WEIR_PART_DELTA, {0, 0}},
    {"ssm.inner_size", WEIR_PART_DELTA, {0, 0}},
    {"ssm.heads_are_grouped", WEIR_PART_DELTA, {0, 0}}, /* weir's own (docs/formats/hf.md) */
    {"ssm.", 0, {0, 0}},
    {"wkv.", 0, {0, 0}},
};

static bool is_in(const char *suffix, const char *const *names, size_t count)
{
    for (size_t row = 0; row < count; row++)
        if (strcmp(suffix, names[row]) == 0)
            return true;
    return false;
}

static const struct off_key *find_off(const char *suffix)
{
    for (size_t row = 0; row < WEIR_COUNT(off_keys); row++) {
        const char *name = off_keys[row].name;
        const size_t length = strlen(name);
        if (name[length - 1] == '.' ? strncmp(suffix, name, length) == 0
                                    : strcmp(suffix, name) == 0)
            return &off_keys[row];
    }
    return NULL;
}

/* Whether a key's value, or each of an array, is one of the two. */
static bool is_off(const weir_manifest *manifest, const char *key, const double off[2])
{
    uint64_t count = 1;
    weir_manifest_array_count(manifest, key, &count);
    for (uint64_t index = 0; index < count; index++) {
        double found = 0.0;
        if (!weir_manifest_element(manifest, key, index, &found) ||
            (found != off[0] && found != off[1]))
            return false;
    }
    return true;
}

static enum weir_status check_key(const struct weir_key_reader *reader, weir_parts parts,
                                  const char *key, const char *value)
{
    const char *suffix = key + strlen(reader->family) + 1;
    const struct off_key *row = find_off(suffix);
    if (is_in(suffix, read_keys, WEIR_COUNT(read_keys)) ||
        is_in(suffix, idle_keys, WEIR_COUNT(idle_keys)) ||
        (row != NULL && (row->unless & parts) != 0))
        return WEIR_OK;
    if (row == NULL) {
        weir_warn(weir_manifest_warnings(reader->manifest),
                  "key %s (%s) is not known here and has no effect", key, value);
        return WEIR_OK;
    }
    if (is_off(reader->manifest, key, row->off))
        return WEIR_OK;
    char other[32] = "";
    if (row->off[1] != row->off[0])
        snprintf(other, sizeof(other), " or %g", row->off[1]);
    return WEIR_FAIL(reader->err, WEIR_ERR_UNSUPPORTED,
                     "key %s: what it asks for is not built in for family %s: wanted %g%s, found "
                     "%s",
                     key, reader->family, row->off[0], other, value);
}

enum weir_status weir_keys_check(const struct weir_key_reader *reader, weir_parts parts)
{
    const size_t length = strlen(reader->family);
    for (uint32_t index = 0; index < weir_manifest_key_count(reader->manifest); index++) {
        char value[64];
        const char *key = weir_manifest_key_at(reader->manifest, index, value, sizeof(value));
        if (strncmp(key, reader->family, length) == 0 && key[length] == '.')
            WEIR_TRY(check_key(reader, parts, key, value));
    }
    return WEIR_OK;
}
