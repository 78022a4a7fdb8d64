/* split.h - cuts a text into the pieces that merges never cross (pre-tokenization).
 *
 * Job       Regular expressions applied one after the other, each to the pieces of the one before;
 *           matches and what lies between them become pieces. pretokenizers.c has a row of them
 *           for each value of tokenizer.ggml.pre; others come from tokenizer.json.
 * Not here  Bytes that are not UTF-8, normalisation, merges.
 * Owns      A splitter owns its compiled patterns; pieces are borrowed from the caller's text.
 * Threads   One thread at a time per splitter.
 * Errors    WEIR_ERR_UNSUPPORTED: a file's pattern that PCRE2 does not know or that looks further
 *           back than one character. WEIR_ERR_ARG: a text that a file's pattern takes too long
 *           for. WEIR_ERR_NOMEM.
 * Limits    Letters, digits and spaces are what PCRE2's Unicode tables say (10.42: Unicode 14).
 * Source    The pre_tokenizer part of each model's tokenizer.json; "default" from llama.cpp.
 */
#ifndef WEIR_TEXT_SPLIT_H
#define WEIR_TEXT_SPLIT_H

#include "text/text.h"

typedef struct weir_text_splitter weir_text_splitter;

/* The rules are borrowed. */
enum weir_status weir_text_splitter_create(weir_text_splitter **out,
                                           const struct weir_text_rules *rules,
                                           struct weir_err *err);
void weir_text_splitter_destroy(weir_text_splitter **splitter);

/* What a pattern says about the text from offset on. */
enum weir_text_found {
    WEIR_TEXT_FOUND_MATCH, /* at [begin, end) */
    WEIR_TEXT_FOUND_NOTHING,
    WEIR_TEXT_FOUND_PERHAPS, /* begin: what stands there on may match, or match longer, when more
                                of the text is known; nothing before it does */
};
/* goes_on: length is where the known part of the text ends, and not its end. */
enum weir_status weir_text_splitter_match(weir_text_splitter *splitter, uint32_t pattern,
                                          const char *bytes, size_t length, size_t offset,
                                          bool goes_on, enum weir_text_found *found, size_t *begin,
                                          size_t *end, struct weir_err *err);
/* The pattern matches only where the text ends behind it. */
bool weir_text_splitter_wants_end(const weir_text_splitter *splitter, uint32_t pattern);
const struct weir_text_rules *weir_text_splitter_rules(const weir_text_splitter *splitter);

/* A text that comes in parts, cut (split_stream.c). */
typedef struct weir_text_split_stream weir_text_split_stream;

/* Told the pieces of a text in order: bytes that go on with the current piece, and whether it ends
 * behind them. Anything but WEIR_OK ends the split and is handed on. */
typedef enum weir_status weir_text_piece_fn(void *context, const char *bytes, size_t length,
                                            bool ends, struct weir_err *err);

/* Borrows the splitter. */
enum weir_status weir_text_split_stream_create(weir_text_split_stream **out,
                                               weir_text_splitter *splitter,
                                               weir_text_piece_fn *piece, void *context,
                                               struct weir_err *err);
void weir_text_split_stream_destroy(weir_text_split_stream **stream);
/* bytes must be whole characters of valid UTF-8. ends: of the text; the next one begins another.
 * The pieces put together are the text, and the same however it is cut. What cannot be told yet is
 * held: little of a long piece of letters, of signs or of one white character, but all of a run of
 * several white ones. After an error only destroy. */
enum weir_status weir_text_split_feed(weir_text_split_stream *stream, const char *bytes,
                                      size_t length, bool ends, struct weir_err *err);
/* Bytes that no piece has got yet. */
size_t weir_text_split_held(const weir_text_split_stream *stream);

/* False when the machine refused to make machine code of a pattern: then it is interpreted. */
bool weir_text_splitter_is_compiled(const weir_text_splitter *splitter);

#endif
