//! The cursor channel of a model client: what it shows as the pointer.

use std::collections::BTreeMap;

use caraway_server::wire::cursor::{
    Cursor, CursorFlags, CursorPosition, CursorType, ServerMessage,
};
use caraway_server::wire::main::MouseModes;

use super::stream::assert_same;

#[derive(Debug, Default)]
pub(crate) struct CursorModel {
    initialised: bool,
    cache: BTreeMap<u64, Vec<u8>>,
    /// B, G, R, A of the shape that was set last.
    pub(crate) shape: Option<Vec<u8>>,
    pub(crate) hidden: bool,
    pub(crate) place: Option<CursorPosition>,
}

impl CursorModel {
    pub(crate) fn hear(&mut self, number: u16, body: &[u8], mode: MouseModes) {
        let message = ServerMessage::decode(number, body).expect("a message of the channel");
        assert_same(&message, body);
        let first = matches!(message, ServerMessage::Init(_));
        assert_eq!(!self.initialised, first, "INIT comes first and once");
        self.initialised = true;
        match message {
            ServerMessage::Init(init) => {
                self.hidden = !self.take(&init.cursor) || init.visible == 0;
            }
            ServerMessage::Set(set) => {
                assert!(self.take(&set.cursor), "SET has a shape");
                // spice-gtk shows the new shape at once in client mode, at the next MOVE in server mode.
                self.hidden &= mode == MouseModes::SERVER;
            }
            ServerMessage::Move(to) => (self.hidden, self.place) = (false, Some(to.position)),
            ServerMessage::Hide(_) => self.hidden = true,
            ServerMessage::InvalOne(one) => {
                assert!(self.cache.remove(&one.id).is_some(), "what was kept");
            }
            other => unreachable!("the server has no reason to say {other:?}"),
        }
    }

    fn take(&mut self, cursor: &Cursor<'_>) -> bool {
        let Some(header) = cursor.header else {
            return false;
        };
        assert_eq!(header.cursor_type, CursorType::ALPHA);
        assert!(header.hot_x < header.width && header.hot_y < header.height);
        let pixels = if cursor.flags.contains(CursorFlags::FROM_CACHE) {
            self.cache[&header.unique].clone()
        } else {
            let area = usize::from(header.width) * usize::from(header.height);
            assert_eq!(cursor.data.len(), area * 4);
            cursor.data.to_vec()
        };
        if cursor.flags.contains(CursorFlags::CACHE_ME) {
            self.cache.insert(header.unique, pixels.clone());
        }
        self.shape = Some(pixels);
        true
    }
}
