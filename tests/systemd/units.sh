#!/bin/sh
# The units with this user's real systemd: enabled, launcher and server killed, hung, upgraded, disabled.
#   units.sh DIRECTORY    where caraway, caraway-server and caraway_drv.so are
# Skipped, in words, where no systemd of this user runs. Leaves nothing behind.
set -eu
caraway=$1/caraway
name=test-$$
unit=caraway@$name.service
: "${XDG_RUNTIME_DIR:=/run/user/$(id -u)}"
export XDG_RUNTIME_DIR
if ! systemctl --user show-environment >/dev/null 2>&1; then
  echo "SKIPPED: units: no systemd of this user runs here"
  exit 0
fi

fail() { echo "units.sh: $1" >&2; exit 1; }
show() { systemctl --user show --value --property "$1" "$unit"; }
# pid_of PART: the desktop's process, as `caraway status` tells it.
pid_of() { "$caraway" status "$name" --json | sed -n 's/.*"pids":{\([^}]*\)}.*/\1/p' | tr , '\n' | sed -n "s/\"$1\"://p"; }
# until_holds WHAT COMMAND...: within 20 s or more.
until_holds() {
  what=$1; shift
  for _ in $(seq 400); do "$@" >/dev/null 2>&1 && return; sleep 0.05; done
  fail "waited in vain: $what"
}
is_new() { now=$(pid_of "$1"); [ -n "$now" ] && [ "$now" != null ] && [ "$now" != "$2" ]; }

changes=${XDG_CONFIG_HOME:-$HOME/.config}/systemd/user/$unit.d
trap '"$caraway" disable "$name" >/dev/null 2>&1 || true; rm -rf "$changes"; systemctl --user daemon-reload' EXIT
# A dog that barks soon.
mkdir -p "$changes"
printf '[Service]\nWatchdogSec=4\n' >"$changes/watchdog.conf"
said=$("$caraway" enable "$name")
case $said in spice*password:*) ;; *) fail "enable says no way in: $said" ;; esac
[ "$(show ActiveState)" = active ] || fail "it is not active"
[ "$(show NFileDescriptorStore)" -ge 5 ] || fail "systemd keeps no descriptors"
password=$("$caraway" password "$name")
if journalctl --user -u "$unit" 2>/dev/null | grep -qF "$password"; then fail "the password is in the journal"; fi

xorg=$(pid_of xorg); server=$(pid_of server)
for signal in KILL ABRT; do
  launcher=$(show MainPID)
  kill -s $signal "$launcher"
  until_holds "another launcher comes" is_new launcher "$launcher"
  until_holds "it is active" systemctl --user is-active "$unit"
  [ "$(pid_of xorg)" = "$xorg" ] || fail "Xorg did not outlive its launcher"
  [ "$(pid_of server)" = "$server" ] || fail "the server did not outlive its launcher"
  [ "$("$caraway" password "$name")" = "$password" ] || fail "the password has changed"
done

kill -s KILL "$server"
until_holds "another server comes" is_new server "$server"
server=$(pid_of server); launcher=$(pid_of launcher)
"$caraway" upgrade "$name" >/dev/null
is_new server "$server" || fail "an upgrade left the old server"
[ "$(pid_of launcher)" = "$launcher" ] || fail "an upgrade made another process"
[ "$(pid_of xorg)" = "$xorg" ] || fail "an upgrade ended Xorg"

# What hangs is replaced: the launcher by systemd, the server by the launcher.
launcher=$(show MainPID); server=$(pid_of server)
kill -s STOP "$launcher"
until_holds "another launcher comes for one that hangs" is_new launcher "$launcher"
[ "$(pid_of server)" = "$server" ] || fail "the server did not outlive its launcher"
kill -s STOP "$server"
until_holds "another server comes for one that hangs" is_new server "$server"
[ "$(pid_of xorg)" = "$xorg" ] || fail "Xorg did not outlive what hung"

# Both at once: the next launcher starts a server.
server=$(pid_of server); launcher=$(show MainPID)
kill -s KILL "$launcher" "$server"
until_holds "both come back" is_new server "$server"

"$caraway" disable "$name" >/dev/null
[ "$(show ActiveState)" = inactive ] || fail "it is active still"
[ ! -e "/proc/$xorg" ] || fail "Xorg is left"
[ ! -e "$XDG_RUNTIME_DIR/caraway/$name" ] || fail "its directory is left"
echo "units: enabled, killed, stopped, upgraded and disabled under systemd $(systemctl --version | sed -n '1s/systemd \([0-9]*\).*/\1/p')"
