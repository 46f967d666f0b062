/*
 * The producer without X: records, overruns, wake-ups, the frame buffer's memory. Returns 0 when
 * all is well.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "model.h"
#include "without_x.h"

#define WIDTH 160
#define HEIGHT 120
#define STRIDE 704
#define WAKE_TIMEOUT_MS 10000

static uint32_t screen[STRIDE / 4 * HEIGHT];

static void publish_one(struct ring *ring, enum caraway_record_type type, int left, int top,
                        int right, int bottom)
{
    struct rect_group group;

    rect_group_clear(&group);
    rect_group_add(&group, left, top, right, bottom);
    ring_publish(ring, &group, (struct ring_meaning){ .type = type });
}

static struct model new_model(struct ring *ring, bool live)
{
    struct model model;

    model_init(&model, ring->memory.base);
    model_set_screen(&model, (const uint8_t *)screen, WIDTH, HEIGHT, STRIDE);
    model.live = live;
    return model;
}

static const struct caraway_record *record_at(struct ring *ring, uint64_t position)
{
    return &ring->records[position % CARAWAY_RING_SLOTS];
}

/* ---- records ---- */

static void test_header_and_seals(void)
{
    struct ring *ring = new_ring();
    const struct caraway_header *header = ring->memory.base;
    int seals = fcntl(ring->memory.fd, F_GET_SEALS);

    CHECK(header->magic == CARAWAY_MAGIC && header->abi_version == CARAWAY_ABI_VERSION);
    CHECK(header->total_size == CARAWAY_RING_MEMFD_SIZE && header->record_size == 32);
    CHECK(lseek(ring->memory.fd, 0, SEEK_END) == CARAWAY_RING_MEMFD_SIZE);
    CHECK((seals & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) ==
          (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL));
    CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, ring->memory.fd, 0) == MAP_FAILED);
    CHECK(ftruncate(ring->memory.fd, 0) != 0);
    void *readable = mmap(NULL, 4096, PROT_READ, MAP_SHARED, ring->memory.fd, 0);
    CHECK(readable != MAP_FAILED);
    munmap(readable, 4096);
    free_ring(ring);
}

static void test_meaning(void)
{
    struct ring *ring = new_ring();
    struct rect_group group;

    rect_group_clear(&group);
    rect_group_add(&group, 5, 5, 5, 9); /* empty */
    ring_publish(ring, &group, (struct ring_meaning){ .type = CARAWAY_DAMAGE });
    CHECK(ring->progress->done == 0);

    rect_group_add(&group, 10, 20, 30, 50);
    rect_group_add(&group, 40, 20, 50, 60);
    ring_begin(ring, 2);
    CHECK(ring->progress->begun == 2 && ring->progress->done == 0);
    ring_publish(ring, &group,
                 (struct ring_meaning){ .type = CARAWAY_COPY_BITS, .dx = 3, .dy = -4 });
    CHECK(ring->progress->begun == 2 && ring->progress->done == 2);
    const struct caraway_record *first = record_at(ring, 0), *second = record_at(ring, 1);
    CHECK(first->sequence == 1 && first->more == 1 && first->type == CARAWAY_COPY_BITS);
    CHECK(first->bbox.left == 10 && first->bbox.top == 20 && first->bbox.right == 30 &&
          first->bbox.bottom == 50);
    CHECK(first->u.src_pos.x == 7 && first->u.src_pos.y == 24);
    CHECK(second->sequence == 2 && second->more == 0 && second->u.src_pos.x == 37);

    rect_group_clear(&group);
    rect_group_add(&group, 0, 0, 1, 1);
    ring_publish(ring, &group, (struct ring_meaning){ .type = CARAWAY_FILL, .color = 0xff123456 });
    CHECK(record_at(ring, 2)->u.fill.color == 0x123456 && record_at(ring, 2)->u.fill.reserved == 0);
    free_ring(ring);
}

