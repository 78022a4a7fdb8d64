/* calibration.c - calibrations kept in the user's cache folder: one small JSON file for each file
 * system and slice size. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli.h"

enum { FILE_BYTES_MAX = 1 << 16, FILE_VERSION = 1 };
#define FORMAT_NAME "weir calibration"
#define IO_BUDGET_BYTES_MAX (1ull << 30)

/* ---- members of struct weir_calibration, once for reading and writing ---------------------- */

enum member_type {
    MEMBER_U64,
    MEMBER_U32,
    MEMBER_FLAG,
    MEMBER_TEXT,
    MEMBER_SPEED,       /* above 0 */
    MEMBER_MODEL_SPEED, /* null where the file was no model */
    MEMBER_MODEL_TEXT,
};

static const struct member {
    const char *key;
    enum member_type type;
    size_t offset, size;
} members[] = {
#define MEMBER(type, key, field)                                                                   \
    {                                                                                              \
        key, MEMBER_##type, offsetof(struct weir_calibration, field),                              \
            sizeof(((struct weir_calibration *)NULL)->field)                                       \
    }
    MEMBER(U64, "device_id", device_id),
    MEMBER(U32, "slice_bytes", slice_bytes),
    MEMBER(U32, "threads", n_thread),
    MEMBER(TEXT, "filesystem", filesystem),
    MEMBER(TEXT, "io", io),
    MEMBER(FLAG, "direct", direct),
    MEMBER(FLAG, "quick", quick),
    MEMBER(TEXT, "isa", isa),
    MEMBER(MODEL_TEXT, "type", type),
    MEMBER(SPEED, "measured_s", measured_s),
    MEMBER(U64, "io_budget_bytes", io_budget_bytes),
    MEMBER(SPEED, "read_low_bytes_per_s", read.low),
    MEMBER(SPEED, "read_high_bytes_per_s", read.high),
    MEMBER(SPEED, "burst_low_bytes_per_s", burst.low),
    MEMBER(SPEED, "burst_high_bytes_per_s", burst.high),
    MEMBER(U64, "burst_bytes", burst_bytes),
    MEMBER(SPEED, "dram_bytes_per_s", dram_bytes_per_s),
    MEMBER(SPEED, "both_read_bytes_per_s", both_read_bytes_per_s),
    MEMBER(SPEED, "both_dram_bytes_per_s", both_dram_bytes_per_s),
    MEMBER(MODEL_SPEED, "decode_bytes_per_s", decode_bytes_per_s),
    MEMBER(MODEL_SPEED, "prefill_ops_per_s", prefill_ops_per_s),
#undef MEMBER
};

static json_t *read_member(const struct member *member, const struct weir_calibration *calibration)
{
    const char *field = (const char *)calibration + member->offset;
    uint32_t count = 0;
    uint64_t large = 0;
    double speed = 0.0;
    switch (member->type) {
    case MEMBER_U64:
        memcpy(&large, field, sizeof(large));
        return json_integer((json_int_t)large);
    case MEMBER_U32:
        memcpy(&count, field, sizeof(count));
        return json_integer(count);
    case MEMBER_FLAG:
        return json_boolean(*(const bool *)field);
    case MEMBER_TEXT:
    case MEMBER_MODEL_TEXT:
        return *field == '\0' ? json_null() : weir_cli_json_string(field, strlen(field));
    case MEMBER_SPEED:
    case MEMBER_MODEL_SPEED:
        memcpy(&speed, field, sizeof(speed));
        break;
    }
    return speed > 0.0 ? json_real(speed) : json_null();
}

/* False when the value is not what such a member may be. */
static bool write_member(const struct member *member, const json_t *value,
                         struct weir_calibration *calibration)
{
    char *field = (char *)calibration + member->offset;
    const json_int_t number = json_integer_value(value);
    const double speed = json_number_value(value);
    if (json_is_null(value))
        return member->type == MEMBER_MODEL_SPEED || member->type == MEMBER_MODEL_TEXT;
    switch (member->type) {
    case MEMBER_U64:
        memcpy(field, &(uint64_t){(uint64_t)number}, sizeof(uint64_t));
        return json_is_integer(value) && number >= 0;
    case MEMBER_U32:
        memcpy(field, &(uint32_t){(uint32_t)number}, sizeof(uint32_t));
        return json_is_integer(value) && number > 0 && number <= UINT32_MAX;
    case MEMBER_FLAG:
        *(bool *)field = json_is_true(value);
        return json_is_boolean(value);
    case MEMBER_TEXT:
    case MEMBER_MODEL_TEXT:
        if (!json_is_string(value) || json_string_length(value) >= member->size)
            return false;
        memcpy(field, json_string_value(value), json_string_length(value) + 1);
        return true;
    case MEMBER_SPEED:
    case MEMBER_MODEL_SPEED:
        break;
    }
    memcpy(field, &speed, sizeof(speed));
    return json_is_number(value) && isfinite(speed) && speed > 0.0;
}

