/*
 * The test's server side: see peer.h.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define TIMEOUT_MS 10000
#define SEALS_SIZE (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

int peer_connect(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    CHECK(fd >= 0 && strlen(path) < sizeof(address.sun_path));
    strcpy(address.sun_path, path);
    CHECK(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    return fd;
}

long peer_receive(int fd, void *message, size_t size, int *fds, unsigned *fd_count)
{
    struct pollfd event = { .fd = fd, .events = POLLIN };
    char space[CMSG_SPACE(8 * sizeof(int))];
    struct iovec part = { message, size };
    struct msghdr header = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space)
    };

    if (poll(&event, 1, TIMEOUT_MS) != 1)
        return -1;
    long got = recvmsg(fd, &header, MSG_CMSG_CLOEXEC);
    if (got < 0 && errno == ECONNRESET)
        got = 0;
    unsigned count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&header); c; c = CMSG_NXTHDR(&header, c)) {
        if (c->cmsg_type != SCM_RIGHTS)
            continue;
        count = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        CHECK(fds && count <= 5);
        memcpy(fds, CMSG_DATA(c), count * sizeof(int));
    }
    if (fd_count)
        *fd_count = count;
    return got;
}

static void *map_read_only(int fd, size_t size)
{
    int seals = fcntl(fd, F_GET_SEALS);

    CHECK((seals & SEALS_SIZE) == SEALS_SIZE && (seals & F_SEAL_FUTURE_WRITE));
    CHECK((size_t)lseek(fd, 0, SEEK_END) == size);
    CHECK(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
    CHECK(ftruncate(fd, 0) != 0 &&
          fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096) != 0);
    void *base = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    CHECK(base != MAP_FAILED);
    return base;
}

static void take_framebuffer(struct peer *peer, int fd, uint32_t id)
{
    if (peer->framebuffer_fd >= 0)
        close(peer->framebuffer_fd);
    if (peer->pixels)
        munmap((void *)peer->pixels, peer->pixels_size);
    peer->framebuffer_fd = fd;
    peer->framebuffer_id = id;
    peer->pixels_size = (size_t)lseek(fd, 0, SEEK_END);
    peer->pixels = map_read_only(fd, peer->pixels_size);
}

static void check_header(const struct peer *peer)
{
    const struct caraway_header *header = (const void *)peer->ring;

    CHECK(header->magic == CARAWAY_MAGIC && header->abi_version == CARAWAY_ABI_VERSION);
    CHECK(header->ring_offset == CARAWAY_RING_OFFSET && header->ring_slots == CARAWAY_RING_SLOTS);
    CHECK(header->record_size == sizeof(struct caraway_record));
    CHECK(header->cursor_offset == CARAWAY_CURSOR_IMAGES_OFFSET);
    CHECK(header->cursor_slots == CARAWAY_CURSOR_SLOTS && header->heads_max == CARAWAY_HEADS_MAX);
    CHECK(header->total_size == CARAWAY_RING_MEMFD_SIZE);
}

void peer_attach(struct peer *peer, const char *path)
{
    struct caraway_hello hello, answer = { .type = CARAWAY_MSG_HELLO,
                                           .magic = CARAWAY_MAGIC,
                                           .abi_version = CARAWAY_ABI_VERSION };
    int fds[5];
    unsigned count;

    memset(peer, 0, sizeof(*peer));
    peer->framebuffer_fd = -1;
    peer->control_fd = peer_connect(path);
    CHECK(peer_receive(peer->control_fd, &hello, sizeof(hello), fds, &count) == sizeof(hello));
    CHECK(count == 5 && hello.type == CARAWAY_MSG_HELLO && hello.magic == CARAWAY_MAGIC);
    CHECK(hello.abi_version == CARAWAY_ABI_VERSION && hello.ring_size == CARAWAY_RING_MEMFD_SIZE);
    peer->ring_fd = fds[0];
    peer->peer_fd = fds[1];
    peer->event_fd = fds[2];
    peer->input_fd = fds[3];
    peer->ring = map_read_only(peer->ring_fd, CARAWAY_RING_MEMFD_SIZE);
    check_header(peer);
    CHECK((fcntl(peer->peer_fd, F_GET_SEALS) & SEALS_SIZE) == SEALS_SIZE);
    CHECK(lseek(peer->peer_fd, 0, SEEK_END) == CARAWAY_PEER_MEMFD_SIZE);
    peer->page =
        mmap(NULL, CARAWAY_PEER_MEMFD_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, peer->peer_fd, 0);
    CHECK(peer->page != MAP_FAILED && peer->page->waiting == CARAWAY_WAIT_NONE);
    take_framebuffer(peer, fds[4], hello.framebuffer_id);
    CHECK(send(peer->control_fd, &answer, sizeof(answer), 0) == sizeof(answer));

    model_init(&peer->model, peer->ring);
    peer_take_mode(peer);
}

void peer_detach(struct peer *peer)
{
    model_free(&peer->model);
    munmap((void *)peer->ring, CARAWAY_RING_MEMFD_SIZE);
    munmap(peer->page, CARAWAY_PEER_MEMFD_SIZE);
    munmap((void *)peer->pixels, peer->pixels_size);
    int fds[] = { peer->control_fd, peer->ring_fd,  peer->peer_fd,
                  peer->event_fd,   peer->input_fd, peer->framebuffer_fd };
    for (unsigned i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
        close(fds[i]);
}

static void receive_framebuffer(struct peer *peer)
{
    struct caraway_framebuffer message;
    int fds[5];
    unsigned count;

    CHECK(peer_receive(peer->control_fd, &message, sizeof(message), fds, &count) ==
          sizeof(message));
    CHECK(message.type == CARAWAY_MSG_FRAMEBUFFER && count == 1);
    take_framebuffer(peer, fds[0], message.framebuffer_id);
    CHECK(peer->pixels_size == message.size);
}

void peer_poll_control(struct peer *peer)
{
    struct pollfd event = { .fd = peer->control_fd, .events = POLLIN };

    while (poll(&event, 1, 0) == 1)
        receive_framebuffer(peer);
}

void peer_take_mode(struct peer *peer)
{
    struct caraway_mode mode;

    for (;;) {
        peer_poll_control(peer);
        model_read_block(peer->ring + CARAWAY_MODE_OFFSET, &mode, sizeof(mode));
        CHECK(mode.generation > 0 && mode.format == 32 && mode.framebuffer_offset == 0);
        if (mode.framebuffer_id == peer->framebuffer_id)
            break;
        /* The message was sent before the mode was published; a newer mode may be on its way
         * already. */
    }
    CHECK(mode.framebuffer_size == peer->pixels_size);
    CHECK(mode.stride >= mode.width * 4 && mode.stride % CARAWAY_STRIDE_ALIGN == 0 &&
          mode.stride % 4096 != 0);
    CHECK((uint64_t)mode.stride * mode.height <= mode.framebuffer_size);
    CHECK(mode.framebuffer_size <=
          2 * (((uint64_t)mode.stride * mode.height + 4095) / 4096 * 4096));
    peer->mode = mode;
    model_set_screen(&peer->model, peer->pixels, mode.width, mode.height, mode.stride);
}

