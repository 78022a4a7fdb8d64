/* delta.cu - gated delta nets (arXiv:2412.06464): a short convolution, gates, and for each value
 * head a state that every position changes.
 *
 * A head's state stays in registers while the positions of a run pass: eight lanes have a column,
 * so that a position costs no barrier. Positions come one after the other whatever the call:
 * cutting a text into calls changes no bit. */
#include "gpu/cuda/delta_args.h"
#include "gpu/cuda/grid.cuh"

#include <stddef.h>

static __device__ __forceinline__ float *floats(uint64_t address)
{
    return reinterpret_cast<float *>(address);
}

static __device__ __forceinline__ uint32_t first_row(uint64_t first, uint32_t run)
{
    return reinterpret_cast<const uint32_t *>(first)[run];
}

static __device__ __forceinline__ float *state_of(uint64_t states, uint32_t run)
{
    return floats(reinterpret_cast<const uint64_t *>(states)[run]);
}

/* ---- the convolution ------------------------------------------------------------------------- */

/* A thread has one channel of WEIR_CONV_ROWS positions. Blocks are [channels][rows of a run][run].
 * The block that reads the past also writes the new one: x stays. */
extern "C" __global__ void __launch_bounds__(WEIR_CONV_THREADS)
    weir_conv(const __grid_constant__ struct weir_conv_args a)
{
    begin_grid();
    enum { ROWS = WEIR_CONV_ROWS, TAPS = WEIR_CONV_TAPS };
    const uint32_t c = blockIdx.x * WEIR_CONV_THREADS + threadIdx.x;
    const uint64_t row = first_row(a.first, blockIdx.z);
    const uint32_t n_row = first_row(a.first, blockIdx.z + 1) - static_cast<uint32_t>(row);
    const uint32_t begin = blockIdx.y * ROWS;
    if (c >= a.n_channel || begin >= n_row)
        return;
    const uint32_t n_past = a.n_tap - 1;
    const float *x = floats(a.x) + row * a.x_stride + c;
    float *past = state_of(a.states, blockIdx.z) + a.state_at + c;
    float *to = floats(a.y) + row * a.y_stride + c;
    float seen[ROWS + TAPS - 1]; /* the positions' x, that many of the past before it */
#pragma unroll
    for (uint32_t i = 0; i < ROWS + TAPS - 1; i++) {
        const uint32_t at = begin + i; /* in the past, then in x */
        if (at < n_past)
            seen[i] = past[static_cast<uint64_t>(at) * a.n_channel];
        else if (at - n_past < n_row)
            seen[i] = __ldg(&x[static_cast<uint64_t>(at - n_past) * a.x_stride]);
    }
    float taps[TAPS];
#pragma unroll
    for (uint32_t j = 0; j < TAPS; j++)
        taps[j] = j < a.n_tap ? floats(a.taps)[static_cast<uint64_t>(j) * a.n_channel + c] : 0.0f;
#pragma unroll
    for (uint32_t t = 0; t < ROWS; t++) {
        float y = 0.0f;
#pragma unroll
        for (uint32_t j = 0; j < TAPS; j++)
            if (j < a.n_tap)
                y = fmaf(taps[j], seen[t + j], y);
        if (begin + t < n_row)
            to[static_cast<uint64_t>(begin + t) * a.y_stride] = y / (1.0f + expf(-y));
    }
    for (uint32_t j = 0; begin == 0 && j < n_past; j++) { /* none is read after it is written */
        const uint32_t at = n_row + j;
        past[static_cast<uint64_t>(j) * a.n_channel] =
            at < n_past ? past[static_cast<uint64_t>(at) * a.n_channel]
                        : x[static_cast<uint64_t>(at - n_past) * a.x_stride];
    }
}

/* ---- gates and lengths ----------------------------------------------------------------------- */

/* The value head with this place among those of a key head. */
static __device__ __forceinline__ uint32_t value_head_at(uint32_t n_key_head, uint32_t share,
                                                         bool is_tiled, uint32_t key_head,
                                                         uint32_t place)
{
    return is_tiled ? place * n_key_head + key_head : key_head * share + place;
}

/* Where a row has a value head's logits. */
struct gate_places {
    uint32_t beta, alpha;
};

