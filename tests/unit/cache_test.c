/* cache_test.c - who gives up its slot: each policy against a simulation or its promise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cache_toy.h"

static double replay_shared(const struct weir_trace *trace, const char *policy, bool pool,
                            double share)
{
    const struct weir_replay_config config = {
        .policy = policy, .pool = pool, .expert_share = share, .warm_share = 1.0 / 3.0};
    struct weir_replay_result result;
    struct weir_err err = {0};
    if (weir_trace_replay(trace, &config, &result, NULL, NULL, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(result.uses, (TOKENS - 30 - 90) * LAYERS * USED);
    return (double)result.hits / (double)result.uses;
}

static double replay(const struct weir_trace *trace, const char *policy, double share)
{
    return replay_shared(trace, policy, false, share);
}

/* The same by a list for each layer, kept in order of use. */
static uint64_t simulate_lru(uint32_t n_slot)
{
    uint64_t hits = 0;
    for (uint32_t layer = 0; layer < LAYERS; layer++) {
        uint16_t list[EXPERTS + 1]; /* most recent first */
        uint32_t count = 0;
        for (uint32_t token = 0; token < TOKENS; token++) {
            bool was_there[USED];
            for (uint32_t rank = 0; rank < USED; rank++) {
                was_there[rank] = false;
                for (uint32_t at = 0; at < count; at++)
                    was_there[rank] |= list[at] == experts[token][layer][rank];
                hits += was_there[rank] && token >= 120;
            }
            /* To the front: first what was there, then what had to be read. */
            for (int is_there = 1; is_there >= 0; is_there--)
                for (uint32_t rank = 0; rank < USED; rank++) {
                    const uint16_t expert = experts[token][layer][rank];
                    uint32_t at = 0;
                    if (was_there[rank] != is_there)
                        continue;
                    while (at < count && list[at] != expert)
                        at++;
                    if (at == count)
                        count++;
                    memmove(list + 1, list, at * sizeof(list[0]));
                    list[0] = expert;
                }
            count = count > n_slot ? n_slot : count;
        }
    }
    return hits;
}

static void lru_equals_a_list_in_order_of_use(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 6; seed++) {
        const struct weir_trace trace = make_trace(seed);
        const double found = replay(&trace, "lru", 0.5);
        const double wanted = (double)simulate_lru(12) / ((TOKENS - 120) * LAYERS * USED);
        assert_true(found == wanted);
    }
}

static void nothing_beats_the_future_layer_by_layer(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 6; seed++) {
        const struct weir_trace trace = make_trace(seed);
        for (int share = 2; share <= 8; share += 2) {
            const double best = replay(&trace, "belady", share / 10.0);
            assert_true(best >= replay(&trace, "lru", share / 10.0));
            assert_true(best >= replay(&trace, "decayed", share / 10.0));
            assert_true(best >= replay(&trace, "arc", share / 10.0));
        }
    }
}

/* Steps, counted through all layers, until this record is used again. */
static uint32_t find_distance(uint32_t step, uint32_t layer, uint16_t expert)
{
    for (uint32_t later = step + 1; later < TOKENS * LAYERS; later++)
        for (uint32_t rank = 0; rank < USED && later % LAYERS == layer; rank++)
            if (experts[later / LAYERS][layer][rank] == expert)
                return later - step;
    return UINT32_MAX;
}

/* The same by a search through the future for each victim; which of those never used again goes
 * makes no difference. */
