//! An X program that owns the clipboard, or pastes from it, in ways that xclip does not.

use x11rb::connection::Connection;
use x11rb::protocol::Event;
use x11rb::protocol::xproto::{
    Atom, AtomEnum, ConnectionExt as _, CreateWindowAux, EventMask, PropMode,
    SELECTION_NOTIFY_EVENT, SelectionNotifyEvent, Window, WindowClass,
};
use x11rb::rust_connection::RustConnection;
use x11rb::wrapper::ConnectionExt as _;

pub(super) struct Program {
    x: RustConnection,
    window: Window,
    contents: Vec<(Atom, Vec<u8>)>,
    multiple: Vec<Atom>,
}

impl Program {
    pub(super) fn connect(display: &str) -> Self {
        let (x, screen) = x11rb::connect(Some(display)).unwrap();
        let window = x.generate_id().unwrap();
        let root = x.setup().roots[screen].root;
        let events = CreateWindowAux::new().event_mask(EventMask::PROPERTY_CHANGE);
        let class = WindowClass::INPUT_ONLY;
        x.create_window(0, window, root, 0, 0, 1, 1, 0, class, 0, &events)
            .unwrap();
        x.flush().unwrap();
        Self {
            x,
            window,
            contents: Vec::new(),
            multiple: Vec::new(),
        }
    }

    fn atom(&self, name: &str) -> Atom {
        let cookie = self.x.intern_atom(false, name.as_bytes()).unwrap();
        cookie.reply().unwrap().atom
    }

    /// Whether anybody owns the clipboard.
    pub(super) fn clipboard_is_owned(&self) -> bool {
        let clipboard = self.atom("CLIPBOARD");
        let cookie = self.x.get_selection_owner(clipboard).unwrap();
        cookie.reply().unwrap().owner != x11rb::NONE
    }

    /// Owns the clipboard; [`Self::serve`] answers.
    pub(super) fn own(&mut self, contents: &[(&str, &[u8])]) {
        self.contents = contents
            .iter()
            .map(|(name, bytes)| (self.atom(name), bytes.to_vec()))
            .collect();
        let clipboard = self.atom("CLIPBOARD");
        self.x
            .set_selection_owner(self.window, clipboard, x11rb::CURRENT_TIME)
            .unwrap();
        self.x.flush().unwrap();
    }

    /// Answers `count` requests in a thread, and returns then.
    pub(super) fn serve(self, count: usize) -> std::thread::JoinHandle<Self> {
        std::thread::spawn(move || {
            for _ in 0..count {
                self.serve_one();
            }
            self
        })
    }

    fn serve_one(&self) {
        let request = loop {
            if let Event::SelectionRequest(request) = self.x.wait_for_event().unwrap() {
                break request;
            }
        };
        let (requestor, replace) = (request.requestor, PropMode::REPLACE);
        let mut property = request.property;
        let content = self
            .contents
            .iter()
            .find(|(target, _)| *target == request.target);
        if request.target == self.atom("TARGETS") {
            let targets: Vec<Atom> = self.contents.iter().map(|(target, _)| *target).collect();
            self.x
                .change_property32(replace, requestor, property, AtomEnum::ATOM, &targets)
                .unwrap();
        } else if let Some((target, bytes)) = content {
            self.x
                .change_property8(replace, requestor, property, *target, bytes)
                .unwrap();
        } else {
            property = x11rb::NONE;
        }
        let event = SelectionNotifyEvent {
            response_type: SELECTION_NOTIFY_EVENT,
            sequence: 0,
            time: request.time,
            requestor,
            selection: request.selection,
            target: request.target,
            property,
        };
        self.x
            .send_event(false, requestor, EventMask::NO_EVENT, event)
            .unwrap();
        self.x.flush().unwrap();
    }

    /// Asks for a target into the property of its name.
    pub(super) fn ask(&mut self, target: &str) {
        let (clipboard, target) = (self.atom("CLIPBOARD"), self.atom(target));
        self.x
            .convert_selection(self.window, clipboard, target, target, x11rb::CURRENT_TIME)
            .unwrap();
        self.x.flush().unwrap();
    }

    fn notified(&self) -> SelectionNotifyEvent {
        loop {
            if let Event::SelectionNotify(event) = self.x.wait_for_event().unwrap() {
                return event;
            }
        }
    }

    /// The answer to what was asked.
    pub(super) fn answer(&mut self) -> Vec<u8> {
        let event = self.notified();
        assert_ne!(event.property, x11rb::NONE, "refused");
        self.bytes(event.property)
    }

    fn bytes(&self, property: Atom) -> Vec<u8> {
        let any = AtomEnum::ANY;
        let cookie = self
            .x
            .get_property(true, self.window, property, any, 0, 1 << 20);
        cookie.unwrap().reply().unwrap().value
    }

    pub(super) fn property(&self, name: &str) -> Vec<u8> {
        self.bytes(self.atom(name))
    }

    /// Names of the targets on offer.
    pub(super) fn targets(&mut self) -> Vec<String> {
        self.ask("TARGETS");
        let bytes = self.answer();
        let name = |atom: &[u8; 4]| {
            let cookie = self.x.get_atom_name(Atom::from_ne_bytes(*atom)).unwrap();
            String::from_utf8(cookie.reply().unwrap().name).unwrap()
        };
        bytes.as_chunks::<4>().0.iter().map(name).collect()
    }

    /// Asks for several targets at once, each into the property of its name.
    pub(super) fn ask_multiple(&mut self, targets: &[&str]) {
        self.multiple = targets.iter().map(|name| self.atom(name)).collect();
        let pairs: Vec<Atom> = self
            .multiple
            .iter()
            .flat_map(|atom| [*atom, *atom])
            .collect();
        let (multiple, pair) = (self.atom("MULTIPLE"), self.atom("ATOM_PAIR"));
        self.x
            .change_property32(PropMode::REPLACE, self.window, multiple, pair, &pairs)
            .unwrap();
        self.ask("MULTIPLE");
    }

    /// Which of them were given.
    pub(super) fn multiple_answer(&mut self) -> Vec<bool> {
        let bytes = self.answer();
        let pairs = bytes.as_chunks::<8>().0;
        assert_eq!(pairs.len(), self.multiple.len());
        pairs.iter().map(|pair| pair[4..] != [0; 4]).collect()
    }
}
