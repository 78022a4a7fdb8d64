/* engine_rewind_test.c - a session is where it was rewound to, whatever its layers have forgotten.
 *
 * The state has a layer more than the model, which nothing computes: one that lets go of what a
 * window has passed, or that can go back to a snapshot only. Models that have such layers go
 * without it. Another makes pages short, so that small models fill some. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/engine_internal.h"
#include "golden.h"
#include "pace.h"

enum { N_CTX = 64, LENGTH = 48, KIB = 1024, CALLS = IS_SANITIZED ? 90 : 300 };

struct forgetful {
    const char *name;
    struct weir_state_layer layer;
    uint32_t snapshot_count, rewind_length;
};

static const struct forgetful forgetfuls[] = {
    {"a window", {WEIR_STATE_WINDOW, 5, 64 * KIB, false}, 0, 0},
    {"a window that keeps more", {WEIR_STATE_WINDOW, 5, 64 * KIB, false}, 0, 9},
    {"a recurrence", {WEIR_STATE_RECURRENT, 0, 100, false}, 3, 0},
    {"a recurrence without snapshots", {WEIR_STATE_RECURRENT, 0, 64 * KIB, false}, 0, 0},
};

static const struct forgetful of_its_own = {"its own layers", {WEIR_STATE_NONE, 0, 0, false}, 2, 0};

struct fixture {
    struct golden golden;
    weir_engine *engine;
    struct weir_mem mem; /* of the other state */
    uint32_t ids[LENGTH];
    float *logits; /* [LENGTH][n_vocab], computed at once */
    size_t n_vocab;
    uint32_t stop_at; /* the callback ends an eval there */
    uint32_t told, routed;
};

/* In place of the engine's own state, one with a layer more. */
static void take_state(struct fixture *fixture, const struct forgetful *forgetful)
{
    weir_engine *engine = fixture->engine;
    struct weir_state_layer layers[WEIR_STATE_LAYER_MAX];
    struct weir_state_config config;
    struct weir_err err = {0};
    weir_choice_state(&engine->blueprint, &engine->choice, layers, &config);
    layers[config.layer_count++] = forgetful->layer;
    /* Pages of 16 positions. */
    layers[config.layer_count++] =
        (struct weir_state_layer){WEIR_STATE_POSITIONS, 0, 64 * KIB, false};
    config.snapshot_count = forgetful->snapshot_count;
    config.snapshot_length = 1;
    config.rewind_length = forgetful->rewind_length;
    weir_state_destroy(&engine->state);
    weir_mem_init(&fixture->mem);
    if (weir_state_create(&engine->state, &config, &fixture->mem, &err) != WEIR_OK ||
        weir_mem_open(&fixture->mem, &err) != WEIR_OK ||
        weir_state_create(&engine->state, &config, &fixture->mem, &err) != WEIR_OK)
        fail_msg("%s: %s", forgetful->name, err.text);
    weir_mem_seal(&fixture->mem);
    /* Its first member; the header that says so and weir.h have a name in common. */
    ((struct weir_forward_config *)(void *)engine->forward)->state = engine->state;
    engine->plan_state_bytes = weir_state_bytes(&config, N_CTX, engine->choice.n_chunk);
}

static bool keep_row(void *user, uint32_t position, const float *logits)
{
    struct fixture *fixture = user;
    memcpy(fixture->logits + position * fixture->n_vocab, logits,
           fixture->n_vocab * sizeof(*logits));
    return true;
}

static void check_row(const struct fixture *fixture, uint32_t position, const float *logits)
{
    if (memcmp(fixture->logits + position * fixture->n_vocab, logits,
               fixture->n_vocab * sizeof(*logits)) != 0)
        fail_msg("other bits at position %u", position);
}

static bool compare_row(void *user, uint32_t position, const float *logits)
{
    struct fixture *fixture = user;
    check_row(fixture, position, logits);
    fixture->told++;
    return position != fixture->stop_at;
}

static void open_fixture(struct fixture *fixture, const char *name, uint32_t n_chunk)
{
    struct weir_err err = {0};
    weir_session *session = NULL;
    memset(fixture, 0, sizeof(*fixture));
    assert_true(golden_open(&fixture->golden, name));
    const struct weir_config config = {.model_path = fixture->golden.model_path,
                                       .n_thread = 2,
                                       .n_ctx = N_CTX,
                                       .n_chunk = n_chunk};
    if (weir_engine_open(&fixture->engine, &config, &err) != WEIR_OK)
        fail_msg("%s: %s", name, err.text);
    fixture->n_vocab = weir_engine_model(fixture->engine)->n_vocab;
    fixture->logits = malloc(LENGTH * fixture->n_vocab * sizeof(float));
    for (uint32_t at = 0; at < LENGTH; at++)
        fixture->ids[at] = fixture->golden.ids[at];
    assert_int_equal(weir_session_create(&session, fixture->engine, &err), WEIR_OK);
    assert_int_equal(weir_session_eval(session, fixture->ids, LENGTH, keep_row, fixture, &err),
                     WEIR_OK);
    weir_session_destroy(&session);
    fixture->stop_at = UINT32_MAX;
}

