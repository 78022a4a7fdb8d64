/* tokenizer_rules.c - how tokenizer.json brings texts into form and cuts them. */
#include <string.h>

#include "base/utf8.h"
#include "formats/tokenizer_parts.h"

/* A part by its type: what it may hold, and what it comes to. */
typedef enum weir_status part_fn(weir_tokenizer_json *tokenizer, struct weir_json part,
                                 struct weir_err *err);
struct part {
    const char *type, *keys;
    part_fn *add; /* NULL: nothing follows from it */
};

static int shown_length(struct weir_json value)
{
    return value.start == NULL ? 0 : (int)weir_min(80, (uint64_t)(value.end - value.start));
}

static enum weir_status add_part(weir_tokenizer_json *tokenizer, struct weir_json value,
                                 const char *name, const struct part *parts, size_t count,
                                 struct weir_err *err)
{
    const enum weir_json_kind kind = weir_json_kind(value);
    if (kind == WEIR_JSON_NULL || kind == WEIR_JSON_NONE)
        return WEIR_OK;
    const struct weir_json type = weir_json_member(value, "type");
    for (size_t row = 0; row < count; row++) {
        if (!weir_json_is(type, parts[row].type))
            continue;
        WEIR_TRY(
            weir_tokenizer_check_keys(tokenizer, value, parts[row].type, parts[row].keys, err));
        return parts[row].add == NULL ? WEIR_OK : parts[row].add(tokenizer, value, err);
    }
    return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED, "%s: %s: type %.*s is not built in",
                     tokenizer->what, name, shown_length(type),
                     type.start == NULL ? "" : type.start);
}

static enum weir_status refuse(const weir_tokenizer_json *tokenizer, const char *part,
                               struct weir_json value, struct weir_err *err)
{
    return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED, "%s: %s %.*s is not built in", tokenizer->what,
                     part, shown_length(value), value.start == NULL ? "" : value.start);
}

/* ---- normalizers --------------------------------------------------------------------------- */

static enum weir_status add_step(weir_tokenizer_json *tokenizer, enum weir_normal_kind kind,
                                 struct weir_bytes from, struct weir_bytes to, struct weir_err *err)
{
    struct weir_text_rules *rules = &tokenizer->rules;
    if (rules->normal_count == WEIR_NORMAL_MAX)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED, "%s: wanted at most %d normalizers, found more",
                         tokenizer->what, WEIR_NORMAL_MAX);
    rules->normal[rules->normal_count++] = (struct weir_normal_step){kind, from, to};
    return WEIR_OK;
}

/* Normalizers that are one step. */
static const struct {
    const char *type;
    enum weir_normal_kind kind;
} simple_steps[] = {
    {"NFC", WEIR_NORMAL_NFC},
    {"NFD", WEIR_NORMAL_NFD},
    {"NFKC", WEIR_NORMAL_NFKC},
    {"NFKD", WEIR_NORMAL_NFKD},
    {"Lowercase", WEIR_NORMAL_LOWERCASE},
    {"StripAccents", WEIR_NORMAL_NO_MARKS},
};

static enum weir_status add_simple(weir_tokenizer_json *tokenizer, struct weir_json part,
                                   struct weir_err *err)
{
    size_t row = 0;
    while (!weir_json_is(weir_json_member(part, "type"), simple_steps[row].type))
        row++;
    return add_step(tokenizer, simple_steps[row].kind, (struct weir_bytes){0},
                    (struct weir_bytes){0}, err);
}

static enum weir_status add_strip(weir_tokenizer_json *tokenizer, struct weir_json part,
                                  struct weir_err *err)
{
    bool left = true, right = true;
    WEIR_TRY(weir_tokenizer_flag(tokenizer, part, "strip_left", &left, err));
    WEIR_TRY(weir_tokenizer_flag(tokenizer, part, "strip_right", &right, err));
    const struct weir_bytes none = {0};
    if (left)
        WEIR_TRY(add_step(tokenizer, WEIR_NORMAL_STRIP_LEFT, none, none, err));
    return right ? add_step(tokenizer, WEIR_NORMAL_STRIP_RIGHT, none, none, err) : WEIR_OK;
}

