/* See random_drawing.h. SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "random_drawing.h"

#include <X11/Xutil.h>
#include <X11/extensions/XShm.h>
#include <X11/extensions/Xrender.h>
#include <X11/extensions/shape.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#define WINDOWS_MAX 24
#define PIXMAPS 4
#define PIXMAP_SIDE 256
#define IMAGE_SIDE 512
#define POINTS_MAX 24

struct random_drawing {
    Display *display;
    Window root;
    int screen, width, height;
    uint64_t state;
    GC gc;
    XFontStruct *font;
    Window windows[WINDOWS_MAX]; /* 0 where there is none */
    Pixmap pixmaps[PIXMAPS];
    Pixmap bitmap; /* depth 1: stipple and clip mask */
    XImage *image; /* random pixels, never changed after */
    XShmSegmentInfo segment;
    XImage *shared_image; /* NULL without MIT-SHM */
    XRenderPictFormat *window_format, *argb_format;
    Picture sources[3]; /* ARGB pixmap, repeating ARGB pixmap, A8 mask */
};

/* xorshift64*: the same numbers everywhere, unlike rand(). */
static uint32_t next(struct random_drawing *d)
{
    d->state ^= d->state >> 12;
    d->state ^= d->state << 25;
    d->state ^= d->state >> 27;
    return (uint32_t)((d->state * UINT64_C(2685821657736338717)) >> 32);
}

static int below(struct random_drawing *d, int limit)
{
    return (int)(next(d) % (uint32_t)limit);
}

static int between(struct random_drawing *d, int low, int high)
{
    return low + below(d, high - low);
}

static unsigned long colour(struct random_drawing *d)
{
    return next(d) & 0xffffff;
}

/* ---- set-up ---- */

static void make_images(struct random_drawing *d)
{
    Visual *visual = DefaultVisual(d->display, d->screen);
    uint32_t *pixels = malloc(sizeof *pixels * IMAGE_SIDE * IMAGE_SIDE);

    for (int i = 0; i < IMAGE_SIDE * IMAGE_SIDE; i++) {
        /* Noise, flat bars and gradients: what the encoders treat differently. */
        int x = i % IMAGE_SIDE, y = i / IMAGE_SIDE;
        if (y < IMAGE_SIDE / 3)
            pixels[i] = next(d) & 0xffffff;
        else if (y < 2 * IMAGE_SIDE / 3)
            pixels[i] = (uint32_t)(x / 16 * 0x1f3b57) & 0xffffff;
        else
            pixels[i] = (uint32_t)(x / 2 << 16 | y / 2 << 8 | ((x + y) & 0xff));
    }
    d->image = XCreateImage(d->display, visual, 24, ZPixmap, 0, (char *)pixels, IMAGE_SIDE, IMAGE_SIDE, 32, 0);
    if (!XShmQueryExtension(d->display))
        return;
    d->shared_image = XShmCreateImage(d->display, visual, 24, ZPixmap, NULL, &d->segment, IMAGE_SIDE, IMAGE_SIDE);
    /* The display may be another user's, whose X server attaches the segment too. */
    d->segment.shmid = shmget(IPC_PRIVATE, sizeof *pixels * IMAGE_SIDE * IMAGE_SIDE, IPC_CREAT | 0666);
    d->segment.shmaddr = d->shared_image->data = shmat(d->segment.shmid, NULL, 0);
    d->segment.readOnly = True;
    for (int i = 0; i < IMAGE_SIDE * IMAGE_SIDE; i++)
        ((uint32_t *)(void *)d->shared_image->data)[i] = pixels[i] ^ 0x00ff00;
    XShmAttach(d->display, &d->segment);
    XSync(d->display, False);
    shmctl(d->segment.shmid, IPC_RMID, NULL);
}

