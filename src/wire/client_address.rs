//! A client's address, as a gateway tells it to the server behind it.
//!
//! It stands in the link message, behind the capabilities, where servers of other builds ignore it:
//!
//! | what | bytes |
//! |---|---|
//! | "ADDR" | 4 |
//! | IPv6 address, or an IPv4 one mapped into it | 16 |
//! | port u16 | 2 |
//!
//! Anybody can write that. Whoever reads it asks the kernel first who has (`os::peer_credentials`).

use core::net::{IpAddr, Ipv6Addr, SocketAddr};

use super::Decode;
use super::link::{LinkHeader, LinkMessage, MAGIC};
use crate::base::{ByteReader, ByteWriter};

const MARK: [u8; 4] = *b"ADDR";

/// Where the counts of capability words stand in a link message, with their offset behind them.
const COUNTS_AT: usize = LinkMessage::SIZE - 3 * size_of::<u32>();

/// Appends it to the body of a link message.
pub fn append(address: SocketAddr, body: &mut Vec<u8>) {
    let mut writer = ByteWriter::new(body);
    writer.bytes(&MARK);
    let ip = match address.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    };
    writer.bytes(&ip.octets());
    writer.u16(address.port());
}

/// The address in the first bytes of a connection, of which the link message is one.
pub fn find(bytes: &[u8]) -> Option<SocketAddr> {
    let mut reader = ByteReader::new(bytes);
    let header = LinkHeader::decode(&mut reader).ok()?;
    let body = reader.bytes(header.size as usize).ok()?;
    let mut reader = ByteReader::new(body);
    // Nothing of the message counts but its length.
    reader.bytes(COUNTS_AT).ok()?;
    let (common, channel) = (reader.u32().ok()?, reader.u32().ok()?);
    let offset = reader.u32().ok()?;
    let words = u64::from(common).checked_add(channel.into())?;
    let end = words.checked_mul(4)?.checked_add(offset.into())?;
    let told = body.get(usize::try_from(end).ok()?..)?;
    let mut reader = ByteReader::new(told);
    if header.magic != MAGIC || reader.array() != Ok(MARK) {
        return None;
    }
    let ip = Ipv6Addr::from(reader.array::<16>().ok()?).to_canonical();
    let port = reader.u16().ok()?;
    (reader.remaining() == 0).then(|| SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Encode;
    use crate::wire::caps::Caps;
    use crate::wire::link::ChannelType;
    use proptest::prelude::*;

    fn link(common: &[u32], channel: &[u32], address: Option<SocketAddr>) -> Vec<u8> {
        let message = LinkMessage {
            connection_id: 7,
            channel_type: ChannelType::DISPLAY,
            channel_id: 0,
            common_caps: Caps::of(common),
            channel_caps: Caps::of(channel),
        };
        let mut body = Vec::new();
        message.encode(&mut ByteWriter::new(&mut body));
        if let Some(address) = address {
            append(address, &mut body);
            let read = LinkMessage::decode(&mut ByteReader::new(&body));
            assert_eq!(read, Ok(message), "others read the same");
        }
        let mut out = Vec::new();
        let mut writer = ByteWriter::new(&mut out);
        LinkHeader::new(u32::try_from(body.len()).unwrap()).encode(&mut writer);
        writer.bytes(&body);
        out
    }

    #[test]
    fn it_stands_behind_the_capabilities_and_nowhere_else() {
        let address = "192.0.2.7:5678".parse().unwrap();
        let bytes = link(&[0, 1, 40], &[2], Some(address));
        assert_eq!(find(&bytes), Some(address));
        for length in 0..bytes.len() {
            assert_eq!(find(&bytes[..length]), None, "{length}");
        }
        // Capabilities that look like one.
        let mut body = Vec::new();
        append(address, &mut body);
        body.extend([0, 0]);
        let words = body.as_chunks::<4>().0.iter();
        let words: Vec<u32> = words.map(|word| u32::from_le_bytes(*word)).collect();
        let bits = (0..).zip(&words).flat_map(|(at, word)| {
            let set = (0..32_u32).filter(move |bit| word >> bit & 1 == 1);
            set.map(move |bit| at * 32 + bit)
        });
        let caps: Vec<u32> = bits.collect();
        assert_eq!(find(&link(&[0], &caps, None)), None);
    }

    proptest! {
        #[test]
        fn what_is_told_is_heard(ip: u128, v4: u32, is_v4: bool, port: u16,
                                 common in prop::collection::vec(0_u32..100, 0..5),
                                 channel in prop::collection::vec(0_u32..100, 0..5)) {
            let ip = match is_v4 {
                true => IpAddr::V4(v4.into()),
                false => IpAddr::V6(ip.into()).to_canonical(),
            };
            let address = SocketAddr::new(ip, port);
            prop_assert_eq!(find(&link(&common, &channel, Some(address))), Some(address));
            prop_assert_eq!(find(&link(&common, &channel, None)), None);
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = find(&bytes);
            let _ = find(&[&link(&[], &[], None)[..16], &bytes].concat());
        }
    }
}
