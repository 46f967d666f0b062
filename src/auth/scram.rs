//! The server's side of SCRAM (RFC 5802, with the hashes of RFC 7677), without channel binding.
//!
//! ```text
//!  client  n,a=user,n=user,r=CLIENT                     header, name and a nonce
//!  server  r=CLIENT+SERVER,s=SALT,i=ITERATIONS
//!  client  c=biws,r=CLIENT+SERVER,p=PROOF               the header once more, and that it knows the password
//!  server  v=SIGNATURE, or e=invalid-proof              that it has the keys, or why not
//! ```
//!
//! Our own, for a library's parser that a stranger can make panic is none for a server.

use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq;

use super::stored_keys::{Hash, StoredKey};

/// Random bytes of the server's nonce.
pub const NONCE_BYTES: usize = 18;

/// What a client says first, taken apart. None of it is judged yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientFirst<'a> {
    /// Up to the name, with the comma behind it: the client repeats it later.
    header: &'a str,
    /// From the name on.
    bare: &'a str,
    /// The name.
    pub user: String,
    /// For whom the user wants to act; none says for themselves.
    pub acts_for: Option<String>,
    nonce: &'a str,
}

impl<'a> ClientFirst<'a> {
    /// `None` for what is no such message, wants channel binding, or has extensions that must be understood.
    pub fn parse(message: &'a str) -> Option<Self> {
        let (binding, rest) = message.split_once(',')?;
        // A client that could bind channels, and believes that the server cannot, is right.
        if binding != "n" && binding != "y" {
            return None;
        }
        let (acts_for, bare) = rest.split_once(',')?;
        let acts_for = match acts_for {
            "" => None,
            text => Some(unescaped(text.strip_prefix("a=")?)?),
        };
        let mut fields = bare.split(',');
        let user = unescaped(fields.next()?.strip_prefix("n=")?)?;
        let nonce = fields.next()?.strip_prefix("r=")?;
        let is_printable = nonce.bytes().all(|byte| byte.is_ascii_graphic());
        (!nonce.is_empty() && is_printable).then(|| Self {
            header: message.strip_suffix(bare).unwrap_or_default(),
            bare,
            user,
            acts_for,
            nonce,
        })
    }
}

/// Commas and equals signs come as `=2C` and `=3D`, and equals signs in no other way.
fn unescaped(text: &str) -> Option<String> {
    let mut parts = text.split('=');
    let mut name = parts.next()?.to_owned();
    for part in parts {
        if let Some(rest) = part.strip_prefix("2C") {
            name.push(',');
            name.push_str(rest);
        } else {
            name.push('=');
            name.push_str(part.strip_prefix("3D")?);
        }
    }
    (!name.is_empty()).then_some(name)
}

/// A server that has said its first and waits for the proof.
pub struct AwaitingProof {
    hash: Hash,
    key: StoredKey,
    /// The client's header in base64, which it has to repeat.
    header: String,
    /// Both sides' nonces.
    nonce: String,
    /// The first messages of both sides.
    so_far: String,
}

/// Never shows keys.
impl std::fmt::Debug for AwaitingProof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AwaitingProof")
            .field("hash", &self.hash)
            .finish_non_exhaustive()
    }
}

impl AwaitingProof {
    /// Answers a client's first message with what its user's key is like. `entropy` is for the nonce: new each time.
    pub fn begin(
        hash: Hash,
        key: StoredKey,
        first: &ClientFirst<'_>,
        entropy: [u8; NONCE_BYTES],
    ) -> (Self, Vec<u8>) {
        let nonce = format!("{}{}", first.nonce, STANDARD.encode(entropy));
        let salt = STANDARD.encode(&key.salt);
        let said = format!("r={nonce},s={salt},i={}", key.iterations);
        let awaiting = Self {
            hash,
            key,
            header: STANDARD.encode(first.header),
            nonce,
            so_far: format!("{},{said}", first.bare),
        };
        (awaiting, said.into_bytes())
    }

