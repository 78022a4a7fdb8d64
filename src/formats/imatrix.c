/* imatrix.c - importance matrices: where a file has each tensor's values, and reading them.
 *
 * The GGUF form has two tensors for a tensor NAME, NAME.in_sum2 [cols * matrices] and NAME.counts
 * [1 or matrices], both f32. The older form is i32 count, then for each tensor i32 length, name,
 * i32 calls, i32 values, f32 [values] that are means times calls; then perhaps i32 pieces of text,
 * i32 length and the text's name.
 *
 * I1  What an item says lies in the file: all places and lengths are checked when it is opened. */
#include "formats/imatrix.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "base/heap.h"
#include "formats/manifest_internal.h"

#define SUMS ".in_sum2"
#define COUNTS ".counts"

struct item {
    struct weir_imatrix_entry entry; /* its name is set when all names are there */
    size_t name_at;
    uint64_t sums_at, counts_at; /* counts_at 0: the older form, and */
    double calls;                /* all were counted so often */
};

struct weir_imatrix {
    struct gguf_source source; /* the open file, or a copy of its bytes */
    char *path;
    struct item *items;
    uint32_t item_count;
    char *names;
    size_t name_bytes;
    struct name_index index;
    uint64_t chunk_count, chunk_tokens;
};

/* ---- bytes --------------------------------------------------------------------------------- */

/* Bytes [at, at + count) of the file; what names them in messages. */
static enum weir_status read_bytes(const weir_imatrix *imatrix, uint64_t at, void *out,
                                   uint64_t count, const char *what, struct weir_err *err)
{
    const struct gguf_source *source = &imatrix->source;
    uint64_t end = 0;
    if (!weir_checked_add(at, count, &end) || end > source->file_bytes)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "%s is cut off in %s: wanted %llu bytes from %llu on, the file has %llu",
                         source->name, what, (unsigned long long)count, (unsigned long long)at,
                         (unsigned long long)source->file_bytes);
    if (source->fd < 0) {
        memcpy(out, source->bytes + at, count);
        return WEIR_OK;
    }
    for (uint64_t done = 0; done < count;) {
        const ssize_t found =
            pread(source->fd, (char *)out + done, count - done, (off_t)(at + done));
        if (found < 0 && errno == EINTR)
            continue;
        if (found < 0)
            return WEIR_FAIL_OS(err, errno, "read %s at byte %llu", source->name,
                                (unsigned long long)(at + done));
        if (found == 0)
            return WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s shrank while it was read", source->name);
        done += (uint64_t)found;
    }
    return WEIR_OK;
}

static enum weir_status read_i32(const weir_imatrix *imatrix, uint64_t *at, int32_t *out,
                                 const char *what, struct weir_err *err)
{
    WEIR_TRY(read_bytes(imatrix, *at, out, sizeof(*out), what, err));
    *at += sizeof(*out);
    return WEIR_OK;
}

/* ---- the index ----------------------------------------------------------------------------- */

static const char *item_name(const void *owner, uint32_t index)
{
    return ((const weir_imatrix *)owner)->items[index].entry.name;
}

/* Room for one more item's name of `length` bytes; it is item_count's. */
static char *grow_names(weir_imatrix *imatrix, size_t length)
{
    char *names = weir_heap_grow(imatrix->names, imatrix->name_bytes + length + 1);
    if (names == NULL)
        return NULL;
    imatrix->names = names;
    imatrix->items[imatrix->item_count].name_at = imatrix->name_bytes;
    char *name = names + imatrix->name_bytes;
    name[length] = '\0';
    imatrix->name_bytes += length + 1;
    return name;
}

static enum weir_status refuse_memory(const weir_imatrix *imatrix, struct weir_err *err)
{
    return WEIR_FAIL(err, WEIR_ERR_NOMEM, "%s: no memory for its index", imatrix->source.name);
}

/* The names stand still from here on. */
static enum weir_status index_items(weir_imatrix *imatrix, struct weir_err *err)
{
    if (imatrix->item_count == 0)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "%s has no importance of any tensor: wanted tensors "
                         "NAME" SUMS " and NAME" COUNTS,
                         imatrix->source.name);
    if (weir_names_init(&imatrix->index, imatrix->item_count, imatrix, item_name) != WEIR_OK)
        return refuse_memory(imatrix, err);
    for (uint32_t index = 0; index < imatrix->item_count; index++) {
        struct item *item = &imatrix->items[index];
        item->entry.name = imatrix->names + item->name_at;
    }
    for (uint32_t index = 0; index < imatrix->item_count; index++)
        if (weir_names_put(&imatrix->index, index) != UINT32_MAX)
            return WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s: tensor %s is there twice",
                             imatrix->source.name, item_name(imatrix, index));
    return WEIR_OK;
}

