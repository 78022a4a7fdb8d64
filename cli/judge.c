/* judge.c - surprise, bits a byte, and the divergence from a reference run. */
#include "judge.h"

#include <string.h>

#include "base/heap.h"

static const double nats_per_bit = 0.69314718055994530942;

bool weir_cli_judge_open(struct weir_cli_judge *judge, const struct weir_cli_options *options)
{
    return (options->reference == NULL ||
            weir_cli_reference_open(&judge->reference, options->reference)) &&
           (options->save_reference == NULL ||
            weir_cli_reference_out_open(&judge->save, options->save_reference));
}

bool weir_cli_judge_fit(struct weir_cli_judge *judge, const struct weir_model_info *info,
                        uint64_t text_chunks, uint64_t chunk_max, uint64_t *caller_bytes)
{
    enum { FEW_CHUNKS = 256 }; /* whose sums the allowance for the program covers */
    struct weir_cli_reference *reference = &judge->reference;
    const uint64_t row_bytes = 2 * weir_cli_reference_row_bytes(info->n_vocab);
    const uint64_t entries = weir_min(weir_min(text_chunks, chunk_max), WEIR_CLI_CHUNKS_MAX);
    if (entries > FEW_CHUNKS)
        *caller_bytes += entries * WEIR_CLI_CHUNK_BYTES;
    if (judge->save.out.file != NULL)
        *caller_bytes += row_bytes;
    if (reference->file == NULL)
        return true;
    if (reference->head.n_vocab != info->n_vocab) {
        weir_cli_say("%s: the reference has a vocabulary of %u tokens, %s one of %u: they cannot "
                     "be compared",
                     reference->path, reference->head.n_vocab, info->name, info->n_vocab);
        return false;
    }
    const uint64_t positions =
        weir_min(chunk_max, reference->head.chunk_count) * reference->row_count;
    *caller_bytes += row_bytes + positions * sizeof(*judge->distance.each);
    if (weir_cli_distance_init(&judge->distance, positions))
        return true;
    weir_cli_say("no memory for the divergence at %llu positions", (unsigned long long)positions);
    return false;
}

/* "token 1" or "no token", for messages. */
static const char *name_token(uint32_t id, char *out, size_t capacity)
{
    snprintf(out, capacity, "token %u", id);
    return id == WEIR_ID_NONE ? "no token" : out;
}

bool weir_cli_judge_begin(struct weir_cli_judge *judge, const struct weir_cli_options *options,
                          const struct weir_model_info *info, uint32_t n_ctx, uint32_t scored_from,
                          uint32_t bos)
{
    struct weir_cli_reference *reference = &judge->reference;
    char theirs[32], ours[32];
    if (reference->file != NULL && !reference->is_peers && reference->head.bos != bos) {
        weir_cli_say("%s: the reference put %s before each chunk, this run %s: wanted the same",
                     reference->path, name_token(reference->head.bos, theirs, sizeof(theirs)),
                     name_token(bos, ours, sizeof(ours)));
        return false;
    }
    if (judge->save.out.file == NULL)
        return true;
    struct weir_cli_reference_head *head = &judge->save.head;
    head->n_vocab = judge->n_vocab;
    head->n_ctx = n_ctx;
    head->scored_from = scored_from;
    head->bos = bos;
    snprintf(head->model_name, sizeof(head->model_name), "%s", info->name);
    return weir_cli_reference_out_model(&judge->save, options->argument) &&
           weir_cli_reference_out_begin(&judge->save);
}

static bool tell_failure(const struct weir_cli_judge *judge, const struct weir_err *err)
{
    weir_cli_say("%s: %s", judge->reference.path, err->text);
    return false;
}

