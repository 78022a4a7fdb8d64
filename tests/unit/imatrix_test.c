/* imatrix_test.c - importance matrices: both forms written and read back, refused when wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "formats/imatrix.h"

enum { COLS = 3, EXPERTS = 4 };

static const double trunk_sums[COLS] = {2.0, 4.0, 0.0};
static const uint64_t trunk_counts[] = {8};
static const double expert_sums[EXPERTS * COLS] = {1, 2, 3, 0, 0, 0, 10, 20, 30, 8, 8, 8};
static const uint64_t expert_counts[EXPERTS] = {1, 0, 10, 4};

static const struct weir_imatrix_sums all_sums[] = {
    {"blk.0.attn_q.weight", COLS, 1, 1, trunk_sums, trunk_counts},
    {"blk.0.ffn_up_exps.weight", COLS, EXPERTS, EXPERTS, expert_sums, expert_counts},
};
static const struct weir_imatrix_facts facts = {.text_name = "book.txt",
                                                .chunk_count = 2,
                                                .chunk_tokens = 4,
                                                .sums_count = 2,
                                                .sums = all_sums};

static char *write_all(bool is_old, size_t *length)
{
    char *bytes = NULL;
    FILE *file = open_memstream(&bytes, length);
    assert_int_equal(weir_imatrix_write(&facts, is_old, file, NULL), WEIR_OK);
    fclose(file);
    return bytes;
}

static void check_values(const weir_imatrix *imatrix, const char *name, uint64_t matrix_count,
                         uint64_t matrix, const double *wanted)
{
    float values[COLS];
    struct weir_err err = {0};
    if (weir_imatrix_read(imatrix, name, COLS, matrix_count, matrix, values, NULL, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    for (int col = 0; col < COLS; col++)
        assert_float_equal(values[col], wanted[col], 1e-6);
}

/* Means in both forms, and 1 where nothing was reached. */
static void both_forms_read_back(void **state)
{
    (void)state;
    for (int is_old = 0; is_old < 2; is_old++) {
        size_t length = 0;
        uint64_t chunks = 0;
        uint64_t tokens = 0;
        double count = -1.0;
        float values[COLS];
        weir_imatrix *imatrix = NULL;
        char *bytes = write_all(is_old, &length);
        assert_int_equal(weir_imatrix_parse(&imatrix, bytes, length, NULL), WEIR_OK);
        assert_int_equal(weir_imatrix_entry_count(imatrix), 2);
        assert_true(weir_imatrix_has(imatrix, "blk.0.attn_q.weight"));
        assert_false(weir_imatrix_has(imatrix, "blk.0.attn_k.weight"));
        weir_imatrix_chunks(imatrix, &chunks, &tokens);
        assert_int_equal(chunks, 2);
        assert_int_equal(tokens, is_old ? 0 : 4);
        check_values(imatrix, "blk.0.attn_q.weight", 1, 0, (double[]){0.25, 0.5, 0.0});
        check_values(imatrix, "blk.0.ffn_up_exps.weight", EXPERTS, 0, (double[]){1, 2, 3});
        check_values(imatrix, "blk.0.ffn_up_exps.weight", EXPERTS, 1, (double[]){1, 1, 1});
        check_values(imatrix, "blk.0.ffn_up_exps.weight", EXPERTS, 2, (double[]){1, 2, 3});
        check_values(imatrix, "blk.0.ffn_up_exps.weight", EXPERTS, 3, (double[]){2, 2, 2});
        assert_int_equal(weir_imatrix_read(imatrix, "blk.0.ffn_up_exps.weight", COLS, EXPERTS, 1,
                                           values, &count, NULL),
                         WEIR_OK);
        assert_true(is_old ? count == 3.0 : count == 0.0);
        weir_imatrix_close(&imatrix);
        free(bytes);
    }
}

static void expect_text(const weir_imatrix *imatrix, const char *name, uint64_t cols,
                        uint64_t matrix_count, const char *wanted)
{
    float values[64];
    struct weir_err err = {0};
    assert_int_equal(weir_imatrix_read(imatrix, name, cols, matrix_count, 0, values, NULL, &err),
                     WEIR_ERR_FORMAT);
    assert_non_null(strstr(err.text, wanted));
}

static void another_models_sizes_are_refused(void **state)
{
    (void)state;
    size_t length = 0;
    weir_imatrix *imatrix = NULL;
    char *bytes = write_all(false, &length);
    assert_int_equal(weir_imatrix_parse(&imatrix, bytes, length, NULL), WEIR_OK);
    expect_text(imatrix, "blk.0.attn_q.weight", COLS + 1, 1, "wanted 4 values");
    expect_text(imatrix, "blk.0.ffn_up_exps.weight", COLS * 2, 2, "found 12 and 4 counts");
    expect_text(imatrix, "blk.0.ffn_up_exps.weight", COLS, 1, "wanted 3 values");
    expect_text(imatrix, "blk.7.attn_q.weight", COLS, 1, "no importance of tensor blk.7");
    weir_imatrix_close(&imatrix);
    free(bytes);
}

