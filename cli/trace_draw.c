/* trace_draw.c - one SVG of a replay: who is used, who is missing, and when. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "svg.h"
#include "trace.h"

/* Pixels. The maps stand side by side, the plot below is as wide as both. */
enum {
    LEFT = 76,
    RIGHT = 72,
    GAP = 92,
    MAP_TOP = 118,
    MAP_WIDTH = 512,
    MAP_HEIGHT = 400,
    CELL_HEIGHT_MAX = 24,
    LEGEND_WIDTH = 300,
    LEGEND_DOWN = 52, /* from a map to its legend */
    PLOT_DOWN = 152,  /* from the maps to the plot */
    PLOT_HEIGHT = 190,
    BELOW = 62,
};

/* What bounds the file: cells of a map, cells that carry their own words, points of a line. */
enum { COLUMN_MAX = 256, ROW_MAX = 128, TITLED_MAX = 8192, POINT_MAX = 1000 };
enum { LEVEL_COUNT = 32, RUN_TOKENS = 16 };

/* One heat map. */
struct map {
    const char *name, *unit; /* "Misses", "misses" */
    const uint64_t *values;  /* [row_count][col_count] */
    uint32_t n_layer, n_expert;
    uint32_t row_step, col_step, row_count, col_count;
    uint32_t cell_width, cell_height;
    uint32_t left;
    uint64_t most; /* of the cells */
};

static uint32_t divide_up(uint32_t above, uint32_t below)
{
    return above / below + (above % below != 0);
}

/* A step of 1, 2 or 5 times a power of ten that makes at most `most` steps up to `range`. */
static uint64_t find_step(uint64_t range, uint64_t most)
{
    static const uint64_t factors[] = {1, 2, 5};
    for (uint64_t ten = 1;; ten *= 10)
        for (size_t index = 0; index < WEIR_COUNT(factors); index++)
            if (ten * factors[index] * most >= range)
                return ten * factors[index];
}

/* ---- colours ------------------------------------------------------------------------------- */

/* The colour of a level from 1 to LEVEL_COUNT: viridis (Smith and van der Walt 2015) from yellow,
 * few, to violet, many. Its lightness falls evenly, so it reads in any colour vision, and in
 * grey. */
static unsigned find_colour(uint32_t level)
{
    static const unsigned anchors[] = {0xfde725, 0xaddc30, 0x5ec962, 0x28ae80, 0x21918c,
                                       0x2c728e, 0x3b528b, 0x472d7b, 0x440154};
    const double place = (double)(level - 1) / (LEVEL_COUNT - 1) * (WEIR_COUNT(anchors) - 1);
    const size_t low = (size_t)weir_min((uint64_t)place, WEIR_COUNT(anchors) - 2);
    unsigned colour = 0;
    for (int shift = 16; shift >= 0; shift -= 8) {
        const double from = anchors[low] >> shift & 255;
        const double to = anchors[low + 1] >> shift & 255;
        colour |= (unsigned)(from + (to - from) * (place - (double)low) + 0.5) << shift;
    }
    return colour;
}

/* Where a value from 1 to most stands on the scale, 0 to 1. Square roots keep the many small ones
 * apart. */
static double find_place(uint64_t value, uint64_t most)
{
    return most <= 1 ? 0.0 : (sqrt((double)value) - 1.0) / (sqrt((double)most) - 1.0);
}

/* 0 is no level. */
static uint32_t find_level(uint64_t value, uint64_t most)
{
    return value == 0 ? 0 : 1 + (uint32_t)(find_place(value, most) * (LEVEL_COUNT - 1) + 0.5);
}

/* ---- heat maps ----------------------------------------------------------------------------- */

static void init_map(struct map *map, const struct weir_cli_picture *picture,
                     const uint64_t *values)
{
    const struct weir_cli_grid *grid = &picture->grid;
    map->values = values;
    map->n_layer = picture->source->trace.n_layer;
    map->n_expert = picture->source->trace.n_expert;
    map->row_step = grid->row_step;
    map->col_step = grid->col_step;
    map->row_count = grid->row_count;
    map->col_count = grid->col_count;
    map->cell_width = MAP_WIDTH / map->col_count;
    map->cell_height = (uint32_t)weir_min(MAP_HEIGHT / map->row_count, CELL_HEIGHT_MAX);
    for (uint32_t cell = 0; cell < map->row_count * map->col_count; cell++)
        map->most = weir_max(map->most, values[cell]);
}

