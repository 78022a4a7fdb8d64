/* chat.c - a model's way to write a conversation: chosen, rendered, and as token ids. */
#include "chat/chat.h"

#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "base/utf8.h"
#include "formats/formats.h"

enum {
    MEMORY_MAX = 256 << 20,
    OUTPUT_SHARE = 8, /* of a rendering's memory is at most its text */
    MARK_FIRST = 0xfdd0,
    MARK_COUNT = 32, /* characters that Unicode leaves to programs for themselves */
};

/* ---- opening ------------------------------------------------------------------------------- */

/* The special tokens as members of the template's variables. */
static enum weir_status keep_specials(weir_chat *chat, const struct weir_chat_facts *facts,
                                      struct weir_err *err)
{
    struct weir_chat_buffer buffer = {0};
    for (uint32_t index = 0; index < facts->special_count; index++) {
        const struct weir_chat_text *special = &facts->specials[index];
        if (weir_utf8_valid(special->text, special->length) != special->length)
            continue;
        weir_chat_put_text(&buffer, special->name, strlen(special->name));
        weir_chat_put(&buffer, ":", 1);
        weir_chat_put_text(&buffer, special->text, special->length);
        weir_chat_put(&buffer, ",", 1);
    }
    weir_chat_put(&buffer, "", 1);
    chat->specials = buffer.bytes;
    return buffer.failed ? WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for special tokens") : WEIR_OK;
}

