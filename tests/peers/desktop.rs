//! Desktops to test against: ours, and its peers (Xspice for SPICE, Xorg's dummy driver for drawing).

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;

use crate::instruments::{product, workspace};
use crate::process::{Running, child_called, is_alive, wait_until};

/// How long an X server may take to start on a busy machine.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a desktop may take to end everything that it started.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// The dummy driver takes no faster modes than 300 MHz.
const CLOCK_MHZ_MAX: f64 = 290.0;

/// Beginnings of variables that lead programs to their sound.
const SOUND: [&str; 3] = ["ALSA_CONFIG_PATH", "PIPEWIRE_NODE", "PULSE_"];

/// How long a line may take to the log.
const LOG_TIMEOUT: Duration = Duration::from_secs(5);

/// Lines of a log that go into a failure's message.
const LOG_LINES: usize = 30;

/// What this project's desktops and their peers have in common.
pub(crate) struct Desktop {
    /// X display, like `:90`.
    pub(crate) display: String,
    /// `spice://127.0.0.1:PORT`; empty for a desktop without SPICE.
    pub(crate) uri: String,
    /// Ticket; empty where none is asked for.
    pub(crate) password: String,
    /// The cookie file; empty where the display lets local users in.
    pub(crate) xauthority: PathBuf,
    pub(crate) xorg_pid: i32,
    /// What leads its programs to its sound: variables with their values.
    pub(crate) sound: Vec<(String, String)>,
    process: Running,
    is_ours: bool,
    folder: tempfile::TempDir,
}

impl Desktop {
    /// What is tested: our own by `caraway start` with no password; or the reference with `PEERS_SUBJECT=xspice` in
    /// the environment, which shows what the cases themselves are worth.
    pub(crate) fn subject(geometry: &str) -> Self {
        if std::env::var_os("PEERS_SUBJECT").is_some_and(|name| name == "xspice") {
            return Self::xspice(geometry);
        }
        Self::caraway_with(&["--auth", "none", "-g", geometry], |_| ())
    }

    /// Our own with other arguments. The desktop's command does nothing but tell its environment.
    pub(crate) fn caraway_with(arguments: &[&str], set_up: impl FnOnce(&mut Command)) -> Self {
        Self::caraway_as(arguments, nix::unistd::Uid::effective().as_raw(), set_up)
    }

    /// Our own, run by another user when this program is root's.
    pub(crate) fn caraway_as(
        arguments: &[&str],
        uid: u32,
        set_up: impl FnOnce(&mut Command),
    ) -> Self {
        Self::caraway_of(&product("caraway"), arguments, uid, set_up)
    }

    /// What to compare with: the reference, or other products of ours from the folder `PEERS_REFERENCE` in the
    /// environment, before a change and after it.
    pub(crate) fn reference(geometry: &str) -> Self {
        match std::env::var_os("PEERS_REFERENCE") {
            Some(folder) => Self::caraway_of(
                &Path::new(&folder).join("caraway"),
                &["--auth", "none", "-g", geometry],
                0,
                |_| (),
            ),
            None => Self::xspice(geometry),
        }
    }

