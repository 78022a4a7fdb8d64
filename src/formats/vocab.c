/* vocab.c - the tokenizer part of a manifest, checked. */
#include <math.h>
#include <string.h>

#include "base/heap.h"
#include "formats/hf.h"
#include "formats/tokenizer_json.h"

#define KEY(name) "tokenizer.ggml." name

/* The detokenizer puts up to 3 held bytes before a token into WEIR_PIECE_MAX bytes. */
enum { TOKEN_BYTES_MAX = WEIR_PIECE_MAX - 4, MERGE_BYTES_MAX = 2 * WEIR_PIECE_MAX + 1 };

static struct weir_bytes text_bytes(const weir_manifest *manifest, const char *key)
{
    const char *text = weir_manifest_text(manifest, key);
    return (struct weir_bytes){.start = text == NULL ? "" : text,
                               .length = text == NULL ? 0 : strlen(text)};
}

/* The strings of an array as borrowed bytes. most: the longest one may be. */
static enum weir_status take_strings(const weir_manifest *manifest, const char *name,
                                     const struct gguf_key *key, uint64_t most,
                                     struct weir_bytes **out, struct weir_err *err)
{
    struct weir_bytes *strings = weir_heap_array(key->count, sizeof(*strings));
    if (strings == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for the %llu strings of %s",
                         (unsigned long long)key->count, name);
    const uint8_t *at = manifest->head + key->value_at;
    for (uint64_t index = 0; index < key->count; index++) {
        uint64_t length = 0;
        memcpy(&length, at, sizeof(length));
        at += sizeof(length);
        if (length > most) {
            weir_heap_free(strings);
            return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                             "key %s: string %llu: wanted at most %llu bytes, found %llu", name,
                             (unsigned long long)index, (unsigned long long)most,
                             (unsigned long long)length);
        }
        strings[index] = (struct weir_bytes){.start = (const char *)at, .length = length};
        at += length;
    }
    *out = strings;
    return WEIR_OK;
}

static enum weir_status read_tokens(weir_manifest *manifest, struct weir_err *err)
{
    const struct gguf_key *key = weir_gguf_find_key(manifest, KEY("tokens"));
    if (key == NULL || !key->is_array || key->type != GGUF_STRING)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "key " KEY("tokens") " is missing or not an array of strings");
    if (key->count == 0 || key->count >= INT32_MAX)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "key " KEY("tokens") ": %llu tokens are not a vocabulary",
                         (unsigned long long)key->count);
    WEIR_TRY(take_strings(manifest, KEY("tokens"), key, TOKEN_BYTES_MAX, &manifest->tokens, err));
    manifest->vocab.tokens = manifest->tokens;
    manifest->vocab.n_vocab = (uint32_t)key->count;
    return WEIR_OK;
}

/* NULL in *found when the key is absent; an error when it is not an array of n_vocab numbers. */
static enum weir_status find_per_token(const weir_manifest *manifest, const char *name,
                                       const struct gguf_key **found, struct weir_err *err)
{
    *found = weir_gguf_find_key(manifest, name);
    if (*found == NULL)
        return WEIR_OK;
    if (!(*found)->is_array || (*found)->type == GGUF_STRING)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "key %s is not an array of numbers", name);
    if ((*found)->count != manifest->vocab.n_vocab)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "key %s: wanted %u entries, found %llu", name,
                         manifest->vocab.n_vocab, (unsigned long long)(*found)->count);
    return WEIR_OK;
}

static enum weir_status read_types(weir_manifest *manifest, struct weir_err *err)
{
    const struct gguf_key *key = NULL;
    WEIR_TRY(find_per_token(manifest, KEY("token_type"), &key, err));
    if (key == NULL)
        return WEIR_OK;
    manifest->token_types = weir_heap_alloc(manifest->vocab.n_vocab);
    if (manifest->token_types == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for %u token types",
                         manifest->vocab.n_vocab);
    for (uint32_t id = 0; id < manifest->vocab.n_vocab; id++) {
        bool is_integer = false;
        int64_t type = 0;
        double real = 0.0;
        weir_gguf_element(manifest, key, id, &is_integer, &type, &real);
        if (!is_integer || type < 0 || type > WEIR_TOKEN_BYTE)
            return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                             "key " KEY("token_type") ": token %u: wanted 0 to %d, found %g", id,
                             WEIR_TOKEN_BYTE, real);
        /* 0 is "undefined" in the format; it behaves as a normal token. */
        manifest->token_types[id] = (uint8_t)(type == 0 ? WEIR_TOKEN_NORMAL : type);
    }
    manifest->vocab.types = manifest->token_types;
    return WEIR_OK;
}

