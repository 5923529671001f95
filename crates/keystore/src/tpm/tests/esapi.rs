//! The crate `tss-esapi`, over the TSS 2.0 libraries, on the objects of a store of ours.

use touchmark_identity::key::PublicKey;
use touchmark_identity::tpm::{Attest, Attested, TpmSignature};
use touchmark_testkit::clients;

use super::super::template;
use super::*;

/// What the client checks; a check more or fewer is a change that somebody has to look at.
const CHECKS: [&str; 7] = [
    "the key's public area",
    "sign in an HMAC session",
    "sign in a session salted by the storage primary",
    "the attestation key from its template",
    "certify",
    "quote",
    "read the counter",
];

fn spki(area: &PublicArea) -> PublicKey {
    PublicKey::from_spki_der(&area.spki_der().unwrap()).unwrap()
}

#[test]
fn tss_esapi_uses_the_same_objects() {
    let Some(client) = clients::built("peer-esapi") else { return };
    let Some(swtpm) = Swtpm::start(EkKind::P384) else { return };
    let mut store = TpmStore::open(&swtpm.address).unwrap();
    let public = store.generate(&key("device")).unwrap();
    let boots = counter("boots");
    let value = (0..3).map(|_| store.counters().unwrap().increment_counter(&boots).unwrap()).last().unwrap();

    let at = |name: &str| swtpm.folder().join(name);
    let read = |name: &str| std::fs::read(at(name)).unwrap();
    std::fs::write(at("ak.template"), template::attestation_key().to_bytes().unwrap()).unwrap();
    std::fs::write(at("parent.template"), template::storage_primary().to_bytes().unwrap()).unwrap();
    let key_handle = Place::of(Kind::Key, "device").handle;
    let area = connection(&swtpm).read_public(key_handle).unwrap().unwrap();
    let arguments = [
        swtpm.tpm2_tools_tcti(),
        swtpm.folder().display().to_string(),
        format!("{:08x}", key_handle.0),
        area.name().unwrap().to_string(),
        format!("{:08x}", Place::of(Kind::Counter, "boots").handle.0),
        value.to_string(),
    ];
    assert_eq!(clients::checks(&client, &arguments.each_ref().map(String::as_str)), CHECKS);

    // What it wrote is what our own code takes: signatures by our key and by our attestation key, over what was asked.
    let der = |name: &str| TpmSignature::from_bytes(&read(name)).unwrap().to_der().unwrap();
    assert!(public.verify(b"message", &der("sign.sig")).is_ok());
    let ak = PublicArea::from_bytes(&read("ak.public")).unwrap();
    let identity = store.activate_credential().unwrap().endorsement_identity().unwrap();
    assert_eq!(ak, PublicArea::from_bytes(&identity.ak_public).unwrap());
    for name in ["certify", "quote"] {
        let statement = read(&format!("{name}.msg"));
        assert!(spki(&ak).verify(&statement, &der(&format!("{name}.sig"))).is_ok(), "{name}");
        let statement = Attest::from_bytes(&statement).unwrap();
        assert_eq!(statement.extra_data, [0x5a; 20], "{name}");
        match statement.attested {
            Attested::Certify { name: certified, .. } => assert_eq!(certified, area.name().unwrap()),
            Attested::Quote { .. } => assert_eq!(name, "quote"),
            other => panic!("{name}: {other:?}"),
        }
    }
    // And it left nothing behind that would stand in our way.
    assert!(store.sign_digest(&key("device"), &[1; 32]).is_ok());
}
