//! The pool: which worktrees there are, who gets which, and what is to be done before one can be worked in.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bellwether_actors::backend::PreviousAttempt;
use bellwether_journal::id::{Epoch, FencingToken, RunId};
use bellwether_journal::key::Digest;
use bellwether_launcher::{Launcher, Marker};
use futures_util::future::join_all;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use super::base::{Base, Place, base_ref};
use super::extras::Extras;
use super::free::{Choice, Condition, Limits, Slots, TEMPLATE};
use super::lease::Worktree;
use super::leftovers::Leftovers;
use super::settings::Settings;
use super::slot::{Lease, Slot};
use super::template::Template;
use super::{WorktreeError, blocking, create, disk};
use crate::git::Git;
use crate::processes;

const LOCK: &str = "lock";
/// So many digits of a journal's name tell one pool from another, and paths stay short.
const NAME_DIGITS: usize = 8;

/// What a pool needs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PoolOptions {
    /// Where all pools are: `.bellwether/local/worktrees`.
    pub folder: PathBuf,
    /// The project's folder, which lies in a checkout of the repository.
    pub project: PathBuf,
    /// How worktrees are made ready.
    pub settings: Settings,
    /// The journal's own name.
    pub journal: Digest,
    /// The journal's opening.
    pub epoch: Epoch,
    /// The program that starts processes, where this one cannot.
    pub helper: Option<PathBuf>,
}

impl PoolOptions {
    /// A pool in `folder` for the repository that `project` lies in, and for an opening of a journal.
    #[must_use]
    pub fn new(
        folder: impl Into<PathBuf>,
        project: impl Into<PathBuf>,
        journal: Digest,
        epoch: Epoch,
    ) -> Self {
        Self {
            folder: folder.into(),
            project: project.into(),
            settings: Settings::default(),
            journal,
            epoch,
            helper: None,
        }
    }
}

/// Worktrees of one repository for the agents of one journal. Cheap to clone.
#[derive(Clone)]
pub struct Pool(pub(super) Arc<Shared>);

impl std::fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Pool").field(&self.0.folder).finish()
    }
}

pub(super) struct Shared {
    pub(super) settings: Settings,
    /// The project's folder, from the repository's top.
    pub(super) project: PathBuf,
    /// Where all pools are.
    pub(super) own: PathBuf,
    folder: PathBuf,
    place: Place,
    pub(super) launcher: Arc<Launcher>,
    journal: Digest,
    pub(super) leftovers: Leftovers,
    slots: Mutex<Slots>,
    pub(super) freed: Notify,
    /// See [`create::register`].
    pub(super) registering: tokio::sync::Mutex<()>,
    pub(super) template: Template,
    /// More copies at a time than there are cores only get in each other's way.
    pub(super) copying: Semaphore,
    pub(super) extras: tokio::sync::Mutex<HashMap<(PathBuf, RunId), Arc<Extras>>>,
    /// One landing at a time; between processes see [`crate::landing`].
    landing: tokio::sync::Mutex<()>,
    /// Held as long as the pool is open.
    _lock: Lock,
}

/// A worktree taken out of the pool. It goes back when this is dropped.
pub(super) struct Claim {
    shared: Arc<Shared>,
    pub(super) slot: Slot,
    pub(super) condition: Condition,
    /// There was no other when it was taken.
    pub(super) alone: bool,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let slot = std::mem::replace(&mut self.slot, Slot::new(Path::new(""), "", 0));
        self.shared.slots().give_back(slot, self.condition);
        self.shared.freed.notify_one();
    }
}

impl Pool {
    /// Opens the pool of a journal, and makes what attempts of earlier openings left in it into patches for the next
    /// attempts of their calls. Their processes must have ended.
    ///
    /// # Errors
    /// [`WorktreeError`]: there is no git or no repository, or another engine has the pool.
    pub async fn open(options: PoolOptions) -> Result<Self, WorktreeError> {
        let launcher = processes::launcher(options.helper.clone());
        Self::open_with(options, launcher).await
    }

    /// The same, with processes started by `launcher`.
    ///
    /// # Errors
    /// The same.
    pub(crate) async fn open_with(
        options: PoolOptions,
        launcher: Arc<Launcher>,
    ) -> Result<Self, WorktreeError> {
        let place = Place::of(&options.settings.git, &options.project).await?;
        let mut name = options.journal.to_hex();
        name.truncate(NAME_DIGITS);
        let (own, lock) = (options.folder.clone(), name.clone());
        let (own, folder, lock) = blocking(move || open_folder(&own, &lock)).await?;
        let shared = Shared {
            leftovers: Leftovers::of(&folder),
            project: place.prefix.clone(),
            slots: Mutex::default(),
            freed: Notify::new(),
            registering: tokio::sync::Mutex::default(),
            template: Template::default(),
            copying: Semaphore::new(
                std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            ),
            extras: tokio::sync::Mutex::default(),
            landing: tokio::sync::Mutex::default(),
            settings: options.settings,
            journal: options.journal,
            own,
            folder,
            place,
            launcher,
            _lock: lock,
        };
        let shared = Arc::new(shared);
        shared.take_over(options.epoch).await;
        Ok(Self(shared))
    }

