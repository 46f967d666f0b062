//! One connection of a client, from its first byte to its end.

use std::fmt::Display;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::broker_line::{BrokerLine, LineError};
use super::{Gateway, notice, relay};
use crate::auth::doorkeeper::{Source, Tried};
use crate::auth::sasl::{Credentials, Exchange, Judge, Said};
use crate::auth::scram::NONCE_BYTES;
use crate::base::limits::LOGIN_DEADLINE;
use crate::channel::FramingError;
use crate::channel::link::{Link, LinkError, Linked, Step};
use crate::channel::link_sasl::SaslAnswer;
use crate::gateway::broker::{Reply, Request};
use crate::gateway::first_message::{FirstMessage, NoInit};
use crate::gateway::logins::{LoginError, LoginKey};
use crate::gateway::replay::{Progress, Replay, ReplayError};
use crate::io::door::{OpeningError, Turned, WaitingPlace, hold_back};
use crate::io::transport::Transport;
use crate::wire::link::{ChannelType, LinkCode};

/// Time for a desktop to start on a busy host; an idle one takes 0.5 s.
const DESKTOP_DEADLINE: Duration = Duration::from_secs(90);

/// Time for the desktop's server to link.
const LINK_DEADLINE: Duration = Duration::from_secs(10);

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectionError {
    #[error(transparent)]
    Opening(#[from] OpeningError),
    #[error("link: {0}")]
    Link(#[from] LinkError),
    #[error("the desktop has not answered in time")]
    Deadline,
    #[error("closed by the client before its desktop was there")]
    ClosedEarly,
    #[error("{0}")]
    Login(#[from] LoginError),
    #[error("{0}")]
    Line(#[from] LineError),
    #[error("refused: {0}")]
    Refused(String),
    #[error("{0}")]
    Replay(#[from] ReplayError),
    #[error("{0}")]
    Init(#[from] NoInit),
    #[error(transparent)]
    Framing(#[from] FramingError),
    #[error(transparent)]
    Socket(#[from] std::io::Error),
}

/// A connection that has just been accepted.
pub(super) struct Arrival {
    pub(super) stream: TcpStream,
    pub(super) address: SocketAddr,
    /// Who has to answer for it; none for this host's own.
    pub(super) source: Option<Source>,
}

/// What a user reads whose desktop is there, or should be, and does not answer.
const UNREACHABLE: &str =
    "Your desktop cannot be reached now. The journal of this host says why; try again later.";

/// A client in the middle of its handshake.
pub(super) struct Client {
    pub(super) stream: Transport,
    link: Link,
}

/// A channel of a login; it ends with this.
struct Membership {
    gateway: Rc<Gateway>,
    key: LoginKey,
    is_main: bool,
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut logins = self.gateway.logins.borrow_mut();
        if self.is_main {
            logins.end(self.key);
            self.gateway.notices.borrow_mut().remove(&self.key);
            self.gateway.lines.borrow_mut().remove(&self.key);
        } else {
            logins.leave(self.key);
        }
    }
}

/// Serves one connection to its end. The caller logs the error.
pub(super) async fn serve(
    gateway: &Rc<Gateway>,
    arrival: Arrival,
    place: WaitingPlace,
) -> Result<(), ConnectionError> {
    let Arrival {
        stream,
        address,
        source,
    } = arrival;
    let admitted = authenticate(gateway, Transport::Tcp(stream), source, address);
    let (mut client, membership, desktop_id) = place.open(admitted).await?;
    let notice = gateway.notices.borrow().get(&membership.key).cloned();
    if let Some(sentence) = notice {
        return notice::show(client, &sentence, 0).await;
    }
    let line = gateway.lines.borrow().get(&membership.key).cloned();
    let line = line.ok_or(LoginError::Unknown)?;
    let linked = tokio::select! {
        linked = link_desktop(&client.link, address, &line, &membership, desktop_id) => linked,
        () = client.stream.closed() => return Err(ConnectionError::ClosedEarly),
    };
    drop(line);
    let (desktop, said) = match linked {
        Ok(linked) => linked,
        Err(error) if membership.is_main => {
            tracing::warn!(peer = %address, %error, "no desktop");
            let sentence: Rc<str> = match error {
                ConnectionError::Refused(sentence) => sentence.into(),
                _ => UNREACHABLE.into(),
            };
            // The desktop would have said what it calls the client; here nobody calls it anything.
            let id = gateway.logins.borrow_mut().learn(membership.key, 0);
            let shown = Rc::clone(&sentence);
            gateway.notices.borrow_mut().insert(membership.key, shown);
            return notice::show(client, &sentence, id.unwrap_or_default()).await;
        }
        Err(error) => {
            client.link.decide(Err(refusal(&error)));
            client.link.step();
            client.send_output().await?;
            return Err(error);
        }
    };
    let linked = client.finish().await?;
    tracing::info!(peer = %address, channel = ?linked.message.channel_type, "channel linked");
    run(gateway, client.stream, desktop, linked, said, &membership).await
}

impl Client {
    /// Tells the client that it is linked.
    pub(super) async fn finish(&mut self) -> Result<Linked, ConnectionError> {
        self.link.decide(Ok(()));
        let Step::Linked(linked) = self.link.step() else {
            return Err(LinkError::Refused.into());
        };
        self.send_output().await?;
        Ok(*linked)
    }

    async fn send_output(&mut self) -> std::io::Result<()> {
        let output = self.link.take_output();
        if !output.is_empty() {
            self.stream.write_all(&output).await?;
            self.stream.flush().await?;
        }
        Ok(())
    }
}

/// What the client is told of an error that is not its own.
fn refusal(error: &ConnectionError) -> LinkError {
    match error {
        ConnectionError::Replay(ReplayError::Refused(LinkCode::BAD_CONNECTION_ID)) => {
            LinkError::UnknownConnection
        }
        _ => LinkError::Refused,
    }
}

type Admitted = (Client, Membership, u32);

/// Takes the client to the point where it has authenticated.
async fn authenticate(
    gateway: &Rc<Gateway>,
    stream: Transport,
    source: Option<Source>,
    address: SocketAddr,
) -> Result<Admitted, OpeningError> {
    let stream = stream.open(Some(&gateway.tls)).await?;
    let link = match stream.is_tls() {
        true => Link::offering_sasl(&Judge::System.mechanisms()),
        false => Link::refusing_plain(),
    };
    let link = link.decoding_opus(gateway.decodes_opus);
    let mut client = Client { stream, link };
    let credentials = hear_credentials(&mut client).await?;
    let asked = Instant::now();
    let user = credentials.as_ref().map(|credentials| &*credentials.user);
    let tried = Tried::of(user);
    let admitted = match &credentials {
        Some(credentials) if !gateway.door.is_shut(source) => {
            admit(gateway, &client, credentials, address).await
        }
        _ => Err(Denial::Wrong),
    };
    // Guesses that were under way together count like those that come one by one.
    let admitted = admitted.and_then(|admitted| match gateway.door.is_shut(source) {
        true => Err(Denial::Wrong),
        false => Ok(admitted),
    });
    let (membership, desktop_id) = match admitted {
        Ok(admitted) => admitted,
        Err(denial) => {
            let error = match denial {
                Denial::Wrong => {
                    gateway.door.failed(&address, source, tried, asked).await;
                    LinkError::PermissionDenied.into()
                }
                // Who cannot be judged has done nothing wrong, and cannot tell that from a wrong password.
                Denial::NotJudged => {
                    hold_back(asked).await;
                    OpeningError::NotJudged
                }
            };
            client.link.answer_sasl(SaslAnswer::Denied(None));
            client.send_output().await?;
            return Err(error);
        }
    };
    gateway.door.succeeded(source, tried);
    client.link.answer_sasl(SaslAnswer::Accepted(None));
    client.send_output().await?;
    Ok((client, membership, desktop_id))
}

/// The name and password that the client says; none if what it says is neither.
async fn hear_credentials(client: &mut Client) -> Result<Option<Credentials>, OpeningError> {
    let mut buffer = zeroize::Zeroizing::new([0; 1024]);
    loop {
        let step = client.link.step();
        client.send_output().await?;
        match step {
            Step::NeedsBytes => {
                let count = client.stream.read(&mut *buffer).await?;
                if count == 0 {
                    return Err(OpeningError::ClosedEarly);
                }
                client.link.push(buffer.get(..count).unwrap_or_default());
            }
            Step::Sasl(turn) => {
                // PLAIN needs no random numbers.
                let mut exchange = Exchange::begin(&Judge::System, "PLAIN", [0; NONCE_BYTES]);
                let data = turn.data().as_deref().map(Vec::as_slice);
                return Ok(match exchange.step(data) {
                    Said::Ask(credentials) => Some(credentials),
                    _ => None,
                });
            }
            Step::Failed(error) => return Err(error.into()),
            Step::NeedsKey | Step::CheckTicket(_) | Step::Linked(_) => {
                return Err(LinkError::Refused.into());
            }
        }
    }
}

/// Why a channel is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Denial {
    /// Its client's fault.
    Wrong,
    /// Ours: nobody can say, or there is no room.
    NotJudged,
}

/// Whether name and password let this channel in: the broker says so for a main channel, and for any other the main
/// channel that it belongs to. Gives what the desktop's server calls the client; 0 is a new one.
async fn admit(
    gateway: &Rc<Gateway>,
    client: &Client,
    credentials: &Credentials,
    address: SocketAddr,
) -> Result<(Membership, u32), Denial> {
    let proof = gateway.proof(credentials);
    let membership = |key, is_main| Membership {
        gateway: Rc::clone(gateway),
        key,
        is_main,
    };
    let message = client.link.message().ok_or(Denial::Wrong)?;
    if message.channel_type != ChannelType::MAIN {
        let mut logins = gateway.logins.borrow_mut();
        let joined = logins.join(message.connection_id, &proof);
        let (key, desktop_id) = joined.map_err(|error| {
            if let Some(held_back) = gateway.door.line(Turned::ChannelDenied) {
                tracing::warn!(peer = %address, %error, held_back, "channel denied");
            }
            Denial::Wrong
        })?;
        return Ok((membership(key, false), desktop_id));
    }
    let asking = async {
        let line = BrokerLine::open(&gateway.broker).await?;
        line.say(&Request::LogIn(
            credentials.clone(),
            address.ip().to_string(),
        ))?;
        let (reply, _) = line.hear().await?;
        Ok::<_, LineError>((line, reply))
    };
    let deadline = Duration::from_micros(LOGIN_DEADLINE.0);
    let (mut line, reply) = match timeout(deadline, asking).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => return Err(not_judged(gateway, address, &error)),
        Err(_) => return Err(not_judged(gateway, address, &"the broker does not answer")),
    };
    let Reply::Known { uid, access, user } = reply else {
        return Err(Denial::Wrong);
    };
    line.access = access;
    tracing::info!(peer = %address, user, uid, access = access.word(), "authenticated");
    let entropy = getrandom::u32().map_err(|_| Denial::NotJudged)?;
    let begun = gateway.logins.borrow_mut().begin(proof, entropy);
    let key = begun.map_err(|error| not_judged(gateway, address, &error))?;
    gateway
        .lines
        .borrow_mut()
        .insert(key, Rc::new(Mutex::new(line)));
    Ok((membership(key, true), 0))
}

/// Tells why nobody can be let in now.
fn not_judged(gateway: &Gateway, peer: SocketAddr, error: &impl Display) -> Denial {
    if let Some(held_back) = gateway.door.line(Turned::NotJudged) {
        tracing::error!(%peer, %error, held_back, "nobody can be let in");
    }
    Denial::NotJudged
}

/// Gets a connection to the desktop and links there; gives it with what the server said behind the handshake.
async fn link_desktop(
    link: &Link,
    address: SocketAddr,
    line: &Mutex<BrokerLine>,
    membership: &Membership,
    desktop_id: u32,
) -> Result<(UnixStream, Vec<u8>), ConnectionError> {
    let connecting = async {
        let line = line.lock().await;
        if !membership.is_main {
            line.say(&Request::Connect)?;
        }
        let (reply, stream) = line.hear().await?;
        Ok::<_, LineError>((reply, stream, line.access))
    };
    let answer = timeout(DESKTOP_DEADLINE, connecting).await;
    let (reply, stream, access) = answer.map_err(|_| ConnectionError::Deadline)??;
    let Some(mut stream) = stream else {
        let sentence = match reply {
            Reply::Refused(sentence) => sentence,
            _ => "no desktop".into(),
        };
        return Err(ConnectionError::Refused(sentence));
    };
    let message = link.message().ok_or(LinkError::Refused)?;
    let linking = async {
        let mut replay = Replay::new(message, desktop_id, access, address);
        let mut buffer = [0; 1024];
        loop {
            stream.write_all(&replay.take_output()).await?;
            let count = stream.read(&mut buffer).await?;
            if count == 0 {
                return Err(ReplayError::NotAServer.into());
            }
            let progress = replay.push(buffer.get(..count).unwrap_or_default())?;
            if let Progress::Linked(said) = progress {
                return Ok::<_, ConnectionError>(said);
            }
        }
    };
    let said = timeout(LINK_DEADLINE, linking)
        .await
        .map_err(|_| ConnectionError::Deadline)??;
    Ok((stream, said))
}

/// Passes bytes on, once the connection id has been changed where the desktop tells it.
async fn run(
    gateway: &Rc<Gateway>,
    mut client: Transport,
    mut desktop: UnixStream,
    linked: Linked,
    mut said: Vec<u8>,
    membership: &Membership,
) -> Result<(), ConnectionError> {
    desktop.write_all(&linked.leftover).await?;
    if membership.is_main {
        said = timeout(
            LINK_DEADLINE,
            first_message(gateway, &mut desktop, linked.mini_header, said, membership),
        )
        .await
        .map_err(|_| ConnectionError::Deadline)??;
    }
    client.write_all(&said).await?;
    client.flush().await?;
    Ok(relay::pass(client, desktop).await?)
}

async fn first_message(
    gateway: &Rc<Gateway>,
    desktop: &mut UnixStream,
    mini_header: bool,
    said: Vec<u8>,
    membership: &Membership,
) -> Result<Vec<u8>, ConnectionError> {
    let mut first = FirstMessage::new(mini_header);
    let mut bytes = said;
    let mut buffer = [0; 1024];
    loop {
        let rename = |desktop_id| {
            gateway
                .logins
                .borrow_mut()
                .learn(membership.key, desktop_id)
        };
        if let Some(all) = first.push(&bytes, rename)? {
            return Ok(all);
        }
        let count = desktop.read(&mut buffer).await?;
        if count == 0 {
            return Err(NoInit.into());
        }
        bytes = buffer.get(..count).unwrap_or_default().to_vec();
    }
}
