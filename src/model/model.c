/* model.c - describe, lay out and load a model. */
#include "model/bind.h"

#include <math.h>
#include <string.h>

#include "base/heap.h"

enum { WEIGHT_ALIGN = 64 };

enum weir_status weir_model_describe(struct weir_model **out, const weir_manifest *manifest,
                                     struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    struct weir_model *model = NULL;
    const char *name = weir_manifest_text(manifest, "general.architecture");
    if (name == NULL)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "key general.architecture is missing");
    const struct weir_family *family = weir_family_find(name);
    if (family == NULL)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "architecture \"%.64s\" is not built in; the nearest name that is: %s "
                         "(docs/FAMILIES.md has all)",
                         name, weir_family_nearest(name)->name);
    model = weir_heap_alloc(sizeof(*model));
    if (model == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for the model's description");
    model->family = family;
    model->manifest = manifest;
    WEIR_TRY_GOTO(weir_shape_read(manifest, family, &model->shape, err));
    model->layers = weir_heap_array(model->shape.n_layer, sizeof(*model->layers));
    if (model->layers == NULL) {
        status = WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for %u layers", model->shape.n_layer);
        goto fail;
    }
    WEIR_TRY_GOTO(weir_model_bind(model, err));
    WEIR_TRY_GOTO(weir_shape_check(model, err));
    *out = model;
    return WEIR_OK;

fail:
    weir_model_destroy(&model);
    return status;
}

void weir_model_destroy(struct weir_model **model)
{
    if (*model == NULL)
        return;
    weir_heap_free((*model)->layers);
    weir_heap_free(*model);
    *model = NULL;
}

struct layout_visitor {
    struct weir_trunk_visitor base; /* first: the visitor is cast back */
    struct weir_mem *mem;
};

/* What goes with codes, where there is any. */
static void place_beside(struct weir_mem *mem, uint64_t count, struct weir_scale_stack *stack)
{
    if (stack->tensor != NULL)
        stack->data =
            weir_mem_alloc(mem, WEIR_MEM_TRUNK, count * stack->matrix_bytes, WEIGHT_ALIGN);
}

static void place_weight(struct weir_trunk_visitor *self, struct weir_weight *weight)
{
    struct layout_visitor *visitor = (struct layout_visitor *)self;
    weight->data = weir_mem_alloc(visitor->mem, WEIR_MEM_TRUNK,
                                  weight->count * weight->matrix_bytes, WEIGHT_ALIGN);
    place_beside(visitor->mem, weight->count, &weight->scales);
    place_beside(visitor->mem, weight->count, &weight->zeros);
}

static void place_vector(struct weir_trunk_visitor *self, struct weir_vector *vector)
{
    struct layout_visitor *visitor = (struct layout_visitor *)self;
    vector->data = weir_mem_alloc(visitor->mem, WEIR_MEM_TRUNK,
                                  vector->rows * vector->cols * sizeof(float), WEIGHT_ALIGN);
}

const struct weir_weight *weir_model_table(const struct weir_model *model, enum weir_table table)
{
    return table == WEIR_TABLE_TOKENS ? &model->token_embedding : &model->layer_embedding;
}

uint64_t weir_model_on_disk_bytes(const struct weir_model *model, unsigned tables_on_disk)
{
    uint64_t bytes = 0;
    for (int table = 0; table < WEIR_TABLE_COUNT; table++)
        if ((tables_on_disk & 1u << table) != 0)
            bytes += weir_model_table(model, (enum weir_table)table)->matrix_bytes;
    return bytes;
}

void weir_model_layout(struct weir_model *model, unsigned tables_on_disk, struct weir_mem *mem)
{
    model->tables_on_disk = tables_on_disk;
    struct layout_visitor visitor = {.base = {place_weight, place_vector}, .mem = mem};
    weir_model_visit_trunk(model, &visitor.base);
    weir_latent_heads_layout(model, mem);
}

