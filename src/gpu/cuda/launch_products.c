/* launch_products.c - products of weights and rows, and embeddings: which kernel, and its shape. */
#include "gpu/cuda/cuda_internal.h"
#include "gpu/cuda/matmul_args.h"

_Static_assert(sizeof(struct weir_cuda_place) == sizeof(struct weir_gpu_place), "one layout");
_Static_assert(sizeof(struct weir_matvec_list) <= WEIR_CUDA_ARGS_BYTES, "one struct by value");
_Static_assert(sizeof(struct weir_tiles_args) <= WEIR_CUDA_ARGS_BYTES, "one struct by value");

/* The kernels of a format: names must last. NULL: those of rare formats. */
struct kernels {
    const char *one, *few; /* of one row, and of each_few rows at a time */
    uint32_t each_few;
};
#define OWN(name, few)                                                                             \
    {                                                                                              \
        "weir_matvec_" name "_1", "weir_matvec_" name "_" #few, few                                \
    }
static const struct kernels own_kernels[WEIR_TYPE_COUNT] = {
    [WEIR_TYPE_Q8_0] = OWN("q8_0", 8),       [WEIR_TYPE_Q4_0] = OWN("q4_0", 8),
    [WEIR_TYPE_MXFP4] = OWN("mxfp4", 8),     [WEIR_TYPE_Q4_K] = OWN("q4_k", 8),
    [WEIR_TYPE_Q5_K] = OWN("q5_k", 8),       [WEIR_TYPE_Q6_K] = OWN("q6_k", 8),
    [WEIR_TYPE_F32] = OWN("f32", 4),         [WEIR_TYPE_F16] = OWN("f16", 4),
    [WEIR_TYPE_BF16] = OWN("bf16", 4),       [WEIR_TYPE_F8_E4M3] = OWN("f8_e4m3", 4),
    [WEIR_TYPE_F4_E2M1] = OWN("f4_e2m1", 4), [WEIR_TYPE_I4] = OWN("i4", 4),
};
static const struct kernels k_kernels = OWN("k", 8);
#undef OWN
static const struct kernels rare_kernels = {"weir_matvec_rare_4", "weir_matvec_rare_4", 4};

static bool is_rare(enum weir_type type)
{
    return own_kernels[type].one == NULL;
}

/* Values that stand for themselves, and codes. */
static bool is_float(enum weir_type type)
{
    return type <= WEIR_TYPE_BF16 || type >= WEIR_TYPE_BLOCK_COUNT;
}

static uint32_t bits_of(enum weir_type type)
{
    const struct weir_type_info *info = weir_quant_info(type);
    return 8 * info->block_bytes / info->block_len;
}

static uint32_t group_cols(const struct weir_gpu_form *form)
{
    return form->scales.group_cols == 0 ? form->cols
                                        : (uint32_t)weir_min(form->scales.group_cols, form->cols);
}

/* Tensor cores take units of 32 columns that have one scale for 16; of F32 all is F32. */
static bool has_tiles(const struct weir_gpu_form *form)
{
    if (!is_float(form->type))
        return true;
    return form->type != WEIR_TYPE_F32 && form->cols % 32 == 0 &&
           (form->type < WEIR_TYPE_BLOCK_COUNT || group_cols(form) % 16 == 0);
}

static struct weir_cuda_weights weights_of(const struct weir_gpu_form *form)
{
    return (struct weir_cuda_weights){
        .type = form->type,
        .cols = form->cols,
        .rows = form->rows,
        .row_bytes = form->row_bytes,
        .scales = {.row_bytes = form->scales.row_bytes,
                   .zero_row_bytes = form->scales.zero_row_bytes,
                   .group_rows = (uint32_t)weir_max(form->scales.group_rows, 1),
                   .group_cols = group_cols(form),
                   .type = form->scales.type},
        .scale = 1.0f,
    };
}

