/* tiles_float.cu - products of many rows with values that stand for themselves, and codes. */
#include "gpu/cuda/tiles.cuh"

TILES(float, float_source, 32)
TILES(float, float_source, 64)