/* Whether the reference's chunk has these ids. */
static bool compare_ids(struct weir_cli_judge *judge, const uint32_t *ids, uint32_t n_ctx)
{
    struct weir_err err = {0};
    bool is_same = true;
    uint32_t *theirs = weir_heap_array(n_ctx, sizeof(*theirs));
    if (theirs == NULL) {
        weir_cli_say("no memory for %u token ids", n_ctx);
        return false;
    }
    if (weir_cli_reference_ids(&judge->reference, judge->chunk_index, theirs, &err) != WEIR_OK)
        is_same = tell_failure(judge, &err);
    for (uint32_t at = 0; is_same && at < n_ctx; at++) {
        is_same = theirs[at] == ids[at];
        if (!is_same)
            weir_cli_say("%s: as token %u of chunk %u the reference has %u, the text %u: wanted "
                         "the text, and the vocabulary, that it was made of",
                         judge->reference.path, at, judge->chunk_index, theirs[at], ids[at]);
    }
    weir_heap_free(theirs);
    return is_same;
}

bool weir_cli_judge_chunk(struct weir_cli_judge *judge, const uint32_t *ids, uint32_t n_ctx)
{
    judge->chunk = (struct weir_cli_chunk){0};
    weir_cli_chunks_hash(&judge->chunks, ids, n_ctx);
    if (judge->reference.file != NULL && !compare_ids(judge, ids, n_ctx))
        return false;
    return judge->save.out.file == NULL || weir_cli_reference_out_chunk(&judge->save, ids);
}

static bool compare_row(struct weir_cli_judge *judge, uint32_t position, const float *logits,
                        const struct weir_cli_softmax *softmax, uint32_t next_id, double nll)
{
    struct weir_err err = {0};
    const struct weir_cli_row *row = &judge->reference.row;
    if (weir_cli_reference_row(&judge->reference, judge->chunk_index, position, next_id, &err) !=
        WEIR_OK)
        return tell_failure(judge, &err);
    const double kl = weir_cli_row_divergence(row, logits, judge->n_vocab, softmax);
    const bool same_top = row->top == softmax->top;
    weir_cli_distance_add(&judge->distance, kl, same_top, nll, -(double)row->target);
    judge->chunk.kl += kl;
    judge->chunk.same_top += same_top;
    return true;
}

bool weir_cli_judge_take(struct weir_cli_judge *judge, uint32_t position, const float *logits,
                         uint32_t next_id)
{
    struct weir_cli_softmax softmax;
    char piece[WEIR_TOKEN_BYTES_MAX];
    weir_cli_softmax_take(&softmax, logits, judge->n_vocab);
    const double nll = weir_cli_surprise(&softmax, logits, next_id);
    const size_t bytes = weir_tokenizer_piece(judge->tokenizer, next_id, piece);
    judge->nll += nll;
    judge->nll_square += nll * nll;
    judge->count++;
    judge->bytes += bytes;
    judge->chunk.nll += nll;
    judge->chunk.count++;
    judge->chunk.bytes += bytes;
    if (judge->reference.file != NULL &&
        !compare_row(judge, position, logits, &softmax, next_id, nll))
        return false;
    return judge->save.out.file == NULL ||
           weir_cli_reference_out_row(&judge->save, logits, &softmax, next_id);
}

bool weir_cli_judge_chunk_end(struct weir_cli_judge *judge)
{
    if (judge->reference.file == NULL)
        judge->chunk.kl = WEIR_CLI_NONE;
    judge->chunk_index++;
    return weir_cli_chunks_add(&judge->chunks, &judge->chunk);
}

/* ---- the result ---------------------------------------------------------------------------- */

static double find_bits(const struct weir_cli_judge *judge)
{
    return judge->bytes == 0 ? WEIR_CLI_NONE : judge->nll / nats_per_bit / (double)judge->bytes;
}

static json_t *describe_reference(const struct weir_cli_reference *reference)
{
    const struct weir_cli_reference_head *head = &reference->head;
    json_t *object = json_object();
    if (reference->file == NULL) {
        json_decref(object);
        return json_null();
    }
    weir_cli_json_text(object, "file", reference->path, strlen(reference->path));
    if (reference->is_peers)
        json_object_set_new(object, "model", json_null());
    else
        weir_cli_json_text(object, "model", head->model_name, strlen(head->model_name));
    weir_cli_json_count(object, "model_bytes",
                        head->model_bytes == 0 ? UINT64_MAX : head->model_bytes);
    weir_cli_json_count(object, "chunks", head->chunk_count);
    weir_cli_json_count(object, "chunk_tokens", head->n_ctx);
    return object;
}

