/* replay.c - a fuzz target without a fuzzer: every file of the given folders, once. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* False, and says why, when the file cannot be read. Its bytes have a block of their own, so that a
 * sanitizer sees a read past the end. */
static int run_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct stat about;
    if (file == NULL || fstat(fileno(file), &about) != 0) {
        perror(path);
        if (file != NULL)
            fclose(file);
        return 0;
    }
    const size_t size = (size_t)about.st_size;
    uint8_t *bytes = malloc(size > 0 ? size : 1);
    const int is_read = bytes != NULL && fread(bytes, 1, size, file) == size;
    fclose(file);
    if (is_read)
        LLVMFuzzerTestOneInput(bytes, size);
    else
        fprintf(stderr, "%s: cannot read %zu bytes\n", path, size);
    free(bytes);
    return is_read;
}

/* How many files of the folder were run; -1 when one could not be. */
static int run_folder(const char *folder)
{
    struct dirent **names = NULL;
    const int name_count = scandir(folder, &names, NULL, alphasort);
    int run_count = 0;
    if (name_count < 0)
        perror(folder);
    for (int index = 0; index < name_count; index++) {
        char path[4096];
        if (run_count >= 0 && names[index]->d_name[0] != '.') {
            snprintf(path, sizeof(path), "%s/%s", folder, names[index]->d_name);
            fprintf(stderr, "%s\n", path); /* the last line before a crash is its cause */
            run_count = run_file(path) ? run_count + 1 : -1;
        }
        free(names[index]);
    }
    free(names);
    return name_count < 0 ? -1 : run_count;
}

int main(int argument_count, char **arguments)
{
    int total_count = 0;
    for (int index = 1; index < argument_count; index++) {
        const int run_count = run_folder(arguments[index]);
        if (run_count < 0)
            return 1;
        total_count += run_count;
    }
    printf("%d files\n", total_count);
    return total_count > 0 ? 0 : 1;
}
