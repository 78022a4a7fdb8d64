/* kv_error.c - what packing keys and values takes from attention's output, on a real text.
 *
 *   build/release/bench/kv_error MODEL.gguf TEXT [POSITIONS]
 *   prints for 4 and 2 bits {"bits":B,"of":"keys"|"values","per_channel":E,"per_token":E,"ratio":R}
 *
 * The first POSITIONS tokens of TEXT (a multiple of 32; 512) go through the model with f16. Of each
 * layer and head the last QUERIES queries are then computed again in double over its keys and
 * values, once with all keys packed in groups of 32, once with all values: groups along positions
 * are "per_channel", groups along channels "per_token". An error is |out - exact| / |exact|, the
 * mean over queries, heads and layers; ratio is the larger over the smaller.
 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "engine/engine_internal.h"
/* Its struct has the name of an enum of weir.h. */
#define weir_lookahead weir_lookahead_of_model
#include "model/model_internal.h"
#undef weir_lookahead

enum { QUERIES = 8, POSITIONS = 512, POSITIONS_MAX = 8192, WIDTH_MAX = 256, TEXT_MAX = 1 << 18 };

struct rig {
    weir_engine *engine;
    weir_session *session;
    uint32_t n_position;
    uint32_t layer; /* the next one that begins */
    float *queries; /* [n_layer][QUERIES][n_head][WIDTH_MAX] of the last rows */
    float *keys[2]; /* [n_position][WIDTH_MAX], as they are and packed */
    float *values[2];
    uint8_t *tiles;
};

static float *queries_of(const struct rig *rig, uint32_t layer, uint32_t query, uint32_t head)
{
    const uint32_t n_head = rig->engine->blueprint.model->shape.n_head;
    return rig->queries + (((size_t)layer * QUERIES + query) * n_head + head) * WIDTH_MAX;
}

/* The last rows of the step that the layer before this one has computed. */
static void take_queries(struct rig *rig, uint32_t layer)
{
    const struct weir_forward *forward = rig->engine->forward;
    const struct weir_mixer *mixer = &forward->config.model->layers[layer].mixer;
    const uint32_t stride = mixer->gate_is_in_q ? mixer->d_head + mixer->d_value : mixer->d_head;
    for (uint32_t query = 0; query < QUERIES && query < forward->step.n_row; query++)
        for (uint32_t head = 0; head < mixer->n_head; head++) {
            const size_t row = forward->step.n_row - 1 - query;
            memcpy(queries_of(rig, layer, query, head),
                   forward->attention.q + (row * mixer->n_head + head) * stride,
                   mixer->d_head * sizeof(float));
        }
}

/* A weir_forward_layer_fn. */
static void see_layer(void *user)
{
    struct rig *rig = user;
    const uint32_t n_layer = rig->engine->blueprint.model->shape.n_layer;
    if (rig->layer > 0)
        take_queries(rig, rig->layer - 1);
    rig->layer = (rig->layer + 1) % n_layer;
}

static const uint8_t *rows_of(const struct rig *rig, uint32_t layer, bool is_v, uint32_t kv_head,
                              uint32_t position)
{
    const struct weir_mixer *mixer = &rig->engine->blueprint.model->layers[layer].mixer;
    const struct weir_state_view view = weir_state_view_get(rig->engine->state, layer);
    const uint32_t page = weir_sequence_pages(rig->session->sequence)[position / view.page_length];
    const size_t width = is_v ? mixer->d_value : mixer->d_head;
    const size_t before =
        is_v ? (size_t)mixer->n_kv_head * mixer->d_head + kv_head * width : kv_head * width;
    return view.base + view.at_bytes + page * view.stride_bytes +
           (before * view.page_length + position % view.page_length * width) * sizeof(uint16_t);
}

