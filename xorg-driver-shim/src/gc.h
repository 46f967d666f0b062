/* Drawing through graphics contexts becomes operations. SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef CARAWAY_GC_H
#define CARAWAY_GC_H

#include "driver.h"

/* Wraps CreateGC, to be called after DamageSetup. */
Bool gc_wrap(struct caraway *caraway);
void gc_unwrap(struct caraway *caraway);

#endif
