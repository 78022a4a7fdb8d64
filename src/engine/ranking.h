/* ranking.h - candidates for the next id in the order of their logits, and what may be drawn. */
#ifndef WEIR_RANKING_H
#define WEIR_RANKING_H

#include "base/base.h"

struct weir_candidate {
    float logit;
    uint32_t id;
};

/* Larger logits come first, then smaller ids; not-a-number comes last. Sorted only as far as
 * somebody has looked: those that are near the best are put apart, and become a heap from which the
 * few that matter are popped. That costs far less than sorting a vocabulary, and needs no memory.
 * Whoever asks for more makes a heap of the others.
 *
 * Each filter (weir.h has their sources) leaves neighbours in this order, so that all it does is
 * move an end of the range of ranks that stay. At least one always stays. */
struct weir_ranking {
    struct weir_candidate *slots; /* [n_vocab], borrowed: those that are far, then from `begin` a
                                     heap, the best on top, and from the end of the array backwards
                                     the ranks that are known */
    uint32_t n_vocab;
    uint32_t begin;
    uint32_t known;
    uint32_t first, count; /* the ranks that stay */
};

/* Whether left comes before right. */
bool weir_candidate_before(struct weir_candidate left, struct weir_candidate right);

/* All of slots stay. */
void weir_ranking_init(struct weir_ranking *ranking, struct weir_candidate *slots,
                       uint32_t n_vocab);
/* rank: of all, 0 is the best. */
struct weir_candidate weir_ranking_at(struct weir_ranking *ranking, uint32_t rank);

/* A filter whose setting says that it is off changes nothing. */
void weir_ranking_top_k(struct weir_ranking *ranking, uint32_t k);
void weir_ranking_typical(struct weir_ranking *ranking, double p);
void weir_ranking_top_p(struct weir_ranking *ranking, double p);
void weir_ranking_min_p(struct weir_ranking *ranking, double p);
void weir_ranking_xtc(struct weir_ranking *ranking, double threshold);

/* unit: uniform in [0, 1). What has no share is not drawn unless it is alone. */
uint32_t weir_ranking_draw(struct weir_ranking *ranking, double temperature, double unit);

#endif
