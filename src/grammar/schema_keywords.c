/* schema_keywords.c - which members of a schema are read, which mean nothing here, and which are
 * refused; references; what two schemas have in common. */
#include "grammar/schema.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { LOOK_MAX = 1 << 26 /* bytes; half a second at most */, POINTER_KEY_MAX = 256 };

/* JSON Schema draft 2020-12; of older drafts what means the same. */
static const char *const names[WEIR_SCHEMA_KEYWORD_COUNT] = {
    [WEIR_SCHEMA_REF] = "$ref",
    [WEIR_SCHEMA_TYPE] = "type",
    [WEIR_SCHEMA_ENUM] = "enum",
    [WEIR_SCHEMA_CONST] = "const",
    [WEIR_SCHEMA_ANY_OF] = "anyOf",
    [WEIR_SCHEMA_ONE_OF] = "oneOf",
    [WEIR_SCHEMA_ALL_OF] = "allOf",
    [WEIR_SCHEMA_PROPERTIES] = "properties",
    [WEIR_SCHEMA_REQUIRED] = "required",
    [WEIR_SCHEMA_ADDITIONAL] = "additionalProperties",
    [WEIR_SCHEMA_MIN_PROPERTIES] = "minProperties",
    [WEIR_SCHEMA_MAX_PROPERTIES] = "maxProperties",
    [WEIR_SCHEMA_ITEMS] = "items",
    [WEIR_SCHEMA_PREFIX_ITEMS] = "prefixItems",
    [WEIR_SCHEMA_MIN_ITEMS] = "minItems",
    [WEIR_SCHEMA_MAX_ITEMS] = "maxItems",
    [WEIR_SCHEMA_UNIQUE_ITEMS] = "uniqueItems",
    [WEIR_SCHEMA_MIN_LENGTH] = "minLength",
    [WEIR_SCHEMA_MAX_LENGTH] = "maxLength",
    [WEIR_SCHEMA_PATTERN] = "pattern",
    [WEIR_SCHEMA_FORMAT] = "format",
    [WEIR_SCHEMA_MINIMUM] = "minimum",
    [WEIR_SCHEMA_MAXIMUM] = "maximum",
    [WEIR_SCHEMA_ABOVE] = "exclusiveMinimum",
    [WEIR_SCHEMA_BELOW] = "exclusiveMaximum",
};

/* They say nothing about what is valid, or are looked at when a reference leads to them. */
static const char *const idle[] = {
    "$schema",   "$id",        "$comment",         "$defs",           "definitions",
    "title",     "default",    "examples",         "description",     "readOnly",
    "writeOnly", "deprecated", "contentMediaType", "contentEncoding",
};

/* Those that each type has to itself: a place that does not say its type says it by them. */
static const struct {
    enum weir_schema_keyword first, last;
    uint32_t types;
} groups[] = {
    {WEIR_SCHEMA_PROPERTIES, WEIR_SCHEMA_MAX_PROPERTIES, WEIR_TYPE_OBJECT},
    {WEIR_SCHEMA_ITEMS, WEIR_SCHEMA_UNIQUE_ITEMS, WEIR_TYPE_ARRAY},
    {WEIR_SCHEMA_MIN_LENGTH, WEIR_SCHEMA_FORMAT, WEIR_TYPE_TEXT},
    {WEIR_SCHEMA_MINIMUM, WEIR_SCHEMA_BELOW, WEIR_TYPE_INTEGER | WEIR_TYPE_FRACTION},
};

static bool has(const struct weir_schema_place *place, enum weir_schema_keyword keyword)
{
    return weir_json_kind(place->members[keyword]) != WEIR_JSON_NONE;
}

bool weir_schema_may_look(struct weir_schema *schema, struct weir_json list)
{
    schema->looked_at += (uint64_t)(list.end - list.start) + 1;
    if (schema->looked_at > LOOK_MAX)
        weir_schema_refuse(schema, list, WEIR_ERR_FORMAT,
                           "there is too much to look through: wanted fewer names, values or "
                           "references");
    return schema->status == WEIR_OK;
}