/* All members are there always: null without a reference. */
static void add_distance(json_t *object, const struct weir_cli_distance_facts *facts)
{
    const struct {
        const char *name;
        double value;
    } members[] = {{"kl", facts->kl},
                   {"kl_err", facts->kl_err},
                   {"kl_median", facts->kl_median},
                   {"kl_p90", facts->kl_p90},
                   {"kl_p99", facts->kl_p99},
                   {"kl_p999", facts->kl_p999},
                   {"kl_max", facts->kl_max},
                   {"top1", facts->top1},
                   {"top1_err", facts->top1_err},
                   {"share_rms", facts->share_rms},
                   {"reference_ppl", facts->reference_ppl},
                   {"ppl_ratio", facts->ppl_ratio},
                   {"ppl_ratio_err", facts->ppl_ratio_err},
                   {"correlation", facts->correlation}};
    for (size_t index = 0; index < WEIR_COUNT(members); index++)
        weir_cli_json_real(object, members[index].name, members[index].value);
}

void weir_cli_judge_json(struct weir_cli_judge *judge, json_t *object)
{
    struct weir_cli_distance_facts facts;
    const bool has_bytes = judge->tokenizer != NULL;
    weir_cli_distance_tell(&judge->distance, &facts);
    weir_cli_json_count(object, "scored_bytes", has_bytes ? judge->bytes : UINT64_MAX);
    weir_cli_json_real(object, "bpb", find_bits(judge));
    add_distance(object, &facts);
    json_object_set_new(object, "reference", describe_reference(&judge->reference));
    json_object_set_new(object, "per_chunk",
                        judge->chunks.count == 0 ? json_null()
                                                 : weir_cli_chunks_json(&judge->chunks, false));
}

/* Another model with the same vocabulary may be meant, so whose run it is is said. */
static void print_reference(const struct weir_cli_reference *reference)
{
    const struct weir_cli_reference_head *head = &reference->head;
    char size[32];
    if (reference->is_peers)
        printf("reference: %s, which does not say its model\n", weir_cli_shown(reference->path));
    else if (head->model_bytes == 0)
        printf("reference: %s\n", weir_cli_shown(head->model_name));
    else
        printf("reference: %s, %s\n", weir_cli_shown(head->model_name),
               weir_format_size(head->model_bytes, size, sizeof(size)));
}

void weir_cli_judge_print(struct weir_cli_judge *judge)
{
    struct weir_cli_distance_facts facts;
    if (judge->bytes > 0)
        printf("bits per byte %.4f over %llu bytes\n", find_bits(judge),
               (unsigned long long)judge->bytes);
    if (judge->distance.count == 0)
        return;
    weir_cli_distance_tell(&judge->distance, &facts);
    print_reference(&judge->reference);
    printf("KL divergence %.6f +/- %.6f nats a token from the reference\n", facts.kl, facts.kl_err);
    printf("  median %.6f, 90 %% below %.6f, 99 %% below %.6f, 99.9 %% below %.6f, most %.6f\n",
           facts.kl_median, facts.kl_p90, facts.kl_p99, facts.kl_p999, facts.kl_max);
    printf("same likeliest token at %.3f +/- %.3f %% of the positions; the next token's share "
           "differs by %.3f %% (RMS)\n",
           100.0 * facts.top1, 100.0 * facts.top1_err, 100.0 * facts.share_rms);
    printf("perplexity %.6f +/- %.6f times the reference's %.4f, correlation %.3f %%\n",
           facts.ppl_ratio, facts.ppl_ratio_err, facts.reference_ppl, 100.0 * facts.correlation);
}

void weir_cli_judge_close(struct weir_cli_judge *judge)
{
    weir_cli_reference_close(&judge->reference);
    weir_cli_reference_out_close(&judge->save);
    weir_cli_distance_deinit(&judge->distance);
    weir_cli_chunks_free(&judge->chunks);
}
