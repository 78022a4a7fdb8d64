/* attention.cu - attention of rows that are decoded: each K and V is read once for all heads that
 * share it, and the positions are divided among blocks (flash-decoding; FlashAttention-2,
 * arXiv:2307.08691, has the running softmax).
 *
 * A block takes up to 16 query heads of one KV head over its part of the positions, 64 at a time.
 * Of these each warp computes the scores of 16, and then, of all 64, a quarter of out's columns. K
 * and V go from memory to registers: the order in which a product goes through d_head is free, so a
 * lane reads 16 bytes of a key at a time.
 *
 * The tensor cores multiply halves. q and the weights of the softmax are two halves each, so that
 * nothing but K and V has been rounded to 11 bits.
 *
 * How positions are divided goes by the row's own position: company changes no bit. */
#include "gpu/cuda/attend.cuh"
#include "gpu/cuda/grid.cuh"

enum { STEP = WEIR_ATTEND_STEP, HEADS = WEIR_ATTEND_TOGETHER, SCORES = STEP + 8 };

/* The positions of one split. */
struct part {
    uint32_t first, end; /* that the row sees */
    uint32_t from, to;   /* multiples of STEP */
};

static __device__ uint32_t split_length(const weir_attention_args &a, uint32_t first, uint32_t end)
{
    const uint32_t steps = (end + STEP - 1) / STEP - first / STEP;
    return (steps + a.splits - 1) / a.splits * STEP;
}

static __device__ part part_of(const weir_attention_args &a, uint32_t position, uint32_t split)
{
    const uint32_t first = first_seen(a, position);
    const uint32_t length = split_length(a, first, position + 1);
    const uint32_t from = first / STEP * STEP + split * length;
    return {first, position + 1, from, from + length};
}

static __device__ uint32_t splits_used(const weir_attention_args &a, uint32_t position)
{
    const uint32_t first = first_seen(a, position);
    const uint32_t length = split_length(a, first, position + 1);
    return (position / STEP * STEP - first / STEP * STEP) / length + 1;
}

/* WORDS words of halves, asked for before all_asked(). */
template <int WORDS>
static __device__ __forceinline__ void read_words(uint32_t (&to)[WORDS], const uint16_t *at)
{
    if constexpr (WORDS == 1)
        asm volatile("ld.global.b32 %0, [%1];" : "=r"(to[0]) : "l"(at) : "memory");
    if constexpr (WORDS == 2)
        asm volatile("ld.global.v2.b32 {%0, %1}, [%2];"
                     : "=r"(to[0]), "=r"(to[1])
                     : "l"(at)
                     : "memory");
    if constexpr (WORDS >= 4)
#pragma unroll
        for (int word = 0; word < WORDS; word += 4)
            asm volatile("ld.global.v4.b32 {%0, %1, %2, %3}, [%4];"
                         : "=r"(to[word]), "=r"(to[word + 1]), "=r"(to[word + 2]),
                           "=r"(to[word + 3])
                         : "l"(at + 2 * word)
                         : "memory");
}

/* What was to be read is on its way: left alone, the compiler asks for each when it is needed, and
 * one read waits for another. */
static __device__ __forceinline__ void all_asked()
{
    __syncwarp();
}

/* D and DV: d_head and d_value, made one of the sizes below; both are multiples of 8 here.
 *
 * Every read is done: one of a position that is not seen reads a position that is, and one past
 * d_head or d_value reads the first values. The score of the former becomes minus infinity, q is 0
 * and out is not stored at the latter. So reads need not wait for one another. */
