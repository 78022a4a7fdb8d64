/* grids.h - the codebooks of the IQ formats, and the signs that go with them.
 *
 * An entry has a byte for each of its weights, the first lowest. Its number is what a block stores.
 *
 *   iq1      of -1, 0 and 1, in eighths and 8 too large: 0, 8, 16
 *   iq2_...  sizes 8, 25, 43
 *   iq3_xxs  sizes 4, 12, 20, 28, 36, 44, 52, 62
 *   iq3_s    sizes 1, 3, 5 ... 15 */
#ifndef WEIR_GRIDS_H
#define WEIR_GRIDS_H

#include <stdint.h>

/* Entries of four bytes may be read as 16: so many follow the last. */
enum { WEIR_GRID_PAD = 3 };

#ifdef __CUDACC__ /* a device has them in memory of its own */
#define WEIR_GRID static __device__ const
#else
#define WEIR_GRID const
extern const uint64_t weir_iq1_grid[2048];
extern const uint64_t weir_iq2_xxs_grid[256];
extern const uint64_t weir_iq2_xs_grid[512];
extern const uint64_t weir_iq2_s_grid[1024];
extern const uint32_t weir_iq3_xxs_grid[256 + WEIR_GRID_PAD];
extern const uint32_t weir_iq3_s_grid[512 + WEIR_GRID_PAD];
#endif

/* Eight signs in seven bits, of which 1 is minus: the number of minus signs is even. */
static inline unsigned weir_even_signs(unsigned seven)
{
    return seven | (unsigned)__builtin_parity(seven) << 7;
}

#endif
