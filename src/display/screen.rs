//! Reduce and compare: from the driver's records to exact operations and changed pixels.
//!
//! Records are hints, as long as X draws while pixels are read. They say where to look and which copies and fills may
//! explain what is there now; what is sent is decided by comparing with the shadow. So a record that comes late or
//! describes pixels that were drawn over meanwhile costs bytes, never a wrong picture: whatever any record touched is
//! compared afterwards.
//!
//! Where the counters show that the shadow is exactly what the records up to the last frame made, fills and copies
//! since then are believed, and only damage is read ([`Trust`]).

use super::changes::{Changes, ExactOp};
use super::motion::{Found, Motion};
use super::saved::{Restore, Saved, Saves};
use super::shadow::Shadow;
use super::trend::Trend;
use super::trust::Trust;
use crate::base::{Micros, Rect, Region, Size};
use crate::ring::{PixelSource, Record};

/// Copy and fill records that are followed one by one between two frames; later ones count as damage. An
/// application that draws more of them than this repaints anyway.
pub const HINTS_PER_FRAME_MAX: u32 = 2000;

/// Damage boxes that are collected before they become a region.
const DAMAGE_BATCH: usize = 1024;

/// Copies smaller than this are not worth a message beside the pixels around them.
const COPY_AREA_MIN: u64 = 64;

/// Damage is widened to a grid of so many columns (a power of two) within what was touched.
const WIDENED_WIDTH: i32 = 16;

/// And of so many rows (a power of two).
const WIDENED_HEIGHT: i32 = 8;

/// What happened since the last frame: remember `saves`, apply `ops` in order, bring back `restores`, then read
/// `changed` from the shadow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frame {
    /// Of the picture before this frame.
    pub saves: Saves,
    /// Exact operations, verified to pay.
    pub ops: Vec<ExactOp>,
    /// Remembered content that is there again.
    pub restores: Vec<Restore>,
    /// Pixels that differ from what `ops` and `restores` make of the frame before.
    pub changed: Region,
}

/// The desktop's picture as the server knows it.
///
/// Call [`record`](Self::record) for each record, [`refresh`](Self::refresh) when a client can take a frame,
/// [`resize`](Self::resize) when the mode changes (clients then start anew).
#[derive(Debug)]
pub struct Screen {
    shadow: Shadow,
    motion: Motion,
    trend: Trend,
    hints: Changes,
    hint_count: u32,
    /// Everything that a record touched since the last frame; `damage` holds the newest boxes of it, `hinted` those of
    /// the hints.
    touched: Region,
    hinted: Vec<Rect>,
    damage: Vec<Rect>,
    saved: Saved,
    trust: Trust,
}

impl Screen {
    /// A black screen, all of it to be read at the first frame.
    pub fn new(size: Size) -> Self {
        let mut screen = Self {
            shadow: Shadow::new(size),
            motion: Motion::new(),
            trend: Trend::default(),
            hints: Changes::new(),
            hint_count: 0,
            touched: Region::new(),
            hinted: Vec::new(),
            damage: Vec::new(),
            saved: Saved::new(size),
            trust: Trust::default(),
        };
        screen.damage_all();
        screen
    }

    /// Width and height in pixels.
    pub const fn size(&self) -> Size {
        self.shadow.size()
    }

    /// The newest pixels that were read.
    pub const fn shadow(&self) -> &Shadow {
        &self.shadow
    }

    /// The search for moves.
    #[cfg(test)]
    pub(super) const fn motion(&self) -> &Motion {
        &self.motion
    }

    /// Whether the records are believed.
    #[cfg(test)]
    pub(super) const fn trust(&self) -> &Trust {
        &self.trust
    }

    /// A new mode: all pixels are unknown.
    pub fn resize(&mut self, size: Size) {
        *self = Self::new(size);
    }

    /// Nothing happens for a moment: forgets what has not been of use for long. When to come again, if at all.
    pub fn tidy(&mut self, now: Micros) -> Option<Micros> {
        self.saved.tidy(now)
    }

