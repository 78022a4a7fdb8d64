/* changed_model.h - where a test writes the model that it has changed; made before its tests,
 * removed after them. */
#ifndef WEIR_TESTS_CHANGED_MODEL_H
#define WEIR_TESTS_CHANGED_MODEL_H

#include <unistd.h>

#include "scratch.h"

static char changed_path[64];

static inline int changed_model_set_up(void **state)
{
    (void)state;
    return !scratch_file(changed_path, sizeof(changed_path), "changed");
}

static inline int changed_model_tear_down(void **state)
{
    (void)state;
    return unlink(changed_path);
}

#endif
