//! Reading the number of a frame from a viewer's screen: see `load.h` for what is drawn.

/// Blocks of the strip, one bit each.
const BLOCKS: usize = 12;
const BLOCK_SIDE: usize = 8;

pub(crate) const WIDTH: u16 = (BLOCKS * BLOCK_SIDE) as u16;
pub(crate) const HEIGHT: u16 = BLOCK_SIDE as u16;

/// Numbers come again after so many frames.
pub(crate) const NUMBERS: u32 = 1 << BLOCKS;

/// How far into a block its colour is asked for: what surrounds it may have bled into its edges.
const EDGE: usize = 2;

/// The number that `pixels` (`WIDTH` by `HEIGHT`, `0x00RRGGBB`) show, or `None` when that is no strip.
pub(crate) fn number(pixels: &[u32]) -> Option<u32> {
    let row = usize::from(WIDTH);
    if pixels.len() != row * usize::from(HEIGHT) {
        return None;
    }
    let mut code = 0;
    for block in 0..BLOCKS {
        let inside = |at: usize| block * BLOCK_SIDE + at;
        let mut sum = 0;
        for y in EDGE..BLOCK_SIDE - EDGE {
            sum += (EDGE..BLOCK_SIDE - EDGE)
                .map(|x| green(pixels[y * row + inside(x)]))
                .sum::<u32>();
        }
        let light = sum / ((BLOCK_SIDE - 2 * EDGE) * (BLOCK_SIDE - 2 * EDGE)) as u32;
        match light {
            0..80 => {}
            176.. => code |= 1 << block,
            // Neither black nor white.
            _ => return None,
        }
    }
    Some(from_gray_code(code))
}

fn green(pixel: u32) -> u32 {
    pixel >> 8 & 0xff
}

fn from_gray_code(code: u32) -> u32 {
    let mut number = code;
    let mut shift = 1;
    while shift < 32 {
        number ^= number >> shift;
        shift *= 2;
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drawn(frame: u32) -> Vec<u32> {
        let code = frame ^ frame >> 1;
        (0..usize::from(WIDTH) * usize::from(HEIGHT))
            .map(|at| {
                let block = at % usize::from(WIDTH) / BLOCK_SIDE;
                if code >> block & 1 == 1 {
                    0x00ff_ffff
                } else {
                    0
                }
            })
            .collect()
    }

    #[test]
    fn every_number_is_read_as_it_was_drawn() {
        for frame in 0..NUMBERS {
            assert_eq!(number(&drawn(frame)), Some(frame));
        }
    }

    #[test]
    fn blurred_edges_and_coarse_colours_do_not_matter() {
        let mut pixels = drawn(1234);
        for (at, pixel) in pixels.iter_mut().enumerate() {
            let is_edge = at % BLOCK_SIDE == 0 || at < usize::from(WIDTH);
            *pixel = if is_edge {
                0x0080_8080
            } else {
                (*pixel).clamp(0x0020_2020, 0x00e0_e0e0)
            };
        }
        assert_eq!(number(&pixels), Some(1234));
    }

    #[test]
    fn what_is_no_strip_has_no_number() {
        assert_eq!(number(&vec![0x0080_8080; drawn(0).len()]), None);
        assert_eq!(number(&[0; 10]), None);
    }

    #[test]
    fn neighbours_differ_in_one_block_only() {
        let differing = |frame: u32| {
            drawn(frame)
                .iter()
                .zip(drawn(frame + 1))
                .filter(|(one, other)| **one != *other)
                .count()
        };
        for frame in 0..NUMBERS - 1 {
            assert_eq!(differing(frame), BLOCK_SIDE * BLOCK_SIDE);
        }
    }
}
