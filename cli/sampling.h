/* sampling.h - what the options say about choosing tokens and ending texts. */
#ifndef WEIR_CLI_SAMPLING_H
#define WEIR_CLI_SAMPLING_H

#include "cli.h"

struct weir_cli_sampling {
    const struct weir_cli_options *options;
    uint64_t seed; /* given, or random */
    struct weir_logit_bias biases[WEIR_CLI_LIST_MAX];
    weir_stops *stops; /* of --stop; there also when none is given */
    struct weir_cli_buffer grammar_text;
    weir_grammar *grammar; /* of --grammar; NULL: none is given */
    uint32_t pick_limit;   /* tokens that -n and the context leave; the caller's, for --whole */
};

/* All that can be read before a model is: false when it is wrong, which has been said. */
bool weir_cli_sampling_read(struct weir_cli_sampling *sampling,
                            const struct weir_cli_options *options);
/* Read the grammar, and ask for room under the ceiling for it. False: it has been said. */
bool weir_cli_sampling_plan(struct weir_cli_sampling *sampling, struct weir_config *config);
void weir_cli_sampling_free(struct weir_cli_sampling *sampling);
/* The sampler for this engine's vocabulary. False: it has been said. */
bool weir_cli_sampler_create(weir_sampler **out, struct weir_cli_sampling *sampling,
                             weir_engine *engine);

#endif
