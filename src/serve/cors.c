/* cors.c - which pages of other origins a browser lets see the server's answers.
 *
 * Where no origin is named nothing is said, and browsers let in nobody. */
#include "serve/cors.h"

#include <stdio.h>
#include <string.h>

#include "serve/mhd_load.h"
#include "serve/server.h"

static const char *header(struct MHD_Connection *connection, const char *name)
{
    return weir_mhd()->MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/* The page's origin, or "*" where all are let in; NULL: it is not. */
static const char *find_origin(const struct weir_serve *serve, struct MHD_Connection *connection)
{
    const char *origin = serve->config.origin_count == 0 ? NULL : header(connection, "Origin");
    for (size_t index = 0; origin != NULL && index < serve->config.origin_count; index++)
        if (strcmp(serve->config.origins[index], "*") == 0 ||
            strcmp(serve->config.origins[index], origin) == 0)
            return serve->config.origins[index];
    return NULL;
}

bool weir_cors_is_question(const struct weir_exchange *exchange, struct MHD_Connection *connection,
                           const char *method)
{
    return strcmp(method, "OPTIONS") == 0 && exchange->allow != NULL &&
           header(connection, "Access-Control-Request-Method") != NULL &&
           find_origin(exchange->serve, connection) != NULL;
}

void weir_cors_head(const struct weir_exchange *exchange, struct MHD_Connection *connection,
                    struct MHD_Response *response)
{
    const struct weir_mhd *mhd = weir_mhd();
    const char *origin = find_origin(exchange->serve, connection);
    const char *wanted = header(connection, "Access-Control-Request-Headers");
    if (exchange->serve->config.origin_count > 0)
        mhd->MHD_add_response_header(response, "Vary", "Origin");
    if (origin == NULL)
        return;
    mhd->MHD_add_response_header(response, "Access-Control-Allow-Origin", origin);
    mhd->MHD_add_response_header(response, "Access-Control-Expose-Headers", "Retry-After");
    if (exchange->status != 204)
        return;
    mhd->MHD_add_response_header(response, "Access-Control-Allow-Methods", exchange->allow);
    if (wanted != NULL)
        mhd->MHD_add_response_header(response, "Access-Control-Allow-Headers", wanted);
    if (header(connection, "Access-Control-Request-Private-Network") != NULL)
        mhd->MHD_add_response_header(response, "Access-Control-Allow-Private-Network", "true");
    mhd->MHD_add_response_header(response, "Access-Control-Max-Age", "600");
}