static uint64_t simulate_future_pool(uint32_t n_slot)
{
    static bool is_there[LAYERS][EXPERTS];
    uint64_t hits = 0;
    uint32_t count = 0;
    memset(is_there, 0, sizeof(is_there));
    for (uint32_t step = 0; step < TOKENS * LAYERS; step++) {
        const uint32_t now = step % LAYERS;
        const uint16_t *used = experts[step / LAYERS][now];
        for (uint32_t rank = 0; rank < USED; rank++) {
            hits += is_there[now][used[rank]] && step / LAYERS >= 120;
            count += !is_there[now][used[rank]];
            is_there[now][used[rank]] = true;
        }
        for (; count > n_slot; count--) {
            uint32_t farthest = 0;
            bool *victim = NULL;
            for (uint32_t layer = 0; layer < LAYERS; layer++)
                for (uint16_t expert = 0; expert < EXPERTS; expert++) {
                    bool is_own = false;
                    for (uint32_t rank = 0; rank < USED; rank++)
                        is_own = is_own || (layer == now && used[rank] == expert);
                    if (!is_there[layer][expert] || is_own)
                        continue;
                    const uint32_t distance = find_distance(step, layer, expert);
                    if (distance > farthest) {
                        farthest = distance;
                        victim = &is_there[layer][expert];
                    }
                }
            *victim = false;
        }
    }
    return hits;
}

static void the_future_of_a_pool_counts_layers(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 4; seed++) {
        const struct weir_trace trace = make_trace(seed);
        for (uint32_t n_slot = USED; n_slot < EXPERTS; n_slot += 3) {
            const struct weir_replay_config config = {
                .policy = "belady", .pool = true, .n_slot = n_slot, .warm_share = 1.0 / 3.0};
            struct weir_replay_result result;
            assert_int_equal(weir_trace_replay(&trace, &config, &result, NULL, NULL, NULL),
                             WEIR_OK);
            assert_int_equal(result.hits, simulate_future_pool(n_slot * LAYERS));
        }
    }
}

static void nothing_beats_the_future_in_a_pool(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed < 6; seed++) {
        const struct weir_trace trace = make_trace(seed);
        for (int share = 2; share <= 8; share += 2) {
            const double best = replay_shared(&trace, "belady", true, share / 10.0);
            assert_true(best >= replay(&trace, "belady", share / 10.0));
            for (uint32_t index = 0; weir_policy_name(index) != NULL; index++)
                if (weir_policy_can_pool(index))
                    assert_true(best >=
                                replay_shared(&trace, weir_policy_name(index), true, share / 10.0));
        }
    }
}

static void with_slots_for_all_every_policy_hits(void **state)
{
    (void)state;
    const struct weir_trace trace = make_trace(3);
    for (uint32_t index = 0; weir_policy_name(index) != NULL; index++) {
        assert_true(strlen(weir_policy_about(index)) > 10);
        assert_true(replay(&trace, weir_policy_name(index), 1.0) > 0.99);
    }
}

/* Favourites are there to be learned: both must do much better than chance (half of the slots). */
static void favourites_stay(void **state)
{
    (void)state;
    const struct weir_trace trace = make_trace(11);
    assert_true(replay(&trace, "decayed", 0.5) > 0.7);
    assert_true(replay(&trace, "learned", 0.5) > 0.7);
}

/* The same routing with ids far apart: tables hold only those that occur, and nothing else may
 * change. Only learned also learns from what does not occur, and fate deals by how many there are.
 */
static void experts_that_never_occur_change_no_hit(void **state)
{
    enum { APART = 2500 };
    static uint16_t spread[TOKENS][LAYERS][USED];
    (void)state;
    for (uint64_t seed = 1; seed < 4; seed++) {
        const struct weir_trace trace = make_trace(seed);
        struct weir_trace apart = trace;
        apart.n_expert = EXPERTS * APART;
        apart.experts = &spread[0][0][0];
        for (size_t at = 0; at < (size_t)TOKENS * LAYERS * USED; at++)
            (&spread[0][0][0])[at] = (uint16_t)(trace.experts[at] * APART + APART - 1);
        for (uint32_t index = 0; weir_policy_name(index) != NULL; index++)
            for (int pool = 0; pool < 2; pool++) {
                const struct weir_replay_config config = {.policy = weir_policy_name(index),
                                                          .pool = pool == 1,
                                                          .n_slot = 9,
                                                          .warm_share = 1.0 / 3.0};
                struct weir_replay_result result;
                struct weir_replay_result other;
                if (pool == 1 && !weir_policy_can_pool(index))
                    continue;
                assert_int_equal(weir_trace_replay(&trace, &config, &result, NULL, NULL, NULL),
                                 WEIR_OK);
                assert_int_equal(weir_trace_replay(&apart, &config, &other, NULL, NULL, NULL),
                                 WEIR_OK);
                assert_int_equal(other.uses, result.uses);
                assert_int_equal(other.n_slot_total, result.n_slot_total);
                if (strcmp(config.policy, "learned") != 0 && strcmp(config.policy, "fate") != 0)
                    assert_int_equal(other.hits, result.hits);
                else
                    assert_true(other.hits > result.hits / 2);
            }
    }
}

