//! The functions of GSS-API that are called, as `gssapi.h` and `gssapi_ext.h` declare them.

use std::ffi::{c_int, c_void};

use libloading::Library;

use super::{Buffer, Oid, OidSet};

/// The library's name in every version of MIT's Kerberos so far.
pub(super) const LIBRARY: &str = "libgssapi_krb5.so.2";

type ImportName = unsafe extern "C" fn(
    minor: *mut u32,
    text: *const Buffer,
    kind: *const Oid,
    name: *mut *mut c_void,
) -> u32;
type AcquireCred = unsafe extern "C" fn(
    minor: *mut u32,
    name: *mut c_void,
    seconds: u32,
    mechanisms: *const OidSet,
    usage: c_int,
    credential: *mut *mut c_void,
    actual_mechanisms: *mut *mut OidSet,
    actual_seconds: *mut u32,
) -> u32;
type AcceptSecContext = unsafe extern "C" fn(
    minor: *mut u32,
    context: *mut *mut c_void,
    credential: *mut c_void,
    token: *const Buffer,
    bindings: *mut c_void,
    client: *mut *mut c_void,
    mechanism: *mut *mut Oid,
    answer: *mut Buffer,
    flags: *mut u32,
    seconds: *mut u32,
    delegated: *mut *mut c_void,
) -> u32;
type Wrap = unsafe extern "C" fn(
    minor: *mut u32,
    context: *mut c_void,
    encrypt: c_int,
    quality: u32,
    message: *const Buffer,
    is_encrypted: *mut c_int,
    wrapped: *mut Buffer,
) -> u32;
type Unwrap = unsafe extern "C" fn(
    minor: *mut u32,
    context: *mut c_void,
    wrapped: *const Buffer,
    message: *mut Buffer,
    is_encrypted: *mut c_int,
    quality: *mut u32,
) -> u32;
type DisplayName = unsafe extern "C" fn(
    minor: *mut u32,
    name: *mut c_void,
    text: *mut Buffer,
    kind: *mut *mut Oid,
) -> u32;
type AuthorizeLocalname =
    unsafe extern "C" fn(minor: *mut u32, name: *mut c_void, user: *mut c_void) -> u32;
type DisplayStatus = unsafe extern "C" fn(
    minor: *mut u32,
    status: u32,
    whose: c_int,
    mechanism: *const Oid,
    more: *mut u32,
    text: *mut Buffer,
) -> u32;
type ReleaseBuffer = unsafe extern "C" fn(minor: *mut u32, buffer: *mut Buffer) -> u32;
type Release = unsafe extern "C" fn(minor: *mut u32, handle: *mut *mut c_void) -> u32;
type DeleteSecContext =
    unsafe extern "C" fn(minor: *mut u32, context: *mut *mut c_void, token: *mut Buffer) -> u32;

#[derive(Debug)]
pub(super) struct Functions {
    pub(super) import_name: ImportName,
    pub(super) acquire_cred: AcquireCred,
    pub(super) accept_sec_context: AcceptSecContext,
    pub(super) wrap: Wrap,
    pub(super) unwrap: Unwrap,
    pub(super) display_name: DisplayName,
    pub(super) authorize_localname: AuthorizeLocalname,
    pub(super) display_status: DisplayStatus,
    pub(super) release_buffer: ReleaseBuffer,
    pub(super) release_name: Release,
    pub(super) release_cred: Release,
    pub(super) delete_sec_context: DeleteSecContext,
}

impl Functions {
    /// The library is never unloaded: it may keep state for its threads.
    pub(super) fn load() -> Result<Self, libloading::Error> {
        // SAFETY: the library's initialisers need nothing of us.
        let library = unsafe { Library::new(LIBRARY) }?;
        let library = Box::leak(Box::new(library));
        Ok(Self {
            // SAFETY: this is the function's signature in gssapi.h.
            import_name: *unsafe { library.get::<ImportName>("gss_import_name") }?,
            // SAFETY: this is the function's signature in gssapi.h.
            acquire_cred: *unsafe { library.get::<AcquireCred>("gss_acquire_cred") }?,
            // SAFETY: this is the function's signature in gssapi.h.
            accept_sec_context: *unsafe {
                library.get::<AcceptSecContext>("gss_accept_sec_context")
            }?,
            // SAFETY: this is the function's signature in gssapi.h.
            wrap: *unsafe { library.get::<Wrap>("gss_wrap") }?,
            // SAFETY: this is the function's signature in gssapi.h.
            unwrap: *unsafe { library.get::<Unwrap>("gss_unwrap") }?,
            // SAFETY: this is the function's signature in gssapi.h.
            display_name: *unsafe { library.get::<DisplayName>("gss_display_name") }?,
            // SAFETY: this is the function's signature in gssapi_ext.h.
            authorize_localname: *unsafe {
                library.get::<AuthorizeLocalname>("gss_authorize_localname")
            }?,
            // SAFETY: this is the function's signature in gssapi.h.
            display_status: *unsafe { library.get::<DisplayStatus>("gss_display_status") }?,
            // SAFETY: this is the function's signature in gssapi.h.
            release_buffer: *unsafe { library.get::<ReleaseBuffer>("gss_release_buffer") }?,
            // SAFETY: this is the function's signature in gssapi.h.
            release_name: *unsafe { library.get::<Release>("gss_release_name") }?,
            // SAFETY: this is the function's signature in gssapi.h.
            release_cred: *unsafe { library.get::<Release>("gss_release_cred") }?,
            // SAFETY: this is the function's signature in gssapi.h.
            delete_sec_context: *unsafe {
                library.get::<DeleteSecContext>("gss_delete_sec_context")
            }?,
        })
    }
}
