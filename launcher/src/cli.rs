//! The command line: a contract that programs rely on as well as people.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::completions::CompletionsArgs;
use crate::config::ConfigArgs;
use crate::join::JoinableArgs;
use crate::listen::{ListenAddress, is_loopback};
use crate::logs::LogsArgs;
use crate::mirror::MirrorArgs;
use crate::name::DesktopName;
use crate::others::UserArgs;
use crate::process::bound::BoundArgs;
use crate::runtime_dir::DESKTOPS_MAX;
use crate::session::SessionArgs;
use crate::top::TopArgs;
use crate::units::graphical::GraphicalArgs;
use crate::units::verbs::{DisableArgs, EnableArgs, UpgradeArgs};
use crate::uploads::{self, Uploads};
use crate::xorg::config::{DEFAULT_GEOMETRY, Geometry};

/// The highest display number: X clients reach display N on port 6000 + N, too.
const DISPLAY_MAX: u32 = 59_535;

/// A display by its number, as `10` or as X writes it, `:10`.
fn display_number(text: &str) -> Result<u32, String> {
    let number = text.strip_prefix(':').unwrap_or(text).parse().ok();
    number
        .filter(|number| *number <= DISPLAY_MAX)
        .ok_or_else(|| format!("a display is a number from 0 to {DISPLAY_MAX}, like 10 or :10"))
}

/// Run Linux desktops without a screen and use them with any SPICE client
#[derive(Debug, Parser)]
#[command(name = "caraway", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Start a desktop and stay with it until it ends
    Start(Box<StartArgs>),
    /// List your desktops
    List(ListArgs),
    /// Show one desktop and its clients
    Status(StatusArgs),
    /// End a desktop and all that runs in it
    Stop(NameArgs),
    /// Have a desktop whenever you are logged in, as a unit of your systemd
    Enable(EnableArgs),
    /// Undo `enable`
    Disable(DisableArgs),
    /// Replace launcher and server of running desktops by the newest that are installed
    Upgrade(UpgradeArgs),
    /// Open a desktop in remote-viewer, or say how to
    View(ViewArgs),
    /// Tell a desktop's user and clients something
    Message(MessageArgs),
    /// Show a desktop's password, or replace it
    Password(PasswordArgs),
    /// Show what is configured
    Config(ConfigArgs),
    /// Show what a desktop's parts have said
    Logs(LogsArgs),
    /// Show what desktops and clients do, anew every second
    Top(TopArgs),
    /// Check what this host has and lacks for desktops
    Doctor(DoctorArgs),
    /// Print what a shell needs to complete this command
    Completions(CompletionsArgs),
    /// Make a certificate for TLS unless there is one, and say what clients know it by
    #[command(name = "__certificate", hide = true)]
    Certificate,
    /// Become a program that dies with its parent
    #[command(name = "__exec", hide = true)]
    Exec(BoundArgs),
    /// Tell the user's systemd of a graphical session, or that it is gone
    #[command(name = "__graphical", hide = true)]
    Graphical(GraphicalArgs),
    /// Say whether a session of logind's can be joined, and by which display
    #[command(name = "__joinable", hide = true)]
    Joinable(JoinableArgs),
    /// Show a display of this host on the desktop's own
    #[command(name = "__mirror", hide = true)]
    Mirror(MirrorArgs),
    /// Hold a desktop's session
    #[command(name = "__session", hide = true)]
    Session(SessionArgs),
}

/// How clients prove themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Auth {
    /// By a password
    Ticket,
    /// As users with their passwords, inside TLS alone: the system's, or those of --sasl-file
    Sasl,
    /// Not at all: on loopback and unix sockets only
    None,
}

/// By what users prove themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SaslMechanism {
    /// A password
    Password,
    /// A Kerberos ticket: who may act as you, by krb5.conf and your ~/.k5login
    Gssapi,
}

/// Whether the desktop becomes as large as the window of who uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Resize {
    /// It does; until a client asks it is as large as told
    On,
    /// It keeps its size
    Off,
}

impl Resize {
    /// As the server is told.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::Off => "off",
        }
    }
}

/// Where the desktop's dots per inch come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Dpi {
    /// 96 whatever clients have
    Fixed,
    /// The physical size of the client's monitor
    Client,
}

