/* imatrix.c - weir imatrix: what a text multiplies each column of the weights by, into a file. */
#include <string.h>

#include "base/heap.h"
#include "source.h"

struct measuring {
    const struct weir_cli_options *options;
    struct weir_cli_rig rig;
    struct weir_cli_out out;
    struct weir_cli_source source;
    uint32_t *chunk; /* ids of one, n_ctx of them */
    uint32_t n_ctx;  /* tokens of a chunk */
    uint32_t bos;    /* replaces each chunk's first token, or WEIR_ID_NONE */
    uint64_t chunk_count, token_count;
    double eval_s, eval_j;
};

/* The text, and how long a chunk is: no longer than what the model was trained for, nor than a
 * short text can be. */
static int open_text(struct measuring *measuring)
{
    const struct weir_cli_options *options = measuring->options;
    const char *path = options->text != NULL ? options->text : options->tokens;
    struct weir_model_info info;
    if (path == NULL)
        return weir_cli_misuse("imatrix", "wanted --text or --tokens, found neither");
    if (options->output == NULL)
        return weir_cli_misuse("imatrix", "wanted -o FILE, where the importance goes");
    if (!weir_cli_source_open(&measuring->source, path) ||
        !weir_cli_model_info(&info, options->argument))
        return WEIR_CLI_FAILURE;
    const uint64_t most = weir_cli_source_ids_max(&measuring->source);
    measuring->n_ctx = (uint32_t)weir_min(weir_min(options->eval_ctx, most), info.n_ctx_train);
    measuring->source.n_vocab = info.n_vocab;
    if (options->eval_ctx <= info.n_ctx_train || most <= info.n_ctx_train ||
        !weir_cli_option_given(options, WEIR_CLI_OPTION_eval_ctx))
        return WEIR_CLI_OK;
    weir_cli_say("--ctx: the model was trained for %u positions, %llu are asked for",
                 info.n_ctx_train, (unsigned long long)options->eval_ctx);
    return WEIR_CLI_FAILURE;
}

static bool start_text(struct measuring *measuring)
{
    measuring->chunk = weir_heap_array(measuring->n_ctx, sizeof(*measuring->chunk));
    if (measuring->chunk == NULL) {
        weir_cli_say("no memory for %u token ids", measuring->n_ctx);
        return false;
    }
    return measuring->options->tokens != NULL ||
           weir_cli_source_encode_chunks(&measuring->source, measuring->rig.engine,
                                         &measuring->bos);
}

/* How far the text is: by bytes that were read, where its file says how many it has. */
static void tell_progress(const struct measuring *measuring)
{
    const struct weir_cli_options *options = measuring->options;
    const double done = (double)measuring->chunk_count;
    double total = options->chunk_limit > 0 ? (double)options->chunk_limit : 0.0;
    const uint64_t bytes = weir_cli_source_bytes(&measuring->source);
    const uint64_t read_bytes = weir_cli_source_read_bytes(&measuring->source);
    if (bytes != UINT64_MAX && bytes > 0 && read_bytes > 0) {
        const double by_bytes = ceil(done * (double)bytes / (double)read_bytes);
        total = total > 0.0 && total < by_bytes ? total : by_bytes;
    }
    if (total < done || total == 0.0)
        weir_cli_status_line("chunk %.0f", done);
    else
        weir_cli_status_line("chunk %.0f of about %.0f, %.0f s left", done, total,
                             ceil(measuring->eval_s / done * (total - done)));
}

/* Whole chunks until the text ends; a text shorter than one is one. What was measured when a signal
 * comes counts. */
static int measure(struct measuring *measuring)
{
    const struct weir_cli_options *options = measuring->options;
    struct weir_err err = {0};
    while ((options->chunk_limit == 0 || measuring->chunk_count < options->chunk_limit) &&
           !weir_cli_stop_asked()) {
        size_t count = 0;
        if (!weir_cli_source_next(&measuring->source, measuring->chunk, measuring->n_ctx, &count))
            return WEIR_CLI_FAILURE;
        if (count == 0 || (count < measuring->n_ctx && measuring->chunk_count > 0))
            break;
        if (measuring->bos != WEIR_ID_NONE)
            measuring->chunk[0] = measuring->bos;
        weir_session_rewind(measuring->rig.session, 0);
        const uint64_t start_ns = weir_now_ns();
        weir_cli_energy_take(&measuring->rig.energy, NULL);
        if (weir_session_eval(measuring->rig.session, measuring->chunk, count, NULL, NULL, &err) !=
            WEIR_OK) {
            if (weir_cli_stop_asked())
                break;
            return weir_cli_fail(&err);
        }
        measuring->eval_s += (double)(weir_now_ns() - start_ns) * 1e-9;
        weir_cli_energy_take(&measuring->rig.energy, &measuring->eval_j);
        measuring->n_ctx = (uint32_t)count;
        measuring->token_count += count;
        measuring->chunk_count++;
        tell_progress(measuring);
    }
    weir_cli_status_clear();
    if (measuring->token_count > 0)
        return WEIR_CLI_OK;
    weir_cli_say(weir_cli_stop_asked() ? "stopped before the first chunk was measured"
                                       : "%s holds no tokens",
                 measuring->source.name);
    return WEIR_CLI_FAILURE;
}

