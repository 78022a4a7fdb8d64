/* split.c - pre-tokenization by tables of regular expressions. */
#include "text/split.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"

enum { PATTERN_MAX = 6 };

struct weir_text_splitter {
    const struct rule *rule;
    pcre2_general_context *general;
    pcre2_match_context *match;
    uint32_t pattern_count;
    pcre2_code *patterns[PATTERN_MAX];
    pcre2_match_data *found[PATTERN_MAX];
    bool is_compiled;
};

/* The patterns as each model's tokenizer.json gives them; Digits(individual_digits) is \p{N}.
 * Characters beyond ASCII are written by number, because some of those in the ranges are canonical
 * doubles of others and no editor may normalise them. */

#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"
/* cl100k's descendants differ in how many digits a piece may have. */
#define CL100K(digits)                                                                             \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits                           \
    "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define DEEPSEEK_LETTERS                                                                           \
    "\\s?[A-Za-z\\x{B5}\\x{C0}-\\x{D6}\\x{D8}-\\x{F6}\\x{F8}-\\x{1BA}\\x{1BC}-\\x{1BF}"            \
    "\\x{1C4}-\\x{293}\\x{295}-\\x{2AF}\\x{370}-\\x{373}\\x{376}\\x{377}\\x{37B}-\\x{37D}"         \
    "\\x{37F}\\x{386}\\x{388}-\\x{38A}\\x{38C}\\x{38E}-\\x{3A1}\\x{3A3}-\\x{3F5}"                  \
    "\\x{3F7}-\\x{481}\\x{48A}-\\x{52F}\\x{531}-\\x{556}\\x{10A0}-\\x{10C5}"                       \
    "\\x{13A0}-\\x{13F5}\\x{13F8}-\\x{13FD}\\x{1C90}-\\x{1CBA}\\x{1CBD}-\\x{1CBF}"                 \
    "\\x{1D00}-\\x{1D2B}\\x{1D6B}-\\x{1D77}\\x{1D79}-\\x{1D9A}\\x{1E00}-\\x{1F15}"                 \
    "\\x{1F18}-\\x{1F1D}\\x{1F20}-\\x{1F45}\\x{1F48}-\\x{1F4D}\\x{1F50}-\\x{1F57}\\x{1F59}"        \
    "\\x{1F5B}\\x{1F5D}\\x{1F5F}-\\x{1F7D}\\x{1F80}-\\x{1FB4}\\x{1FB6}-\\x{1FBC}\\x{1FBE}"         \
    "\\x{1FC2}-\\x{1FC4}\\x{1FC6}-\\x{1FCC}\\x{1FD0}-\\x{1FD3}\\x{1FD6}-\\x{1FDB}"                 \
    "\\x{1FE0}-\\x{1FEC}\\x{1FF2}-\\x{1FF4}\\x{1FF6}-\\x{1FFC}\\x{2102}\\x{2107}"                  \
    "\\x{210A}-\\x{2113}\\x{2115}\\x{2119}-\\x{211D}\\x{2124}\\x{2126}\\x{2128}"                   \
    "\\x{212A}-\\x{212D}\\x{212F}-\\x{2134}\\x{2139}\\x{213C}-\\x{213F}\\x{2145}-\\x{2149}"        \
    "\\x{214E}\\x{2183}\\x{2184}\\x{2C00}-\\x{2C7B}\\x{2C7E}-\\x{2CE4}\\x{2CEB}-\\x{2CEE}"         \
    "\\x{2CF2}\\x{2CF3}\\x{A640}-\\x{A66D}\\x{A680}-\\x{A69B}\\x{A722}-\\x{A76F}"                  \
    "\\x{A771}-\\x{A787}\\x{A78B}-\\x{A78E}\\x{AB70}-\\x{ABBF}\\x{FB00}-\\x{FB06}"                 \
    "\\x{FB13}-\\x{FB17}\\x{FF21}-\\x{FF3A}\\x{FF41}-\\x{FF5A}\\x{10400}-\\x{1044F}"               \
    "\\x{104B0}-\\x{104D3}\\x{104D8}-\\x{104FB}\\x{10C80}-\\x{10CB2}\\x{10CC0}-\\x{10CF2}"         \
    "\\x{118A0}-\\x{118DF}\\x{1E900}-\\x{1E943}]+"
