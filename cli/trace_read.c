/* trace_read.c - reads a routing trace: weir's own, bare JSON Lines, or CSV, a row an expert. */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "trace.h"

/* Invariants:
 * I1  No number of the file reaches memory before it was compared with its limit.
 * I2  A file of n bytes makes at most a constant times n bytes, and never more than the limits.
 * I3  The ids of a token's layer are distinct, ascending, and followed by WEIR_EXPERT_NONE only. */
enum {
    LINE_BYTES_MAX = 1 << 20,
    LAYER_MAX = 4096,
    USED_MAX = 1024,
    CELL_MAX = 1 << 17, /* ids of a token */
    EXPERT_MAX = WEIR_EXPERT_NONE - 1,
    PLACE_MAX = WEIR_TRACE_PLACE_MAX, /* experts of all layers */
};
#define TRACE_BYTES_MAX (256ull << 20)

struct reader {
    FILE *file;
    struct weir_cli_buffer line; /* without its end */
    uint64_t line_number;
    uint64_t token_capacity;
    uint32_t largest_id;
    struct weir_cli_trace *out;
    struct weir_err *err;
};

/* Record why; false, so that it can be returned. */
static bool refuse(const struct reader *reader, const char *format, ...) WEIR_PRINTF(2, 3);
static bool refuse(const struct reader *reader, const char *format, ...)
{
    char sentence[WEIR_ERR_TEXT_MAX];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT, "%s", sentence) == WEIR_OK;
}

static bool refuse_memory(const struct reader *reader, const char *what)
{
    return WEIR_FAIL(reader->err, WEIR_ERR_NOMEM, "no memory for %s", what) == WEIR_OK;
}

/* ---- lines --------------------------------------------------------------------------------- */

enum next { NEXT_LINE, NEXT_END, NEXT_FAILED };

static bool keep_part(struct reader *reader, const char *part, size_t count)
{
    if (reader->line.length + count > LINE_BYTES_MAX)
        return refuse(reader, "wanted a line of at most %d bytes, found a longer one",
                      LINE_BYTES_MAX);
    return weir_cli_buffer_append(&reader->line, part, count) || refuse_memory(reader, "a line");
}

static enum next read_line(struct reader *reader)
{
    char part[4096];
    size_t count = 0;
    int byte = 0;
    reader->line.length = 0;
    reader->line_number++;
    while ((byte = getc_unlocked(reader->file)) != EOF && byte != '\n') {
        part[count++] = (char)byte;
        if (count < sizeof(part))
            continue;
        if (!keep_part(reader, part, count))
            return NEXT_FAILED;
        count = 0;
    }
    if (ferror(reader->file)) {
        WEIR_FAIL(reader->err, WEIR_ERR_IO, "cannot read on: %s", weir_cli_stream_why(errno));
        return NEXT_FAILED;
    }
    if (!keep_part(reader, part, count))
        return NEXT_FAILED;
    if (byte == EOF && reader->line.length == 0)
        return NEXT_END;
    if (reader->line.length > 0 && reader->line.bytes[reader->line.length - 1] == '\r')
        reader->line.bytes[--reader->line.length] = '\0';
    if (!weir_cli_stop_asked())
        return NEXT_LINE;
    WEIR_FAIL(reader->err, WEIR_ERR_CANCELLED, "stopped at line %llu",
              (unsigned long long)reader->line_number);
    return NEXT_FAILED;
}

/* The same, past lines of nothing. */
static enum next read_full_line(struct reader *reader)
{
    enum next next = NEXT_LINE;
    do
        next = read_line(reader);
    while (next == NEXT_LINE && reader->line.length == 0);
    return next;
}

/* ---- the trace as it grows ----------------------------------------------------------------- */

static uint64_t count_cells(const struct weir_trace *trace)
{
    return (uint64_t)trace->n_layer * trace->n_expert_used;
}

/* Room for one more token, all of it WEIR_EXPERT_NONE. */
static bool add_token(struct reader *reader)
{
    struct weir_cli_trace *out = reader->out;
    const uint64_t cells = count_cells(&out->trace);
    if (out->trace.n_token == reader->token_capacity) {
        const uint64_t most = TRACE_BYTES_MAX / (cells * sizeof(*out->experts));
        const uint64_t wanted = reader->token_capacity + reader->token_capacity / 2 + 1;
        reader->token_capacity = weir_min(wanted, most);
        if (out->trace.n_token >= reader->token_capacity)
            return refuse(reader, "wanted at most %llu tokens of %llu ids, found more",
                          (unsigned long long)most, (unsigned long long)cells);
        uint16_t *grown =
            weir_heap_grow(out->experts, reader->token_capacity * cells * sizeof(*grown));
        if (grown == NULL)
            return refuse_memory(reader, "one more token");
        out->experts = grown;
    }
    uint16_t *token = out->experts + out->trace.n_token * cells;
    for (uint64_t cell = 0; cell < cells; cell++)
        token[cell] = WEIR_EXPERT_NONE;
    out->trace.n_token++;
    return true;
}

