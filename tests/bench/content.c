/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "content.h"

#include "load.h"

#include <cairo.h>
#include <stdio.h>
#include <string.h>

#define OCTAVES 7
#define OCTAVE_SIDE_MAX 256 /* of the coarsest octave; each next is half of it */
#define NOISE 1             /* a sensor's, to either side */

static const char *const words[] = {
    "the",    "of",      "and",     "window", "server",   "light",  "picture", "in",     "a",        "to",
    "desktop","remote",  "between", "is",     "network",  "that",   "for",     "it",     "measured", "frame",
    "as",     "quickly", "with",    "line",   "was",      "on",     "paper",   "mountain","river",   "by",
    "which",  "were",    "small",   "from",   "question", "answer", "at",      "had",    "their",    "village",
};

void random_line(uint32_t *state, char *line, int columns)
{
    int length = 0;

    for (;;) {
        const char *word = words[next_random(state) % (sizeof words / sizeof *words)];
        int more = (int)strlen(word);
        if (length + more > columns)
            break;
        memcpy(line + length, word, (size_t)more);
        length += more;
        if (length < columns)
            line[length++] = ' ';
    }
    line[length] = 0;
}

void random_log_line(uint32_t *state, char *verb, char *path)
{
    static const char *const verbs[] = { "  CC  ", "  CC  ", "  LD  ", "  GEN " };
    const char *parts[4];

    for (int i = 0; i < 4; i++)
        parts[i] = words[next_random(state) % (sizeof words / sizeof *words)];
    strcpy(verb, verbs[next_random(state) % 4]);
    snprintf(path, LOG_LINE_MAX, "drivers/%s/%s-%s/%s.o", parts[0], parts[1], parts[2], parts[3]);
}

static int lattice(uint32_t seed, int octave, int x, int y)
{
    uint32_t hash = seed * 0x9e3779b1u + (uint32_t)octave * 0x85ebca6bu + (uint32_t)x * 0xc2b2ae35u +
                    (uint32_t)y * 0x27d4eb2fu;

    hash ^= hash >> 15;
    hash *= 0x2c1b3c6du;
    hash ^= hash >> 12;
    hash *= 0x297a2d39u;
    hash ^= hash >> 15;
    return (int)(hash & 0xff) - 128;
}

static int clamp(int value)
{
    return value < 0 ? 0 : value > 255 ? 255 : value;
}

/* Adds one octave, interpolated between lattice points, to a row of sums scaled by 256. */
static void add_octave(int *sums, int width, int y, uint32_t seed, int octave, int amplitude)
{
    int side = OCTAVE_SIDE_MAX >> octave, row = y / side, down = y % side;

    for (int column = 0; column * side < width; column++) {
        int left = lattice(seed, octave, column, row) * (side - down) + lattice(seed, octave, column, row + 1) * down;
        int right = lattice(seed, octave, column + 1, row) * (side - down) +
                    lattice(seed, octave, column + 1, row + 1) * down;
        for (int x = 0; x < side && column * side + x < width; x++)
            sums[column * side + x] += (left * (side - x) + right * x) / (side * side) * amplitude;
    }
}

void paint_photo(uint32_t *pixels, int stride, int width, int height, uint32_t seed)
{
    static const int amplitudes[OCTAVES] = { 180, 90, 56, 34, 20, 12, 8 };
    static int light[4096], warmth[4096];
    uint32_t state = seed | 1;

    if (width > 4096)
        fail("a photograph too wide");
    for (int y = 0; y < height; y++) {
        memset(light, 0, sizeof light);
        memset(warmth, 0, sizeof warmth);
        for (int octave = 0; octave < OCTAVES; octave++)
            add_octave(light, width, y, seed, octave, amplitudes[octave]);
        for (int octave = 0; octave < 3; octave++)
            add_octave(warmth, width, y, seed + 1, octave, amplitudes[octave] / 2);
        for (int x = 0; x < width; x++) {
            uint32_t noise = next_random(&state);
            int base = 128 + light[x] / 256, warm = warmth[x] / 256;
            int red = clamp(base + warm + (int)(noise % (2 * NOISE + 1)) - NOISE);
            int green = clamp(base + (int)((noise >> 8) % (2 * NOISE + 1)) - NOISE);
            int blue = clamp(base - warm + (int)((noise >> 16) % (2 * NOISE + 1)) - NOISE);
            pixels[y * stride + x] = (uint32_t)red << 16 | (uint32_t)green << 8 | (uint32_t)blue;
        }
    }
}

