/* hf_names.c - tensors of a directory under the names, and in the shapes, that GGUF has for them.
 *
 * Nothing is moved: a stack of experts that are one tensor each is a table of where each begins.
 *
 * I1  A stack's matrices have one shape and one type, and each is there once. */
#include "formats/hf_packing.h"

#include <stdio.h>
#include <string.h>

#include "base/heap.h"

enum { GGUF_NAME_BYTES = 64, NUMBER_DIGITS = 6 };

struct binder {
    struct weir_manifest *manifest;
    const struct weir_raw_list *list;
    const struct hf_config *config;
    uint64_t place_count, place_capacity; /* of manifest->places */
    struct weir_err *err;
};

/* The numbers in a tensor's name. */
struct numbers {
    uint32_t layer, expert;
};

static const char *path_of(const struct binder *binder, const struct weir_raw_tensor *raw)
{
    return binder->manifest->files[raw->file].path;
}

/* ---- names ----------------------------------------------------------------------------------- */

/* Models that also see or hear have their text's tensors behind another prefix. */
static const char *canonical_name(const char *name, char out[WEIR_NAME_MAX + 1])
{
    static const char *const prefixes[][2] = {
        {"model.language_model.", "model."},
        {"language_model.model.", "model."},
        {"language_model.lm_head.", "lm_head."},
    };
    for (size_t row = 0; row < WEIR_COUNT(prefixes); row++) {
        const size_t length = strlen(prefixes[row][0]);
        if (strncmp(name, prefixes[row][0], length) != 0)
            continue;
        snprintf(out, WEIR_NAME_MAX + 1, "%s%s", prefixes[row][1], name + length);
        return out;
    }
    return name;
}

/* A number without leading zeros; *text moves behind it. */
static bool read_number(const char **text, uint32_t *number)
{
    const char *at = *text;
    *number = 0;
    if (*at == '0' && at[1] >= '0' && at[1] <= '9')
        return false;
    for (int digit = 0; *at >= '0' && *at <= '9'; digit++, at++) {
        if (digit == NUMBER_DIGITS)
            return false;
        *number = *number * 10 + (uint32_t)(*at - '0');
    }
    const bool is_there = at != *text;
    *text = at;
    return is_there;
}

static bool matches(const char *pattern, const char *name, struct numbers *numbers)
{
    for (; *pattern != '\0'; pattern++)
        if (*pattern == '*') {
            return true;
        } else if (*pattern == '#' || *pattern == '@') {
            if (!read_number(&name, *pattern == '#' ? &numbers->layer : &numbers->expert))
                return false;
        } else if (*pattern != *name++) {
            return false;
        }
    return *name == '\0';
}

/* Layers that guess further tokens lie behind those that run, and do not. */
static bool is_of_guess(const struct hf_config *config, const char *name)
{
    static const char layers[] = "model.layers.";
    uint32_t layer = 0;
    if (config->first_guess == 0 || strncmp(name, layers, sizeof(layers) - 1) != 0)
        return false;
    name += sizeof(layers) - 1;
    return read_number(&name, &layer) && *name == '.' && layer >= config->first_guess;
}

static const struct hf_tensor *find_row(const struct hf_family *family, const char *name,
                                        struct numbers *numbers)
{
    for (size_t table = 0; table < HF_TABLE_MAX && family->tensors[table] != NULL; table++)
        for (const struct hf_tensor *row = family->tensors[table]; row->name != NULL; row++)
            if (matches(row->name, name, numbers))
                return row;
    return NULL;
}

/* GGUF's name, with the layer's number in its place. */
static void make_name(const char *pattern, uint32_t layer, char out[GGUF_NAME_BYTES])
{
    const char *mark = strchr(pattern, '#');
    if (mark == NULL)
        snprintf(out, GGUF_NAME_BYTES, "%s", pattern);
    else
        snprintf(out, GGUF_NAME_BYTES, "%.*s%u%s", (int)(mark - pattern), pattern, layer, mark + 1);
}

/* ---- tensors --------------------------------------------------------------------------------- */

static void squeeze(struct weir_tensor *tensor)
{
    uint32_t kept = 0;
    for (uint32_t dim = 0; dim < tensor->n_dim; dim++)
        if (tensor->dims[dim] != 1)
            tensor->dims[kept++] = tensor->dims[dim];
    for (uint32_t dim = kept; dim < 4; dim++)
        tensor->dims[dim] = 1;
    tensor->n_dim = (uint32_t)weir_max(kept, 1);
}

