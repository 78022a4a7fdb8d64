/* advice.h - how a model's file advises to choose tokens, followed where the user says nothing. */
#ifndef WEIR_CLI_ADVICE_H
#define WEIR_CLI_ADVICE_H

#include "cli.h"

enum { WEIR_CLI_ADVICE_MAX = 192 };

/* Options that are not given become what the model advises, unless --plain-sampling. out: which
 * those are, "" where none. */
void weir_cli_advice_take(struct weir_cli_options *options, const struct weir_advice_values *advice,
                          char out[WEIR_CLI_ADVICE_MAX]);
/* "temp 0.6, top-k 20"; false: there is none. */
bool weir_cli_advice_words(const struct weir_advice_values *advice, char *out, size_t capacity);

#endif
