/* Seasonal-trend decomposition for x86-64 with AVX2.  Without FMA on purpose: four lanes add in the same
 * order as the portable code's, so both give the same bits.  SPDX-License-Identifier: Apache-2.0 */
#include "ead_svc_stl.h"

#if defined(EAD_SERVICE) && defined(EAD_X86_VARIANTS)
#pragma GCC target("avx2")
#include "ead_svc_stl_body.h"

void ead_svc_i_stl_avx2(const double *y, size_t n, size_t period, double *trend, double *season, double *work)
{
    stl_body(y, n, period, trend, season, work);
}

#else
typedef int ead_svc_stl_avx2_is_empty;
#endif
