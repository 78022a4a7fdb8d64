/* compare_draw.c - a picture of results: what each loses over its bytes, and over its speed. */
#include <string.h>

#include "compare.h"
#include "svg.h"

enum {
    PANEL_WIDTH = 400,
    PANEL_HEIGHT = 280,
    PANEL_TOP = 118,
    LEFT = 74,
    GAP = 92,
    RIGHT = 28,
    LEGEND_DOWN = 76,
    LINE_HEIGHT = 20,
};

/* One axis: values from low to high; by their logarithm where they are far apart. */
struct axis {
    double low, high;
    bool is_log;
};

/* A picture's panel: each result that has both numbers is a point. */
struct panel {
    const char *name, *unit;
    uint32_t left;
    bool is_more_better; /* of x; of y less is */
    struct axis x, y;
    size_t count;
    struct point {
        double x, y, low, high;
        size_t result; /* from 1 */
    } points[WEIR_CLI_RESULT_MAX];
};

/* ---- figures ------------------------------------------------------------------------------- */

static double measure(enum weir_cli_metric figure, double value)
{
    if (figure == WEIR_CLI_METRIC_NLL)
        return exp(value);
    return figure == WEIR_CLI_METRIC_RIGHT ? 100.0 * (1.0 - value) : value;
}

static const char *name_figure(enum weir_cli_metric figure)
{
    if (figure == WEIR_CLI_METRIC_NLL)
        return "perplexity";
    return figure == WEIR_CLI_METRIC_RIGHT ? "wrong answers, %" : "KL divergence, nats a token";
}

static void widen(struct axis *axis, double value)
{
    axis->low = fmin(axis->low, value);
    axis->high = fmax(axis->high, value);
}

static void round_axis(struct axis *axis, bool from_zero)
{
    if (axis->is_log) {
        axis->low /= 1.5;
        axis->high *= 1.5;
        return;
    }
    const double room = fmax((axis->high - axis->low) * 0.12, axis->high * 0.02 + 1e-9);
    axis->low = from_zero ? 0.0 : fmax(axis->low - room, 0.0);
    axis->high += room;
}

static void fill_panel(struct panel *panel, const struct weir_cli_comparison *comparison)
{
    const enum weir_cli_metric figure = weir_cli_comparison_figure(comparison);
    panel->x = panel->y = (struct axis){.low = (double)INFINITY, .high = -(double)INFINITY};
    for (size_t index = 0; index < comparison->count; index++) {
        const struct weir_cli_result *result = &comparison->results[index];
        const double x = panel->is_more_better ? result->tps : result->bytes / 1073741824.0;
        const struct weir_cli_interval *own = &result->own[figure];
        const double y = measure(figure, own->value);
        if (!isfinite(x) || !isfinite(y))
            continue;
        double low = measure(figure, isfinite(own->low) ? own->low : own->value);
        double high = measure(figure, isfinite(own->high) ? own->high : own->value);
        if (low > high) { /* of wrong answers the least is where the most are right */
            const double swapped = low;
            low = high;
            high = swapped;
        }
        panel->points[panel->count++] = (struct point){x, y, low, high, index + 1};
        widen(&panel->x, x);
        widen(&panel->y, fmax(low, 0.0));
        widen(&panel->y, high);
    }
    /* A run is next to nothing from its own reference, and may lie below 0 by rounding. */
    panel->y.is_log = panel->y.low > 0.0 && panel->y.high > 20.0 * panel->y.low;
    panel->x.is_log = panel->x.low > 0.0 && panel->x.high > 20.0 * panel->x.low;
    round_axis(&panel->x, false);
    round_axis(&panel->y, figure == WEIR_CLI_METRIC_KL);
}

/* No other point is better in one and at least as good in the other. */
static bool is_front(const struct panel *panel, const struct point *point)
{
    for (size_t index = 0; index < panel->count; index++) {
        const struct point *other = &panel->points[index];
        const double x = panel->is_more_better ? other->x - point->x : point->x - other->x;
        if (x >= 0.0 && other->y <= point->y && (x > 0.0 || other->y < point->y))
            return false;
    }
    return true;
}

/* ---- drawing ------------------------------------------------------------------------------- */

static double place(const struct axis *axis, double value)
{
    if (axis->is_log)
        return (log(fmax(value, axis->low)) - log(axis->low)) / (log(axis->high) - log(axis->low));
    return (value - axis->low) / (axis->high - axis->low);
}

