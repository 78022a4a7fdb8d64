/* energy_test.c - joules from folders that look like the kernel's: turns, parts, failures. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../cli/energy.h"

static char root[] = "/tmp/weir-energy-XXXXXX";

static void put(const char *folder, const char *file, const char *text)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s", root, folder);
    (void)mkdir(path, 0700);
    snprintf(path, sizeof(path), "%s/%s/%s", root, folder, file);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    assert_int_equal(fclose(out), 0);
}

static void make_domain(const char *folder, const char *name, const char *range, const char *now)
{
    put(folder, "name", name);
    put(folder, "max_energy_range_uj", range);
    put(folder, "energy_uj", now);
}

static void take_away(const char *folder, const char *file)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/%s/%s", root, folder, file);
    assert_int_equal(unlink(path), 0);
}

static int make_root(void **state)
{
    (void)state;
    return mkdtemp(root) == NULL;
}

static int remove_root(void **state)
{
    (void)state;
    char command[64];
    snprintf(command, sizeof(command), "rm -rf %s", root);
    return system(command);
}

static void packages_and_memory_are_added(void **state)
{
    (void)state;
    struct weir_cli_energy energy;
    double joules = 0.0;
    make_domain("intel-rapl:0", "package-0\n", "262143328850\n", "1000000\n");
    make_domain("intel-rapl:0:0", "core\n", "262143328850\n", "500\n");
    make_domain("intel-rapl:0:1", "dram\n", "65712999613\n", "2000000\n");
    make_domain("intel-rapl:1", "psys\n", "262143328850\n", "0\n");
    make_domain("dtpm", "package-9\n", "10\n", "0\n");
    weir_cli_energy_begin(&energy, root);
    assert_int_equal(energy.count, 2);
    put("intel-rapl:0", "energy_uj", "3500000\n");
    put("intel-rapl:0:0", "energy_uj", "900000\n");
    put("intel-rapl:0:1", "energy_uj", "2250000\n");
    put("intel-rapl:1", "energy_uj", "99000000\n");
    weir_cli_energy_take(&energy, &joules);
    assert_true(fabs(joules - 2.75) < 1e-9);
    weir_cli_energy_take(&energy, &joules); /* nothing more was used */
    assert_true(fabs(joules - 2.75) < 1e-9);
    put("intel-rapl:0", "energy_uj", "4000000\n");
    weir_cli_energy_take(&energy, NULL);
    joules = 0.0;
    put("intel-rapl:0", "energy_uj", "4100000\n");
    weir_cli_energy_take(&energy, &joules);
    assert_true(fabs(joules - 0.1) < 1e-9);
}

static void counters_begin_anew(void **state)
{
    (void)state;
    struct weir_cli_energy energy;
    double joules = 0.0;
    make_domain("intel-rapl:0", "package-0\n", "262143328850\n", "262143000000\n");
    make_domain("intel-rapl:0:1", "dram\n", "65712999613\n", "5\n");
    weir_cli_energy_begin(&energy, root);
    put("intel-rapl:0", "energy_uj", "671150\n");
    weir_cli_energy_take(&energy, &joules);
    assert_true(fabs(joules - 1.0) < 1e-9);
    weir_cli_energy_look(&energy); /* too early to read */
    assert_true(energy.joules == 0.0);
}

static void what_cannot_be_read_is_not_known(void **state)
{
    (void)state;
    struct weir_cli_energy energy;
    double joules = 0.0;
    weir_cli_energy_begin(&energy, "/no/such/folder");
    weir_cli_energy_take(&energy, &joules);
    assert_true(isnan(joules));
    weir_cli_energy_begin(&energy, root);
    assert_int_equal(energy.count, 2);
    take_away("intel-rapl:0:1", "energy_uj"); /* while it counts */
    joules = 0.0;
    weir_cli_energy_take(&energy, &joules);
    assert_true(isnan(joules));
    weir_cli_energy_begin(&energy, root); /* one of two: not half of it */
    assert_int_equal(energy.count, 0);
    put("intel-rapl:0:1", "energy_uj", "what?\n");
    weir_cli_energy_begin(&energy, root);
    assert_int_equal(energy.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packages_and_memory_are_added),
        cmocka_unit_test(counters_begin_anew),
        cmocka_unit_test(what_cannot_be_read_is_not_known),
    };
    return cmocka_run_group_tests(tests, make_root, remove_root);
}