struct load_visitor {
    struct weir_trunk_visitor base;
    /* Where all bytes lie, in the order in which they are wanted: the first visit only lists it. */
    struct weir_io_part *parts;
    uint32_t part_count, part_capacity;
    bool is_listing;
    struct weir_io_stream stream;
    weir_model_progress_fn *progress;
    void *user;
    uint64_t done_bytes, total_bytes;
    enum weir_status status;
    struct weir_err *err;
};

static void list_part(struct load_visitor *visitor, struct weir_io_part added)
{
    struct weir_io_part *last =
        visitor->part_count == 0 ? NULL : &visitor->parts[visitor->part_count - 1];
    if (last != NULL && last->file == added.file && last->offset + last->bytes == added.offset) {
        last->bytes += added.bytes;
        return;
    }
    if (visitor->part_count == visitor->part_capacity) {
        const uint32_t capacity = visitor->part_capacity + visitor->part_capacity / 2 + 64;
        struct weir_io_part *grown =
            weir_heap_grow(visitor->parts, capacity * sizeof(*visitor->parts));
        if (grown == NULL) {
            visitor->status = WEIR_FAIL(visitor->err, WEIR_ERR_NOMEM,
                                        "no memory for the places of %u weights", capacity);
            return;
        }
        visitor->parts = grown;
        visitor->part_capacity = capacity;
    }
    visitor->parts[visitor->part_count++] = added;
}

/* What load_bytes() was asked for is there. */
static bool has_bytes(const struct load_visitor *visitor)
{
    return visitor->status == WEIR_OK && !visitor->is_listing;
}

/* The next bytes of the trunk, unless something failed before; tell how far we are. */
static void load_bytes(struct load_visitor *visitor, uint32_t file, uint64_t offset, uint64_t bytes,
                       void *dst)
{
    enum { STEP_BYTES = 16 << 20 }; /* between two words of progress */
    if (visitor->is_listing && visitor->status == WEIR_OK)
        list_part(visitor, (struct weir_io_part){offset, bytes, file});
    if (!has_bytes(visitor))
        return;
    for (uint64_t done = 0; done < bytes && visitor->status == WEIR_OK; done += STEP_BYTES) {
        const uint64_t step_bytes = weir_min(STEP_BYTES, bytes - done);
        visitor->status =
            weir_io_stream_take(&visitor->stream, (char *)dst + done, step_bytes, visitor->err);
        visitor->done_bytes += step_bytes;
        if (visitor->status == WEIR_OK && visitor->progress != NULL &&
            !visitor->progress(visitor->user, visitor->done_bytes, visitor->total_bytes))
            visitor->status = WEIR_FAIL(visitor->err, WEIR_ERR_CANCELLED, "the load was stopped");
    }
}

static void load_beside(struct load_visitor *visitor, uint64_t count,
                        const struct weir_scale_stack *stack)
{
    void *dst;
    memcpy(&dst, &stack->data, sizeof(dst));
    if (stack->tensor != NULL)
        load_bytes(visitor, stack->file, stack->offset, count * stack->matrix_bytes, dst);
}

static void load_weight(struct weir_trunk_visitor *self, struct weir_weight *weight)
{
    struct load_visitor *visitor = (struct load_visitor *)self;
    void *dst;
    memcpy(&dst, &weight->data, sizeof(dst)); /* ours to write until the load is done */
    load_bytes(visitor, weight->file, weight->offset, weight->count * weight->matrix_bytes, dst);
    load_beside(visitor, weight->count, &weight->scales);
    load_beside(visitor, weight->count, &weight->zeros);
}

/* Bytes of a tensor that lies in one piece, from a distance on. */
static struct weir_place place_at(const struct weir_tensor *tensor, uint64_t bytes)
{
    return (struct weir_place){.offset = tensor->offset + bytes, .file = tensor->file};
}

