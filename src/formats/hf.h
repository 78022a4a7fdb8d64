/* hf.h - Hugging Face directories as manifests: tables of families, and what the reader's files
 * share (docs/formats/hf.md). */
#ifndef WEIR_HF_H
#define WEIR_HF_H

#include "formats/safetensors.h"

/* ---- what a family's configuration and tensors are called: hf_tables.c ----------------------- */

/* How a member of config.json becomes a key. */
enum hf_carry {
    HF_IDLE,        /* of no effect for text, or the tensors say it */
    HF_COUNT,       /* a whole number: u32; of layers that differ: an array of them */
    HF_REAL,        /* a number: f32, as converters write it */
    HF_FLAG,        /* bool */
    HF_SUM,         /* a whole number, and the other: u32 */
    HF_PRODUCT,     /* a whole number times the other: u32 */
    HF_RSQRT,       /* one over the root of a number: f32 */
    HF_CHOICE,      /* refused unless it is one of the words between the '|' of word; where there is
                     * a key, which one, from 1 on */
    HF_OFF,         /* refused unless it is off, the word, or says nothing: null, false, [] */
    HF_ON,          /* refused unless it is true, or the number on */
    HF_WORD,        /* refused unless it is the word, the number on, or an array of nothing else */
    HF_EVERY,       /* of layers: refused unless each on-th alone is 0 */
    HF_LAYERS,      /* of layers: true where it is the word, false where it is full_attention */
    HF_LEAD,        /* of layers: how many before the first one without the word */
    HF_TWICE_LAST,  /* of each layer: the number, and in the last ones, the other many, twice it */
    HF_WINDOWED,    /* of each layer: the number, and in layers with a window the other */
    HF_REALS,       /* an array of a number or null, 0, for each layer: f32 */
    HF_FULL,        /* what layers of full attention have for the other: u32 */
    HF_FULL_LAYERS, /* the same, of each layer: an array of u32 */
};

struct hf_key {
    const char *name; /* in the part of config.json about text; a.b: member b of a */
    enum hf_carry carry;
    const char *key; /* after "FAMILY." */
    const char *word, *other;
    /* When the row says something: "a", member a is on; "!a", it is not; "a=b", it is the word or
     * number b. NULL: always. */
    const char *when;
    double off, on;
    bool has_fallback; /* what absence means, where the family's own code says it: */
    double fallback;
};

/* How a tensor's values lie, beside how GGUF has them. */
enum hf_layout {
    HF_PLAIN,        /* alike: the dimensions are named the other way round */
    HF_VECTOR,       /* a matrix of one row or column is a vector there */
    HF_SQUEEZE,      /* without the sides that are 1 */
    HF_PLUS_ONE,     /* a vector; values there are larger by 1 */
    HF_MINUS_EXP,    /* a vector; values there are minus the exponential */
    HF_EXPERT,       /* one of the matrices of a stack */
    HF_OUTPUT,       /* left out where the output is tied to the embedding */
    HF_SKIP,         /* of no use for text */
    HF_TURNS,        /* of two matrices that GGUF has one after the other: in turn a row of each */
    HF_TURNED,       /* matrices of floats that lie column by column */
    HF_TURNED_TURNS, /* the same, and of two matrices in turn a row of each */
};

struct hf_tensor {
    const char *name; /* '#' is a layer's number, '@' an expert's; '*' at the end: anything */
    const char *gguf;
    enum hf_layout layout;
};

enum { HF_TABLE_MAX = 8 };

struct hf_family {
    const char *model_type; /* as config.json has it */
    const char *text_type;  /* as its part about text has it, where that differs */
    const char *class_name; /* one of its architectures, where another family has its model_type */
    const char *architecture; /* general.architecture */
    bool is_tied;             /* what an absent tie_word_embeddings means */
    bool has_half_pairs;      /* rope turns pairs half a head apart, where GGUF has neighbours */
    bool has_grouped_heads;   /* value heads of delta nets are in groups, where GGUF has turns */
    bool scales_scores;       /* YaRN's mscale_all_dim is of the scores (hf_rope.c) */
    bool rope_is_half;        /* the loader turns half of a head in layers without a window */
    bool rope_is_exact;       /* YaRN's corners are not rounded: what its GGUF files mean */
    double rope_base;         /* what absence means; 0: 10000 */
    double rope_share;        /* of a head that is turned: the same; 0: 1 */
    /* Each table ends with a row without a name. Rows of a table hide those of the same name in
     * the tables after it. */
    const struct hf_key *keys[HF_TABLE_MAX];
    const struct hf_tensor *tensors[HF_TABLE_MAX];
};

