/* key_reader.h - numbers of an architecture's keys, each in its range or refused by name. */
#ifndef WEIR_MODEL_KEY_READER_H
#define WEIR_MODEL_KEY_READER_H

#include "model/model.h"

enum { WEIR_KEY_NAME_MAX = 128 };

struct weir_key_reader {
    const weir_manifest *manifest;
    const char *family; /* what keys begin with */
    struct weir_err *err;
};

/* "FAMILY.suffix" into out, of WEIR_KEY_NAME_MAX bytes; returns out. */
const char *weir_key_name(const struct weir_key_reader *reader, const char *suffix, char *out);
bool weir_key_is_there(const struct weir_key_reader *reader, const char *suffix);
/* A whole number in [1, most], or 0 where fallback is 0. fallback < 0: the key must be there.
 * An array with an entry for each of n_layer layers is read where all entries are equal. */
enum weir_status weir_key_count(const struct weir_key_reader *reader, const char *suffix,
                                int64_t fallback, uint64_t most, uint32_t n_layer, uint32_t *value);
/* The entry of one layer: of an array, or the number that stands for all layers. */
enum weir_status weir_key_layer_count(const struct weir_key_reader *reader, const char *suffix,
                                      int64_t fallback, uint64_t most, uint32_t n_layer,
                                      uint32_t layer, uint32_t *value);
/* A finite number, as float too; *value stays when the key is absent. */
enum weir_status weir_key_real(const struct weir_key_reader *reader, const char *suffix,
                               float *value);
/* The same, from least to most: what no model is near is a damaged file. *value is checked too when
 * the key is absent. */
enum weir_status weir_key_between(const struct weir_key_reader *reader, const char *suffix,
                                  float least, float most, float *value);
/* The same, or 0, which says that there is none. */
enum weir_status weir_key_zero_or(const struct weir_key_reader *reader, const char *suffix,
                                  float least, float most, float *value);
/* The same of one layer: the entry of an array, or the number that stands for all of n_layer. */
enum weir_status weir_key_layer_zero_or(const struct weir_key_reader *reader, const char *suffix,
                                        uint32_t n_layer, uint32_t layer, float least, float most,
                                        float *value);
/* *value stays when the key is absent. */
enum weir_status weir_key_bool(const struct weir_key_reader *reader, const char *suffix,
                               bool *value);

/* Keys that no code reads: one that would change what is computed is refused unless its value says
 * that nothing changes; one that is not known is a warning. */
enum weir_status weir_keys_check(const struct weir_key_reader *reader, weir_parts parts);

#endif