    /// Judges the client's last message: what proves the server to it, or nothing if the client has proved nothing.
    pub fn finish(&self, message: &str) -> Option<Vec<u8>> {
        let (without_proof, proof) = message.rsplit_once(",p=")?;
        let mut fields = without_proof.split(',');
        let header = fields.next()?.strip_prefix("c=")?;
        let nonce = fields.next()?.strip_prefix("r=")?;
        if header != self.header || nonce != self.nonce {
            return None;
        }
        let proof = STANDARD.decode(proof).ok()?;
        let all = format!("{},{without_proof}", self.so_far);
        let signature = self.sign(&self.key.stored_key, &all);
        if proof.len() != signature.as_ref().len() {
            return None;
        }
        let client_key: Vec<u8> = proof
            .iter()
            .zip(signature.as_ref())
            .map(|(proof, signature)| proof ^ signature)
            .collect();
        let stored_key = digest::digest(self.digest(), &client_key);
        let is_right: bool = stored_key.as_ref().ct_eq(&self.key.stored_key).into();
        is_right.then(|| {
            let signature = self.sign(&self.key.server_key, &all);
            format!("v={}", STANDARD.encode(signature)).into_bytes()
        })
    }

    fn sign(&self, key: &[u8], text: &str) -> hmac::Tag {
        let algorithm = match self.hash {
            Hash::Sha256 => hmac::HMAC_SHA256,
            Hash::Sha512 => hmac::HMAC_SHA512,
        };
        hmac::sign(&hmac::Key::new(algorithm, key), text.as_bytes())
    }

    fn digest(&self) -> &'static digest::Algorithm {
        match self.hash {
            Hash::Sha256 => &digest::SHA256,
            Hash::Sha512 => &digest::SHA512,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_messages_are_taken_apart() {
        let first = ClientFirst::parse("n,a=x=2Cy,n=a=3Db,r=abc,later=1").unwrap();
        assert_eq!(first.header, "n,a=x=2Cy,");
        assert_eq!(first.bare, "n=a=3Db,r=abc,later=1");
        assert_eq!((&*first.user, first.nonce), ("a=b", "abc"));
        assert_eq!(first.acts_for.as_deref(), Some("x,y"));
        assert_eq!(ClientFirst::parse("y,,n=a,r=b").unwrap().acts_for, None);
        for wrong in [
            "",
            "n",
            "n,",
            "n,,",
            "n,,n=a",
            "n,,n=a,r=",
            "n,,n=,r=a",
            "n,,m=x,n=a,r=b",
            "p=tls-exporter,,n=a,r=b",
            "n,b,n=a,r=b",
            "n,a=,n=a,r=b",
            "n,,n=a=2Db,r=b",
            "n,,n=a=,r=b",
            "n,,n=a,r=b\u{e4}",
            "x,,n=a,r=b",
        ] {
            assert_eq!(ClientFirst::parse(wrong), None, "{wrong}");
        }
    }

    /// The exchange of RFC 7677, 3, but for the server's nonce.
    #[test]
    fn messages_are_those_of_the_standard() {
        let key = StoredKey {
            iterations: 4096,
            salt: STANDARD.decode("W22ZaJ0SNY7soEsUEjb6gQ==").unwrap(),
            stored_key: vec![1; 32],
            server_key: vec![2; 32],
        };
        let first = ClientFirst::parse("n,,n=user,r=rOprNGfwEbeRWgbNEkqO").unwrap();
        let (server, said) = AwaitingProof::begin(Hash::Sha256, key, &first, [0; NONCE_BYTES]);
        let nonce = "rOprNGfwEbeRWgbNEkqOAAAAAAAAAAAAAAAAAAAAAAAA";
        let expected = format!("r={nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096");
        assert_eq!(String::from_utf8(said).unwrap(), expected);
        let proof = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
        for wrong in [
            format!("c=biws,r={nonce},p={proof}"),
            format!("c=biws,r={nonce}x,p={proof}"),
            format!("c=eSws,r={nonce},p={proof}"),
            format!("c=biws,r={nonce},p="),
            format!("c=biws,r={nonce},p=dHzb"),
            format!("c=biws,r={nonce},p=****"),
            format!("c=biws,r={nonce}"),
            String::new(),
        ] {
            assert_eq!(server.finish(&wrong), None, "{wrong}");
        }
    }
}
