/* weir_files.h - models as files: made of other files.
 *
 * Job       Write a model in other number formats, and a Hugging Face directory as a GGUF file.
 * Not here  Running models: weir.h.
 * Units     *_bytes in bytes, *_s in seconds; bits of a weight include its share of scales.
 * Owns      Nothing outlives a call but the file that it was asked for.
 * Threads   One call uses threads of its own. Callbacks come on the caller's thread.
 * Errors    As of weir.h. A file is at its path when it is whole and was read back, and not before;
 *           what was there stays until then. CANCELLED: progress said so.
 */
#ifndef WEIR_FILES_H
#define WEIR_FILES_H

#include "weir.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- quantize: a GGUF file with its weights in other formats -------------------------------- */

/* A type that `type` of weir_quantize_config may be: a mixture, in which some tensors have a better
 * format than most, or one format. NULL past the last. */
WEIR_API const char *weir_quantize_type_name(uint32_t index);
WEIR_API const char *weir_quantize_type_about(uint32_t index);

/* Tensors whose name matches get a format, whatever `type` says: '*' stands for anything, '?' for a
 * letter, [...] for one of several, and the pattern is of the whole name. The first rule that
 * matches decides. Norms, routers and vectors keep what they have. */
struct weir_quantize_rule {
    const char *pattern, *type;
};

/* One tensor, and what becomes of it. */
struct weir_quantize_tensor {
    const char *name;
    uint32_t n_dim;
    uint64_t dims[4];
    const char *from, *to; /* formats */
    const char *meant; /* what would have been its format, did its rows fill whole blocks; or to */
    uint64_t bytes_before, bytes_after;
    bool has_weights;
};
typedef void weir_quantize_visit_fn(void *user, const struct weir_quantize_tensor *tensor);

/* Formats by what they lose: the model is computed on a text with one tensor after the other in a
 * low format, which tells how much each matters. Each then gets the format that lets all of them
 * fit and lose the least. A budget is the bytes of the file or bits a weight. */
struct weir_quantize_budget {
    uint64_t file_bytes; /* 0: bits say it */
    double bits;         /* of a weight, its share of scales included */
    const uint32_t *ids; /* [id_count] of the text: pieces of chunk_tokens, each on its own */
    uint32_t id_count, chunk_tokens;
    /* Where what was measured is kept, a text: a head that says of what, then a line with a slope
     * and a name for each tensor. If it is there already, nothing is measured again; FORMAT: it is
     * of another model, text or imatrix. NULL: it is not kept. */
    const char *slopes_path;
    uint32_t probe_max; /* how often the text is computed at most, neighbouring layers' tensors then
                           sharing a measure; 0: 256 */
};

/* Zero means "choose for me" everywhere. */
struct weir_quantize_config {
    const char *input_path;  /* a GGUF file, or the first part of a split one */
    const char *output_path; /* replaced when the new file is whole; NULL in a dry run */
    const char *type;        /* "Q4_K_M", any case; with a budget NULL */
    const struct weir_quantize_budget *budget; /* NULL: type says it */
    bool is_pure; /* one format, that of most tensors of `type`, for all that may have it */
    const struct weir_quantize_rule *rules; /* [rule_count] */
    uint32_t rule_count;
    const char *imatrix_path; /* importance of columns (weir imatrix, or llama.cpp's); NULL: none */
    bool allow_unweighted;    /* also formats that are of little use without importance */
    bool is_dry;              /* say what would be done, write nothing */
    uint64_t mem_bytes;       /* ceiling of the whole process; 0: as much as is of use */
    uint32_t n_thread;        /* 0: the CPUs this process may use */
    bool buffered;            /* ask for buffered instead of direct reads */
    weir_progress_fn *progress; /* of bytes read; false: stop */
    void *progress_user;
    weir_quantize_visit_fn *visit; /* told each tensor, before the work begins */
    void *visit_user;
    weir_notice_fn *notice; /* told what is odd about the input */
    void *notice_user;
};

enum { WEIR_QUANTIZE_USE_MAX = 40, WEIR_QUANTIZE_FALLBACK_MAX = 16 };

struct weir_quantize_use {
    const char *type;
    uint32_t tensor_count;
    uint64_t weight_count, bytes;
};

/* Tensors whose rows fill no whole blocks of the format that was meant. */
struct weir_quantize_fallback {
    const char *meant, *type;
    uint32_t tensor_count;
};

