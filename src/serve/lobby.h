/* lobby.h - requests that wait for another model than the one that is served.
 *
 * While somebody waits for another model, no request is read that came later, whatever its model:
 * the texts that run come to their end, and the model of whoever has waited longest is next. With a
 * model come all that wait for it. So each waits for one change of each other model at most.
 *
 * Threads   The desk's.
 */
#ifndef WEIR_SERVE_LOBBY_H
#define WEIR_SERVE_LOBBY_H

#include <jansson.h>

#include "base/base.h"

struct weir_exchange;
struct weir_serve;

struct weir_lobby {
    struct weir_serve *serve;
    struct weir_exchange *first, *last; /* in the order in which they came */
    uint32_t count;
    uint32_t generation; /* of the model for which it has been looked whom it lets in */
};

/* The request is for a model that is not here, or others have come before: the lobby takes over its
 * reference. False: it can be read now, or is refused and its problem says why. */
bool weir_lobby_take(struct weir_lobby *lobby, struct weir_exchange *exchange, const json_t *root);
/* One that can be read now, with its reference; NULL: none. */
struct weir_exchange *weir_lobby_next(struct weir_lobby *lobby);
/* Those end whose clients have left, that have waited too long, or whose model could not be loaded;
 * all of them where the server is being stopped. Streams that go on waiting get signs of life. */
void weir_lobby_tend(struct weir_lobby *lobby);
/* The model that has to come; SIZE_MAX: none. No model may come or go meanwhile. */
size_t weir_lobby_wanted(struct weir_lobby *lobby);

#endif
