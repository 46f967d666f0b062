#!/bin/sh
# Installs the packages of `make deb` in a Debian of their own, starts a desktop as an ordinary user, connects a client,
# upgrades under the running desktop, removes, purges, and finds nothing left.
#
#   run.sh DIRECTORY     where the .deb files are
#
# Needs Debian's mmdebstrap, util-linux, lintian and spice-client-gtk, root (or sudo) and a mirror of Debian. Where it cannot run it
# says why and ends with 77; a fault of the packages is 1. Keeps the bare Debian as base.tar beside the packages.
set -eu

cannot() { echo "run.sh: cannot run here: $*" >&2; exit 77; }
fail() { echo "run.sh: FAILED: $*" >&2; exit 1; }
step() { echo "run.sh: $*"; }

[ $# = 1 ] || { echo "usage: run.sh DIRECTORY" >&2; exit 2; }
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || cannot "root is needed, for a Debian of its own"
    exec sudo "$0" "$(realpath "$1")"
fi
for tool in mmdebstrap unshare dpkg-deb lintian spicy-screenshot; do
    command -v $tool >/dev/null || cannot "$tool is missing (Debian: mmdebstrap util-linux dpkg lintian spice-client-gtk)"
done
unshare --mount --pid --fork true 2>/dev/null || cannot "the kernel grants no namespaces of mounts and processes"
packages=$(realpath "$1")
# Of the desktop in it, files lie where only this user and the kernel look.
if [ "${IN_NAMESPACES:-}" != yes ]; then
    IN_NAMESPACES=yes exec unshare --mount --mount-proc --pid --fork --kill-child "$0" "$packages"
fi
mount --make-rprivate /

deb=$(ls "$packages"/caraway_*.deb) || fail "no package of caraway in $packages"
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
base=$packages/base-$suite.tar
work=$(mktemp -d)
root=$work/root
trap 'cd /; umount -l -R "$root" 2>/dev/null || true; rm -rf --one-file-system "$work"' EXIT
# A file system of its own: nothing of the host's is ever below it when it is removed.
mkdir "$root"
mount -t tmpfs -o mode=755,size=3g caraway-packages "$root"

step "a bare Debian ($suite)"
if [ ! -f "$base" ]; then
    mmdebstrap --quiet --format=tar --variant=minbase "$suite" "$base.new" || cannot "mmdebstrap found no mirror of Debian"
    mv "$base.new" "$base"
fi
tar -C "$root" -xf "$base" --exclude='./dev/*'
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755 dev "$root/dev"
for device in null zero full random urandom tty; do
    touch "$root/dev/$device" && mount --bind "/dev/$device" "$root/dev/$device"
done
mkdir -m 1777 "$root/dev/shm"
ln -s /proc/self/fd "$root/dev/fd"
cp /etc/resolv.conf "$root/etc/resolv.conf"
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"

inside() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 chroot "$root" "$@"; }
# What the user of the desktop does there.
user() { inside runuser -u tester -- env HOME=/home/tester XDG_RUNTIME_DIR=/run/user/1000 sh -c "$1"; }
until_true() {
    for _ in $(seq 300); do user "$1" >/dev/null 2>&1 && return; sleep 0.1; done
    user "$1" || true
    fail "did not come true: $1"
}

# Packages alone, so that what is left of them is theirs.
step "what the packages depend on"
inside apt-get -qq update >"$work/log" 2>&1 || cannot "apt-get finds no mirror: $(tail -n 1 "$work/log")"
depends=$(for package in "$packages"/caraway*_*.deb; do
    case $package in *-dbgsym_*) ;; *) dpkg-deb -f "$package" Depends | tr -d '\n' | sed 's/caraway (= [^)]*),* *//'; echo ,;; esac
done | tr -d '\n')
inside apt-get -qq satisfy -y --no-install-recommends "${depends%,}" x11-utils >"$work/log" 2>&1 \
    || fail "what is depended on cannot be installed: $(tail -n 5 "$work/log")"
inside useradd -m -u 1000 tester
mkdir -p "$root/run/user/1000" && chown 1000:1000 "$root/run/user/1000" && chmod 700 "$root/run/user/1000"
files() {
    (cd "$root" && find . -xdev \( -path ./proc -o -path ./dev -o -path ./tmp -o -path ./run -o -path ./home \
        -o -path ./var/lib/dpkg -o -path ./var/log -o -path ./var/cache -o -path ./var/tmp \
        -o -path ./var/lib/systemd/linger -o -path ./var/lib/systemd/timers \) -prune -o -print | sort)
}
files >"$work/before"

