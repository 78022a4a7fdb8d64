/* prefix_toy.h - a toy state whose texts are kept in a file, and come back from it. */
#ifndef WEIR_PREFIX_TOY_H
#define WEIR_PREFIX_TOY_H

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "pace.h"
#include "prefix/prefix_internal.h"
#include "state_toy.h"

#define MEBIBYTE (UINT64_C(1) << 20)

/* What a store was told to say, and what came of a recall. */
struct told {
    char last[1024];
    uint32_t count, arrived, length;
};

static char folder[64];

static inline void say(void *user, const char *text)
{
    struct told *told = user;
    snprintf(told->last, sizeof(told->last), "%s", text);
    told->count++;
}

static inline void arrive(void *user, uint32_t length)
{
    struct told *told = user;
    told->arrived++;
    told->length = length;
}

/* On the disk of the checkout: a memory file system is refused. */
static inline void make_folder(void)
{
    mkdir("build", 0777);
    snprintf(folder, sizeof(folder), "build/prefix-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
}

static inline void visit_files(void (*visit)(const char *path))
{
    char path[512];
    DIR *names = opendir(folder);
    assert_non_null(names);
    for (struct dirent *name; (name = readdir(names)) != NULL;)
        if (name->d_name[0] != '.') {
            snprintf(path, sizeof(path), "%s/%s", folder, name->d_name);
            visit(path);
        }
    closedir(names);
}

static inline void remove_file(const char *path)
{
    unlink(path);
}

static inline void remove_folder(void)
{
    visit_files(remove_file);
    rmdir(folder);
}

static inline struct weir_prefix_config config_of(struct told *told)
{
    *told = (struct told){.count = 0};
    return (struct weir_prefix_config){
        .folder = folder,
        .disk_bytes = 64 * MEBIBYTE,
        .identity = {.model = {1, 2, 3}, .layout = {4, 5, 6}},
        .say = say,
        .user = told,
        .arrived = arrive,
    };
}

static inline enum weir_status try_store(weir_prefix **prefix, struct toy *toy,
                                         const struct weir_prefix_config *config,
                                         struct weir_err *err)
{
    struct weir_state_shape shape;
    weir_state_shape_get(toy->state, &shape);
    const enum weir_status status = weir_prefix_open(prefix, &shape, config, err);
    if (status == WEIR_OK)
        weir_prefix_bind(*prefix, toy->state);
    return status;
}

static inline weir_prefix *open_store(struct toy *toy, const struct weir_prefix_config *config)
{
    struct weir_err err = {0};
    weir_prefix *prefix = NULL;
    if (try_store(&prefix, toy, config, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    return prefix;
}

static inline struct weir_prefix_counts counts_of(const weir_prefix *prefix)
{
    struct weir_prefix_counts counts;
    weir_prefix_counts_get(prefix, &counts);
    return counts;
}

static inline void wait_for_all(weir_prefix *prefix)
{
    while (weir_prefix_wait(prefix, -1))
        ;
}

/* An empty text gets what the file has of these ids; at most so many could come, see *wanted. */
static inline void recall_text(struct toy *toy, weir_prefix *prefix, struct told *told,
                               struct text *text, const uint32_t *ids, uint32_t count,
                               uint32_t *wanted)
{
    struct weir_err err = {0};
    struct weir_prefix_find found;
    const uint32_t before = told->arrived;
    if (weir_prefix_recall_begin(prefix, text->sequence, ids, count, &found, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    *wanted = found.length;
    text->length = 0;
    if (found.length == 0)
        return;
    assert_true(found.length < count);
    if (weir_state_populate(toy->state, found.lack, &err) != WEIR_OK ||
        weir_prefix_recall_go(prefix, text->sequence, ids, told, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    weir_prefix_settle(prefix, text->sequence);
    assert_int_equal(told->arrived, before + 1);
    assert_true(told->length <= found.length);
    text->length = told->length;
    memcpy(text->ids, ids, text->length * sizeof(*ids));
    check_text(toy, text);
}

#endif
