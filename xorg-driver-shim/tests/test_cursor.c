/*
 * The cursor in the shared memory is the one that X shows.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include <X11/Xlib.h>
#include <X11/cursorfont.h>
#include <X11/extensions/Xfixes.h>
#include <X11/extensions/Xrender.h>
#include <string.h>
#include <unistd.h>

#include "peer.h"
#include "peer_tests.h"

static const uint32_t *cursor_pixels(const struct peer *peer, const struct caraway_cursor *cursor)
{
    CHECK(cursor->slot < CARAWAY_CURSOR_SLOTS);
    return (const uint32_t *)(peer->ring + CARAWAY_CURSOR_IMAGES_OFFSET +
                              cursor->slot * CARAWAY_CURSOR_SLOT_SIZE);
}

static void show(Display *display, Cursor cursor)
{
    XDefineCursor(display, DefaultRootWindow(display), cursor);
    XSync(display, False);
    usleep(20000);
    XSync(display, False);
}

static void check_same_as_x(struct peer *peer, Display *display)
{
    struct caraway_cursor cursor = peer_cursor(peer);
    XFixesCursorImage *image = XFixesGetCursorImage(display);

    CHECK(image && cursor.visible && cursor.shape > 0);
    CHECK(image->width == cursor.width && image->height == cursor.height);
    CHECK(image->xhot == cursor.hot_x && image->yhot == cursor.hot_y);
    CHECK(image->x == cursor.x && image->y == cursor.y);
    const uint32_t *pixels = cursor_pixels(peer, &cursor);
    unsigned opaque = 0;
    for (int i = 0; i < image->width * image->height; i++) {
        CHECK(pixels[i] == (uint32_t)image->pixels[i]);
        opaque += pixels[i] != 0;
    }
    CHECK(opaque > 0);
    XFree(image);
}

static Cursor make_argb(Display *display, unsigned width, unsigned height, int hot_x, int hot_y)
{
    Pixmap pixmap = XCreatePixmap(display, DefaultRootWindow(display), width, height, 32);
    XRenderPictFormat *format = XRenderFindStandardFormat(display, PictStandardARGB32);
    Picture picture = XRenderCreatePicture(display, pixmap, format, 0, NULL);

    for (unsigned y = 0; y < height; y += 8) {
        XRenderColor color = { 0x4000, (unsigned short)(y * 100 % 0x8000), 0x0100, 0x8000 };
        XRenderFillRectangle(display, PictOpSrc, picture, &color, 0, (int)y, width, 8);
    }
    Cursor cursor = XRenderCreateCursor(display, picture, (unsigned)hot_x, (unsigned)hot_y);
    XRenderFreePicture(display, picture);
    XFreePixmap(display, pixmap);
    return cursor;
}

void test_cursor(struct xserver *server)
{
    struct peer peer;
    Display *display = XOpenDisplay(NULL);
    XColor red = { .red = 0xffff }, blue = { .blue = 0xffff };

    CHECK(display);
    peer_attach(&peer, server->socket);
    peer_send_input(&peer, CARAWAY_INPUT_ABS, 300, 200);
    Cursor hand = XCreateFontCursor(display, XC_hand2);
    show(display, hand);
    check_same_as_x(&peer, display);
    CHECK(peer_cursor(&peer).x == 300 && peer_cursor(&peer).y == 200);

    uint32_t shape = peer_cursor(&peer).shape;
    peer_send_input(&peer, CARAWAY_INPUT_ABS, 310, 220);
    show(display, hand);
    CHECK(peer_cursor(&peer).shape == shape && peer_cursor(&peer).x == 310);

    XRecolorCursor(display, hand, &red, &blue);
    show(display, hand);
    CHECK(peer_cursor(&peer).shape != shape);
    check_same_as_x(&peer, display);

    show(display, make_argb(display, 48, 40, 7, 30));
    check_same_as_x(&peer, display);
    for (int i = 0; i < 10; i++) {
        show(display, make_argb(display, 256, 8 + 8 * (unsigned)i, 255, i));
        check_same_as_x(&peer, display);
    }

    /* A larger one is cut around its hot spot. */
    show(display, make_argb(display, 400, 300, 390, 290));
    struct caraway_cursor cursor = peer_cursor(&peer);
    CHECK(cursor.width == 256 && cursor.height == 256 && cursor.visible);
    CHECK(cursor.hot_x == 390 - 144 && cursor.hot_y == 290 - 44);
    CHECK(cursor_pixels(&peer, &cursor)[0] != 0);

    XFixesHideCursor(display, DefaultRootWindow(display));
    show(display, hand);
    CHECK(!peer_cursor(&peer).visible);
    /* The place is followed without a cursor too. */
    XWarpPointer(display, None, DefaultRootWindow(display), 0, 0, 0, 0, 55, 66);
    XSync(display, False);
    usleep(20000);
    XSync(display, False);
    CHECK(peer_cursor(&peer).x == 55 && peer_cursor(&peer).y == 66);
    XFixesShowCursor(display, DefaultRootWindow(display));
    XSync(display, False);
    CHECK(peer_cursor(&peer).visible);
    peer_detach(&peer);
    XCloseDisplay(display);
}
