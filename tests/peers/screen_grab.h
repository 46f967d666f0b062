/*
 * The root window of an X display as pixels, by shared memory where the display is local: what every picture that a
 * SPICE client holds is compared with.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef SCREEN_GRAB_H
#define SCREEN_GRAB_H

#include <stdint.h>

#define PIXEL_MASK 0x00ffffffu /* x8r8g8b8: the top byte means nothing on either side */

struct screen_grab {
    int width, height;       /* pixels */
    int stride;              /* pixels from one row to the next */
    const uint32_t *pixels;  /* valid until the next grab */
};

struct difference {
    uint64_t wrong;                        /* pixels */
    int left, top, right, bottom;          /* half-open box around them; empty when wrong is 0 */
    int first_x, first_y;
    uint32_t first_ours, first_theirs;
};

/* Grabs the root window of `display_name`. Returns 0, or -1 with a sentence in *error_out. */
int screen_grab_take(const char *display_name, struct screen_grab *grab_out, const char **error_out);

/* Compares `grab` with pixels of the same size. */
struct difference screen_grab_compare(const struct screen_grab *grab, const uint32_t *pixels, int stride);

#endif
