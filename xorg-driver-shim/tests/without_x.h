/*
 * What the tests without X share: checks that end them, and a ring of their own.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef CARAWAY_TESTS_WITHOUT_X_H
#define CARAWAY_TESTS_WITHOUT_X_H

#include <stdio.h>
#include <stdlib.h>

#include "ring.h"

#define CHECK(condition)                                                    \
    do {                                                                    \
        if (!(condition)) {                                                 \
            fprintf(stderr, "%s:%d: %s\n", __func__, __LINE__, #condition); \
            exit(1);                                                        \
        }                                                                   \
    } while (0)

static inline struct ring *new_ring(void)
{
    struct ring *ring = calloc(1, sizeof(*ring));

    CHECK(ring && ring_create(ring));
    return ring;
}

static inline void free_ring(struct ring *ring)
{
    ring_destroy(ring);
    free(ring);
}

#endif
