/* formats.h - untrusted model files to one validated description.
 *
 * Job       Read a model's keys, tensors and vocabulary; check every count, offset, type and string
 *           against the file before anybody uses it.
 * Not here  What the keys mean (model/), tensor data (io/).
 * Shapes    dims[0] is the fastest (the row length), as GGUF stores it.
 * Units     offset_* and *_bytes in bytes from the start of the file.
 * Owns      weir_manifest owns everything it hands out; all pointers are borrowed from it.
 * Threads   open: one thread. After that, read-only: any thread.
 * Errors    WEIR_ERR_IO: cannot read. WEIR_ERR_FORMAT: the file contradicts itself or is cut off;
 *           names the thing, the wanted and the found. WEIR_ERR_UNSUPPORTED: a version or
 *           a byte order that is not built in, too many files. WEIR_ERR_NOMEM.
 * Limits    WEIR_FILE_MAX files, WEIR_TENSOR_MAX tensors, WEIR_KEY_MAX keys, WEIR_NAME_MAX bytes
 *           of a name, WEIR_METADATA_BYTES_MAX before the tensor data, 4 dimensions.
 * Source    GGUF specification v2 and v3 (little-endian); safetensors, and config.json of Hugging
 *           Face transformers (docs/formats/hf.md).
 */
#ifndef WEIR_FORMATS_H
#define WEIR_FORMATS_H

#include "base/base.h"
#include "quant/quant.h"
#include "text/text.h"

enum {
    WEIR_FILE_MAX = 512,
    WEIR_TENSOR_MAX = 1 << 20,
    WEIR_KEY_MAX = 1 << 16,
    WEIR_NAME_MAX = 255,
    WEIR_METADATA_BYTES_MAX = 1 << 29,
};

/* What a vector's values become when they are loaded, where a file has others than GGUF; what is
 * not finite stays as it is. */
enum weir_change {
    WEIR_CHANGE_NONE,
    WEIR_CHANGE_PLUS_ONE,  /* x + 1 */
    WEIR_CHANGE_MINUS_EXP, /* -exp(x) */
    WEIR_CHANGE_INVERSE,   /* 1 / x */
};

struct weir_tensor {
    const char *name; /* ended by NUL */
    uint32_t n_dim;
    uint64_t dims[4]; /* unused ones are 1 */
    uint32_t ggml_type;
    const char *type_name; /* as the file has it, for people */
    bool known;            /* type below is valid; false: a format that is not built in */
    enum weir_type type;
    uint64_t offset; /* absolute in its file */
    uint64_t bytes;  /* 0 when !known in a GGUF file, and for what is in no file */
    uint32_t file;   /* the manifest's; 0 for a model in one file */
    /* [dims[2]]: where each matrix of a stack begins when they do not follow each other; offset and
     * file are then the first one's. NULL: they do. */
    const struct weir_place *places;
    /* Rows of a matrix, or values of a vector, that several have together: in turn one of each, and
     * not all of one before all of the next. */
    bool takes_turns;
    bool is_turned; /* a stack of floats whose matrices lie column by column; dims are as ever */
    /* Of a tensor of scales, whose type is that of the codes: what they are stored as, and what one
     * is for, in rows and columns of the weight; 0: as many as the shapes say. */
    bool is_scales;
    bool has_zeros, is_zeros; /* codes whose zero points are a tensor; that tensor (quant/i4.h) */
    enum weir_scale_type scale_type;
    uint32_t group_rows, group_cols;
    const float *values; /* [dims[0]] of a vector that is in no file; NULL: it is in one */
    enum weir_change change;
};

typedef struct weir_manifest weir_manifest;

/* Reads the head of the file only; never tensor data; leaves nothing in the page cache that counts.
 * A path of a directory is a Hugging Face model: keys and names are those of a GGUF file of it.
 * Of a model in several files (docs/formats/gguf.md) path is the first; the others lie beside it:
 * all their tensors, the keys of the first. On failure *out stays unset. */
enum weir_status weir_manifest_open(weir_manifest **out, const char *path, struct weir_err *err);
/* A vocabulary alone: of what weir_manifest_open() opens, or a tokenizer.json, or a directory that
 * has one. Of a directory nothing else is looked at; only weir_manifest_vocab(), _warnings() and
 * _path() may be asked of it. */
enum weir_status weir_manifest_open_vocab(weir_manifest **out, const char *path,
                                          struct weir_err *err);
/* Whether the first there_bytes of one file of a model are its whole head; what is behind them does
 * not matter. *wanted_bytes is 0, or how many it takes at least. A safetensors file is known by its
 * name. Errors as of weir_manifest_open(): of what is there. */
enum weir_status weir_manifest_head_check(const char *path, uint64_t there_bytes,
                                          uint64_t *wanted_bytes, struct weir_err *err);
/* A manifest of bytes in memory, which are a whole model: file_bytes is the size the file claims to
 * have (>= length). For the fuzz target and tests. */
