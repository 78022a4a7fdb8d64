/* hf_rope.c - how positions turn heads, from config.json.
 *
 * rope_parameters (transformers 5) has all of it; older files have rope_theta and rope_scaling.
 * Every member of either is read, or refused: none of them is without effect. */
#include "formats/hf.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"

/* What each kind of scaling has; key NULL: hf_rope.c computes with it. */
static const struct rope_row {
    const char *type, *name;
    enum hf_carry carry;
    const char *key; /* after "FAMILY.rope." */
} rows[] = {
    {"linear", "factor", HF_REAL, "scaling.factor"},
    {"yarn", "factor", HF_REAL, "scaling.factor"},
    {"yarn", "original_max_position_embeddings", HF_COUNT, "scaling.original_context_length"},
    {"yarn", "beta_fast", HF_REAL, "scaling.yarn_beta_fast"},
    {"yarn", "beta_slow", HF_REAL, "scaling.yarn_beta_slow"},
    {"yarn", "attention_factor", HF_REAL, NULL},
    {"yarn", "mscale", HF_REAL, NULL},
    {"yarn", "mscale_all_dim", HF_REAL, NULL},
    {"llama3", "factor", HF_REAL, NULL},
    {"llama3", "low_freq_factor", HF_REAL, NULL},
    {"llama3", "high_freq_factor", HF_REAL, NULL},
    {"llama3", "original_max_position_embeddings", HF_COUNT, NULL},
};

/* Of every kind. */
static bool is_common(struct weir_json name)
{
    static const char *const names[] = {"type", "rope_type", "rope_theta", "partial_rotary_factor"};
    for (size_t index = 0; index < WEIR_COUNT(names); index++)
        if (weir_json_is(name, names[index]))
            return true;
    return false;
}

struct rope {
    const struct hf_config *config;
    struct hf_key_writer *writer;
    const char *place; /* rope_parameters or rope_scaling */
    const char *type;
};

/* The path of a member. */
static const char *path_of(const struct rope *rope, const char *name, char out[96])
{
    snprintf(out, 96, "%s.%s", rope->place, name);
    return out;
}

/* *value stays when it is absent. */
static enum weir_status read_number(const struct rope *rope, const char *name, double *value)
{
    char path[96];
    bool is_there = false;
    return weir_hf_number(rope->config, path_of(rope, name, path), &is_there, value);
}

static enum weir_status read_type(struct rope *rope)
{
    static const char *const types[] = {"default", "linear", "yarn", "llama3"};
    char path[96];
    const struct hf_config *config = rope->config;
    rope->place = weir_json_kind(weir_hf_member(config, "rope_parameters")) == WEIR_JSON_NONE
                      ? "rope_scaling"
                      : "rope_parameters";
    rope->type = types[0];
    const struct weir_json all = weir_hf_member(config, rope->place);
    struct weir_json type = weir_hf_member(config, path_of(rope, "rope_type", path));
    if (weir_json_kind(all) == WEIR_JSON_NONE)
        return WEIR_OK;
    if (weir_json_kind(all) != WEIR_JSON_OBJECT)
        return WEIR_FAIL(config->err, WEIR_ERR_FORMAT, "%s: %s: wanted an object, found %s",
                         config->path, rope->place, weir_json_kind_name(weir_json_kind(all)));
    if (weir_json_kind(type) == WEIR_JSON_NONE)
        type = weir_hf_member(config, path_of(rope, "type", path));
    if (weir_json_kind(type) == WEIR_JSON_NONE)
        return WEIR_OK;
    for (size_t index = 0; index < WEIR_COUNT(types); index++)
        if (weir_json_is(type, types[index])) {
            rope->type = types[index];
            return WEIR_OK;
        }
    return WEIR_FAIL(config->err, WEIR_ERR_UNSUPPORTED,
                     "%s: %s: wanted default, linear, yarn or llama3, found %.*s", config->path,
                     path, (int)weir_min(40, (uint64_t)(type.end - type.start)), type.start);
}

/* The row of a member, by this kind of scaling; NULL: it has none such. */
static const struct rope_row *find_row(const struct rope *rope, struct weir_json name)
{
    for (size_t row = 0; row < WEIR_COUNT(rows); row++)
        if (strcmp(rows[row].type, rope->type) == 0 && weir_json_is(name, rows[row].name))
            return &rows[row];
    return NULL;
}

