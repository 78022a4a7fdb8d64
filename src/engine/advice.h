/* advice.h - how a model's file advises to choose tokens. */
#ifndef WEIR_ENGINE_ADVICE_H
#define WEIR_ENGINE_ADVICE_H

#include "formats/formats.h"
#include "weir.h"

/* What cannot be followed is warned of. */
void weir_advice_read(struct weir_advice_values *advice, const weir_manifest *manifest,
                      struct weir_warnings *warnings);

#endif
