/*
 * A SPICE client that listens and speaks, on spice-gtk's own library, without a window or a sound card: what it is
 * given to play is written to a file, and when the desktop records it sends a tone.
 *
 *   sound_peer URI FILE [PEAK [FREQUENCY_HZ]]
 *
 * FILE gets the samples as they would go to a sound card. Standard output gets a line for each thing that happens, with
 * the time of CLOCK_MONOTONIC in microseconds:
 *
 *   open AT              the playback channel is connected
 *   start AT CHANNELS RATE | stop AT | latency AT MS | mute AT 0|1 | volume AT 0..65535
 *   data AT BYTES        so many bytes were given
 *   record-start AT | record-stop AT
 *   closed AT            the main channel has gone
 *
 * PEER_CA_FILE, PEER_USERNAME and PEER_PASSWORD in the environment say whom to trust, and who comes.
 *
 * Lines on standard input: "pause MS" reads from no socket for that long; the end of the input ends the program.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include <math.h>
#include <spice-client.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RATE_HZ 48000
#define FRAME_SAMPLES 480
#define FRAME_MS 10

static FILE *samples;
static GMainLoop *loop;
static double peak, frequency_hz = 1000;

/* The microphone: samples so far, and when the first was taken. */
static SpiceRecordChannel *microphone;
static gint64 microphone_since;
static guint64 spoken_samples;

static void say(const char *what)
{
    printf("%s %" G_GINT64_FORMAT "\n", what, g_get_monotonic_time());
}

static void on_start(SpiceChannel *channel, gint format, gint channels, gint rate, gpointer user)
{
    (void)channel, (void)format, (void)user;
    printf("start %" G_GINT64_FORMAT " %d %d\n", g_get_monotonic_time(), channels, rate);
}

static void on_data(SpiceChannel *channel, gpointer data, gint size, gpointer user)
{
    (void)channel, (void)user;
    fwrite(data, 1, (size_t)size, samples);
    printf("data %" G_GINT64_FORMAT " %d\n", g_get_monotonic_time(), size);
}

static void on_stop(SpiceChannel *channel, gpointer user)
{
    (void)channel, (void)user;
    fflush(samples);
    say("stop");
}

static void on_latency(GObject *channel, GParamSpec *property, gpointer user)
{
    guint latency_ms = 0;

    (void)property, (void)user;
    g_object_get(channel, "min-latency", &latency_ms, NULL);
    printf("latency %" G_GINT64_FORMAT " %u\n", g_get_monotonic_time(), latency_ms);
}

static void on_mute(GObject *channel, GParamSpec *property, gpointer user)
{
    gboolean mute = FALSE;

    (void)property, (void)user;
    g_object_get(channel, "mute", &mute, NULL);
    printf("mute %" G_GINT64_FORMAT " %d\n", g_get_monotonic_time(), mute);
}

static void on_volume(GObject *channel, GParamSpec *property, gpointer user)
{
    guint16 *volumes = NULL;

    (void)property, (void)user;
    g_object_get(channel, "volume", &volumes, NULL);
    if (volumes)
        printf("volume %" G_GINT64_FORMAT " %d\n", g_get_monotonic_time(), volumes[0]);
}

/* Sends what a sound card would have taken by now. */
static gboolean on_speak(gpointer user)
{
    (void)user;
    if (!microphone)
        return G_SOURCE_REMOVE;
    gint64 due = (g_get_monotonic_time() - microphone_since) * RATE_HZ / G_USEC_PER_SEC;
    while ((gint64)spoken_samples + FRAME_SAMPLES <= due) {
        gint16 frame[FRAME_SAMPLES][2];

        for (int i = 0; i < FRAME_SAMPLES; i++) {
            double phase = 2 * G_PI * frequency_hz * (double)(spoken_samples + i) / RATE_HZ;

            frame[i][0] = frame[i][1] = (gint16)(peak * sin(phase));
        }
        spice_record_channel_send_data(microphone, frame, sizeof frame,
                                       (guint32)(g_get_monotonic_time() / 1000));
        spoken_samples += FRAME_SAMPLES;
    }
    return G_SOURCE_CONTINUE;
}

