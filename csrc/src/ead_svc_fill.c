/* Filling a grid with gaps: cubic spline, same-phase means, straight lines.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ead_svc_internal.h"

#ifdef EAD_SERVICE

#define LONGEST_SPLINE_RUN 6

/* ---------------------------------------------------------------- interpolating spline, not-a-knot ends */

struct curve {
    const uint32_t *x;
    const double *y;
    size_t n;
    double *slope;
};

static double width_of(const struct curve *c, size_t i)
{
    return (double)(c->x[i + 1] - c->x[i]);
}

static double rise_of(const struct curve *c, size_t i)
{
    return (c->y[i + 1] - c->y[i]) / width_of(c, i);
}

/* Slopes at the knots from the tridiagonal system of a cubic spline whose first two and last two pieces are
 * one cubic each.  Source: de Boor, A Practical Guide to Splines, chapter IV.  `diagonal` holds n values; n
 * >= 4. */
static void knot_slopes(const struct curve *c, double *diagonal)
{
    const size_t n = c->n;
    double *s = c->slope;
    double h0 = width_of(c, 0), h1 = width_of(c, 1);
    diagonal[0] = h1;
    double above = h0 + h1; /* what stands right of the diagonal in the row before */
    s[0] = ((h0 + 2.0 * above) * h1 * rise_of(c, 0) + h0 * h0 * rise_of(c, 1)) / above;
    for (size_t i = 1; i + 1 < n; i++) {
        h0 = width_of(c, i - 1);
        h1 = width_of(c, i);
        const double factor = h1 / diagonal[i - 1];
        diagonal[i] = 2.0 * (h0 + h1) - factor * above;
        s[i] = 3.0 * (h1 * rise_of(c, i - 1) + h0 * rise_of(c, i)) - factor * s[i - 1];
        above = h0;
    }
    h0 = width_of(c, n - 3);
    h1 = width_of(c, n - 2);
    const double both = h0 + h1, factor = both / diagonal[n - 2];
    const double right = (h1 * h1 * rise_of(c, n - 3) + (2.0 * both + h1) * h0 * rise_of(c, n - 2)) / both;
    s[n - 1] = (right - factor * s[n - 2]) / (h0 - factor * above);
    for (size_t i = n - 1; i-- > 0;) {
        const double beside = i ? width_of(c, i - 1) : width_of(c, 0) + width_of(c, 1);
        s[i] = (s[i] - beside * s[i + 1]) / diagonal[i];
    }
}

static double curve_at(const struct curve *c, size_t piece, double x)
{
    const double h = width_of(c, piece), t = (x - (double)c->x[piece]) / h;
    const double rise = rise_of(c, piece), a = c->slope[piece] - rise, b = c->slope[piece + 1] - rise;
    return c->y[piece] + t * (h * rise + (1.0 - t) * h * ((1.0 - t) * a - t * b));
}

/* ---------------------------------------------------------------- pass 1: short runs */

