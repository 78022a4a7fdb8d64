/* text_parts.h - what the files of the text room share; no other room includes it.
 *
 * The way of a text, which comes in parts: encoder.c cuts out special tokens (prefixes.c); what
 * lies between is brought into its normal form (plain.c, normal.c, nfc.c, charsmap.c) and cut
 * (split_stream.c), or goes to sentencepiece.c; pieces.c makes tokens of the pieces, as the model
 * does (byte_level.c, characters.c, sentencepiece.c: merge.c; unigram.c, wordpiece.c). Each of them
 * holds what it cannot decide yet. detokenizer.c goes back.
 */
#ifndef WEIR_TEXT_PARTS_H
#define WEIR_TEXT_PARTS_H

#include "base/utf8.h"
#include "text/normal.h"
#include "text/split.h"
#include "text/text.h"

enum {
    WEIR_TEXT_LENGTH_MAX = 1 << 30,
    WEIR_TEXT_SCRATCH_KEEP_BYTES = 1 << 18, /* larger scratch goes back after each text */
    WEIR_TEXT_NODE_BYTES = 24,              /* of a unigram's lattice */
    WEIR_TEXT_SLICE_BYTES = 4096,
    WEIR_TEXT_WINDOW_BYTES = 8192,
    WEIR_TEXT_WINDOW_TOKENS = 32, /* as long as so many of the longest token at least */
};

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

/* Tokens by what they begin with (prefixes.c): ids in the order of their text, narrowed byte by
 * byte. */
struct weir_text_prefixes {
    uint32_t *ids;
    uint32_t first_of[257]; /* index of the first one beginning with a byte, and the end */
    size_t longest;         /* bytes; 0: there are none */
};
/* types: those with bit 1 << type set. */
enum weir_status weir_text_prefixes_init(struct weir_text_prefixes *prefixes,
                                         const struct weir_vocab *vocab, uint32_t types,
                                         struct weir_err *err);
void weir_text_prefixes_deinit(struct weir_text_prefixes *prefixes);
/* The tokens whose first depth bytes are those of a text. */
struct weir_text_prefix {
    uint32_t first, end;
    size_t depth;
};
/* One byte more; false when no token begins so. */
bool weir_text_prefixes_narrow(const struct weir_text_prefixes *prefixes,
                               const struct weir_vocab *vocab, struct weir_text_prefix *prefix,
                               char byte);
/* The one that is no longer than the prefix, of several the lowest; or WEIR_TOKEN_NONE. */
uint32_t weir_text_prefixes_whole(const struct weir_text_prefixes *prefixes,
                                  const struct weir_vocab *vocab,
                                  const struct weir_text_prefix *prefix);
/* The longest token that the text begins with, or WEIR_TOKEN_NONE. Control tokens only when
 * with_control. */
uint32_t weir_text_prefixes_match(const struct weir_text_prefixes *prefixes,
                                  const struct weir_vocab *vocab, const char *start, size_t length,
                                  bool with_control);

/* Whether one of the tokens with that prefix is a control token. */
bool weir_text_prefixes_has_control(const struct weir_text_prefixes *prefixes,
                                    const struct weir_vocab *vocab,
                                    const struct weir_text_prefix *prefix);

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
    bool was_unknown;              /* the last token is the unknown one */
    struct weir_text_merger spare; /* to look at the end of a long piece */
};
enum weir_status weir_text_pieces_feed(void *pieces, const char *bytes, size_t length, bool ends,
                                       struct weir_err *err);
void weir_text_pieces_deinit(struct weir_text_pieces *pieces);

/* Unicode's White_Space. */
bool weir_text_is_space(uint32_t character);

/* A text without special tokens that comes in parts. */
struct weir_text_plain {
    weir_text *text;
    struct weir_text_pieces pieces;
    char tail[4]; /* of a character that is not whole yet */
    size_t tail_count;
    bool is_begun;
    /* with rules (plain.c) */
    weir_text_split_stream *split;
    struct weir_text_normal normal;
    bool is_behind;       /* something of the text has come before */
    bool in_text, in_raw; /* valid UTF-8, or bytes that are not, have been given to the pieces */
    /* sentencepiece */
    bool after_mark;
};
/* length bytes, of which no character is cut; ends: of the text without special tokens. */
typedef enum weir_status weir_text_feed_fn(struct weir_text_plain *plain, const char *bytes,
                                           size_t length, bool ends, struct weir_err *err);
weir_text_feed_fn weir_text_plain_feed, weir_text_sentencepiece_feed;