/* Cut anywhere a file is refused, or has all that it still names. */
static void cut_files_are_refused(void **state)
{
    (void)state;
    for (int is_old = 0; is_old < 2; is_old++) {
        size_t length = 0;
        char *bytes = write_all(is_old, &length);
        const size_t rest = is_old ? 4 + 4 + strlen("book.txt") : 0; /* may be missing */
        for (size_t cut = 0; cut < length; cut++) {
            weir_imatrix *imatrix = NULL;
            struct weir_err err = {0};
            const enum weir_status status = weir_imatrix_parse(&imatrix, bytes, cut, &err);
            const bool is_whole = is_old ? cut >= length - rest : cut > length - 32;
            if (status != WEIR_OK)
                assert_true(status == WEIR_ERR_FORMAT && err.text[0] != '\0');
            else
                assert_true(is_whole);
            weir_imatrix_close(&imatrix);
        }
        free(bytes);
    }
}

static void broken_numbers_are_refused(void **state)
{
    (void)state;
    static const float broken[] = {NAN, INFINITY, -1.0f};
    size_t length = 0;
    char *bytes = write_all(false, &length);
    const float first[] = {(float)trunk_sums[0], (float)trunk_sums[1]};
    char *place = memmem(bytes, length, first, sizeof(first));
    assert_non_null(place);
    for (size_t at = 0; at < WEIR_COUNT(broken); at++) {
        weir_imatrix *imatrix = NULL;
        memcpy(place, &broken[at], sizeof(broken[at]));
        assert_int_equal(weir_imatrix_parse(&imatrix, bytes, length, NULL), WEIR_OK);
        expect_text(imatrix, "blk.0.attn_q.weight", COLS, 1, "wanted sums of squares");
        weir_imatrix_close(&imatrix);
    }
    free(bytes);
}

/* The same name twice, sums without counts, a model's file, nothing of either form. */
static void other_files_are_refused(void **state)
{
    (void)state;
    struct weir_err err = {0};
    weir_imatrix *imatrix = NULL;
    size_t length = 0;
    char *bytes = write_all(false, &length);
    char *name = memmem(bytes, length, ".counts", 7);
    memcpy(name, ".clowns", 7);
    assert_int_equal(weir_imatrix_parse(&imatrix, bytes, length, &err), WEIR_ERR_FORMAT);
    assert_non_null(strstr(err.text, "has no .counts beside it"));
    name = memmem(bytes, length, "imatrix", 7);
    memcpy(name, "adapter", 7);
    err = (struct weir_err){0};
    assert_int_equal(weir_imatrix_parse(&imatrix, bytes, length, &err), WEIR_ERR_FORMAT);
    assert_non_null(strstr(err.text, "found adapter"));
    free(bytes);
    err = (struct weir_err){0};
    assert_int_equal(weir_imatrix_parse(&imatrix, "It is a truth universally", 25, &err),
                     WEIR_ERR_FORMAT);
    assert_non_null(strstr(err.text, "is no importance matrix"));
    bytes = write_all(true, &length);
    char *second = memmem(bytes, length, "blk.0.ffn_up_exps.weight", 24);
    memcpy(second, "blk.0.attn_q.weight\0\0\0\0\0", 24);
    err = (struct weir_err){0};
    assert_int_equal(weir_imatrix_parse(&imatrix, bytes, length, &err), WEIR_ERR_FORMAT);
    assert_non_null(strstr(err.text, "NUL"));
    free(bytes);
}

static void failed_allocations_are_told(void **state)
{
    (void)state;
    size_t length = 0;
    for (int is_old = 0; is_old < 2; is_old++) {
        char *bytes = write_all(is_old, &length);
        enum weir_status status = WEIR_ERR_NOMEM;
        for (uint64_t call = 1; status != WEIR_OK; call++) {
            weir_imatrix *imatrix = NULL;
            const uint64_t before = weir_heap_bytes();
            weir_heap_fail_at(call);
            status = weir_imatrix_parse(&imatrix, bytes, length, NULL);
            weir_heap_fail_at(0);
            assert_true(status == WEIR_OK || status == WEIR_ERR_NOMEM);
            weir_imatrix_close(&imatrix);
            assert_int_equal(weir_heap_bytes(), before);
        }
        free(bytes);
    }
}

static void a_full_disk_is_told(void **state)
{
    (void)state;
    struct weir_err err = {0};
    FILE *file = fopen("/dev/full", "w");
    if (file == NULL)
        skip();
    setvbuf(file, NULL, _IONBF, 0);
    assert_int_equal(weir_imatrix_write(&facts, false, file, &err), WEIR_ERR_IO);
    assert_int_equal(weir_imatrix_write(&facts, true, file, NULL), WEIR_ERR_IO);
    fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_forms_read_back),
        cmocka_unit_test(another_models_sizes_are_refused),
        cmocka_unit_test(cut_files_are_refused),
        cmocka_unit_test(broken_numbers_are_refused),
        cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(failed_allocations_are_told),
        cmocka_unit_test(a_full_disk_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
