/* Drawing that X has asked clients for. SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifndef CARAWAY_EXPOSURES_H
#define CARAWAY_EXPOSURES_H

#include "driver.h"

/* Wraps WindowExposures. */
void exposures_wrap(struct caraway *caraway);
void exposures_unwrap(struct caraway *caraway);

/* X is about to look for requests: whether a client may have more to draw of what it was told. To be asked at each
 * look, for that is when a client has been told. */
Bool exposures_are_awaited(struct caraway *caraway);

#endif
