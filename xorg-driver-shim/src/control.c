/*
 * The control socket: a server connects, is sent the descriptors, answers, and is attached.
 *
 * Everything here runs in the main thread and nothing waits: sends do not block, and a connection
 * that cannot take one is dropped. A newcomer replaces the attached server only once it has
 * answered properly, so a stray connection disturbs nobody. Each connection has its own peer page,
 * eventfd and input socket: a server that was replaced holds nothing that its successor depends on.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _GNU_SOURCE
#include "control.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "input.h"
#include "modes.h"

#define LISTEN_BACKLOG 4
#define MESSAGES_AT_ONCE 16 /* read before other clients of X have their turn */
#define LOG_LINES_MAX 500   /* connections and refusals told in the log of one screen */

struct connection {
    int fd; /* -1: none */
    int event_fd;
    int input_fd; /* the driver's end */
    struct memory peer;
};

struct control {
    struct caraway *caraway;
    int listener;
    dev_t device; /* of the socket file, to remove no other */
    ino_t inode;
    unsigned log_lines;
    struct connection attached; /* has answered */
    struct connection pending;  /* has been sent the hello */
};

#define NO_CONNECTION \
    ((struct connection){ .fd = -1, .event_fd = -1, .input_fd = -1, .peer = MEMORY_NONE })

static void connection_ready(int fd, int events, void *data);

static void say(struct control *control, MessageType type, const char *text)
{
    if (control->log_lines++ < LOG_LINES_MAX)
        xf86DrvMsg(control->caraway->scrn->scrnIndex, type, "control: %s\n", text);
}

static void close_descriptor(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void drop(struct control *control, struct connection *connection)
{
    if (connection->fd < 0)
        return;
    if (connection == &control->attached) {
        input_detach();
        blocks_attach(&control->caraway->blocks, NULL, -1);
        say(control, X_INFO, "server detached");
    }
    RemoveNotifyFd(connection->fd);
    close_descriptor(&connection->fd);
    close_descriptor(&connection->event_fd);
    close_descriptor(&connection->input_fd);
    memory_destroy(&connection->peer);
}

/* ---- sending ---- */

static Bool send_message(int fd, const void *message, size_t size, const int *fds, unsigned count)
{
    struct iovec part = { .iov_base = (void *)message, .iov_len = size };
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(5 * sizeof(int))];
    } control;
    struct msghdr header = { .msg_iov = &part, .msg_iovlen = 1 };

    if (count > 0) {
        memset(&control, 0, sizeof(control));
        header.msg_control = &control;
        header.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *rights = CMSG_FIRSTHDR(&header);
        rights->cmsg_level = SOL_SOCKET;
        rights->cmsg_type = SCM_RIGHTS;
        rights->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(rights), fds, count * sizeof(int));
    }
    return sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)size;
}

static void refuse(struct control *control, int fd, const char *reason)
{
    struct caraway_refused refused = { .type = CARAWAY_MSG_REFUSED };

    refused.length = (uint32_t)min(strlen(reason), sizeof(refused.text));
    memcpy(refused.text, reason, refused.length);
    send_message(fd, &refused, sizeof(refused), NULL, 0);
    say(control, X_WARNING, reason);
}

static Bool send_hello(struct control *control, struct connection *connection, int input_fd)
{
    struct caraway *caraway = control->caraway;
    struct caraway_hello hello = {
        .type = CARAWAY_MSG_HELLO,
        .magic = CARAWAY_MAGIC,
        .abi_version = CARAWAY_ABI_VERSION,
        .ring_size = CARAWAY_RING_MEMFD_SIZE,
        .framebuffer_id = caraway->framebuffer.id,
    };
    int fds[] = { caraway->ring.memory.fd, connection->peer.fd, connection->event_fd, input_fd,
                  caraway->framebuffer.memory.fd };

    return send_message(connection->fd, &hello, sizeof(hello), fds, ARRAY_SIZE(fds));
}

