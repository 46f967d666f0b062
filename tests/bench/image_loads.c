/*
 * Loads that draw as today's toolkits do: pixels made by the application, given to X as whole images.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "content.h"
#include "load.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_TOP 24
#define PAGE_LENGTH 6000
#define PAGE_HEADER 56
#define PAGE_STEP 12 /* pixels a frame: 360 a second */

#define VIDEO_WIDTH 640
#define VIDEO_HEIGHT 360
#define SCENE_WIDTH 1600
#define SCENE_HEIGHT 900
#define VIDEO_NOISE 2 /* grey levels to either side, new in each frame */
#define BALL_RADIUS 60

#define PHOTO_WIDTH 1600
#define PHOTO_HEIGHT 900

static struct shared_image image;

/* A strip at either end in reading order: a frame that shows its number in both is there as a whole. */
static void place_image(struct stage *stage, struct load *load, int width, int height, int x, int y)
{
    create_shared_image(stage, &image, width, height);
    load->moving = &image;
    load->moving_x = x;
    load->moving_y = y;
    stage->strip_x = (x + width - STRIP_WIDTH) / STRIP_BLOCK_SIDE * STRIP_BLOCK_SIDE;
    stage->strip_y = (y + height - STRIP_BLOCK_SIDE) / STRIP_BLOCK_SIDE * STRIP_BLOCK_SIDE;
    stage->first_strip_x = x;
    stage->first_strip_y = y;
}

static void show_image(struct stage *stage, const struct load *load, long frame)
{
    paint_strip(stage, frame, &image, load->moving_x, load->moving_y);
    put_shared_image(stage, stage->window, &image, 0, 0, image.width, image.height, load->moving_x, load->moving_y);
}

static uint32_t *new_pixels(int width, int height)
{
    uint32_t *pixels = calloc((size_t)width * (size_t)height, sizeof *pixels);

    if (!pixels)
        fail("no memory");
    return pixels;
}

/* Where something is that goes back and forth between 0 and `range` by `step` a frame. */
static int swing(long frame, int step, int range)
{
    long way = frame * step % (2 * (long)range);

    return (int)(way < range ? way : 2 * range - way);
}

/* Page: a web page that scrolls under a header, drawn anew as a whole for each frame. */

static uint32_t *page, *header;

static void page_draw(struct stage *stage, long frame)
{
    int top = swing(frame, PAGE_STEP, PAGE_LENGTH - image.height);

    memcpy(image.pixels, page + top * image.width, (size_t)image.width * (size_t)image.height * 4);
    memcpy(image.pixels, header, (size_t)image.width * PAGE_HEADER * 4);
    show_image(stage, &page_load, frame);
}

static void page_prepare(struct stage *stage)
{
    /* 1280x1032 on a screen of 1920x1080. */
    int width = stage->width * 2 / 3, height = stage->height - 2 * PAGE_TOP;

    place_image(stage, &page_load, width, height, (stage->width - width) / 2, PAGE_TOP);
    page = new_pixels(width, PAGE_LENGTH);
    header = new_pixels(width, PAGE_HEADER);
    paint_page(page, width, PAGE_LENGTH, 5);
    paint_header(header, width, PAGE_HEADER);
    page_draw(stage, 0);
}

/* Video: a camera that pans over a scene while something round crosses it; every pixel has new noise. */

static uint32_t *scene, *ball;

static uint32_t with_noise(uint32_t pixel, uint32_t noise)
{
    uint32_t result = 0;

    for (int shift = 0; shift < 24; shift += 8) {
        int value = (int)(pixel >> shift & 0xff) + (int)((noise >> shift & 0xff) % (2 * VIDEO_NOISE + 1)) - VIDEO_NOISE;
        result |= (uint32_t)(value < 0 ? 0 : value > 255 ? 255 : value) << shift;
    }
    return result;
}

static void video_draw(struct stage *stage, long frame)
{
    int left = swing(frame, 3, SCENE_WIDTH - VIDEO_WIDTH), top = swing(frame, 1, SCENE_HEIGHT - VIDEO_HEIGHT);
    int ball_x = swing(frame, 5, VIDEO_WIDTH), ball_y = VIDEO_HEIGHT / 2;
    uint32_t state = (uint32_t)frame * 2654435761u | 1;

    for (int y = 0; y < VIDEO_HEIGHT; y++) {
        for (int x = 0; x < VIDEO_WIDTH; x++) {
            int across = x - ball_x, down = y - ball_y;
            int is_ball = across * across + down * down < BALL_RADIUS * BALL_RADIUS;
            uint32_t pixel = is_ball ? ball[(down + BALL_RADIUS) * 2 * BALL_RADIUS + across + BALL_RADIUS]
                                     : scene[(y + top) * SCENE_WIDTH + x + left];
            image.pixels[y * VIDEO_WIDTH + x] = with_noise(pixel, next_random(&state));
        }
    }
    show_image(stage, &video_load, frame);
}

static void video_prepare(struct stage *stage)
{
    place_image(stage, &video_load, VIDEO_WIDTH, VIDEO_HEIGHT, 480, 320);
    scene = new_pixels(SCENE_WIDTH, SCENE_HEIGHT);
    ball = new_pixels(2 * BALL_RADIUS, 2 * BALL_RADIUS);
    paint_photo(scene, SCENE_WIDTH, SCENE_WIDTH, SCENE_HEIGHT, 21);
    paint_photo(ball, 2 * BALL_RADIUS, 2 * BALL_RADIUS, 2 * BALL_RADIUS, 22);
    video_draw(stage, 0);
}

/* Photographs: another one each time. */

static void photo_draw(struct stage *stage, long frame)
{
    paint_photo(image.pixels, PHOTO_WIDTH, PHOTO_WIDTH, PHOTO_HEIGHT, 100 + (uint32_t)frame);
    show_image(stage, &photo_load, frame);
}

static void photo_prepare(struct stage *stage)
{
    place_image(stage, &photo_load, PHOTO_WIDTH, PHOTO_HEIGHT, 160, 96);
    photo_draw(stage, 0);
}

struct load page_load = { .name = "page", .prepare = page_prepare, .draw = page_draw };
struct load video_load = { .name = "video", .prepare = video_prepare, .draw = video_draw };
struct load photo_load = { .name = "photo", .prepare = photo_prepare, .draw = photo_draw };
