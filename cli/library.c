/* library.c - the folder that weir pull fills: what is in it, and which model a name means. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/heap.h"
#include "net.h"

enum { DEPTH_MAX = 6 };

/* ---- the folder ------------------------------------------------------------------------------ */

bool weir_cli_library_place(char folder[WEIR_CLI_PATH_MAX], const struct weir_cli_options *options)
{
    const char *named = options->models != NULL ? options->models : getenv("WEIR_MODELS");
    const char *data = getenv("XDG_DATA_HOME");
    const char *home = getenv("HOME");
    int length = 0;
    if (named != NULL && named[0] != '\0')
        length = snprintf(folder, WEIR_CLI_PATH_MAX, "%s", named);
    else if (data != NULL && data[0] == '/')
        length = snprintf(folder, WEIR_CLI_PATH_MAX, "%s/weir/models", data);
    else if (home != NULL && home[0] == '/')
        length = snprintf(folder, WEIR_CLI_PATH_MAX, "%s/.local/share/weir/models", home);
    while (length > 1 && length < WEIR_CLI_PATH_MAX && folder[length - 1] == '/')
        folder[--length] = '\0';
    return length > 0 && length < WEIR_CLI_PATH_MAX;
}

bool weir_cli_library_folder(char folder[WEIR_CLI_PATH_MAX], const struct weir_cli_options *options)
{
    const bool found = weir_cli_library_place(folder, options);
    if (!found)
        weir_cli_say(
            "nothing says where models are kept: wanted --models DIR, WEIR_MODELS or HOME");
    return found;
}

/* ---- what is in it --------------------------------------------------------------------------- */

static bool ends_with(const char *name, const char *end)
{
    const size_t length = strlen(name);
    const size_t end_length = strlen(end);
    return length > end_length && strcasecmp(name + length - end_length, end) == 0;
}

static struct weir_cli_held *find_name(struct weir_cli_library *library, const char *name)
{
    for (size_t index = 0; index < library->count; index++)
        if (strcmp(library->models[index].name, name) == 0)
            return &library->models[index];
    return NULL;
}

/* NULL: no memory, or too many; it has been said. */
static struct weir_cli_held *add_kept(struct weir_cli_library *library, const char *name,
                                      const char *path)
{
    if (library->count == WEIR_CLI_LIBRARY_MAX) {
        weir_cli_say("%s: wanted at most %d models, found more", library->folder,
                     WEIR_CLI_LIBRARY_MAX);
        return NULL;
    }
    struct weir_cli_held *grown =
        weir_heap_grow(library->models, (library->count + 1) * sizeof(*grown));
    char *own_name = weir_heap_text(name);
    char *own_path = weir_heap_text(path);
    library->models = grown == NULL ? library->models : grown;
    if (grown == NULL || own_name == NULL || own_path == NULL) {
        weir_heap_free(own_name);
        weir_heap_free(own_path);
        weir_cli_say("no memory for the names of %zu models", library->count + 1);
        return NULL;
    }
    struct weir_cli_held *kept = &grown[library->count++];
    *kept = (struct weir_cli_held){.name = own_name, .path = own_path, .part_count = 1};
    return kept;
}

/* A file: a model, a part of one, or one that is not finished. */
static bool add_file(struct weir_cli_library *library, const char *path, uint64_t bytes)
{
    char name[WEIR_CLI_PATH_MAX];
    char first[WEIR_CLI_PATH_MAX];
    size_t stem;
    unsigned number = 1, count = 1;
    snprintf(name, sizeof(name), "%s", path);
    const bool is_unfinished = ends_with(name, ".gguf.part");
    if (is_unfinished)
        name[strlen(name) - strlen(".part")] = '\0';
    if (!ends_with(name, ".gguf"))
        return true;
    snprintf(first, sizeof(first), "%s", name);
    if (weir_cli_part_split(name, &stem, &number, &count)) {
        memcpy(first + stem, "-00001-", strlen("-00001-"));
        name[stem] = '\0';
    } else {
        name[strlen(name) - strlen(".gguf")] = '\0';
    }
    const char *relative = name + strlen(library->folder) + 1;
    struct weir_cli_held *kept = find_name(library, relative);
    if (kept == NULL)
        kept = add_kept(library, relative, first);
    if (kept == NULL)
        return false;
    kept->part_count = count;
    kept->parts_there += !is_unfinished;
    kept->is_unfinished = kept->is_unfinished || is_unfinished;
    kept->bytes += bytes;
    return true;
}

