/*
 * The module: one shared object with the video driver and the input driver "caraway".
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "driver.h"

#include <stdio.h>
#include <string.h>

#include "control.h"
#include "input.h"
#include "modes.h"
#include "screen.h"

#define DRIVER_VERSION_MAJOR 0
#define DRIVER_VERSION_MINOR 1
#define DRIVER_VERSION_PATCH 0
#define DRIVER_VERSION \
    (DRIVER_VERSION_MAJOR << 24 | DRIVER_VERSION_MINOR << 16 | DRIVER_VERSION_PATCH)

#define DEFAULT_WIDTH 1280
#define DEFAULT_HEIGHT 800

#define TEXT_OF(value) #value
#define TEXT(value) TEXT_OF(value)

/* For `strings` and bug reports: what this file was built for. */
const char caraway_build_text[] __attribute__((used)) = "caraway_drv " TEXT(
    DRIVER_VERSION_MAJOR) "." TEXT(DRIVER_VERSION_MINOR) "." TEXT(DRIVER_VERSION_PATCH);

enum { OPTION_SOCKET, OPTION_INITIAL_SIZE };

static const OptionInfoRec option_table[] = {
    { OPTION_SOCKET, "Socket", OPTV_STRING, { 0 }, FALSE },
    { OPTION_INITIAL_SIZE, "InitialSize", OPTV_STRING, { 0 }, FALSE },
    { -1, NULL, OPTV_NONE, { 0 }, FALSE },
};

static void parse_size(ScrnInfoPtr scrn, const char *text, int *width, int *height)
{
    int w, h, used = 0;

    *width = DEFAULT_WIDTH;
    *height = DEFAULT_HEIGHT;
    if (!text)
        return;
    if (sscanf(text, "%dx%d%n", &w, &h, &used) != 2 || text[used] != '\0' || w < 64 || h < 64 ||
        w > (int)CARAWAY_SIDE_MAX || h > (int)CARAWAY_SIDE_MAX) {
        xf86DrvMsg(scrn->scrnIndex, X_WARNING,
                   "Option \"InitialSize\" is not a size from 64x64 to %ux%u: %s\n",
                   CARAWAY_SIDE_MAX, CARAWAY_SIDE_MAX, text);
        return;
    }
    *width = w;
    *height = h;
}

static Bool read_options(ScrnInfoPtr scrn, struct caraway *caraway, int *width, int *height)
{
    xf86CollectOptions(scrn, NULL);
    caraway->options = XNFalloc(sizeof(option_table));
    memcpy(caraway->options, option_table, sizeof(option_table));
    xf86ProcessOptions(scrn->scrnIndex, scrn->options, caraway->options);

    caraway->socket_path = xf86GetOptValString(caraway->options, OPTION_SOCKET);
    if (!caraway->socket_path || caraway->socket_path[0] != '/') {
        xf86DrvMsg(scrn->scrnIndex, X_ERROR,
                   "the Device section needs Option \"Socket\" with an absolute path\n");
        return FALSE;
    }
    parse_size(scrn, xf86GetOptValString(caraway->options, OPTION_INITIAL_SIZE), width, height);
    return TRUE;
}

static Bool init_color(ScrnInfoPtr scrn)
{
    Gamma none = { 0.0, 0.0, 0.0 };
    rgb default_rgb = { 0, 0, 0 };

    if (!xf86SetDepthBpp(scrn, 24, 24, 32, Support32bppFb))
        return FALSE;
    if (scrn->depth != 24) {
        xf86DrvMsg(scrn->scrnIndex, X_ERROR, "only depth 24 is supported, not %d\n", scrn->depth);
        return FALSE;
    }
    xf86PrintDepthBpp(scrn);
    return xf86SetWeight(scrn, default_rgb, default_rgb) && xf86SetDefaultVisual(scrn, TrueColor) &&
           xf86SetGamma(scrn, none);
}

static void free_screen(ScrnInfoPtr scrn)
{
    struct caraway *caraway = caraway_of_scrn(scrn);

    if (caraway) {
        free(caraway->options);
        free(caraway);
    }
    scrn->driverPrivate = NULL;
}

static Bool pre_init(ScrnInfoPtr scrn, int flags)
{
    struct caraway *caraway;
    int width, height;

    if (flags & PROBE_DETECT)
        return FALSE;
    /* One socket and one set of input devices serve one screen. */
    if (scrn->numEntities != 1 || scrn->scrnIndex != 0) {
        xf86DrvMsg(scrn->scrnIndex, X_ERROR, "the driver serves one screen\n");
        return FALSE;
    }
    caraway = XNFcallocarray(1, sizeof(*caraway));
    caraway->scrn = scrn;
    caraway->framebuffer.memory = MEMORY_NONE;
    scrn->driverPrivate = caraway;
    scrn->monitor = scrn->confScreen->monitor;
    scrn->progClock = TRUE;
    scrn->rgbBits = 8;

    if (!init_color(scrn) || !read_options(scrn, caraway, &width, &height) ||
        !modes_init(caraway, width, height) || !xf86LoadSubModule(scrn, "fb")) {
        free_screen(scrn);
        return FALSE;
    }
    xf86SetDpi(scrn, 0, 0);
    xf86DrvMsg(scrn->scrnIndex, X_INFO,
               "%s, ring version %u, built for video ABI %d.%d, input ABI %d.%d\n",
               caraway_build_text, CARAWAY_ABI_VERSION, COMPAT_VIDEO_ABI_MAJOR,
               COMPAT_VIDEO_ABI_MINOR, COMPAT_INPUT_ABI_MAJOR, COMPAT_INPUT_ABI_MINOR);
    return TRUE;
}

