/* edgead: the whole public C interface of the detection core.
 *
 * C99 with IEEE 754 numbers and an int of 32 bits or more; no heap, no globals, no recursion, no libc but
 * <math.h> (plus memcpy, memmove and memset, which compilers emit).
 *
 * Memory.  The caller lends all of it: ask a *_size (bytes) or *_len (elements) function, then give the
 * buffer.  Lent byte blocks (plans, tables, states) must be aligned to 8 bytes; a size need not be a multiple
 * of 8, so round it up where one block lies behind another.  They hold no pointer: they may be copied and
 * moved as bytes.  No pointer may be NULL where nothing else is said.
 *
 * Errors.  Every function that can fail returns EAD_OK (0) or a negative enum ead_status; on an error nothing
 * that the caller lent for results has changed.  Functions that return anything else, as ead_slide_count, want
 * a state that was made.
 *
 * Threads and interrupts.  Functions keep nothing outside the memory they are given: calls with different
 * states may overlap at will, and may share plans and tables.  One state is for one call at a time.
 *
 * Saved states.  The bytes of a state may be loaded by another build of the same precision and byte order, of
 * another word size too, after its *_check said EAD_OK (32-bit x86, where 8-byte numbers are aligned to 4, has
 * other sizes for the detectors).  A check finds bytes that would lead a function astray; it does not find
 * every changed number, so keep a checksum beside bytes that lie on a flash.  Plans and tables have no check:
 * make them anew.
 *
 * Precision.  ead_real is double, or float where EAD_REAL_FLOAT is defined.  Both come from the same source:
 *   - a build for one precision compiles csrc/src/ead_*.c once.  A firmware names its choices in a header of
 *     its own (-DEAD_CONFIG_FILE='"edgead_config.h"', see firmware-config/mcu/) and calls the plain names,
 *     ead_*.  Its own sources that include this file need the same definition: types and sizes depend on it;
 *   - a host that wants both includes "edgead_f32.h" as well: the same declarations once more in float, as
 *     ead32_*.  The sources csrc/src/ead_*_f32.c are the float copies; they are empty in a build for float
 *     alone.
 * ead_wide is the type of readings, reference levels and running sums: double, or float where EAD_NO_DOUBLE
 * is defined (for processors without double arithmetic).
 *
 * Copyright 2026 the edgead authors.  SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEAD_H
#define EDGEAD_H

#include <stddef.h>
#include <stdint.h>

#ifdef EAD_CONFIG_FILE
#include EAD_CONFIG_FILE
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------- status */

enum ead_status {
    EAD_OK = 0,
    EAD_E_LENGTH = -1,     /* a length is outside the documented range */
    EAD_E_NOT_FINITE = -2, /* an input value is NaN or infinite */
    EAD_E_WORK = -3,       /* the lent memory is too small */
    EAD_E_RANGE = -4,      /* a parameter is outside its documented range */
    EAD_E_STATE = -5       /* the lent state was not initialised, or is of another version or precision */
};

/* Kinds of a transform's plan. */
#define EAD_FFT_COMPLEX 0
#define EAD_FFT_REAL 1

#ifndef EAD_FFT_MAX_LEN
#define EAD_FFT_MAX_LEN 4194304 /* points; Bluestein's inner length then still fits 32 bits with room */
#endif

/* Which bins a saliency map uses and how. */
#define EAD_SALIENCY_STREAM 0  /* the streaming detector's: bin 0 dropped */
#define EAD_SALIENCY_SERVICE 1 /* the cloud service's, exactly: all bins, no floor */

#define EAD_SALIENCY_MIN_LEN 4 /* points */

/* Instruction sets of the sliding step.  They differ in fused multiply-adds and in the order of nothing else:
 * results agree to a few units of the last place times the square root of the length. */
#define EAD_ISA_BEST 0     /* the best that this processor has */
#define EAD_ISA_PORTABLE 1 /* what the compiler was told to aim at */
#define EAD_ISA_AVX2 2     /* x86-64 with AVX2 and FMA */
#define EAD_ISA_AVX512 3   /* x86-64 with AVX-512 F, DQ and VL */

#define EAD_SLIDE_MIN_LEN 8 /* points of a sliding window */
#ifndef EAD_SLIDE_MAX_LEN
#define EAD_SLIDE_MAX_LEN 65536 /* points: a step costs as many nanoseconds, roughly */
#endif
#define EAD_SLIDE_MAX_MEAN 64 /* saliencies in a streamed mean */

#ifndef EAD_ORDER_MAX_LEN
#define EAD_ORDER_MAX_LEN 65536 /* values of a running order statistic */
#endif

/* A constant English text for a status, never NULL. */
const char *ead_status_text(int status);

#ifdef EAD_NO_DOUBLE
typedef float ead_wide;
#else
typedef double ead_wide;
#endif

