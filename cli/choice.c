/* choice.c - which files of a repository are one model, and which model is taken. */
#include <string.h>
#include <strings.h>

#include "base/heap.h"
#include "net.h"

/* Files that are one GGUF model; first is the number of one of them in the list. */
struct group {
    size_t first, length; /* of the name without a part's end */
    uint64_t bytes;
    unsigned there, wanted;
};

static bool ends_with(const char *name, const char *end)
{
    const size_t length = strlen(name);
    const size_t end_length = strlen(end);
    return length >= end_length && strcasecmp(name + length - end_length, end) == 0;
}

bool weir_cli_part_split(const char *name, size_t *stem, unsigned *number, unsigned *count)
{
    static const char shape[] = "-00001-of-00003.gguf";
    const size_t length = strlen(name);
    if (length < sizeof(shape))
        return false;
    const char *end = name + length - (sizeof(shape) - 1);
    unsigned values[2] = {0, 0};
    for (size_t at = 0; at < sizeof(shape) - 1; at++) {
        const bool is_digit = end[at] >= '0' && end[at] <= '9';
        if (shape[at] >= '0' && shape[at] <= '9' ? !is_digit : end[at] != shape[at])
            return false;
        unsigned *value = &values[at > 6];
        if (is_digit)
            *value = *value * 10 + (unsigned)(end[at] - '0');
    }
    if (values[0] < 1 || values[0] > values[1] || values[1] > WEIR_CLI_REMOTE_MAX)
        return false;
    *stem = (size_t)(end - name);
    *number = values[0];
    *count = values[1];
    return true;
}

/* Projectors of pictures and matrices of importance are no models of their own. */
static bool is_model(const char *name)
{
    const char *slash = strrchr(name, '/');
    const char *last = slash == NULL ? name : slash + 1;
    return ends_with(name, ".gguf") && strncasecmp(last, "mmproj", 6) != 0 &&
           strcasestr(last, "imatrix") == NULL;
}

static size_t stem_length(const char *name)
{
    size_t stem;
    unsigned number, count;
    return weir_cli_part_split(name, &stem, &number, &count) ? stem : strlen(name);
}

static bool is_of_group(const struct weir_cli_remote *remote, const struct group *group,
                        const char *name)
{
    return stem_length(name) == group->length &&
           strncmp(name, remote->files[group->first].name, group->length) == 0;
}

static size_t find_groups(const struct weir_cli_remote *remote, struct group *groups)
{
    size_t count = 0;
    for (size_t index = 0; index < remote->count; index++) {
        const struct weir_cli_remote_file *file = &remote->files[index];
        size_t at = 0;
        size_t stem;
        unsigned number, wanted = 1;
        if (!is_model(file->name))
            continue;
        while (at < count && !is_of_group(remote, &groups[at], file->name))
            at++;
        weir_cli_part_split(file->name, &stem, &number, &wanted);
        if (at == count)
            groups[count++] =
                (struct group){.first = index, .length = stem_length(file->name), .wanted = wanted};
        groups[at].there++;
        groups[at].bytes = file->bytes == UINT64_MAX || groups[at].bytes == UINT64_MAX
                               ? UINT64_MAX
                               : groups[at].bytes + file->bytes;
    }
    return count;
}

static void show_groups(const struct weir_cli_remote *remote, const struct group *groups,
                        size_t count)
{
    char size[32];
    for (size_t index = 0; index < count; index++) {
        const bool is_known = groups[index].bytes != UINT64_MAX;
        fprintf(stderr, "  %10s  %s\n",
                is_known ? weir_format_size(groups[index].bytes, size, sizeof(size)) : "",
                weir_cli_shown(remote->files[groups[index].first].name));
    }
    if (count > 0)
        fprintf(stderr, "Name one: weir pull hf:%s/%s\n", remote->repository,
                weir_cli_shown(remote->files[groups[0].first].name));
}

/* Only those that keep says stay, in their order. */
static bool keep_group(struct weir_cli_remote *remote, const struct group *group)
{
    const struct group chosen = *group;
    char first[WEIR_CLI_NAME_MAX];
    size_t count = 0;
    if (chosen.there != chosen.wanted) {
        weir_cli_say("%s: wanted %u parts, the repository has %u", remote->files[chosen.first].name,
                     chosen.wanted, chosen.there);
        return false;
    }
    snprintf(first, sizeof(first), "%s", remote->files[chosen.first].name);
    for (size_t index = 0; index < remote->count; index++)
        if (stem_length(remote->files[index].name) == chosen.length &&
            strncmp(remote->files[index].name, first, chosen.length) == 0 &&
            is_model(remote->files[index].name))
            remote->files[count++] = remote->files[index];
    remote->count = count;
    return true;
}

