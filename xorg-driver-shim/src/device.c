/*
 * The X input devices: see device.h. Each InputDevice section names one by Option "Role".
 *
 * Buttons and wheel turns belong to the pointer that moved last; a button is released on the device
 * on which it was pressed.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "device.h"

#include <string.h>

#include "input.h"

#define EVDEV_CODE_MAX 247
#define KEYCODE_OFFSET 8 /* X keycodes are evdev codes + 8 */
#define BUTTON_MAX 16
#define MOTION_MAX 32767 /* pixels; farther is no motion of a pointer */
#define SCROLL_MAX (120 * 64)
#define SCROLL_INCREMENT 120.0

enum { AXIS_X, AXIS_Y, AXIS_VERTICAL, AXIS_HORIZONTAL, AXES };

enum role { ROLE_KEYBOARD, ROLE_ABSOLUTE, ROLE_RELATIVE, ROLES };

static const char *const role_names[ROLES] = { "keyboard", "absolute", "relative" };

struct device {
    InputInfoPtr info; /* NULL: no such section */
    Bool on;
    unsigned char down[32]; /* bits: keycodes, or buttons */
};

static struct device devices[ROLES];
static enum role last_moved = ROLE_ABSOLUTE; /* the one that moved last */

static Bool is_down(const struct device *device, int number)
{
    return device->down[number / 8] >> (number % 8) & 1;
}

static void note(struct device *device, int number, int down)
{
    if (down)
        device->down[number / 8] |= (unsigned char)(1u << (number % 8));
    else
        device->down[number / 8] &= (unsigned char)~(1u << (number % 8));
}

/* ---- events ---- */

void device_post_key(int code, int down)
{
    struct device *keyboard = &devices[ROLE_KEYBOARD];
    int keycode = code + KEYCODE_OFFSET;

    if (!keyboard->on || code < 1 || code > EVDEV_CODE_MAX || (down != 0 && down != 1))
        return;
    /* X repeats held keys itself. */
    if (is_down(keyboard, keycode) == down)
        return;
    note(keyboard, keycode, down);
    xf86PostKeyboardEvent(keyboard->info->dev, (unsigned)keycode, down);
}

static Bool is_motion(int x, int y)
{
    return x >= -MOTION_MAX && x <= MOTION_MAX && y >= -MOTION_MAX && y <= MOTION_MAX;
}

static void post_motion(enum role role, int x, int y)
{
    if (!devices[role].on || !is_motion(x, y))
        return;
    last_moved = role;
    xf86PostMotionEvent(devices[role].info->dev, role == ROLE_ABSOLUTE ? Absolute : Relative,
                        AXIS_X, 2, x, y);
}

void device_post_absolute(int x, int y)
{
    post_motion(ROLE_ABSOLUTE, x, y);
}

void device_post_relative(int dx, int dy)
{
    post_motion(ROLE_RELATIVE, dx, dy);
}

static struct device *current_pointer(void)
{
    if (devices[last_moved].on)
        return &devices[last_moved];
    enum role other = last_moved == ROLE_ABSOLUTE ? ROLE_RELATIVE : ROLE_ABSOLUTE;
    return devices[other].on ? &devices[other] : NULL;
}

static void release_button(struct device *device, int button)
{
    if (device->on && is_down(device, button)) {
        note(device, button, 0);
        xf86PostButtonEvent(device->info->dev, Relative, button, 0, 0, 0);
    }
}

void device_post_button(int button, int down)
{
    struct device *device = current_pointer();

    /* 4 to 7 are wheel turns: those come as such. */
    if (button < 1 || button > BUTTON_MAX || (button >= 4 && button <= 7) || !device)
        return;
    if (down == 0) {
        release_button(&devices[ROLE_ABSOLUTE], button);
        release_button(&devices[ROLE_RELATIVE], button);
    } else if (down == 1 && !is_down(&devices[ROLE_ABSOLUTE], button) &&
               !is_down(&devices[ROLE_RELATIVE], button)) {
        note(device, button, 1);
        xf86PostButtonEvent(device->info->dev, Relative, button, 1, 0, 0);
    }
}

