//! The pool: which worktrees there are, who gets which, and what is to be done before one can be worked in.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bellwether_actors::backend::PreviousAttempt;
use bellwether_journal::id::{Epoch, FencingToken, RunId};
use bellwether_journal::key::Digest;
use bellwether_launcher::{Launcher, Marker, sweep_attempt};
use futures_util::future::join_all;
use tokio::sync::{Notify, RwLock, RwLockReadGuard, RwLockWriteGuard, Semaphore};
use tokio_util::sync::CancellationToken;

use super::base::{Base, Place, base_ref};
use super::extras::Extras;
use super::lease::Worktree;
use super::leftovers::Leftovers;
use super::settings::Settings;
use super::slot::{Lease, Slot};
use super::{WorktreeError, blocking, changes, clean, create, disk, setup, submodule};
use crate::git::{Git, GitError};
use crate::processes;

const LOCK: &str = "lock";
/// So many digits of a journal's name tell one pool from another, and paths stay short.
const NAME_DIGITS: usize = 8;
/// The worktree that others are copied from.
const TEMPLATE: u32 = 0;

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
    own: PathBuf,
    folder: PathBuf,
    place: Place,
    pub(super) launcher: Arc<Launcher>,
    journal: Digest,
    pub(super) leftovers: Leftovers,
    slots: Mutex<Slots>,
    freed: Notify,
    /// See [`create::register`].
    registering: tokio::sync::Mutex<()>,
    template: RwLock<Option<Template>>,
    /// More copies at a time than there are cores only get in each other's way.
    copying: Semaphore,
    extras: tokio::sync::Mutex<HashMap<(PathBuf, String), Arc<Extras>>>,
    /// One landing at a time; between processes see [`crate::landing`].
    landing: tokio::sync::Mutex<()>,
    /// Held as long as the pool is open.
    _lock: Lock,
}

#[derive(Default)]
struct Slots {
    free: Vec<(Slot, Condition)>,
    numbers: BTreeSet<u32>,
    /// What each takes on the disk, in bytes; measured only where there is a limit.
    bytes: HashMap<u32, u64>,
    /// The most that any ever took.
    largest: u64,
}

/// What is known of a worktree that nobody works in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition {
    /// At its base, with nothing but what belongs there.
    Clean,
    /// Anything.
    Dirty,
    /// Nothing is there yet.
    New,
    /// It was given up.
    Gone,
}

struct Template {
    slot: Slot,
    condition: Condition,
}

/// A worktree taken out of the pool. It goes back when this is dropped.
pub(super) struct Claim {
    shared: Arc<Shared>,
    pub(super) slot: Slot,
    pub(super) condition: Condition,
    /// There was no other when it was taken.
    alone: bool,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let slot = std::mem::replace(&mut self.slot, Slot::new(Path::new(""), "", 0));
        self.shared.give_back(slot, self.condition);
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
            template: RwLock::new(None),
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

fn cut_off() -> WorktreeError {
    WorktreeError::Interrupted("nobody waits for it any more".to_owned())
}

impl Shared {
    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn slot(&self, number: u32) -> Slot {
        Slot::new(&self.folder, &worktree_name(&self.folder, number), number)
    }

    fn marker(&self, token: FencingToken) -> Marker {
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
            if slot.number == TEMPLATE {
                let condition = Condition::Dirty;
                *self.template.write().await = Some(Template { slot, condition });
                continue;
            }
            let mut slots = self.slots();
            slots.numbers.insert(slot.number);
            slots.bytes.insert(slot.number, slot.state.bytes);
            slots.largest = slots.largest.max(slot.state.bytes);
            slots.free.push((slot, Condition::Dirty));
        }
    }

    /// Makes what an attempt has left in a worktree into a patch for the call's next attempt. What cannot be read is lost:
    /// the next attempt starts from a clean base in any case.
    async fn salvage(&self, slot: &Slot) {
        let Some(lease) = slot.lease() else {
            return;
        };
        if let Some(token) = lease.token()
            && let Err(error) = self.salvage_lease(slot, &lease, token).await
        {
            let worktree = slot.tree.display();
            tracing::warn!(%worktree, %error, "what an attempt left in its worktree is lost");
        }
        if let Err(error) = slot.unmark() {
            tracing::warn!(%error, "a worktree keeps the mark of an attempt that is gone");
        }
    }