void peer_drain(struct peer *peer)
{
    while (model_drain(&peer->model))
        peer_take_mode(peer);
}

void peer_set_monitors(struct peer *peer, const struct caraway_monitors_config *config)
{
    peer_set_monitors_dpi(peer, config, 0);
}

void peer_set_monitors_dpi(struct peer *peer, const struct caraway_monitors_config *config,
                           uint32_t dpi)
{
    struct caraway_set_monitors message = { .type = CARAWAY_MSG_SET_MONITORS,
                                            .config = *config,
                                            .dpi = dpi };

    CHECK(send(peer->control_fd, &message, sizeof(message), 0) == sizeof(message));
}

void peer_set_size(struct peer *peer, uint32_t width, uint32_t height)
{
    struct caraway_monitors_config config = { .count = 1, .max_allowed = CARAWAY_HEADS_MAX };

    config.heads[0] = (struct caraway_head){ .width = width, .height = height };
    peer_set_monitors(peer, &config);
}

void peer_send_input(struct peer *peer, uint32_t type, int32_t a, int32_t b)
{
    struct caraway_input record = { .type = type, .a = a, .b = b };

    CHECK(send(peer->input_fd, &record, sizeof(record), 0) == sizeof(record));
}

const struct caraway_state *peer_state(const struct peer *peer)
{
    return (const struct caraway_state *)(peer->ring + CARAWAY_STATE_OFFSET);
}

struct caraway_cursor peer_cursor(const struct peer *peer)
{
    struct caraway_cursor cursor;

    model_read_block(peer->ring + CARAWAY_CURSOR_OFFSET, &cursor, sizeof(cursor));
    return cursor;
}

struct caraway_monitors peer_monitors(const struct peer *peer)
{
    struct caraway_monitors monitors;

    model_read_block(peer->ring + CARAWAY_MONITORS_OFFSET, &monitors, sizeof(monitors));
    return monitors;
}
