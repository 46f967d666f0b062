//! Pictures for the tests of all encoders: small ones of every kind of content and shape, rows
//! apart or not.

use proptest::prelude::{Strategy, any, prop, prop_oneof};
use proptest::strategy::Just;

use super::pixels::{Pixels, RGB};

/// A picture that owns its pixels; top bytes hold anything.
#[derive(Clone, Debug)]
pub(super) struct Picture {
    data: Vec<u32>,
    width: u32,
    height: u32,
    stride: usize,
}

impl Picture {
    pub(super) fn pixels(&self) -> Pixels<'_> {
        Pixels::new(&self.data, self.width, self.height, self.stride).unwrap()
    }

    /// What a decoder should give.
    pub(super) fn colors(&self) -> Vec<u32> {
        self.pixels()
            .rows()
            .flatten()
            .map(|pixel| pixel & RGB)
            .collect()
    }
}

/// Some bytes of a file, and what they become.
pub(super) fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, u8)>> {
    prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)
}

/// Makes the changes.
pub(super) fn spoil(file: &mut [u8], changes: &[(prop::sample::Index, u8)]) {
    for (index, byte) in changes {
        file[index.index(file.len())] = *byte;
    }
}

/// What the pixels of a picture look like.
#[derive(Clone, Copy, Debug)]
enum Content {
    Noise,
    /// Random choice of this many colours.
    Colors(u32),
    /// Runs of a few colours, repeated with small changes further down.
    Blocks,
    Gradient,
    /// Repeats every so many pixels, so that matches overlap.
    Period(usize),
    /// Noise above, and the same noise again far below.
    Echo,
}

pub(super) fn picture() -> impl Strategy<Value = Picture> {
    let content = prop_oneof![
        Just(Content::Noise),
        (1_u32..400).prop_map(Content::Colors),
        Just(Content::Colors(2)),
        Just(Content::Blocks),
        Just(Content::Gradient),
        (1_usize..40).prop_map(Content::Period),
        Just(Content::Echo),
    ];
    let size = prop_oneof![
        Just((1, 1)),
        (1_u32..70, 1_u32..70),
        (1_u32..3, 1_u32..600),
        (1_u32..600, 1_u32..3),
        (250_u32..300, 250_u32..300),
        (8185_u32..=8192, 1_u32..12),
        (1_u32..12, 8185_u32..=8192),
    ];
    (content, size, 0_usize..9, any::<u64>())
        .prop_map(|(content, size, gap, seed)| paint(content, size, gap, seed))
}

fn paint(content: Content, (width, height): (u32, u32), gap: usize, seed: u64) -> Picture {
    let mut state = seed | 1;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u32
    };
    let stride = width as usize + gap;
    let len = stride * height as usize;
    let mut data: Vec<u32> = Vec::with_capacity(len);
    let mut run = (0, 0);
    for at in 0..len {
        let (x, y) = ((at % stride) as u32, (at / stride) as u32);
        let color = match content {
            Content::Noise => random(),
            Content::Colors(count) => (random() % count).wrapping_mul(0x9e_3779),
            Content::Blocks if stride * 3 <= at && random() % 50 != 0 => data[at - stride * 3],
            Content::Blocks => {
                if run.0 == 0 {
                    run = (1 + random() % 20, random() % 5 * 0x12_3457);
                }
                run.0 -= 1;
                run.1
            }
            Content::Gradient => (x / 3) << 16 | (y / 2) << 8 | ((x + y) / 5),
            Content::Period(period) if period <= at && random() % 400 != 0 => data[at - period],
            Content::Echo if 1 < len && len / 2 <= at => data[at - len / 2],
            Content::Period(_) | Content::Echo => random(),
        };
        data.push(color);
    }
    for pixel in &mut data {
        *pixel = *pixel & RGB | random() << 24;
    }
    Picture {
        data,
        width,
        height,
        stride,
    }
}
