/*
 * Seeded random drawing with everything that core X has, and a little Render and Shape. The same seed draws the same
 * picture on every server: nothing depends on time, on events or on what else is on the screen.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef RANDOM_DRAWING_H
#define RANDOM_DRAWING_H

#include <X11/Xlib.h>
#include <stdint.h>

struct random_drawing;

/* Needs a TrueColor root of depth 24. Returns NULL when the display is none such. */
struct random_drawing *random_drawing_new(Display *display, uint64_t seed);

/* Queues one operation (a few requests); does not flush. */
void random_drawing_step(struct random_drawing *drawing);

/* Queues one Render operation only. */
void random_drawing_render_step(struct random_drawing *drawing);

#endif
