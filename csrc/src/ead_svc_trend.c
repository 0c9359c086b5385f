/* Straight and smooth trends: Theil-Sen slopes and least-squares cubic splines.
 * SPDX-License-Identifier: Apache-2.0 */
#include "ead_svc_internal.h"

#ifdef EAD_SERVICE

/* ---------------------------------------------------------------- Theil-Sen slope
 *
 * The median of all pairwise slopes without forming them.  The slopes not above t are the pairs i < j with
 * v[i] - t i >= v[j] - t j, which a merge sort counts in O(w log w).  A sorted sample of slopes brackets the
 * median; counts narrow the bracket until the few pairs inside can be listed and selected from. Source: Cole,
 * Salowe, Steiger, Szemeredi, SIAM J. Comput. 18 (1989) 792-810, and Matousek, Inf. Proc. Letters 39 (1991)
 * 183-187, for counting by inversions and for the sampled bracket. */

#define BRUTE 64    /* up to this width all slopes are formed */
#define SAMPLE 1023 /* most slopes sampled for the first bracket */

/* Least rounding step of a key v[i] - t i that matters, in units of the largest key. */
#define KEY_EPS 8e-16

struct keys {
    const double *v;
    size_t n;
    double *key, *spare;
    uint32_t *place, *place_spare;
};

static double slope_of(const double *v, size_t i, size_t j)
{
    return (v[j] - v[i]) / (double)(j - i);
}

#define BLOCK 8 /* values sorted by insertion before merging */

/* Insertion sort; returns the pairs that were not in strictly ascending order. */
static uint64_t sort_block(double *v, size_t n)
{
    uint64_t inversions = 0;
    for (size_t i = 1; i < n; i++) {
        const double x = v[i];
        size_t j = i;
        for (; j > 0 && v[j - 1] > x; j--)
            v[j] = v[j - 1];
        v[j] = x;
        inversions += i - j;
        for (; j > 0 && v[j - 1] == x; j--)
            inversions++;
    }
    return inversions;
}

/* Merges two ascending runs of `width` values each from both ends at once: two chains of comparisons that do
 * not wait for each other, and no branch on the values, which are as good as random.  Returns the pairs
 * (left, right) with left >= right. */
static uint64_t merge_pair(const double *from, size_t width, double *to)
{
    size_t left = 0, right = width, left_end = width - 1, right_end = 2 * width - 1; /* may wrap once done */
    uint64_t inversions = 0;
    for (size_t k = 0; k < width; k++) {
        const size_t low = from[left] < from[right], high = from[left_end] >= from[right_end];
        to[k] = low ? from[left] : from[right];
        to[2 * width - 1 - k] = high ? from[left_end] : from[right_end];
        inversions += (width - left) & (low - 1);
        inversions += (width - 1 - left_end) & (high - 1);
        left += low;
        right += 1 - low;
        left_end -= high;
        right_end -= 1 - high;
    }
    return inversions;
}

/* Merges the run of `width` values at `from` and what follows it up to `n` values; returns as merge_pair. */
static uint64_t merge_rest(const double *from, size_t width, size_t n, double *to)
{
    size_t a = 0, b = ead_svc_i_min(width, n);
    const size_t middle = b;
    uint64_t inversions = 0;
    for (size_t k = 0; k < n; k++) {
        if (a < middle && (b >= n || from[a] < from[b])) {
            to[k] = from[a++];
        } else {
            to[k] = from[b++];
            inversions += middle - a;
        }
    }
    return inversions;
}

/* Number of slopes <= t. */
static uint64_t count_slopes(const struct keys *s, double t)
{
    const size_t n = s->n;
    uint64_t inversions = 0;
    for (size_t i = 0; i < n; i++)
        s->key[i] = (s->v[i] - s->v[0]) - t * (double)i;
    for (size_t left = 0; left < n; left += BLOCK)
        inversions += sort_block(s->key + left, ead_svc_i_min(BLOCK, n - left));
    double *from = s->key, *to = s->spare;
    for (size_t width = BLOCK; width < n; width *= 2) {
        size_t left = 0;
        for (; left + 2 * width <= n; left += 2 * width)
            inversions += merge_pair(from + left, width, to + left);
        inversions += merge_rest(from + left, width, n - left, to + left);
        double *swap = from;
        from = to;
        to = swap;
    }
    return inversions;
}

