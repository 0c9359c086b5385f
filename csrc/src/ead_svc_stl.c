/* Seasonal-trend decomposition: sizes, checks, choice of the instruction set.  SPDX-License-Identifier:
 * Apache-2.0 */
#include "ead_svc_stl.h"

#ifdef EAD_SERVICE
#include "ead_svc_stl_body.h"

size_t ead_svc_stl_work_len(size_t n, size_t period)
{
    if (n > EAD_SVC_MAX_LEN || period < 2 || n <= 2 * period)
        return 0;
    const size_t tables = 4 * trend_span(n, period) + next_odd(period), weights = 4 * (n / period + 2);
    return 3 * n + (n + 2 * period) + 8 * period + tables + weights;
}

int ead_svc_stl(const double *y, size_t n, size_t period, double *trend, double *season, double *work,
                size_t work_len)
{
    if (n < 5 || n > EAD_SVC_MAX_LEN)
        return EAD_E_LENGTH;
    if (period < 2 || n <= 2 * period)
        return EAD_E_RANGE;
    if (work_len < ead_svc_stl_work_len(n, period))
        return EAD_E_WORK;
#ifdef EAD_X86_VARIANTS
    if (__builtin_cpu_supports("avx2")) {
        ead_svc_i_stl_avx2(y, n, period, trend, season, work);
        return EAD_OK;
    }
#endif
    stl_body(y, n, period, trend, season, work);
    return EAD_OK;
}

#else
typedef int ead_svc_stl_is_empty;
#endif
