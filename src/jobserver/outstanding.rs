//! Which tokens are out, so that they can be given back without asking their holders.

use super::source::RawToken;

/// Every token that has been read and not written back.
#[derive(Debug)]
pub(super) struct Outstanding {
    by_byte: [usize; 256],
    /// Tokens of connections that keep their bytes to themselves.
    opaque: usize,
    /// Those that nobody holds and that could not be written yet; also counted above.
    unwritten: Vec<u8>,
    /// How many were ever read.
    read: u64,
}

impl Default for Outstanding {
    fn default() -> Self {
        Outstanding { by_byte: [0; 256], opaque: 0, unwritten: Vec::new(), read: 0 }
    }
}

impl Outstanding {
    fn slot(&mut self, token: &RawToken) -> &mut usize {
        match token.byte() {
            Some(byte) => &mut self.by_byte[usize::from(byte)],
            None => &mut self.opaque,
        }
    }

    pub(super) fn add(&mut self, token: &RawToken) {
        *self.slot(token) += 1;
        self.read += 1;
    }

    pub(super) fn ever_read(&self) -> u64 {
        self.read
    }

    pub(super) fn remove(&mut self, token: &RawToken) {
        *self.slot(token) -= 1;
    }

    pub(super) fn len(&self) -> usize {
        self.by_byte.iter().sum::<usize>() + self.opaque
    }

    /// Keeps a token that could not be written.
    pub(super) fn keep(&mut self, byte: u8) {
        self.unwritten.push(byte);
    }

    /// A token that was kept: to be written now, or to be used again.
    pub(super) fn take_kept(&mut self) -> Option<u8> {
        self.unwritten.pop()
    }

    pub(super) fn kept(&self) -> usize {
        self.unwritten.len()
    }

    /// All that is out and has a byte, for the last time.
    pub(super) fn drain_bytes(&mut self) -> Vec<u8> {
        self.unwritten.clear();
        let counts = std::mem::replace(&mut self.by_byte, [0; 256]);
        let bytes = (0..=u8::MAX).zip(counts);
        bytes.flat_map(|(byte, count)| std::iter::repeat_n(byte, count)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_counted_each_for_itself() {
        let mut out = Outstanding::default();
        for byte in [b'a', b'b', b'a'] {
            out.add(&RawToken::Byte(byte));
        }
        out.remove(&RawToken::Byte(b'a'));
        out.keep(b'b');
        assert_eq!((out.len(), out.kept()), (2, 1), "what is kept is still out");
        assert_eq!(out.drain_bytes(), b"ab");
        assert_eq!((out.len(), out.kept(), out.ever_read()), (0, 0, 3));
    }
}
