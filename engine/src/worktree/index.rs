//! The part of git's index file that says which files there are and how they looked on the disk (gitformat-index(5),
//! versions 2 and 3): read, and written for a copy of the same files.
//!
//! A worktree that is copied from another has the same entries, only other inodes and times. With those put in, git takes
//! its files for unchanged without reading them once: a third of what a checkout costs. The checksum behind the entries is
//! left zero, as git itself does with `index.skipHash`; only `git fsck` ever looks at it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;

use crate::git::RepoPath;

/// `DIRC`, the version, the number of entries.
const HEADER_BYTES: usize = 12;
/// Ten numbers of four bytes before the object's id.
const STAT_BYTES: usize = 40;
const MODE_AT: usize = 24;
const EXTENDED: u16 = 0x4000;
const STAGE: u16 = 0x3000;
const NAME_LENGTH: u16 = 0x0fff;
const SKIP_WORKTREE: u16 = 0x4000;

/// An index file in memory.
pub(super) struct Index {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    id_bytes: usize,
}

/// One file of an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) path: RepoPath,
    pub(super) kind: Kind,
    /// Where its numbers stand.
    at: usize,
}

/// What an entry is on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Link,
    /// The folder of a submodule.
    Submodule,
    /// In the commit and not on the disk (sparse checkout).
    Absent,
}

impl Index {
    /// Reads an index of a repository whose ids have `id_bytes` bytes; `None` when it is of a kind that is not known here.
    pub(super) fn read(bytes: Vec<u8>, id_bytes: usize) -> Option<Self> {
        let head: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
        let version = number(head, 4)?;
        if !head.starts_with(b"DIRC") || !(2..=3).contains(&version) {
            return None;
        }
        let count = number(head, 8)?;
        let mut entries = Vec::with_capacity(usize::try_from(count).ok()?.min(bytes.len()));
        let mut at = HEADER_BYTES;
        for _ in 0..count {
            let (entry, length) = entry(&bytes, at, id_bytes)?;
            entries.push(entry);
            at += length;
        }
        // Behind the entries stand extensions, and the checksum in any case.
        (at + id_bytes <= bytes.len()).then_some(Self {
            bytes,
            entries,
            id_bytes,
        })
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Puts in how an entry's file looks on the disk.
    pub(super) fn set(&mut self, entry: &Entry, file: &Metadata) {
        let numbers = [
            file.ctime(),
            file.ctime_nsec(),
            file.mtime(),
            file.mtime_nsec(),
            file.dev().cast_signed(),
            file.ino().cast_signed(),
        ];
        let owner = [
            i64::from(file.uid()),
            i64::from(file.gid()),
            file.size().cast_signed(),
        ];
        // Git cuts them to 32 bits as well, and compares what is left.
        #[expect(clippy::cast_sign_loss, reason = "the low bits are what counts")]
        let low = |number: i64| (number as u32).to_be_bytes();
        for (place, number) in numbers.into_iter().enumerate() {
            self.put(entry.at + place * 4, low(number));
        }
        for (place, number) in owner.into_iter().enumerate() {
            self.put(entry.at + MODE_AT + 4 + place * 4, low(number));
        }
    }

    fn put(&mut self, at: usize, number: [u8; 4]) {
        if let Some(place) = self.bytes.get_mut(at..at + 4) {
            place.copy_from_slice(&number);
        }
    }

    /// The file's bytes, without a checksum.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        let end = self.bytes.len() - self.id_bytes;
        self.bytes.truncate(end);
        self.bytes.resize(end + self.id_bytes, 0);
        self.bytes
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_be_bytes(bytes))
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes: [u8; 2] = bytes.get(at..at + 2)?.try_into().ok()?;
    Some(u16::from_be_bytes(bytes))
}