static double clip(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

/* Whether a run behind knot `piece` should be a straight line: more than two known points stand close by,
 * they rise or fall together, and the curve leaves their range. */
static int wants_line(const double *grid, size_t size, size_t start, size_t end, const double *run)
{
    double near[4];
    size_t found = 0;
    const size_t places[4] = {start - 2, start - 1, end,
                              end + 1}; /* start - 2 may wrap: then it is >= size */
    for (size_t k = 0; k < 4; k++)
        if (places[k] > 0 && places[k] < size && !isnan(grid[places[k]]))
            near[found++] = grid[places[k]];
    if (found < 3)
        return 0;
    int rises = 1, falls = 1;
    for (size_t k = 1; k < found; k++) {
        rises = rises && near[k] >= near[k - 1];
        falls = falls && near[k] <= near[k - 1];
    }
    if (!rises && !falls)
        return 0;
    const double low = rises ? near[0] : near[found - 1], high = rises ? near[found - 1] : near[0];
    for (size_t i = 0; i < end - start; i++)
        if (run[i] < low || run[i] > high)
            return 1;
    return 0;
}

static void fill_short_runs(const struct curve *c, const double *known, size_t size, size_t period,
                            double *out)
{
    double low = c->y[0], high = c->y[0];
    for (size_t i = 1; i < c->n; i++) {
        low = c->y[i] < low ? c->y[i] : low;
        high = c->y[i] > high ? c->y[i] : high;
    }
    for (size_t piece = 0; piece + 1 < c->n; piece++) {
        const size_t start = c->x[piece] + 1, end = c->x[piece + 1], length = end - start;
        double run[LONGEST_SPLINE_RUN];
        if (length == 0 || length > LONGEST_SPLINE_RUN || 4 * length > period)
            continue;
        for (size_t i = 0; i < length; i++)
            run[i] = curve_at(c, piece, (double)(start + i));
        const int line = wants_line(known, size, start, end, run);
        const double step = (known[end] - known[start - 1]) / (double)(length + 1);
        for (size_t i = 0; i < length; i++)
            out[start + i] = clip(line ? known[start - 1] + step * (double)(i + 1) : run[i], low, high);
    }
}

/* ---------------------------------------------------------------- pass 2: same phase */

static const double NEARNESS[3] = {0.6, 0.3, 0.1};

struct weighted {
    double sum, weight;
};

/* Looks backward up to three times.  gap_start[i] is the first place of the gap that i lies in. */
static void look_back(const double *grid, const uint32_t *gap_start, size_t i, size_t period,
                      struct weighted *w)
{
    size_t at = i;
    int found = 0;
    for (int look = 0; look < 3 && at >= period; look++) {
        at -= period;
        if (!isnan(grid[at])) {
            w->sum += NEARNESS[found] * grid[at];
            w->weight += NEARNESS[found++];
        } else {
            at -= (at - gap_start[at]) / period * period;
        }
    }
}

/* Looks forward; gap_end[i] is the place behind the gap that i lies in. */
static void look_ahead(const double *grid, const uint32_t *gap_end, size_t size, size_t i, size_t period,
                       struct weighted *w)
{
    size_t at = i;
    int found = 0;
    for (int look = 0; look < 3 && at + period < size; look++) {
        at += period;
        if (!isnan(grid[at])) {
            w->sum += NEARNESS[found] * grid[at];
            w->weight += NEARNESS[found++];
        } else {
            const size_t left = gap_end[at] - at;
            at += left > period ? (left - 1) / period * period : 0;
        }
    }
}

static void fill_by_phase(const double *grid, size_t size, size_t period, const uint32_t *gap_start,
                          const uint32_t *gap_end, double *out)
{
    for (size_t i = 0; i < size; i++) {
        struct weighted w = {0.0, 0.0};
        out[i] = grid[i];
        if (!isnan(grid[i]))
            continue;
        look_back(grid, gap_start, i, period, &w);
        look_ahead(grid, gap_end, size, i, period, &w);
        if (w.weight > 0.0)
            out[i] = w.sum / w.weight;
    }
}

/* ---------------------------------------------------------------- the whole */

/* Lines between known points; the first and the last place are known. */
static void fill_lines(double *grid, size_t size)
{
    size_t before = 0;
    for (size_t i = 1; i < size; i++) {
        if (isnan(grid[i]))
            continue;
        const double step = (grid[i] - grid[before]) / (double)(i - before);
        for (size_t k = before + 1; k < i; k++)
            grid[k] = grid[before] + step * (double)(k - before);
        before = i;
    }
}

static void mark_gaps(const double *grid, size_t size, uint32_t *gap_start, uint32_t *gap_end)
{
    for (size_t i = 0; i < size; i++)
        gap_start[i] = i && isnan(grid[i]) && isnan(grid[i - 1]) ? gap_start[i - 1] : (uint32_t)i;
    for (size_t i = size; i-- > 0;)
        gap_end[i] = i + 1 < size && isnan(grid[i]) && isnan(grid[i + 1]) ? gap_end[i + 1] : (uint32_t)i + 1;
}

size_t ead_svc_fill_work_len(size_t size)
{
    return size < 4 || size > EAD_SVC_MAX_LEN ? 0 : 4 * size;
}

int ead_svc_fill(const uint32_t *index, const double *v, size_t n, size_t period, double *out, size_t size,
                 double *work, size_t work_len)
{
    if (n < 4 || size > EAD_SVC_MAX_LEN || size < n)
        return EAD_E_LENGTH;
    if (period < 2 || index[0] != 0 || index[n - 1] != size - 1)
        return EAD_E_RANGE;
    for (size_t i = 1; i < n; i++)
        if (index[i] <= index[i - 1])
            return EAD_E_RANGE;
    if (work_len < ead_svc_fill_work_len(size))
        return EAD_E_WORK;
    double *known = work, *first = work + size, *slope = work + 2 * size, *spare = work + 3 * size;
    for (size_t i = 0; i < size; i++)
        known[i] = NAN;
    for (size_t i = 0; i < n; i++)
        known[index[i]] = v[i];
    for (size_t i = 0; i < size; i++)
        first[i] = known[i];
    const struct curve c = {index, v, n, slope};
    knot_slopes(&c, spare);
    fill_short_runs(&c, known, size, period, first);
    uint32_t *gap_start = (uint32_t *)spare, *gap_end = gap_start + size;
    mark_gaps(first, size, gap_start, gap_end);
    fill_by_phase(first, size, period, gap_start, gap_end, out);
    fill_lines(out, size);
    return EAD_OK;
}

#else
typedef int ead_svc_fill_is_empty;
#endif
