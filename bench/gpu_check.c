/* gpu_check.c - every operation of a real device beside the simulated one, with the same operands.
 *
 * A check puts operands on a device, calls its operation and keeps what it left. It is run on both
 * devices, and once more with fewer rows: their bits must be the same, and so must those of a
 * second run. */
#include "gpu_check_joint.h"
#include "gpu_check_rows.h"
#include "gpu_check_states.h"

static const char help[] =
    "usage: gpu_check [--time] [--sim] [WORD]...\n"
    "\n"
    "Compares each operation of a CUDA device with the reference kernels, and ends with 1 where "
    "one\n"
    "differs by more than its bound. WORD: only the checks whose names contain one.\n"
    "\n"
    "  --time   how long an operation of a model's size takes, instead\n"
    "  --sim    the simulated device in place of a real one: do the checks themselves hold?\n"
    "\n"
    "  difference  the largest one of a row, over the root of the mean square of the row\n"
    "  bound       1e-3 where both compute the same products: what differs is the order of sums,\n"
    "              and rarely one step of an 8-bit value. 2e-2 for f16 products, whose weights "
    "the\n"
    "              device may round another way: an f16 is off by 2^-11 at most, the sums of\n"
    "              such errors by as much on average, and the worst of thousands by some times "
    "that\n"
    "\n"
    "example: build/release/bench/gpu_check matmul q4_k\n";

/* ---- the table ------------------------------------------------------------------------------ */

enum { CHECK_MAX = 768 };

static struct check checks[CHECK_MAX];
static uint32_t check_count;

static struct check *add_check(const char *name, const char *more,
                               void (*run)(struct stage *stage, const struct check *check,
                                           uint32_t n_row),
                               uint32_t kind)
{
    WEIR_ASSERT(check_count < CHECK_MAX);
    struct check *check = &checks[check_count++];
    *check = (struct check){.run = run, .kind = kind, .n_row = 7, .bound = 1e-3};
    snprintf(check->name, sizeof(check->name), "%s%s%s", name, more[0] == '\0' ? "" : " ", more);
    return check;
}

static void add_products(enum weir_type type, enum weir_gpu_way way)
{
    static const char *const names[] = {"", "all", "zeros", "by assignment"};
    const bool is_prompt = way == WEIR_GPU_PROMPT;
    for (uint32_t kind = PLAIN; kind <= BY_ASSIGNMENT; kind++) {
        char more[48];
        if (kind == WITH_ZEROS && type != WEIR_TYPE_I4)
            continue;
        snprintf(more, sizeof(more), "%s %s%s%s", weir_quant_info(type)->name,
                 is_prompt ? "prompt" : "decode", names[kind][0] == '\0' ? "" : " ", names[kind]);
        for (int both = 0; both < 2; both++) {
            if (kind == (both == 0 ? BY_ASSIGNMENT : WITH_ALL))
                continue;
            struct check *check = add_check(both == 0 ? "matmul" : "experts", more,
                                            both == 0 ? check_matmul : check_experts, kind);
            check->type = type;
            check->way = way;
            check->n_row = is_prompt ? (is_timed ? 512 : 70) : is_timed ? 1 : 6;
            check->bound = is_prompt ? 2e-2 : 1e-3;
        }
    }
}

/* Whether experts get tiles of 64 or of 128 rows goes by how many rows each has. */
static void add_tall_products(enum weir_type type)
{
    static const uint32_t counts[] = {TALL_PROMPT, 350, 700};
    for (size_t index = 0; index < WEIR_COUNT(counts); index++) {
        char more[48];
        snprintf(more, sizeof(more), "%s prompt of %u", weir_quant_info(type)->name, counts[index]);
        struct check *check = add_check(index == 0 ? "matmul" : "experts", more,
                                        index == 0 ? check_matmul : check_experts, PLAIN);
        check->type = type;
        check->way = WEIR_GPU_PROMPT;
        check->n_row = counts[index];
        check->bound = 2e-2;
        check->is_tall = true;
    }
}

static void add_joint_checks(void)
{
    static const struct {
        const char *name;
        uint32_t kind;
    } heads[] = {{"plain", 0},
                 {"normed", 0 | JOINT_NORMED},
                 {"normed interleaved", 4 | JOINT_NORMED | JOINT_INTERLEAVED},
                 {"normed bare", 2 | JOINT_NORMED | JOINT_BARE},
                 {"normed late", 1 | JOINT_NORMED | JOINT_LATE}};
    for (int way = 0; way < 2; way++)
        for (uint32_t kind = 0; kind < WEIR_COUNT(all_joint_types); kind++) {
            char more[48];
            snprintf(more, sizeof(more), "%s %s", all_joint_types[kind].name,
                     way == 0 ? "decode" : "prompt");
            for (int both = 0; both < 2; both++) {
                struct check *check =
                    add_check(both == 0 ? "joint products" : "joint experts", more,
                              both == 0 ? check_joint_products : check_joint_experts, kind);
                check->way = (enum weir_gpu_way)way;
                check->n_row = way == 1 ? (is_timed ? 512 : 70) : is_timed ? 1 : 6;
                check->bound = way == 1 ? 4e-2 : 1e-2;
            }
        }
    for (size_t index = 0; index < WEIR_COUNT(heads); index++)
        add_check("joint heads", heads[index].name, check_joint_heads, heads[index].kind);
}

