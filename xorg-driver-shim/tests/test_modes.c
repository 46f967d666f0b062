/*
 * Sizes and monitors: asked for by the server and by X clients.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include <X11/Xlib.h>
#include <X11/extensions/Xrandr.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer.h"
#include "peer_tests.h"

/* Waits until the published mode is of this size. */
static void expect_size(struct peer *peer, uint32_t width, uint32_t height)
{
    for (int i = 0; i < 2000; i++) {
        peer_drain(peer);
        if (peer->mode.width == width && peer->mode.height == height)
            return;
        usleep(5000);
    }
    fprintf(stderr, "the size is %ux%u, not %ux%u\n", peer->mode.width, peer->mode.height, width,
            height);
    exit(1);
}

/* Waits until so many heads are published, and the first of them is so wide. */
static void expect_heads(struct peer *peer, unsigned count, uint32_t width)
{
    for (int i = 0; i < 2000; i++) {
        struct caraway_monitors monitors = peer_monitors(peer);
        if (monitors.config.count == count && monitors.config.heads[0].width == width)
            return;
        usleep(5000);
    }
    fprintf(stderr, "there are not %u heads, the first %u wide\n", count, width);
    exit(1);
}

static void expect_root(Display *display, unsigned width, unsigned height)
{
    Window root;
    int x, y;
    unsigned w, h, border, depth;

    XSync(display, False);
    XGetGeometry(display, DefaultRootWindow(display), &root, &x, &y, &w, &h, &border, &depth);
    if (w != width || h != height)
        fprintf(stderr, "the root is %ux%u, not %ux%u\n", w, h, width, height);
    CHECK(w == width && h == height && depth == 24);
}

/* The screen and the first output say how many millimetres they have. */
static void expect_dpi(Display *display, int width, int dpi)
{
    int count = 0, expected = (width * 254 + dpi * 5) / (dpi * 10), screen_mm = 0;
    Window root = DefaultRootWindow(display);

    for (int i = 0; i < 1000 && screen_mm != expected; i++) {
        XEvent event;
        while (XPending(display)) {
            XNextEvent(display, &event);
            XRRUpdateConfiguration(&event);
        }
        screen_mm = DisplayWidthMM(display, 0);
        usleep(1000);
    }
    CHECK(screen_mm == expected);
    XRRMonitorInfo *monitors = XRRGetMonitors(display, root, True, &count);
    CHECK(count == 1 && monitors[0].mwidth == expected);
    XRRFreeMonitors(monitors);
}

static unsigned count_monitors(Display *display)
{
    int count = 0;
    XRRMonitorInfo *monitors = XRRGetMonitors(display, DefaultRootWindow(display), True, &count);

    XRRFreeMonitors(monitors);
    return (unsigned)count;
}

static void run(const char *command)
{
    if (system(command) != 0) {
        fprintf(stderr, "failed: %s\n", command);
        exit(1);
    }
}

static void test_requests(struct peer *peer, Display *display)
{
    static const uint32_t sizes[][2] = { { 1024, 768 }, { 1366, 768 },  { 1025, 769 },
                                         { 64, 64 },    { 3840, 2160 }, { 8192, 8192 },
                                         { 1280, 800 }, { 8192, 64 },   { 64, 8192 },
                                         { 1920, 1080 } };

    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        peer_set_size(peer, sizes[i][0], sizes[i][1]);
        expect_size(peer, sizes[i][0], sizes[i][1]);
        expect_root(display, sizes[i][0], sizes[i][1]);
        struct caraway_monitors monitors = peer_monitors(peer);
        CHECK(monitors.config.count == 1 && monitors.config.heads[0].width == sizes[i][0]);
        CHECK(monitors.config.heads[0].height == sizes[i][1] && monitors.config.heads[0].id == 0);
    }
}

