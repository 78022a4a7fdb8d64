/* sampling_fields.c - how tokens are chosen and when a text ends, as a request says it. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "serve/request.h"
#include "serve/server.h"

void weir_request_check(const struct weir_fields *fields, const struct weir_member *members)
{
    weir_fields_check_members(fields, members, weir_shared_members);
}

void weir_request_check_model(const struct weir_serve *serve, const struct weir_fields *fields)
{
    const char *model = weir_field_text(fields, "model");
    if (model != NULL && strcmp(model, serve->model_id) != 0 && !serve->config.any_model)
        weir_serve_problem_unknown(serve, fields->problem);
}

static void read_stream(struct weir_request *request, const struct weir_fields *fields)
{
    static const char *const names[] = {"include_usage", "include_obfuscation", NULL};
    request->is_stream = weir_field_flag(fields, "stream", false);
    const struct weir_fields more = {weir_field_object(fields, "stream_options"), fields->problem};
    if (more.object == NULL)
        return;
    weir_fields_check(&more, names);
    request->wants_usage = weir_field_flag(&more, "include_usage", false);
    weir_field_only(&more, "include_obfuscation", "false");
    if (!request->is_stream)
        WEIR_PROBLEM(fields->problem, "stream_options",
                     "\"stream_options\": wanted \"stream\": true with it");
}

static void read_progress(struct weir_request *request, const struct weir_fields *fields)
{
    request->wants_progress = weir_field_flag(fields, "return_progress", false);
    if (request->wants_progress && !request->is_stream)
        WEIR_PROBLEM(fields->problem, "return_progress",
                     "\"return_progress\": wanted \"stream\": true with it");
}

static void add_stop(struct weir_request *request, const struct weir_fields *fields, json_t *value)
{
    const char *name = request->dialect->stop_name;
    const char *text = json_string_value(value);
    const size_t length = json_string_length(value);
    if (text == NULL || length == 0 || length > WEIR_STOP_BYTES_MAX ||
        request->stop_count == WEIR_STOP_MAX)
        WEIR_PROBLEM(fields->problem, name, "\"%s\": wanted at most %d strings of 1 to %d bytes",
                     name, WEIR_STOP_MAX, WEIR_STOP_BYTES_MAX);
    else
        request->stop_strings[request->stop_count++] = text;
}

static void read_stop(struct weir_request *request, const struct weir_fields *fields)
{
    json_t *stop = weir_field(fields, request->dialect->stop_name);
    size_t index = 0;
    json_t *value = NULL;
    const struct weir_serve_usual *usual = &request->exchange->serve->config.usual;
    if (json_is_array(stop)) {
        json_array_foreach(stop, index, value) add_stop(request, fields, value);
    } else if (stop == NULL) {
        for (; request->stop_count < usual->stop_count; request->stop_count++)
            request->stop_strings[request->stop_count] = usual->stops[request->stop_count];
    } else {
        add_stop(request, fields, stop);
    }
    if (fields->problem->status == 0)
        request->stops = json_incref(stop);
}

/* OpenAI's -100 is never that token. */
static void read_biases(struct weir_request *request, const struct weir_fields *fields)
{
    enum { MOST = 100 };
    json_t *object = weir_field_object(fields, "logit_bias");
    const char *name = NULL;
    json_t *value = NULL;
    const size_t count = json_object_size(object);
    if (count == 0)
        return;
    if (count <= WEIR_BIAS_MAX)
        request->biases = weir_heap_array(count, sizeof(*request->biases));
    if (request->biases == NULL) {
        WEIR_PROBLEM(fields->problem, "logit_bias", "\"logit_bias\": wanted at most %d ids",
                     WEIR_BIAS_MAX);
        return;
    }
    json_object_foreach(object, name, value)
    {
        char *end = NULL;
        const unsigned long long id = strtoull(name, &end, 10);
        const double bias = json_is_number(value) ? json_number_value(value) : (double)NAN;
        if (name[0] < '0' || name[0] > '9' || *end != '\0' || id >= weir_request_n_vocab(request) ||
            !(bias >= -MOST && bias <= MOST)) {
            WEIR_PROBLEM(fields->problem, "logit_bias",
                         "\"logit_bias\": wanted ids below %u with numbers from -%d to %d",
                         weir_request_n_vocab(request), MOST, MOST);
            return;
        }
        request->biases[request->sampling.bias_count++] =
            (struct weir_logit_bias){(uint32_t)id, bias <= -MOST ? -INFINITY : (float)bias};
    }
}

void weir_request_set_grammar(struct weir_request *request, const char *field,
                              const struct weir_grammar_wish *wish)
{
    struct weir_exchange *exchange = request->exchange;
    struct weir_err err = {0};
    if (exchange->problem.status != 0)
        return;
    const enum weir_status status =
        weir_grammars_find(exchange->serve->grammars, wish, &request->grammar, &err);
    if (status == WEIR_ERR_NOMEM) {
        exchange->retry_s = weir_serve_retry_s(exchange->serve);
        weir_problem_set(&exchange->problem, 429, "rate_limit_error", "server_full", field, "%s",
                         err.text);
    } else if (status != WEIR_OK) {
        WEIR_PROBLEM(&exchange->problem, field, "\"%s\": %s", field, err.text);
    }
}

static void read_grammar(struct weir_request *request, const struct weir_fields *fields)
{
    const char *text = weir_field_text(fields, "grammar");
    if (text != NULL)
        weir_request_set_grammar(request, "grammar",
                                 &(struct weir_grammar_wish){.text = text, .length = strlen(text)});
}

