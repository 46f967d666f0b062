//! Handshakes of any bytes in any cutting, and what must hold all the same.
//!
//! A script plays the client, the network that cuts its bytes, and whoever gives keys and verdicts. `tests/fuzz` feeds
//! [`check`] with a fuzzer, the tests here with random scripts and with those that a fuzzer once found.

use super::link::{LINK_BYTES_KERBEROS_MAX, LINK_BYTES_MAX, Link, LinkError, Linked, Step};
use super::link_sasl::{SaslAnswer, SaslTurn};
use crate::base::script::{Script, pieces};
use crate::base::{ByteReader, ByteWriter};
use crate::wire::caps::Caps;
use crate::wire::link::{
    AuthMechanism, ChannelType, LinkCode, LinkHeader, LinkMessage, LinkReply, TICKET_SIZE,
};
use crate::wire::sasl::{SaslMechanisms, SaslReply, SaslStart, SaslStep};
use crate::wire::{Decode, Encode, WireError};

/// Bytes that a link answers at most: a reply with a few words of capabilities, and a result; and of SASL, the
/// mechanisms, a few short replies and another result.
const OUTPUT_MAX: usize = LinkHeader::SIZE + LinkReply::SIZE + 16 + 4 + 100;

/// What is offered to those who get SASL.
const MECHANISMS: [&str; 2] = ["SCRAM-SHA-256", "PLAIN"];

/// What is offered in place of them at times, with room for longer messages.
const KERBEROS: &str = "GSSAPI";

/// Data that the server's mechanism wants more after.
const MORE: &[u8] = b"more";

const KEY: [u8; 162] = [5; 162];

/// Runs the client that `script` plays.
///
/// # Panics
///
/// Where the link breaks its promises; that is what tests and fuzzers look for.
pub fn check(script: &[u8]) {
    let mut script = Script::new(script);
    let (cut, flags) = (script.u8(), script.u8());
    let offered = match (flags & 16 != 0, flags & 32 != 0) {
        (false, _) => Offered::Tickets,
        (true, false) => Offered::Sasl,
        (true, true) => Offered::Kerberos,
    };
    let mut bytes = Vec::new();
    if flags & 1 != 0 {
        bytes = beginning(&mut script, offered);
    }
    bytes.extend_from_slice(script.rest());
    let verdict = match flags >> 1 & 3 {
        0 => Err(LinkError::PermissionDenied),
        1 => Err(LinkError::UnknownConnection),
        _ => Ok(()),
    };
    let late = flags & 8 != 0;
    let whole = run(offered, &bytes, 0, verdict, false);
    let cut = run(offered, &bytes, cut, verdict, late);
    if bytes.len() <= LINK_BYTES_MAX {
        assert_eq!(whole, cut, "cutting and waiting make no difference");
    }
}

/// How a client is to prove itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Offered {
    Tickets,
    Sasl,
    Kerberos,
}

impl Offered {
    fn link(self) -> Link {
        match self {
            Self::Tickets => Link::new(),
            Self::Sasl => Link::offering_sasl(&MECHANISMS),
            Self::Kerberos => Link::offering_kerberos(KERBEROS),
        }
    }

    /// Bytes that are kept at most.
    const fn bytes_max(self) -> usize {
        match self {
            Self::Tickets | Self::Sasl => LINK_BYTES_MAX,
            Self::Kerberos => LINK_BYTES_KERBEROS_MAX,
        }
    }
}

/// What a client sends that goes all the way, of a length and a channel that the script decides.
fn beginning(script: &mut Script<'_>, offered: Offered) -> Vec<u8> {
    let offers_sasl = offered != Offered::Tickets;
    let channel_type = ChannelType(1 + script.u8() % 5);
    let is_main = channel_type == ChannelType::MAIN;
    let message = LinkMessage {
        connection_id: u32::from(!is_main) * script.number(),
        channel_type,
        channel_id: script.u8() / 255,
        common_caps: Caps::of(match offers_sasl {
            true => script.pick(&[&[0, 2, 3], &[0, 1, 2], &[0, 2], &[2, 3]]),
            false => script.pick(&[&[0, 1, 3], &[0, 1], &[], &[1, 3, 70]]),
        }),
        channel_caps: Caps::of(&[u32::from(script.u8())]),
    };
    let (mut body, mut bytes) = (Vec::new(), Vec::new());
    message.encode(&mut ByteWriter::new(&mut body));
    let size = u32::try_from(body.len()).unwrap_or(u32::MAX);
    LinkHeader::new(size).encode(&mut ByteWriter::new(&mut bytes));
    bytes.extend(body);
    if offers_sasl {
        bytes.extend(AuthMechanism::SASL.0.to_le_bytes());
        sasl(script, offered, &mut bytes);
        return bytes;
    }
    if message.common_caps.has(0) {
        bytes.extend(AuthMechanism::SPICE.0.to_le_bytes());
    }
    // Cut short at times, so that the script goes on inside of it.
    let ticket = usize::from(script.u8()).min(TICKET_SIZE);
    bytes.resize(bytes.len() + ticket, 7);
    bytes
}

