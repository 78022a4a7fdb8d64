/* shelf.c - responses that are kept for a while: who is found, and who makes room.
 *
 * I1  `bytes` is the sum over all that are kept and those that are being written.
 * I2  Those that are being written leave room for one whole answer: the others give it up. */
#include "serve/shelf.h"

#include <pthread.h>
#include <string.h>

#include "base/heap.h"
#include "serve/server.h"

struct weir_shelf {
    uint64_t byte_max, answer_bytes;
    pthread_mutex_t lock; /* guards what follows */
    struct weir_shelved *newest, *oldest;
    uint32_t count;         /* of those */
    uint64_t bytes;         /* that all have */
    uint64_t written_bytes; /* of them, those that are being written */
};

struct weir_shelf *weir_shelf_create(uint64_t byte_max, uint64_t answer_bytes)
{
    struct weir_shelf *shelf = weir_heap_alloc(sizeof(*shelf));
    if (shelf == NULL)
        return NULL;
    shelf->byte_max = byte_max;
    shelf->answer_bytes = answer_bytes;
    pthread_mutex_init(&shelf->lock, NULL);
    return shelf;
}

bool weir_shelf_keeps(const struct weir_shelf *shelf)
{
    return shelf != NULL && shelf->byte_max > 0;
}

static uint64_t bytes_of(const struct weir_shelved *kept)
{
    return sizeof(*kept) + kept->items_length + kept->response_length;
}

static void free_one(struct weir_shelved *kept)
{
    weir_heap_free(kept->items);
    weir_heap_free(kept->response);
    weir_heap_free(kept);
}

/* ---- with the lock held -------------------------------------------------------------------- */

static void put_first(struct weir_shelf *shelf, struct weir_shelved *kept)
{
    kept->newer = NULL;
    kept->older = shelf->newest;
    if (shelf->newest != NULL)
        shelf->newest->newer = kept;
    else
        shelf->oldest = kept;
    shelf->newest = kept;
    shelf->count++;
}

static void take_out(struct weir_shelf *shelf, struct weir_shelved *kept)
{
    if (kept->newer != NULL)
        kept->newer->older = kept->older;
    else
        shelf->newest = kept->older;
    if (kept->older != NULL)
        kept->older->newer = kept->newer;
    else
        shelf->oldest = kept->newer;
    shelf->count--;
}

static void forget(struct weir_shelf *shelf, struct weir_shelved *kept)
{
    take_out(shelf, kept);
    shelf->bytes -= bytes_of(kept); /* keeps I1 */
    free_one(kept);
}

/* Room for so many bytes of one more. */
static bool make_room(struct weir_shelf *shelf, uint64_t bytes)
{
    while (shelf->oldest != NULL &&
           (shelf->bytes + bytes > shelf->byte_max || shelf->count >= WEIR_SHELF_RESPONSES_MAX))
        forget(shelf, shelf->oldest);
    return shelf->bytes + bytes <= shelf->byte_max;
}

static struct weir_shelved *find(struct weir_shelf *shelf, const char *name,
                                 const struct weir_party *party)
{
    struct weir_shelved *kept = shelf->newest;
    while (kept != NULL && (strcmp(kept->name, name) != 0 || kept->party != party))
        kept = kept->older;
    return kept;
}

/* ---- the door ------------------------------------------------------------------------------ */

void weir_shelf_destroy(struct weir_shelf **shelf)
{
    if (*shelf == NULL)
        return;
    while ((*shelf)->oldest != NULL)
        forget(*shelf, (*shelf)->oldest);
    pthread_mutex_destroy(&(*shelf)->lock);
    weir_heap_free(*shelf);
    *shelf = NULL;
}

