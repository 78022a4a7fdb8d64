/* hf_vocab.c - the vocabulary of a directory: tokenizer.json, and which tokens end a text.
 *
 * tokenizer.json does not say what ends a text. Each of the files that may do is asked, as
 * transformers does: generation_config.json and config.json have numbers, tokenizer_config.json the
 * token itself. */
#include "formats/hf.h"

#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "formats/tokenizer_json.h"

enum { TOKENIZER_BYTES_MAX = 100000000, CONFIG_BYTES_MAX = 1 << 20, END_MAX = 64 };

static enum weir_status read_tokenizer(struct weir_manifest *manifest,
                                       const struct weir_hf_folder *folder, const char *path,
                                       struct weir_err *err)
{
    struct gguf_source source = {.fd = -1};
    enum weir_status status =
        weir_hf_file_read(&source, folder, path, "its JSON", TOKENIZER_BYTES_MAX, err);
    if (status == WEIR_OK)
        status =
            weir_tokenizer_json_parse(&manifest->tokenizer, (const char *)source.bytes,
                                      (size_t)source.file_bytes, path, manifest->warnings, err);
    weir_gguf_source_close(&source);
    return status;
}

/* Another token that ends a text; each once. */
static void add_end(struct weir_manifest *manifest, uint32_t id)
{
    struct weir_vocab *vocab = &manifest->vocab;
    for (uint32_t index = 0; index < vocab->n_end; index++)
        if (manifest->end_ids[index] == id)
            return;
    if (vocab->n_end < END_MAX)
        manifest->end_ids[vocab->n_end++] = id;
    else
        weir_warn(manifest->warnings, "more than %d tokens end a text: token %u is not one of them",
                  END_MAX, id);
}

/* A token's number; *id stays when there is none, or, with a warning, none of the vocabulary. */
static void read_id(struct weir_manifest *manifest, const char *path, const char *name,
                    struct weir_json value, uint32_t *id)
{
    uint64_t number = 0;
    if (weir_json_kind(value) <= WEIR_JSON_NULL)
        return;
    if (weir_json_u64(value, &number) && number < manifest->vocab.n_vocab)
        *id = (uint32_t)number;
    else
        weir_warn(manifest->warnings, "%s: %s: %.*s is no token of a vocabulary of %u: ignored",
                  path, name, (int)weir_min(40, (uint64_t)(value.end - value.start)), value.start,
                  manifest->vocab.n_vocab);
}

/* One number, or an array of them. */
static void read_ends(struct weir_manifest *manifest, const char *path, struct weir_json value)
{
    static const char name[] = "eos_token_id";
    struct weir_json_walk walk = weir_json_walk(value);
    uint32_t id = WEIR_TOKEN_NONE;
    if (weir_json_kind(value) != WEIR_JSON_ARRAY)
        read_id(manifest, path, name, value, &id);
    if (id != WEIR_TOKEN_NONE)
        add_end(manifest, id);
    while (weir_json_kind(value) == WEIR_JSON_ARRAY && weir_json_next(&walk)) {
        id = WEIR_TOKEN_NONE;
        read_id(manifest, path, name, walk.value, &id);
        if (id != WEIR_TOKEN_NONE)
            add_end(manifest, id);
    }
}

static void read_numbers(struct weir_manifest *manifest, const char *path, struct weir_json root)
{
    const struct weir_json text = weir_json_member(root, "text_config");
    const struct weir_json parts[] = {root, text};
    for (size_t part = 0; part < WEIR_COUNT(parts); part++) {
        read_ends(manifest, path, weir_json_member(parts[part], "eos_token_id"));
        if (manifest->vocab.bos_id == WEIR_TOKEN_NONE)
            read_id(manifest, path, "bos_token_id", weir_json_member(parts[part], "bos_token_id"),
                    &manifest->vocab.bos_id);
    }
}