template <int D, int DV> struct decoder {
    enum {
        CHUNKS = D / 32,     /* of a key: four lanes read 8 values each */
        Q_ROW = D + 32,      /* so that rows begin in banks of their own */
        WIDTH = DV / 32,     /* columns of out that a lane reads of a value */
        COLUMNS = DV / 4,    /* of a warp */
        HAS_ALL = DV <= 256, /* keys and values of a step fit in registers */
        KEPT = HAS_ALL ? CHUNKS : CHUNKS / 2,
    };
    struct memory {
        uint32_t q[2][HEADS][Q_ROW / 2]; /* what is kept, and the rest */
        float scores[2][HEADS][SCORES];
    };

    const weir_attention_args &a;
    memory &shared;
    uint32_t warp, group, lane; /* group: lane / 4; lane: of the four */
    part range;
    keys k, v;
    uint32_t key[KEPT][2][4]; /* of the step to come; or half of them, as they are multiplied */
    float out[WIDTH][4];
    float most[2], sum[2]; /* of heads group and group + 8 */

    /* Reads first, as many as registers hold: none waits for another. */
    __device__ __forceinline__ void fill_queries(const float *q, uint32_t n_head)
    {
        constexpr int ALL = HEADS * D / 4 / WEIR_ATTEND_THREADS;
        constexpr int TOGETHER = ALL > 8 ? 6 : ALL;
        for (int first = 0; first < ALL; first += TOGETHER) {
            float4 x[TOGETHER];
#pragma unroll
            for (int at = 0; at < TOGETHER; at++) {
                const uint32_t index = (first + at) * WEIR_ATTEND_THREADS + threadIdx.x;
                const uint32_t head = index / (D / 4);
                const uint32_t i = index % (D / 4) * 4;
                x[at] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
                if (head < n_head && i < a.d_head)
                    x[at] = __ldg(reinterpret_cast<const float4 *>(q + head * a.q_head_stride + i));
            }
#pragma unroll
            for (int at = 0; at < TOGETHER; at++) {
                const uint32_t index = (first + at) * WEIR_ATTEND_THREADS + threadIdx.x;
                const uint32_t head = index / (D / 4);
                const uint32_t i = index % (D / 4) * 2;
                const float2 one = make_float2(x[at].x * a.q_scale, x[at].y * a.q_scale);
                const float2 other = make_float2(x[at].z * a.q_scale, x[at].w * a.q_scale);
                const uint2 kept = make_uint2(halves_of(one.x, one.y), halves_of(other.x, other.y));
                *reinterpret_cast<uint2 *>(&shared.q[0][head][i]) = kept;
                *reinterpret_cast<uint2 *>(&shared.q[1][head][i]) =
                    make_uint2(rest_of(one.x, one.y, kept.x), rest_of(other.x, other.y, kept.y));
            }
        }
    }

    __device__ __forceinline__ bool is_seen(uint32_t position) const
    {
        return position >= range.first && position < range.end;
    }

    /* The 16 positions at `from`, which lie in one page, or the nearest of which one is seen. */
    __device__ __forceinline__ uint32_t piece_of(uint32_t from) const
    {
        return min(max(from, range.first & ~15u), (range.end - 1) & ~15u);
    }

    /* Values from a piece's first row to one of its positions. */
    __device__ __forceinline__ uint32_t row_of(const keys &keys, uint32_t piece, uint32_t at) const
    {
        return (min(max(piece + at, range.first), range.end - 1) - piece) * keys.row;
    }

    /* The 8 values at a chunk of one query head, in fragments of two products. */
    __device__ __forceinline__ void read_query(fragment_a (&q)[2], int rest, int chunk) const
    {
#pragma unroll
        for (int half = 0; half < 2; half++) {
            const uint4 four = *reinterpret_cast<const uint4 *>(
                &shared.q[rest][group + 8 * half][16 * chunk + 4 * lane]);
            q[0].at[half] = four.x, q[0].at[2 + half] = four.y;
            q[1].at[half] = four.z, q[1].at[2 + half] = four.w;
        }
    }

    /* Where the warp's 16 keys of a step are; a lane's two. */
    __device__ __forceinline__ void find_keys(const uint16_t *(&at)[2], uint32_t from) const
    {
        const uint32_t piece = piece_of(from + 16 * warp);
        const uint16_t *page = k.at(piece);
#pragma unroll
        for (int tile = 0; tile < 2; tile++)
            at[tile] = page + row_of(k, piece, 8 * tile + group);
    }

    __device__ __forceinline__ void read_keys(uint32_t (&to)[2][4], const uint16_t *(&at)[2],
                                              int chunk) const
    {
        const uint32_t i = 32 * chunk + 8 * lane;
#pragma unroll
        for (int tile = 0; tile < 2; tile++)
            read_words<4>(to[tile], at[tile] + (i < a.d_head ? i : 0));
    }

    __device__ __forceinline__ void bring_keys(uint32_t from)
    {
        const uint16_t *at[2];
        find_keys(at, from);
#pragma unroll
        for (int chunk = 0; chunk < KEPT; chunk++)
            read_keys(key[chunk], at, chunk);
        all_asked();
    }

    /* What is kept of q and the rest have sums of their own: so fewer products wait for another. */
    __device__ __forceinline__ void multiply_keys(float (&score)[2][2][4],
                                                  const uint32_t (&one)[2][4], int chunk) const
    {
        fragment_a q[2], rest[2];
        read_query(q, 0, chunk);
        read_query(rest, 1, chunk);
#pragma unroll
        for (int tile = 0; tile < 2; tile++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                multiply(score[0][tile], q[half], one[tile][2 * half], one[tile][2 * half + 1]);
                multiply(score[1][tile], rest[half], one[tile][2 * half], one[tile][2 * half + 1]);
            }
    }

    /* Scores of the warp's 16 positions of a step. */
    __device__ __forceinline__ void fill_scores(uint32_t from, float (*scores)[SCORES])
    {
        float score[2][2][4] = {};
        if constexpr (HAS_ALL) {
#pragma unroll
            for (int chunk = 0; chunk < CHUNKS; chunk++)
                multiply_keys(score, key[chunk], chunk);
        } else {
            const uint16_t *at[2];
            find_keys(at, from);
#pragma unroll 1
            for (int first = 0; first < CHUNKS; first += KEPT) {
#pragma unroll
                for (int chunk = 0; chunk < KEPT; chunk++)
                    read_keys(key[chunk], at, first + chunk);
                all_asked();
#pragma unroll
                for (int chunk = 0; chunk < KEPT; chunk++)
                    multiply_keys(score, key[chunk], first + chunk);
            }
        }
        from += 16 * warp;
#pragma unroll
        for (int tile = 0; tile < 2; tile++)
#pragma unroll
            for (int half = 0; half < 2; half++)
                store_scores(&scores[group + 8 * half][16 * warp + 8 * tile + 2 * lane],
                             from + 8 * tile + 2 * lane,
                             score[0][tile][2 * half] + score[1][tile][2 * half],
                             score[0][tile][2 * half + 1] + score[1][tile][2 * half + 1]);
    }

    __device__ __forceinline__ void store_scores(float *to, uint32_t position, float one,
                                                 float other) const
    {
        if (a.cap != 0.0f) {
            one = a.cap * tanhf(one) + 0.0f * one;
            other = a.cap * tanhf(other) + 0.0f * other;
        }
        *reinterpret_cast<float2 *>(to) =
            make_float2(is_seen(position) ? noticed(one) : MINUS_INFINITY,
                        is_seen(position + 1) ? noticed(other) : MINUS_INFINITY);
    }

    /* Values of the 16 positions from `from` on that this lane multiplies: 2 lane, 2 lane + 1, and
     * 8 behind them. */
    __device__ __forceinline__ void read_values(uint32_t (&to)[4][WIDTH / 2], uint32_t from) const
    {
        const uint32_t column = COLUMNS * warp + WIDTH * group;
        const uint32_t piece = piece_of(from);
        const uint16_t *at = v.at(piece) + (column < a.d_value ? column : 0);
#pragma unroll
        for (int index = 0; index < 4; index++)
            read_words<WIDTH / 2>(to[index],
                                  at + row_of(v, piece, 2 * lane + index % 2 + index / 2 * 8));
        all_asked();
    }

    /* out += weights times values, of 16 positions. */
    __device__ __forceinline__ void add_values(const float2 (&weight)[4],
                                               const uint32_t (&value)[4][WIDTH / 2])
    {
        fragment_a kept, rest;
#pragma unroll
        for (int index = 0; index < 4; index++) {
            kept.at[index] = halves_of(weight[index].x, weight[index].y);
            rest.at[index] = rest_of(weight[index].x, weight[index].y, kept.at[index]);
        }
#pragma unroll
        for (int column = 0; column < WIDTH; column++) {
            const uint32_t pick = column % 2 == 0 ? 0x5410 : 0x7632;
            const uint32_t b0 = __byte_perm(value[0][column / 2], value[1][column / 2], pick);
            const uint32_t b1 = __byte_perm(value[2][column / 2], value[3][column / 2], pick);
            multiply(out[column], kept, b0, b1);
            multiply(out[column], rest, b0, b1);
        }
    }

    /* The weights of 64 positions, before they are divided by their sum; what there was is scaled
     * down to a larger score. */
    __device__ __forceinline__ void soften(float2 (&weight)[4][4], const float (*scores)[SCORES])
    {
        float larger[2] = {most[0], most[1]};
#pragma unroll
        for (int piece = 0; piece < 4; piece++)
#pragma unroll
            for (int index = 0; index < 4; index++) {
                const float2 two = *reinterpret_cast<const float2 *>(
                    &scores[group + index % 2 * 8][16 * piece + 2 * lane + index / 2 * 8]);
                weight[piece][index] = two;
                larger[index % 2] = fmaxf(larger[index % 2], fmaxf(two.x, two.y));
            }
#pragma unroll
        for (int half = 0; half < 2; half++) {
            larger[half] = fmaxf(larger[half], __shfl_xor_sync(~0u, larger[half], 1));
            larger[half] = fmaxf(larger[half], __shfl_xor_sync(~0u, larger[half], 2));
            const float base = larger[half] == MINUS_INFINITY ? 0.0f : larger[half];
            const float factor = power(most[half] - base);
            sum[half] *= factor;
#pragma unroll
            for (int column = 0; column < WIDTH; column++)
                out[column][2 * half] *= factor, out[column][2 * half + 1] *= factor;
            most[half] = larger[half];
#pragma unroll
            for (int piece = 0; piece < 4; piece++)
#pragma unroll
                for (int index = half; index < 4; index += 2) {
                    float2 &two = weight[piece][index];
                    two = make_float2(power(two.x - base), power(two.y - base));
                    sum[half] += two.x + two.y;
                }
        }
    }

    /* Values are read before they are needed: all of a step, or a piece while the one before is
     * multiplied. */
    __device__ __forceinline__ void step(uint32_t from, float (*scores)[SCORES])
    {
        uint32_t value[HAS_ALL ? 4 : 2][4][WIDTH / 2];
        float2 weight[4][4];
        if constexpr (HAS_ALL)
#pragma unroll
            for (int piece = 0; piece < 4; piece++)
                read_values(value[piece], from + 16 * piece);
        fill_scores(from, scores);
        if constexpr (!HAS_ALL)
            read_values(value[0], from);
        else if (from + STEP < min(range.to, range.end))
            bring_keys(from + STEP);
        __syncthreads();
        soften(weight, scores);
#pragma unroll
        for (int piece = 0; piece < 4; piece++) {
            if constexpr (!HAS_ALL)
                if (piece < 3)
                    read_values(value[(piece + 1) % 2], from + 16 * (piece + 1));
            add_values(weight[piece], value[HAS_ALL ? piece : piece % 2]);
        }
    }

    /* One column of those that a lane has side by side. */
    __device__ __forceinline__ float column(int half, int index) const
    {
        return out[index % WIDTH][2 * half + index / WIDTH];
    }

    /* place: of the head and the split, among all of the launch. Four columns at once, for memory
     * takes as long for one. */
    __device__ __forceinline__ void store(int half, uint64_t place, uint64_t count)
    {
        float *outs = reinterpret_cast<float *>(a.partial);
        const uint32_t first = COLUMNS * warp + 2 * WIDTH * lane;
#pragma unroll
        for (int index = 0; index < 2 * WIDTH; index += 4)
            if (first + index < a.d_value)
                *reinterpret_cast<float4 *>(&outs[place * a.d_value + first + index]) =
                    make_float4(column(half, index), column(half, index + 1),
                                column(half, index + 2), column(half, index + 3));
        if (warp == 0 && lane == 0) {
            outs[count * a.d_value + place] = most[half];
            outs[count * (a.d_value + 1) + place] = sum[half];
        }
    }

    __device__ void run(uint32_t n_head, uint32_t first_head)
    {
#pragma unroll
        for (int half = 0; half < 2; half++)
            most[half] = MINUS_INFINITY, sum[half] = 0.0f;
#pragma unroll
        for (int column = 0; column < WIDTH; column++)
            for (int index = 0; index < 4; index++)
                out[column][index] = 0.0f;
        uint32_t turn = 0;
        for (uint32_t from = range.from; from < range.to && from < range.end; from += STEP)
            step(from, shared.scores[turn++ % 2]); /* the other half may still be read */
        const uint64_t count = static_cast<uint64_t>(a.n_row) * a.n_head * a.splits;
#pragma unroll
        for (int half = 0; half < 2; half++) {
            sum[half] += __shfl_xor_sync(~0u, sum[half], 1);
            sum[half] += __shfl_xor_sync(~0u, sum[half], 2);
            const uint32_t head = group + 8 * half;
            const uint64_t place =
                (static_cast<uint64_t>(blockIdx.z) * a.n_head + first_head + head) * a.splits +
                blockIdx.x;
            if (head < n_head)
                store(half, place, count);
        }
    }
};

