//! Selections of two displays made one: what a program owns on the one is offered on the other, and fetched when
//! somebody pastes it there. Each display has the machine that the server has for its clients' clipboards.
//!
//! Lists of files stay where they are: their names on the other display would need a translation of their own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use caraway_server::agent::clipboard::{ClipboardNews, ClipboardOrder, PasteId, TransferId};
use caraway_server::base::SharedBytes;
use caraway_server::io::x11_clipboard::{X11Clipboard, X11ClipboardError};
use caraway_server::wire::agent::{ClipboardType, Selection};

/// Bytes of the largest content that passes.
const CONTENT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Pastes that wait for content; more get none.
const PASTES_MAX: usize = 64;

/// News that wait; who tells more waits as well.
const NEWS_MAX: usize = 64;

/// One of the two displays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Foreign,
    Own,
}

impl Side {
    const fn other(self) -> Self {
        match self {
            Self::Foreign => Self::Own,
            Self::Own => Self::Foreign,
        }
    }
}

/// Shares the selections of both displays for as long as both are there.
pub(super) fn share(
    foreign: (&str, Option<&Path>),
    own: (&str, Option<&Path>),
) -> Result<(), X11ClipboardError> {
    let (tell, told) = sync_channel(NEWS_MAX);
    let start = |side: Side, (display, authority): (&str, Option<&Path>)| {
        let tell: SyncSender<(Side, ClipboardNews)> = tell.clone();
        X11Clipboard::start(display, authority, move |news| {
            tell.send((side, news)).is_ok()
        })
    };
    let clipboards = (start(Side::Foreign, foreign)?, start(Side::Own, own)?);
    thread::Builder::new()
        .name("selections".into())
        .spawn(move || carry(&told, &clipboards.0, &clipboards.1))?;
    Ok(())
}

fn carry(told: &Receiver<(Side, ClipboardNews)>, foreign: &X11Clipboard, own: &X11Clipboard) {
    let mut bridge = Bridge::default();
    while let Ok((side, news)) = told.recv() {
        for (side, order) in bridge.hear(side, news) {
            match side {
                Side::Foreign => foreign.order(order),
                Side::Own => own.order(order),
            }
        }
    }
}

/// Who waits for what.
#[derive(Debug, Default)]
struct Bridge {
    /// Number of the last order about a selection.
    turns: BTreeMap<(Side, u8), u64>,
    /// Fetches on one display for pastes on the other.
    pastes: BTreeMap<TransferId, (Side, PasteId)>,
    last_transfer: u64,
}

impl Bridge {
    /// What follows from something that happened on one display.
    fn hear(&mut self, side: Side, news: ClipboardNews) -> Vec<(Side, ClipboardOrder)> {
        let other = side.other();
        match news {
            ClipboardNews::Owned {
                selection,
                turn,
                types,
            } if self.is_new(side, selection, turn) => {
                let is_shared = |kind: &ClipboardType| *kind != ClipboardType::FileList;
                let types: Vec<ClipboardType> = types.into_iter().filter(is_shared).collect();
                let turn = self.next_turn(other, selection);
                vec![(
                    other,
                    match types.is_empty() {
                        true => ClipboardOrder::Disown { selection, turn },
                        false => ClipboardOrder::Own {
                            selection,
                            turn,
                            types,
                            shared_folder: None,
                        },
                    },
                )]
            }
            ClipboardNews::Unowned { selection, turn } if self.is_new(side, selection, turn) => {
                let turn = self.next_turn(other, selection);
                vec![(other, ClipboardOrder::Disown { selection, turn })]
            }
            ClipboardNews::Paste {
                paste,
                selection,
                kind,
            } => vec![self.fetch(side, paste, selection, kind)],
            ClipboardNews::PasteGone { paste } => self.cancel(side, paste).into_iter().collect(),
            ClipboardNews::Fetched { transfer, result } => {
                let waiting = self.pastes.remove(&transfer).into_iter();
                let data = result.ok();
                let deliver = |(side, paste)| deliver(side, paste, data.clone());
                waiting.map(deliver).collect()
            }
            // What was offered is what was copied, whoever has it now; nothing is converted; and what is old is.
            _ => Vec::new(),
        }
    }

    fn fetch(
        &mut self,
        side: Side,
        paste: PasteId,
        selection: Selection,
        kind: ClipboardType,
    ) -> (Side, ClipboardOrder) {
        if PASTES_MAX <= self.pastes.len() {
            return deliver(side, paste, None);
        }
        self.last_transfer += 1;
        let transfer = TransferId(self.last_transfer);
        self.pastes.insert(transfer, (side, paste));
        let fetch = ClipboardOrder::Fetch {
            transfer,
            selection,
            kind,
            bytes_max: CONTENT_BYTES_MAX,
        };
        (side.other(), fetch)
    }

    /// Nobody waits for that paste any more.
    fn cancel(&mut self, side: Side, paste: PasteId) -> Option<(Side, ClipboardOrder)> {
        let mut waiting = self.pastes.iter();
        let (transfer, _) = waiting.find(|(_, waiting)| **waiting == (side, paste))?;
        let transfer = *transfer;
        self.pastes.remove(&transfer);
        Some((side.other(), ClipboardOrder::Cancel { transfer }))
    }

