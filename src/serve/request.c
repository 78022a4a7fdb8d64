/* request.c - a request for texts: from its choices to jobs, and from their tokens to an answer. */
#include "serve/request.h"

#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "serve/reasoning.h"
#include "serve/server.h"
#include "serve/shelf.h"
#include "serve/tools.h"

/* ---- a request ----------------------------------------------------------------------------- */

struct weir_request *weir_request_create(struct weir_exchange *exchange,
                                         const struct weir_dialect *dialect)
{
    struct weir_request *request = weir_heap_alloc(sizeof(*request));
    if (request == NULL) {
        weir_problem_set(&exchange->problem, 500, "server_error", "no_memory", NULL,
                         "no memory for a request");
        return NULL;
    }
    request->exchange = exchange;
    request->dialect = dialect;
    request->answer_count = 1;
    request->reasoning_max = UINT32_MAX;
    request->created_s =
        exchange->serve->begin_s + (weir_now_ns() - exchange->serve->config_ns) / 1000000000;
    weir_serve_name(exchange->serve, dialect->name_kind, request->name);
    exchange->request = request;
    atomic_fetch_add(&exchange->serve->request_count, 1);
    return request;
}

static void free_choice(struct weir_choice_text *choice)
{
    weir_heap_free(choice->job.ids);
    weir_reply_destroy(&choice->reply);
    weir_decoder_destroy(&choice->decoder);
    weir_stops_destroy(&choice->stops);
    weir_writer_free(&choice->content);
    weir_writer_free(&choice->reasoning);
    weir_writer_free(&choice->logprobs);
    weir_writer_free(&choice->calls);
    weir_writer_free(&choice->call_id);
    weir_writer_free(&choice->call_name);
    weir_writer_free(&choice->arguments);
    weir_writer_free(&choice->kept);
    weir_writer_free(&choice->kept_logprobs);
    weir_writer_free(&choice->items);
    weir_heap_free(choice->log);
}

void weir_request_destroy(struct weir_request **request)
{
    if (*request == NULL)
        return;
    for (uint32_t index = 0; index < (*request)->choice_count; index++)
        free_choice(&(*request)->choices[index]);
    weir_heap_free((*request)->choices);
    weir_heap_free((*request)->biases);
    weir_heap_free((*request)->tools);
    weir_heap_free((*request)->tool);
    weir_heap_free((*request)->schema);
    json_decref((*request)->stops);
    weir_grammars_give_back((*request)->grammar);
    weir_shelf_drop((*request)->exchange->serve->shelf, &(*request)->kept);
    weir_writer_free(&(*request)->piece);
    weir_writer_free(&(*request)->echo);
    atomic_fetch_sub(&(*request)->exchange->serve->request_count, 1);
    weir_heap_free(*request);
    *request = NULL;
}

uint32_t weir_request_n_vocab(const struct weir_request *request)
{
    return weir_serve_limits_of(request->exchange->serve)->n_vocab;
}

weir_tokenizer *weir_request_tokenizer(const struct weir_request *request)
{
    return request->exchange->serve->tokenizer;
}

const char *weir_request_model(const struct weir_request *request)
{
    return request->exchange->serve->model_id;
}

void weir_request_write_usage(const struct weir_request *request, struct weir_writer *writer)
{
    const struct weir_exchange *exchange = request->exchange;
    uint32_t reasoning_count = 0;
    for (uint32_t index = 0; index < request->choice_count; index++)
        reasoning_count += request->choices[index].reasoning_count;
    weir_writer_format(
        writer,
        ",\"usage\":{\"prompt_tokens\":%u,\"completion_tokens\":%u,\"total_tokens\":%u,"
        "\"prompt_tokens_details\":{\"cached_tokens\":%u},"
        "\"completion_tokens_details\":{\"reasoning_tokens\":%u}}",
        exchange->prompt_tokens, exchange->written_tokens,
        exchange->prompt_tokens + exchange->written_tokens, exchange->cached_tokens,
        reasoning_count);
}