/* ---- one calibration as JSON, and back ------------------------------------------------------ */

json_t *weir_cli_calibration_json(const struct weir_calibration *calibration)
{
    json_t *object = json_object();
    json_t *cells = json_array();
    for (size_t index = 0; index < WEIR_COUNT(members); index++)
        json_object_set_new(object, members[index].key, read_member(&members[index], calibration));
    for (uint32_t index = 0; index < calibration->cell_count; index++) {
        json_t *cell = json_object();
        weir_cli_json_count(cell, "in_flight_bytes", calibration->cells[index].in_flight_bytes);
        weir_cli_json_real(cell, "bytes_per_s", calibration->cells[index].bytes_per_s);
        json_array_append_new(cells, cell);
    }
    json_object_set_new(object, "cells", cells);
    return object;
}

static bool read_cells(const json_t *cells, struct weir_calibration *calibration)
{
    if (!json_is_array(cells) || json_array_size(cells) > WEIR_CALIBRATION_CELL_MAX)
        return false;
    for (size_t index = 0; index < json_array_size(cells); index++) {
        const json_t *cell = json_array_get(cells, index);
        const json_t *bytes = json_object_get(cell, "in_flight_bytes");
        const json_t *speed = json_object_get(cell, "bytes_per_s");
        if (!json_is_integer(bytes) || json_integer_value(bytes) <= 0 || !json_is_number(speed) ||
            !(json_number_value(speed) > 0.0))
            return false;
        calibration->cells[calibration->cell_count++] = (struct weir_calibration_cell){
            (uint64_t)json_integer_value(bytes), json_number_value(speed)};
    }
    return true;
}

/* What is wrong with the object; NULL when it is a calibration. */
static const char *read_object(const json_t *object, struct weir_cli_calibration *kept)
{
    struct weir_calibration *found = &kept->found;
    const char *format = json_string_value(json_object_get(object, "format"));
    const char *date = json_string_value(json_object_get(object, "date"));
    if (format == NULL || strcmp(format, FORMAT_NAME) != 0)
        return "format";
    if (json_integer_value(json_object_get(object, "version")) != FILE_VERSION)
        return "version";
    if (date == NULL || strlen(date) >= sizeof(kept->date))
        return "date";
    snprintf(kept->date, sizeof(kept->date), "%s", date);
    for (size_t index = 0; index < WEIR_COUNT(members); index++) {
        const json_t *value = json_object_get(object, members[index].key);
        if (value == NULL || !write_member(&members[index], value, found))
            return members[index].key;
    }
    if (found->io_budget_bytes == 0 || found->io_budget_bytes > IO_BUDGET_BYTES_MAX)
        return "io_budget_bytes";
    if (found->read.low > found->read.high)
        return "read_low_bytes_per_s";
    if (found->burst.low > found->burst.high)
        return "burst_low_bytes_per_s";
    return read_cells(json_object_get(object, "cells"), found) ? NULL : "cells";
}

/* ---- the folder ---------------------------------------------------------------------------- */

bool weir_cli_cache_folder(char *folder, size_t capacity)
{
    const char *cache = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    int length = 0;
    if (cache != NULL && cache[0] == '/')
        length = snprintf(folder, capacity, "%s/weir", cache);
    else if (home != NULL && home[0] == '/')
        length = snprintf(folder, capacity, "%s/.cache/weir", home);
    return length > 0 && (size_t)length < capacity;
}

static bool name_file(char *path, size_t capacity, const char *folder, uint64_t device_id,
                      uint32_t slice_bytes)
{
    const int length = snprintf(path, capacity, "%s/calibration-%" PRIx64 "-%" PRIu32 ".json",
                                folder, device_id, slice_bytes);
    return length > 0 && (size_t)length < capacity;
}

