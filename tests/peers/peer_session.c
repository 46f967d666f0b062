/* See peer_session.h. SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "peer_session.h"
#include "peer_clipboard.h"

#include <spice/vd_agent.h>
#include <stdlib.h>
#include <string.h>

#define AGENT_TIMEOUT_MS 10000

struct peer_session peer;
char *peer_shared_folder;

/* ---- what the library tells ---- */

static void on_primary_create(SpiceChannel *channel, gint format, gint width, gint height, gint stride, gint shmid,
                              gpointer data, gpointer user)
{
    (void)channel, (void)shmid, (void)user;
    if (format != SPICE_SURFACE_FMT_32_xRGB && format != SPICE_SURFACE_FMT_32_ARGB)
        return;
    peer.primaries++;
    peer.width = width;
    peer.height = height;
    peer.stride = stride / 4;
    peer.pixels = data;
}

static void on_primary_destroy(SpiceChannel *channel, gpointer user)
{
    (void)channel, (void)user;
    peer.pixels = NULL;
    peer.marked = FALSE;
}

static void on_invalidate(SpiceChannel *channel, gint x, gint y, gint width, gint height, gpointer user)
{
    (void)channel, (void)x, (void)y, (void)width, (void)height, (void)user;
    peer.last_invalidate_at = g_get_monotonic_time();
    if (!peer.first_invalidate_at)
        peer.first_invalidate_at = peer.last_invalidate_at;
    peer.invalidations++;
}

static void on_mark(SpiceChannel *channel, gboolean mark, gpointer user)
{
    (void)channel, (void)user;
    peer.marked = mark;
    if (mark && !peer.mark_at)
        peer.mark_at = g_get_monotonic_time();
}

static void on_cursor(GObject *channel, GParamSpec *property, gpointer user)
{
    SpiceCursorShape *shape = NULL;

    (void)property, (void)user;
    g_object_get(channel, "cursor", &shape, NULL);
    if (!shape)
        return;
    peer.cursor_width = shape->width;
    peer.cursor_height = shape->height;
    peer.cursor_hot_x = shape->hot_spot_x;
    peer.cursor_hot_y = shape->hot_spot_y;
    peer.cursor_hidden = FALSE;
    peer.cursor_sets++;
    peer.cursor_hash = 2166136261u;
    const guint8 *bytes = shape->data;
    for (int i = 0; bytes && i < shape->width * shape->height * 4; i++)
        peer.cursor_hash = (peer.cursor_hash ^ bytes[i]) * 16777619u;
    g_boxed_free(SPICE_TYPE_CURSOR_SHAPE, shape);
}

static void on_cursor_hide(SpiceChannel *channel, gpointer user)
{
    (void)channel, (void)user;
    peer.cursor_hidden = TRUE;
}

static void on_mouse_mode(SpiceChannel *channel, gpointer user)
{
    (void)user;
    g_object_get(channel, "mouse-mode", &peer.mouse_mode, NULL);
}

static void on_modifiers(SpiceChannel *channel, gpointer user)
{
    (void)user;
    g_object_get(channel, "key-modifiers", &peer.locks, NULL);
}

static void on_main_event(SpiceChannel *channel, SpiceChannelEvent event, gpointer user)
{
    (void)channel, (void)user;
    switch (event) {
    case SPICE_CHANNEL_OPENED:
    case SPICE_CHANNEL_SWITCHING:
    case SPICE_CHANNEL_NONE:
        return;
    case SPICE_CHANNEL_CLOSED: peer.error = "closed"; return;
    case SPICE_CHANNEL_ERROR_CONNECT: peer.error = "connect"; return;
    case SPICE_CHANNEL_ERROR_TLS: peer.error = "tls"; return;
    case SPICE_CHANNEL_ERROR_LINK: peer.error = "link"; return;
    case SPICE_CHANNEL_ERROR_AUTH: peer.error = "auth"; return;
    case SPICE_CHANNEL_ERROR_IO: peer.error = "io"; return;
    }
    peer.error = "other";
}

static void on_inputs_event(SpiceChannel *channel, SpiceChannelEvent event, gpointer user)
{
    (void)channel, (void)user;
    peer.inputs_opened = event == SPICE_CHANNEL_OPENED;
}

