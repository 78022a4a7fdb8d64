/* engine_tables_test.c - rows read from the disk give the bits of tables in memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/base.h"

#include "model_run.h"

/* Under the smallest ceiling, tables stay on the disk where they are worth it: in a hostile build
 * all of them are, in others none of a model that is so small. */
static void under_the_smallest_ceiling_rows_are_read(void **state)
{
    static const struct {
        const char *name;
        bool stays; /* a table that is larger than the room for reads of its rows */
    } rows[] = {{"gemma4-e2b", true}, {"gemma4-e4b", true}, {"gemma4-dense", false}};
    (void)state;
    for (size_t row = 0; row < WEIR_COUNT(rows); row++) {
        struct golden golden;
        struct weir_plan plan;
        struct weir_err err = {0};
        assert_true(golden_open(&golden, rows[row].name));
        struct weir_config config = {.model_path = golden.model_path, .n_thread = 2, .n_chunk = 16};
        struct model_run whole = model_run_open(&config, golden.ids, golden.id_count);
        assert_int_equal(weir_plan_make(&plan, &config, &err), WEIR_OK);
        assert_int_equal(plan.embedding_on_disk_bytes, 0);
        config.mem_bytes = plan.min_bytes;
        assert_int_equal(weir_plan_make(&plan, &config, &err), WEIR_OK);
#ifdef WEIR_HOSTILE
        assert_int_equal(plan.layer_inputs_on_disk_bytes > 0, rows[row].stays);
#else
        assert_int_equal(plan.layer_inputs_on_disk_bytes, 0);
#endif
        assert_int_equal(plan.embedding_on_disk_bytes, 0); /* it is the output matrix, too */
        struct model_run least = model_run_open(&config, golden.ids, golden.id_count);
        if (!model_run_same(&whole, &least))
            fail_msg("%s: other bits, or %s%s", rows[row].name, whole.err.text, least.err.text);
        model_run_close(&whole);
        model_run_close(&least);
        golden_close(&golden);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(under_the_smallest_ceiling_rows_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
