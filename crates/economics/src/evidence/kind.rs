//! Kinds of evidence: what clauses ask for, and where in the product each would come from.

use serde::{Deserialize, Serialize};

/// Where evidence of a kind comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Adapter {
    /// The authority's registry.
    Registry,
    /// The log of events, findings and responses in a server's data directory.
    Events,
    /// A part of the product that keeps no such records yet.
    NotYet,
    /// The maker's own papers, which no program has; an artefact can be named.
    Papers,
}

macro_rules! kinds {
    ($($kind:ident = $word:literal, $adapter:ident, $title:literal, $remedy:literal;)*) => {
        /// A kind of evidence.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Kind { $(#[doc = $title] #[serde(rename = $word)] $kind),* }

        impl Kind {
            /// All kinds.
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            /// The word in data files and in JSON.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self { $(Self::$kind => $word),* }
            }

            /// What people read.
            #[must_use]
            pub fn title(self) -> &'static str {
                match self { $(Self::$kind => $title),* }
            }

            /// Where it comes from.
            #[must_use]
            pub fn adapter(self) -> Adapter {
                match self { $(Self::$kind => Adapter::$adapter),* }
            }

            /// What to do where it is missing or thin.
            #[must_use]
            pub fn remedy(self) -> &'static str {
                match self { $(Self::$kind => $remedy),* }
            }
        }
    };
}

kinds! {
    Inventory = "inventory", Registry, "Inventory of devices, keys and certificates",
        "enrol every device with the authority; `touchmark authority enrol` registers one";
    UniqueIdentity = "unique-identity", Registry, "A key of its own for each device",
        "enrol each device with a key that was generated on it, and replace keys that open other devices";
    KeyStorageClass = "key-storage-class", Registry, "Where each key lives, and how that is known",
        "enrol with evidence, so that storage is proven and not claimed";
    Attestation = "attestation", Registry, "Evidence that an endorser's root vouches for",
        "let devices enrol with evidence of their chip, and pin the roots of its maker";
    KeyProvenance = "key-provenance", Registry, "Where each key came from",
        "generate keys on the chip, and let evidence say so";
    HostBinding = "host-binding", Registry, "Whether each chip is bound to its board",
        "bind chip and host, for instance by a platform key of the chip's secure channel";
    PartInventory = "part-inventory", Registry, "Part, revision and library version of each key's chip",
        "enrol with evidence that names the part, or have the line's journal name it";
    CertificationReference = "certification-reference", Registry, "The certification of each key's part",
        "add the part's certificate to the reference values that evidence is appraised against";
    ClassBreakCheck = "class-break-check", Registry, "Keys checked against published breaks of their part",
        "apply published breaks with `touchmark authority class-break`, and replace keys that they hit";
    CertificateLifecycle = "certificate-lifecycle", Registry, "Certificates issued, renewed and expired",
        "renew what has expired or is about to, and let devices renew by themselves";
    RevocationRecords = "revocation-records", Registry, "Revocations, and the list that says so",
        "keep the list current, and exercise revocation with a device of your own";
    AuthorityJournal = "authority-journal", Registry, "Journal of the authority's acts, chained by hashes",
        "keep the registry's database, and compare its journal with a copy where the chain is broken";
    AffectedCohort = "affected-cohort", Registry, "Which products and devices have a given part or version",
        "record part and versions with every key, then ask with `touchmark decide evidence --affected-part`";
    EventLog = "event-log", Events, "Log of the use of device keys",
        "feed connection logs and heartbeats to `touchmark server run`";
    CloneAlerts = "clone-alerts", Events, "Findings about copied keys and misused chips",
        "feed connection logs and heartbeats to the monitor, which writes findings";
    DowngradeAlerts = "downgrade-alerts", Events, "Findings about older firmware than allowed",
        "let devices report their firmware in heartbeats, and set the oldest version that is allowed";
    FirmwareVersions = "firmware-versions", Events, "Firmware that devices report",
        "let devices report their firmware in heartbeats";
    ResponseRecords = "response-records", Events, "What was done about findings",
        "give the server a policy of response, and decide about findings on the dashboard";
    PersonalisationJournal = "personalisation-journal", NotYet, "Journal of the factory line",
        "keep the line's own records until personalisation is part of the product, and name them as an artefact";
    DebugLock = "debug-lock", NotYet, "Record that each unit's debug interface was closed",
        "have the line read the lock back on each unit and keep that, and name it as an artefact";
    UpdatePolicy = "update-policy", NotYet, "Who signs updates, and what devices check",
        "write down keys, thresholds and checks of updates, and name that as an artefact";
    UpdateRecords = "update-records", NotYet, "Records of updates: offered, installed, refused",
        "keep the records of whatever distributes updates today, and name them as an artefact";
    BootIntegrity = "boot-integrity", NotYet, "Results of checks at boot",
        "have devices report measured or verified boot, and name the reports as an artefact";
    ImageAudit = "image-audit", NotYet, "Firmware images searched for secrets and known flaws",
        "search each image before its release, and name the report as an artefact";
    AttackResults = "attack-results", NotYet, "What attacks on the product were tried, and what fell",
        "try them with `touchmark lab` or have them tried, and name the report as an artefact";
    HsmCustody = "hsm-custody", NotYet, "Custody of the authority's and the update's signing keys",
        "keep minutes of the key ceremony and of every use, and name them as an artefact";
    ErasureRecords = "erasure-records", NotYet, "Erasure of user data and of the owner's keys",
        "show that erasing leaves the maker's identity and nothing of the user's, and name the test as an artefact";
    RiskAssessment = "risk-assessment", Papers, "Written assessment of risk, with the reason for the key's storage",
        "run `touchmark decide storage` for the product, and name the assessment as an artefact";
    SupportPeriod = "support-period", Papers, "End of support, as stated to buyers",
        "state it, and name the page as an artefact";
    UserOptOut = "user-opt-out", Papers, "How a user opts out of updates or of recording",
        "describe the switch and what it stops, and name the description as an artefact";
    VulnerabilityHandling = "vulnerability-handling", Papers, "How reports of vulnerabilities are taken and passed on",
        "write down who answers and who notifies the authorities, and name it as an artefact";
    OwnerRoot = "owner-root", Papers, "How an owner brings in a root of trust of its own",
        "describe and test it, and name the test as an artefact";
}

impl Kind {
    /// The kind of this word.
    #[must_use]
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.word() == word)
    }
}

impl Adapter {
    /// What people read.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Registry => "the registry",
            Self::Events => "the log of events and findings",
            Self::NotYet => "no part of the product yet",
            Self::Papers => "your own papers",
        }
    }
}
