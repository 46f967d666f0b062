/*
 * Outputs, modes and the layout of monitors, by RandR 1.2.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef CARAWAY_MODES_H
#define CARAWAY_MODES_H

#include "driver.h"

/* Makes the outputs and their first configuration, `width` x `height` on the first (PreInit). */
Bool modes_init(struct caraway *caraway, int width, int height);

/* Takes back what a screen before this one was asked for (a server generation's end). */
void modes_reset(struct caraway *caraway);

/* Applies what the server asked for. FALSE when it cannot be: nothing has changed then, or RandR
 * logged it. */
Bool modes_set_monitors(struct caraway *caraway, const struct caraway_set_monitors *request);

/* Publishes the layout if RandR changed it since the last call. */
void modes_publish_monitors(struct caraway *caraway);

#endif
