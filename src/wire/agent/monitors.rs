//! What a client wants of the screen: a monitor for each of its windows, and how it should look.

use crate::base::{ByteReader, ByteWriter};
use crate::wire::field::{wire_flags, wire_struct};
use crate::wire::{Decode, Encode, WireError};

wire_flags! {
    /// `VD_AGENT_CONFIG_MONITORS_FLAG_...`.
    MonitorsFlags(u32) {
        /// Places are meant.
        USE_POSITION = 0,
        /// Physical sizes follow.
        PHYSICAL_SIZE = 1,
    }
}

/// One monitor of a MONITORS_CONFIG. A width and height of 0 switch it off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MonitorConfig {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Bits of a pixel.
    pub depth: u32,
    /// Place of its left edge, in pixels.
    pub x: i32,
    /// Place of its upper edge, in pixels.
    pub y: i32,
    /// Width and height in millimetres, where the client tells them.
    pub physical_mm: Option<(u16, u16)>,
}

/// `VD_AGENT_MONITORS_CONFIG` (2). Its number of monitors is only bounded by its size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MonitorsConfig {
    /// What of it is meant.
    pub flags: MonitorsFlags,
    /// By number.
    pub monitors: Vec<MonitorConfig>,
}

impl Encode for MonitorsConfig {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        writer.u32(u32::try_from(self.monitors.len()).unwrap_or(u32::MAX));
        self.flags.encode(writer);
        for monitor in &self.monitors {
            writer.u32(monitor.height);
            writer.u32(monitor.width);
            writer.u32(monitor.depth);
            writer.i32(monitor.x);
            writer.i32(monitor.y);
        }
        if self.flags.contains(MonitorsFlags::PHYSICAL_SIZE) {
            for monitor in &self.monitors {
                let (width, height) = monitor.physical_mm.unwrap_or_default();
                writer.u16(height);
                writer.u16(width);
            }
        }
    }
}

impl<'a> Decode<'a> for MonitorsConfig {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        let count = reader.u32()?;
        let flags = MonitorsFlags::decode(reader)?;
        let mut monitors = Vec::new();
        for _ in 0..count {
            let (height, width, depth) = (reader.u32()?, reader.u32()?, reader.u32()?);
            monitors.push(MonitorConfig {
                width,
                height,
                depth,
                x: reader.i32()?,
                y: reader.i32()?,
                physical_mm: None,
            });
        }
        if flags.contains(MonitorsFlags::PHYSICAL_SIZE) {
            for monitor in &mut monitors {
                let (height, width) = (reader.u16()?, reader.u16()?);
                // spice-gtk tells 0 where it knows nothing.
                monitor.physical_mm = (width != 0 && height != 0).then_some((width, height));
            }
        }
        Ok(Self { flags, monitors })
    }
}

wire_struct! {
    /// `VD_AGENT_DISPLAY_CONFIG` (5): bits that ask for a plainer desktop. Not announced, so not sent by spice-gtk.
    DisplayConfig {
        /// No wallpaper (1), no smooth fonts (2), no animation (4), use `depth` (8).
        flags: u32,
        /// Bits of a pixel.
        depth: u32,
    }
}
