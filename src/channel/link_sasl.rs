//! The SASL branch of a handshake.
//!
//! ```text
//!  AwaitingMechanism ──SASL──▶ Start ──mechanism, data──▶ (the caller's) ──Continue──▶ Step ──data──▶ (again) ..
//!       │ mechanisms                                           │ Accepted: reply, done, 0   then the link's verdict
//!       ▼                                                      │ Denied:   reply, done, error
//! ```
//!
//! The machine knows which mechanisms were offered and how long things may be; what they say is the caller's. Every end
//! has the form that clients wait for: a reply that is done, and a result. (spice-gtk would take part in another round
//! if a denial were not done, and read its result as a length.) There is no security layer: who offers SASL has
//! made sure that nobody else reads along.

use super::link::LinkError;
use crate::base::limits::SASL_MESSAGES_MAX;
use crate::base::{ByteReader, ByteWriter};
use crate::wire::link::LinkCode;
use crate::wire::sasl::{SaslData, SaslMechanisms, SaslReply, SaslStart, SaslStep};
use crate::wire::{Encode, WireError};

/// What the client's mechanism said.
#[derive(Debug, PartialEq, Eq)]
pub enum SaslTurn {
    /// It begins; the mechanism is one that was offered.
    Start(SaslStart),
    /// It goes on.
    Step(SaslStep),
}

impl SaslTurn {
    /// The data alone.
    pub fn data(&self) -> &SaslData {
        match self {
            Self::Start(start) => &start.data,
            Self::Step(step) => &step.data,
        }
    }
}

/// What the server's mechanism says to it.
#[derive(Debug, PartialEq, Eq)]
pub enum SaslAnswer {
    /// The client is to say more.
    Continue(Vec<u8>),
    /// The client is who it says; [`Link::decide`](super::link::Link::decide) says whether it is let in.
    Accepted(Option<Vec<u8>>),
    /// It is not.
    Denied(Option<Vec<u8>>),
}

/// The exchange of one link.
#[derive(Debug)]
pub(super) struct SaslLink {
    mechanisms: Vec<&'static str>,
    data_bytes_max: u32,
    has_begun: bool,
    messages: u32,
}

