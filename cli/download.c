/* download.c - one file from a server to a path: whole and checked, or not there.
 *
 * I1  Nothing is at the path before it is whole and as long, and of the checksum, that is known.
 * I2  What is in path.part is the beginning of the file that path.part.json tells of; what is not
 *     known to be that is thrown away, and this is said.
 * I3  One process at a time writes path.part: it holds a lock on it. */
#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "net.h"

enum {
    TRIES_MAX = 4, /* that bring nothing, one after the other */
    HASH_BYTES = 1 << 20,
};
#define SHOW_NS 200000000ull

struct transfer {
    const struct weir_cli_remote_file *file;
    const char *path;
    char part[WEIR_CLI_PATH_MAX], note[WEIR_CLI_PATH_MAX];
    int fd;
    struct sha256_ctx hash; /* of the first have bytes */
    uint64_t have, total;   /* total UINT64_MAX: nobody says */
    char etag[WEIR_CLI_ETAG_MAX];
    char sha256[WEIR_CLI_SHA256_MAX]; /* wanted; empty: nobody says */
    bool has_begun;                   /* this answer */
    bool is_final;                    /* why it failed has been said */
    uint64_t start_ns, start_bytes, shown_ns;
};

/* ---- paths ----------------------------------------------------------------------------------- */

