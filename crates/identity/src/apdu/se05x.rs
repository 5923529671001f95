//! The SE05x-compatible commands: one table that the host driver, the virtual element and the documentation draw on.
//!
//! Facts follow NXP AN12413 (SE050 APDU specification, applet 3.x) as NXP's published host libraries show them:
//! Plug & Trust mini package 04.07 (`se05x_enums.h`, `se05x_APDU_apis.h`) and nano package 1.5. What applet 7.2 (AN12543 for
//! SE051) does otherwise is here as far as attested reads go. The names here are
//! ours; the numbers are the interface. To add a command, add one row to the table (`se05x/table.rs`): the applet then
//! has to answer it, and the documentation has to show it, or tests fail.

mod attributes;
pub mod bound;
mod command;
mod id;
mod policy;
mod table;
mod tag;
#[cfg(test)]
mod tests;
mod value;
mod version;

pub use attributes::{Attributes, ObjectType, Origin};
pub use command::{CommandSpec, Field, Unknown, markdown_table};
pub use id::*;
pub use policy::{AttributesError, Policy, SessionPolicy, rule};
pub use table::Instruction;
pub use tag::*;
pub use value::*;
pub use version::{AppletVersion, ReadLayout};

/// The application identifier of the IoT applet, 16 bytes.
pub const AID: [u8; 16] =
    [0xA0, 0x00, 0x00, 0x03, 0x96, 0x54, 0x53, 0x00, 0x00, 0x00, 0x01, 0x03, 0x00, 0x00, 0x00, 0x00];
/// The class byte of the applet's commands without secure messaging.
pub const CLA: u8 = 0x80;
