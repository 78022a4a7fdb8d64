/* run.c - weir run: continue a text; weir trace record: and write down its routing. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "advice.h"
#include "base/heap.h"
#include "chat.h"
#include "past.h"
#include "sampling.h"
#include "source.h"
#include "think_budget.h"
#include "trace.h"

/* Why the text ended where it did. */
enum stop {
    STOP_NONE,
    STOP_LENGTH,
    STOP_END,
    STOP_STRING,
    STOP_CONTEXT,
    STOP_ASKED,
    STOP_CLOSED,
    STOP_FAILED,
};

static const char *const stop_names[] = {
    [STOP_NONE] = "none",     [STOP_LENGTH] = "length",   [STOP_END] = "end",
    [STOP_STRING] = "string", [STOP_CONTEXT] = "context", [STOP_ASKED] = "asked",
    [STOP_CLOSED] = "closed", [STOP_FAILED] = "failed",
};

/* For people; what is not here has been said as a sentence. */
static const char *const stop_words[] = {
    [STOP_LENGTH] = "with as many tokens as -n allows",
    [STOP_END] = "by the model: it chose an end token",
    [STOP_STRING] = "before a text of --stop",
    [STOP_FAILED] = NULL,
};

struct run {
    struct weir_cli_options *options;
    char advice[WEIR_CLI_ADVICE_MAX]; /* of the model's file, that is followed */
    struct weir_cli_rig rig;
    struct weir_cli_thinking thinking; /* of --chat */
    struct weir_cli_tap tap;           /* of weir trace record */
    weir_tokenizer *tokenizer;         /* borrowed; NULL when the model has no vocabulary */
    weir_decoder *decoder;
    struct weir_cli_chat chat; /* of --chat */
    weir_reply *reply;
    struct weir_cli_buffer question, reasoning;
    bool is_reasoning; /* is what was shown last */
    struct weir_cli_sampling sampling;
    weir_sampler *sampler;
    struct weir_cli_source prompt;
    struct weir_cli_buffer text;
    uint32_t *prompt_ids, *ids;
    size_t prompt_count, id_count;
    struct weir_cli_report report;
    enum stop stop;
    char piece[WEIR_TOKEN_BYTES_MAX];
    char certain[WEIR_STOP_BYTES_MAX +
                 WEIR_TOKEN_BYTES_MAX]; /* not the beginning of a stop string */
};

static double seconds_since(uint64_t start_ns)
{
    return (double)(weir_now_ns() - start_ns) * 1e-9;
}

/* Where the prompt comes from, before anything is loaded; ids are read at once. */
static int find_prompt(struct run *run)
{
    const struct weir_cli_options *options = run->options;
    const char *prompt = options->prompt;
    if (options->ids != NULL) {
        if (!weir_cli_ids_parse("--ids", options->ids, &run->prompt_ids, &run->prompt_count))
            return WEIR_CLI_USAGE;
        if (run->prompt_count == 0)
            return weir_cli_misuse(options->command,
                                   "--ids: wanted at least one token id, found none");
        return weir_cli_ids_check("--ids", options->argument, run->prompt_ids, run->prompt_count)
                   ? WEIR_CLI_OK
                   : WEIR_CLI_FAILURE;
    }
    if (prompt == NULL && options->text == NULL && isatty(STDIN_FILENO))
        return weir_cli_misuse(options->command, "wanted a prompt: -p TEXT, --text FILE, or text "
                                                 "on standard input");
    if (options->chat)
        return WEIR_CLI_OK;
    if (prompt != NULL && strcmp(prompt, "-") != 0) {
        weir_cli_source_text(&run->prompt, "-p", prompt);
        return WEIR_CLI_OK;
    }
    run->prompt.drops_newline = true;
    return weir_cli_source_open(&run->prompt, options->text == NULL ? "-" : options->text)
               ? WEIR_CLI_OK
               : WEIR_CLI_FAILURE;
}

