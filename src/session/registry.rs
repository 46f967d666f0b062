//! Who is connected: clients, their channels, and the numbers that tie channels to clients.
//!
//! A client is its main channel. The server gives it a connection id, drawn at random, in MAIN_INIT; every other
//! channel presents that id with a ticket of its own. When the main channel goes, the client's other channels go too.

use std::collections::BTreeMap;

use crate::base::limits::{CLIENTS_MAX, WATCHERS_MAX};
use crate::base::{Access, ClientId};
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

/// Why a link cannot become a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdmitError {
    /// The desktop has as many clients as it may have.
    #[error("{CLIENTS_MAX} clients are connected already")]
    TooManyClients,
    /// As many watch as may.
    #[error("{WATCHERS_MAX} clients watch already")]
    TooManyWatchers,
    /// No client has this connection id and came in with this access.
    #[error("connection id belongs to no client")]
    UnknownConnection,
    /// The client has this channel already.
    #[error("channel is connected already")]
    AlreadyConnected,
    /// This desktop has no such channel.
    #[error("no such channel")]
    NoSuchChannel,
}

/// What a further client may do that comes in with all rights while another one acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Joining {
    /// The same.
    #[default]
    Full,
    /// Watch, until it comes again when nobody acts.
    ViewOnly,
}

#[derive(Debug)]
struct Client {
    connection_id: u32,
    /// What its channels have to come in with.
    entered: Access,
    access: Access,
    main: ChannelKey,
    channels: Vec<(ChannelType, ChannelKey)>,
}

/// All clients and their channels.
#[derive(Debug)]
pub(super) struct Registry {
    clients: BTreeMap<ClientId, Client>,
    /// Channels that a client may have beside its main channel, one of each.
    served: Vec<ChannelType>,
    joining: Joining,
    next: u64,
}

impl Registry {
    /// Nobody.
    pub(super) fn new() -> Self {
        Self {
            clients: BTreeMap::new(),
            served: vec![
                ChannelType::DISPLAY,
                ChannelType::CURSOR,
                ChannelType::INPUTS,
            ],
            joining: Joining::Full,
            next: 0,
        }
    }

    /// Serves another channel from now on.
    pub(super) fn serve(&mut self, channel_type: ChannelType) {
        if !self.served.contains(&channel_type) {
            self.served.push(channel_type);
        }
    }

    /// What a client with this access may have beside its main channel.
    pub(super) fn served(&self, access: Access) -> Vec<ChannelType> {
        let served = self.served.iter().copied();
        served
            .filter(|channel_type| access.acts() || !brings(*channel_type))
            .collect()
    }

    /// From now on clients join as this says.
    pub(super) const fn set_joining(&mut self, joining: Joining) {
        self.joining = joining;
    }

    /// What a client may do; nothing for one that is not there.
    pub(super) fn access(&self, client: ClientId) -> Access {
        let client = self.clients.get(&client);
        client.map_or(Access::ViewOnly, |client| client.access)
    }

