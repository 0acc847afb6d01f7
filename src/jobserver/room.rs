//! Whether a pipe has room for all tokens, wherever they lie in it.

use std::error::Error;
use std::fmt;
use std::io;
use std::os::fd::AsFd;

/// Tokens that do not fit into a pipe.
#[derive(Debug)]
struct NoRoom {
    tokens: usize,
    room: usize,
}

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let NoRoom { tokens, room } = self;
        write!(f, "{tokens} tokens do not fit into a pipe that has room for {room}")
    }
}

impl Error for NoRoom {}

/// Enlarges a pipe, if need be, until it never refuses one of so many tokens.
pub(super) fn make(pipe: &impl AsFd, tokens: usize) -> io::Result<()> {
    let room = enlarge(pipe, tokens)?;
    if tokens <= room {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::StorageFull, NoRoom { tokens, room }))
}

#[cfg(target_os = "linux")]
fn enlarge(pipe: &impl AsFd, tokens: usize) -> io::Result<usize> {
    let page = page_size();
    let room = room(rustix::pipe::fcntl_getpipe_size(pipe)?, page);
    if tokens <= room {
        return Ok(room);
    }
    match rustix::pipe::fcntl_setpipe_size(pipe, size(tokens, page)) {
        Ok(enlarged) => Ok(self::room(enlarged, page)),
        // More than the system gives this user.
        Err(_) => Ok(room),
    }
}

/// What the smallest pipes elsewhere hold; they cannot be enlarged.
#[cfg(not(target_os = "linux"))]
fn enlarge(_pipe: &impl AsFd, _tokens: usize) -> io::Result<usize> {
    Ok(4096)
}

/// The most tokens for which a pipe of `size` bytes always has room.
///
/// Subtle: fewer than its bytes. A page is used again only once its last token has been taken. So all pages
/// in between are full, but the first and the last may hold a single token each.
#[cfg(target_os = "linux")]
fn room(size: usize, page: usize) -> usize {
    size.saturating_sub(page) + 1
}

/// The smallest size with room for `tokens`.
#[cfg(target_os = "linux")]
fn size(tokens: usize, page: usize) -> usize {
    tokens.saturating_add(page - 1)
}

#[cfg(target_os = "linux")]
fn page_size() -> usize {
    // SAFETY: it takes a number and gives one.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(size).expect("every system has pages")
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::fs::File;
    use std::io::{Read, Write};

    use super::*;

    /// Fills a pipe with as many tokens as it is said to have room for, and moves them through it
    /// one by one, so that they start at every place of a page once.
    fn turn(size: usize) {
        let (read, write) =
            rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).expect("a pipe can be made");
        let size = rustix::pipe::fcntl_setpipe_size(&write, size).expect("it is small enough");
        let room = room(size, page_size());
        make(&write, room).expect("it fits");
        assert_eq!(rustix::pipe::fcntl_getpipe_size(&write), Ok(size), "it was large enough");

        let (mut read, mut write) = (File::from(read), File::from(write));
        write.write_all(&vec![b'+'; room]).expect("there is room");
        for turn in 0..2 * page_size() {
            let mut token = [0];
            read.read_exact(&mut token).expect("all tokens lie there");
            if let Err(error) = write.write_all(&token) {
                panic!("of {room} tokens in {size} bytes, one is refused at turn {turn}: {error}");
            }
        }
    }

    #[test]
    fn no_token_is_refused_wherever_the_others_lie() {
        for pages in [1, 2, 16] {
            turn(pages * page_size());
        }
    }

    #[test]
    fn one_token_more_needs_a_larger_pipe() {
        let (_read, write) = rustix::pipe::pipe().expect("a pipe can be made");
        let size = rustix::pipe::fcntl_setpipe_size(&write, 4 * page_size()).expect("it is small");
        make(&write, room(size, page_size()) + 1).expect("a pipe of eight pages can be had");
        assert_eq!(rustix::pipe::fcntl_getpipe_size(&write), Ok(2 * size));
    }
}
