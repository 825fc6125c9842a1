//! Plain files that survive a crash: whole or not at all, readable by their owner only.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::Fault;

/// Ends the name of a file that is being written; one met at start is what a crash left.
pub const UNFINISHED: &str = ".tmp";

/// Creates `dir` for its owner only, or takes an existing one and closes it to others.
pub fn private_directory(dir: &Path) -> Result<(), Fault> {
    let create = || -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))
    };
    create().map_err(|error| Fault::disk(dir, "use this directory", error))
}

/// Closes everything in `dir` to others, for files that a library made.
pub fn close_to_others(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o700))?;
            close_to_others(&entry.path())?;
        } else {
            fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o600))?;
        }
    }
    Ok(())
}

/// Opens for reading and writing, created with mode 0600.
pub fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Puts what `write` writes in place of `path`, durably; after a crash the old or the new file is there.
pub fn replace(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Fault> {
    let unfinished = unfinished(path);
    let put = || -> io::Result<()> {
        let mut file = BufWriter::new(private_file(&unfinished)?);
        file.get_ref().set_len(0)?;
        write(&mut file)?;
        file.flush()?;
        file.get_ref().sync_all()?;
        fs::rename(&unfinished, path)?;
        sync_directory(path.parent().unwrap_or(Path::new(".")))
    };
    put().map_err(|error| {
        // Best effort: a leftover is removed at the next start as well.
        let _ = fs::remove_file(&unfinished);
        Fault::disk(path, "write this file", error)
    })
}

/// Writes `bytes` as a file that only its owner can read, whole or not at all.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Fault> {
    replace(path, |out| out.write_all(bytes))
}

pub fn sync_directory(dir: &Path) -> io::Result<()> {
    let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    File::open(dir)?.sync_all()
}

/// Removes what an interrupted `replace` left in `dir`.
pub fn remove_unfinished(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(UNFINISHED) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Bytes that this user may still write on the file system of `dir`; `None` where that is unknown.
pub fn free_bytes(dir: &Path) -> Option<u64> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(dir.as_os_str().as_bytes()).ok()?;
    let mut status = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: `path` is a C string and `status` is large enough; it is read only after success.
    let status = unsafe {
        if libc::statvfs(path.as_ptr(), status.as_mut_ptr()) != 0 {
            return None;
        }
        status.assume_init()
    };
    Some(status.f_bavail.saturating_mul(status.f_frsize))
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(UNFINISHED);
    path.with_file_name(name)
}