static enum weir_status add_prepend(weir_tokenizer_json *tokenizer, struct weir_json part,
                                    struct weir_err *err)
{
    tokenizer->adds_space = true;
    return add_step(tokenizer, WEIR_NORMAL_PREPEND, (struct weir_bytes){0},
                    weir_tokenizer_keep(tokenizer, "", weir_json_member(part, "prepend")), err);
}

static enum weir_status add_replace(weir_tokenizer_json *tokenizer, struct weir_json part,
                                    struct weir_err *err)
{
    const struct weir_json pattern = weir_json_member(part, "pattern");
    const struct weir_json text = weir_json_member(pattern, "String");
    if (weir_json_text(text, NULL, 0) == 0)
        return refuse(tokenizer, "Replace of", pattern, err);
    return add_step(tokenizer, WEIR_NORMAL_REPLACE, weir_tokenizer_keep(tokenizer, "", text),
                    weir_tokenizer_keep(tokenizer, "", weir_json_member(part, "content")), err);
}

static enum weir_status add_bert(weir_tokenizer_json *tokenizer, struct weir_json part,
                                 struct weir_err *err)
{
    bool clean = true, chinese = true, lowercase = true;
    WEIR_TRY(weir_tokenizer_flag(tokenizer, part, "clean_text", &clean, err));
    WEIR_TRY(weir_tokenizer_flag(tokenizer, part, "handle_chinese_chars", &chinese, err));
    WEIR_TRY(weir_tokenizer_flag(tokenizer, part, "lowercase", &lowercase, err));
    bool strip = lowercase; /* what null means */
    WEIR_TRY(weir_tokenizer_flag(tokenizer, part, "strip_accents", &strip, err));
    const struct {
        bool is_on;
        enum weir_normal_kind kind;
    } steps[] = {
        {clean, WEIR_NORMAL_NO_CONTROLS},   {chinese, WEIR_NORMAL_CHINESE_APART},
        {strip, WEIR_NORMAL_NFD},           {strip, WEIR_NORMAL_NO_ACCENTS},
        {lowercase, WEIR_NORMAL_LOWERCASE},
    };
    const struct weir_bytes none = {0};
    for (size_t row = 0; row < WEIR_COUNT(steps); row++)
        if (steps[row].is_on)
            WEIR_TRY(add_step(tokenizer, steps[row].kind, none, none, err));
    return WEIR_OK;
}

static int read_digit(char character)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = character == 0 ? NULL : strchr(digits, character);
    return found == NULL ? -1 : (int)(found - digits);
}

/* Base64 in place; false when it is none. */
static bool decode_base64(char *bytes, size_t length, size_t *decoded)
{
    uint32_t held = 0;
    unsigned bits = 0;
    *decoded = 0;
    while (length > 0 && bytes[length - 1] == '=')
        length--;
    for (size_t at = 0; at < length; at++) {
        const int digit = read_digit(bytes[at]);
        if (digit < 0)
            return false;
        held = held << 6 | (uint32_t)digit;
        bits += 6;
        if (bits < 8)
            continue;
        bits -= 8;
        bytes[(*decoded)++] = (char)(held >> bits);
    }
    return true;
}

static enum weir_status add_charsmap(weir_tokenizer_json *tokenizer, struct weir_json part,
                                     struct weir_err *err)
{
    const struct weir_json text = weir_json_member(part, "precompiled_charsmap");
    if (weir_json_text(text, NULL, 0) == 0)
        return WEIR_OK;
    char *bytes = tokenizer->texts + tokenizer->text_count;
    struct weir_bytes map = weir_tokenizer_keep(tokenizer, "", text);
    if (!decode_base64(bytes, map.length, &map.length))
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "%s: precompiled_charsmap: wanted base64, found else", tokenizer->what);
    return add_step(tokenizer, WEIR_NORMAL_CHARSMAP, map, (struct weir_bytes){0}, err);
}

