/* golden.h - a folder of tests/golden: a tiny model, ids, and the logits an outside judge computed.
 */
#ifndef WEIR_TESTS_GOLDEN_H
#define WEIR_TESTS_GOLDEN_H

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GOLDEN_IDS_MAX = 1024, GOLDEN_FOLDERS_MAX = 128 };

struct golden {
    char name[64];
    char model_path[256];
    uint32_t ids[GOLDEN_IDS_MAX];
    uint32_t id_count;
    float *logits; /* [id_count][n_vocab] */
    size_t logit_count;
};

/* Read a whole file; *bytes is its size. NULL when it cannot be read. */
static inline void *golden_read(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return NULL;
    fseek(file, 0, SEEK_END);
    const long size = ftell(file);
    rewind(file);
    char *data = malloc((size_t)size + 1);
    *bytes = data == NULL ? 0 : fread(data, 1, (size_t)size, file);
    fclose(file);
    if (data != NULL)
        data[*bytes] = '\0';
    return data;
}

/* False when the folder holds no model. */
static inline bool golden_open(struct golden *golden, const char *name)
{
    char path[256];
    size_t bytes = 0;
    memset(golden, 0, sizeof(*golden));
    snprintf(golden->name, sizeof(golden->name), "%.63s", name);
    const bool is_file = strncmp(name, "directories/", strlen("directories/")) != 0;
    snprintf(golden->model_path, sizeof(golden->model_path), "tests/golden/%.63s%s", name,
             is_file ? "/model.gguf" : "");
    snprintf(path, sizeof(path), "tests/golden/%.63s/ids.txt", name);
    char *text = golden_read(path, &bytes);
    if (text == NULL)
        return false;
    char *rest = text;
    for (char *end = NULL; golden->id_count < GOLDEN_IDS_MAX; rest = end) {
        const unsigned long id = strtoul(rest, &end, 10);
        if (end == rest)
            break;
        golden->ids[golden->id_count++] = (uint32_t)id;
    }
    free(text);
    snprintf(path, sizeof(path), "tests/golden/%.63s/logits.f32", name);
    golden->logits = golden_read(path, &bytes);
    golden->logit_count = bytes / sizeof(float);
    return golden->logits != NULL;
}

static inline void golden_close(struct golden *golden)
{
    free(golden->logits);
    golden->logits = NULL;
}

/* Names of all folders of tests/golden that hold a model, sorted. */
static inline size_t golden_list(char names[GOLDEN_FOLDERS_MAX][64])
{
    size_t count = 0;
    DIR *folder = opendir("tests/golden");
    if (folder == NULL)
        return 0;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        char path[512];
        snprintf(path, sizeof(path), "tests/golden/%s/model.gguf", entry->d_name);
        FILE *file = fopen(path, "rb");
        if (file == NULL || count == GOLDEN_FOLDERS_MAX)
            continue;
        fclose(file);
        snprintf(names[count++], 64, "%.63s", entry->d_name);
    }
    closedir(folder);
    qsort(names, count, 64, (int (*)(const void *, const void *))strcmp);
    return count;
}

#endif
