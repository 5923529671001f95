//! What one choice of authority, method and lifetime costs.

use super::{Authority, Revocation};
use crate::EconomicsError;
use crate::cost::Fleet;
use crate::expr::Expr;
use crate::input::Inputs;
use crate::unit::{
    Certificates, CertificatesPerDevice, CertificatesPerMonth, CertificatesPerYear, Days, DaysPerYear,
    HoursPerYear, Months, MonthsPerYear, One, Pieces, Unit, Usd, UsdPerCertificate, UsdPerCertificateMonth,
    UsdPerHour, UsdPerMonth, UsdPerPiece, UsdPerPieceHour, UsdPerPieceMonth, UsdPerYear, Years,
};

/// What something costs once, when the devices are made, and each year of their life.
#[derive(Debug, Clone, Default)]
pub struct Part {
    /// Once.
    pub once: Option<Expr<Usd>>,
    /// Each year.
    pub yearly: Option<Expr<UsdPerYear>>,
}

/// The certificates of a fleet over its life, and what they cost with one authority and one method of revocation.
#[derive(Debug, Clone)]
pub struct Service {
    /// Certificates issued over the life of the fleet.
    pub certificates: Expr<Certificates>,
    /// How long a certificate is believed after it was revoked.
    pub exposure: Expr<Days>,
    /// The authority: its set-up, its people, its monthly price.
    pub authority: Part,
    /// The HSMs of one's own authority; a managed one has its own.
    pub hsm: Part,
    /// Issuing.
    pub issuing: Part,
    /// Telling relying parties what is revoked.
    pub revocation: Part,
}

impl Service {
    /// The service for certificates of this lifetime. Its figures' ids begin with `prefix`.
    ///
    /// # Errors
    /// EC-0002 where an input is missing.
    pub fn new(
        inputs: &Inputs,
        fleet: &Fleet,
        lifetime: &Expr<Days>,
        (authority, revocation): (Authority, Revocation),
        prefix: &str,
    ) -> Result<Self, EconomicsError> {
        let held =
            fleet.devices.clone() * inputs.quantity::<CertificatesPerDevice>("certificate.per-device")?;
        let held = held.named("certificate.held", "Certificates that the fleet holds");
        let renewals = renewals(inputs, fleet, lifetime)?;
        let renewals =
            renewals.named(format!("{prefix}.renewals"), "Renewals of one certificate over the life");
        let renewed = held.times(&renewals) / fleet.lifetime.clone();
        let renewed = renewed.named(format!("{prefix}.renewed"), "Certificates renewed in a year");
        let certificates = held.clone() + held.times(&renewals);
        let certificates =
            certificates.named(format!("{prefix}.certificates"), "Certificates over the life of the fleet");
        let short = match (authority, revocation) {
            (Authority::Managed, Revocation::None) => {
                Some(inputs.quantity::<Days>("ca.managed.short-limit")?.at_least(lifetime).named(
                    format!("{prefix}.short"),
                    "Whether the price for short-lived certificates applies",
                ))
            }
            _ => None,
        };
        let issuing = match authority {
            Authority::Own => Part::default(),
            Authority::Managed => issuing(inputs, fleet, (&held, &renewed), short.as_ref(), prefix)?,
        };
        Ok(Self {
            certificates,
            exposure: exposure(inputs, lifetime, revocation)?,
            authority: match authority {
                Authority::Managed => managed(inputs, short.as_ref())?,
                Authority::Own => own(inputs)?,
            },
            hsm: match authority {
                Authority::Managed => Part::default(),
                Authority::Own => machines(inputs)?,
            },
            issuing,
            revocation: revoking(inputs, &held, (authority, revocation))?,
        })
    }

    /// All that it costs once.
    #[must_use]
    pub fn once(&self) -> Expr<Usd> {
        Expr::sum(self.parts().iter().filter_map(|part| part.once.as_ref()))
    }

    /// All that it costs each year.
    #[must_use]
    pub fn yearly(&self) -> Expr<UsdPerYear> {
        Expr::sum(self.parts().iter().filter_map(|part| part.yearly.as_ref()))
    }

    fn parts(&self) -> [&Part; 4] {
        [&self.authority, &self.hsm, &self.issuing, &self.revocation]
    }
}

/// How often a certificate is renewed in the life of its device. One that is valid for the whole life is not.
fn renewals(inputs: &Inputs, fleet: &Fleet, lifetime: &Expr<Days>) -> Result<Expr<One>, EconomicsError> {
    let year = Expr::<DaysPerYear>::defined(365.0, "days in a year");
    let valid = lifetime.clone() / year;
    let used = valid.times(&inputs.quantity::<One>("certificate.renewed-at")?);
    let end = Expr::defined(1e-6, "a renewal that is due with the end of the life is not made");
    let due = (fleet.lifetime.ratio(&used) - end).ceil() - one();
    let due = due.max(&Expr::defined(0.0, "no renewal"));
    Ok(due.times(&(one() - valid.at_least(&fleet.lifetime))))
}

