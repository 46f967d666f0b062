/* Moving windows becomes copies. SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifndef CARAWAY_WINDOW_H
#define CARAWAY_WINDOW_H

#include "driver.h"

/* Wraps CopyWindow, to be called after DamageSetup. */
void window_wrap(struct caraway *caraway);
void window_unwrap(struct caraway *caraway);

#endif
