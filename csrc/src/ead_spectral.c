/* The streaming detector: eight views of a reading, each against the tail of its own past.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Every view is a number >= 0 that is small for a normal reading; most are in units of the series' own
 * typical innovation.  Of each view a histogram is kept, and the limit of a view is the value that it exceeds
 * with a small probability, extrapolated by a generalised Pareto tail (Siffer and others, KDD 2017, fitted by
 * moments).  The score is the largest view over its limit.  docs/algorithms.md says where each constant below
 * comes from. */
#include "ead_spectral.h"
#include "ead_tail.h"

#define STATE_MAGIC EAD_MAGIC('S' << 8 | 'D')
#define STATE_VERSION 1

/* ---- constants; probabilities are per reading, memories in readings ---- */
#define MEAN_RATE 0.3        /* forecast: exponential mean (FluxEV, section 4.1) */
#define SCALE_MEMORY 10000.0 /* typical innovation */
#define SCALE_CLIP 10.0      /* an innovation teaches the scale at most so many times the scale */
#define SALIENCY_MAX 0.65    /* above 2 / pi a saliency is a near-zero bin's doing */
#define LEVEL_RATE 0.1       /* short mean of value and of innovation */
#define NOISE_RATE 0.1
#define LEVEL_CLIP 4.0     /* standard deviations a value may teach the baseline */
#define SHIFT 8.0          /* typical innovations that open a second hypothesis */
#define SHIFT_MEMORY 20    /* readings it is kept without use */
#define NEWS 1.3           /* growth that makes a persisting deviation news again */
#define GONE 0.5           /* share of its limit under which a persisting deviation is over */
#define GONE_FADE 0.95     /* of its peak then, a reading */
#define PERSISTS 0.9       /* on the limits of persisting views, which single readings hardly move */
#define PATIENCE 1000      /* readings after which a persisting deviation is normal */
#define QUIET 16           /* identical readings after which nothing but their number is learned */
#define FREEZE_MIN 8.0     /* identical readings that are never an alarm (times MARGIN) */
#define FREEZE_MARGIN 2.0  /* on the tail of the numbers of identical readings */
#define FREEZE_GROWTH 1.2  /* over the longest one known */
#define FREEZE_LASTS 1.5   /* an alarm about a frozen value ends when it has lasted so many limits */
#define BUDGET_STEP 0.05   /* an event raises all limits by this share */
#define BUDGET_RATE 1.5e-3 /* events a reading at which limits stay where they are */
#define BUDGET_MAX 2.0
#define BUDGET_FADE 2.5e-4 /* of what limits were raised by, a quiet reading */
#define SEASON_BLOCKS 2    /* a reading brings one of so many blocks of lags up to date */
#define SEASON_REFIT 32
#define SEASON_MEAN 8     /* readings in the short mean that is compared with earlier seasons */
#define SEASON_BACK 3     /* seasons looked back on */
#define SEASON_GAIN 0.7   /* a season must leave less than this share of the typical difference */
#define SEASON_NEAR 1.1   /* the shortest lag this near to the best one is the season */
#define UNLIKE 0.8        /* a lag whose error is this share of the typical one is beyond the first rise */
#define SEASON_FADE 2.0   /* a lag's error forgets so much of itself over a window of updates */
#define SEASON_CLIP 20.0  /* typical innovations an error counts at most */
#define LONGEST_FADE 0.99 /* of the longest run, a change of value */
#define LEARN_MIN 96
#define PEAK_MEMORY_MIN 512 /* peaks halve in a window, at least in so many rows */
#define LN2 0.6931471805599453
#define UNKNOWN_SCORE 2.0 /* of a first change after a constant past */
#define REACH_MAX 1e13    /* from the forecast: what the sliding spectral residual takes in float */
#define STEP_MAX 1e37     /* of a counter, and of its rise: their sums stay finite in float */
#define SETTLED 20        /* readings before which none is cut, for want of anything to cut it by */

enum view { JUMP, INNOVATION, FLUCTUATION, SALIENT, LEVEL, NOISE, FROZEN, SEASON, VIEWS };

/* innovations in the local standard deviation (FluxEV, section 4.1: s = 10, and the newest) */
#define FLUX_LEN 11

/* Where the series is thought to be. */
struct place {
    ead_wide mean; /* short exponential mean: the forecast */
    ead_wide last; /* newest value */
};

