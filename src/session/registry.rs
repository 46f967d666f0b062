//! Who is connected: clients, their channels, and the numbers that tie channels to clients.
//!
//! A client is its main channel. The server gives it a connection id, drawn at random, in MAIN_INIT; every other
//! channel presents that id with a ticket of its own. When the main channel goes, the client's other channels go too.

use std::collections::BTreeMap;

use crate::base::limits::CLIENTS_MAX;
use crate::wire::link::ChannelType;

/// One channel of one client, for as long as it is connected; never used again afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChannelKey(u64);

impl ChannelKey {
    /// A number that no other channel ever has.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// One client, for as long as its main channel is connected; never used again afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct ClientId(u64);

/// Why a link cannot become a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdmitError {
    /// The desktop has as many clients as it may have.
    #[error("{CLIENTS_MAX} clients are connected already")]
    TooManyClients,
    /// No client has this connection id.
    #[error("connection id belongs to no client")]
    UnknownConnection,
    /// The client has this channel already.
    #[error("channel is connected already")]
    AlreadyConnected,
    /// This desktop has no such channel.
    #[error("no such channel")]
    NoSuchChannel,
}

#[derive(Debug)]
struct Client {
    connection_id: u32,
    main: ChannelKey,
    channels: Vec<(ChannelType, ChannelKey)>,
}

/// Channels that every desktop has, beside the main channel.
const ALWAYS: [ChannelType; 3] = [
    ChannelType::DISPLAY,
    ChannelType::CURSOR,
    ChannelType::INPUTS,
];

/// All clients and their channels.
#[derive(Debug, Default)]
pub(super) struct Registry {
    clients: BTreeMap<ClientId, Client>,
    /// Channels that this desktop has besides.
    offered: Vec<ChannelType>,
    next: u64,
}

impl Registry {
    /// Nobody.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Admits a channel that has authenticated. A main channel (`connection_id` 0 from the client) starts a client
    /// under the id drawn from `entropy`, a fresh random number.
    ///
    /// # Errors
    /// [`AdmitError`] says why not; nothing has changed then.
    pub(super) fn admit(
        &mut self,
        connection_id: u32,
        channel_type: ChannelType,
        channel_id: u8,
        entropy: u32,
    ) -> Result<(ClientId, ChannelKey), AdmitError> {
        if channel_type == ChannelType::MAIN {
            return self.admit_client(entropy);
        }
        let served = self.served().any(|served| served == channel_type);
        if !served || channel_id != 0 {
            return Err(AdmitError::NoSuchChannel);
        }
        let key = ChannelKey(self.next);
        let (id, client) = self
            .clients
            .iter_mut()
            .find(|(_, client)| client.connection_id == connection_id)
            .ok_or(AdmitError::UnknownConnection)?;
        if client
            .channels
            .iter()
            .any(|(known, _)| *known == channel_type)
        {
            return Err(AdmitError::AlreadyConnected);
        }
        client.channels.push((channel_type, key));
        self.next += 1;
        Ok((*id, key))
    }

    /// Serves these channels, too.
    pub(super) fn offer(&mut self, channels: &[ChannelType]) {
        self.offered.extend_from_slice(channels);
    }

    /// Channels of which a client may link one each, beside the main channel.
    pub(super) fn served(&self) -> impl Iterator<Item = ChannelType> {
        ALWAYS.into_iter().chain(self.offered.iter().copied())
    }

    /// The connection id that a client's channels present.
    pub(super) fn connection_id(&self, client: ClientId) -> Option<u32> {
        self.clients.get(&client).map(|client| client.connection_id)
    }

    /// Clients, oldest first.
    pub(super) fn clients(&self) -> impl Iterator<Item = ClientId> {
        self.clients.keys().copied()
    }

    /// A client's channels beside its main channel.
    pub(super) fn channels(&self, client: ClientId) -> impl Iterator<Item = ChannelKey> {
        let channels = self
            .clients
            .get(&client)
            .map(|client| client.channels.iter());
        channels.into_iter().flatten().map(|(_, key)| *key)
    }

