/* The sliding step for x86-64 with AVX-512.  SPDX-License-Identifier: Apache-2.0 */
#include "ead_slide.h"

#ifdef EAD_X86_VARIANTS
#pragma GCC target("avx512f,avx512dq,avx512vl,fma,prefer-vector-width=512")
#include "ead_slide_step.h"

void ead_i_slide_step_avx512(const struct ead_i_step *step, ead_real sum[2])
{
    slide_step(step, sum);
}
#endif
