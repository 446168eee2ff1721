//! Unix sockets to listen on: bound with permissions of their own, in the place of a file that nobody listens on any more,
//! and removed with [`SocketFile`]. Called by the listener.

use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use mio::net::UnixListener;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::listener::BACKLOG;

/// The file of a socket. It is removed when this is dropped, if it is still the same.
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

/// Listens at `path`, whose file has these permissions from the moment on that it is there.
pub(crate) fn bind(path: &Path, mode: u32) -> io::Result<(UnixListener, SocketFile)> {
    let told =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    check_free(path).map_err(told)?;
    // Bound under another name, it has its permissions before anybody can find it, and takes its place in one step.
    let hidden = hidden(path);
    let bound = bind_hidden(&hidden, path, mode);
    if bound.is_err() {
        let _ = fs::remove_file(&hidden);
    }
    bound.map_err(told)
}

fn bind_hidden(hidden: &Path, path: &Path, mode: u32) -> io::Result<(UnixListener, SocketFile)> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&SockAddr::unix(hidden)?)?;
    fs::set_permissions(hidden, Permissions::from_mode(mode & 0o777))?;
    socket.listen(BACKLOG)?;
    socket.set_nonblocking(true)?;
    let identity = identity(&fs::symlink_metadata(hidden)?);
    fs::rename(hidden, path)?;
    let file = SocketFile {
        path: path.to_owned(),
        identity,
    };
    Ok((UnixListener::from_std(socket.into()), file))
}

/// Whether the place may be taken: nothing is there, or a socket on which nobody listens.
fn check_free(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(found) if !found.file_type().is_socket() => {
            let why = "there is a file that is no socket";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, why));
        }
        Ok(_) => {}
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A server whose queue is full lives too, and is not waited for.
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(error),
        Ok(()) | Err(_) => {
            let why = "another server listens there";
            Err(io::Error::new(io::ErrorKind::AddrInUse, why))
        }
    }
}

/// A name of a few letters in the same folder: the system takes paths of a hundred or so.
fn hidden(path: &Path) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    path.with_file_name(format!(".{:x}-{count:x}", std::process::id()))
}

fn identity(file: &Metadata) -> (u64, u64) {
    (file.dev(), file.ino())
}

impl SocketFile {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let same = |file: &Metadata| identity(file) == self.identity;
        if fs::symlink_metadata(&self.path).is_ok_and(|file| same(&file)) {
            // Whoever has removed it meanwhile has done our work.
            let _ = fs::remove_file(&self.path);
        }
    }
}