#define DEEPSEEK_CJK "[\\x{4E00}-\\x{9FA5}\\x{800}-\\x{4E00}\\x{AC00}-\\x{D7FF}]+"

/* One way to split, and the values of tokenizer.ggml.pre that mean it. */
struct rule {
    const char *names[4];
    const char *patterns[PATTERN_MAX];
    bool wants_nfc;
    bool whole_first;
};

static const struct rule rules[] = {
    {.names = {"gpt-2", "phi-2"}, .patterns = {GPT2}},
    /* GPT-NeoX's vocabulary. */
    {.names = {"olmo"}, .patterns = {GPT2}, .wants_nfc = true},
    {.names = {"smollm", "starcoder"}, .patterns = {"\\p{N}", GPT2}},
    {.names = {"qwen2", "deepseek-r1-qwen"}, .patterns = {CL100K("\\p{N}")}, .wants_nfc = true},
    {.names = {"llama-bpe", "llama3", "llama-v3"},
     .patterns = {CL100K("\\p{N}{1,3}")},
     .whole_first = true},
    {.names = {"dbrx", "smaug-bpe"}, .patterns = {CL100K("\\p{N}{1,3}")}},
    /* Published as \s+$. The lookbehind finds the same and keeps PCRE2's interpreter from walking a
     * long run of spaces again from each of its characters. */
    {.names = {"deepseek-llm"},
     .patterns =
         {"[\\r\\n]", DEEPSEEK_LETTERS,
          "\\s?[!-/"
          ":-~\\x{FF01}-\\x{FF0F}\\x{FF1A}-\\x{FF5E}\\x{2018}-\\x{201F}\\x{3000}-\\x{3002}]+",
          "(?<!\\s)\\s+$", DEEPSEEK_CJK, "\\p{N}"}},
    {.names = {"deepseek-coder"},
     .patterns = {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", DEEPSEEK_CJK, "\\p{N}"}},
    {.names = {"deepseek-v3"},
     .patterns = {"\\p{N}{1,3}", "[\\x{4E00}-\\x{9FA5}\\x{3040}-\\x{309F}\\x{30A0}-\\x{30FF}]+",
                  "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|"
                  "[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|"
                  "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}},
    /* What llama.cpp does with a file that names no pre-tokenizer. */
    {.names = {"default"},
     .patterns = {"[\\p{P}\\$\\+<=>\\^~\\|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]"}},
};

static const struct rule *find_rule(struct weir_bytes name, char *known, size_t capacity)
{
    size_t used = 0;
    for (size_t row = 0; row < WEIR_COUNT(rules); row++) {
        for (size_t index = 0; index < WEIR_COUNT(rules[row].names); index++) {
            const char *candidate = rules[row].names[index];
            if (candidate == NULL)
                break;
            if (strlen(candidate) == name.length && memcmp(candidate, name.start, name.length) == 0)
                return &rules[row];
            const int wrote =
                snprintf(known + used, capacity - used, "%s%s", used ? ", " : "", candidate);
            used = weir_min(used + (size_t)wrote, capacity - 1);
        }
    }
    return NULL;
}

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

/* The pattern with \s and \S written out as Unicode's White_Space property, which is what the
 * publishers' regular expression engine means by them. PCRE2's own \s has U+180E besides. */
static char *spell_out_spaces(const char *pattern)
{
    static const char spaces[] = "\\x09-\\x0d\\x85\\p{Z}";
    const size_t capacity = strlen(pattern) * sizeof(spaces) + 1;
    char *spelled = weir_heap_alloc(capacity);
    if (spelled == NULL)
        return NULL;
    char *out = spelled;
    bool in_class = false;
    for (const char *at = pattern; *at != 0; at++) {
        if (*at == '\\' && (at[1] == 's' || (at[1] == 'S' && !in_class))) {
            const char *open = in_class ? "" : at[1] == 's' ? "[" : "[^";
            out += snprintf(out, capacity - (size_t)(out - spelled), "%s%s%s", open, spaces,
                            in_class ? "" : "]");
            at++;
            continue;
        }
        if (*at == '[' || *at == ']')
            in_class = *at == '[';
        *out++ = *at;
        if (*at == '\\')
            *out++ = *++at;
    }
    return spelled;
}

static enum weir_status compile_pattern(weir_text_splitter *splitter, const char *pattern,
                                        pcre2_compile_context *compile, struct weir_err *err)
{
    const uint32_t index = splitter->pattern_count++;
    char *spelled = spell_out_spaces(pattern);
    if (spelled == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "pre-tokenizer: no room for a pattern");
    int code = 0;
    PCRE2_SIZE offset = 0;
    splitter->patterns[index] =
        pcre2_compile((PCRE2_SPTR)spelled, PCRE2_ZERO_TERMINATED,
                      PCRE2_UTF | PCRE2_UCP | PCRE2_NO_AUTO_CAPTURE, &code, &offset, compile);
    weir_heap_free(spelled);
    if (splitter->patterns[index] == NULL)
        /* The table's patterns compile (a test compiles each), so only memory can be short. */
        return WEIR_FAIL(err, WEIR_ERR_NOMEM,
                         "pre-tokenizer \"%s\": pattern %u does not compile (PCRE2 error %d at "
                         "offset %zu)",
                         splitter->rule->names[0], index, code, (size_t)offset);
    if (pcre2_jit_compile(splitter->patterns[index], PCRE2_JIT_COMPLETE | PCRE2_JIT_PARTIAL_HARD) !=
        0)
        splitter->is_compiled = false;
    splitter->found[index] = pcre2_match_data_create(1, splitter->general);
    if (splitter->found[index] == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "pre-tokenizer: no room for match data");
    return WEIR_OK;
}

enum weir_status weir_text_splitter_create(weir_text_splitter **out, struct weir_bytes name,
                                           struct weir_err *err)
{
    char known[224];
    if (name.length == 0)
        name = (struct weir_bytes){"default", 7};
    const struct rule *rule = find_rule(name, known, sizeof(known));
    if (rule == NULL)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "pre-tokenizer \"%.*s\" is not built in; known are %s",
                         (int)weir_min(name.length, 40), name.start, known);

    enum weir_status status = WEIR_OK;
    pcre2_compile_context *compile = NULL;
    weir_text_splitter *splitter = weir_heap_alloc(sizeof(*splitter));
    if (splitter == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "pre-tokenizer: no room");
    splitter->rule = rule;
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
    /* A long text is not an attack: the patterns are ours and none of them backtracks deeply. */
    pcre2_set_match_limit(splitter->match, UINT32_MAX);
    pcre2_set_depth_limit(splitter->match, UINT32_MAX);
    pcre2_set_heap_limit(splitter->match, UINT32_MAX);
    for (size_t index = 0; index < PATTERN_MAX && rule->patterns[index] != NULL; index++)
        WEIR_TRY_GOTO(compile_pattern(splitter, rule->patterns[index], compile, err));
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
        return WEIR_FAIL(err, WEIR_ERR_NOMEM,
                         "pre-tokenizer \"%s\": pattern %u ended with PCRE2 error %d",
                         splitter->rule->names[0], pattern, code);
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
    const char *text = splitter->rule->patterns[pattern];
    return text[strlen(text) - 1] == '$';
}

uint32_t weir_text_splitter_pattern_count(const weir_text_splitter *splitter)
{
    return splitter->pattern_count;
}

bool weir_text_splitter_is_compiled(const weir_text_splitter *splitter)
{
    return splitter->is_compiled;
}

bool weir_text_splitter_wants_nfc(const weir_text_splitter *splitter)
{
    return splitter->rule->wants_nfc;
}

bool weir_text_splitter_whole_first(const weir_text_splitter *splitter)
{
    return splitter->rule->whole_first;
}
