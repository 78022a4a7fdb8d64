/* text.c - a vocabulary made ready, and texts to ids. */
#include "text/text.h"

#include <string.h>

#include "base/heap.h"
#include "text/text_parts.h"

enum weir_token_type weir_text_type(const weir_text *text, uint32_t id)
{
    if (id >= text->vocab.n_vocab)
        return WEIR_TOKEN_UNUSED;
    return text->vocab.types == NULL ? WEIR_TOKEN_NORMAL
                                     : (enum weir_token_type)text->vocab.types[id];
}

/* What the room relies on; cheap beside the maps that are built from it. */
static enum weir_status check_vocab(const struct weir_vocab *vocab, struct weir_err *err)
{
    if (vocab->n_vocab == 0 || vocab->n_vocab > UINT32_MAX / 4 || vocab->n_merge > UINT32_MAX / 4)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "vocabulary: wanted 1 to %u tokens and merges, found %u and %u",
                         UINT32_MAX / 4, vocab->n_vocab, vocab->n_merge);
    const uint32_t special_ids[] = {vocab->bos_id, vocab->eos_id, vocab->unk_id};
    for (size_t index = 0; index < WEIR_COUNT(special_ids); index++)
        if (special_ids[index] != WEIR_TOKEN_NONE && special_ids[index] >= vocab->n_vocab)
            return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                             "vocabulary: special token id %u, wanted less than %u",
                             special_ids[index], vocab->n_vocab);
    for (uint32_t id = 0; id < vocab->n_vocab; id++) {
        /* The detokenizer puts up to 3 held bytes before a token into WEIR_PIECE_MAX bytes. */
        if (vocab->tokens[id].length > WEIR_PIECE_MAX - 4)
            return WEIR_FAIL(err, WEIR_ERR_FORMAT, "token %u: wanted at most %d bytes, found %zu",
                             id, WEIR_PIECE_MAX - 4, vocab->tokens[id].length);
        if (vocab->types != NULL && vocab->types[id] > WEIR_TOKEN_BYTE)
            return WEIR_FAIL(err, WEIR_ERR_FORMAT, "token %u: wanted a type of 1 to %d, found %u",
                             id, WEIR_TOKEN_BYTE, vocab->types[id]);
    }
    return WEIR_OK;
}

static bool is_text(struct weir_bytes bytes, const char *wanted)
{
    return bytes.length == strlen(wanted) && memcmp(bytes.start, wanted, bytes.length) == 0;
}

/* Bytes of a text that one token stands for at most; a character without a token has up to 4. */
static size_t find_longest(const weir_text *text)
{
    size_t longest = 4;
    if (text->sentencepiece)
        return weir_max(longest, text->map.longest);
    for (uint32_t id = 0; id < text->vocab.n_vocab; id++) {
        const struct weir_bytes token = text->vocab.tokens[id];
        longest = weir_max(longest, weir_text_byte_level_decode(&text->level, token, NULL));
    }
    return longest;
}

/* What cutting texts needs beyond the tokens; without it ids still have their text. */
static enum weir_status prepare_encoding(weir_text *text, struct weir_warnings *warnings,
                                         struct weir_err *err)
{
    struct weir_err *why = &text->no_encoding;
    const enum weir_status status = text->sentencepiece
                                        ? weir_text_sentencepiece_init(text, why)
                                        : weir_text_byte_level_init(text, warnings, why);
    if (status == WEIR_ERR_NOMEM)
        return WEIR_FAIL(err, status, "%s", why->text);
    if (status != WEIR_OK)
        weir_warn(warnings, "texts cannot be cut into tokens, only ids are taken: %s", why->text);
    return WEIR_OK;
}

enum weir_status weir_text_create(weir_text **out, const struct weir_vocab *vocab,
                                  struct weir_warnings *warnings, struct weir_err *err)
{
    const bool sentencepiece = is_text(vocab->model, "llama");
    if (!sentencepiece && !is_text(vocab->model, "gpt2"))
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "tokenizer model \"%.*s\" is not built in; known are gpt2, llama",
                         (int)weir_min(vocab->model.length, 40), vocab->model.start);
    WEIR_TRY(check_vocab(vocab, err));

    enum weir_status status = WEIR_OK;
    weir_text *text = weir_heap_alloc(sizeof(*text));
    if (text == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "vocabulary: no room");
    text->vocab = *vocab;
    text->sentencepiece = sentencepiece;
    /* SentencePiece never builds these from characters; in byte-level files a merge may. */
    const uint32_t skip_types =
        sentencepiece ? 1u << WEIR_TOKEN_CONTROL | 1u << WEIR_TOKEN_UNKNOWN | 1u << WEIR_TOKEN_BYTE
                      : 0;
    WEIR_TRY_GOTO(weir_text_map_init(&text->map, vocab, skip_types, err));
    WEIR_TRY_GOTO(weir_text_specials_init(&text->specials, vocab, err));
    WEIR_TRY_GOTO(prepare_encoding(text, warnings, err));
    text->longest_bytes = find_longest(text);
    text->slice_bytes = WEIR_TEXT_SLICE_BYTES;
    text->window_bytes =
        weir_max(WEIR_TEXT_WINDOW_BYTES, WEIR_TEXT_WINDOW_TOKENS * text->longest_bytes);
    WEIR_TRY_GOTO(weir_text_find_ends(text, err));
    *out = text;
    return WEIR_OK;

fail:
    weir_text_destroy(&text);
    return status;
}

void weir_text_trim_scratch(weir_text *text, size_t keep_bytes)
{
    weir_text_array_trim(&text->merger.symbols, sizeof(struct weir_text_symbol), keep_bytes);
    weir_text_array_trim(&text->merger.heap, sizeof(uint64_t), keep_bytes);
}

void weir_text_destroy(weir_text **text)
{
    weir_text *old = *text;
    if (old == NULL)
        return;
    weir_text_map_deinit(&old->map);
    weir_text_specials_deinit(&old->specials);
    weir_text_byte_level_deinit(&old->level);
    weir_heap_free(old->end_ids);
    weir_text_trim_scratch(old, 0);
    weir_heap_free(old);
    *text = NULL;
}

bool weir_text_is_compiled(const weir_text *text)
{
    return text->level.splitter == NULL || weir_text_splitter_is_compiled(text->level.splitter);
}
