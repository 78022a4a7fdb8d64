/* openapi.c - the API's own description, made of the tables that requests are read by.
 *
 * Only what a route answers is said here a second time; tests hold answers against it. */
#include "serve/openapi.h"

#include <string.h>

#include "serve/server.h"

#define MEMBERS(required, more)                                                                    \
    "{\"type\":\"object\",\"required\":[" required "],\"properties\":{" more "}}"
#define TEXT "{\"type\":\"string\"}"
#define COUNT "{\"type\":\"integer\",\"minimum\":0}"
#define ARRAY(items) "{\"type\":\"array\",\"items\":" items "}"
#define PIECE                                                                                      \
    MEMBERS("\"id\",\"piece\"",                                                                    \
            "\"id\":" COUNT ",\"piece\":{\"anyOf\":[" TEXT "," ARRAY(COUNT) "]}")
#define OPENAI_USAGE                                                                               \
    MEMBERS("\"prompt_tokens\",\"total_tokens\"",                                                  \
            "\"prompt_tokens\":" COUNT ",\"total_tokens\":" COUNT ",\"completion_tokens\":" COUNT)
#define ANTHROPIC_USAGE                                                                            \
    MEMBERS("\"input_tokens\",\"output_tokens\"",                                                  \
            "\"input_tokens\":" COUNT ",\"output_tokens\":" COUNT)

static const char chat_answer[] =
    MEMBERS("\"id\",\"object\",\"created\",\"model\",\"choices\",\"usage\"",
            "\"id\":" TEXT ",\"object\":{\"const\":\"chat.completion\"},\"choices\":" ARRAY(
                MEMBERS("\"index\",\"message\",\"finish_reason\"",
                        "\"index\":" COUNT ",\"finish_reason\":{\"enum\":[\"stop\",\"length\","
                        "\"tool_calls\"]}")) ",\"usage\":" OPENAI_USAGE);
static const char completion_answer[] =
    MEMBERS("\"id\",\"object\",\"created\",\"model\",\"choices\",\"usage\"",
            "\"id\":" TEXT ",\"object\":{\"const\":\"text_completion\"},\"choices\":" ARRAY(MEMBERS(
                "\"index\",\"text\",\"finish_reason\"",
                "\"index\":" COUNT ",\"text\":" TEXT
                ",\"finish_reason\":{\"enum\":[\"stop\",\"length\"]}")) ",\"usage\":" OPENAI_USAGE);
static const char message_answer[] =
    MEMBERS("\"id\",\"type\",\"role\",\"content\",\"model\",\"stop_reason\",\"usage\"",
            "\"id\":" TEXT
            ",\"type\":{\"const\":\"message\"},\"content\":{\"type\":\"array\"},\"stop_reason\":"
            "{\"enum\":[\"end_turn\",\"max_tokens\",\"stop_sequence\",\"tool_use\"]},"
            "\"usage\":" ANTHROPIC_USAGE);
static const char response_answer[] = MEMBERS(
    "\"id\",\"object\",\"created_at\",\"model\",\"status\",\"output\",\"usage\",\"tools\","
    "\"tool_choice\",\"text\",\"instructions\",\"parallel_tool_calls\"",
    "\"id\":" TEXT
    ",\"object\":{\"const\":\"response\"},\"tools\":{\"type\":\"array\"},\"status\":{\"enum\":"
    "[\"completed\",\"incomplete\"]},\"output\":" ARRAY(
        MEMBERS("\"id\",\"type\",\"status\"", "\"type\":{\"enum\":[\"reasoning\",\"message\","
                                              "\"function_call\"]}")) ",\"usage"
                                                                      "\":" ANTHROPIC_USAGE);
static const char embedding_answer[] =
    MEMBERS("\"object\",\"data\",\"model\",\"usage\"",
            "\"object\":{\"const\":\"list\"},\"data\":" ARRAY(
                MEMBERS("\"object\",\"index\",\"embedding\"",
                        "\"index\":" COUNT ",\"embedding\":{\"anyOf\":[" TEXT
                        "," ARRAY("{\"type\":\"number\"}") "]}")) ",\"usage\":" OPENAI_USAGE);
