//! Pictures closer to the world than patterns are: a photograph, a frame of a film and a page with
//! text, controls and a photograph. The same for every run.

/// Sides of the cells of the octaves that a photograph is made of, in pixels, and how much each of
/// them adds: halved with the side, as in natural pictures.
const OCTAVES: [(usize, f32); 7] = [
    (256, 90.0),
    (128, 45.0),
    (64, 28.0),
    (32, 17.0),
    (16, 10.0),
    (8, 6.0),
    (4, 4.0),
];

/// Soft shades of every scale with a camera's noise of up to `noise` levels to either side of each
/// channel.
pub(crate) fn photograph(width: usize, height: usize, noise: u32) -> Vec<u32> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut data = Vec::with_capacity(width * height);
    for y in 0..height {
        for x in 0..width {
            let light: f32 = OCTAVES
                .iter()
                .map(|(side, height)| height * cell_shade(x, y, *side, 1))
                .sum();
            let warmth: f32 = OCTAVES[..3]
                .iter()
                .map(|(side, height)| height / 2.0 * cell_shade(x, y, *side, 2))
                .sum();
            let mut channel = |value: f32| {
                let grain = random.below(2 * noise + 1) as f32 - noise as f32;
                (value + grain).clamp(0.0, 255.0) as u32
            };
            let red = channel(128.0 + light + warmth);
            let green = channel(128.0 + light);
            let blue = channel(128.0 + light - warmth);
            data.push(red << 16 | green << 8 | blue);
        }
    }
    data
}

/// A web page: a header with buttons, a side bar, paragraphs of anti-aliased text with headings
/// and links, a table, and a photograph.
pub(crate) fn page(width: usize, height: usize) -> Vec<u32> {
    let mut sheet = Sheet {
        data: vec![0xff_ffff; width * height],
        width,
        height,
        random: Random(0x2545_f491_4f6c_dd1d),
    };
    sheet.fill(0, 0, width, 56, 0x24_3b53);
    for button in 0..5 {
        let x = 180 + 130 * button;
        sheet.rounded(x as f32, 12.0, 110.0, 32.0, 0x3e_6c99);
        sheet.line_of_text(x + 14, 33, 84, 13.0, 0xff_ffff);
    }
    let side_bar = width / 6;
    sheet.fill(0, 56, side_bar, height, 0xf2_f4f7);
    for line in 0..height / 28 {
        sheet.line_of_text(20, 90 + 28 * line, side_bar - 40, 12.0, 0x33_4e68);
    }
    let (left, right) = (side_bar + 40, width - width / 8);
    let picture = photograph(width / 4, height / 3, 2);
    let (picture_left, picture_top) = (right - width / 4, 150);
    for (y, row) in picture.chunks(width / 4).enumerate() {
        let start = (picture_top + y) * width + picture_left;
        sheet.data[start..start + row.len()].copy_from_slice(row);
    }
    sheet.line_of_text(left, 120, (right - left) / 2, 30.0, 0x10_2a43);
    let mut baseline = 170;
    while baseline + 40 < height {
        let beside = baseline < picture_top + height / 3 + 20;
        let end = if beside { picture_left - 30 } else { right };
        match sheet.random.below(12) {
            0 => {
                baseline += 24;
                sheet.line_of_text(left, baseline, (end - left) / 3, 20.0, 0x10_2a43);
                baseline += 32;
            }
            1 if !beside => {
                baseline = sheet.table(left, baseline, end - left);
            }
            2 => {
                sheet.line_of_text(left, baseline, end - left, 14.0, 0x1a_0dab);
                baseline += 22;
            }
            _ => {
                sheet.line_of_text(left, baseline, end - left, 14.0, 0x24_2424);
                baseline += 22;
            }
        }
    }
    sheet.data
}

/// A shade of -1 to 1, smooth over cells of `side` pixels.
fn cell_shade(x: usize, y: usize, side: usize, layer: u32) -> f32 {
    let corner = |column: usize, row: usize| {
        let mut hash = (column as u32).wrapping_mul(0xc2b2_ae35)
            ^ (row as u32).wrapping_mul(0x27d4_eb2f)
            ^ (side as u32).wrapping_mul(0x85eb_ca6b)
            ^ layer.wrapping_mul(0x9e37_79b1);
        hash = (hash ^ hash >> 15).wrapping_mul(0x2c1b_3c6d);
        hash = (hash ^ hash >> 12).wrapping_mul(0x297a_2d39);
        (hash ^ hash >> 15) as f32 / u32::MAX as f32 * 2.0 - 1.0
    };
    let (column, row) = (x / side, y / side);
    let across = (x % side) as f32 / side as f32;
    let down = (y % side) as f32 / side as f32;
    let upper = corner(column, row) * (1.0 - across) + corner(column + 1, row) * across;
    let lower = corner(column, row + 1) * (1.0 - across) + corner(column + 1, row + 1) * across;
    upper * (1.0 - down) + lower * down
}

