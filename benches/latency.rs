//! How soon things happen; filled in below.
fn main() {}