static enum weir_status allocate_items(weir_imatrix *imatrix, uint64_t count, struct weir_err *err)
{
    if (count > WEIR_IMATRIX_ENTRY_MAX)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s: wanted at most %d tensors, found %llu",
                         imatrix->source.name, WEIR_IMATRIX_ENTRY_MAX, (unsigned long long)count);
    imatrix->items = weir_heap_array(count, sizeof(*imatrix->items));
    return imatrix->items == NULL ? refuse_memory(imatrix, err) : WEIR_OK;
}

/* ---- the GGUF form ------------------------------------------------------------------------- */

static uint64_t value_count(const struct weir_tensor *tensor)
{
    return tensor->bytes / sizeof(float);
}

static enum weir_status check_pair(const weir_imatrix *imatrix, const struct weir_tensor *sums,
                                   const struct weir_tensor *counts, struct weir_err *err)
{
    const struct weir_tensor *const both[] = {sums, counts};
    if (counts == NULL)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s: tensor %s has no " COUNTS " beside it",
                         imatrix->source.name, sums->name);
    for (size_t at = 0; at < WEIR_COUNT(both); at++)
        if (!both[at]->known || both[at]->type != WEIR_TYPE_F32 || both[at]->bytes == 0)
            return WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s: tensor %s: wanted F32, found %s",
                             imatrix->source.name, both[at]->name, both[at]->type_name);
    if (value_count(sums) % value_count(counts) == 0)
        return WEIR_OK;
    return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                     "%s: tensor %s: wanted a multiple of its %llu counts, found %llu values",
                     imatrix->source.name, sums->name, (unsigned long long)value_count(counts),
                     (unsigned long long)value_count(sums));
}

/* The tensor, if it has sums, and what is beside it. */
static enum weir_status take_pair(weir_imatrix *imatrix, const weir_manifest *manifest,
                                  const struct weir_tensor *sums, struct weir_err *err)
{
    char name[WEIR_NAME_MAX + sizeof(COUNTS)];
    const size_t length = strlen(sums->name);
    if (length < sizeof(SUMS) || strcmp(sums->name + length - (sizeof(SUMS) - 1), SUMS) != 0)
        return WEIR_OK;
    const size_t stem = length - (sizeof(SUMS) - 1);
    memcpy(name, sums->name, stem);
    memcpy(name + stem, COUNTS, sizeof(COUNTS));
    const struct weir_tensor *counts = weir_manifest_tensor(manifest, name);
    WEIR_TRY(check_pair(imatrix, sums, counts, err));
    char *kept = grow_names(imatrix, stem);
    if (kept == NULL)
        return refuse_memory(imatrix, err);
    memcpy(kept, name, stem);
    struct item *item = &imatrix->items[imatrix->item_count++];
    item->entry.value_count = value_count(sums);
    item->entry.count_count = value_count(counts);
    item->sums_at = sums->offset;
    item->counts_at = counts->offset;
    return WEIR_OK;
}

static enum weir_status take_manifest(weir_imatrix *imatrix, const weir_manifest *manifest,
                                      struct weir_err *err)
{
    const uint32_t count = weir_manifest_tensor_count(manifest);
    const char *kind = weir_manifest_text(manifest, "general.type");
    if (kind == NULL || strcmp(kind, "imatrix") != 0)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "%s is a GGUF file and no importance matrix: wanted general.type "
                         "\"imatrix\", found %s (weir imatrix makes one)",
                         imatrix->source.name, kind == NULL ? "none" : kind);
    weir_manifest_u64(manifest, "imatrix.chunk_count", &imatrix->chunk_count);
    weir_manifest_u64(manifest, "imatrix.chunk_size", &imatrix->chunk_tokens);
    WEIR_TRY(allocate_items(imatrix, count, err));
    for (uint32_t index = 0; index < count; index++)
        WEIR_TRY(take_pair(imatrix, manifest, weir_manifest_tensor_at(manifest, index), err));
    return index_items(imatrix, err);
}

/* ---- the older form ------------------------------------------------------------------------ */

