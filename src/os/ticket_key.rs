//! RSA-1024 keys for SPICE tickets (the link reply of spice-protocol's `SpiceLinkReply`).
//!
//! The protocol fixes 1024 bits and OAEP with SHA-1, which safe interfaces refuse, hence the C interface of AWS-LC,
//! here in small owned wrappers. A key answers one link and opens one ciphertext: [`TicketKey::decrypt`] takes it by
//! value. So who measures how long an answer takes learns nothing about a key that is still in use; AWS-LC also
//! blinds and decodes in constant time.

#![expect(unsafe_code, reason = "the C interface of AWS-LC")]

use std::ptr::{NonNull, null_mut};

use aws_lc_sys as ffi;
use zeroize::Zeroizing;

/// Bits of a key.
const KEY_BITS: i32 = 1024;

/// Bytes of a ciphertext: the client sends one block.
pub const CIPHERTEXT_BYTES: usize = 128;

/// Bytes of the public key in the link reply (SPICE_TICKET_PUBKEY_BYTES).
pub const PUBLIC_KEY_BYTES: usize = 162;

/// A private key for one ticket. Making one takes about 10 ms, so they are made ahead, off the threads that serve.
#[derive(Debug)]
pub struct TicketKey {
    rsa: Rsa,
    public_key_der: [u8; PUBLIC_KEY_BYTES],
}

/// No key could be made: the system's fault (memory, entropy).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TicketKeyError {
    /// AWS-LC failed.
    #[error("making a ticket key: {0} failed")]
    Failed(&'static str),
    /// The encoded key has another length than the protocol's.
    #[error("the ticket key takes {0} bytes instead of {PUBLIC_KEY_BYTES}")]
    Length(usize),
}

impl TicketKey {
    /// A new random key.
    pub fn generate() -> Result<Self, TicketKeyError> {
        let exponent = Number::new(ffi::RSA_F4 as u64)?;
        let rsa = Rsa::generate(&exponent)?;
        let public_key_der = rsa.public_key_der()?;
        Ok(Self {
            rsa,
            public_key_der,
        })
    }

    /// The public key as SubjectPublicKeyInfo, as the link reply carries it.
    pub const fn public_key_der(&self) -> [u8; PUBLIC_KEY_BYTES] {
        self.public_key_der
    }

    /// The ticket that was encrypted to this key, with its closing NUL as clients send it; `None` when it was not.
    /// The bytes are wiped when dropped.
    pub fn decrypt(self, ciphertext: &[u8; CIPHERTEXT_BYTES]) -> Option<Zeroizing<Vec<u8>>> {
        // Allocated whole at once: a vector that grew would leave copies behind.
        let mut plaintext = Zeroizing::new(vec![0; CIPHERTEXT_BYTES]);
        let mut length = 0;
        // SAFETY: the key is alive, the pointers have the lengths passed with them, and RSA_decrypt writes at most
        // `plaintext.len()` bytes and the length.
        let result = unsafe {
            ffi::RSA_decrypt(
                self.rsa.0.as_ptr(),
                &raw mut length,
                plaintext.as_mut_ptr(),
                plaintext.len(),
                ciphertext.as_ptr(),
                ciphertext.len(),
                ffi::RSA_PKCS1_OAEP_PADDING,
            )
        };
        clear_errors();
        if result != 1 {
            return None;
        }
        plaintext.truncate(length);
        Some(plaintext)
    }
}

/// AWS-LC keeps failures in a queue of the thread; nobody reads it here.
fn clear_errors() {
    // SAFETY: it takes nothing and only empties this thread's queue.
    unsafe { ffi::ERR_clear_error() };
}

/// What the last call of this name returned, or an error.
fn succeeded(result: i32, call: &'static str) -> Result<(), TicketKeyError> {
    if result == 1 {
        return Ok(());
    }
    clear_errors();
    Err(TicketKeyError::Failed(call))
}

/// An owned BIGNUM.
#[derive(Debug)]
struct Number(NonNull<ffi::BIGNUM>);

impl Number {
    fn new(value: u64) -> Result<Self, TicketKeyError> {
        // SAFETY: it takes nothing and returns a new number or null.
        let number = unsafe { ffi::BN_new() };
        let number = Self(NonNull::new(number).ok_or(TicketKeyError::Failed("BN_new"))?);
        // SAFETY: the number is alive.
        let set = unsafe { ffi::BN_set_word(number.0.as_ptr(), value) };
        succeeded(set, "BN_set_word")?;
        Ok(number)
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        // SAFETY: it is owned and freed once.
        unsafe { ffi::BN_free(self.0.as_ptr()) };
    }
}

/// An owned RSA key.
#[derive(Debug)]
struct Rsa(NonNull<ffi::RSA>);

// SAFETY: a key has no tie to a thread: AWS-LC locks what it caches in it, and it is used through its owner alone.
unsafe impl Send for Rsa {}

impl Rsa {
    fn generate(exponent: &Number) -> Result<Self, TicketKeyError> {
        // SAFETY: it takes nothing and returns a new key or null.
        let key = unsafe { ffi::RSA_new() };
        let key = Self(NonNull::new(key).ok_or(TicketKeyError::Failed("RSA_new"))?);
        let (rsa, exponent) = (key.0.as_ptr(), exponent.0.as_ptr());
        // SAFETY: key and exponent are alive; a null callback is allowed.
        let made = unsafe { ffi::RSA_generate_key_ex(rsa, KEY_BITS, exponent, null_mut()) };
        succeeded(made, "RSA_generate_key_ex")?;
        Ok(key)
    }

