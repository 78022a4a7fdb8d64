/* hf_layers.c - members of config.json about what layers differ in.
 *
 * layer_types has a word for each layer. What layers of full attention have otherwise is a member
 * of its own ("global_head_dim"), or is said for each of them (per_layer_config, by transformers
 * 5). */
#include "formats/hf.h"

#include <stdio.h>
#include <string.h>

#include "base/heap.h"

static const char full_word[] = "full_attention";
static const char own_name[] = "per_layer_config";

static enum weir_status no_memory(const struct hf_config *config, uint64_t count)
{
    return WEIR_FAIL(config->err, WEIR_ERR_NOMEM, "no memory for %llu layers",
                     (unsigned long long)count);
}

static enum weir_status refuse_word(const struct hf_config *config, const struct hf_key *row,
                                    struct weir_json found)
{
    char text[64];
    return WEIR_FAIL(config->err, WEIR_ERR_UNSUPPORTED,
                     "%s: %s: what it asks for is not built in for family %s: wanted \"%s\" or "
                     "\"%s\", found %s",
                     config->path, row->name, config->family->model_type, row->word, full_word,
                     weir_hf_show(found, text));
}

/* Entries of an array that are about layers: behind them may be those of layers that guess. */
static uint64_t count_layers(const struct hf_config *config, struct weir_json array)
{
    const uint64_t count = weir_json_count(array);
    uint64_t n_layer = 0;
    uint64_t n_guess = 0;
    weir_json_u64(weir_hf_member(config, "num_hidden_layers"), &n_layer);
    weir_json_u64(weir_hf_member(config, "num_nextn_predict_layers"), &n_guess);
    return n_layer > 0 && count > n_layer && count - n_layer == n_guess ? n_layer : count;
}

static enum weir_status carry_words(const struct hf_config *config, struct hf_key_writer *writer,
                                    const struct hf_key *row, struct weir_json value)
{
    enum weir_status status = WEIR_OK;
    const uint64_t count = count_layers(config, value);
    if (weir_json_kind(value) != WEIR_JSON_ARRAY || count == 0)
        return weir_hf_refuse(config, row->name, "an array of words", value);
    uint8_t *flags = weir_heap_array(count, sizeof(*flags));
    if (flags == NULL)
        return no_memory(config, count);
    for (struct weir_json_walk walk = weir_json_walk(value);
         status == WEIR_OK && weir_json_next(&walk) && walk.index < count;) {
        flags[walk.index] = weir_json_is(walk.value, row->word);
        if (flags[walk.index] == 0 && !weir_json_is(walk.value, full_word))
            status = refuse_word(config, row, walk.value);
    }
    if (status == WEIR_OK)
        status = weir_hf_put_flags(writer, row->key, flags, count);
    weir_heap_free(flags);
    return status;
}

static enum weir_status carry_lead(const struct hf_config *config, struct hf_key_writer *writer,
                                   const struct hf_key *row, struct weir_json value)
{
    uint64_t count = 0;
    if (weir_json_kind(value) != WEIR_JSON_ARRAY)
        return weir_hf_refuse(config, row->name, "an array of words", value);
    for (struct weir_json_walk walk = weir_json_walk(value);
         weir_json_next(&walk) && weir_json_is(walk.value, row->word);)
        count++;
    return weir_hf_put_count(writer, row->key, count);
}

/* Each on-th layer has a 0, and no other. */
static enum weir_status check_every(const struct hf_config *config, const struct hf_key *row,
                                    struct weir_json value)
{
    char text[64];
    bool is_right = weir_json_kind(value) == WEIR_JSON_ARRAY;
    for (struct weir_json_walk walk = weir_json_walk(value); is_right && weir_json_next(&walk);) {
        double number = 0.0;
        is_right = weir_json_f64(walk.value, &number) &&
                   (number == 0.0) == ((walk.index + 1) % (uint64_t)row->on == 0);
    }
    if (is_right)
        return WEIR_OK;
    return WEIR_FAIL(config->err, WEIR_ERR_UNSUPPORTED,
                     "%s: %s: what it asks for is not built in for family %s: wanted 0 in every "
                     "layer whose number from 1 on %g divides and in no other, found %s",
                     config->path, row->name, config->family->model_type, row->on,
                     weir_hf_show(value, text));
}

