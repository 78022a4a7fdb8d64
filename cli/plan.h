/* plan.h - a plan in words. */
#ifndef WEIR_CLI_PLAN_H
#define WEIR_CLI_PLAN_H

#include "cli.h"

/* "18.9G": what --mem takes, rounded up to what a person would type. */
const char *weir_cli_typed_size(uint64_t bytes, char *out, size_t capacity);
/* Whether it fits, how fast about, and what larger ceilings would give; calibration may be NULL. */
void weir_cli_plan_words(const struct weir_plan *plan, const struct weir_config *config,
                         const struct weir_expected *expected,
                         const struct weir_calibration *calibration);

#endif
