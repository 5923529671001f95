//! A virtual element that runs: over TCP, as the card of a virtual reader, on a bus of T=1, and inside SCP03.
#![expect(clippy::unwrap_used, reason = "test helpers: a surprise is a panic")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use touchmark_testkit::element::ChannelKeyFile;
use touchmark_testkit::server::Site;

const SELECT: &str = "00A4040010A000000396545300000001030000000000";
const VERSION: &str = "8004002000";

fn site() -> Site {
    Site::new(env!("CARGO_BIN_EXE_touchmark"), "")
}

fn ask(stream: &mut TcpStream, message: &str, answer_bytes: usize) -> String {
    stream.write_all(&hex::decode(message).unwrap()).unwrap();
    let mut answer = vec![0; answer_bytes];
    stream.read_exact(&mut answer).unwrap();
    hex::encode(answer)
}

#[test]
fn one_element_is_a_card_a_part_on_a_bus_and_one_reader_over_tcp() {
    let site = site();
    // In the place of vpcd, which listens for its card.
    let reader = TcpListener::bind("127.0.0.1:0").unwrap();
    let vpcd = reader.local_addr().unwrap().to_string();
    let arguments = ["--vpcd", &vpcd, "--t1", "127.0.0.1:0", "--one-reader"];
    let (element, ready) = site.element_with("chip", &arguments);
    assert_eq!(ready["schema"], "touchmark.element-ready/1");

    let tcp = ready["tcp"].as_str().unwrap();
    let apdu = |apdu: &str| {
        let answered = site.touchmark(&["element", "apdu", "--tcp", tcp, apdu]).must_end_with(0).json();
        answered["answers"][0].as_str().unwrap().to_lowercase()
    };
    let selected = apdu(SELECT);
    assert!(selected.ends_with("9000"), "{selected}");
    assert!(apdu(VERSION).ends_with("9000"), "a second connection goes on where the first was");

    let (mut card, _) = reader.accept().unwrap();
    let power_on_and_atr = ask(&mut card, "000101000104", 2 + 17);
    assert!(power_on_and_atr.starts_with("00113b"), "{power_on_and_atr}");
    assert!(!apdu(VERSION).ends_with("9000"), "the reader gave the card power anew: nothing is selected");
    let length = format!("{:04x}", SELECT.len() / 2);
    let selected = ask(&mut card, &format!("{length}{SELECT}"), 2 + 9);
    assert!(selected.ends_with("9000"), "{selected}");

    let mut bus = TcpStream::connect(ready["t1"].as_str().unwrap()).unwrap();
    assert_eq!(ask(&mut bus, "0000055ac000fffc", 2), "0000");
    assert_eq!(ask(&mut bus, "010005", 7), "0005a5e0003f19");
    assert!(element.terminate().success());
}

#[test]
fn wrong_keys_for_scp03_are_an_error_and_no_way_to_plain() {
    let site = site();
    let (_element, address) = site.element("chip");
    let keys = ChannelKeyFile::wrong();
    let store = format!("element:tcp:{address}{}", keys.query());
    let generate = |store: &str| site.touchmark(&["keystore", "generate", "--store", store, "--key", "k"]);
    let refused = generate(&store).must_end_with(3).all();
    assert!(refused.contains("card cryptogram is wrong"), "{refused}");
    let _made = generate(&format!("element:tcp:{address}")).must_end_with(0);
}
