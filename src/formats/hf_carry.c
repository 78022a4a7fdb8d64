/* hf_carry.c - members of config.json as keys: what the rows of a family's tables say. */
#include "formats/hf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"

enum { NAME_BYTES = 96 };

/* null is no member; false, 0, [] and {} say that something is not used. */
static bool is_nothing(struct weir_json value)
{
    bool flag = false;
    double number = 0.0;
    if (weir_json_bool(value, &flag))
        return !flag;
    if (weir_json_f64(value, &number))
        return number == 0.0;
    return weir_json_kind(value) == WEIR_JSON_NONE ||
           (weir_json_count(value) == 0 && weir_json_kind(value) >= WEIR_JSON_ARRAY);
}

static bool is_number(struct weir_json value, double wanted)
{
    double number = 0.0;
    return weir_json_f64(value, &number) && number == wanted;
}

static bool is_word_or_number(struct weir_json value, const char *wanted)
{
    char *end;
    const double number = strtod(wanted, &end);
    return weir_json_is(value, wanted) || (*end == '\0' && is_number(value, number));
}

/* Whether a row says something, by its condition. */
static bool is_meant_here(const struct hf_config *config, const struct hf_key *row)
{
    char name[NAME_BYTES];
    const bool wants_none = row->when != NULL && row->when[0] == '!';
    if (row->when == NULL)
        return true;
    snprintf(name, sizeof(name), "%s", row->when + wants_none);
    char *word = strchr(name, '=');
    if (word != NULL)
        *word++ = '\0';
    const struct weir_json value = weir_hf_member(config, name);
    if (word != NULL)
        return is_word_or_number(value, word) != wants_none;
    return is_nothing(value) == wants_none;
}

static bool is_off(const struct hf_key *row, struct weir_json value)
{
    return is_nothing(value) || is_number(value, row->off) ||
           (row->word != NULL && weir_json_is(value, row->word));
}

static bool is_on(const struct hf_key *row, struct weir_json value)
{
    bool flag = false;
    return (weir_json_bool(value, &flag) && flag) || is_number(value, row->on);
}

static enum weir_status refuse_unbuilt(const struct hf_config *config, const struct hf_key *row,
                                       const char *wanted, struct weir_json found)
{
    char text[64];
    return WEIR_FAIL(config->err, WEIR_ERR_UNSUPPORTED,
                     "%s: %s: what it asks for is not built in for family %s: wanted %s, found %s",
                     config->path, row->name, config->family->model_type, wanted,
                     weir_hf_show(found, text));
}

static enum weir_status check_word(const struct hf_config *config, const struct hf_key *row,
                                   struct weir_json value)
{
    char wanted[64];
    struct weir_json found = value;
    bool is_word = weir_json_is(value, row->word) || (row->on != 0.0 && is_number(value, row->on));
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
    snprintf(wanted, sizeof(wanted), "\"%s\"", row->word);
    return refuse_unbuilt(config, row, wanted, found);
}

static enum weir_status check_off(const struct hf_config *config, const struct hf_key *row,
                                  struct weir_json value)
{
    char wanted[64];
    if (is_off(row, value))
        return WEIR_OK;
    snprintf(wanted, sizeof(wanted), "false, null or %g", row->off);
    return refuse_unbuilt(config, row, wanted, value);
}

static enum weir_status check_on(const struct hf_config *config, const struct hf_key *row,
                                 struct weir_json value)
{
    char wanted[64] = "true";
    if (is_on(row, value))
        return WEIR_OK;
    if (row->on != 0.0)
        snprintf(wanted, sizeof(wanted), "%g", row->on);
    return refuse_unbuilt(config, row, wanted, value);
}

/* A number, or one for each layer: a number again where all are the same. */
static enum weir_status carry_count(const struct hf_config *config, struct hf_key_writer *writer,
                                    const struct hf_key *row, struct weir_json value)
{
    uint64_t number = 0;
    bool is_uniform = true;
    bool is_right = weir_json_u64(value, &number);
    const uint64_t count = weir_json_count(value);
    if (is_right)
        return weir_hf_put_count(writer, row->key, number);
    if (weir_json_kind(value) != WEIR_JSON_ARRAY || count == 0)
        return weir_hf_refuse(config, row->name, "a whole number", value);
    uint32_t *numbers = weir_heap_array(count, sizeof(*numbers));
    if (numbers == NULL)
        return WEIR_FAIL(config->err, WEIR_ERR_NOMEM, "no memory for %llu numbers",
                         (unsigned long long)count);
    is_right = true;
    for (struct weir_json_walk walk = weir_json_walk(value); is_right && weir_json_next(&walk);) {
        is_right = weir_json_u64(walk.value, &number) && number <= UINT32_MAX;
        numbers[walk.index] = (uint32_t)number;
        is_uniform = is_uniform && numbers[walk.index] == numbers[0];
    }
    const uint32_t first = numbers[0];
    enum weir_status status = WEIR_OK;
    if (!is_right)
        status = weir_hf_refuse(config, row->name, "whole numbers", value);
    else if (!is_uniform)
        status = weir_hf_put_counts(writer, row->key, numbers, count);
    weir_heap_free(numbers);
    return status == WEIR_OK && is_uniform ? weir_hf_put_count(writer, row->key, first) : status;
}

