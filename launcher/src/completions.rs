//! `caraway completions`: scripts that let a shell complete verbs, options and their words, from the definition of the
//! command line itself.

use std::io::Write;

use clap::{Arg, Args, Command, CommandFactory};
use clap_complete::Shell;

use crate::DONE;
use crate::cli::Cli;

/// For which shell.
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: Shell,
}

/// Prints the script; gives the exit status.
pub(crate) fn run(args: &CompletionsArgs) -> u8 {
    // A reader that went away does not want the rest.
    let _ = std::io::stdout().lock().write_all(&script(args.shell));
    DONE
}

fn script(shell: Shell) -> Vec<u8> {
    let mut command = shown(&Cli::command());
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    script
}

/// The command without what is hidden, which the scripts would offer.
fn shown(command: &Command) -> Command {
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    let args = command.get_arguments().filter(|arg| !arg.is_hide_set());
    // Names that clap takes live as long as the program; there are some dozen.
    let name: &'static str = command.get_name().to_owned().leak();
    Command::new(name)
        .about(command.get_about().cloned().unwrap_or_default())
        .args(args.cloned().collect::<Vec<Arg>>())
        .subcommands(verbs.map(shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shell_gets_what_is_shown_and_nothing_else() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = String::from_utf8(script(shell)).unwrap();
            for offered in ["start", "doctor", "geometry", "ticket"] {
                assert!(script.contains(offered), "{shell}: {offered}");
            }
            for hidden in ["__session", "__exec", "detached-as"] {
                assert!(!script.contains(hidden), "{shell}: {hidden}");
            }
        }
    }
}
