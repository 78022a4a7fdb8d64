/* option_rows_quantize.h - rows of option_rows.h that weir quantize alone has. */
#ifndef WEIR_CLI_OPTION_ROWS_QUANTIZE_H
#define WEIR_CLI_OPTION_ROWS_QUANTIZE_H

/* clang-format off */
#define WEIR_CLI_QUANTIZE_OPTIONS(X)                                                               \
    X(tensor_types, LIST, "--tensor", "--tensor-type", "PATTERN=FORMAT", WEIR_CLI_NO_WORDS, 0, 0,  \
      WEIR_CLI_QUANTIZE, COMMON,                                                                   \
      "a format of their own for tensors whose whole name matches, such as '*ffn_down*=Q6_K'; "    \
      "given again, the first that matches counts")                                                \
    X(imatrix, TEXT, "--imatrix", NULL, "FILE", NULL, 0, 0, WEIR_CLI_QUANTIZE, COMMON,             \
      "importance of columns, by weir imatrix or llama.cpp: errors are small where it counts")     \
    X(file_bytes, SIZE, "--bytes", NULL, "SIZE", 0, 1, WEIR_CLI_EXACT_MAX, WEIR_CLI_QUANTIZE,      \
      COMMON, "instead of --type: formats of which the file has at most SIZE, losing the least")   \
    X(bits, REAL, "--bpw", NULL, "B", 0, 0.1, 32, WEIR_CLI_QUANTIZE, COMMON,                       \
      "the same for B bits a weight")                                                              \
    X(slopes, TEXT, "--slopes", NULL, "FILE", NULL, 0, 0, WEIR_CLI_QUANTIZE, COMMON,               \
      "keep what --bytes and --bpw measure in FILE; what is there is not measured again, if it "   \
      "is of the same model, --imatrix and --text, which is always wanted")                        \
    X(probes, COUNT, "--probes", NULL, "N", 0, 1, 65536, WEIR_CLI_QUANTIZE, RARE,                  \
      "compute the text at most N times: neighbouring layers then share a measure (256)")          \
    X(pure, FLAG, "--pure", NULL, NULL, false, 0, 0, WEIR_CLI_QUANTIZE, RARE,                      \
      "one format for all: no better one for output, values and others")                           \
    X(allow_unweighted, FLAG, "--allow-unweighted", NULL, NULL, false, 0, 0, WEIR_CLI_QUANTIZE,    \
      RARE, "also formats that are of little use without --imatrix")                               \
    X(dry_run, FLAG, "--dry-run", NULL, NULL, false, 0, 0, WEIR_CLI_QUANTIZE, COMMON,              \
      "say what would become of each tensor, and how large the file would be; OUT may be left "   \
      "out, but not with --bytes or --bpw, which try formats in a file beside it")
/* clang-format on */

#endif
