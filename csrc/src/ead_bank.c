/* A bounded memory of patches: the embeddings that a series has shown.  SPDX-License-Identifier: Apache-2.0
 *
 * A patch is kept if it is further from all that are kept than a reach which finds itself: it grows with
 * every patch kept and shrinks in between, so that one reading in BANK_EVERY is kept.  A full memory drops
 * the patch that was met longest ago. */
#include <string.h>

#include "ead_tail.h"

#define STATE_MAGIC EAD_MAGIC('B' << 8 | 'K')
#define STATE_VERSION 1

#define BANK_FIRST 8       /* patches that are kept whatever they are, and before which nothing is known */
#define BANK_EVERY 50      /* readings for one new patch */
#define BANK_STEP 0.02     /* growth of the reach with a patch kept */
#define EMBEDDING_MAX 1e9f /* greater numbers are cut: squares of differences stay finite */

struct ead_bank {
    uint32_t magic, version, wide_size, length, patches, count;
    uint32_t clock;    /* embeddings learned */
    uint32_t reserved; /* the next is aligned for doubles */
    ead_wide reach;
    /* then, as float: kept[patches][length]; as uint32_t: met[patches] */
};

static float *kept_of(const ead_bank *state, size_t i)
{
    return (float *)(state + 1) + i * state->length;
}

static uint32_t *met_of(const ead_bank *state)
{
    return (uint32_t *)kept_of(state, state->patches);
}

size_t ead_bank_size(size_t length, size_t patches)
{
    if (length < 1 || length > EAD_BANK_MAX_LEN || patches < BANK_FIRST || patches > EAD_BANK_MAX_PATCHES)
        return 0;
    return sizeof(ead_bank) + (patches * (length * sizeof(float) + sizeof(uint32_t)) + 7) / 8 * 8;
}

int ead_bank_init(ead_bank *state, size_t bytes, size_t length, size_t patches)
{
    size_t size = ead_bank_size(length, patches);
    if (size == 0)
        return EAD_E_LENGTH;
    if (bytes < size)
        return EAD_E_WORK;
    memset(state, 0, size);
    state->magic = STATE_MAGIC;
    state->version = STATE_VERSION;
    state->wide_size = sizeof(ead_wide);
    state->length = (uint32_t)length;
    state->patches = (uint32_t)patches;
    return EAD_OK;
}

int ead_bank_check(const ead_bank *state, size_t bytes, size_t length, size_t patches)
{
    size_t size = ead_bank_size(length, patches);
    if (size == 0 || bytes != size || state->magic != STATE_MAGIC || state->version != STATE_VERSION ||
        state->wide_size != sizeof(ead_wide) || state->length != length || state->patches != patches ||
        state->count > patches || !(state->reach >= 0) || state->reach - state->reach != 0)
        return EAD_E_STATE;
    const float *kept = kept_of(state, 0);
    for (size_t i = 0; i < patches * length; i++)
        if (!(kept[i] >= -EMBEDDING_MAX && kept[i] <= EMBEDDING_MAX))
            return EAD_E_STATE;
    return EAD_OK;
}

static float cut(float x)
{
    return x > EMBEDDING_MAX ? EMBEDDING_MAX : x < -EMBEDDING_MAX ? -EMBEDDING_MAX : x;
}

/* The i-th patch that is kept, or the last. */
static const float *kept_up_to(const ead_bank *state, size_t i)
{
    return kept_of(state, i < state->count ? i : state->count - 1);
}

/* Squares of the distances to four patches from the i-th on: one after another each sum would wait for its own
 * terms. */
static void squares_of_four(const ead_bank *state, const float *own, size_t i, float *squares)
{
    const float *a = kept_of(state, i), *b = kept_up_to(state, i + 1), *c = kept_up_to(state, i + 2),
                *d = kept_up_to(state, i + 3);
    float to_a = 0, to_b = 0, to_c = 0, to_d = 0;
    for (size_t j = 0; j < state->length; j++) {
        to_a += (own[j] - a[j]) * (own[j] - a[j]);
        to_b += (own[j] - b[j]) * (own[j] - b[j]);
        to_c += (own[j] - c[j]) * (own[j] - c[j]);
        to_d += (own[j] - d[j]) * (own[j] - d[j]);
    }
    squares[0] = to_a, squares[1] = to_b, squares[2] = to_c, squares[3] = to_d;
}

/* Square of the distance to the nearest patch, and which it is; 0 where none is kept. */
static float nearest(const ead_bank *state, const float *embedding, size_t *at)
{
    float least = 0, own[EAD_BANK_MAX_LEN], squares[4];
    for (size_t j = 0; j < state->length; j++)
        own[j] = cut(embedding[j]);
    for (size_t i = 0; i < state->count; i += 4) {
        squares_of_four(state, own, i, squares);
        for (size_t k = 0; k < 4; k++) /* the last patch again is no nearer than itself */
            if (i + k == 0 || squares[k] < least) {
                least = squares[k];
                *at = i + k;
            }
    }
    return least;
}

static size_t place_for_new(ead_bank *state)
{
    if (state->count < state->patches)
        return state->count++;
    const uint32_t *met = met_of(state);
    size_t oldest = 0;
    for (size_t i = 1; i < state->patches; i++)
        if (state->clock - met[i] > state->clock - met[oldest])
            oldest = i;
    return oldest;
}

int ead_i_bank_find(const ead_bank *state, const float *embedding, struct ead_i_found *found)
{
    if (state->magic != STATE_MAGIC)
        return EAD_E_STATE;
    for (size_t j = 0; j < state->length; j++)
        if (embedding[j] != embedding[j])
            return EAD_E_NOT_FINITE;
    found->at = 0;
    found->distance = root((ead_wide)nearest(state, embedding, &found->at));
    found->known = state->count >= BANK_FIRST;
    return EAD_OK;
}

void ead_i_bank_learn(ead_bank *state, const float *embedding, const struct ead_i_found *found)
{
    size_t at = found->at;
    if (!found->known || found->distance > state->reach) {
        if (found->known)
            state->reach = state->reach > 0 ? state->reach * (ead_wide)(1 + BANK_STEP) : found->distance;
        at = place_for_new(state);
        for (size_t j = 0; j < state->length; j++)
            kept_of(state, at)[j] = cut(embedding[j]);
    }
    met_of(state)[at] = state->clock++;
    state->reach *= (ead_wide)(1 - BANK_STEP / BANK_EVERY);
}

int ead_bank_meet(ead_bank *state, const float *embedding, int learns, ead_wide *distance)
{
    struct ead_i_found found;
    int status = ead_i_bank_find(state, embedding, &found);
    if (status != EAD_OK)
        return status;
    *distance = found.known ? found.distance : -1;
    if (learns)
        ead_i_bank_learn(state, embedding, &found);
    return EAD_OK;
}

ead_wide ead_bank_reach(const ead_bank *state)
{
    return state->reach;
}

size_t ead_bank_count(const ead_bank *state)
{
    return state->count;
}
