//! Connections that misbehave, by fifos and terminals made for it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::pipe::Pipe;
use super::source::Source;
use super::{Demand, Holder, Jobserver, Ledger};
use crate::ThreadPoolBuilder;

struct Fifo {
    path: PathBuf,
    /// The server's end.
    end: File,
    _folder: tempfile::TempDir,
}

impl Fifo {
    fn new(tokens: &[u8]) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the fifo");
        let path = folder.path().join("fifo");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a fifo");
        let nonblock = OFlags::NONBLOCK.bits().cast_signed();
        let end = OpenOptions::new().read(true).write(true).custom_flags(nonblock).open(&path);
        let fifo = Fifo { path, end: end.expect("it is there"), _folder: folder };
        (&fifo.end).write_all(tokens).expect("there is room");
        fifo
    }

    fn connect(&self) -> Jobserver {
        Jobserver::over(Source::pipe(Pipe::from_fifo(&self.path).expect("a good fifo")))
    }

    fn read(&self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        (&self.end).read_exact(&mut bytes).expect("they lie there");
        bytes.sort_unstable();
        bytes
    }

    /// The next byte that nobody else has a use for.
    fn wait(&self) -> u8 {
        let mut byte = [0];
        eventually(|| match (&self.end).read(&mut byte) {
            Ok(1) => true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            other => panic!("the other end is open: {other:?}"),
        });
        byte[0]
    }
}

/// Longer than anything takes.
const WATCHDOG: Duration = Duration::from_secs(60);

/// Waits until it holds, and fails if it never does.
fn eventually(mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < WATCHDOG, "it never comes");
        thread::yield_now();
    }
}

#[test]
fn a_full_pipe_blocks_nobody_and_loses_nothing() {
    let fifo = Fifo::new(b"abc");
    let jobserver = fifo.connect();
    let tokens: Vec<_> = (0..3).map(|_| jobserver.acquire()).collect();
    let room = rustix::pipe::fcntl_getpipe_size(&fifo.end).expect("a pipe");
    (&fifo.end).write_all(&vec![b'-'; room]).expect("so much goes into it");

    drop(tokens);
    assert_eq!(jobserver.held(), 3, "they wait for room");
    assert_eq!(jobserver.losses(), 0);

    // Used again meanwhile, before any other.
    let again = jobserver.try_acquire().expect("one of the three");
    assert_eq!(jobserver.held(), 3);
    drop(again);

    assert_eq!(fifo.read(room), vec![b'-'; room]);
    eventually(|| jobserver.held() == 0);
    assert_eq!(fifo.read(3), b"abc");
    assert!(jobserver.failure().is_none(), "a full pipe is no broken one");
}

#[test]
fn a_request_that_is_withdrawn_takes_nothing_for_good() {
    let fifo = Fifo::new(b"");
    let jobserver = fifo.connect();
    let pool = ThreadPoolBuilder::new().num_threads(4).jobserver(jobserver.clone()).build();
    let pool = pool.expect("four workers");
    for round in 0..200_u8 {
        // With no token there is always one more to wait for, and then nobody wants it any more.
        pool.install(|| rayon::join(|| round, || round));
        (&fifo.end).write_all(&[round]).expect("there is room");
        // The pool may have been about to take it, and then brings it back.
        assert_eq!(fifo.wait(), round);
        assert_eq!(jobserver.held(), 0, "there was one");
    }
}

/// Counts how often something was granted, and how often it was asked to make way.
#[derive(Default)]
struct Counted(AtomicUsize, AtomicUsize);

