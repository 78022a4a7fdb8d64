/* eval.c - weir eval: perplexity as llama.cpp's tool counts it, and logits for other judges. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "base/heap.h"
#include "cli.h"

struct evaluation {
    const struct weir_cli_options *options;
    struct weir_cli_rig rig;
    struct weir_cli_out logits;
    uint32_t *ids;
    size_t id_count, used_count; /* in the text, and in the chunks evaluated */
    uint32_t n_vocab;
    uint32_t n_ctx; /* tokens of a chunk */
    size_t chunk_count;
    uint32_t scored_from; /* first position of a chunk whose prediction counts */
    uint32_t bos;         /* replaces each chunk's first token, or WEIR_ID_NONE */
    const uint32_t *chunk;
    double nll_sum, nll_square_sum;
    uint64_t scored_count;
    bool failed; /* already said */
};

/* -log of the softmax of logits at id. */
static double measure_surprise(const float *logits, uint32_t n_vocab, uint32_t id)
{
    float most = logits[0];
    for (uint32_t at = 1; at < n_vocab; at++)
        most = logits[at] > most ? logits[at] : most;
    double sum = 0.0;
    for (uint32_t at = 0; at < n_vocab; at++)
        sum += exp((double)(logits[at] - most));
    return log(sum) - (double)(logits[id] - most);
}

static bool take_logits(void *user, uint32_t position, const float *logits)
{
    struct evaluation *evaluation = user;
    if (evaluation->logits.file != NULL && fwrite(logits, sizeof(*logits), evaluation->n_vocab,
                                                  evaluation->logits.file) != evaluation->n_vocab) {
        weir_cli_out_finish(&evaluation->logits); /* says why, and removes it */
        evaluation->failed = true;
        return false;
    }
    if (position >= evaluation->scored_from && position + 1 < evaluation->n_ctx) {
        const double nll =
            measure_surprise(logits, evaluation->n_vocab, evaluation->chunk[position + 1]);
        evaluation->nll_sum += nll;
        evaluation->nll_square_sum += nll * nll;
        evaluation->scored_count++;
    }
    return !weir_cli_stop_asked();
}

/* The ids of --text or --tokens; the text itself is let go before the model is opened. */
static int read_ids(struct evaluation *evaluation)
{
    const struct weir_cli_options *options = evaluation->options;
    struct weir_cli_buffer text = {0};
    struct weir_err err = {0};
    weir_tokenizer *tokenizer = NULL;
    int code = WEIR_CLI_FAILURE;
    if (options->text == NULL && options->tokens == NULL)
        return weir_cli_misuse("eval", "wanted --text or --tokens, found neither");
    const char *path = options->text != NULL ? options->text : options->tokens;
    if (!weir_cli_file_read(path, weir_cli_text_bytes_max(options), &text))
        goto done;
    if (options->tokens != NULL) {
        if (strlen(text.bytes) != text.length)
            weir_cli_say("%s: wanted token ids, found a zero byte", path);
        else if (weir_cli_ids_parse(path, text.bytes, &evaluation->ids, &evaluation->id_count) &&
                 weir_cli_ids_check(path, options->argument, evaluation->ids, evaluation->id_count))
            code = WEIR_CLI_OK;
        goto done;
    }
    if (weir_tokenizer_open(&tokenizer, options->argument, &err) != WEIR_OK ||
        weir_tokenizer_encode(tokenizer, text.bytes, text.length, WEIR_TEXT_ADD_SPECIAL,
                              &evaluation->ids, &evaluation->id_count, &err) != WEIR_OK) {
        weir_cli_fail(&err);
        goto done;
    }
    if (weir_tokenizer_adds_bos(tokenizer))
        evaluation->bos = weir_tokenizer_bos(tokenizer);
    code = WEIR_CLI_OK;

done:
    weir_tokenizer_close(&tokenizer);
    weir_cli_buffer_free(&text);
    return code;
}

/* How the ids are cut: whole chunks, or one short one. Keeps only the ids that are used. */
static int cut_chunks(struct evaluation *evaluation)
{
    const struct weir_cli_options *options = evaluation->options;
    if (evaluation->id_count == 0) {
        weir_cli_say("%s holds no tokens", options->text != NULL ? options->text : options->tokens);
        return WEIR_CLI_FAILURE;
    }
    evaluation->n_ctx = (uint32_t)weir_min(options->eval_ctx, evaluation->id_count);
    evaluation->scored_from = evaluation->id_count < options->eval_ctx ? 0 : evaluation->n_ctx / 2;
    evaluation->chunk_count = evaluation->id_count / evaluation->n_ctx;
    if (options->chunk_limit > 0)
        evaluation->chunk_count = weir_min(evaluation->chunk_count, options->chunk_limit);
    evaluation->used_count = evaluation->chunk_count * evaluation->n_ctx;
    uint32_t *used = weir_heap_array(evaluation->used_count, sizeof(*used));
    if (used == NULL) {
        weir_cli_say("no memory for %zu token ids", evaluation->used_count);
        return WEIR_CLI_FAILURE;
    }
    memcpy(used, evaluation->ids, evaluation->used_count * sizeof(*used));
    weir_ids_free(&evaluation->ids);
    evaluation->ids = used;
    return WEIR_CLI_OK;
}

