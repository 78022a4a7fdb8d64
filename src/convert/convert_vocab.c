/* convert_vocab.c - tokens, special tokens and chat templates as keys of a file. */
#include <stdio.h>
#include <string.h>

#include "convert/convert.h"

#define KEY(name) "tokenizer.ggml." name
#define TEMPLATE_KEY "tokenizer.chat_template"

struct vocab_keys {
    weir_gguf_writer *writer;
    const struct weir_vocab *vocab;
    uint64_t n_row;
};

/* An id that no token has is one that no text becomes. */
static bool is_named(const struct weir_vocab *vocab, uint64_t id)
{
    return id < vocab->n_vocab && vocab->tokens[id].length > 0;
}

static void put_tokens(const struct vocab_keys *keys)
{
    const struct weir_vocab *vocab = keys->vocab;
    weir_gguf_put_array(keys->writer, KEY("tokens"), GGUF_STRING, keys->n_row);
    for (uint64_t id = 0; id < keys->n_row; id++) {
        char name[32];
        const int length = snprintf(name, sizeof(name), "[PAD%llu]", (unsigned long long)id);
        if (is_named(vocab, id))
            weir_gguf_put_string(keys->writer, vocab->tokens[id].start, vocab->tokens[id].length);
        else
            weir_gguf_put_string(keys->writer, name, (uint64_t)length);
    }
    weir_gguf_put_array(keys->writer, KEY("token_type"), GGUF_I32, keys->n_row);
    for (uint64_t id = 0; id < keys->n_row; id++) {
        const int32_t type = is_named(vocab, id) ? vocab->types[id] : WEIR_TOKEN_UNUSED;
        weir_gguf_put_values(keys->writer, &type, 1);
    }
}

static void put_scores(const struct vocab_keys *keys, const float *scores)
{
    const float none = 0.0f;
    weir_gguf_put_array(keys->writer, KEY("scores"), GGUF_F32, keys->n_row);
    for (uint64_t id = 0; id < keys->n_row; id++)
        weir_gguf_put_values(keys->writer, id < keys->vocab->n_vocab ? &scores[id] : &none, 1);
}

static void put_merges(const struct vocab_keys *keys)
{
    const struct weir_vocab *vocab = keys->vocab;
    weir_gguf_put_array(keys->writer, KEY("merges"), GGUF_STRING, vocab->n_merge);
    for (uint32_t rank = 0; rank < vocab->n_merge; rank++)
        weir_gguf_put_string(keys->writer, vocab->merges[rank].start, vocab->merges[rank].length);
}

static void put_id(const struct vocab_keys *keys, const char *key, uint32_t id)
{
    if (id != WEIR_TOKEN_NONE)
        weir_gguf_put_u32(keys->writer, key, id);
}

/* What ends a text; further ones end a turn or a message there, and weir reads all of them. */
static void put_ends(const struct vocab_keys *keys)
{
    static const char *const others[] = {KEY("eot_token_id"), KEY("eom_token_id")};
    const struct weir_vocab *vocab = keys->vocab;
    size_t other = 0;
    put_id(keys, KEY("eos_token_id"), vocab->eos_id);
    for (uint32_t index = 0; index < vocab->n_end && other < WEIR_COUNT(others); index++)
        if (vocab->end_ids[index] != vocab->eos_id)
            put_id(keys, others[other++], vocab->end_ids[index]);
    if (vocab->n_end < 2)
        return;
    weir_gguf_put_array(keys->writer, KEY("eos_token_ids"), GGUF_U32, vocab->n_end);
    weir_gguf_put_values(keys->writer, vocab->end_ids, vocab->n_end);
}

/* Special tokens that tokenizer_config.json names and no text is changed by. */
static void put_named(const struct vocab_keys *keys, const struct weir_chat_facts *facts)
{
    static const struct {
        const char *name, *key;
    } rows[] = {
        {"sep_token", KEY("seperator_token_id")}, /* as the format spells it */
        {"pad_token", KEY("padding_token_id")},
        {"cls_token", KEY("cls_token_id")},
        {"mask_token", KEY("mask_token_id")},
    };
    const struct weir_vocab *vocab = keys->vocab;
    for (uint32_t index = 0; index < facts->special_count; index++)
        for (size_t row = 0; row < WEIR_COUNT(rows); row++) {
            const struct weir_chat_text *special = &facts->specials[index];
            if (strcmp(special->name, rows[row].name) != 0)
                continue;
            for (uint32_t id = 0; id < vocab->n_vocab; id++)
                if (vocab->tokens[id].length == special->length && special->length > 0 &&
                    memcmp(vocab->tokens[id].start, special->text, special->length) == 0) {
                    put_id(keys, rows[row].key, id);
                    break;
                }
        }
}

