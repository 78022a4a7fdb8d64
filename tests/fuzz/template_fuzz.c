/* template_fuzz.c - libFuzzer: any bytes as a template; behind a line of "====" its variables. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "template/template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_BYTES_MAX = 1 << 16 };

static void must(bool holds)
{
    if (!holds)
        abort();
}

static const char usual[] =
    "{\"messages\": [{\"role\": \"user\", \"content\": \"Gr\\u00fc\\u00dfe\"}, {\"role\": "
    "\"assistant\", \"content\": null}], \"tools\": [{\"function\": {\"name\": \"f\"}}], \"n\": "
    "2.5}";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char line[] = "\n====\n";
    const struct weir_template_limits limits = {
        .step_max = 200000, .output_max = 1 << 16, .memory_max = 16 << 20, .now_s = 1};
    const char *source = (const char *)data, *variables = usual;
    size_t length = size, variables_length = sizeof(usual) - 1;
    weir_template *tmpl = NULL;
    struct weir_err err = {0};
    if (size == 0 || size > INPUT_BYTES_MAX)
        return 0;
    const char *cut = memmem(source, size, line, sizeof(line) - 1);
    if (cut != NULL) {
        length = (size_t)(cut - source);
        variables = cut + sizeof(line) - 1;
        variables_length = size - length - (sizeof(line) - 1);
    }
    const uint64_t heap_bytes = weir_heap_bytes();
    if (weir_template_parse(&tmpl, source, length, &err) == WEIR_OK) {
        char *text = NULL;
        size_t text_length = 0;
        const enum weir_status status = weir_template_render(tmpl, variables, variables_length,
                                                             &limits, &text, &text_length, &err);
        must((status == WEIR_OK) == (text != NULL));
        must(text == NULL || (text_length <= limits.output_max && text[text_length] == 0));
        weir_template_text_free(&text);
    } else {
        must(tmpl == NULL);
    }
    must(err.status != WEIR_ERR_NOMEM && (err.status == WEIR_OK) == (err.text[0] == 0));
    weir_template_destroy(&tmpl);
    must(weir_heap_bytes() == heap_bytes);
    return 0;
}
