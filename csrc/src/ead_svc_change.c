/* Change points: breaks of straight segments.  SPDX-License-Identifier: Apache-2.0 */
#include "ead_svc_internal.h"

#ifdef EAD_SERVICE

/* Sums of a segment that a least-squares line needs, of y less its first value over 0, 1, 2, ... */
struct segment {
    double origin, sum, cross; /* first value; sums of y and of position times y */
    size_t n;
};

static struct segment begin(double y)
{
    const struct segment s = {y, 0.0, 0.0, 1};
    return s;
}

static void append(struct segment *s, double y)
{
    s->sum += y - s->origin;
    s->cross += (double)s->n * (y - s->origin);
    s->n++;
}

static double line_at(const struct segment *s, double place)
{
    const double n = (double)s->n, mean = s->sum / n, middle = 0.5 * (n - 1.0);
    if (s->n == 1)
        return s->origin;
    const double slope = (s->cross - middle * s->sum) / (n * (n * n - 1.0) / 12.0);
    return s->origin + mean + slope * (place - middle);
}

int ead_svc_change_points(const double *y, size_t n, double tolerance, size_t window, unsigned char *flags,
                          double *scores)
{
    if (n < 1 || n > EAD_SVC_MAX_LEN)
        return EAD_E_LENGTH;
    if (!(tolerance >= 0.0 && tolerance <= 1.0) || window < 1)
        return EAD_E_RANGE;
    double low = y[0], high = y[0];
    for (size_t i = 0; i < n; i++) {
        low = y[i] < low ? y[i] : low;
        high = y[i] > high ? y[i] : high;
        flags[i] = 0;
        scores[i] = 0.0;
    }
    const double spread = high - low;
    if (!(spread > 0.0))
        return EAD_OK;
    struct segment current = begin(y[0]), before = {0.0, 0.0, 0.0, 0};
    size_t candidate = n; /* n = none */
    for (size_t i = 1; i < n; i++) {
        struct segment joined = current;
        append(&joined, y[i]);
        scores[i] = fabs(y[i] - line_at(&joined, (double)current.n)) / spread;
        if (scores[i] > tolerance) {
            if (current.n >= window || before.n == 0)
                before = current;
            candidate = i;
            current = begin(y[i]);
            continue;
        }
        current = joined;
        if (candidate < n && current.n == window) {
            const double jump = fabs(y[candidate] - line_at(&before, (double)before.n)) / spread;
            if (jump > tolerance) {
                flags[candidate] = 1;
                scores[candidate] = jump;
            }
            candidate = n;
        }
    }
    return EAD_OK;
}

#else
typedef int ead_svc_change_is_empty;
#endif
