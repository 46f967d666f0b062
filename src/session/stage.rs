//! A frame of several updates is drawn aside and comes to the screen by one copy.
//!
//! spice-gtk asks for a repaint at each drawing on the screen, and GTK paints at most once in a refresh of 16.7 ms. So
//! the first of several drawings would be shown at once, the others 17 to 25 ms later, and the next frame would have
//! to wait for that paint. A copy of the scene to another surface and back costs the client a millisecond or two and
//! 170 bytes; it also shows frames whole.
//!
//! The surface is the one on which the first picture is painted. It is made again when a scene first needs it.

use crate::base::{Micros, Point, Rect, Region, Size};
use crate::channel::Outbox;
use crate::display::{ExactOp, Update};
use crate::wire::display::{SurfaceCreate, SurfaceDestroy};
use crate::wire::draw::SurfaceCopy;

/// The surface that is the screen.
pub(super) const PRIMARY: u32 = 0;

/// The surface aside.
pub(super) const STAGING: u32 = 1;

/// Pixels of the smallest change that is worth it.
const AREA_MIN: u64 = 16 * 1024;

/// A frame that takes longer is shown in parts. A photograph of 1600x900 takes 8 to 23 ms to a client that decodes it
/// on the same two processors.
const TIME_MAX: Micros = Micros::from_millis(40);

/// A scene that is being drawn.
#[derive(Clone, Copy, Debug)]
struct Scene {
    bounds: Rect,
    since: Micros,
}

/// The surface aside, and what is drawn on it.
#[derive(Debug, Default)]
pub(super) struct Stage {
    exists: bool,
    scene: Option<Scene>,
}

impl Stage {
    /// Makes the surface, of the size of the screen.
    pub(super) fn create(&mut self, size: Size, outbox: &mut Outbox) {
        if !std::mem::replace(&mut self.exists, true) {
            outbox.send(&SurfaceCreate::aside(STAGING, size));
        }
    }

    /// The surface goes, and whatever is on it.
    pub(super) fn destroy(&mut self, outbox: &mut Outbox) {
        self.scene = None;
        if std::mem::take(&mut self.exists) {
            outbox.send(&SurfaceDestroy {
                surface_id: STAGING,
            });
        }
    }

    /// Begins a scene of what changes, if that is worth it. What the next update, which is drawn at once, has `covered`
    /// is not brought from the screen: of a workspace that comes back that is nearly all.
    pub(super) fn begin(
        &mut self,
        now: Micros,
        size: Size,
        changing: &Region,
        covered: Option<Rect>,
        outbox: &mut Outbox,
    ) {
        if changing.area() < AREA_MIN || self.scene.is_some() {
            return;
        }
        self.create(size, outbox);
        let bounds = changing.bounds();
        let mut needed = Region::from(bounds);
        needed.remove(covered.unwrap_or_default());
        for rect in needed.rects() {
            copy(PRIMARY, STAGING, rect, outbox);
        }
        self.scene = Some(Scene { bounds, since: now });
    }

    /// The surface that `update` is to be drawn on. What does not belong to the scene ends it.
    pub(super) fn target(&mut self, update: &Update, outbox: &mut Outbox) -> u32 {
        let Some(scene) = &self.scene else {
            return PRIMARY;
        };
        let belongs = match update {
            Update::Exact(op) => {
                let source = match op {
                    ExactOp::Copy { rect, delta } => rect.translate(Point::new(-delta.x, -delta.y)),
                    ExactOp::Fill { rect, .. } => *rect,
                };
                scene.bounds.contains(&op.rect()) && scene.bounds.contains(&source)
            }
            Update::Restore(restore) => scene.bounds.contains(&restore.rect),
            Update::Image(rect) => scene.bounds.contains(rect),
            Update::Forget(_) => true,
            Update::Save(_) => false,
        };
        if belongs {
            return STAGING;
        }
        self.end(outbox);
        PRIMARY
    }

    /// Shows the scene, if there is one.
    pub(super) fn end(&mut self, outbox: &mut Outbox) {
        if let Some(scene) = self.scene.take() {
            show(&scene.bounds, outbox);
        }
    }

    /// Shows a scene that takes too long, or of which nothing is left to send.
    pub(super) fn end_if(&mut self, now: Micros, is_done: bool, outbox: &mut Outbox) {
        let is_late = |scene: &Scene| TIME_MAX <= now.since(scene.since);
        if is_done || self.scene.as_ref().is_some_and(is_late) {
            self.end(outbox);
        }
    }
}

/// Brings what is on the surface aside to the same place of the screen.
pub(super) fn show(rect: &Rect, outbox: &mut Outbox) {
    copy(STAGING, PRIMARY, rect, outbox);
}

fn copy(source_id: u32, surface_id: u32, rect: &Rect, outbox: &mut Outbox) {
    outbox.send(&SurfaceCopy {
        surface_id,
        rect: *rect,
        source_id,
        source: rect.origin(),
    });
}
