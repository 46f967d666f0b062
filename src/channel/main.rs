//! The main channel of one client: the session's facts, the list of channels, the mouse mode.
//!
//! There is no agent yet: INIT says so, and what a client sends to one all the same is ignored.

use super::outbox::Outbox;
use crate::base::Micros;
use crate::wire::WireError;
use crate::wire::caps::{self, Caps};
use crate::wire::link::ChannelType;
use crate::wire::main::{
    ChannelId, ChannelsList, ClientMessage, Init, MouseMode, MouseModes, Name, Uuid,
};

/// Bytes of video memory that INIT tells: spice-gtk makes its GLZ window half of it, within 12 and 64 MB.
const RAM_HINT: u32 = 64 * 1024 * 1024;

/// Both modes: the driver has an absolute and a relative pointer.
const SUPPORTED_MODES: MouseModes = MouseModes::SERVER.with(MouseModes::CLIENT);

/// What a client wants of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MainEvent {
    /// Nothing.
    None,
    /// Its mouse mode is this one from now on; it has been told.
    MouseMode(MouseModes),
}

/// Why a message ends the connection; the client's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MainError {
    /// Not a message.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// There is no migration.
    #[error("migration is not served")]
    Migration,
}

/// What a desktop is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Shown in the client's title.
    pub name: String,
    /// Stays the same as long as the desktop lives.
    pub uuid: [u8; 16],
}

/// The main channel's state.
#[derive(Debug)]
pub struct MainChannel {
    mode: MouseModes,
    /// The channels to be listed.
    channels: Vec<ChannelType>,
    /// Whether the list of channels was sent: clients warn at a second one.
    listed: bool,
}

impl MainChannel {
    /// Sends INIT, and the desktop's name where the client understands it. `connection_id` is what the client's
    /// other channels will present, `channels` are those that it may link.
    pub fn start(
        connection_id: u32,
        identity: &Identity,
        channels: Vec<ChannelType>,
        client_caps: &Caps,
        now: Micros,
        outbox: &mut Outbox,
    ) -> Self {
        // Client mode from the start: the driver always has an absolute pointer, and a client that would have to
        // ask grabs the pointer until the answer comes.
        let mode = MouseModes::CLIENT;
        outbox.send(&Init {
            session_id: connection_id,
            display_channels_hint: 1,
            supported_mouse_modes: u32::from(SUPPORTED_MODES.0),
            current_mouse_mode: u32::from(mode.0),
            agent_connected: 0,
            agent_tokens: 0,
            multi_media_time: now.multimedia_time(),
            ram_hint: RAM_HINT,
        });
        if client_caps.has(caps::main::NAME_AND_UUID) {
            outbox.send(&Name {
                name: identity.name.as_bytes(),
            });
            outbox.send(&Uuid {
                uuid: identity.uuid,
            });
        }
        Self {
            mode,
            channels,
            listed: false,
        }
    }

    /// The client's mouse mode.
    pub const fn mouse_mode(&self) -> MouseModes {
        self.mode
    }

    /// Takes in a message of this channel.
    ///
    /// # Errors
    /// [`MainError`] ends the connection.
    pub fn handle(
        &mut self,
        number: u16,
        body: &[u8],
        outbox: &mut Outbox,
    ) -> Result<MainEvent, MainError> {
        match ClientMessage::decode(number, body)? {
            ClientMessage::AttachChannels(_) => {
                if !std::mem::replace(&mut self.listed, true) {
                    outbox.send(&channels_list(&self.channels));
                }
                Ok(MainEvent::None)
            }
            ClientMessage::MouseModeRequest(request) => Ok(self.request_mode(request.mode, outbox)),
            ClientMessage::MigrateConnected(_)
            | ClientMessage::MigrateConnectError(_)
            | ClientMessage::MigrateEnd(_)
            | ClientMessage::MigrateDstDoSeamless(_)
            | ClientMessage::MigrateConnectedSeamless(_) => Err(MainError::Migration),
            ClientMessage::ClientInfo(_)
            | ClientMessage::AgentStart(_)
            | ClientMessage::AgentData(_)
            | ClientMessage::AgentToken(_)
            | ClientMessage::QualityIndicator(_) => Ok(MainEvent::None),
        }
    }

