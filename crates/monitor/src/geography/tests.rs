use super::table::BUILT_IN_FILE;
use super::*;
use proptest::prelude::*;
use touchmark_identity::key::sha256;

const IPV4: &str = include_str!("../../tests/countries/sample-ipv4.csv");
const IPV6: &str = include_str!("../../tests/countries/sample-ipv6.csv");

/// First, last and country of each line.
fn rows(list: &str) -> Vec<(u128, u128, Country)> {
    let row = |line: &str| {
        let fields: Vec<&str> = line.split(',').collect();
        (fields[0].parse().unwrap(), fields[1].parse().unwrap(), fields[2].parse().unwrap())
    };
    list.lines().map(row).collect()
}

fn v4(number: u128) -> IpAddr {
    Ipv4Addr::from(u32::try_from(number).unwrap()).into()
}

fn v6(number: u128) -> IpAddr {
    Ipv6Addr::from(number).into()
}

/// xorshift64*.
fn random(seed: &mut u64) -> u64 {
    *seed ^= *seed >> 12;
    *seed ^= *seed << 25;
    *seed ^= *seed >> 27;
    seed.wrapping_mul(0x2545_f491_4f6c_dd1d)
}

fn in_words(ip: &str) -> Option<String> {
    Countries::built_in().country(ip.parse().unwrap()).map(|country| country.to_string())
}

#[test]
fn a_table_says_what_its_lists_say() {
    let table = Countries::read(&build(IPV4, IPV6).unwrap()).unwrap();
    let mut seed = 0x2026_1121;
    let (mut known, mut unknown) = (0, 0);
    for (list, ip, bits) in [(IPV4, v4 as fn(u128) -> IpAddr, 32), (IPV6, v6, 128)] {
        let rows = rows(list);
        assert!(rows.len() > 300, "{} rows", rows.len());
        let most = u128::MAX >> (128 - bits);
        // Half of them anywhere, half of them at and around the ends of ranges.
        for number in 0..10_000 {
            let anywhere = (u128::from(random(&mut seed)) << 64 | u128::from(random(&mut seed))) & most;
            let (first, last, _) = rows[usize::try_from(random(&mut seed) % rows.len() as u64).unwrap()];
            let address = match number % 8 {
                0 => first,
                1 => last,
                2 => first.saturating_sub(1),
                3 => last.saturating_add(1).min(most),
                4 => first + anywhere % (last - first + 1),
                _ => anywhere,
            };
            let said = rows.iter().find(|(first, last, _)| (*first..=*last).contains(&address));
            let country = table.country(ip(address));
            assert_eq!(country, said.map(|(.., country)| *country), "{}", ip(address));
            *(if country.is_some() { &mut known } else { &mut unknown }) += 1;
        }
    }
    assert!(known > 5_000 && unknown > 5_000, "{known} known, {unknown} not");
}

#[test]
fn the_built_in_table_is_whole_and_of_the_same_lists() {
    let table = Countries::built_in();
    assert!(BUILT_IN_FILE.len() < 2 << 20, "{} bytes", BUILT_IN_FILE.len());
    assert!(table.ranges().0 > 100_000 && table.ranges().1 > 50_000, "{:?}", table.ranges());
    for (list, ip) in [(IPV4, v4 as fn(u128) -> IpAddr), (IPV6, v6)] {
        for (first, last, country) in rows(list) {
            for address in [first, first + (last - first) / 2, last] {
                assert_eq!(table.country(ip(address)), Some(country), "{}", ip(address));
            }
        }
    }
}

#[test]
fn known_addresses() {
    for (ip, country) in [
        ("133.11.0.1", "JP"),
        ("::ffff:133.11.0.1", "JP"),
        ("177.32.0.1", "BR"),
        ("193.0.6.139", "NL"),
        ("41.203.64.1", "NG"),
        ("2001:200::1", "JP"),
        ("2401:4900:1::1", "IN"),
        ("240e:1::1", "CN"),
        ("2600:1700::1", "US"),
        ("2804:14c::1", "BR"),
        ("2a02:810d:1::1", "DE"),
    ] {
        assert_eq!(in_words(ip).as_deref(), Some(country), "{ip}");
    }
}

