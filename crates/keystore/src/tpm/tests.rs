//! Against swtpm, with tpm2-tools as a second opinion.

mod bench;
mod bus;
mod esapi;
mod measured;

use touchmark_identity::evidence::{Evidence, Nonce};
use touchmark_identity::ids::{CounterName, KeyName};
use touchmark_identity::key::sha256;
use touchmark_identity::tpm::{Handle, KeyParameters, PublicArea, Reader, Writer};
use touchmark_testkit::swtpm::{EkKind, Swtpm, tpm2_tool};

use super::names::Place;
use super::session::PinnedSaltKey;
use super::template::EkTemplate;
use super::{TpmStore, connection::Connection, transport::Address};
use crate::kind::Kind;
use crate::{KeyStore, StoreError};

fn key(name: &str) -> KeyName {
    KeyName::new(name).unwrap()
}

fn counter(name: &str) -> CounterName {
    CounterName::new(name).unwrap()
}

fn connection(swtpm: &Swtpm) -> Connection {
    Connection::open(&Address::parse(&swtpm.address).unwrap(), &PinnedSaltKey::default()).unwrap()
}

#[test]
fn several_devices_share_one_tpm() {
    let Some(swtpm) = Swtpm::start(EkKind::Rsa2048) else { return };
    let shared = counter("shared");
    let mut values = std::thread::scope(|scope| {
        let device = |number: u8| {
            let (address, shared) = (swtpm.address.as_str(), &shared);
            scope.spawn(move || {
                let mut store = TpmStore::open(address).unwrap();
                let name = key(&format!("device-{number}"));
                let public = store.generate(&name).unwrap();
                let nonce = Nonce::new(&[number; 16]).unwrap();
                assert_eq!(store.attest().unwrap().attest(&name, &nonce).unwrap().key, public);
                store.ratchet().unwrap().raise_floor(shared, 1).unwrap();
                store.counters().unwrap().increment_counter(shared).unwrap()
            })
        };
        let devices: Vec<_> = (0..4).map(device).collect();
        devices.into_iter().map(|device| device.join().unwrap()).collect::<Vec<u64>>()
    });
    // Each increment gave another value, and the counter stands where the last one left it.
    values.sort_unstable();
    assert!(values.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{values:?}");
    let mut store = TpmStore::open(&swtpm.address).unwrap();
    assert_eq!(Some(&store.counters().unwrap().read_counter(&shared).unwrap()), values.last());
}

#[test]
fn a_challenge_that_fits_no_command_is_refused() {
    let Some(swtpm) = Swtpm::start(EkKind::P384) else { return };
    let mut store = TpmStore::open(&swtpm.address).unwrap();
    for size in [5_000, 70_000] {
        let challenge =
            crate::CredentialChallenge { credential_blob: vec![0; size], encrypted_secret: Vec::new() };
        let refused = store.activate_credential().unwrap().activate(&challenge);
        assert!(matches!(refused, Err(StoreError::Exhausted { .. })), "{refused:?}");
    }
}

#[test]
fn keys_are_made_once_sign_and_are_deleted() {
    let Some(swtpm) = Swtpm::start(EkKind::P384) else { return };
    let mut store = TpmStore::open(&swtpm.address).unwrap();
    let info = store.info().unwrap();
    assert_eq!((info.vendor.as_str(), info.model.as_str()), ("IBM", "SW TPM"));

    let device = key("device");
    assert!(matches!(store.public_key(&device), Err(StoreError::NotFound { .. })));
    let public = store.generate(&device).unwrap();
    assert!(matches!(store.generate(&device), Err(StoreError::Exists { .. })));
    assert_eq!(store.public_key(&device).unwrap(), public);
    assert_ne!(store.generate(&key("other")).unwrap(), public);

    let signature = store.sign_digest(&device, &sha256(b"message")).unwrap();
    assert!(public.verify(b"message", &signature).is_ok());
    assert!(public.verify(b"messagE", &signature).is_err());

    // A second opinion on what lies in the TPM: the Name that tpm2_readpublic computes is ours.
    let place = Place::of(Kind::Key, "device");
    let handle = format!("{:#x}", place.handle.0);
    if let Some(output) = tpm2_tool(&swtpm, "tpm2_readpublic", &["-c", &handle]) {
        let area = connection(&swtpm).read_public(place.handle).unwrap().unwrap();
        let text = String::from_utf8(output).unwrap();
        assert!(text.contains(&format!("name: {}", area.name().unwrap())), "{text}");
        assert!(text.contains(&area.attributes.to_string().to_lowercase()), "{text}");
    }

    store.delete(&device).unwrap();
    assert!(matches!(store.delete(&device), Err(StoreError::NotFound { .. })));
    assert!(matches!(store.sign_digest(&device, &[0; 32]), Err(StoreError::NotFound { .. })));
    assert!(store.public_key(&key("other")).is_ok());
}

#[test]
fn an_occupied_handle_is_not_overwritten_and_not_mistaken() {
    let Some(swtpm) = Swtpm::start(EkKind::Rsa2048) else { return };
    let mut store = TpmStore::open(&swtpm.address).unwrap();
    // Another program's key lies where the name "device" leads to.
    let handle = format!("{:#x}", Place::of(Kind::Key, "device").handle.0);
    let made = tpm2_tool(&swtpm, "tpm2_createprimary", &["-C", "o", "-G", "ecc256", "-c", "primary.ctx"]);
    if made.is_none() {
        return;
    }
    let _ = tpm2_tool(&swtpm, "tpm2_evictcontrol", &["-C", "o", "-c", "primary.ctx", &handle]);
    assert!(matches!(store.generate(&key("device")), Err(StoreError::Exists { .. })));
    assert!(matches!(store.public_key(&key("device")), Err(StoreError::NotFound { .. })));
    assert!(matches!(store.delete(&key("device")), Err(StoreError::NotFound { .. })));
}

#[test]
fn counters_and_ratchets_only_go_up_and_survive_a_power_loss() {
    let Some(mut swtpm) = Swtpm::start(EkKind::P384) else { return };
    let mut store = TpmStore::open(&swtpm.address).unwrap();
    let boots = counter("boots");
    assert!(matches!(store.counters().unwrap().read_counter(&boots), Err(StoreError::NotFound { .. })));
    let first = store.counters().unwrap().increment_counter(&boots).unwrap();
    assert_eq!(store.counters().unwrap().increment_counter(&boots).unwrap(), first + 1);

    let version = counter("version");
    assert_eq!(store.ratchet().unwrap().floor(&version).unwrap(), 0);
    store.ratchet().unwrap().raise_floor(&version, 3).unwrap();
    store.ratchet().unwrap().raise_floor(&version, 3).unwrap();

    swtpm.kill_and_restart();
    let mut store = TpmStore::open(&swtpm.address).unwrap();
    assert_eq!(store.counters().unwrap().read_counter(&boots).unwrap(), first + 1);
    assert_eq!(store.counters().unwrap().increment_counter(&boots).unwrap(), first + 2);
    let ratchet = store.ratchet().unwrap();
    assert_eq!(ratchet.floor(&version).unwrap(), 3);
    let back = ratchet.raise_floor(&version, 2);
    assert!(matches!(back, Err(StoreError::WouldGoBack { current: 3, asked: 2, .. })), "{back:?}");
    assert!(matches!(ratchet.raise_floor(&version, 65), Err(StoreError::Exhausted { .. })));
    ratchet.raise_floor(&version, 64).unwrap();
    assert_eq!(ratchet.floor(&version).unwrap(), 64);

    // The counter's name leads to its own index alone.
    assert!(matches!(
        store.counters().unwrap().read_counter(&counter("version")),
        Err(StoreError::NotFound { .. })
    ));
}

#[test]
fn objects_are_written_whole_and_replaced() {
    let Some(swtpm) = Swtpm::start(EkKind::Rsa2048) else { return };
    let mut store = TpmStore::open(&swtpm.address).unwrap();
    let name = key("device");
    let objects = store.objects().unwrap();
    assert!(matches!(objects.read_object(&name), Err(StoreError::NotFound { .. })));
    // Shorter, longer than one NV buffer, shorter again, nothing.
    for size in [100usize, 1_900, 700, 0] {
        let bytes: Vec<u8> = (0..size).map(|i| u8::try_from(i % 251).unwrap()).collect();
        objects.write_object(&name, &bytes).unwrap();
        assert_eq!(objects.read_object(&name).unwrap(), bytes);
    }
    let too_large = objects.write_object(&name, &[0; 4_000]);
    assert!(matches!(too_large, Err(StoreError::Exhausted { .. })), "{too_large:?}");

    // Deleting a key takes the object of its name along.
    store.generate(&name).unwrap();
    store.delete(&name).unwrap();
    assert!(matches!(store.objects().unwrap().read_object(&name), Err(StoreError::NotFound { .. })));
}

#[test]
fn the_ek_is_found_and_agrees_with_the_tools() {
    for (kind, template) in [(EkKind::P384, EkTemplate::H3), (EkKind::Rsa2048, EkTemplate::L1)] {
        let Some(swtpm) = Swtpm::start(kind) else { return };
        let mut store = TpmStore::open(&swtpm.address).unwrap();
        let identity = store.activate_credential().unwrap().endorsement_identity().unwrap();
        // The same AK each time.
        assert_eq!(store.activate_credential().unwrap().endorsement_identity().unwrap(), identity);

        let index = format!("{:#x}", template.certificate_index().0);
        if let Some(certificate) = tpm2_tool(&swtpm, "tpm2_nvread", &["-C", "o", &index]) {
            assert_eq!(certificate, identity.ek_certificate);
        }
        // The maker's template gives the maker's key, so the EK is found where nobody made it persistent.
        let mut tpm = connection(&swtpm);
        let (_, made) = tpm.create_primary(Handle::ENDORSEMENT, &template.public_area()).unwrap();
        assert_eq!(made, PublicArea::from_bytes(&identity.ek_public).unwrap(), "{kind:?}");
    }
}

/// Puts a certificate for a key of this TPM where a maker would leave it; OpenSSL signs it.
fn endorse(swtpm: &Swtpm, ek: &PublicArea, template: EkTemplate) {
    let openssl = |arguments: &[&str]| {
        let _silent = touchmark_testkit::openssl::must(swtpm.folder(), arguments);
    };
    std::fs::write(swtpm.folder().join("ek.der"), ek.spki_der().unwrap()).unwrap();
    openssl(&["pkey", "-pubin", "-inform", "DER", "-in", "ek.der", "-out", "ek.pem"]);
    openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "maker.key"]);
    openssl(&["req", "-new", "-key", "maker.key", "-subj", "/CN=EK", "-out", "ek.csr"]);
    let signed = ["x509", "-req", "-in", "ek.csr", "-signkey", "maker.key", "-force_pubkey", "ek.pem"];
    openssl(&[&signed[..], &["-outform", "DER", "-out", "ek.crt"]].concat());
    leave(swtpm, template.certificate_index(), &std::fs::read(swtpm.folder().join("ek.crt")).unwrap());
}

