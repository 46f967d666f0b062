/* Plays a film as video players do: a window whose pixels come by XShmPutImage, 30 times a second.
 *
 *   x_film X Y WIDTH HEIGHT FRAMES
 *
 * The film is made up: soft shapes with texture that move against each other, edges, and some grain. It is made before
 * it is played, so that only putting it costs time. Tells {"event":"playing"} and {"event":"done","at_us":...} and then
 * waits for the end of its input. */
#include <X11/Xlib.h>
#include <X11/extensions/XShm.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <time.h>

/* Pictures that are made; a longer film repeats them. */
#define PICTURES 32

static int64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * (int64_t)1000000 + now.tv_nsec / 1000;
}

static unsigned level(double value)
{
    return value < 0 ? 0 : value > 255 ? 255 : (unsigned)value;
}

static void make_picture(uint32_t *pixels, int width, int height, int number)
{
    uint32_t grain = (uint32_t)number * 2654435761u + 1;
    double t = number * 0.12;

    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            grain = grain * 1664525u + 1013904223u;
            double noise = (grain >> 24) / 42.0 - 3;
            double soft = 60 * sin(x * 0.011 + t) + 50 * sin(y * 0.017 - t * 1.3);
            double texture = 10 * sin(x * 0.35 + y * 0.21 + 4 * sin(y * 0.02 + t));
            double dx = x - width * (0.5 + 0.3 * sin(t)), dy = y - height * 0.5;
            double ball = dx * dx + dy * dy < 70 * 70 ? 60 : 0;
            pixels[y * width + x] = level(120 + soft + texture + ball + noise) << 16
                                    | level(110 + soft * 0.6 - texture + noise) << 8
                                    | level(100 - soft * 0.5 + ball * 0.5 + noise);
        }
    }
}

int main(int count, char **words)
{
    Display *display = XOpenDisplay(NULL);

    if (!display || count != 6) {
        fprintf(stderr, "usage: x_film X Y WIDTH HEIGHT FRAMES, on a display\n");
        return 2;
    }
    int width = atoi(words[3]), height = atoi(words[4]), frames = atoi(words[5]);
    int screen = DefaultScreen(display);
    XSetWindowAttributes look = { .override_redirect = True };
    Window window = XCreateWindow(display, RootWindow(display, screen), atoi(words[1]), atoi(words[2]), width, height,
                                  0, CopyFromParent, InputOutput, CopyFromParent, CWOverrideRedirect, &look);
    XShmSegmentInfo segment = { 0 };
    XImage *image = XShmCreateImage(display, DefaultVisual(display, screen), 24, ZPixmap, NULL, &segment, width,
                                    height * PICTURES);
    if (!image || image->bytes_per_line != width * 4) {
        fprintf(stderr, "x_film: no shared images\n");
        return 1;
    }
    segment.shmid = shmget(IPC_PRIVATE, (size_t)image->bytes_per_line * image->height, IPC_CREAT | 0600);
    segment.shmaddr = image->data = shmat(segment.shmid, NULL, 0);
    XShmAttach(display, &segment);
    for (int i = 0; i < PICTURES; i++)
        make_picture((uint32_t *)image->data + (size_t)i * width * height, width, height, i);
    XMapRaised(display, window);
    XSync(display, False);
    shmctl(segment.shmid, IPC_RMID, NULL);
    printf("{\"event\":\"playing\"}\n");
    fflush(stdout);

    GC gc = XCreateGC(display, window, 0, NULL);
    int64_t next = now_us();
    for (int i = 0; i < frames; i++) {
        while (now_us() < next) {
            struct timespec wait = { 0, (next - now_us()) > 0 ? (next - now_us()) * 1000 : 0 };
            nanosleep(&wait, NULL);
        }
        next += 33333;
        /* Forwards and backwards, so that no cut is in it. */
        int place = i % (2 * PICTURES - 2);
        if (place >= PICTURES)
            place = 2 * PICTURES - 2 - place;
        XShmPutImage(display, window, gc, image, 0, place * height, 0, 0, width, height, False);
        XSync(display, False);
    }
    printf("{\"event\":\"done\",\"at_us\":%lld}\n", (long long)now_us());
    fflush(stdout);
    while (getchar() != EOF)
        ;
    return 0;
}
