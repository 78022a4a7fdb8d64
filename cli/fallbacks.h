/* fallbacks.h - tensors that got another format than was meant, since their rows fill no blocks. */
#ifndef WEIR_CLI_FALLBACKS_H
#define WEIR_CLI_FALLBACKS_H

#include "cli.h"
#include "weir_files.h"

/* A line for each pair of formats, on standard error. */
void weir_cli_fallbacks_say(const struct weir_quantize_fallback *fallbacks, uint32_t count);
/* take. */
json_t *weir_cli_fallbacks_json(const struct weir_quantize_fallback *fallbacks, uint32_t count);

#endif
