/* questions.c - weir eval --mc: the choices of each question beside each other behind one prompt.
 *
 * The prompt and what its choices have in common is computed once; each choice goes on from there,
 * and the session is rewound. */
#include "questions.h"

#include <errno.h>
#include <string.h>

#include "base/heap.h"
#include "likelihood.h"

/* One question's choices as ids. */
struct choice {
    uint32_t *ids; /* of prompt and choice */
    size_t count;
    size_t scored_from; /* ids before are the prompt's */
    double sum;         /* of log-probabilities */
};

struct asking {
    const struct weir_cli_options *options;
    FILE *file;
    struct weir_cli_buffer line;
    uint64_t line_number;
    struct weir_cli_rig rig;
    uint32_t n_vocab;
    struct choice choices[WEIR_CLI_CHOICE_MAX];
    uint32_t choice_count;
    struct choice *running;
    size_t base; /* ids that all choices begin with */
    struct weir_cli_chunks chunks;
    json_t *items; /* NULL: nobody wants them */
    uint64_t count, right, right_by_length, evaluated;
    double eval_s, eval_j;
};

/* ---- lines --------------------------------------------------------------------------------- */

static bool tell_line(const struct asking *asking, const char *why)
{
    weir_cli_say("%s, line %llu: %s", asking->options->mc, (unsigned long long)asking->line_number,
                 why);
    return false;
}

/* The next line into asking->line, without its end; *found is false where the file ends. */
static bool read_line(struct asking *asking, bool *found)
{
    char part[256];
    size_t count = 0;
    int letter = getc(asking->file);
    *found = letter != EOF;
    asking->line.length = 0;
    asking->line_number += *found;
    for (; letter != EOF && letter != '\n'; letter = getc(asking->file)) {
        part[count++] = (char)letter;
        if (asking->line.length + count > WEIR_CLI_QUESTION_BYTES_MAX)
            return tell_line(asking, "wanted at most 1 MiB, found more");
        if (count < sizeof(part))
            continue;
        if (!weir_cli_buffer_append(&asking->line, part, count))
            return false;
        count = 0;
    }
    if (ferror(asking->file))
        return tell_line(asking, strerror(errno));
    return weir_cli_buffer_append(&asking->line, part, count);
}

/* The next line that is not empty; *found is false at the end. */
static bool next_question(struct asking *asking, struct weir_cli_question *question, bool *found)
{
    const struct weir_cli_buffer *line = &asking->line;
    struct weir_err err = {0};
    while (read_line(asking, found)) {
        if (!*found)
            return true;
        if (strspn(line->bytes, " \t\r") == line->length)
            continue;
        return weir_cli_question_read(question, line->bytes, line->length, &err) == WEIR_OK ||
               tell_line(asking, err.text);
    }
    return false;
}

/* All lines are looked at before a model is loaded: what is wrong is said at once, and the memory
 * for what will be told of them is planned. */
static bool look_through(struct asking *asking, uint64_t *longest, uint64_t *caller_bytes)
{
    enum { ITEM_BYTES = 600, CHOICE_BYTES = 100, SMALL_BYTES = 1 << 18 };
    struct weir_cli_question question;
    uint64_t bytes = 0;
    uint64_t count = 0;
    bool found = true;
    bool ok;
    while ((ok = next_question(asking, &question, &found)) && found) {
        *longest = weir_max(*longest, asking->line.length);
        bytes += ITEM_BYTES + question.choice_count * CHOICE_BYTES;
        bytes += count < WEIR_CLI_CHUNKS_MAX ? WEIR_CLI_CHUNK_BYTES : 0;
        count++;
        weir_cli_question_free(&question);
    }
    if (!ok)
        return false;
    if (count == 0) {
        weir_cli_say("%s holds no questions", asking->options->mc);
        return false;
    }
    bytes += *longest * sizeof(uint32_t) * WEIR_CLI_CHOICE_MAX; /* ids */
    if (bytes > SMALL_BYTES) /* what the allowance for the program covers */
        *caller_bytes += bytes;
    asking->line_number = 0;
    if (fseeko(asking->file, 0, SEEK_SET) == 0)
        return true;
    weir_cli_say("--mc: wanted a file, found %s, which cannot be read twice", asking->options->mc);
    return false;
}

/* ---- tokens -------------------------------------------------------------------------------- */