static part_fn add_normalizers;

static const struct part normalizers[] = {
    {"Sequence", "type normalizers", add_normalizers},
    {"NFC", "type", add_simple},
    {"NFD", "type", add_simple},
    {"NFKC", "type", add_simple},
    {"NFKD", "type", add_simple},
    {"Lowercase", "type", add_simple},
    {"StripAccents", "type", add_simple},
    {"Strip", "type strip_left strip_right", add_strip},
    {"Prepend", "type prepend", add_prepend},
    {"Replace", "type pattern content", add_replace},
    {"BertNormalizer", "type clean_text handle_chinese_chars strip_accents lowercase", add_bert},
    {"Precompiled", "type precompiled_charsmap", add_charsmap},
};

static enum weir_status add_normalizers(weir_tokenizer_json *tokenizer, struct weir_json part,
                                        struct weir_err *err)
{
    const struct weir_json list = weir_json_member(part, "normalizers");
    for (struct weir_json_walk walk = weir_json_walk(list); weir_json_next(&walk);)
        WEIR_TRY(add_part(tokenizer, walk.value, "normalizer", normalizers, WEIR_COUNT(normalizers),
                          err));
    return WEIR_OK;
}

/* ---- pre-tokenizers ------------------------------------------------------------------------ */

static const char gpt2_pattern[] = WEIR_TEXT_GPT2_PATTERN;

static enum weir_status add_split(weir_tokenizer_json *tokenizer, struct weir_split_step split,
                                  struct weir_err *err)
{
    struct weir_text_rules *rules = &tokenizer->rules;
    if (tokenizer->is_byte_level && split.pattern != gpt2_pattern)
        return WEIR_FAIL(
            err, WEIR_ERR_UNSUPPORTED,
            "%s: pre_tokenizer: one that cuts behind ByteLevel, in its alphabet, is not "
            "built in",
            tokenizer->what);
    if (rules->split_count == WEIR_SPLIT_MAX)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "%s: pre_tokenizer: wanted at most %d parts that cut, found more",
                         tokenizer->what, WEIR_SPLIT_MAX);
    if (strlen(split.pattern) == 0)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s: pre_tokenizer: wanted a pattern, found none",
                         tokenizer->what);
    rules->splits[rules->split_count++] = split;
    return WEIR_OK;
}

/* A pattern into the tokenizer's own texts: before, the text or its characters escaped, behind. */
static const char *make_pattern(weir_tokenizer_json *tokenizer, const char *before,
                                struct weir_bytes text, bool escape, const char *behind)
{
    char *start = tokenizer->texts + tokenizer->text_count, *at = start;
    WEIR_ASSERT(tokenizer->text_count + strlen(before) + 2 * text.length + strlen(behind) <
                tokenizer->text_capacity);
    at = stpcpy(at, before);
    for (size_t index = 0; index < text.length; index++) {
        const char byte = text.start[index];
        if (escape && strchr("\\^$.|?*+()[]{}-#&~ ", byte) != NULL)
            *at++ = '\\';
        *at++ = byte;
    }
    at = stpcpy(at, behind);
    tokenizer->text_count += (size_t)(at - start) + 1;
    return start;
}

/* Whether the steps before leave no such text in what is cut. */
static bool is_replaced(const weir_tokenizer_json *tokenizer, struct weir_bytes text)
{
    for (uint32_t index = 0; index < tokenizer->rules.normal_count; index++) {
        const struct weir_normal_step *step = &tokenizer->rules.normal[index];
        if (step->kind == WEIR_NORMAL_REPLACE && step->from.length == text.length &&
            memcmp(step->from.start, text.start, text.length) == 0)
            return true;
    }
    return false;
}

