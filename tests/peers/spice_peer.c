/*
 * A SPICE client without a window, on spice-gtk's own library: what it holds is what remote-viewer would show.
 *
 * It obeys commands on standard input, one a line, and answers each with one line of JSON that has "ok" and, when that
 * is false, "error". Times are microseconds of CLOCK_MONOTONIC (`at_us`) or since the connect command (`*_us`).
 *
 *   connect URI [PASSWORD]       starts a connection, does not wait
 *   disconnect
 *   wait-mark TIMEOUT_MS         until the display is marked
 *   wait-closed TIMEOUT_MS       until the main channel has gone
 *   compare DISPLAY              wrong pixels against that X display's root window, and the box around them
 *   wait-exact DISPLAY TIMEOUT_MS  until compare finds none; exact_at_us is the invalidation that made it so
 *   hash | dump FILE             of the primary surface (binary PPM)
 *   pixel X Y
 *   key CODE up|down             an XT scan code, 0x100 added for E0 keys as the library has it
 *   motion DX DY BUTTONS | position X Y BUTTONS | press BUTTON BUTTONS | release BUTTON BUTTONS
 *   key-to-pixel CODE X Y TIMEOUT_MS   presses and releases a key, until that pixel changes
 *   locks MASK                   sets the lock keys (scroll 1, num 2, caps 4)
 *   mouse-mode server|client     asks for one
 *   wait-agent TIMEOUT_MS | monitors ID:WxH+X+Y[/MMxMM]... | heads   see spice_monitors.h
 *   clip-own, clip-release, clip-silent, clip-wait, clip-paste, clip-stats: see peer_clipboard.h
 *   idle MS                      serves the connection for that long
 *   pause MS                     does not read from any socket for that long
 *   share [FOLDER] | unshare     what the next connection shares (nothing); the folder goes now
 *   upload FILE...               starts sending files into the desktop, does not wait
 *   upload-sent BYTES TIMEOUT_MS until so much of them was sent, or they have ended
 *   upload-end TIMEOUT_MS        until all have ended, and how each did
 *   upload-cancel
 *   stats                        channels with bytes read, modes, lock state, cursor, first-picture times
 *   quit
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "peer_clipboard.h"
#include "peer_session.h"
#include "peer_upload.h"
#include "screen_grab.h"
#include "spice_monitors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMMAND_WORDS_MAX 6

static GAsyncQueue *command_lines;

/* ---- answers ---- */

static void answer_error(const char *why)
{
    printf("{\"ok\":false,\"error\":\"%s\",\"at_us\":%" G_GINT64_FORMAT "}\n", why, g_get_monotonic_time());
}

static void answer_done(void)
{
    printf("{\"ok\":true,\"at_us\":%" G_GINT64_FORMAT "}\n", g_get_monotonic_time());
}

static gint64 since_connect(gint64 at)
{
    return at ? at - peer.connect_at : -1;
}

/* ---- commands ---- */

static void do_connect(char **words, int count)
{
    if (peer_connect(words[1], count > 2 ? words[2] : ""))
        answer_done();
    else
        answer_error("connect");
}

static void do_wait_mark(char **words, int count)
{
    (void)count;
    peer_serve_until(peer_is_marked_or_failed, NULL, (guint)atoi(words[1]));
    if (peer.marked && peer.pixels)
        printf("{\"ok\":true,\"width\":%d,\"height\":%d,\"mark_us\":%" G_GINT64_FORMAT "}\n", peer.width,
               peer.height, since_connect(peer.mark_at));
    else
        answer_error(peer.error ? peer.error : "timeout");
}

static void do_wait_closed(char **words, int count)
{
    (void)count;
    if (peer_serve_until(peer_has_closed, NULL, (guint)atoi(words[1])))
        printf("{\"ok\":true,\"reason\":\"%s\",\"at_us\":%" G_GINT64_FORMAT "}\n", peer.error,
               g_get_monotonic_time());
    else
        answer_error("timeout");
}

/* Returns NULL and fills *out, or says why there is nothing to compare. */
static const char *compare_with(const char *display_name, struct difference *out)
{
    struct screen_grab grab;
    const char *error;

    if (screen_grab_take(display_name, &grab, &error) != 0)
        return error;
    if (!peer.pixels)
        return peer.error ? peer.error : "no primary surface";
    if (grab.width != peer.width || grab.height != peer.height)
        return "sizes differ";
    *out = screen_grab_compare(&grab, peer.pixels, peer.stride);
    return NULL;
}

