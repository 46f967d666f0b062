//! What kind of line leads to a client: by it codecs are chosen.
//!
//! The kind follows from where the client connects from and from what its fences measured, and it changes only when a
//! measurement is clearly on the other side of a threshold. A tunnel ends on this machine, so a loopback
//! address says little: its round trip and its rate decide.

use crate::base::Micros;

/// How a client's connection comes to this machine, as far as its address tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Path {
    /// A unix socket: the client runs here.
    Unix,
    /// TCP from this machine: a client, or the end of a tunnel.
    Loopback,
    /// TCP from elsewhere.
    #[default]
    Network,
}

/// The kind of line to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Bytes cost less than the time to spare them.
    Local,
    /// Bytes are cheap: nothing has to look worse for want of them.
    Lan,
    /// Bytes are dear.
    Wan {
        /// Bytes a second that the client takes, as far as is known.
        rate_bytes_per_s: u64,
    },
}

/// A loopback client whose round trip is longer is at the far end of a tunnel.
pub const LOCAL_RTT_MAX: Micros = Micros::from_millis(3);

/// A loopback client that takes so many bytes a second is local again (400 Mbit/s).
pub const LOCAL_RATE_ENTER: u64 = 50_000_000;

/// A loopback client that takes fewer is not local (80 Mbit/s).
pub const LOCAL_RATE_LEAVE: u64 = 10_000_000;

/// A line that carries so many bytes a second becomes a LAN (64 Mbit/s).
pub const LAN_RATE_ENTER: u64 = 8_000_000;

/// A LAN that carries fewer is none any more (40 Mbit/s).
pub const LAN_RATE_LEAVE: u64 = 5_000_000;

/// While no rate is known, a shorter round trip is taken for a LAN's.
pub const LAN_RTT_MAX: Micros = Micros::from_millis(10);

/// What is known of a line at some moment.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Measured {
    /// Shortest round trip lately.
    pub(super) rtt: Option<Micros>,
    /// Bytes a second when the line was full, which is all that it takes.
    pub(super) full_rate: Option<u64>,
    /// Bytes a second that it has been seen to take at least.
    pub(super) rate_min: u64,
}

impl Line {
    /// Before anything is measured.
    pub(super) const fn first(path: Path) -> Self {
        match path {
            Path::Unix => Self::Local,
            Path::Loopback | Path::Network => Self::Lan,
        }
    }

    /// The kind after a measurement, with this kind before.
    pub(super) fn next(self, path: Path, measured: &Measured) -> Self {
        if path == Path::Unix || self.is_local(path, measured) {
            return Self::Local;
        }
        let rate = measured.full_rate.unwrap_or(measured.rate_min);
        let threshold = if matches!(self, Self::Wan { .. }) {
            LAN_RATE_ENTER
        } else {
            LAN_RATE_LEAVE
        };
        let is_lan = match measured.full_rate {
            Some(rate) => threshold <= rate,
            None => threshold <= rate || measured.rtt.is_none_or(|rtt| rtt <= LAN_RTT_MAX),
        };
        if is_lan {
            Self::Lan
        } else {
            Self::Wan {
                rate_bytes_per_s: rate,
            }
        }
    }

    fn is_local(self, path: Path, measured: &Measured) -> bool {
        let threshold = if self == Self::Local {
            LOCAL_RATE_LEAVE
        } else {
            LOCAL_RATE_ENTER
        };
        path == Path::Loopback
            && measured.rtt.is_some_and(|rtt| rtt <= LOCAL_RTT_MAX)
            && measured.full_rate.is_none_or(|rate| threshold <= rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn measured(rtt_us: u64, full_rate: Option<u64>) -> Measured {
        Measured {
            rtt: Some(Micros(rtt_us)),
            full_rate,
            rate_min: 1000,
        }
    }

    #[test]
    fn a_unix_client_is_local_whatever_it_takes() {
        let slow = measured(500_000, Some(1000));
        assert_eq!(Line::first(Path::Unix).next(Path::Unix, &slow), Line::Local);
    }

    #[test]
    fn loopback_is_local_by_its_first_round_trip_and_a_tunnel_is_not() {
        let first = Line::first(Path::Loopback);
        assert_eq!(first, Line::Lan);
        let local = first.next(Path::Loopback, &measured(400, None));
        assert_eq!(local, Line::Local);
        let wan = Line::Wan {
            rate_bytes_per_s: 1000,
        };
        assert_eq!(
            first.next(Path::Loopback, &measured(30_000, None)),
            wan,
            "the far end of a tunnel"
        );
        let hundred_mbit = measured(900, Some(LOCAL_RATE_LEAVE - 1));
        assert_eq!(local.next(Path::Loopback, &hundred_mbit), Line::Lan);
    }

    #[test]
    fn a_rate_near_a_threshold_changes_nothing() {
        let near = (LAN_RATE_ENTER + LAN_RATE_LEAVE) / 2;
        let near = measured(20_000, Some(near));
        let wan = Line::Wan {
            rate_bytes_per_s: LAN_RATE_LEAVE - 1,
        };
        assert_eq!(Line::Lan.next(Path::Network, &near), Line::Lan);
        assert!(matches!(wan.next(Path::Network, &near), Line::Wan { .. }));
        let fast = measured(500, Some((LOCAL_RATE_LEAVE + LOCAL_RATE_ENTER) / 2));
        assert_eq!(Line::Local.next(Path::Loopback, &fast), Line::Local);
        assert_eq!(Line::Lan.next(Path::Loopback, &fast), Line::Lan);
    }

    #[test]
    fn typing_alone_makes_no_slow_line_of_a_lan() {
        let mut line = Line::first(Path::Network);
        for _ in 0..100 {
            line = line.next(Path::Network, &measured(2000, None));
        }
        assert_eq!(line, Line::Lan);
    }
}
