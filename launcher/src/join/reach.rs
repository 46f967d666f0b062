//! Reaching an X display that somebody else has started: who serves it is checked before it gets the user's cookie, and
//! what it can before anything is built on it.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use caraway_server::io::x11_display::{DisplayError, connect_through};
use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
use nix::unistd::geteuid;
use thiserror::Error;
use x11rb::connection::Connection;
use x11rb::errors::ReplyError;
use x11rb::protocol::damage::ConnectionExt as _;
use x11rb::protocol::shm::ConnectionExt as _;
use x11rb::protocol::xfixes::ConnectionExt as _;
use x11rb::protocol::xkb::ConnectionExt as _;
use x11rb::protocol::xproto::{ImageOrder, Screen, Setup, Window};
use x11rb::protocol::xtest::ConnectionExt as _;
use x11rb::protocol::{damage, shm, xfixes, xkb, xtest};
use x11rb::rust_connection::RustConnection;

/// Time for a display to answer; one that hangs is not joined.
const REACH_DEADLINE: Duration = Duration::from_secs(5);

/// Where X servers listen.
const SOCKETS: &str = "/tmp/.X11-unix";

/// The depth of screens that are shown, with four bytes for each pixel.
const DEPTH: u8 = 24;
const BITS_PER_PIXEL: u8 = 32;

/// Red, green and blue of such a pixel.
const MASKS: [u32; 3] = [0x00ff_0000, 0x0000_ff00, 0x0000_00ff];

/// Why a display cannot be joined.
#[derive(Debug, Error)]
pub(crate) enum ReachError {
    #[error("there is no display :{0} on this host")]
    None(u32),
    #[error("display :{0} belongs to somebody else")]
    SomebodyElses(u32),
    #[error("display :{0} does not let you in: {1}")]
    Refused(u32, DisplayError),
    #[error("display :{0} does not answer")]
    Silent(u32),
    #[error(
        "display :{number} has {depth} bits for each pixel's colour, and only displays with {DEPTH} can be joined"
    )]
    Depth { number: u32, depth: u8 },
    #[error("display :{0} keeps its pixels in another order than this host")]
    PixelOrder(u32),
    #[error("display :{number} lacks the extension {extension}, without which it cannot be joined")]
    Lacks {
        number: u32,
        extension: &'static str,
    },
    #[error("the system refused: {0}")]
    System(#[from] io::Error),
}

/// A display that can be joined, connected to.
#[derive(Debug)]
pub(crate) struct Foreign {
    pub(crate) connection: RustConnection,
    pub(crate) root: Window,
    /// Of the screen when it was reached, in pixels.
    pub(crate) width: u16,
    /// See `width`.
    pub(crate) height: u16,
}

/// Connects to display `number` with the cookie in the file `authority`, or with none.
///
/// # Errors
/// [`ReachError`]; a display that hangs is `Silent` after a while.
pub(crate) fn reach(number: u32, authority: Option<&Path>) -> Result<Foreign, ReachError> {
    let (tell, told) = mpsc::channel();
    let authority = authority.map(Path::to_path_buf);
    // Where the display hangs the thread does, until the process ends.
    thread::Builder::new().spawn(move || {
        let _ = tell.send(reach_blocking(number, authority.as_deref()));
    })?;
    told.recv_timeout(REACH_DEADLINE)
        .unwrap_or(Err(ReachError::Silent(number)))
}

fn reach_blocking(number: u32, authority: Option<&Path>) -> Result<Foreign, ReachError> {
    let socket = UnixStream::connect(Path::new(SOCKETS).join(format!("X{number}")))
        .map_err(|_| ReachError::None(number))?;
    let server = getsockopt(&socket, PeerCredentials).map_err(io::Error::from)?;
    // A display manager's server is root's. Anybody can make a name there that is free.
    if server.uid() != 0 && server.uid() != geteuid().as_raw() {
        return Err(ReachError::SomebodyElses(number));
    }
    let display = u16::try_from(number).map_err(|_| ReachError::None(number))?;
    let connection = connect_through(socket, display, authority)
        .map_err(|error| ReachError::Refused(number, error))?;
    let setup = connection.setup();
    let screen = setup.roots.first().ok_or(ReachError::None(number))?;
    check_pixels(number, setup, screen)?;
    let (root, width, height) = (screen.root, screen.width_in_pixels, screen.height_in_pixels);
    check_extensions(number, &connection)?;
    Ok(Foreign {
        connection,
        root,
        width,
        height,
    })
}

fn check_pixels(number: u32, setup: &Setup, screen: &Screen) -> Result<(), ReachError> {
    let depth = screen.root_depth;
    if depth != DEPTH {
        return Err(ReachError::Depth { number, depth });
    }
    let formats = &setup.pixmap_formats;
    let is_wide = formats
        .iter()
        .any(|format| format.depth == DEPTH && format.bits_per_pixel == BITS_PER_PIXEL);
    let mut visuals = screen
        .allowed_depths
        .iter()
        .flat_map(|depth| &depth.visuals);
    let is_rgb = visuals.any(|visual| {
        visual.visual_id == screen.root_visual
            && [visual.red_mask, visual.green_mask, visual.blue_mask] == MASKS
    });
    let own_order = match cfg!(target_endian = "little") {
        true => ImageOrder::LSB_FIRST,
        false => ImageOrder::MSB_FIRST,
    };
    match is_wide && is_rgb && setup.image_byte_order == own_order {
        true => Ok(()),
        false => Err(ReachError::PixelOrder(number)),
    }
}

/// Versions have to be told before extensions are used.
fn check_extensions(number: u32, x: &RustConnection) -> Result<(), ReachError> {
    let versions: [(&'static str, bool); 5] = [
        (
            damage::X11_EXTENSION_NAME,
            x.damage_query_version(1, 1)
                .is_ok_and(|asked| asked.reply().is_ok()),
        ),
        (shm::X11_EXTENSION_NAME, passes_descriptors(x)),
        (
            xfixes::X11_EXTENSION_NAME,
            x.xfixes_query_version(4, 0)
                .is_ok_and(|asked| asked.reply().is_ok()),
        ),
        (
            xkb::X11_EXTENSION_NAME,
            x.xkb_use_extension(1, 0)
                .is_ok_and(|asked| asked.reply().is_ok_and(|reply| reply.supported)),
        ),
        (
            xtest::X11_EXTENSION_NAME,
            x.xtest_get_version(2, 2)
                .is_ok_and(|asked| asked.reply().is_ok()),
        ),
    ];
    match versions.iter().find(|(_, is_there)| !is_there) {
        Some((extension, _)) => Err(ReachError::Lacks { number, extension }),
        None => Ok(()),
    }
}

/// Whether memory can be shared by descriptors, since version 1.2.
fn passes_descriptors(x: &RustConnection) -> bool {
    let version = x
        .shm_query_version()
        .map_err(ReplyError::from)
        .and_then(x11rb::cookie::Cookie::reply);
    version.is_ok_and(|version| (1, 2) <= (version.major_version, version.minor_version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_display_that_is_not_there_is_named() {
        let error = reach(59_534, None).unwrap_err();
        assert_eq!(error.to_string(), "there is no display :59534 on this host");
    }
}
