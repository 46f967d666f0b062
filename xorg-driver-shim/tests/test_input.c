/*
 * Input as X clients see it: keys, buttons, motion, wheel, LEDs, and what happens when the server
 * goes.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include <X11/XKBlib.h>
#include <X11/Xlib.h>
#include <X11/extensions/XInput2.h>
#include <X11/keysym.h>
#include <linux/input-event-codes.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer.h"
#include "peer_tests.h"

#define SETTLE_US 30000

static void settle(Display *display)
{
    usleep(SETTLE_US);
    XSync(display, False);
}

static bool key_is_down(Display *display, int code)
{
    char keys[32];
    int keycode = code + 8;

    XQueryKeymap(display, keys);
    return keys[keycode / 8] >> (keycode % 8) & 1;
}

static unsigned query_pointer(Display *display, int *x, int *y)
{
    Window root, child;
    int window_x, window_y;
    unsigned mask = 0;

    XQueryPointer(display, DefaultRootWindow(display), &root, &child, x, y, &window_x, &window_y,
                  &mask);
    return mask;
}

static unsigned keys_down(Display *display)
{
    char keys[32];
    unsigned count = 0;

    XQueryKeymap(display, keys);
    for (int i = 0; i < 256; i++)
        count += keys[i / 8] >> (i % 8) & 1;
    return count;
}

static void test_keys(struct peer *peer, Display *display)
{
    peer_send_input(peer, CARAWAY_INPUT_KEY, KEY_A, 1);
    peer_send_input(peer, CARAWAY_INPUT_KEY, KEY_LEFTSHIFT, 1);
    settle(display);
    CHECK(key_is_down(display, KEY_A) && key_is_down(display, KEY_LEFTSHIFT));
    CHECK(XkbKeycodeToKeysym(display, KEY_A + 8, 0, 0) == XK_a);
    peer_send_input(peer, CARAWAY_INPUT_KEY, KEY_A, 0);
    peer_send_input(peer, CARAWAY_INPUT_KEY, KEY_LEFTSHIFT, 0);
    settle(display);
    CHECK(keys_down(display) == 0);

    static const int wrong[][2] = { { 0, 1 },     { -1, 1 },     { 248, 1 },        { 100000, 1 },
                                    { KEY_B, 2 }, { KEY_B, -1 }, { -2147483647, 1 } };
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        peer_send_input(peer, CARAWAY_INPUT_KEY, wrong[i][0], wrong[i][1]);
    peer_send_input(peer, CARAWAY_INPUT_KEY, 247, 1);
    settle(display);
    CHECK(keys_down(display) == 1 && key_is_down(display, 247));
    peer_send_input(peer, CARAWAY_INPUT_KEY, 247, 0);
    settle(display);
}

static void test_leds(struct peer *peer, Display *display)
{
    struct caraway_input record;
    struct pollfd event = { .fd = peer->input_fd, .events = POLLIN };

    CHECK(peer_state(peer)->leds == 0);
    for (unsigned expected = 4;; expected = 0) {
        peer_send_input(peer, CARAWAY_INPUT_KEY, KEY_CAPSLOCK, 1);
        peer_send_input(peer, CARAWAY_INPUT_KEY, KEY_CAPSLOCK, 0);
        settle(display);
        CHECK(peer_state(peer)->leds == expected);
        CHECK(poll(&event, 1, 1000) == 1);
        CHECK(recv(peer->input_fd, &record, sizeof(record), 0) == sizeof(record));
        CHECK(record.type == CARAWAY_INPUT_LEDS && (unsigned)record.a == expected);
        if (expected == 0)
            break;
    }
    XkbLockModifiers(display, XkbUseCoreKbd, Mod2Mask, Mod2Mask);
    settle(display);
    CHECK(peer_state(peer)->leds == 2);
    XkbLockModifiers(display, XkbUseCoreKbd, Mod2Mask, 0);
    settle(display);
    CHECK(peer_state(peer)->leds == 0);
    while (poll(&event, 1, 0) == 1)
        CHECK(recv(peer->input_fd, &record, sizeof(record), 0) == sizeof(record));
}

static void expect_pointer(Display *display, int x, int y)
{
    int at_x, at_y;

    settle(display);
    query_pointer(display, &at_x, &at_y);
    if (at_x != x || at_y != y)
        fprintf(stderr, "the pointer is at %d,%d, not at %d,%d\n", at_x, at_y, x, y);
    CHECK(at_x == x && at_y == y);
}

static void test_motion(struct peer *peer, Display *display)
{
    peer_send_input(peer, CARAWAY_INPUT_ABS, 123, 45);
    expect_pointer(display, 123, 45);
    for (int i = 0; i < 10; i++)
        peer_send_input(peer, CARAWAY_INPUT_REL, 10, 7);
    expect_pointer(display, 223, 115);
    peer_send_input(peer, CARAWAY_INPUT_REL, -23, -15);
    expect_pointer(display, 200, 100);
    peer_send_input(peer, CARAWAY_INPUT_ABS, 0, 0);
    expect_pointer(display, 0, 0);
    peer_send_input(peer, CARAWAY_INPUT_ABS, 639, 479);
    expect_pointer(display, 639, 479);
    peer_send_input(peer, CARAWAY_INPUT_ABS, 5000, -3);
    expect_pointer(display, 639, 0);
    peer_send_input(peer, CARAWAY_INPUT_ABS, 2147483647, 5);
    peer_send_input(peer, CARAWAY_INPUT_REL, -2147483647 - 1, 2147483647);
    expect_pointer(display, 639, 0);

    /* The axes follow the size of the screen. */
    peer_set_size(peer, 1500, 900);
    settle(display);
    peer_send_input(peer, CARAWAY_INPUT_ABS, 1499, 899);
    expect_pointer(display, 1499, 899);
    peer_send_input(peer, CARAWAY_INPUT_ABS, 700, 333);
    expect_pointer(display, 700, 333);
    peer_set_size(peer, 640, 480);
    settle(display);
}

