/* Fourier transforms of any length.  SPDX-License-Identifier: Apache-2.0
 *
 * Inside, complex numbers lie as two arrays (re, im), so that plain C vectorises.  A length with small prime
 * factors runs as Stockham's autosort with one function a radix (one function for all spills registers); any
 * other as Bluestein's chirp convolution of a comfortable length.  A plan is one block of bytes: the struct
 * below, then its numbers. */
#include "ead_internal.h"

#define MAX_FACTORS 24
/* Greatest prime factor done directly; above some sixty, Bluestein is faster anyway. */
#ifndef EAD_FFT_MAX_RADIX
#define EAD_FFT_MAX_RADIX 61
#endif
#define MAX_RADIX EAD_FFT_MAX_RADIX
#define MAGIC EAD_MAGIC('F' << 8 | 'T')

struct ead_fft_plan {
    uint32_t magic;
    uint32_t n;         /* points as the caller counts them */
    uint32_t kind;      /* EAD_FFT_COMPLEX or EAD_FFT_REAL */
    uint32_t core;      /* points of the inner complex transform: n, or n/2 for real data of even n */
    uint32_t conv;      /* length of Bluestein's convolution, 0 = mixed radix */
    uint32_t n_factors; /* of conv, else of core */
    uint32_t factor[MAX_FACTORS];
    /* then, as ead_real: re[] and im[] of
     *   the stages' twiddles   (length transformed - 1) each, see twiddles_of_stages
     *   the generic radices' roots, MAX_RADIX each, one set a factor > 5
     *   Bluestein: chirp (core each) and its transform (conv each)
     *   real data of even n: roots of n, core each */
};

/* ---- factors ---- */

/* Splits n into radices, 4s first, and says what the passes cost in rough flops a point; 0 if a prime is too
 * large. */
static size_t factorise(size_t n, uint32_t *factor, uint32_t *count)
{
    static const uint32_t first[] = {4, 2, 3, 5};
    size_t cost = 0;
    *count = 0;
    for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
        for (; n % first[i] == 0; n /= first[i]) {
            factor[(*count)++] = first[i];
            cost += first[i];
        }
    }
    for (uint32_t p = 7; n > 1 && p <= MAX_RADIX; p += 2) {
        for (; n % p == 0; n /= p) {
            factor[(*count)++] = p;
            cost += p + p / 2;
        }
    }
    return n > 1 ? 0 : cost + 1;
}

/* The smallest 2^a 3^b 5^c that is at least n. */
static size_t comfortable(size_t n)
{
    size_t best = 1;
    while (best < n)
        best *= 2;
    for (size_t five = 1; five < best; five *= 5) {
        for (size_t odd = five; odd < best; odd *= 3) {
            size_t len = odd;
            while (len < n)
                len *= 2;
            if (len < best)
                best = len;
        }
    }
    return best;
}

static size_t generic_roots(const ead_fft_plan *plan)
{
    size_t sets = 0;
    for (uint32_t i = 0; i < plan->n_factors; i++)
        sets += plan->factor[i] > 5;
    return sets * MAX_RADIX;
}

/* Fills the struct's fields; the numbers are not computed. */
static void layout(ead_fft_plan *plan, size_t n, int kind)
{
    EAD_FILL(plan, 0, sizeof *plan);
    plan->magic = MAGIC;
    plan->n = (uint32_t)n;
    plan->kind = (uint32_t)kind;
    plan->core = (uint32_t)(kind == EAD_FFT_REAL && n % 2 == 0 ? n / 2 : n);
    size_t cost = factorise(plan->core, plan->factor, &plan->n_factors);
    if (plan->core <= 5)
        return;
    uint32_t factor[MAX_FACTORS], count;
    size_t conv = comfortable(2 * (size_t)plan->core - 1);
    /* two transforms of conv points, and half as much again for the products */
    size_t chirp_cost = factorise(conv, factor, &count) * conv * 3;
    if (cost == 0 || cost * plan->core > chirp_cost) {
        plan->conv = (uint32_t)conv;
        plan->n_factors = count;
        EAD_COPY(plan->factor, factor, sizeof factor);
    }
}

static int is_packed(const ead_fft_plan *plan)
{
    return plan->core != plan->n;
}

static size_t transformed(const ead_fft_plan *plan)
{
    return plan->conv ? plan->conv : plan->core;
}

/* Where each part of a plan's numbers starts, in elements; each part is its re values and then its im values.
 */