impl Holder for Counted {
    fn granted(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    fn nudge(&self) {
        self.1.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn whoever_has_the_own_slot_hears_of_those_who_starve_where_no_token_ever_comes() {
    for closed in [false, true] {
        let jobserver = Jobserver::new(0);
        let ledger = jobserver.ledger();
        let holders = [(); 2].map(|()| Arc::new(Counted::default()));
        let [owner, starving] = holders.each_ref().map(|holder| {
            let holder: Arc<dyn Holder> = Arc::clone(holder) as _;
            ledger.open(&holder)
        });
        assert!(ledger.try_take_for(owner).is_some(), "the own slot");
        if closed {
            ledger.close_at_exit(WATCHDOG);
        }
        let before = holders[0].1.load(Ordering::SeqCst);
        let demand = Demand { funds: 1, starving: true, tokens_only: false };
        assert!(!ledger.demand(starving, demand));
        assert_eq!(holders[0].1.load(Ordering::SeqCst), before + 1, "closed: {closed}");
    }
}

#[test]
fn all_that_is_left_over_is_had_at_once_and_the_rest_is_waited_for() {
    let fifo = Fifo::new(b"");
    let jobservers = [(Jobserver::new(2), 3), (fifo.connect(), 1)];
    for (jobserver, at_once) in jobservers {
        let (ledger, counted) = (jobserver.ledger(), Arc::new(Counted::default()));
        let holder: Arc<dyn Holder> = Arc::clone(&counted) as _;
        let account = ledger.open(&holder);
        // As if it had all come back between the holder's last try and now.
        assert!(ledger.demand(account, Demand { funds: 4, ..Demand::default() }));
        assert_eq!(ledger.collect(account).len(), at_once, "the own slot, and what lies here");
        if at_once == 1 {
            (&fifo.end).write_all(b"a").expect("there is room");
            eventually(|| counted.0.load(Ordering::SeqCst) > 0);
            assert_eq!(ledger.collect(account).len(), 1, "a token that came later");
        }
    }
}

/// A terminal for a jobserver: it keeps bytes as a pipe does. Once its other side is gone, reading
/// finds an end and writing fails with EIO.
fn terminal(tokens: &[u8]) -> (File, Jobserver) {
    let server = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&server).and_then(|()| unlockpt(&server)).expect("it is ours");
    let mut modes = rustix::termios::tcgetattr(&server).expect("it is a terminal");
    modes.make_raw();
    let now = rustix::termios::OptionalActions::Now;
    rustix::termios::tcsetattr(&server, now, &modes).expect("any modes will do");
    let path = ptsname(&server, Vec::new()).expect("it has a name").into_string();
    let path = PathBuf::from(path.expect("in ASCII"));
    let client = Pipe::from_fifo(&path).expect("character devices are legal servers");
    let server = File::from(server);
    (&server).write_all(tokens).expect("there is room");
    (server, Jobserver::over(Source::pipe(client)))
}

#[test]
fn a_connection_that_fails_is_reported_and_work_goes_on() {
    let (server, jobserver) = terminal(b"x");
    let held = jobserver.acquire();
    assert!(jobserver.failure().is_none());

    // Two threads wait when it happens.
    let (sender, receiver) = mpsc::channel();
    for _ in 0..2 {
        let (jobserver, sender) = (jobserver.clone(), sender.clone());
        thread::spawn(move || {
            let token = jobserver.acquire();
            sender.send(()).expect("the test waits for it");
            drop(token);
        });
    }
    drop(server);
    // On the own slot, one after the other.
    (0..2).for_each(|_| receiver.recv_timeout(WATCHDOG).expect("nobody waits for ever"));

    let failure = jobserver.failure().expect("it was noticed");
    let cause = std::error::Error::source(&*failure).expect("the system's error");
    let cause = cause.downcast_ref::<std::io::Error>().expect("that of an operation");
    assert_eq!(cause.kind(), std::io::ErrorKind::UnexpectedEof, "{failure}");
    assert!(jobserver.try_acquire().is_none());

    drop(held);
    assert_eq!((jobserver.held(), jobserver.losses()), (1, 1), "it could not be written");

    let pool = ThreadPoolBuilder::new().num_threads(4).jobserver(jobserver.clone()).build();
    let pool = pool.expect("four workers");
    assert_eq!(pool.install(|| rayon::join(|| 6, || 7)), (6, 7));
    assert_eq!(pool.stats().peak, 1, "on the own slot");
}

#[test]
fn a_hosts_client_is_left_as_it_is_and_shared_exactly() {
    let client = jobserver::Client::new(3).expect("a pipe");
    let before = flags_of(&client);
    let jobserver = Jobserver::from_client(client.clone());
    let pools = [(); 2].map(|()| {
        let builder = ThreadPoolBuilder::new().num_threads(8).jobserver(jobserver.clone());
        builder.build().expect("eight workers")
    });
    let hosts = client.acquire().expect("one of three");
    let outside = jobserver.try_acquire().expect("a try is possible");
    assert_eq!(client.available().expect("a pipe"), 1);
    drop((hosts, outside));
    pools.iter().for_each(|pool| assert_eq!(pool.install(|| rayon::join(|| 1, || 2)), (1, 2)));
    drop(pools);
    eventually(|| client.available().expect("a pipe") == 3);
    assert_eq!(jobserver.held(), 0);
    assert_eq!(flags_of(&client), before, "others share them");
}

/// The status flags of both ends of a client's pipe.
fn flags_of(client: &jobserver::Client) -> Vec<OFlags> {
    let mut child = Command::new("true");
    client.configure(&mut child);
    let (_, told) = child.get_envs().find(|(name, _)| *name == "CARGO_MAKEFLAGS").expect("it is");
    let told = told.and_then(|told| told.to_str()).expect("set, to plain text");
    let (_, ends) = told.split_once("--jobserver-auth=").expect("in today's way");
    let ends = ends.split([',', ' ']).take(2).map(|end| end.parse().expect("a descriptor"));
    // SAFETY: both ends are open as long as the client lives.
    let ends = ends.map(|end| unsafe { BorrowedFd::borrow_raw(end) });
    ends.map(|end| rustix::fs::fcntl_getfl(end).expect("it is open")).collect()
}

/// Once children were passed whatever the program had opened under those numbers meanwhile.
#[test]
fn numbers_that_were_closed_in_this_process_are_not_passed_on() {
    let pipe = || io::pipe().expect("a pipe");
    let ((read, write), (mut ours, theirs)) = (pipe(), (OwnedFd::from(pipe().0), pipe()));
    let connect =
        |read: &OwnedFd| Pipe::from_descriptors(read.as_raw_fd(), write.as_raw_fd(), false);
    rustix::io::dup2(&read, &mut ours).expect("a descriptor more");
    let connection = connect(&ours).expect("two ends of a pipe");
    let configured = |connection: &Pipe| connection.configure(&mut Command::new("true"), false);
    configured(&connection).expect("nobody has closed them");
    rustix::io::dup2(&theirs.0, &mut ours).expect("it is open");
    let error = configured(&connection).expect_err("another pipe has the number");
    assert!(error.to_string().contains("have been closed in this process"), "{error}");
    drop(ours);
    configured(&connection).expect_err("whoever has the number now");
}

/// Once it was lost with whoever was to wait for room.
#[test]
fn a_token_that_finds_no_room_outlives_its_connection() {
    for _ in 0..20 {
        let fifo = Fifo::new(b"a");
        let jobserver = fifo.connect();
        let token = jobserver.acquire();
        let room = rustix::pipe::fcntl_getpipe_size(&fifo.end).expect("it is a pipe");
        (&fifo.end).write_all(&vec![b'-'; room]).expect("there is room");
        drop(jobserver);
        drop(token);
        assert_eq!(fifo.read(room), vec![b'-'; room]);
        assert_eq!(fifo.wait(), b'a');
    }
}

/// Once the child wrote it back, too: one token had become two.
#[test]
fn a_forked_child_gives_nothing_back_that_was_granted_to_its_parent() {
    let client = jobserver::Client::new(1).expect("a pipe");
    let ledger = Ledger::new(Source::Client(client.clone()));
    let counted = Arc::new(Counted::default());
    let holder: Arc<dyn Holder> = Arc::clone(&counted) as _;
    let account = ledger.open(&holder);
    let wants = Demand { funds: 1, tokens_only: true, ..Demand::default() };
    if !ledger.demand(account, wants) {
        eventually(|| counted.0.load(Ordering::SeqCst) > 0);
    }
    // Else the thread that waited for it counts as one that still uses the ledger.
    eventually(|| Arc::strong_count(&ledger) == 1);
    // SAFETY: the child frees what it has a copy of, which glibc lets it, and ends.
    match unsafe { libc::fork() } {
        -1 => panic!("no child to be had"),
        0 => {
            drop(ledger);
            // SAFETY: always sound.
            unsafe { libc::_exit(0) };
        }
        child => {
            let mut status = 0;
            // SAFETY: the child is ours, and `status` is there to be written.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            assert_eq!(status, 0);
        }
    }
    assert_eq!(client.available().expect("a pipe"), 0, "it is in the inbox");
    drop(ledger.collect(account));
    assert_eq!(client.available().expect("a pipe"), 1);
}