static void test_buttons(struct peer *peer, Display *display)
{
    int x, y;

    peer_send_input(peer, CARAWAY_INPUT_ABS, 50, 50);
    peer_send_input(peer, CARAWAY_INPUT_BUTTON, 1, 1);
    peer_send_input(peer, CARAWAY_INPUT_BUTTON, 3, 1);
    settle(display);
    CHECK(query_pointer(display, &x, &y) == (Button1Mask | Button3Mask));
    /* Pressed on the absolute device, released after the relative one moved. */
    peer_send_input(peer, CARAWAY_INPUT_REL, 1, 1);
    peer_send_input(peer, CARAWAY_INPUT_BUTTON, 1, 0);
    settle(display);
    CHECK(query_pointer(display, &x, &y) == Button3Mask && x == 51);
    peer_send_input(peer, CARAWAY_INPUT_BUTTON, 3, 0);
    for (int wrong = -1; wrong < 40; wrong++)
        if (wrong < 1 || wrong > 16 || (wrong > 3 && wrong < 8))
            peer_send_input(peer, CARAWAY_INPUT_BUTTON, wrong, 1);
    settle(display);
    CHECK(query_pointer(display, &x, &y) == 0);
}

/* Presses of each button, and the sum of the scroll valuators, that arrive at the root window. */
static void collect(Display *display, int opcode, unsigned presses[32], double scroll[2])
{
    XEvent event;

    memset(presses, 0, 32 * sizeof(*presses));
    scroll[0] = scroll[1] = 0;
    settle(display);
    while (XPending(display)) {
        XNextEvent(display, &event);
        if (event.type != GenericEvent || event.xcookie.extension != opcode ||
            !XGetEventData(display, &event.xcookie))
            continue;
        XIRawEvent *raw = event.xcookie.data;
        if (event.xcookie.evtype == XI_RawButtonPress && raw->detail < 32)
            presses[raw->detail]++;
        if (event.xcookie.evtype == XI_RawMotion) {
            const double *value = raw->raw_values;
            for (int axis = 0; axis < 4; axis++) {
                if (!XIMaskIsSet(raw->valuators.mask, axis))
                    continue;
                if (axis >= 2)
                    scroll[axis - 2] += *value;
                value++;
            }
        }
        XFreeEventData(display, &event.xcookie);
    }
}

