/* hf_fuzz.c - libFuzzer: any bytes as a Hugging Face directory; all of it is asked for.
 *
 * The files are separated by lines of "====": config.json, then either model.safetensors alone, or
 * model.safetensors.index.json and the files a.safetensors, b.safetensors. Of a safetensors file
 * there is the number of bytes of data, a blank, and the header. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "formats/hf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_BYTES_MAX = 1 << 16, PART_MAX = 4 };

static void must(bool holds)
{
    if (!holds)
        abort();
}

struct part {
    const char *start;
    size_t length;
};

static size_t cut(const uint8_t *data, size_t size, struct part *parts)
{
    static const char line[] = "\n====\n";
    const char *at = (const char *)data;
    const char *const end = at + size;
    size_t count = 0;
    while (count < PART_MAX) {
        const char *cut_at = memmem(at, (size_t)(end - at), line, sizeof(line) - 1);
        const bool is_last = cut_at == NULL || count + 1 == PART_MAX;
        parts[count++] = (struct part){at, (size_t)((is_last ? end : cut_at) - at)};
        if (is_last)
            break;
        at = cut_at + sizeof(line) - 1;
    }
    return count;
}

/* A safetensors file; room is as long as the part and 8 bytes more. */
static struct weir_hf_file make_tensors(const char *name, struct part part, uint8_t *room)
{
    uint64_t data_bytes = 0;
    size_t at = 0;
    for (; at < part.length && part.start[at] >= '0' && part.start[at] <= '9' && at < 18; at++)
        data_bytes = data_bytes * 10 + (uint64_t)(part.start[at] - '0');
    at += at < part.length;
    const uint64_t length = part.length - at;
    memcpy(room, &length, sizeof(length));
    memcpy(room + sizeof(length), part.start + at, length);
    return (struct weir_hf_file){name, room, sizeof(length) + length,
                                 sizeof(length) + length + data_bytes};
}

static void ask(const weir_manifest *manifest)
{
    char line[48];
    for (uint32_t index = 0; index < weir_manifest_key_count(manifest); index++) {
        const char *name = weir_manifest_key_at(manifest, index, line, sizeof(line));
        must(weir_manifest_has(manifest, name) && strlen(name) <= WEIR_NAME_MAX);
    }
    for (uint32_t index = 0; index < weir_manifest_tensor_count(manifest); index++) {
        const struct weir_tensor *tensor = weir_manifest_tensor_at(manifest, index);
        const uint64_t count = tensor->places == NULL ? 1 : tensor->dims[2];
        const uint64_t bytes = tensor->bytes / count;
        must(weir_manifest_tensor(manifest, tensor->name) == tensor);
        must(tensor->n_dim >= 1 && tensor->n_dim <= 4 && tensor->type_name != NULL);
        must(tensor->bytes % count == 0 && (tensor->values == NULL || tensor->bytes == 0));
        for (uint64_t at = 0; at < count; at++) {
            const struct weir_place place = tensor->places != NULL
                                                ? tensor->places[at]
                                                : (struct weir_place){tensor->offset, tensor->file};
            must(place.file < weir_manifest_file_count(manifest));
            must(place.offset + bytes <= weir_manifest_file_bytes(manifest, place.file));
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"config.json", "model.safetensors.index.json",
                                        "a.safetensors", "b.safetensors"};
    struct part parts[PART_MAX] = {0};
    struct weir_hf_file files[PART_MAX];
    weir_manifest *manifest = NULL;
    struct weir_err err = {0};
    if (size > INPUT_BYTES_MAX)
        return 0;
    const size_t count = cut(data, size, parts);
    uint8_t *const room = malloc(2 * (size + 8) + 16);
    must(room != NULL);
    for (size_t part = 0; part < count; part++)
        files[part] = (struct weir_hf_file){names[part], parts[part].start, parts[part].length,
                                            parts[part].length};
    if (count == 2)
        files[1] = make_tensors("model.safetensors", parts[1], room);
    for (size_t part = 2; part < count; part++)
        files[part] = make_tensors(names[part], parts[part], room + (part - 2) * (size + 8));
    const uint64_t heap_bytes = weir_heap_bytes();
    if (weir_hf_parse(&manifest, files, (uint32_t)count, &err) == WEIR_OK)
        ask(manifest);
    else
        must(err.status != WEIR_ERR_NOMEM && err.text[0] != '\0' && manifest == NULL);
    weir_manifest_close(&manifest);
    must(weir_heap_bytes() == heap_bytes);
    free(room);
    return 0;
}
