/* family.c - the family table: one row of known parts for each architecture. */
#include "model/model.h"

#include <string.h>

#define DENSE WEIR_PART_DENSE
#define EXPERTS WEIR_PART_EXPERTS
#define SHARED WEIR_PART_SHARED
#define SHARED_GATE WEIR_PART_SHARED_GATE
#define SELECTION_BIAS WEIR_PART_SELECTION_BIAS
#define HEAD_NORM WEIR_PART_HEAD_NORM
#define WIDE_NORM WEIR_PART_WIDE_NORM
#define QKV_BIAS WEIR_PART_QKV_BIAS
#define INTERLEAVED WEIR_PART_INTERLEAVED
#define LATE_NORM WEIR_PART_LATE_NORM
#define GUESSES WEIR_PART_GUESSES
#define UNTIED WEIR_PART_UNTIED
#define POST_NORM WEIR_PART_POST_NORM
#define LATENT WEIR_PART_LATENT
#define SINKS WEIR_PART_SINKS
#define HEAD_GATE WEIR_PART_HEAD_GATE
#define VALUE_GATE WEIR_PART_VALUE_GATE
#define PARALLEL WEIR_PART_PARALLEL
#define KEYS_AS_VALUES WEIR_PART_KEYS_AS_VALUES
#define FULL_BIAS WEIR_PART_FULL_BIAS
#define FUSED_UP WEIR_PART_FUSED_UP
#define BESIDE WEIR_PART_BESIDE
#define LENT_KEYS WEIR_PART_LENT_KEYS
#define LAYER_INPUT WEIR_PART_LAYER_INPUT

