/* key_reader.c - numbers of an architecture's keys, each in its range or refused by name. */
#include "model/key_reader.h"

#include <math.h>
#include <stdio.h>

const char *weir_key_name(const struct weir_key_reader *reader, const char *suffix, char *out)
{
    snprintf(out, WEIR_KEY_NAME_MAX, "%s.%s", reader->family, suffix);
    return out;
}

bool weir_key_is_there(const struct weir_key_reader *reader, const char *suffix)
{
    char key[WEIR_KEY_NAME_MAX];
    return weir_manifest_has(reader->manifest, weir_key_name(reader, suffix, key));
}

static enum weir_status check_count(const struct weir_key_reader *reader, const char *key,
                                    uint64_t found, int64_t fallback, uint64_t most,
                                    uint32_t *value)
{
    if (found > most || (found == 0 && fallback != 0))
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT, "key %s: wanted %d to %llu, found %llu", key,
                         fallback != 0, (unsigned long long)most, (unsigned long long)found);
    *value = (uint32_t)found;
    return WEIR_OK;
}

static enum weir_status check_length(const struct weir_key_reader *reader, const char *key,
                                     uint64_t entry_count, uint32_t n_layer)
{
    if (n_layer == 0)
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT, "key %s: wanted one number, found an array",
                         key);
    if (entry_count != n_layer)
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                         "key %s: wanted a number, or one for each of %u layers, found %llu", key,
                         n_layer, (unsigned long long)entry_count);
    return WEIR_OK;
}

enum weir_status weir_key_layer_count(const struct weir_key_reader *reader, const char *suffix,
                                      int64_t fallback, uint64_t most, uint32_t n_layer,
                                      uint32_t layer, uint32_t *value)
{
    char key[WEIR_KEY_NAME_MAX];
    uint64_t found = 0;
    uint64_t entry_count = 0;
    weir_key_name(reader, suffix, key);
    if (weir_manifest_array_count(reader->manifest, key, &entry_count)) {
        WEIR_TRY(check_length(reader, key, entry_count, n_layer));
        if (!weir_manifest_array_u64(reader->manifest, key, layer, &found))
            return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                             "key %s: layer %u: wanted a whole number, found something else", key,
                             layer);
    } else if (!weir_manifest_u64(reader->manifest, key, &found)) {
        if (weir_manifest_has(reader->manifest, key))
            return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                             "key %s: wanted a whole number, found something else", key);
        if (fallback < 0)
            return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT, "key %s is missing", key);
        found = (uint64_t)fallback;
    }
    return check_count(reader, key, found, fallback, most, value);
}

enum weir_status weir_key_count(const struct weir_key_reader *reader, const char *suffix,
                                int64_t fallback, uint64_t most, uint32_t n_layer, uint32_t *value)
{
    char key[WEIR_KEY_NAME_MAX];
    uint32_t first = 0;
    WEIR_TRY(weir_key_layer_count(reader, suffix, fallback, most, n_layer, 0, &first));
    for (uint32_t layer = 1; layer < n_layer; layer++) {
        uint32_t other = 0;
        WEIR_TRY(weir_key_layer_count(reader, suffix, fallback, most, n_layer, layer, &other));
        if (other != first)
            return WEIR_FAIL(reader->err, WEIR_ERR_UNSUPPORTED,
                             "key %s: layers that differ are not built in: layer 0 has %u, layer "
                             "%u has %u",
                             weir_key_name(reader, suffix, key), first, layer, other);
    }
    *value = first;
    return WEIR_OK;
}

static enum weir_status check_real(const struct weir_key_reader *reader, const char *key,
                                   double found, float *value)
{
    if (!isfinite((float)found))
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT, "key %s: wanted a finite number, found %g",
                         key, found);
    *value = (float)found;
    return WEIR_OK;
}

enum weir_status weir_key_real(const struct weir_key_reader *reader, const char *suffix,
                               float *value)
{
    char key[WEIR_KEY_NAME_MAX];
    double found = 0.0;
    weir_key_name(reader, suffix, key);
    if (!weir_manifest_has(reader->manifest, key))
        return WEIR_OK;
    if (!weir_manifest_f64(reader->manifest, key, &found))
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                         "key %s: wanted a number, found something else", key);
    return check_real(reader, key, found, value);
}

static enum weir_status read_layer_real(const struct weir_key_reader *reader, const char *suffix,
                                        uint32_t n_layer, uint32_t layer, float *value)
{
    char key[WEIR_KEY_NAME_MAX];
    double found = 0.0;
    uint64_t entry_count = 0;
    weir_key_name(reader, suffix, key);
    if (!weir_manifest_array_count(reader->manifest, key, &entry_count))
        return weir_key_real(reader, suffix, value);
    WEIR_TRY(check_length(reader, key, entry_count, n_layer));
    if (!weir_manifest_element(reader->manifest, key, layer, &found))
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                         "key %s: layer %u: wanted a number, found something else", key, layer);
    return check_real(reader, key, found, value);
}

static enum weir_status check_range(const struct weir_key_reader *reader, const char *suffix,
                                    bool may_be_zero, float least, float most, float found)
{
    char key[WEIR_KEY_NAME_MAX];
    if ((found >= least && found <= most) || (may_be_zero && found == 0.0f))
        return WEIR_OK;
    return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                     "key %s: wanted %sa number from %g to %g, found %g",
                     weir_key_name(reader, suffix, key), may_be_zero ? "0, or " : "", (double)least,
                     (double)most, (double)found);
}

enum weir_status weir_key_between(const struct weir_key_reader *reader, const char *suffix,
                                  float least, float most, float *value)
{
    float found = *value;
    WEIR_TRY(weir_key_real(reader, suffix, &found));
    WEIR_TRY(check_range(reader, suffix, false, least, most, found));
    *value = found;
    return WEIR_OK;
}

enum weir_status weir_key_zero_or(const struct weir_key_reader *reader, const char *suffix,
                                  float least, float most, float *value)
{
    float found = *value;
    WEIR_TRY(weir_key_real(reader, suffix, &found));
    WEIR_TRY(check_range(reader, suffix, true, least, most, found));
    *value = found;
    return WEIR_OK;
}

enum weir_status weir_key_layer_zero_or(const struct weir_key_reader *reader, const char *suffix,
                                        uint32_t n_layer, uint32_t layer, float least, float most,
                                        float *value)
{
    float found = *value;
    WEIR_TRY(read_layer_real(reader, suffix, n_layer, layer, &found));
    WEIR_TRY(check_range(reader, suffix, true, least, most, found));
    *value = found;
    return WEIR_OK;
}

enum weir_status weir_key_bool(const struct weir_key_reader *reader, const char *suffix,
                               bool *value)
{
    char key[WEIR_KEY_NAME_MAX];
    weir_key_name(reader, suffix, key);
    if (weir_manifest_bool(reader->manifest, key, value) ||
        !weir_manifest_has(reader->manifest, key))
        return WEIR_OK;
    return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                     "key %s: wanted true or false, found something else", key);
}
