/* saved.c - texts of sessions that are kept in a file, and come back from it.
 *
 * I1  While a session's text comes, all its ids are owed: whatever does not come is computed. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/engine_internal.h"

/* ---- whose file it is ------------------------------------------------------------------------ */

static void add_bytes(struct weir_hash *hash, const void *bytes, size_t length)
{
    static const uint8_t key[16] = "weir identities";
    const uint64_t words[4] = {hash->word[0], hash->word[1], weir_prefix_sum(bytes, length),
                               length};
    *hash = weir_hash_words(key, words, WEIR_COUNT(words));
}

static void add_number(struct weir_hash *hash, uint64_t number)
{
    add_bytes(hash, &number, sizeof(number));
}

/* A key of the model, with all of its numbers. */
static void add_key(struct weir_hash *hash, const weir_manifest *manifest, uint32_t index)
{
    char value[256];
    uint64_t count = 0;
    double number = 0.0;
    const char *key = weir_manifest_key_at(manifest, index, value, sizeof(value));
    add_bytes(hash, key, strlen(key));
    add_bytes(hash, value, strlen(value));
    if (weir_manifest_f64(manifest, key, &number))
        add_bytes(hash, &number, sizeof(number));
    if (weir_manifest_array_count(manifest, key, &count))
        for (uint64_t at = 0; at < count && weir_manifest_element(manifest, key, at, &number); at++)
            add_bytes(hash, &number, sizeof(number));
}

/* The files of the weights by length, time of writing and inode, what they say is in them, and all
 * keys: two that agree in all that are one model. */
static enum weir_status add_model(struct weir_hash *hash, const weir_manifest *manifest,
                                  struct weir_err *err)
{
    for (uint32_t file = 0; file < weir_manifest_file_count(manifest); file++) {
        struct weir_sys_stamp stamp;
        const char *path = weir_manifest_file_path(manifest, file);
        if (!weir_sys_file_stamp(path, &stamp))
            return WEIR_FAIL_OS(err, errno, "look at %s", path);
        add_bytes(hash, &stamp, sizeof(stamp));
    }
    for (uint32_t index = 0; index < weir_manifest_key_count(manifest); index++)
        add_key(hash, manifest, index);
    for (uint32_t index = 0; index < weir_manifest_tensor_count(manifest); index++) {
        const struct weir_tensor *tensor = weir_manifest_tensor_at(manifest, index);
        add_bytes(hash, tensor->name, strlen(tensor->name));
        add_bytes(hash, tensor->dims, sizeof(tensor->dims));
        add_number(hash, tensor->ggml_type);
        add_number(hash, tensor->offset);
    }
    return WEIR_OK;
}

/* With the copies that stand for some of its experts. */
static enum weir_status identify_model(const struct weir_blueprint *blueprint, uint8_t out[16],
                                       struct weir_err *err)
{
    struct weir_hash hash = {{0, 0}};
    WEIR_TRY(add_model(&hash, blueprint->manifest, err));
    if (blueprint->copies != NULL)
        WEIR_TRY(add_model(&hash, blueprint->copies_manifest, err));
    memcpy(out, &hash, sizeof(hash));
    return WEIR_OK;
}

/* What is computed on a GPU, and which one. Where an earlier run says which experts are there, a
 * text is that of the same list. */
static void add_placement(struct weir_hash *hash, const struct weir_engine *engine,
                          const struct weir_config *config)
{
    const struct weir_device_plan *plan = &engine->choice.device;
    const struct weir_shape *shape = &engine->blueprint.model->shape;
    bool is_split = false;
    if (plan->n_layer == 0)
        return;
    add_bytes(hash, engine->plan.gpu.name, strlen(engine->plan.gpu.name));
    add_number(hash, plan->moves);
    add_number(hash, plan->copies);
    add_number(hash, plan->transit_count > 0);
    for (uint32_t layer = 0; layer < shape->n_layer; layer++) {
        const uint32_t count = plan->layers[layer].expert_count;
        add_number(hash, plan->layers[layer].is_there ? count + UINT64_C(1) : 0);
        is_split |= count > 0 && count < shape->n_expert;
    }
    for (uint32_t at = 0; is_split && at < config->warm_up_count; at++) {
        add_number(hash, config->warm_up[at].layer);
        add_number(hash, config->warm_up[at].expert);
    }
}