static bool is_turned(enum hf_layout layout)
{
    return layout == HF_TURNED || layout == HF_TURNED_TURNS;
}

static bool is_float(const struct weir_raw_tensor *raw)
{
    const enum weir_type type = raw->dtype->type;
    return raw->dtype->is_weight &&
           (type == WEIR_TYPE_F32 || type == WEIR_TYPE_F16 || type == WEIR_TYPE_BF16);
}

/* Dimensions the other way round, those that are 1 at the end left out. */
static enum weir_status shape_tensor(const struct binder *binder, const struct weir_raw_tensor *raw,
                                     enum hf_layout layout, struct weir_tensor *tensor)
{
    uint64_t count = 1;
    for (uint32_t dim = 0; dim < 4; dim++)
        tensor->dims[dim] = 1;
    if (raw->n_dim > 4)
        return WEIR_FAIL(binder->err, WEIR_ERR_FORMAT,
                         "%s: tensor %s: wanted at most 4 dimensions, found %u",
                         path_of(binder, raw), raw->name, raw->n_dim);
    for (uint32_t dim = 0; dim < raw->n_dim; dim++) {
        tensor->dims[dim] = raw->dims[raw->n_dim - 1 - dim];
        count *= tensor->dims[dim]; /* its bytes were counted before */
    }
    tensor->n_dim = (uint32_t)weir_max(raw->n_dim, 1);
    if (count == 0)
        return WEIR_FAIL(binder->err, WEIR_ERR_FORMAT, "%s: tensor %s has no values",
                         path_of(binder, raw), raw->name);
    if (layout == HF_SQUEEZE)
        squeeze(tensor);
    if (is_turned(layout)) {
        const uint64_t rows = tensor->dims[0];
        tensor->dims[0] = tensor->dims[1];
        tensor->dims[1] = rows;
    }
    if (layout != HF_VECTOR)
        return WEIR_OK;
    tensor->dims[0] = count;
    tensor->dims[1] = tensor->dims[2] = tensor->dims[3] = 1;
    tensor->n_dim = 1;
    return WEIR_OK;
}

static enum weir_change change_of(enum hf_layout layout)
{
    return layout == HF_PLUS_ONE    ? WEIR_CHANGE_PLUS_ONE
           : layout == HF_MINUS_EXP ? WEIR_CHANGE_MINUS_EXP
                                    : WEIR_CHANGE_NONE;
}

/* A row of the manifest's, under name; its own memory for the name is taken last. */
static void add_tensor(struct binder *binder, const struct weir_tensor *tensor, const char *name)
{
    struct weir_manifest *manifest = binder->manifest;
    const uint32_t index = manifest->tensor_count++;
    char *own = manifest->names + (size_t)index * GGUF_NAME_BYTES;
    snprintf(own, GGUF_NAME_BYTES, "%s", name);
    manifest->tensors[index] = *tensor;
    manifest->tensors[index].name = own;
    weir_names_put(&manifest->tensor_index, index);
}

static enum weir_status bind_plain(struct binder *binder, const struct weir_raw_tensor *raw,
                                   const struct weir_tensor *tensor, const char *name)
{
    if (weir_names_find(&binder->manifest->tensor_index, name) != UINT32_MAX)
        return WEIR_FAIL(binder->err, WEIR_ERR_FORMAT,
                         "%s: tensor %s: another one is tensor %s already", path_of(binder, raw),
                         raw->name, name);
    add_tensor(binder, tensor, name);
    return WEIR_OK;
}

/* The stack that a matrix belongs to; a new one when this is the first of them. */
static enum weir_status find_stack(struct binder *binder, const struct weir_raw_tensor *raw,
                                   const struct weir_tensor *matrix, const char *name,
                                   struct weir_tensor **stack)
{
    struct weir_manifest *manifest = binder->manifest;
    const uint32_t n_expert = binder->config->n_expert;
    uint32_t index = weir_names_find(&manifest->tensor_index, name);
    if (index == UINT32_MAX) {
        struct weir_tensor made = *matrix;
        /* Each place is a tensor's: with fewer tensors than places, one is missing. */
        if (n_expert > binder->place_capacity - binder->place_count)
            return WEIR_FAIL(binder->err, WEIR_ERR_FORMAT,
                             "%s: tensor %s: wanted %u experts, found fewer", path_of(binder, raw),
                             raw->name, n_expert);
        made.places = manifest->places + binder->place_count;
        made.n_dim = 3;
        made.dims[2] = n_expert;
        made.bytes = 0;
        binder->place_count += n_expert;
        index = manifest->tensor_count;
        add_tensor(binder, &made, name);
    }
    *stack = &manifest->tensors[index];
    if ((*stack)->places == NULL)
        return WEIR_FAIL(binder->err, WEIR_ERR_FORMAT,
                         "%s: tensor %s: another one is all of tensor %s already",
                         path_of(binder, raw), raw->name, name);
    return WEIR_OK;
}

