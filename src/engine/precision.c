/* precision.c - formats under a budget: what each tensor loses in each of them, then the choice.
 *
 * What a tensor costs in a format is taken as slope * error: the error is that of its values by
 * their importance (recast/errors.c), and the slope is measured, as the divergence of the text with
 * this tensor alone, or its group, in a low format, over its error there. Costs are added up. */
#include "engine/precision.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/heap.h"
#include "recast/budget.h"
#include "sys/sys.h"

enum { PROBE_MAX = 256, HEAD_LINES = 4, HEAD_BYTES = 160, PATH_BYTES = 4096 };
static const uint64_t hash_start = 0xcbf29ce484222325u;
/* The error that a probe should have: large enough to be seen, small enough that costs still add
 * up. */
static const double probe_error = 0.02;

static const enum weir_type plain_types[] = {WEIR_TYPE_Q2_K, WEIR_TYPE_Q3_K,   WEIR_TYPE_IQ4_XS,
                                             WEIR_TYPE_Q4_K, WEIR_TYPE_Q5_K,   WEIR_TYPE_Q6_K,
                                             WEIR_TYPE_Q4_0, WEIR_TYPE_IQ4_NL, WEIR_TYPE_Q4_1,
                                             WEIR_TYPE_Q5_0, WEIR_TYPE_Q5_1,   WEIR_TYPE_Q8_0};
/* Of use only where importance is known. */
static const enum weir_type weighted_types[] = {
    WEIR_TYPE_IQ2_XXS, WEIR_TYPE_IQ2_XS, WEIR_TYPE_IQ2_S, WEIR_TYPE_IQ3_XXS, WEIR_TYPE_IQ3_S};
enum { TYPE_MAX = WEIR_COUNT(plain_types) + WEIR_COUNT(weighted_types) };
_Static_assert(TYPE_MAX + 1 <= WEIR_BUDGET_CHOICE_MAX, "and the format that a tensor has");

/* A tensor that is chosen for. */
struct subject {
    uint32_t tensor;  /* of the list */
    uint32_t layer;   /* UINT32_MAX: in none */
    const char *kind; /* its name behind the layer's */
    double errors[TYPE_MAX];
    uint32_t probe; /* of types */
    double slope;
};

struct precision {
    struct weir_quantizing *quantizing;
    struct weir_recast_job job;
    enum weir_type types[TYPE_MAX];
    uint32_t type_count;
    struct subject *subjects;
    uint32_t count;
    struct weir_divergence divergence;
    char probe_path[PATH_BYTES];
    char head[HEAD_LINES][HEAD_BYTES]; /* of the slopes' file */
    bool has_slopes;                   /* that were kept */
    uint32_t probe_at, probe_count;
};

static struct weir_recast_tensor *tensor_of(const struct precision *precision,
                                            const struct subject *subject)
{
    return &precision->quantizing->list.tensors[subject->tensor];
}

/* ---- what is chosen for ---------------------------------------------------------------------- */

static void take_types(struct precision *precision)
{
    for (size_t at = 0; at < WEIR_COUNT(plain_types); at++)
        precision->types[precision->type_count++] = plain_types[at];
    for (size_t at = 0; at < WEIR_COUNT(weighted_types); at++)
        if (precision->quantizing->imatrix != NULL)
            precision->types[precision->type_count++] = weighted_types[at];
}

static int compare_subjects(const void *one, const void *other)
{
    const struct subject *a = one;
    const struct subject *b = other;
    const int kinds = strcmp(a->kind, b->kind);
    return kinds != 0 ? kinds : (a->layer > b->layer) - (a->layer < b->layer);
}

