//! Carrying acts out: what each of them does, and why it does so once.
//!
//! An act may be carried out, and the server killed before that is marked. So each act is told by something that lasts:
//! a status change names finding and number in the journal, nonces are drawn once for each instance, and what is in force
//! at the telemetry endpoint follows from the case itself.

use aws_lc_rs::rand;
use touchmark_authority::registry::{DeviceStatus, RevocationReason};
use touchmark_authority::{Authority, AuthorityError};
use touchmark_identity::challenge::NONCE_BYTES;
use touchmark_identity::ids::DeviceId;
use touchmark_monitor::respond::Measure;

use super::store::{Asked, Kept, KeptAct, Outcome};
use crate::app::App;
use crate::error::ServerError;

/// No more journal entries of a device than this are searched.
const MAX_ENTRIES: u32 = 1_000;
/// How the journal names quarantine.
const QUARANTINED: &str = "device.quarantined";
/// How the reasons of responses begin in the journal.
const OURS: &str = "finding ";

/// What became of an act, and more about it.
pub(super) type Carried = (Outcome, String);

fn done() -> Carried {
    (Outcome::Done, String::new())
}

fn left_out(why: impl Into<String>) -> Carried {
    (Outcome::LeftOut, why.into())
}

/// Names an act in the journal: nothing else begins so.
fn mark(kept: &Kept, act: &KeptAct) -> String {
    format!("{OURS}{}, act {},", kept.case.finding(), act.number)
}

fn reason(kept: &Kept, act: &KeptAct) -> String {
    format!("{} rule {:?}: {}", mark(kept, act), kept.case.rule(), act.says)
}

/// The reason that the newest entry about a device gives whose kind is `kind`, or any where that is `None`.
fn reasons(
    authority: &mut Authority,
    device: &DeviceId,
    kind: Option<&str>,
) -> Result<Vec<String>, ServerError> {
    let entries =
        authority.registry().journal_of(device.as_str(), MAX_ENTRIES).map_err(AuthorityError::from)?;
    let own = entries.iter().filter(|entry| kind.is_none_or(|kind| entry.kind == kind));
    Ok(own
        .filter_map(|entry| {
            let body: serde_json::Value = serde_json::from_str(&entry.body).ok()?;
            body.get("reason").and_then(serde_json::Value::as_str).map(str::to_owned)
        })
        .collect())
}

/// Carries one act out. `acts` are all acts of the case.
///
/// # Errors
/// What may pass: the act stays owed.
pub(super) fn carry(app: &App, kept: &Kept, act: &KeptAct, acts: &[KeptAct]) -> Result<Carried, ServerError> {
    let dry = kept.dry || app.responses.dry_run();
    match &act.asked {
        Asked::Record => Ok((Outcome::Recorded, String::new())),
        Asked::Do(_) | Asked::Revoke { .. } if dry => Ok((Outcome::DryRun, String::new())),
        Asked::Do(Measure::Quarantine { device }) => quarantine(app, kept, act, device),
        Asked::Do(Measure::Challenge { branches, .. }) => {
            for branch in branches {
                let mut nonce = [0; NONCE_BYTES];
                rand::fill(&mut nonce)
                    .map_err(|_| ServerError::Tls { detail: "no random bytes".to_owned() })?;
                let finding = kept.case.finding().to_string();
                app.watch().log_mut().put_nonce(&finding, act.number, *branch, &nonce)?;
            }
            Ok(done())
        }
        Asked::Do(
            Measure::ReduceRights { .. }
            | Measure::RekeyWinner(_)
            | Measure::WorkOrder { .. }
            | Measure::AskRevoke { .. },
        ) => Ok(done()),
        Asked::Undo(measure) => {
            let before = acts.iter().take_while(|other| other.number < act.number);
            let own = before.filter(|other| other.asked == Asked::Do(measure.clone())).last();
            match own.map(|own| own.outcome) {
                Some(Outcome::DryRun) => Ok((Outcome::DryRun, String::new())),
                _ => match measure {
                    Measure::Quarantine { device } => release(app, kept, act, device),
                    _ => Ok(done()),
                },
            }
        }
        Asked::Revoke { device, confirmed_by } => revoke(app, kept, act, device, confirmed_by),
    }
}