    /// A worktree at `base` for the attempt that `token` names. Waits while there are as many as there may be.
    /// `earlier` are the attempts of the call that came before.
    ///
    /// # Errors
    /// [`WorktreeError`]; then the attempt must not run.
    pub async fn acquire(
        &self,
        base: &Base,
        token: FencingToken,
        earlier: &[PreviousAttempt],
    ) -> Result<Worktree, WorktreeError> {
        let mut worktree = self.0.lease(base, token, true).await?;
        worktree.take_leftovers(earlier).await?;
        Ok(worktree)
    }

    /// A worktree at `base` whose changes are worth nothing.
    ///
    /// # Errors
    /// [`WorktreeError`].
    pub(crate) async fn borrow_at(
        &self,
        base: &Base,
        token: FencingToken,
    ) -> Result<Worktree, WorktreeError> {
        self.0.lease(base, token, false).await
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(crate) fn launcher(&self) -> &Arc<Launcher> {
        &self.0.launcher
    }

    /// Whether a worktree is one of any pool of the project.
    pub(crate) fn owns(&self, worktree: &Path) -> bool {
        worktree.starts_with(&self.0.own)
    }

    /// The name that processes of an attempt carry.
    pub(crate) fn marker(&self, token: FencingToken) -> Marker {
        self.0.marker(token)
    }

    /// Waits until nothing else of this engine lands anything in the repository.
    pub(crate) async fn landing(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.landing.lock().await
    }

    /// Forgets what was kept for attempts to come of a run, and for its base. Its branches stay. For runs that are never
    /// taken up again.
    ///
    /// # Errors
    /// [`WorktreeError`].
    pub async fn forget(&self, run: RunId) -> Result<(), WorktreeError> {
        let leftovers = self.0.leftovers.clone();
        blocking(move || leftovers.forget(run)).await?;
        let call = self.0.settings.git.call(&self.0.place.top);
        call.args(["update-ref", "-d", &base_ref(run)])
            .run()
            .await?;
        Ok(())
    }

    /// Removes all pools in `folder`, with everything that the repository knows of their worktrees. Branches stay.
    ///
    /// # Errors
    /// [`WorktreeError::Busy`] when an engine works in one of them: then that one stays.
    pub async fn remove_all(git: &Git, folder: &Path, project: &Path) -> Result<(), WorktreeError> {
        for pool in folders(folder) {
            let lock = lock_of(&pool)?;
            for (name, number) in numbers(&pool) {
                let mut slot = Slot::new(&pool, &name, number);
                slot.load();
                create::unregister(git, &slot, project).await?;
            }
            let removed = pool.clone();
            blocking(move || disk::remove(&removed)).await?;
            drop(lock);
        }
        Ok(())
    }
}

fn open_folder(own: &Path, name: &str) -> Result<(PathBuf, PathBuf, Lock), WorktreeError> {
    let folder = own.join(name);
    fs::create_dir_all(&folder).map_err(|error| WorktreeError::io(&folder, error))?;
    // Git gives paths without symbolic links, and these are compared with them.
    let canonical = |path: &Path| {
        path.canonicalize()
            .map_err(|error| WorktreeError::io(path, error))
    };
    let lock = lock_of(&folder)?;
    Ok((canonical(own)?, canonical(&folder)?, lock))
}

/// The lock of a pool, held.
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file would not do: a process that is just being started still has it, too.
        let _ = self.0.unlock();
    }
}

