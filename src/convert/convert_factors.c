/* convert_factors.c - factors of codes, one of each matrix and perhaps each in a file of its own,
 * as a tensor of values.
 *
 * They are few, and read while the layout is made. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/heap.h"
#include "convert/laying.h"

/* One behind the other; the layout owns them. */
struct weir_layout_factors {
    struct weir_layout_factors *next;
    struct weir_tensor tensor;
    float values[];
};

static enum weir_status read_value(const struct weir_maker *maker, const struct weir_tensor *tensor,
                                   struct weir_place place, float *value)
{
    uint8_t bytes[sizeof(float)];
    const char *path = weir_manifest_file_path(maker->manifest, place.file);
    const size_t length = weir_quant_info(tensor->type)->block_bytes;
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return WEIR_FAIL_OS(maker->err, errno, "open %s", path);
    const ssize_t found = pread(file, bytes, length, (off_t)place.offset);
    const int why = errno;
    close(file);
    if (found < 0)
        return WEIR_FAIL_OS(maker->err, why, "read %s", path);
    if ((size_t)found < length)
        return WEIR_FAIL(maker->err, WEIR_ERR_IO, "%s was cut off: tensor %s is missing", path,
                         tensor->name);
    weir_quant_decode_row(tensor->type, bytes, value, 1);
    if (tensor->change == WEIR_CHANGE_INVERSE)
        *value = 1.0f / *value;
    return WEIR_OK;
}

enum weir_status weir_factors_read(struct weir_maker *maker, const struct weir_tensor *factor,
                                   uint64_t count, const struct weir_tensor **out)
{
    const uint64_t found = factor->dims[0] * factor->dims[1] * factor->dims[2] * factor->dims[3];
    if (!factor->known || factor->type > WEIR_TYPE_BF16 || found != count)
        return WEIR_FAIL(maker->err, WEIR_ERR_FORMAT,
                         "tensor %s: wanted a factor for each of %llu matrices, found %llu of type "
                         "%s",
                         factor->name, (unsigned long long)count, (unsigned long long)found,
                         factor->type_name);
    struct weir_layout_factors *made =
        weir_heap_alloc(sizeof(*made) + (size_t)count * sizeof(*made->values));
    if (made == NULL)
        return WEIR_FAIL(maker->err, WEIR_ERR_NOMEM, "no memory for %llu factors",
                         (unsigned long long)count);
    made->next = maker->layout->factors;
    maker->layout->factors = made;
    for (uint64_t index = 0; index < count; index++) {
        const uint64_t step = weir_quant_info(factor->type)->block_bytes;
        const struct weir_place place =
            factor->places != NULL
                ? factor->places[index]
                : (struct weir_place){factor->offset + index * step, factor->file};
        WEIR_TRY(read_value(maker, factor, place, &made->values[index]));
    }
    made->tensor = (struct weir_tensor){.name = factor->name,
                                        .n_dim = 1,
                                        .dims = {count, 1, 1, 1},
                                        .ggml_type = WEIR_GGML_NONE,
                                        .type_name = "F32",
                                        .known = true,
                                        .type = WEIR_TYPE_F32,
                                        .values = made->values};
    *out = &made->tensor;
    return WEIR_OK;
}

void weir_factors_free(struct weir_layout *layout)
{
    while (layout->factors != NULL) {
        struct weir_layout_factors *next = layout->factors->next;
        weir_heap_free(layout->factors);
        layout->factors = next;
    }
}
