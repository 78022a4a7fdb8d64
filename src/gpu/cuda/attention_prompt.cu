/* attention_prompt.cu - attention of rows of prompts: tiles of queries of one head pass over tiles
 * of K and V, with products on tensor cores and a running softmax (FlashAttention-2,
 * arXiv:2307.08691, algorithm 1 with the warps dealt to queries).
 *
 * Tiles of K and V begin at multiples of their length, and what a position does not see has a
 * weight of exactly 0, which changes neither its sum nor its largest score: a row's bits do not
 * depend on the chunk or the tile it came in. A tile whose rows are of several sequences passes
 * over the keys of each, and stores the rows of that one.
 *
 * While the tensor cores work on K the next V is on its way, and the other way round. */
#include "gpu/cuda/attend.cuh"

/* 16 bytes from memory to shared memory; done when await_copies() and a barrier say so. */
static __device__ __forceinline__ void copy_16(uint16_t *to, const uint16_t *from)
{
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(
                     static_cast<uint32_t>(__cvta_generic_to_shared(to))),
                 "l"(from));
#else
    *reinterpret_cast<uint4 *>(to) = *reinterpret_cast<const uint4 *>(from);
#endif
}

static __device__ __forceinline__ void end_copies()
{
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;");
#endif
}

/* All copies but those of the last `left` ends. */
template <int LEFT> static __device__ __forceinline__ void await_copies()
{
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
#endif
}

/* Four 8 x 8 matrices of halves; each lane gives a row of one of them. */
static __device__ __forceinline__ void read_matrices(uint32_t (&to)[4], const uint16_t *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(static_cast<uint32_t>(__cvta_generic_to_shared(row)))
                 : "memory");
}

static __device__ __forceinline__ void read_turned(uint32_t (&to)[4], const uint16_t *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
                 : "r"(static_cast<uint32_t>(__cvta_generic_to_shared(row)))
                 : "memory");
}

/* tanh to 1e-6, by the power at hand. */
static __device__ __forceinline__ float bend(float x)
{
    const float twice = power(fminf(x, 20.0f) * 2.88539008f) + 1.0f;
    return 1.0f - __fdividef(2.0f, twice) + 0.0f * x;
}

