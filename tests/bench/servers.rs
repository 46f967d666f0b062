//! The servers of the table: each with its viewer, started when it is first needed and again after a failure.

use std::time::Duration;

use crate::desktop::Desktop;
use crate::loads::Load;
use crate::measure;
use crate::process::cpu_time;
use crate::seat::{Seat, ViewerProgram};

/// All that can be in the table, ours first.
pub(crate) const SERVERS: &[Server] = &[Server::Caraway, Server::Xspice, Server::TigerVnc];

/// A server by its name.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Server {
    Caraway,
    Xspice,
    TigerVnc,
    /// Xorg's dummy driver: nobody sees it, and what it costs is the drawing itself.
    Dummy,
}

impl Server {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Caraway => "caraway",
            Self::Xspice => "xspice",
            Self::TigerVnc => "tigervnc",
            Self::Dummy => "dummy",
        }
    }

    fn desktop(self, geometry: &str) -> Desktop {
        match self {
            Self::Caraway => Desktop::caraway_with(&["--auth", "none", "-g", geometry], |_| ()),
            Self::Xspice => Desktop::xspice(geometry),
            Self::TigerVnc => Desktop::tigervnc(geometry),
            Self::Dummy => Desktop::dummy(geometry),
        }
    }

    fn viewer(self) -> ViewerProgram {
        match self {
            Self::Caraway | Self::Xspice => ViewerProgram::RemoteViewer,
            Self::TigerVnc | Self::Dummy => ViewerProgram::TigerVncViewer,
        }
    }
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

    pub(crate) fn name(&self) -> &'static str {
        self.server.name()
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
        let mut drawing = measure::Drawing::start(load, desktop);
        drawing.run(load.warm_up, load.rate);
        let before = cpu_time(desktop.xorg_pid);
        drawing.run(load.frames, load.rate);
        cpu_time(desktop.xorg_pid) - before
    }
}