/* ---- a few rows ----------------------------------------------------------------------------- */

static bool is_k(enum weir_type type)
{
    return type == WEIR_TYPE_Q4_K || type == WEIR_TYPE_Q5_K || type == WEIR_TYPE_Q6_K;
}

/* One launch computes both. */
static bool are_alike(enum weir_type one, enum weir_type other)
{
    return one == other || (is_k(one) && is_k(other));
}

static uint32_t ring_bytes(enum weir_type type)
{
    const struct weir_type_info *info = weir_quant_info(type);
    return WEIR_MATVEC_RING(is_rare(type)
                                ? WEIR_MATVEC_RARE_BYTES
                                : weir_cuda_blocks(32 * info->block_bytes, info->block_len));
}

/* Parts of W's rows, one a block: as many as are computed at once, and all of one length. */
static void cut_parts(const weir_gpu *gpu, struct weir_matvec_list *list, uint32_t count,
                      uint32_t beside, uint32_t shared)
{
    const struct weir_cuda_limits *limits = weir_cuda_limits(gpu);
    const bool is_plain = is_float((enum weir_type)list->of[0].w.type);
    const uint32_t warps = is_plain ? 4 : WEIR_MATVEC_WARPS;
    const uint32_t by_processor = shared > 200 * 1024 / 8 ? 200 * 1024 / shared : 8;
    const uint32_t at_once = weir_cuda_blocks((uint64_t)limits->processors * by_processor, beside);
    uint32_t all = 0;
    uint32_t end = 0;
    for (uint32_t index = 0; index < count; index++)
        all += weir_cuda_blocks(list->of[index].w.rows, (uint64_t)warps * WEIR_MATVEC_ROWS);
    const uint32_t turns = is_plain ? 1 : weir_cuda_blocks(all, at_once);
    for (uint32_t index = 0; index < count; index++) {
        end += weir_cuda_blocks(
            weir_cuda_blocks(list->of[index].w.rows, (uint64_t)warps * WEIR_MATVEC_ROWS), turns);
        list->end[index] = end;
    }
}

/* Matrices that are alike, of as many columns, with the rows of the first. */
static void launch_matvecs(weir_gpu *gpu, struct weir_matvec_list *list, uint32_t count,
                           bool is_one)
{
    const struct weir_matvec_args first = list->of[0];
    const enum weir_type type = (enum weir_type)first.w.type;
    const struct kernels *kernels = is_rare(type) ? &rare_kernels : &own_kernels[type];
    const uint64_t room = weir_min(weir_cuda_limits(gpu)->shared_bytes_max, 112 * 1024);
    const bool is_list = first.rows.chosen != 0 && (!is_one || kernels == &rare_kernels);
    const uint32_t list_bytes = is_list ? (first.rows.n_row * 4 + 19) / 16 * 16 : 0;
    const uint32_t x_bytes = is_float(type) ? 0 : first.w.cols / 2 * 3;
    uint32_t each = is_one && !is_list ? 1 : kernels->each_few;
    uint32_t ring = 0;
    for (uint32_t index = 0; index < count; index++) {
        WEIR_ASSERT(list->of[index].w.cols == first.w.cols);
        if (list->of[index].w.type != first.w.type)
            kernels = &k_kernels;
        if (!is_float(type))
            ring = (uint32_t)weir_max(ring, ring_bytes((enum weir_type)list->of[index].w.type));
    }
    while (each > 1 && list_bytes + ring + each * x_bytes > room)
        each--;
    const uint32_t shared = list_bytes + ring + each * x_bytes;
    for (uint32_t index = 0; index < count; index++) {
        struct weir_matvec_args *args = &list->of[index];
        args->list_bytes = list_bytes;
        args->x_bytes = x_bytes;
        args->each = each;
        args->act_block =
            weir_quant_info((enum weir_type)args->w.type)->block_len == 256 ? 256 : 32;
    }
    const uint32_t beside =
        first.rows.chosen == 0 ? weir_cuda_blocks(first.rows.n_row, each) : first.rows.n_row;
    cut_parts(gpu, list, count, beside, shared);
    weir_cuda_launch_early(gpu, is_one ? kernels->one : kernels->few,
                           (uint32_t[3]){list->end[count - 1], beside, 1},
                           (uint32_t[3]){is_float(type) ? 128 : 32 * WEIR_MATVEC_WARPS, 1, 1},
                           shared, list, sizeof(*list));
}

