/* tokenizer_json.c - the model, its tokens and what was added to them. */
#include "formats/tokenizer_json.h"

#include <math.h>
#include <string.h>

#include "base/heap.h"
#include "formats/tokenizer_parts.h"

enum {
    TOKEN_BYTES_MAX = WEIR_PIECE_MAX - 4, /* as in vocab.c */
    UNNAMED_MAX = 1 << 16,                /* ids that no token has, beside as many as are named */
    WORD_CHARACTERS = 100,
};

#define MARK "\xe2\x96\x81"

/* ---- what the parts share ------------------------------------------------------------------ */

struct weir_bytes weir_tokenizer_keep(weir_tokenizer_json *tokenizer, const char *before,
                                      struct weir_json text)
{
    char *start = tokenizer->texts + tokenizer->text_count;
    const size_t room = tokenizer->text_capacity - tokenizer->text_count;
    const size_t lead = strlen(before), length = lead + weir_json_text(text, NULL, 0);
    WEIR_ASSERT(length < room);
    memcpy(start, before, lead);
    weir_json_text(text, start + lead, room - lead);
    start[length] = 0;
    tokenizer->text_count += length + 1;
    return (struct weir_bytes){start, length};
}

/* One of the words of keys. */
static bool is_listed(struct weir_json key, const char *keys)
{
    for (const char *word = keys; *word != 0;) {
        const size_t length = strcspn(word, " ");
        char name[64];
        WEIR_ASSERT(length < sizeof(name));
        memcpy(name, word, length);
        name[length] = 0;
        if (weir_json_is(key, name))
            return true;
        word += length + (word[length] == ' ');
    }
    return false;
}

enum weir_status weir_tokenizer_check_keys(const weir_tokenizer_json *tokenizer,
                                           struct weir_json object, const char *part,
                                           const char *keys, struct weir_err *err)
{
    if (weir_json_kind(object) != WEIR_JSON_OBJECT)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s: %s: wanted an object, found %s",
                         tokenizer->what, part, weir_json_kind_name(weir_json_kind(object)));
    for (struct weir_json_walk walk = weir_json_walk(object); weir_json_next(&walk);)
        if (!is_listed(walk.key, keys))
            return WEIR_FAIL(
                err, WEIR_ERR_UNSUPPORTED, "%s: %s: %.*s is not built in", tokenizer->what, part,
                (int)weir_min(80, (uint64_t)(walk.key.end - walk.key.start)), walk.key.start);
    return WEIR_OK;
}

enum weir_status weir_tokenizer_flag(const weir_tokenizer_json *tokenizer, struct weir_json object,
                                     const char *name, bool *flag, struct weir_err *err)
{
    const struct weir_json value = weir_json_member(object, name);
    const enum weir_json_kind kind = weir_json_kind(value);
    if (kind == WEIR_JSON_NONE || kind == WEIR_JSON_NULL || weir_json_bool(value, flag))
        return WEIR_OK;
    return WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s: %s: wanted true or false, found %s",
                     tokenizer->what, name, weir_json_kind_name(kind));
}

static bool find_token(const weir_tokenizer_json *tokenizer, struct weir_json text, uint32_t *id)
{
    char wanted[TOKEN_BYTES_MAX];
    const size_t length = weir_json_text(text, wanted, sizeof(wanted));
    if (length == 0 || length > sizeof(wanted))
        return false;
    for (uint32_t at = 0; at < tokenizer->vocab.n_vocab; at++) {
        const struct weir_bytes token = tokenizer->tokens[at];
        if (token.length != length || memcmp(token.start, wanted, length) != 0)
            continue;
        *id = at;
        return true;
    }
    return false;
}

/* ---- room ---------------------------------------------------------------------------------- */

static struct weir_json vocab_of(struct weir_json root)
{
    return weir_json_member(weir_json_member(root, "model"), "vocab");
}

