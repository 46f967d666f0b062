/*
 * One connection of spice-gtk's library and what it has told: the state behind spice_peer's commands.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef PEER_SESSION_H
#define PEER_SESSION_H

#include <spice-client.h>
#include <stdint.h>

#define PEER_CHANNELS_MAX 16

struct peer_session {
    SpiceSession *session;
    SpiceMainChannel *main;
    SpiceInputsChannel *inputs;
    SpiceChannel *display;
    SpiceChannel *channels[PEER_CHANNELS_MAX];
    int channel_count;
    const char *error; /* what ended the main channel, or NULL */

    int width, height, stride; /* primary surface; stride in pixels */
    const uint32_t *pixels;    /* NULL while there is none */
    gboolean marked;
    unsigned primaries; /* surfaces so far */
    gboolean inputs_opened; /* before that the library drops keys and motion without a word */
    guint64 invalidations;

    gint64 connect_at, mark_at, first_invalidate_at, last_invalidate_at; /* µs, 0 for not yet */
    gint mouse_mode, locks;
    int cursor_width, cursor_height, cursor_hot_x, cursor_hot_y;
    guint32 cursor_hash;
    guint64 cursor_sets;
    gboolean cursor_hidden;
};

/* All zero while there is no connection. */
extern struct peer_session peer;

/* The folder that the next connection shares, or NULL. */
extern char *peer_shared_folder;

typedef gboolean (*peer_condition)(const void *argument);

/* Starts a connection; FALSE when the URI cannot even be tried. Ends the one before. */
gboolean peer_connect(const char *uri, const char *password);
void peer_disconnect(void);

/* Serves the connection until `reached` (NULL: never) or the time is over. Returns whether it was reached. */
gboolean peer_serve_until(peer_condition reached, const void *argument, guint timeout_ms);

/* Waits until the agent has said what it can: the library drops what it is asked to tell it before. */
gboolean peer_wait_for_agent(void);

gboolean peer_is_marked_or_failed(const void *unused);
gboolean peer_has_closed(const void *unused);

#endif
