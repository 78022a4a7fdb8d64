/* utf8.h - whole characters, unfinished ones, and text that may be shown on a terminal. */
#ifndef WEIR_UTF8_H
#define WEIR_UTF8_H

#include "base/base.h"

/* Length of the valid character at start, 1 to 4; 0 when there is none. */
size_t weir_utf8_char(const char *start, size_t length);
/* Bytes from start on that are whole valid characters. */
size_t weir_utf8_valid(const char *start, size_t length);
/* Bytes at the end that begin a character and do not finish it: 0 to 3. */
size_t weir_utf8_unfinished(const char *start, size_t length);
/* The character at start, which must be valid. */
uint32_t weir_utf8_decode(const char *start);
/* Writes 1 to 4 bytes. */
size_t weir_utf8_encode(uint32_t character, char out[4]);

/* A text from outside as one line that a terminal shows and does not obey: control characters (C0,
 * DEL, C1), line and paragraph separators, characters that turn the direction of writing or are
 * not seen, and bytes that are not UTF-8 are written as \n, \x1b, \u202e. All else is left alone,
 * backslashes too, so that doing it twice is doing it once. out is ended by NUL and cut where it
 * ends; returns its length. */
size_t weir_printable(const char *bytes, size_t length, char *out, size_t capacity);
/* Bytes that capacity needs at least for each byte of any text, and one more for the NUL. */
enum { WEIR_PRINTABLE_EACH_MAX = 4 };

#endif
