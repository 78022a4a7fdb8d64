/* reference.c - reads files of a reference run: weir's own, and llama-perplexity's. */
#include "reference.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/heap.h"

enum {
    MAGIC_BYTES = 8,
    HEAD_BYTES = 256,
    ROW_HEAD_BYTES = 16,
    PEER_HEAD_BYTES = 20,
    PEER_ROW_HEAD_BYTES = 8,
    VERSION = 1,
};

static uint32_t get_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

static float get_f32(const uint8_t *bytes)
{
    const uint32_t bits = get_u32(bytes);
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* Codes of a row, to an even number. */
static uint64_t code_bytes(uint32_t n_vocab)
{
    return ((uint64_t)n_vocab + 1) / 2 * 4;
}

uint64_t weir_cli_reference_row_bytes(uint32_t n_vocab)
{
    return ROW_HEAD_BYTES + code_bytes(n_vocab);
}

static enum weir_status read_at(struct weir_cli_reference *reference, uint64_t at, void *out,
                                size_t count, struct weir_err *err)
{
    errno = 0;
    if (fseeko(reference->file, (off_t)at, SEEK_SET) == 0 &&
        fread(out, 1, count, reference->file) == count)
        return WEIR_OK;
    if (ferror(reference->file) || errno != 0)
        return WEIR_FAIL_OS(err, errno, "cannot read the reference");
    return WEIR_FAIL(err, WEIR_ERR_FORMAT, "the reference ends in the middle: %zu bytes at %llu",
                     count, (unsigned long long)at);
}

/* ---- the head ------------------------------------------------------------------------------ */

/* "weirrefs", version, n_vocab, n_ctx, scored_from, chunk_count, bos, model's bytes, sum and name:
 * docs/formats/reference.md. */
static enum weir_status parse_own(struct weir_cli_reference *reference, const uint8_t *bytes,
                                  struct weir_err *err)
{
    struct weir_cli_reference_head *head = &reference->head;
    if (get_u32(bytes + 8) != VERSION)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "version of the reference: wanted %d, found %u; save it anew", VERSION,
                         get_u32(bytes + 8));
    head->n_vocab = get_u32(bytes + 12);
    head->n_ctx = get_u32(bytes + 16);
    head->scored_from = get_u32(bytes + 20);
    head->chunk_count = get_u32(bytes + 24);
    head->bos = get_u32(bytes + 28);
    head->model_bytes = (uint64_t)get_u32(bytes + 36) << 32 | get_u32(bytes + 32);
    memcpy(head->model_sum, bytes + 40, sizeof(head->model_sum));
    memcpy(head->model_name, bytes + 72, sizeof(head->model_name) - 1);
    reference->row_bytes = ROW_HEAD_BYTES;
    return WEIR_OK;
}

/* "_logits_", n_ctx, n_vocab, chunks, all ids, then the rows of the second halves, as llama.cpp's
 * tools/perplexity writes them. */
static void parse_peers(struct weir_cli_reference *reference, const uint8_t *bytes)
{
    struct weir_cli_reference_head *head = &reference->head;
    reference->is_peers = true;
    head->n_ctx = get_u32(bytes + 8);
    head->n_vocab = get_u32(bytes + 12);
    head->chunk_count = get_u32(bytes + 16);
    head->scored_from = head->n_ctx / 2;
    head->bos = WEIR_ID_NONE;
    reference->row_bytes = PEER_ROW_HEAD_BYTES;
}