/* The files of a Hugging Face directory are one model. */
static bool add_folder(struct weir_cli_library *library, const char *path)
{
    char file[WEIR_CLI_PATH_MAX];
    struct stat facts;
    struct weir_cli_held *kept = add_kept(library, path + strlen(library->folder) + 1, path);
    DIR *folder = kept == NULL ? NULL : opendir(path);
    if (kept == NULL)
        return false;
    kept->is_folder = true;
    kept->parts_there = 1;
    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;) {
        if ((size_t)snprintf(file, sizeof(file), "%s/%s", path, entry->d_name) >= sizeof(file) ||
            stat(file, &facts) != 0 || !S_ISREG(facts.st_mode))
            continue;
        kept->is_unfinished = kept->is_unfinished || ends_with(entry->d_name, ".part");
        kept->bytes += ends_with(entry->d_name, ".safetensors") ||
                               ends_with(entry->d_name, ".safetensors.part")
                           ? (uint64_t)facts.st_size
                           : 0;
    }
    if (folder != NULL)
        closedir(folder);
    return true;
}

static bool is_model_folder(const char *path)
{
    char file[WEIR_CLI_PATH_MAX];
    struct stat facts;
    return (size_t)snprintf(file, sizeof(file), "%s/config.json", path) < sizeof(file) &&
           stat(file, &facts) == 0;
}

static bool read_folder(struct weir_cli_library *library, const char *path, int depth)
{
    char inner[WEIR_CLI_PATH_MAX];
    struct stat facts;
    bool ok = true;
    DIR *folder = opendir(path);
    if (folder == NULL && (errno == ENOENT || depth > 0))
        return true;
    if (folder == NULL) {
        weir_cli_say("cannot read the folder of models, %s: %s", path, strerror(errno));
        return false;
    }
    for (struct dirent *entry; ok && (entry = readdir(folder)) != NULL;) {
        if (entry->d_name[0] == '.' ||
            (size_t)snprintf(inner, sizeof(inner), "%s/%s", path, entry->d_name) >= sizeof(inner) ||
            stat(inner, &facts) != 0)
            continue;
        if (S_ISREG(facts.st_mode))
            ok = add_file(library, inner, (uint64_t)facts.st_size);
        else if (S_ISDIR(facts.st_mode) && is_model_folder(inner))
            ok = add_folder(library, inner);
        else if (S_ISDIR(facts.st_mode) && depth < DEPTH_MAX)
            ok = read_folder(library, inner, depth + 1);
    }
    closedir(folder);
    return ok;
}

static int compare_names(const void *one, const void *other)
{
    return strcmp(((const struct weir_cli_held *)one)->name,
                  ((const struct weir_cli_held *)other)->name);
}

bool weir_cli_library_read(struct weir_cli_library *library, const struct weir_cli_options *options)
{
    *library = (struct weir_cli_library){0};
    if (!weir_cli_library_place(library->folder, options))
        return true; /* and so nothing is kept */
    if (!read_folder(library, library->folder, 0)) {
        weir_cli_library_free(library);
        return false;
    }
    if (library->count > 0)
        qsort(library->models, library->count, sizeof(*library->models), compare_names);
    return true;
}

void weir_cli_library_free(struct weir_cli_library *library)
{
    for (size_t index = 0; index < library->count; index++) {
        weir_heap_free(library->models[index].name);
        weir_heap_free(library->models[index].path);
    }
    weir_heap_free(library->models);
    library->models = NULL;
    library->count = 0;
}

