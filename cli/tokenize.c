/* tokenize.c - weir tokenize: a text's ids and pieces, and proof that they are the text; all of it
 * as it comes, because a text may be longer than memory. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "source.h"

enum { ID_STEP = 256 };

/* Whether the pieces make the text again. SentencePiece-style vocabularies put a space before the
 * first word, so that there are two ways in which they may. */
struct comparison {
    struct weir_cli_buffer text; /* what was read and is not compared, and one byte before it */
    uint64_t dropped;            /* bytes that text began with */
    uint64_t piece_bytes;
    bool is_same, is_shifted;
};

struct tokenize {
    const struct weir_cli_options *options;
    weir_tokenizer *tokenizer;
    struct weir_cli_source source;
    uint32_t *ids; /* of --decode */
    size_t id_count;
    struct comparison comparison;
    FILE *spool; /* with --json: the ids, for what comes after them in the object */
    uint64_t count;
    char held[4]; /* --decode: of a character that is not whole yet */
    size_t held_count;
};

static bool compare_byte(const struct comparison *comparison, uint64_t at, char byte)
{
    return at >= comparison->dropped && at - comparison->dropped < comparison->text.length &&
           comparison->text.bytes[at - comparison->dropped] == byte;
}

static void compare_piece(struct comparison *comparison, const char *bytes, size_t length)
{
    for (size_t index = 0; index < length; index++) {
        const uint64_t at = comparison->piece_bytes++;
        comparison->is_same = comparison->is_same && compare_byte(comparison, at, bytes[index]);
        comparison->is_shifted =
            comparison->is_shifted &&
            (at == 0 ? bytes[index] == ' ' : compare_byte(comparison, at - 1, bytes[index]));
    }
}

/* Let go of what both ways have behind them. */
static void forget_compared(struct comparison *comparison)
{
    const uint64_t done = comparison->piece_bytes - (comparison->piece_bytes > 0);
    const size_t drop = (size_t)weir_min(done - comparison->dropped, comparison->text.length);
    memmove(comparison->text.bytes, comparison->text.bytes + drop, comparison->text.length - drop);
    comparison->text.length -= drop;
    comparison->dropped += drop;
}

static uint64_t count_text(const struct comparison *comparison)
{
    return comparison->dropped + comparison->text.length;
}

