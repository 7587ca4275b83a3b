//! What must not stay behind when the program is interrupted: temporary files and directories, the children that it started, and what
//! other programs keep for it.
//!
//! Destructors do not run when a signal ends a process, so whoever makes such a thing registers it here, in the same breath
//! ([`guard`]), and [`clean_up`] removes what is registered. One list for the whole process, since a signal is for the whole process.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

/// Something that is removed when the program is interrupted.
pub enum Leftover {
    /// A file, or a directory with all that is in it.
    Path(PathBuf),
    /// A file or directory that only this command can remove, since other users own what is in it.
    Foreign(PathBuf, Vec<OsString>),
    /// Process groups, all members of which are killed.
    Groups(Vec<Pid>),
    /// Something that another program keeps, and that this call takes out of it, within seconds. The call must not guard anything, nor
    /// start anything by the process runner of `minimg-sandbox`, which does: it would wait forever.
    Elsewhere(Box<dyn Fn() + Send>),
}

#[derive(Default)]
struct Leftovers {
    next: u64,
    by_number: BTreeMap<u64, Leftover>,
}

impl Leftovers {
    fn insert(&mut self, leftover: Leftover) -> Guard {
        let number = self.next;
        self.next += 1;
        self.by_number.insert(number, leftover);
        Guard(number)
    }
}

static LEFTOVERS: Mutex<Leftovers> = Mutex::new(Leftovers { next: 0, by_number: BTreeMap::new() });

/// Keeps something registered while it lives.
#[derive(Debug)]
pub struct Guard(u64);

impl Drop for Guard {
    fn drop(&mut self) {
        lock().by_number.remove(&self.0);
    }
}

/// Makes something and registers what would be left of it. No interruption comes between the two.
///
/// # Errors
/// Those of `make`.
pub fn guard<T, E>(
    make: impl FnOnce() -> Result<T, E>,
    leftover: impl FnOnce(&T) -> Leftover,
) -> Result<(T, Guard), E> {
    let mut leftovers = lock();
    let made = make()?;
    let guard = leftovers.insert(leftover(&made));
    Ok((made, guard))
}

/// Registers what may come to be left.
pub fn register(leftover: Leftover) -> Guard {
    lock().insert(leftover)
}

/// Removes everything that is registered. From then on nothing new can be registered, nor anything made that would have to be: whoever
/// tries waits for the end of the process, which the caller must bring about.
pub fn clean_up() {
    clear(lock());
}

/// [`clean_up`] for a panic that ends the program. Does nothing while somebody registers something, since that may be the thread that panics.
pub fn clean_up_after_panic() {
    match LEFTOVERS.try_lock() {
        Ok(leftovers) => clear(leftovers),
        Err(TryLockError::Poisoned(leftovers)) => clear(leftovers.into_inner()),
        Err(TryLockError::WouldBlock) => {}
    }
}

fn clear(leftovers: MutexGuard<'static, Leftovers>) {
    // First the children, who might go on writing.
    for leftover in leftovers.by_number.values() {
        if let Leftover::Groups(groups) = leftover {
            // They may have ended by themselves meanwhile.
            groups.iter().for_each(|&group| _ = kill_process_group(group, Signal::KILL));
        }
    }
    for leftover in leftovers.by_number.values() {
        match leftover {
            Leftover::Path(path) => remove(path),
            Leftover::Foreign(path, remover) => remove_by(path, remover),
            Leftover::Elsewhere(_) | Leftover::Groups(_) => {}
        }
    }
    // Last, because other programs take their time, and the user may lose patience.
    for leftover in leftovers.by_number.values() {
        if let Leftover::Elsewhere(take_out) = leftover {
            take_out();
        }
    }
    std::mem::forget(leftovers);
}

/// How often something is tried to be removed, into which threads and children that are about to end may still be writing.
const ATTEMPTS: u32 = 50;

/// Removes a file or directory by a command.
fn remove_by(path: &Path, remover: &[OsString]) {
    let [program, arguments @ ..] = remover else { return };
    for _ in 0..ATTEMPTS {
        // What it did is seen from what is left.
        let _ = Command::new(program).args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).status();
        if path.symlink_metadata().is_err() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Removes a file or directory, into which other threads of this process may still be writing.
fn remove(path: &Path) {
    for _ in 0..ATTEMPTS {
        let removed = match path.symlink_metadata() {
            Ok(meta) if meta.is_dir() => std::fs::remove_dir_all(path),
            Ok(_) => std::fs::remove_file(path),
            Err(_) => return,
        };
        if removed.is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn lock() -> MutexGuard<'static, Leftovers> {
    // The list is whole at every moment, whoever panicked.
    LEFTOVERS.lock().unwrap_or_else(PoisonError::into_inner)
}