void device_post_scroll(int vertical, int horizontal)
{
    struct device *device = current_pointer();
    ValuatorMask *mask;

    if (!device || vertical < -SCROLL_MAX || vertical > SCROLL_MAX || horizontal < -SCROLL_MAX ||
        horizontal > SCROLL_MAX || (vertical == 0 && horizontal == 0))
        return;
    mask = valuator_mask_new(AXES);
    if (!mask)
        return;
    if (vertical != 0)
        valuator_mask_set(mask, AXIS_VERTICAL, vertical);
    if (horizontal != 0)
        valuator_mask_set(mask, AXIS_HORIZONTAL, horizontal);
    xf86PostMotionEventM(device->info->dev, Relative, mask);
    valuator_mask_free(&mask);
}

void device_release_all(void)
{
    for (int code = 1; code <= EVDEV_CODE_MAX; code++)
        device_post_key(code, 0);
    for (int button = 1; button <= BUTTON_MAX; button++) {
        release_button(&devices[ROLE_ABSOLUTE], button);
        release_button(&devices[ROLE_RELATIVE], button);
    }
}

/* ---- devices ---- */

static void keyboard_bell(int percent _X_UNUSED, DeviceIntPtr device _X_UNUSED,
                          void *control _X_UNUSED, int class _X_UNUSED)
{
}

static void keyboard_control(DeviceIntPtr device _X_UNUSED, KeybdCtrl *control)
{
    uint32_t leds = 0;

    /* XKB's evdev indicators: caps lock, num lock, scroll lock. SPICE's bits: scroll, num, caps. */
    if (control->leds & 1)
        leds |= 4;
    if (control->leds & 2)
        leds |= 2;
    if (control->leds & 4)
        leds |= 1;
    input_publish_leds(leds);
}

static Bool init_keyboard(InputInfoPtr info)
{
    XkbRMLVOSet names = {
        .rules = xf86SetStrOption(info->options, "XkbRules", "evdev"),
        .model = xf86SetStrOption(info->options, "XkbModel", "pc105"),
        .layout = xf86SetStrOption(info->options, "XkbLayout", "us"),
        .variant = xf86SetStrOption(info->options, "XkbVariant", NULL),
        .options = xf86SetStrOption(info->options, "XkbOptions", NULL),
    };
    Bool done = InitKeyboardDeviceStruct(info->dev, &names, keyboard_bell, keyboard_control);

    XkbFreeRMLVOSet(&names, FALSE);
    return done;
}

static void pointer_control(DeviceIntPtr device _X_UNUSED, PtrCtrl *control _X_UNUSED)
{
}

static Bool init_pointer(InputInfoPtr info, int mode)
{
    static const char *const button_names[BUTTON_MAX] = {
        BTN_LABEL_PROP_BTN_LEFT,         BTN_LABEL_PROP_BTN_MIDDLE,
        BTN_LABEL_PROP_BTN_RIGHT,        BTN_LABEL_PROP_BTN_WHEEL_UP,
        BTN_LABEL_PROP_BTN_WHEEL_DOWN,   BTN_LABEL_PROP_BTN_HWHEEL_LEFT,
        BTN_LABEL_PROP_BTN_HWHEEL_RIGHT, BTN_LABEL_PROP_BTN_BACK,
        BTN_LABEL_PROP_BTN_FORWARD,
    };
    DeviceIntPtr device = info->dev;
    CARD8 map[BUTTON_MAX + 1];
    Atom buttons[BUTTON_MAX] = { 0 }, axes[AXES];

    for (int i = 0; i <= BUTTON_MAX; i++)
        map[i] = (CARD8)i;
    for (int i = 0; i < BUTTON_MAX && button_names[i]; i++)
        buttons[i] = XIGetKnownProperty(button_names[i]);
    axes[AXIS_X] =
        XIGetKnownProperty(mode == Absolute ? AXIS_LABEL_PROP_ABS_X : AXIS_LABEL_PROP_REL_X);
    axes[AXIS_Y] =
        XIGetKnownProperty(mode == Absolute ? AXIS_LABEL_PROP_ABS_Y : AXIS_LABEL_PROP_REL_Y);
    axes[AXIS_VERTICAL] = XIGetKnownProperty(AXIS_LABEL_PROP_REL_VSCROLL);
    axes[AXIS_HORIZONTAL] = XIGetKnownProperty(AXIS_LABEL_PROP_REL_HSCROLL);

    if (!InitButtonClassDeviceStruct(device, BUTTON_MAX, buttons, map) ||
        !InitValuatorClassDeviceStruct(device, AXES, axes, GetMotionHistorySize(), mode) ||
        !InitPtrFeedbackClassDeviceStruct(device, pointer_control))
        return FALSE;
    /* Axes without limits are screen pixels, whatever size the screen has. */
    for (int i = 0; i < AXES; i++) {
        if (!xf86InitValuatorAxisStruct(device, i, axes[i], NO_AXIS_LIMITS, NO_AXIS_LIMITS, 0, 0, 0,
                                        i <= AXIS_Y ? mode : Relative))
            return FALSE;
        xf86InitValuatorDefaults(device, i);
    }
    return SetScrollValuator(device, AXIS_VERTICAL, SCROLL_TYPE_VERTICAL, SCROLL_INCREMENT,
                             SCROLL_FLAG_PREFERRED) &&
           SetScrollValuator(device, AXIS_HORIZONTAL, SCROLL_TYPE_HORIZONTAL, SCROLL_INCREMENT,
                             SCROLL_FLAG_NONE);
}

