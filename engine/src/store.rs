//! What keeps journals: redb, memory, or a store of the caller's own.

pub use bellwether_journal::error::{Damage, StoreError};
pub use bellwether_journal::id::Position;
pub use bellwether_journal::memory::MemoryStore;
pub use bellwether_journal::redb::{Options as RedbOptions, QuickRepair, RedbStore, Rewritten};
pub use bellwether_journal::store::{Batch, Row, Store};
pub use bellwether_journal::suite::{Bench, check};
pub use bellwether_journal::transfer::{copy, with_bases};
