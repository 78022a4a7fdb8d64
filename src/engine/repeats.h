/* repeats.h - the ids that were there lately, and what they cost who would come again. */
#ifndef WEIR_REPEATS_H
#define WEIR_REPEATS_H

#include "engine/ranking.h"
#include "weir.h"

struct weir_repeats {
    uint32_t n_vocab;
    float repeat_penalty, frequency_penalty, presence_penalty;
    uint32_t repeat_last;
    float dry_multiplier, dry_base;
    uint32_t dry_allowed, dry_last; /* dry_last 0: there is no DRY */
    uint32_t *recent;               /* [capacity], a ring */
    uint32_t capacity, count, next;
    uint32_t *times;     /* [n_vocab] in the last repeat_last */
    uint32_t *matches;   /* [dry_last], scratch */
    uint32_t *longest;   /* [n_vocab], scratch; zero between calls */
    uint8_t *is_breaker; /* [n_vocab] */
};

/* config has been checked. NOMEM: deinit what is there. */
enum weir_status weir_repeats_init(struct weir_repeats *repeats,
                                   const struct weir_sampler_config *config, uint32_t n_vocab,
                                   struct weir_err *err);
void weir_repeats_deinit(struct weir_repeats *repeats);
void weir_repeats_accept(struct weir_repeats *repeats, uint32_t id);
/* Whether apply changes nothing, whatever was accepted. */
bool weir_repeats_is_idle(const struct weir_repeats *repeats);
/* candidates [n_vocab] in the order of their ids: steps 2 and 3 of weir.h. */
void weir_repeats_apply(struct weir_repeats *repeats, struct weir_candidate *candidates);

#endif
