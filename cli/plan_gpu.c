/* plan_gpu.c - what a plan has on a GPU, as JSON and in words. */
#include <stdio.h>
#include <string.h>

#include "plan.h"

json_t *weir_cli_gpu_json(const struct weir_gpu_plan *gpu)
{
    const bool is_used = gpu->name[0] != '\0';
    const uint64_t none = UINT64_MAX;
    json_t *object = json_object();
    if (is_used)
        weir_cli_json_text(object, "name", gpu->name, strlen(gpu->name));
    else
        json_object_set_new(object, "name", json_null());
    weir_cli_json_count(object, "budget_bytes", is_used ? gpu->budget_bytes : none);
    weir_cli_json_count(object, "planned_bytes", is_used ? gpu->planned_bytes : none);
    weir_cli_json_count(object, "weight_bytes", is_used ? gpu->weight_bytes : none);
    weir_cli_json_count(object, "kv_bytes", is_used ? gpu->kv_bytes : none);
    weir_cli_json_count(object, "scratch_bytes", is_used ? gpu->scratch_bytes : none);
    weir_cli_json_count(object, "expert_bytes", is_used ? gpu->expert_bytes : none);
    weir_cli_json_count(object, "layers", is_used ? gpu->n_layer : none);
    weir_cli_json_count(object, "layer_first", gpu->n_layer > 0 ? gpu->layer_first : none);
    weir_cli_json_count(object, "experts", is_used ? gpu->n_expert : none);
    json_object_set_new(object, "output", json_boolean(gpu->has_output));
    json_object_set_new(object, "moves", json_boolean(gpu->moves));
    json_object_set_new(object, "moves_by_time", json_boolean(gpu->moves_by_time));
    if (gpu->moves_why[0] != '\0')
        weir_cli_json_text(object, "moves_why", gpu->moves_why, strlen(gpu->moves_why));
    else
        json_object_set_new(object, "moves_why", json_null());
    if (gpu->why[0] != '\0')
        weir_cli_json_text(object, "why", gpu->why, strlen(gpu->why));
    else
        json_object_set_new(object, "why", json_null());
    return object;
}

void weir_cli_gpu_print(FILE *file, const struct weir_gpu_plan *gpu)
{
    const struct {
        const char *what;
        uint64_t bytes;
    } lines[] = {{"weights every token needs", gpu->weight_bytes},
                 {"KV cache", gpu->kv_bytes},
                 {"activations and logits", gpu->scratch_bytes},
                 {"experts", gpu->expert_bytes}};
    char size[32];
    if (gpu->name[0] != '\0') {
        fprintf(file, "On the GPU (%s), of %s: %u layer%s%s, %u experts\n",
                weir_cli_shown(gpu->name), weir_format_size(gpu->budget_bytes, size, sizeof(size)),
                gpu->n_layer, gpu->n_layer == 1 ? "" : "s",
                gpu->has_output ? ", the output matrix" : "", gpu->n_expert);
        for (size_t line = 0; line < WEIR_COUNT(lines); line++)
            fprintf(file, "  %16llu  %s\n", (unsigned long long)lines[line].bytes,
                    lines[line].what);
        if (gpu->moves_by_time)
            fprintf(file, "  experts come and go; the last bits of a text go by time, too\n");
        if (gpu->moves_why[0] != '\0')
            fprintf(file, "  %s\n", weir_cli_shown(gpu->moves_why));
    }
    if (gpu->why[0] != '\0')
        fprintf(file, "%s\n", weir_cli_shown(gpu->why));
}
