/* kv_places.c - where keys and values lie in their pages, and the tiles that rows become.
 *
 * Formats of rows have one part of the state, rows in pages. Formats of tiles have two: the tiles
 * of all positions, and rows of the latest ones, as a window. A tile is packed from its rows when
 * the last of its positions is computed, and not written again until that one is computed again;
 * who sees it packed, and who sees the rows, is weir_kv_packed_end()'s. Layers that see no further
 * back than those rows have rows alone: docs/decisions/0060-kv.md. */
#include "model/heads.h"

/* Whether a layer has positions that are seen packed. */
static bool has_tiles(const struct weir_mixer *mixer, enum weir_kv kv)
{
    return weir_kv_info(kv)->bits > 0 && (mixer->window == 0 || mixer->window > WEIR_KIVI_WINDOW);
}

bool weir_attention_is_packed(const struct weir_forward *forward)
{
    const uint32_t layer = forward->step.layer->mixer.keys_layer;
    return has_tiles(&forward->config.model->layers[layer].mixer, forward->config.kv);
}

struct weir_kept weir_attention_rows(const struct weir_forward *forward)
{
    const uint32_t layer = forward->step.layer->mixer.keys_layer;
    const uint32_t part = weir_attention_is_packed(forward) ? 1 : 0;
    return (struct weir_kept){
        .view = weir_state_view_get(forward->config.state, part * forward->shape->n_layer + layer),
        .kv = weir_kv_rows(forward->config.kv)};
}

struct weir_kept weir_attention_tiles(const struct weir_forward *forward)
{
    return (struct weir_kept){
        .view = weir_state_view_get(forward->config.state, forward->step.layer->mixer.keys_layer),
        .kv = forward->config.kv};
}

uint8_t *weir_kept_head(const struct weir_forward *forward, const struct weir_kept *kept, bool is_v,
                        uint32_t kv_head)
{
    const struct weir_mixer *mixer = &forward->step.layer->mixer;
    const size_t k_bytes = weir_kv_row_bytes(kept->kv, mixer->d_head);
    const size_t v_bytes = weir_kv_row_bytes(kept->kv, mixer->d_value);
    const size_t before = is_v ? mixer->n_kv_head * k_bytes + kv_head * v_bytes : kv_head * k_bytes;
    return kept->view.base + kept->view.at_bytes + before * kept->view.page_length;
}

const char *weir_kv_width_refusal(enum weir_kv kv, uint64_t k_width, uint64_t v_width)
{
    const uint32_t block_len = weir_kv_info(kv)->block_len;
    return k_width % block_len == 0 && v_width % block_len == 0
               ? NULL
               : "it has blocks of 32 values, and heads are no multiple of that";
}

const char *weir_attention_kv_refusal(const struct weir_mixer *mixer, enum weir_kv kv)
{
    return weir_kv_width_refusal(kv, mixer->d_head, mixer->d_value);
}

void weir_attention_state(const struct weir_mixer *mixer, enum weir_kv kv,
                          struct weir_state_layer *out)
{
    const bool is_packed = has_tiles(mixer, kv);
    const enum weir_kv rows = weir_kv_rows(kv);
    const enum weir_kv all = is_packed ? kv : rows;
    if (mixer->borrows)
        return;
    out[0] = (struct weir_state_layer){
        .kind = mixer->window == 0 ? WEIR_STATE_POSITIONS : WEIR_STATE_WINDOW,
        .window = mixer->window,
        .bytes = mixer->n_kv_head *
                 (weir_kv_row_bytes(all, mixer->d_head) + weir_kv_row_bytes(all, mixer->d_value))};
    if (is_packed)
        out[1] = (struct weir_state_layer){.kind = WEIR_STATE_WINDOW,
                                           .window = WEIR_KIVI_WINDOW,
                                           .bytes = mixer->n_kv_head *
                                                    (weir_kv_row_bytes(rows, mixer->d_head) +
                                                     weir_kv_row_bytes(rows, mixer->d_value))};
}

/* Tiles that end among n_row positions from `position` on. */
static uint32_t tiles_of(uint32_t position, uint32_t n_row)
{
    return (position + n_row) / WEIR_TILE - position / WEIR_TILE;
}

uint64_t weir_heads_tile_count(const struct weir_forward *forward)
{
    uint64_t count = 0;
    uint32_t row = 0;
    if (forward->step.layer->mixer.borrows || !weir_attention_is_packed(forward))
        return 0;
    for (uint32_t run = 0; run < forward->step.n_run; run++) {
        count += tiles_of(forward->step.rows[row].position, forward->step.runs[run].n_row);
        row += forward->step.runs[run].n_row;
    }
    return count;
}

/* A sequence's positions [WEIR_TILE * tile, + WEIR_TILE) of a head. */
static void pack_head(const struct weir_forward *forward, const weir_sequence *sequence,
                      uint32_t tile, uint32_t kv_head)
{
    const struct weir_mixer *mixer = &forward->step.layer->mixer;
    const struct weir_kept rows = weir_attention_rows(forward);
    const struct weir_kept tiles = weir_attention_tiles(forward);
    const uint32_t in_page = tile * WEIR_TILE % rows.view.page_length;
    const uint32_t page = weir_sequence_pages(sequence)[tile * WEIR_TILE / rows.view.page_length];
    for (int is_v = 0; is_v < 2; is_v++) {
        const size_t width = is_v != 0 ? mixer->d_value : mixer->d_head;
        const size_t row_bytes = weir_kv_row_bytes(rows.kv, width);
        const uint8_t *from = weir_kept_head(forward, &rows, is_v != 0, kv_head) +
                              page * rows.view.stride_bytes + in_page * row_bytes;
        uint8_t *to = weir_kept_head(forward, &tiles, is_v != 0, kv_head) +
                      page * tiles.view.stride_bytes + in_page * weir_kv_row_bytes(tiles.kv, width);
        if (is_v != 0)
            weir_kv_pack_values(tiles.kv, from, row_bytes, width, to);
        else
            weir_kv_pack_keys(tiles.kv, from, row_bytes, width, to);
    }
}

/* Every n_part-th head of every tile. */
void weir_heads_pack(void *user, uint32_t part, uint32_t n_part)
{
    const struct weir_forward *forward = user;
    const uint32_t n_kv_head = forward->step.layer->mixer.n_kv_head;
    uint64_t item = 0;
    uint32_t row = 0;
    for (uint32_t index = 0; index < forward->step.n_run; index++) {
        const struct weir_run *run = &forward->step.runs[index];
        const uint32_t position = forward->step.rows[row].position;
        const uint32_t count = tiles_of(position, run->n_row);
        for (uint32_t tile = 0; tile < count; tile++)
            for (uint32_t head = 0; head < n_kv_head; head++)
                if (item++ % n_part == part)
                    pack_head(forward, run->sequence, position / WEIR_TILE + tile, head);
        row += run->n_row;
    }
}
