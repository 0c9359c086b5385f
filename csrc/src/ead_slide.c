/* The sliding last-point spectral residual: state, table, and the portable step.  SPDX-License-Identifier:
 * Apache-2.0
 *
 * The transform of the circular buffer in place: when the sample at place p changes by d, Y_k += d w^(k p).
 * Nothing is ever multiplied into the state, so rounding errors add up but do not grow, and a second
 * spectrum, summed from zero while the buffer goes round once and then swapped in, ends even that.  Rotating
 * the buffer only turns phases, so the newest sample's saliency is one sum over Y_k w^(-k p) / G_k, with the
 * same twiddles in the same pass. */
#include "ead_slide.h"
#include "ead_slide_step.h"

#define STATE_MAGIC EAD_MAGIC('S' << 8 | 'L')
#define TABLE_MAGIC EAD_MAGIC('S' << 8 | 'T')
#define STATE_VERSION 1

#ifdef EAD_REAL_FLOAT
#define MAX_DEVIATION ((ead_wide)1e14f) /* a bin's power, (n times that)^2, still fits */
#else
#define MAX_DEVIATION ((ead_wide)1e140)
#endif

struct ead_slide_table {
    uint32_t magic, n, isa, reserved;
    /* then 2 n ead_real: cos and sin of 2 pi i / n */
};

/* What is known of one of the two spectra besides its bins. */
struct basis {
    ead_wide level;  /* reference level its samples are taken against */
    ead_wide sum;    /* of the deviations from it */
    ead_wide energy; /* sum of their squares */
};

struct ead_slide {
    uint32_t magic, version, wide_size;
    uint32_t n;
    uint32_t mean_len; /* saliencies kept for the streamed mean */
    uint32_t
        position;  /* place in the ring of the next sample; the samples before it are against rebuilt.level */
    uint32_t live; /* which of the two spectra is the live one */
    uint32_t reserved;
    uint64_t count; /* samples taken */
    struct basis current, rebuilt;
    /* then, as ead_real: ring[n], two spectra of re[n / 2] and im[n / 2] for bins 1..n/2, recent[mean_len] */
};

static int valid_length(size_t n)
{
    return n >= EAD_SLIDE_MIN_LEN && n <= EAD_SLIDE_MAX_LEN;
}

/* ---- table ---- */

#ifdef EAD_X86_VARIANTS
static int has_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#endif

static int isa_present(int isa)
{
    switch (isa) {
    case EAD_ISA_BEST:
    case EAD_ISA_PORTABLE:
        return 1;
#ifdef EAD_X86_VARIANTS
    case EAD_ISA_AVX2:
        return has_avx2();
    case EAD_ISA_AVX512:
        return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512vl");
#endif
    default:
        return 0;
    }
}

size_t ead_slide_table_size(size_t n)
{
    return valid_length(n) ? sizeof(ead_slide_table) + 2 * n * sizeof(ead_real) : 0;
}

int ead_slide_table_init(ead_slide_table *table, size_t bytes, size_t n, int isa)
{
    if (!valid_length(n))
        return EAD_E_LENGTH;
    if (!isa_present(isa))
        return EAD_E_RANGE;
    if (bytes < ead_slide_table_size(n))
        return EAD_E_WORK;
    for (int better = EAD_ISA_AVX512; isa == EAD_ISA_BEST; better--)
        isa = isa_present(better) ? better : EAD_ISA_BEST;
    *table = (ead_slide_table){.magic = TABLE_MAGIC, .n = (uint32_t)n, .isa = (uint32_t)isa};
    ead_real *turns = (ead_real *)(table + 1);
    for (size_t i = 0; i < n; i++)
        ead_i_unit_root(i, n, &turns[2 * i], &turns[2 * i + 1]);
    return EAD_OK;
}

int ead_slide_table_isa(const ead_slide_table *table)
{
    return table->magic == TABLE_MAGIC ? (int)table->isa : EAD_E_STATE;
}

/* ---- state ---- */

static ead_real *ring_of(ead_slide *state)
{
    return (ead_real *)(state + 1);
}

