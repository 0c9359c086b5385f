/* Order statistics of the last n values.  SPDX-License-Identifier: Apache-2.0
 *
 * The values lie twice: in order of arrival, and sorted.  A new value takes the oldest one's place in the
 * sorted array by moving what lies between the two: log2(n) comparisons and one move of n/3 elements on
 * average.  On x86-64 that is 0.2 microseconds at n = 1440 in double, and a fraction of the sliding step that
 * it serves at any length.  No links are kept, and every quantile, and the exact median absolute deviation,
 * is plain indexing. */
#include "ead_internal.h"

#define STATE_MAGIC EAD_MAGIC('O' << 8 | 'S')
#define STATE_VERSION 1

struct ead_order {
    uint32_t magic, version;
    uint32_t n;        /* values of a full window */
    uint32_t held;     /* values in it now */
    uint32_t position; /* place in the ring of the next value */
    uint32_t reserved;
    /* then, as ead_real: ring[n], sorted[n] */
};

static ead_real *ring_of(ead_order *state)
{
    return (ead_real *)(state + 1);
}

static ead_real *sorted_of(ead_order *state)
{
    return ring_of(state) + state->n;
}

static const ead_real *sorted_values(const ead_order *state)
{
    return (const ead_real *)(state + 1) + state->n;
}

/* ---- state ---- */

size_t ead_order_size(size_t n)
{
    if (n < 1 || n > EAD_ORDER_MAX_LEN)
        return 0;
    return sizeof(ead_order) + 2 * n * sizeof(ead_real);
}

int ead_order_init(ead_order *state, size_t bytes, size_t n)
{
    if (n < 1 || n > EAD_ORDER_MAX_LEN)
        return EAD_E_LENGTH;
    if (bytes < ead_order_size(n))
        return EAD_E_WORK;
    EAD_FILL(state, 0, ead_order_size(n));
    state->magic = STATE_MAGIC;
    state->version = STATE_VERSION;
    state->n = (uint32_t)n;
    return EAD_OK;
}

/* The smallest place in the sorted values whose value is not below x. */
static size_t place_of(const ead_real *sorted, size_t held, ead_real x)
{
    size_t low = 0;
    for (size_t length = held; length > 0;) {
        size_t half = length / 2;
        int above = sorted[low + half] < x;
        low += above ? half + 1 : 0;
        length = above ? length - half - 1 : half;
    }
    return low;
}

/* A sum over values in any order: the same values give the same sum, and others hardly ever do. */
static uint64_t mixed_sum(const ead_real *x, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        ead_real value = x[i] + 0; /* no negative zero: it is equal to the other one */
        uint64_t bits = 0;
        EAD_COPY(&bits, &value, sizeof value);
        bits *= UINT64_C(0x9E3779B97F4A7C15); /* 2^64 over the golden ratio: spreads what differs */
        sum += (bits ^ bits >> 32) * UINT64_C(0x9E3779B97F4A7C15);
    }
    return sum;
}

int ead_order_check(const ead_order *state, size_t bytes, size_t n)
{
    size_t size = ead_order_size(n);
    if (size == 0 || bytes < size || state->magic != STATE_MAGIC || state->version != STATE_VERSION ||
        state->n != n)
        return EAD_E_STATE;
    if (state->held > n || state->position >= n || (state->held < n && state->position != state->held))
        return EAD_E_STATE;
    const ead_real *ring = (const ead_real *)(state + 1), *sorted = ring + n;
    if (!ead_i_all_finite(ring, 2 * n))
        return EAD_E_STATE;
    for (size_t i = 1; i < state->held; i++)
        if (sorted[i - 1] > sorted[i])
            return EAD_E_STATE;
    return mixed_sum(ring, state->held) == mixed_sum(sorted, state->held) ? EAD_OK : EAD_E_STATE;
}

size_t ead_order_count(const ead_order *state)
{
    return state->held;
}

/* ---- taking values ---- */

static void move(ead_real *to, const ead_real *from, size_t count)
{
    EAD_MOVE(to, from, count * sizeof *to);
}

/* Puts x in the place of an equal of old among the sorted values.  Were there none, whatever the check of a
 * loaded state missed, the greatest value goes instead: never a place beyond the window. */
