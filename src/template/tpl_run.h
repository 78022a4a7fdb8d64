/* tpl_run.h - what a parse or a render runs in: one arena, its limits, and the way out.
 *
 * Everything that a run makes lies in its arena, which is freed at once. So a failure may leave
 * from any depth: weir_tpl_fail() jumps to where the run began, and nothing in between is owed a
 * release. */
#ifndef WEIR_TPL_RUN_H
#define WEIR_TPL_RUN_H

#include <setjmp.h>

#include "base/base.h"

struct tpl_block;
struct tpl_scope;
struct tpl_dict;

/* Text that grows. */
struct tpl_buffer {
    char *bytes;
    size_t length, capacity;
};

struct tpl_run {
    jmp_buf leave;
    struct weir_err *err;
    enum weir_status status;  /* of the failure */
    struct tpl_block *blocks; /* newest first */
    uint64_t memory_max, memory_bytes;
    uint64_t step_max, steps;
    uint64_t output_max;
    uint32_t depth, depth_max;
    uint32_t line; /* of the template, for messages */
    /* Of a render. */
    int64_t now_s;
    struct tpl_buffer *out;
    struct tpl_scope *scope;
    const struct tpl_dict *variables;
};

/* "template, line 3: ..." */
_Noreturn void weir_tpl_fail(struct tpl_run *run, enum weir_status status, const char *format, ...)
    WEIR_PRINTF(3, 4);
/* Zeroed. */
void *weir_tpl_alloc(struct tpl_run *run, size_t count, size_t each);
void weir_tpl_free_blocks(struct tpl_block **blocks);
/* Work of that many units is about to be done. */
void weir_tpl_step(struct tpl_run *run, uint64_t count);
/* Around each function that calls itself. */
void weir_tpl_enter(struct tpl_run *run);
static inline void weir_tpl_exit(struct tpl_run *run)
{
    run->depth--;
}

void weir_tpl_push(struct tpl_run *run, struct tpl_buffer *buffer, const char *bytes,
                   size_t length);
static inline void weir_tpl_push_char(struct tpl_run *run, struct tpl_buffer *buffer, char byte)
{
    weir_tpl_push(run, buffer, &byte, 1);
}
void weir_tpl_push_word(struct tpl_run *run, struct tpl_buffer *buffer, const char *word);

#endif