/* Blocks are [split][group of heads][row]. */
template <int D, int DV> static __device__ __forceinline__ void decode(const weir_attention_args &a)
{
    __shared__ __align__(16) typename decoder<D, DV>::memory shared;
    const uint32_t row = a.first_row + blockIdx.z;
    const uint32_t position = reinterpret_cast<const uint32_t *>(a.positions)[row];
    const uint32_t table_at = reinterpret_cast<const uint32_t *>(a.table_at)[row];
    const uint32_t groups = (a.n_share + HEADS - 1) / HEADS;
    const uint32_t kv_head = blockIdx.y / groups;
    const uint32_t at = blockIdx.y % groups * HEADS;
    const uint32_t first_head = kv_head * a.n_share + at;
    const uint32_t n_head = min(a.n_share - at, static_cast<uint32_t>(HEADS));
    const part range = part_of(a, position, blockIdx.x);
    if (range.from >= range.end)
        return;
    decoder<D, DV> work = {a,
                           shared,
                           threadIdx.x / 32,
                           threadIdx.x % 32 / 4,
                           threadIdx.x % 4,
                           range,
                           keys_of(a, false, kv_head, table_at),
                           keys_of(a, true, kv_head, table_at)};
    if constexpr (decoder<D, DV>::HAS_ALL)
        work.bring_keys(range.from);
    work.fill_queries(reinterpret_cast<const float *>(a.q) +
                          static_cast<uint64_t>(row) * a.q_stride + first_head * a.q_head_stride,
                      n_head);
    __syncthreads();
    work.run(n_head, first_head);
}

