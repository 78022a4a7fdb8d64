/* imatrix_fuzz.c - libFuzzer: any bytes as an importance matrix, of which all is read. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "formats/imatrix.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_BYTES_MAX = 1 << 16 };

static void require(bool is_true)
{
    if (!is_true)
        abort();
}

/* A matrix of an entry, as whoever knows the model would ask for it. */
static void read_matrix(const weir_imatrix *imatrix, const struct weir_imatrix_entry *entry,
                        uint64_t matrix_count, uint64_t matrix)
{
    const uint64_t cols = entry->value_count / matrix_count;
    struct weir_err err = {0};
    double count = -1.0;
    float *values = malloc(cols * sizeof(*values) + 1);
    const enum weir_status status =
        weir_imatrix_read(imatrix, entry->name, cols, matrix_count, matrix, values, &count, &err);
    require(status == WEIR_OK || status == WEIR_ERR_FORMAT);
    require((status == WEIR_OK) == (err.text[0] == '\0'));
    require(status != WEIR_OK || count >= 0.0);
    for (uint64_t col = 0; col < cols && status == WEIR_OK; col++)
        require(values[col] >= 0.0f);
    free(values);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weir_err err = {0};
    weir_imatrix *imatrix = NULL;
    uint64_t chunks = 0;
    uint64_t tokens = 0;
    if (size > INPUT_BYTES_MAX)
        return 0;
    if (weir_imatrix_parse(&imatrix, data, size, &err) != WEIR_OK) {
        require(imatrix == NULL && err.text[0] != '\0');
        return 0;
    }
    weir_imatrix_chunks(imatrix, &chunks, &tokens);
    require(weir_imatrix_entry_count(imatrix) > 0);
    for (uint32_t index = 0; index < weir_imatrix_entry_count(imatrix); index++) {
        const struct weir_imatrix_entry *entry = weir_imatrix_entry_at(imatrix, index);
        require(weir_imatrix_has(imatrix, entry->name));
        require(entry->value_count <= size / sizeof(float));
        require(entry->value_count % entry->count_count == 0);
        read_matrix(imatrix, entry, entry->count_count, 0);
        read_matrix(imatrix, entry, entry->count_count, entry->count_count - 1);
        read_matrix(imatrix, entry, 2, 1);
    }
    weir_imatrix_close(&imatrix);
    return 0;
}