    /// Answers with the mode that holds; a request for none or both changes nothing.
    fn request_mode(&mut self, wanted: MouseModes, outbox: &mut Outbox) -> MainEvent {
        let known = wanted == MouseModes::CLIENT || wanted == MouseModes::SERVER;
        let changed = known && wanted != self.mode;
        if changed {
            self.mode = wanted;
        }
        outbox.send(&MouseMode {
            supported: SUPPORTED_MODES,
            current: self.mode,
        });
        if changed {
            MainEvent::MouseMode(self.mode)
        } else {
            MainEvent::None
        }
    }
}

fn channels_list(kinds: &[ChannelType]) -> ChannelsList {
    let listed = |channel_type| ChannelId {
        channel_type,
        id: 0,
    };
    ChannelsList {
        channels: kinds.iter().copied().map(listed).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::Inbox;

    fn started() -> (MainChannel, Outbox) {
        let mut outbox = Outbox::new(true, Micros(0));
        let identity = Identity {
            name: "desk".into(),
            uuid: [3; 16],
        };
        let caps = Caps::of(&[caps::main::NAME_AND_UUID]);
        let main = MainChannel::start(
            77,
            &identity,
            vec![ChannelType::DISPLAY],
            &caps,
            Micros(0),
            &mut outbox,
        );
        (main, outbox)
    }

    fn numbers(outbox: &mut Outbox) -> Vec<u16> {
        let (mut bytes, mut inbox) = (Vec::new(), Inbox::new(true, 4096));
        outbox.take_into(&mut bytes);
        inbox.push(&bytes);
        std::iter::from_fn(|| inbox.next_message().unwrap().map(|(number, _)| number)).collect()
    }

    #[test]
    fn init_comes_first_and_the_list_once_when_asked() {
        let (mut main, mut outbox) = started();
        assert_eq!(numbers(&mut outbox), [3, 103, 113, 114]);
        main.handle(104, &[], &mut outbox).unwrap();
        main.handle(104, &[], &mut outbox).unwrap();
        assert_eq!(numbers(&mut outbox), [104]);
    }

    #[test]
    fn mouse_mode_requests_are_always_answered() {
        let (mut main, mut outbox) = started();
        let ask = |main: &mut MainChannel, outbox: &mut Outbox, mode: u16| {
            main.handle(105, &mode.to_le_bytes(), outbox).unwrap()
        };
        assert_eq!(
            ask(&mut main, &mut outbox, 1),
            MainEvent::MouseMode(MouseModes::SERVER)
        );
        assert_eq!(ask(&mut main, &mut outbox, 1), MainEvent::None);
        assert_eq!(ask(&mut main, &mut outbox, 3), MainEvent::None);
        assert_eq!(ask(&mut main, &mut outbox, 0), MainEvent::None);
        assert_eq!(
            ask(&mut main, &mut outbox, 2),
            MainEvent::MouseMode(MouseModes::CLIENT)
        );
        assert_eq!(numbers(&mut outbox)[4..], [105; 5]);
    }

    #[test]
    fn migration_ends_the_connection_and_the_agent_is_ignored() {
        let (mut main, mut outbox) = started();
        for number in [102, 103, 109, 111] {
            assert_eq!(
                main.handle(number, &[], &mut outbox),
                Err(MainError::Migration)
            );
        }
        assert_eq!(main.handle(106, &[0; 4], &mut outbox), Ok(MainEvent::None));
        assert_eq!(
            main.handle(107, &[1, 2, 3], &mut outbox),
            Ok(MainEvent::None)
        );
        assert!(matches!(
            main.handle(99, &[], &mut outbox),
            Err(MainError::Wire(_))
        ));
    }
}
