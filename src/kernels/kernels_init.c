/* kernels_init.c - the reference everywhere, then the best that the flags allow. */
#include "kernels/kernels_internal.h"

#if defined(__x86_64__)
#include <cpuid.h>

/* What the operating system saves on a context switch (XCR0): SSE and AVX state, and the AVX-512
 * state on top. */
enum { XCR0_AVX = 0x6, XCR0_AVX512 = 0xe6 };

static unsigned read_xcr0(void)
{
    unsigned low;
    unsigned high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

unsigned weir_cpu_flags(void)
{
    unsigned eax;
    unsigned ebx;
    unsigned ecx;
    unsigned edx;
    unsigned flags = 0;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx) || (ecx & bit_OSXSAVE) == 0)
        return 0;
    const unsigned xcr0 = read_xcr0();
    const unsigned with_avx2 = bit_FMA | bit_F16C | bit_AVX;
    const bool has_with_avx2 = (ecx & with_avx2) == with_avx2;
    if ((xcr0 & XCR0_AVX) != XCR0_AVX || !has_with_avx2 ||
        !__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx))
        return 0;
    if ((ebx & bit_AVX2) == 0)
        return 0;
    flags |= WEIR_CPU_AVX2;
    const unsigned avx512 = bit_AVX512F | bit_AVX512BW | bit_AVX512VL | bit_AVX512DQ;
    if ((xcr0 & XCR0_AVX512) != XCR0_AVX512 || (ebx & avx512) != avx512)
        return flags;
    flags |= WEIR_CPU_AVX512;
    if ((ecx & bit_AVX512VNNI) != 0)
        flags |= WEIR_CPU_AVX512_VNNI;
    if (__get_cpuid(0, &eax, &ebx, &ecx, &edx) && ebx == signature_AMD_ebx)
        flags |= WEIR_CPU_IN_ORDER;
    return flags;
}
#elif defined(__aarch64__)
#include <sys/auxv.h>

unsigned weir_cpu_flags(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) != 0 ? WEIR_CPU_NEON_DOTPROD : 0;
}
#else
unsigned weir_cpu_flags(void)
{
    return 0;
}
#endif

void weir_kernels_init(struct weir_kernels *kernels, unsigned cpu_flags)
{
    weir_kernels_init_ref(kernels);
#if defined(__x86_64__)
    if ((cpu_flags & WEIR_CPU_AVX2) == 0)
        return;
    weir_float_init_avx2(kernels);
    weir_turned_init_avx2(kernels);
    weir_attention_init_avx2(kernels);
    weir_recurrent_init_avx2(kernels);
    weir_glu_init_avx2(kernels);
    weir_q32_init_avx2(kernels);
    weir_k_init_avx2(kernels);
    weir_codes_init_avx2(kernels);
    weir_grids_init_avx2(kernels);
    weir_bits_init_avx2(kernels);
    kernels->isa = "avx2";
    if ((cpu_flags & WEIR_CPU_AVX512) == 0)
        return;
    weir_float_init_avx512(kernels);
    weir_turned_init_avx512(kernels);
    weir_attention_init_avx512(kernels);
    weir_recurrent_init_avx512(kernels);
    weir_glu_init_avx512(kernels);
    weir_codes_init_avx512(kernels);
    weir_grids_init_avx512(kernels);
    kernels->isa = "avx512";
    if ((cpu_flags & WEIR_CPU_AVX512_VNNI) == 0)
        return;
    weir_q32_init_vnni(kernels, (cpu_flags & WEIR_CPU_IN_ORDER) != 0);
    weir_k_init_vnni(kernels, (cpu_flags & WEIR_CPU_IN_ORDER) != 0);
    /* The same CPUs take an entry at a time to gather. */
    weir_grids_init_vnni(kernels, (cpu_flags & WEIR_CPU_IN_ORDER) != 0);
    weir_bits_init_vnni(kernels);
    weir_attention_init_vnni(kernels);
    kernels->isa = "avx512-vnni";
#elif defined(__aarch64__)
    if ((cpu_flags & WEIR_CPU_NEON_DOTPROD) == 0)
        return;
    weir_float_init_neon(kernels);
    weir_attention_init_neon(kernels);
    weir_recurrent_init_neon(kernels);
    weir_glu_init_neon(kernels);
    weir_q32_init_neon(kernels);
    weir_k_init_neon(kernels);
    weir_grids_init_neon(kernels);
    kernels->isa = "neon-dotprod";
#else
    (void)cpu_flags;
#endif
}
