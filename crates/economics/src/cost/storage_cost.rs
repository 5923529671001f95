//! The lines of one storage's cost.

use serde::Serialize;

use super::{Choices, Fleet, Regime, Storage};
use crate::EconomicsError;
use crate::expr::Expr;
use crate::input::Inputs;
use crate::planner::{Part, Service, words};
use crate::unit::{
    AlertsPerDeviceYear, AlertsPerYear, Hours, HoursPerYear, IncidentsPerYear, MinutesPerAlert,
    MinutesPerHour, One, Pieces, SecondsPerDevice, SecondsPerHour, SquareMillimetresPerDevice, Usd,
    UsdPerAlert, UsdPerDevice, UsdPerDeviceYear, UsdPerHour, UsdPerIncident, UsdPerPiece, UsdPerPieceHour,
    UsdPerSquareMillimetre, UsdPerVisit, UsdPerYear, VisitsPerAlert,
};

/// A line of the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// The part itself.
    Components,
    /// Passive parts and area of the board.
    Board,
    /// Drivers, until the key store works on the device.
    Integration,
    /// Time at the stations of the line.
    Provisioning,
    /// HSMs, at the line and of one's own authority.
    Hsm,
    /// The authority.
    Authority,
    /// Certificates issued.
    Certificates,
    /// Telling who is revoked.
    Revocation,
    /// Platform and people that watch.
    Monitoring,
    /// Work on alerts.
    Investigations,
    /// Visits to devices.
    Visits,
    /// Incidents, at the rate that the user gives.
    Incidents,
}

words! { Line: "line of the account",
    Components = "components", "Components";
    Board = "board", "Board";
    Integration = "integration", "Integration";
    Provisioning = "provisioning", "Provisioning";
    Hsm = "hsm", "HSMs";
    Authority = "authority", "Authority";
    Certificates = "certificates", "Certificates";
    Revocation = "revocation", "Revocation";
    Monitoring = "monitoring", "Monitoring";
    Investigations = "investigations", "Investigations";
    Visits = "visits", "Site visits";
    Incidents = "incidents", "Incidents";
}

/// One line of one storage.
#[derive(Debug, Clone)]
pub struct Item {
    /// Which.
    pub line: Line,
    /// Once and each year.
    pub part: Part,
    /// Over the life, discounted where that was chosen.
    pub total: Expr<Usd>,
}

/// What one storage costs.
#[derive(Debug, Clone)]
pub struct StorageCost {
    /// Which.
    pub storage: Storage,
    /// Its lines, one of each kind.
    pub items: Vec<Item>,
    /// Alerts a year.
    pub alerts: Expr<AlertsPerYear>,
    /// All that is paid once.
    pub once: Expr<Usd>,
    /// All that is paid each year.
    pub yearly: Expr<UsdPerYear>,
    /// Over the life, discounted where that was chosen.
    pub total: Expr<Usd>,
    /// Over the life, not discounted.
    pub plain: Expr<Usd>,
    /// Over the life, discounted.
    pub present: Expr<Usd>,
    /// The total for one device.
    pub per_device: Expr<UsdPerDevice>,
    /// The total for one device and year.
    pub per_device_year: Expr<UsdPerDeviceYear>,
}

