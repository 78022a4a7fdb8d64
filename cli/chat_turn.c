/* chat_turn.c - one turn of a chat: the prompt, as much of it as is new, the answer, its figures.
 *
 * I1  ids[0, id_count) are what the session holds, so that the next prompt, which mostly begins
 *     with the same ids, is computed from the first one that differs. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "past.h"
#include "talk.h"
#include "think_budget.h"

enum { ANSWER_SHARE = 4 /* of the context is kept free for an answer */ };

struct turn {
    struct weir_cli_talk *talk;
    weir_sampler *sampler;
    struct weir_cli_thinking thinking;
    weir_reply *reply;
    struct weir_cli_sampling sampling;
    struct weir_cli_buffer answer, reasoning;
    uint64_t start_ns, first_ns; /* first_ns: of the first token; 0: none yet */
    size_t new_count, token_count;
    const char *why_over; /* what is told behind the answer; NULL: nothing */
    bool is_reasoning;    /* is what was shown last */
    bool has_shown, is_stopped, is_closed, has_failed;
    char certain[WEIR_STOP_BYTES_MAX + WEIR_TOKEN_BYTES_MAX];
};

/* ---- which messages ------------------------------------------------------------------------ */

bool weir_cli_talk_has_system(const struct weir_cli_talk *talk)
{
    const json_t *first = json_array_get(talk->messages, 0);
    const char *role = json_string_value(json_object_get(first, "role"));
    return role != NULL && (strcmp(role, "system") == 0 || strcmp(role, "developer") == 0);
}

void weir_cli_talk_open_window(struct weir_cli_talk *talk)
{
    talk->first = weir_cli_talk_has_system(talk) ? 1 : 0;
}

/* The messages of the context, borrowed by a new array. */
static json_t *list_window(const struct weir_cli_talk *talk)
{
    json_t *window = json_array();
    if (weir_cli_talk_has_system(talk))
        json_array_append(window, json_array_get(talk->messages, 0));
    for (size_t index = talk->first; index < json_array_size(talk->messages); index++)
        json_array_append(window, json_array_get(talk->messages, index));
    return window;
}

static bool is_users(const struct weir_cli_talk *talk, size_t index)
{
    const json_t *message = json_array_get(talk->messages, index);
    const char *role = json_string_value(json_object_get(message, "role"));
    return role != NULL && strcmp(role, "user") == 0;
}

/* The oldest question and what belongs to it leave the context; false: only the last is left. */
static bool drop_oldest(struct weir_cli_talk *talk)
{
    const size_t size = json_array_size(talk->messages);
    size_t next = talk->first + 1;
    while (next < size && !is_users(talk, next))
        next++;
    if (next >= size)
        return false;
    talk->first = next;
    return true;
}

/* Messages behind the context are kept for /save, as long as they are not too many. */
static void forget_oldest(struct weir_cli_talk *talk)
{
    const size_t from = weir_cli_talk_has_system(talk) ? 1 : 0;
    uint64_t bytes = 0;
    size_t forgotten = 0, index = json_array_size(talk->messages);
    while (index-- > from) {
        json_t *message = json_array_get(talk->messages, index);
        bytes += json_string_length(json_object_get(message, "content"));
        bytes += json_string_length(json_object_get(message, "reasoning_content"));
        if (bytes <= 2 * talk->text_max || index >= talk->first)
            continue;
        json_array_remove(talk->messages, index);
        talk->first--;
        forgotten++;
    }
    if (forgotten > 0)
        weir_cli_say("the oldest %zu messages are forgotten: /save has no more than %llu bytes of "
                     "those that left the context",
                     forgotten, (unsigned long long)(2 * talk->text_max));
}