/* What behavior makes of matches of a pattern; text: it is a plain one. */
static enum weir_status add_behavior(weir_tokenizer_json *tokenizer, struct weir_json part,
                                     struct weir_bytes text, bool is_plain, struct weir_err *err)
{
    enum { LONGEST = 512 }; /* of a text that is escaped, so that all parts have room */
    const struct weir_json behavior = weir_json_member(part, "behavior");
    bool invert = false;
    WEIR_TRY(weir_tokenizer_flag(tokenizer, part, "invert", &invert, err));
    if (memchr(text.start, 0, text.length) != NULL || (is_plain && text.length > LONGEST / 4))
        return refuse(tokenizer, "pre_tokenizer: the pattern of", part, err);
    const bool is_merged =
        weir_json_is(behavior, "MergedWithPrevious") || weir_json_is(behavior, "MergedWithNext");
    if (is_merged && is_plain && is_replaced(tokenizer, text))
        return WEIR_OK;
    struct weir_split_step split = {
        .pattern = is_plain ? make_pattern(tokenizer, "", text, true, "") : text.start};
    split.match = weir_text_known_match(split.pattern);
    const bool is_character = is_plain && text.length == weir_utf8_char(text.start, text.length);
    if (weir_json_is(behavior, "Removed")) {
        split.keep = invert ? WEIR_KEEP_MATCHES : WEIR_KEEP_GAPS;
    } else if (weir_json_is(behavior, "Contiguous") && !invert && text.length < LONGEST) {
        split.pattern = make_pattern(tokenizer, "(?:", text, is_plain, ")+");
    } else if (weir_json_is(behavior, "MergedWithPrevious") && !invert && is_character) {
        split.pattern = make_pattern(tokenizer, "[^", text, true, "]*");
        split.pattern = make_pattern(tokenizer, split.pattern, text, true, "");
    } else if (!weir_json_is(behavior, "Isolated")) {
        return refuse(tokenizer, "pre_tokenizer: behavior", behavior, err);
    }
    return add_split(tokenizer, split, err);
}

static enum weir_status add_pattern(weir_tokenizer_json *tokenizer, struct weir_json part,
                                    struct weir_err *err)
{
    const struct weir_json pattern = weir_json_member(part, "pattern");
    const struct weir_json regex = weir_json_member(pattern, "Regex");
    const bool is_plain = weir_json_kind(regex) == WEIR_JSON_NONE;
    const struct weir_json text = is_plain ? weir_json_member(pattern, "String") : regex;
    if (weir_json_text(text, NULL, 0) == 0)
        return refuse(tokenizer, "pre_tokenizer: Split by", pattern, err);
    return add_behavior(tokenizer, part, weir_tokenizer_keep(tokenizer, "", text), is_plain, err);
}

static enum weir_status add_byte_level(weir_tokenizer_json *tokenizer, struct weir_json part,
                                       struct weir_err *err)
{
    bool adds_space = true, has_pattern = true;
    WEIR_TRY(weir_tokenizer_flag(tokenizer, part, "add_prefix_space", &adds_space, err));
    WEIR_TRY(weir_tokenizer_flag(tokenizer, part, "use_regex", &has_pattern, err));
    tokenizer->is_byte_level = true;
    if (adds_space && tokenizer->rules.split_count > 0)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "%s: pre_tokenizer: ByteLevel with add_prefix_space behind one that cuts "
                         "is not built in",
                         tokenizer->what);
    if (adds_space)
        WEIR_TRY(add_step(tokenizer, WEIR_NORMAL_PREPEND_NEW, (struct weir_bytes){0},
                          (struct weir_bytes){" ", 1}, err));
    if (!has_pattern)
        return WEIR_OK;
    return add_split(tokenizer,
                     (struct weir_split_step){.pattern = gpt2_pattern, .match = WEIR_MATCH_LOOP},
                     err);
}

static enum weir_status add_digits(weir_tokenizer_json *tokenizer, struct weir_json part,
                                   struct weir_err *err)
{
    bool each = false;
    WEIR_TRY(weir_tokenizer_flag(tokenizer, part, "individual_digits", &each, err));
    return add_split(
        tokenizer,
        (struct weir_split_step){.pattern = each ? "\\p{N}" : "\\p{N}+", .match = WEIR_MATCH_LOOP},
        err);
}

