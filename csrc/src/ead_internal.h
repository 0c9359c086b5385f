/* What the core's sources share among themselves; not part of the public interface.  SPDX-License-Identifier:
 * Apache-2.0 */
#ifndef EAD_INTERNAL_H
#define EAD_INTERNAL_H

#include <stdint.h>

#include "edgead.h"

#ifdef EAD_F32_SOURCE
#define ead_i_unit_root ead32_i_unit_root
#define ead_i_all_finite ead32_i_all_finite
#define ead_i_fft_points ead32_i_fft_points
#define ead_i_slide_fits ead32_i_slide_fits
#define ead_i_fft_work ead32_i_fft_work
#define ead_i_fft_split ead32_i_fft_split
#define ead_i_bank_find ead32_i_bank_find
#define ead_i_bank_learn ead32_i_bank_learn
#endif

/* The built-in forms stay single instructions under -ffreestanding too, and need no header. */
#ifdef __GNUC__
#define EAD_COPY __builtin_memcpy
#define EAD_MOVE __builtin_memmove
#define EAD_FILL __builtin_memset
#define EAD_SQRTF __builtin_sqrtf
#define EAD_SQRTD __builtin_sqrt
#else
#include <math.h>
#include <string.h>
#define EAD_COPY memcpy
#define EAD_MOVE memmove
#define EAD_FILL memset
#define EAD_SQRTF sqrtf
#define EAD_SQRTD sqrt
#endif

#ifdef EAD_REAL_FLOAT
#define EAD_SQRT EAD_SQRTF
#define EAD_EPSILON 1.1920928955078125e-7f
#else
#define EAD_SQRT EAD_SQRTD
#define EAD_EPSILON 2.220446049250313e-16
#endif

/* Power below which a bin is rounding noise, as a share of the mean power of a bin: (16 epsilon)^2. */
#define EAD_POWER_FLOOR (256 * EAD_EPSILON * EAD_EPSILON)

/* Half of a block's magic number: which kind of block this is; the other half is the size of ead_real. */
#define EAD_MAGIC(kind) ((uint32_t)(kind) << 16 | 0xEA00u | (uint32_t)sizeof(ead_real))

/* cos and sin of 2 pi k / n, 0 <= k < n, right to about 1.5 units of ead_wide's last place; no libm. */
void ead_i_unit_root(uint64_t k, uint64_t n, ead_real *cosine, ead_real *sine);

/* 1 if no value is NaN or infinite. */
int ead_i_all_finite(const ead_real *x, size_t n);

/* EAD_OK if these are a state and a table of one length, else EAD_E_STATE. */
int ead_i_slide_fits(const ead_slide *state, const ead_slide_table *table);

/* Points of a plan, 0 if it is not a plan of this kind and precision. */
size_t ead_i_fft_points(const ead_fft_plan *plan, int kind);

/* Elements of work that ead_i_fft_split needs. */
size_t ead_i_fft_work(const ead_fft_plan *plan);

/* Forward transform of split data, for a plan of EAD_FFT_COMPLEX.  Swapping re and im gives n times the
 * inverse.
 *   re, im    n values each, replaced by the result
 *   work      ead_i_fft_work(plan) elements */
void ead_i_fft_split(const ead_fft_plan *plan, ead_real *re, ead_real *im, ead_real *work);

/* Where an embedding is in a memory of patches. */
struct ead_i_found {
    ead_wide distance; /* to the nearest that is kept */
    size_t at;         /* which that is */
    int known;         /* 0 = fewer are kept than make a distance mean anything */
};

/* The two halves of ead_bank_meet, which returns as the first: nothing may be learned between them. */
int ead_i_bank_find(const ead_bank *state, const float *embedding, struct ead_i_found *found);
void ead_i_bank_learn(ead_bank *state, const float *embedding, const struct ead_i_found *found);

#endif
