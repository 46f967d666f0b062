//! The system's judgement of a password: PAM, as far as a server needs it.
//!
//! libpam is found at run time and not linked, so that the server runs, and builds, without it. Its modules are
//! programs of others: they sleep, hang and crash, so that this is for a process of its own that is killed when it
//! takes too long. `pam_start(3)` and the manual pages that it names tell what the functions do.
//!
//! INVARIANT: the functions are of the signatures below, which is what a library of this name and these
//! symbols promises; the library stays loaded as long as they may be called.

#![expect(unsafe_code, reason = "a library that is found at run time")]

mod conversation;

use std::ffi::{CStr, CString, OsString, c_char, c_int, c_void};
use std::os::unix::ffi::OsStringExt;
use std::ptr::{self, NonNull};

use self::conversation::{Answers, Conversation};
use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};

const LIBRARY: &str = "libpam.so.0";

const PAM_SUCCESS: c_int = 0;
const PAM_USER: c_int = 2;
const PAM_RHOST: c_int = 4;
const PAM_FAIL_DELAY: c_int = 10;
const PAM_NEW_AUTHTOK_REQD: c_int = 12;
const PAM_ESTABLISH_CRED: c_int = 2;
const PAM_DELETE_CRED: c_int = 4;
const PAM_DISALLOW_NULL_AUTHTOK: c_int = 1;
const PAM_SILENT: c_int = 0x8000;

/// Variables that a session may get from the rules.
const VARIABLES_MAX: usize = 256;

/// Why a password does not let in.
#[derive(Debug, thiserror::Error)]
pub enum PamError {
    /// The library is not installed, or lacks a function: the system's affair.
    #[error("{LIBRARY} cannot be used")]
    Load(#[from] libloading::Error),
    /// A name or password with a NUL: the client's fault.
    #[error("a NUL in a name or password")]
    Nul(#[from] std::ffi::NulError),
    /// A function failed before anything was judged; PAM's number.
    #[error("PAM does not begin: error {0}")]
    Start(c_int),
    /// The password is wrong; PAM's number.
    #[error("wrong password: error {0}")]
    Authenticate(c_int),
    /// The password is right, and the account may not be used now; PAM's number.
    #[error("the account may not be used: error {0}")]
    Account(c_int),
    /// The password is right and has to be changed before anything else.
    #[error("the password has expired")]
    Expired,
    /// The rules give no session; PAM's number.
    #[error("no session: error {0}")]
    Session(c_int),
}

/// What a user has said already, for when PAM asks.
#[derive(Clone, Copy)]
pub struct Secrets<'a> {
    /// The password.
    pub password: &'a [u8],
    /// A one-time code, for a second question.
    pub code: Option<&'a [u8]>,
}

type Handle = NonNull<c_void>;
type Start = unsafe extern "C" fn(
    service: *const c_char,
    user: *const c_char,
    conversation: *const Conversation,
    handle: *mut *mut c_void,
) -> c_int;
type Act = unsafe extern "C" fn(handle: *mut c_void, flags_or_status: c_int) -> c_int;
type SetItem =
    unsafe extern "C" fn(handle: *mut c_void, item: c_int, value: *const c_void) -> c_int;
type PutVariable = unsafe extern "C" fn(handle: *mut c_void, name_value: *const c_char) -> c_int;
type Variables = unsafe extern "C" fn(handle: *mut c_void) -> *mut *mut c_char;
type GetItem =
    unsafe extern "C" fn(handle: *mut c_void, item: c_int, value: *mut *const c_void) -> c_int;

/// The loaded library.
#[derive(Debug)]
pub struct Pam {
    start: Start,
    authenticate: Act,
    account: Act,
    credentials: Act,
    open_session: Act,
    close_session: Act,
    end: Act,
    set_item: SetItem,
    get_item: GetItem,
    put_variable: PutVariable,
    variables: Variables,
}

impl Pam {
    /// Loads the library, for the rest of the process's life.
    ///
    /// # Errors
    /// [`PamError::Load`] where there is none.
    pub fn load() -> Result<Self, PamError> {
        // SAFETY: the library's initialisers need nothing of us.
        let library = unsafe { Library::open(Some(LIBRARY), RTLD_NOW | RTLD_GLOBAL) }?;
        // Modules keep state and threads of their own, so it is never unloaded.
        std::mem::forget(library);
        // Functions are looked up as the linker would, so that what is loaded before the library comes before it.
        let all = Library::this();
        // SAFETY: this is the function's signature in pam_appl.h.
        let start = *unsafe { all.get::<Start>("pam_start") }?;
        // SAFETY: this is the function's signature in pam_appl.h.
        let authenticate = *unsafe { all.get::<Act>("pam_authenticate") }?;
        // SAFETY: this is the function's signature in pam_appl.h.
        let account = *unsafe { all.get::<Act>("pam_acct_mgmt") }?;
        // SAFETY: this is the function's signature in pam_appl.h.
        let credentials = *unsafe { all.get::<Act>("pam_setcred") }?;
        // SAFETY: this is the function's signature in pam_appl.h.
        let open_session = *unsafe { all.get::<Act>("pam_open_session") }?;
        // SAFETY: this is the function's signature in pam_appl.h.
        let close_session = *unsafe { all.get::<Act>("pam_close_session") }?;
        // SAFETY: this is the function's signature in pam_appl.h.
        let end = *unsafe { all.get::<Act>("pam_end") }?;
        // SAFETY: this is the function's signature in _pam_types.h.
        let set_item = *unsafe { all.get::<SetItem>("pam_set_item") }?;
        // SAFETY: this is the function's signature in _pam_types.h.
        let get_item = *unsafe { all.get::<GetItem>("pam_get_item") }?;
        // SAFETY: this is the function's signature in _pam_types.h.
        let put_variable = *unsafe { all.get::<PutVariable>("pam_putenv") }?;
        // SAFETY: this is the function's signature in pam_appl.h.
        let variables = *unsafe { all.get::<Variables>("pam_getenvlist") }?;
        Ok(Self {
            start,
            authenticate,
            account,
            credentials,
            open_session,
            close_session,
            end,
            set_item,
            get_item,
            put_variable,
            variables,
        })
    }

