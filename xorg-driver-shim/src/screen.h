/* The screen's life: ScreenInit to CloseScreen. SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifndef CARAWAY_SCREEN_H
#define CARAWAY_SCREEN_H

#include "driver.h"

/* ScrnInfoRec.ScreenInit. */
Bool screen_init(ScreenPtr screen, int argc, char **argv);

/* xf86CrtcConfigFuncsRec.resize: gives the screen another size, in other memory where needed. */
Bool screen_resize(ScrnInfoPtr scrn, int width, int height);

#endif