impl Dpi {
    /// As the server is told.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Fixed => "fixed",
            Self::Client => "client",
        }
    }
}

/// Whether a desktop has sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SoundChoice {
    /// Where this host can
    On,
    /// Not at all
    Off,
}

/// Whether clients' shared folders are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Folders {
    /// At local addresses, see: caraway status
    On,
    /// Not at all
    Off,
}

/// Which way the clipboard passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Clipboard {
    /// Into the desktop and out of it
    Both,
    /// From clients into the desktop only
    In,
    /// From the desktop to clients only
    Out,
    /// Not at all
    Off,
}

/// What passes through the clipboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClipboardTypes {
    /// Text
    Text,
    /// Images of every kind
    Images,
    /// Lists of files
    Files,
}

/// What a client may do that comes with all rights while another one uses the desktop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Joining {
    /// Use it, too
    Full,
    /// Watch
    ViewOnly,
}

/// Largest content of the clipboard in MB that clients and server take.
const CLIPBOARD_MB_MAX: u16 = 100;

/// A desktop to start.
#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    /// Number of the X display [default: a free one]
    #[arg(short, long, value_name = "N", value_parser = display_number)]
    pub(crate) display: Option<u32>,
    /// Size of the screen in pixels
    #[arg(short, long, value_name = "WIDTHxHEIGHT", default_value_t = DEFAULT_GEOMETRY)]
    pub(crate) geometry: Geometry,
    /// Follow the size of the client's windows
    #[arg(long, value_enum, default_value_t = Resize::On)]
    pub(crate) resize: Resize,
    /// Dots per inch
    #[arg(long, value_enum, default_value_t = Dpi::Fixed)]
    pub(crate) dpi: Dpi,
    /// Where clients connect; may be given several times [default: 127.0.0.1, a free port from 5900 up]
    #[arg(short, long, value_name = "ADDR:PORT")]
    pub(crate) listen: Vec<ListenAddress>,
    /// Where clients connect with TLS; may be given several times
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) tls_listen: Vec<ListenAddress>,
    /// Your certificate and its chain, in PEM form [default: one that is made once and kept]
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The private key of your certificate, in PEM form
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Certificates of authorities, in PEM form: clients need TLS and a certificate of theirs (stock clients have none)
    #[arg(long, value_name = "FILE")]
    pub(crate) tls_client_ca: Option<PathBuf>,
    /// A unix socket where clients connect
    #[arg(long, value_name = "PATH")]
    pub(crate) unix: Option<PathBuf>,
    /// Clients come to the socket of --unix alone, through a gateway that knows who they are
    #[arg(long, hide = true, requires = "unix")]
    pub(crate) behind_gateway: bool,
    /// The user whom that gateway runs as
    #[arg(long, hide = true, requires = "behind_gateway", value_name = "UID")]
    pub(crate) gateway_uid: Option<u32>,
    /// How clients prove themselves
    #[arg(long, value_enum, default_value_t = Auth::Ticket)]
    pub(crate) auth: Auth,
    /// A file whose one line is the password [default: a new random password]
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// A file of users for --auth sasl, with a line of `caraway password --scram` for each [default: you, by PAM]
    #[arg(long, value_name = "FILE")]
    pub(crate) sasl_file: Option<PathBuf>,
    /// By what users prove themselves to --auth sasl
    #[arg(long, value_enum, default_value_t = SaslMechanism::Password)]
    pub(crate) sasl_mech: SaslMechanism,
    /// The key table with this host's key `spice/HOST@REALM` for --sasl-mech gssapi [default: Kerberos' own, or
    /// KRB5_KTNAME]
    #[arg(long, value_name = "FILE")]
    pub(crate) keytab: Option<PathBuf>,
    /// Users of --auth sasl who may only watch
    #[arg(long, value_name = "USERS", value_delimiter = ',')]
    pub(crate) view_only_users: Vec<String>,
    /// Listen unencrypted on addresses that others can reach
    #[arg(long)]
    pub(crate) insecure: bool,
    /// What may do who connects while somebody uses the desktop
    #[arg(long, value_enum, default_value_t = Joining::Full)]
    pub(crate) joining: Joining,
    /// A line for the shell when a client has connected; it finds the client in CARAWAY_CLIENT_* variables
    #[arg(long, value_name = "COMMAND")]
    pub(crate) on_connect: Option<String>,
    /// The same when a client has gone
    #[arg(long, value_name = "COMMAND")]
    pub(crate) on_disconnect: Option<String>,
    /// Desktops that you may have at a time; the host's configuration may allow fewer
    #[arg(long, value_name = "N", default_value_t = DESKTOPS_MAX,
        value_parser = clap::value_parser!(u16).range(1..=i64::from(DESKTOPS_MAX)))]
    pub(crate) desktops_max: u16,
    /// Whether clients may share folders with the desktop
    #[arg(long, value_enum, default_value_t = Folders::On)]
    pub(crate) folders: Folders,
    /// Show and use this display of the host, like :0, in place of a session of its own
    #[arg(long, value_name = "DISPLAY", value_parser = display_number, conflicts_with = "command")]
    pub(crate) join: Option<u32>,
    /// Which way the clipboard passes
    #[arg(long, value_enum, default_value_t = Clipboard::Both)]
    pub(crate) clipboard: Clipboard,
    /// Largest content of the clipboard that passes, in MB
    #[arg(long, value_name = "MB", default_value_t = CLIPBOARD_MB_MAX,
        value_parser = clap::value_parser!(u16).range(1..=i64::from(CLIPBOARD_MB_MAX)))]
    pub(crate) clipboard_max: u16,
    /// What passes through the clipboard
    #[arg(long, value_enum, value_name = "TYPES", value_delimiter = ',',
        default_values_t = [ClipboardTypes::Text, ClipboardTypes::Images, ClipboardTypes::Files])]
    pub(crate) clipboard_types: Vec<ClipboardTypes>,
    /// The desktop's name [default: desktop, desktop-2, ...]
    #[arg(long)]
    pub(crate) name: Option<DesktopName>,
    /// Where files go that are dropped on a client's window, or off [default: your download folder]
    #[arg(long, value_name = "off|DIR")]
    pub(crate) uploads: Option<Uploads>,
    /// The largest such file, like 500M or 2G [default: what fits]
    #[arg(long, value_name = "SIZE", value_parser = uploads::bytes)]
    pub(crate) upload_max: Option<u64>,
    /// Whether the desktop plays to its clients, and records from them
    #[arg(long, value_enum, default_value_t = SoundChoice::On)]
    pub(crate) sound: SoundChoice,
    /// Read options from this file in place of ~/.config/caraway/caraway.toml
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Return when the desktop is ready, and leave it running: a unit of your systemd, where there is one
    #[arg(long)]
    pub(crate) detach: bool,
    /// End the desktop when it is this old, like 12h or 7d [default: never]
    #[arg(long, value_name = "TIME", value_parser = crate::ticket::seconds)]
    pub(crate) age_limit: Option<u64>,
    /// End the desktop when no client has been connected for this long [default: never]
    #[arg(long, value_name = "TIME", value_parser = crate::ticket::seconds)]
    pub(crate) disconnected_limit: Option<u64>,
    /// End the desktop when no client has typed or pointed for this long [default: never]
    #[arg(long, value_name = "TIME", value_parser = crate::ticket::seconds)]
    pub(crate) idle_limit: Option<u64>,
    /// A unit of systemd is run, which keeps descriptors and starts another launcher when this one is killed
    #[arg(long, hide = true)]
    pub(crate) unit: bool,
    /// What was detached is called this
    #[arg(long, value_name = "NAME", hide = true)]
    pub(crate) detached_as: Option<DesktopName>,
    /// Where somebody waits to hear how the start went
    #[arg(long, value_name = "PATH", hide = true)]
    pub(crate) report: Option<PathBuf>,
    /// Print one JSON object when the desktop is ready
    #[arg(long)]
    pub(crate) json: bool,
    /// The Xorg program itself, where a distribution hides it
    #[arg(long, value_name = "PATH", hide_short_help = true)]
    pub(crate) xorg: Option<PathBuf>,
    /// What to run in the desktop [default: your session]
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}

