//! Who wins when both sides grab at once: the serials of `VD_AGENT_CAP_CLIPBOARD_GRAB_SERIAL`.
//!
//! Each side keeps a counter per selection that starts at 0 with the connection. A side sends a grab with its counter
//! and adds one; it believes a grab whose serial equals its counter, and adds one; spice-gtk 0.42 drops every other
//! (`main_agent_handle_msg`). So two grabs that cross are dropped by both sides if both do just that, and each believes
//! to own the selection: whoever pastes then gets nothing. Here the server knows what the client does with its grabs:
//!
//! ```text
//! serial of the client's grab   what was sent since    what the client makes of ours   so the server
//! counter                       nothing                                                believes it, counter + 1
//! counter - 1                   one grab               drops it, its serial is old     believes it
//! less                          more than one          drops the first, believes the   drops it
//!                                                      second, whose serial is its
//!                                                      own counter by then
//! ```
//!
//! Either way both counters are equal again when everything has arrived, and both sides name the same owner.

/// What to do with a grab of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grab {
    /// The client owns the selection.
    Believe,
    /// A grab of ours is on its way that the client will believe.
    Superseded,
    /// The client counts in a way that no rule has.
    Wrong,
}

/// The counter of one selection of one client.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Serials {
    next: u32,
    /// Grabs sent since the last of the client that was believed at its own serial.
    sent: u32,
}

impl Serials {
    /// The serial of a grab that is sent now.
    pub(super) fn send(&mut self) -> u32 {
        let serial = self.next;
        self.next = self.next.wrapping_add(1);
        self.sent = self.sent.saturating_add(1);
        serial
    }

    /// Judges a grab of the client that carries `serial`.
    pub(super) fn receive(&mut self, serial: u32) -> Grab {
        let behind = self.next.wrapping_sub(serial);
        if behind == 0 {
            self.next = self.next.wrapping_add(1);
            self.sent = 0;
            Grab::Believe
        } else if self.sent < behind {
            Grab::Wrong
        } else if behind == 1 {
            Grab::Believe
        } else {
            Grab::Superseded
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    /// spice-gtk's half, as its source has it.
    #[derive(Default)]
    struct Client {
        serial: u32,
        owns: bool,
    }

    proptest! {
        #[test]
        fn both_sides_name_the_same_owner_when_all_has_arrived(steps in prop::collection::vec(0..4_u8, 1..80)) {
            let mut server = Serials::default();
            let mut server_says_client = false;
            let mut client = Client::default();
            let (mut to_client, mut to_server) = (VecDeque::new(), VecDeque::new());
            let tail = [2, 3].repeat(steps.len());
            for step in steps.iter().copied().chain(tail) {
                match step {
                    0 => {
                        to_client.push_back(server.send());
                        server_says_client = false;
                    }
                    1 => {
                        to_server.push_back(client.serial);
                        client.serial += 1;
                        client.owns = true;
                    }
                    2 => if let Some(serial) = to_client.pop_front()
                        && serial == client.serial
                    {
                        client.serial += 1;
                        client.owns = false;
                    },
                    _ => if let Some(serial) = to_server.pop_front() {
                        match server.receive(serial) {
                            Grab::Believe => server_says_client = true,
                            Grab::Superseded => {}
                            Grab::Wrong => prop_assert!(false, "a good client was called wrong"),
                        }
                    },
                }
            }
            prop_assert_eq!(client.owns, server_says_client);
            prop_assert_eq!(client.serial, server.next);
        }
    }

    #[test]
    fn a_client_that_counts_otherwise_is_not_believed() {
        let mut serials = Serials::default();
        assert_eq!(serials.receive(7), Grab::Wrong);
        assert_eq!(serials.receive(0), Grab::Believe);
        assert_eq!(serials.receive(0), Grab::Wrong);
        assert_eq!(serials.receive(u32::MAX), Grab::Wrong);
    }
}