static void make_pictures(struct random_drawing *d)
{
    XRenderPictureAttributes repeat = { .repeat = RepeatNormal };

    d->window_format = XRenderFindVisualFormat(d->display, DefaultVisual(d->display, d->screen));
    d->argb_format = XRenderFindStandardFormat(d->display, PictStandardARGB32);
    XRenderPictFormat *mask_format = XRenderFindStandardFormat(d->display, PictStandardA8);
    for (int i = 0; i < 3; i++) {
        XRenderPictFormat *format = i == 2 ? mask_format : d->argb_format;
        int side = i == 1 ? 37 : PIXMAP_SIDE;
        Pixmap pixmap = XCreatePixmap(d->display, d->root, side, side, format->depth);
        d->sources[i] = XRenderCreatePicture(d->display, pixmap, format, i == 1 ? CPRepeat : 0, &repeat);
        XRenderColor clear = { 0, 0, 0, 0 };
        XRenderFillRectangle(d->display, PictOpSrc, d->sources[i], &clear, 0, 0, side, side);
        for (int j = 0; j < 40; j++) {
            XRenderColor fill;
            fill.alpha = next(d) & 0xffff;
            /* Premultiplied: no channel exceeds alpha. */
            fill.red = next(d) % (fill.alpha + 1);
            fill.green = next(d) % (fill.alpha + 1);
            fill.blue = next(d) % (fill.alpha + 1);
            XRenderFillRectangle(d->display, PictOpSrc, d->sources[i], &fill, below(d, side), below(d, side),
                                 between(d, 1, 60), between(d, 1, 60));
        }
        XFreePixmap(d->display, pixmap);
    }
}

struct random_drawing *random_drawing_new(Display *display, uint64_t seed)
{
    struct random_drawing *d = calloc(1, sizeof *d);

    d->display = display;
    d->screen = DefaultScreen(display);
    d->root = DefaultRootWindow(display);
    d->width = DisplayWidth(display, d->screen);
    d->height = DisplayHeight(display, d->screen);
    d->state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    if (DefaultDepth(display, d->screen) != 24) {
        free(d);
        return NULL;
    }
    d->gc = XCreateGC(display, d->root, 0, NULL);
    XSetGraphicsExposures(display, d->gc, False);
    d->font = XLoadQueryFont(display, "fixed");
    if (d->font)
        XSetFont(display, d->gc, d->font->fid);
    make_images(d);
    for (int i = 0; i < PIXMAPS; i++) {
        d->pixmaps[i] = XCreatePixmap(display, d->root, PIXMAP_SIDE, PIXMAP_SIDE, 24);
        XPutImage(display, d->pixmaps[i], d->gc, d->image, below(d, 256), below(d, 256), 0, 0, PIXMAP_SIDE,
                  PIXMAP_SIDE);
    }
    d->bitmap = XCreatePixmap(display, d->root, 64, 64, 1);
    GC bit_gc = XCreateGC(display, d->bitmap, 0, NULL);
    XFillRectangle(display, d->bitmap, bit_gc, 0, 0, 64, 64);
    XSetForeground(display, bit_gc, 1);
    for (int i = 0; i < 60; i++)
        XFillRectangle(display, d->bitmap, bit_gc, below(d, 64), below(d, 64), between(d, 1, 9), between(d, 1, 9));
    XFreeGC(display, bit_gc);
    make_pictures(d);
    XSetWindowBackground(display, d->root, 0x335577);
    XClearWindow(display, d->root);
    return d;
}

/* ---- where and how ---- */

static Window any_window(struct random_drawing *d)
{
    Window window = d->windows[below(d, WINDOWS_MAX)];
    return window ? window : d->root;
}

static Drawable any_drawable(struct random_drawing *d)
{
    return below(d, 6) == 0 ? d->pixmaps[below(d, PIXMAPS)] : any_window(d);
}

static void set_clip(struct random_drawing *d)
{
    XRectangle rectangles[6];
    int count = between(d, 1, 6);

    switch (below(d, 8)) {
    case 0:
        for (int i = 0; i < count; i++) {
            rectangles[i].x = (short)between(d, -20, 600);
            rectangles[i].y = (short)between(d, -20, 400);
            rectangles[i].width = (unsigned short)between(d, 1, 300);
            rectangles[i].height = (unsigned short)between(d, 1, 300);
        }
        XSetClipRectangles(d->display, d->gc, below(d, 50), below(d, 50), rectangles, count, Unsorted);
        break;
    case 1:
        XSetClipOrigin(d->display, d->gc, below(d, 300), below(d, 300));
        XSetClipMask(d->display, d->gc, d->bitmap);
        break;
    default:
        XSetClipMask(d->display, d->gc, None);
    }
}

