/* hf_rope.c - how positions turn heads, from config.json.
 *
 * rope_parameters (transformers 5) has all of it, perhaps once for layers of full attention and
 * once for those with a window; older files have rope_theta and rope_scaling. Every member of
 * either is read, or refused: none of them is without effect. */
#include "formats/hf.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"

enum { NAME_BYTES = 128, N_ROT_MAX = 1 << 16 };

/* What each kind of scaling has; key NULL: hf_rope.c computes with it, or a text has no use for
 * it. Type NULL: every kind. */
static const struct rope_row {
    const char *type, *name;
    enum hf_carry carry;
    const char *key; /* after "FAMILY." */
} rows[] = {
    {NULL, "type", HF_IDLE, NULL},
    {NULL, "rope_type", HF_IDLE, NULL},
    {NULL, "rope_theta", HF_REAL, NULL},
    {NULL, "partial_rotary_factor", HF_REAL, NULL},
    {NULL, "mrope_section", HF_IDLE, "rope.dimension_sections"},
    {NULL, "mrope_interleaved", HF_IDLE, NULL},
    {NULL, "max_position_embeddings", HF_IDLE, NULL}, /* read where it is no member of a member */
    {"linear", "factor", HF_REAL, "rope.scaling.factor"},
    {"yarn", "factor", HF_REAL, "rope.scaling.factor"},
    {"yarn", "original_max_position_embeddings", HF_COUNT, "rope.scaling.original_context_length"},
    {"yarn", "beta_fast", HF_REAL, "rope.scaling.yarn_beta_fast"},
    {"yarn", "beta_slow", HF_REAL, "rope.scaling.yarn_beta_slow"},
    {"yarn", "attention_factor", HF_REAL, NULL},
    {"yarn", "mscale", HF_REAL, NULL},
    {"yarn", "mscale_all_dim", HF_REAL, NULL},
    {"yarn", "llama_4_scaling_beta", HF_REAL, "attention.temperature_scale"},
    {"yarn", "truncate", HF_FLAG, NULL},
    {"llama3", "factor", HF_REAL, NULL},
    {"llama3", "low_freq_factor", HF_REAL, NULL},
    {"llama3", "high_freq_factor", HF_REAL, NULL},
    {"llama3", "original_max_position_embeddings", HF_COUNT, NULL},
    {"longrope", "factor", HF_REAL, NULL},
    {"longrope", "attention_factor", HF_REAL, NULL},
    {"longrope", "original_max_position_embeddings", HF_COUNT, NULL},
    {"longrope", "long_factor", HF_IDLE, NULL},
    {"longrope", "short_factor", HF_IDLE, NULL},
    {"dynamic", "alpha", HF_REAL, NULL}, /* with it nothing is asked of the others */
    {"dynamic", "factor", HF_IDLE, NULL},
    {"dynamic", "beta_fast", HF_IDLE, NULL},
    {"dynamic", "beta_slow", HF_IDLE, NULL},
    {"dynamic", "mscale", HF_IDLE, NULL},
    {"dynamic", "mscale_all_dim", HF_IDLE, NULL},
};

static const char full_kind[] = "full_attention";

struct rope {
    struct hf_config *config;
    struct hf_key_writer *writer;
    const char *place; /* rope_parameters or rope_scaling, or a member of it */
    const char *type;
};

/* The path of a member. */
static const char *path_of(const struct rope *rope, const char *name, char out[NAME_BYTES])
{
    snprintf(out, NAME_BYTES, "%s.%s", rope->place, name);
    return out;
}

static struct weir_json member_of(const struct rope *rope, const char *name)
{
    char path[NAME_BYTES];
    return weir_hf_member(rope->config, path_of(rope, name, path));
}

/* *value stays when it is absent. */
static enum weir_status read_number(const struct rope *rope, const char *name, double *value)
{
    char path[NAME_BYTES];
    bool is_there = false;
    return weir_hf_number(rope->config, path_of(rope, name, path), &is_there, value);
}