static uint16_t *find_cell(const struct reader *reader, uint64_t token, uint64_t layer)
{
    const struct weir_trace *trace = &reader->out->trace;
    return reader->out->experts + (token * trace->n_layer + layer) * trace->n_expert_used;
}

static int compare_ids(const void *left, const void *right)
{
    const uint16_t *a = left;
    const uint16_t *b = right;
    return (*a > *b) - (*a < *b);
}

/* Keeps I3: empty places have the largest value and go last. Returns an id that is there twice, or
 * WEIR_EXPERT_NONE. */
static uint16_t sort_ids(uint16_t *ids, uint32_t count)
{
    qsort(ids, count, sizeof(*ids), compare_ids);
    for (uint32_t index = 1; index < count; index++)
        if (ids[index] == ids[index - 1] && ids[index] != WEIR_EXPERT_NONE)
            return ids[index];
    return WEIR_EXPERT_NONE;
}

static bool check_shape(const struct reader *reader, const struct weir_trace *trace)
{
    if (count_cells(trace) > CELL_MAX)
        return refuse(reader, "wanted at most %d ids a token, found %u layers of %u", CELL_MAX,
                      trace->n_layer, trace->n_expert_used);
    if (trace->n_expert > 0 && trace->n_expert_used > trace->n_expert)
        return refuse(reader, "wanted n_expert_used of at most n_expert %u, found %u",
                      trace->n_expert, trace->n_expert_used);
    if ((uint64_t)trace->n_layer * trace->n_expert > PLACE_MAX)
        return refuse(reader, "wanted at most %d experts in all layers, found %u layers of %u",
                      PLACE_MAX, trace->n_layer, trace->n_expert);
    return true;
}

/* ---- JSON Lines ---------------------------------------------------------------------------- */

static json_t *parse_object(const struct reader *reader)
{
    json_error_t error;
    json_t *object =
        json_loadb(reader->line.bytes, reader->line.length, JSON_REJECT_DUPLICATES, &error);
    if (object == NULL) {
        refuse(reader, "wanted a JSON object, found at column %d: %s", error.column, error.text);
        return NULL;
    }
    if (json_is_object(object))
        return object;
    refuse(reader, "wanted a JSON object, found \"%.40s\"", reader->line.bytes);
    json_decref(object);
    return NULL;
}

/* A whole number from low to high of an object. */
static bool take_count(const struct reader *reader, const json_t *object, const char *key,
                       uint32_t low, uint32_t high, uint32_t *value)
{
    const json_t *member = json_object_get(object, key);
    const json_int_t found = json_integer_value(member);
    if (member == NULL)
        return refuse(reader, "wanted \"%s\", found no such field", key);
    if (!json_is_integer(member))
        return refuse(reader, "\"%s\": wanted a whole number, found something else", key);
    if (found < (json_int_t)low || found > (json_int_t)high)
        return refuse(reader, "\"%s\": wanted a whole number from %u to %u, found %lld", key, low,
                      high, (long long)found);
    *value = (uint32_t)found;
    return true;
}

static bool take_ids(struct reader *reader, const json_t *array, uint32_t layer, uint16_t *ids)
{
    const struct weir_trace *trace = &reader->out->trace;
    const uint32_t id_max = trace->n_expert > 0 ? trace->n_expert : EXPERT_MAX;
    const size_t count = json_array_size(array);
    if (!json_is_array(array))
        return refuse(reader, "layer %u: wanted an array of experts, found something else", layer);
    if (count == 0 || count > trace->n_expert_used)
        return refuse(reader, "layer %u: wanted 1 to %u experts, found %zu", layer,
                      trace->n_expert_used, count);
    for (size_t index = 0; index < count; index++) {
        const json_t *id = json_array_get(array, index);
        const json_int_t value = json_integer_value(id);
        if (!json_is_integer(id))
            return refuse(reader, "layer %u: wanted experts as whole numbers, found something else",
                          layer);
        if (value < 0 || value >= (json_int_t)id_max)
            return refuse(reader, "layer %u: wanted experts from 0 to %u, found %lld", layer,
                          id_max - 1, (long long)value);
        ids[index] = (uint16_t)value;
        reader->largest_id = (uint32_t)weir_max(reader->largest_id, (uint64_t)value);
    }
    const uint16_t twice = sort_ids(ids, (uint32_t)count);
    if (twice != WEIR_EXPERT_NONE)
        return refuse(reader, "layer %u: wanted each expert once, found %u twice", layer, twice);
    return true;
}

