//! Going through a folder as ripgrep does: what `.ignore` and, in a git repository, `.gitignore` name is left out,
//! and `.git` always. Other hidden files are not.

use std::path::Path;

use ignore::{DirEntry, WalkBuilder};
use tokio_util::sync::CancellationToken;

/// Nobody waits for the result any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stopped;

/// What lies below `folder`, by name, without `folder` itself. Links are not followed, so nothing outside is come
/// upon; what cannot be listed is left out. Ends with `Stopped` as soon as `stop` is cancelled.
pub(super) fn below(
    folder: &Path,
    stop: &CancellationToken,
) -> impl Iterator<Item = Result<DirEntry, Stopped>> + use<> {
    let walk = WalkBuilder::new(folder)
        .hidden(false)
        // The same for everybody who runs this, whatever they have in their own settings.
        .git_global(false)
        .follow_links(false)
        .filter_entry(|entry| entry.file_name() != ".git")
        .sort_by_file_name(Ord::cmp)
        .build();
    let mut walk = walk
        .filter_map(Result::ok)
        .filter(|entry| entry.depth() > 0);
    let stop = stop.clone();
    let mut ended = false;
    std::iter::from_fn(move || {
        if ended {
            return None;
        }
        if stop.is_cancelled() {
            ended = true;
            return Some(Err(Stopped));
        }
        walk.next().map(Ok)
    })
}
