/* tokenizer.c - the public door to room text. */
#include "engine/engine_internal.h"

#include <string.h>

#include "base/heap.h"

struct weir_encoder {
    weir_text_encoder *encoder;
};

struct weir_decoder {
    struct weir_detokenizer detokenizer;
};

_Static_assert((int)WEIR_TOKEN_BYTES_MAX == (int)WEIR_PIECE_MAX, "one limit, two names");

enum weir_status weir_tokenizer_create(struct weir_tokenizer **out, weir_manifest *manifest,
                                       struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    struct weir_tokenizer *tokenizer = weir_heap_alloc(sizeof(*tokenizer));
    if (tokenizer == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a tokenizer");
    WEIR_TRY_GOTO(weir_manifest_vocab(manifest, &tokenizer->vocab, err));
    WEIR_TRY_GOTO(weir_text_create(&tokenizer->text, tokenizer->vocab,
                                   weir_manifest_warnings(manifest), err));
    tokenizer->warnings = weir_manifest_warnings(manifest);
    *out = tokenizer;
    return WEIR_OK;

fail:
    weir_tokenizer_close(&tokenizer);
    return status;
}

enum weir_status weir_tokenizer_open(weir_tokenizer **out, const char *path, struct weir_err *err)
{
    weir_manifest *manifest = NULL;
    WEIR_NEED(out, err);
    WEIR_NEED(path, err);
    WEIR_TRY(weir_manifest_open_vocab(&manifest, path, err));
    const enum weir_status status = weir_tokenizer_create(out, manifest, err);
    if (status == WEIR_OK)
        (*out)->manifest = manifest;
    else
        weir_manifest_close(&manifest);
    return status;
}

const struct weir_warnings *weir_tokenizer_warnings(const weir_tokenizer *tokenizer)
{
    return tokenizer == NULL ? NULL : tokenizer->warnings;
}

void weir_tokenizer_close(weir_tokenizer **tokenizer)
{
    if (tokenizer == NULL || *tokenizer == NULL)
        return;
    if ((*tokenizer)->text != NULL)
        weir_text_destroy(&(*tokenizer)->text);
    if ((*tokenizer)->manifest != NULL)
        weir_manifest_close(&(*tokenizer)->manifest);
    weir_heap_free(*tokenizer);
    *tokenizer = NULL;
}

static enum weir_status check_flags(unsigned flags, struct weir_err *err)
{
    const unsigned all = WEIR_TEXT_ADD_SPECIAL | WEIR_TEXT_PARSE_SPECIAL;
    if ((flags & ~all) == 0)
        return WEIR_OK;
    return WEIR_FAIL(err, WEIR_ERR_ARG, "text flags: wanted 0 to %u, found %u", all, flags);
}

static unsigned text_flags(unsigned flags)
{
    return ((flags & WEIR_TEXT_ADD_SPECIAL) != 0 ? (unsigned)WEIR_TOKENIZE_ADD_SPECIAL : 0u) |
           ((flags & WEIR_TEXT_PARSE_SPECIAL) != 0 ? (unsigned)WEIR_TOKENIZE_PARSE_SPECIAL : 0u);
}

enum weir_status weir_tokenizer_encode(weir_tokenizer *tokenizer, const char *bytes, size_t length,
                                       unsigned flags, uint32_t **ids, size_t *count,
                                       struct weir_err *err)
{
    WEIR_NEED(tokenizer, err);
    WEIR_NEED(ids, err);
    WEIR_NEED(count, err);
    if (length > 0)
        WEIR_NEED(bytes, err);
    WEIR_TRY(check_flags(flags, err));
    return weir_text_tokenize(tokenizer->text, bytes, length, text_flags(flags), ids, count, err);
}

void weir_ids_free(uint32_t **ids)
{
    if (ids == NULL)
        return;
    weir_heap_free(*ids);
    *ids = NULL;
}

enum weir_status weir_encoder_create(weir_encoder **out, weir_tokenizer *tokenizer, unsigned flags,
                                     struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    WEIR_NEED(out, err);
    WEIR_NEED(tokenizer, err);
    WEIR_TRY(check_flags(flags, err));
    weir_encoder *encoder = weir_heap_alloc(sizeof(*encoder));
    if (encoder == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for an encoder");
    WEIR_TRY_GOTO(
        weir_text_encoder_create(&encoder->encoder, tokenizer->text, text_flags(flags), err));
    *out = encoder;
    return WEIR_OK;

fail:
    weir_encoder_destroy(&encoder);
    return status;
}

void weir_encoder_destroy(weir_encoder **encoder)
{
    if (encoder == NULL || *encoder == NULL)
        return;
    weir_text_encoder_destroy(&(*encoder)->encoder);
    weir_heap_free(*encoder);
    *encoder = NULL;
}

enum weir_status weir_encoder_push(weir_encoder *encoder, const char *bytes, size_t length,
                                   bool ends, const uint32_t **ids, size_t *count,
                                   struct weir_err *err)
{
    WEIR_NEED(encoder, err);
    WEIR_NEED(ids, err);
    WEIR_NEED(count, err);
    if (length > 0)
        WEIR_NEED(bytes, err);
    return weir_text_encoder_push(encoder->encoder, bytes, length, ends, ids, count, err);
}

uint64_t weir_encoder_least(const weir_encoder *encoder)
{
    return encoder == NULL ? 0 : weir_text_encoder_least(encoder->encoder);
}

size_t weir_tokenizer_piece(weir_tokenizer *tokenizer, uint32_t id, char *out)
{
    if (tokenizer == NULL || out == NULL)
        return 0;
    const struct weir_bytes piece = weir_text_piece(tokenizer->text, id, true);
    memcpy(out, piece.start, piece.length);
    return piece.length;
}

bool weir_tokenizer_is_end(const weir_tokenizer *tokenizer, uint32_t id)
{
    return tokenizer != NULL && weir_text_is_end(tokenizer->text, id);
}

uint32_t weir_tokenizer_vocab_count(const weir_tokenizer *tokenizer)
{
    return tokenizer == NULL ? 0 : tokenizer->vocab->n_vocab;
}

uint32_t weir_tokenizer_bos(const weir_tokenizer *tokenizer)
{
    return tokenizer == NULL ? WEIR_ID_NONE : tokenizer->vocab->bos_id;
}

bool weir_tokenizer_adds_bos(const weir_tokenizer *tokenizer)
{
    return tokenizer != NULL && tokenizer->vocab->add_bos;
}

enum weir_status weir_decoder_create(weir_decoder **out, weir_tokenizer *tokenizer,
                                     bool is_continuation, struct weir_err *err)
{
    WEIR_NEED(out, err);
    WEIR_NEED(tokenizer, err);
    weir_decoder *decoder = weir_heap_alloc(sizeof(*decoder));
    if (decoder == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a decoder");
    weir_detokenizer_init(&decoder->detokenizer, tokenizer->text, false);
    decoder->detokenizer.at_start = !is_continuation;
    *out = decoder;
    return WEIR_OK;
}

void weir_decoder_destroy(weir_decoder **decoder)
{
    if (decoder == NULL)
        return;
    weir_heap_free(*decoder);
    *decoder = NULL;
}

size_t weir_decoder_push(weir_decoder *decoder, uint32_t id, char *out)
{
    if (decoder == NULL || out == NULL)
        return 0;
    return weir_detokenizer_push(&decoder->detokenizer, id, out, WEIR_TOKEN_BYTES_MAX);
}

size_t weir_decoder_flush(weir_decoder *decoder, char *out)
{
    if (decoder == NULL || out == NULL)
        return 0;
    return weir_detokenizer_flush(&decoder->detokenizer, out, WEIR_TOKEN_BYTES_MAX);
}
