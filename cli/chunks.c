/* chunks.c - sums of chunks: kept, written as JSON, read back. */
#include "chunks.h"

#include <string.h>

#include "base/heap.h"

void weir_cli_chunks_hash(struct weir_cli_chunks *chunks, const uint32_t *ids, size_t count)
{
    /* FNV-1a (draft-eastlake-fnv), cut to what a double holds: against mistakes, not against
     * malice. */
    uint64_t hash = chunks->ids ^ 0xcbf29ce484222325u;
    for (size_t at = 0; at < count; at++)
        for (int byte = 0; byte < 4; byte++)
            hash = (hash ^ (ids[at] >> (8 * byte) & 0xff)) * 0x100000001b3u;
    chunks->ids = (hash ^ hash >> 52) & ((1ull << 52) - 1);
}

static void add_to(struct weir_cli_chunk *sum, const struct weir_cli_chunk *chunk)
{
    sum->ids = chunk->ids;
    sum->count += chunk->count;
    sum->bytes += chunk->bytes;
    sum->nll += chunk->nll;
    sum->kl += chunk->kl;
    sum->same_top += chunk->same_top;
    sum->right += chunk->right;
    sum->right_by_length += chunk->right_by_length;
}

/* Each two neighbours become one: the list is full, and even. */
static void join_neighbours(struct weir_cli_chunks *chunks)
{
    chunks->count /= 2;
    chunks->each *= 2;
    for (size_t at = 0; at < chunks->count; at++) {
        chunks->list[at] = chunks->list[2 * at];
        add_to(&chunks->list[at], &chunks->list[2 * at + 1]);
    }
}

static bool make_room(struct weir_cli_chunks *chunks)
{
    if (chunks->count < chunks->capacity)
        return true;
    if (chunks->capacity == WEIR_CLI_CHUNKS_MAX) {
        join_neighbours(chunks);
        return true;
    }
    const size_t capacity = chunks->capacity == 0 ? 32 : 2 * chunks->capacity;
    struct weir_cli_chunk *list = weir_heap_grow(chunks->list, capacity * sizeof(*list));
    if (list == NULL)
        return false;
    chunks->list = list;
    chunks->capacity = capacity;
    return true;
}

bool weir_cli_chunks_add(struct weir_cli_chunks *chunks, const struct weir_cli_chunk *chunk)
{
    struct weir_cli_chunk now = *chunk;
    if (chunks->each == 0)
        chunks->each = 1;
    now.ids = chunks->ids;
    if (chunks->open > 0 && chunks->open < chunks->each) {
        add_to(&chunks->list[chunks->count - 1], &now);
        chunks->open++;
        return true;
    }
    if (!make_room(chunks)) {
        weir_cli_say("no memory for the sums of %zu chunks", chunks->count + 1);
        return false;
    }
    chunks->list[chunks->count++] = now;
    chunks->open = 1;
    return true;
}

void weir_cli_chunks_free(struct weir_cli_chunks *chunks)
{
    weir_heap_free(chunks->list);
    *chunks = (struct weir_cli_chunks){0};
}

/* ---- JSON ---------------------------------------------------------------------------------- */

/* A member that is an array with a number for each entry. */
struct column {
    const char *name;
    size_t offset;
    bool is_real;
    unsigned kinds; /* 1: of a text, 2: of multiple choice */
    bool is_optional;
};
static const struct column columns[] = {
    {"ids", offsetof(struct weir_cli_chunk, ids), false, 3, false},
    {"tokens", offsetof(struct weir_cli_chunk, count), false, 1, false},
    {"questions", offsetof(struct weir_cli_chunk, count), false, 2, false},
    {"bytes", offsetof(struct weir_cli_chunk, bytes), false, 1, false},
    {"nll", offsetof(struct weir_cli_chunk, nll), true, 1, false},
    {"kl", offsetof(struct weir_cli_chunk, kl), true, 1, true},
    {"top1", offsetof(struct weir_cli_chunk, same_top), false, 1, true},
    {"right", offsetof(struct weir_cli_chunk, right), false, 2, false},
    {"right_by_length", offsetof(struct weir_cli_chunk, right_by_length), false, 2, false},
};

