/* The network's part in a verdict: its log-odds against the tail of their own past, a memory of patches that
 * makes the familiar count less, the louder of the two voices, and a governor of what is told.
 * SPDX-License-Identifier: Apache-2.0
 *
 * docs/algorithms.md says where each constant comes from. */
#include "ead_spectral.h"
#include "ead_tail.h"

#define STATE_MAGIC EAD_MAGIC('F' << 8 | 'S')
#define STATE_VERSION 2

#define ODDS_SHIFT 7.0                   /* log-odds from -7 up are told apart; what is below is calm */
#define ODDS_MAX 30.0                    /* log-odds are cut there */
#define ODDS_LIMIT 5.0                   /* least limit of log-odds + ODDS_SHIFT, at sensitivity 90 */
#define ODDS_LOG_RISK -2.995732273553991 /* ln(1e-3 / TAIL_SHARE): how often they pass their own limit */
#define FAMILIAR 0.8                     /* factor on the log-odds of a patch that is as near as can be */
#define FAMILIAR_TO 0.7    /* share of the limit of distances from which a patch is new: the factor is 1 */
#define STRANGE 4.0        /* times the reach of the memory, from where a patch is not taken for normal */
#define STRANGE_LASTS 1000 /* unless it goes on for so many readings */
#define ONE_EVENT 1000.0   /* readings in which the budget of sensitivity 90 allows one event */
#define TOLD_MOST 5.0      /* events told in the time of one; then the loudest alone */
#define COUNTED_MOST 7.0   /* events counted: 0.44 of that time without any makes room again */
#define LOUDNESSES 48      /* bins of ead_tail.h, from a loudness of 0.5 on: twelve octaves */
#define LOUDNESS_FIRST 21

struct numbers {
    ead_wide odds, limit; /* of the newest reading, shifted, and what it was compared with */
    ead_wide distance, strangeness, familiarity;
    struct tail tails[2];        /* of the log-odds, of the distances */
    ead_wide events[LOUDNESSES]; /* that would have opened at a loudness, fading */
    ead_wide told_from;          /* loudness from which the last decision told */
};
enum part { ODDS, DISTANCE };

struct ead_fuse {
    uint32_t magic, version, wide_size, length, patches;
    uint32_t known[2];            /* readings in each histogram */
    uint32_t repeat;              /* readings until an alarm counts as a new event */
    uint32_t strange;             /* readings that have not been normal, in a row, up to STRANGE_LASTS */
    uint32_t network;             /* 1 = the network set the last score */
    uint32_t reached[LOUDNESSES]; /* reading (modulo 2^32) that last reached a loudness */
    uint32_t untold;              /* readings since the last that was told, up to REPEAT_GAP + 1 */
    uint64_t seen;
    ead_spectral_settings settings;
    struct numbers x;
    /* then, as ead_real: histograms[2][BINS]; then ead_bank */
};

static ead_real *histogram_of(const ead_fuse *state, enum part part)
{
    return (ead_real *)(state + 1) + (size_t)part * BINS;
}

static ead_bank *bank_of(const ead_fuse *state)
{
    return (ead_bank *)histogram_of(state, 2);
}

size_t ead_fuse_size(size_t length, size_t patches)
{
    size_t bank = ead_bank_size(length, patches);
    return bank == 0 ? 0 : sizeof(ead_fuse) + 2 * BINS * sizeof(ead_real) + bank;
}

/* ---- one reading ---- */

static ead_wide youth(const ead_fuse *state, enum part part)
{
    return 1 + (ead_wide)YOUTH / (ead_wide)state->known[part];
}

/* What the log-odds are compared with at a sensitivity: their own limit, and never less than what the network
 * was trained for; 0 = too little is known.  Twenty points of sensitivity are a factor of ten in risk and so
 * in odds. */
static ead_wide odds_limit(const ead_fuse *state, int sensitivity)
{
    if (state->known[ODDS] < ESTABLISHED)
        return 0;
    ead_wide shift = (ead_wide)LOG_RISK_SLOPE * (ead_wide)(90 - sensitivity);
    ead_wide own = exceeded_at(&state->x.tails[ODDS], (ead_wide)ODDS_LOG_RISK - shift) * youth(state, ODDS);
    return larger(own, (ead_wide)ODDS_LIMIT + shift);
}

/* Distance of the patch over what such distances rarely exceed; negative = too little is known. */
static ead_wide strangeness(const ead_fuse *state, ead_wide distance)
{
    if (distance < 0 || state->known[DISTANCE] < ESTABLISHED)
        return -1;
    return distance / (state->x.tails[DISTANCE].limit * youth(state, DISTANCE));
}

