/* eval.c - weir eval: perplexity as llama.cpp's tool counts it, divergence, logits for others. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/heap.h"
#include "judge.h"
#include "questions.h"
#include "source.h"

struct evaluation {
    const struct weir_cli_options *options;
    struct weir_cli_rig rig;
    struct weir_cli_out logits;
    struct weir_cli_source source; /* its name is NULL when the ids are the reference's */
    struct weir_cli_judge judge;
    uint32_t *chunk;             /* ids of one, n_ctx of them */
    size_t id_count, used_count; /* in the text, and in the chunks evaluated */
    uint32_t n_vocab;
    uint32_t n_ctx;       /* tokens of a chunk */
    uint32_t n_ctx_train; /* which is fewer than --ctx asks for; 0: it is not */
    size_t chunk_count;
    uint32_t scored_from; /* first position of a chunk whose prediction counts */
    uint32_t bos;         /* replaces each chunk's first token, or WEIR_ID_NONE */
    double eval_s, eval_j;
    bool failed; /* already said */
};

static bool take_logits(void *user, uint32_t position, const float *logits)
{
    struct evaluation *evaluation = user;
    if (evaluation->logits.file != NULL && fwrite(logits, sizeof(*logits), evaluation->n_vocab,
                                                  evaluation->logits.file) != evaluation->n_vocab) {
        weir_cli_out_finish(&evaluation->logits); /* says why, and removes it */
        evaluation->failed = true;
        return false;
    }
    if (position >= evaluation->scored_from && position + 1 < evaluation->n_ctx &&
        !weir_cli_judge_take(&evaluation->judge, position, logits,
                             evaluation->chunk[position + 1])) {
        evaluation->failed = true;
        return false;
    }
    return !weir_cli_stop_asked();
}

/* The chunks are the reference's. */
static int take_chunks(struct evaluation *evaluation)
{
    const struct weir_cli_reference *reference = &evaluation->judge.reference;
    const struct weir_cli_reference_head *head = &reference->head;
    const uint64_t asked = evaluation->options->eval_ctx;
    evaluation->n_ctx = head->n_ctx;
    evaluation->scored_from = head->scored_from;
    evaluation->bos = head->bos;
    if (!weir_cli_option_given(evaluation->options, WEIR_CLI_OPTION_eval_ctx) ||
        asked == head->n_ctx || (head->scored_from == 0 && asked > head->n_ctx))
        return WEIR_CLI_OK;
    weir_cli_say("--ctx: the reference %s has chunks of %u tokens, %llu are asked for",
                 reference->path, head->n_ctx, (unsigned long long)asked);
    return WEIR_CLI_FAILURE;
}

/* The file of --text or --tokens, and how long a chunk can be. */
static int open_source(struct evaluation *evaluation)
{
    const struct weir_cli_options *options = evaluation->options;
    const char *path = options->text != NULL ? options->text : options->tokens;
    if (path == NULL && options->reference == NULL)
        return weir_cli_misuse("eval", "wanted --text, --tokens, --reference or --mc, found none");
    if (path != NULL && !weir_cli_source_open(&evaluation->source, path))
        return WEIR_CLI_FAILURE;
    if (!weir_cli_judge_open(&evaluation->judge, options))
        return WEIR_CLI_FAILURE;
    if (evaluation->judge.reference.file != NULL)
        return take_chunks(evaluation);
    evaluation->n_ctx =
        (uint32_t)weir_min(options->eval_ctx, weir_cli_source_ids_max(&evaluation->source));
    return WEIR_CLI_OK;
}

/* Chunks of the text, if each byte is a token. */
static uint64_t count_chunks(const struct evaluation *evaluation)
{
    return evaluation->source.name == NULL
               ? evaluation->judge.reference.head.chunk_count
               : weir_cli_source_bytes(&evaluation->source) / evaluation->n_ctx + 1;
}

/* No chunk is longer than what the model was trained for. Who asks for more by --ctx is told,
 * unless the text turns out to be so short that it does not matter. */
static int bound_chunk(struct evaluation *evaluation, struct weir_config *config)
{
    struct weir_model_info info;
    struct weir_cli_judge *judge = &evaluation->judge;
    const uint64_t limit =
        evaluation->options->chunk_limit == 0 ? UINT64_MAX : evaluation->options->chunk_limit;
    if (!weir_cli_model_info(&info, evaluation->options->argument) ||
        !weir_cli_judge_fit(judge, &info, count_chunks(evaluation), limit, &config->caller_bytes))
        return WEIR_CLI_FAILURE;
    if (evaluation->n_ctx <= info.n_ctx_train)
        return WEIR_CLI_OK;
    if (judge->reference.file != NULL) {
        weir_cli_say("%s: the reference has chunks of %u tokens, the model was trained for %u",
                     judge->reference.path, evaluation->n_ctx, info.n_ctx_train);
        return WEIR_CLI_FAILURE;
    }
    evaluation->n_ctx = info.n_ctx_train;
    if (weir_cli_option_given(evaluation->options, WEIR_CLI_OPTION_eval_ctx))
        evaluation->n_ctx_train = info.n_ctx_train;
    return WEIR_CLI_OK;
}

