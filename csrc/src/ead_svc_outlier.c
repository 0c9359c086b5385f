/* Extreme studentised deviates of a sorted column, and the residual score.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ead_svc_internal.h"

#ifdef EAD_SERVICE

#define EPS 1e-8

/* Median of sorted t[0..m-1]. */
static double sorted_median(const double *t, size_t m)
{
    return m % 2 ? t[m / 2] : 0.5 * t[m / 2 - 1] + 0.5 * t[m / 2];
}

/* The k smallest distances from `centre` in sorted t[0..m-1] lie on both sides of it, t[0..split-1] below.
 * Returns how many of them are below: the largest number a whose member is nearer than the first one left out
 * above. */
static size_t share_below(const double *t, size_t m, size_t split, double centre, size_t k)
{
    const size_t above = m - split;
    size_t low = k > above ? k - above : 0, high = ead_svc_i_min(k, split);
    while (low < high) {
        const size_t a = low + (high - low + 1) / 2; /* try to take a below and k - a above */
        const size_t first_out = split + (k - a);
        if (first_out >= m || centre - t[split - a] <= t[first_out] - centre)
            low = a;
        else
            high = a - 1;
    }
    return low;
}

/* The k-th smallest distance (k from 1). */
static double distance_of_rank(const double *t, size_t m, size_t split, double centre, size_t k)
{
    const size_t a = share_below(t, m, split, centre, k);
    double far = 0.0;
    if (a > 0)
        far = centre - t[split - a];
    if (k > a && t[split + (k - a) - 1] - centre > far)
        far = t[split + (k - a) - 1] - centre;
    return far;
}

/* Median distance from the median, over the scale of a normal distribution. */
static double sorted_mad(const double *t, size_t m, double centre)
{
    const size_t split = m / 2; /* t[0..split-1] <= centre <= t[split..] */
    const double upper = distance_of_rank(t, m, split, centre, m / 2 + 1);
    const double lower = m % 2 ? upper : distance_of_rank(t, m, split, centre, m / 2);
    return (0.5 * lower + 0.5 * upper) / EAD_SVC_MAD_SCALE;
}

/* Mean and standard deviation of every tail t[k..count-1], from the end; about `origin` so that little
 * cancels. */
static void tail_moments(const double *t, size_t count, size_t top, double *mean, double *deviation)
{
    const double origin = t[count - 1];
    double sum = 0.0, squares = 0.0;
    for (size_t k = count; k-- > 0;) {
        const double d = t[k] - origin, m = (double)(count - k);
        sum += d;
        squares += d * d;
        if (k < top) {
            const double variance = squares / m - (sum / m) * (sum / m);
            mean[k] = origin + sum / m;
            deviation[k] = sqrt(variance > 0.0 ? variance : 0.0);
        }
    }
}

/* ---------------------------------------------------------------- Student quantiles */

/* Share of a Student distribution with v degrees of freedom above t > 0, and its density there.  The share is
 * half an incomplete beta integral, by its continued fraction.  Source: NIST DLMF 8.17.22, evaluated as Lentz
 * does. */
static double upper_share(double t, double v, double *density)
{
    const double a = 0.5 * v, b = 0.5, x = v / (v + t * t);
    const double head = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));
    *density = head / t;
    const int flip = x > (a + 1.0) / (a + b + 2.0);
    const double p = flip ? b : a, q = flip ? a : b, z = flip ? 1.0 - x : x;
    double c = 1.0, d = 1.0 - (p + q) * z / (p + 1.0);
    d = 1.0 / (fabs(d) < 1e-300 ? 1e-300 : d);
    double f = d;
    for (int m = 1; m < 2000; m++) {
        const double k = (double)m;
        const double even = k * (q - k) * z / ((p + 2.0 * k - 1.0) * (p + 2.0 * k));
        const double odd = -(p + k) * (p + q + k) * z / ((p + 2.0 * k) * (p + 2.0 * k + 1.0));
        d = 1.0 / (1.0 + even * d);
        c = 1.0 + even / c;
        f *= d * c;
        d = 1.0 / (1.0 + odd * d);
        c = 1.0 + odd / c;
        f *= d * c;
        if (fabs(d * c - 1.0) < 1e-15)
            break;
    }
    const double integral = head * f / p;
    return 0.5 * (flip ? 1.0 - integral : integral);
}

