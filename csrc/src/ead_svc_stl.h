/* What the variants of the decomposition share.  SPDX-License-Identifier: Apache-2.0 */
#ifndef EAD_SVC_STL_H
#define EAD_SVC_STL_H

#include "ead_slide.h" /* EAD_X86_VARIANTS */
#include "ead_svc_internal.h"

#if defined(EAD_SERVICE) && defined(EAD_X86_VARIANTS)
void ead_svc_i_stl_avx2(const double *y, size_t n, size_t period, double *trend, double *season,
                        double *work);
#endif

#endif
