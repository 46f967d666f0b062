/*
 * The producer's side of the shared memory: records, progress and wake-up. docs/ring.md is the
 * contract.
 *
 * Nothing here knows X: the unit test runs it alone, and another producer can use it.
 * Records are published by one thread; ring_wake may be called by any thread that holds what keeps
 * the peer in place (the driver: blocks_lock).
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef CARAWAY_RING_H
#define CARAWAY_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "memory.h"
#include "shim_abi.h"

struct ring {
    struct memory memory;
    struct caraway_record *records;
    struct caraway_progress *progress;
    struct caraway_peer *peer; /* never NULL: `nobody` while no server is attached */
    int event_fd;              /* -1 while no server is attached */
    uint64_t done; /* the producer's own count; what lies in shared memory is never read back */
    struct caraway_peer nobody;
};

/* The rectangles of one operation. Past CARAWAY_GROUP_MAX only the extents stay true. */
struct rect_group {
    uint32_t count;
    bool overflowed;
    struct caraway_rect extents; /* valid when count > 0 */
    struct caraway_rect rects[CARAWAY_GROUP_MAX];
};

/* What the rectangles of a group mean. */
struct ring_meaning {
    enum caraway_record_type type;
    uint32_t color; /* CARAWAY_FILL: 0x00RRGGBB */
    int32_t dx, dy; /* CARAWAY_COPY_BITS: from the source to the destination */
};

/* Maps the ring memfd and writes its header. False with errno set on failure. */
bool ring_create(struct ring *ring);
void ring_destroy(struct ring *ring);

/* Names the server's page and eventfd; NULL and -1 detach. The caller keeps both alive until the
 * next call. */
void ring_attach(struct ring *ring, struct caraway_peer *peer, int event_fd);

/* Announces an operation of `count` records before its first pixel is written. */
void ring_begin(struct ring *ring, uint32_t count);

/* Publishes a drawn operation and wakes a server that waits for records. An empty group is nothing.
 */
void ring_publish(struct ring *ring, const struct rect_group *group, struct ring_meaning meaning);

/* Tells that there is nothing left to draw and wakes a server that waits for that. */
void ring_idle(struct ring *ring);

/* Writes the eventfd if the server waits for `reason`, once for each time the server asked. */
void ring_wake(struct ring *ring, enum caraway_waiting reason);

/* Writes the eventfd whatever the server waits for: it may have asked before it was attached. */
void ring_wake_always(struct ring *ring);

static inline void rect_group_clear(struct rect_group *group)
{
    group->count = 0;
    group->overflowed = false;
}

/* Adds a rectangle; one without pixels is ignored. */
void rect_group_add(struct rect_group *group, int32_t left, int32_t top, int32_t right,
                    int32_t bottom);

#endif