bool weir_schema_is_same_text(struct weir_json left, struct weir_json right)
{
    char one[POINTER_KEY_MAX], other[POINTER_KEY_MAX];
    const size_t length = (size_t)(left.end - left.start);
    if (length == (size_t)(right.end - right.start) && memcmp(left.start, right.start, length) == 0)
        return true;
    if (memchr(left.start, '\\', length) == NULL &&
        memchr(right.start, '\\', (size_t)(right.end - right.start)) == NULL)
        return false;
    const size_t decoded = weir_json_text(left, one, sizeof(one));
    return decoded <= sizeof(one) && decoded == weir_json_text(right, other, sizeof(other)) &&
           memcmp(one, other, decoded) == 0;
}

/* ---- types --------------------------------------------------------------------------------- */

static uint32_t read_type(struct weir_schema *schema, struct weir_json value)
{
    static const struct {
        const char *name;
        uint32_t types;
    } types[] = {
        {"null", WEIR_TYPE_NULL},       {"boolean", WEIR_TYPE_BOOL},
        {"integer", WEIR_TYPE_INTEGER}, {"number", WEIR_TYPE_INTEGER | WEIR_TYPE_FRACTION},
        {"string", WEIR_TYPE_TEXT},     {"array", WEIR_TYPE_ARRAY},
        {"object", WEIR_TYPE_OBJECT},
    };
    for (size_t row = 0; row < WEIR_COUNT(types); row++)
        if (weir_json_is(value, types[row].name))
            return types[row].types;
    weir_schema_refuse(schema, value, WEIR_ERR_FORMAT,
                       "type: wanted null, boolean, integer, number, string, array or object");
    return WEIR_TYPE_ANY;
}

static uint32_t read_types(struct weir_schema *schema, struct weir_json value)
{
    uint32_t types = 0;
    if (weir_json_kind(value) != WEIR_JSON_ARRAY)
        return read_type(schema, value);
    struct weir_json_walk walk = weir_json_walk(value);
    while (schema->status == WEIR_OK && weir_json_next(&walk))
        types |= read_type(schema, walk.value);
    if (types == 0)
        weir_schema_refuse(schema, value, WEIR_ERR_FORMAT, "type: wanted at least one type");
    return types;
}

uint32_t weir_schema_type_of(struct weir_json value)
{
    static const uint32_t types[] = {[WEIR_JSON_NULL] = WEIR_TYPE_NULL,
                                     [WEIR_JSON_BOOL] = WEIR_TYPE_BOOL,
                                     [WEIR_JSON_TEXT] = WEIR_TYPE_TEXT,
                                     [WEIR_JSON_ARRAY] = WEIR_TYPE_ARRAY,
                                     [WEIR_JSON_OBJECT] = WEIR_TYPE_OBJECT};
    double number = 0.0;
    if (weir_json_f64(value, &number))
        return number == floor(number) ? WEIR_TYPE_INTEGER : WEIR_TYPE_FRACTION;
    return types[weir_json_kind(value)];
}

/* ---- one place ----------------------------------------------------------------------------- */

static void read_member(struct weir_schema *schema, struct weir_json key, struct weir_json value,
                        struct weir_schema_place *place)
{
    for (uint32_t keyword = 0; keyword < WEIR_SCHEMA_KEYWORD_COUNT; keyword++)
        if (weir_json_is(key, names[keyword])) {
            place->members[keyword] = value;
            return;
        }
    for (size_t index = 0; index < WEIR_COUNT(idle); index++)
        if (weir_json_is(key, idle[index]))
            return;
    weir_schema_refuse(schema, key, WEIR_ERR_UNSUPPORTED,
                       "%.*s is not built (docs/formats/grammars.md lists what is)",
                       (int)weir_min(60, (uint64_t)(key.end - key.start)), key.start);
}

