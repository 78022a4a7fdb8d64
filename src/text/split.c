/* split.c - regular expressions, compiled and asked. */
#include "text/split.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"

/* Steps that a pattern from a file may take at one place of a text. */
enum { FOREIGN_MATCH_LIMIT = 20 * 1000 * 1000, PATTERN_BYTES_MAX = 1 << 16 };

struct weir_text_splitter {
    const struct weir_text_rules *rules;
    pcre2_general_context *general;
    pcre2_match_context *match;
    uint32_t pattern_count;
    pcre2_code *patterns[WEIR_SPLIT_MAX];
    pcre2_match_data *found[WEIR_SPLIT_MAX];
    bool is_compiled;
};

static void *take_memory(PCRE2_SIZE bytes, void *context)
{
    (void)context;
    return weir_heap_alloc(bytes);
}

static void give_memory(void *memory, void *context)
{
    (void)context;
    weir_heap_free(memory);
}

/* What the publishers' regular expression engine (Oniguruma) means by a letter behind a backslash,
 * as the inside of a class: Unicode's White_Space (PCRE2's own has U+180E besides), and a word's
 * letters as Unicode has them (PCRE2's own are no marks, and all numbers). */
static const char *spell_class(char letter, bool in_class)
{
    switch (letter) {
    case 's':
    case 'S':
        return "\\x09-\\x0d\\x85\\p{Z}";
    case 'w':
    case 'W': /* the fractions and raised digits of Latin-1 only where it stands by itself */
        return in_class ? "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}"
                        : "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\xb2\\xb3\\xb9\\xbc-\\xbe";
    default:
        return NULL;
    }
}

/* \p{Han} is a script there; here, where a character that other scripts use too counts as well,
 * that is \p{sc:Han}. Categories have one or two letters. */
static bool names_script(const char *at)
{
    static const char *const others[] = {"Any",       "ASCII", "Alphabetic", "Emoji",
                                         "Lowercase", "Math",  "Uppercase",  "White_Space"};
    if (at[0] != '\\' || (at[1] != 'p' && at[1] != 'P') || at[2] != '{')
        return false;
    const size_t length = strcspn(at + 3, "}:^&");
    for (size_t row = 0; row < WEIR_COUNT(others); row++)
        if (length == strlen(others[row]) && memcmp(at + 3, others[row], length) == 0)
            return false;
    return at[3 + length] == '}' && length > 2;
}

/* The pattern in PCRE2's words. */
static char *spell_out(const char *pattern)
{
    enum { LONGEST = 64 };
    char *spelled = weir_heap_alloc(strlen(pattern) * LONGEST + 1);
    if (spelled == NULL)
        return NULL;
    char *out = spelled;
    bool in_class = false;
    for (const char *at = pattern; *at != 0; at++) {
        const char *class = *at == '\\' ? spell_class(at[1], in_class) : NULL;
        const bool is_negative = class != NULL && at[1] < 'a';
        if (class != NULL && !(in_class && is_negative)) {
            const char *open = in_class ? "" : is_negative ? "[^" : "[";
            out += snprintf(out, LONGEST, "%s%s%s", open, class, in_class ? "" : "]");
            at++;
            continue;
        }
        if (names_script(at)) {
            out += snprintf(out, LONGEST, "\\%c{sc:", at[1]);
            at += 2;
            continue;
        }
        if (*at == '[' || *at == ']')
            in_class = *at == '[';
        *out++ = *at;
        if (*at == '\\' && at[1] != 0)
            *out++ = *++at;
    }
    return spelled;
}

static enum weir_status refuse_pattern(const weir_text_splitter *splitter, uint32_t index, int code,
                                       PCRE2_SIZE offset, struct weir_err *err)
{
    char why[128];
    pcre2_get_error_message(code, (PCRE2_UCHAR *)why, sizeof(why));
    /* The table's patterns compile (a test compiles each), so only memory can be short. */
    return WEIR_FAIL(err, splitter->rules->is_foreign ? WEIR_ERR_UNSUPPORTED : WEIR_ERR_NOMEM,
                     "pre-tokenizer: pattern %u \"%.80s\" does not compile: %s at offset %zu",
                     index, splitter->rules->splits[index].pattern, why, (size_t)offset);
}

/* What stands at a place of a pattern and means something else in Oniguruma, or nothing; 0: bytes
 * that mean the same. A + or ? behind an interval repeats it there, or lets it be absent. */