impl StartArgs {
    /// What does not go together, as one sentence.
    pub(crate) fn contradiction(&self) -> Option<String> {
        if self.behind_gateway {
            // What is configured of addresses and passwords does not count.
            return None;
        }
        let open = |addresses: &[ListenAddress]| {
            let mut addresses = addresses.iter();
            addresses.find(|address| !is_loopback(address.0)).copied()
        };
        let (plain, tls) = (open(&self.listen), open(&self.tls_listen));
        if self.auth != Auth::Ticket && self.password_file.is_some() {
            return Some(
                "--password-file is for --auth ticket alone; leave one of them out".into(),
            );
        }
        if self.auth == Auth::Sasl {
            let is_local = self.unix.is_some() && self.listen.is_empty();
            if self.tls_listen.is_empty() && self.tls_cert.is_none() && !is_local {
                return Some(
                    "--auth sasl is taken inside TLS alone; say --tls-listen 127.0.0.1:5901".into(),
                );
            }
        } else if self.sasl_file.is_some() || !self.view_only_users.is_empty() {
            let option = match self.sasl_file {
                Some(_) => "--sasl-file is",
                None => "--view-only-users are",
            };
            return Some(format!("{option} for --auth sasl alone; say that, too"));
        }
        let is_kerberos = self.sasl_mech == SaslMechanism::Gssapi;
        if is_kerberos && self.auth != Auth::Sasl {
            return Some("--sasl-mech is for --auth sasl alone; say that, too".into());
        }
        if is_kerberos && self.sasl_file.is_some() {
            return Some("--sasl-file is for passwords, not for --sasl-mech gssapi".into());
        }
        if !is_kerberos && self.keytab.is_some() {
            return Some("--keytab is for --sasl-mech gssapi alone; say that, too".into());
        }
        match (plain.or(tls), self.auth) {
            (Some(address), Auth::None) => Some(format!(
                "--auth none is for loopback and unix sockets only, and others can reach {}; \
                 leave it out",
                address.0
            )),
            (_, Auth::Ticket | Auth::Sasl) if !self.insecure => plain.map(|address| {
                format!(
                    "others can reach {0}, where everything would pass unencrypted; say \
                     --tls-listen {0}, or listen on 127.0.0.1 and come through ssh -L, or say \
                     --insecure",
                    address.0
                )
            }),
            _ => None,
        }
    }
}