static void on_channel_new(SpiceSession *session, SpiceChannel *channel, gpointer user)
{
    (void)session, (void)user;
    if (peer.channel_count < PEER_CHANNELS_MAX)
        peer.channels[peer.channel_count++] = g_object_ref(channel);
    if (SPICE_IS_MAIN_CHANNEL(channel)) {
        peer.main = SPICE_MAIN_CHANNEL(channel);
        peer_clipboard_watch(channel);
        g_signal_connect(channel, "channel-event", G_CALLBACK(on_main_event), NULL);
        g_signal_connect(channel, "main-mouse-update", G_CALLBACK(on_mouse_mode), NULL);
    } else if (SPICE_IS_DISPLAY_CHANNEL(channel)) {
        peer.display = channel;
        g_signal_connect(channel, "display-primary-create", G_CALLBACK(on_primary_create), NULL);
        g_signal_connect(channel, "display-primary-destroy", G_CALLBACK(on_primary_destroy), NULL);
        g_signal_connect(channel, "display-invalidate", G_CALLBACK(on_invalidate), NULL);
        g_signal_connect(channel, "display-mark", G_CALLBACK(on_mark), NULL);
        spice_channel_connect(channel);
    } else if (SPICE_IS_INPUTS_CHANNEL(channel)) {
        peer.inputs = SPICE_INPUTS_CHANNEL(channel);
        g_signal_connect(channel, "channel-event", G_CALLBACK(on_inputs_event), NULL);
        g_signal_connect(channel, "inputs-modifiers", G_CALLBACK(on_modifiers), NULL);
        spice_channel_connect(channel);
    } else if (SPICE_IS_CURSOR_CHANNEL(channel)) {
        g_signal_connect(channel, "notify::cursor", G_CALLBACK(on_cursor), NULL);
        g_signal_connect(channel, "cursor-hide", G_CALLBACK(on_cursor_hide), NULL);
        spice_channel_connect(channel);
    } else if (SPICE_IS_WEBDAV_CHANNEL(channel) && peer_shared_folder) {
        /* As remote-viewer does when its user ticks "share folder". */
        spice_channel_connect(channel);
    }
}

static void on_channel_destroy(SpiceSession *session, SpiceChannel *channel, gpointer user)
{
    (void)session, (void)user;
    if ((void *)channel == (void *)peer.main) {
        peer.main = NULL;
        if (!peer.error)
            peer.error = "closed";
    } else if (channel == peer.display) {
        peer.display = NULL;
        peer.pixels = NULL;
        peer.marked = FALSE;
    } else if ((void *)channel == (void *)peer.inputs) {
        peer.inputs = NULL;
        peer.inputs_opened = FALSE;
    }
}

/* ---- time and waiting ---- */

static gboolean on_deadline(gpointer passed)
{
    *(gboolean *)passed = TRUE;
    return G_SOURCE_REMOVE;
}

gboolean peer_serve_until(peer_condition reached, const void *argument, guint timeout_ms)
{
    gboolean passed = FALSE;
    guint timer = g_timeout_add(timeout_ms, on_deadline, &passed);

    while (!passed && !(reached && reached(argument)))
        g_main_context_iteration(NULL, TRUE);
    if (!passed)
        g_source_remove(timer);
    return reached && reached(argument);
}

static gboolean is_agent_known(const void *unused)
{
    (void)unused;
    return peer.error ||
           (peer.main && spice_main_channel_agent_test_capability(peer.main, VD_AGENT_CAP_REPLY));
}

gboolean peer_wait_for_agent(void)
{
    return peer_serve_until(is_agent_known, NULL, AGENT_TIMEOUT_MS) && !peer.error;
}

gboolean peer_is_marked_or_failed(const void *unused)
{
    (void)unused;
    return (peer.marked && peer.pixels && peer.inputs_opened) || peer.error;
}

gboolean peer_has_closed(const void *unused)
{
    (void)unused;
    return peer.error != NULL;
}

/* ---- connecting ---- */

void peer_disconnect(void)
{
    if (!peer.session)
        return;
    spice_session_disconnect(peer.session);
    for (int i = 0; i < peer.channel_count; i++) {
        g_signal_handlers_disconnect_by_data(peer.channels[i], NULL);
        g_object_unref(peer.channels[i]);
    }
    peer_serve_until(NULL, NULL, 50);
    g_object_unref(peer.session);
    memset(&peer, 0, sizeof peer);
}

gboolean peer_connect(const char *uri, const char *password)
{
    peer_disconnect();
    peer.session = spice_session_new();
    g_object_set(peer.session, "uri", uri, "password", password, "enable-audio", FALSE, "enable-usbredir", FALSE,
                 "enable-smartcard", FALSE, NULL);
    /* Whom to trust for TLS. */
    if (g_getenv("PEER_CA_FILE"))
        g_object_set(peer.session, "ca-file", g_getenv("PEER_CA_FILE"), NULL);
    if (peer_shared_folder)
        g_object_set(peer.session, "shared-dir", peer_shared_folder, NULL);
    /* Who to be for SASL. */
    if (g_getenv("PEER_USERNAME"))
        g_object_set(peer.session, "username", g_getenv("PEER_USERNAME"), NULL);
    /* How much it offers to remember for GLZ. */
    if (g_getenv("PEER_GLZ_WINDOW_BYTES"))
        g_object_set(peer.session, "glz-window-size", atoi(g_getenv("PEER_GLZ_WINDOW_BYTES")), NULL);
    g_signal_connect(peer.session, "channel-new", G_CALLBACK(on_channel_new), NULL);
    g_signal_connect(peer.session, "channel-destroy", G_CALLBACK(on_channel_destroy), NULL);
    peer.connect_at = g_get_monotonic_time();
    return spice_session_connect(peer.session);
}