/* The largest id and how many tokens are named. */
static enum weir_status measure_ids(weir_tokenizer_json *tokenizer, struct weir_json root,
                                    struct weir_err *err)
{
    uint64_t largest = 0, count = 0, id = 0;
    const struct weir_json vocab = vocab_of(root);
    const bool is_list = weir_json_kind(vocab) == WEIR_JSON_ARRAY;
    for (struct weir_json_walk walk = weir_json_walk(vocab); weir_json_next(&walk); count++) {
        id = walk.index;
        if (!is_list && !weir_json_u64(walk.value, &id))
            return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                             "%s: model.vocab: token %llu: wanted its number, found %s",
                             tokenizer->what, (unsigned long long)walk.index,
                             weir_json_kind_name(weir_json_kind(walk.value)));
        largest = weir_max(largest, id);
    }
    const struct weir_json added = weir_json_member(root, "added_tokens");
    for (struct weir_json_walk walk = weir_json_walk(added); weir_json_next(&walk); count++) {
        if (!weir_json_u64(weir_json_member(walk.value, "id"), &id))
            return WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s: added_tokens: token %llu has no id",
                             tokenizer->what, (unsigned long long)walk.index);
        largest = weir_max(largest, id);
    }
    if (count == 0)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s: model.vocab: wanted tokens, found none",
                         tokenizer->what);
    if (largest >= 2 * count + UNNAMED_MAX)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "%s: a token has the number %llu, of %llu tokens: wanted one below %llu",
                         tokenizer->what, (unsigned long long)largest, (unsigned long long)count,
                         (unsigned long long)(2 * count + UNNAMED_MAX));
    tokenizer->vocab.n_vocab = (uint32_t)(largest + 1);
    return WEIR_OK;
}

static enum weir_status take_room(weir_tokenizer_json *tokenizer, struct weir_json root,
                                  struct weir_err *err)
{
    const uint32_t n_vocab = tokenizer->vocab.n_vocab;
    const struct weir_json model = weir_json_member(root, "model");
    const uint64_t n_merge = weir_json_count(weir_json_member(model, "merges"));
    const bool has_scores = weir_json_is(weir_json_member(model, "type"), "Unigram");
    /* A text is no longer than it is written, quotes included. The words of WordPiece are there
     * once more, with a mark; patterns may be made of several parts. */
    const size_t written = (size_t)(root.end - root.start);
    const bool has_words = weir_json_is(weir_json_member(model, "type"), "WordPiece");
    tokenizer->text_capacity =
        written + WEIR_TOKENIZER_PATTERNS_MAX + (has_words ? written + n_vocab * sizeof(MARK) : 0);
    tokenizer->texts = weir_heap_alloc(tokenizer->text_capacity);
    tokenizer->tokens = weir_heap_array(n_vocab, sizeof(*tokenizer->tokens));
    tokenizer->types = weir_heap_alloc(n_vocab);
    tokenizer->strips = weir_heap_alloc(n_vocab);
    tokenizer->scores = has_scores ? weir_heap_array(n_vocab, sizeof(float)) : NULL;
    tokenizer->merges = weir_heap_array(n_merge, sizeof(*tokenizer->merges));
    tokenizer->merge_lefts = weir_heap_array(n_merge, sizeof(uint32_t));
    if (tokenizer->texts == NULL || tokenizer->tokens == NULL || tokenizer->types == NULL ||
        tokenizer->strips == NULL || (has_scores && tokenizer->scores == NULL) ||
        tokenizer->merges == NULL || tokenizer->merge_lefts == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "%s: no room for %u tokens and %llu merges",
                         tokenizer->what, n_vocab, (unsigned long long)n_merge);
    memset(tokenizer->types, WEIR_TOKEN_UNUSED, n_vocab);
    struct weir_vocab *vocab = &tokenizer->vocab;
    vocab->tokens = tokenizer->tokens;
    vocab->types = tokenizer->types;
    vocab->strips = tokenizer->strips;
    vocab->scores = tokenizer->scores;
    vocab->merges = tokenizer->merges;
    vocab->merge_lefts = tokenizer->merge_lefts;
    vocab->rules = &tokenizer->rules;
    for (uint32_t id = 0; id < n_vocab; id++)
        tokenizer->tokens[id].start = "";
    return WEIR_OK;
}

/* ---- tokens -------------------------------------------------------------------------------- */

