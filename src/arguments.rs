//! The command line of `caraway-server`, as the launcher writes it.

#[cfg(test)]
#[path = "../tests/manual/server.rs"]
mod manual;

use std::os::fd::RawFd;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use caraway_server::agent::clipboard::{ClipboardDirection, ClipboardPolicy};
use caraway_server::agent::resize::ResizePolicy;
use caraway_server::agent::resize_layout::DpiPolicy;
use caraway_server::base::limits::CLIPBOARD_BYTES_MAX;
use caraway_server::session::Joining;

/// Largest content of the clipboard that the protocol's part takes, in MB.
const CLIPBOARD_MB_MAX: u16 = 100;
const _: () = assert!(CLIPBOARD_MB_MAX as u32 * (1 << 20) == CLIPBOARD_BYTES_MAX);

/// Serves one desktop over SPICE. Usually `caraway start` runs it.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Arguments {
    /// Socket of the driver in the X server.
    #[arg(long)]
    pub(crate) driver: PathBuf,
    /// An inherited listening socket (TCP or unix stream); may be given several times.
    #[arg(
        long = "listen-fd",
        value_name = "FD",
        required_unless_present = "tls_listen_fds"
    )]
    pub(crate) listen_fds: Vec<RawFd>,
    /// An inherited listening TCP socket where only TLS is taken; may be given several times.
    #[arg(
        long = "tls-listen-fd",
        value_name = "FD",
        requires = "tls_certificate"
    )]
    pub(crate) tls_listen_fds: Vec<RawFd>,
    /// A file with the certificate chain for TLS in PEM form. With it, TLS is taken on every TCP socket.
    #[arg(long = "tls-cert", value_name = "FILE", requires = "tls_key")]
    pub(crate) tls_certificate: Option<PathBuf>,
    /// A file with the certificate's private key in PEM form.
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Clients on unix sockets come through a gateway: over a network.
    #[arg(long)]
    pub(crate) behind_gateway: bool,
    /// The user whom the gateway runs as: what it tells of clients' addresses is believed.
    #[arg(long, value_name = "UID", requires = "behind_gateway")]
    pub(crate) gateway_uid: Option<u32>,
    /// A file with the certificates of authorities in PEM form: TLS is for clients with a certificate of theirs.
    #[arg(
        long = "tls-client-ca",
        value_name = "FILE",
        requires = "tls_certificate"
    )]
    pub(crate) tls_client_authority: Option<PathBuf>,
    /// Who may come in.
    #[arg(long, value_enum, default_value_t = Auth::Ticket)]
    pub(crate) auth: Auth,
    /// A file of stored keys for SASL; without it, passwords are the system's (PAM).
    #[arg(long, value_name = "FILE")]
    pub(crate) sasl_file: Option<PathBuf>,
    /// By what users prove themselves to SASL.
    #[arg(long, value_enum, default_value_t = SaslMechanism::Password)]
    pub(crate) sasl_mech: SaslMechanism,
    /// The key table with the service's key for Kerberos; without it, that of KRB5_KTNAME or krb5.conf.
    #[arg(long, value_name = "FILE")]
    pub(crate) keytab: Option<PathBuf>,
    /// Users of SASL who may only watch.
    #[arg(long, value_name = "USERS", value_delimiter = ',')]
    pub(crate) view_only_users: Vec<String>,
    /// An inherited descriptor to read the password from, up to its end.
    #[arg(long, value_name = "FD", required_if_eq("auth", "ticket"))]
    pub(crate) password_fd: Option<RawFd>,
    /// Seconds from now on for which the password is good.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) password_expires_s: Option<u32>,
    /// The password lets in a single client.
    #[arg(long)]
    pub(crate) password_once: bool,
    /// An inherited stream socket to the launcher.
    #[arg(long, value_name = "FD")]
    pub(crate) control_fd: Option<RawFd>,
    /// Whether monitors follow the windows of who uses the desktop.
    #[arg(long, value_enum, default_value_t = FollowWindows::On)]
    pub(crate) resize: FollowWindows,
    /// Where dots per inch come from.
    #[arg(long, value_enum, default_value_t = Dpi::Fixed)]
    pub(crate) dpi: Dpi,
    /// An inherited listening unix socket where monitoring is answered.
    #[arg(long, value_name = "FD")]
    pub(crate) metrics_fd: Option<RawFd>,
    /// What may do who comes with all rights while another client uses the desktop.
    #[arg(long, value_enum, default_value_t = JoiningChoice::Full)]
    pub(crate) joining: JoiningChoice,
    /// The X display behind the driver; without it there are no selections.
    #[arg(long)]
    pub(crate) display: Option<String>,
    /// The file with the display's cookie.
    #[arg(long, requires = "display")]
    pub(crate) xauthority: Option<PathBuf>,
    /// Which way the clipboard passes: into the desktop, out of it, both ways, or not at all.
    #[arg(long, value_enum, default_value_t = ClipboardWay::Both)]
    pub(crate) clipboard: ClipboardWay,
    /// Largest content of the clipboard that passes, in MB.
    #[arg(long, value_name = "MB", default_value_t = CLIPBOARD_MB_MAX,
        value_parser = clap::value_parser!(u16).range(1..=i64::from(CLIPBOARD_MB_MAX)))]
    pub(crate) clipboard_max: u16,
    /// What passes through the clipboard.
    #[arg(long, value_enum, value_name = "TYPES", value_delimiter = ',',
        default_values_t = [ClipboardTypes::Text, ClipboardTypes::Images, ClipboardTypes::Files])]
    pub(crate) clipboard_types: Vec<ClipboardTypes>,
    /// Identifies the desktop as long as it lives, also when this program is started anew; random if not given.
    #[arg(long)]
    pub(crate) uuid: Option<Uuid>,
    /// Where files go that clients send, or off.
    #[arg(long, value_name = "off|DIR", default_value = "off")]
    pub(crate) uploads: PathBuf,
    /// Bytes of the largest such file.
    #[arg(long, value_name = "BYTES", default_value_t = u64::MAX, hide_default_value = true)]
    pub(crate) upload_bytes_max: u64,
    /// Socket of the sound daemon (PulseAudio's protocol) that the desktop's programs play to; none: no sound.
    #[arg(long, value_name = "PATH")]
    pub(crate) sound: Option<PathBuf>,
    /// Name of the desktop, which clients show.
    #[arg(long, default_value = "caraway")]
    pub(crate) name: String,
    /// Whether clients may share folders with the desktop.
    #[arg(long, value_enum, default_value_t = Folders::On)]
    pub(crate) folders: Folders,
    /// Where to put the sockets and the list of shared folders: a directory that only this user can enter.
    #[arg(long, value_name = "PATH")]
    pub(crate) folders_dir: Option<PathBuf>,
}

