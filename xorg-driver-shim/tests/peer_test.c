/*
 * A model server against the driver in a live Xorg: peer_test MODULE_DIRECTORY. Returns 0 when all
 * is well.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include <X11/Xlib.h>
#include <string.h>
#include <unistd.h>

#include "peer.h"
#include "peer_tests.h"

/* Without -noreset the server starts over when its last client goes: the driver starts over with
 * it. */
static void test_generations(const char *modules)
{
    struct xserver server;
    struct peer peer;

    xserver_start(&server, modules, "800x600", true);
    for (int generation = 0; generation < 3; generation++) {
        Display *display = XOpenDisplay(NULL);
        CHECK(display);
        peer_attach(&peer, server.socket);
        CHECK(peer.mode.width == 800 && peer.mode.height == 600);
        XFillRectangle(display, DefaultRootWindow(display), DefaultGC(display, 0), 0, 0, 100, 100);
        XSync(display, False);
        XCloseDisplay(display);
        char end;
        CHECK(peer_receive(peer.control_fd, &end, 1, NULL, NULL) == 0);
        peer_detach(&peer);
    }
    Display *display = XOpenDisplay(NULL);
    CHECK(display && xserver_runs(&server));
    XCloseDisplay(display);
    /* Not by a signal that it handles: without a system bus, Xorg 21.1 frees a timer of an earlier
     * generation then. */
    xserver_kill(&server);
}

/* A second server on the same path must fail and leave the first one's socket alone; a stale one
 * goes. */
static void test_socket_file(const char *modules)
{
    struct xserver first;
    struct peer peer;
    char command[1024];

    xserver_start(&first, modules, "640x480", false);
    peer_attach(&peer, first.socket);
    snprintf(
        command, sizeof(command),
        "timeout 20 /usr/lib/xorg/Xorg -displayfd 1 -config %s/xorg.conf -configdir %s/conf.d "
        "-modulepath "
        "%s,/usr/lib/xorg/modules -logfile %s/second.log -noreset -nolisten tcp > /dev/null 2>&1",
        first.directory, first.directory, modules, first.directory);
    CHECK(system(command) != 0);
    CHECK(access(first.socket, F_OK) == 0);
    peer_drain(&peer);
    peer_detach(&peer);
    peer_attach(&peer, first.socket);
    peer_detach(&peer);
    xserver_stop(&first);
}

int main(int count, char **arguments)
{
    struct xserver server;

    if (count != 2) {
        fprintf(stderr, "usage: peer_test MODULE_DIRECTORY\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    xserver_start(&server, arguments[1], "640x480", false);
    test_attach(&server);
    puts("peer_test: attach ok");
    test_pixels(&server);
    puts("peer_test: pixels ok");
    test_modes(&server);
    puts("peer_test: modes ok");
    test_cursor(&server);
    puts("peer_test: cursor ok");
    test_input(&server);
    puts("peer_test: input ok");
    xserver_stop(&server);
    test_generations(arguments[1]);
    puts("peer_test: generations ok");
    test_socket_file(arguments[1]);
    puts("peer_test: socket file ok");
    return 0;
}
