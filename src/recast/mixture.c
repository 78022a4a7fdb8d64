/* mixture.c - the types that a mixture gives to the tensors of a list.
 *
 * I1  Tensors are looked at in llama.cpp's order, by layer and name: some rows count them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/heap.h"
#include "recast/mixture_rows.h"

const struct weir_mixture *weir_mixture_at(uint32_t index)
{
    return index < MIX_COUNT ? &weir_mixture_table[index] : NULL;
}

const struct weir_mixture *weir_mixture_find(const char *name)
{
    static const char *const aliases[][2] = {
        {"Q3_K", "Q3_K_M"}, {"Q4_K", "Q4_K_M"}, {"Q5_K", "Q5_K_M"}};
    for (size_t row = 0; row < WEIR_COUNT(aliases); row++)
        if (strcasecmp(name, aliases[row][0]) == 0)
            name = aliases[row][1];
    for (uint32_t index = 0; index < MIX_COUNT; index++)
        if (strcasecmp(name, weir_mixture_table[index].name) == 0)
            return &weir_mixture_table[index];
    return NULL;
}

/* A number of the family, or the first layer's where layers have one each. */
static uint64_t read_number(const weir_manifest *manifest, const char *family, const char *suffix)
{
    char key[WEIR_NAME_MAX + 1];
    uint64_t value = 0;
    snprintf(key, sizeof(key), "%.100s.%s", family, suffix);
    if (!weir_manifest_u64(manifest, key, &value))
        weir_manifest_array_u64(manifest, key, 0, &value);
    return value;
}

void weir_mixture_facts_get(struct weir_mixture_facts *facts, const weir_manifest *manifest)
{
    const char *family = weir_manifest_text(manifest, "general.architecture");
    *facts = (struct weir_mixture_facts){.family = family == NULL ? "" : family};
    facts->n_layer = read_number(manifest, facts->family, "block_count");
    facts->n_expert = read_number(manifest, facts->family, "expert_count");
    facts->n_head = read_number(manifest, facts->family, "attention.head_count");
    facts->n_kv_head = read_number(manifest, facts->family, "attention.head_count_kv");
}

/* ---- what a tensor is ------------------------------------------------------------------------ */

static bool has(const char *name, const char *part)
{
    return strstr(name, part) != NULL;
}

static bool is_embedding(const char *name)
{
    return strcmp(name, "token_embd.weight") == 0 ||
           strcmp(name, "per_layer_token_embd.weight") == 0;
}

static enum mixture_place place_of(const char *name, bool is_tied)
{
    static const struct {
        const char *part;
        enum mixture_place place;
    } places[] = {
        {"attn_qkv.weight", AT_VALUES},
        {"attn_kv_b.weight", AT_VALUES},
        {"attn_v.weight", AT_VALUES},
        {"attn_k.weight", AT_KEYS},
        {"attn_q.weight", AT_QUERIES},
        {"attn_output.weight", AT_ATTENDED},
        {"ffn_up", AT_UP},
        {"ffn_gate", AT_GATE},
        {"ffn_down", AT_DOWN},
    };
    if (strcmp(name, "output.weight") == 0)
        return AT_OUTPUT;
    if (is_embedding(name))
        return is_tied ? AT_OUTPUT : AT_EMBEDDING;
    for (size_t row = 0; row < WEIR_COUNT(places); row++)
        if (has(name, places[row].part))
            return places[row].place;
    return AT_OTHER;
}

static bool may_change(const struct weir_recast_tensor *tensor, const char *family)
{
    const char *name = tensor->name;
    const size_t length = strlen(name);
    if (tensor->dims[1] * tensor->dims[2] * tensor->dims[3] == 1 || length < 6 ||
        strcmp(name + length - 6, "weight") != 0 || strcmp(name, "position_embd.weight") == 0 ||
        strcmp(name, "token_types.weight") == 0)
        return false;
    for (size_t row = 0; row < weir_mixture_kept_count; row++) {
        const struct mixture_kept *kept = &weir_mixture_kept[row];
        if ((kept->family == NULL || strcmp(kept->family, family) == 0) && has(name, kept->part))
            return false;
    }
    return true;
}