    /// Judges a user's password and account by the rules of `service`; `remote` is where the user is. Gives the name of
    /// the user that the rules made of it. Takes as long as the system's modules like.
    ///
    /// # Errors
    /// [`PamError`] says why the user is not let in.
    pub fn judge(
        &self,
        service: &str,
        user: &str,
        password: &[u8],
        remote: &str,
    ) -> Result<String, PamError> {
        let secrets = Secrets {
            password,
            code: None,
        };
        let mut login = self.login(service, user, secrets, remote)?;
        login.authenticate(PAM_SILENT)?;
        login.account(PAM_SILENT)?;
        login.user()
    }

    /// Begins a user's login by the rules of `service`; nothing is judged yet. `remote` is where the user is.
    ///
    /// # Errors
    /// [`PamError`] when it does not begin.
    pub fn login(
        &self,
        service: &str,
        user: &str,
        secrets: Secrets<'_>,
        remote: &str,
    ) -> Result<Login<'_>, PamError> {
        let answers = Answers::new(secrets)?;
        let conversation = answers.conversation();
        let service = CString::new(service)?;
        let (user, remote) = (CString::new(user)?, CString::new(remote)?);
        let mut transaction = self.begin(&service, &user, &conversation)?;
        transaction.set_item(PAM_RHOST, remote.as_ptr().cast())?;
        // Wrong passwords are answered late by whoever asked; here nobody sleeps over them.
        let delay: FailDelay = no_delay;
        transaction.set_item(PAM_FAIL_DELAY, delay as *const c_void)?;
        Ok(Login {
            transaction,
            has_session: false,
            _conversation: conversation,
            answers,
        })
    }

    /// The conversation, and what it points to, have to outlive the transaction: [`Login`] keeps all of them.
    fn begin(
        &self,
        service: &CStr,
        user: &CStr,
        conversation: &Conversation,
    ) -> Result<Transaction<'_>, PamError> {
        let mut handle = ptr::null_mut();
        // SAFETY: both strings end with NUL and are copied; the conversation, with what it points to, is kept in
        // place by the login that keeps the transaction, and goes after it; the handle is written where
        // there is room for it.
        let status = unsafe {
            (self.start)(
                service.as_ptr(),
                user.as_ptr(),
                conversation,
                &raw mut handle,
            )
        };
        match NonNull::new(handle).filter(|_| status == PAM_SUCCESS) {
            Some(handle) => Ok(Transaction {
                pam: self,
                handle,
                status,
            }),
            None => Err(PamError::Start(status)),
        }
    }
}

/// One user's login, from the judgement to the end of the session, which ends when this is dropped.
pub struct Login<'a> {
    // First, so that it goes before what it may ask.
    transaction: Transaction<'a>,
    has_session: bool,
    _conversation: Box<Conversation>,
    answers: Box<Answers>,
}

impl Login<'_> {
    /// Judges the password.
    ///
    /// # Errors
    /// [`PamError::Authenticate`] when it is wrong.
    pub fn authenticate(&mut self, flags: c_int) -> Result<(), PamError> {
        let act = self.transaction.pam.authenticate;
        let judged = self.transaction.act(act, flags | PAM_DISALLOW_NULL_AUTHTOK);
        judged.map_err(PamError::Authenticate)
    }

    /// Judges the account.
    ///
    /// # Errors
    /// [`PamError::Account`] when it may not be used now, [`PamError::Expired`] when its password may not.
    pub fn account(&mut self, flags: c_int) -> Result<(), PamError> {
        let act = self.transaction.pam.account;
        let judged = self.transaction.act(act, flags | PAM_DISALLOW_NULL_AUTHTOK);
        judged.map_err(|error| match error {
            PAM_NEW_AUTHTOK_REQD => PamError::Expired,
            other => PamError::Account(other),
        })
    }

    /// The name of the user that the rules made of the one that was given.
    ///
    /// # Errors
    /// [`PamError::Start`] when there is none.
    pub fn user(&mut self) -> Result<String, PamError> {
        self.transaction.user()
    }

    /// Opens the session of a user who has been judged, with these variables for the rules to see.
    ///
    /// # Errors
    /// [`PamError::Session`] when the rules refuse.
    pub fn open_session(&mut self, variables: &[&str]) -> Result<(), PamError> {
        for variable in variables {
            self.transaction.put_variable(&CString::new(*variable)?)?;
        }
        let (credentials, open) = (
            self.transaction.pam.credentials,
            self.transaction.pam.open_session,
        );
        let transaction = &mut self.transaction;
        transaction
            .act(credentials, PAM_ESTABLISH_CRED)
            .map_err(PamError::Session)?;
        transaction.act(open, 0).map_err(PamError::Session)?;
        self.has_session = true;
        Ok(())
    }

    /// Variables that the rules want the session to have.
    pub fn variables(&self) -> Vec<(OsString, OsString)> {
        self.transaction.variables()
    }

    /// The question to which there was no answer, if there was one: the rules ask for more than the user has said.
    pub fn unanswered(&self) -> Option<String> {
        self.answers.unanswered()
    }

    /// What the rules had to say to the user.
    pub fn said(&self) -> Vec<String> {
        self.answers.said()
    }
}

