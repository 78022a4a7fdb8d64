/* advice.c - how a model's file advises to choose tokens: keys general.sampling.* of GGUF, which a
 * directory's generation_config.json becomes too. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/advice.h"

#define PREFIX "general.sampling."

static const struct {
    const char *key; /* behind the prefix */
    double low, high;
    bool is_whole;
} rows[WEIR_ADVICE_COUNT] = {
    [WEIR_ADVICE_TEMPERATURE] = {"temp", 0, WEIR_TEMPERATURE_MAX, false},
    [WEIR_ADVICE_TOP_K] = {"top_k", 0, 1e9, true},
    [WEIR_ADVICE_TOP_P] = {"top_p", 0, 1, false},
    [WEIR_ADVICE_MIN_P] = {"min_p", 0, 1, false},
    [WEIR_ADVICE_REPEAT_PENALTY] = {"penalty_repeat", 0.01, WEIR_REPEAT_PENALTY_MAX, false},
    [WEIR_ADVICE_REPEAT_LAST] = {"penalty_last_n", 1, WEIR_REPEAT_LAST_MAX, true},
    [WEIR_ADVICE_XTC_PROBABILITY] = {"xtc_probability", 0, 1, false},
    [WEIR_ADVICE_XTC_THRESHOLD] = {"xtc_threshold", 0, 0.5, false},
};

/* f32 as it was meant: 0.6, not 0.60000002384185791. */
static double round_real(double value)
{
    const double scale = 1e6;
    return fabs(value) < 1e6 ? round(value * scale) / scale : value;
}

static void read_row(struct weir_advice_values *advice, const weir_manifest *manifest, uint32_t row,
                     struct weir_warnings *warnings)
{
    char key[64];
    double value = 0.0;
    snprintf(key, sizeof(key), PREFIX "%s", rows[row].key);
    if (!weir_manifest_has(manifest, key))
        return;
    const bool is_number = weir_manifest_f64(manifest, key, &value);
    value = round_real(value);
    if (is_number && value >= rows[row].low && value <= rows[row].high &&
        (!rows[row].is_whole || value == floor(value))) {
        advice->said |= 1u << row;
        advice->values[row] = value;
    } else {
        weir_warn(warnings, "key %s: wanted a number from %g to %g: ignored", key, rows[row].low,
                  rows[row].high);
    }
}

/* Keys of that name that are no row's. Mirostat, where it is off, is what we do. */
static void warn_others(const weir_manifest *manifest, struct weir_warnings *warnings)
{
    double value = 0.0;
    for (uint32_t index = 0; index < weir_manifest_key_count(manifest); index++) {
        char shown[1];
        const char *key = weir_manifest_key_at(manifest, index, shown, sizeof(shown));
        uint32_t row = 0;
        if (strncmp(key, PREFIX, sizeof(PREFIX) - 1) != 0)
            continue;
        while (row < WEIR_ADVICE_COUNT && strcmp(rows[row].key, key + sizeof(PREFIX) - 1) != 0)
            row++;
        const bool is_off =
            strncmp(key, PREFIX "mirostat", sizeof(PREFIX "mirostat") - 1) == 0 &&
            (!weir_manifest_f64(manifest, PREFIX "mirostat", &value) || value == 0.0);
        if (row == WEIR_ADVICE_COUNT && !is_off)
            weir_warn(warnings, "key %.80s: tokens are not chosen in that way here: ignored", key);
    }
}

void weir_advice_read(struct weir_advice_values *advice, const weir_manifest *manifest,
                      struct weir_warnings *warnings)
{
    *advice = (struct weir_advice_values){0};
    for (uint32_t row = 0; row < WEIR_ADVICE_COUNT; row++)
        read_row(advice, manifest, row, warnings);
    warn_others(manifest, warnings);
}
