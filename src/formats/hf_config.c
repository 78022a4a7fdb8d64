/* hf_config.c - config.json as the keys that a GGUF file of the same model has.
 *
 * Every member is carried over, known to be of no effect, or checked to be off; one that is in no
 * table is a warning. */
#include "formats/hf.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Members that hf_rope.c and hf_packing.c read, and parts that are not about text. */
static const char *const other_members[] = {
    "rope_parameters",      "rope_scaling", "partial_rotary_factor",
    "rope_local_base_freq", "text_config",  "quantization_config",
    "vision_config",        "audio_config", "per_layer_config",
};

struct weir_json weir_hf_member(const struct hf_config *config, const char *name)
{
    struct weir_json at = config->text;
    char part[64];
    for (const char *dot = strchr(name, '.'); dot != NULL; dot = strchr(name, '.')) {
        snprintf(part, sizeof(part), "%.*s", (int)(dot - name), name);
        at = weir_json_member(at, part);
        name = dot + 1;
    }
    at = weir_json_member(at, name);
    return weir_json_kind(at) == WEIR_JSON_NULL ? (struct weir_json){0} : at;
}

const char *weir_hf_show(struct weir_json value, char out[64])
{
    const size_t length = (size_t)(value.end - value.start);
    snprintf(out, 64, "%.*s%s", (int)weir_min(length, 56), value.start, length > 56 ? "..." : "");
    return out;
}

enum weir_status weir_hf_refuse(const struct hf_config *config, const char *name,
                                const char *wanted, struct weir_json found)
{
    char text[64];
    return WEIR_FAIL(config->err, WEIR_ERR_FORMAT, "%s: %s: wanted %s, found %s", config->path,
                     name, wanted, weir_hf_show(found, text));
}

enum weir_status weir_hf_number(const struct hf_config *config, const char *name, bool *is_there,
                                double *value)
{
    const struct weir_json found = weir_hf_member(config, name);
    *is_there = weir_json_kind(found) != WEIR_JSON_NONE;
    if (!*is_there)
        return WEIR_OK;
    if (!weir_json_f64(found, value) || !isfinite((float)*value))
        return weir_hf_refuse(config, name, "a number", found);
    return WEIR_OK;
}

static bool is_known(const struct hf_config *config, struct weir_json name)
{
    for (size_t index = 0; index < WEIR_COUNT(other_members); index++)
        if (weir_json_is(name, other_members[index]))
            return true;
    for (size_t table = 0; table < HF_TABLE_MAX && config->family->keys[table] != NULL; table++)
        for (const struct hf_key *row = config->family->keys[table]; row->name != NULL; row++)
            if (weir_json_is(name, row->name))
                return true;
    return false;
}

/* A member that nobody reads is told. */
static void warn_of_others(const struct hf_config *config, struct weir_warnings *warnings)
{
    for (struct weir_json_walk walk = weir_json_walk(config->text); weir_json_next(&walk);) {
        char name[64];
        char value[64];
        if (weir_json_kind(walk.value) == WEIR_JSON_NULL || is_known(config, walk.key))
            continue;
        const size_t length = weir_json_text(walk.key, name, sizeof(name) - 1);
        name[weir_min(length, sizeof(name) - 1)] = '\0';
        if (length >= sizeof(name))
            snprintf(name, sizeof(name), "a member with a name of %zu bytes", length);
        weir_warn(warnings, "%s: %s (%s) is not known here and has no effect", config->path, name,
                  weir_hf_show(walk.value, value));
    }
}

/* Beside text_config, where there is one, or in it. */
static enum weir_status read_tied(struct hf_config *config)
{
    static const char name[] = "tie_word_embeddings";
    struct weir_json value = weir_hf_member(config, name);
    if (weir_json_kind(value) == WEIR_JSON_NONE)
        value = weir_json_member(config->root, name);
    config->is_tied = config->family->is_tied;
    if (weir_json_kind(value) <= WEIR_JSON_NULL || weir_json_bool(value, &config->is_tied))
        return WEIR_OK;
    return weir_hf_refuse(config, name, "true or false", value);
}

/* Of layers that guess further tokens there is one at least. */
static bool has_guesses(const struct hf_config *config)
{
    static const char *const names[] = {"num_nextn_predict_layers", "num_mtp_layers"};
    for (size_t index = 0; index < WEIR_COUNT(names); index++) {
        uint64_t count = 0;
        if (weir_json_u64(weir_hf_member(config, names[index]), &count) && count > 0)
            return true;
    }
    return false;
}

enum weir_status weir_hf_config_read(struct hf_config *config, struct hf_key_writer *writer)
{
    const struct weir_json part = weir_json_member(config->root, "text_config");
    if (weir_json_kind(config->root) != WEIR_JSON_OBJECT)
        return WEIR_FAIL(config->err, WEIR_ERR_FORMAT, "%s: wanted an object, found %s",
                         config->path, weir_json_kind_name(weir_json_kind(config->root)));
    config->text = weir_json_kind(part) == WEIR_JSON_OBJECT ? part : config->root;
    WEIR_TRY(weir_hf_family_find(&config->family, config->root, config->path, config->err));
    writer->family = config->family->architecture;
    WEIR_TRY(weir_hf_put_text(writer, ".general.architecture", config->family->architecture));
    WEIR_TRY(weir_hf_carry(config, writer));
    warn_of_others(config, writer->manifest->warnings);
    WEIR_TRY(read_tied(config));
    config->n_expert = weir_hf_key_count(writer, "expert_count");
    if (has_guesses(config))
        config->first_guess = weir_hf_key_count(writer, "block_count");
    if (config->family->has_half_pairs)
        WEIR_TRY(weir_hf_put_flag(writer, "rope.interleaved", false));
    if (config->family->has_grouped_heads)
        WEIR_TRY(weir_hf_put_flag(writer, "ssm.heads_are_grouped", true));
    WEIR_TRY(weir_hf_packing_read(config));
    return weir_hf_rope_read(config, writer);
}