fn leave(swtpm: &Swtpm, index: Handle, bytes: &[u8]) {
    std::fs::write(swtpm.folder().join("left"), bytes).unwrap();
    let (index, size) = (format!("{:#x}", index.0), bytes.len().to_string());
    let define = ["-C", "o", "-s", &size, "-a", "ownerread|ownerwrite|authread|authwrite", &index];
    tpm2_tool(swtpm, "tpm2_nvdefine", &define).unwrap();
    tpm2_tool(swtpm, "tpm2_nvwrite", &["-C", "o", "-i", "left", &index]).unwrap();
}

#[test]
fn every_form_of_the_ek_is_found_and_opens_its_challenge() {
    for (template, by_maker) in
        [(EkTemplate::L2, false), (EkTemplate::H1, false), (EkTemplate::H2, false), (EkTemplate::L2, true)]
    {
        let Some(swtpm) = Swtpm::start(EkKind::Rsa2048) else { return };
        if !touchmark_testkit::peer::all_present(&["openssl", "tpm2_nvwrite", "tpm2_makecredential"]) {
            return;
        }
        let mut area = template.public_area();
        if by_maker {
            // A nonce of the maker's, and a template that differs in its unique field.
            let KeyParameters::Ecc { y, .. } = &mut area.key else { panic!("{area:?}") };
            y.fill(7);
            leave(&swtpm, template.template_index(), &area.to_bytes().unwrap());
            leave(&swtpm, template.nonce_index().unwrap(), &[0x5a; 16]);
            area = super::template::with_nonce(area, &[0x5a; 16]);
        }
        let (_, made) = connection(&swtpm).create_primary(Handle::ENDORSEMENT, &area).unwrap();
        endorse(&swtpm, &made, template);
        // swtpm has a certificate of the low RSA key as well, which is looked for after all others.
        let mut store = TpmStore::open(&swtpm.address).unwrap();
        let identity = store.activate_credential().unwrap().endorsement_identity().unwrap();
        assert_eq!(PublicArea::from_bytes(&identity.ek_public).unwrap(), made, "{template:?}");
        let challenge = challenge_by_the_tools(&swtpm, &identity).unwrap();
        let opened = store.activate_credential().unwrap().activate(&challenge).unwrap();
        assert_eq!(opened.as_slice(), b"a secret of the tools", "{template:?}");
    }
}

