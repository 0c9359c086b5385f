/* One step of the sliding spectral residual: the loop over bins, compiled once an instruction set
 * (ead_slide_*.c). SPDX-License-Identifier: Apache-2.0
 *
 * Plain C in blocks of a fixed size, which compilers turn into straight vector code.  In a block, bin k =
 * first + j has the twiddle w^(k p) = w^(first p) w^(j p): one table look-up a block and BLOCK a step instead
 * of one a bin, and no gather. */
#ifndef EAD_SLIDE_STEP_H
#define EAD_SLIDE_STEP_H

#include "ead_internal.h"
#include "ead_root6.h"
#include "ead_slide.h"

/* Bins; measured best on x86-64.  A firmware may choose fewer to save stack: 11 numbers a bin. */
#ifndef EAD_SLIDE_BLOCK
#define EAD_SLIDE_BLOCK (sizeof(ead_real) == 4 ? 32 : 16)
#endif
#define BLOCK EAD_SLIDE_BLOCK

/* What a step keeps between blocks.  The weights of a bin need the roots of two bins on either side, so they
 * are applied two bins late: root starts four bins and turned two bins before the block. */
struct pass {
    ead_real block_cos[BLOCK], block_sin[BLOCK]; /* w^(j p) */
    ead_real root[BLOCK + 6];                    /* |Y|^(-1/3), then two mirrored ones behind the last bin */
    ead_real turned_re[BLOCK + 2], turned_im[BLOCK + 2]; /* Y w^(-k p) */
    ead_real sum_re[BLOCK], sum_im[BLOCK];
};

/* Takes the new sample into both spectra at BLOCK bins, and prepares their part of the newest point's
 * saliency. */
static inline void take_sample(struct pass *restrict pass, const struct ead_i_step *restrict step,
                               ead_real base_cos, ead_real base_sin, ead_real *restrict live_re,
                               ead_real *restrict live_im, ead_real *restrict next_re,
                               ead_real *restrict next_im)
{
    const ead_real change = step->change, entry = step->entry, floor = step->floor;
    for (size_t j = 0; j < BLOCK; j++) {
        ead_real c = base_cos * pass->block_cos[j] - base_sin * pass->block_sin[j];
        ead_real s = base_sin * pass->block_cos[j] + base_cos * pass->block_sin[j];
        ead_real re = live_re[j] + change * c, im = live_im[j] - change * s;
        live_re[j] = re;
        live_im[j] = im;
        next_re[j] += entry * c;
        next_im[j] -= entry * s;
        pass->turned_re[j + 2] = re * c - im * s;
        pass->turned_im[j + 2] = re * s + im * c;
        pass->root[j + 4] = ead_i_inv_root6(re * re + im * im + floor);
    }
}

/* Sums Y w^(-k p) / G over bins k and n - k; the latter's trailing mean runs over k, k + 1 and k + 2. */
static inline void weigh(struct pass *restrict pass, size_t bins)
{
    for (size_t j = 0; j < bins; j++) {
        ead_real below = pass->root[j + 2] * pass->root[j + 1] * pass->root[j];
        ead_real above = pass->root[j + 2] * pass->root[j + 3] * pass->root[j + 4];
        pass->sum_re[j] += (below + above) * pass->turned_re[j];
        pass->sum_im[j] += (below - above) * pass->turned_im[j];
    }
}

static inline void carry_over(struct pass *pass)
{
    for (int j = 0; j < 6; j++)
        pass->root[j] = pass->root[j + BLOCK];
    for (int j = 0; j < 2; j++) {
        pass->turned_re[j] = pass->turned_re[j + BLOCK];
        pass->turned_im[j] = pass->turned_im[j + BLOCK];
    }
}

/* The last block, 1..BLOCK bins: worked on in a padded copy. */
static inline void take_rest(struct pass *pass, const struct ead_i_step *step, ead_real base_cos,
                             ead_real base_sin, size_t first, size_t count)
{
    ead_real rest[4][BLOCK];
    ead_real *part[4] = {step->live_re + first, step->live_im + first, step->next_re + first,
                         step->next_im + first};
    EAD_FILL(rest, 0, sizeof rest);
    for (int i = 0; i < 4; i++)
        EAD_COPY(rest[i], part[i], count * sizeof(ead_real));
    take_sample(pass, step, base_cos, base_sin, rest[0], rest[1], rest[2], rest[3]);
    for (int i = 0; i < 4; i++)
        EAD_COPY(part[i], rest[i], count * sizeof(ead_real));
}

/* Behind the last bin of the last block there is nothing to sum, and the roots are those of the mirrored
 * bins. */
static inline void close_end(struct pass *pass, size_t n, size_t count)
{
    size_t odd =
        n %
        2; /* odd: the bin behind the last mirrors the last; even: the last is its own mirror, counted once */
    ead_real *behind = pass->root + count + 4;
    if (!odd) {
        pass->turned_re[count + 1] /= 2;
        pass->turned_im[count + 1] = 0;
    }
    for (size_t j = count + 2; j < BLOCK + 2; j++)
        pass->turned_re[j] = pass->turned_im[j] = 0;
    ead_real mirror[2] = {behind[(int)odd - 2], behind[(int)odd - 3]};
    behind[0] = mirror[0];
    behind[1] = mirror[1];
}

static inline void block_twiddles(struct pass *pass, const struct ead_i_step *step)
{
    size_t at = 0;
    for (size_t j = 0; j < BLOCK; j++) {
        pass->block_cos[j] = step->turns[2 * at];
        pass->block_sin[j] = step->turns[2 * at + 1];
        at += step->position;
        at -= at >= step->n ? step->n : 0;
    }
}

static inline void slide_step(const struct ead_i_step *step, ead_real sum[2])
{
    struct pass pass;
    EAD_FILL(&pass, 0, sizeof pass);
    block_twiddles(&pass, step);
    size_t bins = step->n / 2, turn = step->position, stride = BLOCK * step->position % step->n, first = 0;
    for (; bins - first > BLOCK; first += BLOCK) {
        take_sample(&pass, step, step->turns[2 * turn], step->turns[2 * turn + 1], step->live_re + first,
                    step->live_im + first, step->next_re + first, step->next_im + first);
        if (first == 0)
            pass.root[2] = pass.root[3] = pass.root[4]; /* bin 1 stands for the bins before it */
        weigh(&pass, BLOCK);
        carry_over(&pass);
        turn += stride;
        turn -= turn >= step->n ? step->n : 0;
    }
    take_rest(&pass, step, step->turns[2 * turn], step->turns[2 * turn + 1], first, bins - first);
    if (first == 0)
        pass.root[2] = pass.root[3] = pass.root[4];
    close_end(&pass, step->n, bins - first);
    weigh(&pass, BLOCK);
    carry_over(&pass);
    weigh(&pass, 2);
    sum[0] = sum[1] = 0;
    for (size_t j = 0; j < BLOCK; j++) {
        sum[0] += pass.sum_re[j];
        sum[1] += pass.sum_im[j];
    }
}

#endif
