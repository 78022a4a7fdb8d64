/* hub.c - what hf:ORG/REPO and URLs mean: the files of a repository, with sizes and checksums. */
#include <string.h>
#include <strings.h>

#include "base/heap.h"
#include "net.h"

enum { LIST_BYTES_MAX = 16 << 20 };

/* A repository's part of a name. */
struct place {
    char repository[WEIR_CLI_NAME_MAX]; /* ORG/REPO */
    char revision[128];
    char file[WEIR_CLI_NAME_MAX]; /* or a part of a name; empty: whichever */
};

bool weir_cli_is_remote(const char *word)
{
    return strncmp(word, "hf:", 3) == 0 || strstr(word, "://") != NULL;
}

void weir_cli_remote_free(struct weir_cli_remote *remote)
{
    weir_heap_free(remote->files);
    *remote = (struct weir_cli_remote){0};
}

struct weir_cli_remote_file *weir_cli_remote_add(struct weir_cli_remote *remote)
{
    if (remote->count == WEIR_CLI_REMOTE_MAX) {
        weir_cli_say("wanted at most %d files, found more", WEIR_CLI_REMOTE_MAX);
        return NULL;
    }
    if (remote->count == remote->capacity) {
        const size_t capacity = 16 + remote->capacity * 2;
        void *grown = weir_heap_grow(remote->files, capacity * sizeof(*remote->files));
        if (grown == NULL) {
            weir_cli_say("no memory for the names of %zu files", capacity);
            return NULL;
        }
        remote->files = grown;
        remote->capacity = capacity;
    }
    struct weir_cli_remote_file *file = &remote->files[remote->count++];
    *file = (struct weir_cli_remote_file){.bytes = UINT64_MAX};
    return file;
}

/* ---- names ----------------------------------------------------------------------------------- */

static bool is_plain(const char *word, size_t length)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                  "-._";
    return length > 0 && length < 128 && word[0] != '.' && strspn(word, allowed) >= length;
}

/* A name from outside becomes a path here: it may not lead anywhere else. */
static bool is_safe(const char *name)
{
    const size_t length = strlen(name);
    if (length == 0 || length >= WEIR_CLI_NAME_MAX || name[0] == '/' || name[length - 1] == '/')
        return false;
    for (const char *at = name; *at != '\0'; at++) {
        if ((unsigned char)*at < ' ' || *at == 0x7f)
            return false;
        if ((at == name || at[-1] == '/') && (*at == '.' || *at == '/'))
            return false;
    }
    return true;
}

/* ORG/REPO[/FILE] or ORG/REPO:NAME; a slash or a colon ends REPO. */
static bool read_place(struct place *place, const char *text)
{
    const size_t org = strcspn(text, "/");
    const char *repo = text[org] == '/' ? text + org + 1 : "";
    const size_t length = strcspn(repo, "/:");
    *place = (struct place){.revision = "main"};
    if (!is_plain(text, org) || !is_plain(repo, length))
        return false;
    snprintf(place->repository, sizeof(place->repository), "%.*s/%.*s", (int)org, text, (int)length,
             repo);
    if (repo[length] == '\0' || repo[length + 1] == '\0')
        return true;
    return is_safe(repo + length + 1) &&
           weir_cli_copy(place->file, sizeof(place->file), repo + length + 1);
}

/* A page or a file of the hub, as a browser shows its address: /ORG/REPO[/VERB/REVISION[/FILE]]. */
static bool read_address(struct place *place, const char *path)
{
    char text[WEIR_CLI_URL_MAX];
    snprintf(text, sizeof(text), "%s", path + (path[0] == '/'));
    if (text[0] == '\0' || !read_place(place, text))
        return false;
    if (place->file[0] == '\0')
        return true;
    char *revision = strchr(place->file, '/');
    if (revision == NULL)
        return false;
    *revision++ = '\0';
    if (strcmp(place->file, "resolve") != 0 && strcmp(place->file, "blob") != 0 &&
        strcmp(place->file, "tree") != 0)
        return false;
    const size_t length = strcspn(revision, "/");
    if (!is_plain(revision, length))
        return false;
    snprintf(place->revision, sizeof(place->revision), "%.*s", (int)length, revision);
    weir_cli_copy(text, sizeof(text), revision + length + (revision[length] == '/'));
    return weir_cli_copy(place->file, sizeof(place->file), text);
}

/* ---- the list of a repository ---------------------------------------------------------------- */

static bool take_list(void *user, const struct weir_cli_reply *reply, const void *bytes,
                      size_t count)
{
    struct weir_cli_buffer *list = user;
    (void)reply;
    return list->length + count <= LIST_BYTES_MAX && weir_cli_buffer_append(list, bytes, count);
}

static bool add_file(struct weir_cli_remote *remote, const char *hub, const char *revision,
                     const json_t *entry)
{
    const char *name = json_string_value(json_object_get(entry, "rfilename"));
    const json_t *size = json_object_get(entry, "size");
    const char *sha256 =
        json_string_value(json_object_get(json_object_get(entry, "lfs"), "sha256"));
    if (name == NULL || !is_safe(name)) /* .gitattributes, and what would lead elsewhere */
        return true;
    struct weir_cli_remote_file *file = weir_cli_remote_add(remote);
    if (file == NULL)
        return false;
    weir_cli_copy(file->name, sizeof(file->name), name);
    weir_cli_copy(file->url, sizeof(file->url), hub);
    if (json_is_integer(size) && json_integer_value(size) >= 0)
        file->bytes = (uint64_t)json_integer_value(size);
    if (sha256 != NULL && strlen(sha256) == WEIR_CLI_SHA256_MAX - 1)
        snprintf(file->sha256, sizeof(file->sha256), "%s", sha256);
    if (weir_cli_url_add(file->url, sizeof(file->url), "/") &&
        weir_cli_url_add(file->url, sizeof(file->url), remote->repository) &&
        weir_cli_url_add(file->url, sizeof(file->url), "/resolve/") &&
        weir_cli_url_add(file->url, sizeof(file->url), revision) &&
        weir_cli_url_add(file->url, sizeof(file->url), "/") &&
        weir_cli_url_add(file->url, sizeof(file->url), name))
        return true;
    weir_cli_say("%s: its URL is longer than %d bytes", name, WEIR_CLI_URL_MAX);
    return false;
}

