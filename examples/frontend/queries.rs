//! Queries: computed on demand and once, by whoever asks first.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon_jobserver::Monitor;

use crate::source::{Index, Workspace};

/// A type of a crate, by their numbers.
type TypeId = (usize, usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Query {
    /// What a crate defines.
    Index(usize),
    /// How many types a value of this one consists of.
    Extent(TypeId),
}

#[derive(Clone, Debug)]
enum Answer {
    Index(Arc<Index>),
    Extent(Result<u64, Recursive>),
}

/// The type contains itself, or one that does: its extent has no end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recursive;

/// One summary under way; it computes a chain of queries, each for the one before.
type Task = usize;

/// What is known and what is being computed.
#[derive(Debug, Default)]
struct Table {
    answers: HashMap<Query, Answer>,
    running: HashMap<Query, Task>,
    /// Which query each waiting task waits for.
    waiting: HashMap<Task, Query>,
}

/// Where a query stands when somebody asks it.
enum Standing {
    Answered(Answer),
    /// It is for the asker to compute.
    Free,
    /// Somebody else computes it.
    Running,
    /// Whoever computes it waits, over any number of others, for the asker.
    Cycle,
}

#[derive(Debug)]
pub(crate) struct Queries<'a> {
    workspace: &'a Workspace,
    table: Monitor<Table>,
    tasks: AtomicUsize,
}

/// What is printed of one crate.
#[derive(Debug)]
pub(crate) struct Summary<'a> {
    name: &'a str,
    types: usize,
    recursive: usize,
    extent: u64,
}

impl<'a> Queries<'a> {
    pub(crate) fn new(workspace: &'a Workspace) -> Self {
        Queries { workspace, table: Monitor::default(), tasks: AtomicUsize::new(0) }
    }

    /// Sums a crate up.
    pub(crate) fn summary(&self, number: usize) -> Summary<'a> {
        let task = self.tasks.fetch_add(1, Ordering::Relaxed);
        let types = self.index(task, number).types.len();
        let extents: Vec<_> = (0..types).map(|it| self.extent(task, (number, it))).collect();
        Summary {
            name: &self.workspace.crates[number].name,
            types,
            recursive: extents.iter().filter(|extent| extent.is_err()).count(),
            extent: extents.into_iter().flatten().fold(0, u64::saturating_add),
        }
    }

    fn index(&self, task: Task, number: usize) -> Arc<Index> {
        let compute = || Answer::Index(Arc::new(self.workspace.crates[number].index()));
        match self.ask(task, Query::Index(number), compute) {
            Some(Answer::Index(index)) => index,
            _ => unreachable!("an index needs no other query"),
        }
    }

    fn extent(&self, task: Task, id: TypeId) -> Result<u64, Recursive> {
        let compute = || Answer::Extent(self.compute_extent(task, id));
        match self.ask(task, Query::Extent(id), compute) {
            Some(Answer::Extent(extent)) => extent,
            Some(Answer::Index(_)) => unreachable!("it was asked for an extent"),
            None => Err(Recursive),
        }
    }

    fn compute_extent(&self, task: Task, (number, of): TypeId) -> Result<u64, Recursive> {
        let index = self.index(task, number);
        let definition = &index.types[of];
        let mut extent = 1_u64;
        let mut end = Ok(());
        for name in &definition.mentions {
            match self.resolve(task, number, name).map(|id| self.extent(task, id)) {
                Some(Ok(part)) => extent = extent.saturating_add(part),
                // All parts are asked for, lest it depend on who comes first which are known.
                Some(Err(recursive)) => end = Err(recursive),
                // A type of the standard library, or a parameter.
                None => extent = extent.saturating_add(1),
            }
        }
        end.map(|()| extent)
    }

    /// The type that a name means within a crate: its own, or one of its dependencies'.
    fn resolve(&self, task: Task, number: usize, name: &str) -> Option<TypeId> {
        let dependencies = &self.workspace.crates[number].dependencies;
        let places = std::iter::once(&number).chain(dependencies);
        places.copied().find_map(|place| {
            let found = self.index(task, place).by_name.get(name).copied()?;
            Some((place, found))
        })
    }

    /// The answer to a query, which is computed if nobody has or does; `None` if that would never
    /// end.
    fn ask(&self, task: Task, query: Query, compute: impl FnOnce() -> Answer) -> Option<Answer> {
        let standing = self.table.wait_until(|table| match table.standing(task, query) {
            Standing::Running => {
                table.waiting.insert(task, query);
                None
            }
            other => {
                table.waiting.remove(&task);
                if matches!(other, Standing::Free) {
                    table.running.insert(query, task);
                }
                Some(other)
            }
        });
        match standing {
            Standing::Answered(answer) => Some(answer),
            Standing::Cycle => None,
            Standing::Free => {
                let answer = compute();
                self.table.update(|table| {
                    table.running.remove(&query);
                    table.answers.insert(query, answer.clone());
                });
                Some(answer)
            }
            Standing::Running => unreachable!("it was waited for"),
        }
    }
}

impl Table {
    fn standing(&self, asker: Task, query: Query) -> Standing {
        if let Some(answer) = self.answers.get(&query) {
            return Standing::Answered(answer.clone());
        }
        let Some(&computing) = self.running.get(&query) else { return Standing::Free };
        let mut task = computing;
        loop {
            if task == asker {
                return Standing::Cycle;
            }
            // One that was answered just now lets its task go on.
            let next = self.waiting.get(&task).and_then(|query| self.running.get(query));
            match next {
                Some(&next) => task = next,
                None => return Standing::Running,
            }
        }
    }
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { name, types, recursive, extent } = self;
        write!(f, "{types:8} {recursive:9} {extent:16}  {name}")
    }
}