static void test_groups(void)
{
    struct ring *ring = new_ring();
    struct rect_group group;

    rect_group_clear(&group);
    for (int i = 0; i < (int)CARAWAY_GROUP_MAX; i++)
        rect_group_add(&group, i, i, i + 1, i + 2);
    CHECK(!group.overflowed);
    ring_publish(ring, &group, (struct ring_meaning){ .type = CARAWAY_FILL });
    CHECK(ring->progress->done == CARAWAY_GROUP_MAX);
    CHECK(record_at(ring, 0)->more == CARAWAY_GROUP_MAX - 1);
    CHECK(record_at(ring, CARAWAY_GROUP_MAX - 1)->more == 0);

    rect_group_add(&group, 500, 3, 510, 4);
    CHECK(group.overflowed && group.count == CARAWAY_GROUP_MAX);
    ring_publish(ring, &group, (struct ring_meaning){ .type = CARAWAY_FILL });
    CHECK(ring->progress->done == CARAWAY_GROUP_MAX + 1);
    const struct caraway_record *extents = record_at(ring, CARAWAY_GROUP_MAX);
    CHECK(extents->type == CARAWAY_DAMAGE && extents->more == 0);
    CHECK(extents->bbox.left == 0 && extents->bbox.top == 0 && extents->bbox.right == 510 &&
          extents->bbox.bottom == CARAWAY_GROUP_MAX + 1);
    free_ring(ring);
}

static void test_wrap_of_ring_and_sequence(void)
{
    struct ring *ring = new_ring();

    /* Positions around 2^32: sequences pass through 0. */
    ring->done = (1ull << 32) - CARAWAY_RING_SLOTS / 2;
    publish_one(ring, CARAWAY_DAMAGE, 0, 0, 1, 1);
    struct model model = new_model(ring, false);
    model_flush(&model);
    for (uint32_t i = 0; i < CARAWAY_RING_SLOTS; i++) {
        publish_one(ring, CARAWAY_DAMAGE, (int)(i % WIDTH), 0, (int)(i % WIDTH) + 1, 1);
        if (i % 1000 == 999)
            CHECK(!model_drain(&model));
    }
    CHECK(!model_drain(&model) && model.damages == CARAWAY_RING_SLOTS && model.overruns == 0);
    CHECK(model.position == ring->progress->done && model.position > 1ull << 32);
    model_free(&model);
    free_ring(ring);
}

static void test_overrun_is_seen(void)
{
    struct ring *ring = new_ring();
    struct model model = new_model(ring, false);

    model_flush(&model);
    for (uint32_t i = 0; i <= CARAWAY_RING_SLOTS; i++)
        publish_one(ring, CARAWAY_FILL, 0, 0, 1, 1);
    CHECK(model_drain(&model) && model.overruns == 1 && model.fills == 0);
    CHECK(model.unknown[WIDTH * HEIGHT - 1] == 1 && model.position == ring->progress->done);

    /* The slot of a record that is being written never shows the number that a reader expects. */
    uint64_t position = ring->done - 1;
    ring->records[position % CARAWAY_RING_SLOTS].sequence = (uint32_t)position;
    model.position = position;
    CHECK(model_drain(&model) && model.overruns == 2);
    model_free(&model);
    free_ring(ring);
}

/* ---- wake-up ---- */

static uint64_t wakes(int event_fd)
{
    uint64_t count = 0;

    return read(event_fd, &count, sizeof(count)) == sizeof(count) ? count : 0;
}

