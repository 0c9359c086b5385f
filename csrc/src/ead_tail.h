/* Limits of a number from the tail of its own past, shared by the streaming detectors.
 * SPDX-License-Identifier: Apache-2.0
 *
 * A histogram of the number is kept; its limit is what it exceeds with a small probability, extrapolated by a
 * generalised Pareto tail (Siffer and others, KDD 2017, fitted by moments).  docs/algorithms.md says where
 * the constants come from. */
#ifndef EAD_TAIL_H
#define EAD_TAIL_H

#include <math.h>
#include <string.h>

#include "ead_internal.h"

#ifdef EAD_NO_DOUBLE
#define WIDE_SQRT EAD_SQRTF
#else
#define WIDE_SQRT EAD_SQRTD
#endif

#define TAIL_MEMORY 30000.0 /* histograms */
#define TAIL_CLIP 2.5       /* a view teaches its histogram at most so many times its limit */
#define TAIL_SHARE 0.02     /* share of a histogram that is its tail */
#define TAIL_RISK 2e-3      /* a view passes its limit so often, at sensitivity 90 */
#define SHAPE_MIN -0.5      /* of the Pareto tail; moments exist below 0.5 */
#define SHAPE_MAX ((ead_wide)0.45)
#define LEARN_LOG_RISK -2.302585092994046 /* ln(TAIL_RISK / TAIL_SHARE) */
/* ln(10) / 20: twenty points of sensitivity, ten times the risk */
#define LOG_RISK_SLOPE 0.11512925464970229
#define REPEAT_WEIGHT 0.2 /* weight of a reading that goes on with an alarm */
#define MARGIN 1.3        /* on every limit, at sensitivity 90 */
#define REPEAT_GAP 8      /* readings without alarm that end an event */
#define WARM_UP 24        /* readings before histograms are filled */
#define ESTABLISHED 64    /* readings in a histogram before its view counts */
#define KNOWN_MAX 10000   /* readings in a histogram are counted up to here */
#define YOUTH 60.0    /* a histogram of k readings has its limit raised by YOUTH / k: its tail is a guess */
#define CLIP_FROM 100 /* readings in a histogram before its limit clips */
#define REFIT 16      /* readings between two fits of the tails */
#define MARGIN_SLOPE 0.01     /* a point of sensitivity below 90 */
#define MARGIN_SLOPE_TOP 0.03 /* above 90: the margin is 1 at 100 */
#define SCORE_MAX 1e6
#define VIEW_MAX 1e9

#define BINS 96 /* four an octave from 2^-6: 4 * 24 octaves */

/* Pareto tail of one view as last fitted, and its limits. */
struct tail {
    ead_wide total, weight;       /* of the histogram; weight of its next reading */
    ead_wide start, scale, shape; /* the tail begins at start */
    ead_wide limit;               /* at TAIL_RISK: what learning goes by */
    ead_wide bound;               /* at the risk of the sensitivity: what judging goes by */
    ead_wide peak;                /* of a persisting deviation that was told already, fading */
};

/* Factor on every limit at a sensitivity. */
static inline ead_wide margin_at(int sensitivity)
{
    int below = 90 - sensitivity;
    return (ead_wide)MARGIN + (ead_wide)below * (ead_wide)(below > 0 ? MARGIN_SLOPE : MARGIN_SLOPE_TOP);
}

/* ---- small arithmetic ---- */

static inline ead_wide magnitude(ead_wide x)
{
    return x < 0 ? -x : x;
}

static inline ead_wide larger(ead_wide a, ead_wide b)
{
    return a > b ? a : b;
}

static inline ead_wide smaller(ead_wide a, ead_wide b)
{
    return a < b ? a : b;
}

static inline ead_wide clipped(ead_wide x, ead_wide limit)
{
    return x > limit ? limit : x < -limit ? -limit : x;
}

static inline ead_wide root(ead_wide x)
{
    return x > 0 ? WIDE_SQRT(x) : 0;
}

/* e^y for magnitude(y) <= 40: Taylor's series of y / 2^6, squared six times. */
static inline ead_wide exponential(ead_wide y)
{
    ead_wide z = y / 64, sum = 1, term = 1;
    for (int i = 1; i <= 10; i++) {
        term *= z / (ead_wide)i;
        sum += term;
    }
    for (int i = 0; i < 6; i++)
        sum *= sum;
    return sum;
}

