/*
 * Files from the client to the desktop, by spice-gtk's own transfer: commands of spice_peer.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef PEER_UPLOAD_H
#define PEER_UPLOAD_H

#include <glib.h>

/* Starts sending these files at once. FALSE while others are under way, or without a main channel. */
gboolean peer_upload_begin(char **paths, int count);

/* As a user would who presses "cancel". */
void peer_upload_cancel(void);

/* Conditions for peer_serve_until: all have ended; `*(const gint64 *)bytes` have been sent, or all have ended. */
gboolean peer_upload_has_ended(const void *unused);
gboolean peer_upload_has_sent(const void *bytes);

/* Prints what has become of the files. */
void peer_upload_answer(void);

#endif
