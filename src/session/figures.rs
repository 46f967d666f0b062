//! A desktop's figures for monitoring: of everybody who is connected, and of who was.

use super::channel::{Channel, Role};
use super::desktop::Session;
use super::registry::ChannelKey;
use super::tally::Tally;
use crate::base::{Access, ClientId, Micros};
use crate::metrics::{Exposition, Histogram, seconds};

/// What those have had who are gone, and how many came.
#[derive(Clone, Debug, Default)]
pub(super) struct Past {
    frames_shown: u64,
    encode_us: u64,
    display_bytes: u64,
    key_times: Histogram,
    /// Clients that came, by what they might do.
    came: [u64; 3],
}

const ACCESSES: [Access; 3] = [Access::Full, Access::ViewOnly, Access::Shadow];

impl Past {
    /// A display has ended, or is looked at while it goes on.
    fn add(&mut self, tally: &Tally, bytes: u64) {
        self.frames_shown += tally.frames_shown;
        self.encode_us += tally.encode_us;
        self.display_bytes += bytes;
        self.key_times.merge(&tally.key_times);
    }

    /// A channel ends.
    pub(super) fn ended(&mut self, channel: &Channel) {
        if let Role::Display(display) = &channel.role {
            self.add(&display.tally, channel.outbox.written_bytes());
        }
    }

    /// A client has come.
    pub(super) fn came(&mut self, access: Access) {
        for (one, count) in ACCESSES.iter().zip(&mut self.came) {
            *count += u64::from(*one == access);
        }
    }
}

impl Session {
    /// A client has pressed a key.
    pub(super) fn key_pressed(&mut self, client: ClientId, now: Micros) {
        for key in self.registry.channels(client) {
            if let Some(Role::Display(display)) =
                self.channels.get_mut(&key).map(|one| &mut one.role)
            {
                display.tally.key(now);
            }
        }
    }

    /// It took this long to make what `transmit` gave.
    pub fn encoded(&mut self, key: ChannelKey, taken: Micros) {
        if let Some(Role::Display(display)) = self.channels.get_mut(&key).map(|one| &mut one.role) {
            display.tally.encode_us += taken.0;
        }
    }

    /// Figures since the server started.
    pub fn expose(&self, now: Micros, exposition: &mut Exposition) {
        let mut all = self.past.clone();
        let mut rtt_us = 0;
        for channel in self.channels.values() {
            all.ended(channel);
            if let Role::Display(display) = &channel.role {
                rtt_us = rtt_us.max(display.rtt_us().unwrap_or_default());
            }
        }
        let size = self.picture.size();
        let uptime = seconds(now.0);
        exposition.gauge(
            "caraway_uptime_seconds",
            "Since the server started.",
            uptime,
        );
        let help = "The screen.";
        exposition.gauge("caraway_screen_width_pixels", help, size.width);
        exposition.gauge("caraway_screen_height_pixels", help, size.height);
        self.expose_clients(exposition);
        let help = "Frames read from the screen.";
        exposition.counter("caraway_frames_read_total", help, self.frames);
        let help = "Frames of which clients got something, summed over clients.";
        exposition.counter("caraway_frames_shown_total", help, all.frames_shown);
        let help = "Bytes sent on display channels.";
        exposition.counter("caraway_display_sent_bytes_total", help, all.display_bytes);
        let help = "Time spent on making what was sent on display channels.";
        let encode = seconds(all.encode_us);
        exposition.counter("caraway_encode_seconds_total", help, encode);
        let help = "Longest of the clients' round trips, their own work included.";
        exposition.gauge("caraway_rtt_max_seconds", help, seconds(rtt_us));
        let help = "From a key to the first sending of a frame behind it.";
        exposition.histogram("caraway_key_to_frame_seconds", help, &all.key_times);
    }

    fn expose_clients(&self, exposition: &mut Exposition) {
        let there = |access: Access| {
            let clients = self.registry.clients();
            let same = clients.filter(|client| self.registry.access(*client) == access);
            (access.word().to_owned(), same.count())
        };
        let help = "Clients that are connected.";
        let clients = ACCESSES.map(there);
        exposition.by_label(("caraway_clients", help, "gauge"), "access", clients);
        let help = "Clients that have connected.";
        let words = ACCESSES.map(|access| access.word().to_owned());
        let came = words.into_iter().zip(self.past.came);
        exposition.by_label(
            ("caraway_connections_total", help, "counter"),
            "access",
            came,
        );
    }
}