step "install"
install_debs() {
    cp "$@" "$root/tmp/"
    # All at once: they depend on each other's very version.
    inside dpkg -i $(for one in "$@"; do echo "/tmp/$(basename "$one")"; done) >"$work/log" 2>&1 \
        || { cat "$work/log"; fail "dpkg -i $*"; }
}
all=$(ls "$packages"/caraway_*.deb "$packages"/caraway-gateway_*.deb 2>/dev/null || true)
# shellcheck disable=SC2086 # names without spaces, several of them
install_debs $all
files >"$work/with"
[ "$(inside readlink -f /usr/bin/caraway)" = /usr/lib/caraway/caraway ] || fail "/usr/bin/caraway leads elsewhere"
user "caraway --version" >/dev/null || fail "caraway does not run"
user "caraway doctor" >"$work/doctor" || true
grep -q "^ok *Xorg and driver" "$work/doctor" || { cat "$work/doctor"; fail "doctor finds no Xorg and driver"; }
grep -q "^ok *caraway-server" "$work/doctor" || { cat "$work/doctor"; fail "doctor finds no server"; }

step "a desktop, and a client"
user "mkfifo /home/tester/end"
user "caraway start --json --auth none --unix /home/tester/spice -l 127.0.0.1:0 -- \
    sh -c 'xdpyinfo >/home/tester/seen; read -r end </home/tester/end' >/home/tester/ready 2>/home/tester/said" &
start=$!
until_true "test -s /home/tester/ready && grep -q 'number of screens' /home/tester/seen"
start_launcher=$(sed -n 's/.*"launcher":\([0-9][0-9]*\).*/\1/p' "$root/home/tester/ready" | head -n 1)
port=$(sed -n 's/.*spice:\/\/127\.0\.0\.1:\([0-9]*\).*/\1/p' "$root/home/tester/ready" | head -n 1)
shot() {
    rm -f "$work/shot.ppm"
    HOME=$work timeout 60 spicy-screenshot -h 127.0.0.1 -p "$port" -o "$work/shot.ppm" >"$work/log" 2>&1 || true
    [ -s "$work/shot.ppm" ] || { cat "$work/log"; fail "a client saw no picture: $1"; }
}
shot "of the desktop of the package"

step "upgrade under the running desktop"
bumped=""
for package in $all; do
    tree=$work/tree
    dpkg-deb -R "$package" "$tree"
    old=$(dpkg-deb -f "$package" Version)
    sed -i "s/^\(Version: .*\)/\1+next/; s/caraway (= $old)/caraway (= $old+next)/" "$tree/DEBIAN/control"
    dpkg-deb -Zgzip -z1 --root-owner-group -b "$tree" "$work/$(basename "$package")" >/dev/null
    rm -rf "$tree"
    bumped="$bumped $work/$(basename "$package")"
done
# shellcheck disable=SC2086
install_debs $bumped
grep -q '^1 desktop goes on with its older build (tester)' "$work/log" || { cat "$work/log"; fail "the upgrade does not tell of the desktop"; }
user "caraway list" | grep -q 'older build' || fail "list does not tell of the older build"
inside dpkg-query -W -f '${Version}\n' caraway | grep -q '+next$' || fail "the upgrade did not come"
files | diff "$work/with" - || fail "the upgrade left other files than the installation"
shot "after the upgrade"
# The next server is the new one's: the desktop goes on.
server=$(user "caraway status --json" | sed -n 's/.*"server":\([0-9][0-9]*\).*/\1/p')
[ -n "$server" ] || { user "caraway status --json"; fail "status names no server"; }
user "kill -9 $server"
until_true "caraway status --json | grep '\"server\":[0-9]' | grep -qv '\"server\":$server[,}]'"
next=$(user "caraway status --json" | sed -n 's/.*"server":\([0-9][0-9]*\).*/\1/p')
# The server is not to be looked at by its user; a replaced program would be "(deleted)".
[ "$(inside readlink "/proc/$next/exe")" = /usr/lib/caraway/caraway-server ] || fail "the next server is not the new version's"
shot "of the new version's server"
inside caraway upgrade --all | grep -q "^tester: desktop " || fail "root upgrades nobody"
user "caraway list --json" | grep -q '"outdated":false' || { user "caraway list --json"; fail "the desktop was not upgraded"; }
[ -z "$(inside caraway upgrade --all --check)" ] || fail "there is something to upgrade still"
[ "$(inside readlink "/proc/$start_launcher/exe")" = /usr/lib/caraway/caraway ] || fail "the launcher is not the new version's"
shot "of the new version's launcher"
user "echo end >/home/tester/end"
wait $start || { cat "$root/home/tester/said"; fail "the desktop ended with status $?"; }

step "the gateway, in a real systemd"
inside systemctl is-enabled caraway-gateway >"$work/log" 2>&1 && fail "the gateway is enabled by installing it"
echo tester:tester-secret | inside chpasswd
printf '#!/bin/sh\nexec sleep infinity\n' >"$root/home/tester/.xsession"
chmod 755 "$root/home/tester/.xsession"
peers=$(dirname "$0")/../peers
# shellcheck disable=SC2046 # flags
cc -O1 -o "$work/client" "$peers/spice_peer.c" "$peers/peer_clipboard.c" "$peers/peer_session.c" "$peers/peer_upload.c" \
    "$peers/screen_grab.c" "$peers/spice_monitors.c" $(pkg-config --cflags --libs spice-client-glib-2.0 x11 xext)
