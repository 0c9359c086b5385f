/* Stationarity: the augmented Dickey-Fuller and the KPSS statistic.  SPDX-License-Identifier: Apache-2.0 */
#include "ead_svc_internal.h"

#ifdef EAD_SERVICE

#define MAX_LAGS 48 /* ceil(12 (17280 / 100)^(1/4)) = 44 */
#define MAX_COLUMNS (MAX_LAGS + 2)
#define DIM (MAX_COLUMNS + 1) /* regressors and the regressand */
#define BLOCK 32              /* rows of the design formed at a time */

/* ---------------------------------------------------------------- Dickey-Fuller regression
 *
 * dy[t] on 1, y[t-1], dy[t-1..t-p].  The design is never held: its triangular factor R (with the regressand
 * as last column) is all that is wanted.  R comes from the Gram matrix, whose lag columns follow each other
 * by one addition and one subtraction; where that loses too many digits, from Householder reflections over
 * blocks of rows. */

/* Factor of the Gram matrix loses half the digits: pivots below this share of their diagonal are not trusted.
 */
#define PIVOT_FLOOR 1e-7

struct design {
    const double *y;       /* centred and scaled */
    size_t n, lags, first; /* rows are t = first .. n - 2, of dy[t] = y[t+1] - y[t] */
};

static double dy(const double *y, size_t t)
{
    return y[t + 1] - y[t];
}

/* Row t: 1, y[t], dy[t-1], .., dy[t-lags], dy[t]. */
static void design_row(const struct design *d, size_t t, double *row)
{
    row[0] = 1.0;
    row[1] = d->y[t];
    for (size_t j = 1; j <= d->lags; j++)
        row[1 + j] = dy(d->y, t - j);
    row[2 + d->lags] = dy(d->y, t);
}

/* Sum of y[t-i+..] products over the rows. */
static double lag_product(const struct design *d, size_t i, size_t j)
{
    double sum[4] = {0, 0, 0, 0};
    size_t t = d->first;
    for (; t + 4 <= d->n - 1; t += 4)
        for (size_t k = 0; k < 4; k++)
            sum[k] += dy(d->y, t + k - i) * dy(d->y, t + k - j);
    for (; t < d->n - 1; t++)
        sum[0] += dy(d->y, t - i) * dy(d->y, t - j);
    return sum[0] + sum[1] + sum[2] + sum[3];
}

/* Gram matrix of all columns in the order of design_row; column c >= 2 is dy lagged by c - 1, the last is lag
 * 0. */
static void gram(const struct design *d, double *g)
{
    const size_t last = d->lags + 2, begin = d->first, end = d->n - 1;
    const double *y = d->y;
    double level = 0.0, square = 0.0;
    for (size_t t = begin; t < end; t++) {
        level += y[t];
        square += y[t] * y[t];
    }
    g[0] = (double)(end - begin);
    g[1] = level;
    g[DIM + 1] = square;
    for (size_t j = 0; j <= d->lags; j++) {
        const size_t c = j ? j + 1 : last;
        double cross = 0.0;
        for (size_t t = begin; t < end; t++)
            cross += y[t] * dy(y, t - j);
        g[c] = y[end - j] - y[begin - j];
        g[DIM + c] = cross;
        /* lag pairs (0, j) by summing; (i, i + j) from (i - 1, i - 1 + j): one row enters, one leaves */
        double product = lag_product(d, 0, j);
        g[(j ? c : last) * DIM + last] = product;
        for (size_t i = 1; i + j <= d->lags; i++) {
            product += dy(y, begin - i) * dy(y, begin - i - j) - dy(y, end - i) * dy(y, end - i - j);
            g[(i + 1) * DIM + (i + j + 1)] = product;
        }
    }
}

/* Upper triangular R with R'R = g, in place.  Returns 0 when a pivot cannot be trusted; the last column, the
 * regressand's, is allowed to vanish. */
static int cholesky(double *g, size_t columns)
{
    for (size_t i = 0; i <= columns; i++) {
        const double diagonal = g[i * DIM + i];
        double pivot = diagonal;
        for (size_t k = 0; k < i; k++)
            pivot -= g[k * DIM + i] * g[k * DIM + i];
        if (i < columns && !(pivot > PIVOT_FLOOR * diagonal))
            return 0;
        if (i == columns && !(pivot > PIVOT_FLOOR * 1e-3 * diagonal))
            return 0;
        const double root = sqrt(pivot);
        g[i * DIM + i] = root;
        for (size_t j = i + 1; j <= columns; j++) {
            double sum = g[i * DIM + j];
            for (size_t k = 0; k < i; k++)
                sum -= g[k * DIM + i] * g[k * DIM + j];
            g[i * DIM + j] = sum / root;
        }
    }
    return 1;
}

/* Folds `rows` rows of the block into R by Householder reflections; R's rows above are part of each column.
 */
