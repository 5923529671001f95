//! The policy: which finding climbs which ladder.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use touchmark_identity::assurance::Regime;
use touchmark_identity::finding::{Certainty, Finding, Kind};

use super::ResponseError;

/// Rules that a policy holds at most.
const MAX_RULES: usize = 256;
/// Groups that a policy holds at most.
const MAX_GROUPS: usize = 256;
/// Steps of one ladder at most, and patterns or types of one group.
const MAX_ENTRIES: usize = 64;
/// The longest name or pattern, in bytes.
const MAX_NAME_BYTES: usize = 128;
/// The longest wait: 366 days, in seconds.
const MAX_WAIT_S: u32 = 366 * 86_400;

/// A step of a ladder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Ask every instance for a fresh signature, and for evidence where the key is claimed to live in a chip.
    Challenge,
    /// Take rights from all instances but the likely original.
    ReduceRights,
    /// Ask that the likely original be given a new key.
    RekeyWinner,
    /// Cut the device's rights, the original's included.
    Quarantine,
    /// Send somebody to the device.
    WorkOrder,
    /// Ask a person to revoke. The ladder never revokes by itself.
    Revoke,
}

impl Step {
    /// The word for it in the policy.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Challenge => "challenge",
            Self::ReduceRights => "reduce-rights",
            Self::RekeyWinner => "rekey-winner",
            Self::Quarantine => "quarantine",
            Self::WorkOrder => "work-order",
            Self::Revoke => "revoke",
        }
    }
}

/// What may follow from a suspicion: nothing that costs a device anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Harmless {
    /// Nothing but to wait for more.
    #[default]
    Watch,
    /// The step [`Step::Challenge`].
    Challenge,
}

/// What becomes of one image on several devices (findings of kind `installer-duplicate`), once confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Duplicates {
    /// The newest instance stays; the others lose rights.
    Replace,
    /// The oldest instance stays; the others lose rights.
    Reject,
    /// All stay. It is written down, and nothing else.
    Allow,
}

/// A step and how long it is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rung {
    /// The step.
    pub step: Step,
    /// Seconds until the next step, 0 to 31 622 400 (366 days). Default 0: the next step follows at once.
    #[serde(default)]
    pub wait_s: u32,
}

/// Devices that are treated alike. A device belongs to a group by its name or its type.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Group {
    /// Patterns of device names: `*` stands for any characters, `?` for one.
    pub names: Vec<String>,
    /// Device types, as the registry has them.
    pub device_types: Vec<String>,
    /// What becomes of installer duplicates; without it, the rules decide as for other findings.
    pub duplicates: Option<Duplicates>,
}

/// One rule: what it is about, and its ladder. The first rule that matches a finding decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name, unique, 1 to 128 bytes; every act names it.
    pub name: String,
    /// Kinds of findings; empty or absent stands for all.
    #[serde(default)]
    pub kinds: Vec<Kind>,
    /// The least grade: `suspect` or `confirmed`. Default `confirmed`. Notes never open a case.
    #[serde(default = "confirmed")]
    pub grade: Certainty,
    /// The regime; absent stands for both.
    #[serde(default)]
    pub regime: Option<Regime>,
    /// The group; absent stands for all devices.
    #[serde(default)]
    pub group: Option<String>,
    /// What follows from a suspicion, where `grade` lets it in: `watch` (default) or `challenge`.
    #[serde(default)]
    pub suspects: Harmless,
    /// Percent, 50 to 100, from which the likely original is taken for the original. Default 90. Below it the steps
    /// that need to know it are left out, and the record says so.
    #[serde(default = "ninety")]
    pub original_percent: u8,
    /// The steps in their order, each at most once; `revoke` is the last.
    pub ladder: Vec<Rung>,
}

fn confirmed() -> Certainty {
    Certainty::Confirmed
}

fn ninety() -> u8 {
    90
}

/// Rules and groups that were checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    rules: Vec<Rule>,
    groups: BTreeMap<String, Group>,
}