/* Keeps the source too. */
static enum weir_status parse(weir_chat *chat, bool with_tools, const char *source, size_t length,
                              struct weir_err *err)
{
    char **kept = &chat->sources[with_tools];
    *kept = weir_heap_alloc(length + 1);
    if (*kept == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a template of %zu bytes", length);
    if (length > 0)
        memcpy(*kept, source, length);
    return weir_template_parse(with_tools ? &chat->with_tools : &chat->usual, source, length, err);
}

static enum weir_status parse_format(weir_chat *chat, const char *name, struct weir_err *err)
{
    char *source = NULL;
    WEIR_TRY(weir_chat_format_find(name, &source, err));
    const enum weir_status status = parse(chat, false, source, strlen(source), err);
    weir_heap_free(source);
    return status;
}

static const struct weir_chat_text *find_template(const struct weir_chat_facts *facts,
                                                  const char *name)
{
    for (uint32_t index = 0; index < facts->template_count; index++)
        if (strcmp(facts->templates[index].name, name) == 0)
            return &facts->templates[index];
    return NULL;
}

/* What is asked for, or what the file has, or the plain format. */
static enum weir_status choose(weir_chat *chat, const struct weir_chat_config *config,
                               const struct weir_chat_facts *facts, struct weir_err *err)
{
    const struct weir_chat_text *usual = find_template(facts, "default");
    const struct weir_chat_text *tool_use = find_template(facts, "tool_use");
    chat->origin = config->source != NULL   ? WEIR_CHAT_GIVEN
                   : config->format != NULL ? WEIR_CHAT_KNOWN
                   : usual != NULL          ? WEIR_CHAT_OF_MODEL
                                            : WEIR_CHAT_PLAIN;
    switch (chat->origin) {
    case WEIR_CHAT_GIVEN:
        return parse(chat, false, config->source, config->source_length, err);
    case WEIR_CHAT_KNOWN:
        return parse_format(chat, config->format, err);
    case WEIR_CHAT_PLAIN:
        return parse_format(chat, "plain", err);
    case WEIR_CHAT_OF_MODEL:
        break;
    }
    WEIR_TRY(parse(chat, false, usual->text, usual->length, err));
    return tool_use == NULL ? WEIR_OK : parse(chat, true, tool_use->text, tool_use->length, err);
}

static enum weir_status read_facts(struct weir_chat_facts *facts, const char *path,
                                   struct weir_err *err)
{
    weir_manifest *manifest = NULL;
    WEIR_TRY(weir_manifest_open_vocab(&manifest, path, err));
    const enum weir_status status = weir_manifest_chat(manifest, facts, err);
    weir_manifest_close(&manifest);
    return status;
}

enum weir_status weir_chat_open(weir_chat **out, const struct weir_chat_config *config,
                                struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    struct weir_chat_facts facts = {0};
    if (out == NULL || config == NULL)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "chat: wanted a pointer, found NULL");
    weir_chat *chat = weir_heap_alloc(sizeof(*chat));
    if (chat == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a chat template");
    chat->memory_max = config->memory_max > 0 ? config->memory_max : MEMORY_MAX;
    if (config->model_path != NULL)
        WEIR_TRY_GOTO(read_facts(&facts, config->model_path, err));
    WEIR_TRY_GOTO(keep_specials(chat, &facts, err));
    WEIR_TRY_GOTO(choose(chat, config, &facts, err));
    weir_chat_facts_free(&facts);
    *out = chat;
    return WEIR_OK;

fail:
    weir_chat_facts_free(&facts);
    weir_chat_close(&chat);
    return status;
}

void weir_chat_close(weir_chat **chat)
{
    if (chat == NULL || *chat == NULL)
        return;
    weir_template_destroy(&(*chat)->usual);
    weir_template_destroy(&(*chat)->with_tools);
    weir_heap_free((*chat)->sources[0]);
    weir_heap_free((*chat)->sources[1]);
    weir_heap_free((*chat)->specials);
    weir_heap_free(*chat);
    *chat = NULL;
}

enum weir_chat_origin weir_chat_origin(const weir_chat *chat)
{
    return chat == NULL ? WEIR_CHAT_PLAIN : chat->origin;
}

bool weir_chat_mentions(const weir_chat *chat, const char *word)
{
    if (chat == NULL || word == NULL)
        return false;
    for (int index = 0; index < 2; index++)
        if (chat->sources[index] != NULL && strstr(chat->sources[index], word) != NULL)
            return true;
    return false;
}

/* ---- rendering ----------------------------------------------------------------------------- */

static enum weir_status render(const weir_chat *chat, const struct weir_chat_request *request,
                               struct weir_chat_guard *guard, char **text, size_t *length,
                               struct weir_err *err)
{
    struct weir_chat_buffer buffer = {0};
    const bool has_tools = request->tools != NULL && chat->with_tools != NULL;
    const struct weir_template_limits limits = {.memory_max = chat->memory_max,
                                                .output_max = chat->memory_max / OUTPUT_SHARE};
    enum weir_status status = weir_chat_variables(&buffer, chat, request, guard, err);
    if (status == WEIR_OK)
        status = weir_template_render(has_tools ? chat->with_tools : chat->usual, buffer.bytes,
                                      buffer.length, &limits, text, length, err);
    weir_heap_free(buffer.bytes);
    return status;
}

static enum weir_status check(const weir_chat *chat, const struct weir_chat_request *request,
                              struct weir_err *err)
{
    if (chat == NULL || request == NULL || request->messages == NULL)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "chat: wanted messages, found NULL");
    return WEIR_OK;
}

enum weir_status weir_chat_render(const weir_chat *chat, const struct weir_chat_request *request,
                                  char **text, size_t *length, struct weir_err *err)
{
    WEIR_TRY(check(chat, request, err));
    if (text == NULL || length == NULL)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "text: wanted a pointer, found NULL");
    return render(chat, request, NULL, text, length, err);
}

void weir_chat_text_free(char **text)
{
    if (text != NULL)
        weir_template_text_free(text);
}

/* ---- as token ids -------------------------------------------------------------------------- */

/* Whether a character is in the bytes, as it is or escaped as JSON does. */
static bool has_mark(const char *bytes, size_t length, const char *mark, uint32_t character)
{
    char escaped[8];
    if (bytes == NULL)
        return false;
    if (memmem(bytes, length, mark, strlen(mark)) != NULL)
        return true;
    snprintf(escaped, sizeof(escaped), "\\u%04x", character);
    for (size_t at = 0; at + strlen(escaped) <= length; at++)
        if (strncasecmp(bytes + at, escaped, strlen(escaped)) == 0)
            return true;
    return false;
}

