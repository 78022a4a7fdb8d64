/* budget.h - a budget of weir quantize, as options say it. */
#ifndef WEIR_CLI_BUDGET_H
#define WEIR_CLI_BUDGET_H

#include "cli.h"
#include "weir_files.h"

struct weir_cli_budget {
    struct weir_quantize_budget budget; /* borrows ids */
    uint32_t *ids;
};

/* Whether options ask for a budget; its text is then cut into tokens by the model's vocabulary. A
 * text longer than --chunks asks for is read no further. Returns an enum weir_cli_exit; what is
 * wrong has been said. */
bool weir_cli_budget_wanted(const struct weir_cli_options *options);
int weir_cli_budget_fill(struct weir_cli_budget *budget, const struct weir_cli_options *options);
void weir_cli_budget_free(struct weir_cli_budget *budget);
/* What it came to, for people and in JSON: null without a budget. */
void weir_cli_budget_print(FILE *file, const struct weir_quantize_result *result);
void weir_cli_budget_json(json_t *object, const struct weir_quantize_result *result, bool is_there,
                          bool is_done);

#endif
