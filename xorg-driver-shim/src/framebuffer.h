/*
 * The frame buffer: pixels in a sealed memory file that is replaced when it does not fit the mode.
 *
 * A sealed file cannot give memory back, so a file of more than twice the need is replaced as well.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef CARAWAY_FRAMEBUFFER_H
#define CARAWAY_FRAMEBUFFER_H

#include <stdbool.h>
#include <stdint.h>

#include "memory.h"

struct framebuffer {
    struct memory memory;
    uint32_t id; /* counts memory files, from 1 */
    uint32_t width, height;
    uint32_t stride; /* bytes */
};

/* Bytes of a row of `width` pixels. A multiple of 4096 would put a column into one cache set. */
uint32_t framebuffer_stride(uint32_t width);

/* The frame buffer that `now` becomes for a mode: the same memory, or (reallocated) new memory with
 * the next id, in which case `now` stays valid and is the caller's to destroy. False with errno
 * set, and nothing changed, when there is no memory or a side is 0 or above CARAWAY_SIDE_MAX. */
bool framebuffer_fit(const struct framebuffer *now, uint32_t width, uint32_t height,
                     struct framebuffer *next, bool *reallocated);

#endif