    /// A channel went. Returns the channels that go with it: for a main channel all others of the client.
    pub(super) fn remove(&mut self, channel: ChannelKey) -> Vec<ChannelKey> {
        let ended: Option<ClientId> = self
            .clients
            .iter()
            .find(|(_, client)| client.main == channel)
            .map(|(id, _)| *id);
        if let Some(client) = ended.and_then(|id| self.clients.remove(&id)) {
            return client.channels.into_iter().map(|(_, key)| key).collect();
        }
        for client in self.clients.values_mut() {
            client.channels.retain(|(_, key)| *key != channel);
        }
        Vec::new()
    }

    fn admit_client(&mut self, entropy: u32) -> Result<(ClientId, ChannelKey), AdmitError> {
        if CLIENTS_MAX <= self.clients.len() {
            return Err(AdmitError::TooManyClients);
        }
        let taken = |id: u32| {
            self.clients
                .values()
                .any(|client| client.connection_id == id)
        };
        // 0 means "no client yet" on the wire. There are at most CLIENTS_MAX neighbours to step over.
        let mut connection_id = entropy.max(1);
        while taken(connection_id) {
            connection_id = connection_id.wrapping_add(1).max(1);
        }
        let (id, main) = (ClientId(self.next), ChannelKey(self.next));
        self.next += 1;
        self.clients.insert(
            id,
            Client {
                connection_id,
                main,
                channels: Vec::new(),
            },
        );
        Ok((id, main))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_need_their_clients_id() {
        let mut registry = Registry::new();
        let (first, _) = registry.admit(0, ChannelType::MAIN, 0, 77).unwrap();
        let (second, _) = registry.admit(0, ChannelType::MAIN, 0, 77).unwrap();
        assert_ne!(
            registry.connection_id(first),
            registry.connection_id(second)
        );
        let id = registry.connection_id(second).unwrap();
        let (owner, _) = registry.admit(id, ChannelType::DISPLAY, 0, 1).unwrap();
        assert_eq!(owner, second);
        let again = registry.admit(id, ChannelType::DISPLAY, 0, 1);
        assert_eq!(again, Err(AdmitError::AlreadyConnected));
        let stranger = registry.admit(5, ChannelType::DISPLAY, 0, 1);
        assert_eq!(stranger, Err(AdmitError::UnknownConnection));
        let nobody = registry.admit(0, ChannelType::INPUTS, 0, 1);
        assert_eq!(nobody, Err(AdmitError::UnknownConnection));
        let second_display = registry.admit(id, ChannelType::DISPLAY, 1, 1);
        assert_eq!(second_display, Err(AdmitError::NoSuchChannel));
    }

    #[test]
    fn a_client_ends_with_its_main_channel() {
        let mut registry = Registry::new();
        let (client, main) = registry.admit(0, ChannelType::MAIN, 0, 9).unwrap();
        let (_, display) = registry.admit(9, ChannelType::DISPLAY, 0, 0).unwrap();
        let (_, inputs) = registry.admit(9, ChannelType::INPUTS, 0, 0).unwrap();
        assert_eq!(registry.remove(display), []);
        assert!(
            registry.admit(9, ChannelType::DISPLAY, 0, 0).is_ok(),
            "may come again"
        );
        let gone = registry.remove(main);
        assert!(gone.contains(&inputs) && gone.len() == 2);
        assert_eq!(registry.connection_id(client), None);
        assert_eq!(
            registry.admit(9, ChannelType::CURSOR, 0, 0),
            Err(AdmitError::UnknownConnection)
        );
    }

    #[test]
    fn the_number_of_clients_is_limited() {
        let mut registry = Registry::new();
        for _ in 0..CLIENTS_MAX {
            registry.admit(0, ChannelType::MAIN, 0, 0).unwrap();
        }
        assert_eq!(
            registry.admit(0, ChannelType::MAIN, 0, 0),
            Err(AdmitError::TooManyClients)
        );
    }
}