static void close_fixture(struct fixture *fixture)
{
    assert_int_equal(weir_engine_close(&fixture->engine), WEIR_OK);
    weir_mem_close(&fixture->mem);
    free(fixture->logits);
    golden_close(&fixture->golden);
}

/* Go on with the text, whatever was forgotten of it. */
static enum weir_status go_on(struct fixture *fixture, weir_session *session, uint32_t count)
{
    const uint32_t at = weir_session_position(session);
    fixture->told = 0;
    const enum weir_status status =
        weir_session_eval(session, fixture->ids + at, count, compare_row, fixture, NULL);
    if (status == WEIR_OK) {
        assert_int_equal(fixture->told, count);
        assert_int_equal(weir_session_position(session), at + count);
        check_row(fixture, at + count - 1, weir_session_logits(session));
    }
    return status;
}

static uint32_t draw(uint64_t *random_state, uint32_t least, uint32_t most)
{
    return least + (uint32_t)(weir_random_next(random_state) % (most - least + 1));
}

/* An eval that its callback ends: what was finished before stays, and nothing else. */
static void stop_somewhere(struct fixture *fixture, weir_session *session, uint32_t count,
                           uint64_t *random_state)
{
    const uint32_t at = weir_session_position(session);
    fixture->stop_at = draw(random_state, at, at + count - 1);
    assert_int_equal(go_on(fixture, session, count), WEIR_ERR_CANCELLED);
    assert_in_range(weir_session_position(session), at, fixture->stop_at);
    fixture->stop_at = UINT32_MAX;
}

/* One call of a session, or a twin that begins or ends. */
static void use_session(struct fixture *fixture, weir_session *sessions[2], uint64_t *random_state)
{
    weir_session *session = sessions[sessions[1] == NULL ? 0 : draw(random_state, 0, 1)];
    const uint32_t at = weir_session_position(session);
    const uint32_t left = LENGTH - at;
    const uint32_t what = draw(random_state, 0, 9);
    if (what < 4 && left > 0) {
        assert_int_equal(go_on(fixture, session, draw(random_state, 1, left)), WEIR_OK);
    } else if (what == 4 && left > 0) {
        stop_somewhere(fixture, session, left, random_state);
    } else if (what == 5 && sessions[1] == NULL) {
        assert_int_equal(weir_session_fork(&sessions[1], session, NULL), WEIR_OK);
        assert_int_equal(weir_session_position(sessions[1]), at);
    } else if (what == 6) {
        weir_session_destroy(&sessions[1]);
    } else {
        const uint32_t to =
            what == 7 ? draw(random_state, 0, at) : at - draw(random_state, 0, at < 4 ? 0 : 4);
        assert_int_equal(weir_session_rewind(session, to), WEIR_OK);
        assert_int_equal(weir_session_position(session), to);
        if (to < at)
            assert_null(weir_session_logits(session));
    }
}

/* Returns how often a session owed something. */
static uint32_t play(const char *name, const struct forgetful *forgetful, uint32_t n_chunk)
{
    struct fixture fixture;
    weir_session *sessions[2] = {NULL, NULL};
    uint64_t random_state = n_chunk;
    uint32_t owed = 0;
    open_fixture(&fixture, name, n_chunk);
    take_state(&fixture, forgetful);
    assert_int_equal(weir_session_create(&sessions[0], fixture.engine, NULL), WEIR_OK);
    for (uint32_t call = 0; call < CALLS; call++) {
        use_session(&fixture, sessions, &random_state);
        owed += sessions[0]->owed_count > 0;
        weir_state_check(fixture.engine->state);
    }
    weir_session_destroy(&sessions[1]);
    weir_session_destroy(&sessions[0]);
    close_fixture(&fixture);
    return owed;
}

static void any_calls_leave_the_session_where_it_is(void **state)
{
    static const char *const names[] = {"qwen3moe", "llama", "deepseek2"};
    (void)state;
    for (size_t name = 0; name < WEIR_COUNT(names); name++)
        for (size_t of = name % pace_step(2); of < WEIR_COUNT(forgetfuls); of += pace_step(2))
            assert_true(play(names[name], &forgetfuls[of], of % 2 == 0 ? 7 : 64) > CALLS / 30);
}

/* Whether a layer of the model has a window or a recurrence. */
static bool forgets(const char *name)
{
    char path[256];
    struct weir_err err = {0};
    struct weir_plan plan;
    bool found = false;
    snprintf(path, sizeof(path), "tests/golden/%s/model.gguf", name);
    const struct weir_config config = {.model_path = path};
    if (weir_plan_make(&plan, &config, &err) != WEIR_OK)
        fail_msg("%s: %s", name, err.text);
    for (uint32_t index = 0; index < plan.cost.state_count; index++)
        found |= plan.cost.states[index].window > 0 || plan.cost.states[index].fixed_bytes > 0;
    return found;
}

