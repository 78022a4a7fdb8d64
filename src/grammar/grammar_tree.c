/* grammar_tree.c - the arrays of a grammar's tree, and places in its text. */
#include "grammar/grammar_tree.h"

#include <string.h>

#include "base/heap.h"

enum weir_status weir_tree_grow(struct weir_tree *tree, struct weir_tree_array *array,
                                uint32_t count, size_t each)
{
    if (array->capacity - array->count < count) {
        const uint32_t capacity = array->capacity + array->capacity / 2 + count + 64;
        void *items = weir_heap_grow(array->items, capacity * each);
        if (items == NULL)
            return WEIR_FAIL(tree->err, WEIR_ERR_NOMEM, "%s: no memory for the grammar",
                             tree->what);
        array->items = items;
        array->capacity = capacity;
    }
    memset((char *)array->items + array->count * each, 0, count * each);
    array->count += count;
    return WEIR_OK;
}

/* Columns count characters, as editors do. */
struct weir_place_in_text weir_tree_place(const struct weir_tree *tree, size_t offset)
{
    struct weir_place_in_text place = {1, 1};
    for (size_t at = 0; at < offset && at < tree->length; at++) {
        if (tree->text[at] == '\n') {
            place.line++;
            place.column = 1;
        } else if (((uint8_t)tree->text[at] & 0xc0) != 0x80) {
            place.column++;
        }
    }
    return place;
}

void weir_tree_deinit(struct weir_tree *tree)
{
    weir_heap_free(tree->nodes.items);
    weir_heap_free(tree->ranges.items);
    weir_heap_free(tree->bytes.items);
    weir_heap_free(tree->rules.items);
    weir_heap_free(tree->names.items);
}