    fn caraway_of(
        program: &Path,
        arguments: &[&str],
        uid: u32,
        set_up: impl FnOnce(&mut Command),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let is_root = nix::unistd::Uid::effective().is_root();
        let become_user = (is_root && uid != 0).then_some(uid);
        if let Some(uid) = become_user {
            nix::unistd::chown(folder.path(), Some(uid.into()), None).unwrap();
        }
        let told = folder.path().join("environment");
        let log = std::fs::File::create(folder.path().join("caraway.log")).unwrap();
        // One after the other: starts at the same moment are not what these tests are about.
        static STARTING: Mutex<()> = Mutex::new(());
        let starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut process = Running::start_as(become_user, program, Stdio::from(log), |command| {
            command.args(["start", "--json"]).args(arguments);
            // Renaming makes it appear whole.
            let script = r#"env >"$0.new" && mv "$0.new" "$0" && exec sleep infinity"#;
            command.args(["--", "sh", "-c", script]).arg(&told);
            set_up(command);
        });
        let about = read_object(&process);
        drop(starting);
        let ready = wait_until(START_TIMEOUT, || told.exists() || !process.is_running());
        let environment = std::fs::read_to_string(&told).unwrap_or_else(|_| {
            panic!(
                "no session came up (in time: {ready}): {}",
                log_of(folder.path(), "caraway.log")
            )
        });
        let variable = |name: &str| {
            let found = environment
                .lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            found.unwrap_or_default().to_owned()
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Self {
            display: variable("DISPLAY"),
            uri: text(&about["uris"][0]),
            password: text(&about["password"]),
            xauthority: variable("XAUTHORITY").into(),
            xorg_pid: i32::try_from(about["pids"]["xorg"].as_i64().unwrap()).unwrap(),
            sound: environment
                .lines()
                .filter_map(|line| line.split_once('='))
                .filter(|(name, _)| SOUND.iter().any(|of_sound| name.starts_with(of_sound)))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            process,
            is_ours: true,
            folder,
        }
    }

    /// The reference, with what makes Debian 12's package start: its compiled-in defaults are lost, so that buffer
    /// sizes, head count and what it compresses must be given. Without streams, as it is then.
    pub(crate) fn xspice(geometry: &str) -> Self {
        Self::xspice_with(geometry, "off")
    }

    /// The reference with video streams, as it was meant to be by default.
    #[allow(dead_code, reason = "the bench beside the peers uses it")]
    pub(crate) fn xspice_streaming(geometry: &str) -> Self {
        Self::xspice_with(geometry, "filter")
    }

    fn xspice_with(geometry: &str, streaming: &str) -> Self {
        let port = free_port();
        let device = format!(
            r#"Driver "spiceqxl"
            Option "SpicePort" "{port}"
            Option "SpiceAddr" "127.0.0.1"
            Option "SpiceDisableTicketing" "1"
            Option "NumHeads" "1"
            Option "SpiceImageCompression" "auto_glz"
            Option "SpiceStreamingVideo" "{streaming}"
            Option "SpiceJpegWanCompression" "auto"
            Option "SpiceZlibGlzWanCompression" "auto"
            Option "FrameBufferSize" "64"
            Option "SurfaceBufferSize" "256"
            Option "CommandBufferSize" "256"
            Option "EnableImageCache" "True"
            Option "EnableFallbackCache" "True"
            Option "EnableSurfaces" "True""#
        );
        let inputs = r#"
            Section "InputDevice"
                Identifier "keyboard"
                Driver "xspice keyboard"
            EndSection
            Section "InputDevice"
                Identifier "pointer"
                Driver "xspice pointer"
            EndSection"#;
        let mut desktop = Self::xorg(geometry, |_| device, inputs, &["keyboard", "pointer"]);
        desktop.uri = format!("spice://127.0.0.1:{port}");
        desktop
    }

    /// An Xorg with our driver and no server at all, now or ever: what a desktop is while its server is dead.
    pub(crate) fn without_server(geometry: &str) -> Self {
        let device = |folder: &Path| {
            format!(
                r#"Driver "caraway"
            Option "Socket" "{}"
            Option "InitialSize" "{geometry}""#,
                folder.join("driver.socket").display()
            )
        };
        let input = |role: &str| {
            format!(
                r#"
            Section "InputDevice"
                Identifier "{role}"
                Driver "caraway"
                Option "Role" "{role}"
            EndSection"#
            )
        };
        product("caraway_drv.so");
        let inputs = format!("{}{}", input("keyboard"), input("absolute"));
        Self::xorg(geometry, device, &inputs, &["keyboard", "absolute"])
    }

    /// An Xorg that draws like ours but shows nobody anything.
    pub(crate) fn dummy(geometry: &str) -> Self {
        Self::xorg(
            geometry,
            |_| "Driver \"dummy\"\n            VideoRam 256000".to_owned(),
            "",
            &[],
        )
    }

    /// The peer of the other protocol, without a password.
    #[allow(dead_code, reason = "the bench beside the peers uses it")]
    pub(crate) fn tigervnc(geometry: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let display = free_display();
        let port = free_port();
        let log = std::fs::File::create(folder.path().join("xorg.log")).unwrap();
        let process = Running::start(
            Path::new("/usr/bin/Xtigervnc"),
            Stdio::from(log),
            |command| {
                command
                    .arg(&display)
                    .args(["-geometry", geometry, "-depth", "24"])
                    .args(["-rfbport", &port.to_string(), "-SecurityTypes", "None"])
                    .args(["-localhost", "-noreset", "-nolisten", "tcp"]);
            },
        );
        let mut desktop = Self::of_an_x_server(display, process, folder);
        desktop.uri = format!("vnc://127.0.0.1:{port}");
        desktop
    }

    fn xorg(
        geometry: &str,
        device: impl FnOnce(&Path) -> String,
        inputs: &str,
        input_names: &[&str],
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("xorg.conf");
        std::fs::write(
            &config,
            configuration(geometry, &device(folder.path()), inputs, input_names),
        )
        .unwrap();
        let empty = folder.path().join("conf.d");
        std::fs::create_dir(&empty).unwrap();
        // With no file at all Xorg would take the host's directory after all.
        std::fs::write(empty.join("none.conf"), "").unwrap();
        let display = free_display();
        let log = std::fs::File::create(folder.path().join("stderr.log")).unwrap();
        let process = Running::start(
            Path::new("/usr/lib/xorg/Xorg"),
            Stdio::from(log),
            |command| {
                command
                    .arg(&display)
                    .args(["-noreset", "-nolisten", "tcp", "-config"])
                    .arg(&config);
                command.arg("-configdir").arg(&empty);
                // Our driver lies with the other products; the rest is where Debian has it.
                let modules = workspace().join("target/release");
                command
                    .arg("-modulepath")
                    .arg(format!("{},/usr/lib/xorg/modules", modules.display()));
                command.arg("-logfile").arg(folder.path().join("xorg.log"));
            },
        );
        let desktop = Self::of_an_x_server(display, process, folder);
        let result = desktop
            .client(Command::new("xrandr").args(["-s", geometry]))
            .output()
            .unwrap();
        let size = desktop
            .client(&mut Command::new("xdpyinfo"))
            .output()
            .unwrap();
        assert!(
            String::from_utf8_lossy(&size.stdout).contains(&format!("{geometry} pixels")),
            "not {geometry}: {} {}",
            String::from_utf8_lossy(&result.stderr),
            log_of(desktop.folder.path(), "xorg.log"),
        );
        desktop
    }

    /// An X server that was just started, once it takes connections.
    fn of_an_x_server(display: String, mut process: Running, folder: tempfile::TempDir) -> Self {
        let socket = format!("/tmp/.X11-unix/X{}", &display[1..]);
        let up = wait_until(START_TIMEOUT, || {
            std::os::unix::net::UnixStream::connect(&socket).is_ok() || !process.is_running()
        });
        let log = format!(
            "{}{}",
            log_of(folder.path(), "stderr.log"),
            log_of(folder.path(), "xorg.log")
        );
        assert!(up && process.is_running(), "no X server: {log}");
        Self {
            display,
            uri: String::new(),
            password: String::new(),
            xauthority: PathBuf::new(),
            xorg_pid: process.pid(),
            sound: Vec::new(),
            process,
            is_ours: false,
            folder,
        }
    }

    /// The server's process id now: another one after it was restarted. The X server itself where SPICE lives in it.
    pub(crate) fn server_pid(&self) -> Option<i32> {
        if self.is_ours {
            child_called(self.process.pid(), "caraway-server")
        } else {
            Some(self.xorg_pid)
        }
    }

    /// The launcher.
    pub(crate) fn launcher_pid(&self) -> i32 {
        self.process.pid()
    }

    /// The processes whose CPU time this desktop costs.
    pub(crate) fn cost_pids(&self) -> Vec<i32> {
        let mut pids = vec![self.xorg_pid];
        pids.extend(self.server_pid().filter(|pid| *pid != self.xorg_pid));
        pids
    }

    /// Where this desktop's SPICE server listens on loopback.
    pub(crate) fn port(&self) -> u16 {
        let address = self.uri.split('?').next().unwrap();
        address
            .rsplit(':')
            .next()
            .unwrap()
            .parse()
            .unwrap_or_else(|_| panic!("no port in {:?}", self.uri))
    }

    /// Gives an X client's command the way to this display.
    pub(crate) fn client<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command
            .env("DISPLAY", &self.display)
            .env_remove("WAYLAND_DISPLAY")
            .envs(self.sound.iter().cloned());
        if !self.xauthority.as_os_str().is_empty() {
            command.env("XAUTHORITY", &self.xauthority);
        }
        command
    }

