//! Quotes, seals and certified values, each with tpm2-tools on the other side.

use touchmark_identity::tpm::proof::PcrList;
use touchmark_identity::tpm::{Attest, Attested};

use super::super::measured::{Measured, Terms, approver_public, state_policy};
use super::*;

/// A persistent handle for a parent that the tools use as well.
const PARENT: Handle = Handle(0x8100_0001);

fn pcrs(text: &str) -> PcrList {
    text.parse().unwrap()
}

fn write(swtpm: &Swtpm, name: &str, bytes: &[u8]) {
    std::fs::write(swtpm.folder().join(name), bytes).unwrap();
}

fn read(swtpm: &Swtpm, name: &str) -> Vec<u8> {
    std::fs::read(swtpm.folder().join(name)).unwrap()
}

/// With its size in front, as the tools keep public and private parts in files.
fn sized(bytes: &[u8]) -> Vec<u8> {
    [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

fn ak_pem(swtpm: &Swtpm, ak_public: &[u8]) {
    write(swtpm, "ak.pub", &sized(ak_public));
    let converted = tpm2_tool(swtpm, "tpm2_print", &["-t", "TPM2B_PUBLIC", "-f", "pem", "ak.pub"]).unwrap();
    write(swtpm, "ak.pem", &converted);
}

/// An approver's key, made and used by OpenSSL.
fn openssl(swtpm: &Swtpm, arguments: &[&str]) {
    let _silent = touchmark_testkit::openssl::must(swtpm.folder(), arguments);
}

fn approver(swtpm: &Swtpm) -> touchmark_identity::key::PublicKey {
    openssl(swtpm, &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "approver.key"]);
    openssl(swtpm, &["ec", "-in", "approver.key", "-pubout", "-out", "approver.pem"]);
    openssl(swtpm, &["ec", "-in", "approver.key", "-pubout", "-outform", "DER", "-out", "approver.der"]);
    touchmark_identity::key::PublicKey::from_spki_der(&read(swtpm, "approver.der")).unwrap()
}

#[test]
fn the_tools_accept_a_quote_of_ours() {
    let Some(swtpm) = Swtpm::start(EkKind::P384) else { return };
    if tpm2_tool(&swtpm, "tpm2_pcrextend", &[&format!("10:sha256={}", "11".repeat(32))]).is_none() {
        return;
    }
    let mut store = TpmStore::open(&swtpm.address).unwrap();
    // More registers than a TPM gives at once.
    let list = pcrs("sha256:0,1,2,3,4,5,6,7,8,9,10,23");
    let nonce = Nonce::new(&[0x5a; 20]).unwrap();
    let quote = store.quote(&list, &nonce).unwrap();
    assert_eq!(quote.pcrs.len(), 12);
    let tools = tpm2_tool(&swtpm, "tpm2_pcrread", &["-F", "serialized", "-o", "pcrs.bin", &list.to_string()])
        .unwrap();
    let tools = String::from_utf8(tools).unwrap().to_lowercase();
    for value in &quote.pcrs {
        assert!(tools.contains(&hex::encode(&value.value)), "{value:?} is not in {tools}");
    }
    write(&swtpm, "quote.msg", &quote.statement);
    write(&swtpm, "quote.sig", &quote.signature);
    ak_pem(&swtpm, &quote.ak_public);
    let nonce = hex::encode([0x5a; 20]);
    let check = ["-u", "ak.pem", "-m", "quote.msg", "-s", "quote.sig", "-g", "sha256", "-q", &nonce];
    tpm2_tool(&swtpm, "tpm2_checkquote", &check).unwrap();
    let with_values = [&check[..], &["-f", "pcrs.bin"]].concat();
    tpm2_tool(&swtpm, "tpm2_checkquote", &with_values).unwrap();
}

#[test]
fn a_secret_follows_the_state_of_the_platform() {
    let Some(swtpm) = Swtpm::start(EkKind::P384) else { return };
    let mut store = TpmStore::open(&swtpm.address).unwrap();
    let list = pcrs("sha256:0,16");
    let terms = Terms { pcrs: Some(list.clone()), ..Terms::default() };
    let sealed = store.seal(b"bound", &terms).unwrap();
    let approver = approver(&swtpm);
    let by_approval =
        Terms { approver: Some(&approver), reference: b"disk", auth_value: b"pin", ..terms.clone() };
    let lasting = store.seal(b"lasting", &by_approval).unwrap();

    assert_eq!(store.unseal(&sealed, &[], None).unwrap().as_slice(), b"bound");
    // Without an approval nothing comes out, not even in the state of the sealing.
    let refused = store.unseal(&lasting, b"pin", None);
    assert!(matches!(refused, Err(StoreError::NotInState { .. })), "{refused:?}");

    let extended = tpm2_tool(&swtpm, "tpm2_pcrextend", &[&format!("16:sha256={}", "22".repeat(32))]);
    if extended.is_none() {
        return;
    }
    let refused = store.unseal(&sealed, &[], None);
    assert!(matches!(refused, Err(StoreError::NotInState { .. })), "{refused:?}");

    // The approver signs the new state: the digest of the policy and his reference.
    let quote = store.quote(&list, &Nonce::new(&[1; 16]).unwrap()).unwrap();
    let policy = state_policy(&list, &quote.pcrs).unwrap();
    write(&swtpm, "approved", &[policy.digest(), b"disk"].concat());
    openssl(&swtpm, &["dgst", "-sha256", "-sign", "approver.key", "-out", "approved.sig", "approved"]);
    let approval = read(&swtpm, "approved.sig");
    assert_eq!(store.unseal(&lasting, b"pin", Some(&approval)).unwrap().as_slice(), b"lasting");
    let refused = store.unseal(&lasting, b"pim", Some(&approval));
    assert!(matches!(refused, Err(StoreError::WrongSecret { .. })), "{refused:?}");

    // Another reference, another state.
    let other = Terms { reference: b"boot", ..by_approval };
    let other = store.seal(b"other", &other).unwrap();
    let refused = store.unseal(&other, b"pin", Some(&approval));
    assert!(matches!(refused, Err(StoreError::NotInState { .. })), "{refused:?}");
    tpm2_tool(&swtpm, "tpm2_pcrextend", &[&format!("16:sha256={}", "33".repeat(32))]).unwrap();
    let refused = store.unseal(&lasting, b"pin", Some(&approval));
    assert!(matches!(refused, Err(StoreError::NotInState { .. })), "{refused:?}");
    // A reset brings register 16 back to zeros, and with it the first state.
    tpm2_tool(&swtpm, "tpm2_pcrreset", &["16"]).unwrap();
    assert_eq!(store.unseal(&sealed, &[], None).unwrap().as_slice(), b"bound");

    let large = store.seal(&[0; 129], &Terms::default());
    assert!(matches!(large, Err(StoreError::Exhausted { .. })), "{large:?}");
}

/// Puts our parent where the tools find it.
fn keep_parent(swtpm: &Swtpm) {
    let mut tpm = connection(swtpm);
    let (parent, _) = tpm.create_primary(Handle::OWNER, &super::super::template::storage_primary()).unwrap();
    tpm.evict_control(parent, PARENT).unwrap();
}

#[test]
fn the_tools_unseal_what_we_seal() {
    let Some(swtpm) = Swtpm::start(EkKind::P384) else { return };
    if !touchmark_testkit::peer::all_present(&["tpm2_unseal"]) {
        return;
    }
    let mut store = TpmStore::open(&swtpm.address).unwrap();
    keep_parent(&swtpm);
    let tool = |name: &str, arguments: &[&str]| tpm2_tool(&swtpm, name, arguments).unwrap();
    let load = |public: &[u8], private: &[u8]| {
        write(&swtpm, "sealed.pub", &sized(public));
        write(&swtpm, "sealed.priv", &sized(private));
        tool("tpm2_load", &["-C", "0x81000001", "-u", "sealed.pub", "-r", "sealed.priv", "-c", "sealed.ctx"]);
        tool("tpm2_flushcontext", &["-t"]);
    };

    let bound = Terms { auth_value: b"pin", ..Terms::default() };
    let bound = store.seal(b"with a value", &bound).unwrap();
    load(&bound.public, &bound.private);
    assert_eq!(tool("tpm2_unseal", &["-c", "sealed.ctx", "-p", "pin"]), b"with a value");
    tool("tpm2_flushcontext", &["-t"]);

    let list = pcrs("sha256:0,16");
    let sealed =
        store.seal(b"with registers", &Terms { pcrs: Some(list.clone()), ..Terms::default() }).unwrap();
    load(&sealed.public, &sealed.private);
    assert_eq!(tool("tpm2_unseal", &["-c", "sealed.ctx", "-p", "pcr:sha256:0,16"]), b"with registers");
    tool("tpm2_flushcontext", &["-t"]);

    // What the tools compute for the policy is what we compute.
    tool("tpm2_createpolicy", &["--policy-pcr", "-l", "sha256:0,16", "-L", "pcr.policy"]);
    let quote = store.quote(&list, &Nonce::new(&[1; 16]).unwrap()).unwrap();
    let policy = state_policy(&list, &quote.pcrs).unwrap();
    assert_eq!(read(&swtpm, "pcr.policy"), policy.digest());

    // PolicyAuthorize: the tools load the approver's key, verify, authorise and unseal.
    let approver = approver(&swtpm);
    let terms = Terms { pcrs: Some(list), approver: Some(&approver), reference: b"disk", ..Terms::default() };
    let lasting = store.seal(b"lasting", &terms).unwrap();
    load(&lasting.public, &lasting.private);
    write(&swtpm, "reference", b"disk");
    write(&swtpm, "approved", &[policy.digest(), b"disk"].concat());
    openssl(&swtpm, &["dgst", "-sha256", "-sign", "approver.key", "-out", "approved.sig", "approved"]);
    tool(
        "tpm2_loadexternal",
        &["-C", "o", "-G", "ecc", "-u", "approver.pem", "-c", "key.ctx", "-n", "key.name"],
    );
    assert_eq!(read(&swtpm, "key.name"), approver_public(&approver).name().unwrap().0);
    let verify = [
        "-c",
        "key.ctx",
        "-g",
        "sha256",
        "-m",
        "approved",
        "-s",
        "approved.sig",
        "-f",
        "ecdsa",
        "-t",
        "ticket",
    ];
    tool("tpm2_verifysignature", &verify);
    tool("tpm2_flushcontext", &["-t"]);
    tool("tpm2_startauthsession", &["--policy-session", "-S", "session.ctx"]);
    tool("tpm2_policypcr", &["-S", "session.ctx", "-l", "sha256:0,16"]);
    let authorize =
        ["-S", "session.ctx", "-i", "pcr.policy", "-q", "reference", "-n", "key.name", "-t", "ticket"];
    tool("tpm2_policyauthorize", &authorize);
    assert_eq!(tool("tpm2_unseal", &["-c", "sealed.ctx", "-p", "session:session.ctx"]), b"lasting");
    tool("tpm2_flushcontext", &["session.ctx"]);
    tool("tpm2_flushcontext", &["-t"]);
    assert_eq!(
        store.unseal(&lasting, &[], Some(&read(&swtpm, "approved.sig"))).unwrap().as_slice(),
        b"lasting"
    );
}

#[test]
fn we_unseal_what_the_tools_seal() {
    let Some(swtpm) = Swtpm::start(EkKind::P384) else { return };
    if !touchmark_testkit::peer::all_present(&["tpm2_create"]) {
        return;
    }
    let mut store = TpmStore::open(&swtpm.address).unwrap();
    keep_parent(&swtpm);
    write(&swtpm, "secret", b"by the tools");
    tpm2_tool(&swtpm, "tpm2_createpolicy", &["--policy-pcr", "-l", "sha256:16", "-L", "pcr.policy"]).unwrap();
    let create = ["-C", "0x81000001", "-i", "secret", "-L", "pcr.policy", "-u", "it.pub", "-r", "it.priv"];
    tpm2_tool(&swtpm, "tpm2_create", &create).unwrap();
    let sealed = super::super::measured::Sealed {
        schema: super::super::measured::Sealed::SCHEMA.to_owned(),
        public: read(&swtpm, "it.pub")[2..].to_vec(),
        private: read(&swtpm, "it.priv")[2..].to_vec(),
        pcrs: Some(pcrs("sha256:16")),
        approver: Vec::new(),
        reference: Vec::new(),
        auth_value: false,
    };
    assert_eq!(store.unseal(&sealed, &[], None).unwrap().as_slice(), b"by the tools");
}

#[test]
fn a_certified_counter_is_the_one_that_the_tools_certify() {
    let Some(swtpm) = Swtpm::start(EkKind::P384) else { return };
    let mut store = TpmStore::open(&swtpm.address).unwrap();
    let boots = counter("boots");
    let nonce = Nonce::new(&[3; 16]).unwrap();
    assert!(matches!(store.certify_counter(&boots, &nonce), Err(StoreError::NotFound { .. })));
    let value = store.counters().unwrap().increment_counter(&boots).unwrap();
    let proof = store.certify_counter(&boots, &nonce).unwrap();
    let statement = Attest::from_bytes(&proof.statement).unwrap();
    assert_eq!(statement.extra_data, [3; 16]);
    let Attested::Nv { index_name, offset: 0, contents } = &statement.attested else {
        panic!("{statement:?}")
    };
    assert_eq!(*contents, value.to_be_bytes());
    let name = [&[0, 0x0b][..], &sha256(&proof.nv_public)].concat();
    assert_eq!(index_name.0, name);

    // The tools certify the same index with a key of their own: the same name, the same contents.
    let index = format!("{:#x}", Place::of(Kind::Counter, "boots").handle.0);
    let tool = |name: &str, arguments: &[&str]| tpm2_tool(&swtpm, name, arguments);
    let primary = ["-C", "e", "-G", "ecc256:ecdsa-sha256:null", "-c", "signer.ctx"];
    let attributes = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|restricted|sign";
    if tool("tpm2_createprimary", &[&primary[..], &["-a", attributes]].concat()).is_none() {
        return;
    }
    tool("tpm2_flushcontext", &["-t"]).unwrap();
    let certify = ["-C", "signer.ctx", "-c", "o", &index, "--size", "8", "-g", "sha256", "-s", "ecdsa"];
    let files = ["-o", "nv.sig", "--attestation", "nv.msg", "-q", "03030303030303030303030303030303"];
    tool("tpm2_nvcertify", &[&certify[..], &files].concat()).unwrap();
    let theirs = Attest::from_bytes(&read(&swtpm, "nv.msg")).unwrap();
    assert_eq!(theirs.attested, statement.attested);
    assert_eq!(theirs.extra_data, statement.extra_data);
}

#[test]
fn a_creation_is_certified_and_the_key_is_kept() {
    let Some(swtpm) = Swtpm::start(EkKind::P384) else { return };
    let mut store = TpmStore::open(&swtpm.address).unwrap();
    let nonce = Nonce::new(&[4; 16]).unwrap();
    let (public, proof) = store.generate_certified(&key("device"), &nonce).unwrap();
    assert_eq!(store.public_key(&key("device")).unwrap(), public);
    let statement = Attest::from_bytes(&proof.statement).unwrap();
    let Attested::Creation { name, creation_hash } = &statement.attested else { panic!("{statement:?}") };
    assert_eq!(*name, PublicArea::from_bytes(&proof.key_public).unwrap().name().unwrap());
    assert_eq!(*creation_hash, sha256(&proof.creation_data));
    let again = store.generate_certified(&key("device"), &nonce);
    assert!(matches!(again, Err(StoreError::Exists { .. })), "{again:?}");
}