static enum weir_status set_token(weir_tokenizer_json *tokenizer, uint64_t id, const char *before,
                                  struct weir_json text, enum weir_token_type type,
                                  struct weir_err *err)
{
    const size_t length = strlen(before) + weir_json_text(text, NULL, 0);
    if (weir_json_kind(text) != WEIR_JSON_TEXT || length > TOKEN_BYTES_MAX)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "%s: token %llu: wanted a text of at most %d bytes, found %s of %zu",
                         tokenizer->what, (unsigned long long)id, TOKEN_BYTES_MAX,
                         weir_json_kind_name(weir_json_kind(text)), length);
    tokenizer->tokens[id] = weir_tokenizer_keep(tokenizer, before, text);
    tokenizer->types[id] = (uint8_t)type;
    return WEIR_OK;
}

/* "vocab": {"token": id}, or a list of tokens with their scores. */
static enum weir_status read_vocab(weir_tokenizer_json *tokenizer, struct weir_json root,
                                   struct weir_err *err)
{
    for (struct weir_json_walk walk = weir_json_walk(vocab_of(root)); weir_json_next(&walk);) {
        uint64_t id = walk.index;
        struct weir_json text = walk.key;
        double score = 0.0;
        if (tokenizer->scores != NULL) {
            struct weir_json_walk pair = weir_json_walk(walk.value);
            weir_json_next(&pair);
            text = pair.value;
            if (!weir_json_next(&pair) || !weir_json_f64(pair.value, &score) || isnan(score))
                return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                                 "%s: model.vocab: token %llu: wanted a text and a score",
                                 tokenizer->what, (unsigned long long)id);
            tokenizer->scores[id] = (float)score;
        } else {
            weir_json_u64(walk.value, &id);
        }
        if (tokenizer->types[id] != WEIR_TOKEN_UNUSED)
            return WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s: two tokens have the number %llu",
                             tokenizer->what, (unsigned long long)id);
        WEIR_TRY(set_token(tokenizer, id, "", text, WEIR_TOKEN_NORMAL, err));
    }
    return WEIR_OK;
}

static enum weir_status add_token(weir_tokenizer_json *tokenizer, struct weir_json token,
                                  struct weir_err *err)
{
    const struct weir_json text = weir_json_member(token, "content");
    bool special = false, left = false, right = false, single = false, normalized = false;
    uint64_t id = 0;
    weir_json_u64(weir_json_member(token, "id"), &id);
    WEIR_TRY(weir_tokenizer_check_keys(tokenizer, token, "added_tokens",
                                       "id content single_word lstrip rstrip normalized special",
                                       err));
    WEIR_TRY(weir_tokenizer_flag(tokenizer, token, "special", &special, err));
    WEIR_TRY(weir_tokenizer_flag(tokenizer, token, "lstrip", &left, err));
    WEIR_TRY(weir_tokenizer_flag(tokenizer, token, "rstrip", &right, err));
    WEIR_TRY(weir_tokenizer_flag(tokenizer, token, "single_word", &single, err));
    WEIR_TRY(weir_tokenizer_flag(tokenizer, token, "normalized", &normalized, err));
    WEIR_TRY(set_token(tokenizer, id, "", text,
                       special ? WEIR_TOKEN_CONTROL : WEIR_TOKEN_USER_DEFINED, err));
    if (tokenizer->tokens[id].length == 0)
        tokenizer->types[id] = WEIR_TOKEN_UNUSED;
    tokenizer->strips[id] = right;
    if (left || single)
        weir_warn(tokenizer->warnings,
                  "%s: token %llu \"%.80s\": %s is not built in; it is found in a text as others "
                  "are",
                  tokenizer->what, (unsigned long long)id, tokenizer->tokens[id].start,
                  left ? "lstrip" : "single_word");
    return WEIR_OK;
}

/* ---- models -------------------------------------------------------------------------------- */