/* ---- names ----------------------------------------------------------------------------------- */

/* Whether word is the whole name, or its end after a slash; letters may be small or large. */
static bool is_end(const char *name, const char *word, size_t length)
{
    const size_t whole = strlen(name);
    return length > 0 && length <= whole && strncasecmp(name + whole - length, word, length) == 0 &&
           (length == whole || name[whole - length - 1] == '/');
}

/* The name, with .gguf or not, or that of the repository that it is from. */
static bool is_named(const struct weir_cli_held *kept, const char *word)
{
    char folder[WEIR_CLI_PATH_MAX];
    const size_t length = strlen(word) - (ends_with(word, ".gguf") ? strlen(".gguf") : 0);
    snprintf(folder, sizeof(folder), "%s", kept->name);
    char *slash = strrchr(folder, '/');
    if (is_end(kept->name, word, length))
        return true;
    if (slash == NULL || kept->is_folder)
        return false;
    *slash = '\0';
    return is_end(folder, word, strlen(word));
}

const char *weir_cli_library_short(const struct weir_cli_library *library, size_t index)
{
    const char *name = library->models[index].name;
    for (const char *at = name + strlen(name); at > name; at--) {
        size_t count = 0;
        if (at[-1] != '/')
            continue;
        for (size_t other = 0; other < library->count; other++)
            count += is_named(&library->models[other], at);
        if (count == 1)
            return at;
    }
    return name;
}

/* ---- what a command is to open ----------------------------------------------------------- */

static char resolved[WEIR_CLI_PATH_MAX];

static int say_several(const struct weir_cli_library *library, const char *word)
{
    weir_cli_say("\"%s\" is the name of several models; name one of them:", word);
    for (size_t index = 0; index < library->count; index++)
        if (is_named(&library->models[index], word))
            fprintf(stderr, "  %s\n", weir_cli_shown(library->models[index].name));
    return WEIR_CLI_FAILURE;
}

/* Whether a word is meant as a path: then the command says what is wrong with it. */
static bool is_path(const char *word)
{
    return strchr(word, '/') != NULL || word[0] == '.' || ends_with(word, ".gguf") ||
           ends_with(word, ".json") || strlen(word) >= WEIR_CLI_PATH_MAX;
}

static int say_unknown(const struct weir_cli_library *library, const char *word)
{
    const char **names = weir_heap_array(library->count + 1, sizeof(*names));
    const char *nearest = NULL;
    for (size_t index = 0; names != NULL && index < library->count; index++)
        names[index] = weir_cli_library_short(library, index);
    if (names != NULL)
        nearest = weir_cli_nearest(word, names, library->count);
    /* A beginning is near too, however much is missing. */
    for (size_t index = 0; names != NULL && nearest == NULL && index < library->count; index++)
        if (strncasecmp(names[index], word, strcspn(word, ":")) == 0)
            nearest = names[index];
    weir_cli_say("\"%s\" is neither a file nor the name of a model that is here%s%s%s", word,
                 nearest == NULL ? "" : "; did you mean ", nearest == NULL ? "" : nearest,
                 nearest == NULL ? "" : "?");
    weir_heap_free(names);
    fprintf(stderr, "  ./FOLDER/FILE.gguf         is a file by its path\n"
                    "  weir models                lists the models that are here\n"
                    "  weir pull hf:ORG/REPO      brings one from huggingface.co\n");
    return WEIR_CLI_FAILURE;
}

/* How many models of the library the word names; *found is one of them. */
static size_t find_named(const struct weir_cli_library *library, const char *word, size_t *found)
{
    size_t count = 0;
    for (size_t index = 0; index < library->count; index++)
        if (is_named(&library->models[index], word)) {
            *found = index;
            count++;
        }
    return count;
}

