/* schema_containers.c - objects and arrays of a schema as rules. */
#include <stdio.h>
#include <string.h>

#include "grammar/schema.h"

/* What stands for any value: a rule, or the common one. */
static void write_rule(struct weir_schema *schema, struct weir_json value, struct weir_json name)
{
    if (weir_json_kind(value) == WEIR_JSON_NONE)
        weir_schema_write(schema, "any ");
    else
        weir_schema_write(schema, "r%u ", weir_schema_rule_of(schema, value, name));
}

static bool is_false(struct weir_json value)
{
    bool allows = true;
    return weir_json_bool(value, &allows) && !allows;
}

/* ---- objects ------------------------------------------------------------------------------- */

static bool is_in(struct weir_schema *schema, struct weir_json list, struct weir_json key)
{
    struct weir_json_walk walk = weir_json_walk(list);
    if (!weir_schema_may_look(schema, list))
        return false;
    while (weir_json_next(&walk))
        if (weir_schema_is_same_text(
                weir_json_kind(list) == WEIR_JSON_OBJECT ? walk.key : walk.value, key))
            return true;
    return false;
}

/* The properties in their order: those that are described, then those that are only required. */
struct properties {
    struct weir_json_walk described, required;
    struct weir_json key, value;
    bool is_needed;
};

static bool next_property(struct weir_schema *schema, const struct weir_schema_place *place,
                          struct properties *walk)
{
    const struct weir_json properties = place->members[WEIR_SCHEMA_PROPERTIES];
    const struct weir_json required = place->members[WEIR_SCHEMA_REQUIRED];
    while (schema->status == WEIR_OK && weir_json_next(&walk->described)) {
        walk->key = walk->described.key;
        walk->value = walk->described.value;
        walk->is_needed = is_in(schema, required, walk->key);
        if (walk->is_needed || !is_false(walk->value))
            return true;
    }
    while (schema->status == WEIR_OK && weir_json_next(&walk->required)) {
        walk->key = walk->required.value;
        walk->value = place->members[WEIR_SCHEMA_ADDITIONAL];
        walk->is_needed = true;
        if (!is_in(schema, properties, walk->key))
            return true;
    }
    return false;
}

static struct properties walk_properties(const struct weir_schema_place *place)
{
    return (struct properties){
        .described = weir_json_walk(place->members[WEIR_SCHEMA_PROPERTIES]),
        .required = weir_json_walk(place->members[WEIR_SCHEMA_REQUIRED]),
    };
}

/* Texts, each once: a name that stands there twice would be written twice. */
static void check_names(struct weir_schema *schema, struct weir_json list)
{
    struct weir_json_walk walk = weir_json_walk(list);
    while (schema->status == WEIR_OK && weir_json_next(&walk)) {
        const struct weir_json name = walk.is_object ? walk.key : walk.value;
        const struct weir_json rest = {walk.at, walk.end};
        struct weir_json_walk other = walk;
        if (weir_json_kind(name) != WEIR_JSON_TEXT)
            weir_schema_refuse(schema, name, WEIR_ERR_FORMAT, "required: wanted names, found %s",
                               weir_json_kind_name(weir_json_kind(name)));
        if (!weir_schema_may_look(schema, rest))
            return;
        while (weir_json_next(&other))
            if (weir_schema_is_same_text(name, walk.is_object ? other.key : other.value))
                weir_schema_refuse(schema, walk.is_object ? other.key : other.value,
                                   WEIR_ERR_FORMAT, "wanted each name once");
    }
}

static void check_object(struct weir_schema *schema, const struct weir_schema_place *place)
{
    const struct weir_json properties = place->members[WEIR_SCHEMA_PROPERTIES];
    const struct weir_json required = place->members[WEIR_SCHEMA_REQUIRED];
    const uint64_t least = weir_schema_count(schema, place, WEIR_SCHEMA_MIN_PROPERTIES, 0);
    const uint64_t most = weir_schema_count(schema, place, WEIR_SCHEMA_MAX_PROPERTIES, UINT64_MAX);
    const uint64_t needed = weir_json_count(required);
    if (weir_json_kind(properties) != WEIR_JSON_NONE &&
        weir_json_kind(properties) != WEIR_JSON_OBJECT)
        weir_schema_refuse(schema, properties, WEIR_ERR_FORMAT,
                           "properties: wanted an object, found %s",
                           weir_json_kind_name(weir_json_kind(properties)));
    if (weir_json_kind(required) != WEIR_JSON_NONE && weir_json_kind(required) != WEIR_JSON_ARRAY)
        weir_schema_refuse(schema, required, WEIR_ERR_FORMAT, "required: wanted an array, found %s",
                           weir_json_kind_name(weir_json_kind(required)));
    check_names(schema, properties);
    check_names(schema, required);
    if (least > needed)
        weir_schema_refuse(schema, place->members[WEIR_SCHEMA_MIN_PROPERTIES], WEIR_ERR_UNSUPPORTED,
                           "minProperties above the number of required ones is not built");
    if (most < weir_json_count(properties) + needed)
        weir_schema_refuse(schema, place->members[WEIR_SCHEMA_MAX_PROPERTIES], WEIR_ERR_UNSUPPORTED,
                           "maxProperties below the number of properties and required ones is not "
                           "built");
}

