/*
 * The ring: one writer, no tail, overwriting.
 *
 * A record's `sequence` first becomes a number that its slot never carries when valid, then the
 * rest is written, then `sequence`: a reader that finds the number it expects before and after its
 * copy has a whole record. `done` follows; the fence between it and the look at `waiting` pairs
 * with the one of a server that arms `waiting` and then looks at `done`, so one of the two always
 * sees the other.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include "ring.h"

#include <string.h>
#include <unistd.h>

#define SLOT_MASK ((uint64_t)CARAWAY_RING_SLOTS - 1)

_Static_assert((CARAWAY_RING_SLOTS & (CARAWAY_RING_SLOTS - 1)) == 0, "slots are a power of two");
_Static_assert(sizeof(struct caraway_progress) == 64 && CARAWAY_RING_OFFSET % 64 == 0, "alignment");

bool ring_create(struct ring *ring)
{
    memset(ring, 0, sizeof(*ring));
    if (!memory_create(&ring->memory, "caraway-ring", CARAWAY_RING_MEMFD_SIZE, MEMORY_READ_ONLY))
        return false;

    uint8_t *base = ring->memory.base;
    struct caraway_header *header = (struct caraway_header *)base;
    ring->progress = (struct caraway_progress *)(base + CARAWAY_PROGRESS_OFFSET);
    ring->records = (struct caraway_record *)(base + CARAWAY_RING_OFFSET);
    *header = (struct caraway_header){
        .magic = CARAWAY_MAGIC,
        .abi_version = CARAWAY_ABI_VERSION,
        .ring_offset = CARAWAY_RING_OFFSET,
        .ring_slots = CARAWAY_RING_SLOTS,
        .record_size = sizeof(struct caraway_record),
        .cursor_offset = CARAWAY_CURSOR_IMAGES_OFFSET,
        .cursor_slot_size = CARAWAY_CURSOR_SLOT_SIZE,
        .cursor_slots = CARAWAY_CURSOR_SLOTS,
        .cursor_side_max = CARAWAY_CURSOR_SIDE_MAX,
        .side_max = CARAWAY_SIDE_MAX,
        .heads_max = CARAWAY_HEADS_MAX,
        .total_size = CARAWAY_RING_MEMFD_SIZE,
    };
    ring_attach(ring, NULL, -1);
    return true;
}

void ring_destroy(struct ring *ring)
{
    memory_destroy(&ring->memory);
    ring->records = NULL;
    ring->progress = NULL;
    ring_attach(ring, NULL, -1);
}

void ring_attach(struct ring *ring, struct caraway_peer *peer, int event_fd)
{
    ring->peer = peer ? peer : &ring->nobody;
    ring->event_fd = event_fd;
}

void ring_begin(struct ring *ring, uint32_t count)
{
    __atomic_store_n(&ring->progress->begun, ring->done + count, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

static void write_record(struct ring *ring, uint64_t position, const struct caraway_record *record)
{
    struct caraway_record *slot = &ring->records[position & SLOT_MASK];
    uint32_t words[sizeof(*record) / 4];

    memcpy(words, record, sizeof(words));
    /* `position` is one less than the slot's valid number and so never valid in this slot. */
    __atomic_store_n(&slot->sequence, (uint32_t)position, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    for (unsigned i = 1; i < sizeof(words) / sizeof(words[0]); i++)
        __atomic_store_n((uint32_t *)slot + i, words[i], __ATOMIC_RELAXED);
    __atomic_store_n(&slot->sequence, (uint32_t)(position + 1), __ATOMIC_RELEASE);
}

static struct caraway_record make_record(const struct caraway_rect *rect,
                                         struct ring_meaning meaning)
{
    struct caraway_record record = { .type = (uint8_t)meaning.type, .bbox = *rect };

    if (meaning.type == CARAWAY_FILL)
        record.u.fill.color = meaning.color & 0xffffffu;
    else if (meaning.type == CARAWAY_COPY_BITS)
        record.u.src_pos =
            (struct caraway_point){ rect->left - meaning.dx, rect->top - meaning.dy };
    return record;
}

void ring_publish(struct ring *ring, const struct rect_group *group, struct ring_meaning meaning)
{
    const struct caraway_rect *rects = group->rects;
    uint32_t count = group->count;

    if (count == 0)
        return;
    if (group->overflowed) {
        meaning.type = CARAWAY_DAMAGE;
        rects = &group->extents;
        count = 1;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct caraway_record record = make_record(&rects[i], meaning);
        record.more = (uint16_t)(count - 1 - i);
        write_record(ring, ring->done + i, &record);
    }
    ring->done += count;
    __atomic_store_n(&ring->progress->begun, ring->done, __ATOMIC_RELAXED);
    __atomic_store_n(&ring->progress->done, ring->done, __ATOMIC_RELEASE);
    ring_wake(ring, CARAWAY_WAIT_RECORD);
}

void ring_idle(struct ring *ring)
{
    __atomic_store_n(&ring->progress->idle_done, ring->done, __ATOMIC_RELEASE);
    ring_wake(ring, CARAWAY_WAIT_IDLE);
}

void ring_wake_always(struct ring *ring)
{
    uint64_t one = 1;

    if (ring->event_fd < 0)
        return;
    /* The descriptor does not block; a full counter already wakes. */
    ssize_t written = write(ring->event_fd, &one, sizeof(one));
    (void)written;
}

void ring_wake(struct ring *ring, enum caraway_waiting reason)
{
    uint32_t expected = reason;

    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (__atomic_load_n(&ring->peer->waiting, __ATOMIC_RELAXED) != expected)
        return;
    if (__atomic_compare_exchange_n(&ring->peer->waiting, &expected, CARAWAY_WAIT_NONE, false,
                                    __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
        ring_wake_always(ring);
}

void rect_group_add(struct rect_group *group, int32_t left, int32_t top, int32_t right,
                    int32_t bottom)
{
    struct caraway_rect *all = &group->extents;

    if (left >= right || top >= bottom)
        return;
    if (group->count == 0) {
        *all = (struct caraway_rect){ top, left, bottom, right };
    } else {
        all->top = top < all->top ? top : all->top;
        all->left = left < all->left ? left : all->left;
        all->bottom = bottom > all->bottom ? bottom : all->bottom;
        all->right = right > all->right ? right : all->right;
    }
    if (group->count < CARAWAY_GROUP_MAX)
        group->rects[group->count++] = (struct caraway_rect){ top, left, bottom, right };
    else
        group->overflowed = true;
}