static enum weir_status read_scores(weir_manifest *manifest, struct weir_err *err)
{
    const struct gguf_key *key = NULL;
    WEIR_TRY(find_per_token(manifest, KEY("scores"), &key, err));
    if (key == NULL)
        return WEIR_OK;
    manifest->scores = weir_heap_array(manifest->vocab.n_vocab, sizeof(*manifest->scores));
    if (manifest->scores == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for %u scores", manifest->vocab.n_vocab);
    for (uint32_t id = 0; id < manifest->vocab.n_vocab; id++) {
        bool is_integer = false;
        int64_t integer = 0;
        double real = 0.0;
        weir_gguf_element(manifest, key, id, &is_integer, &integer, &real);
        if (isnan(real)) /* no order of merges follows from it */
            return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                             "key " KEY("scores") ": token %u: wanted a number, found %g", id,
                             real);
        manifest->scores[id] = (float)real;
    }
    manifest->vocab.scores = manifest->scores;
    return WEIR_OK;
}

static enum weir_status read_merges(weir_manifest *manifest, struct weir_err *err)
{
    const struct gguf_key *key = weir_gguf_find_key(manifest, KEY("merges"));
    if (key == NULL)
        return WEIR_OK;
    if (!key->is_array || key->type != GGUF_STRING || key->count >= INT32_MAX)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "key " KEY("merges") " is not an array of strings of sane length");
    WEIR_TRY(take_strings(manifest, KEY("merges"), key, MERGE_BYTES_MAX, &manifest->merges, err));
    manifest->vocab.merges = manifest->merges;
    manifest->vocab.n_merge = (uint32_t)key->count;
    return WEIR_OK;
}

/* How many token ids a key holds: one, or an array of them; 0 when it is absent. */
static enum weir_status count_ids(const weir_manifest *manifest, const char *key, uint64_t *count,
                                  struct weir_err *err)
{
    const struct gguf_key *found = weir_gguf_find_key(manifest, key);
    *count = found == NULL ? 0 : found->count;
    if (found != NULL && (found->type == GGUF_STRING || found->type == GGUF_BOOL))
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "key %s: wanted a token's number, found something else", key);
    return WEIR_OK;
}

/* One of those ids; WEIR_TOKEN_NONE, and a warning, when the vocabulary does not have it. */
static uint32_t id_at(const weir_manifest *manifest, const char *key, uint64_t index)
{
    const struct gguf_key *found = weir_gguf_find_key(manifest, key);
    const uint32_t n_vocab = manifest->vocab.n_vocab;
    bool is_integer = false;
    int64_t integer = 0;
    double number = 0.0;
    weir_gguf_element(manifest, found, index, &is_integer, &integer, &number);
    if (number >= 0.0 && number < (double)n_vocab && number == floor(number))
        return (uint32_t)number;
    weir_warn(manifest->warnings, "key %s: token %.20g of a vocabulary of %u: it is ignored", key,
              number, n_vocab);
    return WEIR_TOKEN_NONE;
}

/* A special token's id, of several the first; fallback when the key is absent, or names a token
 * that is not there. */
static enum weir_status read_id(const weir_manifest *manifest, const char *key, uint32_t fallback,
                                uint32_t *id, struct weir_err *err)
{
    uint64_t count = 0;
    WEIR_TRY(count_ids(manifest, key, &count, err));
    *id = count == 0 ? WEIR_TOKEN_NONE : id_at(manifest, key, 0);
    if (*id == WEIR_TOKEN_NONE && fallback < manifest->vocab.n_vocab)
        *id = fallback;
    return WEIR_OK;
}

/* The tokens that end a text or a turn, or that pad what a file of code is made of. */
static enum weir_status read_ends(weir_manifest *manifest, struct weir_err *err)
{
    static const char *const names[] = {
        KEY("eos_token_id"),     KEY("eos_token_ids"),    KEY("eot_token_id"),
        KEY("eom_token_id"),     KEY("fim_pad_token_id"), KEY("fim_rep_token_id"),
        KEY("fim_sep_token_id"),
    };
    uint64_t total = 0;
    for (size_t name = 0; name < WEIR_COUNT(names); name++) {
        uint64_t count = 0;
        WEIR_TRY(count_ids(manifest, names[name], &count, err));
        total += count;
    }
    manifest->end_ids = weir_heap_array(total, sizeof(*manifest->end_ids));
    if (manifest->end_ids == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for %llu tokens that end a text",
                         (unsigned long long)total);
    for (size_t name = 0; name < WEIR_COUNT(names); name++) {
        uint64_t count = 0;
        WEIR_TRY(count_ids(manifest, names[name], &count, err));
        for (uint64_t index = 0; index < count; index++) {
            const uint32_t id = id_at(manifest, names[name], index);
            if (id != WEIR_TOKEN_NONE)
                manifest->end_ids[manifest->vocab.n_end++] = id;
        }
    }
    manifest->vocab.end_ids = manifest->end_ids;
    return WEIR_OK;
}

