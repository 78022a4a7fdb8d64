/* mkmodel.c - writes a model of random weights, of any family, shape and type, as a stock GGUF. */
#include <getopt.h>
#include <strings.h>

#define PROGRAM "mkmodel"
#include "random_model.h"

static const char help_text[] =
    "usage: mkmodel [--preset NAME] [options] -o FILE\n"
    "\n"
    "Writes a GGUF file with random weights: real shapes, types and routing, no sense in its "
    "words.\n"
    "The same options give the same bytes.\n"
    "\n"
    "  --preset NAME      tiny, olmoe or qwen3-30b; options after it change it\n"
    "  --family NAME      llama, olmoe, qwen2moe, qwen3 or qwen3moe\n"
    "  --layers N  --d-model N  --heads N  --kv-heads N  --d-head N  --vocab N  --ctx N\n"
    "  --d-ffn N          width of a dense layer\n"
    "  --experts N  --experts-used N  --d-ffn-expert N  --d-ffn-shared N\n"
    "  --type NAME        of the matrices: F32 F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 IQ4_NL\n"
    "                     MXFP4 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_XS IQ1_S IQ1_M IQ2_XXS IQ2_XS\n"
    "                     IQ2_S IQ3_XXS IQ3_S TQ1_0 TQ2_0 NVFP4 Q1_0 Q2_0, or Q4_K_M:\n"
    "                     Q4_K with Q6_K where quantizers usually spend more bits\n"
    "  --trunk-type NAME  of the matrices that are not experts (default: as --type)\n"
    "  --tied             the output matrix is the embedding\n"
    "  --seed N           another model of the same shape (1)\n"
    "  -o FILE            written beside it first, then renamed\n"
    "\n"
    "  mkmodel --preset olmoe --type Q4_0 -o olmoe.gguf\n"
    "  mkmodel --preset tiny --family qwen2moe --d-ffn-shared 256 --type Q6_K -o tiny.gguf\n";

struct recipe {
    const char *family;
    uint32_t n_layer, d_model, n_head, n_kv_head, d_head, n_vocab, n_ctx, d_ffn;
    uint32_t n_expert, n_expert_used, d_ffn_expert, d_ffn_shared;
    enum weir_type type, trunk_type;
    bool has_trunk_type, is_mixed, is_tied;
    uint64_t seed;
    const char *path;
};

static const struct preset {
    const char *name;
    struct recipe recipe;
} presets[] = {
    {"tiny",
     {.family = "qwen3moe",
      .n_layer = 3,
      .d_model = 256,
      .n_head = 4,
      .n_kv_head = 2,
      .d_head = 64,
      .n_vocab = 1024,
      .n_ctx = 1024,
      .d_ffn = 512,
      .n_expert = 16,
      .n_expert_used = 4,
      .d_ffn_expert = 256,
      .d_ffn_shared = 256,
      .type = WEIR_TYPE_Q4_0}},
    {"olmoe",
     {.family = "olmoe",
      .n_layer = 16,
      .d_model = 2048,
      .n_head = 16,
      .n_kv_head = 16,
      .d_head = 128,
      .n_vocab = 50304,
      .n_ctx = 4096,
      .d_ffn = 1024,
      .n_expert = 64,
      .n_expert_used = 8,
      .d_ffn_expert = 1024,
      .type = WEIR_TYPE_Q4_0}},
    {"qwen3-30b",
     {.family = "qwen3moe",
      .n_layer = 48,
      .d_model = 2048,
      .n_head = 32,
      .n_kv_head = 4,
      .d_head = 128,
      .n_vocab = 151936,
      .n_ctx = 40960,
      .d_ffn = 6144,
      .n_expert = 128,
      .n_expert_used = 8,
      .d_ffn_expert = 768,
      .type = WEIR_TYPE_Q4_K,
      .is_mixed = true}},
};

/* ---- which tensors --------------------------------------------------------------------------- */

static struct tensor *add_to_layer(uint32_t layer, const char *name, enum weir_type type,
                                   uint64_t cols, uint64_t rows)
{
    char full[NAME_MAX_BYTES];
    snprintf(full, sizeof(full), "blk.%u.%s", layer, name);
    return add(full, type, cols, rows);
}

static void make_norm(struct tensor *tensor)
{
    tensor->mean = 1.0f;
    tensor->scale = 0.1f;
}

static void add_vector(uint32_t layer, const char *name, uint64_t cols)
{
    make_norm(add_to_layer(layer, name, WEIR_TYPE_F32, cols, 1));
}

