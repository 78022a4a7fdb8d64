/* chat_facts.c - the chat templates of a file or a directory, and the special tokens they name.
 *
 * A GGUF file has tokenizer.chat_template, others as tokenizer.chat_template.NAME, and its special
 * tokens by number. In a directory it is as transformers reads it: chat_template.jinja goes before
 * the chat_template of tokenizer_config.json, which is a text or a list of {name, template};
 * tokens that tokenizer_config.json does not name may be in special_tokens_map.json. */
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "formats/hf.h"

enum { CONFIG_BYTES_MAX = 32 << 20, TEMPLATE_BYTES_MAX = 4 << 20, TOKEN_TEXT_MAX = 1024 };

#define TEMPLATE_KEY "tokenizer.chat_template"

static const struct {
    const char *name, *key;
} specials[WEIR_CHAT_SPECIAL_MAX] = {
    {"bos_token", "tokenizer.ggml.bos_token_id"},
    {"eos_token", "tokenizer.ggml.eos_token_id"},
    {"unk_token", "tokenizer.ggml.unknown_token_id"},
    {"sep_token", "tokenizer.ggml.seperator_token_id"},
    {"pad_token", "tokenizer.ggml.padding_token_id"},
    {"cls_token", "tokenizer.ggml.cls_token_id"},
    {"mask_token", "tokenizer.ggml.mask_token_id"},
};

/* ---- texts of their own -------------------------------------------------------------------- */

static struct weir_chat_text *find_text(struct weir_chat_text *texts, uint32_t count,
                                        const char *name)
{
    for (uint32_t index = 0; index < count; index++)
        if (strcmp(texts[index].name, name) == 0)
            return &texts[index];
    return NULL;
}

