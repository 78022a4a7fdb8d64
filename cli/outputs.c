/* outputs.c - files that commands write: none that is read or written twice, whole or not there.
 *
 * I1  What is there already stays as it was until the new file is whole: that is written beside it
 *     and renamed. Only what weir made itself is removed.
 * I2  What is no ordinary file, and what is a descriptor of ours, is written in place. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

/* ---- what a path means --------------------------------------------------------------------- */

static size_t folder_length(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? 0 : (size_t)(slash + 1 - path);
}

/* The path behind symbolic links, which may lead to nothing yet. A link in /proc stands for an open
 * descriptor, as /dev/stdout does: *is_descriptor. False and errno: links cannot be read. */
static bool follow_links(const char *path, char target[WEIR_CLI_PATH_MAX], bool *is_descriptor)
{
    enum { HOPS_MAX = 40 }; /* as many as Linux follows */
    struct stat proc, facts;
    const bool has_proc = stat("/proc/self/", &proc) == 0;
    char link[WEIR_CLI_PATH_MAX], joined[2 * WEIR_CLI_PATH_MAX];
    *is_descriptor = false;
    size_t length = (size_t)snprintf(target, WEIR_CLI_PATH_MAX, "%s", path);
    for (int hop = 0; hop < HOPS_MAX && length < WEIR_CLI_PATH_MAX; hop++) {
        if (lstat(target, &facts) != 0)
            return errno == ENOENT;
        *is_descriptor = has_proc && S_ISLNK(facts.st_mode) && facts.st_dev == proc.st_dev;
        if (!S_ISLNK(facts.st_mode) || *is_descriptor)
            return true;
        const ssize_t count = readlink(target, link, sizeof(link) - 1);
        if (count < 0)
            return false;
        link[count] = '\0';
        const size_t folder = link[0] == '/' ? 0 : folder_length(target);
        length = (size_t)snprintf(joined, sizeof(joined), "%.*s%s", (int)folder, target, link);
        if (length < WEIR_CLI_PATH_MAX)
            memcpy(target, joined, length + 1);
    }
    errno = length < WEIR_CLI_PATH_MAX ? ELOOP : ENAMETOOLONG;
    return false;
}

/* A file, or one that is not there yet: its folder and its name in it. */
struct place {
    bool is_known, is_there;
    mode_t mode;
    dev_t device;
    ino_t inode;
    char target[WEIR_CLI_PATH_MAX];
};

static void take_facts(struct place *place, const struct stat *facts)
{
    place->is_known = true;
    place->mode = facts->st_mode;
    place->device = facts->st_dev;
    place->inode = facts->st_ino;
}

static void find_place(struct place *place, const char *path)
{
    struct stat facts;
    bool is_descriptor = false;
    char folder[WEIR_CLI_PATH_MAX + 1];
    *place = (struct place){0};
    place->is_there = stat(path, &facts) == 0;
    if (!place->is_there) {
        if (errno != ENOENT || !follow_links(path, place->target, &is_descriptor))
            return; /* cannot be opened either, which is said then */
        const size_t length = folder_length(place->target);
        snprintf(folder, sizeof(folder), "%.*s.", (int)length, place->target);
        if (stat(folder, &facts) != 0)
            return;
    }
    take_facts(place, &facts);
}

static bool is_same(const struct place *one, const struct place *other)
{
    if (!one->is_known || !other->is_known || one->is_there != other->is_there ||
        one->device != other->device || one->inode != other->inode)
        return false;
    if (one->is_there)
        return !S_ISCHR(one->mode); /* nothing is lost in /dev/null */
    return strcmp(one->target + folder_length(one->target),
                  other->target + folder_length(other->target)) == 0;
}

/* Whether it is one of the parts of a model, whose path names one of them. */
static bool is_model_part(const struct place *place, const char *model_path)
{
    static const char suffix[] = "-00001-of-00003.gguf";
    const size_t length = strlen(model_path);
    unsigned number = 0, count = 0;
    int used = 0;
    char path[WEIR_CLI_PATH_MAX];
    if (length + 1 < sizeof(suffix) || length >= sizeof(path))
        return false;
    const size_t stem = length + 1 - sizeof(suffix);
    if (sscanf(model_path + stem, "-%5u-of-%5u.gguf%n", &number, &count, &used) != 2 ||
        (size_t)used + 1 != sizeof(suffix))
        return false;
    for (number = 1; number <= count; number++) {
        struct place part;
        memcpy(path, model_path, stem);
        snprintf(path + stem, sizeof(path) - stem, "-%05u-of-%05u.gguf", number, count);
        find_place(&part, path);
        if (is_same(place, &part))
            return true;
    }
    return false;
}

