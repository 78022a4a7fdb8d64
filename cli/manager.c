/* manager.c - what a server and the service manager that started it have to tell each other. */
#include "manager.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cli.h"

enum { FIRST_SOCKET = 3, STATUS_NS = 1000000000, SEND_S = 5 /* that a manager may keep us */ };

/* ---- what it gives us ---------------------------------------------------------------------- */

/* A number of at most nine digits; -1: the variable is not there, or is none. */
static long read_number(const char *name)
{
    const char *text = getenv(name);
    char *end = NULL;
    if (text == NULL || *text < '0' || *text > '9' || strlen(text) > 9)
        return -1;
    const long value = strtol(text, &end, 10);
    return *end == '\0' ? value : -1;
}

bool weir_cli_manager_socket(int *socket)
{
    const long count = read_number("LISTEN_FDS");
    *socket = 0;
    if (count <= 0 || read_number("LISTEN_PID") != (long)getpid())
        return true;
    if (count > 1) {
        weir_cli_say("LISTEN_FDS: wanted one socket (ListenStream=), found %ld", count);
        return false;
    }
    fcntl(FIRST_SOCKET, F_SETFD, FD_CLOEXEC);
    *socket = FIRST_SOCKET;
    return true;
}

bool weir_cli_manager_credential(const char *name, char *path, size_t capacity)
{
    const char *folder = getenv("CREDENTIALS_DIRECTORY");
    if (folder == NULL || folder[0] != '/')
        return false;
    const int length = snprintf(path, capacity, "%s/%s", folder, name);
    return length > 0 && (size_t)length < capacity && access(path, F_OK) == 0;
}

/* ---- what we tell it ----------------------------------------------------------------------- */

/* A path, or a name in the abstract namespace, which begins with @ in the variable. */
static int connect_to(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const size_t length = strlen(name);
    if ((name[0] != '/' && name[0] != '@') || length < 2 || length >= sizeof(address.sun_path))
        return -1;
    memcpy(address.sun_path, name, length);
    if (name[0] == '@')
        address.sun_path[0] = '\0';
    const struct timeval patience = {.tv_sec = SEND_S};
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    if (fd >= 0)
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
    if (fd >= 0 && connect(fd, (const struct sockaddr *)(const void *)&address, size) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

void weir_cli_manager_open(struct weir_cli_manager *manager)
{
    const char *name = getenv("NOTIFY_SOCKET");
    const char *period_us = getenv("WATCHDOG_USEC");
    const long owner = read_number("WATCHDOG_PID");
    *manager = (struct weir_cli_manager){.socket = -1};
    if (name == NULL || name[0] == '\0')
        return;
    manager->socket = connect_to(name);
    if (manager->socket < 0)
        weir_cli_say(
            "NOTIFY_SOCKET: cannot be reached, so nobody is told that the server is ready");
    if (period_us != NULL && (owner < 0 || owner == (long)getpid()))
        manager->watchdog_ns = strtoull(period_us, NULL, 10) * 1000;
}

void weir_cli_manager_tell(struct weir_cli_manager *manager, const char *lines)
{
    if (manager->socket >= 0) /* one that does not listen misses it */
        (void)!send(manager->socket, lines, strlen(lines), MSG_NOSIGNAL);
}

/* Twice as often as has to be, as sd_watchdog_enabled(3) advises. */
bool weir_cli_manager_wants_beat(const struct weir_cli_manager *manager)
{
    return manager->watchdog_ns > 0 && weir_now_ns() - manager->beat_ns >= manager->watchdog_ns / 2;
}

void weir_cli_manager_beat(struct weir_cli_manager *manager, bool is_alive)
{
    if (!is_alive)
        return; /* at the next look there may be one, long before the time is over */
    manager->beat_ns = weir_now_ns();
    weir_cli_manager_tell(manager, "WATCHDOG=1");
}

bool weir_cli_manager_wants_status(const struct weir_cli_manager *manager)
{
    return manager->socket >= 0 && weir_now_ns() - manager->status_ns >= STATUS_NS;
}

void weir_cli_manager_status(struct weir_cli_manager *manager, const char *status)
{
    char line[sizeof(manager->status) + 8];
    manager->status_ns = weir_now_ns();
    if (strcmp(status, manager->status) == 0)
        return;
    snprintf(manager->status, sizeof(manager->status), "%s", status);
    snprintf(line, sizeof(line), "STATUS=%s", manager->status);
    weir_cli_manager_tell(manager, line);
}

void weir_cli_manager_close(struct weir_cli_manager *manager)
{
    if (manager->socket >= 0)
        close(manager->socket);
    manager->socket = -1;
}
