/* The rows a network looks at: what the streaming detector and a daily profile saw of the last readings.
 * SPDX-License-Identifier: Apache-2.0
 *
 * Every channel is free of the series' unit and, but for the raw ones, a share of the series' own limit, so
 * that one network serves all series.  Nothing here waits for the network: rows are filled, and everything
 * here learns, whatever it answers.  docs/algorithms.md says where each constant comes from. */
#include "ead_spectral.h"
#include "ead_tail.h"

#define STATE_MAGIC EAD_MAGIC('R' << 8 | 'W')
#define STATE_VERSION 1

#define DAY_RATE 0.15 /* share of a new day in the profile */
#define DAY_CLIP 4.0  /* a reading teaches the profile at most so many spreads */
#define DAY_LEVEL 0.1 /* short mean of the distance from the profile */
#define DAY_LEVEL_CLIP 5.0
#define DAY_KNOWN 2       /* days before a phase of the profile is known */
#define DAY_SCALE 10000.0 /* memory of the mean distance, readings */
#define DAY_GATE 1.5      /* times the innovations that the distances may be, or there is no daily pattern */
#define DAY_GATE_CLIP 20.0
#define DAY_GATE_MEMORY 30000.0
#define CHANNEL_MAX 8 /* e^8: three thousand limits */
#define RUN_MAX 64

enum channel {
    C_INNOVATION,
    C_JUMP,
    C_FLUCTUATION,
    C_SALIENT,
    C_SHIFT,
    C_NOISE,
    C_DAILY,
    C_SALIENCY,
    C_RUN,
    C_VALUE,
    C_SCORE,
    C_RAW_INNOVATION,
    C_HAS_DAILY,
    C_RAW_SHIFT
};
enum view { V_JUMP, V_INNOVATION, V_FLUCTUATION, V_SALIENT, V_LEVEL, V_NOISE, V_FROZEN, V_SEASON };

/* All that is not counted: a check runs over it as over one array. */
struct numbers {
    ead_wide origin;           /* the profile is relative to it */
    ead_wide level;            /* short mean of the distance from the profile */
    ead_wide spread;           /* mean of the distance from the profile and level */
    ead_wide daily, immediate; /* mean distance from the profile; mean innovation */
    struct tail tail;          /* of the distance from the profile, in typical distances */
};

struct ead_rows {
    uint32_t magic, version, wide_size, n, day, length;
    uint32_t phase;    /* row of the day of the next reading */
    uint32_t position; /* of the next row in the ring */
    uint32_t known;    /* readings in the histogram */
    uint32_t compared; /* readings compared with the profile, up to DAY_GATE_MEMORY */
    uint32_t repeat;   /* readings until an alarm teaches fully again */
    uint32_t reserved;
    uint64_t seen; /* readings */
    ead_spectral_settings settings;
    struct numbers x;
    /* then, as ead_real: histogram[BINS], mean[day], spread[day]; as float: ring[length][channels]; as bytes:
     * days[day]; then ead_spectral */
};

/* ---- layout ---- */

static ead_real *histogram_of(const ead_rows *state)
{
    return (ead_real *)(state + 1);
}

static ead_real *mean_of(const ead_rows *state)
{
    return histogram_of(state) + BINS;
}

static ead_real *spread_of(const ead_rows *state)
{
    return mean_of(state) + state->day;
}

static float *ring_of(const ead_rows *state)
{
    return (float *)(spread_of(state) + state->day);
}

static unsigned char *days_of(const ead_rows *state)
{
    return (unsigned char *)(ring_of(state) + (size_t)state->length * EAD_ROWS_CHANNELS);
}

/* Bytes up to the detector, a multiple of 8. */
static size_t own_size(size_t day, size_t length)
{
    size_t bytes = sizeof(ead_rows) + (BINS + 2 * day) * sizeof(ead_real);
    return (bytes + length * EAD_ROWS_CHANNELS * sizeof(float) + day + 7) / 8 * 8;
}

static ead_spectral *spectral_of(const ead_rows *state)
{
    return (ead_spectral *)((unsigned char *)state + own_size(state->day, state->length));
}

size_t ead_rows_size(size_t n, size_t day, size_t length)
{
    size_t spectral = ead_spectral_size(n);
    if (spectral == 0 || day > EAD_ROWS_MAX_DAY || length < 1 || length > EAD_ROWS_MAX_LEN)
        return 0;
    return own_size(day, length) + spectral;
}

/* ---- the day ---- */

/* A reading as the profile sees it. */
struct daily {
    int found;         /* 0 = nothing is known of this row of the day */
    ead_wide distance; /* signed, unit of the series: from profile and level */
    ead_wide typical;  /* size of such a distance */
    ead_wide view;     /* size over the typical one, < 0 = no say */
    ead_wide ratio;    /* view over its limit, 0 = no say */
    ead_wide bound;    /* of the view at the sensitivity, without margin; 0 = none */
};

