/*
 * Loads that draw with X's own operations: text (Xft, so RENDER glyphs) and fills.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "content.h"
#include "load.h"

#include <X11/Xft/Xft.h>
#include <string.h>

#define EDITOR_LEFT 200
#define EDITOR_TOP 120
#define EDITOR_WIDTH 1000
#define EDITOR_HEIGHT 760
#define TEXT_MARGIN 16

#define TERMINAL_LEFT 120
#define TERMINAL_TOP 80
#define TERMINAL_COLUMNS 120
#define TERMINAL_ROWS 50
#define TERMINAL_LINES_PER_FRAME 4

#define FILLS_PER_FRAME 40
#define FILL_SIDE_MAX 200

#define KEY_PATCH_SIDE 64

static XftDraw *draw;
static XftFont *font;
static XftColor black, white, green, blue;

static void allocate(struct stage *stage, XftColor *colour, unsigned red, unsigned g, unsigned b)
{
    XRenderColor wanted = { .red = (unsigned short)(red * 257), .green = (unsigned short)(g * 257),
                            .blue = (unsigned short)(b * 257), .alpha = 0xffff };

    if (!XftColorAllocValue(stage->display, DefaultVisual(stage->display, stage->screen),
                            DefaultColormap(stage->display, stage->screen), &wanted, colour))
        fail("no colour");
}

static void open_text(struct stage *stage)
{
    draw = XftDrawCreate(stage->display, stage->window, DefaultVisual(stage->display, stage->screen),
                         DefaultColormap(stage->display, stage->screen));
    /* In pixels, so that each server's idea of its resolution leaves the picture the same. */
    font = XftFontOpenName(stage->display, stage->screen, "DejaVu Sans Mono:pixelsize=15:antialias=true");
    if (!draw || !font)
        fail("no font");
    allocate(stage, &black, 24, 24, 24);
    allocate(stage, &white, 220, 220, 220);
    allocate(stage, &green, 110, 200, 90);
    allocate(stage, &blue, 110, 160, 230);
}

static void fill(struct stage *stage, unsigned long colour, int x, int y, int width, int height)
{
    XSetForeground(stage->display, stage->gc, colour);
    XFillRectangle(stage->display, stage->window, stage->gc, x, y, (unsigned)width, (unsigned)height);
}

static void write_text(const XftColor *colour, int x, int baseline, const char *text)
{
    XftDrawStringUtf8(draw, colour, font, x, baseline, (const FcChar8 *)text, (int)strlen(text));
}

/* Typing: a letter and the caret behind it, in an editor that has text already. */

static int editor_columns(void)
{
    return (EDITOR_WIDTH - 2 * TEXT_MARGIN) / font->max_advance_width - 1;
}

static void typing_place(long frame, int *x, int *y)
{
    int rows = (EDITOR_HEIGHT - 2 * TEXT_MARGIN) / 2 / font->height;

    *x = EDITOR_LEFT + TEXT_MARGIN + (int)(frame % editor_columns()) * font->max_advance_width;
    *y = EDITOR_TOP + EDITOR_HEIGHT / 2 + (int)(frame / editor_columns() % rows) * font->height;
}

static void typing_draw(struct stage *stage, long frame)
{
    static const char letters[] = "the quick brown fox jumps over the lazy dog, and then it sleeps again; ";
    char text[2] = { letters[frame % (long)(sizeof letters - 1)], 0 };
    int x, y;

    typing_place(frame - 1, &x, &y);
    fill(stage, 0xffffff, x, y, font->max_advance_width, font->height);
    write_text(&black, x, y + font->ascent, text);
    typing_place(frame, &x, &y);
    fill(stage, 0x181818, x, y, 2, font->height);
    fill_strip(stage, frame);
}

static void typing_prepare(struct stage *stage)
{
    uint32_t state = 7;
    char line[TERMINAL_COLUMNS + 1];

    open_text(stage);
    fill(stage, 0xffffff, EDITOR_LEFT, EDITOR_TOP, EDITOR_WIDTH, EDITOR_HEIGHT);
    for (int y = EDITOR_TOP + TEXT_MARGIN; y + font->height < EDITOR_TOP + EDITOR_HEIGHT / 2; y += font->height) {
        random_line(&state, line, editor_columns());
        write_text(&black, EDITOR_LEFT + TEXT_MARGIN, y + font->ascent, line);
    }
    stage->strip_x = EDITOR_LEFT + TEXT_MARGIN;
    stage->strip_y = EDITOR_TOP + EDITOR_HEIGHT - 2 * STRIP_BLOCK_SIDE;
    fill_strip(stage, 0);
}

