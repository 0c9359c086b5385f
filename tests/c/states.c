/* The detectors, and every state as a firmware saves and loads it: hostile readings, damaged bytes, errors that
 * change nothing.  SPDX-License-Identifier: Apache-2.0 */
#include "checks.h"

enum { WINDOW = 37, MEAN = 5, DAY = 24, HISTORY = 16, EMBEDDING = 8, PATCHES = 12, KINDS = 6 };
enum kind { SLIDE, ORDER, SPECTRAL, ROWS, BANK, FUSE };

static const ead_spectral_settings SETTINGS = {90, EAD_BOTH, 0, 0};

static uint32_t seed = 20261126;

static uint32_t drawn(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

static ead_wide usual_reading(int i)
{
    return 50 + (ead_wide)(i % 24 < 12 ? i % 24 : 24 - i % 24) + (ead_wide)drawn(1000) / 1000;
}

static ead_slide_table *make_table(size_t n)
{
    size_t bytes = ead_slide_table_size(n);
    ead_slide_table *table = lend(bytes);
    CHECK(ead_slide_table_init(table, bytes, n, EAD_ISA_BEST) == EAD_OK);
    return table;
}

/* ---- the six kinds of states behind one face ---- */

static size_t size_of(enum kind kind)
{
    const size_t sizes[KINDS] = {ead_slide_size(WINDOW, MEAN),      ead_order_size(WINDOW),
                                 ead_spectral_size(WINDOW),         ead_rows_size(WINDOW, DAY, HISTORY),
                                 ead_bank_size(EMBEDDING, PATCHES), ead_fuse_size(EMBEDDING, PATCHES)};
    return sizes[kind];
}

static int init(enum kind kind, void *state, size_t bytes, const ead_spectral_settings *settings)
{
    switch (kind) {
    case SLIDE:
        return ead_slide_init(state, bytes, WINDOW, MEAN);
    case ORDER:
        return ead_order_init(state, bytes, WINDOW);
    case SPECTRAL:
        return ead_spectral_init(state, bytes, WINDOW, settings);
    case ROWS:
        return ead_rows_init(state, bytes, WINDOW, DAY, HISTORY, settings);
    case BANK:
        return ead_bank_init(state, bytes, EMBEDDING, PATCHES);
    default:
        return ead_fuse_init(state, bytes, EMBEDDING, PATCHES, settings);
    }
}

static int check(enum kind kind, const void *state, size_t bytes)
{
    switch (kind) {
    case SLIDE:
        return ead_slide_check(state, bytes, WINDOW, MEAN);
    case ORDER:
        return ead_order_check(state, bytes, WINDOW);
    case SPECTRAL:
        return ead_spectral_check(state, bytes, WINDOW);
    case ROWS:
        return ead_rows_check(state, bytes, WINDOW, DAY, HISTORY);
    case BANK:
        return ead_bank_check(state, bytes, EMBEDDING, PATCHES);
    default:
        return ead_fuse_check(state, bytes, EMBEDDING, PATCHES);
    }
}

static int feed(enum kind kind, void *state, const ead_slide_table *table, ead_wide x, uint64_t missing)
{
    ead_verdict verdict;
    ead_real unused;
    ead_wide distance;
    ead_row_facts row = {{0, 0, 1, 0, 2, 0}, x, 1, 0, 0};
    float embedding[EMBEDDING];
    for (int i = 0; i < EMBEDDING; i++)
        embedding[i] = (float)x + (float)i;
    switch (kind) {
    case SLIDE:
        return ead_slide_feed(state, table, x, &unused);
    case ORDER:
        return ead_order_push(state, (ead_real)x);
    case SPECTRAL:
        return ead_spectral_judge(state, table, x, missing, &verdict);
    case ROWS:
        return ead_rows_judge(state, table, x, missing, &row);
    case BANK:
        return ead_bank_meet(state, embedding, 1, &distance);
    default:
        return ead_fuse_judge(state, &row, (float)drawn(40) - 20, embedding, &verdict);
    }
}

/* Whatever else a state can be asked: nothing of it may read or write where it should not. */
static void ask(enum kind kind, void *state, const ead_slide_table *table, ead_wide x)
{
    ead_spectral_settings other = {(int)drawn(101), EAD_ABOVE, 1, 0};
    ead_spectral_facts facts;
    ead_fuse_facts part;
    ead_real number;
    float history[HISTORY * EAD_ROWS_CHANNELS];
    size_t age = drawn(2 * WINDOW);
    if (kind == SLIDE) {
        ead_slide_replace(state, table, age, x);
        ead_slide_mean(state);
    } else if (kind == ORDER) {
        ead_order_replace(state, age, (ead_real)x);
        ead_order_mad(state, &number);
        ead_order_quantile(state, (ead_wide)0.9, &number);
    } else if (kind == SPECTRAL) {
        ead_spectral_revise(state, table, age, x);
        ead_spectral_configure(state, &other);
        ead_spectral_explain(state, &facts);
    } else if (kind == ROWS) {
        ead_rows_revise(state, table, age, x);
        ead_rows_configure(state, &other);
        ead_rows_history(state, history);
    } else if (kind == FUSE) {
        ead_fuse_configure(state, &other);
        ead_fuse_explain(state, &part);
    }
}

static void *used(enum kind kind, const ead_slide_table *table, int readings)
{
    void *state = lend(size_of(kind));
    CHECK(init(kind, state, size_of(kind), &SETTINGS) == EAD_OK);
    for (int i = 0; i < readings; i++)
        CHECK(feed(kind, state, table, usual_reading(i), 0) == EAD_OK);
    return state;
}

static void *copied(const void *state, size_t bytes)
{
    void *copy = lend(bytes);
    memcpy(copy, state, bytes);
    return copy;
}

/* ---- making ---- */

static void too_little_memory_and_settings_out_of_range_are_refused(void)
{
    const ead_spectral_settings bad[] = {{101, EAD_BOTH, 0, 0},
                                         {-1, EAD_BOTH, 0, 0},
                                         {90, 3, 0, 0},
                                         {90, EAD_BOTH, -1, 0},
                                         {90, EAD_BOTH, 0, (ead_wide)NAN}};
    for (enum kind kind = SLIDE; kind <= FUSE; kind++) {
        size_t bytes = size_of(kind);
        void *state = lend(bytes);
        CHECK(init(kind, state, bytes - 1, &SETTINGS) == EAD_E_WORK);
        for (size_t i = 0; i < sizeof bad / sizeof *bad && (kind == SPECTRAL || kind == ROWS || kind == FUSE);
             i++)
            CHECK(init(kind, state, bytes, &bad[i]) == EAD_E_RANGE);
        free(state);
    }
    CHECK(ead_spectral_size(EAD_SPECTRAL_MIN_LEN - 1) == 0 &&
          ead_spectral_size(EAD_SPECTRAL_MAX_LEN + 1) == 0);
    for (size_t n = EAD_SPECTRAL_MIN_LEN; n <= EAD_SPECTRAL_MAX_LEN; n += 719) /* as far as windows slide */
        CHECK((ead_spectral_size(n) == 0) == (ead_slide_size(n, 0) == 0));
    CHECK(ead_rows_size(WINDOW, EAD_ROWS_MAX_DAY + 1, 1) == 0 && ead_rows_size(WINDOW, 0, 0) == 0);
    CHECK(ead_bank_size(0, 8) == 0 && ead_bank_size(1, 7) == 0 &&
          ead_fuse_size(EAD_BANK_MAX_LEN + 1, 8) == 0);
}

/* ---- readings ---- */

static void the_detector_finds_spikes_and_little_else(void)
{
    ead_slide_table *table = make_table(WINDOW);
    void *spectral = used(SPECTRAL, table, 0), *rows = used(ROWS, table, 0), *fuse = used(FUSE, table, 0);
    const float embedding[EMBEDDING] = {0};
    int found[2] = {0, 0}, false_alarms[2] = {0, 0};
    for (int i = 0; i < 3000; i++) {
        int spike = i >= 1000 && i % 250 == 0;
        ead_wide x = usual_reading(i) + (spike ? 20 : 0);
        ead_verdict verdict[2];
        ead_row_facts row;
        CHECK(ead_spectral_judge(spectral, table, x, 0, &verdict[0]) == EAD_OK);
        CHECK(ead_rows_judge(rows, table, x, 0, &row) == EAD_OK);
        CHECK(ead_fuse_judge(fuse, &row, spike ? 3.0f : -9.0f, embedding, &verdict[1]) == EAD_OK);
        for (int k = 0; k < 2; k++)
            *(spike ? &found[k] : &false_alarms[k]) += verdict[k].is_anomaly;
    }
    for (int k = 0; k < 2; k++)
        CHECK(found[k] == 8 && false_alarms[k] <= 6);
    free(spectral);
    free(rows);
    free(fuse);
    free(table);
}

/* Readings as a broken sensor gives them, errors included, leave a sound state. */
static void hostile_readings_leave_a_sound_state(void)
{
    const ead_wide great = sizeof(ead_wide) == 8 ? (ead_wide)1.7e308 : (ead_wide)3.4e38f;
    const ead_wide hostile[] = {
        great,           -great, (ead_wide)NAN,  (ead_wide)INFINITY, (ead_wide)1e-40f, -0.0f,
        (ead_wide)1e14f, 0,      (ead_wide)65535};
    ead_slide_table *table = make_table(WINDOW);
    for (enum kind kind = SLIDE; kind <= FUSE; kind++) {
        void *state = used(kind, table, 0);
        ead_wide x = 0;
        for (int i = 0; i < 2000; i++) {
            if (i < 500 || drawn(2)) /* else the same once more, as sensors do */
                x = i % 200 < 60 || drawn(20) ? usual_reading(i) : hostile[drawn(9)];
            uint64_t missing = drawn(50) ? 0 : drawn(2) ? drawn(3 * WINDOW) : UINT64_MAX - drawn(2);
            feed(kind, state, table, x, missing);
            if (i % 20 == 0)
                ask(kind, state, table, x);
            CHECK(check(kind, state, size_of(kind)) == EAD_OK);
        }
        free(state);
    }
    free(table);
}

/* 3.4e38, the greatest number of a register that was not yet read: the series that follows is judged as ever. */
static void an_overflow_code_at_power_on_is_forgotten(void)
{
    ead_slide_table *table = make_table(WINDOW);
    ead_spectral *detector = used(SPECTRAL, table, 0), *fresh = used(SPECTRAL, table, 0);
    ead_verdict a, b;
    CHECK(ead_spectral_judge(detector, table, (ead_wide)3.4e38f, 0, &a) == EAD_OK);
    for (int i = 0; i < 300; i++) {
        ead_wide x = usual_reading(i);
        CHECK(ead_spectral_judge(detector, table, x, 0, &a) == EAD_OK);
        CHECK(ead_spectral_judge(fresh, table, x, 0, &b) == EAD_OK && a.score == b.score);
    }
    CHECK(memcmp(detector, fresh, size_of(SPECTRAL)) == 0);
    free(detector);
    free(fresh);
    free(table);
}

static void an_error_changes_nothing(void)
{
    ead_slide_table *table = make_table(WINDOW), *other = make_table(WINDOW + 1);
    for (enum kind kind = SLIDE; kind <= FUSE; kind++) {
        size_t bytes = size_of(kind);
        void *state = used(kind, table, 200), *before = copied(state, bytes);
        if (kind != FUSE)
            CHECK(feed(kind, state, table, (ead_wide)NAN, 2) == EAD_E_NOT_FINITE);
        if (kind == SLIDE || kind == SPECTRAL || kind == ROWS)
            CHECK(feed(kind, state, other, 70, 0) == EAD_E_STATE);
        CHECK(memcmp(state, before, bytes) == 0);
        free(state);
        free(before);
    }
    free(table);
    free(other);
}

/* ---- saving and loading ---- */

static void a_state_that_is_not_whole_is_refused(void)
{
    ead_slide_table *table = make_table(WINDOW);
    for (enum kind kind = SLIDE; kind <= FUSE; kind++) {
        size_t bytes = size_of(kind);
        unsigned char *state = used(kind, table, 300);
        CHECK(check(kind, state, bytes) == EAD_OK && check(kind, state, bytes - 1) == EAD_E_STATE);
        for (size_t cut = 0; cut < bytes; cut += 1 + bytes / 40) {
            unsigned char *part = copied(state, cut);
            CHECK(check(kind, part, cut) == EAD_E_STATE);
            free(part);
        }
        for (size_t i = 0; i < 8; i += 4) /* of another kind or precision, of another version */
            for (int bit = 0; bit < 8; bit++) {
                state[i] ^= (unsigned char)(1 << bit);
                CHECK(check(kind, state, bytes) == EAD_E_STATE);
                state[i] ^= (unsigned char)(1 << bit);
            }
        free(state);
    }
    free(table);
}

static void damage(unsigned char *state, size_t bytes)
{
    const uint32_t words[] = {0,      1,          UINT32_MAX, 0x80000000u, 0x7fffffffu,
                              WINDOW, WINDOW + 1, 64,         0x7e967699u, 0x80000001u};
    for (uint32_t left = 1 + drawn(4); left > 0; left--) {
        size_t at = drawn(2) ? drawn((uint32_t)bytes) : drawn(400 < bytes ? 400 : (uint32_t)bytes);
        if (drawn(2)) {
            state[at] = (unsigned char)drawn(256);
        } else {
            at = at / 4 * 4;
            if (at + 4 <= bytes)
                memcpy(state + at, &words[drawn(10)], 4);
        }
    }
}

/* Its answers may be wrong then, but it reads and writes inside its own bytes: the sanitizers look on. */
static void a_damaged_state_is_refused_or_does_no_harm(void)
{
    ead_slide_table *table = make_table(WINDOW);
    for (enum kind kind = SLIDE; kind <= FUSE; kind++) {
        size_t bytes = size_of(kind);
        void *state = used(kind, table, 150);
        for (int round = 0; round < 300; round++) {
            void *copy = copied(state, bytes);
            damage(copy, bytes);
            for (int i = 0; i < 2 * WINDOW && check(kind, copy, bytes) == EAD_OK; i++) {
                feed(kind, copy, table, usual_reading(i), drawn(10) ? 0 : drawn(WINDOW));
                ask(kind, copy, table, usual_reading(i));
            }
            free(copy);
        }
        free(state);
    }
    free(table);
}

static void sorted_values_that_are_not_those_of_the_ring_are_refused(void)
{
    size_t bytes = ead_order_size(3);
    ead_order *state = lend(bytes);
    ead_real *sorted = (ead_real *)((unsigned char *)state + bytes) - 3;
    CHECK(ead_order_init(state, bytes, 3) == EAD_OK);
    CHECK(ead_order_push(state, 1) == EAD_OK && ead_order_push(state, 1) == EAD_OK);
    CHECK(ead_order_push(state, 2) == EAD_OK && ead_order_check(state, bytes, 3) == EAD_OK);
    sorted[1] = 2; /* 1, 2, 2: each value is one of the ring's, but not as often */
    CHECK(ead_order_check(state, bytes, 3) == EAD_E_STATE);
    for (int i = 0; i < 9; i++)
        CHECK(ead_order_push(state, (ead_real)(9 - i)) == EAD_OK);
    free(state);
}

void states(void)
{
    too_little_memory_and_settings_out_of_range_are_refused();
    the_detector_finds_spikes_and_little_else();
    hostile_readings_leave_a_sound_state();
    an_overflow_code_at_power_on_is_forgotten();
    an_error_changes_nothing();
    a_state_that_is_not_whole_is_refused();
    a_damaged_state_is_refused_or_does_no_harm();
    sorted_values_that_are_not_those_of_the_ring_are_refused();
}