static enum weir_status carry_member(const struct rope *rope, const struct rope_row *row,
                                     struct weir_json value)
{
    char suffix[64];
    uint64_t count = 0;
    double real = 0.0;
    const struct hf_config *config = rope->config;
    const bool is_right =
        row->carry == HF_COUNT ? weir_json_u64(value, &count) : weir_json_f64(value, &real);
    if (!is_right)
        return WEIR_FAIL(config->err, WEIR_ERR_FORMAT, "%s: %s.%s: wanted %s, found %.*s",
                         config->path, rope->place, row->name,
                         row->carry == HF_COUNT ? "a whole number" : "a number",
                         (int)weir_min(40, (uint64_t)(value.end - value.start)), value.start);
    if (row->key == NULL)
        return WEIR_OK;
    snprintf(suffix, sizeof(suffix), "rope.%s", row->key);
    return row->carry == HF_COUNT ? weir_hf_put_count(rope->writer, suffix, count)
                                  : weir_hf_put_real(rope->writer, suffix, real);
}

static enum weir_status carry_members(const struct rope *rope)
{
    const struct hf_config *config = rope->config;
    struct weir_json_walk walk = weir_json_walk(weir_hf_member(config, rope->place));
    while (weir_json_next(&walk)) {
        const struct rope_row *row = find_row(rope, walk.key);
        if (is_common(walk.key) || weir_json_kind(walk.value) == WEIR_JSON_NULL)
            continue;
        if (row == NULL)
            return WEIR_FAIL(config->err, WEIR_ERR_UNSUPPORTED,
                             "%s: %s: what %.*s asks for is not built in for type \"%s\"",
                             config->path, rope->place,
                             (int)weir_min(60, (uint64_t)(walk.key.end - walk.key.start)),
                             walk.key.start, rope->type);
        WEIR_TRY(carry_member(rope, row, walk.value));
    }
    return WEIR_OK;
}

/* transformers' get_mscale(): how much larger attention gets (arXiv:2309.00071, eq. 22). */
static double mscale(double factor, double share)
{
    return factor <= 1.0 ? 1.0 : 0.1 * share * log(factor) + 1.0;
}

/* The magnitude of cos and sin, over the one that YaRN has anyway. */
static enum weir_status put_magnitude(const struct rope *rope)
{
    double factor = 1.0;
    double magnitude = 0.0;
    double of_some = 0.0;
    double of_all = 0.0;
    WEIR_TRY(read_number(rope, "factor", &factor));
    WEIR_TRY(read_number(rope, "attention_factor", &magnitude));
    WEIR_TRY(read_number(rope, "mscale", &of_some));
    WEIR_TRY(read_number(rope, "mscale_all_dim", &of_all));
    if (magnitude == 0.0 && of_some != 0.0 && of_all != 0.0)
        magnitude = mscale(factor, of_some) / mscale(factor, of_all);
    if (magnitude == 0.0)
        return WEIR_OK;
    return weir_hf_put_real(rope->writer, "rope.scaling.attn_factor",
                            magnitude / mscale(factor, 1.0));
}

/* Numbers that a kind of scaling cannot do without. */
static enum weir_status need_number(const struct rope *rope, const char *name, double *value)
{
    *value = 0.0;
    WEIR_TRY(read_number(rope, name, value));
    if (*value > 0.0)
        return WEIR_OK;
    return WEIR_FAIL(rope->config->err, WEIR_ERR_FORMAT,
                     "%s: %s.%s: wanted a number above 0, found %g", rope->config->path,
                     rope->place, name, *value);
}

/* How much of a head is turned, and by which base. */
struct turn {
    double n_rot, base, share;
};

