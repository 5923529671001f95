//! Keys and sealed objects: making, loading, keeping and using them.

use touchmark_identity::tpm::{AlgorithmId, Handle, Name, PublicArea, TpmSignature, Writer};
use zeroize::Zeroizing;

use super::{Connection, MAX_DIGEST_BYTES, MAX_NAME_BYTES, MAX_SIZED, finish, read};
use crate::StoreError;
use crate::tpm::command::{self, Authorisation, Spec};

/// What `TPM2_Create` gives. The private part is encrypted by the parent and means nothing outside of this TPM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::tpm) struct Created {
    /// `TPM2B_PRIVATE` without its size.
    pub(in crate::tpm) private: Vec<u8>,
    /// `TPMT_PUBLIC`.
    pub(in crate::tpm) public: Vec<u8>,
    /// `TPMS_CREATION_DATA`.
    pub(in crate::tpm) creation_data: Vec<u8>,
    pub(in crate::tpm) creation_hash: Vec<u8>,
    /// `TPMT_TK_CREATION`.
    pub(in crate::tpm) ticket: Vec<u8>,
}

impl Connection {
    /// Makes a primary key in a hierarchy and loads it.
    pub(in crate::tpm) fn create_primary(
        &mut self,
        hierarchy: Handle,
        template: &PublicArea,
    ) -> Result<(Handle, PublicArea), StoreError> {
        let secured = self.secured()?;
        self.create_primary_by(hierarchy, template, secured)
    }

    pub(super) fn create_primary_by(
        &mut self,
        hierarchy: Handle,
        template: &PublicArea,
        authorisation: Authorisation<'_>,
    ) -> Result<(Handle, PublicArea), StoreError> {
        let spec = command::CREATE_PRIMARY;
        let parameters = creation_parameters(spec, template, &[], &[])?;
        let response = self.run(spec, &[hierarchy], &[authorisation], &parameters)?;
        let handle = self.loaded(spec, &response)?;
        let public = read(spec, &response, |reader| PublicArea::from_bytes(reader.sized(MAX_SIZED)?))?;
        let name = public.name().map_err(|cause| command::malformed(spec, &cause))?;
        self.names.insert(handle.0, name);
        Ok((handle, public))
    }

    /// Makes an object under a parent: a key, or with `data` a sealed object. Its authorisation value and the data are
    /// encrypted on their way.
    pub(in crate::tpm) fn create(
        &mut self,
        parent: Handle,
        template: &PublicArea,
        auth_value: &[u8],
        data: &[u8],
    ) -> Result<Created, StoreError> {
        let spec = command::CREATE;
        let parameters = creation_parameters(spec, template, auth_value, data)?;
        let response = self.run_secured(spec, &[parent], &parameters)?;
        read(spec, &response, |reader| {
            Ok(Created {
                private: reader.sized(MAX_SIZED)?.to_vec(),
                public: reader.sized(MAX_SIZED)?.to_vec(),
                creation_data: reader.sized(MAX_SIZED)?.to_vec(),
                creation_hash: reader.sized(MAX_DIGEST_BYTES)?.to_vec(),
                ticket: reader.clone().rest().to_vec(),
            })
        })
    }

    /// Loads an object under its parent.
    pub(in crate::tpm) fn load(
        &mut self,
        parent: Handle,
        private: &[u8],
        public: &[u8],
    ) -> Result<Handle, StoreError> {
        let spec = command::LOAD;
        let mut parameters = Writer::new(spec.name);
        parameters.sized(private).sized(public);
        let parameters = finish(spec, parameters)?;
        let response = self.run_secured(spec, &[parent], &parameters)?;
        let handle = self.loaded(spec, &response)?;
        let name = read(spec, &response, |reader| Ok(Name(reader.sized(MAX_NAME_BYTES)?.to_vec())))?;
        self.names.insert(handle.0, name);
        Ok(handle)
    }

