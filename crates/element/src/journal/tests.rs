//! Every cut and every changed bit of a journal.

use super::*;

fn bytes(text: &str) -> Bytes {
    Zeroizing::new(text.as_bytes().to_vec())
}

fn batch(changes: &[(&str, Option<&str>)]) -> Batch {
    let mut batch = Batch::default();
    for (key, value) in changes {
        match value {
            Some(value) => batch.put(*key, bytes(value)),
            None => batch.delete(*key),
        }
    }
    batch
}

/// A journal of four records in a file, with the lengths and the values behind each.
struct Sample {
    dir: tempfile::TempDir,
    file: Vec<u8>,
    ends: Vec<usize>,
    states: Vec<Values>,
}

impl Sample {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let mut faults = Faults::open(dir.path()).unwrap();
        let mut journal = Journal::new(path.clone());
        let (mut ends, mut states) = (Vec::new(), Vec::new());
        let long = "v".repeat(1500);
        for changes in [
            &[("a", Some("1")), ("b", Some("2"))][..],
            &[("a", Some(long.as_str())), ("c", Some(""))],
            &[("b", None)],
            &[("d", Some("4")), ("a", Some("5"))],
        ] {
            journal.commit(batch(changes), &mut faults).unwrap();
            ends.push(fs::read(&path).unwrap().len());
            states.push(journal.values().clone());
        }
        let file = fs::read(&path).unwrap();
        Self { dir, file, ends, states }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    fn open(&self, bytes: &[u8]) -> Result<Journal, ElementError> {
        fs::write(self.path(), bytes).unwrap();
        Journal::open(self.path(), bytes)
    }
}

#[test]
fn a_cut_at_every_byte_leaves_the_records_before_it() {
    let sample = Sample::new();
    for cut in 0..=sample.file.len() {
        let whole = sample.ends.iter().filter(|end| **end <= cut).count();
        let opened = sample.open(&sample.file[..cut]);
        let Some(last) = whole.checked_sub(1) else {
            assert!(matches!(opened, Err(ElementError::Corrupt { .. })), "cut at {cut}");
            continue;
        };
        let mut journal = opened.unwrap();
        assert_eq!(*journal.values(), sample.states[last], "cut at {cut}");
        assert_eq!(
            fs::read(sample.path()).unwrap(),
            &sample.file[..sample.ends[last]],
            "the rest is cut off"
        );
        // What is written next stands behind what is good.
        let mut faults = Faults::open(sample.dir.path()).unwrap();
        journal.commit(batch(&[("e", Some("6"))]), &mut faults).unwrap();
        let again = journal::read_file(&sample.path());
        assert_eq!(again, *journal.values(), "cut at {cut}");
        assert_eq!(again.len(), sample.states[last].len() + 1);
    }
}

/// Damage is refused wherever it is, in the last record too, and the file is left alone.
#[test]
fn a_changed_bit_is_refused() {
    let sample = Sample::new();
    for at in 0..sample.file.len() {
        let mut bad = sample.file.clone();
        bad[at] ^= 1 << (at % 8);
        match sample.open(&bad) {
            Err(ElementError::Corrupt { .. }) => {}
            Err(other) => panic!("byte {at}: {other}"),
            Ok(_) => panic!("byte {at}: it was taken"),
        }
        assert_eq!(fs::read(sample.path()).unwrap(), bad);
    }
}

/// Storage that had made room for a record, and did not get all of it.
#[test]
fn blocks_that_were_never_written_are_a_torn_record() {
    let sample = Sample::new();
    let [first, second, third, _] = sample.ends[..] else { panic!("four records") };
    // All of it.
    let mut file = sample.file[..second].to_vec();
    file.resize(third, 0);
    assert_eq!(*sample.open(&file).unwrap().values(), sample.states[1]);
    // A block in the middle of the long record, which is the last.
    let block = (first / BLOCK_BYTES + 1) * BLOCK_BYTES;
    assert!(block + BLOCK_BYTES < second);
    let mut file = sample.file[..second].to_vec();
    file[block..block + BLOCK_BYTES].fill(0);
    assert_eq!(*sample.open(&file).unwrap().values(), sample.states[0]);
    // The same with records behind it is damage.
    let mut file = sample.file.clone();
    file[block..block + BLOCK_BYTES].fill(0);
    assert!(matches!(sample.open(&file), Err(ElementError::Corrupt { .. })));
    // And so is a record that was taken out, or one that comes twice.
    let file = [&sample.file[..second], &sample.file[third..]].concat();
    assert!(matches!(sample.open(&file), Err(ElementError::Corrupt { .. })));
    let file = [&sample.file[..], &sample.file[third..]].concat();
    assert!(matches!(sample.open(&file), Err(ElementError::Corrupt { .. })));
}

#[test]
fn it_is_written_anew_when_most_of_it_is_outdated() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    let mut faults = Faults::open(dir.path()).unwrap();
    let mut journal = Journal::new(path.clone());
    let mut longest = 0;
    for round in 0..700u32 {
        let value = format!("{round:04}").repeat(1000);
        journal.commit(batch(&[("a", Some(value.as_str())), ("b", Some("kept"))]), &mut faults).unwrap();
        let length = fs::metadata(&path).unwrap().len();
        assert!(length <= COMPACT_ABOVE + 8192, "{length} bytes");
        longest = longest.max(length);
    }
    assert!(longest > COMPACT_ABOVE - 8192 && fs::metadata(&path).unwrap().len() < longest);
    assert_eq!(journal::read_file(&path), *journal.values());
    assert_eq!(journal.values()[&b"a"[..]].as_slice(), b"0699".repeat(1000));
}

mod journal {
    use super::*;

    pub(super) fn read_file(path: &Path) -> Values {
        read(path, &load(path).unwrap().unwrap()).unwrap()
    }
}
