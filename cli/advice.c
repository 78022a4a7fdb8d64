/* advice.c - how a model's file advises to choose tokens, followed where the user says nothing. */
#include "advice.h"

#include <stdio.h>

/* The option that says the same. */
static const enum weir_cli_option_id rows[WEIR_ADVICE_COUNT] = {
    [WEIR_ADVICE_TEMPERATURE] = WEIR_CLI_OPTION_temperature,
    [WEIR_ADVICE_TOP_K] = WEIR_CLI_OPTION_top_k,
    [WEIR_ADVICE_TOP_P] = WEIR_CLI_OPTION_top_p,
    [WEIR_ADVICE_MIN_P] = WEIR_CLI_OPTION_min_p,
    [WEIR_ADVICE_REPEAT_PENALTY] = WEIR_CLI_OPTION_repeat_penalty,
    [WEIR_ADVICE_REPEAT_LAST] = WEIR_CLI_OPTION_repeat_last,
    [WEIR_ADVICE_XTC_PROBABILITY] = WEIR_CLI_OPTION_xtc_probability,
    [WEIR_ADVICE_XTC_THRESHOLD] = WEIR_CLI_OPTION_xtc_threshold,
};

static bool is_said(const struct weir_advice_values *advice, uint32_t row)
{
    return (advice->said >> row & 1) != 0;
}

bool weir_cli_advice_words(const struct weir_advice_values *advice, char *out, size_t capacity)
{
    size_t length = 0;
    out[0] = '\0';
    for (uint32_t row = 0; row < WEIR_ADVICE_COUNT && length < capacity; row++)
        if (is_said(advice, row))
            length += (size_t)snprintf(
                out + length, capacity - length, "%s%s %g", length == 0 ? "" : ", ",
                weir_cli_option_rows[rows[row]].flag + 2, advice->values[row]);
    return length > 0;
}

void weir_cli_advice_take(struct weir_cli_options *options, const struct weir_advice_values *advice,
                          char out[WEIR_CLI_ADVICE_MAX])
{
    struct weir_advice_values taken = *advice;
    if (options->plain_sampling)
        taken.said = 0;
    for (uint32_t row = 0; row < WEIR_ADVICE_COUNT; row++) {
        const struct weir_cli_option_row *option = &weir_cli_option_rows[rows[row]];
        void *field = (char *)options + option->offset;
        if (weir_cli_option_given(options, rows[row]))
            taken.said &= ~(1u << row);
        if (!is_said(&taken, row))
            continue;
        if (option->type == WEIR_CLI_REAL)
            *(double *)field = taken.values[row];
        else
            *(uint64_t *)field = (uint64_t)taken.values[row];
    }
    weir_cli_advice_words(&taken, out, WEIR_CLI_ADVICE_MAX);
}
