//! Commands and responses as bytes (part 1, §18; part 3, §4): header, handles, authorisations, parameters.

use touchmark_identity::tpm::{
    CommandCode, Handle, Reader, ResponseCode, StructureTag, TpmFormatError, Writer,
};
use zeroize::Zeroizing;

use crate::StoreError;

/// The word for the part in errors.
pub(super) const PART: &str = "the TPM";
/// The largest nonce or HMAC, in bytes.
const MAX_DIGEST_BYTES: usize = 64;

/// What one command looks like: part 3 has one table for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Spec {
    pub(super) code: CommandCode,
    /// The name of the command, for errors.
    pub(super) name: &'static str,
    /// How many handles precede the parameters.
    pub(super) handles: usize,
    /// How many of them, from the first, need an authorisation.
    pub(super) authorisations: usize,
    /// Whether the response begins with a handle.
    returns_handle: bool,
    /// Which way the first parameter is a `TPM2B`, which a session may encrypt (part 1, §21).
    pub(super) sized: Sized2B,
}

/// Where the first parameter has a size in front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sized2B {
    Neither,
    InCommand,
    InResponse,
    Both,
}

impl Sized2B {
    pub(super) fn in_command(self) -> bool {
        matches!(self, Self::InCommand | Self::Both)
    }

    pub(super) fn in_response(self) -> bool {
        matches!(self, Self::InResponse | Self::Both)
    }
}

macro_rules! commands {
    ($($spec:ident: $handles:literal handles, $authorisations:literal authorised, handle back $back:literal, $sized:ident;)+) => {
        $(pub(super) const $spec: Spec = Spec {
            code: CommandCode::$spec,
            name: match CommandCode::$spec.name() { Some(name) => name, None => "" },
            handles: $handles,
            authorisations: $authorisations,
            returns_handle: $back,
            sized: Sized2B::$sized,
        };)+
        #[cfg(test)]
        pub(super) const ALL: &[Spec] = &[$($spec),+];
    };
}

commands! {
    STARTUP: 0 handles, 0 authorised, handle back false, Neither;
    GET_CAPABILITY: 0 handles, 0 authorised, handle back false, Neither;
    CREATE_PRIMARY: 1 handles, 1 authorised, handle back true, Both;
    CREATE: 1 handles, 1 authorised, handle back false, Both;
    LOAD: 1 handles, 1 authorised, handle back true, Both;
    LOAD_EXTERNAL: 0 handles, 0 authorised, handle back true, Both;
    READ_PUBLIC: 1 handles, 0 authorised, handle back false, InResponse;
    FLUSH_CONTEXT: 0 handles, 0 authorised, handle back false, Neither;
    EVICT_CONTROL: 2 handles, 1 authorised, handle back false, Neither;
    SIGN: 1 handles, 1 authorised, handle back false, InCommand;
    VERIFY_SIGNATURE: 1 handles, 0 authorised, handle back false, InCommand;
    UNSEAL: 1 handles, 1 authorised, handle back false, InResponse;
    CERTIFY: 2 handles, 2 authorised, handle back false, Both;
    CERTIFY_CREATION: 2 handles, 1 authorised, handle back false, Both;
    QUOTE: 1 handles, 1 authorised, handle back false, Both;
    PCR_READ: 0 handles, 0 authorised, handle back false, Neither;
    START_AUTH_SESSION: 2 handles, 0 authorised, handle back true, Both;
    POLICY_SECRET: 2 handles, 1 authorised, handle back false, Both;
    POLICY_PCR: 1 handles, 0 authorised, handle back false, InCommand;
    POLICY_AUTHORIZE: 1 handles, 0 authorised, handle back false, InCommand;
    POLICY_AUTH_VALUE: 1 handles, 0 authorised, handle back false, Neither;
    POLICY_GET_DIGEST: 1 handles, 0 authorised, handle back false, InResponse;
    ACTIVATE_CREDENTIAL: 2 handles, 2 authorised, handle back false, Both;
    NV_DEFINE_SPACE: 1 handles, 1 authorised, handle back false, InCommand;
    NV_UNDEFINE_SPACE: 2 handles, 1 authorised, handle back false, Neither;
    NV_READ_PUBLIC: 1 handles, 0 authorised, handle back false, InResponse;
    NV_READ: 2 handles, 1 authorised, handle back false, InResponse;
    NV_WRITE: 2 handles, 1 authorised, handle back false, InCommand;
    NV_INCREMENT: 2 handles, 1 authorised, handle back false, Neither;
    NV_SET_BITS: 2 handles, 1 authorised, handle back false, Neither;
    NV_CERTIFY: 3 handles, 2 authorised, handle back false, Both;
}

