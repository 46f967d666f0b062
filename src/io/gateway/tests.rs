//! The gateway between real sockets: clients with TLS and SASL on one side, a broker and desktops that this file plays
//! on the other.

use std::cell::RefCell;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{LocalSet, spawn_local};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::base::{ByteReader, ByteWriter};
use crate::channel::link::{Link, Step};
use crate::gateway::broker::{DATAGRAM_BYTES_MAX, Reply, Request};
use crate::io::heard_log;
use crate::io::tls::TlsFiles;
use crate::os::seqpacket::{SeqPacket, SeqPacketListener};
use crate::os::{Received, Watched};
use crate::wire::caps::Caps;
use crate::wire::header::{FullHeader, write_message};
use crate::wire::link::{AuthMechanism, ChannelType, LinkHeader, LinkMessage, LinkReply};
use crate::wire::main::Init;
use crate::wire::sasl::{SaslMechanisms, SaslReply, SaslStart};
use crate::wire::{Decode, Encode, Message};

/// What alice's desktop calls each client; bob's is one more.
const DESKTOP_ID: u32 = 1000;

const PERMISSION_DENIED: u32 = 7;

/// A gateway with the two users' desktops behind it.
struct World {
    folder: tempfile::TempDir,
    address: SocketAddr,
    certificate: Vec<u8>,
    /// Who has been asked about, in order.
    asked: Rc<RefCell<Vec<String>>>,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        let file = folder.path().join("server.pem");
        std::fs::write(&file, made.cert.pem() + &made.signing_key.serialize_pem()).unwrap();
        let files = TlsFiles {
            certificate: file.clone(),
            key: file,
            client_authority: None,
        };
        let tls = Rc::new(Tls::load(files).unwrap());
        let broker = folder.path().join("broker");
        let asked = Rc::default();
        let listener = Watched::new(SeqPacketListener::bind(&broker).unwrap()).unwrap();
        spawn_local(play_broker(
            listener,
            folder.path().into(),
            Rc::clone(&asked),
        ));
        for (user, id) in [("alice", DESKTOP_ID), ("bob", DESKTOP_ID + 1)] {
            let listener = UnixListener::bind(folder.path().join(user)).unwrap();
            spawn_local(play_desktops(listener, user, id));
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let gateway = Gateway::new(tls, broker, false).unwrap();
        spawn_local(Rc::new(gateway).serve(listener));
        let certificate = made.cert.der().to_vec();
        Self {
            folder,
            address,
            certificate,
            asked,
        }
    }

    async fn tls(&self) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from(self.certificate.clone()))
            .unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(std::sync::Arc::new(config))
            .connect(name, stream)
            .await
            .unwrap()
    }

    /// Links a channel; gives the result's number and what the desktop says first.
    async fn link(
        &self,
        channel: ChannelType,
        id: u32,
        user: &str,
        password: &str,
    ) -> Result<Channel, u32> {
        let mut stream = self.tls().await;
        stream.write_all(&hello(channel, id)).await.unwrap();
        read_reply(&mut stream).await;
        stream
            .write_all(&AuthMechanism::SASL.0.to_le_bytes())
            .await
            .unwrap();
        let offered = stream.read_u32_le().await.unwrap();
        let mut names = vec![0; offered as usize];
        stream.read_exact(&mut names).await.unwrap();
        let mut expected = Vec::new();
        SaslMechanisms("PLAIN".into()).encode(&mut ByteWriter::new(&mut expected));
        assert_eq!(names, expected[4..]);
        let mut start = Vec::new();
        let data = format!("\0{user}\0{password}").into_bytes();
        SaslStart {
            mechanism: "PLAIN".into(),
            data: Some(zeroize::Zeroizing::new(data)),
        }
        .encode(&mut ByteWriter::new(&mut start));
        stream.write_all(&start).await.unwrap();
        let mut ended = Vec::new();
        SaslReply {
            data: None,
            is_done: true,
        }
        .encode(&mut ByteWriter::new(&mut ended));
        let mut told = vec![0; ended.len()];
        stream.read_exact(&mut told).await.unwrap();
        assert_eq!(told, ended);
        for _ in ["SASL", "link"] {
            match stream.read_u32_le().await {
                Ok(0) => {}
                Ok(code) => return Err(code),
                Err(_) => return Err(u32::MAX),
            }
        }
        Ok(Channel { stream })
    }

    /// Links a main channel; gives the connection id that the client is told, too.
    async fn log_in(&self, user: &str, password: &str) -> (Channel, u32) {
        let mut main = self
            .link(ChannelType::MAIN, 0, user, password)
            .await
            .unwrap();
        let header = main.take(FullHeader::SIZE).await;
        let header = FullHeader::decode(&mut ByteReader::new(&header)).unwrap();
        assert_eq!(header.message_type, Init::TYPE);
        let body = main.take(header.size as usize).await;
        let init = Init::decode(&mut ByteReader::new(&body)).unwrap();
        (main, init.session_id)
    }
}

