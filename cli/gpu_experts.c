/* gpu_experts.c - --gpu-experts: ways with experts on a GPU to measure with, as a list of words. */
#include <stdlib.h>
#include <string.h>

#include "cli.h"

/* Whether the word is this one. */
static bool is_word(const char *text, size_t length, const char *word)
{
    return strlen(word) == length && strncmp(text, word, length) == 0;
}

static bool read_policy(struct weir_bench_config *bench, const char *text, size_t length)
{
    for (uint32_t index = 0; weir_policy_name(index) != NULL; index++)
        if (is_word(text, length, weir_policy_name(index))) {
            bench->gpu_policy = weir_policy_name(index);
            return true;
        }
    return false;
}

/* "12GB/s": what experts cross at. */
static bool read_pace(struct weir_bench_config *bench, const char *text, size_t length)
{
    static const char unit[] = "GB/s";
    char *end = NULL;
    if (text[0] < '0' || text[0] > '9')
        return false;
    const double pace = strtod(text, &end);
    if (!is_word(end, (size_t)(text + length - end), unit) || !(pace > 0.0 && pace <= 1000.0))
        return false;
    bench->gpu_pace = pace * 1e9;
    return true;
}

static bool read_word(struct weir_bench_config *bench, const char *text, size_t length)
{
    if (is_word(text, length, "demand"))
        bench->gpu_experts = WEIR_GPU_EXPERTS_DEMAND;
    else if (is_word(text, length, "stay"))
        bench->gpu_experts = WEIR_GPU_EXPERTS_STAY;
    else if (is_word(text, length, "cheapest"))
        bench->gpu_experts = WEIR_GPU_EXPERTS_CHEAPEST;
    else if (is_word(text, length, "gate"))
        bench->gpu_ahead = WEIR_GPU_AHEAD_BY_GATE;
    else if (is_word(text, length, "path"))
        bench->gpu_ahead = WEIR_GPU_AHEAD_BY_PATH;
    else if (is_word(text, length, "pool"))
        bench->gpu_pool = true;
    else
        return read_policy(bench, text, length) || read_pace(bench, text, length);
    return true;
}

bool weir_cli_gpu_experts_read(struct weir_bench_config *bench, const char *text,
                               const char *command)
{
    struct weir_err err = {0};
    for (const char *word = text; word != NULL && *word != '\0';) {
        const size_t length = strcspn(word, ",");
        if (!read_word(bench, word, length)) {
            weir_cli_misuse(
                command,
                "--gpu-experts: wanted a list of stay, demand or cheapest, gate or path, a "
                "policy, pool, and a pace such as 12GB/s, found \"%.*s\"",
                (int)weir_min(length, 64), word);
            return false;
        }
        word += length + (word[length] == ',');
    }
    if (weir_policy_check(bench->gpu_policy, bench->gpu_pool, true, &err) == WEIR_OK)
        return true;
    weir_cli_misuse(command, "--gpu-experts: %s", err.text);
    return false;
}