static InputInfoPtr another_on(enum role role)
{
    for (int i = 0; i < ROLES; i++)
        if (i != (int)role && devices[i].on)
            return devices[i].info;
    return NULL;
}

static void turn(enum role role, Bool on)
{
    struct device *device = &devices[role];

    if (device->on == on)
        return;
    input_lock();
    device->on = on;
    device->info->dev->public.on = on;
    /* X itself releases what is down on a device that goes off. */
    memset(device->down, 0, sizeof(device->down));
    input_unlock();
    if (on)
        input_watch(device->info);
    else
        input_unwatch(device->info, another_on(role));
}

static int device_control(DeviceIntPtr device, int what)
{
    InputInfoPtr info = device->public.devicePrivate;
    enum role role = (enum role)((struct device *)info->private - devices);

    switch (what) {
    case DEVICE_INIT:
        device->public.on = FALSE;
        if (role == ROLE_KEYBOARD)
            return init_keyboard(info) ? Success : BadAlloc;
        return init_pointer(info, role == ROLE_ABSOLUTE ? Absolute : Relative) ? Success : BadAlloc;
    case DEVICE_ON:
        turn(role, TRUE);
        return Success;
    case DEVICE_OFF:
    case DEVICE_CLOSE:
        turn(role, FALSE);
        return Success;
    default:
        return BadValue;
    }
}

/* ---- the driver ---- */

static int pre_init(InputDriverPtr driver _X_UNUSED, InputInfoPtr info, int flags _X_UNUSED)
{
    char *name = xf86SetStrOption(info->options, "Role", NULL);
    int role = 0;

    while (role < ROLES && (!name || strcmp(name, role_names[role]) != 0))
        role++;
    if (role == ROLES || devices[role].info) {
        xf86IDrvMsg(info, X_ERROR,
                    "Option \"Role\" must be keyboard, absolute or relative, once each; "
                    "it is %s\n",
                    name ? name : "missing");
        free(name);
        return BadValue;
    }
    free(name);

    devices[role] = (struct device){ .info = info };
    info->private = &devices[role];
    info->fd = -1;
    info->device_control = device_control;
    info->read_input = NULL;
    info->type_name = role == ROLE_KEYBOARD ? XI_KEYBOARD : XI_MOUSE;
    /* The viewer's system has accelerated the pointer already. */
    if (role != ROLE_KEYBOARD && !xf86FindOption(info->options, "AccelerationProfile"))
        info->options = xf86AddNewOption(info->options, "AccelerationProfile", "-1");
    return Success;
}

static void un_init(InputDriverPtr driver _X_UNUSED, InputInfoPtr info, int flags _X_UNUSED)
{
    struct device *device = info->private;

    if (device) {
        turn((enum role)(device - devices), FALSE);
        *device = (struct device){ 0 };
    }
    info->private = NULL;
    xf86DeleteInput(info, 0);
}

InputDriverRec input_driver = {
    .driverVersion = 1,
    .driverName = CARAWAY_DRIVER_NAME,
    .PreInit = pre_init,
    .UnInit = un_init,
};
