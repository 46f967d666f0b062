/*
 * The model consumer: see model.h.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include "model.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A reader may believe copies that are at least this far from being overwritten: one group is in
 * the making. */
#define BACKLOG_MAX (CARAWAY_RING_SLOTS - CARAWAY_GROUP_MAX)

static const struct caraway_progress *progress_of(const struct model *model)
{
    return (const struct caraway_progress *)(model->ring + CARAWAY_PROGRESS_OFFSET);
}

static uint64_t load_done(const struct model *model)
{
    return __atomic_load_n(&progress_of(model)->done, __ATOMIC_ACQUIRE);
}

void model_init(struct model *model, const uint8_t *ring)
{
    memset(model, 0, sizeof(*model));
    model->ring = ring;
    model->position = load_done(model);
}

void model_free(struct model *model)
{
    free(model->picture);
    free(model->unknown);
    model->picture = NULL;
    model->unknown = NULL;
}

void model_set_screen(struct model *model, const uint8_t *pixels, uint32_t width, uint32_t height,
                      uint32_t stride)
{
    model_free(model);
    model->pixels = pixels;
    model->width = width;
    model->height = height;
    model->stride = stride;
    model->picture = calloc((size_t)width * height, sizeof(uint32_t));
    model->unknown = malloc((size_t)width * height);
    if (!model->picture || !model->unknown)
        abort();
    memset(model->unknown, 1, (size_t)width * height);
}

static uint32_t live_pixel(const struct model *model, uint32_t x, uint32_t y)
{
    const uint32_t *row = (const uint32_t *)(model->pixels + (size_t)y * model->stride);

    return __atomic_load_n(&row[x], __ATOMIC_RELAXED) & 0xffffffu;
}

/* Records are checked, not clipped: the driver under test has no business off the screen. */
static bool is_inside(const struct model *model, const struct caraway_rect *box)
{
    return box->left >= 0 && box->top >= 0 && box->left < box->right && box->top < box->bottom &&
           box->right <= (int32_t)model->width && box->bottom <= (int32_t)model->height;
}

static void fail_record(const struct caraway_record *record, const char *why)
{
    fprintf(stderr, "record type %u, box %d,%d to %d,%d: %s\n", record->type, record->bbox.left,
            record->bbox.top, record->bbox.right, record->bbox.bottom, why);
    exit(1);
}

static void apply_copy(struct model *model, const struct caraway_record *record)
{
    int32_t width = record->bbox.right - record->bbox.left;
    int32_t height = record->bbox.bottom - record->bbox.top;
    struct caraway_rect source = { record->u.src_pos.y, record->u.src_pos.x,
                                   record->u.src_pos.y + height, record->u.src_pos.x + width };
    if (!is_inside(model, &source)) {
        if (!model->live)
            fail_record(record, "the source is off the screen");
        return;
    }

    size_t count = (size_t)width * (size_t)height;
    uint32_t *pixels = malloc(count * 4);
    uint8_t *unknown = malloc(count);
    if (!pixels || !unknown)
        abort();
    for (int32_t y = 0; y < height; y++) {
        size_t from = (size_t)(source.top + y) * model->width + (size_t)source.left;
        memcpy(pixels + (size_t)y * (size_t)width, model->picture + from, (size_t)width * 4);
        memcpy(unknown + (size_t)y * (size_t)width, model->unknown + from, (size_t)width);
    }
    for (int32_t y = 0; y < height; y++) {
        for (int32_t x = 0; x < width; x++) {
            size_t i = (size_t)y * (size_t)width + (size_t)x;
            uint32_t at_x = (uint32_t)(record->bbox.left + x),
                     at_y = (uint32_t)(record->bbox.top + y);
            size_t to = (size_t)at_y * model->width + at_x;
            model->picture[to] = pixels[i];
            model->unknown[to] =
                unknown[i] || (model->live && live_pixel(model, at_x, at_y) != pixels[i]);
        }
    }
    free(pixels);
    free(unknown);
}

static void apply_box(struct model *model, const struct caraway_record *record)
{
    const struct caraway_rect *box = &record->bbox;
    size_t width = (size_t)(box->right - box->left);

    for (int32_t y = box->top; y < box->bottom; y++) {
        size_t from = (size_t)y * model->width + (size_t)box->left;
        memset(model->unknown + from, record->type == CARAWAY_DAMAGE, width);
        if (record->type == CARAWAY_FILL)
            for (size_t x = 0; x < width; x++)
                model->picture[from + x] = record->u.fill.color;
    }
    if (record->type == CARAWAY_DAMAGE)
        model->pixels_damaged += width * (size_t)(box->bottom - box->top);
}

/* Returns true for a MODE record. */
static bool apply(struct model *model, const struct caraway_record *record)
{
    if (record->type == CARAWAY_MODE) {
        model->modes++;
        return true;
    }
    if (!is_inside(model, &record->bbox)) {
        if (!model->live)
            fail_record(record, "off the screen");
        return false; /* of a mode before the one that was read; its MODE record is still to come */
    }
    switch (record->type) {
    case CARAWAY_DAMAGE:
        model->damages++;
        apply_box(model, record);
        break;
    case CARAWAY_FILL:
        model->fills++;
        apply_box(model, record);
        break;
    case CARAWAY_COPY_BITS:
        model->copies++;
        apply_copy(model, record);
        break;
    default:
        fail_record(record, "no such type");
    }
    return false;
}

static bool overrun(struct model *model, uint64_t done)
{
    model->overruns++;
    model->position = done;
    memset(model->unknown, 1, (size_t)model->width * model->height);
    return true; /* the lost records may have held a MODE */
}

bool model_drain(struct model *model)
{
    for (uint64_t done = load_done(model); model->position != done;) {
        const struct caraway_record *slot =
            (const struct caraway_record *)(model->ring + CARAWAY_RING_OFFSET) +
            model->position % CARAWAY_RING_SLOTS;
        struct caraway_record record;
        uint32_t before = __atomic_load_n(&slot->sequence, __ATOMIC_ACQUIRE);

        memcpy(&record, slot, sizeof(record));
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (before != (uint32_t)(model->position + 1) ||
            __atomic_load_n(&slot->sequence, __ATOMIC_RELAXED) != before ||
            load_done(model) - model->position > BACKLOG_MAX)
            return overrun(model, load_done(model));
        model->position++;
        if (apply(model, &record))
            return true;
    }
    return false;
}

void model_flush(struct model *model)
{
    for (uint32_t y = 0; y < model->height; y++) {
        for (uint32_t x = 0; x < model->width; x++) {
            size_t at = (size_t)y * model->width + x;
            if (!model->unknown[at])
                continue;
            model->unknown[at] = 0;
            model->picture[at] = live_pixel(model, x, y);
            model->pixels_read++;
        }
    }
}

void model_read_block(const uint8_t *block, void *copy, uint32_t size)
{
    const uint32_t *lock = (const uint32_t *)block;

    for (;;) {
        uint32_t before = __atomic_load_n(lock, __ATOMIC_ACQUIRE);
        memcpy(copy, block, size);
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (before % 2 == 0 && __atomic_load_n(lock, __ATOMIC_RELAXED) == before)
            return;
        sched_yield();
    }
}
