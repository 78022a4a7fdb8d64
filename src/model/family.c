/* family.c - the family table: one row of known parts for each architecture. */
#include "model/model.h"

#include <stdio.h>
#include <string.h>

static const struct weir_family families[] = {
    {.name = "gemma2",
     .parts = WEIR_PART_DENSE | WEIR_PART_POST_NORM,
     .attention =
         {.has_windows = true, .window = 4096, .window_period = 2, .wide_scale_layers = 46},
     .activation = WEIR_ACTIVATION_GELU,
     .roots_embedding = true},
    {.name = "gemma3",
     .parts = WEIR_PART_DENSE | WEIR_PART_HEAD_NORM | WEIR_PART_POST_NORM,
     .attention = {.has_windows = true,
                   .window_period = 6,
                   .window_rope_base = 10000.0f,
                   .window_rope_is_plain = true,
                   .wide_scale_layers = 62},
     .activation = WEIR_ACTIVATION_GELU,
     .roots_embedding = true},
    {.name = "deepseek2", .parts = WEIR_PART_DENSE | WEIR_PART_INTERLEAVED | WEIR_PART_LATENT},
    {.name = "llama", .parts = WEIR_PART_DENSE | WEIR_PART_INTERLEAVED},
    {.name = "mistral3", .parts = WEIR_PART_DENSE | WEIR_PART_INTERLEAVED},
    {.name = "olmoe", .parts = WEIR_PART_EXPERTS | WEIR_PART_WIDE_NORM},
    {.name = "qwen2moe", .parts = WEIR_PART_EXPERTS | WEIR_PART_SHARED | WEIR_PART_QKV_BIAS},
    {.name = "qwen3", .parts = WEIR_PART_DENSE | WEIR_PART_HEAD_NORM},
    {.name = "qwen3moe", .parts = WEIR_PART_EXPERTS | WEIR_PART_HEAD_NORM | WEIR_PART_RENORMALIZE},
    {.name = "smollm3",
     .parts = WEIR_PART_DENSE | WEIR_PART_INTERLEAVED,
     .attention = {.rope_layers = WEIR_ROPE_NOT_EVERY_FOURTH}},
};

const struct weir_family *weir_family_find(const char *name)
{
    for (size_t row = 0; row < WEIR_COUNT(families); row++)
        if (strcmp(families[row].name, name) == 0)
            return &families[row];
    return NULL;
}

const char *weir_family_list(char *out, size_t capacity)
{
    size_t length = 0;
    out[0] = '\0';
    for (size_t row = 0; row < WEIR_COUNT(families) && length < capacity; row++)
        length += (size_t)snprintf(out + length, capacity - length, "%s%s", row == 0 ? "" : ", ",
                                   families[row].name);
    return out;
}
