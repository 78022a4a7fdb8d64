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
EMBED(threads, "threads.js")
EMBED(client, "client.js")
EMBED(markdown, "markdown.js")
EMBED(machine, "machine.js")

struct weir_page_file {
    const char *path, *type, *bytes, *end;
};

static const struct weir_page_file files[] = {
    {"/", "text/html; charset=utf-8", weir_page_index, weir_page_index_end},
    {"/page.css", "text/css; charset=utf-8", weir_page_style, weir_page_style_end},
    {"/icon.svg", "image/svg+xml", weir_page_icon, weir_page_icon_end},
    {"/page.js", "text/javascript; charset=utf-8", weir_page_page, weir_page_page_end},
    {"/threads.js", "text/javascript; charset=utf-8", weir_page_threads, weir_page_threads_end},
    {"/client.js", "text/javascript; charset=utf-8", weir_page_client, weir_page_client_end},
    {"/markdown.js", "text/javascript; charset=utf-8", weir_page_markdown, weir_page_markdown_end},
    {"/machine.js", "text/javascript; charset=utf-8", weir_page_machine, weir_page_machine_end},
};

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
    size_t index = 0;
    while (strcmp(files[index].path, exchange->route->path) != 0) {
        index++;
        WEIR_ASSERT(index < WEIR_COUNT(files));
    }
    exchange->page = &files[index];
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
