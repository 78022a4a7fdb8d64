/* serve_models.h - which models a server can bring: those that are named, or all of a folder. */
#ifndef WEIR_CLI_SERVE_MODELS_H
#define WEIR_CLI_SERVE_MODELS_H

#include "cli.h"
#include "net.h"
#include "serve/serve.h"
#include "serve_limits.h"

struct weir_cli_serve_models {
    struct weir_cli_library library; /* of a folder: holds names and paths */
    char **names;                    /* [name_count] of those that are named */
    size_t name_count;
    struct weir_serve_model *models; /* [count] */
    const char **paths;              /* [count] */
    uint64_t *begun_bytes;           /* [count] of a ceiling, for the weights of each alone */
    size_t count;
    struct weir_cli_serve_limits chosen; /* that all of them can be served with */
    uint64_t own_bytes;                  /* that the program holds beside the server */
};

/* False: there is none that runs under the ceiling, which has been said. What is found is freed in
 * any case. */
bool weir_cli_serve_models_find(struct weir_cli_serve_models *models, uint64_t own_bytes,
                                const struct weir_cli_options *options);
void weir_cli_serve_models_free(struct weir_cli_serve_models *models);
/* Whether they are several, or a folder's: brought when they are asked for. */
bool weir_cli_serve_models_are_many(const struct weir_cli_options *options);

#endif
