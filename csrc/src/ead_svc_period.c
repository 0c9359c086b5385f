/* Evidence for a period: leave-one-out error of phase means, phases cut to their medians.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ead_svc_internal.h"

#ifdef EAD_SERVICE

/* Leave-one-out error, summed over the phases.  With c members, sum S and squares Q a phase's error is
 * (c / (c - 1))^2 (Q - S^2 / c); since c takes two values only, Q is needed per group, from running sums of
 * squares. */
static double phase_error(const double *v, size_t n, size_t period, const double *squares, double *sums)
{
    const size_t rows = n / period, longer = n % period;
    double of_longer = 0.0, error = 0.0;
    for (size_t j = 0; j < period; j++)
        sums[j] = 0.0;
    for (size_t row = 0; row < rows; row++) {
        const double *d = v + row * period;
        for (size_t j = 0; j < period; j++)
            sums[j] += d[j];
        of_longer += squares[row * period + longer] - squares[row * period];
    }
    for (size_t j = 0; j < longer; j++)
        sums[j] += v[rows * period + j];
    of_longer += squares[n] - squares[rows * period];
    const double group[2] = {of_longer, squares[n] - of_longer};
    for (size_t kind = 0; kind < 2; kind++) {
        const double c = (double)(kind ? rows : rows + 1), factor = c / (c - 1.0);
        double explained = 0.0;
        for (size_t j = kind ? longer : 0; j < (kind ? period : longer); j++)
            explained += sums[j] * sums[j];
        if (kind ? longer < period : longer > 0)
            error += factor * factor * (group[kind] - explained / c);
    }
    return error > 0.0 ? error : 0.0;
}

int ead_svc_phase_errors(const double *v, size_t n, const uint32_t *periods, size_t count, double *errors,
                         double *work, size_t work_len)
{
    if (n < 2 || n > EAD_SVC_MAX_LEN)
        return EAD_E_LENGTH;
    if (work_len < ead_svc_phase_errors_work_len(n))
        return EAD_E_WORK;
    for (size_t i = 0; i < count; i++)
        if (periods[i] < 1 || n < 2 * (size_t)periods[i])
            return EAD_E_RANGE;
    double *centred = work, *squares = work + n, *sums = work + 2 * n + 1;
    const double mean = ead_svc_i_mean(v, n);
    squares[0] = 0.0;
    for (size_t i = 0; i < n; i++) {
        centred[i] = v[i] - mean;
        squares[i + 1] = squares[i] + centred[i] * centred[i];
    }
    for (size_t i = 0; i < count; i++)
        errors[i] = phase_error(centred, n, periods[i], squares, sums) / (double)n;
    return EAD_OK;
}

size_t ead_svc_phase_errors_work_len(size_t n)
{
    return n < 2 || n > EAD_SVC_MAX_LEN ? 0 : 2 * n + 1 + n / 2 + 1;
}

/* Median with the two middle values, their sum and its half in single precision; reorders v. */
static double single_median(double *v, size_t n)
{
    const float upper = (float)ead_svc_i_select(v, n, n / 2);
    if (n % 2)
        return (double)upper;
    double lower = v[0];
    for (size_t i = 1; i < n / 2; i++)
        lower = v[i] > lower ? v[i] : lower;
    return (double)(0.5f * ((float)lower + upper));
}

int ead_svc_cut_phases(double *v, size_t n, size_t period, double *work, size_t work_len)
{
    if (n < 1 || n > EAD_SVC_MAX_LEN)
        return EAD_E_LENGTH;
    if (period < 1 || period > n)
        return EAD_E_RANGE;
    if (work_len < n / period + 1)
        return EAD_E_WORK;
    for (size_t j = 0; j < period; j++) {
        size_t members = 0;
        for (size_t i = j; i < n; i += period)
            work[members++] = v[i];
        const double centre = single_median(work, members);
        members = 0;
        for (size_t i = j; i < n; i += period)
            work[members++] = v[i] - centre;
        const double spread = 1.4826 * single_median(work, members) + 1e-8;
        for (size_t i = j; i < n; i += period)
            if ((v[i] - centre) / spread >= 3.0)
                v[i] = centre;
    }
    return EAD_OK;
}

#else
typedef int ead_svc_period_is_empty;
#endif
