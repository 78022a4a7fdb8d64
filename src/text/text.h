/* text.h - bytes to token ids and back.
 *
 * Job       Byte-level BPE (GPT-2 family), BPE over characters by rank or by score (SentencePiece),
 *           unigram, WordPiece; streaming detokenisation.
 * Not here  Reading vocabularies from files (formats/), sampling (engine/).
 * Shapes    ids are in [0, n_vocab).
 * Owns      weir_text owns its tables; it borrows the bytes of struct weir_vocab, which must live
 *           as long.
 * Threads   One thread at a time per weir_text and its encoders (they share scratch). What gives
 *           ids their text or kind (pieces, detokenizers, is_...) may run beside it, on any thread.
 * Errors    WEIR_ERR_FORMAT: the vocabulary contradicts itself, or lacks what texts need.
 *           WEIR_ERR_UNSUPPORTED: an unknown model or pre-tokenizer, named. WEIR_ERR_NOMEM.
 * Limits    A text of at most 1 GiB in one call.
 * Source    BPE: arXiv:1508.07909; byte-level alphabet: GPT-2 (Radford et al. 2019); SentencePiece:
 *           arXiv:1808.06226; unigram: arXiv:1804.10959; WordPiece: arXiv:1810.04805. Pre-tokenizer
 *           patterns as published in each model's tokenizer.json.
 */
#ifndef WEIR_TEXT_H
#define WEIR_TEXT_H

#include "base/base.h"

/* Bytes inside somebody else's buffer; not ended by NUL. */
struct weir_bytes {
    const char *start;
    size_t length;
};

/* GGUF's tokenizer.ggml.token_type. */
enum weir_token_type {
    WEIR_TOKEN_NORMAL = 1,
    WEIR_TOKEN_UNKNOWN = 2,
    WEIR_TOKEN_CONTROL = 3,
    WEIR_TOKEN_USER_DEFINED = 4,
    WEIR_TOKEN_UNUSED = 5,
    WEIR_TOKEN_BYTE = 6,
};

#define WEIR_TOKEN_NONE UINT32_MAX /* "this vocabulary has no such token" */

/* Steps that bring a text between two special tokens into the form that its pieces are cut from. */
enum weir_normal_kind {
    WEIR_NORMAL_NFC,
    WEIR_NORMAL_NFD,
    WEIR_NORMAL_NFKC,
    WEIR_NORMAL_NFKD,
    WEIR_NORMAL_LOWERCASE,
    WEIR_NORMAL_NO_MARKS,      /* without characters of category M */
    WEIR_NORMAL_NO_ACCENTS,    /* without those of Mn */
    WEIR_NORMAL_NO_CONTROLS,   /* without control characters; white space becomes a space */
    WEIR_NORMAL_PLAIN_SPACES,  /* white space becomes a space */
    WEIR_NORMAL_CHINESE_APART, /* a space on both sides of each Chinese character */
    WEIR_NORMAL_STRIP_LEFT,    /* without white space at the beginning */
    WEIR_NORMAL_STRIP_RIGHT,   /* without white space at the end */
    WEIR_NORMAL_SQUEEZE,       /* no spaces at either end, one between words */
    WEIR_NORMAL_REPLACE,       /* `from` by `to` */
    WEIR_NORMAL_PREPEND,       /* `to`, where anything follows */
    WEIR_NORMAL_PREPEND_NEW,   /* the same unless it begins with `to`, which is one character */
    WEIR_NORMAL_PREPEND_FIRST, /* the same again, and only where the whole text begins */
    WEIR_NORMAL_CHARSMAP,      /* `from`: SentencePiece's precompiled map */
    WEIR_NORMAL_COUNT
};
struct weir_normal_step {
    enum weir_normal_kind kind;
    struct weir_bytes from, to;
};

/* A pattern that cuts what the ones before it left: what it matches and what lies between are
 * pieces, unless dropped. */
struct weir_split_step {
    const char *pattern; /* PCRE2; \s, \S, \w and \W as Unicode has them */
    /* What a match longer than split_stream.c wants to hold is; zero: nothing is known of it, and
     * it is held whole. */
    enum { WEIR_MATCH_ANY, WEIR_MATCH_LOOP, WEIR_MATCH_WORDS } match;
    enum { WEIR_KEEP_ALL, WEIR_KEEP_MATCHES, WEIR_KEEP_GAPS } keep;
    bool in_threes; /* a match is cut again, into three characters each counted from its end */
};

