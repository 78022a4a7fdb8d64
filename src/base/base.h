/* base.h - errors, promises, checked numbers, time.
 *
 * Job       The few things every room needs and that need no room themselves.
 * Not here  Memory (heap.h, mem.h).
 * Owns      Nothing.
 * Threads   Every function may be called from any thread.
 * Errors    None of its own; the macros below make everyone else's.
 */
#ifndef WEIR_BASE_H
#define WEIR_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "weir_status.h"

#define WEIR_PRINTF(format_index, first) __attribute__((format(printf, format_index, first)))

/* Record a failure where it happened and return its status. err may be NULL. */
#define WEIR_FAIL(err, status, ...)                                                                \
    weir_err_record((err), (status), 0, __FILE__, __LINE__, __VA_ARGS__)
/* The same for a failed system call; the errno's text is appended. */
#define WEIR_FAIL_OS(err, os_errno_value, ...)                                                     \
    weir_err_record((err), WEIR_ERR_IO, (os_errno_value), __FILE__, __LINE__, __VA_ARGS__)
/* Forward a failure unchanged. */
#define WEIR_TRY(call)                                                                             \
    do {                                                                                           \
        const enum weir_status weir_try_status = (call);                                           \
        if (weir_try_status != WEIR_OK)                                                            \
            return weir_try_status;                                                                \
    } while (0)
/* The same inside a function with one exit label `fail:` and a variable `status`. */
#define WEIR_TRY_GOTO(call)                                                                        \
    do {                                                                                           \
        status = (call);                                                                           \
        if (status != WEIR_OK)                                                                     \
            goto fail;                                                                             \
    } while (0)

enum weir_status weir_err_record(struct weir_err *err, enum weir_status status, int os_errno,
                                 const char *file, int line, const char *format, ...)
    WEIR_PRINTF(6, 7);

/* Add a sentence to the list; warnings may be NULL. A sentence that is there already is not added
 * again. */
void weir_warn(struct weir_warnings *warnings, const char *format, ...) WEIR_PRINTF(2, 3);

/* A promise between our own functions; on in every build. Never for the outside world's faults. */
#define WEIR_ASSERT(cond)                                                                          \
    do {                                                                                           \
        if (!(cond))                                                                               \
            weir_assert_failed(__FILE__, __LINE__, #cond);                                         \
    } while (0)
/* The same in per-element loops: off in release. */
#ifdef WEIR_RELEASE
#define WEIR_DASSERT(cond) ((void)0)
#else
#define WEIR_DASSERT(cond) WEIR_ASSERT(cond)
#endif

_Noreturn void weir_assert_failed(const char *file, int line, const char *cond);

#define WEIR_COUNT(array) (sizeof(array) / sizeof((array)[0]))

static inline uint64_t weir_align_up(uint64_t value, uint64_t align)
{
    return (value + align - 1) / align * align;
}

static inline uint64_t weir_align_down(uint64_t value, uint64_t align)
{
    return value / align * align;
}

static inline uint64_t weir_min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static inline uint64_t weir_max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Where something begins, in one of several files. */
struct weir_place {
    uint64_t offset;
    uint32_t file;
};

/* False when the result does not fit; *out is then unchanged. For numbers read from files. */
bool weir_checked_mul(uint64_t a, uint64_t b, uint64_t *out);
bool weir_checked_add(uint64_t a, uint64_t b, uint64_t *out);

/* CLOCK_MONOTONIC. */
uint64_t weir_now_ns(void);

/* splitmix64 (Steele, Lea, Flood 2014): one step of a seeded generator; state is the caller's. */
uint64_t weir_random_next(uint64_t *state);
/* Uniform in [0, 1). */
double weir_random_unit(uint64_t *state);

/* Ascending; none of the values is NaN. */
void weir_sort_reals(double *values, size_t count);

/* How many bytes must be left out and put in to get from one word to the other; of each the first
 * 64. */
uint32_t weir_edit_distance(const char *one, const char *other);

/* "3G", "512M", "64K" or plain bytes; powers of 1024. False on anything else, or on overflow. */
bool weir_parse_size(const char *text, uint64_t *bytes);
/* "1.50 GiB", "13.2 MiB", "512 B" into out; returns out. */
const char *weir_format_size(uint64_t bytes, char *out, size_t capacity);

#endif