/* All that decides which bits a position leaves, and where. */
static void identify_layout(const struct weir_engine *engine, const struct weir_config *config,
                            uint8_t out[16])
{
    struct weir_hash hash = {{0, 0}};
    struct weir_state_layer layers[WEIR_STATE_LAYER_MAX];
    struct weir_state_config state;
    const char *isa = engine->blueprint.kernels.isa;
    weir_choice_state(&engine->blueprint, &engine->choice, layers, &state);
    add_bytes(&hash, WEIR_VERSION, sizeof(WEIR_VERSION));
    add_bytes(&hash, isa, strlen(isa));
    add_number(&hash, WEIR_PREFIX_VERSION);
    add_number(&hash, engine->choice.kv);
    add_placement(&hash, engine, config);
    if (engine->mode.lossy_copies > 0.0)
        add_bytes(&hash, &engine->mode.lossy_copies, sizeof(engine->mode.lossy_copies));
    if (engine->mode.lossy_skip > 0.0 || engine->mode.lossy_resident > 0.0) {
        add_bytes(&hash, &engine->mode.lossy_skip, sizeof(engine->mode.lossy_skip));
        add_bytes(&hash, &engine->mode.lossy_resident, sizeof(engine->mode.lossy_resident));
    }
    add_number(&hash, state.n_ctx);
    add_number(&hash, weir_state_page_length(&state));
    for (uint32_t layer = 0; layer < state.layer_count; layer++) {
        add_number(&hash, layers[layer].kind);
        add_number(&hash, layers[layer].window);
        add_number(&hash, layers[layer].bytes);
    }
    memcpy(out, &hash, sizeof(hash));
}

/* ---- opening --------------------------------------------------------------------------------- */

/* What has come is owed no more; keeps I1. */
static void take_arrived(void *user, uint32_t length)
{
    weir_session *session = user;
    session->owed_count -= length;
    memmove(session->owed, session->owed + length, session->owed_count * sizeof(*session->owed));
    session->is_coming = false;
}

/* Not a mistake in what was asked for: the disk may be well again the next time. */
static bool is_the_disks_fault(const struct weir_err *reason)
{
    return reason->status == WEIR_ERR_IO &&
           (reason->os_errno == ENOSPC || reason->os_errno == EDQUOT || reason->os_errno == EIO);
}

static void tell_without(const struct weir_config *config, const struct weir_err *reason)
{
    char text[WEIR_ERR_TEXT_MAX + 64];
    snprintf(text, sizeof(text), "%s: no texts are kept on the disk", reason->text);
    if (config->notice != NULL)
        config->notice(config->notice_user, text);
}

enum weir_status weir_engine_open_texts(struct weir_engine *engine,
                                        const struct weir_config *config, struct weir_err *err)
{
    const struct weir_bench_config bench = weir_bench_of(config);
    struct weir_prefix_config prefix = {
        .folder = config->text_folder,
        .disk_bytes = engine->choice.text_bytes,
        .io = engine->io_config,
        .say = config->notice,
        .user = config->notice_user,
        .arrived = take_arrived,
        .piece_bytes = bench.swap_piece_bytes,
        .writes_again = (bench.swap_ablation & WEIR_ABLATE_SWAP_REUSE) != 0,
        .waits = (bench.swap_ablation & WEIR_ABLATE_SWAP_ASYNC) != 0,
    };
    struct weir_state_layer layers[WEIR_STATE_LAYER_MAX];
    struct weir_state_config state;
    struct weir_state_shape shape;
    if (config->text_folder == NULL)
        return WEIR_OK;
    prefix.io.fake.error_rate = bench.fake_io_fault == 5 ? 0.5 : prefix.io.fake.error_rate;
    weir_choice_state(&engine->blueprint, &engine->choice, layers, &state);
    if (!weir_state_shape_plan(&state, &shape))
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory to plan pages of texts");
    WEIR_TRY(identify_model(&engine->blueprint, prefix.identity.model, err));
    identify_layout(engine, config, prefix.identity.layout);
    struct weir_err reason = {0};
    const enum weir_status status = weir_prefix_open(&engine->prefix, &shape, &prefix, &reason);
    if (status == WEIR_OK || !is_the_disks_fault(&reason))
        return status == WEIR_OK ? WEIR_OK : WEIR_FAIL(err, status, "%s", reason.text);
    tell_without(config, &reason);
    return WEIR_OK;
}