/* ---- many rows ------------------------------------------------------------------------------ */

/* Hands the workspace out, from its beginning for each operation. */
static weir_gpu_address take(struct weir_cuda_workspace *left, uint64_t bytes)
{
    const weir_gpu_address at = left->at;
    const uint64_t padded = weir_align_up(bytes, WEIR_GPU_ALIGN);
    WEIR_ASSERT(left->bytes >= padded); /* weir_gpu_workspace_bytes() counts it */
    left->at += padded;
    left->bytes -= padded;
    return at;
}

/* Rows of x of a tile: few enough that tiles are full and that there are blocks for all processors;
 * of experts, whose last tiles are part full, also where three smaller blocks fit a processor. The
 * sums do not depend on it. */
static uint32_t tile_rows(const weir_gpu *gpu, const struct weir_gpu_form *form,
                          uint32_t slot_bytes, uint32_t n_row, uint32_t n_expert)
{
    const struct weir_cuda_limits *limits = weir_cuda_limits(gpu);
    const uint32_t by_matrix = n_row / (n_expert > 0 ? n_expert : 1);
    const bool three_fit = 3 * WEIR_TILES_SHARED(slot_bytes, 64) <= limits->shared_bytes_max;
    uint32_t tokens = is_rare(form->type) ? 32 : is_float(form->type) ? 64 : 128;
    if (tokens == 128 && n_expert > 0 && by_matrix < 192 && three_fit)
        tokens = 64;
    while (tokens > 32 &&
           (by_matrix < tokens / 4 * 3 ||
            weir_cuda_blocks(form->rows, WEIR_TILE_ROWS) * weir_cuda_blocks(n_row, tokens) <
                2 * limits->processors ||
            WEIR_TILES_SHARED(slot_bytes, tokens) > limits->shared_bytes_max))
        tokens /= 2;
    return tokens;
}

static void launch_tiles(weir_gpu *gpu, const struct weir_gpu_form *form,
                         struct weir_tiles_args *args, uint32_t n_expert)
{
    const struct weir_type_info *info = weir_quant_info(form->type);
    const uint32_t n_row = args->rows.n_row;
    const uint32_t x_rows = weir_cuda_blocks(n_row, args->rows.x_per);
    const uint32_t staged = is_float(form->type) ? 128 * bits_of(form->type) / 8
                                                 : 256 / info->block_len * info->block_bytes;
    static const char *const hot[] = {"weir_tiles_hot_32", "weir_tiles_hot_64",
                                      "weir_tiles_hot_128"};
    struct weir_cuda_workspace left = weir_cuda_workspace(gpu);
    args->slot_bytes = WEIR_SLOT_BYTES(staged);
    args->x16_stride = (uint32_t)weir_align_up(form->cols, 128);
    args->x16 = take(&left, (uint64_t)x_rows * args->x16_stride * 2);
    args->x16_scale = take(&left, x_rows * sizeof(float));