bool weir_cli_remote_list(struct weir_cli_remote *remote, const char *hub, const char *revision,
                          const char *json, size_t length)
{
    json_error_t error;
    json_t *object = json_loadb(json, length, 0, &error);
    const json_t *entries = json_object_get(object, "siblings");
    const char *commit = json_string_value(json_object_get(object, "sha"));
    bool ok = json_is_array(entries);
    if (object == NULL)
        weir_cli_say("%s: wanted a list of its files in JSON, found something else: %s",
                     remote->repository, error.text);
    else if (!ok)
        weir_cli_say("%s: wanted a list of its files (siblings), found none", remote->repository);
    /* All files are of one commit, whatever is changed meanwhile. */
    if (commit != NULL && is_plain(commit, strlen(commit)))
        revision = commit;
    for (size_t index = 0; ok && index < json_array_size(entries); index++)
        ok = add_file(remote, hub, revision, json_array_get(entries, index));
    json_decref(object);
    return ok;
}

static bool find_repository(struct weir_cli_remote *remote, struct weir_cli_net *net,
                            const struct place *place)
{
    char url[WEIR_CLI_URL_MAX];
    struct weir_cli_buffer list = {0};
    struct weir_cli_reply reply;
    bool ok = false;
    weir_cli_copy(url, sizeof(url), net->hub);
    weir_cli_url_add(url, sizeof(url), "/api/models/");
    weir_cli_url_add(url, sizeof(url), place->repository);
    if (strcmp(place->revision, "main") != 0) {
        weir_cli_url_add(url, sizeof(url), "/revision/");
        weir_cli_url_add(url, sizeof(url), place->revision);
    }
    strncat(url, "?blobs=true", sizeof(url) - strlen(url) - 1);
    snprintf(remote->repository, sizeof(remote->repository), "%s", place->repository);
    const struct weir_cli_request request = {.url = url, .take = take_list, .user = &list};
    weir_cli_net_get(net, &request, &reply);
    if (reply.outcome == WEIR_CLI_NET_LEFT)
        weir_cli_say("%s: the list of its files is longer than %d bytes", place->repository,
                     LIST_BYTES_MAX);
    else if (reply.outcome != WEIR_CLI_NET_DONE)
        weir_cli_net_fail(net, place->repository, &reply);
    else
        ok = weir_cli_remote_list(remote, net->hub, place->revision,
                                  list.length == 0 ? "" : list.bytes, list.length);
    weir_cli_buffer_free(&list);
    return ok && weir_cli_remote_choose(remote, place->file[0] == '\0' ? NULL : place->file);
}

/* ---- a URL ----------------------------------------------------------------------------------- */

/* Every part of a model whose URL names one of them. */
static bool add_urls(struct weir_cli_remote *remote, const char *url, const char *name)
{
    size_t stem;
    unsigned number, count = 1;
    char digits[16];
    const bool is_split = weir_cli_part_split(name, &stem, &number, &count);
    for (unsigned part = 1; part <= count; part++) {
        struct weir_cli_remote_file *file = weir_cli_remote_add(remote);
        if (file == NULL)
            return false;
        weir_cli_copy(file->name, sizeof(file->name), name);
        weir_cli_copy(file->url, sizeof(file->url), url);
        if (!is_split)
            break;
        snprintf(digits, sizeof(digits), "-%05u-of-", part);
        memcpy(file->name + stem, digits, strlen(digits));
        /* The last one: before it may stand a folder of this name. */
        char *at = NULL;
        char wanted[16];
        snprintf(wanted, sizeof(wanted), "-%05u-of-", number);
        for (char *next = strstr(file->url, wanted); next != NULL; next = strstr(next + 1, wanted))
            at = next;
        if (at != NULL)
            memcpy(at, digits, strlen(digits));
    }
    return true;
}

static bool find_url(struct weir_cli_remote *remote, const char *url)
{
    char path[WEIR_CLI_URL_MAX];
    if (strlen(url) >= WEIR_CLI_URL_MAX || !weir_cli_url_path(url, path, sizeof(path))) {
        weir_cli_say("wanted hf:ORG/REPO or a URL that begins with https:// or http://, found "
                     "\"%s\"",
                     url);
        return false;
    }
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    if (!is_safe(name)) {
        weir_cli_say("%s: wanted a URL that ends in a file's name, found \"%s\"", url, name);
        return false;
    }
    return add_urls(remote, url, name);
}

bool weir_cli_remote_find(struct weir_cli_remote *remote, struct weir_cli_net *net,
                          const char *word)
{
    struct place place;
    char path[WEIR_CLI_URL_MAX];
    *remote = (struct weir_cli_remote){0};
    if (strncmp(word, "hf:", 3) == 0) {
        if (read_place(&place, word + 3))
            return find_repository(remote, net, &place);
        weir_cli_say("wanted hf:ORG/REPO or hf:ORG/REPO/FILE, found \"%s\"", word);
        return false;
    }
    if (weir_cli_net_same_origin(word, net->hub) && weir_cli_url_path(word, path, sizeof(path)) &&
        read_address(&place, path))
        return find_repository(remote, net, &place);
    return find_url(remote, word);
}