static ead_real *recent_of(ead_slide *state)
{
    return ring_of(state) + state->n + 4 * (state->n / 2);
}

/* The re values of a spectrum, 0 the live one and 1 the one being rebuilt; the im values follow. */
static ead_real *spectrum_of(ead_slide *state, uint32_t which)
{
    return ring_of(state) + state->n + 2 * (state->n / 2) * (state->live ^ which);
}

size_t ead_slide_size(size_t n, size_t mean_len)
{
    if (!valid_length(n) || mean_len > EAD_SLIDE_MAX_MEAN)
        return 0;
    return (sizeof(ead_slide) + (n + 4 * (n / 2) + mean_len) * sizeof(ead_real) + 7) / 8 * 8;
}

int ead_slide_init(ead_slide *state, size_t bytes, size_t n, size_t mean_len)
{
    if (!valid_length(n))
        return EAD_E_LENGTH;
    if (mean_len > EAD_SLIDE_MAX_MEAN)
        return EAD_E_RANGE;
    if (bytes < ead_slide_size(n, mean_len))
        return EAD_E_WORK;
    EAD_FILL(state, 0, ead_slide_size(n, mean_len));
    state->magic = STATE_MAGIC;
    state->version = STATE_VERSION;
    state->wide_size = sizeof(ead_wide);
    state->n = (uint32_t)n;
    state->mean_len = (uint32_t)mean_len;
    return EAD_OK;
}

static int basis_finite(const struct basis *basis)
{
    return basis->level - basis->level == 0 && basis->sum - basis->sum == 0 &&
           basis->energy - basis->energy == 0;
}

int ead_slide_check(const ead_slide *state, size_t bytes, size_t n, size_t mean_len)
{
    if (bytes < sizeof *state || state->magic != STATE_MAGIC || state->version != STATE_VERSION ||
        state->wide_size != sizeof(ead_wide) || state->n != n || state->mean_len != mean_len)
        return EAD_E_STATE;
    size_t size = ead_slide_size(n, mean_len);
    if (size == 0 || bytes < size || state->live > 1 || state->position != state->count % n ||
        !basis_finite(&state->current) || !basis_finite(&state->rebuilt))
        return EAD_E_STATE;
    const ead_real *numbers = (const ead_real *)(state + 1);
    return ead_i_all_finite(numbers, n + 4 * (n / 2) + mean_len) ? EAD_OK : EAD_E_STATE;
}

/* ---- feeding ---- */

int ead_i_slide_fits(const ead_slide *state, const ead_slide_table *table)
{
    int known = state->magic == STATE_MAGIC && table->magic == TABLE_MAGIC && state->n == table->n;
    return known ? EAD_OK : EAD_E_STATE;
}

static int deviates_too_far(const ead_slide *state, ead_wide x)
{
    ead_wide now = x - state->current.level, later = x - state->rebuilt.level;
    return !(now <= MAX_DEVIATION && now >= -MAX_DEVIATION && later <= MAX_DEVIATION &&
             later >= -MAX_DEVIATION);
}

/* Deviations before and after a sample at place p is set to x, against one basis. */
static void account(struct basis *basis, ead_wide before, ead_wide after)
{
    basis->sum += after - before;
    basis->energy += after * after - before * before;
}

/* Sets the sample at place p; before is its deviation from the current level so far. */
static void set_sample(ead_slide *state, size_t p, ead_wide before, ead_wide x, struct ead_i_step *step)
{
    ead_real after = (ead_real)(x - state->current.level);
    account(&state->current, before, (ead_wide)after);
    step->change = after - (ead_real)before;
    ring_of(state)[p] = after;
}

/* The same for the spectrum being rebuilt: before is 0 for a place not yet reached in this round. */
static void set_rebuilt(ead_slide *state, size_t p, ead_real before, ead_wide x, struct ead_i_step *step)
{
    ead_real after = (ead_real)(x - state->rebuilt.level);
    account(&state->rebuilt, (ead_wide)before, (ead_wide)after);
    step->entry = after - before;
    ring_of(state)[p] = after;
}

