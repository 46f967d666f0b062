/*
 * Attaching, replacing, refusing, wake-up, and a server that is frozen or dead.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include <X11/Xlib.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "peer.h"
#include "peer_tests.h"

static void expect_refusal(const char *path, const struct caraway_hello *answer, const char *word)
{
    int fd = peer_connect(path), fds[5];
    struct caraway_hello hello;
    struct caraway_refused refused;
    unsigned count;

    CHECK(peer_receive(fd, &hello, sizeof(hello), fds, &count) == sizeof(hello) && count == 5);
    for (unsigned i = 0; i < count; i++)
        close(fds[i]);
    CHECK(send(fd, answer, sizeof(*answer), 0) == sizeof(*answer));
    CHECK(peer_receive(fd, &refused, sizeof(refused), NULL, NULL) == sizeof(refused));
    CHECK(refused.type == CARAWAY_MSG_REFUSED && refused.length <= sizeof(refused.text));
    CHECK(memmem(refused.text, refused.length, word, strlen(word)));
    CHECK(peer_receive(fd, &refused, sizeof(refused), NULL, NULL) == 0);
    close(fd);
}

static void test_refusals(const char *path)
{
    struct caraway_hello answer = { .type = CARAWAY_MSG_HELLO,
                                    .magic = CARAWAY_MAGIC,
                                    .abi_version = CARAWAY_ABI_VERSION + 1 };

    expect_refusal(path, &answer, "version");
    answer.abi_version = CARAWAY_ABI_VERSION;
    answer.magic = 0x12345678;
    expect_refusal(path, &answer, "hello");
    answer.magic = CARAWAY_MAGIC;
    answer.type = 77;
    expect_refusal(path, &answer, "hello");
}

/* Messages without meaning change nothing and end nothing. */
static void test_junk(struct peer *peer)
{
    char junk[2000];

    for (unsigned size = 1; size < sizeof(junk); size += 37) {
        for (unsigned i = 0; i < size; i++)
            junk[i] = (char)(i * 31 + size);
        CHECK(send(peer->control_fd, junk, size, 0) == (ssize_t)size);
        CHECK(send(peer->input_fd, junk, size, 0) == (ssize_t)size);
    }
    struct caraway_refused refused = { .type = CARAWAY_MSG_REFUSED, .length = 0xffffffff };
    CHECK(send(peer->control_fd, &refused, sizeof(refused), 0) == sizeof(refused));
    peer_set_size(peer, 640, 480);
}

static void expect_wake(struct peer *peer, bool woken)
{
    struct pollfd event = { .fd = peer->event_fd, .events = POLLIN };
    uint64_t count = 0;

    CHECK(poll(&event, 1, woken ? 10000 : 50) == (woken ? 1 : 0));
    if (woken)
        CHECK(read(peer->event_fd, &count, sizeof(count)) == sizeof(count) && count == 1);
}

static void draw(Display *display)
{
    XFillRectangle(display, DefaultRootWindow(display), DefaultGC(display, 0), 1, 1, 5, 5);
    XSync(display, False);
}

static void arm(struct peer *peer, enum caraway_waiting reason)
{
    __atomic_store_n(&peer->page->waiting, reason, __ATOMIC_SEQ_CST);
}

static void test_wake(struct peer *peer, Display *display)
{
    const struct caraway_progress *progress = (const void *)(peer->ring + CARAWAY_PROGRESS_OFFSET);

    XSync(display, False);
    expect_wake(peer, true); /* the one at attaching */
    expect_wake(peer, false);
    draw(display);
    expect_wake(peer, false);

    arm(peer, CARAWAY_WAIT_RECORD);
    draw(display);
    draw(display);
    expect_wake(peer, true);
    expect_wake(peer, false);
    CHECK(peer->page->waiting == CARAWAY_WAIT_NONE);

    arm(peer, CARAWAY_WAIT_IDLE);
    draw(display);
    expect_wake(peer, true);
    CHECK(__atomic_load_n(&progress->idle_done, __ATOMIC_ACQUIRE) ==
          __atomic_load_n(&progress->done, __ATOMIC_ACQUIRE));

    /* A cursor that moves, in the input thread, is news too. */
    Cursor cursor = XCreateFontCursor(display, 68);
    XDefineCursor(display, DefaultRootWindow(display), cursor);
    XSync(display, False);
    arm(peer, CARAWAY_WAIT_RECORD);
    peer_send_input(peer, CARAWAY_INPUT_ABS, 100, 100);
    expect_wake(peer, true);
    XUndefineCursor(display, DefaultRootWindow(display));
    XSync(display, False);
}

