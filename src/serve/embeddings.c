/* embeddings.c - /v1/embeddings: the mean of a text's states behind the final norm, of length 1.
 *
 * A request is one of the scheduler's jobs at a time, so that it takes one place however many texts
 * it has. Each embedding goes out when it is computed.
 *
 * I1  States come in the order of positions and are added up in it, so that the sum's bits do not
 *     depend on how they came. */
#include "serve/embeddings.h"

#include <math.h>
#include <string.h>

#include "base/heap.h"
#include "serve/members.h"
#include "serve/request.h"
#include "serve/server.h"
#include "serve/text_fields.h"

struct weir_embedding {
    struct weir_exchange *exchange; /* borrowed: it owns us */
    struct weir_job job;
    struct weir_party party; /* where the key has none */
    uint32_t *ids;           /* [id_count] of all texts, one behind the other */
    size_t id_count, id_capacity;
    size_t *ends; /* [text_count] where each ends */
    size_t text_count, text_capacity;
    size_t at;    /* the text that is computed */
    double *sums; /* [d_model] of its states */
    bool is_base64, has_begun;
    struct weir_writer piece;
};

void weir_embedding_destroy(struct weir_embedding **embedding)
{
    if (*embedding == NULL)
        return;
    atomic_fetch_sub(&(*embedding)->exchange->serve->request_count, 1);
    weir_heap_free((*embedding)->job.ids);
    weir_heap_free((*embedding)->ids);
    weir_heap_free((*embedding)->ends);
    weir_heap_free((*embedding)->sums);
    weir_writer_free(&(*embedding)->piece);
    weir_heap_free(*embedding);
    *embedding = NULL;
}

/* ---- texts --------------------------------------------------------------------------------- */

/* What a request holds counts as its body did, which bounds all of them together. False: there is a
 * problem. */
static bool take_memory(struct weir_embedding *embedding, size_t bytes)
{
    struct weir_exchange *exchange = embedding->exchange;
    const uint64_t most = weir_serve_bodies_bytes(weir_serve_limits_of(exchange->serve));
    if (exchange->body_counted + bytes > most) {
        weir_problem_set(&exchange->problem, 413, "invalid_request_error", "request_too_large",
                         "input", "\"input\": wanted texts whose tokens take at most %llu bytes",
                         (unsigned long long)most);
        return false;
    }
    if (!weir_serve_body_take(exchange->serve, bytes)) {
        weir_serve_problem_full(exchange->serve, exchange);
        return false;
    }
    exchange->body_counted += bytes;
    return true;
}

/* Room for one text more, and for its ids. */
static bool reserve(struct weir_embedding *embedding, size_t id_count)
{
    const size_t ids = embedding->id_count + id_count;
    const size_t texts = embedding->text_count + 1;
    if (ids > embedding->id_capacity) {
        const size_t capacity = ids + ids / 2;
        if (!take_memory(embedding, (capacity - embedding->id_capacity) * sizeof(uint32_t)))
            return false;
        uint32_t *grown = weir_heap_grow(embedding->ids, capacity * sizeof(uint32_t));
        if (grown == NULL)
            return false;
        embedding->ids = grown;
        embedding->id_capacity = capacity;
    }
    if (texts > embedding->text_capacity) {
        const size_t capacity = texts + texts / 2;
        if (!take_memory(embedding, (capacity - embedding->text_capacity) * sizeof(size_t)))
            return false;
        size_t *grown = weir_heap_grow(embedding->ends, capacity * sizeof(size_t));
        if (grown == NULL)
            return false;
        embedding->ends = grown;
        embedding->text_capacity = capacity;
    }
    return true;
}

static void add_text(void *user, const uint32_t *ids, size_t count)
{
    struct weir_embedding *embedding = user;
    struct weir_exchange *exchange = embedding->exchange;
    const uint32_t n_ctx = weir_serve_limits_of(exchange->serve)->n_ctx;
    if (count == 0 || count > n_ctx) {
        weir_problem_set(&exchange->problem, 400, "invalid_request_error",
                         count == 0 ? "empty_prompt" : "context_length_exceeded", "input",
                         "text %zu of \"input\" has %zu tokens: wanted at least 1, and at most the "
                         "%u that the context holds",
                         embedding->text_count, count, n_ctx);
    } else if (!reserve(embedding, count)) {
        weir_problem_set(&exchange->problem, 500, "server_error", "no_memory", NULL,
                         "no memory for %zu tokens", count);
    } else {
        if (exchange->serve->limits.log_text)
            weir_text_log_ids(exchange->serve, "embedding", (uint32_t)embedding->text_count,
                              "prompt", ids, count);
        memcpy(embedding->ids + embedding->id_count, ids, count * sizeof(*ids));
        embedding->id_count += count;
        embedding->ends[embedding->text_count++] = embedding->id_count;
        exchange->prompt_tokens += (uint32_t)count;
    }
}