/* A space between prompt and choice where neither has white space there. */
static bool join(struct weir_cli_buffer *text, const char *prompt, const char *choice)
{
    static const char white[] = " \t\r\n";
    const size_t length = strlen(prompt);
    const bool is_apart = length == 0 || strchr(white, prompt[length - 1]) != NULL ||
                          strchr(white, choice[0]) != NULL;
    text->length = 0;
    return weir_cli_buffer_append(text, prompt, length) &&
           (is_apart || weir_cli_buffer_append(text, " ", 1)) &&
           weir_cli_buffer_append(text, choice, strlen(choice));
}

static bool encode(weir_tokenizer *tokenizer, const char *text, size_t length, uint32_t **ids,
                   size_t *count)
{
    struct weir_err err = {0};
    if (weir_tokenizer_encode(tokenizer, text, length, WEIR_TEXT_ADD_SPECIAL, ids, count, &err) !=
        WEIR_OK) {
        weir_cli_fail(&err);
        return false;
    }
    /* What some vocabularies put behind a text would be scored too. */
    while (*count > 0 && weir_tokenizer_is_end(tokenizer, (*ids)[*count - 1]))
        --*count;
    return true;
}

static size_t count_common(const uint32_t *one, size_t one_count, const uint32_t *other,
                           size_t other_count)
{
    size_t at = 0;
    while (at < one_count && at < other_count && one[at] == other[at])
        at++;
    return at;
}

static bool check_choice(const struct asking *asking, uint32_t index)
{
    const struct choice *choice = &asking->choices[index];
    const uint32_t n_ctx = weir_engine_plan(asking->rig.engine)->n_ctx;
    char why[160];
    if (choice->scored_from == 0)
        return tell_line(asking, "before the choices there is no token: wanted a prompt");
    if (choice->scored_from == choice->count) {
        snprintf(why, sizeof(why), "choice %u adds no token to the prompt", index);
        return tell_line(asking, why);
    }
    if (choice->count <= n_ctx)
        return true;
    snprintf(why, sizeof(why), "with choice %u it has %zu tokens, the context %u positions: %s",
             index, choice->count, n_ctx, weir_cli_context_advice(asking->rig.engine));
    return tell_line(asking, why);
}

static bool encode_choices(struct asking *asking, const struct weir_cli_question *question)
{
    weir_tokenizer *tokenizer = weir_engine_tokenizer(asking->rig.engine);
    struct weir_cli_buffer text = {0};
    uint32_t *prompt = NULL;
    size_t prompt_count = 0;
    bool ok = encode(tokenizer, question->prompt, strlen(question->prompt), &prompt, &prompt_count);
    asking->base = SIZE_MAX;
    for (uint32_t index = 0; ok && index < question->choice_count; index++) {
        struct choice *choice = &asking->choices[index];
        *choice = (struct choice){0};
        asking->choice_count = index + 1;
        ok = join(&text, question->prompt, question->choices[index]) &&
             encode(tokenizer, text.bytes, text.length, &choice->ids, &choice->count);
        if (!ok)
            break;
        choice->scored_from = count_common(prompt, prompt_count, choice->ids, choice->count);
        ok = check_choice(asking, index);
        asking->base = weir_min(asking->base, choice->scored_from);
    }
    weir_ids_free(&prompt);
    weir_cli_buffer_free(&text);
    return ok;
}

static void free_choices(struct asking *asking)
{
    for (uint32_t index = 0; index < asking->choice_count; index++)
        weir_ids_free(&asking->choices[index].ids);
    asking->choice_count = 0;
}

/* ---- scores -------------------------------------------------------------------------------- */

/* What comes behind position is scored where it is the choice's. */
static void score(struct choice *choice, size_t position, const struct weir_cli_softmax *softmax,
                  const float *logits)
{
    if (position + 1 >= choice->scored_from && position + 1 < choice->count)
        choice->sum -= weir_cli_surprise(softmax, logits, choice->ids[position + 1]);
}

static bool take_logits(void *user, uint32_t position, const float *logits)
{
    struct asking *asking = user;
    struct weir_cli_softmax softmax;
    weir_cli_softmax_take(&softmax, logits, asking->n_vocab);
    score(asking->running, position, &softmax, logits);
    return !weir_cli_stop_asked();
}