impl Arguments {
    /// How the desktop follows windows.
    pub(crate) fn resize_policy(&self) -> ResizePolicy {
        ResizePolicy {
            follow: self.resize == FollowWindows::On,
            dpi: match self.dpi {
                Dpi::Fixed => DpiPolicy::Fixed,
                Dpi::Client => DpiPolicy::Client,
            },
        }
    }

    /// What may pass through the clipboard.
    pub(crate) fn clipboard_policy(&self) -> ClipboardPolicy {
        let mut policy = ClipboardPolicy::new(self.clipboard.into());
        policy.bytes_max = usize::from(self.clipboard_max) << 20;
        let admits = |types| self.clipboard_types.contains(&types);
        policy.text = admits(ClipboardTypes::Text);
        policy.images = admits(ClipboardTypes::Images);
        policy.files = admits(ClipboardTypes::Files);
        policy
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Folders {
    /// At local addresses.
    On,
    /// Not at all.
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum JoiningChoice {
    /// The same.
    Full,
    /// Watch.
    ViewOnly,
}

impl From<JoiningChoice> for Joining {
    fn from(choice: JoiningChoice) -> Self {
        match choice {
            JoiningChoice::Full => Self::Full,
            JoiningChoice::ViewOnly => Self::ViewOnly,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Auth {
    /// Everybody who can connect.
    None,
    /// Who knows the password.
    Ticket,
    /// Who is a user, on TCP inside of TLS alone; and the desktop's own user on unix sockets.
    Sasl,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SaslMechanism {
    /// A password, of the stored keys or of the system's.
    Password,
    /// A Kerberos ticket.
    Gssapi,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum FollowWindows {
    /// They do.
    On,
    /// They stay as they are.
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Dpi {
    /// 96.
    Fixed,
    /// What the physical size of the client's monitor says.
    Client,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClipboardWay {
    /// Both ways.
    Both,
    /// From clients into the desktop.
    In,
    /// From the desktop to clients.
    Out,
    /// No way.
    Off,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ClipboardTypes {
    /// Text.
    Text,
    /// Images of every kind.
    Images,
    /// Lists of files.
    Files,
}

impl From<ClipboardWay> for ClipboardDirection {
    fn from(way: ClipboardWay) -> Self {
        match way {
            ClipboardWay::Both => Self::Both,
            ClipboardWay::In => Self::In,
            ClipboardWay::Out => Self::Out,
            ClipboardWay::Off => Self::Off,
        }
    }
}

/// A UUID as it is written: 32 hexadecimal digits, with or without hyphens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Uuid(pub(crate) [u8; 16]);

impl std::str::FromStr for Uuid {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits: String = text.chars().filter(|character| *character != '-').collect();
        let is_hexadecimal = digits
            .chars()
            .all(|character| character.is_ascii_hexdigit());
        let number = u128::from_str_radix(&digits, 16).ok();
        number
            .filter(|_| is_hexadecimal && digits.len() == 32)
            .map(|number| Self(number.to_be_bytes()))
            .ok_or("a UUID has 32 hexadecimal digits")
    }
}

#[cfg(test)]
mod tests {
    use super::Uuid;

    #[test]
    fn uuids_are_read_as_they_are_written() {
        let plain = "00112233445546678899aabbccddeeff".parse::<Uuid>().unwrap();
        assert_eq!(plain.0[..4], [0, 0x11, 0x22, 0x33]);
        let written = "00112233-4455-4667-8899-AABBCCDDEEFF";
        assert_eq!(written.parse::<Uuid>(), Ok(plain));
        for wrong in ["", "0011", "+0112233445546678899aabbccddeeff", "zz"] {
            assert!(wrong.parse::<Uuid>().is_err(), "{wrong}");
        }
    }
}
