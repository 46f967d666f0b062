/*
 * A model of the server: reads the ring and keeps a picture, with a mark on each pixel that is not
 * known.
 *
 * In strict mode fills and copies are believed, which is right only when nothing is drawn between
 * the last record and the next model_flush: it tests the meaning of every record. In live mode a
 * copy is a hint, to be confirmed by the frame buffer, as the product does: it tests that the
 * picture converges.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef CARAWAY_TESTS_MODEL_H
#define CARAWAY_TESTS_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "shim_abi.h"

struct model {
    const uint8_t *ring; /* the ring memfd, mapped */
    uint64_t position;
    const uint8_t *pixels; /* the frame buffer, mapped */
    uint32_t width, height, stride;
    uint32_t *picture;
    uint8_t *unknown; /* per pixel */
    bool live;
    /* What was seen, for tests that something was. */
    uint64_t damages, fills, copies, modes, overruns, pixels_read, pixels_damaged;
};

/* Starts at the newest record with every pixel unknown. */
void model_init(struct model *model, const uint8_t *ring);
void model_free(struct model *model);

/* Gives the model a frame buffer; every pixel becomes unknown. */
void model_set_screen(struct model *model, const uint8_t *pixels, uint32_t width, uint32_t height,
                      uint32_t stride);

/* Reads what is published. Stops behind a MODE record and returns true: the caller sets the screen.
 */
bool model_drain(struct model *model);

/* Reads the unknown pixels from the frame buffer. */
void model_flush(struct model *model);

/* Copies `size` bytes behind the lock word of a seqlock block. */
void model_read_block(const uint8_t *block, void *copy, uint32_t size);

#endif