struct Channel {
    stream: TlsStream<TcpStream>,
}

impl Channel {
    async fn take(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).await.unwrap();
        bytes
    }

    /// What a desktop says when it is asked who it is.
    async fn whose(&mut self) -> String {
        self.stream.write_all(b"?").await.unwrap();
        self.stream.flush().await.unwrap();
        let length = usize::from(self.take(1).await[0]);
        String::from_utf8(self.take(length).await).unwrap()
    }
}

fn hello(channel_type: ChannelType, connection_id: u32) -> Vec<u8> {
    let message = LinkMessage {
        connection_id,
        channel_type,
        channel_id: 0,
        // No mini headers: the long ones are of a fixed size as well.
        common_caps: Caps::of(&[0, 2]),
        channel_caps: Caps::default(),
    };
    let (mut body, mut bytes) = (Vec::new(), Vec::new());
    message.encode(&mut ByteWriter::new(&mut body));
    LinkHeader::new(u32::try_from(body.len()).unwrap()).encode(&mut ByteWriter::new(&mut bytes));
    [bytes, body].concat()
}

async fn read_reply(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> LinkReply {
    let mut header = [0; LinkHeader::SIZE];
    stream.read_exact(&mut header).await.unwrap();
    let header = LinkHeader::decode(&mut ByteReader::new(&header)).unwrap();
    let mut body = vec![0; header.size as usize];
    stream.read_exact(&mut body).await.unwrap();
    LinkReply::decode(&mut ByteReader::new(&body)).unwrap()
}

/// Knows the passwords `NAME-secret`; `carol` is let in and refused.
async fn play_broker(
    listener: Watched<SeqPacketListener>,
    folder: PathBuf,
    asked: Rc<RefCell<Vec<String>>>,
) {
    loop {
        let mut ready = listener.readable().await.unwrap();
        let Ok(line) = listener.get_ref().accept() else {
            ready.clear_ready();
            continue;
        };
        let (folder, asked) = (folder.clone(), Rc::clone(&asked));
        spawn_local(async move {
            let line = Watched::new(line).unwrap();
            let Some(Request::LogIn(credentials, _)) = hear(&line).await else {
                panic!("a login comes first");
            };
            let user = credentials.user.clone();
            asked.borrow_mut().push(user.clone());
            if *credentials.password != format!("{user}-secret").into_bytes() {
                line.get_ref().send(&Reply::Denied.encode()).unwrap();
                return;
            }
            let known = Reply::Known {
                access: crate::base::Access::Full,
                uid: 1,
                user: user.clone(),
            };
            line.get_ref().send(&known.encode()).unwrap();
            if user == "carol" {
                let refused = Reply::Refused("not now".into());
                line.get_ref().send(&refused.encode()).unwrap();
                return;
            }
            loop {
                let desktop = std::os::unix::net::UnixStream::connect(folder.join(&user)).unwrap();
                let connected = Reply::Connected.encode();
                line.get_ref()
                    .send_with_descriptors(&connected, &[desktop.as_fd()])
                    .unwrap();
                match hear(&line).await {
                    Some(Request::Connect) => {}
                    Some(other) => panic!("{other:?}"),
                    None => return,
                }
            }
        });
    }
}

async fn hear(line: &Watched<SeqPacket>) -> Option<Request> {
    let mut buffer = [0; DATAGRAM_BYTES_MAX];
    loop {
        let mut ready = line.readable().await.unwrap();
        match line.get_ref().receive(&mut buffer) {
            Ok(Received::Datagram { length, .. }) => {
                return Some(Request::decode(&mut buffer[..length]).unwrap());
            }
            Ok(Received::Closed) => return None,
            Err(_) => ready.clear_ready(),
        }
    }
}

/// Links whoever comes as our server does, sends INIT on main channels, and says whose desktop it is for each byte.
async fn play_desktops(listener: UnixListener, user: &'static str, id: u32) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        spawn_local(async move {
            let _ = play_desktop(stream, user, id).await;
        });
    }
}