    const uint32_t tokens = tile_rows(gpu, form, args->slot_bytes, n_row, n_expert);
    const struct weir_to_f16_args to_f16 = {.x = args->rows.x,
                                            .out = args->x16,
                                            .scale = args->x16_scale,
                                            .x_stride = args->rows.x_stride,
                                            .cols = form->cols,
                                            .cols_out = args->x16_stride,
                                            .n_row = x_rows};
    weir_cuda_launch(gpu, WEIR_GPU_COMPUTE, "weir_to_f16", (uint32_t[3]){x_rows, 1, 1},
                     (uint32_t[3]){256, 1, 1}, 0, &to_f16, sizeof(to_f16));
    uint32_t n_tile = weir_cuda_blocks(n_row, tokens);
    if (n_expert > 0) {
        n_tile = n_row / tokens + n_expert;
        args->order = take(&left, n_row * sizeof(uint32_t));
        args->tiles = take(&left, n_tile * sizeof(struct weir_cuda_tile));
        const struct weir_group_args group = {.chosen = args->rows.chosen,
                                              .table = args->w.table,
                                              .order = args->order,
                                              .tiles = args->tiles,
                                              .n_row = n_row,
                                              .n_expert = n_expert,
                                              .tile_rows = tokens};
        weir_cuda_launch(gpu, WEIR_GPU_COMPUTE, "weir_group", (uint32_t[3]){n_expert, 1, 1},
                         (uint32_t[3]){256, 1, 1}, 0, &group, sizeof(group));
    }
    const char *name = is_rare(form->type) ? "weir_tiles_rare_32" : hot[tokens / 64];
    if (is_float(form->type))
        name = tokens == 64 ? "weir_tiles_float_64" : "weir_tiles_float_32";
    weir_cuda_launch(gpu, WEIR_GPU_COMPUTE, name,
                     (uint32_t[3]){weir_cuda_blocks(form->rows, WEIR_TILE_ROWS), n_tile, 1},
                     (uint32_t[3]){32 * WEIR_TILE_WARPS, 1, 1},
                     WEIR_TILES_SHARED(args->slot_bytes, tokens), args, sizeof(*args));
}

/* ---- operations ----------------------------------------------------------------------------- */

/* A matrix and its rows, as they are asked for. */
struct product {
    const struct weir_gpu_form *form;
    struct weir_matvec_args args;
    enum weir_gpu_way way;
    uint32_t n_expert;
    bool is_one; /* of one row of x, or of a step of one row */
};

/* A device with little shared memory has no tiles of the longest formats. */
static bool takes_tiles(const weir_gpu *gpu, const struct product *product)
{
    return product->way == WEIR_GPU_PROMPT && has_tiles(product->form) &&
           WEIR_TILES_SHARED(WEIR_SLOT_BYTES(272), 32) <= weir_cuda_limits(gpu)->shared_bytes_max;
}

/* One after the other, or in one launch those that are alike. unit: of x; the product is one. */
static void launch_products(weir_gpu *gpu, const struct product *products, uint32_t count,
                            const struct weir_gpu_glu *unit)
{
    bool is_done[WEIR_MATVEC_MANY] = {false};
    for (uint32_t index = 0; index < count; index++) {
        const struct product *product = &products[index];
        struct weir_matvec_list list = {.of = {product->args}};
        uint32_t together = 1;
        WEIR_ASSERT(weir_gpu_has_form(product->form));
        WEIR_ASSERT(product->args.rows.x % 16 == 0 && product->args.rows.x_stride % 4 == 0);
        if (is_done[index] || product->args.rows.n_row == 0)
            continue;
        const bool is_plain = is_float(product->form->type) || takes_tiles(gpu, product);
        if (unit->width > 0 && (is_plain || (unit->up | unit->gate) % 16 != 0)) {
            weir_cuda_glu(gpu, unit);
        } else if (unit->width > 0) {
            list.up = unit->up;
            list.input_weight = unit->input_weight;
            list.glu = unit->glu;
            list.limit = unit->limit;
        }
        if (takes_tiles(gpu, product)) {
            struct weir_tiles_args tiles = {.w = product->args.w, .rows = product->args.rows};
            launch_tiles(gpu, product->form, &tiles, product->n_expert);
            continue;
        }
        for (uint32_t other = index + 1; other < count; other++)
            if (!is_done[other] && are_alike(product->form->type, products[other].form->type) &&
                product->form->cols == products[other].form->cols &&
                !takes_tiles(gpu, &products[other])) {
                list.of[together++] = products[other].args;
                is_done[other] = true;
            }
        launch_matvecs(gpu, &list, together, product->is_one);
    }
}