/* One unit of the group is one cell. Small maps say their numbers under the pointer. */
static void draw_cells(const struct map *map, FILE *file)
{
    const bool titled =
        map->row_count * map->col_count <= TITLED_MAX && map->row_step == 1 && map->col_step == 1;
    fprintf(file,
            "<rect x=\"%u\" y=\"%d\" width=\"%u\" height=\"%u\" fill=\"#efefef\"/>\n"
            "<g transform=\"translate(%u %d) scale(%u %u)\" shape-rendering=\"crispEdges\">\n",
            map->left, MAP_TOP, map->col_count * map->cell_width, map->row_count * map->cell_height,
            map->left, MAP_TOP, map->cell_width, map->cell_height);
    for (uint32_t level = 1; level <= LEVEL_COUNT; level++) {
        bool open = false;
        for (uint32_t row = 0; row < map->row_count; row++)
            for (uint32_t col = 0; col < map->col_count; col++) {
                const uint64_t sum = map->values[row * map->col_count + col];
                if (find_level(sum, map->most) != level)
                    continue;
                if (!open)
                    fprintf(file, "<g fill=\"#%06x\">\n", find_colour(level));
                open = true;
                fprintf(file, "<path d=\"M%u %uh1v1h-1z\"", col, row);
                if (titled)
                    fprintf(file, "><title>layer %u, expert %u: %llu %s</title></path>\n", row, col,
                            (unsigned long long)sum, map->unit);
                else
                    fputs("/>\n", file);
            }
        if (open)
            fputs("</g>\n", file);
    }
    fputs("</g>\n", file);
}

static void draw_map_axes(const struct map *map, FILE *file)
{
    const uint32_t width = map->col_count * map->cell_width;
    const uint32_t height = map->row_count * map->cell_height;
    uint64_t step = 1; /* of experts: powers of two, as their numbers are */
    while (step * 8 < map->n_expert)
        step *= 2;
    for (uint64_t expert = 0; expert < map->n_expert; expert += step)
        fprintf(file, "<text x=\"%.1f\" y=\"%u\" class=\"m\">%llu</text>\n",
                map->left + ((double)(expert / map->col_step) + 0.5) * map->cell_width,
                MAP_TOP + height + 15, (unsigned long long)expert);
    step = find_step(map->n_layer, 10);
    for (uint64_t layer = 0; layer < map->n_layer; layer += step)
        fprintf(file, "<text x=\"%u\" y=\"%.1f\" class=\"e\">%llu</text>\n", map->left - 6,
                MAP_TOP + ((double)(layer / map->row_step) + 0.5) * map->cell_height + 4,
                (unsigned long long)layer);
    fprintf(file,
            "<text x=\"%u\" y=\"%u\" class=\"m\">expert</text>\n"
            "<text transform=\"translate(%u %u) rotate(-90)\" class=\"m\">layer</text>\n",
            map->left + width / 2, MAP_TOP + height + 32, map->left - 42, MAP_TOP + height / 2);
}

