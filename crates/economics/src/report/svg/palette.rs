//! Colours: after Okabe and Ito, told apart by people who see colours differently; and what each becomes on a dark page.

use plotters::style::RGBColor;

/// Text, and what has to be seen first.
pub(super) const INK: RGBColor = RGBColor(0x1F, 0x29, 0x33);
/// Text inside a plot, over lines: a page gives it a halo.
pub(super) const LABEL: RGBColor = RGBColor(0x1F, 0x29, 0x34);
/// Text that is read second.
pub(super) const QUIET: RGBColor = RGBColor(0x4A, 0x55, 0x62);
/// The line of an axis.
pub(super) const AXIS: RGBColor = RGBColor(0x7B, 0x87, 0x94);
/// The lines behind a plot.
pub(super) const GRID: RGBColor = RGBColor(0xD5, 0xDB, 0xE1);
/// The lines between those.
pub(super) const FINE: RGBColor = RGBColor(0xED, 0xF0, 0xF3);
/// The page.
pub(super) const PAPER: RGBColor = RGBColor(0xFF, 0xFF, 0xFF);
/// Letters on a dark bar.
pub(super) const ON_DARK: RGBColor = RGBColor(0xFF, 0xFF, 0xFE);
/// Letters on a light bar.
pub(super) const ON_LIGHT: RGBColor = RGBColor(0x1F, 0x29, 0x35);
/// The end of a tornado's bar where the input is lowest.
pub(super) const LOWEST: RGBColor = RGBColor(0x00, 0x72, 0xB2);
/// The other end: its line, and what fills it.
pub(super) const HIGHEST: RGBColor = RGBColor(0xD5, 0x5E, 0x00);
/// What fills the other end.
pub(super) const HIGHEST_FILL: RGBColor = RGBColor(0xFB, 0xDC, 0xC6);

/// Series, in this order.
const SERIES: [RGBColor; 10] = [
    RGBColor(0x00, 0x72, 0xB2),
    RGBColor(0xD5, 0x5E, 0x00),
    RGBColor(0x00, 0x9E, 0x73),
    RGBColor(0xCC, 0x79, 0xA7),
    RGBColor(0x4D, 0x4D, 0x4D),
    RGBColor(0xE6, 0x9F, 0x00),
    RGBColor(0x56, 0xB4, 0xE9),
    RGBColor(0x88, 0x22, 0x55),
    RGBColor(0xB3, 0xB8, 0x3A),
    RGBColor(0x7A, 0x52, 0x1E),
];

/// What each becomes on a dark page.
const DARK: [(RGBColor, &str); 21] = [
    (INK, "#E6EAEE"),
    (LABEL, "#E6EAEF"),
    (QUIET, "#B4BDC7"),
    (AXIS, "#8A95A1"),
    (GRID, "#39424C"),
    (FINE, "#262D35"),
    (PAPER, "#14181D"),
    (ON_DARK, "#0E1114"),
    (ON_LIGHT, "#0E1114"),
    (HIGHEST_FILL, "#56301A"),
    (SERIES[0], "#5AB0E8"),
    (SERIES[1], "#F08A4B"),
    (SERIES[2], "#3CC79B"),
    (SERIES[3], "#DE9CC2"),
    (SERIES[4], "#BFC5CC"),
    (SERIES[5], "#F0B93A"),
    (SERIES[6], "#9AD4F7"),
    (SERIES[7], "#CF7AA4"),
    (SERIES[8], "#D5DA66"),
    (SERIES[9], "#C89A5F"),
    (RGBColor(0, 0, 0), "#FFFFFF"),
];

/// The colour of a series by its number.
pub(super) fn series(number: usize) -> RGBColor {
    SERIES.get(number % SERIES.len()).copied().unwrap_or(INK)
}

/// What can be read on a bar of this series' colour.
pub(super) fn on(number: usize) -> RGBColor {
    match number % SERIES.len() {
        3 | 5 | 6 | 8 => ON_LIGHT,
        _ => ON_DARK,
    }
}

/// The rules for a dark page, under a selector of the drawings.
pub(super) fn dark(selector: &str) -> String {
    use std::fmt::Write;
    let mut css = String::new();
    for (RGBColor(r, g, b), dark) in DARK {
        let light = format!("#{r:02X}{g:02X}{b:02X}");
        // Writing into a String does not fail.
        let _written = write!(
            css,
            "{selector} [fill=\"{light}\"]{{fill:{dark}}}{selector} [stroke=\"{light}\"]{{stroke:{dark}}}"
        );
    }
    css
}

/// The rule that keeps text over lines readable, under a selector; the paper's colour as CSS.
pub(super) fn halo(selector: &str, paper: &str) -> String {
    let RGBColor(r, g, b) = LABEL;
    format!(
        "{selector} text[fill=\"#{r:02X}{g:02X}{b:02X}\"]{{paint-order:stroke;stroke:{paper};stroke-width:{};stroke-linejoin:round}}",
        super::canvas::SCALE * 3.0
    )
}
