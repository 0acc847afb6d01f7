//! Options to a pool: rayon's own, one by one, and ours.

mod build;
mod handlers;
mod parts;
mod spawn;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use rayon_core::ThreadBuilder;

use crate::Jobserver;
use crate::governor::StartHook;
#[cfg(tuning)]
use crate::governor::policy::Knobs;
use handlers::PanicHandler;
pub use spawn::{CustomSpawn, DefaultSpawn};

type NameHandler = Box<dyn FnMut(usize) -> String>;
type ExitHandler = Box<dyn Fn(usize) + Send + Sync>;

/// Builds a pool that runs only as wide as its tokens; rayon's builder in every other way.
///
/// ```
/// use rayon_jobserver::ThreadPoolBuilder;
///
/// // The one line of a drop-in: from here on `par_iter` and all of rayon follow the budget.
/// ThreadPoolBuilder::new().build_global()?;
/// # Ok::<(), rayon_jobserver::BuildError>(())
/// ```
pub struct ThreadPoolBuilder<S = DefaultSpawn> {
    num_threads: usize,
    use_current_thread: bool,
    breadth_first: bool,
    stack_size: Option<usize>,
    thread_name: Option<NameHandler>,
    panic_handler: Option<PanicHandler>,
    start_handler: Option<StartHook>,
    exit_handler: Option<ExitHandler>,
    jobserver: Option<Jobserver>,
    detect_blocking: Option<Duration>,
    fair_share: bool,
    #[cfg(tuning)]
    tuning: Vec<(String, f64)>,
    spawn: S,
}

impl Default for ThreadPoolBuilder {
    fn default() -> Self {
        ThreadPoolBuilder {
            num_threads: 0,
            use_current_thread: false,
            breadth_first: false,
            stack_size: None,
            thread_name: None,
            panic_handler: None,
            start_handler: None,
            exit_handler: None,
            jobserver: None,
            detect_blocking: Some(Duration::from_millis(10)),
            fair_share: true,
            #[cfg(tuning)]
            tuning: Vec::new(),
            spawn: DefaultSpawn(()),
        }
    }
}

impl ThreadPoolBuilder {
    /// A builder with rayon's defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// The names of the policy's durations, for benches.
    #[cfg(tuning)]
    pub fn knobs() -> Vec<&'static str> {
        Knobs::default().named().into_iter().map(|(name, _)| name).collect()
    }
}

impl<S> ThreadPoolBuilder<S> {
    /// Starts the pool's threads by `spawn`, which must arrange for [`ThreadBuilder::run`] to be
    /// called on each.
    /// ```
    /// use std::thread;
    ///
    /// let builder = rayon_jobserver::ThreadPoolBuilder::new().num_threads(2);
    /// let builder = builder.spawn_handler(|worker| {
    ///     let thread = thread::Builder::new().name(format!("worker {}", worker.index()));
    ///     thread.spawn(|| worker.run()).map(drop)
    /// });
    /// let pool = builder.build()?;
    /// # assert!(pool.install(|| thread::current().name().is_some_and(|name| name.starts_with("worker "))));
    /// # Ok::<(), rayon_jobserver::BuildError>(())
    /// ```
    pub fn spawn_handler<F>(self, spawn: F) -> ThreadPoolBuilder<CustomSpawn<F>>
    where
        F: FnMut(ThreadBuilder) -> io::Result<()>,
    {
        ThreadPoolBuilder {
            num_threads: self.num_threads,
            use_current_thread: self.use_current_thread,
            breadth_first: self.breadth_first,
            stack_size: self.stack_size,
            thread_name: self.thread_name,
            panic_handler: self.panic_handler,
            start_handler: self.start_handler,
            exit_handler: self.exit_handler,
            jobserver: self.jobserver,
            detect_blocking: self.detect_blocking,
            fair_share: self.fair_share,
            #[cfg(tuning)]
            tuning: self.tuning,
            spawn: CustomSpawn(spawn),
        }
    }

