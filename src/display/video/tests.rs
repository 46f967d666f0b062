//! The detector on random films, text and noise: what plays is found at once and to the pixel, and nothing else is.

use super::*;
use crate::ring::PixelSource;
use proptest::prelude::*;

const SIZE: Size = Size::new(700, 500);
const TICK: Micros = Micros(33_333);

/// What is drawn at a step.
#[derive(Clone, Copy, Debug)]
enum Content {
    /// Gradients with a little grain.
    Film,
    /// Two colours in hard-edged shapes.
    Text,
    /// Independent pixels.
    Noise,
}

struct Drawing(Content, u32);

impl PixelSource for Drawing {
    fn read_row(&self, y: u32, x: u32, out: &mut [u32]) {
        for (x, pixel) in (x..).zip(out) {
            let seed = self.1.wrapping_mul(0x27d4_eb2f) ^ x.wrapping_mul(0x9e37_79b1) ^ y << 16;
            let mixed = (seed ^ seed >> 15).wrapping_mul(0x85eb_ca6b) >> 8;
            *pixel = match self.0 {
                Content::Film => {
                    let at = (x + y + 3 * self.1) % 256;
                    at.min(255 - at) * 0x0001_0100 + (mixed & 15)
                }
                Content::Text => 0x00ff_ffff * ((((x + self.1 * 5) / 3) ^ (y / 4)) & 1),
                Content::Noise => mixed & 0x00ff_ffff,
            };
        }
    }
}

struct Stage {
    shadow: Shadow,
    detector: VideoDetector,
    now: Micros,
}

impl Stage {
    fn new() -> Self {
        Self {
            shadow: Shadow::new(SIZE),
            detector: VideoDetector::new(SIZE),
            now: Micros(7_000_000),
        }
    }

    fn frame(&mut self, drawings: &[(Rect, Content)], step: u32, gap: Micros) {
        self.now = self.now + gap;
        let mut changed = Region::new();
        for (rect, content) in drawings {
            let drawing = Drawing(*content, step + 1);
            changed = changed.union(&self.shadow.refresh(&drawing, &Region::from(*rect)));
        }
        let ops = Vec::new();
        let frame = Frame {
            ops,
            changed,
            ..Frame::default()
        };
        self.detector.observe(self.now, &frame, &self.shadow);
    }

    fn rects(&self) -> Vec<Rect> {
        let videos = self.detector.videos().iter();
        videos.map(|video| video.rect).collect()
    }
}

fn content() -> impl Strategy<Value = Content> {
    prop_oneof![
        Just(Content::Film),
        Just(Content::Text),
        Just(Content::Noise)
    ]
}

fn rect() -> impl Strategy<Value = Rect> {
    (0..600, 0..400, 1..500, 1..400)
        .prop_map(|(x, y, w, h)| Rect::at(x, y, w, h).intersect(&SIZE.rect()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_film_is_found_by_its_fourth_change(x in 0..400, y in 0..250, w in 96..300, h in 96..250) {
        let film = Rect::at(x, y, w, h);
        let mut stage = Stage::new();
        for step in 0..4 {
            prop_assert!(stage.rects().is_empty());
            stage.frame(&[(film, Content::Film)], step, TICK);
        }
        // To the pixel, but for a column or row at the edge that happened not to change.
        let found = stage.rects();
        prop_assert_eq!(found.len(), 1);
        prop_assert!(film.contains(&found[0]));
        prop_assert!(film.width() - found[0].width() < 2 && film.height() - found[0].height() < 2);
        let video = stage.detector.videos()[0];
        prop_assert!(video.is_moving(stage.now + TICK));
        prop_assert!(!video.is_moving(stage.now + Micros::from_millis(250)));
    }

    #[test]
    fn text_and_noise_are_no_films(rect in rect(), noise: bool) {
        let content = if noise { Content::Noise } else { Content::Text };
        let mut stage = Stage::new();
        for step in 0..20 {
            stage.frame(&[(rect, content)], step, TICK);
        }
        prop_assert!(stage.rects().is_empty());
    }

    #[test]
    fn a_slide_show_is_no_film(rect in rect()) {
        let mut stage = Stage::new();
        for step in 0..20 {
            stage.frame(&[(rect, Content::Film)], step, Micros::from_millis(250));
        }
        prop_assert!(stage.rects().is_empty());
    }

    /// Whatever is drawn: videos lie on the screen, apart from each other, are large enough and few.
    #[test]
    fn videos_never_overlap(
        steps in prop::collection::vec(
            (prop::collection::vec((rect(), content()), 1..4), 1..12u32, 1..260_000u64), 1..12,
        ),
    ) {
        let mut stage = Stage::new();
        let mut step = 0;
        for (drawings, times, gap) in steps {
            for _ in 0..times {
                step += 1;
                stage.frame(&drawings, step, Micros(gap));
                let found = stage.rects();
                prop_assert!(found.len() <= VIDEOS_MAX);
                for (index, rect) in found.iter().enumerate() {
                    prop_assert!(SIZE.rect().contains(rect));
                    prop_assert!(SIDE_MIN <= rect.width().min(rect.height()));
                    prop_assert!(!found[index + 1..].iter().any(|other| other.intersects(rect)));
                }
            }
        }
        stage.frame(&[], step, END_AFTER + Micros(1));
        prop_assert!(stage.rects().is_empty());
    }
}

#[test]
fn a_film_grows_shrinks_and_is_dragged() {
    let mut stage = Stage::new();
    let small = Rect::at(100, 100, 200, 120);
    let large = Rect::at(80, 90, 400, 300);
    for step in 0..10 {
        stage.frame(&[(small, Content::Film)], step, TICK);
    }
    for step in 10..16 {
        stage.frame(&[(large, Content::Film)], step, TICK);
    }
    assert_eq!(stage.rects(), [large]);
    for step in 16..130 {
        stage.frame(&[(small, Content::Film)], step, TICK);
    }
    assert_eq!(stage.rects(), [small]);
    let id = stage.detector.videos()[0].id;
    let op = ExactOp::Copy {
        rect: Rect::at(130, 140, 240, 160),
        delta: Point::new(50, 60),
    };
    stage.shadow.apply(&op);
    let frame = Frame {
        ops: vec![op],
        changed: Region::new(),
        ..Frame::default()
    };
    stage.detector.observe(stage.now, &frame, &stage.shadow);
    assert_eq!(stage.rects(), [small.translate(Point::new(50, 60))]);
    assert_ne!(stage.detector.videos()[0].id, id);
}