static __device__ __forceinline__ gate_places gates_of(const weir_delta_args &a, uint32_t head)
{
    const uint32_t share = a.n_value_head / a.n_key_head;
    const uint32_t key_head = a.is_tiled ? head % a.n_key_head : head / share;
    const uint32_t place = a.is_tiled ? head / a.n_key_head : head % share;
    if (!a.gates_are_joint)
        return {head, head};
    return {key_head * 2 * share + place, key_head * 2 * share + share + place};
}

/* q and k of all key heads get the length 1, q also 1 / sqrt(d_key); logits become beta and decay,
 * in place: beta = sigmoid(logit); decay = exp(a softplus(logit + bias)), a < 0. Blocks are
 * [row][vectors]: a warp takes one. */
extern "C" __global__ void __launch_bounds__(WEIR_DELTA_THREADS)
    weir_delta_gates(const __grid_constant__ struct weir_delta_args a)
{
    begin_grid();
    static const float length_epsilon = 1e-6f;
    const uint64_t row = blockIdx.x;
    const uint32_t lane = threadIdx.x % 32;
    const uint32_t vector = (blockIdx.y * WEIR_DELTA_THREADS + threadIdx.x) / 32;
    if (vector < 2 * a.n_key_head) {
        float *x = floats(a.x) + row * a.x_stride + vector * a.d_key;
        float squares = 0.0f;
        for (uint32_t i = lane; i < a.d_key; i += 32)
            squares = fmaf(x[i], x[i], squares);
#pragma unroll
        for (int distance = 16; distance > 0; distance /= 2)
            squares += __shfl_xor_sync(~0u, squares, distance);
        const float scale = vector < a.n_key_head ? rsqrtf(static_cast<float>(a.d_key)) : 1.0f;
        for (uint32_t i = lane; i < a.d_key; i += 32)
            x[i] *= scale / sqrtf(squares + length_epsilon);
    }
    for (uint32_t head = threadIdx.x; blockIdx.y == 0 && head < a.n_value_head;
         head += WEIR_DELTA_THREADS) {
        const gate_places at = gates_of(a, head);
        float *beta = floats(a.beta) + row * a.gate_stride + at.beta;
        float *alpha =
            floats(a.gates_are_joint ? a.beta : a.alpha) + row * a.gate_stride + at.alpha;
        const float logit = *alpha + floats(a.dt_bias)[head];
        const float softplus = logit > 20.0f ? logit : log1pf(expf(logit));
        const float decay = floats(a.decay)[head] * softplus;
        /* Times 0 a finite value is nothing, and an infinity what is not a number. */
        *alpha = expf(decay) + 0.0f * (logit + decay);
        *beta = 1.0f / (1.0f + expf(-*beta)) + 0.0f * *beta;
    }
}

/* ---- the rule -------------------------------------------------------------------------------- */

enum {
    LANES = 8,                       /* of a column */
    FOURS = WEIR_DELTA_KEY_MAX / 32, /* of a lane: rows 32 j + 4 lane to 32 j + 4 lane + 3 */
    ROWS = 16,                       /* positions that are brought at once */
    KEY = WEIR_DELTA_KEY_MAX,
    COLUMNS = WEIR_DELTA_COLUMNS,
    OWN = 2, /* columns of a lane: they share what it reads of q and k */
    THREADS = LANES * COLUMNS / OWN,
};

/* What a block reads of positions; q and k end in zeros. */
struct positions {
    float q[ROWS][KEY], k[ROWS][KEY], v[ROWS][COLUMNS];
    float beta[ROWS], decay[ROWS];
};

/* Where the values of a run's first position are, and how many there are. */
struct inputs {
    const float *q, *k, *v, *beta, *decay;
    uint32_t x_stride, gate_stride, d_key, n_col;
};

/* A thread's share of positions on their way. */
struct brought {
    float keys[2 * ROWS * KEY / THREADS], values[ROWS * COLUMNS / THREADS], gate;