static void read_format(struct weir_embedding *embedding, const struct weir_fields *fields)
{
    const char *format = weir_field_text(fields, "encoding_format");
    weir_field_only(fields, "encoding_format", "\"float\"|\"base64\"");
    embedding->is_base64 = format != NULL && strcmp(format, "base64") == 0;
    if (weir_field(fields, "dimensions") != NULL)
        WEIR_PROBLEM(fields->problem, "dimensions",
                     "\"dimensions\": an embedding has the %u of the model's states: a part of "
                     "them would mean nothing",
                     weir_serve_limits_of(embedding->exchange->serve)->d_model);
    weir_field_text(fields, "user"); /* whose it is changes nothing of an answer */
}

/* ---- the answer ---------------------------------------------------------------------------- */

/* RFC 4648, section 4, of f32 in little-endian order, as OpenAI's API has it. */
static void write_base64(struct weir_writer *writer, const unsigned char *bytes, size_t length)
{
    static const char letters[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t at = 0; at < length; at += 3) {
        const size_t left = weir_min(length - at, 3);
        const uint32_t bits = (uint32_t)bytes[at] << 16 |
                              (left > 1 ? (uint32_t)bytes[at + 1] << 8 : 0) |
                              (left > 2 ? (uint32_t)bytes[at + 2] : 0);
        char four[4];
        for (size_t index = 0; index < sizeof(four); index++)
            four[index] = index > left ? '=' : letters[bits >> (18 - 6 * index) & 63];
        weir_writer_put(writer, four, sizeof(four));
    }
}

/* The mean of the states, divided by its length: the sum divided by its own is the same. */
static void write_embedding(struct weir_embedding *embedding)
{
    struct weir_writer *writer = &embedding->piece;
    const uint32_t d_model = weir_serve_limits_of(embedding->exchange->serve)->d_model;
    double length = 0.0;
    for (uint32_t index = 0; index < d_model; index++)
        length += embedding->sums[index] * embedding->sums[index];
    length = sqrt(length);
    weir_writer_format(writer, "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":%s",
                       embedding->at > 0 ? "," : "", embedding->at,
                       embedding->is_base64 ? "\"" : "[");
    for (uint32_t index = 0; index < d_model; index++) {
        const double sum = embedding->sums[index];
        const float value = (float)(length > 0.0 ? sum / length : 0.0);
        if (embedding->is_base64) /* in place: no float goes behind the sum that it is made of */
            memcpy((char *)embedding->sums + index * sizeof(value), &value, sizeof(value));
        else
            weir_writer_format(writer, "%s%.9g", index > 0 ? "," : "", (double)value);
    }
    if (embedding->is_base64)
        write_base64(writer, (const unsigned char *)embedding->sums, d_model * sizeof(float));
    weir_writer_text(writer, embedding->is_base64 ? "\"}" : "]}");
}

static void write_end(struct weir_embedding *embedding)
{
    struct weir_writer *writer = &embedding->piece;
    const char *model = embedding->exchange->serve->model_id;
    const uint32_t count = embedding->exchange->prompt_tokens;
    weir_writer_text(writer, "],\"model\":");
    weir_writer_string(writer, model, strlen(model));
    weir_writer_format(writer, ",\"usage\":{\"prompt_tokens\":%u,\"total_tokens\":%u}}", count,
                       count);
}

static void send_piece(struct weir_embedding *embedding)
{
    struct weir_exchange *exchange = embedding->exchange;
    weir_writer_clear(&embedding->piece);
    if (!embedding->has_begun) {
        weir_exchange_begin_stream(exchange, "application/json");
        weir_writer_text(&embedding->piece, "{\"object\":\"list\",\"data\":[");
    }
    embedding->has_begun = true;
    write_embedding(embedding);
    if (embedding->at + 1 == embedding->text_count)
        write_end(embedding);
    weir_exchange_send(exchange, &embedding->piece);
}

/* ---- the job's sink ------------------------------------------------------------------------ */

static bool submit_next(struct weir_embedding *embedding);

static enum weir_job_look look(void *user)
{
    const struct weir_embedding *embedding = user;
    return weir_exchange_look(embedding->exchange);
}

