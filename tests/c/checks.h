/* What the programs of the C suite share: counted checks, and lent memory.  SPDX-License-Identifier: Apache-2.0
 */
#ifndef CHECKS_H
#define CHECKS_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef SUITE_F32
#define EAD_F32_SOURCE
#include "edgead_f32.h"
#endif
#include "edgead.h"

extern int failures, checks;

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        checks++;                                                                                            \
        if (!(condition)) {                                                                                  \
            failures++;                                                                                      \
            printf("%s:%d: failed: %s\n", __FILE__, __LINE__, #condition);                                   \
        }                                                                                                    \
    } while (0)

/* Memory exactly as long as the function asked for, so that the sanitizer sees one byte too many. */
static inline void *lend(size_t bytes)
{
    void *block = malloc(bytes ? bytes : 1);
    if (!block)
        exit(2);
    memset(block, 0xA5, bytes);
    return block;
}

/* Tests of the detectors and of every state, in states.c. */
void states(void);

#endif
