/* streams.h - the standard streams as the commands want them.
 *
 * Job       Descriptors that are there, waits instead of EAGAIN, and what went wrong in words.
 * Not here  What is written to them.
 * Owns      Nothing.
 * Threads   The main thread, but for what is printed to stderr.
 * Errors    As read(2) and fflush(3): errno, which weir_cli_stream_why() puts into words.
 */
#ifndef WEIR_CLI_STREAMS_H
#define WEIR_CLI_STREAMS_H

#include <stdbool.h>
#include <sys/types.h>

/* Before anything else is opened: descriptors 0 to 2 are there, and stdin, stdout and stderr wait
 * where a pipe that does not block refuses them. */
void weir_cli_streams_open(void);
/* From now on messages wait for nobody: what is not taken at once is dropped, and how many lines
 * that were is said before the next one. Any thread may print them. */
void weir_cli_messages_hasten(void);
/* As read(2), but waits, and goes on after a signal. -1 and EINTR: a stop was asked for. */
ssize_t weir_cli_read(int fd, void *bytes, size_t count);
/* All that was printed has reached its reader; else false, and errno. */
bool weir_cli_output_flush(void);
/* What an errno of a standard stream means. */
const char *weir_cli_stream_why(int os_errno);

#endif