static enum weir_status check_head(const struct weir_cli_reference_head *head, struct weir_err *err)
{
    if (head->n_vocab < 1 || head->n_vocab > WEIR_CLI_REFERENCE_VOCAB_MAX)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "vocabulary of the reference: wanted 1 to %d ids, "
                         "found %u",
                         WEIR_CLI_REFERENCE_VOCAB_MAX, head->n_vocab);
    if (head->n_ctx < 2 || head->n_ctx > WEIR_CLI_REFERENCE_CTX_MAX ||
        head->scored_from >= head->n_ctx - 1)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "chunks of the reference: wanted 2 to %d tokens "
                         "scored from before the last but one, found %u scored from %u",
                         WEIR_CLI_REFERENCE_CTX_MAX, head->n_ctx, head->scored_from);
    if (head->chunk_count < 1)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "the reference has no chunks: it was not finished");
    if (head->bos != WEIR_ID_NONE && head->bos >= head->n_vocab)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "first token of the reference's chunks: wanted an "
                         "id below %u, found %u",
                         head->n_vocab, head->bos);
    return WEIR_OK;
}

/* Where ids and rows are, and whether the file is as long as that. The numbers are small enough
 * that only the last product can be too large. */
static enum weir_status lay_out(struct weir_cli_reference *reference, struct weir_err *err)
{
    const struct weir_cli_reference_head *head = &reference->head;
    const uint64_t id_bytes = (uint64_t)head->n_ctx * sizeof(uint32_t);
    uint64_t all = 0;
    reference->row_count = head->n_ctx - 1 - head->scored_from;
    reference->row_bytes += code_bytes(head->n_vocab);
    const uint64_t row_bytes = reference->row_bytes * reference->row_count;
    reference->ids_at = reference->is_peers ? PEER_HEAD_BYTES : HEAD_BYTES;
    reference->ids_step = reference->is_peers ? id_bytes : id_bytes + row_bytes;
    reference->rows_step = reference->is_peers ? row_bytes : reference->ids_step;
    reference->rows_at =
        reference->ids_at + (reference->is_peers ? id_bytes * head->chunk_count : id_bytes);
    const bool fits = weir_checked_mul(id_bytes + row_bytes, head->chunk_count, &all) &&
                      weir_checked_add(all, reference->ids_at, &all) && all <= INT64_MAX;
    const off_t length = fseeko(reference->file, 0, SEEK_END) == 0 ? ftello(reference->file) : -1;
    if (length < 0)
        return WEIR_FAIL_OS(err, errno, "the length of the reference is not known");
    if (!fits || (uint64_t)length != all)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "length of the reference: wanted %llu bytes for %u "
                         "chunks of %u tokens of %u, found %lld",
                         (unsigned long long)(fits ? all : UINT64_MAX), head->chunk_count,
                         head->n_ctx, head->n_vocab, (long long)length);
    return WEIR_OK;
}

enum weir_status weir_cli_reference_parse(struct weir_cli_reference *reference, FILE *file,
                                          struct weir_err *err)
{
    uint8_t bytes[HEAD_BYTES] = {0};
    *reference = (struct weir_cli_reference){.file = file};
    WEIR_TRY(read_at(reference, 0, bytes, PEER_HEAD_BYTES, err));
    if (memcmp(bytes, "_logits_", MAGIC_BYTES) == 0) {
        parse_peers(reference, bytes);
    } else if (memcmp(bytes, "weirrefs", MAGIC_BYTES) == 0) {
        WEIR_TRY(read_at(reference, 0, bytes, HEAD_BYTES, err));
        WEIR_TRY(parse_own(reference, bytes, err));
    } else {
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "wanted a file of weir eval --save-reference or "
                         "of llama-perplexity --kl-divergence-base, found another one");
    }
    WEIR_TRY(check_head(&reference->head, err));
    WEIR_TRY(lay_out(reference, err));
    reference->bytes = weir_heap_alloc(reference->row_bytes);
    reference->row.codes = weir_heap_array(reference->head.n_vocab, sizeof(*reference->row.codes));
    if (reference->bytes != NULL && reference->row.codes != NULL)
        return WEIR_OK;
    weir_heap_free(reference->bytes);
    weir_heap_free(reference->row.codes);
    return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a row of %u log-probabilities",
                     reference->head.n_vocab);
}

