/* chat_words.c - the commands of a chat: lines that begin with a slash. */
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "talk.h"

/* What /set changes: it holds from the next answer on. */
static const enum weir_cli_option_id settings[] = {
    WEIR_CLI_OPTION_temperature,
    WEIR_CLI_OPTION_top_k,
    WEIR_CLI_OPTION_top_p,
    WEIR_CLI_OPTION_min_p,
    WEIR_CLI_OPTION_typical_p,
    WEIR_CLI_OPTION_xtc_probability,
    WEIR_CLI_OPTION_xtc_threshold,
    WEIR_CLI_OPTION_repeat_penalty,
    WEIR_CLI_OPTION_repeat_last,
    WEIR_CLI_OPTION_frequency_penalty,
    WEIR_CLI_OPTION_presence_penalty,
    WEIR_CLI_OPTION_dry_multiplier,
    WEIR_CLI_OPTION_dry_base,
    WEIR_CLI_OPTION_dry_allowed,
    WEIR_CLI_OPTION_dry_last,
    WEIR_CLI_OPTION_seed,
    WEIR_CLI_OPTION_answer_limit,
    WEIR_CLI_OPTION_think,
};

/* Without the dashes. */
static const char *setting_name(size_t index)
{
    const char *flag = weir_cli_option_rows[settings[index]].flag;
    return flag + strspn(flag, "-");
}

/* ---- messages ------------------------------------------------------------------------------ */

static const char *role_at(const struct weir_cli_talk *talk, size_t index)
{
    const char *role =
        json_string_value(json_object_get(json_array_get(talk->messages, index), "role"));
    return role == NULL ? "" : role;
}

/* The last messages that are not the user's; returns how many. */
static size_t remove_answers(struct weir_cli_talk *talk)
{
    size_t removed = 0, size = json_array_size(talk->messages);
    while (size > 0 && strcmp(role_at(talk, size - 1), "user") != 0 &&
           !(size == 1 && weir_cli_talk_has_system(talk))) {
        json_array_remove(talk->messages, --size);
        removed++;
    }
    return removed;
}

static enum weir_cli_turn undo(struct weir_cli_talk *talk, const char *rest)
{
    (void)rest;
    const size_t removed = remove_answers(talk);
    const size_t size = json_array_size(talk->messages);
    const bool has_question = size > 0 && strcmp(role_at(talk, size - 1), "user") == 0;
    if (has_question)
        json_array_remove(talk->messages, size - 1);
    if (!has_question && removed == 0) {
        weir_cli_say("/undo: there is no turn to take back");
        return WEIR_CLI_TURN_FAILED;
    }
    weir_cli_talk_open_window(talk);
    weir_cli_say("the last turn is taken back");
    return WEIR_CLI_TURN_DONE;
}

static enum weir_cli_turn retry(struct weir_cli_talk *talk, const char *rest)
{
    const size_t size = json_array_size(talk->messages);
    size_t last = size;
    (void)rest;
    while (last > 0 && strcmp(role_at(talk, last - 1), "user") != 0)
        last--;
    if (last == 0) {
        weir_cli_say("/retry: there is no question to answer again");
        return WEIR_CLI_TURN_FAILED;
    }
    json_t *old = json_array();
    for (size_t index = last; index < size; index++)
        json_array_append(old, json_array_get(talk->messages, index));
    remove_answers(talk);
    const enum weir_cli_turn outcome = weir_cli_talk_answer(talk);
    if (outcome == WEIR_CLI_TURN_FAILED) /* the old answer stays */
        json_array_extend(talk->messages, old);
    json_decref(old);
    return outcome;
}

static enum weir_cli_turn reset(struct weir_cli_talk *talk, const char *rest)
{
    (void)rest;
    size_t size = json_array_size(talk->messages);
    while (size > (weir_cli_talk_has_system(talk) ? 1 : 0))
        json_array_remove(talk->messages, --size);
    weir_cli_talk_open_window(talk);
    weir_cli_say("the conversation begins anew");
    return WEIR_CLI_TURN_DONE;
}

static enum weir_cli_turn set_system(struct weir_cli_talk *talk, const char *rest)
{
    json_t *message = weir_cli_talk_has_system(talk) ? json_array_get(talk->messages, 0) : NULL;
    if (rest[0] == '\0') {
        const char *text = json_string_value(json_object_get(message, "content"));
        weir_cli_say(text == NULL ? "/system: there is no system text%s" : "system: %s",
                     text == NULL ? "" : text);
        return WEIR_CLI_TURN_DONE;
    }
    json_t *list = json_array();
    if (!weir_cli_message_add(list, "system", rest, strlen(rest))) {
        json_decref(list);
        return WEIR_CLI_TURN_FAILED;
    }
    if (message != NULL)
        json_array_set(talk->messages, 0, json_array_get(list, 0));
    else
        json_array_insert(talk->messages, 0, json_array_get(list, 0));
    json_decref(list);
    weir_cli_talk_open_window(talk);
    weir_cli_say("the system text is set; it holds from the next answer on");
    return WEIR_CLI_TURN_DONE;
}