    async fn salvage_lease(
        &self,
        slot: &Slot,
        lease: &Lease,
        token: FencingToken,
    ) -> Result<(), WorktreeError> {
        let marker = self.marker(token);
        // What the attempt had started may be about to die, and must have before its files are read.
        blocking(move || {
            for leftover in sweep_attempt(&marker).left {
                tracing::error!(
                    ?leftover,
                    "a process of an attempt that is gone cannot be ended"
                );
            }
            Ok(())
        })
        .await?;
        if !lease.keep || !slot.is_there() {
            return Ok(());
        }
        let git = &self.settings.git;
        slot.unlock();
        slot.restore_admin()?;
        let found = changes::find(git, slot).await?;
        if found.is_empty() {
            return Ok(());
        }
        let tree = changes::tree(git, slot, &found).await?;
        match changes::between(git, slot, &lease.base, &tree, token.attempt).await? {
            Some(changes) => self.leftovers.put(token, &changes),
            None => Ok(()),
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
                Err(WorktreeError::DiskLimit { .. }) if self.slots().numbers.len() > 1 => {}
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
        loop {
            let freed = self.freed.notified();
            if let Some(claim) = self.try_take(commit)? {
                return Ok(claim);
            }
            freed.await;
        }
    }

    fn try_take(self: &Arc<Self>, commit: &str) -> Result<Option<Claim>, WorktreeError> {
        let mut slots = self.slots();
        let rank = |(slot, condition): &(Slot, Condition)| match condition {
            Condition::Clean if slot.state.base.as_deref() == Some(commit) => 0,
            Condition::Clean => 1,
            Condition::Dirty | Condition::New | Condition::Gone => 2,
        };
        // The last one given back is the one whose files are still in memory.
        let best = (0..slots.free.len())
            .rev()
            .min_by_key(|&at| rank(&slots.free[at]));
        if let Some(at) = best {
            let (slot, condition) = slots.free.swap_remove(at);
            return Ok(Some(self.claim(slot, condition, false)));
        }
        let alone = slots.numbers.is_empty();
        if !alone && slots.numbers.len() >= self.settings.slots_max.max(1) as usize {
            return Ok(None);
        }
        if let Some(limit) = self.settings.disk_limit {
            // This one, those that are being made, and the template, if there is to be one.
            let known = |number: &&u32| slots.bytes.contains_key(number);
            let others = slots.numbers.iter().chain((!alone).then_some(&TEMPLATE));
            let to_come = 1 + others.filter(|number| !known(number)).count() as u64;
            let needed = slots.bytes.values().sum::<u64>() + to_come * slots.largest;
            match needed > limit {
                true if alone => return Err(WorktreeError::DiskLimit { limit, needed }),
                true => return Ok(None),
                false => {}
            }
        }
        let number = (1..)
            .find(|number| !slots.numbers.contains(number))
            .unwrap_or(u32::MAX);
        slots.numbers.insert(number);
        drop(slots);
        Ok(Some(self.claim(self.slot(number), Condition::New, alone)))
    }

    fn claim(self: &Arc<Self>, slot: Slot, condition: Condition, alone: bool) -> Claim {
        Claim {
            shared: Arc::clone(self),
            slot,
            condition,
            alone,
        }
    }

    fn give_back(&self, slot: Slot, condition: Condition) {
        let mut slots = self.slots();
        match condition {
            // Nothing was made of it.
            Condition::Gone | Condition::New => {
                slots.numbers.remove(&slot.number);
                slots.bytes.remove(&slot.number);
            }
            Condition::Clean | Condition::Dirty => slots.free.push((slot, condition)),
        }
        drop(slots);
        self.freed.notify_one();
    }

    /// Takes a worktree away; if that fails too, it is for the next opening of the pool to try.
    async fn give_up(&self, claim: &mut Claim, base: &Base) {
        match create::unregister(&self.settings.git, &claim.slot, base.top()).await {
            Ok(()) => claim.condition = Condition::Gone,
            Err(error) => {
                claim.condition = Condition::Dirty;
                tracing::warn!(%error, "a worktree that is of no use cannot be removed");
            }
        }
    }

    /// Brings a worktree to a base, whatever it was, with all that belongs there.
    async fn make_ready(
        &self,
        claim: &mut Claim,
        base: &Base,
        token: FencingToken,
        gone: &CancellationToken,
    ) -> Result<(), WorktreeError> {
        let git = &self.settings.git;
        self.make_clean(claim, base).await?;
        let extras = self.extras(base).await?;
        if !extras.is_expected(&claim.slot) {
            // What is no longer asked for goes with whatever else does not belong there.
            claim.slot.state.links.clear();
            claim.slot.state.copies.clear();
            claim.condition = Condition::Dirty;
            clean::clean(git, &mut claim.slot, base.commit()).await?;
        }
        extras.place(&mut claim.slot)?;
        submodule::fill(git, &claim.slot, base.top()).await?;
        claim.condition = Condition::Dirty;
        let marker = self.marker(token);
        let setup = setup::run(
            &self.settings,
            &self.launcher,
            &self.project,
            &mut claim.slot,
            marker,
        );
        tokio::select! {
            biased;
            () = gone.cancelled() => return Err(cut_off()),
            done = setup => done?,
        }
        self.measure(claim, base).await?;
        let folder = base.place().within(&claim.slot.tree);
        fs::create_dir_all(&folder).map_err(|error| WorktreeError::io(&folder, error))
    }

    async fn make_clean(&self, claim: &mut Claim, base: &Base) -> Result<(), WorktreeError> {
        let git = &self.settings.git;
        let slot = &mut claim.slot;
        if claim.condition == Condition::Dirty {
            self.salvage(slot).await;
        }
        if claim.condition != Condition::New && slot.is_there() {
            let is_at_base = slot.state.base.as_deref() == Some(base.commit());
            if claim.condition == Condition::Clean && is_at_base && slot.is_whole() {
                return Ok(());
            }
            claim.condition = Condition::Dirty;
            match clean::clean(git, slot, base.commit()).await {
                Ok(()) => {
                    claim.condition = Condition::Clean;
                    return Ok(());
                }
                Err(error) if error.is_disk_full() => return Err(error),
                // Something is wrong with it that cannot be put right: another one takes its place.
                Err(error) => {
                    let worktree = slot.tree.display();
                    tracing::warn!(%worktree, %error, "a worktree cannot be cleaned and is made anew");
                }
            }
        }
        create::unregister(git, slot, base.top()).await?;
        *slot = self.slot(slot.number);
        claim.condition = Condition::New;
        self.create(&mut claim.slot, base, claim.alone).await?;
        claim.condition = Condition::Clean;
        Ok(())
    }

    /// Makes a new worktree. The first is checked out; the others are copies, which costs a third less.
    async fn create(&self, slot: &mut Slot, base: &Base, alone: bool) -> Result<(), WorktreeError> {
        let git = &self.settings.git;
        self.register(slot, base).await?;
        let copied = match alone {
            true => false,
            false => {
                let template = self.template_at(base).await?;
                let (from, to) = (
                    template.as_ref().map(|template| template.slot.clone()),
                    slot.clone(),
                );
                let _one_of_few = self.copying.acquire().await;
                match from {
                    Some(from) => blocking(move || create::copy(&from, &to)).await?,
                    None => false,
                }
            }
        };
        if !copied {
            create::check_out(git, slot, base.commit()).await?;
        }
        slot.restore_index()?;
        slot.state.base = Some(base.commit().to_owned());
        slot.save()
    }

    async fn register(&self, slot: &mut Slot, base: &Base) -> Result<(), WorktreeError> {
        let _only = self.registering.lock().await;
        create::register(&self.settings.git, slot, base.top(), base.commit()).await
    }

    /// The worktree that others are copied from, at `base`.
    async fn template_at(
        &self,
        base: &Base,
    ) -> Result<RwLockReadGuard<'_, Option<Template>>, WorktreeError> {
        let is_at_base = |template: &Option<Template>| {
            template.as_ref().is_some_and(|template| {
                template.condition == Condition::Clean
                    && template.slot.is_whole()
                    && template.slot.state.base.as_deref() == Some(base.commit())
            })
        };
        let template = self.template.read().await;
        if is_at_base(&template) {
            return Ok(template);
        }
        drop(template);
        let mut template = self.template.write().await;
        if !is_at_base(&template) {
            let old = template.take();
            *template = Some(self.make_template(old, base).await?);
        }
        Ok(RwLockWriteGuard::downgrade(template))
    }

