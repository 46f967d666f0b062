//! One attachment to the driver in the X server: its memory, its sockets, its wake-ups.
//!
//! ```text
//! driver  = Driver::connect(path).await                       hello exchanged, memory mapped
//! loop:
//!   observed = Observed::now(driver.memory())                 before reading anything
//!   consumer.drain(...), Mode/Monitors/CursorState::read(...), driver.frame_buffer(&mode)
//!   driver.arm_for_record(&observed) == Changed?              then go round again
//!   driver.next_event().await                                 Wake, FrameBuffer, Leds or Gone
//! ```
//!
//! Nothing here trusts the driver or waits for it: sends that it does not take are queued within limits, messages
//! and wake-ups that nobody asked for are counted, and whatever breaks the contract ends the attachment with one
//! sentence. The desktop lives on; a new attachment takes everything as damaged.

mod attach;
mod flood_gate;
mod input_door;
#[cfg(test)]
mod tests;

pub use attach::AttachError;
pub use input_door::InputDoor;

use std::cell::Cell;
use std::io::{Error as IoError, ErrorKind};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::base::limits;
use crate::os::{EventFd, FrameBuffer, MemoryError, PeerPage, ReadOnlyMapping};
use crate::os::{Outlet, ReceiveError, Received, SeqPacket, Watched};
use crate::ring::control::decode_leds;
use crate::ring::{Armed, ControlError, ControlMessage, Head, InputQueue, InputQueueFull};
use crate::ring::{InputRecord, Leds, Mode, ModeError, Observed, Wait, layout, state, wake};
use flood_gate::FloodGate;

/// Frame buffers kept: the one that is shown, and the next, whose message may arrive before its mode.
const FRAME_BUFFERS_KEPT: usize = 2;

/// An attachment. Dropping it closes the sockets, upon which the driver releases every held key and button.
#[derive(Debug)]
pub struct Driver {
    control: Watched<SeqPacket>,
    input: Rc<Watched<SeqPacket>>,
    wake: Watched<EventFd>,
    ring: Arc<ReadOnlyMapping>,
    peer: PeerPage,
    /// By id, the newest last.
    frame_buffers: Vec<(u32, Arc<ReadOnlyMapping>)>,
    queue: InputQueue,
    /// The queue holds what was refused: nothing may overtake it.
    is_blocked: Rc<Cell<bool>>,
    /// While the queue holds what was refused.
    input_outlet: Option<Watched<Outlet>>,
    /// Asked for and not sent yet; a newer one replaces it.
    monitors: Option<ControlMessage>,
    /// While `monitors` were refused.
    control_outlet: Option<Watched<Outlet>>,
    armed: bool,
    gate: FloodGate,
}

/// What [`Driver::next_event`] waits for.
#[derive(Debug)]
pub enum DriverEvent {
    /// What was armed for is there.
    Wake,
    /// A frame buffer arrived: a mode that named it can be shown now.
    FrameBuffer,
    /// The lock LEDs changed.
    Leds(Leds),
    /// The driver took input that had waited: there is [`Driver::input_room`] again.
    InputTaken,
    /// The attachment is over; drop it.
    Gone(DriverError),
}

