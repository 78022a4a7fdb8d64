/* template.h - a model's chat template: parsed once, rendered to the text of a prompt.
 *
 * Job       The subset of Jinja2 that chat templates use. Output is that of Python's jinja2 as
 *           transformers runs it, byte for byte: trim_blocks and lstrip_blocks, break and continue,
 *           the generation tag, its tojson, raise_exception and strftime_now, and a sandbox in
 *           which no list or dictionary can be changed.
 * Not here  What a model's roles and tools are; which template a file has.
 * Owns      A weir_template owns all it was parsed to; the text that a render gives is the
 *           caller's, who frees it with weir_template_text_free().
 * Threads   A template is constant: any number of threads may render it at once. Both functions
 *           work on the caller's stack, of which they take less than 1 MiB.
 * Errors    FORMAT: what is no template, and what fails while it runs, limits included;
 *           UNSUPPORTED: Jinja that is not built in; ARG: variables that are no JSON object, and
 *           what the template itself raises; NOMEM. Messages name the line and the construct. A
 *           filter or test that nobody knows is an error when parsed, or inside an `if` when it is
 *           reached, as in Jinja.
 * Limits    Those of struct weir_template_limits; integers have 64 bits.
 * Source    Jinja 3.1 documentation, "Template Designer Documentation".
 */
#ifndef WEIR_TEMPLATE_H
#define WEIR_TEMPLATE_H

#include "base/base.h"

typedef struct weir_template weir_template;

enum {
    WEIR_TEMPLATE_SOURCE_MAX = 4 << 20, /* bytes of a template's text */
    WEIR_TEMPLATE_NESTING_MAX = 100,    /* blocks and parentheses in each other */
    WEIR_TEMPLATE_DEPTH_MAX = 1000,     /* of the calls that evaluate an expression or a block */
};

/* What one render may take; 0 is the default in brackets. */
struct weir_template_limits {
    uint64_t step_max;   /* expressions, items, a few bytes of text each [10 million] */
    uint64_t output_max; /* bytes [16 MiB] */
    uint64_t memory_max; /* bytes [256 MiB] */
    int64_t now_s;       /* of strftime_now, seconds since 1970 [the clock] */
};

/* source is not needed afterwards. */
enum weir_status weir_template_parse(weir_template **out, const char *source, size_t length,
                                     struct weir_err *err);
void weir_template_destroy(weir_template **tmpl);
/* variables: the text of a JSON object, whose members are the template's variables (messages,
 * tools, add_generation_prompt, bos_token and others). *text is ended by NUL, which *text_length
 * does not count. limits may be NULL. */
enum weir_status weir_template_render(const weir_template *tmpl, const char *variables,
                                      size_t length, const struct weir_template_limits *limits,
                                      char **text, size_t *text_length, struct weir_err *err);
void weir_template_text_free(char **text);

#endif