static bool has_reference(const struct weir_cli_chunks *chunks)
{
    return chunks->count > 0 && isfinite(chunks->list[0].kl);
}

json_t *weir_cli_chunks_json(const struct weir_cli_chunks *chunks, bool is_choice)
{
    json_t *object = json_object();
    weir_cli_json_count(object, "chunks_each", chunks->each == 0 ? 1 : chunks->each);
    for (size_t index = 0; index < WEIR_COUNT(columns); index++) {
        const struct column *column = &columns[index];
        if ((column->kinds & (is_choice ? 2u : 1u)) == 0)
            continue;
        json_t *array = column->is_optional && !has_reference(chunks) ? json_null() : json_array();
        json_object_set_new(object, column->name, array);
        for (size_t at = 0; json_is_array(array) && at < chunks->count; at++) {
            const char *field = (const char *)&chunks->list[at] + column->offset;
            double real;
            uint64_t whole;
            memcpy(&real, field, sizeof(real));
            memcpy(&whole, field, sizeof(whole));
            json_array_append_new(array, column->is_real ? json_real(real)
                                                         : json_integer((json_int_t)whole));
        }
    }
    return object;
}

static enum weir_status read_column(struct weir_cli_chunks *chunks, const struct column *column,
                                    const json_t *array, struct weir_err *err)
{
    if (json_array_size(array) != chunks->count)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "per_chunk.%s: wanted %zu numbers, found %zu",
                         column->name, chunks->count, json_array_size(array));
    for (size_t at = 0; at < chunks->count; at++) {
        char *field = (char *)&chunks->list[at] + column->offset;
        const json_t *value = json_array_get(array, at);
        const double real = json_number_value(value);
        const uint64_t whole = (uint64_t)json_integer_value(value);
        if (column->is_real ? !json_is_number(value)
                            : !json_is_integer(value) || json_integer_value(value) < 0)
            return WEIR_FAIL(err, WEIR_ERR_FORMAT, "per_chunk.%s: entry %zu is no such number",
                             column->name, at);
        memcpy(field, column->is_real ? (const void *)&real : (const void *)&whole, sizeof(real));
    }
    return WEIR_OK;
}

enum weir_status weir_cli_chunks_read(struct weir_cli_chunks *chunks, const json_t *object,
                                      struct weir_err *err)
{
    const json_t *ids = json_object_get(object, "ids");
    const bool is_choice = json_object_get(object, "questions") != NULL;
    const json_int_t each = json_integer_value(json_object_get(object, "chunks_each"));
    if (json_array_size(ids) < 1 || json_array_size(ids) > WEIR_CLI_CHUNKS_MAX || each < 1)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "per_chunk: wanted sums of 1 to %d chunks, found %zu", WEIR_CLI_CHUNKS_MAX,
                         json_array_size(ids));
    chunks->count = chunks->capacity = json_array_size(ids);
    chunks->each = (uint64_t)each;
    chunks->list = weir_heap_array(chunks->count, sizeof(*chunks->list));
    if (chunks->list == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for the sums of %zu chunks",
                         chunks->count);
    for (size_t at = 0; at < chunks->count; at++)
        chunks->list[at].kl = WEIR_CLI_NONE;
    for (size_t index = 0; index < WEIR_COUNT(columns); index++) {
        const struct column *column = &columns[index];
        const json_t *array = json_object_get(object, column->name);
        if ((column->kinds & (is_choice ? 2u : 1u)) == 0 ||
            (column->is_optional && (array == NULL || json_is_null(array))))
            continue;
        WEIR_TRY(read_column(chunks, column, array, err));
    }
    return WEIR_OK;
}
