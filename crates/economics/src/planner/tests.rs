use super::{Authority, Revocation, Service, Table, service::over};
use crate::cost::{Fleet, Values};
use crate::input::Inputs;

fn inputs(set: &[(&str, &str)]) -> Inputs {
    let own = Inputs::own().unwrap();
    set.iter().fold(own, |inputs, (key, value)| inputs.given("test", key, value).unwrap())
}

/// Once, each year, and all of the certificates and the telling of revocation, without the authority's own price.
fn paid(inputs: &Inputs, revocation: Revocation) -> (f64, f64, f64) {
    let fleet = Fleet::new(inputs).unwrap();
    let lifetime = inputs.quantity("certificate.lifetime").unwrap();
    let service = Service::new(inputs, &fleet, &lifetime, (Authority::Managed, revocation), "test").unwrap();
    let once = service.issuing.once.clone().unwrap();
    let yearly = service.revocation.yearly.clone();
    let yearly = yearly.unwrap_or_else(|| crate::expr::Expr::defined(0.0, "none"));
    let all = over(&service.issuing, &fleet.lifetime);
    let nodes = vec![once.node().clone(), yearly.node().clone(), all.node().clone()];
    let values = Values::new(nodes, inputs).unwrap();
    (values.of(&once), values.of(&yearly), values.of(&all))
}

fn near(a: f64, b: f64) {
    assert!((a - b).abs() < b.abs() * 1e-3 + 0.01, "{a} is not {b}");
}

#[test]
fn a_fleet_s_certificates_in_one_batch_and_month_by_month() {
    let whole_life = ("certificate.lifetime", "2555 day");
    let (batch, _, all) = paid(&inputs(&[("fleet.production", "0.08 year"), whole_life]), Revocation::Crl);
    near(batch, 4_140.0);
    near(all, 4_140.0);
    let (spread, _, _) = paid(&inputs(&[("fleet.production", "1 year"), whole_life]), Revocation::Crl);
    near(spread, 46_930.0);
}

#[test]
fn asking_for_each_certificate_each_month() {
    let (_, yearly, _) = paid(&inputs(&[]), Revocation::Ocsp);
    near(yearly, 180_000.0);
    near(yearly * 7.0, 1_260_000.0);
}

#[test]
fn certificates_of_a_week() {
    let weekly = inputs(&[("certificate.lifetime", "7 day"), ("certificate.renewed-at", "1 1")]);
    let (_, _, all) = paid(&weekly, Revocation::None);
    // The published figure takes 52 weeks for a year; here it has 365 days.
    near(all / 7.0, 754_000.0 * 365.0 / 364.0);
}

#[test]
fn two_rented_hsms() {
    let inputs = inputs(&[]);
    let fleet = Fleet::new(&inputs).unwrap();
    let lifetime = inputs.quantity("certificate.lifetime").unwrap();
    let how = (Authority::Own, Revocation::Crl);
    let service = Service::new(&inputs, &fleet, &lifetime, how, "test").unwrap();
    let yearly = service.hsm.yearly.clone().unwrap();
    let all = over(&service.hsm, &fleet.lifetime);
    let values = Values::new(vec![yearly.node().clone(), all.node().clone()], &inputs).unwrap();
    near(values.of(&yearly), 2.0 * 13_140.0);
    near(values.of(&all), 183_960.0);
}

#[test]
fn a_certificate_of_the_whole_life_is_not_renewed() {
    let table = Table::new(&inputs(&[])).unwrap().likely(&inputs(&[])).unwrap();
    let whole = table.last().unwrap();
    assert_eq!((whole.lifetime_days, whole.certificates), (2555.0, 250_000.0));
}

#[test]
fn the_longer_certificates_live_the_fewer_there_are() {
    let table = Table::new(&inputs(&[])).unwrap().likely(&inputs(&[])).unwrap();
    for pair in table.get(1..).unwrap().windows(2) {
        assert!(pair[0].lifetime_days < pair[1].lifetime_days);
        assert!(pair[0].certificates >= pair[1].certificates, "{pair:?}");
    }
}

#[test]
fn no_method_leaves_a_certificate_believed_after_its_end() {
    for row in Table::new(&inputs(&[])).unwrap().likely(&inputs(&[])).unwrap() {
        assert_eq!(row.costs.len(), 6);
        for exposure in row.exposures {
            assert!(exposure.days > 0.0 && exposure.days <= row.lifetime_days);
        }
    }
}

#[test]
fn the_price_for_short_lived_certificates_ends_at_its_limit() {
    let (_, _, short) = paid(&inputs(&[("certificate.lifetime", "7 day")]), Revocation::None);
    let (_, _, longer) = paid(&inputs(&[("certificate.lifetime", "7.01 day")]), Revocation::None);
    assert!(short > 10.0 * longer, "{short} {longer}");
}
