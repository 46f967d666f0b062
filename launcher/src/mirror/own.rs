//! The desktop's own display as the mirror uses it: its root window is the canvas, and its screen is as large as the
//! display that is shown. There is no other program on it that could be in the way.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use x11rb::connection::Connection;
use x11rb::protocol::randr::{ConnectionExt as _, Mode, ModeFlag, ModeInfo, Rotation};
use x11rb::protocol::render::{
    ConnectionExt as _, CreatePictureAux, PictType, Pictformat, Pictforminfo,
};
use x11rb::protocol::shm::{ConnectionExt as _, Seg};
use x11rb::protocol::xfixes::GetCursorImageReply;
use x11rb::protocol::xkb;
use x11rb::protocol::xkb::ConnectionExt as _;
use x11rb::protocol::xproto::{
    ChangeWindowAttributesAux, ConnectionExt as _, CreateGCAux, Cursor, Gcontext, ImageFormat,
    ModMask, Window,
};
use x11rb::rust_connection::RustConnection;

use super::Failure;
use super::pieces::{PIXELS_MAX, Piece};
use crate::xorg::config::SIDES;

/// Pixels of a side of the largest cursor that is shown; one that is larger leaves the one before.
const CURSOR_SIDE_MAX: u16 = 256;

const BYTES_PER_PIXEL: u32 = 4;
const DEPTH: u8 = 24;
const DEPTH_WITH_ALPHA: u8 = 32;

/// Dots per inch of a screen in millimetres, as desktops have them.
const DPI: u32 = 96;

/// The keyboard, as XKB calls it.
pub(super) const CORE_KEYBOARD: u16 = 0x100;

/// Of `mask` the locks that are made the same: Caps Lock, and Num Lock, which is the second modifier wherever there is
/// XKB.
pub(super) fn locks_of(mask: ModMask) -> ModMask {
    mask & (ModMask::LOCK | ModMask::M2)
}

/// The display, connected to.
pub(super) struct Own {
    connection: RustConnection,
    root: Window,
    gc: Gcontext,
    segment: Seg,
    size: (u16, u16),
    /// A mode that was made here, for a size that the output did not have.
    mode: Option<Mode>,
    with_alpha: Option<Pictformat>,
}

/// Memory for [`PIXELS_MAX`] pixels. Its size is sealed: nobody who has it can make it shorter under another.
pub(super) fn shared_memory() -> io::Result<OwnedFd> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let memory = memfd_create(c"caraway-mirror", flags)?;
    let file = File::from(memory);
    file.set_len(u64::from(PIXELS_MAX) * u64::from(BYTES_PER_PIXEL))?;
    let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(file.into())
}

/// Bytes before a piece in that memory.
pub(super) const fn offset_bytes(piece: &Piece) -> u32 {
    piece.offset * BYTES_PER_PIXEL
}

impl Own {
    /// Connects to the display of the environment, and gives it the memory where pixels will be.
    pub(super) fn connect(memory: OwnedFd) -> Result<Self, Failure> {
        let (connection, screen) = RustConnection::connect(None).map_err(Failure::OwnConnect)?;
        let screen = connection.setup().roots.get(screen);
        let screen = screen.ok_or(Failure::OwnEnded)?;
        let (root, size) = (
            screen.root,
            (screen.width_in_pixels, screen.height_in_pixels),
        );
        connection.xkb_use_extension(1, 0)?.reply()?;
        connection.randr_query_version(1, 3)?.reply()?;
        let formats = connection.render_query_pict_formats()?.reply()?.formats;
        let with_alpha = formats.iter().find(|format| is_argb(format));
        let with_alpha = with_alpha.map(|format| format.id);
        let gc = connection.generate_id()?;
        let quiet = CreateGCAux::new().graphics_exposures(0);
        connection.create_gc(gc, root, &quiet)?;
        let segment = connection.generate_id()?;
        connection.shm_attach_fd(segment, memory, true)?.check()?;
        Ok(Self {
            connection,
            root,
            gc,
            segment,
            size,
            mode: None,
            with_alpha,
        })
    }

    /// Paints pieces whose pixels are in the memory; they are painted when this returns.
    pub(super) fn paint(&self, pieces: &[Piece]) -> Result<(), Failure> {
        for piece in pieces {
            let place = |at: u16| i16::try_from(at).unwrap_or(i16::MAX);
            let Piece {
                x,
                y,
                width,
                height,
                ..
            } = *piece;
            self.connection.shm_put_image(
                self.root,
                self.gc,
                width,
                height,
                0,
                0,
                width,
                height,
                place(x),
                place(y),
                DEPTH,
                ImageFormat::Z_PIXMAP.into(),
                false,
                self.segment,
                offset_bytes(piece),
            )?;
        }
        self.settle()
    }

    /// Waits until all is done that was asked for.
    fn settle(&self) -> Result<(), Failure> {
        self.connection.get_input_focus()?.reply()?;
        // Nothing is asked for that could come to anything; errors of what was not waited for are its end.
        while self.connection.poll_for_event()?.is_some() {}
        Ok(())
    }