async fn play_desktop(mut stream: UnixStream, user: &str, id: u32) -> std::io::Result<()> {
    let mut link = Link::new();
    let mut buffer = [0; 1024];
    let message = loop {
        match link.step() {
            Step::NeedsBytes => {
                let count = stream.read(&mut buffer).await?;
                link.push(&buffer[..count]);
            }
            Step::NeedsKey => link.give_key([5; 162]),
            Step::CheckTicket(_) => link.decide(Ok(())),
            Step::Linked(linked) => break linked.message,
            other => panic!("{other:?}"),
        }
        stream.write_all(&link.take_output()).await?;
    };
    stream.write_all(&link.take_output()).await?;
    if message.channel_type == ChannelType::MAIN {
        assert_eq!(message.connection_id, 0);
        let init = Init {
            session_id: id,
            display_channels_hint: 1,
            supported_mouse_modes: 3,
            current_mouse_mode: 2,
            agent_connected: 0,
            agent_tokens: 10,
            multi_media_time: 0,
            ram_hint: 0,
        };
        let mut bytes = Vec::new();
        write_message(&mut bytes, false, 1, Init::TYPE, |body| init.encode(body));
        stream.write_all(&bytes).await?;
    } else {
        assert_eq!(message.connection_id, id, "the desktop's own id comes back");
    }
    while stream.read_u8().await.is_ok() {
        let told = [&[u8::try_from(user.len()).unwrap()], user.as_bytes()].concat();
        stream.write_all(&told).await?;
    }
    Ok(())
}

fn in_world<F: Future<Output = ()>>(test: impl FnOnce(World) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let all = async { test(World::new().await).await };
    let limited = async {
        tokio::time::timeout(Duration::from_secs(20), all)
            .await
            .unwrap()
    };
    LocalSet::new().block_on(&runtime, limited);
}

#[test]
fn each_users_channels_reach_their_own_desktop() {
    in_world(async |world| {
        let (mut alice, alices_id) = world.log_in("alice", "alice-secret").await;
        let (mut bob, bobs_id) = world.log_in("bob", "bob-secret").await;
        assert_ne!(alices_id, bobs_id);
        assert!(![DESKTOP_ID, DESKTOP_ID + 1, 0].contains(&alices_id));
        let mut display = world
            .link(ChannelType::DISPLAY, alices_id, "alice", "alice-secret")
            .await
            .unwrap();
        assert_eq!(display.whose().await, "alice");
        assert_eq!(alice.whose().await, "alice");
        assert_eq!(bob.whose().await, "bob");
        assert_eq!(
            *world.asked.borrow(),
            ["alice", "bob"],
            "once for each client"
        );
    });
}

#[test]
fn a_stolen_connection_id_lets_nobody_in() {
    in_world(async |world| {
        let (_alice, id) = world.log_in("alice", "alice-secret").await;
        for (id, user, password) in [
            (id, "bob", "bob-secret"),
            (id, "alice", "wrong"),
            (id, "bob", "alice-secret"),
            (id.wrapping_add(1), "alice", "alice-secret"),
            (DESKTOP_ID, "alice", "alice-secret"),
            (0, "alice", "alice-secret"),
        ] {
            let denied = world.link(ChannelType::INPUTS, id, user, password).await;
            assert_eq!(denied.err(), Some(PERMISSION_DENIED), "{user} with {id}");
        }
        let linked = world
            .link(ChannelType::INPUTS, id, "alice", "alice-secret")
            .await;
        assert!(linked.is_ok());
    });
}