/// A device's name in a case; one that is no device's cannot be acted on.
fn name(device: &str) -> Result<DeviceId, Carried> {
    DeviceId::new(device).map_err(|error| left_out(error.to_string()))
}

/// What followed a change is told again at the next change or start; the change itself stands.
fn after_change(app: &App, device: &DeviceId) {
    if let Err(error) = app.after_change(device) {
        tracing::error!(%device, code = error.code(), "after a response: {}", error.chain());
    }
}

fn quarantine(app: &App, kept: &Kept, act: &KeptAct, device: &str) -> Result<Carried, ServerError> {
    let device = match name(device) {
        Ok(device) => device,
        Err(why) => return Ok(why),
    };
    let mut authority = app.authority();
    let own = mark(kept, act);
    if reasons(&mut authority, &device, None)?.iter().any(|reason| reason.starts_with(&own)) {
        return Ok((Outcome::Done, "it was done before the server stopped".to_owned()));
    }
    match authority.known(&device) {
        Err(error @ AuthorityError::Unknown { .. }) => return Ok(left_out(error.to_string())),
        Err(error) => return Err(error.into()),
        Ok(known) if known.status == DeviceStatus::Enrolled => {}
        Ok(known) => return Ok(left_out(format!("the device is {} already", known.status))),
    }
    authority.quarantine(&device, &reason(kept, act), app.now())?;
    drop(authority);
    after_change(app, &device);
    Ok(done())
}

/// Takes a device off hold, unless another case or an operator holds it.
fn release(app: &App, kept: &Kept, act: &KeptAct, device: &str) -> Result<Carried, ServerError> {
    let device = match name(device) {
        Ok(device) => device,
        Err(why) => return Ok(why),
    };
    let holds = |other: &&Kept| {
        other.case.finding() != kept.case.finding()
            && !other.dry
            && other.case.in_force().iter().any(|measure| matches!(measure, Measure::Quarantine { .. }))
    };
    if let Some(other) = app.watch().log().cases(Some(device.as_str()))?.iter().find(holds) {
        return Ok(left_out(format!("finding {} holds the device as well", other.case.finding())));
    }
    let mut authority = app.authority();
    match authority.known(&device) {
        Err(error @ AuthorityError::Unknown { .. }) => return Ok(left_out(error.to_string())),
        Err(error) => return Err(error.into()),
        Ok(known) if known.status == DeviceStatus::Quarantined => {}
        Ok(known) => return Ok(left_out(format!("the device is not on hold, it is {}", known.status))),
    }
    let newest = reasons(&mut authority, &device, Some(QUARANTINED))?.into_iter().next();
    if !newest.is_some_and(|reason| reason.starts_with(OURS)) {
        return Ok(left_out("an operator has put the device on hold: release it as it was held"));
    }
    authority.release(&device, &reason(kept, act), app.now())?;
    drop(authority);
    after_change(app, &device);
    Ok(done())
}

fn revoke(
    app: &App,
    kept: &Kept,
    act: &KeptAct,
    device: &str,
    confirmed_by: &str,
) -> Result<Carried, ServerError> {
    let device = match name(device) {
        Ok(device) => device,
        Err(why) => return Ok(why),
    };
    let mut authority = app.authority();
    match authority.known(&device).map(|known| known.status) {
        Err(error @ AuthorityError::Unknown { .. }) => return Ok(left_out(error.to_string())),
        Err(error) => return Err(error.into()),
        Ok(DeviceStatus::Revoked) => return Ok((Outcome::Done, "the device is revoked already".to_owned())),
        Ok(status @ DeviceStatus::Registered) => {
            return Ok(left_out(format!("the device is {status}, it has no certificate")));
        }
        Ok(DeviceStatus::Enrolled | DeviceStatus::Quarantined) => {}
    }
    let why = format!("{} (confirmed by {confirmed_by})", reason(kept, act));
    authority.revoke(&device, RevocationReason::KeyCompromise, &why, app.now())?;
    drop(authority);
    after_change(app, &device);
    Ok(done())
}
