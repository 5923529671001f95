use touchmark_economics::report::walk::orphans;
use touchmark_economics::report::{FigureOrigin, Report};

use super::*;

fn asked(pairs: &[(&str, &str)]) -> Asked {
    Asked::new(pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
}

fn of(subject: Subject, pairs: &[(&str, &str)]) -> Result<Report, EconomicsError> {
    report(subject, &asked(pairs), Own::get().unwrap(), &Answers::default())
}

#[test]
fn every_model_answers_without_being_asked_anything() {
    for subject in Subject::ALL {
        let report = of(subject, &[]).unwrap();
        assert_eq!(orphans(&report), Vec::<String>::new(), "{subject:?}");
        for form in Export::ALL {
            assert!(form.written(&report).unwrap().len() > 1_000, "{subject:?} as {form:?}");
        }
    }
}

#[test]
fn what_an_address_changes_is_the_readers_input() {
    let report = of(Subject::Cost, &[("fleet.devices", "40000")]).unwrap();
    let devices = &report.figures["fleet.devices"];
    assert_eq!((devices.value, devices.range), (40_000.0, None));
    assert!(matches!(&devices.origin, FigureOrigin::Given { file, .. } if file == FORM));
    // A form without a script sends every slider, also those that nobody moved.
    let usual = of(Subject::Cost, &[("fleet.devices", "250000"), ("authority", "managed")]).unwrap();
    assert_eq!(usual, of(Subject::Cost, &[]).unwrap());
}

#[test]
fn what_cannot_be_computed_is_said_and_nothing_is_lost() {
    for (subject, key, value, says) in [
        (Subject::Cost, "fleet.devices", "-5", "fleet.devices"),
        (Subject::Cost, "fleet.devices", "many", "many"),
        (Subject::Cost, "authority", "nobody's", "nobody's"),
        (Subject::Cost, "storage", "software", "software"),
        (Subject::Attack, "part", "<script>", "<script>"),
        (Subject::Posture, "keys.storage", "9", "keys.storage"),
    ] {
        let refused = fragment(subject, &asked(&[(key, value)]), Own::get().unwrap(), &Answers::default());
        let why = refused.unwrap_err();
        assert!(why.contains(says), "{key}={value}: {why}");
    }
    let nothing = of(Subject::Cost, &[("no.such.input", "1"), ("fleet.devices", " ")]).unwrap();
    assert_eq!(nothing, of(Subject::Cost, &[]).unwrap());
}

#[test]
fn an_address_is_written_as_it_was_read() {
    let asked = asked(&[("fleet.devices", "40000"), ("keys.storage.artefact", "a & b=ü#")]);
    assert_eq!(asked.query(), "fleet.devices=40000&keys.storage.artefact=a%20%26%20b%3D%C3%BC%23");
}

#[test]
fn every_slider_is_an_input_and_holds_its_usual_value() {
    let own = Own::get().unwrap();
    for subject in Subject::ALL {
        let frame = crate::dashboard::sample_frame();
        let page = model(subject, &Asked::default(), frame, own, &Answers::default());
        assert!(page.report.is_ok(), "{:?}", page.report);
        let controls: Vec<_> = page.controls.iter().flat_map(|group| &group.controls).collect();
        assert!(controls.len() > 5, "{subject:?}");
        for control in controls {
            if let view::Control::Slider(slider) = control {
                assert!(slider.least <= slider.usual && slider.usual <= slider.most, "{slider:?}");
                let steps = (slider.usual - slider.least) / slider.step;
                assert!((steps - steps.round()).abs() < 1e-6, "{} is between two places", slider.name);
            }
        }
    }
    for ranges in [cost::ALL, attack::ALL] {
        for range in ranges.iter().flat_map(|ranges| ranges.iter()) {
            assert!(own.inputs.get(range.key).is_some(), "no input {}", range.key);
        }
    }
}
