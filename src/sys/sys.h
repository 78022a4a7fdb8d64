/* sys.h - Linux facts, and the threads that compute.
 *
 * Job       What this machine and its control group leave us; a fork/join pool, and how fast it
 *           reads memory.
 * Not here  Reading models (io/, formats/), memory (base/mem.h).
 * Units     *_bytes in bytes; UINT64_MAX means "no limit".
 * Owns      weir_pool owns its threads from create to destroy; weir_sys_watch its open files.
 * Threads   Facts: any thread. A watch: one thread at a time. A pool: the thread that made it calls
 *           run; jobs run on all.
 * Errors    weir_pool_create: WEIR_ERR_ARG outside 1 to WEIR_THREAD_MAX threads, WEIR_ERR_NOMEM,
 *           WEIR_ERR_IO when a thread cannot be started. weir_sys_watch_open: WEIR_ERR_NOMEM.
 * Limits    WEIR_THREAD_MAX threads in a pool; a watch sees the lowest WEIR_SYS_LEVEL_MAX groups.
 * Source    cgroups(7), Documentation/admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst, proc(5).
 */
#ifndef WEIR_SYS_H
#define WEIR_SYS_H

#include "base/base.h"
#include "base/timeline.h"

enum { WEIR_THREAD_MAX = 256, WEIR_SYS_LEVEL_MAX = 16 };

struct weir_sys_memory {
    uint64_t total_bytes;        /* of the machine; 0 when nobody tells */
    uint64_t available_bytes;    /* free, or free as soon as it is wanted; 0 when nobody tells */
    const char *source;          /* who tells both; NULL: nobody does */
    uint64_t cgroup_limit_bytes; /* the tightest limit on our path, v1 or v2; UINT64_MAX: none */
    uint64_t cgroup_usage_bytes; /* charged to that group now, reclaimable file pages excluded */
    char cgroup_path[256];       /* where the limit was found; empty when none */
    int cgroup_version;          /* 1, 2, or 0 when there is no memory controller */
    const char *cgroup_why;      /* why there is none, or only a guess at ours; NULL: neither */
};

void weir_sys_memory_get(struct weir_sys_memory *memory);

/* What a process started now may use: the smaller of available and limit less usage, with a
 * margin of one sixteenth left for others. */
struct weir_sys_free {
    uint64_t bytes; /* 0: nothing is left, or nobody tells */
    char why[400];  /* whose number it is, or who does not tell */
    bool is_second; /* the usual source does not tell */
};

void weir_sys_free_get(struct weir_sys_free *free_memory);
uint64_t weir_sys_free_bytes(void);
/* Peak resident set of this process so far (VmHWM), or where /proc is not there at most that: the
 * peak of what called exec for it counts too. */
uint64_t weir_sys_peak_rss_bytes(void);
/* Resident now (VmRSS); 0 when /proc is not there. */
uint64_t weir_sys_rss_bytes(void);
/* CPUs this process may run on: its affinity (or those that are on line, where that is not told),
 * its group's quota rounded up, WEIR_THREAD_MAX. */
uint32_t weir_sys_cpu_count(void);

struct weir_sys_machine {
    char cpu_name[128];
    char kernel[128];
    uint32_t n_cpu;
    char huge_pages[64];     /* the chosen word of transparent_hugepage/enabled */
    int io_uring_disabled;   /* kernel.io_uring_disabled; -1 when the file is not there */
    uint64_t memlock_bytes;  /* RLIMIT_MEMLOCK */
    double psi_memory_avg10; /* /proc/pressure/memory some avg10; negative when not there */
};

void weir_sys_machine_get(struct weir_sys_machine *machine);

/* What may run out while this process works. Its files stay open: a sample allocates nothing and
 * takes microseconds. The groups are those of the moment of open. */
typedef struct weir_sys_watch weir_sys_watch;