/* The row of a config.json, by the model_type of its part about text if that has one. Errors:
 * FORMAT, UNSUPPORTED, which says what a known family lacks, or lists those that run. */
enum weir_status weir_hf_family_find(const struct hf_family **family, struct weir_json root,
                                     const char *path, struct weir_err *err);
/* The rows of the table, by name; NULL past the last. */
const struct hf_family *weir_hf_family_at(size_t row);

/* ---- keys: key_writer.c ---------------------------------------------------------------------- */

/* Keys on their way into a manifest that is being made. */
struct hf_key_writer {
    struct weir_manifest *manifest;
    const char *family; /* what keys begin with */
    uint8_t *bytes;
    uint64_t length, capacity;
    uint32_t key_capacity;
    struct weir_err *err;
};

/* "FAMILY.suffix", or suffix itself where that begins with a dot (".general.name" is general.name).
 * A key that is there already must have the same value. Errors: FORMAT, NOMEM. */
enum weir_status weir_hf_put_count(struct hf_key_writer *writer, const char *suffix,
                                   uint64_t value);
enum weir_status weir_hf_put_real(struct hf_key_writer *writer, const char *suffix, double value);
enum weir_status weir_hf_put_flag(struct hf_key_writer *writer, const char *suffix, bool value);
enum weir_status weir_hf_put_text(struct hf_key_writer *writer, const char *suffix,
                                  const char *value);
/* For each of count layers. */
enum weir_status weir_hf_put_counts(struct hf_key_writer *writer, const char *suffix,
                                    const uint32_t *values, uint64_t count);
enum weir_status weir_hf_put_flags(struct hf_key_writer *writer, const char *suffix,
                                   const uint8_t *values, uint64_t count);
enum weir_status weir_hf_put_reals(struct hf_key_writer *writer, const char *suffix,
                                   const float *values, uint64_t count);
/* What was put, a u32; 0 when it is no such thing. */
uint32_t weir_hf_key_count(const struct hf_key_writer *writer, const char *suffix);
/* The manifest has its keys, and their memory; or the writer gives it back. */
enum weir_status weir_hf_keys_finish(struct hf_key_writer *writer);
void weir_hf_keys_free(struct hf_key_writer *writer);

/* ---- config.json: hf_config.c, hf_carry.c, hf_layers.c, hf_rope.c ---------------------------- */

/* What the rest of the reader needs of config.json. */
struct hf_config {
    const char *path; /* of config.json, for messages */
    const struct hf_family *family;
    struct weir_json root; /* all of it */
    struct weir_json text; /* the part about text: the same, or a member */
    bool is_tied;
    uint32_t n_expert;
    uint64_t first_guess; /* the first of the layers that guess further tokens; 0: there are none */
    const struct hf_packing *packing; /* hf_packing.h; NULL: weights are whole */
    uint32_t group_rows, group_cols;  /* of a scale; 0: the shapes say it */
    bool has_zeros;                   /* all codes have zero points */
    /* [rope_set_count][rope_factor_count], the caller's to free; NULL: there are none. Two sets are
     * those of long texts and of short ones. */
    float *rope_factors;
    uint32_t rope_factor_count, rope_set_count;
    struct weir_err *err;
};

/* A member of the part about text; a.b: member b of a. What is null is not there. */
struct weir_json weir_hf_member(const struct hf_config *config, const char *name);
/* A number of it: false when it is absent; an error when it is something else. */
enum weir_status weir_hf_number(const struct hf_config *config, const char *name, bool *is_there,
                                double *value);
/* What a value is, short enough for a message. */
const char *weir_hf_show(struct weir_json value, char out[64]);
enum weir_status weir_hf_refuse(const struct hf_config *config, const char *name,
                                const char *wanted, struct weir_json found);