static void test_scroll(struct peer *peer, Display *display)
{
    int opcode, event, error;
    unsigned char bits[XIMaskLen(XI_LASTEVENT)] = { 0 };
    XIEventMask mask = { .deviceid = XIAllMasterDevices, .mask_len = sizeof(bits), .mask = bits };
    unsigned presses[32];
    double scroll[2];

    CHECK(XQueryExtension(display, "XInputExtension", &opcode, &event, &error));
    int major = 2, minor = 2;
    CHECK(XIQueryVersion(display, &major, &minor) == Success);
    XISetMask(bits, XI_RawButtonPress);
    XISetMask(bits, XI_RawMotion);
    XISelectEvents(display, DefaultRootWindow(display), &mask, 1);
    XSync(display, False);

    peer_send_input(peer, CARAWAY_INPUT_SCROLL, 120, 0);
    collect(display, opcode, presses, scroll);
    CHECK(presses[5] == 1 && presses[4] == 0 && scroll[0] == 120 && scroll[1] == 0);
    peer_send_input(peer, CARAWAY_INPUT_SCROLL, -240, 0);
    collect(display, opcode, presses, scroll);
    CHECK(presses[4] == 2 && presses[5] == 0 && scroll[0] == -240);
    peer_send_input(peer, CARAWAY_INPUT_SCROLL, 0, 120);
    collect(display, opcode, presses, scroll);
    CHECK(presses[7] == 1 && presses[6] == 0 && scroll[1] == 120 && scroll[0] == 0);
    peer_send_input(peer, CARAWAY_INPUT_SCROLL, 0, -120);
    collect(display, opcode, presses, scroll);
    CHECK(presses[6] == 1 && presses[7] == 0);
    /* A sixth of a detent is no click, six are one. */
    for (int i = 0; i < 5; i++)
        peer_send_input(peer, CARAWAY_INPUT_SCROLL, 20, 0);
    collect(display, opcode, presses, scroll);
    CHECK(presses[5] == 0 && scroll[0] == 100);
    peer_send_input(peer, CARAWAY_INPUT_SCROLL, 20, 0);
    collect(display, opcode, presses, scroll);
    CHECK(presses[5] == 1);
    peer_send_input(peer, CARAWAY_INPUT_SCROLL, 2147483647, 0);
    collect(display, opcode, presses, scroll);
    CHECK(presses[5] == 0 && scroll[0] == 0);
    for (int button = 8; button <= 16; button++) {
        peer_send_input(peer, CARAWAY_INPUT_BUTTON, button, 1);
        peer_send_input(peer, CARAWAY_INPUT_BUTTON, button, 0);
    }
    collect(display, opcode, presses, scroll);
    for (int button = 8; button <= 16; button++)
        CHECK(presses[button] == 1);
    memset(bits, 0, sizeof(bits));
    XISelectEvents(display, DefaultRootWindow(display), &mask, 1);
}

static void test_release(struct xserver *server, struct peer *peer, Display *display)
{
    int x, y;

    for (int i = 0; i < 4; i++) {
        peer_send_input(peer, CARAWAY_INPUT_KEY, KEY_LEFTCTRL, 1);
        peer_send_input(peer, CARAWAY_INPUT_KEY, KEY_X, 1);
        peer_send_input(peer, CARAWAY_INPUT_BUTTON, 1, 1);
        settle(display);
        CHECK(keys_down(display) == 2 && (query_pointer(display, &x, &y) & Button1Mask));
        struct peer other;
        if (i % 2 == 0) {
            peer_detach(peer);
            settle(display);
        } else {
            peer_attach(&other, server->socket); /* replaced while keys are down */
            settle(display);
        }
        CHECK(keys_down(display) == 0 && query_pointer(display, &x, &y) == 0);
        if (i % 2 == 0)
            peer_attach(&other, server->socket);
        else
            peer_detach(peer);
        *peer = other;
    }
}

/* A batch of records in one datagram, and one that is too long. */
static void test_batches(struct peer *peer, Display *display)
{
    struct caraway_input records[CARAWAY_INPUT_BATCH_MAX + 1];

    for (unsigned i = 0; i <= CARAWAY_INPUT_BATCH_MAX; i++)
        records[i] = (struct caraway_input){ .type = CARAWAY_INPUT_ABS, .a = (int)i, .b = 100 };
    CHECK(send(peer->input_fd, records, sizeof(records) - sizeof(records[0]), 0) > 0);
    expect_pointer(display, CARAWAY_INPUT_BATCH_MAX - 1, 100);
    CHECK(send(peer->input_fd, records, sizeof(records), 0) > 0);
    CHECK(send(peer->input_fd, records, sizeof(records[0]) - 1, 0) > 0);
    expect_pointer(display, CARAWAY_INPUT_BATCH_MAX - 1, 100);
}