/* All that is not counted: a check runs over it as over one array. */
struct numbers {
    struct place here, other;
    ead_wide offset;                      /* added to readings: what a counter lost by its resets */
    ead_wide climb, rise;                 /* mean step of a counter; its rise since the last fall */
    ead_wide origin;                      /* the ring is relative to it */
    ead_wide scale;                       /* typical innovation: their mean magnitude */
    ead_wide baseline, variance;          /* slow mean and variance of the value */
    ead_wide level, unrest;               /* short means of value and of innovation */
    ead_wide longest;                     /* identical readings in a row, fading */
    ead_wide boost;                       /* factor on all limits, kept by the alarm budget */
    ead_wide fade;                        /* of the peaks, a row */
    ead_wide flux[FLUX_LEN], flux_spread; /* last innovations and their standard deviation */
    ead_wide margin, log_risk; /* of the sensitivity: factor on all bounds; ln(risk / TAIL_SHARE) */
    ead_wide views[VIEWS];     /* of the newest reading, in the units of their limits */
    ead_wide bounds[VIEWS];    /* they were judged by, margin and boost included; 0 = not judged */
    ead_wide displaced;        /* signed deviation of the short mean from what it was compared with */
    ead_wide saliency;
    struct tail tails[VIEWS];
};

struct ead_spectral {
    uint32_t magic, version, wide_size, n;
    uint64_t seen;            /* readings judged */
    uint64_t rows;            /* rows of the grid: readings and gaps */
    uint32_t known[VIEWS];    /* readings in each histogram, up to KNOWN_MAX */
    uint32_t beyond[VIEWS];   /* readings that a persisting deviation has lasted, up to PATIENCE */
    uint32_t active;          /* readings in the scale, up to SCALE_MEMORY */
    uint32_t run, run_before; /* identical readings up to now, and before the newest value */
    uint32_t hold;            /* readings the other place is still kept */
    uint32_t repeat;          /* readings until an alarm counts as a new event */
    uint32_t rising, risen;   /* readings since the last fall, and those that rose */
    uint32_t since_gap, gap;  /* readings since the last gap, and rows of it, both up to n */
    uint32_t season;          /* lag, 0 = none */
    uint32_t position;        /* of the next row in the ring */
    uint32_t flux_at, winner; /* place in flux; view that set the last score */
    ead_spectral_settings settings;
    struct numbers x;
    /* then, as ead_real: histograms[VIEWS][BINS], ring[n], lag_errors[n]; then ead_slide */
};

/* ---- layout ---- */

static size_t numbers_len(size_t n)
{
    return (VIEWS * BINS + 2 * n + 1) / 2 * 2;
}

static ead_real *histogram_of(ead_spectral *state, int view)
{
    return (ead_real *)(state + 1) + view * BINS;
}

static ead_real *ring_of(ead_spectral *state)
{
    return (ead_real *)(state + 1) + VIEWS * BINS;
}

static ead_real *lag_errors_of(ead_spectral *state)
{
    return ring_of(state) + state->n;
}

static ead_slide *slide_of(ead_spectral *state)
{
    return (ead_slide *)((ead_real *)(state + 1) + numbers_len(state->n));
}

size_t ead_spectral_size(size_t n)
{
    size_t slide = ead_slide_size(n, 0);
    if (n < EAD_SPECTRAL_MIN_LEN || n > EAD_SPECTRAL_MAX_LEN || slide == 0) /* a build may slide less far */
        return 0;
    return sizeof(ead_spectral) + numbers_len(n) * sizeof(ead_real) + slide;
}

static void fit_all(ead_spectral *state)
{
    for (int view = 0; view < VIEWS; view++)
        if (state->x.tails[view].total > 0)
            fit(&state->x.tails[view], histogram_of(state, view), state->x.log_risk);
}

/* ---- season ---- */

/* Brings the mean errors of one block of lags up to date: what forecasting by the value so many rows ago
 * would have cost. lag_errors[j] is about lag n - j, which stands at place position + j of the ring. */
static void try_lags(ead_spectral *state, ead_real value)
{
    size_t n = state->n, block = state->rows % SEASON_BLOCKS;
    size_t from = block * n / SEASON_BLOCKS, to = (block + 1) * n / SEASON_BLOCKS;
    if (state->rows < n && from < n - state->rows)
        from = n - (size_t)state->rows; /* nothing stands further back */
    ead_real *errors = lag_errors_of(state), keep = (ead_real)1 - (ead_real)SEASON_FADE / (ead_real)n;
    ead_real cap = state->x.scale > 0 ? (ead_real)((ead_wide)SEASON_CLIP * state->x.scale) : (ead_real)1e12f;
    while (from < to) {
        size_t at = state->position + from;
        const ead_real *past = ring_of(state) + (at < n ? at : at - n);
        size_t stop = at < n && state->position + to > n ? n - state->position : to;
        for (size_t j = from; j < stop; j++) {
            ead_real error = past[j - from] - value;
            error = error < 0 ? -error : error;
            errors[j] = keep * errors[j] + (error < cap ? error : cap);
        }
        from = stop;
    }
}

/* Walks the mean errors of the lags 1, 2, ... */
struct walk {
    const ead_real *error;
    ead_wide left, growth; /* weight not yet gathered by this lag; its growth a lag */
};

static struct walk first_lag(ead_spectral *state)
{
    ead_wide step = (ead_wide)SEASON_FADE / (ead_wide)(SEASON_BLOCKS * state->n);
    ead_wide rows = smaller((ead_wide)state->rows - 1, 40 / step);
    return (struct walk){lag_errors_of(state) + state->n - 1, exponential(-rows * step), 1 + step};
}

