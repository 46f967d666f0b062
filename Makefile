# The two commands of the README are `make run` and `make test`; both do all of their set-up themselves.
#
#   make run        build, start a small desktop here and say how to connect (ARGS="..." go to `caraway start`)
#   make test       everything that a change must pass: style, lints, tests, driver, real clients
#   make check-features  the server without its build options
#   make test-systemd  the units of `caraway enable` with your real systemd, where one runs
#   make build      caraway, caraway-server and caraway_drv.so into target/release
#   make bench      the same work beside Xspice and TigerVNC, each with its viewer: a table of bytes, CPU time and delay
#                   (LOADS="page video" SERVERS="caraway xspice" for some of it; see tests/bench/main.rs)
#   make benches    encoder benchmarks, and figures of single promises beside Xorg's dummy driver and Xspice
#   make fuzz       every fuzz target for FUZZ_SECONDS
#   make man        the manual's options, keys and limits anew, from the program's definitions
#   make install    into PREFIX (and DESTDIR); make uninstall takes it away again
#   make deb        packages for Debian, into target/deb; make test-deb installs, upgrades and removes them in a Debian
#                   of their own (mmdebstrap; needs root and the network)

SHELL := /bin/sh
.DEFAULT_GOAL := build
# Two builds into one target directory would only wait for each other.
.NOTPARALLEL:

CARGO ?= cargo
PREFIX ?= /usr/local
FUZZ_SECONDS ?= 60
ARGS ?=
RELEASE := $(abspath target/release)

# Debian 12's names. Each list is what its targets need and no more, so that `make build` on a server pulls in no
# desktop and `make run` no test tools.
BUILD_PACKAGES := gcc libc6-dev make pkg-config xserver-xorg-dev
RUN_PACKAGES := xserver-xorg-core xkb-data x11-xkb-utils dbus-daemon libgl1-mesa-dri xfonts-base fonts-dejavu-core \
	libasound2-plugins libopus0 pulseaudio
DESKTOP_PACKAGES := icewm xterm
TEST_PACKAGES := $(BUILD_PACKAGES) $(RUN_PACKAGES) $(DESKTOP_PACKAGES) \
	alsa-utils curl dbus-x11 featherpad gvfs-backends gvfs-daemons krb5-admin-server krb5-kdc krb5-user libglib2.0-bin \
	libpam-google-authenticator libpam-modules libpam-wrapper libsasl2-modules libsasl2-modules-gssapi-mit \
	libspice-client-glib-2.0-dev libturbojpeg0 libx11-dev libxext-dev libxfixes-dev libxi-dev libxrandr-dev libxrender-dev \
	mesa-utils mpv openssl pcmanfm pipewire pipewire-pulse pulseaudio-utils socat spice-client-glib-usb-acl-helper spice-client-gtk \
	util-linux valgrind virt-viewer wireplumber x11-apps x11-utils x11-xserver-utils xclip xdotool xinput xsel \
	xserver-xorg-video-dummy xserver-xspice xvfb zenity
# What runs beside us, and what watches it.
BENCH_PACKAGES := $(BUILD_PACKAGES) $(RUN_PACKAGES) \
	icewm iproute2 libcairo2-dev libx11-dev libxext-dev libxft-dev tigervnc-standalone-server tigervnc-viewer util-linux \
	virt-viewer x11-utils x11-xserver-utils xserver-xorg-video-dummy xserver-xspice xvfb
DEB_PACKAGES := $(BUILD_PACKAGES) debhelper dpkg-dev fakeroot systemd
TEST_DEB_PACKAGES := $(DEB_PACKAGES) iproute2 libspice-client-glib-2.0-dev libx11-dev libxext-dev lintian mmdebstrap \
	python3 spice-client-gtk util-linux

# $(call packages,NAMES,PURPOSE): installs what is missing of NAMES. Says before it asks for root; without any way to
# root it ends with one sentence that names the packages. Does not touch the network when all are there.
define packages
@set -eu; \
if ! command -v dpkg-query >/dev/null; then \
    echo "make: not a Debian system: see to it that the equivalents of these are installed: $(strip $(1))"; exit 0; \
fi; \
missing=$$(for name in $(1); do \
    dpkg-query -W -f='$${db:Status-Status}\n' $$name 2>/dev/null | grep -qx installed || printf '%s ' $$name; \
done); \
[ -n "$$missing" ] || exit 0; \
if [ "$$(id -u)" = 0 ]; then root=; \
elif command -v sudo >/dev/null; then root=sudo; \
    echo "make: root is needed once, to install packages $(2): $$missing"; \
else \
    echo "make: please have root install these packages $(2): apt-get install $$missing" >&2; exit 1; \
fi; \
export DEBIAN_FRONTEND=noninteractive; \
$$root apt-get update -q && $$root apt-get install -q -y --no-install-recommends $$missing
endef