#define DECODE(D, DV)                                                                              \
    extern "C" __global__ void __launch_bounds__(WEIR_ATTEND_THREADS)                              \
        weir_attend_##D##_##DV(const __grid_constant__ struct weir_attention_args a)               \
    {                                                                                              \
        begin_grid();                                                                              \
        decode<D, DV>(a);                                                                          \
    }
DECODE(64, 64)
DECODE(128, 128)
DECODE(256, 256)
DECODE(576, 512)

/* out = what the splits found, together; a sink counts beside them. Blocks are [head][row]. */
extern "C" __global__ void __launch_bounds__(WEIR_ATTEND_THREADS)
    weir_attend_join(const __grid_constant__ struct weir_attention_args a)
{
    begin_grid();
    const uint32_t head = blockIdx.x;
    const uint32_t row = a.first_row + blockIdx.y;
    const uint32_t used = splits_used(a, reinterpret_cast<const uint32_t *>(a.positions)[row]);
    const uint64_t count = static_cast<uint64_t>(a.n_row) * a.n_head * a.splits;
    const uint64_t place = (static_cast<uint64_t>(blockIdx.y) * a.n_head + head) * a.splits;
    const float *outs = reinterpret_cast<const float *>(a.partial) + place * a.d_value;
    const float *mosts = reinterpret_cast<const float *>(a.partial) + count * a.d_value + place;
    const float *sums = mosts + count;
    const float sink = a.sinks == 0 ? MINUS_INFINITY
                                    : reinterpret_cast<const float *>(a.sinks)[head] * 1.44269504f;
    __shared__ float weights[WEIR_ATTEND_SPLITS_MAX];
    /* Each warp for itself; a lane has every 32nd split. */
    const uint32_t lane = threadIdx.x % 32;
    enum { OWN = WEIR_ATTEND_SPLITS_MAX / 32, TOGETHER = 16 };
    float own[OWN], own_sum[OWN];
    float most = sink;
    float sum = 0.0f;
#pragma unroll
    for (int turn = 0; turn < OWN; turn++) {
        const bool is_used = lane + 32 * turn < used;
        own[turn] = is_used ? mosts[lane + 32 * turn] : MINUS_INFINITY;
        own_sum[turn] = is_used ? sums[lane + 32 * turn] : 0.0f;
    }
#pragma unroll
    for (int turn = 0; turn < OWN; turn++)
        most = fmaxf(most, own[turn]);
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2)
        most = fmaxf(most, __shfl_xor_sync(~0u, most, distance));
