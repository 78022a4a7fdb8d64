/* weir_bench.h - the door for measuring weir itself: rivals, ablations, faults, routing.
 *
 * Job       Run weir with another policy or predictor, or with a part taken away; watch which
 *           experts a text uses; replay that under any policy.
 * Not here  What a user of the library needs: that is weir.h. This header is not installed, and a
 *           shared library does not export its functions: it can change with any version.
 * Shapes    experts[n_token][n_layer][n_expert_used]; only layers that have experts are counted.
 * Owns      Nothing: what is pointed at stays the caller's.
 * Threads   As in weir.h.
 * Errors    As in weir.h.
 */
#ifndef WEIR_BENCH_H
#define WEIR_BENCH_H

#include "weir.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- an engine that is to be measured -------------------------------------------------------- */

/* What a guess goes by: the next layer's router on the residual stream as far as it is known, or
 * on this layer's gate input (Fate), or which experts have followed which. */
enum weir_guess_by { WEIR_GUESS_BY_RESIDUAL, WEIR_GUESS_BY_GATE, WEIR_GUESS_BY_PATH };

/* To measure what a part is worth: each bit takes one away. */
enum weir_ablation {
    WEIR_ABLATE_CACHE = 1,         /* experts are forgotten after each layer */
    WEIR_ABLATE_HITS_FIRST = 2,    /* nothing is computed while something is read */
    WEIR_ABLATE_GATE_UP_FIRST = 4, /* an expert is computed when all of it is there */
    WEIR_ABLATE_GPU_OVERLAP = 8,   /* one expert crosses to the GPU, and is computed, at a time */
};

/* The same of texts on disk. */
enum weir_swap_ablation {
    WEIR_ABLATE_SWAP_REUSE = 1, /* what is in the file is written again */
    WEIR_ABLATE_SWAP_ASYNC = 2, /* nothing is computed while a text is written or read */
};

/* Experts of layers on the GPU: those that were put there stay, and others are computed by the CPU;
 * or all are computed there, and go there when they are wanted: which of the two says what opening
 * measures, unless one is asked for. Or each where it is sooner, as measured: then the bits of a
 * result go by that, too. */
enum weir_gpu_moving {
    WEIR_GPU_EXPERTS_AUTO, /* with gpu_is_placed: they stay */
    WEIR_GPU_EXPERTS_STAY,
    WEIR_GPU_EXPERTS_DEMAND,
    WEIR_GPU_EXPERTS_CHEAPEST,
};
/* What goes there before it is wanted: nothing; what the next layer's router says of this layer's
 * input (Fate); what texts used that went the same way through the experts (MoE-Infinity). */
enum weir_gpu_ahead { WEIR_GPU_AHEAD_NONE, WEIR_GPU_AHEAD_BY_GATE, WEIR_GPU_AHEAD_BY_PATH };

/* Zero means what an engine does without it. weir_config.bench points here. */
struct weir_bench_config {
    const char *overlay_path; /* a GGUF file whose tensors take the place of the model's */
    const char *policy;   /* which expert gives up its slot: weir_policy_name(); NULL: learned */
    bool pool;            /* all layers share their slots, which learned and edgemoe always do */
    uint32_t lookahead_m; /* experts guessed a token; 0: those that a token uses */
    enum weir_guess_by guess_by;
    unsigned ablation; /* enum weir_ablation */
    /* Texts on disk, to measure what is worth what: bytes of a read or write at most (0: 4 MiB),
     * and what is left out (enum weir_swap_ablation). */
    uint32_t swap_piece_bytes;
    unsigned swap_ablation;
    /* The simulated GPU: its work overtakes itself by a seed (0: it does not), takes up to so long,
     * and the device is lost at the n-th piece of work (0: never). */
    uint64_t gpu_seed, gpu_fails_at_work;
    uint32_t gpu_delay_us_max;
    /* What is on the GPU, instead of what is worth most; the ceiling has to hold it. */
    bool gpu_is_placed, gpu_has_output;
    uint32_t gpu_first_layer, gpu_layer_count;
    uint32_t gpu_expert_count; /* of each of these layers */
    unsigned gpu_copies; /* of other experts, for prompts: 0 as it is sooner, 1 always, 2 never */
    /* Experts that come to the GPU and go: all its layers have to be there. */
    enum weir_gpu_moving gpu_experts;
    enum weir_gpu_ahead gpu_ahead;
    const char *gpu_policy; /* which expert gives up its place there; NULL: learned */
    bool gpu_pool;          /* all layers share their places there */
    double gpu_pace;        /* bytes a second: experts cross no faster; 0: as fast as they do */
    /* Bytes of experts a second that are taken for measured at opening: across, and through the
     * CPU. Not both: measured. */
    double gpu_link_speed, gpu_host_speed;
    uint64_t fake_io_seed;  /* != 0: the seeded fake device over the file, for tests */
    uint32_t fake_io_fault; /* with it: 0 none, 1 short reads and retries, 2 errors, 3 no answer,
                               4 a full disk, 5 half of what is asked of the folder of texts
                               is an error */
};

/* What went to the GPU since the engine was opened or its statistics were reset. */
struct weir_gpu_moves {
    uint64_t copied;            /* experts, because a step wanted them */
    uint64_t copied_bytes;      /* of all experts that went there; a slower pace does not count */
    uint64_t ahead, ahead_used; /* before one did; of these, used by the layer's next step */
    /* Of layers whose experts move, each expert once a step: wanted, there by then, on its way. */
    uint64_t wanted, hits, late;
    double wait_s;             /* the CPU waited for a layer's choice of experts */
    uint64_t uses, uses_there; /* experts of rows, and those that were computed there */
};
/* All zero where nothing is on a GPU. */
void weir_engine_gpu_moves_get(const weir_engine *engine, struct weir_gpu_moves *moves);

