/* manifest_fuzz.c - libFuzzer: any bytes as the head of a model file; all of it is asked for. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "formats/formats.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_BYTES_MAX = 1 << 16 };

static volatile uint8_t sink;

static void must(bool holds)
{
    if (!holds)
        abort();
}

/* A sanitizer sees it when one of the bytes is not ours. */
static void touch(const void *bytes, size_t length)
{
    uint8_t sum = 0;
    for (size_t at = 0; at < length; at++)
        sum ^= ((const uint8_t *)bytes)[at];
    sink = sum;
}

static void ask_keys(const weir_manifest *manifest)
{
    char line[48];
    for (uint32_t index = 0; index < weir_manifest_key_count(manifest); index++) {
        uint64_t number = 0;
        uint64_t count = 0;
        double real = 0.0;
        bool flag = false;
        const char *name = weir_manifest_key_at(manifest, index, line, sizeof(line));
        const char *text = weir_manifest_text(manifest, name);
        must(strlen(name) <= WEIR_NAME_MAX && strlen(line) < sizeof(line));
        must(strpbrk(line, "\n\x1b") == NULL);
        weir_manifest_u64(manifest, name, &number);
        weir_manifest_f64(manifest, name, &real);
        weir_manifest_bool(manifest, name, &flag);
        if (text != NULL)
            touch(text, strlen(text) + 1);
        if (weir_manifest_array_count(manifest, name, &count))
            for (uint64_t element = 0; element < count && element < INPUT_BYTES_MAX; element++)
                weir_manifest_array_u64(manifest, name, element, &number);
        must(!weir_manifest_array_u64(manifest, name, count, &number));
    }
}

static void ask_tensors(const weir_manifest *manifest, uint64_t file_bytes)
{
    uint64_t total_bytes = 0;
    for (uint32_t index = 0; index < weir_manifest_tensor_count(manifest); index++) {
        const struct weir_tensor *tensor = weir_manifest_tensor_at(manifest, index);
        must(weir_manifest_tensor(manifest, tensor->name) == tensor);
        must(tensor->bytes <= file_bytes && tensor->offset <= file_bytes - tensor->bytes);
        must(tensor->known == (tensor->bytes > 0) && tensor->n_dim >= 1 && tensor->n_dim <= 4);
        if (tensor->known) {
            const struct weir_type_info *info = weir_quant_info(tensor->type);
            must(tensor->dims[0] % info->block_len == 0 && info->ggml_id == tensor->ggml_type);
        }
        total_bytes += tensor->bytes;
    }
    must(total_bytes <= file_bytes); /* they do not overlap */
}

static void ask_vocab(weir_manifest *manifest)
{
    const struct weir_vocab *vocab = NULL;
    struct weir_err err = {0};
    if (weir_manifest_vocab(manifest, &vocab, &err) != WEIR_OK) {
        must(err.text[0] != '\0' && vocab == NULL);
        return;
    }
    touch(vocab->model.start, vocab->model.length);
    touch(vocab->pre.start, vocab->pre.length);
    for (uint32_t id = 0; id < vocab->n_vocab; id++) {
        must(vocab->tokens[id].length <= WEIR_PIECE_MAX - 4);
        touch(vocab->tokens[id].start, vocab->tokens[id].length);
        must(vocab->types == NULL || (vocab->types[id] >= 1 && vocab->types[id] <= 6));
        must(vocab->scores == NULL || vocab->scores[id] == vocab->scores[id]);
    }
    for (uint32_t merge = 0; merge < vocab->n_merge; merge++)
        touch(vocab->merges[merge].start, vocab->merges[merge].length);
    must(vocab->bos_id < vocab->n_vocab || vocab->bos_id == WEIR_TOKEN_NONE);
    must(vocab->eos_id < vocab->n_vocab || vocab->eos_id == WEIR_TOKEN_NONE);
    must(vocab->unk_id < vocab->n_vocab || vocab->unk_id == WEIR_TOKEN_NONE);
}

static void ask(const uint8_t *data, size_t size, uint64_t file_bytes)
{
    weir_manifest *manifest = NULL;
    struct weir_err err = {0};
    const uint64_t heap_bytes = weir_heap_bytes();
    if (weir_manifest_parse(&manifest, data, size, file_bytes, &err) == WEIR_OK) {
        ask_keys(manifest);
        ask_tensors(manifest, file_bytes);
        ask_vocab(manifest);
        /* Keys and tensors have a struct of at most 96 bytes and a place; a token has 21 bytes. */
        must(weir_heap_bytes() - heap_bytes <=
             16 * (uint64_t)size + 4096 + sizeof(struct weir_warnings));
    } else {
        must(err.status != WEIR_ERR_NOMEM && err.text[0] != '\0' && manifest == NULL);
    }
    weir_manifest_close(&manifest);
    must(weir_heap_bytes() == heap_bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > INPUT_BYTES_MAX)
        return 0;
    ask(data, size, size);
    /* The same head before as much tensor data as a disk could hold. The counts are then only
     * bounded by their limits, so that a long run spends its time elsewhere when they are large. */
    uint64_t counts[2] = {0};
    if (size >= 24)
        memcpy(counts, data + 8, sizeof(counts));
    if (counts[0] <= size && counts[1] <= size)
        ask(data, size, size + (UINT64_C(1) << 44));
    return 0;
}
