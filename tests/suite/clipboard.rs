//! The clipboard through a whole session: what a client says becomes orders, and what the desktop tells becomes
//! messages.

use caraway_server::agent::clipboard::{ClipboardNews, ClipboardOrder, PasteId};
use caraway_server::agent::{News, Order};
use caraway_server::base::limits::CLIPBOARD_BYTES_MAX;
use caraway_server::base::{Micros, SharedBytes, Size};
use caraway_server::channel::AgentServices;
use caraway_server::wire::agent::{
    AgentMessage, ClipboardData, ClipboardGrab, ClipboardRequest, ClipboardType, Selection,
};
use caraway_server::wire::link::ChannelType;

use crate::client::Profile;
use crate::line::Line;
use crate::world::World;

const SIZE: Size = Size::new(160, 120);
const MS: fn(u64) -> Micros = Micros::from_millis;
const CLIPBOARD: Selection = Selection::Clipboard;
const TEXT: ClipboardType = ClipboardType::Utf8Text;

fn world() -> World {
    let mut world = World::new(SIZE);
    let services = AgentServices {
        clipboard: true,
        clipboard_bytes_max: CLIPBOARD_BYTES_MAX,
        ..AgentServices::default()
    };
    world.host.with(|session| session.serve_agent(services));
    world.join(Profile::Gtk, Line::LAN);
    world.run_until_exact(&[0], MS(2000));
    world.run_for(MS(500));
    world
}

fn orders(world: &mut World) -> Vec<ClipboardOrder> {
    let mut orders = Vec::new();
    world.host.with(|session| session.take_orders(&mut orders));
    let ours = orders.into_iter().filter_map(|order| match order {
        Order::Clipboard(order) => Some(order),
        _ => None,
    });
    ours.collect()
}

fn tell(world: &mut World, news: ClipboardNews) {
    let now = world.now;
    world
        .host
        .with(|session| session.agent_news(now, News::Clipboard(news)));
    world.run_for(MS(100));
}

fn content(bytes: &SharedBytes) -> AgentMessage {
    AgentMessage::ClipboardData(ClipboardData {
        selection: CLIPBOARD,
        kind: TEXT,
        data: bytes.clone(),
    })
}

fn request() -> AgentMessage {
    AgentMessage::ClipboardRequest(ClipboardRequest {
        selection: CLIPBOARD,
        kind: TEXT,
    })
}

/// The client has text to paste.
fn offer(world: &mut World) {
    let grab = ClipboardGrab {
        selection: CLIPBOARD,
        serial: 0,
        types: vec![TEXT],
    };
    world.clients[0].say_agent(world.now, &AgentMessage::ClipboardGrab(grab));
    world.run_for(MS(100));
}

/// A program pastes what the client has.
fn begin_paste(world: &mut World) -> PasteId {
    let paste = PasteId(7);
    let news = ClipboardNews::Paste {
        paste,
        selection: CLIPBOARD,
        kind: TEXT,
    };
    tell(world, news);
    paste
}

#[test]
fn a_clients_content_goes_to_who_pastes_and_not_before() {
    let mut world = world();
    offer(&mut world);
    let ordered = orders(&mut world);
    assert!(
        matches!(ordered.as_slice(), [ClipboardOrder::Own { turn: 1, .. }]),
        "{ordered:?}"
    );
    assert_eq!(world.clients[0].main.agent.heard, []);

    let paste = begin_paste(&mut world);
    assert_eq!(world.clients[0].main.agent.heard, [request()]);
    let bytes = SharedBytes::from(vec![b'x'; 3_000_000]);
    world.clients[0].say_agent(world.now, &content(&bytes));
    world.run_for(MS(1000));
    let data = Some(bytes);
    let delivered = ClipboardOrder::Deliver { paste, data };
    assert_eq!(orders(&mut world), [delivered]);
}

/// Who pastes waits as long as content arrives, and no longer than the deadline when it has stopped.
#[test]
fn content_that_takes_long_on_its_way_is_not_given_up() {
    let mut world = world();
    offer(&mut world);
    let paste = begin_paste(&mut world);
    orders(&mut world);
    let bytes = SharedBytes::from(vec![b'x'; 3_000_000]);
    world.clients[0].main.agent.say(&content(&bytes));
    let chunks = world.clients[0].main.agent.take_said();
    for part in chunks.chunks(chunks.len().div_ceil(4)) {
        assert_eq!(orders(&mut world), []);
        world.run_for(MS(10_000));
        for (number, body) in part {
            world.clients[0].say_raw(world.now, ChannelType::MAIN, *number, body);
        }
    }
    world.run_for(MS(100));
    let delivered = orders(&mut world);
    let data = Some(bytes);
    assert_eq!(delivered, [ClipboardOrder::Deliver { paste, data }]);
}

#[test]
fn a_programs_content_goes_to_the_client_that_asks() {
    let mut world = world();
    let news = ClipboardNews::Owned {
        selection: CLIPBOARD,
        turn: 0,
        types: vec![TEXT],
    };
    tell(&mut world, news);
    let heard = &world.clients[0].main.agent.heard;
    assert!(
        matches!(heard.as_slice(), [AgentMessage::ClipboardGrab(grab)] if grab.types == [TEXT])
    );
    world.clients[0].say_agent(world.now, &request());
    world.run_for(MS(100));
    let ordered = orders(&mut world);
    let [ClipboardOrder::Fetch { transfer, .. }] = ordered.as_slice() else {
        panic!("{ordered:?}");
    };
    let bytes = SharedBytes::from(vec![b'y'; 3_000_000]);
    let result = Ok(bytes.clone());
    let transfer = *transfer;
    tell(&mut world, ClipboardNews::Fetched { transfer, result });
    world.run_for(MS(1000));
    let heard = world.clients[0].main.agent.heard.last();
    assert!(heard == Some(&content(&bytes)));
    world.verify_invariants();
}

#[test]
fn a_client_that_goes_takes_its_offer_with_it() {
    let mut world = world();
    offer(&mut world);
    let paste = begin_paste(&mut world);
    orders(&mut world);
    world.leave(0);
    world.run_for(MS(100));
    let ordered = orders(&mut world);
    let data = None;
    assert!(ordered.contains(&ClipboardOrder::Deliver { paste, data }));
    let disowned = |order: &ClipboardOrder| matches!(order, ClipboardOrder::Disown { .. });
    assert!(ordered.iter().any(disowned), "{ordered:?}");
}