static void fold_block(double *r, double *block, size_t rows, size_t columns)
{
    for (size_t c = 0; c <= columns; c++) {
        double norm = 0.0;
        for (size_t i = 0; i < rows; i++)
            norm += block[i * DIM + c] * block[i * DIM + c];
        if (norm == 0.0)
            continue;
        const double head = r[c * DIM + c], size = sqrt(head * head + norm),
                     alpha = head > 0.0 ? -size : size;
        const double v0 = head - alpha, scale = v0 * v0 + norm;
        for (size_t j = c; j <= columns; j++) {
            double dot = v0 * r[c * DIM + j];
            for (size_t i = 0; i < rows; i++)
                dot += block[i * DIM + c] * block[i * DIM + j];
            dot *= 2.0 / scale;
            r[c * DIM + j] -= dot * v0;
            if (j > c)
                for (size_t i = 0; i < rows; i++)
                    block[i * DIM + j] -= dot * block[i * DIM + c];
        }
    }
}

static void reflect(const struct design *d, double *r, double *block)
{
    for (size_t i = 0; i < DIM * DIM; i++)
        r[i] = 0.0;
    for (size_t t = d->first; t < d->n - 1; t += BLOCK) {
        const size_t rows = ead_svc_i_min(BLOCK, d->n - 1 - t);
        for (size_t i = 0; i < rows; i++)
            design_row(d, t + i, block + i * DIM);
        fold_block(r, block, rows, d->lags + 2);
    }
}

/* Length of x, which is scaled to length 1. */
static double normalise(double *x, size_t m)
{
    double squares = 0.0;
    for (size_t i = 0; i < m; i++)
        squares += x[i] * x[i];
    const double length = sqrt(squares);
    for (size_t i = 0; i < m; i++)
        x[i] /= length;
    return length;
}

/* Whether the columns are independent in double precision: smallest singular value above largest * rows
 * * 2.2e-16, both by power iteration.  The design meant is that of the series as it came, y = mean + size *
 * (what was factored); its factor is R times a triangle, so R is changed here. */
static int independent(double *r, size_t columns, size_t rows, double mean, double size)
{
    double x[MAX_COLUMNS], up[MAX_COLUMNS], largest = 0.0, inverse = 0.0;
    for (size_t i = 0; i < columns; i++) {
        r[i * DIM + 1] = size * r[i * DIM + 1] + (i == 0 ? mean * r[0] : 0.0);
        for (size_t j = 2; j <= columns; j++)
            r[i * DIM + j] *= size;
        if (!(fabs(r[i * DIM + i]) > 0.0))
            return 0;
    }
    r[columns * DIM + columns] *= size;
    for (size_t i = 0; i < columns; i++)
        x[i] = up[i] = 1.0 / (double)(i + 1);
    for (int turn = 0; turn < 12; turn++) {
        double y[MAX_COLUMNS];
        for (size_t i = 0; i < columns; i++) { /* y = R up */
            y[i] = 0.0;
            for (size_t k = i; k < columns; k++)
                y[i] += r[i * DIM + k] * up[k];
        }
        for (size_t i = columns; i-- > 0;) { /* up = R' y */
            up[i] = 0.0;
            for (size_t k = 0; k <= i; k++)
                up[i] += r[k * DIM + i] * y[k];
        }
        largest = sqrt(normalise(up, columns));
        for (size_t i = 0; i < columns; i++) { /* solve R' y = x */
            double sum = x[i];
            for (size_t k = 0; k < i; k++)
                sum -= r[k * DIM + i] * y[k];
            y[i] = sum / r[i * DIM + i];
        }
        for (size_t i = columns; i-- > 0;) { /* solve R x = y */
            double sum = y[i];
            for (size_t k = i + 1; k < columns; k++)
                sum -= r[i * DIM + k] * x[k];
            x[i] = sum / r[i * DIM + i];
        }
        inverse = sqrt(normalise(x, columns));
    }
    return inverse * largest * (double)rows * 2.2e-16 < 1.0;
}

/* Factor of the design, in the series' own units; 0 if its columns are not independent. */
static int factor(const struct design *d, double *r, double *block, double mean, double size)
{
    const size_t columns = d->lags + 2, rows = d->n - 1 - d->first;
    if (columns > rows)
        return 0;
    for (size_t i = 0; i < DIM * DIM; i++)
        r[i] = 0.0;
    gram(d, r);
    if (!cholesky(r, columns))
        reflect(d, r, block);
    return independent(r, columns, rows, mean, size);
}

/* Lag of the smallest AIC, all fitted on the same rows; equal values favour fewer lags. */
static size_t best_lag(const double *r, size_t lags, size_t rows)
{
    const size_t z = lags + 2;
    double left = r[z * DIM + z] * r[z * DIM + z], best = HUGE_VAL;
    size_t chosen = lags;
    for (size_t p = lags + 1; p-- > 0;) {
        const double aic = (double)rows * log(left / (double)rows) + 2.0 * (double)p;
        if (aic <= best) {
            best = aic;
            chosen = p;
        }
        left += r[(p + 1) * DIM + z] * r[(p + 1) * DIM + z];
    }
    return chosen;
}

/* t statistic of the coefficient of y[t-1].  Column 1 goes last: its coefficient is then the last diagonal's.
 */
