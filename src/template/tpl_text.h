/* tpl_text.h - what Python does with a str: places in it count characters, not bytes. */
#ifndef WEIR_TPL_TEXT_H
#define WEIR_TPL_TEXT_H

#include "template/tpl_value.h"

/* All texts are valid UTF-8. */
size_t weir_tpl_count_chars(struct tpl_value text);
/* Bytes of the white space (str.isspace()) that text begins or ends with. */
size_t weir_tpl_space_before(const char *bytes, size_t length);
size_t weir_tpl_space_after(const char *bytes, size_t length);
/* Part of it, by bytes; as safe as it. */
struct tpl_value weir_tpl_part(struct tpl_value text, size_t from, size_t to);
/* Where part begins, at byte from or behind it; SIZE_MAX: nowhere. */
size_t weir_tpl_find(struct tpl_run *run, struct tpl_value text, struct tpl_value part,
                     size_t from);
/* The last one that ends at byte to or before it. */
size_t weir_tpl_find_last(struct tpl_run *run, struct tpl_value text, struct tpl_value part,
                          size_t to);
/* Strip what is in chars (undefined or none: white space). */
enum { TPL_LEFT = 1, TPL_RIGHT = 2 };
struct tpl_value weir_tpl_strip(struct tpl_run *run, struct tpl_value text, struct tpl_value chars,
                                unsigned sides);
/* limit below 0: all. */
struct tpl_value weir_tpl_replace(struct tpl_run *run, struct tpl_value text, struct tpl_value old,
                                  struct tpl_value new, int64_t limit);
/* At white space where at is undefined or none. */
struct tpl_value weir_tpl_split(struct tpl_run *run, struct tpl_value text, struct tpl_value at,
                                int64_t limit, bool from_right);
struct tpl_value weir_tpl_split_lines(struct tpl_run *run, struct tpl_value text, bool keeps_ends);
enum tpl_case { TPL_UPPER, TPL_LOWER, TPL_CAPITALIZE, TPL_TITLE, TPL_TITLE_WORDS };
struct tpl_value weir_tpl_change_case(struct tpl_run *run, struct tpl_value text,
                                      enum tpl_case how);
/* & < > ' " as HTML writes them; a text that is safe stays. The outcome is safe. */
struct tpl_value weir_tpl_escape(struct tpl_run *run, struct tpl_value text);
/* a + b, with Markup's rule: beside a safe text the other one is escaped. */
struct tpl_value weir_tpl_add_texts(struct tpl_run *run, struct tpl_value a, struct tpl_value b);
/* text[from:to:step]; from and to as Python has clamped them, in characters. */
struct tpl_value weir_tpl_slice_text(struct tpl_run *run, struct tpl_value text, int64_t from,
                                     int64_t count, int64_t step);

#endif
