//! Units: each figure of a model has one, and the compiler refuses to mix them.
//!
//! A unit is a type without values. The table at the end says which units multiply to which; what is not in it does not
//! compile:
//!
//! ```compile_fail,E0277
//! use touchmark_economics::expr::Expr;
//! use touchmark_economics::unit::{Devices, Usd};
//! fn mixed(money: Expr<Usd>, devices: Expr<Devices>) {
//!     let _ = money + devices;
//! }
//! ```
//! ```compile_fail,E0277
//! use touchmark_economics::expr::Expr;
//! use touchmark_economics::unit::{UsdPerDevice, Years};
//! fn meaningless(price: Expr<UsdPerDevice>, life: Expr<Years>) {
//!     let _ = price * life;
//! }
//! ```
//! ```
//! use touchmark_economics::expr::Expr;
//! use touchmark_economics::unit::{Devices, Usd, UsdPerDevice};
//! fn bought(price: Expr<UsdPerDevice>, devices: Expr<Devices>) -> Expr<Usd> {
//!     price * devices
//! }
//! ```

/// A unit of measure.
pub trait Unit: Copy + std::fmt::Debug + 'static {
    /// As data files and reports write it.
    const NAME: &'static str;
}

macro_rules! units {
    ($($(#[$meta:meta])* $unit:ident = $name:literal;)*) => {
        $($(#[$meta])* #[derive(Debug, Clone, Copy)] pub struct $unit;
        impl Unit for $unit { const NAME: &'static str = $name; })*

        /// The names of all units, as data files write them.
        pub const NAMES: &[&str] = &[$($name),*];
    };
}

units! {
    /// A bare number, a share or a factor.
    One = "1";
    /// Money of one currency; US dollars unless a report says that it was converted.
    Usd = "USD";
    /// Devices.
    Devices = "device";
    /// Years of 365 days.
    Years = "year";
    /// Hours of somebody's work.
    Hours = "hour";
    /// Days.
    Days = "day";
    /// Certificates issued.
    Certificates = "certificate";
    /// Alerts that somebody looks at.
    Alerts = "alert";
    /// Visits to a device where it is installed.
    Visits = "visit";
    /// Incidents.
    Incidents = "incident";
    /// Machines, such as an HSM, or certification authorities, that are bought, rented or run by the piece.
    Pieces = "piece";
    /// Money for one device.
    UsdPerDevice = "USD/device";
    /// Money a year.
    UsdPerYear = "USD/year";
    /// Money for one device and year.
    UsdPerDeviceYear = "USD/device/year";
    /// Devices times years.
    DeviceYears = "device-year";
    /// Money for an hour of work.
    UsdPerHour = "USD/hour";
    /// Money for one certificate.
    UsdPerCertificate = "USD/certificate";
    /// Money for one alert.
    UsdPerAlert = "USD/alert";
    /// Money for one visit.
    UsdPerVisit = "USD/visit";
    /// Money for one incident.
    UsdPerIncident = "USD/incident";
    /// Money for one piece.
    UsdPerPiece = "USD/piece";
    /// Money for one piece and year.
    UsdPerPieceYear = "USD/piece/year";
    /// Money for a certificate and year.
    UsdPerCertificateYear = "USD/certificate/year";
    /// Certificates held for years, as a status service counts them.
    CertificateYears = "certificate-year";
    /// Certificates for one device and year.
    CertificatesPerDeviceYear = "certificate/device/year";
    /// Certificates for one device.
    CertificatesPerDevice = "certificate/device";
    /// Certificates a year.
    CertificatesPerYear = "certificate/year";
    /// Alerts for one device and year.
    AlertsPerDeviceYear = "alert/device/year";
    /// Alerts a year.
    AlertsPerYear = "alert/year";
    /// Hours of work on one alert.
    HoursPerAlert = "hour/alert";
    /// Hours of work on one device.
    HoursPerDevice = "hour/device";
    /// Visits for one device and year.
    VisitsPerDeviceYear = "visit/device/year";
    /// Incidents a year, for the whole fleet.
    IncidentsPerYear = "incident/year";
    /// How often in a year.
    PerYear = "1/year";
    /// Devices a year.
    DevicesPerYear = "device/year";
    /// Days of a year.
    DaysPerYear = "day/year";
    /// Pieces times years.
    PieceYears = "piece-year";
    /// Calendar months.
    Months = "month";
    /// Months of a year.
    MonthsPerYear = "month/year";
    /// Money a month.
    UsdPerMonth = "USD/month";
    /// Money for a certificate and month.
    UsdPerCertificateMonth = "USD/certificate/month";
    /// Money for a piece and month.
    UsdPerPieceMonth = "USD/piece/month";
    /// Certificates a month.
    CertificatesPerMonth = "certificate/month";
    /// Money for a piece and hour of its use.
    UsdPerPieceHour = "USD/piece/hour";
    /// Hours of a year: of work, or of a machine's use.
    HoursPerYear = "hour/year";
    /// Seconds of work, or of a machine's use, on one device.
    SecondsPerDevice = "second/device";
    /// Seconds of an hour.
    SecondsPerHour = "second/hour";
    /// Minutes of work on one alert.
    MinutesPerAlert = "minute/alert";
    /// Minutes of an hour.
    MinutesPerHour = "minute/hour";
    /// Visits that follow from one alert.
    VisitsPerAlert = "visit/alert";
    /// Visits a year.
    VisitsPerYear = "visit/year";
    /// Area of a board that one device gives up, in square millimetres.
    SquareMillimetresPerDevice = "mm2/device";
    /// Money for a square millimetre of board.
    UsdPerSquareMillimetre = "USD/mm2";
}

/// Says that a product of two units is a third.
pub trait Times<Other: Unit>: Unit {
    /// The product's unit.
    type Product: Unit;
}

/// Says that one unit divided by another is a third.
pub trait Per<Other: Unit>: Unit {
    /// The quotient's unit.
    type Quotient: Unit;
}

macro_rules! products {
    ($($left:ident * $right:ident = $product:ident;)*) => {
        $(impl Times<$right> for $left { type Product = $product; }
        impl Times<$left> for $right { type Product = $product; }
        impl Per<$right> for $product { type Quotient = $left; }
        impl Per<$left> for $product { type Quotient = $right; })*
    };
}

products! {
    UsdPerDevice * Devices = Usd;
    UsdPerYear * Years = Usd;
    UsdPerDeviceYear * DeviceYears = Usd;
    UsdPerDeviceYear * Years = UsdPerDevice;
    UsdPerDeviceYear * Devices = UsdPerYear;
    Devices * Years = DeviceYears;
    UsdPerHour * Hours = Usd;
    UsdPerHour * HoursPerDevice = UsdPerDevice;
    UsdPerHour * HoursPerAlert = UsdPerAlert;
    HoursPerDevice * Devices = Hours;
    HoursPerAlert * Alerts = Hours;
    UsdPerCertificate * Certificates = Usd;
    UsdPerCertificate * CertificatesPerYear = UsdPerYear;
    UsdPerCertificate * CertificatesPerDevice = UsdPerDevice;
    UsdPerCertificate * CertificatesPerDeviceYear = UsdPerDeviceYear;
    UsdPerCertificateYear * CertificateYears = Usd;
    UsdPerCertificateYear * Certificates = UsdPerYear;
    UsdPerCertificateYear * Years = UsdPerCertificate;
    Certificates * Years = CertificateYears;
    CertificatesPerDeviceYear * DeviceYears = Certificates;
    CertificatesPerDeviceYear * Years = CertificatesPerDevice;
    CertificatesPerDeviceYear * Devices = CertificatesPerYear;
    CertificatesPerDevice * Devices = Certificates;
    CertificatesPerYear * Years = Certificates;
    AlertsPerDeviceYear * DeviceYears = Alerts;
    AlertsPerDeviceYear * Devices = AlertsPerYear;
    AlertsPerYear * Years = Alerts;
    UsdPerAlert * Alerts = Usd;
    UsdPerAlert * AlertsPerYear = UsdPerYear;
    UsdPerAlert * AlertsPerDeviceYear = UsdPerDeviceYear;
    VisitsPerDeviceYear * DeviceYears = Visits;
    UsdPerVisit * Visits = Usd;
    UsdPerVisit * VisitsPerDeviceYear = UsdPerDeviceYear;
    IncidentsPerYear * Years = Incidents;
    UsdPerIncident * Incidents = Usd;
    UsdPerIncident * IncidentsPerYear = UsdPerYear;
    UsdPerPiece * Pieces = Usd;
    UsdPerPieceYear * PieceYears = Usd;
    UsdPerPieceYear * Pieces = UsdPerYear;
    UsdPerPieceYear * Years = UsdPerPiece;
    Pieces * Years = PieceYears;
    PerYear * Years = One;
    PerYear * Usd = UsdPerYear;
    DevicesPerYear * Years = Devices;
    DevicesPerYear * UsdPerDevice = UsdPerYear;
    DaysPerYear * Years = Days;
    PerYear * Days = DaysPerYear;
    PerYear * Devices = DevicesPerYear;
    MonthsPerYear * Years = Months;
    UsdPerMonth * Months = Usd;
    UsdPerMonth * MonthsPerYear = UsdPerYear;
    UsdPerCertificate * CertificatesPerMonth = UsdPerMonth;
    UsdPerCertificateMonth * MonthsPerYear = UsdPerCertificateYear;
    UsdPerPieceMonth * MonthsPerYear = UsdPerPieceYear;
    CertificatesPerMonth * Months = Certificates;
    CertificatesPerMonth * MonthsPerYear = CertificatesPerYear;
    UsdPerPieceHour * HoursPerYear = UsdPerPieceYear;
    UsdPerHour * HoursPerYear = UsdPerYear;
    HoursPerYear * Years = Hours;
    HoursPerDevice * SecondsPerHour = SecondsPerDevice;
    HoursPerAlert * MinutesPerHour = MinutesPerAlert;
    VisitsPerAlert * AlertsPerYear = VisitsPerYear;
    VisitsPerAlert * AlertsPerDeviceYear = VisitsPerDeviceYear;
    VisitsPerAlert * Alerts = Visits;
    UsdPerVisit * VisitsPerYear = UsdPerYear;
    UsdPerSquareMillimetre * SquareMillimetresPerDevice = UsdPerDevice;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_stands_for_one_unit() {
        let mut names = NAMES.to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), NAMES.len());
    }
}