/* Special tokens that weir does nothing with: only what cannot be one is told. */
static enum weir_status check_others(const weir_manifest *manifest, struct weir_err *err)
{
    static const char *const names[] = {
        KEY("padding_token_id"), KEY("seperator_token_id"), KEY("separator_token_id"),
        KEY("cls_token_id"),     KEY("mask_token_id"),      KEY("fim_pre_token_id"),
        KEY("fim_suf_token_id"), KEY("fim_mid_token_id"),   KEY("prefix_token_id"),
        KEY("suffix_token_id"),  KEY("middle_token_id"),
    };
    for (size_t name = 0; name < WEIR_COUNT(names); name++) {
        uint32_t id = WEIR_TOKEN_NONE;
        WEIR_TRY(read_id(manifest, names[name], WEIR_TOKEN_NONE, &id, err));
    }
    return WEIR_OK;
}

/* *value stays when the key is absent. */
static enum weir_status read_flag(const weir_manifest *manifest, const char *key, bool *value,
                                  struct weir_err *err)
{
    if (weir_manifest_bool(manifest, key, value) || weir_gguf_find_key(manifest, key) == NULL)
        return WEIR_OK;
    return WEIR_FAIL(err, WEIR_ERR_FORMAT, "key %s: wanted a bool, found something else", key);
}

static bool is_text(struct weir_bytes bytes, const char *text)
{
    return bytes.length == strlen(text) && memcmp(bytes.start, text, bytes.length) == 0;
}

/* What a file that does not say means, by its model: docs/formats/gguf.md. */
struct defaults {
    const char *model;
    uint32_t bos, eos, unknown;
    bool add_bos, add_eos, add_space_prefix;
};

static const struct defaults *find_defaults(struct weir_bytes model)
{
    static const struct defaults known[] = {
        {"llama", 1, 2, 0, true, false, true},
        {"t5", WEIR_TOKEN_NONE, 1, 2, false, true, true},
        {"bert", 101, 102, 100, true, true, true},
        {"", WEIR_TOKEN_NONE, WEIR_TOKEN_NONE, WEIR_TOKEN_NONE, false, false, false},
    };
    size_t row = 0;
    while (row + 1 < WEIR_COUNT(known) && !is_text(model, known[row].model))
        row++;
    return &known[row];
}

/* An array of bytes, whatever their sign. */
static enum weir_status read_charsmap(weir_manifest *manifest, struct weir_err *err)
{
    const struct gguf_key *key = weir_gguf_find_key(manifest, KEY("precompiled_charsmap"));
    if (key == NULL)
        return WEIR_OK;
    if (!key->is_array || (key->type != GGUF_U8 && key->type != GGUF_I8))
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "key " KEY("precompiled_charsmap") " is not an array of bytes");
    manifest->vocab.charsmap =
        (struct weir_bytes){(const char *)manifest->head + key->value_at, key->count};
    return WEIR_OK;
}

static enum weir_status read_specials(weir_manifest *manifest, struct weir_err *err)
{
    struct weir_vocab *vocab = &manifest->vocab;
    const struct defaults *absent = find_defaults(vocab->model);
    const bool is_bert = is_text(vocab->model, "bert");
    bool always_bos = false;
    /* What begins and ends a text has other names where it is not to be gone on with. */
    WEIR_TRY(read_id(manifest, is_bert ? KEY("cls_token_id") : KEY("bos_token_id"), absent->bos,
                     &vocab->bos_id, err));
    WEIR_TRY(read_id(manifest, is_bert ? KEY("seperator_token_id") : KEY("eos_token_ids"),
                     absent->eos, &vocab->eos_id, err));
    if (!is_bert)
        WEIR_TRY(read_id(manifest, KEY("eos_token_id"), vocab->eos_id, &vocab->eos_id, err));
    WEIR_TRY(read_id(manifest, KEY("unknown_token_id"), absent->unknown, &vocab->unk_id, err));
    WEIR_TRY(read_ends(manifest, err));
    WEIR_TRY(check_others(manifest, err));
    const struct weir_bytes pre =
        is_text(vocab->model, "gemma4") && vocab->pre.length == 0 ? vocab->model : vocab->pre;
    vocab->add_bos = weir_text_pre_adds_bos(pre, &always_bos) || absent->add_bos;
    vocab->add_eos = absent->add_eos;
    vocab->add_space_prefix = absent->add_space_prefix;
    vocab->squeeze_spaces = is_text(vocab->model, "t5");
    vocab->lowercase = vocab->strip_accents = true;
    WEIR_TRY(read_flag(manifest, KEY("add_bos_token"), &vocab->add_bos, err));
    WEIR_TRY(read_flag(manifest, KEY("add_eos_token"), &vocab->add_eos, err));
    WEIR_TRY(read_flag(manifest, KEY("add_space_prefix"), &vocab->add_space_prefix, err));
    WEIR_TRY(read_flag(manifest, KEY("remove_extra_whitespaces"), &vocab->squeeze_spaces, err));
    WEIR_TRY(read_flag(manifest, KEY("normalizer.lowercase"), &vocab->lowercase, err));
    WEIR_TRY(read_flag(manifest, KEY("normalizer.strip_accents"), &vocab->strip_accents, err));
    vocab->add_bos = vocab->add_bos || always_bos;
    return read_charsmap(manifest, err);
}

