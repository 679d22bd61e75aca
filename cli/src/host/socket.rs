//! The socket beside a journal: where it lies, and who may speak there.
//!
//! It lies in `$XDG_RUNTIME_DIR/bellwether/`, or in a folder of the user in the temporary directory,
//! because a path of a socket holds little more than 100 bytes and a project's may be longer. Its name
//! follows from the lock file's device and inode. The holder writes the path into the lock file too,
//! so that a command with another environment finds it.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use axum::serve::Listener;
use tokio::net::unix::SocketAddr;
use tokio::net::{UnixListener, UnixStream};

use super::lock::Lock;

/// What `sun_path` holds on Linux, without its final zero; the other systems have 103.
const PATH_BYTES_MAX: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// The folder for sockets, made when it is not there.
///
/// # Errors
/// When it cannot be made, is no folder, or is not this user's alone.
fn folder(runtime: Option<&Path>, temporary: &Path) -> io::Result<PathBuf> {
    let user = rustix::process::geteuid().as_raw();
    let folder = match runtime {
        Some(runtime) if runtime.is_absolute() && runtime.is_dir() => runtime.join("bellwether"),
        _ => temporary.join(format!("bellwether-{user}")),
    };
    match fs::DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => made?,
    }
    // Not through a symbolic link: in a temporary directory anybody may have put one there.
    let metadata = fs::symlink_metadata(&folder)?;
    let refuse = |why: &str| {
        Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!(
                "{} {why}; remove it or set XDG_RUNTIME_DIR",
                folder.display()
            ),
        ))
    };
    if !metadata.is_dir() {
        return refuse("is no folder");
    }
    if metadata.uid() != user {
        return refuse("belongs to another user");
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
    }
    Ok(folder)
}

/// Where the socket of this lock lies.
///
/// # Errors
/// When the folder cannot be used, or its path is too long for a socket.
pub(crate) fn path_for(lock: &Lock) -> io::Result<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    path_in(lock, runtime.as_deref(), &std::env::temp_dir())
}

fn path_in(lock: &Lock, runtime: Option<&Path>, temporary: &Path) -> io::Result<PathBuf> {
    let (device, inode) = lock.identity()?;
    let path = folder(runtime, temporary)?.join(format!("{device:x}-{inode:x}.sock"));
    if path.as_os_str().len() > PATH_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!(
                "{} is too long for a socket; set XDG_RUNTIME_DIR or TMPDIR",
                path.display()
            ),
        ));
    }
    Ok(path)
}

/// Listens at `path`. The caller holds the lock, so that whatever lies there is of a process that is
/// gone.
///
/// # Errors
/// When it cannot be bound.
pub(crate) fn bind(path: &Path) -> io::Result<SameUser> {
    unlink(path)?;
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(SameUser(listener))
}

/// Removes the socket; none there is as well.
///
/// # Errors
/// When it cannot be removed.
pub(crate) fn unlink(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether the process at the other end is this user's.
pub(crate) fn is_same_user(stream: &UnixStream) -> bool {
    stream
        .peer_cred()
        .is_ok_and(|peer| peer.uid() == rustix::process::geteuid().as_raw())
}

/// A listener that hears this user alone.
#[derive(Debug)]
pub(crate) struct SameUser(UnixListener);

impl Listener for SameUser {
    type Io = UnixStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (UnixStream, SocketAddr) {
        loop {
            // Axum's own way to accept waits when the process has no file descriptor left.
            let (stream, address) = Listener::accept(&mut self.0).await;
            if is_same_user(&stream) {
                return (stream, address);
            }
            tracing::warn!("a process of another user was turned away from the journal's socket");
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn the_folder_is_private_and_never_behind_a_link() {
        let place = tempfile::tempdir().unwrap();
        let user = rustix::process::geteuid().as_raw();
        let mine = place.path().join(format!("bellwether-{user}"));
        fs::create_dir(&mine).unwrap();
        fs::set_permissions(&mine, fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(folder(None, place.path()).unwrap(), mine);
        assert_eq!(
            fs::metadata(&mine).unwrap().permissions().mode() & 0o777,
            0o700
        );
        let runtime = place.path().join("runtime");
        assert_eq!(
            folder(Some(&runtime), place.path()).unwrap(),
            mine,
            "no such folder"
        );
        assert_eq!(
            folder(Some(Path::new("relative")), place.path()).unwrap(),
            mine
        );
        fs::create_dir(&runtime).unwrap();
        assert_eq!(
            folder(Some(&runtime), place.path()).unwrap(),
            runtime.join("bellwether")
        );

        let trap = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(&mine, trap.path().join(format!("bellwether-{user}"))).unwrap();
        let error = folder(None, trap.path()).unwrap_err();
        assert!(error.to_string().contains("is no folder"), "{error}");
    }

    #[tokio::test]
    async fn a_stale_socket_is_replaced_by_the_holder() {
        let place = tempfile::tempdir().unwrap();
        let lock = Lock::try_take(&place.path().join("j.lock"))
            .unwrap()
            .unwrap();
        let path = path_in(&lock, None, place.path()).unwrap();
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        // A process that another test is starting has the listener until it executes its program.
        while UnixStream::connect(&path).await.is_ok() {}
        let mut listener = bind(&path).unwrap();
        let (client, (server, _)) =
            tokio::join!(UnixStream::connect(&path), Listener::accept(&mut listener));
        assert!(is_same_user(&client.unwrap()) && is_same_user(&server));
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        unlink(&path).unwrap();
        unlink(&path).unwrap();
    }

    #[test]
    fn a_path_too_long_for_a_socket_is_named() {
        let place = tempfile::tempdir().unwrap();
        let lock = Lock::try_take(&place.path().join("j.lock"))
            .unwrap()
            .unwrap();
        let deep = place.path().join("d".repeat(120));
        fs::create_dir(&deep).unwrap();
        let error = path_in(&lock, None, &deep).unwrap_err();
        assert!(
            error.to_string().contains("too long for a socket"),
            "{error}"
        );
    }
}
