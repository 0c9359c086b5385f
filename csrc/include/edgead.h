/* edgead: the whole public C interface of the detection core.
 *
 * C99, no heap, no globals, no libc but <math.h> (plus memcpy and memset, which compilers emit).
 * The caller lends all memory.  Every function that can fail returns EAD_OK (0) or a negative enum ead_status.
 *
 * Copyright 2026 the edgead authors.  SPDX-License-Identifier: Apache-2.0
 */
#ifndef EDGEAD_H
#define EDGEAD_H

#include <stddef.h>

#ifdef EAD_CONFIG_FILE
#include EAD_CONFIG_FILE
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------- status */

enum ead_status {
    EAD_OK = 0,
    EAD_E_LENGTH = -1,    /* a length is outside the documented range */
    EAD_E_NOT_FINITE = -2, /* an input value is NaN or infinite */
    EAD_E_WORK = -3,      /* the lent memory is too small */
    EAD_E_RANGE = -4,     /* a parameter is outside its documented range */
    EAD_E_STATE = -5      /* the lent state was not initialised, or is of another version or precision */
};

/* A constant English text for a status, never NULL. */
const char *ead_status_text(int status);

#ifdef __cplusplus
}
#endif
#endif