/* One is the usual one; the names of the others are a key of their own. */
static void put_templates(const struct vocab_keys *keys, const struct weir_chat_facts *facts)
{
    uint32_t other_count = 0;
    for (uint32_t index = 0; index < facts->template_count; index++)
        other_count += strcmp(facts->templates[index].name, "default") != 0;
    if (other_count > 0)
        weir_gguf_put_array(keys->writer, "tokenizer.chat_templates", GGUF_STRING, other_count);
    for (uint32_t index = 0; index < facts->template_count; index++) {
        const char *name = facts->templates[index].name;
        if (strcmp(name, "default") != 0)
            weir_gguf_put_string(keys->writer, name, strlen(name));
    }
    for (uint32_t index = 0; index < facts->template_count; index++) {
        char key[128];
        const struct weir_chat_text *text = &facts->templates[index];
        if (strcmp(text->name, "default") == 0)
            snprintf(key, sizeof(key), "%s", TEMPLATE_KEY);
        else
            snprintf(key, sizeof(key), "%s.%s", TEMPLATE_KEY, text->name);
        weir_gguf_put_text(keys->writer, key, text->text);
    }
}

static void put_all(const struct vocab_keys *keys, const struct weir_vocab_form *form,
                    const struct weir_chat_facts *facts)
{
    const struct weir_vocab *vocab = keys->vocab;
    weir_gguf_put_text(keys->writer, KEY("model"), form->model);
    if (form->pre != NULL)
        weir_gguf_put_text(keys->writer, KEY("pre"), form->pre);
    put_tokens(keys);
    if (form->scores != NULL)
        put_scores(keys, form->scores);
    else
        put_merges(keys);
    put_id(keys, KEY("bos_token_id"), vocab->bos_id);
    put_ends(keys);
    put_id(keys, KEY("unknown_token_id"), vocab->unk_id);
    put_named(keys, facts);
    weir_gguf_put_bool(keys->writer, KEY("add_bos_token"), vocab->add_bos);
    weir_gguf_put_bool(keys->writer, KEY("add_eos_token"), vocab->add_eos);
    if (form->scores != NULL)
        weir_gguf_put_bool(keys->writer, KEY("add_space_prefix"), vocab->add_space_prefix);
    put_templates(keys, facts);
}

/* A template is a text that ends where it ends. */
static enum weir_status check_templates(const struct weir_chat_facts *facts, struct weir_err *err)
{
    for (uint32_t index = 0; index < facts->template_count; index++) {
        const struct weir_chat_text *text = &facts->templates[index];
        if (strlen(text->text) != text->length)
            return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                             "chat template \"%s\": wanted a text, found a NUL at byte %zu",
                             text->name, strlen(text->text));
    }
    return WEIR_OK;
}

enum weir_status weir_convert_text_make(struct weir_convert_text *text, weir_manifest *manifest,
                                        struct weir_warnings *warnings, struct weir_err *err)
{
    const struct weir_tensor *embedding = weir_manifest_tensor(manifest, "token_embd.weight");
    *text = (struct weir_convert_text){.n_row = embedding == NULL ? 0 : embedding->dims[1]};
    WEIR_TRY(weir_manifest_vocab(manifest, &text->vocab, err));
    if (text->vocab->n_vocab > text->n_row)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "tokenizer.json: wanted at most a token for each of %llu rows of the "
                         "embedding, found %u",
                         (unsigned long long)text->n_row, text->vocab->n_vocab);
    WEIR_TRY(weir_vocab_form_find(&text->form, text->vocab,
                                  weir_manifest_text(manifest, "general.architecture"), warnings,
                                  err));
    WEIR_TRY(weir_manifest_chat(manifest, &text->facts, err));
    return check_templates(&text->facts, err);
}

void weir_convert_text_put(weir_gguf_writer *writer, const struct weir_convert_text *text)
{
    const struct vocab_keys keys = {writer, text->vocab, text->n_row};
    put_all(&keys, &text->form, &text->facts);
}

void weir_convert_text_free(struct weir_convert_text *text)
{
    weir_vocab_form_free(&text->form);
    weir_chat_facts_free(&text->facts);
}