/* The line of one token; its number follows the last one's. */
static bool take_token(struct reader *reader, const json_t *object, uint32_t *number)
{
    const struct weir_trace *trace = &reader->out->trace;
    const json_t *layers = json_object_get(object, "layers");
    uint32_t found = 0;
    if (!take_count(reader, object, "tok", 0, INT32_MAX, &found))
        return false;
    if (found != *number)
        return refuse(reader, "wanted token %u, found token %u", *number, found);
    if (!json_is_array(layers))
        return refuse(reader, "wanted \"layers\", an array of arrays, found no such field");
    if (json_array_size(layers) != trace->n_layer)
        return refuse(reader, "wanted %u layers, found %zu", trace->n_layer,
                      json_array_size(layers));
    if (!add_token(reader))
        return false;
    for (uint32_t layer = 0; layer < trace->n_layer; layer++)
        if (!take_ids(reader, json_array_get(layers, layer), layer,
                      find_cell(reader, trace->n_token - 1, layer)))
            return false;
    ++*number;
    return true;
}

static bool take_own_head(struct reader *reader, const json_t *object)
{
    struct weir_trace *trace = &reader->out->trace;
    uint32_t version = 0;
    reader->out->format = "weir";
    return take_count(reader, object, "weir_trace", 1, 1, &version) &&
           take_count(reader, object, "n_layer", 1, LAYER_MAX, &trace->n_layer) &&
           take_count(reader, object, "n_expert", 1, EXPERT_MAX, &trace->n_expert) &&
           take_count(reader, object, "n_expert_used", 1, USED_MAX, &trace->n_expert_used) &&
           take_count(reader, object, "prompt_tokens", 0, INT32_MAX, &trace->n_prompt_token) &&
           check_shape(reader, trace);
}

/* Without a head the first token says how many layers there are, and how many experts each used. */
static bool guess_shape(struct reader *reader, const json_t *object, uint32_t *number)
{
    struct weir_trace *trace = &reader->out->trace;
    const json_t *layers = json_object_get(object, "layers");
    const size_t n_layer = json_array_size(layers);
    size_t n_used = 0;
    reader->out->format = "jsonl";
    reader->out->guessed_experts = true;
    if (!take_count(reader, object, "tok", 0, INT32_MAX, number))
        return false;
    if (n_layer == 0 || n_layer > LAYER_MAX)
        return refuse(reader, "wanted \"layers\", an array of 1 to %d arrays, found %zu", LAYER_MAX,
                      n_layer);
    for (size_t layer = 0; layer < n_layer; layer++)
        n_used = weir_max(n_used, json_array_size(json_array_get(layers, layer)));
    if (n_used == 0 || n_used > USED_MAX)
        return refuse(reader, "wanted 1 to %d experts a layer, found %zu", USED_MAX, n_used);
    trace->n_layer = (uint32_t)n_layer;
    trace->n_expert_used = (uint32_t)n_used;
    return check_shape(reader, trace);
}

/* The first line is in reader->line. */
static bool read_json_lines(struct reader *reader)
{
    uint32_t number = 0;
    enum next next = NEXT_LINE;
    json_t *object = parse_object(reader);
    if (object == NULL)
        return false;
    const bool own = json_object_get(object, "weir_trace") != NULL;
    bool ok = own ? take_own_head(reader, object)
                  : guess_shape(reader, object, &number) && take_token(reader, object, &number);
    json_decref(object);
    while (ok && (next = read_full_line(reader)) == NEXT_LINE) {
        object = parse_object(reader);
        ok = object != NULL && take_token(reader, object, &number);
        json_decref(object);
    }
    return ok && next == NEXT_END;
}

/* ---- CSV ----------------------------------------------------------------------------------- */

/* A comment's " KEY=NUMBER"; no effect when the key is not there. */
static bool take_comment(const struct reader *reader, const char *key, uint32_t high,
                         uint32_t *value)
{
    char *end = NULL;
    const char *at = strstr(reader->line.bytes, key);
    if (at == NULL)
        return true;
    at += strlen(key);
    const unsigned long found = *at < '0' || *at > '9' ? 0 : strtoul(at, &end, 10);
    if (found == 0 || found > high || (*end != ' ' && *end != '\0'))
        return refuse(reader, "%s wanted a whole number from 1 to %u, found \"%.20s\"", key + 1,
                      high, at);
    *value = (uint32_t)found;
    return true;
}

