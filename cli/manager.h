/* manager.h - what a server and the service manager that started it have to tell each other.
 *
 * Source    sd_listen_fds(3), sd_notify(3), systemd.exec(5), "Credentials". The protocols are a few
 *           variables and datagrams, stable by systemd's own promise, so no library is needed.
 */
#ifndef WEIR_CLI_MANAGER_H
#define WEIR_CLI_MANAGER_H

#include "base/base.h"

struct weir_cli_manager {
    int socket;           /* for what we tell; -1: nobody listens */
    uint64_t watchdog_ns; /* the longest time between two signs of life; 0: none are wanted */
    uint64_t beat_ns;     /* when the last one was given */
    uint64_t status_ns;   /* when the last status was looked at */
    char status[160];     /* as it was told last */
};

/* The socket that the manager opened for us: *socket, 0 where there is none. False: there are
 * several, which has been said. */
bool weir_cli_manager_socket(int *socket);
/* Where the manager put a secret of this name. False: it has none for us. */
bool weir_cli_manager_credential(const char *name, char *path, size_t capacity);

void weir_cli_manager_open(struct weir_cli_manager *manager);
/* A line, or several, such as READY=1. */
void weir_cli_manager_tell(struct weir_cli_manager *manager, const char *lines);
/* Whether it is time for a sign of life; then whether there is one. */
bool weir_cli_manager_wants_beat(const struct weir_cli_manager *manager);
void weir_cli_manager_beat(struct weir_cli_manager *manager, bool is_alive);
/* Whether the status may be told again; then what it is. */
bool weir_cli_manager_wants_status(const struct weir_cli_manager *manager);
void weir_cli_manager_status(struct weir_cli_manager *manager, const char *status);
void weir_cli_manager_close(struct weir_cli_manager *manager);

#endif
