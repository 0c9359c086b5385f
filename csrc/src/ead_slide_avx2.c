/* The sliding step for x86-64 with AVX2 and FMA.  SPDX-License-Identifier: Apache-2.0 */
#include "ead_slide.h"

#ifdef EAD_X86_VARIANTS
#pragma GCC target("avx2,fma")
#include "ead_slide_step.h"

void ead_i_slide_step_avx2(const struct ead_i_step *step, ead_real sum[2])
{
    slide_step(step, sum);
}
#endif