static void test_heads(struct peer *peer, Display *display)
{
    struct caraway_monitors_config config = {
        .count = 3,
        .max_allowed = 4,
        .heads = { { .id = 3, .width = 600, .height = 500, .x = 1000, .y = 100 },
                   { .id = 0, .width = 1000, .height = 700 },
                   { .id = 2, .width = 300, .height = 300, .x = 0, .y = 700 } },
    };

    peer_set_monitors(peer, &config);
    expect_size(peer, 1600, 1000);
    expect_root(display, 1600, 1000);
    struct caraway_monitors monitors = peer_monitors(peer);
    CHECK(monitors.config.count == 3 && monitors.config.max_allowed == 4);
    CHECK(monitors.config.heads[0].id == 0 && monitors.config.heads[1].id == 2);
    CHECK(monitors.config.heads[2].id == 3 && monitors.config.heads[2].x == 1000);
    CHECK(monitors.config.heads[2].y == 100 && monitors.config.heads[2].height == 500);
    CHECK(count_monitors(display) == 3);

    /* The first output may be off. */
    config.count = 1;
    config.heads[0].x = config.heads[0].y = 0;
    peer_set_monitors(peer, &config);
    expect_size(peer, 600, 500);
    XSync(display, False);
    monitors = peer_monitors(peer);
    CHECK(monitors.config.count == 1 && monitors.config.heads[0].id == 3);
    CHECK(count_monitors(display) == 1);
}

/* One request is one size of the screen, and the pointer stays on it. */
static void test_once(struct peer *peer, Display *display)
{
    static const uint32_t sizes[][2] = {
        { 1600, 900 }, { 900, 1600 }, { 640, 480 }, { 1280, 1024 }
    };
    struct caraway_monitors_config config = { .count = 1 };
    Window root = DefaultRootWindow(display), child;
    int x, y, child_x, child_y;
    unsigned mask;

    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint32_t generation = peer->mode.generation;
        XWarpPointer(display, None, root, 0, 0, 0, 0, 8192, 8192);
        XSync(display, False);
        peer_set_size(peer, sizes[i][0], sizes[i][1]);
        expect_size(peer, sizes[i][0], sizes[i][1]);
        expect_root(display, sizes[i][0], sizes[i][1]);
        peer_drain(peer);
        CHECK(peer->mode.generation == generation + 1);
        XQueryPointer(display, root, &root, &child, &x, &y, &child_x, &child_y, &mask);
        CHECK(x >= 0 && y >= 0 && x < (int)sizes[i][0] && y < (int)sizes[i][1]);
    }
    XRRSelectInput(display, root, RRScreenChangeNotifyMask);
    config.heads[0] = (struct caraway_head){ .width = 1280, .height = 1024 };
    peer_set_monitors_dpi(peer, &config, 163);
    expect_dpi(display, 1280, 163);
    peer_set_monitors_dpi(peer, &config, 0);
    expect_dpi(display, 1280, 96);
    peer_set_monitors_dpi(peer, &config, 481);
    config.heads[0].width = 1000;
    peer_set_monitors_dpi(peer, &config, 120);
    expect_dpi(display, 1000, 120);
    peer_set_size(peer, 1000, 1024);
    expect_dpi(display, 1000, 96);
    XRRSelectInput(display, root, 0);
}

/* Every size makes a mode, and none is left behind. */
static void test_no_modes_pile_up(struct peer *peer, Display *display)
{
    Window root = DefaultRootWindow(display);
    int before = 0;

    for (unsigned i = 0; i < 10000; i++) {
        peer_set_size(peer, 400 + i % 97, 300 + i % 89);
        if (i % 4 == 0)
            XSync(display, False);
        if (i == 100 || i == 9999) {
            XSync(display, False);
            XRRScreenResources *resources = XRRGetScreenResources(display, root);
            if (i == 100)
                before = resources->nmode;
            CHECK(resources->nmode <= before);
            XRRFreeScreenResources(resources);
        }
    }
    expect_size(peer, 400 + 9999 % 97, 300 + 9999 % 89);
}

