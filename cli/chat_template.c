/* chat_template.c - weir template, and the chat template that the options ask for. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/heap.h"
#include "chat.h"

enum {
    TEMPLATE_BYTES_MAX = 4 << 20,
    JSON_BYTES_MAX = 64 << 20,
    POSITIONS = 4096,    /* of a context that nobody names */
    POSITION_BYTES = 32, /* of text, many more than most tokens have */
    RENDER_BYTES = 2 << 20,
    RENDER_COPIES = 8, /* of the text, as template and JSON make them */
};

/* ---- which template ------------------------------------------------------------------------ */

static bool is_format(const char *name)
{
    for (uint32_t index = 0; weir_chat_format_name(index) != NULL; index++)
        if (strcmp(weir_chat_format_name(index), name) == 0)
            return true;
    return false;
}

static void say_no_template(const char *name)
{
    char names[1024] = "";
    size_t length = 0;
    for (uint32_t index = 0; weir_chat_format_name(index) != NULL && length < sizeof(names);
         index++)
        length += (size_t)snprintf(names + length, sizeof(names) - length, "%s%s",
                                   index > 0 ? ", " : "", weir_chat_format_name(index));
    weir_cli_say("--template: wanted a file or one of %s, found \"%s\"", names, name);
}

static const char thinks[] = "{\"enable_thinking\": true, \"thinking\": true}";
static const char thinks_not[] = "{\"enable_thinking\": false, \"thinking\": false}";

/* Whether what a template writes depends on these variables. */
static bool can_choose_thinking(const weir_chat *chat)
{
    static const char question[] = "[{\"role\": \"user\", \"content\": \"1\"}]";
    struct weir_chat_request request = {
        .messages = question,
        .messages_length = strlen(question),
        .variables = thinks,
        .variables_length = strlen(thinks),
    };
    char *one = NULL, *other = NULL;
    size_t one_length = 0, other_length = 0;
    bool is_other = weir_chat_render(chat, &request, &one, &one_length, NULL) == WEIR_OK;
    request.variables = thinks_not;
    request.variables_length = strlen(thinks_not);
    is_other = is_other &&
               weir_chat_render(chat, &request, &other, &other_length, NULL) == WEIR_OK &&
               (one_length != other_length || memcmp(one, other, one_length) != 0);
    weir_chat_text_free(&one);
    weir_chat_text_free(&other);
    return is_other;
}

bool weir_cli_chat_think(struct weir_cli_chat *chat, const struct weir_cli_options *options)
{
    const bool is_off = strcmp(options->think, "off") == 0;
    if (!weir_cli_option_given(options, WEIR_CLI_OPTION_think))
        return true;
    if (can_choose_thinking(chat->chat)) {
        chat->variables = is_off ? thinks_not : thinks;
        return true;
    }
    if (is_off)
        weir_cli_say("--think off: this chat template has no way to ask for it; --think hide "
                     "leaves reasoning out of what is shown");
    return !is_off;
}

bool weir_cli_chat_open(struct weir_cli_chat *chat, const struct weir_cli_options *options,
                        uint64_t memory_max)
{
    const char *name = options->template;
    struct weir_cli_buffer source = {0};
    struct weir_err err = {0};
    struct weir_chat_config config = {.model_path = options->argument, .memory_max = memory_max};
    const int64_t before_bytes = weir_heap_own_bytes();
    *chat = (struct weir_cli_chat){0};
    if (name != NULL && is_format(name)) {
        config.format = name;
    } else if (name != NULL) {
        if (strcmp(name, "-") != 0 && access(name, F_OK) != 0) {
            say_no_template(name);
            return false;
        }
        if (!weir_cli_file_read(&source, "--template", name, TEMPLATE_BYTES_MAX)) {
            weir_cli_buffer_free(&source);
            return false;
        }
        config.source = source.bytes;
        config.source_length = source.length;
    }
    const enum weir_status status = weir_chat_open(&chat->chat, &config, &err);
    weir_cli_buffer_free(&source);
    if (status != WEIR_OK) {
        weir_cli_fail(&err);
        return false;
    }
    chat->heap_bytes = (uint64_t)(weir_heap_own_bytes() - before_bytes);
    if (weir_chat_origin(chat->chat) == WEIR_CHAT_PLAIN)
        weir_cli_say("%s has no chat template: texts are written one below the other "
                     "(--template chatml, or another format or file, says how they belong)",
                     options->argument);
    if (weir_cli_chat_think(chat, options))
        return true;
    weir_cli_chat_close(chat);
    return false;
}