static bool are_all_compared(const struct comparison *comparison)
{
    const uint64_t text_bytes = count_text(comparison);
    return (comparison->is_same && comparison->piece_bytes == text_bytes) ||
           (comparison->is_shifted && comparison->piece_bytes == text_bytes + 1);
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

/* --decode: whole characters, so that a terminal shows them. */
static void write_piece(struct tokenize *tokenize, const char *bytes, size_t length, bool ends)
{
    char joined[sizeof(tokenize->held) + WEIR_TOKEN_BYTES_MAX];
    memcpy(joined, tokenize->held, tokenize->held_count);
    if (length > 0)
        memcpy(joined + tokenize->held_count, bytes, length);
    const size_t total = tokenize->held_count + length;
    const size_t left = ends ? 0 : weir_utf8_unfinished(joined, total);
    weir_cli_text_write(joined, total - left);
    memcpy(tokenize->held, joined + total - left, left);
    tokenize->held_count = left;
}

/* A token that is added before the text, or behind it, stands for nothing in it. */
static bool is_added(const struct tokenize *tokenize, uint32_t id)
{
    const struct comparison *comparison = &tokenize->comparison;
    if (!tokenize->options->bos)
        return false;
    if (tokenize->count == 0)
        return weir_tokenizer_adds_bos(tokenize->tokenizer) &&
               id == weir_tokenizer_bos(tokenize->tokenizer);
    return tokenize->source.has_ended && are_all_compared(comparison) &&
           weir_tokenizer_is_end(tokenize->tokenizer, id);
}

static void take_id(struct tokenize *tokenize, uint32_t id)
{
    char piece[WEIR_TOKEN_BYTES_MAX];
    const struct weir_cli_options *options = tokenize->options;
    const size_t length = weir_tokenizer_piece(tokenize->tokenizer, id, piece);
    if (options->decode != NULL)
        tokenize->comparison.piece_bytes += length;
    else if (!is_added(tokenize, id))
        compare_piece(&tokenize->comparison, piece, length);
    if (options->json) {
        printf("%s%u", tokenize->count > 0 ? ", " : "", id);
        fwrite(&id, sizeof(id), 1, tokenize->spool);
    } else if (options->decode != NULL) {
        write_piece(tokenize, piece, length, false);
    } else {
        print_piece(id, piece, length);
    }
    tokenize->count++;
}

/* The ids, as they come. */
static bool take_ids(struct tokenize *tokenize)
{
    struct comparison *comparison = &tokenize->comparison;
    uint32_t ids[ID_STEP];
    size_t count = ID_STEP;
    while (count == ID_STEP) {
        if (!weir_cli_source_next(&tokenize->source, ids, ID_STEP, &count))
            return false;
        for (size_t index = 0; index < count; index++)
            take_id(tokenize, ids[index]);
        if (comparison->text.length > 0)
            forget_compared(comparison);
        if (ferror(stdout) != 0)
            return true; /* the end tells why */
        if (weir_cli_stop_asked()) {
            weir_cli_say("stopped");
            return false;
        }
    }
    write_piece(tokenize, NULL, 0, true);
    return true;
}

/* ---- the object of --json ------------------------------------------------------------------ */

static void write_string(const char *text)
{
    struct weir_cli_json_part part = {.file = stdout};
    putchar('"');
    weir_cli_json_part(&part, text, strlen(text), false);
    weir_cli_json_part(&part, NULL, 0, true);
    putchar('"');
}

/* The pieces of the spooled ids, each a string, or all one. */
static void write_pieces(const struct tokenize *tokenize, bool together)
{
    char piece[WEIR_TOKEN_BYTES_MAX];
    struct weir_cli_json_part part = {.file = stdout};
    uint32_t id = 0;
    rewind(tokenize->spool);
    for (uint64_t index = 0; fread(&id, sizeof(id), 1, tokenize->spool) == 1; index++) {
        const size_t length = weir_tokenizer_piece(tokenize->tokenizer, id, piece);
        if (!together)
            fputs(index > 0 ? ", \"" : "\"", stdout);
        weir_cli_json_part(&part, piece, length, !together && length > 0);
        if (!together)
            putchar('"');
    }
    weir_cli_json_part(&part, NULL, 0, true);
}

static bool begin_object(struct tokenize *tokenize)
{
    tokenize->spool = tmpfile();
    if (tokenize->spool == NULL) {
        weir_cli_say("cannot make a file for the ids of --json: %s", strerror(errno));
        return false;
    }
    fputs("{\"model\": ", stdout);
    write_string(tokenize->options->argument);
    fputs(", \"ids\": [", stdout);
    return true;
}

static bool end_object(struct tokenize *tokenize, bool is_same)
{
    const bool is_decoding = tokenize->options->decode != NULL;
    if (fflush(tokenize->spool) != 0 || ferror(tokenize->spool) != 0) {
        weir_cli_say("cannot keep the ids for --json: %s", strerror(errno));
        return false;
    }
    fputs("], \"pieces\": [", stdout);
    write_pieces(tokenize, false);
    printf("], \"tokens\": %llu, \"text\": \"", (unsigned long long)tokenize->count);
    write_pieces(tokenize, true);
    printf("\", \"bytes\": %llu, \"same\": %s}\n",
           (unsigned long long)(is_decoding ? tokenize->comparison.piece_bytes
                                            : count_text(&tokenize->comparison)),
           is_decoding ? "null"
           : is_same   ? "true"
                       : "false");
    return true;
}

static int tokenize_source(struct tokenize *tokenize)
{
    const struct weir_cli_options *options = tokenize->options;
    const struct comparison *comparison = &tokenize->comparison;
    if ((options->json && !begin_object(tokenize)) || !take_ids(tokenize))
        return WEIR_CLI_FAILURE;
    const bool is_same = options->decode != NULL || are_all_compared(comparison);
    if (options->json && !end_object(tokenize, is_same))
        return WEIR_CLI_FAILURE;
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        if (errno != EPIPE)
            weir_cli_say("cannot write to standard output: %s", weir_cli_stream_why(errno));
        return WEIR_CLI_FAILURE;
    }
    if (!is_same)
        weir_cli_say("the tokens do not decode to the text: %llu bytes, wanted %llu",
                     (unsigned long long)comparison->piece_bytes,
                     (unsigned long long)count_text(comparison));
    else if (!options->json && options->decode == NULL)
        fprintf(stderr, "%llu tokens from %llu bytes; decoding gives the same bytes\n",
                (unsigned long long)tokenize->count, (unsigned long long)count_text(comparison));
    return is_same ? WEIR_CLI_OK : WEIR_CLI_FAILURE;
}