/* What an absent member means: what the options say, else what the model advises, else the API's
 * own. */
static double usual(const struct weir_serve *serve, enum weir_advice advice, double plain)
{
    return (serve->advice.said >> advice & 1) != 0 ? serve->advice.values[advice] : plain;
}

void weir_sampling_usual(const struct weir_serve *serve, struct weir_sampler_config *sampling)
{
    const struct weir_serve_usual *ours = &serve->config.usual;
    *sampling = (struct weir_sampler_config){
        .temperature = (float)fmin(usual(serve, WEIR_ADVICE_TEMPERATURE, 1), 2),
        .top_k = (uint32_t)usual(serve, WEIR_ADVICE_TOP_K, 0),
        .top_p = (float)usual(serve, WEIR_ADVICE_TOP_P, 1),
        .min_p = (float)usual(serve, WEIR_ADVICE_MIN_P, 0),
        .typical_p = ours->typical_p > 0 ? (float)ours->typical_p : 1.0F,
        .xtc_probability = (float)usual(serve, WEIR_ADVICE_XTC_PROBABILITY, 0),
        .xtc_threshold = fmaxf((float)usual(serve, WEIR_ADVICE_XTC_THRESHOLD, 0.1), FLT_MIN),
        .repeat_penalty = (float)usual(serve, WEIR_ADVICE_REPEAT_PENALTY, 1),
        .frequency_penalty = (float)ours->frequency_penalty,
        .presence_penalty = (float)ours->presence_penalty,
        .repeat_last = (uint32_t)fmin(usual(serve, WEIR_ADVICE_REPEAT_LAST, serve->limits.n_ctx),
                                      WEIR_REPEAT_LAST_MAX),
    };
}

static float read_real(const struct weir_fields *fields, const char *name, double low, double high,
                       float usual_value)
{
    return (float)weir_field_real(fields, name, low, high, (double)usual_value);
}

/* llama.cpp's name of it, or vLLM's. */
static float read_repeat_penalty(const struct weir_fields *fields, float usual_value)
{
    const char *name = "repeat_penalty", *other = "repetition_penalty";
    if (weir_field(fields, name) != NULL && weir_field(fields, other) != NULL)
        WEIR_PROBLEM(fields->problem, other, "\"%s\": wanted it or \"%s\", which is the same",
                     other, name);
    return read_real(fields, weir_field(fields, other) == NULL ? name : other, 0.01,
                     WEIR_REPEAT_PENALTY_MAX, usual_value);
}

static void read_choice(struct weir_request *request, const struct weir_fields *fields)
{
    struct weir_sampler_config *sampling = &request->sampling;
    struct weir_sampler_config plain;
    weir_sampling_usual(request->exchange->serve, &plain);
    sampling->temperature = read_real(fields, "temperature", 0, 2, plain.temperature);
    /* Here 0 is the smallest share, which the likeliest has alone; to the library it is off. */
    sampling->top_p = fmaxf(read_real(fields, "top_p", 0, 1, plain.top_p), FLT_MIN);
    sampling->top_k = (uint32_t)weir_field_count(fields, "top_k", 0, INT32_MAX, plain.top_k);
    sampling->min_p = read_real(fields, "min_p", 0, 1, plain.min_p);
    sampling->typical_p = fmaxf(read_real(fields, "typical_p", 0, 1, plain.typical_p), FLT_MIN);
    sampling->xtc_probability = plain.xtc_probability;
    sampling->xtc_threshold = plain.xtc_threshold;
    sampling->repeat_penalty = read_repeat_penalty(fields, plain.repeat_penalty);
    sampling->frequency_penalty =
        read_real(fields, "frequency_penalty", -2, 2, plain.frequency_penalty);
    sampling->presence_penalty =
        read_real(fields, "presence_penalty", -2, 2, plain.presence_penalty);
    sampling->repeat_last = (uint32_t)weir_min(
        (uint64_t)weir_field_count(fields, "repeat_last_n", 1, INT32_MAX, plain.repeat_last),
        weir_min(request->exchange->serve->limits.n_ctx, WEIR_REPEAT_LAST_MAX));
}

void weir_sampling_read(struct weir_request *request, const struct weir_fields *fields)
{
    const struct weir_serve_limits *limits = weir_serve_limits_of(request->exchange->serve);
    const int64_t token_limit = limits->token_max > 0 ? limits->token_max : INT32_MAX;
    const struct weir_serve_usual *usual = &request->exchange->serve->config.usual;
    weir_request_check_model(request->exchange->serve, fields);
    read_stream(request, fields);
    read_progress(request, fields);
    read_stop(request, fields);
    read_biases(request, fields);
    read_grammar(request, fields);
    request->answer_count = (uint32_t)weir_field_count(
        fields, "n", 1, weir_serve_parallel(request->exchange->serve), 1);
    request->token_max = (uint32_t)weir_field_count(fields, "max_tokens", 1, token_limit, 0);
    if (request->token_max == 0)
        request->token_max = usual->token_max > 0 ? usual->token_max : limits->token_max;
    read_choice(request, fields);
    if (weir_field(fields, "seed") != NULL)
        request->sampling.seed =
            (uint64_t)weir_field_count(fields, "seed", INT64_MIN, INT64_MAX, 0);
    else
        request->sampling.seed =
            usual->has_seed ? usual->seed : weir_serve_random(request->exchange->serve);
    weir_field_text(fields, "user"); /* whose it is changes nothing of an answer */
    weir_field_object(fields, "metadata");
    weir_field_only(fields, "store", "false");
    weir_field_only(fields, "service_tier", "\"auto\"|\"default\"");
}
