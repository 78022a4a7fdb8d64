/* state_layouts.h - what layers may remember: each kind alone, and mixed.
 *
 * A position has 64 KiB or more, where anything is paged, so that a page has 16 of them. */
#ifndef WEIR_STATE_LAYOUTS_H
#define WEIR_STATE_LAYOUTS_H

#include "state/state.h"

enum { LAYERS_MAX = 8, KIB = 1024 };

struct layout {
    const char *name;
    struct weir_state_config config;            /* without layers and n_ctx */
    struct weir_state_layer layers[LAYERS_MAX]; /* ended by one of no bytes */
};

static const struct layout positions_only = {
    .name = "positions only",
    .layers = {{WEIR_STATE_POSITIONS, 0, 40 * KIB, false},
               {WEIR_STATE_POSITIONS, 0, 24 * KIB, false}}};
static const struct layout one_window = {.name = "one window",
                                         .layers = {{WEIR_STATE_WINDOW, 20, 32 * KIB, false},
                                                    {WEIR_STATE_POSITIONS, 0, 32 * KIB, false}}};
static const struct layout windows_only = {.name = "windows only",
                                           .layers = {{WEIR_STATE_WINDOW, 1, 32 * KIB, false},
                                                      {WEIR_STATE_WINDOW, 33, 20 * KIB, false},
                                                      {WEIR_STATE_WINDOW, 1, 12 * KIB, false}}};
static const struct layout mixed_windows = {.name = "mixed windows",
                                            .layers = {{WEIR_STATE_WINDOW, 32, 16 * KIB, false},
                                                       {WEIR_STATE_POSITIONS, 0, 24, false},
                                                       {WEIR_STATE_WINDOW, 7, 16 * KIB, false},
                                                       {WEIR_STATE_NONE, 0, 1, false},
                                                       {WEIR_STATE_WINDOW, 100, 16 * KIB, false},
                                                       {WEIR_STATE_POSITIONS, 0, 16 * KIB, false},
                                                       {WEIR_STATE_WINDOW, 7, 1000, false}}};
static const struct layout recurrent = {.name = "recurrent",
                                        .config = {.snapshot_count = 6},
                                        .layers = {{WEIR_STATE_RECURRENT, 0, 5000, false},
                                                   {WEIR_STATE_POSITIONS, 0, 64 * KIB, false},
                                                   {WEIR_STATE_RECURRENT, 0, 100, false}}};
static const struct layout recurrent_windows = {
    .name = "recurrent, and windows",
    .config = {.snapshot_count = 20},
    .layers = {{WEIR_STATE_RECURRENT, 0, 8, false},
               {WEIR_STATE_WINDOW, 40, 32 * KIB, false},
               {WEIR_STATE_POSITIONS, 0, 32 * KIB, false}}};
static const struct layout seldom_snapshots = {
    .name = "seldom snapshots, windows that keep more",
    .config = {.snapshot_count = 8, .snapshot_length = 20, .rewind_length = 21},
    .layers = {{WEIR_STATE_WINDOW, 17, 32 * KIB, false},
               {WEIR_STATE_RECURRENT, 0, 100, false},
               {WEIR_STATE_POSITIONS, 0, 32 * KIB, false}}};
static const struct layout recurrent_only = {.name = "nothing paged",
                                             .config = {.snapshot_count = 2},
                                             .layers = {{WEIR_STATE_RECURRENT, 0, 3 << 20, false}}};
/* A recurrence here, and two whose bytes a device has. */
enum { BLOCKS_ELSEWHERE = 40 };
static const struct layout elsewhere = {
    .name = "recurrences elsewhere",
    .config = {.snapshot_count = 6, .block_max = BLOCKS_ELSEWHERE},
    .layers = {{WEIR_STATE_BLOCK_ELSEWHERE, 0, 8},
               {WEIR_STATE_RECURRENT, 0, 100, false},
               {WEIR_STATE_POSITIONS, 0, 64 * KIB, false},
               {WEIR_STATE_BLOCK_ELSEWHERE, 0, 8}}};
/* The same for texts in files: what the device has comes and goes. */
static const struct layout carried = {
    .name = "recurrences that are carried",
    .config = {.snapshot_count = 6, .block_max = BLOCKS_ELSEWHERE},
    .layers = {{WEIR_STATE_RECURRENT, 0, 100, true},
               {WEIR_STATE_POSITIONS, 0, 64 * KIB, false},
               {WEIR_STATE_RECURRENT, 0, 200, false},
               {WEIR_STATE_RECURRENT, 0, 48, true}}};
static const struct layout nothing = {.name = "nothing at all",
                                      .layers = {{WEIR_STATE_NONE, 0, 1, false}}};

static const struct layout *const layouts[] = {
    &positions_only, &one_window,     &windows_only,      &mixed_windows,    &recurrent,
    &nothing,        &recurrent_only, &recurrent_windows, &seldom_snapshots, &carried};

#endif