/* Terminal: a window full of a compiler's log that scrolls by a copy, and a status line that stays. */

static void terminal_lines(struct stage *stage, int first_row, int rows, uint32_t *state)
{
    int width = TERMINAL_COLUMNS * font->max_advance_width;
    char verb[LOG_LINE_MAX], path[LOG_LINE_MAX];

    fill(stage, 0x101418, TERMINAL_LEFT, TERMINAL_TOP + first_row * font->height, width, rows * font->height);
    for (int row = first_row; row < first_row + rows; row++) {
        int baseline = TERMINAL_TOP + row * font->height + font->ascent;
        random_log_line(state, verb, path);
        write_text(verb[2] == 'C' ? &green : &blue, TERMINAL_LEFT, baseline, verb);
        write_text(&white, TERMINAL_LEFT + (int)strlen(verb) * font->max_advance_width, baseline, path);
    }
}

static uint32_t terminal_state = 11;

static void terminal_draw(struct stage *stage, long frame)
{
    int width = TERMINAL_COLUMNS * font->max_advance_width, step = TERMINAL_LINES_PER_FRAME * font->height;

    XCopyArea(stage->display, stage->window, stage->window, stage->gc, TERMINAL_LEFT, TERMINAL_TOP + step,
              (unsigned)width, (unsigned)(TERMINAL_ROWS * font->height - step), TERMINAL_LEFT, TERMINAL_TOP);
    terminal_lines(stage, TERMINAL_ROWS - TERMINAL_LINES_PER_FRAME, TERMINAL_LINES_PER_FRAME, &terminal_state);
    fill_strip(stage, frame);
}

static void terminal_prepare(struct stage *stage)
{
    open_text(stage);
    terminal_lines(stage, 0, TERMINAL_ROWS, &terminal_state);
    stage->strip_x = TERMINAL_LEFT;
    stage->strip_y = TERMINAL_TOP + TERMINAL_ROWS * font->height;
    fill_strip(stage, 0);
}

/* Fills: rectangles of any size and colour, all over the screen but for the strip's row. */

static uint32_t fills_state = 13;

static void fills_draw(struct stage *stage, long frame)
{
    for (int i = 0; i < FILLS_PER_FRAME; i++) {
        unsigned long colour = next_random(&fills_state) & 0xffffff;
        int width = (int)(next_random(&fills_state) % FILL_SIDE_MAX) + 1;
        int height = (int)(next_random(&fills_state) % FILL_SIDE_MAX) + 1;
        int x = (int)(next_random(&fills_state) % (uint32_t)(stage->width - width));
        int y = (int)(next_random(&fills_state) % (uint32_t)(stage->strip_y - height));
        fill(stage, colour, x, y, width, height);
    }
    fill_strip(stage, frame);
}

static void fills_prepare(struct stage *stage)
{
    stage->strip_x = stage->width / 2;
    stage->strip_y = stage->height - 2 * STRIP_BLOCK_SIDE;
    fill_strip(stage, 0);
}

/* Key: a patch that changes colour. */

static void key_draw(struct stage *stage, long frame)
{
    fill(stage, frame % 2 ? 0x7fbfdf : 0x804020, stage->strip_x, stage->strip_y - KEY_PATCH_SIDE, KEY_PATCH_SIDE,
         KEY_PATCH_SIDE);
    fill_strip(stage, frame);
}

static void key_prepare(struct stage *stage)
{
    stage->strip_x = stage->width / 2;
    stage->strip_y = stage->height / 2;
    key_draw(stage, 0);
}

struct load typing_load = { .name = "typing", .prepare = typing_prepare, .draw = typing_draw };
struct load terminal_load = { .name = "terminal", .prepare = terminal_prepare, .draw = terminal_draw };
struct load fills_load = { .name = "fills", .prepare = fills_prepare, .draw = fills_draw };
struct load key_load = { .name = "key", .prepare = key_prepare, .draw = key_draw };
