/* base.c - error records, assertions, checked numbers, time, sizes as text. */
#include "base/base.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/utf8.h"

/* A sentence as a terminal may have it: names in it come from files and from people. */
static size_t print_line(char *out, size_t capacity, const char *format, va_list args)
{
    char text[1024];
    vsnprintf(text, sizeof(text), format, args);
    return weir_printable(text, strlen(text), out, capacity);
}

enum weir_status weir_err_record(struct weir_err *err, enum weir_status status, int os_errno,
                                 const char *file, int line, const char *format, ...)
{
    if (err == NULL || err->status != WEIR_OK)
        return status;
    err->status = status;
    err->os_errno = os_errno;
    err->file = file;
    err->line = line;
    va_list args;
    va_start(args, format);
    size_t length = print_line(err->text, sizeof(err->text), format, args);
    va_end(args);
    if (os_errno != 0 && length + 1 < sizeof(err->text)) {
        char text[96];
        /* The GNU strerror_r: thread-safe, and text is only its spare room. */
        const char *reason = strerror_r(os_errno, text, sizeof(text));
        snprintf(err->text + length, sizeof(err->text) - length, ": %s", reason);
    }
    return status;
}

void weir_warn(struct weir_warnings *warnings, const char *format, ...)
{
    if (warnings == NULL)
        return;
    char text[WEIR_WARNING_TEXT_MAX];
    va_list args;
    va_start(args, format);
    print_line(text, sizeof(text), format, args);
    va_end(args);
    for (uint32_t index = 0; index < warnings->count; index++)
        if (strcmp(warnings->text[index], text) == 0)
            return;
    if (warnings->count == WEIR_WARNING_MAX)
        warnings->more++;
    else
        memcpy(warnings->text[warnings->count++], text, sizeof(text));
}

_Noreturn void weir_assert_failed(const char *file, int line, const char *cond)
{
    fprintf(stderr, "weir: %s:%d: broken promise: %s\n", file, line, cond);
    abort();
}

bool weir_checked_mul(uint64_t a, uint64_t b, uint64_t *out)
{
    uint64_t product;
    if (__builtin_mul_overflow(a, b, &product))
        return false;
    *out = product;
    return true;
}

bool weir_checked_add(uint64_t a, uint64_t b, uint64_t *out)
{
    uint64_t sum;
    if (__builtin_add_overflow(a, b, &sum))
        return false;
    *out = sum;
    return true;
}

uint64_t weir_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t weir_random_next(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    uint64_t mixed = *state;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9u;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebu;
    return mixed ^ (mixed >> 31);
}

double weir_random_unit(uint64_t *state)
{
    return (double)(weir_random_next(state) >> 11) * 0x1.0p-53;
}

static int compare_reals(const void *left, const void *right)
{
    const double a = *(const double *)left;
    const double b = *(const double *)right;
    return (a > b) - (a < b);
}

void weir_sort_reals(double *values, size_t count)
{
    qsort(values, count, sizeof(*values), compare_reals);
}

/* The power of two that a unit letter stands for; false when it is none. */
static bool parse_unit(const char *text, unsigned *shift)
{
    static const char letters[] = "KMGT";
    if (*text == '\0') {
        *shift = 0;
        return true;
    }
    const char *found = strchr(letters, toupper((unsigned char)*text));
    if (found == NULL)
        return false;
    *shift = 10u * (unsigned)(found - letters + 1);
    text++;
    if (strcasecmp(text, "iB") != 0 && strcasecmp(text, "B") != 0 && *text != '\0')
        return false;
    return true;
}

bool weir_parse_size(const char *text, uint64_t *bytes)
{
    if (text == NULL || !isdigit((unsigned char)*text))
        return false;
    char *end = NULL;
    const double number = strtod(text, &end);
    unsigned shift = 0;
    /* strtod also knows exponents and hexadecimal; a size has neither. */
    if (end != text + strspn(text, "0123456789.") || !parse_unit(end, &shift))
        return false;
    const double total = number * (double)(1ull << shift);
    if (!isfinite(total) || total < 0.0 || total >= 0x1.0p63)
        return false;
    if (shift == 0 && total != floor(total))
        return false;
    *bytes = (uint64_t)total;
    return true;
}

const char *weir_format_size(uint64_t bytes, char *out, size_t capacity)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024.0 && unit + 1 < WEIR_COUNT(units)) {
        value /= 1024.0;
        unit++;
    }
    if (unit == 0)
        snprintf(out, capacity, "%llu B", (unsigned long long)bytes);
    else
        snprintf(out, capacity, "%.*f %s", value < 10.0 ? 2 : 1, value, units[unit]);
    return out;
}
