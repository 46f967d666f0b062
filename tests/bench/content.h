/*
 * What the loads show: text of words, photographs and pages. The same in each run.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef BENCH_CONTENT_H
#define BENCH_CONTENT_H

#include <stdint.h>

/* A line of at most `columns` characters of English words; `line` has room for one more. */
void random_line(uint32_t *state, char *line, int columns);

/* A line as compilers' logs have them: what is done, and to which file. Both have room for `LOG_LINE_MAX`. */
#define LOG_LINE_MAX 80
void random_log_line(uint32_t *state, char *verb, char *path);

/*
 * A picture with the statistics of a photograph: detail that halves with each octave of scale, few hues, and a
 * sensor's noise. `stride` is in pixels.
 */
void paint_photo(uint32_t *pixels, int stride, int width, int height, uint32_t seed);

/* A long web page: headings, paragraphs, photographs and boxes, antialiased as browsers and toolkits have it. */
void paint_page(uint32_t *pixels, int width, int height, uint32_t seed);

/* The bar at the top of a page, which does not scroll. */
void paint_header(uint32_t *pixels, int width, int height);

/* A menu of `rows` entries, as high as `height`. */
void paint_menu(uint32_t *pixels, int width, int height, int rows);

#endif