/* What takes the place of the first id where no text is cut: nothing before ids that are written
 * down; of a reference alone what it says, or what llama.cpp takes. */
static bool take_bos(struct evaluation *evaluation, weir_tokenizer *tokenizer)
{
    const bool is_peers = evaluation->judge.reference.is_peers;
    const bool adds_bos = weir_tokenizer_adds_bos(tokenizer);
    if (evaluation->options->tokens != NULL)
        evaluation->bos = WEIR_ID_NONE;
    else if (is_peers && adds_bos)
        evaluation->bos = weir_tokenizer_bos(tokenizer);
    if (evaluation->options->tokens == NULL || !is_peers || !adds_bos)
        return true;
    weir_cli_say("%s: llama.cpp put a token before each chunk, and --tokens puts none: leave it "
                 "out, the reference has its tokens",
                 evaluation->judge.reference.path);
    return false;
}

static bool start_source(struct evaluation *evaluation)
{
    weir_tokenizer *tokenizer = weir_engine_tokenizer(evaluation->rig.engine);
    evaluation->source.n_vocab = evaluation->n_vocab;
    evaluation->chunk = weir_heap_array(evaluation->n_ctx, sizeof(*evaluation->chunk));
    if (evaluation->chunk == NULL) {
        weir_cli_say("no memory for %u token ids", evaluation->n_ctx);
        return false;
    }
    evaluation->judge.n_vocab = evaluation->n_vocab;
    evaluation->judge.tokenizer = tokenizer;
    return evaluation->options->text == NULL
               ? take_bos(evaluation, tokenizer)
               : weir_cli_source_encode_chunks(&evaluation->source, evaluation->rig.engine,
                                               &evaluation->bos);
}

static enum weir_status evaluate_chunk(struct evaluation *evaluation, struct weir_err *err)
{
    uint32_t *chunk = evaluation->chunk;
    weir_session *session = evaluation->rig.session;
    uint32_t quiet = 0; /* tokens whose logits nobody asks for */
    evaluation->failed = !weir_cli_judge_chunk(&evaluation->judge, chunk, evaluation->n_ctx);
    if (evaluation->failed)
        return WEIR_ERR_CANCELLED;
    if (evaluation->bos != WEIR_ID_NONE)
        chunk[0] = evaluation->bos;
    weir_session_rewind(session, 0);
    if (evaluation->logits.file == NULL)
        quiet = evaluation->scored_from;
    if (quiet > 0)
        WEIR_TRY(weir_session_eval(session, chunk, quiet, NULL, NULL, err));
    return weir_session_eval(session, chunk + quiet, evaluation->n_ctx - quiet, take_logits,
                             evaluation, err);
}

/* Whether the text has an id more; it is lost. */
static bool goes_on(struct evaluation *evaluation)
{
    uint32_t id;
    size_t count = 0;
    return weir_cli_source_next(&evaluation->source, &id, 1, &count) && count > 0;
}

/* The next ids of the text, or of the reference where there is none. */
static bool read_ids(struct evaluation *evaluation, size_t *count)
{
    struct weir_cli_reference *reference = &evaluation->judge.reference;
    struct weir_err err = {0};
    if (evaluation->source.name != NULL)
        return weir_cli_source_next(&evaluation->source, evaluation->chunk, evaluation->n_ctx,
                                    count);
    *count = evaluation->n_ctx;
    if (weir_cli_reference_ids(reference, (uint32_t)evaluation->chunk_count, evaluation->chunk,
                               &err) == WEIR_OK)
        return true;
    weir_cli_say("%s: %s", reference->path, err.text);
    return false;
}

/* The first chunk of a text that has a reference. */
static bool begin_chunks(struct evaluation *evaluation, size_t count)
{
    if (count == evaluation->n_ctx)
        return true;
    weir_cli_say("%s: the reference has chunks of %u tokens, the text has %zu in all",
                 evaluation->judge.reference.path, evaluation->n_ctx, count);
    evaluation->failed = true;
    return false;
}

/* The next chunk; false at the end of the text, or when it cannot be read. Only the first one may
 * be short: then it is all there is. */
