/* blueprint.c - what a model file says, before anything is loaded. */
#include "engine/advice.h"
#include "engine/engine_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "model/copies.h"

/* CPU features up to a level called by name; false when there is no such level. */
static bool find_isa(const char *name, unsigned *flags)
{
    static const struct {
        const char *name;
        unsigned flags;
    } levels[] = {
        {"ref", 0},
        {"avx2", WEIR_CPU_AVX2},
        {"avx512", WEIR_CPU_AVX2 | WEIR_CPU_AVX512},
        {"avx512-vnni", WEIR_CPU_AVX2 | WEIR_CPU_AVX512 | WEIR_CPU_AVX512_VNNI},
        {"neon-dotprod", WEIR_CPU_NEON_DOTPROD},
    };
    for (size_t level = 0; level < WEIR_COUNT(levels); level++)
        if (strcmp(levels[level].name, name) == 0) {
            *flags = levels[level].flags;
            return true;
        }
    return false;
}

enum weir_status weir_kernels_choose(struct weir_kernels *kernels, const char *isa,
                                     struct weir_err *err)
{
    unsigned wanted = ~0u;
    if (isa != NULL && !find_isa(isa, &wanted))
        return WEIR_FAIL(
            err, WEIR_ERR_ARG,
            "instruction set \"%s\": wanted ref, avx2, avx512, avx512-vnni or neon-dotprod", isa);
    const unsigned found = weir_cpu_flags();
    if (isa != NULL && (wanted & ~found) != 0)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED, "this CPU does not have %s", isa);
    weir_kernels_init(kernels, found & (wanted | WEIR_CPU_IN_ORDER));
    return WEIR_OK;
}

/* A vocabulary that cannot be used, or is not there, keeps nobody from giving and taking ids. */
static enum weir_status open_tokenizer(struct weir_blueprint *blueprint, struct weir_err *err)
{
    struct weir_warnings *warnings = weir_manifest_warnings(blueprint->manifest);
    struct weir_err *why = &blueprint->no_tokenizer;
    const bool is_folder = weir_manifest_version(blueprint->manifest) == 0;
    const enum weir_status status =
        weir_tokenizer_create(&blueprint->tokenizer, blueprint->manifest, why);
    if (status == WEIR_ERR_NOMEM)
        return WEIR_FAIL(err, status, "%s", why->text);
    if (status != WEIR_OK) {
        if (is_folder ||
            weir_manifest_array_count(blueprint->manifest, "tokenizer.ggml.tokens", &(uint64_t){0}))
            weir_warn(warnings, "ids have no text: %s", why->text);
        return WEIR_OK;
    }
    const uint32_t n_token = weir_tokenizer_vocab_count(blueprint->tokenizer);
    const uint32_t n_row = blueprint->model->shape.n_vocab;
    if (n_token < n_row && !is_folder) /* a directory's tables are longer for speed's sake */
        weir_warn(warnings,
                  "the vocabulary has %u tokens, the embedding %u rows: ids from %u on "
                  "have no text",
                  n_token, n_row, n_token);
    if (n_token > n_row)
        weir_warn(warnings,
                  "the vocabulary has %u tokens, the embedding %u rows: tokens from %u "
                  "on cannot be computed",
                  n_token, n_row, n_row);
    return WEIR_OK;
}

/* What a file is beside a model, and how its numbers are written. */
static enum weir_status check_general(const weir_manifest *manifest, struct weir_err *err)
{
    static const struct {
        const char *key, *wanted;
    } rows[] = {{"general.type", "model"}, {"general.endianness", "little"}};
    for (size_t row = 0; row < WEIR_COUNT(rows); row++) {
        const char *found = weir_manifest_text(manifest, rows[row].key);
        if (found == NULL && weir_manifest_has(manifest, rows[row].key))
            return WEIR_FAIL(err, WEIR_ERR_FORMAT, "key %s: wanted a text, found something else",
                             rows[row].key);
        if (found != NULL && strcmp(found, rows[row].wanted) != 0)
            return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED, "key %s: wanted %s, found \"%s\"",
                             rows[row].key, rows[row].wanted, found);
    }
    return WEIR_OK;
}

/* How many tokens there are is said twice: the embedding's rows are what is computed. */
static void check_vocab_size(const struct weir_model *model)
{
    char key[WEIR_NAME_MAX + 1];
    uint64_t found = 0;
    snprintf(key, sizeof(key), "%s.vocab_size", model->family->name);
    if (weir_manifest_u64(model->manifest, key, &found) && found != model->shape.n_vocab)
        weir_warn(weir_manifest_warnings(model->manifest),
                  "key %s says %llu tokens, the embedding has %u rows", key,
                  (unsigned long long)found, model->shape.n_vocab);
}

static void tell_warnings(const struct weir_warnings *warnings, const struct weir_config *config)
{
    if (config->notice == NULL)
        return;
    for (uint32_t index = 0; index < warnings->count; index++)
        config->notice(config->notice_user, warnings->text[index]);
    if (warnings->more == 0)
        return;
    char text[WEIR_WARNING_TEXT_MAX];
    snprintf(text, sizeof(text), "and %u more warnings about this file", warnings->more);
    config->notice(config->notice_user, text);
}

