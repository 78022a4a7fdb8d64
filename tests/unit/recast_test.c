/* recast_test.c - each row of what is written comes from the rows and columns its list says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "recast/recast_internal.h"

enum { FILE_BYTES = 1 << 18, COLS_MAX = 64 };

/* What lies in the file: floats that say where they are. */
static uint8_t file_bytes[FILE_BYTES];

static float at_float(uint64_t offset)
{
    float value;
    memcpy(&value, file_bytes + offset, sizeof(value));
    return value;
}

static void fill_floats(uint64_t offset, uint64_t count, float first)
{
    for (uint64_t at = 0; at < count; at++) {
        const float value = first + (float)at;
        memcpy(file_bytes + offset + at * sizeof(value), &value, sizeof(value));
    }
}

typedef float wanted_fn(const struct weir_recast_tensor *tensor, uint64_t matrix, uint64_t row,
                        uint64_t col);

/* All pieces of one tensor, each from nothing but the bytes of its parts; returns how many. */
static unsigned compare(const struct weir_recast_tensor *tensor, uint64_t target_bytes,
                        wanted_fn *wanted)
{
    static uint8_t in[FILE_BYTES];
    struct weir_recast_tensor copy = *tensor;
    const struct weir_recast_list list = {&copy, 1};
    struct recast_cutter cutter = {.list = &list, .target_bytes = target_bytes};
    struct recast_piece piece;
    float values[COLS_MAX], room[COLS_MAX];
    uint64_t row_count = 0;
    unsigned piece_count = 0;
    while (weir_recast_cut(&cutter, &piece)) {
        uint64_t length = 0;
        for (int kind = 0; kind < RECAST_PART_COUNT; kind++) {
            const struct weir_io_part *part = &piece.parts[kind];
            assert_true(part->offset + part->bytes <= FILE_BYTES);
            memcpy(in + length, file_bytes + part->offset, part->bytes);
            length += part->bytes;
        }
        assert_int_equal(length, piece.in_bytes);
        assert_true(weir_recast_room(tensor) <= COLS_MAX);
        for (uint64_t row = 0; row < piece.row_count; row++) {
            weir_recast_decode(tensor, &piece, in, row, values, room);
            for (uint64_t col = 0; col < tensor->dims[0]; col++)
                assert_true(values[col] == wanted(tensor, piece.matrix, piece.row + row, col));
        }
        row_count += piece.row_count;
        piece_count++;
    }
    assert_int_equal(row_count, tensor->dims[1] * tensor->dims[2] * tensor->dims[3]);
    return piece_count;
}

/* recast.h, word for word. */
static float by_the_contract(const struct weir_recast_tensor *tensor, uint64_t matrix, uint64_t row,
                             uint64_t col)
{
    const struct weir_tensor *source = tensor->source;
    const uint64_t width = source->is_turned ? source->dims[1] : source->dims[0];
    const uint64_t from_row =
        tensor->first_row +
        (tensor->row_order != NULL ? tensor->row_order[row] : row * tensor->row_step);
    const uint64_t from_col =
        tensor->first_col + (tensor->col_order != NULL ? tensor->col_order[col] : col);
    const uint64_t begin = source->places == NULL
                               ? source->offset + matrix * tensor->stride_rows * width * 4
                               : source->places[matrix].offset;
    return tensor->is_turned ? at_float(begin + (from_col * width + from_row) * 4)
                             : at_float(begin + (from_row * width + from_col) * 4);
}

static struct weir_tensor source_of(uint64_t cols, uint64_t rows, uint64_t count)
{
    return (struct weir_tensor){.name = "x.weight",
                                .n_dim = 3,
                                .dims = {cols, rows, count, 1},
                                .known = true,
                                .type = WEIR_TYPE_F32,
                                .offset = 64};
}

