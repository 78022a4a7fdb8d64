/* chat.c - weir chat: lines in, answers out. */
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "talk.h"

/* A message of the user's, and its answer. */
static enum weir_cli_turn ask(struct weir_cli_talk *talk, const char *bytes, size_t length)
{
    if (!weir_cli_message_add(talk->messages, "user", bytes, length))
        return WEIR_CLI_TURN_FAILED;
    const size_t last = json_array_size(talk->messages) - 1;
    const enum weir_cli_turn outcome = weir_cli_talk_answer(talk);
    if (outcome == WEIR_CLI_TURN_FAILED) /* the conversation is as it was */
        json_array_remove(talk->messages, last);
    return outcome;
}

static enum weir_cli_turn heed_line(struct weir_cli_talk *talk, const struct weir_cli_buffer *line)
{
    if (line->length == 0)
        return WEIR_CLI_TURN_DONE;
    if (line->length > 1 && line->bytes[0] == '/' && line->bytes[1] == '/')
        return ask(talk, line->bytes + 1, line->length - 1);
    return line->bytes[0] == '/' ? weir_cli_talk_command(talk, line->bytes)
                                 : ask(talk, line->bytes, line->length);
}

/* Returns an enum weir_cli_exit: of a script, whether all of its lines did. */
static int converse(struct weir_cli_talk *talk)
{
    struct weir_cli_buffer line = {0};
    const bool is_typed = weir_cli_lines_typed(talk->lines);
    bool has_failed = false, was_interrupted = false;
    enum weir_cli_turn outcome = WEIR_CLI_TURN_DONE;
    while (outcome != WEIR_CLI_TURN_OVER) {
        const enum weir_cli_line found = weir_cli_lines_read(talk->lines, &line);
        if (found == WEIR_CLI_LINE_END || (found == WEIR_CLI_LINE_INTERRUPT && was_interrupted))
            break;
        was_interrupted = found == WEIR_CLI_LINE_INTERRUPT;
        if (was_interrupted) {
            weir_cli_say("Ctrl-C once more, or Ctrl-D, ends the chat");
            continue;
        }
        outcome = heed_line(talk, &line);
        has_failed = has_failed || outcome == WEIR_CLI_TURN_FAILED;
        if (weir_cli_stop_asked())
            break;
    }
    weir_cli_buffer_free(&line);
    if (weir_cli_stop_asked())
        weir_cli_say("stopped");
    return weir_cli_stop_asked() || (has_failed && !is_typed) ? WEIR_CLI_FAILURE : WEIR_CLI_OK;
}

static int open_talk(struct weir_cli_talk *talk)
{
    const struct weir_cli_options *options = &talk->options;
    talk->tokenizer = weir_engine_tokenizer(talk->rig.engine);
    if (talk->tokenizer == NULL)
        return weir_cli_no_text(&weir_engine_model(talk->rig.engine)->warnings,
                                weir_engine_tokenizer_why(talk->rig.engine),
                                "a chat needs a vocabulary");
    talk->n_ctx = weir_engine_plan(talk->rig.engine)->n_ctx;
    talk->text_max = weir_cli_chat_text_max(talk->n_ctx);
    talk->ids = weir_heap_array(talk->n_ctx, sizeof(*talk->ids));
    talk->messages = json_array();
    talk->lines = weir_cli_lines_open((size_t)talk->text_max);
    if (talk->ids == NULL || talk->messages == NULL || talk->lines == NULL)
        return WEIR_CLI_FAILURE;
    if (options->system != NULL &&
        !weir_cli_message_add(talk->messages, "system", options->system, strlen(options->system)))
        return WEIR_CLI_FAILURE;
    weir_cli_talk_open_window(talk);
    if (weir_cli_lines_typed(talk->lines))
        weir_cli_interrupts_catch();
    weir_cli_signals_watch(NULL);
    return WEIR_CLI_OK;
}

static void greet(const struct weir_cli_talk *talk)
{
    const struct weir_model_info *model = weir_engine_model(talk->rig.engine);
    char text[WEIR_CLI_PATH_MAX];
    if (!weir_cli_lines_typed(talk->lines) || weir_cli_is_quiet())
        return;
    snprintf(text, sizeof(text), "%s, %u positions, loaded in %.1f s%s%s",
             weir_cli_shown(model->name[0] != '\0' ? model->name : talk->options.argument),
             talk->n_ctx, talk->rig.load_s,
             talk->advice[0] == '\0' ? "" : ", sampling as the file advises: ", talk->advice);
    weir_cli_print_wrapped(stderr, 0, 0, text);
    fputs("/help lists the commands\n", stderr);
}

int weir_cli_chat(const struct weir_cli_options *options)
{
    struct weir_cli_talk talk = {.options = *options};
    struct weir_config config;
    struct weir_bench_config bench_config;
    int code = WEIR_CLI_USAGE;
    if (weir_cli_config_fill(&config, &bench_config, options, options->command) &&
        weir_cli_sampling_read(&talk.sampling, options)) /* what is wrong is told before a load */
        code = WEIR_CLI_OK;
    if (code == WEIR_CLI_OK &&
        !weir_cli_chat_open(&talk.chat, options, weir_cli_chat_render_max(config.n_ctx)))
        code = WEIR_CLI_FAILURE;
    if (code == WEIR_CLI_OK && !weir_cli_sampling_plan(&talk.sampling, &config))
        code = WEIR_CLI_FAILURE;
    if (code == WEIR_CLI_OK) {
        config.caller_bytes += weir_cli_chat_bytes(&talk.chat, config.n_ctx);
        code = weir_cli_rig_open(&talk.rig, &config, options);
    }
    if (code == WEIR_CLI_OK)
        code = open_talk(&talk);
    if (code == WEIR_CLI_OK) {
        weir_cli_advice_take(&talk.options, &weir_engine_model(talk.rig.engine)->advice,
                             talk.advice);
        greet(&talk);
        code = converse(&talk);
    }
    if (talk.lines != NULL)
        weir_cli_lines_close(&talk.lines);
    json_decref(talk.messages);
    weir_heap_free(talk.ids);
    weir_cli_chat_close(&talk.chat);
    weir_cli_sampling_free(&talk.sampling);
    weir_cli_rig_close(&talk.rig);
    return code;
}
