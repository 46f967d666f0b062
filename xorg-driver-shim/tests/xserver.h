/*
 * An Xorg of the test's own, on a free display, with the driver under test.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef CARAWAY_TESTS_XSERVER_H
#define CARAWAY_TESTS_XSERVER_H

#include <stdbool.h>
#include <sys/types.h>

struct xserver {
    pid_t pid;
    char directory[64]; /* configuration, log and socket; removed by xserver_stop */
    char socket[96];
    char display[16];
};

/* Starts `/usr/lib/xorg/Xorg` (or $XORG) with the module from `module_directory`; exits when it
 * cannot. */
void xserver_start(struct xserver *server, const char *module_directory, const char *size,
                   bool reset);

/* Ends it and checks that it ended by itself, orderly, and took its socket away. */
void xserver_stop(struct xserver *server);

/* Ends it at once. */
void xserver_kill(struct xserver *server);

/* Whether the process still runs. */
bool xserver_runs(const struct xserver *server);

#endif
