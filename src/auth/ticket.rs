//! SPICE tickets: a password that every channel of a client presents.
//!
//! The client sends the password with its NUL, encrypted for one connection. It is compared in constant time, so
//! that neither its length nor its bytes can be learnt from timing.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::base::Micros;
use crate::base::limits::PASSWORD_MAX;

/// Why a password cannot be a ticket; its owner's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Nothing to compare with.
    #[error("the password is empty")]
    Empty,
    /// More than a client can send.
    #[error("the password has {0} bytes, SPICE clients send at most {PASSWORD_MAX}")]
    TooLong(usize),
    /// A NUL inside would end it early.
    #[error("the password contains a NUL")]
    Nul,
}

/// Who is let in.
#[derive(Debug)]
pub enum TicketPolicy {
    /// Everybody who can connect.
    Anybody,
    /// Who knows the password.
    Password(Ticket),
}

impl TicketPolicy {
    /// Whether `plaintext`, a decrypted ticket, opens the door at `now` to a channel that presents this connection id
    /// (0 is a new client's). `None` is a ticket that could not be decrypted.
    pub fn admits(&self, now: Micros, plaintext: Option<&[u8]>, connection_id: u32) -> bool {
        match self {
            Self::Anybody => true,
            Self::Password(ticket) => {
                let is = plaintext.is_some_and(|text| ticket.is(text));
                is && ticket.holds(now) && ticket.serves(connection_id)
            }
        }
    }

    /// A new client got in under this connection id. Returns whether that has used up the password: it is good for
    /// this client's other channels, and for nobody else.
    pub fn spend(&mut self, connection_id: u32) -> bool {
        match self {
            Self::Password(ticket) => ticket.spend(connection_id),
            Self::Anybody => false,
        }
    }
}

/// How many clients a password lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Uses {
    /// Any number.
    Unlimited,
    /// One, and none has come yet.
    Once,
    /// The one with this connection id.
    SpentBy(u32),
}

/// A password with an optional end.
pub struct Ticket {
    password: Zeroizing<[u8; PASSWORD_MAX + 1]>,
    expires: Option<Micros>,
    uses: Uses,
}

impl Ticket {
    /// A ticket for `password`, without a NUL, good until `expires` if given.
    ///
    /// # Errors
    /// [`PasswordError`] for passwords that no client can send.
    pub fn new(password: &[u8], expires: Option<Micros>) -> Result<Self, PasswordError> {
        if password.is_empty() {
            return Err(PasswordError::Empty);
        }
        if password.contains(&0) {
            return Err(PasswordError::Nul);
        }
        let mut padded = Zeroizing::new([0; PASSWORD_MAX + 1]);
        match padded.get_mut(..password.len()) {
            Some(place) if password.len() <= PASSWORD_MAX => place.copy_from_slice(password),
            _ => return Err(PasswordError::TooLong(password.len())),
        }
        Ok(Self {
            password: padded,
            expires,
            uses: Uses::Unlimited,
        })
    }

    /// The same ticket for a single client.
    pub fn once(mut self) -> Self {
        self.uses = Uses::Once;
        self
    }

    /// A new client got in under this connection id. Returns whether that has used it up.
    pub(super) fn spend(&mut self, connection_id: u32) -> bool {
        let is_spent = self.uses == Uses::Once;
        if is_spent {
            self.uses = Uses::SpentBy(connection_id);
        }
        is_spent
    }

    /// Whether it has not expired.
    pub(super) fn holds(&self, now: Micros) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }

    /// Whether it is good for a channel that presents this connection id.
    pub(super) const fn serves(&self, connection_id: u32) -> bool {
        match self.uses {
            Uses::Unlimited => true,
            Uses::Once => connection_id == 0,
            Uses::SpentBy(client) => connection_id == client,
        }
    }

    /// Whether `plaintext` is this password with its NUL.
    pub(super) fn is(&self, plaintext: &[u8]) -> bool {
        // Both sides are compared padded with NULs: a password holds none, so padding cannot make two equal.
        let mut padded = Zeroizing::new([0; PASSWORD_MAX + 1]);
        let fits = match padded.get_mut(..plaintext.len()) {
            Some(place) => {
                place.copy_from_slice(plaintext);
                true
            }
            None => false,
        };
        let equal: bool = self.password.as_slice().ct_eq(padded.as_slice()).into();
        fits && equal
    }
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ticket")
            .field("expires", &self.expires)
            .field("uses", &self.uses)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(password: &[u8], presented: &[u8]) -> bool {
        let ticket = Ticket::new(password, None).unwrap();
        TicketPolicy::Password(ticket).admits(Micros(0), Some(presented), 0)
    }

    #[test]
    fn the_password_with_its_nul_opens() {
        assert!(admits(b"secret", b"secret\0"));
        assert!(admits(
            &[b'x'; PASSWORD_MAX],
            &[&[b'x'; PASSWORD_MAX][..], &[0]].concat()
        ));
        for wrong in [
            &b""[..],
            b"\0",
            b"secre\0",
            b"secrets\0",
            b"Secret\0",
            b"secret\0x",
            &[b's'; 86],
        ] {
            assert!(!admits(b"secret", wrong), "{wrong:?}");
        }
    }

    #[test]
    fn undecryptable_tickets_and_expired_ones_do_not() {
        let policy = TicketPolicy::Password(Ticket::new(b"a", Some(Micros(10))).unwrap());
        assert!(policy.admits(Micros(9), Some(b"a\0"), 0));
        assert!(!policy.admits(Micros(10), Some(b"a\0"), 0));
        assert!(!policy.admits(Micros(0), None, 0));
        assert!(TicketPolicy::Anybody.admits(Micros(0), None, 0));
    }

    #[test]
    fn a_ticket_for_one_is_good_for_all_channels_of_that_one() {
        let mut policy = TicketPolicy::Password(Ticket::new(b"a", None).unwrap().once());
        let admits = |policy: &TicketPolicy, id: u32| policy.admits(Micros(0), Some(b"a\0"), id);
        assert!(admits(&policy, 0));
        assert!(!admits(&policy, 7), "nobody is in yet");
        assert!(policy.spend(7));
        assert!(admits(&policy, 7));
        assert!(!admits(&policy, 0) && !admits(&policy, 8));
        assert!(!policy.admits(Micros(0), Some(b"b\0"), 7));
        assert!(!policy.spend(8), "it was spent before");
        assert!(admits(&policy, 7));
        let mut unlimited = TicketPolicy::Password(Ticket::new(b"a", None).unwrap());
        assert!(!unlimited.spend(7) && admits(&unlimited, 0));
    }

    #[test]
    fn passwords_that_no_client_can_send_are_refused() {
        let error = |password: &[u8]| Ticket::new(password, None).unwrap_err();
        assert_eq!(error(b""), PasswordError::Empty);
        assert_eq!(error(b"a\0b"), PasswordError::Nul);
        assert_eq!(error(&[b'a'; 61]), PasswordError::TooLong(61));
    }

    #[test]
    fn debug_output_keeps_the_secret() {
        let shown = format!("{:?}", Ticket::new(b"geheim", None).unwrap());
        assert!(
            !shown.contains("geheim") && !shown.contains("103"),
            "{shown}"
        );
    }
}
