/* Seasonal-trend decomposition with robustness passes: the body, compiled once an instruction set.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Source: Cleveland, Cleveland, McRae, Terpenning, STL, J. Official Statistics 6 (1990) 3-73, with the
 * parameters the service used: a "periodic" season (cycle-subseries span 10 n + 1, local constant, fitted at
 * both ends only), one inner pass, fifteen robustness passes after the first. */
#include "ead_svc_internal.h"

#define PASSES 16

/* Sums run in lanes, one vector wide where the compiler knows vectors (GCC, Clang): compilers may not reorder
 * additions by themselves.  Four lanes for every instruction set, so that all give the same bits. */
#ifdef __GNUC__
#define LANES 4
typedef double lanes __attribute__((vector_size(8 * LANES), aligned(8), may_alias));
/* spelled out: where doubles are computed wider (x87), GCC takes no vector plus a number */
#define LANES_FROM(first) {(first), (first) + 1.0, (first) + 2.0, (first) + 3.0}
#define LANE_SUM(v) (((v)[0] + (v)[2]) + ((v)[1] + (v)[3]))
#else
#define LANES 1
typedef double lanes;
#define LANES_FROM(first) (first)
#define LANE_SUM(v) (v)
#endif
#define LANES_AT(p) (*(const lanes *)(p))

static size_t next_odd(size_t x)
{
    return x + 1 - x % 2;
}

static size_t trend_span(size_t n, size_t period)
{
    const double exact = 1.5 * (double)period / (1.0 - 1.5 / (10.0 * (double)n + 1.0));
    return next_odd((size_t)ceil(exact));
}

/* Tricube weight at distance d for reach h.  Below 0.001 h it is 1, beyond 0.999 h it is 0. */
static double tricube(double d, double h)
{
    if (d <= 0.001 * h)
        return 1.0;
    if (d > 0.999 * h)
        return 0.0;
    const double r = d / h, c = 1.0 - r * r * r;
    return c * c * c;
}

/* ---------------------------------------------------------------- loess on a grid */

struct loess {
    size_t n, span, jump;
    /* of a window in the middle: tricube weights w, and w d and w d^2 where robustness weights break the
     * symmetry; d = distance from the place that is fitted */
    double *w, *wd, *wdd;
    double total;         /* sum of w */
    double *edge;         /* span weights of a window at an end */
    const double *robust; /* n weights, or NULL */
    double *robust_y;     /* n products of weights and values */
};

static void fill_tables(struct loess *s)
{
    const double h = (double)(s->span / 2);
    s->total = 0.0;
    for (size_t i = 0; i < s->span; i++) {
        const double d = (double)i - h;
        s->total += s->w[i] = tricube(fabs(d), h);
        if (s->wd) {
            s->wd[i] = s->w[i] * d;
            s->wdd[i] = s->wd[i] * d;
        }
    }
}

struct moments {
    double w, x, xx, y, xy; /* weighted sums of 1, d, d^2, y, d y */
};

