/* sim_kept.c - keys and values in fewer bits, as the simulated device has them. */
#include "gpu/sim_internal.h"

static uint32_t number_at(const struct weir_sim *sim, weir_gpu_address numbers, uint64_t index)
{
    return *(const uint32_t *)weir_sim_at(sim, numbers + index * sizeof(uint32_t),
                                          sizeof(uint32_t));
}

static bool has_values(const struct weir_gpu_pages *pages)
{
    return pages->v != pages->k;
}

/* K's or V's row of a head and a position of page 0, in bytes from a page's start. */
static uint64_t kept_at(const struct weir_gpu_pages *pages, enum weir_kv kv, bool is_v,
                        uint32_t head, uint32_t in_page)
{
    const uint64_t k_bytes = weir_kv_row_bytes(kv, pages->d_head);
    const uint64_t row_bytes = is_v ? weir_kv_row_bytes(kv, pages->d_value) : k_bytes;
    return (is_v ? (uint64_t)pages->n_kv_head * pages->page_length * k_bytes : 0) +
           ((uint64_t)head * pages->page_length + in_page) * row_bytes;
}

static uint8_t *kept_row(const struct weir_sim *sim, const struct weir_gpu_pages *pages,
                         const struct weir_gpu_kept *kept, uint32_t page, uint64_t at, bool is_v)
{
    const uint32_t width = is_v ? pages->d_value : pages->d_head;
    return weir_sim_at(sim, kept->base + page * kept->page_bytes + at,
                       weir_kv_row_bytes(kept->kv, width));
}

static uint32_t page_of(const struct weir_sim *sim, const struct weir_gpu_rows *rows, uint32_t row,
                        uint32_t place)
{
    return number_at(sim, rows->pages, (uint64_t)number_at(sim, rows->table_at, row) + place);
}

void weir_sim_keep(struct weir_sim *sim, const struct weir_gpu_keep *job)
{
    const struct weir_gpu_pages *pages = &job->pages;
    for (uint32_t row = 0; row < job->rows.n_row; row++) {
        const uint32_t position = number_at(sim, job->rows.positions, row);
        const uint32_t page = page_of(sim, &job->rows, row, position / pages->page_length);
        for (int is_v = 0; is_v < (has_values(pages) ? 2 : 1); is_v++)
            for (uint32_t head = 0; head < pages->n_kv_head; head++) {
                const uint32_t width = is_v != 0 ? pages->d_value : pages->d_head;
                const uint64_t value =
                    (uint64_t)row * (is_v != 0 ? job->v_stride : job->k_stride) + head * width;
                const uint64_t at =
                    kept_at(pages, job->kept.kv, is_v != 0, head, position % pages->page_length);
                weir_kv_store_row(job->kept.kv,
                                  weir_sim_at(sim,
                                              (is_v != 0 ? job->v : job->k) + value * sizeof(float),
                                              width * sizeof(float)),
                                  kept_row(sim, pages, &job->kept, page, at, is_v != 0), width);
            }
    }
}

/* One head's row of a position. */
static void expand_row(struct weir_sim *sim, const struct weir_gpu_expand *job, uint32_t page,
                       bool is_v, uint32_t head, uint32_t in_page)
{
    const struct weir_gpu_pages *pages = &job->pages;
    const uint32_t width = is_v ? pages->d_value : pages->d_head;
    const uint64_t to =
        page * pages->page_stride + ((uint64_t)head * pages->page_length + in_page) * width;
    const uint64_t at = kept_at(pages, job->kept.kv, is_v, head, in_page);
    float *values = weir_sim_scratch(sim, width * sizeof(float));
    if (values == NULL)
        return;
    weir_kv_load_row(job->kept.kv, kept_row(sim, pages, &job->kept, page, at, is_v), values, width);
    sim->kernels.to_f16(values,
                        weir_sim_at(sim, (is_v ? pages->v : pages->k) + to * sizeof(uint16_t),
                                    width * sizeof(uint16_t)),
                        width);
}

void weir_sim_expand(struct weir_sim *sim, const struct weir_gpu_expand *job)
{
    const struct weir_gpu_pages *pages = &job->pages;
    for (uint32_t run = 0; run < job->n_run; run++) {
        const uint32_t first = number_at(sim, job->first, run);
        const uint32_t last = number_at(sim, job->first, run + 1) - 1;
        const uint32_t end = number_at(sim, job->rows.positions, last) + 1;
        uint32_t begin = number_at(sim, job->rows.positions, first);
        WEIR_ASSERT(end <= job->position_max + 1);
        if (job->window == 0)
            begin = 0;
        else if (job->is_in_chunks)
            begin = begin / job->window * job->window;
        else
            begin = begin < job->window ? 0 : begin + 1 - job->window;
        for (uint32_t position = begin; position < end; position++) {
            const uint32_t in_page = position % pages->page_length;
            const uint32_t page = page_of(sim, &job->rows, first, position / pages->page_length);
            for (uint32_t head = 0; head < pages->n_kv_head; head++) {
                expand_row(sim, job, page, false, head, in_page);
                if (has_values(pages))
                    expand_row(sim, job, page, true, head, in_page);
            }
        }
    }
}