/* Tensors that may change and have no rule; by kind, then by layer. */
static enum weir_status list_subjects(struct precision *precision, weir_mixture_own_fn *own,
                                      struct weir_err *err)
{
    struct weir_quantizing *quantizing = precision->quantizing;
    struct weir_recast_list *list = &quantizing->list;
    precision->subjects = weir_heap_array(list->count, sizeof(*precision->subjects));
    if (precision->subjects == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory to choose for %u tensors", list->count);
    for (uint32_t index = 0; index < list->count; index++) {
        struct weir_recast_tensor *tensor = &list->tensors[index];
        enum weir_type type;
        int length = 0;
        struct subject *subject = &precision->subjects[precision->count];
        if (!weir_mixture_may_change(tensor, &quantizing->facts) || own(quantizing, tensor, &type))
            continue;
        *subject = (struct subject){.tensor = index, .layer = UINT32_MAX, .kind = tensor->name};
        if (sscanf(tensor->name, "blk.%u.%n", &subject->layer, &length) == 1 && length > 0)
            subject->kind = tensor->name + length;
        tensor->type = tensor->source->type;
        tensor->fell_back = false;
        tensor->has_weights =
            quantizing->imatrix != NULL && weir_imatrix_has(quantizing->imatrix, tensor->name);
        precision->count++;
    }
    qsort(precision->subjects, precision->count, sizeof(*precision->subjects), compare_subjects);
    return WEIR_OK;
}

/* ---- errors ---------------------------------------------------------------------------------- */

static void choose_probe(const struct precision *precision, struct subject *subject)
{
    double nearest = (double)INFINITY;
    for (uint32_t at = 0; at < precision->type_count; at++) {
        const double error = subject->errors[at];
        const double distance = error > 0.0 ? fabs(log(error / probe_error)) : (double)INFINITY;
        if (distance < nearest) {
            nearest = distance;
            subject->probe = at;
        }
    }
}

static enum weir_status measure_errors(struct precision *precision, struct weir_err *err)
{
    const uint32_t count = precision->quantizing->list.count;
    const uint32_t type_count = precision->type_count;
    double *errors = weir_heap_array((size_t)count * type_count, sizeof(*errors));
    bool *is_wanted = weir_heap_array(count, sizeof(*is_wanted));
    enum weir_status status = WEIR_OK;
    if (errors == NULL || is_wanted == NULL)
        status = WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for errors of %u tensors", count);
    for (uint32_t at = 0; status == WEIR_OK && at < precision->count; at++)
        is_wanted[precision->subjects[at].tensor] = true;
    if (status == WEIR_OK)
        status = weir_recast_errors(&precision->job, is_wanted, precision->types, type_count,
                                    errors, err);
    for (uint32_t at = 0; status == WEIR_OK && at < precision->count; at++) {
        struct subject *subject = &precision->subjects[at];
        memcpy(subject->errors, errors + (size_t)subject->tensor * type_count,
               type_count * sizeof(*errors));
        choose_probe(precision, subject);
    }
    weir_heap_free(errors);
    weir_heap_free(is_wanted);
    return status;
}

/* ---- slopes ---------------------------------------------------------------------------------- */

static bool go_on(void *user)
{
    const struct precision *precision = user;
    const struct weir_quantize_config *config = precision->quantizing->config;
    const uint64_t bytes = precision->quantizing->result->bytes_before;
    return config->progress == NULL ||
           config->progress(config->progress_user, "measure", bytes * precision->probe_at,
                            bytes * (precision->probe_count + 1));
}

/* Tensors of the subjects [first, first + count) in their probes' types, in a file of their own. */
static enum weir_status write_probe(struct precision *precision, uint32_t first, uint32_t count,
                                    struct weir_err *err)
{
    struct weir_recast_list list = {.count = count};
    struct weir_recast_job job = precision->job;
    weir_gguf_writer *writer = NULL;
    enum weir_status status = WEIR_OK;
    uint32_t done = 0;
    list.tensors = weir_heap_array(count, sizeof(*list.tensors));
    if (list.tensors == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory to probe %u tensors", count);
    for (uint32_t at = 0; at < count; at++) {
        const struct subject *subject = &precision->subjects[first + at];
        list.tensors[at] = *tensor_of(precision, subject);
        list.tensors[at].type = precision->types[subject->probe];
    }
    job.list = &list;
    WEIR_TRY_GOTO(weir_quantizing_memory(precision->quantizing, &job, err));
    WEIR_TRY_GOTO(weir_gguf_writer_open(&writer, precision->probe_path, 0, err));
    weir_gguf_put_text(writer, "general.type", "overlay");
    weir_recast_put_table(writer, &list);
    WEIR_TRY_GOTO(weir_gguf_writer_begin(writer, &done, err));
    WEIR_TRY_GOTO(weir_recast_run(&job, writer, NULL, err));
    WEIR_TRY_GOTO(weir_gguf_writer_finish(writer, NULL, NULL, err));

fail:
    weir_gguf_writer_close(&writer);
    weir_heap_free(list.tensors);
    return status;
}

static enum weir_status probe(struct precision *precision, uint32_t first, uint32_t count,
                              struct weir_err *err)
{
    double nats = 0.0;
    double error = 0.0;
    WEIR_TRY(write_probe(precision, first, count, err));
    WEIR_TRY(
        weir_divergence_measure(&precision->divergence, precision->probe_path, NULL, &nats, err));
    for (uint32_t at = first; at < first + count; at++)
        error += precision->subjects[at].errors[precision->subjects[at].probe];
    for (uint32_t at = first; at < first + count; at++)
        precision->subjects[at].slope = error > 0.0 ? fmax(nats, 0.0) / error : 0.0;
    precision->probe_at++;
    return WEIR_OK;
}

/* The end of the group that begins at first: tensors of one kind in neighbouring layers. */
static uint32_t group_end(const struct precision *precision, uint32_t first, uint32_t size)
{
    uint32_t end = first + 1;
    while (end < precision->count && end - first < size &&
           strcmp(precision->subjects[end].kind, precision->subjects[first].kind) == 0)
        end++;
    return end;
}

static enum weir_status probe_all(struct precision *precision, struct weir_err *err)
{
    const struct weir_quantize_config *config = precision->quantizing->config;
    const uint32_t most = config->budget->probe_max > 0 ? config->budget->probe_max : PROBE_MAX;
    const uint32_t size = (precision->count + most - 1) / most;
    for (uint32_t at = 0; at < precision->count; at = group_end(precision, at, size))
        precision->probe_count++;
    for (uint32_t at = 0; at < precision->count; at = group_end(precision, at, size))
        WEIR_TRY(probe(precision, at, group_end(precision, at, size) - at, err));
    precision->quantizing->result->probe_count = precision->probe_count;
    return WEIR_OK;
}

/* ---- slopes that are kept -------------------------------------------------------------------- */

static uint64_t hash_more(uint64_t hash, const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    for (size_t index = 0; index < length; index++)
        hash = (hash ^ at[index]) * 0x100000001b3u; /* FNV-1a */
    return hash;
}

static enum weir_status describe_imatrix(const char *path, char *line, size_t capacity,
                                         struct weir_err *err)
{
    uint8_t bytes[4096];
    uint64_t hash = hash_start;
    uint64_t count = 0;
    size_t length;
    snprintf(line, capacity, "# imatrix: none");
    if (path == NULL)
        return WEIR_OK;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return WEIR_FAIL_OS(err, errno, "read %s", path);
    while ((length = fread(bytes, 1, sizeof(bytes), file)) > 0) {
        hash = hash_more(hash, bytes, length);
        count += length;
    }
    const bool is_read = ferror(file) == 0;
    fclose(file);
    snprintf(line, capacity, "# imatrix: %llu bytes, hash %016llx", (unsigned long long)count,
             (unsigned long long)hash);
    return is_read ? WEIR_OK : WEIR_FAIL_OS(err, EIO, "read %s", path);
}

/* What slopes depend on: the lines at the head of their file. */
static enum weir_status describe_head(struct precision *precision, struct weir_err *err)
{
    const struct weir_quantize_config *config = precision->quantizing->config;
    const struct weir_quantize_budget *budget = config->budget;
    const weir_manifest *manifest = precision->quantizing->manifest;
    const char *name = weir_manifest_text(manifest, "general.name");
    const uint64_t hash =
        hash_more(hash_start, budget->ids, (size_t)budget->id_count * sizeof(*budget->ids));
    snprintf(precision->head[0], HEAD_BYTES, "# weir slopes 1");
    snprintf(precision->head[1], HEAD_BYTES, "# model: %.80s, %llu bytes of tensors",
             name == NULL ? "without a name" : name,
             (unsigned long long)precision->quantizing->result->bytes_before);
    for (char *at = precision->head[1]; *at != '\0'; at++)
        if ((unsigned char)*at < ' ')
            *at = ' '; /* a name has no say in where the line ends */
    snprintf(precision->head[2], HEAD_BYTES, "# text: %u tokens, hash %016llx, in pieces of %u",
             budget->id_count, (unsigned long long)hash, budget->chunk_tokens);
    return describe_imatrix(config->imatrix_path, precision->head[3], HEAD_BYTES, err);
}

/* Beside it first: who reads it finds all or nothing. */
static enum weir_status keep_slopes(const struct precision *precision, const char *path,
                                    struct weir_err *err)
{
    char unfinished[PATH_BYTES];
    if (snprintf(unfinished, sizeof(unfinished), "%s.unfinished", path) >= PATH_BYTES)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "the slopes' path is too long: %.80s...", path);
    FILE *file = fopen(unfinished, "we");
    if (file == NULL)
        return WEIR_FAIL_OS(err, errno, "write %s", unfinished);
    for (uint32_t at = 0; at < HEAD_LINES; at++)
        fprintf(file, "%s\n", precision->head[at]);
    for (uint32_t at = 0; at < precision->count; at++)
        fprintf(file, "%.9g %s\n", precision->subjects[at].slope,
                tensor_of(precision, &precision->subjects[at])->name);
    const bool is_whole = fflush(file) == 0 && ferror(file) == 0 && fsync(fileno(file)) == 0;
    int why = errno;
    if (fclose(file) == 0 && is_whole && rename(unfinished, path) == 0)
        return WEIR_OK;
    why = is_whole ? errno : why;
    unlink(unfinished);
    return WEIR_FAIL_OS(err, why, "write %s", path);
}

static enum weir_status check_head(const struct precision *precision, FILE *file, const char *path,
                                   struct weir_err *err)
{
    for (uint32_t at = 0; at < HEAD_LINES; at++) {
        char line[HEAD_BYTES + 1] = "";
        if (fgets(line, sizeof(line), file) == NULL)
            line[0] = '\0';
        line[strcspn(line, "\n")] = '\0';
        if (strcmp(line, precision->head[at]) != 0)
            return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                             "%s: was not measured as this run is: wanted '%s', found '%s': name "
                             "another file for --slopes, or remove this one",
                             path, precision->head[at], line);
    }
    return WEIR_OK;
}