/* By name. */
static const struct weir_family families[] = {
    {.name = "afmoe",
     .models = "Trinity",
     .parts = EXPERTS | SHARED | HEAD_NORM | POST_NORM | VALUE_GATE | SELECTION_BIAS,
     .gating = WEIR_GATING_SIGMOID,
     .attention = {.has_windows = true,
                   .window_period = 4,
                   .rope_layers = WEIR_ROPE_IN_WINDOWS,
                   .output_gate = WEIR_GATE_SIGMOID},
     .roots_embedding = true},
    {.name = "bailingmoe",
     .models = "Ling-lite, Ling-plus",
     .parts = EXPERTS | SHARED | INTERLEAVED},
    {.name = "bailingmoe2",
     .models = "Ling 2.0, Ring 2.0",
     .parts = EXPERTS | SHARED | HEAD_NORM | UNTIED | GUESSES,
     .may = SELECTION_BIAS,
     .gating = WEIR_GATING_SIGMOID},
    {.name = "cohere2moe",
     .models = "North-Mini-Code",
     .parts = EXPERTS | INTERLEAVED | PARALLEL | GUESSES,
     .may = SHARED,
     .gating = WEIR_GATING_SIGMOID,
     .attention = {.has_windows = true,
                   .window_period = 4,
                   .is_full_first = true,
                   .rope_layers = WEIR_ROPE_IN_WINDOWS_AND_LEAD},
     .averages_shared = true,
     .may_center_norms = true},
    {.name = "deepseek", .models = "DeepSeekMoE-16B", .parts = EXPERTS | SHARED | INTERLEAVED},
    {.name = "deepseek2",
     .models = "DeepSeek-V2, V3, R1, Kimi-K2, GLM-4.7-Flash, Mistral Large 3",
     .parts = LATENT | INTERLEAVED | GUESSES,
     .may = EXPERTS | SHARED | SELECTION_BIAS,
     .sigmoid_with_bias = true,
     .judges_by_best = true},
    {.name = "dots1",
     .models = "dots.llm1",
     .parts = EXPERTS | SHARED | HEAD_NORM | UNTIED,
     .may = SELECTION_BIAS,
     .gating = WEIR_GATING_SIGMOID},
    {.name = "ernie4_5-moe",
     .models = "ERNIE-4.5-21B-A3B, 300B-A47B",
     .parts = EXPERTS | INTERLEAVED,
     .may = SHARED | SELECTION_BIAS,
     .renormalizes = true},
    {.name = "exaone-moe",
     .models = "K-EXAONE",
     .parts = EXPERTS | SHARED | HEAD_NORM | GUESSES,
     .may = SELECTION_BIAS,
     .gating = WEIR_GATING_SIGMOID,
     .attention = {.has_windows = true, .window_period = 4, .rope_layers = WEIR_ROPE_IN_WINDOWS}},
    {.name = "gemma2",
     .models = "Gemma 2",
     .parts = DENSE | POST_NORM,
     .attention =
         {.has_windows = true, .window = 4096, .window_period = 2, .wide_scale_layers = 46},
     .unit = {.glu = WEIR_GLU_GELU},
     .roots_embedding = true},
    {.name = "gemma3",
     .models = "Gemma 3",
     .parts = DENSE | HEAD_NORM | POST_NORM,
     .attention = {.has_windows = true,
                   .window_period = 6,
                   .window_rope_base = 10000.0f,
                   .window_rope_is_plain = true,
                   .wide_scale_layers = 62},
     .unit = {.glu = WEIR_GLU_GELU},
     .roots_embedding = true},
    {.name = "gemma4",
     .models = "Gemma 4 26B-A4B, 31B, E2B, E4B",
     .parts = DENSE | SHARED | HEAD_NORM | POST_NORM | KEYS_AS_VALUES | BESIDE,
     .may = EXPERTS | LENT_KEYS | LAYER_INPUT,
     .renormalizes = true,
     .unit = {.glu = WEIR_GLU_GELU},
     .attention = {.has_windows = true,
                   .window_period = WEIR_WINDOWS_BY_KEY,
                   .window_rope_base = 10000.0f,
                   .window_rope_is_plain = true,
                   .rope_is_divided = true,
                   .scale = 1.0f,
                   .norms_values = true},
     .roots_embedding = true,
     .roots_router = true},
    {.name = "glm4moe",
     .models = "GLM-4.5, 4.6, 4.7, their Air, Solar-Open",
     .parts = EXPERTS | SHARED | SELECTION_BIAS | LATE_NORM | GUESSES,
     .may = HEAD_NORM,
     .gating = WEIR_GATING_SIGMOID},
    {.name = "gpt-oss",
     .models = "gpt-oss-20b, 120b",
     .parts = EXPERTS | SINKS | QKV_BIAS | FULL_BIAS | LATE_NORM | UNTIED,
     .gating = WEIR_GATING_SOFTMAX_OF_CHOSEN,
     .unit = {.glu = WEIR_GLU_OAI, .limit = 7.0f},
     .limited = WEIR_GLU_OAI,
     .attention = {.has_windows = true, .window_period = 2, .rope_is_exact = true}},
    {.name = "granite",
     .models = "Granite 3 dense",
     .parts = DENSE | INTERLEAVED,
     .divides_logits = true},
    {.name = "granitemoe",
     .models = "Granite 3 MoE",
     .parts = EXPERTS | INTERLEAVED,
     .may = SHARED,
     .renormalizes = true,
     .divides_logits = true},
    {.name = "hunyuan-moe",
     .models = "Hunyuan-A13B",
     .parts = EXPERTS | SHARED | HEAD_NORM,
     .renormalizes = true,
     .attention = {.norms_late = true}},
    {.name = "llama",
     .models = "Llama 1 to 3, Mistral, Mixtral",
     .parts = DENSE | INTERLEAVED,
     .may = EXPERTS,
     .renormalizes = true},
    {.name = "llama4",
     .models = "Llama 4 Scout, Maverick",
     .parts = EXPERTS | SHARED | INTERLEAVED,
     .gating = WEIR_GATING_SIGMOID_OF_CHOSEN,
     .weighs_input = true,
     .attention = {.has_windows = true,
                   .window = 8192,
                   .window_period = 4,
                   .is_in_chunks = true,
                   .rope_layers = WEIR_ROPE_IN_WINDOWS,
                   .temperature = {.scale = 0.1f, .length = 8192.0f, .offset = 1.0f},
                   .norms_late = true,
                   .norms_bare = true,
                   .not_bare_experts = 128}},
    {.name = "minimax-m2",
     .models = "MiniMax-M2",
     .parts = EXPERTS | WIDE_NORM | SELECTION_BIAS | UNTIED,
     .gating = WEIR_GATING_SIGMOID,
     .renormalizes = true},
    {.name = "mistral3",
     .models = "Mistral Small 3, Ministral 3",
     .parts = DENSE | INTERLEAVED,
     .may = EXPERTS,
     .renormalizes = true},
    {.name = "mistral4",
     .models = "Mistral Small 4",
     .parts = EXPERTS | LATENT | INTERLEAVED,
     .may = SHARED},
    {.name = "olmoe", .models = "OLMoE-1B-7B", .parts = EXPERTS | WIDE_NORM},
    {.name = "phi3",
     .models = "Phi-3, 3.5, 4",
     .parts = DENSE | FUSED_UP,
     .attention = {.has_windows = true, .window = UINT32_MAX}},
    {.name = "qwen2", .models = "Qwen2, Qwen2.5", .parts = DENSE | QKV_BIAS},
    {.name = "qwen2moe",
     .models = "Qwen1.5-MoE, Qwen2-57B-A14B",
     .parts = EXPERTS | SHARED | SHARED_GATE | QKV_BIAS},
    {.name = "qwen3", .models = "Qwen3 0.6B to 32B", .parts = DENSE | HEAD_NORM},
    {.name = "qwen35",
     .models = "Qwen3.5 and 3.6, dense",
     .parts = DENSE | HEAD_NORM | LATE_NORM | GUESSES,
     .attention = {.output_gate = WEIR_GATE_SIGMOID, .gate_is_in_q = true},
     .delta = WEIR_DELTA_TILED},
    {.name = "qwen35moe",
     .models = "Qwen3.5 and 3.6: 35B-A3B, 122B-A10B, 397B-A17B",
     .parts = EXPERTS | SHARED | SHARED_GATE | HEAD_NORM | LATE_NORM | GUESSES,
     .attention = {.output_gate = WEIR_GATE_SIGMOID, .gate_is_in_q = true},
     .delta = WEIR_DELTA_TILED,
     .renormalizes = true},
    {.name = "qwen3moe",
     .models = "Qwen3-30B-A3B, 235B-A22B, Coder",
     .parts = EXPERTS | HEAD_NORM,
     .renormalizes = true},
    {.name = "qwen3next",
     .models = "Qwen3-Next-80B-A3B, Qwen3-Coder-Next",
     .parts = EXPERTS | SHARED | SHARED_GATE | HEAD_NORM | LATE_NORM | GUESSES,
     .attention = {.output_gate = WEIR_GATE_SIGMOID, .gate_is_in_q = true},
     .delta = WEIR_DELTA_GROUPED,
     .renormalizes = true},
    {.name = "qwen3vlmoe",
     .models = "Qwen3-VL-30B-A3B, 235B-A22B (text)",
     .parts = EXPERTS | HEAD_NORM,
     .renormalizes = true},
    {.name = "smollm3",
     .models = "SmolLM3",
     .parts = DENSE | INTERLEAVED,
     .attention = {.rope_layers = WEIR_ROPE_NOT_EVERY_FOURTH}},
    {.name = "step35",
     .models = "Step-3.5-Flash",
     .parts = EXPERTS | UNTIED | GUESSES,
     .may = SHARED | HEAD_NORM | HEAD_GATE | SELECTION_BIAS,
     .gating = WEIR_GATING_SIGMOID,
     .limited = WEIR_GLU_LESS_OF_SILU,
     .attention = {.has_windows = true,
                   .window_period = WEIR_WINDOWS_BY_KEY,
                   .window_rope_is_plain = true,
                   .full_rope_is_half = true,
                   .output_gate = WEIR_GATE_SIGMOID}},
};

const struct weir_family *weir_family_find(const char *name)
{
    for (size_t row = 0; row < WEIR_COUNT(families); row++)
        if (strcmp(families[row].name, name) == 0)
            return &families[row];
    return NULL;
}

const struct weir_family *weir_family_at(size_t row)
{
    return row < WEIR_COUNT(families) ? &families[row] : NULL;
}

const struct weir_family *weir_family_nearest(const char *name)
{
    const struct weir_family *nearest = &families[0];
    for (size_t row = 1; row < WEIR_COUNT(families); row++)
        if (weir_edit_distance(name, families[row].name) < weir_edit_distance(name, nearest->name))
            nearest = &families[row];
    return nearest;
}