bool weir_cli_folders_of(const char *path)
{
    char part[WEIR_CLI_PATH_MAX];
    for (const char *at = strchr(path + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        if ((size_t)snprintf(part, sizeof(part), "%.*s", (int)(at - path), path) >= sizeof(part))
            break;
        if (mkdir(part, 0777) != 0 && errno != EEXIST) {
            weir_cli_say("cannot make the folder %s: %s", part, strerror(errno));
            return false;
        }
    }
    return true;
}

bool weir_cli_room_check(const char *path, uint64_t bytes)
{
    struct statvfs facts;
    char folder[WEIR_CLI_PATH_MAX];
    char wanted[32], found[32];
    snprintf(folder, sizeof(folder), "%s", path);
    /* The nearest folder that is there. */
    while (statvfs(folder, &facts) != 0) {
        char *slash = strrchr(folder, '/');
        if (errno != ENOENT || slash == NULL || slash == folder) {
            snprintf(folder, sizeof(folder), slash == folder ? "/" : ".");
            if (statvfs(folder, &facts) != 0)
                return true; /* nobody tells: writing will */
            break;
        }
        *slash = '\0';
    }
    const uint64_t free_bytes = (uint64_t)facts.f_bavail * facts.f_frsize;
    if (bytes <= free_bytes)
        return true;
    weir_cli_say("%s: wanted %s of free disk for the rest of it, found %s; free some, or name "
                 "another folder with --models DIR or -o",
                 folder, weir_format_size(bytes, wanted, sizeof(wanted)),
                 weir_format_size(free_bytes, found, sizeof(found)));
    return false;
}

uint64_t weir_cli_download_there(const char *path)
{
    struct stat facts;
    char part[WEIR_CLI_PATH_MAX + 8];
    snprintf(part, sizeof(part), "%s.part", path);
    return stat(path, &facts) == 0 || stat(part, &facts) == 0 ? (uint64_t)facts.st_size : 0;
}

/* ---- the part and what is known of it -------------------------------------------------------- */

static bool say_write(const struct transfer *transfer)
{
    char size[32];
    const int why = errno;
    weir_cli_say("cannot write %s: %s; %s of it are kept, and the same command goes on from there",
                 transfer->part, strerror(why),
                 weir_format_size(transfer->have, size, sizeof(size)));
    return false;
}

/* Keeps I3. */
static bool open_part(struct transfer *transfer)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct stat ours, named;
    transfer->fd = open(transfer->part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (transfer->fd < 0) {
        weir_cli_say("cannot write %s: %s", transfer->part, strerror(errno));
        return false;
    }
    const bool is_ours = fcntl(transfer->fd, F_OFD_SETLK, &lock) == 0;
    /* Whoever held it may just have given the file its last name. */
    if (is_ours && fstat(transfer->fd, &ours) == 0 && stat(transfer->part, &named) == 0 &&
        ours.st_ino == named.st_ino && ours.st_dev == named.st_dev)
        return true;
    weir_cli_say("%s is being downloaded by another weir pull; wait for it", transfer->path);
    return false;
}

/* Only a strong validator says that the bytes are the same (RFC 9110, 13.1.5). */
static bool is_strong(const char *etag)
{
    return etag[0] == '"' && strpbrk(etag, "\r\n") == NULL;
}

/* What the note says fits what is wanted now, as far as both say something. */
static bool read_note(struct transfer *transfer)
{
    json_t *object = json_load_file(transfer->note, 0, NULL);
    const char *etag = json_string_value(json_object_get(object, "etag"));
    const char *sha256 = json_string_value(json_object_get(object, "sha256"));
    const json_t *bytes = json_object_get(object, "bytes");
    const uint64_t wanted = transfer->file->bytes;
    bool fits = etag != NULL && is_strong(etag) && strlen(etag) < sizeof(transfer->etag);
    if (fits && sha256 != NULL && transfer->sha256[0] != '\0')
        fits = strcasecmp(sha256, transfer->sha256) == 0;
    if (fits && json_is_integer(bytes) && wanted != UINT64_MAX)
        fits = (uint64_t)json_integer_value(bytes) == wanted;
    if (fits)
        snprintf(transfer->etag, sizeof(transfer->etag), "%s", etag);
    json_decref(object);
    return fits;
}

static bool write_note(const struct transfer *transfer)
{
    json_t *object = json_object();
    weir_cli_json_text(object, "url", transfer->file->url, strlen(transfer->file->url));
    weir_cli_json_text(object, "etag", transfer->etag, strlen(transfer->etag));
    if (transfer->sha256[0] != '\0')
        weir_cli_json_text(object, "sha256", transfer->sha256, strlen(transfer->sha256));
    if (transfer->total != UINT64_MAX)
        weir_cli_json_count(object, "bytes", transfer->total);
    const bool ok = json_dump_file(object, transfer->note, JSON_INDENT(1)) == 0;
    json_decref(object);
    return ok || say_write(transfer);
}

static bool start_again(struct transfer *transfer)
{
    transfer->have = 0;
    transfer->etag[0] = '\0';
    sha256_init(&transfer->hash);
    return ftruncate(transfer->fd, 0) == 0 || say_write(transfer);
}

static void show_progress(struct transfer *transfer, const char *what, uint64_t from)
{
    const uint64_t now_ns = weir_now_ns();
    const char *name = strrchr(transfer->file->name, '/');
    char done[32], total[32], rate[32];
    if (now_ns - transfer->shown_ns < SHOW_NS)
        return;
    transfer->shown_ns = now_ns;
    const double seconds = (double)(now_ns - transfer->start_ns) * 1e-9;
    const double speed = (double)(transfer->have - from) / seconds;
    const double left = transfer->total == UINT64_MAX || speed <= 0.0
                            ? 0.0
                            : ceil((double)(transfer->total - transfer->have) / speed);
    weir_format_size(transfer->have, done, sizeof(done));
    weir_format_size((uint64_t)speed, rate, sizeof(rate));
    if (transfer->total == UINT64_MAX)
        weir_cli_status_line("%s%s, %s/s  %s", what, done, rate,
                             weir_cli_shown(name == NULL ? transfer->file->name : name + 1));
    else
        weir_cli_status_line("%s%.1f %%  %s of %s, %s/s, %.0f:%02.0f left  %s", what,
                             100.0 * (double)transfer->have / (double)transfer->total, done,
                             weir_format_size(transfer->total, total, sizeof(total)), rate,
                             floor(left / 60.0), fmod(left, 60.0),
                             weir_cli_shown(name == NULL ? transfer->file->name : name + 1));
}

/* The hash of what is there, and have; the rest of the file is bytes long. */
static bool read_part(struct transfer *transfer, uint64_t bytes)
{
    static uint8_t buffer[HASH_BYTES];
    transfer->start_ns = weir_now_ns();
    while (transfer->have < bytes) {
        const ssize_t got = pread(transfer->fd, buffer, sizeof(buffer), (off_t)transfer->have);
        if (weir_cli_stop_asked()) {
            weir_cli_say("stopped; the same command goes on");
            return false;
        }
        if (got <= 0) {
            weir_cli_say("cannot read %s: %s", transfer->part,
                         got == 0 ? "it became shorter" : strerror(errno));
            return false;
        }
        sha256_update(&transfer->hash, (size_t)got, buffer);
        transfer->have += (uint64_t)got;
        show_progress(transfer, "checking what is there: ", 0);
    }
    weir_cli_status_clear();
    return true;
}

/* Keeps I2. */
static bool take_up(struct transfer *transfer)
{
    struct stat facts;
    char size[32];
    sha256_init(&transfer->hash);
    if (fstat(transfer->fd, &facts) != 0 || facts.st_size == 0)
        return start_again(transfer);
    const uint64_t bytes = (uint64_t)facts.st_size;
    if (!read_note(transfer) || bytes > transfer->file->bytes) {
        weir_cli_say("%s is not known to be the beginning of the file that is wanted now: it "
                     "starts again",
                     transfer->part);
        return start_again(transfer);
    }
    weir_cli_say("going on with %s, which has %s", transfer->part,
                 weir_format_size(bytes, size, sizeof(size)));
    return read_part(transfer, bytes);
}

/* ---- an answer ------------------------------------------------------------------------------- */

static bool refuse(struct transfer *transfer)
{
    transfer->is_final = true;
    return false;
}

/* What the hub says of the file, if its list did not. */
static bool check_linked(struct transfer *transfer, const struct weir_cli_reply *reply)
{
    if (reply->linked_sha256[0] != '\0' && transfer->sha256[0] == '\0')
        snprintf(transfer->sha256, sizeof(transfer->sha256), "%s", reply->linked_sha256);
    uint64_t wanted = transfer->file->bytes;
    if (wanted == UINT64_MAX)
        wanted = reply->linked_bytes;
    if (reply->total_bytes == UINT64_MAX || wanted == UINT64_MAX) {
        transfer->total = weir_min(wanted, reply->total_bytes);
        return true;
    }
    transfer->total = wanted;
    if (wanted == reply->total_bytes)
        return true;
    weir_cli_say("%s: wanted %llu bytes, as the list of files says; the server has %llu",
                 transfer->file->name, (unsigned long long)wanted,
                 (unsigned long long)reply->total_bytes);
    return refuse(transfer);
}

/* The first bytes of an answer: whether they are those that follow what is there. */
static bool begin(struct transfer *transfer, const struct weir_cli_reply *reply)
{
    transfer->has_begun = true;
    if (reply->status == 206 && reply->range_first != transfer->have) {
        weir_cli_say("%s: wanted the bytes from %llu on, the server sends those from %llu",
                     transfer->file->name, (unsigned long long)transfer->have,
                     (unsigned long long)reply->range_first);
        return refuse(transfer);
    }
    if (reply->status == 200 && transfer->have > 0) {
        weir_cli_say(strcmp(reply->etag, transfer->etag) == 0
                         ? "%s: the server cannot go on in the middle: it starts again"
                         : "%s has changed on the server since it was begun: it starts again",
                     transfer->file->name);
        if (!start_again(transfer))
            return refuse(transfer);
    }
    if (!check_linked(transfer, reply))
        return false;
    snprintf(transfer->etag, sizeof(transfer->etag), "%s", reply->etag);
    if (!write_note(transfer) ||
        (transfer->total != UINT64_MAX &&
         !weir_cli_room_check(transfer->path, transfer->total - transfer->have)))
        return refuse(transfer);
    transfer->start_ns = weir_now_ns();
    transfer->start_bytes = transfer->have;
    return true;
}

static bool take_bytes(void *user, const struct weir_cli_reply *reply, const void *bytes,
                       size_t count)
{
    struct transfer *transfer = user;
    if (!transfer->has_begun && !begin(transfer, reply))
        return false;
    if (transfer->total != UINT64_MAX && count > transfer->total - transfer->have) {
        weir_cli_say("%s: wanted %llu bytes, the server sends more", transfer->file->name,
                     (unsigned long long)transfer->total);
        return refuse(transfer);
    }
    for (size_t at = 0; at < count;) {
        const ssize_t put =
            pwrite(transfer->fd, (const char *)bytes + at, count - at, (off_t)transfer->have);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0) {
            say_write(transfer);
            return refuse(transfer);
        }
        sha256_update(&transfer->hash, (size_t)put, (const uint8_t *)bytes + at);
        transfer->have += (uint64_t)put;
        at += (size_t)put;
    }
    show_progress(transfer, "", transfer->start_bytes);
    return true;
}

