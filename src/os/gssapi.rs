//! Kerberos tickets, judged by the system's library (GSS-API: RFC 2744, MIT's `libgssapi_krb5`), as far as a server
//! needs it: a client's tokens, messages that prove the context, and whom the client may act as.
//!
//! It is found at run time and not linked, so that the server runs, and builds, without it. What it reads is a
//! stranger's bytes in ASN.1, and its files, and it may ask name servers: this is for a process of its own that is
//! killed when it takes too long. Functions and numbers are those of `gssapi.h` and `gssapi_ext.h`.
//!
//! INVARIANT: the functions are of the signatures in `gssapi::functions`, which is what a library of this name and
//! these symbols promises; it stays loaded for the rest of the process's life.

#![expect(unsafe_code, reason = "a library that is found at run time")]

mod functions;

use std::ffi::{c_int, c_void};
use std::ptr::{self, NonNull};

use self::functions::{Functions, LIBRARY};

/// `GSS_C_ACCEPT`: for a server.
const ACCEPT: c_int = 2;

/// `GSS_S_CONTINUE_NEEDED`: another token is to come.
const CONTINUE_NEEDED: u32 = 1;

/// Where a status has its errors; below are remarks.
const ERRORS: u32 = 0xffff_0000;

/// `GSS_C_INDEFINITE`.
const FOR_EVER: u32 = u32::MAX;

/// `GSS_C_GSS_CODE` and `GSS_C_MECH_CODE`: whose number a status is.
const OF_GSSAPI: c_int = 1;
const OF_MECHANISM: c_int = 2;

/// Sentences that one status may have.
const SENTENCES_MAX: usize = 4;

/// Kerberos (RFC 4121): 1.2.840.113554.1.2.2.
static KERBEROS: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2];

/// `GSS_C_NT_HOSTBASED_SERVICE`: 1.2.840.113554.1.2.1.4.
static HOST_BASED_SERVICE: [u8; 10] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 1, 4];

/// `GSS_C_NT_USER_NAME`: 1.2.840.113554.1.2.1.1.
static USER_NAME: [u8; 10] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 1, 1];

/// Why a client's Kerberos is not good.
#[derive(Debug, thiserror::Error)]
pub enum GssapiError {
    /// The library is not installed, or lacks a function: the system's affair.
    #[error("{LIBRARY} cannot be used; install libgssapi-krb5-2")]
    Load(#[from] libloading::Error),
    /// The library's own words for it: the fault of the client, its ticket, the clock or the keys.
    #[error("{0}")]
    Status(String),
    /// A step out of its turn.
    #[error("there is no context yet")]
    NoContext,
}

type Handle = NonNull<c_void>;

/// `gss_buffer_desc`.
#[repr(C)]
struct Buffer {
    length: usize,
    value: *mut c_void,
}

impl Buffer {
    const EMPTY: Self = Self {
        length: 0,
        value: ptr::null_mut(),
    };

    /// For the library to read while `bytes` lives.
    fn lending(bytes: &[u8]) -> Self {
        Self {
            length: bytes.len(),
            value: bytes.as_ptr().cast_mut().cast(),
        }
    }
}

/// `gss_OID_desc`.
#[repr(C)]
struct Oid {
    length: u32,
    elements: *const c_void,
}

impl Oid {
    fn of(bytes: &'static [u8]) -> Self {
        Self {
            // None has more than ten.
            length: bytes.len() as u32,
            elements: bytes.as_ptr().cast(),
        }
    }
}

/// `gss_OID_set_desc`.
#[repr(C)]
struct OidSet {
    count: usize,
    elements: *const Oid,
}

/// The loaded library.
#[derive(Debug)]
pub struct Gssapi {
    functions: Functions,
}

impl Gssapi {
    /// Loads the library, for the rest of the process's life.
    ///
    /// # Errors
    /// [`GssapiError::Load`] where there is none.
    pub fn load() -> Result<Self, GssapiError> {
        Ok(Self {
            functions: Functions::load()?,
        })
    }

