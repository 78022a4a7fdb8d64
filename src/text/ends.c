/* ends.c - which tokens end a text or a turn. */
#include <string.h>

#include "base/heap.h"
#include "text/text_parts.h"

/* What the families call theirs, as published in their chat formats and as llama.cpp knows them. */
static const char *const end_texts[] = {
    "</s>",
    "<eos>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|calls|>",
    "<|flush|>",
    "<|eot|>",
    "<|EOT|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|endofturn|>",
    "<end_of_turn>",
    "<turn|>",
    "[e~[",
    "<end_of_utterance>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
};

/* Where a vocabulary has the others, the name means something else: the end of a message inside a
 * turn, or a tag of HTML. */
static const struct {
    const char *name;
    const char *others[2];
} exceptions[] = {
    {"<|end|>", {"<|return|>", "<|call|>"}},
    {"<|end|>", {"<|calls|>", "<|flush|>"}},
    {"</s>", {"<|tool_response>", "<|tool_response>"}},
    {"</s>", {"<|plamo:eos|>", "<|plamo:eos|>"}},
};

static uint32_t find_token(const weir_text *text, const char *name)
{
    const size_t length = strlen(name);
    const uint32_t id = weir_text_map_find(&text->map, name, length);
    if (id != WEIR_TOKEN_NONE)
        return id;
    const uint32_t special =
        weir_text_prefixes_match(&text->specials, &text->vocab, name, length, true);
    return special != WEIR_TOKEN_NONE && text->vocab.tokens[special].length == length
               ? special
               : WEIR_TOKEN_NONE;
}

static bool means_something_else(const weir_text *text, const char *name)
{
    for (size_t row = 0; row < WEIR_COUNT(exceptions); row++)
        if (strcmp(exceptions[row].name, name) == 0 &&
            find_token(text, exceptions[row].others[0]) != WEIR_TOKEN_NONE &&
            find_token(text, exceptions[row].others[1]) != WEIR_TOKEN_NONE)
            return true;
    return false;
}

static void add_end(weir_text *text, uint32_t id)
{
    if (id != WEIR_TOKEN_NONE && !weir_text_is_end(text, id))
        text->end_ids[text->end_count++] = id;
}

enum weir_status weir_text_find_ends(weir_text *text, struct weir_err *err)
{
    const struct weir_vocab *vocab = &text->vocab;
    const size_t most = 1 + (size_t)vocab->n_end + WEIR_COUNT(end_texts);
    text->end_ids = weir_heap_array(most, sizeof(*text->end_ids));
    if (text->end_ids == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "vocabulary: no room for %zu tokens that end a text",
                         most);
    add_end(text, vocab->eos_id);
    for (uint32_t index = 0; index < vocab->n_end; index++)
        add_end(text, vocab->end_ids[index]);
    for (size_t index = 0; index < WEIR_COUNT(end_texts); index++)
        if (!means_something_else(text, end_texts[index]))
            add_end(text, find_token(text, end_texts[index]));
    return WEIR_OK;
}

bool weir_text_is_end(const weir_text *text, uint32_t id)
{
    for (uint32_t index = 0; index < text->end_count; index++)
        if (text->end_ids[index] == id)
            return true;
    return false;
}