static const char any_object[] = "{\"type\":\"object\"}";

static const struct weir_operation operations[] = {
    {"GET", "/health", "Whether the server takes requests.",
     MEMBERS("\"status\"", "\"status\":" TEXT), false, NULL, NULL, NULL},
    {"GET", "/openapi.json", "This description.", any_object, false, NULL, NULL, NULL},
    {"GET", "/v1/models", "The models that are served.",
     MEMBERS("\"object\",\"data\"", "\"data\":" ARRAY(MEMBERS("\"id\"", "\"id\":" TEXT))), false,
     NULL, NULL, NULL},
    {"GET", "/v1/models/{model}", "One of them.", MEMBERS("\"id\"", "\"id\":" TEXT), false, NULL,
     NULL, NULL},
    {"GET", "/v1/me", "Whose key is shown.", MEMBERS("\"id\",\"object\"", "\"id\":" TEXT), false,
     NULL, NULL, NULL},
    {"GET", "/props", "Limits, context, ceiling, and what a request means that does not say.",
     any_object, false, NULL, NULL, NULL},
    {"GET", "/metrics", "Numbers for Prometheus.", NULL, false, NULL, NULL, NULL},
    {"GET", "/slots", "How far texts are.", any_object, false, NULL, NULL, NULL},
    {"GET", "/v1/watch", "What the machine does now.", any_object, false, NULL, NULL, NULL},
    {"POST", "/v1/chat/completions", "The answer to a conversation.", chat_answer, true,
     weir_chat_members, weir_shared_members, "\"messages\""},
    {"POST", "/v1/chat/completions/control",
     "Ends the reasoning of an answer that is being written.",
     MEMBERS("\"success\"", "\"success\":{\"type\":\"boolean\"}"), false, weir_control_members,
     NULL, "\"id\",\"action\""},
    {"POST", "/v1/completions", "What follows a text.", completion_answer, true,
     weir_completion_members, weir_shared_members, "\"prompt\""},
    {"POST", "/v1/responses", "The answer to a conversation, as items.", response_answer, true,
     weir_responses_members, weir_sampling_members, "\"input\""},
    {"POST", "/v1/responses/input_tokens", "How many tokens the prompt of such a request has.",
     MEMBERS("\"object\",\"input_tokens\"",
             "\"object\":{\"const\":\"response.input_tokens\"},\"input_tokens\":" COUNT),
     false, weir_responses_members, weir_sampling_members, "\"input\""},
    {"GET", "/v1/responses/{response_id}",
     "A response again, unless it was asked for with \"store\": false. They are kept in memory: "
     "the "
     "last 1024 at most, in as many bytes as --stored-bytes says (4 MiB; less under a low "
     "ceiling).",
     response_answer, false, NULL, NULL, NULL},
    {"DELETE", "/v1/responses/{response_id}", "Forgets it.",
     MEMBERS("\"id\",\"deleted\"", "\"id\":" TEXT ",\"deleted\":{\"const\":true}"), false, NULL,
     NULL, NULL},
    {"GET", "/v1/responses/{response_id}/input_items", "The items before it.",
     MEMBERS("\"object\",\"data\",\"has_more\"",
             "\"object\":{\"const\":\"list\"},\"data\":" ARRAY(
                 MEMBERS("\"id\",\"type\"",
                         "\"id\":" TEXT ",\"type\":" TEXT)) ",\"has_more\":{\"type\":\"boolean\"}"),
     false, NULL, NULL, NULL},
    {"POST", "/v1/embeddings", "What texts mean, as directions.", embedding_answer, false,
     weir_embeddings_members, NULL, "\"input\""},
    {"POST", "/v1/messages", "The answer to a conversation, as Anthropic's API has it.",
     message_answer, true, weir_count_members, weir_message_members, "\"messages\",\"max_tokens\""},
    {"POST", "/v1/messages/count_tokens", "How many tokens the prompt of such a request has.",
     MEMBERS("\"input_tokens\"", "\"input_tokens\":" COUNT), false, weir_count_members, NULL,
     "\"messages\""},
    {"POST", "/apply-template", "The prompt that a chat would have: its text, and its tokens.",
     MEMBERS("\"prompt\",\"tokens\",\"count\"",
             "\"prompt\":" TEXT ",\"tokens\":" ARRAY(PIECE) ",\"count\":" COUNT),
     false, weir_chat_members, weir_shared_members, "\"messages\""},
    {"POST", "/tokenize", "The token ids of a text.",
     MEMBERS("\"tokens\",\"count\"",
             "\"tokens\":" ARRAY("{\"anyOf\":[" COUNT "," PIECE "]}") ",\"count\":" COUNT),
     false, weir_tokenize_members, NULL, "\"content\""},
    {"POST", "/detokenize", "The text of token ids.", MEMBERS("\"content\"", "\"content\":" TEXT),
     false, weir_detokenize_members, NULL, "\"tokens\""},
};

