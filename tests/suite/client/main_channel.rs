//! The main channel of a model client.

use caraway_server::base::Micros;
use caraway_server::wire::link::ChannelType;
use caraway_server::wire::main::{MouseModes, ServerMessage};

use super::Profile;
use super::agent::AgentModel;
use super::stream::assert_same;

#[derive(Debug)]
pub(crate) struct MainModel {
    /// Of MAIN_INIT.
    pub(crate) session_id: Option<u32>,
    pub(crate) mode: MouseModes,
    /// The list of channels came.
    pub(crate) listed: bool,
    pub(crate) agent: AgentModel,
    /// When it was told the time, and what it is.
    pub(crate) times: Vec<(Micros, u32)>,
}

impl MainModel {
    pub(crate) const fn new(profile: Profile) -> Self {
        Self {
            session_id: None,
            mode: MouseModes::NONE,
            listed: false,
            agent: AgentModel::new(profile),
            times: Vec::new(),
        }
    }

    /// Takes in a message; gives the channels that are to be linked.
    pub(crate) fn hear(&mut self, now: Micros, number: u16, body: &[u8]) -> Vec<ChannelType> {
        let message = ServerMessage::decode(number, body).expect("a message of the main channel");
        assert_same(&message, body);
        let first = matches!(message, ServerMessage::Init(_));
        assert_eq!(
            self.session_id.is_none(),
            first,
            "INIT comes first and once"
        );
        match message {
            ServerMessage::Init(init) => {
                assert_ne!(init.session_id, 0);
                assert_ne!(init.multi_media_time, 0);
                let mode = u16::try_from(init.current_mouse_mode).expect("a mode");
                (self.session_id, self.mode) = (Some(init.session_id), MouseModes(mode));
                self.agent.tokens = init.agent_tokens;
                if init.agent_connected != 0 {
                    self.agent.connected(None);
                }
            }
            ServerMessage::AgentConnected(_) => self.agent.connected(None),
            ServerMessage::AgentConnectedTokens(tokens) => self.agent.connected(Some(tokens.count)),
            ServerMessage::AgentDisconnected(_) => self.agent.disconnected(),
            ServerMessage::AgentData(data) => self.agent.hear(data.0),
            ServerMessage::AgentToken(tokens) => self.agent.add_tokens(tokens.count),
            ServerMessage::MouseMode(mode) => self.mode = mode.current,
            ServerMessage::ChannelsList(list) => {
                assert!(!std::mem::replace(&mut self.listed, true), "one list");
                return list.channels.iter().map(|one| one.channel_type).collect();
            }
            ServerMessage::MultiMediaTime(told) => self.times.push((now, told.time)),
            ServerMessage::Name(name) => assert_eq!(name.name, b"model"),
            ServerMessage::Uuid(uuid) => assert_eq!(uuid.uuid, [7; 16]),
        }
        assert!([MouseModes::CLIENT, MouseModes::SERVER].contains(&self.mode));
        Vec::new()
    }
}