static void set_graphics(struct random_drawing *d)
{
    XGCValues values;

    /* Half of it plain copies, as applications draw; the rest every raster operation and some plane masks. */
    values.function = below(d, 2) ? GXcopy : below(d, 16);
    values.plane_mask = below(d, 12) ? AllPlanes : next(d);
    values.foreground = colour(d);
    values.background = colour(d);
    values.line_width = below(d, 3) ? 0 : below(d, 12);
    values.line_style = below(d, 4) ? LineSolid : between(d, LineSolid, LineDoubleDash + 1);
    values.cap_style = between(d, CapNotLast, CapProjecting + 1);
    values.join_style = between(d, JoinMiter, JoinBevel + 1);
    values.fill_style = below(d, 3) ? FillSolid : between(d, FillSolid, FillOpaqueStippled + 1);
    values.fill_rule = below(d, 2);
    values.arc_mode = below(d, 2);
    values.subwindow_mode = below(d, 8) ? ClipByChildren : IncludeInferiors;
    values.tile = d->pixmaps[below(d, PIXMAPS)];
    values.stipple = d->bitmap;
    values.ts_x_origin = below(d, 64);
    values.ts_y_origin = below(d, 64);
    XChangeGC(d->display, d->gc,
              GCFunction | GCPlaneMask | GCForeground | GCBackground | GCLineWidth | GCLineStyle | GCCapStyle |
                  GCJoinStyle | GCFillStyle | GCFillRule | GCArcMode | GCSubwindowMode | GCTile | GCStipple |
                  GCTileStipXOrigin | GCTileStipYOrigin,
              &values);
    set_clip(d);
}

static void place(struct random_drawing *d, int *x, int *y)
{
    *x = between(d, -30, below(d, 3) ? 500 : d->width);
    *y = between(d, -30, below(d, 3) ? 400 : d->height);
}

/* ---- operations ---- */

static void fill(struct random_drawing *d)
{
    XRectangle rectangles[POINTS_MAX];
    int count = below(d, 3) ? 1 : between(d, 1, POINTS_MAX), x, y;
    int side = below(d, 20) ? 120 : 900;

    for (int i = 0; i < count; i++) {
        place(d, &x, &y);
        rectangles[i].x = (short)x;
        rectangles[i].y = (short)y;
        rectangles[i].width = (unsigned short)between(d, 1, side);
        rectangles[i].height = (unsigned short)between(d, 1, side);
    }
    XFillRectangles(d->display, any_drawable(d), d->gc, rectangles, count);
}

static void copy(struct random_drawing *d)
{
    Drawable from = any_drawable(d);
    /* Mostly within one window and overlapping: that is how a window scrolls. */
    Drawable to = below(d, 3) ? from : any_drawable(d);
    int x, y, width = between(d, 1, 400), height = between(d, 1, 300);

    place(d, &x, &y);
    if (below(d, 12) == 0)
        XCopyPlane(d->display, from, to, d->gc, x, y, width, height, x + between(d, -40, 40), y + between(d, -40, 40),
                   1ul << below(d, 24));
    else
        XCopyArea(d->display, from, to, d->gc, x, y, width, height, x + between(d, -40, 40), y + between(d, -40, 40));
}

static void put_image(struct random_drawing *d)
{
    int x, y, side = below(d, 15) ? 80 : 400, width = between(d, 1, side), height = between(d, 1, side);
    int from_x = below(d, IMAGE_SIDE - width), from_y = below(d, IMAGE_SIDE - height);

    place(d, &x, &y);
    if (d->shared_image && below(d, 2))
        XShmPutImage(d->display, any_drawable(d), d->gc, d->shared_image, from_x, from_y, x, y, width, height, False);
    else
        XPutImage(d->display, any_drawable(d), d->gc, d->image, from_x, from_y, x, y, width, height);
}