/* Values of a vector's tensor from a place in the file, whole blocks of its format. */
static void load_values(struct load_visitor *visitor, const struct weir_tensor *tensor,
                        struct weir_place place, float *values, size_t count)
{
    const struct weir_type_info *info = weir_quant_info(tensor->type);
    uint8_t piece[4096];
    const size_t piece_blocks = sizeof(piece) / info->block_bytes;
    const size_t block_count = count / info->block_len;
    if (tensor->type == WEIR_TYPE_F32) {
        load_bytes(visitor, place.file, place.offset, count * sizeof(float), values);
        return;
    }
    for (size_t block = 0; block < block_count && visitor->status == WEIR_OK;
         block += piece_blocks) {
        const size_t blocks = (size_t)weir_min(piece_blocks, block_count - block);
        load_bytes(visitor, place.file, place.offset + block * info->block_bytes,
                   blocks * info->block_bytes, piece);
        if (has_bytes(visitor))
            weir_quant_decode_row(tensor->type, piece, values + block * info->block_len,
                                  blocks * info->block_len);
    }
}

/* A whole tensor, column by column. */
static void load_turned(struct load_visitor *visitor, struct weir_vector *vector)
{
    const struct weir_type_info *info = weir_quant_info(vector->tensor->type);
    const size_t count = (size_t)(vector->rows * vector->cols);
    const size_t cols = (size_t)vector->cols;
    float piece[1024]; /* whole blocks of every format */
    for (size_t first = 0; first < count; first += WEIR_COUNT(piece)) {
        const size_t n = (size_t)weir_min(WEIR_COUNT(piece), count - first);
        if (vector->tensor->values != NULL)
            memcpy(piece, vector->tensor->values + first, n * sizeof(*piece));
        else
            load_values(visitor, vector->tensor,
                        place_at(vector->tensor, first / info->block_len * info->block_bytes),
                        piece, n);
        for (size_t at = first; at < first + n && has_bytes(visitor); at++)
            vector->data[at % cols * (size_t)vector->rows + at / cols] = piece[at - first];
    }
}

/* Where a row of a vector's tensor begins. */
static struct weir_place row_place(const struct weir_vector *vector, uint64_t row)
{
    const struct weir_tensor *tensor = vector->tensor;
    const struct weir_type_info *info = weir_quant_info(tensor->type);
    struct weir_place place = {.offset = tensor->offset, .file = tensor->file};
    uint64_t before = row; /* rows of the same piece */
    if (tensor->places != NULL) {
        place = tensor->places[row / tensor->dims[1]];
        before = row % tensor->dims[1];
    }
    place.offset += before * vector->stride / info->block_len * info->block_bytes;
    return place;
}

/* Values that take turns with others': all of them are read. */
static void load_alternate(struct load_visitor *visitor, const struct weir_vector *vector,
                           uint64_t row)
{
    const struct weir_type_info *info = weir_quant_info(vector->tensor->type);
    const uint64_t count = vector->cols * vector->step;
    float *out = vector->data + row * vector->cols;
    float piece[1024]; /* whole blocks of every format */
    for (uint64_t first = 0; first < count; first += WEIR_COUNT(piece)) {
        const uint64_t n = weir_min(WEIR_COUNT(piece), count - first);
        struct weir_place place = row_place(vector, row);
        place.offset += first / info->block_len * info->block_bytes;
        load_values(visitor, vector->tensor, place, piece, (size_t)n);
        for (uint64_t at = first; at < first + n && has_bytes(visitor); at++)
            if (at % vector->step == vector->first)
                out[at / vector->step] = piece[at - first];
    }
}

static void load_row(struct load_visitor *visitor, const struct weir_vector *vector, uint64_t row)
{
    const struct weir_tensor *tensor = vector->tensor;
    const struct weir_type_info *info = weir_quant_info(tensor->type);
    float *out = vector->data + row * vector->cols;
    struct weir_place place = row_place(vector, row);
    if (tensor->values != NULL) {
        memcpy(out, tensor->values + row * vector->stride + vector->first,
               vector->cols * sizeof(float));
        return;
    }
    if (vector->step > 1) {
        load_alternate(visitor, vector, row);
        return;
    }
    place.offset += vector->first / info->block_len * info->block_bytes;
    load_values(visitor, tensor, place, out, (size_t)vector->cols);
}

