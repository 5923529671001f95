//! Policy digests (part 1, §19.7; part 3, §23): what a policy session holds after its commands, computed without a TPM.
//!
//! An object with such a digest can be used only in a session that went the same way. [`Policy::authorize`] puts the
//! way into the hands of a signer: any policy that he approves stands in for the one approved.

use super::attest::{PcrSelection, write_selection};
use super::constants::{AlgorithmId, CommandCode};
use super::hash;
use super::public::Name;
use super::wire::{TpmFormatError, Writer};

/// A policy digest that grows by one command after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    algorithm: AlgorithmId,
    digest: Vec<u8>,
}

impl Policy {
    /// The digest of a fresh session: zeros.
    ///
    /// # Errors
    /// [`TpmFormatError::Unsupported`] for an algorithm other than SHA-256 and SHA-384.
    pub fn new(algorithm: AlgorithmId) -> Result<Self, TpmFormatError> {
        let digest = vec![0; hash(algorithm, &[])?.len()];
        Ok(Self { algorithm, digest })
    }

    /// The digest so far.
    #[must_use]
    pub fn digest(&self) -> &[u8] {
        &self.digest
    }

    fn extend(mut self, code: CommandCode, parts: &[&[u8]]) -> Result<Self, TpmFormatError> {
        let mut input = [&self.digest, &code.0.to_be_bytes()[..]].concat();
        parts.iter().for_each(|part| input.extend_from_slice(part));
        self.digest = hash(self.algorithm, &input)?;
        Ok(self)
    }

    /// The two steps of `PolicyUpdate` (part 3, §23.2.3): a name, then the caller's reference.
    fn update(self, code: CommandCode, name: &Name, reference: &[u8]) -> Result<Self, TpmFormatError> {
        let mut once = self.extend(code, &[&name.0])?;
        once.digest = hash(once.algorithm, &[&once.digest, reference].concat())?;
        Ok(once)
    }

    /// `TPM2_PolicyPCR` (part 3, §23.7): `pcr_digest` is the hash of the selected values, see [`pcr_digest`].
    ///
    /// # Errors
    /// [`TpmFormatError::TooLong`] for a selection that cannot be written.
    pub fn pcr(self, selection: &[PcrSelection], pcr_digest: &[u8]) -> Result<Self, TpmFormatError> {
        let mut writer = Writer::new("TPML_PCR_SELECTION");
        write_selection(&mut writer, selection)?;
        let selection = writer.finish()?;
        self.extend(CommandCode::POLICY_PCR, &[&selection, pcr_digest])
    }

    /// `TPM2_PolicyAuthValue` (part 3, §23.17): the object's authorisation value has to be known as well.
    ///
    /// # Errors
    /// None in practice: the algorithm was checked at the beginning.
    pub fn auth_value(self) -> Result<Self, TpmFormatError> {
        self.extend(CommandCode::POLICY_AUTH_VALUE, &[])
    }

    /// `TPM2_PolicyCommandCode` (part 3, §23.11): for one command only.
    ///
    /// # Errors
    /// As for [`Policy::auth_value`].
    pub fn command_code(self, code: CommandCode) -> Result<Self, TpmFormatError> {
        self.extend(CommandCode::POLICY_COMMAND_CODE, &[&code.0.to_be_bytes()])
    }

    /// `TPM2_PolicySecret` (part 3, §23.4): the value of the entity with this Name has to be known.
    ///
    /// # Errors
    /// As for [`Policy::auth_value`].
    pub fn secret(self, entity: &Name, reference: &[u8]) -> Result<Self, TpmFormatError> {
        self.update(CommandCode::POLICY_SECRET, entity, reference)
    }

    /// `TPM2_PolicyOR` (part 3, §23.6): one of two to eight digests.
    ///
    /// # Errors
    /// [`TpmFormatError::Value`] for another number of them.
    pub fn or(mut self, digests: &[Vec<u8>]) -> Result<Self, TpmFormatError> {
        if !(2..=8).contains(&digests.len()) {
            let (expected, found) = ("2 to 8".to_owned(), digests.len().to_string());
            return Err(TpmFormatError::Value {
                what: "number of digests of TPM2_PolicyOR",
                expected,
                found,
            });
        }
        self.digest.fill(0);
        self.extend(CommandCode::POLICY_OR, &[&digests.concat()])
    }

    /// `TPM2_PolicyAuthorize` (part 3, §23.16): whatever the key with this Name has approved under this reference. What
    /// came before is forgotten: it is what has to be approved.
    ///
    /// # Errors
    /// As for [`Policy::auth_value`].
    pub fn authorize(mut self, key: &Name, reference: &[u8]) -> Result<Self, TpmFormatError> {
        self.digest.fill(0);
        self.update(CommandCode::POLICY_AUTHORIZE, key, reference)
    }
}

/// What a signer of [`Policy::authorize`] signs, before it is hashed with SHA-256: the approved digest and the reference
/// (part 3, §23.16, `aHash`).
#[must_use]
pub fn approval(approved: &[u8], reference: &[u8]) -> Vec<u8> {
    [approved, reference].concat()
}

/// The digest of selected PCRs (part 1, §17.5): the hash of their values, in the order of the selection.
///
/// # Errors
/// [`TpmFormatError::Unsupported`] for an algorithm other than SHA-256 and SHA-384.
pub fn pcr_digest<'a>(
    algorithm: AlgorithmId,
    values: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<u8>, TpmFormatError> {
    let mut input = Vec::new();
    values.into_iter().for_each(|value| input.extend_from_slice(value));
    hash(algorithm, &input)
}

#[cfg(test)]
mod tests {
    use super::super::constants::Handle;
    use super::*;

    fn fresh() -> Policy {
        Policy::new(AlgorithmId::SHA256).unwrap()
    }

    #[test]
    fn policy_a_of_the_ek_profile() {
        // TCG EK Credential Profile 2.4, annex B.
        let endorsement = Name(Handle::ENDORSEMENT.0.to_be_bytes().to_vec());
        let policy = fresh().secret(&endorsement, &[]).unwrap();
        assert_eq!(
            hex::encode(policy.digest()),
            "837197674484b3f81a90cc8d46a5d724fd52d76e06520b64f2a1da1b331469aa"
        );
    }

    #[test]
    fn the_order_counts_and_authorize_forgets() {
        let name = Name(vec![0, 11, 1, 2]);
        let selection = [PcrSelection::of(AlgorithmId::SHA256, &[7])];
        let one = fresh().auth_value().unwrap().pcr(&selection, &[1; 32]).unwrap();
        let other = fresh().pcr(&selection, &[1; 32]).unwrap().auth_value().unwrap();
        assert_ne!(one, other);
        let authorized = one.authorize(&name, b"r").unwrap();
        assert_eq!(authorized, other.authorize(&name, b"r").unwrap());
        assert_ne!(authorized, fresh().authorize(&name, b"s").unwrap());
        assert!(fresh().or(&[vec![0; 32]]).is_err());
        assert!(Policy::new(AlgorithmId::SHA1).is_err());
    }
}
