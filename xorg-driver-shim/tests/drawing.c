/*
 * Random drawing: see drawing.h. Coordinates reach over the edges on purpose.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "drawing.h"

#include <X11/Xutil.h>
#include <stdlib.h>

#include "peer.h"

#define PIXMAP_SIDE 300
#define CLIP_RECTS_MAX 40
#define FILL_RECTS_MAX 300

static unsigned below(struct drawing *drawing, unsigned limit)
{
    drawing->random = drawing->random * 1664525u + 1013904223u;
    return (drawing->random >> 8) % limit;
}

static int place(struct drawing *drawing)
{
    return (int)below(drawing, 340) - 40;
}

static unsigned side(struct drawing *drawing)
{
    return 1 + below(drawing, below(drawing, 4) ? 60 : 300);
}

static unsigned long color(struct drawing *drawing)
{
    return below(drawing, 1u << 24);
}

static XRenderColor render_color(struct drawing *drawing, unsigned alpha)
{
    return (XRenderColor){ (unsigned short)below(drawing, alpha + 1),
                           (unsigned short)below(drawing, alpha + 1),
                           (unsigned short)below(drawing, alpha + 1), (unsigned short)alpha };
}

static Window target(struct drawing *drawing)
{
    unsigned n = below(drawing, DRAWING_WINDOWS + 1);

    return n == DRAWING_WINDOWS ? drawing->root : drawing->windows[n];
}

static void make_pictures(struct drawing *drawing)
{
    Display *display = drawing->display;
    XRenderPictFormat *format = XRenderFindVisualFormat(display, DefaultVisual(display, 0));
    XRenderColor opaque = { 0x1200, 0xff00, 0x3400, 0xffff }, half = { 0x4000, 0x2000, 0, 0x8000 };

    for (int i = 0; i < DRAWING_WINDOWS; i++)
        drawing->pictures[i] = XRenderCreatePicture(display, drawing->windows[i], format, 0, NULL);
    drawing->solid = XRenderCreateSolidFill(display, &opaque);
    drawing->clear = XRenderCreateSolidFill(display, &half);
    drawing->pixmap_picture = XRenderCreatePicture(display, drawing->pixmap, format, 0, NULL);
}

void drawing_open(struct drawing *drawing, uint32_t seed)
{
    Display *display = XOpenDisplay(NULL);

    CHECK(display);
    drawing->display = display;
    drawing->root = DefaultRootWindow(display);
    drawing->random = seed;
    for (int i = 0; i < DRAWING_WINDOWS; i++) {
        /* The last one is a child of the first. */
        Window parent = i == DRAWING_WINDOWS - 1 ? drawing->windows[0] : drawing->root;
        drawing->windows[i] =
            XCreateSimpleWindow(display, parent, 20 + 60 * i % 150, 30 + 40 * i % 130, 260, 240,
                                i == 2 ? 5 : 0, 0xff0000, color(drawing));
        XMapWindow(display, drawing->windows[i]);
    }
    drawing->pixmap = XCreatePixmap(display, drawing->root, PIXMAP_SIDE, PIXMAP_SIDE, 24);
    drawing->bitmap = XCreatePixmap(display, drawing->root, 64, 64, 1);
    drawing->gc = XCreateGC(display, drawing->root, 0, NULL);
    drawing->bitmap_gc = XCreateGC(display, drawing->bitmap, 0, NULL);
    XFillRectangle(display, drawing->pixmap, drawing->gc, 0, 0, PIXMAP_SIDE, PIXMAP_SIDE);
    XFillRectangle(display, drawing->bitmap, drawing->bitmap_gc, 0, 0, 64, 64);
    XSetForeground(display, drawing->bitmap_gc, 1);
    XDrawLine(display, drawing->bitmap, drawing->bitmap_gc, 3, 0, 60, 50);
    make_pictures(drawing);
    XSync(display, False);
}

void drawing_close(struct drawing *drawing)
{
    XCloseDisplay(drawing->display);
}

static void set_clip(struct drawing *drawing)
{
    XRectangle rects[CLIP_RECTS_MAX];
    int count = 1 + (int)below(drawing, CLIP_RECTS_MAX);

    if (below(drawing, 3)) {
        XSetClipMask(drawing->display, drawing->gc, None);
        return;
    }
    for (int i = 0; i < count; i++)
        rects[i] =
            (XRectangle){ (short)place(drawing), (short)place(drawing),
                          (unsigned short)side(drawing), (unsigned short)(1 + below(drawing, 20)) };
    XSetClipRectangles(drawing->display, drawing->gc, 0, 0, rects, count, Unsorted);
}

static void set_gc(struct drawing *drawing)
{
    XGCValues values = {
        .function = below(drawing, 5) ? GXcopy : GXxor,
        .plane_mask = below(drawing, 8) ? AllPlanes : 0x00ff00,
        .foreground = color(drawing),
        .background = color(drawing),
        .line_width = below(drawing, 2) ? 0 : (int)below(drawing, 9),
        .fill_style = below(drawing, 6) ? FillSolid : FillStippled,
        .stipple = drawing->bitmap,
        .subwindow_mode = below(drawing, 6) ? ClipByChildren : IncludeInferiors,
        .graphics_exposures = below(drawing, 2) ? True : False,
    };

    XChangeGC(drawing->display, drawing->gc,
              GCFunction | GCPlaneMask | GCForeground | GCBackground | GCLineWidth | GCFillStyle |
                  GCStipple | GCSubwindowMode | GCGraphicsExposures,
              &values);
    set_clip(drawing);
}

