/* render.c - a chat template with its variables, as text: what tests compare with Python. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "template/template.h"

enum { FILE_BYTES_MAX = 64 << 20 };

static _Noreturn void give_up(const char *what, const char *why)
{
    fprintf(stderr, "render: %s: %s\n", what, why);
    exit(1);
}

static char *read_file(const char *path, size_t *length)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        give_up(path, "cannot be opened");
    size_t capacity = 1 << 16;
    char *bytes = NULL;
    for (*length = 0; *length < FILE_BYTES_MAX; capacity *= 2) {
        bytes = weir_heap_grow(bytes, capacity);
        if (bytes == NULL)
            give_up(path, "no memory");
        *length += fread(bytes + *length, 1, capacity - *length, file);
        if (*length < capacity)
            break;
    }
    fclose(file);
    return bytes;
}

/* A line for each file of variables: "ok" or "no", the length of what follows, and it: the text, or
 * why there is none. */
int main(int argc, char **argv)
{
    struct weir_template_limits limits = {0};
    weir_template *tmpl = NULL;
    struct weir_err err = {0};
    size_t length = 0;
    if (argc < 4) {
        fputs("usage: render SECONDS TEMPLATE VARIABLES.json ...\n\n"
              "Prints for each file \"ok LENGTH\" and the text, or \"no LENGTH\" and why there is "
              "none.\nSECONDS since 1970 is what strftime_now tells.\n",
              stderr);
        return 2;
    }
    limits.now_s = strtoll(argv[1], NULL, 10);
    char *source = read_file(argv[2], &length);
    const enum weir_status parsed = weir_template_parse(&tmpl, source, length, &err);
    for (int index = 3; index < argc; index++) {
        char *variables = read_file(argv[index], &length), *text = NULL;
        if (parsed == WEIR_OK) {
            err = (struct weir_err){0};
            weir_template_render(tmpl, variables, length, &limits, &text, &length, &err);
        }
        if (text == NULL)
            length = strlen(err.text);
        printf("%s %zu\n", text != NULL ? "ok" : "no", length);
        fwrite(text != NULL ? text : err.text, 1, length, stdout);
        weir_template_text_free(&text);
        weir_heap_free(variables);
    }
    weir_heap_free(source);
    weir_template_destroy(&tmpl);
    return 0;
}