    /// Loads a public key in the owner's hierarchy, so that its tickets can be used.
    pub(in crate::tpm) fn load_external(
        &mut self,
        public: &PublicArea,
    ) -> Result<(Handle, Name), StoreError> {
        let spec = command::LOAD_EXTERNAL;
        let bytes = public.to_bytes().map_err(|cause| command::unsendable(spec, &cause))?;
        let name = public.name().map_err(|cause| command::unsendable(spec, &cause))?;
        let mut parameters = Writer::new(spec.name);
        parameters.sized(&[]).sized(&bytes).u32(Handle::OWNER.0);
        let parameters = finish(spec, parameters)?;
        let response = self.run(spec, &[], &[], &parameters)?;
        let handle = self.loaded(spec, &response)?;
        self.names.insert(handle.0, name.clone());
        Ok((handle, name))
    }

    /// Stores a loaded object persistently at `to`, or with `object` equal to `to` removes it.
    pub(in crate::tpm) fn evict_control(&mut self, object: Handle, to: Handle) -> Result<(), StoreError> {
        let handles = [Handle::OWNER, object];
        self.run_secured(command::EVICT_CONTROL, &handles, &to.0.to_be_bytes())?;
        self.names.remove(&to.0);
        Ok(())
    }

    /// ECDSA over a SHA-256 digest that the caller made, by an unrestricted key.
    pub(in crate::tpm) fn sign(
        &mut self,
        key: Handle,
        digest: &[u8; 32],
    ) -> Result<TpmSignature, StoreError> {
        let spec = command::SIGN;
        let mut parameters = Writer::new(spec.name);
        parameters.sized(digest).u16(AlgorithmId::ECDSA.0).u16(AlgorithmId::SHA256.0);
        // The null ticket (part 2, §10.7): nobody vouches for the digest, and an unrestricted key needs no voucher.
        parameters.u16(touchmark_identity::tpm::StructureTag::HASHCHECK.0).u32(Handle::NULL.0).sized(&[]);
        let parameters = finish(spec, parameters)?;
        let response = self.run_secured(spec, &[key], &parameters)?;
        read(spec, &response, TpmSignature::read)
    }

    /// Verifies a signature over a SHA-256 digest; gives the TPM's ticket (`TPMT_TK_VERIFIED`) that it did.
    pub(in crate::tpm) fn verify_signature(
        &mut self,
        key: Handle,
        digest: &[u8; 32],
        signature: &TpmSignature,
    ) -> Result<Vec<u8>, StoreError> {
        let spec = command::VERIFY_SIGNATURE;
        let signature = signature.to_bytes().map_err(|cause| command::unsendable(spec, &cause))?;
        let mut parameters = Writer::new(spec.name);
        parameters.sized(digest).bytes(&signature);
        let parameters = finish(spec, parameters)?;
        let response = self.run(spec, &[key], &[], &parameters)?;
        Ok(response.parameters.to_vec())
    }

    /// Gives back what is sealed in a loaded object; encrypted on its way.
    pub(in crate::tpm) fn unseal(
        &mut self,
        object: Handle,
        authorisation: Authorisation<'_>,
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let spec = command::UNSEAL;
        let response = self.run(spec, &[object], &[authorisation], &[])?;
        read(spec, &response, |reader| Ok(Zeroizing::new(reader.sized(MAX_SIZED)?.to_vec())))
    }
}

/// The parameters that TPM2_CreatePrimary and TPM2_Create share (part 3, §12.1 and §24.1): authorisation value and data
/// of the caller's, the template, no outside information, no PCRs.
fn creation_parameters(
    spec: Spec,
    template: &PublicArea,
    auth_value: &[u8],
    data: &[u8],
) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    let public = template.to_bytes().map_err(|cause| command::unsendable(spec, &cause))?;
    let mut sensitive = Writer::new("TPMS_SENSITIVE_CREATE");
    sensitive.sized(auth_value).sized(data);
    let sensitive = Zeroizing::new(finish(spec, sensitive)?);
    let mut parameters = Writer::new(spec.name);
    parameters.sized(&sensitive).sized(&public).sized(&[]).u32(0);
    finish(spec, parameters).map(Zeroizing::new)
}
