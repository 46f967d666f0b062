//! The system's judgement of a password: PAM, as far as a server needs it.
//!
//! libpam is found at run time and not linked, so that the server runs, and builds, without it. Its modules are
//! programs of others: they sleep, hang and crash, so that this is for a process of its own that is killed when it
//! takes too long. `pam_start(3)` and the manual pages that it names tell what the functions do.
//!
//! INVARIANT: the functions are of the signatures below, which is what a library of this name and these
//! symbols promises; the library stays loaded as long as they may be called.

#![expect(unsafe_code, reason = "a library that is found at run time")]

use std::cell::Cell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::ptr::{self, NonNull};

use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
use zeroize::Zeroizing;

const LIBRARY: &str = "libpam.so.0";

const PAM_SUCCESS: c_int = 0;
const PAM_CONV_ERR: c_int = 19;
const PAM_BUF_ERR: c_int = 5;
const PAM_USER: c_int = 2;
const PAM_RHOST: c_int = 4;
const PAM_FAIL_DELAY: c_int = 10;
const PAM_DISALLOW_NULL_AUTHTOK: c_int = 1;
const PAM_SILENT: c_int = 0x8000;
const PAM_PROMPT_ECHO_OFF: c_int = 1;
const PAM_ERROR_MSG: c_int = 3;
const PAM_TEXT_INFO: c_int = 4;

/// `PAM_MAX_NUM_MSG`: messages of one call.
const MESSAGES_MAX: c_int = 32;

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
}

#[repr(C)]
struct Message {
    style: c_int,
    text: *const c_char,
}

#[repr(C)]
struct Response {
    text: *mut c_char,
    code: c_int,
}

#[repr(C)]
struct Conversation {
    converse: Converse,
    data: *mut c_void,
}

type Converse = unsafe extern "C" fn(
    count: c_int,
    messages: *mut *const Message,
    responses: *mut *mut Response,
    data: *mut c_void,
) -> c_int;
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
type GetItem =
    unsafe extern "C" fn(handle: *mut c_void, item: c_int, value: *mut *const c_void) -> c_int;