/* Where all of it is, and of which kind: *type stays where nothing says so. */
static enum weir_status read_type(struct rope *rope)
{
    static const char *const types[][2] = {
        {"default", "default"},
        {"linear", "linear"},
        {"yarn", "yarn"},
        {"llama3", "llama3"},
        {"longrope", "longrope"},
        {"su", "longrope"},
        {"proportional", "proportional"},
        {"dynamic", "dynamic"},
    };
    char path[NAME_BYTES];
    const struct hf_config *config = rope->config;
    const struct weir_json all = weir_hf_member(config, rope->place);
    struct weir_json type = member_of(rope, "rope_type");
    rope->type = types[0][1];
    if (weir_json_kind(all) == WEIR_JSON_NONE)
        return WEIR_OK;
    if (weir_json_kind(all) != WEIR_JSON_OBJECT)
        return WEIR_FAIL(config->err, WEIR_ERR_FORMAT, "%s: %s: wanted an object, found %s",
                         config->path, rope->place, weir_json_kind_name(weir_json_kind(all)));
    path_of(rope, "rope_type", path);
    if (weir_json_kind(type) == WEIR_JSON_NONE)
        type = weir_hf_member(config, path_of(rope, "type", path));
    if (weir_json_kind(type) == WEIR_JSON_NONE)
        return WEIR_OK;
    for (size_t index = 0; index < WEIR_COUNT(types); index++)
        if (weir_json_is(type, types[index][0])) {
            rope->type = types[index][1];
            return WEIR_OK;
        }
    return WEIR_FAIL(config->err, WEIR_ERR_UNSUPPORTED,
                     "%s: %s: wanted default, linear, yarn, llama3, longrope, proportional, or "
                     "dynamic with an alpha, found %.*s",
                     config->path, path, (int)weir_min(40, (uint64_t)(type.end - type.start)),
                     type.start);
}

/* The row of a member, by this kind of scaling; NULL: it has none such. */
static const struct rope_row *find_row(const struct rope *rope, struct weir_json name)
{
    for (size_t row = 0; row < WEIR_COUNT(rows); row++)
        if ((rows[row].type == NULL || strcmp(rows[row].type, rope->type) == 0) &&
            weir_json_is(name, rows[row].name))
            return &rows[row];
    return NULL;
}

/* How many pairs turn by the position in time, in height and in width: of a text all are the same,
 * and GGUF files have a fourth. */
static enum weir_status carry_sections(const struct rope *rope, const struct rope_row *row,
                                       struct weir_json value)
{
    uint32_t sections[4] = {0};
    const struct hf_config *config = rope->config;
    bool is_right =
        weir_json_kind(value) == WEIR_JSON_ARRAY && weir_json_count(value) <= WEIR_COUNT(sections);
    for (struct weir_json_walk walk = weir_json_walk(value); is_right && weir_json_next(&walk);) {
        uint64_t count = 0;
        is_right = weir_json_u64(walk.value, &count) && count <= UINT32_MAX;
        if (is_right)
            sections[walk.index] = (uint32_t)count;
    }
    if (is_right)
        return weir_hf_put_counts(rope->writer, row->key, sections, WEIR_COUNT(sections));
    return WEIR_FAIL(config->err, WEIR_ERR_FORMAT,
                     "%s: %s.%s: wanted at most 4 whole numbers, found %.*s", config->path,
                     rope->place, row->name, (int)weir_min(40, (uint64_t)(value.end - value.start)),
                     value.start);
}

static enum weir_status carry_member(const struct rope *rope, const struct rope_row *row,
                                     struct weir_json value)
{
    uint64_t count = 0;
    double real = 0.0;
    bool flag = false;
    const struct hf_config *config = rope->config;
    const bool is_right = row->carry == HF_IDLE    ? true
                          : row->carry == HF_COUNT ? weir_json_u64(value, &count)
                          : row->carry == HF_FLAG  ? weir_json_bool(value, &flag)
                                                   : weir_json_f64(value, &real);
    if (!is_right)
        return WEIR_FAIL(config->err, WEIR_ERR_FORMAT, "%s: %s.%s: wanted %s, found %.*s",
                         config->path, rope->place, row->name,
                         row->carry == HF_COUNT  ? "a whole number"
                         : row->carry == HF_FLAG ? "true or false"
                                                 : "a number",
                         (int)weir_min(40, (uint64_t)(value.end - value.start)), value.start);
    if (row->key == NULL)
        return WEIR_OK;
    if (row->carry == HF_IDLE)
        return carry_sections(rope, row, value);
    return row->carry == HF_COUNT ? weir_hf_put_count(rope->writer, row->key, count)
                                  : weir_hf_put_real(rope->writer, row->key, real);
}

