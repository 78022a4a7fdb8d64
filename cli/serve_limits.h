/* serve_limits.h - how much a server may hold beside the model: as the options say, else as much as
 * the ceiling affords. */
#ifndef WEIR_CLI_SERVE_LIMITS_H
#define WEIR_CLI_SERVE_LIMITS_H

#include "cli.h"
#include "serve/serve.h"

struct weir_cli_serve_limits {
    struct weir_serve_limits limits;
    bool is_cut;          /* the ceiling is too small for what is usual */
    bool is_too_much;     /* and even for this: the model cannot be held beside it */
    uint64_t least_bytes; /* what a server holds at least, with this context */
    uint64_t begun_bytes; /* of the model, as its plan has it */
};

/* For a server that holds own_bytes besides; config is the model's, without any of this.
 * False: it cannot be planned, which has been said. */
bool weir_cli_serve_limits_choose(struct weir_cli_serve_limits *chosen,
                                  const struct weir_config *config,
                                  const struct weir_model_info *info, uint64_t own_bytes,
                                  const struct weir_cli_options *options);
/* Where it is cut, what there is, as the end of a sentence; else nothing. */
void weir_cli_serve_limits_words(const struct weir_cli_serve_limits *chosen, char *out,
                                 size_t capacity);
/* Behind a refusal: what would help. */
void weir_cli_serve_limits_advise(const struct weir_cli_serve_limits *chosen);

#endif