struct parts {
    size_t roots, chirp, chirp_ft, packed, end;
};

static struct parts parts_of(const ead_fft_plan *plan)
{
    struct parts at;
    at.roots = 2 * (transformed(plan) - 1);
    at.chirp = at.roots + 2 * generic_roots(plan);
    at.chirp_ft = at.chirp + (plan->conv ? 2 * (size_t)plan->core : 0);
    at.packed = at.chirp_ft + 2 * (size_t)plan->conv;
    at.end = at.packed + (is_packed(plan) ? 2 * (size_t)plan->core : 0);
    return at;
}

static int valid_kind(int kind)
{
    return kind == EAD_FFT_COMPLEX || kind == EAD_FFT_REAL;
}

size_t ead_fft_plan_size(size_t n, int kind)
{
    if (n < 1 || n > EAD_FFT_MAX_LEN || !valid_kind(kind))
        return 0;
    ead_fft_plan plan;
    layout(&plan, n, kind);
    return sizeof plan + parts_of(&plan).end * sizeof(ead_real);
}

/* ---- passes: each reads x as (radix, m, s) and writes y as (m, radix, s); w holds (radix - 1) rows of m
 * twiddles ---- */

/* A complex value in registers; the passes load, combine and store these. */
typedef struct {
    ead_real re, im;
} cplx;

static inline cplx load(const ead_real *re, const ead_real *im, size_t i)
{
    return (cplx){re[i], im[i]};
}

static inline cplx add(cplx a, cplx b)
{
    return (cplx){a.re + b.re, a.im + b.im};
}

static inline cplx sub(cplx a, cplx b)
{
    return (cplx){a.re - b.re, a.im - b.im};
}

