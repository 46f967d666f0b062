//! SASL inside of the link: what is said between the mechanism and the link result.
//!
//! | who | what | bytes |
//! |---|---|---|
//! | server | length u32, names of mechanisms with commas between them | 4 + n |
//! | client | length u32, name of a mechanism; length u32, data | 8 + n + m |
//! | server | length u32, data; done u8 | 5 + n |
//! | client | length u32, data; then the server again, until done | 4 + n |
//! | server | result u32 of the exchange; the link result follows | 4 |
//!
//! Data that is there has a NUL behind it, which the length counts: 0 is no data, 1 is empty data.

use zeroize::Zeroizing;

use super::{Decode, Encode, WireError};
use crate::base::limits::{SASL_DATA_BYTES_MAX, SASL_NAME_BYTES_MAX};
use crate::base::{ByteReader, ByteWriter};

/// Data of one side; it may hold a password.
pub type SaslData = Option<Zeroizing<Vec<u8>>>;

/// The names that a server offers; clients take the strongest that they can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaslMechanisms(pub String);

/// A client's choice, with what its mechanism says first.
#[derive(Clone, PartialEq, Eq)]
pub struct SaslStart {
    /// Name of a mechanism, as the client wrote it.
    pub mechanism: String,
    /// Its first data.
    pub data: SaslData,
}

/// What a client's mechanism says next.
#[derive(Clone, PartialEq, Eq)]
pub struct SaslStep {
    /// Its data.
    pub data: SaslData,
}

/// What the server's mechanism says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaslReply {
    /// Its data.
    pub data: Option<Vec<u8>>,
    /// Whether it says no more.
    pub is_done: bool,
}

impl Encode for SaslMechanisms {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        writer.u32(u32::try_from(self.0.len()).unwrap_or(u32::MAX));
        writer.bytes(self.0.as_bytes());
    }
}

impl<'a> Decode<'a> for SaslMechanisms {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        let bytes = bounded(reader, "length of the mechanisms", SASL_DATA_BYTES_MAX)?;
        Ok(Self(name(bytes)?))
    }
}

impl Encode for SaslStart {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        writer.u32(u32::try_from(self.mechanism.len()).unwrap_or(u32::MAX));
        writer.bytes(self.mechanism.as_bytes());
        encode_data(writer, self.data.as_deref().map(Vec::as_slice));
    }
}

impl SaslStart {
    /// Reads one whose data may have this many bytes, its NUL included.
    ///
    /// # Errors
    /// [`WireError`] when there is more, or it is cut short.
    pub fn read(reader: &mut ByteReader<'_>, data_bytes_max: u32) -> Result<Self, WireError> {
        let bytes = bounded(reader, "length of a mechanism's name", SASL_NAME_BYTES_MAX)?;
        Ok(Self {
            mechanism: name(bytes)?,
            data: decode_data(reader, data_bytes_max)?,
        })
    }
}

impl<'a> Decode<'a> for SaslStart {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        Self::read(reader, SASL_DATA_BYTES_MAX)
    }
}

impl Encode for SaslStep {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        encode_data(writer, self.data.as_deref().map(Vec::as_slice));
    }
}

impl SaslStep {
    /// Reads one whose data may have this many bytes, its NUL included.
    ///
    /// # Errors
    /// [`WireError`] when there is more, or it is cut short.
    pub fn read(reader: &mut ByteReader<'_>, data_bytes_max: u32) -> Result<Self, WireError> {
        let data = decode_data(reader, data_bytes_max)?;
        Ok(Self { data })
    }
}

impl<'a> Decode<'a> for SaslStep {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        Self::read(reader, SASL_DATA_BYTES_MAX)
    }
}

impl Encode for SaslReply {
    fn encode(&self, writer: &mut ByteWriter<'_>) {
        encode_data(writer, self.data.as_deref());
        writer.u8(u8::from(self.is_done));
    }
}

impl<'a> Decode<'a> for SaslReply {
    fn decode(reader: &mut ByteReader<'a>) -> Result<Self, WireError> {
        Ok(Self {
            data: decode_data(reader, SASL_DATA_BYTES_MAX)?.map(|data| data.to_vec()),
            is_done: reader.u8()? != 0,
        })
    }
}

/// Never shows data: it may be a password.
impl std::fmt::Debug for SaslStart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SaslStart")
            .field("mechanism", &self.mechanism)
            .finish_non_exhaustive()
    }
}

/// Never shows data: it may be a password.
impl std::fmt::Debug for SaslStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SaslStep").finish_non_exhaustive()
    }
}