/* A value of tokenizer.ggml.model: how tokens are written, and made. */
typedef enum weir_status weir_text_init_fn(weir_text *text, struct weir_warnings *warnings,
                                           struct weir_err *err);
/* The tokens of a piece into text->merger; symbols without an id are single characters, or bytes
 * that are no UTF-8: weir_text_single() tells theirs. */
typedef enum weir_status weir_text_cut_fn(weir_text *text, const char *bytes, size_t length,
                                          struct weir_err *err);
struct weir_text_model {
    const char *name;
    weir_text_init_fn *init; /* on failure, decoding works all the same */
    weir_text_feed_fn *feed;
    weir_text_cut_fn *cut;
    uint32_t no_text_types; /* bits 1 << type of tokens that no text is cut into */
    bool has_alphabet;      /* tokens are written in GPT-2's alphabet of bytes */
    bool fuses_unknown;     /* a run of unknown characters is one token */
    uint32_t word_max;      /* longer pieces, in characters, are unknown; 0: none is */
};
weir_text_init_fn weir_text_byte_level_init, weir_text_characters_init,
    weir_text_sentencepiece_init, weir_text_unigram_init, weir_text_wordpiece_init;
weir_text_cut_fn weir_text_byte_level_cut, weir_text_characters_cut, weir_text_sentencepiece_cut,
    weir_text_unigram_cut, weir_text_wordpiece_cut;

/* GPT-2's alphabet (byte_level.c). */
struct weir_text_alphabet {
    char encoded[256][2]; /* the characters: 1 or 2 bytes each */
    uint8_t encoded_length[256];
    int16_t decoded[512]; /* character to byte, or -1 */
};
void weir_text_alphabet_init(struct weir_text_alphabet *alphabet);
/* The id of a piece that is a normal token as it stands. */
uint32_t weir_text_byte_level_whole(weir_text *text, const char *bytes, size_t length);
/* The bytes of one stored token into out, at most WEIR_PIECE_MAX; out NULL: only how many. */
size_t weir_text_byte_level_decode(const struct weir_text_alphabet *alphabet,
                                   struct weir_bytes token, char *out);

/* Pairs of tokens and the rank of their merge (ranks.c). */
struct weir_text_ranks {
    struct weir_text_merge_slot *slots;
    uint32_t mask;
};
/* Those of the vocabulary into text->ranks. */
enum weir_status weir_text_ranks_init(weir_text *text, struct weir_warnings *warnings,
                                      struct weir_err *err);
void weir_text_ranks_deinit(struct weir_text_ranks *ranks);
weir_text_pair_fn weir_text_pair_by_rank;

/* One symbol for each character, linked, without ids (characters.c). */
enum weir_status weir_text_link_characters(weir_text *text, const char *bytes, size_t length,
                                           struct weir_err *err);
/* Bytes that have no token together (characters.c): their byte tokens, or the unknown one. */
enum weir_status weir_text_single(weir_text *text, const char *start, size_t length,
                                  struct weir_text_ids *ids, bool *was_unknown,
                                  struct weir_err *err);
/* Byte tokens like <0x0A> into text->byte_ids (characters.c). FORMAT when one that is marked as a
 * byte is none, or when some are missing and there is no unknown token. */
enum weir_status weir_text_find_byte_tokens(weir_text *text, struct weir_err *err);
/* The byte that a token stands for, or -1 when it is not one of the byte tokens. */
int weir_text_token_byte(const weir_text *text, uint32_t id);
/* A token with U+2581 for spaces (characters.c). */
size_t weir_text_decode_marks(struct weir_bytes token, char *out);
bool weir_text_starts_with_mark(const char *start, size_t length);
#define WEIR_TEXT_MARK "\xe2\x96\x81"
enum { WEIR_TEXT_MARK_LENGTH = 3 };

struct weir_text {
    struct weir_vocab vocab; /* its arrays are borrowed */
    const struct weir_text_model *model;
    struct weir_text_rules rules;
    weir_text_splitter *splitter; /* NULL: none is needed, or there is no encoding */
    struct weir_text_map map;
    struct weir_text_prefixes specials;
    uint32_t byte_ids[256]; /* WEIR_TOKEN_NONE: that byte has no token */
    uint32_t *end_ids;
    uint32_t end_count;
    struct weir_err no_encoding; /* why texts cannot be cut into tokens; WEIR_OK: they can */
    struct weir_text_alphabet alphabet;
    struct weir_text_ranks ranks;
    struct weir_text_prefixes words; /* unigram: the tokens */
    struct weir_text_array lattice;  /* unigram: a node of unigram.c for each byte */
    double unknown_score;
    bool has_all_bytes; /* every byte has a token, so that none is unknown */
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
