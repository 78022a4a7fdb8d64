/* tpl_run.c - the arena of a run, its limits and its failure. */
#include "template/tpl_run.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"

enum { BLOCK_BYTES = 16 << 10, BLOCK_BYTES_MAX = 1 << 20, ALIGNMENT = 16 };

struct tpl_block {
    struct tpl_block *next;
    size_t used, capacity;
    _Alignas(ALIGNMENT) uint8_t data[];
};

_Noreturn void weir_tpl_fail(struct tpl_run *run, enum weir_status status, const char *format, ...)
{
    char sentence[WEIR_ERR_TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    run->status = WEIR_FAIL(run->err, status, "template, line %u: %s", run->line, sentence);
    longjmp(run->leave, 1);
}

/* A new block is twice as large as the last, up to a limit, so that a small run stays small. */
static void add_block(struct tpl_run *run, size_t bytes)
{
    size_t capacity = BLOCK_BYTES;
    if (run->blocks != NULL)
        capacity = weir_min(2 * run->blocks->capacity, BLOCK_BYTES_MAX);
    capacity = weir_max(capacity, bytes);
    if (run->memory_bytes + capacity > run->memory_max)
        weir_tpl_fail(run, WEIR_ERR_FORMAT, "it takes more than %llu bytes of memory",
                      (unsigned long long)run->memory_max);
    struct tpl_block *block = weir_heap_alloc(sizeof(*block) + capacity);
    if (block == NULL)
        weir_tpl_fail(run, WEIR_ERR_NOMEM, "no memory for %zu bytes", capacity);
    *block = (struct tpl_block){run->blocks, 0, capacity};
    run->blocks = block;
    run->memory_bytes += capacity;
}

void *weir_tpl_alloc(struct tpl_run *run, size_t count, size_t each)
{
    uint64_t bytes = 0;
    if (!weir_checked_mul(count, each, &bytes) || bytes > run->memory_max)
        weir_tpl_fail(run, WEIR_ERR_FORMAT, "it takes more than %llu bytes of memory",
                      (unsigned long long)run->memory_max);
    bytes = weir_align_up(bytes, ALIGNMENT);
    if (run->blocks == NULL || run->blocks->capacity - run->blocks->used < bytes)
        add_block(run, bytes);
    void *start = run->blocks->data + run->blocks->used;
    run->blocks->used += bytes;
    return start;
}

void weir_tpl_free_blocks(struct tpl_block **blocks)
{
    while (*blocks != NULL) {
        struct tpl_block *next = (*blocks)->next;
        weir_heap_free(*blocks);
        *blocks = next;
    }
}

void weir_tpl_step(struct tpl_run *run, uint64_t count)
{
    run->steps += count;
    if (run->steps > run->step_max)
        weir_tpl_fail(run, WEIR_ERR_FORMAT, "it takes more than %llu steps",
                      (unsigned long long)run->step_max);
}

void weir_tpl_enter(struct tpl_run *run)
{
    weir_tpl_step(run, 1);
    if (++run->depth > run->depth_max)
        weir_tpl_fail(run, WEIR_ERR_FORMAT, "more than %u expressions or blocks in each other",
                      run->depth_max);
}

void weir_tpl_push(struct tpl_run *run, struct tpl_buffer *buffer, const char *bytes, size_t length)
{
    if (length == 0)
        return;
    if (length > run->output_max || buffer->length + length > run->output_max)
        weir_tpl_fail(run, WEIR_ERR_FORMAT, "it makes a text of more than %llu bytes",
                      (unsigned long long)run->output_max);
    weir_tpl_step(run, length / 64);
    if (buffer->length + length > buffer->capacity) {
        const size_t capacity = weir_max(2 * buffer->capacity, buffer->length + length + 64);
        char *larger = weir_tpl_alloc(run, capacity, 1);
        if (buffer->length > 0)
            memcpy(larger, buffer->bytes, buffer->length);
        buffer->bytes = larger;
        buffer->capacity = capacity;
    }
    memcpy(buffer->bytes + buffer->length, bytes, length);
    buffer->length += length;
}

void weir_tpl_push_word(struct tpl_run *run, struct tpl_buffer *buffer, const char *word)
{
    weir_tpl_push(run, buffer, word, strlen(word));
}
