/*
 * Operations and Damage's reports become records.
 *
 * Damage reports after each operation, as one box more often than not, clipped to the window but
 * not to what the client's own clip leaves of it. Toolkits draw through many-rectangle clips, so
 * the report is cut by the operation's exact clip here. A fill or copy on the screen is published
 * by its own meaning, and its report is dropped.
 *
 * Operations nest: a copy with hidden source paints the background it exposes, inside. What is
 * inside comes after its parent in the ring, so the parent is published when the child begins.
 * Damage hands the child's report the parent's pending boxes as well:
 *  - all parents exact: those boxes are published already, and the child's clip applies;
 *  - else: the child is plain damage without a clip, and what it reported is damage again when the
 *    outermost operation ends, because that one may have gone on drawing.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "draw.h"

/* Above this many pairs of boxes, a region operation is cheaper than comparing pairs. */
#define CLIP_PAIRS_MAX 1024

void draw_add_clipped(struct rect_group *group, const BoxRec *box, RegionPtr clip)
{
    const BoxRec *part = RegionRects(clip);
    const BoxRec *end = part + RegionNumRects(clip);

    /* Boxes of a region are sorted by bands from the top. */
    for (; part < end && part->y1 < box->y2; part++) {
        if (part->y2 <= box->y1)
            continue;
        rect_group_add(group, max(box->x1, part->x1), max(box->y1, part->y1),
                       min(box->x2, part->x2), min(box->y2, part->y2));
    }
}

static void add_band(struct rect_group *group, const BoxRec *first, const BoxRec *end,
                     Bool rightmost)
{
    if (rightmost) {
        while (end-- > first)
            rect_group_add(group, end->x1, end->y1, end->x2, end->y2);
    } else {
        for (; first < end; first++)
            rect_group_add(group, first->x1, first->y1, first->x2, first->y2);
    }
}

void draw_add_copied(struct rect_group *group, RegionPtr region, int dx, int dy)
{
    const BoxRec *boxes = RegionRects(region);
    int count = RegionNumRects(region);
    int from, to;

    if (dy > 0) {
        for (to = count; to > 0; to = from) {
            for (from = to - 1; from > 0 && boxes[from - 1].y1 == boxes[to - 1].y1;)
                from--;
            add_band(group, boxes + from, boxes + to, dx > 0);
        }
        return;
    }
    for (from = 0; from < count; from = to) {
        for (to = from + 1; to < count && boxes[to].y1 == boxes[from].y1;)
            to++;
        add_band(group, boxes + from, boxes + to, dx > 0);
    }
}

static void publish_damage(struct caraway *caraway, RegionPtr region, RegionPtr clip)
{
    struct rect_group *group = &caraway->report;
    RegionRec cut;
    int count = RegionNumRects(region);

    rect_group_clear(group);
    RegionNull(&cut);
    if (clip && (long)count * RegionNumRects(clip) > CLIP_PAIRS_MAX) {
        if (RegionIntersect(&cut, region, clip)) {
            region = &cut;
            count = RegionNumRects(region);
        }
        clip = NULL;
    }
    for (const BoxRec *box = RegionRects(region), *end = box + count; box < end; box++) {
        if (clip)
            draw_add_clipped(group, box, clip);
        else
            rect_group_add(group, box->x1, box->y1, box->x2, box->y2);
    }
    RegionUninit(&cut);
    ring_publish(&caraway->ring, group, (struct ring_meaning){ .type = CARAWAY_DAMAGE });
}

static void report_late(struct operation *operation, const BoxRec *box)
{
    while (operation->parent && !operation->parent->exact)
        operation = operation->parent;
    if (!operation->nested) {
        operation->nested = TRUE;
        operation->late = *box;
        return;
    }
    operation->late.x1 = min(operation->late.x1, box->x1);
    operation->late.y1 = min(operation->late.y1, box->y1);
    operation->late.x2 = max(operation->late.x2, box->x2);
    operation->late.y2 = max(operation->late.y2, box->y2);
}

static void damage_report(DamagePtr damage _X_UNUSED, RegionPtr region, void *closure)
{
    struct caraway *caraway = closure;
    struct operation *operation = caraway->operation;

    if (!RegionNotEmpty(region))
        return;
    if (!operation) {
        publish_damage(caraway, region, NULL);
        return;
    }
    if (operation->exact)
        return;
    publish_damage(caraway, region, operation->clip);
    if (operation->parent && !operation->parent->exact)
        report_late(operation, RegionExtents(region));
}

static void publish_exact(struct caraway *caraway, struct operation *operation)
{
    if (operation->exact && !operation->published) {
        operation->published = TRUE;
        ring_publish(&caraway->ring, operation->exact, operation->meaning);
    }
}

void draw_begin(struct caraway *caraway, struct operation *operation, RegionPtr clip,
                struct rect_group *exact, struct ring_meaning meaning)
{
    struct operation *parent = caraway->operation;

    *operation =
        (struct operation){ .parent = parent, .clip = clip, .exact = exact, .meaning = meaning };
    if (parent) {
        publish_exact(caraway, parent);
        if (!parent->exact) {
            operation->clip = NULL;
            operation->exact = NULL;
        }
    }
    caraway->operation = operation;
    if (operation->exact && exact->count > 0)
        ring_begin(&caraway->ring, exact->overflowed ? 1 : exact->count);
}

void draw_end(struct caraway *caraway, struct operation *operation)
{
    publish_exact(caraway, operation);
    caraway->operation = operation->parent;
    if (operation->nested) {
        RegionRec late;
        RegionInit(&late, &operation->late, 1);
        publish_damage(caraway, &late, NULL);
        RegionUninit(&late);
    }
}

Bool draw_attach(struct caraway *caraway)
{
    ScreenPtr screen = caraway->screen;

    caraway->screen_pixmap = screen->GetScreenPixmap(screen);
    caraway->damage =
        DamageCreate(damage_report, NULL, DamageReportRawRegion, TRUE, screen, caraway);
    if (!caraway->damage)
        return FALSE;
    DamageSetReportAfterOp(caraway->damage, TRUE);
    DamageRegister(&caraway->screen_pixmap->drawable, caraway->damage);
    return TRUE;
}

void draw_detach(struct caraway *caraway)
{
    if (caraway->damage) {
        DamageUnregister(caraway->damage);
        DamageDestroy(caraway->damage);
    }
    caraway->damage = NULL;
    caraway->screen_pixmap = NULL;
}
