/*
 * The picture that a server keeps is the screen, pixel by pixel, under random drawing.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include <X11/Xutil.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "drawing.h"
#include "peer.h"
#include "peer_tests.h"

#define STRICT_ROUNDS 600
#define STEPS_A_ROUND 12
#define LIVE_ROUNDS 120

/* Compares the model with what X says is on the screen. */
static void check_picture(struct peer *peer, Display *display)
{
    XImage *image = XGetImage(display, DefaultRootWindow(display), 0, 0, peer->mode.width,
                              peer->mode.height, AllPlanes, ZPixmap);
    unsigned wrong = 0;

    CHECK(image && image->bits_per_pixel == 32);
    for (uint32_t y = 0; y < peer->mode.height; y++) {
        const uint32_t *row =
            (const uint32_t *)(image->data + (size_t)y * (size_t)image->bytes_per_line);
        for (uint32_t x = 0; x < peer->mode.width; x++) {
            uint32_t shown = peer->model.picture[(size_t)y * peer->mode.width + x];
            if (shown != (row[x] & 0xffffff) && wrong++ < 5)
                fprintf(stderr, "pixel %u,%u is %06x, the picture has %06x\n", x, y,
                        row[x] & 0xffffff, shown);
        }
    }
    XDestroyImage(image);
    if (wrong)
        fprintf(stderr, "%u wrong pixels\n", wrong);
    CHECK(wrong == 0);
}

/* Every record is believed, and nothing is drawn while it is read. */
static void test_strict(struct peer *peer, struct drawing *drawing)
{
    peer_drain(peer);
    model_flush(&peer->model);
    check_picture(peer, drawing->display);
    for (int round = 0; round < STRICT_ROUNDS; round++) {
        for (int i = 0; i < STEPS_A_ROUND; i++)
            drawing_step(drawing);
        XSync(drawing->display, False);
        peer_drain(peer);
        model_flush(&peer->model);
        check_picture(peer, drawing->display);
    }
    const struct model *model = &peer->model;
    printf("peer_test: strict: %lu damages (%lu Mpx, %lu read), %lu fills, %lu copies\n",
           (unsigned long)model->damages, (unsigned long)(model->pixels_damaged / 1000000),
           (unsigned long)(model->pixels_read / 1000000), (unsigned long)model->fills,
           (unsigned long)model->copies);
    CHECK(model->fills > 1000 && model->copies > 300 && model->damages > 1000 &&
          model->overruns == 0);
}

static volatile sig_atomic_t enough;

static void stop_drawing(int signal)
{
    enough = signal;
}

static pid_t draw_in_child(uint32_t seed)
{
    pid_t child = fork();

    CHECK(child >= 0);
    if (child == 0) {
        struct drawing drawing;
        signal(SIGTERM, stop_drawing);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        drawing_open(&drawing, seed);
        while (!enough)
            drawing_step(&drawing);
        XSync(drawing.display, False);
        /* Its windows go with the child: that is drawn too. */
        _exit(0);
    }
    return child;
}

/* Reads while X draws: copies are hints. Sizes change and the reader falls asleep meanwhile. */
static void test_live(struct peer *peer, Display *display)
{
    static const uint32_t sizes[][2] = { { 640, 480 }, { 1000, 300 }, { 333, 517 }, { 800, 600 } };
    pid_t child = draw_in_child(7);
    int status;

    peer->model.live = true;
    peer->model.copies = 0;
    for (int round = 1; round <= LIVE_ROUNDS; round++) {
        peer_drain(peer);
        model_flush(&peer->model);
        usleep(round % 50 == 49 ? 200000 : 10000);
        if (round % 20 == 0)
            peer_set_size(peer, sizes[round / 20 % 4][0], sizes[round / 20 % 4][1]);
    }
    CHECK(kill(child, SIGTERM) == 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    /* The last client's windows are gone when the server has seen this client twice. */
    for (int i = 0; i < 3; i++) {
        XSync(display, False);
        usleep(100000);
    }
    peer_drain(peer);
    model_flush(&peer->model);
    check_picture(peer, display);
    printf("peer_test: live: %lu modes, %lu copies, %lu overruns\n",
           (unsigned long)peer->model.modes, (unsigned long)peer->model.copies,
           (unsigned long)peer->model.overruns);
    CHECK(peer->model.modes > 3 && peer->model.copies > 100);
    peer->model.live = false;
}

/* A toolkit's way: one pixmap copied through a clip of many small rectangles. */
static void test_exact_clip(struct peer *peer, Display *display)
{
    Window window =
        XCreateSimpleWindow(display, DefaultRootWindow(display), 0, 0, 400, 400, 0, 0, 0);
    Pixmap pixmap = XCreatePixmap(display, window, 400, 400, 24);
    GC gc = XCreateGC(display, window, 0, NULL);
    XRectangle clip[20];

    XMapWindow(display, window);
    XFillRectangle(display, pixmap, gc, 0, 0, 400, 400);
    for (int i = 0; i < 20; i++)
        clip[i] = (XRectangle){ (short)(20 * i), (short)(20 * i), 10, 10 };
    XSync(display, False);
    peer_drain(peer);
    uint64_t before = peer->model.pixels_damaged;
    XSetClipRectangles(display, gc, 0, 0, clip, 20, Unsorted);
    XCopyArea(display, pixmap, window, gc, 0, 0, 400, 400, 0, 0);
    XSync(display, False);
    peer_drain(peer);
    CHECK(peer->model.pixels_damaged - before == 20 * 100);
    XDestroyWindow(display, window);
    XFreePixmap(display, pixmap);
    XFreeGC(display, gc);
    XSync(display, False);
}

void test_pixels(struct xserver *server)
{
    struct peer peer;
    struct drawing drawing;

    drawing_open(&drawing, 1);
    peer_attach(&peer, server->socket);
    test_exact_clip(&peer, drawing.display);
    test_strict(&peer, &drawing);
    test_live(&peer, drawing.display);
    peer_set_size(&peer, 640, 480);
    peer_detach(&peer);
    /* What was drawn with no server attached is there for the next. */
    for (int i = 0; i < 200; i++)
        drawing_step(&drawing);
    XSync(drawing.display, False);
    peer_attach(&peer, server->socket);
    peer_drain(&peer);
    model_flush(&peer.model);
    check_picture(&peer, drawing.display);
    peer_detach(&peer);
    drawing_close(&drawing);
    CHECK(xserver_runs(server));
}
