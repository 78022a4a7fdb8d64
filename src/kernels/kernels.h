/* kernels.h - arithmetic on the caller's buffers.
 *
 * Job       Every inner loop of the forward pass, in plain C and per instruction set.
 * Not here  Memory, threads, files, the order of layers.
 * Shapes    Weights are rows of cols values in a quant format (quant/quant.h). Activations of a
 *           matmul are rows of cols values in the activation format that the weight format asks
 *           for (struct weir_kernels.act): F32, or 8-bit blocks of 32 or of 256 values.
 * Units     Strides and offsets as named: *_bytes in bytes, others in values.
 * Owns      Nothing.
 * Threads   Any thread. A result never depends on how rows, tokens or heads are divided among
 *           calls: the float accumulation order of one output is fixed by format and level.
 * Errors    None: kernels cannot fail. What is not finite stays so: an output that a value that is
 *           not finite goes into is not a finite number either, at every level.
 * Source    Integer block dots as in ggml's formats; RMSNorm arXiv:1910.07467 eq. 4; SwiGLU
 *           arXiv:2002.05202 eq. 6; RoPE arXiv:2104.09864 eq. 34; GQA arXiv:2305.13245;
 *           recurrences in kernels/recurrent.h.
 */
#ifndef WEIR_KERNELS_H
#define WEIR_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/kv.h"
#include "kernels/recurrent.h"
#include "quant/quant.h"

/* What the CPU offers, as features. */
enum weir_cpu_flag {
    WEIR_CPU_AVX2 = 1 << 0,         /* with FMA and F16C */
    WEIR_CPU_AVX512 = 1 << 1,       /* F, BW, VL, DQ */
    WEIR_CPU_AVX512_VNNI = 1 << 2,  /* vpdpbusd on 512-bit registers */
    WEIR_CPU_NEON_DOTPROD = 1 << 3, /* aarch64's sdot */
    /* One token's rows come fastest in the order of memory, asked for ahead, not as streams: AMD's
     * CPUs with AVX-512. A habit, not an instruction set; bits of results are the same. */
    WEIR_CPU_IN_ORDER = 1 << 4,
};

/* Activation formats. */
enum weir_act {
    WEIR_ACT_F32,
    WEIR_ACT_Q8_32,  /* struct weir_act_q8_32, for formats of 32 values */
    WEIR_ACT_Q8_256, /* struct weir_act_q8_256, for formats of 256 values */
    WEIR_ACT_COUNT
};

/* 32 values: x[i] = scale * q[i], q in [-127, 127]; sum = scale * (q[0] + ... + q[31]);
 * offset = -128 * (q[0] + ... + q[31]), what weights that are kept 128 too large add. */
struct weir_act_q8_32 {
    float scale;
    float sum;
    int32_t offset;
    int8_t q[32];
};

/* 256 values: x[i] = scale * q[i]; sums[j] = q[32 j] + ... + q[32 j + 31];
 * half_sums[j] = q[16 j] + ... + q[16 j + 15];
 * offsets[j] = -32 * half_sums[j], what weights kept 32 too large add. */
struct weir_act_q8_256 {
    float scale;
    int16_t sums[8];
    int16_t half_sums[16];
    int32_t offsets[16];
    int8_t q[256];
};

/* What the codes of W are multiplied by, where their scales are another tensor: one number for
 * group_rows rows by group_cols columns of it. A row of numbers has one for each group of columns,
 * the last perhaps of fewer columns; data is that of row 0, at any alignment. zeros: zero points of
 * I4 (quant/i4.h) for the same groups of columns, zero_row_bytes from one eight rows to the next,
 * those of row 0 first; NULL: there are none. */
struct weir_scales {
    const void *data, *zeros;
    size_t row_bytes, zero_row_bytes;
    size_t group_rows, group_cols;
    enum weir_scale_type type;
};