/* ---- rows that no block fills ---------------------------------------------------------------- */

static bool fits(enum weir_type type, uint64_t cols)
{
    return cols % weir_quant_info(type)->block_len == 0;
}

/* What llama.cpp takes for rows that are no whole blocks of a type. */
static enum weir_type fall_back(enum weir_type type)
{
    switch (type) {
    case WEIR_TYPE_IQ1_S:
    case WEIR_TYPE_IQ1_M:
    case WEIR_TYPE_IQ2_XXS:
    case WEIR_TYPE_IQ2_XS:
    case WEIR_TYPE_IQ2_S:
    case WEIR_TYPE_IQ3_XXS:
    case WEIR_TYPE_IQ3_S:
    case WEIR_TYPE_IQ4_XS:
        return WEIR_TYPE_IQ4_NL;
    case WEIR_TYPE_Q4_K:
        return WEIR_TYPE_Q5_0;
    case WEIR_TYPE_Q5_K:
        return WEIR_TYPE_Q5_1;
    case WEIR_TYPE_Q6_K:
        return WEIR_TYPE_Q8_0;
    case WEIR_TYPE_Q2_0:
    case WEIR_TYPE_Q2_K:
    case WEIR_TYPE_Q3_K:
    case WEIR_TYPE_TQ1_0:
    case WEIR_TYPE_TQ2_0:
        return WEIR_TYPE_Q4_0;
    case WEIR_TYPE_NVFP4: /* blocks of 64, of which llama.cpp's quantize knows no mixture */
        return WEIR_TYPE_MXFP4;
    default:
        return type;
    }
}

void weir_mixture_set(struct weir_recast_tensor *tensor, enum weir_type type)
{
    const uint64_t cols = tensor->dims[0];
    tensor->meant = tensor->type = type;
    if (!fits(tensor->type, cols))
        tensor->type = fall_back(type);
    if (!fits(tensor->type, cols))
        tensor->type = WEIR_TYPE_F16;
    tensor->fell_back = tensor->type != type;
}

/* ---- the choice ------------------------------------------------------------------------------ */

struct choice {
    const struct weir_mixture *mixture;
    const struct weir_mixture_facts *facts;
    bool is_tied;
    uint64_t value_count;            /* tensors of attention's values there are */
    uint64_t values, down, gate, up; /* of each so far */
};

/* What conditions go by, for one tensor. */
struct situation {
    uint64_t cols, matrices;
    enum mixture_place place;
    int64_t index, count; /* the layer, or the how-manieth; of how many */
    int64_t counted;      /* always the how-manieth */
};

static bool is_more_bits(int64_t index, int64_t count)
{
    return index < count / 8 || index >= 7 * count / 8 || (index - count / 8) % 3 == 2;
}

static bool holds(const struct choice *choice, const struct situation *now, unsigned condition)
{
    const struct weir_mixture_facts *facts = choice->facts;
    const bool is_grouped = facts->n_kv_head > 0 && facts->n_head / facts->n_kv_head >= 4;
    const int64_t index = now->index;
    const int64_t count = now->count;
    switch (condition) {
    case IF_GROUPS_OF_4:
        return is_grouped;
    case IF_NOT_GROUPS_OF_4:
        return !is_grouped;
    case IF_4_EXPERTS:
        return facts->n_expert >= 4;
    case IF_8_EXPERTS:
        return facts->n_expert == 8;
    case IF_NOT_8_EXPERTS:
        return facts->n_expert != 8;
    case IF_FIRST_8TH:
        return index < count / 8;
    case IF_FIRST_16TH:
        return index < count / 16;
    case IF_MORE_BITS:
        return is_more_bits(index, count);
    case IF_MIDDLE:
        return index >= count / 8 && index < 7 * count / 8;
    case IF_FIRST_2:
        return index < 2;
    case IF_FIRST_4:
        return index < 4;
    case IF_WEIGHTS:
        return facts->has_weights;
    case IF_NO_WEIGHTS:
        return !facts->has_weights;
    case IF_FALCON:
        return strcmp(facts->family, "falcon") == 0;
    case IF_NOT_FALCON:
        return strcmp(facts->family, "falcon") != 0;
    case IF_UNEVEN:
        return !fits(choice->mixture->type, now->cols);
    case IF_COUNTED_8TH:
        return now->counted < count / 8;
    default:
        return false;
    }
}

