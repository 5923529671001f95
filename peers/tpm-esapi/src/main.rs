//! The crate `tss-esapi`, over the TSS 2.0 libraries, against what our TPM store keeps in a TPM.
//!
//! ```text
//! peer-esapi TCTI DIR KEY KEY-NAME COUNTER VALUE
//! ```
//!
//! `TCTI` is an address as the TSS libraries take it (`swtpm:host=127.0.0.1,port=2321`). `KEY` and `COUNTER` are handles
//! in hex, `KEY-NAME` a Name in hex, `VALUE` a number. In `DIR` lie `ak.template` and `parent.template`, the
//! public areas (TPMT_PUBLIC) from which the attestation key and the storage primary are made; the program writes `sign.sig` over the SHA-256 digest of `message`, `certify.msg`, `certify.sig`,
//! `quote.msg` and `quote.sig` there: structures as the TPM gave them. It prints `ok NAME` or `FAIL NAME why` for each
//! check, and ends with 0 if all are ok, else with 1.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use tss_esapi::attributes::SessionAttributesBuilder;
use tss_esapi::constants::SessionType;
use tss_esapi::handles::{KeyHandle, NvIndexHandle, NvIndexTpmHandle, ObjectHandle, TpmHandle};
use tss_esapi::interface_types::algorithm::HashingAlgorithm;
use tss_esapi::interface_types::resource_handles::{Hierarchy, NvAuth};
use tss_esapi::interface_types::session_handles::AuthSession;
use tss_esapi::structures::{
    Data, HashScheme, HashcheckTicket, MaxBuffer, PcrSelectionListBuilder, PcrSlot, Public, SignatureScheme,
    SymmetricDefinition,
};
use tss_esapi::traits::{Marshall, UnMarshall};
use tss_esapi::{Context, TctiNameConf};

type Outcome = Result<(), String>;
type Check = fn(&mut Context, &Site) -> Outcome;

