//! The `xorg.conf` of a desktop: our driver as screen, keyboard and pointers, and nothing found.

use std::fmt::Write;
use std::path::Path;

use super::keyboard::Keyboard;

/// Size of a screen in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    /// Columns.
    pub(crate) width: u32,
    /// Rows.
    pub(crate) height: u32,
}

/// What a desktop shows until somebody sets another mode.
pub(crate) const DEFAULT_GEOMETRY: Geometry = Geometry {
    width: 1920,
    height: 1080,
};

/// Sides that the driver can show, in pixels.
pub(crate) const SIDES: std::ops::RangeInclusive<u32> = 64..=8192;

impl std::str::FromStr for Geometry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let side = |side: &str| side.parse().ok().filter(|side| SIDES.contains(side));
        let sides = text
            .split_once('x')
            .and_then(|(w, h)| Some((side(w)?, side(h)?)));
        let (width, height) = sides.ok_or_else(|| {
            format!(
                "write WIDTHxHEIGHT, each from {} to {}",
                SIDES.start(),
                SIDES.end()
            )
        })?;
        Ok(Self { width, height })
    }
}

impl std::fmt::Display for Geometry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

/// The file's text. `socket` is where the driver listens; it holds no quotes (the runtime directory
/// sees to that), and neither do the words of `keyboard`.
pub(crate) fn text(socket: &Path, geometry: Geometry, keyboard: &Keyboard) -> String {
    let socket = socket.display();
    let mut text = format!(
        r#"Section "ServerFlags"
    Option "DefaultServerLayout" "caraway"
    Option "AutoAddDevices" "false"
    Option "AutoAddGPU" "false"
    Option "DontVTSwitch" "true"
    Option "DontZap" "true"
EndSection

Section "Device"
    Identifier "caraway"
    Driver "caraway"
    Option "Socket" "{socket}"
    Option "InitialSize" "{geometry}"
EndSection

Section "Screen"
    Identifier "caraway"
    Device "caraway"
    DefaultDepth 24
EndSection
"#
    );
    input_device(&mut text, "keyboard", &keyboard.options());
    input_device(&mut text, "absolute", &[]);
    // The client has accelerated the motion already.
    input_device(&mut text, "relative", &[("AccelerationProfile", "-1")]);
    text.push_str(
        r#"
Section "ServerLayout"
    Identifier "caraway"
    Screen "caraway"
    InputDevice "keyboard" "CoreKeyboard"
    InputDevice "absolute" "CorePointer"
    InputDevice "relative" "SendCoreEvents"
EndSection
"#,
    );
    text
}

fn input_device(text: &mut String, role: &str, options: &[(&str, &str)]) {
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "\nSection \"InputDevice\"\n    Identifier \"{role}\"\n    Driver \"caraway\"\n    \
         Option \"Role\" \"{role}\"\n"
    );
    for (name, value) in options {
        let _ = writeln!(text, "    Option \"{name}\" \"{value}\"");
    }
    text.push_str("EndSection\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_within_what_the_driver_shows() {
        let good = Geometry {
            width: 1280,
            height: 800,
        };
        assert_eq!("1280x800".parse(), Ok(good));
        for bad in [
            "",
            "1280",
            "1280x",
            "63x64",
            "8193x64",
            "1280x800x1",
            "-1x800",
            "1e3x800",
        ] {
            assert!(bad.parse::<Geometry>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_file_names_the_socket_the_size_and_three_devices() {
        let text = text(
            Path::new("/run/d/driver.sock"),
            DEFAULT_GEOMETRY,
            &Keyboard::with_layout("de"),
        );
        assert!(text.contains("Option \"Socket\" \"/run/d/driver.sock\"\n"));
        assert!(text.contains("Option \"InitialSize\" \"1920x1080\"\n"));
        assert!(text.contains("Option \"XkbLayout\" \"de\"\n"));
        for role in ["keyboard", "absolute", "relative"] {
            assert!(
                text.contains(&format!("Option \"Role\" \"{role}\"\n")),
                "{role}"
            );
        }
        assert_eq!(
            text.matches("\nEndSection\n").count(),
            text.matches("Section \"").count()
        );
    }
}
