//! A disk that is soon full: a small file system in memory, which only root can mount.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use tempfile::TempDir;

/// A mounted disk; unmounted when dropped.
pub struct SmallDisk {
    folder: TempDir,
}

impl SmallDisk {
    /// Mounts one of so many KiB. Who is not root needs `sudo` without a password.
    pub fn mount(kib: u32) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("crdisk").tempdir()?;
        let options = format!("size={kib}k,mode=0700,uid={},gid={}", nix::unistd::getuid(), nix::unistd::getgid());
        privileged(&["mount", "-t", "tmpfs", "-o", &options, "tmpfs"], folder.path())?;
        Ok(Self { folder })
    }

    /// Returns where it is mounted.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }

    /// Takes all the space that is left.
    pub fn fill(&self) -> anyhow::Result<()> {
        let mut file = File::options().create(true).append(true).open(self.filler())?;
        let mut piece = vec![7_u8; 64 * 1024];
        while !piece.is_empty() {
            match file.write_all(&piece) {
                Ok(()) => {}
                Err(error) if error.kind() == std::io::ErrorKind::StorageFull => piece.truncate(piece.len() / 2),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Gives that space back.
    pub fn free(&self) -> anyhow::Result<()> {
        Ok(fs::remove_file(self.filler())?)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: somebody may still have a file open there.
        let _ = privileged(&["umount", "-l"], self.folder.path());
    }
}

fn privileged(words: &[&str], path: &Path) -> anyhow::Result<()> {
    let mut words = words.to_vec();
    if !nix::unistd::getuid().is_root() {
        words.splice(0..0, ["sudo", "-n"]);
    }
    let ran = Command::new(words[0]).args(&words[1..]).arg(path).output();
    let ran = ran.with_context(|| format!("{} cannot be run", words[0]))?;
    if !ran.status.success() {
        bail!("{} failed: {}", words.join(" "), String::from_utf8_lossy(&ran.stderr).trim());
    }
    Ok(())
}