/* Any keys; those of a map. */
static uint32_t write_map(struct weir_schema *schema, const struct weir_schema_place *place,
                          struct weir_json name)
{
    const struct weir_json values = place->members[WEIR_SCHEMA_ADDITIONAL];
    const uint32_t map = weir_schema_rule_beside(schema, place->schema, name);
    if (is_false(values)) {
        weir_schema_write(schema, "r%u ::= \"{\" ws \"}\"\n", map);
        return map;
    }
    const uint32_t pair = weir_schema_rule_beside(schema, place->schema, name);
    weir_schema_write(schema, "r%u ::= text \":\" ws ", pair);
    write_rule(schema, values, name);
    weir_schema_write(schema, "\nr%u ::= \"{\" ws (r%u (\",\" ws r%u)*)? ws \"}\"\n", map, pair,
                      pair);
    return map;
}

static void write_pair(struct weir_schema *schema, const struct properties *property)
{
    weir_schema_write_literal(schema, property->key.start,
                              (size_t)(property->key.end - property->key.start));
    weir_schema_write(schema, "\":\" ws ");
    write_rule(schema, property->value, property->key);
}

/* Two rules a property: what may come when nothing was written yet, and when something was. */
static uint32_t write_properties(struct weir_schema *schema, const struct weir_schema_place *place,
                                 struct weir_json name)
{
    struct properties property = walk_properties(place);
    const uint32_t first = weir_schema_rule_beside(schema, place->schema, name);
    uint32_t empty = first;
    uint32_t filled = weir_schema_rule_beside(schema, place->schema, name);
    while (schema->status == WEIR_OK && next_property(schema, place, &property)) {
        const uint32_t next_empty = weir_schema_rule_beside(schema, place->schema, property.key);
        const uint32_t next_filled = weir_schema_rule_beside(schema, place->schema, property.key);
        weir_schema_write(schema, "r%u ::= ", empty);
        write_pair(schema, &property);
        weir_schema_write(schema, "r%u ", next_filled);
        if (!property.is_needed)
            weir_schema_write(schema, "| r%u ", next_empty);
        weir_schema_write(schema, "\nr%u ::= \",\" ws ", filled);
        write_pair(schema, &property);
        weir_schema_write(schema, "r%u ", next_filled);
        if (!property.is_needed)
            weir_schema_write(schema, "| r%u ", next_filled);
        weir_schema_write(schema, "\n");
        empty = next_empty;
        filled = next_filled;
    }
    weir_schema_write(schema, "r%u ::= \"\"\nr%u ::= \"\"\n", empty, filled);
    return first;
}

uint32_t weir_schema_write_object(struct weir_schema *schema, const struct weir_schema_place *place,
                                  struct weir_json name)
{
    struct properties walk = walk_properties(place);
    check_object(schema, place);
    if (!next_property(schema, place, &walk) &&
        weir_json_kind(place->members[WEIR_SCHEMA_PROPERTIES]) == WEIR_JSON_NONE)
        return write_map(schema, place, name);
    const uint32_t members = write_properties(schema, place, name);
    const uint32_t object = weir_schema_rule_beside(schema, place->schema, name);
    weir_schema_write(schema, "r%u ::= \"{\" ws r%u ws \"}\"\n", object, members);
    return object;
}

/* ---- arrays -------------------------------------------------------------------------------- */

