/*
 * Four outputs, each with a controller of its own, that take any mode up to CARAWAY_SIDE_MAX a
 * side.
 *
 * Nothing is programmed here: a mode is a size, and the layout is published for the server to see.
 * Modes come from the server (the preferred mode of an output is the size it last asked for), from
 * clients (xrandr), and from a list of common sizes on the first output.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "modes.h"

#include <stdio.h>
#include <string.h>

#include <X11/Xatom.h>

#include "screen.h"

#define SIDE_MIN 64 /* pixels; below, toolkits fail */
#define DPI_DEFAULT 96
#define DPI_MIN 48 /* what is outside is no screen */
#define DPI_MAX 480
#define REFRESH_HZ 60
#define REFRESH_LARGE_HZ \
    30 /* for modes whose pixel clock at 60 Hz does not fit RandR's signed hertz */
#define HORIZONTAL_BLANK 160
#define VERTICAL_BLANK 32

static const struct {
    int width, height;
} common_sizes[] = {
    { 640, 480 },   { 800, 600 },   { 1024, 768 },  { 1152, 864 },  { 1280, 720 },  { 1280, 800 },
    { 1280, 1024 }, { 1366, 768 },  { 1440, 900 },  { 1600, 900 },  { 1600, 1200 }, { 1680, 1050 },
    { 1920, 1080 }, { 1920, 1200 }, { 2560, 1080 }, { 2560, 1440 }, { 2560, 1600 }, { 3440, 1440 },
    { 3840, 2160 }, { 5120, 2880 }, { 7680, 4320 },
};

static int millimetres(const struct caraway *caraway, int pixels)
{
    return (pixels * 254 + caraway->dpi * 5) / (caraway->dpi * 10);
}

static DisplayModePtr make_mode(int width, int height, int type)
{
    DisplayModePtr mode = XNFcallocarray(1, sizeof(*mode));
    int64_t total = (int64_t)(width + HORIZONTAL_BLANK) * (height + VERTICAL_BLANK);
    int refresh_hz = total * REFRESH_HZ > INT32_MAX ? REFRESH_LARGE_HZ : REFRESH_HZ;

    mode->type = M_T_DRIVER | type;
    mode->HDisplay = width;
    mode->HSyncStart = width + 48;
    mode->HSyncEnd = width + 80;
    mode->HTotal = width + HORIZONTAL_BLANK;
    mode->VDisplay = height;
    mode->VSyncStart = height + 3;
    mode->VSyncEnd = height + 13;
    mode->VTotal = height + VERTICAL_BLANK;
    mode->Clock = (int)(total * refresh_hz / 1000); /* kHz */
    xf86SetModeDefaultName(mode);
    return mode;
}

/* ---- outputs ---- */

static void set_property(RROutputPtr output, const char *name, int32_t value)
{
    Atom atom = MakeAtom(name, strlen(name), TRUE);

    if (!RRQueryOutputProperty(output, atom))
        RRConfigureOutputProperty(output, atom, FALSE, FALSE, TRUE, 0, NULL);
    RRChangeOutputProperty(output, atom, XA_INTEGER, 32, PropModeReplace, 1, &value, FALSE, FALSE);
}

/*
 * What virtual machines' outputs have, for settings daemons that set modes by themselves (Mutter's):
 * the preferred mode is to be followed when it changes, and outputs stand where they are told, not
 * where a file of last year says.
 */
static void suggest(RROutputPtr output, int x, int y)
{
    set_property(output, "hotplug_mode_update", 1);
    set_property(output, "suggested X", x);
    set_property(output, "suggested Y", y);
}

static void output_create_resources(xf86OutputPtr output)
{
    suggest(output->randr_output, 0, 0);
}

static void output_dpms(xf86OutputPtr output _X_UNUSED, int mode _X_UNUSED)
{
}

static int output_mode_valid(xf86OutputPtr output _X_UNUSED, DisplayModePtr mode)
{
    if (mode->Flags & (V_INTERLACE | V_DBLSCAN))
        return MODE_NO_INTERLACE;
    return mode->HDisplay <= (int)CARAWAY_SIDE_MAX && mode->VDisplay <= (int)CARAWAY_SIDE_MAX
               ? MODE_OK
               : MODE_BAD;
}

static xf86OutputStatus output_detect(xf86OutputPtr output)
{
    const struct head *head = output->driver_private;

    return head->connected ? XF86OutputStatusConnected : XF86OutputStatusDisconnected;
}