static struct daily away_from_day(const ead_rows *state, ead_wide y)
{
    const struct numbers *x = &state->x;
    struct daily found = {0, 0, 0, -1, 0, 0};
    if (state->day == 0 || days_of(state)[state->phase] == 0)
        return found;
    ead_wide local = (ead_wide)spread_of(state)[state->phase];
    found.found = 1;
    found.distance = y - x->origin - (ead_wide)mean_of(state)[state->phase] - x->level;
    found.typical = (local + (state->compared ? x->spread : local)) / 2;
    return found;
}

/* Whether the day explains the readings about as well as the reading before does: else there is no pattern.
 */
static int has_pattern(const struct numbers *x)
{
    return x->daily < (ead_wide)DAY_GATE * x->immediate;
}

/* Short mean and mean size of the distances, and what an innovation is beside them. */
static void follow_level(ead_rows *state, const struct daily *daily, const struct ead_i_look *look)
{
    struct numbers *x = &state->x;
    ead_wide step = daily->distance, cap = (ead_wide)DAY_GATE_CLIP * look->scale;
    if (x->spread > 0)
        step = clipped(step, (ead_wide)DAY_LEVEL_CLIP * x->spread);
    x->level += (ead_wide)DAY_LEVEL * step;
    state->compared += state->compared < (uint32_t)DAY_GATE_MEMORY;
    ead_wide count = (ead_wide)state->compared;
    x->spread += (magnitude(step) - x->spread) / smaller(count, DAY_SCALE);
    x->daily += (smaller(magnitude(daily->distance), cap) - x->daily) / count;
    x->immediate += (smaller(magnitude(look->innovation) * look->scale, cap) - x->immediate) / count;
}

/* The newest day moves the profile at this row; a reading far from it moves it no further than a near one. */
static void learn_day(ead_rows *state, ead_wide y)
{
    uint32_t phase = state->phase;
    unsigned char *days = &days_of(state)[phase];
    ead_real *mean = &mean_of(state)[phase], *spread = &spread_of(state)[phase];
    ead_wide value = y - state->x.origin;
    if (*days < 255)
        ++*days;
    if (*days == 1) {
        *mean = (ead_real)value;
        *spread = (ead_real)state->x.spread;
        return;
    }
    ead_wide step = value - (ead_wide)*mean, rate = larger(1 / (ead_wide)*days, (ead_wide)DAY_RATE);
    if (*days > DAY_KNOWN)
        step = clipped(step, (ead_wide)DAY_CLIP * ((ead_wide)*spread + state->x.spread));
    *mean += (ead_real)(rate * step);
    *spread += (ead_real)(rate * (magnitude(step) - (ead_wide)*spread));
}

/* View of the distance, and its limits so far. */
static void view_day(const ead_rows *state, const struct ead_i_look *look, struct daily *daily)
{
    const struct tail *tail = &state->x.tail;
    if (!daily->found || days_of(state)[state->phase] < DAY_KNOWN || !(look->scale > 0) ||
        !has_pattern(&state->x))
        return;
    ead_wide typical = larger(daily->typical, look->scale);
    daily->view = smaller(magnitude(daily->distance) / typical, (ead_wide)VIEW_MAX);
    if (state->known < ESTABLISHED)
        return;
    ead_wide youth = 1 + (ead_wide)YOUTH / (ead_wide)state->known;
    daily->bound = tail->bound * youth;
    daily->ratio = daily->view / (tail->limit * youth);
}

static ead_wide log_risk_of(const ead_rows *state)
{
    return (ead_wide)LEARN_LOG_RISK - (ead_wide)LOG_RISK_SLOPE * (ead_wide)(90 - state->settings.sensitivity);
}

static void learn_tail(ead_rows *state, const struct daily *daily, ead_wide score)
{
    struct tail *tail = &state->x.tail;
    ead_wide weight = 1, size = daily->view;
    if (daily->ratio >= (ead_wide)MARGIN || score >= 1) {
        weight = state->repeat ? (ead_wide)REPEAT_WEIGHT : 1;
        state->repeat = REPEAT_GAP;
    } else {
        state->repeat -= state->repeat > 0;
    }
    if (size >= 0) {
        state->known += state->known < KNOWN_MAX;
        if (state->known >= CLIP_FROM)
            size = smaller(size, (ead_wide)TAIL_CLIP * larger(tail->limit, (ead_wide)1e-3));
        remember(tail, histogram_of(state), size, weight);
    }
    if (state->seen % REFIT == REFIT - 1 && tail->total > 0)
        fit(tail, histogram_of(state), log_risk_of(state));
}

