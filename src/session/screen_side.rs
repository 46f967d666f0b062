//! The driver's side of a session: what X draws, shows and presses.
//!
//! Whoever is attached to the driver calls [`record`](Session::record) for everything in the ring,
//! [`set_mode`](Session::set_mode) and its siblings for what changed beside it, and
//! [`refresh`](Session::refresh) when the frame clock says so.

use super::channel::{Channel, Role};
use super::desktop::{Event, Session};
use crate::base::{Micros, Size};
use crate::ring::{CursorImage, CursorState, Leds, Monitors, PixelSource, Record};

/// While clients take no frames the screen is read this often all the same, if something is drawn: whether it is a
/// video shows only by its frames, and who cannot take images as fast as they come is who needs streams most.
pub(super) const WATCH_INTERVAL: Micros = Micros::from_millis(120);

impl Session {
    /// Whether anybody is connected who would see a drawing.
    pub fn is_watched(&self) -> bool {
        !self.channels.is_empty()
    }

    /// Whether a display could take a frame now, or the screen has not been looked at for 120 ms.
    pub fn wants_frame(&self, now: Micros) -> bool {
        let overdue = WATCH_INTERVAL <= now.since(self.framed_at);
        let watches = |channel: &Channel| match &channel.role {
            Role::Display(display) => overdue && display.is_live(),
            _ => false,
        };
        let mut channels = self.channels.values();
        channels.any(|channel| channel.wants_frame() || watches(channel))
    }

    /// Whether a display waits for its first frame, which is not to be paced.
    pub fn awaits_first_frame(&self) -> bool {
        self.channels.values().any(|channel| match &channel.role {
            Role::Display(display) => display.awaits_frame(),
            _ => false,
        })
    }

    /// Whether there is something that no frame has shown.
    pub fn is_touched(&self) -> bool {
        self.picture.screen.is_touched()
    }

    /// One record of the ring.
    pub fn record(&mut self, record: &Record) {
        self.picture.screen.record(record);
    }

    /// Records were lost, or nobody watched: everything may have changed.
    pub fn damage_all(&mut self) {
        self.picture.screen.damage_all();
    }

    /// The mode: another size lets every display start anew.
    pub fn set_mode(&mut self, size: Size) {
        if size == self.picture.size() {
            return;
        }
        self.picture = super::picture::Picture::new(size);
        for (key, channel) in &mut self.channels {
            if let Channel {
                role: Role::Display(display),
                outbox,
                ..
            } = channel
            {
                display.resize(&self.picture, outbox);
                self.events.push(Event::Wake(*key));
            }
        }
    }

    /// The monitors on the screen.
    pub fn set_monitors(&mut self, monitors: Monitors) {
        self.agent.shows(&monitors.heads);
        self.deliver_agent();
        if !self.picture.set_monitors(monitors) {
            return;
        }
        for (key, channel) in &mut self.channels {
            if let Role::Display(display) = &mut channel.role {
                display.monitors_changed();
                self.events.push(Event::Wake(*key));
            }
        }
    }

    /// The pointer moved, was hidden or shown. Whether its shape is to be read and handed to
    /// [`set_cursor_image`](Self::set_cursor_image).
    pub fn set_cursor(&mut self, state: &CursorState) -> bool {
        let shape_wanted = self.cursor.update(state);
        self.wake_cursors();
        shape_wanted
    }

    /// The pointer's shape.
    pub fn set_cursor_image(&mut self, image: &CursorImage) {
        self.cursor.reshape(image);
        self.wake_cursors();
    }

    /// The keyboard's lock lights.
    pub fn set_leds(&mut self, leds: Leds) {
        if !self.input.keyboard.set_leds(leds) {
            return;
        }
        for (key, channel) in &mut self.channels {
            if let Role::Inputs(inputs) = &mut channel.role {
                inputs.leds_changed(leds);
                self.events.push(Event::Wake(*key));
            }
        }
    }

    fn wake_cursors(&mut self) {
        let is_cursor = |channel: &Channel| matches!(channel.role, Role::Cursor(_));
        let cursors = self
            .channels
            .iter()
            .filter(|(_, channel)| is_cursor(channel));
        self.events
            .extend(cursors.map(|(key, _)| Event::Wake(*key)));
    }

    /// Reads what was touched, at `now`, and hands the frame to every display.
    pub fn refresh(&mut self, now: Micros, source: &dyn PixelSource) {
        let frame = self.picture.screen.refresh(now, source);
        let shadow = self.picture.screen.shadow();
        self.picture.detector.observe(now, &frame, shadow);
        self.frames += 1;
        self.framed_at = now;
        for (key, channel) in &mut self.channels {
            if let Role::Display(display) = &mut channel.role {
                display.frame(now, &frame, &self.picture);
                self.events.push(Event::Wake(*key));
            }
        }
    }
}