/* Spaces become marks, one is put before the text, and words begin with one. */
static enum weir_status add_metaspace(weir_tokenizer_json *tokenizer, struct weir_json part,
                                      struct weir_err *err)
{
    const struct weir_json scheme = weir_json_member(part, "prepend_scheme");
    bool adds_space = true, splits = true;
    WEIR_TRY(weir_tokenizer_flag(tokenizer, part, "add_prefix_space", &adds_space, err));
    WEIR_TRY(weir_tokenizer_flag(tokenizer, part, "split", &splits, err));
    const bool is_first = weir_json_is(scheme, "first");
    if (weir_json_kind(scheme) == WEIR_JSON_TEXT) {
        adds_space = !weir_json_is(scheme, "never");
        if (adds_space && !is_first && !weir_json_is(scheme, "always"))
            return refuse(tokenizer, "pre_tokenizer: prepend_scheme", scheme, err);
    }
    if (!weir_json_is(weir_json_member(part, "replacement"), "\xe2\x96\x81"))
        return refuse(tokenizer, "pre_tokenizer: Metaspace with replacement",
                      weir_json_member(part, "replacement"), err);
    const struct weir_bytes space = {" ", 1}, mark = {"\xe2\x96\x81", 3}, none = {0};
    const struct weir_bytes space_and_mark = {" \xe2\x96\x81", 4};
    struct weir_text_rules *rules = &tokenizer->rules;
    if (rules->split_count > 0) {
        /* Words with any white space between are words with marks before them. */
        if (rules->split_count > 1 || rules->splits[0].keep != WEIR_KEEP_GAPS || !adds_space ||
            is_first)
            return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                             "%s: pre_tokenizer: Metaspace behind one that cuts is not built in",
                             tokenizer->what);
        rules->split_count = 0;
        splits = true;
        WEIR_TRY(add_step(tokenizer, WEIR_NORMAL_PLAIN_SPACES, none, none, err));
        WEIR_TRY(add_step(tokenizer, WEIR_NORMAL_SQUEEZE, none, none, err));
        /* A word that begins with a mark gets no other. */
        WEIR_TRY(add_step(tokenizer, WEIR_NORMAL_REPLACE, space_and_mark, mark, err));
    }
    tokenizer->adds_space = adds_space;
    WEIR_TRY(add_step(tokenizer, WEIR_NORMAL_REPLACE, space, mark, err));
    if (adds_space)
        WEIR_TRY(add_step(tokenizer, is_first ? WEIR_NORMAL_PREPEND_FIRST : WEIR_NORMAL_PREPEND_NEW,
                          none, mark, err));
    if (!splits)
        return WEIR_OK;
    return add_split(
        tokenizer,
        (struct weir_split_step){.pattern = "\xe2\x96\x81?[^\xe2\x96\x81]+|\xe2\x96\x81",
                                 .match = WEIR_MATCH_LOOP},
        err);
}

static enum weir_status add_punctuation(weir_tokenizer_json *tokenizer, struct weir_json part,
                                        struct weir_err *err)
{
    static const char pattern[] = "[\\p{P}$+<=>^`|~]";
    if (weir_json_kind(weir_json_member(part, "behavior")) == WEIR_JSON_NONE)
        return add_split(tokenizer, (struct weir_split_step){.pattern = pattern}, err);
    return add_behavior(tokenizer, part, (struct weir_bytes){pattern, strlen(pattern)}, false, err);
}

static const struct weir_split_step drop_spaces = {
    .pattern = "\\s+", .match = WEIR_MATCH_LOOP, .keep = WEIR_KEEP_GAPS};

static enum weir_status add_spaces(weir_tokenizer_json *tokenizer, struct weir_json part,
                                   struct weir_err *err)
{
    (void)part;
    return add_split(tokenizer, drop_spaces, err);
}

/* What Rust's regular expressions call a letter of a word. */
#define RUST_WORD "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\x{200C}\\x{200D}"