/* A line gives its tensor the slope; lines of tensors that are not chosen for do no harm. */
static enum weir_status read_slopes(struct precision *precision, FILE *file, const char *path,
                                    struct weir_err *err)
{
    char name[WEIR_NAME_MAX + 1];
    double slope;
    WEIR_TRY(check_head(precision, file, path, err));
    for (uint32_t at = 0; at < precision->count; at++)
        precision->subjects[at].slope = (double)NAN;
    while (fscanf(file, "%lf %255s", &slope, name) == 2)
        for (uint32_t at = 0; at < precision->count; at++)
            if (strcmp(tensor_of(precision, &precision->subjects[at])->name, name) == 0)
                precision->subjects[at].slope = slope;
    for (uint32_t at = 0; at < precision->count; at++) {
        const struct subject *subject = &precision->subjects[at];
        if (!(subject->slope >= 0.0 && isfinite(subject->slope)))
            return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                             "%s: wanted a line with a slope from 0 on and %s, found none: it is "
                             "of another model, or not whole",
                             path, tensor_of(precision, subject)->name);
    }
    precision->has_slopes = true;
    return WEIR_OK;
}

/* Slopes that are there already, before anything is measured. */
static enum weir_status find_slopes(struct precision *precision, struct weir_err *err)
{
    const char *path = precision->quantizing->config->budget->slopes_path;
    if (path == NULL)
        return WEIR_OK;
    WEIR_TRY(describe_head(precision, err));
    FILE *file = fopen(path, "re");
    if (file == NULL && errno == ENOENT)
        return WEIR_OK;
    if (file == NULL)
        return WEIR_FAIL_OS(err, errno, "read %s", path);
    const enum weir_status status = read_slopes(precision, file, path, err);
    fclose(file);
    return status;
}