fn lock_of(pool: &Path) -> Result<Lock, WorktreeError> {
    let path = pool.join(LOCK);
    let mut options = File::options();
    let opened = options.create(true).truncate(false).write(true).open(&path);
    let file = opened.map_err(|error| WorktreeError::io(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(fs::TryLockError::WouldBlock) => Err(WorktreeError::Busy(pool.to_owned())),
        Err(fs::TryLockError::Error(error)) => Err(WorktreeError::io(&path, error)),
    }
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let entries = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    entries.map(|entry| entry.path()).collect()
}

/// The worktrees of a pool: their folders' names and their numbers.
fn numbers(pool: &Path) -> Vec<(String, u32)> {
    let number = |folder: &PathBuf| folder.file_name()?.to_str()?.parse().ok();
    let found = folders(&Slot::meta_folder(pool));
    let numbers = found.iter().filter_map(number);
    numbers
        .map(|number| (worktree_name(pool, number), number))
        .collect()
}

/// A worktree's folder: git takes its name for the worktree's, so it should say whose it is.
fn worktree_name(pool: &Path, number: u32) -> String {
    let name = pool.file_name().unwrap_or_default().to_string_lossy();
    format!("bw-{name}-{number:02}")
}

pub(super) fn cut_off() -> WorktreeError {
    WorktreeError::Interrupted("nobody waits for it any more".to_owned())
}

impl Shared {
    pub(super) fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn slot(&self, number: u32) -> Slot {
        Slot::new(&self.folder, &worktree_name(&self.folder, number), number)
    }

    pub(super) fn marker(&self, token: FencingToken) -> Marker {
        let attempt = format!(
            "{}.{}.{}.{}",
            token.run, token.generation, token.call, token.attempt
        );
        Marker::new(self.journal.to_hex(), token.epoch.0, attempt)
    }

    /// Takes over what an earlier opening of the pool has left.
    async fn take_over(&self, epoch: Epoch) {
        let mut found: Vec<Slot> = numbers(&self.folder)
            .into_iter()
            .map(|(name, number)| Slot::new(&self.folder, &name, number))
            .collect();
        for slot in &mut found {
            slot.load();
        }
        let is_old = |slot: &Slot| {
            let token = slot.lease().and_then(|lease| lease.token());
            token.is_some_and(|token| token.epoch < epoch)
        };
        join_all(
            found
                .iter()
                .filter(|slot| is_old(slot))
                .map(|slot| self.salvage(slot)),
        )
        .await;
        for slot in found {
            match slot.number {
                TEMPLATE => self.template.find(slot).await,
                _ => self.slots().find(slot),
            }
        }
    }

    /// Takes a worktree for an attempt and makes it ready. On a task of its own: whoever stops waiting for it leaves
    /// nothing half done.
    async fn lease(
        self: &Arc<Self>,
        base: &Base,
        token: FencingToken,
        keep: bool,
    ) -> Result<Worktree, WorktreeError> {
        let (shared, base) = (Arc::clone(self), base.clone());
        let gone = CancellationToken::new();
        let _asks = gone.clone().drop_guard();
        let task = tokio::spawn(async move { shared.prepare(base, token, keep, gone).await });
        let joined = task.await;
        joined.unwrap_or_else(|error| Err(WorktreeError::Interrupted(error.to_string())))
    }

    async fn prepare(
        self: Arc<Self>,
        base: Base,
        token: FencingToken,
        keep: bool,
        gone: CancellationToken,
    ) -> Result<Worktree, WorktreeError> {
        if base.place().common != self.place.common {
            return Err(WorktreeError::OtherRepository {
                folder: base.place().within(base.top()),
                repository: self.place.top.clone(),
            });
        }
        let mut claim = loop {
            let mut claim = tokio::select! {
                biased;
                () = gone.cancelled() => return Err(cut_off()),
                claim = self.take(base.commit()) => claim?,
            };
            let marked = match self.make_ready(&mut claim, &base, token, &gone).await {
                Ok(()) => claim.slot.mark(&Lease::new(token, base.commit(), keep)),
                Err(error) => Err(error),
            };
            match marked {
                Ok(()) => break claim,
                // There are others, and one of them will be free.
                Err(WorktreeError::DiskLimit { .. }) if self.slots().are_several() => {}
                Err(error) => {
                    // Where the disk is full, half a worktree only takes the room that others need.
                    if error.is_disk_full() || claim.condition == Condition::New {
                        self.give_up(&mut claim, &base).await;
                    }
                    return Err(error);
                }
            }
        };
        claim.condition = Condition::Dirty;
        Ok(Worktree::new(self, claim, base, token))
    }

    /// Waits for a worktree that nobody has, the fittest there is.
    async fn take(self: &Arc<Self>, commit: &str) -> Result<Claim, WorktreeError> {
        let limits = Limits {
            slots: self.settings.slots_max,
            disk: self.settings.disk_limit,
        };
        loop {
            let freed = self.freed.notified();
            let choice = self.slots().take(commit, limits);
            let (slot, condition, alone) = match choice {
                Choice::Free(slot, condition) => (*slot, condition, false),
                Choice::New { number, alone } => (self.slot(number), Condition::New, alone),
                Choice::Later => {
                    freed.await;
                    continue;
                }
                Choice::None { needed } => {
                    let limit = limits.disk.unwrap_or(u64::MAX);
                    return Err(WorktreeError::DiskLimit { limit, needed });
                }
            };
            return Ok(Claim {
                shared: Arc::clone(self),
                slot,
                condition,
                alone,
            });
        }
    }
}
