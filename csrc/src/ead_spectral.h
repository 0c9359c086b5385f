/* What detectors built on the streaming detector see of it.  SPDX-License-Identifier: Apache-2.0 */
#ifndef EAD_SPECTRAL_SEAM_H
#define EAD_SPECTRAL_SEAM_H

#include "ead_internal.h"

#ifdef EAD_F32_SOURCE
#define ead_i_spectral_judge ead32_i_spectral_judge
#define ead_i_decide ead32_i_decide
#define ead_i_settings_sound ead32_i_settings_sound
#endif

/* One reading as the detector saw it, by the limits that learning goes by: the sensitivity plays no part.
 * The numbers without another unit are signed and in typical innovations. */
struct ead_i_look {
    ead_wide innovation, jump, shift;
    ead_wide ratios[EAD_SPECTRAL_VIEWS]; /* views over their limits, margin and boost included; 0 = no say */
    ead_wide score;                      /* the largest of them; 0 while learning */
    ead_wide saliency;                   /* no unit */
    ead_wide value;                      /* from the baseline, in standard deviations of the value */
    ead_wide y, scale;                   /* lifted value; typical innovation before it: unit of the series */
    uint32_t run;                        /* identical readings before it */
    int first;                           /* 1 = the detector begins with it, maybe anew */
};

/* As ead_spectral_judge, and what it saw. */
int ead_i_spectral_judge(ead_spectral *state, const ead_slide_table *table, ead_wide value, uint64_t missing,
                         ead_verdict *out, struct ead_i_look *look);

/* Applies the gates to a verdict with score and band: whether it is an anomaly, and how severe. */
void ead_i_decide(const ead_spectral_settings *gates, ead_wide value, ead_verdict *out);

/* 1 if all settings are in range. */
int ead_i_settings_sound(const ead_spectral_settings *settings);

#endif