/// `list`.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Print a JSON array
    #[arg(long)]
    pub(crate) json: bool,
    /// List every user's desktops; root alone can
    #[arg(long)]
    pub(crate) all: bool,
}

/// `status`.
#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// The desktop [default: the only one]
    pub(crate) name: Option<DesktopName>,
    /// Print a JSON object
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) of: UserArgs,
}

/// `view`.
#[derive(Debug, Args)]
pub(crate) struct ViewArgs {
    /// The desktop [default: the only one]
    pub(crate) name: Option<DesktopName>,
    /// Only watch; the desktop's user is told
    #[arg(long)]
    pub(crate) shadow: bool,
    /// Print a JSON object with all that a client needs
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) of: UserArgs,
}

/// `message`.
#[derive(Debug, Args)]
pub(crate) struct MessageArgs {
    /// What is to be told
    pub(crate) text: String,
    /// The desktop [default: the only one]
    pub(crate) name: Option<DesktopName>,
    #[command(flatten)]
    pub(crate) of: UserArgs,
}

/// `password`.
#[derive(Debug, Args)]
pub(crate) struct PasswordArgs {
    /// The desktop [default: the only one]
    pub(crate) name: Option<DesktopName>,
    /// Make a new random password; the old one lets nobody in any more, and who is connected stays
    #[arg(long)]
    pub(crate) new: bool,
    /// Take the one line of this file as the new password
    #[arg(long, value_name = "FILE", conflicts_with = "new")]
    pub(crate) file: Option<PathBuf>,
    /// The new password is good for this long, like 10m or 8h
    #[arg(long, value_name = "TIME", value_parser = crate::ticket::seconds)]
    pub(crate) expires_in: Option<u64>,
    /// The new password lets in a single client
    #[arg(long)]
    pub(crate) once: bool,
    /// The password of who only watches: no keys, pointer, clipboard, files or microphone of theirs come in
    #[arg(long)]
    pub(crate) view_only: bool,
    /// Ask for a password and print this user's line for a --sasl-file; no desktop is needed
    #[arg(
        long,
        value_name = "USER",
        conflicts_with_all = ["name", "new", "file", "expires_in", "once", "view_only"]
    )]
    pub(crate) scram: Option<String>,
}

