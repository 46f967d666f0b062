//! The clipboard as a part of the agent.

use super::{ClientAbilities, Clipboard, ClipboardNews, ClipboardPolicy};
use crate::agent::{Order, Outbound, Part};
use crate::base::{ClientId, Micros};
use crate::wire::agent::{AgentMessage, AgentType, caps};
use crate::wire::caps::Caps;

impl Default for Clipboard {
    fn default() -> Self {
        Self::new(ClipboardPolicy::default())
    }
}

impl Clipboard {
    fn hand_over(&mut self, now: Micros, out: &mut Outbound) {
        self.last_now = now;
        let orders = self.orders.drain(..).map(Order::Clipboard);
        out.orders.extend(orders);
        out.messages.append(&mut self.messages);
    }
}

impl Part for Clipboard {
    type News = ClipboardNews;

    fn joined(&mut self, now: Micros, client: ClientId, caps: &Caps, out: &mut Outbound) {
        // Those of before sent content unasked, which nobody does any more.
        if caps.has(caps::CLIPBOARD_BY_DEMAND) {
            let abilities = ClientAbilities {
                selections: caps.has(caps::CLIPBOARD_SELECTION),
                grab_serials: caps.has(caps::CLIPBOARD_GRAB_SERIAL),
                no_release_on_regrab: caps.has(caps::CLIPBOARD_NO_RELEASE_ON_REGRAB),
            };
            self.client_ready(client, abilities);
        }
        self.hand_over(now, out);
    }

    fn left(&mut self, client: ClientId, out: &mut Outbound) {
        let now = self.last_now;
        self.client_gone(client, now);
        self.hand_over(now, out);
    }

    fn message(
        &mut self,
        now: Micros,
        client: ClientId,
        message: AgentMessage,
        out: &mut Outbound,
    ) {
        self.handle(client, message, now);
        self.hand_over(now, out);
    }

    fn skipped(
        &mut self,
        now: Micros,
        client: ClientId,
        message_type: AgentType,
        out: &mut Outbound,
    ) {
        if message_type == AgentType::CLIPBOARD {
            self.content_skipped(client, now);
        }
        self.hand_over(now, out);
    }

    fn news(&mut self, now: Micros, news: ClipboardNews, out: &mut Outbound) {
        self.handle_news(news, now);
        self.hand_over(now, out);
    }

    fn deadline(&self) -> Option<Micros> {
        self.next_deadline()
    }

    fn poll(&mut self, now: Micros, out: &mut Outbound) {
        self.do_due(now);
        self.hand_over(now, out);
    }
}
