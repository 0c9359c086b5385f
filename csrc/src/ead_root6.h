/* Inverse sixth root in pure arithmetic, made to vectorise.  SPDX-License-Identifier: Apache-2.0
 *
 * The spectral residual divides each bin by the geometric mean of three magnitudes: with P = |X|^2 that is a
 * product of three P^(-1/6), so neither log nor exp nor sqrt is needed.  First guess: minus a sixth of the
 * number's bits, a linear stand-in for its logarithm (the trick known from the inverse square root), within
 * 2.9 %.  Two polynomial steps in e = 1 - P y^6 follow: y (1 - e)^(-1/6).  The first's coefficients are
 * Chebyshev fits over |e| <= 0.18, the second's the Taylor series.  Products are grouped for short chains of
 * dependence: the loop over bins waits for latency, not for arithmetic.  Measured over 1e-150..1e150 (double)
 * and 1e-36..1e36 (float): at most 0.9 units of the last place. */
#ifndef EAD_ROOT6_H
#define EAD_ROOT6_H

#include <stdint.h>

#include "edgead.h"

#ifdef EAD_REAL_FLOAT

static inline float ead_i_inv_root6(float power)
{
    union {
        float number;
        int32_t bits;
    } guess;
    guess.number = power;
    guess.bits = (int32_t)(1242417157.0f - (float)guess.bits * (1.0f / 6.0f));
    float y = guess.number, z = y * y;
    float e = 1.0f - (power * z) * (z * z);
    y *= (0.99999286f + e * 0.166665f) + (e * e) * (0.09901908f + e * 0.07144508f);
    z = y * y;
    e = 1.0f - (power * z) * (z * z);
    return y + (y * e) * (1.0f / 6.0f);
}

#else

/* The upper 52 bits of the number become a whole number by way of a mantissa, since few processors convert
 * 64-bit integers.  The guess is 2^52 (1 + 1/6) + 0x4a970e5604189375 / 2^12 less a sixth of that. */
static inline double ead_i_inv_root6(double power)
{
    union {
        double number;
        uint64_t bits;
    } guess;
    guess.number = power;
    guess.bits = guess.bits >> 12 | UINT64_C(0x4330000000000000);
    guess.number = 6566401821830196.0 - guess.number * (1.0 / 6.0);
    guess.bits <<= 12;
    double y = guess.number, z = y * y;
    double e = 1.0 - (power * z) * (z * z), ee = e * e;
    y *= (0.99999998 + e * 0.16665169) + ee * ((0.09721605 + e * 0.07209537) + ee * 0.05692454);
    z = y * y;
    e = 1.0 - (power * z) * (z * z);
    return y + (y * e) * (1.0 / 6.0 + e * (7.0 / 72.0));
}

#endif

#endif