/* The prompt's ids, of as many messages as the context holds beside an answer. */
static bool fit_prompt(struct weir_cli_talk *talk, uint32_t **ids, size_t *count)
{
    const size_t first = talk->first;
    const uint64_t limit = talk->options.answer_limit;
    const uint32_t share = talk->n_ctx / ANSWER_SHARE;
    const uint32_t reserve = limit > 0 ? (uint32_t)weir_min(limit, share) : share;
    /* Once messages leave, many do, so that not every turn computes all the others again. */
    for (uint32_t most = talk->n_ctx - reserve;; most = talk->n_ctx / 2) {
        struct weir_err err = {0};
        json_t *window = list_window(talk);
        weir_ids_free(ids);
        const bool ok =
            weir_cli_chat_encode(&talk->chat, talk->tokenizer, window, ids, count, &err);
        json_decref(window);
        if (!ok) {
            weir_cli_fail(&err);
            return false;
        }
        if (*count <= most || !drop_oldest(talk))
            break;
    }
    if (*count == 0 || *count >= talk->n_ctx) {
        weir_cli_say("the message has %zu tokens in the chat template, the context holds %u with "
                     "an answer (%s)",
                     *count, talk->n_ctx, weir_cli_context_advice(talk->rig.engine));
        talk->first = first;
        return false;
    }
    if (talk->first > first)
        weir_cli_say("the oldest %zu messages have left the context of %u positions",
                     talk->first - first, talk->n_ctx);
    return true;
}

/* ---- computing ----------------------------------------------------------------------------- */

/* Append to the session. False: it was stopped, or failed, which has been said. */
static bool evaluate(struct turn *turn, const uint32_t *ids, size_t count)
{
    struct weir_cli_talk *talk = turn->talk;
    struct weir_err err = {0};
    uint64_t asked = talk->id_count + count;
    enum weir_status status = WEIR_ERR_CANCELLED;
    while (status == WEIR_ERR_CANCELLED && !weir_cli_interrupt_seen() && !weir_cli_stop_asked()) {
        /* A cancel that came too late for the turn before is spent here. */
        const size_t done = weir_session_position(talk->rig.session) - talk->id_count;
        err = (struct weir_err){0};
        status = weir_session_eval(talk->rig.session, ids + done, count - done, NULL, NULL, &err);
    }
    const size_t held = weir_session_position(talk->rig.session) - talk->id_count;
    WEIR_ASSERT(talk->id_count + held <= asked);
    memcpy(talk->ids + talk->id_count, ids, held * sizeof(*ids));
    talk->id_count += held; /* keeps I1 */
    if (status == WEIR_OK)
        return true;
    turn->is_stopped = status == WEIR_ERR_CANCELLED;
    turn->has_failed = !turn->is_stopped;
    if (turn->has_failed)
        weir_cli_fail(&err);
    return false;
}

/* The first prompt of a session: what the file of --prefix-cache has of it. */
static bool recall(struct turn *turn, const uint32_t *ids, size_t count)
{
    struct weir_cli_talk *talk = turn->talk;
    struct weir_err err = {0};
    uint32_t recalled = 0;
    if (talk->options.prefix_cache == NULL || talk->id_count > 0)
        return true;
    if (weir_session_recall(talk->rig.session, ids, count, &recalled, &err) != WEIR_OK) {
        weir_cli_fail(&err);
        turn->has_failed = true;
        return false;
    }
    memcpy(talk->ids, ids, recalled * sizeof(*ids));
    talk->id_count = recalled; /* keeps I1 */
    return true;
}

/* What the session has already of the prompt stays; the last id gives the logits. */
static bool evaluate_prompt(struct turn *turn, const uint32_t *ids, size_t count)
{
    struct weir_cli_talk *talk = turn->talk;
    size_t common = 0;
    if (!recall(turn, ids, count))
        return false;
    while (common < talk->id_count && common + 1 < count && talk->ids[common] == ids[common])
        common++;
    if (weir_session_rewind(talk->rig.session, (uint32_t)common) != WEIR_OK) {
        weir_cli_say("the session cannot go back to position %zu", common);
        turn->has_failed = true;
        return false;
    }
    talk->id_count = common;
    turn->new_count = count - common;
    struct weir_cli_prompt_progress progress = {0};
    bool ok = true;
    weir_cli_prompt_progress_begin(&progress, &talk->rig, count - common);
    for (size_t at = common, step; ok && at < count; at += step) {
        step = weir_min(progress.piece, count - at);
        ok = evaluate(turn, ids + at, step);
        weir_cli_prompt_progress_tell(&progress, (double)(at + step - common));
    }
    weir_cli_prompt_progress_end(&progress);
    return ok;
}

