use super::*;
use crate::report::chart::Series;
use crate::report::{Figure, Tone, html, sample};
use crate::source::Grade;

fn with(change: impl FnOnce(&mut Report)) -> Vec<String> {
    let mut report = sample::report();
    change(&mut report);
    orphans(&report)
}

fn figure(origin: FigureOrigin) -> Figure {
    Figure { text: "planted".to_owned(), value: 1.0, range: None, unit: "1".to_owned(), origin }
}

fn calculated(from: &[&str]) -> Figure {
    let from = from.iter().map(|id| (*id).to_owned()).collect();
    figure(FigureOrigin::Calculated { formula: "planted".to_owned(), from })
}

#[test]
fn the_sample_has_no_orphans() {
    assert_eq!(orphans(&sample::report()), Vec::<String>::new());
}

#[test]
fn a_figure_that_is_not_there_is_found_wherever_it_is_shown() {
    let gone = || Span::Figure { id: "gone".to_owned() };
    let range = || Span::Range { id: "gone".to_owned() };
    let one: [&dyn Fn(&mut Report); 6] = [
        &|report| report.summary.push(gone()),
        &|report| report.blocks.push(Block::Paragraph { spans: vec![range()] }),
        &|report| report.blocks.push(Block::List { items: vec![vec![gone()]] }),
        &|report| {
            let rows = vec![vec![vec![gone()]]];
            let (caption, columns) = ("caption".to_owned(), vec!["column".to_owned()]);
            report.blocks.push(Block::Table { caption, columns, rows });
        },
        &|report| planted_chart(report, |chart| chart.says.push(gone())),
        &|report| planted_chart(report, |chart| chart.from.push("gone".to_owned())),
    ];
    for plant in one {
        let found = with(plant);
        assert!(found.len() == 1 && found[0].contains("`gone`"), "{found:?}");
    }
}

fn planted_chart(report: &mut Report, change: impl FnOnce(&mut Chart)) {
    for block in &mut report.blocks {
        if let Block::Chart(chart) = block
            && matches!(chart.drawing, Drawing::Lines { .. })
        {
            change(chart);
            return;
        }
    }
    panic!("the sample has no lines");
}

#[test]
fn a_digit_in_words_of_the_program_is_found() {
    let one: [&dyn Fn(&mut Report); 9] = [
        &|report| report.title.push('7'),
        &|report| report.summary.push(Span::text("over 7 years")),
        &|report| report.summary.push(Span::verdict("grade 2", Tone::Good)),
        &|report| report.blocks.push(Block::Heading { text: "7 years".to_owned() }),
        &|report| report.blocks.push(Block::List { items: vec![vec!["7".into()]] }),
        &|report| {
            let (caption, columns) = ("7".to_owned(), Vec::new());
            report.blocks.push(Block::Table { caption, columns, rows: Vec::new() });
        },
        &|report| {
            let (caption, columns) = ("caption".to_owned(), vec!["Year 7".to_owned()]);
            report.blocks.push(Block::Table { caption, columns, rows: Vec::new() });
        },
        &|report| planted_chart(report, |chart| chart.title.push('7')),
        &|report| {
            planted_chart(report, |chart| {
                if let Drawing::Lines { x, .. } = &mut chart.drawing {
                    x.title.push('½');
                }
            });
        },
    ];
    for plant in one {
        let found = with(plant);
        assert!(found.len() == 1 && found[0].contains("holds a digit"), "{found:?}");
    }
}

#[test]
fn a_figure_from_nowhere_is_found() {
    let one: [(Figure, &str); 8] = [
        (calculated(&[]), "computed from nothing"),
        (calculated(&["gone"]), "`gone`"),
        (calculated(&["planted"]), "computed from itself"),
        (figure(FigureOrigin::Defined { reason: String::new() }), "without a reason"),
        (figure(FigureOrigin::Given { file: String::new(), line: 1 }), "given nowhere"),
        (
            figure(FigureOrigin::Source {
                source: "gone".to_owned(),
                grade: Grade::Whole,
                date: String::new(),
                note: String::new(),
            }),
            "the source `gone`",
        ),
        (Figure { value: f64::NAN, ..calculated(&["fleet.devices"]) }, "no number"),
        (Figure { unit: String::new(), ..calculated(&["fleet.devices"]) }, "no unit"),
    ];
    for (planted, why) in one {
        let found = with(|report| {
            report.figures.insert("planted".to_owned(), planted);
        });
        assert!(found.len() == 1 && found[0].contains(why), "{found:?} is not about {why}");
    }
    let found = with(|report| {
        report.figures.insert("planted".to_owned(), calculated(&["other"]));
        report.figures.insert("other".to_owned(), calculated(&["planted"]));
    });
    assert!(found.iter().any(|one| one.contains("from itself")), "{found:?}");
}

#[test]
fn a_sentence_without_its_source_and_a_chart_from_nothing_are_found() {
    let found = with(|report| report.summary.push(Span::sourced("in 7 of 9 cases", "gone", Grade::Whole)));
    assert!(found.len() == 1 && found[0].contains("the source `gone`"), "{found:?}");
    let found = with(|report| planted_chart(report, |chart| chart.from.clear()));
    assert!(found.len() == 1 && found[0].contains("computed from"), "{found:?}");
    let found = with(|report| {
        planted_chart(report, |chart| {
            if let Drawing::Lines { y, .. } = &mut chart.drawing {
                y.unit.clear();
            }
        });
    });
    assert!(found.len() == 1 && found[0].contains("without a unit"), "{found:?}");
    let found = with(|report| {
        for block in &mut report.blocks {
            if let Block::Table { rows, .. } = block {
                rows.push(Vec::new());
            }
        }
    });
    assert!(found[0].contains("not as long"), "{found:?}");
}

#[test]
fn names_may_hold_digits() {
    let found = with(|report| {
        report.summary.push(Span::name("ATECC608B"));
        report.summary.push(Span::given("line 7 of mine"));
        planted_chart(report, |chart| {
            if let Drawing::Lines { series, .. } = &mut chart.drawing {
                series.push(Series { name: "STM32F0".to_owned(), points: vec![(1.0, 1.0)] });
            }
        });
    });
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn each_digit_of_a_page_leads_somewhere() {
    let report = sample::report();
    let page = html::page(&report).unwrap();
    assert_eq!(stray(&page), Vec::<String>::new());
    // What the walk over the report would let through is found on the page as well.
    for (planted, found) in [
        ("<p>over 7 years</p>", "over 7 years"),
        ("<p>a<b>7</b></p>", "7"),
        ("<p><a href=\"#fig-gone\">x</a></p>", "a link leads to `fig-gone`, which is not there"),
        ("<p><span data-origin=\"name\">AB9</span> 7</p>", "7"),
    ] {
        let page = page.replacen("</main>", &format!("{planted}</main>"), 1);
        assert_eq!(stray(&page), [found]);
    }
}