enum weir_status weir_manifest_parse(weir_manifest **out, const void *bytes, size_t length,
                                     uint64_t file_bytes, struct weir_err *err);
/* Tensors of the GGUF file at path take the place of those of the same name and shape: their bytes
 * and types are that file's from then on. On failure the manifest can only be closed. Errors: IO,
 * FORMAT (a tensor that the model does not have), UNSUPPORTED (a directory), NOMEM. */
enum weir_status weir_manifest_overlay(weir_manifest *manifest, const char *path,
                                       struct weir_err *err);
void weir_manifest_close(weir_manifest **manifest);

/* What whoever reads the manifest finds odd and can do without: weir_warn() adds to it, while the
 * file is opened and on that thread. The engine tells weir_config.notice each of them. */
struct weir_warnings *weir_manifest_warnings(const weir_manifest *manifest);

/* What was opened: the first file, or the directory. */
const char *weir_manifest_path(const weir_manifest *manifest);
uint32_t weir_manifest_file_count(const weir_manifest *manifest);
const char *weir_manifest_file_path(const weir_manifest *manifest, uint32_t file);
uint64_t weir_manifest_file_bytes(const weir_manifest *manifest, uint32_t file);
/* Of all files. */
uint64_t weir_manifest_bytes(const weir_manifest *manifest);
/* Of GGUF; 0: a directory. */
uint32_t weir_manifest_version(const weir_manifest *manifest);

uint32_t weir_manifest_tensor_count(const weir_manifest *manifest);
const struct weir_tensor *weir_manifest_tensor_at(const weir_manifest *manifest, uint32_t index);
/* NULL when there is none of that name. */
const struct weir_tensor *weir_manifest_tensor(const weir_manifest *manifest, const char *name);

/* Scalars by key. False when absent or not convertible without loss (a negative or fractional
 * number asked for as unsigned); *value is then unchanged. Any integer width is accepted. */
bool weir_manifest_u64(const weir_manifest *manifest, const char *key, uint64_t *value);
bool weir_manifest_f64(const weir_manifest *manifest, const char *key, double *value);
bool weir_manifest_bool(const weir_manifest *manifest, const char *key, bool *value);
/* Ended by NUL; strings with NUL inside are refused at open. NULL when absent or not a string. */
const char *weir_manifest_text(const weir_manifest *manifest, const char *key);
/* Element index of an array of integers or booleans; false when absent or out of range. */
bool weir_manifest_array_count(const weir_manifest *manifest, const char *key, uint64_t *count);
bool weir_manifest_array_u64(const weir_manifest *manifest, const char *key, uint64_t index,
                             uint64_t *value);

/* Element index of an array, or a number itself, as a number; false when there is none. */
bool weir_manifest_element(const weir_manifest *manifest, const char *key, uint64_t index,
                           double *value);

bool weir_manifest_has(const weir_manifest *manifest, const char *key);
uint32_t weir_manifest_key_count(const weir_manifest *manifest);
/* The name of key index, and one line of text for its value ("array of 8192 string") into out; a
 * text as weir_printable() shows it, cut where out ends. capacity is at least 1. */
const char *weir_manifest_key_at(const weir_manifest *manifest, uint32_t index, char *out,
                                 size_t capacity);

/* The tokenizer part, checked: every array has n_vocab entries, ids are in range, tokens are at
 * most WEIR_PIECE_MAX - 4 bytes (a detokenizer may hold 3 more). Borrowed from the manifest.
 * WEIR_ERR_FORMAT names the key that is missing or wrong. Built at the first call. */
enum weir_status weir_manifest_vocab(weir_manifest *manifest, const struct weir_vocab **vocab,
                                     struct weir_err *err);

/* Whether the white space behind a token goes in a GGUF file of the family and of model "llama",
 * which has no key that says so. */
bool weir_vocab_strips(const char *family, const struct weir_vocab *vocab, uint32_t id);

/* How a file's authors write a conversation: templates, and the special tokens that they name. */
enum { WEIR_CHAT_TEMPLATE_MAX = 16, WEIR_CHAT_SPECIAL_MAX = 7 };

struct weir_chat_facts {
    uint32_t template_count, special_count;
    struct weir_chat_text {
        char *name; /* "default", "tool_use", ...; "bos_token", "eos_token", ... */
        char *text; /* length bytes and a NUL */
        size_t length;
    } templates[WEIR_CHAT_TEMPLATE_MAX], specials[WEIR_CHAT_SPECIAL_MAX];
};

/* Of an open file; there may be none. The caller frees what facts hold, also after an error.
 * Errors: IO, FORMAT (of a file beside the model: names it), NOMEM. */
enum weir_status weir_manifest_chat(weir_manifest *manifest, struct weir_chat_facts *facts,
                                    struct weir_err *err);
void weir_chat_facts_free(struct weir_chat_facts *facts);

#endif