static double dot(const double *a, const double *b, size_t n)
{
    lanes even = {0}, odd = even;
    size_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        even += LANES_AT(a + i) * LANES_AT(b + i);
        odd += LANES_AT(a + i + LANES) * LANES_AT(b + i + LANES);
    }
    even += odd;
    double sum = LANE_SUM(even);
    for (; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* Moments of a window in the middle that starts at `left`, from the tables. */
static struct moments middle_moments(const struct loess *s, size_t left)
{
    const double *r = s->robust + left, *ry = s->robust_y + left;
    lanes w = {0}, x = w, xx = w, y = w, xy = w;
    size_t i = 0;
    for (; i + LANES <= s->span; i += LANES) {
        const lanes weight = LANES_AT(s->w + i), slope = LANES_AT(s->wd + i);
        const lanes robust = LANES_AT(r + i), value = LANES_AT(ry + i);
        w += weight * robust;
        x += slope * robust;
        xx += LANES_AT(s->wdd + i) * robust;
        y += weight * value;
        xy += slope * value;
    }
    struct moments m = {LANE_SUM(w), LANE_SUM(x), LANE_SUM(xx), LANE_SUM(y), LANE_SUM(xy)};
    for (; i < s->span; i++) {
        m.w += s->w[i] * r[i];
        m.x += s->wd[i] * r[i];
        m.xx += s->wdd[i] * r[i];
        m.y += s->w[i] * ry[i];
        m.xy += s->wd[i] * ry[i];
    }
    return m;
}

/* Tricube weights of a window of `count` points about its place `centre`; `int` converts to double in
 * vectors. */
static void fill_edge(double *w, int count, int centre, double h)
{
    const int near = (int)(0.001 * h), far = (int)(0.999 * h);
    const double scale = 1.0 / h;
    for (int i = 0; i < count; i++) {
        const double r = fabs((double)(i - centre) * scale), c = 1.0 - r * r * r;
        w[i] = c * c * c;
    }
    for (int i = centre > near ? centre - near : 0; i < count && i <= centre + near; i++)
        w[i] = 1.0;
    for (int i = 0; i < centre - far; i++)
        w[i] = 0.0;
    for (int i = count; i-- > 0 && i > centre + far;)
        w[i] = 0.0;
}

/* Moments of the window left..left + count - 1 about place x, anywhere. */
static struct moments edge_moments(const struct loess *s, const double *y, size_t left, size_t count,
                                   size_t x)
{
    const size_t before = x - left, behind = count - 1 - before;
    const double extra = s->span > s->n ? floor((double)(s->span - s->n) / 2.0) : 0.0;
    const double *r = s->robust ? s->robust + left : NULL;
    fill_edge(s->edge, (int)count, (int)before, (double)(before > behind ? before : behind) + extra);
    const double leftmost = (double)left - (double)x;
    lanes w = {0}, wx = w, wxx = w, wy = w, wxy = w, place = LANES_FROM(leftmost);
    size_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        lanes weight = LANES_AT(s->edge + i);
        if (r)
            weight *= LANES_AT(r + i);
        const lanes slope = weight * place, value = LANES_AT(y + left + i);
        w += weight;
        wx += slope;
        wxx += slope * place;
        wy += weight * value;
        wxy += slope * value;
        place += (double)LANES;
    }
    struct moments m = {LANE_SUM(w), LANE_SUM(wx), LANE_SUM(wxx), LANE_SUM(wy), LANE_SUM(wxy)};
    for (; i < count; i++) {
        const double weight = r ? s->edge[i] * r[i] : s->edge[i], d = (double)i - (double)before;
        m.w += weight;
        m.x += weight * d;
        m.xx += weight * d * d;
        m.y += weight * y[left + i];
        m.xy += weight * d * y[left + i];
    }
    return m;
}

/* Fit at place x (0-based). */
static double fit_at(const struct loess *s, const double *y, size_t x)
{
    const size_t count = ead_svc_i_min(s->span, s->n), half = (s->span + 1) / 2;
    size_t left = x + 1 > half ? x + 1 - half : 0;
    left = ead_svc_i_min(left, s->n - count);
    const int middle = s->span <= s->n && x - left == left + count - 1 - x;
    if (middle && !s->robust)
        return dot(s->w, y + left, s->span) / s->total;
    const struct moments m = middle ? middle_moments(s, left) : edge_moments(s, y, left, count, x);
    if (!(m.w > 0.0))
        return y[x];
    const double centre = m.x / m.w, spread = m.xx / m.w - centre * centre, level = m.y / m.w;
    if (!(spread > 0.0) || !(sqrt(spread) > 0.001 * (double)(s->n - 1)))
        return level;
    return level - centre * (m.xy / m.w - centre * level) / spread;
}