/* "a b", or ["a", "b"]. */
static enum weir_status read_merge(weir_tokenizer_json *tokenizer, struct weir_json merge,
                                   struct weir_err *err)
{
    struct weir_vocab *vocab = &tokenizer->vocab;
    struct weir_bytes *text = &tokenizer->merges[vocab->n_merge];
    uint32_t *left = &tokenizer->merge_lefts[vocab->n_merge];
    if (weir_json_kind(merge) == WEIR_JSON_TEXT) {
        *text = weir_tokenizer_keep(tokenizer, "", merge);
        const char *space =
            text->length < 3 ? NULL : memchr(text->start + 1, ' ', text->length - 2);
        *left = space == NULL ? 0 : (uint32_t)(space - text->start);
    } else {
        struct weir_json_walk walk = weir_json_walk(merge);
        if (!weir_json_next(&walk) || weir_json_kind(walk.value) != WEIR_JSON_TEXT)
            goto fail;
        *text = weir_tokenizer_keep(tokenizer, "", walk.value);
        *left = (uint32_t)text->length;
        if (!weir_json_next(&walk) || weir_json_kind(walk.value) != WEIR_JSON_TEXT)
            goto fail;
        /* The right one stands behind the left one's NUL, which becomes the space between. */
        tokenizer->texts[tokenizer->text_count - 1] = ' ';
        text->length += 1 + weir_tokenizer_keep(tokenizer, "", walk.value).length;
    }
    vocab->n_merge++;
    return WEIR_OK;

fail:
    return WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s: model.merges: %u: wanted two tokens",
                     tokenizer->what, vocab->n_merge);
}

/* The member is absent, null, false, 0 or empty. */
static bool is_off(struct weir_json object, const char *name)
{
    const struct weir_json value = weir_json_member(object, name);
    bool flag = false;
    double number = 0.0;
    weir_json_bool(value, &flag);
    weir_json_f64(value, &number);
    return !flag && number == 0.0 && weir_json_text(value, NULL, 0) == 0;
}

static enum weir_status must_be_off(const weir_tokenizer_json *tokenizer, struct weir_json model,
                                    const char *name, struct weir_err *err)
{
    if (is_off(model, name))
        return WEIR_OK;
    return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED, "%s: model: %s is not built in", tokenizer->what,
                     name);
}

static enum weir_status find_unknown(weir_tokenizer_json *tokenizer, struct weir_json model,
                                     struct weir_err *err)
{
    const struct weir_json text = weir_json_member(model, "unk_token");
    const bool is_named = weir_json_text(text, NULL, 0) > 0;
    if (!is_named || find_token(tokenizer, text, &tokenizer->vocab.unk_id))
        return WEIR_OK;
    return WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s: model.unk_token: %.*s is no token", tokenizer->what,
                     (int)weir_min(80, (uint64_t)(text.end - text.start)), text.start);
}

/* Tokens like <0x0A> are bytes where the model falls back to them. */
static enum weir_status mark_bytes(weir_tokenizer_json *tokenizer, struct weir_json model,
                                   struct weir_err *err)
{
    bool falls_back = false;
    WEIR_TRY(weir_tokenizer_flag(tokenizer, model, "byte_fallback", &falls_back, err));
    for (uint32_t id = 0; falls_back && id < tokenizer->vocab.n_vocab; id++) {
        const struct weir_bytes token = tokenizer->tokens[id];
        if (token.length == 6 && memcmp(token.start, "<0x", 3) == 0 && token.start[5] == '>' &&
            strspn(token.start + 3, "0123456789ABCDEF") == 2)
            tokenizer->types[id] = WEIR_TOKEN_BYTE;
    }
    return WEIR_OK;
}

static enum weir_status read_bpe(weir_tokenizer_json *tokenizer, struct weir_json model,
                                 struct weir_err *err)
{
    struct weir_vocab *vocab = &tokenizer->vocab;
    bool whole_first = false;
    WEIR_TRY(must_be_off(tokenizer, model, "dropout", err));
    WEIR_TRY(must_be_off(tokenizer, model, "continuing_subword_prefix", err));
    WEIR_TRY(must_be_off(tokenizer, model, "end_of_word_suffix", err));
    WEIR_TRY(weir_tokenizer_flag(tokenizer, model, "ignore_merges", &whole_first, err));
    WEIR_TRY(
        weir_tokenizer_flag(tokenizer, model, "fuse_unk", &tokenizer->rules.fuse_unknown, err));
    tokenizer->rules.whole_first = whole_first ? WEIR_WHOLE_ANY : WEIR_WHOLE_NEVER;
    vocab->model = tokenizer->is_byte_level ? (struct weir_bytes){"gpt2", 4}
                                            : (struct weir_bytes){"gemma4", 6};
    if (!tokenizer->is_byte_level)
        WEIR_TRY(mark_bytes(tokenizer, model, err));
    const struct weir_json merges = weir_json_member(model, "merges");
    for (struct weir_json_walk walk = weir_json_walk(merges); weir_json_next(&walk);)
        WEIR_TRY(read_merge(tokenizer, walk.value, err));
    return find_unknown(tokenizer, model, err);
}