    /// Nobody watches any more: what was remembered for them is not needed.
    pub fn unwatched(&mut self) {
        self.saved.clear();
    }

    /// Gives up what the next search for moves takes again.
    pub fn give_up_scratch(&mut self) {
        self.motion = Motion::new();
    }

    /// Bytes of the shadow, of what it is compared with, and of what is remembered.
    pub fn held_bytes(&self) -> [usize; 3] {
        [
            self.shadow.held_bytes(),
            self.motion.held_bytes(),
            self.saved.held_bytes(),
        ]
    }

    /// Whether a frame would look at any pixel.
    pub const fn is_touched(&self) -> bool {
        !self.touched.is_empty() || !self.damage.is_empty() || !self.hinted.is_empty()
    }

    /// Takes in one record.
    pub fn record(&mut self, record: &Record) {
        match *record {
            Record::Damage(rect) => self.damage(rect),
            Record::Fill { rect, color } => {
                if self.follow_hint(rect) {
                    self.hints.fill(rect, color & 0x00ff_ffff);
                }
            }
            Record::CopyBits { rect, source } => {
                if self.follow_hint(rect) {
                    self.hints.copy(rect, rect.origin().minus(source));
                }
            }
            Record::Mode => self.damage_all(),
        }
    }

    /// Everything may have changed: after an overrun of the ring, at an attachment.
    pub fn damage_all(&mut self) {
        self.touched = Region::from(self.size().rect());
        self.hints = Changes::new();
        self.hints.damage(&self.touched);
        self.damage.clear();
        self.hinted.clear();
        self.trust.lose();
    }

    /// Reads what was touched and returns what changed.
    pub fn refresh(&mut self, now: Micros, source: &dyn PixelSource) -> Frame {
        let touched = self.take_touched();
        let (mut ops, mut to_read) = if self.trust.begin(now, &touched) {
            self.believed(&touched)
        } else {
            self.confirmed(source, &touched)
        };
        self.hinted.clear();
        let goes_on = ops.is_empty() && self.trend.goes_on(&mut self.shadow, source, &to_read);
        if goes_on {
            ops.extend_from_slice(self.trend.copies());
        }
        let (mut saves, again) = self
            .saved
            .save(&mut self.shadow, source, &touched, &ops, now);
        for expected in &again {
            to_read.remove(expected.rect);
        }
        for op in &ops {
            self.shadow.apply(op);
        }
        let mut found = if goes_on {
            Found {
                ops: Vec::new(),
                changed: self.shadow.refresh(source, &to_read),
            }
        } else {
            self.motion.refresh(&mut self.shadow, source, &to_read)
        };
        self.trend.learn(goes_on, &found, &to_read);
        let unexplained = self.shadow.refresh(source, &self.trust.due(now));
        found.changed = found.changed.union(&unexplained);
        self.trust.end(source.is_settled(), unexplained);
        self.saved.keep(&found.ops, &mut saves);
        ops.extend(found.ops);
        let mut frame = Frame {
            saves,
            ops,
            restores: Vec::new(),
            changed: found.changed,
        };
        self.saved
            .bring_back(&mut self.shadow, source, &again, &mut frame);
        self.saved.recall(&self.shadow, &mut frame, now);
        frame
    }

    /// Everything that a record touched since the last frame.
    fn take_touched(&mut self) -> Region {
        self.flush_damage();
        self.hint_count = 0;
        let hinted = Region::from_rects(&self.hinted);
        let mut touched = self.touched.take().union(&hinted);
        touched.simplify(super::changes::RECTS_MAX);
        touched
    }

    /// The operations that the records told of, and what they leave to be read of what was `touched`.
    fn believed(&mut self, touched: &Region) -> (Vec<ExactOp>, Region) {
        let mut hints = std::mem::take(&mut self.hints);
        let mut unwanted = Vec::new();
        for (delta, region) in hints.moves() {
            let is_good =
                |rect: &&Rect| COPY_AREA_MIN <= rect.area() && self.shadow.holds_copy(rect, *delta);
            unwanted.extend(region.rects().iter().filter(|rect| !is_good(rect)));
        }
        hints.demote(&Region::from_rects(&unwanted));
        let ops = hints.take_needed(|rect, color| self.shadow.fill_changes(rect, color));
        self.trust.believe(&self.hinted);
        (ops, widened(hints.dirty(), touched))
    }