/* The streaming detector's settings, verdicts and explanations; see ead_spectral_judge. */
#define EAD_SPECTRAL_MIN_LEN 12
#define EAD_SPECTRAL_MAX_LEN 8640 /* and never above EAD_SLIDE_MAX_LEN */
#define EAD_SPECTRAL_VIEWS 8

#define EAD_BOTH 0
#define EAD_ABOVE 1
#define EAD_BELOW 2

typedef struct ead_spectral_settings {
    int sensitivity;  /* 0..100, higher = narrower band */
    int direction;    /* EAD_BOTH, EAD_ABOVE or EAD_BELOW: side on which a value can be an anomaly */
    ead_wide min_abs; /* >= 0, unit of the series: smaller deviations are no anomalies */
    ead_wide min_rel; /* >= 0, share of the expected value's magnitude: smaller deviations are no anomalies */
} ead_spectral_settings;

typedef struct ead_verdict {
    ead_wide score;    /* >= 0; 1 = edge of normal, before the gates */
    ead_wide severity; /* 0.5..1 for an anomaly, else 0 */
    ead_wide expected; /* unit of the series, like the next two */
    ead_wide lower;    /* normal band: the value is outside if and only if the score is at least 1 */
    ead_wide upper;
    int is_anomaly; /* 1 = outside the band and past the gates */
} ead_verdict;

/* Views, in this order: jump, innovation, fluctuation, salient innovation, level, unrest (in typical
 * innovations), identical readings, distance from earlier seasons (in typical innovations). */
typedef struct ead_spectral_facts {
    ead_wide views[EAD_SPECTRAL_VIEWS];
    ead_wide bounds[EAD_SPECTRAL_VIEWS]; /* of the same units; 0 = this view had no say */
    ead_wide saliency;                   /* of the reading, no unit */
    ead_wide scale;                      /* typical innovation, unit of the series, like the next two */
    ead_wide baseline, forecast;         /* slow mean; forecast of the next reading */
    ead_wide boost;                      /* >= 1: factor by which the alarm budget has raised all bounds */
    uint64_t seen;                       /* readings judged */
    uint32_t season, run;                /* rows, 0 = none; identical readings before the newest */
    int winner;                          /* index of the view that set the score */
} ead_spectral_facts;

/* Rows of channels for a network, and the network's part in a verdict; see ead_rows_judge and
 * ead_fuse_judge. */
#define EAD_ROWS_CHANNELS 14
#define EAD_ROWS_MAX_DAY 1440 /* rows of a day: one a minute */
#define EAD_ROWS_MAX_LEN 512  /* rows that a network looks at */
#define EAD_BANK_MAX_LEN 64   /* numbers of an embedding */
#define EAD_BANK_MAX_PATCHES 1024

/* One reading before the network had its say. */
typedef struct ead_row_facts {
    ead_verdict verdict; /* of the streaming detector and the day; while learning score 0, the others NaN */
    ead_wide value;
    ead_wide scale; /* typical innovation, unit of the series */
    ead_wide score; /* that of sensitivity 90 */
    int learning;   /* 1 = no judgement yet */
} ead_row_facts;

/* What the network's part in the last verdict was. */
typedef struct ead_fuse_facts {
    ead_wide log_odds, limit; /* of an anomaly, after the memory's discount; what they were compared with */
    ead_wide familiarity;     /* 0.8..1: factor on the shifted log-odds, less for patches met before */
    ead_wide distance;        /* to the nearest patch; negative = the memory is still empty */
    ead_wide strangeness;     /* that over its limit; 0 = too little is known */
    ead_wide told_from;       /* score at sensitivity 90 below which nothing is told now; 0 = all is */
    uint32_t patches;         /* in memory */
    int network;              /* 1 = the network set the score */
} ead_fuse_facts;

/* ---------------------------------------------------------------- the cloud service's univariate detection
 *
 * The heavy loops of `entire`, `last` and change-point detection; the order of steps is the caller's, see
 * docs/algorithms.md.  Double precision only: absent where EAD_REAL_FLOAT or EAD_NO_DOUBLE is defined.
 * Work memory is lent in elements (of double where nothing else is said) and free afterwards; for a series
 * of n points no function wants more than 128 n bytes + 64 KB.  Arrays must not overlap.  Values are not
 * checked for NaN or infinity: they give unspecified numbers, never a read or write out of bounds.
 * Unless more is said a function returns EAD_OK, EAD_E_LENGTH (n is below the least number of points, or
 * above EAD_SVC_MAX_LEN) or EAD_E_WORK. */
#if !defined(EAD_REAL_FLOAT) && !defined(EAD_NO_DOUBLE)
#define EAD_SERVICE 1

#define EAD_SVC_MAX_LEN 17281 /* points: the longest grid the service filled, and one point more */

/* Median distance from the median of a normal distribution, in standard deviations. */
#define EAD_SVC_MAD_SCALE 0.6744897501960817

