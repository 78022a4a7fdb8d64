/* pull.c - weir pull: brings a model here; weir models: lists those that are here. */
#include <string.h>
#include <sys/stat.h>

#include "net.h"

/* ---- where to -------------------------------------------------------------------------------- */

static bool is_folder(const char *path)
{
    struct stat facts;
    const size_t length = strlen(path);
    return length > 0 &&
           (path[length - 1] == '/' || (stat(path, &facts) == 0 && S_ISDIR(facts.st_mode)));
}

static const char *last_part(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash == NULL ? name : slash + 1;
}

/* The folder that the names of files are added to, or with -o of one file: its path. */
static bool find_target(char target[WEIR_CLI_PATH_MAX], bool *is_file,
                        const struct weir_cli_options *options,
                        const struct weir_cli_remote *remote)
{
    char folder[WEIR_CLI_PATH_MAX];
    int length;
    *is_file = options->output != NULL && !is_folder(options->output) && remote->count == 1 &&
               !remote->is_folder;
    if (options->output != NULL) {
        length = snprintf(target, WEIR_CLI_PATH_MAX, "%s", options->output);
        while (!*is_file && length > 1 && length < WEIR_CLI_PATH_MAX && target[length - 1] == '/')
            target[--length] = '\0';
    } else {
        if (!weir_cli_library_folder(folder, options))
            return false;
        length = snprintf(target, WEIR_CLI_PATH_MAX, "%s%s%s", folder,
                          remote->repository[0] == '\0' ? "" : "/", remote->repository);
    }
    if (length < WEIR_CLI_PATH_MAX)
        return true;
    weir_cli_say("-o: wanted a path of less than %d bytes", WEIR_CLI_PATH_MAX);
    return false;
}

/* With -o the folders of the repository are left out. */
static bool name_path(char path[WEIR_CLI_PATH_MAX], const char *target, bool is_file,
                      const struct weir_cli_options *options, const char *name)
{
    const int length = is_file ? snprintf(path, WEIR_CLI_PATH_MAX, "%s", target)
                               : snprintf(path, WEIR_CLI_PATH_MAX, "%s/%s", target,
                                          options->output == NULL ? name : last_part(name));
    if (length < WEIR_CLI_PATH_MAX)
        return true;
    weir_cli_say("%s/%s: the path is longer than %d bytes", target, name, WEIR_CLI_PATH_MAX);
    return false;
}

/* Before the first byte: whether all that is still to come has room. */
static bool check_room(const struct weir_cli_options *options, const struct weir_cli_remote *remote,
                       const char *target, bool is_file)
{
    char path[WEIR_CLI_PATH_MAX];
    uint64_t wanted = 0;
    for (size_t index = 0; index < remote->count; index++) {
        const struct weir_cli_remote_file *file = &remote->files[index];
        if (!name_path(path, target, is_file, options, file->name))
            return false;
        const uint64_t there = weir_cli_download_there(path);
        if (file->bytes != UINT64_MAX && there < file->bytes)
            wanted += file->bytes - there;
    }
    return weir_cli_room_check(target, wanted);
}

/* ---- bringing it ----------------------------------------------------------------------------- */

static void tell_file(const struct weir_cli_remote_file *file, const char *path,
                      const struct weir_cli_download *done)
{
    char size[32];
    weir_format_size(done->bytes, size, sizeof(size));
    if (done->was_there)
        weir_cli_say("%s is there already (%s)", path, size);
    else if (done->is_checked)
        weir_cli_say("%s (%s), SHA-256 as the hub has it", path, size);
    else if (file->bytes != UINT64_MAX)
        weir_cli_say("%s (%s), as long as the hub has it", path, size);
    else
        weir_cli_say("%s (%s), SHA-256 %s, which nobody names to compare it with", path, size,
                     done->sha256);
}

