/* svg.c - texts in pictures. */
#include "svg.h"

#include "console.h"

void weir_cli_svg_text(FILE *file, const char *text)
{
    for (const char *at = weir_cli_shown(text); *at != '\0'; at++) {
        if (*at == '<')
            fputs("&lt;", file);
        else if (*at == '>')
            fputs("&gt;", file);
        else if (*at == '&')
            fputs("&amp;", file);
        else if (*at == '"')
            fputs("&quot;", file);
        else
            fputc(*at, file);
    }
}
