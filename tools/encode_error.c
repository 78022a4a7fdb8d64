/* encode_error.c - what a quantized file lost, format by format.
 *
 *   encode_error REFERENCE.gguf QUANTIZED.gguf
 *
 * A line for each number format of the second file: its name, how many values have it, and the root
 * of the squared error over that of the values, which are those that the first file's tensors of
 * the same names decode to. tests/oracle/encode_peer.py compares two makers' files by it.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/heap.h"
#include "formats/formats.h"

struct loss {
    uint64_t values;
    double error, square;
};

/* A file, and a row of it as bytes and as floats. */
struct side {
    const char *path;
    weir_manifest *manifest;
    FILE *file;
    uint8_t *bytes;
    float *values;
};

static _Noreturn void give_up(const char *path, const char *what)
{
    fprintf(stderr, "encode_error: %s: %s\n", path, what);
    exit(1);
}

static void open_side(struct side *side, const char *path)
{
    struct weir_err err = {.status = WEIR_OK};
    uint64_t cols = 0;
    side->path = path;
    if (weir_manifest_open(&side->manifest, path, &err) != WEIR_OK)
        give_up(path, err.text);
    side->file = fopen(path, "rb");
    if (side->file == NULL)
        give_up(path, strerror(errno));
    for (uint32_t at = 0; at < weir_manifest_tensor_count(side->manifest); at++)
        cols = weir_max(cols, weir_manifest_tensor_at(side->manifest, at)->dims[0]);
    side->bytes = weir_heap_array(cols, sizeof(float));
    side->values = weir_heap_array(cols, sizeof(float));
    if (side->bytes == NULL || side->values == NULL)
        give_up(path, "no memory");
}

static void close_side(struct side *side)
{
    weir_heap_free(side->bytes);
    weir_heap_free(side->values);
    fclose(side->file);
    weir_manifest_close(&side->manifest);
}

static void read_row(struct side *side, const struct weir_tensor *tensor, uint64_t row)
{
    const size_t bytes = weir_quant_row_bytes(tensor->type, tensor->dims[0]);
    if (fseeko(side->file, (off_t)(tensor->offset + row * bytes), SEEK_SET) != 0 ||
        fread(side->bytes, 1, bytes, side->file) != bytes)
        give_up(side->path, "cannot be read");
    weir_quant_decode_row(tensor->type, side->bytes, side->values, tensor->dims[0]);
}

static void add_tensor(struct side sides[2], const struct weir_tensor *tensor, struct loss *loss)
{
    const struct weir_tensor *wanted = weir_manifest_tensor(sides[0].manifest, tensor->name);
    if (wanted == NULL || !wanted->known || !tensor->known ||
        memcmp(wanted->dims, tensor->dims, sizeof(wanted->dims)) != 0)
        give_up(sides[1].path, "not the reference's tensors");
    const uint64_t rows = tensor->dims[1] * tensor->dims[2] * tensor->dims[3];
    for (uint64_t row = 0; row < rows; row++) {
        read_row(&sides[0], wanted, row);
        read_row(&sides[1], tensor, row);
        for (uint64_t col = 0; col < tensor->dims[0]; col++) {
            const double value = (double)sides[0].values[col];
            const double miss = (double)sides[1].values[col] - value;
            loss->error += miss * miss;
            loss->square += value * value;
        }
    }
    loss->values += rows * tensor->dims[0];
}

int main(int argc, char **argv)
{
    static struct loss losses[WEIR_TYPE_COUNT];
    struct side sides[2];
    if (argc != 3) {
        fputs("usage: encode_error REFERENCE.gguf QUANTIZED.gguf\n", stderr);
        return 2;
    }
    open_side(&sides[0], argv[1]);
    open_side(&sides[1], argv[2]);
    for (uint32_t at = 0; at < weir_manifest_tensor_count(sides[1].manifest); at++) {
        const struct weir_tensor *tensor = weir_manifest_tensor_at(sides[1].manifest, at);
        add_tensor(sides, tensor, &losses[tensor->type]);
    }
    for (int type = 0; type < WEIR_TYPE_COUNT; type++)
        if (losses[type].values > 0)
            printf("%-8s %12llu %.6f\n", weir_quant_info((enum weir_type)type)->name,
                   (unsigned long long)losses[type].values,
                   sqrt(losses[type].error / losses[type].square));
    close_side(&sides[0]);
    close_side(&sides[1]);
    return 0;
}
