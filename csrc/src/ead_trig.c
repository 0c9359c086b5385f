/* Roots of unity without libm.  SPDX-License-Identifier: Apache-2.0 */
#include "ead_internal.h"

/* Taylor polynomials on 0..pi/4; the first term left out is below 1e-19 of the result.  With EAD_NO_DOUBLE
 * the high terms add nothing and cost little: tables are made once. */
static ead_wide sin_small(ead_wide x)
{
    ead_wide z = x * x, sum = 0;
    for (int k = 17; k >= 3; k -= 2)
        sum = (1 - sum) * z / (ead_wide)(k * (k - 1));
    return x - x * sum;
}

static ead_wide cos_small(ead_wide x)
{
    ead_wide z = x * x, sum = 0;
    for (int k = 18; k >= 2; k -= 2)
        sum = (1 - sum) * z / (ead_wide)(k * (k - 1));
    return 1 - sum;
}

/* The angle is reduced to the first eighth of the circle in whole numbers, so no digit is lost for large k.
 */
void ead_i_unit_root(uint64_t k, uint64_t n, ead_real *cosine, ead_real *sine)
{
    const ead_wide eighth = (ead_wide)0.78539816339744830962;
    uint64_t turn = 8 * k, octant = turn / n, rest = turn % n;
    ead_wide x = (ead_wide)(octant % 2 ? n - rest : rest) / (ead_wide)n * eighth;
    ead_wide s = sin_small(x), c = cos_small(x);
    if (octant % 4 == 1 || octant % 4 == 2) { /* the eighths next to a quarter turn */
        ead_wide swap = s;
        s = c, c = swap;
    }
    *cosine = (ead_real)(octant >= 2 && octant < 6 ? -c : c);
    *sine = (ead_real)(octant >= 4 ? -s : s);
}
