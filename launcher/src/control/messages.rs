//! What is said on a desktop's `control.sock`: one JSON object per line, a request and its reply.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::name::DesktopName;
use crate::ticket::NewTicket;

/// Bytes of a request; the longest has a message to clients.
pub(crate) const REQUEST_BYTES_MAX: usize = 8 * 1024;

/// Bytes of a message to clients.
pub(crate) const MESSAGE_BYTES_MAX: usize = 1024;

/// Bytes of a reply: the server's status and a little.
pub(crate) const REPLY_BYTES_MAX: u64 = 512 * 1024;

/// What another `caraway` of the same user may ask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub(crate) enum Request {
    /// Answered with `Reply::Desktop`.
    Describe,
    /// Answered with `Reply::WayIn`.
    WayIn,
    /// Answered with `Reply::WayIn`, with the password for watching.
    ViewOnlyWayIn,
    /// Answered with `Reply::WayIn`, with a new password for watching once, soon, announced to the user.
    Shadow,
    /// Answered with `Reply::TicketSet`.
    SetTicket(NewTicket),
    /// Answered with `Reply::Upgrading`; launcher and server become the newest that are installed.
    Upgrade,
    /// Words for the clients and the user. Answered with `Reply::Told`.
    Message { text: String },
    /// Answered with `Reply::Stopping`; the connection closes when the desktop is gone.
    Stop,
}

/// The launcher's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "reply", rename_all = "kebab-case")]
pub(crate) enum Reply {
    Desktop(Desktop),
    WayIn(WayIn),
    TicketSet,
    Upgrading,
    Told,
    Stopping,
    /// The request was none, or came from somebody else.
    Refused {
        reason: String,
    },
}

/// A running desktop: the object of `caraway status --json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Desktop {
    /// Its name.
    pub(crate) name: DesktopName,
    /// Its X display, such as `:1`; none while Xorg starts.
    pub(crate) display: Option<String>,
    /// Where clients connect.
    pub(crate) uris: Vec<String>,
    /// When it was started, RFC 3339 in UTC.
    pub(crate) since: String,
    /// Its processes.
    pub(crate) pids: Pids,
    /// Whether its launcher or its server is of an older build than what is installed now. A launcher that does not
    /// say is.
    #[serde(default)]
    pub(crate) outdated: Option<bool>,
    /// What caraway-server says of itself; none while it does not run or does not answer.
    pub(crate) server: Option<Value>,
}

impl Desktop {
    /// Whether it is of an older build than what is installed now.
    pub(crate) fn is_outdated(&self) -> bool {
        self.outdated.unwrap_or(true)
    }

    /// The connected clients, as the server lists them.
    pub(crate) fn clients(&self) -> Option<&Vec<Value>> {
        self.server.as_ref()?.get("clients")?.as_array()
    }

    /// The folders that clients share, as the server lists them.
    pub(crate) fn shared_folders(&self) -> Option<&Vec<Value>> {
        self.server.as_ref()?.get("shared_folders")?.as_array()
    }
}

/// The processes of a desktop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pids {
    /// This launcher.
    pub(crate) launcher: i32,
    /// Its Xorg; none before it was started.
    pub(crate) xorg: Option<i32>,
    /// Its caraway-server; none while one is to be started again.
    pub(crate) server: Option<i32>,
}

/// What a client needs to connect.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct WayIn {
    /// Where clients connect.
    pub(crate) uris: Vec<String>,
    /// The ticket, if one is asked for.
    pub(crate) password: Option<String>,
    /// The certificate to trust for TLS, in PEM form, unless the client knows whom to trust.
    #[serde(default)]
    pub(crate) authority: Option<String>,
}

impl std::fmt::Debug for WayIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WayIn")
            .field("uris", &self.uris)
            .finish_non_exhaustive()
    }
}