const struct weir_operation *weir_operation_find(const char *method, const char *path)
{
    for (size_t row = 0; row < WEIR_COUNT(operations); row++)
        if (strcmp(operations[row].method, method) == 0 && strcmp(operations[row].path, path) == 0)
            return &operations[row];
    return NULL;
}

/* ---- the document -------------------------------------------------------------------------- */

/* A member that is null is absent. */
static void write_members(const struct weir_member *members, const char *between,
                          struct weir_writer *writer)
{
    for (; members != NULL && members->name != NULL; members++) {
        weir_writer_text(writer, between);
        weir_writer_string(writer, members->name, strlen(members->name));
        weir_writer_text(writer, ":{\"anyOf\":[");
        weir_writer_text(writer, members->schema);
        weir_writer_text(writer, ",{\"type\":\"null\"}]}");
        between = ",";
    }
}

static void write_body(const struct weir_operation *operation, struct weir_writer *writer)
{
    weir_writer_text(writer,
                     ",\"requestBody\":{\"required\":true,\"content\":{\"application/json\":"
                     "{\"schema\":{\"type\":\"object\",\"additionalProperties\":false,"
                     "\"required\":[");
    weir_writer_text(writer, operation->required);
    weir_writer_text(writer, "],\"properties\":{");
    write_members(operation->members, "", writer);
    write_members(operation->more, ",", writer);
    weir_writer_text(writer, "}}}}}");
}

static void write_answers(const struct weir_operation *operation, bool is_anthropic,
                          struct weir_writer *writer)
{
    static const char *const kinds[] = {"4XX", "5XX"};
    weir_writer_text(writer,
                     ",\"responses\":{\"200\":{\"description\":\"The answer.\",\"content\":{");
    if (operation->answer == NULL) {
        weir_writer_text(writer, "\"text/plain\":{\"schema\":" TEXT "}");
    } else {
        weir_writer_text(writer, "\"application/json\":{\"schema\":");
        weir_writer_text(writer, operation->answer);
        weir_writer_text(writer, "}");
    }
    if (operation->is_stream)
        weir_writer_text(writer, ",\"text/event-stream\":{\"schema\":" TEXT "}");
    weir_writer_text(writer, "}}");
    for (size_t row = 0; row < WEIR_COUNT(kinds); row++)
        weir_writer_format(writer,
                           ",\"%s\":{\"description\":\"Why there is none.\",\"content\":"
                           "{\"application/json\":{\"schema\":{\"$ref\":"
                           "\"#/components/schemas/%s\"}}}}",
                           kinds[row], is_anthropic ? "AnthropicProblem" : "Problem");
    weir_writer_text(writer, "}");
}

/* What stands in the path for the words in braces, and what a list may be asked behind a question
 * mark. */
