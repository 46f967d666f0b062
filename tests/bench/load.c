/*
 * Draws the numbered frames of one load, and tells when each was drawn.
 *
 *   load NAME
 *
 * DISPLAY says where. Standard input takes orders, one a line:
 *   run FRAMES RATE      draws the next frames at an even rate per second
 *   keys FRAMES          draws one frame at each key press
 *   save FRAME PATH      draws that frame once more (of loads that have a moving image, where no frame depends on those
 *                        before) and writes the image: raw, 4 bytes a pixel, little-endian 0x00RRGGBB
 * Answers are lines of JSON; `at_us` is CLOCK_MONOTONIC after X has carried out all of the frame, `x_us` how long that
 * took X since it had all of it. Ends when standard input does, and with exit code 1 when the X connection breaks.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "load.h"

#include <X11/Xutil.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <time.h>

static struct load *const loads[] = {
    &typing_load, &terminal_load, &fills_load, &key_load, &page_load,
    &video_load,  &photo_load,    &drag_load,  &menu_load, &workspace_load,
};

void fail(const char *why)
{
    fprintf(stderr, "load: %s\n", why);
    exit(1);
}

uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

void create_shared_image(struct stage *stage, struct shared_image *image, int width, int height)
{
    image->image = XShmCreateImage(stage->display, DefaultVisual(stage->display, stage->screen), 24, ZPixmap, NULL,
                                   &image->segment, (unsigned)width, (unsigned)height);
    if (!image->image || image->image->bits_per_pixel != 32 || image->image->bytes_per_line != width * 4)
        fail("the display does not take 32-bit images from shared memory");
    image->segment.shmid = shmget(IPC_PRIVATE, (size_t)width * (size_t)height * 4, IPC_CREAT | 0600);
    if (image->segment.shmid < 0)
        fail("no shared memory");
    image->segment.shmaddr = image->image->data = shmat(image->segment.shmid, NULL, 0);
    image->segment.readOnly = True;
    if (image->segment.shmaddr == (char *)-1 || !XShmAttach(stage->display, &image->segment))
        fail("cannot share memory with X");
    XSync(stage->display, False);
    /* Gone when both sides are. */
    shmctl(image->segment.shmid, IPC_RMID, NULL);
    image->pixels = (uint32_t *)(void *)image->image->data;
    image->width = width;
    image->height = height;
}

void put_shared_image(struct stage *stage, Drawable drawable, const struct shared_image *image, int left, int top,
                      int width, int height, int x, int y)
{
    XShmPutImage(stage->display, drawable, stage->gc, image->image, left, top, left + x, top + y, (unsigned)width,
                 (unsigned)height, False);
}

static unsigned gray_code(long frame)
{
    unsigned number = (unsigned)frame & ((1u << STRIP_BLOCKS) - 1);

    return number ^ number >> 1;
}

static unsigned long block_colour(long frame, int block)
{
    return gray_code(frame) >> block & 1 ? 0xffffff : 0x000000;
}

void fill_strip(struct stage *stage, long frame)
{
    for (int block = 0; block < STRIP_BLOCKS; block++) {
        if (stage->strip_frame >= 0 && block_colour(frame, block) == block_colour(stage->strip_frame, block))
            continue;
        XSetForeground(stage->display, stage->gc, block_colour(frame, block));
        int x = block * STRIP_BLOCK_SIDE, y = 0;
        if (stage->strip_window == stage->window) {
            x += stage->strip_x;
            y += stage->strip_y;
        }
        XFillRectangle(stage->display, stage->strip_window, stage->gc, x, y, STRIP_BLOCK_SIDE, STRIP_BLOCK_SIDE);
    }
    stage->strip_frame = frame;
}

static void paint_strip_at(long frame, struct shared_image *image, int x, int y)
{
    for (int row = 0; row < STRIP_BLOCK_SIDE; row++) {
        uint32_t *pixels = image->pixels + (y + row) * image->width + x;
        for (int column = 0; column < STRIP_WIDTH; column++)
            pixels[column] = (uint32_t)block_colour(frame, column / STRIP_BLOCK_SIDE);
    }
}

void paint_strip(const struct stage *stage, long frame, struct shared_image *image, int image_x, int image_y)
{
    paint_strip_at(frame, image, stage->strip_x - image_x, stage->strip_y - image_y);
    if (stage->first_strip_x >= 0)
        paint_strip_at(frame, image, stage->first_strip_x - image_x, stage->first_strip_y - image_y);
}

static int64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void sleep_until(int64_t at_us)
{
    struct timespec at = { .tv_sec = at_us / 1000000, .tv_nsec = at_us % 1000000 * 1000 };

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR) {
    }
}

