//! The servers of the table: each with its viewer, started when it is first needed and again after a failure.

use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use crate::desktop::{Desktop, free_port};
use crate::drawing::Drawing;
use crate::loads::Load;
use crate::process::cpu_time;
use crate::seat::{Seat, ViewerProgram};

/// All that can be in the table, ours first.
pub(crate) const SERVERS: &[Server] = &[
    Server::Caraway,
    Server::Xspice,
    Server::TigerVnc,
    Server::XspiceStreaming,
];

/// Those in the table when nothing else is asked for.
pub(crate) const DEFAULT_SERVERS: &[Server] = &[Server::Caraway, Server::Xspice, Server::TigerVnc];

/// A server by its name.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Server {
    Caraway,
    Xspice,
    XspiceStreaming,
    TigerVnc,
    /// Xorg's dummy driver: nobody sees it, and what it costs is the drawing itself.
    Dummy,
}

impl Server {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Caraway => "caraway",
            Self::Xspice => "xspice",
            Self::XspiceStreaming => "xspice-streaming",
            Self::TigerVnc => "tigervnc",
            Self::Dummy => "dummy",
        }
    }

    fn desktop(self, geometry: &str) -> Desktop {
        match self {
            Self::Caraway => caraway(geometry),
            Self::Xspice => Desktop::xspice(geometry),
            Self::XspiceStreaming => Desktop::xspice_streaming(geometry),
            Self::TigerVnc => Desktop::tigervnc(geometry),
            Self::Dummy => Desktop::dummy(geometry),
        }
    }

    fn viewer(self) -> ViewerProgram {
        match self {
            Self::TigerVnc => ViewerProgram::TigerVncViewer,
            _ => ViewerProgram::RemoteViewer,
        }
    }

    /// Whether what stands still becomes exact: TigerVNC leaves what JPEG has made of it.
    pub(crate) fn is_exact(self) -> bool {
        self != Self::TigerVnc
    }
}

/// Ours as from another machine: it knows clients on loopback and spares them compression, which would say nothing of
/// bytes on a wire. So it listens on an address of this host, if there is one, and asks for a password there.
fn caraway(geometry: &str) -> Desktop {
    let Some(address) = own_address() else {
        println!(
            "This host has no address but loopback: caraway will send as to a client on the same machine."
        );
        return Desktop::caraway_with(&["--auth", "none", "-g", geometry], |_| ());
    };
    let listen = format!("{address}:{}", free_port());
    let mut desktop = Desktop::caraway_with(&["--insecure", "-l", &listen, "-g", geometry], |_| ());
    desktop.uri = format!("spice://{listen}?password={}", desktop.password);
    desktop
}

/// The address that this host sends from. Nothing is sent: connecting a UDP socket only looks up the route.
fn own_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // An address for documentation, which is nobody's.
    socket.connect("203.0.113.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

/// A server's place: its desktop and, unless it is the dummy's, a person who watches it.
pub(crate) struct Stand {
    server: Server,
    geometry: String,
    // In this order: the viewer ends before what it shows.
    seat: Option<Seat>,
    desktop: Option<Desktop>,
}

impl Stand {
    pub(crate) fn of(server: Server, geometry: &str) -> Self {
        Self {
            server,
            geometry: geometry.to_owned(),
            seat: None,
            desktop: None,
        }
    }

    pub(crate) fn dummy(geometry: &str) -> Self {
        Self::of(Server::Dummy, geometry)
    }

    pub(crate) fn server(&self) -> Server {
        self.server
    }

    /// The desktop, started when it is not.
    pub(crate) fn desktop(&mut self) -> &Desktop {
        let (server, geometry) = (self.server, &self.geometry);
        self.desktop.get_or_insert_with(|| server.desktop(geometry))
    }

    /// The desktop and the viewer on it, started when they are not.
    pub(crate) fn watched(&mut self) -> (&Desktop, &mut Seat) {
        let (server, geometry) = (self.server, &self.geometry);
        let desktop = self.desktop.get_or_insert_with(|| server.desktop(geometry));
        let seat = self
            .seat
            .get_or_insert_with(|| Seat::start(server.viewer(), &desktop.uri, geometry));
        (desktop, seat)
    }

    /// Ends both.
    pub(crate) fn clear(&mut self) {
        self.seat = None;
        self.desktop = None;
    }

    /// CPU time that X spends on drawing the counted frames of `load` when nobody watches.
    pub(crate) fn drawing_cost(&mut self, load: &Load) -> Duration {
        let desktop = self.desktop();
        let mut drawing = Drawing::start(load, desktop);
        drawing.run(load.warm_up, load.rate);
        let before = cpu_time(desktop.xorg_pid);
        drawing.run(load.frames, load.rate);
        cpu_time(desktop.xorg_pid) - before
    }
}
