/*
 * The cursor. These are sprite functions of our own, not xf86InitCursor's: those fall back to
 * painting the cursor into the frame buffer when it is large or there is more than one pointer.
 *
 * move_cursor runs in the input thread, everything else in the main thread.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "cursor.h"

#include <cursorstr.h>
#include <servermd.h>

/* Room for one converted image; the main thread's. */
static uint32_t image_pixels[CARAWAY_CURSOR_SIDE_MAX * CARAWAY_CURSOR_SIDE_MAX];

static uint32_t opaque_color(unsigned red, unsigned green, unsigned blue)
{
    return 0xff000000u | (red >> 8) << 16 | (green >> 8) << 8 | blue >> 8;
}

static Bool bit_at(const unsigned char *bits, int row_bytes, int x, int y)
{
    unsigned char byte = bits[y * row_bytes + x / 8];

#if BITMAP_BIT_ORDER == MSBFirst
    return byte >> (7 - x % 8) & 1;
#else
    return byte >> (x % 8) & 1;
#endif
}

static uint32_t pixel_at(CursorPtr cursor, int x, int y)
{
    const CursorBits *bits = cursor->bits;
    int row_bytes = BitmapBytePad(bits->width);

    if (bits->argb)
        return bits->argb[y * bits->width + x];
    if (!bit_at(bits->mask, row_bytes, x, y))
        return 0;
    if (bit_at(bits->source, row_bytes, x, y))
        return opaque_color(cursor->foreRed, cursor->foreGreen, cursor->foreBlue);
    return opaque_color(cursor->backRed, cursor->backGreen, cursor->backBlue);
}

/* Where a window of CARAWAY_CURSOR_SIDE_MAX begins that holds the hot spot near its middle. */
static int crop_start(int side, int hot)
{
    int limit = (int)CARAWAY_CURSOR_SIDE_MAX;

    if (side <= limit)
        return 0;
    return max(0, min(hot - limit / 2, side - limit));
}

static struct cursor_image convert(CursorPtr cursor)
{
    const CursorBits *bits = cursor->bits;
    int width = min((int)bits->width, (int)CARAWAY_CURSOR_SIDE_MAX);
    int height = min((int)bits->height, (int)CARAWAY_CURSOR_SIDE_MAX);
    int left = crop_start(bits->width, bits->xhot), top = crop_start(bits->height, bits->yhot);

    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            image_pixels[y * width + x] = pixel_at(cursor, left + x, top + y);
    return (struct cursor_image){
        .width = (uint16_t)width,
        .height = (uint16_t)height,
        .hot_x = (uint16_t)max(0, min(bits->xhot - left, width - 1)),
        .hot_y = (uint16_t)max(0, min(bits->yhot - top, height - 1)),
        .pixels = image_pixels,
    };
}

static Bool realize_cursor(DeviceIntPtr device _X_UNUSED, ScreenPtr screen _X_UNUSED,
                           CursorPtr cursor _X_UNUSED)
{
    return TRUE;
}

static Bool unrealize_cursor(DeviceIntPtr device _X_UNUSED, ScreenPtr screen, CursorPtr cursor)
{
    struct caraway *caraway = caraway_of_screen(screen);

    /* Another cursor may get its address, or it the same one with other colours. */
    if (caraway->cursor == cursor)
        caraway->cursor = NULL;
    return TRUE;
}

static void set_cursor(DeviceIntPtr device, ScreenPtr screen, CursorPtr cursor, int x, int y)
{
    struct caraway *caraway = caraway_of_screen(screen);

    if (device != inputInfo.pointer)
        return;
    if (!cursor || cursor->bits->emptyMask) {
        blocks_show_cursor(&caraway->blocks, false, x, y);
        return;
    }
    if (cursor == caraway->cursor && cursor->serialNumber == caraway->cursor_serial) {
        blocks_show_cursor(&caraway->blocks, true, x, y);
        return;
    }
    struct cursor_image image = convert(cursor);
    blocks_set_cursor(&caraway->blocks, &image, x, y);
    caraway->cursor = cursor;
    caraway->cursor_serial = cursor->serialNumber;
}

static void move_cursor(DeviceIntPtr device, ScreenPtr screen, int x, int y)
{
    if (device == inputInfo.pointer)
        blocks_move_cursor(&caraway_of_screen(screen)->blocks, x, y);
}

static Bool device_initialize(DeviceIntPtr device _X_UNUSED, ScreenPtr screen _X_UNUSED)
{
    return TRUE;
}

static void device_cleanup(DeviceIntPtr device _X_UNUSED, ScreenPtr screen _X_UNUSED)
{
}

static miPointerSpriteFuncRec sprite_funcs = {
    .RealizeCursor = realize_cursor,
    .UnrealizeCursor = unrealize_cursor,
    .SetCursor = set_cursor,
    .MoveCursor = move_cursor,
    .DeviceCursorInitialize = device_initialize,
    .DeviceCursorCleanup = device_cleanup,
};

static void pointer_position(int *x, int *y)
{
    input_lock();
    miPointerGetPosition(inputInfo.pointer, x, y);
    input_unlock();
}

/* mi realises a recoloured cursor anew but, as it is the same one, does not set it again. */
static void recolor_cursor(DeviceIntPtr device, ScreenPtr screen, CursorPtr cursor, Bool displayed)
{
    struct caraway *caraway = caraway_of_screen(screen);
    int x, y;

    screen->RecolorCursor = caraway->recolor_cursor;
    screen->RecolorCursor(device, screen, cursor, displayed);
    caraway->recolor_cursor = screen->RecolorCursor;
    screen->RecolorCursor = recolor_cursor;
    if (displayed && device == inputInfo.pointer) {
        pointer_position(&x, &y);
        set_cursor(device, screen, cursor, x, y);
    }
}

Bool cursor_init(struct caraway *caraway)
{
    ScreenPtr screen = caraway->screen;

    caraway->cursor = NULL;
    if (!miPointerInitialize(screen, &sprite_funcs, xf86GetPointerScreenFuncs(), FALSE))
        return FALSE;
    caraway->recolor_cursor = screen->RecolorCursor;
    screen->RecolorCursor = recolor_cursor;
    return TRUE;
}

void cursor_fini(struct caraway *caraway)
{
    caraway->cursor = NULL;
    caraway->screen->RecolorCursor = caraway->recolor_cursor;
}

void cursor_follow_pointer(struct caraway *caraway)
{
    int x, y;

    if (!inputInfo.pointer)
        return;
    /* Without the lock the input thread could move the pointer between these two lines. */
    input_lock();
    miPointerGetPosition(inputInfo.pointer, &x, &y);
    blocks_move_cursor(&caraway->blocks, x, y);
    input_unlock();
}