void control_send_framebuffer(struct caraway *caraway)
{
    struct control *control = caraway->control;
    struct caraway_framebuffer message = {
        .type = CARAWAY_MSG_FRAMEBUFFER,
        .framebuffer_id = caraway->framebuffer.id,
        .size = caraway->framebuffer.memory.size,
    };

    if (!control)
        return;
    struct connection *connections[] = { &control->attached, &control->pending };
    for (unsigned i = 0; i < ARRAY_SIZE(connections); i++) {
        if (connections[i]->fd >= 0 && !send_message(connections[i]->fd, &message, sizeof(message),
                                                     &caraway->framebuffer.memory.fd, 1))
            drop(control, connections[i]);
    }
}

/* ---- accepting ---- */

static Bool is_trusted(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof(peer);

    return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == geteuid() || peer.uid == 0);
}

/* Takes `fd` over, whatever happens. */
static void greet(struct control *control, int fd)
{
    struct connection *connection = &control->pending;
    int pair[2] = { -1, -1 };

    drop(control, connection);
    *connection = NO_CONNECTION;
    if (!is_trusted(fd)) {
        refuse(control, fd, "refused a connection of another user");
        close(fd);
        return;
    }
    connection->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (connection->event_fd >= 0 &&
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0 &&
        memory_create(&connection->peer, "caraway-peer", CARAWAY_PEER_MEMFD_SIZE,
                      MEMORY_READ_WRITE) &&
        SetNotifyFd(fd, connection_ready, X_NOTIFY_READ, control)) {
        connection->fd = fd;
        connection->input_fd = pair[0];
        if (!send_hello(control, connection, pair[1]))
            drop(control, connection);
    } else {
        refuse(control, fd, "the X server is out of descriptors or memory");
        close(fd);
        close_descriptor(&pair[0]);
        close_descriptor(&connection->event_fd);
        memory_destroy(&connection->peer);
    }
    close_descriptor(&pair[1]);
}

static void listener_ready(int fd, int events _X_UNUSED, void *data)
{
    int accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (accepted >= 0)
        greet(data, accepted);
}

/* ---- receiving: every byte is untrusted ---- */

static void attach(struct control *control)
{
    struct caraway *caraway = control->caraway;

    drop(control, &control->attached);
    control->attached = control->pending;
    control->pending = NO_CONNECTION;
    blocks_attach(&caraway->blocks, control->attached.peer.base, control->attached.event_fd);
    input_attach(control->attached.input_fd);
    /* The server may have armed itself before it was attached. */
    ring_wake_always(&caraway->ring);
    say(control, X_INFO, "server attached");
}

static void receive_answer(struct control *control, const void *message, ssize_t size)
{
    struct connection *connection = &control->pending;
    struct caraway_hello hello;
    char reason[200];

    if (size == sizeof(struct caraway_refused)) {
        struct caraway_refused refused;
        memcpy(&refused, message, sizeof(refused));
        if (refused.type == CARAWAY_MSG_REFUSED) {
            int length = (int)min(refused.length, 150u);
            for (int i = 0; i < length; i++)
                refused.text[i] =
                    refused.text[i] < ' ' || refused.text[i] > '~' ? '?' : refused.text[i];
            snprintf(reason, sizeof(reason), "the server refused: %.*s", length, refused.text);
            say(control, X_WARNING, reason);
            drop(control, connection);
            return;
        }
    }
    if (size != sizeof(hello)) {
        refuse(control, connection->fd, "the answer to the driver's hello is not a hello");
        drop(control, connection);
        return;
    }
    memcpy(&hello, message, sizeof(hello));
    if (hello.type != CARAWAY_MSG_HELLO || hello.magic != CARAWAY_MAGIC) {
        refuse(control, connection->fd, "the answer to the driver's hello is not a hello");
        drop(control, connection);
    } else if (hello.abi_version != CARAWAY_ABI_VERSION) {
        snprintf(reason, sizeof(reason),
                 "the driver speaks version %u of the ring, the server version %u: install both "
                 "from one release",
                 CARAWAY_ABI_VERSION, hello.abi_version);
        refuse(control, connection->fd, reason);
        drop(control, connection);
    } else {
        attach(control);
    }
}

