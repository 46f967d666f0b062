/* See screen_grab.h. SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "screen_grab.h"

#include <X11/Xlib.h>
#include <X11/Xutil.h>
#include <X11/extensions/XShm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>

static struct {
    char name[64];
    Display *display;
    XShmSegmentInfo segment;
    XImage *image;
} held;

/* The screen may become smaller between the question how large it is and the one for its pixels. */
static int failed;

static int note_failure(Display *display, XErrorEvent *event)
{
    (void)display, (void)event;
    failed = 1;
    return 0;
}

static void drop_image(void)
{
    if (!held.image)
        return;
    XShmDetach(held.display, &held.segment);
    XDestroyImage(held.image);
    shmdt(held.segment.shmaddr);
    held.image = NULL;
}

static int make_image(int width, int height, const char **error_out)
{
    Display *display = held.display;
    int screen = DefaultScreen(display);

    drop_image();
    held.image = XShmCreateImage(display, DefaultVisual(display, screen), DefaultDepth(display, screen), ZPixmap,
                                 NULL, &held.segment, width, height);
    if (!held.image || held.image->bits_per_pixel != 32) {
        *error_out = "the display has no shared memory or not 32 bits per pixel";
        return -1;
    }
    /* The display may be another user's, whose X server attaches the segment too. */
    held.segment.shmid = shmget(IPC_PRIVATE, (size_t)held.image->bytes_per_line * height, IPC_CREAT | 0666);
    if (held.segment.shmid < 0) {
        *error_out = "no shared memory segment";
        return -1;
    }
    held.segment.shmaddr = held.image->data = shmat(held.segment.shmid, NULL, 0);
    held.segment.readOnly = False;
    XShmAttach(display, &held.segment);
    XSync(display, False);
    /* Both sides hold it now; marked here it cannot be left behind. */
    shmctl(held.segment.shmid, IPC_RMID, NULL);
    return 0;
}

int screen_grab_take(const char *display_name, struct screen_grab *grab_out, const char **error_out)
{
    if (strlen(display_name) >= sizeof held.name) {
        *error_out = "display name too long";
        return -1;
    }
    if (held.display && strcmp(held.name, display_name) != 0) {
        drop_image();
        XCloseDisplay(held.display);
        held.display = NULL;
    }
    if (!held.display) {
        held.display = XOpenDisplay(display_name);
        XSetErrorHandler(note_failure);
        if (!held.display) {
            *error_out = "cannot open the display";
            return -1;
        }
        strcpy(held.name, display_name);
    }
    XWindowAttributes root;
    Window window = DefaultRootWindow(held.display);
    if (!XGetWindowAttributes(held.display, window, &root)) {
        *error_out = "no root window";
        return -1;
    }
    if (!held.image || held.image->width != root.width || held.image->height != root.height) {
        if (make_image(root.width, root.height, error_out) != 0)
            return -1;
    }
    failed = 0;
    if (!XShmGetImage(held.display, window, held.image, 0, 0, AllPlanes) || failed) {
        *error_out = "the display did not give its pixels";
        return -1;
    }
    grab_out->width = root.width;
    grab_out->height = root.height;
    grab_out->stride = held.image->bytes_per_line / 4;
    grab_out->pixels = (const uint32_t *)(const void *)held.image->data;
    return 0;
}

struct difference screen_grab_compare(const struct screen_grab *grab, const uint32_t *pixels, int stride)
{
    struct difference difference = { .left = grab->width, .top = grab->height };

    for (int y = 0; y < grab->height; y++) {
        const uint32_t *theirs = grab->pixels + (size_t)y * grab->stride;
        const uint32_t *ours = pixels + (size_t)y * stride;
        for (int x = 0; x < grab->width; x++) {
            if (((theirs[x] ^ ours[x]) & PIXEL_MASK) == 0)
                continue;
            if (difference.wrong++ == 0) {
                difference.first_x = x;
                difference.first_y = y;
                difference.first_ours = ours[x] & PIXEL_MASK;
                difference.first_theirs = theirs[x] & PIXEL_MASK;
            }
            if (x < difference.left)
                difference.left = x;
            if (x >= difference.right)
                difference.right = x + 1;
            if (y < difference.top)
                difference.top = y;
            difference.bottom = y + 1;
        }
    }
    if (difference.wrong == 0)
        difference.left = difference.top = 0;
    return difference;
}