/* The scale from nothing to the most, with numbers where they have room. */
static void draw_legend(const struct map *map, FILE *file)
{
    enum { ZERO_WIDTH = 14, ROOM = 30 };
    static const uint64_t factors[] = {1, 2, 5};
    const uint32_t top = MAP_TOP + map->row_count * map->cell_height + LEGEND_DOWN;
    const uint32_t left = map->left + ZERO_WIDTH + 10;
    double last = -ROOM;
    fprintf(file,
            "<rect x=\"%u\" y=\"%u\" width=\"%d\" height=\"12\" fill=\"#efefef\" "
            "stroke=\"#999\" stroke-width=\".5\"/>\n"
            "<text x=\"%u\" y=\"%u\" class=\"m\">0</text>\n",
            map->left, top, ZERO_WIDTH, map->left + ZERO_WIDTH / 2, top + 26);
    if (map->most == 0)
        return;
    for (uint32_t level = 1; level <= LEVEL_COUNT; level++)
        fprintf(file, "<path d=\"M%.2f %uh%.2fv12h-%.2fz\" fill=\"#%06x\"/>\n",
                left + (double)(level - 1) * LEGEND_WIDTH / LEVEL_COUNT, top,
                (double)LEGEND_WIDTH / LEVEL_COUNT + 0.3, (double)LEGEND_WIDTH / LEVEL_COUNT + 0.3,
                find_colour(level));
    for (uint64_t ten = 1, index = 0; ten * factors[index] <= map->most;) {
        const uint64_t value = ten * factors[index];
        const double place = find_place(value, map->most) * LEGEND_WIDTH;
        if (place - last >= ROOM && LEGEND_WIDTH - place >= ROOM) {
            fprintf(file, "<text x=\"%.1f\" y=\"%u\" class=\"m\">%llu</text>\n", left + place,
                    top + 26, (unsigned long long)value);
            last = place;
        }
        index = (index + 1) % WEIR_COUNT(factors);
        ten *= index == 0 ? 10 : 1;
    }
    fprintf(file,
            "<text x=\"%u\" y=\"%u\" class=\"m\">%llu</text>\n"
            "<text x=\"%u\" y=\"%u\">%s",
            left + LEGEND_WIDTH, top + 26, (unsigned long long)map->most, left + LEGEND_WIDTH + 18,
            top + 10, map->unit);
    if (map->row_step * map->col_step > 1)
        fprintf(file, " (a cell is %u x %u experts)", map->row_step, map->col_step);
    fputs("</text>\n", file);
}

static void draw_map(const struct map *map, FILE *file)
{
    fprintf(file, "<text x=\"%u\" y=\"%d\" class=\"h\">%s</text>\n", map->left, MAP_TOP - 12,
            map->name);
    draw_cells(map, file);
    draw_map_axes(map, file);
    draw_legend(map, file);
}

/* ---- misses over time ---------------------------------------------------------------------- */

struct plot {
    uint32_t left, top, width;
    uint32_t n_token, token_step;
    double most; /* misses at the top */
};

static double find_x(const struct plot *plot, double token)
{
    return plot->left + token * plot->width / plot->n_token;
}

static double find_y(const struct plot *plot, double misses)
{
    return plot->top + PLOT_HEIGHT - misses * PLOT_HEIGHT / plot->most;
}

/* One point for token_step tokens: their mean, or the running mean at the last of them. */
static void draw_line(const struct plot *plot, const uint32_t *misses, bool running, FILE *file)
{
    double run = 0.0;
    double sum = 0.0;
    uint32_t first = 0;
    fprintf(file, "<path class=\"%s\" d=\"", running ? "r" : "l");
    for (uint32_t token = 0; token < plot->n_token; token++) {
        run += misses[token];
        sum += misses[token];
        if (token >= RUN_TOKENS)
            run -= misses[token - RUN_TOKENS];
        if ((token + 1) % plot->token_step != 0 && token + 1 < plot->n_token)
            continue;
        const double mean = running ? run / (double)weir_min(token + 1, RUN_TOKENS)
                                    : sum / (double)(token + 1 - first);
        fprintf(file, "%s%.1f %.1f", first == 0 ? "M" : "L",
                find_x(plot, running ? token + 0.5 : (first + token + 1) * 0.5),
                find_y(plot, mean));
        first = token + 1;
        sum = 0.0;
    }
    fputs("\"/>\n", file);
}

/* A word beside a token's place, on the side that has room. */
static void draw_mark(const struct plot *plot, uint32_t token, uint32_t y, const char *word,
                      FILE *file)
{
    enum { ROOM = 130 };
    const double x = find_x(plot, token);
    const bool fits = x + ROOM < plot->left + plot->width;
    fprintf(file, "<text x=\"%.1f\" y=\"%u\" class=\"n%s\">%s</text>\n", fits ? x + 5 : x - 5, y,
            fits ? "" : " e", word);
}

