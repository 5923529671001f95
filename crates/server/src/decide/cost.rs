//! The life-cycle cost under sliders.

use touchmark_economics::EconomicsError;
use touchmark_economics::cost::{self, Choices, Only, Options, Storage};
use touchmark_economics::planner::{Authority, Revocation};
use touchmark_economics::report::Report;

use super::{Asked, Own, Range, choice, range, sliders};
use crate::dashboard::view;

/// As many as a computer samples within the time between two pictures.
const LIVES: usize = 1_000;

const FLEET: &[Range] = &[
    range("fleet.devices", 1_000.0, 1_000_000.0, 1_000.0),
    range("fleet.lifetime", 1.0, 20.0, 1.0),
    range("part.secure-element.price", 0.0, 10.0, 0.05),
    range("part.tpm.price", 0.0, 15.0, 0.05),
    range("part.enclave.price", 0.0, 5.0, 0.05),
];
const CERTIFICATES: &[Range] = &[
    range("certificate.lifetime", 7.0, 3_650.0, 1.0),
    range("ca.own.setup", 0.0, 500_000.0, 5_000.0),
    range("ca.own.staff", 0.0, 5.0, 0.05),
    range("hsm.machines", 0.0, 6.0, 1.0),
];
const WATCHING: &[Range] = &[
    range("alerts.behaviour", 0.0, 0.05, 0.0005),
    range("alerts.duplicates", 0.0, 0.1, 0.0005),
    range("investigation.minutes", 0.0, 240.0, 1.0),
    range("people.analyst", 0.0, 200.0, 1.0),
    range("monitoring.behaviour.posts", 0.0, 5.0, 0.05),
    range("monitoring.duplicates.posts", 0.0, 5.0, 0.05),
    range("visits.price", 0.0, 2_000.0, 25.0),
];
const INCIDENTS: &[Range] = &[
    range("incidents.secure-element.rate", 0.0, 1.0, 0.005),
    range("incidents.software.rate", 0.0, 1.0, 0.005),
    range("incidents.cost", 0.0, 10_000_000.0, 50_000.0),
    range("finance.discount-rate", 0.0, 0.2, 0.005),
];

pub(super) const ALL: &[&[Range]] = &[FLEET, CERTIFICATES, WATCHING, INCIDENTS];

pub(super) fn controls(asked: &Asked, own: &Own) -> Vec<view::Controls> {
    let usual = Options::default();
    let choices = vec![
        choice(
            "storage",
            "Held against software",
            &Storage::hardware().iter().map(|one| (one.word(), one.title())).collect::<Vec<_>>(),
            usual.storage.word(),
            asked,
        ),
        choice(
            "authority",
            "Certificates from",
            &Authority::ALL.iter().map(|one| (one.word(), one.title())).collect::<Vec<_>>(),
            usual.choices.authority.word(),
            asked,
        ),
        choice(
            "revocation",
            "Revocation by",
            &Revocation::ALL.iter().map(|one| (one.word(), one.title())).collect::<Vec<_>>(),
            usual.choices.revocation.word(),
            asked,
        ),
        choice("discounted", "Later years", &[("no", "count in full"), ("yes", "count less")], "no", asked),
    ];
    vec![
        view::Controls { title: "Choices".to_owned(), controls: choices },
        sliders("Fleet", FLEET, asked, own),
        sliders("Certificates", CERTIFICATES, asked, own),
        sliders("Watching", WATCHING, asked, own),
        sliders("Incidents and money", INCIDENTS, asked, own),
    ]
}

pub(super) fn report(asked: &Asked, own: &Own) -> Result<Report, EconomicsError> {
    let inputs = own.inputs(asked, ALL)?;
    let usual = Options::default();
    let choices = Choices {
        authority: asked.get("authority").map_or(Ok(usual.choices.authority), str::parse)?,
        revocation: asked.get("revocation").map_or(Ok(usual.choices.revocation), str::parse)?,
        discounted: asked.get("discounted") == Some("yes"),
    };
    let storage = asked.get("storage").map_or(Ok(usual.storage), str::parse)?;
    cost::report(&inputs, &Options { choices, storage, only: Only::Cost, lives: LIVES, ..usual })
}
