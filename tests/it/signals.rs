//! What `give_back_on_signals` leaves alone; that it gives back is seen in `tests/ends`.

use std::ffi::c_void;
use std::fs;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicUsize, Ordering};

use libc::{SIGHUP, SIGINT, SIGTERM, c_int, siginfo_t};
use rayon_jobserver::give_back_on_signals;

use crate::process::{in_own_process, threads};
use crate::support::eventually;

type Action = extern "C" fn(c_int, *mut siginfo_t, *mut c_void);

/// How often the host's handlers have run.
static HOSTS: AtomicUsize = AtomicUsize::new(0);
/// The handler that was there before the host's.
static BEFORE: AtomicUsize = AtomicUsize::new(0);

extern "C" fn hosts(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    HOSTS.fetch_add(1, Ordering::SeqCst);
    let before = BEFORE.load(Ordering::SeqCst) as *const ();
    if !before.is_null() {
        // SAFETY: it is what was installed as a handler of this type.
        let before = unsafe { std::mem::transmute::<*const (), Action>(before) };
        before(signal, info, context);
    }
}

/// Installs a handler, and returns the one before it.
fn install(signal: c_int, handler: usize) -> usize {
    // SAFETY: all zeros are no flags and no signals.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = handler;
    action.sa_flags = libc::SA_SIGINFO;
    let mut before = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: the handler, if it is one, is of the type that the flag says, and does what handlers
    // may do.
    assert_eq!(unsafe { libc::sigaction(signal, &raw const action, before.as_mut_ptr()) }, 0);
    // SAFETY: the call has written it.
    unsafe { before.assume_init() }.sa_sigaction
}

/// Undoes what whoever runs the tests has decided: a shell has its background jobs ignore SIGINT, `nohup` SIGHUP.
fn as_in_a_terminal() {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        install(signal, libc::SIG_DFL);
    }
}

fn raise(signal: c_int) {
    // SAFETY: it asks for nothing but that the signal is one.
    assert_eq!(unsafe { libc::raise(signal) }, 0);
}

/// How often the thread that waits for signals has gone to sleep.
fn pauses() -> u64 {
    let status = threads().into_iter().find_map(|thread| {
        let status = fs::read_to_string(format!("/proc/self/task/{thread}/status")).ok()?;
        // The kernel keeps 15 letters of a name.
        status.starts_with("Name:\tjobserver-signa").then_some(status)
    });
    let status = status.expect("there is such a thread");
    let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    count.and_then(|count| count.trim().parse().ok()).expect("a number")
}

#[test]
fn what_the_host_has_decided_stays() {
    in_own_process("signals::what_the_host_has_decided_stays", &[], || {
        as_in_a_terminal();
        install(SIGHUP, libc::SIG_IGN);
        install(SIGTERM, hosts as *const () as usize);
        give_back_on_signals().expect("a thread and a handler");
        give_back_on_signals().expect("there is nothing more to do");
        raise(SIGHUP);
        raise(SIGTERM);
        assert_eq!(HOSTS.load(Ordering::SeqCst), 1, "SIGTERM is the host's, SIGHUP nobody's");

        // A handler that comes later counts, too, though it passes the signal on.
        let ours = install(SIGINT, hosts as *const () as usize);
        assert!(![libc::SIG_DFL, libc::SIG_IGN].contains(&ours), "SIGINT was nobody's");
        BEFORE.store(ours, Ordering::SeqCst);
        let before = pauses();
        raise(SIGINT);
        assert_eq!(HOSTS.load(Ordering::SeqCst), 2);
        eventually("the thread has been woken, and lets the process live", || pauses() > before);
    });
}

#[test]
fn a_forked_child_dies_by_the_signal_at_once() {
    in_own_process("signals::a_forked_child_dies_by_the_signal_at_once", &[], || {
        as_in_a_terminal();
        give_back_on_signals().expect("a thread and handlers");
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            // SAFETY: the child does what signal handlers may do, and ends.
            let child = unsafe { libc::fork() };
            if child == 0 {
                // SAFETY: it asks for nothing but that the signal is one.
                unsafe { libc::raise(signal) };
                // SAFETY: it ends the process, whatever its state.
                unsafe { libc::_exit(0) };
            }
            let mut status = 0;
            // SAFETY: the child is ours, and `status` is there to be written.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            assert!(libc::WIFSIGNALED(status), "it has lived on: {status:#x}");
            assert_eq!(libc::WTERMSIG(status), signal);
        }
    });
}