/* A reference, a choice or a list of values stands alone but for the type. */
static void check_company(struct weir_schema *schema, const struct weir_schema_place *place)
{
    static const enum weir_schema_keyword alone[] = {WEIR_SCHEMA_REF,    WEIR_SCHEMA_ENUM,
                                                     WEIR_SCHEMA_CONST,  WEIR_SCHEMA_ANY_OF,
                                                     WEIR_SCHEMA_ONE_OF, WEIR_SCHEMA_ALL_OF};
    for (size_t index = 0; index < WEIR_COUNT(alone); index++) {
        if (!has(place, alone[index]))
            continue;
        const bool takes_type =
            alone[index] == WEIR_SCHEMA_ENUM || alone[index] == WEIR_SCHEMA_CONST;
        for (uint32_t other = 0; other < WEIR_SCHEMA_KEYWORD_COUNT; other++)
            if (has(place, other) && other != alone[index] &&
                !(takes_type && other == WEIR_SCHEMA_TYPE))
                weir_schema_refuse(schema, place->members[other], WEIR_ERR_UNSUPPORTED,
                                   "%s beside %s is not built", names[other], names[alone[index]]);
    }
    const struct weir_json all = place->members[WEIR_SCHEMA_ALL_OF];
    if (has(place, WEIR_SCHEMA_ALL_OF) && weir_json_count(all) > 1)
        weir_schema_refuse(schema, all, WEIR_ERR_UNSUPPORTED,
                           "allOf of more than one schema is not built");
}

void weir_schema_read_place(struct weir_schema *schema, struct weir_json value,
                            struct weir_schema_place *place)
{
    *place = (struct weir_schema_place){.schema = value};
    if (weir_json_kind(value) != WEIR_JSON_OBJECT)
        weir_schema_refuse(schema, value, WEIR_ERR_FORMAT,
                           "wanted a schema (an object, true or false), found %s",
                           weir_json_kind_name(weir_json_kind(value)));
    struct weir_json_walk walk = weir_json_walk(value);
    while (schema->status == WEIR_OK && weir_json_next(&walk))
        read_member(schema, walk.key, walk.value, place);
    check_company(schema, place);
    if (has(place, WEIR_SCHEMA_TYPE)) {
        place->types = read_types(schema, place->members[WEIR_SCHEMA_TYPE]);
        return;
    }
    for (size_t row = 0; row < WEIR_COUNT(groups); row++)
        for (uint32_t keyword = groups[row].first; keyword <= groups[row].last; keyword++)
            if (has(place, keyword))
                place->types |= groups[row].types;
    if (place->types == 0)
        place->types = WEIR_TYPE_ANY;
}

/* ---- references ---------------------------------------------------------------------------- */

/* The next key of a JSON pointer (RFC 6901), unescaped; *at moves behind it. False: too long. */
static bool take_key(const char **at, const char *end, char key[POINTER_KEY_MAX])
{
    size_t length = 0;
    for ((*at)++; *at < end && **at != '/'; (*at)++) {
        char byte = **at;
        if (byte == '~' && *at + 1 < end && ((*at)[1] == '0' || (*at)[1] == '1'))
            byte = *++*at == '0' ? '~' : '/';
        if (length + 1 == POINTER_KEY_MAX || byte == '\0')
            return false;
        key[length++] = byte;
    }
    key[length] = '\0';
    return true;
}

/* A pointer has a number without zeros before it. */
static struct weir_json find_element(struct weir_json array, const char *key)
{
    const size_t digits = strspn(key, "0123456789");
    uint64_t index = 0;
    struct weir_json_walk walk = weir_json_walk(array);
    if (digits == 0 || digits > 9 || key[digits] != '\0' || (digits > 1 && key[0] == '0'))
        return (struct weir_json){0};
    for (const char *at = key; *at != '\0'; at++)
        index = index * 10 + (uint64_t)(*at - '0');
    while (weir_json_next(&walk))
        if (walk.index == index)
            return walk.value;
    return (struct weir_json){0};
}