static bool next_chunk(struct evaluation *evaluation)
{
    size_t count = 0;
    if (!read_ids(evaluation, &count)) {
        evaluation->failed = true;
        return false;
    }
    evaluation->id_count += count;
    if (evaluation->chunk_count > 0 || count == 0)
        return count > 0 && count == evaluation->n_ctx;
    if (evaluation->judge.reference.file != NULL)
        return begin_chunks(evaluation, count);
    if (evaluation->n_ctx_train > 0 && goes_on(evaluation)) {
        weir_cli_say("--ctx: the model was trained for %u positions, %llu are asked for, and the "
                     "text is longer",
                     evaluation->n_ctx_train, (unsigned long long)evaluation->options->eval_ctx);
        evaluation->failed = true;
        return false;
    }
    const bool is_whole = count == evaluation->n_ctx && evaluation->n_ctx_train == 0;
    /* Of two tokens the second half predicts nothing. */
    evaluation->scored_from = is_whole && count > 2 ? evaluation->n_ctx / 2 : 0;
    evaluation->n_ctx = (uint32_t)count;
    return true;
}

/* A chunk may follow, if the text has one. */
static bool wants_more(const struct evaluation *evaluation)
{
    const struct weir_cli_reference *reference = &evaluation->judge.reference;
    const uint64_t limit = evaluation->options->chunk_limit;
    return (limit == 0 || evaluation->chunk_count < limit) &&
           (reference->file == NULL || evaluation->chunk_count < reference->head.chunk_count) &&
           !weir_cli_stop_asked();
}

/* Ids are read as they are evaluated, and none behind the last chunk: the text may have no end. */
static int evaluate_chunks(struct evaluation *evaluation)
{
    struct weir_cli_judge *judge = &evaluation->judge;
    while (wants_more(evaluation) && next_chunk(evaluation)) {
        struct weir_err err = {0};
        const uint64_t start_ns = weir_now_ns();
        weir_cli_energy_take(&evaluation->rig.energy, NULL);
        if (evaluation->chunk_count == 0 &&
            !weir_cli_judge_begin(judge, evaluation->options,
                                  weir_engine_model(evaluation->rig.engine), evaluation->n_ctx,
                                  evaluation->scored_from, evaluation->bos))
            return WEIR_CLI_FAILURE;
        if (evaluate_chunk(evaluation, &err) != WEIR_OK) {
            if (!evaluation->failed && weir_cli_stop_asked() && judge->count > 0)
                break; /* what was scored is told */
            if (!evaluation->failed)
                weir_cli_fail(&err);
            return WEIR_CLI_FAILURE;
        }
        evaluation->eval_s += (double)(weir_now_ns() - start_ns) * 1e-9;
        weir_cli_energy_take(&evaluation->rig.energy, &evaluation->eval_j);
        evaluation->chunk_count++;
        evaluation->used_count += evaluation->n_ctx;
        if (!weir_cli_judge_chunk_end(judge))
            return WEIR_CLI_FAILURE;
        if (judge->count > 0)
            weir_cli_status_line("chunk %zu, perplexity %.4f", evaluation->chunk_count,
                                 exp(judge->nll / (double)judge->count));
    }
    weir_cli_status_clear();
    if (!evaluation->failed && evaluation->id_count == 0) {
        weir_cli_say("%s holds no tokens", evaluation->source.name);
        return WEIR_CLI_FAILURE;
    }
    return evaluation->failed ? WEIR_CLI_FAILURE : WEIR_CLI_OK;
}

