/* changed_model.h - where a test writes the model that it has changed; made before its tests,
 * removed after them. */
#ifndef WEIR_TESTS_CHANGED_MODEL_H
#define WEIR_TESTS_CHANGED_MODEL_H

#include <stdlib.h>
#include <unistd.h>

static char changed_path[] = "/tmp/weir-changed-XXXXXX";

static inline int changed_model_set_up(void **state)
{
    (void)state;
    const int fd = mkstemp(changed_path);
    return fd < 0 || close(fd) != 0;
}

static inline int changed_model_tear_down(void **state)
{
    (void)state;
    return unlink(changed_path);
}

#endif
