/* kinds.cuh - a format of blocks that a kernel knows when it is compiled, or some when it runs.
 *
 * A kernel for each format would be some seconds of compiling for each. Only where it tells have
 * the formats that most models are in kernels of their own; others look at the type as they run. */
#ifndef WEIR_CUDA_KINDS_CUH
#define WEIR_CUDA_KINDS_CUH

#include "gpu/cuda/formats/k.cuh"
#include "gpu/cuda/formats/plain.cuh"
#include "quant/quant.h"

/* Where blocks and units lie in a row. */
struct layout {
    uint32_t len, bytes, gap;
};

template <class F> struct one_kind {
    enum {
        BYTES_32 = (32 * F::BYTES + F::LEN - 1) / F::LEN, /* of 32 values, at most */
        OFFSET = F::OFFSET,
        HAS_MINIMUM = F::HAS_MINIMUM,
    };
    DEVICE struct layout layout_of(uint32_t)
    {
        return {F::LEN, F::BYTES, F::GAP};
    }
    DEVICE void get(struct run &out, const uint8_t *block, uint32_t part, uint32_t run, uint32_t)
    {
        F::get(out, block, (int)part, (int)run);
    }
};

/* A struct of the formats of a list: visit() calls `what` with the one of a type. Their offset is
 * in the minimum. */
#define KIND_CASE(format, type)                                                                    \
    case WEIR_TYPE_##type:                                                                         \
        what(format());                                                                            \
        break;
#define KINDS(name, list)                                                                          \
    struct name : some_kinds<name> {                                                               \
        template <class What> DEVICE void visit(uint32_t type, What what)                          \
        {                                                                                          \
            switch (type) {                                                                        \
                list(KIND_CASE)                                                                    \
            }                                                                                      \
        }                                                                                          \
    }
template <class Kinds> struct some_kinds {
    enum { BYTES_32 = 34, OFFSET = 0, HAS_MINIMUM = 1 };
    DEVICE struct layout layout_of(uint32_t type)
    {
        struct layout out = {32, 0, 16};
        Kinds::visit(type, [&](auto format) {
            typedef decltype(format) F;
            out = {F::LEN, F::BYTES, F::GAP};
        });
        return out;
    }
    DEVICE void get(struct run &out, const uint8_t *block, uint32_t part, uint32_t run,
                    uint32_t type)
    {
        Kinds::visit(type, [&](auto format) {
            typedef decltype(format) F;
            out.minimum = 0.0f;
            F::get(out, block, (int)part, (int)run);
            out.minimum += F::OFFSET * out.scale;
        });
    }
};

#define HOT_KINDS(each)                                                                            \
    each(q8_0, Q8_0) each(q4_0, Q4_0) each(mxfp4, MXFP4) each(q4_k, Q4_K) each(q5_k, Q5_K)         \
        each(q6_k, Q6_K)
/* With formats/grids.cuh. */
#define RARE_KINDS(each)                                                                           \
    each(q4_1, Q4_1) each(q5_0, Q5_0) each(q5_1, Q5_1) each(iq4_nl, IQ4_NL) each(q2_k, Q2_K)       \
        each(q3_k, Q3_K) each(iq4_xs, IQ4_XS) each(iq1_s, IQ1_S) each(iq1_m, IQ1_M)                \
            each(iq2_xxs, IQ2_XXS) each(iq2_xs, IQ2_XS) each(iq2_s, IQ2_S) each(iq3_xxs, IQ3_XXS)  \
                each(iq3_s, IQ3_S) each(tq1_0, TQ1_0) each(tq2_0, TQ2_0) each(nvfp4, NVFP4)        \
                    each(q1_0, Q1_0) each(q2_0, Q2_0)

#endif