static void test_wake_is_one_shot(void)
{
    struct ring *ring = new_ring();
    struct caraway_peer peer = { .waiting = CARAWAY_WAIT_NONE };
    int event_fd = eventfd(0, EFD_NONBLOCK);

    ring_attach(ring, &peer, event_fd);
    publish_one(ring, CARAWAY_DAMAGE, 0, 0, 1, 1);
    ring_idle(ring);
    CHECK(wakes(event_fd) == 0);

    peer.waiting = CARAWAY_WAIT_RECORD;
    ring_idle(ring);
    CHECK(wakes(event_fd) == 0 && peer.waiting == CARAWAY_WAIT_RECORD);
    publish_one(ring, CARAWAY_DAMAGE, 0, 0, 1, 1);
    publish_one(ring, CARAWAY_DAMAGE, 0, 0, 1, 1);
    CHECK(wakes(event_fd) == 1 && peer.waiting == CARAWAY_WAIT_NONE);

    peer.waiting = CARAWAY_WAIT_IDLE;
    publish_one(ring, CARAWAY_DAMAGE, 0, 0, 1, 1);
    CHECK(wakes(event_fd) == 0 && ring->progress->idle_done < ring->progress->done);
    ring_idle(ring);
    ring_idle(ring);
    CHECK(wakes(event_fd) == 1 && ring->progress->idle_done == ring->progress->done);

    /* Whatever else stands there is nobody's wish. */
    peer.waiting = 0xdeadbeef;
    publish_one(ring, CARAWAY_DAMAGE, 0, 0, 1, 1);
    ring_idle(ring);
    CHECK(wakes(event_fd) == 0 && peer.waiting == 0xdeadbeef);

    ring_attach(ring, NULL, -1);
    publish_one(ring, CARAWAY_DAMAGE, 0, 0, 1, 1);
    ring_wake_always(ring);
    CHECK(wakes(event_fd) == 0);
    close(event_fd);
    free_ring(ring);
}

struct sleeper {
    struct ring *ring;
    struct caraway_peer peer;
    int event_fd;
    enum caraway_waiting reason;
    uint64_t seen, target;
    bool timed_out;
};

static uint64_t watched(struct sleeper *sleeper)
{
    uint64_t *word = sleeper->reason == CARAWAY_WAIT_IDLE ? &sleeper->ring->progress->idle_done
                                                          : &sleeper->ring->progress->done;
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/* Sleeps whenever there is nothing new; a lost wake-up runs into the timeout. */
static void *sleep_and_read(void *data)
{
    struct sleeper *sleeper = data;
    uint64_t seen = 0;

    while (seen < sleeper->target && !sleeper->timed_out) {
        __atomic_store_n(&sleeper->peer.waiting, sleeper->reason, __ATOMIC_RELAXED);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        if (watched(sleeper) == seen) {
            struct pollfd event = { .fd = sleeper->event_fd, .events = POLLIN };
            if (poll(&event, 1, WAKE_TIMEOUT_MS) != 1)
                sleeper->timed_out = watched(sleeper) != seen || seen < sleeper->target;
            wakes(sleeper->event_fd);
        }
        seen = watched(sleeper);
        __atomic_store_n(&sleeper->seen, seen, __ATOMIC_RELEASE);
    }
    return NULL;
}

static void check_no_lost_wake(enum caraway_waiting reason)
{
    struct ring *ring = new_ring();
    struct sleeper sleeper = {
        .ring = ring, .event_fd = eventfd(0, EFD_NONBLOCK), .reason = reason, .target = 20000
    };
    pthread_t thread;

    ring_attach(ring, &sleeper.peer, sleeper.event_fd);
    pthread_create(&thread, NULL, sleep_and_read, &sleeper);
    for (uint64_t i = 0; i < sleeper.target && !sleeper.timed_out; i++) {
        publish_one(ring, CARAWAY_DAMAGE, 0, 0, 1, 1);
        if (reason == CARAWAY_WAIT_IDLE)
            ring_idle(ring);
        /* Each record is waited for, so that each needs its own wake-up or is seen in time. */
        while (__atomic_load_n(&sleeper.seen, __ATOMIC_ACQUIRE) <= i && !sleeper.timed_out)
            sched_yield();
    }
    pthread_join(thread, NULL);
    CHECK(!sleeper.timed_out && sleeper.seen == sleeper.target);
    close(sleeper.event_fd);
    free_ring(ring);
}

static void test_no_wake_is_lost(void)
{
    check_no_lost_wake(CARAWAY_WAIT_RECORD);
    check_no_lost_wake(CARAWAY_WAIT_IDLE);
}

/* ---- pixels ---- */

static uint32_t random_state = 1;

static uint32_t below(uint32_t limit)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % limit;
}