static enum weir_status read_unigram(weir_tokenizer_json *tokenizer, struct weir_json model,
                                     struct weir_err *err)
{
    struct weir_vocab *vocab = &tokenizer->vocab;
    uint64_t id = 0;
    vocab->model = (struct weir_bytes){"t5", 2};
    if (weir_json_u64(weir_json_member(model, "unk_id"), &id) && id < vocab->n_vocab)
        vocab->unk_id = (uint32_t)id;
    else if (!is_off(model, "unk_id"))
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s: model.unk_id is no token", tokenizer->what);
    return mark_bytes(tokenizer, model, err);
}

/* As GGUF has them: a mark before what begins a word, nothing before what goes on with one. */
static enum weir_status mark_words(weir_tokenizer_json *tokenizer, struct weir_json root,
                                   struct weir_err *err)
{
    static const char goes_on[] = "##";
    for (struct weir_json_walk walk = weir_json_walk(vocab_of(root)); weir_json_next(&walk);) {
        uint64_t id = 0;
        weir_json_u64(walk.value, &id);
        struct weir_bytes *token = &tokenizer->tokens[id];
        if (tokenizer->types[id] != WEIR_TOKEN_NORMAL)
            continue;
        if (token->length > strlen(goes_on) && memcmp(token->start, goes_on, 2) == 0) {
            token->start += strlen(goes_on);
            token->length -= strlen(goes_on);
            continue;
        }
        WEIR_TRY(set_token(tokenizer, id, MARK, walk.key, WEIR_TOKEN_NORMAL, err));
    }
    return WEIR_OK;
}

static enum weir_status read_wordpiece(weir_tokenizer_json *tokenizer, struct weir_json model,
                                       struct weir_err *err)
{
    uint64_t most = WORD_CHARACTERS;
    weir_json_u64(weir_json_member(model, "max_input_chars_per_word"), &most);
    if (most != WORD_CHARACTERS ||
        !weir_json_is(weir_json_member(model, "continuing_subword_prefix"), "##"))
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "%s: model: only words of %d characters and \"##\" before what goes on "
                         "with one are built in",
                         tokenizer->what, WORD_CHARACTERS);
    tokenizer->vocab.model = (struct weir_bytes){"bert", 4};
    WEIR_TRY(find_unknown(tokenizer, model, err));
    if (tokenizer->vocab.unk_id != WEIR_TOKEN_NONE)
        return WEIR_OK;
    return WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s: model.unk_token: wanted a token, found none",
                     tokenizer->what);
}

static const struct {
    const char *type, *keys;
    enum weir_status (*read)(weir_tokenizer_json *tokenizer, struct weir_json model,
                             struct weir_err *err);
    enum weir_json_kind vocab;
} models[] = {
    {"BPE",
     "type dropout unk_token continuing_subword_prefix end_of_word_suffix fuse_unk byte_fallback "
     "ignore_merges vocab merges",
     read_bpe, WEIR_JSON_OBJECT},
    {"Unigram", "type unk_id vocab byte_fallback", read_unigram, WEIR_JSON_ARRAY},
    {"WordPiece", "type unk_token continuing_subword_prefix max_input_chars_per_word vocab",
     read_wordpiece, WEIR_JSON_OBJECT},
};