/* Microseconds since 1970 UTC of an ISO 8601 date, or date and time:
 *   YYYY-MM-DD[(T| )HH:MM[:SS[.f...]][zone]], zone Z or +HH[[:]MM]; no zone means UTC; years 1..9999
 * Digits of the second behind the sixth are cut off.
 * Returns EAD_OK or EAD_E_RANGE (no such time, or another form). */
int ead_svc_parse_time(const char *text, size_t length, int64_t *micros);

/* The double nearest to digits / 10^places, of two as near the even one, as strtod would have it; digits
 * below 10^18, places 0..18.  Neither settings of the processor nor a locale change it. */
double ead_svc_decimal(uint64_t digits, unsigned places);

/* Places of v[0..n-1] in ascending order, equal values in order of place; n >= 1.
 *   order, work   n places each */
int ead_svc_order(const double *v, size_t n, uint32_t *order, uint32_t *work, size_t work_len);

/* Median of v, and the median distance from it over EAD_SVC_MAD_SCALE; n >= 1; work holds n values. */
int ead_svc_median(const double *v, size_t n, double *median, double *mad, double *work, size_t work_len);

/* Centred running median over 2 half + 1 points, near the ends over those inside; n >= 1.
 * O(n log n) once to rank the values, then O(1) a step.
 *   single   1: medians are rounded to single precision, as in the service's period test; 0: double
 *   out      n values
 *   work     ead_svc_running_median_work_len(n) numbers of 64 bits */
size_t ead_svc_running_median_work_len(size_t n);
int ead_svc_running_median(const double *v, size_t n, size_t half, int single, double *out, uint64_t *work,
                           size_t work_len);

/* Theil-Sen slope: the median of all (v[j] - v[i]) / (j - i), i < j; n >= 2.  O(n log n), right to rounding
 * of v.
 *   work   ead_svc_theil_sen_work_len(n) elements: 7 n, at least 16 KB */
size_t ead_svc_theil_sen_work_len(size_t n);
int ead_svc_theil_sen(const double *v, size_t n, double *slope, double *work, size_t work_len);

/* Replaces the first and last width / 2 values by lines with the Theil-Sen slopes of the first and last
 * `width` values.
 *   width   2..n, else EAD_E_RANGE
 *   work    ead_svc_theil_sen_work_len(width) elements */
int ead_svc_straight_ends(double *v, size_t n, size_t width, double *work, size_t work_len);

/* Least-squares cubic spline through v over 0, 1, .., n - 1, with inner knots at (n - 1) k / (inner + 2),
 * k = 1..inner, evaluated at all points.
 *   inner   0..n - 4, else EAD_E_RANGE
 *   work    ead_svc_spline_work_len(n, inner) elements: 4 n + 5 (inner + 4) */
size_t ead_svc_spline_work_len(size_t n, size_t inner);
int ead_svc_spline(const double *v, size_t n, size_t inner, double *out, double *work, size_t work_len);

/* Seasonal-trend decomposition, y = trend + season + rest: "periodic" season, 16 robustness passes; n >= 5.
 * Source: Cleveland et al., J. Official Statistics 6 (1990) 3-73.
 *   period          2..(n - 1) / 2, else EAD_E_RANGE
 *   trend, season   n values out each
 *   work            ead_svc_stl_work_len(n, period) elements: at most 15 n + 64 */
size_t ead_svc_stl_work_len(size_t n, size_t period);
int ead_svc_stl(const double *y, size_t n, size_t period, double *trend, double *season, double *work,
                size_t work_len);

/* Leave-one-out errors of phase means, one for each of `count` periods: the mean over all points of the
 * squared distance from the mean of the other points of its phase.
 *   periods   1..n / 2 each, else EAD_E_RANGE
 *   errors    count values out, square of v's unit
 *   work      ead_svc_phase_errors_work_len(n) elements: 2.5 n + 2 */
size_t ead_svc_phase_errors_work_len(size_t n);
int ead_svc_phase_errors(const double *v, size_t n, const uint32_t *periods, size_t count, double *errors,
                         double *work, size_t work_len);

/* Cuts each phase of v to its median on the side where the service did (docs/algorithms.md), in place.
 *   period   1..n, else EAD_E_RANGE
 *   work     n / period + 1 elements */
int ead_svc_cut_phases(double *v, size_t n, size_t period, double *work, size_t work_len);

/* Critical value of the largest studentised deviate of m points, one-sided, chance alpha:
 * t (m - 1) / sqrt((m - 2 + t^2) m), with t Student's quantile for m - 2 degrees of freedom at 1 - alpha / m.
 * Infinite for m < 3 and for alpha outside 0 < alpha <= 1. */
double ead_svc_esd_limit(size_t m, double alpha);