    /// Admits a channel that has authenticated. A main channel (`connection_id` 0 from the client) starts a client
    /// under the id drawn from `entropy`, a fresh random number. What it came in with gives `access`; the client's
    /// other channels have to come in with the same.
    ///
    /// # Errors
    /// [`AdmitError`] says why not; nothing has changed then.
    pub(super) fn admit(
        &mut self,
        connection_id: u32,
        channel_type: ChannelType,
        channel_id: u8,
        entropy: u32,
        access: Access,
    ) -> Result<(ClientId, ChannelKey), AdmitError> {
        if channel_type == ChannelType::MAIN {
            return self.admit_client(entropy, access);
        }
        if !self.served.contains(&channel_type) || channel_id != 0 {
            return Err(AdmitError::NoSuchChannel);
        }
        let key = ChannelKey(self.next);
        let (id, client) = self
            .clients
            .iter_mut()
            .find(|(_, client)| client.connection_id == connection_id && client.entered == access)
            .ok_or(AdmitError::UnknownConnection)?;
        if !client.access.acts() && brings(channel_type) {
            return Err(AdmitError::NoSuchChannel);
        }
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

    /// The connection id that a client's channels present.
    pub(super) fn connection_id(&self, client: ClientId) -> Option<u32> {
        self.clients.get(&client).map(|client| client.connection_id)
    }

    /// Clients, oldest first.
    pub(super) fn clients(&self) -> impl Iterator<Item = ClientId> {
        self.clients.keys().copied()
    }

    /// A client's main channel.
    pub(super) fn main(&self, client: ClientId) -> Option<ChannelKey> {
        self.clients.get(&client).map(|client| client.main)
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

    fn admit_client(
        &mut self,
        entropy: u32,
        entered: Access,
    ) -> Result<(ClientId, ChannelKey), AdmitError> {
        if CLIENTS_MAX <= self.clients.len() {
            return Err(AdmitError::TooManyClients);
        }
        let clients = self.clients.values();
        let acting = clients.filter(|client| client.access.acts()).count();
        let access = match self.joining {
            Joining::ViewOnly if entered.acts() && acting != 0 => Access::ViewOnly,
            _ => entered,
        };
        if !access.acts() && WATCHERS_MAX <= self.clients.len() - acting {
            return Err(AdmitError::TooManyWatchers);
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
        let (id, main) = (ClientId::new(self.next), ChannelKey(self.next));
        self.next += 1;
        self.clients.insert(
            id,
            Client {
                connection_id,
                entered,
                access,
                main,
                channels: Vec::new(),
            },
        );
        Ok((id, main))
    }
}

/// Whether clients bring something into the desktop by channels of this kind, and get nothing of it.
fn brings(channel_type: ChannelType) -> bool {
    matches!(channel_type, ChannelType::RECORD | ChannelType::WEBDAV)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_need_their_clients_id() {
        let mut registry = Registry::new();
        let (first, _) = registry
            .admit(0, ChannelType::MAIN, 0, 77, Access::Full)
            .unwrap();
        let (second, _) = registry
            .admit(0, ChannelType::MAIN, 0, 77, Access::Full)
            .unwrap();
        assert_ne!(
            registry.connection_id(first),
            registry.connection_id(second)
        );
        let id = registry.connection_id(second).unwrap();
        let (owner, _) = registry
            .admit(id, ChannelType::DISPLAY, 0, 1, Access::Full)
            .unwrap();
        assert_eq!(owner, second);
        let again = registry.admit(id, ChannelType::DISPLAY, 0, 1, Access::Full);
        assert_eq!(again, Err(AdmitError::AlreadyConnected));
        let stranger = registry.admit(5, ChannelType::DISPLAY, 0, 1, Access::Full);
        assert_eq!(stranger, Err(AdmitError::UnknownConnection));
        let nobody = registry.admit(0, ChannelType::INPUTS, 0, 1, Access::Full);
        assert_eq!(nobody, Err(AdmitError::UnknownConnection));
        let second_display = registry.admit(id, ChannelType::DISPLAY, 1, 1, Access::Full);
        assert_eq!(second_display, Err(AdmitError::NoSuchChannel));
    }

    #[test]
    fn a_client_ends_with_its_main_channel() {
        let mut registry = Registry::new();
        let (client, main) = registry
            .admit(0, ChannelType::MAIN, 0, 9, Access::Full)
            .unwrap();
        let (_, display) = registry
            .admit(9, ChannelType::DISPLAY, 0, 0, Access::Full)
            .unwrap();
        let (_, inputs) = registry
            .admit(9, ChannelType::INPUTS, 0, 0, Access::Full)
            .unwrap();
        assert_eq!(registry.remove(display), []);
        assert!(
            registry
                .admit(9, ChannelType::DISPLAY, 0, 0, Access::Full)
                .is_ok(),
            "may come again"
        );
        let gone = registry.remove(main);
        assert!(gone.contains(&inputs) && gone.len() == 2);
        assert_eq!(registry.connection_id(client), None);
        assert_eq!(
            registry.admit(9, ChannelType::CURSOR, 0, 0, Access::Full),
            Err(AdmitError::UnknownConnection)
        );
    }

    #[test]
    fn the_number_of_clients_is_limited() {
        let mut registry = Registry::new();
        for _ in 0..CLIENTS_MAX {
            registry
                .admit(0, ChannelType::MAIN, 0, 0, Access::Full)
                .unwrap();
        }
        assert_eq!(
            registry.admit(0, ChannelType::MAIN, 0, 0, Access::Full),
            Err(AdmitError::TooManyClients)
        );
    }

    #[test]
    fn watchers_leave_places_for_who_acts() {
        let mut registry = Registry::new();
        let mut admit = |access| registry.admit(0, ChannelType::MAIN, 0, 0, access);
        for _ in 0..WATCHERS_MAX {
            admit(Access::ViewOnly).unwrap();
        }
        assert_eq!(admit(Access::Shadow), Err(AdmitError::TooManyWatchers));
        for _ in WATCHERS_MAX..CLIENTS_MAX {
            admit(Access::Full).unwrap();
        }
        assert_eq!(admit(Access::Full), Err(AdmitError::TooManyClients));
    }

    #[test]
    fn channels_come_in_as_their_client_did_and_watchers_bring_nothing() {
        let mut registry = Registry::new();
        registry.serve(ChannelType::RECORD);
        registry
            .admit(0, ChannelType::MAIN, 0, 7, Access::Full)
            .unwrap();
        registry
            .admit(0, ChannelType::MAIN, 0, 9, Access::ViewOnly)
            .unwrap();
        let mut admit = |id, kind, access| registry.admit(id, kind, 0, 0, access).map(|_| ());
        let foreign = Err(AdmitError::UnknownConnection);
        assert_eq!(admit(7, ChannelType::INPUTS, Access::ViewOnly), foreign);
        assert_eq!(admit(9, ChannelType::INPUTS, Access::Full), foreign);
        assert_eq!(admit(9, ChannelType::INPUTS, Access::ViewOnly), Ok(()));
        let none = Err(AdmitError::NoSuchChannel);
        assert_eq!(admit(9, ChannelType::RECORD, Access::ViewOnly), none);
        assert_eq!(admit(7, ChannelType::RECORD, Access::Full), Ok(()));
        assert!(
            !registry
                .served(Access::Shadow)
                .contains(&ChannelType::RECORD)
        );
    }

    #[test]
    fn the_second_only_watches_where_that_is_the_policy() {
        let mut registry = Registry::new();
        registry.set_joining(Joining::ViewOnly);
        let (first, main) = registry
            .admit(0, ChannelType::MAIN, 0, 1, Access::Full)
            .unwrap();
        let (second, _) = registry
            .admit(0, ChannelType::MAIN, 0, 2, Access::Full)
            .unwrap();
        assert!(registry.access(first).acts() && !registry.access(second).acts());
        assert!(
            registry
                .admit(2, ChannelType::INPUTS, 0, 0, Access::Full)
                .is_ok()
        );
        registry.remove(main);
        let (third, _) = registry
            .admit(0, ChannelType::MAIN, 0, 3, Access::Full)
            .unwrap();
        assert!(registry.access(third).acts(), "nobody acts any more");
    }
}
