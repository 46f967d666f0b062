/*
 * A server as the driver sees it: attaches to the control socket and maps what it is given.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef CARAWAY_TESTS_PEER_H
#define CARAWAY_TESTS_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "model.h"
#include "shim_abi.h"

#define CHECK(condition)                                                                  \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, __func__, #condition); \
            exit(1);                                                                      \
        }                                                                                 \
    } while (0)

#define PEER_FRAMEBUFFERS_MAX 64

struct peer {
    int control_fd, ring_fd, peer_fd, event_fd, input_fd;
    const uint8_t *ring;
    struct caraway_peer *page;
    uint32_t framebuffer_id; /* of the newest memory file */
    int framebuffer_fd;
    const uint8_t *pixels; /* NULL until mapped */
    size_t pixels_size;
    struct caraway_mode mode; /* what the model has */
    struct model model;
};

/* A connection that has read nothing yet. */
int peer_connect(const char *path);

/* One control message with a timeout of seconds; 0 at the end of the connection, -1 at the timeout.
 */
long peer_receive(int fd, void *message, size_t size, int *fds, unsigned *fd_count);

/* Attaches, checks seals and sizes, maps, and takes the screen as unknown. */
void peer_attach(struct peer *peer, const char *path);
void peer_detach(struct peer *peer);

/* Takes FRAMEBUFFER messages that have come. */
void peer_poll_control(struct peer *peer);

/* Reads the mode again and gives the model its screen, however often it changes meanwhile. */
void peer_take_mode(struct peer *peer);

/* Drains the ring, through mode changes. */
void peer_drain(struct peer *peer);

void peer_set_monitors(struct peer *peer, const struct caraway_monitors_config *config);
void peer_set_monitors_dpi(struct peer *peer, const struct caraway_monitors_config *config,
                           uint32_t dpi);
void peer_set_size(struct peer *peer, uint32_t width, uint32_t height);
void peer_send_input(struct peer *peer, uint32_t type, int32_t a, int32_t b);

const struct caraway_state *peer_state(const struct peer *peer);
struct caraway_cursor peer_cursor(const struct peer *peer);
struct caraway_monitors peer_monitors(const struct peer *peer);

#endif