impl StorageCost {
    pub(super) fn new(
        inputs: &Inputs,
        fleet: &Fleet,
        service: &Service,
        (storage, choices): (Storage, Choices),
    ) -> Result<Self, EconomicsError> {
        let alerts = alerts(inputs, fleet, storage)?;
        let mut items = Vec::new();
        for line in Line::ALL {
            let part = match line {
                Line::Components => components(inputs, fleet, storage)?,
                Line::Board => board(inputs, fleet, storage)?,
                Line::Integration => integration(inputs, storage)?,
                Line::Provisioning => provisioning(inputs, fleet, storage)?,
                Line::Hsm => machines(inputs, fleet, service, storage)?,
                Line::Authority => service.authority.clone(),
                Line::Certificates => service.issuing.clone(),
                Line::Revocation => service.revocation.clone(),
                Line::Monitoring => monitoring(inputs, fleet, storage)?,
                Line::Investigations => investigations(inputs, &alerts, storage)?,
                Line::Visits => visits(inputs, &alerts, storage)?,
                Line::Incidents => incidents(inputs, storage)?,
            };
            items.push(item(fleet, storage, choices, *line, &part));
        }
        let (id, title) = (storage.word(), storage.title());
        let once = Expr::sum(items.iter().filter_map(|item| item.part.once.as_ref()));
        let once = once.named(format!("cost.{id}.once"), format!("{title}: paid once"));
        let yearly = Expr::sum(items.iter().filter_map(|item| item.part.yearly.as_ref()));
        let yearly = yearly.named(format!("cost.{id}.yearly"), format!("{title}: paid each year"));
        let total = Expr::sum(items.iter().map(|item| &item.total));
        let total = total.named(format!("cost.{id}.total"), format!("{title}: total over the life"));
        let plain = once.clone() + yearly.clone() * fleet.lifetime.clone();
        let present = once.clone() + yearly.clone() * fleet.discounted.clone();
        Ok(Self {
            storage,
            alerts,
            plain: plain.named(format!("cost.{id}.plain"), format!("{title}: total, not discounted")),
            present: present.named(format!("cost.{id}.present"), format!("{title}: total, discounted")),
            per_device: (total.clone() / fleet.devices.clone())
                .named(format!("cost.{id}.per-device"), format!("{title}: for one device")),
            per_device_year: (total.clone() / fleet.device_years())
                .named(format!("cost.{id}.per-device-year"), format!("{title}: for one device and year")),
            items,
            once,
            yearly,
            total,
        })
    }

    /// The line of a kind.
    #[must_use]
    pub fn item(&self, line: Line) -> Option<&Item> {
        self.items.iter().find(|item| item.line == line)
    }
}

fn item(fleet: &Fleet, storage: Storage, choices: Choices, line: Line, part: &Part) -> Item {
    let (id, title) = (format!("cost.{}.{}", storage.word(), line.word()), line.title());
    let title = format!("{}: {}", storage.title(), title.to_lowercase());
    let once = part.once.as_ref().map(|once| once.named(format!("{id}.once"), format!("{title}, once")));
    let yearly = part
        .yearly
        .as_ref()
        .map(|yearly| yearly.named(format!("{id}.yearly"), format!("{title}, each year")));
    let years = if choices.discounted { &fleet.discounted } else { &fleet.lifetime };
    let running = yearly.as_ref().map(|yearly| yearly.clone() * years.clone());
    let total = Expr::sum(once.iter().chain(running.iter())).named(id, title);
    Item { line, part: Part { once, yearly }, total }
}

fn once(cost: Expr<Usd>) -> Part {
    Part { once: Some(cost), yearly: None }
}

fn yearly(cost: Expr<UsdPerYear>) -> Part {
    Part { once: None, yearly: Some(cost) }
}

fn components(inputs: &Inputs, fleet: &Fleet, storage: Storage) -> Result<Part, EconomicsError> {
    if storage == Storage::Software {
        return Ok(Part::default());
    }
    let price = inputs.quantity::<UsdPerDevice>(&format!("part.{}.price", storage.word()))?;
    Ok(once(price * fleet.devices.clone()))
}

fn board(inputs: &Inputs, fleet: &Fleet, storage: Storage) -> Result<Part, EconomicsError> {
    if matches!(storage, Storage::Software | Storage::Enclave) {
        return Ok(Part::default());
    }
    let area = inputs.quantity::<SquareMillimetresPerDevice>("board.area")?;
    let area = inputs.quantity::<UsdPerSquareMillimetre>("board.area-price")? * area;
    Ok(once((inputs.quantity::<UsdPerDevice>("board.passives")? + area) * fleet.devices.clone()))
}

fn integration(inputs: &Inputs, storage: Storage) -> Result<Part, EconomicsError> {
    let work = inputs.quantity::<Hours>(&format!("integration.{}", storage.word()))?;
    Ok(once(inputs.quantity::<UsdPerHour>("people.engineer")? * work))
}

fn provisioning(inputs: &Inputs, fleet: &Fleet, storage: Storage) -> Result<Part, EconomicsError> {
    let time =
        inputs.quantity::<SecondsPerDevice>(&format!("provisioning.{}.station-time", storage.word()))?;
    let hours = time / seconds() * fleet.devices.clone();
    let operator = inputs.quantity::<UsdPerHour>("people.operator")?;
    let operator = operator.times(&inputs.quantity("provisioning.operators")?);
    Ok(once((inputs.quantity::<UsdPerHour>("provisioning.station-price")? + operator) * hours))
}

