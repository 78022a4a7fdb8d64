/* lobby_test.c - who waits for a model, who is refused, and which model comes next. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "serve/lobby.h"
#include "serve/server.h"

enum { ONE, OTHER, THIRD, MODELS, QUEUE = 4, MOST = 8 };

/* A server without threads, and those who come. */
struct scene {
    struct weir_serve serve;
    struct weir_serve_model models[MODELS];
    atomic_uint_least64_t absent_until_ns[MODELS];
    struct weir_party parties[2];
    struct weir_lobby lobby;
    struct weir_exchange *came[MOST];
    uint32_t count;
};

static struct scene scene;

static int open_scene(void **state)
{
    static const char *const names[MODELS] = {"one", "other", "third"};
    (void)state;
    memset(&scene, 0, sizeof(scene));
    for (size_t model = 0; model < MODELS; model++)
        scene.models[model].id = names[model];
    scene.serve.models = scene.models;
    scene.serve.model_count = MODELS;
    scene.serve.absent_until_ns = scene.absent_until_ns;
    scene.serve.limits.queue_max = QUEUE;
    scene.serve.parallel = 1;
    scene.lobby.serve = &scene.serve;
    return 0;
}

/* Whoever still waits is told that the server stops. */
static int close_scene(void **state)
{
    (void)state;
    atomic_store(&scene.serve.is_draining, true);
    weir_lobby_tend(&scene.lobby);
    assert_int_equal(scene.lobby.count, 0);
    for (uint32_t index = 0; index < scene.count; index++)
        weir_exchange_release(scene.came[index]);
    return 0;
}

/* A request that names a model, or none: NULL. */
static struct weir_exchange *come(const char *model, struct weir_party *party)
{
    static const struct weir_route route = {.method = "POST", .path = "/v1/completions"};
    struct weir_exchange *exchange = weir_exchange_create(&scene.serve);
    json_t *root = model == NULL ? json_object() : json_pack("{s:s}", "model", model);
    exchange->route = &route;
    assert_true(exchange != NULL && root != NULL && scene.count < MOST);
    scene.came[scene.count++] = exchange;
    exchange->party = party;
    exchange->connection = (void *)exchange; /* its client is there; nobody calls it */
    weir_exchange_hold(exchange);
    if (!weir_lobby_take(&scene.lobby, exchange, root))
        weir_exchange_release(exchange);
    json_decref(root);
    return exchange;
}

static void assert_refused(const struct weir_exchange *exchange, unsigned status, const char *code)
{
    assert_int_equal(exchange->problem.status, status);
    assert_string_equal(exchange->problem.code, code);
}

static void bring(size_t model)
{
    atomic_store(&scene.serve.served, model);
    atomic_fetch_add(&scene.serve.generation, 1);
    atomic_store(&scene.serve.is_served, true);
}

static void test_who_waits_and_who_is_read(void **state)
{
    (void)state;
    come(NULL, NULL); /* for the first one */
    come("one", NULL);
    assert_int_equal(scene.lobby.count, 2);
    assert_int_equal(weir_lobby_wanted(&scene.lobby), ONE);
    bring(ONE);
    assert_int_equal(weir_lobby_wanted(&scene.lobby), SIZE_MAX);
    for (uint32_t index = 0; index < 2; index++) {
        assert_ptr_equal(weir_lobby_next(&scene.lobby), scene.came[index]);
        weir_exchange_release(scene.came[index]);
    }
    assert_null(weir_lobby_next(&scene.lobby));
    come("one", NULL); /* is read now */
    assert_int_equal(scene.lobby.count, 0);
}

static void test_unknown_models_bring_none(void **state)
{
    (void)state;
    const struct weir_exchange *exchange = come("fourth", NULL);
    assert_refused(exchange, 404, "model_not_found");
    assert_non_null(strstr(exchange->problem.text, "\"one\", \"other\", \"third\""));
    assert_int_equal(scene.lobby.count, 0);
    assert_int_equal(weir_lobby_wanted(&scene.lobby), SIZE_MAX);
}

/* One that could not be loaded must not cost the one that is here its place again at once. */
static void test_a_failed_load_is_remembered(void **state)
{
    (void)state;
    bring(ONE);
    const struct weir_exchange *waits = come("other", NULL);
    const struct weir_exchange *behind = come("third", NULL);
    atomic_store(&scene.absent_until_ns[OTHER], UINT64_MAX);
    weir_lobby_tend(&scene.lobby);
    assert_refused(waits, 503, "model_not_loaded");
    assert_int_equal(behind->problem.status, 0);
    assert_int_equal(weir_lobby_wanted(&scene.lobby), THIRD);
    const struct weir_exchange *next = come("other", NULL);
    assert_refused(next, 503, "model_not_loaded");
    assert_true(next->retry_s > 0);
    atomic_store(&scene.absent_until_ns[OTHER], 0);
    come("other", NULL);
    assert_int_equal(scene.lobby.count, 2);
}

static void test_a_key_has_half_of_the_places(void **state)
{
    struct weir_party *many = &scene.parties[0];
    (void)state;
    scene.serve.config.key_count = 2;
    for (uint32_t count = 0; count < QUEUE / 2; count++)
        come("other", many);
    assert_refused(come("other", many), 429, "server_full");
    for (uint32_t count = 0; count < QUEUE / 2; count++)
        assert_int_equal(come("other", &scene.parties[1])->problem.status, 0);
    assert_refused(come("other", &scene.parties[1]), 429, "server_full");
    assert_int_equal(scene.lobby.count, QUEUE);
}

static void test_a_single_key_has_them_all(void **state)
{
    (void)state;
    scene.serve.config.key_count = 1;
    for (uint32_t count = 0; count < QUEUE; count++)
        assert_int_equal(come("other", &scene.parties[0])->problem.status, 0);
    assert_refused(come("other", &scene.parties[0]), 429, "server_full");
}

/* Whoever was first has left when the model is here: it stays for the others that wait for it. */
static void test_a_model_stays_for_whom_it_has_called(void **state)
{
    (void)state;
    come("one", NULL);
    struct weir_exchange *called = come("other", NULL);
    bring(OTHER);
    assert_int_equal(weir_lobby_wanted(&scene.lobby), SIZE_MAX);
    come("other", NULL); /* it is behind the first one */
    assert_ptr_equal(weir_lobby_next(&scene.lobby), called);
    weir_exchange_release(called);
    assert_null(weir_lobby_next(&scene.lobby));
    assert_int_equal(weir_lobby_wanted(&scene.lobby), ONE);
}

static void test_a_stop_refuses_all(void **state)
{
    (void)state;
    const struct weir_exchange *exchange = come("other", NULL);
    atomic_store(&scene.serve.is_draining, true);
    weir_lobby_tend(&scene.lobby);
    assert_refused(exchange, 503, "stopping");
    assert_int_equal(weir_serve_wanted(&scene.serve), SIZE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_who_waits_and_who_is_read, open_scene, close_scene),
        cmocka_unit_test_setup_teardown(test_unknown_models_bring_none, open_scene, close_scene),
        cmocka_unit_test_setup_teardown(test_a_failed_load_is_remembered, open_scene, close_scene),
        cmocka_unit_test_setup_teardown(test_a_key_has_half_of_the_places, open_scene, close_scene),
        cmocka_unit_test_setup_teardown(test_a_single_key_has_them_all, open_scene, close_scene),
        cmocka_unit_test_setup_teardown(test_a_model_stays_for_whom_it_has_called, open_scene,
                                        close_scene),
        cmocka_unit_test_setup_teardown(test_a_stop_refuses_all, open_scene, close_scene),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