static void exchange(ead_order *state, ead_real old, ead_real x)
{
    ead_real *sorted = sorted_of(state);
    size_t from = place_of(sorted, state->held, old), to = place_of(sorted, state->held, x);
    if (from == state->held)
        from--;
    if (to > from) {
        to--; /* the old value goes from below */
        move(sorted + from, sorted + from + 1, to - from);
    } else {
        move(sorted + to + 1, sorted + to, from - to);
    }
    sorted[to] = x;
}

static void insert(ead_order *state, ead_real x)
{
    ead_real *sorted = sorted_of(state);
    size_t place = place_of(sorted, state->held, x);
    move(sorted + place + 1, sorted + place, state->held - place);
    sorted[place] = x;
    state->held++;
}

int ead_order_push(ead_order *state, ead_real x)
{
    if (state->magic != STATE_MAGIC)
        return EAD_E_STATE;
    if (x - x != 0)
        return EAD_E_NOT_FINITE;
    ead_real *slot = ring_of(state) + state->position;
    if (state->held == state->n)
        exchange(state, *slot, x);
    else
        insert(state, x);
    *slot = x;
    state->position = state->position + 1 == state->n ? 0 : state->position + 1;
    return EAD_OK;
}

int ead_order_replace(ead_order *state, size_t age, ead_real x)
{
    if (state->magic != STATE_MAGIC)
        return EAD_E_STATE;
    if (x - x != 0)
        return EAD_E_NOT_FINITE;
    if (age >= state->held)
        return EAD_E_RANGE;
    ead_real *slot = ring_of(state) + (state->position + state->n - 1 - age) % state->n;
    exchange(state, *slot, x);
    *slot = x;
    return EAD_OK;
}

/* ---- asking ---- */

static int refuse_question(const ead_order *state)
{
    if (state->magic != STATE_MAGIC)
        return EAD_E_STATE;
    return state->held == 0 ? EAD_E_LENGTH : EAD_OK;
}

int ead_order_quantile(const ead_order *state, ead_wide share, ead_real *quantile)
{
    int status = refuse_question(state);
    if (status != EAD_OK)
        return status;
    if (!(share >= 0 && share <= 1))
        return EAD_E_RANGE;
    const ead_real *sorted = sorted_values(state);
    ead_wide at = share * (ead_wide)(state->held - 1);
    size_t below = (size_t)at, above = below + 1 < state->held ? below + 1 : below;
    ead_real part = (ead_real)(at - (ead_wide)below);
    *quantile = sorted[below] + part * (sorted[above] - sorted[below]);
    return EAD_OK;
}

static ead_real middle(const ead_real *sorted, size_t held)
{
    ead_real upper = sorted[held / 2];
    return held % 2 ? upper : (sorted[held / 2 - 1] + upper) / 2;
}

/* The k-th smallest deviation from the median, 0 the least.  Below the median the deviations rise towards the
 * start of the sorted values, above it towards their end: the k-th of two ascending lists, by bisection over
 * how many the lower gives. */
static ead_real deviation_of_rank(const ead_real *sorted, size_t held, ead_real median, size_t k)
{
    size_t lower = held / 2, upper = held - lower;
    size_t least = k + 1 > upper ? k + 1 - upper : 0, most = k + 1 < lower ? k + 1 : lower;
    while (least < most) {
        size_t take = (least + most) / 2; /* from the lower list; k + 1 - take from the upper one */
        if (median - sorted[lower - 1 - take] < sorted[lower + k - take] - median)
            least = take + 1;
        else
            most = take;
    }
    size_t rest = k + 1 - least;
    ead_real from_lower = least ? median - sorted[lower - least] : 0;
    ead_real from_upper = rest ? sorted[lower + rest - 1] - median : 0;
    return from_lower > from_upper ? from_lower : from_upper;
}

int ead_order_median(const ead_order *state, ead_real *median)
{
    int status = refuse_question(state);
    if (status == EAD_OK)
        *median = middle(sorted_values(state), state->held);
    return status;
}

int ead_order_mad(const ead_order *state, ead_real *mad)
{
    int status = refuse_question(state);
    if (status != EAD_OK)
        return status;
    const ead_real *sorted = sorted_values(state);
    size_t held = state->held;
    ead_real median = middle(sorted, held);
    ead_real upper = deviation_of_rank(sorted, held, median, held / 2);
    *mad = held % 2 ? upper : (deviation_of_rank(sorted, held, median, held / 2 - 1) + upper) / 2;
    return EAD_OK;
}
