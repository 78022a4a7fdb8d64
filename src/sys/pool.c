/* pool.c - threads that wait for a job, do their part, and wait again.
 *
 * The caller writes the job, opens its parts to be claimed, and adds one to round, the starting
 * signal. Whoever comes first claims the next part, the caller too: a thread that is late, because
 * others want its CPU, keeps nobody waiting for parts it has not begun. working counts parts that
 * are not done; at zero the caller goes on. Both signals are waited for by spinning a bounded while
 * and then sleeping on the word itself (futex).
 *
 * I1  fn, job, name and timeline are written only while working is 0, and read only by who has
 *     claimed a part of the running round: a claim names its round, so a late one fails.
 * I2  A thread that will sleep on round announces it in sleeper_count before the kernel compares
 *     round again; the caller changes round before it reads sleeper_count. Both in one total order
 *     (seq_cst), so that either the sleeper sees the new round or the caller sees the sleeper.
 * I3  The same for the caller's sleep on working, announced in caller_sleeps.
 *
 * Who spins asks for what it will read next (weir_pool_prefetch), if that was told for the round it
 * waits after.
 */
#include "base/heap.h"
#include "base/thread.h"
#include "sys/sys_internal.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    CACHE_LINE_BYTES = 64,
    STACK_BYTES = 1 << 20,
    SECOND_LEVEL = 2, /* __builtin_prefetch's word for that cache */
    LINES_PER_SPIN = 8,
    SPINS_PER_LOOK = 64,
};

_Static_assert((int)WEIR_THREAD_MAX <= (int)WEIR_TRACK_READER, "each part of a job has a track");

/* Atomic for who is late; nothing follows from a mixture. */
struct prefetch {
    _Atomic uint32_t round; /* to be asked for after it */
    _Atomic(const char *) at;
    _Atomic uint64_t bytes;
};

struct pool_thread {
    weir_pool *pool;
    pthread_t id;
    uint32_t index;
    struct prefetch prefetch;
};

/* What a waiting thread has yet to ask for. */
struct fetching {
    const char *at;
    uint64_t bytes;
};

struct weir_pool {
    /* written by the caller between jobs; read with a part claimed (I1) */
    weir_pool_fn *fn;
    void *job;
    const char *name;
    weir_timeline *timeline; /* borrowed; NULL: nothing is recorded */
    /* fixed once created */
    uint32_t n_thread;
    uint32_t n_started;
    uint64_t spin_ns;
    struct pool_thread *threads; /* [n_thread]; 0 is the caller's and has no thread */
    /* atomic; the gaps keep the two signals on cache lines of their own */
    uint8_t before_round[CACHE_LINE_BYTES];
    _Atomic uint32_t round;
    _Atomic bool stopping; /* written before the last round */
    _Atomic uint32_t sleeper_count;
    _Atomic uint64_t claims; /* round in the upper half, the next part in the lower */
    uint8_t before_working[CACHE_LINE_BYTES];
    _Atomic uint32_t working;
    _Atomic uint32_t caller_sleeps;
    uint8_t after[CACHE_LINE_BYTES];
};

static void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