/* All keys of a row's tables. Errors: FORMAT, UNSUPPORTED, NOMEM. */
enum weir_status weir_hf_carry(const struct hf_config *config, struct hf_key_writer *writer);
/* The same for a row about what layers differ in; value: the member. */
enum weir_status weir_hf_carry_layers(const struct hf_config *config, struct hf_key_writer *writer,
                                      const struct hf_key *row, struct weir_json value);
/* Family and all keys. Errors: FORMAT, UNSUPPORTED, NOMEM. */
enum weir_status weir_hf_config_read(struct hf_config *config, struct hf_key_writer *writer);
/* The part of it about rope. Needs the other keys. */
enum weir_status weir_hf_rope_read(struct hf_config *config, struct hf_key_writer *writer);

/* quantization_config (hf_packing.c). Errors: FORMAT, UNSUPPORTED. */
enum weir_status weir_hf_packing_read(struct hf_config *config);

/* ---- tensors: hf_shards.c, hf_names.c -------------------------------------------------------- */

/* A file in memory: what it begins with, and how long it claims to be. */
struct weir_hf_file {
    const char *name;
    const void *bytes;
    size_t length;
    uint64_t file_bytes;
};

/* Where a directory's files come from: the disk, or memory, for tests. */
struct weir_hf_folder {
    const char *path;
    const struct weir_hf_file *files; /* NULL: the disk */
    uint32_t file_count;
};

/* The path of one of its files; the caller frees it. NULL: no memory. */
char *weir_hf_path(const struct weir_hf_folder *folder, const char *name);
/* A file of the directory, ready to be read: source->name is its path, which stays the caller's.
 * Close it in any case. Errors: IO, FORMAT, NOMEM. */
enum weir_status weir_hf_file_open(struct gguf_source *source, const struct weir_hf_folder *folder,
                                   const char *path, struct weir_err *err);
/* The same, and the whole of it is in source->bytes; `what` names it when it ends early. */
enum weir_status weir_hf_file_read(struct gguf_source *source, const struct weir_hf_folder *folder,
                                   const char *path, const char *what, uint64_t most_bytes,
                                   struct weir_err *err);
/* The whole of a JSON file; source has its bytes until it is closed. */
enum weir_status weir_hf_json_open(struct weir_json *root, struct gguf_source *source,
                                   const struct weir_hf_folder *folder, const char *path,
                                   uint64_t most_bytes, struct weir_err *err);
bool weir_hf_file_exists(const struct weir_hf_folder *folder, const char *name);

/* The manifest's files, and all tensors that they and their index name. */
enum weir_status weir_hf_shards_read(struct weir_manifest *manifest, struct weir_raw_list *list,
                                     const struct weir_hf_folder *folder, struct weir_err *err);
/* The manifest's tensors. */
enum weir_status weir_hf_tensors_bind(struct weir_manifest *manifest,
                                      const struct weir_raw_list *list,
                                      const struct hf_config *config);

/* The manifest's vocabulary, from files of the directory on the disk. On failure the caller forgets
 * what there is of it. Errors: IO, FORMAT, UNSUPPORTED, NOMEM. */
enum weir_status weir_hf_vocab_read(struct weir_manifest *manifest, struct weir_err *err);
/* A manifest of nothing but a vocabulary: a directory's, or that of a tokenizer.json by itself. */
enum weir_status weir_hf_vocab_open(weir_manifest **out, const char *path, bool is_folder,
                                    struct weir_err *err);

/* ---- the directory: hf.c --------------------------------------------------------------------- */

enum weir_status weir_hf_open(weir_manifest **out, const char *path, struct weir_err *err);
/* The same from memory, for tests and the fuzz target. */
enum weir_status weir_hf_parse(weir_manifest **out, const struct weir_hf_file *files,
                               uint32_t file_count, struct weir_err *err);

/* ---- generation_config.json: hf_sampling.c --------------------------------------------------- */

/* Errors: FORMAT, NOMEM. */
enum weir_status weir_hf_sampling_put(struct hf_key_writer *writer,
                                      const struct weir_hf_folder *folder);

#endif
