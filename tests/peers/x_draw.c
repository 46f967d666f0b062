/*
 * An X client that draws on demand; what it does is in its first word.
 *
 *   x_draw random SEED OPERATIONS SECONDS   random drawing, evenly spread; tells when half of it is done and when all
 *                                           is on the screen; then leaves the picture alone
 *   x_draw render SEED OPERATIONS           the same with Render operations only, as fast as the server takes them
 *   x_draw typing                           a window over the screen whose patch changes colour at each key press
 *   x_draw scroll SECONDS X Y WIDTH HEIGHT  a page in a window that scrolls evenly, 30 times a second
 *   x_draw flood SECONDS                    fills, copies and images without a pause; one line each second says how
 *                                           many operations the server has done in it
 *
 * DISPLAY says where. Answers are lines of JSON on standard output; `at_us` is CLOCK_MONOTONIC. Ends when standard
 * input does, and with exit code 1 when the X connection breaks.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "random_drawing.h"

#include <X11/Xutil.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TICK_US 10000      /* random drawing is spread over ticks of this length */
#define FLOOD_BATCH 200    /* operations between two answers of the server */
#define PATCH_LEFT 100     /* of the typing window */
#define PATCH_TOP 100
#define PATCH_SIDE 200

static int64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void tell(const char *what, long operations, int64_t since)
{
    int64_t now = now_us();

    printf("{\"event\":\"%s\",\"operations\":%ld,\"elapsed_us\":%lld,\"at_us\":%lld}\n", what, operations,
           (long long)(now - since), (long long)now);
    fflush(stdout);
}

static void wait_for_end(void)
{
    char byte;

    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
}

static int draw_random(Display *display, uint64_t seed, long operations, double seconds)
{
    struct random_drawing *drawing = random_drawing_new(display, seed);

    if (!drawing) {
        fprintf(stderr, "x_draw: the display is not of depth 24\n");
        return 1;
    }
    XSync(display, False);
    int64_t start = now_us();
    tell("started", 0, start);
    long done = 0, half = operations / 2;
    while (done < operations) {
        long due = (long)((double)operations * (double)(now_us() - start) / (seconds * 1e6));
        if (due > operations)
            due = operations;
        long before = done;
        for (; done < due; done++)
            random_drawing_step(drawing);
        XFlush(display);
        if (before < half && done >= half)
            tell("half", done, start);
        usleep(TICK_US);
    }
    XSync(display, False);
    tell("done", done, start);
    wait_for_end();
    return 0;
}

static int draw_render(Display *display, uint64_t seed, long operations)
{
    struct random_drawing *drawing = random_drawing_new(display, seed);

    if (!drawing) {
        fprintf(stderr, "x_draw: the display is not of depth 24\n");
        return 1;
    }
    int64_t start = now_us();
    for (long i = 0; i < operations; i++)
        random_drawing_render_step(drawing);
    XSync(display, False);
    tell("done", operations, start);
    wait_for_end();
    return 0;
}

static Window show_window(Display *display, int x, int y, unsigned width, unsigned height)
{
    XSetWindowAttributes attributes = { .background_pixel = 0x202020, .override_redirect = True,
                                        .event_mask = KeyPressMask | ExposureMask };
    Window window =
        XCreateWindow(display, DefaultRootWindow(display), x, y, width, height, 0, CopyFromParent, InputOutput,
                      CopyFromParent, CWBackPixel | CWOverrideRedirect | CWEventMask, &attributes);
    XEvent event;

    XMapRaised(display, window);
    XWindowEvent(display, window, ExposureMask, &event);
    XSetInputFocus(display, window, RevertToParent, CurrentTime);
    XSync(display, False);
    return window;
}

static Window cover_screen(Display *display)
{
    int screen = DefaultScreen(display);

    return show_window(display, 0, 0, (unsigned)DisplayWidth(display, screen),
                       (unsigned)DisplayHeight(display, screen));
}

static int answer_typing(Display *display)
{
    Window window = cover_screen(display);
    GC gc = XCreateGC(display, window, 0, NULL);
    unsigned long colour = 0x804020;
    long presses = 0;
    int64_t start = now_us();

    XSetForeground(display, gc, colour);
    XFillRectangle(display, window, gc, PATCH_LEFT, PATCH_TOP, PATCH_SIDE, PATCH_SIDE);
    XSync(display, False);
    tell("ready", 0, start);
    struct pollfd sources[2] = { { .fd = ConnectionNumber(display), .events = POLLIN },
                                 { .fd = STDIN_FILENO, .events = POLLIN } };
    while (!sources[1].revents) {
        XEvent event;
        if (!XPending(display)) {
            poll(sources, 2, -1);
            continue;
        }
        XNextEvent(display, &event);
        if (event.type != KeyPress)
            continue;
        /* Complementary colours: even a viewer that scales or smooths cannot miss the change. */
        colour ^= 0xffffff;
        XSetForeground(display, gc, colour);
        XFillRectangle(display, window, gc, PATCH_LEFT, PATCH_TOP, PATCH_SIDE, PATCH_SIDE);
        XFlush(display);
        tell("key", ++presses, start);
    }
    return 0;
}

