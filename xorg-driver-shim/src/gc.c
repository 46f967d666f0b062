/*
 * Graphics contexts: their functions are always wrapped, their drawing operations only while the
 * context is validated for something on the screen. Off-screen drawing, most of what toolkits do,
 * costs nothing.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "gc.h"

#include "draw.h"

/* Above this many pairs of rectangles and clip boxes, a fill is told as damage. */
#define FILL_PAIRS_MAX 4096

struct gc_private {
    const GCFuncs *funcs; /* what was there before */
    const GCOps *ops;     /* the same, NULL while not wrapped */
};

static DevPrivateKeyRec gc_private_key;
static const GCFuncs wrapped_funcs;
static const GCOps wrapped_ops;

static struct gc_private *private_of(GCPtr gc)
{
    return dixLookupPrivate(&gc->devPrivates, &gc_private_key);
}

/* ---- functions: unwrap, call, wrap again ---- */

static void unwrap_funcs(GCPtr gc, struct gc_private *private)
{
    gc->funcs = private->funcs;
    if (private->ops)
        gc->ops = private->ops;
}

static void rewrap_funcs(GCPtr gc, struct gc_private *private)
{
    private->funcs = gc->funcs;
    gc->funcs = &wrapped_funcs;
    if (private->ops) {
        private->ops = gc->ops;
        gc->ops = &wrapped_ops;
    }
}

static void validate_gc(GCPtr gc, unsigned long changes, DrawablePtr drawable)
{
    struct gc_private *private = private_of(gc);

    unwrap_funcs(gc, private);
    gc->funcs->ValidateGC(gc, changes, drawable);
    private->ops = draw_is_on_screen(caraway_of_screen(gc->pScreen), drawable) ? gc->ops : NULL;
    rewrap_funcs(gc, private);
}

static void change_gc(GCPtr gc, unsigned long mask)
{
    struct gc_private *private = private_of(gc);

    unwrap_funcs(gc, private);
    gc->funcs->ChangeGC(gc, mask);
    rewrap_funcs(gc, private);
}

static void copy_gc(GCPtr source, unsigned long mask, GCPtr target)
{
    struct gc_private *private = private_of(target);

    unwrap_funcs(target, private);
    target->funcs->CopyGC(source, mask, target);
    rewrap_funcs(target, private);
}

static void destroy_gc(GCPtr gc)
{
    struct gc_private *private = private_of(gc);

    unwrap_funcs(gc, private);
    gc->funcs->DestroyGC(gc);
    rewrap_funcs(gc, private);
}

static void change_clip(GCPtr gc, int type, void *value, int rects)
{
    struct gc_private *private = private_of(gc);

    unwrap_funcs(gc, private);
    gc->funcs->ChangeClip(gc, type, value, rects);
    rewrap_funcs(gc, private);
}

static void destroy_clip(GCPtr gc)
{
    struct gc_private *private = private_of(gc);

    unwrap_funcs(gc, private);
    gc->funcs->DestroyClip(gc);
    rewrap_funcs(gc, private);
}

static void copy_clip(GCPtr target, GCPtr source)
{
    struct gc_private *private = private_of(target);

    unwrap_funcs(target, private);
    target->funcs->CopyClip(target, source);
    rewrap_funcs(target, private);
}

static const GCFuncs wrapped_funcs = {
    .ValidateGC = validate_gc,
    .ChangeGC = change_gc,
    .CopyGC = copy_gc,
    .DestroyGC = destroy_gc,
    .ChangeClip = change_clip,
    .DestroyClip = destroy_clip,
    .CopyClip = copy_clip,
};

/* ---- operations ---- */

struct gc_call {
    struct caraway *caraway;
    struct gc_private *private;
    const GCFuncs *funcs;
    struct operation operation;
};

static void enter_as(GCPtr gc, struct gc_call *call, struct rect_group *exact,
                     struct ring_meaning meaning)
{
    call->caraway = caraway_of_screen(gc->pScreen);
    call->private = private_of(gc);
    call->funcs = gc->funcs;
    draw_begin(call->caraway, &call->operation, gc->pCompositeClip, exact, meaning);
    gc->funcs = call->private->funcs;
    gc->ops = call->private->ops;
}

static void enter(GCPtr gc, struct gc_call *call)
{
    enter_as(gc, call, NULL, (struct ring_meaning){ .type = CARAWAY_DAMAGE });
}

static void leave(GCPtr gc, struct gc_call *call)
{
    call->private->funcs = gc->funcs;
    call->private->ops = gc->ops;
    gc->funcs = call->funcs;
    gc->ops = &wrapped_ops;
    draw_end(call->caraway, &call->operation);
}

static Bool paints_plainly(GCPtr gc, DrawablePtr drawable)
{
    unsigned long planes = drawable->depth == 32 ? 0xffffffffUL : (1UL << drawable->depth) - 1;

    return gc->alu == GXcopy && (gc->planemask & planes) == planes;
}