impl Drop for Login<'_> {
    fn drop(&mut self) {
        if self.has_session {
            let (credentials, close) = (
                self.transaction.pam.credentials,
                self.transaction.pam.close_session,
            );
            // Whatever they say, it ends here.
            let _ = self.transaction.act(close, PAM_SILENT);
            let _ = self.transaction.act(credentials, PAM_DELETE_CRED);
        }
    }
}

/// What PAM knows of one login, ended when it is dropped.
struct Transaction<'a> {
    pam: &'a Pam,
    handle: Handle,
    status: c_int,
}

impl Transaction<'_> {
    fn set_item(&mut self, item: c_int, value: *const c_void) -> Result<(), PamError> {
        // SAFETY: the handle is live; a string is copied, a function lives as long as the program.
        self.status = unsafe { (self.pam.set_item)(self.handle.as_ptr(), item, value) };
        match self.status {
            PAM_SUCCESS => Ok(()),
            status => Err(PamError::Start(status)),
        }
    }

    fn act(&mut self, act: Act, flags: c_int) -> Result<(), c_int> {
        // SAFETY: the handle is live, and the conversation that it may call is, too.
        self.status = unsafe { act(self.handle.as_ptr(), flags) };
        match self.status {
            PAM_SUCCESS => Ok(()),
            status => Err(status),
        }
    }

    fn put_variable(&mut self, name_value: &CStr) -> Result<(), PamError> {
        // SAFETY: the handle is live; the string ends with NUL and is copied.
        self.status = unsafe { (self.pam.put_variable)(self.handle.as_ptr(), name_value.as_ptr()) };
        match self.status {
            PAM_SUCCESS => Ok(()),
            status => Err(PamError::Session(status)),
        }
    }

    fn variables(&self) -> Vec<(OsString, OsString)> {
        let mut found = Vec::new();
        // SAFETY: the handle is live.
        let list = unsafe { (self.pam.variables)(self.handle.as_ptr()) };
        if list.is_null() {
            return found;
        }
        for at in 0..VARIABLES_MAX {
            // SAFETY: no place before the null that ends the list has been null.
            let place = unsafe { list.add(at) };
            // SAFETY: the place is in the list, which ends with a null.
            let text = unsafe { place.read() };
            if text.is_null() {
                break;
            }
            // SAFETY: each entry is a string that ends with NUL.
            let bytes = unsafe { CStr::from_ptr(text) }.to_bytes().to_vec();
            // SAFETY: the entries were made by malloc and are the caller's to free.
            unsafe { libc::free(text.cast()) };
            if let Some(at) = bytes.iter().position(|byte| *byte == b'=') {
                let (name, value) = bytes.split_at(at);
                let value = value.get(1..).unwrap_or_default();
                found.push((
                    OsString::from_vec(name.into()),
                    OsString::from_vec(value.into()),
                ));
            }
        }
        // SAFETY: the list was made by malloc and is the caller's to free.
        unsafe { libc::free(list.cast()) };
        found
    }

    fn user(&mut self) -> Result<String, PamError> {
        let mut name = ptr::null();
        // SAFETY: the handle is live; the pointer is written where there is room for it.
        self.status = unsafe { (self.pam.get_item)(self.handle.as_ptr(), PAM_USER, &raw mut name) };
        if self.status != PAM_SUCCESS || name.is_null() {
            return Err(PamError::Start(self.status));
        }
        // SAFETY: the item is a string that ends with NUL and stays until the transaction ends.
        let name = unsafe { CStr::from_ptr(name.cast()) };
        Ok(name.to_string_lossy().into_owned())
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        // SAFETY: the handle is live, and nobody has it any more.
        unsafe { (self.pam.end)(self.handle.as_ptr(), self.status) };
    }
}

type FailDelay = extern "C" fn(status: c_int, delay_us: libc::c_uint, data: *mut c_void);

extern "C" fn no_delay(_status: c_int, _delay_us: libc::c_uint, _data: *mut c_void) {}