static Window add_window(Display *display, int x, long events)
{
    XSetWindowAttributes attributes = { .override_redirect = True, .event_mask = events };
    Window window = XCreateWindow(display, DefaultRootWindow(display), x, 20, 200, 100, 0,
                                  CopyFromParent, InputOutput, CopyFromParent,
                                  CWOverrideRedirect | CWEventMask, &attributes);

    XMapRaised(display, window);
    XSync(display, False);
    return window;
}

/* Whether X tells within so many milliseconds that it is idle behind all of its drawing. */
static bool becomes_idle(struct peer *peer, int milliseconds)
{
    const struct caraway_progress *progress = (const void *)(peer->ring + CARAWAY_PROGRESS_OFFSET);

    for (int i = 0; i < milliseconds; i++) {
        if (__atomic_load_n(&progress->idle_done, __ATOMIC_ACQUIRE) ==
            __atomic_load_n(&progress->done, __ATOMIC_ACQUIRE))
            return true;
        poll(NULL, 0, 1);
    }
    return false;
}

/* What a window that moves uncovers is drawn by its client: X is not idle before, or before it is clear that the client
 * does not answer. */
static void test_exposures(struct peer *peer, Display *display)
{
    Display *other = XOpenDisplay(NULL);

    CHECK(other);
    Window below = add_window(display, 20, ExposureMask);
    Window above = add_window(other, 40, NoEventMask);

    for (int answers = 0; answers < 2; answers++) {
        XClearArea(display, below, 0, 0, 1, 1, False);
        XSync(display, False);
        CHECK(becomes_idle(peer, 10000));
        XMoveWindow(other, above, 60 + 20 * answers, 20);
        XSync(other, False);
        CHECK(!becomes_idle(peer, 20));
        XSync(answers ? display : other, False);
        CHECK(becomes_idle(peer, 10000));
    }
    /* Of what is uncovered of the root window nobody is told. */
    XDestroyWindow(display, below);
    XSync(display, False);
    CHECK(becomes_idle(peer, 10000));
    XMoveWindow(other, above, 300, 20);
    XSync(other, False);
    CHECK(becomes_idle(peer, 10000));
    XCloseDisplay(other);
    XSync(display, False);
}

static double seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* An attached server that reads nothing at all: X goes on, and the ring tells what was lost. */
static void test_frozen(struct peer *peer, Display *display)
{
    double start = seconds();

    arm(peer, CARAWAY_WAIT_RECORD);
    for (int i = 0; i < 2 * (int)CARAWAY_RING_SLOTS; i++)
        XFillRectangle(display, DefaultRootWindow(display), DefaultGC(display, 0), i % 600, 1, 2,
                       2);
    XSync(display, False);
    CHECK(seconds() - start < 30);
    peer_drain(peer);
    CHECK(peer->model.overruns == 1);
    arm(peer, CARAWAY_WAIT_NONE);
}

static void test_replacement(struct xserver *server, struct peer *old)
{
    struct peer new;
    char end;

    /* A connection that says nothing, and one that goes at once, disturb nobody. */
    int silent = peer_connect(server->socket);
    close(peer_connect(server->socket));
    peer_set_size(old, 640, 480);

    peer_attach(&new, server->socket);
    CHECK(peer_receive(old->control_fd, &end, 1, NULL, NULL) == 0);
    CHECK(recv(old->input_fd, &end, 1, 0) <= 0);
    peer_detach(old);
    close(silent);
    *old = new;
}

void test_attach(struct xserver *server)
{
    struct peer peer;
    struct stat status;
    Display *display = XOpenDisplay(NULL);

    CHECK(display);
    CHECK(stat(server->socket, &status) == 0 && S_ISSOCK(status.st_mode));
    CHECK((status.st_mode & 07777) == 0600);
    test_refusals(server->socket);
    peer_attach(&peer, server->socket);
    CHECK(peer.mode.width == 640 && peer.mode.height == 480);
    test_wake(&peer, display);
    test_exposures(&peer, display);
    test_junk(&peer);
    test_refusals(server->socket); /* with a server attached */
    test_frozen(&peer, display);
    test_replacement(server, &peer);
    for (int i = 0; i < 100; i++) {
        peer_detach(&peer);
        peer_attach(&peer, server->socket);
    }
    /* Blanking is told; the pixels stay. */
    CHECK(peer_state(&peer)->blanked == 0);
    XForceScreenSaver(display, ScreenSaverActive);
    XSync(display, False);
    CHECK(peer_state(&peer)->blanked == 1);
    XForceScreenSaver(display, ScreenSaverReset);
    XSync(display, False);
    CHECK(peer_state(&peer)->blanked == 0);
    peer_detach(&peer);
    XCloseDisplay(display);
    CHECK(xserver_runs(server));
}
