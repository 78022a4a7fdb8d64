/* cors.h - which pages of other origins a browser lets see the server's answers.
 *
 * Source    Cross-Origin Resource Sharing, as the Fetch standard has it (fetch.spec.whatwg.org).
 */
#ifndef WEIR_SERVE_CORS_H
#define WEIR_SERVE_CORS_H

#include "serve/exchange.h"

struct MHD_Response;

/* A browser asks whether a page may send what it wants to send: the answer has no text. */
bool weir_cors_is_question(const struct weir_exchange *exchange, struct MHD_Connection *connection,
                           const char *method);
/* What is said to a page's browser, if the page is let in. */
void weir_cors_head(const struct weir_exchange *exchange, struct MHD_Connection *connection,
                    struct MHD_Response *response);

#endif
