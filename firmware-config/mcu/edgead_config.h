/* The core on a microcontroller: float alone, no double anywhere, small stack.  SPDX-License-Identifier:
 * Apache-2.0
 *
 * Compile csrc/src/ead_*.c (the files ead_*_f32.c and ead_slide_avx*.c come out empty, the cloud service's
 * routines ead_svc_*.c are double only and stay out) with
 *
 *     -std=c99 -O2 -ffp-contract=fast -fno-math-errno -DEAD_CONFIG_FILE='"edgead_config.h"'
 *
 * and this folder and csrc/include on the include path; -fno-math-errno makes sqrtf one instruction,
 * -ffp-contract=fast lets multiply and add fuse.  Unused functions go with -ffunction-sections
 * -Wl,--gc-sections.  A sliding detector of n points takes ead_slide_size(n, 0) <= 12 n + 128 bytes of RAM,
 * and 8 n + 16 of RAM or flash for its table. */
#ifndef EDGEAD_CONFIG_H
#define EDGEAD_CONFIG_H

#define EAD_REAL_FLOAT    /* ead_real is float, under the plain names ead_* */
#define EAD_NO_DOUBLE     /* readings, reference levels and sums too: no __aeabi_d* call is linked */
#define EAD_PORTABLE_ONLY /* no instruction-set variants */

#define EAD_SLIDE_BLOCK_LOG2 3 /* 8 bins worked on at a time, the least: 44 bytes of stack each; default 32 */
#define EAD_SLIDE_MAX_LEN 4096 /* points of a window; default 65536 */
#define EAD_ORDER_MAX_LEN 4096 /* values of a running order statistic; default 65536 */
#define EAD_FFT_MAX_LEN 8192   /* points of a transform; default 4194304 */
#define EAD_FFT_MAX_RADIX 13   /* greatest prime done directly: 16 bytes of stack each; default 61 */

#endif