/* Comments and the line that names the columns; the first comment is in reader->line. */
static bool take_csv_head(struct reader *reader)
{
    static const char columns[] = "turn,phase,step,layer,slot,expert";
    struct weir_trace *trace = &reader->out->trace;
    enum next next = NEXT_LINE;
    reader->out->format = "csv";
    while (next == NEXT_LINE && reader->line.bytes[0] == '#') {
        if (!take_comment(reader, " n_layer=", LAYER_MAX, &trace->n_layer) ||
            !take_comment(reader, " n_expert=", EXPERT_MAX, &trace->n_expert) ||
            !take_comment(reader, " n_expert_used=", USED_MAX, &trace->n_expert_used))
            return false;
        next = read_full_line(reader);
    }
    if (next == NEXT_FAILED)
        return false;
    if (next == NEXT_END || strncmp(reader->line.bytes, columns, sizeof(columns) - 1) != 0 ||
        strchr(",", reader->line.bytes[sizeof(columns) - 1]) == NULL)
        return refuse(reader, "wanted the columns %s, found \"%.60s\"", columns,
                      next == NEXT_END ? "the end of the file" : reader->line.bytes);
    if (trace->n_layer == 0 || trace->n_expert == 0 || trace->n_expert_used == 0)
        return refuse(reader, "wanted a comment with n_layer, n_expert and n_expert_used before "
                              "the columns, found not all of them");
    return check_shape(reader, trace);
}

enum column { TURN, PHASE, STEP, LAYER, SLOT, EXPERT, COLUMN_COUNT };

/* One row: an expert that a token used in a layer. */
static bool take_row(struct reader *reader)
{
    static const char *const names[] = {"turn", "phase", "step", "layer", "slot", "expert"};
    struct weir_trace *trace = &reader->out->trace;
    const uint32_t most[] = {
        [TURN] = 0, /* a second prompt in the middle has no place in a replay */
        [PHASE] = 1,
        [STEP] = trace->n_token, /* the next one, at most: keeps I2 */
        [LAYER] = trace->n_layer - 1,
        [SLOT] = trace->n_expert_used - 1,
        [EXPERT] = trace->n_expert - 1,
    };
    uint32_t values[COLUMN_COUNT];
    const char *at = reader->line.bytes;
    if (strlen(at) != reader->line.length)
        return refuse(reader, "wanted a row of numbers, found a zero byte");
    for (int column = 0; column < COLUMN_COUNT; column++) {
        char *end = NULL;
        const unsigned long value = *at < '0' || *at > '9' ? ULONG_MAX : strtoul(at, &end, 10);
        const bool ends = end != NULL && (*end == ',' || (*end == '\0' && column == EXPERT));
        if (value > most[column] || !ends)
            return refuse(reader, "%s: wanted a whole number from 0 to %u, found \"%.*s\"",
                          names[column], most[column], (int)weir_min(strcspn(at, ","), 20), at);
        values[column] = (uint32_t)value;
        at = end + (*end == ',');
    }
    if (values[STEP] == trace->n_token && !add_token(reader))
        return false;
    if (values[PHASE] == 0 && values[STEP] == trace->n_prompt_token)
        trace->n_prompt_token++;
    if ((values[PHASE] == 0) != (values[STEP] < trace->n_prompt_token))
        return refuse(reader,
                      "step %u: wanted all steps of the prompt (phase 0) before the first "
                      "of phase 1, found phase %u",
                      values[STEP], values[PHASE]);
    uint16_t *id = find_cell(reader, values[STEP], values[LAYER]) + values[SLOT];
    if (*id != WEIR_EXPERT_NONE)
        return refuse(reader, "step %u, layer %u, slot %u: wanted one row, found a second",
                      values[STEP], values[LAYER], values[SLOT]);
    *id = (uint16_t)values[EXPERT];
    return true;
}

/* Rows come in any order, so what is missing shows at the end. Some engines compute the last layer
 * of a prompt for its last token only: its other tokens have no experts there. */
static bool check_rows(struct reader *reader)
{
    const struct weir_trace *trace = &reader->out->trace;
    for (uint32_t token = 0; token < trace->n_token; token++)
        for (uint32_t layer = 0; layer < trace->n_layer; layer++) {
            uint16_t *ids = find_cell(reader, token, layer);
            const uint16_t twice = sort_ids(ids, trace->n_expert_used);
            uint32_t count = 0;
            while (count < trace->n_expert_used && ids[count] != WEIR_EXPERT_NONE)
                count++;
            if (twice != WEIR_EXPERT_NONE)
                return refuse(reader, "step %u, layer %u: wanted each expert once, found %u twice",
                              token, layer, twice);
            if (count != trace->n_expert_used && (count > 0 || token >= trace->n_prompt_token))
                return refuse(reader,
                              "the file ends, but step %u, layer %u: wanted %u experts, found %u",
                              token, layer, trace->n_expert_used, count);
        }
    return true;
}