/* The file, whole or not at all. */
static int write_file(struct measuring *measuring)
{
    const struct weir_importance_file facts = {.text_name = measuring->source.name,
                                               .chunk_count = (uint32_t)measuring->chunk_count,
                                               .chunk_tokens = measuring->n_ctx,
                                               .is_old = measuring->options->dat};
    struct weir_err err = {0};
    if (weir_engine_importance_write(measuring->rig.engine, &facts, measuring->out.file, &err) !=
        WEIR_OK)
        return weir_cli_fail(&err);
    return weir_cli_out_finish(&measuring->out) ? WEIR_CLI_OK : WEIR_CLI_FAILURE;
}

static void tell_reach(const struct weir_importance *importance, const struct measuring *measuring)
{
    if (!weir_cli_is_quiet())
        fprintf(stderr, "importance of %u tensor%s, of %llu token%s in %llu chunk%s, is in %s\n",
                importance->tensor_count, importance->tensor_count == 1 ? "" : "s",
                (unsigned long long)importance->token_count,
                importance->token_count == 1 ? "" : "s", (unsigned long long)measuring->chunk_count,
                measuring->chunk_count == 1 ? "" : "s", weir_cli_shown(measuring->options->output));
    if (importance->n_expert_unreached > 0)
        weir_cli_say("%u of %u experts were never reached; their columns count alike (weights 1): "
                     "a longer text reaches more",
                     importance->n_expert_unreached, importance->n_expert_total);
}

static int report(struct measuring *measuring)
{
    const struct weir_cli_options *options = measuring->options;
    struct weir_importance importance = {0};
    struct weir_cli_report report = {
        .engine = measuring->rig.engine,
        .calibration = weir_cli_rig_calibration(&measuring->rig),
        .model_path = options->argument,
        .prompt_tokens = measuring->token_count,
        .prefill_s = measuring->eval_s,
        .prefill_j = measuring->eval_j,
        .decode_s = WEIR_CLI_NONE,
        .load_s = measuring->rig.load_s,
        .first_token_s = WEIR_CLI_NONE,
        .prefill_evals = measuring->token_count,
    };
    weir_engine_stats_get(measuring->rig.engine, &report.whole);
    report.prefill = report.whole;
    weir_engine_importance_get(measuring->rig.engine, &importance);
    if (!options->json) {
        weir_cli_report_print(&report);
        tell_reach(&importance, measuring);
    }
    json_t *object = weir_cli_report_json(&report);
    weir_cli_json_count(object, "tokens", importance.token_count);
    weir_cli_json_count(object, "chunks", measuring->chunk_count);
    weir_cli_json_count(object, "chunk_tokens", measuring->n_ctx);
    weir_cli_json_count(object, "tensors", importance.tensor_count);
    weir_cli_json_count(object, "experts", importance.n_expert_total);
    weir_cli_json_count(object, "experts_unreached", importance.n_expert_unreached);
    json_object_set_new(object, "stopped", json_boolean(weir_cli_stop_asked()));
    if (weir_cli_stop_asked())
        weir_cli_say("stopped: this is of the text until then");
    return weir_cli_report_write(object, options, &measuring->rig) && !weir_cli_stop_asked()
               ? WEIR_CLI_OK
               : WEIR_CLI_FAILURE;
}

static int run(struct measuring *measuring)
{
    const struct weir_cli_options *options = measuring->options;
    struct weir_config config;
    struct weir_bench_config bench_config;
    if (!weir_cli_config_fill(&config, &bench_config, options, "imatrix"))
        return WEIR_CLI_USAGE;
    int code = open_text(measuring);
    if (code != WEIR_CLI_OK)
        return code;
    config.n_ctx = measuring->n_ctx;
    config.gpu = WEIR_ENGINE_GPU_OFF;
    config.measures_inputs = true;
    if (!weir_cli_out_open(&measuring->out, options->output))
        return WEIR_CLI_FAILURE;
    code = weir_cli_rig_open(&measuring->rig, &config, options);
    if (code != WEIR_CLI_OK)
        return code;
    if (!start_text(measuring))
        return WEIR_CLI_FAILURE;
    code = measure(measuring);
    if (code == WEIR_CLI_OK)
        code = write_file(measuring);
    return code == WEIR_CLI_OK ? report(measuring) : code;
}

int weir_cli_imatrix(const struct weir_cli_options *options)
{
    struct measuring measuring = {.options = options, .bos = WEIR_ID_NONE, .source = {.fd = -1}};
    const int code = run(&measuring);
    weir_cli_out_discard(&measuring.out);
    weir_cli_source_close(&measuring.source);
    weir_cli_rig_close(&measuring.rig);
    weir_heap_free(measuring.chunk);
    return code;
}