static enum weir_status add_words(weir_tokenizer_json *tokenizer, struct weir_json part,
                                  struct weir_err *err)
{
    (void)part;
    return add_split(tokenizer,
                     (struct weir_split_step){.pattern = "[" RUST_WORD "]+|[^" RUST_WORD "\\s]+",
                                              .match = WEIR_MATCH_LOOP,
                                              .keep = WEIR_KEEP_MATCHES},
                     err);
}

static enum weir_status add_bert_words(weir_tokenizer_json *tokenizer, struct weir_json part,
                                       struct weir_err *err)
{
    WEIR_TRY(add_spaces(tokenizer, part, err));
    return add_punctuation(tokenizer, part, err);
}

static part_fn add_pretokenizers;

static const struct part pretokenizers[] = {
    {"Sequence", "type pretokenizers", add_pretokenizers},
    {"Split", "type pattern behavior invert", add_pattern},
    {"ByteLevel", "type add_prefix_space trim_offsets use_regex", add_byte_level},
    {"Digits", "type individual_digits", add_digits},
    {"Metaspace", "type replacement add_prefix_space prepend_scheme split str_rep", add_metaspace},
    {"Punctuation", "type behavior", add_punctuation},
    {"WhitespaceSplit", "type", add_spaces},
    {"Whitespace", "type", add_words},
    {"BertPreTokenizer", "type", add_bert_words},
};

static enum weir_status add_pretokenizers(weir_tokenizer_json *tokenizer, struct weir_json part,
                                          struct weir_err *err)
{
    const struct weir_json list = weir_json_member(part, "pretokenizers");
    for (struct weir_json_walk walk = weir_json_walk(list); weir_json_next(&walk);)
        WEIR_TRY(add_part(tokenizer, walk.value, "pre_tokenizer", pretokenizers,
                          WEIR_COUNT(pretokenizers), err));
    return WEIR_OK;
}

/* ---- decoders: a token is its bytes, and a mark a space, whatever they say ----------------- */

static part_fn check_decoders;

static const struct part decoders[] = {
    {"Sequence", "type decoders", check_decoders},
    {"ByteLevel", "type add_prefix_space trim_offsets use_regex", NULL},
    {"ByteFallback", "type", NULL},
    {"Fuse", "type", NULL},
    {"Strip", "type content start stop", NULL},
    {"Replace", "type pattern content", NULL},
    {"Metaspace", "type replacement add_prefix_space prepend_scheme split str_rep", NULL},
    {"WordPiece", "type prefix cleanup", NULL},
};

static enum weir_status check_decoders(weir_tokenizer_json *tokenizer, struct weir_json part,
                                       struct weir_err *err)
{
    const struct weir_json list = weir_json_member(part, "decoders");
    for (struct weir_json_walk walk = weir_json_walk(list); weir_json_next(&walk);)
        WEIR_TRY(add_part(tokenizer, walk.value, "decoder", decoders, WEIR_COUNT(decoders), err));
    return WEIR_OK;
}

enum weir_status weir_tokenizer_read_rules(weir_tokenizer_json *tokenizer, struct weir_json root,
                                           struct weir_err *err)
{
    WEIR_TRY(add_part(tokenizer, weir_json_member(root, "normalizer"), "normalizer", normalizers,
                      WEIR_COUNT(normalizers), err));
    WEIR_TRY(add_part(tokenizer, weir_json_member(root, "pre_tokenizer"), "pre_tokenizer",
                      pretokenizers, WEIR_COUNT(pretokenizers), err));
    return add_part(tokenizer, weir_json_member(root, "decoder"), "decoder", decoders,
                    WEIR_COUNT(decoders), err);
}

/* ---- what is put around a text ------------------------------------------------------------- */

/* A special token before the text, or behind it. */
static enum weir_status put_around(weir_tokenizer_json *tokenizer, uint64_t id, bool is_behind,
                                   struct weir_err *err)
{
    struct weir_vocab *vocab = &tokenizer->vocab;
    uint32_t *place = is_behind ? &vocab->eos_id : &vocab->bos_id;
    bool *is_put = is_behind ? &vocab->add_eos : &vocab->add_bos;
    if (*is_put)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "%s: post_processor: two tokens %s a text are not built in",
                         tokenizer->what, is_behind ? "behind" : "before");
    if (id >= vocab->n_vocab)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "%s: post_processor: wanted one of %u tokens, found token %llu",
                         tokenizer->what, vocab->n_vocab, (unsigned long long)id);
    *place = (uint32_t)id;
    *is_put = true;
    return WEIR_OK;
}