static void tell_experts(void *user, uint32_t token, uint32_t layer, const uint32_t *told,
                         const bool *hits, uint32_t count, bool is_counted)
{
    const struct weir_trace *trace = user;
    const uint16_t *wanted =
        trace->experts + ((size_t)token * trace->n_layer + layer) * trace->n_expert_used;
    (void)hits;
    (void)is_counted;
    assert_int_equal(count, trace->n_expert_used);
    for (uint32_t rank = 0; rank < count; rank++)
        assert_int_equal(told[rank], wanted[rank]);
}

static void steps_are_told_by_the_ids_of_the_trace(void **state)
{
    (void)state;
    struct weir_trace trace = make_trace(5);
    const struct weir_replay_config config = {.policy = "lru", .n_slot = 9};
    struct weir_replay_result result;
    assert_int_equal(weir_trace_replay(&trace, &config, &result, tell_experts, &trace, NULL),
                     WEIR_OK);
    trace.n_expert = 60000;
    assert_int_equal(weir_trace_replay(&trace, &config, &result, tell_experts, &trace, NULL),
                     WEIR_OK);
}

static void decayed_counts_order_by_count_then_use_then_index(void **state)
{
    struct toy toy;
    (void)state;
    open_toy(&toy, &weir_policy_decayed, 6, 3);
    use(&toy, 0);
    use(&toy, 1);
    use(&toy, 1);
    use(&toy, 2);
    assert_int_equal(use(&toy, 3), 0); /* used once, longest ago */
    assert_int_equal(use(&toy, 4), 2); /* then 2; 1 was used twice */
    assert_int_equal(use(&toy, 0), 3); /* counts outlive eviction: 0 comes back with two uses */
    assert_int_equal(use(&toy, 5), 4);
    weir_mem_close(&toy.mem);
}

/* A scan of records used once must not push out those used twice (the paper's section IV). */
static void arc_survives_a_scan(void **state)
{
    struct toy toy;
    (void)state;
    open_toy(&toy, &weir_policy_arc, 40, 4);
    for (int round = 0; round < 2; round++) {
        use(&toy, 0);
        use(&toy, 1);
    }
    for (uint32_t record = 10; record < 30; record++)
        use(&toy, record);
    assert_int_not_equal(weir_cache_find(&toy.cache, 0, 0), WEIR_NO_SLOT);
    assert_int_not_equal(weir_cache_find(&toy.cache, 0, 1), WEIR_NO_SLOT);
    weir_mem_close(&toy.mem);
}

/* Two calls and their answers, in random order: all four records are used as often and as lately,
 * so only what follows what can tell which answer comes next. */
static void learned_knows_what_follows(void **state)
{
    enum { CALL, OTHER_CALL, ANSWER, OTHER_ANSWER };
    struct toy toy;
    uint64_t seed = 7;
    uint32_t rounds[2][2] = {{0}}; /* by this call and the one before */
    (void)state;
    open_toy(&toy, &weir_policy_learned, 5, 4);
    for (uint32_t round = 0, before = 0; round < 400; round++) {
        const uint32_t call = weir_random_unit(&seed) < 0.5 ? CALL : OTHER_CALL;
        use(&toy, call);
        if (round >= 200) {
            weir_cache_count(&toy.cache);
            const double right = weir_policy_learned.value(&toy.cache, call + ANSWER);
            const double wrong = weir_policy_learned.value(&toy.cache, ANSWER + OTHER_CALL - call);
            assert_true(right > wrong);
            rounds[call][before]++;
        }
        use(&toy, call + ANSWER);
        before = call;
    }
    assert_true(rounds[0][0] > 0 && rounds[0][1] > 0 && rounds[1][0] > 0 && rounds[1][1] > 0);
    weir_mem_close(&toy.mem);
}

