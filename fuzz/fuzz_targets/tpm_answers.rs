//! A TPM that answers what it likes: pieces are its responses after a good first one, each without the header's size.
#![no_main]

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Mutex, OnceLock};

use libfuzzer_sys::fuzz_target;
use touchmark_fuzz::acts::{ACTS, act};
use touchmark_fuzz::{nonce, pieces, told};
use touchmark_keystore::tpm::{Measured, Terms, TpmStore};

static ANSWERS: Mutex<VecDeque<Vec<u8>>> = Mutex::new(VecDeque::new());

/// One answer: whether it has sessions, its code, and what follows. Codes that ask for patience would make the store wait.
fn response(piece: &[u8]) -> Vec<u8> {
    let (kind, rest) = piece.split_first().unwrap_or((&0, &[]));
    let tag: u16 = if kind & 1 == 0 { 0x8001 } else { 0x8002 };
    let (code, body) = match rest.split_first_chunk::<2>() {
        Some((code, body)) if kind & 2 != 0 => (u32::from(u16::from_be_bytes(*code)), body),
        _ => (0, rest),
    };
    let code = if matches!(code, 0x908 | 0x90a | 0x920 | 0x922) { 0x101 } else { code };
    let size = u32::try_from(10 + body.len()).expect("a short piece");
    [&tag.to_be_bytes()[..], &size.to_be_bytes(), &code.to_be_bytes(), body].concat()
}

fn serve(mut host: TcpStream) -> Option<()> {
    loop {
        let mut header = [0; 10];
        host.read_exact(&mut header).ok()?;
        let size = u32::from_be_bytes([header[2], header[3], header[4], header[5]]);
        let mut rest = vec![0; usize::try_from(size).ok()?.saturating_sub(10)];
        host.read_exact(&mut rest).ok()?;
        let answer = ANSWERS.lock().ok()?.pop_front()?;
        host.write_all(&answer).ok()?;
    }
}

fn address() -> &'static str {
    static ADDRESS: OnceLock<String> = OnceLock::new();
    ADDRESS.get_or_init(|| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port of the loopback interface");
        let address = listener.local_addr().expect("an address").to_string();
        std::thread::spawn(move || {
            for host in listener.incoming().flatten() {
                let _ended = serve(host);
            }
        });
        address
    })
}

fuzz_target!(|data: &[u8]| {
    let Some((&number, data)) = data.split_first() else { return };
    let mut answers: VecDeque<Vec<u8>> = pieces(data, 64).map(response).collect();
    // TPM2_GetCapability: no more values, properties, none of them.
    answers.push_front(response(&[0, 0, 0, 0, 0, 6, 0, 0, 0, 0]));
    *ANSWERS.lock().expect("the answers") = answers;
    let Some(mut store) = told(TpmStore::open(address())) else { return };
    let pcrs = "sha256:0,7".parse().expect("a list");
    match number % (ACTS + 2) {
        ACTS => drop(told(store.quote(&pcrs, &nonce()))),
        number if number > ACTS => {
            drop(told(store.seal(b"secret", &Terms { pcrs: Some(pcrs), ..Terms::default() })));
        }
        number => act(&mut store, number),
    }
});
