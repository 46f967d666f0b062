//! Limits of a desktop that its user or host has set: how old it may grow, how long it may be without clients, and how
//! long nobody may have touched it. None is set by default.
//!
//! Nothing ticks: each look tells when the next one is due, which is never earlier than a limit can be reached.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

/// A server that does not answer is asked again after this.
const ASK_AGAIN: Duration = Duration::from_secs(60);

/// What the server's status calls the seconds since somebody was connected, and since somebody typed or pointed.
const WITHOUT_CLIENTS: &str = "without_clients_s";
const IDLE: &str = "idle_s";

/// How long each may last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Since the start.
    pub(crate) age: Option<Duration>,
    /// Since a client was connected.
    pub(crate) disconnected: Option<Duration>,
    /// Since a client typed, pointed or came.
    pub(crate) idle: Option<Duration>,
}

/// Seconds of the host's clock that counts from its start on, also while it sleeps.
pub(crate) fn host_clock_s() -> u64 {
    u64::try_from(clock_gettime(ClockId::Boottime).tv_sec).unwrap_or(0)
}

impl Limits {
    /// From options in seconds.
    pub(crate) fn of_seconds(
        age: Option<u64>,
        disconnected: Option<u64>,
        idle: Option<u64>,
    ) -> Self {
        Self {
            age: age.map(Duration::from_secs),
            disconnected: disconnected.map(Duration::from_secs),
            idle: idle.map(Duration::from_secs),
        }
    }

    /// When to look first; never where there is no limit.
    pub(crate) fn first_look(&self) -> Option<Duration> {
        [self.age, self.disconnected, self.idle]
            .into_iter()
            .flatten()
            .min()
    }

    /// The time until the next look at a desktop of this `age` with this `status` of its server, or why it has to end.
    pub(crate) fn judge(&self, age: Duration, status: Option<&Value>) -> Result<Duration, String> {
        let told = |key: &str| status?.get(key)?.as_u64().map(Duration::from_secs);
        let lasted = [
            (self.age, Some(age), "age", "is that old"),
            (
                self.disconnected,
                told(WITHOUT_CLIENTS),
                "disconnected",
                "has had no client for that long",
            ),
            (
                self.idle,
                told(IDLE),
                "idle",
                "has not been used for that long",
            ),
        ];
        let mut next = Duration::MAX;
        for (limit, lasted, name, what) in lasted {
            let Some(limit) = limit else { continue };
            let left = match lasted {
                Some(lasted) => limit.saturating_sub(lasted),
                None => ASK_AGAIN,
            };
            if left.is_zero() {
                let seconds = limit.as_secs();
                return Err(format!(
                    "the desktop {what} and ends (--{name}-limit {seconds}s)"
                ));
            }
            next = next.min(left);
        }
        Ok(next.min(ASK_AGAIN * 60 * 24))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn nothing_is_looked_at_without_a_limit() {
        assert_eq!(Limits::default().first_look(), None);
        let limits = Limits::of_seconds(Some(100), None, Some(10));
        assert_eq!(limits.first_look(), Some(at(10)));
    }

    #[test]
    fn each_limit_ends_the_desktop_when_it_is_reached_and_not_before() {
        let all = Limits::of_seconds(Some(100), Some(20), Some(10));
        let status =
            |without: u64, idle: u64| json!({"without_clients_s": without, "idle_s": idle});
        assert_eq!(all.judge(at(50), Some(&status(0, 4))), Ok(at(6)));
        assert_eq!(all.judge(at(99), Some(&status(0, 0))), Ok(at(1)));
        assert_eq!(all.judge(at(0), Some(&status(19, 5))), Ok(at(1)));
        for (age, status, word) in [
            (100, status(0, 0), "--age-limit 100s"),
            (0, status(20, 5), "--disconnected-limit 20s"),
            (0, status(0, 11), "--idle-limit 10s"),
        ] {
            let why = all.judge(at(age), Some(&status)).unwrap_err();
            assert!(why.contains(word), "{why}");
        }
    }

    #[test]
    fn a_server_that_does_not_answer_ends_nothing() {
        let limits = Limits::of_seconds(None, Some(1), Some(1));
        assert_eq!(limits.judge(at(1000), None), Ok(ASK_AGAIN));
        assert_eq!(limits.judge(at(1000), Some(&json!({}))), Ok(ASK_AGAIN));
    }
}