/* The text that is wanted, or the ids of --decode. */
static int find_source(struct tokenize *tokenize)
{
    const struct weir_cli_options *options = tokenize->options;
    if (options->decode != NULL) {
        if (!weir_cli_ids_parse("--decode", options->decode, &tokenize->ids, &tokenize->id_count))
            return WEIR_CLI_USAGE;
        weir_cli_source_text(&tokenize->source, "--decode", options->decode);
        return WEIR_CLI_OK;
    }
    if (options->prompt == NULL && options->text == NULL)
        return weir_cli_misuse("tokenize", "wanted -p, --text or --decode, found none of them");
    tokenize->source.copy = &tokenize->comparison.text;
    if (options->text != NULL || strcmp(options->prompt, "-") == 0)
        return weir_cli_source_open(&tokenize->source, options->text != NULL ? options->text : "-")
                   ? WEIR_CLI_OK
                   : WEIR_CLI_FAILURE;
    weir_cli_source_text(&tokenize->source, "-p", options->prompt);
    return WEIR_CLI_OK;
}

/* Everything of --decode is right before any of it is printed. */
static bool check_ids(const struct tokenize *tokenize)
{
    const uint32_t n_vocab = weir_tokenizer_vocab_count(tokenize->tokenizer);
    for (size_t index = 0; index < tokenize->id_count; index++)
        if (tokenize->ids[index] >= n_vocab) {
            weir_cli_say("id %zu is %u, the vocabulary has %u", index + 1, tokenize->ids[index],
                         n_vocab);
            return false;
        }
    return true;
}

int weir_cli_tokenize(const struct weir_cli_options *options)
{
    struct tokenize tokenize = {
        .options = options,
        .source = {.fd = -1},
        .comparison = {.is_same = true, .is_shifted = true},
    };
    struct weir_err err = {0};
    const unsigned flags = (options->bos ? (unsigned)WEIR_TEXT_ADD_SPECIAL : 0u) |
                           (options->plain ? 0u : (unsigned)WEIR_TEXT_PARSE_SPECIAL);
    int code = find_source(&tokenize);
    if (code == WEIR_CLI_OK &&
        weir_tokenizer_open(&tokenize.tokenizer, options->argument, &err) != WEIR_OK)
        code = weir_cli_fail(&err);
    if (code == WEIR_CLI_OK) {
        weir_cli_warnings_tell(weir_tokenizer_warnings(tokenize.tokenizer));
        if (options->decode == NULL &&
            !weir_cli_source_encode(&tokenize.source, tokenize.tokenizer, flags, &err))
            code = weir_cli_no_text(weir_tokenizer_warnings(tokenize.tokenizer), err.text,
                                    "only --decode is left");
    }
    if (code == WEIR_CLI_OK && !check_ids(&tokenize))
        code = WEIR_CLI_FAILURE;
    if (code == WEIR_CLI_OK)
        code = tokenize_source(&tokenize);
    if (tokenize.spool != NULL)
        fclose(tokenize.spool);
    weir_cli_source_close(&tokenize.source);
    weir_ids_free(&tokenize.ids);
    weir_tokenizer_close(&tokenize.tokenizer);
    weir_cli_buffer_free(&tokenize.comparison.text);
    return code;
}