/// How a handle's use is authorised, or in the last place of a command how it is protected (part 1, §19).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Authorisation<'a> {
    /// The empty password: beside a session that protects the command, or before there is one.
    EmptyPassword,
    /// A session of the connection's.
    Session {
        session: Handle,
        /// The authorisation value of the entity; it enters keys and is never sent.
        auth_value: &'a [u8],
    },
}

/// A response without its header and authorisations.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) handle: Option<Handle>,
    /// As sent: the first one may be encrypted.
    pub(super) parameters: Zeroizing<Vec<u8>>,
    /// One for each authorisation of the command.
    pub(super) acknowledgements: Vec<Acknowledgement>,
}

/// `TPMS_AUTH_COMMAND` (part 2, §10.13): session, nonce, attributes, HMAC or password.
#[derive(Debug)]
pub(super) struct AuthorisationField {
    pub(super) session: Handle,
    pub(super) nonce: Vec<u8>,
    pub(super) attributes: u8,
    pub(super) hmac: Vec<u8>,
}

impl AuthorisationField {
    pub(super) fn empty_password() -> Self {
        Self { session: Handle::PASSWORD_SESSION, nonce: Vec::new(), attributes: 0, hmac: Vec::new() }
    }
}

/// `TPMS_AUTH_RESPONSE` (part 2, §10.13): nonce, attributes, HMAC.
#[derive(Debug)]
pub(super) struct Acknowledgement {
    pub(super) nonce: Vec<u8>,
    pub(super) attributes: u8,
    pub(super) hmac: Vec<u8>,
}

/// What the TPM answered.
#[derive(Debug)]
pub(super) enum Answer {
    Success(Response),
    Refused(ResponseCode),
}

/// The bytes of a command.
pub(super) fn encode(
    spec: Spec,
    handles: &[Handle],
    authorisations: &[AuthorisationField],
    parameters: &[u8],
) -> Result<Vec<u8>, TpmFormatError> {
    if handles.len() != spec.handles || authorisations.len() < spec.authorisations {
        return Err(TpmFormatError::Value {
            what: spec.name,
            expected: format!("{} handles and at least {} authorisations", spec.handles, spec.authorisations),
            found: format!("{} and {}", handles.len(), authorisations.len()),
        });
    }
    let mut body = Writer::new(spec.name);
    for handle in handles {
        body.u32(handle.0);
    }
    if !authorisations.is_empty() {
        let mut area = Writer::new("authorisation area");
        for AuthorisationField { session, nonce, attributes, hmac } in authorisations {
            area.u32(session.0).sized(nonce).u8(*attributes).sized(hmac);
        }
        let area = area.finish()?;
        body.u32(size32(area.len())?).bytes(&area);
    }
    body.bytes(parameters);
    let body = body.finish()?;

    let tag = if authorisations.is_empty() { StructureTag::NO_SESSIONS } else { StructureTag::SESSIONS };
    let mut command = Writer::new(spec.name);
    command
        .u16(tag.0)
        .u32(size32(super::transport::HEADER_BYTES + body.len())?)
        .u32(spec.code.0)
        .bytes(&body);
    command.finish()
}

fn size32(bytes: usize) -> Result<u32, TpmFormatError> {
    u32::try_from(bytes)
        .ok()
        .filter(|_| bytes <= super::transport::MAX_BYTES)
        .ok_or(TpmFormatError::TooLong { what: "command", found: bytes, limit: super::transport::MAX_BYTES })
}

