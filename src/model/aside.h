/* aside.h - what each layer gets of the token itself, and makes of it. */
#ifndef WEIR_MODEL_ASIDE_H
#define WEIR_MODEL_ASIDE_H

#include "model/activations.h"

/* aside.c's own; nothing where layers have no such input. */
struct weir_aside_scratch {
    float *inputs; /* [n_chunk][n_layer][d_layer_input] */
    float *row;    /* [n_layer * d_layer_input]: of the table */
    float *gate;   /* [n_chunk][d_layer_input]: what a layer makes of the stream, then of both */
    struct weir_act_rows gate_act;
};

void weir_aside_layout(struct weir_forward *forward, struct weir_mem *mem);
/* The inputs of all layers, once the residual stream has the embeddings. Errors: IO, FORMAT. */
enum weir_status weir_aside_begin(struct weir_forward *forward, struct weir_err *err);
/* residual += norm(out (unit(gate residual) * input)), and the layer's last scale. */
void weir_aside_run(struct weir_forward *forward);

#endif