static enum weir_status score_choices(struct asking *asking, struct weir_err *err)
{
    weir_session *session = asking->rig.session;
    struct weir_cli_softmax softmax;
    weir_session_rewind(session, 0);
    WEIR_TRY(weir_session_eval(session, asking->choices[0].ids, asking->base, NULL, NULL, err));
    asking->evaluated += asking->base;
    const float *logits = weir_session_logits(session);
    weir_cli_softmax_take(&softmax, logits, asking->n_vocab);
    for (uint32_t index = 0; index < asking->choice_count; index++)
        score(&asking->choices[index], asking->base - 1, &softmax, logits);
    for (uint32_t index = 0; index < asking->choice_count; index++) {
        struct choice *choice = &asking->choices[index];
        const size_t count = choice->count - 1 - asking->base; /* the last one predicts nothing */
        asking->running = choice;
        weir_session_rewind(session, (uint32_t)asking->base);
        if (count == 0)
            continue;
        WEIR_TRY(weir_session_eval(session, choice->ids + asking->base, count, take_logits, asking,
                                   err));
        asking->evaluated += count;
    }
    return WEIR_OK;
}

/* The likeliest, by the sum or by the sum over the choice's bytes; of equals the first. */
static uint32_t pick(const struct asking *asking, const struct weir_cli_question *question,
                     bool by_length)
{
    uint32_t best = 0;
    double most = -(double)INFINITY;
    for (uint32_t index = 0; index < asking->choice_count; index++) {
        const double length = by_length ? (double)strlen(question->choices[index]) : 1.0;
        const double value = asking->choices[index].sum / length;
        if (value > most) {
            most = value;
            best = index;
        }
    }
    return best;
}

static void add_item(struct asking *asking, const struct weir_cli_question *question,
                     uint32_t picked, uint32_t picked_by_length)
{
    json_t *item = json_object();
    json_t *sums = json_array();
    json_t *tokens = json_array();
    weir_cli_json_count(item, "line", asking->line_number);
    weir_cli_json_count(item, "answer", question->answer);
    weir_cli_json_count(item, "picked", picked);
    weir_cli_json_count(item, "picked_by_length", picked_by_length);
    for (uint32_t index = 0; index < asking->choice_count; index++) {
        const struct choice *choice = &asking->choices[index];
        json_array_append_new(sums, json_real(choice->sum));
        json_array_append_new(tokens,
                              json_integer((json_int_t)(choice->count - choice->scored_from)));
    }
    json_object_set_new(item, "sums", sums);
    json_object_set_new(item, "tokens", tokens);
    json_array_append_new(asking->items, item);
}

static bool ask(struct asking *asking, const struct weir_cli_question *question,
                struct weir_err *err)
{
    struct weir_cli_chunk chunk = {.count = 1, .kl = WEIR_CLI_NONE};
    const uint64_t start_ns = weir_now_ns();
    weir_cli_energy_take(&asking->rig.energy, NULL);
    if (score_choices(asking, err) != WEIR_OK)
        return false;
    asking->eval_s += (double)(weir_now_ns() - start_ns) * 1e-9;
    weir_cli_energy_take(&asking->rig.energy, &asking->eval_j);
    const uint32_t picked = pick(asking, question, false);
    const uint32_t picked_by_length = pick(asking, question, true);
    chunk.right = picked == question->answer;
    chunk.right_by_length = picked_by_length == question->answer;
    asking->count++;
    asking->right += chunk.right;
    asking->right_by_length += chunk.right_by_length;
    add_item(asking, question, picked, picked_by_length);
    for (uint32_t index = 0; index < asking->choice_count; index++)
        weir_cli_chunks_hash(&asking->chunks, asking->choices[index].ids,
                             asking->choices[index].count);
    return weir_cli_chunks_add(&asking->chunks, &chunk);
}

static bool ask_all(struct asking *asking)
{
    struct weir_cli_question question;
    struct weir_err err = {0};
    bool found = true;
    bool ok = true;
    while (ok && !weir_cli_stop_asked()) {
        if (!next_question(asking, &question, &found))
            return false;
        if (!found)
            break;
        ok = encode_choices(asking, &question) && ask(asking, &question, &err);
        free_choices(asking);
        weir_cli_question_free(&question);
        if (asking->count > 0)
            weir_cli_status_line("question %llu, %.2f %% right", (unsigned long long)asking->count,
                                 100.0 * (double)asking->right / (double)asking->count);
    }
    weir_cli_status_clear();
    if (!ok && weir_cli_stop_asked() && asking->count > 0)
        return true; /* what was asked is told */
    if (!ok && err.status != WEIR_OK)
        weir_cli_fail(&err);
    return ok;
}

/* ---- the result ---------------------------------------------------------------------------- */

static void add_share(json_t *object, const char *name, uint64_t right, uint64_t count)
{
    double low, high;
    char key[64];
    weir_cli_share_interval(right, count, &low, &high);
    weir_cli_json_real(object, name, (double)right / (double)count);
    snprintf(key, sizeof(key), "%s_low", name);
    weir_cli_json_real(object, key, low);
    snprintf(key, sizeof(key), "%s_high", name);
    weir_cli_json_real(object, key, high);
}

