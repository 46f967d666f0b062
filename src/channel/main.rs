//! The main channel of one client: the session's facts, the list of channels, the mouse mode.
//!
//! What the client says to the agent goes through its [`AgentLink`].

use super::agent_link::{AgentError, AgentLink, AgentServices};
use super::outbox::Outbox;
use crate::base::Micros;
use crate::base::limits::AGENT_TOKENS;
use crate::wire::WireError;
use crate::wire::caps::{self, Caps};
use crate::wire::link::ChannelType;
use crate::wire::main::{
    ChannelId, ChannelsList, ClientMessage, Init, MouseMode, MouseModes, Name, Uuid,
};

/// Bytes of video memory that INIT tells: spice-gtk makes its GLZ window half of it, within 12 and 64 MB.
const RAM_HINT: u32 = 64 * 1024 * 1024;

/// Who acts has both modes: the driver has an absolute and a relative pointer.
const ACTING_MODES: MouseModes = MouseModes::SERVER.with(MouseModes::CLIENT);

/// What a client wants of the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MainEvent {
    /// Nothing.
    None,
    /// Its mouse mode is this one from now on; it has been told.
    MouseMode(MouseModes),
    /// It has said something to the agent: see [`AgentLink::take_incoming`].
    Agent,
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
    /// What it sends to the agent cannot be taken.
    #[error(transparent)]
    Agent(#[from] AgentError),
}

/// What a desktop is called.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// Shown in the client's title.
    pub name: String,
    /// Stays the same as long as the desktop lives.
    pub uuid: [u8; 16],
}

/// What a client is offered.
#[derive(Clone, Debug)]
pub struct Offer {
    /// Whether what it does reaches the desktop. Who only watches hears of no agent, and is told where the pointer is.
    pub acts: bool,
    /// What the agent does.
    pub services: AgentServices,
    /// Channels that it may have, one of each.
    pub served: Vec<ChannelType>,
}

/// The main channel's state.
#[derive(Debug)]
pub struct MainChannel {
    supported: MouseModes,
    mode: MouseModes,
    /// The list of channels, until it is sent: clients warn at a second one.
    unlisted: Option<ChannelsList>,
    /// Its way to the agent.
    pub agent: AgentLink,
}

impl MainChannel {
    /// Sends INIT, and the desktop's name where the client understands it. `connection_id` is what the client's
    /// other channels will present.
    pub fn start(
        connection_id: u32,
        identity: &Identity,
        offer: Offer,
        client_caps: &Caps,
        now: Micros,
        outbox: &mut Outbox,
    ) -> Self {
        // Client mode from the start: the driver always has an absolute pointer, and a client that would have to
        // ask grabs the pointer until the answer comes. Clients are told where the pointer is in server mode alone.
        let (supported, mode, services) = match offer.acts {
            true => (ACTING_MODES, MouseModes::CLIENT, offer.services),
            false => (
                MouseModes::SERVER,
                MouseModes::SERVER,
                AgentServices::default(),
            ),
        };
        let agent = AgentLink::new(
            services,
            client_caps.has(caps::main::AGENT_CONNECTED_TOKENS),
        );
        outbox.send(&Init {
            session_id: connection_id,
            display_channels_hint: 1,
            supported_mouse_modes: u32::from(supported.0),
            current_mouse_mode: u32::from(mode.0),
            agent_connected: agent.is_served().into(),
            agent_tokens: AGENT_TOKENS,
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
            supported,
            mode,
            unlisted: Some(channels_list(&offer.served)),
            agent,
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
                if let Some(list) = self.unlisted.take() {
                    outbox.send(&list);
                }
                Ok(MainEvent::None)
            }
            ClientMessage::MouseModeRequest(request) => Ok(self.request_mode(request.mode, outbox)),
            ClientMessage::MigrateConnected(_)
            | ClientMessage::MigrateConnectError(_)
            | ClientMessage::MigrateEnd(_)
            | ClientMessage::MigrateDstDoSeamless(_)
            | ClientMessage::MigrateConnectedSeamless(_) => Err(MainError::Migration),
            ClientMessage::AgentStart(start) => {
                self.agent.start(start.count);
                Ok(MainEvent::None)
            }
            ClientMessage::AgentToken(tokens) => {
                self.agent.add_tokens(tokens.count);
                Ok(MainEvent::None)
            }
            ClientMessage::AgentData(data) => {
                self.agent.receive(data.0, outbox)?;
                Ok(MainEvent::Agent)
            }
            ClientMessage::ClientInfo(_) | ClientMessage::QualityIndicator(_) => {
                Ok(MainEvent::None)
            }
        }
    }

    /// Answers with the mode that holds; a request for none or both changes nothing.
    fn request_mode(&mut self, wanted: MouseModes, outbox: &mut Outbox) -> MainEvent {
        let known = wanted == MouseModes::CLIENT || wanted == MouseModes::SERVER;
        let changed = known && self.supported.contains(wanted) && wanted != self.mode;
        if changed {
            self.mode = wanted;
        }
        outbox.send(&MouseMode {
            supported: self.supported,
            current: self.mode,
        });
        if changed {
            MainEvent::MouseMode(self.mode)
        } else {
            MainEvent::None
        }
    }
}

fn channels_list(served: &[ChannelType]) -> ChannelsList {
    let one_of_each = served.iter().map(|&channel_type| ChannelId {
        channel_type,
        id: 0,
    });
    ChannelsList {
        channels: one_of_each.collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::Inbox;

    fn started() -> (MainChannel, Outbox) {
        started_as(true)
    }

    fn started_as(acts: bool) -> (MainChannel, Outbox) {
        let mut outbox = Outbox::new(true, Micros(0));
        let identity = Identity {
            name: "desk".into(),
            uuid: [3; 16],
        };
        let caps = Caps::of(&[caps::main::NAME_AND_UUID]);
        let main = MainChannel::start(
            77,
            &identity,
            Offer {
                acts,
                services: AgentServices {
                    uploads: !acts,
                    ..AgentServices::default()
                },
                served: vec![ChannelType::DISPLAY],
            },
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
    fn who_watches_stays_in_server_mode_and_hears_of_no_agent() {
        let (mut main, mut outbox) = started_as(false);
        assert_eq!(main.mouse_mode(), MouseModes::SERVER);
        let asked = main.handle(105, &2u16.to_le_bytes(), &mut outbox);
        assert_eq!(asked, Ok(MainEvent::None));
        assert_eq!(main.mouse_mode(), MouseModes::SERVER);
        assert!(!main.agent.is_served());
        assert_eq!(numbers(&mut outbox), [3, 103, 113, 114, 105]);
    }

    #[test]
    fn migration_ends_the_connection_and_an_agent_that_is_not_there_hears_nothing() {
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
            Ok(MainEvent::Agent)
        );
        assert_eq!(main.agent.take_incoming(), []);
        assert!(matches!(
            main.handle(99, &[], &mut outbox),
            Err(MainError::Wire(_))
        ));
    }
}