static void answer_difference(gboolean ok, const char *error, const struct difference *found)
{
    printf("{\"ok\":%s,%s%s%s\"wrong\":%" G_GUINT64_FORMAT ",\"box\":[%d,%d,%d,%d],\"first\":[%d,%d],"
           "\"ours\":\"%06x\",\"theirs\":\"%06x\",\"exact_at_us\":%" G_GINT64_FORMAT ",\"picture_us\":%" G_GINT64_FORMAT
           ",\"at_us\":%" G_GINT64_FORMAT "}\n",
           ok ? "true" : "false", error ? "\"error\":\"" : "", error ? error : "", error ? "\"," : "",
           (guint64)found->wrong, found->left, found->top, found->right, found->bottom, found->first_x,
           found->first_y, found->first_ours, found->first_theirs, MAX(peer.last_invalidate_at, peer.mark_at),
           since_connect(MAX(peer.last_invalidate_at, peer.mark_at)), g_get_monotonic_time());
}

static void do_compare(char **words, int count)
{
    struct difference found = { 0 };
    const char *error = compare_with(words[1], &found);

    (void)count;
    if (error)
        answer_error(error);
    else
        answer_difference(TRUE, NULL, &found);
}

static gboolean was_invalidated(const void *before)
{
    return peer.invalidations != *(const guint64 *)before || peer.error;
}

static void do_wait_exact(char **words, int count)
{
    gint64 deadline = g_get_monotonic_time() + atoi(words[2]) * G_GINT64_CONSTANT(1000);
    struct difference found = { 0 };
    const char *error;

    (void)count;
    for (;;) {
        while (g_main_context_iteration(NULL, FALSE)) {
        }
        guint64 before = peer.invalidations;
        error = compare_with(words[1], &found);
        if (!error && found.wrong == 0 && peer.marked) {
            answer_difference(TRUE, NULL, &found);
            return;
        }
        if (g_get_monotonic_time() > deadline || peer.error)
            break;
        /* The X side may change too, so look again now and then; and give the sockets room between comparisons. */
        peer_serve_until(was_invalidated, &before, 50);
        peer_serve_until(NULL, NULL, 5);
    }
    if (error)
        answer_error(error);
    else
        answer_difference(FALSE, peer.marked ? "not exact" : "not marked", &found);
}

static void do_hash(char **words, int count)
{
    guint64 hash = G_GUINT64_CONSTANT(14695981039346656037);

    (void)words, (void)count;
    if (!peer.pixels) {
        answer_error("no primary surface");
        return;
    }
    for (int y = 0; y < peer.height; y++)
        for (int x = 0; x < peer.width; x++)
            hash = (hash ^ (peer.pixels[(size_t)y * peer.stride + x] & PIXEL_MASK)) * G_GUINT64_CONSTANT(1099511628211);
    printf("{\"ok\":true,\"hash\":\"%016" G_GINT64_MODIFIER "x\"}\n", hash);
}

static void do_dump(char **words, int count)
{
    FILE *file = peer.pixels ? fopen(words[1], "wb") : NULL;

    (void)count;
    if (!file) {
        answer_error(peer.pixels ? "cannot write the file" : "no primary surface");
        return;
    }
    fprintf(file, "P6\n%d %d\n255\n", peer.width, peer.height);
    for (int y = 0; y < peer.height; y++) {
        for (int x = 0; x < peer.width; x++) {
            uint32_t pixel = peer.pixels[(size_t)y * peer.stride + x];
            const unsigned char rgb[3] = { pixel >> 16 & 0xff, pixel >> 8 & 0xff, pixel & 0xff };
            fwrite(rgb, 1, sizeof rgb, file);
        }
    }
    if (fclose(file) == 0)
        answer_done();
    else
        answer_error("cannot write the file");
}

struct place {
    int x, y;
    uint32_t before;
};

static gboolean pixel_at(int x, int y, uint32_t *out)
{
    if (!peer.pixels || x < 0 || y < 0 || x >= peer.width || y >= peer.height)
        return FALSE;
    *out = peer.pixels[(size_t)y * peer.stride + x] & PIXEL_MASK;
    return TRUE;
}

static gboolean pixel_changed(const void *argument)
{
    const struct place *place = argument;
    uint32_t now;
    return peer.error || (pixel_at(place->x, place->y, &now) && now != place->before);
}

static void do_pixel(char **words, int count)
{
    uint32_t pixel;

    (void)count;
    if (pixel_at(atoi(words[1]), atoi(words[2]), &pixel))
        printf("{\"ok\":true,\"pixel\":\"%06x\"}\n", pixel);
    else
        answer_error("no such pixel");
}

