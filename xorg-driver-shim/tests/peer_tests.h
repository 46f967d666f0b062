/* The tests of peer_test.c, one function a subject. SPDX-License-Identifier: MIT OR Apache-2.0 */
#ifndef CARAWAY_TESTS_PEER_TESTS_H
#define CARAWAY_TESTS_PEER_TESTS_H

#include "xserver.h"

void test_attach(struct xserver *server);
void test_pixels(struct xserver *server);
void test_modes(struct xserver *server);
void test_cursor(struct xserver *server);
void test_input(struct xserver *server);

#endif
