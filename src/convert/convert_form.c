/* convert_form.c - which model and pre-tokenizer of GGUF files a tokenizer.json is. */
#include <string.h>

#include "base/heap.h"
#include "convert/convert.h"
#include "convert/scores.h"

#define MARK "\xe2\x96\x81"
/* What Metaspace cuts with; no token that is made of several words can come of it. */
#define WORDS "\xe2\x96\x81?[^\xe2\x96\x81]+|\xe2\x96\x81"

enum { BYTE_COUNT = 256 };

static bool is_text(struct weir_bytes bytes, const char *text)
{
    return bytes.length == strlen(text) && memcmp(bytes.start, text, bytes.length) == 0;
}

static bool is_step(const struct weir_normal_step *step, enum weir_normal_kind kind)
{
    return step->kind == kind;
}

static bool marks_spaces(const struct weir_normal_step *step)
{
    return is_step(step, WEIR_NORMAL_REPLACE) && is_text(step->from, " ") &&
           is_text(step->to, MARK);
}

/* ---- llama: SentencePiece's BPE -------------------------------------------------------------- */

/* A mark behind another character: the token goes on in another word. */
static bool joins_words(struct weir_bytes token)
{
    bool is_behind = false;
    for (size_t at = 0; at < token.length; at++) {
        if (token.length - at >= strlen(MARK) &&
            memcmp(token.start + at, MARK, strlen(MARK)) == 0) {
            if (is_behind)
                return true;
            at += strlen(MARK) - 1;
        } else {
            is_behind = true;
        }
    }
    return false;
}

static enum weir_status check_words(const struct weir_vocab *vocab, struct weir_err *err)
{
    for (uint32_t id = 0; id < vocab->n_vocab; id++)
        if (vocab->types[id] == WEIR_TOKEN_NORMAL && joins_words(vocab->tokens[id]))
            return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                             "tokenizer.json: it cuts words apart, and token \"%.*s\" is made of "
                             "several: no GGUF file says both",
                             (int)weir_min(vocab->tokens[id].length, 60), vocab->tokens[id].start);
    return WEIR_OK;
}

static enum weir_status check_bytes(const struct weir_vocab *vocab, struct weir_err *err)
{
    uint32_t count = 0;
    for (uint32_t id = 0; id < vocab->n_vocab; id++)
        count += vocab->types[id] == WEIR_TOKEN_BYTE;
    if (count == BYTE_COUNT)
        return WEIR_OK;
    return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                     "tokenizer.json: wanted a token for each of %d bytes (byte_fallback), as GGUF "
                     "files of model \"llama\" have, found %u",
                     BYTE_COUNT, count);
}

/* What comes before the cut: a mark put before, perhaps, and spaces as marks. */
static enum weir_status check_steps(const struct weir_text_rules *rules,
                                    struct weir_warnings *warnings, struct weir_err *err)
{
    bool is_marked = false;
    for (uint32_t index = 0; index < rules->normal_count; index++) {
        const struct weir_normal_step *step = &rules->normal[index];
        const bool is_always = is_step(step, WEIR_NORMAL_PREPEND);
        const bool is_new =
            is_step(step, WEIR_NORMAL_PREPEND_NEW) || is_step(step, WEIR_NORMAL_PREPEND_FIRST);
        is_marked = is_marked || marks_spaces(step);
        if (marks_spaces(step) || (is_always && is_text(step->to, MARK)))
            continue;
        if (!is_new)
            return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                             "tokenizer.json: normalizer %u is none that GGUF files of model "
                             "\"llama\" have: wanted a space put before, and spaces as U+2581",
                             index + 1);
        weir_warn(warnings,
                  "tokenizer.json: no space is put before a text that begins with one, or behind a "
                  "special token; every reader of the GGUF file puts one there");
    }
    if (is_marked)
        return WEIR_OK;
    return WEIR_FAIL(
        err, WEIR_ERR_UNSUPPORTED,
        "tokenizer.json: wanted spaces as U+2581 and tokens of bytes, as GGUF files of "
        "model \"llama\" have them, found neither that nor a ByteLevel pre-tokenizer");
}