/* y[token][row] = sum over col of W[row][col] * x[token][col], row in [row_begin, row_end),
 * token in [0, n_token).
 *
 *   w   rows in the weight format, w_row_bytes apart, any alignment; w is row 0
 *   x   activations in the format's activation format, x_row_bytes apart
 *   y   f32, y_stride values apart; only [row_begin, row_end) of each token is written
 *
 *   w_col_bytes  of the turned kernels: W lies column by column, value [row][col] at
 *                row * w_row_bytes + col * w_col_bytes. Otherwise not looked at
 *   next  where the caller will read weights next, or NULL: a hint, nothing is read there
 *   scales  of a format of codes: what W is multiplied by, or NULL
 *
 * y overlaps neither w nor x. Reads no byte outside W's rows and x (tested on guard pages).
 * Class TOL 1e-5 * sum |x| (|W| + |minimum of W's block|) against the formula on the same
 * activations: formats with minimums add them apart from their steps. */
struct weir_matmul {
    const void *w;
    size_t w_row_bytes, w_col_bytes;
    const void *x;
    size_t x_row_bytes;
    float *y;
    size_t y_stride;
    size_t cols;
    size_t row_begin, row_end;
    size_t n_token;
    const void *next;
    const struct weir_scales *scales;
};
typedef void weir_matmul_fn(const struct weir_matmul *job);

/* dst (weir_act_row_bytes() long) = src[0 .. cols) in an activation format. Class EXACT for
 * F32; for the 8-bit formats every level gives the reference's bits too (EXACT): otherwise levels
 * could not be compared. Rounding is to nearest even; an all-zero block has scale 0. A block with a
 * value that is not finite has steps of 0 and a scale that is not a number, which every output that
 * it goes into then is, too. */
typedef void weir_act_fn(const float *src, void *dst, size_t cols);

/* y[i] = x[i] * weight[i] / sqrt(mean(x^2) + epsilon); y may be x. TOL 1e-5 relative. Returns what
 * x was multiplied with: 0 or not a number when a value of x is not finite, else above 0. */
typedef float weir_rmsnorm_fn(const float *x, const float *weight, float *y, size_t count,
                              float epsilon);

/* What a feed-forward network makes of its gate g and its other half u (arXiv:2002.05202), with
 * silu(v) = v / (1 + exp(-v)); clamp(u) is u within [-limit, limit]. */
enum weir_glu {
    WEIR_GLU_SILU,         /* silu(g) * u */
    WEIR_GLU_SILU_OF_LESS, /* silu(min(g, limit)) * clamp(u) */
    WEIR_GLU_LESS_OF_SILU, /* min(silu(g), limit) * clamp(u) */
    WEIR_GLU_OAI,          /* h / (1 + exp(-1.702 h)) * (clamp(u) + 1), h = min(g, limit) */
    /* 0.5 g (1 + tanh(sqrt(2 / pi) (g + 0.044715 g^3))) * u (arXiv:1606.08415, section 2) */
    WEIR_GLU_GELU,
    WEIR_GLU_COUNT
};
/* gate[i] = that of gate[i] and up[i]. TOL 1e-5 relative, GELU 1e-4. */
typedef void weir_glu_fn(float *gate, const float *up, size_t count, float limit);

/* y[i] += scale * x[i]. One multiply and one add each, not fused: EXACT. */
typedef void weir_axpy_fn(float *y, const float *x, float scale, size_t count);

/* x[i] = cap * tanh(x[i] / cap), cap > 0. TOL 1e-6 * cap. */
typedef void weir_softcap_fn(float *x, size_t count, float cap);

/* x[i] *= sigmoid(gate[i]). TOL 1e-5 relative. */
typedef void weir_sigmoid_mul_fn(float *x, const float *gate, size_t count);