# True where a person has a session of their own: a script in the home, or a session manager that is more than the
# bare ones that come with a window manager.
OWN_SESSION := [ -x "$$HOME/.xsession" ] || [ -x "$$HOME/.Xsession" ] || [ -x "$$HOME/.xinitrc" ] || \
	{ command -v x-session-manager >/dev/null && \
	! readlink -f "$$(command -v x-session-manager)" | grep -qE '/(icewm|openbox)-session$$'; }

.PHONY: build run test bench benches fuzz man install uninstall deb test-deb clean
.PHONY: build-packages run-packages test-packages bench-packages rust release driver
.PHONY: deb-packages test-deb-packages install-completions
.PHONY: check-style check-lints check-licences check-driver test-pure test-loom test-peers test-systemd

## Building

build: build-packages rust release driver

build-packages:
	$(call packages,$(BUILD_PACKAGES),to build)

rust:
	@command -v $(CARGO) >/dev/null || { \
	    echo "make: Rust 1.89 or newer is needed: see https://rustup.rs" >&2; exit 1; }

release:
	$(CARGO) build --release --locked -p caraway-server -p caraway-launcher --bins

driver:
	$(MAKE) -C xorg-driver-shim OUT=$(RELEASE)

## Running

# A person's own session wins (`caraway start` finds it); who has none gets a window manager with a panel and a menu,
# and a terminal.
run: run-packages build
	@set -eu; set --; \
	if $(OWN_SESSION); then :; else set -- -- sh -c 'xterm -geometry 100x30+40+40 & exec icewm-session'; fi; \
	echo "Starting a desktop. Connect with: remote-viewer URI (Debian's package virt-viewer), where URI is the line"; \
	echo "below that starts with spice://, and type the password it asks for. Ctrl+C here ends the desktop."; \
	echo "It listens on this machine only. From another one: ssh -L PORT:127.0.0.1:PORT this-host, then the same URI."; \
	exec $(RELEASE)/caraway start $(ARGS) "$$@"

run-packages:
	$(call packages,$(RUN_PACKAGES),to run a desktop)
	@if $(OWN_SESSION); then :; else $(MAKE) -s desktop-packages; fi

.PHONY: desktop-packages
desktop-packages:
	$(call packages,$(DESKTOP_PACKAGES),for a small desktop)

## Testing

# The quick answers come first; the tests with real clients, which want the machine for themselves, come last.
test: test-packages rust check-style release driver check-lints check-licences check-driver test-pure test-loom test-peers

test-packages:
	$(call packages,$(TEST_PACKAGES),to test)

check-style:
	$(CARGO) fmt --all --check

# The oracles of the fuzz targets are compiled for tests and for fuzzing: what they use has to be there for both. Clippy
# sees the one, this the other (some seconds; a few dependencies are checked once more the first time).
check-lints:
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	for crate in caraway-server caraway-launcher; do \
	    $(CARGO) rustc --locked --profile check -p $$crate --lib -- --cfg fuzzing || exit; \
	done

# Not part of `make test`: it builds all dependencies once more.
.PHONY: check-features
check-features:
	$(CARGO) clippy --locked -p caraway-server --no-default-features --lib --bins -- -D warnings

check-licences:
	@if command -v cargo-deny >/dev/null; then $(CARGO) deny --all-features check; \
	else echo "make: cargo-deny is not installed, licences are not checked"; fi

check-driver:
	$(MAKE) -C xorg-driver-shim OUT=$(RELEASE) check check-x

# Always the same packages: Cargo builds dependencies once more for others, with the features that those ask for.
TESTED := --locked --workspace --exclude caraway-loom

# Everything that needs no client and no network: minutes at most, and safe to run beside other work. The launcher's
# desktops mostly wait for each other's ends.
test-pure:
	RUST_TEST_THREADS=4 $(CARGO) test $(TESTED) --lib --bins --test desktops --test suite --test abi --test tidy --test bench
	$(CARGO) test $(TESTED) --doc

# Its own target directory: the flag would otherwise rebuild every dependency twice.
test-loom:
	RUSTFLAGS="--cfg loom" $(CARGO) test --locked --release --target-dir target/loom -p caraway-loom

# Those that measure run alone, whatever the number is; the others mostly wait.
test-peers: release driver
	RUST_TEST_THREADS=3 $(CARGO) test $(TESTED) --test peers

# With the systemd of the user who calls it; skipped where none runs.
test-systemd: build
	tests/systemd/units.sh $(RELEASE)

bench: bench-packages build
	RUST_BACKTRACE=0 $(CARGO) test --locked -p caraway-server --test bench -- --ignored --nocapture

bench-packages:
	$(call packages,$(BENCH_PACKAGES),to measure beside others)

benches: test-packages build
	$(CARGO) bench --locked -p caraway-server
	$(CARGO) test --locked -p caraway-server --test peers -- --ignored --nocapture bench_