    /// The operations that the records told of, as far as the pixels confirm them, and what they leave to be read of
    /// what was `touched`: not what was read to confirm a fill.
    fn confirmed(&mut self, source: &dyn PixelSource, touched: &Region) -> (Vec<ExactOp>, Region) {
        let mut hints = std::mem::take(&mut self.hints);
        let mut seen = Vec::new();
        let refuted = self.refuted(&hints, source, &mut seen);
        hints.demote(&Region::from_rects(&refuted));
        let ops = hints.take_exact();
        // What became damage on the way is no fill any more.
        let filled = Region::from_rects(&seen).subtract(hints.dirty());
        (ops, touched.subtract(&filled))
    }

    fn damage(&mut self, rect: Rect) {
        let rect = rect.intersect(&self.size().rect());
        if rect.is_empty() || self.damage.last().is_some_and(|last| last.contains(&rect)) {
            return;
        }
        self.damage.push(rect);
        if DAMAGE_BATCH <= self.damage.len() {
            self.flush_damage();
        }
    }

    /// Counts a hint; false when it has become plain damage.
    fn follow_hint(&mut self, rect: Rect) -> bool {
        if HINTS_PER_FRAME_MAX <= self.hint_count {
            self.damage(rect);
            return false;
        }
        self.hint_count += 1;
        self.flush_damage();
        self.hinted.push(rect.intersect(&self.size().rect()));
        true
    }

    fn flush_damage(&mut self) {
        if self.damage.is_empty() {
            return;
        }
        let region = Region::from_rects(&self.damage);
        self.damage.clear();
        self.hints.damage(&region);
        self.touched = self.touched.union(&region);
        self.touched.simplify(super::changes::RECTS_MAX);
    }

    /// Parts of the hints that the pixels do not confirm; those of fills that each pixel confirms go to `seen`.
    fn refuted(
        &mut self,
        hints: &Changes,
        source: &dyn PixelSource,
        seen: &mut Vec<Rect>,
    ) -> Vec<Rect> {
        let mut refuted = Vec::new();
        for (delta, region) in hints.moves() {
            for rect in region.rects() {
                if rect.area() < COPY_AREA_MIN || !self.shadow.copy_pays(source, rect, *delta) {
                    refuted.push(*rect);
                }
            }
        }
        for (color, region) in hints.fills() {
            for rect in region.rects() {
                if self.shadow.fill_changes(rect, *color)
                    && self.shadow.is_filled(source, rect, *color)
                {
                    seen.push(*rect);
                } else if !self.shadow.fill_pays(source, rect, *color) {
                    refuted.push(*rect);
                }
            }
        }
        refuted
    }
}

