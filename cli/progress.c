/* progress.c - how far a load or a prompt is, on a terminal, when it takes longer than a moment. */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

enum { BAR_WIDTH = 16 };
#define PROGRESS_QUIET_NS 400000000ull /* what is shorter needs no bar */
#define PROGRESS_STEP_NS 100000000ull

static const char *draw_bar(double share, char out[BAR_WIDTH + 1])
{
    const int marks = (int)(share * BAR_WIDTH);
    for (int at = 0; at < BAR_WIDTH; at++)
        out[at] = at < marks ? '#' : '.';
    out[BAR_WIDTH] = '\0';
    return out;
}

bool weir_cli_progress_tell(void *user, const char *what, uint64_t done_bytes, uint64_t total_bytes)
{
    struct weir_cli_progress *progress = user;
    const uint64_t now_ns = weir_now_ns();
    if (progress->what == NULL || strcmp(progress->what, what) != 0) {
        progress->what = what;
        progress->start_ns = now_ns;
    }
    if (done_bytes >= total_bytes) {
        weir_cli_status_clear();
        return !weir_cli_stop_asked();
    }
    if (now_ns - progress->start_ns < PROGRESS_QUIET_NS ||
        now_ns - progress->shown_ns < PROGRESS_STEP_NS)
        return !weir_cli_stop_asked();
    progress->shown_ns = now_ns;
    const double share = (double)done_bytes / (double)total_bytes;
    const double rate = (double)done_bytes / ((double)(now_ns - progress->start_ns) * 1e-9);
    const double left_s = rate > 0.0 ? ceil((double)(total_bytes - done_bytes) / rate) : 0.0;
    char bar[BAR_WIDTH + 1];
    char done[32];
    char total[32];
    char speed[32];
    weir_cli_status_line("%s %3.0f %%, %.0f s left [%s] %s of %s, %s/s", what, 100.0 * share,
                         left_s, draw_bar(share, bar),
                         weir_format_size(done_bytes, done, sizeof(done)),
                         weir_format_size(total_bytes, total, sizeof(total)),
                         weir_format_size((uint64_t)rate, speed, sizeof(speed)));
    return !weir_cli_stop_asked();
}

/* ---- prompts ------------------------------------------------------------------------------- */

void weir_cli_prompt_progress_tell(struct weir_cli_prompt_progress *progress, double done)
{
    const uint64_t now_ns = weir_now_ns();
    if (now_ns - progress->start_ns < PROGRESS_QUIET_NS ||
        now_ns - progress->shown_ns < PROGRESS_STEP_NS)
        return;
    progress->shown_ns = now_ns;
    const double share = done < progress->total ? done / progress->total : 1.0;
    const double passed_s = (double)(now_ns - progress->start_ns) * 1e-9;
    char bar[BAR_WIDTH + 1];
    weir_cli_status_line("%sprompt %3.0f %%, %.0f s left [%s] %.0f of %u tokens", progress->before,
                         100.0 * share, share > 0.0 ? ceil(passed_s * (1.0 - share) / share) : 0.0,
                         draw_bar(share, bar), share * progress->total, progress->total);
}

/* Told by each layer with experts: what is done are the rows of the layers so far. */
static void tell_layer(void *user, uint32_t layer, uint32_t position, uint32_t n_token,
                       uint32_t n_expert_used, const uint32_t *experts)
{
    struct weir_cli_prompt_progress *progress = user;
    (void)n_expert_used, (void)experts;
    weir_cli_prompt_progress_tell(progress, position - progress->first +
                                                n_token * (layer + 1.0) / progress->n_layer);
}

void weir_cli_prompt_progress_begin(struct weir_cli_prompt_progress *progress,
                                    const struct weir_cli_rig *rig, size_t count)
{
    const struct weir_plan *plan = weir_engine_plan(rig->engine);
    progress->session = rig->session;
    progress->start_ns = weir_now_ns();
    progress->first = weir_session_position(rig->session);
    progress->total = (uint32_t)count;
    progress->n_layer = plan->cost.n_moe_layer;
    progress->piece = progress->total;
    if (!isatty(STDERR_FILENO) || weir_cli_is_quiet())
        return;
    if (progress->n_layer > 0)
        weir_session_watch_routing(rig->session, tell_layer, progress);
    else /* of a model without experts no layer tells, only what is computed at a time */
        progress->piece = plan->n_chunk;
}

void weir_cli_prompt_progress_end(struct weir_cli_prompt_progress *progress)
{
    weir_session_watch_routing(progress->session, NULL, NULL);
    weir_cli_status_clear();
}
