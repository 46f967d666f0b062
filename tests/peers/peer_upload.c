/*
 * Files from the client to the desktop: spice_main_channel_file_copy_async, what it reports of its progress, and how
 * each file ended in the words that remote-viewer would show.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "peer_upload.h"
#include "peer_session.h"

#include <stdio.h>
#include <string.h>

static struct {
    gboolean running;
    GCancellable *cancellable;
    gint64 begun_at, ended_at; /* µs */
    gint64 sent, total;
    GString *files;
} upload;

static void on_file_ended(SpiceFileTransferTask *task, GError *error, gpointer unused)
{
    char *name = spice_file_transfer_task_get_filename(task);
    char *why = g_strdup(error ? error->message : "");

    (void)unused;
    g_strdelimit(why, "\"\\\n", '\'');
    g_string_append_printf(upload.files, "%s{\"name\":\"%s\",\"ok\":%s,\"error\":\"%s\"}", upload.files->len ? "," : "",
                           name, error ? "false" : "true", why);
    g_free(why);
    g_free(name);
}

static void on_new_file(SpiceMainChannel *main, SpiceFileTransferTask *task, gpointer unused)
{
    (void)main, (void)unused;
    g_signal_connect(task, "finished", G_CALLBACK(on_file_ended), NULL);
}

static void on_progress(goffset sent, goffset total, gpointer unused)
{
    (void)unused;
    upload.sent = sent;
    upload.total = total;
}

static void on_all_ended(GObject *main, GAsyncResult *result, gpointer unused)
{
    GError *error = NULL;

    (void)unused;
    /* Each file has told its own error. */
    spice_main_channel_file_copy_finish(SPICE_MAIN_CHANNEL(main), result, &error);
    g_clear_error(&error);
    upload.ended_at = g_get_monotonic_time();
    upload.running = FALSE;
}

gboolean peer_upload_begin(char **paths, int count)
{
    GFile *files[16] = { NULL };

    if (upload.running || !peer_wait_for_agent() || count >= (int)G_N_ELEMENTS(files))
        return FALSE;
    g_clear_object(&upload.cancellable);
    upload.cancellable = g_cancellable_new();
    if (!upload.files)
        upload.files = g_string_new(NULL);
    g_string_truncate(upload.files, 0);
    upload.sent = upload.total = upload.ended_at = 0;
    upload.begun_at = g_get_monotonic_time();
    upload.running = TRUE;
    for (int i = 0; i < count; i++)
        files[i] = g_file_new_for_path(paths[i]);
    gulong handler = g_signal_connect(peer.main, "new-file-transfer", G_CALLBACK(on_new_file), NULL);
    spice_main_channel_file_copy_async(peer.main, files, G_FILE_COPY_NONE, upload.cancellable, on_progress, NULL,
                                       on_all_ended, NULL);
    g_signal_handler_disconnect(peer.main, handler);
    for (int i = 0; i < count; i++)
        g_object_unref(files[i]);
    return TRUE;
}

void peer_upload_cancel(void)
{
    if (upload.cancellable)
        g_cancellable_cancel(upload.cancellable);
}

gboolean peer_upload_has_ended(const void *unused)
{
    (void)unused;
    return !upload.running;
}

gboolean peer_upload_has_sent(const void *bytes)
{
    return !upload.running || upload.sent >= *(const gint64 *)bytes;
}

void peer_upload_answer(void)
{
    gint64 until = upload.running ? g_get_monotonic_time() : upload.ended_at;

    printf("{\"ok\":true,\"running\":%s,\"sent\":%" G_GINT64_FORMAT ",\"total\":%" G_GINT64_FORMAT
           ",\"us\":%" G_GINT64_FORMAT ",\"files\":[%s]}\n",
           upload.running ? "true" : "false", upload.sent, upload.total, until - upload.begun_at,
           upload.files ? upload.files->str : "");
}