static RegionPtr copy_area(DrawablePtr source, DrawablePtr target, GCPtr gc, int source_x,
                           int source_y, int width, int height, int x, int y)
{
    struct caraway *caraway = caraway_of_screen(gc->pScreen);
    struct gc_call call;
    struct rect_group group, *exact = NULL;
    struct ring_meaning meaning = { .type = CARAWAY_DAMAGE };

    if (source->type == DRAWABLE_WINDOW && target->type == DRAWABLE_WINDOW &&
        gc->subWindowMode == ClipByChildren && paints_plainly(gc, target) &&
        draw_is_on_screen(caraway, source)) {
        int left = target->x + x, top = target->y + y;
        int dx = left - (source->x + source_x), dy = top - (source->y + source_y);
        BoxRec box = { max(left, MINSHORT), max(top, MINSHORT), min(left + width, MAXSHORT),
                       min(top + height, MAXSHORT) };
        RegionRec copied;

        rect_group_clear(&group);
        if (box.x1 < box.x2 && box.y1 < box.y2) {
            RegionInit(&copied, &box, 1);
            RegionIntersect(&copied, &copied, gc->pCompositeClip);
            RegionTranslate(&copied, -dx, -dy);
            RegionIntersect(&copied, &copied, &((WindowPtr)source)->clipList);
            RegionTranslate(&copied, dx, dy);
            draw_add_copied(&group, &copied, dx, dy);
            RegionUninit(&copied);
        }
        exact = &group;
        meaning = (struct ring_meaning){ .type = CARAWAY_COPY_BITS, .dx = dx, .dy = dy };
    }

    enter_as(gc, &call, exact, meaning);
    RegionPtr exposed =
        gc->ops->CopyArea(source, target, gc, source_x, source_y, width, height, x, y);
    leave(gc, &call);
    return exposed;
}

static void poly_fill_rect(DrawablePtr target, GCPtr gc, int count, xRectangle *rects)
{
    struct gc_call call;
    struct rect_group group, *exact = NULL;
    struct ring_meaning meaning = { .type = CARAWAY_DAMAGE };

    /* More rectangles than a group holds would become one box in the end: Damage makes that
     * cheaper. */
    if (gc->fillStyle == FillSolid && paints_plainly(gc, target) &&
        count <= (int)CARAWAY_GROUP_MAX &&
        (long)count * RegionNumRects(gc->pCompositeClip) <= FILL_PAIRS_MAX) {
        rect_group_clear(&group);
        for (int i = 0; i < count; i++) {
            int left = target->x + rects[i].x, top = target->y + rects[i].y;
            BoxRec box = { max(left, MINSHORT), max(top, MINSHORT),
                           min(left + rects[i].width, MAXSHORT),
                           min(top + rects[i].height, MAXSHORT) };
            draw_add_clipped(&group, &box, gc->pCompositeClip);
        }
        exact = &group;
        meaning = (struct ring_meaning){ .type = CARAWAY_FILL, .color = (uint32_t)gc->fgPixel };
    }

    enter_as(gc, &call, exact, meaning);
    gc->ops->PolyFillRect(target, gc, count, rects);
    leave(gc, &call);
}

/* The other operations differ in their arguments only. */
#define DAMAGING_OPERATION(name, function, parameters, arguments) \
    static void name parameters                                   \
    {                                                             \
        struct gc_call call;                                      \
                                                                  \
        enter(gc, &call);                                         \
        gc->ops->function arguments;                              \
        leave(gc, &call);                                         \
    }

#define RETURNING_OPERATION(result, name, function, parameters, arguments) \
    static result name parameters                                          \
    {                                                                      \
        struct gc_call call;                                               \
                                                                           \
        enter(gc, &call);                                                  \
        result value = gc->ops->function arguments;                        \
        leave(gc, &call);                                                  \
        return value;                                                      \
    }

DAMAGING_OPERATION(fill_spans, FillSpans,
                   (DrawablePtr target, GCPtr gc, int count, DDXPointPtr points, int *widths,
                    int sorted),
                   (target, gc, count, points, widths, sorted))
DAMAGING_OPERATION(set_spans, SetSpans,
                   (DrawablePtr target, GCPtr gc, char *source, DDXPointPtr points, int *widths,
                    int count, int sorted),
                   (target, gc, source, points, widths, count, sorted))
DAMAGING_OPERATION(put_image, PutImage,
                   (DrawablePtr target, GCPtr gc, int depth, int x, int y, int width, int height,
                    int left_pad, int format, char *bits),
                   (target, gc, depth, x, y, width, height, left_pad, format, bits))
RETURNING_OPERATION(RegionPtr, copy_plane, CopyPlane,
                    (DrawablePtr source, DrawablePtr target, GCPtr gc, int source_x, int source_y,
                     int width, int height, int x, int y, unsigned long plane),
                    (source, target, gc, source_x, source_y, width, height, x, y, plane))
