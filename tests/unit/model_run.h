/* model_run.h - the logits of a model over the ids of a golden folder, or why there are none. */
#ifndef WEIR_TESTS_MODEL_RUN_H
#define WEIR_TESTS_MODEL_RUN_H

#include "golden.h"
#include "weir.h"

struct model_run {
    enum weir_status status;
    struct weir_err err;
    struct weir_warnings warnings;
    float *logits; /* [id_count][n_vocab]; NULL unless status is OK */
    size_t row_bytes, bytes;
};

static inline bool model_run_keep(void *user, uint32_t position, const float *logits)
{
    struct model_run *run = user;
    memcpy((char *)run->logits + position * run->row_bytes, logits, run->row_bytes);
    return true;
}

static inline void model_run_close(struct model_run *run)
{
    free(run->logits);
    *run = (struct model_run){0};
}

/* Of the first id_count ids; model_run_close() frees. */
static inline struct model_run model_run_open(const struct weir_config *config, const uint32_t *ids,
                                              uint32_t id_count)
{
    struct model_run run = {0};
    weir_engine *engine = NULL;
    weir_session *session = NULL;
    run.status = weir_engine_open(&engine, config, &run.err);
    if (run.status == WEIR_OK) {
        run.warnings = weir_engine_model(engine)->warnings;
        run.row_bytes = weir_engine_model(engine)->n_vocab * sizeof(float);
        run.bytes = id_count * run.row_bytes;
        run.logits = calloc(id_count, run.row_bytes);
        run.status = weir_session_create(&session, engine, &run.err);
    }
    if (run.status == WEIR_OK)
        run.status = weir_session_eval(session, ids, id_count, model_run_keep, &run, &run.err);
    weir_session_destroy(&session);
    weir_engine_close(&engine);
    if (run.status != WEIR_OK) {
        free(run.logits);
        run.logits = NULL;
    }
    return run;
}

static inline bool model_run_same(const struct model_run *one, const struct model_run *other)
{
    return one->logits != NULL && other->logits != NULL && one->bytes == other->bytes &&
           memcmp(one->logits, other->logits, one->bytes) == 0;
}

#endif