/* Puts the places in ascending order of v[i] - low i, later places first among equals: then a pair in place
 * order has a slope above `low`, a pair in reverse order has not. */
static void order_at(const struct keys *s, double low)
{
    const size_t end = s->n - 1;
    for (size_t i = 0; i < s->n; i++)
        s->key[i] = (s->v[end - i] - s->v[0]) - low * (double)(end - i);
    ead_svc_i_sort_places(s->key, s->n, s->place, s->place_spare);
    for (size_t i = 0; i < s->n; i++)
        s->place[i] = (uint32_t)end - s->place[i];
}

/* Lists the slopes of the pairs that change order between `low` and `high`; returns their number, at most
 * room. */
static size_t list_slopes(const struct keys *s, double low, double high, double *list, size_t room)
{
    order_at(s, low);
    for (size_t i = 0; i < s->n; i++)
        s->key[i] = (s->v[i] - s->v[0]) - high * (double)i;
    size_t found = 0;
    uint32_t *from = s->place, *to = s->place_spare;
    for (size_t width = 1; width < s->n; width *= 2) {
        for (size_t left = 0; left < s->n; left += 2 * width) {
            const size_t middle = ead_svc_i_min(left + width, s->n);
            const size_t end = ead_svc_i_min(left + 2 * width, s->n);
            size_t a = left, b = middle;
            for (size_t k = left; k < end; k++) {
                if (a < middle && (b >= end || s->key[from[a]] < s->key[from[b]])) {
                    to[k] = from[a++];
                    continue;
                }
                for (size_t c = a; c < middle && found < room; c++)
                    if (from[c] < from[b])
                        list[found++] = slope_of(s->v, from[c], from[b]);
                to[k] = from[b++];
            }
        }
        uint32_t *swap = from;
        from = to;
        to = swap;
    }
    return found;
}

/* Slopes to sample of n values: as many as cost about one count; odd, so that their median is a member. */
static size_t sample_size(size_t n)
{
    return n > 512 ? SAMPLE : 2 * n - 1;
}

static void sample_slopes(const struct keys *s, double *sample, double *spare)
{
    const size_t size = sample_size(s->n);
    uint64_t seed = 0x9E3779B97F4A7C15u;
    for (size_t k = 0; k < size; k++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        const size_t i = (size_t)((seed >> 32) * s->n >> 32);
        size_t j = (size_t)((seed & 0xFFFFFFFFu) * (s->n - 1) >> 32);
        j += j >= i;
        sample[k] = i < j ? slope_of(s->v, i, j) : slope_of(s->v, j, i);
    }
    ead_svc_i_sort(sample, size, spare);
}

struct bracket {
    double low, high;       /* slopes with count(low) <= wanted < count(high) */
    uint64_t n_low, n_high; /* those counts */
};

/* Moves one end of the bracket to t, if t still brackets the ranks first..last. */
static int move_end(const struct keys *s, struct bracket *b, double t, uint64_t first, uint64_t last)
{
    const uint64_t count = count_slopes(s, t);
    if (count <= first) {
        b->low = t;
        b->n_low = count;
    } else if (count > last) {
        b->high = t;
        b->n_high = count;
    } else {
        return 0;
    }
    return 1;
}

static double key_step(const struct keys *s, double t)
{
    double largest = 0.0;
    for (size_t i = 0; i < s->n; i++)
        largest = fmax(largest, fabs(s->v[i] - s->v[0]));
    return KEY_EPS * (largest + fabs(t) * (double)s->n) + 1e-300;
}

/* First bracket from the sorted sample.  Returns 1 when a slope that many pairs share is the answer itself.
 */
static int first_bracket(const struct keys *s, struct bracket *b, const double *sample, uint64_t first,
                         uint64_t last)
{
    const size_t middle = sample_size(s->n) / 2;
    const double centre = sample[middle];
    if (sample[middle - 1] == centre || sample[middle + 1] == centre) {
        const double step = key_step(s, centre);
        if (count_slopes(s, centre - step) <= first && count_slopes(s, centre + step) > last) {
            b->low = b->high = centre;
            return 1;
        }
    }
    /* three standard deviations of the sample's median rank */
    const size_t reach = (size_t)(1.5 * sqrt((double)(2 * middle + 1)));
    b->low = sample[middle - reach];
    b->high = sample[middle + reach];
    double step = (b->high - b->low) + key_step(s, fmax(fabs(b->low), fabs(b->high)));
    for (int turn = 0; turn < 200 && (b->n_low = count_slopes(s, b->low)) > first; turn++, step *= 2.0)
        b->low -= step;
    for (int turn = 0; turn < 200 && (b->n_high = count_slopes(s, b->high)) <= last; turn++, step *= 2.0)
        b->high += step;
    return b->n_low > first || b->n_high <= last; /* not so for finite values; the middle will have to do */
}

