/* random_model.h - a GGUF file of random weights: its tensors, its vocabulary, the writing.
 *
 * The program that includes it defines PROGRAM, its name in messages, and put_keys(). */
#ifndef WEIR_TOOLS_RANDOM_MODEL_H
#define WEIR_TOOLS_RANDOM_MODEL_H

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "base/heap.h"
#include "encode/encode.h"
#include "gguf_put.h"
#include "quant/quant.h"

enum { ALIGN = 32, TENSOR_MAX = 1 << 14, NAME_MAX_BYTES = 64, POOL_VALUES = 512 * 256 };
enum { NORMAL = 1, CONTROL = 3 };

static _Noreturn void give_up(const char *path, const char *what)
{
    fprintf(stderr, PROGRAM ": %s: %s\n", path == NULL ? "options" : path, what);
    exit(1);
}

struct tensor {
    char name[NAME_MAX_BYTES];
    enum weir_type type;
    uint64_t cols, rows, stack; /* stack 0: a vector or a matrix */
    float mean, scale;          /* of its values */
};

static struct tensor tensors[TENSOR_MAX];
static uint32_t tensor_count;

/* Layers to whose value and down matrices the usual mix gives more bits. */
static bool gets_more_bits(uint32_t n_layer, uint32_t layer)
{
    const uint32_t eighth = n_layer / 8;
    return layer < eighth || layer >= 7 * eighth || (layer - eighth) % 3 == 2;
}

static struct tensor *add(const char *name, enum weir_type type, uint64_t cols, uint64_t rows)
{
    const struct weir_type_info *info = weir_quant_info(type);
    char sentence[160];
    if (tensor_count == TENSOR_MAX)
        give_up(NULL, "too many tensors");
    if (cols % info->block_len != 0) {
        snprintf(sentence, sizeof(sentence),
                 "%s has rows of %llu values; %s wants a multiple of %u (choose another width or "
                 "type)",
                 name, (unsigned long long)cols, info->name, info->block_len);
        give_up(NULL, sentence);
    }
    struct tensor *tensor = &tensors[tensor_count++];
    *tensor = (struct tensor){
        .type = type, .cols = cols, .rows = rows, .scale = (float)(1.0 / sqrt((double)cols))};
    snprintf(tensor->name, sizeof(tensor->name), "%s", name);
    return tensor;
}

static void put_vocabulary(FILE *file, uint32_t n_vocab, const char *pre)
{
    const uint32_t n_word = n_vocab - 257;
    char word[8];
    put_key_text(file, "tokenizer.ggml.model", "gpt2");
    put_key_text(file, "tokenizer.ggml.pre", pre);
    put_key(file, "tokenizer.ggml.tokens", GGUF_ARRAY);
    put_u32(file, GGUF_STRING);
    put_u64(file, n_vocab);
    for (int byte = 0; byte < 256; byte++) {
        byte_character(byte, word);
        put_text(file, word);
    }
    for (uint32_t index = 0; index < n_word; index++) {
        word_of(index, word);
        put_text(file, word);
    }
    put_text(file, "<|endoftext|>");
    put_key(file, "tokenizer.ggml.token_type", GGUF_ARRAY);
    put_u32(file, GGUF_I32);
    put_u64(file, n_vocab);
    for (uint32_t id = 0; id < n_vocab; id++)
        put_u32(file, id == n_vocab - 1 ? CONTROL : NORMAL);
    put_key(file, "tokenizer.ggml.merges", GGUF_ARRAY);
    put_u32(file, GGUF_STRING);
    put_u64(file, n_word);
    for (uint32_t index = 0; index < n_word; index++) {
        char merge[16];
        word_of(index, word);
        const size_t head = strlen(word) - 1;
        snprintf(merge, sizeof(merge), "%.*s %s", (int)head, word, word + head);
        put_text(file, merge);
    }
    put_key(file, "tokenizer.ggml.eos_token_id", GGUF_U32);
    put_u32(file, n_vocab - 1);
    put_key(file, "tokenizer.ggml.add_bos_token", GGUF_BOOL);
    put(file, "\0", 1);
}

static uint64_t tensor_bytes(const struct tensor *tensor)
{
    return weir_quant_row_bytes(tensor->type, tensor->cols) * tensor->rows *
           weir_max(tensor->stack, 1);
}