/* A head's keys or values as floats, and what they are packed along positions or channels. */
static void load(const struct rig *rig, uint32_t layer, bool is_v, uint32_t kv_head,
                 enum weir_kv kv, bool by_channel, float *exact, float *packed)
{
    const struct weir_mixer *mixer = &rig->engine->blueprint.model->layers[layer].mixer;
    const size_t width = is_v ? mixer->d_value : mixer->d_head;
    const size_t block_bytes = WEIR_TILE * weir_kv_row_bytes(kv, WEIR_TILE);
    for (uint32_t first = 0; first < rig->n_position; first += WEIR_TILE) {
        const uint8_t *rows = rows_of(rig, layer, is_v, kv_head, first);
        (by_channel ? weir_kv_pack_keys : weir_kv_pack_values)(kv, rows, width * sizeof(uint16_t),
                                                               width, rig->tiles);
        for (uint32_t lane = 0; lane < WEIR_TILE; lane++) {
            const size_t at = (size_t)(first + lane) * WIDTH_MAX;
            weir_kv_load_row(WEIR_KV_F16, rows + lane * width * sizeof(uint16_t), exact + at,
                             width);
            for (size_t i = 0; i < width; i++)
                packed[at + i] = by_channel
                                     ? weir_tile_value(kv, rig->tiles, width, lane, i)
                                     : weir_tile_value(kv, rig->tiles + i / WEIR_TILE * block_bytes,
                                                       WEIR_TILE, i % WEIR_TILE, lane);
        }
    }
}

static void attend(const struct weir_mixer *mixer, const float *q, const float *keys,
                   const float *values, uint32_t count, double *out)
{
    static double scores[POSITIONS_MAX];
    double most = -HUGE_VAL;
    double total = 0.0;
    for (uint32_t p = 0; p < count; p++) {
        scores[p] = 0.0;
        for (uint32_t i = 0; i < mixer->d_head; i++)
            scores[p] += (double)q[i] * (double)keys[(size_t)p * WIDTH_MAX + i];
        scores[p] *= (double)mixer->scale;
        most = fmax(most, scores[p]);
    }
    memset(out, 0, mixer->d_value * sizeof(*out));
    for (uint32_t p = 0; p < count; p++)
        total += scores[p] = exp(scores[p] - most);
    for (uint32_t p = 0; p < count; p++)
        for (uint32_t i = 0; i < mixer->d_value; i++)
            out[i] += scores[p] / total * (double)values[(size_t)p * WIDTH_MAX + i];
}

/* The mean error of all layers, heads and queries. */
static double measure(struct rig *rig, enum weir_kv kv, bool is_v, bool by_channel)
{
    const struct weir_model *model = rig->engine->blueprint.model;
    double exact[WIDTH_MAX];
    double found[WIDTH_MAX];
    double sum = 0.0;
    uint64_t count = 0;
    for (uint32_t layer = 0; layer < model->shape.n_layer; layer++) {
        const struct weir_mixer *mixer = &model->layers[layer].mixer;
        for (uint32_t head = 0; head < mixer->n_head; head++) {
            const uint32_t kv_head = head / (mixer->n_head / mixer->n_kv_head);
            load(rig, layer, false, kv_head, kv, by_channel, rig->keys[0], rig->keys[1]);
            load(rig, layer, true, kv_head, kv, by_channel, rig->values[0], rig->values[1]);
            for (uint32_t query = 0; query < QUERIES; query++) {
                const float *q = queries_of(rig, layer, query, head);
                double off = 0.0;
                double all = 0.0;
                attend(mixer, q, rig->keys[0], rig->values[0], rig->n_position - query, exact);
                attend(mixer, q, rig->keys[!is_v], rig->values[is_v], rig->n_position - query,
                       found);
                for (uint32_t i = 0; i < mixer->d_value; i++) {
                    off += (found[i] - exact[i]) * (found[i] - exact[i]);
                    all += exact[i] * exact[i];
                }
                sum += sqrt(off / all);
                count++;
            }
        }
    }
    return sum / (double)count;
}

static enum weir_status check_model(const struct weir_model *model, struct weir_err *err)
{
    for (uint32_t layer = 0; layer < model->shape.n_layer; layer++) {
        const struct weir_mixer *mixer = &model->layers[layer].mixer;
        if (mixer->kind != WEIR_MIXER_ATTENTION || mixer->borrows || mixer->window > 0 ||
            mixer->softcap != 0.0f || mixer->d_head > WIDTH_MAX || mixer->d_value > WIDTH_MAX)
            return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                             "wanted plain attention over all positions with heads of at most %d "
                             "values, layer %u has another mixer",
                             WIDTH_MAX, layer);
    }
    return weir_model_kv_check(model, WEIR_KV_KIVI2, err);
}

