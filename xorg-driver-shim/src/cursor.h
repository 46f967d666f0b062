/* The cursor: its image and place go to the shared memory. SPDX-License-Identifier: MIT OR
 * Apache-2.0 */
#ifndef CARAWAY_CURSOR_H
#define CARAWAY_CURSOR_H

#include "driver.h"

Bool cursor_init(struct caraway *caraway);
void cursor_fini(struct caraway *caraway);

/* Takes the pointer's place where the server moved it without showing a cursor. */
void cursor_follow_pointer(struct caraway *caraway);

#endif