static enum weir_status carry_members(const struct rope *rope)
{
    const struct hf_config *config = rope->config;
    struct weir_json_walk walk = weir_json_walk(weir_hf_member(config, rope->place));
    while (weir_json_next(&walk)) {
        const struct rope_row *row = find_row(rope, walk.key);
        if (weir_json_kind(walk.value) == WEIR_JSON_NULL)
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

/* A number of the file, or of an array with one for each layer the one that all layers of a kind
 * have; *value stays where there is none. */
static enum weir_status read_of_kind(const struct hf_config *config, const char *name,
                                     const char *kind, double *value)
{
    const struct weir_json all = weir_hf_member(config, name);
    struct weir_json_walk types = weir_json_walk(weir_hf_member(config, "layer_types"));
    bool is_there = false;
    if (weir_json_kind(all) != WEIR_JSON_ARRAY)
        return weir_hf_number(config, name, &is_there, value);
    for (struct weir_json_walk walk = weir_json_walk(all);
         weir_json_next(&walk) && weir_json_next(&types);) {
        double number = 0.0;
        if (!weir_json_f64(walk.value, &number))
            return weir_hf_refuse(config, name, "numbers", walk.value);
        if (!weir_json_is(types.value, kind))
            continue;
        if (is_there && number != *value)
            return WEIR_FAIL(config->err, WEIR_ERR_UNSUPPORTED,
                             "%s: %s: only what all layers of %s have alike is built in: wanted "
                             "%g, found %g in layer %llu",
                             config->path, name, kind, *value, number,
                             (unsigned long long)walk.index);
        is_there = true;
        *value = number;
    }
    return WEIR_OK;
}

/* How much of a head is turned, and by which base. */
struct turn {
    double d_head, n_rot, base, share;
};

static enum weir_status read_turn(const struct rope *rope, struct turn *turn)
{
    const struct hf_family *family = rope->config->family;
    const uint32_t n_head = weir_hf_key_count(rope->writer, "attention.head_count");
    bool is_there = false;
    *turn = (struct turn){.base = family->rope_base == 0.0 ? 10000.0 : family->rope_base,
                          .share = family->rope_share == 0.0 ? 1.0 : family->rope_share};
    turn->d_head = weir_hf_key_count(rope->writer, "attention.key_length");
    if (turn->d_head == 0.0 && n_head > 0)
        turn->d_head = weir_hf_key_count(rope->writer, "embedding_length") / n_head;
    WEIR_TRY(read_of_kind(rope->config, "rope_theta", full_kind, &turn->base));
    WEIR_TRY(read_number(rope, "rope_theta", &turn->base));
    WEIR_TRY(weir_hf_number(rope->config, "partial_rotary_factor", &is_there, &turn->share));
    WEIR_TRY(read_of_kind(rope->config, "partial_rotary_factors", full_kind, &turn->share));
    WEIR_TRY(read_number(rope, "partial_rotary_factor", &turn->share));
    turn->n_rot = floor(turn->d_head * turn->share);
    return WEIR_OK;
}

/* A number of a file as a count: what is none becomes 0, which is refused where it is used. */
static uint64_t count_of(double number)
{
    return number > 0.0 && number < UINT32_MAX ? (uint64_t)number : 0;
}

/* ---- what pairs' frequencies are divided by -------------------------------------------------- */

static enum weir_status make_room(struct hf_config *config, const struct rope *rope, double n_rot,
                                  uint32_t set_count)
{
    if (!(n_rot >= 2.0 && n_rot <= N_ROT_MAX))
        return WEIR_FAIL(config->err, WEIR_ERR_FORMAT, "%s: %s: wanted heads of 2 to %d, found %g",
                         config->path, rope->place, N_ROT_MAX, n_rot);
    config->rope_factor_count = (uint32_t)n_rot / 2;
    config->rope_set_count = set_count;
    config->rope_factors =
        weir_heap_array((uint64_t)config->rope_factor_count * set_count, sizeof(float));
    if (config->rope_factors == NULL)
        return WEIR_FAIL(config->err, WEIR_ERR_NOMEM, "no memory for %u rope factors",
                         config->rope_factor_count);
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

static enum weir_status make_llama3(const struct rope *rope, const struct turn *turn)
{
    struct hf_config *config = rope->config;
    double factor = 0.0;
    double low = 0.0;
    double high = 0.0;
    double context = 0.0;
    WEIR_TRY(need_number(rope, "factor", &factor));
    WEIR_TRY(need_number(rope, "low_freq_factor", &low));
    WEIR_TRY(need_number(rope, "high_freq_factor", &high));
    WEIR_TRY(need_number(rope, "original_max_position_embeddings", &context));
    if (!(turn->base > 0.0 && high > low))
        return WEIR_FAIL(config->err, WEIR_ERR_FORMAT,
                         "%s: %s: wanted a base above 0 and low_freq_factor below "
                         "high_freq_factor, found %g, %g and %g",
                         config->path, rope->place, turn->base, low, high);
    /* As long as the widest rope: the pairs past those that are turned are not read. */
    WEIR_TRY(make_room(config, rope, config->family->rope_is_half ? turn->d_head : turn->n_rot, 1));
    for (uint32_t pair = 0; pair < config->rope_factor_count; pair++) {
        const double tau = 6.283185307179586;
        const double wave = tau * pow(turn->base, 2.0 * pair / turn->n_rot);
        config->rope_factors[pair] = (float)divisor(wave, context, low, high, factor);
    }
    return WEIR_OK;
}

/* A share of the pairs is turned as if all were; the others are divided by so much that they stay
 * where they are. */
static enum weir_status make_proportional(const struct rope *rope, const struct turn *turn)
{
    struct hf_config *config = rope->config;
    const float still = 1e30f;
    WEIR_TRY(make_room(config, rope, turn->d_head, 1));
    for (uint32_t pair = 0; pair < config->rope_factor_count; pair++)
        config->rope_factors[pair] = pair < floor(turn->n_rot / 2.0) ? 1.0f : still;
    return WEIR_OK;
}

static enum weir_status copy_factors(const struct rope *rope, const char *name, float *factors)
{
    char text[64];
    const struct hf_config *config = rope->config;
    const struct weir_json all = member_of(rope, name);
    const uint64_t count = weir_json_count(all);
    bool is_right = weir_json_kind(all) == WEIR_JSON_ARRAY && count == config->rope_factor_count;
    for (struct weir_json_walk walk = weir_json_walk(all); is_right && weir_json_next(&walk);) {
        double number = 0.0;
        is_right = weir_json_f64(walk.value, &number) && number > 0.0 && isfinite((float)number);
        factors[walk.index] = (float)number;
    }
    if (is_right)
        return WEIR_OK;
    return WEIR_FAIL(config->err, WEIR_ERR_FORMAT,
                     "%s: %s.%s: wanted %u numbers above 0, found %llu in %s", config->path,
                     rope->place, name, config->rope_factor_count, (unsigned long long)count,
                     weir_json_kind(all) == WEIR_JSON_NONE ? "nothing" : weir_hf_show(all, text));
}

/* Factors of long texts and of short ones, and by how much cos and sin grow (arXiv:2402.13753,
 * section 3.4; how transformers has it). */
static enum weir_status make_longrope(const struct rope *rope, const struct turn *turn)
{
    struct hf_config *config = rope->config;
    const double context = weir_hf_key_count(rope->writer, "context_length");
    double original = context;
    double factor = 0.0;
    double magnitude = 0.0;
    bool is_there = false;
    WEIR_TRY(weir_hf_number(config, "original_max_position_embeddings", &is_there, &original));
    WEIR_TRY(read_number(rope, "original_max_position_embeddings", &original));
    WEIR_TRY(read_number(rope, "factor", &factor));
    WEIR_TRY(read_number(rope, "attention_factor", &magnitude));
    if (!(original > 1.0))
        return WEIR_FAIL(config->err, WEIR_ERR_FORMAT,
                         "%s: original_max_position_embeddings: wanted a number above 1, found %g",
                         config->path, original);
    WEIR_TRY(make_room(config, rope, turn->n_rot, 2));
    WEIR_TRY(copy_factors(rope, "long_factor", config->rope_factors));
    WEIR_TRY(copy_factors(rope, "short_factor", config->rope_factors + config->rope_factor_count));
    if (factor == 0.0)
        factor = context / original;
    if (magnitude == 0.0)
        magnitude = factor <= 1.0 ? 1.0 : sqrt(1.0 + log(factor) / log(original));
    WEIR_TRY(weir_hf_put_count(rope->writer, "rope.scaling.original_context_length",
                               count_of(original)));
    return weir_hf_put_real(rope->writer, "rope.scaling.attn_factor", magnitude);
}

/* ---- magnitudes ------------------------------------------------------------------------------ */

/* transformers' get_mscale(): how much larger attention gets (arXiv:2309.00071, eq. 22). */
static double mscale(double factor, double share)
{
    return factor <= 1.0 ? 1.0 : 0.1 * share * log(factor) + 1.0;
}

/* The magnitude of cos and sin, over the one that YaRN has anyway. Where mscale_all_dim multiplies
 * scores, cos and sin have none anyway, and a key has a tenth of it. */
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
    const bool scales_scores = rope->config->family->scales_scores && of_all != 0.0;
    if (scales_scores)
        WEIR_TRY(weir_hf_put_real(rope->writer, "rope.scaling.yarn_log_multiplier", 0.1 * of_all));
    if (magnitude == 0.0 && of_some != 0.0 && of_all != 0.0)
        magnitude = mscale(factor, of_some) / mscale(factor, of_all);
    if (magnitude == 0.0)
        magnitude = mscale(factor, 1.0);
    const double anyway = scales_scores ? 1.0 : mscale(factor, 1.0);
    if (magnitude == anyway)
        return WEIR_OK;
    return weir_hf_put_real(rope->writer, "rope.scaling.attn_factor", magnitude / anyway);
}

/* A base that is larger for good (a fixed alpha, as HunYuan has it). */
static enum weir_status grow_base(const struct rope *rope, struct turn *turn)
{
    double alpha = 0.0;
    char path[NAME_BYTES];
    if (weir_json_kind(member_of(rope, "alpha")) == WEIR_JSON_NONE)
        return WEIR_FAIL(rope->config->err, WEIR_ERR_UNSUPPORTED,
                         "%s: %s: a base that grows with the text is not built in: wanted type "
                         "\"dynamic\" with an alpha, found none",
                         rope->config->path, rope->place);
    WEIR_TRY(need_number(rope, "alpha", &alpha));
    if (!(turn->n_rot > 2.0))
        return WEIR_FAIL(rope->config->err, WEIR_ERR_FORMAT,
                         "%s: %s: wanted heads wider than 2, found %g", rope->config->path,
                         path_of(rope, "alpha", path), turn->n_rot);
    turn->base *= pow(alpha, turn->n_rot / (turn->n_rot - 2.0));
    return WEIR_OK;
}

/* ---- layers with a window -------------------------------------------------------------------- */

static enum weir_status read_window(struct rope *rope)
{
    const struct hf_config *config = rope->config;
    double base = 0.0;
    double share = 1.0;
    bool is_there = false;
    rope->place = "rope_parameters.sliding_attention";
    WEIR_TRY(read_type(rope));
    if (strcmp(rope->type, "default") != 0)
        return WEIR_FAIL(config->err, WEIR_ERR_UNSUPPORTED,
                         "%s: %s: scaling in layers with a window is not built in: wanted type "
                         "\"default\", found \"%s\"",
                         config->path, rope->place, rope->type);
    WEIR_TRY(carry_members(rope));
    WEIR_TRY(weir_hf_number(config, "rope_local_base_freq", &is_there, &base));
    if (weir_json_kind(weir_hf_member(config, "rope_theta")) == WEIR_JSON_ARRAY)
        WEIR_TRY(read_of_kind(config, "rope_theta", "sliding_attention", &base));
    WEIR_TRY(read_of_kind(config, "partial_rotary_factors", "sliding_attention", &share));
    WEIR_TRY(read_number(rope, "rope_theta", &base));
    WEIR_TRY(read_number(rope, "partial_rotary_factor", &share));
    if (base != 0.0)
        WEIR_TRY(weir_hf_put_real(rope->writer, "rope.freq_base_swa", base));
    const uint32_t d_head = weir_hf_key_count(rope->writer, "attention.key_length_swa");
    if (share != 1.0 && d_head == 0)
        return WEIR_FAIL(config->err, WEIR_ERR_UNSUPPORTED,
                         "%s: %s.partial_rotary_factor: wanted 1, found %g", config->path,
                         rope->place, share);
    return share == 1.0 && d_head == 0 ? WEIR_OK
                                       : weir_hf_put_count(rope->writer, "rope.dimension_count_swa",
                                                           count_of(floor(d_head * share)));
}

/* Nothing but the two kinds of layers. */
static enum weir_status check_kinds(const struct hf_config *config)
{
    struct weir_json_walk walk = weir_json_walk(weir_hf_member(config, "rope_parameters"));
    while (weir_json_next(&walk))
        if (!weir_json_is(walk.key, "full_attention") &&
            !weir_json_is(walk.key, "sliding_attention"))
            return WEIR_FAIL(config->err, WEIR_ERR_UNSUPPORTED,
                             "%s: rope_parameters: wanted full_attention and sliding_attention, "
                             "found %.*s",
                             config->path,
                             (int)weir_min(60, (uint64_t)(walk.key.end - walk.key.start)),
                             walk.key.start);
    return WEIR_OK;
}

/* ---- all of it ------------------------------------------------------------------------------- */

/* Whether YaRN's corners are rounded is what a family does, and no key. */
static enum weir_status check_corners(const struct rope *rope)
{
    const struct weir_json value = member_of(rope, "truncate");
    const bool is_exact = rope->config->family->rope_is_exact;
    bool is_rounded = true;
    weir_json_bool(value, &is_rounded);
    if (is_rounded != is_exact)
        return WEIR_OK;
    return WEIR_FAIL(rope->config->err, WEIR_ERR_UNSUPPORTED,
                     "%s: %s.truncate: corners that are %srounded are not built in for family %s: "
                     "wanted %s, found %s",
                     rope->config->path, rope->place, is_exact ? "" : "not ",
                     rope->config->family->model_type, is_exact ? "false" : "true",
                     weir_json_kind(value) == WEIR_JSON_NONE ? "none"
                     : is_rounded                            ? "true"
                                                             : "false");
}

/* What a kind of scaling has beside its members. */
static enum weir_status put_scaling(const struct rope *rope, const struct turn *turn)
{
    if (strcmp(rope->type, "llama3") == 0)
        return make_llama3(rope, turn);
    if (strcmp(rope->type, "proportional") == 0)
        return make_proportional(rope, turn);
    if (strcmp(rope->type, "default") == 0 || strcmp(rope->type, "dynamic") == 0)
        return WEIR_OK;
    WEIR_TRY(weir_hf_put_text(rope->writer, "rope.scaling.type", rope->type));
    if (strcmp(rope->type, "longrope") == 0)
        return make_longrope(rope, turn);
    if (strcmp(rope->type, "yarn") != 0)
        return WEIR_OK;
    WEIR_TRY(check_corners(rope));
    return put_magnitude(rope);
}

enum weir_status weir_hf_rope_read(struct hf_config *config, struct hf_key_writer *writer)
{
    struct rope rope = {.config = config, .writer = writer, .place = "rope_scaling"};
    struct turn turn;
    if (weir_json_kind(weir_hf_member(config, "rope_parameters")) != WEIR_JSON_NONE)
        rope.place = "rope_parameters";
    const bool is_by_kind =
        weir_json_kind(weir_hf_member(config, "rope_parameters.full_attention")) != WEIR_JSON_NONE;
    if (is_by_kind) {
        WEIR_TRY(check_kinds(config));
        rope.place = "rope_parameters.full_attention";
    }
    WEIR_TRY(read_type(&rope));
    WEIR_TRY(carry_members(&rope));
    WEIR_TRY(read_turn(&rope, &turn));
    if (strcmp(rope.type, "dynamic") == 0)
        WEIR_TRY(grow_base(&rope, &turn));
    WEIR_TRY(weir_hf_put_real(writer, "rope.freq_base", turn.base));
    const bool is_whole = turn.share == 1.0 || strcmp(rope.type, "proportional") == 0;
    if (config->family->rope_is_half && turn.share != 0.5)
        return WEIR_FAIL(config->err, WEIR_ERR_UNSUPPORTED,
                         "%s: partial_rotary_factors: wanted 0.5 in layers of full attention of "
                         "family %s, found %g",
                         config->path, config->family->model_type, turn.share);
    if (!is_whole && !config->family->rope_is_half)
        WEIR_TRY(weir_hf_put_count(writer, "rope.dimension_count", count_of(turn.n_rot)));
    WEIR_TRY(put_scaling(&rope, &turn));
    return read_window(&rope);
}
