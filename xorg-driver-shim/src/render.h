/* Drawing by the Render extension becomes operations. SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifndef CARAWAY_RENDER_H
#define CARAWAY_RENDER_H

#include "driver.h"

/* Wraps the picture screen's functions, to be called after DamageSetup and fbPictureInit. */
void render_wrap(struct caraway *caraway);
void render_unwrap(struct caraway *caraway);

#endif