/* Keeps I1. */
static enum weir_status bind_expert(struct binder *binder, const struct weir_raw_tensor *raw,
                                    const struct weir_tensor *matrix, const char *name,
                                    uint32_t expert)
{
    struct weir_tensor *stack = NULL;
    if (expert >= binder->config->n_expert || raw->n_dim > 2)
        return WEIR_FAIL(
            binder->err, WEIR_ERR_FORMAT,
            "%s: tensor %s: wanted a matrix of one of %u experts, found expert %u with "
            "%u dimensions",
            path_of(binder, raw), raw->name, binder->config->n_expert, expert, raw->n_dim);
    WEIR_TRY(find_stack(binder, raw, matrix, name, &stack));
    if (stack->dims[0] != matrix->dims[0] || stack->dims[1] != matrix->dims[1] ||
        strcmp(stack->type_name, matrix->type_name) != 0)
        return WEIR_FAIL(
            binder->err, WEIR_ERR_FORMAT,
            "%s: tensor %s: wanted %llu x %llu of type %s as its layer's other experts have, found "
            "%llu x %llu of %s",
            path_of(binder, raw), raw->name, (unsigned long long)stack->dims[1],
            (unsigned long long)stack->dims[0], stack->type_name,
            (unsigned long long)matrix->dims[1], (unsigned long long)matrix->dims[0],
            matrix->type_name);
    struct weir_place *place =
        binder->manifest->places + (stack->places - binder->manifest->places) + expert;
    *place = (struct weir_place){.offset = matrix->offset, .file = matrix->file};
    stack->bytes += matrix->bytes;
    return WEIR_OK;
}

/* What is left out, and what cannot be used. */
static enum weir_status check_use(const struct binder *binder, const struct weir_raw_tensor *raw,
                                  const struct hf_piece *piece, const struct hf_tensor *row,
                                  bool *is_used)
{
    const struct hf_config *config = binder->config;
    char canonical[WEIR_NAME_MAX + 1];
    *is_used = false;
    if ((piece != NULL && piece->kind == HF_NOTE) ||
        is_of_guess(config, canonical_name(raw->name, canonical)))
        return WEIR_OK;
    if (row == NULL)
        return WEIR_FAIL(binder->err, WEIR_ERR_UNSUPPORTED,
                         "%s: tensor %s has no use in family %s; running without it would give "
                         "wrong text",
                         path_of(binder, raw), raw->name, config->family->model_type);
    if (row->layout == HF_SKIP || (row->layout == HF_OUTPUT && config->is_tied))
        return WEIR_OK;
    if (is_turned(row->layout) && (piece != NULL || !is_float(raw)))
        return WEIR_FAIL(binder->err, WEIR_ERR_UNSUPPORTED,
                         "%s: tensor %s: wanted F32, F16 or BF16 of matrices that lie column by "
                         "column, found %s: take a GGUF file of the model, or one that has a "
                         "tensor for each expert (FP8, int4)",
                         path_of(binder, raw), raw->name, raw->dtype->name);
    if (piece != NULL && piece->kind == HF_REFUSED)
        return WEIR_FAIL(binder->err, WEIR_ERR_UNSUPPORTED, "%s: tensor %s: %s: not built in",
                         path_of(binder, raw), raw->name, piece->what);
    *is_used = true;
    return WEIR_OK;
}