/* ---- files --------------------------------------------------------------------------------- */

static enum weir_cli_turn save(struct weir_cli_talk *talk, const char *rest)
{
    struct weir_cli_out out = {0};
    if (rest[0] == '\0') {
        weir_cli_say("/save: wanted the name of a file, found none");
        return WEIR_CLI_TURN_FAILED;
    }
    if (!weir_cli_out_open(&out, rest))
        return WEIR_CLI_TURN_FAILED;
    const bool ok =
        json_dumpf(talk->messages, out.file, JSON_INDENT(2)) == 0 && fputc('\n', out.file) != EOF;
    if (!weir_cli_out_finish(&out) || !ok)
        return WEIR_CLI_TURN_FAILED;
    weir_cli_say("%zu messages are in %s", json_array_size(talk->messages), rest);
    return WEIR_CLI_TURN_DONE;
}

/* What is wrong with the messages of a file; NULL: nothing. *at is the place. */
static const char *find_wrong(const json_t *messages, size_t *at)
{
    *at = 0;
    if (!json_is_array(messages))
        return "wanted a JSON array of messages, found something else";
    for (; *at < json_array_size(messages); (*at)++) {
        const json_t *message = json_array_get(messages, *at);
        if (!json_is_object(message) || !json_is_string(json_object_get(message, "role")))
            return "wanted an object with a role, found something else";
        const json_t *content = json_object_get(message, "content");
        if (!json_is_string(content) && !json_is_array(content) &&
            json_object_get(message, "tool_calls") == NULL)
            return "wanted an object with a content, found none";
    }
    return NULL;
}

static enum weir_cli_turn load(struct weir_cli_talk *talk, const char *rest)
{
    struct weir_cli_buffer text = {0};
    json_error_t error = {.text = ""};
    size_t at = 0;
    if (rest[0] == '\0') {
        weir_cli_say("/load: wanted the name of a file, found none");
        return WEIR_CLI_TURN_FAILED;
    }
    if (!weir_cli_file_read(&text, "/load", rest, 2 * talk->text_max)) {
        weir_cli_buffer_free(&text);
        return WEIR_CLI_TURN_FAILED;
    }
    json_t *messages = json_loadb(text.bytes, text.length, JSON_REJECT_DUPLICATES, &error);
    weir_cli_buffer_free(&text);
    const char *wrong = messages == NULL ? NULL : find_wrong(messages, &at);
    if (messages == NULL)
        weir_cli_say("/load %s: wanted JSON, found in line %d: %s", rest, error.line, error.text);
    else if (wrong != NULL)
        weir_cli_say("/load %s: message %zu: %s", rest, at + 1, wrong);
    if (messages == NULL || wrong != NULL) {
        json_decref(messages);
        return WEIR_CLI_TURN_FAILED;
    }
    json_decref(talk->messages);
    talk->messages = messages;
    weir_cli_talk_open_window(talk);
    weir_cli_say("%zu messages are loaded from %s", json_array_size(messages), rest);
    return WEIR_CLI_TURN_DONE;
}

/* ---- settings and figures ------------------------------------------------------------------ */

static enum weir_cli_turn list_settings(const struct weir_cli_talk *talk)
{
    for (size_t index = 0; index < WEIR_COUNT(settings); index++) {
        char value[64];
        weir_cli_option_show(&talk->options, settings[index], value, sizeof(value));
        fprintf(stderr, "  %-20s %s\n", setting_name(index), value);
    }
    return WEIR_CLI_TURN_DONE;
}

static enum weir_cli_turn refuse_setting(const char *name)
{
    const char *names[WEIR_COUNT(settings)];
    for (size_t index = 0; index < WEIR_COUNT(settings); index++)
        names[index] = setting_name(index);
    const char *nearest = weir_cli_nearest(name, names, WEIR_COUNT(names));
    weir_cli_say("/set: there is no setting %s%s%s; /set lists them", name,
                 nearest == NULL ? "" : ", did you mean ", nearest == NULL ? "" : nearest);
    return WEIR_CLI_TURN_FAILED;
}

