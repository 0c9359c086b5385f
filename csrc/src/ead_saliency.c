/* Saliency map of a whole window by spectral residual.  SPDX-License-Identifier: Apache-2.0 */
#include "ead_internal.h"
#include "ead_root6.h"

static size_t map_work(size_t n)
{
    return 3 * n + 2;
}

size_t ead_saliency_work_len(size_t n)
{
    size_t transform = ead_fft_work_len(n, EAD_FFT_COMPLEX);
    return n < EAD_SALIENCY_MIN_LEN || transform == 0 ? 0 : map_work(n) + transform - 2 * n;
}

int ead_i_all_finite(const ead_real *x, size_t n)
{
    ead_real sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (x[i] - x[i]) * 0; /* NaN for NaN and infinity, else 0 */
    return sum == 0;
}

/* Copies x less its mean into re and clears im; returns the sum of squares, which is the mean power of a bin.
 */
static ead_real centre(size_t n, const ead_real *x, ead_real *re, ead_real *im)
{
    ead_wide sum = 0, energy = 0;
    for (size_t i = 0; i < n; i++)
        sum += (ead_wide)x[i] - (ead_wide)x[0];
    ead_wide mean = (ead_wide)x[0] + sum / (ead_wide)n;
    for (size_t i = 0; i < n; i++) {
        ead_wide deviation = (ead_wide)x[i] - mean;
        re[i] = (ead_real)deviation;
        energy += deviation * deviation;
    }
    EAD_FILL(im, 0, n * sizeof *im);
    return (ead_real)energy;
}

/* Weights bins 1..n-1 by 1/G; root has two places before bin 0.  Bins 1 and 2 look past the dropped bin 0:
 * bin 1 stands for what lies before it. */
static void weigh_without_mean(size_t n, ead_real floor, ead_real *re, ead_real *im, ead_real *root)
{
    ead_real *r = root + 2;
    re[0] = im[0] = 0;
    for (size_t k = 1; k < n; k++)
        r[k] = ead_i_inv_root6(re[k] * re[k] + im[k] * im[k] + floor);
    r[0] = r[-1] = r[1];
    for (size_t k = 1; k < n; k++) {
        ead_real weight = r[k] * r[k - 1] * r[k - 2];
        re[k] *= weight;
        im[k] *= weight;
    }
}

/* The service's weights: all bins, shorter means at bins 0 and 1, a magnitude of zero counts as 1. */
static void weigh_as_service(size_t n, ead_real *re, ead_real *im, ead_real *root)
{
    ead_real *r = root + 2;
    for (size_t k = 0; k < n; k++) {
        ead_real power = re[k] * re[k] + im[k] * im[k];
        r[k] = power > 0 ? ead_i_inv_root6(power) : 1;
    }
    ead_real pair = r[0] * r[1];
    ead_real first = r[0] * r[0] * r[0], second = pair * EAD_SQRT(pair);
    for (size_t k = n - 1; k >= 2; k--) {
        ead_real weight = r[k] * r[k - 1] * r[k - 2];
        re[k] *= weight;
        im[k] *= weight;
    }
    re[0] *= first, im[0] *= first;
    re[1] *= second, im[1] *= second;
}

static int refuse(const ead_fft_plan *plan, const ead_real *x, int rule, size_t work_len)
{
    size_t n = ead_i_fft_points(plan, EAD_FFT_COMPLEX);
    if (n == 0)
        return EAD_E_STATE;
    if (n < EAD_SALIENCY_MIN_LEN)
        return EAD_E_LENGTH;
    if (rule != EAD_SALIENCY_STREAM && rule != EAD_SALIENCY_SERVICE)
        return EAD_E_RANGE;
    if (work_len < map_work(n) + ead_i_fft_work(plan))
        return EAD_E_WORK;
    return ead_i_all_finite(x, n) ? EAD_OK : EAD_E_NOT_FINITE;
}

int ead_saliency(const ead_fft_plan *plan, const ead_real *x, int rule, ead_real *map, ead_real *work,
                 size_t work_len)
{
    int status = refuse(plan, x, rule, work_len);
    if (status != EAD_OK)
        return status;
    size_t n = ead_i_fft_points(plan, EAD_FFT_COMPLEX);
    ead_real *re = work, *im = re + n, *root = im + n, *transform_work = work + map_work(n);
    if (rule == EAD_SALIENCY_SERVICE) {
        EAD_COPY(re, x, n * sizeof *re);
        EAD_FILL(im, 0, n * sizeof *im);
        ead_i_fft_split(plan, re, im, transform_work);
        weigh_as_service(n, re, im, root);
    } else {
        ead_real floor = centre(n, x, re, im) * EAD_POWER_FLOOR;
        ead_i_fft_split(plan, re, im, transform_work);
        weigh_without_mean(n, floor, re, im, root);
    }
    ead_i_fft_split(plan, im, re, transform_work); /* swapped: n times the inverse */
    for (size_t j = 0; j < n; j++)
        map[j] = EAD_SQRT(re[j] * re[j] + im[j] * im[j]) / (ead_real)n;
    return EAD_OK;
}