static int say_stopped(const struct transfer *transfer)
{
    char have[32], total[32];
    weir_cli_say("stopped: %s%s%s are in %s; the same command goes on from there",
                 weir_format_size(transfer->have, have, sizeof(have)),
                 transfer->total == UINT64_MAX ? "" : " of ",
                 transfer->total == UINT64_MAX
                     ? ""
                     : weir_format_size(transfer->total, total, sizeof(total)),
                 transfer->part);
    return WEIR_CLI_FAILURE;
}

/* One request for the rest. *again: it is worth another one. */
static int get_rest(struct transfer *transfer, struct weir_cli_net *net, bool *again,
                    struct weir_cli_reply *reply)
{
    const struct weir_cli_request request = {
        .url = transfer->file->url,
        .first = transfer->have,
        .if_range = transfer->have > 0 ? transfer->etag : NULL,
        .take = take_bytes,
        .user = transfer,
    };
    transfer->has_begun = transfer->is_final = false;
    weir_cli_net_get(net, &request, reply);
    weir_cli_status_clear();
    *again = reply->outcome == WEIR_CLI_NET_BROKEN ||
             (reply->outcome == WEIR_CLI_NET_REFUSED && reply->status >= 500);
    if (transfer->is_final)
        return WEIR_CLI_FAILURE;
    if (reply->outcome == WEIR_CLI_NET_STOPPED)
        return say_stopped(transfer);
    /* All of it was there already. */
    if (reply->outcome == WEIR_CLI_NET_REFUSED && reply->status == 416 &&
        reply->total_bytes == transfer->have && transfer->have > 0)
        return check_linked(transfer, reply) ? WEIR_CLI_OK : WEIR_CLI_FAILURE;
    if (reply->outcome == WEIR_CLI_NET_REFUSED && reply->status == 416 && transfer->have > 0) {
        weir_cli_say("%s is shorter on the server than what is there: it starts again",
                     transfer->file->name);
        *again = start_again(transfer);
        return WEIR_CLI_FAILURE;
    }
    if (reply->outcome != WEIR_CLI_NET_DONE)
        return *again ? WEIR_CLI_FAILURE : weir_cli_net_fail(net, transfer->file->name, reply);
    if (!transfer->has_begun && !begin(transfer, reply)) /* an empty file */
        return WEIR_CLI_FAILURE;
    *again = transfer->total != UINT64_MAX && transfer->have < transfer->total;
    snprintf(reply->why, sizeof(reply->why), "it ended after %llu of %llu bytes",
             (unsigned long long)transfer->have, (unsigned long long)transfer->total);
    return *again ? WEIR_CLI_FAILURE : WEIR_CLI_OK;
}