static void change_values(const struct weir_vector *vector)
{
    for (uint64_t index = 0; index < vector->rows * vector->cols; index++) {
        float *value = &vector->data[index];
        if (!isfinite(*value)) /* or an infinite one might become 0, and be no damage */
            continue;
        if (vector->tensor->change == WEIR_CHANGE_PLUS_ONE)
            *value += 1.0f;
        else if (vector->tensor->change == WEIR_CHANGE_INVERSE)
            *value = 1.0f / *value;
        else
            *value = -(float)exp((double)*value);
    }
}

static void load_vector(struct weir_trunk_visitor *self, struct weir_vector *vector)
{
    struct load_visitor *visitor = (struct load_visitor *)self;
    if (vector->is_turned)
        load_turned(visitor, vector);
    for (uint64_t row = 0; row < vector->rows && !vector->is_turned; row++)
        load_row(visitor, vector, row);
    if (vector->tensor->change != WEIR_CHANGE_NONE && has_bytes(visitor))
        change_values(vector);
}

enum weir_status weir_model_load(struct weir_model *model, weir_io *io, void *staging,
                                 uint64_t staging_bytes, weir_model_progress_fn *progress,
                                 void *user, struct weir_err *err)
{
    struct load_visitor visitor = {
        .base = {load_weight, load_vector},
        .is_listing = true,
        .progress = progress,
        .user = user,
        .total_bytes = model->trunk_bytes - weir_model_on_disk_bytes(model, model->tables_on_disk),
        .err = err,
    };
    weir_model_visit_trunk(model, &visitor.base);
    if (visitor.status == WEIR_OK) {
        visitor.is_listing = false;
        weir_io_stream_begin(&visitor.stream, io, visitor.parts, visitor.part_count, staging,
                             staging_bytes);
        weir_model_visit_trunk(model, &visitor.base);
        weir_io_stream_end(&visitor.stream);
    }
    weir_heap_free(visitor.parts);
    WEIR_TRY(visitor.status);
    weir_latent_heads_load(model);
    /* What divides an angle, or is counted without a value, vanishes when it is infinite: nothing
     * later would notice. */
    const struct weir_vector *const divisors[] = {&model->rope_factors, &model->rope_long,
                                                  &model->rope_short};
    for (size_t index = 0; index < WEIR_COUNT(divisors); index++)
        WEIR_TRY(weir_damage_check_divisors(divisors[index], err));
    for (uint32_t layer = 0; layer < model->shape.n_layer; layer++)
        WEIR_TRY(weir_damage_check_vector(&model->layers[layer].mixer.sinks, err));
    return WEIR_OK;
}

uint64_t weir_model_use_count(const struct weir_model *model)
{
    uint64_t count = 0;
    for (uint32_t layer = 0; layer < model->shape.n_layer; layer++)
        count += model->layers[layer].network.n_expert_used;
    return count;
}

void weir_model_parameters(const struct weir_model *model, uint64_t *all, uint64_t *active)
{
    *all = 0;
    uint64_t idle_parameters = 0;
    const uint32_t tensor_count = weir_manifest_tensor_count(model->manifest);
    for (uint32_t index = 0; index < tensor_count; index++) {
        const struct weir_tensor *tensor = weir_manifest_tensor_at(model->manifest, index);
        if (weir_model_skips(model, tensor->name) || tensor->is_scales || tensor->is_zeros)
            continue;
        *all += tensor->dims[0] * tensor->dims[1] * tensor->dims[2] * tensor->dims[3];
    }
    for (uint32_t layer = 0; layer < model->shape.n_layer; layer++) {
        const struct weir_layer *at = &model->layers[layer];
        if (weir_layer_has_experts(at))
            idle_parameters += (at->network.expert_gate.cols * at->network.expert_gate.rows +
                                at->network.expert_up.cols * at->network.expert_up.rows +
                                at->network.expert_down.cols * at->network.expert_down.rows) *
                               (model->shape.n_expert - at->network.n_expert_used);
    }
    *active = *all - idle_parameters;
}