/* Narrows the bracket until at most `room` pairs are inside, or until it is as narrow as rounding allows. */
static void narrow(const struct keys *s, struct bracket *b, uint64_t first, uint64_t last, uint64_t room)
{
    for (int turn = 0; b->n_high - b->n_low > room && turn < 200; turn++) {
        if (b->high - b->low <= key_step(s, b->high))
            return;
        const double inside = (double)(b->n_high - b->n_low);
        double share = ((double)(first - b->n_low) + 0.5) / inside;
        /* aim a little to this side and that side of the wanted rank, and every third time at the middle,
         * which bounds the number of turns */
        share = turn % 3 == 0 ? share - 0.06 : turn % 3 == 1 ? share + 0.06 : 0.5;
        share = share < 0.02 ? 0.02 : share > 0.98 ? 0.98 : share;
        const double t = b->low + share * (b->high - b->low);
        if (!move_end(s, b, t, first, last) && !move_end(s, b, 0.5 * (b->low + t), first, last))
            move_end(s, b, 0.5 * (b->high + t), first, last);
    }
}

static double slope_by_counting(const double *v, size_t n, double *work)
{
    const size_t room = 4 * n;
    double *list = work + 3 * n;
    const struct keys s = {v, n, work, work + n, (uint32_t *)(work + 2 * n), (uint32_t *)(work + 2 * n) + n};
    const uint64_t pairs = (uint64_t)n * (n - 1) / 2, last = pairs / 2, first = (pairs - 1) / 2;
    struct bracket b;
    sample_slopes(&s, list, list + SAMPLE);
    if (first_bracket(&s, &b, list, first, last))
        return 0.5 * (b.low + b.high);
    narrow(&s, &b, first, last, room);
    const size_t found = b.n_high - b.n_low <= room ? list_slopes(&s, b.low, b.high, list, room) : 0;
    if (last - b.n_low >= found)
        return 0.5 * (b.low + b.high);
    const double upper = ead_svc_i_select(list, found, (size_t)(last - b.n_low));
    return 0.5 * (upper + (first == last ? upper : ead_svc_i_select(list, found, (size_t)(first - b.n_low))));
}

size_t ead_svc_theil_sen_work_len(size_t n)
{
    if (n < 2 || n > EAD_SVC_MAX_LEN)
        return 0;
    const size_t list = 4 * n > 2 * SAMPLE ? 4 * n : 2 * SAMPLE;
    return n <= BRUTE ? n * (n - 1) / 2 : 3 * n + list;
}

int ead_svc_theil_sen(const double *v, size_t n, double *slope, double *work, size_t work_len)
{
    if (n < 2 || n > EAD_SVC_MAX_LEN)
        return EAD_E_LENGTH;
    if (work_len < ead_svc_theil_sen_work_len(n))
        return EAD_E_WORK;
    if (n > BRUTE) {
        *slope = slope_by_counting(v, n, work);
        return EAD_OK;
    }
    size_t pairs = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = i + 1; j < n; j++)
            work[pairs++] = slope_of(v, i, j);
    *slope = ead_svc_i_median(work, pairs);
    return EAD_OK;
}

int ead_svc_straight_ends(double *v, size_t n, size_t width, double *work, size_t work_len)
{
    const size_t half = width / 2;
    if (n < 2 || n > EAD_SVC_MAX_LEN)
        return EAD_E_LENGTH;
    if (width < 2 || width > n)
        return EAD_E_RANGE;
    double at_start, at_end;
    int status = ead_svc_theil_sen(v, width, &at_start, work, work_len);
    if (status == EAD_OK)
        status = ead_svc_theil_sen(v + n - width, width, &at_end, work, work_len);
    if (status != EAD_OK)
        return status;
    const double first = v[half], last = v[n - half - 1];
    for (size_t k = 0; k < half; k++)
        v[k] = first + at_start * ((double)k - (double)half);
    for (size_t k = 1; k <= half; k++)
        v[n - half - 1 + k] = last + at_end * (double)k;
    return EAD_OK;
}