    /// The jobserver whose tokens the pool runs on; by default [`Jobserver::inherited`].
    /// ```
    /// use rayon_jobserver::{Jobserver, ThreadPoolBuilder};
    ///
    /// let jobserver = Jobserver::new(3);
    /// let pool = || ThreadPoolBuilder::new().num_threads(4).jobserver(jobserver.clone()).build();
    /// // Never more than four jobs at once in both together.
    /// let (parsing, writing) = (pool()?, pool()?);
    /// # assert_eq!((parsing.install(|| 6), writing.install(|| 7)), (6, 7));
    /// # Ok::<(), rayon_jobserver::BuildError>(())
    /// ```
    pub fn jobserver(mut self, jobserver: Jobserver) -> Self {
        self.jobserver = Some(jobserver);
        self
    }

    /// How long a worker that has a token or the own slot must have slept in a job to count as blocked; 10 ms by
    /// default. Less than 1 ms counts as 1 ms.
    ///
    /// What funds such a worker is lent to a parked one, as with [`blocking`](crate::blocking()), but
    /// without the worker's knowledge: when it wakes, it runs on at once. It is then an
    /// [overcommit](crate::Stats::overcommits), until a worker runs out of work or a token comes.
    ///
    /// A worker that waits for a child process does not count as blocked as long as the child, or a descendant
    /// of it, computes: the child runs on the worker's token. At most 32 such processes are looked at, and none
    /// where the kernel does not list them (without `CONFIG_PROC_CHILDREN`).
    ///
    /// `None` turns this off, for jobs that sleep in place of computing. Linux only; elsewhere the value has no
    /// effect.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use rayon_jobserver::{Jobserver, ThreadPoolBuilder};
    ///
    /// let builder = ThreadPoolBuilder::new().num_threads(2).jobserver(Jobserver::new(0));
    /// let pool = builder.detect_blocking(None).build()?;
    /// // It stands for a job that computes: otherwise the own slot would be lent while this sleeps.
    /// let compute = || std::thread::sleep(Duration::from_millis(50));
    /// pool.join(compute, compute);
    /// assert_eq!((pool.stats().peak, pool.stats().lendings), (1, 0), "one after the other");
    /// # Ok::<(), rayon_jobserver::BuildError>(())
    /// ```
    pub fn detect_blocking(mut self, after: Option<Duration>) -> Self {
        self.detect_blocking = after;
        self
    }

    /// Whether the pool offers a token to others now and then although all its workers are busy;
    /// `true` unless set.
    ///
    /// It does so only while the jobserver is empty and others may want a token, which in a budget of this process
    /// alone are its other pools and threads: each token is offered once in about 100 ms, so a pool with four offers
    /// one every 25 ms; while nobody takes them, the pause doubles up to 400 ms. A token that is not taken within 2 ms
    /// is fetched back. So busy processes come to have equal shares, and make can start a recipe beside a pool that is
    /// busy for minutes.
    ///
    /// A worker can be asked for its token when its own queue is empty: between two sections, or when the
    /// share of a call that it has stolen is done. Within one long parallel iterator or tree of joins that
    /// may be seconds later, or not before its end, unless its jobs call
    /// [`yield_token`](crate::yield_token).
    ///
    /// `false` is for programs that must keep what they have as long as they have work for it. The pool then
    /// asks its workers only to make room for each other.
    ///
    /// ```
    /// // What a user waits for comes before what others build meanwhile.
    /// let pool = rayon_jobserver::ThreadPoolBuilder::new().fair_share(false).build()?;
    /// # assert_eq!(pool.install(|| 6 * 7), 42);
    /// # Ok::<(), rayon_jobserver::BuildError>(())
    /// ```
    pub fn fair_share(mut self, offers: bool) -> Self {
        self.fair_share = offers;
        self
    }

    /// Makes one of the policy's durations `factor` times what it is, for benches.
    ///
    /// # Panics
    ///
    /// `build` does if there is no duration of that name.
    #[cfg(tuning)]
    pub fn tuned(mut self, knob: &str, factor: f64) -> Self {
        self.tuning.push((knob.to_owned(), factor));
        self
    }

    /// The number of threads, and so of the workers that may run at once. The tokens may allow
    /// fewer.
    ///
    /// 0, the default, means the environment's `RAYON_NUM_THREADS`, else the machine's
    /// parallelism. More than rayon can do ([`rayon_core::max_num_threads`]) means that many.
    pub fn num_threads(mut self, num_threads: usize) -> Self {
        self.num_threads = num_threads;
        self
    }

    /// Names the threads.
    pub fn thread_name<F>(mut self, name: F) -> Self
    where
        F: FnMut(usize) -> String + 'static,
    {
        self.thread_name = Some(Box::new(name));
        self
    }

