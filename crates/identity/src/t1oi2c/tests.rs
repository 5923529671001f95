//! Frames of the two host libraries for these parts, and both ends of a link that damages and loses them.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};

use proptest::prelude::*;

use super::*;

/// Frames as NXP's nano-package and the `se05x` crate exchange them.
const KNOWN: [(&str, u8, Block); 10] = [
    ("5AC000FFFC", TO_ELEMENT, ask(Supervision::Resynchronise)),
    ("5ACF00377F", TO_ELEMENT, ask(Supervision::InterfaceReset)),
    ("5AC700F7B1", TO_ELEMENT, ask(Supervision::AnswerToReset)),
    ("5AC5004782", TO_ELEMENT, ask(Supervision::EndOfSession)),
    (
        "A5E0003F19",
        TO_HOST,
        Block::Supervisory { kind: Supervision::Resynchronise, answer: true, data: Vec::new() },
    ),
    ("A59000FBE9", TO_HOST, Block::Receive { expected: true, reception: Reception::Good }),
    ("5A810041A3", TO_ELEMENT, Block::Receive { expected: false, reception: Reception::BadChecksum }),
    ("5A000480040020F555", TO_ELEMENT, Block::Information { sequence: false, more: false, data: Vec::new() }),
    (
        "A5C301011BDD",
        TO_HOST,
        Block::Supervisory { kind: Supervision::MoreTime, answer: false, data: Vec::new() },
    ),
    (
        "5AE30101F21B",
        TO_ELEMENT,
        Block::Supervisory { kind: Supervision::MoreTime, answer: true, data: Vec::new() },
    ),
];

const fn ask(kind: Supervision) -> Block {
    Block::Supervisory { kind, answer: false, data: Vec::new() }
}

fn atr() -> Atr {
    Atr {
        vendor: *b"\xF0TEST",
        waiting_time: 1_000,
        information_bytes: 0xFE,
        guard_time: 100,
        historical: b"TM TEST".to_vec(),
    }
}

#[test]
fn frames_of_others_are_read_and_written() {
    assert_eq!(crc(b"123456789"), 0x906E);
    for (hex, address, mut block) in KNOWN {
        let frame = hex::decode(hex).unwrap();
        if let Block::Information { data, .. } | Block::Supervisory { data, .. } = &mut block {
            *data = frame[3..frame.len() - 2].to_vec();
        }
        assert_eq!(Block::parse(address, &frame), Ok(block.clone()), "{hex}");
        assert_eq!(block.encode(address), frame, "{hex}");
    }
}

#[test]
fn every_truncation_and_every_changed_bit_is_noticed() {
    let frame = Block::Information { sequence: true, more: true, data: (0..40).collect() }.encode(TO_HOST);
    for end in 0..frame.len() {
        assert!(Block::parse(TO_HOST, &frame[..end]).is_err(), "cut at {end}");
    }
    for bit in 0..frame.len() * 8 {
        let mut changed = frame.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(Block::parse(TO_HOST, &changed).is_err(), "bit {bit}");
    }
    assert_eq!(Block::parse(TO_ELEMENT, &frame), Err(FrameError::Address { found: TO_HOST }));
}

#[test]
fn an_answer_to_reset_comes_back() {
    let bytes = atr().encode();
    assert_eq!(Atr::parse(&bytes), Some(atr()));
    // The one of a real part, as the host libraries print it.
    let part = "00a0000003960403e800fe020b03e80801000000006400000a4a434f5034204154504f";
    let parsed = Atr::parse(&hex::decode(part).unwrap()).unwrap();
    assert_eq!((parsed.waiting_time, parsed.information_bytes, parsed.guard_time), (1_000, 254, 100));
    assert_eq!(parsed.historical, b"JCOP4 ATPO");
    for end in 0..bytes.len() {
        assert_eq!(Atr::parse(&bytes[..end]), None, "cut at {end}");
    }
}

/// What happens to a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Arrives,
    Damaged,
    Lost,
}

/// A part that answers a command with its bytes doubled, over a bus that does to each frame what it is told.
struct Bus {
    card: Card,
    ready: VecDeque<u8>,
    fates: VecDeque<Fate>,
    waits: u8,
    due: Option<Vec<u8>>,
    commands: usize,
    resets: usize,
}

impl Bus {
    fn new(fates: &[Fate], waits: u8) -> Self {
        let fates = fates.iter().copied().collect();
        let card = Card::new(&atr());
        Self { card, ready: VecDeque::new(), fates, waits, due: None, commands: 0, resets: 0 }
    }

    fn fate(&mut self, frame: &mut [u8]) -> Fate {
        let fate = self.fates.pop_front().unwrap_or(Fate::Arrives);
        if fate == Fate::Damaged {
            let last = frame.len() - 1;
            frame[last] ^= 0x01;
        }
        fate
    }

    fn send(&mut self, mut frame: Vec<u8>) {
        if self.fate(&mut frame) != Fate::Lost {
            self.ready = frame.into();
        }
    }
}

impl Link for Bus {
    fn write(&mut self, frame: &[u8]) -> io::Result<()> {
        let mut frame = frame.to_vec();
        self.ready.clear();
        if self.fate(&mut frame) == Fate::Lost {
            return Ok(());
        }
        match self.card.receive(&frame) {
            Step::Send(frame) => self.send(frame),
            Step::Reset(frame) => {
                self.resets += 1;
                self.send(frame);
            }
            Step::Command(command) => {
                self.commands += 1;
                let response = [command.as_slice(), &command].concat();
                if self.waits > 0 {
                    self.waits -= 1;
                    self.due = Some(response);
                    self.send(Card::ask_for_time(1));
                } else {
                    let frame = self.card.answer(&response);
                    self.send(frame);
                }
            }
            Step::Granted => {
                let response = self.due.take().unwrap();
                let frame = self.card.answer(&response);
                self.send(frame);
            }
        }
        Ok(())
    }