static double find_x(const struct panel *panel, double value)
{
    return panel->left + PANEL_WIDTH * place(&panel->x, value);
}

static double find_y(const struct panel *panel, double value)
{
    return PANEL_TOP + PANEL_HEIGHT * (1.0 - fmin(fmax(place(&panel->y, value), 0.0), 1.0));
}

/* 1, 2 or 5 times a power of ten, so that some five of them fit. */
static double find_step(double range)
{
    const double ten = pow(10.0, floor(log10(range / 5.0)));
    const double rest = range / 5.0 / ten;
    return ten * (rest > 5.0 ? 10.0 : rest > 2.0 ? 5.0 : rest > 1.0 ? 2.0 : 1.0);
}

static void draw_tick(const struct panel *panel, bool is_x, double value, FILE *file)
{
    if (is_x)
        fprintf(file,
                "<path class=\"g\" d=\"M%.1f %dv%d\"/><text x=\"%.1f\" y=\"%d\" class=\"m\">%.6g"
                "</text>\n",
                find_x(panel, value), PANEL_TOP, PANEL_HEIGHT, find_x(panel, value),
                PANEL_TOP + PANEL_HEIGHT + 17, value);
    else
        fprintf(file,
                "<path class=\"g\" d=\"M%u %.1fh%d\"/><text x=\"%u\" y=\"%.1f\" class=\"e\">%.6g"
                "</text>\n",
                panel->left, find_y(panel, value), PANEL_WIDTH, panel->left - 7,
                find_y(panel, value) + 4, value);
}

static void draw_ticks(const struct panel *panel, bool is_x, FILE *file)
{
    const struct axis *axis = is_x ? &panel->x : &panel->y;
    if (axis->is_log) {
        static const double factors[] = {1.0, 2.0, 5.0};
        for (double ten = pow(10.0, floor(log10(axis->low))); ten <= axis->high; ten *= 10.0)
            for (size_t index = 0; index < WEIR_COUNT(factors); index++)
                if (ten * factors[index] >= axis->low && ten * factors[index] <= axis->high)
                    draw_tick(panel, is_x, ten * factors[index], file);
        return;
    }
    const double step = find_step(axis->high - axis->low);
    for (double value = ceil(axis->low / step) * step; value <= axis->high; value += step)
        draw_tick(panel, is_x, fabs(value) < step / 1e6 ? 0.0 : value, file);
}

/* Steps along the points that no other one beats. */
static void draw_front(const struct panel *panel, FILE *file)
{
    double last = panel->is_more_better ? (double)INFINITY : -(double)INFINITY;
    bool is_first = true;
    fputs("<path class=\"f\" d=\"", file);
    for (size_t round = 0; round < panel->count; round++) {
        const struct point *next = NULL;
        for (size_t index = 0; index < panel->count; index++) {
            const struct point *point = &panel->points[index];
            const bool is_later = panel->is_more_better ? point->x < last : point->x > last;
            if (is_later && is_front(panel, point) &&
                (next == NULL || (panel->is_more_better ? point->x > next->x : point->x < next->x)))
                next = point;
        }
        if (next == NULL)
            break;
        fprintf(file, is_first ? "M%.1f %.1f" : "H%.1fV%.1f", find_x(panel, next->x),
                find_y(panel, next->y));
        is_first = false;
        last = next->x;
    }
    fputs("\"/>\n", file);
}

static void draw_panel(const struct panel *panel, enum weir_cli_metric figure, FILE *file)
{
    fprintf(file, "<text x=\"%u\" y=\"%d\" class=\"h\">%s</text>\n", panel->left, PANEL_TOP - 14,
            panel->name);
    if (panel->count == 0) {
        fprintf(file, "<text x=\"%u\" y=\"%d\" class=\"n\">no result says it</text>\n", panel->left,
                PANEL_TOP + 20);
        return;
    }
    draw_ticks(panel, true, file);
    draw_ticks(panel, false, file);
    draw_front(panel, file);
    for (size_t index = 0; index < panel->count; index++) {
        const struct point *point = &panel->points[index];
        const double x = find_x(panel, point->x);
        fprintf(file, "<path class=\"b\" d=\"M%.1f %.1fV%.1f\"/>\n", x, find_y(panel, point->low),
                find_y(panel, point->high));
        fprintf(file, "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"5\"/>\n",
                is_front(panel, point) ? "p" : "q", x, find_y(panel, point->y));
        fprintf(file, "<text x=\"%.1f\" y=\"%.1f\" class=\"k\">%zu</text>\n", x + 8,
                find_y(panel, point->y) - 7, point->result);
    }
    fprintf(file, "<text x=\"%u\" y=\"%d\" class=\"m\">%s</text>\n", panel->left + PANEL_WIDTH / 2,
            PANEL_TOP + PANEL_HEIGHT + 38, panel->unit);
    fprintf(file, "<text transform=\"translate(%u %d) rotate(-90)\" class=\"m\">%s</text>\n",
            panel->left - 56, PANEL_TOP + PANEL_HEIGHT / 2, name_figure(figure));
}

