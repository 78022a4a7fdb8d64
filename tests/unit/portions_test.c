/* portions_test.c - how long a step with prompts gets, on machines that are slow in many ways. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "serve/portions.h"

enum { GAP_MS = 10, CHUNK = 512, NS_PER_US = 1000 };

/* What a step takes, in microseconds. */
struct machine {
    uint32_t fixed_us, token_us, row_us;
    uint32_t prompt_us; /* more, once there is a prompt: experts that are read for it */
};

static const struct machine quick = {500, 600, 500, 500};
static const struct machine disk = {3000000, 10000, 5000, 0};

struct scene {
    struct weir_portions pieces;
    struct machine machine;
    uint32_t rows; /* of the last step */
    uint64_t took_us;
};

static struct scene open_scene(struct machine machine)
{
    struct scene scene = {.machine = machine};
    weir_portions_init(&scene.pieces, GAP_MS, CHUNK, machine.fixed_us == disk.fixed_us);
    return scene;
}

/* Prompts want so many rows. */
static void step(struct scene *scene, uint32_t tokens, uint32_t wanted)
{
    const struct machine *machine = &scene->machine;
    uint32_t others = 0;
    const uint32_t may = weir_portions_rows(&scene->pieces, tokens, 0, &others);
    assert_true(may <= CHUNK - tokens);
    scene->rows = (uint32_t)weir_min(may, wanted);
    scene->took_us = machine->fixed_us + (uint64_t)tokens * machine->token_us +
                     (uint64_t)scene->rows * machine->row_us +
                     (scene->rows > 0 ? machine->prompt_us : 0);
    weir_portions_tell(&scene->pieces, tokens, scene->rows, scene->took_us * NS_PER_US);
}

static void run(struct scene *scene, uint32_t tokens, uint32_t wanted, uint32_t count)
{
    while (count-- > 0)
        step(scene, tokens, wanted);
}

/* The longest of so many. */
static uint64_t longest_us(struct scene *scene, uint32_t tokens, uint32_t wanted, uint32_t count)
{
    uint64_t longest = 0;
    for (; count > 0; count--) {
        step(scene, tokens, wanted);
        longest = weir_max(longest, scene->took_us);
    }
    return longest;
}

static void test_a_step_fills_the_gap(void **state)
{
    struct scene scene = open_scene(quick);
    (void)state;
    run(&scene, 3, 4000, 20);
    assert_in_range(longest_us(&scene, 3, 4000, 200), 9000, 11000);
}

/* Where tokens alone take longer than the gap, or nearly, a prompt makes it three times as much. */
static void test_a_step_takes_three_times_a_plain_one(void **state)
{
    struct scene scene = open_scene(quick);
    const uint64_t plain_us = quick.fixed_us + 16 * quick.token_us;
    (void)state;
    run(&scene, 16, 4000, 20);
    assert_in_range(longest_us(&scene, 16, 4000, 200), 5 * plain_us / 2, 33 * plain_us / 10);
    run(&scene, 2, 4000, 20); /* there are fewer: the gap holds again */
    assert_in_range(longest_us(&scene, 2, 4000, 200), 9000, 11000);
}

/* Many short prompts, or the last rows of long ones, do not let a long piece grow unseen. */
static void test_few_rows_say_nothing_of_many(void **state)
{
    struct scene scene = open_scene(quick);
    (void)state;
    run(&scene, 3, 4000, 20);
    run(&scene, 3, 3, 1000);
    assert_in_range(longest_us(&scene, 3, 4000, 200), 9000, 20000);
    scene = open_scene(quick);
    run(&scene, 3, 12, 1000);
    assert_in_range(longest_us(&scene, 3, 4000, 200), 9000, 20000);
}

/* Nothing is as short as the gap: prompts go on all the same, in pieces of little more than the
 * fewest rows. */
static void test_prompts_come_to_their_end(void **state)
{
    struct scene scene = open_scene((struct machine){1000, 1000, 1000000, 0});
    uint32_t rows = 0;
    (void)state;
    run(&scene, 3, 4000, 20);
    for (int count = 0; count < 128; count++) {
        step(&scene, 3, 4000);
        assert_true(scene.rows <= 17);
        assert_true(scene.rows >= 8 || scene.took_us == 4000); /* how long a plain one takes */
        rows += scene.rows;
    }
    assert_true(rows >= 120 * 8);
}

/* What is read for a few rows serves many: then they come together. */
static void test_what_is_read_serves_many(void **state)
{
    struct scene scene = open_scene((struct machine){300000, 1000, 5000, 900000});
    uint32_t rows = 0;
    (void)state;
    run(&scene, 3, 4000, 30);
    const uint64_t least_us = 300000 + 3 * 1000 + 8 * 5000 + 900000;
    for (int count = 0; count < 128; count++) {
        step(&scene, 3, 4000);
        assert_true(scene.took_us < 21 * least_us / 10);
        rows += scene.rows;
    }
    assert_true(rows > 128 * 150);
    scene.machine.prompt_us = 0; /* it is in memory now: the others wait no longer than they must */
    run(&scene, 3, 4000, 80);
    assert_in_range(longest_us(&scene, 3, 4000, 64), 700000, 1000000);
}

