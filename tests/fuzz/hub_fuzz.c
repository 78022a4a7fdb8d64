/* hub_fuzz.c - libFuzzer: any bytes as what a server answers: the hub's list of a repository's
 * files, of which a model is chosen, or the lines of an answer's head. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../cli/net.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HUB "https://hub.example"
#define REPOSITORY "org/repo"

static void require(bool is_true)
{
    if (!is_true)
        abort();
}

/* No name leads out of the folder that it is put in, and no URL to another server. */
static void check_file(const struct weir_cli_remote_file *file)
{
    static const char start[] = HUB "/" REPOSITORY "/resolve/";
    require(file->name[0] != '\0' && file->name[0] != '/' && memchr(file->name, '\0', 512) != NULL);
    require(strstr(file->name, "/.") == NULL && file->name[0] != '.');
    require(strstr(file->name, "//") == NULL && strpbrk(file->name, "\r\n\t") == NULL);
    require(strncmp(file->url, start, sizeof(start) - 1) == 0);
    require(strpbrk(file->url, "?#\\ \r\n") == NULL);
    require(file->sha256[0] == '\0' || strlen(file->sha256) == WEIR_CLI_SHA256_MAX - 1);
}

static void take_list(const char *json, size_t length, const char *wanted)
{
    struct weir_cli_remote remote = {.repository = REPOSITORY};
    const bool ok = weir_cli_remote_list(&remote, HUB, "main", json, length);
    require(remote.count <= WEIR_CLI_REMOTE_MAX);
    for (size_t index = 0; ok && index < remote.count; index++)
        check_file(&remote.files[index]);
    require(!ok || !weir_cli_remote_choose(&remote, wanted) || remote.count > 0);
    weir_cli_remote_free(&remote);
}

static void take_head(const char *text, size_t length)
{
    struct weir_cli_reply reply = {0};
    const struct weir_cli_net net = {.hub = HUB};
    for (size_t at = 0; at < length;) {
        const char *end = memchr(text + at, '\n', length - at);
        const size_t line = end == NULL ? length - at : (size_t)(end + 1 - (text + at));
        weir_cli_reply_take(&reply, text + at, line);
        at += line;
    }
    require(memchr(reply.etag, '\0', sizeof(reply.etag)) != NULL);
    require(memchr(reply.retry_after, '\0', sizeof(reply.retry_after)) != NULL);
    require(memchr(reply.server_why, '\0', sizeof(reply.server_why)) != NULL);
    require(reply.linked_sha256[0] == '\0' ||
            strspn(reply.linked_sha256, "0123456789abcdefABCDEF") == WEIR_CLI_SHA256_MAX - 1);
    reply.outcome = WEIR_CLI_NET_REFUSED;
    for (reply.status = 400; reply.status < 505; reply.status += 29)
        weir_cli_net_fail(&net, "fuzz", &reply);
}

/* The first byte says what follows: a list, a list of which one file is wanted, a head. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static FILE *silence;
    FILE *loud = stderr;
    char wanted[32] = {0};
    if (silence == NULL)
        silence = fopen("/dev/null", "w");
    if (size < sizeof(wanted) || silence == NULL)
        return 0;
    stderr = silence;
    const char *text = (const char *)data + 1;
    if (data[0] == 'H')
        take_head(text, size - 1);
    else if (data[0] == 'L')
        take_list(text, size - 1, NULL);
    else {
        memcpy(wanted, text, sizeof(wanted) - 1);
        take_list(text + sizeof(wanted) - 1, size - sizeof(wanted), wanted);
    }
    stderr = loud;
    return 0;
}