/// A verb that needs no more than a desktop.
#[derive(Debug, Args)]
pub(crate) struct NameArgs {
    /// The desktop [default: the only one]
    pub(crate) name: Option<DesktopName>,
    #[command(flatten)]
    pub(crate) of: UserArgs,
}

/// `doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    /// The Xorg program itself, where a distribution hides it
    #[arg(long, value_name = "PATH", hide_short_help = true)]
    pub(crate) xorg: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn contradiction(words: &[&str]) -> Option<String> {
        let all = ["caraway", "start"].iter().chain(words);
        let Verb::Start(args) = Cli::try_parse_from(all).unwrap().verb else {
            panic!("start")
        };
        args.contradiction()
    }

    #[test]
    fn the_definition_holds() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_others_can_reach_needs_a_password_and_the_word() {
        assert_eq!(contradiction(&[]), None);
        assert_eq!(
            contradiction(&["-l", "127.0.0.1:0", "--auth", "none"]),
            None
        );
        assert_eq!(contradiction(&["--unix", "/x", "--auth", "none"]), None);
        assert_eq!(contradiction(&["-l", "0.0.0.0:1", "--insecure"]), None);
        assert_eq!(contradiction(&["--tls-listen", "0.0.0.0:1"]), None);
        let sasl = ["--auth", "sasl", "--sasl-file", "/x"];
        for allowed in [
            &["--tls-listen", "0.0.0.0:1"][..],
            &["--tls-listen", "0.0.0.0:1", "-l", "127.0.0.1:0"],
            &["--tls-cert", "/x", "--tls-key", "/x"],
            &["--unix", "/x"],
        ] {
            assert_eq!(
                contradiction(&[&sasl, allowed].concat()),
                None,
                "{allowed:?}"
            );
        }
        for refused in [
            &["-l", "0.0.0.0:1"][..],
            &["-l", "127.0.0.1:1", "-l", "[::]:1"],
            &["--tls-listen", "0.0.0.0:1", "--auth", "none"],
            &["--tls-listen", "0.0.0.0:1", "-l", "0.0.0.0:2"],
            &["-l", "0.0.0.0:1", "--insecure", "--auth", "none"],
            &["--auth", "none", "--password-file", "/x"],
            &["--auth", "sasl"],
            &["--auth", "sasl", "-l", "127.0.0.1:1"],
            &["--auth", "sasl", "-l", "127.0.0.1:1", "--unix", "/x"],
            &[
                "--auth",
                "sasl",
                "--tls-listen",
                "0.0.0.0:1",
                "-l",
                "0.0.0.0:2",
            ],
            &[
                "--auth",
                "sasl",
                "--tls-listen",
                "0.0.0.0:1",
                "--password-file",
                "/x",
            ],
            &["--sasl-file", "/x"],
            &["--sasl-mech", "gssapi"],
            &["--keytab", "/x"],
        ] {
            assert!(contradiction(refused).is_some(), "{refused:?}");
        }
        let kerberos = ["--auth", "sasl", "--sasl-mech", "gssapi", "--tls-listen"];
        let kerberos = [&kerberos[..], &["0.0.0.0:1", "--keytab", "/x"]].concat();
        assert_eq!(contradiction(&kerberos), None);
        let refused = [&kerberos[..], &["--sasl-file", "/x"]].concat();
        assert!(contradiction(&refused).is_some());
    }

    #[test]
    fn wrong_words_are_refused() {
        for wrong in [
            &["-d", "x"][..],
            &["-d", "59536"],
            &["-g", "1x1"],
            &["-l", "5900"],
            &["xterm"],
            &["--name", "../x"],
            &["--auth", "pam"],
            &["--tls-cert", "/x"],
            &["--tls-key", "/x"],
            &["--tls-listen", "5901"],
            &["--uploads", "/nowhere/at/all"],
            &["--upload-max", "2 apples"],
        ] {
            assert!(
                Cli::try_parse_from(["caraway", "start"].iter().chain(wrong)).is_err(),
                "{wrong:?}"
            );
        }
    }
}
