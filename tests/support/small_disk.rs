//! [`SmallDisk`]: a disk that is soon full.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A disk of its own at a folder, in memory. Unmounted when dropped.
pub struct SmallDisk(pub PathBuf);

impl SmallDisk {
    /// `size` as mount(8) takes it: `4m`. None where we may not mount.
    pub fn mount(at: PathBuf, size: &str) -> Option<SmallDisk> {
        fs::create_dir(&at).expect("a folder");
        mount(&["-o", &format!("size={size}"), "tmpfs"], &at).then_some(SmallDisk(at))
    }

    /// Makes it larger.
    pub fn grow(&self, size: &str) {
        assert!(mount(&["-o", &format!("remount,size={size}")], &self.0), "it grows");
    }

    /// A file to [`fill`] it with.
    pub fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }
}

fn mount(options: &[&str], at: &Path) -> bool {
    let mounted = Command::new("mount").args(["-t", "tmpfs"]).args(options).arg(at).output();
    mounted.is_ok_and(|output| output.status.success())
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

/// Takes what space is left.
pub fn fill(path: &Path) {
    let mut file = File::create(path).expect("a file on the small disk");
    for size in [4096, 1] {
        while file.write_all(&vec![b'x'; size]).is_ok() {}
    }
}