static void do_key_to_pixel(char **words, int count)
{
    struct place place = { .x = atoi(words[2]), .y = atoi(words[3]) };
    guint code = (guint)strtoul(words[1], NULL, 0);

    (void)count;
    if (!peer.inputs || !pixel_at(place.x, place.y, &place.before)) {
        answer_error("no inputs channel or no such pixel");
        return;
    }
    gint64 pressed_at = g_get_monotonic_time();
    spice_inputs_channel_key_press(peer.inputs, code);
    gboolean changed = peer_serve_until(pixel_changed, &place, (guint)atoi(words[4]));
    gint64 changed_at = g_get_monotonic_time();
    if (peer.inputs)
        spice_inputs_channel_key_release(peer.inputs, code);
    if (changed && !peer.error)
        printf("{\"ok\":true,\"key_to_pixel_us\":%" G_GINT64_FORMAT "}\n", changed_at - pressed_at);
    else
        answer_error(peer.error ? peer.error : "timeout");
}

static void do_input(char **words, int count)
{
    int first = (int)strtol(words[1], NULL, 0);
    int second = count > 2 ? (int)strtol(words[2], NULL, 0) : 0;
    int third = count > 3 ? (int)strtol(words[3], NULL, 0) : 0;

    if (!peer.inputs || peer.error) {
        answer_error("no inputs channel");
        return;
    }
    if (!strcmp(words[0], "key") && !strcmp(words[2], "down"))
        spice_inputs_channel_key_press(peer.inputs, (guint)first);
    else if (!strcmp(words[0], "key"))
        spice_inputs_channel_key_release(peer.inputs, (guint)first);
    else if (!strcmp(words[0], "motion"))
        spice_inputs_channel_motion(peer.inputs, first, second, third);
    else if (!strcmp(words[0], "position"))
        spice_inputs_channel_position(peer.inputs, first, second, 0, third);
    else if (!strcmp(words[0], "press"))
        spice_inputs_channel_button_press(peer.inputs, first, second);
    else if (!strcmp(words[0], "release"))
        spice_inputs_channel_button_release(peer.inputs, first, second);
    else
        spice_inputs_channel_set_key_locks(peer.inputs, (guint)first);
    /* What was queued is written by the main loop. */
    while (g_main_context_iteration(NULL, FALSE)) {
    }
    answer_done();
}

static void do_mouse_mode(char **words, int count)
{
    (void)count;
    if (!peer.main) {
        answer_error("no main channel");
        return;
    }
    spice_main_channel_request_mouse_mode(
        peer.main, !strcmp(words[1], "client") ? SPICE_MOUSE_MODE_CLIENT : SPICE_MOUSE_MODE_SERVER);
    answer_done();
}

static void do_stats(char **words, int count)
{
    gulong total = 0;

    (void)words, (void)count;
    if (peer.main)
        g_object_get(peer.main, "mouse-mode", &peer.mouse_mode, NULL);
    if (peer.inputs)
        g_object_get(peer.inputs, "key-modifiers", &peer.locks, NULL);
    printf("{\"ok\":true,\"channels\":{");
    for (int i = 0; i < peer.channel_count; i++) {
        gulong bytes = 0;
        gint type = 0;
        g_object_get(peer.channels[i], "total-read-bytes", &bytes, "channel-type", &type, NULL);
        printf("%s\"%s\":%lu", i ? "," : "", spice_channel_type_to_string(type), bytes);
        total += bytes;
    }
    printf("},\"bytes\":%lu,\"width\":%d,\"height\":%d,\"marked\":%s,\"invalidations\":%" G_GUINT64_FORMAT
           ",\"mouse_mode\":\"%s\",\"locks\":%d,\"mark_us\":%" G_GINT64_FORMAT
           ",\"first_invalidate_us\":%" G_GINT64_FORMAT ",\"last_invalidate_us\":%" G_GINT64_FORMAT
           ",\"cursor\":{\"width\":%d,\"height\":%d,\"hot\":[%d,%d],\"hash\":\"%08x\",\"hidden\":%s,\"sets\":%"
           G_GUINT64_FORMAT "},\"error\":\"%s\"}\n",
           total, peer.width, peer.height, peer.marked ? "true" : "false", peer.invalidations,
           peer.mouse_mode == SPICE_MOUSE_MODE_CLIENT ? "client" : "server", peer.locks,
           since_connect(peer.mark_at), since_connect(peer.first_invalidate_at),
           since_connect(peer.last_invalidate_at), peer.cursor_width, peer.cursor_height, peer.cursor_hot_x,
           peer.cursor_hot_y, peer.cursor_hash, peer.cursor_hidden ? "true" : "false", peer.cursor_sets,
           peer.error ? peer.error : "");
}

static void do_pass_time(char **words, int count)
{
    (void)count;
    if (!strcmp(words[0], "pause"))
        g_usleep(strtoul(words[1], NULL, 10) * 1000);
    else
        peer_serve_until(NULL, NULL, (guint)atoi(words[1]));
    answer_done();
}

/* Of the next connection; without a name none is shared. */
static void do_share(char **words, int count)
{
    g_free(peer_shared_folder);
    peer_shared_folder = count > 1 ? g_strdup(words[1]) : NULL;
    answer_done();
}