static struct weir_recast_tensor whole_of(const struct weir_tensor *source)
{
    struct weir_recast_tensor tensor;
    assert_int_equal(weir_recast_tensor_make(&tensor, NULL, source, NULL), WEIR_OK);
    return tensor;
}

static void rows_come_in_their_order(void **state)
{
    (void)state;
    const uint32_t rows[12] = {3, 1, 2, 0, 7, 6, 5, 4, 8, 11, 10, 9};
    const uint32_t cols[8] = {7, 0, 6, 1, 5, 2, 4, 3};
    const struct weir_tensor source = source_of(20, 12, 3);
    fill_floats(0, FILE_BYTES / 4, 1.0f);
    for (uint64_t target = 1; target < 1 << 16; target *= 7) {
        struct weir_recast_tensor tensor = whole_of(&source);
        assert_true(weir_recast_is_copy(&tensor));
        const unsigned pieces = compare(&tensor, target, by_the_contract);
        assert_true(target > 1 ? pieces >= 3 : pieces == 36);
        tensor.row_order = rows;
        compare(&tensor, target, by_the_contract);
        tensor.col_order = cols;
        tensor.first_col = 5;
        tensor.dims[0] = 8;
        assert_false(weir_recast_is_copy(&tensor));
        compare(&tensor, target, by_the_contract);
        tensor = whole_of(&source); /* of two that take turns, the second */
        tensor.first_row = 1;
        tensor.row_step = 2;
        tensor.dims[1] = 6;
        compare(&tensor, target, by_the_contract);
    }
}

static void what_lies_across_is_turned(void **state)
{
    (void)state;
    const uint32_t rows[4] = {2, 3, 0, 1};
    struct weir_tensor source = source_of(24, 10, 2);
    fill_floats(0, FILE_BYTES / 4, 1.0f);
    source.is_turned = true;
    struct weir_recast_tensor tensor = whole_of(&source);
    assert_true(tensor.is_turned && tensor.stride_rows == 24);
    compare(&tensor, 256, by_the_contract);
    tensor.row_step = 2;
    tensor.dims[1] = 5;
    compare(&tensor, 1 << 16, by_the_contract);
    /* Heads of a matrix that lies straight, each of which is to be across. */
    source = source_of(16, 12, 1);
    tensor = whole_of(&source);
    tensor.is_turned = true;
    tensor.stride_rows = 6;
    tensor.first_col = 1;
    tensor.row_order = rows;
    memcpy(tensor.dims, (const uint64_t[]){5, 4, 2, 1}, sizeof(tensor.dims));
    compare(&tensor, 1 << 16, by_the_contract);
}

static void matrices_may_lie_apart(void **state)
{
    (void)state;
    const struct weir_place places[3] = {{4000, 0}, {800, 0}, {2400, 0}};
    struct weir_tensor source = source_of(10, 9, 3);
    fill_floats(0, FILE_BYTES / 4, 1.0f);
    source.places = places;
    const struct weir_recast_tensor tensor = whole_of(&source);
    compare(&tensor, 100, by_the_contract);
    compare(&tensor, 1 << 16, by_the_contract);
}

/* ---- codes --------------------------------------------------------------------------------- */

enum { CODES_AT = 64, SCALES_AT = 8192, ZEROS_AT = 16384, FACTOR_AT = 32768 };

static struct weir_tensor codes, scales, zeros, factor;

/* 4 bits, 8 too large or above a zero point, a scale for each 8 columns of a row, and a factor. */
static float by_codes(const struct weir_recast_tensor *tensor, uint64_t matrix, uint64_t row,
                      uint64_t col)
{
    const uint64_t at = (matrix * codes.dims[1] + row) * codes.dims[0] + col;
    const uint8_t byte = file_bytes[CODES_AT + at / 2];
    const uint64_t word_row = matrix * zeros.dims[1] + row / 8;
    uint32_t word;
    memcpy(&word, file_bytes + ZEROS_AT + (word_row * zeros.dims[0] + col / 8) * 4, sizeof(word));
    const int code = at % 2 == 0 ? byte & 15 : byte >> 4;
    const int zero = tensor->zeros == NULL ? 8 : (int)(word >> row % 8 * 4 & 15);
    const float scale =
        at_float(SCALES_AT + ((matrix * scales.dims[1] + row) * scales.dims[0] + col / 8) * 4);
    const float times = tensor->factor == NULL ? 1.0f : 1.0f / at_float(FACTOR_AT + matrix * 4);
    return scale * (float)(code - zero) * times;
}