static int get_all(struct transfer *transfer, struct weir_cli_net *net)
{
    struct weir_cli_reply reply;
    char size[32];
    for (unsigned tries = 1;; tries++) {
        bool again = false;
        const uint64_t before = transfer->have;
        const int code = get_rest(transfer, net, &again, &reply);
        if (code == WEIR_CLI_OK || !again || transfer->is_final)
            return code;
        if (transfer->have > before)
            tries = 1;
        if (tries >= TRIES_MAX) {
            weir_cli_net_fail(net, transfer->file->name, &reply);
            weir_cli_say("%s of it are kept in %s; the same command goes on from there",
                         weir_format_size(transfer->have, size, sizeof(size)), transfer->part);
            return WEIR_CLI_FAILURE;
        }
        if (reply.outcome != WEIR_CLI_NET_REFUSED)
            weir_cli_say("%s: %s; trying again", transfer->file->name, reply.why);
        if (!is_strong(transfer->etag) && transfer->have > 0 && !start_again(transfer))
            return WEIR_CLI_FAILURE;
        if (!weir_cli_net_wait(tries))
            return say_stopped(transfer);
    }
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void write_digest(struct sha256_ctx *hash, char out[WEIR_CLI_SHA256_MAX])
{
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_digest(hash, sizeof(digest), digest);
    for (size_t at = 0; at < sizeof(digest); at++)
        snprintf(out + 2 * at, 3, "%02x", digest[at]);
}

/* The name must be on the disk too, not the bytes alone. */
static bool sync_folder(const char *path)
{
    char folder[WEIR_CLI_PATH_MAX];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof(folder), "%.*s", slash == NULL ? 1 : (int)(slash + 1 - path),
             slash == NULL ? "." : path);
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool ok = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL);
    if (fd >= 0)
        close(fd);
    return ok;
}