    /// A server of this service, at any of the host's names, with the keys of the process's key table.
    ///
    /// # Errors
    /// [`GssapiError::Status`] when there is no key of the service.
    pub fn acceptor(&self, service: &str) -> Result<Acceptor<'_>, GssapiError> {
        let name = self.name(service, &HOST_BASED_SERVICE)?;
        let mechanism = Oid::of(&KERBEROS);
        let mechanisms = OidSet {
            count: 1,
            elements: &raw const mechanism,
        };
        let (mut minor, mut credential) = (0, ptr::null_mut());
        // SAFETY: the name is live, the set lives during the call; both numbers and the handle are written where
        // there is room for them, and nulls stand for what is not asked for.
        let major = unsafe {
            (self.functions.acquire_cred)(
                &raw mut minor,
                name.handle.as_ptr(),
                FOR_EVER,
                &raw const mechanisms,
                ACCEPT,
                &raw mut credential,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        self.check(major, minor)?;
        Ok(Acceptor {
            gssapi: self,
            credential,
            context: ptr::null_mut(),
            client: None,
        })
    }

    fn name(&self, text: &str, kind: &'static [u8]) -> Result<Name<'_>, GssapiError> {
        let (text, kind) = (Buffer::lending(text.as_bytes()), Oid::of(kind));
        let (mut minor, mut handle) = (0, ptr::null_mut());
        // SAFETY: text and kind live during the call, which copies them; the results have room.
        let major = unsafe {
            (self.functions.import_name)(
                &raw mut minor,
                &raw const text,
                &raw const kind,
                &raw mut handle,
            )
        };
        self.check(major, minor)?;
        Name::owning(self, handle).ok_or(GssapiError::NoContext)
    }

    fn check(&self, major: u32, minor: u32) -> Result<(), GssapiError> {
        if major & ERRORS == 0 {
            return Ok(());
        }
        let mut sentences = self.sentences(major, OF_GSSAPI);
        sentences.extend(self.sentences(minor, OF_MECHANISM));
        // The first often is but "Unspecified GSS failure.  Minor code may provide more information".
        Err(GssapiError::Status(sentences.join(": ")))
    }

    fn sentences(&self, status: u32, whose: c_int) -> Vec<String> {
        let mechanism = Oid::of(&KERBEROS);
        let (mut sentences, mut more) = (Vec::new(), 0);
        for _ in 0..SENTENCES_MAX {
            let (mut minor, mut text) = (0, Buffer::EMPTY);
            // SAFETY: the mechanism lives during the call; numbers and buffer have room.
            let major = unsafe {
                (self.functions.display_status)(
                    &raw mut minor,
                    status,
                    whose,
                    &raw const mechanism,
                    &raw mut more,
                    &raw mut text,
                )
            };
            if major & ERRORS != 0 {
                break;
            }
            let sentence = String::from_utf8_lossy(&self.taken(text)).into_owned();
            // Also what it has to say to the number 0.
            if !sentence.is_empty() && !sentence.contains("Success") {
                sentences.push(sentence);
            }
            if more == 0 {
                break;
            }
        }
        sentences
    }

    /// The bytes that the library has put there, which it gets back.
    fn taken(&self, mut buffer: Buffer) -> Vec<u8> {
        let bytes = match NonNull::new(buffer.value.cast::<u8>()) {
            // SAFETY: the library says that as many bytes are there; nobody writes to them.
            Some(start) => unsafe { std::slice::from_raw_parts(start.as_ptr(), buffer.length) },
            None => &[],
        };
        let bytes = bytes.to_vec();
        let mut minor = 0;
        // SAFETY: the buffer is the library's own and goes with this; nobody has borrowed from it.
        unsafe { (self.functions.release_buffer)(&raw mut minor, &raw mut buffer) };
        bytes
    }
}

/// A server's side of one client's context.
#[derive(Debug)]
pub struct Acceptor<'a> {
    gssapi: &'a Gssapi,
    /// Live until dropped.
    credential: *mut c_void,
    /// Null until the first token, then live until dropped.
    context: *mut c_void,
    /// Once the context is whole.
    client: Option<Name<'a>>,
}

/// What comes of a token.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    /// For the client; empty if there is nothing to say.
    pub token: Vec<u8>,
    /// Whether the client is known now.
    pub is_complete: bool,
}

impl<'a> Acceptor<'a> {
    /// Takes the client's next token.
    ///
    /// # Errors
    /// [`GssapiError::Status`] when the ticket is no good: wrong service, expired, replayed, or nonsense.
    pub fn accept(&mut self, token: &[u8]) -> Result<Reply, GssapiError> {
        let (mut minor, mut name) = (0, ptr::null_mut());
        let (input, mut output) = (Buffer::lending(token), Buffer::EMPTY);
        // SAFETY: context (null before the first token) and credential are live, the token lives during the call;
        // the results have room. Null: no channel bindings, and nothing delegated is taken.
        let major = unsafe {
            (self.gssapi.functions.accept_sec_context)(
                &raw mut minor,
                &raw mut self.context,
                self.credential,
                &raw const input,
                ptr::null_mut(),
                &raw mut name,
                ptr::null_mut(),
                &raw mut output,
                ptr::null_mut(),
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        let token = self.gssapi.taken(output);
        let client = Name::owning(self.gssapi, name);
        self.gssapi.check(major, minor)?;
        let is_complete = major & CONTINUE_NEEDED == 0;
        if is_complete {
            self.client = client;
        }
        Ok(Reply { token, is_complete })
    }

    /// A message that proves to come from us; it is not encrypted.
    ///
    /// # Errors
    /// [`GssapiError`] when the context is not whole or has expired.
    pub fn wrap(&self, message: &[u8]) -> Result<Vec<u8>, GssapiError> {
        self.client()?;
        let (input, mut output) = (Buffer::lending(message), Buffer::EMPTY);
        let mut minor = 0;
        // SAFETY: the context is live, for there is a client; the message lives during the call; the results have
        // room. Zeros: unencrypted, and the usual algorithm.
        let major = unsafe {
            (self.gssapi.functions.wrap)(
                &raw mut minor,
                self.context,
                0,
                0,
                &raw const input,
                ptr::null_mut(),
                &raw mut output,
            )
        };
        let wrapped = self.gssapi.taken(output);
        self.gssapi.check(major, minor)?;
        Ok(wrapped)
    }

    /// The message that the client has wrapped.
    ///
    /// # Errors
    /// [`GssapiError`] when it is not from the client, was heard before, or the context is not whole.
    pub fn unwrap(&self, wrapped: &[u8]) -> Result<Vec<u8>, GssapiError> {
        self.client()?;
        let (input, mut output) = (Buffer::lending(wrapped), Buffer::EMPTY);
        let mut minor = 0;
        // SAFETY: the context is live, for there is a client; the message lives during the call; the results have
        // room.
        let major = unsafe {
            (self.gssapi.functions.unwrap)(
                &raw mut minor,
                self.context,
                &raw const input,
                &raw mut output,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        let message = self.gssapi.taken(output);
        self.gssapi.check(major, minor)?;
        Ok(message)
    }

    /// The client's name, like `alice@EXAMPLE.ORG`.
    ///
    /// # Errors
    /// [`GssapiError`] when the context is not whole.
    pub fn client_name(&self) -> Result<String, GssapiError> {
        let (mut minor, mut text) = (0, Buffer::EMPTY);
        // SAFETY: the name is live; the results have room, and the name's kind is not asked for.
        let major = unsafe {
            (self.gssapi.functions.display_name)(
                &raw mut minor,
                self.client()?.handle.as_ptr(),
                &raw mut text,
                ptr::null_mut(),
            )
        };
        let text = self.gssapi.taken(text);
        self.gssapi.check(major, minor)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Whether the client may act as this user of the system: by the rules of `krb5.conf` and the user's own
    /// `.k5login`, as with sshd.
    ///
    /// # Errors
    /// [`GssapiError`] when the context is not whole.
    pub fn may_act_as(&self, user: &str) -> Result<bool, GssapiError> {
        let user = self.gssapi.name(user, &USER_NAME)?;
        let mut minor = 0;
        // SAFETY: both names are live; the number has room.
        let major = unsafe {
            (self.gssapi.functions.authorize_localname)(
                &raw mut minor,
                self.client()?.handle.as_ptr(),
                user.handle.as_ptr(),
            )
        };
        // Why not is told in no sentence of use: that some attribute is not there.
        Ok(self.gssapi.check(major, minor).is_ok())
    }

    fn client(&self) -> Result<&Name<'a>, GssapiError> {
        self.client.as_ref().ok_or(GssapiError::NoContext)
    }
}

impl Drop for Acceptor<'_> {
    fn drop(&mut self) {
        let mut minor = 0;
        // SAFETY: the context is null or live, and nobody has it any more; null: nobody is told.
        unsafe {
            (self.gssapi.functions.delete_sec_context)(
                &raw mut minor,
                &raw mut self.context,
                ptr::null_mut(),
            )
        };
        // SAFETY: the credential is live, and nobody has it any more.
        unsafe { (self.gssapi.functions.release_cred)(&raw mut minor, &raw mut self.credential) };
    }
}

/// A name of the library's.
#[derive(Debug)]
struct Name<'a> {
    gssapi: &'a Gssapi,
    handle: Handle,
}

impl<'a> Name<'a> {
    fn owning(gssapi: &'a Gssapi, handle: *mut c_void) -> Option<Self> {
        let handle = NonNull::new(handle)?;
        Some(Self { gssapi, handle })
    }
}

impl Drop for Name<'_> {
    fn drop(&mut self) {
        let (mut minor, mut handle) = (0, self.handle.as_ptr());
        // SAFETY: the name is live, and nobody has it any more.
        unsafe { (self.gssapi.functions.release_name)(&raw mut minor, &raw mut handle) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Neither needs a realm or a key table: this holds wherever the library is, as it is wherever curl is.
    #[test]
    fn names_are_made_and_errors_are_sentences() {
        let gssapi = Gssapi::load().unwrap();
        gssapi.name("spice", &HOST_BASED_SERVICE).unwrap();
        let defective_token = 9 << 16;
        let error = gssapi.check(defective_token, 0).unwrap_err().to_string();
        assert!(error.contains("token"), "{error}");
        assert!(gssapi.check(CONTINUE_NEEDED, 5).is_ok());
    }
}