static void smooth(const struct loess *s, const double *y, double *out)
{
    const size_t n = s->n, jump = ead_svc_i_min(s->jump, n - 1);
    size_t at = 0;
    if (s->robust)
        for (size_t i = 0; i < n; i++)
            s->robust_y[i] = s->robust[i] * y[i];
    out[0] = fit_at(s, y, 0);
    while (at < n - 1) {
        const size_t next = ead_svc_i_min(at + jump, n - 1);
        out[next] = fit_at(s, y, next);
        const double step = (out[next] - out[at]) / (double)(next - at);
        for (size_t i = at + 1; i < next; i++)
            out[i] = out[at] + step * (double)(i - at);
        at = next;
    }
}

/* ---------------------------------------------------------------- season */

struct seasonal {
    size_t n, period;
    double *inner,
        *outer; /* tricube weights by distance for fits at the ends and one place beyond; two lengths */
};

/* The weights depend on the number of members k of a phase; there are two such numbers, rows and rows + 1. */
static void fill_phase_weights(const struct seasonal *s, size_t rows)
{
    const size_t most = rows + 2;
    for (size_t kind = 0; kind < 2; kind++) {
        const double k = (double)(rows + kind), extra = floor((10.0 * (double)s->n + 1.0 - k) / 2.0);
        for (size_t d = 0; d < most; d++) {
            s->inner[kind * most + d] = tricube((double)d, k - 1.0 + extra);
            s->outer[kind * most + d] = tricube((double)d, k + extra);
        }
    }
}

/* Four weighted means of one phase: at its first and last member and one place beyond each. */
struct ends {
    double *sum, *weight; /* 4 x period each: first, last, before, after */
};

static void add_row(const struct seasonal *s, const struct ends *e, const double *d, const double *robust,
                    size_t from, size_t to, size_t row, size_t members, size_t rows)
{
    const size_t most = rows + 2, kind = members - rows, p = s->period;
    const double *inner = s->inner + kind * most, *outer = s->outer + kind * most;
    const double w[4] = {inner[row], inner[members - 1 - row], outer[row + 1], outer[members - row]};
    for (size_t k = 0; k < 4; k++) {
        double *sum = e->sum + k * p, *weight = e->weight + k * p;
        const double factor = w[k];
        for (size_t j = from; j < to; j++) {
            const double wr = factor * robust[j];
            weight[j] += wr;
            sum[j] += wr * d[j];
        }
    }
}

static void phase_ends(const struct seasonal *s, const struct ends *e, const double *d, const double *robust)
{
    const size_t p = s->period, n = s->n, rows = n / p, longer = n % p;
    for (size_t i = 0; i < 4 * p; i++)
        e->sum[i] = e->weight[i] = 0.0;
    for (size_t row = 0; row < rows; row++) {
        add_row(s, e, d + row * p, robust + row * p, 0, longer, row, rows + 1, rows);
        add_row(s, e, d + row * p, robust + row * p, longer, p, row, rows, rows);
    }
    add_row(s, e, d + rows * p, robust + rows * p, 0, longer, rows, rows + 1, rows);
    for (size_t j = 0; j < p; j++) {
        const size_t final = j + p * (j < longer ? rows : rows - 1);
        double *f = e->sum + j;
        const double *w = e->weight + j;
        f[0] = w[0] > 0.0 ? f[0] / w[0] : d[j];
        f[p] = w[p] > 0.0 ? f[p] / w[p] : d[final];
        f[2 * p] = w[2 * p] > 0.0 ? f[2 * p] / w[2 * p] : f[0];
        f[3 * p] = w[3 * p] > 0.0 ? f[3 * p] / w[3 * p] : f[p];
    }
}

/* The smoothed phases, one period longer than the series at both ends.  Row by row, since a phase's members
 * lie far apart; the last member's fit makes way for the step between members. */