DAMAGING_OPERATION(poly_point, PolyPoint,
                   (DrawablePtr target, GCPtr gc, int mode, int count, DDXPointPtr points),
                   (target, gc, mode, count, points))
DAMAGING_OPERATION(polylines, Polylines,
                   (DrawablePtr target, GCPtr gc, int mode, int count, DDXPointPtr points),
                   (target, gc, mode, count, points))
DAMAGING_OPERATION(poly_segment, PolySegment,
                   (DrawablePtr target, GCPtr gc, int count, xSegment *segments),
                   (target, gc, count, segments))
DAMAGING_OPERATION(poly_rectangle, PolyRectangle,
                   (DrawablePtr target, GCPtr gc, int count, xRectangle *rects),
                   (target, gc, count, rects))
DAMAGING_OPERATION(poly_arc, PolyArc, (DrawablePtr target, GCPtr gc, int count, xArc *arcs),
                   (target, gc, count, arcs))
DAMAGING_OPERATION(fill_polygon, FillPolygon,
                   (DrawablePtr target, GCPtr gc, int shape, int mode, int count,
                    DDXPointPtr points),
                   (target, gc, shape, mode, count, points))
DAMAGING_OPERATION(poly_fill_arc, PolyFillArc,
                   (DrawablePtr target, GCPtr gc, int count, xArc *arcs), (target, gc, count, arcs))
RETURNING_OPERATION(int, poly_text8, PolyText8,
                    (DrawablePtr target, GCPtr gc, int x, int y, int count, char *text),
                    (target, gc, x, y, count, text))
RETURNING_OPERATION(int, poly_text16, PolyText16,
                    (DrawablePtr target, GCPtr gc, int x, int y, int count, unsigned short *text),
                    (target, gc, x, y, count, text))
DAMAGING_OPERATION(image_text8, ImageText8,
                   (DrawablePtr target, GCPtr gc, int x, int y, int count, char *text),
                   (target, gc, x, y, count, text))
DAMAGING_OPERATION(image_text16, ImageText16,
                   (DrawablePtr target, GCPtr gc, int x, int y, int count, unsigned short *text),
                   (target, gc, x, y, count, text))
DAMAGING_OPERATION(image_glyph_blt, ImageGlyphBlt,
                   (DrawablePtr target, GCPtr gc, int x, int y, unsigned int count,
                    CharInfoPtr *glyphs, void *base),
                   (target, gc, x, y, count, glyphs, base))
DAMAGING_OPERATION(poly_glyph_blt, PolyGlyphBlt,
                   (DrawablePtr target, GCPtr gc, int x, int y, unsigned int count,
                    CharInfoPtr *glyphs, void *base),
                   (target, gc, x, y, count, glyphs, base))
DAMAGING_OPERATION(push_pixels, PushPixels,
                   (GCPtr gc, PixmapPtr bitmap, DrawablePtr target, int width, int height, int x,
                    int y),
                   (gc, bitmap, target, width, height, x, y))

static const GCOps wrapped_ops = {
    .FillSpans = fill_spans,
    .SetSpans = set_spans,
    .PutImage = put_image,
    .CopyArea = copy_area,
    .CopyPlane = copy_plane,
    .PolyPoint = poly_point,
    .Polylines = polylines,
    .PolySegment = poly_segment,
    .PolyRectangle = poly_rectangle,
    .PolyArc = poly_arc,
    .FillPolygon = fill_polygon,
    .PolyFillRect = poly_fill_rect,
    .PolyFillArc = poly_fill_arc,
    .PolyText8 = poly_text8,
    .PolyText16 = poly_text16,
    .ImageText8 = image_text8,
    .ImageText16 = image_text16,
    .ImageGlyphBlt = image_glyph_blt,
    .PolyGlyphBlt = poly_glyph_blt,
    .PushPixels = push_pixels,
};

static Bool create_gc(GCPtr gc)
{
    ScreenPtr screen = gc->pScreen;
    struct caraway *caraway = caraway_of_screen(screen);
    struct gc_private *private = private_of(gc);

    screen->CreateGC = caraway->create_gc;
    Bool created = screen->CreateGC(gc);
    caraway->create_gc = screen->CreateGC;
    screen->CreateGC = create_gc;
    if (created) {
        private->funcs = gc->funcs;
        private->ops = NULL;
        gc->funcs = &wrapped_funcs;
    }
    return created;
}

Bool gc_wrap(struct caraway *caraway)
{
    if (!dixRegisterPrivateKey(&gc_private_key, PRIVATE_GC, sizeof(struct gc_private)))
        return FALSE;
    caraway->create_gc = caraway->screen->CreateGC;
    caraway->screen->CreateGC = create_gc;
    return TRUE;
}

void gc_unwrap(struct caraway *caraway)
{
    caraway->screen->CreateGC = caraway->create_gc;
}
