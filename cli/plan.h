/* plan.h - a plan in words. */
#ifndef WEIR_CLI_PLAN_H
#define WEIR_CLI_PLAN_H

#include "past.h"

/* "18.9G": what --mem takes, rounded up to what a person would type. */
const char *weir_cli_typed_size(uint64_t bytes, char *out, size_t capacity);
/* What is said of speed, and what it is made of. */
struct weir_cli_foretold {
    const struct weir_config *config;           /* of the plan */
    const struct weir_calibration *calibration; /* NULL: no speeds */
    struct weir_cli_past past;
    struct weir_cli_guess guess;
};

/* What is on a GPU, and why not more: as JSON, and in words. */
json_t *weir_cli_gpu_json(const struct weir_gpu_plan *gpu);
void weir_cli_gpu_print(FILE *file, const struct weir_gpu_plan *gpu);
/* Whether it fits, how fast about, and what larger ceilings would give. */
void weir_cli_plan_words(const struct weir_plan *plan, const struct weir_cli_foretold *told);

#endif
