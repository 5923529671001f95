//! Quarantine, release, revocation: the state changes, and the CRL says so before the call returns.

use touchmark_identity::ids::DeviceId;
use touchmark_identity::timestamp::Timestamp;

use crate::ca::Authority;
use crate::error::AuthorityError;
use crate::registry::{Device, DeviceStatus, RevocationReason, StatusChange};

impl Authority {
    /// Puts a device's certificates on hold (RFC 5280 §5.3.1 `certificateHold`); [`Authority::release`] undoes it.
    /// A device that is on hold stays so.
    ///
    /// # Errors
    /// [`AuthorityError::WrongState`] unless the device is in service; [`AuthorityError::Unknown`] when there is none.
    pub fn quarantine(
        &mut self,
        device: &DeviceId,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), AuthorityError> {
        match self.known(device)?.status {
            DeviceStatus::Quarantined => Ok(()),
            DeviceStatus::Enrolled => self.change(device, StatusChange::Quarantine, reason, now),
            status => Err(wrong_state(device, status, "quarantined")),
        }
    }

    /// Takes a device's certificates off hold.
    ///
    /// # Errors
    /// [`AuthorityError::WrongState`] unless the device is quarantined.
    pub fn release(&mut self, device: &DeviceId, reason: &str, now: Timestamp) -> Result<(), AuthorityError> {
        match self.known(device)?.status {
            DeviceStatus::Quarantined => self.change(device, StatusChange::Release, reason, now),
            status => Err(wrong_state(device, status, "released")),
        }
    }

    /// Revokes a device's certificates; this cannot be undone. A device that is revoked stays so.
    ///
    /// # Errors
    /// [`AuthorityError::WrongState`] when the device never had a certificate.
    pub fn revoke(
        &mut self,
        device: &DeviceId,
        why: RevocationReason,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), AuthorityError> {
        match self.known(device)?.status {
            DeviceStatus::Revoked => Ok(()),
            DeviceStatus::Enrolled | DeviceStatus::Quarantined => {
                self.change(device, StatusChange::Revoke(why), reason, now)
            }
            status @ DeviceStatus::Registered => Err(wrong_state(device, status, "revoked")),
        }
    }

    /// A device that must be there.
    ///
    /// # Errors
    /// [`AuthorityError::Unknown`] when it is not.
    pub fn known(&mut self, device: &DeviceId) -> Result<Device, AuthorityError> {
        self.registry
            .device(device)?
            .ok_or_else(|| AuthorityError::Unknown { what: "device", name: device.to_string() })
    }

    fn change(
        &mut self,
        device: &DeviceId,
        change: StatusChange,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), AuthorityError> {
        self.registry.change_status(device, change, reason, now)?;
        // From here on OCSP says so. A crash before the CRL is built is made up for at the next start.
        self.publish_crl(now)
    }
}

fn wrong_state(device: &DeviceId, status: DeviceStatus, asked: &'static str) -> AuthorityError {
    AuthorityError::WrongState { device: device.to_string(), status: status.to_string(), asked }
}