/* D: d_head and d_value, made 64, 128 or 256. TILES: of 16 queries, of a warp. KEYS: in a tile. */
template <int D, int TILES, int KEYS> struct prompter {
    enum {
        CHUNKS = D / 8, /* of 16 bytes */
        THREADS = WEIR_ATTEND_THREADS,
        QUERIES = TILES * 16 * THREADS / 32,
    };
    /* Chunks of a row change places by the row: so eight rows of one chunk lie in all banks. */
    struct memory {
        uint16_t q[QUERIES * D], k[KEYS * D], v[KEYS * D];
    };

    const weir_attention_args &a;
    memory &shared;
    uint32_t warp, lane;
    float out[TILES][D / 8][4];
    float most[TILES][2], sum[TILES][2];
    uint32_t position[TILES][2], first[TILES][2]; /* of queries lane / 4 and 8 behind it */

    static __device__ __forceinline__ uint32_t place(uint32_t row, uint32_t chunk)
    {
        return (row * CHUNKS + (chunk ^ (row & 7))) * 8;
    }

    /* Queries [row, row + QUERIES) of a head, zeros past the call's last row. */
    __device__ void fill_queries(uint32_t row, uint32_t head)
    {
#pragma unroll 4
        for (uint32_t index = threadIdx.x; index < QUERIES * CHUNKS; index += THREADS) {
            const uint32_t query = index / CHUNKS;
            const uint32_t i = index % CHUNKS * 8;
            const float *from = reinterpret_cast<const float *>(a.q) +
                                static_cast<uint64_t>(row + query) * a.q_stride +
                                head * a.q_head_stride + i;
            float x[8] = {};
            if (row + query < a.n_row && i < a.d_head) {
                *reinterpret_cast<float4 *>(x) = __ldg(reinterpret_cast<const float4 *>(from));
                *reinterpret_cast<float4 *>(x + 4) =
                    __ldg(reinterpret_cast<const float4 *>(from + 4));
            }
            uint32_t halves[4];
#pragma unroll
            for (int word = 0; word < 4; word++)
                halves[word] = halves_of(x[2 * word] * a.q_scale, x[2 * word + 1] * a.q_scale);
            *reinterpret_cast<uint4 *>(&shared.q[place(query, index % CHUNKS)]) =
                make_uint4(halves[0], halves[1], halves[2], halves[3]);
        }
    }

    /* Begin to bring positions [from, from + KEYS), in the place of one that is not in [begin, end)
     * the nearest that is; what lies past `width` is the first values again. Both are multiplied by
     * 0. A thread has one chunk of every few rows. */
    __device__ __forceinline__ void bring(uint16_t *to, const keys &keys, uint32_t width,
                                          uint32_t from, uint32_t begin, uint32_t end)
    {
        constexpr uint32_t ROWS = THREADS / CHUNKS; /* at once */
        const uint32_t row = threadIdx.x / CHUNKS;
        const uint32_t chunk = threadIdx.x % CHUNKS;
        const uint16_t *column = keys.base + (chunk * 8 < width ? chunk * 8 : 0);
#pragma unroll
        for (uint32_t part = 0; part < KEYS / ROWS; part++) {
            const uint32_t at = min(max(from + part * ROWS + row, begin), end - 1);
            copy_16(&to[place(part * ROWS + row, chunk)],
                    column + keys.pages[at >> keys.shift] * keys.page_stride +
                        (at & ((1u << keys.shift) - 1)) * keys.row);
        }
        end_copies();
    }

    /* Scores of the warp's queries with the KEYS keys. */
    __device__ __forceinline__ void fill_scores(float (&score)[TILES][KEYS / 8][4])
    {
#pragma unroll
        for (int tile = 0; tile < TILES; tile++)
#pragma unroll
            for (int key = 0; key < KEYS / 8; key++)
#pragma unroll
                for (int index = 0; index < 4; index++)
                    score[tile][key][index] = 0.0f;
#pragma unroll
        for (int step = 0; step < D / 16; step++) {
            fragment_a q[TILES];
#pragma unroll
            for (int tile = 0; tile < TILES; tile++)
                read_matrices(
                    q[tile].at,
                    &shared.q[place((warp * TILES + tile) * 16 + lane % 16, 2 * step + lane / 16)]);
#pragma unroll
            for (int key = 0; key < KEYS / 16; key++) {
                uint32_t k[4];
                read_matrices(
                    k,
                    &shared.k[place(key * 16 + lane % 8 + lane / 16 * 8, 2 * step + lane / 8 % 2)]);
#pragma unroll
                for (int tile = 0; tile < TILES; tile++) {
                    multiply(score[tile][2 * key], q[tile], k[0], k[1]);
                    multiply(score[tile][2 * key + 1], q[tile], k[2], k[3]);
                }
            }
        }
    }

    /* Caps, and minus infinity where a query does not see the position. */
    __device__ __forceinline__ void mask(float (&score)[TILES][KEYS / 8][4], uint32_t from,
                                         bool all_seen)
    {
        float(&all)[TILES * KEYS / 2] = reinterpret_cast<float(&)[TILES * KEYS / 2]>(score);
        if (a.cap != 0.0f)
#pragma unroll
            for (float &one : all)
                one = a.cap * bend(one);
#pragma unroll
        for (float &one : all)
            one = noticed(one);
        if (all_seen)
            return;
#pragma unroll
        for (int tile = 0; tile < TILES; tile++)
#pragma unroll
            for (int key = 0; key < KEYS / 8; key++)
#pragma unroll
                for (int index = 0; index < 4; index++) {
                    const uint32_t at = from + 8 * key + 2 * (lane % 4) + index % 2;
                    if (at > position[tile][index / 2] || at < first[tile][index / 2])
                        score[tile][key][index] = MINUS_INFINITY;
                }
    }

    /* Scores become weights, before they are divided by their sum. What they are measured by is the
     * largest score there was, or one that is at most 8 below it: out is rarely scaled down. */
    __device__ __forceinline__ void soften(float (&score)[TILES][KEYS / 8][4])
    {
#pragma unroll
        for (int tile = 0; tile < TILES; tile++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                float larger = most[tile][half];
#pragma unroll
                for (int key = 0; key < KEYS / 8; key++)
                    larger = fmaxf(
                        larger, fmaxf(score[tile][key][2 * half], score[tile][key][2 * half + 1]));
                larger = fmaxf(larger, __shfl_xor_sync(~0u, larger, 1));
                larger = fmaxf(larger, __shfl_xor_sync(~0u, larger, 2));
                if (larger > most[tile][half] + 8.0f) {
                    const float factor = power(most[tile][half] - larger);
                    most[tile][half] = larger;
                    sum[tile][half] *= factor;
#pragma unroll
                    for (int column = 0; column < D / 8; column++) {
                        out[tile][column][2 * half] *= factor;
                        out[tile][column][2 * half + 1] *= factor;
                    }
                }
                const float base = most[tile][half] == MINUS_INFINITY ? 0.0f : most[tile][half];
#pragma unroll
                for (int key = 0; key < KEYS / 8; key++)
#pragma unroll
                    for (int index = 2 * half; index < 2 * half + 2; index++) {
                        score[tile][key][index] = power(score[tile][key][index] - base);
                        sum[tile][half] += score[tile][key][index];
                    }
            }
    }

    __device__ __forceinline__ void add_values(const float (&weight)[TILES][KEYS / 8][4])
    {
#pragma unroll
        for (int key = 0; key < KEYS / 16; key++) {
            fragment_a kept[TILES];
#pragma unroll
            for (int tile = 0; tile < TILES; tile++)
#pragma unroll
                for (int index = 0; index < 4; index++) {
                    const float *two = &weight[tile][2 * key + index / 2][index % 2 * 2];
                    kept[tile].at[index] = halves_of(two[0], two[1]);
                }
#pragma unroll
            for (int column = 0; column < D / 16; column++) {
                uint32_t v[4];
                read_turned(v, &shared.v[place(key * 16 + lane % 16, 2 * column + lane / 16)]);
#pragma unroll
                for (int tile = 0; tile < TILES; tile++) {
                    multiply(out[tile][2 * column], kept[tile], v[0], v[1]);
                    multiply(out[tile][2 * column + 1], kept[tile], v[2], v[3]);
                }
            }
        }
    }

    __device__ void begin(uint32_t row, uint32_t head)
    {
        const bool has_sink = a.sinks != 0;
        const float sink = has_sink ? reinterpret_cast<const float *>(a.sinks)[head] : 0.0f;
#pragma unroll
        for (int tile = 0; tile < TILES; tile++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const uint32_t query = row + (warp * TILES + tile) * 16 + half * 8 + lane / 4;
                const uint32_t at = min(query, a.n_row - 1);
                position[tile][half] = reinterpret_cast<const uint32_t *>(a.positions)[at];
                first[tile][half] = first_seen(a, position[tile][half]);
                most[tile][half] = has_sink ? sink * 1.44269504f : MINUS_INFINITY;
                sum[tile][half] = has_sink && lane % 4 == 0 ? 1.0f : 0.0f;
#pragma unroll
                for (int column = 0; column < D / 8; column++)
                    out[tile][column][2 * half] = out[tile][column][2 * half + 1] = 0.0f;
            }
    }

    /* Of rows [begin, end). */
    __device__ void store(uint32_t row, uint32_t head, uint32_t begin, uint32_t end)
    {
#pragma unroll
        for (int tile = 0; tile < TILES; tile++)
#pragma unroll
            for (int half = 0; half < 2; half++) {
                const uint32_t query = row + (warp * TILES + tile) * 16 + half * 8 + lane / 4;
                float total = sum[tile][half];
                total += __shfl_xor_sync(~0u, total, 1);
                total += __shfl_xor_sync(~0u, total, 2);
                if (query < begin || query >= end)
                    continue;
                const float inverse = 1.0f / total;
                float *to = reinterpret_cast<float *>(a.out) +
                            static_cast<uint64_t>(query) * a.out_stride + head * a.d_value;
#pragma unroll
                for (int column = 0; column < D / 8; column++)
#pragma unroll
                    for (int index = 0; index < 2; index++) {
                        const uint32_t i = column * 8 + lane % 4 * 2 + index;
                        if (i < a.d_value)
                            to[i] = out[tile][column][2 * half + index] * inverse;
                    }
            }
    }

    /* Rows [begin, end) are those of one sequence in the tile that begins at `row`. */
    __device__ void run(uint32_t row, uint32_t head, uint32_t begin, uint32_t end)
    {
        const uint32_t *positions = reinterpret_cast<const uint32_t *>(a.positions);
        const uint32_t table_at = reinterpret_cast<const uint32_t *>(a.table_at)[begin];
        const keys k = keys_of(a, false, head / a.n_share, table_at);
        const keys v = keys_of(a, true, head / a.n_share, table_at);
        const uint32_t key_begin = first_seen(a, positions[begin]);
        const uint32_t key_end = positions[end - 1] + 1;
        /* The warp's own: it has none of the rows, or what they see lies between these. */
        const uint32_t own_begin = max(row + warp * TILES * 16, begin);
        const uint32_t own_end = min(row + (warp + 1) * TILES * 16, end);
        const bool has_rows = own_begin < own_end;
        const uint32_t least = has_rows ? positions[own_begin] : 0;
        const uint32_t last = has_rows ? positions[own_end - 1] : 0;
        const uint32_t least_first = first_seen(a, least);
        const uint32_t last_first = first_seen(a, last);
        uint32_t from = key_begin / KEYS * KEYS;
        this->begin(row, head);
        __syncthreads(); /* what came before has been read */
        bring(shared.k, k, a.d_head, from, key_begin, key_end);
        for (; from < key_end; from += KEYS) {
            const bool is_needed = has_rows && from <= last && from + KEYS > least_first;
            const bool all_seen = from + KEYS - 1 <= least && from >= last_first;
            float score[TILES][KEYS / 8][4];
            await_copies<0>();
            __syncthreads();
            bring(shared.v, v, a.d_value, from, key_begin, key_end);
            if (is_needed)
                fill_scores(score);
            __syncthreads();
            if (from + KEYS < key_end)
                bring(shared.k, k, a.d_head, from + KEYS, key_begin, key_end);
            else
                end_copies();
            if (is_needed) {
                mask(score, from, all_seen);
                soften(score);
            }
            await_copies<1>();
            __syncthreads();
            if (is_needed)
                add_values(score);
        }
        store(row, head, begin, end);
    }
};