/// A client's side of SASL, cut short at times.
fn sasl(script: &mut Script<'_>, offered: Offered, bytes: &mut Vec<u8>) {
    let decisions = script.u8();
    let begun = bytes.len();
    let mut data = || {
        let data = match script.u8() % 4 {
            0 => None,
            1 => Some(&b""[..]),
            2 => Some(&b"proof"[..]),
            _ => Some(MORE),
        };
        data.map(|data| zeroize::Zeroizing::new(data.to_vec()))
    };
    let names = match offered {
        Offered::Kerberos => [KERBEROS, KERBEROS, "PLAIN", "GSSAPI,PLAIN"],
        _ => ["SCRAM-SHA-256", "PLAIN", "PLAIN", "LOGIN"],
    };
    let start = SaslStart {
        mechanism: names[usize::from(decisions) % 4].into(),
        data: data(),
    };
    start.encode(&mut ByteWriter::new(bytes));
    for _ in 0..decisions >> 2 & 7 {
        SaslStep { data: data() }.encode(&mut ByteWriter::new(bytes));
    }
    if decisions & 32 != 0 {
        bytes.truncate(begun + usize::from(decisions >> 3));
    }
}

/// How a handshake ended, and what the client was told.
#[derive(Debug, PartialEq, Eq)]
struct Ended {
    result: Option<Result<Linked, LinkError>>,
    output: Vec<u8>,
}

/// Keys and verdicts come at once, or `late`: when the next piece has arrived.
fn run(
    offered: Offered,
    bytes: &[u8],
    cut: u8,
    verdict: Result<(), LinkError>,
    late: bool,
) -> Ended {
    let (mut output, mut pushed, mut link) = (Vec::new(), 0, offered.link());
    let mut result = None;
    let mut last = Step::NeedsBytes;
    let waits = std::iter::repeat_n(&[][..], if late { 8 } else { 0 });
    for piece in pieces(bytes, cut).chain(waits) {
        link.push(piece);
        pushed += piece.len();
        if late {
            answer(&mut link, &last, verdict);
        }
        loop {
            last = link.step();
            output.extend(link.take_output());
            assert!(
                link.kept_bytes() <= offered.bytes_max(),
                "keeps {}",
                link.kept_bytes()
            );
            assert!(output.len() <= OUTPUT_MAX, "says {} bytes", output.len());
            if late || !answer(&mut link, &last, verdict) {
                break;
            }
        }
        result = match &last {
            Step::Linked(linked) => {
                let mut linked = (**linked).clone();
                linked
                    .leftover
                    .extend_from_slice(bytes.get(pushed..).unwrap_or_default());
                assert!(verdict.is_ok(), "nobody comes in with a wrong ticket");
                Some(Ok(linked))
            }
            Step::Failed(error) => {
                assert_failure_is_told(*error, &output);
                Some(Err(*error))
            }
            _ => continue,
        };
        assert_stays_ended(&mut link, &last);
        break;
    }
    Ended { result, output }
}

/// Gives what the step asks for; whether it asked for anything.
fn answer(link: &mut Link, step: &Step, verdict: Result<(), LinkError>) -> bool {
    match step {
        Step::NeedsKey => link.give_key(KEY),
        Step::CheckTicket(_) => link.decide(verdict),
        Step::Sasl(turn) => answer_sasl(link, turn, verdict),
        _ => return false,
    }
    true
}

/// A wrong password is SASL's to tell, everything else is the link's.
fn answer_sasl(link: &mut Link, turn: &SaslTurn, verdict: Result<(), LinkError>) {
    let data = turn.data().as_deref().map(Vec::as_slice);
    if data == Some(MORE) {
        link.answer_sasl(SaslAnswer::Continue(b"go on".to_vec()));
    } else if verdict == Err(LinkError::PermissionDenied) {
        link.answer_sasl(SaslAnswer::Denied(None));
    } else {
        link.answer_sasl(SaslAnswer::Accepted(Some(b"welcome".to_vec())));
        link.decide(verdict);
    }
}

