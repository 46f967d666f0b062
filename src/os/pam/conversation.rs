//! What PAM's modules ask and are answered: the password, once, and a one-time code, once, where the user has said one.
//!
//! The function is called by C, with memory of C's: `pam_conv(3)` says whose it is when.

use std::cell::{Cell, RefCell};
use std::ffi::{CStr, CString, NulError, c_char, c_int, c_void};
use std::ptr;

use zeroize::Zeroizing;

use super::{PAM_SUCCESS, Secrets};

const PAM_CONV_ERR: c_int = 19;
const PAM_BUF_ERR: c_int = 5;
const PAM_PROMPT_ECHO_OFF: c_int = 1;
const PAM_PROMPT_ECHO_ON: c_int = 2;
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
/// Words of a question that asks for the code and not for the password, whichever comes first.
const CODE_WORDS: [&str; 4] = ["code", "otp", "token", "factor"];

/// What is said when PAM asks.
pub(super) struct Answers {
    /// Gets the first question for a secret that does not ask for a code.
    password: Secret,
    /// Gets the first question that asks for a code, or comes after the password's.
    code: Option<Secret>,
    /// What was asked beyond that.
    unanswered: RefCell<Option<String>>,
    /// What is only to be shown.
    said: RefCell<Vec<String>>,
}

impl Answers {
    /// For one login.
    pub(super) fn new(secrets: Secrets<'_>) -> Result<Box<Self>, NulError> {
        Ok(Box::new(Self {
            password: Secret::new(secrets.password)?,
            code: secrets.code.map(Secret::new).transpose()?,
            unanswered: RefCell::default(),
            said: RefCell::default(),
        }))
    }

    /// The first question to which there was no answer.
    pub(super) fn unanswered(&self) -> Option<String> {
        self.unanswered.borrow().clone()
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
        if SAID_MAX <= said.len() {
            return;
        }
        said.extend(words(text));
    }

    /// What a question is answered with. What is asked visibly is never the password.
    fn secret(&self, style: c_int, question: &str) -> Option<&Secret> {
        let question = question.to_ascii_lowercase();
        let asks_for_code = CODE_WORDS.iter().any(|word| question.contains(word));
        let code = self.code.as_ref().filter(|code| !code.is_told.get());
        let password = Some(&self.password);
        let password = password.filter(|it| style == PAM_PROMPT_ECHO_OFF && !it.is_told.get());
        let secret = match asks_for_code && self.code.is_some() {
            true => code,
            false => password.or(code),
        };
        secret.inspect(|secret| secret.is_told.set(true))
    }

    /// An answer for the allocator of C, or none; an error ends the judgement.
    fn to(&self, style: c_int, text: *const c_char) -> Result<*mut c_char, c_int> {
        match style {
            PAM_PROMPT_ECHO_OFF | PAM_PROMPT_ECHO_ON => {
                let question = words(text).unwrap_or_default();
                let Some(secret) = self.secret(style, &question) else {
                    self.unanswered.borrow_mut().get_or_insert(question);
                    return Err(PAM_CONV_ERR);
                };
                // SAFETY: the string ends with NUL.
                let copy = unsafe { libc::strdup(secret.text.as_ptr().cast()) };
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

/// Something that is told once.
struct Secret {
    /// It ends with NUL, and has no other.
    text: Zeroizing<Vec<u8>>,
    is_told: Cell<bool>,
}

impl Secret {
    fn new(text: &[u8]) -> Result<Self, NulError> {
        Ok(Self {
            text: Zeroizing::new(CString::new(text)?.into_bytes_with_nul()),
            is_told: Cell::new(false),
        })
    }
}

/// The beginning of a message's text, if it has one.
fn words(text: *const c_char) -> Option<String> {
    if text.is_null() {
        return None;
    }
    // SAFETY: a message's text ends with NUL and lives for this call.
    let text = unsafe { CStr::from_ptr(text) }.to_bytes();
    let text = text.get(..SAID_BYTES_MAX).unwrap_or(text);
    Some(String::from_utf8_lossy(text).into_owned())
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
                answers.to(message.style, message.text)
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
        ask_all(&questions, answers, has_place)
    }

    fn ask_all(
        questions: &[Message],
        answers: &Answers,
        has_place: bool,
    ) -> (c_int, Vec<Option<CString>>) {
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
                c_int::try_from(questions.len()).unwrap(),
                pointers.as_mut_ptr(),
                place,
                ptr::from_ref(answers).cast_mut().cast(),
            )
        };
        if replies.is_null() {
            return (status, Vec::new());
        }
        // SAFETY: there are as many responses as questions.
        let given = unsafe { std::slice::from_raw_parts(replies, questions.len()) };
        let texts = given
            .iter()
            .map(|reply| {
                let text = NonNull::new(reply.text)?;
                // SAFETY: texts end with NUL.
                Some(unsafe { CStr::from_ptr(text.as_ptr()) }.to_owned())
            })
            .collect();
        forget(replies, questions.len());
        (status, texts)
    }

    fn answers() -> Box<Answers> {
        let secrets = Secrets {
            password: b"secret",
            code: None,
        };
        Answers::new(secrets).unwrap()
    }

    fn answers_with_code() -> Box<Answers> {
        let secrets = Secrets {
            password: b"secret",
            code: Some(b"123456"),
        };
        Answers::new(secrets).unwrap()
    }

    /// Asks one question; gives the answer.
    fn asked(style: c_int, question: &CStr, answers: &Answers) -> Option<CString> {
        let question = Message {
            style,
            text: question.as_ptr(),
        };
        ask_all(&[question], answers, true).1.pop().flatten()
    }

    #[test]
    fn a_code_answers_the_question_for_it_before_or_after_the_password() {
        let (secret, code) = (Some(c"secret".to_owned()), Some(c"123456".to_owned()));
        let answers = answers_with_code();
        assert_eq!(asked(1, c"Password: ", &answers), secret);
        assert_eq!(asked(1, c"Verification code: ", &answers), code);
        assert_eq!(asked(1, c"Once more: ", &answers), None);
        assert_eq!(answers.unanswered().as_deref(), Some("Once more: "));
        let answers = answers_with_code();
        assert_eq!(asked(2, c"Verification code: ", &answers), code);
        assert_eq!(asked(1, c"Passwort: ", &answers), secret);
        let answers = answers_with_code();
        assert_eq!(asked(1, c"Passwort: ", &answers), secret);
        assert_eq!(
            asked(2, c"Kennzahl: ", &answers),
            code,
            "what comes second is for it"
        );
        assert_eq!(
            asked(2, c"Password: ", &answers_with_code()),
            code,
            "never the password"
        );
    }

    #[test]
    fn without_a_code_what_asks_for_one_as_well_gets_all_that_was_said() {
        let answers = answers();
        assert_eq!(
            asked(1, c"Password & verification code: ", &answers),
            Some(c"secret".to_owned())
        );
        assert_eq!(asked(1, c"Code: ", &answers), None);
        assert_eq!(answers.unanswered().as_deref(), Some("Code: "));
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
