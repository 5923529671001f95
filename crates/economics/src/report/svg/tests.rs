use super::super::chart::{Level, Series, Shares};
use super::*;
use crate::report::{Block, sample};

const PLACES: [Place; 3] = [Place::Wide, Place::Narrow, Place::File];

fn charts(report: &Report) -> Vec<&Chart> {
    report
        .blocks
        .iter()
        .filter_map(|block| match block {
            Block::Chart(chart) => Some(chart),
            _ => None,
        })
        .collect()
}

/// A text of a drawing, and its left, right, upper and lower end, in pixels.
type Words = (String, [f64; 4]);

fn attribute<'t>(tag: &'t str, name: &str) -> &'t str {
    let (_, rest) = tag.split_once(&format!(" {name}=\"")).unwrap_or_else(|| panic!("{name} in {tag}"));
    rest.split('"').next().unwrap()
}

/// The texts of a drawing where they are expected to be, and how wide and high it is.
fn words(svg: &str) -> (Vec<Words>, [f64; 2]) {
    let number = |tag: &str, name: &str| attribute(tag, name).parse::<f64>().unwrap() / canvas::SCALE;
    let size: Vec<f64> =
        attribute(svg, "viewBox").split(' ').map(|one| one.parse::<f64>().unwrap() / canvas::SCALE).collect();
    let all = svg.split("<text").skip(1).map(|rest| {
        let (tag, rest) = rest.split_once('>').unwrap();
        let words = rest.split('<').next().unwrap().trim().replace("&apos;", "'").replace("&amp;", "&");
        let (x, y, size) = (number(tag, "x"), number(tag, "y"), number(tag, "font-size"));
        // The estimate is on the safe side; text that touches by that much does not overlap.
        let width = text::width(&words, size) / 1.06;
        let left = match attribute(tag, "text-anchor") {
            "start" => x,
            "middle" => x - width / 2.0,
            _ => x - width,
        };
        (words, [left, left + width, y - size * 0.45, y + size * 0.45])
    });
    (all.collect(), [size[2], size[3]])
}

#[test]
fn no_text_is_cut_off_or_lies_over_another() {
    let mut report = sample::report();
    is_set_well(&report);
    for name in [
        "X",
        "A name that is longer than names should be, with a part ATECC608B-TNGLoRaWAN",
        "Dampfschiff".repeat(9).as_str(),
    ] {
        for block in &mut report.blocks {
            if let Block::Chart(chart) = block {
                sample::rename(chart, name);
            }
        }
        is_set_well(&report);
    }
}

fn is_set_well(report: &Report) {
    for chart in charts(report) {
        for place in PLACES {
            let (all, [width, height]) = words(&drawn(chart, report, place).unwrap());
            assert!(all.len() > 5);
            for (at, (one, [left, right, top, bottom])) in all.iter().enumerate() {
                let inside =
                    *left >= -0.5 && *right <= width + 0.5 && *top >= -0.5 && *bottom <= height + 0.5;
                assert!(inside, "`{one}` of {} ({place:?}) is cut off", chart.id);
                for (other, [l, r, t, b]) in all.iter().skip(at + 1) {
                    let apart = right <= l || r <= left || bottom <= t || b <= top;
                    assert!(apart, "`{one}` lies over `{other}` in {} ({place:?})", chart.id);
                }
            }
        }
    }
}

#[test]
fn a_drawing_is_titled_described_and_scales_with_the_page() {
    let report = sample::report();
    for chart in charts(&report) {
        for place in PLACES {
            let svg = drawn(chart, &report, place).unwrap();
            assert!(svg.contains(&format!(">{}</title>", chart.title)));
            assert!(
                svg.contains("</desc>") && svg.contains("role=\"img\"") && svg.contains("viewBox=\"0 0 ")
            );
            assert!(svg.trim_end().ends_with("</svg>") && svg.matches("<svg").count() == 1);
            let tag = svg.split('>').next().unwrap();
            assert_eq!(tag.contains(" width="), place == Place::File);
            // A file says itself what a page says around the drawing.
            assert_eq!(
                words(&svg).0.iter().any(|(one, _)| one.starts_with("Computed from ")),
                place == Place::File
            );
        }
    }
}