/// `tpm2_makecredential`; none where it is not installed.
fn challenge_by_the_tools(
    swtpm: &Swtpm,
    identity: &crate::EndorsementIdentity,
) -> Option<crate::CredentialChallenge> {
    let name = PublicArea::from_bytes(&identity.ak_public).unwrap().name().unwrap();
    let mut public = Writer::new("TPM2B_PUBLIC");
    public.sized(&identity.ek_public);
    std::fs::write(swtpm.folder().join("ek.pub"), public.finish().unwrap()).unwrap();
    std::fs::write(swtpm.folder().join("secret"), b"a secret of the tools").unwrap();
    let name = name.to_string();
    let arguments = ["-T", "none", "-u", "ek.pub", "-s", "secret", "-n", &name, "-o", "credential"];
    tpm2_tool(swtpm, "tpm2_makecredential", &arguments)?;
    // The tools' file: a magic number and a version, 4 bytes each, then both structures with their sizes.
    let file = std::fs::read(swtpm.folder().join("credential")).unwrap();
    let mut reader = Reader::new("the tools' file", &file);
    assert_eq!((reader.u32().unwrap(), reader.u32().unwrap()), (0xbadc_c0de, 1));
    Some(crate::CredentialChallenge {
        credential_blob: reader.sized(1_024).unwrap().to_vec(),
        encrypted_secret: reader.sized(1_024).unwrap().to_vec(),
    })
}

