/* json_ids.c - the ids of a text by a tokenizer.json, a line each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "formats/tokenizer_json.h"
#include "read_file.h"

enum { PART_BYTES = 1 << 16, VOCABULARY_BYTES_MAX = 1 << 28 };

/* A line each, or the bytes they stand for. */
static void print_some(const uint32_t *ids, size_t count, struct weir_detokenizer *back)
{
    static char piece[WEIR_PIECE_MAX];
    for (size_t index = 0; index < count; index++) {
        if (back == NULL)
            printf("%u\n", ids[index]);
        else
            fwrite(piece, 1, weir_detokenizer_push(back, ids[index], piece, sizeof(piece)), stdout);
    }
}

static void print_ids(weir_text *text, FILE *file, const char *path, struct weir_detokenizer *back)
{
    static char part[PART_BYTES];
    weir_text_encoder *encoder = NULL;
    struct weir_err err = {0};
    if (weir_text_encoder_create(&encoder, text, WEIR_TOKENIZE_PARSE_SPECIAL, &err) != WEIR_OK)
        give_up("json_ids", path, err.text);
    for (bool ends = false; !ends;) {
        const uint32_t *ids = NULL;
        size_t count = 0;
        const size_t length = fread(part, 1, sizeof(part), file);
        ends = length < sizeof(part);
        if (weir_text_encoder_push(encoder, part, length, ends, &ids, &count, &err) != WEIR_OK)
            give_up("json_ids", path, err.text);
        print_some(ids, count, back);
    }
    weir_text_encoder_destroy(&encoder);
    char rest[WEIR_PIECE_MAX];
    if (back != NULL)
        fwrite(rest, 1, weir_detokenizer_flush(back, rest, sizeof(rest)), stdout);
}

/* Of the program itself: getrusage() also knows what it was started by. */
static long read_peak_kib(void)
{
    char line[256];
    long peak = 0;
    FILE *file = fopen("/proc/self/status", "r");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        if (strncmp(line, "VmHWM:", 6) == 0)
            peak = strtol(line + 6, NULL, 10);
    if (file != NULL)
        fclose(file);
    return peak;
}

int main(int argc, char **argv)
{
    const bool goes_back = argc == 4 && strcmp(argv[3], "--back") == 0;
    if (argc != 3 && !goes_back) {
        fputs("usage: json_ids TOKENIZER.json TEXT [--back]\n\n"
              "Prints the ids of TEXT, special tokens in it parsed, or with --back the bytes that "
              "they "
              "stand\nfor, and on the error output how much memory the process had at most.\n",
              stderr);
        return 2;
    }
    weir_tokenizer_json *tokenizer = NULL;
    weir_text *text = NULL;
    struct weir_warnings warnings = {0};
    struct weir_err err = {0};
    size_t length = 0;
    char *bytes = read_file("json_ids", argv[1], VOCABULARY_BYTES_MAX, &length);
    if (weir_tokenizer_json_parse(&tokenizer, bytes, length, argv[1], &warnings, &err) != WEIR_OK ||
        weir_text_create(&text, weir_tokenizer_json_vocab(tokenizer), &warnings, &err) != WEIR_OK)
        give_up("json_ids", argv[1], err.text);
    weir_heap_free(bytes);
    for (uint32_t index = 0; index < warnings.count; index++)
        fprintf(stderr, "json_ids: %s\n", warnings.text[index]);
    FILE *file = fopen(argv[2], "rb");
    if (file == NULL)
        give_up("json_ids", argv[2], "cannot be opened");
    struct weir_detokenizer back;
    weir_detokenizer_init(&back, text, true);
    print_ids(text, file, argv[2], goes_back ? &back : NULL);
    fclose(file);
    fprintf(stderr, "json_ids: peak %ld KiB\n", read_peak_kib());
    weir_text_destroy(&text);
    weir_tokenizer_json_close(&tokenizer);
    return 0;
}