/* ---- what a choice tells ------------------------------------------------------------------- */

/* The choice has something new: in a stream it goes out now. */
static void flush(struct weir_choice_text *choice)
{
    struct weir_request *request = choice->request;
    if (!request->is_stream)
        return;
    weir_writer_clear(&request->piece);
    request->dialect->write_event(choice, &request->piece);
    choice->has_begun = true;
    weir_writer_clear(&choice->content);
    weir_writer_clear(&choice->reasoning);
    weir_writer_clear(&choice->logprobs);
    weir_writer_clear(&choice->calls);
    weir_exchange_send(request->exchange, &request->piece);
}

/* More of one kind is told: in a stream what there is of others goes out before it. */
static void turn_to(struct weir_choice_text *choice, const struct weir_writer *part)
{
    if (choice->content.length + choice->reasoning.length + choice->calls.length > part->length)
        flush(choice);
}

static void put_content(struct weir_choice_text *choice, const char *bytes, size_t length)
{
    if (length == 0)
        return;
    turn_to(choice, &choice->content);
    weir_writer_put(&choice->content, bytes, length);
    choice->told_logprobs = choice->logprobs.length;
}

static void add_content(struct weir_choice_text *choice, const char *bytes, size_t length)
{
    char certain[WEIR_STOP_BYTES_MAX + WEIR_TOKEN_BYTES_MAX];
    while (length > 0) { /* a reply may tell more at once than one token has */
        const size_t part = weir_min(length, WEIR_TOKEN_BYTES_MAX);
        const size_t count = weir_stops_push(choice->stops, bytes, part, certain);
        put_content(choice, certain, count);
        bytes += part;
        length -= part;
    }
}

static void tell_part(void *user, const struct weir_reply_event *event)
{
    struct weir_choice_text *choice = user;
    if (event->kind == WEIR_REPLY_REASONING) {
        turn_to(choice, &choice->reasoning);
        weir_writer_put(&choice->reasoning, event->bytes, event->length);
    } else if (event->kind == WEIR_REPLY_ANSWER) {
        add_content(choice, event->bytes, event->length);
    } else { /* an event of a stream has one piece of one call */
        if (choice->content.length + choice->reasoning.length + choice->calls.length > 0)
            flush(choice);
        weir_tools_hear(choice, event);
    }
}

static void push_id(struct weir_choice_text *choice, uint32_t id)
{
    char piece[WEIR_TOKEN_BYTES_MAX];
    if (choice->reply != NULL)
        weir_reply_push(choice->reply, id, tell_part, choice);
    else
        add_content(choice, piece, weir_decoder_push(choice->decoder, id, piece));
}

static void push_end(struct weir_choice_text *choice)
{
    char piece[WEIR_TOKEN_BYTES_MAX];
    char last[WEIR_STOP_BYTES_MAX];
    if (choice->reply != NULL)
        weir_reply_end(choice->reply, tell_part, choice);
    else if (choice->decoder != NULL)
        add_content(choice, piece, weir_decoder_flush(choice->decoder, piece));
    put_content(choice, last, weir_stops_flush(choice->stops, last));
}

/* ---- the job's sink ------------------------------------------------------------------------ */

static enum weir_job_look look(void *user)
{
    const struct weir_choice_text *choice = user;
    return weir_exchange_look(choice->request->exchange);
}

/* So much of its prompt is computed. */
static void tell_progress(void *user, uint32_t processed)
{
    struct weir_choice_text *choice = user;
    struct weir_request *request = choice->request;
    char progress[160];
    if (!request->wants_progress)
        return;
    snprintf(progress, sizeof(progress),
             ",\"prompt_progress\":{\"total\":%u,\"cache\":%u,\"processed\":%u,\"time_ms\":%llu}",
             choice->job.id_count, choice->cached_count, processed,
             (unsigned long long)((weir_now_ns() - choice->prompt_begin_ns) / 1000000));
    weir_writer_clear(&request->piece);
    request->dialect->write_progress(choice, progress, &request->piece);
    choice->has_begun = true;
    weir_exchange_send(request->exchange, &request->piece);
}