/// Why an attachment ended.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// The X server has ended, or closed its side.
    #[error("the X server has gone")]
    Closed,
    /// `CARAWAY_MSG_REFUSED`; so an older attachment learns of a newer.
    #[error("the driver ended the attachment: {0}")]
    Refused(String),
    /// A message that breaks the contract.
    #[error("the driver sent a wrong message: {0}")]
    Message(#[from] ControlError),
    /// A message that belongs elsewhere.
    #[error("the driver sent a message out of place")]
    OutOfPlace,
    /// A datagram too long, or with descriptors that cannot be taken.
    #[error("the driver's message cannot be received: {0}")]
    Receive(ReceiveError),
    /// A frame buffer that cannot be mapped.
    #[error("the driver sent a frame buffer that cannot be used: {0}")]
    FrameBuffer(#[from] MemoryError),
    /// It does not read its input.
    #[error(transparent)]
    InputStalled(#[from] InputQueueFull),
    /// More wake-ups and messages than anyone asked for.
    #[error(
        "the driver sends more than {} wake-ups and messages a second",
        limits::DRIVER_UNASKED_MAX
    )]
    Flood,
    /// A socket failed.
    #[error("talking to the driver: {0}")]
    Socket(#[from] IoError),
}

/// What a wait found ready.
enum Ready {
    Wake,
    ControlIn,
    ControlOut,
    InputIn,
    InputOut,
}

impl Driver {
    /// Attaches to the driver that listens at `path`, within [`limits::DRIVER_ATTACH_DEADLINE`].
    pub async fn connect(path: &Path) -> Result<Self, AttachError> {
        let deadline = Duration::from_micros(limits::DRIVER_ATTACH_DEADLINE.0);
        attach::connect(path, deadline).await
    }

    /// The ring memory, for [`crate::ring`]'s readers.
    pub fn memory(&self) -> &ReadOnlyMapping {
        &self.ring
    }

    /// The ring memory, to be kept beside the attachment.
    pub fn shared_memory(&self) -> Arc<ReadOnlyMapping> {
        Arc::clone(&self.ring)
    }

    /// The pixels of a mode; `None` while its frame buffer has not arrived ([`DriverEvent::FrameBuffer`] tells).
    pub fn frame_buffer(&self, mode: &Mode) -> Result<Option<FrameBuffer>, ModeError> {
        let named = self
            .frame_buffers
            .iter()
            .rev()
            .find(|(id, _)| *id == mode.framebuffer_id);
        named
            .map(|(_, mapping)| FrameBuffer::new(Arc::clone(mapping), mode))
            .transpose()
    }

    /// Asks for a wake-up at the next change, unless something differs from what was `observed` before reading.
    pub fn arm_for_record(&mut self, observed: &Observed) -> Armed {
        let changed = || Observed::now(&*self.ring) != *observed;
        let armed = wake::arm(&self.peer, Wait::Record, changed);
        self.armed = armed == Armed::Waiting;
        armed
    }

    /// Asks for a wake-up when X has served its clients, unless it has. X may be busy for long: wait with a deadline.
    pub fn arm_for_idle(&mut self) -> Armed {
        let armed = wake::arm(&self.peer, Wait::Idle, || state::is_idle(&*self.ring));
        self.armed = armed == Armed::Waiting;
        armed
    }

    /// Takes the request back: changes wake nobody until the next arming.
    pub fn disarm(&mut self) {
        wake::disarm(&self.peer);
        self.armed = false;
    }

    /// The short way for input.
    pub fn input_door(&self) -> InputDoor {
        InputDoor {
            socket: Rc::downgrade(&self.input),
            is_blocked: Rc::clone(&self.is_blocked),
        }
    }

    /// Records that [`send_input`](Self::send_input) can take now without losing the attachment.
    pub fn input_room(&self) -> usize {
        limits::INPUT_QUEUE_MAX - self.queue.len().min(limits::INPUT_QUEUE_MAX)
    }

    /// Sends input, or keeps it in order until the driver takes it. An error ends the attachment.
    pub fn send_input(&mut self, records: &[InputRecord]) -> Result<(), DriverError> {
        for batch in records.chunks(layout::INPUT_BATCH_MAX) {
            for record in batch {
                self.queue.push(*record)?;
            }
            self.flush_input()?;
        }
        Ok(())
    }

    /// Asks for these outputs at `dpi` dots per inch; those not named are switched off. The mode and monitors blocks
    /// tell what came of it.
    pub fn set_monitors(&mut self, heads: &[Head], dpi: u16) -> Result<(), DriverError> {
        let heads = heads.iter().take(limits::MONITORS_MAX).copied().collect();
        let dpi = dpi.into();
        self.monitors = Some(ControlMessage::SetMonitors { heads, dpi });
        self.flush_monitors()
    }

    /// Waits for what the driver has to say. May be dropped at any time without losing anything.
    pub async fn next_event(&mut self) -> DriverEvent {
        loop {
            let event = match self.ready().await {
                Ok(Ready::Wake) => self.take_wake(),
                Ok(Ready::ControlIn) => self.receive_control(),
                Ok(Ready::ControlOut) => self.flush_monitors().map(|()| None),
                Ok(Ready::InputIn) => self.receive_input(),
                Ok(Ready::InputOut) => self.flush_waiting_input(),
                Err(error) => Err(error.into()),
            };
            match event {
                Ok(Some(event)) => return event,
                Ok(None) => {}
                Err(error) => return DriverEvent::Gone(error),
            }
        }
    }

    /// Waits for any of the descriptors. Wake-ups are always awaited, armed or not, so that a flood is seen.
    async fn ready(&self) -> Result<Ready, IoError> {
        tokio::select! {
            biased;
            ready = self.control.readable() => ready.map(|mut guard| {
                guard.retain_ready();
                Ready::ControlIn
            }),
            ready = self.wake.readable() => ready.map(|mut guard| {
                guard.clear_ready();
                Ready::Wake
            }),
            ready = self.input.readable() => ready.map(|mut guard| {
                guard.retain_ready();
                Ready::InputIn
            }),
            ready = room(self.control_outlet.as_ref()) => ready.map(|()| Ready::ControlOut),
            ready = room(self.input_outlet.as_ref()) => ready.map(|()| Ready::InputOut),
        }
    }

    fn take_wake(&mut self) -> Result<Option<DriverEvent>, DriverError> {
        if !self.armed {
            self.count_unasked()?;
            return Ok(None);
        }
        self.armed = false;
        Ok(Some(DriverEvent::Wake))
    }

    fn receive_control(&mut self) -> Result<Option<DriverEvent>, DriverError> {
        // A byte more than the longest message, so that a longer one shows.
        let mut buffer = [0; ControlMessage::SIZE_MAX + 1];
        let Some((length, descriptors)) = receive(&self.control, &mut buffer)? else {
            return Ok(None);
        };
        self.count_unasked()?;
        let message = buffer.get(..length).unwrap_or_default();
        match ControlMessage::decode(message)? {
            ControlMessage::Refused(text) => Err(DriverError::Refused(text)),
            ControlMessage::FrameBuffer { id, size } => {
                let [memfd] = descriptors.as_slice() else {
                    return Err(DriverError::OutOfPlace);
                };
                if limits::FRAME_BUFFER_BYTES_MAX < size {
                    let expected = limits::FRAME_BUFFER_BYTES_MAX;
                    return Err(MemoryError::Size {
                        actual: size,
                        expected,
                    }
                    .into());
                }
                self.keep_frame_buffer(id, ReadOnlyMapping::new(memfd, size)?);
                Ok(Some(DriverEvent::FrameBuffer))
            }
            ControlMessage::Hello(_) | ControlMessage::SetMonitors { .. } => {
                Err(DriverError::OutOfPlace)
            }
        }
    }

    fn keep_frame_buffer(&mut self, id: u32, mapping: ReadOnlyMapping) {
        self.frame_buffers.retain(|(other, _)| *other != id);
        self.frame_buffers.push((id, Arc::new(mapping)));
        let old = self.frame_buffers.len().saturating_sub(FRAME_BUFFERS_KEPT);
        self.frame_buffers.drain(..old);
    }

    fn receive_input(&mut self) -> Result<Option<DriverEvent>, DriverError> {
        let mut buffer = [0; layout::INPUT_BATCH_MAX * layout::input::SIZE + 1];
        let Some((length, _descriptors)) = receive(&self.input, &mut buffer)? else {
            return Ok(None);
        };
        // Not counted: lights follow the keys that clients press, as fast as X takes them.
        let leds = decode_leds(buffer.get(..length).unwrap_or_default())?;
        Ok(leds.map(DriverEvent::Leds))
    }

    fn flush_waiting_input(&mut self) -> Result<Option<DriverEvent>, DriverError> {
        let before = self.queue.len();
        self.flush_input()?;
        Ok((self.queue.len() < before).then_some(DriverEvent::InputTaken))
    }

    fn flush_input(&mut self) -> Result<(), DriverError> {
        while !self.queue.is_empty() {
            if !send(&self.input, &self.queue.datagram())? {
                self.queue.refused();
                self.is_blocked.set(true);
                watch_for_room(&self.input, &mut self.input_outlet)?;
                return Ok(());
            }
            self.queue.sent();
        }
        self.is_blocked.set(false);
        self.input_outlet = None;
        Ok(())
    }

    fn flush_monitors(&mut self) -> Result<(), DriverError> {
        if let Some(message) = self.monitors.take()
            && !send(&self.control, &message.encode())?
        {
            self.monitors = Some(message);
            return watch_for_room(&self.control, &mut self.control_outlet);
        }
        self.control_outlet = None;
        Ok(())
    }

    fn count_unasked(&mut self) -> Result<(), DriverError> {
        if self.gate.admit(Instant::now()) {
            Ok(())
        } else {
            Err(DriverError::Flood)
        }
    }
}

/// Waits until the socket has room; for ever while nobody waits for that.
async fn room(outlet: Option<&Watched<Outlet>>) -> Result<(), IoError> {
    match outlet {
        Some(outlet) => outlet.writable().await.map(|mut guard| guard.clear_ready()),
        None => std::future::pending().await,
    }
}

/// Sees to it that room in the socket is noticed from now on.
fn watch_for_room(
    socket: &Watched<SeqPacket>,
    outlet: &mut Option<Watched<Outlet>>,
) -> Result<(), DriverError> {
    if outlet.is_none() {
        *outlet = Some(Watched::new(socket.get_ref().outlet()?)?);
    }
    Ok(())
}

/// Sends a datagram; `false` while the driver takes none.
fn send(socket: &Watched<SeqPacket>, datagram: &[u8]) -> Result<bool, DriverError> {
    match socket.get_ref().send(datagram) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::BrokenPipe | ErrorKind::ConnectionReset
            ) =>
        {
            Err(DriverError::Closed)
        }
        Err(error) => Err(error.into()),
    }
}

/// Receives a datagram: its length and descriptors; `None` when there is none.
fn receive(
    socket: &Watched<SeqPacket>,
    buffer: &mut [u8],
) -> Result<Option<(usize, Vec<std::os::fd::OwnedFd>)>, DriverError> {
    let mut failure = None;
    let received = socket.try_io(tokio::io::Interest::READABLE, |socket| {
        socket.receive(buffer).map_err(|error| {
            let kind = match &error {
                ReceiveError::WouldBlock => ErrorKind::WouldBlock,
                _ => ErrorKind::Other,
            };
            failure = Some(error);
            IoError::from(kind)
        })
    });
    match (received, failure) {
        (
            Ok(Received::Datagram {
                length,
                descriptors,
            }),
            _,
        ) => Ok(Some((length, descriptors))),
        (Ok(Received::Closed), _) => Err(DriverError::Closed),
        (Err(_), Some(ReceiveError::System(error)))
            if error.kind() == ErrorKind::ConnectionReset =>
        {
            Err(DriverError::Closed)
        }
        (Err(error), _) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        (Err(_), Some(error)) => Err(DriverError::Receive(error)),
        (Err(error), None) => Err(error.into()),
    }
}
