/* parts.h - what layers are made of: bits that the family table and the table of tensors share. */
#ifndef WEIR_MODEL_PARTS_H
#define WEIR_MODEL_PARTS_H

#include <stdint.h>

/* A set of parts. An enumerator of C17 is an int, and there are more parts than an int has bits. */
typedef uint64_t weir_parts;
#define WEIR_PART(bit) ((weir_parts)1 << (bit))

/* What a family is made of. Parts are what tensors are for; what has none is a field of the
 * family's row. */
#define WEIR_PART_DENSE WEIR_PART(0)          /* layers with one feed-forward network */
#define WEIR_PART_EXPERTS WEIR_PART(1)        /* layers with a router and experts */
#define WEIR_PART_SHARED WEIR_PART(2)         /* an expert that all tokens share */
#define WEIR_PART_SHARED_GATE WEIR_PART(3)    /* a sigmoid gate before the shared expert */
#define WEIR_PART_SELECTION_BIAS WEIR_PART(4) /* a bias that chooses experts and weighs none */
#define WEIR_PART_HEAD_NORM WEIR_PART(5)      /* RMSNorm of each q and k head */
#define WEIR_PART_WIDE_NORM WEIR_PART(6)      /* RMSNorm of q and k over all heads */
#define WEIR_PART_QKV_BIAS WEIR_PART(7)       /* biases on q, k and v */
#define WEIR_PART_FULL_BIAS WEIR_PART(8)      /* biases on attention's output, router and experts */
#define WEIR_PART_INTERLEAVED WEIR_PART(9)    /* rope pairs (2i, 2i+1); else NEOX pairs */
#define WEIR_PART_LATE_NORM WEIR_PART(10)     /* the network's norm is called post_attention_norm */
#define WEIR_PART_POST_NORM WEIR_PART(11)     /* RMSNorm of what mixers and networks give */
#define WEIR_PART_GUESSES WEIR_PART(12)       /* blocks at the end that guess tokens: not run */
#define WEIR_PART_UNTIED WEIR_PART(13)        /* an output matrix of its own */
#define WEIR_PART_SINKS WEIR_PART(14)         /* a score of each head that has no position */
#define WEIR_PART_HEAD_GATE WEIR_PART(15)     /* a gate on what each head gives */
#define WEIR_PART_VALUE_GATE WEIR_PART(16)    /* a gate on each value that attention gives */
#define WEIR_PART_KEYS_AS_VALUES WEIR_PART(17) /* without a tensor for v it is k */
#define WEIR_PART_PARALLEL WEIR_PART(18)       /* networks beside the mixer, of one norm */
#define WEIR_PART_FUSED_UP WEIR_PART(19)       /* gate and up of a network in one tensor, ffn_up */
#define WEIR_PART_BESIDE WEIR_PART(20)         /* experts beside a dense network, with norms each */
#define WEIR_PART_LATENT WEIR_PART(21)         /* mixers are latent attention */
#define WEIR_PART_LENT_KEYS WEIR_PART(22)      /* the last layers read keys of those before them */
#define WEIR_PART_LAYER_INPUT WEIR_PART(23)    /* each layer gets something of the token itself */

/* What a layer has, as keys and tensors say. */
#define WEIR_PART_ATTENTION WEIR_PART(32)    /* a mixer of keys and values */
#define WEIR_PART_OWN_KEYS WEIR_PART(33)     /* keys and values that no other layer has */
#define WEIR_PART_PLAIN_QUERY WEIR_PART(34)  /* latent: queries by one matrix ... */
#define WEIR_PART_LOW_QUERY WEIR_PART(35)    /* ... or by two, with few values between them */
#define WEIR_PART_SPLIT_HEADS WEIR_PART(36)  /* latent: a stack for keys and one for values ... */
#define WEIR_PART_JOINT_HEADS WEIR_PART(37)  /* ... or one matrix for both, as older files have */
#define WEIR_PART_DELTA WEIR_PART(38)        /* a mixer that is a gated delta net, with ... */
#define WEIR_PART_DELTA_PLAIN WEIR_PART(39)  /* ... q, k and v apart from their gate ... */
#define WEIR_PART_DELTA_PACKED WEIR_PART(40) /* ... or both in one matrix, as older files have; */
#define WEIR_PART_DELTA_TWO_GATES WEIR_PART(41) /* ... beta and alpha by two matrices ... */
#define WEIR_PART_DELTA_ONE_GATE WEIR_PART(42)  /* ... or by one */

#endif
