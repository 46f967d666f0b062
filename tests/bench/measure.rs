//! One load on one server: the course of a measurement.
//!
//! The application draws a first frame; the viewer must show the desktop pixel by pixel before anything counts. Some
//! frames warm up. Then bytes and CPU time are read, the frames are drawn while the viewer's screen is watched for
//! their numbers, the picture becomes exact, and bytes and CPU time are read again: what it takes to become exact is
//! part of the price. Reading the desktop's picture costs its server CPU time too, which is left out of the count.

use std::time::Duration;

use crate::desktop::Desktop;
use crate::drawing::{DRAWING_TIMEOUT, Drawing, FAR};
use crate::figures::{Drawn, Figures, ages_ms, differing, percentile, psnr_db};
use crate::loads::Load;
use crate::process::cpu_time;
use crate::seat::{QUIET, QUIET_TIMEOUT, Seat, now_us, save_picture};
use crate::servers::Stand;
use crate::sockets::bytes_sent;
use crate::strip;
use crate::x_client::XClient;

/// How long a viewer may take to show a still desktop exactly.
const STILL_TIMEOUT: Duration = Duration::from_secs(15);

/// The share of pixels that may be far off all the same.
const FAR_SHARE_MAX: f64 = 0.0005;

/// How long a picture may take to become exact after its load.
const EXACT_TIMEOUT_US: i64 = 3_000_000;

/// Between two looks for things that are not told of as changes of the screen.
const TICK: Duration = Duration::from_millis(20);

/// Between a key and the next: longer than any frame takes, as a fast typist.
const KEY_PAUSE: Duration = Duration::from_millis(70);
const KEY_TIMEOUT_US: i64 = 1_000_000;

/// Frames of the run that looks at the moving image's quality (after a warm-up), the ones looked at and how far apart
/// they are.
const QUALITY_FRAMES: u32 = 60;
const QUALITY_SAMPLES: usize = 6;
const QUALITY_DISTANCE: u32 = 5;

/// What a server has cost so far.
struct Cost {
    bytes: u64,
    cpu: Duration,
}

fn cpu(desktop: &Desktop) -> Duration {
    desktop.cost_pids().into_iter().map(cpu_time).sum()
}

impl Cost {
    fn so_far(desktop: &Desktop) -> Self {
        Self {
            bytes: bytes_sent(desktop.port()),
            cpu: cpu(desktop),
        }
    }
}

/// Measures `load` on `stand`; `drawing_cost` is what the drawing alone costs X. Panics with a sentence when that
/// cannot be done.
pub(crate) fn run(load: &Load, stand: &mut Stand, drawing_cost: Duration) -> Figures {
    let (name, is_exact) = (stand.server().name(), stand.server().is_exact());
    let (desktop, seat) = stand.watched();
    let x = XClient::connect(desktop);
    let mut drawing = Drawing::start(load, desktop);
    await_still_desktop(
        &format!("{}-{name}", load.name),
        &x,
        seat,
        &drawing,
        is_exact,
    );
    drawing.learn_looks(&x, seat, load.rate);
    let (mut drawn, mut seen) = (Vec::new(), Vec::new());
    let play = if load.by_key { by_keys } else { at_rate };
    play(
        load,
        load.warm_up,
        &mut drawing,
        seat,
        &mut drawn,
        &mut seen,
    );
    assert!(
        !seen.is_empty(),
        "no frame is to be seen, see {}",
        seat.save(&format!("{}-{name}-lost", load.name))
    );
    seat.wait_quiet(QUIET, QUIET_TIMEOUT);
    drawn.clear();
    seen.clear();

    let before = Cost::so_far(desktop);
    play(load, load.frames, &mut drawing, seat, &mut drawn, &mut seen);
    let ended_us = drawn.last().unwrap().at_us;
    seat.wait_quiet(QUIET, QUIET_TIMEOUT);
    let spent = cpu(desktop) - before.cpu;
    let picture = x.picture();
    let after_look = cpu(desktop);
    let exact_ms = await_exact(&picture, seat, ended_us);
    let after = Cost::so_far(desktop);
    seat.save(&format!("{}-{name}", load.name));

    let ages = ages_ms(&drawn, &seen);
    assert!(!ages.is_empty(), "no frame was seen after the warm-up");
    assert!(seat.viewer_is_running(), "the viewer has ended");
    let x_ms: Vec<f64> = drawn
        .iter()
        .map(|frame| frame.x_us as f64 / 1000.0)
        .collect();
    let shown = ages.len() as f64;
    let spent_ms = (spent + (after.cpu - after_look)).as_secs_f64() * 1000.0;
    let drawing_ms = drawing_cost.as_secs_f64() * 1000.0;
    Figures {
        load: load.name.to_owned(),
        server: name.to_owned(),
        failure: None,
        drawn: load.frames,
        shown: u32::try_from(ages.len()).unwrap(),
        kb_per_frame: (after.bytes - before.bytes) as f64 / 1000.0 / shown,
        cpu_ms_per_frame: spent_ms / shown,
        net_cpu_ms_per_frame: (spent_ms - drawing_ms) / shown,
        x_p50_ms: percentile(&x_ms, 50.0),
        age_p50_ms: percentile(&ages, 50.0),
        age_p95_ms: percentile(&ages, 95.0),
        exact_ms,
        psnr_db: drawing
            .moving
            .map(|area| quality(load, area, &mut drawing, seat)),
    }
}

