//! Whose window decides how large the desktop is, and when the X server is told.
//!
//! **Who.** Every client says what it would like (MONITORS_CONFIG); one client decides: the one that pressed a key or
//! button last, or the only one there is. Who merely looks on is remembered, not obeyed. When another client begins to
//! act its window counts as soon as the one before has been quiet for [`HAND_OVER`]: two people who type in turns do
//! not tear the screen to and fro.
//!
//! **When.** A single change is made at once. While an edge is dragged sizes come in storms: the first is made, the
//! others once no more came for [`SETTLE`], or after [`SETTLE_MAX`] at the latest. One change is in flight at a time,
//! until the X server shows it or [`APPLY_DEADLINE`] has passed; then the newest wish counts, whatever came between.
//!
//! Wishes are events, not states: programs in the desktop may set other modes (`xrandr`, a settings daemon), which is
//! followed and not fought. The client is asked for nothing and gets its way again when it next asks.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::resize_layout::{DPI_DEFAULT, DpiPolicy, ScreenLayout};
use super::{Note, Order, Outbound, Part};
use crate::base::{ClientId, Micros};
use crate::ring::Head;
use crate::wire::agent::{AgentMessage, AgentType, MonitorsConfig, Reply, ReplyCode};
use crate::wire::caps::Caps;

/// No wish came for so long: whoever changes the size has stopped.
pub const SETTLE: Micros = Micros::from_millis(140);

/// Who drags without end sees the desktop follow this often.
pub const SETTLE_MAX: Micros = Micros::from_secs(4);

/// A wish after so long without any stands alone, and is fulfilled at once.
pub const ALONE: Micros = Micros::from_millis(500);

/// The X server has changed its mode by then, or has not at all.
pub const APPLY_DEADLINE: Micros = Micros::from_secs(2);

/// Another client acts: its window counts when the client before did nothing for so long. The same when a client goes.
pub const HAND_OVER: Micros = Micros::from_secs(2);

/// Whether clients change the size at all, and the resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResizePolicy {
    /// Windows decide; else the desktop keeps its size.
    pub follow: bool,
    /// Where dots per inch come from.
    pub dpi: DpiPolicy,
}

impl Default for ResizePolicy {
    fn default() -> Self {
        Self {
            follow: true,
            dpi: DpiPolicy::Fixed,
        }
    }
}

/// There is none: what the X server shows comes with the screen ([`Resize::shows`]).
#[derive(Debug)]
pub enum ResizeNews {}

/// The X server is to show this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResizeOrder(pub ScreenLayout);

#[derive(Clone, Debug, Default)]
struct Client {
    wish: Option<ScreenLayout>,
    acted_at: Option<Micros>,
}

/// The decider's wish, to be looked at.
#[derive(Clone, Copy, Debug)]
struct Pending {
    /// When the first of the storm came.
    since: Micros,
    due: Micros,
}

#[derive(Clone, Debug)]
struct Flight {
    client: ClientId,
    layout: ScreenLayout,
    until: Micros,
}

/// The monitors of a desktop as its clients want them.
#[derive(Debug)]
pub struct Resize {
    policy: ResizePolicy,
    clients: BTreeMap<ClientId, Client>,
    decider: Option<ClientId>,
    /// The decider has gone: whether one is left alone is to be looked at.
    is_orphaned: bool,
    asked_at: Option<Micros>,
    pending: Option<Pending>,
    flight: Option<Flight>,
    /// The outputs that are on.
    shown: Vec<Head>,
    /// Dots per inch that were set last.
    dpi: u16,
}

impl Default for Resize {
    fn default() -> Self {
        Self {
            policy: ResizePolicy::default(),
            clients: BTreeMap::new(),
            decider: None,
            is_orphaned: false,
            asked_at: None,
            pending: None,
            flight: None,
            shown: Vec::new(),
            dpi: DPI_DEFAULT,
        }
    }
}

impl Resize {
    /// What holds from now on.
    pub const fn set_policy(&mut self, policy: ResizePolicy) {
        self.policy = policy;
    }

    /// A client pressed a key or a button.
    pub fn acted(&mut self, now: Micros, client: ClientId) {
        let Some(actor) = self.clients.get_mut(&client) else {
            return;
        };
        actor.acted_at = Some(now);
        if self.decider == Some(client) {
            return;
        }
        let before = self.decider.and_then(|before| self.clients.get(&before));
        let quiet_at = before.and_then(|before| Some(before.acted_at? + HAND_OVER));
        self.hand_over(client, now, quiet_at.unwrap_or(now).max(now));
    }

    /// What the X server shows now, whoever set it.
    pub fn shows(&mut self, heads: &[Head]) {
        if self.shown != heads {
            self.shown = heads.to_vec();
        }
        if let Some(flight) = self.flight.take_if(|flight| flight.layout.heads() == heads) {
            self.dpi = flight.layout.dpi();
        }
    }

