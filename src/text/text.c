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

/* ---- models -------------------------------------------------------------------------------- */

enum {
    NO_TEXT = 1u << WEIR_TOKEN_CONTROL | 1u << WEIR_TOKEN_UNKNOWN | 1u << WEIR_TOKEN_BYTE,
    SPECIAL = 1u << WEIR_TOKEN_CONTROL | 1u << WEIR_TOKEN_UNKNOWN | 1u << WEIR_TOKEN_USER_DEFINED,
    WORD_CHARACTERS_MAX = 100, /* BERT's */
};

static const struct weir_text_model by_characters = {
    .name = "gemma4",
    .init = weir_text_characters_init,
    .feed = weir_text_plain_feed,
    .cut = weir_text_characters_cut,
    .no_text_types = NO_TEXT,
};

/* In byte-level files a merge may build a special token from characters. */
#define BYTE_LEVEL                                                                                 \
    .init = weir_text_byte_level_init, .feed = weir_text_plain_feed,                               \
    .cut = weir_text_byte_level_cut, .has_alphabet = true

static const struct weir_text_model models[] = {
    {.name = "gpt2", BYTE_LEVEL},
    {.name = "hybriddna", BYTE_LEVEL},
    {.name = "whitespace", BYTE_LEVEL},
    {.name = "llama",
     .init = weir_text_sentencepiece_init,
     .feed = weir_text_sentencepiece_feed,
     .cut = weir_text_sentencepiece_cut,
     .no_text_types = NO_TEXT,
     .fuses_unknown = true},
    {.name = "t5",
     .init = weir_text_unigram_init,
     .feed = weir_text_plain_feed,
     .cut = weir_text_unigram_cut,
     .no_text_types = NO_TEXT,
     .fuses_unknown = true},
    {.name = "bert",
     .init = weir_text_wordpiece_init,
     .feed = weir_text_plain_feed,
     .cut = weir_text_wordpiece_cut,
     .no_text_types = NO_TEXT,
     .word_max = WORD_CHARACTERS_MAX},
};

static const struct weir_text_model *find_model(struct weir_bytes name)
{
    if (is_text(name, by_characters.name))
        return &by_characters;
    for (size_t row = 0; row < WEIR_COUNT(models); row++)
        if (is_text(name, models[row].name))
            return &models[row];
    return NULL;
}

static void add_step(struct weir_text_rules *rules, enum weir_normal_kind kind, const char *from,
                     const char *to)
{
    WEIR_ASSERT(rules->normal_count < WEIR_NORMAL_MAX);
    rules->normal[rules->normal_count++] =
        (struct weir_normal_step){kind, {from, strlen(from)}, {to, strlen(to)}};
}

static void make_unigram_rules(const struct weir_vocab *vocab, struct weir_text_rules *rules)
{
    if (vocab->charsmap.length > 0)
        rules->normal[rules->normal_count++] =
            (struct weir_normal_step){.kind = WEIR_NORMAL_CHARSMAP, .from = vocab->charsmap};
    if (vocab->squeeze_spaces)
        add_step(rules, WEIR_NORMAL_SQUEEZE, "", "");
    if (vocab->add_space_prefix)
        add_step(rules, WEIR_NORMAL_PREPEND, "", WEIR_TEXT_MARK);
    add_step(rules, WEIR_NORMAL_REPLACE, " ", WEIR_TEXT_MARK);
}

static void make_wordpiece_rules(const struct weir_vocab *vocab, struct weir_text_rules *rules)
{
    add_step(rules, WEIR_NORMAL_NO_CONTROLS, "", "");
    add_step(rules, WEIR_NORMAL_CHINESE_APART, "", "");
    if (vocab->strip_accents) {
        add_step(rules, WEIR_NORMAL_NFD, "", "");
        add_step(rules, WEIR_NORMAL_NO_ACCENTS, "", "");
    }
    if (vocab->lowercase)
        add_step(rules, WEIR_NORMAL_LOWERCASE, "", "");
    rules->splits[0] = (struct weir_split_step){
        .pattern = "\\s+", .match = WEIR_MATCH_LOOP, .keep = WEIR_KEEP_GAPS};
    rules->splits[1] = (struct weir_split_step){.pattern = "[\\p{P}$+<=>^`|~]"};
    rules->split_count = 2;
}