static void connection_ready(int fd, int events _X_UNUSED, void *data)
{
    struct control *control = data;
    struct caraway_set_monitors monitors;
    Bool have_monitors = FALSE;
    union {
        struct caraway_set_monitors set_monitors;
        char bytes[1024];
    } message;

    for (int i = 0; i < MESSAGES_AT_ONCE; i++) {
        ssize_t size = recv(fd, &message, sizeof(message), MSG_DONTWAIT);

        if (size < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (size <= 0) {
            drop(control, fd == control->pending.fd ? &control->pending : &control->attached);
            return;
        }
        if (fd == control->pending.fd) {
            receive_answer(control, &message, size);
            if (fd != control->attached.fd)
                return;
        } else if (size == sizeof(monitors) &&
                   message.set_monitors.type == CARAWAY_MSG_SET_MONITORS) {
            monitors = message.set_monitors;
            have_monitors = TRUE;
        }
    }
    /* Of several requests the last one counts. */
    if (have_monitors && !modes_set_monitors(control->caraway, &monitors))
        say(control, X_WARNING, "the requested monitors are not possible");
}

/* ---- the socket ---- */

/* A socket file that nobody listens on is left over from a server that died. */
static Bool is_stale(const struct sockaddr_un *address)
{
    struct stat status;
    int probe = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    Bool refused;

    if (probe < 0)
        return FALSE;
    refused = connect(probe, (const struct sockaddr *)address, sizeof(*address)) != 0 &&
              errno == ECONNREFUSED;
    close(probe);
    return refused && lstat(address->sun_path, &status) == 0 && S_ISSOCK(status.st_mode);
}

static int listen_on(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address.sun_path, path);

    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    /* The mode of the socket becomes the file's at bind: there is no moment at which others may
     * connect. */
    Bool listening = fchmod(fd, S_IRUSR | S_IWUSR) == 0;
    if (listening && bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        listening = errno == EADDRINUSE && is_stale(&address) && unlink(path) == 0 &&
                    bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
    if (listening && listen(fd, LISTEN_BACKLOG) == 0)
        return fd;

    int reason = errno;
    close(fd);
    errno = reason;
    return -1;
}

Bool control_open(struct caraway *caraway)
{
    struct control *control = XNFcallocarray(1, sizeof(*control));
    struct stat status;

    control->caraway = caraway;
    control->attached = NO_CONNECTION;
    control->pending = NO_CONNECTION;
    control->listener = listen_on(caraway->socket_path);
    if (control->listener < 0 || stat(caraway->socket_path, &status) != 0 ||
        !SetNotifyFd(control->listener, listener_ready, X_NOTIFY_READ, control)) {
        xf86DrvMsg(caraway->scrn->scrnIndex, X_ERROR, "cannot listen on %s: %s\n",
                   caraway->socket_path, strerror(errno));
        close_descriptor(&control->listener);
        free(control);
        return FALSE;
    }
    control->device = status.st_dev;
    control->inode = status.st_ino;
    caraway->control = control;
    input_bind(&caraway->blocks);
    return TRUE;
}

void control_close(struct caraway *caraway)
{
    struct control *control = caraway->control;
    struct stat status;

    if (!control)
        return;
    drop(control, &control->pending);
    drop(control, &control->attached);
    input_bind(NULL);
    RemoveNotifyFd(control->listener);
    close(control->listener);
    if (lstat(caraway->socket_path, &status) == 0 && status.st_dev == control->device &&
        status.st_ino == control->inode)
        unlink(caraway->socket_path);
    free(control);
    caraway->control = NULL;
}
