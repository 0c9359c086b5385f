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

/* Bins of a block, as a power of 2; measured best on x86-64.  A firmware may choose fewer, 3 at least, to save
 * stack: 11 numbers a bin. */
#ifndef EAD_SLIDE_BLOCK_LOG2
#define EAD_SLIDE_BLOCK_LOG2 (sizeof(ead_real) == 4 ? 5 : 4)
#endif
#define BLOCK_LOG2 ((int)(EAD_SLIDE_BLOCK_LOG2))
#define BLOCK ((size_t)1 << EAD_SLIDE_BLOCK_LOG2)
#define PIECE 8 /* bins of the last block done at a time; BLOCK is a multiple of it */

/* does not compile for a block smaller than a piece */
typedef char ead_i_block_holds_a_piece[BLOCK >= PIECE ? 1 : -1];

/* What a step keeps between blocks.  The weights of a bin need the roots of two bins on either side, so they
 * are applied two bins late: root starts four bins and turned two bins before the block. */
struct pass {
    ead_real block_cos[BLOCK], block_sin[BLOCK]; /* w^(j p) */
    ead_real root[BLOCK + 6];                    /* |Y|^(-1/3), then two mirrored ones behind the last bin */
    ead_real turned_re[BLOCK + 2], turned_im[BLOCK + 2]; /* Y w^(-k p) */
    ead_real sum_re[BLOCK], sum_im[BLOCK];
};

/* Takes the new sample into both spectra at bins j..j + count - 1 of a block, and prepares their part of the
 * newest point's saliency.  count is a constant wherever this is called. */
static inline void take_sample(struct pass *restrict pass, const struct ead_i_step *restrict step,
                               ead_real base_cos, ead_real base_sin, ead_real *restrict live_re,
                               ead_real *restrict live_im, ead_real *restrict next_re,
                               ead_real *restrict next_im, size_t j, size_t count)
{
    const ead_real change = step->change, entry = step->entry, floor = step->floor;
    for (size_t i = 0; i < count; i++) {
        ead_real block_cos = pass->block_cos[j + i], block_sin = pass->block_sin[j + i];
        ead_real c = base_cos * block_cos - base_sin * block_sin;
        ead_real s = base_sin * block_cos + base_cos * block_sin;
        ead_real re = live_re[i] + change * c, im = live_im[i] - change * s;
        live_re[i] = re;
        live_im[i] = im;
        next_re[i] += entry * c;
        next_im[i] -= entry * s;
        pass->turned_re[j + i + 2] = re * c - im * s;
        pass->turned_im[j + i + 2] = re * s + im * c;
        pass->root[j + i + 4] = ead_i_inv_root6(re * re + (im * im + floor));
    }
}

/* The same at a range of the step's own bins, from first + j on. */
static inline void take_range(struct pass *pass, const struct ead_i_step *step, ead_real base_cos,
                              ead_real base_sin, size_t first, size_t j, size_t count)
{
    size_t bin = first + j;
    take_sample(pass, step, base_cos, base_sin, step->live_re + bin, step->live_im + bin, step->next_re + bin,
                step->next_im + bin, j, count);
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
    for (size_t j = 0; j < 6; j++)
        pass->root[j] = pass->root[j + BLOCK];
    for (size_t j = 0; j < 2; j++) {
        pass->turned_re[j] = pass->turned_re[j + BLOCK];
        pass->turned_im[j] = pass->turned_im[j + BLOCK];
    }
}

/* The last block, 1..BLOCK bins: in pieces, the last of them in a padded copy. */
static inline void take_rest(struct pass *pass, const struct ead_i_step *step, ead_real base_cos,
                             ead_real base_sin, size_t first, size_t count)
{
    size_t j = 0;
    for (; count - j >= PIECE; j += PIECE)
        take_range(pass, step, base_cos, base_sin, first, j, PIECE);
    if (j == count)
        return;
    ead_real rest[4][PIECE] = {{0}};
    ead_real *part[4] = {step->live_re, step->live_im, step->next_re, step->next_im};
    for (int i = 0; i < 4; i++)
        for (size_t k = 0; k < count - j; k++)
            rest[i][k] = part[i][first + j + k];
    take_sample(pass, step, base_cos, base_sin, rest[0], rest[1], rest[2], rest[3], j, PIECE);
    for (int i = 0; i < 4; i++)
        for (size_t k = 0; k < count - j; k++)
            part[i][first + j + k] = rest[i][k];
}

/* Behind the last bin of the last block there is nothing to sum, and the roots are those of the mirrored
 * bins. */
static inline void close_end(struct pass *pass, size_t n, size_t count)
{
    size_t odd = n % 2; /* even: the last bin is its own mirror, and is counted once */
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

static inline size_t add_places(size_t a, size_t b, size_t n)
{
    return a + b >= n ? a + b - n : a + b;
}

/* 2^times a, round the ring. */
static inline size_t doubled(size_t a, int times, size_t n)
{
    for (int i = 0; i < times; i++)
        a = add_places(a, a, n);
    return a;
}

/* Twiddles of a block, in four chains of look-ups, which the processor follows side by side. */
static inline void block_twiddles(struct pass *pass, const struct ead_i_step *step)
{
    const size_t n = step->n, p = step->position, two = doubled(p, 1, n), stride = doubled(p, 2, n);
    size_t at[4] = {0, p, two, add_places(two, p, n)};
    for (size_t j = 0; j < BLOCK; j += 4) {
        for (size_t i = 0; i < 4; i++) {
            pass->block_cos[j + i] = step->turns[2 * at[i]];
            pass->block_sin[j + i] = step->turns[2 * at[i] + 1];
            at[i] = add_places(at[i], stride, n);
        }
    }
}

/* The sum of a block's lanes, by halves: short chains of dependence again. */
static inline ead_real sum_of_lanes(ead_real *lane)
{
    for (size_t width = BLOCK / 2; width > 0; width /= 2)
        for (size_t j = 0; j < width; j++)
            lane[j] += lane[j + width];
    return lane[0];
}

static inline void slide_step(const struct ead_i_step *step, ead_real sum[2])
{
    struct pass pass;
    for (size_t j = 0; j < BLOCK; j++)
        pass.sum_re[j] = pass.sum_im[j] = 0;
    for (size_t j = 0; j < BLOCK + 6; j++)
        pass.root[j] = 0;
    for (size_t j = 0; j < 2; j++)
        pass.turned_re[j] = pass.turned_im[j] = 0;
    block_twiddles(&pass, step);
    size_t bins = step->n / 2, turn = step->position, stride = doubled(turn, BLOCK_LOG2, step->n), first = 0;
    for (; bins - first > BLOCK; first += BLOCK) {
        take_range(&pass, step, step->turns[2 * turn], step->turns[2 * turn + 1], first, 0, BLOCK);
        if (first == 0)
            pass.root[2] = pass.root[3] = pass.root[4]; /* bin 1 stands for the bins before it */
        weigh(&pass, BLOCK);
        carry_over(&pass);
        turn = add_places(turn, stride, step->n);
    }
    take_rest(&pass, step, step->turns[2 * turn], step->turns[2 * turn + 1], first, bins - first);
    if (first == 0)
        pass.root[2] = pass.root[3] = pass.root[4];
    close_end(&pass, step->n, bins - first);
    weigh(&pass, BLOCK);
    carry_over(&pass);
    weigh(&pass, 2);
    sum[0] = sum_of_lanes(pass.sum_re);
    sum[1] = sum_of_lanes(pass.sum_im);
}

#endif
