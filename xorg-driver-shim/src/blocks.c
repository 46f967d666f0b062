/*
 * The state blocks of the ring memfd: see blocks.h.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include "blocks.h"

#include <string.h>

#define SPICE_SURFACE_FMT_32_xRGB 32u

void blocks_init(struct blocks *blocks, struct ring *ring)
{
    uint8_t *base = ring->memory.base;

    memset(blocks, 0, sizeof(*blocks));
    pthread_mutex_init(&blocks->lock, NULL);
    blocks->ring = ring;
    blocks->state = (struct caraway_state *)(base + CARAWAY_STATE_OFFSET);
    blocks->mode = (struct caraway_mode *)(base + CARAWAY_MODE_OFFSET);
    blocks->monitors = (struct caraway_monitors *)(base + CARAWAY_MONITORS_OFFSET);
    blocks->cursor = (struct caraway_cursor *)(base + CARAWAY_CURSOR_OFFSET);
    blocks->cursor_images = base + CARAWAY_CURSOR_IMAGES_OFFSET;
}

void blocks_fini(struct blocks *blocks)
{
    pthread_mutex_destroy(&blocks->lock);
}

/* A seqlock's writer: odd, then the fields, then even. The fields are stored word by word. */
static void lock_write(uint32_t *word, uint32_t *own)
{
    __atomic_store_n(word, ++*own, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
}

static void lock_release(uint32_t *word, uint32_t *own)
{
    __atomic_store_n(word, ++*own, __ATOMIC_RELEASE);
}

static void store_words(void *to, const void *from, size_t size)
{
    uint32_t *words = to;

    for (size_t i = 0; i < size / 4; i++) {
        uint32_t word;
        memcpy(&word, (const uint8_t *)from + 4 * i, 4);
        __atomic_store_n(&words[i], word, __ATOMIC_RELAXED);
    }
}

void blocks_attach(struct blocks *blocks, struct caraway_peer *peer, int event_fd)
{
    pthread_mutex_lock(&blocks->lock);
    ring_attach(blocks->ring, peer, event_fd);
    pthread_mutex_unlock(&blocks->lock);
}

void blocks_set_mode(struct blocks *blocks, const struct framebuffer *framebuffer)
{
    struct caraway_mode mode = {
        .generation = ++blocks->mode_generation,
        .width = framebuffer->width,
        .height = framebuffer->height,
        .stride = framebuffer->stride,
        .format = SPICE_SURFACE_FMT_32_xRGB,
        .framebuffer_id = framebuffer->id,
        .framebuffer_size = framebuffer->memory.size,
    };
    struct rect_group screen;

    lock_write(&blocks->mode->lock, &blocks->mode_lock);
    store_words(&blocks->mode->generation, &mode.generation,
                sizeof(mode) - offsetof(struct caraway_mode, generation));
    lock_release(&blocks->mode->lock, &blocks->mode_lock);

    rect_group_clear(&screen);
    rect_group_add(&screen, 0, 0, (int32_t)framebuffer->width, (int32_t)framebuffer->height);
    ring_publish(blocks->ring, &screen, (struct ring_meaning){ .type = CARAWAY_MODE });
}

void blocks_set_monitors(struct blocks *blocks, const struct caraway_monitors_config *config)
{
    if (memcmp(config, &blocks->monitors_config, sizeof(*config)) == 0)
        return;
    blocks->monitors_config = *config;
    lock_write(&blocks->monitors->lock, &blocks->monitors_lock);
    store_words(&blocks->monitors->config, config, sizeof(*config));
    lock_release(&blocks->monitors->lock, &blocks->monitors_lock);
    ring_wake(blocks->ring, CARAWAY_WAIT_RECORD);
}

void blocks_set_cursor(struct blocks *blocks, const struct cursor_image *image, int x, int y)
{
    uint32_t shape = blocks->cursor_shape + 1;
    uint32_t slot = shape % CARAWAY_CURSOR_SLOTS;

    /* The slot is the least recently shown one: a reader of one of the last three shapes does not
     * see this, and a slower one sees, with these pixels, that its shape is older. */
    __atomic_thread_fence(__ATOMIC_RELEASE);
    store_words(blocks->cursor_images + slot * CARAWAY_CURSOR_SLOT_SIZE, image->pixels,
                (size_t)image->width * image->height * 4);

    pthread_mutex_lock(&blocks->lock);
    struct caraway_cursor cursor = {
        .shape = shape,
        .x = x,
        .y = y,
        .visible = 1,
        .width = image->width,
        .height = image->height,
        .hot_x = image->hot_x,
        .hot_y = image->hot_y,
        .slot = slot,
    };
    blocks->cursor_shape = shape;
    blocks->cursor_x = x;
    blocks->cursor_y = y;
    lock_write(&blocks->cursor->lock, &blocks->cursor_lock);
    store_words(&blocks->cursor->shape, &cursor.shape,
                sizeof(cursor) - offsetof(struct caraway_cursor, shape));
    lock_release(&blocks->cursor->lock, &blocks->cursor_lock);
    ring_wake(blocks->ring, CARAWAY_WAIT_RECORD);
    pthread_mutex_unlock(&blocks->lock);
}

static void store_position(struct blocks *blocks, int x, int y)
{
    blocks->cursor_x = x;
    blocks->cursor_y = y;
    __atomic_store_n(&blocks->cursor->x, x, __ATOMIC_RELAXED);
    __atomic_store_n(&blocks->cursor->y, y, __ATOMIC_RELAXED);
}

void blocks_show_cursor(struct blocks *blocks, bool visible, int x, int y)
{
    pthread_mutex_lock(&blocks->lock);
    lock_write(&blocks->cursor->lock, &blocks->cursor_lock);
    __atomic_store_n(&blocks->cursor->visible, visible, __ATOMIC_RELAXED);
    store_position(blocks, x, y);
    lock_release(&blocks->cursor->lock, &blocks->cursor_lock);
    ring_wake(blocks->ring, CARAWAY_WAIT_RECORD);
    pthread_mutex_unlock(&blocks->lock);
}

void blocks_move_cursor(struct blocks *blocks, int x, int y)
{
    pthread_mutex_lock(&blocks->lock);
    if (x != blocks->cursor_x || y != blocks->cursor_y) {
        lock_write(&blocks->cursor->lock, &blocks->cursor_lock);
        store_position(blocks, x, y);
        lock_release(&blocks->cursor->lock, &blocks->cursor_lock);
        ring_wake(blocks->ring, CARAWAY_WAIT_RECORD);
    }
    pthread_mutex_unlock(&blocks->lock);
}

static void set_state(struct blocks *blocks, uint32_t *word, uint32_t value)
{
    pthread_mutex_lock(&blocks->lock);
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
    ring_wake(blocks->ring, CARAWAY_WAIT_RECORD);
    pthread_mutex_unlock(&blocks->lock);
}

void blocks_set_leds(struct blocks *blocks, uint32_t leds)
{
    set_state(blocks, &blocks->state->leds, leds);
}

void blocks_set_blanked(struct blocks *blocks, bool blanked)
{
    set_state(blocks, &blocks->state->blanked, blanked);
}
