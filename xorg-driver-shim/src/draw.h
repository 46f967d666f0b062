/*
 * What is being drawn, and where: operations of the wrappers joined with Damage's reports.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef CARAWAY_DRAW_H
#define CARAWAY_DRAW_H

#include "driver.h"

/* A drawing operation on the screen, on the wrapper's stack while it runs. */
struct operation {
    struct operation *parent;    /* the operation inside which this one began */
    RegionPtr clip;              /* nothing is drawn outside it, or NULL */
    struct rect_group *exact;    /* the pixels of a fill or copy, or NULL: Damage tells */
    struct ring_meaning meaning; /* of `exact` */
    Bool published;              /* `exact` is in the ring */
    Bool nested;                 /* another operation reported inside this one ... */
    BoxRec late;                 /* ... and reported these pixels, maybe too early */
};

/* Registers Damage on the screen pixmap / takes it off. */
Bool draw_attach(struct caraway *caraway);
void draw_detach(struct caraway *caraway);

/* Around each wrapped operation on the screen. `exact` is complete at the begin. */
void draw_begin(struct caraway *caraway, struct operation *operation, RegionPtr clip,
                struct rect_group *exact, struct ring_meaning meaning);
void draw_end(struct caraway *caraway, struct operation *operation);

/* Whether drawing to it changes the screen's pixels. */
static inline Bool draw_is_on_screen(struct caraway *caraway, DrawablePtr drawable)
{
    if (drawable->type == DRAWABLE_WINDOW)
        return caraway->screen->GetWindowPixmap((WindowPtr)drawable) == caraway->screen_pixmap;
    return drawable == &caraway->screen_pixmap->drawable;
}

/* Adds what box and region have in common. */
void draw_add_clipped(struct rect_group *group, const BoxRec *box, RegionPtr clip);

/* Adds the boxes of a region that is copied by dx, dy, in an order in which no box overwrites what
 * a later one still has to read. */
void draw_add_copied(struct rect_group *group, RegionPtr region, int dx, int dy);

#endif
