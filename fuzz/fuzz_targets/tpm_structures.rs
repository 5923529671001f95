//! What a TPM says: public areas, statements, signatures, response codes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use touchmark_fuzz::told;
use touchmark_identity::tpm::{Attest, CommandCode, Handle, PublicArea, ResponseCode, TpmSignature};

fuzz_target!(|data: &[u8]| {
    if let Some(public) = told(PublicArea::from_bytes(data)) {
        assert_eq!(public.to_bytes().as_deref(), Ok(data), "{public:?}");
        std::hint::black_box((told(public.name()), public.ecc_point(), public.spki_der()));
        std::hint::black_box(public.attributes.to_string());
        if let Some(key) = told(public.to_public_key()) {
            assert_eq!(public.spki_der(), Some(key.spki_der()));
        }
    }
    if let Some(statement) = told(Attest::from_bytes(data)) {
        assert_eq!(statement.to_bytes().as_deref(), Ok(data), "{statement:?}");
    }
    if let Some(signature) = told(TpmSignature::from_bytes(data)) {
        assert_eq!(signature.to_bytes().as_deref(), Ok(data), "{signature:?}");
        std::hint::black_box(told(signature.to_der()));
    }
    if let Ok(number) = <[u8; 4]>::try_from(data) {
        let number = u32::from_be_bytes(number);
        let code = ResponseCode(number);
        assert!(!code.to_string().is_empty() && code.kind().kind() == code.kind());
        std::hint::black_box(format!("{:?} {:?}", CommandCode(number), Handle(number)));
    }
});