/* --chat: the question, read as far as a context can hold it, in the model's template. */
static bool encode_question(struct run *run)
{
    const struct weir_cli_options *options = run->options;
    const uint32_t n_ctx = weir_engine_plan(run->rig.engine)->n_ctx;
    struct weir_err err = {0};
    const bool is_said = options->prompt != NULL && strcmp(options->prompt, "-") != 0;
    const char *system = options->system == NULL ? "" : options->system;
    const char *path = options->text != NULL ? options->text : "-";
    if (is_said ? !weir_cli_buffer_append(&run->question, options->prompt, strlen(options->prompt))
                : !weir_cli_file_read(&run->question, options->text != NULL ? "--text" : "-p", path,
                                      weir_cli_chat_text_max(n_ctx)))
        return false;
    if (!is_said && run->question.length > 0 &&
        run->question.bytes[run->question.length - 1] == '\n')
        run->question.length--;
    json_t *messages = json_array();
    bool ok =
        options->system == NULL || weir_cli_message_add(messages, "system", system, strlen(system));
    ok = ok && weir_cli_message_add(messages, "user", run->question.bytes, run->question.length);
    if (ok && !weir_cli_chat_encode(&run->chat, run->tokenizer, messages, &run->prompt_ids,
                                    &run->prompt_count, &err)) {
        weir_cli_fail(&err);
        ok = false;
    }
    json_decref(messages);
    if (ok && (run->prompt_count == 0 || run->prompt_count > n_ctx)) {
        weir_cli_say("the question has %zu tokens in the chat template, the context holds 1 to %u "
                     "(%s)",
                     run->prompt_count, n_ctx, weir_cli_context_advice(run->rig.engine));
        ok = false;
    }
    return ok;
}

/* The ids of the prompt, which is read no further than it can fit the context. */
static bool encode_prompt(struct run *run)
{
    static const char advice[] = "give the prompt with --ids";
    const uint32_t n_ctx = weir_engine_plan(run->rig.engine)->n_ctx;
    struct weir_err err = {0};
    if (run->tokenizer == NULL) {
        weir_cli_no_text(&weir_engine_model(run->rig.engine)->warnings,
                         weir_engine_tokenizer_why(run->rig.engine), advice);
        return false;
    }
    if (run->options->chat)
        return encode_question(run);
    run->prompt_ids = weir_heap_array(n_ctx, sizeof(*run->prompt_ids));
    if (run->prompt_ids == NULL) {
        weir_cli_say("no memory for a prompt of %u tokens", n_ctx);
        return false;
    }
    run->prompt.id_limit = n_ctx;
    if (!weir_cli_source_encode(&run->prompt, run->tokenizer,
                                WEIR_TEXT_ADD_SPECIAL | WEIR_TEXT_PARSE_SPECIAL, &err)) {
        weir_cli_no_text(&weir_engine_model(run->rig.engine)->warnings, err.text, advice);
        return false;
    }
    if (!weir_cli_source_next(&run->prompt, run->prompt_ids, n_ctx, &run->prompt_count)) {
        if (weir_cli_source_is_over(&run->prompt))
            weir_cli_say("the prompt is longer than the context: it has %llu tokens at least, the "
                         "context holds %u (%s)",
                         (unsigned long long)run->prompt.seen, n_ctx,
                         weir_cli_context_advice(run->rig.engine));
        return false;
    }
    weir_cli_source_close(&run->prompt); /* its memory is not wanted any more */
    if (run->prompt_count > 0)
        return true;
    if (weir_tokenizer_bos(run->tokenizer) == WEIR_ID_NONE) {
        weir_cli_say("the prompt is empty, and this model has no token to begin a text with");
        return false;
    }
    run->prompt_ids[run->prompt_count++] = weir_tokenizer_bos(run->tokenizer);
    return true;
}

/* An answer ends by itself, unless -n says when. */
static uint64_t token_limit(const struct run *run)
{
    return run->options->chat && !weir_cli_option_given(run->options, WEIR_CLI_OPTION_token_limit)
               ? UINT64_MAX
               : run->options->token_limit;
}