static void on_record_start(SpiceChannel *channel, gint format, gint channels, gint rate, gpointer user)
{
    (void)format, (void)channels, (void)rate, (void)user;
    say("record-start");
    if (peak > 0) {
        microphone = SPICE_RECORD_CHANNEL(channel);
        microphone_since = g_get_monotonic_time();
        spoken_samples = 0;
        g_timeout_add(FRAME_MS, on_speak, NULL);
    }
}

static void on_record_stop(SpiceChannel *channel, gpointer user)
{
    (void)channel, (void)user;
    say("record-stop");
    microphone = NULL;
}

static void on_playback_event(SpiceChannel *channel, SpiceChannelEvent event, gpointer user)
{
    (void)channel, (void)user;
    if (event == SPICE_CHANNEL_OPENED)
        say("open");
}

static void on_main_event(SpiceChannel *channel, SpiceChannelEvent event, gpointer user)
{
    (void)channel, (void)user;
    if (event != SPICE_CHANNEL_OPENED) {
        say("closed");
        g_main_loop_quit(loop);
    }
}

static void on_channel_new(SpiceSession *session, SpiceChannel *channel, gpointer user)
{
    (void)session, (void)user;
    if (SPICE_IS_MAIN_CHANNEL(channel)) {
        g_signal_connect(channel, "channel-event", G_CALLBACK(on_main_event), NULL);
    } else if (SPICE_IS_PLAYBACK_CHANNEL(channel)) {
        g_signal_connect(channel, "channel-event", G_CALLBACK(on_playback_event), NULL);
        g_signal_connect(channel, "playback-start", G_CALLBACK(on_start), NULL);
        g_signal_connect(channel, "playback-data", G_CALLBACK(on_data), NULL);
        g_signal_connect(channel, "playback-stop", G_CALLBACK(on_stop), NULL);
        g_signal_connect(channel, "notify::min-latency", G_CALLBACK(on_latency), NULL);
        g_signal_connect(channel, "notify::mute", G_CALLBACK(on_mute), NULL);
        g_signal_connect(channel, "notify::volume", G_CALLBACK(on_volume), NULL);
        spice_channel_connect(channel);
    } else if (SPICE_IS_RECORD_CHANNEL(channel)) {
        g_signal_connect(channel, "record-start", G_CALLBACK(on_record_start), NULL);
        g_signal_connect(channel, "record-stop", G_CALLBACK(on_record_stop), NULL);
        spice_channel_connect(channel);
    }
}

static gboolean on_command(GIOChannel *input, GIOCondition condition, gpointer user)
{
    char *line = NULL;

    (void)condition, (void)user;
    if (g_io_channel_read_line(input, &line, NULL, NULL, NULL) != G_IO_STATUS_NORMAL) {
        g_main_loop_quit(loop);
        return G_SOURCE_REMOVE;
    }
    if (g_str_has_prefix(line, "pause "))
        g_usleep((gulong)atoi(line + strlen("pause ")) * 1000);
    g_free(line);
    return G_SOURCE_CONTINUE;
}

int main(int argc, char **argv)
{
    if (argc < 3 || !(samples = fopen(argv[2], "wb"))) {
        fprintf(stderr, "usage: sound_peer URI FILE [PEAK [FREQUENCY_HZ]]\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    peak = argc > 3 ? atof(argv[3]) : 0;
    frequency_hz = argc > 4 ? atof(argv[4]) : frequency_hz;
    SpiceSession *session = spice_session_new();

    g_object_set(session, "uri", argv[1], NULL);
    if (g_getenv("PEER_CA_FILE"))
        g_object_set(session, "ca-file", g_getenv("PEER_CA_FILE"), NULL);
    if (g_getenv("PEER_USERNAME"))
        g_object_set(session, "username", g_getenv("PEER_USERNAME"), "password", g_getenv("PEER_PASSWORD"), NULL);
    g_signal_connect(session, "channel-new", G_CALLBACK(on_channel_new), NULL);
    loop = g_main_loop_new(NULL, FALSE);
    g_io_add_watch(g_io_channel_unix_new(STDIN_FILENO), G_IO_IN | G_IO_HUP, on_command, NULL);
    if (!spice_session_connect(session))
        return 1;
    g_main_loop_run(loop);
    fclose(samples);
    return 0;
}
