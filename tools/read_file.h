/* read_file.h - a whole file in memory, for small tools, which end with a word when it fails. */
#ifndef WEIR_TOOLS_READ_FILE_H
#define WEIR_TOOLS_READ_FILE_H

#include <stdio.h>
#include <stdlib.h>

#include "base/heap.h"

static _Noreturn void give_up(const char *tool, const char *what, const char *why)
{
    fprintf(stderr, "%s: %s: %s\n", tool, what, why);
    exit(1);
}

/* The file's bytes, of weir_heap_free(); *length: how many, little more than most_bytes at most. */
static char *read_file(const char *tool, const char *path, size_t most_bytes, size_t *length)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        give_up(tool, path, "cannot be opened");
    size_t capacity = 1 << 16;
    char *bytes = NULL;
    for (*length = 0; *length < most_bytes; capacity *= 2) {
        bytes = weir_heap_grow(bytes, capacity);
        if (bytes == NULL)
            give_up(tool, path, "no memory");
        *length += fread(bytes + *length, 1, capacity - *length, file);
        if (*length < capacity)
            break;
    }
    fclose(file);
    return bytes;
}

#endif
