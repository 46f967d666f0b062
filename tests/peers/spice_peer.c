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
 *   idle MS                      serves the connection for that long
 *   pause MS                     does not read from any socket for that long
 *   stats                        channels with bytes read, modes, lock state, cursor, first-picture times
 *   quit
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "screen_grab.h"

#include <spice-client.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COMMAND_WORDS_MAX 6
#define CHANNELS_MAX 16

static struct {
    SpiceSession *session;
    SpiceMainChannel *main;
    SpiceInputsChannel *inputs;
    SpiceChannel *display;
    SpiceChannel *channels[CHANNELS_MAX];
    int channel_count;
    const char *error; /* what ended the main channel, or NULL */

    int width, height, stride; /* primary surface; stride in pixels */
    const uint32_t *pixels;    /* NULL while there is none */
    gboolean marked;
    guint64 invalidations;

    gint64 connect_at, mark_at, first_invalidate_at, last_invalidate_at; /* µs, 0 for not yet */
    gint mouse_mode, locks;
    int cursor_width, cursor_height, cursor_hot_x, cursor_hot_y;
    guint32 cursor_hash;
    guint64 cursor_sets;
    gboolean cursor_hidden;
} peer;

static GAsyncQueue *command_lines;

/* ---- what the library tells ---- */

static void on_primary_create(SpiceChannel *channel, gint format, gint width, gint height, gint stride, gint shmid,
                              gpointer data, gpointer user)
{
    (void)channel, (void)shmid, (void)user;
    if (format != SPICE_SURFACE_FMT_32_xRGB && format != SPICE_SURFACE_FMT_32_ARGB)
        return;
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

static void on_channel_new(SpiceSession *session, SpiceChannel *channel, gpointer user)
{
    (void)session, (void)user;
    if (peer.channel_count < CHANNELS_MAX)
        peer.channels[peer.channel_count++] = g_object_ref(channel);
    if (SPICE_IS_MAIN_CHANNEL(channel)) {
        peer.main = SPICE_MAIN_CHANNEL(channel);
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
        g_signal_connect(channel, "inputs-modifiers", G_CALLBACK(on_modifiers), NULL);
        spice_channel_connect(channel);
    } else if (SPICE_IS_CURSOR_CHANNEL(channel)) {
        g_signal_connect(channel, "notify::cursor", G_CALLBACK(on_cursor), NULL);
        g_signal_connect(channel, "cursor-hide", G_CALLBACK(on_cursor_hide), NULL);
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
    }
}

/* ---- time and waiting ---- */

static gboolean on_deadline(gpointer passed)
{
    *(gboolean *)passed = TRUE;
    return G_SOURCE_REMOVE;
}

typedef gboolean (*condition)(const void *argument);

/* Serves the connection until `reached` or the time is over. Returns whether it was reached. */
static gboolean serve_until(condition reached, const void *argument, guint timeout_ms)
{
    gboolean passed = FALSE;
    guint timer = g_timeout_add(timeout_ms, on_deadline, &passed);

    while (!passed && !(reached && reached(argument)))
        g_main_context_iteration(NULL, TRUE);
    if (!passed)
        g_source_remove(timer);
    return reached && reached(argument);
}

static gboolean is_marked_or_failed(const void *argument)
{
    (void)argument;
    return (peer.marked && peer.pixels) || peer.error;
}

static gboolean has_closed(const void *argument)
{
    (void)argument;
    return peer.error != NULL;
}

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

static void disconnect(void)
{
    if (!peer.session)
        return;
    spice_session_disconnect(peer.session);
    for (int i = 0; i < peer.channel_count; i++) {
        g_signal_handlers_disconnect_by_data(peer.channels[i], NULL);
        g_object_unref(peer.channels[i]);
    }
    serve_until(NULL, NULL, 50);
    g_object_unref(peer.session);
    memset(&peer, 0, sizeof peer);
}

static void do_connect(char **words, int count)
{
    disconnect();
    peer.session = spice_session_new();
    g_object_set(peer.session, "uri", words[1], "password", count > 2 ? words[2] : "", "enable-audio", FALSE,
                 "enable-usbredir", FALSE, "enable-smartcard", FALSE, NULL);
    g_signal_connect(peer.session, "channel-new", G_CALLBACK(on_channel_new), NULL);
    g_signal_connect(peer.session, "channel-destroy", G_CALLBACK(on_channel_destroy), NULL);
    peer.connect_at = g_get_monotonic_time();
    if (spice_session_connect(peer.session))
        answer_done();
    else
        answer_error("connect");
}

static void do_wait_mark(char **words, int count)
{
    (void)count;
    serve_until(is_marked_or_failed, NULL, (guint)atoi(words[1]));
    if (peer.marked && peer.pixels)
        printf("{\"ok\":true,\"width\":%d,\"height\":%d,\"mark_us\":%" G_GINT64_FORMAT "}\n", peer.width,
               peer.height, since_connect(peer.mark_at));
    else
        answer_error(peer.error ? peer.error : "timeout");
}

static void do_wait_closed(char **words, int count)
{
    (void)count;
    if (serve_until(has_closed, NULL, (guint)atoi(words[1])))
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
        serve_until(was_invalidated, &before, 50);
        serve_until(NULL, NULL, 5);
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
    gboolean changed = serve_until(pixel_changed, &place, (guint)atoi(words[4]));
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

    if (!peer.inputs) {
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
        serve_until(NULL, NULL, (guint)atoi(words[1]));
    answer_done();
}

static void do_disconnect(char **words, int count)
{
    (void)words, (void)count;
    disconnect();
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
    { "pause", 2, do_pass_time },       { "stats", 1, do_stats },
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
    disconnect();
    return 0;
}
