/* convert_pre.c - which of the pre-tokenizers that GGUF files name does what a tokenizer.json says.
 *
 * Files have no patterns, only a name that stands for some. A name is right when its rules are the
 * same: the steps before the cut, the patterns, and whether whole tokens go first. */
#include <string.h>

#include "convert/convert.h"

/* Spellings that mean the same, by what the table of names has. None of the words of a contraction
 * begins another one, so that their order does not matter. */
static const struct {
    const char *spelled, *meant;
} spellings[] = {
    {"(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])", "(?i:'s|'t|'re|'ve|'m|'ll|'d)"},
    {"'(?:[sSdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE])", "(?i:'s|'t|'re|'ve|'m|'ll|'d)"},
    {"'(?i:[sdmt]|ll|ve|re)", "(?i:'s|'t|'re|'ve|'m|'ll|'d)"},
    {"\\p{N}{1}|", "\\p{N}|"},
    {"]?+\\p{L}", "]?\\p{L}"}, /* what is before a letter is none: it is never given back */
    {"]++[\\r\\n]", "]+[\\r\\n]"},
};

static const char *skip_spelling(const char *at, const char **meant)
{
    for (size_t row = 0; row < WEIR_COUNT(spellings); row++) {
        const size_t length = strlen(spellings[row].spelled);
        if (strncmp(at, spellings[row].spelled, length) != 0)
            continue;
        *meant = spellings[row].meant;
        return at + length;
    }
    return NULL;
}

/* Whether a pattern of a file is the table's, but for spelling. */
static bool is_pattern(const char *spelled, const char *wanted)
{
    while (*spelled != '\0' && *wanted != '\0') {
        const char *meant = NULL;
        const char *behind = skip_spelling(spelled, &meant);
        if (behind != NULL && strncmp(wanted, meant, strlen(meant)) == 0) {
            spelled = behind;
            wanted += strlen(meant);
        } else if (*spelled++ != *wanted++) {
            return false;
        }
    }
    return *spelled == *wanted;
}

static bool is_text(struct weir_bytes one, struct weir_bytes other)
{
    return one.length == other.length &&
           (one.length == 0 || memcmp(one.start, other.start, one.length) == 0);
}

static bool has_rules(const struct weir_text_rules *rules, const struct weir_text_rules *wanted)
{
    if (rules->normal_count != wanted->normal_count || rules->split_count != wanted->split_count)
        return false;
    for (uint32_t step = 0; step < rules->normal_count; step++)
        if (rules->normal[step].kind != wanted->normal[step].kind ||
            !is_text(rules->normal[step].from, wanted->normal[step].from) ||
            !is_text(rules->normal[step].to, wanted->normal[step].to))
            return false;
    for (uint32_t split = 0; split < rules->split_count; split++)
        if (rules->splits[split].keep != wanted->splits[split].keep ||
            rules->splits[split].in_threes != wanted->splits[split].in_threes ||
            !is_pattern(rules->splits[split].pattern, wanted->splits[split].pattern))
            return false;
    /* A run of line breaks that is a token is also what its merges make of it. */
    return rules->whole_first == wanted->whole_first ||
           (rules->whole_first == WEIR_WHOLE_NEVER && wanted->whole_first == WEIR_WHOLE_BREAKS);
}

/* Names that llama.cpp's converter gives; several stand for the same rules. */
static const char *usual_name(const char *family)
{
    static const struct {
        const char *family, *name;
    } usual[] = {
        {"bailingmoe", "bailingmoe"}, {"bailingmoe2", "bailingmoe2"}, {"gemma4", "gemma4"},
        {"glm4moe", "glm4"},          {"hunyuan-moe", "hunyuan"},     {"llama4", "llama4"},
        {"minimax-m2", "minimax-m2"},
    };
    for (size_t row = 0; row < WEIR_COUNT(usual); row++)
        if (strcmp(usual[row].family, family) == 0)
            return usual[row].name;
    return "";
}

const char *weir_pre_find(const struct weir_text_rules *rules, bool is_raw, bool adds_bos,
                          const char *family)
{
    const char *found = NULL;
    bool found_adds_bos = false;
    const char *name = NULL;
    for (uint32_t index = 0; (name = weir_text_pre_at(index)) != NULL; index++) {
        const struct weir_bytes pre = {name, strlen(name)};
        struct weir_text_rules wanted;
        bool wants_raw = false;
        bool always = false;
        if (weir_text_find_rules(pre, &wanted, &wants_raw, NULL) != WEIR_OK ||
            wants_raw != is_raw || !has_rules(rules, &wanted))
            continue;
        if (strcmp(name, usual_name(family)) == 0)
            return name;
        const bool begins = weir_text_pre_adds_bos(pre, &always);
        if (found == NULL || (found_adds_bos != adds_bos && begins == adds_bos)) {
            found = name;
            found_adds_bos = begins;
        }
    }
    return found;
}
