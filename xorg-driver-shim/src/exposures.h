/* Drawing that X has asked clients for. SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifndef CARAWAY_EXPOSURES_H
#define CARAWAY_EXPOSURES_H

#include "driver.h"

/* Wraps WindowExposures. */
void exposures_wrap(struct caraway *caraway);
void exposures_unwrap(struct caraway *caraway);

/* X is about to sleep: whether a client has still to answer what it was told. To be asked once for each sleep. */
Bool exposures_are_awaited(struct caraway *caraway);

#endif
