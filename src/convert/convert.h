/* convert.h - a Hugging Face directory as one GGUF file that llama.cpp loads too.
 *
 * Job       Keys, vocabulary, chat templates and the order of tensors of the file.
 * Not here  Reading the directory, writing the file (formats/); the tensors' bytes (recast/).
 * Owns      Nothing that outlives a call.
 * Threads   One.
 * Errors    FORMAT, UNSUPPORTED: the directory has something that no such file can say, or that
 *           does not go together; names the tensor, the key or the part of the tokenizer. NOMEM.
 * Limits    Those of formats.h.
 * Source    Keys and names of llama.cpp's loaders (docs/formats/gguf.md).
 */
#ifndef WEIR_CONVERT_H
#define WEIR_CONVERT_H

#include "convert/layout.h"
#include "formats/formats.h"
#include "formats/gguf_writer.h"

/* The keys of the architecture, and those about the file; file_type: of general.file_type,
 * UINT32_MAX: none. A key that llama.cpp would not obey is told to warnings. */
enum weir_status weir_convert_put_keys(weir_gguf_writer *writer, const weir_manifest *manifest,
                                       const struct weir_layout *layout, uint32_t file_type,
                                       struct weir_warnings *warnings, struct weir_err *err);

/* How a vocabulary is called in a GGUF file. */
struct weir_vocab_form {
    const char *model, *pre; /* pre NULL: such a model has none */
    float *scores;           /* [n_vocab] that say what merges say; NULL: merges are written */
};

/* UNSUPPORTED says what of the tokenizer a file cannot say. What texts that begin with a space
 * become otherwise is told to warnings. The caller frees the form, also after an error. */
enum weir_status weir_vocab_form_find(struct weir_vocab_form *form, const struct weir_vocab *vocab,
                                      const char *family, struct weir_warnings *warnings,
                                      struct weir_err *err);
void weir_vocab_form_free(struct weir_vocab_form *form);
/* The name of a pre-tokenizer with these rules; NULL: none has them. Of several one that is usual
 * in the family. */
const char *weir_pre_find(const struct weir_text_rules *rules, bool is_raw, bool adds_bos,
                          const char *family);
/* What a file says of texts: the vocabulary, special tokens and chat templates. */
struct weir_convert_text {
    const struct weir_vocab *vocab;
    struct weir_vocab_form form;
    struct weir_chat_facts facts;
    uint64_t n_row; /* of the embedding: so many tokens are written */
};
/* Borrows from the manifest. The caller frees it, also after an error. */
enum weir_status weir_convert_text_make(struct weir_convert_text *text, weir_manifest *manifest,
                                        struct weir_warnings *warnings, struct weir_err *err);
void weir_convert_text_put(weir_gguf_writer *writer, const struct weir_convert_text *text);
void weir_convert_text_free(struct weir_convert_text *text);

/* Whether the file is what was meant: every tensor, and every token with its type, and those that
 * begin and end a text. Errors: FORMAT names the first that is not. */
enum weir_status weir_convert_check(weir_manifest *directory, const struct weir_layout *layout,
                                    bool has_vocab, const char *path, struct weir_err *err);

#endif
