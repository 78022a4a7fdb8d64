/* shelf_routes.c - responses that are kept: asked for again, with the items before them, and
 * forgotten. */
#include "serve/shelf.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "serve/items.h"
#include "serve/mhd_load.h"
#include "serve/server.h"

enum { LIST_USUAL = 20, LIST_MAX = 100 };

/* ---- what is behind the question mark ------------------------------------------------------ */

/* A list of items: which of them, and in which order. */
struct list {
    struct weir_exchange *exchange;
    uint32_t limit;
    bool is_rising;    /* the oldest first */
    const char *after; /* begin behind this one; NULL: with the first */
};

static enum MHD_Result refuse_argument(void *user, enum MHD_ValueKind kind, const char *name,
                                       const char *value)
{
    struct weir_exchange *exchange = user;
    char shown[64];
    (void)kind, (void)value;
    weir_printable(name, strlen(name), shown, sizeof(shown));
    weir_problem_set(&exchange->problem, 400, "invalid_request_error", "unknown_parameter", shown,
                     "\"%s\": this path knows no such parameter, and ignores none", shown);
    return MHD_NO;
}

static enum MHD_Result take_argument(void *user, enum MHD_ValueKind kind, const char *name,
                                     const char *value)
{
    struct list *list = user;
    struct weir_problem *problem = &list->exchange->problem;
    const char *text = value == NULL ? "" : value;
    char *end = NULL;
    if (strcmp(name, "after") == 0) {
        list->after = text;
    } else if (strcmp(name, "order") == 0) {
        list->is_rising = strcmp(text, "asc") == 0;
        if (!list->is_rising && strcmp(text, "desc") != 0)
            WEIR_PROBLEM(problem, "order", "\"order\": wanted asc or desc");
    } else if (strcmp(name, "limit") == 0) {
        const unsigned long limit = strtoul(text, &end, 10);
        if (text[0] < '1' || text[0] > '9' || *end != '\0' || limit > LIST_MAX)
            WEIR_PROBLEM(problem, "limit", "\"limit\": wanted a whole number from 1 to %d",
                         LIST_MAX);
        list->limit = (uint32_t)limit;
    } else {
        return refuse_argument(list->exchange, kind, name, value);
    }
    return MHD_YES;
}

static void read_arguments(struct weir_exchange *exchange, MHD_KeyValueIterator take, void *user)
{
    weir_mhd()->MHD_get_connection_values(exchange->connection, MHD_GET_ARGUMENT_KIND, take, user);
}

static void answer(struct weir_exchange *exchange)
{
    if (exchange->problem.status == 0)
        weir_exchange_reply(exchange, 200, "application/json");
    else
        weir_exchange_refuse(exchange);
}

/* ---- one response -------------------------------------------------------------------------- */

static void copy_response(void *user, const struct weir_shelved *kept)
{
    struct weir_writer *writer = user;
    weir_writer_reserve(writer, kept->response_length);
    weir_writer_put(writer, kept->response, kept->response_length);
}

void weir_response_tell(struct weir_exchange *exchange)
{
    read_arguments(exchange, refuse_argument, exchange);
    if (exchange->problem.status == 0)
        weir_shelf_look(exchange, exchange->part, NULL, copy_response, &exchange->answer);
    answer(exchange);
}

void weir_response_forget(struct weir_exchange *exchange)
{
    const char *name = exchange->part;
    struct weir_writer *writer = &exchange->answer;
    read_arguments(exchange, refuse_argument, exchange);
    if (exchange->problem.status == 0 &&
        !weir_shelf_forget(exchange->serve->shelf, name, exchange->party))
        weir_shelf_problem_unknown(exchange, NULL);
    weir_writer_text(writer, "{\"id\":");
    weir_writer_string(writer, name, strlen(name));
    weir_writer_text(writer, ",\"object\":\"response\",\"deleted\":true}");
    answer(exchange);
}

/* ---- the items before it ------------------------------------------------------------------- */

/* The next line in the list's order, and how long it is without its end. NULL: there is none. */
static const char *next_line(const struct list *list, const struct weir_shelved *kept, size_t *at,
                             size_t *length)
{
    const char *items = kept->items;
    if (*at == (list->is_rising ? kept->items_length : 0))
        return NULL;
    if (list->is_rising) {
        const char *line = items + *at;
        const char *end = memchr(line, '\n', kept->items_length - *at);
        *length = (size_t)(end - line);
        *at += *length + 1;
        return line;
    }
    const char *before = memrchr(items, '\n', *at - 1);
    const char *line = before == NULL ? items : before + 1;
    *length = *at - 1 - (size_t)(line - items);
    *at = (size_t)(line - items);
    return line;
}

static bool is_named(const char *line, size_t length, const char *name)
{
    size_t id_length = 0;
    const char *id = weir_item_id(line, length, &id_length);
    return strlen(name) == id_length && memcmp(id, name, id_length) == 0;
}

static void write_id(struct weir_writer *writer, const char *member, const char *line,
                     size_t length)
{
    size_t id_length = 0;
    const char *id = line == NULL ? NULL : weir_item_id(line, length, &id_length);
    weir_writer_format(writer, ",\"%s\":", member);
    if (id == NULL)
        weir_writer_text(writer, "null");
    else
        weir_writer_string(writer, id, id_length);
}

static void write_list(void *user, const struct weir_shelved *kept)
{
    struct list *list = user;
    struct weir_writer *writer = &list->exchange->answer;
    const char *line = NULL, *first = NULL, *last = NULL;
    size_t at = list->is_rising ? 0 : kept->items_length;
    size_t length = 0, first_length = 0, last_length = 0;
    uint32_t count = 0;
    if (list->after != NULL) {
        while ((line = next_line(list, kept, &at, &length)) != NULL &&
               !is_named(line, length, list->after))
            continue;
        if (line == NULL)
            WEIR_PROBLEM(&list->exchange->problem, "after",
                         "\"after\": the response has no item of that name");
    }
    weir_writer_text(writer, "{\"object\":\"list\",\"data\":[");
    while (count < list->limit && (line = next_line(list, kept, &at, &length)) != NULL) {
        weir_writer_text(writer, count++ == 0 ? "" : ",");
        weir_writer_put(writer, line, length);
        first_length = first == NULL ? length : first_length;
        first = first == NULL ? line : first;
        last = line;
        last_length = length;
    }
    weir_writer_text(writer, "]");
    write_id(writer, "first_id", first, first_length);
    write_id(writer, "last_id", last, last_length);
    weir_writer_format(writer, ",\"has_more\":%s}",
                       next_line(list, kept, &at, &length) == NULL ? "false" : "true");
}

void weir_response_items_tell(struct weir_exchange *exchange)
{
    struct list list = {.exchange = exchange, .limit = LIST_USUAL};
    read_arguments(exchange, take_argument, &list);
    if (exchange->problem.status == 0)
        weir_shelf_look(exchange, exchange->part, NULL, write_list, &list);
    answer(exchange);
}
