//! A load file that is one in form: an archive with a header component and nothing in it that runs.

/// The package that it names.
pub const PACKAGE: &[u8] = &[0xF0, b'L', b'O', b'A', b'D', 0x01];

/// The archive. ZIP with one stored member, `demo/javacard/Header.cap`; the component after the Java Card Virtual
/// Machine Specification 3.1, §6.4: tag 1, size, magic, version of the format, flags, version and name of the package.
pub fn archive() -> Vec<u8> {
    let mut header = vec![1, 0, 0, 0xDE, 0xCA, 0xFF, 0xED, 2, 2, 4, 0, 1];
    header.push(PACKAGE.len() as u8);
    header.extend_from_slice(PACKAGE);
    header[2] = (header.len() - 3) as u8;

    let name = b"demo/javacard/Header.cap";
    let size = (header.len() as u32).to_le_bytes();
    // Version, flags, method (stored), time, date, checksum, both sizes, length of the name, of what is extra.
    let mut common = vec![20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
    common.extend_from_slice(&crc32(&header).to_le_bytes());
    common.extend_from_slice(&size);
    common.extend_from_slice(&size);
    common.extend_from_slice(&[name.len() as u8, 0, 0, 0]);

    let mut archive = b"PK\x03\x04".to_vec();
    archive.extend_from_slice(&common);
    archive.extend_from_slice(name);
    archive.extend_from_slice(&header);
    let directory = archive.len() as u32;
    archive.extend_from_slice(b"PK\x01\x02\x14\x00");
    archive.extend_from_slice(&common);
    archive.extend_from_slice(&[0; 14]);
    archive.extend_from_slice(name);
    let length = archive.len() as u32 - directory;
    archive.extend_from_slice(b"PK\x05\x06\0\0\0\0\x01\0\x01\0");
    archive.extend_from_slice(&length.to_le_bytes());
    archive.extend_from_slice(&directory.to_le_bytes());
    archive.extend_from_slice(&[0, 0]);
    archive
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut register = u32::MAX;
    for byte in bytes {
        register ^= u32::from(*byte);
        for _ in 0..8 {
            register = if register & 1 == 1 { (register >> 1) ^ 0xEDB8_8320 } else { register >> 1 };
        }
    }
    !register
}