/* On the desk's thread, before the scheduler has the choice. */
static void tell_begin(struct weir_choice_text *choice)
{
    struct weir_request *request = choice->request;
    if (!request->is_stream || request->dialect->write_begin == NULL)
        return;
    weir_writer_clear(&request->piece);
    request->dialect->write_begin(choice, &request->piece);
    choice->has_begun = true;
    weir_exchange_send(request->exchange, &request->piece);
}

static bool begin(void *user, uint32_t cached_count)
{
    struct weir_choice_text *choice = user;
    struct weir_request *request = choice->request;
    weir_tokenizer *tokenizer = weir_request_tokenizer(request);
    if (choice->index % request->answer_count == 0)
        request->exchange->cached_tokens += cached_count;
    const struct weir_reply_config reply = {
        .chat = request->exchange->serve->config.chat,
        .tools = request->tools,
        .tools_length = request->tools == NULL ? 0 : strlen(request->tools),
        .ids = choice->job.ids,
        .id_count = choice->job.id_count,
        .id_seed = weir_serve_random(request->exchange->serve),
        .call_max = request->is_one_call,
        .call_bytes_max = (uint32_t)weir_min(
            weir_serve_answer_bytes(weir_serve_limits_of(request->exchange->serve)) / 8,
            UINT32_MAX),
        .whole_calls = !request->is_stream,
    };
    const enum weir_status status =
        request->dialect->is_chat ? weir_reply_create(&choice->reply, tokenizer, &reply, NULL)
                                  : weir_decoder_create(&choice->decoder, tokenizer, true, NULL);
    if (status != WEIR_OK)
        return false;
    choice->prompt_begin_ns = weir_now_ns();
    choice->cached_count = cached_count;
    weir_reasoning_watch(choice);
    tell_progress(choice, cached_count);
    return true;
}

/* Whether what is held of an answer that is not streamed has become too much. */
static bool is_too_long(const struct weir_choice_text *choice)
{
    const uint64_t again = choice->kept.length + choice->kept_logprobs.length +
                           choice->items.length + choice->request->echo.length;
    const uint64_t held = choice->content.length + choice->reasoning.length +
                          choice->logprobs.length + choice->calls.length +
                          WEIR_AGAIN_COPIES * again;
    return held > weir_serve_answer_bytes(weir_serve_limits_of(choice->request->exchange->serve)) ||
           choice->content.failed || choice->reasoning.failed || choice->logprobs.failed ||
           choice->calls.failed || choice->call_id.failed || choice->call_name.failed ||
           choice->arguments.failed || choice->kept.failed || choice->kept_logprobs.failed ||
           choice->items.failed;
}

static bool take_token(void *user, uint32_t id, const float *logits)
{
    struct weir_choice_text *choice = user;
    struct weir_request *request = choice->request;
    struct weir_exchange *exchange = request->exchange;
    if (exchange->first_ns == 0)
        exchange->first_ns = weir_now_ns();
    choice->token_count++;
    exchange->written_tokens++;
    if (request->wants_logprobs)
        request->dialect->write_logprob(choice, id, logits);
    weir_reasoning_count(choice);
    if (choice->log != NULL)
        weir_text_log_put(choice->log, exchange->serve, request->name, choice->index, "answer", id);
    push_id(choice, id);
    weir_reasoning_watch(choice);
    choice->is_cut = is_too_long(choice);
    if (choice->content.length + choice->reasoning.length + choice->calls.length > 0)
        flush(choice);
    return !choice->is_cut && weir_stops_found(choice->stops) == SIZE_MAX;
}

