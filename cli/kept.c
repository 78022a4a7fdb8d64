/* kept.c - the experts that were worth the most to a run, and how often it used them, for the next
 * run of the same model to begin with: one small text file for each model in the user's cache
 * folder. */
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/heap.h"
#include "cli.h"

enum { EXPERTS_MAX = 4096 };
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

bool weir_cli_kept_load(struct weir_cli_kept *kept, const char *model_path)
{
    char line[64];
    *kept = (struct weir_cli_kept){0};
    if (!weir_cli_kept_name(kept->path, sizeof(kept->path), "experts", model_path))
        return false;
    FILE *file = fopen(kept->path, "re");
    if (file == NULL)
        return false;
    kept->experts = weir_heap_array(EXPERTS_MAX, sizeof(*kept->experts));
    if (kept->experts != NULL && fgets(line, sizeof(line), file) != NULL &&
        strcmp(line, FIRST_LINE) == 0)
        while (kept->count < EXPERTS_MAX && fgets(line, sizeof(line), file) != NULL) {
            struct weir_expert *expert = &kept->experts[kept->count];
            if (sscanf(line, "%" SCNu32 " %" SCNu32 " %f", &expert->layer, &expert->expert,
                       &expert->share) != 3)
                break;
            kept->count++;
        }
    fclose(file);
    return kept->count > 0;
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

void weir_cli_kept_save(const struct weir_cli_kept *kept, weir_engine *engine)
{
    const struct weir_plan *plan = weir_engine_plan(engine);
    char folder[WEIR_CLI_PATH_MAX];
    if (kept->path[0] == '\0' || plan->n_slot_total >= plan->n_expert_total)
        return;
    weir_cli_folders_make(kept->path);
    if (!weir_cli_cache_folder(folder, sizeof(folder)) || access(folder, W_OK) != 0)
        return; /* a user without such a folder, or one that is read-only, has no habits to keep */
    struct weir_expert *experts = weir_heap_array(EXPERTS_MAX, sizeof(*experts));
    if (experts == NULL)
        return;
    const uint32_t count = weir_engine_kept_experts(engine, experts, EXPERTS_MAX);
    if (count > 0)
        write_file(kept->path, experts, count);
    weir_heap_free(experts);
}

void weir_cli_kept_free(struct weir_cli_kept *kept)
{
    weir_heap_free(kept->experts);
    *kept = (struct weir_cli_kept){0};
}