/* Everything the loop needs is allocated here: it allocates only for the text it must keep. */
static int prepare(struct run *run)
{
    const struct weir_cli_options *options = run->options;
    const uint32_t n_ctx = weir_engine_plan(run->rig.engine)->n_ctx;
    struct weir_err err = {0};
    /* The last token is written and not computed. */
    run->sampling.pick_limit =
        (uint32_t)weir_min(token_limit(run), 1 + n_ctx - weir_min(n_ctx, run->prompt_count));
    if (!weir_cli_sampler_create(&run->sampler, &run->sampling, run->rig.engine))
        return WEIR_CLI_FAILURE;
    for (size_t index = 0; index < run->prompt_count; index++)
        weir_sampler_accept(run->sampler, run->prompt_ids[index]);
    if (run->tokenizer != NULL &&
        weir_decoder_create(&run->decoder, run->tokenizer, true, &err) != WEIR_OK)
        return weir_cli_fail(&err);
    const struct weir_reply_config reply = {.ids = run->prompt_ids, .id_count = run->prompt_count};
    if (options->chat && weir_reply_create(&run->reply, run->tokenizer, &reply, &err) != WEIR_OK)
        return weir_cli_fail(&err);
    const uint64_t id_max = weir_min(token_limit(run), 1 + (uint64_t)n_ctx);
    run->ids = weir_heap_array(id_max, sizeof(*run->ids));
    if (run->ids == NULL) {
        weir_cli_say("no memory for %llu token ids", (unsigned long long)id_max);
        return WEIR_CLI_FAILURE;
    }
    return WEIR_CLI_OK;
}

/* Show and keep the bytes that became whole characters. */
static void emit(struct run *run, const char *bytes, size_t length)
{
    const struct weir_cli_options *options = run->options;
    if (length == 0 || run->stop == STOP_CLOSED || run->stop == STOP_FAILED)
        return;
    if ((options->json || options->stats != NULL) &&
        !weir_cli_buffer_append(&run->text, bytes, length))
        run->stop = STOP_FAILED;
    if (options->json)
        return;
    if (weir_cli_text_write(bytes, length))
        return;
    run->stop = errno == EPIPE ? STOP_CLOSED : weir_cli_stop_asked() ? STOP_ASKED : STOP_FAILED;
    if (run->stop == STOP_FAILED)
        weir_cli_say("cannot write the text to standard output: %s", weir_cli_stream_why(errno));
}

/* What no stop string can take away any more. */
static void emit_certain(struct run *run, const char *bytes, size_t length)
{
    weir_stops *stops = run->sampling.stops;
    emit(run, run->certain, weir_stops_push(stops, bytes, length, run->certain));
    if (run->stop == STOP_NONE && weir_stops_found(stops) != SIZE_MAX)
        run->stop = STOP_STRING;
}

/* Of an answer to --chat: reasoning is no part of the text, and goes to standard error. */
static void emit_part(void *user, const struct weir_reply_event *event)
{
    struct run *run = user;
    const bool is_reasoning = event->kind == WEIR_REPLY_REASONING;
    const char *bytes = event->bytes;
    const size_t length = event->length;
    const struct weir_cli_options *options = run->options;
    if (!is_reasoning && run->is_reasoning)
        weir_cli_aside_write("\n\n", 2);
    run->is_reasoning = is_reasoning && !options->json && strcmp(options->think, "hide") != 0;
    if (run->is_reasoning)
        weir_cli_aside_write(bytes, length);
    if (is_reasoning && (options->json || options->stats != NULL) &&
        !weir_cli_buffer_append(&run->reasoning, bytes, length))
        run->stop = STOP_FAILED;
    if (!is_reasoning)
        emit_certain(run, bytes, length);
}

static void emit_token(struct run *run, uint32_t id)
{
    run->ids[run->id_count++] = id;
    size_t length = 0;
    if (run->reply != NULL) {
        weir_reply_push(run->reply, id, emit_part, run);
        return;
    }
    if (run->decoder != NULL)
        length = weir_decoder_push(run->decoder, id, run->piece);
    else
        length = (size_t)snprintf(run->piece, sizeof(run->piece), "%s%u",
                                  run->id_count > 1 ? " " : "", id);
    emit_certain(run, run->piece, length);
}

