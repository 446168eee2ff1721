//! A folder for the files of one test; and tokens to put there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::id;

/// Tokens of people who are in [`TOKENS`].
pub(crate) const ANN: &str = "ann-0123456789abcdef";
pub(crate) const BOB: &str = "bob-0123456789abcdef";
pub(crate) const SENSOR: &str = "sensor-0123456789abcdef";

/// Ann may do all, Bob may read the news, and a sensor may only send.
pub(crate) const TOKENS: &str = "\
    ann-0123456789abcdef ann\n\
    bob-0123456789abcdef bob read=/news,/team/*\n\
    sensor-0123456789abcdef sensor write=/news\n";

/// It is gone when this is dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    /// Writes a file at once, as an editor does, and returns its path.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let (new, path) = (self.0.join("new"), self.0.join(name));
        fs::write(&new, text).unwrap();
        fs::rename(new, &path).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
