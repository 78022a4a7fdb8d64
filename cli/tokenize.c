/* tokenize.c - weir tokenize: a text's ids and pieces, and proof that they are the text. */
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "cli.h"

static int read_text(const struct weir_cli_options *options, struct weir_cli_buffer *text)
{
    if (options->prompt == NULL && options->text == NULL)
        return weir_cli_misuse("tokenize", "wanted -p, --text or --decode, found none of them");
    const char *path = options->text != NULL ? options->text : options->prompt;
    if (options->text == NULL && strcmp(path, "-") != 0)
        return weir_cli_buffer_append(text, path, strlen(path)) ? WEIR_CLI_OK : WEIR_CLI_FAILURE;
    return weir_cli_file_read(path, WEIR_CLI_TEXT_BYTES_MAX, text) ? WEIR_CLI_OK : WEIR_CLI_FAILURE;
}

/* Whether the pieces make the text again. SentencePiece-style vocabularies put a space before the
 * first word; with --bos whole tokens are added at the ends. */
static bool check_pieces(const struct weir_cli_buffer *text, const struct weir_cli_buffer *pieces,
                         bool anything_added)
{
    const char *bytes = pieces->bytes;
    size_t length = pieces->length;
    if (anything_added)
        return text->length == 0 || memmem(bytes, length, text->bytes, text->length) != NULL;
    if (length == text->length + 1 && bytes[0] == ' ') {
        bytes++;
        length--;
    }
    return length == text->length && memcmp(bytes, text->bytes, length) == 0;
}

/* One token a line: its id, a tab, its bytes with what does not print and backslashes escaped. */
static void print_piece(uint32_t id, const char *bytes, size_t length)
{
    char shown[WEIR_TOKEN_BYTES_MAX * WEIR_PRINTABLE_EACH_MAX + 1];
    printf("%u\t", id);
    for (size_t begin = 0, at = 0; at <= length; at++) {
        if (at < length && bytes[at] != '\\')
            continue;
        weir_printable(bytes + begin, at - begin, shown, sizeof(shown));
        printf("%s%s", shown, at < length ? "\\\\" : "\n");
        begin = at + 1;
    }
}

/* The bytes of all ids together, and with --json their pieces. Without either they are printed. */
static bool decode_all(const struct weir_cli_options *options, weir_tokenizer *tokenizer,
                       const uint32_t *ids, size_t count, struct weir_cli_buffer *all,
                       json_t *pieces)
{
    char piece[WEIR_TOKEN_BYTES_MAX];
    const uint32_t n_vocab = weir_tokenizer_vocab_count(tokenizer);
    if (!weir_cli_buffer_append(all, "", 0))
        return false;
    for (size_t index = 0; index < count; index++) {
        if (ids[index] >= n_vocab) {
            weir_cli_say("id %zu is %u, the vocabulary has %u", index + 1, ids[index], n_vocab);
            return false;
        }
        const size_t length = weir_tokenizer_piece(tokenizer, ids[index], piece);
        if (!weir_cli_buffer_append(all, piece, length))
            return false;
        if (pieces != NULL)
            json_array_append_new(pieces, weir_cli_json_string(piece, length));
        else if (options->decode == NULL)
            print_piece(ids[index], piece, length);
    }
    return true;
}

static int show(const struct weir_cli_options *options, weir_tokenizer *tokenizer,
                const struct weir_cli_buffer *text, const uint32_t *ids, size_t count)
{
    const bool decoding = options->decode != NULL;
    struct weir_cli_buffer all = {0};
    json_t *pieces = options->json ? json_array() : NULL;
    bool ok = decode_all(options, tokenizer, ids, count, &all, pieces);
    const bool same = ok && (decoding || check_pieces(text, &all, options->bos));
    if (ok && options->json) {
        json_t *object = json_object();
        weir_cli_json_text(object, "model", options->argument, strlen(options->argument));
        weir_cli_json_ids(object, "ids", ids, count);
        json_object_set(object, "pieces", pieces);
        weir_cli_json_count(object, "tokens", count);
        weir_cli_json_text(object, "text", all.bytes, all.length);
        weir_cli_json_count(object, "bytes", decoding ? all.length : text->length);
        json_object_set_new(object, "same", decoding ? json_null() : json_boolean(same));
        ok = weir_cli_json_print(object, stdout, "standard output");
    } else if (ok && decoding) {
        weir_cli_text_write(all.bytes, all.length);
    } else if (same) {
        fflush(stdout);
        fprintf(stderr, "%zu tokens from %zu bytes; decoding gives the same bytes\n", count,
                text->length);
    }
    if (ok && !same)
        weir_cli_say("the tokens do not decode to the text: %zu bytes, wanted %zu", all.length,
                     text->length);
    json_decref(pieces);
    weir_cli_buffer_free(&all);
    return ok && same ? WEIR_CLI_OK : WEIR_CLI_FAILURE;
}

static int find_ids(const struct weir_cli_options *options, weir_tokenizer *tokenizer,
                    const struct weir_cli_buffer *text, uint32_t **ids, size_t *count)
{
    struct weir_err err = {0};
    const unsigned flags = (options->bos ? WEIR_TEXT_ADD_SPECIAL : 0u) |
                           (options->plain ? 0u : WEIR_TEXT_PARSE_SPECIAL);
    if (weir_tokenizer_encode(tokenizer, text->bytes, text->length, flags, ids, count, &err) !=
        WEIR_OK)
        return weir_cli_fail(&err);
    return WEIR_CLI_OK;
}

int weir_cli_tokenize(const struct weir_cli_options *options)
{
    struct weir_cli_buffer text = {0};
    struct weir_err err = {0};
    weir_tokenizer *tokenizer = NULL;
    uint32_t *ids = NULL;
    size_t count = 0;
    int code = WEIR_CLI_OK;
    if (options->decode == NULL)
        code = read_text(options, &text);
    else if (!weir_cli_ids_parse("--decode", options->decode, &ids, &count))
        code = WEIR_CLI_USAGE;
    if (code == WEIR_CLI_OK && weir_tokenizer_open(&tokenizer, options->argument, &err) != WEIR_OK)
        code = weir_cli_fail(&err);
    if (code == WEIR_CLI_OK && options->decode == NULL)
        code = find_ids(options, tokenizer, &text, &ids, &count);
    if (code == WEIR_CLI_OK)
        code = show(options, tokenizer, &text, ids, count);
    weir_ids_free(&ids);
    weir_tokenizer_close(&tokenizer);
    weir_cli_buffer_free(&text);
    return code;
}