/// The entry at `at`, and how many bytes it takes.
fn entry(bytes: &[u8], at: usize, id_bytes: usize) -> Option<(Entry, usize)> {
    let mode = number(bytes, at + MODE_AT)?;
    let flags_at = at + STAT_BYTES + id_bytes;
    let flags = short(bytes, flags_at)?;
    let (more, name_at) = match flags & EXTENDED {
        0 => (0, flags_at + 2),
        _ => (short(bytes, flags_at + 2)?, flags_at + 4),
    };
    let length = match flags & NAME_LENGTH {
        // Longer than there is room to say: it ends with NUL, as all do.
        NAME_LENGTH => bytes.get(name_at..)?.iter().position(|byte| *byte == 0)?,
        length => usize::from(length),
    };
    let name = bytes.get(name_at..name_at + length)?;
    let kind = match (mode >> 12, more & SKIP_WORKTREE) {
        (_, 1..) => Kind::Absent,
        (0o10, _) => Kind::File,
        (0o12, _) => Kind::Link,
        (0o16, _) => Kind::Submodule,
        _ => return None,
    };
    // A conflict is nothing that a checkout leaves.
    if flags & STAGE != 0 {
        return None;
    }
    let entry = Entry {
        path: RepoPath::new(name),
        kind,
        at,
    };
    // One to eight NUL bring it to a multiple of eight.
    let used = name_at - at + length;
    Some((entry, used / 8 * 8 + 8))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    /// An index as git writes it, with SHA-1 ids.
    fn index(entries: &[(&str, u32, u16)]) -> Vec<u8> {
        let mut bytes = b"DIRC\0\0\0\x03".to_vec();
        bytes.extend(u32::try_from(entries.len()).unwrap().to_be_bytes());
        for (path, mode, more) in entries {
            let start = bytes.len();
            bytes.extend([0; 24]);
            bytes.extend(mode.to_be_bytes());
            bytes.extend([7; 12 + 20]);
            let extended = if *more == 0 { 0 } else { EXTENDED };
            let length = u16::try_from(path.len()).unwrap().min(NAME_LENGTH);
            bytes.extend((extended | length).to_be_bytes());
            if *more != 0 {
                bytes.extend(more.to_be_bytes());
            }
            bytes.extend(path.as_bytes());
            bytes.push(0);
            while !(bytes.len() - start).is_multiple_of(8) {
                bytes.push(0);
            }
        }
        bytes.extend(b"TREE\0\0\0\0");
        bytes.extend([9; 20]);
        bytes
    }

    #[test]
    fn entries_of_every_length_are_found_and_their_numbers_put_in() {
        let names: Vec<String> = (1..40)
            .chain([0xffe, 0xfff, 0x1000])
            .map(|n| "n".repeat(n))
            .collect();
        let mut entries: Vec<(&str, u32, u16)> = names
            .iter()
            .map(|name| (name.as_str(), 0o100_644, 0))
            .collect();
        entries.push(("link", 0o120_000, 0));
        entries.push(("lib", 0o160_000, 0));
        entries.push(("sparse", 0o100_755, SKIP_WORKTREE));
        let bytes = index(&entries);
        let mut read = Index::read(bytes.clone(), 20).unwrap();
        let found: Vec<String> = read
            .entries()
            .iter()
            .map(|entry| entry.path.text())
            .collect();
        assert_eq!(
            found,
            entries.iter().map(|entry| entry.0).collect::<Vec<_>>()
        );
        let kinds: Vec<Kind> = read
            .entries()
            .iter()
            .rev()
            .take(3)
            .map(|entry| entry.kind)
            .collect();
        assert_eq!(kinds, [Kind::Absent, Kind::Submodule, Kind::Link]);

        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "four").unwrap();
        let metadata = file.as_file().metadata().unwrap();
        let second = read.entries()[1].clone();
        read.set(&second, &metadata);
        let written = read.into_bytes();
        assert_eq!(number(&written, second.at + 36), Some(4), "the size");
        assert_eq!(number(&written, second.at + MODE_AT), Some(0o100_644));
        assert_eq!(written.len(), bytes.len());
        assert!(written.ends_with(&[0; 20]) && written[..12] == bytes[..12]);
    }

    #[test]
    fn what_is_no_index_is_refused_wherever_it_is_cut() {
        let bytes = index(&[("a", 0o100_644, 0), ("b", 0o100_755, 0)]);
        for length in 0..bytes.len() - 8 {
            assert!(
                Index::read(bytes[..length].to_vec(), 20).is_none(),
                "{length}"
            );
        }
        let mut newer = bytes;
        newer[7] = 4;
        assert!(Index::read(newer, 20).is_none());
    }
}
