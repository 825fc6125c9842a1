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

/// A file that is being written, and takes the place of another once it is whole; else it is removed.
pub struct Unfinished {
    out: BufWriter<File>,
    path: PathBuf,
    is_put: bool,
}

impl Unfinished {
    pub fn begin(path: &Path) -> Result<Unfinished, Fault> {
        let begin = || -> io::Result<Unfinished> {
            let out = BufWriter::new(private_file(&unfinished(path))?);
            let begun = Unfinished { out, path: path.to_owned(), is_put: false };
            begun.out.get_ref().set_len(0)?;
            Ok(begun)
        };
        begin().map_err(|error| Fault::disk(path, "write this file", error))
    }

    /// Puts it in its place, durably; after a crash the old or the new file is there.
    pub fn finish(mut self) -> Result<(), Fault> {
        let mut put = || -> io::Result<()> {
            self.out.flush()?;
            self.out.get_ref().sync_all()?;
            fs::rename(unfinished(&self.path), &self.path)?;
            self.is_put = true;
            sync_directory(self.path.parent().unwrap_or(Path::new(".")))
        };
        put().map_err(|error| self.fault(error))
    }

    /// Why it could not be written.
    pub fn fault(&self, error: io::Error) -> Fault {
        Fault::disk(&self.path, "write this file", error)
    }
}

impl Write for Unfinished {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_put {
            // Best effort: a leftover is removed at the next start as well.
            let _ = fs::remove_file(unfinished(&self.path));
        }
    }
}

/// Puts what `write` writes in place of `path`, as `Unfinished` does.
pub fn replace(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Fault> {
    let mut file = Unfinished::begin(path)?;
    write(&mut file).map_err(|error| file.fault(error))?;
    file.finish()
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