static ead_wide next_error(struct walk *walk)
{
    ead_wide error = (ead_wide)*walk->error-- / (1 - walk->left);
    walk->left *= walk->growth;
    return error;
}

/* The lag of least error in the eighth of itself that follows a lag. */
static uint32_t lowest_near(ead_spectral *state, size_t from, size_t most)
{
    struct walk walk = first_lag(state);
    ead_wide least = 0;
    size_t at = from, stop = from + from / 8 < most ? from + from / 8 : most;
    for (size_t lag = 1; lag <= stop; lag++) {
        ead_wide error = next_error(&walk);
        if (lag == from || (lag > from && error < least)) {
            least = error;
            at = lag;
        }
    }
    return (uint32_t)at;
}

/* The season: the shortest lag beyond the first rise of the errors that is nearly as good as the best there,
 * or 0 if even that one leaves SEASON_GAIN of the typical error.  Only lags seen twice over count. */
static uint32_t find_season(ead_spectral *state)
{
    size_t most = state->n - SEASON_MEAN, lag;
    if (state->rows / 2 < most)
        most = (size_t)(state->rows / 2);
    ead_wide typical = 0, best = 0, before = 0;
    struct walk walk = first_lag(state);
    for (lag = 1; lag <= most; lag++)
        typical += next_error(&walk) / (ead_wide)most;
    walk = first_lag(state);
    for (lag = 1; lag <= most && (lag <= 3 || before < (ead_wide)UNLIKE * typical); lag++)
        before = next_error(&walk);
    struct walk rest = walk;
    size_t beyond = lag;
    for (best = typical; lag <= most; lag++)
        best = smaller(best, next_error(&rest));
    if (!(best < (ead_wide)SEASON_GAIN * typical))
        return 0;
    for (lag = beyond; lag <= most && next_error(&walk) > (ead_wide)SEASON_NEAR * best; lag++)
        ;
    return lowest_near(state, lag, most);
}

static ead_wide mean_ending(ead_spectral *state, size_t age)
{
    ead_wide sum = 0;
    for (size_t i = 1; i <= SEASON_MEAN; i++)
        sum += (ead_wide)ring_of(state)[(state->position + 2 * (size_t)state->n - age - i) % state->n];
    return sum / SEASON_MEAN;
}

/* How far the short mean is from the range of its values one, two, three seasons ago; 0 and no answer without
 * a season.  Where the last season is a copy, filled into a gap, nothing is far from it. */
static int out_of_season(ead_spectral *state, ead_wide *distance)
{
    size_t season = state->season;
    if (season == 0 || state->rows < season + SEASON_MEAN)
        return 0;
    *distance = 0;
    if (state->gap >= season && state->since_gap < season)
        return 1;
    ead_wide now = mean_ending(state, 0), low = mean_ending(state, season), high = low;
    for (size_t back = 2; back <= SEASON_BACK; back++) {
        size_t age = back * season;
        if (age + SEASON_MEAN > state->n || age + SEASON_MEAN > state->rows)
            break;
        ead_wide then = mean_ending(state, age);
        low = smaller(low, then);
        high = larger(high, then);
    }
    *distance = now < low ? now - low : now > high ? now - high : 0;
    return 1;
}

/* Readings before judgements count: the histograms need WARM_UP and ESTABLISHED of them, the saliency an
 * eighth of its window. */
static uint32_t learning_len(const ead_spectral *state)
{
    return state->n / 8 > LEARN_MIN ? state->n / 8 : LEARN_MIN;
}

/* Identical readings in a row that are too many, given the limit of their tail. */
static ead_wide frozen_limit(const ead_spectral *state, ead_wide limit)
{
    ead_wide known = state->known[FROZEN] < ESTABLISHED ? 0 : (ead_wide)FREEZE_MARGIN * limit;
    return larger(larger(FREEZE_MIN, known), (ead_wide)FREEZE_GROWTH * state->x.longest);
}

/* ---- rows ---- */

/* The ring keeps its precision far from where it began. */
static void move_origin(ead_spectral *state, ead_wide y)
{
    ead_wide shift = y - state->x.origin;
    if (magnitude(shift) < 1000 * state->x.scale)
        return;
    ead_real *ring = ring_of(state);
    for (size_t i = 0; i < state->n; i++)
        ring[i] -= (ead_real)shift;
    state->x.origin += shift;
}

