/* reference_fuzz.c - libFuzzer: any bytes as the file of a reference run, read and compared. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../cli/reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { VOCAB_MAX = 4096, CTX_MAX = 4096 };

static void require(bool is_true)
{
    if (!is_true)
        abort();
}

static void read_chunk(struct weir_cli_reference *reference, uint32_t chunk)
{
    static uint32_t ids[CTX_MAX];
    static float logits[VOCAB_MAX];
    const struct weir_cli_reference_head *head = &reference->head;
    struct weir_cli_softmax softmax;
    struct weir_err err = {0};
    for (uint32_t id = 0; id < head->n_vocab; id++)
        logits[id] = (float)(id % 7);
    weir_cli_softmax_take(&softmax, logits, head->n_vocab);
    if (weir_cli_reference_ids(reference, chunk, ids, &err) != WEIR_OK) {
        require(err.text[0] != '\0');
        return;
    }
    for (uint32_t position = head->scored_from; position + 1 < head->n_ctx; position++) {
        require(ids[position + 1] < head->n_vocab);
        if (weir_cli_reference_row(reference, chunk, position, ids[position + 1], &err) !=
            WEIR_OK) {
            require(err.text[0] != '\0');
            return;
        }
        require(reference->row.top < head->n_vocab);
        require(
            isfinite(weir_cli_row_divergence(&reference->row, logits, head->n_vocab, &softmax)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weir_cli_reference reference;
    struct weir_err err = {0};
    if (size == 0) /* which fmemopen does not take */
        return 0;
    FILE *file = fmemopen((void *)(uintptr_t)data, size, "r");
    require(file != NULL);
    if (weir_cli_reference_parse(&reference, file, &err) != WEIR_OK) {
        require(err.status != WEIR_OK && err.text[0] != '\0');
        fclose(file);
        return 0;
    }
    for (uint32_t chunk = 0; chunk < reference.head.chunk_count; chunk++)
        if (reference.head.n_vocab <= VOCAB_MAX && reference.head.n_ctx <= CTX_MAX)
            read_chunk(&reference, chunk);
    weir_cli_reference_close(&reference);
    return 0;
}