/* ---- channels ---- */

/* Sizes of any range in one that a network can take, sign kept. */
static float squeezed(ead_wide x)
{
    ead_wide size = smaller(log_of_one_and(smaller(magnitude(x), (ead_wide)VIEW_MAX)), CHANNEL_MAX);
    return (float)(x < 0 ? -size : size);
}

static ead_wide with_sign(ead_wide size, ead_wide of)
{
    return of < 0 ? -size : of > 0 ? size : 0;
}

static void fill_row(ead_rows *state, const struct ead_i_look *look, const struct daily *daily)
{
    const ead_wide *ratios = look->ratios;
    float *row = ring_of(state) + (size_t)state->position * EAD_ROWS_CHANNELS;
    row[C_INNOVATION] = squeezed(with_sign(ratios[V_INNOVATION], look->innovation));
    row[C_JUMP] = squeezed(with_sign(ratios[V_JUMP], look->jump));
    row[C_FLUCTUATION] = squeezed(ratios[V_FLUCTUATION]);
    row[C_SALIENT] = squeezed(with_sign(ratios[V_SALIENT], look->innovation));
    row[C_SHIFT] = squeezed(with_sign(ratios[V_LEVEL] + ratios[V_SEASON], look->shift));
    row[C_NOISE] = squeezed(ratios[V_NOISE]);
    row[C_DAILY] = squeezed(with_sign(daily->ratio, daily->distance));
    row[C_SALIENCY] = (float)(2 * look->saliency);
    row[C_RUN] = squeezed((ead_wide)(look->run < RUN_MAX ? look->run : RUN_MAX)) / 2;
    row[C_VALUE] = squeezed(look->value);
    row[C_SCORE] = squeezed(larger(look->score, daily->ratio / (ead_wide)MARGIN));
    row[C_RAW_INNOVATION] = squeezed(look->innovation) / 2;
    row[C_HAS_DAILY] = daily->view >= 0;
    row[C_RAW_SHIFT] = squeezed(look->shift) / 2;
    state->position = state->position + 1 == state->length ? 0 : state->position + 1;
}

/* ---- one reading ---- */

/* The day's say in the verdict: where it is the loudest, the band is drawn about what was usual. */
static void join_day(const ead_rows *state, const struct daily *daily, ead_wide value, ead_verdict *out)
{
    ead_wide limit = daily->bound * margin_at(state->settings.sensitivity);
    ead_wide score = limit > 0 ? smaller(daily->view / limit, (ead_wide)SCORE_MAX) : 0;
    if (!(score > out->score))
        return;
    out->score = score;
    if (score < 1)
        return;
    ead_wide half = magnitude(daily->distance) / score;
    out->expected = value - daily->distance;
    out->lower = out->expected - half;
    out->upper = out->expected + half;
    ead_i_decide(&state->settings, value, out);
}

/* The profile begins with the detector, and anew where that does. */
static void begin_day(ead_rows *state, ead_wide y)
{
    state->x = (struct numbers){.origin = y, .tail = {.weight = 1}};
    state->known = state->compared = state->repeat = 0;
    memset(histogram_of(state), 0, BINS * sizeof(ead_real));
    memset(days_of(state), 0, state->day);
}

static void pass_rows(ead_rows *state, uint64_t rows)
{
    if (state->day)
        state->phase = (uint32_t)((state->phase + rows % state->day) % state->day);
}

int ead_rows_judge(ead_rows *state, const ead_slide_table *table, ead_wide value, uint64_t missing,
                   ead_row_facts *out)
{
    struct ead_i_look look;
    ead_verdict verdict;
    if (state->magic != STATE_MAGIC)
        return EAD_E_STATE;
    int status = ead_i_spectral_judge(spectral_of(state), table, value, missing, &verdict, &look);
    if (status != EAD_OK)
        return status;
    if (state->seen > 0)
        pass_rows(state, missing);
    if (look.first)
        begin_day(state, look.y);
    struct daily daily = away_from_day(state, look.y);
    view_day(state, &look, &daily);
    int learning = verdict.expected - verdict.expected != 0 || state->seen < state->length;
    if (learning)
        verdict = (ead_verdict){0, 0, NAN, NAN, NAN, 0};
    else
        join_day(state, &daily, value, &verdict);
    fill_row(state, &look, &daily);
    *out = (ead_row_facts){verdict, value, look.scale, larger(look.score, daily.ratio / (ead_wide)MARGIN),
                           learning};
    learn_tail(state, &daily, look.score);
    if (state->day) {
        if (daily.found)
            follow_level(state, &daily, &look);
        learn_day(state, look.y);
        pass_rows(state, 1);
    }
    state->seen++;
    return EAD_OK;
}