/* Generalised studentised-deviate test down a sorted column.  Point k is out if its distance below the
 * median or the mean of t[k..count-1], over their MAD or standard deviation (at least 1e-8), exceeds
 * ead_svc_esd_limit of their number.  O(log n) a point.
 *   t            count values, ascending (negate a descending column)
 *   start, top   points start..top-1 are tested
 *   first_only   stop at the first point that is out
 *   alpha        0 < alpha <= 1, else EAD_E_RANGE
 *   flagged      out: one more than the place of the last point that is out, 0 if none is
 *   work         2 top elements */
int ead_svc_esd(const double *t, size_t count, size_t start, size_t top, int first_only, double alpha,
                size_t *flagged, double *work, size_t work_len);

/* Score of a saliency map: relative distance from its trailing mean over 100 points; score[0] = 0; n >= 2.
 *   map     as ead_saliency gives it
 *   score   n values out */
int ead_svc_residual_score(const double *map, size_t n, double *score);

/* Augmented Dickey-Fuller t statistic with a constant, lag by AIC up to ceil(12 (n / 100)^(1/4)); and the
 * KPSS statistic of level stationarity, lags as Hobijn, Franses and Ooms choose them; n >= 4.
 * NaN: the test cannot be made (dependent columns, no variance).  The regression's design is never held: its
 * triangular factor comes from Gram updates, or from reflections over blocks of rows where those lose too
 * many digits.
 *   work   ead_svc_stationary_work_len(n) elements: n, and 34 KB */
size_t ead_svc_stationary_work_len(size_t n);
int ead_svc_adf(const double *v, size_t n, double *statistic, double *work, size_t work_len);
int ead_svc_kpss(const double *v, size_t n, double *statistic, double *work, size_t work_len);

/* Fills the gaps of a grid for a season of `period` points: short runs by a cubic spline, the others by the
 * mean of near points of the same phase, and what then is open by lines.
 *   index, v   n known places, ascending from 0 to size - 1, and their values; n >= 4
 *   period     >= 2, else EAD_E_RANGE
 *   out        size values
 *   work       ead_svc_fill_work_len(size) elements: 4 size */
size_t ead_svc_fill_work_len(size_t size);
int ead_svc_fill(const uint32_t *index, const double *v, size_t n, size_t period, double *out, size_t size,
                 double *work, size_t work_len);

/* Change points: where a straight line through the points since the last break misses the next one by more
 * than `tolerance` of the range of y, and the new segment lasts `window` points; n >= 1.
 *   tolerance   0..1, else EAD_E_RANGE
 *   window      >= 1 points, else EAD_E_RANGE
 *   flags       n values out: 1 at a change point
 *   scores      n values out: the miss, as a share of the range */
int ead_svc_change_points(const double *y, size_t n, double tolerance, size_t window, unsigned char *flags,
                          double *scores);

#endif /* EAD_SERVICE */

#ifdef __cplusplus
}
#endif
#endif /* EDGEAD_H: what follows is declared once a precision */

#ifndef EDGEAD_H_REAL
#define EDGEAD_H_REAL