static void extend(const struct seasonal *s, const struct ends *e, double *out)
{
    const size_t p = s->period, rows = s->n / p, longer = s->n % p;
    double *first = e->sum, *step = e->sum + p, *before = e->sum + 2 * p, *after = e->sum + 3 * p;
    for (size_t j = 0; j < p; j++) {
        const size_t members = j < longer ? rows + 1 : rows;
        step[j] = (step[j] - first[j]) / (double)(members - 1);
        out[j] = before[j];
    }
    for (size_t i = 0; i <= rows; i++) {
        double *row = out + p * (i + 1);
        for (size_t j = 0; j < (i < rows ? p : longer); j++)
            row[j] = first[j] + step[j] * (double)i;
    }
    for (size_t j = longer; j < p; j++)
        out[j + p * (rows + 1)] = after[j];
    for (size_t j = 0; j < longer; j++)
        out[j + p * (rows + 2)] = after[j];
}

/* Means of w neighbours, n - w + 1 of them, in place. */
static void moving_average(double *v, size_t n, size_t w)
{
    double sum = 0.0;
    const double size = (double)w;
    for (size_t i = 0; i < w; i++)
        sum += v[i];
    for (size_t i = 0; i + w < n; i++) {
        const double leaves = v[i];
        v[i] = sum / size;
        sum += v[i + w] - leaves;
    }
    v[n - w] = sum / size;
}

/* Bisquare weights of the rest |y - trend - season|. */
static void robustness(const double *y, const double *trend, const double *season, size_t n, double *robust,
                       double *spare)
{
    for (size_t i = 0; i < n; i++)
        spare[i] = robust[i] = fabs(y[i] - trend[i] - season[i]);
    const double h = 6.0 * ead_svc_i_median(spare, n), low = 0.001 * h, high = 0.999 * h;
    for (size_t i = 0; i < n; i++) {
        const double r = robust[i], u = r / h, c = 1.0 - u * u; /* 1 / h would overflow for the smallest h */
        const double w = r > high ? 0.0 : c * c;
        robust[i] = r <= low ? 1.0 : w;
    }
}

/* ---------------------------------------------------------------- the whole */

static void stl_body(const double *y, size_t n, size_t period, double *trend, double *season, double *work)
{
    const size_t span = trend_span(n, period), low = next_odd(period), rows = n / period;
    double *robust = work, *spare = robust + n, *robust_y = spare + n, *extended = robust_y + n;
    double *ends = extended + n + 2 * period, *tables = ends + 8 * period, *edge = tables + 3 * span;
    double *low_table = edge + span, *weights = low_table + low;
    struct loess low_pass = {n, low, (low + 9) / 10, low_table, NULL, NULL, 0.0, edge, NULL, NULL};
    struct loess trend_pass = {n,   span, (span + 9) / 10, tables,  tables + span, tables + 2 * span,
                               0.0, edge, robust,          robust_y};
    fill_tables(&low_pass);
    fill_tables(&trend_pass);
    const struct seasonal phases = {n, period, weights, weights + 2 * (rows + 2)};
    const struct ends e = {ends, ends + 4 * period};
    fill_phase_weights(&phases, rows);
    for (size_t i = 0; i < n; i++) {
        trend[i] = 0.0;
        robust[i] = 1.0;
    }
    for (int pass = 0; pass < PASSES; pass++) {
        for (size_t i = 0; i < n; i++)
            spare[i] = y[i] - trend[i];
        phase_ends(&phases, &e, spare, robust);
        extend(&phases, &e, extended);
        for (size_t i = 0; i < n; i++)
            season[i] = extended[i + period];
        moving_average(extended, n + 2 * period, period);
        moving_average(extended, n + period + 1, period);
        moving_average(extended, n + 2, 3);
        smooth(&low_pass, extended, spare);
        for (size_t i = 0; i < n; i++) {
            season[i] -= spare[i];
            spare[i] = y[i] - season[i];
        }
        smooth(&trend_pass, spare, trend);
        robustness(y, trend, season, n, robust, spare);
    }
}
