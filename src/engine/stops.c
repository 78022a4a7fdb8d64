/* stops.c - strings that end a text, found in it byte by byte. */
#include <string.h>

#include "base/heap.h"
#include "engine/engine_internal.h"

/* One automaton a string (Knuth, Morris, Pratt 1977): how much of it the text ends with. */
struct stop {
    char *bytes;       /* [length] */
    uint32_t *resumes; /* [length] after so many bytes and one that differs: go on with so many */
    uint32_t length, matched;
};

/* I1  held are the last held_count bytes of the text, the most that any string has matched. */
struct weir_stops {
    size_t count, found;
    uint32_t held_count;
    char held[WEIR_STOP_BYTES_MAX];
    struct stop stops[];
};

static uint32_t advance(const struct stop *stop, uint32_t matched, char byte)
{
    while (matched > 0 && stop->bytes[matched] != byte)
        matched = stop->resumes[matched - 1];
    return stop->bytes[matched] == byte ? matched + 1 : 0;
}

static enum weir_status copy_string(struct stop *stop, const char *string, size_t number,
                                    struct weir_err *err)
{
    const size_t length = string == NULL ? 0 : strlen(string);
    if (length == 0 || length > WEIR_STOP_BYTES_MAX)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "stop string %zu: wanted 1 to %d bytes, found %zu",
                         number, WEIR_STOP_BYTES_MAX, length);
    stop->length = (uint32_t)length;
    stop->bytes = weir_heap_text(string);
    stop->resumes = weir_heap_array(length, sizeof(*stop->resumes));
    if (stop->bytes == NULL || stop->resumes == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a stop string of %zu bytes", length);
    for (uint32_t at = 1; at < stop->length; at++)
        stop->resumes[at] = advance(stop, stop->resumes[at - 1], string[at]);
    return WEIR_OK;
}

enum weir_status weir_stops_create(weir_stops **out, const char *const *strings, size_t count,
                                   struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    WEIR_NEED(out, err);
    if (count > 0)
        WEIR_NEED(strings, err);
    if (count > WEIR_STOP_MAX)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "stop strings: wanted at most %d, found %zu",
                         WEIR_STOP_MAX, count);
    weir_stops *stops = weir_heap_alloc(sizeof(*stops) + count * sizeof(stops->stops[0]));
    if (stops == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for %zu stop strings", count);
    stops->count = count;
    stops->found = SIZE_MAX;
    for (size_t index = 0; index < count; index++)
        WEIR_TRY_GOTO(copy_string(&stops->stops[index], strings[index], index + 1, err));
    *out = stops;
    return WEIR_OK;

fail:
    weir_stops_destroy(&stops);
    return status;
}

void weir_stops_destroy(weir_stops **stops)
{
    if (stops == NULL || *stops == NULL)
        return;
    for (size_t index = 0; index < (*stops)->count; index++) {
        weir_heap_free((*stops)->stops[index].bytes);
        weir_heap_free((*stops)->stops[index].resumes);
    }
    weir_heap_free(*stops);
    *stops = NULL;
}

/* Every string sees the byte. Returns how many of the last bytes may still be one's beginning; sets
 * found to the longest that is whole. */
static uint32_t match_byte(weir_stops *stops, char byte)
{
    uint32_t most = 0, whole = 0;
    for (size_t index = 0; index < stops->count; index++) {
        struct stop *stop = &stops->stops[index];
        stop->matched = advance(stop, stop->matched, byte);
        most = (uint32_t)weir_max(most, stop->matched);
        if (stop->matched == stop->length && stop->length > whole) {
            whole = stop->length;
            stops->found = index;
        }
    }
    return whole > 0 ? whole : most;
}

size_t weir_stops_push(weir_stops *stops, const char *bytes, size_t length, char *out)
{
    if (stops == NULL || bytes == NULL || out == NULL || stops->found != SIZE_MAX)
        return 0;
    size_t filled = stops->held_count;
    uint32_t kept = stops->held_count;
    memcpy(out, stops->held, filled);
    for (size_t at = 0; at < length && stops->found == SIZE_MAX; at++) {
        out[filled++] = bytes[at];
        kept = match_byte(stops, bytes[at]);
    }
    filled -= kept;
    stops->held_count = stops->found == SIZE_MAX ? kept : 0;
    memcpy(stops->held, out + filled, stops->held_count); /* keeps I1 */
    return filled;
}

size_t weir_stops_flush(weir_stops *stops, char *out)
{
    if (stops == NULL || out == NULL)
        return 0;
    const size_t length = stops->held_count;
    memcpy(out, stops->held, length);
    stops->held_count = 0;
    for (size_t index = 0; index < stops->count; index++)
        stops->stops[index].matched = 0;
    return length;
}

size_t weir_stops_found(const weir_stops *stops)
{
    return stops == NULL ? SIZE_MAX : stops->found;
}