impl SaslLink {
    /// Each message of the client's mechanism may have that many bytes of data.
    pub(super) fn new(mechanisms: &[&'static str], data_bytes_max: u32) -> Self {
        Self {
            mechanisms: mechanisms.to_vec(),
            data_bytes_max,
            has_begun: false,
            messages: 0,
        }
    }

    /// What the client may choose from.
    pub(super) fn offer(&self, output: &mut Vec<u8>) {
        SaslMechanisms(self.mechanisms.join(",")).encode(&mut ByteWriter::new(output));
    }

    /// The client's next message with the bytes that it took, if all of it is there.
    pub(super) fn read(&mut self, input: &[u8]) -> Result<Option<(SaslTurn, usize)>, LinkError> {
        let mut reader = ByteReader::new(input);
        let decoded = match self.has_begun {
            false => SaslStart::read(&mut reader, self.data_bytes_max).map(SaslTurn::Start),
            true => SaslStep::read(&mut reader, self.data_bytes_max).map(SaslTurn::Step),
        };
        let turn = match decoded {
            Ok(turn) => turn,
            Err(WireError::Truncated(_)) => return Ok(None),
            Err(error) => return Err(LinkError::Sasl(error)),
        };
        if let SaslTurn::Start(start) = &turn
            && !self.mechanisms.contains(&&*start.mechanism)
        {
            return Err(LinkError::SaslMechanism);
        }
        self.has_begun = true;
        self.messages += 1;
        if SASL_MESSAGES_MAX < self.messages {
            return Err(LinkError::SaslMessages);
        }
        Ok(Some((turn, input.len() - reader.remaining())))
    }
}

/// Writes a reply that is not the last.
pub(super) fn write_continue(data: Vec<u8>, output: &mut Vec<u8>) {
    let reply = SaslReply {
        data: Some(data),
        is_done: false,
    };
    reply.encode(&mut ByteWriter::new(output));
}

/// Writes the last reply with the result of the exchange.
pub(super) fn write_end(data: Option<Vec<u8>>, result: LinkCode, output: &mut Vec<u8>) {
    let mut writer = ByteWriter::new(output);
    let reply = SaslReply {
        data,
        is_done: true,
    };
    reply.encode(&mut writer);
    result.encode(&mut writer);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::limits::{KERBEROS_DATA_BYTES_MAX, SASL_DATA_BYTES_MAX, SASL_NAME_BYTES_MAX};
    use crate::channel::link::{LINK_BYTES_MAX, Link, Step};
    use crate::wire::Decode;
    use crate::wire::caps::Caps;
    use crate::wire::link::{
        AuthMechanism, ChannelType, LinkHeader, LinkMessage, LinkReply, PublicKey,
    };
    use proptest::prelude::*;
    use zeroize::Zeroizing;

    const OFFERED: [&str; 2] = ["SCRAM-SHA-512", "SCRAM-SHA-256"];

    fn encoded(value: &impl Encode) -> Vec<u8> {
        let mut out = Vec::new();
        value.encode(&mut ByteWriter::new(&mut out));
        out
    }

    fn hello(common_caps: &[u32]) -> Vec<u8> {
        let message = LinkMessage {
            connection_id: 0,
            channel_type: ChannelType::MAIN,
            channel_id: 0,
            common_caps: Caps::of(common_caps),
            channel_caps: Caps::default(),
        };
        let body = encoded(&message);
        let header = LinkHeader::new(u32::try_from(body.len()).unwrap());
        [encoded(&header), body].concat()
    }

    fn start(mechanism: &str, data: &[u8]) -> Vec<u8> {
        encoded(&SaslStart {
            mechanism: mechanism.into(),
            data: Some(Zeroizing::new(data.to_vec())),
        })
    }

    fn chosen() -> Vec<u8> {
        AuthMechanism::SASL.0.to_le_bytes().to_vec()
    }

    /// Two rounds, as SCRAM has them.
    fn good() -> Vec<u8> {
        let next = SaslStep {
            data: Some(Zeroizing::new(b"proof".to_vec())),
        };
        let first = start("SCRAM-SHA-256", b"hello");
        [hello(&[0, 2, 3]), chosen(), first, encoded(&next)].concat()
    }

    /// What the server's mechanism says: to `hello` that it wants more, to `proof` yes, to anything else no.
    fn answer(turn: &SaslTurn) -> SaslAnswer {
        match turn.data().as_deref().map(Vec::as_slice) {
            Some(b"hello") => SaslAnswer::Continue(b"go on".to_vec()),
            Some(b"proof") => SaslAnswer::Accepted(Some(b"v=".to_vec())),
            _ => SaslAnswer::Denied(None),
        }
    }

    fn run(bytes: &[u8], piece: usize) -> (Step, Vec<u8>) {
        let mut link = Link::offering_sasl(&OFFERED);
        let (mut output, mut last) = (Vec::new(), Step::NeedsBytes);
        for part in bytes.chunks(piece) {
            link.push(part);
            loop {
                last = link.step();
                output.extend(link.take_output());
                assert!(link.kept_bytes() <= LINK_BYTES_MAX);
                let Step::Sasl(turn) = &last else { break };
                let answer = answer(turn);
                let is_accepted = matches!(answer, SaslAnswer::Accepted(_));
                link.answer_sasl(answer);
                if is_accepted {
                    link.decide(Ok(()));
                }
            }
            if !matches!(last, Step::NeedsBytes) {
                break;
            }
        }
        (last, output)
    }

    /// What the client is told behind a good link reply.
    fn told(output: &[u8]) -> Vec<u8> {
        let mut reader = ByteReader::new(output);
        let header = LinkHeader::decode(&mut reader).unwrap();
        let body = reader.bytes(header.size as usize).unwrap();
        let reply = LinkReply::decode(&mut ByteReader::new(body)).unwrap();
        assert_eq!(reply.error, LinkCode::OK);
        assert!(reply.common_caps.has(0) && reply.common_caps.has(2));
        assert!(!reply.common_caps.has(1), "tickets are not offered");
        assert_eq!(reply.key, PublicKey::from([0; 162]));
        reader.rest().to_vec()
    }

    fn mechanisms() -> Vec<u8> {
        encoded(&SaslMechanisms("SCRAM-SHA-512,SCRAM-SHA-256".into()))
    }

    #[test]
    fn a_good_client_is_linked_however_its_bytes_are_cut() {
        let mut expected = mechanisms();
        write_continue(b"go on".to_vec(), &mut expected);
        write_end(Some(b"v=".to_vec()), LinkCode::OK, &mut expected);
        expected.extend([0; 4]);
        for piece in [1, 2, 7, 1000] {
            let (step, output) = run(&good(), piece);
            assert!(matches!(step, Step::Linked(_)), "{step:?}");
            assert_eq!(told(&output), expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn every_cut_waits_for_more() {
        let bytes = good();
        for length in 0..bytes.len() {
            assert_eq!(run(&bytes[..length], 1000).0, Step::NeedsBytes, "{length}");
        }
    }

    #[test]
    fn what_was_not_offered_is_refused() {
        for (tail, error, code) in [
            (
                start("PLAIN", b"\0a\0b"),
                LinkError::SaslMechanism,
                LinkCode::PERMISSION_DENIED,
            ),
            (
                start("scram-sha-256", b"hello"),
                LinkError::SaslMechanism,
                LinkCode::PERMISSION_DENIED,
            ),
            (
                start("SCRAM-SHA-512,SCRAM-SHA-256", b"hello"),
                LinkError::SaslMechanism,
                LinkCode::PERMISSION_DENIED,
            ),
            (
                start("SCRAM-SHA-256", b"x"),
                LinkError::PermissionDenied,
                LinkCode::PERMISSION_DENIED,
            ),
        ] {
            let (step, output) = run(&[hello(&[0, 2]), chosen(), tail].concat(), 1000);
            assert_eq!(step, Step::Failed(error));
            let mut expected = mechanisms();
            write_end(None, code, &mut expected);
            assert_eq!(told(&output), expected);
        }
        // A ticket where only SASL is taken.
        let ticket = AuthMechanism::SPICE;
        let bytes = [hello(&[0, 1, 2]), ticket.0.to_le_bytes().to_vec()].concat();
        let (step, output) = run(&bytes, 1000);
        assert_eq!(step, Step::Failed(LinkError::Mechanism(ticket)));
        assert_eq!(told(&output), [7, 0, 0, 0]);
    }

    #[test]
    fn clients_without_sasl_are_told_at_once() {
        for caps in [&[][..], &[0, 1], &[2]] {
            let (step, output) = run(&hello(caps), 1000);
            assert_eq!(step, Step::Failed(LinkError::NoSasl));
            let mut refusal = Vec::new();
            LinkReply::refusal(LinkCode::PERMISSION_DENIED).write(&mut refusal);
            assert_eq!(output, refusal);
        }
    }

    #[test]
    fn lengths_that_cannot_be_end_it_before_their_bytes() {
        let begin = [hello(&[0, 2]), chosen()].concat();
        for tail in [
            (SASL_NAME_BYTES_MAX + 1).to_le_bytes().to_vec(),
            vec![0xff; 4],
            [&[1, 0, 0, 0, b'P'][..], &[0xff; 4]].concat(),
        ] {
            let (step, output) = run(&[begin.clone(), tail].concat(), 3);
            assert!(matches!(step, Step::Failed(LinkError::Sasl(_))), "{step:?}");
            let mut expected = mechanisms();
            write_end(None, LinkCode::INVALID_DATA, &mut expected);
            assert_eq!(told(&output), expected);
        }
        // The longest that can be.
        let longest = start(
            "SCRAM-SHA-256",
            &vec![b'x'; SASL_DATA_BYTES_MAX as usize - 1],
        );
        let (step, _) = run(&[begin, longest].concat(), 100);
        assert_eq!(step, Step::Failed(LinkError::PermissionDenied));
    }

    #[test]
    fn a_kerberos_ticket_may_be_longer_and_no_longer_than_that() {
        let fitting = KERBEROS_DATA_BYTES_MAX as usize - 1;
        for (length, fits) in [(fitting, true), (fitting + 1, false)] {
            let mut link = Link::offering_kerberos("GSSAPI");
            let ticket = start("GSSAPI", &vec![b'x'; length]);
            let bytes = [hello(&[0, 2]), chosen(), ticket].concat();
            let mut last = Step::NeedsBytes;
            for part in bytes.chunks(1024) {
                link.push(part);
                last = link.step();
            }
            let is_heard = matches!(&last, Step::Sasl(turn)
                if turn.data().as_ref().is_some_and(|data| data.len() == length));
            let is_refused = matches!(last, Step::Failed(LinkError::Sasl(_)));
            assert_eq!((is_heard, is_refused), (fits, !fits), "{length}: {last:?}");
        }
    }

    #[test]
    fn endless_rounds_end() {
        let first = start("SCRAM-SHA-256", b"hello");
        let more = first[4 + "SCRAM-SHA-256".len()..].repeat(10);
        let (step, _) = run(&[hello(&[0, 2]), chosen(), first, more].concat(), 9);
        assert_eq!(step, Step::Failed(LinkError::SaslMessages));
    }

    #[test]
    fn answers_out_of_turn_change_nothing() {
        let mut link = Link::offering_sasl(&OFFERED);
        link.answer_sasl(SaslAnswer::Accepted(None));
        link.decide(Ok(()));
        assert_eq!(link.step(), Step::NeedsBytes);
        link.push(&good());
        assert!(matches!(link.step(), Step::Sasl(SaslTurn::Start(_))));
        link.decide(Ok(()));
        link.give_key([5; 162]);
        assert_eq!(link.step(), Step::NeedsBytes, "it is the caller's turn");
        link.answer_sasl(SaslAnswer::Denied(None));
        link.answer_sasl(SaslAnswer::Accepted(None));
        link.decide(Ok(()));
        assert_eq!(link.step(), Step::Failed(LinkError::PermissionDenied));
    }

    proptest! {
        /// Any bytes behind a beginning, in any cutting: nobody comes in but by `proof`, and cutting changes nothing.
        #[test]
        fn nothing_but_the_proof_lets_in(tail in prop::collection::vec(any::<u8>(), 0..400), piece in 1_usize..50,
                                         begins in any::<bool>()) {
            let first = if begins { start("SCRAM-SHA-256", b"hello") } else { Vec::new() };
            let bytes = [hello(&[0, 2]), chosen(), first, tail].concat();
            let (whole, cut) = (run(&bytes, bytes.len()), run(&bytes, piece));
            prop_assert!(!matches!(whole.0, Step::Linked(_)));
            prop_assert_eq!(whole, cut);
        }
    }
}
