/* hf_sampling.c - how generation_config.json advises to choose tokens, as the keys that a GGUF file
 * has for it.
 *
 * Where do_sample is false, what is said of chances has no effect, as in transformers. */
#include "formats/hf.h"

#include "base/heap.h"

enum { CONFIG_BYTES_MAX = 1 << 20 };

static const struct {
    const char *name, *key;
    bool is_count, is_of_chance;
} rows[] = {
    {"temperature", ".general.sampling.temp", false, true},
    {"top_k", ".general.sampling.top_k", true, true},
    {"top_p", ".general.sampling.top_p", false, true},
    {"min_p", ".general.sampling.min_p", false, true},
    {"repetition_penalty", ".general.sampling.penalty_repeat", false, false},
};

static enum weir_status put_row(struct hf_key_writer *writer, const char *path, size_t row,
                                struct weir_json value)
{
    uint64_t count = 0;
    double real = 0.0;
    if (rows[row].is_count && weir_json_u64(value, &count) && count <= UINT32_MAX)
        return weir_hf_put_count(writer, rows[row].key, count);
    if (!rows[row].is_count && weir_json_f64(value, &real))
        return weir_hf_put_real(writer, rows[row].key, real);
    char shown[64];
    weir_warn(writer->manifest->warnings, "%s: %s: wanted a number, found %s: ignored", path,
              rows[row].name, weir_hf_show(value, shown));
    return WEIR_OK;
}

static enum weir_status put_rows(struct hf_key_writer *writer, const char *path,
                                 struct weir_json root)
{
    bool samples = true;
    (void)weir_json_bool(weir_json_member(root, "do_sample"), &samples);
    for (size_t row = 0; row < WEIR_COUNT(rows); row++) {
        const struct weir_json value = weir_json_member(root, rows[row].name);
        if (weir_json_kind(value) > WEIR_JSON_NULL && (samples || !rows[row].is_of_chance))
            WEIR_TRY(put_row(writer, path, row, value));
    }
    return WEIR_OK;
}

enum weir_status weir_hf_sampling_put(struct hf_key_writer *writer,
                                      const struct weir_hf_folder *folder)
{
    static const char name[] = "generation_config.json";
    struct gguf_source source = {.fd = -1};
    struct weir_json root = {0};
    struct weir_err why = {0};
    if (!weir_hf_file_exists(folder, name))
        return WEIR_OK;
    char *path = weir_hf_path(folder, name);
    if (path == NULL)
        return WEIR_FAIL(writer->err, WEIR_ERR_NOMEM, "no memory for a file's name");
    enum weir_status status =
        weir_hf_json_open(&root, &source, folder, path, CONFIG_BYTES_MAX, &why);
    if (status == WEIR_OK)
        status = put_rows(writer, path, root);
    else if (status == WEIR_ERR_NOMEM)
        WEIR_FAIL(writer->err, status, "%s", why.text);
    else
        status = WEIR_OK; /* whoever wants to know what ends a text is told what is wrong with it */
    weir_gguf_source_close(&source);
    weir_heap_free(path);
    return status;
}