    /// Starts one of this directory's X clients on this display.
    pub(crate) fn draw(&self, arguments: &[&str]) -> Running {
        Running::start(crate::instruments::x_draw(), Stdio::inherit(), |command| {
            self.client(command.args(arguments));
        })
    }

    /// What the launcher and everything under it have written to standard error so far.
    pub(crate) fn log(&self) -> String {
        log_of(
            self.folder.path(),
            if self.is_ours {
                "caraway.log"
            } else {
                "xorg.log"
            },
        )
    }

    /// How often these words stand in all of it.
    pub(crate) fn count_in_log(&self, words: &str) -> usize {
        let log = std::fs::read(self.folder.path().join("caraway.log")).unwrap_or_default();
        String::from_utf8_lossy(&log).matches(words).count()
    }

    /// The same, once it is `count` or more: who has an answer may have it before the log has its line.
    pub(crate) fn await_in_log(&self, words: &str, count: usize) -> usize {
        wait_until(LOG_TIMEOUT, || count <= self.count_in_log(words));
        self.count_in_log(words)
    }

    /// Bytes of that.
    pub(crate) fn log_bytes(&self) -> u64 {
        let log = std::fs::metadata(self.folder.path().join("caraway.log"));
        log.map_or(0, |log| log.len())
    }