/* A whole number of the file that fits; *number stays where there is no such member. */
static enum weir_status read_count(const struct hf_config *config, const char *name,
                                   uint64_t *number)
{
    const struct weir_json value = weir_hf_member(config, name);
    if (weir_json_kind(value) == WEIR_JSON_NONE ||
        (weir_json_u64(value, number) && *number <= UINT32_MAX))
        return WEIR_OK;
    return weir_hf_refuse(config, name, "a whole number", value);
}

static enum weir_status carry_windowed(const struct hf_config *config, struct hf_key_writer *writer,
                                       const struct hf_key *row)
{
    const struct weir_json types = weir_hf_member(config, "layer_types");
    const uint64_t count = count_layers(config, types);
    uint64_t full = 0;
    WEIR_TRY(read_count(config, row->name, &full));
    uint64_t windowed = full;
    WEIR_TRY(read_count(config, row->other, &windowed));
    if (windowed == full || count == 0)
        return weir_hf_put_count(writer, row->key, full);
    uint32_t *numbers = weir_heap_array(count, sizeof(*numbers));
    if (numbers == NULL)
        return no_memory(config, count);
    for (struct weir_json_walk walk = weir_json_walk(types);
         weir_json_next(&walk) && walk.index < count;)
        numbers[walk.index] = (uint32_t)(weir_json_is(walk.value, full_word) ? full : windowed);
    const enum weir_status status = weir_hf_put_counts(writer, row->key, numbers, count);
    weir_heap_free(numbers);
    return status;
}

static enum weir_status carry_reals(const struct hf_config *config, struct hf_key_writer *writer,
                                    const struct hf_key *row, struct weir_json value)
{
    const uint64_t count = count_layers(config, value);
    bool is_right = weir_json_kind(value) == WEIR_JSON_ARRAY && count > 0;
    if (!is_right)
        return weir_hf_refuse(config, row->name, "an array of numbers", value);
    float *numbers = weir_heap_array(count, sizeof(*numbers));
    if (numbers == NULL)
        return no_memory(config, count);
    for (struct weir_json_walk walk = weir_json_walk(value);
         is_right && weir_json_next(&walk) && walk.index < count;) {
        double number = 0.0;
        is_right =
            weir_json_kind(walk.value) == WEIR_JSON_NULL || weir_json_f64(walk.value, &number);
        numbers[walk.index] = (float)number;
    }
    const enum weir_status status =
        is_right ? weir_hf_put_reals(writer, row->key, numbers, count)
                 : weir_hf_refuse(config, row->name, "an array of numbers or null", value);
    weir_heap_free(numbers);
    return status;
}

static enum weir_status carry_twice(const struct hf_config *config, struct hf_key_writer *writer,
                                    const struct hf_key *row)
{
    enum { LAYER_COUNT_MAX = 1 << 16 };
    uint64_t number = 0;
    uint64_t last = 0;
    uint64_t count = 0;
    WEIR_TRY(read_count(config, row->name, &number));
    WEIR_TRY(read_count(config, row->other, &last));
    WEIR_TRY(read_count(config, "num_hidden_layers", &count));
    if (count == 0 || count > LAYER_COUNT_MAX || last > count || number > UINT32_MAX / 2)
        return WEIR_FAIL(config->err, WEIR_ERR_FORMAT,
                         "%s: %s: wanted up to %d in the last of 1 to %d layers, found %llu in the "
                         "last %llu of %llu",
                         config->path, row->name, INT32_MAX, LAYER_COUNT_MAX,
                         (unsigned long long)number, (unsigned long long)last,
                         (unsigned long long)count);
    uint32_t *numbers = weir_heap_array(count, sizeof(*numbers));
    if (numbers == NULL)
        return no_memory(config, count);
    for (uint64_t layer = 0; layer < count; layer++)
        numbers[layer] = (uint32_t)(layer + last >= count ? 2 * number : number);
    const enum weir_status status = weir_hf_put_counts(writer, row->key, numbers, count);
    weir_heap_free(numbers);
    return status;
}