static Bool switch_mode(ScrnInfoPtr scrn _X_UNUSED, DisplayModePtr mode _X_UNUSED)
{
    return TRUE;
}

static void adjust_frame(ScrnInfoPtr scrn _X_UNUSED, int x _X_UNUSED, int y _X_UNUSED)
{
}

static Bool enter_vt(ScrnInfoPtr scrn _X_UNUSED)
{
    return TRUE;
}

static void leave_vt(ScrnInfoPtr scrn _X_UNUSED)
{
}

static ModeStatus valid_mode(ScrnInfoPtr scrn _X_UNUSED, DisplayModePtr mode _X_UNUSED,
                             Bool verbose _X_UNUSED, int flags _X_UNUSED)
{
    return MODE_OK;
}

static Bool probe(DriverPtr driver, int flags)
{
    GDevPtr *sections;
    int count = xf86MatchDevice(CARAWAY_DRIVER_NAME, &sections);
    Bool found = FALSE;

    if (count <= 0)
        return FALSE;
    for (int i = 0; i < count && !(flags & PROBE_DETECT); i++) {
        int entity = xf86ClaimNoSlot(driver, 0, sections[i], TRUE);
        ScrnInfoPtr scrn = xf86AllocateScreen(driver, 0);

        if (!scrn)
            continue;
        xf86AddEntityToScreen(scrn, entity);
        scrn->driverVersion = DRIVER_VERSION;
        scrn->driverName = CARAWAY_DRIVER_NAME;
        scrn->name = CARAWAY_DRIVER_NAME;
        scrn->Probe = probe;
        scrn->PreInit = pre_init;
        scrn->ScreenInit = screen_init;
        scrn->SwitchMode = switch_mode;
        scrn->AdjustFrame = adjust_frame;
        scrn->EnterVT = enter_vt;
        scrn->LeaveVT = leave_vt;
        scrn->FreeScreen = free_screen;
        scrn->ValidMode = valid_mode;
        found = TRUE;
    }
    free(sections);
    return found || (flags & PROBE_DETECT);
}

static const OptionInfoRec *available_options(int chip _X_UNUSED, int bus _X_UNUSED)
{
    return option_table;
}

static void identify(int flags _X_UNUSED)
{
    xf86Msg(X_INFO, "%s\n", caraway_build_text);
}

/* Without hardware there is no console to take: no root, no virtual terminal, no seat is needed. */
static Bool driver_func(ScrnInfoPtr scrn _X_UNUSED, xorgDriverFuncOp operation, void *data)
{
    if (operation != GET_REQUIRED_HW_INTERFACES)
        return FALSE;
    *(xorgHWFlags *)data = HW_SKIP_CONSOLE;
    return TRUE;
}

static DriverRec video_driver = {
    .driverVersion = DRIVER_VERSION,
    .driverName = CARAWAY_DRIVER_NAME,
    .Identify = identify,
    .Probe = probe,
    .AvailableOptions = available_options,
    .driverFunc = driver_func,
};

static XF86ModuleVersionInfo version_info = {
    .modname = CARAWAY_DRIVER_NAME,
    .vendor = "Caraway",
    ._modinfo1_ = MODINFOSTRING1,
    ._modinfo2_ = MODINFOSTRING2,
    .xf86version = XORG_VERSION_CURRENT,
    .majorversion = DRIVER_VERSION_MAJOR,
    .minorversion = DRIVER_VERSION_MINOR,
    .patchlevel = DRIVER_VERSION_PATCH,
    .abiclass = ABI_CLASS_VIDEODRV,
    .abiversion = ABI_VIDEODRV_VERSION,
    .moduleclass = MOD_CLASS_VIDEODRV,
};

/* The server sets the module up once for the Device section and once for the InputDevice sections.
 */
static void *setup(void *module, void *options _X_UNUSED, int *error_major _X_UNUSED,
                   int *error_minor _X_UNUSED)
{
    static Bool added;

    if (!added) {
        added = TRUE;
        xf86AddDriver(&video_driver, module, HaveDriverFuncs);
        xf86AddInputDriver(&input_driver, module, 0);
    }
    return module;
}

_X_EXPORT XF86ModuleData carawayModuleData = {
    .vers = &version_info,
    .setup = setup,
};