/* ---- the answer ---------------------------------------------------------------------------- */

static void show_answer(struct turn *turn, const char *bytes, size_t length)
{
    if (length == 0 || turn->is_closed)
        return;
    if (!weir_cli_buffer_append(&turn->answer, bytes, length))
        turn->has_failed = true;
    turn->has_shown = true;
    if (weir_cli_text_write(bytes, length))
        return;
    turn->is_closed = true;
    if (errno != EPIPE && !weir_cli_stop_asked())
        weir_cli_say("cannot write the text to standard output: %s", weir_cli_stream_why(errno));
}

static void show_part(void *user, const struct weir_reply_event *event)
{
    struct turn *turn = user;
    const bool is_reasoning = event->kind == WEIR_REPLY_REASONING;
    const char *bytes = event->bytes;
    const size_t length = event->length;
    weir_stops *stops = turn->sampling.stops;
    if (!is_reasoning && turn->is_reasoning)
        weir_cli_aside_write("\n\n", 2);
    turn->is_reasoning = is_reasoning && strcmp(turn->talk->options.think, "hide") != 0;
    if (turn->is_reasoning)
        weir_cli_aside_write(bytes, length);
    if (is_reasoning && !weir_cli_buffer_append(&turn->reasoning, bytes, length))
        turn->has_failed = true;
    if (!is_reasoning)
        show_answer(turn, turn->certain, weir_stops_push(stops, bytes, length, turn->certain));
}

/* Tokens until the answer ends, or somebody ends it. */
static void generate(struct turn *turn)
{
    struct weir_cli_talk *talk = turn->talk;
    const uint64_t limit = talk->options.answer_limit;
    while (!turn->is_closed && !turn->has_failed &&
           weir_stops_found(turn->sampling.stops) == SIZE_MAX) {
        const uint32_t id =
            weir_cli_thinking_pick(&turn->thinking, talk->tokenizer, turn->reply, turn->sampler,
                                   weir_session_logits(talk->rig.session));
        if (turn->first_ns == 0)
            turn->first_ns = weir_now_ns();
        if (id == WEIR_ID_NONE) { /* a grammar's end, or none of its texts can follow */
            turn->why_over = weir_sampler_why(turn->sampler);
            break;
        }
        if (weir_tokenizer_is_end(talk->tokenizer, id) && !talk->options.ignore_eos)
            break;
        turn->token_count++;
        weir_reply_push(turn->reply, id, show_part, turn);
        if (limit > 0 && turn->token_count == limit)
            break;
        if (talk->id_count == talk->n_ctx) {
            turn->why_over = "the context is full: the answer ends here";
            break;
        }
        if (!evaluate(turn, &id, 1))
            break;
    }
    weir_reply_end(turn->reply, show_part, turn);
    show_answer(turn, turn->certain, weir_stops_flush(turn->sampling.stops, turn->certain));
}

static bool prepare(struct turn *turn, const uint32_t *ids, size_t count)
{
    struct weir_cli_talk *talk = turn->talk;
    struct weir_err err = {0};
    if (!weir_cli_sampling_read(&turn->sampling, &talk->options))
        return false;
    turn->sampling.grammar_text = talk->sampling.grammar_text; /* borrowed until it is freed */
    if (weir_cli_option_given(&talk->options, WEIR_CLI_OPTION_seed))
        turn->sampling.seed += talk->turn_count; /* another answer to the same question differs */
    talk->turn_count++;
    if (!weir_cli_sampler_create(&turn->sampler, &turn->sampling, talk->rig.engine))
        return false;
    for (size_t index = 0; index < count; index++)
        weir_sampler_accept(turn->sampler, ids[index]);
    const struct weir_reply_config reply = {.ids = ids, .id_count = count};
    if (weir_reply_create(&turn->reply, talk->tokenizer, &reply, &err) == WEIR_OK)
        return true;
    weir_cli_fail(&err);
    return false;
}