int ead_rows_judge_many(ead_rows *state, const ead_slide_table *table, const ead_wide *values, size_t count,
                        float *rows)
{
    for (size_t i = 0; i < count; i++) {
        ead_row_facts facts;
        uint32_t at = state->position;
        int status = ead_rows_judge(state, table, values[i], 0, &facts);
        if (status != EAD_OK)
            return status;
        memcpy(rows + i * EAD_ROWS_CHANNELS, ring_of(state) + (size_t)at * EAD_ROWS_CHANNELS,
               EAD_ROWS_CHANNELS * sizeof *rows);
    }
    return EAD_OK;
}

int ead_rows_history(const ead_rows *state, float *out)
{
    if (state->magic != STATE_MAGIC)
        return EAD_E_STATE;
    const float *ring = ring_of(state);
    for (size_t i = 0, at = state->position; i < state->length;
         i++, at = at + 1 == state->length ? 0 : at + 1)
        for (size_t c = 0; c < EAD_ROWS_CHANNELS; c++)
            out[c * state->length + i] = ring[at * EAD_ROWS_CHANNELS + c];
    return EAD_OK;
}

int ead_rows_revise(ead_rows *state, const ead_slide_table *table, size_t age, ead_wide value)
{
    return state->magic == STATE_MAGIC ? ead_spectral_revise(spectral_of(state), table, age, value)
                                       : EAD_E_STATE;
}

/* ---- making, checking, explaining ---- */

int ead_rows_configure(ead_rows *state, const ead_spectral_settings *settings)
{
    if (state->magic != STATE_MAGIC)
        return EAD_E_STATE;
    int status = ead_spectral_configure(spectral_of(state), settings);
    if (status != EAD_OK)
        return status;
    state->settings = *settings;
    if (state->x.tail.limit > 0)
        state->x.tail.bound = exceeded_at(&state->x.tail, log_risk_of(state));
    return EAD_OK;
}

int ead_rows_init(ead_rows *state, size_t bytes, size_t n, size_t day, size_t length,
                  const ead_spectral_settings *settings)
{
    size_t size = ead_rows_size(n, day, length);
    if (size == 0)
        return EAD_E_LENGTH;
    if (bytes < size)
        return EAD_E_WORK;
    if (!ead_i_settings_sound(settings))
        return EAD_E_RANGE;
    memset(state, 0, own_size(day, length));
    state->magic = STATE_MAGIC;
    state->version = STATE_VERSION;
    state->wide_size = sizeof(ead_wide);
    state->n = (uint32_t)n;
    state->day = (uint32_t)day;
    state->length = (uint32_t)length;
    state->settings = *settings;
    state->x.tail.weight = 1;
    return ead_spectral_init(spectral_of(state), ead_spectral_size(n), n, settings);
}

static int all_finite(const ead_rows *state)
{
    const ead_wide *x = (const ead_wide *)&state->x;
    for (size_t i = 0; i < sizeof state->x / sizeof *x; i++)
        if (x[i] - x[i] != 0)
            return 0;
    const float *ring = ring_of(state);
    for (size_t i = 0; i < (size_t)state->length * EAD_ROWS_CHANNELS; i++)
        if (ring[i] - ring[i] != 0)
            return 0;
    return ead_i_all_finite(histogram_of(state), BINS + 2 * (size_t)state->day);
}

int ead_rows_check(const ead_rows *state, size_t bytes, size_t n, size_t day, size_t length)
{
    size_t size = ead_rows_size(n, day, length);
    if (size == 0 || bytes != size || state->magic != STATE_MAGIC || state->version != STATE_VERSION ||
        state->wide_size != sizeof(ead_wide) || state->n != n || state->day != day ||
        state->length != length || state->position >= length ||
        (day ? state->phase >= day : state->phase != 0) || !all_finite(state) ||
        state->compared > (uint32_t)DAY_GATE_MEMORY || state->known > KNOWN_MAX ||
        !ead_i_settings_sound(&state->settings))
        return EAD_E_STATE;
    return ead_spectral_check(spectral_of(state), ead_spectral_size(n), n);
}

uint64_t ead_rows_needed(const ead_rows *state)
{
    uint64_t needed = ead_spectral_needed(spectral_of(state));
    uint64_t filled = state->seen < state->length ? state->length - state->seen : 0;
    return needed > filled ? needed : filled;
}

int ead_rows_explain(const ead_rows *state, ead_spectral_facts *out)
{
    return state->magic == STATE_MAGIC ? ead_spectral_explain(spectral_of(state), out) : EAD_E_STATE;
}
