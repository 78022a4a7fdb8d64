/* links.h - connections that are open, and whom each of them waits for; those that wait for too
 * long end.
 *
 * Owns      The list. Sockets stay their opener's: ending one is a shutdown, which its opener sees.
 * Threads   Any; a lock guards the list. A link is closed by the thread that marks it.
 */
#ifndef WEIR_SERVE_LINKS_H
#define WEIR_SERVE_LINKS_H

#include <pthread.h>

#include "base/base.h"

/* Whom a connection waits for. */
enum weir_link_state {
    WEIR_LINK_IDLE, /* its client: there is no request, or not all of a head */
    WEIR_LINK_BODY, /* its client: the head was whole */
    WEIR_LINK_ASKS, /* us */
    WEIR_LINK_TOLD, /* its client, who is to take all that there is */
};

struct weir_link;

struct weir_links {
    pthread_mutex_t lock; /* guards the list, and what is in it */
    struct weir_link *first;
};

void weir_links_init(struct weir_links *links);
/* All of them are closed. */
void weir_links_deinit(struct weir_links *links);
/* It is idle. NULL: no memory. */
struct weir_link *weir_links_open(struct weir_links *links, int fd);
void weir_links_close(struct weir_links *links, struct weir_link *link);
void weir_links_mark(struct weir_links *links, struct weir_link *link, enum weir_link_state state);
/* Those end whose client has let us wait for most_s; where others wait for what they have, much
 * earlier. */
void weir_links_weed(struct weir_links *links, uint32_t most_s, bool is_crowded);

#endif
