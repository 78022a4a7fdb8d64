/* text_fields.c - a member that is a text, token ids, or an array of either. */
#include "serve/text_fields.h"

#include "base/heap.h"
#include "serve/server.h"

static bool is_one(const json_t *value)
{
    return json_is_string(value) || json_is_integer(json_array_get(value, 0));
}

size_t weir_text_field_count(const struct weir_fields *fields, const char *name)
{
    const json_t *value = weir_field(fields, name);
    const size_t count = is_one(value) ? 1 : json_array_size(value);
    if (count == 0)
        WEIR_PROBLEM(fields->problem, name,
                     "\"%s\": wanted a string, an array of strings, or token ids", name);
    return fields->problem->status == 0 ? count : 0;
}

bool weir_text_field_id(const struct weir_serve *serve, const struct weir_fields *fields,
                        const char *name, const json_t *array, size_t index, uint32_t *id)
{
    const uint32_t n_vocab = weir_serve_limits_of(serve)->n_vocab;
    const json_t *value = json_array_get(array, index);
    const json_int_t found = json_is_integer(value) ? json_integer_value(value) : -1;
    if (found < 0 || found >= n_vocab) {
        WEIR_PROBLEM(fields->problem, name,
                     "\"%s\": wanted token ids from 0 to %u, found something else at place %zu",
                     name, n_vocab - 1, index);
        return false;
    }
    *id = (uint32_t)found;
    return true;
}

static void read_ids(const struct weir_serve *serve, const struct weir_fields *fields,
                     const char *name, const json_t *array, weir_text_field_fn *take, void *user)
{
    const size_t count = json_array_size(array);
    uint32_t *ids = weir_heap_array(count + 1, sizeof(*ids));
    size_t index = 0;
    if (ids == NULL)
        weir_problem_set(fields->problem, 500, "server_error", "no_memory", NULL,
                         "no memory for %zu token ids", count);
    while (ids != NULL && index < count &&
           weir_text_field_id(serve, fields, name, array, index, &ids[index]))
        index++;
    if (index == count)
        take(user, ids, count);
    weir_heap_free(ids);
}

static void read_text(const struct weir_serve *serve, const struct weir_fields *fields,
                      const char *name, unsigned flags, const json_t *text,
                      weir_text_field_fn *take, void *user)
{
    struct weir_err err = {0};
    uint32_t *ids = NULL;
    size_t count = 0;
    if (weir_tokenizer_encode(serve->tokenizer, json_string_value(text), json_string_length(text),
                              flags, &ids, &count, &err) != WEIR_OK)
        WEIR_PROBLEM(fields->problem, name, "\"%s\": %s", name, err.text);
    else
        take(user, ids, count);
    weir_ids_free(&ids);
}

void weir_text_field_read(const struct weir_serve *serve, const struct weir_fields *fields,
                          const char *name, unsigned flags, weir_text_field_fn *take, void *user)
{
    json_t *value = weir_field(fields, name);
    const size_t count = weir_text_field_count(fields, name);
    for (size_t index = 0; index < count && fields->problem->status == 0; index++) {
        const json_t *one = is_one(value) ? value : json_array_get(value, index);
        if (json_is_string(one))
            read_text(serve, fields, name, flags, one, take, user);
        else if (json_is_array(one))
            read_ids(serve, fields, name, one, take, user);
        else
            WEIR_PROBLEM(fields->problem, name,
                         "\"%s\": wanted strings, or arrays of token ids, in the array", name);
    }
}