void weir_cli_chat_close(struct weir_cli_chat *chat)
{
    weir_chat_close(&chat->chat);
}

/* ---- memory -------------------------------------------------------------------------------- */

uint64_t weir_cli_chat_text_max(uint32_t n_ctx)
{
    return (uint64_t)(n_ctx > 0 ? n_ctx : POSITIONS) * POSITION_BYTES;
}

uint64_t weir_cli_chat_render_max(uint32_t n_ctx)
{
    return RENDER_BYTES + RENDER_COPIES * weir_cli_chat_text_max(n_ctx);
}

uint64_t weir_cli_chat_bytes(const struct weir_cli_chat *chat, uint32_t n_ctx)
{
    /* Messages, the variables made of them, the rendering, and what is read and written. */
    return chat->heap_bytes + weir_cli_chat_render_max(n_ctx) + 6 * weir_cli_chat_text_max(n_ctx);
}

/* ---- messages ------------------------------------------------------------------------------ */

bool weir_cli_message_add(json_t *messages, const char *role, const char *bytes, size_t length)
{
    json_t *message = json_object();
    json_object_set_new(message, "role", json_string(role));
    weir_cli_json_text(message, "content", bytes, length);
    if (json_object_get(message, "content") != NULL &&
        json_array_append_new(messages, message) == 0)
        return true;
    weir_cli_say("no memory for a message of %zu bytes", length);
    return false;
}

bool weir_cli_chat_encode(const struct weir_cli_chat *chat, weir_tokenizer *tokenizer,
                          const json_t *messages, uint32_t **ids, size_t *count,
                          struct weir_err *err)
{
    char *text = json_dumps(messages, JSON_COMPACT);
    if (text == NULL) {
        *err = (struct weir_err){.status = WEIR_ERR_NOMEM};
        snprintf(err->text, sizeof(err->text), "no memory for the messages");
        return false;
    }
    const struct weir_chat_request request = {
        .messages = text,
        .messages_length = strlen(text),
        .variables = chat->variables,
        .variables_length = chat->variables == NULL ? 0 : strlen(chat->variables),
    };
    const enum weir_status status =
        weir_chat_encode(chat->chat, tokenizer, &request, ids, count, err);
    weir_heap_free(text);
    return status == WEIR_OK;
}

/* ---- weir template -------------------------------------------------------------------------- */

struct files {
    struct weir_cli_buffer messages, tools, variables;
};

static bool read_files(struct files *files, const struct weir_cli_options *options)
{
    return weir_cli_file_read(&files->messages, "--messages", options->messages, JSON_BYTES_MAX) &&
           (options->tools == NULL ||
            weir_cli_file_read(&files->tools, "--tools", options->tools, JSON_BYTES_MAX)) &&
           (options->variables == NULL ||
            weir_cli_file_read(&files->variables, "--vars", options->variables, JSON_BYTES_MAX));
}

static int write_rendering(const struct weir_cli_chat *chat, const struct files *files,
                           const struct weir_cli_options *options)
{
    const struct weir_chat_request request = {
        .messages = files->messages.bytes,
        .messages_length = files->messages.length,
        .tools = files->tools.bytes,
        .tools_length = files->tools.length,
        .variables = files->variables.bytes,
        .variables_length = files->variables.length,
        .no_generation_prompt = options->no_generation_prompt,
    };
    struct weir_err err = {0};
    char *text = NULL;
    size_t length = 0;
    if (weir_chat_render(chat->chat, &request, &text, &length, &err) != WEIR_OK)
        return weir_cli_fail(&err);
    weir_cli_text_write(text, length); /* the end of the program says why it did not go out */
    weir_chat_text_free(&text);
    return WEIR_CLI_OK;
}

int weir_cli_template(const struct weir_cli_options *options)
{
    struct files files = {0};
    struct weir_cli_chat chat = {0};
    int code = WEIR_CLI_FAILURE;
    if (options->argument == NULL && options->template == NULL)
        return weir_cli_misuse(options->command, "wanted MODEL or --template FILE, found neither");
    if (options->messages == NULL)
        return weir_cli_misuse(options->command, "wanted --messages FILE, found none");
    if (read_files(&files, options) && weir_cli_chat_open(&chat, options, 0))
        code = write_rendering(&chat, &files, options);
    weir_cli_chat_close(&chat);
    weir_cli_buffer_free(&files.messages);
    weir_cli_buffer_free(&files.tools);
    weir_cli_buffer_free(&files.variables);
    return code;
}
