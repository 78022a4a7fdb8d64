/* device_texts_test.c - several texts on a device, the simulated one, and what each of them has
 * there: keys and values, latent values, recurrent states. */
#include "device_run.h"

/* ids, one at a time, behind what the session has; the last logits. */
static void write_on(weir_session *session, const uint32_t *ids, uint32_t count, float *logits,
                     uint32_t n_vocab)
{
    struct weir_err err = {0};
    for (uint32_t at = 0; at < count; at++)
        if (weir_session_eval(session, &ids[at], 1, NULL, NULL, &err) != WEIR_OK)
            fail_msg("%s", err.text);
    memcpy(logits, weir_session_logits(session), n_vocab * sizeof(*logits));
}

/* Two texts that share a page there until they part; and each alone. */
static void forks_part(const char *name)
{
    struct golden golden;
    struct weir_err err = {0};
    golden_of(&golden, name);
    const struct weir_bench_config bench = bench_of(&all, &(struct variant){.seed = 9});
    weir_engine *engine = open_there(&golden, &bench, &err);
    if (engine == NULL)
        fail_msg("%s", err.text);
    const uint32_t n_vocab = weir_engine_model(engine)->n_vocab;
    float *logits = malloc(4 * n_vocab * sizeof(*logits));
    weir_session *one = NULL;
    weir_session *other = NULL;
    assert_int_equal(weir_session_create(&one, engine, &err), WEIR_OK);
    assert_int_equal(weir_session_eval(one, golden.ids, 5, NULL, NULL, &err), WEIR_OK);
    assert_int_equal(weir_session_fork(&other, one, &err), WEIR_OK);
    write_on(one, golden.ids + 5, 3, logits, n_vocab);
    write_on(other, golden.ids + 8, 3, logits + n_vocab, n_vocab);
    write_on(one, golden.ids + 11, 1, logits, n_vocab);
    weir_session_destroy(&one);
    weir_session_destroy(&other);
    for (uint32_t alone = 0; alone < 2; alone++) {
        float *to = logits + (2 + alone) * n_vocab;
        assert_int_equal(weir_session_create(&one, engine, &err), WEIR_OK);
        assert_int_equal(weir_session_eval(one, golden.ids, 5, NULL, NULL, &err), WEIR_OK);
        write_on(one, golden.ids + (alone == 0 ? 5 : 8), 3, to, n_vocab);
        if (alone == 0)
            write_on(one, golden.ids + 11, 1, to, n_vocab);
        weir_session_destroy(&one);
    }
    assert_memory_equal(logits, logits + 2 * n_vocab, 2 * n_vocab * sizeof(*logits));
    free(logits);
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
    golden_close(&golden);
}

static void forks_part_on_the_device(void **state)
{
    (void)state;
    forks_part("qwen3moe");
    forks_part("qwen35moe");
    forks_part("deepseek2");
}

/* A text goes back there, to where its state was kept or to the beginning; one that never went on
 * has the same bits. */
static void texts_go_back_on_the_device(void **state)
{
    (void)state;
    enum { LONG = 70, BACK = 41, MORE = 3 };
    struct golden golden;
    struct weir_err err = {0};
    uint32_t ids[LONG];
    golden_of(&golden, "qwen35moe");
    const struct placing some = {1, 2, UINT32_MAX, false, 0};
    for (uint32_t at = 0; at < LONG; at++)
        ids[at] = golden.ids[at * 5 % golden.id_count];
    for (int place = 0; place < 2; place++) {
        const struct weir_bench_config bench =
            bench_of(place == 0 ? &all : &some, &(struct variant){.seed = 4});
        weir_engine *engine = open_there(&golden, &bench, &err);
        if (engine == NULL)
            fail_msg("%s", err.text);
        const uint32_t n_vocab = weir_engine_model(engine)->n_vocab;
        float *logits = malloc(2 * n_vocab * sizeof(*logits));
        for (uint32_t text = 0; text < 2; text++) {
            weir_session *session = NULL;
            const uint32_t count = text == 0 ? LONG : BACK;
            assert_int_equal(weir_session_create(&session, engine, &err), WEIR_OK);
            assert_int_equal(weir_session_eval(session, ids, count, NULL, NULL, &err), WEIR_OK);
            assert_int_equal(weir_session_rewind(session, BACK), WEIR_OK);
            write_on(session, golden.ids, MORE, logits + text * n_vocab, n_vocab);
            weir_session_destroy(&session);
        }
        assert_memory_equal(logits, logits + n_vocab, n_vocab * sizeof(*logits));
        free(logits);
        assert_int_equal(weir_engine_close(&engine), WEIR_OK);
    }
    golden_close(&golden);
}

