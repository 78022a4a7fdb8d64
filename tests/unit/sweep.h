/* sweep.h - trying many odd files: which one is tried, for whoever reads of a crash or a hang, and
 * how many of them. */
#ifndef WEIR_TESTS_SWEEP_H
#define WEIR_TESTS_SWEEP_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SWEEP_WORK_S = 40, SWEEP_SLOWER = 5 }; /* it is the release that must be fast */
#else
enum { SWEEP_WORK_S = 2, SWEEP_SLOWER = 1 };
#endif
enum { SWEEP_WAIT_S = 120 }; /* for a disk and a processor that others use too */

static char sweep_current[512];
static uint64_t sweep_count, sweep_tried, sweep_complaints;

static inline void sweep_tell(int signal)
{
    static const char text[] = "\nhangs or crashes: ";
    if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0 ||
        write(STDERR_FILENO, sweep_current, strlen(sweep_current)) < 0)
        _exit(2);
    _exit(128 + signal);
}

static inline void sweep_set_up(void)
{
    setvbuf(stdout, NULL, _IOLBF, 0); /* whoever is stopped has said what was wrong so far */
    signal(SIGALRM, sweep_tell);
    signal(SIGPROF, sweep_tell);
    signal(SIGABRT, sweep_tell);
}

/* From here to sweep_stop() the process may work for SWEEP_WORK_S, or wait for SWEEP_WAIT_S. */
static inline void sweep_start(void)
{
    const struct itimerval work = {.it_value = {.tv_sec = SWEEP_WORK_S}};
    setitimer(ITIMER_PROF, &work, NULL);
    alarm(SWEEP_WAIT_S);
}

static inline void sweep_stop(void)
{
    const struct itimerval never = {.it_value = {.tv_sec = 0}};
    setitimer(ITIMER_PROF, &never, NULL);
    alarm(0);
}

/* Whether ./run-tests long runs, which tries all, or more. */
static inline bool sweep_is_long(void)
{
    const char *word = getenv("WEIR_TESTS");
    return word != NULL && strcmp(word, "long") == 0;
}

/* Says what is wrong with the current case; the others are tried before sweep_end() fails. */
static inline void sweep_complain(const char *what)
{
    printf("%s: %s\n", sweep_current, what);
    sweep_complaints++;
}

static inline void sweep_end(void)
{
    printf("%llu of %llu cases, %llu complaints\n", (unsigned long long)sweep_tried,
           (unsigned long long)sweep_count, (unsigned long long)sweep_complaints);
    const bool is_clean = sweep_complaints == 0;
    sweep_count = sweep_tried = sweep_complaints = 0;
    assert_true(is_clean);
}

/* Of the cases that are asked about one of every so many is tried, other numbers of them in a short
 * run and in a long one; in each run the same. */
static inline bool sweep_has_turn(uint64_t every, uint64_t every_long)
{
    const bool is_tried =
        sweep_count % ((sweep_is_long() ? every_long : every) * SWEEP_SLOWER) == 0;
    sweep_count++;
    sweep_tried += is_tried;
    return is_tried;
}

#endif