struct weir_json weir_schema_follow(struct weir_schema *schema, struct weir_json ref)
{
    char pointer[4 * POINTER_KEY_MAX], key[POINTER_KEY_MAX];
    struct weir_json value = schema->root;
    const size_t length = weir_json_text(ref, pointer, sizeof(pointer));
    const char *at = pointer + 1, *end = pointer + length;
    if (weir_json_kind(ref) != WEIR_JSON_TEXT || length == 0 || length > sizeof(pointer) ||
        pointer[0] != '#' || (length > 1 && pointer[1] != '/') ||
        memchr(pointer, '%', length) != NULL) {
        weir_schema_refuse(schema, ref, WEIR_ERR_UNSUPPORTED,
                           "$ref: wanted # or #/ and a path in this schema");
        return value;
    }
    while (at < end && weir_json_kind(value) != WEIR_JSON_NONE) {
        if (!take_key(&at, end, key))
            weir_schema_refuse(schema, ref, WEIR_ERR_FORMAT,
                               "$ref: wanted keys of at most %d bytes", POINTER_KEY_MAX - 1);
        if (!weir_schema_may_look(schema, value))
            return value;
        value = weir_json_kind(value) == WEIR_JSON_ARRAY ? find_element(value, key)
                                                         : weir_json_member(value, key);
    }
    if (weir_json_kind(value) == WEIR_JSON_NONE) {
        weir_schema_refuse(schema, ref, WEIR_ERR_FORMAT, "$ref: there is no such place");
        return schema->root;
    }
    return value;
}

/* ---- what two schemas have in common ------------------------------------------------------- */

/* The schema that a chain of references ends with. */
static void read_target(struct weir_schema *schema, struct weir_json value,
                        struct weir_schema_place *place)
{
    enum { HOP_MAX = 8 };
    weir_schema_read_place(schema, value, place);
    for (int hop = 0; hop < HOP_MAX && schema->status == WEIR_OK && has(place, WEIR_SCHEMA_REF);
         hop++)
        weir_schema_read_place(schema, weir_schema_follow(schema, place->members[WEIR_SCHEMA_REF]),
                               place);
}

static uint32_t types_of_values(struct weir_json list)
{
    uint32_t types = 0;
    struct weir_json_walk walk = weir_json_walk(list);
    while (weir_json_next(&walk))
        types |= weir_schema_type_of(walk.value);
    return types;
}

static uint32_t types_of(const struct weir_schema_place *place)
{
    if (has(place, WEIR_SCHEMA_CONST))
        return weir_schema_type_of(place->members[WEIR_SCHEMA_CONST]);
    if (has(place, WEIR_SCHEMA_ENUM))
        return types_of_values(place->members[WEIR_SCHEMA_ENUM]);
    if (has(place, WEIR_SCHEMA_REF) || has(place, WEIR_SCHEMA_ANY_OF) ||
        has(place, WEIR_SCHEMA_ONE_OF) || has(place, WEIR_SCHEMA_ALL_OF))
        return WEIR_TYPE_ANY;
    return has(place, WEIR_SCHEMA_TYPE) ? place->types : WEIR_TYPE_ANY;
}

/* Texts without escapes differ where their bytes do; of other values it is not looked at. */
static bool differ(struct weir_json left, struct weir_json right)
{
    const size_t length = (size_t)(left.end - left.start);
    if ((weir_schema_type_of(left) & weir_schema_type_of(right)) == 0)
        return true;
    return weir_json_kind(left) == WEIR_JSON_TEXT && memchr(left.start, '\\', length) == NULL &&
           memchr(right.start, '\\', (size_t)(right.end - right.start)) == NULL &&
           (length != (size_t)(right.end - right.start) ||
            memcmp(left.start, right.start, length) != 0);
}

