/*
 * The contract between a producer of pixels (the Xorg driver) and caraway-server.
 *
 * docs/ring.md explains it; src/ring/layout.rs mirrors it; `cargo test --test abi` compares the two.
 * Everything is little-endian, at fixed offsets, and says nothing about X11: another producer may fill it.
 * Records use QXL's numbers and layouts (spice/qxl_dev.h of spice-protocol) as far as they apply.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef CARAWAY_SHIM_ABI_H
#define CARAWAY_SHIM_ABI_H

#include <stdint.h>

#define CARAWAY_MAGIC 0x59575243u /* "CRWY" */
#define CARAWAY_ABI_VERSION 2u    /* any change of this file's meaning counts it up */

/* ---- limits ---- */
#define CARAWAY_SIDE_MAX 8192u       /* width and height of a screen, pixels */
#define CARAWAY_HEADS_MAX 4u         /* RandR outputs */
#define CARAWAY_CURSOR_SIDE_MAX 256u /* larger cursors are cropped around their hot spot */
#define CARAWAY_CURSOR_SLOTS 4u
#define CARAWAY_RING_SLOTS 65536u /* a power of two */
#define CARAWAY_GROUP_MAX 256u    /* rectangles of one operation; more become one DAMAGE of their extents */
#define CARAWAY_STRIDE_ALIGN 64u  /* bytes; a stride is never a multiple of 4096 */

/* ---- QXL geometry (QXLRect, QXLPoint, QXLHead, QXLMonitorsConfig) ---- */
struct caraway_rect {
    int32_t top, left, bottom, right; /* half-open, in QXLRect's order */
};

struct caraway_point {
    int32_t x, y;
};

struct caraway_head {
    uint32_t id; /* output number, 0 to CARAWAY_HEADS_MAX - 1 */
    uint32_t surface_id;
    uint32_t width, height;
    uint32_t x, y;
    uint32_t flags;
};

struct caraway_monitors_config {
    uint16_t count;
    uint16_t max_allowed;
    struct caraway_head heads[CARAWAY_HEADS_MAX];
};

/* ---- records ---- */
enum caraway_record_type {
    CARAWAY_DAMAGE = 3,   /* QXL_DRAW_COPY whose pixels are bound late: `bbox` holds new pixels in the frame buffer */
    CARAWAY_FILL = 1,     /* QXL_DRAW_FILL with a solid brush and ROPD_OP_PUT: every pixel of `bbox` is `color` */
    CARAWAY_COPY_BITS = 4,/* QXL_COPY_BITS: `bbox` holds what lay at `src_pos` before */
    CARAWAY_MODE = 0x80   /* the mode block below changed; `bbox` is the new screen */
};

/* 32 bytes. `sequence` is written last (release): the low 32 bits of the record's position + 1. */
struct caraway_record {
    uint32_t sequence;
    uint8_t type;  /* enum caraway_record_type */
    uint8_t flags; /* 0 */
    uint16_t more; /* rectangles of the same operation that follow this one, at most CARAWAY_GROUP_MAX - 1 */
    struct caraway_rect bbox;
    union {
        struct caraway_point src_pos; /* COPY_BITS: the source of bbox's top left corner */
        struct {
            uint32_t color; /* FILL: 0x00RRGGBB */
            uint32_t reserved;
        } fill;
    } u;
};

/* ---- the ring memfd: written by the producer, mapped read-only by the server ---- */
/* Sealed F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL once the producer has mapped it. */

/* Offset 0. Constant from before the first hello on. */
struct caraway_header {
    uint32_t magic;
    uint32_t abi_version;
    uint32_t ring_offset;
    uint32_t ring_slots;
    uint32_t record_size;
    uint32_t cursor_offset;
    uint32_t cursor_slot_size;
    uint32_t cursor_slots;
    uint32_t cursor_side_max;
    uint32_t side_max;
    uint32_t heads_max;
    uint32_t total_size; /* bytes of the memfd */
    uint32_t reserved[4];
};

/* Offset 64. Counters: positions count records from 0 and never wrap. */
struct caraway_progress {
    uint64_t begun;     /* position behind the record of the operation being drawn now; >= done */
    uint64_t done;      /* records below this position are published and their pixels are in the frame buffer */
    uint64_t idle_done; /* `done` when the producer last ran out of client requests */
    uint64_t reserved[5];
};

/* Offset 128. Single words that change on their own. */
struct caraway_state {
    uint32_t leds;    /* bit 0 scroll, 1 num, 2 caps lock: SPICE's keyboard modifier flags */
    uint32_t blanked; /* 1 while a screen saver blanks; pixels stay as they are */
    uint32_t reserved[14];
};

/* Offset 192. A seqlock: `lock` is odd while the rest changes; a reader copies, then compares `lock`. */
struct caraway_mode {
    uint32_t lock;
    uint32_t generation; /* counts modes, from 1 */
    uint32_t width, height;
    uint32_t stride; /* bytes */
    uint32_t format; /* SPICE_SURFACE_FMT_32_xRGB = 32 */
    uint32_t framebuffer_id; /* which memfd (see FRAMEBUFFER message) the pixels are in */
    uint32_t reserved0;
    uint64_t framebuffer_offset; /* bytes into that memfd, 0 in this version */
    uint64_t framebuffer_size;   /* bytes of that memfd */
    uint32_t reserved[4];
};

/* Offset 256. A seqlock of its own. Heads that are on, in order of id. */
struct caraway_monitors {
    uint32_t lock;
    struct caraway_monitors_config config;
    uint32_t reserved[34];
};