#[test]
fn each_colour_has_one_for_dark_pages() {
    let rules = dark_rules("svg");
    let report = sample::report();
    for chart in charts(&report) {
        let svg = drawn(chart, &report, Place::Wide).unwrap();
        for name in ["fill", "stroke"] {
            for colour in svg.split(&format!(" {name}=\"#")).skip(1).filter_map(|rest| rest.get(..6)) {
                assert!(
                    rules.contains(&format!("svg [{name}=\"#{colour}\"]{{{name}:#")),
                    "#{colour} of {}",
                    chart.id
                );
            }
        }
    }
}

#[test]
fn the_same_chart_is_drawn_the_same() {
    let report = sample::report();
    for chart in charts(&report) {
        let one = drawn(chart, &report, Place::Wide).unwrap();
        assert_eq!(one, drawn(chart, &sample::report(), Place::Wide).unwrap());
    }
}

fn axis(logarithmic: bool) -> Axis {
    Axis { title: "An axis".to_owned(), unit: "USD".to_owned(), logarithmic }
}

#[test]
fn what_has_nothing_to_draw_is_drawn_nevertheless() {
    let report = sample::report();
    let strange = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -5.0, 1e300, 1e-300, 5.0];
    let name = || "name".to_owned();
    let mut drawings = Vec::new();
    for logarithmic in [false, true] {
        let axis = || axis(logarithmic);
        let (x, y) = (axis(), axis());
        drawings.push(Drawing::Lines { x, y, series: Vec::new(), levels: Vec::new() });
        drawings.push(Drawing::Histogram { x: axis(), series: Vec::new() });
        drawings.push(Drawing::Tornado { x: axis(), middle: 0.0, bars: Vec::new() });
        for value in strange {
            let series =
                vec![Series { name: name(), points: vec![(value, value), (1.0, value), (value, 1.0)] }];
            let levels = vec![Level { name: name(), value }];
            drawings.push(Drawing::Lines { x: axis(), y: axis(), series, levels });
            let bars = vec![(name(), value, 1.0), (name(), 1.0, value), (name(), value, value)];
            drawings.push(Drawing::Tornado { x: axis(), middle: value, bars });
            let series = vec![Shares { name: name(), bins: vec![(value, value, value), (0.0, 1.0, value)] }];
            drawings.push(Drawing::Histogram { x: axis(), series });
        }
    }
    drawings.push(Drawing::Stacks { y: axis(false), bars: Vec::new(), parts: Vec::new() });
    drawings.push(Drawing::Radar { most: 0.0, spokes: Vec::new(), series: Vec::new() });
    for value in strange {
        let parts = vec![(name(), vec![value, 1.0, -1.0]), (name(), vec![1.0])];
        drawings.push(Drawing::Stacks { y: axis(false), bars: vec![name(), name(), name()], parts });
        let series = vec![(name(), vec![value, 1.0])];
        drawings.push(Drawing::Radar { most: value, spokes: vec![name(), name(), name()], series });
    }
    for drawing in drawings {
        let from = vec!["fleet.life".to_owned()];
        let chart = Chart { id: "strange".to_owned(), title: name(), says: Vec::new(), drawing, from };
        for place in PLACES {
            let svg = drawn(&chart, &report, place).unwrap();
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{:?}", chart.drawing);
        }
        let mut report = report.clone();
        report.blocks = vec![Block::Chart(chart)];
        // The other forms draw it too.
        assert!(!crate::report::terminal::with_figures(&report).is_empty());
        assert!(!crate::report::markdown::written(&report).is_empty());
        assert!(!crate::report::csv::written(&report).is_empty());
    }
}
