/* serve_fuzz.c - libFuzzer: any bytes as the body of a request, read by the path that the first
 * byte chooses. The server has no place for a text, so that all is read and nothing is written. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "serve/grammars.h"
#include "serve/request.h"
#include "serve/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BODY_BYTES_MAX = 1 << 14, MEMORY_MAX = 4 << 20 };

static void must(bool holds)
{
    if (!holds)
        abort();
}

static void open_server(struct weir_serve *serve)
{
    static const char source[] =
        "{{ tools }}{% for m in messages %}{{ m.role }}{{ m.content }}{% for c in m.tool_calls or "
        "[] %}<tool_call>{{ c.function.arguments | tojson }}</tool_call>{% endfor %}{% endfor %}";
    const struct weir_chat_config config = {
        .source = source, .source_length = sizeof(source) - 1, .memory_max = MEMORY_MAX};
    weir_chat *chat = NULL;
    must(weir_chat_open(&chat, &config, NULL) == WEIR_OK);
    must(weir_tokenizer_open(&serve->tokenizer, "models/demo/weir-demo.gguf", NULL) == WEIR_OK);
    serve->config.chat = chat;
    serve->limits = (struct weir_serve_limits){
        .grammar_max = 1,
        .n_ctx = 256,
        .n_vocab = weir_tokenizer_vocab_count(serve->tokenizer),
        .d_model = 8,
        .body_bytes = BODY_BYTES_MAX,
    };
    serve->grammars = weir_grammars_create(serve->tokenizer, 1);
    must(serve->grammars != NULL);
    weir_fields_init();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const paths[] = {
        "/v1/chat/completions", "/v1/completions", "/tokenize",
        "/detokenize",          "/v1/messages",    "/v1/messages/count_tokens",
        "/v1/responses",        "/v1/embeddings",  "/v1/chat/completions/control",
    };
    const char *allow = NULL;
    static struct weir_serve serve;
    static char model_id[] = "demo";
    if (size < 2 || size > BODY_BYTES_MAX)
        return 0;
    if (serve.tokenizer == NULL)
        open_server(&serve);
    serve.model_id = model_id;
    struct weir_exchange *exchange = weir_exchange_create(&serve);
    must(exchange != NULL);
    exchange->route = weir_route_find("POST", paths[(uint8_t)(data[0] - '0') % WEIR_COUNT(paths)],
                                      &allow, exchange->part);
    must(exchange->route != NULL && exchange->route->read != NULL);
    json_t *root =
        weir_fields_parse((const char *)data + 1, size - 1, MEMORY_MAX, &exchange->problem);
    must((root == NULL) == (exchange->problem.status != 0));
    if (root == NULL)
        weir_exchange_refuse(exchange);
    else
        exchange->route->read(exchange, root);
    must(exchange->is_finished && exchange->answer.length > 0);
    json_decref(root);
    weir_exchange_release(exchange);
    return 0;
}
