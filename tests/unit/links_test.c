/* links_test.c - connections that let us wait end, and no others, whenever they are looked at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "serve/links.h"

enum { ROUNDS = 50000, USUAL_S = 3600 };

/* A connection's two ends: the server's and the client's. */
struct ends {
    int server, client;
};

static struct ends open_ends(void)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    return (struct ends){fds[0], fds[1]};
}

static void close_ends(struct ends ends)
{
    close(ends.server);
    close(ends.client);
}

/* Whether the client sees that the server has ended the connection. */
static bool has_ended(struct ends ends)
{
    char byte;
    const ssize_t count = recv(ends.client, &byte, 1, MSG_DONTWAIT);
    assert_true(count == 0 || (count < 0 && errno == EAGAIN));
    return count == 0;
}

static struct weir_links links;
static atomic_bool is_over;

static void *weed_on(void *argument)
{
    (void)argument;
    while (!atomic_load(&is_over))
        weir_links_weed(&links, USUAL_S, false);
    return NULL;
}

/* Nobody has let the server wait for an hour. */
static void who_has_just_come_is_not_ended(void **state)
{
    pthread_t weeder;
    const struct ends ends = open_ends();
    (void)state;
    weir_links_init(&links);
    atomic_store(&is_over, false);
    assert_int_equal(pthread_create(&weeder, NULL, weed_on, NULL), 0);
    for (int round = 0; round < ROUNDS && !has_ended(ends); round++) {
        struct weir_link *link = weir_links_open(&links, ends.server);
        assert_non_null(link);
        weir_links_mark(&links, link, WEIR_LINK_ASKS);
        weir_links_mark(&links, link, WEIR_LINK_TOLD);
        weir_links_close(&links, link);
    }
    atomic_store(&is_over, true);
    pthread_join(weeder, NULL);
    assert_false(has_ended(ends));
    weir_links_deinit(&links);
    close_ends(ends);
}

static void who_lets_us_wait_is_ended_and_who_waits_for_us_is_not(void **state)
{
    static const struct {
        enum weir_link_state is;
        bool ends;
    } rows[] = {{WEIR_LINK_IDLE, true},
                {WEIR_LINK_BODY, true},
                {WEIR_LINK_ASKS, false},
                {WEIR_LINK_TOLD, true}};
    (void)state;
    weir_links_init(&links);
    for (size_t row = 0; row < WEIR_COUNT(rows); row++) {
        const struct ends ends = open_ends();
        struct weir_link *link = weir_links_open(&links, ends.server);
        assert_non_null(link);
        weir_links_mark(&links, link, rows[row].is);
        usleep(1000);
        weir_links_weed(&links, USUAL_S, false);
        assert_false(has_ended(ends));
        weir_links_weed(&links, 0, false);
        assert_int_equal(has_ended(ends), rows[row].ends);
        weir_links_close(&links, link);
        close_ends(ends);
    }
    weir_links_deinit(&links);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_just_come_is_not_ended),
        cmocka_unit_test(who_lets_us_wait_is_ended_and_who_waits_for_us_is_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
