//! The loads: what is drawn, how often and how many frames of it are measured.

use std::path::PathBuf;

use crate::instruments;

/// One load of the table. `load.c` draws it.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    /// Its name in the table and in `LOADS`.
    pub(crate) name: &'static str,
    /// Its name for the program that draws it, or `CHROMIUM`.
    pub(crate) drawn_as: &'static str,
    pub(crate) about: &'static str,
    pub(crate) geometry: &'static str,
    /// Frames before anything is counted: caches fill, streams begin, windows have been seen once.
    pub(crate) warm_up: u32,
    /// Frames that are counted.
    pub(crate) frames: u32,
    /// Frames a second.
    pub(crate) rate: f64,
    /// Whether each frame is a person's key press in the viewer.
    pub(crate) by_key: bool,
}

/// The load that a browser draws.
pub(crate) const CHROMIUM: &str = "chromium";

const DESKTOP: &str = "1920x1080";
const LARGE: &str = "3840x2160";

const fn load(
    name: &'static str,
    about: &'static str,
    warm_up: u32,
    frames: u32,
    rate: f64,
) -> Load {
    Load {
        name,
        drawn_as: name,
        about,
        geometry: DESKTOP,
        warm_up,
        frames,
        rate,
        by_key: false,
    }
}

const fn large(
    name: &'static str,
    drawn_as: &'static str,
    about: &'static str,
    frames: u32,
    rate: f64,
) -> Load {
    Load {
        drawn_as,
        geometry: LARGE,
        ..load(name, about, 10, frames, rate)
    }
}

/// All loads, those of one geometry together.
pub(crate) const LOADS: &[Load] = &[
    load(
        "typing",
        "a letter and the caret, 10 frames a second",
        5,
        40,
        10.0,
    ),
    load(
        "terminal",
        "120x50, scrolls by 4 lines of Xft text a frame, 30 frames a second",
        30,
        120,
        30.0,
    ),
    load(
        "page",
        "1280x1032 in shared memory, scrolls by 12 pixels a frame, 30 frames a second",
        30,
        120,
        30.0,
    ),
    load(
        "video",
        "640x360 in shared memory, 30 frames a second",
        45,
        150,
        30.0,
    ),
    load("photo", "photographs of 1600x900, 2 a second", 2, 8, 2.0),
    load(
        "fills",
        "40 rectangles a frame, 30 frames a second",
        30,
        120,
        30.0,
    ),
    Load {
        by_key: true,
        ..load(
            "key",
            "from a key press in the viewer to the changed pixel in the viewer",
            5,
            40,
            10.0,
        )
    },
    load(
        "drag",
        "a window of 800x600 dragged over a page, 30 frames a second",
        30,
        120,
        30.0,
    ),
    load(
        "menu",
        "a menu of 260x520 opens or closes, from the third time on",
        4,
        12,
        3.0,
    ),
    load(
        "workspace",
        "two windows give way to two others, from the third time on",
        4,
        8,
        1.5,
    ),
    Load {
        drawn_as: CHROMIUM,
        ..load(
            "chromium",
            "Chromium scrolls a page by 12 pixels a frame, 30 frames a second",
            30,
            120,
            30.0,
        )
    },
    large("fills-4k", "fills", "fills at 3840x2160", 60, 30.0),
    large(
        "page-4k",
        "page",
        "a page of 2560x2112 at 3840x2160, 15 frames a second",
        45,
        15.0,
    ),
];

/// The program that draws, compiled once per run.
pub(crate) fn program() -> &'static PathBuf {
    static BUILT: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    let sources = [
        "load.c",
        "content.c",
        "drawn_loads.c",
        "image_loads.c",
        "window_loads.c",
    ];
    BUILT.get_or_init(|| {
        instruments::compile("load", "bench", &sources, &["x11", "xext", "xft", "cairo"])
    })
}
