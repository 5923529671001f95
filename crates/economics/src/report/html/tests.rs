use super::*;
use crate::report::sample;

#[test]
fn what_users_and_data_files_write_cannot_become_markup() {
    let evil = "<script>alert(1)</script>\"'&<b x=";
    let mut report = sample::report();
    evil.clone_into(&mut report.title);
    report.summary.push(Span::given(evil));
    report.summary.push(Span::name(evil));
    for figure in report.figures.values_mut() {
        evil.clone_into(&mut figure.text);
        evil.clone_into(&mut figure.unit);
    }
    for source in report.sources.values_mut() {
        evil.clone_into(&mut source.title);
        source.address = format!("javascript:{evil}");
    }
    for block in &mut report.blocks {
        if let Block::Chart(chart) = block {
            evil.clone_into(&mut chart.title);
            evil.clone_into(&mut chart.id);
            sample::rename(chart, evil);
        }
    }
    let page = page(&report).unwrap();
    assert!(!page.contains("<script") && !page.contains("<b x="));
    assert!(!page.contains("href=\"javascript:"));
}

#[test]
fn nothing_is_loaded_from_elsewhere() {
    let page = page(&sample::report()).unwrap();
    for loads in ["<script", "<link", "<img", "@import", "url(", "src=\"http"] {
        assert!(!page.contains(loads), "{loads}");
    }
}

#[test]
fn each_figure_is_a_link_to_its_row_and_each_row_is_there() {
    let report = sample::report();
    let page = page(&report).unwrap();
    for id in report.figures.keys() {
        assert!(page.contains(&format!("<tr id=\"fig-{}\"", slug(id))), "{id}");
    }
    assert!(page.contains("href=\"#fig-cost.total\""));
}

#[test]
fn ids_are_there_once() {
    let page = page(&sample::report()).unwrap();
    let mut ids: Vec<_> = page.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
}
