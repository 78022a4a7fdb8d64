/* split.h - cuts a text into the pieces that merges never cross (pre-tokenization).
 *
 * Job       One row of a table for each value of tokenizer.ggml.pre: regular expressions applied
 *           one after the other, each to the pieces of the one before; matches and what lies
 *           between them become pieces.
 * Not here  Bytes that are not UTF-8, normalisation, merges.
 * Owns      A splitter owns its compiled patterns; pieces are borrowed from the caller's text.
 * Threads   One thread at a time per splitter.
 * Errors    WEIR_ERR_UNSUPPORTED: an unknown name; the message lists the known ones.
 *           WEIR_ERR_NOMEM.
 * Limits    Letters, digits and spaces are what PCRE2's Unicode tables say (10.42: Unicode 14).
 * Source    The pre_tokenizer part of each model's tokenizer.json; "default" from llama.cpp.
 */
#ifndef WEIR_TEXT_SPLIT_H
#define WEIR_TEXT_SPLIT_H

#include "text/text.h"

typedef struct weir_text_splitter weir_text_splitter;

/* Called for each piece in order; anything but WEIR_OK ends the split and is handed on. */
typedef enum weir_status weir_text_split_fn(void *context, const char *start, size_t length,
                                            struct weir_err *err);

/* An empty name means "default". */
enum weir_status weir_text_splitter_create(weir_text_splitter **out, struct weir_bytes name,
                                           struct weir_err *err);
void weir_text_splitter_destroy(weir_text_splitter **splitter);

/* bytes must be valid UTF-8. The pieces put together are bytes. */
enum weir_status weir_text_split(weir_text_splitter *splitter, const char *bytes, size_t length,
                                 weir_text_split_fn *piece, void *context, struct weir_err *err);

/* False when the machine refused to make machine code of a pattern: then it is interpreted. */
bool weir_text_splitter_is_compiled(const weir_text_splitter *splitter);
/* The model's tokenizer.json normalises to NFC before it splits. */
bool weir_text_splitter_wants_nfc(const weir_text_splitter *splitter);
/* A piece that is a token becomes that token, whatever the merges say. */
bool weir_text_splitter_whole_first(const weir_text_splitter *splitter);

#endif
