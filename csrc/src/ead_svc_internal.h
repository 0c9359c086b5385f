/* What the sources of the service's univariate detection share among themselves; not part of the public
 * interface.  Double precision only.  SPDX-License-Identifier: Apache-2.0 */
#ifndef EAD_SVC_INTERNAL_H
#define EAD_SVC_INTERNAL_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "edgead.h"

#ifdef EAD_SERVICE

/* Value of rank k (0-based) of v[0..n-1]; reorders v so that nothing before k is larger and nothing behind it
 * smaller. */
double ead_svc_i_select(double *v, size_t n, size_t k);

/* Median of v[0..n-1], the mean of the two middle values for even n; reorders v. */
double ead_svc_i_median(double *v, size_t n);

/* The places of v[0..n-1] in ascending order of value, equal values in order of place.
 *   order, spare   n places each */
void ead_svc_i_sort_places(const double *v, size_t n, uint32_t *order, uint32_t *spare);

/* Sorts v[0..n-1] ascending; spare holds n values. */
void ead_svc_i_sort(double *v, size_t n, double *spare);

/* Mean of v[0..n-1], exact for a constant. */
double ead_svc_i_mean(const double *v, size_t n);

static inline size_t ead_svc_i_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

#endif
#endif
