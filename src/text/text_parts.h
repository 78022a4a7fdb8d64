/* text_parts.h - what the files of the text room share; no other room includes it.
 *
 * The way of a text, which comes in parts: encoder.c cuts out special tokens (special.c); what lies
 * between goes to byte_level.c (nfc.c, split_stream.c) or to sentencepiece.c; pieces.c merges what
 * they cut (merge.c). Each of them holds what it cannot decide yet. detokenizer.c goes back.
 */
#ifndef WEIR_TEXT_PARTS_H
#define WEIR_TEXT_PARTS_H

#include "base/utf8.h"
#include "text/split.h"
#include "text/text.h"

enum {
    WEIR_TEXT_LENGTH_MAX = 1 << 30,
    WEIR_TEXT_SCRATCH_KEEP_BYTES = 1 << 18, /* larger scratch goes back after each text */
    WEIR_TEXT_SLICE_BYTES = 4096,
    WEIR_TEXT_WINDOW_BYTES = 8192,
    WEIR_TEXT_WINDOW_TOKENS = 32, /* as long as so many of the longest token at least */
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
    size_t longest;         /* bytes; 0: there are none */
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

/* A piece that comes in parts (pieces.c): a weir_text_piece_fn. ids is where its tokens go; tokens
 * that are certain go before the piece ends, when it is long. */
struct weir_text_pieces {
    weir_text *text;
    struct weir_text_ids *ids;
    struct weir_text_array held; /* char: of the piece, without tokens yet */
    size_t length, window;
    bool is_begun;                 /* some of the piece has its tokens */
    bool was_unknown;              /* sentencepiece: the last token is the unknown one */
    struct weir_text_merger spare; /* to look at the end of a long piece */
};
enum weir_status weir_text_pieces_feed(void *pieces, const char *bytes, size_t length, bool ends,
                                       struct weir_err *err);
void weir_text_pieces_deinit(struct weir_text_pieces *pieces);

/* Unicode normal form C of valid UTF-8 (nfc.c). */
struct weir_text_nfc {
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
bool weir_text_nfc_starts_afresh(uint32_t character);
/* The characters that one becomes, how many; and whether it has a combining class. */
enum { WEIR_TEXT_DECOMPOSED_MAX = 18 }; /* as utf8proc documents */
size_t weir_text_nfc_decompose(int32_t character, int32_t out[WEIR_TEXT_DECOMPOSED_MAX]);
bool weir_text_nfc_is_mark(int32_t character);
void weir_text_nfc_deinit(struct weir_text_nfc *nfc);

/* A text without special tokens that comes in parts, in either model. */
struct weir_text_plain {
    weir_text *text;
    struct weir_text_pieces pieces;
    char tail[4]; /* of a character that is not whole yet */
    size_t tail_count;
    bool is_begun;
    /* byte-level */
    weir_text_split_stream *split;
    struct weir_text_nfc nfc;
    bool in_text, in_raw; /* valid UTF-8, or bytes that are not, have been given to the pieces */
    /* sentencepiece */
    bool after_mark;
};
/* length bytes, of which no character is cut; ends: of the text without special tokens. */
enum weir_status weir_text_byte_level_feed(struct weir_text_plain *plain, const char *bytes,
                                           size_t length, bool ends, struct weir_err *err);
enum weir_status weir_text_sentencepiece_feed(struct weir_text_plain *plain, const char *bytes,
                                              size_t length, bool ends, struct weir_err *err);

/* Byte-level BPE (byte_level.c). */
struct weir_text_byte_level {
    weir_text_splitter *splitter;
    struct weir_text_merge_slot *merges; /* (left id, right id) to rank and joined id */
    uint32_t merge_mask;
    char encoded[256][2]; /* the alphabet's characters: 1 or 2 bytes each */
    uint8_t encoded_length[256];
    int16_t decoded[512]; /* character to byte, or -1 */
};
/* On failure, decoding works all the same. */
enum weir_status weir_text_byte_level_init(weir_text *text, struct weir_warnings *warnings,
                                           struct weir_err *err);
void weir_text_byte_level_deinit(struct weir_text_byte_level *level);
/* The id of a piece that is a token as it stands, where the family looks for that first. */
uint32_t weir_text_byte_level_whole(weir_text *text, const char *bytes, size_t length);
/* The symbols of bytes in text->merger, merged. */
enum weir_status weir_text_byte_level_merge(weir_text *text, const char *bytes, size_t length,
                                            struct weir_err *err);
/* The bytes of one stored token into out, at most WEIR_PIECE_MAX; out NULL: only how many. */
size_t weir_text_byte_level_decode(const struct weir_text_byte_level *level,
                                   struct weir_bytes token, char *out);

/* SentencePiece-style BPE (sentencepiece.c). On failure, decoding works all the same. */
enum weir_status weir_text_sentencepiece_init(weir_text *text, struct weir_err *err);
/* The symbols of bytes (with space marks) in text->merger, merged; those without an id are single
 * characters, or bytes that are no UTF-8: their ids are told by the next function. */
enum weir_status weir_text_sentencepiece_merge(weir_text *text, const char *bytes, size_t length,
                                               struct weir_err *err);
enum weir_status weir_text_sentencepiece_single(weir_text *text, const char *start, size_t length,
                                                struct weir_text_ids *ids, bool *was_unknown,
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
    bool has_all_bytes; /* sentencepiece: every byte has a token, so that none is unknown */
    bool words_apart;   /* sentencepiece: no token holds a space mark after another character */
    struct weir_text_merger merger;
    size_t longest_bytes; /* of the bytes that one token stands for; 4 at least */
    size_t slice_bytes;   /* of a text that are looked at together */
    size_t window_bytes;  /* of a piece that are merged together */
    char piece[WEIR_PIECE_MAX];
};

void weir_text_trim_scratch(weir_text *text, size_t keep_bytes);
enum weir_token_type weir_text_type(const weir_text *text, uint32_t id);

#endif