/* Right after a step, or when the next one needs it, or a mixture: once each, with the same end. */
static void when_uses_are_counted_changes_nothing(void **state)
{
    (void)state;
    for (uint32_t index = 0; weir_policy_at(index) != NULL; index++) {
        const struct weir_policy *policy = weir_policy_at(index);
        struct toy toys[2];
        uint64_t seed = 11;
        if (policy->needs_future)
            continue;
        open_toy(&toys[0], policy, 12, 4);
        open_toy(&toys[1], policy, 12, 4);
        for (uint32_t round = 0; round < 500; round++) {
            const double at = weir_random_unit(&seed);
            const uint32_t record = (uint32_t)(at * at * 12);
            assert_int_equal(use(&toys[0], record), use(&toys[1], record));
            for (uint32_t times = round % 3; times > 0; times--)
                weir_cache_count(&toys[0].cache);
        }
        for (uint32_t toy = 0; toy < 2; toy++)
            weir_cache_count(&toys[toy].cache);
        for (uint32_t record = 0; record < 12; record++)
            assert_true(policy->value(&toys[0].cache, record) ==
                        policy->value(&toys[1].cache, record));
        weir_mem_close(&toys[0].mem);
        weir_mem_close(&toys[1].mem);
    }
}

/* Where nothing has to go nothing is counted, and what goes first was used longest ago; then uses
 * count. */
static void with_slots_for_all_nothing_is_counted(void **state)
{
    struct toy toy;
    (void)state;
    open_toy(&toy, &weir_policy_decayed, 3, 3);
    for (uint32_t round = 0; round < 5; round++)
        use(&toy, 0);
    use(&toy, 1);
    use(&toy, 2);
    weir_cache_count(&toy.cache);
    assert_true(weir_policy_decayed.value(&toy.cache, 0) == 0.0);
    assert_int_not_equal(weir_cache_retire(&toy.cache, 1), WEIR_NO_SLOT);
    assert_int_equal(weir_cache_find(&toy.cache, 0, 0), WEIR_NO_SLOT);
    use(&toy, 1);
    use(&toy, 1);
    use(&toy, 2);
    weir_cache_count(&toy.cache);
    assert_true(weir_policy_decayed.value(&toy.cache, 1) >
                weir_policy_decayed.value(&toy.cache, 2));
    assert_int_equal(use(&toy, 0), 2);
    weir_mem_close(&toy.mem);
}

static void held_slots_are_never_victims(void **state)
{
    struct toy toy;
    uint32_t victim;
    const uint32_t records[] = {3, 4};
    (void)state;
    open_toy(&toy, &weir_policy_lru, 6, 2);
    use(&toy, 0);
    use(&toy, 1);
    weir_cache_begin(&toy.cache, 0, &(struct weir_uses){.records = records, .count = 2});
    const uint32_t first = weir_cache_claim(&toy.cache, 0, 3, &victim);
    assert_int_equal(victim, 0);
    assert_int_not_equal(weir_cache_claim(&toy.cache, 0, 4, &victim), WEIR_NO_SLOT);
    assert_int_equal(victim, 1);
    assert_int_equal(weir_cache_claim(&toy.cache, 0, 5, &victim), WEIR_NO_SLOT);
    weir_cache_let_go(&toy.cache, first);
    assert_int_equal(weir_cache_claim(&toy.cache, 0, 5, &victim), first);
    weir_mem_close(&toy.mem);
}

static void slots_are_dealt_whole(void **state)
{
    (void)state;
    for (uint32_t total = 4 * 12; total <= 32 * 12; total += 7)
        for (uint32_t index = 0; weir_policy_at(index) != NULL; index++) {
            uint32_t sum = 0;
            for (uint32_t layer = 0; layer < 12; layer++) {
                const uint32_t count =
                    weir_cache_deal(weir_policy_at(index), total, 12, layer, 4, 32);
                assert_in_range(count, 4, 32);
                sum += count;
            }
            assert_int_equal(sum, total);
        }
    assert_int_equal(weir_cache_deal(&weir_policy_fate, 12 * 20, 12, 0, 4, 32), 32);
}

