/*
 * Input devices, fed through the attached server's input socket.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef CARAWAY_INPUT_H
#define CARAWAY_INPUT_H

#include "driver.h"

/* The input driver, for the module's setup. */
extern InputDriverRec input_driver;

/* Main thread: where LED bits are published; NULL when the screen goes. */
void input_bind(struct blocks *blocks);

/* Main thread: reads input from `fd` from now on. The caller keeps the descriptor until
 * input_detach. */
void input_attach(int fd);

/* Main thread: stops reading and releases every key and button that is down. */
void input_detach(void);

#endif
