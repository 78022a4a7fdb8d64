/* kept.c - the experts that were worth the most to a run, and how often it used them, for the next
 * run of the same model to begin with: one small text file for each model in the user's cache
 * folder. */
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/heap.h"
#include "cli.h"

enum { EXPERTS_MAX = 16384, WAIT_S_MAX = 60 };
#define FIRST_LINE "weir kept experts, version 2: layer, expert, share of tokens\n"

bool weir_cli_kept_name(char *path, size_t capacity, const char *what, const char *model_path)
{
    char folder[WEIR_CLI_PATH_MAX - 96];
    struct stat facts;
    if (!weir_cli_cache_folder(folder, sizeof(folder)) || stat(model_path, &facts) != 0)
        return false;
    const int length =
        snprintf(path, capacity, "%s/%s-%" PRIxMAX "-%" PRIxMAX "-%" PRIxMAX "-%" PRIxMAX, folder,
                 what, (uintmax_t)facts.st_dev, (uintmax_t)facts.st_ino, (uintmax_t)facts.st_size,
                 (uintmax_t)facts.st_mtime);
    return length > 0 && (size_t)length < capacity;
}

static void postpone(struct weir_cli_kept *kept)
{
    kept->wait_s = kept->wait_s == 0 ? 1 : weir_min(2 * kept->wait_s, WAIT_S_MAX);
    kept->due_ns = weir_now_ns() + kept->wait_s * 1000000000;
}

/* Room for one more. */
static bool grow(struct weir_cli_kept *kept, uint32_t *capacity)
{
    if (kept->count < *capacity)
        return true;
    const uint32_t wanted = *capacity == 0 ? 1024 : 2 * *capacity;
    struct weir_expert *grown = weir_heap_grow(kept->experts, wanted * sizeof(*grown));
    if (grown == NULL)
        return false;
    kept->experts = grown;
    *capacity = wanted;
    return true;
}

bool weir_cli_kept_load(struct weir_cli_kept *kept, const char *model_path)
{
    char line[64];
    uint32_t capacity = 0;
    *kept = (struct weir_cli_kept){0};
    postpone(kept);
    if (!weir_cli_kept_name(kept->path, sizeof(kept->path), "experts", model_path))
        return false;
    FILE *file = fopen(kept->path, "re");
    if (file == NULL)
        return false;
    if (fgets(line, sizeof(line), file) != NULL && strcmp(line, FIRST_LINE) == 0)
        while (kept->count < EXPERTS_MAX && fgets(line, sizeof(line), file) != NULL &&
               grow(kept, &capacity)) {
            struct weir_expert *expert = &kept->experts[kept->count];
            if (sscanf(line, "%" SCNu32 " %" SCNu32 " %f", &expert->layer, &expert->expert,
                       &expert->share) != 3)
                break;
            kept->count++;
        }
    fclose(file);
    return kept->count > 0;
}

bool weir_cli_kept_is_due(const struct weir_cli_kept *kept)
{
    return kept->path[0] != '\0' && weir_now_ns() >= kept->due_ns;
}

static void write_file(const char *path, const struct weir_expert *experts, uint32_t count)
{
    struct weir_cli_out out = {0};
    if (!weir_cli_out_open(&out, path))
        return;
    fputs(FIRST_LINE, out.file);
    for (uint32_t index = 0; index < count; index++)
        fprintf(out.file, "%" PRIu32 " %" PRIu32 " %.6f\n", experts[index].layer,
                experts[index].expert, (double)experts[index].share);
    if (!weir_cli_out_finish(&out))
        weir_cli_out_discard(&out);
}

void weir_cli_kept_write(struct weir_cli_kept *kept, const struct weir_expert *experts,
                         uint32_t count)
{
    char folder[WEIR_CLI_PATH_MAX];
    postpone(kept);
    if (kept->path[0] == '\0' || count == 0)
        return;
    weir_cli_folders_make(kept->path);
    if (weir_cli_cache_folder(folder, sizeof(folder)) && access(folder, W_OK) == 0)
        write_file(kept->path, experts, count);
    /* a user without such a folder, or one that is read-only, has no habits to keep */
}

void weir_cli_kept_save(struct weir_cli_kept *kept, weir_engine *engine)
{
    const struct weir_plan *plan = weir_engine_plan(engine);
    const uint32_t most = (uint32_t)weir_min(plan->n_expert_total, EXPERTS_MAX);
    if (kept->path[0] == '\0' || plan->n_slot_total >= plan->n_expert_total)
        return;
    struct weir_expert *experts = weir_heap_array(most, sizeof(*experts));
    if (experts == NULL)
        return;
    weir_cli_kept_write(kept, experts, weir_engine_kept_experts(engine, experts, most));
    weir_heap_free(experts);
}

void weir_cli_kept_free(struct weir_cli_kept *kept)
{
    weir_heap_free(kept->experts);
    *kept = (struct weir_cli_kept){0};
}
