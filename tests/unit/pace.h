/* pace.h - how much of a long test is run: a sanitizer sees in a few rounds what it sees in all. */
#ifndef WEIR_TESTS_PACE_H
#define WEIR_TESTS_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* How long what should come is waited for: it decides when a test that fails ends, and never
 * whether one passes. */
enum { PACE_PATIENCE_S = 300 };

/* Seconds of a processor for what takes one at most, and hours when it is not built with care. */
enum { PACE_WORK_S_MAX = 60 };

#ifdef __SANITIZE_THREAD__
enum { IS_THREAD_SANITIZED = 1 };
#else
enum { IS_THREAD_SANITIZED = 0 };
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { IS_SANITIZED = 1 };
#else
enum { IS_SANITIZED = 0 };
#endif

/* ./run-tests long */
static inline bool pace_is_long(void)
{
    const char *tests = getenv("WEIR_TESTS");
    return tests != NULL && strcmp(tests, "long") == 0;
}

/* Seconds of processors that this process has used: how busy the machine is does not count. */
static inline double pace_worked_s(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

/* Of a list of models or variants every far-th is tried under a sanitizer, or all. */
static inline size_t pace_step(size_t far)
{
    return IS_SANITIZED && !pace_is_long() ? far : 1;
}

#endif