/* Compute count ids; false ends the text, with the reason in run->stop. */
static bool evaluate(struct run *run, const uint32_t *ids, size_t count)
{
    struct weir_err err = {0};
    const enum weir_status status =
        weir_session_eval(run->rig.session, ids, count, NULL, NULL, &err);
    if (status == WEIR_OK && !weir_cli_stop_asked() && !run->tap.failed)
        return true;
    run->stop = weir_cli_stop_asked() ? STOP_ASKED : STOP_FAILED;
    if (run->stop == STOP_FAILED && !run->tap.failed)
        weir_cli_fail(&err);
    return false;
}

static bool evaluate_prompt(struct run *run)
{
    struct weir_cli_prompt_progress progress = {0};
    bool ok = true;
    if (run->options->output != NULL) /* the trace watches the routing */
        return evaluate(run, run->prompt_ids, run->prompt_count);
    weir_cli_prompt_progress_begin(&progress, &run->rig, run->prompt_count);
    for (size_t at = 0, step; ok && at < run->prompt_count; at += step) {
        step = weir_min(progress.piece, run->prompt_count - at);
        ok = evaluate(run, run->prompt_ids + at, step);
        weir_cli_prompt_progress_tell(&progress, (double)(at + step));
    }
    weir_cli_prompt_progress_end(&progress);
    return ok;
}

static void generate(struct run *run)
{
    const struct weir_cli_options *options = run->options;
    const uint32_t n_ctx = weir_engine_plan(run->rig.engine)->n_ctx;
    const uint64_t limit = token_limit(run);
    uint64_t start_ns = 0;
    while (run->stop == STOP_NONE) {
        if (run->id_count == limit) {
            run->stop = STOP_LENGTH;
            break;
        }
        const float *logits = weir_session_logits(run->rig.session);
        const uint32_t id = weir_cli_thinking_pick(&run->thinking, run->tokenizer, run->reply,
                                                   run->sampler, logits);
        if (start_ns == 0) {
            start_ns = weir_now_ns();
            run->report.first_token_s = seconds_since(run->rig.start_ns);
        }
        if (id == WEIR_ID_NONE) {
            const char *why = weir_sampler_why(run->sampler);
            run->stop = why == NULL ? STOP_END : STOP_FAILED;
            if (why != NULL)
                weir_cli_say("%s", why);
            break;
        }
        if (!options->ignore_eos && run->tokenizer != NULL &&
            weir_tokenizer_is_end(run->tokenizer, id)) {
            run->stop = STOP_END;
            break;
        }
        emit_token(run, id);
        if (run->stop != STOP_NONE || run->id_count == limit)
            continue;
        if (weir_session_position(run->rig.session) == n_ctx)
            run->stop = STOP_CONTEXT;
        else if (evaluate(run, &id, 1))
            run->report.decode_evals++;
        weir_cli_energy_look(&run->rig.energy);
    }
    if (run->report.decode_evals > 0)
        run->report.decode_s = seconds_since(start_ns);
    weir_cli_energy_take(&run->rig.energy, &run->report.decode_j);
    if (run->reply != NULL)
        weir_reply_end(run->reply, emit_part, run);
    else if (run->decoder != NULL)
        emit_certain(run, run->piece, weir_decoder_flush(run->decoder, run->piece));
    emit(run, run->certain, weir_stops_flush(run->sampling.stops, run->certain));
}

static bool has_grammar(const struct weir_cli_options *options)
{
    return options->grammar != NULL || options->json_schema != NULL;
}

/* A text that was cut is none of the grammar: half a JSON is no JSON. */
static void say_cut(const struct run *run)
{
    const uint32_t bytes_left = weir_sampler_bytes_left(run->sampler);
    if (bytes_left > 0)
        weir_cli_say("the text is cut: %s does not allow it to end here (%u bytes are missing at "
                     "least); %s",
                     run->options->grammar != NULL ? "the grammar" : "the schema", bytes_left,
                     run->options->whole ? "give a larger -n"
                                         : "give a larger -n, or --whole to end in time");
}

