/* families.c - the table of docs/FAMILIES.md, from the rows of src/model/family.c.
 *
 * tests/integration/families.sh compares the two. */
#include <stdio.h>
#include <string.h>

#include "formats/hf.h"
#include "model/model.h"

static const struct word {
    weir_parts part;
    const char *text;
} words[] = {
    {WEIR_PART_DENSE, "dense network"},
    {WEIR_PART_EXPERTS, "experts"},
    {WEIR_PART_SHARED, "shared expert"},
    {WEIR_PART_SHARED_GATE, "with a gate"},
    {WEIR_PART_SELECTION_BIAS, "selection bias"},
    {WEIR_PART_HEAD_NORM, "norm of each q and k head"},
    {WEIR_PART_WIDE_NORM, "norm of all q and k heads"},
    {WEIR_PART_QKV_BIAS, "q k v biases"},
    {WEIR_PART_INTERLEAVED, "neighbouring rope pairs"},
    {WEIR_PART_LATE_NORM, NULL}, /* a name, and nothing that is computed */
    {WEIR_PART_UNTIED, "own output matrix"},
    {WEIR_PART_POST_NORM, "norms after mixers and networks"},
    {WEIR_PART_SINKS, "sinks"},
    {WEIR_PART_HEAD_GATE, "a gate on each head"},
    {WEIR_PART_VALUE_GATE, "a gate on each attended value"},
    {WEIR_PART_LATENT, "latent attention"},
    {WEIR_PART_PARALLEL, "networks beside mixers"},
    {WEIR_PART_KEYS_AS_VALUES, "values that may be the keys"},
    {WEIR_PART_FULL_BIAS, "biases of output, router and experts"},
    {WEIR_PART_BESIDE, "a dense network beside experts"},
    {WEIR_PART_FUSED_UP, NULL}, /* the same */
    {WEIR_PART_LENT_KEYS, "keys and values of an earlier layer"},
    {WEIR_PART_LAYER_INPUT, "an input of each layer from the token"},
    {WEIR_PART_GUESSES, "blocks that guess (not run)"},
};

static const char *const gatings[] = {
    [WEIR_GATING_SOFTMAX] = "softmax",
    [WEIR_GATING_SIGMOID] = "sigmoid",
    [WEIR_GATING_SOFTMAX_OF_CHOSEN] = "softmax of the chosen",
    [WEIR_GATING_SQRT_SOFTPLUS] = "sqrt(softplus)",
    [WEIR_GATING_SIGMOID_OF_CHOSEN] = "sigmoid of the chosen",
};

/* False when a part has no word here. */
static bool print_parts(weir_parts parts)
{
    const char *between = "";
    for (size_t row = 0; row < WEIR_COUNT(words); row++) {
        if ((parts & words[row].part) == 0)
            continue;
        parts &= ~words[row].part;
        if (words[row].text == NULL)
            continue;
        printf("%s%s", between, words[row].text);
        between = ", ";
    }
    return parts == 0;
}

/* What tensors do not show. */
static void print_attention(const struct weir_family_attention *attention)
{
    static const char *const ropes[] = {
        [WEIR_ROPE_EVERYWHERE] = "",
        [WEIR_ROPE_IN_WINDOWS] = ", rope there alone",
        [WEIR_ROPE_IN_WINDOWS_AND_LEAD] = ", rope there and in leading layers alone",
        [WEIR_ROPE_NOT_EVERY_FOURTH] = ", no rope in every fourth layer",
    };
    if (attention->has_windows)
        printf(", windows%s", attention->is_in_chunks ? " in chunks" : "");
    printf("%s", ropes[attention->rope_layers]);
    if (attention->window_rope_is_plain || attention->window_rope_base != 0.0f)
        printf(", two ropes");
    if (attention->temperature.scale != 0.0f)
        printf(", temperature");
    if (attention->norms_bare || attention->norms_values)
        printf(", norms without weights");
}

/* What the config.json of its Hugging Face directories calls it. */
static void print_types(const struct weir_family *family)
{
    const char *between = "";
    for (size_t row = 0; weir_hf_family_at(row) != NULL; row++) {
        if (strcmp(weir_hf_family_at(row)->architecture, family->name) != 0)
            continue;
        printf("%s`%s`", between, weir_hf_family_at(row)->model_type);
        between = ", ";
    }
}

int main(void)
{
    printf("| family | models | directories | layers have | may have | gating |\n"
           "| --- | --- | --- | --- | --- | --- |\n");
    for (size_t row = 0; weir_family_at(row) != NULL; row++) {
        const struct weir_family *family = weir_family_at(row);
        const bool has_experts = ((family->parts | family->may) & WEIR_PART_EXPERTS) != 0;
        printf("| `%s` | %s | ", family->name, family->models);
        print_types(family);
        printf(" | ");
        bool is_complete = print_parts(family->parts);
        print_attention(&family->attention);
        printf("%s", family->delta == WEIR_DELTA_NONE ? "" : ", gated delta nets");
        printf(" | ");
        is_complete &= print_parts(family->may);
        printf(" | %s%s |\n", has_experts ? gatings[family->gating] : "",
               has_experts && family->renormalizes ? ", made to sum 1" : "");
        if (!is_complete) {
            fprintf(stderr, "families: a part of %s has no word in tools/families.c\n",
                    family->name);
            return 1;
        }
    }
    return 0;
}