/* Where nobody's token waits: no longer than need be, as far as that costs little. */
static void test_alone_pieces_are_short_where_that_is_cheap(void **state)
{
    struct scene scene = open_scene(quick);
    (void)state;
    assert_in_range(longest_us(&scene, 0, 4000, 10), 30000, 66000);
    assert_in_range(longest_us(&scene, 0, 4000, 1000), 5000, 20000);
    /* Rows become dearer as the text grows longer: still no long one comes. */
    for (int count = 0; count < 500; count++) {
        scene.machine.row_us += 4;
        step(&scene, 0, 4000);
        assert_true(scene.took_us < 45000);
    }
}

/* While short questions come, prompts beside tokens and alone are in shorter pieces: those cost
 * more a row than long ones, here a third. */
static void test_questions_find_short_steps(void **state)
{
    const struct machine machine = {500, 600, 500, 5000};
    const uint64_t plain_us = machine.fixed_us + 16 * machine.token_us;
    struct scene scene = open_scene(machine);
    (void)state;
    run(&scene, 0, 4000, 100);
    assert_true(longest_us(&scene, 0, 4000, 200) > 30000);
    scene.pieces.is_awaited = true;
    run(&scene, 0, 4000, 100);
    const uint64_t longest = longest_us(&scene, 0, 4000, 60);
    assert_in_range(longest, 10000, 22000);
    run(&scene, 16, 4000, 20);
    assert_true(longest_us(&scene, 16, 4000, 200) <= 20 * plain_us / 10); /* with eight rows */
    scene.machine.prompt_us = 0;
    run(&scene, 16, 4000, 20);
    assert_true(longest_us(&scene, 16, 4000, 200) <= 16 * plain_us / 10);
    run(&scene, 2, 4000, 20);
    assert_in_range(longest_us(&scene, 2, 4000, 200), 5000, 6000); /* half of the gap */
}

/* A question is read in one step, or in a few; others' prompts have their quarter of what they
 * would have had. Where rows are dear it has no more of them than others. */
static void test_a_question_is_read_at_once(void **state)
{
    struct scene scene = open_scene(quick);
    uint32_t others = 0;
    (void)state;
    assert_in_range(weir_portions_rows(&scene.pieces, 3, 20, &others), 20, 32); /* at first */
    scene.pieces.is_awaited = true;
    run(&scene, 3, 4000, 40);
    assert_int_equal(weir_portions_rows(&scene.pieces, 3, 0, &others), 8);
    assert_int_equal(others, 2);
    assert_int_equal(weir_portions_rows(&scene.pieces, 3, 5, &others), 8);
    assert_int_equal(weir_portions_rows(&scene.pieces, 3, 12, &others), 14);
    assert_in_range(weir_portions_rows(&scene.pieces, 3, 60, &others), 15, 19); /* the gap's end */
    assert_int_equal(weir_portions_rows(&scene.pieces, CHUNK - 9, 60, &others), 9);
    /* What its rows cost is known from such steps: they look back at less than a long text's. */
    for (int count = 0; count < 10; count++) {
        const uint32_t rows = weir_portions_rows(&scene.pieces, 3, 60, &others);
        weir_portions_tell(&scene.pieces, 3, rows, (2300 + 100ull * rows) * NS_PER_US);
    }
    assert_int_equal(weir_portions_rows(&scene.pieces, 3, 60, &others), 34);
    assert_int_equal(weir_portions_rows(&scene.pieces, 3, 0, &others), 8);
    run(&scene, 0, 4000, 1000);
    assert_true(weir_portions_rows(&scene.pieces, 0, 60, &others) >= 60 + others);
    scene = open_scene((struct machine){1000, 1000, 1000000, 0});
    run(&scene, 3, 4000, 40);
    assert_true(weir_portions_rows(&scene.pieces, 3, 60, &others) <= 20);
}

/* Where nothing is read, and rows are still cheaper in long pieces, these are found. */
static void test_alone_pieces_grow(void **state)
{
    struct scene scene = open_scene((struct machine){500000, 5000, 5000, 0});
    (void)state;
    run(&scene, 0, 4000, 10);
    for (int count = 0; count < 50; count++) {
        step(&scene, 0, 4000);
        assert_true(scene.rows >= 256);
    }
}

/* Where a step costs the same for few rows as for many, it has all that there is room for. */
static void test_alone_pieces_are_long_where_short_ones_are_dear(void **state)
{
    struct scene scene = open_scene(disk);
    uint64_t rows = 0, took_us = 0;
    (void)state;
    step(&scene, 0, 20); /* a short prompt says nothing about long ones */
    for (int count = 0; count < 300; count++) {
        step(&scene, 0, 4000);
        rows += scene.rows;
        took_us += scene.took_us;
    }
    const uint64_t best_us = disk.fixed_us + CHUNK * disk.row_us;
    assert_true(took_us * CHUNK < rows * best_us * 26 / 25);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_step_fills_the_gap),
        cmocka_unit_test(test_a_step_takes_three_times_a_plain_one),
        cmocka_unit_test(test_few_rows_say_nothing_of_many),
        cmocka_unit_test(test_prompts_come_to_their_end),
        cmocka_unit_test(test_what_is_read_serves_many),
        cmocka_unit_test(test_alone_pieces_are_short_where_that_is_cheap),
        cmocka_unit_test(test_questions_find_short_steps),
        cmocka_unit_test(test_a_question_is_read_at_once),
        cmocka_unit_test(test_alone_pieces_grow),
        cmocka_unit_test(test_alone_pieces_are_long_where_short_ones_are_dear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
