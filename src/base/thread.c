/* thread.c - threads that no signal reaches. */
#include "base/thread.h"

#include <signal.h>
#include <stdio.h>

int weir_thread_start(pthread_t *id, size_t stack_bytes, void *(*run)(void *), void *argument)
{
    pthread_attr_t attributes;
    sigset_t all;
    sigset_t before;
    int os_errno = pthread_attr_init(&attributes);
    if (os_errno != 0)
        return os_errno;
    /* Refused where a thread needs more for itself: then the system's own size will do. */
    (void)pthread_attr_setstacksize(&attributes, stack_bytes);
    /* A thread begins with the mask of the one that starts it: blocked afterwards would be late. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    os_errno = pthread_create(id, &attributes, run, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return os_errno;
}

void weir_thread_name(const char *kind, unsigned index)
{
    char name[16];
    snprintf(name, sizeof(name), "weir-%s-%u", kind, index);
    pthread_setname_np(pthread_self(), name);
}