#[test]
fn what_is_nobodys_is_in_no_country() {
    // The special-purpose registries: RFC 6890.
    for prefix in [
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "::/64",
        "64:ff9b::/96",
        "100::/64",
        "2001::/32",
        "2001:2::/48",
        "2001:db8::/32",
        "2001:10::/28",
        "2002::/16",
        "fc00::/7",
        "fe80::/10",
        "ff00::/8",
    ] {
        let (first, last) = ends(prefix).unwrap();
        let numbers = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => u128::from(u32::from(ip)),
            IpAddr::V6(ip) => u128::from(ip),
        };
        let (from, to) = (numbers(first), numbers(last));
        for step in 0..=1_000 {
            let number = from + (to - from) / 1_000 * step;
            let ip = if first.is_ipv4() { v4(number) } else { v6(number) };
            assert_eq!(Countries::built_in().country(ip), None, "{ip} of {prefix}");
        }
        assert_eq!(Countries::built_in().country(last), None, "{last} of {prefix}");
    }
}

#[test]
fn a_network_is_where_both_its_ends_are() {
    let list = "16777216,16777471,AU\n16777472,16777727,CN\n";
    let table = Countries::read(&build(list, "").unwrap()).unwrap();
    let geography = Geography::of(move |ip| table.country(ip));
    for (network, country) in [
        ("1.0.0.0/24", Some("AU")),
        ("1.0.1.77/24", Some("CN")),
        ("1.0.0.0/23", None),
        ("1.0.0.0/33", None),
        ("1.0.0.0", None),
        ("0.0.0.0/0", None),
        ("2001:db8::/48", None),
        ("::/0", None),
        ("AS64500", None),
        ("/", None),
        ("", None),
    ] {
        let found = geography.country_of_network(network).map(|country| country.to_string());
        assert_eq!(found.as_deref(), country, "{network}");
        assert_eq!(Geography::none().country_of_network(network), None);
    }
    let networks = ["1.0.1.0/24", "AS1", "1.0.0.0/24", "1.0.1.0/24"].map(str::to_owned);
    let countries: Vec<String> = geography.countries(&networks).iter().map(ToString::to_string).collect();
    assert_eq!(countries, ["AU", "CN"]);
}

