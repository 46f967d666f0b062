//! One kind of image made of another, within limits: what an image claims to be is believed only as far as memory goes.

use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

use image::{DynamicImage, ImageFormat, ImageReader, Limits};

use crate::agent::clipboard::Refusal;
use crate::wire::agent::ClipboardType;

/// Side of an image in pixels.
const SIDE_MAX: u32 = 16 * 1024;

/// Pixels of an image: 256 MB decoded.
const PIXELS_MAX: u64 = 64 << 20;

/// Bytes that a decoder may take.
const DECODER_BYTES_MAX: u64 = 384 << 20;

/// Makes an image of the kind `to` of one of the kind `from`, of at most `bytes_max` bytes.
pub(super) fn convert(
    from: ClipboardType,
    to: ClipboardType,
    data: &[u8],
    bytes_max: usize,
) -> Result<Vec<u8>, Refusal> {
    // Decoders of four formats read what anybody sends; a mistake of theirs is a bad image, no more.
    catch_unwind(AssertUnwindSafe(|| attempt(from, to, data, bytes_max)))
        .unwrap_or(Err(Refusal::BadImage))
}

fn format(kind: ClipboardType) -> Result<ImageFormat, Refusal> {
    match kind {
        ClipboardType::Png => Ok(ImageFormat::Png),
        ClipboardType::Bmp => Ok(ImageFormat::Bmp),
        ClipboardType::Tiff => Ok(ImageFormat::Tiff),
        ClipboardType::Jpeg => Ok(ImageFormat::Jpeg),
        ClipboardType::None | ClipboardType::Utf8Text | ClipboardType::FileList => {
            Err(Refusal::BadImage)
        }
    }
}

fn attempt(
    from: ClipboardType,
    to: ClipboardType,
    data: &[u8],
    bytes_max: usize,
) -> Result<Vec<u8>, Refusal> {
    let (source, result) = (format(from)?, format(to)?);
    let size = ImageReader::with_format(Cursor::new(data), source).into_dimensions();
    let (width, height) = size.map_err(|_| Refusal::BadImage)?;
    if SIDE_MAX < width.max(height) || PIXELS_MAX < u64::from(width) * u64::from(height) {
        return Err(Refusal::BadImage);
    }
    let mut reader = ImageReader::with_format(Cursor::new(data), source);
    let mut limits = Limits::default();
    limits.max_image_width = Some(SIDE_MAX);
    limits.max_image_height = Some(SIDE_MAX);
    limits.max_alloc = Some(DECODER_BYTES_MAX);
    reader.limits(limits);
    let decoded = reader.decode().map_err(|_| Refusal::BadImage)?;
    // What every program takes: eight bits of each colour, and transparency where there is some. A JPEG has none.
    let is_opaque = result == ImageFormat::Jpeg || !decoded.color().has_alpha();
    let plain = if is_opaque {
        DynamicImage::ImageRgb8(decoded.into_rgb8())
    } else {
        DynamicImage::ImageRgba8(decoded.into_rgba8())
    };
    let is_raw = matches!(result, ImageFormat::Bmp | ImageFormat::Tiff);
    if is_raw && bytes_max < plain.as_bytes().len() {
        return Err(Refusal::TooLarge(bytes_max));
    }
    let mut bytes = Vec::new();
    plain
        .write_to(&mut Cursor::new(&mut bytes), result)
        .map_err(|_| Refusal::BadImage)?;
    if bytes_max < bytes.len() {
        return Err(Refusal::TooLarge(bytes_max));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ClipboardType::{Bmp, Jpeg, Png, Tiff, Utf8Text};

    fn sample(kind: ImageFormat) -> Vec<u8> {
        let picture = image::RgbImage::from_fn(31, 17, |x, y| {
            image::Rgb([x as u8 * 8, y as u8 * 15, (x ^ y) as u8])
        });
        let mut bytes = Vec::new();
        DynamicImage::ImageRgb8(picture)
            .write_to(&mut Cursor::new(&mut bytes), kind)
            .unwrap();
        bytes
    }

    fn pixels(bytes: &[u8]) -> Vec<u8> {
        image::load_from_memory(bytes)
            .unwrap()
            .into_rgb8()
            .into_raw()
    }

    #[test]
    fn every_kind_becomes_every_other_without_loss_where_there_is_none() {
        let original = pixels(&sample(ImageFormat::Png));
        for (from, kind) in [
            (Png, ImageFormat::Png),
            (Bmp, ImageFormat::Bmp),
            (Tiff, ImageFormat::Tiff),
        ] {
            for to in [Png, Bmp, Tiff] {
                let made = convert(from, to, &sample(kind), 1 << 20).unwrap();
                assert_eq!(pixels(&made), original, "{from:?} to {to:?}");
            }
        }
        let jpeg = convert(Png, Jpeg, &sample(ImageFormat::Png), 1 << 20).unwrap();
        assert_eq!(image::guess_format(&jpeg).unwrap(), ImageFormat::Jpeg);
        assert!(convert(Jpeg, Png, &jpeg, 1 << 20).is_ok());
    }

    #[test]
    fn transparency_stays() {
        let mut bytes = Vec::new();
        let picture = image::RgbaImage::from_pixel(2, 2, image::Rgba([1, 2, 3, 4]));
        picture
            .write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)
            .unwrap();
        let made = convert(Png, Tiff, &bytes, 1 << 20).unwrap();
        let again = image::load_from_memory(&made).unwrap().into_rgba8();
        assert_eq!(again.get_pixel(1, 1).0, [1, 2, 3, 4]);
    }

    #[test]
    fn what_is_too_large_or_no_image_is_refused() {
        let png = sample(ImageFormat::Png);
        assert_eq!(convert(Png, Bmp, &png, 100), Err(Refusal::TooLarge(100)));
        assert_eq!(convert(Png, Bmp, b"no image", 100), Err(Refusal::BadImage));
        assert_eq!(convert(Png, Utf8Text, &png, 100), Err(Refusal::BadImage));
        // Only the header says so.
        let mut huge = png.clone();
        huge[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
        assert_eq!(convert(Png, Bmp, &huge, 1 << 20), Err(Refusal::BadImage));
        for length in 0..png.len() {
            let _ = convert(Png, Bmp, &png[..length], 1 << 20);
        }
    }
}