static void add_attention(const struct recipe *recipe, uint32_t layer)
{
    const bool is_olmoe = strcmp(recipe->family, "olmoe") == 0;
    const bool is_qwen3 = strncmp(recipe->family, "qwen3", 5) == 0;
    const uint64_t d_q = (uint64_t)recipe->n_head * recipe->d_head;
    const uint64_t d_kv = (uint64_t)recipe->n_kv_head * recipe->d_head;
    const enum weir_type type = recipe->trunk_type;
    const enum weir_type value_type =
        recipe->is_mixed && gets_more_bits(recipe->n_layer, layer) ? WEIR_TYPE_Q6_K : type;
    add_vector(layer, "attn_norm.weight", recipe->d_model);
    add_to_layer(layer, "attn_q.weight", type, recipe->d_model, d_q);
    add_to_layer(layer, "attn_k.weight", type, recipe->d_model, d_kv);
    add_to_layer(layer, "attn_v.weight", value_type, recipe->d_model, d_kv);
    add_to_layer(layer, "attn_output.weight", type, d_q, recipe->d_model);
    if (strcmp(recipe->family, "qwen2moe") == 0) {
        add_to_layer(layer, "attn_q.bias", WEIR_TYPE_F32, d_q, 1);
        add_to_layer(layer, "attn_k.bias", WEIR_TYPE_F32, d_kv, 1);
        add_to_layer(layer, "attn_v.bias", WEIR_TYPE_F32, d_kv, 1);
    }
    if (is_olmoe || is_qwen3) {
        add_vector(layer, "attn_q_norm.weight", is_olmoe ? d_q : recipe->d_head);
        add_vector(layer, "attn_k_norm.weight", is_olmoe ? d_kv : recipe->d_head);
    }
}

static void add_stack(const struct recipe *recipe, uint32_t layer, const char *name,
                      enum weir_type type, uint64_t cols, uint64_t rows)
{
    add_to_layer(layer, name, type, cols, rows)->stack = recipe->n_expert;
}

static void add_ffn(const struct recipe *recipe, uint32_t layer)
{
    const uint64_t d_model = recipe->d_model;
    const bool more = recipe->is_mixed && gets_more_bits(recipe->n_layer, layer);
    const enum weir_type trunk = recipe->trunk_type;
    add_vector(layer, "ffn_norm.weight", d_model);
    if (recipe->n_expert == 0) {
        add_to_layer(layer, "ffn_gate.weight", trunk, d_model, recipe->d_ffn);
        add_to_layer(layer, "ffn_up.weight", trunk, d_model, recipe->d_ffn);
        add_to_layer(layer, "ffn_down.weight", more ? WEIR_TYPE_Q6_K : trunk, recipe->d_ffn,
                     d_model);
        return;
    }
    /* Wide enough that a token prefers some experts clearly, as trained routers do. */
    add_to_layer(layer, "ffn_gate_inp.weight", WEIR_TYPE_F32, d_model, recipe->n_expert)->scale *=
        2.0f;
    add_stack(recipe, layer, "ffn_gate_exps.weight", recipe->type, d_model, recipe->d_ffn_expert);
    add_stack(recipe, layer, "ffn_up_exps.weight", recipe->type, d_model, recipe->d_ffn_expert);
    add_stack(recipe, layer, "ffn_down_exps.weight", more ? WEIR_TYPE_Q6_K : recipe->type,
              recipe->d_ffn_expert, d_model);
    if (strcmp(recipe->family, "qwen2moe") == 0) {
        add_to_layer(layer, "ffn_gate_inp_shexp.weight", WEIR_TYPE_F32, d_model, 1);
        add_to_layer(layer, "ffn_gate_shexp.weight", trunk, d_model, recipe->d_ffn_shared);
        add_to_layer(layer, "ffn_up_shexp.weight", trunk, d_model, recipe->d_ffn_shared);
        add_to_layer(layer, "ffn_down_shexp.weight", trunk, recipe->d_ffn_shared, d_model);
    }
}

static void add_tensors(const struct recipe *recipe)
{
    const enum weir_type output_type = recipe->is_mixed ? WEIR_TYPE_Q6_K : recipe->trunk_type;
    add("token_embd.weight", recipe->trunk_type, recipe->d_model, recipe->n_vocab)->scale = 1.0f;
    for (uint32_t layer = 0; layer < recipe->n_layer; layer++) {
        add_attention(recipe, layer);
        add_ffn(recipe, layer);
    }
    make_norm(add("output_norm.weight", WEIR_TYPE_F32, recipe->d_model, 1));
    if (!recipe->is_tied)
        add("output.weight", output_type, recipe->d_model, recipe->n_vocab);
}