enum { WEIR_NORMAL_MAX = 8, WEIR_SPLIT_MAX = 6 };

/* What GPT-2 cuts with, and Hugging Face's ByteLevel. */
#define WEIR_TEXT_GPT2_PATTERN                                                                     \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

/* How texts become pieces. */
struct weir_text_rules {
    struct weir_normal_step normal[WEIR_NORMAL_MAX];
    struct weir_split_step splits[WEIR_SPLIT_MAX];
    uint32_t normal_count, split_count;
    /* A piece that is a token becomes that token, whatever the merges say: any, or line breaks. */
    enum { WEIR_WHOLE_NEVER, WEIR_WHOLE_ANY, WEIR_WHOLE_BREAKS } whole_first;
    bool is_foreign;   /* from a file: the patterns may be anything */
    bool fuse_unknown; /* a run of unknown characters is one token */
};

/* A vocabulary as a file describes it; every id and count already checked by formats/. */
struct weir_vocab {
    struct weir_bytes model; /* "gpt2", "llama", ...: the table in text.c */
    struct weir_bytes pre;   /* "qwen2", "llama-bpe", ...; empty when absent */
    /* Where a file says it itself (tokenizer.json); NULL: what model and pre mean. */
    const struct weir_text_rules *rules;
    uint32_t n_vocab;
    const struct weir_bytes *tokens; /* [n_vocab], as stored (byte-level alphabet for gpt2) */
    const uint8_t *strips;           /* [n_vocab] the white space behind that token goes; or NULL */
    const uint8_t *types;            /* [n_vocab] enum weir_token_type, or NULL: all normal */
    const float *scores;             /* [n_vocab], or NULL */
    uint32_t n_merge;
    const struct weir_bytes *merges; /* [n_merge] "left right" */
    /* [n_merge] bytes of the left one; NULL: up to the first space behind its first byte */
    const uint32_t *merge_lefts;
    uint32_t bos_id, eos_id, unk_id; /* WEIR_TOKEN_NONE when absent */
    uint32_t n_end;
    const uint32_t *end_ids; /* [n_end] that the file names as ends of a text or a turn */
    bool add_bos, add_eos;
    bool add_space_prefix; /* and the one that was added goes when ids become a text again */
    bool squeeze_spaces;   /* t5: runs of spaces are one, none at the ends */
    bool lowercase, strip_accents; /* bert */
    struct weir_bytes charsmap;    /* t5: SentencePiece's precompiled map; or empty */
};

/* What a value of tokenizer.ggml.pre means. *is_raw: the tokens are UTF-8, not written in GPT-2's
 * alphabet. UNSUPPORTED: it is not built in. */
enum weir_status weir_text_find_rules(struct weir_bytes pre, struct weir_text_rules *rules,
                                      bool *is_raw, struct weir_err *err);
/* Whether texts begin with BOS where a file of that pre-tokenizer does not say; *always: whatever
 * it says. */
bool weir_text_pre_adds_bos(struct weir_bytes pre, bool *always);
/* The names that are built in; NULL behind the last. */
const char *weir_text_pre_at(uint32_t index);
/* The `match` of a pattern that the table has too, else WEIR_MATCH_ANY. */
uint32_t weir_text_known_match(const char *pattern);

/* A character's other case; false, *changed unset, where it is several characters or depends on its
 * neighbours. */
bool weir_text_change_case(uint32_t character, bool upper, uint32_t *changed);
bool weir_text_is_cased(uint32_t character);
/* As Python's str.isprintable(). */
bool weir_text_is_printable(uint32_t character);

typedef struct weir_text weir_text;

/* On failure *out stays unset. A vocabulary that can only give ids their text is no failure (an
 * unknown pre-tokenizer, no merges, no scores): then weir_text_tokenize() says what is missing.
 * That, and merges that never apply, is told to warnings, which may be NULL. */
enum weir_status weir_text_create(weir_text **out, const struct weir_vocab *vocab,
                                  struct weir_warnings *warnings, struct weir_err *err);
void weir_text_destroy(weir_text **text);

enum weir_tokenize_flags {
    WEIR_TOKENIZE_ADD_SPECIAL = 1,   /* add BOS / EOS where the vocabulary says so */
    WEIR_TOKENIZE_PARSE_SPECIAL = 2, /* control tokens written in the text become their ids */
};