static void text(struct random_drawing *d)
{
    char letters[40];
    int x, y, count = between(d, 1, (int)sizeof letters);

    for (int i = 0; i < count; i++)
        letters[i] = (char)between(d, '!', '~');
    place(d, &x, &y);
    if (below(d, 2))
        XDrawImageString(d->display, any_drawable(d), d->gc, x, y, letters, count);
    else
        XDrawString(d->display, any_drawable(d), d->gc, x, y, letters, count);
}

static void lines(struct random_drawing *d)
{
    XPoint points[POINTS_MAX];
    int count = between(d, 2, POINTS_MAX), x, y;
    Drawable to = any_drawable(d);

    for (int i = 0; i < count; i++) {
        place(d, &x, &y);
        points[i].x = (short)x;
        points[i].y = (short)y;
    }
    switch (below(d, 5)) {
    case 0: XDrawLines(d->display, to, d->gc, points, count > 5 ? 5 : count, CoordModeOrigin); break;
    case 1: XDrawPoints(d->display, to, d->gc, points, count, CoordModeOrigin); break;
    case 2: XFillPolygon(d->display, to, d->gc, points, count > 5 ? 5 : count, Complex, CoordModeOrigin); break;
    case 3:
        XDrawSegments(d->display, to, d->gc, (XSegment *)(void *)points, count / 2);
        break;
    default: XDrawRectangle(d->display, to, d->gc, x, y, between(d, 1, 200), between(d, 1, 200));
    }
}

static void arcs(struct random_drawing *d)
{
    int x, y, start = below(d, 360 * 64), extent = between(d, -360 * 64, 360 * 64);
    unsigned width = (unsigned)between(d, 1, 150), height = (unsigned)between(d, 1, 150);

    place(d, &x, &y);
    if (below(d, 2))
        XDrawArc(d->display, any_drawable(d), d->gc, x, y, width, height, start, extent);
    else
        XFillArc(d->display, any_drawable(d), d->gc, x, y, width, height, start, extent);
}

static void create_window(struct random_drawing *d, Window *slot)
{
    XSetWindowAttributes attributes;
    /* A parent that is destroyed takes its children with it, so only windows on the root are given children, and
     * those are never kept. */
    attributes.background_pixel = colour(d);
    attributes.background_pixmap = d->pixmaps[below(d, PIXMAPS)];
    attributes.border_pixel = colour(d);
    attributes.bit_gravity = below(d, 11);
    attributes.win_gravity = between(d, 1, 11);
    attributes.override_redirect = True;
    unsigned long mask = CWBorderPixel | CWBitGravity | CWWinGravity | CWOverrideRedirect |
                         (below(d, 5) ? CWBackPixel : CWBackPixmap);
    *slot = XCreateWindow(d->display, d->root, between(d, -100, d->width), between(d, -100, d->height),
                          (unsigned)between(d, 20, 600), (unsigned)between(d, 20, 500), (unsigned)below(d, 8), 24,
                          InputOutput, CopyFromParent, mask, &attributes);
    for (int i = below(d, 3); i > 0; i--) {
        attributes.background_pixel = colour(d);
        Window child = XCreateWindow(d->display, *slot, between(d, -20, 300), between(d, -20, 200),
                                     (unsigned)between(d, 10, 200), (unsigned)between(d, 10, 200),
                                     (unsigned)below(d, 4), 24, InputOutput, CopyFromParent,
                                     CWBorderPixel | CWBackPixel | CWBitGravity | CWWinGravity, &attributes);
        XMapWindow(d->display, child);
    }
    XMapWindow(d->display, *slot);
}

static void shape_window(struct random_drawing *d, Window window)
{
    XRectangle rectangles[4];

    if (below(d, 2)) {
        XShapeCombineMask(d->display, window, ShapeBounding, 0, 0, None, ShapeSet);
        return;
    }
    for (int i = 0; i < 4; i++) {
        rectangles[i].x = (short)below(d, 200);
        rectangles[i].y = (short)below(d, 200);
        rectangles[i].width = (unsigned short)between(d, 20, 300);
        rectangles[i].height = (unsigned short)between(d, 20, 300);
    }
    XShapeCombineRectangles(d->display, window, ShapeBounding, 0, 0, rectangles, 4, ShapeSet, Unsorted);
}