static void test_impossible(struct peer *peer, Display *display)
{
    static const struct caraway_head heads[] = {
        { .id = 4, .width = 800, .height = 600 },
        { .width = 8193, .height = 600 },
        { .width = 0, .height = 600 },
        { .width = 800, .height = 63 },
        { .width = 800, .height = 600, .x = 8000 },
        { .width = 800, .height = 600, .y = 0xffffffff },
    };
    struct caraway_monitors_config config = { .count = 1 };

    peer_set_size(peer, 800, 600);
    expect_size(peer, 800, 600);
    uint32_t generation = peer->mode.generation;
    for (unsigned i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        config.heads[0] = heads[i];
        peer_set_monitors(peer, &config);
        XSync(display, False);
        usleep(2000);
    }
    config.heads[0] = (struct caraway_head){ .width = 700, .height = 600 };
    config.heads[1] = config.heads[0]; /* the same output twice */
    config.count = 2;
    peer_set_monitors(peer, &config);
    config.count = 0;
    peer_set_monitors(peer, &config);
    config.count = 0xffff;
    peer_set_monitors(peer, &config);
    usleep(50000);
    XSync(display, False);
    peer_drain(peer);
    expect_root(display, 800, 600);
    CHECK(peer->mode.generation == generation);
}

static void test_clients(struct peer *peer, Display *display)
{
    run("xrandr -s 1024x768");
    expect_size(peer, 1024, 768);
    run("xrandr --newmode odd 90 1234 1300 1400 1500 567 570 575 600 && xrandr --addmode Caraway-1 "
        "odd && "
        "xrandr --output Caraway-1 --mode odd");
    expect_size(peer, 1234, 567);
    expect_heads(peer, 1, 1234);
    run("xrandr --fb 2000x1500");
    expect_size(peer, 2000, 1500);
    run("xrandr --output Caraway-1 --mode 1280x1024 --pos 0x0 --fb 1280x1024");
    expect_size(peer, 1280, 1024);
    run("xrandr --output Caraway-1 --gamma 0.9:0.9:0.9");
    CHECK(system("xrandr --output Caraway-1 --rotate left 2> /dev/null") != 0);
    CHECK(system("xrandr --output Caraway-1 --scale 2x2 2> /dev/null") != 0);
    /* xrandr has made room before it is refused. */
    run("xrandr --fb 1280x1024");
    expect_root(display, 1280, 1024);
    run("xrandr --newmode second 90 640 650 660 700 480 490 500 520 && xrandr --addmode Caraway-2 "
        "second && "
        "xrandr --output Caraway-2 --mode second --right-of Caraway-1");
    expect_size(peer, 1920, 1024);
    expect_heads(peer, 2, 1280);
    run("xrandr --output Caraway-2 --off");
    /* The server has the last word. */
    peer_set_size(peer, 640, 480);
    expect_size(peer, 640, 480);
    expect_heads(peer, 1, 640);
}

/* A server that never reads its socket is dropped in the end, and nothing waits for it. */
static void test_unread_messages(struct xserver *server, Display *display)
{
    struct peer deaf, next;
    struct caraway_monitors_config config = { .count = 1 };

    peer_attach(&deaf, server->socket);
    for (int i = 0; i < 600; i++) {
        config.heads[0] =
            (struct caraway_head){ .width = i % 2 ? 64 : 512, .height = i % 2 ? 64 : 512 };
        struct caraway_set_monitors message = { .type = CARAWAY_MSG_SET_MONITORS,
                                                .config = config };
        if (send(deaf.control_fd, &message, sizeof(message), 0) < 0)
            break;
        XSync(display, False);
    }
    peer_attach(&next, server->socket);
    next.model.live = true;
    peer_set_size(&next, 640, 480);
    expect_size(&next, 640, 480);
    peer_detach(&next);
    peer_detach(&deaf);
}

void test_modes(struct xserver *server)
{
    struct peer peer;
    Display *display = XOpenDisplay(NULL);

    CHECK(display);
    peer_attach(&peer, server->socket);
    peer.model.live = true;
    test_requests(&peer, display);
    test_heads(&peer, display);
    test_once(&peer, display);
    test_no_modes_pile_up(&peer, display);
    test_impossible(&peer, display);
    test_clients(&peer, display);
    peer_detach(&peer);
    test_unread_messages(server, display);
    XCloseDisplay(display);
    CHECK(xserver_runs(server));
}
