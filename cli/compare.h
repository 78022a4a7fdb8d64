/* compare.h - results of weir eval side by side.
 *
 * Job       Read objects of weir eval --json of the same text; tell what each file says, costs and
 *           gives, and how far each is from the first, with 95 % intervals; draw it.
 * Owns      A comparison owns its results, a result its JSON object and chunks.
 * Threads   One.
 * Errors    Said where they are found.
 * Limits    WEIR_CLI_RESULT_MAX results, of WEIR_CLI_RESULT_BYTES_MAX bytes each.
 */
#ifndef WEIR_CLI_COMPARE_H
#define WEIR_CLI_COMPARE_H

#include "bootstrap.h"
#include "chunks.h"

enum { WEIR_CLI_RESULT_MAX = 1 + WEIR_CLI_MORE_MAX, WEIR_CLI_RESULT_BYTES_MAX = 16 << 20 };

/* What is compared of a chunk, over what it has of tokens or questions. */
enum weir_cli_metric {
    WEIR_CLI_METRIC_NLL,
    WEIR_CLI_METRIC_KL,
    WEIR_CLI_METRIC_TOP1,
    WEIR_CLI_METRIC_RIGHT,
    WEIR_CLI_METRIC_RIGHT_BY_LENGTH,
    WEIR_CLI_METRIC_COUNT,
};

struct weir_cli_result {
    const char *path;
    json_t *object;
    struct weir_cli_chunks chunks;
    const char *name;                   /* of the model's file; borrowed from object */
    double bytes, bits_per_weight, tps; /* NAN: not known */
    bool has[WEIR_CLI_METRIC_COUNT];
    struct weir_cli_interval own[WEIR_CLI_METRIC_COUNT];
    struct weir_cli_interval beside[WEIR_CLI_METRIC_COUNT]; /* less the first result's */
};

struct weir_cli_comparison {
    struct weir_cli_result results[WEIR_CLI_RESULT_MAX];
    size_t count;
    size_t chunk_count; /* that all have, from the first on */
    uint64_t token_count;
    bool is_choice;
};

/* Name of the figure that a picture shows and how it reads, by what all results have. */
enum weir_cli_metric weir_cli_comparison_figure(const struct weir_cli_comparison *comparison);
/* One SVG that needs nothing beside it (compare_draw.c). Errors of file stay in file. */
void weir_cli_comparison_draw(const struct weir_cli_comparison *comparison, FILE *file);

#endif