/* ---- writing --------------------------------------------------------------------------------- */

static void put_shape(FILE *file, const struct recipe *recipe, const char *suffix, uint32_t value)
{
    char name[NAME_MAX_BYTES];
    snprintf(name, sizeof(name), "%s.%s", recipe->family, suffix);
    put_key(file, name, GGUF_U32);
    put_u32(file, value);
}

static void put_real(FILE *file, const struct recipe *recipe, const char *suffix, float value)
{
    char name[NAME_MAX_BYTES];
    snprintf(name, sizeof(name), "%s.%s", recipe->family, suffix);
    put_key(file, name, GGUF_F32);
    put(file, &value, sizeof(value));
}

static void put_keys(FILE *file, const void *user)
{
    const struct recipe *recipe = user;
    const bool has_experts = recipe->n_expert > 0;
    put_key_text(file, "general.architecture", recipe->family);
    put_key_text(file, "general.name", "random weights by mkmodel");
    put_shape(file, recipe, "block_count", recipe->n_layer);
    put_shape(file, recipe, "context_length", recipe->n_ctx);
    put_shape(file, recipe, "embedding_length", recipe->d_model);
    put_shape(file, recipe, "feed_forward_length",
              strcmp(recipe->family, "olmoe") == 0 ? recipe->d_ffn_expert : recipe->d_ffn);
    put_shape(file, recipe, "attention.head_count", recipe->n_head);
    put_shape(file, recipe, "attention.head_count_kv", recipe->n_kv_head);
    put_shape(file, recipe, "attention.key_length", recipe->d_head);
    put_shape(file, recipe, "attention.value_length", recipe->d_head);
    put_shape(file, recipe, "rope.dimension_count", recipe->d_head);
    put_shape(file, recipe, "vocab_size", recipe->n_vocab);
    put_real(file, recipe, "attention.layer_norm_rms_epsilon", 1e-6f);
    put_real(file, recipe, "rope.freq_base", 10000.0f);
    if (has_experts) {
        put_shape(file, recipe, "expert_count", recipe->n_expert);
        put_shape(file, recipe, "expert_used_count", recipe->n_expert_used);
        put_shape(file, recipe, "expert_feed_forward_length", recipe->d_ffn_expert);
    }
    if (strcmp(recipe->family, "qwen2moe") == 0)
        put_shape(file, recipe, "expert_shared_feed_forward_length", recipe->d_ffn_shared);
    put_vocabulary(file, recipe->n_vocab,
                   strcmp(recipe->family, "olmoe") == 0   ? "olmo"
                   : strcmp(recipe->family, "llama") == 0 ? "llama-bpe"
                                                          : "qwen2");
}

/* ---- options --------------------------------------------------------------------------------- */

enum option_id {
    OPTION_PRESET = 256,
    OPTION_FAMILY,
    OPTION_TYPE,
    OPTION_TRUNK_TYPE,
    OPTION_TIED,
    OPTION_SEED,
    OPTION_HELP,
    OPTION_NUMBER, /* and upwards: one for each field below */
};

static const struct number {
    const char *name;
    size_t place;
} numbers[] = {
    {"layers", offsetof(struct recipe, n_layer)},
    {"d-model", offsetof(struct recipe, d_model)},
    {"heads", offsetof(struct recipe, n_head)},
    {"kv-heads", offsetof(struct recipe, n_kv_head)},
    {"d-head", offsetof(struct recipe, d_head)},
    {"vocab", offsetof(struct recipe, n_vocab)},
    {"ctx", offsetof(struct recipe, n_ctx)},
    {"d-ffn", offsetof(struct recipe, d_ffn)},
    {"experts", offsetof(struct recipe, n_expert)},
    {"experts-used", offsetof(struct recipe, n_expert_used)},
    {"d-ffn-expert", offsetof(struct recipe, d_ffn_expert)},
    {"d-ffn-shared", offsetof(struct recipe, d_ffn_shared)},
};

static uint64_t parse_number(const char *name, const char *text, uint64_t most)
{
    char *end = NULL;
    char sentence[128];
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    if (errno == 0 && *text >= '0' && *text <= '9' && *end == '\0' && value <= most)
        return value;
    snprintf(sentence, sizeof(sentence), "--%s: wanted 0 to %llu, found %.40s", name,
             (unsigned long long)most, text);
    give_up(NULL, sentence);
}