/* hf:ORG/REPO or hf:ORG/REPO/FILE that was pulled is the model that is here. */
static int resolve_remote(struct weir_cli_options *options, const struct weir_cli_command *command)
{
    const char *word = options->argument;
    struct weir_cli_library library;
    size_t found = 0;
    if (!weir_cli_library_read(&library, options))
        return WEIR_CLI_FAILURE;
    const bool is_here = strncmp(word, "hf:", 3) == 0 &&
                         find_named(&library, word + 3, &found) == 1 &&
                         !library.models[found].is_unfinished;
    if (is_here) {
        snprintf(resolved, sizeof(resolved), "%s", library.models[found].path);
        options->argument = resolved;
    } else {
        weir_cli_say("%s wants a model that is here; bring it first, and then say the same again, "
                     "or its short name:\n  weir pull %s",
                     command->name, word);
    }
    weir_cli_library_free(&library);
    return is_here ? WEIR_CLI_OK : WEIR_CLI_FAILURE;
}

static bool file_is_absent;

static int resolve_name(struct weir_cli_options *options, bool is_absent)
{
    const char *word = options->argument;
    struct weir_cli_library library;
    size_t found = 0;
    if (!weir_cli_library_read(&library, options))
        return WEIR_CLI_FAILURE;
    const size_t count = find_named(&library, word, &found);
    int code = WEIR_CLI_OK;
    if (count > 1)
        code = say_several(&library, word);
    else if (count == 0 && !is_path(word))
        code = say_unknown(&library, word);
    else if (count == 0)
        file_is_absent = is_absent; /* the command says so, where nothing else is wrong */
    else if (count == 1 && library.models[found].is_unfinished) {
        weir_cli_say("%s is not all here yet: the weir pull that began it goes on where it stopped",
                     library.models[found].name);
        code = WEIR_CLI_FAILURE;
    } else if (count == 1) {
        snprintf(resolved, sizeof(resolved), "%s", library.models[found].path);
        options->argument = resolved;
    }
    weir_cli_library_free(&library);
    return code;
}

/* Whether the command's words name models. */
static bool wants_model(const struct weir_cli_command *command)
{
    static const char *const arguments[] = {"MODEL", "[MODEL]", "[MODEL...]", "IN OUT"};
    for (size_t index = 0; index < WEIR_COUNT(arguments); index++)
        if (strcmp(command->argument, arguments[index]) == 0)
            return true;
    return command->bit == WEIR_CLI_CALIBRATE;
}

static int resolve_one(struct weir_cli_options *options, const struct weir_cli_command *command)
{
    struct stat facts;
    const char *word = options->argument;
    if (!wants_model(command) || word == NULL || strcmp(word, "-") == 0 || stat(word, &facts) == 0)
        return WEIR_CLI_OK;
    if (!weir_cli_is_remote(word))
        return resolve_name(options, errno == ENOENT);
    if ((command->bit & (WEIR_CLI_PLAN | WEIR_CLI_INFO)) != 0)
        return weir_cli_heads_fetch(options);
    return resolve_remote(options, command);
}

int weir_cli_model_resolve(struct weir_cli_options *options, const struct weir_cli_command *command)
{
    static char paths[WEIR_CLI_MORE_MAX][WEIR_CLI_PATH_MAX];
    const bool are_models = strstr(command->argument, "...") != NULL;
    for (size_t index = 0; index < options->more_count && are_models; index++) {
        struct weir_cli_options one = *options;
        one.argument = options->more[index];
        const int code = resolve_one(&one, command);
        if (code != WEIR_CLI_OK)
            return code;
        if (one.argument != options->more[index]) { /* it is in a place that the next one takes */
            snprintf(paths[index], sizeof(paths[index]), "%s", one.argument);
            options->more[index] = paths[index];
        }
    }
    return resolve_one(options, command);
}

void weir_cli_model_advise(void)
{
    if (file_is_absent)
        fputs("  weir models                lists the models that weir pull has brought\n", stderr);
}