/* A number with another member. */
static enum weir_status carry_both(const struct hf_config *config, struct hf_key_writer *writer,
                                   const struct hf_key *row, struct weir_json value)
{
    uint64_t one = 0;
    uint64_t other = 0;
    const struct weir_json second = weir_hf_member(config, row->other);
    if (!weir_json_u64(value, &one) || one > UINT32_MAX)
        return weir_hf_refuse(config, row->name, "a whole number", value);
    if (!weir_json_u64(second, &other) || other > UINT32_MAX)
        return WEIR_FAIL(config->err, WEIR_ERR_FORMAT, "%s: %s: wanted a whole number, found %s",
                         config->path, row->other, weir_json_kind_name(weir_json_kind(second)));
    return weir_hf_put_count(writer, row->key, row->carry == HF_SUM ? one + other : one * other);
}

static enum weir_status carry_choice(const struct hf_config *config, struct hf_key_writer *writer,
                                     const struct hf_key *row, struct weir_json value)
{
    char word[32];
    uint32_t number = 1;
    for (const char *at = row->word; at != NULL; number++) {
        const char *bar = strchr(at, '|');
        snprintf(word, sizeof(word), "%.*s", bar == NULL ? (int)strlen(at) : (int)(bar - at), at);
        if (weir_json_is(value, word))
            return row->key == NULL ? WEIR_OK : weir_hf_put_count(writer, row->key, number);
        at = bar == NULL ? NULL : bar + 1;
    }
    return refuse_unbuilt(config, row, row->word, value);
}

static enum weir_status carry_number(const struct hf_config *config, struct hf_key_writer *writer,
                                     const struct hf_key *row, struct weir_json value)
{
    double real = 0.0;
    if (!weir_json_f64(value, &real) || (row->carry == HF_RSQRT && !(real > 0.0)))
        return weir_hf_refuse(config, row->name,
                              row->carry == HF_RSQRT ? "a number above 0" : "a number", value);
    return weir_hf_put_real(writer, row->key, row->carry == HF_RSQRT ? 1.0 / sqrt(real) : real);
}

static enum weir_status carry_member(const struct hf_config *config, struct hf_key_writer *writer,
                                     const struct hf_key *row, struct weir_json value)
{
    bool flag = false;
    switch (row->carry) {
    case HF_IDLE:
        return WEIR_OK;
    case HF_COUNT:
        return carry_count(config, writer, row, value);
    case HF_REAL:
    case HF_RSQRT:
        return carry_number(config, writer, row, value);
    case HF_FLAG:
        return weir_json_bool(value, &flag)
                   ? weir_hf_put_flag(writer, row->key, flag)
                   : weir_hf_refuse(config, row->name, "true or false", value);
    case HF_SUM:
    case HF_PRODUCT:
        return carry_both(config, writer, row, value);
    case HF_CHOICE:
        return carry_choice(config, writer, row, value);
    case HF_WORD:
        return check_word(config, row, value);
    case HF_OFF:
        return check_off(config, row, value);
    case HF_ON:
        return check_on(config, row, value);
    default:
        return weir_hf_carry_layers(config, writer, row, value);
    }
}

/* What absence means; null is said, and means that there is none. */
static enum weir_status carry_fallback(const struct hf_config *config, struct hf_key_writer *writer,
                                       const struct hf_key *row)
{
    const bool is_said =
        weir_json_kind(weir_json_member(config->text, row->name)) == WEIR_JSON_NULL;
    switch (row->carry) {
    case HF_FLAG:
        return weir_hf_put_flag(writer, row->key, !is_said && row->fallback != 0.0);
    case HF_COUNT:
    case HF_CHOICE:
        return is_said ? WEIR_OK : weir_hf_put_count(writer, row->key, (uint64_t)row->fallback);
    default:
        return is_said ? WEIR_OK : weir_hf_put_real(writer, row->key, row->fallback);
    }
}

/* Whether a table before this one has a row of the name. */
static bool is_hidden(const struct hf_family *family, size_t table, const char *name)
{
    for (size_t before = 0; before < table; before++)
        for (const struct hf_key *row = family->keys[before]; row->name != NULL; row++)
            if (strcmp(row->name, name) == 0)
                return true;
    return false;
}

static enum weir_status carry_row(const struct hf_config *config, struct hf_key_writer *writer,
                                  const struct hf_key *row)
{
    const bool is_meant = is_meant_here(config, row);
    struct weir_json value = weir_hf_member(config, row->name);
    if (row->carry >= HF_FULL) {
        if (!is_meant)
            value = (struct weir_json){0};
        return weir_hf_carry_layers(config, writer, row, value);
    }
    if (!is_meant)
        return WEIR_OK;
    if (weir_json_kind(value) != WEIR_JSON_NONE)
        return carry_member(config, writer, row, value);
    return row->has_fallback ? carry_fallback(config, writer, row) : WEIR_OK;
}

enum weir_status weir_hf_carry(const struct hf_config *config, struct hf_key_writer *writer)
{
    const struct hf_family *family = config->family;
    for (size_t table = 0; table < HF_TABLE_MAX && family->keys[table] != NULL; table++)
        for (const struct hf_key *row = family->keys[table]; row->name != NULL; row++) {
            if (is_hidden(family, table, row->name))
                continue;
            WEIR_TRY(carry_row(config, writer, row));
        }
    return WEIR_OK;
}