/* The row of models; older files name no type where there are merges. */
static enum weir_status find_model(const weir_tokenizer_json *tokenizer, struct weir_json root,
                                   size_t *row, struct weir_err *err)
{
    const struct weir_json model = weir_json_member(root, "model");
    const struct weir_json type = weir_json_member(model, "type");
    if (weir_json_kind(model) != WEIR_JSON_OBJECT)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s: wanted an object \"model\", found %s",
                         tokenizer->what, weir_json_kind_name(weir_json_kind(model)));
    const bool is_old = weir_json_kind(type) == WEIR_JSON_NONE &&
                        weir_json_kind(weir_json_member(model, "merges")) == WEIR_JSON_ARRAY;
    *row = 0;
    while (!is_old && *row < WEIR_COUNT(models) && !weir_json_is(type, models[*row].type))
        ++*row;
    if (*row == WEIR_COUNT(models))
        return WEIR_FAIL(
            err, WEIR_ERR_UNSUPPORTED,
            "%s: model.type: wanted BPE, Unigram or WordPiece, found %.*s", tokenizer->what,
            type.start == NULL ? 7 : (int)weir_min(40, (uint64_t)(type.end - type.start)),
            type.start == NULL ? "nothing" : type.start);
    WEIR_TRY(weir_tokenizer_check_keys(tokenizer, model, "model", models[*row].keys, err));
    const enum weir_json_kind found = weir_json_kind(vocab_of(root));
    if (found != models[*row].vocab)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s: model.vocab: wanted %s, found %s",
                         tokenizer->what, weir_json_kind_name(models[*row].vocab),
                         weir_json_kind_name(found));
    return WEIR_OK;
}

static enum weir_status read_tokenizer(weir_tokenizer_json *tokenizer, struct weir_json root,
                                       struct weir_err *err)
{
    size_t row = 0;
    WEIR_TRY(weir_tokenizer_check_keys(tokenizer, root, "the file",
                                       "version truncation padding added_tokens normalizer "
                                       "pre_tokenizer post_processor decoder model",
                                       err));
    WEIR_TRY(find_model(tokenizer, root, &row, err));
    WEIR_TRY(measure_ids(tokenizer, root, err));
    WEIR_TRY(take_room(tokenizer, root, err));
    WEIR_TRY(read_vocab(tokenizer, root, err));
    const struct weir_json added = weir_json_member(root, "added_tokens");
    for (struct weir_json_walk walk = weir_json_walk(added); weir_json_next(&walk);)
        WEIR_TRY(add_token(tokenizer, walk.value, err));
    WEIR_TRY(weir_tokenizer_read_rules(tokenizer, root, err));
    WEIR_TRY(models[row].read(tokenizer, weir_json_member(root, "model"), err));
    WEIR_TRY(weir_tokenizer_read_processor(tokenizer, root, err));
    if (models[row].read == read_wordpiece)
        WEIR_TRY(mark_words(tokenizer, root, err));
    tokenizer->vocab.add_space_prefix = tokenizer->adds_space || models[row].read == read_wordpiece;
    return WEIR_OK;
}

enum weir_status weir_tokenizer_json_parse(weir_tokenizer_json **out, const char *bytes,
                                           size_t length, const char *what,
                                           struct weir_warnings *warnings, struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    struct weir_json root = {0};
    WEIR_TRY(weir_json_parse(&root, bytes, length, what, err));
    weir_tokenizer_json *tokenizer = weir_heap_alloc(sizeof(*tokenizer));
    if (tokenizer == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "%s: no room", what);
    tokenizer->what = what;
    tokenizer->warnings = warnings;
    tokenizer->rules.is_foreign = true;
    tokenizer->vocab.bos_id = tokenizer->vocab.eos_id = WEIR_TOKEN_NONE;
    tokenizer->vocab.unk_id = WEIR_TOKEN_NONE;
    WEIR_TRY_GOTO(read_tokenizer(tokenizer, root, err));
    tokenizer->what = NULL;
    tokenizer->warnings = NULL;
    *out = tokenizer;
    return WEIR_OK;

fail:
    weir_tokenizer_json_close(&tokenizer);
    return status;
}

void weir_tokenizer_json_close(weir_tokenizer_json **tokenizer)
{
    weir_tokenizer_json *old = *tokenizer;
    if (old == NULL)
        return;
    weir_heap_free(old->texts);
    weir_heap_free(old->tokens);
    weir_heap_free(old->types);
    weir_heap_free(old->strips);
    weir_heap_free(old->scores);
    weir_heap_free(old->merges);
    weir_heap_free(old->merge_lefts);
    weir_heap_free(old);
    *tokenizer = NULL;
}

const struct weir_vocab *weir_tokenizer_json_vocab(const weir_tokenizer_json *tokenizer)
{
    return &tokenizer->vocab;
}
