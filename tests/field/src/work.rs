//! What other people's crates do by rayon's global pool.

use std::error::Error;
use std::path::Path;

use faer::Mat;
use rav1e::prelude::*;

/// A work's name, and what runs it once; its result is the same each time.
pub(crate) type Work = (&'static str, fn() -> Result<u64, Box<dyn Error>>);

/// All there are.
pub(crate) const WORKS: [Work; 5] = [
    ("walk of directories (jwalk)", walk),
    ("image compressed (oxipng)", compress),
    ("decompositions (faer)", decompose),
    ("video encoded (rav1e)", encode),
    ("bytes hashed (blake3)", hash),
];

/// Jobs that wait for jobs by polling, started by spawns.
fn walk() -> Result<u64, Box<dyn Error>> {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut entries = 0;
    for folder in ["src", "benches"] {
        for entry in jwalk::WalkDir::new(checkout.join(folder)) {
            entry?;
            entries += 1;
        }
    }
    Ok(entries)
}

/// A few trials that take long, side by side.
fn compress() -> Result<u64, Box<dyn Error>> {
    let (width, height) = (192, 128);
    let color = oxipng::ColorType::RGB { transparent_color: None };
    let pixels = noise(3 * width as usize * height as usize);
    let image = oxipng::RawImage::new(width, height, color, oxipng::BitDepth::Eight, pixels)?;
    Ok(image.create_optimized_png(&oxipng::Options::from_preset(4))?.len() as u64)
}

/// As many workers as the pool has threads, in one scope, which spin and then block between two steps.
fn decompose() -> Result<u64, Box<dyn Error>> {
    faer::set_global_parallelism(faer::Par::rayon(0));
    let entry = |row: usize, column: usize| {
        let diagonal = if row == column { 9.0 } else { 0.0 };
        ((row * 31 + column * 17) % 101) as f64 / 50.0 + diagonal
    };
    let matrix = Mat::from_fn(256, 256, entry);
    let (lu, qr) = (matrix.partial_piv_lu(), matrix.qr());
    let svd = matrix.svd().map_err(|error| format!("{error:?}"))?;
    let product = &matrix * &matrix;
    // Sums depend on how the work is split, though not so much.
    let told = [lu.U()[(0, 0)], qr.R()[(0, 0)], svd.S()[0], product[(0, 0)]];
    Ok(told.iter().map(|value| (value.abs() * 100.0).round() as u64).sum())
}

/// Trees of joins and scopes with locks and channels between them.
fn encode() -> Result<u64, Box<dyn Error>> {
    let (width, height, frames) = (192, 128, 8);
    let speed_settings = SpeedSettings::from_preset(10);
    let encoder =
        EncoderConfig { width, height, tiles: 4, speed_settings, ..EncoderConfig::default() };
    let mut context: Context<u8> = Config::new().with_encoder_config(encoder).new_context()?;
    let pixels = noise(width * height + frames);
    for shift in 0..frames {
        let mut frame = context.new_frame();
        for plane in &mut frame.planes {
            let width = plane.cfg.width;
            plane.copy_from_raw_u8(&pixels[shift..], width, 1);
        }
        context.send_frame(frame)?;
    }
    context.flush();
    let mut bytes = 0;
    loop {
        match context.receive_packet() {
            Ok(packet) => bytes += packet.data.len() as u64,
            Err(EncoderStatus::Encoded) => {}
            Err(EncoderStatus::LimitReached) => return Ok(bytes),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Joins of short jobs.
fn hash() -> Result<u64, Box<dyn Error>> {
    let bytes = noise(4 << 20);
    let mut hasher = blake3::Hasher::new();
    hasher.update_rayon(&bytes);
    let sum = hasher.finalize();
    Ok(u64::from_le_bytes(sum.as_bytes()[..8].try_into()?))
}

/// So many bytes like those of a picture: a gradient, of which the lowest bits are random.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let pixel = |index| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (index / 977) as u8 ^ (state as u8 & 7)
    };
    (0..bytes).map(pixel).collect()
}
