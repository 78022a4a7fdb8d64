/* reference_out.c - writes a reference run's log-probabilities: docs/formats/reference.md. */
#include <errno.h>
#include <nettle/sha2.h>
#include <string.h>
#include <sys/stat.h>

#include "base/heap.h"
#include "reference.h"

enum { HEAD_BYTES = 256, ROW_HEAD_BYTES = 16, VERSION = 1, SUMMED_BYTES = 1 << 20 };

static void put_u32(uint8_t *bytes, uint32_t value)
{
    for (int at = 0; at < 4; at++)
        bytes[at] = (uint8_t)(value >> (8 * at));
}

static void put_f32(uint8_t *bytes, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    put_u32(bytes, bits);
}

bool weir_cli_reference_out_open(struct weir_cli_reference_out *out, const char *path)
{
    if (!weir_cli_out_open(&out->out, path))
        return false;
    /* The head is written again at the end. */
    if (fseeko(out->out.file, 0, SEEK_CUR) == 0 && ftello(out->out.file) >= 0)
        return true;
    weir_cli_say("--save-reference: wanted a file, found %s, in which nothing can be gone back to",
                 path);
    weir_cli_out_discard(&out->out);
    return false;
}

/* The last `count` bytes of what is left, or all of it from here. */
static bool sum_part(struct sha256_ctx *hash, FILE *file, uint64_t count)
{
    uint8_t bytes[4096];
    while (count > 0) {
        const size_t part = (size_t)weir_min(count, sizeof(bytes));
        if (fread(bytes, 1, part, file) != part)
            return false;
        sha256_update(hash, part, bytes);
        count -= part;
    }
    return true;
}

bool weir_cli_reference_out_model(struct weir_cli_reference_out *out, const char *model_path)
{
    struct stat facts;
    struct sha256_ctx hash;
    uint8_t length[8];
    if (stat(model_path, &facts) != 0 || !S_ISREG(facts.st_mode))
        return true;
    FILE *file = fopen(model_path, "re");
    const uint64_t bytes = (uint64_t)facts.st_size;
    const uint64_t part = weir_min(bytes, SUMMED_BYTES);
    put_u32(length, (uint32_t)bytes);
    put_u32(length + 4, (uint32_t)(bytes >> 32));
    sha256_init(&hash);
    sha256_update(&hash, sizeof(length), length);
    const bool ok = file != NULL && sum_part(&hash, file, part) &&
                    fseeko(file, (off_t)(bytes - part), SEEK_SET) == 0 &&
                    sum_part(&hash, file, part);
    if (!ok)
        weir_cli_say("cannot read %s: %s", model_path, strerror(errno));
    if (file != NULL)
        fclose(file);
    out->head.model_bytes = bytes;
    sha256_digest(&hash, sizeof(out->head.model_sum), out->head.model_sum);
    return ok;
}

static bool write_bytes(struct weir_cli_reference_out *out, const void *bytes, size_t count)
{
    if (fwrite(bytes, 1, count, out->out.file) == count)
        return true;
    weir_cli_out_finish(&out->out); /* says why, and removes it */
    return false;
}

static bool write_head(struct weir_cli_reference_out *out)
{
    const struct weir_cli_reference_head *head = &out->head;
    uint8_t bytes[HEAD_BYTES] = {0};
    memcpy(bytes, "weirrefs", 8);
    put_u32(bytes + 8, VERSION);
    put_u32(bytes + 12, head->n_vocab);
    put_u32(bytes + 16, head->n_ctx);
    put_u32(bytes + 20, head->scored_from);
    put_u32(bytes + 24, head->chunk_count);
    put_u32(bytes + 28, head->bos);
    put_u32(bytes + 32, (uint32_t)head->model_bytes);
    put_u32(bytes + 36, (uint32_t)(head->model_bytes >> 32));
    memcpy(bytes + 40, head->model_sum, sizeof(head->model_sum));
    memcpy(bytes + 72, head->model_name, strnlen(head->model_name, sizeof(head->model_name) - 1));
    return write_bytes(out, bytes, sizeof(bytes));
}

bool weir_cli_reference_out_begin(struct weir_cli_reference_out *out)
{
    const uint32_t n_vocab = out->head.n_vocab;
    out->bytes = weir_heap_alloc(weir_cli_reference_row_bytes(n_vocab));
    out->row.codes = weir_heap_array(n_vocab, sizeof(*out->row.codes));
    if (out->bytes == NULL || out->row.codes == NULL) {
        weir_cli_say("no memory for a row of %u log-probabilities", n_vocab);
        return false;
    }
    out->head.chunk_count = 0; /* until it is finished */
    return write_head(out);
}

bool weir_cli_reference_out_chunk(struct weir_cli_reference_out *out, const uint32_t *ids)
{
    uint8_t bytes[4];
    out->head.chunk_count++;
    for (uint32_t at = 0; at < out->head.n_ctx; at++) {
        put_u32(bytes, ids[at]);
        if (!write_bytes(out, bytes, sizeof(bytes)))
            return false;
    }
    return true;
}

bool weir_cli_reference_out_row(struct weir_cli_reference_out *out, const float *logits,
                                const struct weir_cli_softmax *softmax, uint32_t next_id)
{
    const uint32_t n_vocab = out->head.n_vocab;
    uint8_t *codes = out->bytes + ROW_HEAD_BYTES;
    weir_cli_row_encode(&out->row, logits, n_vocab, softmax, next_id);
    put_f32(out->bytes, out->row.scale);
    put_f32(out->bytes + 4, out->row.least);
    put_f32(out->bytes + 8, out->row.target);
    put_u32(out->bytes + 12, out->row.top);
    for (uint32_t id = 0; id < n_vocab; id++) {
        codes[2 * id] = (uint8_t)out->row.codes[id];
        codes[2 * id + 1] = (uint8_t)(out->row.codes[id] >> 8);
    }
    return write_bytes(out, out->bytes, weir_cli_reference_row_bytes(n_vocab));
}

bool weir_cli_reference_out_finish(struct weir_cli_reference_out *out)
{
    if (out->out.file == NULL)
        return true;
    if (fseeko(out->out.file, 0, SEEK_SET) != 0) {
        weir_cli_say("cannot write %s: %s", out->out.path, strerror(errno));
        return false;
    }
    return write_head(out) && weir_cli_out_finish(&out->out);
}

void weir_cli_reference_out_close(struct weir_cli_reference_out *out)
{
    weir_cli_out_discard(&out->out);
    weir_heap_free(out->bytes);
    weir_heap_free(out->row.codes);
}
