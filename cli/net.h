/* net.h - models on other machines: requests, the hub's names, downloads, and the folder for them.
 *
 * Job       Find what hf:ORG/REPO or a URL means, bring its files here whole, or their heads for a
 *           plan, and know them by name afterwards.
 * Not here  What a model file says (weir.h).
 * Owns      A net owns its connections, a remote its list of files, a library its list of models.
 * Threads   One.
 * Errors    Said where they are found, unless a reply has them.
 * Limits    WEIR_CLI_URL_MAX bytes of a URL, WEIR_CLI_REMOTE_MAX files of a repository,
 *           WEIR_CLI_LIBRARY_MAX models, 16 MiB of a list, 256 MiB of heads, which are on the disk;
 *           a download holds 512 KiB.
 * Source    RFC 9110 (ranges, validators); Hugging Face Hub API, GET /api/models/ORG/REPO.
 */
#ifndef WEIR_CLI_NET_H
#define WEIR_CLI_NET_H

#include "cli.h"

enum {
    WEIR_CLI_URL_MAX = 4096,
    WEIR_CLI_NAME_MAX = 512, /* of a file in a repository, folders included */
    WEIR_CLI_ETAG_MAX = 256,
    WEIR_CLI_SHA256_MAX = 65, /* 64 hexadecimal digits and a NUL */
    WEIR_CLI_REMOTE_MAX = 4096,
    WEIR_CLI_LIBRARY_MAX = 4096,
};

/* ---- requests (http.c) ---------------------------------------------------------------------- */

struct weir_cli_net {
    void *curl;
    char hub[WEIR_CLI_URL_MAX]; /* the only place that gets the token: no slash at the end */
    char token[1024];           /* empty: none */
};

enum weir_cli_outcome {
    WEIR_CLI_NET_DONE,    /* the server answered with what was asked for, to its end */
    WEIR_CLI_NET_REFUSED, /* it answered something else: status */
    WEIR_CLI_NET_BROKEN,  /* no answer, or it ended too early: why */
    WEIR_CLI_NET_FATAL,   /* the same, and trying again is no use */
    WEIR_CLI_NET_LEFT,    /* take wanted no more */
    WEIR_CLI_NET_STOPPED, /* a signal */
};

/* Numbers are UINT64_MAX and texts empty where nobody says. */
struct weir_cli_reply {
    enum weir_cli_outcome outcome;
    long status;
    uint64_t content_bytes; /* of this answer */
    uint64_t range_first;   /* where it begins */
    uint64_t total_bytes;   /* of the whole file */
    char etag[WEIR_CLI_ETAG_MAX];
    uint64_t linked_bytes; /* as the hub has them, whoever it sends us to */
    char linked_sha256[WEIR_CLI_SHA256_MAX];
    char retry_after[64];
    char server_why[256];
    char why[512];
};

/* Bytes of an answer with what was asked for; reply has its head. False: no more. */
typedef bool weir_cli_take_fn(void *user, const struct weir_cli_reply *reply, const void *bytes,
                              size_t count);

struct weir_cli_request {
    const char *url;
    uint64_t first, end;  /* bytes [first, end) of the file; end 0: to its end */
    const char *if_range; /* only of the file with this ETag; NULL: of whatever is there */
    weir_cli_take_fn *take;
    void *user;
};

/* Where the hub is, and the token for it, are taken from the environment. */
bool weir_cli_net_open(struct weir_cli_net *net);
void weir_cli_net_close(struct weir_cli_net *net);
/* Follows redirects; only the hub itself is ever given the token. */
void weir_cli_net_get(struct weir_cli_net *net, const struct weir_cli_request *request,
                      struct weir_cli_reply *reply);
/* One line of an answer's head, as a server sends it; what it says that matters goes to reply. */
void weir_cli_reply_take(struct weir_cli_reply *reply, const char *bytes, size_t count);
/* Why there is no such answer, in words, of what is called name; returns FAILURE. */
int weir_cli_net_fail(const struct weir_cli_net *net, const char *name,
                      const struct weir_cli_reply *reply);
/* Whether both name one server by one protocol. */
bool weir_cli_net_same_origin(const char *one, const char *other);
/* False: text does not fit, and out is empty. */
bool weir_cli_copy(char *out, size_t capacity, const char *text);
/* A moment, longer with each try; false: a signal. */
bool weir_cli_net_wait(unsigned tries);
/* Adds path to url, with what a URL may not hold written as %XX, but for slashes. False: too long.
 */
bool weir_cli_url_add(char *url, size_t capacity, const char *path);
/* The path of a URL, %XX undone; without the server. False: it is no http or https URL. */
bool weir_cli_url_path(const char *url, char *path, size_t capacity);

/* ---- what a name means (hub.c, choice.c) ------------------------------------------------- */