static int draw_flood(Display *display, double seconds)
{
    Window window = cover_screen(display);
    GC gc = XCreateGC(display, window, 0, NULL);
    static uint32_t pixels[200 * 200];
    XImage *image = XCreateImage(display, DefaultVisual(display, DefaultScreen(display)), 24, ZPixmap, 0,
                                 (char *)pixels, 200, 200, 32, 0);
    int64_t start = now_us(), second = start;
    long done = 0, told = 0;
    uint32_t state = 1;

    XSetGraphicsExposures(display, gc, False);
    while (now_us() - start < (int64_t)(seconds * 1e6)) {
        for (int i = 0; i < FLOOD_BATCH; i++, done++) {
            state = state * 1664525u + 1013904223u;
            int x = (int)(state >> 8) % 900, y = (int)(state >> 16) % 500;
            if (i % 20 == 0) {
                pixels[state % (200 * 200)] = state;
                XPutImage(display, window, gc, image, 0, 0, x, y, 200, 200);
            } else if (i % 20 == 10) {
                XCopyArea(display, window, window, gc, x, y, 300, 300, x, y + 7);
            } else {
                XSetForeground(display, gc, state & 0xffffff);
                XFillRectangle(display, window, gc, x, y, 100, 60);
            }
        }
        XSync(display, False);
        if (now_us() - second >= 1000000) {
            tell("second", done - told, second);
            told = done;
            second = now_us();
        }
    }
    tell("done", done, start);
    wait_for_end();
    return 0;
}

/* Lines of words in paragraphs, with a picture's worth of colours here and there. */
static Pixmap make_page(Display *display, Window window, unsigned width, unsigned height)
{
    Pixmap page = XCreatePixmap(display, window, width, height, 24);
    GC gc = XCreateGC(display, page, 0, NULL);
    uint32_t state = 1;

    XSetForeground(display, gc, 0xffffff);
    XFillRectangle(display, page, gc, 0, 0, width, height);
    for (unsigned y = 8; y + 20 < height; y += 20) {
        int picture = y / 20 % 20 > 16;
        for (unsigned x = 20; x + 100 < width;) {
            state = state * 1664525u + 1013904223u;
            unsigned word = 10 + (state >> 8) % 80;
            XSetForeground(display, gc, picture ? state >> 8 : 0x202020);
            for (unsigned stroke = 0; stroke < word; stroke += 4)
                XFillRectangle(display, page, gc, (int)(x + stroke), (int)(y + state % 5), 2,
                               6 + (state >> stroke % 24) % 7);
            x += word + 8;
        }
    }
    XFreeGC(display, gc);
    return page;
}

static int draw_scroll(Display *display, double seconds, int x, int y, unsigned width, unsigned height)
{
    Window window = show_window(display, x, y, width, height);
    Pixmap page = make_page(display, window, width, 4 * height);
    GC gc = XCreateGC(display, window, 0, NULL);
    int64_t start = now_us();
    long frame = 0;

    XSetGraphicsExposures(display, gc, False);
    tell("scrolling", 0, start);
    for (; now_us() - start < (int64_t)(seconds * 1e6); frame++) {
        int top = (int)(frame * 12 % (3 * height));
        XCopyArea(display, page, window, gc, 0, top, width, height, 0, 0);
        XSync(display, False);
        int64_t due = start + (frame + 1) * 1000000 / 30 - now_us();
        if (due > 0)
            usleep((useconds_t)due);
    }
    tell("done", frame, start);
    wait_for_end();
    return 0;
}

int main(int count, char **words)
{
    Display *display = XOpenDisplay(NULL);

    if (!display) {
        fprintf(stderr, "x_draw: cannot open display %s\n", XDisplayName(NULL));
        return 1;
    }
    if (count == 5 && !strcmp(words[1], "random"))
        return draw_random(display, strtoull(words[2], NULL, 10), atol(words[3]), atof(words[4]));
    if (count == 4 && !strcmp(words[1], "render"))
        return draw_render(display, strtoull(words[2], NULL, 10), atol(words[3]));
    if (count == 2 && !strcmp(words[1], "typing"))
        return answer_typing(display);
    if (count == 3 && !strcmp(words[1], "flood"))
        return draw_flood(display, atof(words[2]));
    if (count == 7 && !strcmp(words[1], "scroll"))
        return draw_scroll(display, atof(words[2]), atoi(words[3]), atoi(words[4]), (unsigned)atoi(words[5]),
                           (unsigned)atoi(words[6]));
    fprintf(stderr, "usage: x_draw random SEED OPERATIONS SECONDS | render SEED OPERATIONS | typing | "
                    "scroll SECONDS X Y WIDTH HEIGHT | flood SECONDS\n");
    return 2;
}