    /// Stack size of the threads, in bytes.
    pub fn stack_size(mut self, bytes: usize) -> Self {
        self.stack_size = Some(bytes);
        self
    }

    /// Called on each thread as it starts, before it holds a token and before any job.
    ///
    /// It should not wait for jobs of the pool: while it waits it would run some, without a token.
    /// ```
    /// let builder = rayon_jobserver::ThreadPoolBuilder::new().num_threads(2);
    /// let builder = builder.start_handler(|index| println!("worker {index} has started"));
    /// let pool = builder.exit_handler(|index| println!("worker {index} ends")).build()?;
    /// # assert_eq!(pool.install(|| 42), 42);
    /// # Ok::<(), rayon_jobserver::BuildError>(())
    /// ```
    pub fn start_handler<H>(mut self, handler: H) -> Self
    where
        H: Fn(usize) + Send + Sync + 'static,
    {
        self.start_handler = Some(Box::new(handler));
        self
    }

    /// Called on each thread as it ends.
    pub fn exit_handler<H>(mut self, handler: H) -> Self
    where
        H: Fn(usize) + Send + Sync + 'static,
    {
        self.exit_handler = Some(Box::new(handler));
        self
    }

    /// Called with the payload when a spawned job or a handler panics. Without it, as in rayon, such a
    /// panic aborts the process, here after its tokens have been given back.
    /// ```
    /// use std::sync::mpsc;
    ///
    /// let (tell, told) = mpsc::channel();
    /// let builder = rayon_jobserver::ThreadPoolBuilder::new().num_threads(2);
    /// let builder = builder.panic_handler(move |payload| {
    ///     let _ = tell.send(payload.downcast_ref::<&str>().copied());
    /// });
    /// let pool = builder.build()?;
    /// pool.spawn(|| panic!("nobody waits for this"));
    /// assert_eq!(told.recv(), Ok(Some("nobody waits for this")));
    /// # Ok::<(), rayon_jobserver::BuildError>(())
    /// ```
    pub fn panic_handler<H>(mut self, handler: H) -> Self
    where
        H: Fn(Box<dyn Any + Send>) + Send + Sync + 'static,
    {
        self.panic_handler = Some(Arc::new(handler));
        self
    }

    /// Makes the current thread the pool's worker 0.
    ///
    /// It cannot be parked while it runs code outside the pool. So it keeps what funds it, the own
    /// slot if that is free, until it next waits within the pool or the pool is dropped. If nothing
    /// is free, it runs beyond the budget until something comes back.
    ///
    /// After the pool is dropped, the other threads finish what is left and end, as in rayon. But if
    /// [fair share](Self::fair_share) has just asked them for a token, they stay asleep until the current
    /// thread next waits for jobs of any pool: for ever, if it has ended. Should it end while the pool lives, what
    /// funds it goes to others where workers that [block](Self::detect_blocking) are looked for, and else stays with
    /// it.
    /// ```
    /// use rayon_jobserver::{Jobserver, ThreadPoolBuilder};
    ///
    /// let builder = ThreadPoolBuilder::new().num_threads(2).jobserver(Jobserver::new(1));
    /// let pool = builder.use_current_thread().build()?;
    /// assert_eq!(pool.current_thread_index(), Some(0));
    /// assert_eq!(pool.install(rayon::current_thread_index), Some(0), "in place");
    /// # Ok::<(), rayon_jobserver::BuildError>(())
    /// ```
    pub fn use_current_thread(mut self) -> Self {
        self.use_current_thread = true;
        self
    }

    /// Runs each worker's own jobs in the order they were pushed.
    #[deprecated(note = "use `scope_fifo` and `spawn_fifo` for similar effect")]
    pub fn breadth_first(mut self) -> Self {
        self.breadth_first = true;
        self
    }
}

impl<S> fmt::Debug for ThreadPoolBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadPoolBuilder")
            .field("num_threads", &self.num_threads)
            .field("use_current_thread", &self.use_current_thread)
            .field("breadth_first", &self.breadth_first)
            .field("stack_size", &self.stack_size)
            .field("jobserver", &self.jobserver)
            .field("detect_blocking", &self.detect_blocking)
            .field("fair_share", &self.fair_share)
            .finish_non_exhaustive()
    }
}
