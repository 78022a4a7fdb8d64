/* page.c - the page at `/`: files of src/serve/page, in the program as they are.
 *
 * They hold nothing of anybody's, so they need no key: the page asks for it. A browser keeps them,
 * and asks each time whether they are still the same. */
#include <stdio.h>
#include <string.h>

#include "serve/mhd_load.h"
#include "serve/server.h"

/* Nothing from elsewhere, nothing inline, nobody's frame. */
#define POLICY                                                                                     \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "                    \
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

/* The assembler puts the file where C finds it; paths are the tree's, where make runs. */
#define EMBED(name, file)                                                                          \
    __asm__(".pushsection .rodata\n"                                                               \
            "weir_page_" #name ":\n"                                                               \
            ".incbin \"src/serve/page/" file "\"\n"                                                \
            "weir_page_" #name "_end:\n"                                                           \
            ".byte 0\n"                                                                            \
            ".popsection\n");                                                                      \
    extern const char weir_page_##name[] __attribute__((visibility("hidden")));                    \
    extern const char weir_page_##name##_end[] __attribute__((visibility("hidden")));

EMBED(index, "index.html")
EMBED(style, "page.css")
EMBED(icon, "icon.svg")
EMBED(page, "page.js")
EMBED(dom, "dom.js")
EMBED(threads, "threads.js")
EMBED(messages, "messages.js")
EMBED(settings, "settings.js")
EMBED(files, "files.js")
EMBED(client, "client.js")
EMBED(markdown, "markdown.js")
EMBED(machine, "machine.js")
EMBED(map, "map.js")
EMBED(tokens, "tokens.js")

struct weir_page_file {
    struct weir_route route; /* open to all */
    const char *type, *bytes, *end;
};

#define SCRIPT "text/javascript; charset=utf-8"
#define FILE(path, name, type)                                                                     \
    {                                                                                              \
        {"GET", path, weir_page_tell, NULL, true, false, false}, type, weir_page_##name,           \
            weir_page_##name##_end                                                                 \
    }

static const struct weir_page_file files[] = {
    FILE("/", index, "text/html; charset=utf-8"),
    FILE("/page.css", style, "text/css; charset=utf-8"),
    FILE("/icon.svg", icon, "image/svg+xml"),
    FILE("/page.js", page, SCRIPT),
    FILE("/dom.js", dom, SCRIPT),
    FILE("/threads.js", threads, SCRIPT),
    FILE("/messages.js", messages, SCRIPT),
    FILE("/settings.js", settings, SCRIPT),
    FILE("/files.js", files, SCRIPT),
    FILE("/client.js", client, SCRIPT),
    FILE("/markdown.js", markdown, SCRIPT),
    FILE("/machine.js", machine, SCRIPT),
    FILE("/map.js", map, SCRIPT),
    FILE("/tokens.js", tokens, SCRIPT),
};

static const struct weir_page_file *find_file(const char *path)
{
    for (size_t index = 0; index < WEIR_COUNT(files); index++)
        if (strcmp(files[index].route.path, path) == 0)
            return &files[index];
    return NULL;
}

const struct weir_route *weir_page_route(const char *path)
{
    const struct weir_page_file *file = find_file(path);
    return file == NULL ? NULL : &file->route;
}

/* Another text has another mark: FNV-1a, 64 bits (draft-eastlake-fnv). */
static void write_mark(const struct weir_page_file *file, char out[24])
{
    uint64_t hash = 0xcbf29ce484222325;
    for (const char *at = file->bytes; at < file->end; at++)
        hash = (hash ^ (unsigned char)*at) * 0x100000001b3;
    snprintf(out, 24, "\"%016llx\"", (unsigned long long)hash);
}

void weir_page_tell(struct weir_exchange *exchange)
{
    char mark[24];
    exchange->page = find_file(exchange->route->path);
    WEIR_ASSERT(exchange->page != NULL);
    write_mark(exchange->page, mark);
    const char *known = weir_mhd()->MHD_lookup_connection_value(exchange->connection,
                                                                MHD_HEADER_KIND, "If-None-Match");
    const bool is_known = known != NULL && strstr(known, mark) != NULL;
    weir_exchange_reply(exchange, is_known ? 304 : 200, exchange->page->type);
}

void weir_page_head(const struct weir_page_file *file, struct MHD_Response *response)
{
    char mark[24];
    write_mark(file, mark);
    weir_mhd()->MHD_add_response_header(response, "ETag", mark);
    weir_mhd()->MHD_add_response_header(response, "Cache-Control", "no-cache");
    weir_mhd()->MHD_add_response_header(response, "Content-Security-Policy", POLICY);
    weir_mhd()->MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
    weir_mhd()->MHD_add_response_header(response, "Cross-Origin-Opener-Policy", "same-origin");
    weir_mhd()->MHD_add_response_header(response, "Cross-Origin-Resource-Policy", "same-origin");
}

struct MHD_Response *weir_page_body(const struct weir_page_file *file, unsigned status)
{
    const size_t length = status == 304 ? 0 : (size_t)(file->end - file->bytes);
    return weir_mhd()->MHD_create_response_from_buffer(length, (void *)(uintptr_t)file->bytes,
                                                       MHD_RESPMEM_PERSISTENT);
}