/* ---- layers of full attention ---------------------------------------------------------------- */

/* The layer that a member of per_layer_config is about; false: none of count. */
static bool read_layer(struct weir_json name, uint64_t count, uint64_t *layer)
{
    char text[24];
    const size_t length = weir_json_text(name, text, sizeof(text) - 1);
    *layer = 0;
    for (size_t at = 0; at < length && length < sizeof(text); at++) {
        if (text[at] < '0' || text[at] > '9' || *layer >= count)
            return false;
        *layer = *layer * 10 + (uint64_t)(text[at] - '0');
    }
    return length > 0 && length < sizeof(text) && *layer < count;
}

/* What per_layer_config says of each layer, where it does. */
static enum weir_status read_own(const struct hf_config *config, const struct hf_key *row,
                                 struct weir_json own, uint32_t *numbers, uint64_t count)
{
    for (struct weir_json_walk walk = weir_json_walk(own); weir_json_next(&walk);) {
        uint64_t layer = 0;
        uint64_t found = 0;
        const struct weir_json value = weir_json_member(walk.value, row->other);
        if (!read_layer(walk.key, count, &layer))
            return weir_hf_refuse(config, own_name, "layers that layer_types has", walk.key);
        if (weir_json_kind(value) <= WEIR_JSON_NULL)
            continue;
        if (!weir_json_u64(value, &found) || found > UINT32_MAX)
            return weir_hf_refuse(config, own_name, "a whole number", value);
        numbers[layer] = (uint32_t)found;
    }
    return WEIR_OK;
}

/* Each layer of full attention has the same number, and no other layer has one of its own. */
static enum weir_status compare_layers(const struct hf_config *config, const struct hf_key *row,
                                       const uint32_t *numbers, uint64_t usual, uint64_t *number)
{
    bool is_first = true;
    struct weir_json_walk walk = weir_json_walk(weir_hf_member(config, "layer_types"));
    while (weir_json_next(&walk)) {
        const bool is_full = weir_json_is(walk.value, full_word);
        const uint64_t wanted = !is_full ? usual : is_first ? numbers[walk.index] : *number;
        if (numbers[walk.index] != wanted)
            return WEIR_FAIL(config->err, WEIR_ERR_UNSUPPORTED,
                             "%s: %s: %s of layer %llu: only what all layers of full attention "
                             "have alike is built in: wanted %llu, found %u",
                             config->path, own_name, row->other, (unsigned long long)walk.index,
                             (unsigned long long)wanted, numbers[walk.index]);
        if (is_full) {
            *number = wanted;
            is_first = false;
        }
    }
    return WEIR_OK;
}

static enum weir_status find_own(const struct hf_config *config, const struct hf_key *row,
                                 struct weir_json own, uint64_t usual, uint64_t *number)
{
    const uint64_t count = weir_json_count(weir_hf_member(config, "layer_types"));
    uint32_t *numbers = weir_heap_array(weir_max(count, 1), sizeof(*numbers));
    if (numbers == NULL)
        return no_memory(config, count);
    for (uint64_t layer = 0; layer < count; layer++)
        numbers[layer] = (uint32_t)usual;
    enum weir_status status = read_own(config, row, own, numbers, count);
    if (status == WEIR_OK)
        status = compare_layers(config, row, numbers, usual, number);
    weir_heap_free(numbers);
    return status;
}

