//! Text that scrolls by: lines of words that come again, in soft letters of some colours, and what each client gets of
//! it.

use caraway_server::base::{Micros, Point, Rect, Size};
use caraway_server::wire::link::ChannelType;

use crate::client::Profile;
use crate::client::display::Counts;
use crate::line::Line;
use crate::producer::{Op, noise};
use crate::world::World;

const MS: fn(u64) -> Micros = Micros::from_millis;
const SIZE: Size = Size::new(1000, 400);

/// A cell of the terminal.
const CELL: Size = Size::new(9, 17);

/// Four lines at the bottom of it.
const LINES: Rect = Rect::new(0, 300, 900, 368);

/// A pixel of a page of words: which ones follows from the seed, what they look like does not.
pub(crate) fn pixel(seed: u32, at: Point) -> u32 {
    const WORDS: u32 = 40;
    const LETTERS: i32 = 6;
    let (column, row) = (
        at.x.div_euclid(CELL.width.cast_signed()),
        at.y.div_euclid(CELL.height.cast_signed()),
    );
    let word = noise(seed, column.div_euclid(LETTERS), row) % WORDS;
    let letter = noise(word, column.rem_euclid(LETTERS), 1) % 26;
    let (x, y) = (
        at.x.rem_euclid(CELL.width.cast_signed()),
        at.y.rem_euclid(CELL.height.cast_signed()),
    );
    let shade = noise(letter, x, y + 40);
    let is_ink = shade.is_multiple_of(4)
        && column.rem_euclid(LETTERS) != LETTERS - 1
        && (3..14).contains(&y);
    if is_ink {
        let level = shade >> 8 & 0xff;
        // One of three inks.
        level << (8 * (word % 3)) | 0x0010_1010
    } else {
        0x0010_1418
    }
}

fn world_with(profile: Profile, line: Line) -> (World, usize) {
    let mut world = World::new(SIZE);
    world.draw(&Op::Fill(vec![SIZE.rect()], 0x0010_1418));
    let client = world.join(profile, line);
    world.run_until_exact(&[client], MS(500));
    world.run_for(MS(500));
    (world, client)
}

/// Bytes of the display channel until the client shows those lines.
fn cost(world: &mut World, client: usize, seed: u32) -> u64 {
    let before = world.given_bytes(client, ChannelType::DISPLAY);
    world.draw(&Op::Words(LINES, seed));
    world.run_until_exact(&[client], MS(500));
    world.run_for(MS(100));
    world.given_bytes(client, ChannelType::DISPLAY) - before
}

fn counts(world: &World, client: usize) -> Counts {
    world.clients[client].display.counts
}

#[test]
fn words_that_were_there_before_cost_less() {
    for (line, is_local) in [(Line::LAN, false), (Line::LOCAL, true)] {
        let [with, old, without] = [Profile::Gtk, Profile::Old, Profile::Html5].map(|profile| {
            let (mut world, client) = world_with(profile, line);
            let lens: Vec<u64> = (1..30).map(|seed| cost(&mut world, client, seed)).collect();
            world.verify_invariants();
            world.verify_rest();
            let later: u64 = lens[19..].iter().sum();
            (lens[0], later / 10, counts(&world, client))
        });
        assert_eq!(without.2.glz, 0, "spice-html5 keeps no images");
        if is_local {
            assert_eq!((with.2.glz, old.2.glz), (0, 0), "bytes cost nothing there");
            continue;
        }
        for (first, later, counts) in [with, old] {
            assert!(20 <= counts.glz, "{counts:?}");
            assert!(3 * later < 2 * first, "{later} behind {first}");
            let others = without.1;
            assert!(3 * later < 2 * others, "{later} where others get {others}");
        }
    }
}

#[test]
fn what_rested_for_long_is_forgotten_by_both_sides() {
    let (mut world, client) = world_with(Profile::Gtk, Line::LAN);
    let first = cost(&mut world, client, 1);
    let again = (2..9).map(|seed| cost(&mut world, client, seed)).last();
    assert!(
        again.is_some_and(|again| 3 * again < 2 * first),
        "{again:?} behind {first}"
    );
    let held = world.clients[client].display.images_held();
    assert!(8 <= held, "{held}");
    assert!(world.tidy().is_some(), "there is something to forget");
    world.run_for(Micros::from_secs(121));
    assert_eq!(world.tidy(), None);
    let anew = cost(&mut world, client, 1);
    assert!(
        anew.abs_diff(first) < first / 8,
        "{anew} where it was {first}"
    );
    assert!(3 * world.clients[client].display.images_held() < held);
    let second = cost(&mut world, client, 2);
    assert!(second < first, "{second} behind {first}");
    world.verify_invariants();
    world.verify_rest();
}