/* t with the share `tail` of a Student distribution above it, 0 < tail < 0.5, by bisection in t (2 degrees of
 * freedom and less have far tails) and then Newton's steps in the logarithm of the share. */
static double student_quantile(double tail, double v)
{
    double low = 0.0, high = 1.0, density;
    while (upper_share(high, v, &density) > tail && high < 1e150) {
        low = high;
        high *= 4.0;
    }
    double t = low > 0.0 ? sqrt(low * high) : 0.5 * high;
    for (int turn = 0; turn < 200; turn++) {
        const double share = upper_share(t, v, &density);
        if (share > tail)
            low = t;
        else
            high = t;
        const double next = t + log(share / tail) * share / density;
        const double moved = next > low && next < high ? next : 0.5 * (low + high);
        if (fabs(moved - t) <= 4e-16 * t)
            return moved;
        t = moved;
    }
    return t;
}

double ead_svc_esd_limit(size_t m, double alpha)
{
    if (m < 3 || !(alpha > 0.0 && alpha <= 1.0))
        return HUGE_VAL;
    const double size = (double)m, tail = alpha / size, t = student_quantile(tail, size - 2.0);
    return t > 1e100 ? (size - 1.0) / sqrt(size) : t * (size - 1.0) / sqrt((size - 2.0 + t * t) * size);
}

/* ---------------------------------------------------------------- the test */

/* Whether x exceeds the limit for m points, which rises with m: only between the limits of the fewest and of
 * the most points does the quantile itself have to be found. */
struct limits {
    double alpha, least, most;
};

static int exceeds(const struct limits *l, double x, size_t m)
{
    return x > l->least && (x > l->most || x > ead_svc_esd_limit(m, l->alpha));
}

int ead_svc_esd(const double *t, size_t count, size_t start, size_t top, int first_only, double alpha,
                size_t *flagged, double *work, size_t work_len)
{
    if (count < 1 || count > EAD_SVC_MAX_LEN)
        return EAD_E_LENGTH;
    if (!(alpha > 0.0 && alpha <= 1.0))
        return EAD_E_RANGE;
    if (work_len < 2 * top)
        return EAD_E_WORK;
    *flagged = 0;
    top = count < 3 ? 0 : ead_svc_i_min(top, count - 2);
    if (start >= top)
        return EAD_OK;
    double *mean = work, *deviation = work + top;
    tail_moments(t, count, top, mean, deviation);
    const struct limits l = {alpha, ead_svc_esd_limit(count - top + 1, alpha),
                             ead_svc_esd_limit(count, alpha)};
    for (size_t k = start; k < top; k++) {
        const size_t m = count - k;
        const double median = sorted_median(t + k, m);
        int out = exceeds(&l, (mean[k] - t[k]) / fmax(deviation[k], EPS), m);
        if (!out && median - t[k] > l.least * EPS)
            out = exceeds(&l, (median - t[k]) / fmax(sorted_mad(t + k, m, median), EPS), m);
        if (out) {
            *flagged = k + 1;
            if (first_only)
                break;
        }
    }
    return EAD_OK;
}

/* ---------------------------------------------------------------- residual score */

#define FILL_WINDOW 100

int ead_svc_residual_score(const double *map, size_t n, double *score)
{
    if (n < 2 || n > EAD_SVC_MAX_LEN)
        return EAD_E_LENGTH;
    const double w = FILL_WINDOW;
    double sum = map[0];
    score[0] = 0.0;
    for (size_t i = 1; i < n; i++) {
        const double before = sum;
        double base;
        sum += map[i];
        if (i < FILL_WINDOW) {
            base = (sum + before / (double)i * (w - (double)i - 1.0)) / w;
        } else {
            double window =
                0.0; /* summed afresh: a running sum would keep the rounding of a spike that left */
            for (size_t k = i + 1 - FILL_WINDOW; k <= i; k++)
                window += map[k];
            base = window / w;
        }
        if (fabs(base - EPS) <= EPS * (1.0 + 1e-5))
            base = EPS;
        score[i] = fabs(map[i] - base) / base;
    }
    return EAD_OK;
}

#else
typedef int ead_svc_outlier_is_empty;
#endif