/* Words after the text, and the numbers. */
static int finish(struct run *run)
{
    const struct weir_cli_options *options = run->options;
    weir_engine_stats_get(run->rig.engine, &run->report.whole);
    const bool traced = weir_cli_tap_finish(&run->tap, run->prompt_count);
    if (run->stop == STOP_CLOSED)
        return WEIR_CLI_FAILURE;
    if (!options->json && (!options->quiet || isatty(STDOUT_FILENO)))
        fputc('\n', isatty(STDOUT_FILENO) ? stdout : stderr);
    if (run->stop == STOP_CONTEXT)
        weir_cli_say("the context of %u positions is full (%s)",
                     weir_engine_plan(run->rig.engine)->n_ctx,
                     weir_cli_context_advice(run->rig.engine));
    if (run->stop == STOP_ASKED)
        weir_cli_say("stopped");
    say_cut(run);
    if (run->stop == STOP_FAILED && run->id_count == 0)
        return WEIR_CLI_FAILURE;
    if (run->rig.kept.path[0] != '\0')
        weir_cli_past_save(&run->report, options);
    if (!options->json)
        weir_cli_report_print(&run->report);
    if (!options->json && !options->quiet && stop_words[run->stop] != NULL)
        weir_cli_report_line("ended", stop_words[run->stop]);
    if (!options->json && !options->quiet && options->temperature > 0.0)
        fprintf(stderr, "seed     %llu\n", (unsigned long long)run->sampling.seed);
    json_t *object = weir_cli_report_json(&run->report);
    weir_cli_json_count(object, "tokens", run->id_count);
    weir_cli_json_ids(object, "ids", run->ids, run->id_count);
    if (run->tokenizer != NULL)
        weir_cli_json_text(object, "text", run->text.length == 0 ? "" : run->text.bytes,
                           run->text.length);
    if (run->reply != NULL)
        weir_cli_json_text(object, "reasoning",
                           run->reasoning.length == 0 ? "" : run->reasoning.bytes,
                           run->reasoning.length);
    weir_cli_json_count(object, "seed",
                        options->temperature > 0.0 ? run->sampling.seed : UINT64_MAX);
    weir_cli_json_text(object, "stop", stop_names[run->stop], strlen(stop_names[run->stop]));
    json_object_set_new(object, "whole",
                        has_grammar(options)
                            ? json_boolean(weir_sampler_bytes_left(run->sampler) == 0)
                            : json_null());
    if (options->output != NULL)
        weir_cli_json_count(object, "trace_tokens", traced ? run->tap.token_count : UINT64_MAX);
    if (!weir_cli_report_write(object, options, &run->rig) || !traced)
        return WEIR_CLI_FAILURE;
    return run->stop == STOP_ASKED || run->stop == STOP_FAILED ? WEIR_CLI_FAILURE : WEIR_CLI_OK;
}

/* The bytes [from, to) of the prompt, as the model reads it. Returns where its last line begins. */
static size_t show_prompt(struct run *run, size_t from, size_t to)
{
    weir_decoder *decoder = NULL;
    size_t at = 0, line = 0;
    if (run->options->json || run->options->chat || weir_cli_is_quiet() || !isatty(STDOUT_FILENO) ||
        run->tokenizer == NULL ||
        weir_decoder_create(&decoder, run->tokenizer, false, NULL) != WEIR_OK)
        return 0;
    for (size_t index = 0; index <= run->prompt_count; index++) {
        const size_t length = index < run->prompt_count
                                  ? weir_decoder_push(decoder, run->prompt_ids[index], run->piece)
                                  : weir_decoder_flush(decoder, run->piece);
        const size_t skipped = weir_min(from - weir_min(from, at), length);
        const size_t end = weir_min(to - weir_min(to, at), length);
        const char *newline = memrchr(run->piece, '\n', length);
        line = newline == NULL ? line : at + (size_t)(newline - run->piece) + 1;
        weir_cli_prompt_show(run->piece + skipped, end - weir_min(end, skipped));
        at += length;
    }
    weir_decoder_destroy(&decoder);
    return line;
}