static void print_share(const char *what, uint64_t right, uint64_t count)
{
    double low, high;
    weir_cli_share_interval(right, count, &low, &high);
    printf("%s %.2f %% right, %.2f to %.2f %% with 95 %%\n", what,
           100.0 * (double)right / (double)count, 100.0 * low, 100.0 * high);
}

static int report(struct asking *asking)
{
    const struct weir_cli_options *options = asking->options;
    const struct weir_model_info *info = weir_engine_model(asking->rig.engine);
    struct weir_cli_report report = {
        .engine = asking->rig.engine,
        .calibration = weir_cli_rig_calibration(&asking->rig),
        .model_path = options->argument,
        .prompt_tokens = asking->evaluated,
        .prefill_s = asking->eval_s,
        .prefill_j = asking->eval_j,
        .decode_s = WEIR_CLI_NONE,
        .load_s = asking->rig.load_s,
        .first_token_s = WEIR_CLI_NONE,
        .prefill_evals = asking->evaluated,
    };
    weir_engine_stats_get(asking->rig.engine, &report.whole);
    report.prefill = report.whole;
    if (!options->json) {
        printf("%llu question%s\n", (unsigned long long)asking->count,
               asking->count == 1 ? "" : "s");
        print_share("by sum   ", asking->right, asking->count);
        print_share("by length", asking->right_by_length, asking->count);
        weir_cli_report_print(&report);
    }
    json_t *object = weir_cli_report_json(&report);
    json_t *choice = json_object();
    weir_cli_json_count(choice, "questions", asking->count);
    add_share(choice, "accuracy", asking->right, asking->count);
    add_share(choice, "accuracy_by_length", asking->right_by_length, asking->count);
    json_object_set(choice, "items", asking->items);
    json_object_set_new(object, "multiple_choice", choice);
    weir_cli_report_add_model(object, info);
    json_object_set_new(object, "per_chunk", weir_cli_chunks_json(&asking->chunks, true));
    json_object_set_new(object, "stopped", json_boolean(weir_cli_stop_asked()));
    if (weir_cli_stop_asked())
        weir_cli_say("stopped: this is of the questions until then");
    return weir_cli_report_write(object, options, &asking->rig) && !weir_cli_stop_asked()
               ? WEIR_CLI_OK
               : WEIR_CLI_FAILURE;
}

/* ---- the command --------------------------------------------------------------------------- */

static int run(struct asking *asking, struct weir_config *config)
{
    enum { TOKENS_MORE = 8 };
    const struct weir_cli_options *options = asking->options;
    struct weir_model_info info;
    uint64_t longest = 0;
    asking->file = fopen(options->mc, "re");
    if (asking->file == NULL) {
        weir_cli_say("cannot open %s: %s", options->mc, strerror(errno));
        return WEIR_CLI_FAILURE;
    }
    if (!weir_cli_model_info(&info, options->argument) ||
        !look_through(asking, &longest, &config->caller_bytes))
        return WEIR_CLI_FAILURE;
    /* A byte has at most a token, but in a few vocabularies: then --ctx asks for more. */
    config->n_ctx = (uint32_t)weir_min(weir_cli_option_given(options, WEIR_CLI_OPTION_eval_ctx)
                                           ? options->eval_ctx
                                           : longest + TOKENS_MORE,
                                       info.n_ctx_train);
    const int code = weir_cli_rig_open(&asking->rig, config, options);
    if (code != WEIR_CLI_OK)
        return code;
    asking->n_vocab = weir_engine_model(asking->rig.engine)->n_vocab;
    if (weir_engine_tokenizer(asking->rig.engine) == NULL)
        return weir_cli_no_text(&weir_engine_model(asking->rig.engine)->warnings,
                                weir_engine_tokenizer_why(asking->rig.engine),
                                "--mc needs a vocabulary");
    asking->items = json_array();
    return ask_all(asking) && asking->count > 0 ? report(asking) : WEIR_CLI_FAILURE;
}

int weir_cli_questions_ask(const struct weir_cli_options *options, struct weir_config *config)
{
    struct asking asking = {.options = options};
    const int code = run(&asking, config);
    free_choices(&asking);
    weir_cli_rig_close(&asking.rig);
    weir_cli_chunks_free(&asking.chunks);
    json_decref(asking.items);
    weir_cli_buffer_free(&asking.line);
    if (asking.file != NULL)
        fclose(asking.file);
    return code;
}
