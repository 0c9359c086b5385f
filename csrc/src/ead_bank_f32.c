/* The float copy of ead_bank.c.  SPDX-License-Identifier: Apache-2.0 */
#include "ead_f32_source.h"
#ifdef EAD_F32_SOURCE
#include "ead_bank.c"
#endif
