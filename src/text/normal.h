/* normal.h - the form that a text has before it is cut, made as it comes.
 *
 * Job       Unicode's normal forms, replacements, white space, SentencePiece's map of characters.
 * Not here  Which steps a vocabulary wants (text.h), pieces (split.h).
 * Owns      Each struct its scratch, until deinit; what it gives is borrowed until the next call.
 * Threads   One thread at a time for each struct.
 * Errors    WEIR_ERR_NOMEM; WEIR_ERR_FORMAT: a map of characters that contradicts itself.
 * Source    UAX 15; the steps as Hugging Face tokenizers and SentencePiece do them.
 */
#ifndef WEIR_TEXT_NORMAL_H
#define WEIR_TEXT_NORMAL_H

#include "base/utf8.h"
#include "text/text.h"

/* Growing arrays (scratch.c). */
struct weir_text_array {
    void *at;
    size_t capacity; /* elements */
};
/* Room for count elements of each bytes, contents kept. */
enum weir_status weir_text_array_reserve(struct weir_text_array *array, size_t count, size_t each,
                                         struct weir_err *err);
/* Gives the memory back when it is larger than keep_bytes. */
void weir_text_array_trim(struct weir_text_array *array, size_t each, size_t keep_bytes);

/* Unicode's normal forms of valid UTF-8 (nfc.c). */
struct weir_text_nfc {
    enum weir_normal_kind form;
    struct weir_text_array characters; /* int32_t, one stretch decomposed */
    struct weir_text_array sorted;     /* int32_t */
    struct weir_text_array bytes;      /* char, the result */
    size_t byte_count;
    /* of a text that comes in parts: char, of which given_count were given by the last call */
    struct weir_text_array held;
    size_t held_count, given_count;
};
/* *out borrows bytes or nfc until the next call. */
enum weir_status weir_text_nfc_apply(struct weir_text_nfc *nfc, const char *bytes, size_t length,
                                     struct weir_bytes *out, struct weir_err *err);
/* The same for the next part of a text; what may be joined with what follows is held until ends. */
enum weir_status weir_text_nfc_feed(struct weir_text_nfc *nfc, const char *bytes, size_t length,
                                    bool ends, struct weir_bytes *out, struct weir_err *err);
/* True for characters that never join with what stands before them. */
bool weir_text_nfc_starts_afresh(enum weir_normal_kind form, uint32_t character);
/* The characters that one becomes, how many; and whether it has a combining class. */
enum { WEIR_TEXT_DECOMPOSED_MAX = 18 }; /* as utf8proc documents */
size_t weir_text_nfc_decompose(enum weir_normal_kind form, int32_t character,
                               int32_t out[WEIR_TEXT_DECOMPOSED_MAX]);
bool weir_text_nfc_is_mark(int32_t character);
void weir_text_nfc_deinit(struct weir_text_nfc *nfc);

/* The steps of rules->normal over valid UTF-8 that comes in parts (normal.c). */
struct weir_text_normal_state {
    struct weir_text_nfc nfc;
    struct weir_text_array out, held; /* char */
    size_t out_count, held_count;
    bool is_begun; /* something but white space has come */
};
struct weir_text_normal {
    struct weir_text_normal_state states[WEIR_NORMAL_MAX];
    bool is_first;
};
/* is_first: the text begins here, not behind a special token. */
void weir_text_normal_begin(struct weir_text_normal *normal, bool is_first);
/* *out borrows bytes or normal until the next call; what may still change is held until ends. */
enum weir_status weir_text_normal_feed(struct weir_text_normal *normal,
                                       const struct weir_text_rules *rules, const char *bytes,
                                       size_t length, bool ends, struct weir_bytes *out,
                                       struct weir_err *err);
/* Bytes that are held and cannot vanish: no step follows that might take them away. */
size_t weir_text_normal_held(const struct weir_text_normal *normal,
                             const struct weir_text_rules *rules);
void weir_text_normal_deinit(struct weir_text_normal *normal);

/* SentencePiece's map (charsmap.c). */
enum weir_status weir_text_charsmap_check(struct weir_bytes map, struct weir_err *err);
/* How many bytes the longest entry has that the text begins with, and what it becomes; 0: there is
 * none. *may_go_on: a longer text might have a longer one. */
size_t weir_text_charsmap_match(struct weir_bytes map, const char *bytes, size_t length,
                                struct weir_bytes *to, bool *may_go_on);

#endif