/// The result behind all of SASL that was said, if any was.
fn sasl_result(reader: &mut ByteReader<'_>) -> Result<LinkCode, WireError> {
    if reader.remaining() != size_of::<u32>() {
        SaslMechanisms::decode(reader)?;
        while !SaslReply::decode(reader)?.is_done {}
        let result = LinkCode::decode(reader)?;
        if result != LinkCode::OK {
            return Ok(result);
        }
    }
    LinkCode::decode(reader)
}

/// The client is told the error, in a reply or in the result behind a good one.
fn assert_failure_is_told(error: LinkError, output: &[u8]) {
    let mut reader = ByteReader::new(output);
    let header = LinkHeader::decode(&mut reader);
    let body = header.and_then(|header| Ok(reader.bytes(header.size as usize)?));
    let reply = body.and_then(|body| LinkReply::decode(&mut ByteReader::new(body)));
    let told = match reply {
        Ok(reply) if reply.error == LinkCode::OK => sasl_result(&mut reader),
        reply => reply.map(|reply| reply.error),
    };
    assert_eq!(
        (told, reader.remaining()),
        (Ok(error.code()), 0),
        "{error:?}"
    );
}

/// Whatever happens afterwards: who has failed is not let in, who is in is not asked again, and nothing is said.
fn assert_stays_ended(link: &mut Link, last: &Step) {
    for _ in 0..2 {
        link.push(&[1; 1000]);
        link.give_key(KEY);
        link.answer_sasl(SaslAnswer::Accepted(None));
        link.decide(Ok(()));
        link.decide(Err(LinkError::Refused));
        let step = link.step();
        match last {
            Step::Failed(error) => assert_eq!(step, Step::Failed(*error)),
            _ => assert_eq!(step, Step::NeedsBytes),
        }
        assert!(
            link.take_output().is_empty(),
            "nothing is said after {last:?}"
        );
        assert!(link.kept_bytes() <= LINK_BYTES_KERBEROS_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::corpus::{plant_seeds, replay_regressions};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn random_clients_break_no_promise(script in prop::collection::vec(any::<u8>(), 0..6000)) {
            check(&script);
        }

        /// Clients that begin well.
        #[test]
        fn better_clients_break_no_promise(
            cut in any::<u8>(), flags in any::<u8>(), script in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            check(&[vec![cut, flags | 1], script].concat());
        }
    }

    #[test]
    fn scripts_get_all_the_way() {
        let mut script = Script::new(&[0, 0, 0, 0, 0, 200]);
        let bytes = beginning(&mut script, Offered::Tickets);
        // One more round, then the proof.
        let rounds = [0, 0, 0, 0, 0, 4, 3, 2];
        let with = |offered| (offered, beginning(&mut Script::new(&rounds), offered));
        let ways = [
            (Offered::Tickets, bytes),
            with(Offered::Sasl),
            with(Offered::Kerberos),
        ];
        for late in [false, true] {
            for (offered, bytes) in &ways {
                let ended = run(*offered, bytes, 3, Ok(()), late);
                assert!(matches!(ended.result, Some(Ok(_))), "{ended:?}");
                let wrong = Err(LinkError::PermissionDenied);
                let ended = run(*offered, bytes, 3, wrong, late);
                assert_eq!(ended.result, Some(Err(LinkError::PermissionDenied)));
            }
        }
    }

    #[test]
    fn seeds_break_no_promise() {
        let mut seeds = Vec::new();
        for flags in [0, 4, 12] {
            for decisions in [[0, 0, 0, 0, 200], [1, 7, 0, 0, 200], [1, 7, 0, 1, 200]] {
                let bytes = beginning(&mut Script::new(&decisions), Offered::Tickets);
                seeds.push([vec![3, flags], bytes].concat());
            }
            for decisions in [[0, 0, 0, 0, 0, 4, 3, 2], [1, 7, 0, 0, 5, 1, 2, 0]] {
                for (offered, kind) in [(Offered::Sasl, 16), (Offered::Kerberos, 48)] {
                    let bytes = beginning(&mut Script::new(&decisions), offered);
                    seeds.push([vec![3, flags | kind], bytes].concat());
                }
            }
        }
        plant_seeds("link", &seeds, check);
    }

    #[test]
    fn scripts_from_the_fuzzer_break_no_promise() {
        assert!(0 < replay_regressions("link", check));
    }
}
