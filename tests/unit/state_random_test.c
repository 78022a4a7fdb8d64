/* state_random_test.c - all calls of the room in any order: every text finds what it left. */
#include "state_toy.h"

enum { TEXTS = 5, CALLS = 400, SEEDS = 3 };

struct game {
    struct toy toy;
    struct text texts[TEXTS]; /* without a sequence: none */
    uint64_t random_state;
    uint32_t adopted;
};

static uint32_t draw(struct game *game, uint32_t least, uint32_t most)
{
    return least + (uint32_t)(weir_random_next(&game->random_state) % (most - least + 1));
}

/* Few stories, which texts seldom leave: so that they meet. */
static uint32_t draw_ids(struct game *game, uint32_t ids[CTX])
{
    const uint32_t story = draw(game, 0, 2);
    const uint32_t turn = draw(game, 0, 3) == 0 ? draw(game, 0, CTX - 1) : CTX;
    tell_story(ids, story);
    for (uint32_t position = turn; position < CTX; position++)
        ids[position] += 100;
    return CTX;
}

/* The ids of a story from where the text is: of the one that it has, where it has one. */
static void go_on(struct game *game, struct text *text)
{
    uint32_t ids[CTX];
    const uint32_t count = draw(game, 0, (uint32_t)weir_min(40, CTX - text->length));
    const uint32_t turn = draw(game, 0, 4) == 0 ? draw(game, 0, CTX) : 0;
    draw_ids(game, ids);
    if (text->length > 0 && turn == 0)
        tell_story(ids, text->ids[0] / 1000);
    feed(&game->toy, text, ids + text->length, count, draw(game, 1, 20));
}

/* Calls fail, and leave all as it was. */
static void fail_somewhere(struct game *game, struct text *text)
{
    struct weir_err err = {0};
    const uint32_t length = draw(game, text->length, CTX);
    weir_heap_fail_at(draw(game, 1, 4));
    if (weir_state_populate(game->toy.state, weir_sequence_lack(text->sequence, length), &err) ==
        WEIR_OK)
        (void)weir_sequence_reserve(text->sequence, length, &err);
    weir_heap_fail_at(0);
    weir_sequence_check(text->sequence);
    rewind_text(&game->toy, text, draw(game, 0, text->length));
}

static void stop_step(struct game *game, struct text *text)
{
    const uint32_t length = (uint32_t)weir_min(CTX, text->length + draw(game, 1, 20));
    reserve(&game->toy, text, length);
    for (uint32_t position = text->length; position < length; position++) {
        text->ids[position] = 7;
        compute(&game->toy, text, position, draw(game, 0, UINT32_MAX - 1));
    }
    rewind_text(&game->toy, text, text->length);
}

static void use_text(struct game *game, struct text *text)
{
    uint32_t ids[CTX];
    struct text *other = &game->texts[draw(game, 0, TEXTS - 1)];
    switch (draw(game, 0, 9)) {
    case 0:
        end_text(&game->toy, text);
        break;
    case 1:
        rewind_text(&game->toy, text, draw(game, 0, text->length));
        break;
    case 2: /* by a little, as where a guess was wrong */
        rewind_text(&game->toy, text, text->length - draw(game, 0, text->length < 5 ? 0 : 5));
        break;
    case 3:
        if (other->sequence == NULL)
            *other = fork_text(&game->toy, text);
        break;
    case 4:
        rewind_text(&game->toy, text, 0);
        draw_ids(game, ids);
        game->adopted += adopt_text(&game->toy, text, ids, draw(game, 0, CTX));
        break;
    case 5:
        fail_somewhere(game, text);
        break;
    case 6:
        stop_step(game, text);
        break;
    default:
        go_on(game, text);
    }
}

static void use_state(struct game *game)
{
    weir_state *state = game->toy.state;
    const uint64_t populated_bytes = weir_state_populated_bytes(state);
    const uint32_t kept = stats_of(&game->toy).kept_pages;
    const uint32_t count = draw(game, 0, 6);
    switch (draw(game, 0, 9)) {
    case 0:
        assert_int_equal(weir_state_forget_oldest(state), kept > 0);
        break;
    case 1: {
        const uint64_t keep_bytes = populated_bytes / 4 * draw(game, 0, 4);
        const uint64_t given_bytes = weir_state_trim(state, keep_bytes);
        assert_int_equal(weir_state_populated_bytes(state), populated_bytes - given_bytes);
        /* All that may go has gone, where that is not enough. */
        if (weir_state_populated_bytes(state) > keep_bytes)
            assert_int_equal(stats_of(&game->toy).kept_pages + state->ready_count, 0);
        break;
    }
    case 2: {
        const uint64_t lack_bytes = weir_state_lack_bytes(state, count);
        assert_int_equal(weir_state_populate(state, count, NULL), WEIR_OK);
        assert_int_equal(weir_state_populated_bytes(state), populated_bytes + lack_bytes);
        break;
    }
    default:
        break;
    }
    weir_state_check(state);
}

static void play(const struct layout *layout, uint64_t seed)
{
    struct game game = {.random_state = seed};
    open_toy(&game.toy, layout);
    for (uint32_t call = 0; call < CALLS; call++) {
        struct text *text = &game.texts[draw(&game, 0, TEXTS - 1)];
        if (text->sequence == NULL)
            *text = begin_text(&game.toy);
        else
            use_text(&game, text);
        use_state(&game);
        for (uint32_t index = 0; index < TEXTS; index++)
            if (game.texts[index].sequence != NULL)
                check_text(&game.toy, &game.texts[index]);
    }
    for (uint32_t index = 0; index < TEXTS; index++)
        if (game.texts[index].sequence != NULL)
            end_text(&game.toy, &game.texts[index]);
    /* Where all of a context is in one page, less than one is never found. */
    assert_int_equal(game.adopted > 0, game.toy.page_length < CTX);
    assert_int_equal(stats_of(&game.toy).used_pages, 0);
    weir_state_trim(game.toy.state, 0);
    assert_int_equal(weir_state_populated_bytes(game.toy.state), 0);
    close_toy(&game.toy);
}

static void texts_find_what_they_left(void **state)
{
    (void)state;
    for (size_t layout = 0; layout < WEIR_COUNT(layouts); layout++)
        for (uint64_t seed = 1; seed <= SEEDS; seed++)
            play(layouts[layout], seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_find_what_they_left),
    };
    alarm(DEADLINE_S);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
