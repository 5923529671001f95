//! What is in force at the telemetry endpoint: who is refused, and who is asked for proof.
//!
//! It lives in memory and is made from cases and event log: at the start, and whenever a case changes. The lock of the
//! orders is taken before that of the event log, and a heartbeat is followed after it was written, so that an order that
//! is being made misses none.

use std::collections::BTreeMap;

use touchmark_identity::challenge::NONCE_BYTES;
use touchmark_identity::event::Event;
use touchmark_identity::finding::FindingId;
use touchmark_monitor::respond::Measure;

use super::instances::{First, Instances, Sight};
use super::store::{Asked, Kept, Outcome};
use crate::error::ServerError;
use crate::events::EventLog;

/// So many of a device's newest events are read to learn its chains of tokens.
const MAX_EVENTS: u32 = 1_000;

/// A question for one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The nonce to sign.
    pub nonce: [u8; NONCE_BYTES],
    /// Whether evidence of the chip is asked for too.
    pub evidence: bool,
}

/// What one case has in force.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Order {
    finding: FindingId,
    instances: Instances,
    refused: Vec<u32>,
    /// By instance; those that answered are not asked again.
    asked: BTreeMap<u32, Question>,
}

/// What the endpoint does with a heartbeat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ruling {
    /// The finding because of which it is refused.
    pub refused_for: Option<FindingId>,
    /// What it is asked.
    pub question: Option<Question>,
}

/// All orders, by device.
#[derive(Debug, Default)]
pub struct Orders(BTreeMap<String, Vec<Order>>);

impl Orders {
    /// Makes the orders of a device anew.
    ///
    /// # Errors
    /// [`ServerError::EventLog`] when the database refuses; the old orders stay then.
    pub fn renew(&mut self, log: &EventLog, device: &str) -> Result<(), ServerError> {
        let mut orders = Vec::new();
        for kept in log.cases(Some(device))? {
            orders.extend(order(log, device, &kept)?);
        }
        if orders.is_empty() {
            self.0.remove(device);
        } else {
            self.0.insert(device.to_owned(), orders);
        }
        Ok(())
    }

    /// What is to be done with a heartbeat.
    #[must_use]
    pub fn rule(&self, device: &str, sight: &Sight) -> Ruling {
        let mut ruling = Ruling::default();
        for order in self.0.get(device).into_iter().flatten() {
            if ruling.refused_for.is_none()
                && !order.refused.is_empty()
                && order.instances.refuses(sight, &order.refused)
            {
                ruling.refused_for = Some(order.finding);
            }
            if ruling.question.is_none() && !order.asked.is_empty() {
                let place = order.instances.place(sight, First::Chain);
                ruling.question = place.and_then(|id| order.asked.get(&id).cloned());
            }
        }
        ruling
    }

    /// A heartbeat was taken, written down, and given this token.
    pub fn follow(&mut self, device: &str, sight: &Sight, issued: &str) {
        for order in self.0.get_mut(device).into_iter().flatten() {
            order.instances.follow(sight, issued, First::Chain);
        }
    }
}

/// What a case has in force at the endpoint, if anything.
fn order(log: &EventLog, device: &str, kept: &Kept) -> Result<Option<Order>, ServerError> {
    let finding = kept.case.finding();
    let id = finding.to_string();
    let bears = |measure: &Measure| match measure {
        Measure::Challenge { .. } | Measure::ReduceRights { .. } => true,
        Measure::RekeyWinner(_)
        | Measure::Quarantine { .. }
        | Measure::WorkOrder { .. }
        | Measure::AskRevoke { .. } => false,
    };
    if !kept.case.in_force().iter().any(bears) {
        return Ok(None);
    }
    let acts = log.acts(&id)?;
    let (mut refused, mut asked) = (Vec::new(), BTreeMap::new());
    for measure in kept.case.in_force() {
        let own = acts.iter().rfind(|act| act.asked == Asked::Do(measure.clone()));
        // In a dry run, or until the act was carried out, nothing is in force.
        let Some(act) = own.filter(|act| act.outcome == Outcome::Done) else { continue };
        match measure {
            Measure::ReduceRights { branches, .. } => refused.extend(branches.iter().map(|b| b.id)),
            Measure::Challenge { evidence, .. } => {
                let open = log.nonces(&id)?.into_iter().filter(|n| n.number == act.number);
                asked.extend(
                    open.filter(|n| n.verdict.is_none())
                        .map(|n| (n.branch, Question { nonce: n.nonce, evidence: *evidence })),
                );
            }
            _ => {}
        }
    }
    if refused.is_empty() && asked.is_empty() {
        return Ok(None);
    }
    let mut instances = Instances::new(kept.case.branches());
    for row in log.of_device(device, MAX_EVENTS)?.iter().rev() {
        let Ok(event) = Event::from_line(row.line.as_bytes()) else { continue };
        let first = if event.time < kept.opened { First::Features } else { First::Chain };
        if let Some((sight, Some(issued))) = Sight::of(&event) {
            instances.follow(&sight, issued, first);
        }
    }
    Ok(Some(Order { finding, instances, refused, asked }))
}
