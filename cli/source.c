/* source.c - texts and token ids, read as they are wanted: no text is in memory as a whole. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "source.h"

bool weir_cli_source_open(struct weir_cli_source *source, const char *path)
{
    source->fd = STDIN_FILENO;
    source->name = "standard input";
    if (strcmp(path, "-") == 0)
        return true;
    source->name = path;
    source->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (source->fd < 0)
        weir_cli_say("cannot open %s: %s", path, strerror(errno));
    return source->fd >= 0;
}

void weir_cli_source_text(struct weir_cli_source *source, const char *name, const char *text)
{
    source->fd = -1;
    source->name = name;
    source->text = text;
    source->text_left = strlen(text);
}

bool weir_cli_source_encode(struct weir_cli_source *source, weir_tokenizer *tokenizer,
                            unsigned flags, struct weir_err *err)
{
    return weir_encoder_create(&source->encoder, tokenizer, flags, err) == WEIR_OK;
}

bool weir_cli_source_encode_chunks(struct weir_cli_source *source, weir_engine *engine,
                                   uint32_t *bos)
{
    weir_tokenizer *tokenizer = weir_engine_tokenizer(engine);
    struct weir_err err = {0};
    *bos = weir_tokenizer_adds_bos(tokenizer) ? weir_tokenizer_bos(tokenizer) : WEIR_ID_NONE;
    if (tokenizer != NULL && weir_cli_source_encode(source, tokenizer, WEIR_TEXT_ADD_SPECIAL, &err))
        return true;
    weir_cli_no_text(&weir_engine_model(engine)->warnings,
                     tokenizer == NULL ? weir_engine_tokenizer_why(engine) : err.text,
                     "give ids with --tokens");
    return false;
}

uint64_t weir_cli_source_bytes(const struct weir_cli_source *source)
{
    struct stat facts;
    if (source->fd < 0)
        return source->text_left;
    return fstat(source->fd, &facts) == 0 && S_ISREG(facts.st_mode) ? (uint64_t)facts.st_size
                                                                    : UINT64_MAX;
}

/* A byte has at most a token, but normalised it may have three, and one or two are added. */
uint32_t weir_cli_source_ids_max(const struct weir_cli_source *source)
{
    enum { IDS_PER_BYTE = 3, IDS_MORE = 3 };
    const uint64_t bytes = weir_min(weir_cli_source_bytes(source), UINT32_MAX / IDS_PER_BYTE - 1);
    return (uint32_t)(bytes * IDS_PER_BYTE + IDS_MORE);
}

uint64_t weir_cli_source_read_bytes(const struct weir_cli_source *source)
{
    return source->read_bytes;
}

void weir_cli_source_close(struct weir_cli_source *source)
{
    weir_encoder_destroy(&source->encoder);
    if (source->fd > STDERR_FILENO)
        close(source->fd);
    source->fd = -1;
}

/* The next bytes from outside, at least one; *got is 0 at the end. */
static bool read_bytes(struct weir_cli_source *source, char *out, size_t *got)
{
    if (source->fd < 0) {
        *got = weir_min(source->text_left, WEIR_CLI_PART_BYTES);
        memcpy(out, source->text, *got);
        source->text += *got;
        source->text_left -= *got;
        return true;
    }
    const ssize_t count = weir_cli_read(source->fd, out, WEIR_CLI_PART_BYTES);
    if (count < 0 && weir_cli_stop_asked())
        weir_cli_say("stopped");
    else if (count < 0)
        weir_cli_say("cannot read %s: %s", source->name, weir_cli_stream_why(errno));
    *got = count < 0 ? 0 : (size_t)count;
    return count >= 0;
}

/* The next part of the text, in bytes[at, length). */
static bool read_part(struct weir_cli_source *source)
{
    size_t got = 0;
    if (!read_bytes(source, source->bytes + 1, &got))
        return false;
    source->bytes[0] = '\n';
    source->at = source->has_newline && got > 0 ? 0 : 1;
    source->length = 1 + got;
    source->has_ended = got == 0;
    source->read_bytes += got;
    source->has_newline = source->drops_newline && got > 0 && source->bytes[got] == '\n';
    source->length -= source->has_newline;
    const size_t count = source->length - source->at;
    return source->copy == NULL ||
           weir_cli_buffer_append(source->copy, source->bytes + source->at, count);
}

bool weir_cli_source_is_over(const struct weir_cli_source *source)
{
    return source->id_limit > 0 && source->seen > source->id_limit;
}

static bool encode_part(struct weir_cli_source *source)
{
    struct weir_err err = {0};
    if (!read_part(source))
        return false;
    source->given += source->id_count;
    source->id_at = source->id_count = 0;
    if (weir_encoder_push(source->encoder, source->bytes + source->at, source->length - source->at,
                          source->has_ended, &source->ids, &source->id_count, &err) != WEIR_OK) {
        weir_cli_fail(&err);
        return false;
    }
    source->seen = source->given + source->id_count + weir_encoder_least(source->encoder);
    return !weir_cli_source_is_over(source);
}

static bool next_encoded(struct weir_cli_source *source, uint32_t *id, bool *found)
{
    while (source->id_at == source->id_count && !source->has_ended)
        if (!encode_part(source))
            return false;
    *found = source->id_at < source->id_count;
    if (*found)
        *id = source->ids[source->id_at++];
    return true;
}

static bool is_gap(char letter)
{
    return letter == ' ' || letter == '\n' || letter == '\t' || letter == '\r' || letter == ',';
}

/* The next character of ids that are written down; at the end a gap, and has_ended. */
static bool next_letter(struct weir_cli_source *source, char *letter)
{
    while (source->at == source->length && !source->has_ended)
        if (!read_part(source))
            return false;
    *letter = source->has_ended ? ' ' : source->bytes[source->at++];
    return true;
}

static bool next_written(struct weir_cli_source *source, uint32_t *id, bool *found)
{
    char word[24] = "";
    size_t length = 0;
    bool is_number = true;
    char letter = ' ';
    while (is_gap(letter) && !source->has_ended)
        if (!next_letter(source, &letter))
            return false;
    *found = !is_gap(letter);
    if (!*found)
        return true;
    for (; !is_gap(letter) && length + 1 < sizeof(word);) {
        is_number = is_number && letter >= '0' && letter <= '9';
        word[length++] = letter == '\0' ? '?' : letter;
        if (!next_letter(source, &letter))
            return false;
    }
    word[length] = '\0';
    source->number++;
    const unsigned long long value = is_number ? strtoull(word, NULL, 10) : UINT64_MAX;
    if (value >= WEIR_ID_NONE || length + 1 == sizeof(word)) {
        weir_cli_say("%s: wanted token ids, found \"%s\" as number %zu", source->name, word,
                     source->number);
        return false;
    }
    *id = (uint32_t)value;
    if (source->n_vocab == 0 || *id < source->n_vocab)
        return true;
    weir_cli_say("%s: wanted ids from 0 to %u, found %u as number %zu", source->name,
                 source->n_vocab - 1, *id, source->number);
    return false;
}

bool weir_cli_source_next(struct weir_cli_source *source, uint32_t *ids, size_t most, size_t *count)
{
    bool found = true;
    for (*count = 0; *count < most; ++*count) {
        if (!(source->encoder != NULL ? next_encoded(source, ids + *count, &found)
                                      : next_written(source, ids + *count, &found)))
            return false;
        if (!found)
            break;
    }
    return true;
}