static enum weir_cli_turn set(struct weir_cli_talk *talk, const char *rest)
{
    char name[64], wanted[96];
    const size_t length = strcspn(rest, " =");
    const char *value = rest + length + strspn(rest + length, " =");
    size_t index = 0;
    if (rest[0] == '\0')
        return list_settings(talk);
    snprintf(name, sizeof(name), "%.*s", (int)weir_min(length, sizeof(name) - 1), rest);
    while (index < WEIR_COUNT(settings) && strcmp(setting_name(index), name) != 0)
        index++;
    if (index == WEIR_COUNT(settings))
        return refuse_setting(name);
    struct weir_cli_options changed = talk->options;
    if (!weir_cli_option_change(&changed, settings[index], value, wanted, sizeof(wanted))) {
        weir_cli_say("/set %s: wanted %s, found \"%s\"", name, wanted, value);
        return WEIR_CLI_TURN_FAILED;
    }
    /* A choice is one of its row's words, not of the line that will be read over. */
    if (settings[index] == WEIR_CLI_OPTION_think) {
        changed.think = value[0] == 'h' ? "hide" : value[1] == 'f' ? "off" : "on";
        if (!weir_cli_chat_think(&talk->chat, &changed))
            return WEIR_CLI_TURN_FAILED;
    }
    talk->options = changed;
    weir_cli_say("%s is %s", name, value);
    return WEIR_CLI_TURN_DONE;
}

static enum weir_cli_turn show_stats(struct weir_cli_talk *talk, const char *rest)
{
    (void)rest;
    if (talk->has_report)
        weir_cli_report_print(&talk->report);
    else
        weir_cli_say("/stats: there was no answer yet");
    return WEIR_CLI_TURN_DONE;
}

static enum weir_cli_turn show_tokens(struct weir_cli_talk *talk, const char *rest)
{
    const size_t from = weir_cli_talk_has_system(talk) ? 1 : 0;
    (void)rest;
    weir_cli_say("%zu of %u positions are in use by %zu messages; %zu have left the context",
                 talk->id_count, talk->n_ctx,
                 json_array_size(talk->messages) - (talk->first - from), talk->first - from);
    return WEIR_CLI_TURN_DONE;
}

/* ---- finding them -------------------------------------------------------------------------- */

static enum weir_cli_turn leave(struct weir_cli_talk *talk, const char *rest)
{
    (void)talk;
    (void)rest;
    return WEIR_CLI_TURN_OVER;
}

static enum weir_cli_turn help(struct weir_cli_talk *talk, const char *rest);

static const struct {
    const char *name;
    enum weir_cli_turn (*run)(struct weir_cli_talk *talk, const char *rest);
    const char *argument, *about;
} words[] = {
    {"/help", help, "", "this list"},
    {"/system", set_system, "TEXT", "what the model is told before all else; alone: shows it"},
    {"/reset", reset, "", "begin anew, with the same system text"},
    {"/undo", undo, "", "take the last question and its answer back"},
    {"/retry", retry, "", "answer the last question once more"},
    {"/save", save, "FILE", "write the messages as JSON"},
    {"/load", load, "FILE", "read them back"},
    {"/set", set, "NAME VALUE", "change a setting, such as temp 0.5; alone: lists them"},
    {"/stats", show_stats, "", "what the last answer took"},
    {"/tokens", show_tokens, "", "how much of the context is in use"},
    {"/exit", leave, "", "end, as Ctrl-D does"},
    {"/quit", leave, NULL, NULL}, /* as other chats have it */
    {"/bye", leave, NULL, NULL},
};

static enum weir_cli_turn help(struct weir_cli_talk *talk, const char *rest)
{
    (void)talk;
    (void)rest;
    for (size_t index = 0; index < WEIR_COUNT(words); index++) {
        char name[32];
        if (words[index].about == NULL)
            continue;
        snprintf(name, sizeof(name), "%s%s%s", words[index].name,
                 words[index].argument[0] == '\0' ? "" : " ", words[index].argument);
        weir_cli_print_entry(stderr, 2, name, words[index].about);
    }
    fputs("  ", stderr);
    weir_cli_print_wrapped(stderr, 2, 2,
                           "A line that ends with a backslash goes on in the next; a paste is one "
                           "message. // begins a message with a slash. Ctrl-C ends an answer.");
    return WEIR_CLI_TURN_DONE;
}

enum weir_cli_turn weir_cli_talk_command(struct weir_cli_talk *talk, const char *line)
{
    const char *names[WEIR_COUNT(words)];
    char name[32];
    const size_t length = strcspn(line, " \n");
    const char *rest = line + length + strspn(line + length, " \n");
    snprintf(name, sizeof(name), "%.*s", (int)weir_min(length, sizeof(name) - 1), line);
    for (size_t index = 0; index < WEIR_COUNT(words); index++) {
        names[index] = words[index].name;
        if (strcmp(name, words[index].name) == 0)
            return words[index].run(talk, rest);
    }
    const char *nearest = weir_cli_nearest(name, names, WEIR_COUNT(names));
    weir_cli_say("there is no command %s%s%s; /help lists them, // begins a message with a slash",
                 name, nearest == NULL ? "" : ", did you mean ", nearest == NULL ? "" : nearest);
    return WEIR_CLI_TURN_FAILED;
}
