//! X and the driver: what is drawn, and what is told of it.

use super::Stage;
use crate::base::script::Script;
use crate::base::{Point, Rect, Size};
use crate::ring::{CursorImage, CursorState, Head, Leds, Monitors, PixelSource, Record};

/// The frame buffer.
#[derive(Debug)]
pub(super) struct Painted {
    pub(super) size: Size,
    pub(super) pixels: Vec<u32>,
}

impl PixelSource for Painted {
    fn read_row(&self, y: u32, x: u32, out: &mut [u32]) {
        for (place, column) in out.iter_mut().zip(x..) {
            let inside = column < self.size.width && y < self.size.height;
            let at = (y * self.size.width + column) as usize;
            // The top byte is anything.
            *place = if inside {
                self.pixels[at] | 0xab00_0000
            } else {
                0
            };
        }
    }
}

impl Stage {
    /// X draws, and tells of it rightly, wrongly or not at all.
    pub(super) fn draw(&mut self, script: &mut Script<'_>) {
        let rect = self.rect(script);
        let (how, value) = (script.u8(), script.u32() & 0x00ff_ffff);
        let size = self.screen.size;
        if rect.is_empty() {
            return;
        }
        let from = self
            .rect(script)
            .intersect(&rect.translate(Point::new(-rect.left, -rect.top)));
        let before = self.screen.pixels.clone();
        for y in rect.top..rect.bottom {
            for x in rect.left..rect.right {
                let at = |x: i32, y: i32| (y * size.width.cast_signed() + x) as usize;
                self.screen.pixels[at(x, y)] = match how & 3 {
                    0 => value,
                    1 => value ^ (x.cast_unsigned().wrapping_mul(value) >> 7) & 0x00ff_ffff,
                    2 => value ^ ((x / 5 + y / 7).cast_unsigned() * 0x33),
                    _ => before[at(x - rect.left, y - rect.top)],
                };
            }
        }
        let true_record = match how & 3 {
            0 => Record::Fill { rect, color: value },
            3 => Record::CopyBits {
                rect,
                source: Point::default(),
            },
            _ => Record::Damage(rect),
        };
        self.session.record(&true_record);
        match how >> 2 & 3 {
            1 => self.session.record(&Record::Damage(rect)),
            2 if !from.is_empty() => {
                // A lie about what is there: hints need not be true, as long as they say where.
                let source = Point::default();
                self.session
                    .record(&Record::CopyBits { rect: from, source });
            }
            3 if !from.is_empty() => self.session.record(&Record::Fill {
                rect: from,
                color: 5,
            }),
            _ => {}
        }
    }

    /// A rectangle on the screen, empty at times.
    fn rect(&self, script: &mut Script<'_>) -> Rect {
        let mut side = || i32::from(script.u8());
        Rect::at(side() / 3, side() / 4, side(), side()).intersect(&self.screen.size.rect())
    }

    /// What the driver tells beside its ring.
    pub(super) fn driver(&mut self, script: &mut Script<'_>) {
        let times = 1 << (script.u8() % 4);
        match script.u8() % 6 {
            0 => self.session.set_leds(Leds::from_bits(script.u8().into())),
            1 => self.resize(script),
            2 => {
                let rect = self.rect(script);
                for time in 0..times {
                    let half = Rect::new(0, 0, 1 + time % 2, 1);
                    let second = Head {
                        id: 1,
                        rect: if rect.is_empty() { half } else { rect },
                    };
                    let heads = vec![Head { id: 0, rect: half }, second];
                    self.session.set_monitors(Monitors { heads });
                }
            }
            3 => self.session.damage_all(),
            _ => self.cursor(script),
        }
    }

    pub(super) fn resize(&mut self, script: &mut Script<'_>) {
        let side = |script: &mut Script<'_>| 1 + u32::from(script.u8());
        let size = match script.u8() {
            255 => Size::new(8192, 2),
            254 => Size::new(3, 5000),
            _ => Size::new(side(script), side(script)),
        };
        if size != self.screen.size {
            self.screen = Painted {
                size,
                pixels: vec![0x12_3456; size.area() as usize],
            };
        }
        self.session.set_mode(size);
        self.session.damage_all();
    }

    fn cursor(&mut self, script: &mut Script<'_>) {
        let size = Size::new(
            1 + u32::from(script.u8() % 40),
            1 + u32::from(script.u8() % 9),
        );
        let (shape_serial, visible) = (1 + u32::from(script.u8()), !script.u8().is_multiple_of(3));
        let position = Point::new(i32::from(script.u16()) - 9000, i32::from(script.u8()));
        let hot_spot = Point::default();
        let slot = shape_serial % 2;
        let state = CursorState {
            shape_serial,
            position,
            visible,
            size,
            hot_spot,
            slot,
        };
        if self.session.set_cursor(&state) {
            let pixels = vec![script.u32(); size.area() as usize];
            self.session.set_cursor_image(&CursorImage {
                shape_serial,
                size,
                hot_spot,
                pixels,
            });
        }
    }
}