/* The end of a stream. */
static void write_end(struct weir_request *request)
{
    struct weir_writer *piece = &request->piece;
    weir_writer_clear(piece);
    if (!request->has_failed) {
        request->dialect->write_last(request, piece);
    } else if (request->dialect->write_failure != NULL) {
        request->dialect->write_failure(request, piece);
    } else {
        weir_exchange_write_failure(request->exchange, piece);
    }
}

/* Nothing more comes of any choice. What the request holds (a model, a grammar) is given back
 * before its client has all of the answer, and asks for it again. */
static void finish(struct weir_request *request)
{
    struct weir_exchange *exchange = request->exchange;
    const bool is_stream = request->is_stream, has_failed = request->has_failed;
    struct weir_writer last = {0};
    weir_running_remove(request);
    if (is_stream) {
        write_end(request);
        last = request->piece;
        request->piece = (struct weir_writer){0};
    } else if (!has_failed) {
        request->dialect->write_whole(request, &exchange->answer);
    }
    weir_request_destroy(&exchange->request);
    if (is_stream) {
        weir_exchange_send(exchange, &last);
        weir_exchange_finish(exchange);
    } else if (has_failed) {
        weir_exchange_refuse(exchange);
    } else {
        weir_exchange_reply(exchange, 200, "application/json");
    }
    weir_writer_free(&last);
    weir_exchange_release(exchange);
}

static void fail(struct weir_request *request, enum weir_job_end end, const struct weir_err *err)
{
    struct weir_problem *problem = &request->exchange->problem;
    request->has_failed = true;
    if (end == WEIR_JOB_FAILED && err->status == WEIR_ERR_ARG)
        WEIR_PROBLEM(problem, "grammar", "%s", err->text);
    else if (end == WEIR_JOB_FAILED)
        weir_problem_set(problem, 500, "server_error", "engine_error", NULL, "%s", err->text);
    else
        weir_problem_set(problem, 503, "server_error", "stopped", NULL,
                         "the answer took too long, or the server is being stopped");
}

static void end_choice(void *user, enum weir_job_end end, const struct weir_err *err)
{
    struct weir_choice_text *choice = user;
    struct weir_request *request = choice->request;
    if (end == WEIR_JOB_FAILED || end == WEIR_JOB_CANCELLED)
        fail(request, end, err);
    if (choice->log != NULL)
        weir_text_log_end(choice->log, request->exchange->serve, request->name, choice->index,
                          "answer");
    push_end(choice);
    choice->is_over = true;
    choice->why_over = end == WEIR_JOB_LENGTH || choice->is_cut ? "length" : "stop";
    if (end == WEIR_JOB_STOPPED && weir_reply_call_count(choice->reply) > 0)
        choice->why_over = "tool_calls";
    request->exchange->why_over = choice->why_over;
    if (!request->has_failed)
        flush(choice);
    if (++request->over_count == request->choice_count)
        finish(request);
}

static const struct weir_job_sink sink = {.look = look,
                                          .begin = begin,
                                          .progress = tell_progress,
                                          .token = take_token,
                                          .end = end_choice};

/* ---- the desk's part ----------------------------------------------------------------------- */

static bool add_choice(struct weir_request *request, const uint32_t *ids, uint32_t count,
                       uint32_t token_max)
{
    struct weir_choice_text *choice = &request->choices[request->choice_count];
    choice->request = request;
    choice->index = request->choice_count++;
    choice->job = (struct weir_job){
        .ids = weir_heap_array((size_t)count + token_max, sizeof(*ids)),
        .id_count = count,
        .token_max = token_max,
        .choice = request->sampling,
        .sink = &sink,
        .user = choice,
    };
    if (choice->job.ids == NULL || weir_stops_create(&choice->stops, request->stop_strings,
                                                     request->stop_count, NULL) != WEIR_OK)
        return false;
    if (request->exchange->serve->limits.log_text) {
        choice->log = weir_heap_alloc(sizeof(*choice->log));
        if (choice->log == NULL)
            return false;
    }
    memcpy(choice->job.ids, ids, count * sizeof(*ids));
    choice->job.choice.seed += choice->index;
    choice->job.choice.biases = request->biases;
    choice->job.choice.grammar = weir_shared_grammar(request->grammar);
    choice->job.ends_whole = request->must_call || request->schema != NULL;
    choice->job.choice.whole_within = request->grammar == NULL ? 0 : token_max;
    return true;
}