    /// `VD_AGENT_MONITORS_CONFIG`. Returns whether any of it can be done, by now or later.
    fn asked(
        &mut self,
        now: Micros,
        client: ClientId,
        wanted: &MonitorsConfig,
        out: &mut Outbound,
    ) -> bool {
        let Some(asker) = self.clients.get_mut(&client).filter(|_| self.policy.follow) else {
            return false;
        };
        let mut changes = Vec::new();
        let arranged = ScreenLayout::arrange(wanted, self.policy.dpi, &mut changes);
        for change in changes {
            let text = format!("its monitors are not as it asks: {change}");
            out.note(client, Note::Refused(text));
        }
        match arranged {
            Ok(layout) => asker.wish = Some(layout),
            Err(error) => {
                let text = format!("its monitors are refused: {error}");
                out.note(client, Note::Refused(text));
                return false;
            }
        }
        if self.decider == Some(client) {
            self.schedule(now);
        }
        true
    }

    fn hand_over(&mut self, client: ClientId, since: Micros, due: Micros) {
        self.decider = Some(client);
        self.pending = Some(Pending { since, due });
    }

    /// The one that is left alone decides in a while: it may be a short loss of the other's line.
    fn adopt(&mut self, now: Micros) {
        self.is_orphaned = false;
        let mut left = self.clients.keys();
        if let (None, Some(&only), None) = (self.decider, left.next(), left.next()) {
            self.hand_over(only, now, now + HAND_OVER);
        }
    }

    fn schedule(&mut self, now: Micros) {
        let last = self.asked_at.replace(now);
        let is_alone = last.is_none_or(|last| ALONE <= now.since(last));
        let since = self.pending.map_or(now, |pending| pending.since);
        let due = if is_alone && self.flight.is_none() {
            now
        } else {
            (now + SETTLE).min(since + SETTLE_MAX).max(now)
        };
        self.pending = Some(Pending { since, due });
    }

    /// What the X server is to show, if that is due.
    fn take_due(&mut self, now: Micros) -> Option<ScreenLayout> {
        self.pending.take_if(|pending| pending.due <= now)?;
        let client = self.decider?;
        let layout = self.clients.get(&client)?.wish.clone()?;
        if layout.heads() == self.shown && layout.dpi() == self.dpi {
            return None;
        }
        self.flight = Some(Flight {
            client,
            layout: layout.clone(),
            until: now + APPLY_DEADLINE,
        });
        Some(layout)
    }
}

impl Part for Resize {
    type News = ResizeNews;

    fn joined(&mut self, now: Micros, client: ClientId, _: &Caps, _: &mut Outbound) {
        self.adopt(now);
        self.clients.entry(client).or_default();
        if self.clients.len() == 1 {
            self.decider = Some(client);
        }
    }

    fn left(&mut self, client: ClientId, _: &mut Outbound) {
        self.clients.remove(&client);
        if self.decider == Some(client) {
            (self.decider, self.pending) = (None, None);
        }
        self.is_orphaned = self.decider.is_none() && self.clients.len() == 1;
    }

    fn message(
        &mut self,
        now: Micros,
        client: ClientId,
        message: AgentMessage,
        out: &mut Outbound,
    ) {
        // Wallpaper and fonts (DISPLAY_CONFIG) are the desktop's own affair.
        if let AgentMessage::MonitorsConfig(wanted) = message {
            let code = if self.asked(now, client, &wanted, out) {
                ReplyCode::SUCCESS
            } else {
                ReplyCode::ERROR
            };
            let message_type = AgentType::MONITORS_CONFIG;
            out.say(client, AgentMessage::Reply(Reply { message_type, code }));
            self.poll(now, out);
        }
    }

    fn skipped(
        &mut self,
        _: Micros,
        client: ClientId,
        message_type: AgentType,
        out: &mut Outbound,
    ) {
        let code = ReplyCode::ERROR;
        out.say(client, AgentMessage::Reply(Reply { message_type, code }));
    }

    fn news(&mut self, _: Micros, news: Self::News, _: &mut Outbound) {
        match news {}
    }

    fn deadline(&self) -> Option<Micros> {
        if self.is_orphaned {
            return Some(Micros(0));
        }
        match &self.flight {
            Some(flight) => Some(flight.until),
            None => self.pending.map(|pending| pending.due),
        }
    }

    fn poll(&mut self, now: Micros, out: &mut Outbound) {
        if self.is_orphaned {
            self.adopt(now);
        }
        if let Some(failed) = self.flight.take_if(|flight| flight.until <= now) {
            let size = failed.layout.size();
            let text = format!(
                "the X server did not take its monitors, {}x{} pixels on {}",
                size.width,
                size.height,
                failed.layout.heads().len()
            );
            out.note(failed.client, Note::Refused(text));
        }
        if self.flight.is_none()
            && let Some(layout) = self.take_due(now)
        {
            out.order(Order::Resize(ResizeOrder(layout)));
        }
    }
}