#pragma unroll
    for (int turn = 0; turn < OWN; turn++) {
        own[turn] = power(own[turn] - most);
        weights[lane + 32 * turn] = own[turn]; /* the same from every warp; 0 past those used */
        sum += own[turn] * own_sum[turn];
    }
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2)
        sum += __shfl_xor_sync(~0u, sum, distance);
    sum += a.sinks == 0 ? 0.0f : power(sink - most);
    __syncthreads();
    float *out = reinterpret_cast<float *>(a.out) + static_cast<uint64_t>(row) * a.out_stride +
                 head * a.d_value;
    for (uint32_t i = threadIdx.x; i < a.d_value; i += WEIR_ATTEND_THREADS) {
        float value = 0.0f;
#pragma unroll 1
        for (uint32_t first = 0; first < used; first += TOGETHER) {
            float part[TOGETHER]; /* of the last split again, past it */
#pragma unroll
            for (uint32_t at = 0; at < TOGETHER; at++)
                part[at] = outs[static_cast<uint64_t>(min(first + at, used - 1)) * a.d_value + i];
#pragma unroll
            for (uint32_t at = 0; at < TOGETHER; at++)
                value += weights[first + at] * part[at];
        }
        out[i] = value / sum;
    }
}

/* Of heads whose width or place lets nothing be read at once: plainly, a block for each head of a
 * row. Blocks are [head][row]. */