/* X's two threads take input in turns, as X is at work or at rest: each key arrives once, in order. */
static void test_turns(struct peer *peer, Display *display)
{
    enum { ROUNDS = 300, SIDE = 1024, FILLS_MAX = 4, PAUSE_MAX_US = 3000 };
    Display *other = XOpenDisplay(NULL);
    Pixmap pixmap = XCreatePixmap(other, DefaultRootWindow(other), SIDE, SIDE, 24);
    GC gc = XCreateGC(other, pixmap, GCFunction, &(XGCValues){ .function = GXxor });
    unsigned state = 1, arrived = 0;
    XEvent event;

    CHECK(XGrabKeyboard(display, DefaultRootWindow(display), False, GrabModeAsync, GrabModeAsync,
                        CurrentTime) == GrabSuccess);
    for (int round = 0; round < ROUNDS; round++) {
        int key = KEY_Q + round % 10;
        state = state * 1103515245 + 12345;
        for (unsigned fills = state >> 16 & FILLS_MAX; fills > 0; fills--)
            XFillRectangle(other, pixmap, gc, 0, 0, SIDE, SIDE);
        XFlush(other);
        usleep((state >> 20) % PAUSE_MAX_US);
        peer_send_input(peer, CARAWAY_INPUT_KEY, key, 1);
        peer_send_input(peer, CARAWAY_INPUT_KEY, key, 0);
    }
    XSync(other, False);
    settle(display);
    while (XPending(display) > 0) {
        XNextEvent(display, &event);
        if (event.type != KeyPress && event.type != KeyRelease)
            continue;
        CHECK(event.type == (arrived % 2 == 0 ? KeyPress : KeyRelease));
        CHECK((int)event.xkey.keycode == KEY_Q + 8 + (int)(arrived / 2) % 10);
        arrived++;
    }
    CHECK(arrived == 2 * ROUNDS && keys_down(display) == 0);
    XUngrabKeyboard(display, CurrentTime);
    XCloseDisplay(other);
}

/* The input thread watches in the name of one device: another takes over when that one goes off. */
static void test_devices_off(struct peer *peer, Display *display)
{
    CHECK(system("xinput disable keyboard") == 0);
    peer_send_input(peer, CARAWAY_INPUT_KEY, KEY_A, 1);
    peer_send_input(peer, CARAWAY_INPUT_ABS, 77, 88);
    expect_pointer(display, 77, 88);
    CHECK(keys_down(display) == 0);
    CHECK(system("xinput disable pointer && xinput disable relative") == 0);
    peer_send_input(peer, CARAWAY_INPUT_ABS, 1, 1);
    expect_pointer(display, 77, 88);
    CHECK(system("xinput enable relative && xinput enable keyboard && xinput enable pointer") == 0);
    peer_send_input(peer, CARAWAY_INPUT_REL, 3, 3);
    peer_send_input(peer, CARAWAY_INPUT_ABS, 9, 19);
    peer_send_input(peer, CARAWAY_INPUT_KEY, KEY_A, 1);
    expect_pointer(display, 9, 19);
    CHECK(key_is_down(display, KEY_A));
    peer_send_input(peer, CARAWAY_INPUT_KEY, KEY_A, 0);
    settle(display);
    CHECK(keys_down(display) == 0);
}

void test_input(struct xserver *server)
{
    struct peer peer;
    Display *display = XOpenDisplay(NULL);

    CHECK(display);
    peer_attach(&peer, server->socket);
    test_keys(&peer, display);
    test_leds(&peer, display);
    test_motion(&peer, display);
    test_buttons(&peer, display);
    test_scroll(&peer, display);
    test_batches(&peer, display);
    test_turns(&peer, display);
    test_devices_off(&peer, display);
    test_release(server, &peer, display);
    peer_detach(&peer);
    XCloseDisplay(display);
    CHECK(xserver_runs(server));
}