/* Of one entry, from *at on. */
static enum weir_status take_entry(weir_imatrix *imatrix, uint64_t *at, struct weir_err *err)
{
    struct item *item = &imatrix->items[imatrix->item_count];
    const char *file = imatrix->source.name;
    int32_t length = 0;
    int32_t calls = 0;
    int32_t values = 0;
    WEIR_TRY(read_i32(imatrix, at, &length, "the length of a name", err));
    if (length < 1 || length > WEIR_NAME_MAX)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "%s is no importance matrix: wanted GGUF, or a name of 1 to %d bytes at "
                         "byte %llu, found %d",
                         file, WEIR_NAME_MAX, (unsigned long long)(*at - sizeof(length)), length);
    char *name = grow_names(imatrix, (size_t)length);
    if (name == NULL)
        return refuse_memory(imatrix, err);
    WEIR_TRY(read_bytes(imatrix, *at, name, (uint64_t)length, "a tensor's name", err));
    *at += (uint64_t)length;
    if (memchr(name, '\0', (size_t)length) != NULL)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s: a tensor's name has a NUL in it", file);
    WEIR_TRY(read_i32(imatrix, at, &calls, "a tensor's calls", err));
    WEIR_TRY(read_i32(imatrix, at, &values, "a tensor's number of values", err));
    if (calls < 0 || values < 1)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "%s: tensor %s: wanted calls from 0 and values from 1 on, found %d and %d",
                         file, name, calls, values);
    const uint64_t bytes = (uint64_t)values * sizeof(float);
    if (bytes > imatrix->source.file_bytes - *at)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "%s is cut off in tensor %s: wanted %llu bytes from %llu on, the file has "
                         "%llu",
                         file, name, (unsigned long long)bytes, (unsigned long long)*at,
                         (unsigned long long)imatrix->source.file_bytes);
    item->entry.value_count = (uint64_t)values;
    item->entry.count_count = 1;
    item->sums_at = *at;
    item->calls = calls;
    *at += bytes;
    imatrix->item_count++;
    return WEIR_OK;
}

static enum weir_status take_old(weir_imatrix *imatrix, struct weir_err *err)
{
    enum { ENTRY_BYTES_MIN = 17 };
    uint64_t at = 0;
    int32_t count = 0;
    int32_t pieces = 0;
    WEIR_TRY(read_i32(imatrix, &at, &count, "its number of tensors", err));
    if (count < 1 || (uint64_t)count > imatrix->source.file_bytes / ENTRY_BYTES_MIN)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "%s is no importance matrix: wanted GGUF, or a number of tensors, found "
                         "%d for %llu bytes",
                         imatrix->source.name, count,
                         (unsigned long long)imatrix->source.file_bytes);
    WEIR_TRY(allocate_items(imatrix, (uint64_t)count, err));
    while (imatrix->item_count < (uint32_t)count)
        WEIR_TRY(take_entry(imatrix, &at, err));
    if (at < imatrix->source.file_bytes) {
        WEIR_TRY(read_i32(imatrix, &at, &pieces, "its number of pieces of text", err));
        imatrix->chunk_count = pieces < 0 ? 0 : (uint64_t)pieces;
    }
    return index_items(imatrix, err);
}

/* ---- open ---------------------------------------------------------------------------------- */

static enum weir_status is_gguf(const weir_imatrix *imatrix, bool *out, struct weir_err *err)
{
    char magic[4];
    WEIR_TRY(read_bytes(imatrix, 0, magic, sizeof(magic), "its first bytes", err));
    *out = memcmp(magic, "GGUF", sizeof(magic)) == 0;
    return WEIR_OK;
}

static enum weir_status open_path(weir_imatrix *imatrix, const char *path, struct weir_err *err)
{
    bool has_manifest = false;
    weir_manifest *manifest = NULL;
    imatrix->path = weir_heap_text(path);
    if (imatrix->path == NULL)
        return refuse_memory(imatrix, err);
    imatrix->source.name = imatrix->path;
    WEIR_TRY(weir_gguf_source_open(&imatrix->source, err));
    WEIR_TRY(is_gguf(imatrix, &has_manifest, err));
    if (!has_manifest)
        return take_old(imatrix, err);
    WEIR_TRY(weir_manifest_open_one(&manifest, path, err));
    const enum weir_status status = take_manifest(imatrix, manifest, err);
    weir_manifest_close(&manifest);
    return status;
}

