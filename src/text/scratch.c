/* scratch.c - arrays that grow while a text is read. */
#include "base/heap.h"
#include "text/text_parts.h"

enum weir_status weir_text_array_reserve(struct weir_text_array *array, size_t count, size_t each,
                                         struct weir_err *err)
{
    if (count <= array->capacity)
        return WEIR_OK;
    const size_t capacity = weir_max(count, weir_max(64, array->capacity + array->capacity / 2));
    uint64_t bytes;
    void *grown = NULL;
    if (weir_checked_mul(capacity, each, &bytes))
        grown = weir_heap_grow(array->at, bytes);
    if (grown == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "text scratch: no room for %zu elements of %zu bytes",
                         capacity, each);
    array->at = grown;
    array->capacity = capacity;
    return WEIR_OK;
}

void weir_text_array_trim(struct weir_text_array *array, size_t each, size_t keep_bytes)
{
    if (array->capacity * each <= keep_bytes)
        return;
    weir_heap_free(array->at);
    *array = (struct weir_text_array){0};
}

enum weir_status weir_text_ids_push(struct weir_text_ids *ids, uint32_t id, struct weir_err *err)
{
    if (ids->count == ids->array.capacity)
        WEIR_TRY(weir_text_array_reserve(&ids->array, ids->count + 1, sizeof(uint32_t), err));
    ((uint32_t *)ids->array.at)[ids->count++] = id;
    return WEIR_OK;
}
