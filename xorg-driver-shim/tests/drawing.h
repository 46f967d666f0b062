/*
 * Random drawing by an X client: every kind of operation, on windows that overlap, nest and move.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef CARAWAY_TESTS_DRAWING_H
#define CARAWAY_TESTS_DRAWING_H

#include <X11/Xlib.h>
#include <X11/extensions/Xrender.h>
#include <stdint.h>

#define DRAWING_WINDOWS 5

struct drawing {
    Display *display;
    Window root, windows[DRAWING_WINDOWS];
    Pixmap pixmap, bitmap;
    Picture pictures[DRAWING_WINDOWS], solid, clear, pixmap_picture;
    GC gc, bitmap_gc;
    uint32_t random;
};

/* Opens $DISPLAY and maps the windows. */
void drawing_open(struct drawing *drawing, uint32_t seed);
void drawing_close(struct drawing *drawing);

/* One random operation. */
void drawing_step(struct drawing *drawing);

#endif