static void put_directory(FILE *file)
{
    uint64_t offset = 0;
    for (uint32_t index = 0; index < tensor_count; index++) {
        const struct tensor *tensor = &tensors[index];
        put_text(file, tensor->name);
        put_u32(file, tensor->stack > 0 ? 3 : tensor->rows > 1 ? 2 : 1);
        put_u64(file, tensor->cols);
        if (tensor->stack > 0 || tensor->rows > 1)
            put_u64(file, tensor->rows);
        if (tensor->stack > 0)
            put_u64(file, tensor->stack);
        put_u32(file, weir_quant_info(tensor->type)->ggml_id);
        put_u64(file, offset);
        offset += weir_align_up(tensor_bytes(tensor), ALIGN);
    }
}

static void pad(FILE *file, uint64_t at)
{
    static const uint8_t zeros[ALIGN];
    put(file, zeros, (size_t)(weir_align_up(at, ALIGN) - at));
}

/* ---- weights --------------------------------------------------------------------------------- */

/* Roughly normal with deviation one: a sum of four uniform numbers. */
static float random_value(uint64_t *state)
{
    double sum = -2.0;
    for (int part = 0; part < 4; part++)
        sum += weir_random_unit(state);
    return (float)(sum * 1.7320508);
}

/* Encoding every value would take minutes for a large model: rows are made of pieces of one encoded
 * pool instead, in an order that no two rows share. */
static void put_tensor(FILE *file, const struct tensor *tensor, uint64_t seed, float *values,
                       uint8_t *pool)
{
    const struct weir_type_info *info = weir_quant_info(tensor->type);
    const uint32_t pool_blocks = POOL_VALUES / info->block_len;
    const uint64_t row_blocks = tensor->cols / info->block_len;
    const uint64_t piece_blocks = weir_max(256 / info->block_len, 1);
    uint64_t state = seed;
    for (uint32_t at = 0; at < POOL_VALUES; at++)
        values[at] = tensor->mean + tensor->scale * random_value(&state);
    weir_encode_row(tensor->type, values, NULL, pool, POOL_VALUES);
    for (uint64_t row = 0; row < tensor->rows * weir_max(tensor->stack, 1); row++)
        for (uint64_t done = 0; done < row_blocks; done += piece_blocks) {
            const uint64_t count = weir_min(piece_blocks, row_blocks - done);
            const uint64_t first = weir_random_next(&state) % (pool_blocks - count + 1);
            put(file, pool + first * info->block_bytes, (size_t)(count * info->block_bytes));
        }
}

static void put_weights(FILE *file, uint64_t seed)
{
    float *values = weir_heap_array(POOL_VALUES, sizeof(*values));
    uint8_t *pool = weir_heap_array(POOL_VALUES, sizeof(float));
    const bool is_watched = isatty(STDERR_FILENO) == 1;
    if (values == NULL || pool == NULL)
        give_up(NULL, "no memory");
    for (uint32_t index = 0; index < tensor_count && !ferror(file); index++) {
        put_tensor(file, &tensors[index], seed * 1000003 + index, values, pool);
        pad(file, tensor_bytes(&tensors[index]));
        if (is_watched)
            fprintf(stderr, "\r" PROGRAM ": tensor %u of %u", index + 1, tensor_count);
    }
    if (is_watched)
        fprintf(stderr, "\n");
    weir_heap_free(values);
    weir_heap_free(pool);
}

/* The program's own: keys of the architecture and the vocabulary. */
static void put_keys(FILE *file, const void *recipe);

static void put_model(FILE *file, const void *recipe, uint64_t seed)
{
    put(file, "GGUF", 4);
    put_u32(file, 3);
    put_u64(file, tensor_count);
    const long key_count_at = ftell(file);
    put_u64(file, 0);
    put_keys(file, recipe);
    put_directory(file);
    pad(file, (uint64_t)ftell(file));
    put_weights(file, seed);
    fseek(file, key_count_at, SEEK_SET);
    put_u64(file, key_count);
}

static void write_model(const char *path, const void *recipe, uint64_t seed)
{
    char *part = NULL;
    struct stat there;
    if (stat(path, &there) == 0 && !S_ISREG(there.st_mode))
        give_up(path, "is there and is not a file");
    if (asprintf(&part, "%s.part", path) < 0)
        give_up(NULL, "no memory");
    FILE *file = fopen(part, "wb");
    if (file == NULL)
        give_up(part, strerror(errno));
    setvbuf(file, NULL, _IOFBF, 1 << 20);
    errno = 0;
    put_model(file, recipe, seed);
    const bool failed = ferror(file) != 0;
    if ((fclose(file) != 0) | failed || rename(part, path) != 0) {
        const int why = errno;
        remove(part);
        give_up(path, strerror(why));
    }
    free(part);
}

#endif
