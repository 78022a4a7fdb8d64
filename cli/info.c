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

/* "NAME  VALUE" where there is a value. */
static void print_text(const char *what, const char *text)
{
    if (text[0] != '\0')
        printf("%-18s %s\n", what, weir_cli_shown(text));
}

/* A line of parts, each of which may be unknown. */
struct line {
    const char *what;
    bool has_part;
};

static void print_part(struct line *line, uint64_t count, const char *before, const char *after)
{
    if (count == 0)
        return;
    if (line->has_part)
        printf(", ");
    else
        printf("%-18s ", line->what);
    printf("%s%llu%s", before, (unsigned long long)count, after);
    line->has_part = true;
}

static void end_line(const struct line *line)
{
    if (line->has_part)
        printf("\n");
}

static void print_shape(const struct weir_model_info *info)
{
    struct line layers = {.what = "layers"};
    struct line experts = {.what = "routed experts"};
    struct line shape = {.what = "shape"};
    struct line vocabulary = {.what = "vocabulary"};
    struct line context = {.what = "trained context"};
    print_part(&layers, info->n_layer, "", "");
    if (layers.has_part)
        printf(", %u of them with experts", info->n_moe_layer);
    end_line(&layers);
    print_part(&experts, info->n_expert, "", " a layer");
    const bool is_uneven = info->expert_uses > 0 &&
                           info->expert_uses != (uint64_t)info->n_moe_layer * info->n_expert_used;
    print_part(&experts, info->n_expert_used, is_uneven ? "up to " : "", " used by a token");
    print_part(&experts, info->d_ffn_expert, "", " wide");
    end_line(&experts);
    print_part(&shape, info->d_model, "", " wide");
    print_part(&shape, info->n_head, "", " heads");
    if (info->n_head > 0 && info->d_head > 0)
        printf(" of %u", info->d_head);
    print_part(&shape, info->n_kv_head, "", " KV heads");
    print_part(&shape, info->d_ffn, "dense FFN ", " wide");
    end_line(&shape);
    print_part(&vocabulary, info->n_vocab, "", " tokens");
    end_line(&vocabulary);
    print_part(&context, info->n_ctx_train, "", " positions");
    end_line(&context);
}

static void print_info(const struct weir_model_info *info)
{
    print_text("name", info->name);
    print_text("family", info->family);
    printf("%-18s %s\n", "runs here", info->status == WEIR_OK ? "yes" : "no");
    for (uint32_t index = 0; index < info->missing_count; index++)
        print_text(index == 0 ? "because" : "and", info->missing[index]);
    if (info->gguf_version == 0)
        printf("%-18s Hugging Face, %u keys, %u tensors\n", "directory", info->key_count,
               info->tensor_count);
    else
        printf("%-18s GGUF v%u, %u keys, %u tensors\n", "file", info->gguf_version, info->key_count,
               info->tensor_count);
    if (info->file_count > 1)
        printf("%-18s %u\n", "parts", info->file_count);
    print_bytes("size", info->file_bytes);
    print_text("types", info->types);
    printf("%-18s %.1f M", "parameters", (double)info->parameter_count * 1e-6);
    if (info->n_expert > 0)
        printf(", %.1f M used by a token", (double)info->active_parameter_count * 1e-6);
    printf("\n");
    if (info->n_expert > 0) {
        print_bytes("experts", info->expert_bytes);
        print_bytes("everything else", info->trunk_bytes);
    }
    print_shape(info);
}

/* null where nobody says it. */
static void add_known(json_t *object, const char *key, uint64_t count)
{
    weir_cli_json_count(object, key, count == 0 ? UINT64_MAX : count);
}

static void add_text(json_t *object, const char *key, const char *text)
{
    if (text[0] == '\0')
        json_object_set_new(object, key, json_null());
    else
        weir_cli_json_text(object, key, text, strlen(text));
}

static json_t *describe_info(const struct weir_cli_options *options,
                             const struct weir_model_info *info)
{
    json_t *object = json_object();
    json_t *missing = json_array();
    json_t *warnings = json_array();
    const char *model = options->remote != NULL ? options->remote : options->argument;
    weir_cli_json_text(object, "model", model, strlen(model));
    add_text(object, "name", info->name);
    add_text(object, "family", info->family);
    json_object_set_new(object, "runs", json_boolean(info->status == WEIR_OK));
    for (uint32_t index = 0; index < info->missing_count; index++)
        json_array_append_new(
            missing, weir_cli_json_string(info->missing[index], strlen(info->missing[index])));
    json_object_set_new(object, "missing", missing);
    weir_cli_json_count(object, "gguf_version",
                        info->gguf_version == 0 ? UINT64_MAX : info->gguf_version);
    weir_cli_json_count(object, "key_count", info->key_count);
    weir_cli_json_count(object, "tensor_count", info->tensor_count);
    weir_cli_json_count(object, "file_count", info->file_count);
    weir_cli_json_count(object, "file_bytes", info->file_bytes);
    weir_cli_json_text(object, "types", info->types, strlen(info->types));
    weir_cli_json_count(object, "parameters", info->parameter_count);
    weir_cli_json_count(object, "active_parameters", info->active_parameter_count);
    add_known(object, "expert_bytes", info->expert_bytes);
    weir_cli_json_count(object, "trunk_bytes", info->trunk_bytes);
    add_known(object, "n_layer", info->n_layer);
    weir_cli_json_count(object, "n_moe_layer", info->n_moe_layer);
    add_known(object, "n_head", info->n_head);
    add_known(object, "n_kv_head", info->n_kv_head);
    add_known(object, "n_expert", info->n_expert);
    add_known(object, "n_expert_used", info->n_expert_used);
    add_known(object, "d_model", info->d_model);
    add_known(object, "d_head", info->d_head);
    add_known(object, "d_ffn", info->d_ffn);
    add_known(object, "d_ffn_expert", info->d_ffn_expert);
    add_known(object, "n_vocab", info->n_vocab);
    add_known(object, "n_ctx_train", info->n_ctx_train);
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
    /* What is not built in is described all the same; what contradicts itself is no model. */
    if (info.status == WEIR_OK || info.status == WEIR_ERR_UNSUPPORTED)
        return WEIR_CLI_OK;
    weir_cli_say("%s", info.missing[0]);
    return WEIR_CLI_FAILURE;
}