/// Managed: by tiers of each month's volume, or the price of a short-lived one.
fn issuing(
    inputs: &Inputs,
    fleet: &Fleet,
    (held, renewed): (&Expr<Certificates>, &Expr<CertificatesPerYear>),
    short: Option<&Expr<One>>,
    prefix: &str,
) -> Result<Part, EconomicsError> {
    let year = months();
    let made =
        (fleet.production.clone() * year.clone()).max(&Expr::<Months>::defined(1.0, "at least a month"));
    let made = made.named("certificate.months", "Months in which the first certificates are issued");
    let first = (held.clone() / made.clone()).named("certificate.first", "First certificates in a month");
    let later = renewed.clone() / year.clone();
    let later = later.named(format!("{prefix}.renewed.month"), "Certificates renewed in a month");
    let first =
        tiers(inputs, &first)?.named("certificate.first.price", "First certificates, a month, by tiers");
    let later = tiers(inputs, &later)?
        .named(format!("{prefix}.renewed.month.price"), "Renewed certificates, a month, by tiers");
    let (once, yearly) = (first * made, later * year);
    let Some(short) = short else {
        return Ok(Part { once: Some(once), yearly: Some(yearly) });
    };
    let price = inputs.quantity::<UsdPerCertificate>("ca.managed.price-short")?;
    Ok(Part {
        once: Some(either(short, &(price.clone() * held.clone()), &once)),
        yearly: Some(either(short, &(price * renewed.clone()), &yearly)),
    })
}

/// A month's certificates by the price list.
fn tiers(inputs: &Inputs, month: &Expr<CertificatesPerMonth>) -> Result<Expr<UsdPerMonth>, EconomicsError> {
    let price = |tier: &str| inputs.quantity::<UsdPerCertificate>(&format!("ca.managed.price-{tier}"));
    let up_to = |tier: &str| -> Result<_, EconomicsError> {
        Ok(month.min(&inputs.quantity::<CertificatesPerMonth>(&format!("ca.managed.tier-{tier}"))?))
    };
    let (first, second) = (up_to("first")?, up_to("second")?);
    let second = second.max(&first);
    Ok(price("first")? * first.clone()
        + price("second")? * (second.clone() - first)
        + price("rest")? * (month.clone() - second))
}

fn managed(inputs: &Inputs, short: Option<&Expr<One>>) -> Result<Part, EconomicsError> {
    let month = inputs.quantity::<UsdPerPieceMonth>("ca.managed.month")?;
    let month = match short {
        Some(short) => either(short, &inputs.quantity("ca.managed.month-short")?, &month),
        None => month,
    };
    let yearly = month * months() * inputs.quantity::<Pieces>("ca.managed.authorities")?;
    Ok(Part { once: None, yearly: Some(yearly) })
}

fn own(inputs: &Inputs) -> Result<Part, EconomicsError> {
    let post = inputs.quantity::<HoursPerYear>("people.year")?;
    let work = post.times(&inputs.quantity("ca.own.staff")?);
    Ok(Part {
        once: Some(inputs.quantity("ca.own.setup")?),
        yearly: Some(inputs.quantity::<UsdPerHour>("people.engineer")? * work),
    })
}

fn machines(inputs: &Inputs) -> Result<Part, EconomicsError> {
    let machines = inputs.quantity::<Pieces>("hsm.machines")?;
    let hours = Expr::<HoursPerYear>::defined(8760.0, "hours in a year");
    Ok(Part {
        once: Some(inputs.quantity::<UsdPerPiece>("hsm.purchase")? * machines.clone()),
        yearly: Some(inputs.quantity::<UsdPerPieceHour>("hsm.hour-price")? * hours * machines),
    })
}

fn revoking(
    inputs: &Inputs,
    held: &Expr<Certificates>,
    choice: (Authority, Revocation),
) -> Result<Part, EconomicsError> {
    let yearly = match choice {
        (_, Revocation::None) => return Ok(Part::default()),
        (_, Revocation::Crl) => inputs.quantity("revocation.crl.hosting")?,
        (Authority::Own, Revocation::Ocsp) => inputs.quantity("revocation.ocsp.hosting")?,
        (Authority::Managed, Revocation::Ocsp) => {
            inputs.quantity::<UsdPerCertificateMonth>("ca.managed.ocsp")?
                * inputs.quantity::<MonthsPerYear>("ca.managed.ocsp-months")?
                * held.clone()
        }
    };
    Ok(Part { once: None, yearly: Some(yearly) })
}

fn exposure(
    inputs: &Inputs,
    lifetime: &Expr<Days>,
    revocation: Revocation,
) -> Result<Expr<Days>, EconomicsError> {
    Ok(match revocation {
        Revocation::None => lifetime.clone(),
        Revocation::Crl => inputs.quantity::<Days>("revocation.crl.validity")?.min(lifetime),
        Revocation::Ocsp => inputs.quantity::<Days>("revocation.ocsp.validity")?.min(lifetime),
    })
}

/// The first where the condition is 1, the second where it is 0.
fn either<U: Unit>(condition: &Expr<One>, then: &Expr<U>, otherwise: &Expr<U>) -> Expr<U> {
    then.times(condition) + otherwise.times(&(one() - condition.clone()))
}

fn one() -> Expr<One> {
    Expr::defined(1.0, "one")
}

fn months() -> Expr<MonthsPerYear> {
    Expr::defined(12.0, "months in a year")
}

/// The lifetime of a certificate that lasts as long as its device.
pub(super) fn whole_life(fleet: &Fleet) -> Expr<Days> {
    Expr::<DaysPerYear>::defined(365.0, "days in a year") * fleet.lifetime.clone()
}

/// The years that are paid for.
pub(super) fn over(part: &Part, years: &Expr<Years>) -> Expr<Usd> {
    let yearly = part.yearly.as_ref().map(|yearly| yearly.clone() * years.clone());
    Expr::sum(part.once.iter().chain(yearly.iter()))
}