#[test]
fn lists_that_contradict_themselves_are_refused() {
    for (ipv4, line, says) in [
        ("1,2,DE\n2,3,FR\n", 2, "inside of the one before"),
        ("5,6,DE\n1,2,FR\n", 2, "or before it"),
        ("0,4294967295,DE\n\n0,1,DE\n", 3, "inside"),
        ("3,2,DE\n", 1, "ends at 2, before it begins at 3"),
        ("1,4294967296,DE\n", 1, "32 bits"),
        ("1,2\n", 1, "first,last,country"),
        ("1,2,DE,3\n", 1, "first,last,country"),
        ("1.0.0.0,1.0.0.1,DE\n", 1, "first,last,country"),
        ("1,2,de\n", 1, "\"de\" is no country"),
        ("1,2,\u{1b}[31mDE\n", 1, "\\u{1b}"),
    ] {
        let error = build(ipv4, "").unwrap_err();
        assert!(error.to_string().starts_with(&format!("line {line} of the IPv4 list")), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
    assert_eq!(build("", "").unwrap_err(), BuildError::Countries { found: 0 });
    let many: String = (0..256u32)
        .map(|n| {
            let letters = [n / 26, n % 26].map(|n| char::from(b'A' + u8::try_from(n).unwrap()));
            format!("{},{},{}{}\n", n * 2, n * 2, letters[0], letters[1])
        })
        .collect();
    assert_eq!(build("", &many).unwrap_err().code(), "MO-0043");
}

#[test]
fn a_changed_or_cut_table_is_refused() {
    let file = build("1,2,DE\n4,9,FR\n", "7,340282366920938463463374607431768211455,SE\n").unwrap();
    assert_eq!(Countries::read(&file).unwrap().ranges(), (4, 1));
    for cut in 0..file.len() {
        assert!(Countries::read(&file[..cut]).is_err(), "{cut} bytes");
    }
    for at in 0..file.len() {
        for bit in 0..8 {
            let mut other = file.clone();
            other[at] ^= 1 << bit;
            assert!(Countries::read(&other).is_err(), "bit {bit} of byte {at}");
        }
    }
    let mut other = BUILT_IN_FILE.to_vec();
    other[BUILT_IN_FILE.len() / 2] ^= 1;
    assert_eq!(Countries::read(&other).unwrap_err().code(), "MO-0041");
}

/// The content as a file whose digest is right.
fn sealed(content: &[u8]) -> Vec<u8> {
    [content, &sha256(content)].concat()
}

#[test]
fn a_table_with_a_right_digest_and_wrong_content_is_refused() {
    let head = [b"TMCTRY01".as_slice(), &[1], b"DE"].concat();
    let with = |rest: &[u8]| Countries::read(&sealed(&[&head, rest].concat()));
    let nothing = [0, 0, 0, 0, 0];
    assert!(with(&[nothing, nothing].concat()).is_ok());
    for (says, v4) in [
        ("do not fit", vec![0, 255, 255, 255, 255]),
        ("the shift is 32", vec![32, 0, 0, 0, 0]),
        ("begins where the one before does", vec![0, 2, 0, 0, 0, 1, 1, 0, 0]),
        ("country 2 of 1", vec![0, 1, 0, 0, 0, 1, 2]),
        ("beyond 32 bits", vec![0, 1, 0, 0, 0, 0x80, 0x80, 0x80, 0x80, 0x10, 1]),
        ("beyond 32 bits", vec![31, 1, 0, 0, 0, 2, 1]),
        ("more than 128 bits", [vec![0, 1, 0, 0, 0], vec![0xff; 30]].concat()),
    ] {
        let error = with(&[v4, nothing.to_vec()].concat()).unwrap_err();
        assert!(error.code() == "MO-0040" && error.to_string().contains(says), "{error}");
    }
    let error = with(&[nothing.as_slice(), &nothing, &[0]].concat()).unwrap_err();
    assert!(error.to_string().contains("the end was expected"), "{error}");
    let error = Countries::read(&sealed(b"TMCTRY01\x01de")).unwrap_err();
    assert!(error.to_string().contains("two letters"), "{error}");
}

/// A list of ranges with gaps and without.
fn list(most: u128) -> impl Strategy<Value = String> {
    let step = prop_oneof![Just(0u128), 1..5u128, 0..most / 40];
    let row = (step, 0..most / 40, prop::sample::select(vec!["DE", "FR", "BR", "ZA"]));
    prop::collection::vec(row, 1..20).prop_map(|rows| {
        let mut next = 0;
        let mut text = String::new();
        for (gap, length, country) in rows {
            let (first, last) = (next + gap, next + gap + length);
            text.push_str(&format!("{first},{last},{country}\n"));
            next = last + 1;
        }
        text
    })
}

proptest! {
    #[test]
    fn reading_is_total(content in prop::collection::vec(any::<u8>(), 0..200), ip: u128) {
        let _either = Countries::read(&content);
        let named = [b"TMCTRY01\x02DEFR".as_slice(), &content].concat();
        for content in [&content, &named] {
            if let Ok(table) = Countries::read(&sealed(content)) {
                let _either = table.country(v6(ip));
            }
        }
    }

    #[test]
    fn any_lists_are_kept(ipv4 in list(u128::from(u32::MAX)), ipv6 in list(u128::MAX), addresses: [u128; 8]) {
        let table = Countries::read(&build(&ipv4, &ipv6).unwrap()).unwrap();
        for (list, ip, bits) in [(&ipv4, v4 as fn(u128) -> IpAddr, 32), (&ipv6, v6, 128)] {
            let rows = rows(list);
            let ends = rows.iter().flat_map(|(first, last, _)| [*first, first.saturating_sub(1), *last, last + 1]);
            for address in ends.chain(addresses.map(|address| address >> (128 - bits))) {
                let said = rows.iter().find(|(first, last, _)| (*first..=*last).contains(&address));
                // What IPv6 writes of IPv4 is looked up there.
                if bits == 32 || address >> 32 != 0xffff {
                    prop_assert_eq!(table.country(ip(address)), said.map(|(.., country)| *country));
                }
            }
        }
    }
}