    /// Whether news come from after the last order, and not from before.
    fn is_new(&self, side: Side, selection: Selection, turn: u64) -> bool {
        let last = self.turns.get(&(side, place(selection)));
        last.copied().unwrap_or_default() <= turn
    }

    fn next_turn(&mut self, side: Side, selection: Selection) -> u64 {
        let turn = self.turns.entry((side, place(selection))).or_default();
        *turn += 1;
        *turn
    }
}

const fn deliver(side: Side, paste: PasteId, data: Option<SharedBytes>) -> (Side, ClipboardOrder) {
    (side, ClipboardOrder::Deliver { paste, data })
}

/// A number for each selection.
const fn place(selection: Selection) -> u8 {
    match selection {
        Selection::Clipboard => 0,
        Selection::Primary => 1,
        Selection::Secondary => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use caraway_server::agent::clipboard::Refusal;

    const SELECTION: Selection = Selection::Clipboard;

    fn owned(turn: u64, types: &[ClipboardType]) -> ClipboardNews {
        ClipboardNews::Owned {
            selection: SELECTION,
            turn,
            types: types.to_vec(),
        }
    }

    #[test]
    fn what_is_copied_here_is_pasted_there() {
        let mut bridge = Bridge::default();
        let offered = bridge.hear(
            Side::Foreign,
            owned(0, &[ClipboardType::FileList, ClipboardType::Utf8Text]),
        );
        let own = ClipboardOrder::Own {
            selection: SELECTION,
            turn: 1,
            types: vec![ClipboardType::Utf8Text],
            shared_folder: None,
        };
        assert_eq!(offered, [(Side::Own, own)]);
        let paste = PasteId(7);
        let asked = bridge.hear(
            Side::Own,
            ClipboardNews::Paste {
                paste,
                selection: SELECTION,
                kind: ClipboardType::Utf8Text,
            },
        );
        let [(Side::Foreign, ClipboardOrder::Fetch { transfer, .. })] = asked[..] else {
            panic!("{asked:?}");
        };
        let text = SharedBytes::from(b"text".to_vec());
        let fetched = ClipboardNews::Fetched {
            transfer,
            result: Ok(text.clone()),
        };
        let answer = bridge.hear(Side::Foreign, fetched.clone());
        assert_eq!(answer, [deliver(Side::Own, paste, Some(text))]);
        assert!(bridge.hear(Side::Foreign, fetched).is_empty(), "once");
    }

    #[test]
    fn news_from_before_an_order_change_nothing() {
        let mut bridge = Bridge::default();
        assert_eq!(
            bridge
                .hear(Side::Foreign, owned(0, &[ClipboardType::Utf8Text]))
                .len(),
            1
        );
        // On the own side that order is number 1; this was told before it was carried out.
        assert!(
            bridge
                .hear(Side::Own, owned(0, &[ClipboardType::Utf8Text]))
                .is_empty()
        );
        let back = bridge.hear(Side::Own, owned(1, &[ClipboardType::Utf8Text]));
        assert!(matches!(
            back[..],
            [(Side::Foreign, ClipboardOrder::Own { turn: 1, .. })]
        ));
        let selection = SELECTION;
        let gone = bridge.hear(Side::Own, ClipboardNews::Unowned { selection, turn: 1 });
        assert!(matches!(
            gone[..],
            [(Side::Foreign, ClipboardOrder::Disown { turn: 2, .. })]
        ));
        let secret = bridge.hear(Side::Own, owned(1, &[]));
        assert!(matches!(
            secret[..],
            [(Side::Foreign, ClipboardOrder::Disown { turn: 3, .. })]
        ));
    }

    #[test]
    fn who_pastes_in_vain_is_told_and_nothing_is_kept() {
        let mut bridge = Bridge::default();
        let paste = |at| ClipboardNews::Paste {
            paste: PasteId(at),
            selection: SELECTION,
            kind: ClipboardType::Utf8Text,
        };
        let asked = bridge.hear(Side::Own, paste(1));
        let [(_, ClipboardOrder::Fetch { transfer, .. })] = asked[..] else {
            panic!("{asked:?}");
        };
        let result = Err(Refusal::NotGiven);
        let refused = bridge.hear(Side::Foreign, ClipboardNews::Fetched { transfer, result });
        assert_eq!(refused, [deliver(Side::Own, PasteId(1), None)]);
        bridge.hear(Side::Own, paste(2));
        let gone = ClipboardNews::PasteGone { paste: PasteId(2) };
        let cancelled = bridge.hear(Side::Own, gone);
        assert!(matches!(
            cancelled[..],
            [(Side::Foreign, ClipboardOrder::Cancel { .. })]
        ));
        assert!(bridge.pastes.is_empty());
        let too_many: Vec<_> = (0..100)
            .flat_map(|at| bridge.hear(Side::Own, paste(at)))
            .collect();
        assert_eq!(bridge.pastes.len(), PASTES_MAX);
        assert!(too_many.contains(&deliver(Side::Own, PasteId(99), None)));
    }
}