/* How much the patch counts: what the series has shown before, less. */
static ead_wide familiarity(ead_wide strangeness)
{
    if (strangeness < 0)
        return 1;
    return (ead_wide)FAMILIAR + (ead_wide)(1 - FAMILIAR) * smaller(strangeness / (ead_wide)FAMILIAR_TO, 1);
}

/* ln(1 + e^y), y cut to what the exponential takes */
static ead_wide soft_plus(ead_wide y)
{
    return log_of_one_and(exponential(clipped(y, (ead_wide)ODDS_MAX)));
}

static void learn_number(ead_fuse *state, enum part part, ead_wide size, ead_wide weight)
{
    struct tail *tail = &state->x.tails[part];
    if (size < 0 || state->seen < WARM_UP)
        return;
    state->known[part] += state->known[part] < KNOWN_MAX;
    if (state->known[part] >= CLIP_FROM)
        size = smaller(size, (ead_wide)TAIL_CLIP * larger(tail->limit, (ead_wide)1e-3));
    remember(tail, histogram_of(state, part), size, weight);
}

/* Learning goes by sensitivity 90, whatever the setting. */
static void learn(ead_fuse *state, int alarm)
{
    ead_wide weight = alarm && state->repeat ? (ead_wide)REPEAT_WEIGHT : 1;
    if (alarm)
        state->repeat = REPEAT_GAP;
    else
        state->repeat -= state->repeat > 0;
    learn_number(state, ODDS, state->x.odds, weight);
    learn_number(state, DISTANCE, state->x.distance, weight);
    for (enum part part = ODDS; part <= DISTANCE && state->seen % REFIT == REFIT - 1; part++)
        if (state->x.tails[part].total > 0)
            fit(&state->x.tails[part], histogram_of(state, part), (ead_wide)LEARN_LOG_RISK);
    state->seen++;
}

/* The memory takes what is normal, and what has gone on for so long that it must be. */
static void remember_patch(ead_fuse *state, int alarm, const float *embedding,
                           const struct ead_i_found *found)
{
    ead_bank *bank = bank_of(state);
    ead_wide reach = ead_bank_reach(bank);
    int strange = alarm || (reach > 0 && state->x.distance > (ead_wide)STRANGE * reach);
    state->strange = strange ? state->strange + (state->strange < STRANGE_LASTS) : 0;
    if (!strange || state->strange == STRANGE_LASTS)
        ead_i_bank_learn(bank, embedding, found);
}

/* The band of the network's verdict: about the forecast, and such that the value lies outside by the score.
 */
static void speak(const ead_fuse *state, const ead_row_facts *row, ead_wide score, ead_verdict *out)
{
    out->score = score;
    if (score < 1)
        return;
    ead_wide deviation = row->value - out->expected;
    if (deviation == 0)
        deviation = row->scale;
    ead_wide half = magnitude(deviation) / score;
    out->expected = row->value - deviation;
    out->lower = out->expected - half;
    out->upper = out->expected + half;
    ead_i_decide(&state->settings, row->value, out);
}

/* ---- the governor ---- */

/* Loudness is the score by the limits of sensitivity 90.  Of every loudness it is counted how many events
 * there would have been had it been the limit, told or not, in the time in which the sensitivity expects one.
 */
static void fade_events(ead_fuse *state)
{
    ead_wide rows = (ead_wide)ONE_EVENT *
                    exponential((ead_wide)LOG_RISK_SLOPE * (ead_wide)(90 - state->settings.sensitivity));
    for (int at = 0; at < LOUDNESSES; at++)
        state->x.events[at] *= 1 - 1 / rows;
}

static void count_events(ead_fuse *state, ead_wide loudness)
{
    uint32_t now = (uint32_t)state->seen;
    int top = bin_of(loudness) - LOUDNESS_FIRST;
    for (int at = 0; at < LOUDNESSES && at <= top; at++) {
        if (now - state->reached[at] > REPEAT_GAP)
            state->x.events[at] = smaller(state->x.events[at] + 1, (ead_wide)COUNTED_MOST);
        state->reached[at] = now;
    }
}

/* The least loudness that fewer events had than are told; 0 = there were not so many of any. */
static ead_wide told_from(const ead_fuse *state)
{
    int at = LOUDNESSES;
    if (state->untold <= REPEAT_GAP) /* an event that was opened may go on */
        return state->x.told_from;
    while (at > 0 && state->x.events[at - 1] < (ead_wide)(TOLD_MOST - 0.5))
        at--;
    return at == 0 ? 0 : edge(LOUDNESS_FIRST + (at < LOUDNESSES ? at : LOUDNESSES - 1));
}

