//! Local addresses of the folders that clients share: `dav://127.0.0.1:PORT/`, and a unix socket beside it.
//!
//! Each client that shares gets a *place*: a port of loopback and a socket file. Places are kept until the server
//! ends and given to the next client that shares, so that a mount works again when its client comes back, and nobody
//! else on the host can ever listen where programs of the desktop still look for a folder. While nobody shares
//! there, connections are closed at once.
//!
//! Loopback is open to all users of the host. A connection is served only if its other end is a socket of the
//! desktop's own user (`os::tcp_owner`) and its requests come from a program (`channel::webdav_requests`). What
//! the addresses are stands in the log, in the status and in the file `shared-folders`, one line for each folder.

use std::cell::{Cell, RefCell};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;

use super::folder_stream::{Ended, OpenStream, carry};
use super::host::{FolderAddress, Host};
use crate::base::limits::{CLIENTS_MAX, FOLDER_STREAMS_MAX};
use crate::channel::webdav_requests::Requests;
use crate::os::PeerCredentials;
use crate::os::tcp_owner::is_own_user;
use crate::session::ChannelKey;

/// File with the addresses, in the directory that is given.
const LIST: &str = "shared-folders";

/// After accept fails (no descriptors, no memory) it is not tried again for this long.
const ACCEPT_PAUSE: Duration = Duration::from_millis(250);

/// Where one client's folder is to be found.
struct Place {
    host: Rc<Host>,
    address: FolderAddress,
    /// Who shares there now.
    channel: Cell<Option<ChannelKey>>,
    connections: Arc<Semaphore>,
}

/// All places, and who shares where.
struct Places {
    host: Rc<Host>,
    directory: Option<PathBuf>,
    list: RefCell<Vec<Rc<Place>>>,
}

/// Serves shared folders for ever. `directory` is for sockets and the list; without one there are ports only.
pub async fn serve(host: Rc<Host>, directory: Option<PathBuf>) {
    let places = Places {
        host,
        directory,
        list: RefCell::new(Vec::new()),
    };
    // Whoever remembers the addresses of a server before this one forgets them.
    places.publish(&[]);
    loop {
        places.follow().await;
        places.host.folders.notified().await;
    }
}

impl Places {
    /// Gives who has begun to share a place, and takes it from who has ceased.
    async fn follow(&self) {
        let folders: Vec<(ChannelKey, String)> = self.host.with(|session| {
            let folders = session.folders();
            folders.map(|(key, peer)| (key, peer.to_owned())).collect()
        });
        let mut changed = false;
        for place in self.list.borrow().iter() {
            let is_there = |key| folders.iter().any(|(folder, _)| *folder == key);
            if place.channel.get().is_some_and(|key| !is_there(key)) {
                tracing::info!(uri = %place.address.uri(), "a shared folder has gone");
                place.channel.set(None);
                changed = true;
            }
        }
        for (key, peer) in &folders {
            let has_place = |place: &Rc<Place>| place.channel.get() == Some(*key);
            if self.list.borrow().iter().any(has_place) {
                continue;
            }
            match self.free_place().await {
                Ok(place) => {
                    place.channel.set(Some(*key));
                    let address = &place.address;
                    tracing::info!(%peer, uri = %address.uri(), socket = ?address.socket, "a folder is shared");
                    changed = true;
                }
                Err(error) => tracing::warn!(%peer, %error, "no local address for a shared folder"),
            }
        }
        if changed {
            self.publish(&folders);
        }
    }

    /// The first place where nobody shares; there are never more than clients at one time.
    async fn free_place(&self) -> std::io::Result<Rc<Place>> {
        let free = |place: &&Rc<Place>| place.channel.get().is_none();
        if let Some(place) = self.list.borrow().iter().find(free) {
            return Ok(Rc::clone(place));
        }
        let count = self.list.borrow().len();
        if CLIENTS_MAX <= count {
            return Err(std::io::ErrorKind::QuotaExceeded.into());
        }
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = tcp.local_addr()?.port();
        let unix = self.directory.as_deref().and_then(|directory| {
            let path = directory.join(format!("folder-{}.sock", count + 1));
            match listen(&path) {
                Ok(listener) => Some((listener, path)),
                Err(error) => {
                    tracing::warn!(%error, path = %path.display(), "no socket for a shared folder");
                    None
                }
            }
        });
        let (unix, socket) = unix.unzip();
        let place = Rc::new(Place {
            host: Rc::clone(&self.host),
            address: FolderAddress { port, socket },
            channel: Cell::new(None),
            connections: Arc::new(Semaphore::new(FOLDER_STREAMS_MAX)),
        });
        tokio::task::spawn_local(accept_tcp(Rc::clone(&place), tcp, port));
        if let Some(unix) = unix {
            tokio::task::spawn_local(accept_unix(Rc::clone(&place), unix));
        }
        self.list.borrow_mut().push(Rc::clone(&place));
        Ok(place)
    }

