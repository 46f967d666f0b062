//! Proves LZ4 images against the C library that every client decodes them with (Debian:
//! liblz4-dev).

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use super::lz4::Lz4Encoder;
use super::pictures::picture;
use super::pixels::{Pixels, RGB};

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

/// Reads {pixel bytes, block bytes, blocks} until the end, decodes each as clients do, and writes
/// the pixels.
const CLIENT: &str = r"
#include <lz4.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int main(void)
{
    uint32_t sizes[2];
    while (fread(sizes, 4, 2, stdin) == 2) {
        char *pixels = malloc(sizes[0]), *to = pixels;
        uint8_t *blocks = malloc(sizes[1]), *from = blocks, *end = blocks + sizes[1];
        LZ4_streamDecode_t *stream = LZ4_createStreamDecode();
        if (fread(blocks, 1, sizes[1], stdin) != sizes[1])
            return 1;
        while (from < end) {
            int len = from[0] << 24 | from[1] << 16 | from[2] << 8 | from[3];
            int room = pixels + sizes[0] - to;
            int got = LZ4_decompress_safe_continue(stream, (char *) from + 4, to, len, room);
            if (got <= 0)
                return 2;
            to += got;
            from += 4 + len;
        }
        if (to != pixels + sizes[0] || fwrite(pixels, 1, sizes[0], stdout) != sizes[0])
            return 3;
        LZ4_freeStreamDecode(stream);
        free(blocks);
        free(pixels);
    }
    return 0;
}
";

/// `u32 data_size`, `top_down` and the format.
const BEFORE_BLOCKS: usize = 4 + 2;

#[test]
fn the_library_of_the_clients_decodes_what_is_encoded() {
    let directory = tempfile::tempdir().unwrap();
    let client = directory.path().join("client");
    compile(&client);

    let mut encoder = Lz4Encoder::new();
    let mut requests = Vec::new();
    let mut expected = Vec::new();
    let mut add = |pixels: &Pixels<'_>| {
        let mut image = Vec::new();
        encoder.encode(pixels, &mut image);
        let blocks = &image[BEFORE_BLOCKS..];
        for len in [4 * pixels.area(), blocks.len()] {
            requests.extend_from_slice(&u32::try_from(len).unwrap().to_le_bytes());
        }
        requests.extend_from_slice(blocks);
        for pixel in pixels.rows().flatten() {
            expected.extend_from_slice(&(pixel & RGB).to_le_bytes());
        }
    };
    let mut runner = TestRunner::deterministic();
    for _ in 0..200 {
        add(&picture().new_tree(&mut runner).unwrap().current().pixels());
    }
    // Several blocks, the later ones with matches into the earlier ones.
    let data: Vec<u32> = (0..1024 * 300)
        .map(|n: u32| (n % 5000).wrapping_mul(0x9e37))
        .collect();
    add(&Pixels::packed(&data, 1024, 300).unwrap());

    let mut child = Command::new(&client)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&requests));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(
        output.status.success(),
        "the library refused an image: {}",
        output.status
    );
    assert!(
        output.stdout == expected,
        "the library decoded other pixels"
    );
}

fn compile(client: &Path) {
    let mut compiler = Command::new("cc")
        .args(["-O1", "-x", "c", "-", "-o"])
        .arg(client)
        .arg("-llz4")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    compiler
        .stdin
        .take()
        .unwrap()
        .write_all(CLIENT.as_bytes())
        .unwrap();
    assert!(
        compiler.wait().unwrap().success(),
        "cc and liblz4-dev are needed to test"
    );
}