struct weir_shelved *weir_shelf_begin(struct weir_shelf *shelf, const char *name,
                                      const struct weir_party *party, struct weir_writer *items)
{
    struct weir_shelved *kept = items->failed ? NULL : weir_heap_alloc(sizeof(*kept));
    if (kept == NULL)
        return NULL;
    memcpy(kept->name, name, strnlen(name, sizeof(kept->name) - 1));
    kept->party = party;
    kept->items_length = items->length;
    const uint64_t bytes = bytes_of(kept);
    pthread_mutex_lock(&shelf->lock);
    const bool fits =
        shelf->written_bytes + bytes + shelf->answer_bytes <= shelf->byte_max && /* I2 */
        make_room(shelf, bytes);
    if (fits) {
        shelf->bytes += bytes;
        shelf->written_bytes += bytes;
    }
    pthread_mutex_unlock(&shelf->lock);
    if (!fits) {
        free_one(kept);
        return NULL;
    }
    char *exact = weir_heap_grow(items->bytes, items->length); /* without what it had to grow */
    kept->items = exact == NULL ? items->bytes : exact;
    *items = (struct weir_writer){0};
    return kept;
}

void weir_shelf_end(struct weir_shelf *shelf, struct weir_shelved **kept, const char *bytes,
                    size_t length)
{
    struct weir_shelved *whole = *kept;
    pthread_mutex_lock(&shelf->lock);
    shelf->written_bytes -= bytes_of(whole);
    const bool fits = make_room(shelf, length);
    char *copy = fits ? weir_heap_alloc(length) : NULL;
    if (copy != NULL) {
        memcpy(copy, bytes, length);
        whole->response = copy;
        whole->response_length = length;
        shelf->bytes += length;
        put_first(shelf, whole);
    } else {
        shelf->bytes -= bytes_of(whole); /* keeps I1 */
    }
    pthread_mutex_unlock(&shelf->lock);
    if (copy == NULL)
        free_one(whole);
    *kept = NULL;
}

void weir_shelf_drop(struct weir_shelf *shelf, struct weir_shelved **kept)
{
    if (*kept == NULL)
        return;
    pthread_mutex_lock(&shelf->lock);
    shelf->bytes -= bytes_of(*kept); /* keeps I1 */
    shelf->written_bytes -= bytes_of(*kept);
    pthread_mutex_unlock(&shelf->lock);
    free_one(*kept);
    *kept = NULL;
}

void weir_shelf_problem_unknown(struct weir_exchange *exchange, const char *field)
{
    weir_problem_set(&exchange->problem, 404, "invalid_request_error", "response_not_found", field,
                     "there is no such response: the last %d are kept at most, as many as "
                     "--stored-bytes holds, until the server ends",
                     WEIR_SHELF_RESPONSES_MAX);
}

bool weir_shelf_look(struct weir_exchange *exchange, const char *name, const char *field,
                     weir_shelf_look_fn *look, void *user)
{
    struct weir_shelf *shelf = exchange->serve->shelf;
    bool has_room = false;
    pthread_mutex_lock(&shelf->lock);
    struct weir_shelved *kept = find(shelf, name, exchange->party);
    if (kept != NULL) {
        const size_t bytes = (size_t)bytes_of(kept);
        has_room = weir_serve_body_take(exchange->serve, bytes);
        exchange->body_counted += has_room ? bytes : 0;
    }
    if (has_room) {
        take_out(shelf, kept);
        put_first(shelf, kept);
        look(user, kept);
    }
    pthread_mutex_unlock(&shelf->lock);
    if (kept == NULL)
        weir_shelf_problem_unknown(exchange, field);
    else if (!has_room)
        weir_serve_problem_full(exchange->serve, exchange);
    return has_room;
}

bool weir_shelf_forget(struct weir_shelf *shelf, const char *name, const struct weir_party *party)
{
    pthread_mutex_lock(&shelf->lock);
    struct weir_shelved *kept = find(shelf, name, party);
    if (kept != NULL)
        forget(shelf, kept);
    pthread_mutex_unlock(&shelf->lock);
    return kept != NULL;
}

void weir_shelf_count(struct weir_shelf *shelf, uint32_t *count, uint64_t *bytes)
{
    pthread_mutex_lock(&shelf->lock);
    *count = shelf->count;
    *bytes = shelf->bytes;
    pthread_mutex_unlock(&shelf->lock);
}