static int add_row(ead_spectral *state, const ead_slide_table *table, ead_wide y)
{
    ead_real saliency, value = (ead_real)(y - state->x.origin);
    int status = ead_slide_feed(slide_of(state), table, y, &saliency);
    if (status ==
        EAD_E_RANGE) { /* the series left for where ead_real cannot follow from here: a new window */
        ead_slide_init(slide_of(state), ead_slide_size(state->n, 0), state->n, 0);
        status = ead_slide_feed(slide_of(state), table, y, &saliency);
    }
    if (status != EAD_OK)
        return status;
    state->x.saliency = smaller((ead_wide)saliency, (ead_wide)SALIENCY_MAX);
    try_lags(state, value);
    ring_of(state)[state->position] = value;
    state->rows++;
    if (++state->position == state->n) {
        state->position = 0;
        move_origin(state, y);
    }
    if (state->rows % (state->n / 16 > SEASON_REFIT ? state->n / 16 : SEASON_REFIT) == 0)
        state->season = find_season(state);
    return EAD_OK;
}

/* Rows without a reading: the value a season ago, or the forecast. */
static int add_gap(ead_spectral *state, const ead_slide_table *table, uint64_t missing)
{
    const struct numbers *x = &state->x;
    if (state->seen == 0 || missing == 0)
        return EAD_OK;
    for (uint64_t i = 0; i < missing && i < state->n; i++) {
        size_t at = (state->position + state->n - state->season) % state->n;
        ead_wide y = state->season ? x->origin + (ead_wide)ring_of(state)[at] : x->here.mean;
        int status = add_row(state, table, y);
        if (status != EAD_OK)
            return status;
    }
    state->since_gap = 0;
    state->gap = missing < state->n ? (uint32_t)missing : state->n;
    return EAD_OK;
}

/* ---- views ---- */

/* A counter that falls back went on from where it was: readings are lifted by what it lost.  A counter is
 * what has not fallen for half a window and mostly risen; a reset loses at least half of all that it has been
 * seen to gain. */
static ead_wide lift(ead_spectral *state, ead_wide value)
{
    struct numbers *x = &state->x;
    ead_wide y = value + x->offset, step = clipped(y - x->here.last, (ead_wide)STEP_MAX);
    if (state->seen == 0)
        return y;
    int counter = state->rising >= learning_len(state) && state->rising >= state->n / 2 &&
                  state->risen >= state->rising / 2;
    if (counter && step < 0 && -2 * step >= x->rise) {
        x->offset += x->climb - step;
        x->rise = 0;
        return value + x->offset;
    }
    if (step < 0) {
        state->rising = state->risen = 0;
        x->climb = x->rise = 0;
    } else if (state->rising < UINT32_MAX / 2) {
        state->rising++;
        state->risen += step > 0;
        x->rise = smaller(x->rise + step, (ead_wide)STEP_MAX);
        x->climb += (ead_wide)LEVEL_RATE * (step - x->climb);
    }
    return y;
}

/* After a shift both the old place and the new one are kept; a reading belongs to the nearer one. */
static void choose_place(ead_spectral *state, ead_wide y)
{
    struct numbers *x = &state->x;
    if (state->hold == 0)
        return;
    state->hold--;
    if (magnitude(y - x->other.mean) < magnitude(y - x->here.mean)) {
        struct place place = x->here;
        x->here = x->other;
        x->other = place;
        state->hold = SHIFT_MEMORY;
    }
}

static void count_run(ead_spectral *state, int same)
{
    struct numbers *x = &state->x;
    state->run_before = state->run;
    if (same) {
        state->run += state->run < UINT32_MAX;
        return;
    }
    ead_wide told = frozen_limit(state, x->tails[FROZEN].limit);
    x->longest = larger(x->longest * (ead_wide)LONGEST_FADE, smaller((ead_wide)state->run, told));
    state->run = 0;
}

/* Growth of the local standard deviation of the innovations (FluxEV, section 4.1). */
static ead_wide fluctuation(ead_spectral *state, ead_wide innovation)
{
    struct numbers *x = &state->x;
    ead_wide sum = 0, squares = 0;
    x->flux[state->flux_at] = innovation;
    state->flux_at = (state->flux_at + 1) % FLUX_LEN;
    for (int i = 0; i < FLUX_LEN; i++) {
        sum += x->flux[i];
        squares += x->flux[i] * x->flux[i];
    }
    ead_wide mean = sum / FLUX_LEN, spread = root(squares / FLUX_LEN - mean * mean);
    ead_wide growth = spread - x->flux_spread;
    x->flux_spread = spread;
    return larger(growth, 0);
}

static void view_reading(ead_spectral *state, ead_wide y, ead_wide innovation, ead_wide jump)
{
    struct numbers *x = &state->x;
    ead_wide unit = x->scale > 0 ? 1 / x->scale : 0;
    ead_wide flux = fluctuation(state, innovation);
    x->level += (ead_wide)LEVEL_RATE * (y - x->level);
    x->unrest += (ead_wide)NOISE_RATE * (magnitude(innovation) - x->unrest);
    int seasonal = out_of_season(state, &x->displaced);
    if (!seasonal)
        x->displaced = x->level - x->baseline;
    x->views[JUMP] = magnitude(jump) * unit;
    x->views[INNOVATION] = magnitude(innovation) * unit;
    x->views[FLUCTUATION] = flux * unit;
    x->views[SALIENT] = magnitude(innovation) * unit * root(x->saliency);
    x->views[NOISE] = x->unrest * unit;
    x->views[FROZEN] = (ead_wide)state->run;
    x->views[LEVEL] = seasonal ? -1 : magnitude(x->displaced) * unit;
    x->views[SEASON] = seasonal ? magnitude(x->displaced) * unit : -1;
    for (int view = 0; view < VIEWS; view++)
        x->views[view] = smaller(x->views[view], (ead_wide)VIEW_MAX);
}