    __device__ __forceinline__ void read(const inputs &from, uint32_t first, uint32_t n_row)
    {
        const uint32_t last = n_row - 1;
#pragma unroll
        for (int part = 0; part < 2 * ROWS * KEY / THREADS; part++) {
            const uint32_t index = part * THREADS + threadIdx.x;
            const uint32_t i = index % KEY;
            const float *row = index / KEY < ROWS ? from.q : from.k;
            const uint64_t at = min(first + index / KEY % ROWS, last);
            keys[part] = i < from.d_key ? row[at * from.x_stride + i] : 0.0f;
        }
#pragma unroll
        for (int part = 0; part < ROWS * COLUMNS / THREADS; part++) {
            const uint32_t index = part * THREADS + threadIdx.x;
            const uint64_t at = min(first + index / COLUMNS, last);
            values[part] =
                index % COLUMNS < from.n_col ? from.v[at * from.x_stride + index % COLUMNS] : 0.0f;
        }
        const float *gates = threadIdx.x < ROWS ? from.beta : from.decay;
        gate =
            gates[static_cast<uint64_t>(min(first + threadIdx.x % ROWS, last)) * from.gate_stride];
    }

    __device__ __forceinline__ void write(positions &to) const
    {
        float *all = &to.q[0][0]; /* k follows q */
#pragma unroll
        for (int part = 0; part < 2 * ROWS * KEY / THREADS; part++)
            all[part * THREADS + threadIdx.x] = keys[part];
#pragma unroll
        for (int part = 0; part < ROWS * COLUMNS / THREADS; part++)
            (&to.v[0][0])[part * THREADS + threadIdx.x] = values[part];
        if (threadIdx.x < 2 * ROWS)
            (threadIdx.x < ROWS ? to.beta : to.decay)[threadIdx.x % ROWS] = gate;
    }
};

/* A lane's part of its columns of the state. */
struct columns {
    float state[OWN][FOURS][4];

    /* The sums over the columns' rows, for all of their lanes. */
    __device__ __forceinline__ void dot(float (&sum)[OWN], const float4 (&x)[FOURS]) const
    {
#pragma unroll
        for (int own = 0; own < OWN; own++) {
            float sums[FOURS];
#pragma unroll
            for (int j = 0; j < FOURS; j++) {
                sums[j] = x[j].x * state[own][j][0];
                sums[j] = fmaf(x[j].y, state[own][j][1], sums[j]);
                sums[j] = fmaf(x[j].z, state[own][j][2], sums[j]);
                sums[j] = fmaf(x[j].w, state[own][j][3], sums[j]);
            }
            sum[own] = (sums[0] + sums[1]) + (sums[2] + sums[3]);
        }
#pragma unroll
        for (int distance = 1; distance < LANES; distance *= 2)
#pragma unroll
            for (int own = 0; own < OWN; own++)
                sum[own] += __shfl_xor_sync(~0u, sum[own], distance);
    }

    /* S = decay S + k d, d = beta (v - decay k S): what q S then is. */
    __device__ __forceinline__ void step(float (&given)[OWN], const positions &at, int t,
                                         uint32_t lane, uint32_t column)
    {
        float4 q[FOURS], k[FOURS];
        float found[OWN];
#pragma unroll
        for (int j = 0; j < FOURS; j++) {
            q[j] = *reinterpret_cast<const float4 *>(&at.q[t][32 * j + 4 * lane]);
            k[j] = *reinterpret_cast<const float4 *>(&at.k[t][32 * j + 4 * lane]);
        }
        const float decay = at.decay[t];
        dot(found, k);
#pragma unroll
        for (int own = 0; own < OWN; own++) {
            const float d = at.beta[t] * (at.v[t][column + own] - decay * found[own]);
#pragma unroll
            for (int j = 0; j < FOURS; j++) {
                float(&s)[4] = state[own][j];
                s[0] = fmaf(k[j].x, d, decay * s[0]);
                s[1] = fmaf(k[j].y, d, decay * s[1]);
                s[2] = fmaf(k[j].z, d, decay * s[2]);
                s[3] = fmaf(k[j].w, d, decay * s[3]);
            }
        }
        dot(given, q);
    }
};

static __device__ __forceinline__ inputs inputs_of(const weir_delta_args &a, uint32_t head,
                                                   uint32_t first, uint64_t row)
{
    const uint32_t share = a.n_value_head / a.n_key_head;
    const uint32_t key_head = a.is_tiled ? head % a.n_key_head : head / share;
    const gate_places at = gates_of(a, head);
    const float *x = floats(a.x) + row * a.x_stride;
    const float *beta = floats(a.beta) + row * a.gate_stride;
    const float *alpha = floats(a.gates_are_joint ? a.beta : a.alpha) + row * a.gate_stride;
    return {x + key_head * a.d_key,
            x + (a.n_key_head + key_head) * a.d_key,
            x + 2 * a.n_key_head * a.d_key + head * a.d_value + first,
            beta + at.beta,
            alpha + at.alpha,
            a.x_stride,
            a.gate_stride,
            a.d_key,
            min(a.d_value - first, static_cast<uint32_t>(COLUMNS))};
}