static void tell(const struct weir_config *config, const char *format, ...) WEIR_PRINTF(2, 3);
static void tell(const struct weir_config *config, const char *format, ...)
{
    char text[WEIR_WARNING_TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    config->notice(config->notice_user, text);
}

/* What was asked for and this machine does not have. */
static void tell_beyond(const struct weir_config *config)
{
    struct weir_sys_memory memory;
    char wanted[32];
    char found[32];
    const uint32_t n_cpu = weir_sys_cpu_count();
    if (config->notice == NULL)
        return;
    weir_sys_memory_get(&memory);
    const uint64_t total = memory.total_bytes == 0 ? UINT64_MAX : memory.total_bytes;
    const uint64_t most_bytes = weir_min(total, memory.cgroup_limit_bytes);
    if (config->mem_bytes > most_bytes)
        tell(config, "the ceiling of %s is more memory than %s has, %s",
             weir_format_size(config->mem_bytes, wanted, sizeof(wanted)),
             total <= memory.cgroup_limit_bytes ? "this machine" : "our control group",
             weir_format_size(most_bytes, found, sizeof(found)));
    if (config->n_thread > n_cpu)
        tell(config,
             "%u threads are more than the %u CPU%s that this process may use: they wait "
             "for each other, which is slower",
             config->n_thread, n_cpu, n_cpu == 1 ? "" : "s");
}

/* A setting that is one of an enum's values, 0 to most. */
static enum weir_status check_choice(const char *what, unsigned found, unsigned most,
                                     struct weir_err *err)
{
    if (found <= most)
        return WEIR_OK;
    return WEIR_FAIL(err, WEIR_ERR_ARG, "%s: wanted 0 to %u, found %u", what, most, found);
}

static enum weir_status check_choices(const struct weir_config *config, struct weir_err *err)
{
    const struct weir_bench_config bench = weir_bench_of(config);
    WEIR_TRY(check_choice("lookahead", (unsigned)config->lookahead, WEIR_LOOKAHEAD_OFF, err));
    WEIR_TRY(check_choice("io", (unsigned)config->io, WEIR_ENGINE_IO_THREADS, err));
    return check_choice("guess_by", (unsigned)bench.guess_by, WEIR_GUESS_BY_PATH, err);
}

static enum weir_status lend_copies(struct weir_blueprint *blueprint, const char *path,
                                    struct weir_err *err)
{
    WEIR_TRY(weir_manifest_open(&blueprint->copies_manifest, path, err));
    WEIR_TRY(check_general(blueprint->copies_manifest, err));
    WEIR_TRY(weir_model_describe(&blueprint->copies, blueprint->copies_manifest, err));
    return weir_copies_lend(blueprint->model, blueprint->copies, err);
}

/* What is wrong with the file of copies is said of that file. */
static enum weir_status open_copies(struct weir_blueprint *blueprint,
                                    const struct weir_config *config, struct weir_err *err)
{
    struct weir_err why = {0};
    if (config->copies_path == NULL || lend_copies(blueprint, config->copies_path, &why) == WEIR_OK)
        return WEIR_OK;
    return WEIR_FAIL(err, why.status, "copies of experts, %s: %s", config->copies_path, why.text);
}

enum weir_status weir_blueprint_open(struct weir_blueprint *blueprint,
                                     const struct weir_config *config, struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    memset(blueprint, 0, sizeof(*blueprint));
    if (config->model_path == NULL)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "no model file is named");
    WEIR_TRY(check_choices(config, err));
    const int64_t heap_bytes = weir_heap_own_bytes();
    WEIR_TRY_GOTO(weir_kernels_choose(&blueprint->kernels, config->isa, err));
    WEIR_TRY_GOTO(weir_manifest_open(&blueprint->manifest, config->model_path, err));
    WEIR_TRY_GOTO(check_general(blueprint->manifest, err));
    if (weir_bench_of(config).overlay_path != NULL)
        WEIR_TRY_GOTO(
            weir_manifest_overlay(blueprint->manifest, weir_bench_of(config).overlay_path, err));
    WEIR_TRY_GOTO(weir_model_describe(&blueprint->model, blueprint->manifest, err));
    WEIR_TRY_GOTO(open_copies(blueprint, config, err));
    check_vocab_size(blueprint->model);
    weir_advice_read(&blueprint->advice, blueprint->manifest,
                     weir_manifest_warnings(blueprint->manifest));
    WEIR_TRY_GOTO(open_tokenizer(blueprint, err));
    blueprint->description_bytes = (uint64_t)(weir_heap_own_bytes() - heap_bytes);
    tell_warnings(weir_manifest_warnings(blueprint->manifest), config);
    tell_beyond(config);
    return WEIR_OK;

fail:
    weir_blueprint_close(blueprint);
    return status;
}

void weir_blueprint_close(struct weir_blueprint *blueprint)
{
    weir_tokenizer_close(&blueprint->tokenizer);
    weir_model_destroy(&blueprint->copies);
    weir_manifest_close(&blueprint->copies_manifest);
    weir_model_destroy(&blueprint->model);
    weir_manifest_close(&blueprint->manifest);
}

uint32_t weir_moe_layer_count(const struct weir_model *model)
{
    uint32_t count = 0;
    for (uint32_t layer = 0; layer < model->shape.n_layer; layer++)
        count += weir_layer_has_experts(&model->layers[layer]);
    return count;
}