static enum weir_status read_turn(const struct rope *rope, struct turn *turn)
{
    double d_head = 0.0;
    double d_model = 0.0;
    double n_head = 0.0;
    bool is_there = false;
    *turn = (struct turn){.base = 10000.0, .share = 1.0};
    WEIR_TRY(weir_hf_number(rope->config, "head_dim", &is_there, &d_head));
    WEIR_TRY(weir_hf_number(rope->config, "hidden_size", &is_there, &d_model));
    WEIR_TRY(weir_hf_number(rope->config, "num_attention_heads", &is_there, &n_head));
    WEIR_TRY(weir_hf_number(rope->config, "rope_theta", &is_there, &turn->base));
    WEIR_TRY(read_number(rope, "rope_theta", &turn->base));
    WEIR_TRY(weir_hf_number(rope->config, "partial_rotary_factor", &is_there, &turn->share));
    WEIR_TRY(read_number(rope, "partial_rotary_factor", &turn->share));
    if (d_head == 0.0 && n_head > 0.0)
        d_head = floor(d_model / n_head);
    turn->n_rot = floor(d_head * turn->share);
    return WEIR_OK;
}

/* What each pair's frequency is divided by (arXiv:2407.21783, section 3.2): short waves by 1, long
 * ones by factor, those between by a blend. */
static double divisor(double wave, double context, double low, double high, double factor)
{
    if (wave < context / high)
        return 1.0;
    if (wave > context / low)
        return factor;
    const double kept = (context / wave - low) / (high - low);
    return 1.0 / ((1.0 - kept) / factor + kept);
}

static enum weir_status make_factors(struct hf_config *config, const struct rope *rope,
                                     const struct turn *turn)
{
    enum { N_ROT_MAX = 1 << 16 };
    double factor = 0.0;
    double low = 0.0;
    double high = 0.0;
    double context = 0.0;
    WEIR_TRY(need_number(rope, "factor", &factor));
    WEIR_TRY(need_number(rope, "low_freq_factor", &low));
    WEIR_TRY(need_number(rope, "high_freq_factor", &high));
    WEIR_TRY(need_number(rope, "original_max_position_embeddings", &context));
    if (!(turn->n_rot >= 2.0 && turn->n_rot <= N_ROT_MAX && turn->base > 0.0 && high > low))
        return WEIR_FAIL(config->err, WEIR_ERR_FORMAT,
                         "%s: %s: wanted heads of 2 to %d, a base above 0 and low_freq_factor "
                         "below high_freq_factor, found %g, %g, %g and %g",
                         config->path, rope->place, N_ROT_MAX, turn->n_rot, turn->base, low, high);
    config->rope_factor_count = (uint32_t)turn->n_rot / 2;
    config->rope_factors = weir_heap_array(config->rope_factor_count, sizeof(float));
    if (config->rope_factors == NULL)
        return WEIR_FAIL(config->err, WEIR_ERR_NOMEM, "no memory for %u rope factors",
                         config->rope_factor_count);
    for (uint32_t pair = 0; pair < config->rope_factor_count; pair++) {
        const double tau = 6.283185307179586;
        const double wave = tau * pow(turn->base, 2.0 * pair / turn->n_rot);
        config->rope_factors[pair] = (float)divisor(wave, context, low, high, factor);
    }
    return WEIR_OK;
}

/* A number of a file as a count: what is none becomes 0, which is refused where it is used. */
static uint64_t count_of(double number)
{
    return number > 0.0 && number < UINT32_MAX ? (uint64_t)number : 0;
}

enum weir_status weir_hf_rope_read(struct hf_config *config, struct hf_key_writer *writer)
{
    struct rope rope = {.config = config, .writer = writer};
    struct turn turn;
    WEIR_TRY(read_type(&rope));
    WEIR_TRY(carry_members(&rope));
    WEIR_TRY(read_turn(&rope, &turn));
    WEIR_TRY(weir_hf_put_real(writer, "rope.freq_base", turn.base));
    if (turn.share != 1.0)
        WEIR_TRY(weir_hf_put_count(writer, "rope.dimension_count", count_of(turn.n_rot)));
    if (strcmp(rope.type, "llama3") == 0)
        return make_factors(config, &rope, &turn);
    if (strcmp(rope.type, "default") == 0)
        return WEIR_OK;
    WEIR_TRY(weir_hf_put_text(writer, "rope.scaling.type", rope.type));
    return strcmp(rope.type, "yarn") == 0 ? put_magnitude(&rope) : WEIR_OK;
}