#[test]
fn a_challenge_by_the_tools_is_opened() {
    for kind in [EkKind::P384, EkKind::Rsa2048] {
        let Some(swtpm) = Swtpm::start(kind) else { return };
        let mut store = TpmStore::open(&swtpm.address).unwrap();
        let identity = store.activate_credential().unwrap().endorsement_identity().unwrap();
        let Some(challenge) = challenge_by_the_tools(&swtpm, &identity) else { return };
        let opened = store.activate_credential().unwrap().activate(&challenge).unwrap();
        assert_eq!(opened.as_slice(), b"a secret of the tools", "{kind:?}");
    }
}

#[test]
fn nothing_stays_loaded_even_after_errors_and_leftovers_are_swept() {
    let Some(swtpm) = Swtpm::start(EkKind::Rsa2048) else { return };
    let mut store = TpmStore::open(&swtpm.address).unwrap();
    store.generate(&key("device")).unwrap();
    let nonce = Nonce::new(&[7; 16]).unwrap();
    // More operations than the TPM has slots (three), some of which fail half way.
    for _ in 0..5 {
        let attested = store.attest().unwrap().attest(&key("device"), &nonce).unwrap();
        assert!(matches!(attested.evidence, Evidence::Tpm(_)));
        let wrong =
            crate::CredentialChallenge { credential_blob: vec![0; 60], encrypted_secret: vec![0; 256] };
        let refused = store.activate_credential().unwrap().activate(&wrong);
        assert!(matches!(refused, Err(StoreError::Refused { .. })), "{refused:?}");
    }
    let loaded = || {
        let mut tpm = connection(&swtpm);
        [0x8000_0000u32, 0x0200_0000, 0x0300_0000].map(|first| tpm.handles_from(Handle(first)).unwrap().len())
    };
    assert_eq!(loaded(), [0, 0, 0]);

    // A process that died left all slots full.
    let leave = |_| {
        let mut tpm = connection(&swtpm);
        tpm.create_primary(Handle::OWNER, &super::template::storage_primary()).unwrap();
        tpm.forget_loaded();
    };
    (0..3).for_each(leave);
    assert_eq!(loaded(), [3, 3, 0]);
    assert!(store.sign_digest(&key("device"), &[1; 32]).is_ok());
}

#[test]
fn a_tpm_that_is_not_there_is_said_so() {
    let gone = TpmStore::open("127.0.0.1:1");
    assert!(matches!(gone, Err(StoreError::Unreachable { .. })), "{gone:?}");
    let gone = TpmStore::open("/dev/null");
    assert!(matches!(gone, Err(StoreError::Unreachable { .. })), "{gone:?}");
}