/* A text that comes in parts. The ids are those of the whole text, however it is cut.
 *
 * Bytes that are not UTF-8 are tokenised as bytes, never dropped. Families whose tokenizer.json
 * normalises to NFC (qwen2, olmo) are given NFC text, so decoding gives back the bytes of text that
 * is NFC already; why: docs/decisions/0003-nfc.md. Memory does not grow with the text, nor with a
 * long word (docs/decisions/0015-texts-as-streams.md); of a run of white space or of combining
 * marks that has no end it does, by a few bytes for each of theirs. */
typedef struct weir_text_encoder weir_text_encoder;

/* Errors: what weir_text_create() found missing, NOMEM. text must live longer. */
enum weir_status weir_text_encoder_create(weir_text_encoder **out, weir_text *text, unsigned flags,
                                          struct weir_err *err);
void weir_text_encoder_destroy(weir_text_encoder **encoder);
/* The next bytes of the text, and the ids that are certain now, borrowed until the next call. ends:
 * they are the last ones; the next push begins another text. Errors: ARG for a byte for which a
 * byte-level vocabulary has neither a token nor an unknown token; NOMEM. After one only destroy. */
enum weir_status weir_text_encoder_push(weir_text_encoder *encoder, const char *bytes,
                                        size_t length, bool ends, const uint32_t **ids,
                                        size_t *count, struct weir_err *err);
/* No control token goes across this place: what was pushed before and what comes next do not make
 * one together. Errors: NOMEM. */
enum weir_status weir_text_encoder_guard(weir_text_encoder *encoder, struct weir_err *err);
/* How many ids at least the bytes will have that are pushed and have none yet. */
size_t weir_text_encoder_least(const weir_text_encoder *encoder);

/* The same for a text that is there in full. *ids is from weir_heap_alloc and goes to the caller,
 * who frees it with weir_heap_free(). ARG also when the text is too long. */
enum weir_status weir_text_tokenize(weir_text *text, const char *bytes, size_t length,
                                    unsigned flags, uint32_t **ids, size_t *count,
                                    struct weir_err *err);

/* The bytes a token stands for. Control tokens give their text when with_special, else nothing; an
 * id that the vocabulary has no token for (an embedding may have more rows) gives nothing.
 * Borrowed until the thread's next call. The leading-space rule of SentencePiece (the first token
 * of a text drops the space that was added) is the detokenizer's, below. */
struct weir_bytes weir_text_piece(weir_text *text, uint32_t id, bool with_special);

/* Where, at byte from or behind it, the name of a control token begins: a whole one, or the first
 * bytes of one where the text ends. length: nowhere. Those that begin with white space do not
 * count. */
size_t weir_text_find_control(const weir_text *text, const char *bytes, size_t length, size_t from);
bool weir_text_is_control(const weir_text *text, uint32_t id);

/* True for tokens that end a text or a turn: those that the file names, and those that are called
 * as the families call theirs (ends.c), whatever their type. */
bool weir_text_is_end(const weir_text *text, uint32_t id);

/* False when the system refused machine code for the pre-tokenizer's patterns (PCRE2's JIT): they
 * are interpreted then, with the same result. */
bool weir_text_is_compiled(const weir_text *text);

/* Streaming: holds back the bytes of an unfinished UTF-8 character. */
struct weir_detokenizer {
    weir_text *text;
    char held[4];
    uint32_t held_count;
    bool at_start;
    bool with_special;
};

void weir_detokenizer_init(struct weir_detokenizer *detokenizer, weir_text *text,
                           bool with_special);
/* Bytes that are complete after this token; at most capacity are written, returns how many.
 * capacity must be at least WEIR_PIECE_MAX. Bytes that can never become UTF-8 come out as they are
 * only through weir_detokenizer_flush() or once more bytes prove it, so that decoding a whole text
 * always gives the very bytes that the tokens stand for. */
enum { WEIR_PIECE_MAX = 4096 }; /* formats/ refuses longer tokens */
size_t weir_detokenizer_push(struct weir_detokenizer *detokenizer, uint32_t id, char *out,
                             size_t capacity);
/* What is still held back, as it is. */
size_t weir_detokenizer_flush(struct weir_detokenizer *detokenizer, char *out, size_t capacity);

#endif
