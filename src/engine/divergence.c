/* divergence.c - a text computed again with other tensors, and compared with the first time. */
#include "engine/divergence.h"

#include <math.h>

#include "base/base.h"
#include "base/heap.h"
#include "weir_bench.h"

/* logits become log-probabilities by taking this off: the log of the sum of their exponentials. */
static double log_sum(const float *logits, uint32_t n_vocab)
{
    float most = logits[0];
    double sum = 0.0;
    for (uint32_t at = 1; at < n_vocab; at++)
        most = logits[at] > most ? logits[at] : most;
    for (uint32_t at = 0; at < n_vocab; at++)
        sum += (double)expf(logits[at] - most);
    return (double)most + log(sum);
}

static void keep(struct weir_divergence *divergence, const float *logits)
{
    float *kept = divergence->kept + (size_t)divergence->at * divergence->n_vocab;
    const double shift = log_sum(logits, divergence->n_vocab);
    for (uint32_t at = 0; at < divergence->n_vocab; at++)
        kept[at] = (float)((double)logits[at] - shift);
}

static void compare(struct weir_divergence *divergence, const float *logits)
{
    const float *kept = divergence->kept + (size_t)divergence->at * divergence->n_vocab;
    const double shift = log_sum(logits, divergence->n_vocab);
    double sum = 0.0;
    for (uint32_t at = 0; at < divergence->n_vocab; at++)
        sum += (double)expf(kept[at]) * ((double)kept[at] - ((double)logits[at] - shift));
    divergence->sum += sum;
}

static bool take_logits(void *user, uint32_t position, const float *logits)
{
    struct weir_divergence *divergence = user;
    if (divergence->go_on != NULL && !divergence->go_on(divergence->user))
        return false;
    if ((divergence->first + position) % divergence->step != 0 ||
        divergence->at == divergence->kept_count)
        return true;
    if (divergence->is_reference)
        keep(divergence, logits);
    else
        compare(divergence, logits);
    divergence->at++;
    return true;
}

static enum weir_status compute_text(struct weir_divergence *divergence, weir_session *session,
                                     struct weir_err *err)
{
    const struct weir_quantize_budget *budget = divergence->config->budget;
    divergence->at = 0;
    divergence->sum = 0.0;
    for (divergence->first = 0; divergence->first < budget->id_count;) {
        const uint32_t left = budget->id_count - divergence->first;
        const uint32_t count = left < budget->chunk_tokens ? left : budget->chunk_tokens;
        WEIR_TRY(weir_session_rewind(session, 0));
        WEIR_TRY(weir_session_eval(session, budget->ids + divergence->first, count, take_logits,
                                   divergence, err));
        divergence->first += count;
    }
    return WEIR_OK;
}

static enum weir_status compute(struct weir_divergence *divergence, const char *overlay_path,
                                const char *path, struct weir_err *err)
{
    const struct weir_quantize_config *config = divergence->config;
    const struct weir_bench_config bench = {.overlay_path = overlay_path};
    const struct weir_config engine_config = {
        .model_path = path,
        .mem_bytes = config->mem_bytes,
        .caller_bytes = weir_heap_bytes(),
        .n_thread = config->n_thread,
        .n_ctx = config->budget->chunk_tokens,
        .gpu = WEIR_ENGINE_GPU_OFF,
        .buffered = config->buffered,
        .bench = &bench,
    };
    weir_engine *engine = NULL;
    weir_session *session = NULL;
    enum weir_status status = weir_engine_open(&engine, &engine_config, err);
    if (status == WEIR_OK)
        status = weir_session_create(&session, engine, err);
    if (status == WEIR_OK)
        status = compute_text(divergence, session, err);
    weir_session_destroy(&session);
    weir_engine_close(&engine);
    return status;
}

static enum weir_status make_room(struct weir_divergence *divergence, struct weir_err *err)
{
    const struct weir_quantize_budget *budget = divergence->config->budget;
    struct weir_model_info info;
    WEIR_TRY(weir_model_info_get(&info, divergence->config->input_path, err));
    if (info.status != WEIR_OK)
        return WEIR_FAIL(err, info.status, "a budget wants a model that runs here: %s",
                         info.missing[0]);
    const uint64_t row_bytes = info.n_vocab * sizeof(float);
    const uint64_t most = weir_max(1, WEIR_DIVERGENCE_BYTES / row_bytes);
    divergence->n_vocab = info.n_vocab;
    divergence->step = (uint32_t)((budget->id_count + most - 1) / most);
    divergence->kept_count = (budget->id_count + divergence->step - 1) / divergence->step;
    divergence->kept = weir_heap_array(divergence->kept_count, (size_t)row_bytes);
    if (divergence->kept == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for %u rows of probabilities",
                         divergence->kept_count);
    return WEIR_OK;
}

enum weir_status weir_divergence_open(struct weir_divergence *divergence,
                                      const struct weir_quantize_config *config,
                                      bool (*go_on)(void *user), void *user, struct weir_err *err)
{
    *divergence = (struct weir_divergence){
        .config = config, .go_on = go_on, .user = user, .is_reference = true};
    enum weir_status status = make_room(divergence, err);
    if (status == WEIR_OK)
        status = compute(divergence, NULL, config->input_path, err);
    divergence->is_reference = false;
    if (status != WEIR_OK)
        weir_divergence_close(divergence);
    return status;
}

enum weir_status weir_divergence_measure(struct weir_divergence *divergence,
                                         const char *overlay_path, const char *other_path,
                                         double *nats, struct weir_err *err)
{
    const char *input = divergence->config->input_path;
    WEIR_TRY(compute(divergence, overlay_path, other_path == NULL ? input : other_path, err));
    *nats = divergence->sum / divergence->at;
    return WEIR_OK;
}

void weir_divergence_close(struct weir_divergence *divergence)
{
    weir_heap_free(divergence->kept);
    *divergence = (struct weir_divergence){0};
}