/// As many HSMs stand at the line as its sessions need, and no fewer than may fail; one's own authority has its own.
fn machines(
    inputs: &Inputs,
    fleet: &Fleet,
    service: &Service,
    storage: Storage,
) -> Result<Part, EconomicsError> {
    let session = inputs.quantity::<SecondsPerDevice>(&format!("provisioning.{}.session", storage.word()))?;
    let session = session / seconds() * fleet.devices.clone();
    let line = inputs.quantity::<HoursPerYear>("provisioning.line-hours")? * fleet.production.clone();
    let needed = session.ratio(&line.times(&inputs.quantity::<One>("hsm.sessions")?)).ceil();
    let machines = Expr::<Pieces>::defined(1.0, "one HSM").times(&needed);
    let machines = machines.max(&inputs.quantity("hsm.machines")?);
    let id = format!("cost.{}.hsm.machines", storage.word());
    let machines = machines.named(id, format!("{}: HSMs at the line", storage.title()));
    let hours = Expr::<HoursPerYear>::defined(8760.0, "hours in a year");
    let rent = inputs.quantity::<UsdPerPieceHour>("hsm.hour-price")? * hours;
    let rent = rent * (machines.clone() * fleet.production.clone());
    let bought = inputs.quantity::<UsdPerPiece>("hsm.purchase")? * machines;
    let own = service.hsm.once.iter().cloned().fold(rent + bought, |sum, own| sum + own);
    Ok(Part { once: Some(own), yearly: service.hsm.yearly.clone() })
}

fn monitoring(inputs: &Inputs, fleet: &Fleet, storage: Storage) -> Result<Part, EconomicsError> {
    let regime = storage.regime().word();
    let platform = inputs.quantity::<UsdPerDeviceYear>(&format!("monitoring.{regime}.platform"))?;
    let posts = inputs.quantity::<One>(&format!("monitoring.{regime}.posts"))?;
    let work = inputs.quantity::<HoursPerYear>("people.year")?.times(&posts);
    let people = inputs.quantity::<UsdPerHour>("people.engineer")? * work;
    Ok(yearly(platform * fleet.devices.clone() + people))
}

fn alerts(inputs: &Inputs, fleet: &Fleet, storage: Storage) -> Result<Expr<AlertsPerYear>, EconomicsError> {
    let rate = inputs.quantity::<AlertsPerDeviceYear>(&format!("alerts.{}", storage.regime().word()))?;
    let alerts = rate * fleet.devices.clone();
    Ok(alerts.named(format!("cost.{}.alerts", storage.word()), format!("{}: alerts a year", storage.title())))
}

fn investigations(
    inputs: &Inputs,
    alerts: &Expr<AlertsPerYear>,
    storage: Storage,
) -> Result<Part, EconomicsError> {
    let price = alert(inputs, storage.regime())?;
    Ok(yearly(price * alerts.clone()))
}

/// The work on one alert.
pub(crate) fn alert(inputs: &Inputs, regime: Regime) -> Result<Expr<UsdPerAlert>, EconomicsError> {
    let minutes = inputs.quantity::<MinutesPerAlert>("investigation.minutes")?;
    let minutes = match regime {
        Regime::Behaviour => minutes,
        Regime::Duplicates => minutes.times(&inputs.quantity("investigation.duplicates-factor")?),
    };
    let hour = Expr::<MinutesPerHour>::defined(60.0, "minutes in an hour");
    let price = inputs.quantity::<UsdPerHour>("people.analyst")? * (minutes / hour);
    let text = match regime {
        Regime::Behaviour => "Work on one alert of odd use",
        Regime::Duplicates => "Work on one alert of a duplicate",
    };
    Ok(price.named(format!("cost.alert.{}", regime.word()), text))
}

fn visits(inputs: &Inputs, alerts: &Expr<AlertsPerYear>, storage: Storage) -> Result<Part, EconomicsError> {
    let share = inputs.quantity::<VisitsPerAlert>(&format!("visits.{}", storage.regime().word()))?;
    Ok(yearly(inputs.quantity::<UsdPerVisit>("visits.price")? * (share * alerts.clone())))
}

fn incidents(inputs: &Inputs, storage: Storage) -> Result<Part, EconomicsError> {
    let rate = inputs.quantity::<IncidentsPerYear>(&format!("incidents.{}.rate", storage.word()))?;
    Ok(yearly(inputs.quantity::<UsdPerIncident>("incidents.cost")? * rate))
}

fn seconds() -> Expr<SecondsPerHour> {
    Expr::defined(3600.0, "seconds in an hour")
}