static int report(struct evaluation *evaluation)
{
    const struct weir_cli_options *options = evaluation->options;
    struct weir_cli_report report = {
        .engine = evaluation->rig.engine,
        .calibration = weir_cli_rig_calibration(&evaluation->rig),
        .model_path = options->argument,
        .prompt_tokens = evaluation->id_count,
        .prefill_s = evaluation->eval_s,
        .prefill_j = evaluation->eval_j,
        .decode_s = WEIR_CLI_NONE,
        .load_s = evaluation->rig.load_s,
        .first_token_s = WEIR_CLI_NONE,
        .prefill_evals = evaluation->used_count,
    };
    const double count = (double)evaluation->judge.count;
    const double nll = evaluation->judge.nll / count; /* not a number when nothing was scored */
    const double variance = evaluation->judge.nll_square / count - nll * nll;
    const double error = variance > 0.0 ? exp(nll) * sqrt(variance / (count - 1.0)) : WEIR_CLI_NONE;
    weir_engine_stats_get(evaluation->rig.engine, &report.whole);
    report.prefill = report.whole;
    if (evaluation->judge.count == 0)
        weir_cli_say("%s: one token predicts nothing, so there is no perplexity",
                     evaluation->source.name);
    if (!options->json) {
        if (evaluation->judge.count > 0)
            printf("perplexity %.4f +/- %.4f over %llu tokens (%.6f nats a token)\n", exp(nll),
                   error, (unsigned long long)evaluation->judge.count, nll);
        weir_cli_judge_print(&evaluation->judge);
        if (evaluation->used_count < evaluation->id_count)
            weir_cli_say("%zu of %zu tokens were evaluated", evaluation->used_count,
                         evaluation->id_count);
        if (evaluation->chunk_count == evaluation->judge.reference.head.chunk_count &&
            evaluation->source.name != NULL && !weir_cli_stop_asked() && goes_on(evaluation))
            weir_cli_say("the text goes on, the reference does not: the rest was not evaluated");
        if (evaluation->chunk_count == options->chunk_limit)
            weir_cli_say("--chunks: %zu tokens were read and evaluated, and no more",
                         evaluation->id_count);
        weir_cli_report_print(&report);
    }
    json_t *object = weir_cli_report_json(&report);
    weir_cli_json_count(object, "tokens", evaluation->judge.count);
    weir_cli_json_real(object, "ppl", exp(nll));
    weir_cli_json_real(object, "nll", nll);
    weir_cli_json_real(object, "ppl_error", error);
    weir_cli_json_count(object, "evaluated_tokens", evaluation->used_count);
    weir_cli_json_count(object, "chunks", evaluation->chunk_count);
    weir_cli_json_count(object, "chunk_tokens", evaluation->n_ctx);
    weir_cli_report_add_model(object, weir_engine_model(evaluation->rig.engine));
    weir_cli_judge_json(&evaluation->judge, object);
    json_object_set_new(object, "stopped", json_boolean(weir_cli_stop_asked()));
    if (weir_cli_stop_asked())
        weir_cli_say("stopped: this is of the text until then");
    return weir_cli_report_write(object, options, &evaluation->rig) && !weir_cli_stop_asked()
               ? WEIR_CLI_OK
               : WEIR_CLI_FAILURE;
}

static int evaluate(struct evaluation *evaluation)
{
    const struct weir_cli_options *options = evaluation->options;
    struct weir_config config;
    struct weir_bench_config bench_config;
    if (!weir_cli_config_fill(&config, &bench_config, options, "eval"))
        return WEIR_CLI_USAGE;
    if (options->mc != NULL)
        return weir_cli_questions_ask(options, &config);
    int code = open_source(evaluation);
    if (code == WEIR_CLI_OK)
        code = bound_chunk(evaluation, &config);
    if (code != WEIR_CLI_OK)
        return code;
    config.n_ctx = evaluation->n_ctx;
    if (options->logits != NULL && !weir_cli_out_open(&evaluation->logits, options->logits))
        return WEIR_CLI_FAILURE;
    code = weir_cli_rig_open(&evaluation->rig, &config, options);
    if (code != WEIR_CLI_OK)
        return code;
    evaluation->n_vocab = weir_engine_model(evaluation->rig.engine)->n_vocab;
    if (!start_source(evaluation))
        return WEIR_CLI_FAILURE;
    code = evaluate_chunks(evaluation);
    /* Rows of half a text are not what was asked for. */
    if (code == WEIR_CLI_OK && !weir_cli_stop_asked() &&
        (!weir_cli_out_finish(&evaluation->logits) ||
         !weir_cli_reference_out_finish(&evaluation->judge.save)))
        code = WEIR_CLI_FAILURE;
    return code == WEIR_CLI_OK ? report(evaluation) : code;
}

/* Of an output that is still open, so not whole; what went into a pipe is there. */
static void tell_lost(const struct weir_cli_out *out, const char *path)
{
    if (out->file != NULL && out->temporary[0] != '\0')
        weir_cli_say("%s was not kept: the run was stopped", path);
}

int weir_cli_eval(const struct weir_cli_options *options)
{
    struct evaluation evaluation = {.options = options, .bos = WEIR_ID_NONE, .source = {.fd = -1}};
    const int code = evaluate(&evaluation);
    if (weir_cli_stop_asked()) {
        tell_lost(&evaluation.logits, options->logits);
        tell_lost(&evaluation.judge.save.out, options->save_reference);
    }
    weir_cli_out_discard(&evaluation.logits);
    weir_cli_source_close(&evaluation.source);
    weir_cli_judge_close(&evaluation.judge);
    weir_cli_rig_close(&evaluation.rig);
    weir_heap_free(evaluation.chunk);
    return code;
}