static DisplayModePtr output_get_modes(xf86OutputPtr output)
{
    const struct caraway *caraway = caraway_of_scrn(output->scrn);
    const struct head *head = output->driver_private;
    DisplayModePtr modes = make_mode(head->width, head->height, M_T_PREFERRED);

    output->mm_width = millimetres(caraway, head->width);
    output->mm_height = millimetres(caraway, head->height);
    if (head->id != 0)
        return modes;
    for (unsigned i = 0; i < ARRAY_SIZE(common_sizes); i++) {
        if (common_sizes[i].width != head->width || common_sizes[i].height != head->height)
            modes =
                xf86ModesAdd(modes, make_mode(common_sizes[i].width, common_sizes[i].height, 0));
    }
    return modes;
}

static void output_destroy(xf86OutputPtr output _X_UNUSED)
{
}

static const xf86OutputFuncsRec output_funcs = {
    .create_resources = output_create_resources,
    .dpms = output_dpms,
    .mode_valid = output_mode_valid,
    .detect = output_detect,
    .get_modes = output_get_modes,
    .destroy = output_destroy,
};

/* ---- controllers ---- */

static void crtc_dpms(xf86CrtcPtr crtc, int mode _X_UNUSED)
{
    caraway_of_scrn(crtc->scrn)->monitors_changed = TRUE;
}

static Bool crtc_set_mode(xf86CrtcPtr crtc, DisplayModePtr mode, Rotation rotation, int x, int y)
{
    if (rotation != RR_Rotate_0 || crtc->transformPresent)
        return FALSE;
    crtc->mode = *mode;
    crtc->x = x;
    crtc->y = y;
    crtc->rotation = rotation;
    caraway_of_scrn(crtc->scrn)->monitors_changed = TRUE;
    return TRUE;
}

/* Colours are shown as they are; an xrandr that sets a gamma must not fail for it. */
static void crtc_gamma_set(xf86CrtcPtr crtc _X_UNUSED, CARD16 *red _X_UNUSED,
                           CARD16 *green _X_UNUSED, CARD16 *blue _X_UNUSED, int size _X_UNUSED)
{
}

static void crtc_destroy(xf86CrtcPtr crtc _X_UNUSED)
{
}

static const xf86CrtcFuncsRec crtc_funcs = {
    .dpms = crtc_dpms,
    .gamma_set = crtc_gamma_set,
    .destroy = crtc_destroy,
    .set_mode_major = crtc_set_mode,
};

static const xf86CrtcConfigFuncsRec config_funcs = {
    .resize = screen_resize,
};

static void forget_requests(struct caraway *caraway, int width, int height)
{
    for (unsigned i = 0; i < CARAWAY_HEADS_MAX; i++)
        caraway->heads[i] =
            (struct head){ .id = i, .connected = i == 0, .width = width, .height = height };
    caraway->dpi = DPI_DEFAULT;
    caraway->monitors_changed = TRUE;
}

Bool modes_init(struct caraway *caraway, int width, int height)
{
    ScrnInfoPtr scrn = caraway->scrn;

    forget_requests(caraway, width, height);
    xf86CrtcConfigInit(scrn, &config_funcs);
    xf86CrtcSetSizeRange(scrn, SIDE_MIN, SIDE_MIN, CARAWAY_SIDE_MAX, CARAWAY_SIDE_MAX);
    for (unsigned i = 0; i < CARAWAY_HEADS_MAX; i++) {
        char name[16];

        snprintf(name, sizeof(name), "Caraway-%u", i + 1);
        xf86CrtcPtr crtc = xf86CrtcCreate(scrn, &crtc_funcs);
        xf86OutputPtr output = xf86OutputCreate(scrn, &output_funcs, name);
        if (!crtc || !output)
            return FALSE;
        crtc->driver_private = &caraway->heads[i];
        output->driver_private = &caraway->heads[i];
        output->possible_crtcs = 1u << i;
        output->possible_clones = 0;
        output->interlaceAllowed = FALSE;
        output->doubleScanAllowed = FALSE;
        output->subpixel_order = SubPixelNone;
    }
    return xf86InitialConfiguration(scrn, TRUE) && scrn->modes != NULL;
}

void modes_reset(struct caraway *caraway)
{
    caraway->monitors_changed = TRUE;
}

/* ---- requests of the server ---- */

static Bool is_valid(const struct caraway_set_monitors *request)
{
    const struct caraway_monitors_config *config = &request->config;
    unsigned seen = 0;

    if (request->dpi != 0 && (request->dpi < DPI_MIN || request->dpi > DPI_MAX))
        return FALSE;

    if (config->count == 0 || config->count > CARAWAY_HEADS_MAX)
        return FALSE;
    for (unsigned i = 0; i < config->count; i++) {
        const struct caraway_head *head = &config->heads[i];

        if (head->id >= CARAWAY_HEADS_MAX || seen & 1u << head->id)
            return FALSE;
        seen |= 1u << head->id;
        if (head->width < SIDE_MIN || head->width > CARAWAY_SIDE_MAX || head->height < SIDE_MIN ||
            head->height > CARAWAY_SIDE_MAX || head->x > CARAWAY_SIDE_MAX - head->width ||
            head->y > CARAWAY_SIDE_MAX - head->height)
            return FALSE;
    }
    return TRUE;
}