fn encode_data(writer: &mut ByteWriter<'_>, data: Option<&[u8]>) {
    match data {
        Some(data) => {
            let counted = data.len().saturating_add(1);
            writer.u32(u32::try_from(counted).unwrap_or(u32::MAX));
            writer.bytes(data);
            writer.u8(0);
        }
        None => writer.u32(0),
    }
}

fn decode_data(reader: &mut ByteReader<'_>, bytes_max: u32) -> Result<SaslData, WireError> {
    let bytes = bounded(reader, "length of SASL data", bytes_max)?;
    // Clients send the byte behind their data, whatever it is: spice-server overwrites it.
    let data = bytes.split_last();
    Ok(data.map(|(_, data)| Zeroizing::new(data.to_vec())))
}

/// A length is judged before its bytes are waited for.
fn bounded<'a>(
    reader: &mut ByteReader<'a>,
    field: &'static str,
    max: u32,
) -> Result<&'a [u8], WireError> {
    let length = reader.u32()?;
    if max < length {
        let value = u64::from(length);
        return Err(WireError::Invalid { field, value });
    }
    Ok(reader.bytes(length as usize)?)
}

/// Names of mechanisms are capital letters, digits, hyphens and underscores (RFC 4422, 3.1).
fn name(bytes: &[u8]) -> Result<String, WireError> {
    let stranger = bytes
        .iter()
        .find(|byte| !(byte.is_ascii_graphic() || **byte == b' '));
    match stranger {
        Some(byte) => Err(WireError::Invalid {
            field: "letter of a mechanism's name",
            value: u64::from(*byte),
        }),
        None => Ok(bytes.iter().copied().map(char::from).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::assert_truncations;

    fn encoded(value: &impl Encode) -> Vec<u8> {
        let mut out = Vec::new();
        value.encode(&mut ByteWriter::new(&mut out));
        out
    }

    fn data(bytes: &[u8]) -> SaslData {
        Some(Zeroizing::new(bytes.to_vec()))
    }

    #[test]
    fn start_round_trip() {
        let start = SaslStart {
            mechanism: "PLAIN".into(),
            data: data(b"\0a\0b"),
        };
        let bytes = encoded(&start);
        assert_eq!(bytes, b"\x05\0\0\0PLAIN\x05\0\0\0\0a\0b\0");
        assert_eq!(SaslStart::decode(&mut ByteReader::new(&bytes)), Ok(start));
        assert_truncations::<SaslStart>(&bytes);
    }

    #[test]
    fn no_data_is_not_empty_data() {
        for (step, bytes) in [
            (SaslStep { data: None }, &[0, 0, 0, 0][..]),
            (SaslStep { data: data(b"") }, &[1, 0, 0, 0, 0]),
        ] {
            assert_eq!(encoded(&step), bytes);
            assert_eq!(SaslStep::decode(&mut ByteReader::new(bytes)), Ok(step));
        }
    }

    #[test]
    fn replies_and_mechanisms_round_trip() {
        for (text, is_done) in [(None, true), (Some(b"v=x".to_vec()), false)] {
            let reply = SaslReply {
                data: text,
                is_done,
            };
            let bytes = encoded(&reply);
            assert_eq!(
                SaslReply::decode(&mut ByteReader::new(&bytes)),
                Ok(reply.clone())
            );
            assert_truncations::<SaslReply>(&bytes);
        }
        let mechanisms = SaslMechanisms("SCRAM-SHA-512,SCRAM-SHA-256".into());
        let bytes = encoded(&mechanisms);
        assert_eq!(bytes[..5], *b"\x1b\0\0\0S");
        assert_eq!(
            SaslMechanisms::decode(&mut ByteReader::new(&bytes)),
            Ok(mechanisms)
        );
    }

    #[test]
    fn lengths_are_judged_before_their_bytes() {
        let invalid = |bytes: &[u8]| {
            let start = SaslStart::decode(&mut ByteReader::new(bytes));
            assert!(
                matches!(start, Err(WireError::Invalid { .. })),
                "{bytes:?} {start:?}"
            );
        };
        invalid(&(SASL_NAME_BYTES_MAX + 1).to_le_bytes());
        invalid(&u32::MAX.to_le_bytes());
        invalid(&[&[1, 0, 0, 0, b'X'][..], &[0xff; 4]].concat());
        let more = SASL_DATA_BYTES_MAX + 1;
        invalid(&[&[1, 0, 0, 0, b'X'][..], &more.to_le_bytes()].concat());
        invalid(&[1, 0, 0, 0, b'\n', 0, 0, 0, 0]);
    }
}