static size_t find_other(const char *at, bool in_class, bool is_behind_interval)
{
    static const char letters[] = "hHKGRXgAzZbBvCQ";
    if (*at == '\\')
        return (strchr(letters, at[1]) != NULL && at[1] != 0) ||
                       (in_class && (at[1] == 'W' || at[1] == 'S')) ||
                       ((at[1] == 'p' || at[1] == 'P') && at[2] != '{')
                   ? 2
                   : 0;
    if (in_class)
        return *at == '[' ? 1 : strncmp(at, "&&", 2) == 0 ? 2 : 0;
    if (strncmp(at, "(*", 2) == 0 || strncmp(at, "{,", 2) == 0)
        return 2;
    if (strncmp(at, "(?", 2) == 0 && at[2 + strspn(at + 2, "ix-")] == 'm')
        return 3 + strspn(at + 2, "ix-");
    return is_behind_interval && (*at == '+' || *at == '?') ? 1 : 0;
}

/* The bytes of an interval ({2}, {1,3}) that a pattern has at a place; 0: there is none. */
static size_t measure_interval(const char *at)
{
    const size_t length = *at == '{' ? 1 + strspn(at + 1, "0123456789,") : 0;
    return length > 1 && at[length] == '}' ? length + 1 : 0;
}

/* Where a file's pattern means something else here than where it comes from; NULL: nowhere. */
static const char *find_foreign(const char *pattern, size_t *length)
{
    bool in_class = false;
    bool is_behind_interval = false;
    for (const char *at = pattern; *at != 0;) {
        *length = find_other(at, in_class, is_behind_interval);
        if (*length > 0)
            return at;
        const size_t interval = in_class ? 0 : measure_interval(at);
        is_behind_interval = interval > 0;
        if (*at == '[') {
            in_class = true;
            at += at[1] == '^' ? 2 : 1;
            at += *at == ']'; /* one that comes first is meant itself */
            continue;
        }
        in_class = in_class && *at != ']';
        at += interval > 0 ? interval : *at == '\\' && at[1] != 0 ? 2 : 1;
    }
    return NULL;
}

/* A file's pattern must not look back further than the stream keeps, nor mean something else here
 * than where it comes from, nor match nothing, which cuts there. */
static enum weir_status check_foreign(const weir_text_splitter *splitter, uint32_t index,
                                      struct weir_err *err)
{
    const char *pattern = splitter->rules->splits[index].pattern;
    uint32_t lookbehind = 0;
    uint32_t matches_nothing = 0;
    size_t length = 0;
    pcre2_pattern_info(splitter->patterns[index], PCRE2_INFO_MAXLOOKBEHIND, &lookbehind);
    pcre2_pattern_info(splitter->patterns[index], PCRE2_INFO_MATCHEMPTY, &matches_nothing);
    const char *foreign = find_foreign(pattern, &length);
    if (foreign != NULL)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "pre-tokenizer: pattern %u \"%.80s\": \"%.*s\" at offset %zu is not built "
                         "in",
                         index, pattern, (int)length, foreign, (size_t)(foreign - pattern));
    if (lookbehind > 1)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "pre-tokenizer: pattern %u \"%.80s\": wanted one that looks back at most "
                         "one character, found %u",
                         index, pattern, lookbehind);
    if (matches_nothing == 0)
        return WEIR_OK;
    return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                     "pre-tokenizer: pattern %u \"%.80s\": wanted one that matches something, "
                     "found one that may match nothing",
                     index, pattern);
}

static enum weir_status compile_pattern(weir_text_splitter *splitter,
                                        pcre2_compile_context *compile, struct weir_err *err)
{
    const uint32_t index = splitter->pattern_count++;
    /* Oniguruma's ^ and $ are those of lines. */
    const uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_NO_AUTO_CAPTURE |
                             (splitter->rules->is_foreign ? PCRE2_MULTILINE : 0u);
    const size_t length = strlen(splitter->rules->splits[index].pattern);
    if (length > PATTERN_BYTES_MAX)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "pre-tokenizer: pattern %u: wanted at most %d bytes, found %zu", index,
                         PATTERN_BYTES_MAX, length);
    char *spelled = spell_out(splitter->rules->splits[index].pattern);
    if (spelled == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "pre-tokenizer: no room for a pattern");
    int code = 0;
    PCRE2_SIZE offset = 0;
    splitter->patterns[index] =
        pcre2_compile((PCRE2_SPTR)spelled, PCRE2_ZERO_TERMINATED, options, &code, &offset, compile);
    weir_heap_free(spelled);
    if (splitter->patterns[index] == NULL)
        return refuse_pattern(splitter, index, code, offset, err);
    if (splitter->rules->is_foreign)
        WEIR_TRY(check_foreign(splitter, index, err));
    if (pcre2_jit_compile(splitter->patterns[index], PCRE2_JIT_COMPLETE | PCRE2_JIT_PARTIAL_HARD) !=
        0)
        splitter->is_compiled = false;
    splitter->found[index] = pcre2_match_data_create(1, splitter->general);
    if (splitter->found[index] == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "pre-tokenizer: no room for match data");
    return WEIR_OK;
}