/* The token that is written in tokenizer_config.json, perhaps as an object with its content. */
static void read_written(struct weir_manifest *manifest, const char *path, struct weir_json root)
{
    struct weir_json token = weir_json_member(root, "eos_token");
    const struct weir_vocab *vocab = &manifest->vocab;
    if (weir_json_kind(token) == WEIR_JSON_OBJECT)
        token = weir_json_member(token, "content");
    if (weir_json_kind(token) <= WEIR_JSON_NULL)
        return;
    char text[256];
    const size_t length = weir_json_text(token, text, sizeof(text));
    for (uint32_t id = 0; id < vocab->n_vocab && length <= sizeof(text); id++)
        if (vocab->tokens[id].length == length &&
            memcmp(vocab->tokens[id].start, text, length) == 0) {
            add_end(manifest, id);
            return;
        }
    weir_warn(manifest->warnings, "%s: eos_token: %.*s is no token of the vocabulary: ignored",
              path, (int)weir_min(40, (uint64_t)(token.end - token.start)), token.start);
}

typedef void read_config_fn(struct weir_manifest *manifest, const char *path,
                            struct weir_json root);

/* One of the files that say what ends a text; none of them has to be there. */
static enum weir_status read_config(struct weir_manifest *manifest,
                                    const struct weir_hf_folder *folder, const char *name,
                                    read_config_fn *read, struct weir_err *err)
{
    struct gguf_source source = {.fd = -1};
    struct weir_json root = {0};
    if (!weir_hf_file_exists(folder, name))
        return WEIR_OK;
    char *path = weir_hf_path(folder, name);
    if (path == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a file's name");
    const enum weir_status status =
        weir_hf_json_open(&root, &source, folder, path, CONFIG_BYTES_MAX, err);
    if (status == WEIR_OK)
        read(manifest, path, root);
    weir_gguf_source_close(&source);
    weir_heap_free(path);
    return status;
}

/* What its directory says of which tokens end a text. */
static enum weir_status read_configs(struct weir_manifest *manifest,
                                     const struct weir_hf_folder *folder, struct weir_err *err)
{
    WEIR_TRY(read_config(manifest, folder, "tokenizer_config.json", read_written, err));
    WEIR_TRY(read_config(manifest, folder, "generation_config.json", read_numbers, err));
    return read_config(manifest, folder, "config.json", read_numbers, err);
}

enum weir_status weir_hf_vocab_read(struct weir_manifest *manifest, struct weir_err *err)
{
    static const char name[] = "tokenizer.json";
    const struct weir_hf_folder folder = {.path = manifest->folder};
    const bool is_alone = manifest->tokenizer_path != NULL;
    if (!is_alone && !weir_hf_file_exists(&folder, name))
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s/%s is missing: the model has no vocabulary",
                         manifest->folder, name);
    char *path = is_alone ? weir_heap_text(manifest->tokenizer_path) : weir_hf_path(&folder, name);
    manifest->end_ids = weir_heap_array(END_MAX, sizeof(*manifest->end_ids));
    if (path == NULL || manifest->end_ids == NULL) {
        weir_heap_free(path);
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for the vocabulary of %s",
                         weir_manifest_path(manifest));
    }
    const enum weir_status status = read_tokenizer(manifest, &folder, path, err);
    weir_heap_free(path);
    WEIR_TRY(status);
    manifest->vocab = *weir_tokenizer_json_vocab(manifest->tokenizer);
    manifest->vocab.end_ids = manifest->end_ids;
    manifest->vocab.n_end = 0;
    if (manifest->vocab.eos_id != WEIR_TOKEN_NONE)
        add_end(manifest, manifest->vocab.eos_id);
    if (!is_alone)
        WEIR_TRY(read_configs(manifest, &folder, err));
    if (manifest->vocab.eos_id == WEIR_TOKEN_NONE && manifest->vocab.n_end > 0)
        manifest->vocab.eos_id = manifest->end_ids[0];
    return WEIR_OK;
}

enum weir_status weir_hf_vocab_open(weir_manifest **out, const char *path, bool is_folder,
                                    struct weir_err *err)
{
    weir_manifest *manifest = weir_heap_alloc(sizeof(*manifest));
    if (manifest == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a manifest");
    manifest->warnings = weir_heap_alloc(sizeof(*manifest->warnings));
    char **kept = is_folder ? &manifest->folder : &manifest->tokenizer_path;
    *kept = weir_heap_text(path);
    if (manifest->warnings != NULL && *kept != NULL) {
        *out = manifest;
        return WEIR_OK;
    }
    weir_manifest_close(&manifest);
    return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a manifest");
}