static enum weir_status measure_slopes(struct precision *precision, struct weir_err *err)
{
    const struct weir_quantize_config *config = precision->quantizing->config;
    const char *path = config->budget->slopes_path;
    WEIR_TRY(weir_divergence_open(&precision->divergence, config, go_on, precision, err));
    if (precision->has_slopes)
        return WEIR_OK;
    WEIR_TRY(probe_all(precision, err));
    return path == NULL ? WEIR_OK : keep_slopes(precision, path, err);
}

/* ---- the choice ------------------------------------------------------------------------------ */

static void fill_item(const struct precision *precision, const struct subject *subject,
                      struct weir_budget_item *item)
{
    struct weir_recast_tensor tensor = *tensor_of(precision, subject);
    item->bytes[0] = weir_recast_tensor_bytes(&tensor); /* as it is: choice 0 */
    item->losses[0] = 0.0;
    item->choice_count = 1;
    for (uint32_t at = 0; at < precision->type_count; at++) {
        const double loss = subject->slope * subject->errors[at];
        const uint32_t block_len = weir_quant_info(precision->types[at])->block_len;
        item->bytes[item->choice_count] = UINT64_MAX; /* not to be had */
        item->losses[item->choice_count] = 0.0;
        if (tensor.dims[0] % block_len == 0 && isfinite(loss)) {
            tensor.type = precision->types[at];
            item->bytes[item->choice_count] = weir_recast_tensor_bytes(&tensor);
            item->losses[item->choice_count] = loss;
        }
        item->choice_count++;
    }
}

