/* option_settings.c - options that stand in the environment and in a file of settings.
 *
 * I1  What is said nearer to the command wins: its words, then the environment, then the file. An
 *     option that contradicts a nearer one is out of place there, and is not taken.
 * I2  A line that no command could read is an error whichever command runs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "cli.h"

enum { FILE_BYTES_MAX = 1 << 16, KEY_MAX = 48 };

/* ---- rows by key --------------------------------------------------------------------------- */

/* Whether key is one of the row's names without its dashes. */
static bool has_key(const struct weir_cli_option_row *row, const char *key)
{
    char name[KEY_MAX + 3];
    const int length = snprintf(name, sizeof(name), "--%s", key);
    for (int dashes = 0; dashes < 2; dashes++)
        if (weir_cli_is_name(name + dashes, (size_t)(length - dashes), row->flag) ||
            weir_cli_is_name(name + dashes, (size_t)(length - dashes), row->aliases))
            return true;
    return false;
}

/* What is only asked for in words. */
static bool is_for_words(size_t id)
{
    return id == WEIR_CLI_OPTION_help || id == WEIR_CLI_OPTION_version ||
           id == WEIR_CLI_OPTION_config;
}

/* The next row with this key of one of the commands; COUNT when there is no more. */
static size_t find_key(const char *key, unsigned commands, size_t from)
{
    for (size_t id = from; id < WEIR_CLI_OPTION_COUNT; id++)
        if ((weir_cli_option_rows[id].commands & commands) != 0 && !is_for_words(id) &&
            has_key(&weir_cli_option_rows[id], key))
            return id;
    return WEIR_CLI_OPTION_COUNT;
}

/* Whether some command reads the value so. */
static bool is_readable(const char *key, const char *value)
{
    static struct weir_cli_options scratch;
    for (size_t id = find_key(key, WEIR_CLI_ALL, 0); id < WEIR_CLI_OPTION_COUNT;
         id = find_key(key, WEIR_CLI_ALL, id + 1)) {
        scratch = weir_cli_option_defaults;
        if (weir_cli_option_read(&weir_cli_option_rows[id], value, &scratch))
            return true;
    }
    return false;
}

/* ---- one setting --------------------------------------------------------------------------- */

/* where names the line or the variable. False: it has been said. nearer: what was given before. */
static bool take_setting(struct weir_cli_options *options, const struct weir_cli_command *command,
                         const bool *nearer, const char *where, const char *key, const char *value)
{
    const size_t any = find_key(key, WEIR_CLI_ALL, 0);
    const size_t id = find_key(key, command->bit, 0);
    char wanted[96];
    if (any == WEIR_CLI_OPTION_COUNT) {
        const char *nearest = weir_cli_option_nearest(WEIR_CLI_ALL, key);
        nearest = nearest == NULL ? NULL : nearest + strspn(nearest, "-");
        weir_cli_misuse(command->name, "%s: no option is called %s%s%s%s", where, key,
                        nearest == NULL ? "" : "; did you mean ", nearest == NULL ? "" : nearest,
                        nearest == NULL ? "" : "?");
        return false;
    }
    const bool is_ours = id < WEIR_CLI_OPTION_COUNT;
    const bool is_taken =
        is_ours && !nearer[id] && !weir_cli_option_excluded(nearer, (enum weir_cli_option_id)id);
    if (is_taken ? weir_cli_option_read(&weir_cli_option_rows[id], value, options)
                 : is_readable(key, value)) {
        if (is_taken)
            options->given[id] = true;
        return true;
    }
    weir_cli_option_wanted(&weir_cli_option_rows[is_ours ? id : any], wanted, sizeof(wanted));
    weir_cli_misuse(command->name, "%s: %s: wanted %s, found \"%s\"", where, key, wanted, value);
    return false;
}

static bool read_environment(struct weir_cli_options *options,
                             const struct weir_cli_command *command, const bool *nearer)
{
    static const char *const names[][2] = {{"WEIR_MEM", "mem"}, {"WEIR_THREADS", "threads"}};
    for (size_t index = 0; index < WEIR_COUNT(names); index++) {
        const char *value = getenv(names[index][0]);
        if (value != NULL && value[0] != '\0' &&
            !take_setting(options, command, nearer, names[index][0], names[index][1], value))
            return false;
    }
    return true;
}

