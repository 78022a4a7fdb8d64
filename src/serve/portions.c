/* portions.c - how many rows of prompts a step has.
 *
 * I1  Nothing is larger than twice what was tried: what a row costs is known for pieces of about
 *     that size, and a few rows say little about many. */
#include "serve/portions.h"

#include <math.h>

enum {
    ROWS_MIN = 8,      /* beside tokens, however long it takes: prompts must come to their end */
    ROWS_FIRST = 32,   /* before anything is known */
    ALONE_FIRST = 64,  /* the same of steps of nothing but prompts, where nothing is read */
    SIZE_MIN = 3,      /* pieces of nothing but prompts have 2^3 rows at least */
    QUESTION_MAX = 32, /* of a short question beside tokens */
    PLAIN_TIMES = 3,   /* as long as a step without a prompt may one with it take, */
    LEAST_TIMES = 2,   /* or as long as one with the fewest rows, where these take longer */
    AGE_MAX = 32,      /* steps after which both are measured anew */
    RETRY_STEPS = 64,  /* after which a smaller piece is tried anew */
    NS_PER_MS = 1000000,
};

/* While short questions come, each of which waits for the step that is under way: so much of the
 * gap, or so much longer than a step without a prompt, may one with it take. */
static const double quick_share = 0.5, quick_times = 1.5;

/* Of the gap: from then on a plain step may be so long that it is what bounds. */
static const double tight_share = 0.75;

/* A piece may cost so much more than the cheapest; and while short questions come. */
static const double costlier_max = 1.125, costlier_quick = 1.5;

void weir_portions_init(struct weir_portions *pieces, uint32_t gap_ms, uint32_t n_chunk,
                        bool is_streamed)
{
    *pieces = (struct weir_portions){
        .gap_ns = (uint64_t)gap_ms * NS_PER_MS,
        .n_chunk = n_chunk,
        .first_rows = is_streamed ? n_chunk : (uint32_t)weir_min(ALONE_FIRST, n_chunk),
    };
}

/* ---- beside tokens ------------------------------------------------------------------------- */

/* Whether it is worth a step to know how long one without a prompt takes. */
static bool wants_plain(const struct weir_portions *pieces, uint32_t token_count)
{
    const uint32_t known = pieces->plain_count;
    return pieces->is_tight && (known == 0 || pieces->plain_age >= AGE_MAX ||
                                token_count > 2 * known || known > 2 * token_count);
}

/* What was asked for, or what cannot be helped. */
static double most_ns(const struct weir_portions *pieces)
{
    return fmax((double)pieces->gap_ns, PLAIN_TIMES * pieces->plain_ns);
}

static bool is_least_too_long(const struct weir_portions *pieces)
{
    return pieces->least_ns > most_ns(pieces);
}

static double question_bound_ns(const struct weir_portions *pieces)
{
    return is_least_too_long(pieces) ? LEAST_TIMES * pieces->least_ns : most_ns(pieces);
}

static double gap_ns(const struct weir_portions *pieces)
{
    return (pieces->is_awaited ? quick_share : 1.0) * (double)pieces->gap_ns;
}

static double bound_ns(const struct weir_portions *pieces)
{
    return pieces->is_awaited && !is_least_too_long(pieces)
               ? fmax(gap_ns(pieces), quick_times * pieces->plain_ns)
               : question_bound_ns(pieces);
}

/* As far as the bound goes. */
static double rows_by_cost(const struct weir_portions *pieces)
{
    double rows = ROWS_FIRST;
    if (pieces->row_ns > 0.0)
        rows = fmin((bound_ns(pieces) - pieces->plain_ns) / pieces->row_ns,
                    2.0 * pieces->tried); /* I1 */
    return fmax(rows, ROWS_MIN);
}

static uint32_t rows_beside(const struct weir_portions *pieces, uint32_t token_count)
{
    const uint32_t most = pieces->n_chunk - token_count;
    if (wants_plain(pieces, token_count))
        return 0;
    if (is_least_too_long(pieces) && pieces->least_age >= AGE_MAX)
        return (uint32_t)weir_min(ROWS_MIN, most);
    return (uint32_t)fmin(rows_by_cost(pieces), most);
}

/* A busy machine makes steps longer now and then, none shorter: what was short counts for more. */
static double blend(double known_ns, double took_ns)
{
    const double share = took_ns < known_ns ? 0.5 : 0.125;
    return known_ns == 0.0 ? took_ns : known_ns + share * (took_ns - known_ns);
}

static void tell_plain(struct weir_portions *pieces, uint32_t token_count, double took_ns)
{
    const bool is_near =
        token_count <= 2 * pieces->plain_count && pieces->plain_count <= 2 * token_count;
    pieces->plain_ns = is_near ? blend(pieces->plain_ns, took_ns) : took_ns;
    pieces->least_ns = is_near ? pieces->least_ns : 0.0; /* it was of so many tokens, too */
    pieces->plain_count = token_count;
    pieces->plain_age = 0;
}

