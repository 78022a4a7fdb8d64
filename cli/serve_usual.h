/* serve_usual.h - what requests mean that do not say, as the options of weir serve have it. */
#ifndef WEIR_CLI_SERVE_USUAL_H
#define WEIR_CLI_SERVE_USUAL_H

#include "cli.h"
#include "serve/serve.h"

/* False: it has been said what is wrong. */
bool weir_cli_serve_usual_read(struct weir_serve_usual *usual,
                               const struct weir_cli_options *options);
/* Says what of it the model's template leaves without effect. */
void weir_cli_serve_usual_tell(const struct weir_serve_usual *usual, const char *model,
                               const weir_chat *chat);

#endif
