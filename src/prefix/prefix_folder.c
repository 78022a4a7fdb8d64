/* prefix_folder.c - the files of texts of other models and layouts that lie beside ours: all
 * together have the budget, and what is not ours stays. */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "prefix/prefix_internal.h"
#include "sys/sys.h"

/* One of the other files; when it was written decides, and its number between equals. */
struct other {
    char path[512];
    struct weir_sys_stamp stamp;
};

static bool is_older(const struct weir_sys_stamp *a, const struct weir_sys_stamp *b)
{
    return a->written_ns != b->written_ns ? a->written_ns < b->written_ns : a->number < b->number;
}

/* As name_file() in prefix.c makes them. */
static bool is_name_of_texts(const char *name)
{
    static const char begin[] = "weir-", end[] = ".prefixes", digits[] = "0123456789abcdef";
    enum { DIGITS = 32 };
    return strncmp(name, begin, sizeof(begin) - 1) == 0 &&
           strspn(name + sizeof(begin) - 1, digits) == DIGITS &&
           strcmp(name + sizeof(begin) - 1 + DIGITS, end) == 0;
}

/* Bytes of all other files; and the oldest that is newer than `than` (NULL: of all). Its path is
 * empty where there is none. */
static uint64_t look(const weir_prefix *prefix, const struct weir_sys_stamp *than,
                     struct other *oldest)
{
    const char *own = strrchr(prefix->path, '/') + 1;
    uint64_t sum_bytes = 0;
    struct other at;
    oldest->path[0] = '\0';
    DIR *names = opendir(prefix->config.folder);
    for (struct dirent *name; names != NULL && (name = readdir(names)) != NULL;) {
        uint64_t bytes = 0;
        if (!is_name_of_texts(name->d_name) || strcmp(name->d_name, own) == 0 ||
            snprintf(at.path, sizeof(at.path), "%s/%s", prefix->config.folder, name->d_name) >=
                (int)sizeof(at.path) ||
            !weir_sys_file_stamp(at.path, &at.stamp) ||
            !weir_io_kept_is_ours(at.path, weir_prefix_magic, sizeof(weir_prefix_magic), &bytes))
            continue;
        sum_bytes += bytes;
        if ((than == NULL || is_older(than, &at.stamp)) &&
            (oldest->path[0] == '\0' || is_older(&at.stamp, &oldest->stamp)))
            *oldest = at;
    }
    if (names != NULL)
        closedir(names);
    return sum_bytes;
}

/* The file gives up its end: what is cut there is dropped when it is opened again. */
static void cut(weir_prefix *prefix, const struct other *other, uint64_t bytes)
{
    bool is_gone = false;
    if (weir_io_kept_shrink(other->path, weir_prefix_magic, sizeof(weir_prefix_magic), bytes,
                            WEIR_PREFIX_FILE_HEAD_BYTES, &is_gone) != 0)
        return;
    if (is_gone || !prefix->has_cut)
        weir_prefix_say(prefix,
                        "%s %s: it is of another model, context or version, and was written the "
                        "longest ago; all texts of the folder together have --prefix-bytes",
                        other->path, is_gone ? "is removed" : "becomes shorter");
    prefix->has_cut = true;
}

bool weir_prefix_folder_make_room(weir_prefix *prefix, uint64_t own_bytes)
{
    const uint64_t budget_bytes = prefix->config.disk_bytes;
    struct weir_sys_stamp tried;
    struct other oldest;
    uint64_t others_bytes = look(prefix, NULL, &oldest);
    while (own_bytes + others_bytes > budget_bytes && oldest.path[0] != '\0') {
        tried = oldest.stamp;
        cut(prefix, &oldest, own_bytes + others_bytes - budget_bytes);
        others_bytes = look(prefix, &tried, &oldest);
    }
    return own_bytes + others_bytes <= budget_bytes;
}