struct weir_sys_pressure {
    uint64_t limit_bytes;     /* of the group on our path with the least room; UINT64_MAX: none */
    uint64_t usage_bytes;     /* charged to it, reclaimable file pages excluded */
    uint32_t group_level;     /* which group that is: 0 ours, 1 the one above it, and so on */
    uint64_t available_bytes; /* MemAvailable; UINT64_MAX when it cannot be read */
    uint64_t stall_us;        /* how long some task has waited for memory; 0 when not told ... */
    bool stall_is_machine;    /* ... any task, not only one of our group */
    uint64_t major_faults;    /* of this process */
    /* Pages of this process that are no file's, before and after the others were read: what they
     * count of ours lies between. UINT64_MAX: not told. */
    uint64_t own_least_bytes, own_most_bytes;
};

/* What a watch has to go by; empty texts where there is nothing. */
struct weir_sys_sources {
    char group[256];    /* our memory control group */
    char available[32]; /* MemAvailable's file */
    char stall[320];    /* pressure of our group, or else of the machine */
};

/* WEIR_ERR_NOMEM only: a source that is not there is not an error. */
enum weir_status weir_sys_watch_open(weir_sys_watch **out, struct weir_err *err);
void weir_sys_watch_close(weir_sys_watch **watch);
void weir_sys_watch_sample(weir_sys_watch *watch, struct weir_sys_pressure *pressure);
const struct weir_sys_sources *weir_sys_watch_sources(const weir_sys_watch *watch);

/* The file system under path: its type's name ("ext4", "tmpfs", "0x..."), free bytes, and the
 * number by which the kernel tells it from others (st_dev). */
struct weir_sys_filesystem {
    char type[32];
    uint64_t free_bytes;
    uint64_t device_id;
};

bool weir_sys_filesystem_get(const char *path, struct weir_sys_filesystem *filesystem);

/* By what a file is known again: how long it is, when it was written last (nanoseconds since 1970),
 * its number on its disk (an inode). */
struct weir_sys_stamp {
    uint64_t bytes, written_ns, number;
};
/* False: it cannot be looked at. */
bool weir_sys_file_stamp(const char *path, struct weir_sys_stamp *stamp);

/* What a path leads to, behind links. */
struct weir_sys_identity {
    bool is_there, is_file, is_folder; /* an ordinary file */
    uint64_t device_id, number;        /* the same of two paths: they are the same file */
};
void weir_sys_identity_get(const char *path, struct weir_sys_identity *identity);
/* Whether a file at path, of which had_bytes are there, may come to have bytes: 0, ENOSPC, or EFBIG
 * where the kernel would answer with a signal that ends the process. */
int weir_sys_room_check(const char *path, uint64_t had_bytes, uint64_t bytes);

typedef struct weir_pool weir_pool;

/* Runs part [0, n_part) of a job; every part runs exactly once, on some thread of the pool. */
typedef void weir_pool_fn(void *job, uint32_t part, uint32_t n_part);

/* n_thread includes the caller's: 1 makes no thread. Threads are named weir-cpu-N. */
enum weir_status weir_pool_create(weir_pool **out, uint32_t n_thread, struct weir_err *err);
void weir_pool_destroy(weir_pool **pool);
uint32_t weir_pool_thread_count(const weir_pool *pool);
/* Between jobs: record each thread's part of those that follow; NULL ends it. */
void weir_pool_set_timeline(weir_pool *pool, weir_timeline *timeline);
/* Run fn(job, part, n_thread) for every part, each once, and return when all are done: scratch may
 * be kept per part. Which thread runs a part is not said: the caller takes those that nobody else
 * has begun. Waiting spins briefly, then sleeps. name is what a timeline calls the job: a string
 * constant. */
void weir_pool_run(weir_pool *pool, const char *name, weir_pool_fn *fn, void *job);
/* While thread `index` waits after the next run, it prefetches these bytes into its CPU's
 * second-level cache: what it will read first then. Nothing is read, so they may be anywhere. */
void weir_pool_prefetch(weir_pool *pool, uint32_t index, const void *at, uint64_t bytes);

/* Every thread of the pool sums its part of [start, start + bytes), which begins on a cache line;
 * nanoseconds that all of it took. */
uint64_t weir_sys_dram_read_ns(weir_pool *pool, const void *start, uint64_t bytes);

#endif
