/* trace_fuzz.c - libFuzzer: any bytes as a routing trace, replayed and drawn when they are one. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../cli/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Work of a replay that a fuzzer has time for, and every how many inputs are also drawn. */
enum { WORK_MAX = 1 << 18, DRAWN_EACH = 16 };

static void require(bool is_true)
{
    if (!is_true)
        abort();
}

/* The ids of a token's layer are distinct, ascending, in range, and followed by none. */
static void check_ids(const struct weir_trace *trace)
{
    const size_t rows = (size_t)trace->n_token * trace->n_layer;
    for (size_t row = 0; row < rows; row++) {
        const uint16_t *ids = trace->experts + row * trace->n_expert_used;
        for (uint32_t rank = 0; rank < trace->n_expert_used; rank++) {
            require(ids[rank] < trace->n_expert || ids[rank] == WEIR_EXPERT_NONE);
            require(rank == 0 || ids[rank - 1] < ids[rank] || ids[rank] == WEIR_EXPERT_NONE);
        }
    }
}

static void replay(const struct weir_trace *trace)
{
    for (uint32_t index = 0; weir_policy_name(index) != NULL; index++) {
        const struct weir_replay_config config = {
            .policy = weir_policy_name(index), .expert_share = 0.3, .warm_share = 1.0 / 3.0};
        struct weir_replay_result result;
        struct weir_err err = {0};
        const enum weir_status status =
            weir_trace_replay(trace, &config, &result, NULL, NULL, &err);
        require(status == WEIR_ERR_ARG || (status == WEIR_OK && result.hits <= result.uses));
        require(status == WEIR_OK || err.text[0] != '\0');
    }
}

static void draw(const struct weir_cli_trace *trace)
{
    const struct weir_replay_config config = {.policy = "lru", .expert_share = 0.3};
    struct weir_cli_picture picture = {.source = trace, .policy = "lru", .fraction = 0.3};
    char *text = NULL;
    size_t length = 0;
    FILE *file = open_memstream(&text, &length);
    require(file != NULL && weir_cli_picture_open(&picture, NULL) == WEIR_OK);
    require(weir_trace_replay(&trace->trace, &config, &picture.result, weir_cli_picture_take,
                              &picture, NULL) == WEIR_OK);
    weir_cli_picture_draw(&picture, file);
    require(fclose(file) == 0 && length < (16u << 20));
    free(text);
    weir_cli_picture_close(&picture);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weir_cli_trace trace;
    struct weir_err err = {0};
    uint64_t line_number = 0;
    if (size == 0) /* which fmemopen does not take */
        return 0;
    FILE *file = fmemopen((void *)(uintptr_t)data, size, "r");
    require(file != NULL);
    const enum weir_status status = weir_cli_trace_parse(&trace, file, &line_number, &err);
    fclose(file);
    require(line_number > 0 && (status == WEIR_OK) == (trace.experts != NULL));
    if (status != WEIR_OK) {
        require(status == err.status && err.text[0] != '\0');
        return 0;
    }
    trace.path = "fuzz";
    check_ids(&trace.trace);
    if ((uint64_t)trace.trace.n_token * trace.trace.n_layer * trace.trace.n_expert < WORK_MAX) {
        replay(&trace.trace);
        if (size % DRAWN_EACH == 0)
            draw(&trace);
    }
    weir_cli_trace_free(&trace);
    return 0;
}
