/*
 * The control socket, where a server attaches.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef CARAWAY_CONTROL_H
#define CARAWAY_CONTROL_H

#include "driver.h"

/* Listens on caraway->socket_path. FALSE, with the reason in the log, when that is not possible. */
Bool control_open(struct caraway *caraway);

/* Drops the server and removes the socket. */
void control_close(struct caraway *caraway);

/* Hands the frame buffer's new memory file to whoever is attached. */
void control_send_framebuffer(struct caraway *caraway);

#endif
