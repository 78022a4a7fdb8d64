/* writer.h - text that grows, with JSON in it. */
#ifndef WEIR_SERVE_WRITER_H
#define WEIR_SERVE_WRITER_H

#include "base/base.h"

/* Once memory was short it stays as it is. */
struct weir_writer {
    char *bytes; /* NULL while it is empty */
    size_t length, capacity;
    bool failed;
};

void weir_writer_free(struct weir_writer *writer);
/* Empty again; the memory stays. */
void weir_writer_clear(struct weir_writer *writer);
/* Room for so many more bytes, at once. */
void weir_writer_reserve(struct weir_writer *writer, size_t more);
void weir_writer_put(struct weir_writer *writer, const char *bytes, size_t length);
void weir_writer_text(struct weir_writer *writer, const char *text);
void weir_writer_format(struct weir_writer *writer, const char *format, ...) WEIR_PRINTF(2, 3);
/* A JSON string with its quotes; what is not UTF-8 becomes U+FFFD. */
void weir_writer_string(struct weir_writer *writer, const char *bytes, size_t length);

#endif
