//! What an element holds, for its owner's eyes: no key, and nothing that a host wrote.

use std::path::Path;

use serde::Serialize;

use crate::Element;
use crate::error::ElementError;
use crate::fault::Fault;
use crate::flaw::Flaw;
use crate::gp::Gp;
use crate::object::{Body, State};
use crate::store::StateDir;

/// What an element holds. Bytes are in hex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// The chip's unique id, 18 bytes.
    pub chip_id: String,
    /// The version of the applet, as in SELECT's answer.
    pub applet_version: String,
    /// The flaw of the class that the element is of.
    pub flaw: Option<Flaw>,
    /// How often it was started.
    pub starts: u32,
    /// The card's life cycle, as GlobalPlatform Card Specification 2.3.1 §5.1 names it.
    pub life_cycle: String,
    /// Room for objects that is left, in bytes.
    pub free_bytes: usize,
    /// The registry.
    pub instances: Vec<InstanceRow>,
    /// The key sets of the security domains, without the keys.
    pub key_sets: Vec<KeySetRow>,
    /// The applet's objects.
    pub objects: Vec<ObjectRow>,
    /// The faults that are armed.
    pub faults: Vec<String>,
}

/// An application or a security domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InstanceRow {
    /// Its name.
    pub aid: String,
    /// The domain to which it belongs.
    pub domain: String,
    /// The executable load file of which it was made.
    pub load_file: String,
    /// Its life cycle state, one byte (§5.3).
    pub life_cycle: String,
    /// Its privileges, three bytes (§6.6.1).
    pub privileges: String,
}

/// A key set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeySetRow {
    /// The domain that has it.
    pub domain: String,
    /// Key version number, one byte.
    pub version: String,
    /// The length of its keys, in bits.
    pub bits: usize,
    /// The SCP03 parameter i, one byte.
    pub parameter: String,
    /// The sequence counter of SCP03.
    pub sequence: u32,
    /// Wrong cryptograms one after another.
    pub failures: u32,
}

/// An object of the applet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ObjectRow {
    /// Its id, four bytes.
    pub id: String,
    /// Its type.
    #[serde(rename = "type")]
    pub object_type: String,
    /// Where its value came from, one byte: 01 from outside, 02 made on the chip, 03 by the maker.
    pub origin: String,
    /// Room that it takes, in bytes.
    pub bytes: usize,
    /// The value of a counter.
    pub value: Option<u64>,
    /// Its policies.
    pub policies: Vec<PolicyRow>,
}

/// A policy of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyRow {
    /// The authentication object, four bytes; 00000000 for everybody.
    pub authentication: String,
    /// The access rules, four bytes.
    pub rules: String,
}

impl Element {
    /// What the element in `dir` holds. It is not started, and may be in use by another process.
    ///
    /// # Errors
    /// [`ElementError::Missing`] when there is none, [`ElementError::Corrupt`] when its state cannot be understood.
    pub fn inspect(dir: &Path) -> Result<Inspection, ElementError> {
        let (state, gp) = StateDir::read(dir)?;
        let gp = gp.map_or_else(crate::new_gp, Ok)?;
        let faults = Fault::armed(dir)?.iter().map(ToString::to_string).collect();
        Ok(Inspection { faults, ..inspect(&state, &gp) })
    }
}

fn byte(value: u8) -> String {
    format!("{value:02x}")
}

fn word(value: u32) -> String {
    format!("{value:08x}")
}

fn inspect(state: &State, gp: &Gp) -> Inspection {
    let instances = gp.instances.iter().map(|row| InstanceRow {
        aid: hex::encode(row.aid.bytes()),
        domain: hex::encode(row.domain.bytes()),
        load_file: hex::encode(row.elf.bytes()),
        life_cycle: if gp.is_issuer(&row.aid) { byte(gp.card.byte()) } else { byte(row.life_cycle) },
        privileges: hex::encode(gp.privileges(row)),
    });
    let key_sets = gp.keys.iter().map(|set| KeySetRow {
        domain: hex::encode(set.domain.bytes()),
        version: byte(set.version),
        bits: set.keys.first().map_or(0, |key| 8 * key.bytes().len()),
        parameter: byte(set.parameter),
        sequence: set.sequence,
        failures: set.failures,
    });
    let objects = state.objects.iter().map(|(id, object)| ObjectRow {
        id: word(*id),
        object_type: object.object_type().to_string(),
        origin: byte(object.origin.0),
        bytes: object.footprint(),
        value: match object.body {
            Body::Counter { value, .. } => Some(value),
            _ => None,
        },
        policies: object
            .policies
            .iter()
            .map(|policy| PolicyRow { authentication: word(policy.authentication), rules: word(policy.rule) })
            .collect(),
    });
    Inspection {
        chip_id: hex::encode(state.chip_id),
        applet_version: hex::encode(state.applet.version(gp.flaw).encode()),
        flaw: gp.flaw,
        starts: state.boots,
        life_cycle: gp.card.name().to_owned(),
        free_bytes: state.free_bytes(),
        instances: instances.collect(),
        key_sets: key_sets.collect(),
        objects: objects.collect(),
        faults: Vec::new(),
    }
}