/* The one id of a special token of a template. */
static enum weir_status find_special(const weir_tokenizer_json *tokenizer, struct weir_json part,
                                     struct weir_json name, uint64_t *id, struct weir_err *err)
{
    struct weir_json ids = {0};
    const struct weir_json specials = weir_json_member(part, "special_tokens");
    for (struct weir_json_walk walk = weir_json_walk(specials); weir_json_next(&walk);)
        if (name.start != NULL && walk.key.end - walk.key.start == name.end - name.start &&
            memcmp(walk.key.start, name.start, (size_t)(name.end - name.start)) == 0)
            ids = weir_json_member(walk.value, "ids");
    struct weir_json_walk one = weir_json_walk(ids);
    if (weir_json_count(ids) == 1 && weir_json_next(&one) && weir_json_u64(one.value, id))
        return WEIR_OK;
    return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                     "%s: post_processor: %.*s: wanted one token, found none or several",
                     tokenizer->what, shown_length(name), name.start == NULL ? "" : name.start);
}

static enum weir_status read_template(weir_tokenizer_json *tokenizer, struct weir_json part,
                                      struct weir_err *err)
{
    bool is_behind = false;
    const struct weir_json single = weir_json_member(part, "single");
    for (struct weir_json_walk walk = weir_json_walk(single); weir_json_next(&walk);) {
        const struct weir_json special = weir_json_member(walk.value, "SpecialToken");
        uint64_t id = 0;
        if (weir_json_kind(special) == WEIR_JSON_NONE) {
            is_behind = true;
            continue;
        }
        WEIR_TRY(find_special(tokenizer, part, weir_json_member(special, "id"), &id, err));
        WEIR_TRY(put_around(tokenizer, id, is_behind, err));
    }
    return WEIR_OK;
}

static enum weir_status read_cls_and_sep(weir_tokenizer_json *tokenizer, struct weir_json part,
                                         struct weir_err *err)
{
    static const char *const names[] = {"cls", "sep"};
    for (size_t index = 0; index < WEIR_COUNT(names); index++) {
        struct weir_json_walk pair = weir_json_walk(weir_json_member(part, names[index]));
        uint64_t id = UINT64_MAX;
        weir_json_next(&pair); /* its text */
        weir_json_next(&pair);
        weir_json_u64(pair.value, &id);
        WEIR_TRY(put_around(tokenizer, id, index == 1, err));
    }
    return WEIR_OK;
}

static part_fn read_processors;

static const struct part processors[] = {
    {"Sequence", "type processors", read_processors},
    {"ByteLevel", "type add_prefix_space trim_offsets use_regex", NULL},
    {"TemplateProcessing", "type single pair special_tokens", read_template},
    {"BertProcessing", "type sep cls", read_cls_and_sep},
    {"RobertaProcessing", "type sep cls trim_offsets add_prefix_space", read_cls_and_sep},
};

static enum weir_status read_processors(weir_tokenizer_json *tokenizer, struct weir_json part,
                                        struct weir_err *err)
{
    const struct weir_json list = weir_json_member(part, "processors");
    for (struct weir_json_walk walk = weir_json_walk(list); weir_json_next(&walk);)
        WEIR_TRY(add_part(tokenizer, walk.value, "post_processor", processors,
                          WEIR_COUNT(processors), err));
    return WEIR_OK;
}

enum weir_status weir_tokenizer_read_processor(weir_tokenizer_json *tokenizer,
                                               struct weir_json root, struct weir_err *err)
{
    return add_part(tokenizer, weir_json_member(root, "post_processor"), "post_processor",
                    processors, WEIR_COUNT(processors), err);
}
