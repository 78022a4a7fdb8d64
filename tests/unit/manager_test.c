/* manager_test.c - what a service manager hears, and what it does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../cli/manager.h"

static int ear;

/* An ear at a name in the abstract namespace, which goes with the process. */
static int open_ear(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char name[64];
    (void)state;
    const int length = snprintf(name, sizeof(name), "@weir-manager-test-%ld", (long)getpid());
    memcpy(address.sun_path, name, (size_t)length);
    address.sun_path[0] = '\0';
    ear = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    setenv("NOTIFY_SOCKET", name, 1);
    return bind(ear, (struct sockaddr *)&address,
                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)length));
}

static int close_ear(void **state)
{
    (void)state;
    return close(ear);
}

/* The next datagram, which is there already; empty: there is none. */
static const char *hear(void)
{
    static char text[256];
    const ssize_t count = recv(ear, text, sizeof(text) - 1, MSG_DONTWAIT);
    text[count < 0 ? 0 : count] = '\0';
    return text;
}

static void test_signs_of_life(void **state)
{
    struct weir_cli_manager manager;
    (void)state;
    unsetenv("WATCHDOG_USEC");
    weir_cli_manager_open(&manager);
    assert_false(weir_cli_manager_wants_beat(&manager));
    weir_cli_manager_close(&manager);
    setenv("WATCHDOG_USEC", "1", 1);
    weir_cli_manager_open(&manager);
    assert_true(weir_cli_manager_wants_beat(&manager));
    weir_cli_manager_beat(&manager, false); /* it may not live on what it does not do */
    assert_string_equal(hear(), "");
    weir_cli_manager_beat(&manager, true);
    assert_string_equal(hear(), "WATCHDOG=1");
    manager.watchdog_ns = UINT64_MAX; /* centuries, and half of them are over */
    manager.beat_ns = weir_now_ns() - UINT64_MAX / 2;
    assert_true(weir_cli_manager_wants_beat(&manager));
    weir_cli_manager_beat(&manager,
                          false); /* it is asked again at once, not after the other half */
    assert_true(weir_cli_manager_wants_beat(&manager));
    weir_cli_manager_beat(&manager, true);
    assert_false(weir_cli_manager_wants_beat(&manager));
    assert_string_equal(hear(), "WATCHDOG=1");
    weir_cli_manager_close(&manager);
    setenv("WATCHDOG_PID", "1", 1); /* another process is watched */
    weir_cli_manager_open(&manager);
    assert_false(weir_cli_manager_wants_beat(&manager));
    weir_cli_manager_close(&manager);
    unsetenv("WATCHDOG_PID");
}

static void test_states(void **state)
{
    struct weir_cli_manager manager;
    (void)state;
    weir_cli_manager_open(&manager);
    weir_cli_manager_tell(&manager, "READY=1");
    assert_string_equal(hear(), "READY=1");
    assert_true(weir_cli_manager_wants_status(&manager));
    weir_cli_manager_status(&manager, "loading, 3 %");
    assert_string_equal(hear(), "STATUS=loading, 3 %");
    weir_cli_manager_status(&manager, "loading, 3 %"); /* as before */
    assert_string_equal(hear(), "");
    weir_cli_manager_close(&manager);
    weir_cli_manager_tell(&manager, "STOPPING=1"); /* to nobody */
    assert_string_equal(hear(), "");
}

static void test_nobody_to_tell(void **state)
{
    static const char *const names[] = {"", "relative", "@", "/no/such/socket"};
    struct weir_cli_manager manager;
    char *kept = getenv("NOTIFY_SOCKET");
    char name[64];
    (void)state;
    snprintf(name, sizeof(name), "%s", kept);
    for (size_t index = 0; index < WEIR_COUNT(names); index++) {
        setenv("NOTIFY_SOCKET", names[index], 1);
        weir_cli_manager_open(&manager);
        assert_false(weir_cli_manager_wants_status(&manager));
        weir_cli_manager_tell(&manager, "READY=1");
        weir_cli_manager_close(&manager);
    }
    setenv("NOTIFY_SOCKET", name, 1);
}

static void test_sockets_that_are_ours(void **state)
{
    char pid[32];
    int socket = -1;
    (void)state;
    snprintf(pid, sizeof(pid), "%ld", (long)getpid());
    unsetenv("LISTEN_FDS");
    assert_true(weir_cli_manager_socket(&socket));
    assert_int_equal(socket, 0);
    setenv("LISTEN_FDS", "1", 1);
    setenv("LISTEN_PID", "1", 1);
    assert_true(weir_cli_manager_socket(&socket));
    assert_int_equal(socket, 0);
    setenv("LISTEN_PID", pid, 1);
    assert_true(weir_cli_manager_socket(&socket));
    assert_int_equal(socket, 3);
    setenv("LISTEN_FDS", "2", 1);
    assert_false(weir_cli_manager_socket(&socket));
    setenv("LISTEN_FDS", "1x", 1);
    assert_true(weir_cli_manager_socket(&socket));
    assert_int_equal(socket, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signs_of_life),
        cmocka_unit_test(test_states),
        cmocka_unit_test(test_nobody_to_tell),
        cmocka_unit_test(test_sockets_that_are_ours),
    };
    return cmocka_run_group_tests(tests, open_ear, close_ear);
}