/* Phi-3's special tokens take away the white space behind them, as its published tokenizer says; no
 * key does. */
bool weir_vocab_strips(const char *family, const struct weir_vocab *vocab, uint32_t id)
{
    static const char *const keep[] = {"<unk>", "<s>", "<|endoftext|>"};
    bool strips = strcmp(family, "phi3") == 0 || strcmp(family, "phimoe") == 0;
    strips =
        strips && vocab->types != NULL &&
        (vocab->types[id] == WEIR_TOKEN_CONTROL || vocab->types[id] == WEIR_TOKEN_USER_DEFINED);
    for (size_t row = 0; row < WEIR_COUNT(keep) && strips; row++)
        strips = !is_text(vocab->tokens[id], keep[row]);
    return strips;
}

static enum weir_status read_strips(weir_manifest *manifest, struct weir_err *err)
{
    const struct weir_vocab *vocab = &manifest->vocab;
    const char *family = weir_manifest_text(manifest, "general.architecture");
    const bool is_phi =
        family != NULL && (strcmp(family, "phi3") == 0 || strcmp(family, "phimoe") == 0);
    if (!is_phi || !is_text(vocab->model, "llama") || vocab->types == NULL)
        return WEIR_OK;
    manifest->token_strips = weir_heap_alloc(vocab->n_vocab);
    if (manifest->token_strips == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for flags of %u tokens", vocab->n_vocab);
    for (uint32_t id = 0; id < vocab->n_vocab; id++)
        manifest->token_strips[id] = weir_vocab_strips(family, vocab, id);
    manifest->vocab.strips = manifest->token_strips;
    return WEIR_OK;
}

static void forget_vocab(weir_manifest *manifest)
{
    weir_heap_free(manifest->token_strips);
    manifest->token_strips = NULL;
    weir_heap_free(manifest->tokens);
    weir_heap_free(manifest->merges);
    weir_heap_free(manifest->token_types);
    weir_heap_free(manifest->scores);
    weir_heap_free(manifest->end_ids);
    weir_tokenizer_json_close(&manifest->tokenizer);
    manifest->end_ids = NULL;
    manifest->tokens = manifest->merges = NULL;
    manifest->token_types = NULL;
    manifest->scores = NULL;
    memset(&manifest->vocab, 0, sizeof(manifest->vocab));
}

enum weir_status weir_manifest_vocab(weir_manifest *manifest, const struct weir_vocab **vocab,
                                     struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    const bool is_json = manifest->folder != NULL || manifest->tokenizer_path != NULL;
    if (!manifest->has_vocab && is_json) {
        WEIR_TRY_GOTO(weir_hf_vocab_read(manifest, err));
        manifest->has_vocab = true;
    }
    if (!manifest->has_vocab) {
        if (weir_manifest_text(manifest, KEY("model")) == NULL)
            return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                             "key " KEY("model") " is missing: %s has no vocabulary",
                             weir_manifest_path(manifest));
        manifest->vocab.model = text_bytes(manifest, KEY("model"));
        if (is_text(manifest->vocab.model, "none") || is_text(manifest->vocab.model, "no_vocab"))
            return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                             "key " KEY("model") " is %s: %s has no vocabulary",
                             manifest->vocab.model.start, weir_manifest_path(manifest));
        manifest->vocab.pre = text_bytes(manifest, KEY("pre"));
        WEIR_TRY_GOTO(read_tokens(manifest, err));
        WEIR_TRY_GOTO(read_types(manifest, err));
        WEIR_TRY_GOTO(read_scores(manifest, err));
        WEIR_TRY_GOTO(read_merges(manifest, err));
        WEIR_TRY_GOTO(read_specials(manifest, err));
        WEIR_TRY_GOTO(read_strips(manifest, err));
        manifest->has_vocab = true;
    }
    *vocab = &manifest->vocab;
    return WEIR_OK;

fail:
    forget_vocab(manifest);
    return status;
}
