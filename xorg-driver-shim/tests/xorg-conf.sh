#!/bin/sh
# Writes the xorg.conf with which the launcher starts a desktop, for tests: xorg-conf.sh SOCKET [WxH] [LAYOUT]
#
# SPDX-License-Identifier: MIT OR Apache-2.0
set -eu
socket=$1
size=${2:-1280x800}
layout=${3:-us}
cat <<EOF
Section "ServerFlags"
    Option "DefaultServerLayout" "caraway"
    Option "AutoAddDevices" "false"
    Option "AutoAddGPU" "false"
    Option "DontVTSwitch" "true"
    Option "DontZap" "true"
EndSection
Section "Device"
    Identifier "device"
    Driver "caraway"
    Option "Socket" "$socket"
    Option "InitialSize" "$size"
EndSection
Section "Screen"
    Identifier "screen"
    Device "device"
    DefaultDepth 24
EndSection
Section "InputDevice"
    Identifier "keyboard"
    Driver "caraway"
    Option "Role" "keyboard"
    Option "CoreKeyboard"
    Option "XkbRules" "evdev"
    Option "XkbModel" "pc105"
    Option "XkbLayout" "$layout"
EndSection
Section "InputDevice"
    Identifier "pointer"
    Driver "caraway"
    Option "Role" "absolute"
    Option "CorePointer"
EndSection
Section "InputDevice"
    Identifier "relative"
    Driver "caraway"
    Option "Role" "relative"
    Option "AccelerationProfile" "-1"
EndSection
Section "ServerLayout"
    Identifier "caraway"
    Screen "screen"
    InputDevice "keyboard"
    InputDevice "pointer"
    InputDevice "relative" "SendCoreEvents"
EndSection
EOF