/// Reads the response to a command that was sent with so many authorisations.
pub(super) fn decode(spec: Spec, authorisations: usize, response: &[u8]) -> Result<Answer, TpmFormatError> {
    let mut reader = Reader::new(spec.name, response);
    let tag = StructureTag(reader.u16()?);
    let size = reader.u32()?;
    if usize::try_from(size) != Ok(response.len()) {
        let (expected, found) = (response.len().to_string(), size.to_string());
        return Err(TpmFormatError::Value { what: "size in the response's header", expected, found });
    }
    let code = ResponseCode(reader.u32()?);
    if code != ResponseCode::SUCCESS {
        return Ok(Answer::Refused(code));
    }
    let expected = if authorisations > 0 { StructureTag::SESSIONS } else { StructureTag::NO_SESSIONS };
    if tag != expected {
        let (expected, found) = (expected.to_string(), tag.to_string());
        return Err(TpmFormatError::Value { what: "tag of the response", expected, found });
    }
    let handle = if spec.returns_handle { Some(Handle(reader.u32()?)) } else { None };
    let mut acknowledgements = Vec::new();
    let parameters = if authorisations > 0 {
        let size = usize::try_from(reader.u32()?).unwrap_or(usize::MAX);
        let parameters = reader.bytes(size)?.to_vec();
        for _ in 0..authorisations {
            acknowledgements.push(Acknowledgement {
                nonce: reader.sized(MAX_DIGEST_BYTES)?.to_vec(),
                attributes: reader.u8()?,
                hmac: reader.sized(MAX_DIGEST_BYTES)?.to_vec(),
            });
        }
        reader.finish()?;
        parameters
    } else {
        reader.rest().to_vec()
    };
    Ok(Answer::Success(Response { handle, parameters: Zeroizing::new(parameters), acknowledgements }))
}

/// The error for a response that is not what part 3 says.
pub(super) fn malformed(spec: Spec, cause: &TpmFormatError) -> StoreError {
    StoreError::Malformed { part: PART, command: spec.name, detail: cause.to_string() }
}

/// The error for a command that cannot be written, because something in it has no room.
pub(super) fn unsendable(spec: Spec, cause: &TpmFormatError) -> StoreError {
    StoreError::Exhausted { what: "room in one command", detail: format!("{}: {cause}", spec.name) }
}

/// The error for a response code.
pub(super) fn refused(spec: Spec, code: ResponseCode) -> StoreError {
    StoreError::Refused { part: PART, command: spec.name, code: code.0, meaning: code.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_command_has_a_name() {
        for spec in ALL {
            assert!(spec.name.starts_with("TPM2_"), "{:?}", spec.code);
            assert!(spec.authorisations <= spec.handles);
        }
    }

    #[test]
    fn a_command_is_written_as_in_part_3() {
        let bytes = encode(STARTUP, &[], &[], &[0, 0]).unwrap();
        assert_eq!(hex::encode(bytes), "80010000000c000001440000");
        let bytes =
            encode(NV_INCREMENT, &[Handle(0x0180_0001); 2], &[AuthorisationField::empty_password()], &[])
                .unwrap();
        assert_eq!(
            hex::encode(bytes),
            "80020000001f000001340180000101800001000000094000000900000000\
             00"
        );
        assert!(encode(NV_INCREMENT, &[Handle(1)], &[], &[]).is_err());
        assert!(encode(STARTUP, &[], &[], &[0; 4_096]).is_err());
    }

    #[test]
    fn a_response_is_read_as_in_part_3() {
        let success = |spec, text: &str| match decode(spec, spec.authorisations, &hex::decode(text).unwrap())
            .unwrap()
        {
            Answer::Success(response) => response,
            Answer::Refused(code) => panic!("{code}"),
        };
        let random = success(READ_PUBLIC, "80010000000e000000000002abcd");
        assert_eq!(random.parameters.as_slice(), [0, 2, 0xab, 0xcd]);
        let session =
            success(START_AUTH_SESSION, "800100000010000000000300000000 00".replace(' ', "").as_str());
        assert_eq!(session.handle, Some(Handle(0x0300_0000)));
        let incremented = success(NV_INCREMENT, "80020000001300000000000000000000000000");
        assert!(incremented.parameters.is_empty());
        let locked = decode(NV_INCREMENT, 1, &hex::decode("80010000000a00000148").unwrap()).unwrap();
        assert!(matches!(locked, Answer::Refused(ResponseCode::NV_LOCKED)));
        assert!(decode(READ_PUBLIC, 0, &hex::decode("80010000000f000000000002abcd").unwrap()).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
            spec in proptest::sample::select(ALL),
        ) {
            let _ = decode(spec, spec.authorisations, &bytes);
            let mut framed = vec![0x80, 0x02, 0, 0, 0, u8::try_from(bytes.len() + 10).unwrap(), 0, 0, 0, 0];
            framed.extend_from_slice(&bytes);
            let _ = decode(spec, spec.authorisations, &framed);
        }
    }
}