    fn read(&mut self, bytes: &mut [u8], _wait: u16) -> io::Result<()> {
        if self.ready.len() < bytes.len() {
            return Err(ErrorKind::TimedOut.into());
        }
        for byte in bytes {
            *byte = self.ready.pop_front().unwrap();
        }
        Ok(())
    }
}

fn commands() -> Vec<Vec<u8>> {
    [5, 254, 255, 700, 4].into_iter().map(|length| (0..=255).cycle().take(length).collect()).collect()
}

#[test]
fn commands_and_responses_of_any_length_pass() {
    let (mut host, said) = Host::open(Bus::new(&[], 0)).unwrap();
    assert_eq!(said, atr());
    for round in 0..250 {
        for command in commands() {
            let response = host.transceive(&command).unwrap();
            assert_eq!(response, [command.as_slice(), &command].concat(), "round {round}");
        }
    }
    let bus = host.close().unwrap();
    assert_eq!((bus.commands, bus.resets), (1_250, 2));
}

#[test]
fn a_part_gets_the_time_that_it_asks_for() {
    let (mut host, _) = Host::open(Bus::new(&[], 1)).unwrap();
    assert_eq!(host.transceive(&[1, 2, 3, 4]).unwrap(), [1, 2, 3, 4, 1, 2, 3, 4]);
    assert_eq!(host.transceive(&[5, 6, 7, 8]).unwrap().len(), 8);
}

/// One frame after the other is damaged or lost: each command is carried out once, and its response is whole.
#[test]
fn one_damaged_or_lost_frame_is_repaired_wherever_it_is() {
    for fate in [Fate::Damaged, Fate::Lost] {
        // Opening the link takes four frames, the commands some twenty.
        for at in 0..30 {
            let mut fates = vec![Fate::Arrives; at];
            fates.push(fate);
            let (mut host, _) = Host::open(Bus::new(&fates, 0)).unwrap();
            for command in commands() {
                let response = host.transceive(&command).unwrap();
                assert_eq!(response, [command.as_slice(), &command].concat(), "{fate:?} at {at}");
            }
            assert_eq!(
                host.close().unwrap().commands,
                5,
                "{fate:?} at {at}: a command was carried out twice"
            );
        }
    }
}

#[test]
fn a_bus_that_damages_everything_is_an_error_and_the_link_is_made_anew() {
    let mut fates = vec![Fate::Arrives; 4];
    fates.extend([Fate::Damaged; 9]);
    let (mut host, _) = Host::open(Bus::new(&fates, 0)).unwrap();
    assert!(matches!(host.transceive(&[1, 2, 3, 4]), Err(LinkError::Damaged { .. } | LinkError::Bus(_))));
    assert_eq!(host.transceive(&[1, 2, 3, 4]).unwrap().len(), 8, "and it goes on");
    assert!(matches!(Host::open(Bus::new(&[Fate::Lost; 100], 0)), Err(LinkError::Bus(_))));
}

/// The part heard that the link is made anew, and the host did not hear its answer: the next command is not cut.
#[test]
fn a_link_that_could_not_be_made_anew_is_made_anew_before_the_next_command() {
    use Fate::{Arrives, Damaged, Lost};
    let mut fates = vec![Arrives; 8];
    fates.extend([Lost, Lost, Arrives, Damaged, Damaged, Arrives, Lost, Arrives, Damaged, Lost, Damaged]);
    let (mut host, _) = Host::open(Bus::new(&fates, 0)).unwrap();
    let [first, second, third, ..] = commands().try_into().unwrap_or([const { Vec::new() }; 5]);
    assert_eq!(host.transceive(&first).unwrap(), [first.as_slice(), &first].concat());
    assert!(matches!(host.transceive(&second), Err(LinkError::Bus(_))));
    assert_eq!(host.transceive(&third).unwrap(), [third.as_slice(), &third].concat());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn blocks_come_back(sequence: bool, more: bool, data in proptest::collection::vec(any::<u8>(), 0..=254)) {
        let block = Block::Information { sequence, more, data };
        prop_assert_eq!(Block::parse(TO_HOST, &block.encode(TO_HOST)), Ok(block));
    }

    #[test]
    fn no_bytes_upset_a_part(frames in proptest::collection::vec(
        proptest::collection::vec(any::<u8>(), 0..40), 0..20)) {
        let mut card = Card::new(&atr());
        for frame in frames {
            if let Step::Send(answer) = card.receive(&frame) {
                prop_assert!(Block::parse(TO_HOST, &answer).is_ok());
            }
        }
    }

    /// Few frames get lost: whatever response comes is the right one.
    #[test]
    fn a_response_is_right_or_there_is_none(fates in proptest::collection::vec(
        prop_oneof![8 => Just(Fate::Arrives), 1 => Just(Fate::Damaged), 1 => Just(Fate::Lost)], 0..60)) {
        let Ok((mut host, _)) = Host::open(Bus::new(&fates, 0)) else { return Ok(()) };
        for command in commands() {
            if let Ok(response) = host.transceive(&command) {
                prop_assert_eq!(response, [command.as_slice(), &command].concat());
            }
        }
    }
}