/* The folder's channel alone goes, as when the user unticks "share folder". */
static void do_unshare(char **words, int count)
{
    (void)words, (void)count;
    for (int i = 0; i < peer.channel_count; i++)
        if (SPICE_IS_WEBDAV_CHANNEL(peer.channels[i]))
            spice_channel_disconnect(peer.channels[i], SPICE_CHANNEL_NONE);
    peer_serve_until(NULL, NULL, 50);
    answer_done();
}

static void do_upload(char **words, int count)
{
    gint64 bytes = 0;

    if (!strcmp(words[0], "upload")) {
        if (peer_upload_begin(words + 1, count - 1))
            answer_done();
        else
            answer_error("no agent, or others are under way");
        return;
    }
    if (!strcmp(words[0], "upload-cancel"))
        peer_upload_cancel();
    else if (!strcmp(words[0], "upload-end"))
        peer_serve_until(peer_upload_has_ended, NULL, (guint)atoi(words[1]));
    else if (count > 2) {
        bytes = g_ascii_strtoll(words[1], NULL, 10);
        peer_serve_until(peer_upload_has_sent, &bytes, (guint)atoi(words[2]));
    }
    peer_upload_answer();
}

static void do_disconnect(char **words, int count)
{
    (void)words, (void)count;
    peer_disconnect();
    answer_done();
}

static const struct {
    const char *name;
    int words_min;
    void (*run)(char **words, int count);
} commands[] = {
    { "connect", 2, do_connect },       { "disconnect", 1, do_disconnect }, { "wait-mark", 2, do_wait_mark },
    { "wait-closed", 2, do_wait_closed }, { "compare", 2, do_compare },     { "wait-exact", 3, do_wait_exact },
    { "hash", 1, do_hash },             { "dump", 2, do_dump },             { "pixel", 3, do_pixel },
    { "key", 3, do_input },             { "motion", 4, do_input },          { "position", 4, do_input },
    { "press", 3, do_input },           { "release", 3, do_input },         { "locks", 2, do_input },
    { "key-to-pixel", 5, do_key_to_pixel }, { "mouse-mode", 2, do_mouse_mode }, { "idle", 2, do_pass_time },
    { "pause", 2, do_pass_time },       { "stats", 1, do_stats },        { "wait-agent", 2, do_wait_agent },
    { "monitors", 1, do_monitors },     { "heads", 1, do_heads },        { "share", 1, do_share },
    { "unshare", 1, do_unshare },       { "upload", 2, do_upload },      { "upload-sent", 3, do_upload },
    { "upload-end", 2, do_upload },     { "upload-cancel", 1, do_upload },
    { "clip-own", 4, do_clip_own },     { "clip-release", 2, do_clip_release },
    { "clip-silent", 2, do_clip_silent }, { "clip-wait", 4, do_clip_wait },
    { "clip-paste", 5, do_clip_paste }, { "clip-stats", 1, do_clip_stats },
};

/* Returns FALSE for the end. */
static gboolean obey(char *line)
{
    char *words[COMMAND_WORDS_MAX];
    int count = 0;

    for (char *word = strtok(line, " \n"); word && count < COMMAND_WORDS_MAX; word = strtok(NULL, " \n"))
        words[count++] = word;
    if (count == 0)
        return TRUE;
    if (!strcmp(words[0], "quit"))
        return FALSE;
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++) {
        if (strcmp(words[0], commands[i].name))
            continue;
        if (count < commands[i].words_min)
            answer_error("too few words");
        else
            commands[i].run(words, count);
        fflush(stdout);
        return TRUE;
    }
    answer_error("no such command");
    fflush(stdout);
    return TRUE;
}

/* Lines are read in a thread of their own, so that no command is missed while one waits. */
static gpointer read_commands(gpointer unused)
{
    char *line = NULL;
    size_t size = 0;

    (void)unused;
    while (getline(&line, &size, stdin) > 0) {
        g_async_queue_push(command_lines, g_strdup(line));
        g_main_context_wakeup(NULL);
    }
    free(line);
    g_async_queue_push(command_lines, g_strdup("quit\n"));
    g_main_context_wakeup(NULL);
    return NULL;
}

int main(void)
{
    /* Standard output is for answers; what the library logs for debugging would go there too. */
    g_log_writer_default_set_use_stderr(TRUE);
    command_lines = g_async_queue_new();
    g_thread_unref(g_thread_new("commands", read_commands, NULL));
    for (gboolean going = TRUE; going;) {
        char *line = g_async_queue_try_pop(command_lines);
        if (line)
            going = obey(line);
        else
            g_main_context_iteration(NULL, TRUE);
        g_free(line);
    }
    peer_disconnect();
    return 0;
}