static void draw_plot_axes(const struct plot *plot, const struct weir_cli_picture *picture,
                           FILE *file)
{
    const uint32_t bottom = plot->top + PLOT_HEIGHT;
    const uint32_t counted_from = picture->counted_from;
    const uint32_t prompt = picture->source->trace.n_prompt_token;
    const double warm = find_x(plot, counted_from) - plot->left;
    uint64_t step = find_step((uint64_t)plot->most, 5);
    fprintf(file, "<rect x=\"%u\" y=\"%u\" width=\"%.1f\" height=\"%d\" fill=\"#efefef\"/>\n",
            plot->left, plot->top, warm, PLOT_HEIGHT);
    for (uint64_t misses = 0; (double)misses <= plot->most; misses += step)
        fprintf(file,
                "<path class=\"g\" d=\"M%u %.1fh%u\"/>\n"
                "<text x=\"%u\" y=\"%.1f\" class=\"e\">%llu</text>\n",
                plot->left, find_y(plot, (double)misses), plot->width, plot->left - 6,
                find_y(plot, (double)misses) + 4, (unsigned long long)misses);
    step = find_step(plot->n_token, 14);
    for (uint64_t token = 0; token < plot->n_token; token += step)
        fprintf(file, "<text x=\"%.1f\" y=\"%u\" class=\"m\">%llu</text>\n",
                find_x(plot, (double)token + 0.5), bottom + 15, (unsigned long long)token);
    if (prompt > 0) {
        fprintf(file, "<path d=\"M%.1f %uv%d\" stroke=\"#555\" stroke-dasharray=\"4 3\"/>\n",
                find_x(plot, prompt), plot->top, PLOT_HEIGHT);
        draw_mark(plot, prompt, plot->top + 14, "end of the prompt", file);
    }
    if (counted_from > 0)
        draw_mark(plot, counted_from, plot->top + (prompt > 0 ? 30 : 14), "counted from here",
                  file);
    fprintf(file,
            "<text x=\"%u\" y=\"%u\" class=\"m\">token</text>\n"
            "<text transform=\"translate(%u %u) rotate(-90)\" class=\"m\">misses a token</text>\n",
            plot->left + plot->width / 2, bottom + 34, plot->left - 48,
            plot->top + PLOT_HEIGHT / 2);
}

static void draw_plot(struct plot *plot, const struct weir_cli_picture *picture, FILE *file)
{
    const struct weir_trace *trace = &picture->source->trace;
    const uint32_t legend = plot->left + plot->width - 330;
    uint32_t most = 1;
    plot->n_token = trace->n_token;
    plot->token_step = divide_up(trace->n_token, POINT_MAX);
    for (uint32_t token = 0; token < trace->n_token; token++)
        most = (uint32_t)weir_max(most, picture->token_misses[token]);
    const uint64_t step = find_step(most, 5);
    plot->most = (double)((most + step - 1) / step * step);
    fprintf(file, "<text x=\"%u\" y=\"%u\" class=\"h\">Misses over time</text>\n", plot->left,
            plot->top - 12);
    draw_plot_axes(plot, picture, file);
    draw_line(plot, picture->token_misses, false, file);
    draw_line(plot, picture->token_misses, true, file);
    fprintf(file, "<path class=\"l\" d=\"M%u %uh26\"/>\n<text x=\"%u\" y=\"%u\">", legend,
            plot->top - 16, legend + 32, plot->top - 12);
    if (plot->token_step == 1)
        fputs("each token", file);
    else
        fprintf(file, "each %u tokens", plot->token_step);
    fprintf(file,
            "</text>\n<path class=\"r\" d=\"M%u %uh26\"/>\n"
            "<text x=\"%u\" y=\"%u\">mean of the last %d tokens</text>\n",
            legend + 132, plot->top - 16, legend + 164, plot->top - 12, RUN_TOKENS);
}

/* ---- all of it ----------------------------------------------------------------------------- */

static void draw_title(const struct weir_cli_picture *picture, FILE *file)
{
    const struct weir_replay_result *result = &picture->result;
    const struct weir_trace *trace = &picture->source->trace;
    const char *slash = strrchr(picture->source->path, '/');
    const char *name = slash == NULL ? picture->source->path : slash + 1;
    const double rate =
        result->uses == 0 ? 0.0 : 100.0 * (double)result->hits / (double)result->uses;
    char sentence[256];
    snprintf(sentence, sizeof(sentence),
             "replayed with policy %s%s, %u slots a layer: hit rate %.1f %%", picture->policy,
             picture->pool ? " in a pool" : "", result->n_slot, rate);
    fputs("<title>", file);
    weir_cli_svg_text(file, name);
    fprintf(file, ", %s</title>\n<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
            sentence);
    fprintf(file, "<text x=\"%d\" y=\"36\" class=\"t\">", LEFT);
    weir_cli_svg_text(file, name);
    fprintf(file, "</text>\n<text x=\"%d\" y=\"60\" class=\"s\">%s</text>\n", LEFT, sentence);
    fprintf(file,
            "<text x=\"%d\" y=\"79\" class=\"n\">%u of %u experts a layer have a slot; %u layers, "
            "%u experts a token; %u tokens, %u of them prompt; %llu uses counted, %llu "
            "missing</text>\n",
            LEFT, result->n_slot, trace->n_expert, trace->n_layer, trace->n_expert_used,
            trace->n_token, trace->n_prompt_token, (unsigned long long)result->uses,
            (unsigned long long)(result->uses - result->hits));
}

