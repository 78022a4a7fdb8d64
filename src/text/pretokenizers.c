/* pretokenizers.c - what each value of tokenizer.ggml.pre means.
 *
 * The patterns are those of each model's tokenizer.json, of which Digits(individual_digits) is
 * \p{N}; where a family publishes none, or another tool, those that llama.cpp runs. Characters
 * beyond ASCII are written by number, because some of those in the ranges are canonical doubles of
 * others and no editor may normalise them.
 */
#include <string.h>

#include "text/text_parts.h"

#define GPT2 WEIR_TEXT_GPT2_PATTERN
#define CONTRACTION "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define SPACES "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
/* cl100k's descendants differ in how many digits a piece may have. */
#define CL100K(digits)                                                                             \
    CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES
/* o200k's cut a word before a capital; upper and lower are classes of its letters. */
#define O200K_OF(upper, lower, contraction)                                                        \
    "[^\\r\\n\\p{L}\\p{N}]?" upper "*" lower "+" contraction "|[^\\r\\n\\p{L}\\p{N}]?" upper       \
    "+" lower "*" contraction
#define O200K(contraction, digits, line_ends)                                                      \
    O200K_OF("[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]", "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]", contraction) \
    "|" digits "| ?[^\\s\\p{L}\\p{N}]+" line_ends "|" SPACES
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
#define HAN_KANA "[\\x{4E00}-\\x{9FA5}\\x{3040}-\\x{309F}\\x{30A0}-\\x{30FF}]+"
/* Runs of letters with their marks and runs of signs, as of DeepSeek V3. */
#define MARKED(signs)                                                                              \
    "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|"                                       \
    "[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+" signs
#define BLOOM " ?[^(\\s|.,!?\\x{2026}\\x{3002}\\x{FF0C}\\x{3001}\\x{964}\\x{6D4}\\x{60C})]+"
/* Published as \d{1,3}(?=(?:\d{3})*\b): the run of digits is found once, and then cut. */
#define WHOLE_NUMBER "(?<!\\p{Nd})\\p{Nd}++(?![\\p{L}\\p{M}\\p{N}\\p{Pc}])"
/* The letters of Kimi's words: no Han. Upstream writes an intersection of classes. */
#define NOT_HAN(letters) "(?:(?!\\p{sc:Han})[" letters "])"
/* Scripts that are written without spaces: Han, Kana, Thai, Lao, Khmer, Myanmar, Hangul. */
#define AFMOE_SCRIPTS                                                                              \
    "[\\x{4E00}-\\x{9FFF}\\x{3400}-\\x{4DBF}\\x{F900}-\\x{FAFF}\\x{3040}-\\x{309F}"                \
    "\\x{30A0}-\\x{30FF}\\x{FF65}-\\x{FF9F}\\x{2F00}-\\x{2FDF}\\x{E40}-\\x{E7F}"                   \
    "\\x{E80}-\\x{EFF}\\x{1780}-\\x{17FF}\\x{1000}-\\x{109F}\\x{AA60}-\\x{AA7F}"                   \
    "\\x{A9E0}-\\x{A9FF}\\x{AC00}-\\x{D7AF}\\x{1100}-\\x{11FF}]+"

#define LOOP(text)                                                                                 \
    {                                                                                              \
        .pattern = (text), .match = WEIR_MATCH_LOOP                                                \
    }
#define WORDS(text)                                                                                \
    {                                                                                              \
        .pattern = (text), .match = WEIR_MATCH_WORDS                                               \
    }
#define THREES(text)                                                                               \
    {                                                                                              \
        .pattern = (text), .in_threes = true                                                       \
    }
#define NFC .normal = {{.kind = WEIR_NORMAL_NFC}}, .normal_count = 1
#define MARK_SPACES                                                                                \
    .normal = {{.kind = WEIR_NORMAL_REPLACE, .from = {" ", 1}, .to = {"\xe2\x96\x81", 3}}},        \
    .normal_count = 1
#define LINES LOOP("[^\\n]+|[\\n]+")
#define DIGIT LOOP("\\p{N}")

