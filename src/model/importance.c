/* importance.c - room for sums of squares of what weights are applied to, and the list of them. */
#include "model/importance.h"

#include <stdlib.h>
#include <string.h>

#include "model/importance_taps.h"
#include "model/roles.h"

/* Calls fn for every weight that something is multiplied with. */
struct visit {
    void (*fn)(struct visit *self, const struct weir_role *role, struct weir_weight *weight);
    char *base; /* the model, or a layer */
};

static void visit_role(void *user, const struct weir_role *role)
{
    struct visit *visit = user;
    void *place = visit->base + role->place;
    if (role->kind != WEIR_ROLE_VECTOR && role->input != 0)
        visit->fn(visit, role, place);
}

static void visit_weights(struct weir_model *model, struct visit *visit)
{
    visit->base = (char *)model;
    weir_roles_visit_model(model, visit_role, visit);
    for (uint32_t layer = 0; layer < model->shape.n_layer; layer++) {
        visit->base = (char *)&model->layers[layer];
        weir_roles_visit_layer(&model->layers[layer], visit_role, visit);
    }
}

struct layout {
    struct visit base; /* first: the visit is cast back */
    struct weir_mem *mem;
};

/* The experts' gate and up are applied to the same rows: up has what gate has, which comes first.
 */
static bool is_expert_up(const struct weir_role *role)
{
    return role->place == offsetof(struct weir_layer, network.expert_up) &&
           role->kind == WEIR_ROLE_EXPERTS;
}

static void place_sums(struct visit *self, const struct weir_role *role, struct weir_weight *weight)
{
    struct weir_mem *mem = ((struct layout *)self)->mem;
    const uint64_t count = weight->count * weight->cols;
    if (is_expert_up(role)) {
        weight->inputs = ((struct weir_layer *)(void *)self->base)->network.expert_gate.inputs;
        return;
    }
    weight->inputs.sums =
        weir_mem_alloc(mem, WEIR_MEM_SUMS, count * sizeof(double), sizeof(double));
    weight->inputs.counts =
        weir_mem_alloc(mem, WEIR_MEM_SUMS, weight->count * sizeof(uint64_t), sizeof(uint64_t));
}

void weir_importance_layout(struct weir_model *model, struct weir_mem *mem)
{
    struct layout layout = {.base = {.fn = place_sums}, .mem = mem};
    visit_weights(model, &layout.base);
}

struct listing {
    struct visit base; /* first: the visit is cast back */
    struct weir_imatrix_sums *list;
    uint32_t count, most;
};

/* Matrices of heads see every row alike, experts only theirs. */
static void list_sums(struct visit *self, const struct weir_role *role, struct weir_weight *weight)
{
    struct listing *listing = (struct listing *)self;
    if (!weir_is_measured(weight) || listing->count++ >= listing->most)
        return;
    listing->list[listing->count - 1] = (struct weir_imatrix_sums){
        .name = weight->tensor->name,
        .cols = weight->cols,
        .matrix_count = weight->count,
        .count_count = role->kind == WEIR_ROLE_EXPERTS ? weight->count : 1,
        .sums = weight->inputs.sums,
        .counts = weight->inputs.counts,
    };
}

static int compare_names(const void *one, const void *other)
{
    return strcmp(((const struct weir_imatrix_sums *)one)->name,
                  ((const struct weir_imatrix_sums *)other)->name);
}

uint32_t weir_importance_list(struct weir_model *model, struct weir_imatrix_sums *list,
                              uint32_t most)
{
    struct listing listing = {.base = {.fn = list_sums}, .list = list, .most = most};
    uint32_t kept = 0;
    visit_weights(model, &listing.base);
    if (listing.count > most || listing.count == 0)
        return listing.count;
    qsort(list, listing.count, sizeof(*list), compare_names);
    /* Several matrices of one tensor are applied to the same rows. */
    for (uint32_t index = 0; index < listing.count; index++)
        if (kept == 0 || strcmp(list[kept - 1].name, list[index].name) != 0)
            list[kept++] = list[index];
    return kept;
}