/* The only group whose name has the word in it; count when there is none, or several: *matches. */
static size_t find_match(const struct weir_cli_remote *remote, const struct group *groups,
                         size_t count, const char *word, size_t *matches)
{
    size_t found = count;
    *matches = 0;
    for (size_t index = 0; index < count; index++)
        if (strcasestr(remote->files[groups[index].first].name, word) != NULL) {
            found = index;
            ++*matches;
        }
    return *matches == 1 ? found : count;
}

/* What a directory needs to be opened: not its pictures, nor its weights in other formats. */
static bool is_of_folder(const char *name)
{
    static const char *const ends[] = {".json", ".safetensors", ".jinja", ".txt", ".model"};
    if (strchr(name, '/') != NULL || strncasecmp(name, "consolidated", 12) == 0)
        return false;
    for (size_t index = 0; index < WEIR_COUNT(ends); index++)
        if (ends_with(name, ends[index]))
            return true;
    return false;
}

static bool keep_folder(struct weir_cli_remote *remote)
{
    bool has_weights = false;
    bool has_config = false;
    size_t count = 0;
    for (size_t index = 0; index < remote->count; index++) {
        const char *name = remote->files[index].name;
        if (!is_of_folder(name))
            continue;
        has_weights = has_weights || ends_with(name, ".safetensors");
        has_config = has_config || strcmp(name, "config.json") == 0;
        remote->files[count++] = remote->files[index];
    }
    remote->count = count;
    remote->is_folder = true;
    if (has_weights && has_config)
        return true;
    weir_cli_say("%s: wanted GGUF files, or config.json and safetensors, found neither",
                 remote->repository);
    return false;
}

/* A file of just this name, or a part's fellows. */
static bool keep_named(struct weir_cli_remote *remote, const struct group *groups, size_t count,
                       const char *wanted, bool *ok)
{
    for (size_t index = 0; index < remote->count; index++) {
        if (strcmp(remote->files[index].name, wanted) != 0)
            continue;
        for (size_t group = 0; group < count; group++)
            if (is_of_group(remote, &groups[group], wanted)) {
                *ok = keep_group(remote, &groups[group]);
                return true;
            }
        remote->files[0] = remote->files[index];
        remote->count = 1;
        return *ok = true;
    }
    return false;
}

static bool choose_named(struct weir_cli_remote *remote, const struct group *groups, size_t count,
                         const char *wanted)
{
    bool ok = false;
    size_t matches = 0;
    if (keep_named(remote, groups, count, wanted, &ok))
        return ok;
    const size_t match = find_match(remote, groups, count, wanted, &matches);
    if (match < count) {
        weir_cli_say("taking %s", remote->files[groups[match].first].name);
        return keep_group(remote, &groups[match]);
    }
    weir_cli_say(matches == 0 ? "%s has no file %s%s"
                              : "%s has several files with %s in their name%s",
                 remote->repository, wanted, count == 0 ? "" : "; it has");
    show_groups(remote, groups, count);
    return false;
}

static bool choose_one(struct weir_cli_remote *remote, const struct group *groups, size_t count)
{
    size_t matches = 0;
    if (count == 0)
        return keep_folder(remote);
    if (count == 1)
        return keep_group(remote, &groups[0]);
    const size_t usual = find_match(remote, groups, count, "Q4_K_M", &matches);
    if (usual == count) {
        weir_cli_say("%s has %zu models, and none of them is the one Q4_K_M that would be taken",
                     remote->repository, count);
        show_groups(remote, groups, count);
        return false;
    }
    weir_cli_say("%s has %zu models; taking %s, the usual balance of size and quality",
                 remote->repository, count, remote->files[groups[usual].first].name);
    show_groups(remote, groups, count);
    return keep_group(remote, &groups[usual]);
}

bool weir_cli_remote_choose(struct weir_cli_remote *remote, const char *wanted)
{
    struct group *groups = weir_heap_array(weir_max(remote->count, 1), sizeof(*groups));
    if (groups == NULL) {
        weir_cli_say("no memory for the names of %zu files", remote->count);
        return false;
    }
    const size_t count = find_groups(remote, groups);
    const bool ok = wanted == NULL ? choose_one(remote, groups, count)
                                   : choose_named(remote, groups, count, wanted);
    weir_heap_free(groups);
    return ok;
}
