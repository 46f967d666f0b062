/*
 * Exposures: drawing that X has asked clients for.
 *
 * When windows move, come or go, X copies and fills what it can and tells clients what else they have to draw. Until
 * they have read that X has nothing to do, and the frame buffer holds half of a drawing: a server that was told that
 * X is idle would show that half, and the other half a frame later. So X is not idle before every client that was told
 * has drawn and waits for X in turn, as XSync does, or has let AWAITED_MS go by. What a client sends without waiting
 * may be the first of several flushes. A server that waits has a limit of its own.
 *
 * Clients are known by their index and the number of their last request, never by pointer: they may end meanwhile.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "exposures.h"

#include "draw.h"

/* A client that has not answered in this time is not going to at once. */
#define AWAITED_MS 5

static void window_exposures(WindowPtr window, RegionPtr exposed)
{
    ScreenPtr screen = window->drawable.pScreen;
    struct caraway *caraway = caraway_of_screen(screen);
    struct exposures *exposures = &caraway->exposures;
    int client = CLIENT_ID(window->drawable.id);

    /* What is redirected is drawn off the screen; a window that nobody listens for is done when X has painted it. */
    if (client != 0 && (window->eventMask & ExposureMask) && exposed && RegionNotEmpty(exposed) &&
        draw_is_on_screen(caraway, &window->drawable)) {
        unsigned known = 0;

        while (known < exposures->count && exposures->awaited[known].client != client)
            known++;
        if (known < EXPOSURES_AWAITED_MAX) {
            exposures->awaited[known] = (struct awaited){ .client = client, .is_new = TRUE };
            if (known == exposures->count)
                exposures->count++;
        }
    }

    screen->WindowExposures = caraway->window_exposures;
    screen->WindowExposures(window, exposed);
    caraway->window_exposures = screen->WindowExposures;
    screen->WindowExposures = window_exposures;

    /* What X paints of backgrounds is nobody's answer. */
    for (unsigned i = 0; i < exposures->count; i++)
        exposures->awaited[i].painted = caraway->ring.done;
}

/* Whether the client may have more to draw. What was exposed since the last look it has been told only now. */
static Bool is_awaited(struct awaited *awaited, uint64_t done, CARD32 now)
{
    ClientPtr client = clients[awaited->client];

    if (!client || client->clientGone)
        return FALSE;
    Bool waits_for_x = client->majorOp == X_GetInputFocus;
    if (awaited->is_new) {
        /* Events may have been flushed, and answered, without a look in between. */
        if (waits_for_x && done != awaited->painted)
            return FALSE;
        awaited->is_new = FALSE;
        awaited->sequence = client->sequence;
        awaited->since_ms = now;
        return TRUE;
    }
    if (waits_for_x && client->sequence != awaited->sequence)
        return FALSE;
    return now - awaited->since_ms < AWAITED_MS;
}

Bool exposures_are_awaited(struct caraway *caraway)
{
    struct exposures *exposures = &caraway->exposures;
    unsigned left = 0;
    CARD32 now;

    if (exposures->count == 0)
        return FALSE;
    now = GetTimeInMillis();
    for (unsigned i = 0; i < exposures->count; i++)
        if (is_awaited(&exposures->awaited[i], caraway->ring.done, now))
            exposures->awaited[left++] = exposures->awaited[i];
    exposures->count = left;
    return left != 0;
}

void exposures_wrap(struct caraway *caraway)
{
    caraway->exposures.count = 0;
    caraway->window_exposures = caraway->screen->WindowExposures;
    caraway->screen->WindowExposures = window_exposures;
}

void exposures_unwrap(struct caraway *caraway)
{
    caraway->screen->WindowExposures = caraway->window_exposures;
}
