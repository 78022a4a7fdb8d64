/* sampling.c - the sampler and the stop strings that the options ask for. */
#include "sampling.h"

#include <errno.h>
#include <fcntl.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/heap.h"

/* As the author of DRY has them. */
static const char *const usual_breakers[] = {"\n", ":", "\"", "*"};

/* "15043+1.5", "13-inf" */
static bool read_bias(struct weir_logit_bias *bias, const char *word)
{
    char *sign = NULL, *end = NULL;
    const unsigned long long id = strtoull(word, &sign, 10);
    if (*word < '0' || *word > '9' || id >= WEIR_ID_NONE || (*sign != '+' && *sign != '-'))
        return false;
    const double value = strtod(sign, &end);
    if (*end != '\0' || isnan(value) || value > (double)FLT_MAX ||
        (value < -(double)FLT_MAX && !isinf(value)))
        return false;
    *bias = (struct weir_logit_bias){.id = (uint32_t)id, .bias = (float)value};
    return true;
}

bool weir_cli_sampling_read(struct weir_cli_sampling *sampling,
                            const struct weir_cli_options *options)
{
    struct weir_err err = {0};
    uint32_t random = 0;
    sampling->options = options;
    sampling->seed = options->seed;
    if (!weir_cli_option_given(options, WEIR_CLI_OPTION_seed)) {
        if (getentropy(&random, sizeof(random)) != 0)
            random = (uint32_t)weir_now_ns();
        sampling->seed = random;
    }
    for (size_t index = 0; index < options->biases.count; index++)
        if (!read_bias(&sampling->biases[index], options->biases.words[index])) {
            weir_cli_misuse(options->command,
                            "--logit-bias: wanted an id and what is added to its logit, such as "
                            "15043+1.5 or 13-inf, found \"%s\"",
                            options->biases.words[index]);
            return false;
        }
    if (options->whole && options->grammar == NULL && options->json_schema == NULL) {
        weir_cli_misuse(options->command, "--whole: wanted --grammar or --json-schema beside it");
        return false;
    }
    if (weir_stops_create(&sampling->stops, options->stops.words, options->stops.count, &err) ==
        WEIR_OK)
        return true;
    weir_cli_misuse(options->command, "--stop: %s", err.text);
    return false;
}

static bool read_grammar(struct weir_cli_sampling *sampling, const char *path)
{
    char part[4096];
    ssize_t got = 0;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        weir_cli_say("cannot open %s: %s", path, strerror(errno));
        return false;
    }
    bool ok = true;
    while (ok && sampling->grammar_text.length <= WEIR_GRAMMAR_BYTES_MAX &&
           (got = weir_cli_read(fd, part, sizeof(part))) > 0)
        ok = weir_cli_buffer_append(&sampling->grammar_text, part, (size_t)got);
    if (ok && got < 0) {
        weir_cli_say("cannot read %s: %s", path, strerror(errno));
        ok = false;
    }
    close(fd);
    return ok && weir_cli_buffer_append(&sampling->grammar_text, "", 0);
}

static const char *grammar_path(const struct weir_cli_options *options)
{
    return options->grammar != NULL ? options->grammar : options->json_schema;
}

/* A mistake in the grammar is told before a model is loaded, which may take long. Where the ceiling
 * is so low that reading the grammar could break it, the plan decides first. */
static bool check_early(const struct weir_cli_sampling *sampling, const struct weir_config *config)
{
    struct weir_err err = {0};
    if (config->mem_bytes != 0 && config->caller_bytes > config->mem_bytes / 2)
        return true;
    if (weir_grammar_check(sampling->grammar_text.bytes, sampling->grammar_text.length,
                           sampling->options->json_schema != NULL, grammar_path(sampling->options),
                           &err) == WEIR_OK)
        return true;
    weir_cli_fail(&err);
    return false;
}

bool weir_cli_sampling_plan(struct weir_cli_sampling *sampling, struct weir_config *config)
{
    /* The automaton with its states and masks; of a token its bytes in the trie, and what sorts
     * them; of a byte of GBNF its tree while it is read, and of one of a schema the GBNF that it
     * becomes, at most what a grammar may have. */
    enum { AUTOMATON_BYTES = 14 << 20, TOKEN_BYTES = 96, TREE_BYTES = 80, GROWTH = 80 };
    struct weir_model_info info = {0};
    const char *path = grammar_path(sampling->options);
    if (path == NULL)
        return true;
    if (!read_grammar(sampling, path) || !weir_cli_model_info(&info, config->model_path))
        return false;
    const uint64_t length = sampling->grammar_text.length;
    const uint64_t written = weir_min(
        WEIR_GRAMMAR_BYTES_MAX, sampling->options->grammar != NULL ? length : length * GROWTH);
    config->caller_bytes += AUTOMATON_BYTES +
                            weir_min(written * TREE_BYTES, WEIR_GRAMMAR_READ_BYTES) +
                            sampling->grammar_text.capacity + (uint64_t)info.n_vocab * TOKEN_BYTES;
    return check_early(sampling, config);
}