static void draw_legend(const struct weir_cli_comparison *comparison, FILE *file)
{
    const enum weir_cli_metric figure = weir_cli_comparison_figure(comparison);
    int y = PANEL_TOP + PANEL_HEIGHT + LEGEND_DOWN;
    for (size_t index = 0; index < comparison->count; index++, y += LINE_HEIGHT) {
        const struct weir_cli_result *result = &comparison->results[index];
        char size[32] = "size not known";
        if (isfinite(result->bytes))
            weir_format_size((uint64_t)result->bytes, size, sizeof(size));
        fprintf(file, "<text x=\"%d\" y=\"%d\" class=\"k\">%zu</text><text x=\"%d\" y=\"%d\">",
                LEFT, y, index + 1, LEFT + 24, y);
        weir_cli_svg_text(file, result->name);
        fprintf(file, "</text><text x=\"%d\" y=\"%d\" class=\"n\">%s", LEFT + 24 + PANEL_WIDTH, y,
                size);
        if (isfinite(result->bits_per_weight))
            fprintf(file, ", %.2f bits a weight", result->bits_per_weight);
        if (isfinite(result->tps))
            fprintf(file, ", %.1f tokens/s", result->tps);
        fprintf(file, ", %.5g</text>\n", measure(figure, result->own[figure].value));
    }
}

static const char style[] =
    "<style>svg{background:#fff}"
    "text{font:12px system-ui,\"Segoe UI\",\"DejaVu Sans\",sans-serif;fill:#222}"
    ".m{text-anchor:middle}.e{text-anchor:end}.n{fill:#555}.k{font-weight:600}"
    ".h{font-size:15px;font-weight:600}.t{font-size:21px;font-weight:600}"
    ".g{stroke:#e2e2e2}.f{stroke:#b34700;fill:none;stroke-width:2}"
    ".b{stroke:#777}.p{fill:#b34700}.q{fill:#7fb2d9}"
    "@media (prefers-color-scheme:dark){svg{background:#16181c}text{fill:#e4e4e4}.n{fill:#aaa}"
    ".g{stroke:#33363c}.f{stroke:#ff9a4d}.p{fill:#ff9a4d}.q{fill:#5c93bf}.b{stroke:#999}}"
    "</style>\n";

void weir_cli_comparison_draw(const struct weir_cli_comparison *comparison, FILE *file)
{
    const enum weir_cli_metric figure = weir_cli_comparison_figure(comparison);
    struct panel bytes = {.name = "Over bytes", .unit = "GiB of the file", .left = LEFT};
    struct panel speed = {.name = "Over speed",
                          .unit = "tokens/s read",
                          .left = LEFT + PANEL_WIDTH + GAP,
                          .is_more_better = true};
    const int width = LEFT + 2 * PANEL_WIDTH + GAP + RIGHT;
    const int height =
        PANEL_TOP + PANEL_HEIGHT + LEGEND_DOWN + (int)comparison->count * LINE_HEIGHT + 6;
    fill_panel(&bytes, comparison);
    fill_panel(&speed, comparison);
    fprintf(file,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
            "viewBox=\"0 0 %d %d\" role=\"img\">\n<title>Quality over bytes and speed</title>\n%s",
            width, height, width, height, style);
    fprintf(file,
            "<text x=\"%d\" y=\"36\" class=\"t\">What each file costs in quality</text>\n"
            "<text x=\"%d\" y=\"60\" class=\"n\">%s over %llu %s; bars are where it is with 95 %%; "
            "the line joins what no other one beats</text>\n",
            LEFT, LEFT, name_figure(figure), (unsigned long long)comparison->token_count,
            comparison->is_choice ? "questions" : "tokens");
    draw_panel(&bytes, figure, file);
    draw_panel(&speed, figure, file);
    draw_legend(comparison, file);
    fputs("</svg>\n", file);
}