static struct product product_of(const struct weir_gpu_matmul *job)
{
    struct product product = {
        .form = &job->w.form,
        .args = {.w = weights_of(&job->w.form),
                 .rows = {.x = job->x,
                          .y = job->y,
                          .x_stride = job->x_stride,
                          .y_stride = job->y_stride,
                          .x_per = 1,
                          .n_row = job->n_row,
                          .adds = job->adds}},
        .way = job->way,
        .is_one = job->n_row == 1,
    };
    product.args.w.one = (struct weir_cuda_place){job->w.data, job->w.scales, job->w.zeros};
    product.args.w.bias = job->w.bias;
    product.args.w.scale = job->w.scale;
    return product;
}

static struct product product_of_experts(const struct weir_gpu_experts *job)
{
    struct product product = {
        .form = &job->form,
        .args = {.w = weights_of(&job->form),
                 .rows = {.x = job->x,
                          .y = job->y,
                          .chosen = job->chosen,
                          .x_stride = job->x_stride,
                          .y_stride = job->y_stride,
                          .x_per = job->x_is_by_row ? job->n_used : 1,
                          .n_row = job->n_row * job->n_used}},
        .way = job->way,
        .n_expert = job->n_expert,
        .is_one = job->n_row == 1,
    };
    product.args.w.table = job->table;
    product.args.w.bias = job->bias;
    product.args.w.scale_of = job->scale;
    product.args.w.n_expert = job->n_expert;
    return product;
}

static const struct weir_gpu_glu no_unit;

void weir_cuda_matmul(weir_gpu *gpu, const struct weir_gpu_matmul *job)
{
    const struct product product = product_of(job);
    launch_products(gpu, &product, 1, &no_unit);
}

void weir_cuda_products(weir_gpu *gpu, const struct weir_gpu_products *job)
{
    struct product products[WEIR_GPU_PRODUCTS_MAX];
    WEIR_ASSERT(job->count <= WEIR_GPU_PRODUCTS_MAX);
    for (uint32_t index = 0; index < job->count; index++)
        products[index] = product_of(&job->of[index]);
    launch_products(gpu, products, job->count, &no_unit);
}

void weir_cuda_experts(weir_gpu *gpu, const struct weir_gpu_experts *job)
{
    const struct product product = product_of_experts(job);
    launch_products(gpu, &product, 1, &job->unit);
}

void weir_cuda_pair(weir_gpu *gpu, const struct weir_gpu_pair *job)
{
    const struct product products[] = {product_of_experts(&job->of[0]),
                                       product_of_experts(&job->of[1])};
    launch_products(gpu, products, 2, &no_unit);
}

void weir_cuda_embed(weir_gpu *gpu, const struct weir_gpu_embed *job)
{
    const struct weir_gpu_form *form = &job->table.form;
    struct weir_embed_args args = {
        .w = weights_of(form),
        .ids = job->ids,
        .y = job->y,
        .y_stride = job->y_stride,
        .n_row = job->n_row,
        .value_bits = is_float(form->type) ? bits_of(form->type) : 0,
        .scale = job->scale * job->table.scale,
    };
    WEIR_ASSERT(weir_gpu_has_form(form));
    args.w.one = (struct weir_cuda_place){job->table.data, job->table.scales, job->table.zeros};
    weir_cuda_launch(gpu, WEIR_GPU_COMPUTE, "weir_embed", (uint32_t[3]){job->n_row, 1, 1},
                     (uint32_t[3]){128, 1, 1}, 0, &args, sizeof(args));
}
