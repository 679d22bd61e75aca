//! Putting a file's content in its place, whole or not at all.

use std::fs::Permissions;
use std::io::{self, Write as _};
use std::path::Path;

use cap_std::fs::{Dir, OpenOptions};
use tokio_util::sync::CancellationToken;

use super::content;
use super::memory::Version;
use super::refusal::Refusal;
use super::workplace::{Place, Workplace};

/// What has to be there, or it is somebody else's by now.
#[derive(Clone, Copy, Debug)]
pub(super) enum Expected {
    /// Nothing.
    Nothing,
    /// A file that says this.
    File(Version),
}

/// Writes `content` to `place`, if what is there is still `expected`. Folders are made; a file that is there keeps
/// its mode.
///
/// The content goes to a file beside it first, and takes the place in one step: a reader sees the old or the new.
pub(super) fn put(
    workplace: &Workplace,
    place: &Place<'_>,
    content: &[u8],
    expected: Expected,
    stop: &CancellationToken,
) -> Result<(), Refusal> {
    if stop.is_cancelled() {
        return Err(Refusal::Cancelled);
    }
    let (folder, name) = place.parent_to_write()?;
    let temporary = workplace.temporary_name();
    let target = Target {
        place,
        folder: &folder,
        name,
        temporary: Path::new(&temporary),
    };
    let written = target.write(content, expected, stop);
    if written.is_err() {
        // What went wrong is told; that this could not be removed either would say nothing more.
        let _ = folder.remove_file(&temporary);
    }
    written
}

struct Target<'t> {
    place: &'t Place<'t>,
    folder: &'t Dir,
    name: &'t Path,
    temporary: &'t Path,
}

impl Target<'_> {
    fn write(
        &self,
        content: &[u8],
        expected: Expected,
        stop: &CancellationToken,
    ) -> Result<(), Refusal> {
        let failed = |error| self.place.failed(error);
        let permissions = self.permissions()?;
        if permissions.as_ref().is_some_and(Permissions::readonly) {
            let path = self.place.shown();
            return Err(Refusal::Protected { path });
        }
        self.write_beside(content, permissions).map_err(failed)?;
        self.still(expected)?;
        if stop.is_cancelled() {
            return Err(Refusal::Cancelled);
        }
        match expected {
            Expected::File(_) => self
                .folder
                .rename(self.temporary, self.folder, self.name)
                .map_err(failed),
            Expected::Nothing => self.take_free_name(),
        }
    }

    /// Those of the file that is there.
    fn permissions(&self) -> Result<Option<Permissions>, Refusal> {
        match self.folder.symlink_metadata(self.name) {
            Ok(metadata) if metadata.is_symlink() => Err(Refusal::Dangling {
                path: self.place.shown(),
            }),
            Ok(metadata) if metadata.is_dir() => Err(Refusal::Folder {
                path: self.place.shown(),
            }),
            Ok(_) => {
                let file = self.place.open()?;
                let metadata = file.metadata();
                let metadata = metadata.map_err(|error| self.place.failed(error))?;
                Ok(Some(metadata.permissions()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.place.failed(error)),
        }
    }

    fn write_beside(&self, content: &[u8], permissions: Option<Permissions>) -> io::Result<()> {
        // What a killed attempt has left.
        match self.folder.remove_file(self.temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        let file = self.folder.open_with(self.temporary, &options)?;
        let mut file = file.into_std();
        file.write_all(content)?;
        if let Some(permissions) = permissions {
            file.set_permissions(permissions)?;
        }
        // A name that points to content which is not on the disk yet would be a torn file after a power cut.
        file.sync_data()
    }

    /// Nobody has changed what is there. What happens between this and the renaming is not seen; it is a moment.
    fn still(&self, expected: Expected) -> Result<(), Refusal> {
        let Expected::File(version) = expected else {
            // Taking a free name sees it by itself.
            return Ok(());
        };
        let now = content::bytes_at(self.place, "it has grown")?;
        if Version::of(&now) != version {
            let path = self.place.shown();
            return Err(Refusal::Changed { path });
        }
        Ok(())
    }

    /// Gives the file its name, if nobody else has taken it: a link is refused where there is something, a renaming
    /// is not.
    fn take_free_name(&self) -> Result<(), Refusal> {
        let linked = self
            .folder
            .hard_link(self.temporary, self.folder, self.name);
        match linked {
            Ok(()) => {
                let removed = self.folder.remove_file(self.temporary);
                removed.map_err(|error| self.place.failed(error))
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(Refusal::NotRead {
                path: self.place.shown(),
            }),
            // There are file systems without links.
            Err(_) => self
                .folder
                .rename(self.temporary, self.folder, self.name)
                .map_err(|error| self.place.failed(error)),
        }
    }
}
