//! The handshake of one connection, both ends of it.

use caraway_server::base::{ByteReader, ByteWriter};
use caraway_server::channel::link::{Link, LinkError, Linked, Step};
use caraway_server::wire::caps::common;
use caraway_server::wire::link::{
    AuthMechanism, KEY_SIZE, LinkCode, LinkHeader, LinkMessage, LinkReply, TICKET_SIZE,
};
use caraway_server::wire::{Decode, Encode};

/// Stands for the server's key.
const KEY: [u8; KEY_SIZE] = [5; KEY_SIZE];

/// Stands for the right password, encrypted.
const TICKET: [u8; TICKET_SIZE] = [9; TICKET_SIZE];

/// Links a channel; `admit` is the server's verdict on the right ticket. Bytes travel in pieces of `piece`.
pub(crate) fn link(
    message: &LinkMessage,
    piece: usize,
    mut admit: impl FnMut(&LinkMessage) -> Result<(), LinkError>,
) -> Result<Linked, LinkCode> {
    let mut server = Link::new();
    let mut body = Vec::new();
    message.encode(&mut ByteWriter::new(&mut body));
    let mut hello = Vec::new();
    let size = u32::try_from(body.len()).expect("a short message");
    LinkHeader::new(size).encode(&mut ByteWriter::new(&mut hello));
    hello.extend(body);
    push(&mut server, &hello, piece);
    if let Step::Failed(error) = server.step() {
        let refusal = LinkReply::refusal(error.code());
        let mut expected = Vec::new();
        refusal.write(&mut expected);
        assert_eq!(server.take_output(), expected, "it is told why");
        return Err(error.code());
    }
    assert_eq!(server.step(), Step::NeedsKey);
    server.give_key(KEY);

    let reply = server.take_output();
    let mut reader = ByteReader::new(&reply);
    let header = LinkHeader::decode(&mut reader).expect("a header");
    assert_eq!(header.size as usize, reader.remaining());
    let reply = LinkReply::decode(&mut reader).expect("a reply");
    assert_eq!((reply.error, reply.key), (LinkCode::OK, KEY));
    if message.common_caps.has(common::AUTH_SELECTION) {
        assert!(reply.common_caps.has(common::AUTH_SELECTION));
        push(&mut server, &AuthMechanism::SPICE.0.to_le_bytes(), piece);
    }
    push(&mut server, &TICKET, piece);
    let Step::CheckTicket(ticket) = server.step() else {
        unreachable!("the ticket was sent");
    };
    assert_eq!(*ticket, TICKET);
    let verdict = admit(server.message().expect("what was asked for"));
    server.decide(verdict);
    let step = server.step();
    let result: [u8; 4] = server.take_output().try_into().expect("a result");
    match step {
        Step::Linked(linked) => {
            assert_eq!(result, LinkCode::OK.0.to_le_bytes());
            Ok(*linked)
        }
        Step::Failed(_) => Err(LinkCode(u32::from_le_bytes(result))),
        other => unreachable!("{other:?} after a verdict"),
    }
}

fn push(server: &mut Link, bytes: &[u8], piece: usize) {
    for part in bytes.chunks(piece) {
        assert_eq!(server.step(), Step::NeedsBytes);
        server.push(part);
    }
}
