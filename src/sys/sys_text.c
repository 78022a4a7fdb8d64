/* sys_text.c - small texts of /proc and /sys: read whole, numbers and words found. */
#include "sys/sys_internal.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool weir_sys_text_read(const char *root, const char *path, char *out, size_t capacity)
{
    char name[3 * WEIR_SYS_PATH_MAX];
    const int length = snprintf(name, sizeof(name), "%s%s", root, path);
    if (length < 0 || (size_t)length >= sizeof(name))
        return false;
    const int fd = open(name, O_RDONLY | O_CLOEXEC);
    const bool found = weir_sys_text_sample(fd, out, capacity);
    if (fd >= 0)
        close(fd);
    return found;
}

bool weir_sys_text_sample(int fd, char *out, size_t capacity)
{
    size_t used = 0;
    if (fd < 0)
        return false;
    while (used + 1 < capacity) {
        const ssize_t got = pread(fd, out + used, capacity - 1 - used, (off_t)used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        used += (size_t)got;
    }
    out[used] = '\0';
    return used > 0;
}

bool weir_sys_text_number(const char *text, const char *key, uint64_t *number)
{
    const size_t key_length = strlen(key);
    for (const char *line = text; line != NULL && *line != '\0';) {
        if (strncmp(line, key, key_length) == 0 &&
            (line[key_length] == ':' || isblank((unsigned char)line[key_length]))) {
            const char *digits = line + key_length + strspn(line + key_length, ": \t");
            if (!isdigit((unsigned char)*digits))
                return false;
            *number = strtoull(digits, NULL, 10);
            return true;
        }
        line = strchr(line, '\n');
        if (line != NULL)
            line++;
    }
    return false;
}

bool weir_sys_text_has_word(const char *list, char separator, const char *word)
{
    const size_t length = strlen(word);
    for (const char *found = strstr(list, word); found != NULL; found = strstr(found + 1, word)) {
        const char after = found[length];
        const bool starts = found == list || found[-1] == separator;
        if (starts && (after == separator || after == '\0' || after == '\n'))
            return true;
    }
    return false;
}
