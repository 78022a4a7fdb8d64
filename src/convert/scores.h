/* scores.h - merges as scores. */
#ifndef WEIR_CONVERT_SCORES_H
#define WEIR_CONVERT_SCORES_H

#include "text/text.h"

/* [n_vocab], by which tokens are joined as the merges of the vocabulary join them; the caller frees
 * them. UNSUPPORTED: no scores do; says of which token. NOMEM. */
enum weir_status weir_scores_make(float **scores, const struct weir_vocab *vocab,
                                  struct weir_err *err);

#endif
