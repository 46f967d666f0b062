//! `caraway password`: shows a desktop's password, or replaces it while the desktop runs.

use thiserror::Error;

use crate::access::Access;
use crate::cli::PasswordArgs;
use crate::control::client::{self, ClientError};
use crate::password::{Password, PasswordError};
use crate::terminal::answer;
use crate::ticket::NewTicket;

/// Why there is no password to show.
#[derive(Debug, Error)]
pub(crate) enum PasswordCommandError {
    #[error(transparent)]
    Desktop(#[from] ClientError),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error("nobody can only watch; make a password for that: caraway password --view-only --new")]
    NoneToWatch,
    #[error(
        "this desktop's password is used up or has expired; for another: caraway password --new, \
         or it asks for none"
    )]
    None,
}

/// Answers with the password that is good from now on.
pub(crate) fn run(args: &PasswordArgs) -> Result<(), PasswordCommandError> {
    let name = client::resolve(args.name.clone())?;
    let password = match &args.file {
        Some(file) => Some(Password::from_file(file)?),
        None if args.new || args.once || args.expires_in.is_some() => Some(Password::random()?),
        None => None,
    };
    let shown = match password {
        Some(password) => {
            let new = NewTicket {
                password: password.reveal().into(),
                expires_s: args.expires_in,
                once: args.once,
                access: match args.view_only {
                    true => Access::ViewOnly,
                    false => Access::Full,
                },
            };
            client::set_ticket(&name, new)?;
            password.reveal().to_owned()
        }
        None if args.view_only => client::view_only_way_in(&name)?
            .password
            .ok_or(PasswordCommandError::NoneToWatch)?,
        None => client::way_in(&name)?
            .password
            .ok_or(PasswordCommandError::None)?,
    };
    answer(shown);
    Ok(())
}