static void what_makes_no_sense_is_refused(void **state)
{
    struct weir_err err = {0};
    struct weir_replay_result result;
    struct weir_trace trace = make_trace(1);
    struct weir_replay_config config = {.policy = "clock", .expert_share = 0.5};
    (void)state;
    assert_int_equal(weir_trace_replay(&trace, &config, &result, NULL, NULL, &err), WEIR_ERR_ARG);
    assert_non_null(strstr(err.text, "clock"));
    assert_non_null(strstr(err.text, "belady"));
    config = (struct weir_replay_config){.policy = "fate", .pool = true, .expert_share = 0.5};
    assert_int_equal(weir_trace_replay(&trace, &config, &result, NULL, NULL, &err), WEIR_ERR_ARG);
    config = (struct weir_replay_config){.policy = "lru", .n_slot = USED - 1};
    assert_int_equal(weir_trace_replay(&trace, &config, &result, NULL, NULL, NULL), WEIR_ERR_ARG);
    config.n_slot = EXPERTS + 1;
    assert_int_equal(weir_trace_replay(&trace, &config, &result, NULL, NULL, NULL), WEIR_ERR_ARG);
    config = (struct weir_replay_config){.policy = "lru", .expert_share = 0.0};
    assert_int_equal(weir_trace_replay(&trace, &config, &result, NULL, NULL, NULL), WEIR_ERR_ARG);
    config.expert_share = 0.5;
    config.n_together = TOKENS - 30 + 1;
    assert_int_equal(weir_trace_replay(&trace, &config, &result, NULL, NULL, NULL), WEIR_ERR_ARG);
    config.n_together = TOKENS - 30;
    assert_int_equal(weir_trace_replay(&trace, &config, &result, NULL, NULL, NULL), WEIR_OK);
    trace.n_expert = 4;
    assert_int_equal(weir_trace_replay(&trace, &config, &result, NULL, NULL, NULL), WEIR_ERR_ARG);
}

static void slots_retire_empty_first_then_by_worth_and_never_when_held(void **state)
{
    struct toy toy;
    (void)state;
    open_toy(&toy, &weir_policy_decayed, 8, 6);
    use(&toy, 0);
    use(&toy, 1);
    use(&toy, 1);
    use(&toy, 2);
    use(&toy, 3);
    use(&toy, 4);
    assert_int_equal(weir_cache_retire(&toy.cache, 2), 5); /* no record was in it */
    assert_false(weir_cache_has_empty(&toy.cache, 0));
    const uint32_t held = weir_cache_find(&toy.cache, 0, 2);
    weir_cache_hold(&toy.cache, held);
    const uint32_t slot_of_0 = weir_cache_find(&toy.cache, 0, 0);
    assert_int_equal(weir_cache_retire(&toy.cache, 2), slot_of_0); /* used once, longest ago */
    assert_int_equal(weir_cache_find(&toy.cache, 0, 0), WEIR_NO_SLOT);
    assert_int_equal(use(&toy, 0), 3); /* 2 is held; the retired slots are not chosen */
    const uint32_t slot_of_4 = weir_cache_find(&toy.cache, 0, 4);
    assert_int_equal(weir_cache_retire(&toy.cache, 2), slot_of_4);
    assert_int_equal(weir_cache_retire(&toy.cache, 2), WEIR_NO_SLOT); /* a step needs the others */
    assert_int_equal(weir_cache_find(&toy.cache, 0, 2), held);
    weir_cache_let_go(&toy.cache, held);
    assert_int_not_equal(weir_cache_retire(&toy.cache, 2), WEIR_NO_SLOT);
    assert_int_equal(weir_cache_retire(&toy.cache, 2), WEIR_NO_SLOT);
    weir_mem_close(&toy.mem);
}

/* Record 1 lost its slot to nobody: it is remembered like any other, though a miss just before
 * erased record 0. */