struct weir_cli_remote_file {
    char name[WEIR_CLI_NAME_MAX]; /* in its repository, or the last part of the URL */
    char url[WEIR_CLI_URL_MAX];
    uint64_t bytes; /* UINT64_MAX: nobody says */
    char sha256[WEIR_CLI_SHA256_MAX];
};

/* One model: a file, all parts of one, or the files of a directory. */
struct weir_cli_remote {
    char repository[WEIR_CLI_NAME_MAX]; /* ORG/REPO; empty: a URL */
    bool is_folder;
    struct weir_cli_remote_file *files; /* [count] */
    size_t count, capacity;
};

/* hf:ORG/REPO[/FILE], or something with ://. */
bool weir_cli_is_remote(const char *word);
/* The files that word means; where a choice was made, it is said. False: why has been said. */
bool weir_cli_remote_find(struct weir_cli_remote *remote, struct weir_cli_net *net,
                          const char *word);
/* Take the hub's list of a repository's files, in JSON; remote->repository says whose. The URLs are
 * of the commit that the list names, or else of revision. False: it has been said. */
bool weir_cli_remote_list(struct weir_cli_remote *remote, const char *hub, const char *revision,
                          const char *json, size_t length);
void weir_cli_remote_free(struct weir_cli_remote *remote);
/* A new file of the list, empty; NULL: it has been said. */
struct weir_cli_remote_file *weir_cli_remote_add(struct weir_cli_remote *remote);
/* Leaves those of one model of a repository: what is called wanted, or with NULL the one to take.
 */
bool weir_cli_remote_choose(struct weir_cli_remote *remote, const char *wanted);
/* "NAME-00001-of-00003.gguf": where "-00001-" begins, the number and the count, which
 * else stay as they were. False: no part. */
bool weir_cli_part_split(const char *name, size_t *stem, unsigned *number, unsigned *count);

/* ---- one file (download.c) ------------------------------------------------------------------ */

struct weir_cli_download {
    uint64_t bytes;         /* of the file */
    uint64_t resumed_bytes; /* of them, there from an earlier download */
    bool was_there, is_checked;
    char sha256[WEIR_CLI_SHA256_MAX];
};

/* Bring the file to path, and the folders to it; nothing is at path before it is whole. Returns an
 * enum weir_cli_exit; why has been said, and what is there already is kept in path.part. */
int weir_cli_download(struct weir_cli_download *done, struct weir_cli_net *net,
                      const struct weir_cli_remote_file *file, const char *path);
/* How many bytes of path are there, finished or not. */
uint64_t weir_cli_download_there(const char *path);
/* Whether the file system of path, which need not be there yet, has room. False: it has been said.
 */
bool weir_cli_room_check(const char *path, uint64_t bytes);
/* Every folder of a path up to its last slash. */
bool weir_cli_folders_of(const char *path);

/* ---- what a plan needs of a model that is elsewhere (heads.c) ------------------------------- */

/* options->argument becomes a file or folder that has the head of the model it means, and as many
 * bytes behind it as the model has, all zero; options->remote keeps the word. Returns an enum
 * weir_cli_exit. */
int weir_cli_heads_fetch(struct weir_cli_options *options);
/* Nothing of it is left; when there is nothing, nothing happens. */
void weir_cli_heads_remove(void);
/* A file beside the heads whose bytes the disk has to read; it goes with them. False: there is no
 * room for it. */
bool weir_cli_heads_scratch(char path[WEIR_CLI_PATH_MAX], uint64_t bytes);

/* ---- models that are here (library.c) ---------------------------------------------------- */

struct weir_cli_held {
    char *name; /* ORG/REPO/NAME without .gguf, or ORG/REPO of a directory */
    char *path; /* what a command opens */
    uint64_t bytes;
    unsigned part_count, parts_there; /* of a split file; 1 and 1 of others */
    bool is_folder, is_unfinished;
};

struct weir_cli_library {
    char folder[WEIR_CLI_PATH_MAX];
    struct weir_cli_held *models; /* [count], by name */
    size_t count;
};

/* The folder that --models, WEIR_MODELS or the XDG base directory specification names. False: none
 * does. */
bool weir_cli_library_place(char folder[WEIR_CLI_PATH_MAX], const struct weir_cli_options *options);
/* The same, and when none does it is said. */
bool weir_cli_library_folder(char folder[WEIR_CLI_PATH_MAX],
                             const struct weir_cli_options *options);
bool weir_cli_library_read(struct weir_cli_library *library,
                           const struct weir_cli_options *options);
void weir_cli_library_free(struct weir_cli_library *library);
/* The shortest end of the model's name that only it has. */
const char *weir_cli_library_short(const struct weir_cli_library *library, size_t index);
/* Behind a command that failed: what else to try where the model's file is not there. */
void weir_cli_model_advise(void);
/* What the command is to open becomes options->argument: a path, or the path of a kept model.
 * Returns an enum weir_cli_exit. */
int weir_cli_model_resolve(struct weir_cli_options *options,
                           const struct weir_cli_command *command);

#endif