    fn public_key_der(&self) -> Result<[u8; PUBLIC_KEY_BYTES], TicketKeyError> {
        let public = PublicKey::of(self)?;
        // SAFETY: the key is alive; with a null pointer the call only computes the length.
        let length = unsafe { ffi::i2d_PUBKEY(public.0.as_ptr(), null_mut()) };
        let length = usize::try_from(length).unwrap_or(0);
        if length != PUBLIC_KEY_BYTES {
            return Err(TicketKeyError::Length(length));
        }
        let mut der = [0; PUBLIC_KEY_BYTES];
        let mut end = der.as_mut_ptr();
        // SAFETY: the key has not changed since its length was asked, and `der` has that many bytes.
        let written = unsafe { ffi::i2d_PUBKEY(public.0.as_ptr(), &raw mut end) };
        if usize::try_from(written) != Ok(length) {
            return Err(TicketKeyError::Failed("i2d_PUBKEY"));
        }
        Ok(der)
    }
}

impl Drop for Rsa {
    fn drop(&mut self) {
        // SAFETY: it is owned and freed once; AWS-LC wipes the private numbers.
        unsafe { ffi::RSA_free(self.0.as_ptr()) };
    }
}

/// An owned EVP_PKEY around an RSA key, which it shares.
#[derive(Debug)]
struct PublicKey(NonNull<ffi::EVP_PKEY>);

impl PublicKey {
    fn of(rsa: &Rsa) -> Result<Self, TicketKeyError> {
        // SAFETY: it takes nothing and returns a new key or null.
        let key = unsafe { ffi::EVP_PKEY_new() };
        let key = Self(NonNull::new(key).ok_or(TicketKeyError::Failed("EVP_PKEY_new"))?);
        // SAFETY: both are alive; the call counts a reference to the RSA key.
        let set = unsafe { ffi::EVP_PKEY_set1_RSA(key.0.as_ptr(), rsa.0.as_ptr()) };
        succeeded(set, "EVP_PKEY_set1_RSA")?;
        Ok(key)
    }
}

impl Drop for PublicKey {
    fn drop(&mut self) {
        // SAFETY: it is owned and freed once.
        unsafe { ffi::EVP_PKEY_free(self.0.as_ptr()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a client does: parse the public key of the link reply, then encrypt the password and a NUL to it.
    fn encrypt(der: &[u8], plaintext: &[u8], padding: i32) -> [u8; CIPHERTEXT_BYTES] {
        let mut start = der.as_ptr();
        // SAFETY: the pointer has the length passed with it; null asks for a new key.
        let key = unsafe { ffi::d2i_PUBKEY(null_mut(), &raw mut start, der.len() as _) };
        let key = PublicKey(NonNull::new(key).expect("a SubjectPublicKeyInfo"));
        // SAFETY: the key is alive; the call counts a reference.
        let rsa = unsafe { ffi::EVP_PKEY_get1_RSA(key.0.as_ptr()) };
        let rsa = Rsa(NonNull::new(rsa).expect("an RSA key"));
        let mut ciphertext = [0; CIPHERTEXT_BYTES];
        let mut length = 0;
        // SAFETY: the key is alive and the pointers have the lengths passed with them.
        let result = unsafe {
            ffi::RSA_encrypt(
                rsa.0.as_ptr(),
                &raw mut length,
                ciphertext.as_mut_ptr(),
                ciphertext.len(),
                plaintext.as_ptr(),
                plaintext.len(),
                padding,
            )
        };
        assert_eq!((result, length), (1, CIPHERTEXT_BYTES));
        ciphertext
    }

    #[test]
    fn a_ticket_comes_back_with_its_nul() {
        for password in [
            "",
            "s3cret",
            "sixty characters is what a ticket of this protocol may have.",
        ] {
            let key = TicketKey::generate().unwrap();
            let plaintext = [password.as_bytes(), b"\0"].concat();
            let der = key.public_key_der();
            let ciphertext = encrypt(&der, &plaintext, ffi::RSA_PKCS1_OAEP_PADDING);
            assert_eq!(key.decrypt(&ciphertext).unwrap().as_slice(), plaintext);
        }
    }

    #[test]
    fn the_longest_block_fits() {
        let key = TicketKey::generate().unwrap();
        let plaintext = [7; CIPHERTEXT_BYTES - 42];
        let ciphertext = encrypt(
            &key.public_key_der(),
            &plaintext,
            ffi::RSA_PKCS1_OAEP_PADDING,
        );
        assert_eq!(key.decrypt(&ciphertext).unwrap().as_slice(), plaintext);
    }

    #[test]
    fn what_was_not_encrypted_to_the_key_is_nothing() {
        let other = TicketKey::generate().unwrap().public_key_der();
        let padding = ffi::RSA_PKCS1_OAEP_PADDING;
        let generate = || TicketKey::generate().unwrap();
        assert!(
            generate()
                .decrypt(&encrypt(&other, b"x\0", padding))
                .is_none()
        );
        assert!(generate().decrypt(&[0; CIPHERTEXT_BYTES]).is_none());
        assert!(generate().decrypt(&[0xff; CIPHERTEXT_BYTES]).is_none());
        let key = generate();
        let wrong = encrypt(&key.public_key_der(), b"x\0", ffi::RSA_PKCS1_PADDING);
        assert!(key.decrypt(&wrong).is_none());
        let key = generate();
        let mut flipped = encrypt(&key.public_key_der(), b"x\0", padding);
        flipped[64] ^= 1;
        assert!(key.decrypt(&flipped).is_none());
    }

    #[test]
    fn keys_differ_and_move_between_threads() {
        let key = std::thread::spawn(|| TicketKey::generate().unwrap())
            .join()
            .unwrap();
        assert_ne!(
            key.public_key_der(),
            TicketKey::generate().unwrap().public_key_der()
        );
    }
}