/* Whether the gates would let a reading pass, whatever its score. */
static int passes_gates(const ead_fuse *state, ead_wide value, const ead_verdict *told)
{
    ead_verdict loud = *told;
    loud.score = 1;
    ead_i_decide(&state->settings, value, &loud);
    return loud.is_anomaly;
}

/* Takes back an anomaly that is less loud than what the budget leaves room for; its score and band stay. */
static void govern(ead_fuse *state, ead_wide value, ead_wide loudness, ead_verdict *out)
{
    fade_events(state);
    state->untold += state->untold <= REPEAT_GAP;
    if (out->is_anomaly) {
        state->x.told_from = told_from(state);
        out->is_anomaly = loudness >= state->x.told_from;
        if (out->is_anomaly)
            state->untold = 0;
        else
            out->severity = 0;
    }
    if (passes_gates(state, value, out))
        count_events(state, loudness);
}

int ead_fuse_judge(ead_fuse *state, const ead_row_facts *row, float log_odds, const float *embedding,
                   ead_verdict *out)
{
    if (state->magic != STATE_MAGIC)
        return EAD_E_STATE;
    if (log_odds != log_odds)
        return EAD_E_NOT_FINITE;
    struct ead_i_found found;
    int status = ead_i_bank_find(bank_of(state), embedding, &found);
    if (status != EAD_OK)
        return status;
    struct numbers *x = &state->x;
    x->distance = found.known ? found.distance : -1;
    x->strangeness = strangeness(state, x->distance);
    x->familiarity = familiarity(x->strangeness);
    x->odds = x->familiarity * soft_plus((ead_wide)log_odds + (ead_wide)ODDS_SHIFT);
    x->limit = odds_limit(state, state->settings.sensitivity);
    ead_wide usual = odds_limit(state, 90), score = x->limit > 0 ? x->odds / x->limit : 0;
    *out = row->verdict;
    state->network = !row->learning && score > out->score;
    if (state->network)
        speak(state, row, score, out);
    if (!row->learning)
        govern(state, row->value, larger(row->score, usual > 0 ? x->odds / usual : 0), out);
    int alarm = !row->learning && (row->score >= 1 || (usual > 0 && x->odds >= usual));
    remember_patch(state, alarm, embedding, &found);
    learn(state, alarm);
    return EAD_OK;
}

int ead_fuse_explain(const ead_fuse *state, ead_fuse_facts *out)
{
    if (state->magic != STATE_MAGIC)
        return EAD_E_STATE;
    const struct numbers *x = &state->x;
    *out = (ead_fuse_facts){x->odds - (ead_wide)ODDS_SHIFT,
                            x->limit - (ead_wide)ODDS_SHIFT,
                            x->familiarity,
                            x->distance,
                            larger(x->strangeness, 0),
                            told_from(state),
                            (uint32_t)ead_bank_count(bank_of(state)),
                            (int)state->network};
    return EAD_OK;
}

/* ---- making and checking ---- */

int ead_fuse_configure(ead_fuse *state, const ead_spectral_settings *settings)
{
    if (state->magic != STATE_MAGIC)
        return EAD_E_STATE;
    if (!ead_i_settings_sound(settings))
        return EAD_E_RANGE;
    state->settings = *settings;
    return EAD_OK;
}

int ead_fuse_init(ead_fuse *state, size_t bytes, size_t length, size_t patches,
                  const ead_spectral_settings *settings)
{
    size_t size = ead_fuse_size(length, patches);
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
    state->length = (uint32_t)length;
    state->patches = (uint32_t)patches;
    state->settings = *settings;
    state->x.tails[ODDS].weight = state->x.tails[DISTANCE].weight = 1;
    return ead_bank_init(bank_of(state), ead_bank_size(length, patches), length, patches);
}

int ead_fuse_check(const ead_fuse *state, size_t bytes, size_t length, size_t patches)
{
    size_t size = ead_fuse_size(length, patches);
    if (size == 0 || bytes != size || state->magic != STATE_MAGIC || state->version != STATE_VERSION ||
        state->wide_size != sizeof(ead_wide) || state->length != length || state->patches != patches ||
        !ead_i_settings_sound(&state->settings))
        return EAD_E_STATE;
    const ead_wide *x = (const ead_wide *)&state->x;
    for (size_t i = 0; i < sizeof state->x / sizeof *x; i++)
        if (x[i] - x[i] != 0)
            return EAD_E_STATE;
    if (!ead_i_all_finite(histogram_of(state, ODDS), 2 * BINS))
        return EAD_E_STATE;
    return ead_bank_check(bank_of(state), ead_bank_size(length, patches), length, patches);
}
