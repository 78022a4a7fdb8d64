/* questions.h - multiple choice: which of the choices a model finds likeliest behind a prompt.
 *
 * Job       Read questions, a JSON object a line; ask them; tell how many answers are right.
 * Owns      A question owns its texts.
 * Threads   One.
 * Errors    Said where they are found, with the line.
 * Limits    WEIR_CLI_QUESTION_BYTES_MAX a line, WEIR_CLI_CHOICE_MAX choices.
 */
#ifndef WEIR_CLI_QUESTIONS_H
#define WEIR_CLI_QUESTIONS_H

#include "chunks.h"

enum { WEIR_CLI_QUESTION_BYTES_MAX = 1 << 20, WEIR_CLI_CHOICE_MAX = 26 };

struct weir_cli_question {
    json_t *object;
    const char *prompt; /* borrowed from object, as the choices are */
    const char *choices[WEIR_CLI_CHOICE_MAX];
    uint32_t choice_count;
    uint32_t answer; /* the right one */
};

/* One line; object is NULL on failure. Errors: FORMAT, not said yet. */
enum weir_status weir_cli_question_read(struct weir_cli_question *question, const char *line,
                                        size_t length, struct weir_err *err);
void weir_cli_question_free(struct weir_cli_question *question);

/* Where a share lies with 95 %, of `right` among `count` (Wilson 1927, equation 11). */
void weir_cli_share_interval(uint64_t right, uint64_t count, double *low, double *high);

/* weir eval --mc. Returns an enum weir_cli_exit. */
int weir_cli_questions_ask(const struct weir_cli_options *options, struct weir_config *config);

#endif