/* Sleep while *word is seen. May return early; the callers look again. */
static void futex_wait(_Atomic uint32_t *word, uint32_t seen)
{
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static void futex_wake_all(_Atomic uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static struct fetching start_fetching(const struct pool_thread *thread, uint32_t round)
{
    const struct prefetch *prefetch = &thread->prefetch;
    if (atomic_load_explicit(&prefetch->round, memory_order_relaxed) != round)
        return (struct fetching){0};
    return (struct fetching){
        .at = atomic_load_explicit(&prefetch->at, memory_order_relaxed),
        .bytes = atomic_load_explicit(&prefetch->bytes, memory_order_relaxed),
    };
}

/* A few lines of it; false: none is left. */
static bool fetch_on(struct fetching *fetching)
{
    if (fetching->bytes == 0)
        return false;
    for (int line = 0; line < LINES_PER_SPIN; line++)
        __builtin_prefetch(fetching->at + line * CACHE_LINE_BYTES, 0, SECOND_LEVEL);
    const uint64_t bytes = weir_min(fetching->bytes, LINES_PER_SPIN * CACHE_LINE_BYTES);
    fetching->at += bytes;
    fetching->bytes -= bytes;
    return true;
}

/* Spin until *word is (equal) or is not (!equal) value, at most spin_ns. True when it happened. */
static bool spin_until(_Atomic uint32_t *word, uint32_t value, bool equal, uint64_t spin_ns,
                       struct fetching fetching)
{
    uint64_t end_ns = 0;
    for (;;) {
        for (int spin = 0; spin < SPINS_PER_LOOK; spin++) {
            /* Acquire: what the other side wrote before its signal is seen after it. */
            if ((atomic_load_explicit(word, memory_order_acquire) == value) == equal)
                return true;
            if (spin_ns == 0)
                return false;
            if (!fetch_on(&fetching))
                relax();
        }
        const uint64_t now_ns = weir_now_ns();
        if (end_ns == 0)
            end_ns = now_ns + spin_ns;
        else if (now_ns >= end_ns)
            return false;
    }
}

static void wait_for_round(const struct pool_thread *self, uint32_t seen)
{
    weir_pool *pool = self->pool;
    if (spin_until(&pool->round, seen, false, pool->spin_ns, start_fetching(self, seen)))
        return;
    atomic_fetch_add_explicit(&pool->sleeper_count, 1, memory_order_seq_cst); /* keeps I2 */
    while (atomic_load_explicit(&pool->round, memory_order_seq_cst) == seen)
        futex_wait(&pool->round, seen);
    atomic_fetch_sub_explicit(&pool->sleeper_count, 1, memory_order_relaxed);
}

/* Returns the round that has started. */
static uint32_t start_round(weir_pool *pool)
{
    /* Only the caller changes round. */
    const uint32_t round = atomic_load_explicit(&pool->round, memory_order_relaxed) + 1;
    atomic_store_explicit(&pool->working, pool->n_thread, memory_order_relaxed);
    atomic_store_explicit(&pool->claims, (uint64_t)round << 32, memory_order_release); /* I1 */
    atomic_store_explicit(&pool->round, round, memory_order_seq_cst);                  /* I2 */
    if (atomic_load_explicit(&pool->sleeper_count, memory_order_seq_cst) > 0)
        futex_wake_all(&pool->round);
    return round;
}

/* The next part of this round; false when there is none left, or the round is over. */
static bool claim_part(weir_pool *pool, uint32_t round, uint32_t *part)
{
    uint64_t claims = atomic_load_explicit(&pool->claims, memory_order_acquire);
    while (claims >> 32 == round && (uint32_t)claims < pool->n_thread)
        /* Acquire: the job was written before its parts were opened. */
        if (atomic_compare_exchange_weak_explicit(&pool->claims, &claims, claims + 1,
                                                  memory_order_acquire, memory_order_acquire)) {
            *part = (uint32_t)claims;
            return true;
        }
    return false;
}

static void finish_part(weir_pool *pool)
{
    /* Keeps I3; as a release it publishes this part's results to the caller. */
    if (atomic_fetch_sub_explicit(&pool->working, 1, memory_order_seq_cst) == 1 &&
        atomic_load_explicit(&pool->caller_sleeps, memory_order_seq_cst) != 0)
        futex_wake_all(&pool->working);
}

static void wait_for_parts(weir_pool *pool, uint32_t round)
{
    if (spin_until(&pool->working, 0, true, pool->spin_ns,
                   start_fetching(&pool->threads[0], round)))
        return;
    atomic_store_explicit(&pool->caller_sleeps, 1, memory_order_seq_cst); /* keeps I3 */
    for (;;) {
        const uint32_t left = atomic_load_explicit(&pool->working, memory_order_seq_cst);
        if (left == 0)
            break;
        futex_wait(&pool->working, left);
    }
    atomic_store_explicit(&pool->caller_sleeps, 0, memory_order_relaxed);
}

/* track: which thread this is. */
static void run_part(weir_pool *pool, uint32_t part, uint32_t track)
{
    const uint64_t begin_ns = weir_timeline_now(pool->timeline);
    pool->fn(pool->job, part, pool->n_thread);
    weir_timeline_add(pool->timeline, (struct weir_event){.name = pool->name,
                                                          .kind = WEIR_EVENT_JOB,
                                                          .track = track,
                                                          .begin_ns = begin_ns});
}

static void run_parts(weir_pool *pool, uint32_t round, uint32_t track)
{
    uint32_t part;
    while (claim_part(pool, round, &part)) {
        run_part(pool, part, track);
        finish_part(pool);
    }
}

static void *serve_jobs(void *argument)
{
    struct pool_thread *self = argument;
    weir_pool *pool = self->pool;
    weir_thread_name("cpu", self->index);
    for (uint32_t seen = 0;;) {
        wait_for_round(self, seen);
        seen = atomic_load_explicit(&pool->round, memory_order_acquire);
        if (atomic_load_explicit(&pool->stopping, memory_order_relaxed))
            return NULL;
        run_parts(pool, seen, self->index);
    }
}

static int start_threads(weir_pool *pool)
{
    int os_errno = 0;
    for (uint32_t index = 1; index < pool->n_thread && os_errno == 0; index++) {
        struct pool_thread *thread = &pool->threads[index];
        thread->pool = pool;
        thread->index = index;
        os_errno = weir_thread_start(&thread->id, STACK_BYTES, serve_jobs, thread);
        if (os_errno == 0)
            pool->n_started++;
    }
    return os_errno;
}

enum weir_status weir_pool_create(weir_pool **out, uint32_t n_thread, struct weir_err *err)
{
    if (n_thread < 1 || n_thread > WEIR_THREAD_MAX)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "%u threads: from 1 to %d are possible", n_thread,
                         WEIR_THREAD_MAX);
    weir_pool *pool = weir_heap_alloc(sizeof(*pool));
    struct pool_thread *threads = weir_heap_array(n_thread, sizeof(*threads));
    if (pool == NULL || threads == NULL) {
        weir_heap_free(pool);
        weir_heap_free(threads);
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a pool of %u threads", n_thread);
    }
    pool->threads = threads;
    pool->n_thread = n_thread;
    /* With more threads than CPUs a spinning thread only keeps a working one waiting. */
    pool->spin_ns = n_thread <= weir_sys_cpu_count() ? weir_pool_spin_ns : 0;
    const int os_errno = start_threads(pool);
    if (os_errno != 0) {
        const uint32_t failed = pool->n_started + 2; /* the caller is the first */
        weir_pool_destroy(&pool);
        return WEIR_FAIL_OS(err, os_errno, "start thread %u of %u", failed, n_thread);
    }
    *out = pool;
    return WEIR_OK;
}

void weir_pool_destroy(weir_pool **pool)
{
    weir_pool *closing = *pool;
    if (closing == NULL)
        return;
    atomic_store_explicit(&closing->stopping, true, memory_order_relaxed);
    (void)start_round(closing);
    for (uint32_t index = 1; index <= closing->n_started; index++)
        pthread_join(closing->threads[index].id, NULL);
    weir_heap_free(closing->threads);
    weir_heap_free(closing);
    *pool = NULL;
}

uint32_t weir_pool_thread_count(const weir_pool *pool)
{
    return pool->n_thread;
}

void weir_pool_set_timeline(weir_pool *pool, weir_timeline *timeline)
{
    pool->timeline = timeline;
}

void weir_pool_run(weir_pool *pool, const char *name, weir_pool_fn *fn, void *job)
{
    pool->fn = fn;
    pool->job = job;
    pool->name = name;
    if (pool->n_thread == 1) {
        run_part(pool, 0, 0);
        return;
    }
    const uint32_t round = start_round(pool);
    run_parts(pool, round, 0);
    wait_for_parts(pool, round);
}

void weir_pool_prefetch(weir_pool *pool, uint32_t index, const void *at, uint64_t bytes)
{
    /* Only the caller changes round. */
    const uint32_t round = atomic_load_explicit(&pool->round, memory_order_relaxed) + 1;
    WEIR_ASSERT(index < pool->n_thread);
    struct prefetch *prefetch = &pool->threads[index].prefetch;
    atomic_store_explicit(&prefetch->at, at, memory_order_relaxed);
    atomic_store_explicit(&prefetch->bytes, bytes, memory_order_relaxed);
    atomic_store_explicit(&prefetch->round, round, memory_order_relaxed);
}