void weir_session_settle(weir_session *session)
{
    if (session->engine->prefix != NULL)
        weir_prefix_settle(session->engine->prefix, session->sequence);
}

bool weir_engine_wait_for_page(struct weir_engine *engine)
{
    return engine->prefix != NULL && weir_prefix_wait_for_page(engine->prefix);
}

void weir_engine_time_prompt(struct weir_engine *engine, uint64_t begin_ns)
{
    enum { ROWS_MIN = 4 };
    const struct weir_batch *batch = &engine->batch;
    for (uint32_t run = 0; run < batch->n_run; run++)
        if (batch->runs[run].phase != WEIR_PROMPT)
            return;
    if (batch->n_row < ROWS_MIN)
        return;
    const double row_s = (double)(weir_now_ns() - begin_ns) * 1e-9 / batch->n_row;
    engine->prompt_row_s =
        engine->prompt_row_s == 0.0 ? row_s : 0.75 * engine->prompt_row_s + 0.25 * row_s;
}

/* ---- saving ---------------------------------------------------------------------------------- */

static enum weir_status need_own_text(const weir_session *session, struct weir_err *err)
{
    return session->prescription.experts == NULL
               ? WEIR_OK
               : WEIR_FAIL(err, WEIR_ERR_ARG,
                           "a text whose experts are prescribed is not the model's own: it is "
                           "neither kept nor taken from the disk");
}

static enum weir_status need_texts(const struct weir_engine *engine, struct weir_err *err)
{
    return engine->prefix != NULL
               ? WEIR_OK
               : WEIR_FAIL(err, WEIR_ERR_ARG,
                           "wanted weir_config.text_folder, a folder for texts, found none");
}

enum weir_status weir_session_save(weir_session *session, struct weir_err *err)
{
    WEIR_NEED(session, err);
    struct weir_engine *engine = session->engine;
    WEIR_TRY(need_texts(engine, err));
    WEIR_TRY(need_own_text(session, err));
    WEIR_TRY(weir_engine_enter(engine, err));
    if (!session->is_coming)
        weir_prefix_save(engine->prefix, session->sequence);
    weir_engine_leave(engine);
    return WEIR_OK;
}

/* ---- coming back ----------------------------------------------------------------------------- */

enum { LOOK_AGAIN = 8 }; /* of so many texts that would be computed one is read all the same */

/* Whether the pages that lack are read sooner than the positions behind `known` are computed, as
 * far as both were measured. */
static bool is_reading_quicker(const struct weir_engine *engine,
                               const struct weir_prefix_find *found, uint32_t known)
{
    struct weir_prefix_counts counts;
    weir_prefix_counts_get(engine->prefix, &counts);
    /* Now and then the disk is measured again. */
    if (counts.read_bytes_per_s == 0.0 || engine->prompt_row_s == 0.0 ||
        engine->computed_texts % LOOK_AGAIN == LOOK_AGAIN - 1)
        return true;
    return (double)found->bytes / counts.read_bytes_per_s <
           (found->length - known) * engine->prompt_row_s;
}

/* Reads begin for what recall_begin has found. */
static enum weir_status begin_reads(weir_session *session, const uint32_t *ids,
                                    const struct weir_prefix_find *found, struct weir_err *err)
{
    struct weir_engine *engine = session->engine;
    memcpy(session->owed, ids, found->length * sizeof(*ids));
    enum weir_status status = weir_engine_room_for_pages(engine, found->lack, err);
    if (status == WEIR_OK) {
        session->owed_count = found->length; /* keeps I1 */
        session->is_coming = true;
        status =
            weir_prefix_recall_go(engine->prefix, session->sequence, session->owed, session, err);
    }
    if (status == WEIR_OK)
        return WEIR_OK;
    session->owed_count = 0;
    session->is_coming = false;
    weir_prefix_recall_drop(engine->prefix, session->sequence);
    return status;
}

