/*
 * The three X input devices: keyboard, absolute and relative pointer.
 *
 * The device_post functions take untrusted values and ignore what is out of range. They and
 * device_release_all are called with Xorg's input lock.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef CARAWAY_DEVICE_H
#define CARAWAY_DEVICE_H

#include "driver.h"

/* evdev code, pressed or not. */
void device_post_key(int code, int down);
/* Screen pixels. */
void device_post_absolute(int x, int y);
void device_post_relative(int dx, int dy);
/* X button number, pressed or not. */
void device_post_button(int button, int down);
/* 1/120 detents, positive down and right. */
void device_post_scroll(int vertical, int horizontal);

/* Releases every key and button that came through here. */
void device_release_all(void);

/* What input.c does for the devices: has the input thread watch while a device is on, and tells
 * LEDs. */
void input_watch(InputInfoPtr info);
void input_unwatch(InputInfoPtr info, InputInfoPtr successor);
void input_publish_leds(uint32_t leds);

#endif