struct Random(u64);

impl Random {
    /// The next number of a xorshift generator, below `end`.
    fn below(&mut self, end: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 32) as u32 % end
    }
}

struct Sheet {
    data: Vec<u32>,
    width: usize,
    height: usize,
    random: Random,
}

impl Sheet {
    fn fill(&mut self, x: usize, y: usize, width: usize, height: usize, color: u32) {
        for row in y..(y + height).min(self.height) {
            self.data[row * self.width + x..][..width].fill(color);
        }
    }

    /// Lays `color` over a pixel as far as `coverage` of it, 0 to 1.
    fn blend(&mut self, x: usize, y: usize, color: u32, coverage: f32) {
        if self.width <= x || self.height <= y || coverage <= 0.0 {
            return;
        }
        let below = self.data[y * self.width + x];
        let mix = |shift: u32| {
            let (from, to) = ((below >> shift & 255) as f32, (color >> shift & 255) as f32);
            ((from + (to - from) * coverage.min(1.0)) as u32) << shift
        };
        self.data[y * self.width + x] = mix(16) | mix(8) | mix(0);
    }

    /// A button: a rectangle with round corners.
    fn rounded(&mut self, x: f32, y: f32, width: f32, height: f32, color: u32) {
        let radius = 8.0;
        for row in y as usize..(y + height) as usize {
            for column in x as usize..(x + width) as usize {
                let off = |at: usize, start: f32, len: f32| {
                    let middle = start + len / 2.0;
                    ((at as f32 + 0.5 - middle).abs() - len / 2.0 + radius).max(0.0)
                };
                let (across, down) = (off(column, x, width), off(row, y, height));
                let distance = (across * across + down * down).sqrt() - radius;
                self.blend(column, row, color, 0.5 - distance);
            }
        }
    }

    /// Words up to `width` pixels on a base line, letters of `size` pixels.
    fn line_of_text(&mut self, left: usize, baseline: usize, width: usize, size: f32, color: u32) {
        let mut x = left as f32;
        let end = (left + width) as f32;
        loop {
            let letters = 1 + self.random.below(9);
            if end < x + 0.55 * size * letters as f32 {
                return;
            }
            for _ in 0..letters {
                // Few letters make up most of a text.
                let which = self.random.below(26).min(self.random.below(26));
                self.letter(x, baseline as f32, which, size, color);
                // Places of letters are in quarters of a pixel, as in today's toolkits.
                x = ((x + (0.42 + 0.02 * (which % 7) as f32) * size) * 4.0).round() / 4.0;
            }
            x += 0.3 * size;
        }
    }

    /// A made-up letter of three or four strokes that start where the one before ended.
    fn letter(&mut self, x: f32, baseline: f32, which: u32, size: f32, color: u32) {
        let mut shape = Random(u64::from(which + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for _ in 0..4 {
            shape.below(2);
        }
        let height = size * if which.is_multiple_of(5) { 0.7 } else { 0.5 };
        let mut point = |x: f32| {
            let (across, down) = (shape.below(3) as f32 / 2.0, shape.below(3) as f32 / 2.0);
            (x + across * 0.36 * size, baseline - down * height)
        };
        let mut from = point(x);
        for _ in 0..3 + which % 2 {
            let to = point(x);
            self.stroke(from, to, size / 11.0, color);
            from = to;
        }
    }

    /// A line with soft edges of a pixel.
    fn stroke(&mut self, from: (f32, f32), to: (f32, f32), thickness: f32, color: u32) {
        let (across, down) = (to.0 - from.0, to.1 - from.1);
        let square = (across * across + down * down).max(0.01);
        let reach = thickness + 1.0;
        let range =
            |a: f32, b: f32| (a.min(b) - reach).max(0.0) as usize..(a.max(b) + reach) as usize + 1;
        for y in range(from.1, to.1) {
            for x in range(from.0, to.0) {
                let (x_off, y_off) = (x as f32 + 0.5 - from.0, y as f32 + 0.5 - from.1);
                let along = ((x_off * across + y_off * down) / square).clamp(0.0, 1.0);
                let (x_off, y_off) = (x_off - along * across, y_off - along * down);
                let distance = (x_off * x_off + y_off * y_off).sqrt();
                self.blend(x, y, color, 0.5 + thickness / 2.0 - distance);
            }
        }
    }

    /// Rows of shaded cells with text; the base line below it.
    fn table(&mut self, left: usize, top: usize, width: usize) -> usize {
        for row in 0..5 {
            let y = top + 26 * row;
            let shade = if row % 2 == 0 { 0xe6_ebf1 } else { 0xf8_f9fb };
            self.fill(left, y, width, 26, shade);
            for column in 0..4 {
                let x = left + 8 + column * width / 4;
                self.line_of_text(x, y + 18, width / 5, 12.0, 0x33_4e68);
            }
        }
        top + 5 * 26 + 30
    }
}
