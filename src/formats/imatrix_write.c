/* imatrix_write.c - importance matrices into a file, in either form. */
#include "formats/imatrix.h"

#include <errno.h>
#include <string.h>

#include "formats/manifest_internal.h"

#define SUMS ".in_sum2"
#define COUNTS ".counts"

enum { GGUF_VERSION = 3, ALIGNMENT = 32, F32_NUMBER = 0 };

/* Where the file is, and whether all of it could be written. */
struct writer {
    FILE *file;
    uint64_t at;
    int os_errno; /* of the first write that failed; 0: none did */
};

static void put(struct writer *writer, const void *bytes, size_t count)
{
    if (writer->os_errno == 0 && count > 0 && fwrite(bytes, 1, count, writer->file) != count)
        writer->os_errno = errno == 0 ? EIO : errno;
    writer->at += count;
}

static void put_u32(struct writer *writer, uint32_t value)
{
    put(writer, &value, sizeof(value));
}

static void put_u64(struct writer *writer, uint64_t value)
{
    put(writer, &value, sizeof(value));
}

static void put_f32(struct writer *writer, double value)
{
    const float rounded = (float)value;
    put(writer, &rounded, sizeof(rounded));
}

/* A string of GGUF, in two parts. */
static void put_text(struct writer *writer, const char *text, const char *rest)
{
    put_u64(writer, strlen(text) + strlen(rest));
    put(writer, text, strlen(text));
    put(writer, rest, strlen(rest));
}

static enum weir_status finish(const struct writer *writer, struct weir_err *err)
{
    return writer->os_errno == 0
               ? WEIR_OK
               : WEIR_FAIL_OS(err, writer->os_errno, "write an importance matrix");
}

/* ---- the GGUF form ------------------------------------------------------------------------- */

static void put_keys(struct writer *writer, const struct weir_imatrix_facts *facts)
{
    put_text(writer, "general.type", "");
    put_u32(writer, GGUF_STRING);
    put_text(writer, "imatrix", "");
    put_text(writer, "imatrix.datasets", "");
    put_u32(writer, GGUF_ARRAY);
    put_u32(writer, GGUF_STRING);
    put_u64(writer, 1);
    put_text(writer, facts->text_name, "");
    put_text(writer, "imatrix.chunk_count", "");
    put_u32(writer, GGUF_U32);
    put_u32(writer, facts->chunk_count);
    put_text(writer, "imatrix.chunk_size", "");
    put_u32(writer, GGUF_U32);
    put_u32(writer, facts->chunk_tokens);
}

static uint64_t sum_count(const struct weir_imatrix_sums *sums)
{
    return sums->cols * sums->matrix_count;
}

/* A tensor of two dimensions whose data begins at *offset; the next one's is behind it. */
static void put_tensor(struct writer *writer, const char *name, const char *rest, uint64_t cols,
                       uint64_t rows, uint64_t *offset)
{
    put_text(writer, name, rest);
    put_u32(writer, 2);
    put_u64(writer, cols);
    put_u64(writer, rows);
    put_u32(writer, F32_NUMBER);
    put_u64(writer, *offset);
    *offset = weir_align_up(*offset + cols * rows * sizeof(float), ALIGNMENT);
}

static void pad(struct writer *writer)
{
    static const uint8_t zeros[ALIGNMENT];
    put(writer, zeros, weir_align_up(writer->at, ALIGNMENT) - writer->at);
}

static enum weir_status write_gguf(const struct weir_imatrix_facts *facts, struct writer *writer,
                                   struct weir_err *err)
{
    enum { KEY_COUNT = 4 };
    uint64_t offset = 0;
    put(writer, "GGUF", 4);
    put_u32(writer, GGUF_VERSION);
    put_u64(writer, 2 * (uint64_t)facts->sums_count);
    put_u64(writer, KEY_COUNT);
    put_keys(writer, facts);
    for (uint32_t index = 0; index < facts->sums_count; index++) {
        const struct weir_imatrix_sums *sums = &facts->sums[index];
        put_tensor(writer, sums->name, SUMS, sum_count(sums) / sums->count_count, sums->count_count,
                   &offset);
        put_tensor(writer, sums->name, COUNTS, 1, sums->count_count, &offset);
    }
    pad(writer);
    for (uint32_t index = 0; index < facts->sums_count && writer->os_errno == 0; index++) {
        const struct weir_imatrix_sums *sums = &facts->sums[index];
        for (uint64_t at = 0; at < sum_count(sums); at++)
            put_f32(writer, sums->sums[at]);
        pad(writer);
        for (uint64_t at = 0; at < sums->count_count; at++)
            put_f32(writer, (double)sums->counts[at]);
        pad(writer);
    }
    return finish(writer, err);
}

/* ---- the older form ------------------------------------------------------------------------ */

static uint64_t most_count(const struct weir_imatrix_sums *sums)
{
    uint64_t most = 0;
    for (uint64_t at = 0; at < sums->count_count; at++)
        most = weir_max(most, sums->counts[at]);
    return most;
}

/* Means times calls; what was never reached has the mean 1. */
static void put_means(struct writer *writer, const struct weir_imatrix_sums *sums, double calls)
{
    for (uint64_t matrix = 0; matrix < sums->matrix_count; matrix++) {
        const uint64_t count = sums->counts[sums->count_count == 1 ? 0 : matrix];
        for (uint64_t col = 0; col < sums->cols; col++) {
            const double sum = sums->sums[matrix * sums->cols + col];
            put_f32(writer, calls * (count > 0 ? sum / (double)count : 1.0));
        }
    }
}

static enum weir_status write_old(const struct weir_imatrix_facts *facts, struct writer *writer,
                                  struct weir_err *err)
{
    const uint64_t chunk_tokens = weir_max(facts->chunk_tokens, 1);
    uint32_t there = 0; /* that were reached at all: the form has no other */
    for (uint32_t index = 0; index < facts->sums_count; index++) {
        there += most_count(&facts->sums[index]) > 0;
        if (sum_count(&facts->sums[index]) > INT32_MAX)
            return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                             "tensor %s has %llu columns, and the older form of an importance "
                             "matrix at most %d: write the GGUF form",
                             facts->sums[index].name,
                             (unsigned long long)sum_count(&facts->sums[index]), INT32_MAX);
    }
    put_u32(writer, there);
    for (uint32_t index = 0; index < facts->sums_count && writer->os_errno == 0; index++) {
        const struct weir_imatrix_sums *sums = &facts->sums[index];
        const uint64_t calls = (most_count(sums) + chunk_tokens - 1) / chunk_tokens;
        if (calls == 0)
            continue;
        put_u32(writer, (uint32_t)strlen(sums->name));
        put(writer, sums->name, strlen(sums->name));
        put_u32(writer, (uint32_t)calls);
        put_u32(writer, (uint32_t)sum_count(sums));
        put_means(writer, sums, (double)calls);
    }
    put_u32(writer, facts->chunk_count);
    put_u32(writer, (uint32_t)strlen(facts->text_name));
    put(writer, facts->text_name, strlen(facts->text_name));
    return finish(writer, err);
}

enum weir_status weir_imatrix_write(const struct weir_imatrix_facts *facts, bool is_old, FILE *file,
                                    struct weir_err *err)
{
    struct writer writer = {.file = file};
    return is_old ? write_old(facts, &writer, err) : write_gguf(facts, &writer, err);
}
