/* heads.c - what weir plan and weir info need of a model that is elsewhere: the head of each of its
 * files, in files as long as the model's own that have nothing behind it.
 *
 * I1  The folder of the heads is ours alone and locked; it goes when the command ends, and one that
 *     a killed command has left goes with the next.
 * I2  Bytes come by ranges, never more than the parser asks for, doubled. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/heap.h"
#include "net.h"

enum {
    FIRST_BYTES = 1 << 20,
    TRIES_MAX = 4, /* that bring nothing, one after the other */
    FILES_OPEN_MAX = 8,
    PATH_ROOM = 64, /* what a folder's path leaves for the names in it */
};
/* Of all files together: three times the longest head that is known. */
#define TOTAL_BYTES_MAX (256ull << 20)
#define FOLDER_PREFIX ".weir-head-"
#define LOCK_NAME "/lock"
#define SCRATCH_NAME "/scratch"

/* ---- the folder ------------------------------------------------------------------------------ */

static char folder[WEIR_CLI_PATH_MAX - WEIR_CLI_NAME_MAX]; /* empty: there is none */
static int lock_fd = -1;

static int remove_one(const char *path, const struct stat *facts, int kind, struct FTW *at)
{
    (void)facts, (void)kind, (void)at;
    remove(path);
    return 0;
}