static void add_json(json_t *files, const char *path, const struct weir_cli_download *done)
{
    json_t *object = json_object();
    weir_cli_json_text(object, "path", path, strlen(path));
    weir_cli_json_count(object, "bytes", done->bytes);
    weir_cli_json_count(object, "resumed_bytes", done->resumed_bytes);
    json_object_set_new(object, "was_there", json_boolean(done->was_there));
    json_object_set_new(object, "checked", json_boolean(done->is_checked));
    if (done->sha256[0] == '\0')
        json_object_set_new(object, "sha256", json_null());
    else
        weir_cli_json_text(object, "sha256", done->sha256, strlen(done->sha256));
    json_array_append_new(files, object);
}

/* What came is looked at once: a whole download can still be no model. */
static int tell_model(const struct weir_cli_options *options, const char *path)
{
    struct weir_model_info info = {0};
    struct weir_err err = {0};
    if (weir_model_info_get(&info, path, &err) != WEIR_OK) {
        weir_cli_say("what came is no model that weir can open: %s", err.text);
        return WEIR_CLI_FAILURE;
    }
    if (info.status != WEIR_OK) {
        weir_cli_say("it cannot run yet: %s", info.missing[0]);
        return WEIR_CLI_OK;
    }
    struct weir_cli_library library;
    const char *name = path;
    if (!weir_cli_library_read(&library, options))
        return WEIR_CLI_FAILURE;
    for (size_t index = 0; index < library.count; index++)
        if (strcmp(library.models[index].path, path) == 0)
            name = weir_cli_library_short(&library, index);
    weir_cli_say("next: weir run %s -p \"Once upon a time\"", name);
    weir_cli_library_free(&library);
    return WEIR_CLI_OK;
}

static int pull_files(const struct weir_cli_options *options, struct weir_cli_net *net,
                      const struct weir_cli_remote *remote, json_t *files)
{
    char target[WEIR_CLI_PATH_MAX], path[WEIR_CLI_PATH_MAX], first[WEIR_CLI_PATH_MAX];
    bool is_file = false;
    bool is_gguf = false;
    if (!find_target(target, &is_file, options, remote) ||
        !check_room(options, remote, target, is_file))
        return WEIR_CLI_FAILURE;
    for (size_t index = 0; index < remote->count; index++) {
        const struct weir_cli_remote_file *file = &remote->files[index];
        struct weir_cli_download done;
        char size[32];
        if (!name_path(path, target, is_file, options, file->name))
            return WEIR_CLI_FAILURE;
        if (file->bytes != UINT64_MAX && file->bytes > 0)
            weir_cli_say("%s%s%s", file->name, ", ",
                         weir_format_size(file->bytes, size, sizeof(size)));
        const int code = weir_cli_download(&done, net, file, path);
        if (code != WEIR_CLI_OK)
            return code;
        tell_file(file, path, &done);
        add_json(files, path, &done);
        if (index == 0)
            snprintf(first, sizeof(first), "%s", path);
        is_gguf = is_gguf || (index == 0 && strstr(last_part(file->name), ".gguf") != NULL);
    }
    return remote->is_folder ? tell_model(options, target)
           : is_gguf         ? tell_model(options, first)
                             : WEIR_CLI_OK;
}

int weir_cli_pull(const struct weir_cli_options *options)
{
    struct weir_cli_net net;
    struct weir_cli_remote remote = {0};
    int code = WEIR_CLI_FAILURE;
    if (!weir_cli_is_remote(options->argument))
        return weir_cli_misuse("pull",
                               "wanted hf:ORG/REPO, hf:ORG/REPO/FILE or a URL, found \"%s\"",
                               options->argument);
    json_t *object = json_object();
    json_t *files = json_array();
    json_object_set_new(object, "files", files);
    if (weir_cli_net_open(&net) && weir_cli_remote_find(&remote, &net, options->argument))
        code = pull_files(options, &net, &remote, files);
    weir_cli_remote_free(&remote);
    weir_cli_net_close(&net);
    if (!options->json || code != WEIR_CLI_OK)
        json_decref(object);
    else if (!weir_cli_json_print(object, stdout, "standard output"))
        code = WEIR_CLI_FAILURE;
    return code;
}

