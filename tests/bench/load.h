/*
 * What the loads of the bench have in common: the stage that they draw on, and the strip that numbers their frames.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <X11/Xlib.h>
#include <X11/extensions/XShm.h>
#include <stdint.h>

/*
 * A frame's number stands in the picture as a Gray code, one block per bit, black or white, the lowest bit first.
 * Consecutive frames differ in one block, so that the number costs next to nothing on the wire and is never torn.
 */
#define STRIP_BLOCKS 12
#define STRIP_BLOCK_SIDE 8
#define STRIP_WIDTH (STRIP_BLOCKS * STRIP_BLOCK_SIDE)

/* A window over the whole screen; every load draws on it or on windows above it. */
struct stage {
    Display *display;
    int screen;
    int width, height;
    Window window;
    GC gc;
    int strip_x, strip_y;  /* root coordinates; the load's `prepare` sets them */
    int first_strip_x, first_strip_y; /* of a copy that comes before the rest of the frame; -1 where there is none */
    /* Part of the picture that is one thing after odd frames and another after even ones; of width 0 elsewhere. */
    int witness_x, witness_y, witness_width, witness_height;
    Window strip_window;   /* where the strip is drawn with fills; None when it is part of an image */
    long strip_frame;      /* number that the strip shows; -1 before the first */
};

/* Pixels that X reads from shared memory, 0x00RRGGBB. */
struct shared_image {
    XImage *image;
    XShmSegmentInfo segment;
    uint32_t *pixels;
    int width, height;
};

struct load {
    const char *name;
    /* Draws all that stands still, and frame 0. */
    void (*prepare)(struct stage *stage);
    /* Draws frame 1 and on, each once and in order. */
    void (*draw)(struct stage *stage, long frame);
    /* The image that changes, when its pixels tell the quality of what a client shows; else NULL. */
    const struct shared_image *moving;
    int moving_x, moving_y;
};

extern struct load typing_load, terminal_load, fills_load, key_load;
extern struct load page_load, video_load, photo_load;
extern struct load drag_load, menu_load, workspace_load;

/* Ends the program with a sentence. */
void fail(const char *why) __attribute__((noreturn));

/* Pseudo-random numbers that are the same in each run. `state` is never 0. */
uint32_t next_random(uint32_t *state);

/* An image of that size that X and this program share. */
void create_shared_image(struct stage *stage, struct shared_image *image, int width, int height);

/* Shows a rectangle of the image at the same place of `drawable` plus (`x`, `y`). */
void put_shared_image(struct stage *stage, Drawable drawable, const struct shared_image *image, int left, int top,
                      int width, int height, int x, int y);

/* Brings the strip to `frame` by filling the blocks that differ. */
void fill_strip(struct stage *stage, long frame);

/* Writes the strip, and its copy if there is one, into an image at (`image_x`, `image_y`) of the root window. */
void paint_strip(const struct stage *stage, long frame, struct shared_image *image, int image_x, int image_y);

#endif