/* ---- before anything is opened ------------------------------------------------------------- */

/* What the command reads that is this file, or NULL. */
static const char *find_input(const struct weir_cli_options *options, const struct place *place,
                              const char *argument)
{
    const struct {
        const char *name, *path;
    } inputs[] = {{argument, options->argument},     {"--text", options->text},
                  {"--tokens", options->tokens},     {"--routing", options->routing},
                  {"--grammar", options->grammar},   {"--json-schema", options->json_schema},
                  {"--template", options->template}, {"--reference", options->reference},
                  {"--imatrix", options->imatrix},   {"--mc", options->mc}};
    struct place input = {.is_there = true};
    struct stat facts;
    for (size_t index = 0; index < WEIR_COUNT(inputs); index++) {
        if (inputs[index].path == NULL || strcmp(inputs[index].path, "-") == 0)
            continue;
        find_place(&input, inputs[index].path);
        if (is_same(place, &input))
            return inputs[index].name;
    }
    const bool reads_more = strcmp(argument, "IN") != 0; /* and does not write the second word */
    for (size_t index = 0; index < options->more_count && reads_more; index++) {
        find_place(&input, options->more[index]);
        if (is_same(place, &input))
            return argument;
    }
    if (options->argument != NULL && is_model_part(place, options->argument))
        return argument;
    input.is_there = true;
    if (fstat(STDIN_FILENO, &facts) != 0 || !S_ISREG(facts.st_mode))
        return NULL;
    take_facts(&input, &facts);
    return is_same(place, &input) ? "standard input" : NULL;
}

/* Standard input ends when the first of them has read it. */
static bool check_input(const struct weir_cli_options *options, const char *argument)
{
    const struct {
        const char *name, *path;
    } inputs[] = {{argument, options->argument},
                  {"-p", options->prompt},
                  {"--text", options->text},
                  {"--tokens", options->tokens},
                  {"--routing", options->routing},
                  {"--grammar", options->grammar},
                  {"--json-schema", options->json_schema},
                  {"--template", options->template},
                  {"--messages", options->messages},
                  {"--tools", options->tools},
                  {"--vars", options->variables}};
    const char *first = NULL;
    for (size_t index = 0; index < WEIR_COUNT(inputs); index++) {
        if (inputs[index].path == NULL || strcmp(inputs[index].path, "-") != 0)
            continue;
        if (first != NULL) {
            weir_cli_misuse(options->command,
                            "wanted standard input (-) for one thing, found it for %s and for %s",
                            first, inputs[index].name);
            return false;
        }
        first = inputs[index].name;
    }
    return true;
}

bool weir_cli_outputs_check(const struct weir_cli_options *options, const char *argument)
{
    /* Of a command that reads the first of two files and writes the second. */
    const bool are_two = strcmp(argument, "IN OUT") == 0;
    const char *second = are_two && options->more_count > 0 ? options->more[0] : NULL;
    const struct {
        const char *name, *path;
    } outputs[] = {{"--stats", options->stats},   {"--trace", options->timeline},
                   {"--logits", options->logits}, {"--save-reference", options->save_reference},
                   {"-o", options->output},       {"OUT", second}};
    struct place places[WEIR_COUNT(outputs)];
    if (are_two)
        argument = "IN";
    if (!check_input(options, argument))
        return false;
    for (size_t index = 0; index < WEIR_COUNT(outputs); index++) {
        places[index] = (struct place){0};
        if (outputs[index].path == NULL)
            continue;
        find_place(&places[index], outputs[index].path);
        const char *other = find_input(options, &places[index], argument);
        for (size_t before = 0; before < index && other == NULL; before++)
            if (is_same(&places[before], &places[index]))
                other = outputs[before].name;
        if (other == NULL)
            continue;
        weir_cli_misuse(options->command, "%s: wanted a file of its own, found %s, which is %s too",
                        outputs[index].name, outputs[index].path, other);
        return false;
    }
    return true;
}