static int run_prompt(struct run *run)
{
    run->tokenizer = weir_engine_tokenizer(run->rig.engine);
    weir_cli_advice_take(run->options, &weir_engine_model(run->rig.engine)->advice, run->advice);
    if (run->prompt_ids == NULL && !encode_prompt(run))
        return WEIR_CLI_FAILURE;
    int code = prepare(run);
    if (code == WEIR_CLI_OK &&
        !weir_cli_tap_begin(&run->tap, &run->rig, run->options->argument, run->prompt_count))
        code = WEIR_CLI_FAILURE;
    if (code != WEIR_CLI_OK)
        return code;
    run->report = (struct weir_cli_report){
        .engine = run->rig.engine,
        .calibration = weir_cli_rig_calibration(&run->rig),
        .is_prompt = true,
        .model_path = run->options->argument,
        .advice = run->advice,
        .prompt_tokens = run->prompt_count,
        .decode_s = WEIR_CLI_NONE,
        .load_s = run->rig.load_s,
        .first_token_s = WEIR_CLI_NONE,
    };
    /* Progress needs a line of its own: the text's last one, which goes on, comes behind it. */
    const size_t line = show_prompt(run, 0, 0);
    show_prompt(run, 0, line);
    const uint64_t start_ns = weir_now_ns();
    weir_cli_energy_take(&run->rig.energy, NULL);
    const bool ok = evaluate_prompt(run);
    run->report.prefill_s = seconds_since(start_ns);
    weir_cli_energy_take(&run->rig.energy, &run->report.prefill_j);
    show_prompt(run, line, SIZE_MAX);
    run->report.prefill_evals = weir_session_position(run->rig.session);
    weir_engine_stats_get(run->rig.engine, &run->report.prefill);
    if (ok)
        generate(run);
    return finish(run);
}

int weir_cli_run(const struct weir_cli_options *given)
{
    struct weir_cli_options own = *given; /* with what the model's file advises */
    const struct weir_cli_options *options = &own;
    struct run run = {.options = &own, .thinking = {.options = options}, .prompt = {.fd = -1}};
    struct weir_config config;
    struct weir_bench_config bench_config;
    if (!weir_cli_config_fill(&config, &bench_config, options, options->command))
        return WEIR_CLI_USAGE;
    if (!weir_cli_sampling_read(&run.sampling, options))
        return WEIR_CLI_USAGE;
    int code = find_prompt(&run);
    if (code == WEIR_CLI_OK && !weir_cli_sampling_plan(&run.sampling, &config))
        code = WEIR_CLI_FAILURE;
    if (code == WEIR_CLI_OK && options->output != NULL &&
        !weir_cli_tap_open(&run.tap, options->output, &config))
        code = WEIR_CLI_FAILURE;
    if (code == WEIR_CLI_OK && options->chat &&
        !weir_cli_chat_open(&run.chat, options, weir_cli_chat_render_max(config.n_ctx)))
        code = WEIR_CLI_FAILURE;
    if (options->chat)
        config.caller_bytes += weir_cli_chat_bytes(&run.chat, config.n_ctx);
    if (code == WEIR_CLI_OK)
        code = weir_cli_rig_open(&run.rig, &config, options);
    if (code == WEIR_CLI_OK)
        code = run_prompt(&run);
    weir_decoder_destroy(&run.decoder);
    weir_reply_destroy(&run.reply);
    weir_cli_thinking_free(&run.thinking);
    weir_cli_chat_close(&run.chat);
    weir_cli_buffer_free(&run.question);
    weir_cli_buffer_free(&run.reasoning);
    if (run.sampler != NULL)
        weir_sampler_destroy(&run.sampler);
    weir_cli_sampling_free(&run.sampling);
    weir_cli_tap_close(&run.tap);
    weir_cli_rig_close(&run.rig);
    weir_ids_free(&run.prompt_ids);
    weir_heap_free(run.ids);
    weir_cli_source_close(&run.prompt);
    weir_cli_buffer_free(&run.text);
    return code;
}

int weir_cli_trace_record(const struct weir_cli_options *options)
{
    if (options->output == NULL)
        return weir_cli_misuse(options->command, "wanted -o FILE for the trace, found none");
    return weir_cli_run(options);
}
