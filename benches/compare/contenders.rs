//! The pools that are compared, each in a process and on a budget of its own.

use std::error::Error;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use jobserver::Client;
use rayon_jobserver::{Jobserver, ThreadPool, ThreadPoolBuilder, Token};

use crate::jobs::Jobs;
use crate::leaf::Leaf;
use crate::proxy::Proxy;
use crate::row::{Contender, Sample};
use crate::settle::settle;
use crate::work::{Enter, Scene, Work};
use crate::{on_fork, on_stock};

/// A pool, and the budget it runs on.
pub(crate) struct Pool {
    runner: Runner,
    client: Client,
    place: Place,
}

/// How large a pool and its budget are.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) workers: usize,
    /// How many jobs may run at once.
    pub(crate) width: usize,
    /// Tokens that somebody else has until a quarter of the work is done.
    pub(crate) lent: usize,
}

enum Runner {
    Stock {
        pool: rayon::ThreadPool,
    },
    Wide {
        pool: rayon::ThreadPool,
        _held: Held,
    },
    /// Keeps what it took at the start.
    Sized {
        pool: rayon::ThreadPool,
        tokens: Vec<Token>,
    },
    Ours {
        pool: ThreadPool,
    },
    /// The global pool.
    Bare {
        jobserver: Jobserver,
    },
    Fork {
        pool: forked_rayon::ThreadPool,
        proxy: Arc<Proxy>,
    },
}

/// Workers that are kept from all other work until this is dropped.
struct Held(Option<mpsc::Sender<()>>);

impl Held {
    fn new(pool: &rayon::ThreadPool, count: usize) -> Held {
        let (release, wait) = mpsc::channel::<()>();
        let wait = Arc::new(Mutex::new(wait));
        let (begun, begin) = mpsc::channel();
        for _ in 0..count {
            let (wait, begun) = (Arc::clone(&wait), begun.clone());
            pool.spawn(move || {
                begun.send(()).expect("the builder waits");
                // Ends with an error once nobody can send any more.
                let _ = wait.lock().expect("no panic").recv();
            });
        }
        (0..count).for_each(|_| begin.recv().expect("there are as many workers"));
        Held(Some(release))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.0.take());
    }
}

impl Pool {
    /// What runs the work of a row.
    pub(crate) fn new(
        contender: Contender,
        place: Place,
        client: Client,
        work: &Work,
    ) -> Result<Self, Box<dyn Error>> {
        let Place { workers, width, lent } = place;
        let stock = |width| rayon::ThreadPoolBuilder::new().num_threads(width).build();
        let ours = |jobserver: &Jobserver| {
            let builder =
                ThreadPoolBuilder::new().num_threads(workers).jobserver(jobserver.clone());
            match work.leaf {
                Leaf::Compute => builder,
                // It stands for a core that computes, and must not count as blocked.
                Leaf::Sleep => builder.detect_blocking(None),
            }
        };
        let runner = match contender {
            Contender::Stock => Runner::Stock { pool: stock(width)? },
            Contender::Wide => {
                let pool = stock(workers)?;
                let held = Held::new(&pool, workers - width);
                Runner::Wide { pool, _held: held }
            }
            Contender::Sized => {
                let jobserver = Jobserver::from_client(client.clone());
                let wanted = width - 1 - lent;
                let tokens: Vec<_> = (0..wanted).map_while(|_| jobserver.try_acquire()).collect();
                Runner::Sized { pool: stock(1 + tokens.len())?, tokens }
            }
            Contender::Ours => {
                let jobserver = Jobserver::from_client(client.clone());
                Runner::Ours { pool: ours(&jobserver).build()? }
            }
            Contender::Bare => {
                let jobserver = Jobserver::inherited();
                ours(&jobserver).build_global()?;
                Runner::Bare { jobserver }
            }
            Contender::Fork => {
                let proxy = Arc::new(Proxy::new(client.clone())?);
                let (acquire, release) = (Arc::clone(&proxy), Arc::clone(&proxy));
                let builder = forked_rayon::ThreadPoolBuilder::new()
                    .num_threads(workers)
                    .acquire_thread_handler(move || acquire.acquire_thread())
                    .release_thread_handler(move || release.release_thread());
                Runner::Fork { pool: builder.build()?, proxy }
            }
        };
        Ok(Pool { runner, client, place })
    }

    /// Runs the work once.
    pub(crate) fn run(&self, work: &Work) -> Sample {
        settle();
        let sample = match &self.runner {
            Runner::Stock { pool } | Runner::Wide { pool, .. } | Runner::Sized { pool, .. } => {
                self.measure(work, on_stock::run, &|section| pool.install(section))
            }
            Runner::Ours { pool } => {
                self.measure(work, on_stock::run, &|section| pool.install(section))
            }
            Runner::Bare { .. } => {
                self.measure(work, on_stock::run, &|section| rayon::scope(|_| section()))
            }
            Runner::Fork { pool, .. } => {
                self.measure(work, on_fork::run, &|section| pool.install(section))
            }
        };
        // Whoever runs next is not to pay for what still goes on here.
        settle();
        sample
    }

    fn measure(
        &self,
        work: &Work,
        run: fn(&Work, &Scene<'_>) -> Duration,
        enter: Enter<'_>,
    ) -> Sample {
        let jobs = Jobs::new(work.leaf);
        let lent = match self.runner {
            // These look at the jobserver at the start or never.
            Runner::Stock { .. } | Runner::Wide { .. } | Runner::Sized { .. } => Vec::new(),
            Runner::Ours { .. } | Runner::Bare { .. } | Runner::Fork { .. } => {
                let lent = (0..self.place.lent).map(|_| self.client.acquire());
                lent.map(|token| token.expect("the pipe can be read")).collect()
            }
        };
        let lent = Mutex::new(lent);
        let grow = || lent.lock().expect("no panic").clear();
        let scene = Scene { width: self.place.width, jobs: &jobs, enter, grow: &grow };
        // What the pool takes to become wide it takes in the part that is not timed, and keeps.
        let before = self.taken();
        if let Some(before) = work.before() {
            run(&before, &Scene { jobs: &Jobs::new(work.leaf), ..scene });
        }
        let time = run(work, &scene);
        let taken = match &self.runner {
            // A process of one run would take them in it.
            Runner::Sized { tokens, .. } => tokens.len() as u64,
            _ => self.taken() - before,
        };
        Sample { millis: time.as_secs_f64() * 1e3, taken, peak: jobs.peak() }
    }

    /// Tokens read from the jobserver since the pool was built.
    fn taken(&self) -> u64 {
        match &self.runner {
            Runner::Stock { .. } | Runner::Wide { .. } | Runner::Sized { .. } => 0,
            Runner::Ours { pool } => pool.jobserver().taken(),
            Runner::Bare { jobserver } => jobserver.taken(),
            Runner::Fork { proxy, .. } => proxy.taken(),
        }
    }
}
