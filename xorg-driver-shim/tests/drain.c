/*
 * A server that reads records and throws them away, 60 times a second at most, until it is killed:
 * what attached servers cost X, for measurements. drain SOCKET
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "peer.h"

#define FRAME_US 16667

int main(int count, char **arguments)
{
    struct peer peer;
    uint64_t position = 0, records = 0;
    uint32_t sum = 0;

    CHECK(count == 2);
    peer_attach(&peer, arguments[1]);
    const struct caraway_progress *progress = (const void *)(peer.ring + CARAWAY_PROGRESS_OFFSET);
    const struct caraway_record *slots = (const void *)(peer.ring + CARAWAY_RING_OFFSET);
    for (;;) {
        struct pollfd event = { .fd = peer.event_fd, .events = POLLIN };
        uint64_t done;

        __atomic_store_n(&peer.page->waiting, CARAWAY_WAIT_RECORD, __ATOMIC_SEQ_CST);
        if (__atomic_load_n(&progress->done, __ATOMIC_SEQ_CST) == position &&
            poll(&event, 1, -1) == 1)
            CHECK(read(peer.event_fd, &done, sizeof(done)) == sizeof(done));
        done = __atomic_load_n(&progress->done, __ATOMIC_ACQUIRE);
        if (done - position > CARAWAY_RING_SLOTS)
            position = done - CARAWAY_RING_SLOTS;
        for (; position < done; position++, records++) {
            struct caraway_record record;
            memcpy(&record, &slots[position % CARAWAY_RING_SLOTS], sizeof(record));
            sum += record.sequence;
        }
        usleep(FRAME_US);
        if (sum == 1 && records == 1)
            fprintf(stderr, "\n"); /* keeps the copies alive */
    }
}