/* Bytes that are left for the subjects' tensors. */
static uint64_t find_limit(const struct precision *precision, uint64_t *fixed_bytes)
{
    enum { KEY_BYTES = 4096, ALIGN = 32 }; /* keys that are added */
    const struct weir_quantize_budget *budget = precision->quantizing->config->budget;
    const struct weir_recast_list *list = &precision->quantizing->list;
    const weir_manifest *manifest = precision->quantizing->manifest;
    uint64_t head = UINT64_MAX;
    double weights = 0.0;
    *fixed_bytes = 0;
    for (uint32_t index = 0; index < list->count; index++) {
        const struct weir_recast_tensor *tensor = &list->tensors[index];
        weights += (double)(tensor->dims[0] * tensor->dims[1] * tensor->dims[2] * tensor->dims[3]);
        *fixed_bytes += weir_recast_tensor_bytes(tensor);
        if (tensor->source->file == 0 && tensor->source->places == NULL)
            head = weir_min(head, tensor->source->offset);
    }
    for (uint32_t at = 0; at < precision->count; at++)
        *fixed_bytes -= weir_recast_tensor_bytes(tensor_of(precision, &precision->subjects[at]));
    if (budget->file_bytes > 0) {
        *fixed_bytes += weir_min(head, weir_manifest_file_bytes(manifest, 0)) + KEY_BYTES +
                        (uint64_t)ALIGN * list->count;
        return budget->file_bytes;
    }
    return (uint64_t)(budget->bits * weights / 8.0);
}

/* Of all items the formats that fit and lose the least. */
static enum weir_status fit(const struct precision *precision, struct weir_budget_item *items,
                            struct weir_err *err)
{
    uint64_t fixed = 0;
    uint64_t least = 0;
    char wanted[32], found[32];
    for (uint32_t at = 0; at < precision->count; at++)
        fill_item(precision, &precision->subjects[at], &items[at]);
    const uint64_t limit = find_limit(precision, &fixed);
    if (weir_budget_choose(items, precision->count, limit > fixed ? limit - fixed : 0, &least) &&
        limit >= fixed)
        return WEIR_OK;
    return WEIR_FAIL(
        err, WEIR_ERR_ARG, "the budget is too small: wanted at least %s (%llu bytes), found %s",
        weir_format_size(least + fixed, wanted, sizeof(wanted)),
        (unsigned long long)(least + fixed), weir_format_size(limit, found, sizeof(found)));
}