static enum weir_status find_llama(struct weir_vocab_form *form, const struct weir_vocab *vocab,
                                   struct weir_warnings *warnings, struct weir_err *err)
{
    const struct weir_text_rules *rules = vocab->rules;
    WEIR_TRY(check_steps(rules, warnings, err));
    if (rules->split_count > 0 &&
        (rules->split_count > 1 || strcmp(rules->splits[0].pattern, WORDS) != 0))
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "tokenizer.json: pattern %.200s cuts texts in a way that no GGUF file of "
                         "model \"llama\" or \"gemma4\" has",
                         rules->splits[0].pattern);
    if (rules->split_count > 0)
        WEIR_TRY(check_words(vocab, err));
    if (rules->whole_first != WEIR_WHOLE_NEVER)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "tokenizer.json: ignore_merges: wanted false in model \"llama\" of GGUF "
                         "files, found true");
    WEIR_TRY(check_bytes(vocab, err));
    WEIR_TRY(weir_scores_make(&form->scores, vocab, err));
    form->model = "llama";
    form->pre = "default";
    return WEIR_OK;
}

/* ---- merges ---------------------------------------------------------------------------------- */

/* A file has "left right": the first space behind the first byte is between them. */
static enum weir_status check_merges(const struct weir_vocab *vocab, struct weir_err *err)
{
    for (uint32_t rank = 0; rank < vocab->n_merge; rank++) {
        const struct weir_bytes text = vocab->merges[rank];
        const char *space = text.length < 2 ? NULL : memchr(text.start + 1, ' ', text.length - 1);
        if (space == NULL || (size_t)(space - text.start) != vocab->merge_lefts[rank])
            return WEIR_FAIL(
                err, WEIR_ERR_UNSUPPORTED,
                "tokenizer.json: merge %u (%.*s) has a space in a token, which no GGUF "
                "file can say",
                rank, (int)weir_min(text.length, 60), text.start);
    }
    return WEIR_OK;
}

/* The patterns, for whoever has to find out. */
static enum weir_status refuse_pre(const struct weir_text_rules *rules, struct weir_err *err)
{
    return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                     "tokenizer.json: no pre-tokenizer that GGUF files name has %u normalizers and "
                     "%u patterns as it has (the first: %.200s)",
                     rules->normal_count, rules->split_count,
                     rules->split_count == 0 ? "none" : rules->splits[0].pattern);
}

/* What goes behind special tokens is as the family has it: no key says so. */
static enum weir_status check_strips(const struct weir_vocab *vocab, const char *family,
                                     bool is_llama, struct weir_err *err)
{
    for (uint32_t id = 0; id < vocab->n_vocab; id++) {
        const bool strips = vocab->strips != NULL && vocab->strips[id];
        const bool is_meant = is_llama && weir_vocab_strips(family, vocab, id);
        if (strips != is_meant)
            return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                             "tokenizer.json: added token %u \"%.*s\": rstrip is %s, which no GGUF "
                             "file of family %s can say",
                             id, (int)weir_min(vocab->tokens[id].length, 60),
                             vocab->tokens[id].start, strips ? "true" : "false", family);
    }
    return WEIR_OK;
}

static enum weir_status find_form(struct weir_vocab_form *form, const struct weir_vocab *vocab,
                                  const char *family, struct weir_warnings *warnings,
                                  struct weir_err *err)
{
    const struct weir_text_rules *rules = vocab->rules;
    if (is_text(vocab->model, "gpt2")) {
        form->model = "gpt2";
        form->pre = weir_pre_find(rules, false, vocab->add_bos, family);
        return form->pre == NULL ? refuse_pre(rules, err) : check_merges(vocab, err);
    }
    if (!is_text(vocab->model, "gemma4"))
        return WEIR_FAIL(
            err, WEIR_ERR_UNSUPPORTED,
            "tokenizer.json: model.type: wanted BPE, found %s: no family that is built "
            "in has it in its GGUF files",
            is_text(vocab->model, "bert") ? "WordPiece" : "Unigram");
    form->pre = weir_pre_find(rules, true, vocab->add_bos, family);
    if (form->pre == NULL)
        return find_llama(form, vocab, warnings, err);
    form->model = strcmp(form->pre, "gemma4") == 0 ? "gemma4" : "gpt2";
    if (strcmp(form->pre, "gemma4") == 0 && !vocab->add_bos)
        weir_warn(warnings,
                  "tokenizer.json: texts do not begin with a special token; every reader of a GGUF "
                  "file of model \"gemma4\" puts one there");
    return check_merges(vocab, err);
}

enum weir_status weir_vocab_form_find(struct weir_vocab_form *form, const struct weir_vocab *vocab,
                                      const char *family, struct weir_warnings *warnings,
                                      struct weir_err *err)
{
    *form = (struct weir_vocab_form){0};
    WEIR_TRY(find_form(form, vocab, family, warnings, err));
    return check_strips(vocab, family, form->scores != NULL, err);
}

void weir_vocab_form_free(struct weir_vocab_form *form)
{
    weir_heap_free(form->scores);
    *form = (struct weir_vocab_form){0};
}
