/* thread.h - the one way in which the library starts a thread.
 *
 * Job       Threads that no signal reaches, with a stack of a known size and a name.
 * Not here  What they do, and when they end.
 * Owns      Nothing; whoever starts a thread joins it.
 * Threads   Any thread.
 * Errors    An errno value; 0 when the thread runs.
 */
#ifndef WEIR_THREAD_H
#define WEIR_THREAD_H

#include <pthread.h>
#include <stddef.h>

/* Run run(argument) on a thread that blocks all signals: a handler of the program runs on a thread
 * that the program made itself, and no wait of ours is interrupted. The kernel takes no stack below
 * 2 MiB for one that a huge page may back, so stack_bytes stays below that: the ceiling counts. */
int weir_thread_start(pthread_t *id, size_t stack_bytes, void *(*run)(void *), void *argument);
/* Name the calling thread, for ps and the timeline: at most 15 letters are kept. */
void weir_thread_name(const char *kind, unsigned index);

#endif
