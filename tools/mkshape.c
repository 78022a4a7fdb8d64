/* mkshape.c - writes a model of random weights of a shape that a text file describes. */
#include <getopt.h>
#include <strings.h>

#define PROGRAM "mkshape"
#include "random_model.h"

static const char help_text[] =
    "usage: mkshape [options] SHAPE -o FILE\n"
    "\n"
    "Writes a GGUF file with random weights of the shape in the text file SHAPE: real widths, "
    "types\n"
    "and routing, no sense in its words. The same options give the same bytes.\n"
    "\n"
    "  --layers N         instead of the shape's own number\n"
    "  --type NAME        of matrices, such as Q4_0 or F16, or Q4_K_M: Q4_K with Q6_K where\n"
    "                     quantizers usually spend more bits (Q4_K_M)\n"
    "  --trunk-type NAME  of the matrices that are not experts (default: as --type)\n"
    "  --seed N           another model of the same shape (1)\n"
    "  -o FILE            written beside it first, then renamed\n"
    "\n"
    "A line of SHAPE is one of\n"
    "  arch NAME\n"
    "  layers N\n"
    "  vocab N PRE                   tokens, and the name of the pre-tokenizer\n"
    "  u32|f32|bool KEY NUMBER       key of the architecture; block_count is written by itself\n"
    "  i32s KEY NUMBER ...           the same, an array\n"
    "  tensor WHICH NAME TYPE COLS [ROWS [STACK]] [around MEAN SPREAD]\n"
    "where # begins a comment, and\n"
    "  WHICH  model; all (layers); 3/4: layers whose number is 3 modulo 4; !3/4: the others; 0-2\n"
    "  TYPE   a type's name; trunk, expert: as the options say; trunk+, expert+: more bits in "
    "some\n"
    "         layers of a mix; output: more bits in a mix; norm: F32 around 1\n"
    "\n"
    "  mkshape tools/shapes/qwen3.6-35b-a3b.shape --layers 8 -o eight.gguf\n";

enum { LINE_BYTES = 256, WORD_MAX = 16 };

struct shape {
    const char *path, *out;
    char family[32], pre[32];
    uint32_t n_layer, n_vocab, line;
    enum weir_type type, trunk_type;
    bool is_mixed, has_trunk_type, has_layer_option;
    uint64_t seed;
};

static _Noreturn void refuse_line(const struct shape *shape, const char *what, const char *word)
{
    char sentence[160];
    snprintf(sentence, sizeof(sentence), "line %u: %s, found %.60s", shape->line, what, word);
    give_up(shape->path, sentence);
}

static double parse_number(const struct shape *shape, const char *word)
{
    char *end = NULL;
    const double value = strtod(word, &end);
    if (end == word || *end != '\0' || !isfinite(value))
        refuse_line(shape, "wanted a number", word);
    return value;
}

static uint32_t parse_count(const struct shape *shape, const char *word)
{
    const double value = parse_number(shape, word);
    if (value < 1 || value > (double)(1 << 24) || value != floor(value))
        refuse_line(shape, "wanted a whole number from 1 to 16777216", word);
    return (uint32_t)value;
}

static enum weir_type parse_type(const char *name)
{
    enum weir_type type;
    char sentence[80];
    if (weir_quant_from_name(name, &type))
        return type;
    snprintf(sentence, sizeof(sentence), "no type is called %.40s", name);
    give_up(NULL, sentence);
}

/* ---- tensors --------------------------------------------------------------------------------- */

/* Whether a layer is one of those that the word names. */
static bool is_meant(const struct shape *shape, const char *which, uint32_t layer)
{
    unsigned first = 0;
    unsigned second = 0;
    char rest;
    const char *word = which + (*which == '!');
    if (strcmp(which, "all") == 0)
        return true;
    if (sscanf(word, "%u/%u%c", &first, &second, &rest) == 2 && second > 0)
        return (layer % second == first) == (*which != '!');
    if (sscanf(word, "%u-%u%c", &first, &second, &rest) == 2)
        return (layer >= first && layer <= second) == (*which != '!');
    refuse_line(shape, "wanted all, 3/4, !3/4 or 0-2", which);
}