    /// Ends it as SIGTERM would; says whether that took less than ten seconds.
    pub(crate) fn stop(&mut self) -> bool {
        self.process.stop(STOP_TIMEOUT)
    }
}

impl Drop for Desktop {
    fn drop(&mut self) {
        // The launcher takes away what it started only when it is asked in a friendly way.
        self.process.stop(STOP_TIMEOUT);
    }
}

/// One JSON object, however many lines it is printed on.
fn read_object(process: &Running) -> Value {
    let mut text = String::new();
    while let Some(line) = process.try_line(START_TIMEOUT) {
        text.push_str(&line);
        if let Ok(value) = serde_json::from_str(&text) {
            return value;
        }
    }
    panic!("`caraway start --json` printed {text:?}");
}

/// The last lines of a log file, which is where a failure tells itself.
fn log_of(folder: &Path, name: &str) -> String {
    let text = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
}

/// A loopback port that nobody has now.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// A display that nobody has now.
pub(crate) fn free_display() -> String {
    // High ones are unlikely to meet a desktop that starts at the same time, and no two tests are given the same.
    static NEXT: AtomicU32 = AtomicU32::new(300);
    let mut numbers = std::iter::repeat_with(|| NEXT.fetch_add(1, Ordering::Relaxed)).take(1000);
    let free = numbers.find(|number| !has_server(*number));
    format!(":{}", free.unwrap())
}

/// Whether an X server of that number runs. One that was killed leaves its files, which the next one takes away.
fn has_server(number: u32) -> bool {
    let lock = std::fs::read_to_string(format!("/tmp/.X{number}-lock")).unwrap_or_default();
    let owner = lock.trim().parse();
    owner.is_ok_and(is_alive)
        || std::os::unix::net::UnixStream::connect(format!("/tmp/.X11-unix/X{number}")).is_ok()
}

/// An xorg.conf for one screen of that size and no device that the host has.
fn configuration(geometry: &str, device: &str, inputs: &str, input_names: &[&str]) -> String {
    let layout: String = input_names
        .iter()
        .map(|name| format!("InputDevice \"{name}\"\n"))
        .collect();
    let modeline = modeline(geometry);
    format!(
        r#"
        Section "ServerFlags"
            Option "AutoAddDevices" "False"
            Option "AutoEnableDevices" "False"
            Option "DontVTSwitch" "True"
        EndSection
        Section "Device"
            Identifier "device"
            {device}
        EndSection
        Section "Monitor"
            Identifier "monitor"
            HorizSync 5.0-1000.0
            VertRefresh 5.0-200.0
            {modeline}
        EndSection
        Section "Screen"
            Identifier "screen"
            Device "device"
            Monitor "monitor"
            DefaultDepth 24
            SubSection "Display"
                Depth 24
                Modes "{geometry}"
            EndSubSection
        EndSection
        {inputs}
        Section "ServerLayout"
            Identifier "layout"
            Screen "screen"
            {layout}
        EndSection
        "#
    )
}

/// A mode line of that size at about 60 Hz, or as fast as `CLOCK_MHZ_MAX` has it; blanking as small as it goes, for no
/// monitor looks.
fn modeline(geometry: &str) -> String {
    let (width, height) = geometry.split_once('x').unwrap();
    let (width, height): (u32, u32) = (width.parse().unwrap(), height.parse().unwrap());
    let clock_mhz = (f64::from((width + 80) * (height + 20)) * 60.0 / 1e6).min(CLOCK_MHZ_MAX);
    format!(
        "Modeline \"{geometry}\" {clock_mhz:.2} {width} {} {} {} {height} {} {} {}",
        width + 16,
        width + 48,
        width + 80,
        height + 3,
        height + 8,
        height + 20,
    )
}
