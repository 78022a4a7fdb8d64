/* template.c - the room's door: where a parse and a render begin, and their failures arrive. */
#include "template/template.h"

#include <string.h>
#include <time.h>

#include "base/heap.h"
#include "base/utf8.h"
#include "template/tpl_evaluate.h"

enum {
    STEP_MAX = 10000000,
    OUTPUT_MAX = 16 << 20,
    MEMORY_MAX = 256 << 20,
    PARSE_MEMORY_MAX = 1 << 30, /* a tree's bytes are a multiple of those of its text */
};

struct weir_template {
    struct tpl_block *blocks; /* all of the tree */
    const struct tpl_node *body;
};

/* Line ends as Jinja has them: each is "\n", and one at the end of the template is dropped. */
static char *copy_source(struct tpl_run *run, const char *source, size_t length, size_t *copied)
{
    char *copy = weir_tpl_alloc(run, length + 1, 1);
    size_t filled = 0;
    for (size_t at = 0; at < length; at++) {
        if (source[at] == '\r' && at + 1 < length && source[at + 1] == '\n')
            continue;
        copy[filled++] = source[at] == '\r' ? '\n' : source[at];
    }
    if (filled > 0 && copy[filled - 1] == '\n')
        filled--;
    *copied = filled;
    return copy;
}

static void parse_source(struct tpl_run *run, const char *source, size_t length,
                         const struct tpl_node **body)
{
    if (length > WEIR_TEMPLATE_SOURCE_MAX)
        weir_tpl_fail(run, WEIR_ERR_FORMAT, "%zu bytes, at most %d are taken", length,
                      WEIR_TEMPLATE_SOURCE_MAX);
    const size_t valid = weir_utf8_valid(source, length);
    if (valid != length)
        weir_tpl_fail(run, WEIR_ERR_FORMAT, "byte %zu is no UTF-8", valid);
    size_t copied = 0;
    const char *copy = copy_source(run, source, length, &copied);
    *body = weir_tpl_parse(run, copy, copied);
}

enum weir_status weir_template_parse(weir_template **out, const char *source, size_t length,
                                     struct weir_err *err)
{
    struct tpl_run run = {.err = err,
                          .memory_max = PARSE_MEMORY_MAX,
                          .step_max = UINT64_MAX,
                          .output_max = WEIR_TEMPLATE_SOURCE_MAX,
                          .depth_max = WEIR_TEMPLATE_DEPTH_MAX,
                          .line = 1};
    weir_template *tmpl = weir_heap_alloc(sizeof(*tmpl));
    if (tmpl == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a template");
    if (setjmp(run.leave) != 0) {
        weir_tpl_free_blocks(&run.blocks);
        weir_heap_free(tmpl);
        return run.status;
    }
    parse_source(&run, source, length, &tmpl->body);
    tmpl->blocks = run.blocks;
    *out = tmpl;
    return WEIR_OK;
}

void weir_template_destroy(weir_template **tmpl)
{
    if (*tmpl == NULL)
        return;
    weir_tpl_free_blocks(&(*tmpl)->blocks);
    weir_heap_free(*tmpl);
    *tmpl = NULL;
}

static void render(struct tpl_run *run, const weir_template *tmpl, const char *variables,
                   size_t length, char **text, size_t *text_length)
{
    struct tpl_buffer out = {0};
    run->variables = weir_tpl_from_json(run, variables, length).dict;
    run->out = &out;
    weir_tpl_open_scope(run, NULL);
    weir_tpl_execute(run, tmpl->body);
    char *copy = weir_heap_alloc(out.length + 1);
    if (copy == NULL)
        weir_tpl_fail(run, WEIR_ERR_NOMEM, "no memory for %zu bytes of text", out.length);
    if (out.length > 0)
        memcpy(copy, out.bytes, out.length);
    *text = copy;
    *text_length = out.length;
}

enum weir_status weir_template_render(const weir_template *tmpl, const char *variables,
                                      size_t length, const struct weir_template_limits *limits,
                                      char **text, size_t *text_length, struct weir_err *err)
{
    static const struct weir_template_limits none = {0};
    const struct weir_template_limits *max = limits == NULL ? &none : limits;
    struct tpl_run run = {.err = err,
                          .memory_max = max->memory_max > 0 ? max->memory_max : MEMORY_MAX,
                          .step_max = max->step_max > 0 ? max->step_max : STEP_MAX,
                          .output_max = max->output_max > 0 ? max->output_max : OUTPUT_MAX,
                          .depth_max = WEIR_TEMPLATE_DEPTH_MAX,
                          .now_s = max->now_s != 0 ? max->now_s : (int64_t)time(NULL),
                          .line = 1};
    if (setjmp(run.leave) == 0)
        render(&run, tmpl, variables, length, text, text_length);
    weir_tpl_free_blocks(&run.blocks);
    return run.status;
}

void weir_template_text_free(char **text)
{
    weir_heap_free(*text);
    *text = NULL;
}
