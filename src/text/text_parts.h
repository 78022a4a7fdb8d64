/* text_parts.h - what the files of the text room share; no other room includes it.
 *
 * The way of a text: special.c cuts out special tokens; what lies between goes to the model,
 * byte_level.c (nfc.c, split.c, merge.c) or sentencepiece.c (merge.c); detokenizer.c goes back.
 */
#ifndef WEIR_TEXT_PARTS_H
#define WEIR_TEXT_PARTS_H

#include "base/utf8.h"
#include "text/split.h"
#include "text/text.h"

enum {
    WEIR_TEXT_LENGTH_MAX = 1 << 30,
    WEIR_TEXT_SCRATCH_KEEP_BYTES = 1 << 18, /* larger scratch goes back after each call */
};

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

struct weir_text_ids {
    struct weir_text_array array; /* uint32_t */
    size_t count;
};
enum weir_status weir_text_ids_push(struct weir_text_ids *ids, uint32_t id, struct weir_err *err);

/* Token text to id (token_map.c): open addressing, half of the hash kept beside the id. */
struct weir_text_map {
    struct weir_text_map_slot *slots;
    uint32_t mask;
    const struct weir_bytes *tokens; /* borrowed */
    size_t longest;                  /* bytes of the longest token in the map */
};
/* Of equal tokens the lowest id wins. skip_types: bit 1 << type leaves tokens of that type out. */
enum weir_status weir_text_map_init(struct weir_text_map *map, const struct weir_vocab *vocab,
                                    uint32_t skip_types, struct weir_err *err);
void weir_text_map_deinit(struct weir_text_map *map);
/* WEIR_TOKEN_NONE when there is none. */
uint32_t weir_text_map_find(const struct weir_text_map *map, const char *start, size_t length);

/* Special tokens in a text (special.c): ids in the order of their text, narrowed byte by byte. */
struct weir_text_specials {
    uint32_t *ids;
    uint32_t first_of[257]; /* index of the first one beginning with a byte, and the end */
};
enum weir_status weir_text_specials_init(struct weir_text_specials *specials,
                                         const struct weir_vocab *vocab, struct weir_err *err);
void weir_text_specials_deinit(struct weir_text_specials *specials);
/* The longest one that the text begins with, or WEIR_TOKEN_NONE. Control tokens only when
 * with_control. */
uint32_t weir_text_specials_match(const struct weir_text_specials *specials,
                                  const struct weir_vocab *vocab, const char *start, size_t length,
                                  bool with_control);

/* Tokens that end a text or a turn (ends.c), into text->end_ids. */
enum weir_status weir_text_find_ends(weir_text *text, struct weir_err *err);

/* Merging neighbours, lowest key first, leftmost first among equals (merge.c): a linked list of
 * symbols and a heap of (key, left symbol); an entry whose key is no longer its symbol's is stale.
 * O(n log n) for n symbols. */
struct weir_text_symbol {
    uint32_t id;
    uint32_t previous, next; /* WEIR_TOKEN_NONE at the ends */
    uint32_t key;            /* of the merge with next; UINT32_MAX: none */
    uint32_t joined;         /* the id that merge gives */
};
struct weir_text_merger {
    struct weir_text_array symbols; /* struct weir_text_symbol, at the offset where each begins */
    struct weir_text_array heap;    /* uint64_t */
    size_t heap_count;
    const char *bytes; /* what the symbols stand for */
    size_t length;
};
/* Sets key (below UINT32_MAX) and joined of left, or returns false. */
typedef bool weir_text_pair_fn(const weir_text *text, uint32_t left, uint32_t right);
/* symbols[0] is the first; every symbol's id and links are set. */
enum weir_status weir_text_merger_run(weir_text *text, weir_text_pair_fn *pair,
                                      struct weir_err *err);

/* Unicode normal form C of valid UTF-8 (nfc.c). */
struct weir_text_nfc {
    struct weir_text_array characters; /* int32_t, one stretch decomposed */
    struct weir_text_array sorted;     /* int32_t */
    struct weir_text_array bytes;      /* char, the result */
    size_t byte_count;
};
/* *out borrows bytes or nfc until the next call. */
enum weir_status weir_text_nfc_apply(struct weir_text_nfc *nfc, const char *bytes, size_t length,
                                     struct weir_bytes *out, struct weir_err *err);

/* Byte-level BPE (byte_level.c). */
struct weir_text_byte_level {
    weir_text_splitter *splitter;
    struct weir_text_merge_slot *merges; /* (left id, right id) to rank and joined id */
    uint32_t merge_mask;
    char encoded[256][2]; /* the alphabet's characters: 1 or 2 bytes each */
    uint8_t encoded_length[256];
    int16_t decoded[512]; /* character to byte, or -1 */
    struct weir_text_nfc nfc;
};
/* On failure, decoding works all the same. */
enum weir_status weir_text_byte_level_init(weir_text *text, struct weir_warnings *warnings,
                                           struct weir_err *err);
void weir_text_byte_level_deinit(struct weir_text_byte_level *level);
enum weir_status weir_text_byte_level_encode(weir_text *text, const char *bytes, size_t length,
                                             struct weir_text_ids *ids, struct weir_err *err);
/* The bytes of one stored token into out, at most WEIR_PIECE_MAX; out NULL: only how many. */
size_t weir_text_byte_level_decode(const struct weir_text_byte_level *level,
                                   struct weir_bytes token, char *out);

/* SentencePiece-style BPE (sentencepiece.c). On failure, decoding works all the same. */
enum weir_status weir_text_sentencepiece_init(weir_text *text, struct weir_err *err);
/* space_first: the text gets a space in front. */
enum weir_status weir_text_sentencepiece_encode(weir_text *text, const char *bytes, size_t length,
                                                bool space_first, struct weir_text_ids *ids,
                                                struct weir_err *err);
size_t weir_text_sentencepiece_decode(struct weir_bytes token, char *out);
/* The byte that a token stands for, or -1 when it is not one of the byte tokens. */
int weir_text_sentencepiece_byte(const weir_text *text, uint32_t id);

struct weir_text {
    struct weir_vocab vocab; /* its arrays are borrowed */
    bool sentencepiece;      /* else byte-level */
    struct weir_text_map map;
    struct weir_text_specials specials;
    uint32_t byte_ids[256]; /* WEIR_TOKEN_NONE: that byte has no token */
    uint32_t *end_ids;
    uint32_t end_count;
    struct weir_err no_encoding; /* why texts cannot be cut into tokens; WEIR_OK: they can */
    struct weir_text_byte_level level;
    bool words_apart; /* sentencepiece: no token holds a space mark after another character */
    struct weir_text_merger merger;
    struct weir_text_array word; /* char: the text between two cuts, as the merger sees it */
    char piece[WEIR_PIECE_MAX];
};

enum weir_token_type weir_text_type(const weir_text *text, uint32_t id);

#endif