/* The ring has gone round: what was rebuilt becomes the live spectrum, and a new one begins at the window's
 * mean. */
static void swap_spectra(ead_slide *state)
{
    state->position = 0;
    state->live ^= 1;
    state->current = state->rebuilt;
    ead_wide mean = state->current.level + state->current.sum / (ead_wide)state->n;
    state->rebuilt = (struct basis){.level = mean};
    EAD_FILL(spectrum_of(state, 1), 0, 2 * (state->n / 2) * sizeof(ead_real));
}

static void prepare(ead_slide *state, const ead_slide_table *table, size_t p, struct ead_i_step *step)
{
    step->n = state->n;
    step->position = p;
    step->turns = (const ead_real *)(table + 1);
    step->live_re = spectrum_of(state, 0);
    step->next_re = spectrum_of(state, 1);
    step->live_im = step->live_re + state->n / 2;
    step->next_im = step->next_re + state->n / 2;
}

static void take_step(const ead_slide_table *table, const struct ead_i_step *step, ead_real sum[2])
{
    switch (table->isa) {
#ifdef EAD_X86_VARIANTS
    case EAD_ISA_AVX2:
        ead_i_slide_step_avx2(step, sum);
        break;
    case EAD_ISA_AVX512:
        ead_i_slide_step_avx512(step, sum);
        break;
#endif
    default:
        slide_step(step, sum);
    }
}

int ead_slide_feed(ead_slide *state, const ead_slide_table *table, ead_wide x, ead_real *saliency)
{
    int status = ead_i_slide_fits(state, table);
    if (status != EAD_OK)
        return status;
    if (x - x != 0)
        return EAD_E_NOT_FINITE;
    if (state->count == 0)
        state->current.level = state->rebuilt.level = x;
    if (deviates_too_far(state, x))
        return EAD_E_RANGE;
    struct ead_i_step step;
    ead_real sum[2];
    prepare(state, table, state->position, &step);
    set_sample(state, step.position, (ead_wide)ring_of(state)[step.position], x, &step);
    set_rebuilt(state, step.position, 0, x, &step);
    step.floor = (ead_real)(state->current.energy > 0 ? state->current.energy : 0) * EAD_POWER_FLOOR;
    take_step(table, &step, sum);
    *saliency = EAD_SQRT(sum[0] * sum[0] + sum[1] * sum[1]) / (ead_real)state->n;
    if (state->mean_len)
        recent_of(state)[state->count % state->mean_len] = *saliency;
    state->count++;
    if (++state->position == state->n)
        swap_spectra(state);
    return EAD_OK;
}

int ead_slide_replace(ead_slide *state, const ead_slide_table *table, size_t age, ead_wide x)
{
    int status = ead_i_slide_fits(state, table);
    if (status != EAD_OK)
        return status;
    if (x - x != 0)
        return EAD_E_NOT_FINITE;
    if (age >= state->n || age >= state->count || deviates_too_far(state, x))
        return EAD_E_RANGE;
    size_t p = (state->position + state->n - 1 - age) % state->n;
    ead_real slot = ring_of(state)[p], unused[2];
    struct ead_i_step step = {0};
    prepare(state, table, p, &step);
    if (p < state->position) { /* this round's: against the level being rebuilt */
        set_sample(state, p, (ead_wide)slot + (state->rebuilt.level - state->current.level), x, &step);
        set_rebuilt(state, p, slot, x, &step);
    } else {
        set_sample(state, p, (ead_wide)slot, x, &step);
    }
    take_step(table, &step, unused);
    return EAD_OK;
}

ead_real ead_slide_mean(const ead_slide *state)
{
    const ead_real *recent = (const ead_real *)(state + 1) + state->n + 4 * (state->n / 2);
    size_t kept = state->count < state->mean_len ? (size_t)state->count : state->mean_len;
    ead_real sum = 0;
    for (size_t i = 0; i < kept; i++)
        sum += recent[i];
    return kept ? sum / (ead_real)kept : 0;
}

uint64_t ead_slide_count(const ead_slide *state)
{
    return state->count;
}
