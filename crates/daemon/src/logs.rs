//! A log file that stays bounded.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

/// A file that is put aside as `NAME.1` when it is full; the one put aside before is dropped.
#[derive(Debug)]
pub struct Rotating {
    path: PathBuf,
    file: File,
    size: u64,
    most: u64,
}

impl Rotating {
    /// Opens it for appending. Twice `most` bytes are kept at the most.
    pub fn open(path: impl Into<PathBuf>, most: u64) -> io::Result<Self> {
        let path = path.into();
        let file = append(&path)?;
        let size = file.metadata()?.len();
        Ok(Self { path, file, size, most })
    }
}

fn append(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

impl Write for Rotating {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.size > 0 && self.size + bytes.len() as u64 > self.most {
            let mut aside = self.path.clone().into_os_string();
            aside.push(".1");
            fs::rename(&self.path, aside)?;
            self.file = append(&self.path)?;
            self.size = 0;
        }
        let written = self.file.write(bytes)?;
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_never_takes_more_than_twice_its_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("daemon.log");
        let mut log = Rotating::open(&path, 1000).unwrap();
        for n in 0..500 {
            writeln!(log, "line {n}").unwrap();
        }
        let sizes: Vec<u64> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).collect();
        assert!(sizes.len() == 2 && sizes.iter().all(|size| *size <= 1000), "{sizes:?}");
        drop(log);
        assert!(fs::read_to_string(&path).unwrap().ends_with("line 499\n"));
    }
}