/* ---- judging ---- */

static int persists(int view)
{
    return view == LEVEL || view == NOISE || view == SEASON;
}

/* What a view is compared with, given its limit or bound and what those are to be multiplied by; 0 = it has
 * no say. */
static ead_wide bar(const ead_spectral *state, int view, ead_wide limit, ead_wide factor)
{
    const struct numbers *x = &state->x;
    if (view == FROZEN) {
        ead_wide told =
            frozen_limit(state, x->tails[FROZEN].limit) * (ead_wide)(MARGIN * FREEZE_LASTS) * x->boost;
        return state->run && x->views[FROZEN] < told ? frozen_limit(state, limit) * factor : 0;
    }
    if (state->known[view] < ESTABLISHED || x->views[view] < 0 || !(x->scale > 0))
        return 0;
    if (persists(view))
        limit = larger((ead_wide)PERSISTS * limit, (ead_wide)NEWS * x->tails[view].peak);
    return limit * factor * (1 + (ead_wide)YOUTH / (ead_wide)state->known[view]);
}

/* Largest view over its bar by the sensitivity; at is which. */
static ead_wide rate(ead_spectral *state, uint32_t *at)
{
    struct numbers *x = &state->x;
    ead_wide score = 0;
    *at = INNOVATION;
    for (int view = 0; view < VIEWS; view++) {
        x->bounds[view] = bar(state, view, x->tails[view].bound, x->margin * x->boost);
        ead_wide over = x->bounds[view] > 0 ? x->views[view] / x->bounds[view] : 0;
        if (over > score) {
            score = over;
            *at = (uint32_t)view;
        }
    }
    return smaller(score, (ead_wide)SCORE_MAX);
}

/* The same by the limits that learning goes by, whatever the sensitivity; marks what was told and notes how
 * far each view was on its way to its limit. */
static int is_event_row(ead_spectral *state, struct ead_i_look *look)
{
    struct numbers *x = &state->x;
    int found = 0;
    for (int view = 0; view < VIEWS; view++) {
        ead_wide limit = bar(state, view, x->tails[view].limit, (ead_wide)MARGIN * x->boost);
        int told = limit > 0 && x->views[view] >= limit;
        look->ratios[view] = limit > 0 ? x->views[view] / limit : 0;
        int gone = x->views[view] < x->tails[view].limit * (ead_wide)GONE;
        x->tails[view].peak *= gone ? (ead_wide)GONE_FADE : x->fade;
        if (told || state->repeat) /* what grows within an event is part of it */
            x->tails[view].peak = larger(x->tails[view].peak, x->views[view]);
        found |= told;
    }
    return found;
}

/* The first change after a constant past, of which no view can know anything. */
static int first_change(const ead_spectral *state)
{
    return state->known[INNOVATION] < ESTABLISHED && state->run == 0 && state->run_before >= ESTABLISHED;
}

/* Expected value and band in the unit of the series, such that a score of 1 is its edge. */
static void draw_band(ead_spectral *state, ead_wide y, ead_wide innovation, ead_wide loosened,
                      ead_verdict *out)
{
    struct numbers *x = &state->x;
    ead_wide deviation = innovation * loosened;
    ead_wide half = x->bounds[INNOVATION] * x->scale * loosened;
    if (out->score >= 1 && magnitude(deviation) < half) { /* another view than the innovation's own says so */
        if (state->winner == LEVEL || state->winner == SEASON)
            deviation = x->displaced;
        if (state->winner == FROZEN ||
            deviation == 0) /* it should have moved: a typical step towards the baseline */
            deviation = x->baseline < y ? x->scale : -x->scale;
        half = magnitude(deviation) / out->score;
    } else if (out->score < 1) {
        half = larger(half, magnitude(deviation));
    }
    out->expected = y - deviation - x->offset;
    out->lower = out->expected - half;
    out->upper = out->expected + half;
}

void ead_i_decide(const ead_spectral_settings *gates, ead_wide value, ead_verdict *out)
{
    ead_wide deviation = value - out->expected, size = magnitude(deviation);
    int side = gates->direction == EAD_BOTH || (gates->direction == EAD_ABOVE) == (deviation > 0);
    out->is_anomaly = out->score >= 1 && side && size >= gates->min_abs &&
                      size >= gates->min_rel * magnitude(out->expected);
    out->severity = out->is_anomaly ? out->score / (1 + out->score) : 0;
}

