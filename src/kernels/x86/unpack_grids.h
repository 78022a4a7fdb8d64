/* unpack_grids.h - the IQ and TQ formats by their type. Whoever includes it has a struct steps and
 * an unpack_NAME() of each format. */
#ifndef WEIR_KERNELS_UNPACK_GRIDS_H
#define WEIR_KERNELS_UNPACK_GRIDS_H

WEIR_INLINE size_t block_bytes(const enum weir_type type)
{
    switch (type) {
    case WEIR_TYPE_IQ1_S:
        return sizeof(struct weir_iq1_s);
    case WEIR_TYPE_IQ1_M:
        return sizeof(struct weir_iq1_m);
    case WEIR_TYPE_IQ2_XXS:
        return sizeof(struct weir_iq2_xxs);
    case WEIR_TYPE_IQ2_XS:
        return sizeof(struct weir_iq2_xs);
    case WEIR_TYPE_IQ2_S:
        return sizeof(struct weir_iq2_s);
    case WEIR_TYPE_IQ3_XXS:
        return sizeof(struct weir_iq3_xxs);
    case WEIR_TYPE_IQ3_S:
        return sizeof(struct weir_iq3_s);
    case WEIR_TYPE_TQ1_0:
        return sizeof(struct weir_tq1_0);
    default:
        return sizeof(struct weir_tq2_0);
    }
}

WEIR_INLINE void unpack(const uint8_t *w, struct steps *out, const enum weir_type type)
{
    switch (type) {
    case WEIR_TYPE_IQ1_S:
        unpack_iq1_s(w, out);
        break;
    case WEIR_TYPE_IQ1_M:
        unpack_iq1_m(w, out);
        break;
    case WEIR_TYPE_IQ2_XXS:
        unpack_iq2_xxs(w, out);
        break;
    case WEIR_TYPE_IQ2_XS:
        unpack_iq2_xs(w, out);
        break;
    case WEIR_TYPE_IQ2_S:
        unpack_iq2_s(w, out);
        break;
    case WEIR_TYPE_IQ3_XXS:
        unpack_iq3_xxs(w, out);
        break;
    case WEIR_TYPE_IQ3_S:
        unpack_iq3_s(w, out);
        break;
    case WEIR_TYPE_TQ1_0:
        unpack_tq1_0(w, out);
        break;
    default:
        unpack_tq2_0(w, out);
    }
}

#endif