/// The loaded library.
#[derive(Debug)]
pub struct Pam {
    start: Start,
    authenticate: Act,
    account: Act,
    end: Act,
    set_item: SetItem,
    get_item: GetItem,
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
        let end = *unsafe { all.get::<Act>("pam_end") }?;
        // SAFETY: this is the function's signature in _pam_types.h.
        let set_item = *unsafe { all.get::<SetItem>("pam_set_item") }?;
        // SAFETY: this is the function's signature in _pam_types.h.
        let get_item = *unsafe { all.get::<GetItem>("pam_get_item") }?;
        Ok(Self {
            start,
            authenticate,
            account,
            end,
            set_item,
            get_item,
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
        let answers = Answers {
            password: Zeroizing::new(CString::new(password)?.into_bytes_with_nul()),
            is_told: Cell::new(false),
        };
        let conversation = Conversation {
            converse,
            data: (&raw const answers).cast_mut().cast(),
        };
        let service = CString::new(service)?;
        let (user, remote) = (CString::new(user)?, CString::new(remote)?);
        let mut transaction = self.begin(&service, &user, &conversation)?;
        transaction.set_item(PAM_RHOST, remote.as_ptr().cast())?;
        // Wrong passwords are answered late by whoever asked; here nobody sleeps over them.
        let delay: FailDelay = no_delay;
        transaction.set_item(PAM_FAIL_DELAY, delay as *const c_void)?;
        let flags = PAM_SILENT | PAM_DISALLOW_NULL_AUTHTOK;
        transaction
            .act(self.authenticate, flags)
            .map_err(PamError::Authenticate)?;
        transaction
            .act(self.account, flags)
            .map_err(PamError::Account)?;
        transaction.user()
    }

    fn begin<'a>(
        &'a self,
        service: &CStr,
        user: &CStr,
        conversation: &'a Conversation,
    ) -> Result<Transaction<'a>, PamError> {
        let mut handle = ptr::null_mut();
        // SAFETY: both strings end with NUL and are copied; the conversation, with what it points to, outlives the
        // transaction, whose lifetime is bound to it; the handle is written where there is room for it.
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

/// One judgement, ended when it is dropped.
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

/// What is said when PAM asks.
struct Answers {
    /// It ends with NUL, and has no other.
    password: Zeroizing<Vec<u8>>,
    /// The first question for a secret gets the password; another one is for something else.
    is_told: Cell<bool>,
}

impl Answers {
    /// An answer for the allocator of C, or none; an error ends the judgement.
    fn to(&self, style: c_int) -> Result<*mut c_char, c_int> {
        match style {
            PAM_PROMPT_ECHO_OFF if !self.is_told.replace(true) => {
                // SAFETY: the string ends with NUL.
                let copy = unsafe { libc::strdup(self.password.as_ptr().cast()) };
                if copy.is_null() {
                    Err(PAM_BUF_ERR)
                } else {
                    Ok(copy)
                }
            }
            PAM_ERROR_MSG | PAM_TEXT_INFO => Ok(ptr::null_mut()),
            _ => Err(PAM_CONV_ERR),
        }
    }
}

/// Called by PAM's modules. Some pass no place for responses with what is only to be shown.
unsafe extern "C" fn converse(
    count: c_int,
    messages: *mut *const Message,
    responses: *mut *mut Response,
    data: *mut c_void,
) -> c_int {
    let Some(length) = usize::try_from(count)
        .ok()
        .filter(|_| (1..=MESSAGES_MAX).contains(&count))
    else {
        return PAM_CONV_ERR;
    };
    if messages.is_null() || data.is_null() {
        return PAM_CONV_ERR;
    }
    // SAFETY: this is the pointer of the conversation, to what outlives the transaction; only this thread uses it.
    let answers = unsafe { &*data.cast::<Answers>() };
    // SAFETY: PAM passes as many pointers as it says (Linux-PAM: an array of pointers).
    let messages = unsafe { std::slice::from_raw_parts(messages, length) };
    // SAFETY: any size may be asked for; the memory is zeros, which are responses without text.
    let replies = unsafe { libc::calloc(length, size_of::<Response>()) }.cast::<Response>();
    if replies.is_null() {
        return PAM_BUF_ERR;
    }
    let mut status = PAM_SUCCESS;
    for (at, message) in messages.iter().enumerate() {
        // SAFETY: each is null or points to a message that lives for this call.
        let answer = match unsafe { message.as_ref() } {
            Some(message) => answers.to(message.style),
            None => Err(PAM_CONV_ERR),
        };
        match answer {
            Ok(text) => {
                // SAFETY: `at` is below the length that was allocated.
                let reply = unsafe { replies.add(at) };
                // SAFETY: the place is allocated, aligned and holds a valid response, and nobody else has it.
                unsafe { (*reply).text = text };
            }
            Err(error) => status = error,
        }
    }
    if status != PAM_SUCCESS || responses.is_null() {
        forget(replies, length);
        return status;
    }
    // SAFETY: the place is there, as was just checked; PAM frees what is put there.
    unsafe { responses.write(replies) };
    PAM_SUCCESS
}

/// Wipes and frees responses that PAM does not get.
fn forget(replies: *mut Response, length: usize) {
    for at in 0..length {
        // SAFETY: `at` is below the length that was allocated.
        let reply = unsafe { replies.add(at) };
        // SAFETY: the place is allocated, aligned and holds a valid response.
        let text = unsafe { (*reply).text };
        if !text.is_null() {
            // SAFETY: the text was made by strdup and ends with NUL.
            let length = unsafe { libc::strlen(text) };
            // SAFETY: that many bytes of it are ours.
            unsafe { libc::explicit_bzero(text.cast(), length) };
            // SAFETY: it was made by strdup and nobody else has it.
            unsafe { libc::free(text.cast()) };
        }
    }
    // SAFETY: it was made by calloc and nobody else has it.
    unsafe { libc::free(replies.cast()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls the conversation as a module does. Gives its status and the texts of its responses.
    fn ask(styles: &[c_int], answers: &Answers, has_place: bool) -> (c_int, Vec<Option<CString>>) {
        let questions: Vec<Message> = styles
            .iter()
            .map(|style| Message {
                style: *style,
                text: c"?".as_ptr(),
            })
            .collect();
        let mut pointers: Vec<*const Message> = questions.iter().map(ptr::from_ref).collect();
        let mut replies = ptr::null_mut();
        let place = if has_place {
            &raw mut replies
        } else {
            ptr::null_mut()
        };
        // SAFETY: as many pointers as are counted, a place or none, and answers that outlive the call.
        let status = unsafe {
            converse(
                c_int::try_from(styles.len()).unwrap(),
                pointers.as_mut_ptr(),
                place,
                ptr::from_ref(answers).cast_mut().cast(),
            )
        };
        if replies.is_null() {
            return (status, Vec::new());
        }
        // SAFETY: there are as many responses as questions.
        let given = unsafe { std::slice::from_raw_parts(replies, styles.len()) };
        let texts = given
            .iter()
            .map(|reply| {
                let text = NonNull::new(reply.text)?;
                // SAFETY: texts end with NUL.
                Some(unsafe { CStr::from_ptr(text.as_ptr()) }.to_owned())
            })
            .collect();
        forget(replies, styles.len());
        (status, texts)
    }

    fn answers() -> Answers {
        Answers {
            password: Zeroizing::new(b"secret\0".to_vec()),
            is_told: Cell::new(false),
        }
    }

    #[test]
    fn the_password_is_told_once_and_to_nothing_else() {
        let answers = answers();
        let (status, texts) = ask(&[PAM_TEXT_INFO, PAM_PROMPT_ECHO_OFF], &answers, true);
        assert_eq!(
            (status, texts),
            (PAM_SUCCESS, vec![None, Some(c"secret".to_owned())])
        );
        let (status, texts) = ask(&[PAM_PROMPT_ECHO_OFF], &answers, true);
        assert_eq!((status, texts), (PAM_CONV_ERR, Vec::new()));
    }

    #[test]
    fn other_questions_end_it_and_words_without_a_place_do_not() {
        assert_eq!(ask(&[2], &answers(), true), (PAM_CONV_ERR, Vec::new()));
        let both = [PAM_PROMPT_ECHO_OFF, 2];
        assert_eq!(ask(&both, &answers(), true), (PAM_CONV_ERR, Vec::new()));
        assert_eq!(
            ask(&[PAM_ERROR_MSG], &answers(), false),
            (PAM_SUCCESS, Vec::new())
        );
        let many = [PAM_TEXT_INFO; 33];
        assert_eq!(ask(&many, &answers(), true), (PAM_CONV_ERR, Vec::new()));
        assert_eq!(ask(&[], &answers(), true), (PAM_CONV_ERR, Vec::new()));
    }
}
