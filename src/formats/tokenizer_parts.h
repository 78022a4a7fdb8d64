/* tokenizer_parts.h - what the two files that read tokenizer.json share. */
#ifndef WEIR_TOKENIZER_PARTS_H
#define WEIR_TOKENIZER_PARTS_H

#include "formats/tokenizer_json.h"

enum { WEIR_TOKENIZER_PATTERNS_MAX = 4096 }; /* bytes that patterns have more than is written */

struct weir_tokenizer_json {
    struct weir_vocab vocab;
    struct weir_text_rules rules;
    bool is_byte_level; /* its pre-tokenizer writes bytes in GPT-2's alphabet */
    bool adds_space;    /* something is put before a text */

    struct weir_bytes *tokens, *merges;
    uint8_t *types, *strips;
    float *scores;
    uint32_t *merge_lefts;
    char *texts; /* all texts, one behind the other */
    size_t text_count, text_capacity;

    const char *what; /* while it is parsed */
    struct weir_warnings *warnings;
};

/* The bytes of a text into the tokenizer's own. There is room for all of the file's. */
struct weir_bytes weir_tokenizer_keep(weir_tokenizer_json *tokenizer, const char *before,
                                      struct weir_json text);
/* Every member of an object is one of keys (words with spaces between), or UNSUPPORTED. */
enum weir_status weir_tokenizer_check_keys(const weir_tokenizer_json *tokenizer,
                                           struct weir_json object, const char *part,
                                           const char *keys, struct weir_err *err);
/* A flag that may be left out: then it stays. */
enum weir_status weir_tokenizer_flag(const weir_tokenizer_json *tokenizer, struct weir_json object,
                                     const char *name, bool *flag, struct weir_err *err);

/* normalizer, pre_tokenizer, post_processor, decoder into rules and vocab (tokenizer_rules.c). */
enum weir_status weir_tokenizer_read_rules(weir_tokenizer_json *tokenizer, struct weir_json root,
                                           struct weir_err *err);
enum weir_status weir_tokenizer_read_processor(weir_tokenizer_json *tokenizer,
                                               struct weir_json root, struct weir_err *err);

#endif