/* A cairo context on pixels of ours; the caller destroys it. */
static cairo_t *canvas(uint32_t *pixels, int width, int height)
{
    cairo_surface_t *surface =
        cairo_image_surface_create_for_data((unsigned char *)pixels, CAIRO_FORMAT_RGB24, width, height, width * 4);
    cairo_t *context = cairo_create(surface);

    cairo_surface_destroy(surface);
    if (cairo_status(context) != CAIRO_STATUS_SUCCESS)
        fail("cairo does not draw");
    return context;
}

/* Makes pixels that were written past cairo known to it, before and after. */
static void paint_photo_on(cairo_t *context, uint32_t *pixels, int stride, int x, int y, int width, int height,
                           uint32_t seed)
{
    cairo_surface_t *surface = cairo_get_target(context);

    cairo_surface_flush(surface);
    paint_photo(pixels + y * stride + x, stride, width, height, seed);
    cairo_surface_mark_dirty(surface);
}

static void box(cairo_t *context, double colour, double x, double y, double width, double height)
{
    cairo_set_source_rgb(context, colour, colour, colour + 0.02);
    cairo_rectangle(context, x, y, width, height);
    cairo_fill(context);
}

static void text(cairo_t *context, double size, cairo_font_weight_t weight, double x, double y, const char *what)
{
    cairo_select_font_face(context, "DejaVu Sans", CAIRO_FONT_SLANT_NORMAL, weight);
    cairo_set_font_size(context, size);
    cairo_move_to(context, x, y);
    cairo_show_text(context, what);
}

void paint_page(uint32_t *pixels, int width, int height, uint32_t seed)
{
    cairo_t *context = canvas(pixels, width, height);
    uint32_t state = seed | 1;
    char line[256];
    int y = 90;

    box(context, 0.98, 0, 0, width, height);
    for (int section = 0; y < height; section++) {
        cairo_set_source_rgb(context, 0.1, 0.15, 0.3);
        random_line(&state, line, 40);
        text(context, 26, CAIRO_FONT_WEIGHT_BOLD, 60, y, line);
        y += 40;
        /* Every third section has a picture beside its text, every third one a shaded box. */
        int picture = section % 3 == 0 && y + 240 < height && width >= 1200;
        if (picture)
            paint_photo_on(context, pixels, width, width - 420, y, 360, 240, seed + (uint32_t)section);
        if (section % 3 == 1) {
            cairo_pattern_t *shade = cairo_pattern_create_linear(0, y, 0, y + 120);
            cairo_pattern_add_color_stop_rgb(shade, 0, 0.90, 0.93, 0.97);
            cairo_pattern_add_color_stop_rgb(shade, 1, 0.80, 0.85, 0.92);
            cairo_set_source(context, shade);
            cairo_rectangle(context, 60, y, width - 120, 120);
            cairo_fill(context);
            cairo_pattern_destroy(shade);
            y += 150;
        }
        for (int i = 0; i < 14; i++, y += 23) {
            cairo_set_source_rgb(context, 0.15, 0.15, 0.15);
            random_line(&state, line, picture ? 88 : 130);
            text(context, 15, CAIRO_FONT_WEIGHT_NORMAL, 60, y + 14, line);
        }
        y += 50;
    }
    cairo_destroy(context);
}

void paint_header(uint32_t *pixels, int width, int height)
{
    cairo_t *context = canvas(pixels, width, height);

    box(context, 0.2, 0, 0, width, height);
    cairo_set_source_rgb(context, 1, 1, 1);
    text(context, 20, CAIRO_FONT_WEIGHT_BOLD, 24, height * 0.65, "Daily Caraway");
    for (int i = 0; i < 6; i++)
        text(context, 14, CAIRO_FONT_WEIGHT_NORMAL, 420 + i * 120, height * 0.62, words[i * 5 + 3]);
    cairo_destroy(context);
}

void paint_menu(uint32_t *pixels, int width, int height, int rows)
{
    cairo_t *context = canvas(pixels, width, height);
    uint32_t state = 17;
    char line[64];

    box(context, 0.93, 0, 0, width, height);
    cairo_set_source_rgb(context, 0.5, 0.5, 0.5);
    cairo_rectangle(context, 0.5, 0.5, width - 1, height - 1);
    cairo_stroke(context);
    for (int row = 0; row < rows; row++) {
        int y = row * height / rows;
        if (row == 2) {
            cairo_set_source_rgb(context, 0.25, 0.45, 0.8);
            cairo_rectangle(context, 2, y, width - 4, height / rows);
            cairo_fill(context);
        }
        cairo_set_source_rgb(context, 0.1, 0.1, 0.1);
        random_line(&state, line, 24);
        text(context, 14, CAIRO_FONT_WEIGHT_NORMAL, 32, y + height / rows * 0.7, line);
    }
    cairo_destroy(context);
}