static void codes_have_scales_zeros_and_a_factor(void **state)
{
    (void)state;
    uint64_t seed = 5;
    for (size_t at = 0; at < FILE_BYTES; at++)
        file_bytes[at] = (uint8_t)weir_random_next(&seed);
    fill_floats(SCALES_AT, 1024, 1.0f);
    for (int at = 0; at < 4; at++) {
        const float power = (float)(1 << at);
        memcpy(file_bytes + FACTOR_AT + at * 4, &power, sizeof(power));
    }
    codes = source_of(32, 20, 2);
    codes.type = WEIR_TYPE_I4;
    codes.offset = CODES_AT;
    scales = source_of(4, 20, 2);
    scales.is_scales = true;
    scales.scale_type = WEIR_SCALE_F32;
    scales.offset = SCALES_AT;
    zeros = source_of(4, 3, 2);
    zeros.is_zeros = true;
    zeros.offset = ZEROS_AT;
    factor = source_of(2, 1, 1);
    factor.offset = FACTOR_AT;
    factor.change = WEIR_CHANGE_INVERSE;
    struct weir_recast_tensor tensor = {.name = "x.weight",
                                        .n_dim = 3,
                                        .dims = {32, 20, 2, 1},
                                        .type = WEIR_TYPE_F32,
                                        .source = &codes,
                                        .scales = &scales,
                                        .row_step = 1,
                                        .stride_rows = 20};
    for (uint64_t target = 16; target < 1 << 16; target *= 5) {
        tensor.zeros = NULL;
        tensor.factor = NULL;
        compare(&tensor, target, by_codes);
        tensor.factor = &factor;
        compare(&tensor, target, by_codes);
    }
    /* Zero points of a stack's matrix begin with a word: rows of one are a multiple of 8. */
    codes.dims[1] = scales.dims[1] = tensor.dims[1] = tensor.stride_rows = 16;
    zeros.dims[1] = 2;
    tensor.zeros = &zeros;
    for (uint64_t target = 16; target < 1 << 16; target *= 5)
        compare(&tensor, target, by_codes);
}

static float by_change(const struct weir_recast_tensor *tensor, uint64_t matrix, uint64_t row,
                       uint64_t col)
{
    (void)matrix, (void)row;
    return tensor->source->values != NULL ? tensor->source->values[col]
                                          : at_float(64 + col * 4) + 1.0f;
}

static void vectors_may_change_or_be_in_no_file(void **state)
{
    (void)state;
    const float values[4] = {1.5f, 2.5f, -3.0f, 0.0f};
    struct weir_tensor source = source_of(48, 1, 1);
    fill_floats(0, 1024, 1.0f);
    source.n_dim = 1;
    source.type = WEIR_TYPE_F32;
    source.change = WEIR_CHANGE_PLUS_ONE;
    struct weir_recast_tensor tensor = whole_of(&source);
    assert_false(weir_recast_is_copy(&tensor));
    compare(&tensor, 64, by_change);
    source = source_of(4, 1, 1);
    source.values = values;
    tensor = whole_of(&source);
    assert_int_equal(compare(&tensor, 64, by_change), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_come_in_their_order),
        cmocka_unit_test(what_lies_across_is_turned),
        cmocka_unit_test(matrices_may_lie_apart),
        cmocka_unit_test(codes_have_scales_zeros_and_a_factor),
        cmocka_unit_test(vectors_may_change_or_be_in_no_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