bool weir_request_reserve(struct weir_request *request, size_t prompt_count)
{
    struct weir_exchange *exchange = request->exchange;
    const struct weir_serve_limits *limits = weir_serve_limits_of(exchange->serve);
    const uint64_t count = prompt_count * request->answer_count;
    if (exchange->problem.status != 0)
        return false;
    const uint32_t most = weir_serve_parallel(exchange->serve) + limits->queue_max;
    if (count > most) {
        WEIR_PROBLEM(&exchange->problem, "n",
                     "wanted at most %u texts (n for each prompt), found %llu", most,
                     (unsigned long long)count);
        return false;
    }
    if (!weir_serve_places_take(exchange->serve, (uint32_t)count)) {
        weir_serve_problem_full(exchange->serve, exchange);
        return false;
    }
    exchange->place_count = (uint32_t)count;
    request->choices = weir_heap_array(count, sizeof(*request->choices));
    if (request->choices == NULL)
        weir_problem_set(&exchange->problem, 500, "server_error", "no_memory", NULL,
                         "no memory for %llu texts", (unsigned long long)count);
    return request->choices != NULL;
}

bool weir_request_add_prompt(struct weir_request *request, const uint32_t *ids, size_t count)
{
    struct weir_exchange *exchange = request->exchange;
    const uint32_t n_ctx = weir_serve_limits_of(exchange->serve)->n_ctx;
    if (count == 0 || count >= n_ctx) {
        weir_problem_set(&exchange->problem, 400, "invalid_request_error",
                         count == 0 ? "empty_prompt" : "context_length_exceeded",
                         request->dialect->prompt_name,
                         "the prompt has %zu tokens: wanted at least 1, and fewer than the %u that "
                         "the context holds",
                         count, n_ctx);
        return false;
    }
    const uint32_t left = n_ctx - (uint32_t)count;
    const uint32_t token_max =
        request->token_max == 0 ? left : (uint32_t)weir_min(request->token_max, left);
    exchange->prompt_tokens += (uint32_t)count;
    for (uint32_t answer = 0; answer < request->answer_count; answer++)
        if (!add_choice(request, ids, (uint32_t)count, token_max)) {
            weir_problem_set(&exchange->problem, 500, "server_error", "no_memory", NULL,
                             "no memory for a prompt of %zu tokens", count);
            return false;
        }
    return true;
}

void weir_request_start(struct weir_request *request)
{
    struct weir_exchange *exchange = request->exchange;
    const uint32_t count = request->choice_count;
    if (request->is_stream)
        weir_exchange_begin_stream(exchange, "text/event-stream");
    weir_exchange_hold(exchange); /* until the last choice is over */
    weir_running_add(request);
    for (uint32_t index = 0; index < count; index++) {
        const struct weir_choice_text *choice = &request->choices[index];
        if (choice->log != NULL && index % request->answer_count == 0)
            weir_text_log_ids(exchange->serve, request->name, index, "prompt", choice->job.ids,
                              choice->job.id_count);
        tell_begin(&request->choices[index]);
    }
    for (uint32_t index = 0; index < count; index++) {
        request->choices[index].job.party =
            exchange->party != NULL ? exchange->party : &request->party;
        weir_scheduler_submit(exchange->serve->scheduler, &request->choices[index].job);
    }
}
