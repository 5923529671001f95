//! A disk that a test may fill.
#![expect(clippy::panic, reason = "a launcher for tests fails the test that uses it")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::run;

/// A file system of a few megabytes, taken away with the test.
#[derive(Debug)]
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts it; none, with a line on stderr, where mounting is not allowed.
    ///
    /// # Panics
    /// When the directory cannot be made.
    #[must_use]
    #[expect(clippy::print_stderr, reason = "a skipped test has to be visible in the output of the test run")]
    pub fn mount(at: &Path) -> Option<Self> {
        if let Err(error) = fs::create_dir(at) {
            panic!("cannot make {}: {error}", at.display());
        }
        let mut command = Command::new("mount");
        let finished =
            run(command.args(["-t", "tmpfs", "-o", "size=4m,mode=0711", "touchmark-test"]).arg(at), &[]);
        if finished.code == Some(0) {
            return Some(Self(at.to_owned()));
        }
        // Containers may not mount, whoever is in them; that is no missing peer.
        eprintln!("SKIPPED: mount is refused here: {}", finished.stderr.trim());
        None
    }

    /// Fills it to the last byte.
    ///
    /// # Panics
    /// When no file can be made there.
    pub fn fill(&self) {
        let Ok(mut file) = fs::File::create(self.0.join("filler")) else { panic!("no file can be made") };
        while file.write_all(&[0; 4096]).is_ok() {}
        while file.write_all(&[0]).is_ok() {}
    }

    /// Frees what [`Self::fill`] took.
    ///
    /// # Panics
    /// When it cannot be freed.
    pub fn free(&self) {
        if let Err(error) = fs::remove_file(self.0.join("filler")) {
            panic!("cannot free the disk: {error}");
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A lazy unmount succeeds while processes still use it.
        let _gone = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}
