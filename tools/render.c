/* render.c - a chat template with its variables, as text: what tests compare with Python. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "read_file.h"
#include "template/template.h"

enum { FILE_BYTES_MAX = 64 << 20 };

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
    char *source = read_file("render", argv[2], FILE_BYTES_MAX, &length);
    const enum weir_status parsed = weir_template_parse(&tmpl, source, length, &err);
    for (int index = 3; index < argc; index++) {
        char *variables = read_file("render", argv[index], FILE_BYTES_MAX, &length), *text = NULL;
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