static bool all_hold(const struct choice *choice, const struct situation *now, unsigned conditions)
{
    for (unsigned bit = 1; bit <= conditions; bit <<= 1)
        if ((conditions & bit) != 0 && !holds(choice, now, bit))
            return false;
    return true;
}

/* Of models with 70 billion parameters heads share values: they are few, and worth more bits. */
static bool is_70b(const struct weir_mixture_facts *facts)
{
    static const struct {
        const char *family;
        uint64_t n_layer;
    } rows[] = {{"llama", 80}, {"qwen2", 80}, {"deci", 80}, {"olmo", 80}, {"jais2", 68}};
    for (size_t row = 0; row < WEIR_COUNT(rows); row++)
        if (strcmp(facts->family, rows[row].family) == 0 && facts->n_layer == rows[row].n_layer)
            return row > 0 || facts->n_head != facts->n_kv_head;
    return false;
}

/* Layer of "blk.N."; -1: it is of none. */
static int64_t layer_of(const char *name)
{
    int layer = -1;
    return sscanf(name, "blk.%d.", &layer) == 1 ? layer : -1;
}

/* Where the tensor stands among those like it; it is counted. */
static struct situation situate(struct choice *choice, const struct weir_recast_tensor *tensor)
{
    const struct weir_mixture_facts *facts = choice->facts;
    struct situation now = {.cols = tensor->dims[0],
                            .matrices = tensor->dims[2],
                            .place = place_of(tensor->name, choice->is_tied),
                            .count = (int64_t)facts->n_layer};
    uint64_t *counter = now.place == AT_VALUES ? &choice->values
                        : now.place == AT_DOWN ? &choice->down
                        : now.place == AT_GATE ? &choice->gate
                        : now.place == AT_UP   ? &choice->up
                                               : NULL;
    if (counter != NULL)
        now.counted = (int64_t)(*counter)++;
    now.index = now.counted;
    if (now.place == AT_VALUES)
        now.count = (int64_t)choice->value_count;
    else if (facts->n_expert > 1) /* experts make several tensors of one layer */
        now.index = layer_of(tensor->name);
    return now;
}

static enum weir_type choose(struct choice *choice, const struct weir_recast_tensor *tensor)
{
    const struct weir_mixture *mixture = choice->mixture;
    const bool is_float = weir_quant_info(mixture->type)->block_len == 1;
    if (is_float || choice->facts->is_pure)
        return mixture->type;
    const uint64_t bit = UINT64_C(1) << (mixture - weir_mixture_table);
    const struct situation now = situate(choice, tensor);
    if (mixture == &weir_mixture_table[MIX_MXFP4_MOE] && now.place != AT_OUTPUT) {
        const bool is_expert =
            now.place == AT_UP || now.place == AT_GATE || now.place == AT_DOWN ||
            strcmp(choice->facts->family, "bailingmoe3") != 0; /* it has other stacks */
        return now.matrices > 1 && is_expert ? WEIR_TYPE_MXFP4 : WEIR_TYPE_Q8_0;
    }
    enum weir_type type = mixture->type;
    for (size_t row = 0; row < weir_mixture_row_count; row++) {
        const struct mixture_row *at = &weir_mixture_rows[row];
        if ((at->mixtures & bit) != 0 && at->place == now.place &&
            all_hold(choice, &now, at->conditions)) {
            type = at->type;
            break;
        }
    }
    if (now.place == AT_VALUES && (bit & weir_mixture_low) == 0 && is_70b(choice->facts) &&
        (type == WEIR_TYPE_Q3_K || type == WEIR_TYPE_Q4_K))
        type = WEIR_TYPE_Q5_K;
    return type;
}