bool weir_cli_reference_open(struct weir_cli_reference *reference, const char *path)
{
    struct weir_err err = {0};
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        weir_cli_say("cannot open %s: %s", path, strerror(errno));
        return false;
    }
    if (weir_cli_reference_parse(reference, file, &err) != WEIR_OK) {
        weir_cli_say("%s: %s", path, err.text);
        fclose(file);
        *reference = (struct weir_cli_reference){0};
        return false;
    }
    reference->path = path;
    return true;
}

void weir_cli_reference_close(struct weir_cli_reference *reference)
{
    if (reference->file == NULL)
        return;
    fclose(reference->file);
    weir_heap_free(reference->bytes);
    weir_heap_free(reference->row.codes);
    *reference = (struct weir_cli_reference){0};
}

/* ---- chunks and rows ----------------------------------------------------------------------- */

enum weir_status weir_cli_reference_ids(struct weir_cli_reference *reference, uint32_t chunk,
                                        uint32_t *ids, struct weir_err *err)
{
    const struct weir_cli_reference_head *head = &reference->head;
    uint8_t *bytes = (uint8_t *)ids;
    WEIR_ASSERT(chunk < head->chunk_count);
    WEIR_TRY(read_at(reference, reference->ids_at + chunk * reference->ids_step, bytes,
                     head->n_ctx * sizeof(*ids), err));
    for (uint32_t at = 0; at < head->n_ctx; at++) {
        ids[at] = get_u32(bytes + at * sizeof(*ids));
        if (ids[at] >= head->n_vocab)
            return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                             "token %u of chunk %u of the reference: wanted "
                             "an id below %u, found %u",
                             at, chunk, head->n_vocab, ids[at]);
    }
    return WEIR_OK;
}

/* Rows of the peer's do not say what is the likeliest id and how likely the next one was. */
static void find_words(struct weir_cli_row *row, uint32_t n_vocab, uint32_t next_id)
{
    row->top = 0;
    for (uint32_t id = 1; id < n_vocab; id++)
        row->top = row->codes[id] > row->codes[row->top] ? id : row->top;
    row->target = row->least + row->scale * (float)row->codes[next_id];
}

enum weir_status weir_cli_reference_row(struct weir_cli_reference *reference, uint32_t chunk,
                                        uint32_t position, uint32_t next_id, struct weir_err *err)
{
    const struct weir_cli_reference_head *head = &reference->head;
    const uint64_t index = position - head->scored_from;
    struct weir_cli_row *row = &reference->row;
    const uint8_t *bytes = reference->bytes;
    WEIR_ASSERT(chunk < head->chunk_count && position >= head->scored_from &&
                index < reference->row_count && next_id < head->n_vocab);
    WEIR_TRY(read_at(
        reference, reference->rows_at + chunk * reference->rows_step + index * reference->row_bytes,
        reference->bytes, reference->row_bytes, err));
    const uint8_t *codes = bytes + reference->row_bytes - code_bytes(head->n_vocab);
    for (uint32_t id = 0; id < head->n_vocab; id++)
        row->codes[id] = (uint16_t)(codes[2 * id] | codes[2 * id + 1] << 8);
    row->scale = get_f32(bytes);
    row->least = get_f32(bytes + 4);
    row->target = get_f32(bytes + 8);
    row->top = get_u32(bytes + 12);
    if (reference->is_peers)
        find_words(row, head->n_vocab, next_id);
    /* The likeliest of so many ids has at least its part of 1, and none more than 1. */
    const float highest = row->least + row->scale * 65535.0f;
    if (row->scale >= 0.0f && row->least >= -1e4f && highest <= 0.01f && highest >= -20.0f &&
        row->target <= 0.01f && row->target >= -1e9f && row->top < head->n_vocab)
        return WEIR_OK;
    return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                     "position %u of chunk %u of the reference: wanted "
                     "log-probabilities, found %g to %g, the next token's %g",
                     position, chunk, (double)row->least, (double)highest, (double)row->target);
}
