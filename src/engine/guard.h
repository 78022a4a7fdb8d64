/* guard.h - expert slots are given back before memory runs out.
 *
 * Two places can run short while we run: our control group, when another process in it grows or its
 * limit is lowered, and the machine. We never take more than was planned, so it is always others,
 * and the slots are what we can do without: fewer of them cost reads, never bits. Planned memory
 * that has no pages yet counts as taken, and when it gets them, that is nobody's growth. Looked at
 * between layers on the engine thread, at most every WEIR_GUARD_INTERVAL_NS. Margins:
 * docs/decisions/0005-guard.md. */
#ifndef WEIR_GUARD_H
#define WEIR_GUARD_H

#include "base/mem.h"
#include "store/store.h"
#include "sys/sys.h"
#include "weir.h"

#define WEIR_GUARD_INTERVAL_NS 50000000ull

struct weir_guard_place {
    uint64_t margin_max_bytes; /* half of what was left at the start */
    int64_t used_bytes;        /* by others at the last sample, at most */
    uint64_t growth_bytes;     /* what others took in an interval; an older one counts half */
};

struct weir_guard {
    weir_sys_watch *watch;
    weir_store *store;          /* borrowed; NULL: nothing to give, nothing is watched */
    const struct weir_mem *mem; /* borrowed */
    uint32_t slot_total;
    weir_notice_fn *notice; /* NULL: nobody wants to know */
    void *notice_user;
    uint64_t promised_bytes; /* planned memory that has pages, or will */
    uint64_t total_bytes;    /* of the machine */
    uint64_t last_ns;        /* when the last sample was taken */
    struct weir_sys_pressure last;
    struct weir_guard_place group, machine;
    bool is_spent; /* it was said that no more can be given */
    struct weir_guard_stats stats;
};

struct weir_guard_config {
    weir_store *store;
    const struct weir_mem *mem;
    uint32_t slot_total;
    weir_notice_fn *notice;
    void *notice_user;
};

/* NOMEM only. guard may be closed whether or not it was opened. */
enum weir_status weir_guard_open(struct weir_guard *guard, const struct weir_guard_config *config,
                                 struct weir_err *err);
void weir_guard_close(struct weir_guard *guard);
/* When it is time: look, and give back what is missing. guard is a struct weir_guard; no step of
 * the store runs. */
void weir_guard_check(void *guard);

/* The policy alone, with promised_bytes as they are. begin: how things are at the start. missing:
 * bytes that should be given back for this sample, 0 for none; with them stats.reason says why. */
void weir_guard_begin(struct weir_guard *guard, const struct weir_sys_pressure *sample,
                      uint64_t total_bytes);
uint64_t weir_guard_missing(struct weir_guard *guard, const struct weir_sys_pressure *sample,
                            uint64_t elapsed_ns);

#endif