/* Blocks are [32 columns][value head][run]. */
extern "C" __global__ void __launch_bounds__(THREADS)
    weir_delta(const __grid_constant__ struct weir_delta_args a)
{
    begin_grid();
    __shared__ __align__(16) positions shared;
    const uint32_t lane = threadIdx.x % LANES;
    const uint32_t column = threadIdx.x / LANES * OWN;
    const uint32_t head = blockIdx.y;
    const uint32_t first = blockIdx.x * COLUMNS;
    const uint64_t row = first_row(a.first, blockIdx.z);
    const uint32_t n_row = first_row(a.first, blockIdx.z + 1) - static_cast<uint32_t>(row);
    if (n_row == 0)
        return;
    const inputs from = inputs_of(a, head, first, row);
    float *out = floats(a.out) + row * a.out_stride + head * a.d_value + first + column;
    float *state = state_of(a.states, blockIdx.z) + a.state_at +
                   static_cast<uint64_t>(head) * a.d_key * a.d_value +
                   static_cast<uint64_t>(first) * a.d_key + column;
    brought next;
    columns work;
    next.read(from, 0, n_row);
#pragma unroll
    for (int index = 0; index < OWN * FOURS * 4; index++) {
        const uint32_t own = index % OWN;
        const uint32_t at = index / OWN / 4 * 32 + 4 * lane + index / OWN % 4;
        work.state[own][index / OWN / 4][index / OWN % 4] =
            column + own < from.n_col && at < a.d_key ? state[at * from.n_col + own] : 0.0f;
    }
    for (uint32_t begin = 0; begin < n_row; begin += ROWS) {
        __syncthreads(); /* the positions before have been read */
        next.write(shared);
        __syncthreads();
        if (begin + ROWS < n_row)
            next.read(from, begin + ROWS, n_row);
        const int count = min(n_row - begin, static_cast<uint32_t>(ROWS));
#pragma unroll 4
        for (int t = 0; t < count; t++) {
            float given[OWN];
            work.step(given, shared, t, lane, column);
#pragma unroll
            for (uint32_t own = 0; own < OWN; own++)
                if (lane == own && column + own < from.n_col)
                    out[static_cast<uint64_t>(begin + t) * a.out_stride + own] = given[own];
        }
    }
#pragma unroll
    for (int index = 0; index < OWN * FOURS * 4; index++) {
        const uint32_t own = index % OWN;
        const uint32_t at = index / OWN / 4 * 32 + 4 * lane + index / OWN % 4;
        if (column + own < from.n_col && at < a.d_key)
            state[at * from.n_col + own] = work.state[own][index / OWN / 4][index / OWN % 4];
    }
}

/* ---- older files ----------------------------------------------------------------------------- */

/* Blocks are [row][key head]: from q, k, v and gate of each key head to their places. */
extern "C" __global__ void __launch_bounds__(WEIR_DELTA_THREADS)
    weir_unpack(const __grid_constant__ struct weir_unpack_args a)
{
    begin_grid();
    const uint32_t share = a.n_value_head / a.n_key_head;
    const uint32_t keys = 2 * a.d_key;
    const uint32_t values = share * a.d_value;
    const uint32_t key_head = blockIdx.y;
    const uint64_t row = blockIdx.x;
    const float *from = floats(a.packed) + row * a.packed_stride + key_head * (keys + 2 * values);
    float *x = floats(a.x) + row * a.x_stride;
    float *gate = floats(a.gate) + row * a.gate_stride;
    for (uint32_t i = threadIdx.x; i < keys; i += WEIR_DELTA_THREADS)
        x[(i / a.d_key * a.n_key_head + key_head) * a.d_key + i % a.d_key] = from[i];
    for (uint32_t i = threadIdx.x; i < values; i += WEIR_DELTA_THREADS) {
        const uint32_t head =
            value_head_at(a.n_key_head, share, a.is_tiled, key_head, i / a.d_value);
        x[2 * a.n_key_head * a.d_key + head * a.d_value + i % a.d_value] = from[keys + i];
        gate[head * a.d_value + i % a.d_value] = from[keys + values + i];
    }
}