static enum weir_status bind_tensor(struct binder *binder, const struct weir_raw_tensor *raw)
{
    char canonical[WEIR_NAME_MAX + 1];
    char weight[WEIR_NAME_MAX + 1];
    char name[GGUF_NAME_BYTES];
    struct numbers numbers = {0};
    bool is_used = false;
    const struct hf_config *config = binder->config;
    const struct hf_piece *piece = weir_hf_piece_find(config, raw, weight);
    const struct hf_tensor *row =
        find_row(config->family, canonical_name(weight, canonical), &numbers);
    WEIR_TRY(check_use(binder, raw, piece, row, &is_used));
    if (!is_used)
        return WEIR_OK;
    struct weir_tensor tensor = {.offset = raw->offset,
                                 .bytes = raw->bytes,
                                 .file = raw->file,
                                 .ggml_type = WEIR_GGML_NONE,
                                 .type_name = raw->dtype->name,
                                 .known = raw->dtype->is_weight,
                                 .type = raw->dtype->type,
                                 .change = change_of(row->layout),
                                 .takes_turns =
                                     row->layout == HF_TURNS || row->layout == HF_TURNED_TURNS,
                                 .is_turned = is_turned(row->layout)};
    WEIR_TRY(shape_tensor(binder, raw, row->layout, &tensor));
    make_name(row->gguf, numbers.layer, name);
    if (piece != NULL)
        WEIR_TRY(weir_hf_piece_apply(config, piece, raw, path_of(binder, raw), &tensor, name,
                                     sizeof(name)));
    return row->layout == HF_EXPERT ? bind_expert(binder, raw, &tensor, name, numbers.expert)
                                    : bind_plain(binder, raw, &tensor, name);
}

/* No tensor begins at byte 0: a place that is 0 was not filled; keeps I1. */
static enum weir_status check_stacks(const struct binder *binder)
{
    const struct weir_manifest *manifest = binder->manifest;
    for (uint32_t index = 0; index < manifest->tensor_count; index++) {
        struct weir_tensor *tensor = &manifest->tensors[index];
        if (tensor->places == NULL)
            continue;
        for (uint64_t expert = 0; expert < tensor->dims[2]; expert++)
            if (tensor->places[expert].offset == 0)
                return WEIR_FAIL(binder->err, WEIR_ERR_FORMAT,
                                 "%s: expert %llu of what becomes tensor %s is missing",
                                 weir_manifest_path(manifest), (unsigned long long)expert,
                                 tensor->name);
        tensor->offset = tensor->places[0].offset;
        tensor->file = tensor->places[0].file;
    }
    return WEIR_OK;
}

/* What config.json says where a GGUF file has tensors. */
static void add_rope_factors(struct binder *binder)
{
    static const char *const names[] = {"rope_factors_long.weight", "rope_factors_short.weight"};
    const struct hf_config *config = binder->config;
    for (uint32_t set = 0; config->rope_factors != NULL && set < config->rope_set_count; set++) {
        const struct weir_tensor tensor = {.n_dim = 1,
                                           .dims = {config->rope_factor_count, 1, 1, 1},
                                           .known = true,
                                           .type = WEIR_TYPE_F32,
                                           .type_name = "F32",
                                           .values = config->rope_factors +
                                                     (size_t)set * config->rope_factor_count};
        add_tensor(binder, &tensor, config->rope_set_count == 1 ? "rope_freqs.weight" : names[set]);
    }
}

enum weir_status weir_hf_tensors_bind(struct weir_manifest *manifest,
                                      const struct weir_raw_list *list,
                                      const struct hf_config *config)
{
    struct binder binder = {.manifest = manifest,
                            .list = list,
                            .config = config,
                            .place_capacity = list->count,
                            .err = config->err};
    const uint32_t capacity = list->count + 2; /* and the rope's factors */
    manifest->tensors = weir_heap_array(capacity, sizeof(*manifest->tensors));
    manifest->names = weir_heap_array(capacity, GGUF_NAME_BYTES);
    manifest->places = weir_heap_array(list->count, sizeof(*manifest->places));
    if (manifest->tensors == NULL || manifest->names == NULL || manifest->places == NULL ||
        weir_names_init(&manifest->tensor_index, capacity, manifest, weir_gguf_tensor_name) !=
            WEIR_OK)
        return WEIR_FAIL(config->err, WEIR_ERR_NOMEM, "no memory for %u tensors", capacity);
    for (uint32_t index = 0; index < list->count; index++)
        WEIR_TRY(bind_tensor(&binder, &list->tensors[index]));
    WEIR_TRY(check_stacks(&binder));
    add_rope_factors(&binder);
    if (!config->is_tied && weir_manifest_tensor(manifest, "output.weight") == NULL)
        return WEIR_FAIL(config->err, WEIR_ERR_FORMAT,
                         "%s: tensor lm_head.weight is missing, and tie_word_embeddings is false",
                         weir_manifest_path(manifest));
    return WEIR_OK;
}