enum weir_status weir_text_splitter_create(weir_text_splitter **out,
                                           const struct weir_text_rules *rules,
                                           struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    pcre2_compile_context *compile = NULL;
    weir_text_splitter *splitter = weir_heap_alloc(sizeof(*splitter));
    if (splitter == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "pre-tokenizer: no room");
    splitter->rules = rules;
    splitter->is_compiled = true;
    splitter->general = pcre2_general_context_create(take_memory, give_memory, NULL);
    if (splitter->general != NULL) {
        splitter->match = pcre2_match_context_create(splitter->general);
        compile = pcre2_compile_context_create(splitter->general);
    }
    if (splitter->match == NULL || compile == NULL) {
        status = WEIR_FAIL(err, WEIR_ERR_NOMEM, "pre-tokenizer: no room for PCRE2's contexts");
        goto fail;
    }
    /* A long text is not an attack on patterns of ours, of which none backtracks deeply. */
    pcre2_set_match_limit(splitter->match, rules->is_foreign ? FOREIGN_MATCH_LIMIT : UINT32_MAX);
    pcre2_set_depth_limit(splitter->match, UINT32_MAX);
    pcre2_set_heap_limit(splitter->match, UINT32_MAX);
    while (splitter->pattern_count < rules->split_count)
        WEIR_TRY_GOTO(compile_pattern(splitter, compile, err));
    pcre2_compile_context_free(compile);
    *out = splitter;
    return WEIR_OK;

fail:
    pcre2_compile_context_free(compile);
    weir_text_splitter_destroy(&splitter);
    return status;
}

void weir_text_splitter_destroy(weir_text_splitter **splitter)
{
    weir_text_splitter *old = *splitter;
    if (old == NULL)
        return;
    for (uint32_t index = 0; index < old->pattern_count; index++) {
        pcre2_match_data_free(old->found[index]);
        pcre2_code_free(old->patterns[index]);
    }
    pcre2_match_context_free(old->match);
    pcre2_general_context_free(old->general);
    weir_heap_free(old);
    *splitter = NULL;
}

/* Machine code has a stack of its own and may say that it is too small; the interpreter takes what
 * it needs from the heap. */
enum weir_status weir_text_splitter_match(weir_text_splitter *splitter, uint32_t pattern,
                                          const char *bytes, size_t length, size_t offset,
                                          bool goes_on, enum weir_text_found *found, size_t *begin,
                                          size_t *end, struct weir_err *err)
{
    const uint32_t options =
        PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY | (goes_on ? PCRE2_PARTIAL_HARD : 0u);
    pcre2_match_data *data = splitter->found[pattern];
    int code = pcre2_match(splitter->patterns[pattern], (PCRE2_SPTR)bytes, length, offset, options,
                           data, splitter->match);
    if (code < 0 && code != PCRE2_ERROR_NOMATCH && code != PCRE2_ERROR_PARTIAL)
        code = pcre2_match(splitter->patterns[pattern], (PCRE2_SPTR)bytes, length, offset,
                           options | PCRE2_NO_JIT, data, splitter->match);
    if (code < 0 && code != PCRE2_ERROR_NOMATCH && code != PCRE2_ERROR_PARTIAL)
        return WEIR_FAIL(err, code == PCRE2_ERROR_MATCHLIMIT ? WEIR_ERR_ARG : WEIR_ERR_NOMEM,
                         "pre-tokenizer: pattern %u \"%.80s\" ended with PCRE2 error %d%s", pattern,
                         splitter->rules->splits[pattern].pattern, code,
                         code == PCRE2_ERROR_MATCHLIMIT ? ": the text takes it too long" : "");
    *found = code == PCRE2_ERROR_NOMATCH   ? WEIR_TEXT_FOUND_NOTHING
             : code == PCRE2_ERROR_PARTIAL ? WEIR_TEXT_FOUND_PERHAPS
                                           : WEIR_TEXT_FOUND_MATCH;
    if (*found != WEIR_TEXT_FOUND_NOTHING) {
        const PCRE2_SIZE *span = pcre2_get_ovector_pointer(data);
        *begin = span[0];
        *end = span[1];
    }
    return WEIR_OK;
}

bool weir_text_splitter_wants_end(const weir_text_splitter *splitter, uint32_t pattern)
{
    const char *text = splitter->rules->splits[pattern].pattern;
    return text[strlen(text) - 1] == '$';
}

const struct weir_text_rules *weir_text_splitter_rules(const weir_text_splitter *splitter)
{
    return splitter->rules;
}

bool weir_text_splitter_is_compiled(const weir_text_splitter *splitter)
{
    return splitter->is_compiled;
}
