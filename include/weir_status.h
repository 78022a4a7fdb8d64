/* weir_status.h - status codes, the one error record and the list of warnings, below everything. */
#ifndef WEIR_STATUS_H
#define WEIR_STATUS_H

#include <stdint.h>

enum weir_status {
    WEIR_OK = 0,
    WEIR_ERR_ARG = -1,         /* a value from outside is out of range       */
    WEIR_ERR_NOMEM = -2,       /* the ceiling, or the machine, has no room   */
    WEIR_ERR_IO = -3,          /* the OS or the device said no; see os_errno */
    WEIR_ERR_FORMAT = -4,      /* bytes are not what the format promises     */
    WEIR_ERR_UNSUPPORTED = -5, /* valid, and not built in                    */
    WEIR_ERR_CANCELLED = -6,   /* a callback asked us to stop                */
};

enum { WEIR_ERR_TEXT_MAX = 640 };

/* Why the first failure happened. Caller-owned, zeroed before use; never allocates.
 * The first failure is kept: it is the cause, later ones are echoes. */
struct weir_err {
    enum weir_status status;
    int os_errno; /* 0 when no system call was involved */
    int line;
    const char *file; /* static storage */
    /* One sentence, truncated rather than grown. What a terminal would obey (names come from files)
     * is written as \x1b. */
    char text[WEIR_ERR_TEXT_MAX];
};

enum { WEIR_WARNING_MAX = 16, WEIR_WARNING_TEXT_MAX = 400 };

/* What is odd about a model file and does not keep it from being used: sentences, in the order in
 * which they were found. */
struct weir_warnings {
    uint32_t count; /* that are in text */
    uint32_t more;  /* that had no room there */
    char text[WEIR_WARNING_MAX][WEIR_WARNING_TEXT_MAX];
};

#endif
