/* shelf.h - responses that are kept for a while, to be asked for again and gone on from.
 *
 * A response has, beside itself, all items of its conversation before it, so that none needs
 * another one. They are in memory only, in so many bytes in all; those that nobody has asked for
 * the longest make room for new ones. A client finds those of its own key.
 *
 * Owns      All that it keeps.
 * Threads   Any.
 */
#ifndef WEIR_SERVE_SHELF_H
#define WEIR_SERVE_SHELF_H

#include "serve/exchange.h"

enum { WEIR_SHELF_RESPONSES_MAX = 1024 };

struct weir_shelved {
    char name[64];
    const struct weir_party *party; /* of the key that was shown; NULL: none is asked for */
    struct weir_shelved *newer, *older;
    char *items; /* each a line of JSON that begins with its id: the conversation before it */
    size_t items_length;
    char *response; /* JSON; NULL: it is being written */
    size_t response_length;
};

/* NULL: no memory. answer_bytes: what a response may usually have. 0 of byte_max: it keeps none. */
struct weir_shelf *weir_shelf_create(uint64_t byte_max, uint64_t answer_bytes);
void weir_shelf_destroy(struct weir_shelf **shelf);
bool weir_shelf_keeps(const struct weir_shelf *shelf);

/* A response with that name begins, behind these items, whose text is taken over. NULL: there is no
 * room, or no memory. It ends with one of the two that follow. */
struct weir_shelved *weir_shelf_begin(struct weir_shelf *shelf, const char *name,
                                      const struct weir_party *party, struct weir_writer *items);
/* It is whole, and found from now on, unless there is no room for it. *kept: NULL from now on. */
void weir_shelf_end(struct weir_shelf *shelf, struct weir_shelved **kept, const char *bytes,
                    size_t length);
/* Nothing comes of it. *kept may be NULL, and is from now on. */
void weir_shelf_drop(struct weir_shelf *shelf, struct weir_shelved **kept);

/* The exchange's client looks at the response of that name, while nobody changes anything. What
 * look() copies is counted among the bodies of requests, until the exchange is over. False: the
 * exchange has a problem (there is none of that name, which field says, if that is not NULL; 429).
 */
typedef void weir_shelf_look_fn(void *user, const struct weir_shelved *kept);
bool weir_shelf_look(struct weir_exchange *exchange, const char *name, const char *field,
                     weir_shelf_look_fn *look, void *user);
/* Whether there was one, which is gone. */
bool weir_shelf_forget(struct weir_shelf *shelf, const char *name, const struct weir_party *party);
/* How many can be found, and what all take. */
void weir_shelf_count(struct weir_shelf *shelf, uint32_t *count, uint64_t *bytes);

/* Routes (shelf_routes.c). */
void weir_response_tell(struct weir_exchange *exchange);
void weir_response_forget(struct weir_exchange *exchange);
void weir_response_items_tell(struct weir_exchange *exchange);
/* 404: there is no response of that name. */
void weir_shelf_problem_unknown(struct weir_exchange *exchange, const char *field);

#endif
