//! Putting a file's new content in the place of the old, whole or not at all.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// Writes `new` to `path`, which still has to hold `old`; keeps the file's mode.
///
/// The content goes to a file beside it first. `mark` is in that file's name: the same for all attempts of a call, so
/// that what a killed attempt left is written over by the next.
///
/// # Errors
/// When the content is another by now, or anything cannot be done; then the file is as it was.
pub(super) fn replace(path: &Path, old: &[u8], new: &[u8], mark: &str) -> io::Result<()> {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{mark}.tmp"));
    let beside = path.with_file_name(name);
    let written = write_beside(path, &beside, old, new);
    if written.is_err() {
        // What went wrong is told; that this could not be removed either would say nothing more.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn write_beside(path: &Path, beside: &Path, old: &[u8], new: &[u8]) -> io::Result<()> {
    match fs::remove_file(beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file: File = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(beside)?;
    file.write_all(new)?;
    file.set_permissions(fs::metadata(path)?.permissions())?;
    // A name that points to content which is not on the disk yet would be a torn file after a power cut.
    file.sync_data()?;
    drop(file);
    if fs::read(path)? != old {
        return Err(io::Error::other("somebody else has changed it meanwhile"));
    }
    fs::rename(beside, path)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_file_is_replaced_with_its_mode_unless_it_is_another_by_now() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run.sh");
        fs::write(&path, "old").unwrap();
        let mode = {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
            |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777
        };
        // What a killed attempt has left.
        fs::write(folder.path().join(".run.sh.a-1.tmp"), "torn").unwrap();

        replace(&path, b"old", b"new", "a-1").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(mode(&path), 0o750);

        let error = replace(&path, b"old", b"newer", "a-1").unwrap_err();
        assert!(error.to_string().contains("meanwhile"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