    /// Makes the screen as large as that.
    pub(super) fn resize(&mut self, width: u16, height: u16) -> Result<(), Failure> {
        if self.size == (width, height) {
            return Ok(());
        }
        if !SIDES.contains(&u32::from(width)) || !SIDES.contains(&u32::from(height)) {
            return Err(Failure::Size(width, height));
        }
        let x = &self.connection;
        let resources = x.randr_get_screen_resources_current(self.root)?.reply()?;
        let first = |ids: &[u32]| ids.first().copied().ok_or(Failure::OwnEnded);
        let (crtc, output) = (first(&resources.crtcs)?, first(&resources.outputs)?);
        let outputs = x.randr_get_output_info(output, resources.config_timestamp)?;
        let offered = outputs.reply()?.modes;
        let known = resources.modes.iter().find(|mode| {
            (mode.width, mode.height) == (width, height) && offered.contains(&mode.id)
        });
        let made = match known {
            Some(_) => None,
            None => {
                let name = format!("mirror-{width}x{height}");
                let info = mode_info(width, height, name.len());
                let mode = x.randr_create_mode(self.root, info, name.as_bytes())?;
                let mode = mode.reply()?.mode;
                x.randr_add_output_mode(output, mode)?.check()?;
                Some(mode)
            }
        };
        let mode = known
            .map(|mode| mode.id)
            .or(made)
            .ok_or(Failure::OwnEnded)?;
        // The screen has to hold what is shown at each step.
        let (old_width, old_height) = self.size;
        self.set_screen(old_width.max(width), old_height.max(height))?;
        let set = x.randr_set_crtc_config(
            crtc,
            x11rb::CURRENT_TIME,
            resources.config_timestamp,
            0,
            0,
            mode,
            Rotation::ROTATE0,
            &[output],
        )?;
        set.reply()?;
        self.set_screen(width, height)?;
        if let Some(old) = self.mode.take() {
            x.randr_delete_output_mode(output, old)?;
            x.randr_destroy_mode(old)?;
        }
        self.mode = made;
        self.size = (width, height);
        self.settle()
    }

    fn set_screen(&self, width: u16, height: u16) -> Result<(), Failure> {
        let millimetres = |pixels: u16| (u32::from(pixels) * 254 / (DPI * 10)).max(1);
        let set = self.connection.randr_set_screen_size(
            self.root,
            width,
            height,
            millimetres(width),
            millimetres(height),
        )?;
        Ok(set.check()?)
    }

    /// Shows another cursor.
    pub(super) fn set_cursor(&self, image: &GetCursorImageReply) -> Result<(), Failure> {
        let Some(with_alpha) = self.with_alpha else {
            return Ok(());
        };
        let (width, height) = (image.width, image.height);
        let sides = 1..=CURSOR_SIDE_MAX;
        let pixels = usize::from(width) * usize::from(height);
        if !sides.contains(&width) || !sides.contains(&height) || image.cursor_image.len() != pixels
        {
            return Ok(());
        }
        let x = &self.connection;
        let bytes: Vec<u8> = image
            .cursor_image
            .iter()
            .flat_map(|pixel| pixel.to_ne_bytes())
            .collect();
        let (pixmap, gc, picture, cursor): (u32, u32, u32, Cursor) = (
            x.generate_id()?,
            x.generate_id()?,
            x.generate_id()?,
            x.generate_id()?,
        );
        x.create_pixmap(DEPTH_WITH_ALPHA, pixmap, self.root, width, height)?;
        x.create_gc(gc, pixmap, &CreateGCAux::new())?;
        x.put_image(
            ImageFormat::Z_PIXMAP,
            pixmap,
            gc,
            width,
            height,
            0,
            0,
            0,
            DEPTH_WITH_ALPHA,
            &bytes,
        )?;
        x.render_create_picture(picture, pixmap, with_alpha, &CreatePictureAux::new())?;
        let spot = |at: u16, side: u16| at.min(side - 1);
        x.render_create_cursor(
            cursor,
            picture,
            spot(image.xhot, width),
            spot(image.yhot, height),
        )?;
        let shown = ChangeWindowAttributesAux::new().cursor(cursor);
        x.change_window_attributes(self.root, &shown)?;
        // The window keeps what it shows.
        x.free_cursor(cursor)?;
        x.render_free_picture(picture)?;
        x.free_gc(gc)?;
        x.free_pixmap(pixmap)?;
        self.settle()
    }

    /// Locks the keys of [`locks_of`] that are in `locked`, and unlocks the others.
    pub(super) fn set_locks(&self, locked: ModMask) -> Result<(), Failure> {
        self.connection.xkb_latch_lock_state(
            CORE_KEYBOARD,
            locks_of(ModMask::from(!0_u16)),
            locks_of(locked),
            false,
            xkb::Group::M1,
            ModMask::default(),
            false,
            0,
        )?;
        self.settle()
    }
}

/// The format of cursors: red, green, blue and alpha, each a byte, in the order of a pixel.
fn is_argb(format: &Pictforminfo) -> bool {
    let direct = &format.direct;
    let shifts = [
        direct.alpha_shift,
        direct.red_shift,
        direct.green_shift,
        direct.blue_shift,
    ];
    format.type_ == PictType::DIRECT
        && format.depth == DEPTH_WITH_ALPHA
        && shifts == [24, 16, 8, 0]
        && direct.alpha_mask == 0xff
}

/// A mode of that size; nothing is programmed by it, so that the rest only has to make sense.
fn mode_info(width: u16, height: u16, name_len: usize) -> ModeInfo {
    ModeInfo {
        id: 0,
        width,
        height,
        dot_clock: (u32::from(width) + 160) * (u32::from(height) + 32) * 30,
        hsync_start: width + 48,
        hsync_end: width + 80,
        htotal: width + 160,
        hskew: 0,
        vsync_start: height + 3,
        vsync_end: height + 13,
        vtotal: height + 32,
        name_len: u16::try_from(name_len).unwrap_or_default(),
        mode_flags: ModeFlag::default(),
    }
}
