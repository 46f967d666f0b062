/*
 * The state blocks and the frame buffer's memory, without X. Returns 0 when all is well.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include <pthread.h>

#include "blocks.h"
#include "framebuffer.h"
#include "model.h"
#include "without_x.h"

struct mover {
    struct blocks *blocks;
    bool stop;
};

static void *move_about(void *data)
{
    struct mover *mover = data;

    for (int i = 0; !__atomic_load_n(&mover->stop, __ATOMIC_RELAXED); i++)
        blocks_move_cursor(mover->blocks, i, -i);
    return NULL;
}

static void test_cursor_block_is_whole(void)
{
    struct ring *ring = new_ring();
    struct blocks blocks;
    static uint32_t pixels[64 * 64];
    struct mover mover = { .blocks = &blocks };
    pthread_t thread;

    blocks_init(&blocks, ring);
    pthread_create(&thread, NULL, move_about, &mover);
    for (uint32_t shape = 1; shape <= 3000; shape++) {
        uint16_t side = (uint16_t)(1 + shape % 64);
        for (int i = 0; i < side * side; i++)
            pixels[i] = shape;
        struct cursor_image image = { side, side, (uint16_t)(side / 2), (uint16_t)(side - 1),
                                      pixels };
        blocks_set_cursor(&blocks, &image, 7, -7);
        struct caraway_cursor cursor;
        model_read_block((uint8_t *)blocks.cursor, &cursor, sizeof(cursor));
        CHECK(cursor.shape == shape && cursor.width == side && cursor.hot_y == side - 1);
        CHECK(cursor.x == -cursor.y && cursor.visible == 1 && cursor.slot < CARAWAY_CURSOR_SLOTS);
        uint32_t *image_at =
            (uint32_t *)(blocks.cursor_images + cursor.slot * CARAWAY_CURSOR_SLOT_SIZE);
        CHECK(image_at[0] == shape && image_at[side * side - 1] == shape);
    }
    __atomic_store_n(&mover.stop, true, __ATOMIC_RELAXED);
    pthread_join(thread, NULL);
    blocks_fini(&blocks);
    free_ring(ring);
}

static void test_framebuffer_fits(void)
{
    struct framebuffer now = { .memory = MEMORY_NONE }, next;
    bool reallocated;

    CHECK(framebuffer_stride(1024) == 4160 && framebuffer_stride(1) == 64);
    CHECK(framebuffer_stride(1366) == 5504 && framebuffer_stride(8192) % 4096 != 0);
    CHECK(!framebuffer_fit(&now, 0, 5, &next, &reallocated));
    CHECK(!framebuffer_fit(&now, CARAWAY_SIDE_MAX + 1, 5, &next, &reallocated));

    CHECK(framebuffer_fit(&now, 1000, 1000, &next, &reallocated) && reallocated && next.id == 1);
    CHECK(next.memory.size % 4096 == 0 && next.memory.size >= (size_t)next.stride * 1000);
    now = next;
    CHECK(framebuffer_fit(&now, 900, 800, &next, &reallocated) && !reallocated && next.id == 1);
    CHECK(next.memory.base == now.memory.base && next.stride == 3648);
    CHECK(framebuffer_fit(&now, 600, 600, &next, &reallocated) && reallocated && next.id == 2);
    memory_destroy(&now.memory);
    now = next;
    CHECK(framebuffer_fit(&now, CARAWAY_SIDE_MAX, CARAWAY_SIDE_MAX, &next, &reallocated));
    CHECK(reallocated && next.id == 3);
    ((uint8_t *)next.memory.base)[(size_t)next.stride * next.height - 1] = 1;
    memory_destroy(&now.memory);
    memory_destroy(&next.memory);
}

int main(void)
{
    test_cursor_block_is_whole();
    test_framebuffer_fits();
    puts("blocks_test: ok");
    return 0;
}