static void so_do_those_of_every_model_whose_layers_forget(void **state)
{
    char names[GOLDEN_FOLDERS_MAX][64];
    const size_t count = golden_list(names);
    uint32_t owed = 0;
    (void)state;
    for (size_t index = 0; index < count; index += pace_step(3))
        if (forgets(names[index]))
            owed += play(names[index], &of_its_own, index % 2 == 0 ? 7 : 64);
    assert_true(owed > 10);
}

static void count_rows(void *user, uint32_t layer, uint32_t position, uint32_t n_token,
                       uint32_t n_expert_used, const uint32_t *experts)
{
    struct fixture *fixture = user;
    (void)position;
    (void)n_expert_used;
    (void)experts;
    fixture->routed += layer == 0 ? n_token : 0;
}

/* Beside one that owes nothing; who watches is told of no position twice, and whoever asks for too
 * much is told what there is. */
static void what_is_owed_is_computed_first(void **state)
{
    struct fixture fixture;
    struct weir_err err = {0};
    weir_session *one = NULL;
    weir_session *other = NULL;
    (void)state;
    open_fixture(&fixture, "qwen3moe", 8);
    take_state(&fixture, &forgetfuls[3]);
    assert_int_equal(weir_session_create(&one, fixture.engine, NULL), WEIR_OK);
    assert_int_equal(weir_session_create(&other, fixture.engine, NULL), WEIR_OK);
    assert_int_equal(go_on(&fixture, one, 40), WEIR_OK);
    weir_session_watch_routing(one, count_rows, &fixture);
    assert_int_equal(weir_session_rewind(one, 30), WEIR_OK);
    assert_int_equal(one->owed_count, 30);
    assert_int_equal(weir_session_rewind(one, 31), WEIR_ERR_ARG);
    assert_int_equal(weir_session_rewind(one, 21), WEIR_OK); /* within what is owed */
    struct weir_eval evals[] = {
        {.session = other, .ids = fixture.ids, .count = 5},
        {.session = one, .ids = fixture.ids + 21, .count = 1},
    };
    assert_int_equal(weir_engine_eval(fixture.engine, evals, 2, &err), WEIR_OK);
    assert_int_equal(evals[0].done, 5);
    assert_int_equal(evals[1].done, 1);
    assert_int_equal(fixture.routed, 1);
    check_row(&fixture, 4, weir_session_logits(other));
    check_row(&fixture, 21, weir_session_logits(one));
    assert_int_equal(weir_session_position(one), 22);
    assert_int_equal(weir_session_rewind(one, 20), WEIR_OK);
    assert_int_equal(weir_session_eval(one, fixture.ids, N_CTX - 19, NULL, NULL, &err),
                     WEIR_ERR_ARG);
    assert_non_null(strstr(err.text, "20 are used"));
    uint32_t adopted = 0;
    assert_int_equal(weir_session_adopt(one, fixture.ids, 5, &adopted, NULL), WEIR_ERR_ARG);
    assert_int_equal(weir_session_rewind(one, 0), WEIR_OK);
    assert_int_equal(one->owed_count, 0);
    weir_session_destroy(&one);
    weir_session_destroy(&other);
    close_fixture(&fixture);
}

/* A block is a session's own memory once, and the plan has the first one's. */
static void blocks_are_counted_once(void **state)
{
    struct fixture fixture;
    weir_session *sessions[3] = {NULL, NULL, NULL};
    const struct forgetful large = {"", {WEIR_STATE_RECURRENT, 0, 8 << 20, false}, 2, 0};
    (void)state;
    open_fixture(&fixture, "qwen3moe", 8);
    take_state(&fixture, &large);
    weir_engine *engine = fixture.engine;
    /* As much room as two blocks more need, and pages; not three. */
    engine->plan.budget_bytes = engine->plan.planned_bytes + (2 * 8 + 7) * (1 << 20);
    for (int index = 0; index < 3; index++)
        assert_int_equal(weir_session_create(&sessions[index], engine, NULL), WEIR_OK);
    for (int index = 0; index < 3; index++)
        assert_int_equal(go_on(&fixture, sessions[index], LENGTH), WEIR_OK);
    struct weir_err err = {0};
    weir_session *none = NULL;
    assert_int_equal(weir_session_create(&none, engine, &err), WEIR_ERR_NOMEM);
    assert_non_null(strstr(err.text, "beside 3"));
    assert_non_null(strstr(err.text, "--mem "));
    for (int index = 0; index < 3; index++)
        weir_session_destroy(&sessions[index]);
    close_fixture(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_calls_leave_the_session_where_it_is),
        cmocka_unit_test(so_do_those_of_every_model_whose_layers_forget),
        cmocka_unit_test(what_is_owed_is_computed_first),
        cmocka_unit_test(blocks_are_counted_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