static void set_pixel(int x, int y, uint32_t value)
{
    __atomic_store_n(&screen[y * (STRIDE / 4) + x], value, __ATOMIC_RELAXED);
}

static void draw_rect(const struct caraway_rect *rect, bool noise, uint32_t color)
{
    for (int y = rect->top; y < rect->bottom; y++)
        for (int x = rect->left; x < rect->right; x++)
            set_pixel(x, y, noise ? below(1u << 24) : color);
}

static void draw_copy(const struct caraway_rect *to, int dx, int dy)
{
    static uint32_t row[WIDTH];
    int width = to->right - to->left;

    for (int i = 0; i < to->bottom - to->top; i++) {
        int y = dy > 0 ? to->bottom - 1 - i : to->top + i;
        memcpy(row, &screen[(y - dy) * (STRIDE / 4) + to->left - dx], (size_t)width * 4);
        for (int x = 0; x < width; x++)
            set_pixel(to->left + x, y, row[x]);
    }
}

/* One random operation, drawn and published as the driver does it. */
static void draw_random(struct ring *ring)
{
    static struct rect_group group;
    int width = 1 + (int)below(60), height = 1 + (int)below(50);
    int left = (int)below(WIDTH - (uint32_t)width), top = (int)below(HEIGHT - (uint32_t)height);
    struct caraway_rect rect = { top, left, top + height, left + width };
    struct ring_meaning meaning = { .type = CARAWAY_DAMAGE };

    rect_group_clear(&group);
    rect_group_add(&group, rect.left, rect.top, rect.right, rect.bottom);
    switch (below(3)) {
    case 0:
        draw_rect(&rect, true, 0);
        break;
    case 1:
        meaning.type = CARAWAY_FILL;
        meaning.color = below(1u << 24);
        ring_begin(ring, 1);
        draw_rect(&rect, false, meaning.color);
        break;
    default:
        meaning.type = CARAWAY_COPY_BITS;
        meaning.dx = left - (int)below(WIDTH - (uint32_t)width);
        meaning.dy = top - (int)below(HEIGHT - (uint32_t)height);
        ring_begin(ring, 1);
        draw_copy(&rect, meaning.dx, meaning.dy);
        break;
    }
    ring_publish(ring, &group, meaning);
}

static void check_same(const struct model *model)
{
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            CHECK(model->picture[y * WIDTH + x] == screen[y * (STRIDE / 4) + x]);
}

static void test_records_tell_the_pixels(void)
{
    struct ring *ring = new_ring();
    struct model model = new_model(ring, false);

    model_flush(&model);
    for (int round = 0; round < 2000; round++) {
        for (uint32_t i = below(12); i > 0; i--)
            draw_random(ring);
        model_drain(&model);
        model_flush(&model);
        check_same(&model);
    }
    CHECK(model.fills > 1000 && model.copies > 1000 && model.overruns == 0);
    model_free(&model);
    free_ring(ring);
}

static void *draw_much(void *data)
{
    struct ring *ring = data;

    for (int i = 0; i < 150000; i++)
        draw_random(ring);
    return NULL;
}

static void test_another_thread_converges(void)
{
    struct ring *ring = new_ring();
    struct model model = new_model(ring, true);
    pthread_t thread;
    int rounds = 0;

    pthread_create(&thread, NULL, draw_much, ring);
    while (pthread_tryjoin_np(thread, NULL) != 0) {
        model_drain(&model);
        if (rounds++ % 4 == 0)
            model_flush(&model);
        if (rounds % 500 == 0)
            usleep(20000); /* falls behind now and then */
    }
    while (model_drain(&model) || model.position != ring->progress->done)
        ;
    model_flush(&model);
    check_same(&model);
    model_free(&model);
    free_ring(ring);
}

int main(void)
{
    test_header_and_seals();
    test_meaning();
    test_groups();
    test_wrap_of_ring_and_sequence();
    test_overrun_is_seen();
    test_wake_is_one_shot();
    test_no_wake_is_lost();
    test_records_tell_the_pixels();
    test_another_thread_converges();
    puts("ring_test: ok");
    return 0;
}