struct weir_quantize_result {
    char type[16]; /* the mixture */
    uint32_t tensor_count, key_count;
    uint64_t weight_count;
    uint64_t bytes_before, bytes_after; /* of tensors */
    double bits_before, bits_after;     /* of a weight */
    uint64_t file_bytes;                /* of the new file; in a dry run without its keys */
    struct weir_quantize_use before[WEIR_QUANTIZE_USE_MAX], after[WEIR_QUANTIZE_USE_MAX];
    uint32_t before_count, after_count;
    struct weir_quantize_fallback fallbacks[WEIR_QUANTIZE_FALLBACK_MAX];
    uint32_t fallback_count;
    uint32_t changed_count;     /* tensors that got another format */
    uint32_t requantized_count; /* of these, those that were blocks before ... */
    char requantized_from[128]; /* ... of these formats: "Q4_0, Q8_0" */
    uint32_t weighted_count;    /* tensors that were given importance */
    uint32_t unweighted_count;  /* those that want it and had none */
    /* Of a budget: the divergence (Kullback-Leibler, nats a token) from the input on its text, as
     * it was added up from single tensors, and of the file as it is (0 in a dry run); how often the
     * text was computed. */
    double divergence_expected, divergence;
    uint32_t probe_count;
    uint64_t read_bytes, written_bytes;
    uint64_t budget_bytes, peak_bytes; /* the ceiling that held; the process so far */
    double seconds;
    char io[240]; /* how the input was read */
};

/* Errors: ARG (a type or pattern that means nothing, the input as output), IO, FORMAT, UNSUPPORTED
 * (a directory: that is for convert), NOMEM (names the smallest ceiling), CANCELLED. */
WEIR_API enum weir_status weir_quantize(struct weir_quantize_result *result,
                                        const struct weir_quantize_config *config,
                                        struct weir_err *err);

/* ---- convert: a Hugging Face directory as one GGUF file ------------------------------------- */

/* Zero means "choose for me" everywhere. */
struct weir_convert_config {
    const char *input_path; /* the directory */
    /* Replaced when the new file is whole; only a GGUF file or an empty one may be there before. */
    const char *output_path;
    /* As of weir_quantize_config. NULL: weights keep the format they have; of those that no GGUF
     * file can have, FP8 becomes BF16, and codes of 4 bits the blocks with their values, or the
     * nearest to them. Norms, routers and vectors become F32, as llama.cpp wants them. */
    const char *type;
    bool without_vocab;         /* no tokenizer and no chat template, whatever the directory has */
    uint64_t mem_bytes;         /* ceiling of the whole process; 0: as much as is of use */
    uint32_t n_thread;          /* 0: the CPUs this process may use */
    bool buffered;              /* ask for buffered instead of direct reads */
    weir_progress_fn *progress; /* of bytes read; false: stop, and keep what is done */
    void *progress_user;
    weir_notice_fn *notice; /* told what is odd about the directory, and what a file cannot say */
    void *notice_user;
};

struct weir_convert_result {
    char type[16]; /* the mixture, or what most of the bytes are */
    uint32_t tensor_count;
    uint32_t done_count;  /* of these, those that an earlier call had written */
    uint32_t exact_count; /* of codes, that became blocks with the same values */
    uint32_t near_count;  /* of codes, that became a format with values near to theirs */
    struct weir_quantize_fallback fallbacks[WEIR_QUANTIZE_FALLBACK_MAX];
    uint32_t fallback_count;
    uint64_t bytes_before, bytes_after; /* of the directory's weights, and of the file */
    uint64_t read_bytes;
    uint64_t budget_bytes, peak_bytes; /* the ceiling that held; the process so far */
    double seconds;
    char io[240]; /* how the directory was read */
};

/* The file has the names and keys that llama.cpp's loaders want, the tokenizer and the chat
 * templates. Called again with the same directory and config it goes on behind the tensors that are
 * written: they stay in output_path.unfinished when a call fails or the process ends.
 * Errors: as of weir_quantize(). UNSUPPORTED also where no GGUF file can say what the directory
 * says: names it; of a tokenizer, without_vocab goes on. result may be NULL. */
WEIR_API enum weir_status weir_convert(struct weir_convert_result *result,
                                       const struct weir_convert_config *config,
                                       struct weir_err *err);

#ifdef __cplusplus
}
#endif

#endif