    async fn make_template(
        &self,
        old: Option<Template>,
        base: &Base,
    ) -> Result<Template, WorktreeError> {
        let git = &self.settings.git;
        let mut slot = old.map_or_else(|| self.slot(TEMPLATE), |template| template.slot);
        let condition = Condition::Clean;
        if slot.is_there() && clean::clean(git, &mut slot, base.commit()).await.is_ok() {
            return Ok(Template { slot, condition });
        }
        create::unregister(git, &slot, base.top()).await?;
        let mut slot = self.slot(TEMPLATE);
        let made = match self.register(&mut slot, base).await {
            Ok(()) => create::check_out(git, &slot, base.commit()).await,
            Err(error) => Err(error),
        };
        if let Err(error) = made {
            // What there is of it would take room for nothing.
            let _ = create::unregister(git, &slot, base.top()).await;
            return Err(error);
        }
        slot.restore_index()?;
        slot.state.base = Some(base.commit().to_owned());
        slot.save()?;
        if self.settings.disk_limit.is_some() {
            let tree = slot.tree.clone();
            let bytes = blocking(move || Ok(disk::usage(&tree))).await?;
            self.slots().bytes.insert(TEMPLATE, bytes);
        }
        Ok(Template { slot, condition })
    }

    /// What the worktrees at a base have beside its files: found out once.
    async fn extras(&self, base: &Base) -> Result<Arc<Extras>, WorktreeError> {
        let mut known = self.extras.lock().await;
        let key = (base.top().to_owned(), base.commit().to_owned());
        if let Some(extras) = known.get(&key) {
            return Ok(Arc::clone(extras));
        }
        let extras = Extras::of(&self.settings, &self.project, base, &self.own).await?;
        let extras = Arc::new(extras);
        known.insert(key, Arc::clone(&extras));
        Ok(extras)
    }

