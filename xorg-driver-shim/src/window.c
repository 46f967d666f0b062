/*
 * CopyWindow: what the server does when a window moves with its contents.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "window.h"

#include "draw.h"

static void copy_window(WindowPtr window, DDXPointRec old_origin, RegionPtr source)
{
    ScreenPtr screen = window->drawable.pScreen;
    struct caraway *caraway = caraway_of_screen(screen);
    int dx = window->drawable.x - old_origin.x;
    int dy = window->drawable.y - old_origin.y;
    Bool on_screen = draw_is_on_screen(caraway, &window->drawable);
    struct operation operation;
    struct rect_group group;

    if (on_screen) {
        RegionRec copied;

        /* The wrapped function changes `source`, so this comes first. */
        RegionNull(&copied);
        rect_group_clear(&group);
        if (RegionCopy(&copied, source)) {
            RegionTranslate(&copied, dx, dy);
            RegionIntersect(&copied, &copied, &window->borderClip);
        }
        draw_add_copied(&group, &copied, dx, dy);
        RegionUninit(&copied);
        draw_begin(caraway, &operation, NULL, &group,
                   (struct ring_meaning){ .type = CARAWAY_COPY_BITS, .dx = dx, .dy = dy });
    }

    screen->CopyWindow = caraway->copy_window;
    screen->CopyWindow(window, old_origin, source);
    caraway->copy_window = screen->CopyWindow;
    screen->CopyWindow = copy_window;

    if (on_screen)
        draw_end(caraway, &operation);
}

void window_wrap(struct caraway *caraway)
{
    caraway->copy_window = caraway->screen->CopyWindow;
    caraway->screen->CopyWindow = copy_window;
}

void window_unwrap(struct caraway *caraway)
{
    caraway->screen->CopyWindow = caraway->copy_window;
}
