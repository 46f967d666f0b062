#!/bin/bash
# X's CPU time for each operation with this driver (a server attached) against the dummy driver.
# Figures are nanoseconds for each of x11perf's repetitions, which draw up to some hundred objects.
# overhead.sh MODULE_DIRECTORY [ROUNDS]; needs x11perf and xserver-xorg-video-dummy.
#
# SPDX-License-Identifier: MIT OR Apache-2.0
set -eu
modules=$(realpath "$1")
rounds=${2:-5}
here=$(dirname "$(realpath "$0")")
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; sleep 1; rm -rf "$work"' EXIT

start() { # name config
    mkdir -p "$work/$1.d"
    /usr/lib/xorg/Xorg -displayfd 5 -config "$2" -configdir "$work/$1.d" \
        -modulepath "$modules,/usr/lib/xorg/modules" -logfile "$work/$1.log" -noreset -nolisten tcp \
        5>"$work/$1.display" >"$work/$1.out" 2>&1 &
    pids+=($!)
    echo $! > "$work/$1.pid"
    for _ in $(seq 100); do [ -s "$work/$1.display" ] && break; sleep 0.1; done
}

"$here/xorg-conf.sh" "$work/sock" 1280x1024 > "$work/caraway.conf"
cat > "$work/dummy.conf" <<EOF
Section "ServerFlags"
    Option "AutoAddDevices" "false"
    Option "AutoAddGPU" "false"
EndSection
Section "Device"
    Identifier "device"
    Driver "dummy"
    VideoRam 16384
EndSection
Section "Monitor"
    Identifier "monitor"
    HorizSync 5.0-1000.0
    VertRefresh 5.0-200.0
    Modeline "1280x1024" 108.88 1280 1360 1496 1712 1024 1025 1028 1060
EndSection
Section "Screen"
    Identifier "screen"
    Device "device"
    Monitor "monitor"
    DefaultDepth 24
    SubSection "Display"
        Depth 24
        Modes "1280x1024"
        Virtual 1280 1024
    EndSubSection
EndSection
EOF
start caraway "$work/caraway.conf"
start dummy "$work/dummy.conf"
"$modules/shim/drain" "$work/sock" &
pids+=($!)

cpu_ns() { cat /proc/"$(cat "$work/$1.pid")"/task/*/schedstat | awk '{ sum += $1 } END { printf "%.0f\n", sum }'; }

run() { # name test reps
    local before after
    before=$(cpu_ns "$1")
    DISPLAY=:$(cat "$work/$1.display") x11perf "-$2" -reps "$3" -repeat 1 >/dev/null 2>&1
    after=$(cpu_ns "$1")
    echo $(((after - before) / $3))
}

median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

printf '%-16s %12s %12s %8s\n' operation dummy/ns caraway/ns ratio
while read -r name reps; do
    : > "$work/a"; : > "$work/b"; : > "$work/r"
    for round in $(seq "$rounds"); do
        if [ $((round % 2)) = 0 ]; then
            a=$(run dummy "$name" "$reps"); b=$(run caraway "$name" "$reps")
        else
            b=$(run caraway "$name" "$reps"); a=$(run dummy "$name" "$reps")
        fi
        echo "$a" >> "$work/a"; echo "$b" >> "$work/b"
        awk "BEGIN { printf \"%.3f\n\", $b / $a }" >> "$work/r"
    done
    printf '%-16s %12s %12s %8s\n' "$name" "$(median < "$work/a")" "$(median < "$work/b")" "$(median < "$work/r")"
done <<EOF
rect500 20000
copywinwin500 20000
putimage500 4000
shmput500 15000
aa10text 200000
scroll500 20000
rect10 4000
copywinwin10 1000
EOF