static enum weir_status read_text(struct rig *rig, const char *path, struct weir_err *err)
{
    static char text[TEXT_MAX];
    uint32_t *ids = NULL;
    size_t count = 0;
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return WEIR_FAIL_OS(err, errno, "open %s", path);
    const size_t length = fread(text, 1, sizeof(text), file);
    fclose(file);
    WEIR_TRY(weir_tokenizer_encode(weir_engine_tokenizer(rig->engine), text, length, 0, &ids,
                                   &count, err));
    const enum weir_status status =
        count < rig->n_position
            ? WEIR_FAIL(err, WEIR_ERR_ARG, "%s: wanted %u tokens, found %zu", path, rig->n_position,
                        count)
            : weir_session_eval(rig->session, ids, rig->n_position, NULL, NULL, err);
    weir_ids_free(&ids);
    return status;
}

static enum weir_status run(struct rig *rig, const char *model_path, const char *text_path,
                            struct weir_err *err)
{
    const struct weir_config config = {
        .model_path = model_path, .n_ctx = rig->n_position, .gpu = WEIR_ENGINE_GPU_OFF};
    const size_t values = (size_t)rig->n_position * WIDTH_MAX;
    WEIR_TRY(weir_engine_open(&rig->engine, &config, err));
    const struct weir_shape *shape = &rig->engine->blueprint.model->shape;
    WEIR_TRY(check_model(rig->engine->blueprint.model, err));
    WEIR_TRY(weir_session_create(&rig->session, rig->engine, err));
    rig->queries = weir_heap_array((size_t)shape->n_layer * QUERIES * shape->n_head * WIDTH_MAX,
                                   sizeof(float));
    rig->tiles = weir_heap_array(WEIR_TILE * WIDTH_MAX, 1);
    for (int at = 0; at < 2; at++) {
        rig->keys[at] = weir_heap_array(values, sizeof(float));
        rig->values[at] = weir_heap_array(values, sizeof(float));
        if (rig->keys[at] == NULL || rig->values[at] == NULL)
            return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for %zu values", values);
    }
    if (rig->queries == NULL || rig->tiles == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for queries");
    rig->engine->forward->config.before_layer = see_layer;
    rig->engine->forward->config.before_layer_user = rig;
    WEIR_TRY(read_text(rig, text_path, err));
    take_queries(rig, shape->n_layer - 1);
    for (int kv = WEIR_KV_KIVI4; kv <= WEIR_KV_KIVI2; kv++)
        for (int is_v = 0; is_v < 2; is_v++) {
            const double channel = measure(rig, (enum weir_kv)kv, is_v, true);
            const double token = measure(rig, (enum weir_kv)kv, is_v, false);
            printf("{\"bits\": %u, \"of\": \"%s\", \"per_channel\": %.4f, \"per_token\": %.4f, "
                   "\"ratio\": %.2f}\n",
                   weir_kv_info((enum weir_kv)kv)->bits, is_v ? "values" : "keys", channel, token,
                   fmax(channel, token) / fmin(channel, token));
        }
    return WEIR_OK;
}

int main(int argc, char **argv)
{
    struct rig rig = {.n_position = POSITIONS};
    struct weir_err err = {0};
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: kv_error MODEL.gguf TEXT [POSITIONS]\n");
        return 2;
    }
    if (argc == 4)
        rig.n_position = (uint32_t)strtoul(argv[3], NULL, 10) / WEIR_TILE * WEIR_TILE;
    rig.n_position = (uint32_t)weir_min(weir_max(rig.n_position, WEIR_TILE), POSITIONS_MAX);
    const enum weir_status status = run(&rig, argv[1], argv[2], &err);
    if (status != WEIR_OK)
        fprintf(stderr, "kv_error: %s\n", err.text);
    weir_session_destroy(&rig.session);
    weir_engine_close(&rig.engine);
    for (int at = 0; at < 2; at++) {
        weir_heap_free(rig.keys[at]);
        weir_heap_free(rig.values[at]);
    }
    weir_heap_free(rig.queries);
    weir_heap_free(rig.tiles);
    return status == WEIR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