/* ---- routing: watching it, and replaying it -------------------------------------------------- */

/* Told once for each layer with experts that an eval computes, layer counting only those: which
 * experts each token used, ascending, experts[n_token][n_expert_used], as many as that layer uses;
 * position is the first token's. Borrowed during the call. */
typedef void weir_routing_fn(void *user, uint32_t layer, uint32_t position, uint32_t n_token,
                             uint32_t n_expert_used, const uint32_t *experts);
/* NULL ends it. */
void weir_session_watch_routing(weir_session *session, weir_routing_fn *watch, void *user);

/* Told once for each layer with experts that an eval of a single token computes after a guess:
 * all n_expert experts, the likeliest first, as guessed a layer before (ranked) and as the layer's
 * own router sees it (control: the first ones are those used); and the layer's n_expert_used
 * experts used, ascending.
 * layer counts only layers with experts. Borrowed during the call. While something watches, guesses
 * are made also where all experts are resident. */
typedef void weir_guess_fn(void *user, uint32_t layer, const uint32_t *ranked,
                           const uint32_t *control, uint32_t n_expert, uint32_t n_expert_used,
                           const uint32_t *experts);
/* NULL ends it. */
void weir_session_watch_guesses(weir_session *session, weir_guess_fn *watch, void *user);

/* Which experts a text used: experts[n_token][n_layer][n_expert_used], the most that a layer uses.
 * Only layers with experts count. Borrowed by replay. */
#define WEIR_EXPERT_NONE UINT16_MAX    /* fills up where a token or a layer used fewer */
#define WEIR_TRACE_PLACE_MAX (1 << 22) /* n_layer x n_expert */
#define WEIR_REPLAY_BYTES_MAX (256ull << 20)
#define WEIR_REPLAY_ALL_BYTES_MAX (32ull << 20)
struct weir_trace {
    uint32_t n_layer, n_expert, n_expert_used;
    uint32_t n_token;
    uint32_t n_prompt_token; /* the first ones: one step each in replay, not counted */
    const uint16_t *experts;
};

struct weir_replay_config {
    const char *policy; /* as weir_policy_name() lists them; NULL: learned */
    bool pool;          /* all layers share their slots, which learned and edgemoe always do */
    uint32_t n_slot;    /* slots a layer, in a pool on the average; 0: by expert_share */
    /* Slots: floor(share x n_expert) a layer, at least n_expert_used; a pool has floor(share x all
     * experts). */
    double expert_share;
    double warm_share; /* of the other tokens that only warm the cache; 1/3 is usual */
    /* Texts that decode together, each expert once for all: the tokens after the prompt are cut
     * into so many parts of one length, what is over is left out. 0: one. */
    uint32_t n_together;
};

struct weir_replay_result {
    uint32_t n_slot;       /* a layer, whole ones */
    uint32_t n_slot_total; /* of all layers */
    bool pooled;           /* the layers shared them */
    uint64_t uses, hits;   /* of the counted tokens, each expert once a step */
    uint64_t tokens;       /* that were counted */
};

/* Told each layer of each step, counted or not. A step is a token, or one of each text that decodes
 * with others. hits[count] says which were resident before the layer began. */
typedef void weir_replay_fn(void *user, uint32_t step, uint32_t layer, const uint32_t *experts,
                            const bool *hits, uint32_t count, bool is_counted);
/* Run a policy over a trace with the code that decides evictions in an engine. each may be NULL.
 * Beside the trace twice it takes at most WEIR_REPLAY_BYTES_MAX, and more than
 * WEIR_REPLAY_ALL_BYTES_MAX only for experts that occur.
 * Errors: ARG (no such policy: names them; an expert out of range; more tables than that: names
 * both numbers), NOMEM. */
enum weir_status weir_trace_replay(const struct weir_trace *trace,
                                   const struct weir_replay_config *config,
                                   struct weir_replay_result *result, weir_replay_fn *each,
                                   void *user, struct weir_err *err);
/* From now on the session's tokens use a recorded text's experts in place of those that its routers
 * choose, so that a model of random weights reads what the text would have it read: position p uses
 * those of the trace's token (first_token + p) mod n_token, weighed by the router's own scores;
 * where a token has fewer the router's best fill up. recall: look-ahead, whose guesses would be
 * about the router's experts, is told the trace's, each with this chance, else one that is not
 * used; 0: it is off. The trace's experts are borrowed until trace is NULL, which ends it, or the
 * session is destroyed. Errors: ARG (other layers, experts or experts of a token than the
 * model's: names both; an eval runs). */
enum weir_status weir_session_prescribe(weir_session *session, const struct weir_trace *trace,
                                        uint32_t first_token, double recall, struct weir_err *err);
/* The names of the policies, in order; NULL past the last. */
const char *weir_policy_name(uint32_t index);
/* False for a policy that gives each layer slots of its own in any case; and past the last. */
bool weir_policy_can_pool(uint32_t index);
/* Whether a policy of that name, or NULL, can do it: layers share slots (pool), and an engine
 * decides now (in_engine), not a replay that knows the future. Errors: ARG, which names all
 * policies when there is none of that name. */
enum weir_status weir_policy_check(const char *name, bool pool, bool in_engine,
                                   struct weir_err *err);
/* One sentence about a policy. */
const char *weir_policy_about(uint32_t index);

#ifdef __cplusplus
}
#endif

#endif