/* ---------------------------------------------------------------- least-squares cubic spline */

/* Knot number k of the clamped sequence: four times the first point, the inner knots, four times the last
 * point. The inner knots are spaced as if there were one more of them, so the last piece is twice as long. */
static double knot(size_t k, size_t inner, double end)
{
    if (k < 4)
        return 0.0;
    if (k >= inner + 4)
        return end;
    return end * (double)(k - 3) / (double)(inner + 2);
}

/* The four cubic B-splines that are not zero on the knot interval `at`.  Source: de Boor, A Practical Guide
 * to Splines, chapter X. */
static void basis(double x, size_t at, size_t inner, double end, double b[4])
{
    double left[4], right[4];
    b[0] = 1.0;
    for (size_t j = 1; j <= 3; j++) {
        left[j] = x - knot(at + 1 - j, inner, end);
        right[j] = knot(at + j, inner, end) - x;
        double carry = 0.0;
        for (size_t r = 0; r < j; r++) {
            const double part = b[r] / (right[r + 1] + left[j - r]);
            b[r] = carry + right[r + 1] * part;
            carry = left[j - r] * part;
        }
        b[j] = carry;
    }
}

size_t ead_svc_spline_work_len(size_t n, size_t inner)
{
    return n < 2 || n > EAD_SVC_MAX_LEN || inner > n ? 0 : 5 * (inner + 4) + 4 * n;
}

/* Solves the banded normal equations by Cholesky factors; row i holds columns i..i+3.  A pivot that is not
 * positive means a B-spline that no point sees: its coefficient becomes 0. */
static void solve_band(double *a, double *rhs, size_t m)
{
    for (size_t i = 0; i < m; i++) {
        double *row = a + 4 * i;
        const double inverse = row[0] > 0.0 ? 1.0 / row[0] : 0.0;
        for (size_t k = 1; k < 4 && i + k < m; k++) {
            const double factor = row[k] * inverse;
            for (size_t c = k; c < 4; c++)
                a[4 * (i + k) + c - k] -= factor * row[c];
            rhs[i + k] -= factor * rhs[i];
        }
    }
    for (size_t i = m; i-- > 0;) {
        const double *row = a + 4 * i;
        double sum = rhs[i];
        for (size_t k = 1; k < 4 && i + k < m; k++)
            sum -= row[k] * rhs[i + k];
        rhs[i] = row[0] > 0.0 ? sum / row[0] : 0.0;
    }
}

int ead_svc_spline(const double *v, size_t n, size_t inner, double *out, double *work, size_t work_len)
{
    if (n < 2 || n > EAD_SVC_MAX_LEN)
        return EAD_E_LENGTH;
    if (inner + 4 > n)
        return EAD_E_RANGE;
    if (work_len < ead_svc_spline_work_len(n, inner))
        return EAD_E_WORK;
    const size_t m = inner + 4;
    const double end = (double)(n - 1);
    double *a = work, *rhs = work + 4 * m, *seen = work + 5 * m;
    for (size_t i = 0; i < 5 * m; i++)
        work[i] = 0.0;
    size_t at = 3;
    for (size_t i = 0; i < n; i++) {
        double *b = seen + 4 * i;
        while (at < inner + 3 && (double)i >= knot(at + 1, inner, end))
            at++;
        basis((double)i, at, inner, end, b);
        for (size_t r = 0; r < 4; r++) {
            rhs[at - 3 + r] += b[r] * v[i];
            for (size_t c = r; c < 4; c++)
                a[4 * (at - 3 + r) + c - r] += b[r] * b[c];
        }
    }
    solve_band(a, rhs, m);
    at = 3;
    for (size_t i = 0; i < n; i++) {
        const double *b = seen + 4 * i;
        while (at < inner + 3 && (double)i >= knot(at + 1, inner, end))
            at++;
        out[i] = b[0] * rhs[at - 3] + b[1] * rhs[at - 2] + b[2] * rhs[at - 1] + b[3] * rhs[at];
    }
    return EAD_OK;
}

#else
typedef int ead_svc_trend_is_empty;
#endif