/* Queries over one head of a KV cache: query heads that share it, or a head of tokens that follow
 * each other. K and V are read once for all of them where the level can. For each job
 *
 *   score[p] = scale * sum over i of q[i] * k[p][i],   p in [first, n_position)
 *   score[p] = softcap * tanh(score[p] / softcap),     where softcap is not 0
 *   out[i]   = sum over p of softmax(score)[p] * v[p][i]
 *
 *   k, v   rows in pages, of the kernel's format (kv.h): position p is row p % page_length of page
 *          pages[p / page_length]. Rows are k_row_bytes and v_row_bytes apart, pages page_bytes; k
 *          and v point at row 0 of page 0. Pages before first's are not looked at
 *   packed_k, packed_v  the same of formats of tiles, for positions before packed_end: the tile of
 *          positions [32 t, 32 t + 32) is tile t % (page_length / 32) of its page. Tiles follow
 *          each other; pages are packed_page_bytes apart, and whole tiles long. packed_end is a
 *          multiple of 32; other formats have 0 there, and rows alone
 *   sink   NULL, or one score more that the softmax counts and that has no value
 *   next_k where the caller reads K after these, or NULL: rows of one page that may be fetched
 *          ahead; that of the last job counts
 *   out    d_value floats; overlaps nothing
 *
 * All jobs of a call, at most WEIR_ATTENTION_MAX, have the same k, v, pages, strides, d_head,
 * d_value, scale, softcap, and neither first, packed_end nor n_position falls from one to the next;
 * a job's bits do not depend on its company. d_head and d_value are what the format takes,
 * n_position > first, n_position >= packed_end. attend.h has the order of the sums. Pages as in
 * PagedAttention (arXiv:2309.06180), sinks as in arXiv:2309.17453 with a learned score. TOL 1e-4
 * relative to sum |softmax v|, of the values as they are kept; of packed ones a q[i] * scale, or a
 * weight * scale, may be off by 2^-15 of the largest of its tile beside. A score of minus infinity,
 * which has no weight, makes out not a number all the same; sinks are finite. */
struct weir_attention {
    const float *q;
    const void *k;
    const void *v;
    const void *packed_k;
    const void *packed_v;
    const void *next_k;
    const uint32_t *pages;
    const float *sink;
    size_t k_row_bytes, v_row_bytes;
    size_t page_length;
    size_t page_bytes, packed_page_bytes;
    size_t d_head;  /* of q and k */
    size_t d_value; /* of v and out */
    size_t first, packed_end, n_position;
    float scale;
    float softcap; /* 0: none */
    float *out;
};
/* A level has WEIR_ATTENTION_TURN jobs in registers at once. */
enum { WEIR_ATTENTION_MAX = 16, WEIR_ATTENTION_TURN = 4 };
typedef void weir_attention_fn(const struct weir_attention *jobs, size_t count);

/* f32 to f16, round to nearest even. EXACT. */
typedef void weir_to_f16_fn(const float *src, uint16_t *dst, size_t count);

struct weir_kernels {
    weir_matmul_fn *matmul[WEIR_TYPE_COUNT];
    weir_matmul_fn *turned[WEIR_TYPE_COUNT]; /* of F32, F16, BF16, x as for matmul; others NULL */
    enum weir_act act[WEIR_TYPE_COUNT];      /* what matmul[type] wants as x */
    weir_act_fn *quantize[WEIR_ACT_COUNT];
    weir_rmsnorm_fn *rmsnorm;
    weir_glu_fn *glu[WEIR_GLU_COUNT];
    weir_axpy_fn *axpy;
    weir_softcap_fn *softcap;
    weir_sigmoid_mul_fn *sigmoid_mul;
    weir_attention_fn *attention[WEIR_KV_COUNT];
    weir_conv_fn *conv;
    weir_delta_fn *delta;
    weir_to_f16_fn *to_f16;
    const char *isa; /* for reports: "ref", "avx2", "avx512", "avx512-vnni", "neon-dotprod" */
};

/* What this CPU and its operating system offer. */
unsigned weir_cpu_flags(void);
/* The reference everywhere, then the best that flags allow. Filled once, then read-only. */
void weir_kernels_init(struct weir_kernels *kernels, unsigned cpu_flags);
/* Bytes of one activation row of cols values; cols is a multiple of 32 or 256 for 8-bit formats. */
size_t weir_act_row_bytes(enum weir_act act, size_t cols);

/* In place softmax over count >= 1 values, f32, scalar: for routers. */
void weir_softmax(float *x, size_t count);
/* True when none of count values is infinite or not a number. */
bool weir_all_finite(const float *x, size_t count);
/* Rotate pairs of one head vector by position (arXiv:2104.09864). Of pair i of n_rot / 2, angles[i]
 * is the cosine and angles[n_rot / 2 + i] the sine. interleaved: pairs (2i, 2i+1); else NEOX pairs
 * (i, i + n_rot / 2). Values past n_rot stay. angles does not overlap head. */
void weir_rope(float *head, const float *angles, size_t n_rot, bool interleaved);

#endif