static void manage_windows(struct random_drawing *d)
{
    Window *slot = &d->windows[below(d, WINDOWS_MAX)];

    if (!*slot) {
        create_window(d, slot);
        return;
    }
    switch (below(d, 12)) {
    case 0:
        XDestroyWindow(d->display, *slot);
        *slot = 0;
        break;
    case 1:
    case 2:
    case 3: XMoveWindow(d->display, *slot, between(d, -100, d->width), between(d, -100, d->height)); break;
    case 4: XResizeWindow(d->display, *slot, (unsigned)between(d, 20, 700), (unsigned)between(d, 20, 600)); break;
    case 5: XRaiseWindow(d->display, *slot); break;
    case 6: XLowerWindow(d->display, *slot); break;
    case 7: XUnmapWindow(d->display, *slot); break;
    case 8: XMapWindow(d->display, *slot); break;
    case 9: shape_window(d, *slot); break;
    case 10:
        XClearArea(d->display, *slot, below(d, 300), below(d, 300), (unsigned)between(d, 1, 300),
                   (unsigned)between(d, 1, 300), False);
        break;
    default: XCirculateSubwindowsUp(d->display, d->root);
    }
}

void random_drawing_render_step(struct random_drawing *d)
{
    static const int operators[] = { PictOpOver, PictOpSrc, PictOpAdd, PictOpOver, PictOpIn, PictOpOut,
                                     PictOpAtop, PictOpXor, PictOpOverReverse, PictOpSaturate };
    XRenderPictureAttributes attributes = { .subwindow_mode = below(d, 8) ? ClipByChildren : IncludeInferiors };
    Picture to = XRenderCreatePicture(d->display, any_window(d), d->window_format, CPSubwindowMode, &attributes);
    int operator = operators[below(d, sizeof operators / sizeof *operators)], x, y;

    place(d, &x, &y);
    if (below(d, 3) == 0) {
        XRenderColor fill = { .alpha = next(d) & 0xffff };
        fill.red = next(d) % (fill.alpha + 1);
        fill.green = next(d) % (fill.alpha + 1);
        fill.blue = next(d) % (fill.alpha + 1);
        XRenderFillRectangle(d->display, operator, to, &fill, x, y, (unsigned)between(d, 1, 300),
                             (unsigned)between(d, 1, 300));
    } else if (below(d, 3) == 0) {
        XTriangle triangle;
        XFixed *coordinates[6] = { &triangle.p1.x, &triangle.p1.y, &triangle.p2.x,
                                   &triangle.p2.y, &triangle.p3.x, &triangle.p3.y };
        for (int i = 0; i < 6; i++)
            *coordinates[i] = XDoubleToFixed(between(d, 0, 4000) / 7.0);
        XRenderCompositeTriangles(d->display, operator, d->sources[1], to, NULL, 0, 0, &triangle, 1);
    } else {
        XRenderComposite(d->display, operator, d->sources[below(d, 2)], below(d, 2) ? d->sources[2] : None, to,
                         below(d, 100), below(d, 100), below(d, 100), below(d, 100), x, y,
                         (unsigned)between(d, 1, 250), (unsigned)between(d, 1, 250));
    }
    XRenderFreePicture(d->display, to);
}

void random_drawing_step(struct random_drawing *d)
{
    int kind = below(d, 100);

    if (kind < 12) {
        manage_windows(d);
        return;
    }
    if (kind < 18) {
        random_drawing_render_step(d);
        return;
    }
    if (below(d, 3) == 0)
        set_graphics(d);
    if (kind < 45)
        fill(d);
    else if (kind < 62)
        copy(d);
    else if (kind < 74)
        put_image(d);
    else if (kind < 88)
        text(d);
    else if (kind < 96)
        lines(d);
    else
        arcs(d);
}