/* A character that nobody uses. */
static enum weir_status choose_mark(struct weir_chat_guard *guard, const weir_chat *chat,
                                    const struct weir_chat_request *request, struct weir_err *err)
{
    const struct {
        const char *bytes;
        size_t length;
    } texts[] = {{request->messages, request->messages_length},
                 {request->tools, request->tools_length},
                 {request->variables, request->variables_length},
                 {chat->specials, strlen(chat->specials)},
                 {chat->sources[0], strlen(chat->sources[0])},
                 {chat->sources[1], chat->sources[1] == NULL ? 0 : strlen(chat->sources[1])}};
    for (uint32_t tried = 0; tried < MARK_COUNT; tried++) {
        bool is_used = false;
        guard->mark[weir_utf8_encode(MARK_FIRST + tried, guard->mark)] = '\0';
        for (size_t index = 0; index < WEIR_COUNT(texts) && !is_used; index++)
            is_used =
                has_mark(texts[index].bytes, texts[index].length, guard->mark, MARK_FIRST + tried);
        if (!is_used)
            return WEIR_OK;
    }
    return WEIR_FAIL(err, WEIR_ERR_ARG,
                     "messages: they use all of U+FDD0 to U+FDEF, which are no characters");
}

struct id_list {
    uint32_t *ids;
    size_t count, capacity;
};

static enum weir_status push_part(weir_text_encoder *encoder, const char *bytes, size_t length,
                                  bool ends, struct id_list *list, struct weir_err *err)
{
    const uint32_t *ids = NULL;
    size_t count = 0;
    WEIR_TRY(weir_text_encoder_push(encoder, bytes, length, ends, &ids, &count, err));
    if (list->capacity - list->count < count || list->ids == NULL) {
        const size_t capacity = weir_max(list->count + count + 1, 2 * list->capacity);
        uint32_t *grown = weir_heap_grow(list->ids, capacity * sizeof(*grown));
        if (grown == NULL)
            return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for %zu token ids", capacity);
        list->ids = grown;
        list->capacity = capacity;
    }
    if (count > 0)
        memcpy(list->ids + list->count, ids, count * sizeof(*ids));
    list->count += count;
    return WEIR_OK;
}

/* The text without its marks, across which no control token goes. */
static enum weir_status push_text(weir_text_encoder *encoder, const char *text, size_t length,
                                  const struct weir_chat_guard *guard, struct id_list *list,
                                  struct weir_err *err)
{
    const size_t mark_length = strlen(guard->mark);
    size_t at = 0;
    while (guard->mark_count > 0) {
        const char *mark = memmem(text + at, length - at, guard->mark, mark_length);
        if (mark == NULL)
            break;
        const size_t part = (size_t)(mark - (text + at));
        WEIR_TRY(push_part(encoder, text + at, part, false, list, err));
        WEIR_TRY(weir_text_encoder_guard(encoder, err));
        at += part + mark_length;
    }
    return push_part(encoder, text + at, length - at, true, list, err);
}

enum weir_status weir_chat_encode_by(const weir_chat *chat, weir_text *text,
                                     const struct weir_chat_request *request, uint32_t **ids,
                                     size_t *count, struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    struct weir_chat_guard guard = {.text = text};
    struct id_list list = {0};
    weir_text_encoder *encoder = NULL;
    char *rendered = NULL;
    size_t length = 0;
    WEIR_TRY(check(chat, request, err));
    const bool has_own_bos = chat->origin == WEIR_CHAT_OF_MODEL || chat->origin == WEIR_CHAT_GIVEN;
    WEIR_TRY(choose_mark(&guard, chat, request, err));
    WEIR_TRY_GOTO(weir_text_encoder_create(
        &encoder, text,
        WEIR_TOKENIZE_PARSE_SPECIAL | (has_own_bos ? 0u : WEIR_TOKENIZE_ADD_SPECIAL), err));
    WEIR_TRY_GOTO(render(chat, request, &guard, &rendered, &length, err));
    WEIR_TRY_GOTO(push_text(encoder, rendered, length, &guard, &list, err));
    *ids = list.ids;
    *count = list.count;
    list.ids = NULL;

fail:
    weir_heap_free(list.ids);
    weir_heap_free(rendered);
    weir_text_encoder_destroy(&encoder);
    return status;
}