    /// Tells the status and the list where which folder is.
    fn publish(&self, folders: &[(ChannelKey, String)]) {
        let (mut addresses, mut text) = (Vec::new(), String::new());
        for (key, peer) in folders {
            let list = self.list.borrow();
            let place = list.iter().find(|place| place.channel.get() == Some(*key));
            if let Some(place) = place {
                text.push_str(&format!("{}\t{peer}\n", place.address.uri()));
                addresses.push((*key, place.address.clone()));
            }
        }
        self.host.set_folder_addresses(addresses);
        if let Some(directory) = &self.directory
            && let Err(error) = replace(&directory.join(LIST), &text)
        {
            tracing::warn!(%error, "cannot write the list of shared folders");
        }
    }
}

/// Listens at `path`. What a server before this one left there is taken away.
fn listen(path: &Path) -> std::io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    UnixListener::bind(path)
}

/// Writes a file that is never seen half.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let new = path.with_extension("new");
    std::fs::write(&new, text)?;
    std::fs::rename(&new, path)
}

async fn accept_tcp(place: Rc<Place>, listener: TcpListener, port: u16) {
    let own = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
    loop {
        match listener.accept().await {
            Ok((socket, SocketAddr::V4(peer))) => {
                // The table may be long; reading it shall keep nobody waiting.
                let is_ours = tokio::task::spawn_blocking(move || is_own_user(peer, own)).await;
                match is_ours {
                    Ok(Ok(true)) => {
                        // Programs ask and wait for the answer: no request shall wait for the one before.
                        let _ = socket.set_nodelay(true);
                        place.open(socket, Requests::new(true)).await;
                    }
                    Ok(Ok(false)) => {
                        tracing::warn!(%peer, "refused another user at a shared folder");
                    }
                    Ok(Err(error)) => tracing::warn!(%error, "cannot tell whose a connection is"),
                    Err(_) => {}
                }
            }
            Ok(_) => {}
            Err(error) => pause(&error).await,
        }
    }
}

async fn accept_unix(place: Rc<Place>, listener: UnixListener) {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => match PeerCredentials::of(&socket) {
                // Browsers do not come this way.
                Ok(peer) if peer.is_own_user() => place.open(socket, Requests::new(false)).await,
                peer => tracing::warn!(?peer, "refused another user at a shared folder"),
            },
            Err(error) => pause(&error).await,
        }
    }
}

async fn pause(error: &std::io::Error) {
    tracing::warn!(%error, "cannot accept a connection to a shared folder");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

impl Place {
    /// Serves a program's connection in a task of its own, as soon as there are not too many.
    async fn open<S>(&self, socket: S, requests: Requests)
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let Ok(permit) = Arc::clone(&self.connections).acquire_owned().await else {
            return;
        };
        let Some(channel) = self.channel.get() else {
            return;
        };
        let host = &self.host;
        let connected = host.with(|session| session.folder_connect(channel, host.now()));
        let Some(stream) = connected else {
            return;
        };
        let open = OpenStream::new(host, stream);
        tokio::task::spawn_local(async move {
            match carry(&open, socket, requests).await {
                Ok(Ended::Closed) => {}
                Ok(Ended::Stalled) => tracing::warn!(
                    "a program took nothing of a shared folder while others waited: closed"
                ),
                Ok(Ended::Refused(error)) => {
                    tracing::warn!(%error, "refused a request for a shared folder");
                }
                Err(error) => tracing::debug!(%error, "a program left a shared folder"),
            }
            drop((open, permit));
        });
    }
}
