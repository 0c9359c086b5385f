/* Order statistics: selection, stable sorting, running medians.  SPDX-License-Identifier: Apache-2.0 */
#include "ead_svc_internal.h"

#ifdef EAD_SERVICE

double ead_svc_i_mean(const double *v, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += v[i] - v[0];
    return v[0] + sum / (double)n;
}

#define INSERTION 12 /* below this many values insertion sort is quicker than anything cleverer */

static void insertion_sort(double *v, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        const double x = v[i];
        size_t j = i;
        for (; j > 0 && v[j - 1] > x; j--)
            v[j] = v[j - 1];
        v[j] = x;
    }
}

static double median_of_three(double a, double b, double c)
{
    if (a > b) {
        const double t = a;
        a = b;
        b = t;
    }
    return c < a ? a : c > b ? b : c;
}

/* Hoare's selection.  The pivot's places come from a fixed pseudo-random sequence, so no series met in
 * practice can make it quadratic, and a run repeats exactly. */
double ead_svc_i_select(double *v, size_t n, size_t k)
{
    size_t low = 0, high = n;
    uint32_t seed = 2463534242u;
    while (high - low > INSERTION) {
        size_t place[3];
        for (int i = 0; i < 3; i++) {
            seed = seed * 1664525u + 1013904223u;
            place[i] = low + (size_t)((uint64_t)seed * (high - low) >> 32);
        }
        const double pivot = median_of_three(v[place[0]], v[place[1]], v[place[2]]);
        size_t i = low, j = high - 1;
        for (;;) {
            while (v[i] < pivot)
                i++;
            while (v[j] > pivot)
                j--;
            if (i >= j)
                break;
            const double t = v[i];
            v[i++] = v[j];
            v[j--] = t;
        }
        /* v[low..i-1] <= pivot <= v[i..high-1]; where both met on one value, that is the pivot in its place
         */
        if (i == j && k == i)
            return v[k];
        if (k < i)
            high = i;
        else
            low = i == j ? i + 1 : i;
    }
    insertion_sort(v + low, high - low);
    return v[k];
}

double ead_svc_i_median(double *v, size_t n)
{
    const double upper = ead_svc_i_select(v, n, n / 2);
    if (n % 2)
        return upper;
    double lower = v[0];
    for (size_t i = 1; i < n / 2; i++)
        lower = v[i] > lower ? v[i] : lower;
    return 0.5 * lower + 0.5 * upper;
}

void ead_svc_i_sort(double *v, size_t n, double *spare)
{
    for (size_t i = 0; i < n; i += INSERTION)
        insertion_sort(v + i, ead_svc_i_min(INSERTION, n - i));
    double *from = v, *to = spare;
    for (size_t width = INSERTION; width < n; width *= 2) {
        for (size_t left = 0; left < n; left += 2 * width) {
            const size_t middle = ead_svc_i_min(left + width, n), end = ead_svc_i_min(left + 2 * width, n);
            size_t a = left, b = middle, k = left;
            while (a < middle && b < end) {
                const size_t first = from[a] <= from[b];
                to[k++] = first ? from[a] : from[b];
                a += first;
                b += 1 - first;
            }
            while (a < middle)
                to[k++] = from[a++];
            while (b < end)
                to[k++] = from[b++];
        }
        double *t = from;
        from = to;
        to = t;
    }
    for (size_t i = 0; from != v && i < n; i++)
        v[i] = from[i];
}

void ead_svc_i_sort_places(const double *v, size_t n, uint32_t *order, uint32_t *spare)
{
    for (size_t start = 0; start < n; start += INSERTION) {
        const size_t end = ead_svc_i_min(start + INSERTION, n);
        for (size_t i = start; i < end; i++) {
            size_t j = i;
            for (; j > start && v[order[j - 1]] > v[i]; j--)
                order[j] = order[j - 1];
            order[j] = (uint32_t)i;
        }
    }
    uint32_t *from = order, *to = spare;
    for (size_t width = INSERTION; width < n; width *= 2) {
        for (size_t left = 0; left < n; left += 2 * width) {
            const size_t middle = ead_svc_i_min(left + width, n), end = ead_svc_i_min(left + 2 * width, n);
            size_t a = left, b = middle, k = left;
            while (a < middle && b < end) {
                const size_t first = v[from[a]] <= v[from[b]];
                to[k++] = first ? from[a] : from[b];
                a += first;
                b += 1 - first;
            }
            while (a < middle)
                to[k++] = from[a++];
            while (b < end)
                to[k++] = from[b++];
        }
        uint32_t *t = from;
        from = to;
        to = t;
    }
    for (size_t i = 0; from != order && i < n; i++)
        order[i] = from[i];
}

int ead_svc_order(const double *v, size_t n, uint32_t *order, uint32_t *work, size_t work_len)
{
    if (n < 1 || n > EAD_SVC_MAX_LEN)
        return EAD_E_LENGTH;
    if (work_len < n)
        return EAD_E_WORK;
    ead_svc_i_sort_places(v, n, order, work);
    return EAD_OK;
}

