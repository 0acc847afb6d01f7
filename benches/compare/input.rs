//! What is sorted, summed, hashed and parsed, made once and outside of what is measured.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::files::sources;

/// The most numbers that any work asks for.
const NUMBERS: usize = 4_000_000;
/// Bytes of sources to hash, and to parse: tens of milliseconds for two cores.
const TO_HASH: u64 = 40 << 20;
const TO_PARSE: u64 = 3 << 20;

/// So many numbers in no order.
pub(crate) fn numbers(count: usize) -> &'static [u64] {
    static ALL: OnceLock<Vec<u64>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let mix = |index: u64| index.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17);
        (0..NUMBERS as u64).map(mix).collect()
    });
    &all[..count]
}

pub(crate) fn to_hash() -> &'static [PathBuf] {
    static FILES: OnceLock<Vec<PathBuf>> = OnceLock::new();
    FILES.get_or_init(|| first(TO_HASH))
}

pub(crate) fn to_parse() -> &'static [PathBuf] {
    static FILES: OnceLock<Vec<PathBuf>> = OnceLock::new();
    FILES.get_or_init(|| first(TO_PARSE))
}

/// Sources until they make up so many bytes: our own, then of the crates that cargo has unpacked.
fn first(bytes: u64) -> Vec<PathBuf> {
    let mut total = 0;
    let files = sources().found.into_iter().take_while(|file| {
        let before = total;
        total += fs::metadata(file).map_or(0, |metadata| metadata.len());
        before < bytes
    });
    files.filter(|file| fs::read_to_string(file).is_ok()).collect()
}
