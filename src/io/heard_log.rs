//! What this thread has logged, for tests of promised lines.
//!
//! One subscriber serves all threads of the test program: with one for each, what a thread hears would hang on which
//! of them came first.

use std::cell::RefCell;
use std::io;
use std::sync::Once;

thread_local! {
    static HEARD: RefCell<Option<Vec<u8>>> = const { RefCell::new(None) };
}

struct Ear;

impl io::Write for Ear {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        HEARD.with_borrow_mut(|heard| {
            if let Some(heard) = heard {
                heard.extend_from_slice(bytes);
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// From now on this thread's lines are kept.
pub(super) fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing_subscriber::fmt()
            .with_writer(|| Ear)
            .with_ansi(false)
            .init();
    });
    HEARD.set(Some(Vec::new()));
}

/// The lines since then that hold these words.
pub(super) fn lines_with(words: &str) -> Vec<String> {
    let heard = HEARD.with_borrow(|heard| heard.clone().unwrap_or_default());
    let heard = String::from_utf8(heard).unwrap();
    let lines = heard.lines().filter(|line| line.contains(words));
    lines.map(str::to_owned).collect()
}