static enum weir_type type_of(const struct shape *shape, const char *word, uint32_t layer)
{
    const size_t length = strlen(word);
    const bool is_more = word[length - 1] == '+';
    const enum weir_type mixed = WEIR_TYPE_Q6_K;
    if (strcmp(word, "norm") == 0)
        return WEIR_TYPE_F32;
    if (strcmp(word, "output") == 0)
        return shape->is_mixed ? mixed : shape->trunk_type;
    if (is_more && shape->is_mixed && gets_more_bits(shape->n_layer, layer))
        return mixed;
    if (strncmp(word, "trunk", length - is_more) == 0)
        return shape->trunk_type;
    if (strncmp(word, "expert", length - is_more) == 0)
        return shape->type;
    return parse_type(word);
}

/* words: NAME TYPE COLS [ROWS [STACK]] [around MEAN SPREAD] */
static void add_tensor(const struct shape *shape, char **words, int count, const char *name,
                       uint32_t layer)
{
    double dims[3] = {1, 1, 0};
    int at = 2;
    for (; at < count && at < 5 && strcmp(words[at], "around") != 0; at++)
        dims[at - 2] = parse_count(shape, words[at]);
    struct tensor *tensor =
        add(name, type_of(shape, words[1], layer), (uint64_t)dims[0], (uint64_t)dims[1]);
    tensor->stack = (uint64_t)dims[2];
    if (strcmp(words[1], "norm") == 0) {
        tensor->mean = 1.0f;
        tensor->scale = 0.1f;
    }
    if (at == count)
        return;
    if (at + 3 != count || strcmp(words[at], "around") != 0)
        refuse_line(shape, "wanted around MEAN SPREAD", words[at]);
    tensor->mean = (float)parse_number(shape, words[at + 1]);
    tensor->scale = (float)parse_number(shape, words[at + 2]);
}

/* words: tensor WHICH NAME TYPE COLS ... */
static void add_line(const struct shape *shape, char **words, int count)
{
    if (count < 5)
        refuse_line(shape, "wanted tensor WHICH NAME TYPE COLS", words[count - 1]);
    if (strcmp(words[1], "model") == 0) {
        add_tensor(shape, words + 2, count - 2, words[2], 0);
        return;
    }
    for (uint32_t layer = 0; layer < shape->n_layer; layer++) {
        char name[NAME_MAX_BYTES];
        snprintf(name, sizeof(name), "blk.%u.%s", layer, words[2]);
        if (is_meant(shape, words[1], layer))
            add_tensor(shape, words + 2, count - 2, name, layer);
    }
}

/* ---- lines ----------------------------------------------------------------------------------- */

typedef void line_fn(struct shape *shape, char **words, int count, FILE *to);

/* Calls fn for each line that has words. */
static void read_lines(struct shape *shape, line_fn *fn, FILE *to)
{
    char line[LINE_BYTES];
    FILE *file = fopen(shape->path, "r");
    if (file == NULL)
        give_up(shape->path, strerror(errno));
    for (shape->line = 1; fgets(line, sizeof(line), file) != NULL; shape->line++) {
        char *words[WORD_MAX];
        char *next = NULL;
        int count = 0;
        line[strcspn(line, "#")] = '\0';
        for (char *word = strtok_r(line, " \t\r\n", &next); word != NULL && count < WORD_MAX;
             word = strtok_r(NULL, " \t\r\n", &next))
            words[count++] = word;
        if (count == 1)
            refuse_line(shape, "wanted at least two words", words[0]);
        if (count > 1)
            fn(shape, words, count, to);
    }
    fclose(file);
}

static void take_line(struct shape *shape, char **words, int count, FILE *to)
{
    (void)to;
    if (strcmp(words[0], "arch") == 0)
        snprintf(shape->family, sizeof(shape->family), "%s", words[1]);
    else if (strcmp(words[0], "layers") == 0 && !shape->has_layer_option)
        shape->n_layer = parse_count(shape, words[1]);
    else if (strcmp(words[0], "vocab") == 0 && count == 3) {
        shape->n_vocab = parse_count(shape, words[1]);
        snprintf(shape->pre, sizeof(shape->pre), "%s", words[2]);
    } else if (strcmp(words[0], "tensor") == 0)
        add_line(shape, words, count);
}