/* ---- learning ---- */

/* Events above the budget raise all limits, quiet times lower them again, never below what the tails say
 * (Gibbs and Candes, NeurIPS 2021: the step of adaptive conformal inference, on a logarithmic scale). */
static ead_wide keep_budget(ead_spectral *state, int alarm)
{
    struct numbers *x = &state->x;
    ead_wide weight = 1;
    x->boost = larger(1, x->boost * (ead_wide)(1 - BUDGET_STEP * BUDGET_RATE));
    if (!state->repeat)
        x->boost += (1 - x->boost) * (ead_wide)BUDGET_FADE;
    if (!alarm) {
        state->repeat -= state->repeat > 0;
        return weight;
    }
    if (state->repeat)
        weight = (ead_wide)REPEAT_WEIGHT;
    else
        x->boost = smaller((ead_wide)BUDGET_MAX, x->boost * (ead_wide)(1 + BUDGET_STEP));
    state->repeat = REPEAT_GAP;
    return weight;
}

/* A persisting deviation teaches by its first reading, hardly by those that follow, and fully once it has
 * lasted. */
static ead_wide patience(ead_spectral *state, int view)
{
    ead_wide limit = state->x.tails[view].limit * (ead_wide)MARGIN * state->x.boost;
    uint32_t *beyond = &state->beyond[view];
    if (!persists(view) || state->known[view] < ESTABLISHED)
        return 1;
    if (state->x.views[view] < limit) {
        *beyond -= *beyond < 4 ? *beyond : 4;
        return 1;
    }
    *beyond += *beyond < PATIENCE;
    ead_wide share = (ead_wide)*beyond / PATIENCE;
    return *beyond == 1 ? 1 : share * share;
}

static void learn_tails(ead_spectral *state, ead_wide weight)
{
    struct numbers *x = &state->x;
    ead_wide frozen = frozen_limit(state, x->tails[FROZEN].limit) * (ead_wide)MARGIN;
    for (int view = 0; view < VIEWS && state->seen >= WARM_UP; view++) {
        ead_wide size = x->views[view], limit = x->tails[view].limit;
        if (view == FROZEN ? size >= frozen && state->known[view] >= ESTABLISHED : size < 0 || weight <= 0)
            continue;
        ead_wide share = patience(state, view);
        state->known[view] += state->known[view] < KNOWN_MAX;
        if (state->known[view] >= CLIP_FROM && view != FROZEN)
            size = smaller(size, (ead_wide)TAIL_CLIP * larger(limit, 1e-3f));
        remember(&x->tails[view], histogram_of(state, view), size, view == FROZEN ? 1 : weight * share);
    }
}

static void learn_levels(ead_spectral *state, ead_wide y, ead_wide innovation, ead_wide weight)
{
    struct numbers *x = &state->x;
    int settled = state->seen >= SETTLED;
    ead_wide size = magnitude(innovation), step = y - x->baseline;
    if (weight > 0) {
        state->active += state->active < (uint32_t)SCALE_MEMORY;
        if (settled && x->scale > 0)
            size = smaller(size, (ead_wide)SCALE_CLIP * x->scale);
        x->scale += (size - x->scale) / (ead_wide)state->active;
    }
    ead_wide memory = state->seen + 1 < state->n ? (ead_wide)(state->seen + 1) : (ead_wide)state->n;
    if (settled && x->variance > 0)
        step = clipped(step, (ead_wide)LEVEL_CLIP * root(x->variance));
    x->baseline += step / memory;
    x->variance += (step * step - x->variance) / memory;
}

static void move_place(ead_spectral *state, ead_wide y, ead_wide innovation)
{
    struct numbers *x = &state->x;
    if (state->seen >= SETTLED && x->scale > 0 && x->views[INNOVATION] > (ead_wide)SHIFT) {
        if (state->hold == 0)
            x->other = x->here;
        state->hold = SHIFT_MEMORY;
        x->here.mean = y;
    } else if (state->seen < 3) {
        x->here.mean += innovation / (ead_wide)(state->seen + 1);
    } else {
        x->here.mean += (ead_wide)MEAN_RATE * innovation;
    }
    x->here.last = y;
}

static void learn(ead_spectral *state, ead_wide y, ead_wide innovation, int alarm)
{
    ead_wide weight = keep_budget(state, alarm);
    if (state->run >= QUIET)
        weight = 0;
    learn_tails(state, weight);
    if (state->seen % REFIT == REFIT - 1)
        fit_all(state);
    learn_levels(state, y, innovation, weight);
    move_place(state, y, innovation);
    state->seen++;
    state->since_gap += state->since_gap < state->n;
}

/* ---- one reading ---- */

static void begin(ead_spectral *state, ead_wide value)
{
    struct numbers *x = &state->x;
    x->here = x->other = (struct place){value, value};
    x->origin = x->baseline = x->level = value;
}