    /// Where there is a limit, finds out what a worktree takes. One that is too much is taken away again; whoever was to
    /// get it waits for another, if there is another.
    async fn measure(&self, claim: &mut Claim, base: &Base) -> Result<(), WorktreeError> {
        let Some(limit) = self.settings.disk_limit else {
            return Ok(());
        };
        let tree = claim.slot.tree.clone();
        let bytes = blocking(move || Ok(disk::usage(&tree))).await?;
        claim.slot.state.bytes = bytes;
        claim.slot.save()?;
        let needed = {
            let mut slots = self.slots();
            slots.bytes.insert(claim.slot.number, bytes);
            slots.largest = slots.largest.max(bytes);
            slots.bytes.values().sum()
        };
        if needed <= limit {
            return Ok(());
        }
        self.give_up(claim, base).await;
        Err(WorktreeError::DiskLimit { limit, needed })
    }

    /// Cleans a worktree after an attempt.
    pub(super) async fn tidy(
        &self,
        claim: &mut Claim,
        changed: &[crate::git::RepoPath],
    ) -> Result<(), WorktreeError> {
        let commit = claim.slot.state.base.clone();
        let commit = commit.ok_or_else(|| GitError::unreadable("worktree state"))?;
        clean::clean(&self.settings.git, &mut claim.slot, &commit).await?;
        setup::check(&self.settings, &self.project, &mut claim.slot, changed)?;
        if self.settings.disk_limit.is_some() && !claim.slot.state.products.is_empty() {
            let tree = claim.slot.tree.clone();
            let bytes = blocking(move || Ok(disk::usage(&tree))).await?;
            self.slots().bytes.insert(claim.slot.number, bytes);
        }
        claim.slot.unmark()?;
        claim.condition = Condition::Clean;
        Ok(())
    }
}