/* The values that a place lists, one after the other; false: no more, or it lists none. */
static bool next_value(const struct weir_schema_place *place, struct weir_json_walk *walk,
                       struct weir_json *value)
{
    if (has(place, WEIR_SCHEMA_CONST)) {
        const bool is_first = walk->index == UINT64_MAX;
        walk->index = 0;
        *value = place->members[WEIR_SCHEMA_CONST];
        return is_first;
    }
    const bool is_there = weir_json_next(walk);
    *value = walk->value;
    return is_there;
}

static bool lists_exclude(struct weir_schema *schema, const struct weir_schema_place *left,
                          const struct weir_schema_place *right)
{
    struct weir_json one, other;
    struct weir_json_walk walk = weir_json_walk(left->members[WEIR_SCHEMA_ENUM]);
    if (!(has(left, WEIR_SCHEMA_CONST) || has(left, WEIR_SCHEMA_ENUM)) ||
        !(has(right, WEIR_SCHEMA_CONST) || has(right, WEIR_SCHEMA_ENUM)))
        return false;
    while (next_value(left, &walk, &one)) {
        struct weir_json_walk second = weir_json_walk(right->members[WEIR_SCHEMA_ENUM]);
        if (!weir_schema_may_look(schema, right->schema))
            return false;
        while (next_value(right, &second, &other))
            if (!differ(one, other))
                return false;
    }
    return true;
}

static bool is_required(struct weir_schema *schema, const struct weir_schema_place *place,
                        struct weir_json key)
{
    struct weir_json_walk walk = weir_json_walk(place->members[WEIR_SCHEMA_REQUIRED]);
    if (!weir_schema_may_look(schema, place->members[WEIR_SCHEMA_REQUIRED]))
        return false;
    while (weir_json_next(&walk))
        if (weir_schema_is_same_text(walk.value, key))
            return true;
    return false;
}

/* A property that both must have, with values that differ. */
static bool properties_exclude(struct weir_schema *schema, const struct weir_schema_place *left,
                               const struct weir_schema_place *right)
{
    struct weir_json_walk walk = weir_json_walk(left->members[WEIR_SCHEMA_PROPERTIES]);
    while (schema->status == WEIR_OK && weir_json_next(&walk)) {
        struct weir_schema_place one, other;
        char key[POINTER_KEY_MAX];
        const size_t length = weir_json_text(walk.key, key, sizeof(key) - 1);
        if (!is_required(schema, left, walk.key) || !is_required(schema, right, walk.key) ||
            length >= sizeof(key))
            continue;
        key[length] = '\0';
        const struct weir_json second =
            weir_json_member(right->members[WEIR_SCHEMA_PROPERTIES], key);
        if (!weir_schema_may_look(schema, right->schema) ||
            weir_json_kind(walk.value) != WEIR_JSON_OBJECT ||
            weir_json_kind(second) != WEIR_JSON_OBJECT)
            continue;
        read_target(schema, walk.value, &one);
        read_target(schema, second, &other);
        if ((types_of(&one) & types_of(&other)) == 0 || lists_exclude(schema, &one, &other))
            return true;
    }
    return false;
}

bool weir_schema_excludes(struct weir_schema *schema, struct weir_json left, struct weir_json right)
{
    struct weir_schema_place one, other;
    if (weir_json_kind(left) != WEIR_JSON_OBJECT || weir_json_kind(right) != WEIR_JSON_OBJECT)
        return false;
    if (!weir_schema_may_look(schema, left) || !weir_schema_may_look(schema, right))
        return false;
    read_target(schema, left, &one);
    read_target(schema, right, &other);
    const uint32_t common = types_of(&one) & types_of(&other);
    return common == 0 || lists_exclude(schema, &one, &other) ||
           (common == WEIR_TYPE_OBJECT && properties_exclude(schema, &one, &other));
}
