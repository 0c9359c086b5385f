/* Included first by every ead_*_f32.c: renames to ead32_*; leaves the file empty in a build for float alone.
 */
#include "edgead.h"
#ifndef EAD_REAL_FLOAT
#define EAD_F32_SOURCE
#include "edgead_f32.h"
#endif
