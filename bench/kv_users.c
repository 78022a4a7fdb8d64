/* kv_users.c - how many texts fit with keys and values in each format, and the peak of as many.
 *
 *   build/release/bench/kv_users MODEL.gguf POSITIONS MIB TEXTS [KV...]
 *   prints a line for each format: {"kv":NAME,"fit":N,"more":R,"ceiling_peak_bytes":C,"texts":T,
 *   "peak_bytes":P,"less":L}
 *
 * Each figure has a process of its own. Under a ceiling of MIB texts of POSITIONS tokens are opened
 * until one is refused, at most TEXTS_MAX: fit; more is how many times as many as with the first
 * format. Then TEXTS of them without a ceiling: the peak of the resident set; less, how many times
 * less than with the first. Nobody computes the positions, but their pages are there; then all
 * texts write one token in a step. Few slots are taken, so that what is left is for texts. There
 * are addresses for eight contexts of CTX, which MODEL has to have (tools/shapes/olmoe-long.shape).
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/base.h"
#include "engine/engine_internal.h"
#include "sys/sys.h"

enum { TEXTS_MAX = 128, PIECE = 512, CTX = 32768 };

static const char *const usual[] = {"f16", "q8_0", "kivi4", "kivi2"};

struct rig {
    const char *path;
    uint32_t n_position, n_text;
    uint64_t mem_bytes;
};

struct figure {
    uint32_t n_text;
    uint64_t peak_bytes;
};

static enum weir_status open_text(weir_engine *engine, weir_session **session, uint32_t n_position,
                                  struct weir_err *err)
{
    static const uint32_t ids[PIECE];
    WEIR_TRY(weir_session_create(session, engine, err));
    weir_sequence *sequence = (*session)->sequence;
    for (uint32_t length = 0; length < n_position; length = weir_sequence_length(sequence)) {
        const uint32_t n = (uint32_t)weir_min(n_position - length, PIECE);
        WEIR_TRY(weir_engine_room_for_pages(engine, weir_sequence_lack(sequence, length + n), err));
        WEIR_TRY(weir_sequence_reserve(sequence, length + n, err));
        weir_sequence_commit(sequence, ids, n);
    }
    return WEIR_OK;
}

/* One token of every text, in one step. */
static enum weir_status step(weir_engine *engine, weir_session **sessions, uint32_t count,
                             struct weir_err *err)
{
    static const uint32_t id = 1;
    static struct weir_eval evals[TEXTS_MAX];
    for (uint32_t at = 0; at < count; at++)
        evals[at] = (struct weir_eval){.session = sessions[at], .ids = &id, .count = 1};
    return weir_engine_eval(engine, evals, count, err);
}

/* Under a ceiling until a text is refused; without one n_text of them. */
static enum weir_status fill(const struct rig *rig, const char *kv, uint64_t mem_bytes,
                             struct figure *figure, struct weir_err *err)
{
    static weir_session *sessions[TEXTS_MAX];
    const struct weir_config config = {
        .model_path = rig->path, .n_ctx = CTX, .kv = kv, .mem_bytes = mem_bytes, .n_slot = 8};
    const uint32_t most = mem_bytes == 0 ? rig->n_text : TEXTS_MAX;
    weir_engine *engine = NULL;
    uint32_t count = 0;
    WEIR_TRY(weir_engine_open(&engine, &config, err));
    enum weir_status status = WEIR_OK;
    while (count < most && status == WEIR_OK) {
        status = open_text(engine, &sessions[count], rig->n_position - 1, err);
        if (status == WEIR_OK)
            count++;
        else
            weir_session_destroy(&sessions[count]);
    }
    if (status == WEIR_ERR_NOMEM && mem_bytes != 0) {
        *err = (struct weir_err){0};
        status = WEIR_OK;
    }
    if (status == WEIR_OK)
        status = step(engine, sessions, count, err);
    *figure = (struct figure){.n_text = count, .peak_bytes = weir_sys_peak_rss_bytes()};
    for (uint32_t at = 0; at < count; at++)
        weir_session_destroy(&sessions[at]);
    weir_engine_close(&engine);
    return status;
}

/* In a process of its own, whose peak is that of these texts alone. */
static bool measure(const struct rig *rig, const char *kv, uint64_t mem_bytes,
                    struct figure *figure)
{
    int ends[2];
    int code = 1;
    if (pipe(ends) != 0)
        return false;
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        struct weir_err err = {0};
        const enum weir_status status = fill(rig, kv, mem_bytes, figure, &err);
        if (status != WEIR_OK)
            fprintf(stderr, "kv_users: %s: %s\n", kv, err.text);
        const bool told = write(ends[1], figure, sizeof(*figure)) == (ssize_t)sizeof(*figure);
        _exit(status == WEIR_OK && told ? 0 : 1);
    }
    close(ends[1]);
    const bool heard = read(ends[0], figure, sizeof(*figure)) == (ssize_t)sizeof(*figure);
    close(ends[0]);
    return child > 0 && waitpid(child, &code, 0) == child && code == 0 && heard;
}

int main(int argc, char **argv)
{
    struct figure first_fit = {0};
    struct figure first_equal = {0};
    if (argc < 5) {
        fprintf(stderr, "usage: kv_users MODEL.gguf POSITIONS MIB TEXTS [KV...]\n");
        return 2;
    }
    const struct rig rig = {
        .path = argv[1],
        .n_position = (uint32_t)weir_max(strtoul(argv[2], NULL, 10), 2),
        .mem_bytes = strtoull(argv[3], NULL, 10) << 20,
        .n_text = (uint32_t)weir_min(weir_max(strtoul(argv[4], NULL, 10), 1), TEXTS_MAX)};
    const int n_way = argc > 5 ? argc - 5 : (int)WEIR_COUNT(usual);
    for (int way = 0; way < n_way; way++) {
        const char *kv = argc > 5 ? argv[5 + way] : usual[way];
        struct figure fit;
        struct figure equal;
        if (!measure(&rig, kv, rig.mem_bytes, &fit) || !measure(&rig, kv, 0, &equal))
            return EXIT_FAILURE;
        if (way == 0) {
            first_fit = fit;
            first_equal = equal;
        }
        printf("{\"kv\": \"%s\", \"fit\": %u, \"more\": %.2f, \"ceiling_peak_bytes\": %llu, "
               "\"texts\": %u, \"peak_bytes\": %llu, \"less\": %.2f}\n",
               kv, fit.n_text, (double)fit.n_text / first_fit.n_text,
               (unsigned long long)fit.peak_bytes, equal.n_text,
               (unsigned long long)equal.peak_bytes,
               (double)first_equal.peak_bytes / (double)equal.peak_bytes);
    }
    return EXIT_SUCCESS;
}
