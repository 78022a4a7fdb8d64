/* gating.h - how experts are chosen, what networks make of hidden values: the data of a layer. */
#ifndef WEIR_MODEL_GATING_H
#define WEIR_MODEL_GATING_H

#include "kernels/choose.h"
#include "kernels/kernels.h"

/* What a network makes of its gate and its other half. */
struct weir_unit {
    enum weir_glu glu;
    float limit; /* where the glu has one */
};

#endif