static double mean(double known_ns, double row_ns)
{
    return known_ns == 0.0 ? row_ns : (known_ns + row_ns) / 2.0;
}

/* A prompt's last few rows say nothing about what many of them take. */
static void tell_beside(struct weir_portions *pieces, uint32_t row_count, double took_ns)
{
    const double known = rows_by_cost(pieces);
    const double share_ns = took_ns / 16.0; /* whatever the rest takes, rows are not for nothing */
    const double row_ns = fmax(took_ns - pieces->plain_ns, share_ns) / row_count;
    pieces->plain_age++;
    pieces->least_age++;
    pieces->is_tight = took_ns > tight_share * gap_ns(pieces);
    if (pieces->is_question) {
        pieces->question_ns = mean(pieces->question_ns, row_ns);
        return;
    }
    if (row_count == ROWS_MIN) {
        pieces->least_ns = blend(pieces->least_ns, took_ns);
        pieces->least_age = 0;
    }
    if (2.0 * row_count < known)
        return;
    pieces->row_ns = mean(pieces->row_ns, row_ns);
    pieces->tried = row_count;
}

/* ---- nothing but prompts ------------------------------------------------------------------- */

static uint32_t size_of(uint32_t rows)
{
    uint32_t size = 0;
    while (rows >> size > 1)
        size++;
    return size;
}

/* The next larger piece than all that are known, as long as that makes a row cheaper; else from the
 * largest down, while it takes too long and the next smaller one is not dear. */
static uint32_t rows_alone(const struct weir_portions *pieces)
{
    const uint32_t top = size_of(pieces->n_chunk);
    const uint32_t first = size_of(pieces->first_rows);
    const double *ns = pieces->size_ns;
    const double costlier = pieces->is_awaited ? costlier_quick : costlier_max;
    double cheapest = 0.0;
    uint32_t size = 0;
    for (uint32_t at = 0; at <= top; at++) {
        if (ns[at] > 0.0 && (cheapest == 0.0 || ns[at] < cheapest))
            cheapest = ns[at];
        size = ns[at] > 0.0 ? at : size;
    }
    if (size < first)
        size = first;
    else if (size < top && (ns[size - 1] == 0.0 || ns[size - 1] > costlier * ns[size]))
        size++;
    while (size > SIZE_MIN && ns[size] * (double)(1u << size) > gap_ns(pieces) &&
           ns[size - 1] <= costlier * cheapest)
        size--;
    return size == top ? pieces->n_chunk : 1u << size;
}

/* Where a row has become dearer, as behind a longer text, it has in pieces of any size. */
static void tell_alone(struct weir_portions *pieces, uint32_t row_count, double took_ns)
{
    const uint32_t size = size_of(row_count);
    double *ns = pieces->size_ns;
    const double before = ns[size];
    const double now = before == 0.0 ? took_ns / row_count : (before + took_ns / row_count) / 2.0;
    for (uint32_t at = 0; at < WEIR_PORTION_SIZES && before > 0.0; at++)
        ns[at] *= now / before;
    ns[size] = now;
    if (++pieces->steps % RETRY_STEPS == 0 && size > SIZE_MIN)
        ns[size - 1] = 0.0;
}

/* ---- both ---------------------------------------------------------------------------------- */

static uint32_t usual_rows(const struct weir_portions *pieces, uint32_t token_count)
{
    return token_count == 0 ? rows_alone(pieces) : rows_beside(pieces, token_count);
}

/* A question's rows cost less than those of long prompts, which look back at more. */
static uint32_t question_rows(const struct weir_portions *pieces, uint32_t token_count)
{
    const double row_ns = pieces->question_ns > 0.0 ? pieces->question_ns : pieces->row_ns;
    double rows = QUESTION_MAX;
    if (token_count == 0)
        return pieces->n_chunk;
    if (row_ns > 0.0)
        rows = (question_bound_ns(pieces) - pieces->plain_ns) / row_ns;
    return (uint32_t)fmin(fmax(rows, ROWS_MIN), QUESTION_MAX);
}

uint32_t weir_portions_rows(struct weir_portions *pieces, uint32_t token_count, uint32_t asked,
                            uint32_t *others)
{
    const uint32_t most = pieces->n_chunk - token_count;
    const uint32_t rows = usual_rows(pieces, token_count);
    *others = rows / 4;
    pieces->is_question = asked > 0;
    if (asked == 0)
        return rows;
    const uint32_t first = (uint32_t)weir_min(asked, question_rows(pieces, token_count));
    return (uint32_t)weir_min(weir_max(rows, first + *others), most);
}

void weir_portions_tell(struct weir_portions *pieces, uint32_t token_count, uint32_t row_count,
                        uint64_t took_ns)
{
    const double ns = (double)weir_max(took_ns, 1);
    if (token_count == 0 && row_count >= 1u << SIZE_MIN)
        tell_alone(pieces, row_count, ns);
    else if (token_count > 0 && row_count == 0)
        tell_plain(pieces, token_count, ns);
    else if (token_count > 0)
        tell_beside(pieces, row_count, ns);
}
