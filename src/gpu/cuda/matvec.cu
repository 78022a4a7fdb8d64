/* matvec.cu - products of a few rows with the formats that most models are in. */
#include "gpu/cuda/matvec.cuh"

MATVEC(q8_0, one_kind<q8_0>, 1)
MATVEC(q8_0, one_kind<q8_0>, 8)
MATVEC(q4_0, one_kind<q4_0>, 1)
MATVEC(q4_0, one_kind<q4_0>, 8)
MATVEC(mxfp4, one_kind<mxfp4>, 1)
MATVEC(mxfp4, one_kind<mxfp4>, 8)
MATVEC(q4_k, one_kind<q4_k>, 1)
MATVEC(q4_k, one_kind<q4_k>, 8)
MATVEC(q5_k, one_kind<q5_k>, 1)
MATVEC(q5_k, one_kind<q5_k>, 8)
MATVEC(q6_k, one_kind<q6_k>, 1)
MATVEC(q6_k, one_kind<q6_k>, 8)