impl Policy {
    /// Checks rules and groups. An empty policy is valid: nothing follows from any finding.
    ///
    /// # Errors
    /// [`ResponseError::Policy`] names the rule or group and what is wrong with it.
    pub fn new(rules: Vec<Rule>, groups: BTreeMap<String, Group>) -> Result<Self, ResponseError> {
        let wrong = |name: &str, detail: String| {
            let rule = name.chars().take(MAX_NAME_BYTES).collect();
            Err(ResponseError::Policy { rule, detail })
        };
        if rules.len() > MAX_RULES || groups.len() > MAX_GROUPS {
            let detail = format!(
                "{} rules and {} groups, at most {MAX_RULES} and {MAX_GROUPS} are kept",
                rules.len(),
                groups.len()
            );
            return wrong("", detail);
        }
        for (name, group) in &groups {
            let texts = || group.names.iter().chain(&group.device_types);
            if texts().next().is_none() {
                return wrong(
                    name,
                    "the group has neither names nor device_types: no device is in it".to_owned(),
                );
            }
            if texts().count() > MAX_ENTRIES
                || texts().any(|text| text.is_empty() || text.len() > MAX_NAME_BYTES)
            {
                let detail =
                    format!("a group has at most {MAX_ENTRIES} entries of 1 to {MAX_NAME_BYTES} bytes each");
                return wrong(name, detail);
            }
        }
        for (at, rule) in rules.iter().enumerate() {
            if let Some(detail) = objection(rule, &groups) {
                return wrong(&rule.name, detail);
            }
            if rules.iter().take(at).any(|before| before.name == rule.name) {
                return wrong(&rule.name, "two rules have this name, give each its own".to_owned());
            }
        }
        Ok(Self { rules, groups })
    }

    /// Whether nothing follows from any finding.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The rule that decides about a finding, if one does. `device_type` is the registry's word.
    #[must_use]
    pub fn rule_for(&self, finding: &Finding, device_type: Option<&str>) -> Option<&Rule> {
        if finding.grade == Certainty::Note {
            return None;
        }
        self.rules.iter().find(|rule| {
            finding.grade >= rule.grade
                && (rule.kinds.is_empty() || rule.kinds.contains(&finding.kind))
                && rule.regime.is_none_or(|regime| regime == finding.regime)
                && rule.group.as_deref().is_none_or(|group| {
                    self.groups.get(group).is_some_and(|g| g.holds(finding.device.as_deref(), device_type))
                })
        })
    }

    /// What its group says about an installer duplicate; with several groups, the first by name that says something.
    #[must_use]
    pub fn duplicates_for(&self, finding: &Finding, device_type: Option<&str>) -> Option<Duplicates> {
        if finding.kind != Kind::InstallerDuplicate {
            return None;
        }
        let device = finding.device.as_deref();
        self.groups
            .values()
            .filter(|group| group.holds(device, device_type))
            .find_map(|group| group.duplicates)
    }
}

/// What is wrong with a rule.
fn objection(rule: &Rule, groups: &BTreeMap<String, Group>) -> Option<String> {
    if rule.name.is_empty() || rule.name.len() > MAX_NAME_BYTES {
        return Some(format!("the name has {} bytes, give it 1 to {MAX_NAME_BYTES}", rule.name.len()));
    }
    if rule.grade == Certainty::Note {
        return Some("a note never opens a case: set grade to suspect or confirmed".to_owned());
    }
    if rule.suspects == Harmless::Challenge && rule.grade == Certainty::Confirmed {
        return Some("suspects = \"challenge\" needs grade = \"suspect\"".to_owned());
    }
    if let Some(group) = rule.group.as_ref().filter(|group| !groups.contains_key(*group)) {
        return Some(format!("there is no group {group:?}: add [groups.{group}]"));
    }
    if !(50..=100).contains(&rule.original_percent) {
        return Some(format!("original_percent is {}, it goes from 50 to 100", rule.original_percent));
    }
    if rule.ladder.is_empty() && rule.suspects == Harmless::Watch {
        return Some("the ladder is empty and nothing follows: leave the rule out".to_owned());
    }
    for (at, rung) in rule.ladder.iter().enumerate() {
        if rung.wait_s > MAX_WAIT_S {
            return Some(format!("wait_s is {}, at most {MAX_WAIT_S} is kept", rung.wait_s));
        }
        if rule.ladder.iter().take(at).any(|before| before.step == rung.step) {
            return Some(format!("the step {} stands twice", rung.step.as_str()));
        }
        if rung.step == Step::Revoke && at + 1 != rule.ladder.len() {
            return Some("revoke is the last step: nothing can follow it".to_owned());
        }
    }
    None
}

impl Group {
    fn holds(&self, device: Option<&str>, device_type: Option<&str>) -> bool {
        device_type.is_some_and(|found| self.device_types.iter().any(|wanted| wanted == found))
            || device.is_some_and(|name| {
                self.names.iter().any(|pattern| matches(pattern.as_bytes(), name.as_bytes()))
            })
    }
}

/// Whether a pattern of `*` (any bytes) and `?` (one byte) matches; device names are ASCII. Only the last star is ever
/// tried again, so the time is at most the product of both lengths.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut from) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(&byte) = text.get(from) {
        match pattern.get(at) {
            Some(b'*') => {
                star = Some((at, from));
                at += 1;
            }
            Some(&wanted) if wanted == b'?' || wanted == byte => {
                at += 1;
                from += 1;
            }
            _ => match star {
                Some((place, taken)) => {
                    star = Some((place, taken + 1));
                    at = place + 1;
                    from = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(at).all(|&byte| byte == b'*')
}

#[cfg(test)]
mod tests;