static enum weir_status evaluate_chunk(struct evaluation *evaluation, uint32_t *chunk,
                                       struct weir_err *err)
{
    weir_session *session = evaluation->rig.session;
    uint32_t quiet = 0; /* tokens whose logits nobody asks for */
    if (evaluation->bos != WEIR_ID_NONE)
        chunk[0] = evaluation->bos;
    evaluation->chunk = chunk;
    weir_session_rewind(session, 0);
    if (evaluation->logits.file == NULL)
        quiet = evaluation->scored_from;
    if (quiet > 0)
        WEIR_TRY(weir_session_eval(session, chunk, quiet, NULL, NULL, err));
    return weir_session_eval(session, chunk + quiet, evaluation->n_ctx - quiet, take_logits,
                             evaluation, err);
}

static int evaluate_chunks(struct evaluation *evaluation)
{
    for (size_t index = 0; index < evaluation->chunk_count; index++) {
        struct weir_err err = {0};
        if (evaluate_chunk(evaluation, evaluation->ids + index * evaluation->n_ctx, &err) !=
            WEIR_OK) {
            if (!evaluation->failed)
                weir_cli_fail(&err);
            return WEIR_CLI_FAILURE;
        }
        if (evaluation->scored_count > 0)
            weir_cli_status_line("chunk %zu of %zu, perplexity %.4f", index + 1,
                                 evaluation->chunk_count,
                                 exp(evaluation->nll_sum / (double)evaluation->scored_count));
    }
    weir_cli_status_clear();
    return WEIR_CLI_OK;
}

static int report(struct evaluation *evaluation, double eval_s)
{
    const struct weir_cli_options *options = evaluation->options;
    struct weir_cli_report report = {
        .engine = evaluation->rig.engine,
        .calibration = weir_cli_rig_calibration(&evaluation->rig),
        .model_path = options->argument,
        .prompt_tokens = evaluation->id_count,
        .prefill_s = eval_s,
        .decode_s = WEIR_CLI_NONE,
        .prefill_evals = evaluation->used_count,
    };
    const double count = (double)evaluation->scored_count;
    const double nll = evaluation->nll_sum / count; /* not a number when nothing was scored */
    const double variance = evaluation->nll_square_sum / count - nll * nll;
    const double error = variance > 0.0 ? exp(nll) * sqrt(variance / (count - 1.0)) : WEIR_CLI_NONE;
    weir_engine_stats_get(evaluation->rig.engine, &report.whole);
    report.prefill = report.whole;
    if (!options->json) {
        if (evaluation->scored_count > 0)
            printf("perplexity %.4f +/- %.4f over %llu tokens (%.6f nats a token)\n", exp(nll),
                   error, (unsigned long long)evaluation->scored_count, nll);
        if (evaluation->used_count < evaluation->id_count)
            weir_cli_say("%zu of %zu tokens were evaluated", evaluation->used_count,
                         evaluation->id_count);
        weir_cli_report_print(&report);
    }
    json_t *object = weir_cli_report_json(&report);
    weir_cli_json_count(object, "tokens", evaluation->scored_count);
    weir_cli_json_real(object, "ppl", exp(nll));
    weir_cli_json_real(object, "nll", nll);
    weir_cli_json_real(object, "ppl_error", error);
    weir_cli_json_count(object, "evaluated_tokens", evaluation->used_count);
    weir_cli_json_count(object, "chunks", evaluation->chunk_count);
    weir_cli_json_count(object, "chunk_tokens", evaluation->n_ctx);
    return weir_cli_report_write(object, options, &evaluation->rig) ? WEIR_CLI_OK
                                                                    : WEIR_CLI_FAILURE;
}

static int evaluate(struct evaluation *evaluation)
{
    const struct weir_cli_options *options = evaluation->options;
    struct weir_config config;
    struct weir_bench_config bench_config;
    if (!weir_cli_config_fill(&config, &bench_config, options, "eval"))
        return WEIR_CLI_USAGE;
    int code = read_ids(evaluation);
    if (code == WEIR_CLI_OK)
        code = cut_chunks(evaluation);
    if (code != WEIR_CLI_OK)
        return code;
    config.n_ctx = evaluation->n_ctx;
    config.caller_bytes = evaluation->used_count * sizeof(*evaluation->ids);
    if (options->logits != NULL && !weir_cli_out_open(&evaluation->logits, options->logits))
        return WEIR_CLI_FAILURE;
    code = weir_cli_rig_open(&evaluation->rig, &config, options);
    if (code != WEIR_CLI_OK)
        return code;
    evaluation->n_vocab = weir_engine_model(evaluation->rig.engine)->n_vocab;
    const uint64_t start_ns = weir_now_ns();
    code = evaluate_chunks(evaluation);
    const double eval_s = (double)(weir_now_ns() - start_ns) * 1e-9;
    if (code == WEIR_CLI_OK && !weir_cli_out_finish(&evaluation->logits))
        code = WEIR_CLI_FAILURE;
    return code == WEIR_CLI_OK ? report(evaluation, eval_s) : code;
}

int weir_cli_eval(const struct weir_cli_options *options)
{
    struct evaluation evaluation = {.options = options, .bos = WEIR_ID_NONE};
    const int code = evaluate(&evaluation);
    weir_cli_out_discard(&evaluation.logits);
    weir_cli_rig_close(&evaluation.rig);
    weir_ids_free(&evaluation.ids);
    return code;
}
