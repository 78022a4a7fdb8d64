/* guide.h - what the table of options tells others than the parser: manual pages and shells.
 *
 * Job       Manual pages (manual.c), and which words may come next on a command line (complete.c).
 * Not here  Help: that is in options_help.c. The shells' own scripts: tools/completion.
 * Owns      Nothing.
 * Threads   The main thread.
 * Errors    A page that cannot be written has been said. A word that cannot be completed is no
 *           error: nothing is printed.
 */
#ifndef WEIR_CLI_GUIDE_H
#define WEIR_CLI_GUIDE_H

#include "options.h"

/* All commands, in the order of the help. */
struct weir_cli_commands {
    const struct weir_cli_command *list; /* [count] */
    size_t count;
};

/* weir --man FOLDER: a page for weir and one for each command, weir.1 last. Returns an enum
 * weir_cli_exit. */
int weir_cli_manual_write(const struct weir_cli_commands *commands, const char *folder);

/* weir --complete WORD...: what may stand in the place of the last word, which may be empty. One
 * candidate a line, a tab, what it means; then a line ":files" or ":folders" where such a name may
 * stand there too. */
void weir_cli_complete(const struct weir_cli_commands *commands, int count, char **words);

#endif
