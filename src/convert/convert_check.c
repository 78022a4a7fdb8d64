/* convert_check.c - a file read back: is it what was meant? */
#include <inttypes.h>
#include <string.h>

#include "convert/convert.h"

static enum weir_status check_tensor(const weir_manifest *file,
                                     const struct weir_recast_tensor *wanted, struct weir_err *err)
{
    const struct weir_tensor *found = weir_manifest_tensor(file, wanted->name);
    if (found == NULL || !found->known || found->type != wanted->type)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s: tensor %s: wanted type %s, found %s",
                         weir_manifest_path(file), wanted->name,
                         weir_quant_info(wanted->type)->name,
                         found == NULL ? "none of that name" : found->type_name);
    for (uint32_t dim = 0; dim < 4; dim++)
        if (found->dims[dim] != wanted->dims[dim])
            return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                             "%s: tensor %s: dimension %u: wanted %" PRIu64 ", found %" PRIu64,
                             weir_manifest_path(file), wanted->name, dim, wanted->dims[dim],
                             found->dims[dim]);
    return WEIR_OK;
}

static bool is_same(struct weir_bytes one, struct weir_bytes other)
{
    return one.length == other.length &&
           (one.length == 0 || memcmp(one.start, other.start, one.length) == 0);
}

static bool strips(const struct weir_vocab *vocab, uint32_t id)
{
    return vocab->strips != NULL && vocab->strips[id];
}

static bool is_end(const struct weir_vocab *vocab, uint32_t id)
{
    for (uint32_t index = 0; index < vocab->n_end; index++)
        if (vocab->end_ids[index] == id)
            return true;
    return false;
}

static enum weir_status check_tokens(const struct weir_vocab *wanted,
                                     const struct weir_vocab *found, struct weir_err *err)
{
    for (uint32_t id = 0; id < wanted->n_vocab; id++) {
        const bool is_named = wanted->tokens[id].length > 0;
        const uint8_t type = is_named ? wanted->types[id] : WEIR_TOKEN_UNUSED;
        if ((is_named && !is_same(wanted->tokens[id], found->tokens[id])) ||
            type != found->types[id] || strips(wanted, id) != strips(found, id) ||
            (wanted->n_end > 0 && is_end(wanted, id) != is_end(found, id)))
            return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                             "token %u (%.*s): the file says something else of it than "
                             "tokenizer.json: type %u and %u, rstrip %d and %d, ends a text %d and "
                             "%d",
                             id, (int)weir_min(wanted->tokens[id].length, 60),
                             wanted->tokens[id].start, found->types[id], type, strips(found, id),
                             strips(wanted, id), is_end(found, id), is_end(wanted, id));
    }
    return WEIR_OK;
}

/* Where a directory has none, a file may mean one: as model "llama" has it. */
static bool is_token(uint32_t wanted, uint32_t found)
{
    return wanted == WEIR_TOKEN_NONE || wanted == found;
}

static enum weir_status check_vocab(weir_manifest *directory, weir_manifest *file,
                                    struct weir_err *err)
{
    const struct weir_vocab *wanted = NULL;
    const struct weir_vocab *found = NULL;
    WEIR_TRY(weir_manifest_vocab(directory, &wanted, err));
    WEIR_TRY(weir_manifest_vocab(file, &found, err));
    if (found->n_vocab < wanted->n_vocab || !is_token(wanted->bos_id, found->bos_id) ||
        !is_token(wanted->eos_id, found->eos_id) || !is_token(wanted->unk_id, found->unk_id) ||
        found->add_bos != wanted->add_bos || found->add_eos != wanted->add_eos)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "the file says something else than tokenizer.json of what begins and ends "
                         "a text: tokens %d, %d and %d, put there %d and %d; wanted %d, %d and %d, "
                         "put there %d and %d",
                         (int)found->bos_id, (int)found->eos_id, (int)found->unk_id, found->add_bos,
                         found->add_eos, (int)wanted->bos_id, (int)wanted->eos_id,
                         (int)wanted->unk_id, wanted->add_bos, wanted->add_eos);
    return check_tokens(wanted, found, err);
}

enum weir_status weir_convert_check(weir_manifest *directory, const struct weir_layout *layout,
                                    bool has_vocab, const char *path, struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    weir_manifest *file = NULL;
    WEIR_TRY(weir_manifest_open(&file, path, err));
    if (weir_manifest_tensor_count(file) != layout->list.count)
        status = WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s: wanted %u tensors, found %u", path,
                           layout->list.count, weir_manifest_tensor_count(file));
    for (uint32_t index = 0; status == WEIR_OK && index < layout->list.count; index++)
        status = check_tensor(file, &layout->list.tensors[index], err);
    if (status == WEIR_OK && has_vocab)
        status = check_vocab(directory, file, err);
    weir_manifest_close(&file);
    return status;
}
