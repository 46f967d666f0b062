/*
 * The X server's headers, and every difference between its versions.
 *
 * One source builds against Xorg 1.20 (video ABI 24) and 21.1 (25); the binary loads in the server
 * it was built for. Only the SDK's public headers are used.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef CARAWAY_COMPAT_H
#define CARAWAY_COMPAT_H

#include <xorg-server.h>

#include <xf86.h>
#include <xf86Crtc.h>
#include <xf86Modes.h>
#include <xf86Opt.h>
#include <xf86Xinput.h>
#include <xf86_OSproc.h>

#include <damage.h>
#include <exevents.h>
#include <fb.h>
#include <inputstr.h>
#include <mi.h>
#include <micmap.h>
#include <mipict.h>
#include <mipointer.h>
#include <picturestr.h>
#include <randrstr.h>
#include <xkbsrv.h>
#include <xserver-properties.h>

#if GET_ABI_MAJOR(ABI_VIDEODRV_VERSION) < 24
#error "Xorg 1.20 or newer is needed (video driver ABI 24)"
#endif

/* XLibre 25.2 no longer pulls this in; the older servers have it too. */
#include <X11/extensions/dpmsconst.h>

/* What this module was built for: the loader compares major numbers only. */
#define COMPAT_VIDEO_ABI_MAJOR GET_ABI_MAJOR(ABI_VIDEODRV_VERSION)
#define COMPAT_VIDEO_ABI_MINOR GET_ABI_MINOR(ABI_VIDEODRV_VERSION)
#define COMPAT_INPUT_ABI_MAJOR GET_ABI_MAJOR(ABI_XINPUT_VERSION)
#define COMPAT_INPUT_ABI_MINOR GET_ABI_MINOR(ABI_XINPUT_VERSION)

#endif