enum weir_status weir_cli_picture_open(struct weir_cli_picture *picture, struct weir_err *err)
{
    const struct weir_trace *trace = &picture->source->trace;
    struct weir_cli_grid *grid = &picture->grid;
    grid->row_step = divide_up(trace->n_layer, ROW_MAX);
    grid->col_step = divide_up(trace->n_expert, COLUMN_MAX);
    grid->row_count = divide_up(trace->n_layer, grid->row_step);
    grid->col_count = divide_up(trace->n_expert, grid->col_step);
    const size_t cell_count = (size_t)grid->row_count * grid->col_count;
    picture->counted_from = trace->n_token;
    picture->uses = weir_heap_array(cell_count, sizeof(*picture->uses));
    picture->misses = weir_heap_array(cell_count, sizeof(*picture->misses));
    picture->token_misses = weir_heap_array(trace->n_token, sizeof(*picture->token_misses));
    if (picture->uses == NULL || picture->misses == NULL || picture->token_misses == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a picture of %u tokens",
                         trace->n_token);
    return WEIR_OK;
}

void weir_cli_picture_take(void *user, uint32_t token, uint32_t layer, const uint32_t *experts,
                           const bool *hits, uint32_t count, bool is_counted)
{
    struct weir_cli_picture *picture = user;
    const struct weir_cli_grid *grid = &picture->grid;
    const size_t row = (size_t)(layer / grid->row_step) * grid->col_count;
    if (is_counted && token < picture->counted_from)
        picture->counted_from = token;
    for (uint32_t index = 0; index < count; index++) {
        const size_t cell = row + experts[index] / grid->col_step;
        picture->token_misses[token] += !hits[index];
        picture->uses[cell] += is_counted;
        picture->misses[cell] += is_counted && !hits[index];
    }
}

void weir_cli_picture_close(struct weir_cli_picture *picture)
{
    weir_heap_free(picture->uses);
    weir_heap_free(picture->misses);
    weir_heap_free(picture->token_misses);
}

void weir_cli_picture_draw(const struct weir_cli_picture *picture, FILE *file)
{
    struct map uses = {.name = "Uses of each expert", .unit = "uses", .left = LEFT};
    struct map misses = {.name = "Misses of each expert", .unit = "misses"};
    init_map(&uses, picture, picture->uses);
    init_map(&misses, picture, picture->misses);
    const uint32_t map_width = uses.col_count * uses.cell_width;
    const uint32_t map_bottom = MAP_TOP + uses.row_count * uses.cell_height;
    misses.left = LEFT + map_width + GAP;
    struct plot plot = {
        .left = LEFT,
        .top = map_bottom + PLOT_DOWN,
        .width = 2 * map_width + GAP,
    };
    const uint32_t width = LEFT + plot.width + RIGHT;
    const uint32_t height = plot.top + PLOT_HEIGHT + BELOW;
    fprintf(file,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%u\" height=\"%u\" "
            "viewBox=\"0 0 %u %u\" role=\"img\">\n"
            "<style>text{font:12px system-ui,\"Segoe UI\",\"DejaVu Sans\",sans-serif;fill:#222}"
            ".m{text-anchor:middle}.e{text-anchor:end}.n{fill:#555}"
            ".h{font-size:15px;font-weight:600}.s{font-size:15px}"
            ".t{font-size:21px;font-weight:600}.g{stroke:#ddd}"
            ".l{stroke:#7fb2d9;fill:none}.r{stroke:#b34700;fill:none;stroke-width:2.5}"
            "</style>\n",
            width, height, width, height);
    draw_title(picture, file);
    draw_map(&uses, file);
    draw_map(&misses, file);
    draw_plot(&plot, picture, file);
    fputs("</svg>\n", file);
}
