/* See spice_monitors.h. SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "spice_monitors.h"

#include <spice/vd_agent.h>
#include <stdio.h>
#include <stdlib.h>

#include "peer_session.h"

#define DISPLAYS 16 /* of the library */

static gboolean agent_is_there(const void *unused)
{
    (void)unused;
    return peer.error || (peer.main && spice_main_channel_agent_test_capability(
                                           peer.main, VD_AGENT_CAP_SPARSE_MONITORS_CONFIG));
}

void do_wait_agent(char **words, int count)
{
    (void)count;
    gboolean there = peer_serve_until(agent_is_there, NULL, (guint)atoi(words[1])) && !peer.error;
    printf("{\"ok\":%s,\"error\":\"no agent\"}\n", there ? "true" : "false");
}

void do_monitors(char **words, int count)
{
    if (!peer.main) {
        printf("{\"ok\":false,\"error\":\"no main channel\"}\n");
        return;
    }
    /* Places go out as they are given, not as the library would rather have them. */
    g_object_set(peer.main, "disable-display-align", TRUE, "disable-display-position", FALSE, NULL);
    for (int id = 0; id < DISPLAYS; id++)
        spice_main_channel_update_display_enabled(peer.main, id, FALSE, FALSE);
    for (int i = 1; i < count; i++) {
        int id, width, height, x, y, width_mm = 0, height_mm = 0;

        if (sscanf(words[i], "%d:%dx%d%d%d/%dx%d", &id, &width, &height, &x, &y, &width_mm, &height_mm) < 5)
            continue;
        spice_main_channel_update_display(peer.main, id, x, y, width, height, FALSE);
        spice_main_channel_update_display_mm(peer.main, id, width_mm, height_mm, FALSE);
        spice_main_channel_update_display_enabled(peer.main, id, TRUE, FALSE);
    }
    gint64 at = g_get_monotonic_time();
    gboolean sent = spice_main_channel_send_monitor_config(peer.main);
    while (g_main_context_iteration(NULL, FALSE)) {
    }
    printf("{\"ok\":%s,\"error\":\"not sent\",\"at_us\":%" G_GINT64_FORMAT "}\n", sent ? "true" : "false", at);
}

void do_heads(char **words, int count)
{
    GArray *monitors = NULL;
    guint max = 0;

    (void)words, (void)count;
    if (!peer.display) {
        printf("{\"ok\":false,\"error\":\"no display channel\"}\n");
        return;
    }
    g_object_get(peer.display, "monitors", &monitors, "monitors-max", &max, NULL);
    printf("{\"ok\":true,\"primaries\":%u,\"max\":%u,\"heads\":[", peer.primaries, max);
    for (guint i = 0; monitors && i < monitors->len; i++) {
        const SpiceDisplayMonitorConfig *one = &g_array_index(monitors, SpiceDisplayMonitorConfig, i);

        printf("%s[%u,%u,%u,%u,%u]", i ? "," : "", one->id, one->x, one->y, one->width, one->height);
    }
    printf("]}\n");
    if (monitors)
        g_array_unref(monitors);
}