/* Keeps I1. */
static int finish(struct transfer *transfer, struct weir_cli_download *done)
{
    write_digest(&transfer->hash, done->sha256);
    done->bytes = transfer->have;
    done->is_checked = transfer->sha256[0] != '\0';
    if (done->is_checked && strcasecmp(done->sha256, transfer->sha256) != 0) {
        weir_cli_say("%s: wanted SHA-256 %s, found %s: what came is not the file, and is removed",
                     transfer->file->name, transfer->sha256, done->sha256);
        unlink(transfer->part);
        unlink(transfer->note);
        return WEIR_CLI_FAILURE;
    }
    if (fsync(transfer->fd) != 0) {
        say_write(transfer);
        return WEIR_CLI_FAILURE;
    }
    if (rename(transfer->part, transfer->path) != 0 || !sync_folder(transfer->path)) {
        weir_cli_say("cannot name %s: %s; %s is what it should be", transfer->path, strerror(errno),
                     transfer->part);
        return WEIR_CLI_FAILURE;
    }
    unlink(transfer->note);
    return WEIR_CLI_OK;
}

/* What is at the path already is the file when it is as long as it should be. */
static int judge_there(const struct transfer *transfer, const struct stat *facts,
                       struct weir_cli_download *done)
{
    const uint64_t wanted = transfer->file->bytes;
    done->was_there = true;
    done->bytes = (uint64_t)facts->st_size;
    if (S_ISREG(facts->st_mode) && (wanted == UINT64_MAX || wanted == done->bytes))
        return WEIR_CLI_OK;
    weir_cli_say("%s is there already: wanted %llu bytes, as the server has, found %s%llu; remove "
                 "it, or name another place with -o",
                 transfer->path, (unsigned long long)wanted,
                 S_ISREG(facts->st_mode) ? "" : "no file, but something of ",
                 (unsigned long long)done->bytes);
    return WEIR_CLI_FAILURE;
}

int weir_cli_download(struct weir_cli_download *done, struct weir_cli_net *net,
                      const struct weir_cli_remote_file *file, const char *path)
{
    struct transfer transfer = {.file = file, .path = path, .fd = -1, .total = file->bytes};
    struct stat facts;
    int code = WEIR_CLI_FAILURE;
    *done = (struct weir_cli_download){0};
    snprintf(transfer.sha256, sizeof(transfer.sha256), "%s", file->sha256);
    snprintf(transfer.part, sizeof(transfer.part), "%s.part", path);
    if ((size_t)snprintf(transfer.note, sizeof(transfer.note), "%s.part.json", path) >=
        sizeof(transfer.note)) {
        weir_cli_say("%s: the path is longer than %d bytes", path, WEIR_CLI_PATH_MAX);
        return WEIR_CLI_FAILURE;
    }
    if (stat(path, &facts) == 0)
        return judge_there(&transfer, &facts, done);
    if (!weir_cli_folders_of(path) || !open_part(&transfer))
        goto fail;
    if (stat(path, &facts) == 0) { /* another process has just finished it */
        code = judge_there(&transfer, &facts, done);
        unlink(transfer.part);
        goto fail;
    }
    if (take_up(&transfer)) {
        done->resumed_bytes = transfer.have;
        const bool is_whole = transfer.have == transfer.total && transfer.sha256[0] != '\0';
        code = is_whole ? WEIR_CLI_OK : get_all(&transfer, net);
        if (code == WEIR_CLI_OK)
            code = finish(&transfer, done);
    }
fail:
    if (transfer.fd >= 0)
        close(transfer.fd);
    return code;
}