static enum weir_type parse_type(const char *name)
{
    enum weir_type type;
    char sentence[80];
    if (weir_quant_from_name(name, &type))
        return type;
    snprintf(sentence, sizeof(sentence), "no type is called %.40s (see --help)", name);
    give_up(NULL, sentence);
}

static void take_preset(struct recipe *recipe, const char *name)
{
    char sentence[80];
    for (size_t index = 0; index < WEIR_COUNT(presets); index++)
        if (strcmp(presets[index].name, name) == 0) {
            *recipe = presets[index].recipe;
            recipe->seed = 1;
            return;
        }
    snprintf(sentence, sizeof(sentence), "no preset is called %.40s (see --help)", name);
    give_up(NULL, sentence);
}

static void take_option(struct recipe *recipe, int option)
{
    if (option >= OPTION_NUMBER) {
        const struct number *number = &numbers[option - OPTION_NUMBER];
        const uint32_t value = (uint32_t)parse_number(number->name, optarg, 1 << 24);
        memcpy((char *)recipe + number->place, &value, sizeof(value));
        return;
    }
    switch (option) {
    case OPTION_PRESET:
        take_preset(recipe, optarg);
        break;
    case OPTION_FAMILY:
        recipe->family = optarg;
        break;
    case OPTION_TYPE:
        recipe->is_mixed = strcasecmp(optarg, "Q4_K_M") == 0;
        recipe->type = recipe->is_mixed ? WEIR_TYPE_Q4_K : parse_type(optarg);
        break;
    case OPTION_TRUNK_TYPE:
        recipe->trunk_type = parse_type(optarg);
        recipe->has_trunk_type = true;
        break;
    case OPTION_TIED:
        recipe->is_tied = true;
        break;
    case OPTION_SEED:
        recipe->seed = parse_number("seed", optarg, UINT32_MAX);
        break;
    case OPTION_HELP:
        fputs(help_text, stdout);
        exit(0);
    case 'o':
        recipe->path = optarg;
        break;
    default:
        fputs("mkmodel --help says what there is\n", stderr);
        exit(2);
    }
}

static void check_recipe(struct recipe *recipe)
{
    static const char *const families[] = {"llama", "olmoe", "qwen2moe", "qwen3", "qwen3moe"};
    bool is_known = false;
    for (size_t index = 0; index < WEIR_COUNT(families); index++)
        is_known = is_known || strcmp(families[index], recipe->family) == 0;
    if (!is_known)
        give_up(NULL, "--family: wanted llama, olmoe, qwen2moe, qwen3 or qwen3moe");
    if (strcmp(recipe->family, "llama") == 0 || strcmp(recipe->family, "qwen3") == 0)
        recipe->n_expert = 0;
    else if (recipe->n_expert == 0)
        give_up(NULL, "--experts: this family wants at least one");
    if (recipe->n_vocab < 258 || recipe->n_vocab > 400000)
        give_up(NULL, "--vocab: wanted 258 to 400000");
    if (recipe->n_layer * 24 > TENSOR_MAX || recipe->n_layer == 0)
        give_up(NULL, "--layers: wanted 1 to 680");
    if (recipe->path == NULL)
        give_up(NULL, "-o FILE is missing");
    if (!recipe->has_trunk_type)
        recipe->trunk_type = recipe->type;
}

int main(int argc, char **argv)
{
    struct recipe recipe;
    struct option options[WEIR_COUNT(numbers) + 8] = {
        {"preset", required_argument, NULL, OPTION_PRESET},
        {"family", required_argument, NULL, OPTION_FAMILY},
        {"type", required_argument, NULL, OPTION_TYPE},
        {"trunk-type", required_argument, NULL, OPTION_TRUNK_TYPE},
        {"tied", no_argument, NULL, OPTION_TIED},
        {"seed", required_argument, NULL, OPTION_SEED},
        {"help", no_argument, NULL, OPTION_HELP},
    };
    int option;
    for (size_t index = 0; index < WEIR_COUNT(numbers); index++)
        options[7 + index] = (struct option){numbers[index].name, required_argument, NULL,
                                             OPTION_NUMBER + (int)index};
    take_preset(&recipe, "tiny");
    while ((option = getopt_long(argc, argv, "o:", options, NULL)) != -1)
        take_option(&recipe, option);
    if (optind < argc)
        give_up(argv[optind], "not an option");
    check_recipe(&recipe);
    add_tensors(&recipe);
    write_model(recipe.path, &recipe, recipe.seed);
    return 0;
}
