/* info.c - weir info: what a model file holds. */
#include <stdio.h>
#include <string.h>

#include "cli.h"

struct listing {
    json_t *keys, *tensors; /* NULL when printing text */
    bool in_tensors;
};

static void list_line(void *user, bool is_tensor, const char *name, const char *value)
{
    struct listing *listing = user;
    if (listing->keys != NULL) {
        json_t *clean = weir_cli_json_string(name, strlen(name));
        if (clean != NULL)
            weir_cli_json_text(is_tensor ? listing->tensors : listing->keys,
                               json_string_value(clean), value, strlen(value));
        json_decref(clean);
        return;
    }
    if (is_tensor && !listing->in_tensors)
        printf("\nTensors\n");
    listing->in_tensors = is_tensor;
    printf("  %-40s %s\n", weir_cli_shown(name), weir_cli_shown(value));
}

static void print_bytes(const char *what, uint64_t bytes)
{
    char size[32];
    printf("%-18s %s (%llu bytes)\n", what, weir_format_size(bytes, size, sizeof(size)),
           (unsigned long long)bytes);
}

static void print_info(const struct weir_model_info *info)
{
    if (info->name[0] != '\0')
        printf("%-18s %s\n", "name", weir_cli_shown(info->name));
    printf("%-18s %s\n", "family", info->family);
    printf("%-18s GGUF v%u, %u keys, %u tensors\n", "file", info->gguf_version, info->key_count,
           info->tensor_count);
    if (info->file_count > 1)
        printf("%-18s %u\n", "parts", info->file_count);
    print_bytes("size", info->file_bytes);
    printf("%-18s %s\n", "types", info->types);
    printf("%-18s %.1f M", "parameters", (double)info->parameter_count * 1e-6);
    if (info->n_expert > 0)
        printf(", %.1f M used by a token", (double)info->active_parameter_count * 1e-6);
    printf("\n");
    if (info->n_expert > 0) {
        print_bytes("experts", info->expert_bytes);
        print_bytes("everything else", info->trunk_bytes);
    }
    printf("%-18s %u, %u of them with experts\n", "layers", info->n_layer, info->n_moe_layer);
    if (info->n_expert > 0)
        printf("%-18s %u a layer, %u used by a token, %u wide\n", "routed experts", info->n_expert,
               info->n_expert_used, info->d_ffn_expert);
    printf("%-18s %u wide, %u heads of %u, %u KV heads, dense FFN %u wide\n", "shape",
           info->d_model, info->n_head, info->d_head, info->n_kv_head, info->d_ffn);
    printf("%-18s %u tokens\n", "vocabulary", info->n_vocab);
    printf("%-18s %u positions\n", "trained context", info->n_ctx_train);
}

static json_t *describe_info(const struct weir_cli_options *options,
                             const struct weir_model_info *info)
{
    json_t *object = json_object();
    const bool moe = info->n_expert > 0;
    const uint64_t none = UINT64_MAX;
    weir_cli_json_text(object, "model", options->argument, strlen(options->argument));
    if (info->name[0] == '\0')
        json_object_set_new(object, "name", json_null());
    else
        weir_cli_json_text(object, "name", info->name, strlen(info->name));
    weir_cli_json_text(object, "family", info->family, strlen(info->family));
    weir_cli_json_count(object, "gguf_version", info->gguf_version);
    weir_cli_json_count(object, "key_count", info->key_count);
    weir_cli_json_count(object, "tensor_count", info->tensor_count);
    weir_cli_json_count(object, "file_count", info->file_count);
    weir_cli_json_count(object, "file_bytes", info->file_bytes);
    weir_cli_json_text(object, "types", info->types, strlen(info->types));
    weir_cli_json_count(object, "parameters", info->parameter_count);
    weir_cli_json_count(object, "active_parameters", info->active_parameter_count);
    weir_cli_json_count(object, "expert_bytes", moe ? info->expert_bytes : none);
    weir_cli_json_count(object, "trunk_bytes", info->trunk_bytes);
    weir_cli_json_count(object, "n_layer", info->n_layer);
    weir_cli_json_count(object, "n_moe_layer", info->n_moe_layer);
    weir_cli_json_count(object, "n_head", info->n_head);
    weir_cli_json_count(object, "n_kv_head", info->n_kv_head);
    weir_cli_json_count(object, "n_expert", moe ? info->n_expert : none);
    weir_cli_json_count(object, "n_expert_used", moe ? info->n_expert_used : none);
    weir_cli_json_count(object, "d_model", info->d_model);
    weir_cli_json_count(object, "d_head", info->d_head);
    weir_cli_json_count(object, "d_ffn", info->d_ffn);
    weir_cli_json_count(object, "d_ffn_expert", moe ? info->d_ffn_expert : none);
    weir_cli_json_count(object, "n_vocab", info->n_vocab);
    weir_cli_json_count(object, "n_ctx_train", info->n_ctx_train);
    json_t *warnings = json_array();
    for (uint32_t index = 0; index < info->warnings.count; index++)
        json_array_append_new(warnings, weir_cli_json_string(info->warnings.text[index],
                                                             strlen(info->warnings.text[index])));
    json_object_set_new(object, "warnings", warnings);
    return object;
}

int weir_cli_info(const struct weir_cli_options *options)
{
    struct weir_model_info info = {0};
    struct weir_err err = {0};
    struct listing listing = {0};
    json_t *object = NULL;
    if (weir_model_info_get(&info, options->argument, &err) != WEIR_OK)
        return weir_cli_fail(&err);
    weir_cli_warnings_tell(&info.warnings);
    if (options->json)
        object = describe_info(options, &info);
    else
        print_info(&info);
    if (options->verbose) {
        if (options->json) {
            listing.keys = json_object();
            listing.tensors = json_object();
        } else {
            printf("\nKeys\n");
        }
        const bool listed =
            weir_model_visit(options->argument, list_line, &listing, &err) == WEIR_OK;
        if (options->json) {
            json_object_set_new(object, "keys", listing.keys);
            json_object_set_new(object, "tensors", listing.tensors);
        }
        if (!listed) {
            json_decref(object);
            return weir_cli_fail(&err);
        }
    }
    if (options->json && !weir_cli_json_print(object, stdout, "standard output"))
        return WEIR_CLI_FAILURE;
    return WEIR_CLI_OK;
}