/* Blocks are [head][tile of rows], the tiles that see most first. */
template <int D, int TILES, int KEYS>
static __device__ __forceinline__ void attend_tile(const weir_attention_args &a)
{
    extern __shared__ __align__(128) unsigned char bytes[];
    using kind = prompter<D, TILES, KEYS>;
    const uint32_t *tables = reinterpret_cast<const uint32_t *>(a.table_at);
    const uint32_t head = blockIdx.x;
    const uint32_t row = (gridDim.y - 1 - blockIdx.y) * kind::QUERIES;
    const uint32_t row_end = min(row + kind::QUERIES, a.n_row);
    kind work = {a, *reinterpret_cast<typename kind::memory *>(bytes), threadIdx.x / 32,
                 threadIdx.x % 32};
    work.fill_queries(row, head);
    uint32_t begin = row;
    while (begin < row_end) {
        /* Where the next sequence begins. */
        uint32_t end = begin + 1;
        for (; end < row_end; end += 32) {
            const uint32_t at = end + work.lane;
            const uint32_t others = __ballot_sync(~0u, at < row_end && tables[at] != tables[begin]);
            if (others != 0) {
                end += __ffs(others) - 1;
                break;
            }
        }
        end = min(end, row_end);
        work.run(row, head, begin, end);
        begin = end;
    }
}

#define PROMPT(D, TILES, KEYS)                                                                     \
    extern "C" __global__ void __launch_bounds__(WEIR_ATTEND_THREADS, 2)                           \
        weir_attend_prompt_##D(const __grid_constant__ struct weir_attention_args a)               \
    {                                                                                              \
        attend_tile<D, TILES, KEYS>(a);                                                            \
    }
PROMPT(64, 2, 64)
PROMPT(128, 2, 32)
PROMPT(256, 1, 32)
