//! The line to a running caraway-server: one JSON object per line, both ways, over a socket pair.
//!
//! The server says `{"event":"ready"}`, `{"event":"fatal","message":..}` and
//! `{"event":"folders","ports":[..]}`, `{"event":"visit",..}` when a client comes or goes, and answers
//! `{"request":"status"}` with `{"event":"status",..}`; `{"request":"ticket",..}` gives it another password, and
//! it says `{"event":"spent"}` when one that was for a single client is used up. It may hang or write nonsense;
//! then questions are answered with nothing after a time, and nothing else happens.

use std::collections::VecDeque;
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::access::Access;
use crate::control::lines::LineReader;
use crate::ticket::Ticket;
use crate::visitors::Visit;

/// Bytes of one line from the server: a status with all clients fits well.
const LINE_BYTES_MAX: usize = 256 * 1024;

/// Questions that may wait.
const WAITING_MAX: usize = 16;

/// Events that may wait: all clients of a server that was started again come at once.
const EVENTS_WAITING_MAX: usize = 256;

/// Time in which the server answers a question.
const ANSWER_DEADLINE: Duration = Duration::from_secs(2);

/// What the server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// It is attached to the driver and takes clients.
    Ready,
    /// It cannot go on, and why.
    Fatal(String),
    /// The password that was for a single client has let that one in.
    Spent(Access),
    /// A client has come or gone.
    Visit(Visit),
    /// Clients share folders at these ports of 127.0.0.1.
    Folders(Vec<u16>),
}

/// The line of one server process; closed when dropped.
#[derive(Debug)]
pub(crate) struct Link {
    events: mpsc::Receiver<Event>,
    status: StatusOf,
    tell: mpsc::Sender<Vec<u8>>,
    socket: net::UnixStream,
}

/// Asks one server process for its status.
#[derive(Clone, Debug)]
pub(crate) struct StatusOf(mpsc::Sender<oneshot::Sender<Value>>);

#[derive(Deserialize)]
struct Line {
    event: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    ports: Vec<u16>,
    #[serde(default)]
    access: Access,
}

impl Link {
    pub(super) fn open(socket: net::UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        let (reader, writer) = UnixStream::from_std(socket.try_clone()?)?.into_split();
        let (send_event, events) = mpsc::channel(EVENTS_WAITING_MAX);
        let (ask, questions) = mpsc::channel(WAITING_MAX);
        let (tell, lines) = mpsc::channel(WAITING_MAX);
        let reader = LineReader::new(reader, LINE_BYTES_MAX);
        let ours = socket.try_clone()?;
        tokio::spawn(async move {
            converse(reader, writer, send_event, questions, lines).await;
            // Duplicates of it stay open for a launcher in place of this one; the server is to see the end.
            let _ = ours.shutdown(Shutdown::Both);
        });
        Ok(Self {
            events,
            status: StatusOf(ask),
            tell,
            socket,
        })
    }

    /// This end of it, for a launcher in place of this one.
    pub(crate) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Gives the server another password. One that does not read any more does not get it, and neither lets anybody in.
    pub(crate) fn set_ticket(&self, ticket: &Ticket) -> io::Result<()> {
        let mut line = serde_json::to_value(ticket.told())?;
        line["request"] = "ticket".into();
        self.say(&line)
    }

    /// Lets the server tell its clients. One that does not read any more tells nobody.
    pub(crate) fn message(&self, text: &str) -> io::Result<()> {
        self.say(&serde_json::json!({ "request": "message", "text": text }))
    }

    fn say(&self, line: &Value) -> io::Result<()> {
        let mut line = serde_json::to_vec(line)?;
        line.push(b'\n');
        self.tell.try_send(line).map_err(io::Error::other)
    }

    /// The next event; none once the server has closed its end. May be cancelled.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// Asks this server, also from elsewhere.
    pub(crate) fn status(&self) -> StatusOf {
        self.status.clone()
    }
}

impl StatusOf {
    /// The server's status object; none if it has ended or does not answer in time.
    pub(crate) async fn get(&self) -> Option<Value> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(answer).ok()?;
        timeout(ANSWER_DEADLINE, answered).await.ok()?.ok()
    }
}