static bool begin(void *user, uint32_t cached_count)
{
    struct weir_embedding *embedding = user;
    (void)cached_count; /* none: a state that is not computed cannot be told */
    if (embedding->sums == NULL)
        embedding->sums = weir_heap_array(weir_serve_limits_of(embedding->exchange->serve)->d_model,
                                          sizeof(double));
    return embedding->sums != NULL;
}

static bool add_state(void *user, uint32_t position, const float *state)
{
    struct weir_embedding *embedding = user;
    const uint32_t d_model = weir_serve_limits_of(embedding->exchange->serve)->d_model;
    if (position == 0)
        memset(embedding->sums, 0, d_model * sizeof(double));
    for (uint32_t index = 0; index < d_model; index++)
        embedding->sums[index] += (double)state[index];
    return true;
}

static void end_text(void *user, enum weir_job_end end, const struct weir_err *err)
{
    struct weir_embedding *embedding = user;
    struct weir_exchange *exchange = embedding->exchange;
    struct weir_problem *problem = &exchange->problem;
    if (end == WEIR_JOB_STOPPED) {
        send_piece(embedding);
        embedding->at++;
        if (embedding->at < embedding->text_count && submit_next(embedding))
            return;
    }
    if (end == WEIR_JOB_FAILED)
        weir_problem_set(problem, 500, "server_error", "engine_error", NULL, "%s", err->text);
    else if (end == WEIR_JOB_CANCELLED)
        weir_problem_set(problem, 503, "server_error", "stopped", NULL,
                         "the answer took too long, or the server is being stopped");
    if (problem->status == 0)
        weir_exchange_finish(exchange);
    else if (embedding->has_begun)
        weir_exchange_break(exchange);
    else
        weir_exchange_refuse(exchange);
    weir_embedding_destroy(&exchange->embedding); /* a client that dawdles holds no model */
    weir_exchange_release(exchange);
}

static const struct weir_job_sink sink = {
    .look = look, .begin = begin, .state = add_state, .end = end_text};

/* False: there is a problem. */
static bool submit_next(struct weir_embedding *embedding)
{
    const size_t first = embedding->at == 0 ? 0 : embedding->ends[embedding->at - 1];
    const size_t count = embedding->ends[embedding->at] - first;
    embedding->job =
        (struct weir_job){.ids = weir_heap_array(count, sizeof(uint32_t)),
                          .id_count = (uint32_t)count,
                          .sink = &sink,
                          .user = embedding,
                          .party = embedding->exchange->party != NULL ? embedding->exchange->party
                                                                      : &embedding->party};
    if (embedding->job.ids == NULL) {
        weir_problem_set(&embedding->exchange->problem, 500, "server_error", "no_memory", NULL,
                         "no memory for a text of %zu tokens", count);
        return false;
    }
    memcpy(embedding->job.ids, embedding->ids + first, count * sizeof(uint32_t));
    weir_scheduler_submit(embedding->exchange->serve->scheduler, &embedding->job);
    return true;
}

/* ---- requests ------------------------------------------------------------------------------ */

/* True: from now on the exchange is the scheduler's. */
static bool start(struct weir_embedding *embedding)
{
    struct weir_exchange *exchange = embedding->exchange;
    if (!weir_serve_places_take(exchange->serve, 1)) {
        weir_serve_problem_full(exchange->serve, exchange);
        return false;
    }
    exchange->place_count = 1;
    weir_exchange_hold(exchange); /* until the last text is over */
    if (submit_next(embedding))
        return true;
    weir_exchange_release(exchange);
    return false;
}

void weir_embeddings_read(struct weir_exchange *exchange, json_t *root)
{
    const struct weir_fields fields = {root, &exchange->problem};
    struct weir_embedding *embedding = weir_heap_alloc(sizeof(*embedding));
    exchange->embedding = embedding;
    if (embedding == NULL) {
        weir_problem_set(&exchange->problem, 500, "server_error", "no_memory", NULL,
                         "no memory for a request");
    } else {
        embedding->exchange = exchange;
        atomic_fetch_add(&exchange->serve->request_count, 1);
        weir_fields_check_members(&fields, weir_embeddings_members, NULL);
        weir_request_check_model(exchange->serve, &fields);
        read_format(embedding, &fields);
        weir_text_field_read(exchange->serve, &fields, "input", WEIR_TEXT_ADD_SPECIAL, add_text,
                             embedding);
    }
    if (exchange->problem.status != 0 || !start(embedding))
        weir_exchange_refuse(exchange);
}
