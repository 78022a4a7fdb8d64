/* plan_words.c - the first lines of weir plan: whether it fits, how fast about, and what more
 * memory would give. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "plan.h"

/* Sizes that a person would name, in GiB. */
static const uint32_t round_sizes[] = {1,  2,  3,  4,   6,   8,   12,  16,  24,  32,
                                       48, 64, 96, 128, 192, 256, 384, 512, 768, 1024};
enum { LARGER_MAX = 3, FIRST_PROMPT = 8 };

const char *weir_cli_typed_size(uint64_t bytes, char *out, size_t capacity)
{
    const uint64_t gib = 1ull << 30;
    const uint64_t mib = 1ull << 20;
    if (bytes >= gib)
        snprintf(out, capacity, "%gG", ceil(10.0 * (double)bytes / (double)gib) / 10.0);
    else
        snprintf(out, capacity, "%lluM", (unsigned long long)((bytes + mib - 1) / mib));
    return out;
}

/* One number for a band: as far from its ends, as a factor. */
static double middle(struct weir_band band)
{
    return sqrt(band.low * band.high);
}

/* "about 5", "about 0.4": no digit that nobody can know. */
static const char *format_speed(double speed, char *out, size_t capacity)
{
    snprintf(out, capacity, "%.*f", speed < 3.0 ? 1 : 0, speed);
    return out;
}

/* Reading what every token needs, then a short prompt. */
static double first_word_s(const struct weir_plan *plan, const struct weir_calibration *calibration)
{
    struct weir_expected expected;
    weir_plan_expect(&expected, plan, calibration, FIRST_PROMPT, WEIR_CLI_NONE);
    return (double)plan->cost.trunk_bytes / middle(calibration->read) +
           FIRST_PROMPT / middle(expected.prefill_tps);
}

/* The speed under another ceiling; NONE when nothing can be said. */
static double speed_at(const struct weir_config *config, const struct weir_calibration *calibration,
                       uint64_t mem_bytes)
{
    struct weir_config other = *config;
    struct weir_plan plan;
    struct weir_expected expected;
    other.mem_bytes = mem_bytes;
    other.notice = NULL; /* the file's oddities were told */
    if (weir_plan_make(&plan, &other, NULL) != WEIR_OK)
        return WEIR_CLI_NONE;
    weir_plan_expect(&expected, &plan, calibration, 0, WEIR_CLI_NONE);
    return middle(expected.decode_tps);
}

static void print_larger(const struct weir_plan *plan, const struct weir_config *config,
                         const struct weir_calibration *calibration)
{
    char size[32];
    char speed[32];
    int count = 0;
    if (plan->n_expert_total == 0 || plan->n_slot_last >= plan->n_expert_total)
        return;
    printf("With more memory:");
    for (size_t index = 0; index < WEIR_COUNT(round_sizes) && count < LARGER_MAX; index++) {
        const uint64_t bytes = (uint64_t)round_sizes[index] << 30;
        if (4 * bytes < 5 * plan->budget_bytes || bytes >= plan->resident_bytes)
            continue;
        const double found = speed_at(config, calibration, bytes);
        if (isfinite(found))
            printf("%s %uG, about %s", count++ == 0 ? "" : ";", round_sizes[index],
                   format_speed(found, speed, sizeof(speed)));
    }
    printf("%s all in memory with %s", count == 0 ? "" : ";",
           weir_cli_typed_size(plan->resident_bytes, size, sizeof(size)));
    const double found = speed_at(config, calibration, plan->resident_bytes);
    if (isfinite(found))
        printf(", about %s", format_speed(found, speed, sizeof(speed)));
    printf("\n");
}

void weir_cli_plan_words(const struct weir_plan *plan, const struct weir_config *config,
                         const struct weir_expected *expected,
                         const struct weir_calibration *calibration)
{
    char model[32];
    char ceiling[32];
    char speed[32];
    const uint64_t expert_bytes = plan->cost.record_bytes * plan->n_expert_total;
    printf("Fits: a %s model, ceiling %s",
           weir_format_size(plan->cost.trunk_bytes + expert_bytes, model, sizeof(model)),
           weir_cli_typed_size(plan->budget_bytes, ceiling, sizeof(ceiling)));
    if (calibration == NULL || !isfinite(expected->decode_tps.low)) {
        printf("; how fast is not known\n\n");
        return;
    }
    const double tps = middle(expected->decode_tps);
    const double first_s = fmax(first_word_s(plan, calibration), 0.1); /* a program begins, too */
    printf(", about %s tokens/s, first word after about %.*f s\n",
           format_speed(tps, speed, sizeof(speed)), first_s < 3.0 ? 1 : 0, first_s);
    printf("The speed may be up to %.1f times more or less\n", expected->decode_tps.high / tps);
    print_larger(plan, config, calibration);
    printf("\n");
}