/* ---- figures ------------------------------------------------------------------------------- */

/* Parts of a line that is as wide as the terminal, dim where it can be. */
static void print_parts(char parts[][64], size_t count)
{
    char line[WEIR_CLI_PATH_MAX];
    size_t length = 0, column = 0;
    const size_t width = weir_cli_columns(stderr);
    for (size_t index = 0; index < count; index++) {
        const size_t part = strlen(parts[index]) + 2; /* and ", " */
        const char *between = index == 0 ? "" : column + part > width ? ",\n" : ", ";
        column = index > 0 && between[1] == ' ' ? column + part : part - 2;
        length +=
            (size_t)snprintf(line + length, sizeof(line) - length, "%s%s", between, parts[index]);
    }
    length += (size_t)snprintf(line + length, sizeof(line) - length, "\n");
    weir_cli_aside_write(line, length);
}

static void print_figures(struct turn *turn)
{
    const struct weir_cli_report *report = &turn->talk->report;
    const uint64_t budget_bytes = weir_engine_plan(turn->talk->rig.engine)->budget_bytes;
    const double hit_rate = weir_cli_report_hit_rate(report);
    char parts[5][64], peak[32], budget[32];
    size_t count = 0;
    snprintf(parts[count++], sizeof(parts[0]), "%zu tokens", turn->token_count);
    if (report->decode_evals > 0)
        snprintf(parts[count++], sizeof(parts[0]), "%.1f tokens/s",
                 (double)report->decode_evals / report->decode_s);
    if (!isnan(hit_rate))
        snprintf(parts[count++], sizeof(parts[0]), "%.1f %% hits", 100.0 * hit_rate);
    snprintf(parts[count++], sizeof(parts[0]), "%s of %s",
             weir_format_size(weir_peak_bytes(), peak, sizeof(peak)),
             weir_format_size(budget_bytes, budget, sizeof(budget)));
    snprintf(parts[count++], sizeof(parts[0]), "%zu new of the prompt: %.3f s", turn->new_count,
             report->prefill_s);
    print_parts(parts, count);
}

static void keep_figures(struct turn *turn, uint64_t end_ns, size_t prompt_count)
{
    struct weir_cli_talk *talk = turn->talk;
    struct weir_cli_report *report = &talk->report;
    report->engine = talk->rig.engine;
    report->calibration = weir_cli_rig_calibration(&talk->rig);
    report->is_prompt = true;
    report->model_path = talk->options.argument;
    report->load_s = talk->rig.load_s;
    report->first_token_s = WEIR_CLI_NONE; /* of a load: prefill has the turn's own */
    report->prefill_j = report->decode_j = WEIR_CLI_NONE; /* nobody reads the counters here */
    report->prompt_tokens = prompt_count;
    report->prefill_evals = turn->new_count;
    report->prefill_s =
        (double)((turn->first_ns > 0 ? turn->first_ns : end_ns) - turn->start_ns) * 1e-9;
    report->decode_evals = turn->token_count > 0 ? turn->token_count - 1 : 0;
    report->decode_s =
        report->decode_evals > 0 ? (double)(end_ns - turn->first_ns) * 1e-9 : WEIR_CLI_NONE;
    weir_engine_stats_get(talk->rig.engine, &report->whole);
    talk->has_report = true;
    if (talk->rig.kept.path[0] != '\0')
        weir_cli_past_save(report, &talk->options);
}

/* ---- the turn ------------------------------------------------------------------------------ */