/* Offset 512. A seqlock of its own: position changes in the input thread, shape in the main thread
 * (the producer serialises its two threads by a mutex). */
struct caraway_cursor {
    uint32_t lock;
    uint32_t shape; /* counts shapes, 0 before the first */
    int32_t x, y;   /* hot spot on the screen */
    uint32_t visible;
    uint16_t width, height;
    uint16_t hot_x, hot_y;
    uint32_t slot; /* cursor image slot that holds shape: width * height premultiplied 0xAARRGGBB, no padding */
    uint32_t reserved[8];
};

#define CARAWAY_PROGRESS_OFFSET 64u
#define CARAWAY_STATE_OFFSET 128u
#define CARAWAY_MODE_OFFSET 192u
#define CARAWAY_MONITORS_OFFSET 256u
#define CARAWAY_CURSOR_OFFSET 512u
#define CARAWAY_CURSOR_IMAGES_OFFSET 4096u
#define CARAWAY_CURSOR_SLOT_SIZE (CARAWAY_CURSOR_SIDE_MAX * CARAWAY_CURSOR_SIDE_MAX * 4u)
#define CARAWAY_RING_OFFSET (CARAWAY_CURSOR_IMAGES_OFFSET + CARAWAY_CURSOR_SLOTS * CARAWAY_CURSOR_SLOT_SIZE)
#define CARAWAY_RING_MEMFD_SIZE (CARAWAY_RING_OFFSET + CARAWAY_RING_SLOTS * 32u)

/* ---- the peer memfd: one page that the server writes; the producer trusts nothing in it ---- */
/* Sealed F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL. */
enum caraway_waiting {
    CARAWAY_WAIT_NONE = 0,
    CARAWAY_WAIT_RECORD = 1, /* write the eventfd at the next record, cursor, LED or mode change */
    CARAWAY_WAIT_IDLE = 2    /* write it when the producer has run out of client requests */
};

struct caraway_peer {
    uint32_t waiting; /* enum caraway_waiting; the producer takes it back to NONE by compare-and-swap, then writes */
    uint32_t reserved[15];
};

#define CARAWAY_PEER_MEMFD_SIZE 4096u

/* ---- control socket: SOCK_SEQPACKET, the producer listens, one datagram a message ---- */
enum caraway_control_type {
    CARAWAY_MSG_HELLO = 1,       /* producer -> server at accept, then server -> producer (no descriptors) */
    CARAWAY_MSG_FRAMEBUFFER = 2, /* producer -> server: SCM_RIGHTS [frame buffer memfd] */
    CARAWAY_MSG_REFUSED = 3,     /* either way: a sentence, then close */
    CARAWAY_MSG_SET_MONITORS = 4 /* server -> producer: struct caraway_set_monitors */
};

/* From the producer: SCM_RIGHTS [ring, peer, eventfd, input socket, frame buffer], in this order. */
struct caraway_hello {
    uint32_t type;
    uint32_t magic;
    uint32_t abi_version;
    uint32_t ring_size;      /* 0 from the server */
    uint32_t framebuffer_id; /* 0 from the server */
    uint32_t reserved;
};

struct caraway_framebuffer {
    uint32_t type;
    uint32_t framebuffer_id;
    uint64_t size;
};

struct caraway_refused {
    uint32_t type;
    uint32_t length; /* bytes of text, no NUL needed */
    char text[248];
};

struct caraway_set_monitors {
    uint32_t type;
    struct caraway_monitors_config config; /* heads not named are switched off; at least one must be on */
    uint32_t dpi;                          /* dots per inch of screen and outputs, 48 to 480; 0 for 96 */
};

/* ---- input socket: SOCK_SEQPACKET pair made by the producer, served in its input thread ---- */
enum caraway_input_type {
    CARAWAY_INPUT_KEY = 1,    /* a = evdev code (1 to 247), b = 1 down, 0 up */
    CARAWAY_INPUT_ABS = 2,    /* a, b = x, y in screen pixels */
    CARAWAY_INPUT_REL = 3,    /* a, b = dx, dy in pixels, not accelerated */
    CARAWAY_INPUT_BUTTON = 4, /* a = X button (1 left, 2 middle, 3 right, 8 back, 9 forward, to 16), b = 1 down, 0 up */
    CARAWAY_INPUT_SCROLL = 5, /* a, b = vertical, horizontal, in 1/120 detents; positive is down and right */
    CARAWAY_INPUT_LEDS = 6    /* producer -> server: a = LED bits as in caraway_state.leds */
};

/* A datagram holds one or more of these. */
struct caraway_input {
    uint32_t type;
    int32_t a, b;
    uint32_t reserved;
};

#define CARAWAY_INPUT_BATCH_MAX 64u

#if defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
_Static_assert(sizeof(struct caraway_record) == 32, "record");
_Static_assert(sizeof(struct caraway_header) == 64, "header");
_Static_assert(sizeof(struct caraway_progress) == 64, "progress");
_Static_assert(sizeof(struct caraway_state) == 64, "state");
_Static_assert(sizeof(struct caraway_mode) == 64, "mode");
_Static_assert(sizeof(struct caraway_monitors) == 256, "monitors");
_Static_assert(sizeof(struct caraway_cursor) == 64, "cursor");
_Static_assert(sizeof(struct caraway_peer) == 64, "peer");
_Static_assert(sizeof(struct caraway_hello) == 24, "hello");
_Static_assert(sizeof(struct caraway_framebuffer) == 16, "framebuffer");
_Static_assert(sizeof(struct caraway_refused) == 256, "refused");
_Static_assert(sizeof(struct caraway_input) == 16, "input");
#endif

#endif