static void write_parameters(const char *path, struct weir_writer *writer)
{
    static const char items[] = "/input_items";
    const char *name = strchr(path, '{');
    if (name == NULL)
        return;
    const int length = (int)strcspn(name + 1, "}");
    const char *behind = name + 1 + length + 1;
    weir_writer_format(writer,
                       ",\"parameters\":[{\"name\":\"%.*s\",\"in\":\"path\",\"required\":true,"
                       "\"schema\":" TEXT "}",
                       length, name + 1);
    if (strcmp(behind, items) == 0)
        weir_writer_text(
            writer,
            ",{\"name\":\"limit\",\"in\":\"query\",\"schema\":{\"type\":\"integer\","
            "\"minimum\":1,\"maximum\":100}},{\"name\":\"order\",\"in\":\"query\",\"schema\":"
            "{\"enum\":[\"asc\",\"desc\"]}},{\"name\":\"after\",\"in\":\"query\",\"schema\":" TEXT
            "}");
    weir_writer_text(writer, "]");
}

static void write_operation(const struct weir_route *route, struct weir_writer *writer)
{
    static const char *const methods[][2] = {
        {"GET", "\"get\":{"}, {"POST", "\"post\":{"}, {"DELETE", "\"delete\":{"}};
    const struct weir_operation *operation = weir_operation_find(route->method, route->path);
    for (size_t row = 0; row < WEIR_COUNT(methods); row++)
        if (strcmp(methods[row][0], route->method) == 0)
            weir_writer_text(writer, methods[row][1]);
    weir_writer_text(writer, "\"summary\":");
    weir_writer_string(writer, operation->summary, strlen(operation->summary));
    weir_writer_text(writer, route->is_open ? ",\"security\":[]" : "");
    write_parameters(route->path, writer);
    if (operation->members != NULL)
        write_body(operation, writer);
    write_answers(operation, route->is_anthropic, writer);
    weir_writer_text(writer, "}");
}

void weir_openapi_write(struct weir_writer *writer)
{
    const struct weir_route *route = NULL;
    const char *path = NULL; /* of the route before; those of one path stand together */
    weir_writer_text(writer,
                     "{\"openapi\":\"3.1.0\",\"info\":{\"title\":\"weir serve\",\"version\":"
                     "\"" WEIR_VERSION "\"},\"security\":[{},{\"bearer\":[]},{\"key\":[]}],"
                     "\"paths\":{");
    for (uint32_t index = 0; (route = weir_route_at(index)) != NULL; index++) {
        if (path == NULL || strcmp(path, route->path) != 0) {
            weir_writer_text(writer, path == NULL ? "" : "},");
            weir_writer_string(writer, route->path, strlen(route->path));
            weir_writer_text(writer, ":{");
        } else {
            weir_writer_text(writer, ",");
        }
        write_operation(route, writer);
        path = route->path;
    }
    weir_writer_text(
        writer,
        "}},\"components\":{\"securitySchemes\":{\"bearer\":{\"type\":\"http\",\"scheme\":"
        "\"bearer\"},\"key\":{\"type\":\"apiKey\",\"in\":\"header\",\"name\":\"x-api-key\"}},"
        "\"schemas\":{\"Problem\":" MEMBERS(
            "\"error\"",
            "\"error\":" MEMBERS(
                "\"message\",\"type\",\"param\",\"code\"",
                "\"message\":" TEXT ",\"type\":" TEXT
                ",\"code\":" TEXT)) ",\"AnthropicProblem\":" MEMBERS("\"type\",\"error\"",
                                                                     "\"type\":{\"const\":"
                                                                     "\"error\"},"
                                                                     "\"error\":" MEMBERS(
                                                                         "\"type\","
                                                                         "\"message\"",
                                                                         "\"type\":" TEXT
                                                                         ",\"message\""
                                                                         ":" TEXT)) "}}}");
}

void weir_openapi_tell(struct weir_exchange *exchange)
{
    exchange->shared = &exchange->serve->openapi;
    weir_exchange_reply(exchange, 200, "application/json");
}
