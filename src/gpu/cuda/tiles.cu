/* tiles.cu - products of many rows with the formats that most models are in. */
#include "gpu/cuda/tiles.cuh"

KINDS(hot_kinds, HOT_KINDS);

TILES(hot, block_source<hot_kinds>, 32)
TILES(hot, block_source<hot_kinds>, 64)
TILES(hot, block_source<hot_kinds>, 128)