static void fill_checks(void)
{
    for (int type = 0; type < WEIR_TYPE_COUNT; type++) {
        add_products((enum weir_type)type, WEIR_GPU_DECODE);
        add_products((enum weir_type)type, WEIR_GPU_PROMPT);
        if (!is_timed)
            add_tall_products((enum weir_type)type);
    }
    for (int type = 0; type < WEIR_TYPE_COUNT; type++)
        add_check("embed", weir_quant_info((enum weir_type)type)->name, check_embed, PLAIN)->type =
            (enum weir_type)type;
    add_check("embed", "I4 zeros", check_embed, WITH_ZEROS)->type = WEIR_TYPE_I4;
    static const char *const norms[] = {"", "heads in place", "centered", "no weights"};
    for (uint32_t kind = 0; kind < WEIR_COUNT(norms); kind++)
        add_check("norm", norms[kind], check_norm, kind);
    static const char *const ropes[] = {"", "interleaved", "64 of 128", "64 of 128 interleaved"};
    for (uint32_t kind = 0; kind < WEIR_COUNT(ropes); kind++)
        add_check("rope", ropes[kind], check_rope, kind);
    static const char *const glus[] = {"silu", "silu of less", "less of silu", "oai", "gelu"};
    for (uint32_t kind = 0; kind < WEIR_GLU_COUNT; kind++)
        add_check("glu", glus[kind], check_glu, kind);
    add_check("glu", "silu, input weighed", check_glu, WEIR_GLU_COUNT);
    static const char *const adds[] = {"", "weighed", "weighed by a logit"};
    for (uint32_t kind = 0; kind < WEIR_COUNT(adds); kind++)
        add_check("add", adds[kind], check_add, kind);
    static const char *const gates[] = {"", "by head", "softplus", "softplus by head"};
    for (uint32_t kind = 0; kind < WEIR_COUNT(gates); kind++)
        add_check("gate", gates[kind], check_gate, kind);
    add_check("scale", "", check_scale, 0);
    add_check("scale", "cap", check_scale, 1);
    add_check("scale", "weights", check_scale, 2);
    static const char *const routes[] = {"softmax", "sigmoid", "softmax of chosen", "sqrt softplus",
                                         "sigmoid of chosen"};
    for (uint32_t kind = 0; kind < WEIR_COUNT(routes); kind++)
        add_check("route", routes[kind], check_route, kind);
    add_check("route", "sigmoid bias", check_route, WEIR_GATING_SIGMOID | ROUTE_BIAS);
    add_check("route", "sigmoid bias groups", check_route,
              WEIR_GATING_SIGMOID | ROUTE_BIAS | ROUTE_GROUPS);
    add_check("sum", "", check_sum, 0);
    add_check("sum", "weighed", check_sum, 1);
    add_check("scatter", "", check_scatter, 0)->n_row = 8;
    static const char *const deltas[] = {"", "tiled", "joint gates", "tiled, joint gates", "48"};
    for (int way = 0; way < 2; way++) {
        const char *more = way == 0 ? "decode" : "prompt";
        add_check("conv", more, check_conv, 0)->way = (enum weir_gpu_way)way;
        for (uint32_t kind = 0; kind < WEIR_COUNT(deltas); kind++) {
            char both[48];
            snprintf(both, sizeof(both), "%s %s", more, deltas[kind]);
            add_check("delta", both, check_delta, kind)->way = (enum weir_gpu_way)way;
        }
    }
    add_check("unpack", "", check_unpack, 0);
    add_check("unpack", "tiled", check_unpack, STATE_TILED);
    for (uint32_t kind = 0; kind < WEIR_COUNT(all_heads); kind++) {
        char more[48];
        add_check("remember", all_heads[kind].name, check_remember, kind);
        snprintf(more, sizeof(more), "%s decode", all_heads[kind].name);
        add_check("attention", more, check_attention, kind)->n_row = is_timed ? 1 : 5;
        snprintf(more, sizeof(more), "%s prompt", all_heads[kind].name);
        struct check *check = add_check("attention", more, check_attention, kind);
        check->way = WEIR_GPU_PROMPT;
        check->n_row = is_timed ? 512 : 75;
        check->bound = 2e-2;
        for (uint32_t bits = 0; bits < 2; bits++) {
            snprintf(more, sizeof(more), "%s %s", bits == 0 ? "q8_0" : "q4_0",
                     all_heads[kind].name);
            add_check("kept", more, check_kept, 2 * kind + bits)->n_row = 40;
        }
    }
}