# Its own network, so that the port is free.
# The root of its mounts, and not a directory of this host's: units have name spaces of their own below it.
mkdir -p "$root/dev/pts" "$root/before"
ln -s pts/ptmx "$root/dev/ptmx"
unshare --mount --pid --net --uts --ipc --cgroup --fork --kill-child sh -c "
    mount -t proc proc '$root/proc' && mount -t sysfs sysfs '$root/sys' && mount -t cgroup2 cgroup2 '$root/sys/fs/cgroup' &&
    mount -t devpts -o newinstance,ptmxmode=0666 devpts '$root/dev/pts' &&
    mount -t tmpfs tmpfs '$root/run' && mkdir '$root/run/lock' && cd '$root' && pivot_root . before &&
    exec chroot . sh -c 'umount -l /before && exec env container=test /lib/systemd/systemd --system --unit=multi-user.target'
    " >"$work/boot" 2>&1 &
outer=$!
box() { nsenter -t "$init" -m -p -u -i -C -n -r -- env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"; }
for _ in $(seq 300); do
    init=$(cat /proc/$outer/task/$outer/children 2>/dev/null | tr -d ' ')
    [ -n "$init" ] && box systemctl is-system-running 2>/dev/null | grep -Eq 'running|degraded' && break
    sleep 0.1
done
nsenter -t "$init" -n ip link set lo up
box systemctl enable --now caraway-broker caraway-gateway >"$work/log" 2>&1 || { box journalctl --no-pager -n 50; cat "$work/log"; fail "enabling the gateway"; }
# A picture for that user over TLS; says after how many microseconds.
visit() {
    printf 'connect spice://127.0.0.1?tls-port=5900 %s\nwait-mark 30000\nquit\n' "$2" \
        | nsenter -t "$init" -n env PEER_USERNAME="$1" \
            PEER_CA_FILE="$root/var/lib/caraway-gateway/caraway/certificate.pem" "$work/client" 2>>"$work/log" \
        | sed -n 's/.*"mark_us":\([0-9]*\).*/\1/p'
}
xorg() { box sh -c 'for p in /proc/[0-9]*; do [ "$(cat $p/comm 2>/dev/null)" = Xorg ] && echo ${p#/proc/}; done; true'; }
took=$(visit tester tester-secret)
[ -n "$took" ] || { cat "$work/log"; box journalctl --no-pager -n 50; fail "no desktop by the gateway"; }
[ "$took" -le 5000000 ] || fail "a desktop only after $took us"
first=$(xorg)
[ "$(box stat -c %U "/proc/$first")" = tester ] || fail "the desktop is not the user's"
box cat "/proc/$first/cgroup" | grep -q '/user-1000.slice/session-' || fail "the desktop is not in the user's slice"
[ -n "$(visit tester tester-secret)" ] || fail "no way back to the desktop"
[ "$(xorg)" = "$first" ] || fail "another client, another desktop"
[ -z "$(visit tester wrong)" ] || fail "a wrong password lets in"
box systemctl disable --now caraway-gateway caraway-broker >"$work/log" 2>&1
step "a desktop by the gateway after $((took / 1000)) ms"
kill -KILL "$init"
wait $outer || true
rmdir "$root/before"

step "remove"
for name in caraway-gateway caraway; do
    inside dpkg-query -W "$name" >/dev/null 2>&1 || continue
    inside dpkg -r "$name" >"$work/log" 2>&1 || { cat "$work/log"; fail "dpkg -r $name"; }
done
files | diff "$work/before" - | sed -n 's/^> //p' >"$work/left" || true
grep -vE '^\./etc/(pam\.d/caraway(-gateway)?|caraway(/gateway\.conf)?)$' "$work/left" >"$work/strays" || true
# What systemctl knows of disabled units goes with the purge, and so does the gateway's certificate.
grep -vE '^\./var/lib/(systemd|caraway-gateway)' "$work/strays" && fail "files are left by the removal"
step "purge"
for name in caraway-gateway caraway; do
    inside dpkg -P "$name" >"$work/log" 2>&1 || { cat "$work/log"; fail "dpkg -P $name"; }
done
files | diff "$work/before" - || fail "files are left by the purge, or gone with it"
[ -z "$(ls -A "$root/run/user/1000/caraway" 2>/dev/null)" ] || fail "a desktop's files are left"

step "lintian"
# shellcheck disable=SC2086
lintian --fail-on error --suppress-tags bogus-mail-host,initial-upload-closes-no-bugs $all || fail "lintian"
step "passed"