static enum weir_status make_items(const struct precision *precision,
                                   struct weir_budget_item **items, struct weir_err *err)
{
    *items = weir_heap_array(precision->count, sizeof(**items));
    if (*items == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory to choose for %u tensors",
                         precision->count);
    return WEIR_OK;
}

/* A budget that nothing fits is refused before anything is measured: no format loses yet. */
static enum weir_status check_budget(const struct precision *precision, struct weir_err *err)
{
    struct weir_budget_item *items;
    WEIR_TRY(make_items(precision, &items, err));
    const enum weir_status status = fit(precision, items, err);
    weir_heap_free(items);
    return status;
}

static enum weir_status choose(struct precision *precision, struct weir_err *err)
{
    struct weir_budget_item *items;
    WEIR_TRY(make_items(precision, &items, err));
    const enum weir_status status = fit(precision, items, err);
    for (uint32_t at = 0; status == WEIR_OK && at < precision->count; at++) {
        struct weir_recast_tensor *tensor = tensor_of(precision, &precision->subjects[at]);
        if (items[at].chosen > 0)
            tensor->type = precision->types[items[at].chosen - 1];
        tensor->meant = tensor->type;
    }
    if (status == WEIR_OK)
        precision->quantizing->result->divergence_expected =
            weir_budget_loss(items, precision->count);
    weir_heap_free(items);
    return status;
}

/* ---- the doors ------------------------------------------------------------------------------- */

static void begin(struct precision *precision, struct weir_quantizing *quantizing)
{
    const struct weir_quantize_config *config = quantizing->config;
    *precision = (struct precision){
        .quantizing = quantizing,
        .job = {.manifest = quantizing->manifest,
                .list = &quantizing->list,
                .n_thread = config->n_thread > 0 ? config->n_thread : weir_sys_cpu_count(),
                .buffered = config->buffered,
                .weights = weir_quantizing_weights,
                .weights_user = quantizing}};
    snprintf(precision->probe_path, sizeof(precision->probe_path), "%s.probe", config->output_path);
    for (uint32_t index = 0; index < quantizing->list.count; index++)
        quantizing->result->bytes_before += quantizing->list.tensors[index].source->bytes;
}

enum weir_status weir_precision_choose(struct weir_quantizing *quantizing, weir_mixture_own_fn *own,
                                       struct weir_err *err)
{
    struct precision *precision = weir_heap_alloc(sizeof(*precision));
    enum weir_status status = WEIR_OK;
    if (precision == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory to choose formats");
    begin(precision, quantizing);
    take_types(precision);
    WEIR_TRY_GOTO(list_subjects(precision, own, err));
    WEIR_TRY_GOTO(check_budget(precision, err));
    WEIR_TRY_GOTO(find_slopes(precision, err));
    WEIR_TRY_GOTO(measure_errors(precision, err));
    WEIR_TRY_GOTO(measure_slopes(precision, err));
    WEIR_TRY_GOTO(choose(precision, err));
    quantizing->divergence = precision->divergence;
    precision->divergence = (struct weir_divergence){0};

fail:
    quantizing->result->bytes_before = 0;
    unlink(precision->probe_path);
    weir_divergence_close(&precision->divergence);
    weir_heap_free(precision->subjects);
    weir_heap_free(precision);
    return status;
}

enum weir_status weir_precision_judge(struct weir_quantizing *quantizing, struct weir_err *err)
{
    quantizing->divergence.go_on = NULL;
    return weir_divergence_measure(&quantizing->divergence, NULL, quantizing->config->output_path,
                                   &quantizing->result->divergence, err);
}
