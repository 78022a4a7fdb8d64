/* client_keys.h - the keys that clients of a server must show, and what each is worth. */
#ifndef WEIR_CLI_CLIENT_KEYS_H
#define WEIR_CLI_CLIENT_KEYS_H

#include "cli.h"
#include "serve/serve.h"

enum { WEIR_CLI_KEY_MAX = 64 };

struct weir_cli_client_keys {
    struct weir_cli_buffer text; /* holds the keys of a file */
    struct weir_serve_key keys[WEIR_CLI_KEY_MAX];
    size_t count;
};

/* Those of a file, a line each: KEY, or KEY weight=N. Where path is NULL, the one in WEIR_API_KEY,
 * if there is one. False: it has been said; in any case they are freed afterwards. */
bool weir_cli_client_keys_read(struct weir_cli_client_keys *keys, const char *path);
void weir_cli_client_keys_free(struct weir_cli_client_keys *keys);

#endif
