/*
 * Render: compositing, glyphs, and the old trapezoid and triangle masks.
 *
 * Trapezoids, triangles and rectangles that reach the screen come through Composite or through a
 * graphics context, so these four functions are all that is left.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "render.h"

#include "draw.h"

static Bool is_on_screen(struct caraway *caraway, PicturePtr picture)
{
    return picture->pDrawable && draw_is_on_screen(caraway, picture->pDrawable);
}

/* The colour of a picture that has one only, 0xAARRGGBB premultiplied. */
static Bool solid_color(PicturePtr picture, uint32_t *color)
{
    if (!picture->pDrawable) {
        if (!picture->pSourcePict || picture->pSourcePict->type != SourcePictTypeSolidFill)
            return FALSE;
        *color = picture->pSourcePict->solidFill.color;
        return TRUE;
    }
    if (picture->pDrawable->type != DRAWABLE_PIXMAP || picture->pDrawable->width != 1 ||
        picture->pDrawable->height != 1 || !picture->repeat || picture->alphaMap)
        return FALSE;
    if (picture->format != PICT_a8r8g8b8 && picture->format != PICT_x8r8g8b8)
        return FALSE;
    const uint32_t *pixel = ((PixmapPtr)picture->pDrawable)->devPrivate.ptr;
    if (!pixel)
        return FALSE;
    *color = picture->format == PICT_x8r8g8b8 ? *pixel | 0xff000000u : *pixel;
    return TRUE;
}

static Bool is_fill(CARD8 op, PicturePtr source, PicturePtr mask, PicturePtr target,
                    uint32_t *color)
{
    if (mask || target->alphaMap || PICT_FORMAT_BPP(target->format) != 32 ||
        PICT_FORMAT_TYPE(target->format) != PICT_TYPE_ARGB)
        return FALSE;
    if (op != PictOpSrc && op != PictOpOver)
        return FALSE;
    return solid_color(source, color) && (op == PictOpSrc || *color >> 24 == 0xff);
}

static void composite(CARD8 op, PicturePtr source, PicturePtr mask, PicturePtr target,
                      INT16 source_x, INT16 source_y, INT16 mask_x, INT16 mask_y, INT16 x, INT16 y,
                      CARD16 width, CARD16 height)
{
    struct caraway *caraway = caraway_of_screen(target->pDrawable->pScreen);
    PictureScreenPtr pictures = GetPictureScreen(caraway->screen);
    Bool on_screen = is_on_screen(caraway, target);
    struct operation operation;
    struct rect_group group, *exact = NULL;
    struct ring_meaning meaning = { .type = CARAWAY_DAMAGE };

    if (on_screen) {
        if (is_fill(op, source, mask, target, &meaning.color)) {
            int left = target->pDrawable->x + x, top = target->pDrawable->y + y;
            BoxRec box = { max(left, 0), max(top, 0), min(left + width, MAXSHORT),
                           min(top + height, MAXSHORT) };
            meaning.type = CARAWAY_FILL;
            rect_group_clear(&group);
            draw_add_clipped(&group, &box, target->pCompositeClip);
            exact = &group;
        }
        draw_begin(caraway, &operation, target->pCompositeClip, exact, meaning);
    }

    pictures->Composite = caraway->composite;
    pictures->Composite(op, source, mask, target, source_x, source_y, mask_x, mask_y, x, y, width,
                        height);
    caraway->composite = pictures->Composite;
    pictures->Composite = composite;

    if (on_screen)
        draw_end(caraway, &operation);
}

static void glyphs(CARD8 op, PicturePtr source, PicturePtr target, PictFormatPtr mask_format,
                   INT16 source_x, INT16 source_y, int lists, GlyphListPtr list, GlyphPtr *items)
{
    struct caraway *caraway = caraway_of_screen(target->pDrawable->pScreen);
    PictureScreenPtr pictures = GetPictureScreen(caraway->screen);
    Bool on_screen = is_on_screen(caraway, target);
    struct operation operation;

    if (on_screen)
        draw_begin(caraway, &operation, target->pCompositeClip, NULL, (struct ring_meaning){ 0 });

    pictures->Glyphs = caraway->glyphs;
    pictures->Glyphs(op, source, target, mask_format, source_x, source_y, lists, list, items);
    caraway->glyphs = pictures->Glyphs;
    pictures->Glyphs = glyphs;

    if (on_screen)
        draw_end(caraway, &operation);
}

static void add_traps(PicturePtr target, INT16 x, INT16 y, int count, xTrap *traps)
{
    struct caraway *caraway = caraway_of_screen(target->pDrawable->pScreen);
    PictureScreenPtr pictures = GetPictureScreen(caraway->screen);
    Bool on_screen = is_on_screen(caraway, target);
    struct operation operation;

    if (on_screen)
        draw_begin(caraway, &operation, NULL, NULL, (struct ring_meaning){ 0 });

    pictures->AddTraps = caraway->add_traps;
    pictures->AddTraps(target, x, y, count, traps);
    caraway->add_traps = pictures->AddTraps;
    pictures->AddTraps = add_traps;

    if (on_screen)
        draw_end(caraway, &operation);
}

void render_wrap(struct caraway *caraway)
{
    PictureScreenPtr pictures = GetPictureScreen(caraway->screen);

    caraway->composite = pictures->Composite;
    caraway->glyphs = pictures->Glyphs;
    caraway->add_traps = pictures->AddTraps;
    pictures->Composite = composite;
    pictures->Glyphs = glyphs;
    pictures->AddTraps = add_traps;
}

void render_unwrap(struct caraway *caraway)
{
    PictureScreenPtr pictures = GetPictureScreenIfSet(caraway->screen);

    if (!pictures)
        return;
    pictures->Composite = caraway->composite;
    pictures->Glyphs = caraway->glyphs;
    pictures->AddTraps = caraway->add_traps;
}
