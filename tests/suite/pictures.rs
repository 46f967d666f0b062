//! What clients see: first pictures, changes of the screen, and how many bytes it takes.

use caraway_server::base::{Micros, Rect, Size};

use crate::client::Profile;
use crate::line::Line;
use crate::producer::Op;
use crate::world::World;

const SIZE: Size = Size::new(320, 240);

#[test]
fn a_client_comes_to_show_the_screen() {
    let mut world = World::new(SIZE);
    world.draw(&Op::Image(Rect::at(10, 10, 200, 100), 7));
    for profile in [Profile::Gtk, Profile::Html5, Profile::Old] {
        let client = world.join(profile, Line::LAN);
        let took = world.run_until_exact(&[client], Micros::from_millis(100));
        world.verify_invariants();
        assert!(Micros(0) < took);
    }
}