static void put_line(struct shape *shape, char **words, int count, FILE *to)
{
    char name[NAME_MAX_BYTES];
    snprintf(name, sizeof(name), "%s.%s", shape->family, words[1]);
    if (strcmp(words[0], "u32") == 0 && count == 3) {
        put_key(to, name, GGUF_U32);
        put_u32(to, (uint32_t)parse_number(shape, words[2]));
    } else if (strcmp(words[0], "f32") == 0 && count == 3) {
        const float value = (float)parse_number(shape, words[2]);
        put_key(to, name, GGUF_F32);
        put(to, &value, sizeof(value));
    } else if (strcmp(words[0], "bool") == 0 && count == 3) {
        const uint8_t value = parse_number(shape, words[2]) != 0.0;
        put_key(to, name, GGUF_BOOL);
        put(to, &value, 1);
    } else if (strcmp(words[0], "i32s") == 0) {
        put_key(to, name, GGUF_ARRAY);
        put_u32(to, GGUF_I32);
        put_u64(to, (uint64_t)(count - 2));
        for (int at = 2; at < count; at++)
            put_u32(to, (uint32_t)parse_number(shape, words[at]));
    } else if (strcmp(words[0], "arch") != 0 && strcmp(words[0], "layers") != 0 &&
               strcmp(words[0], "vocab") != 0 && strcmp(words[0], "tensor") != 0)
        refuse_line(shape, "wanted a line as --help has them", words[0]);
}

static void put_keys(FILE *file, const void *user)
{
    struct shape shape = *(const struct shape *)user;
    char name[NAME_MAX_BYTES];
    put_key_text(file, "general.architecture", shape.family);
    put_key_text(file, "general.name", "random weights by mkshape");
    snprintf(name, sizeof(name), "%s.block_count", shape.family);
    put_key(file, name, GGUF_U32);
    put_u32(file, shape.n_layer);
    read_lines(&shape, put_line, file);
    put_vocabulary(file, shape.n_vocab, shape.pre);
}

static void take_option(struct shape *shape, int option)
{
    switch (option) {
    case 'l':
        shape->n_layer = parse_count(shape, optarg);
        shape->has_layer_option = true;
        break;
    case 't':
        shape->is_mixed = strcasecmp(optarg, "Q4_K_M") == 0;
        shape->type = shape->is_mixed ? WEIR_TYPE_Q4_K : parse_type(optarg);
        break;
    case 'T':
        shape->trunk_type = parse_type(optarg);
        shape->has_trunk_type = true;
        break;
    case 's':
        shape->seed = parse_count(shape, optarg);
        break;
    case 'o':
        shape->out = optarg;
        break;
    case 'h':
        fputs(help_text, stdout);
        exit(0);
    default:
        fputs("mkshape --help says what there is\n", stderr);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"layers", required_argument, NULL, 'l'},
                                            {"type", required_argument, NULL, 't'},
                                            {"trunk-type", required_argument, NULL, 'T'},
                                            {"seed", required_argument, NULL, 's'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    struct shape shape = {.path = "options", .type = WEIR_TYPE_Q4_K, .is_mixed = true, .seed = 1};
    int option;
    while ((option = getopt_long(argc, argv, "o:", options, NULL)) != -1)
        take_option(&shape, option);
    if (optind + 1 != argc || shape.out == NULL)
        give_up(NULL, "wanted SHAPE -o FILE");
    shape.path = argv[optind];
    if (!shape.has_trunk_type)
        shape.trunk_type = shape.type;
    read_lines(&shape, take_line, NULL);
    if (shape.family[0] == '\0' || shape.n_layer == 0 || shape.n_vocab < 258)
        give_up(shape.path, "wanted lines arch, layers and vocab (258 tokens at least)");
    write_model(shape.out, &shape, shape.seed);
    return 0;
}