#[test]
fn an_id_ends_with_its_main_channel() {
    in_world(async |world| {
        let (mut alice, id) = world.log_in("alice", "alice-secret").await;
        alice.stream.shutdown().await.unwrap();
        let mut rest = Vec::new();
        let _ = alice.stream.read_to_end(&mut rest).await;
        drop(alice);
        let denied = world
            .link(ChannelType::DISPLAY, id, "alice", "alice-secret")
            .await;
        assert_eq!(denied.err(), Some(PERMISSION_DENIED));
    });
}

#[test]
fn wrong_passwords_are_denied_late() {
    in_world(async |world| {
        let begun = Instant::now();
        let denied = world.link(ChannelType::MAIN, 0, "alice", "wrong").await;
        assert_eq!(denied.err(), Some(PERMISSION_DENIED));
        assert!(Duration::from_millis(600) <= begun.elapsed());
    });
}

#[test]
fn failed_logins_have_the_promised_line_and_do_not_fill_the_log() {
    heard_log::listen();
    in_world(async |world| {
        let world = Rc::new(world);
        let guesses: Vec<_> = (0..5)
            .map(|_| {
                let world = Rc::clone(&world);
                spawn_local(async move { world.link(ChannelType::MAIN, 0, "alice", "wrong").await })
            })
            .collect();
        for guess in guesses {
            assert_eq!(guess.await.unwrap().err(), Some(PERMISSION_DENIED));
        }
        assert!(world.log_in("alice", "alice-secret").await.1 != 0);
        let late = world.link(ChannelType::MAIN, 0, "alice", "wrong").await;
        assert_eq!(late.err(), Some(PERMISSION_DENIED));
    });
    let failed = heard_log::lines_with("authentication failed peer=127.0.0.1:");
    assert_eq!(
        failed.len(),
        2,
        "one of an address in half a second: {failed:?}"
    );
    assert!(!failed[0].contains("held_back"), "{failed:?}");
    assert!(failed[1].ends_with("held_back=4"), "{failed:?}");
}

#[test]
fn floods_of_strangers_do_not_fill_the_log() {
    heard_log::listen();
    in_world(async |world| {
        for _ in 0..20 {
            let mut stream = TcpStream::connect(world.address).await.unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
            let _ = stream.read(&mut [0]).await;
        }
    });
    let ended = heard_log::lines_with("connection ended peer=127.0.0.1:");
    assert!((1..=3).contains(&ended.len()), "one in a second: {ended:?}");
}

#[test]
fn who_is_refused_is_shown_why() {
    in_world(async |world| {
        let (_main, id) = world.log_in("carol", "carol-secret").await;
        let stolen = world
            .link(ChannelType::DISPLAY, id, "bob", "bob-secret")
            .await;
        assert_eq!(stolen.err(), Some(PERMISSION_DENIED));
        let display = world
            .link(ChannelType::DISPLAY, id, "carol", "carol-secret")
            .await;
        let mut display = display.unwrap();
        let mut init = Vec::new();
        write_message(&mut init, false, 1, 101, |body| body.bytes(&[0; 14]));
        display.stream.write_all(&init).await.unwrap();
        let header = display.take(FullHeader::SIZE).await;
        let header = FullHeader::decode(&mut ByteReader::new(&header)).unwrap();
        assert_eq!(
            header.message_type,
            crate::wire::display::SurfaceCreate::TYPE
        );
    });
}

#[test]
fn without_a_broker_or_a_desktop_nobody_comes_in_and_nothing_hangs() {
    heard_log::listen();
    in_world(async |world| {
        std::fs::remove_file(world.folder.path().join("broker")).unwrap();
        let denied = world
            .link(ChannelType::MAIN, 0, "alice", "alice-secret")
            .await;
        assert_eq!(denied.err(), Some(PERMISSION_DENIED));
    });
    // Nobody shall be shut out for what is this host's own fault.
    assert!(heard_log::lines_with("authentication failed").is_empty());
    assert_eq!(heard_log::lines_with("nobody can be let in").len(), 1);
}

#[test]
fn plain_clients_are_told_to_come_with_tls() {
    in_world(async |world| {
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream
            .write_all(&hello(ChannelType::MAIN, 0))
            .await
            .unwrap();
        let reply = read_reply(&mut stream).await;
        assert_eq!(reply.error, crate::wire::link::LinkCode::NEED_SECURED);
        assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    });
}
