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
    return (double)plan->cost.trunk_bytes / weir_cli_middle(calibration->read) +
           FIRST_PROMPT / weir_cli_middle(expected.prefill_tps);
}

/* The speed under another ceiling; NONE when nothing can be said. */
static double speed_at(const struct weir_cli_foretold *told, uint64_t mem_bytes)
{
    struct weir_config other = *told->config;
    struct weir_plan plan;
    other.mem_bytes = mem_bytes;
    other.notice = NULL; /* the file's oddities were told */
    if (weir_plan_make(&plan, &other, NULL) != WEIR_OK)
        return WEIR_CLI_NONE;
    return weir_cli_past_guess(&told->past, &plan, told->calibration, WEIR_CLI_NONE).tps;
}

static void print_larger(const struct weir_plan *plan, const struct weir_cli_foretold *told)
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
        const double found = speed_at(told, bytes);
        if (isfinite(found))
            printf("%s %uG, about %s", count++ == 0 ? "" : ";", round_sizes[index],
                   format_speed(found, speed, sizeof(speed)));
    }
    printf("%s all in memory with %s", count == 0 ? "" : ";",
           weir_cli_typed_size(plan->resident_bytes, size, sizeof(size)));
    const double found = speed_at(told, plan->resident_bytes);
    if (isfinite(found))
        printf(", about %s", format_speed(found, speed, sizeof(speed)));
    printf("\n");
}

/* How far to trust the number. */
static void print_error(const struct weir_cli_guess *guess)
{
    if (guess->run_count > 0)
        printf("The speed is likely within %.0f %% of that: %u earlier run%s measured here\n",
               ceil(100.0 * (guess->factor - 1.0)), guess->run_count,
               guess->run_count == 1 ? " was" : "s were");
    else
        printf("The speed may be up to %.1f times more or less\n", guess->factor);
}

void weir_cli_plan_words(const struct weir_plan *plan, const struct weir_cli_foretold *told)
{
    char model[32];
    char ceiling[32];
    char speed[32];
    /* Where all experts are on a GPU the plan of memory has none. */
    const uint64_t expert_bytes =
        weir_max(plan->cost.record_bytes * plan->n_expert_total, plan->gpu.expert_bytes);
    printf("Fits: a %s model, ceiling %s",
           weir_format_size(plan->cost.trunk_bytes + expert_bytes, model, sizeof(model)),
           weir_cli_typed_size(plan->budget_bytes, ceiling, sizeof(ceiling)));
    if (told->calibration == NULL || !isfinite(told->guess.tps)) {
        printf("; how fast is not known%s\n\n", plan->gpu.name[0] != '\0' ? " with a GPU" : "");
        return;
    }
    const double first_s =
        fmax(first_word_s(plan, told->calibration), 0.1); /* a program begins, too */
    printf(", about %s tokens/s, first word after about %.*f s\n",
           format_speed(told->guess.tps, speed, sizeof(speed)), first_s < 3.0 ? 1 : 0, first_s);
    print_error(&told->guess);
    print_larger(plan, told);
    printf("\n");
}