/// `dirty`, and what was `touched` beside it: letters that were drawn one by one on a fill are read as one line, or
/// they would be compared, and sent, one by one.
fn widened(dirty: &Region, touched: &Region) -> Region {
    let (column, row) = (!(WIDENED_WIDTH - 1), !(WIDENED_HEIGHT - 1));
    let widen = |rect: &Rect| {
        Rect::new(
            rect.left & column,
            rect.top & row,
            (rect.right + WIDENED_WIDTH - 1) & column,
            (rect.bottom + WIDENED_HEIGHT - 1) & row,
        )
    };
    let wide: Vec<Rect> = dirty.rects().iter().map(widen).collect();
    Region::from_rects(&wide).intersect(touched).union(dirty)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Point;
    use crate::display::{Update, View};
    use proptest::prelude::*;
    use std::collections::VecDeque;

    const SIZE: Size = Size::new(200, 120);

    impl PixelSource for Shadow {
        fn read_row(&self, y: u32, x: u32, out: &mut [u32]) {
            let (x, y) = (x.cast_signed(), y.cast_signed());
            let rect = Rect::new(x, y, x + i32::try_from(out.len()).unwrap(), y + 1);
            out.copy_from_slice(&self.pixels(&rect).unwrap().row(0)[..out.len()]);
        }
    }

    /// Single coloured pixels, to draw with.
    struct Noise(u32);

    impl PixelSource for Noise {
        fn read_row(&self, y: u32, x: u32, out: &mut [u32]) {
            for (column, pixel) in (x..).zip(out) {
                *pixel = (self.0 ^ (y / 3 * 977 + column / 5)).wrapping_mul(0x9e37_79b1) >> 8;
            }
        }
    }

    #[derive(Clone, Debug)]
    enum Op {
        Image(Rect, u32),
        Fill(Rect, u32),
        Copy(Rect, Point),
        /// Content that an application moves by drawing it again.
        Redraw(Rect, Point),
        /// A record of something that never was drawn.
        Lie(Rect, Point),
        /// A window comes up in full: one of few, so that it has often been there before.
        Window(u32),
        /// X has published this many more of its records.
        Deliver(usize),
        Frame,
        /// So many milliseconds go by.
        Wait(u64),
        /// A client's socket takes this many updates.
        Send(usize, usize),
        Overrun,
        /// A client's stream begins in these rectangles, or ends when there are none.
        Play(usize, Vec<Rect>),
        /// A frame of the stream is sent and shown.
        Stream(usize),
        /// One that was sent before is shown only now.
        ShowLate(usize),
    }

    fn rect() -> impl Strategy<Value = Rect> {
        (0..200, 0..120, 1..180, 1..110)
            .prop_map(|(x, y, w, h)| Rect::at(x, y, w, h).intersect(&SIZE.rect()))
    }

    fn op() -> impl Strategy<Value = Op> {
        let delta = || (-30..31, -30..31).prop_map(|(x, y)| Point::new(x, y));
        prop_oneof![
            3 => (rect(), any::<u32>()).prop_map(|(rect, seed)| Op::Image(rect, seed)),
            3 => (rect(), 0u32..3).prop_map(|(rect, color)| Op::Fill(rect, color * 0x7f)),
            4 => (rect(), delta()).prop_map(|(rect, delta)| Op::Copy(rect, delta)),
            4 => (rect(), delta()).prop_map(|(rect, delta)| Op::Redraw(rect, delta)),
            1 => (rect(), delta()).prop_map(|(rect, delta)| Op::Lie(rect, delta)),
            4 => (0u32..6).prop_map(Op::Window),
            3 => (0usize..6).prop_map(Op::Deliver),
            3 => Just(Op::Frame),
            1 => (0u64..400).prop_map(Op::Wait),
            3 => (0usize..3, 0usize..9).prop_map(|(client, count)| Op::Send(client, count)),
            1 => Just(Op::Overrun),
            1 => (0usize..3, prop::collection::vec(rect(), 0..3))
                .prop_map(|(client, rects)| Op::Play(client, rects)),
            3 => (0usize..3).prop_map(Op::Stream),
            2 => (0usize..3).prop_map(Op::ShowLate),
        ]
    }

    struct Model {
        desktop: Shadow,
        records: VecDeque<Record>,
        screen: Screen,
        clients: Vec<(View, Surfaces)>,
        now: Micros,
        playing: [Vec<Rect>; 3],
        streamed: [bool; 3],
    }

    /// What a client has: its screen, and what it remembers by slot.
    struct Surfaces {
        screen: Shadow,
        saved: std::collections::BTreeMap<u32, Shadow>,
    }

    impl Surfaces {
        fn copy(from: &Shadow, source: Point, to: &mut Shadow, rect: &Rect) {
            let way = rect.origin().minus(source);
            to.refresh(&Moved(from, way), &Region::from(*rect));
        }

        fn apply(&mut self, update: &Update, newest: &Shadow) {
            match update {
                Update::Exact(op) => self.screen.apply(op),
                Update::Image(rect) => {
                    self.screen.refresh(newest, &Region::from(*rect));
                }
                Update::Save(save) => {
                    if let Some(size) = save.new {
                        let before = self.saved.insert(save.slot, Shadow::new(size));
                        assert!(before.is_none(), "slot {} is there", save.slot);
                    }
                    let slot = self.saved.get_mut(&save.slot).expect("a slot");
                    let rect = save.rect.size().rect().translate(save.target);
                    assert!(slot.size().rect().contains(&rect));
                    Self::copy(&self.screen, save.rect.origin(), slot, &rect);
                }
                Update::Restore(restore) => {
                    let slot = self.saved.get(&restore.slot).expect("a slot");
                    let source = restore.rect.size().rect().translate(restore.source);
                    assert!(slot.size().rect().contains(&source));
                    Self::copy(slot, restore.source, &mut self.screen, &restore.rect);
                }
                Update::Forget(slot) => {
                    assert!(self.saved.remove(slot).is_some(), "slot {slot}");
                }
            }
        }
    }

    /// A picture that lies elsewhere.
    struct Moved<'a>(&'a Shadow, Point);

    impl PixelSource for Moved<'_> {
        fn read_row(&self, y: u32, x: u32, out: &mut [u32]) {
            let (x, y) = (x.cast_signed() - self.1.x, y.cast_signed() - self.1.y);
            self.0.read_row(y.cast_unsigned(), x.cast_unsigned(), out);
        }
    }

    impl Model {
        fn new() -> Self {
            let clients = (0..3)
                .map(|_| {
                    let surfaces = Surfaces {
                        screen: Shadow::new(SIZE),
                        saved: std::collections::BTreeMap::new(),
                    };
                    (View::new(SIZE), surfaces)
                })
                .collect();
            let desktop = Shadow::new(SIZE);
            Self {
                desktop,
                records: VecDeque::new(),
                screen: Screen::new(SIZE),
                clients,
                now: Micros(1),
                playing: [const { Vec::new() }; 3],
                streamed: [false; 3],
            }
        }

        fn step(&mut self, op: Op) {
            match op {
                Op::Window(number) => {
                    let (x, y) = (
                        [0, 30, 70][number as usize % 3],
                        [0, 9][number as usize % 2],
                    );
                    self.step(Op::Image(Rect::at(x, y, 80, 75), number));
                    self.step(Op::Deliver(usize::MAX));
                    self.now = self.now + Micros::from_millis(130);
                    self.step(Op::Frame);
                }
                Op::Deliver(count) => {
                    for record in self.records.drain(..count.min(self.records.len())) {
                        self.screen.record(&record);
                    }
                }
                Op::Frame => {
                    let frame = self.screen.refresh(self.now, &self.desktop);
                    self.clients
                        .iter_mut()
                        .for_each(|(view, _)| view.frame(&frame));
                }
                Op::Wait(ms) => self.now = self.now + Micros::from_millis(ms),
                Op::Send(client, count) => self.send(client, count),
                Op::Overrun => {
                    self.records.clear();
                    self.screen.damage_all();
                }
                Op::Play(client, rects) => {
                    let view = &mut self.clients[client].0;
                    let before = std::mem::replace(&mut self.playing[client], rects);
                    before.into_iter().for_each(|rect| view.mark_lossy(rect));
                    view.hold(Region::from_rects(&self.playing[client]));
                    self.streamed[client] = false;
                }
                Op::ShowLate(client) => {
                    let surface = &mut self.clients[client].1.screen;
                    for &rect in self.playing[client]
                        .iter()
                        .filter(|_| self.streamed[client])
                    {
                        surface.apply(&ExactOp::Fill { rect, color: 0xbad });
                    }
                }
                Op::Stream(client) => {
                    self.streamed[client] = true;
                    let (view, surfaces) = &mut self.clients[client];
                    while let Some(update) = view.next_exact() {
                        surfaces.apply(&update, self.screen.shadow());
                    }
                    let surface = &mut surfaces.screen;
                    for &rect in &self.playing[client] {
                        view.streamed(rect);
                        surface.apply(&ExactOp::Fill { rect, color: 0xbad });
                    }
                }
                drawing => self.draw(drawing),
            }
        }

        /// The desktop is drawn on, or not, and records tell of it, or of something else.
        fn draw(&mut self, op: Op) {
            match op {
                Op::Image(rect, seed) => {
                    self.desktop.refresh(&Noise(seed), &Region::from(rect));
                    self.records.push_back(Record::Damage(rect));
                }
                Op::Fill(rect, color) => {
                    self.desktop.apply(&ExactOp::Fill { rect, color });
                    self.records.push_back(Record::Fill { rect, color });
                }
                Op::Copy(rect, delta) => {
                    let rect = rect.intersect(&SIZE.rect().translate(delta));
                    self.desktop.apply(&ExactOp::Copy { rect, delta });
                    let source = rect.origin().minus(delta);
                    self.records.push_back(Record::CopyBits { rect, source });
                }
                Op::Redraw(rect, delta) => {
                    let rect = rect.intersect(&SIZE.rect().translate(delta));
                    self.desktop.apply(&ExactOp::Copy { rect, delta });
                    self.records.push_back(Record::Damage(rect));
                }
                Op::Lie(rect, delta) => {
                    let rect = rect.intersect(&SIZE.rect().translate(delta));
                    self.records.push_back(Record::CopyBits {
                        rect,
                        source: rect.origin().minus(delta),
                    });
                    self.records.push_back(Record::Fill { rect, color: 7 });
                }
                other => unreachable!("{other:?} draws nothing"),
            }
        }

        fn send(&mut self, client: usize, count: usize) {
            let (view, surfaces) = &mut self.clients[client];
            for _ in 0..count {
                let Some(update) = view.next_update(2000) else {
                    view.remember();
                    return;
                };
                surfaces.apply(&update, self.screen.shadow());
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// Records come late or lie, pixels are read while newer ones are drawn, clients have their own pace, and
        /// streams show anything: in the end everyone has the desktop's pixels.
        #[test]
        fn everyone_converges(ops in prop::collection::vec(op(), 1..60)) {
            let mut model = Model::new();
            for op in ops {
                model.step(op);
            }
            model.step(Op::Deliver(usize::MAX));
            model.step(Op::Frame);
            (0..3).for_each(|client| model.step(Op::Play(client, Vec::new())));
            let all = SIZE.rect();
            let newest = |shadow: &Shadow| {
                let pixels = shadow.pixels(&all).unwrap();
                (0..SIZE.height).flat_map(|y| pixels.row(y).to_vec()).collect::<Vec<_>>()
            };
            prop_assert_eq!(newest(model.screen.shadow()), newest(&model.desktop));
            for client in 0..3 {
                model.send(client, usize::MAX);
                let (view, surfaces) = &model.clients[client];
                prop_assert!(view.is_current());
                prop_assert_eq!(newest(&surfaces.screen), newest(model.screen.shadow()));
                let known: Vec<u32> = surfaces.saved.keys().copied().collect();
                prop_assert_eq!(view.surfaces().collect::<Vec<_>>(), known);
            }
        }
    }

    #[test]
    fn a_scroll_stays_a_copy() {
        let mut model = Model::new();
        model.step(Op::Image(SIZE.rect(), 1));
        model.step(Op::Deliver(9));
        model.step(Op::Frame);
        model.send(0, usize::MAX);
        model.step(Op::Copy(Rect::new(0, 0, 150, 70), Point::new(0, -20)));
        model.step(Op::Image(Rect::new(0, 70, 150, 90), 2));
        model.step(Op::Deliver(9));
        let frame = model.screen.refresh(model.now, &model.desktop);
        assert_eq!(
            frame.ops,
            [ExactOp::Copy {
                rect: Rect::new(0, 0, 150, 70),
                delta: Point::new(0, -20)
            }]
        );
        assert!(
            Rect::new(0, 70, 150, 90).contains(&frame.changed.bounds()),
            "{:?}",
            frame.changed
        );
    }
}