/* What pages in memory have of it stays the best there is, unless the file has more. */
static enum weir_status recall_inside(weir_session *session, const uint32_t *ids, uint32_t count,
                                      uint32_t *recalled, struct weir_err *err)
{
    struct weir_engine *engine = session->engine;
    struct weir_prefix_find found = {.length = 0};
    if (weir_session_position(session) > 0)
        return WEIR_FAIL(err, WEIR_ERR_ARG,
                         "only an empty session can take over a text: this one has %u positions",
                         weir_session_position(session));
    weir_session_settle(session);
    const uint32_t known = weir_sequence_adopt(session->sequence, ids, count);
    *recalled = known;
    if (weir_prefix_find(engine->prefix, ids, count) <= known)
        return WEIR_OK;
    (void)weir_sequence_rewind(session->sequence, 0);
    WEIR_TRY(weir_prefix_recall_begin(engine->prefix, session->sequence, ids, count, &found, err));
    if (found.length > 0 && is_reading_quicker(engine, &found, known)) {
        *recalled = 0;
        WEIR_TRY(begin_reads(session, ids, &found, err));
        *recalled = found.length;
        engine->recalled_texts++;
        return WEIR_OK;
    }
    if (found.length > 0)
        weir_prefix_recall_drop(engine->prefix, session->sequence);
    *recalled = weir_sequence_adopt(session->sequence, ids, count);
    engine->computed_texts += found.length > 0;
    return WEIR_OK;
}

enum weir_status weir_session_recall(weir_session *session, const uint32_t *ids, size_t count,
                                     uint32_t *recalled, struct weir_err *err)
{
    WEIR_NEED(session, err);
    WEIR_NEED(recalled, err);
    if (count > 0)
        WEIR_NEED(ids, err);
    struct weir_engine *engine = session->engine;
    if (engine->prefix == NULL)
        return weir_session_adopt(session, ids, count, recalled, err);
    WEIR_TRY(need_own_text(session, err));
    WEIR_TRY(weir_engine_enter(engine, err));
    const enum weir_status status =
        recall_inside(session, ids, (uint32_t)weir_min(count, engine->choice.n_ctx), recalled, err);
    weir_engine_leave(engine);
    return status;
}

bool weir_session_is_coming(const weir_session *session)
{
    return session != NULL && session->is_coming;
}

uint32_t weir_session_ready(const weir_session *session)
{
    return session == NULL ? 0 : weir_sequence_length(session->sequence);
}

uint32_t weir_engine_saved(weir_engine *engine, const uint32_t *ids, size_t count)
{
    if (engine == NULL || engine->prefix == NULL || (ids == NULL && count > 0) ||
        weir_engine_enter(engine, NULL) != WEIR_OK)
        return 0;
    const uint32_t length =
        weir_prefix_find(engine->prefix, ids, (uint32_t)weir_min(count, engine->choice.n_ctx));
    weir_engine_leave(engine);
    return length;
}

bool weir_engine_disk_wait(weir_engine *engine, double seconds)
{
    if (engine == NULL || engine->prefix == NULL || weir_engine_enter(engine, NULL) != WEIR_OK)
        return false;
    const double bounded = seconds > 0.0 ? (seconds < 3600.0 ? seconds : 3600.0) : 0.0;
    const bool is_more = weir_prefix_wait(engine->prefix, (int64_t)(bounded * 1e9));
    weir_engine_leave(engine);
    return is_more;
}

bool weir_engine_saved_get(const weir_engine *engine, struct weir_saved_stats *stats)
{
    struct weir_prefix_counts counts;
    if (engine == NULL || stats == NULL || engine->prefix == NULL)
        return false;
    weir_prefix_counts_get(engine->prefix, &counts);
    *stats = (struct weir_saved_stats){
        .disk_bytes = counts.disk_bytes,
        .disk_bytes_max = counts.disk_bytes_max,
        .pages = counts.records,
        .writing = counts.writing,
        .reading = counts.reading,
        .written_bytes = counts.written_bytes,
        .write_calls = counts.write_calls,
        .read_bytes = counts.read_bytes,
        .read_calls = counts.read_calls,
        .reused_pages = counts.reused_records,
        .evicted_pages = counts.evicted_records,
        .torn_pages = counts.torn_records,
        .failed_reads = counts.failed_reads,
        .failed_writes = counts.failed_writes,
        .dropped_pages = counts.dropped_writes,
        .recalled_texts = engine->recalled_texts,
        .recalled_tokens = counts.found_tokens,
        .computed_texts = engine->computed_texts,
        .wait_s = (double)counts.wait_ns * 1e-9,
        .read_bytes_per_s = counts.read_bytes_per_s,
    };
    return true;
}