static const struct pretokenizer {
    const char *names[16];
    struct weir_text_rules rules; /* the counts are counted when it is asked for */
    bool is_raw;                  /* the tokens are UTF-8, not written in GPT-2's alphabet */
    bool adds_bos, always_adds_bos;
} pretokenizers[] = {
    {.names = {"gpt-2", "phi-2", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de", "gigachat",
               "a.x-4.0", "mellum", "modern-bert", "jina-v1-en", "jina-v2-code", "roberta-bpe",
               "exaone4"},
     .rules = {.splits = {LOOP(GPT2)}}},
    {.names = {"jais", "trillion", "granite-docling"}, .rules = {.splits = {LOOP(GPT2)}}},
    /* GPT-NeoX's vocabulary. */
    {.names = {"olmo", "mpt"}, .rules = {.splits = {LOOP(GPT2)}, NFC}},
    {.names = {"command-r"}, .rules = {.splits = {DIGIT, LOOP(GPT2)}, NFC}},
    {.names = {"smollm", "starcoder", "refact", "codeshell", "exaone", "minerva-7b", "mellum2"},
     .rules = {.splits = {DIGIT, LOOP(GPT2)}}},
    {.names = {"qwen2", "deepseek-r1-qwen", "f2llmv2", "megrez"},
     .rules = {.splits = {LOOP(CL100K("\\p{N}"))}, NFC}},
    {.names = {"kormo", "stablelm2", "hunyuan", "solar-open", "grok-2"},
     .rules = {.splits = {LOOP(CL100K("\\p{N}"))}}},
    {.names = {"qwen35"},
     .rules = {.splits = {LOOP(CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}"
                                           "| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|" SPACES)},
               NFC}},
    {.names = {"llama-bpe", "llama3", "llama-v3", "falcon3", "falcon-h1", "pixtral", "midm-2.0",
               "lfm2", "jina-v5-nano"},
     .rules = {.splits = {LOOP(CL100K("\\p{N}{1,3}"))}, .whole_first = WEIR_WHOLE_ANY},
     .adds_bos = true},
    {.names = {"chatglm-bpe", "glm4", "glm5"},
     .rules = {.splits = {LOOP(CL100K("\\p{N}{1,3}"))}, .whole_first = WEIR_WHOLE_ANY}},
    {.names = {"dbrx", "smaug-bpe"}, .rules = {.splits = {LOOP(CL100K("\\p{N}{1,3}"))}}},
    /* A run of spaces is cut by powers of two. Whether a line break follows is looked for once. */
    {.names = {"jais-2"},
     .rules = {.splits = {LOOP(CONTRACTION
                               "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}"
                               "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
                               "|(?<![\\t\\x{0B}\\x{0C}\\x{85}\\p{Z}])\\s*[\\r\\n]+"
                               "|\\s{512}(?!\\S)|\\s{256}(?!\\S)|\\s{128}(?!\\S)|\\s{64}(?!\\S)"
                               "|\\s{32}(?!\\S)|\\s{16}(?!\\S)|\\s{8}(?!\\S)|\\s{4}(?!\\S)"
                               "|\\s{1,2}(?!\\S)|\\s{1}")}}},
    /* Published as \s+$. The lookbehind finds the same and keeps PCRE2's interpreter from walking a
     * long run of spaces again from each of its characters. */
    {.names = {"deepseek-llm"},
     .rules = {.splits = {LOOP("[\\r\\n]"), LOOP(DEEPSEEK_LETTERS),
                          LOOP("\\s?[!-/:-~\\x{FF01}-\\x{FF0F}\\x{FF1A}-\\x{FF5E}"
                               "\\x{2018}-\\x{201F}\\x{3000}-\\x{3002}]+"),
                          LOOP("(?<!\\s)\\s+$"), LOOP(DEEPSEEK_CJK), DIGIT}}},
    {.names = {"deepseek-coder"},
     .rules = {.splits = {LOOP("[\\r\\n]"), LOOP("\\s?\\p{L}+"), LOOP("\\s?\\p{P}+"),
                          LOOP(DEEPSEEK_CJK), DIGIT}}},
    {.names = {"deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"},
     .rules = {.splits = {LOOP("\\p{N}{1,3}"), LOOP(HAN_KANA), LOOP(MARKED("[\\r\\n]*|" SPACES))}}},
    {.names = {"spark2_5"},
     .rules = {.splits = {LOOP("\\p{N}{1,3}"), LOOP(HAN_KANA),
                          LOOP(MARKED("|[\\r\\n]|\\s+(?!\\S)|\\s+")), DIGIT}}},
    {.names = {"youtu"},
     .rules = {.splits = {LOOP("[\\x{AC00}-\\x{D7A3}\\x{3131}-\\x{318E}]+"
                               "|[\\x{FF01}\\x{2026}\\x{201C}\\x{201D}\\x{2018}\\x{2019}\\x{2014}"
                               "\\x{FF1A}\\x{FF1B}\\x{FF0C}\\x{3001}-\\x{303F}\\x{FE30}-\\x{FE4F}]+"
                               "|[\\x{3105}-\\x{312F}]+|" HAN_KANA),
                          WORDS(O200K(CONTRACTION "?", "\\p{N}", "[\\r\\n/]*"))},
               .whole_first = WEIR_WHOLE_ANY}},
    {.names = {"falcon"},
     .rules = {.splits = {LOOP("[\\p{P}\\$\\+<=>\\^~\\|`]+"), LOOP(GPT2),
                          LOOP("[0-9][0-9][0-9]")}}},
    {.names = {"bloom", "poro-chat", "gpt3-finnish"}, .rules = {.splits = {LOOP(BLOOM)}}},
    {.names = {"viking"}, .rules = {.splits = {LOOP(BLOOM), DIGIT}}},
    {.names = {"tekken"},
     .rules = {.splits = {WORDS(O200K("", "\\p{N}", "[\\r\\n/]*"))}, .whole_first = WEIR_WHOLE_ANY},
     .adds_bos = true},
    {.names = {"gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"},
     .rules = {.splits = {WORDS(O200K(CONTRACTION "?", "\\p{N}{1,3}", "[\\r\\n/]*"))}}},
    {.names = {"granite-embed-multi-97m"},
     .rules = {.splits = {WORDS(O200K(CONTRACTION "?", "\\p{N}{1,3}", "[\\r\\n/]*"))},
               .whole_first = WEIR_WHOLE_ANY}},
    {.names = {"tiny_aya", "cohere2moe"},
     .rules = {.splits = {THREES(WHOLE_NUMBER),
                          WORDS(O200K(CONTRACTION "?", "\\p{N}{1,3}", "[\\r\\n/]*"))}}},
    {.names = {"kimi-k2"},
     .rules = {.splits = {WORDS("[\\p{sc:Han}]+|" O200K_OF(
                   NOT_HAN("\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}"),
                   NOT_HAN("\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}"),
                   CONTRACTION "?") "|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES)}}},
    {.names = {"superbpe"},
     .rules = {.splits = {LOOP("\\p{N}+"), THREES("(?:\\p{Nd}{3})++(?!\\p{Nd})")}}},
    {.names = {"bailingmoe", "bailingmoe2", "llada-moe"},
     .rules = {.splits = {LOOP(CONTRACTION
                               "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}"
                               "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+")}}},
    {.names = {"seed-coder"},
     .rules = {.splits = {LOOP(CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}"
                                           "| ?[^\\s\\p{L}\\p{N}\\r\\n]+|" SPACES)}}},
    {.names = {"ufakzeka"},
     .rules = {.splits = {LOOP("[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}"
                               "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|" SPACES)}}},
    {.names = {"afmoe"},
     .rules = {.splits = {THREES(WHOLE_NUMBER), LOOP(AFMOE_SCRIPTS),
                          LOOP(MARKED("[\\r\\n]*|" SPACES))}}},
    {.names = {"laguna"}, .rules = {.splits = {LINES, LOOP(CL100K("\\p{N}"))}}},
    /* Words with single spaces between are one piece. */
    {.names = {"exaone-moe"},
     .rules = {.splits = {WORDS(CONTRACTION
                                "|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+"
                                "|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?"
                                "|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+")}}},
    {.names = {"minicpm5"},
     .rules = {.splits = {LOOP("\\p{N}{1,3}"), LOOP(CL100K("\\p{N}+"))},
               .whole_first = WEIR_WHOLE_ANY}},
    {.names = {"chameleon"},
     .rules = {.splits = {{.pattern = "<sentinel:[0-9]+>"},
                          {.pattern = "(IMGIMG)((A|B|C|D|E|F|G|H|I){1,4})Z"},
                          LOOP("([\\t\\n]|    |  )"),
                          DIGIT,
                          LOOP("[\\p{P}!-/:-@\\[-`{-~]"),
                          LOOP(GPT2)}},
     .adds_bos = true},
    /* Merges stay within a line; llama.cpp takes a run of line breaks that is a token as it is. */
    {.names = {"gemma4"},
     .rules = {.splits = {LINES}, MARK_SPACES, .whole_first = WEIR_WHOLE_BREAKS},
     .is_raw = true,
     .adds_bos = true,
     .always_adds_bos = true},
    {.names = {"granite-embed-multi-311m", "sarvam-moe"},
     .rules = {.splits = {LINES}, MARK_SPACES},
     .is_raw = true},
    {.names = {"whitespace"}, .rules = {.splits = {LOOP("\\S+")}, MARK_SPACES}, .is_raw = true},
    /* What llama.cpp does with a file that names no pre-tokenizer. */
    {.names = {"default"},
     .rules = {.splits = {LOOP("[\\p{P}\\$\\+<=>\\^~\\|]+"), LOOP(GPT2), LOOP("\\p{N}+"),
                          LOOP("[0-9][0-9][0-9]")}}},
};

static const struct pretokenizer *find_row(struct weir_bytes name)
{
    for (size_t row = 0; row < WEIR_COUNT(pretokenizers); row++)
        for (const char *const *at = pretokenizers[row].names; *at != NULL; at++)
            if (strlen(*at) == name.length && memcmp(*at, name.start, name.length) == 0)
                return &pretokenizers[row];
    return NULL;
}

enum weir_status weir_text_find_rules(struct weir_bytes pre, struct weir_text_rules *rules,
                                      bool *is_raw, struct weir_err *err)
{
    const struct pretokenizer *row = find_row(pre);
    if (row == NULL)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "pre-tokenizer \"%.*s\" is not built in; docs/formats/vocabularies.md "
                         "lists those that are",
                         (int)weir_min(pre.length, 40), pre.start);
    *rules = row->rules;
    *is_raw = row->is_raw;
    while (rules->split_count < WEIR_SPLIT_MAX && rules->splits[rules->split_count].pattern != NULL)
        rules->split_count++;
    return WEIR_OK;
}

bool weir_text_pre_adds_bos(struct weir_bytes pre, bool *always)
{
    const struct pretokenizer *row = find_row(pre);
    *always = row != NULL && row->always_adds_bos;
    return row != NULL && row->adds_bos;
}

const char *weir_text_pre_at(uint32_t index)
{
    for (size_t row = 0; row < WEIR_COUNT(pretokenizers); row++)
        for (const char *const *at = pretokenizers[row].names; *at != NULL; at++)
            if (index-- == 0)
                return *at;
    return NULL;
}

uint32_t weir_text_known_match(const char *pattern)
{
    for (size_t row = 0; row < WEIR_COUNT(pretokenizers); row++) {
        const struct weir_split_step *splits = pretokenizers[row].rules.splits;
        for (size_t at = 0; at < WEIR_SPLIT_MAX && splits[at].pattern != NULL; at++)
            if (strcmp(splits[at].pattern, pattern) == 0)
                return splits[at].match;
    }
    return WEIR_MATCH_ANY;
}
