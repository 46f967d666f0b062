/*
 * The input socket: reads records and posts them to the devices, in Xorg's input thread while the
 * main thread is at work, and in the main thread while that has nothing to do.
 *
 * What X does for others must not delay what the user does, so the input thread watches the socket.
 * But from its post to the main thread's answer is a wake-up more, which a main thread that sleeps
 * can be spared: before it sleeps it takes the watch over, and gives it back when it wakes. There is
 * always one of them that watches, and never two that wake for one record.
 *
 * The input thread watches one descriptor for as long as a device is on: an epoll descriptor.
 * The socket of the attached server comes and goes inside it, so no descriptor number that the
 * thread knows is ever closed under it. Records are read with Xorg's input lock held.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include "input.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device.h"

#define DATAGRAMS_AT_ONCE 16 /* read before the lock is given back */

static struct {
    int epoll_fd;
    int socket_fd; /* -1: no server, or one that has closed it */
    int shared_fd; /* main thread alone: the socket that it watches in turns with the input thread */
    struct blocks *blocks;
    Bool sleeping; /* main thread alone: that it watches the socket by itself */
    InputInfoPtr watcher; /* the device in whose name the epoll descriptor is watched */
    uint32_t leds;
} input = { .epoll_fd = -1, .socket_fd = -1, .shared_fd = -1 };

static void post_record(const struct caraway_input *record)
{
    switch (record->type) {
    case CARAWAY_INPUT_KEY:
        device_post_key(record->a, record->b);
        break;
    case CARAWAY_INPUT_ABS:
        device_post_absolute(record->a, record->b);
        break;
    case CARAWAY_INPUT_REL:
        device_post_relative(record->a, record->b);
        break;
    case CARAWAY_INPUT_BUTTON:
        device_post_button(record->a, record->b);
        break;
    case CARAWAY_INPUT_SCROLL:
        device_post_scroll(record->a, record->b);
        break;
    default: /* untrusted: what has no meaning is ignored */
        break;
    }
}

static void stop_reading(void)
{
    if (input.socket_fd >= 0)
        epoll_ctl(input.epoll_fd, EPOLL_CTL_DEL, input.socket_fd, NULL);
    input.socket_fd = -1;
    device_release_all();
}

/* With the input lock. */
static void read_records(void)
{
    struct caraway_input records[CARAWAY_INPUT_BATCH_MAX];

    for (int i = 0; i < DATAGRAMS_AT_ONCE && input.socket_fd >= 0; i++) {
        ssize_t size = recv(input.socket_fd, records, sizeof(records), MSG_DONTWAIT | MSG_TRUNC);

        if (size < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (size <= 0) {
            stop_reading();
            return;
        }
        if ((size_t)size > sizeof(records) || (size_t)size % sizeof(records[0]) != 0)
            continue;
        for (size_t n = 0; n < (size_t)size / sizeof(records[0]); n++)
            post_record(&records[n]);
    }
}

/* InputInfoRec.read_input: the input thread, with the input lock. */
static void read_input(InputInfoPtr info _X_UNUSED)
{
    read_records();
}

/* ---- the main thread's turns ---- */

static void socket_ready(int fd, int events _X_UNUSED, void *data _X_UNUSED)
{
    input_lock();
    read_records();
    Bool ended = input.socket_fd != fd;
    input_unlock();
    if (ended)
        RemoveNotifyFd(fd);
}

/* Fails where the socket has ended, which changes nothing. */
static void let_input_thread_watch(Bool watch)
{
    struct epoll_event event = { .events = watch ? EPOLLIN : 0 };

    epoll_ctl(input.epoll_fd, EPOLL_CTL_MOD, input.shared_fd, &event);
}

static void before_sleep(void *data _X_UNUSED, void *timeout)
{
    /* With clients left to serve the main thread polls without waiting. */
    input.sleeping = *(int *)timeout != 0;
    if (input.sleeping)
        let_input_thread_watch(FALSE);
}

static void after_sleep(void *data _X_UNUSED, int ready _X_UNUSED)
{
    if (input.sleeping)
        let_input_thread_watch(TRUE);
    input.sleeping = FALSE;
}

static void share_watch(int fd)
{
    if (!SetNotifyFd(fd, socket_ready, X_NOTIFY_READ, NULL))
        return;
    if (RegisterBlockAndWakeupHandlers(before_sleep, after_sleep, NULL))
        input.shared_fd = fd;
    else
        RemoveNotifyFd(fd);
}

static void end_sharing(void)
{
    if (input.shared_fd < 0)
        return;
    RemoveBlockAndWakeupHandlers(before_sleep, after_sleep, NULL);
    RemoveNotifyFd(input.shared_fd);
    input.shared_fd = -1;
    input.sleeping = FALSE;
}

/* ---- */

static Bool have_epoll(void)
{
    if (input.epoll_fd < 0)
        input.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    return input.epoll_fd >= 0;
}

void input_bind(struct blocks *blocks)
{
    input_lock();
    input.blocks = blocks;
    if (blocks)
        blocks_set_leds(blocks, input.leds);
    input_unlock();
}

void input_attach(int fd)
{
    struct epoll_event event = { .events = EPOLLIN };

    end_sharing();
    input_lock();
    stop_reading();
    if (have_epoll() && epoll_ctl(input.epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0)
        input.socket_fd = fd;
    Bool reading = input.socket_fd == fd;
    input_unlock();
    if (reading)
        share_watch(fd);
}

void input_detach(void)
{
    end_sharing();
    input_lock();
    stop_reading();
    input_unlock();
}

void input_watch(InputInfoPtr info)
{
    if (input.watcher || !have_epoll())
        return;
    info->fd = input.epoll_fd;
    info->read_input = read_input;
    input.watcher = info;
    xf86AddEnabledDevice(info);
}

void input_unwatch(InputInfoPtr info, InputInfoPtr successor)
{
    if (input.watcher != info)
        return;
    xf86RemoveEnabledDevice(info);
    info->fd = -1;
    input.watcher = NULL;
    if (successor)
        input_watch(successor);
}

void input_publish_leds(uint32_t leds)
{
    struct caraway_input record = { .type = CARAWAY_INPUT_LEDS, .a = (int32_t)leds };

    input_lock();
    if (leds != input.leds) {
        input.leds = leds;
        if (input.blocks)
            blocks_set_leds(input.blocks, leds);
        /* A server that does not read its socket finds them in the shared memory. */
        if (input.socket_fd >= 0)
            send(input.socket_fd, &record, sizeof(record), MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    input_unlock();
}