/* The first line is in reader->line. */
static bool read_csv(struct reader *reader)
{
    enum next next = NEXT_END;
    if (!take_csv_head(reader))
        return false;
    while ((next = read_full_line(reader)) == NEXT_LINE)
        if (reader->line.bytes[0] != '#' && !take_row(reader))
            return false;
    return next == NEXT_END && check_rows(reader);
}

/* ---- any of them --------------------------------------------------------------------------- */

static bool read_any(struct reader *reader)
{
    struct weir_trace *trace = &reader->out->trace;
    const enum next next = read_full_line(reader);
    if (next == NEXT_FAILED)
        return false;
    const char first = next == NEXT_END ? '\0' : reader->line.bytes[0];
    if (first != '{' && first != '#')
        return refuse(reader,
                      "wanted a routing trace (JSON Lines, or CSV that begins with a # "
                      "comment), found \"%.40s\"",
                      next == NEXT_END ? "" : reader->line.bytes);
    if (!(first == '{' ? read_json_lines(reader) : read_csv(reader)))
        return false;
    if (reader->out->guessed_experts)
        trace->n_expert = (uint32_t)weir_max(reader->largest_id + 1, trace->n_expert_used);
    if (trace->n_token <= trace->n_prompt_token)
        return refuse(reader,
                      "the file ends: wanted tokens after the %u of the prompt, found %u "
                      "tokens in all",
                      trace->n_prompt_token, trace->n_token);
    if (!check_shape(reader, trace)) /* again: n_expert may have been guessed */
        return false;
    trace->experts = reader->out->experts;
    return true;
}

enum weir_status weir_cli_trace_parse(struct weir_cli_trace *trace, FILE *file,
                                      uint64_t *line_number, struct weir_err *err)
{
    struct weir_err own = {0};
    struct reader reader = {.file = file, .out = trace, .err = err == NULL ? &own : err};
    *trace = (struct weir_cli_trace){0};
    const bool ok = read_any(&reader);
    *line_number = reader.line_number;
    if (!ok)
        weir_cli_trace_free(trace);
    weir_cli_buffer_free(&reader.line);
    return ok ? WEIR_OK : reader.err->status;
}

static void say_why(const char *name, uint64_t line_number, const struct weir_err *err)
{
    if (err->status == WEIR_ERR_CANCELLED)
        weir_cli_fail(err);
    else
        weir_cli_say("%s:%llu: %s", name, (unsigned long long)line_number, err->text);
}

bool weir_cli_trace_read(struct weir_cli_trace *trace, const char *path)
{
    const bool is_standard = strcmp(path, "-") == 0;
    const char *name = is_standard ? "standard input" : path;
    uint64_t line_number = 0;
    struct weir_err err = {0};
    FILE *file = is_standard ? stdin : fopen(path, "re");
    *trace = (struct weir_cli_trace){0};
    if (file == NULL) {
        weir_cli_say("cannot open %s: %s", path, strerror(errno));
        return false;
    }
    const bool ok = weir_cli_trace_parse(trace, file, &line_number, &err) == WEIR_OK;
    if (ok)
        trace->path = name;
    else
        say_why(name, line_number, &err);
    if (!is_standard)
        fclose(file);
    return ok;
}

void weir_cli_trace_free(struct weir_cli_trace *trace)
{
    weir_heap_free(trace->experts);
    *trace = (struct weir_cli_trace){0};
}

bool weir_cli_trace_fit(struct weir_cli_trace *trace, const struct weir_token_cost *cost)
{
    struct weir_trace *found = &trace->trace;
    const bool has_experts = found->n_expert == cost->n_expert ||
                             (trace->guessed_experts && found->n_expert < cost->n_expert);
    if (found->n_layer == cost->n_moe_layer && found->n_expert_used == cost->n_expert_used &&
        has_experts) {
        found->n_expert = cost->n_expert;
        return true;
    }
    weir_cli_say("%s: wanted a trace of %u layers with %u of %u experts, found %u layers with %u "
                 "of %u",
                 trace->path, cost->n_moe_layer, cost->n_expert_used, cost->n_expert,
                 found->n_layer, found->n_expert_used, found->n_expert);
    return false;
}
