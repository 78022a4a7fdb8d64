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
    "rope_parameters", "rope_scaling",  "partial_rotary_factor", "quantization_config",
    "text_config",     "vision_config", "audio_config",
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

/* What a value is, short enough for a message. */
static const char *show(struct weir_json value, char out[64])
{
    const size_t length = (size_t)(value.end - value.start);
    snprintf(out, 64, "%.*s%s", (int)weir_min(length, 56), value.start, length > 56 ? "..." : "");
    return out;
}

static enum weir_status refuse(const struct hf_config *config, const char *name, const char *wanted,
                               struct weir_json found)
{
    char text[64];
    return WEIR_FAIL(config->err, WEIR_ERR_FORMAT, "%s: %s: wanted %s, found %s", config->path,
                     name, wanted, show(found, text));
}

enum weir_status weir_hf_number(const struct hf_config *config, const char *name, bool *is_there,
                                double *value)
{
    const struct weir_json found = weir_hf_member(config, name);
    *is_there = weir_json_kind(found) != WEIR_JSON_NONE;
    if (!*is_there)
        return WEIR_OK;
    if (!weir_json_f64(found, value) || !isfinite((float)*value))
        return refuse(config, name, "a number", found);
    return WEIR_OK;
}

/* null is no member; false, 0, [] and {} say that something is not used. */
static bool is_off(const struct hf_key *row, struct weir_json value)
{
    bool flag = false;
    double number = 0.0;
    if (weir_json_bool(value, &flag))
        return !flag;
    if (weir_json_f64(value, &number))
        return number == 0.0 || number == row->off;
    return weir_json_count(value) == 0 && weir_json_kind(value) >= WEIR_JSON_ARRAY;
}

static enum weir_status check_word(const struct hf_config *config, const struct hf_key *row,
                                   struct weir_json value)
{
    char text[64];
    struct weir_json found = value;
    bool is_word = weir_json_is(value, row->word);
    if (weir_json_kind(value) == WEIR_JSON_ARRAY) {
        is_word = true;
        for (struct weir_json_walk walk = weir_json_walk(value);
             is_word && weir_json_next(&walk);) {
            is_word = weir_json_is(walk.value, row->word);
            found = walk.value;
        }
    }
    if (is_word)
        return WEIR_OK;
    return WEIR_FAIL(config->err, WEIR_ERR_UNSUPPORTED,
                     "%s: %s: what it asks for is not built in for family %s: wanted \"%s\", found "
                     "%s",
                     config->path, row->name, config->family->model_type, row->word,
                     show(found, text));
}

static enum weir_status carry(const struct hf_config *config, struct hf_key_writer *writer,
                              const struct hf_key *row, struct weir_json value)
{
    char text[64];
    uint64_t count = 0;
    double real = 0.0;
    bool flag = false;
    switch (row->carry) {
    case HF_IDLE:
        return WEIR_OK;
    case HF_COUNT:
        return weir_json_u64(value, &count) ? weir_hf_put_count(writer, row->key, count)
                                            : refuse(config, row->name, "a whole number", value);
    case HF_REAL:
        return weir_json_f64(value, &real) ? weir_hf_put_real(writer, row->key, real)
                                           : refuse(config, row->name, "a number", value);
    case HF_FLAG:
        return weir_json_bool(value, &flag) ? weir_hf_put_flag(writer, row->key, flag)
                                            : refuse(config, row->name, "true or false", value);
    case HF_WORD:
        return check_word(config, row, value);
    case HF_OFF:
        break;
    }
    if (is_off(row, value))
        return WEIR_OK;
    return WEIR_FAIL(config->err, WEIR_ERR_UNSUPPORTED,
                     "%s: %s: what it asks for is not built in for family %s: wanted false, null "
                     "or %g, found %s",
                     config->path, row->name, config->family->model_type, row->off,
                     show(value, text));
}

static enum weir_status carry_rows(const struct hf_config *config, struct hf_key_writer *writer,
                                   const struct hf_key *row)
{
    for (; row->name != NULL; row++) {
        const struct weir_json value = weir_hf_member(config, row->name);
        if (weir_json_kind(value) != WEIR_JSON_NONE)
            WEIR_TRY(carry(config, writer, row, value));
        else if (row->has_fallback && row->carry == HF_FLAG)
            WEIR_TRY(weir_hf_put_flag(writer, row->key, row->fallback != 0.0));
        else if (row->has_fallback && row->carry == HF_COUNT)
            WEIR_TRY(weir_hf_put_count(writer, row->key, (uint64_t)row->fallback));
        else if (row->has_fallback)
            WEIR_TRY(weir_hf_put_real(writer, row->key, row->fallback));
    }
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
                  show(walk.value, value));
    }
}

static enum weir_status find_family(struct hf_config *config)
{
    char list[256];
    char text[64];
    const struct weir_json type = weir_json_member(config->root, "model_type");
    if (weir_json_kind(type) != WEIR_JSON_TEXT)
        return WEIR_FAIL(config->err, WEIR_ERR_FORMAT, "%s: model_type: wanted a text, found %s",
                         config->path, weir_json_kind_name(weir_json_kind(type)));
    config->family = weir_hf_family_find(type);
    if (config->family != NULL)
        return WEIR_OK;
    return WEIR_FAIL(config->err, WEIR_ERR_UNSUPPORTED,
                     "%s: model_type %s is not built in (known: %s)", config->path,
                     show(type, text), weir_hf_family_list(list, sizeof(list)));
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
    return refuse(config, name, "true or false", value);
}

enum weir_status weir_hf_config_read(struct hf_config *config, struct hf_key_writer *writer)
{
    uint64_t n_expert = 0;
    uint64_t n_guess = 0;
    const struct weir_json part = weir_json_member(config->root, "text_config");
    if (weir_json_kind(config->root) != WEIR_JSON_OBJECT)
        return WEIR_FAIL(config->err, WEIR_ERR_FORMAT, "%s: wanted an object, found %s",
                         config->path, weir_json_kind_name(weir_json_kind(config->root)));
    config->text = weir_json_kind(part) == WEIR_JSON_OBJECT ? part : config->root;
    WEIR_TRY(find_family(config));
    writer->family = config->family->architecture;
    WEIR_TRY(weir_hf_put_text(writer, ".general.architecture", config->family->architecture));
    for (size_t table = 0; table < HF_TABLE_MAX && config->family->keys[table] != NULL; table++)
        WEIR_TRY(carry_rows(config, writer, config->family->keys[table]));
    warn_of_others(config, writer->manifest->warnings);
    WEIR_TRY(read_tied(config));
    if (weir_json_u64(weir_hf_member(config, "num_experts"), &n_expert) ||
        weir_json_u64(weir_hf_member(config, "num_local_experts"), &n_expert) ||
        weir_json_u64(weir_hf_member(config, "n_routed_experts"), &n_expert))
        config->n_expert = (uint32_t)weir_min(n_expert, UINT32_MAX);
    if (weir_json_u64(weir_hf_member(config, "num_nextn_predict_layers"), &n_guess) && n_guess > 0)
        weir_json_u64(weir_hf_member(config, "num_hidden_layers"), &config->first_guess);
    if (config->family->has_half_pairs)
        WEIR_TRY(weir_hf_put_flag(writer, "rope.interleaved", false));
    WEIR_TRY(weir_hf_packing_read(config));
    return weir_hf_rope_read(config, writer);
}
