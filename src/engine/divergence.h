/* divergence.h - how far a model with other tensors is from the model itself, on a text.
 *
 * The model's own log-probabilities are kept for some positions of the text, as many as fit;
 * another run is compared with them: the mean of sum p (log p - log q), in nats. */
#ifndef WEIR_DIVERGENCE_H
#define WEIR_DIVERGENCE_H

#include "weir.h"
#include "weir_files.h"

enum { WEIR_DIVERGENCE_BYTES = 64 << 20 }; /* that are kept at most */

struct weir_divergence {
    const struct weir_quantize_config *config; /* with a budget; borrowed */
    float *kept;                               /* [kept_count][n_vocab] */
    uint32_t n_vocab, kept_count;
    uint32_t step;             /* every so many positions one is kept */
    bool (*go_on)(void *user); /* asked at every position; NULL: nobody is */
    void *user;
    /* of the run that goes on */
    bool is_reference;
    uint32_t first, at; /* of the piece in the text; kept positions so far */
    double sum;
};

/* Compute the text with the input as it is. On failure nothing is held. Errors: as of
 * weir_engine_open() and weir_session_eval(). */
enum weir_status weir_divergence_open(struct weir_divergence *divergence,
                                      const struct weir_quantize_config *config,
                                      bool (*go_on)(void *user), void *user, struct weir_err *err);
/* The same with the tensors of a file in the place of the model's (overlay), or with another file;
 * one of both is NULL. */
enum weir_status weir_divergence_measure(struct weir_divergence *divergence,
                                         const char *overlay_path, const char *other_path,
                                         double *nats, struct weir_err *err);
void weir_divergence_close(struct weir_divergence *divergence);

#endif