/* Logits of a text, in the order in which they are told. */
struct told {
    float *logits;
    uint32_t n_vocab, count;
};

static bool keep_told(void *user, uint32_t position, const float *logits)
{
    struct told *told = user;
    (void)position;
    memcpy(told->logits + (size_t)told->count++ * told->n_vocab, logits,
           told->n_vocab * sizeof(*logits));
    return true;
}

enum { TEXTS = 3, LENGTH = 10, PROMPT = 6 };

/* Texts that begin one round apart: each round one has its prompt while the others get tokens; or
 * each text by itself. */
static void run_texts(weir_engine *engine, const struct golden *golden, bool together,
                      struct told told[TEXTS])
{
    struct weir_err err = {0};
    weir_session *sessions[TEXTS] = {NULL};
    uint32_t done[TEXTS] = {0};
    for (uint32_t text = 0; text < TEXTS; text++) {
        told[text].count = 0;
        assert_int_equal(weir_session_create(&sessions[text], engine, &err), WEIR_OK);
    }
    for (uint32_t round = 0; round < TEXTS * LENGTH; round++) {
        struct weir_eval evals[TEXTS];
        uint32_t count = 0;
        for (uint32_t text = 0; text < TEXTS; text++) {
            if (done[text] == LENGTH || (together ? round < text : count > 0))
                continue;
            evals[count++] = (struct weir_eval){.session = sessions[text],
                                                .ids = golden->ids + text + done[text],
                                                .count = done[text] == 0 ? PROMPT : 1,
                                                .each = keep_told,
                                                .user = &told[text]};
            done[text] += done[text] == 0 ? PROMPT : 1;
        }
        if (count > 0 && weir_engine_eval(engine, evals, count, &err) != WEIR_OK)
            fail_msg("%s", err.text);
    }
    for (uint32_t text = 0; text < TEXTS; text++)
        weir_session_destroy(&sessions[text]);
}

static void run_together(const char *name)
{
    static const struct placing placings[] = {
        {0, UINT32_MAX, UINT32_MAX, true, 0}, {0, UINT32_MAX, 3, true, 1}, {1, 2, 2, false, 2}};
    struct golden golden;
    golden_of(&golden, name);
    for (size_t at = 0; at < WEIR_COUNT(placings); at++) {
        struct weir_err err = {0};
        struct told alone[TEXTS];
        struct told together[TEXTS];
        const struct weir_bench_config bench =
            bench_of(&placings[at], &(struct variant){.seed = 5});
        weir_engine *engine = open_there(&golden, &bench, &err);
        if (engine == NULL)
            fail_msg("%s", err.text);
        const uint32_t n_vocab = weir_engine_model(engine)->n_vocab;
        for (uint32_t text = 0; text < TEXTS; text++) {
            alone[text] = (struct told){calloc(LENGTH * n_vocab, sizeof(float)), n_vocab, 0};
            together[text] = (struct told){calloc(LENGTH * n_vocab, sizeof(float)), n_vocab, 0};
        }
        run_texts(engine, &golden, false, alone);
        run_texts(engine, &golden, true, together);
        for (uint32_t text = 0; text < TEXTS; text++) {
            assert_int_equal(together[text].count, LENGTH);
            assert_memory_equal(together[text].logits, alone[text].logits,
                                LENGTH * n_vocab * sizeof(float));
            free(alone[text].logits);
            free(together[text].logits);
        }
        assert_int_equal(weir_engine_close(&engine), WEIR_OK);
    }
    golden_close(&golden);
}

static void texts_together_have_the_bits_of_each_alone(void **state)
{
    (void)state;
    run_together("qwen3moe");
    run_together("qwen35moe");
    run_together("deepseek2-glm");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forks_part_on_the_device),
        cmocka_unit_test(texts_go_back_on_the_device),
        cmocka_unit_test(texts_together_have_the_bits_of_each_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