async fn converse(
    mut reader: LineReader<tokio::net::unix::OwnedReadHalf>,
    mut writer: OwnedWriteHalf,
    events: mpsc::Sender<Event>,
    mut questions: mpsc::Receiver<oneshot::Sender<Value>>,
    mut lines: mpsc::Receiver<Vec<u8>>,
) {
    let mut waiting: VecDeque<oneshot::Sender<Value>> = VecDeque::new();
    loop {
        tokio::select! {
            line = reader.next() => match line {
                Ok(Some(line)) => take(&line, &events, &mut waiting),
                // The end of the line, or nothing that could be one: this server is not heard any more.
                Ok(None) | Err(_) => return,
            },
            () = events.closed() => return,
            Some(line) = lines.recv() => {
                // Half a line cannot be taken back: whoever reads so slowly is not spoken to any more.
                if !matches!(timeout(ANSWER_DEADLINE, writer.write_all(&line)).await, Ok(Ok(()))) {
                    return;
                }
            }
            Some(answer) = questions.recv() => {
                waiting.retain(|waiting| !waiting.is_closed());
                let first = waiting.is_empty();
                if waiting.len() < WAITING_MAX {
                    waiting.push_back(answer);
                }
                // One question is under way for all who wait; a server that does not read never holds us.
                let asked = writer.write_all(b"{\"request\":\"status\"}\n");
                if first && timeout(ANSWER_DEADLINE, asked).await.is_err() {
                    waiting.clear();
                }
            }
        }
    }
}

fn take(line: &[u8], events: &mpsc::Sender<Event>, waiting: &mut VecDeque<oneshot::Sender<Value>>) {
    let Ok(Line {
        event,
        message,
        ports,
        access,
    }) = serde_json::from_slice(line)
    else {
        return;
    };
    let event = match &*event {
        "ready" => Event::Ready,
        "spent" => Event::Spent(access),
        "visit" => match serde_json::from_slice(line) {
            Ok(visit) => Event::Visit(visit),
            Err(_) => return,
        },
        "fatal" => Event::Fatal(message.replace(char::is_control, " ")),
        "folders" => Event::Folders(ports),
        "status" => {
            let status: Value = serde_json::from_slice(line).unwrap_or_default();
            for answer in waiting.drain(..) {
                let _ = answer.send(status.clone());
            }
            return;
        }
        // A newer server may say more.
        _ => return,
    };
    // A server that floods us loses events, not our memory.
    let _ = events.try_send(event);
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};

    use super::*;

    fn run<T>(test: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(test)
    }

    #[test]
    fn events_arrive_and_nonsense_is_passed_over() {
        run(async {
            let (ours, mut theirs) = net::UnixStream::pair().unwrap();
            let mut link = Link::open(ours).unwrap();
            theirs
                .write_all(b"{\"event\":\"new\"}\nrubbish\n{\"event\":\"ready\"}\n")
                .unwrap();
            theirs
                .write_all(b"{\"event\":\"fatal\",\"message\":\"a\\nb\"}\n")
                .unwrap();
            assert_eq!(link.next().await, Some(Event::Ready));
            assert_eq!(link.next().await, Some(Event::Fatal("a b".into())));
            drop(theirs);
            assert_eq!(link.next().await, None);
            assert_eq!(link.status().get().await, None);
        });
    }

    #[test]
    fn another_password_is_told_and_its_use_is_heard() {
        run(async {
            let (ours, mut theirs) = net::UnixStream::pair().unwrap();
            let mut link = Link::open(ours).unwrap();
            let ticket = Ticket::of(crate::ticket::NewTicket {
                password: "geheim".into(),
                expires_s: None,
                once: true,
                access: Access::Full,
            });
            link.set_ticket(&ticket.unwrap()).unwrap();
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            let mut line = String::new();
            BufReader::new(&theirs).read_line(&mut line).unwrap();
            let told: Value = serde_json::from_str(&line).unwrap();
            let wanted =
                serde_json::json!({"request": "ticket", "password": "geheim", "once": true});
            assert_eq!(told, wanted);
            theirs.write_all(b"{\"event\":\"spent\"}\n").unwrap();
            assert_eq!(link.next().await, Some(Event::Spent(Access::Full)));
        });
    }

    #[test]
    fn a_question_is_asked_once_and_answered_to_all() {
        run(async {
            let (ours, theirs) = net::UnixStream::pair().unwrap();
            let link = Link::open(ours).unwrap();
            let server = std::thread::spawn(move || {
                let mut lines = BufReader::new(theirs.try_clone().unwrap()).lines();
                assert_eq!(lines.next().unwrap().unwrap(), "{\"request\":\"status\"}");
                (&theirs)
                    .write_all(b"{\"event\":\"status\",\"clients\":[1,2]}\n")
                    .unwrap();
                lines.next().is_none()
            });
            let (status, again) = (link.status(), link.status());
            let (a, b) = tokio::join!(status.get(), again.get());
            assert_eq!(a.unwrap()["clients"][1], 2);
            assert!(b.is_some());
            drop((link, status, again));
            tokio::task::yield_now().await;
            assert!(server.join().unwrap(), "no second question came");
        });
    }

    #[test]
    fn a_line_without_end_ends_the_conversation() {
        run(async {
            let (ours, mut theirs) = net::UnixStream::pair().unwrap();
            let mut link = Link::open(ours).unwrap();
            let writer = std::thread::spawn(move || {
                let _ = theirs.write_all(&vec![b'x'; 2 * LINE_BYTES_MAX]);
            });
            assert_eq!(link.next().await, None);
            writer.join().unwrap();
        });
    }
}
