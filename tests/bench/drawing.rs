//! The application of a measurement: a program that draws numbered frames when it is told to.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;

use crate::chromium::Browser;
use crate::desktop::Desktop;
use crate::figures::{Drawn, differing};
use crate::loads::{self, Load};
use crate::output_folder;
use crate::process::Running;
use crate::seat::{QUIET, QUIET_TIMEOUT, Seat, now_us};
use crate::strip;
use crate::x_client::XClient;

/// How long the application may take to draw its first frame, or one run beyond its due time.
pub(crate) const DRAWING_TIMEOUT: Duration = Duration::from_secs(60);

/// How long the last frame may take to be shown.
const LAST_FRAME_TIMEOUT_US: i64 = 3_000_000;

/// A colour that is so many levels off is not what JPEG makes of it, but another picture's.
pub(crate) const FAR: u32 = 64;

/// What draws: `load.c`, or a browser that takes the same orders.
enum Program {
    Draws(Running),
    Browses(Browser),
}

impl Program {
    fn send(&mut self, order: &str) {
        match self {
            Self::Draws(program) => program.send(order),
            Self::Browses(browser) => browser.send(order),
        }
    }

    fn line(&mut self, timeout: Duration) -> Option<String> {
        match self {
            Self::Draws(program) => program.try_line(timeout),
            Self::Browses(browser) => browser.try_line(timeout),
        }
    }

    fn is_running(&mut self) -> bool {
        match self {
            Self::Draws(program) => program.is_running(),
            Self::Browses(browser) => browser.is_running(),
        }
    }
}

/// The program that draws, on one desktop.
pub(crate) struct Drawing {
    program: Program,
    /// Where the strips are, from the root window's corner. A frame is shown when all of them have its number.
    strips: Vec<(u16, u16)>,
    /// Part of the picture (left, top, width, height) that has two looks by turns.
    witness: Option<[u16; 4]>,
    /// How it looks after even and odd frames, once that is known: then a frame is shown when it looks so.
    looks: Option<[Vec<u32>; 2]>,
    /// The image that moves: left, top, width, height.
    pub(crate) moving: Option<[u16; 4]>,
    /// Number of the last frame.
    pub(crate) last: u32,
}

impl Drawing {
    /// Starts it and waits for frame 0.
    pub(crate) fn start(load: &Load, desktop: &Desktop) -> Self {
        let mut program = if load.drawn_as == loads::CHROMIUM {
            Program::Browses(Browser::start(desktop, load.geometry))
        } else {
            Program::Draws(Running::start(
                loads::program(),
                Stdio::inherit(),
                |command| {
                    desktop.client(command.arg(load.drawn_as));
                },
            ))
        };
        let line = program.line(DRAWING_TIMEOUT);
        let ready: Value = serde_json::from_str(&line.expect("no first frame")).unwrap();
        let numbers = |value: &Value| -> Vec<u16> {
            let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
            list.iter()
                .map(|number| u16::try_from(number.as_u64().unwrap()).unwrap())
                .collect()
        };
        let places = ready["strips"].as_array().unwrap().iter();
        Self {
            program,
            strips: places
                .map(numbers)
                .map(|place| (place[0], place[1]))
                .collect(),
            witness: numbers(&ready["witness"]).try_into().ok(),
            looks: None,
            moving: numbers(&ready["moving"]).try_into().ok(),
            last: 0,
        }
    }

    /// Has `frames` drawn and waits for the end of it.
    pub(crate) fn run(&mut self, frames: u32, rate: f64) {
        self.begin(frames, rate);
        let mut drawn = Vec::new();
        while !self.note(&mut drawn, DRAWING_TIMEOUT) {}
    }

    /// Learns how the witness looks by turns, from the desktop itself, with two more frames.
    pub(crate) fn learn_looks(&mut self, desktop: &XClient, seat: &mut Seat, rate: f64) {
        let Some([x, y, width, height]) = self.witness else {
            return;
        };
        let mut looks = [Vec::new(), Vec::new()];
        for _ in 0..2 {
            self.run(1, rate);
            looks[self.last as usize % 2] = desktop.area(x, y, width, height);
            seat.wait_quiet(QUIET, QUIET_TIMEOUT);
        }
        assert_ne!(looks[0], looks[1], "the witness always looks the same");
        self.looks = Some(looks);
    }

    /// The number of the frame that the viewer's screen shows as a whole, if that can be told.
    pub(crate) fn shown(&self, seat: &Seat) -> Option<u32> {
        let number = seat.number(self.strips[0])?;
        if self.strips[1..]
            .iter()
            .any(|strip| seat.number(*strip) != Some(number))
        {
            return None;
        }
        if let (Some(looks), Some([x, y, width, height])) = (&self.looks, self.witness) {
            let distances = [0, 1]
                .map(|turn| differing(&looks[turn], &seat.screen.area(x, y, width, height), FAR));
            let other = distances[1 - number as usize % 2];
            // Nearer to what it should be: JPEG may stand between.
            return (distances[number as usize % 2] < other).then_some(number);
        }
        Some(number)
    }

    /// Has the next `frames` drawn at that rate.
    pub(crate) fn begin(&mut self, frames: u32, rate: f64) {
        self.last += frames;
        self.program.send(&format!("run {frames} {rate}"));
    }

    /// Has the next `frames` drawn at as many key presses.
    pub(crate) fn begin_by_keys(&mut self, frames: u32) {
        self.last += frames;
        self.program.send(&format!("keys {frames}"));
    }

    /// Takes an answer of the program into `drawn`, if there is one in time; says whether the run is over.
    pub(crate) fn note(&mut self, drawn: &mut Vec<Drawn>, timeout: Duration) -> bool {
        let Some(line) = self.program.line(timeout) else {
            assert!(self.program.is_running(), "the application has ended");
            assert!(timeout < DRAWING_TIMEOUT, "the application hangs");
            return false;
        };
        let answer: Value =
            serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}"));
        if answer["event"] == "frame" {
            let number = u32::try_from(answer["frame"].as_u64().unwrap()).unwrap();
            drawn.push(Drawn {
                number: number % strip::NUMBERS,
                at_us: answer["at_us"].as_i64().unwrap(),
                x_us: answer["x_us"].as_i64().unwrap(),
            });
        }
        answer["event"] == "done"
    }

    /// The pixels of the moving image in frame `number`.
    pub(crate) fn moving_image(&mut self, number: u32) -> Vec<u32> {
        let path = output_folder().join("moving.raw");
        self.program
            .send(&format!("save {number} {}", path.display()));
        while !self.note(&mut Vec::new(), DRAWING_TIMEOUT) {}
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        bytes
            .chunks_exact(4)
            .map(|pixel| u32::from_le_bytes(pixel.try_into().unwrap()) & 0x00ff_ffff)
            .collect()
    }

    /// Takes one answer; says whether there was none, and sets the deadline of the last frame at the end of the run.
    pub(crate) fn program_is_silent(
        &mut self,
        drawn: &mut Vec<Drawn>,
        deadline_us: &mut i64,
    ) -> bool {
        let count = drawn.len();
        if self.note(drawn, Duration::ZERO) {
            *deadline_us = now_us() + LAST_FRAME_TIMEOUT_US;
        }
        drawn.len() == count
    }
}
