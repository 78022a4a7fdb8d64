/* streams.c - standard input, output and error, whatever state the program was given them in.
 *
 * A parent may leave them closed: the next file that is opened would then be standard output. Or
 * it shares a pipe that it has made non-blocking, which refuses bytes (EAGAIN) while it is full or
 * empty. The flag belongs to both ends' programs, so it stays, and we wait. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli.h"

enum {
    LOOK_MS = 100,        /* between two looks whether a stop was asked for */
    LAST_WORDS_MS = 1000, /* what a reader has to take our last words once it was */
};

/* Why standard output took less than it was given; 0: it took everything. */
static int output_errno;

/* A closed descriptor is opened the wrong way round, so that using it is still an error. Standard
 * error alone may be missed: its words then go nowhere. */
static void fill_descriptor(int fd)
{
    static const int modes[] = {
        [STDIN_FILENO] = O_WRONLY, [STDOUT_FILENO] = O_RDONLY, [STDERR_FILENO] = O_WRONLY};
    if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
        return;
    int filled = open("/dev/null", modes[fd]);
    if (filled < 0)
        filled = open("/", O_RDONLY | O_DIRECTORY); /* no devices here: neither reads nor writes */
    WEIR_ASSERT(filled == fd || filled < 0);
}

/* False when a stop was asked for, and patience_ms more did not help. */
static bool wait_until_ready(int fd, short events, int patience_ms)
{
    struct pollfd wanted = {.fd = fd, .events = events};
    for (int waited_ms = 0;;) {
        /* Also when it cannot be told: the call itself then says what is wrong. */
        const int ready = poll(&wanted, 1, LOOK_MS);
        if (ready > 0 || (ready < 0 && errno != EINTR))
            return true;
        if (!weir_cli_stop_asked())
            continue;
        waited_ms += LOOK_MS;
        if (waited_ms > patience_ms) {
            errno = EINTR;
            return false;
        }
    }
}

ssize_t weir_cli_read(int fd, void *bytes, size_t count)
{
    for (;;) {
        if (!wait_until_ready(fd, POLLIN, 0))
            return -1;
        const ssize_t got = read(fd, bytes, count);
        if (got >= 0 || (errno != EAGAIN && errno != EINTR))
            return got;
    }
}

/* All of the bytes, or fewer and errno. */
static size_t write_all(int fd, const char *bytes, size_t count)
{
    size_t done = 0;
    while (done < count && wait_until_ready(fd, POLLOUT, LAST_WORDS_MS)) {
        const ssize_t put = write(fd, bytes + done, count - done);
        if (put >= 0)
            done += (size_t)put;
        else if (errno != EAGAIN && errno != EINTR)
            break;
    }
    return done;
}

/* ---- as streams of stdio ------------------------------------------------------------------- */

static ssize_t read_input(void *cookie, char *bytes, size_t count)
{
    (void)cookie;
    return weir_cli_read(STDIN_FILENO, bytes, count);
}

static ssize_t write_output(void *cookie, const char *bytes, size_t count)
{
    (void)cookie;
    const size_t done = write_all(STDOUT_FILENO, bytes, count);
    if (done < count && output_errno == 0)
        output_errno = errno;
    return (ssize_t)done;
}

/* Where messages never wait: what nobody takes is dropped. All of it under stderr's lock. */
static struct {
    bool is_on;
    int fd;
    uint64_t dropped; /* lines that have not been told of */
    bool is_cut;      /* of the last one, only a part was taken */
} hasty = {.fd = STDERR_FILENO};

/* How many bytes are taken now. A pipe that has room has a page of it. */
static size_t write_now(const char *bytes, size_t count)
{
    size_t done = 0;
    while (done < count) {
        struct pollfd room = {.fd = hasty.fd, .events = POLLOUT};
        if (poll(&room, 1, 0) == 0)
            break;
        const ssize_t put = write(hasty.fd, bytes + done, weir_min(count - done, PIPE_BUF));
        if (put < 0)
            break;
        done += (size_t)put;
    }
    return done;
}

static void write_or_drop(const char *bytes, size_t count)
{
    char told[96] = "";
    if (hasty.dropped > 0) {
        const int length = snprintf(
            told, sizeof(told), "%sweir: nobody took what was said here: %llu lines were dropped\n",
            hasty.is_cut ? "\n" : "", (unsigned long long)hasty.dropped);
        const size_t put = write_now(told, (size_t)length);
        hasty.is_cut = put == 0 ? hasty.is_cut : put < (size_t)length;
        hasty.dropped = put < (size_t)length ? hasty.dropped : 0;
    }
    const size_t done = hasty.dropped > 0 ? 0 : write_now(bytes, count);
    hasty.is_cut = done > 0 ? done < count : hasty.is_cut;
    for (size_t at = done; at < count; at++)
        hasty.dropped += bytes[at] == '\n';
}

static ssize_t write_messages(void *cookie, const char *bytes, size_t count)
{
    (void)cookie;
    if (!hasty.is_on)
        return (ssize_t)write_all(STDERR_FILENO, bytes, count);
    write_or_drop(bytes, count);
    return (ssize_t)count;
}

/* A description of our own may refuse to wait; the one that we were given belongs to others too. */
void weir_cli_messages_hasten(void)
{
    struct stat facts;
    const bool can_wait =
        fstat(STDERR_FILENO, &facts) == 0 && (S_ISFIFO(facts.st_mode) || S_ISCHR(facts.st_mode));
    const int fd =
        can_wait ? open("/proc/self/fd/2", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY) : -1;
    flockfile(stderr);
    hasty.is_on = true;
    hasty.fd = fd < 0 ? STDERR_FILENO : fd;
    funlockfile(stderr);
}

void weir_cli_streams_open(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        fill_descriptor(fd);
    FILE *input = fopencookie(NULL, "r", (cookie_io_functions_t){.read = read_input});
    FILE *output = fopencookie(NULL, "w", (cookie_io_functions_t){.write = write_output});
    FILE *messages = fopencookie(NULL, "w", (cookie_io_functions_t){.write = write_messages});
    /* Without memory for a stream the C library's own has to do. */
    if (input != NULL)
        stdin = input;
    if (output != NULL)
        stdout = output;
    if (messages != NULL)
        stderr = messages;
    setvbuf(stdout, NULL, isatty(STDOUT_FILENO) ? _IOLBF : _IOFBF, BUFSIZ);
    setvbuf(stderr, NULL, _IONBF, 0);
}

bool weir_cli_output_flush(void)
{
    /* An error that came earlier, with a full buffer, is still known here. */
    const bool ok = fflush(stdout) == 0 && ferror(stdout) == 0 && output_errno == 0;
    if (!ok)
        errno = output_errno == 0 ? EIO : output_errno;
    return ok;
}

const char *weir_cli_stream_why(int os_errno)
{
    return os_errno == EBADF ? "it is closed" : strerror(os_errno);
}
