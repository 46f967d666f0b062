/*
 * The screen: a frame buffer that Xorg's fb renders into, wrapped so that drawing becomes records.
 *
 * The order in screen_init matters. Damage goes around fb first and the driver's wrappers around
 * Damage, so that a wrapper knows what an operation is before Damage reports where it drew.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "screen.h"

#include <errno.h>
#include <string.h>

#include "control.h"
#include "cursor.h"
#include "draw.h"
#include "exposures.h"
#include "gc.h"
#include "modes.h"
#include "render.h"
#include "window.h"

#define SCREEN_BITS_PER_PIXEL 32

static void use_framebuffer(struct caraway *caraway)
{
    const struct framebuffer *framebuffer = &caraway->framebuffer;
    ScrnInfoPtr scrn = caraway->scrn;

    scrn->virtualX = (int)framebuffer->width;
    scrn->virtualY = (int)framebuffer->height;
    scrn->displayWidth = (int)(framebuffer->stride / (SCREEN_BITS_PER_PIXEL / 8));
}

Bool screen_resize(ScrnInfoPtr scrn, int width, int height)
{
    struct caraway *caraway = caraway_of_scrn(scrn);
    struct framebuffer old = caraway->framebuffer, next;
    bool reallocated;

    if (width == scrn->virtualX && height == scrn->virtualY)
        return TRUE;
    if (width <= 0 || height <= 0 ||
        !framebuffer_fit(&old, (uint32_t)width, (uint32_t)height, &next, &reallocated)) {
        xf86DrvMsg(scrn->scrnIndex, X_ERROR, "no screen of %dx%d: %s\n", width, height,
                   strerror(errno));
        return FALSE;
    }
    /* What lies in reused memory has another stride: nothing of it may be seen. */
    if (!reallocated)
        memset(next.memory.base, 0, (size_t)next.stride * next.height);

    PixmapPtr pixmap = scrn->pScreen->GetScreenPixmap(scrn->pScreen);
    if (!scrn->pScreen->ModifyPixmapHeader(pixmap, width, height, -1, -1, (int)next.stride,
                                           next.memory.base)) {
        if (reallocated)
            memory_destroy(&next.memory);
        return FALSE;
    }
    caraway->framebuffer = next;
    use_framebuffer(caraway);
    if (reallocated) {
        control_send_framebuffer(caraway);
        memory_destroy(&old.memory);
    }
    blocks_set_mode(&caraway->blocks, &caraway->framebuffer);
    return TRUE;
}

static Bool save_screen(ScreenPtr screen, int mode)
{
    ScrnInfoPtr scrn = screen ? xf86ScreenToScrn(screen) : NULL;

    /* The pixels stay: a session seen from afar is blanked, if at all, by whoever shows it. */
    if (scrn && caraway_of_scrn(scrn)->ring.records)
        blocks_set_blanked(&caraway_of_scrn(scrn)->blocks, !xf86IsUnblank(mode));
    return TRUE;
}

static void block_handler(ScreenPtr screen, void *timeout)
{
    struct caraway *caraway = caraway_of_screen(screen);

    screen->BlockHandler = caraway->block_handler;
    screen->BlockHandler(screen, timeout);
    caraway->block_handler = screen->BlockHandler;
    screen->BlockHandler = block_handler;

    modes_publish_monitors(caraway);
    cursor_follow_pointer(caraway);
    /* With clients left to serve the server polls without waiting. */
    Bool awaited = exposures_are_awaited(caraway);
    if (*(int *)timeout != 0 && !awaited)
        ring_idle(&caraway->ring);
}

static Bool create_screen_resources(ScreenPtr screen)
{
    struct caraway *caraway = caraway_of_screen(screen);

    screen->CreateScreenResources = caraway->create_screen_resources;
    Bool created = screen->CreateScreenResources(screen);
    screen->CreateScreenResources = create_screen_resources;
    if (!created || !draw_attach(caraway))
        return FALSE;
    modes_publish_monitors(caraway);
    return control_open(caraway);
}

static void free_memory(struct caraway *caraway)
{
    if (caraway->ring.records) {
        blocks_fini(&caraway->blocks);
        ring_destroy(&caraway->ring);
    }
    memory_destroy(&caraway->framebuffer.memory);
}

