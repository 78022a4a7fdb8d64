/* trace_tap.c - writes the routing of a text while it is computed, in weir's own format. */
#include <errno.h>
#include <string.h>

#include "base/heap.h"
#include "trace.h"

/* Invariant I1: a line is written when the last layer of its chunk was told, so a chunk that was
 * cancelled leaves no line. */

static uint16_t *find_cell(const struct weir_cli_tap *tap, uint32_t token, uint32_t layer)
{
    return tap->experts + ((size_t)token * tap->n_layer + layer) * tap->n_expert_used;
}

static void write_token(struct weir_cli_tap *tap, uint32_t token)
{
    FILE *file = tap->out.file;
    fprintf(file, "{\"tok\":%llu,\"layers\":[", (unsigned long long)tap->token_count++);
    for (uint32_t layer = 0; layer < tap->n_layer; layer++) {
        const uint16_t *ids = find_cell(tap, token, layer);
        fputs(layer > 0 ? ",[" : "[", file);
        for (uint32_t index = 0; index < tap->n_expert_used; index++)
            if (ids[index] != WEIR_EXPERT_NONE)
                fprintf(file, "%s%u", index > 0 ? "," : "", ids[index]);
        fputc(']', file);
    }
    fputs("]}\n", file);
}

static void take_layer(void *user, uint32_t layer, uint32_t position, uint32_t n_token,
                       uint32_t n_expert_used, const uint32_t *experts)
{
    struct weir_cli_tap *tap = user;
    WEIR_ASSERT(layer < tap->n_layer && n_token <= tap->chunk_max);
    if (layer == 0) {
        tap->chunk_position = position;
        tap->chunk_count = n_token;
    }
    WEIR_ASSERT(position == tap->chunk_position && n_token == tap->chunk_count);
    for (uint32_t token = 0; token < n_token; token++)
        for (uint32_t index = 0; index < tap->n_expert_used; index++)
            find_cell(tap, token, layer)[index] =
                index < n_expert_used ? (uint16_t)experts[(size_t)token * n_expert_used + index]
                                      : WEIR_EXPERT_NONE;
    if (layer + 1 < tap->n_layer)
        return;
    for (uint32_t token = 0; token < tap->chunk_count && !tap->failed; token++) {
        write_token(tap, token);
        tap->failed = ferror(tap->out.file) != 0;
    }
}

bool weir_cli_tap_open(struct weir_cli_tap *tap, const char *path, struct weir_config *config)
{
    enum { CHUNK_DEFAULT_MAX = 512 }; /* of struct weir_config */
    struct weir_model_info info = {0};
    if (!weir_cli_model_info(&info, config->model_path))
        return false;
    if (info.n_moe_layer == 0) {
        weir_cli_say("%s has no experts: there is no routing to record", config->model_path);
        return false;
    }
    WEIR_ASSERT(info.n_expert <= WEIR_EXPERT_NONE);
    const uint64_t chunk = config->n_chunk == 0 ? CHUNK_DEFAULT_MAX : config->n_chunk;
    config->caller_bytes += chunk * info.n_moe_layer * info.n_expert_used * sizeof(*tap->experts);
    tap->n_layer = info.n_moe_layer;
    tap->n_expert_used = info.n_expert_used;
    return weir_cli_out_open(&tap->out, path);
}

bool weir_cli_tap_begin(struct weir_cli_tap *tap, const struct weir_cli_rig *rig,
                        const char *model_path, size_t prompt_count)
{
    const struct weir_model_info *info = weir_engine_model(rig->engine);
    if (tap->out.file == NULL)
        return true;
    tap->chunk_max = weir_engine_plan(rig->engine)->n_chunk;
    tap->experts = weir_heap_array((size_t)tap->chunk_max * tap->n_layer,
                                   tap->n_expert_used * sizeof(*tap->experts));
    if (tap->experts == NULL) {
        weir_cli_say("no memory for the routing of %u tokens", tap->chunk_max);
        return false;
    }
    json_t *head = json_object();
    weir_cli_json_count(head, "weir_trace", 1);
    weir_cli_json_text(head, "model", model_path, strlen(model_path));
    weir_cli_json_count(head, "n_layer", tap->n_layer);
    weir_cli_json_count(head, "n_expert", info->n_expert);
    weir_cli_json_count(head, "n_expert_used", tap->n_expert_used);
    weir_cli_json_count(head, "prompt_tokens", prompt_count);
    if (!weir_cli_json_print(head, tap->out.file, tap->out.path))
        return false;
    tap->session = rig->session;
    weir_session_watch_routing(rig->session, take_layer, tap);
    return true;
}

bool weir_cli_tap_finish(struct weir_cli_tap *tap, size_t prompt_count)
{
    if (tap->out.file == NULL)
        return true;
    if (tap->session != NULL)
        weir_session_watch_routing(tap->session, NULL, NULL);
    tap->session = NULL;
    if (tap->failed || tap->token_count >= prompt_count)
        return weir_cli_out_finish(&tap->out);
    weir_cli_say("%s is not written: %llu of the prompt's %zu tokens were computed", tap->out.path,
                 (unsigned long long)tap->token_count, prompt_count);
    weir_cli_out_discard(&tap->out);
    return false;
}

void weir_cli_tap_close(struct weir_cli_tap *tap)
{
    if (tap->session != NULL)
        weir_session_watch_routing(tap->session, NULL, NULL);
    tap->session = NULL;
    weir_cli_out_discard(&tap->out);
    weir_heap_free(tap->experts);
    tap->experts = NULL;
}
