/* See peer_clipboard.h. SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "peer_clipboard.h"
#include "peer_session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SELECTIONS 3

static struct {
    guint own_type[SELECTIONS];
    gchar *own[SELECTIONS];
    gsize own_size[SELECTIONS];
    guint offered[SELECTIONS]; /* bits of types */
    gboolean offer_is_new[SELECTIONS];
    gboolean silent;
    guint64 grabs, releases, requests;
    const char *paste_file; /* while something was asked for */
    guint paste_selection, paste_type;
    gsize paste_size;
} clip;

static gboolean on_grab(SpiceChannel *main, guint selection, gpointer types, guint count, gpointer user)
{
    const guint32 *all = types;

    (void)main, (void)user;
    clip.grabs++;
    if (selection >= SELECTIONS)
        return FALSE;
    clip.offered[selection] = 0;
    for (guint i = 0; i < count; i++)
        clip.offered[selection] |= 1u << (all[i] & 31);
    clip.offer_is_new[selection] = TRUE;
    return TRUE;
}

static void on_release(SpiceChannel *main, guint selection, gpointer user)
{
    (void)main, (void)user;
    clip.releases++;
    if (selection < SELECTIONS)
        clip.offered[selection] = 0;
}

static gboolean on_request(SpiceChannel *main, guint selection, guint type, gpointer user)
{
    (void)user;
    clip.requests++;
    if (clip.silent || selection >= SELECTIONS)
        return FALSE;
    gboolean has = clip.own[selection] && clip.own_type[selection] == type;
    spice_main_channel_clipboard_selection_notify(
        SPICE_MAIN_CHANNEL(main), selection, has ? type : 0, (const guchar *)(has ? clip.own[selection] : NULL),
        has ? clip.own_size[selection] : 0);
    return TRUE;
}

static void on_data(SpiceChannel *main, guint selection, guint type, gpointer data, guint size, gpointer user)
{
    (void)main, (void)user;
    if (!clip.paste_file || selection != clip.paste_selection)
        return;
    clip.paste_type = type;
    clip.paste_size = size;
    g_file_set_contents(clip.paste_file, data, size, NULL);
    clip.paste_file = NULL;
}

void peer_clipboard_watch(SpiceChannel *main)
{
    for (int i = 0; i < SELECTIONS; i++)
        g_clear_pointer(&clip.own[i], g_free);
    memset(&clip, 0, sizeof clip);
    g_signal_connect(main, "main-clipboard-selection-grab", G_CALLBACK(on_grab), NULL);
    g_signal_connect(main, "main-clipboard-selection-release", G_CALLBACK(on_release), NULL);
    g_signal_connect(main, "main-clipboard-selection-request", G_CALLBACK(on_request), NULL);
    g_signal_connect(main, "main-clipboard-selection", G_CALLBACK(on_data), NULL);
}

static void answer(gboolean ok, const char *why)
{
    printf("{\"ok\":%s,\"error\":\"%s\",\"at_us\":%" G_GINT64_FORMAT "}\n", ok ? "true" : "false", ok ? "" : why,
           g_get_monotonic_time());
}

static guint selection_of(const char *word)
{
    return CLAMP(atoi(word), 0, SELECTIONS - 1);
}

void do_clip_own(char **words, int count)
{
    guint selection = selection_of(words[1]);
    guint32 type = (guint32)atoi(words[2]);

    (void)count;
    g_clear_pointer(&clip.own[selection], g_free);
    if (!peer_wait_for_agent() ||
        !g_file_get_contents(words[3], &clip.own[selection], &clip.own_size[selection], NULL)) {
        answer(FALSE, "no agent or no such file");
        return;
    }
    clip.own_type[selection] = type;
    clip.offered[selection] = 0;
    spice_main_channel_clipboard_selection_grab(peer.main, selection, &type, 1);
    answer(TRUE, NULL);
}

void do_clip_release(char **words, int count)
{
    guint selection = selection_of(words[1]);

    (void)count;
    g_clear_pointer(&clip.own[selection], g_free);
    if (peer.main)
        spice_main_channel_clipboard_selection_release(peer.main, selection);
    answer(peer.main != NULL, "no main channel");
}

void do_clip_silent(char **words, int count)
{
    (void)count;
    clip.silent = atoi(words[1]) != 0;
    answer(TRUE, NULL);
}

struct offer {
    guint selection, type;
};

static gboolean is_offered(const void *argument)
{
    const struct offer *offer = argument;
    return clip.offer_is_new[offer->selection] && clip.offered[offer->selection] >> offer->type & 1;
}

void do_clip_wait(char **words, int count)
{
    struct offer offer = { selection_of(words[1]), (guint)atoi(words[2]) };
    gboolean came = peer_serve_until(is_offered, &offer, (guint)atoi(words[3]));

    (void)count;
    clip.offer_is_new[offer.selection] = FALSE;
    answer(came, "not offered");
}

static gboolean is_pasted(const void *unused)
{
    (void)unused;
    return !clip.paste_file;
}

void do_clip_paste(char **words, int count)
{
    gint64 began = g_get_monotonic_time();

    (void)count;
    if (!peer.main) {
        answer(FALSE, "no main channel");
        return;
    }
    clip.paste_selection = selection_of(words[1]);
    clip.paste_file = words[3];
    spice_main_channel_clipboard_selection_request(peer.main, clip.paste_selection, (guint)atoi(words[2]));
    if (peer_serve_until(is_pasted, NULL, (guint)atoi(words[4])))
        printf("{\"ok\":true,\"type\":%u,\"bytes\":%" G_GSIZE_FORMAT ",\"took_us\":%" G_GINT64_FORMAT "}\n",
               clip.paste_type, clip.paste_size, g_get_monotonic_time() - began);
    else
        answer(FALSE, "timeout");
    clip.paste_file = NULL;
}

void do_clip_stats(char **words, int count)
{
    (void)words, (void)count;
    printf("{\"ok\":true,\"grabs\":%" G_GUINT64_FORMAT ",\"releases\":%" G_GUINT64_FORMAT
           ",\"requests\":%" G_GUINT64_FORMAT ",\"offered\":[%u,%u,%u]}\n",
           clip.grabs, clip.releases, clip.requests, clip.offered[0], clip.offered[1], clip.offered[2]);
}