extern "C" __global__ void __launch_bounds__(WEIR_ATTEND_THREADS)
    weir_attend_any(const __grid_constant__ struct weir_attention_args a)
{
    __shared__ float scores[WEIR_ATTEND_THREADS];
    const uint32_t head = blockIdx.x;
    const uint32_t row = blockIdx.y;
    const uint32_t position = reinterpret_cast<const uint32_t *>(a.positions)[row];
    const uint32_t table_at = reinterpret_cast<const uint32_t *>(a.table_at)[row];
    const keys k = keys_of(a, false, head / a.n_share, table_at);
    const keys v = keys_of(a, true, head / a.n_share, table_at);
    const float *q = reinterpret_cast<const float *>(a.q) +
                     static_cast<uint64_t>(row) * a.q_stride + head * a.q_head_stride;
    float *to = reinterpret_cast<float *>(a.out) + static_cast<uint64_t>(row) * a.out_stride +
                head * a.d_value;
    const float sink = a.sinks == 0 ? MINUS_INFINITY
                                    : reinterpret_cast<const float *>(a.sinks)[head] * 1.44269504f;
    const uint32_t first = first_seen(a, position);
    float most = sink;
    float sum = a.sinks == 0 ? 0.0f : 1.0f;
    float out[WEIR_ATTEND_VALUE_MAX / WEIR_ATTEND_THREADS] = {};
    for (uint32_t from = first / WEIR_ATTEND_THREADS * WEIR_ATTEND_THREADS; from <= position;
         from += WEIR_ATTEND_THREADS) {
        const uint32_t at = from + threadIdx.x;
        float score = MINUS_INFINITY;
        if (at >= first && at <= position) {
            score = 0.0f;
            for (uint32_t i = 0; i < a.d_head; i++)
                score = fmaf(q[i] * a.q_scale, float_of(k.at(at)[i]), score);
            if (a.cap != 0.0f)
                score = a.cap * tanhf(score) + 0.0f * score;
            score = noticed(score);
        }
        __syncthreads();
        scores[threadIdx.x] = score;
        __syncthreads();
        float larger = most;
        for (uint32_t i = 0; i < WEIR_ATTEND_THREADS; i++)
            larger = fmaxf(larger, scores[i]);
        const float base = larger == MINUS_INFINITY ? 0.0f : larger;
        const float factor = power(most - base);
        most = larger;
        sum *= factor;
        for (float &one : out)
            one *= factor;
        for (uint32_t i = 0; i < WEIR_ATTEND_THREADS; i++) {
            if (from + i < first || from + i > position)
                continue;
            const float weight = power(scores[i] - base);
            sum += weight;
#pragma unroll
            for (uint32_t part = 0; part < WEIR_ATTEND_VALUE_MAX / WEIR_ATTEND_THREADS; part++) {
                const uint32_t column = part * WEIR_ATTEND_THREADS + threadIdx.x;
                if (column < a.d_value)
                    out[part] = fmaf(weight, float_of(v.at(from + i)[column]), out[part]);
            }
        }
    }
#pragma unroll
    for (uint32_t part = 0; part < WEIR_ATTEND_VALUE_MAX / WEIR_ATTEND_THREADS; part++)
        if (part * WEIR_ATTEND_THREADS + threadIdx.x < a.d_value)
            to[part * WEIR_ATTEND_THREADS + threadIdx.x] = out[part] / sum;
}