/* Of all families' per_layer_config these two are understood. */
static enum weir_status check_own(const struct hf_config *config, struct weir_json own)
{
    static const char *const known[] = {"head_dim", "num_key_value_heads"};
    for (struct weir_json_walk layer = weir_json_walk(own); weir_json_next(&layer);)
        for (struct weir_json_walk walk = weir_json_walk(layer.value); weir_json_next(&walk);)
            if (!weir_json_is(walk.key, known[0]) && !weir_json_is(walk.key, known[1]))
                return WEIR_FAIL(
                    config->err, WEIR_ERR_UNSUPPORTED,
                    "%s: per_layer_config: %.*s of single layers is not built in", config->path,
                    (int)weir_min(60, (uint64_t)(walk.key.end - walk.key.start)), walk.key.start);
    return WEIR_OK;
}

/* The number of layers of full attention, and that of the others. */
static enum weir_status read_full(const struct hf_config *config, const struct hf_key *row,
                                  struct weir_json value, uint64_t *number, uint64_t *usual)
{
    const struct weir_json own = weir_hf_member(config, own_name);
    const struct weir_json other = weir_hf_member(config, row->other);
    if (!weir_json_u64(other, usual) || *usual > UINT32_MAX)
        return WEIR_FAIL(config->err, WEIR_ERR_FORMAT, "%s: %s: wanted a whole number, found %s",
                         config->path, row->other, weir_json_kind_name(weir_json_kind(other)));
    *number = *usual;
    if (weir_json_kind(own) != WEIR_JSON_NONE) {
        WEIR_TRY(check_own(config, own));
        return find_own(config, row, own, *usual, number);
    }
    if (weir_json_kind(value) == WEIR_JSON_NONE) {
        if (row->has_fallback)
            *number = (uint64_t)row->fallback;
        return WEIR_OK;
    }
    return weir_json_u64(value, number) && *number <= UINT32_MAX
               ? WEIR_OK
               : weir_hf_refuse(config, row->name, "a whole number", value);
}

static enum weir_status put_each(const struct hf_config *config, struct hf_key_writer *writer,
                                 const struct hf_key *row, uint64_t number, uint64_t usual)
{
    const struct weir_json types = weir_hf_member(config, "layer_types");
    const uint64_t count = weir_json_count(types);
    if (number == usual || count == 0)
        return weir_hf_put_count(writer, row->key, usual);
    uint32_t *numbers = weir_heap_array(count, sizeof(*numbers));
    if (numbers == NULL)
        return no_memory(config, count);
    for (struct weir_json_walk walk = weir_json_walk(types); weir_json_next(&walk);)
        numbers[walk.index] = (uint32_t)(weir_json_is(walk.value, full_word) ? number : usual);
    const enum weir_status status = weir_hf_put_counts(writer, row->key, numbers, count);
    weir_heap_free(numbers);
    return status;
}

enum weir_status weir_hf_carry_layers(const struct hf_config *config, struct hf_key_writer *writer,
                                      const struct hf_key *row, struct weir_json value)
{
    uint64_t number = 0;
    uint64_t usual = 0;
    if (row->carry == HF_LAYERS)
        return carry_words(config, writer, row, value);
    if (row->carry == HF_TWICE_LAST)
        return carry_twice(config, writer, row);
    if (row->carry == HF_WINDOWED)
        return carry_windowed(config, writer, row);
    if (row->carry == HF_REALS)
        return carry_reals(config, writer, row, value);
    if (row->carry == HF_LEAD)
        return carry_lead(config, writer, row, value);
    if (row->carry == HF_EVERY)
        return check_every(config, row, value);
    WEIR_TRY(read_full(config, row, value, &number, &usual));
    return row->carry == HF_FULL ? weir_hf_put_count(writer, row->key, number)
                                 : put_each(config, writer, row, number, usual);
}