# libFuzzer's instrumentation by flags that stable Rust has, so that neither a nightly toolchain nor cargo-fuzz is needed.
FUZZ_FLAGS := --cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
	-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
	-Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1 -Cdebug-assertions -Coverflow-checks

# Two at a time; the output of each is in artifacts/. What a target leaves there goes to regressions/ once it is mended.
fuzz: rust
	$(call packages,g++,to fuzz)
	@set -eu; cd tests/fuzz; host=$$(rustc -vV | sed -n 's/^host: //p'); \
	CARAWAY_FUZZ_CORPUS=$$PWD/corpus $(CARGO) test -q --locked --manifest-path ../../Cargo.toml -p caraway-launcher \
	    -p caraway-server --lib seeds_; \
	RUSTFLAGS="$(FUZZ_FLAGS)" $(CARGO) build --locked --release --target $$host --bins; \
	for source in fuzz_targets/*.rs; do basename $$source .rs; done | \
	xargs -P 2 -I TARGET sh -c ' \
	    mkdir -p corpus/TARGET artifacts/TARGET; echo "fuzzing TARGET for $(FUZZ_SECONDS) s"; \
	    target/'$$host'/release/TARGET -use_value_profile=1 -max_len=8192 -timeout=20 -rss_limit_mb=2048 \
	        -max_total_time=$(FUZZ_SECONDS) -artifact_prefix=artifacts/TARGET/ \
	        corpus/TARGET regressions/TARGET >artifacts/TARGET.log 2>&1 \
	    && tail -n 1 artifacts/TARGET.log | sed "s/^/TARGET: /" \
	    || { tail -n 40 artifacts/TARGET.log; echo "make: TARGET failed"; exit 1; }'

## Installing

# The gateway's are in its package.
MAN_PAGES := docs/man/caraway.1 docs/man/caraway.toml.5 docs/man/caraway-server.8

# All three lie together, for caraway looks for the other two beside itself; PATH gets a link.
install:
	@[ -x $(RELEASE)/caraway ] && [ -x $(RELEASE)/caraway-server ] && [ -f $(RELEASE)/caraway_drv.so ] || { \
	    echo "make: nothing to install yet: run make build first (not as root)" >&2; exit 1; }
	install -D -m 755 $(RELEASE)/caraway $(DESTDIR)$(PREFIX)/lib/caraway/caraway
	install -D -m 755 $(RELEASE)/caraway-server $(DESTDIR)$(PREFIX)/lib/caraway/caraway-server
	install -D -m 644 $(RELEASE)/caraway_drv.so $(DESTDIR)$(PREFIX)/lib/caraway/caraway_drv.so
	install -d $(DESTDIR)$(PREFIX)/bin
	ln -sf ../lib/caraway/caraway $(DESTDIR)$(PREFIX)/bin/caraway
	for page in $(MAN_PAGES); do \
	    install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man$${page##*.} $$page || exit; \
	done
	$(MAKE) -s install-completions

# Where shells look: bash, zsh and fish.
COMPLETIONS := share/bash-completion/completions/caraway share/zsh/vendor-completions/_caraway \
	share/fish/vendor_completions.d/caraway.fish

install-completions:
	@set -eu; for place in $(COMPLETIONS); do \
	    shell=$${place#share/}; shell=$${shell%%[/-]*}; file=$(DESTDIR)$(PREFIX)/$$place; \
	    install -d "$${file%/*}"; $(RELEASE)/caraway completions $$shell >"$$file"; chmod 644 "$$file"; \
	done

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/caraway
	rm -rf $(DESTDIR)$(PREFIX)/lib/caraway
	rm -f $(foreach page,$(wildcard docs/man/*.[1-8]),$(DESTDIR)$(PREFIX)/share/man/*/$(notdir $(page)))
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/,$(COMPLETIONS))

# Each test compares its parts of a page, or writes them.
man: rust
	CARAWAY_WRITE_MAN=1 $(CARGO) test -q --locked -p caraway-launcher -p caraway-server --lib --bins manual
	CARAWAY_WRITE_MAN=1 $(CARGO) test -q --locked -p caraway-server --test tidy limits

## Packages

deb: deb-packages rust
	mkdir -p target/deb && rm -f target/deb/*.deb
	CARGO="$(CARGO)" DEB_DIR=$(abspath target/deb) debian/rules clean binary
	debian/rules clean >/dev/null

deb-packages:
	$(call packages,$(DEB_PACKAGES),to make packages)

test-deb: test-deb-packages deb
	tests/packages/run.sh target/deb

test-deb-packages:
	$(call packages,$(TEST_DEB_PACKAGES),to test packages)

clean:
	$(CARGO) clean
	$(MAKE) -C xorg-driver-shim OUT=$(RELEASE) clean
