/* lanes.h - registers of LANES floats, in the compiler's own vectors.
 *
 * A level defines LANES before it includes this. Every operation goes lane by lane, so the bits of
 * a lane are the same however many there are. */
#ifndef WEIR_ENCODE_LANES_H
#define WEIR_ENCODE_LANES_H

#include <stdint.h>
#include <string.h>

typedef float lanes __attribute__((vector_size(4 * LANES)));
typedef int32_t masks __attribute__((vector_size(4 * LANES)));

#define LANES_INLINE static inline __attribute__((always_inline))

LANES_INLINE lanes load(const float *from)
{
    lanes value;
    memcpy(&value, from, sizeof(value));
    return value;
}

LANES_INLINE void store(float *to, lanes value)
{
    memcpy(to, &value, sizeof(value));
}

LANES_INLINE lanes spread(float value)
{
    return (lanes){0} + value;
}

LANES_INLINE lanes pick(masks mask, lanes a, lanes b)
{
    return (lanes)((mask & (masks)a) | (~mask & (masks)b));
}

/* a where the mask is set, else 0. */
LANES_INLINE lanes keep(masks mask, lanes a)
{
    return (lanes)(mask & (masks)a);
}

LANES_INLINE lanes magnitude(lanes a)
{
    return (lanes)((masks)a & 0x7fffffff);
}

LANES_INLINE lanes least(lanes a, lanes b)
{
    return pick(a < b, a, b);
}

LANES_INLINE lanes greatest(lanes a, lanes b)
{
    return pick(a > b, a, b);
}

/* a / b, and 0 where b is not above 0. */
LANES_INLINE lanes ratio(lanes a, lanes b)
{
    const masks is_above = b > 0.0f;
    return keep(is_above, a / pick(is_above, b, spread(1.0f)));
}

/* 1 / a, and 0 where a is 0. */
LANES_INLINE lanes inverse(lanes a)
{
    const masks is_zero = a == 0.0f;
    return keep(~is_zero, 1.0f / pick(is_zero, spread(1.0f), a));
}

/* a's and b's lanes in turn: those of the first half, and of the second. */
LANES_INLINE lanes interleave_low(lanes a, lanes b)
{
#if LANES == 8
    return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
#else
    return __builtin_shufflevector(a, b, 0, 4, 1, 5);
#endif
}

LANES_INLINE lanes interleave_high(lanes a, lanes b)
{
#if LANES == 8
    return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
#else
    return __builtin_shufflevector(a, b, 2, 6, 3, 7);
#endif
}

/* The whole number nearest to a, even of two; a below 2^22 in magnitude. */
LANES_INLINE lanes round_even(lanes a)
{
    return (a + 0x1.8p23f) - 0x1.8p23f;
}

#endif
