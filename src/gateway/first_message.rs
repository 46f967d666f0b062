//! The one number that the gateway changes in what a desktop says: the connection id in MAIN_INIT.
//!
//! INIT is the first message on a main channel that carries anything for the client's other channels. Until it has
//! passed, messages are looked at one by one; what a desktop may say before is little, and has an end.

use crate::base::{ByteReader, ByteWriter};
use crate::wire::header::{FullHeader, MiniHeader, message_bytes};
use crate::wire::main::Init;
use crate::wire::{Decode, Encode, Message};

/// Bytes that a desktop may say up to INIT, which is 32 and a header.
pub const BEFORE_INIT_BYTES_MAX: usize = 4096;

/// A desktop that is none: it says too much before INIT, or INIT is no INIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the desktop's server does not begin its main channel")]
pub struct NoInit;

/// Looks for INIT in what a desktop says on its main channel.
#[derive(Debug)]
pub struct FirstMessage {
    mini_header: bool,
    seen: Vec<u8>,
}

impl FirstMessage {
    /// On a channel with headers of this kind.
    pub const fn new(mini_header: bool) -> Self {
        Self {
            mini_header,
            seen: Vec::new(),
        }
    }

    /// Takes what came. Once INIT is whole, gives all bytes that came, in which `rename` has changed the id.
    ///
    /// # Errors
    /// [`NoInit`] ends the connection.
    pub fn push(
        &mut self,
        bytes: &[u8],
        rename: impl FnOnce(u32) -> Option<u32>,
    ) -> Result<Option<Vec<u8>>, NoInit> {
        self.seen.extend_from_slice(bytes);
        let mut at = 0;
        while let Some(rest) = self.seen.get(at..) {
            let Some(length) = message_bytes(self.mini_header, rest) else {
                break;
            };
            let Some(message) = rest.get(..length) else {
                break;
            };
            let header = match self.mini_header {
                true => MiniHeader::SIZE,
                false => FullHeader::SIZE,
            };
            if message_type(self.mini_header, message) == Some(Init::TYPE) {
                let mut init = Init::decode(&mut ByteReader::new(
                    message.get(header..).unwrap_or_default(),
                ))
                .map_err(|_| NoInit)?;
                init.session_id = rename(init.session_id).ok_or(NoInit)?;
                let mut changed = Vec::new();
                init.encode(&mut ByteWriter::new(&mut changed));
                let mut all = std::mem::take(&mut self.seen);
                let body = all.get_mut(at + header..).unwrap_or_default();
                body.get_mut(..changed.len())
                    .ok_or(NoInit)?
                    .copy_from_slice(&changed);
                return Ok(Some(all));
            }
            at += length;
        }
        match self.seen.len() <= BEFORE_INIT_BYTES_MAX {
            true => Ok(None),
            false => Err(NoInit),
        }
    }
}

fn message_type(mini_header: bool, message: &[u8]) -> Option<u16> {
    let mut reader = ByteReader::new(message);
    Some(match mini_header {
        true => MiniHeader::decode(&mut reader).ok()?.message_type,
        false => FullHeader::decode(&mut reader).ok()?.message_type,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::header::write_message;
    use proptest::prelude::*;

    fn said(mini: bool, id: u32) -> Vec<u8> {
        let mut out = Vec::new();
        // PING, as any channel may begin with.
        write_message(&mut out, mini, 1, 4, |body| body.bytes(&[7; 12]));
        let init = Init {
            session_id: id,
            display_channels_hint: 1,
            supported_mouse_modes: 3,
            current_mouse_mode: 2,
            agent_connected: 1,
            agent_tokens: 10,
            multi_media_time: 9,
            ram_hint: 8,
        };
        write_message(&mut out, mini, 2, Init::TYPE, |body| init.encode(body));
        out.extend(b"what follows");
        out
    }

    proptest! {
        #[test]
        fn the_id_and_nothing_else_is_changed(mini in any::<bool>(), piece in 1_usize..80, old in any::<u32>(),
                                              new in any::<u32>()) {
            let mut first = FirstMessage::new(mini);
            let (bytes, mut passed) = (said(mini, old), Vec::new());
            let mut has_passed = false;
            for part in bytes.chunks(piece) {
                if has_passed {
                    passed.extend_from_slice(part);
                } else if let Some(all) = first.push(part, |id| (id == old).then_some(new)).unwrap() {
                    passed = all;
                    has_passed = true;
                }
            }
            prop_assert_eq!(passed, said(mini, new));
        }

        #[test]
        fn no_desktop_is_too_strange(mini in any::<bool>(), bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut first = FirstMessage::new(mini);
            let _ = first.push(&bytes, Some);
        }
    }

    #[test]
    fn a_desktop_that_says_too_much_is_none() {
        let mut first = FirstMessage::new(true);
        let mut ping = Vec::new();
        write_message(&mut ping, true, 1, 4, |body| body.bytes(&[7; 12]));
        let result = first.push(&ping.repeat(1000), Some);
        assert_eq!(result, Err(NoInit));
        let mut endless = Vec::new();
        write_message(&mut endless, true, 1, 4, |body| body.bytes(&[7; 5000]));
        let result = FirstMessage::new(true).push(&endless[..BEFORE_INIT_BYTES_MAX + 1], Some);
        assert_eq!(result, Err(NoInit));
        let mut cut = Vec::new();
        write_message(&mut cut, true, 1, Init::TYPE, |body| body.u32(1));
        assert_eq!(FirstMessage::new(true).push(&cut, Some), Err(NoInit));
    }
}