/* A copy of both, unless one of that name is there already. */
static enum weir_status add_text(struct weir_chat_text *texts, uint32_t *count, uint32_t most,
                                 const char *name, const char *bytes, size_t length,
                                 struct weir_err *err)
{
    if (find_text(texts, *count, name) != NULL || *count == most)
        return WEIR_OK;
    struct weir_chat_text *added = &texts[*count];
    added->name = weir_heap_text(name);
    added->text = weir_heap_alloc(length + 1);
    (*count)++;
    if (added->name == NULL || added->text == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a chat template of %zu bytes", length);
    if (length > 0)
        memcpy(added->text, bytes, length);
    added->length = length;
    return WEIR_OK;
}

static enum weir_status add_template(struct weir_chat_facts *facts, const char *name,
                                     const char *bytes, size_t length, struct weir_err *err)
{
    return add_text(facts->templates, &facts->template_count, WEIR_CHAT_TEMPLATE_MAX, name, bytes,
                    length, err);
}

static enum weir_status add_special(struct weir_chat_facts *facts, const char *name,
                                    const char *bytes, size_t length, struct weir_err *err)
{
    return add_text(facts->specials, &facts->special_count, WEIR_CHAT_SPECIAL_MAX, name, bytes,
                    length, err);
}

void weir_chat_facts_free(struct weir_chat_facts *facts)
{
    for (uint32_t index = 0; index < facts->template_count; index++) {
        weir_heap_free(facts->templates[index].name);
        weir_heap_free(facts->templates[index].text);
    }
    for (uint32_t index = 0; index < facts->special_count; index++) {
        weir_heap_free(facts->specials[index].name);
        weir_heap_free(facts->specials[index].text);
    }
    *facts = (struct weir_chat_facts){0};
}

/* ---- GGUF ---------------------------------------------------------------------------------- */

static enum weir_status read_keys(weir_manifest *manifest, struct weir_chat_facts *facts,
                                  struct weir_err *err)
{
    const char *usual = weir_manifest_text(manifest, TEMPLATE_KEY);
    if (usual != NULL)
        WEIR_TRY(add_template(facts, "default", usual, strlen(usual), err));
    for (uint32_t index = 0; index < weir_manifest_key_count(manifest); index++) {
        char shown[1];
        const char *key = weir_manifest_key_at(manifest, index, shown, sizeof(shown));
        const size_t length = strlen(TEMPLATE_KEY ".");
        if (strncmp(key, TEMPLATE_KEY ".", length) != 0)
            continue;
        const char *text = weir_manifest_text(manifest, key);
        if (text != NULL)
            WEIR_TRY(add_template(facts, key + length, text, strlen(text), err));
    }
    return WEIR_OK;
}

/* Without a vocabulary there are none: whoever needs it will say what is wrong with it. */
static enum weir_status read_ids(weir_manifest *manifest, struct weir_chat_facts *facts,
                                 struct weir_err *err)
{
    const struct weir_vocab *vocab = NULL;
    struct weir_err ignored = {0};
    if (weir_manifest_vocab(manifest, &vocab, &ignored) != WEIR_OK)
        return WEIR_OK;
    for (size_t row = 0; row < WEIR_COUNT(specials); row++) {
        uint64_t id = WEIR_TOKEN_NONE;
        if (!weir_manifest_u64(manifest, specials[row].key, &id))
            id = row == 0 ? vocab->bos_id : row == 1 ? vocab->eos_id : WEIR_TOKEN_NONE;
        if (id < vocab->n_vocab)
            WEIR_TRY(add_special(facts, specials[row].name, vocab->tokens[id].start,
                                 vocab->tokens[id].length, err));
    }
    return WEIR_OK;
}

/* ---- directories --------------------------------------------------------------------------- */

/* A JSON text, decoded; the caller frees *text. */
static enum weir_status take_text(struct weir_json value, size_t most, const char *what,
                                  char **text, size_t *length, struct weir_err *err)
{
    *length = weir_json_text(value, NULL, 0);
    if (*length > most)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s: wanted at most %zu bytes, found %zu", what,
                         most, *length);
    *text = weir_heap_alloc(*length + 1);
    if (*text == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for %s of %zu bytes", what, *length);
    weir_json_text(value, *text, *length);
    return WEIR_OK;
}

static enum weir_status add_json_template(struct weir_chat_facts *facts, const char *name,
                                          struct weir_json value, struct weir_err *err)
{
    char *text = NULL;
    size_t length = 0;
    if (weir_json_kind(value) != WEIR_JSON_TEXT)
        return WEIR_OK;
    WEIR_TRY(take_text(value, TEMPLATE_BYTES_MAX, "chat_template", &text, &length, err));
    const enum weir_status status = add_template(facts, name, text, length, err);
    weir_heap_free(text);
    return status;
}

/* A text, or a list of texts with names. */
static enum weir_status read_json_templates(struct weir_chat_facts *facts, struct weir_json value,
                                            struct weir_err *err)
{
    if (weir_json_kind(value) != WEIR_JSON_ARRAY)
        return add_json_template(facts, "default", value, err);
    struct weir_json_walk walk = weir_json_walk(value);
    while (weir_json_next(&walk)) {
        char name[64];
        const struct weir_json text = weir_json_member(walk.value, "name");
        const size_t length = weir_json_text(text, name, sizeof(name) - 1);
        if (length == 0 || length >= sizeof(name))
            continue;
        name[length] = '\0';
        WEIR_TRY(add_json_template(facts, name, weir_json_member(walk.value, "template"), err));
    }
    return WEIR_OK;
}

/* A token as its text, or as an object that has it. */
static enum weir_status read_json_specials(struct weir_chat_facts *facts, struct weir_json root,
                                           struct weir_err *err)
{
    for (size_t row = 0; row < WEIR_COUNT(specials); row++) {
        struct weir_json value = weir_json_member(root, specials[row].name);
        char *text = NULL;
        size_t length = 0;
        if (weir_json_kind(value) == WEIR_JSON_OBJECT)
            value = weir_json_member(value, "content");
        if (weir_json_kind(value) != WEIR_JSON_TEXT)
            continue;
        WEIR_TRY(take_text(value, TOKEN_TEXT_MAX, specials[row].name, &text, &length, err));
        const enum weir_status status = add_special(facts, specials[row].name, text, length, err);
        weir_heap_free(text);
        WEIR_TRY(status);
    }
    return WEIR_OK;
}

static enum weir_status read_json(struct weir_chat_facts *facts,
                                  const struct weir_hf_folder *folder, const char *name,
                                  struct weir_err *err)
{
    struct gguf_source source = {.fd = -1};
    struct weir_json root = {0};
    if (!weir_hf_file_exists(folder, name))
        return WEIR_OK;
    char *path = weir_hf_path(folder, name);
    if (path == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a file's name");
    enum weir_status status =
        weir_hf_json_open(&root, &source, folder, path, CONFIG_BYTES_MAX, err);
    if (status == WEIR_OK)
        status = read_json_templates(facts, weir_json_member(root, "chat_template"), err);
    if (status == WEIR_OK)
        status = read_json_specials(facts, root, err);
    weir_gguf_source_close(&source);
    weir_heap_free(path);
    return status;
}

/* A file that is a template. */
static enum weir_status read_jinja(struct weir_chat_facts *facts,
                                   const struct weir_hf_folder *folder, const char *file,
                                   const char *name, struct weir_err *err)
{
    struct gguf_source source = {.fd = -1};
    if (!weir_hf_file_exists(folder, file))
        return WEIR_OK;
    char *path = weir_hf_path(folder, file);
    if (path == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a file's name");
    enum weir_status status =
        weir_hf_file_read(&source, folder, path, "the template", TEMPLATE_BYTES_MAX, err);
    if (status == WEIR_OK)
        status =
            add_template(facts, name, (const char *)source.bytes, (size_t)source.file_bytes, err);
    weir_gguf_source_close(&source);
    weir_heap_free(path);
    return status;
}

static enum weir_status read_folder(const char *path, struct weir_chat_facts *facts,
                                    struct weir_err *err)
{
    const struct weir_hf_folder folder = {.path = path};
    WEIR_TRY(read_jinja(facts, &folder, "chat_template.jinja", "default", err));
    WEIR_TRY(
        read_jinja(facts, &folder, "additional_chat_templates/tool_use.jinja", "tool_use", err));
    WEIR_TRY(read_json(facts, &folder, "chat_template.json", err));
    WEIR_TRY(read_json(facts, &folder, "tokenizer_config.json", err));
    return read_json(facts, &folder, "special_tokens_map.json", err);
}

enum weir_status weir_manifest_chat(weir_manifest *manifest, struct weir_chat_facts *facts,
                                    struct weir_err *err)
{
    *facts = (struct weir_chat_facts){0};
    if (manifest->folder != NULL)
        return read_folder(manifest->folder, facts, err);
    if (manifest->tokenizer_path != NULL)
        return WEIR_OK;
    WEIR_TRY(read_keys(manifest, facts, err));
    return read_ids(manifest, facts, err);
}