enum weir_status weir_imatrix_open(weir_imatrix **out, const char *path, struct weir_err *err)
{
    weir_imatrix *imatrix = weir_heap_alloc(sizeof(*imatrix));
    if (imatrix == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for an importance matrix");
    imatrix->source = (struct gguf_source){.fd = -1, .name = path};
    const enum weir_status status = open_path(imatrix, path, err);
    if (status == WEIR_OK)
        *out = imatrix;
    else
        weir_imatrix_close(&imatrix);
    return status;
}

static enum weir_status parse_bytes(weir_imatrix *imatrix, const void *bytes, size_t length,
                                    struct weir_err *err)
{
    bool has_manifest = false;
    weir_manifest *manifest = NULL;
    imatrix->source.bytes = weir_heap_alloc(length);
    if (imatrix->source.bytes == NULL)
        return refuse_memory(imatrix, err);
    if (length > 0) /* bytes may then be NULL */
        memcpy(imatrix->source.bytes, bytes, length);
    imatrix->source.file_bytes = length;
    WEIR_TRY(is_gguf(imatrix, &has_manifest, err));
    if (!has_manifest)
        return take_old(imatrix, err);
    WEIR_TRY(weir_manifest_parse(&manifest, bytes, length, length, err));
    const enum weir_status status = take_manifest(imatrix, manifest, err);
    weir_manifest_close(&manifest);
    return status;
}

enum weir_status weir_imatrix_parse(weir_imatrix **out, const void *bytes, size_t length,
                                    struct weir_err *err)
{
    weir_imatrix *imatrix = weir_heap_alloc(sizeof(*imatrix));
    if (imatrix == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for an importance matrix");
    imatrix->source = (struct gguf_source){.fd = -1, .name = "(memory)"};
    const enum weir_status status = parse_bytes(imatrix, bytes, length, err);
    if (status == WEIR_OK)
        *out = imatrix;
    else
        weir_imatrix_close(&imatrix);
    return status;
}

void weir_imatrix_close(weir_imatrix **imatrix)
{
    weir_imatrix *closing = *imatrix;
    if (closing == NULL)
        return;
    weir_gguf_source_close(&closing->source);
    weir_heap_free(closing->path);
    weir_heap_free(closing->items);
    weir_heap_free(closing->names);
    weir_heap_free(closing->index.places);
    weir_heap_free(closing);
    *imatrix = NULL;
}

/* ---- asking -------------------------------------------------------------------------------- */

uint32_t weir_imatrix_entry_count(const weir_imatrix *imatrix)
{
    return imatrix->item_count;
}

const struct weir_imatrix_entry *weir_imatrix_entry_at(const weir_imatrix *imatrix, uint32_t index)
{
    return &imatrix->items[index].entry;
}

bool weir_imatrix_has(const weir_imatrix *imatrix, const char *name)
{
    return weir_names_find(&imatrix->index, name) != UINT32_MAX;
}

void weir_imatrix_chunks(const weir_imatrix *imatrix, uint64_t *count, uint64_t *tokens)
{
    *count = imatrix->chunk_count;
    *tokens = imatrix->chunk_tokens;
}

/* The item of a tensor of that size. */
static enum weir_status find_item(const weir_imatrix *imatrix, const char *tensor, uint64_t cols,
                                  uint64_t matrix_count, const struct item **out,
                                  struct weir_err *err)
{
    const uint32_t index = weir_names_find(&imatrix->index, tensor);
    uint64_t wanted = 0;
    if (index == UINT32_MAX)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s has no importance of tensor %s",
                         imatrix->source.name, tensor);
    const struct weir_imatrix_entry *entry = &imatrix->items[index].entry;
    if (!weir_checked_mul(cols, matrix_count, &wanted) || entry->value_count != wanted ||
        (entry->count_count != 1 && entry->count_count != matrix_count))
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "%s: tensor %s: wanted %llu values of %llu matrices, found %llu and %llu "
                         "counts: it is another model's",
                         imatrix->source.name, tensor, (unsigned long long)wanted,
                         (unsigned long long)matrix_count, (unsigned long long)entry->value_count,
                         (unsigned long long)entry->count_count);
    *out = &imatrix->items[index];
    return WEIR_OK;
}

/* Sums become means. */
static enum weir_status divide(const weir_imatrix *imatrix, const char *tensor, uint64_t cols,
                               double count, float *values, struct weir_err *err)
{
    for (uint64_t col = 0; col < cols; col++) {
        if (!isfinite(values[col]) || values[col] < 0.0f)
            return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                             "%s: tensor %s: wanted sums of squares, found %g in column %llu",
                             imatrix->source.name, tensor, (double)values[col],
                             (unsigned long long)col);
        values[col] = count > 0.0 ? (float)((double)values[col] / count) : 1.0f;
    }
    return WEIR_OK;
}

enum weir_status weir_imatrix_read(const weir_imatrix *imatrix, const char *tensor, uint64_t cols,
                                   uint64_t matrix_count, uint64_t matrix, float *values,
                                   double *count, struct weir_err *err)
{
    const struct item *item = NULL;
    WEIR_ASSERT(matrix < matrix_count);
    WEIR_TRY(find_item(imatrix, tensor, cols, matrix_count, &item, err));
    double found = item->calls;
    if (item->counts_at != 0) {
        float one = 0.0f;
        const uint64_t at = item->entry.count_count == 1 ? 0 : matrix;
        WEIR_TRY(read_bytes(imatrix, item->counts_at + at * sizeof(one), &one, sizeof(one), tensor,
                            err));
        found = (double)one;
    }
    if (!isfinite(found) || found < 0.0)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s: tensor %s: wanted a count of rows, found %g",
                         imatrix->source.name, tensor, found);
    WEIR_TRY(read_bytes(imatrix, item->sums_at + matrix * cols * sizeof(*values), values,
                        cols * sizeof(*values), tensor, err));
    WEIR_TRY(divide(imatrix, tensor, cols, found, values, err));
    if (count != NULL)
        *count = found;
    return WEIR_OK;
}
