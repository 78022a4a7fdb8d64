/* likelihood.h - what rows of logits say: log-probabilities, and how far two rows are apart.
 *
 * Job       The softmax of a row; a row of log-probabilities in 16 bits each; the divergence of a
 *           row of logits from such a row; the same of many positions together.
 * Not here  Files: reference.h.
 * Shapes    logits and codes have n_vocab values.
 * Units     Surprise and divergence in nats, shares from 0 to 1.
 * Owns      A distance owns its list; codes are the caller's.
 * Threads   One.
 * Errors    distance_init says false when there is no memory; the rest cannot fail.
 */
#ifndef WEIR_CLI_LIKELIHOOD_H
#define WEIR_CLI_LIKELIHOOD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct weir_cli_softmax {
    uint32_t top; /* the likeliest id; of equals the first */
    float most;   /* its logit */
    double sum;   /* the log of the sum of exp(logit - most) */
};

void weir_cli_softmax_take(struct weir_cli_softmax *softmax, const float *logits, uint32_t n_vocab);
/* -log of the share of id. */
double weir_cli_surprise(const struct weir_cli_softmax *softmax, const float *logits, uint32_t id);

/* A row of log-probabilities: least + scale * code. What is less likely than e^-24 times the
 * likeliest has code 0. */
struct weir_cli_row {
    float scale, least;
    float target; /* log-probability of the id that came next */
    uint32_t top; /* the likeliest id */
    uint16_t *codes;
};
#define WEIR_CLI_ROW_RANGE 24.0

void weir_cli_row_encode(struct weir_cli_row *row, const float *logits, uint32_t n_vocab,
                         const struct weir_cli_softmax *softmax, uint32_t next_id);
/* KL(row || logits), the row's shares made to add up to 1 first. */
double weir_cli_row_divergence(const struct weir_cli_row *row, const float *logits,
                               uint32_t n_vocab, const struct weir_cli_softmax *softmax);

/* Sums over positions, and the divergence of each of them for the quantiles. */
struct weir_cli_distance {
    uint64_t count, same_top;
    double kl, kl_square;
    double here, here_square, there, there_square, product; /* surprise of a model and reference */
    double share_square; /* of the difference between the shares of the id that came next */
    double *each;        /* [capacity] */
    uint64_t capacity;
};

/* What they come to; NAN where the number does not exist. */
struct weir_cli_distance_facts {
    double kl, kl_err; /* mean, and its standard error */
    double kl_median, kl_p90, kl_p99, kl_p999, kl_max;
    double top1, top1_err; /* share of positions with the same likeliest id */
    double share_rms;
    double ppl, reference_ppl;
    double ppl_ratio, ppl_ratio_err;
    double correlation; /* of the surprises */
};

bool weir_cli_distance_init(struct weir_cli_distance *distance, uint64_t capacity);
void weir_cli_distance_deinit(struct weir_cli_distance *distance);
/* One more position; count stays below capacity. */
void weir_cli_distance_add(struct weir_cli_distance *distance, double kl, bool same_top,
                           double here, double there);
/* Sorts the list. */
void weir_cli_distance_tell(struct weir_cli_distance *distance,
                            struct weir_cli_distance_facts *facts);
/* The value below which that share of sorted values lies, between two of them by a straight line;
 * NAN of none. */
double weir_cli_quantile(const double *sorted, uint64_t count, double share);

#endif