int ead_svc_median(const double *v, size_t n, double *median, double *mad, double *work, size_t work_len)
{
    if (n < 1 || n > EAD_SVC_MAX_LEN)
        return EAD_E_LENGTH;
    if (work_len < n)
        return EAD_E_WORK;
    for (size_t i = 0; i < n; i++)
        work[i] = v[i];
    const double middle = ead_svc_i_median(work, n);
    for (size_t i = 0; i < n; i++)
        work[i] = fabs(v[i] - middle);
    *median = middle;
    *mad = ead_svc_i_median(work, n) / EAD_SVC_MAD_SCALE;
    return EAD_OK;
}

/* ---------------------------------------------------------------- running medians */

/* The window as a set of ranks, one bit each, with a pointer to one of its members: since a step moves the
 * middle by one member at most, following it costs a look at one or two words. */
struct rank_set {
    uint64_t *bits;
    uint32_t middle; /* rank of the member that `below` counts up to */
    uint32_t below;  /* members with a smaller rank */
    uint32_t count;
};

static unsigned low_bit(uint64_t x)
{
    unsigned at = 0;
    for (unsigned step = 32; step; step /= 2)
        if (!(x & ((UINT64_C(1) << step) - 1))) {
            x >>= step;
            at += step;
        }
    return at;
}

static unsigned high_bit(uint64_t x)
{
    unsigned at = 0;
    for (unsigned step = 32; step; step /= 2)
        if (x >> step) {
            x >>= step;
            at += step;
        }
    return at;
}

static uint32_t next_member(const uint64_t *bits, uint32_t rank)
{
    size_t word = (rank + 1) / 64;
    uint64_t rest = bits[word] & (~UINT64_C(0) << (rank + 1) % 64);
    while (!rest)
        rest = bits[++word];
    return (uint32_t)(word * 64 + low_bit(rest));
}

static uint32_t previous_member(const uint64_t *bits, uint32_t rank)
{
    size_t word = rank / 64;
    uint64_t rest = bits[word] & ((UINT64_C(1) << rank % 64) - 1);
    while (!rest)
        rest = bits[--word];
    return (uint32_t)(word * 64 + high_bit(rest));
}

static void add_rank(struct rank_set *s, uint32_t rank)
{
    s->bits[rank / 64] |= UINT64_C(1) << rank % 64;
    if (s->count++ == 0) {
        s->middle = rank;
        s->below = 0;
    } else if (rank < s->middle) {
        s->below++;
    }
}

static void drop_rank(struct rank_set *s, uint32_t rank)
{
    if (rank == s->middle && s->count > 1) {
        if (s->below) {
            s->middle = previous_member(s->bits, rank);
            s->below--;
        } else {
            s->middle = next_member(s->bits, rank);
        }
    } else if (rank < s->middle) {
        s->below--;
    }
    s->bits[rank / 64] &= ~(UINT64_C(1) << rank % 64);
    s->count--;
}

/* Rank of the upper middle member. */
static uint32_t middle_rank(struct rank_set *s)
{
    for (; s->below < s->count / 2; s->below++)
        s->middle = next_member(s->bits, s->middle);
    for (; s->below > s->count / 2; s->below--)
        s->middle = previous_member(s->bits, s->middle);
    return s->middle;
}

size_t ead_svc_running_median_work_len(size_t n)
{
    return n < 1 || n > EAD_SVC_MAX_LEN ? 0 : n / 64 + 2 + n + 1;
}

int ead_svc_running_median(const double *v, size_t n, size_t half, int single, double *out, uint64_t *work,
                           size_t work_len)
{
    if (n < 1 || n > EAD_SVC_MAX_LEN)
        return EAD_E_LENGTH;
    if (work_len < ead_svc_running_median_work_len(n))
        return EAD_E_WORK;
    struct rank_set set = {work, 0, 0, 0};
    for (size_t i = 0; i < n / 64 + 2; i++)
        set.bits[i] = 0;
    uint32_t *order = (uint32_t *)(work + n / 64 + 2), *rank = order + n;
    ead_svc_i_sort_places(v, n, order, rank);
    for (size_t i = 0; i < n; i++)
        rank[order[i]] = (uint32_t)i;
    for (size_t i = 0; i < ead_svc_i_min(half, n); i++)
        add_rank(&set, rank[i]);
    for (size_t i = 0; i < n; i++) {
        if (i + half < n)
            add_rank(&set, rank[i + half]);
        if (i > half)
            drop_rank(&set, rank[i - half - 1]);
        const uint32_t upper = middle_rank(&set);
        double x = v[order[upper]];
        if (set.count % 2 == 0) {
            const double lower = v[order[previous_member(set.bits, upper)]];
            x = single ? (double)(0.5f * ((float)lower + (float)x)) : 0.5 * lower + 0.5 * x;
        }
        out[i] = single ? (double)(float)x : x;
    }
    return EAD_OK;
}

#else
typedef int ead_svc_order_is_empty;
#endif
