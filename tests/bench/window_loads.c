/*
 * Loads of windows that move, come and go. What they uncover is drawn anew by the application below, from its own
 * pixels, as toolkits do.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "content.h"
#include "load.h"

#define WINDOWS_MAX 5

#define WITNESS_WIDTH 96
#define WITNESS_HEIGHT 64

#define DRAGGED_WIDTH 800
#define DRAGGED_HEIGHT 600
#define DRAG_STEP 8 /* pixels a frame across, and half of it down */

#define MENU_WIDTH 260
#define MENU_HEIGHT 520
#define MENU_ROWS 20

/* A window and what its application has drawn. */
struct shown {
    Window window;
    struct shared_image image;
};

static struct shown windows[WINDOWS_MAX];
static int window_count;

static struct shown *add_window(struct stage *stage, int x, int y, int width, int height)
{
    struct shown *shown = &windows[window_count++];
    XSetWindowAttributes attributes = { .override_redirect = True, .event_mask = ExposureMask,
                                        .background_pixmap = None };

    shown->window = XCreateWindow(stage->display, DefaultRootWindow(stage->display), x, y, (unsigned)width,
                                  (unsigned)height, 0, CopyFromParent, InputOutput, CopyFromParent,
                                  CWBackPixmap | CWOverrideRedirect | CWEventMask, &attributes);
    create_shared_image(stage, &shown->image, width, height);
    return shown;
}

/* The strip has a window of its own above all others. */
static void add_strip(struct stage *stage)
{
    XSetWindowAttributes attributes = { .override_redirect = True, .background_pixel = 0 };

    stage->strip_x = stage->width / 2 / STRIP_BLOCK_SIDE * STRIP_BLOCK_SIDE;
    stage->strip_y = (stage->height - STRIP_BLOCK_SIDE) / STRIP_BLOCK_SIDE * STRIP_BLOCK_SIDE;
    stage->strip_window =
        XCreateWindow(stage->display, DefaultRootWindow(stage->display), stage->strip_x, stage->strip_y, STRIP_WIDTH,
                      STRIP_BLOCK_SIDE, 0, CopyFromParent, InputOutput, CopyFromParent,
                      CWBackPixel | CWOverrideRedirect, &attributes);
    XMapRaised(stage->display, stage->strip_window);
    XSync(stage->display, False);
}

/* Where the picture tells by itself which of two states the windows are in. */
static void set_witness(struct stage *stage, int x, int y)
{
    stage->witness_x = x;
    stage->witness_y = y;
    stage->witness_width = WITNESS_WIDTH;
    stage->witness_height = WITNESS_HEIGHT;
}

/* Draws what X says is to be seen of the windows now. */
static void answer_exposures(struct stage *stage)
{
    XEvent event;

    XSync(stage->display, False);
    while (XCheckTypedEvent(stage->display, Expose, &event)) {
        for (int i = 0; i < window_count; i++) {
            const XExposeEvent *area = &event.xexpose;
            if (windows[i].window == area->window)
                put_shared_image(stage, area->window, &windows[i].image, area->x, area->y, area->width, area->height,
                                 0, 0);
        }
    }
}

static void map(struct stage *stage, const struct shown *shown)
{
    XMapRaised(stage->display, shown->window);
    XRaiseWindow(stage->display, stage->strip_window);
}

static struct shown *add_page(struct stage *stage, int x, int y, int width, int height, uint32_t seed)
{
    struct shown *shown = add_window(stage, x, y, width, height);

    paint_page(shown->image.pixels, width, height, seed);
    paint_header(shown->image.pixels, width, 40);
    return shown;
}

static struct shown *add_photo(struct stage *stage, int x, int y, int width, int height, uint32_t seed)
{
    struct shown *shown = add_window(stage, x, y, width, height);

    paint_photo(shown->image.pixels, width, width, height, seed);
    return shown;
}

/* Drag: a window over another one, in zigzag. */

static void drag_draw(struct stage *stage, long frame)
{
    int range_x = stage->width - DRAGGED_WIDTH, range_y = stage->height - DRAGGED_HEIGHT - 2 * STRIP_BLOCK_SIDE;
    int x = (int)(frame * DRAG_STEP % (2 * range_x)), y = (int)(frame * DRAG_STEP / 2 % (2 * range_y));

    XMoveWindow(stage->display, windows[1].window, x < range_x ? x : 2 * range_x - x,
                y < range_y ? y : 2 * range_y - y);
    answer_exposures(stage);
    fill_strip(stage, frame);
}

static void drag_prepare(struct stage *stage)
{
    add_strip(stage);
    map(stage, add_page(stage, 0, 0, stage->width, stage->height - 2 * STRIP_BLOCK_SIDE, 31));
    map(stage, add_page(stage, 0, 0, DRAGGED_WIDTH, DRAGGED_HEIGHT, 32));
    drag_draw(stage, 0);
}

/* Menu: opens over a page with the odd frames, closes with the even ones. */

static void menu_draw(struct stage *stage, long frame)
{
    if (frame % 2)
        map(stage, &windows[1]);
    else
        XUnmapWindow(stage->display, windows[1].window);
    answer_exposures(stage);
    fill_strip(stage, frame);
}

static void menu_prepare(struct stage *stage)
{
    add_strip(stage);
    map(stage, add_page(stage, 320, 24, 1280, 1032 - 2 * STRIP_BLOCK_SIDE, 33));
    struct shown *menu = add_window(stage, 420, 64, MENU_WIDTH, MENU_HEIGHT);
    paint_menu(menu->image.pixels, MENU_WIDTH, MENU_HEIGHT, MENU_ROWS);
    set_witness(stage, 420 + MENU_WIDTH / 4, 64 + MENU_HEIGHT - 100);
    menu_draw(stage, 0);
}

/* Workspaces: a page and a picture on the one, a page over a page on the other. */

static void workspace_draw(struct stage *stage, long frame)
{
    int first = frame % 2 ? 2 : 0, other = 2 - first;

    for (int i = 0; i < 2; i++)
        map(stage, &windows[first + i]);
    for (int i = 0; i < 2; i++)
        XUnmapWindow(stage->display, windows[other + i].window);
    answer_exposures(stage);
    fill_strip(stage, frame);
}

static void workspace_prepare(struct stage *stage)
{
    add_strip(stage);
    add_page(stage, 40, 40, 1000, 900, 41);
    add_photo(stage, 900, 200, 960, 640, 42);
    add_page(stage, 200, 60, 1200, 880, 43);
    add_page(stage, 760, 300, 900, 700, 44);
    set_witness(stage, 1200, 700);
    workspace_draw(stage, 0);
}

struct load drag_load = { .name = "drag", .prepare = drag_prepare, .draw = drag_draw };
struct load menu_load = { .name = "menu", .prepare = menu_prepare, .draw = menu_draw };
struct load workspace_load = { .name = "workspace", .prepare = workspace_prepare, .draw = workspace_draw };