/* ---- the list -------------------------------------------------------------------------------- */

struct ranked {
    struct weir_recast_tensor *tensor;
    int64_t layer;
};

static int compare(const void *left, const void *right)
{
    const struct ranked *one = left;
    const struct ranked *other = right;
    if (one->layer != other->layer)
        return one->layer < other->layer ? -1 : 1;
    return strcmp(one->tensor->name, other->tensor->name);
}

/* This family's parts that are worth 8 bits at least, whatever the mixture. */
static enum weir_type raise_type(const struct weir_mixture_facts *facts, const char *name,
                                 enum weir_type type)
{
    const bool is_raised =
        strcmp(facts->family, "glm5-next") == 0 && !facts->is_pure &&
        weir_quant_info(type)->block_len > 1 &&
        (has(name, "attn_q_a") || has(name, "attn_q_b") || has(name, "nextn.eh_proj"));
    return is_raised ? WEIR_TYPE_Q8_0 : type;
}

bool weir_mixture_may_change(const struct weir_recast_tensor *tensor,
                             const struct weir_mixture_facts *facts)
{
    return may_change(tensor, facts->family);
}

enum weir_status weir_mixture_apply(const struct weir_mixture *mixture,
                                    const struct weir_mixture_facts *facts,
                                    weir_mixture_own_fn *own, void *user,
                                    struct weir_recast_list *list, struct weir_err *err)
{
    struct choice choice = {.mixture = mixture, .facts = facts, .is_tied = true};
    struct ranked *ranked = weir_heap_array(list->count, sizeof(*ranked)); /* keeps I1 */
    if (ranked == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory to sort %u tensors", list->count);
    for (uint32_t index = 0; index < list->count; index++) {
        struct weir_recast_tensor *tensor = &list->tensors[index];
        ranked[index] = (struct ranked){tensor, layer_of(tensor->name)};
        choice.value_count += place_of(tensor->name, false) == AT_VALUES;
        choice.is_tied = choice.is_tied && strcmp(tensor->name, "output.weight") != 0;
    }
    qsort(ranked, list->count, sizeof(*ranked), compare);
    for (uint32_t index = 0; index < list->count; index++) {
        struct weir_recast_tensor *tensor = ranked[index].tensor;
        enum weir_type type;
        if (!may_change(tensor, facts->family))
            continue;
        if (own == NULL || !own(user, tensor, &type))
            type = raise_type(facts, tensor->name, choose(&choice, tensor));
        weir_mixture_set(tensor, type);
    }
    weir_heap_free(ranked);
    return WEIR_OK;
}

bool weir_mixture_needs_weights(const struct weir_mixture *mixture,
                                const struct weir_recast_tensor *tensor)
{
    if (is_embedding(tensor->name) || strcmp(tensor->name, "output.weight") == 0)
        return false;
    switch (tensor->type) {
    case WEIR_TYPE_IQ3_XXS:
    case WEIR_TYPE_IQ2_XXS:
    case WEIR_TYPE_IQ2_XS:
    case WEIR_TYPE_IQ2_S:
    case WEIR_TYPE_IQ1_M:
    case WEIR_TYPE_IQ1_S:
        return true;
    case WEIR_TYPE_Q2_K:
        return mixture == &weir_mixture_table[MIX_Q2_K_S];
    default:
        return false;
    }
}