/* ln(1 + x) for 0 <= x < 2^60, to some 1e-7: exponent, and the series of the inverse hyperbolic tangent. */
static inline ead_wide log_of_one_and(ead_wide x)
{
    float whole = (float)(1 + x);
    uint32_t bits;
    memcpy(&bits, &whole, sizeof bits);
    ead_wide power = (ead_wide)((int)(bits >> 23) - 127), scale = 1;
    for (uint32_t i = bits >> 23; i > 127; i--)
        scale /= 2;
    ead_wide t = ((1 + x) * scale - 1) / ((1 + x) * scale + 1), square = t * t, sum = 0, term = t;
    for (int i = 1; i < 16; i += 2) {
        sum += term / (ead_wide)i;
        term *= square;
    }
    return power * (ead_wide)0.6931471805599453 + 2 * sum;
}

/* ---- tails ---- */

/* Bin of a view: exponent and two bits of the mantissa, so no logarithm. */
static inline int bin_of(ead_wide view)
{
    float value = (float)view;
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    int bin = (int)(bits >> 21) - 4 * (127 - 6) + 1;
    return bin < 0 ? 0 : bin < BINS ? bin : BINS - 1;
}

/* Least view of a bin. */
static inline ead_wide edge(int bin)
{
    if (bin <= 0)
        return 0;
    return (ead_wide)(4 + ((bin - 1) & 3)) * (ead_wide)((uint32_t)1 << ((bin - 1) >> 2)) / (4 * 64);
}

static inline void remember(struct tail *tail, ead_real *histogram, ead_wide view, ead_wide weight)
{
    histogram[bin_of(view)] += (ead_real)(tail->weight * weight);
    tail->total += tail->weight * weight;
    tail->weight *=
        1 + weight / (ead_wide)TAIL_MEMORY; /* growing weights: the past fades without being touched */
    if (tail->weight < 1e6f)
        return;
    for (int i = 0; i < BINS; i++)
        histogram[i] /= (ead_real)tail->weight;
    tail->total /= tail->weight;
    tail->weight = 1;
}

/* What a view exceeds with the risk whose logarithm, less that of TAIL_SHARE, is given. */
static inline ead_wide exceeded_at(const struct tail *tail, ead_wide log_risk)
{
    ead_wide excess = -log_risk;
    if (magnitude(tail->shape) > 1e-6f)
        excess = (exponential(-tail->shape * log_risk) - 1) / tail->shape;
    return larger(tail->start + tail->scale * larger(excess, 0), 1e-9f);
}

/* Fits the tail to the top TAIL_SHARE of the histogram, by its first two moments. */
static inline void fit(struct tail *tail, const ead_real *histogram, ead_wide log_risk)
{
    ead_wide share = (ead_wide)TAIL_SHARE * tail->total, above = 0, first = 0, second = 0;
    int bin = BINS - 1;
    while (bin > 0 && above + (ead_wide)histogram[bin] < share)
        above += (ead_wide)histogram[bin--];
    ead_wide inside = (ead_wide)histogram[bin], top = edge(bin + 1);
    tail->start = top - (inside > 0 ? (share - above) / inside : 0) * (top - edge(bin));
    for (int i = BINS - 1; i > bin; i--) {
        ead_wide excess = (edge(i) + edge(i + 1)) / 2 - tail->start, weight = (ead_wide)histogram[i];
        first += weight * excess;
        second += weight * excess * excess;
    }
    ead_wide part = (top - tail->start) / 2; /* the share of the start's own bin, evenly spread */
    first = (first + (share - above) * part) / share;
    second = (second + (share - above) * part * part * 4 / 3) / share;
    ead_wide variance = larger(second - first * first, 1e-9f);
    tail->shape = smaller(larger((1 - first * first / variance) / 2, SHAPE_MIN), SHAPE_MAX);
    tail->scale = first * (1 - tail->shape);
    tail->limit = exceeded_at(tail, (ead_wide)LEARN_LOG_RISK);
    tail->bound = exceeded_at(tail, log_risk);
}

#endif