static void open_stage(struct stage *stage)
{
    stage->display = XOpenDisplay(NULL);
    if (!stage->display)
        fail("cannot open the display");
    stage->screen = DefaultScreen(stage->display);
    if (DefaultDepth(stage->display, stage->screen) != 24 || !XShmQueryExtension(stage->display))
        fail("the display has not depth 24 and shared memory");
    stage->width = DisplayWidth(stage->display, stage->screen);
    stage->height = DisplayHeight(stage->display, stage->screen);
    XSetWindowAttributes attributes = { .background_pixel = 0x305070, .override_redirect = True,
                                        .event_mask = KeyPressMask | ExposureMask };
    stage->window = XCreateWindow(stage->display, DefaultRootWindow(stage->display), 0, 0, (unsigned)stage->width,
                                  (unsigned)stage->height, 0, CopyFromParent, InputOutput, CopyFromParent,
                                  CWBackPixel | CWOverrideRedirect | CWEventMask, &attributes);
    XEvent event;
    XMapRaised(stage->display, stage->window);
    XWindowEvent(stage->display, stage->window, ExposureMask, &event);
    XSetInputFocus(stage->display, stage->window, RevertToParent, CurrentTime);
    stage->gc = XCreateGC(stage->display, stage->window, 0, NULL);
    XSetGraphicsExposures(stage->display, stage->gc, False);
    stage->strip_window = stage->window;
    stage->first_strip_x = -1;
}

static void draw_frame(struct stage *stage, struct load *load, long frame)
{
    load->draw(stage, frame);
    int64_t handed_us = now_us();
    XSync(stage->display, False);
    int64_t at_us = now_us();
    printf("{\"event\":\"frame\",\"frame\":%ld,\"at_us\":%lld,\"x_us\":%lld}\n", frame, (long long)at_us,
           (long long)(at_us - handed_us));
    fflush(stdout);
}

static void draw_at_rate(struct stage *stage, struct load *load, long *frame, long count, double rate)
{
    int64_t start = now_us();

    for (long i = 0; i < count; i++) {
        sleep_until(start + (int64_t)((double)i * 1e6 / rate));
        draw_frame(stage, load, ++*frame);
    }
}

static void draw_at_keys(struct stage *stage, struct load *load, long *frame, long count)
{
    XEvent event;

    for (long i = 0; i < count;) {
        XNextEvent(stage->display, &event);
        if (event.type == KeyPress) {
            draw_frame(stage, load, ++*frame);
            i++;
        }
    }
}

static void save_moving(struct stage *stage, struct load *load, long frame, const char *path)
{
    FILE *file = fopen(path, "wb");

    if (!file || !load->moving)
        fail("cannot save the moving image");
    load->draw(stage, frame);
    size_t count = (size_t)load->moving->width * (size_t)load->moving->height;
    if (fwrite(load->moving->pixels, 4, count, file) != count || fclose(file))
        fail("cannot write the moving image");
}

static void obey(struct stage *stage, struct load *load)
{
    char line[4096], path[4000];
    long frame = 0, count, saved;
    double rate;

    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "run %ld %lf", &count, &rate) == 2 && rate > 0)
            draw_at_rate(stage, load, &frame, count, rate);
        else if (sscanf(line, "keys %ld", &count) == 1)
            draw_at_keys(stage, load, &frame, count);
        else if (sscanf(line, "save %ld %3999s", &saved, path) == 2)
            save_moving(stage, load, saved, path);
        else
            fail("an order that it does not know");
        printf("{\"event\":\"done\",\"frame\":%ld,\"at_us\":%lld}\n", frame, (long long)now_us());
        fflush(stdout);
    }
}

int main(int count, char **words)
{
    struct stage stage = { .strip_frame = -1 };

    for (size_t i = 0; count == 2 && i < sizeof loads / sizeof *loads; i++) {
        struct load *load = loads[i];
        if (strcmp(load->name, words[1]))
            continue;
        open_stage(&stage);
        load->prepare(&stage);
        XSync(stage.display, False);
        printf("{\"event\":\"ready\",\"strips\":[[%d,%d]", stage.strip_x, stage.strip_y);
        if (stage.first_strip_x >= 0)
            printf(",[%d,%d]", stage.first_strip_x, stage.first_strip_y);
        printf("]");
        if (stage.witness_width)
            printf(",\"witness\":[%d,%d,%d,%d]", stage.witness_x, stage.witness_y, stage.witness_width,
                   stage.witness_height);
        if (load->moving)
            printf(",\"moving\":[%d,%d,%d,%d]", load->moving_x, load->moving_y, load->moving->width,
                   load->moving->height);
        printf("}\n");
        fflush(stdout);
        obey(&stage, load);
        return 0;
    }
    fprintf(stderr, "usage: load NAME\n");
    return 2;
}