/* ---- writing ------------------------------------------------------------------------------- */

/* Standard output or error when it is that file: both then go on behind each other. Else -1. */
static int find_descriptor(const struct stat *facts)
{
    struct stat ours;
    for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++)
        if (fstat(fd, &ours) == 0 && ours.st_dev == facts->st_dev && ours.st_ino == facts->st_ino)
            return fd;
    return -1;
}

/* A new file in the folder of out->target. What it replaces gives it its rights. */
static FILE *open_temporary(struct weir_cli_out *out, const struct stat *replaced)
{
    enum { TRIES_MAX = 100 }; /* names that others have left there */
    int fd = -1;
    errno = EEXIST;
    for (unsigned number = 0; number < TRIES_MAX && fd < 0 && errno == EEXIST; number++) {
        const int length =
            snprintf(out->temporary, sizeof(out->temporary), "%.*s.weir-%d-%u.tmp",
                     (int)folder_length(out->target), out->target, (int)getpid(), number);
        errno = ENAMETOOLONG;
        if ((size_t)length < sizeof(out->temporary))
            fd = open(out->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    }
    if (fd < 0) {
        weir_cli_say("cannot write %s: no file can be made beside it: %s", out->path,
                     strerror(errno));
        out->temporary[0] = '\0';
        return NULL;
    }
    /* Only root may give a file away: for others it is theirs, as a new one is. */
    if (replaced != NULL && fchown(fd, replaced->st_uid, replaced->st_gid) != 0)
        errno = 0;
    if (replaced != NULL && fchmod(fd, replaced->st_mode & 0777) != 0)
        errno = 0;
    FILE *file = fdopen(fd, "w");
    if (file == NULL) {
        weir_cli_say("cannot write %s: %s", out->path, strerror(errno));
        close(fd);
        unlink(out->temporary);
    }
    return file;
}

void weir_cli_folders_make(const char *path)
{
    char part[WEIR_CLI_PATH_MAX];
    for (const char *at = strchr(path + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        snprintf(part, sizeof(part), "%.*s", (int)(at - path), path);
        (void)mkdir(part, 0700);
    }
}

bool weir_cli_out_open(struct weir_cli_out *out, const char *path)
{
    struct stat facts;
    bool is_descriptor = false;
    out->path = path;
    out->temporary[0] = '\0';
    const bool is_there = stat(path, &facts) == 0;
    const bool is_missing = !is_there && errno == ENOENT && path[folder_length(path)] != '\0';
    const bool is_regular = is_there && S_ISREG(facts.st_mode);
    const int fd = is_regular ? find_descriptor(&facts) : -1;
    const bool is_ours = is_regular && fd < 0 && faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0;
    if ((is_missing || is_ours) && follow_links(path, out->target, &is_descriptor) &&
        !is_descriptor) {
        out->file = open_temporary(out, is_there ? &facts : NULL);
        return out->file != NULL;
    }
    const int copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    out->file = copy < 0 ? fopen(path, "we") : fdopen(copy, "w");
    if (out->file == NULL)
        weir_cli_say("cannot write %s: %s", path, strerror(errno));
    if (out->file == NULL && copy >= 0)
        close(copy);
    return out->file != NULL;
}

bool weir_cli_out_finish(struct weir_cli_out *out)
{
    if (out->file == NULL)
        return true;
    bool ok = fflush(out->file) == 0 && ferror(out->file) == 0;
    int why = errno;
    if (fclose(out->file) != 0 && ok) {
        ok = false;
        why = errno;
    }
    out->file = NULL;
    if (!ok)
        weir_cli_say("cannot write all of %s: %s", out->path, strerror(why == 0 ? EIO : why));
    if (out->temporary[0] == '\0')
        return ok;
    if (!ok)
        unlink(out->temporary);
    else if (rename(out->temporary, out->target) != 0) {
        ok = false;
        weir_cli_say("cannot write %s: %s; %s is what it should be", out->path, strerror(errno),
                     out->temporary);
    }
    return ok;
}

void weir_cli_out_discard(struct weir_cli_out *out)
{
    if (out->file == NULL)
        return;
    fclose(out->file);
    out->file = NULL;
    if (out->temporary[0] != '\0')
        unlink(out->temporary);
}