/* ---- judging -------------------------------------------------------------------------------- */

/* The largest difference of a row over the root of its mean square; what is not a number is the
 * same on both, or as different as can be. */
static double worst_of(const struct stage *stage, const float *wanted)
{
    const size_t row = stage->out_row == 0 ? stage->out_count : stage->out_row;
    double worst = 0.0;
    for (size_t begin = 0; begin < stage->out_count; begin += row) {
        const size_t end = weir_min(begin + row, stage->out_count);
        double squares = 0.0;
        double most = 0.0;
        for (size_t at = begin; at < end; at++) {
            squares += (double)wanted[at] * (double)wanted[at];
            const double off = fabs((double)stage->out[at] - (double)wanted[at]);
            most = off > most || isnan(off) ? off : most;
        }
        const double size = sqrt(squares / (double)(end - begin));
        const double relative = most == 0.0 ? 0.0 : most / size;
        if (!(relative <= worst))
            worst = isnan(relative) ? (double)INFINITY : relative;
    }
    return worst;
}

/* Fewer rows, and the same rows again, have the same bits. */
static bool is_steady(struct stage *stage, const struct check *check, uint64_t seed)
{
    const uint32_t counts[] = {check->n_row, 1, check->n_row / 2 + 1};
    bool is_same = true;
    float *first = stage_host(stage->out_count * sizeof(float));
    memcpy(first, stage->out, stage->out_count * sizeof(float));
    for (size_t index = 0; index < WEIR_COUNT(counts) && is_same; index++) {
        stage_begin(stage, seed);
        check->run(stage, check, counts[index]);
        is_same = memcmp(first, stage->out, stage->out_count * sizeof(float)) == 0;
    }
    free(first);
    return is_same;
}

static bool judge(struct stage *device, struct stage *reference, const struct check *check)
{
    const uint64_t seed = 1234;
    stage_begin(reference, seed);
    check->run(reference, check, check->n_row);
    stage_begin(device, seed);
    check->run(device, check, check->n_row);
    WEIR_ASSERT(device->out_count == reference->out_count);
    const double worst = worst_of(device, reference->out);
    const bool is_near = worst <= check->bound;
    const bool is_tidy = stage_is_tidy(device);
    const bool is_same = is_steady(device, check, seed);
    printf("%-44s %9.2e  %s%s%s\n", check->name, worst, is_near ? "ok" : "TOO FAR",
           is_tidy ? "" : ", WRITES BEHIND ITS OUTPUT",
           is_same ? "" : ", BITS DEPEND ON THE NUMBER OF ROWS");
    fflush(stdout);
    return is_near && is_tidy && is_same;
}

static bool is_wanted(const struct check *check, char **words, int word_count)
{
    for (int index = 0; index < word_count; index++)
        if (strcasestr(check->name, words[index]) == NULL)
            return false;
    return true;
}

int main(int argc, char **argv)
{
    struct stage device;
    struct stage reference;
    struct weir_gpu_info info;
    enum weir_gpu_kind kind = WEIR_GPU_CUDA;
    int first = 1;
    uint32_t bad_count = 0;
    for (; first < argc && argv[first][0] == '-'; first++) {
        if (strcmp(argv[first], "--time") == 0) {
            is_timed = true;
            continue;
        }
        if (strcmp(argv[first], "--sim") == 0) {
            kind = WEIR_GPU_SIM;
            continue;
        }
        fputs(help, strcmp(argv[first], "--help") == 0 ? stdout : stderr);
        return strcmp(argv[first], "--help") == 0 ? 0 : 2;
    }
    add_joint_checks();
    fill_checks();
    stage_open(&device, kind);
    stage_open(&reference, WEIR_GPU_SIM);
    weir_gpu_info_get(device.gpu, &info);
    printf("%s, driver %s, code %s\n", info.name, info.driver, info.code);
    for (uint32_t index = 0; index < check_count; index++) {
        const struct check *check = &checks[index];
        if (!is_wanted(check, argv + first, argc - first))
            continue;
        if (is_timed) {
            printf("%-44s", check->name);
            stage_begin(&device, 1);
            check->run(&device, check, check->n_row);
            printf("\n");
            fflush(stdout);
        } else
            bad_count += !judge(&device, &reference, check);
    }
    weir_gpu_close(&device.gpu);
    weir_gpu_close(&reference.gpu);
    free(device.out);
    free(reference.out);
    printf("%u of them differ too much\n", bad_count);
    return bad_count > 0;
}