static void fill_many(struct drawing *drawing)
{
    XRectangle rects[FILL_RECTS_MAX];
    int count = 1 + (int)below(drawing, below(drawing, 4) ? 20 : FILL_RECTS_MAX);

    for (int i = 0; i < count; i++)
        rects[i] = (XRectangle){ (short)place(drawing), (short)place(drawing),
                                 (unsigned short)(1 + below(drawing, 30)),
                                 (unsigned short)(1 + below(drawing, 30)) };
    XFillRectangles(drawing->display, target(drawing), drawing->gc, rects, count);
}

static void put_image(struct drawing *drawing)
{
    unsigned width = side(drawing), height = side(drawing);
    uint32_t *pixels = malloc((size_t)width * height * 4);

    CHECK(pixels);
    for (unsigned i = 0; i < width * height; i++)
        pixels[i] = (uint32_t)color(drawing);
    XImage *image = XCreateImage(drawing->display, DefaultVisual(drawing->display, 0), 24, ZPixmap,
                                 0, (char *)pixels, width, height, 32, 0);
    XPutImage(drawing->display, target(drawing), drawing->gc, image, 0, 0, place(drawing),
              place(drawing), width, height);
    XDestroyImage(image);
}

static void change_window(struct drawing *drawing)
{
    Display *display = drawing->display;
    Window window = drawing->windows[below(drawing, DRAWING_WINDOWS)];

    switch (below(drawing, 6)) {
    case 0:
        XMoveWindow(display, window, place(drawing), place(drawing));
        break;
    case 1:
        XMoveWindow(display, window, 30 + (int)below(drawing, 8), 30 + (int)below(drawing, 8));
        break;
    case 2:
        XRaiseWindow(display, window);
        break;
    case 3:
        XResizeWindow(display, window, 100 + side(drawing), 100 + side(drawing));
        break;
    case 4:
        XUnmapWindow(display, window);
        XMapWindow(display, window);
        break;
    default:
        XClearArea(display, window, place(drawing), place(drawing), side(drawing), side(drawing),
                   False);
        break;
    }
}

static void render(struct drawing *drawing)
{
    Display *display = drawing->display;
    Picture picture = drawing->pictures[below(drawing, DRAWING_WINDOWS)];
    int x = place(drawing), y = place(drawing);
    unsigned width = side(drawing), height = side(drawing);
    XRenderColor opaque = render_color(drawing, 0xffff), half = render_color(drawing, 0x7fff);
    Picture source = below(drawing, 2)   ? drawing->solid
                     : below(drawing, 2) ? drawing->clear
                                         : drawing->pixmap_picture;
    XTriangle triangle = { { 0, 0 },
                           { XDoubleToFixed(width), XDoubleToFixed(9) },
                           { XDoubleToFixed(5), XDoubleToFixed(height) } };

    switch (below(drawing, 5)) {
    case 0:
        XRenderFillRectangle(display, PictOpSrc, picture, &opaque, x, y, width, height);
        break;
    case 1:
        XRenderFillRectangle(display, PictOpOver, picture, &half, x, y, width, height);
        break;
    case 2:
        XRenderCompositeTriangles(display, PictOpOver, source, picture, NULL, 0, 0, &triangle, 1);
        break;
    default:
        XRenderComposite(display, below(drawing, 2) ? PictOpSrc : PictOpOver, source, None, picture,
                         0, 0, 0, 0, x, y, width, height);
        break;
    }
}

static void draw_shape(struct drawing *drawing)
{
    Display *display = drawing->display;
    Window window = target(drawing);
    int x = place(drawing), y = place(drawing);
    XPoint points[4] = { { (short)x, (short)y },
                         { (short)(x + 50), (short)(y + 5) },
                         { (short)(x - 20), (short)(y + 60) },
                         { (short)(x + 30), (short)(y + 90) } };

    switch (below(drawing, 8)) {
    case 0:
        XDrawLine(display, window, drawing->gc, x, y, place(drawing), place(drawing));
        break;
    case 1:
        XDrawArc(display, window, drawing->gc, x, y, side(drawing), side(drawing), 0, 300 * 64);
        break;
    case 2:
        XFillArc(display, window, drawing->gc, x, y, side(drawing), side(drawing), 0, 300 * 64);
        break;
    case 3:
        XFillPolygon(display, window, drawing->gc, points, 4, Complex, CoordModeOrigin);
        break;
    case 4:
        XDrawString(display, window, drawing->gc, x, y, "caraway seeds", 13);
        break;
    case 5:
        XDrawImageString(display, window, drawing->gc, x, y, "Carum carvi", 11);
        break;
    case 6:
        XDrawRectangle(display, window, drawing->gc, x, y, side(drawing), side(drawing));
        break;
    default:
        XCopyPlane(display, drawing->bitmap, window, drawing->gc, 0, 0, 64, 64, x, y, 1);
        break;
    }
}

void drawing_step(struct drawing *drawing)
{
    Display *display = drawing->display;

    set_gc(drawing);
    switch (below(drawing, 10)) {
    case 0:
    case 1:
        XFillRectangle(display, target(drawing), drawing->gc, place(drawing), place(drawing),
                       side(drawing), side(drawing));
        break;
    case 2:
        fill_many(drawing);
        break;
    case 3:
    case 4:
    case 5: {
        Window window = target(drawing);
        XCopyArea(display, below(drawing, 3) ? window : target(drawing), window, drawing->gc,
                  place(drawing), place(drawing), side(drawing), side(drawing), place(drawing),
                  place(drawing));
        break;
    }
    case 6:
        put_image(drawing);
        break;
    case 7:
        change_window(drawing);
        break;
    case 8:
        render(drawing);
        break;
    default:
        draw_shape(drawing);
        break;
    }
}
