/* A decimal number as the nearest double, by whole numbers alone.  SPDX-License-Identifier: Apache-2.0 */
#include "ead_svc_internal.h"

#ifdef EAD_SERVICE

static const uint64_t tens[19] = {
    1,
    10,
    100,
    1000,
    10000,
    100000,
    1000000,
    10000000,
    100000000,
    1000000000,
    10000000000,
    100000000000,
    1000000000000,
    10000000000000,
    100000000000000,
    1000000000000000,
    10000000000000000,
    100000000000000000,
    1000000000000000000,
};

/* Zero bits above the highest one of x > 0. */
static int zeros_above(uint64_t x)
{
    int zeros = 0;
    for (int step = 32; step; step >>= 1)
        if (!(x >> (64 - step))) {
            x <<= step;
            zeros += step;
        }
    return zeros;
}

/* One 32-bit digit of a long division (Knuth, The Art of Computer Programming 2, 4.3.1, algorithm D): of
 * high * 2^32 + low by d, whose highest bit is set; high < d.  *rest is what is left. */
static uint64_t digit(uint64_t high, uint32_t low, uint64_t d, uint64_t *rest)
{
    const uint64_t d1 = d >> 32, d0 = d & UINT32_MAX;
    uint64_t q = high / d1, left = high % d1;
    while (q >> 32 || q * d0 > (left << 32 | low)) {
        q--;
        left += d1;
        if (left >> 32)
            break;
    }
    *rest = (high << 32 | low) - q * d; /* modulo 2^64, of which the true rest is less */
    return q;
}

double ead_svc_decimal(uint64_t digits, unsigned places)
{
    if (digits == 0)
        return 0.0;
    const int up = zeros_above(digits) - 1, aside = zeros_above(tens[places]);
    const uint64_t d = tens[places] << aside;
    uint64_t rest = digits << up; /* its highest bit is the last but one: less than d */
    uint64_t q = digit(rest, 0, d, &rest) << 32;
    q |= digit(rest, 0, d, &rest);
    /* 62 bits at least, of which a double keeps 53: the last says whether anything is behind them */
    const double nearest = (double)(q | (rest != 0));
    union {
        uint64_t bits;
        double value;
    } scale = {(uint64_t)(1023 + aside - up - 64) << 52};
    return nearest * scale.value;
}

#else
typedef int ead_svc_decimal_is_empty;
#endif