/* ---- what is here ---------------------------------------------------------------------------- */

/* Why it cannot be run; empty: it can. */
static void find_missing(char *out, size_t capacity, const struct weir_cli_held *kept,
                         struct weir_model_info *info)
{
    struct weir_err err = {0};
    out[0] = '\0';
    *info = (struct weir_model_info){0};
    if (kept->is_unfinished)
        snprintf(out, capacity, "not all here yet: weir pull goes on");
    else if (kept->parts_there != kept->part_count)
        snprintf(out, capacity, "%u of %u parts are here: weir pull brings the others",
                 kept->parts_there, kept->part_count);
    else if (weir_model_info_get(info, kept->path, &err) != WEIR_OK)
        snprintf(out, capacity, "%s", err.text);
    else if (info->status != WEIR_OK)
        snprintf(out, capacity, "%s", info->missing[0]);
}

static void print_kept(const char *name, const struct weir_cli_held *kept,
                       const struct weir_model_info *info, const char *missing)
{
    char size[32];
    char type[32];
    snprintf(type, sizeof(type), "%.*s", (int)strcspn(info->types, " ,"), info->types);
    printf("%-40s %10s  %-12s %-7s%s%s\n", weir_cli_shown(name),
           weir_format_size(kept->bytes, size, sizeof(size)),
           info->family[0] == '\0' ? "-" : weir_cli_shown(info->family),
           type[0] == '\0' ? "-" : weir_cli_shown(type), missing[0] == '\0' ? "" : "  ",
           weir_cli_shown(missing));
}

static void set_text(json_t *object, const char *key, const char *text)
{
    if (text[0] == '\0')
        json_object_set_new(object, key, json_null());
    else
        weir_cli_json_text(object, key, text, strlen(text));
}

static json_t *describe_kept(const char *name, const struct weir_cli_held *kept,
                             const struct weir_model_info *info, const char *missing)
{
    json_t *object = json_object();
    set_text(object, "name", name);
    set_text(object, "path", kept->path);
    set_text(object, "family", info->family);
    set_text(object, "types", info->types);
    weir_cli_json_count(object, "bytes", kept->bytes);
    weir_cli_json_count(object, "part_count", kept->part_count);
    json_object_set_new(
        object, "whole",
        json_boolean(!kept->is_unfinished && kept->parts_there == kept->part_count));
    json_object_set_new(object, "runs", json_boolean(missing[0] == '\0'));
    set_text(object, "missing", missing);
    return object;
}

int weir_cli_models(const struct weir_cli_options *options)
{
    struct weir_cli_library library;
    char missing[1024];
    json_t *list = json_array();
    if (!weir_cli_library_folder(library.folder, options) ||
        !weir_cli_library_read(&library, options)) {
        json_decref(list);
        return WEIR_CLI_FAILURE;
    }
    for (size_t index = 0; index < library.count && !weir_cli_stop_asked(); index++) {
        const struct weir_cli_held *kept = &library.models[index];
        const char *name = weir_cli_library_short(&library, index);
        struct weir_model_info info;
        if (options->argument != NULL && strcasestr(kept->name, options->argument) == NULL)
            continue;
        find_missing(missing, sizeof(missing), kept, &info);
        if (options->json)
            json_array_append_new(list, describe_kept(name, kept, &info, missing));
        else
            print_kept(name, kept, &info, missing);
    }
    if (library.count == 0 && !options->json)
        weir_cli_say("%s has no models yet; weir pull hf:ORG/REPO brings one", library.folder);
    bool ok = true;
    if (options->json) {
        json_t *object = json_object();
        weir_cli_json_text(object, "folder", library.folder, strlen(library.folder));
        json_object_set(object, "models", list);
        ok = weir_cli_json_print(object, stdout, "standard output");
    }
    json_decref(list);
    weir_cli_library_free(&library);
    return ok ? WEIR_CLI_OK : WEIR_CLI_FAILURE;
}