static const struct caraway_head *find_head(const struct caraway_monitors_config *config,
                                            unsigned id)
{
    for (unsigned i = 0; i < config->count; i++)
        if (config->heads[i].id == id)
            return &config->heads[i];
    return NULL;
}

static RRModePtr find_mode(RROutputPtr output, unsigned width, unsigned height)
{
    for (int i = 0; i < output->numModes; i++)
        if (output->modes[i]->mode.width == width && output->modes[i]->mode.height == height)
            return output->modes[i];
    return NULL;
}

static Bool set_size(struct caraway *caraway, int width, int height)
{
    ScreenPtr screen = caraway->screen;
    int width_mm = millimetres(caraway, width), height_mm = millimetres(caraway, height);

    if (width == screen->width && height == screen->height && width_mm == screen->mmWidth &&
        height_mm == screen->mmHeight)
        return TRUE;
    return RRScreenSizeSet(screen, (CARD16)width, (CARD16)height, (CARD32)width_mm,
                           (CARD32)height_mm);
}

static Bool set_head(xf86OutputPtr output, xf86CrtcPtr crtc, const struct caraway_head *head)
{
    if (!head) {
        return !crtc->enabled || RRCrtcSet(crtc->randr_crtc, NULL, 0, 0, RR_Rotate_0, 0, NULL);
    }
    RRModePtr mode = find_mode(output->randr_output, head->width, head->height);
    return mode && RRCrtcSet(crtc->randr_crtc, mode, (int)head->x, (int)head->y, RR_Rotate_0, 1,
                             &output->randr_output);
}

Bool modes_set_monitors(struct caraway *caraway, const struct caraway_set_monitors *request)
{
    const struct caraway_monitors_config *config = &request->config;
    xf86CrtcConfigPtr crtcs = XF86_CRTC_CONFIG_PTR(caraway->scrn);
    ScreenPtr screen = caraway->screen;
    int width = 0, height = 0;
    Bool done = TRUE;

    if (!is_valid(request))
        return FALSE;
    caraway->dpi = request->dpi != 0 ? (int)request->dpi : DPI_DEFAULT;
    for (unsigned i = 0; i < CARAWAY_HEADS_MAX; i++) {
        const struct caraway_head *head = find_head(config, i);

        caraway->heads[i].connected = head != NULL;
        if (!head)
            continue;
        caraway->heads[i].width = (int)head->width;
        caraway->heads[i].height = (int)head->height;
        width = max(width, (int)(head->x + head->width));
        height = max(height, (int)(head->y + head->height));
        suggest(crtcs->output[i]->randr_output, (int)head->x, (int)head->y);
    }
    RRGetInfo(screen, TRUE);

    /*
     * The screen first and once: each size costs every window a repaint, and clients of the server
     * a surface. That controllers may reach beyond it until they are set is refused to X clients,
     * but nothing looks meanwhile.
     */
    done &= set_size(caraway, width, height);
    for (unsigned i = 0; i < CARAWAY_HEADS_MAX; i++)
        done &= set_head(crtcs->output[i], crtcs->crtc[i], find_head(config, i));
    RRTellChanged(screen);
    modes_publish_monitors(caraway);
    return done;
}

void modes_publish_monitors(struct caraway *caraway)
{
    xf86CrtcConfigPtr crtcs = XF86_CRTC_CONFIG_PTR(caraway->scrn);
    struct caraway_monitors_config config;

    if (!caraway->monitors_changed)
        return;
    caraway->monitors_changed = FALSE;
    memset(&config, 0, sizeof(config));
    config.max_allowed = CARAWAY_HEADS_MAX;
    for (unsigned i = 0; i < CARAWAY_HEADS_MAX; i++) {
        xf86CrtcPtr crtc = crtcs->crtc[i];

        if (!crtc->enabled)
            continue;
        config.heads[config.count++] = (struct caraway_head){
            .id = i,
            .width = (uint32_t)crtc->mode.HDisplay,
            .height = (uint32_t)crtc->mode.VDisplay,
            .x = (uint32_t)crtc->x,
            .y = (uint32_t)crtc->y,
        };
    }
    blocks_set_monitors(&caraway->blocks, &config);
}
