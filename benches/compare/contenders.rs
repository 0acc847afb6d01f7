//! The pools that are compared, each on a budget of its own.

use std::error::Error;
use std::sync::{Arc, mpsc};

use jobserver::Client;
use parking_lot::Mutex;
use rayon_jobserver::{Jobserver, ThreadPool, ThreadPoolBuilder, Token};

use crate::bare::Process;
use crate::jobs::Jobs;
use crate::leaf::Leaf;
use crate::proxy::Proxy;
use crate::row::{Contender, Row, Sample, Supply};
use crate::work::{Scene, Work};
use crate::{on_fork, on_stock};

/// A pool, and the budget it runs on.
pub(crate) struct Pool {
    runner: Runner,
    /// A real pipe, as in a build.
    client: Client,
    /// How many jobs may run at once.
    width: usize,
    /// Tokens that somebody else has until a quarter of the work is done.
    lent: usize,
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
    Bare {
        process: Mutex<Process>,
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
                let _ = wait.lock().recv();
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
        row: &Row,
        work: &Work,
    ) -> Result<Self, Box<dyn Error>> {
        let client = Client::new(row.tokens)?;
        let width = row.width();
        let growing = row.supply() == Supply::Growing;
        let lent = if growing { row.tokens - 1 } else { 0 };
        let stock = |width| rayon::ThreadPoolBuilder::new().num_threads(width).build();
        let runner = match contender {
            Contender::Stock => Runner::Stock { pool: stock(width)? },
            Contender::Wide => {
                let pool = stock(row.workers)?;
                let held = Held::new(&pool, row.workers - width);
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
                let builder =
                    ThreadPoolBuilder::new().num_threads(row.workers).jobserver(jobserver);
                let pool = match work.leaf {
                    Leaf::Compute => builder.build()?,
                    // It stands for a core that computes, and must not count as blocked.
                    Leaf::Sleep => builder.detect_blocking(None).build()?,
                };
                Runner::Ours { pool }
            }
            Contender::Bare => {
                let process = Mutex::new(Process::start(&client, row, lent, work)?);
                Runner::Bare { process }
            }
            Contender::Fork => {
                let proxy = Arc::new(Proxy::new(client.clone())?);
                let (acquire, release) = (Arc::clone(&proxy), Arc::clone(&proxy));
                let builder = forked_rayon::ThreadPoolBuilder::new()
                    .num_threads(row.workers)
                    .acquire_thread_handler(move || acquire.acquire_thread())
                    .release_thread_handler(move || release.release_thread());
                Runner::Fork { pool: builder.build()?, proxy }
            }
        };
        Ok(Pool { runner, client, width, lent })
    }

    /// Runs the work once.
    pub(crate) fn run(&self, work: &Work) -> Sample {
        if let Runner::Bare { process } = &self.runner {
            return process.lock().run().expect("it runs until it is told to end");
        }
        let jobs = Jobs::new(work.leaf);
        let lent = match self.runner {
            // These look at the jobserver at the start or never.
            Runner::Stock { .. } | Runner::Wide { .. } | Runner::Sized { .. } => Vec::new(),
            Runner::Bare { .. } => unreachable!("it runs elsewhere"),
            Runner::Ours { .. } | Runner::Fork { .. } => {
                let lent = (0..self.lent).map(|_| self.client.acquire());
                lent.map(|token| token.expect("a pipe of our own can be read")).collect()
            }
        };
        let lent = Mutex::new(lent);
        let grow = || lent.lock().clear();
        let scene = |enter| Scene { width: self.width, jobs: &jobs, enter, grow: &grow };
        let before = self.taken();
        let time = match &self.runner {
            Runner::Stock { pool } | Runner::Wide { pool, .. } | Runner::Sized { pool, .. } => {
                on_stock::run(work, &scene(&|section| pool.install(section)))
            }
            Runner::Ours { pool } => on_stock::run(work, &scene(&|section| pool.install(section))),
            Runner::Bare { .. } => unreachable!("it runs elsewhere"),
            Runner::Fork { pool, .. } => {
                on_fork::run(work, &scene(&|section| pool.install(section)))
            }
        };
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
            Runner::Bare { .. } => unreachable!("it counts elsewhere"),
            Runner::Ours { pool } => pool.jobserver().taken(),
            Runner::Fork { proxy, .. } => proxy.taken(),
        }
    }
}