static inline cplx mul(cplx a, cplx b)
{
    return (cplx){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

/* a - i b */
static inline cplx sub_i(cplx a, cplx b)
{
    return (cplx){a.re + b.im, a.im - b.re};
}

/* a + i b */
static inline cplx add_i(cplx a, cplx b)
{
    return (cplx){a.re - b.im, a.im + b.re};
}

static inline cplx scale(cplx a, ead_real f)
{
    return (cplx){a.re * f, a.im * f};
}

static inline void store(ead_real *re, ead_real *im, size_t i, cplx a)
{
    re[i] = a.re;
    im[i] = a.im;
}

/* The arrays of one pass. */
#define PASS_ARGS                                                                                            \
    size_t m, size_t s, const ead_real *restrict xr, const ead_real *restrict xi, ead_real *restrict yr,     \
        ead_real *restrict yi, const ead_real *restrict wr, const ead_real *restrict wi

static inline void radix2(PASS_ARGS)
{
    for (size_t p = 0; p < m; p++) {
        cplx w = load(wr, wi, p);
        for (size_t q = 0; q < s; q++) {
            cplx a = load(xr, xi, q + s * p), b = load(xr, xi, q + s * (p + m));
            store(yr, yi, q + s * 2 * p, add(a, b));
            store(yr, yi, q + s * (2 * p + 1), mul(sub(a, b), w));
        }
    }
}

static inline void radix3(PASS_ARGS)
{
    const ead_real half_root = (ead_real)0.86602540378443864676; /* sin(2 pi / 3) */
    for (size_t p = 0; p < m; p++) {
        cplx w1 = load(wr, wi, p), w2 = load(wr, wi, p + m);
        for (size_t q = 0; q < s; q++) {
            cplx a = load(xr, xi, q + s * p), b = load(xr, xi, q + s * (p + m)),
                 c = load(xr, xi, q + s * (p + 2 * m));
            cplx sum = add(b, c), turned = scale(sub(b, c), half_root);
            cplx centre = add(a, scale(sum, (ead_real)-0.5));
            store(yr, yi, q + s * 3 * p, add(a, sum));
            store(yr, yi, q + s * (3 * p + 1), mul(sub_i(centre, turned), w1));
            store(yr, yi, q + s * (3 * p + 2), mul(add_i(centre, turned), w2));
        }
    }
}

static inline void radix4(PASS_ARGS)
{
    for (size_t p = 0; p < m; p++) {
        cplx w1 = load(wr, wi, p), w2 = load(wr, wi, p + m), w3 = load(wr, wi, p + 2 * m);
        for (size_t q = 0; q < s; q++) {
            cplx a = load(xr, xi, q + s * p), b = load(xr, xi, q + s * (p + m));
            cplx c = load(xr, xi, q + s * (p + 2 * m)), d = load(xr, xi, q + s * (p + 3 * m));
            cplx even = add(a, c), odd = add(b, d), even_diff = sub(a, c), odd_diff = sub(b, d);
            store(yr, yi, q + s * 4 * p, add(even, odd));
            store(yr, yi, q + s * (4 * p + 1), mul(sub_i(even_diff, odd_diff), w1));
            store(yr, yi, q + s * (4 * p + 2), mul(sub(even, odd), w2));
            store(yr, yi, q + s * (4 * p + 3), mul(add_i(even_diff, odd_diff), w3));
        }
    }
}

static inline void radix5(PASS_ARGS)
{
    const ead_real c1 = (ead_real)0.30901699437494742410,
                   c2 = (ead_real)-0.80901699437494742410; /* cos 2 pi/5, 4 pi/5 */
    const ead_real s1 = (ead_real)0.95105651629515357212,
                   s2 = (ead_real)0.58778525229247312917; /* sin 2 pi/5, 4 pi/5 */
    for (size_t p = 0; p < m; p++) {
        for (size_t q = 0; q < s; q++) {
            cplx a = load(xr, xi, q + s * p), b = load(xr, xi, q + s * (p + m)),
                 c = load(xr, xi, q + s * (p + 2 * m));
            cplx d = load(xr, xi, q + s * (p + 3 * m)), e = load(xr, xi, q + s * (p + 4 * m));
            cplx be = add(b, e), cd = add(c, d), be_diff = sub(b, e), cd_diff = sub(c, d);
            cplx near = add(a, add(scale(be, c1), scale(cd, c2))),
                 far = add(a, add(scale(be, c2), scale(cd, c1)));
            cplx near_turn = add(scale(be_diff, s1), scale(cd_diff, s2));
            cplx far_turn = sub(scale(be_diff, s2), scale(cd_diff, s1));
            store(yr, yi, q + s * 5 * p, add(a, add(be, cd)));
            store(yr, yi, q + s * (5 * p + 1), mul(sub_i(near, near_turn), load(wr, wi, p)));
            store(yr, yi, q + s * (5 * p + 2), mul(sub_i(far, far_turn), load(wr, wi, p + m)));
            store(yr, yi, q + s * (5 * p + 3), mul(add_i(far, far_turn), load(wr, wi, p + 2 * m)));
            store(yr, yi, q + s * (5 * p + 4), mul(add_i(near, near_turn), load(wr, wi, p + 3 * m)));
        }
    }
}

/* One butterfly of odd radix r: a[] in, b[] out; root j is exp(-2 pi i j / r).  Pairs j, r - j share their
 * products. */
static void butterfly_odd(size_t r, const ead_real *root_re, const ead_real *root_im, cplx *a, cplx *b)
{
    cplx total = a[0];
    for (size_t j = 1; j <= r / 2; j++) {
        cplx sum = add(a[j], a[r - j]), diff = sub(a[j], a[r - j]);
        a[j] = sum;
        a[r - j] = diff;
        total = add(total, sum);
    }
    b[0] = total;
    for (size_t k = 1; k <= r / 2; k++) {
        cplx even = a[0], odd = {0, 0};
        for (size_t j = 1, jk = k; j <= r / 2; j++) {
            even = add(even, scale(a[j], root_re[jk]));
            odd = add(odd, scale(a[r - j], root_im[jk]));
            jk += k;
            jk -= jk >= r ? r : 0;
        }
        b[k] = add_i(even, odd);
        b[r - k] = sub_i(even, odd);
    }
}

static void radix_odd(size_t r, const ead_real *root_re, const ead_real *root_im, PASS_ARGS)
{
    cplx a[MAX_RADIX], b[MAX_RADIX];
    for (size_t p = 0; p < m; p++) {
        for (size_t q = 0; q < s; q++) {
            for (size_t j = 0; j < r; j++)
                a[j] = load(xr, xi, q + s * (p + j * m));
            butterfly_odd(r, root_re, root_im, a, b);
            store(yr, yi, q + s * r * p, b[0]);
            for (size_t k = 1; k < r; k++)
                store(yr, yi, q + s * (r * p + k), mul(b[k], load(wr, wi, p + (k - 1) * m)));
        }
    }
}

/* The first pass has s = 1: named so, the loop over p becomes the inner one and vectorises. */
#define PASS(name)                                                                                           \
    static void name##_pass(PASS_ARGS)                                                                       \
    {                                                                                                        \
        if (s == 1)                                                                                          \
            name(m, 1, xr, xi, yr, yi, wr, wi);                                                              \
        else                                                                                                 \
            name(m, s, xr, xi, yr, yi, wr, wi);                                                              \
    }
PASS(radix2)
PASS(radix3)
PASS(radix4)
PASS(radix5)

/* The mixed-radix transform of n split values in (re, im), with (other_re, other_im) as the second buffer. */
static void stages(const ead_fft_plan *plan, size_t n, ead_real *re, ead_real *im, ead_real *other_re,
                   ead_real *other_im)
{
    const ead_real *number = (const ead_real *)(plan + 1);
    const ead_real *wr = number, *wi = number + (n - 1);
    const ead_real *root = number + parts_of(plan).roots;
    ead_real *xr = re, *xi = im, *yr = other_re, *yi = other_im;
    size_t s = 1;
    for (uint32_t i = 0; i < plan->n_factors; i++) {
        size_t r = plan->factor[i], m = n / s / r;
        switch (r) {
        case 2:
            radix2_pass(m, s, xr, xi, yr, yi, wr, wi);
            break;
        case 3:
            radix3_pass(m, s, xr, xi, yr, yi, wr, wi);
            break;
        case 4:
            radix4_pass(m, s, xr, xi, yr, yi, wr, wi);
            break;
        case 5:
            radix5_pass(m, s, xr, xi, yr, yi, wr, wi);
            break;
        default:
            radix_odd(r, root, root + MAX_RADIX, m, s, xr, xi, yr, yi, wr, wi);
            root += 2 * MAX_RADIX;
        }
        ead_real *swap_re = xr, *swap_im = xi;
        xr = yr, xi = yi, yr = swap_re, yi = swap_im;
        wr += (r - 1) * m;
        wi += (r - 1) * m;
        s *= r;
    }
    if (xr != re) {
        EAD_COPY(re, xr, n * sizeof *re);
        EAD_COPY(im, xi, n * sizeof *im);
    }
}

/* ---- Bluestein: jk = (j^2 + k^2 - (k - j)^2) / 2 turns the transform into a convolution with a chirp ----
 */

static void multiply(size_t n, ead_real *restrict re, ead_real *restrict im, const ead_real *restrict wr,
                     const ead_real *restrict wi)
{
    for (size_t i = 0; i < n; i++)
        store(re, im, i, mul(load(re, im, i), load(wr, wi, i)));
}

static void bluestein(const ead_fft_plan *plan, ead_real *re, ead_real *im, ead_real *work)
{
    const ead_real *number = (const ead_real *)(plan + 1);
    struct parts at = parts_of(plan);
    size_t n = plan->core, conv = plan->conv;
    const ead_real *chirp = number + at.chirp, *chirp_ft = number + at.chirp_ft;
    ead_real *ar = work, *ai = work + conv, *br = ai + conv, *bi = br + conv;
    EAD_COPY(ar, re, n * sizeof *ar);
    EAD_COPY(ai, im, n * sizeof *ai);
    multiply(n, ar, ai, chirp, chirp + n);
    EAD_FILL(ar + n, 0, (conv - n) * sizeof *ar);
    EAD_FILL(ai + n, 0, (conv - n) * sizeof *ai);
    stages(plan, conv, ar, ai, br, bi);
    multiply(conv, ar, ai, chirp_ft, chirp_ft + conv);
    stages(plan, conv, ai, ar, bi, br); /* swapped: the inverse; 1/conv is inside chirp_ft */
    multiply(n, ar, ai, chirp, chirp + n);
    EAD_COPY(re, ar, n * sizeof *re);
    EAD_COPY(im, ai, n * sizeof *im);
}

/* ---- making a plan ---- */

static void store_root(ead_real *re, ead_real *im, size_t i, uint64_t k, uint64_t n)
{
    ead_real sine;
    ead_i_unit_root(k % n, n, &re[i], &sine);
    im[i] = -sine;
}

static void twiddles_of_stages(ead_fft_plan *plan, ead_real *number)
{
    size_t n = transformed(plan), len = n, at = 0;
    ead_real *root = number + parts_of(plan).roots;
    for (uint32_t i = 0; i < plan->n_factors; i++) {
        size_t r = plan->factor[i], m = len / r;
        for (size_t k = 1; k < r; k++)
            for (size_t p = 0; p < m; p++)
                store_root(number, number + (n - 1), at++, (uint64_t)p * k, len);
        for (size_t j = 0; r > 5 && j < r; j++)
            store_root(root, root + MAX_RADIX, j, j, r);
        root += r > 5 ? 2 * MAX_RADIX : 0;
        len = m;
    }
}

static void chirp_of(ead_fft_plan *plan, ead_real *number)
{
    struct parts at = parts_of(plan);
    size_t n = plan->core, conv = plan->conv;
    ead_real *chirp = number + at.chirp, *ft = number + at.chirp_ft;
    for (size_t j = 0; j < n; j++)
        store_root(chirp, chirp + n, j, (uint64_t)j * j, 2 * (uint64_t)n);
    EAD_FILL(ft, 0, 2 * conv * sizeof *ft);
    for (size_t j = 0; j < n; j++) {
        cplx turned = {chirp[j] / (ead_real)conv, -chirp[n + j] / (ead_real)conv};
        store(ft, ft + conv, j, turned);
        store(ft, ft + conv, (conv - j) % conv, turned);
    }
}

/* ---- public ---- */

/* Elements of work of ead_i_fft_split. */
static size_t split_work(const ead_fft_plan *plan)
{
    return plan->conv ? 4 * (size_t)plan->conv : 2 * (size_t)plan->core;
}

size_t ead_fft_work_len(size_t n, int kind)
{
    if (n < 1 || n > EAD_FFT_MAX_LEN || !valid_kind(kind))
        return 0;
    ead_fft_plan plan;
    layout(&plan, n, kind);
    return 2 * (size_t)plan.core + split_work(&plan);
}

static void packed_roots(ead_fft_plan *plan, ead_real *number)
{
    ead_real *root = number + parts_of(plan).packed;
    for (size_t k = 0; is_packed(plan) && k < plan->core; k++)
        store_root(root, root + plan->core, k, k, plan->n);
}

int ead_fft_plan_init(ead_fft_plan *plan, size_t bytes, size_t n, int kind, ead_real *work, size_t work_len)
{
    if (!valid_kind(kind))
        return EAD_E_RANGE;
    if (n < 1 || n > EAD_FFT_MAX_LEN)
        return EAD_E_LENGTH;
    if (bytes < ead_fft_plan_size(n, kind) || work_len < ead_fft_work_len(n, kind))
        return EAD_E_WORK;
    layout(plan, n, kind);
    ead_real *number = (ead_real *)(plan + 1);
    twiddles_of_stages(plan, number);
    packed_roots(plan, number);
    if (plan->conv) {
        ead_real *ft = number + parts_of(plan).chirp_ft;
        chirp_of(plan, number);
        stages(plan, plan->conv, ft, ft + plan->conv, work, work + plan->conv);
    }
    return EAD_OK;
}

size_t ead_i_fft_work(const ead_fft_plan *plan)
{
    return split_work(plan);
}

void ead_i_fft_split(const ead_fft_plan *plan, ead_real *re, ead_real *im, ead_real *work)
{
    if (plan->conv)
        bluestein(plan, re, im, work);
    else
        stages(plan, plan->core, re, im, work, work + plan->core);
}

size_t ead_i_fft_points(const ead_fft_plan *plan, int kind)
{
    return plan->magic == MAGIC && plan->kind == (uint32_t)kind ? plan->n : 0;
}

static int check(const ead_fft_plan *plan, int kind, size_t work_len)
{
    if (!ead_i_fft_points(plan, kind))
        return EAD_E_STATE;
    return work_len < 2 * (size_t)plan->core + split_work(plan) ? EAD_E_WORK : EAD_OK;
}

static void deal(size_t n, const ead_real *restrict pair, ead_real *restrict re, ead_real *restrict im)
{
    for (size_t i = 0; i < n; i++) {
        re[i] = pair[2 * i];
        im[i] = pair[2 * i + 1];
    }
}

static void gather(size_t n, ead_real f, const ead_real *restrict re, const ead_real *restrict im,
                   ead_real *restrict pair)
{
    for (size_t i = 0; i < n; i++) {
        pair[2 * i] = re[i] * f;
        pair[2 * i + 1] = im[i] * f;
    }
}

int ead_fft(const ead_fft_plan *plan, const ead_real *in, ead_real *out, ead_real *work, size_t work_len)
{
    int status = check(plan, EAD_FFT_COMPLEX, work_len);
    if (status != EAD_OK)
        return status;
    size_t n = plan->n;
    ead_real *re = work, *im = work + n;
    deal(n, in, re, im);
    ead_i_fft_split(plan, re, im, im + n);
    gather(n, 1, re, im, out);
    return EAD_OK;
}

int ead_ifft(const ead_fft_plan *plan, const ead_real *in, ead_real *out, ead_real *work, size_t work_len)
{
    int status = check(plan, EAD_FFT_COMPLEX, work_len);
    if (status != EAD_OK)
        return status;
    size_t n = plan->n;
    ead_real *re = work, *im = work + n;
    deal(n, in, re, im);
    ead_i_fft_split(plan, im, re, im + n);
    gather(n, 1 / (ead_real)n, re, im, out);
    return EAD_OK;
}

/* The transform of n real values from that of n/2 pairs of them: Z holds even and odd samples' transforms,
 * summed. */
static void unpack(const ead_fft_plan *plan, const ead_real *re, const ead_real *im, ead_real *out)
{
    size_t half = plan->core;
    const ead_real *root = (const ead_real *)(plan + 1) + parts_of(plan).packed;
    for (size_t k = 1; k < half; k++) {
        cplx z = load(re, im, k), mirror = {re[half - k], -im[half - k]};
        cplx even = add(z, mirror), odd = mul(sub(z, mirror), load(root, root + half, k));
        cplx twice = sub_i(even, odd);
        out[2 * k] = twice.re / 2;
        out[2 * k + 1] = twice.im / 2;
    }
    out[0] = re[0] + im[0];
    out[2 * half] = re[0] - im[0];
    out[1] = out[2 * half + 1] = 0;
}

static void pack(const ead_fft_plan *plan, const ead_real *in, ead_real *re, ead_real *im)
{
    size_t half = plan->core;
    const ead_real *root = (const ead_real *)(plan + 1) + parts_of(plan).packed;
    for (size_t k = 1; k < half; k++) {
        cplx x = {in[2 * k], in[2 * k + 1]}, mirror = {in[2 * (half - k)], -in[2 * (half - k) + 1]};
        cplx back = {root[k], -root[half + k]};
        store(re, im, k, scale(add_i(add(x, mirror), mul(sub(x, mirror), back)), (ead_real)0.5));
    }
    re[0] = (in[0] + in[2 * half]) / 2;
    im[0] = (in[0] - in[2 * half]) / 2;
}

int ead_rfft(const ead_fft_plan *plan, const ead_real *in, ead_real *out, ead_real *work, size_t work_len)
{
    int status = check(plan, EAD_FFT_REAL, work_len);
    if (status != EAD_OK)
        return status;
    size_t n = plan->n;
    ead_real *re = work, *im = work + plan->core;
    if (is_packed(plan)) {
        deal(n / 2, in, re, im);
        ead_i_fft_split(plan, re, im, im + n / 2);
        unpack(plan, re, im, out);
        return EAD_OK;
    }
    EAD_COPY(re, in, n * sizeof *re);
    EAD_FILL(im, 0, n * sizeof *im);
    ead_i_fft_split(plan, re, im, im + n);
    gather(n / 2 + 1, 1, re, im, out);
    out[1] = 0;
    return EAD_OK;
}

int ead_irfft(const ead_fft_plan *plan, const ead_real *in, ead_real *out, ead_real *work, size_t work_len)
{
    int status = check(plan, EAD_FFT_REAL, work_len);
    if (status != EAD_OK)
        return status;
    size_t n = plan->n;
    ead_real *re = work, *im = work + plan->core;
    if (is_packed(plan)) {
        pack(plan, in, re, im);
        ead_i_fft_split(plan, im, re, im + n / 2);
        gather(n / 2, 2 / (ead_real)n, re, im, out);
        return EAD_OK;
    }
    re[0] = in[0];
    im[0] = 0;
    for (size_t k = 1; k <= n / 2; k++) {
        re[k] = re[n - k] = in[2 * k];
        im[k] = in[2 * k + 1];
        im[n - k] = -in[2 * k + 1];
    }
    ead_i_fft_split(plan, im, re, im + n);
    for (size_t j = 0; j < n; j++)
        out[j] = re[j] / (ead_real)n;
    return EAD_OK;
}