/// Waits until the viewer shows frame 0 and its screen equals the desktop's, which proves that it shows it unscaled and
/// unmoved. Where JPEG is to be expected, no more than `FAR_SHARE_MAX` of all pixels may be far off.
fn await_still_desktop(
    name: &str,
    desktop: &XClient,
    seat: &mut Seat,
    drawing: &Drawing,
    is_exact: bool,
) {
    let deadline_us = now_us() + i64::try_from(STILL_TIMEOUT.as_micros()).unwrap();
    loop {
        seat.wait_quiet(QUIET, QUIET_TIMEOUT);
        let (theirs, shown) = (desktop.picture(), seat.screen.picture());
        let tolerance = if is_exact { 0 } else { FAR };
        let wrong = differing(&theirs, &shown, tolerance);
        let allowed = if is_exact {
            0
        } else {
            (theirs.len() as f64 * FAR_SHARE_MAX) as usize
        };
        if wrong <= allowed && theirs.len() == shown.len() && drawing.shown(seat) == Some(0) {
            return;
        }
        if deadline_us < now_us() {
            let files = [
                seat.save(&format!("{name}-wrong")),
                save_picture(&format!("{name}-right"), desktop),
            ];
            panic!(
                "the viewer does not show the still desktop, {wrong} pixels differ: {}",
                files.join(" beside ")
            );
        }
    }
}

/// Notes the number that the screen shows when it is not the one noted last.
fn look(seat: &Seat, drawing: &Drawing, seen: &mut Vec<(u32, i64)>) {
    if let Some(number) = drawing.shown(seat)
        && seen.last().is_none_or(|(last, _)| *last != number)
    {
        seen.push((number, now_us()));
    }
}

/// Has frames drawn at the load's rate and looks for them until the last one is there, or much too late.
fn at_rate(
    load: &Load,
    frames: u32,
    drawing: &mut Drawing,
    seat: &mut Seat,
    drawn: &mut Vec<Drawn>,
    seen: &mut Vec<(u32, i64)>,
) {
    drawing.begin(frames, load.rate);
    let last = drawing.last % strip::NUMBERS;
    let mut deadline_us = i64::MAX;
    while now_us() < deadline_us
        && (deadline_us == i64::MAX || seen.last().is_none_or(|(number, _)| *number != last))
    {
        if seat.wait_change(TICK) {
            look(seat, drawing, seen);
        }
        while deadline_us == i64::MAX && !drawing.program_is_silent(drawn, &mut deadline_us) {}
    }
}

/// Has each frame drawn by a key in the viewer; the frame's age begins with the key.
fn by_keys(
    _: &Load,
    frames: u32,
    drawing: &mut Drawing,
    seat: &mut Seat,
    drawn: &mut Vec<Drawn>,
    seen: &mut Vec<(u32, i64)>,
) {
    seat.click();
    let mut number = drawing.last % strip::NUMBERS;
    drawing.begin_by_keys(frames);
    for _ in 0..frames {
        number = (number + 1) % strip::NUMBERS;
        let pressed_us = now_us();
        seat.key(true);
        drawn.push(Drawn {
            number,
            at_us: pressed_us,
            x_us: 0,
        });
        while now_us() < pressed_us + KEY_TIMEOUT_US
            && seen.last().is_none_or(|(last, _)| *last != number)
        {
            if seat.wait_change(TICK) {
                look(seat, drawing, seen);
            }
        }
        seat.key(false);
        std::thread::sleep(KEY_PAUSE);
    }
    assert!(
        seen.last()
            .is_some_and(|(number, _)| *number == drawing.last % strip::NUMBERS),
        "keys do not reach the application, see {}",
        seat.save("key-lost")
    );
    let mut told = Vec::new();
    while !drawing.note(&mut told, DRAWING_TIMEOUT) {}
    for (frame, told) in drawn.iter_mut().zip(&told) {
        frame.x_us = told.x_us;
    }
}

/// Time in ms from the last frame until the screen equals `picture`; `None` when that does not come to pass.
fn await_exact(picture: &[u32], seat: &mut Seat, ended_us: i64) -> Option<f64> {
    loop {
        if seat.screen.picture() == picture {
            return Some((seat.changed_us - ended_us).max(0) as f64 / 1000.0);
        }
        if ended_us + EXACT_TIMEOUT_US < now_us() {
            return None;
        }
        seat.wait_change(TICK);
    }
}

/// Quality of the moving image while it moves: the median of some frames of one more run, for a frame may be caught
/// while the viewer paints it; NaN when none was seen.
fn quality(
    load: &Load,
    [x, y, width, height]: [u16; 4],
    drawing: &mut Drawing,
    seat: &mut Seat,
) -> f64 {
    let frames = QUALITY_FRAMES.min(load.frames);
    let begins = drawing.last + load.warm_up;
    drawing.begin(load.warm_up + frames, load.rate);
    let mut samples: Vec<(u32, Vec<u32>)> = Vec::new();
    let mut drawn = Vec::new();
    loop {
        if drawing.note(&mut drawn, Duration::ZERO) {
            break;
        }
        let distance = if frames < QUALITY_FRAMES {
            1
        } else {
            QUALITY_DISTANCE
        };
        let next = samples.last().map_or(begins, |(number, _)| *number) + distance;
        if !seat.wait_change(TICK) || samples.len() == QUALITY_SAMPLES {
            continue;
        }
        let number = drawing.shown(seat);
        let Some(number) = number.filter(|number| (next..=drawing.last).contains(number)) else {
            continue;
        };
        let pixels = seat.screen.area(x, y, width, height);
        // A frame that came in between would make a picture of two.
        if drawing.shown(seat) == Some(number) {
            samples.push((number, pixels));
        }
    }
    let mut ratios = Vec::new();
    for (number, shown) in samples {
        ratios.push(psnr_db(&shown, &drawing.moving_image(number)));
    }
    if ratios.is_empty() {
        return f64::NAN;
    }
    percentile(&ratios, 50.0)
}
