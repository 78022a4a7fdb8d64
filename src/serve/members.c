/* members.c - what the bodies of requests may have.
 *
 * Limits that follow from the model or the command line are not here: the schemas are the same for
 * every server. A member that is null is absent. */
#include "serve/members.h"

#define TEXT "{\"type\":\"string\"}"
#define FLAG "{\"type\":\"boolean\"}"
#define OBJECT "{\"type\":\"object\"}"
#define OBJECTS "{\"type\":\"array\",\"items\":{\"type\":\"object\"}}"
#define ONE_OR_MORE "{\"type\":\"array\",\"minItems\":1,\"items\":{\"type\":\"object\"}}"
#define COUNT(low) "{\"type\":\"integer\",\"minimum\":" #low "}"
#define COUNT_TO(low, high) "{\"type\":\"integer\",\"minimum\":" #low ",\"maximum\":" #high "}"
#define NUMBER(low, high) "{\"type\":\"number\",\"minimum\":" #low ",\"maximum\":" #high "}"
#define ONLY(values) "{\"enum\":[" values "]}"
#define IDS "{\"type\":\"array\",\"items\":{\"type\":\"integer\",\"minimum\":0}}"
#define TEXT_OR_OBJECT "{\"anyOf\":[" TEXT "," OBJECT "]}"
#define TEXT_OR_OBJECTS "{\"anyOf\":[" TEXT "," OBJECTS "]}"
#define TEXTS_OR_IDS                                                                               \
    "{\"anyOf\":[{\"type\":\"string\"},{\"type\":\"array\",\"minItems\":1,\"items\":" TEXT "},"    \
    "{\"type\":\"array\",\"minItems\":1,\"items\":{\"type\":\"integer\",\"minimum\":0}},"          \
    "{\"type\":\"array\",\"minItems\":1,\"items\":" IDS "}]}"
#define STOPS "{\"anyOf\":[" TEXT ",{\"type\":\"array\",\"maxItems\":64,\"items\":" TEXT "}]}"
#define EFFORTS ONLY("\"none\",\"minimal\",\"low\",\"medium\",\"high\",\"xhigh\",\"max\"")

/* How tokens are chosen, which nearly all have. */
#define SAMPLING_MEMBERS                                                                           \
    {"temperature", NUMBER(0, 2)}, {"top_p", NUMBER(0, 1)}, {"top_k", COUNT(0)},                   \
        {"min_p", NUMBER(0, 1)}, {"typical_p", NUMBER(0, 1)},                                      \
        {"repeat_penalty", NUMBER(0.01, 100)}, {"repetition_penalty", NUMBER(0.01, 100)},          \
        {"repeat_last_n", COUNT(1)}, {"frequency_penalty", NUMBER(-2, 2)},                         \
        {"presence_penalty", NUMBER(-2, 2)}, {"logit_bias", OBJECT},                               \
        {"seed", "{\"type\":\"integer\"}"}, {"grammar", TEXT}, {"return_progress", FLAG},          \
        {"metadata", OBJECT}, {"user", TEXT},                                                      \
    {                                                                                              \
        "service_tier", ONLY("\"auto\",\"default\"")                                               \
    }

const struct weir_member weir_sampling_members[] = {SAMPLING_MEMBERS, {NULL, NULL}};

const struct weir_member weir_shared_members[] = {
    {"model", TEXT},          {"stream", FLAG}, {"stream_options", OBJECT},
    {"n", COUNT(1)},          {"stop", STOPS},  {"max_tokens", COUNT(1)},
    {"store", ONLY("false")}, SAMPLING_MEMBERS, {NULL, NULL},
};

const struct weir_member weir_chat_members[] = {
    {"messages", ONE_OR_MORE},
    {"max_completion_tokens", COUNT(1)},
    {"response_format", OBJECT},
    {"logprobs", FLAG},
    {"top_logprobs", COUNT_TO(0, 20)},
    {"chat_template_kwargs", OBJECT},
    {"reasoning_effort", EFFORTS},
    {"reasoning_budget_tokens", COUNT(0)},
    {"reasoning_control", FLAG},
    {"modalities", ONLY("[\"text\"]")},
    {"tools", OBJECTS},
    {"tool_choice", TEXT_OR_OBJECT},
    {"parallel_tool_calls", FLAG},
    {NULL, NULL},
};

const struct weir_member weir_completion_members[] = {
    {"prompt", TEXTS_OR_IDS}, {"logprobs", COUNT(0)},   {"echo", ONLY("false")},
    {"best_of", COUNT(1)},    {"suffix", ONLY("\"\"")}, {NULL, NULL},
};

const struct weir_member weir_count_members[] = {
    {"model", TEXT},           {"messages", ONE_OR_MORE}, {"system", TEXT_OR_OBJECTS},
    {"tools", OBJECTS},        {"tool_choice", OBJECT},   {"thinking", OBJECT},
    {"output_config", OBJECT}, {"cache_control", OBJECT}, {NULL, NULL},
};

const struct weir_member weir_message_members[] = {
    {"max_tokens", COUNT(1)},
    {"stream", FLAG},
    {"temperature", NUMBER(0, 2)},
    {"top_p", NUMBER(0, 1)},
    {"top_k", COUNT(0)},
    {"stop_sequences", "{\"type\":\"array\",\"maxItems\":64,\"items\":" TEXT "}"},
    {"metadata", OBJECT},
    {"service_tier", ONLY("\"auto\",\"standard_only\"")},
    {NULL, NULL},
};

const struct weir_member weir_responses_members[] = {
    {"model", TEXT},
    {"input", TEXT_OR_OBJECTS},
    {"instructions", TEXT},
    {"max_output_tokens", COUNT(1)},
    {"stream", FLAG},
    {"stream_options", OBJECT},
    {"text", OBJECT},
    {"reasoning", OBJECT},
    {"tools", OBJECTS},
    {"tool_choice", TEXT_OR_OBJECT},
    {"parallel_tool_calls", FLAG},
    {"include", "{\"type\":\"array\",\"items\":" ONLY(
                    "\"reasoning.encrypted_content\",\"message.output_text.logprobs\"") "}"},
    {"previous_response_id", TEXT},
    {"store", FLAG},
    {"background", ONLY("false")},
    {"truncation", ONLY("\"disabled\"")},
    {"top_logprobs", COUNT_TO(0, 20)},
    {"prompt_cache_key", TEXT},
    {"safety_identifier", TEXT},
    {"chat_template_kwargs", OBJECT},
    {NULL, NULL},
};

const struct weir_member weir_embeddings_members[] = {
    {"model", TEXT},
    {"input", TEXTS_OR_IDS},
    {"encoding_format", ONLY("\"float\",\"base64\"")},
    {"dimensions", "{\"type\":\"null\"}"},
    {"user", TEXT},
    {NULL, NULL},
};

const struct weir_member weir_control_members[] = {
    {"id", TEXT}, {"action", ONLY("\"reasoning_end\"")}, {"model", TEXT}, {NULL, NULL}};

const struct weir_member weir_tokenize_members[] = {{"content", TEXT},
                                                    {"add_special", FLAG},
                                                    {"parse_special", FLAG},
                                                    {"with_pieces", FLAG},
                                                    {NULL, NULL}};

const struct weir_member weir_detokenize_members[] = {{"tokens", IDS}, {NULL, NULL}};
