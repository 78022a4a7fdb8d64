/* client_keys.c - the keys that clients of a server must show, and what each is worth.
 *
 * No message has a word of such a file: it may be a key. */
#include "client_keys.h"

#include <stdlib.h>
#include <string.h>

enum {
    FILE_BYTES_MAX = 64 << 10,
    LENGTH_MIN = 16,
    WEIGHT_MAX = 1000,
};

static bool add_key(struct weir_cli_client_keys *keys, const char *text, uint32_t weight,
                    const char *where)
{
    if (strlen(text) < LENGTH_MIN || keys->count == WEIR_CLI_KEY_MAX) {
        weir_cli_say("%s: wanted at most %d keys of at least %d characters, found one of %zu",
                     where, WEIR_CLI_KEY_MAX, LENGTH_MIN, strlen(text));
        return false;
    }
    for (size_t index = 0; index < keys->count; index++)
        if (strcmp(keys->keys[index].text, text) == 0) {
            weir_cli_say("%s: wanted each key once, found key %zu again", where, index + 1);
            return false;
        }
    keys->keys[keys->count++] = (struct weir_serve_key){text, weight};
    return true;
}

/* "weight=N"; 0: it is something else. */
static uint32_t read_weight(const char *word)
{
    static const char name[] = "weight=";
    char *end = NULL;
    if (strncmp(word, name, sizeof(name) - 1) != 0)
        return 0;
    word += sizeof(name) - 1;
    const unsigned long value = *word < '0' || *word > '9' ? 0 : strtoul(word, &end, 10);
    return value > WEIGHT_MAX || end == NULL || *end != '\0' ? 0 : (uint32_t)value;
}

static bool read_line(struct weir_cli_client_keys *keys, char *line, const char *where)
{
    static const char space[] = " \t\r";
    char *rest = NULL;
    const char *text = strtok_r(line, space, &rest);
    const char *word = strtok_r(NULL, space, &rest);
    if (text == NULL || text[0] == '#')
        return true;
    const uint32_t weight = word == NULL ? 1 : read_weight(word);
    if (weight == 0 || strtok_r(NULL, space, &rest) != NULL) {
        weir_cli_say("%s: wanted KEY, or KEY weight=N with N from 1 to %d, found something else "
                     "behind the key",
                     where, WEIGHT_MAX);
        return false;
    }
    return add_key(keys, text, weight, where);
}

bool weir_cli_client_keys_read(struct weir_cli_client_keys *keys, const char *path)
{
    const char *given = getenv("WEIR_API_KEY");
    char where[WEIR_CLI_PATH_MAX + 32];
    if (path == NULL)
        return given == NULL || add_key(keys, given, 1, "WEIR_API_KEY");
    if (!weir_cli_file_read(&keys->text, "--api-key-file", path, FILE_BYTES_MAX))
        return false;
    char *line = keys->text.bytes;
    for (size_t number = 1; line != NULL; number++) {
        char *end = strchr(line, '\n');
        if (end != NULL)
            *end++ = '\0';
        snprintf(where, sizeof(where), "%s:%zu", path, number);
        if (!read_line(keys, line, where))
            return false;
        line = end;
    }
    if (keys->count == 0)
        weir_cli_say("--api-key-file %s: wanted a key, found none", path);
    return keys->count > 0;
}

void weir_cli_client_keys_free(struct weir_cli_client_keys *keys)
{
    weir_cli_buffer_free(&keys->text);
    keys->count = 0;
}