#ifdef __cplusplus
extern "C" {
#endif

#ifdef EAD_REAL_FLOAT
typedef float ead_real;
#else
typedef double ead_real;
#endif

/* ---------------------------------------------------------------- Fourier transform of any length */

/* A prepared length: factors and twiddles, in one lent block.  Read-only once made: any number of threads may
 * share it. */
typedef struct ead_fft_plan ead_fft_plan;

/* Bytes of a plan for n points, 0 if n is outside 1..EAD_FFT_MAX_LEN or kind is neither EAD_FFT_COMPLEX nor
 * EAD_FFT_REAL. */
size_t ead_fft_plan_size(size_t n, int kind);

/* Elements of work memory that making a plan needs, and each of its transforms; 0 as above. */
size_t ead_fft_work_len(size_t n, int kind);

/* Makes a plan in the lent block.  Lengths whose prime factors are small run as mixed radix (2, 3, 4, 5 and
 * odd primes up to 61; Stockham's autosort), the others by Bluestein's chirp convolution.  Source: Van Loan,
 * Computational Frameworks for the FFT, 1992, sections 1.7, 2.1 and 4.2.
 *   bytes     length of the block, at least ead_fft_plan_size(n, kind)
 *   work      ead_fft_work_len(n, kind) elements, free afterwards
 * Returns EAD_OK, EAD_E_LENGTH, EAD_E_RANGE (kind) or EAD_E_WORK. */
int ead_fft_plan_init(ead_fft_plan *plan, size_t bytes, size_t n, int kind, ead_real *work, size_t work_len);

/* Forward transform, out[k] = sum of in[j] exp(-2 pi i j k / n), of a plan of EAD_FFT_COMPLEX.
 *   in, out   n complex numbers as n pairs (real, imaginary); may be the same array
 *   work      ead_fft_work_len(n, kind) elements, must not overlap in or out
 * Values are not checked: a NaN gives NaN.  Returns EAD_OK, EAD_E_STATE (no such plan) or EAD_E_WORK. */
int ead_fft(const ead_fft_plan *plan, const ead_real *in, ead_real *out, ead_real *work, size_t work_len);

/* Inverse transform, out[j] = 1/n sum of in[k] exp(+2 pi i j k / n).  Otherwise as ead_fft. */
int ead_ifft(const ead_fft_plan *plan, const ead_real *in, ead_real *out, ead_real *work, size_t work_len);

/* Forward transform of n real values into the n/2 + 1 bins 0..n/2 (the others are their conjugates); a plan
 * of EAD_FFT_REAL.
 *   in        n values
 *   out       n/2 + 1 pairs (real, imaginary); must not overlap in
 *   work      ead_fft_work_len(n, kind) elements, must not overlap in or out
 * Returns EAD_OK, EAD_E_STATE (no such plan) or EAD_E_WORK. */
int ead_rfft(const ead_fft_plan *plan, const ead_real *in, ead_real *out, ead_real *work, size_t work_len);

/* Inverse of ead_rfft: n/2 + 1 pairs in, n values out; the imaginary parts of bin 0 and, for even n, of bin
 * n/2 are ignored.  Returns as ead_rfft. */
int ead_irfft(const ead_fft_plan *plan, const ead_real *in, ead_real *out, ead_real *work, size_t work_len);

/* ---------------------------------------------------------------- saliency map of a whole window */

/* Elements of work memory for a window of n points, 0 if n is outside EAD_SALIENCY_MIN_LEN to
 * EAD_FFT_MAX_LEN. */
size_t ead_saliency_work_len(size_t n);

/* Saliency map of a window by spectral residual: the transform divided by the geometric mean of the
 * magnitudes of each bin and the two before it, and transformed back.  Source: arXiv 1906.03821, section 4.1,
 * with the window of the mean trailing in raw bin order, as in the cloud service.
 *   plan      of EAD_FFT_COMPLEX, for the n points of the window
 *   x         n finite values; not changed, unless map is x
 *   rule      EAD_SALIENCY_STREAM: bin 0 is dropped (an offset changes nothing) and bin 1 stands for the bins
 *             before it; each power gets a floor at this precision's rounding noise, so that a constant window
 *             gives 0 and not noise.
 *             EAD_SALIENCY_SERVICE: all bins; mean of one and two magnitudes at bins 0 and 1; a magnitude of
 *             exactly zero counts as 1; no floor
 *   map       n values out, >= 0, no unit: scaling x leaves it unchanged (STREAM always, SERVICE if no
 *             magnitude is zero); of the order of 1/sqrt(n) for noise; may be x
 *   work      ead_saliency_work_len(n) elements, free afterwards
 * The deviations of x from its mean must have squares that ead_real can hold n times over (in float: 1e-12 to
 * 1e15).
 * Returns EAD_OK, EAD_E_STATE (plan), EAD_E_LENGTH, EAD_E_RANGE (rule), EAD_E_WORK or EAD_E_NOT_FINITE. */
int ead_saliency(const ead_fft_plan *plan, const ead_real *x, int rule, ead_real *map, ead_real *work,
                 size_t work_len);

/* ---------------------------------------------------------------- sliding saliency of the newest point */

/* The saliency of the newest sample of a sliding window at a cost linear in the window and free of
 * transforms: what ead_saliency(EAD_SALIENCY_STREAM) would give as the last value of its map.  Any length,
 * primes too.
 *
 * A window that is not yet full counts as filled up, before its first sample, with that first sample's
 * value. */

/* Twiddles of one window length, in one lent block, read-only once made: one serves all series of that
 * length. */
typedef struct ead_slide_table ead_slide_table;

/* Bytes of a table, 0 if n is outside EAD_SLIDE_MIN_LEN..EAD_SLIDE_MAX_LEN: 2 n elements and 16. */
size_t ead_slide_table_size(size_t n);

/* Makes a table in the lent block.
 *   isa       EAD_ISA_BEST, or the instruction set to use
 * Returns EAD_OK, EAD_E_LENGTH, EAD_E_RANGE (isa is not of this processor or build) or EAD_E_WORK. */
int ead_slide_table_init(ead_slide_table *table, size_t bytes, size_t n, int isa);

/* The instruction set a table's steps use, EAD_ISA_PORTABLE or above; EAD_E_STATE if it is not a table. */
int ead_slide_table_isa(const ead_slide_table *table);

/* The state of one series, in one lent block without pointers: a checkpoint is a copy of its bytes. */
typedef struct ead_slide ead_slide;

/* Bytes of a state, 0 if n is outside EAD_SLIDE_MIN_LEN..EAD_SLIDE_MAX_LEN or mean_len above
 * EAD_SLIDE_MAX_MEAN: at most 12 n + 4 mean_len + 128 in float and 24 n + 8 mean_len + 128 in double. */
size_t ead_slide_size(size_t n, size_t mean_len);

/* Makes an empty state in the lent block.
 *   n         points of the window
 *   mean_len  saliencies in the streamed mean, 0 = none is kept
 * Returns EAD_OK, EAD_E_LENGTH (n), EAD_E_RANGE (mean_len) or EAD_E_WORK. */
int ead_slide_init(ead_slide *state, size_t bytes, size_t n, size_t mean_len);

/* Whether a block, a checkpoint say, is a whole and sound state of this version, precision and byte order,
 * made with these n and mean_len.  Every block that was not made by this process must pass before it is used.
 * Returns EAD_OK or EAD_E_STATE. */
int ead_slide_check(const ead_slide *state, size_t bytes, size_t n, size_t mean_len);

/* Takes the next sample, dropping the oldest of a full window.
 *   table     of the same length as the state
 *   x         finite; the difference to the window's mean is what is kept in ead_real
 *   saliency  of x, out: >= 0, no unit, of the order of 1/sqrt(n) for noise
 * Returns EAD_OK, EAD_E_STATE (no such state or table), EAD_E_NOT_FINITE, or EAD_E_RANGE if x is further than
 * 1e140 (in float 1e14) from the window's level; on an error nothing has changed. */
int ead_slide_feed(ead_slide *state, const ead_slide_table *table, ead_wide x, ead_real *saliency);

/* Corrects a sample already taken, as if x had come in its place: saliencies still to come are those of the
 * corrected window, those already given are not changed.
 *   age       0 = the newest, up to n - 1 and less than the samples taken
 * Returns as ead_slide_feed; EAD_E_RANGE also if there is no sample of that age. */
int ead_slide_replace(ead_slide *state, const ead_slide_table *table, size_t age, ead_wide x);

/* Mean of the last mean_len saliencies given, or of as many as there are; 0 if none. */
ead_real ead_slide_mean(const ead_slide *state);

/* Samples taken since the state was made. */
uint64_t ead_slide_count(const ead_slide *state);

/* ---------------------------------------------------------------- order statistics of the last values */

/* The last n values, kept sorted: median, any quantile and the exact median absolute deviation at any time.
 * One lent block without pointers: a checkpoint is a copy of its bytes. */
typedef struct ead_order ead_order;

/* Bytes of a state for n values, 0 if n is outside 1..EAD_ORDER_MAX_LEN: 2 n elements and 24. */
size_t ead_order_size(size_t n);

/* Makes an empty state in the lent block.  Returns EAD_OK, EAD_E_LENGTH (n) or EAD_E_WORK. */
int ead_order_init(ead_order *state, size_t bytes, size_t n);

/* Whether a block, a checkpoint say, is a whole and sound state of this version, precision and byte order,
 * made with this n. Every block that was not made by this process must pass before it is used.  Returns
 * EAD_OK or EAD_E_STATE. */
int ead_order_check(const ead_order *state, size_t bytes, size_t n);

/* Values held: n once the window is full. */
size_t ead_order_count(const ead_order *state);

/* Takes the next value, dropping the oldest of a full window: log2(n) comparisons and one move of at most n
 * elements.
 *   x         finite, at most half of the largest number in size
 * Returns EAD_OK, EAD_E_STATE or EAD_E_NOT_FINITE; on an error nothing has changed. */
int ead_order_push(ead_order *state, ead_real x);

/* Corrects a value already taken; age 0 = the newest.  Returns as ead_order_push; EAD_E_RANGE if no value of
 * that age is held. */
int ead_order_replace(ead_order *state, size_t age, ead_real x);

/* The value below which a share of the values lies, linear between neighbours (type 7 of Hyndman and Fan, The
 * American Statistician 50 (4), 1996).
 *   share     0..1: 0 gives the least value, 1 the greatest
 * Returns EAD_OK, EAD_E_STATE, EAD_E_LENGTH (no value is held) or EAD_E_RANGE (share). */
int ead_order_quantile(const ead_order *state, ead_wide share, ead_real *quantile);

/* The median: the middle value, or the mean of the two.  Returns EAD_OK, EAD_E_STATE or EAD_E_LENGTH (no
 * value is held). */
int ead_order_median(const ead_order *state, ead_real *median);

/* The exact median of the absolute deviations from the median, in 2 log2(n) comparisons; not scaled
 * (times 1.4826 it estimates the standard deviation of a normal distribution).  Returns as
 * ead_order_median. */
int ead_order_mad(const ead_order *state, ead_real *mad);

/* ---------------------------------------------------------------- streaming detector */

/* Judges the readings of one series one by one, with what was learned from those before.  docs/algorithms.md
 * says how, and where the constants come from.  The state is one lent block without pointers: a checkpoint is
 * a copy of its bytes. */
typedef struct ead_spectral ead_spectral;

/* Bytes of a state, 0 if n is outside EAD_SPECTRAL_MIN_LEN..EAD_SPECTRAL_MAX_LEN or above EAD_SLIDE_MAX_LEN:
 * about 20 n + 4300 in float, 20 n + 3800 with EAD_NO_DOUBLE, 40 n + 7300 in double. */
size_t ead_spectral_size(size_t n);

/* Makes an empty state for a window of n rows in the lent block.
 * Returns EAD_OK, EAD_E_LENGTH (n), EAD_E_WORK or EAD_E_RANGE (settings). */
int ead_spectral_init(ead_spectral *state, size_t bytes, size_t n, const ead_spectral_settings *settings);

/* Changes the settings; what was learned stays.  Returns EAD_OK, EAD_E_STATE, or EAD_E_RANGE and then nothing
 * has changed. */
int ead_spectral_configure(ead_spectral *state, const ead_spectral_settings *settings);

/* Whether a block, a checkpoint say, is a whole and sound state of this version and precision for a window of
 * n rows.  Every block that was not made by this process must pass before it is used.  Returns EAD_OK or
 * EAD_E_STATE. */
int ead_spectral_check(const ead_spectral *state, size_t bytes, size_t n);

/* Judges the newest reading and learns from it.
 *   table     of the same length as the state
 *   value     finite; one of the first 20 that is further than 1e13 from those before begins the series anew,
 *             so that an overflow code at power-on does no harm.  What is less far off is believed: keep codes
 *             like 2^32 - 1 away from a new state
 *   missing   rows of the grid without a reading since the last one
 *   out       while ead_spectral_needed is above 0: score 0, no anomaly, the others NaN
 * Returns EAD_OK, EAD_E_STATE or EAD_E_NOT_FINITE; on an error nothing has changed. */
int ead_spectral_judge(ead_spectral *state, const ead_slide_table *table, ead_wide value, uint64_t missing,
                       ead_verdict *out);

/* The same for an array of readings, bit for bit; missing may be NULL for none.  Stops at the first error:
 * verdicts before it are right and learned.  Returns as ead_spectral_judge. */
int ead_spectral_judge_many(ead_spectral *state, const ead_slide_table *table, const ead_wide *values,
                            const uint64_t *missing, size_t count, ead_verdict *out);

/* Replaces a reading already judged in what later ones are compared with; no judgement.  age counts readings,
 * 0 = the newest. A reading older than the window or than the last gap is left alone.  Returns as
 * ead_spectral_judge. */
int ead_spectral_revise(ead_spectral *state, const ead_slide_table *table, size_t age, ead_wide value);

/* Readings until judgements count. */
uint64_t ead_spectral_needed(const ead_spectral *state);

/* What the last judgement was made of.  Returns EAD_OK or EAD_E_STATE. */
int ead_spectral_explain(const ead_spectral *state, ead_spectral_facts *out);

/* ---------------------------------------------------------------- rows for a network */

/* The streaming detector, a profile of the day beside it, and what both saw of the last readings as rows of
 * channels, each free of the series' unit: the input of a small network that serves all series.  Nothing here
 * waits for the network's answer.  One lent block without pointers: a checkpoint is a copy of its bytes.
 *
 * Channels: 0 innovation, 1 jump, 2 fluctuation, 3 salient innovation, 4 shift of level or season, 5 unrest,
 * 6 distance from the day, all as shares of the series' own limits at sensitivity 90, signed where there is a
 * sign, as ln(1 + size); 7 saliency times 2; 8 ln(1 + identical readings) / 2; 9 distance from the baseline
 * in standard deviations, as ln(1 + size); 10 score, as ln(1 + score); 11 and 13 innovation and shift in
 * typical innovations, as ln(1 + size) / 2; 12 whether the day has a pattern. */
typedef struct ead_rows ead_rows;

/* Bytes of a state, 0 if n is out of range for ead_spectral_size, day above EAD_ROWS_MAX_DAY or length outside
 * 1..EAD_ROWS_MAX_LEN: those of the detector, 9 a row of the day in float (17 in double), 56 a row of length
 * and some 600 (1000). */
size_t ead_rows_size(size_t n, size_t day, size_t length);

/* Makes an empty state in the lent block.
 *   n         rows of the detector's window
 *   day       rows of a day, 0 = no profile is kept
 *   length    rows of history
 * Returns EAD_OK, EAD_E_LENGTH, EAD_E_WORK or EAD_E_RANGE (settings). */
int ead_rows_init(ead_rows *state, size_t bytes, size_t n, size_t day, size_t length,
                  const ead_spectral_settings *settings);

/* Changes the settings; what was learned stays, and no channel changes.  Returns as
 * ead_spectral_configure. */
int ead_rows_configure(ead_rows *state, const ead_spectral_settings *settings);

/* Whether a block is a whole and sound state of this version and precision, made with these n, day and
 * length. Returns EAD_OK or EAD_E_STATE. */
int ead_rows_check(const ead_rows *state, size_t bytes, size_t n, size_t day, size_t length);

/* Takes the newest reading: arguments as of ead_spectral_judge, returns as it; out goes to ead_fuse_judge
 * with the network's answer. */
int ead_rows_judge(ead_rows *state, const ead_slide_table *table, ead_wide value, uint64_t missing,
                   ead_row_facts *out);

/* Takes count readings on a grid without gaps.
 *   rows     count times EAD_ROWS_CHANNELS values out: what each reading added to the history
 * Stops at the first error; returns as ead_spectral_judge. */
int ead_rows_judge_many(ead_rows *state, const ead_slide_table *table, const ead_wide *values, size_t count,
                        float *rows);

/* The history: EAD_ROWS_CHANNELS times length values, channel by channel, oldest reading first; zeros where
 * there was none yet.  Returns EAD_OK or EAD_E_STATE. */
int ead_rows_history(const ead_rows *state, float *out);

/* As ead_spectral_revise, and returns as it; rows of channels already filled stay as they are, and so does
 * the day. */
int ead_rows_revise(ead_rows *state, const ead_slide_table *table, size_t age, ead_wide value);

/* Readings until judgements count: those of the detector, and a full history. */
uint64_t ead_rows_needed(const ead_rows *state);

/* As ead_spectral_explain, and returns as it. */
int ead_rows_explain(const ead_rows *state, ead_spectral_facts *out);

/* ---------------------------------------------------------------- a memory of patches */

/* A bounded memory of embeddings, spread over all that was learned.  One lent block without pointers. */
typedef struct ead_bank ead_bank;

/* Bytes of a state, 0 if length is outside 1..EAD_BANK_MAX_LEN or patches outside 8..EAD_BANK_MAX_PATCHES:
 * patches * (4 length + 4) and 40. */
size_t ead_bank_size(size_t length, size_t patches);

/* Makes an empty memory of patches embeddings of length numbers.  Returns EAD_OK, EAD_E_LENGTH or
 * EAD_E_WORK. */
int ead_bank_init(ead_bank *state, size_t bytes, size_t length, size_t patches);

/* Whether a block is a whole and sound state of this version, made with these length and patches.  Returns
 * EAD_OK or EAD_E_STATE. */
int ead_bank_check(const ead_bank *state, size_t bytes, size_t length, size_t patches);

/* Distance of an embedding to the nearest one in memory; then learns it, if told to: it is kept if it is
 * further off than the reach (one in 50 is), in place of the one met longest ago.
 *   embedding  length numbers, no NaN; beyond 1e9 they are cut
 *   distance   out: Euclidean; -1 while fewer than 8 are kept
 * Returns EAD_OK, EAD_E_STATE or EAD_E_NOT_FINITE; on an error nothing has changed. */
int ead_bank_meet(ead_bank *state, const float *embedding, int learns, ead_wide *distance);

/* Distance from which an embedding is kept. */
ead_wide ead_bank_reach(const ead_bank *state);

/* Embeddings in memory. */
size_t ead_bank_count(const ead_bank *state);

/* ---------------------------------------------------------------- the network's part in a verdict */

/* Joins a network's answer with what ead_rows_judge said: its log-odds count by the tail of their own past,
 * and less for patches that the series has shown before.  Then a governor: where there were more than five
 * events in the time in which the sensitivity expects one, only the louder ones are anomalies; scores stay.
 * One lent block without pointers. */
typedef struct ead_fuse ead_fuse;

/* Bytes of a state, 0 if length or patches are out of range for ead_bank_size: those of the memory, and some
 * 1600 in float (2400 in double). */
size_t ead_fuse_size(size_t length, size_t patches);

/* Makes an empty state in the lent block.
 *   length, patches   numbers of an embedding, and embeddings remembered
 * Returns EAD_OK, EAD_E_LENGTH, EAD_E_WORK or EAD_E_RANGE (settings). */
int ead_fuse_init(ead_fuse *state, size_t bytes, size_t length, size_t patches,
                  const ead_spectral_settings *settings);

/* Changes the settings; what was learned stays.  Returns as ead_spectral_configure. */
int ead_fuse_configure(ead_fuse *state, const ead_spectral_settings *settings);

/* Whether a block is a whole and sound state of this version and precision, made with these length and
 * patches.  Returns EAD_OK or EAD_E_STATE. */
int ead_fuse_check(const ead_fuse *state, size_t bytes, size_t length, size_t patches);

/* The verdict about a reading; readings must come in the order in which ead_rows_judge took them.
 *   row        what ead_rows_judge said about it
 *   log_odds   of an anomaly at this reading, natural logarithm; no NaN
 *   embedding  length numbers, no NaN
 * Returns EAD_OK, EAD_E_STATE or EAD_E_NOT_FINITE; on an error nothing has changed. */
int ead_fuse_judge(ead_fuse *state, const ead_row_facts *row, float log_odds, const float *embedding,
                   ead_verdict *out);

/* What the last verdict was made of.  Returns EAD_OK or EAD_E_STATE. */
int ead_fuse_explain(const ead_fuse *state, ead_fuse_facts *out);

#ifdef __cplusplus
}
#endif
#endif /* EDGEAD_H_REAL */