void weir_cli_sampling_free(struct weir_cli_sampling *sampling)
{
    weir_grammar_destroy(&sampling->grammar);
    weir_cli_buffer_free(&sampling->grammar_text);
    weir_stops_destroy(&sampling->stops);
}

static bool holds_one(const char *piece, size_t length, const char *const *texts, size_t count)
{
    for (size_t index = 0; index < count; index++)
        if (texts[index][0] != '\0' &&
            memmem(piece, length, texts[index], strlen(texts[index])) != NULL)
            return true;
    return false;
}

/* All tokens that hold one of the texts into ids, which may be NULL; returns how many. */
static size_t find_breakers(const struct weir_cli_options *options, weir_tokenizer *tokenizer,
                            uint32_t *ids)
{
    const bool is_given = options->dry_breakers.count > 0;
    const char *const *texts = is_given ? options->dry_breakers.words : usual_breakers;
    const size_t text_count = is_given ? options->dry_breakers.count : WEIR_COUNT(usual_breakers);
    size_t count = 0;
    for (uint32_t id = 0; id < weir_tokenizer_vocab_count(tokenizer); id++) {
        char piece[WEIR_TOKEN_BYTES_MAX];
        const size_t length = weir_tokenizer_piece(tokenizer, id, piece);
        if (!holds_one(piece, length, texts, text_count))
            continue;
        if (ids != NULL)
            ids[count] = id;
        count++;
    }
    return count;
}

/* Texts mean nothing to a model that has no vocabulary. */
static bool check_vocabulary(const struct weir_cli_options *options, weir_engine *engine)
{
    const char *option = options->grammar != NULL          ? "--grammar"
                         : options->json_schema != NULL    ? "--json-schema"
                         : options->stops.count > 0        ? "--stop"
                         : options->dry_breakers.count > 0 ? "--dry-breaker"
                                                           : NULL;
    if (option == NULL || weir_engine_tokenizer(engine) != NULL)
        return true;
    weir_cli_say("%s: wanted a model with a vocabulary, found none that can be used: %s", option,
                 weir_engine_tokenizer_why(engine));
    return false;
}

static bool create_grammar(struct weir_cli_sampling *sampling, weir_tokenizer *tokenizer)
{
    const char *path = grammar_path(sampling->options);
    const struct weir_cli_buffer *text = &sampling->grammar_text;
    struct weir_err err = {0};
    if (sampling->options->grammar != NULL)
        weir_grammar_create(&sampling->grammar, tokenizer, text->bytes, text->length, path, &err);
    else if (path != NULL)
        weir_grammar_from_schema(&sampling->grammar, tokenizer, text->bytes, text->length, path,
                                 &err);
    if (err.status != WEIR_OK)
        weir_cli_fail(&err);
    return err.status == WEIR_OK;
}

bool weir_cli_sampler_create(weir_sampler **out, struct weir_cli_sampling *sampling,
                             weir_engine *engine)
{
    const struct weir_cli_options *options = sampling->options;
    weir_tokenizer *tokenizer = weir_engine_tokenizer(engine);
    struct weir_err err = {0};
    uint32_t *breakers = NULL;
    if (!check_vocabulary(options, engine))
        return false;
    if (!create_grammar(sampling, tokenizer))
        return false;
    struct weir_sampler_config config = {
        .temperature = (float)options->temperature,
        .top_k = (uint32_t)options->top_k,
        /* Here 0 is the smallest share, which the likeliest has alone; to the library it is off. */
        .top_p = fmaxf((float)options->top_p, FLT_MIN),
        .min_p = (float)options->min_p,
        .typical_p = fmaxf((float)options->typical_p, FLT_MIN),
        .xtc_probability = (float)options->xtc_probability,
        .xtc_threshold = fmaxf((float)options->xtc_threshold, FLT_MIN),
        .repeat_penalty = (float)options->repeat_penalty,
        .frequency_penalty = (float)options->frequency_penalty,
        .presence_penalty = (float)options->presence_penalty,
        .repeat_last = (uint32_t)options->repeat_last,
        .dry_multiplier = (float)options->dry_multiplier,
        .dry_base = (float)options->dry_base,
        .dry_allowed = (uint32_t)options->dry_allowed,
        .dry_last = (uint32_t)options->dry_last,
        .biases = sampling->biases,
        .bias_count = options->biases.count,
        .grammar = sampling->grammar,
        .whole_within = options->whole ? sampling->pick_limit : 0,
        .seed = sampling->seed,
    };
    if (options->dry_multiplier > 0.0) {
        config.dry_breaker_count = find_breakers(options, tokenizer, NULL);
        breakers = weir_heap_array(config.dry_breaker_count, sizeof(*breakers));
        if (breakers == NULL) {
            weir_cli_say("no memory for %zu tokens that end repetitions", config.dry_breaker_count);
            return false;
        }
        find_breakers(options, tokenizer, breakers);
        config.dry_breakers = breakers;
    }
    const uint32_t n_vocab = weir_engine_model(engine)->n_vocab;
    const enum weir_status status = weir_sampler_create(out, &config, n_vocab, &err);
    weir_heap_free(breakers);
    if (status != WEIR_OK)
        weir_cli_fail(&err);
    return status == WEIR_OK;
}
