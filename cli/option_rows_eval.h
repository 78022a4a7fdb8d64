/* option_rows_eval.h - rows of option_rows.h that weir eval alone has. */
#ifndef WEIR_CLI_OPTION_ROWS_EVAL_H
#define WEIR_CLI_OPTION_ROWS_EVAL_H

/* clang-format off */
#define WEIR_CLI_EVAL_OPTIONS(X)                                                                   \
    X(reference, TEXT, "--reference", NULL, "FILE", NULL, 0, 0, WEIR_CLI_EVAL, COMMON,             \
      "divergence from the run that FILE keeps; the text may be left out, its tokens are there")   \
    X(save_reference, TEXT, "--save-reference", NULL, "FILE", NULL, 0, 0, WEIR_CLI_EVAL, COMMON,   \
      "keep this run in FILE, for --reference: two bytes a token of the vocabulary and position")  \
    X(mc, TEXT, "--mc", NULL, "FILE", NULL, 0, 0, WEIR_CLI_EVAL, COMMON,                           \
      "instead of a text: questions, a JSON object a line with prompt, choices and answer")        \
    X(logits, TEXT, "--logits", NULL, "FILE", NULL, 0, 0, WEIR_CLI_EVAL, RARE,                     \
      "write f32 [tokens][n_vocab] of every position evaluated")
/* clang-format on */

#endif