/* Elements behind those of prefixItems: from least to most, UINT64_MAX for no end. */
static void write_elements(struct weir_schema *schema, const struct weir_schema_place *place,
                           struct weir_json name, uint64_t least, uint64_t most, bool is_first)
{
    const struct weir_json items = place->members[WEIR_SCHEMA_ITEMS];
    if (most == 0) {
        weir_schema_write(schema, "\"\" ");
        return;
    }
    if (is_first) {
        weir_schema_write(schema, "(");
        write_rule(schema, items, name);
        least -= least > 0;
        most -= most != UINT64_MAX;
    }
    weir_schema_write(schema, "(\",\" ws ");
    write_rule(schema, items, name);
    if (most == UINT64_MAX)
        weir_schema_write(schema, "){%llu,}", (unsigned long long)least);
    else
        weir_schema_write(schema, "){%llu,%llu}", (unsigned long long)least,
                          (unsigned long long)most);
}

static void check_array(struct weir_schema *schema, const struct weir_schema_place *place,
                        uint64_t least, uint64_t most)
{
    bool is_unique = false;
    const struct weir_json unique = place->members[WEIR_SCHEMA_UNIQUE_ITEMS];
    const struct weir_json items = place->members[WEIR_SCHEMA_ITEMS];
    if (weir_json_bool(unique, &is_unique) && is_unique && most > 1)
        weir_schema_refuse(schema, unique, WEIR_ERR_UNSUPPORTED, "uniqueItems is not built");
    if (weir_json_kind(items) == WEIR_JSON_ARRAY)
        weir_schema_refuse(schema, items, WEIR_ERR_UNSUPPORTED,
                           "items as an array is not built (prefixItems is)");
    if (least > most)
        weir_schema_refuse(schema, place->schema, WEIR_ERR_FORMAT,
                           "minItems: wanted at most %llu elements, found %llu",
                           (unsigned long long)most, (unsigned long long)least);
    if (least > WEIR_GRAMMAR_REPEAT_MAX || (most > WEIR_GRAMMAR_REPEAT_MAX && most != UINT64_MAX))
        weir_schema_refuse(schema, place->schema, WEIR_ERR_FORMAT,
                           "minItems, maxItems: wanted at most %d", WEIR_GRAMMAR_REPEAT_MAX);
}

uint32_t weir_schema_write_array(struct weir_schema *schema, const struct weir_schema_place *place,
                                 struct weir_json name)
{
    const struct weir_json prefix = place->members[WEIR_SCHEMA_PREFIX_ITEMS];
    const uint64_t least = weir_schema_count(schema, place, WEIR_SCHEMA_MIN_ITEMS, 0);
    uint64_t most = weir_schema_count(schema, place, WEIR_SCHEMA_MAX_ITEMS, UINT64_MAX);
    const uint64_t prefix_count = weir_json_count(prefix);
    if (weir_json_kind(prefix) != WEIR_JSON_NONE && weir_json_kind(prefix) != WEIR_JSON_ARRAY)
        weir_schema_refuse(schema, prefix, WEIR_ERR_FORMAT,
                           "prefixItems: wanted an array of schemas, found %s",
                           weir_json_kind_name(weir_json_kind(prefix)));
    if (is_false(place->members[WEIR_SCHEMA_ITEMS]))
        most = weir_min(most, prefix_count);
    check_array(schema, place, least, most);
    const uint32_t array = weir_schema_rule_beside(schema, place->schema, name);
    uint32_t rest = weir_schema_rule_beside(schema, place->schema, name);
    weir_schema_write(schema, "r%u ::= \"[\" ws r%u ws \"]\"\n", array, rest);
    /* What may come from each element on; it ends there where enough have been. */
    struct weir_json_walk walk = weir_json_walk(prefix);
    uint64_t index = 0;
    for (; index < most && schema->status == WEIR_OK && weir_json_next(&walk); index++) {
        const uint32_t next = weir_schema_rule_beside(schema, place->schema, name);
        weir_schema_write(schema, "r%u ::= %s", rest, index == 0 ? "" : "\",\" ws ");
        write_rule(schema, walk.value, name);
        weir_schema_write(schema, "r%u %s\n", next, index >= least ? "| \"\"" : "");
        rest = next;
    }
    const uint64_t left_least = least > index ? least - index : 0;
    const uint64_t left_most = most == UINT64_MAX ? most : most - index;
    weir_schema_write(schema, "r%u ::= ", rest);
    write_elements(schema, place, name, left_least, left_most, index == 0);
    if (index == 0 && left_most > 0)
        weir_schema_write(schema, ")%s", left_least == 0 ? "?" : "");
    weir_schema_write(schema, "\n");
    return array;
}
