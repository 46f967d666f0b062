//! What PAM's modules ask and are answered: the password, once.
//!
//! The function is called by C, with memory of C's: `pam_conv(3)` says whose it is when.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, NulError, c_char, c_int, c_void};
use std::ptr;

use zeroize::Zeroizing;

use super::PAM_SUCCESS;

const PAM_CONV_ERR: c_int = 19;
const PAM_BUF_ERR: c_int = 5;
const PAM_PROMPT_ECHO_OFF: c_int = 1;
const PAM_ERROR_MSG: c_int = 3;
const PAM_TEXT_INFO: c_int = 4;

/// `PAM_MAX_NUM_MSG`: messages of one call.
const MESSAGES_MAX: c_int = 32;

/// Words of the rules that are kept for the user, and bytes of each.
const SAID_MAX: usize = 8;
const SAID_BYTES_MAX: usize = 512;

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

/// `pam_conv`.
#[repr(C)]
pub(super) struct Conversation {
    converse: Converse,
    data: *mut c_void,
}

type Converse = unsafe extern "C" fn(
    count: c_int,
    messages: *mut *const Message,
    responses: *mut *mut Response,
    data: *mut c_void,
) -> c_int;
/// What is said when PAM asks.
pub(super) struct Answers {
    /// It ends with NUL, and has no other.
    password: Zeroizing<Vec<u8>>,
    /// The first question for a secret gets the password; another one is for something else.
    is_told: Cell<bool>,
    /// What is only to be shown.
    said: RefCell<Vec<String>>,
}

impl Answers {
    /// For one login.
    pub(super) fn new(password: &[u8]) -> Result<Box<Self>, NulError> {
        Ok(Box::new(Self {
            password: Zeroizing::new(CString::new(password)?.into_bytes_with_nul()),
            is_told: Cell::new(false),
            said: RefCell::default(),
        }))
    }

    /// What PAM is given to ask. Both stay where they are as long as it may.
    pub(super) fn conversation(&self) -> Box<Conversation> {
        Box::new(Conversation {
            converse,
            data: ptr::from_ref(self).cast_mut().cast(),
        })
    }

    /// What the rules had to say to the user.
    pub(super) fn said(&self) -> Vec<String> {
        self.said.borrow().clone()
    }

    /// Keeps words that are meant for the user.
    fn hear(&self, text: *const c_char) {
        let mut said = self.said.borrow_mut();
        if text.is_null() || SAID_MAX <= said.len() {
            return;
        }
        // SAFETY: a message's text ends with NUL and lives for this call.
        let text = unsafe { CStr::from_ptr(text) }.to_bytes();
        let text = text.get(..SAID_BYTES_MAX).unwrap_or(text);
        said.push(String::from_utf8_lossy(text).into_owned());
    }

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
            Some(message) => {
                if matches!(message.style, PAM_ERROR_MSG | PAM_TEXT_INFO) {
                    answers.hear(message.text);
                }
                answers.to(message.style)
            }
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
    use std::ptr::NonNull;

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
            said: RefCell::default(),
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
        assert_eq!(*answers.said.borrow(), ["?"], "what is to be shown is kept");
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
