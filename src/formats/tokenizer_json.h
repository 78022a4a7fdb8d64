/* tokenizer_json.h - Hugging Face's tokenizer.json as a vocabulary. */
#ifndef WEIR_TOKENIZER_JSON_H
#define WEIR_TOKENIZER_JSON_H

#include "formats/json.h"
#include "text/text.h"

typedef struct weir_tokenizer_json weir_tokenizer_json;

/* bytes may go afterwards. what names the file in messages. On failure *out stays unset.
 * WEIR_ERR_FORMAT: it contradicts itself. WEIR_ERR_UNSUPPORTED: a part that is not built in, named.
 * What does not change ids of most texts and is not done is told to warnings, which may be NULL. */
enum weir_status weir_tokenizer_json_parse(weir_tokenizer_json **out, const char *bytes,
                                           size_t length, const char *what,
                                           struct weir_warnings *warnings, struct weir_err *err);
void weir_tokenizer_json_close(weir_tokenizer_json **tokenizer);

/* Borrowed. Which tokens begin and end a text is as its post_processor says; it does not say which
 * token ends what a model writes: eos_id and end_ids are the caller's to set in a copy. */
const struct weir_vocab *weir_tokenizer_json_vocab(const weir_tokenizer_json *tokenizer);

#endif