/* How texts of this vocabulary become pieces, and by which model the pieces become tokens. */
static enum weir_status choose_rules(weir_text *text, struct weir_err *err)
{
    const struct weir_vocab *vocab = &text->vocab;
    struct weir_bytes pre = vocab->pre;
    bool is_raw = false;
    if (vocab->rules != NULL)
        text->rules = *vocab->rules;
    else if (is_text(vocab->model, "t5"))
        make_unigram_rules(vocab, &text->rules);
    else if (is_text(vocab->model, "bert"))
        make_wordpiece_rules(vocab, &text->rules);
    else if (!is_text(vocab->model, "llama")) {
        if (pre.length == 0)
            pre = text->model == &by_characters ? (struct weir_bytes){"gemma4", 6}
                                                : (struct weir_bytes){"default", 7};
        WEIR_TRY(weir_text_find_rules(pre, &text->rules, &is_raw, err));
    }
    if (is_raw)
        text->model = &by_characters;
    for (uint32_t index = 0; index < text->rules.normal_count; index++)
        if (text->rules.normal[index].kind == WEIR_NORMAL_CHARSMAP)
            WEIR_TRY(weir_text_charsmap_check(text->rules.normal[index].from, err));
    return WEIR_OK;
}

/* ---- a vocabulary -------------------------------------------------------------------------- */

/* Bytes of a text that one token stands for at most; a character without a token has up to 4. */
static size_t find_longest(const weir_text *text)
{
    size_t longest = 4;
    if (!text->model->has_alphabet)
        return weir_max(longest, text->map.longest);
    for (uint32_t id = 0; id < text->vocab.n_vocab; id++) {
        const struct weir_bytes token = text->vocab.tokens[id];
        longest = weir_max(longest, weir_text_byte_level_decode(&text->alphabet, token, NULL));
    }
    return longest;
}

/* What cutting texts needs beyond the tokens; without it ids still have their text. */
static enum weir_status prepare_encoding(weir_text *text, struct weir_warnings *warnings,
                                         struct weir_err *err)
{
    struct weir_err *why = &text->no_encoding;
    enum weir_status status = why->status;
    if (status == WEIR_OK && text->rules.split_count > 0)
        status = weir_text_splitter_create(&text->splitter, &text->rules, why);
    if (status == WEIR_OK)
        status = text->model->init(text, warnings, why);
    if (status == WEIR_ERR_NOMEM)
        return WEIR_FAIL(err, status, "%s", why->text);
    if (status != WEIR_OK)
        weir_warn(warnings, "texts cannot be cut into tokens, only ids are taken: %s", why->text);
    return WEIR_OK;
}

enum weir_status weir_text_create(weir_text **out, const struct weir_vocab *vocab,
                                  struct weir_warnings *warnings, struct weir_err *err)
{
    const struct weir_text_model *model = find_model(vocab->model);
    if (model == NULL)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "tokenizer model \"%.*s\" is not built in; known are gpt2, llama, gemma4, "
                         "t5, bert",
                         (int)weir_min(vocab->model.length, 40), vocab->model.start);
    WEIR_TRY(check_vocab(vocab, err));

    enum weir_status status = WEIR_OK;
    weir_text *text = weir_heap_alloc(sizeof(*text));
    if (text == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "vocabulary: no room");
    text->vocab = *vocab;
    text->model = model;
    choose_rules(text, &text->no_encoding);
    weir_text_alphabet_init(&text->alphabet);
    WEIR_TRY_GOTO(weir_text_map_init(&text->map, vocab, text->model->no_text_types, err));
    WEIR_TRY_GOTO(weir_text_prefixes_init(&text->specials, vocab, SPECIAL, err));
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
    weir_text_array_trim(&text->lattice, 1, keep_bytes / WEIR_TEXT_NODE_BYTES);
}

void weir_text_destroy(weir_text **text)
{
    weir_text *old = *text;
    if (old == NULL)
        return;
    weir_text_map_deinit(&old->map);
    weir_text_prefixes_deinit(&old->specials);
    weir_text_prefixes_deinit(&old->words);
    weir_text_ranks_deinit(&old->ranks);
    weir_text_splitter_destroy(&old->splitter);
    weir_text_array_trim(&old->lattice, 1, 0);
    weir_heap_free(old->end_ids);
    weir_text_trim_scratch(old, 0);
    weir_heap_free(old);
    *text = NULL;
}

bool weir_text_is_compiled(const weir_text *text)
{
    return text->splitter == NULL || weir_text_splitter_is_compiled(text->splitter);
}
