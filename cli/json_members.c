/* json_members.c - members of JSON objects, null where they do not apply; objects written. */
#include <errno.h>
#include <string.h>

#include "base/utf8.h"
#include "cli.h"

json_t *weir_cli_json_string(const char *bytes, size_t length)
{
    static const char replacement[] = "\xef\xbf\xbd";
    struct weir_cli_buffer clean = {0};
    bool ok = weir_cli_buffer_append(&clean, "", 0);
    size_t begin = 0; /* of the run of good characters */
    size_t at = 0;
    while (ok && at < length) {
        const size_t step = weir_utf8_char(bytes + at, length - at);
        at += step;
        if (step > 0)
            continue;
        ok = weir_cli_buffer_append(&clean, bytes + begin, at - begin) &&
             weir_cli_buffer_append(&clean, replacement, sizeof(replacement) - 1);
        begin = ++at;
    }
    ok = ok && weir_cli_buffer_append(&clean, bytes + begin, length - begin);
    json_t *string = ok ? json_stringn(clean.bytes, clean.length) : NULL;
    weir_cli_buffer_free(&clean);
    return string;
}

void weir_cli_json_real(json_t *object, const char *key, double value)
{
    json_object_set_new(object, key, isfinite(value) ? json_real(value) : json_null());
}

void weir_cli_json_count(json_t *object, const char *key, uint64_t value)
{
    json_object_set_new(object, key,
                        value == UINT64_MAX ? json_null() : json_integer((json_int_t)value));
}

void weir_cli_json_text(json_t *object, const char *key, const char *bytes, size_t length)
{
    json_object_set_new(object, key, weir_cli_json_string(bytes, length));
}

void weir_cli_json_ids(json_t *object, const char *key, const uint32_t *ids, size_t count)
{
    json_t *array = json_array();
    for (size_t index = 0; index < count; index++)
        json_array_append_new(array, json_integer(ids[index]));
    json_object_set_new(object, key, array);
}

/* jansson leaves DEL as it is. It stands in texts only, where it may be written by number. */
static int write_json(const char *bytes, size_t length, void *file)
{
    for (const char *end = bytes + length; bytes < end;) {
        const char *odd = memchr(bytes, 0x7f, (size_t)(end - bytes));
        const size_t run = (size_t)((odd == NULL ? end : odd) - bytes);
        if (fwrite(bytes, 1, run, file) != run || (odd != NULL && fputs("\\u007f", file) == EOF))
            return -1;
        bytes += run + (odd != NULL);
    }
    return 0;
}

bool weir_cli_json_print(json_t *object, FILE *file, const char *where)
{
    errno = 0;
    /* In ASCII: a terminal that shows it obeys nothing that a file's texts may hold. */
    const size_t flags = JSON_REAL_PRECISION(12) | JSON_ENSURE_ASCII;
    const bool ok = object != NULL && json_dump_callback(object, write_json, file, flags) == 0 &&
                    fputc('\n', file) != EOF && fflush(file) == 0;
    if (!ok && errno != EPIPE)
        weir_cli_say("cannot write the JSON object to %s: %s", where,
                     errno == 0 ? "no memory" : weir_cli_stream_why(errno));
    json_decref(object);
    return ok;
}
