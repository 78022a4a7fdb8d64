/* links.c - connections that are open, and whom each of them waits for. */
#include "serve/links.h"

#include <sys/socket.h>

#include "base/heap.h"

enum {
    CROWDED_IDLE_MS = 200,  /* where places are short, so long without a request's head */
    CROWDED_BODY_MS = 2000, /* and so long without its body */
};

struct weir_link {
    struct weir_link *next, *before;
    uint64_t since_ns; /* that it is in its state */
    int fd;
    enum weir_link_state state;
};

void weir_links_init(struct weir_links *links)
{
    links->first = NULL;
    pthread_mutex_init(&links->lock, NULL);
}

void weir_links_deinit(struct weir_links *links)
{
    WEIR_ASSERT(links->first == NULL);
    pthread_mutex_destroy(&links->lock);
}

struct weir_link *weir_links_open(struct weir_links *links, int fd)
{
    struct weir_link *link = weir_heap_alloc(sizeof(*link));
    if (link == NULL)
        return NULL;
    link->fd = fd;
    pthread_mutex_lock(&links->lock);
    link->since_ns = weir_now_ns();
    link->next = links->first;
    if (link->next != NULL)
        link->next->before = link;
    links->first = link;
    pthread_mutex_unlock(&links->lock);
    return link;
}

void weir_links_close(struct weir_links *links, struct weir_link *link)
{
    pthread_mutex_lock(&links->lock);
    if (link->before != NULL)
        link->before->next = link->next;
    else
        links->first = link->next;
    if (link->next != NULL)
        link->next->before = link->before;
    pthread_mutex_unlock(&links->lock);
    weir_heap_free(link);
}

void weir_links_mark(struct weir_links *links, struct weir_link *link, enum weir_link_state state)
{
    pthread_mutex_lock(&links->lock);
    if (link->state != state)
        link->since_ns = weir_now_ns();
    link->state = state;
    pthread_mutex_unlock(&links->lock);
}

static bool has_unread(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void weir_links_weed(struct weir_links *links, uint32_t most_s, bool is_crowded)
{
    pthread_mutex_lock(&links->lock);
    /* With the lock held: what changed its state after this was read would seem to have been in it
     * for ever. */
    const uint64_t now_ns = weir_now_ns();
    for (struct weir_link *link = links->first; link != NULL; link = link->next) {
        uint64_t most_ns = most_s * UINT64_C(1000000000);
        if (link->state == WEIR_LINK_ASKS)
            continue;
        if (is_crowded && link->state == WEIR_LINK_IDLE && !has_unread(link->fd))
            most_ns = weir_min(most_ns, CROWDED_IDLE_MS * UINT64_C(1000000));
        else if (is_crowded && link->state == WEIR_LINK_BODY)
            most_ns = weir_min(most_ns, CROWDED_BODY_MS * UINT64_C(1000000));
        if (now_ns - link->since_ns > most_ns)
            shutdown(link->fd, SHUT_RDWR); /* its opener then closes it */
    }
    pthread_mutex_unlock(&links->lock);
}