static bool load_file(struct weir_cli_calibration *kept)
{
    json_error_t error;
    FILE *file = fopen(kept->path, "re");
    struct stat facts;
    if (file == NULL) {
        if (errno != ENOENT)
            weir_cli_say("calibration %s cannot be read and is left out: %s", kept->path,
                         strerror(errno));
        return false;
    }
    const bool is_small = fstat(fileno(file), &facts) == 0 && S_ISREG(facts.st_mode) &&
                          facts.st_size <= FILE_BYTES_MAX;
    json_t *object = is_small ? json_loadf(file, JSON_REJECT_DUPLICATES, &error) : NULL;
    fclose(file);
    if (object == NULL) {
        weir_cli_say("calibration %s is left out: wanted a JSON object, found %s; weir calibrate "
                     "writes it anew",
                     kept->path, is_small ? error.text : "no small regular file");
        return false;
    }
    const char *wrong = read_object(object, kept);
    if (wrong != NULL)
        weir_cli_say("calibration %s is left out: its %s is missing or makes no sense; weir "
                     "calibrate writes it anew",
                     kept->path, wrong);
    json_decref(object);
    return wrong == NULL;
}

bool weir_cli_calibration_load(struct weir_cli_calibration *kept, const char *model_path)
{
    char folder[WEIR_CLI_PATH_MAX];
    uint64_t device_id;
    uint32_t slice_bytes;
    *kept = (struct weir_cli_calibration){0};
    /* The model's head is only read when there may be something to find. */
    if (!weir_cli_cache_folder(folder, sizeof(folder)) || access(folder, F_OK) != 0 ||
        weir_calibration_key_get(model_path, &device_id, &slice_bytes, NULL) != WEIR_OK ||
        !name_file(kept->path, sizeof(kept->path), folder, device_id, slice_bytes) ||
        !load_file(kept))
        return false;
    if (kept->found.device_id == device_id && kept->found.slice_bytes == slice_bytes)
        return true;
    weir_cli_say("calibration %s is left out: it was measured on device %" PRIx64
                 " with slices of %" PRIu32 " bytes; weir calibrate writes it anew",
                 kept->path, kept->found.device_id, kept->found.slice_bytes);
    return false;
}

/* Write object as the file path of the cache folder. */
static bool keep_object(json_t *object, const char *path)
{
    struct weir_cli_out out = {0};
    weir_cli_folders_make(path);
    if (!weir_cli_out_open(&out, path)) {
        weir_cli_say("the calibration is not kept");
        json_decref(object);
        return false;
    }
    if (weir_cli_json_print(object, out.file, path) && weir_cli_out_finish(&out))
        return true;
    weir_cli_out_discard(&out);
    weir_cli_say("the calibration is not kept");
    return false;
}

bool weir_cli_calibration_keep_gpu(const json_t *speeds)
{
    char folder[WEIR_CLI_PATH_MAX - 64];
    char path[WEIR_CLI_PATH_MAX];
    if (!weir_cli_cache_folder(folder, sizeof(folder))) {
        weir_cli_say("the calibration is not kept: neither XDG_CACHE_HOME nor HOME names a folder");
        return false;
    }
    snprintf(path, sizeof(path), "%s/calibration-gpu-0.json", folder);
    return keep_object(json_deep_copy(speeds), path);
}

bool weir_cli_calibration_keep(struct weir_cli_calibration *kept)
{
    char folder[WEIR_CLI_PATH_MAX - 64];
    const time_t now = time(NULL);
    struct tm utc;
    if (gmtime_r(&now, &utc) == NULL ||
        strftime(kept->date, sizeof(kept->date), "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
        snprintf(kept->date, sizeof(kept->date), "unknown");
    if (!weir_cli_cache_folder(folder, sizeof(folder)) ||
        !name_file(kept->path, sizeof(kept->path), folder, kept->found.device_id,
                   kept->found.slice_bytes)) {
        weir_cli_say("the calibration is not kept: neither XDG_CACHE_HOME nor HOME names a folder");
        return false;
    }
    json_t *object = weir_cli_calibration_json(&kept->found);
    weir_cli_json_text(object, "format", FORMAT_NAME, strlen(FORMAT_NAME));
    weir_cli_json_count(object, "version", FILE_VERSION);
    weir_cli_json_text(object, "date", kept->date, strlen(kept->date));
    return keep_object(object, kept->path);
}