/* Of the first readings none is known to be right.  After an overflow code, 3.4e38 say, all others would be out
 * of reach for good. */
static int begins_anew(const ead_spectral *state, ead_wide value)
{
    return state->seen > 0 && state->seen < SETTLED &&
           magnitude(value + state->x.offset - state->x.here.mean) > (ead_wide)REACH_MAX;
}

static void forget(ead_spectral *state)
{
    const ead_spectral_settings settings = state->settings;
    ead_spectral_init(state, ead_spectral_size(state->n), state->n, &settings);
}

/* Beyond a million typical innovations all values are alike; keeps every square finite. */
static ead_wide within_reach(const ead_spectral *state, ead_wide y)
{
    ead_wide mean = state->x.here.mean, reach = (ead_wide)REACH_MAX;
    if (state->x.scale > 0)
        reach = smaller(reach, state->x.scale * 1e6f);
    return y > mean + reach ? mean + reach : y < mean - reach ? mean - reach : y;
}

/* What is known of the row once it has been learned. */
static void look_back(const ead_spectral *state, int learning, struct ead_i_look *look)
{
    const struct numbers *x = &state->x;
    ead_wide spread = root(x->variance), score = look->score;
    for (int view = 0; view < VIEWS; view++)
        score = larger(score, look->ratios[view]);
    look->score = learning ? 0 : smaller(score, (ead_wide)SCORE_MAX);
    look->value = spread > 0 ? (look->y - x->baseline) / spread : 0;
    look->saliency = x->saliency;
    look->run = state->run;
}

static void judge_row(ead_spectral *state, ead_wide value, ead_wide y, ead_wide loosened, ead_verdict *out,
                      struct ead_i_look *look)
{
    struct numbers *x = &state->x;
    count_run(state, state->seen > 0 && y == x->here.last);
    choose_place(state, y);
    ead_wide innovation = (y - x->here.mean) / loosened, jump = (y - x->here.last) / loosened;
    view_reading(state, y, innovation, jump);
    int learning = state->seen < learning_len(state);
    out->score = rate(state, &state->winner);
    int first = first_change(state);
    if (first)
        out->score = (ead_wide)UNKNOWN_SCORE;
    draw_band(state, y, innovation, loosened, out);
    ead_i_decide(&state->settings, value, out);
    if (learning)
        *out = (ead_verdict){0, 0, NAN, NAN, NAN, 0};
    ead_wide unit = x->scale > 0 ? 1 / x->scale : 0;
    *look = (struct ead_i_look){.innovation = innovation * unit, .jump = jump * unit, .y = y};
    look->shift = x->displaced * unit;
    look->scale = x->scale;
    look->score = first ? (ead_wide)UNKNOWN_SCORE : 0;
    learn(state, y, innovation, is_event_row(state, look) && !learning);
    look_back(state, learning, look);
}

int ead_i_spectral_judge(ead_spectral *state, const ead_slide_table *table, ead_wide value, uint64_t missing,
                         ead_verdict *out, struct ead_i_look *look)
{
    if (state->magic != STATE_MAGIC)
        return EAD_E_STATE;
    if (value - value != 0)
        return EAD_E_NOT_FINITE;
    int status = ead_i_slide_fits(slide_of(state), table); /* before anything changes */
    if (status != EAD_OK)
        return status;
    if (begins_anew(state, value))
        forget(state);
    int first = state->seen == 0;
    if (first)
        begin(state, value);
    status = add_gap(state, table, missing);
    if (status != EAD_OK)
        return status;
    ead_wide y = within_reach(state, lift(state, value));
    status = add_row(state, table, y);
    if (status != EAD_OK)
        return status;
    judge_row(state, value, y, root(1 + (ead_wide)missing), out, look);
    look->first = first;
    return EAD_OK;
}

int ead_spectral_judge(ead_spectral *state, const ead_slide_table *table, ead_wide value, uint64_t missing,
                       ead_verdict *out)
{
    struct ead_i_look look;
    return ead_i_spectral_judge(state, table, value, missing, out, &look);
}

int ead_spectral_judge_many(ead_spectral *state, const ead_slide_table *table, const ead_wide *values,
                            const uint64_t *missing, size_t count, ead_verdict *out)
{
    for (size_t i = 0; i < count; i++) {
        int status = ead_spectral_judge(state, table, values[i], missing ? missing[i] : 0, &out[i]);
        if (status != EAD_OK)
            return status;
    }
    return EAD_OK;
}

int ead_spectral_revise(ead_spectral *state, const ead_slide_table *table, size_t age, ead_wide value)
{
    if (state->magic != STATE_MAGIC)
        return EAD_E_STATE;
    if (value - value != 0)
        return EAD_E_NOT_FINITE;
    if (age >= state->since_gap)
        return EAD_OK;
    ead_wide y = within_reach(state, value + state->x.offset);
    int status = ead_slide_replace(slide_of(state), table, age, y);
    if (status != EAD_OK && status != EAD_E_RANGE) /* out of range: a row before a new window, see add_row */
        return status;
    ring_of(state)[(state->position + 2 * (size_t)state->n - 1 - age) % state->n] =
        (ead_real)(y - state->x.origin);
    if (age == 0) {
        state->x.here.mean += (ead_wide)MEAN_RATE * (y - state->x.here.last);
        state->x.here.last = y;
    }
    return EAD_OK;
}

