//! One finding as a picture: the instances as tracks over time, where they were, and what the evidence adds up to.
//!
//! Drawn on the server as SVG inside the page, without style or script of its own. Shape, place and words say the same
//! as colour; a title and a description stand for the drawing where it cannot be seen, and the tables below it hold
//! every value.

use maud::{Markup, html};

use super::chart::{Axis, LEFT, RIGHT, WIDTH, clock, duration, figure};
use super::parts::{counted, event_url, number};
use super::view::{Band, FindingPage, MarkKind, Picture, PictureMark, Place, Track};

/// Height of the place above the tracks where the moments are named.
const TOP: f64 = 44.0;
/// Height of one track with its bands.
const TRACK: f64 = 96.0;
/// Height of the line for what fits no branch better than the others.
const SHARED: f64 = 44.0;
/// Looks that bands have; further labels share the last.
const LOOKS: u64 = 4;

/// The picture with its legend, or why there is none.
pub(super) fn picture(view: &FindingPage) -> Markup {
    html! {
        @match &view.picture {
            None => p.empty { "The log holds no event of that time, so there is nothing to draw." },
            Some(picture) => {
                div.scroll tabindex="0" role="region" aria-labelledby="picture-title" { (drawn(picture)) }
                (legend(picture))
                p.note {
                    "Events are placed by boot, counter, network and firmware as the finding names them; what fits none "
                    "or several equally well, such as an earlier boot, is drawn apart. A mark leads to its line in the log."
                    @if picture.omitted > 0 {
                        " " (counted(picture.omitted, "event", "events")) " of that time are not drawn."
                    }
                }
            },
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a finding has a handful of branches")]
fn top_of(track: usize) -> f64 {
    TOP + track as f64 * TRACK
}

fn drawn(picture: &Picture) -> Markup {
    let axis = Axis::new(picture.span);
    let tracks_end = top_of(picture.tracks.len());
    let bottom = tracks_end + if picture.unplaced.is_empty() { 0.0 } else { SHARED };
    let height = bottom + 26.0;
    let (fork, detected) = (axis.x(picture.fork), axis.x(picture.detected));
    let lead = picture.tracks.iter().position(|track| track.original).unwrap_or(0);
    html! {
        svg.tracks viewBox={ "0 0 " (figure(WIDTH)) " " (figure(height)) } role="img" aria-labelledby="picture-name"
            aria-describedby="picture-says" {
            title #picture-name { "Instances over time" }
            desc #picture-says { (described(picture)) }
            (axis.drawn(TOP - 6.0, bottom))
            rect.between x=(figure(fork)) y=(figure(TOP - 6.0)) width=(figure((detected - fork).max(0.0)))
                height=(figure(bottom - TOP + 6.0)) {}
            @for (place, track) in picture.tracks.iter().enumerate() {
                @if place != lead { (branching(axis, picture, lead, place, track)) }
            }
            @for (place, track) in picture.tracks.iter().enumerate() { (track_drawn(axis, top_of(place), track, place == lead)) }
            @if !picture.unplaced.is_empty() {
                text.track-name x="0" y=(figure(tracks_end + 24.0)) { "Not placed" }
                line.track.shared x1=(figure(LEFT)) y1=(figure(tracks_end + 20.0)) x2=(figure(RIGHT))
                    y2=(figure(tracks_end + 20.0)) {}
                @for mark in &picture.unplaced { (mark_drawn(axis, tracks_end + 20.0, mark)) }
            }
            @if detected - fork < 1.0 {
                (moment_line(fork, (18.0, bottom), "detected", "Began and known", &clock(picture.fork)))
            } @else {
                (moment_line(fork, (16.0, bottom), "fork", "Began", &clock(picture.fork)))
                (moment_line(detected, (31.0, bottom), "detected", "Known", &clock(picture.detected)))
            }
        }
    }
}

/// The curve on which a branch leaves the one that is thought to be the original, or the first.
fn branching(axis: Axis, picture: &Picture, lead: usize, place: usize, track: &Track) -> Markup {
    let Some(first) = track.marks.first() else { return html! {} };
    let (from, to) = (top_of(lead) + 24.0, top_of(place) + 24.0);
    let (start, end) = (axis.x(picture.fork.min(first.at)), axis.x(first.at));
    let start = (end - 26.0).min(start).max(LEFT);
    let middle = (start + end) / 2.0;
    let path = format!(
        "M{} {}C{} {} {} {} {} {}",
        figure(start),
        figure(from),
        figure(middle),
        figure(from),
        figure(middle),
        figure(to),
        figure(end),
        figure(to)
    );
    html! { path.branching d=(path) {} }
}

fn moment_line(x: f64, (y, bottom): (f64, f64), class: &str, word: &str, time: &str) -> Markup {
    // The words stand on the side that has room for them.
    let (at, anchor) = if x > RIGHT - 160.0 { (x - 5.0, "end") } else { (x + 5.0, "start") };
    html! {
        g class={ "moment " (class) } {
            line x1=(figure(x)) y1="6" x2=(figure(x)) y2=(figure(bottom)) {}
            text x=(figure(at)) y=(figure(y)) text-anchor=(anchor) { tspan.word { (word) } " " (time) }
        }
    }
}

fn track_drawn(axis: Axis, top: f64, track: &Track, lead: bool) -> Markup {
    let line = top + 24.0;
    let ends =
        track.marks.first().zip(track.marks.last()).map(|(first, last)| (axis.x(first.at), axis.x(last.at)));
    let class = match (track.original, lead) {
        (true, _) => "holder lead original",
        (false, true) => "holder lead",
        (false, false) => "holder",
    };
    html! {
        g class=(class) data-branch=(track.branch) {
            text.track-name x="0" y=(figure(line - 1.0)) { "Branch " (track.branch) }
            @if track.original { text.track-note x="0" y=(figure(line + 14.0)) { "likely original" } }
            text.band-name x=(figure(LEFT - 10.0)) y=(figure(line + 34.0)) text-anchor="end" { "network" }
            text.band-name x=(figure(LEFT - 10.0)) y=(figure(line + 54.0)) text-anchor="end" { "firmware" }
            @match ends {
                Some((start, end)) => line.track x1=(figure(start)) y1=(figure(line)) x2=(figure(end)) y2=(figure(line)) {},
                None => text.band-name x=(figure(LEFT + 8.0)) y=(figure(line + 4.0)) { "no event of it in this stretch of time" },
            }
            @for mark in &track.marks { (mark_drawn(axis, line, mark)) }
            (bands(axis, line + 22.0, &track.networks))
            (bands(axis, line + 42.0, &track.firmware))
        }
    }
}

fn mark_drawn(axis: Axis, y: f64, mark: &PictureMark) -> Markup {
    let shape = glyph(mark.kind, axis.x(mark.at), y);
    let words = html! {
        title {
            (word(mark.kind)) " " (clock(mark.at)) @if mark.count > 1 { ", " (number(mark.count)) " close together" }
            @if !mark.says.is_empty() { ": " (mark.says) }
        }
    };
    html! {
        @match mark.seq {
            // Hundreds of marks are no stops for the tabulator; the table of events below has the same links.
            Some(seq) => a href=(event_url(seq)) tabindex="-1" { (words) (shape) },
            None => g { (words) (shape) },
        }
    }
}

/// The shape of a mark around a point.
fn glyph(kind: MarkKind, x: f64, y: f64) -> Markup {
    let at = |dx: f64, dy: f64| format!("{} {}", figure(x + dx), figure(y + dy));
    html! {
        @match kind {
            MarkKind::Heartbeat => line.beat x1=(figure(x)) y1=(figure(y - 9.0)) x2=(figure(x)) y2=(figure(y + 9.0)) {},
            MarkKind::Authentication => circle.login cx=(figure(x)) cy=(figure(y)) r="5.5" {},
            MarkKind::Boot => path.boot d={ "M" (at(0.0, -14.0)) "L" (at(5.5, -4.5)) "L" (at(-5.5, -4.5)) "Z" } {},
            MarkKind::SessionEnd => path.logout d={ "M" (at(-4.0, -4.0)) "L" (at(4.0, 4.0)) "M" (at(4.0, -4.0)) "L" (at(-4.0, 4.0)) } {},
        }
    }
}

fn word(kind: MarkKind) -> &'static str {
    match kind {
        MarkKind::Heartbeat => "Heartbeat",
        MarkKind::Authentication => "Authentication",
        MarkKind::Boot => "Boot",
        MarkKind::SessionEnd => "End of a session",
    }
}

/// About the width of one letter in a band.
const LETTER: f64 = 6.3;

fn bands(axis: Axis, y: f64, bands: &[Band]) -> Markup {
    html! {
        @for band in bands {
            @let (start, end) = (axis.x(band.from), axis.x(band.to));
            @let width = (end - start).max(4.0);
            @let letters = (width / LETTER).floor();
            g class={ "band look" (band.look.min(LOOKS)) } {
                title { (band.label) ", " (clock(band.from)) " to " (clock(band.to)) }
                rect x=(figure(start)) y=(figure(y)) width=(figure(width)) height="15" rx="2" {}
                text x=(figure(start + 4.0)) y=(figure(y + 11.5)) { (fitting(&band.label, letters)) }
            }
        }
    }
}

/// As much of a label as fits, or nothing where too little would.
fn fitting(label: &str, letters: f64) -> String {
    let length = label.chars().count();
    let room = (0..=60).rev().find(|room| f64::from(*room) <= letters - 1.0).unwrap_or(0);
    let room = usize::try_from(room).unwrap_or(0);
    if length <= room {
        label.to_owned()
    } else if room >= 6 {
        label.chars().take(room - 1).chain(['…']).collect()
    } else {
        String::new()
    }
}

/// The picture in words.
fn described(picture: &Picture) -> String {
    let (from, to) = picture.span;
    let mut text = format!("From {from} to {to}. ");
    for track in &picture.tracks {
        let events: u64 = track.marks.iter().map(|mark| mark.count).sum();
        let networks: Vec<&str> = track.networks.iter().map(|band| band.label.as_str()).collect();
        text.push_str(&format!("Branch {}", track.branch));
        if track.original {
            text.push_str(", the likely original");
        }
        text.push_str(&format!(": {}", counted(events, "event", "events")));
        if let Some(first) = track.marks.first() {
            text.push_str(&format!(" from {}", clock(first.at)));
        }
        if !networks.is_empty() {
            let mut networks = networks;
            networks.dedup();
            networks.truncate(4);
            text.push_str(&format!(" over {}", networks.join(", ")));
        }
        text.push_str(". ");
    }
    let lead = picture.detected.ms_since(picture.fork);
    text.push_str(&format!(
        "The matter began at {} and could first be known at {}, {} later.",
        clock(picture.fork),
        clock(picture.detected),
        duration(lead)
    ));
    text
}

fn legend(picture: &Picture) -> Markup {
    let kinds = [MarkKind::Heartbeat, MarkKind::Authentication, MarkKind::Boot, MarkKind::SessionEnd];
    let drawn = |kind: MarkKind| {
        let tracks = picture.tracks.iter().flat_map(|track| &track.marks);
        tracks.chain(&picture.unplaced).any(|mark| mark.kind == kind)
    };
    html! {
        ul.marks {
            @for kind in kinds.into_iter().filter(|kind| drawn(*kind)) {
                @let y = if kind == MarkKind::Boot { 19.0 } else { 10.0 };
                li { svg.tracks.key viewBox="0 0 20 20" width="20" height="20" aria-hidden="true" { (glyph(kind, 10.0, y)) } (word(kind)) }
            }
        }
    }
}

/// Where the instances were: a map where events carry positions, else their countries.
pub(super) fn places(view: &FindingPage) -> Markup {
    let places = &view.places;
    // As in the picture: the original, or the first, has one look, and the others have others.
    let original = view.original.map(|original| original.branch);
    let lead = original.or_else(|| view.branches.first().map(|branch| branch.id));
    let others = view.branches.iter().map(|branch| branch.id).filter(|id| Some(*id) != lead);
    let ranks: Vec<u64> = lead.into_iter().chain(others).collect();
    let points: Vec<(&Place, f64, f64)> =
        places.iter().filter_map(|place| place.position.map(|(lat, lon)| (place, lat, lon))).collect();
    html! {
        @if places.is_empty() {
            p.empty { "No event says where it came from." }
        } @else {
            @if !points.is_empty() { (map(&points, &ranks)) }
            ul.places {
                @for place in places {
                    li {
                        span class={ "place-key " (branch_class(place.branch, &ranks)) } aria-hidden="true" {}
                        strong { (branch_name(place.branch)) } " "
                        @if let Some(country) = &place.country { (country) " " }
                        @if let Some((lat, lon)) = place.position { span.faint { (degrees(lat, lon)) } " " }
                        span.faint { "× " (number(place.events)) }
                    }
                }
            }
            @if let Some(apart) = farthest(&points) {
                p.note { "The farthest two are about " (number(apart)) " km apart. Positions are the sources' word; databases of addresses err by hundreds of kilometres." }
            }
        }
    }
}

fn branch_name(branch: Option<u64>) -> String {
    branch.map_or_else(|| "Not placed".to_owned(), |branch| format!("Branch {branch}"))
}

/// The class that gives a branch its colour and shape on the map, by its place among the branches.
fn branch_class(branch: Option<u64>, ranks: &[u64]) -> String {
    match branch.map(|branch| ranks.iter().position(|id| *id == branch).unwrap_or(ranks.len())) {
        Some(rank) => format!("at{}", rank.min(3)),
        None => "at-none".to_owned(),
    }
}

fn degrees(lat: f64, lon: f64) -> String {
    let part = |value: f64, plus: char, minus: char| {
        format!("{:.1}° {}", value.abs(), if value < 0.0 { minus } else { plus })
    };
    format!("{}, {}", part(lat, 'N', 'S'), part(lon, 'E', 'W'))
}

/// Great-circle distance of the two points that are farthest from each other, in whole kilometres.
fn farthest(points: &[(&Place, f64, f64)]) -> Option<u64> {
    let pairs =
        points.iter().enumerate().flat_map(|(at, one)| points.iter().skip(at + 1).map(move |two| (one, two)));
    let most = pairs
        .map(|((_, a, b), (_, c, d))| distance((*a, *b), (*c, *d)))
        .fold(None, |most: Option<f64>, km| Some(most.map_or(km, |most| most.max(km))))?;
    (0..=20_100u64).step_by(10).find(|km| f64::from(u32::try_from(*km).unwrap_or(0)) + 5.0 > most)
}

/// Great-circle distance in kilometres on a sphere of 6371 km (haversine).
fn distance((lat, lon): (f64, f64), (lat2, lon2): (f64, f64)) -> f64 {
    const MEAN_RADIUS_KM: f64 = 6_371.0;
    let half = |a: f64, b: f64| ((b - a).to_radians() / 2.0).sin().powi(2);
    let h = half(lat, lat2) + lat.to_radians().cos() * lat2.to_radians().cos() * half(lon, lon2);
    2.0 * MEAN_RADIUS_KM * h.clamp(0.0, 1.0).sqrt().asin()
}

/// An equirectangular map: x is the longitude, y the latitude. The part of the world that holds the points, with the
/// graticule; no coasts, because they would say no more than the figures do.
fn map(points: &[(&Place, f64, f64)], ranks: &[u64]) -> Markup {
    let (south, north) = bounds(points.iter().map(|(_, lat, _)| *lat), 15.0, 90.0);
    let (west, east) = bounds(points.iter().map(|(_, _, lon)| *lon), 30.0, 180.0);
    let (width, height) = (460.0, (460.0 * (north - south) / (east - west)).clamp(120.0, 300.0));
    let x = |lon: f64| (lon - west) / (east - west) * width;
    let y = |lat: f64| (north - lat) / (north - south) * height;
    let step =
        |span: f64| [5.0, 10.0, 15.0, 30.0, 45.0].into_iter().find(|s| span / s <= 7.0).unwrap_or(60.0);
    let lines = |from: f64, to: f64| {
        let step = step(to - from);
        let first = (from / step).ceil();
        (0..16).map(move |number| (first + f64::from(number)) * step).take_while(move |at| *at <= to)
    };
    let whole = |value: f64, plus: &str, minus: &str| {
        format!(
            "{:.0}°{}",
            value.abs(),
            if value.abs() < 0.5 {
                ""
            } else if value < 0.0 {
                minus
            } else {
                plus
            }
        )
    };
    let says = points
        .iter()
        .map(|(place, lat, lon)| format!("{} at {}", branch_name(place.branch), degrees(*lat, *lon)));
    let says: Vec<String> = says.collect();
    html! {
        svg.map viewBox={ "0 0 " (figure(width)) " " (figure(height)) } role="img" aria-labelledby="map-name" aria-describedby="map-says" {
            title #map-name { "Where the instances were" }
            desc #map-says { (says.join("; ")) "." }
            rect.sea x="0" y="0" width=(figure(width)) height=(figure(height)) {}
            @for lon in lines(west, east) {
                line.graticule x1=(figure(x(lon))) y1="0" x2=(figure(x(lon))) y2=(figure(height)) {}
                text x=(figure(x(lon) + 3.0)) y=(figure(height - 4.0)) { (whole(lon, "E", "W")) }
            }
            @for lat in lines(south, north) {
                line.graticule x1="0" y1=(figure(y(lat))) x2=(figure(width)) y2=(figure(y(lat))) {}
                text x="3" y=(figure(y(lat) - 3.0)) { (whole(lat, "N", "S")) }
            }
            @for (place, lat, lon) in points {
                @let class = branch_class(place.branch, ranks);
                g class={ "point " (class) } {
                    title { (branch_name(place.branch)) ", " (degrees(*lat, *lon)) ", " (counted(place.events, "event", "events")) }
                    @if matches!(class.as_str(), "at1" | "at3") {
                        path d={ "M" (figure(x(*lon))) " " (figure(y(*lat) - 7.0)) "l7 7-7 7-7-7z" } {}
                    } @else {
                        circle cx=(figure(x(*lon))) cy=(figure(y(*lat))) r="6" {}
                    }
                }
            }
        }
    }
}

/// The least and the largest value with a margin, at least `least` apart on each side of their middle, inside ±`most`.
fn bounds(values: impl Iterator<Item = f64> + Clone, least: f64, most: f64) -> (f64, f64) {
    let low = values.clone().fold(most, f64::min);
    let high = values.fold(-most, f64::max);
    let (middle, half) = ((low + high) / 2.0, ((high - low) / 2.0 * 1.25).max(least));
    ((middle - half).max(-most), (middle + half).min(most))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn place(branch: u64, lat: f64, lon: f64) -> Place {
        Place { branch: Some(branch), country: None, position: Some((lat, lon)), events: 1 }
    }

    #[test]
    fn distances_are_those_of_the_globe() {
        // A quarter of a great circle of a sphere of 6371 km, and its half.
        assert!((distance((0.0, 0.0), (0.0, 90.0)) - 10_007.5).abs() < 1.0);
        assert!((distance((90.0, 0.0), (-90.0, 0.0)) - 20_015.1).abs() < 1.0);
        let places = [place(0, 0.0, 0.0), place(1, 0.0, 90.0)];
        let points: Vec<_> =
            places.iter().map(|p| (p, p.position.unwrap().0, p.position.unwrap().1)).collect();
        assert_eq!(farthest(&points), Some(10_010));
        assert_eq!(farthest(&points[..1]), None);
    }

    #[test]
    fn a_label_is_cut_or_left_out() {
        assert_eq!(fitting("AS64500", 9.0), "AS64500");
        assert_eq!(fitting("192.0.2.0/24", 9.0), "192.0.2…");
        assert_eq!(fitting("192.0.2.0/24", 3.0), "");
    }

    proptest! {
        #[test]
        fn a_map_holds_its_points(spots in proptest::collection::vec((-90.0f64..=90.0, -180.0f64..=180.0), 1..6)) {
            let all: Vec<Place> = spots.iter().map(|(lat, lon)| place(0, *lat, *lon)).collect();
            let drawn = places(&FindingPage { places: all, ..super::super::sample::finding() }).into_string();
            prop_assert!(!drawn.contains("NaN") && !drawn.contains("inf"));
            let (south, north) = bounds(spots.iter().map(|(lat, _)| *lat), 15.0, 90.0);
            prop_assert!(spots.iter().all(|(lat, _)| (south..=north).contains(lat)));
        }
    }
}