static Bool close_screen(ScreenPtr screen)
{
    struct caraway *caraway = caraway_of_screen(screen);

    control_close(caraway);
    cursor_fini(caraway);
    render_unwrap(caraway);
    exposures_unwrap(caraway);
    window_unwrap(caraway);
    gc_unwrap(caraway);
    draw_detach(caraway);
    screen->BlockHandler = caraway->block_handler;
    screen->CreateScreenResources = caraway->create_screen_resources;
    screen->CloseScreen = caraway->close_screen;
    caraway->scrn->vtSema = FALSE;
    Bool closed = screen->CloseScreen(screen);
    free_memory(caraway);
    caraway->screen = NULL;
    return closed;
}

static Bool allocate_memory(struct caraway *caraway)
{
    ScrnInfoPtr scrn = caraway->scrn;
    struct framebuffer none = { .memory = MEMORY_NONE };
    bool reallocated;

    caraway->framebuffer = none;
    if (!framebuffer_fit(&none, (uint32_t)scrn->virtualX, (uint32_t)scrn->virtualY,
                         &caraway->framebuffer, &reallocated) ||
        !ring_create(&caraway->ring)) {
        xf86DrvMsg(scrn->scrnIndex, X_ERROR, "cannot make shared memory: %s\n", strerror(errno));
        return FALSE;
    }
    blocks_init(&caraway->blocks, &caraway->ring);
    use_framebuffer(caraway);
    blocks_set_mode(&caraway->blocks, &caraway->framebuffer);
    return TRUE;
}

static void set_visual_masks(ScreenPtr screen, ScrnInfoPtr scrn)
{
    for (VisualPtr visual = screen->visuals; visual < screen->visuals + screen->numVisuals;
         visual++) {
        if ((visual->class | DynamicClass) != DirectColor)
            continue;
        visual->offsetRed = (int)scrn->offset.red;
        visual->offsetGreen = (int)scrn->offset.green;
        visual->offsetBlue = (int)scrn->offset.blue;
        visual->redMask = scrn->mask.red;
        visual->greenMask = scrn->mask.green;
        visual->blueMask = scrn->mask.blue;
    }
}

static Bool init_rendering(ScreenPtr screen, struct caraway *caraway)
{
    ScrnInfoPtr scrn = caraway->scrn;

    miClearVisualTypes();
    if (!miSetVisualTypes(scrn->depth, TrueColorMask, scrn->rgbBits, TrueColor) ||
        !miSetPixmapDepths())
        return FALSE;
    if (!fbScreenInit(screen, caraway->framebuffer.memory.base, scrn->virtualX, scrn->virtualY,
                      scrn->xDpi, scrn->yDpi, scrn->displayWidth, SCREEN_BITS_PER_PIXEL))
        return FALSE;
    set_visual_masks(screen, scrn);
    if (!fbPictureInit(screen, NULL, 0))
        return FALSE;
    xf86SetBlackWhitePixels(screen);
    return miCreateDefColormap(screen);
}

static Bool init_wrappers(ScreenPtr screen, struct caraway *caraway)
{
    caraway->create_screen_resources = screen->CreateScreenResources;
    screen->CreateScreenResources = create_screen_resources;
    caraway->block_handler = screen->BlockHandler;
    screen->BlockHandler = block_handler;
    screen->SaveScreen = save_screen;

    if (!DamageSetup(screen) || !gc_wrap(caraway))
        return FALSE;
    window_wrap(caraway);
    exposures_wrap(caraway);
    render_wrap(caraway);
    return TRUE;
}

Bool screen_init(ScreenPtr screen, int argc _X_UNUSED, char **argv _X_UNUSED)
{
    ScrnInfoPtr scrn = xf86ScreenToScrn(screen);
    struct caraway *caraway = caraway_of_scrn(scrn);

    caraway->screen = screen;
    caraway->operation = NULL;
    scrn->pScreen = screen;
    scrn->vtSema = TRUE;
    modes_reset(caraway);
    if (!allocate_memory(caraway) || !init_rendering(screen, caraway) ||
        !init_wrappers(screen, caraway) || !cursor_init(caraway) || !xf86CrtcScreenInit(screen) ||
        !xf86SetDesiredModes(scrn)) {
        free_memory(caraway);
        return FALSE;
    }
    caraway->close_screen = screen->CloseScreen;
    screen->CloseScreen = close_screen;
    return TRUE;
}
