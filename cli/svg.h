/* svg.h - what pictures share: texts that are safe in them. */
#ifndef WEIR_CLI_SVG_H
#define WEIR_CLI_SVG_H

#include <stdio.h>

/* A text from a file or of a file's name, safe inside XML 1.0. */
void weir_cli_svg_text(FILE *file, const char *text);

#endif