static void arc_remembers_whose_slot_retired(void **state)
{
    struct toy toy;
    (void)state;
    open_toy(&toy, &weir_policy_arc, 40, 4);
    for (uint32_t record = 0; record < 5; record++)
        use(&toy, record);
    weir_cache_retire(&toy.cache, 1);
    assert_int_equal(weir_cache_find(&toy.cache, 0, 1), WEIR_NO_SLOT);
    use(&toy, 1);
    for (uint32_t record = 10; record < 20; record++)
        use(&toy, record);
    assert_int_not_equal(weir_cache_find(&toy.cache, 0, 1), WEIR_NO_SLOT);
    weir_mem_close(&toy.mem);
}

/* What was counted before, while it was away and afterwards is one row without a gap. */
static void a_readmitted_slot_is_empty_and_the_policy_counts_on(void **state)
{
    struct toy toy;
    struct toy other; /* with one slot less from the start */
    (void)state;
    open_toy(&toy, &weir_policy_learned, 4, 4);
    open_toy(&other, &weir_policy_learned, 4, 3);
    const uint32_t slot = weir_cache_retire(&toy.cache, 1);
    assert_int_equal(weir_cache_find_retired(&toy.cache, 0), slot);
    for (uint32_t round = 0; round < 60; round++) {
        if (round == 20) {
            weir_cache_readmit(&toy.cache, slot);
            assert_int_equal(weir_cache_find_retired(&toy.cache, 0), WEIR_NO_SLOT);
            assert_true(weir_cache_has_empty(&toy.cache, 0));
        }
        use(&toy, round * round % 4);
        use(&other, round * round % 4);
    }
    weir_cache_count(&toy.cache);
    weir_cache_count(&other.cache);
    for (uint32_t record = 0; record < 4; record++)
        assert_true(weir_policy_learned.value(&toy.cache, record) ==
                    weir_policy_learned.value(&other.cache, record));
    weir_mem_close(&toy.mem);
    weir_mem_close(&other.mem);
}

/* Layers that share turns are as far away as those that they share them with. */
static void layers_behind_the_last_share_turns(void **state)
{
    static const uint32_t wanted[4][4] = {{2, 1, 2, 1}, {1, 2, 1, 2}, {2, 1, 2, 1}, {1, 2, 1, 2}};
    struct toy toy;
    (void)state;
    open_pool(&toy, &weir_policy_learned, 4, 1, 4);
    assert_int_equal(toy.cache.turn_count, 4);
    toy.cache.turn_count = 2;
    for (uint32_t layer = 0; layer < 4; layer++) {
        toy.cache.step_layer = layer;
        for (uint32_t record = 0; record < 4; record++)
            assert_int_equal(weir_cache_distance(&toy.cache, record), wanted[layer][record]);
    }
    weir_mem_close(&toy.mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lru_equals_a_list_in_order_of_use),
        cmocka_unit_test(nothing_beats_the_future_layer_by_layer),
        cmocka_unit_test(the_future_of_a_pool_counts_layers),
        cmocka_unit_test(nothing_beats_the_future_in_a_pool),
        cmocka_unit_test(with_slots_for_all_every_policy_hits),
        cmocka_unit_test(favourites_stay),
        cmocka_unit_test(experts_that_never_occur_change_no_hit),
        cmocka_unit_test(steps_are_told_by_the_ids_of_the_trace),
        cmocka_unit_test(decayed_counts_order_by_count_then_use_then_index),
        cmocka_unit_test(slots_retire_empty_first_then_by_worth_and_never_when_held),
        cmocka_unit_test(a_readmitted_slot_is_empty_and_the_policy_counts_on),
        cmocka_unit_test(arc_survives_a_scan),
        cmocka_unit_test(arc_remembers_whose_slot_retired),
        cmocka_unit_test(learned_knows_what_follows),
        cmocka_unit_test(when_uses_are_counted_changes_nothing),
        cmocka_unit_test(with_slots_for_all_nothing_is_counted),
        cmocka_unit_test(held_slots_are_never_victims),
        cmocka_unit_test(slots_are_dealt_whole),
        cmocka_unit_test(layers_behind_the_last_share_turns),
        cmocka_unit_test(what_makes_no_sense_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