/// What the command line says.
struct Site {
    folder: PathBuf,
    key: u32,
    key_name: String,
    counter: u32,
    value: u64,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (mut context, site) = match start(&arguments) {
        Ok(started) => started,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    let checks: [(&str, Check); 7] = [
        ("the key's public area", read_public),
        ("sign in an HMAC session", sign),
        ("sign in a session salted by the storage primary", salted),
        ("the attestation key from its template", attestation_key),
        ("certify", certify),
        ("quote", quote),
        ("read the counter", counter),
    ];
    let mut failed = false;
    for (name, check) in checks {
        // A session that a failed check left behind would count for the next.
        context.clear_sessions();
        match check(&mut context, &site) {
            Ok(()) => println!("ok {name}"),
            Err(why) => {
                failed = true;
                println!("FAIL {name} {}", why.replace('\n', " "));
            }
        }
    }
    if failed { ExitCode::from(1) } else { ExitCode::SUCCESS }
}

fn start(arguments: &[String]) -> Result<(Context, Site), String> {
    let [tcti, folder, key, key_name, counter, value] = arguments else {
        return Err("usage: peer-esapi TCTI DIR KEY KEY-NAME COUNTER VALUE".to_owned());
    };
    let handle = |text: &str| u32::from_str_radix(text, 16).map_err(|error| error.to_string());
    let site = Site {
        folder: PathBuf::from(folder),
        key: handle(key)?,
        key_name: key_name.to_lowercase(),
        counter: handle(counter)?,
        value: value.parse().map_err(|error| format!("{error}"))?,
    };
    let tcti = TctiNameConf::from_str(tcti).map_err(text)?;
    Ok((Context::new(tcti).map_err(text)?, site))
}

fn text(error: tss_esapi::Error) -> String {
    error.to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn must(holds: bool, what: impl std::fmt::Debug) -> Outcome {
    if holds { Ok(()) } else { Err(format!("{what:?}")) }
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Outcome {
    std::fs::write(folder.join(name), bytes).map_err(|error| format!("{name}: {error}"))
}

fn ecdsa() -> SignatureScheme {
    SignatureScheme::EcDsa { hash_scheme: HashScheme::new(HashingAlgorithm::Sha256) }
}

fn object(context: &mut Context, handle: u32) -> Result<ObjectHandle, String> {
    let handle = TpmHandle::try_from(handle).map_err(text)?;
    context.execute_without_session(|context| context.tr_from_tpm_public(handle)).map_err(text)
}

fn read_public(context: &mut Context, site: &Site) -> Outcome {
    let key = KeyHandle::from(object(context, site.key)?);
    let (public, name, _) = context.read_public(key).map_err(text)?;
    must(hex(name.value()) == site.key_name, hex(name.value()))?;
    let Public::Ecc { object_attributes: has, .. } = &public else {
        return Err(format!("no key on a curve: {public:?}"));
    };
    let stays = has.fixed_tpm() && has.fixed_parent() && has.sensitive_data_origin();
    must(stays && has.sign_encrypt() && !has.decrypt() && !has.restricted(), has)
}

/// Starts a session with HMAC and encrypted parameters.
fn session(context: &mut Context, salt_key: Option<KeyHandle>) -> Result<AuthSession, String> {
    let started = context.start_auth_session(
        salt_key,
        None,
        None,
        SessionType::Hmac,
        SymmetricDefinition::AES_128_CFB,
        HashingAlgorithm::Sha256,
    );
    let session = started.map_err(text)?.ok_or("no session")?;
    let (attributes, mask) = SessionAttributesBuilder::new().with_decrypt(true).with_encrypt(true).build();
    context.tr_sess_set_attributes(session, attributes, mask).map_err(text)?;
    Ok(session)
}

fn sign_through(context: &mut Context, site: &Site, salt_key: Option<KeyHandle>) -> Outcome {
    let key = KeyHandle::from(object(context, site.key)?);
    let message = MaxBuffer::try_from(b"message".to_vec()).map_err(text)?;
    let hashed = context.hash(message, HashingAlgorithm::Sha256, Hierarchy::Null).map_err(text)?;
    let session = session(context, salt_key)?;
    let ticket = HashcheckTicket::try_from(tss_esapi::tss2_esys::TPMT_TK_HASHCHECK {
        tag: tss_esapi::constants::tss::TPM2_ST_HASHCHECK,
        hierarchy: tss_esapi::constants::tss::TPM2_RH_NULL,
        digest: Default::default(),
    })
    .map_err(text)?;
    let signed = context
        .execute_with_session(Some(session), |context| context.sign(key, hashed.0.clone(), ecdsa(), ticket));
    context
        .flush_context(ObjectHandle::from(tss_esapi::handles::SessionHandle::from(session)))
        .map_err(text)?;
    let signature = signed.map_err(text)?;
    context.verify_signature(key, hashed.0, signature.clone()).map_err(text)?;
    write(&site.folder, "sign.sig", &signature.marshall().map_err(text)?)
}

fn sign(context: &mut Context, site: &Site) -> Outcome {
    sign_through(context, site, None)
}

fn salted(context: &mut Context, site: &Site) -> Outcome {
    with_primary(context, site, Hierarchy::Owner, "parent.template", |context, parent, _| {
        sign_through(context, site, Some(parent))
    })
}

/// A primary key for the time of some work.
fn with_primary(
    context: &mut Context,
    site: &Site,
    hierarchy: Hierarchy,
    template: &str,
    work: impl FnOnce(&mut Context, KeyHandle, &Public) -> Outcome,
) -> Outcome {
    let template =
        std::fs::read(site.folder.join(template)).map_err(|error| format!("{template}: {error}"))?;
    let template = Public::unmarshall(&template).map_err(text)?;
    let made = context
        .execute_with_nullauth_session(|context| {
            context.create_primary(hierarchy, template, None, None, None, None)
        })
        .map_err(text)?;
    let outcome = work(context, made.key_handle, &made.out_public);
    context.flush_context(made.key_handle.into()).map_err(text)?;
    outcome
}

/// The attestation key is not stored: the same seed and template give it again.
fn with_attestation_key(
    context: &mut Context,
    site: &Site,
    work: impl FnOnce(&mut Context, KeyHandle, &Public) -> Outcome,
) -> Outcome {
    with_primary(context, site, Hierarchy::Endorsement, "ak.template", work)
}

fn attestation_key(context: &mut Context, site: &Site) -> Outcome {
    with_attestation_key(context, site, |_, _, public| {
        write(&site.folder, "ak.public", &public.marshall().map_err(text)?)
    })
}

fn nonce() -> Result<Data, String> {
    Data::try_from(vec![0x5a; 20]).map_err(text)
}

fn certify(context: &mut Context, site: &Site) -> Outcome {
    let key = object(context, site.key)?;
    with_attestation_key(context, site, |context, ak, _| {
        let password = Some(AuthSession::Password);
        let (statement, signature) = context
            .execute_with_sessions((password, password, None), |context| {
                context.certify(key, ak, nonce()?, ecdsa()).map_err(text)
            })?;
        write(&site.folder, "certify.msg", &statement.marshall().map_err(text)?)?;
        write(&site.folder, "certify.sig", &signature.marshall().map_err(text)?)
    })
}

fn quote(context: &mut Context, site: &Site) -> Outcome {
    let registers = PcrSelectionListBuilder::new()
        .with_selection(HashingAlgorithm::Sha256, &[PcrSlot::Slot0, PcrSlot::Slot16])
        .build()
        .map_err(text)?;
    with_attestation_key(context, site, |context, ak, _| {
        let (statement, signature) = context
            .execute_with_session(Some(AuthSession::Password), |context| {
                context.quote(ak, nonce()?, ecdsa(), registers).map_err(text)
            })?;
        write(&site.folder, "quote.msg", &statement.marshall().map_err(text)?)?;
        write(&site.folder, "quote.sig", &signature.marshall().map_err(text)?)
    })
}

fn counter(context: &mut Context, site: &Site) -> Outcome {
    let handle = NvIndexTpmHandle::new(site.counter).map_err(text)?;
    let index = context
        .execute_without_session(|context| context.tr_from_tpm_public(handle.into()))
        .map(NvIndexHandle::from)
        .map_err(text)?;
    let (public, _) = context.nv_read_public(index).map_err(text)?;
    must(public.data_size() == 8, &public)?;
    let bytes = context
        .execute_with_nullauth_session(|context| context.nv_read(NvAuth::Owner, index, 8, 0))
        .map_err(text)?;
    let value =
        <[u8; 8]>::try_from(bytes.value()).map(u64::from_be_bytes).map_err(|error| error.to_string())?;
    must(value == site.value, value)
}