/* ---- making, checking, explaining ---- */

int ead_i_settings_sound(const ead_spectral_settings *settings)
{
    int known = settings->direction == EAD_BOTH || settings->direction == EAD_ABOVE ||
                settings->direction == EAD_BELOW;
    return settings->sensitivity >= 0 && settings->sensitivity <= 100 && known && settings->min_abs >= 0 &&
           settings->min_rel >= 0;
}

int ead_spectral_configure(ead_spectral *state, const ead_spectral_settings *settings)
{
    if (state->magic != STATE_MAGIC)
        return EAD_E_STATE;
    if (!ead_i_settings_sound(settings))
        return EAD_E_RANGE;
    state->settings = *settings;
    state->x.margin = margin_at(settings->sensitivity);
    state->x.log_risk =
        (ead_wide)LEARN_LOG_RISK - (ead_wide)LOG_RISK_SLOPE * (ead_wide)(90 - settings->sensitivity);
    for (int view = 0; view < VIEWS; view++)
        if (state->x.tails[view].limit > 0) /* fitted: else loading a state would make it judge sooner */
            state->x.tails[view].bound = exceeded_at(&state->x.tails[view], state->x.log_risk);
    return EAD_OK;
}

int ead_spectral_init(ead_spectral *state, size_t bytes, size_t n, const ead_spectral_settings *settings)
{
    size_t size = ead_spectral_size(n);
    if (size == 0)
        return EAD_E_LENGTH;
    if (bytes < size)
        return EAD_E_WORK;
    if (!ead_i_settings_sound(settings))
        return EAD_E_RANGE;
    memset(state, 0, size);
    state->magic = STATE_MAGIC;
    state->version = STATE_VERSION;
    state->wide_size = sizeof(ead_wide);
    state->n = (uint32_t)n;
    state->x.boost = 1;
    state->x.fade = 1 - (ead_wide)LN2 / (ead_wide)(n > PEAK_MEMORY_MIN ? n : PEAK_MEMORY_MIN);
    for (int view = 0; view < VIEWS; view++)
        state->x.tails[view].weight = 1;
    int status = ead_slide_init(slide_of(state), ead_slide_size(n, 0), n, 0);
    return status == EAD_OK ? ead_spectral_configure(state, settings) : status;
}

static int all_finite(const ead_wide *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (x[i] - x[i] != 0)
            return 0;
    return 1;
}

static int indices_sound(const ead_spectral *state)
{
    return state->position == state->rows % state->n && state->season <= state->n &&
           state->flux_at < FLUX_LEN && state->winner < VIEWS && state->since_gap <= state->n &&
           state->active <= (uint32_t)SCALE_MEMORY;
}

int ead_spectral_check(const ead_spectral *state, size_t bytes, size_t n)
{
    size_t size = ead_spectral_size(n);
    if (size == 0 || bytes != size || state->magic != STATE_MAGIC || state->version != STATE_VERSION ||
        state->wide_size != sizeof(ead_wide) || state->n != n || !indices_sound(state) ||
        !ead_i_settings_sound(&state->settings))
        return EAD_E_STATE;
    const ead_real *numbers = (const ead_real *)(state + 1);
    if (!all_finite((const ead_wide *)&state->x, sizeof state->x / sizeof(ead_wide)) ||
        !ead_i_all_finite(numbers, VIEWS * BINS + 2 * n))
        return EAD_E_STATE;
    const ead_slide *slide = (const ead_slide *)(numbers + numbers_len(n));
    return ead_slide_check(slide, ead_slide_size(n, 0), n, 0);
}

uint64_t ead_spectral_needed(const ead_spectral *state)
{
    uint64_t needed = learning_len(state);
    return state->seen < needed ? needed - state->seen : 0;
}

int ead_spectral_explain(const ead_spectral *state, ead_spectral_facts *out)
{
    if (state->magic != STATE_MAGIC)
        return EAD_E_STATE;
    const struct numbers *x = &state->x;
    for (int view = 0; view < VIEWS; view++) {
        out->views[view] = x->views[view] > 0 ? x->views[view] : 0;
        out->bounds[view] = x->bounds[view];
    }
    out->winner = (int)state->winner;
    out->saliency = x->saliency;
    out->scale = x->scale;
    out->baseline = x->baseline - x->offset;
    out->forecast = x->here.mean - x->offset;
    out->boost = x->boost;
    out->season = state->season;
    out->run = state->run;
    out->seen = state->seen;
    return EAD_OK;
}
