/* stacks.c - experts that a file has as one tensor each, as stacks.
 *
 * GGUF files of Mixtral from before April 2024 have blk.N.ffn_gate.X.weight for each expert X, and
 * ffn_up and ffn_down alike, where later ones have blk.N.ffn_gate_exps.weight. Nothing is moved: a
 * stack is a table of where each matrix begins.
 *
 * I1  A stack has as many matrices as the key FAMILY.expert_count says, of one shape and type. */
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "formats/manifest_internal.h"

enum { STACK_NAME_MAX = 48 };

/* Which matrix of which expert a tensor is. */
struct piece {
    unsigned block, expert;
    char word[8]; /* gate, up, down */
};

struct joiner {
    struct weir_manifest *manifest;
    uint64_t n_expert;
    struct weir_tensor *tensors; /* what the file has then */
    uint32_t tensor_count, place_count, stack_count;
};

static const char *piece_name(const struct piece *piece, char *out)
{
    snprintf(out, STACK_NAME_MAX, "blk.%u.ffn_%s.%u.weight", piece->block, piece->word,
             piece->expert);
    return out;
}

/* False when the name is of no expert. */
static bool parse_piece(const char *name, struct piece *piece)
{
    static const char *const words[] = {"gate", "up", "down"};
    char again[STACK_NAME_MAX];
    if (sscanf(name, "blk.%u.ffn_%4[a-z].%u.weight", &piece->block, piece->word, &piece->expert) !=
            3 ||
        strcmp(piece_name(piece, again), name) != 0)
        return false;
    for (size_t row = 0; row < WEIR_COUNT(words); row++)
        if (strcmp(piece->word, words[row]) == 0)
            return true;
    return false;
}

/* How many experts a layer has; 0: the keys do not say. */
static uint64_t read_expert_count(const struct weir_manifest *manifest)
{
    const char *family = weir_manifest_text(manifest, "general.architecture");
    char key[WEIR_NAME_MAX + 1];
    uint64_t count = 0;
    if (family == NULL)
        return 0;
    snprintf(key, sizeof(key), "%.200s.expert_count", family);
    weir_manifest_u64(manifest, key, &count);
    return count;
}

static enum weir_status refuse_missing(const struct joiner *joiner, const char *name,
                                       struct weir_err *err)
{
    return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                     "tensor %s is missing: this file has a tensor for each expert, and %llu "
                     "experts by its keys",
                     name, (unsigned long long)joiner->n_expert);
}

/* Keeps I1. */
static enum weir_status check_piece(const struct weir_tensor *tensor,
                                    const struct weir_tensor *first, struct weir_err *err)
{
    if (tensor->ggml_type == first->ggml_type && tensor->dims[2] == 1 && tensor->dims[3] == 1 &&
        memcmp(tensor->dims, first->dims, sizeof(tensor->dims)) == 0)
        return WEIR_OK;
    return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                     "tensor %s: wanted a matrix of %llu x %llu %s like %s, found %llu x %llu x "
                     "%llu x %llu %s",
                     tensor->name, (unsigned long long)first->dims[1],
                     (unsigned long long)first->dims[0], first->type_name, first->name,
                     (unsigned long long)tensor->dims[3], (unsigned long long)tensor->dims[2],
                     (unsigned long long)tensor->dims[1], (unsigned long long)tensor->dims[0],
                     tensor->type_name);
}

/* The stack of which `first`, expert 0's, is a part. */
static enum weir_status join_stack(struct joiner *joiner, const struct weir_tensor *first,
                                   struct piece piece, struct weir_err *err)
{
    struct weir_manifest *manifest = joiner->manifest;
    struct weir_place *places = manifest->places + joiner->place_count;
    char *name = manifest->names + (size_t)joiner->stack_count++ * STACK_NAME_MAX;
    struct weir_tensor *stack = &joiner->tensors[joiner->tensor_count++];
    snprintf(name, STACK_NAME_MAX, "blk.%u.ffn_%s_exps.weight", piece.block, piece.word);
    *stack = *first;
    stack->name = name;
    stack->n_dim = 3;
    stack->dims[2] = joiner->n_expert;
    stack->bytes = 0;
    stack->places = places;
    /* Each turn finds another tensor or is the last, so there are as many places as tensors. */
    for (piece.expert = 0; piece.expert < joiner->n_expert; piece.expert++) {
        char wanted[STACK_NAME_MAX];
        const struct weir_tensor *tensor =
            weir_manifest_tensor(manifest, piece_name(&piece, wanted));
        if (tensor == NULL)
            return refuse_missing(joiner, wanted, err);
        WEIR_TRY(check_piece(tensor, first, err));
        places[piece.expert] = (struct weir_place){.offset = tensor->offset, .file = tensor->file};
        stack->bytes += tensor->bytes;
        joiner->place_count++;
    }
    return WEIR_OK;
}

/* A tensor stays, or goes into the stack that is made where expert 0's part of it is. */
static enum weir_status take_tensor(struct joiner *joiner, const struct weir_tensor *tensor,
                                    struct weir_err *err)
{
    struct piece piece;
    char first[STACK_NAME_MAX];
    if (!parse_piece(tensor->name, &piece) || piece.expert >= joiner->n_expert) {
        joiner->tensors[joiner->tensor_count++] = *tensor;
        return WEIR_OK;
    }
    if (piece.expert == 0)
        return join_stack(joiner, tensor, piece, err);
    piece.expert = 0;
    if (weir_manifest_tensor(joiner->manifest, piece_name(&piece, first)) == NULL)
        return refuse_missing(joiner, first, err);
    return WEIR_OK;
}

static uint32_t count_pieces(const struct weir_manifest *manifest, uint64_t n_expert)
{
    uint32_t count = 0;
    for (uint32_t index = 0; index < manifest->tensor_count; index++) {
        struct piece piece;
        count += parse_piece(manifest->tensors[index].name, &piece) && piece.expert < n_expert;
    }
    return count;
}

enum weir_status weir_stacks_join(struct weir_manifest *manifest, struct weir_err *err)
{
    struct joiner joiner = {.manifest = manifest, .n_expert = read_expert_count(manifest)};
    const uint32_t piece_count = count_pieces(manifest, joiner.n_expert);
    enum weir_status status = WEIR_OK;
    if (piece_count == 0)
        return WEIR_OK;
    manifest->places = weir_heap_array(piece_count, sizeof(*manifest->places));
    manifest->names = weir_heap_array(piece_count, STACK_NAME_MAX);
    joiner.tensors = weir_heap_array(manifest->tensor_count, sizeof(*joiner.tensors));
    if (manifest->places == NULL || manifest->names == NULL || joiner.tensors == NULL)
        status =
            WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for the places of %u experts", piece_count);
    for (uint32_t index = 0; index < manifest->tensor_count && status == WEIR_OK; index++)
        status = take_tensor(&joiner, &manifest->tensors[index], err);
    if (status != WEIR_OK) {
        weir_heap_free(joiner.tensors);
        return status;
    }
    weir_heap_free(manifest->tensors);
    manifest->tensors = joiner.tensors;
    manifest->tensor_count = joiner.tensor_count;
    return weir_tensors_index(manifest, err);
}