static double level_statistic(double *r, size_t lags, size_t rows)
{
    const size_t columns = lags + 2, z = columns;
    double b[MAX_COLUMNS], e[MAX_COLUMNS];
    /* b solves R b = Q'z; the variance of b[1] is s2 |e|^2 with R'e = unit vector 1 */
    for (size_t i = columns; i-- > 0;) {
        double sum = r[i * DIM + z];
        for (size_t k = i + 1; k < columns; k++)
            sum -= r[i * DIM + k] * b[k];
        b[i] = sum / r[i * DIM + i];
    }
    double norm = 0.0;
    for (size_t i = 0; i < columns; i++) {
        double sum = i == 1 ? 1.0 : 0.0;
        for (size_t k = 0; k < i; k++)
            sum -= r[k * DIM + i] * e[k];
        e[i] = sum / r[i * DIM + i];
        norm += e[i] * e[i];
    }
    const double left = r[z * DIM + z] * r[z * DIM + z];
    return b[1] / sqrt(left / (double)(rows - columns) * norm);
}

static size_t most_lags(size_t n)
{
    const size_t wanted = (size_t)ceil(12.0 * pow((double)n / 100.0, 0.25)), half = (n - 1) / 2;
    const size_t room = half > 2 ? half - 2 : 0;
    return ead_svc_i_min(wanted, room);
}

size_t ead_svc_stationary_work_len(size_t n)
{
    return n < 4 || n > EAD_SVC_MAX_LEN ? 0 : n + DIM * DIM + BLOCK * DIM;
}

int ead_svc_adf(const double *v, size_t n, double *statistic, double *work, size_t work_len)
{
    if (n < 4 || n > EAD_SVC_MAX_LEN)
        return EAD_E_LENGTH;
    if (work_len < ead_svc_stationary_work_len(n))
        return EAD_E_WORK;
    double *y = work, *r = y + n, *block = r + DIM * DIM, mean, size = 0.0;
    *statistic = NAN;
    mean = ead_svc_i_mean(v, n);
    for (size_t i = 0; i < n; i++)
        size = fmax(size, fabs(v[i] - mean));
    if (!(size > 0.0) || !(size < HUGE_VAL))
        return EAD_OK;
    for (size_t i = 0; i < n; i++)
        y[i] = (v[i] - mean) / size;
    struct design d = {y, n, most_lags(n), 0};
    d.first = d.lags;
    if (!factor(&d, r, block, mean, size))
        return EAD_OK;
    d.lags = d.first = best_lag(r, d.lags, n - 1 - d.first);
    if (factor(&d, r, block, mean, size))
        *statistic = level_statistic(r, d.lags, n - 1 - d.first);
    return EAD_OK;
}

/* ---------------------------------------------------------------- KPSS */

static double covariance(const double *u, size_t n, size_t lag)
{
    double sum[4] = {0, 0, 0, 0};
    size_t t = lag;
    for (; t + 4 <= n; t += 4)
        for (size_t k = 0; k < 4; k++)
            sum[k] += u[t + k] * u[t + k - lag];
    for (; t < n; t++)
        sum[0] += u[t] * u[t - lag];
    return (sum[0] + sum[1] + sum[2] + sum[3]) / (double)n;
}

/* Lags of the long-run variance; n + 1 when there is none. */
static size_t kpss_lags(const double *u, size_t n)
{
    const size_t few = (size_t)pow((double)n, 2.0 / 9.0);
    double s0 = covariance(u, n, 0), s1 = 0.0;
    for (size_t i = 1; i <= few; i++) {
        const double g = covariance(u, n, i);
        s0 += 2.0 * g;
        s1 += 2.0 * (double)i * g;
    }
    if (!(s0 > 0.0))
        return n + 1;
    const double ratio = s1 / s0, lags = 1.1447 * pow(ratio * ratio, 1.0 / 3.0) * pow((double)n, 1.0 / 3.0);
    return lags < (double)n ? (size_t)lags : n;
}

int ead_svc_kpss(const double *v, size_t n, double *statistic, double *work, size_t work_len)
{
    if (n < 4 || n > EAD_SVC_MAX_LEN)
        return EAD_E_LENGTH;
    if (work_len < ead_svc_stationary_work_len(n))
        return EAD_E_WORK;
    double *u = work, mean, size = 0.0, level = 0.0, squares = 0.0;
    *statistic = NAN;
    mean = ead_svc_i_mean(v, n);
    for (size_t i = 0; i < n; i++)
        size = fmax(size, fabs(v[i] - mean));
    if (!(size > 0.0) || !(size < HUGE_VAL))
        return EAD_OK;
    for (size_t i = 0; i < n; i++) {
        u[i] = (v[i] - mean) / size;
        level += u[i];
        squares += level * level;
    }
    const size_t lags = kpss_lags(u, n);
    if (lags > n)
        return EAD_OK;
    double spread = covariance(u, n, 0);
    for (size_t j = 1; j <= lags && j < n; j++)
        spread += 2.0 * (1.0 - (double)j / (double)(lags + 1)) * covariance(u, n, j);
    *statistic = squares / ((double)n * (double)n) / spread;
    return EAD_OK;
}

#else
typedef int ead_svc_stationary_is_empty;
#endif