/* ---- the file ------------------------------------------------------------------------------ */

/* The file of --config, or the one in the user's folder: the XDG base directory specification. */
static bool name_file(const struct weir_cli_options *options, char *path, size_t capacity)
{
    const char *config = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    int length = 0;
    if (options->config != NULL)
        length = snprintf(path, capacity, "%s", options->config);
    else if (config != NULL && config[0] == '/')
        length = snprintf(path, capacity, "%s/weir/config", config);
    else if (home != NULL && home[0] == '/')
        length = snprintf(path, capacity, "%s/.config/weir/config", home);
    return length > 0 && (size_t)length < capacity;
}

/* Its bytes and a zero, which stay for as long as the process; NULL and *ok when there is none. */
static char *load_file(const char *path, bool is_asked_for, bool *ok)
{
    FILE *file = fopen(path, "re");
    *ok = file != NULL || (!is_asked_for && (errno == ENOENT || errno == ENOTDIR));
    if (file == NULL) {
        if (!*ok)
            weir_cli_say("cannot open the settings in %s: %s", path, strerror(errno));
        return NULL;
    }
    char *bytes = weir_heap_alloc(FILE_BYTES_MAX + 1);
    const size_t length = bytes == NULL ? 0 : fread(bytes, 1, FILE_BYTES_MAX + 1, file);
    *ok = bytes != NULL && ferror(file) == 0 && length <= FILE_BYTES_MAX &&
          memchr(bytes, '\0', length) == NULL;
    if (*ok)
        bytes[length] = '\0';
    else if (bytes != NULL && ferror(file) == 0)
        weir_cli_say("%s: wanted at most %d bytes of text, found %s", path, FILE_BYTES_MAX,
                     length > FILE_BYTES_MAX ? "more" : "a zero byte");
    else
        weir_cli_say("cannot read the settings in %s: %s", path, strerror(errno));
    fclose(file);
    return bytes;
}

static char *trim(char *text)
{
    static const char space[] = " \t\r";
    text += strspn(text, space);
    size_t length = strlen(text);
    while (length > 0 && strchr(space, text[length - 1]) != NULL)
        length--;
    text[length] = '\0';
    return text;
}

/* "key = value"; quotes around the value keep its spaces. */
static bool read_line(struct weir_cli_options *options, const struct weir_cli_command *command,
                      const bool *nearer, const char *where, char *line)
{
    char *value = strchr(line, '=');
    if (value == NULL) {
        weir_cli_misuse(command->name, "%s: wanted key = value, found \"%s\"", where, line);
        return false;
    }
    *value = '\0';
    value = trim(value + 1);
    const size_t length = strlen(value);
    if (length >= 2 && value[0] == '"' && value[length - 1] == '"') {
        value[length - 1] = '\0';
        value++;
    }
    return take_setting(options, command, nearer, where, trim(line), value);
}

static bool read_file(struct weir_cli_options *options, const struct weir_cli_command *command,
                      const bool *nearer)
{
    char path[WEIR_CLI_PATH_MAX];
    char where[WEIR_CLI_PATH_MAX + 32];
    bool ok = true;
    if (!name_file(options, path, sizeof(path)))
        return true;
    char *line = load_file(path, options->config != NULL, &ok);
    for (size_t number = 1; ok && line != NULL; number++) {
        char *end = strchr(line, '\n');
        if (end != NULL)
            *end = '\0';
        line = trim(line);
        snprintf(where, sizeof(where), "%s:%zu", path, number);
        if (line[0] != '\0' && line[0] != '#')
            ok = read_line(options, command, nearer, where, line);
        line = end == NULL ? NULL : end + 1;
    }
    return ok;
}

bool weir_cli_settings_read(struct weir_cli_options *options,
                            const struct weir_cli_command *command)
{
    bool nearer[WEIR_CLI_OPTION_COUNT];
    memcpy(nearer, options->given, sizeof(nearer));
    if (!read_environment(options, command, nearer))
        return false;
    memcpy(nearer, options->given, sizeof(nearer));
    return read_file(options, command, nearer);
}