static void remove_folder(const char *path)
{
    nftw(path, remove_one, FILES_OPEN_MAX, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

void weir_cli_heads_remove(void)
{
    if (folder[0] != '\0')
        remove_folder(folder);
    if (lock_fd >= 0)
        close(lock_fd);
    folder[0] = '\0';
    lock_fd = -1;
    weir_cli_message_cut(NULL);
}

/* Opened and locked; -1: there is none, or somebody has it. */
static int take_lock(const char *path, int flags)
{
    char name[WEIR_CLI_PATH_MAX];
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    snprintf(name, sizeof(name), "%s" LOCK_NAME, path);
    const int fd = open(name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | flags, 0600);
    if (fd < 0 || fcntl(fd, F_SETLK, &lock) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Keeps I1: whoever made such a folder holds its lock for as long as it runs. */
static void remove_left(const char *base)
{
    char path[WEIR_CLI_PATH_MAX - sizeof(LOCK_NAME)];
    DIR *all = opendir(base);
    for (struct dirent *entry; all != NULL && (entry = readdir(all)) != NULL;) {
        if (strncmp(entry->d_name, FOLDER_PREFIX, strlen(FOLDER_PREFIX)) != 0 ||
            (size_t)snprintf(path, sizeof(path), "%s/%s", base, entry->d_name) >= sizeof(path))
            continue;
        const int fd = take_lock(path, 0);
        if (fd < 0)
            continue;
        remove_folder(path);
        close(fd);
    }
    if (all != NULL)
        closedir(all);
}

/* On the file system where weir pull would put the model, so that what is known of its speed is
 * found; where that cannot be written to, wherever temporary files are. */
static void find_base(char *base, size_t capacity, const struct weir_cli_options *options)
{
    char place[WEIR_CLI_PATH_MAX];
    const char *temporary = getenv("TMPDIR");
    const bool is_usable = temporary != NULL && temporary[0] == '/' && strlen(temporary) < capacity;
    bool found = weir_cli_library_place(place, options) && place[0] == '/';
    while (found && access(place, F_OK) != 0) {
        char *slash = strrchr(place, '/');
        slash[slash == place] = '\0';
    }
    found = found && strlen(place) < capacity && access(place, W_OK) == 0;
    snprintf(base, capacity, "%.*s", (int)capacity - 1,
             found       ? place
             : is_usable ? temporary
                         : "/tmp");
}

static bool make_folder(const struct weir_cli_options *options)
{
    char base[sizeof(folder) - PATH_ROOM];
    char prefix[sizeof(folder) + 1];
    find_base(base, sizeof(base), options);
    remove_left(base);
    snprintf(folder, sizeof(folder), "%s/" FOLDER_PREFIX "XXXXXX", base);
    if (mkdtemp(folder) == NULL) {
        weir_cli_say("cannot make a folder in %s: %s", base, strerror(errno));
        folder[0] = '\0';
        return false;
    }
    lock_fd = take_lock(folder, O_CREAT | O_EXCL);
    snprintf(prefix, sizeof(prefix), "%s/", folder);
    weir_cli_message_cut(prefix);
    return true;
}

/* ---- one file -------------------------------------------------------------------------------- */

struct head {
    const struct weir_cli_remote_file *file;
    char path[WEIR_CLI_PATH_MAX];
    char etag[WEIR_CLI_ETAG_MAX];
    int fd;
    uint64_t have, end; /* wanted: bytes [have, end) */
    uint64_t total;     /* of the file; UINT64_MAX until an answer says it */
    bool has_begun;     /* this answer */
    bool is_final;      /* why it failed has been said */
};

static bool refuse(struct head *head)
{
    head->is_final = true;
    return false;
}

static bool say_write(struct head *head)
{
    weir_cli_say("cannot write %s: %s", head->path, strerror(errno));
    return refuse(head);
}

/* The first answer says how long the file is, and later ones must say the same. */
static bool check_total(struct head *head, const struct weir_cli_reply *reply)
{
    const uint64_t listed =
        head->file->bytes != UINT64_MAX ? head->file->bytes : reply->linked_bytes;
    if (reply->total_bytes == UINT64_MAX) {
        weir_cli_say("%s: the server does not say how long the file is: it can be planned for when "
                     "it is here; weir pull brings it",
                     head->file->name);
        return refuse(head);
    }
    if (listed != UINT64_MAX && listed != reply->total_bytes) {
        weir_cli_say("%s: wanted %llu bytes, as the list of files says; the server has %llu",
                     head->file->name, (unsigned long long)listed,
                     (unsigned long long)reply->total_bytes);
        return refuse(head);
    }
    if (head->total != UINT64_MAX &&
        (head->total != reply->total_bytes || strcmp(head->etag, reply->etag) != 0)) {
        weir_cli_say("%s has changed on the server while its head was read; try again",
                     head->file->name);
        return refuse(head);
    }
    if (head->total == UINT64_MAX && ftruncate(head->fd, (off_t)reply->total_bytes) != 0)
        return say_write(head);
    head->total = reply->total_bytes;
    head->end = weir_min(head->end, head->total);
    snprintf(head->etag, sizeof(head->etag), "%s", reply->etag);
    return true;
}

static bool begin(struct head *head, const struct weir_cli_reply *reply)
{
    head->has_begun = true;
    if (reply->status == 200 && head->have > 0) {
        weir_cli_say("%s: the server sends only whole files: wanted the bytes from %llu on; weir "
                     "pull brings all of it",
                     head->file->name, (unsigned long long)head->have);
        return refuse(head);
    }
    if (reply->status == 206 && reply->range_first != head->have) {
        weir_cli_say("%s: wanted the bytes from %llu on, the server sends those from %llu",
                     head->file->name, (unsigned long long)head->have,
                     (unsigned long long)reply->range_first);
        return refuse(head);
    }
    return check_total(head, reply);
}

/* Of more than was wanted, which a server without ranges sends, the rest is left. */
static bool take_bytes(void *user, const struct weir_cli_reply *reply, const void *bytes,
                       size_t count)
{
    struct head *head = user;
    if (!head->has_begun && !begin(head, reply))
        return false;
    const uint64_t wanted = weir_min(count, head->end - head->have);
    for (uint64_t at = 0; at < wanted;) {
        const ssize_t put =
            pwrite(head->fd, (const char *)bytes + at, wanted - at, (off_t)head->have);
        if (put < 0 && errno != EINTR)
            return say_write(head);
        if (put > 0) {
            head->have += (uint64_t)put;
            at += (uint64_t)put;
        }
    }
    return wanted == count;
}

/* One request for what is missing. False: it has been said. *again: it is worth another one. */
static bool get_once(struct head *head, struct weir_cli_net *net, struct weir_cli_reply *reply,
                     bool *again)
{
    const struct weir_cli_request request = {
        .url = head->file->url,
        .first = head->have,
        .end = head->end,
        .take = take_bytes,
        .user = head,
    };
    head->has_begun = head->is_final = *again = false;
    weir_cli_net_get(net, &request, reply);
    if (head->is_final)
        return false;
    if (head->has_begun && head->have == head->end)
        return true;
    *again = reply->outcome == WEIR_CLI_NET_BROKEN || reply->outcome == WEIR_CLI_NET_DONE ||
             (reply->outcome == WEIR_CLI_NET_REFUSED && reply->status >= 500);
    if (reply->outcome == WEIR_CLI_NET_DONE)
        snprintf(reply->why, sizeof(reply->why), "it ended after %llu bytes",
                 (unsigned long long)head->have);
    if (!*again)
        weir_cli_net_fail(net, head->file->name, reply);
    return false;
}

/* Bytes up to end, or to the file's own. */
static bool get_up_to(struct head *head, struct weir_cli_net *net, uint64_t end)
{
    struct weir_cli_reply reply;
    char size[32];
    bool again = true;
    head->end = weir_min(end, head->total);
    for (unsigned tries = 1; again; tries++) {
        const uint64_t before = head->have;
        weir_cli_status_line("reading the head of %s: %s", head->file->name,
                             weir_format_size(head->have, size, sizeof(size)));
        if (get_once(head, net, &reply, &again))
            return true;
        if (head->have > before)
            tries = 1;
        if (again && tries >= TRIES_MAX)
            return weir_cli_net_fail(net, head->file->name, &reply) == WEIR_CLI_OK;
        if (again && !weir_cli_net_wait(tries)) {
            weir_cli_say("stopped");
            return false;
        }
    }
    return false;
}

static bool ends_with(const char *name, const char *end)
{
    const size_t length = strlen(name);
    return length >= strlen(end) && strcmp(name + length - strlen(end), end) == 0;
}

/* How many bytes it takes for all that is wanted of the file; 0: they are there. */
static bool find_wanted(struct head *head, bool is_whole, uint64_t *wanted)
{
    struct weir_err err = {0};
    *wanted = is_whole ? head->total : 0;
    return head->have == head->total || is_whole ||
           weir_model_head_check(head->path, head->have, wanted, &err) == WEIR_OK ||
           weir_cli_fail(&err) == WEIR_CLI_OK;
}

/* Keeps I2. The files beside the weights of a directory are wanted whole. */
static bool get_head(struct head *head, struct weir_cli_net *net, bool is_whole, uint64_t *left)
{
    uint64_t wanted = FIRST_BYTES;
    while (wanted > head->have) {
        const uint64_t before = head->have;
        if (wanted - head->have > *left) {
            weir_cli_say("%s: wanted heads of at most %llu MiB of all files together, found more; "
                         "weir pull brings the whole model",
                         head->file->name, TOTAL_BYTES_MAX >> 20);
            return false;
        }
        if (!get_up_to(head, net, weir_max(wanted, weir_min(2 * before, before + *left))))
            return false;
        *left -= head->have - before;
        if (!find_wanted(head, is_whole, &wanted))
            return false;
    }
    return true;
}

static bool get_file(const char *path, struct weir_cli_net *net,
                     const struct weir_cli_remote_file *file, bool is_whole, uint64_t *left)
{
    struct head head = {.file = file, .total = UINT64_MAX};
    snprintf(head.path, sizeof(head.path), "%s", path);
    head.fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (head.fd < 0)
        return say_write(&head);
    const bool ok = get_head(&head, net, is_whole, left);
    close(head.fd);
    weir_cli_status_clear();
    return ok;
}

/* ---- the model ------------------------------------------------------------------------------- */

static const char *last_part(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash == NULL ? name : slash + 1;
}

/* Every file of it; model becomes the path to open. */
static bool get_all(char model[WEIR_CLI_PATH_MAX], struct weir_cli_net *net,
                    const struct weir_cli_remote *remote)
{
    char path[WEIR_CLI_PATH_MAX];
    char inner[WEIR_CLI_PATH_MAX];
    uint64_t left = TOTAL_BYTES_MAX;
    /* A directory's name is the model's. */
    snprintf(inner, sizeof(inner), "%s%s%s", folder, remote->is_folder ? "/" : "",
             remote->is_folder ? last_part(remote->repository) : "");
    if (remote->is_folder && mkdir(inner, 0700) != 0) {
        weir_cli_say("cannot make the folder %s: %s", inner, strerror(errno));
        return false;
    }
    for (size_t index = 0; index < remote->count; index++) {
        const struct weir_cli_remote_file *file = &remote->files[index];
        const bool is_whole = remote->is_folder && !ends_with(file->name, ".safetensors");
        if ((size_t)snprintf(path, sizeof(path), "%s/%s", inner, last_part(file->name)) >=
            sizeof(path)) {
            weir_cli_say("%s: the path is longer than %d bytes", file->name, WEIR_CLI_PATH_MAX);
            return false;
        }
        if (index == 0)
            snprintf(model, WEIR_CLI_PATH_MAX, "%s", remote->is_folder ? inner : path);
        if (!get_file(path, net, file, is_whole, &left))
            return false;
    }
    return remote->count > 0 && !weir_cli_stop_asked();
}

int weir_cli_heads_fetch(struct weir_cli_options *options)
{
    static char model[WEIR_CLI_PATH_MAX];
    struct weir_cli_net net;
    struct weir_cli_remote remote = {0};
    const bool ok = weir_cli_net_open(&net) &&
                    weir_cli_remote_find(&remote, &net, options->argument) &&
                    make_folder(options) && get_all(model, &net, &remote);
    weir_cli_remote_free(&remote);
    weir_cli_net_close(&net);
    if (!ok)
        return WEIR_CLI_FAILURE;
    options->remote = options->argument;
    options->argument = model;
    return WEIR_CLI_OK;
}

/* ---- a file to measure the disk with --------------------------------------------------------- */

/* Bytes that no file system makes shorter. */
static void fill(uint64_t *words, size_t count, uint64_t *state)
{
    for (size_t index = 0; index < count; index++) {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        words[index] = *state;
    }
}

bool weir_cli_heads_scratch(char path[WEIR_CLI_PATH_MAX], uint64_t bytes)
{
    enum { BLOCK_BYTES = 1 << 20 };
    static uint64_t block[BLOCK_BYTES / sizeof(uint64_t)];
    struct statvfs facts;
    uint64_t state = 0x9e3779b97f4a7c15;
    if (folder[0] == '\0' || statvfs(folder, &facts) != 0 ||
        bytes > (uint64_t)facts.f_bavail * facts.f_frsize / 4)
        return false;
    snprintf(path, WEIR_CLI_PATH_MAX, "%s" SCRATCH_NAME, folder);
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool ok = fd >= 0;
    for (uint64_t done = 0; ok && done < bytes && !weir_cli_stop_asked(); done += BLOCK_BYTES) {
        fill(block, WEIR_COUNT(block), &state);
        ok = write(fd, block, sizeof(block)) == (ssize_t)sizeof(block);
    }
    ok = ok && fdatasync(fd) == 0 && !weir_cli_stop_asked();
    if (fd >= 0)
        close(fd);
    return ok;
}
