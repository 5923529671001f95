//! Texts that are nobody else's business.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::{Deserialize, Deserializer, Serializer};
use zeroize::{Zeroize, Zeroizing};

use crate::error::AgentError;

/// No secret file is longer than this, in bytes.
const MAX_SECRET_BYTES: u64 = 1024;

/// A text that does not appear in `Debug` output and is wiped when dropped. It has no `Clone` and no `Serialize`: the
/// one place that writes it out, the agent's own state, names `Private::write` for it.
pub struct Private(Zeroizing<String>);

impl Private {
    /// Takes over a text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The text.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub(crate) fn write<S: Serializer>(text: &Option<Self>, out: S) -> Result<S::Ok, S::Error> {
        match text {
            Some(text) => out.serialize_str(text.expose()),
            None => out.serialize_none(),
        }
    }

    pub(crate) fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Self>, D::Error> {
        Ok(Option::<String>::deserialize(from)?.map(Self::new))
    }
}

impl fmt::Debug for Private {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Private(redacted)")
    }
}

/// Reads a secret of at most 1024 bytes from a file; white space at its end does not belong to it.
pub(crate) fn read_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, AgentError> {
    let failed = AgentError::file("read", path);
    let unusable =
        |detail: &str| AgentError::Config { path: path.display().to_string(), detail: detail.to_owned() };
    // The buffer has its final size from the start, so that no copy is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(2048));
    let file = File::open(path).map_err(&failed)?;
    file.take(MAX_SECRET_BYTES + 1).read_to_end(&mut bytes).map_err(&failed)?;
    if bytes.len() as u64 > MAX_SECRET_BYTES {
        return Err(unusable("a secret file has at most 1024 bytes"));
    }
    while bytes.last().is_some_and(u8::is_ascii_whitespace) {
        bytes.pop();
    }
    if bytes.is_empty() {
        bytes.zeroize();
        return Err(unusable("the secret file is empty"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_text_is_not_printed() {
        assert_eq!(format!("{:?}", Private::new("hush".to_owned())), "Private(redacted)");
    }

    #[test]
    fn a_secret_file_is_trimmed_and_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "abc\r\n").unwrap();
        assert_eq!(*read_file(&path).unwrap(), b"abc");
        std::fs::write(&path, " \n").unwrap();
        assert_eq!(read_file(&path).unwrap_err().code(), "AG-0001");
        std::fs::write(&path, [b'x'; 1025]).unwrap();
        assert_eq!(read_file(&path).unwrap_err().code(), "AG-0001");
        assert_eq!(read_file(&dir.path().join("none")).unwrap_err().code(), "AG-0002");
    }
}
