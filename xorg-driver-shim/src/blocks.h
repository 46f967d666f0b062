/*
 * The blocks of the ring memfd that are states rather than records: mode, monitors, cursor, LEDs,
 * blanking.
 *
 * Knows no X. Each of the three big blocks is a seqlock; the cursor's has two writers (shape by the
 * main thread, position by the input thread), which `lock` keeps apart. `lock` also keeps the peer
 * in place while the input thread wakes it.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef CARAWAY_BLOCKS_H
#define CARAWAY_BLOCKS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "framebuffer.h"
#include "ring.h"

struct blocks {
    struct ring *ring;
    pthread_mutex_t lock;
    struct caraway_state *state;
    struct caraway_mode *mode;
    struct caraway_monitors *monitors;
    struct caraway_cursor *cursor;
    uint8_t *cursor_images;
    uint32_t cursor_lock; /* the writers' own copies: nothing is read back from shared memory */
    uint32_t cursor_shape;
    int32_t cursor_x, cursor_y;
    uint32_t mode_lock, mode_generation;
    uint32_t monitors_lock;
    struct caraway_monitors_config monitors_config;
};

/* A cursor image: width * height premultiplied 0xAARRGGBB, at most CARAWAY_CURSOR_SIDE_MAX a side.
 */
struct cursor_image {
    uint16_t width, height, hot_x, hot_y;
    const uint32_t *pixels;
};

void blocks_init(struct blocks *blocks, struct ring *ring);
void blocks_fini(struct blocks *blocks);

/* Main thread: a new server (or none). Safe against a wake-up by the input thread. */
void blocks_attach(struct blocks *blocks, struct caraway_peer *peer, int event_fd);

/* Main thread: publishes the screen's size and memory, then a MODE record. */
void blocks_set_mode(struct blocks *blocks, const struct framebuffer *framebuffer);

/* Main thread: publishes the heads that are on, if they differ from what is published. */
void blocks_set_monitors(struct blocks *blocks, const struct caraway_monitors_config *config);

/* Main thread: shows a new image with its hot spot at x, y. */
void blocks_set_cursor(struct blocks *blocks, const struct cursor_image *image, int x, int y);

/* Main thread: shows (the published image again) or hides the cursor. */
void blocks_show_cursor(struct blocks *blocks, bool visible, int x, int y);

/* Any thread: moves the hot spot; nothing when it is there already. */
void blocks_move_cursor(struct blocks *blocks, int x, int y);

/* Any thread: LED bits as SPICE has them, and whether a screen saver blanks. */
void blocks_set_leds(struct blocks *blocks, uint32_t leds);
void blocks_set_blanked(struct blocks *blocks, bool blanked);

#endif