/* The answer becomes a message; one that was stopped before its first word does not. */
static enum weir_cli_turn keep_answer(struct turn *turn)
{
    struct weir_cli_talk *talk = turn->talk;
    const bool is_over = turn->is_closed || weir_cli_stop_asked();
    if (turn->is_stopped && !is_over) {
        if (!turn->has_shown) /* the terminal has shown ^C */
            weir_cli_aside_write("\n", 1);
        weir_cli_say("stopped");
    }
    if (turn->answer.length == 0 && turn->reasoning.length == 0 &&
        (turn->is_stopped || turn->has_failed))
        return is_over ? WEIR_CLI_TURN_OVER : WEIR_CLI_TURN_FAILED;
    if (!weir_cli_message_add(talk->messages, "assistant",
                              turn->answer.length > 0 ? turn->answer.bytes : "",
                              turn->answer.length))
        return WEIR_CLI_TURN_OVER;
    if (turn->reasoning.length > 0) {
        json_t *message = json_array_get(talk->messages, json_array_size(talk->messages) - 1);
        weir_cli_json_text(message, "reasoning_content", turn->reasoning.bytes,
                           turn->reasoning.length);
    }
    forget_oldest(talk);
    return is_over ? WEIR_CLI_TURN_OVER : WEIR_CLI_TURN_DONE;
}

static enum weir_cli_turn answer(struct turn *turn, const uint32_t *ids, size_t count)
{
    struct weir_cli_talk *talk = turn->talk;
    if (!prepare(turn, ids, count))
        return WEIR_CLI_TURN_FAILED;
    weir_engine_stats_reset(talk->rig.engine);
    turn->start_ns = weir_now_ns();
    weir_cli_signals_watch(talk->rig.session);
    if (evaluate_prompt(turn, ids, count)) {
        weir_engine_stats_get(talk->rig.engine, &talk->report.prefill);
        generate(turn);
    }
    weir_cli_signals_watch(NULL);
    const uint64_t end_ns = weir_now_ns();
    if (turn->first_ns > 0)
        keep_figures(turn, end_ns, count);
    if (turn->has_shown && !turn->is_closed)
        weir_cli_text_write("\n", 1);
    else if (turn->reasoning.length > 0)
        weir_cli_aside_write("\n", 1);
    if (turn->why_over != NULL)
        weir_cli_notice_tell(NULL, turn->why_over);
    const enum weir_cli_turn outcome = keep_answer(turn);
    weir_cli_interrupt_take();
    if (turn->first_ns > 0 && !turn->is_closed && !weir_cli_is_quiet())
        print_figures(turn);
    return outcome;
}

enum weir_cli_turn weir_cli_talk_answer(struct weir_cli_talk *talk)
{
    struct turn turn = {.talk = talk, .thinking = {.options = &talk->options}};
    uint32_t *ids = NULL;
    size_t count = 0;
    enum weir_cli_turn outcome = WEIR_CLI_TURN_FAILED;
    if (fit_prompt(talk, &ids, &count))
        outcome = answer(&turn, ids, count);
    /* What cannot be kept is told by a notice, and costs the next run time only. */
    if (talk->options.prefix_cache != NULL)
        (void)weir_session_save(talk->rig.session, NULL);
    while (weir_engine_disk_wait(talk->rig.engine, 0.1) && !weir_cli_stop_asked())
        ;
    if (weir_cli_kept_is_due(&talk->rig.kept))
        weir_cli_kept_save(&talk->rig.kept, talk->rig.engine);
    weir_ids_free(&ids);
    if (turn.sampler != NULL)
        weir_sampler_destroy(&turn.sampler);
    weir_reply_destroy(&turn.reply);
    weir_cli_thinking_free(&turn.thinking);
    turn.sampling.grammar_text = (struct weir_cli_buffer){0};
    weir_cli_sampling_free(&turn.sampling);
    weir_cli_buffer_free(&turn.answer);
    weir_cli_buffer_free(&turn.reasoning);
    return outcome;
}
