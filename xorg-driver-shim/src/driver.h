/*
 * What the driver keeps for its one screen, and who calls what.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef CARAWAY_DRIVER_H
#define CARAWAY_DRIVER_H

#include "compat.h"

#include "blocks.h"
#include "framebuffer.h"
#include "ring.h"

#define CARAWAY_DRIVER_NAME "caraway"

struct control;
struct operation;

/* One output, its controller and what the server asked of it. */
struct head {
    unsigned id;
    Bool connected;
    int width, height; /* the preferred mode, pixels */
};

/* Clients that are awaited at a time; of more X does not wait for the rest. */
#define EXPOSURES_AWAITED_MAX 16

/* A client that was told of exposures, and the last request that it had sent by then. */
struct awaited {
    int client;
    uint64_t painted; /* records when X had painted what it could itself */
    Bool is_new; /* told since X looked for requests last */
    int sequence;
    CARD32 since_ms;
};

struct exposures {
    struct awaited awaited[EXPOSURES_AWAITED_MAX];
    unsigned count;
};

struct caraway {
    ScrnInfoPtr scrn;
    ScreenPtr screen;
    OptionInfoPtr options;
    const char *socket_path;

    struct ring ring;
    struct blocks blocks;
    struct framebuffer framebuffer;
    struct head heads[CARAWAY_HEADS_MAX];
    int dpi;               /* of the screen and its outputs */
    Bool monitors_changed; /* the RandR layout may differ from the published one */
    struct control *control;

    /* Drawing, main thread only. */
    PixmapPtr screen_pixmap;
    DamagePtr damage;
    struct operation *operation; /* the innermost one being drawn */
    struct rect_group report;    /* room for one Damage report */
    struct exposures exposures;

    /* The cursor that the shared memory shows, to tell a new shape from a shown one. */
    CursorPtr cursor;
    CARD32 cursor_serial;

    /* What the wrappers call. */
    CloseScreenProcPtr close_screen;
    CreateScreenResourcesProcPtr create_screen_resources;
    ScreenBlockHandlerProcPtr block_handler;
    CreateGCProcPtr create_gc;
    CopyWindowProcPtr copy_window;
    WindowExposuresProcPtr window_exposures;
    RecolorCursorProcPtr recolor_cursor;
    CompositeProcPtr composite;
    GlyphsProcPtr glyphs;
    AddTrapsProcPtr add_traps;
};

static inline struct caraway *caraway_of_scrn(ScrnInfoPtr scrn)
{
    return scrn->driverPrivate;
}

static inline struct caraway *caraway_of_screen(ScreenPtr screen)
{
    return caraway_of_scrn(xf86ScreenToScrn(screen));
}

#endif
