/* escapes.c - what \n and its like mean in a text of the command line, when -e says so. */
#include <string.h>

#include "base/heap.h"
#include "cli.h"

static int hex_value(char letter)
{
    static const char digits[] = "0123456789abcdef";
    const char lower = letter >= 'A' && letter <= 'F' ? (char)(letter - 'A' + 'a') : letter;
    const char *at = letter == '\0' ? NULL : strchr(digits, lower);
    return at == NULL ? -1 : (int)(at - digits);
}

/* The byte that the letters behind a backslash mean, and how many letters they are; 0 letters when
 * they mean nothing. A zero byte would end the text, so it means nothing either. */
static size_t read_escape(const char *letters, char *byte)
{
    static const char from[] = "nrtabfv\\\"'";
    static const char to[] = "\n\r\t\a\b\f\v\\\"'";
    const char *at = *letters == '\0' ? NULL : strchr(from, *letters);
    if (at != NULL) {
        *byte = to[at - from];
        return 1;
    }
    const int high = *letters == 'x' ? hex_value(letters[1]) : -1;
    const int low = high < 0 ? -1 : hex_value(letters[2]);
    *byte = (char)(16 * high + low);
    return low < 0 || *byte == '\0' ? 0 : 3;
}

/* The text as it is meant, which stays for as long as the process; NULL: it has been said. */
static const char *unescape(const char *command, const char *flag, const char *text)
{
    char *out = weir_heap_alloc(strlen(text) + 1);
    size_t length = 0;
    if (out == NULL) {
        weir_cli_say("%s: no memory for %zu bytes", flag, strlen(text));
        return NULL;
    }
    while (*text != '\0') {
        if (*text != '\\') {
            out[length++] = *text++;
            continue;
        }
        const size_t used = read_escape(text + 1, &out[length++]);
        if (used == 0) {
            weir_cli_misuse(command,
                            "%s: with -e, wanted one of n r t a b f v \\ \" ' or xHH after \\, "
                            "found \"%.4s\"",
                            flag, text + 1);
            weir_heap_free(out);
            return NULL;
        }
        text += 1 + used;
    }
    out[length] = '\0';
    return out;
}

bool weir_cli_escapes_read(struct weir_cli_options *options)
{
    if (!options->escape)
        return true;
    if (options->prompt != NULL)
        options->prompt = unescape(options->command, "-p", options->prompt);
    bool ok = options->prompt != NULL || !weir_cli_option_given(options, WEIR_CLI_OPTION_prompt);
    for (size_t index = 0; ok && index < options->stops.count; index++) {
        options->stops.words[index] =
            unescape(options->command, "--stop", options->stops.words[index]);
        ok = options->stops.words[index] != NULL;
    }
    return ok;
}
