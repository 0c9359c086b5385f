/* The seam between the sliding spectral residual and the instruction-set variants of its step.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef EAD_SLIDE_STEP_SEAM_H
#define EAD_SLIDE_STEP_SEAM_H

#include "ead_internal.h"

#ifdef EAD_F32_SOURCE
#define ead_i_slide_step_avx2 ead32_i_slide_step_avx2
#define ead_i_slide_step_avx512 ead32_i_slide_step_avx512
#endif

/* What one step needs.  Spectra hold bins 1..n/2. */
struct ead_i_step {
    size_t n, position;    /* points of the window; place of the new sample in it */
    const ead_real *turns; /* n pairs cos, sin of 2 pi i / n */
    ead_real change;       /* new sample less the one it replaces */
    ead_real entry;        /* new sample in the spectrum being rebuilt */
    ead_real floor;        /* least power of a bin */
    ead_real *live_re, *live_im, *next_re, *next_im;
};

/* Updates both spectra; sum: real and imaginary part of n times the newest point's inverse transform. */
typedef void ead_i_slide_step(const struct ead_i_step *step, ead_real sum[2]);

/* Variants exist where the compiler can aim at an instruction set that the rest of the build does not assume:
 * GCC, by "#pragma GCC target".  Other compilers build the portable step alone. */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(EAD_PORTABLE_ONLY)
#define EAD_X86_VARIANTS 1
ead_i_slide_step ead_i_slide_step_avx2, ead_i_slide_step_avx512;
#endif

#endif
