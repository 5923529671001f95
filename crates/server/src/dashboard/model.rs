//! The page of a model: sliders beside the report that they change.
//!
//! The report is HTML that `economics` made and escaped. Without a script the form is sent by its button; with
//! `sliders.js` the report follows each movement, and the address with it.

use maud::{Markup, PreEscaped, html};

use super::frame::page_with;
use super::view::{Choice, Control, Model, Slider, Words};

/// The whole page.
#[must_use]
pub fn model(model: &Model) -> String {
    let content = html! {
        h1 { (model.title) }
        nav.tabs aria-label="Models" {
            ul {
                @for (word, title) in &model.subjects {
                    li {
                        a href={ "/decide/" (word) } aria-current=[(*word == model.subject).then_some("page")] { (title) }
                    }
                }
            }
        }
        div.model {
            form #controls.controls method="get" action={ "/decide/" (model.subject) }
                data-fragment={ "/fragment/decide/" (model.subject) } aria-label="What the model is asked" {
                @for group in &model.controls {
                    fieldset {
                        legend { (group.title) }
                        @for control in &group.controls { (drawn(control)) }
                    }
                }
                p.act {
                    button type="submit" #apply { "Compute" }
                    " " a.plain href={ "/decide/" (model.subject) } { "Back to the beginning" }
                }
            }
            div.outcome {
                p.export {
                    "Take it along: "
                    @for (at, extension) in model.exports.iter().enumerate() {
                        @if at > 0 { ", " }
                        @let address = format!("/decide/{}/report.{extension}", model.subject);
                        a data-export=(address) href=(with_query(&address, &model.query)) { (extension) }
                    }
                    ". The address of this page holds what you changed."
                }
                p #problem.problem role="alert" hidden[model.report.is_ok()] {
                    @if let Err(why) = &model.report { (why) }
                }
                section #report.report aria-label="Report" aria-busy="false" {
                    @if let Ok(report) = &model.report { (PreEscaped(report)) }
                }
            }
        }
    };
    page_with(&model.frame, "Decide", &[], &content, &["report.css"], &["sliders.js"])
}

fn with_query(address: &str, query: &str) -> String {
    if query.is_empty() { address.to_owned() } else { format!("{address}?{query}") }
}

fn drawn(control: &Control) -> Markup {
    match control {
        Control::Slider(slider) => slider_drawn(slider),
        Control::Choice(choice) => choice_drawn(choice),
        Control::Words(words) => words_drawn(words),
    }
}

fn slider_drawn(slider: &Slider) -> Markup {
    let Slider { name, text, value, usual, least, most, step, unit } = slider;
    let id = format!("set-{}", name.replace('.', "-"));
    let shown = if unit == "1" { String::new() } else { format!(" {unit}") };
    html! {
        div.slider {
            label for=(id) { (text) }
            output for=(id) data-unit=(shown) { (value) (shown) }
            input #(id) type="range" name=(name) min=(least) max=(most) step=(step) value=(value) data-usual=(usual);
        }
    }
}

fn choice_drawn(choice: &Choice) -> Markup {
    let id = format!("set-{}", choice.name);
    html! {
        div.choice {
            label for=(id) { (choice.text) }
            select #(id) name=(choice.name) data-usual=(choice.usual) {
                @for (word, text) in &choice.words {
                    option value=(word) selected[*word == choice.chosen] { (text) }
                }
            }
        }
    }
}

fn words_drawn(words: &Words) -> Markup {
    let id = format!("set-{}", words.name.replace('.', "-"));
    html! {
        div.words {
            label for=(id) { (words.text) }
            input #(id) type="text" name=(words.name) value=(words.value) placeholder=(words.hint) data-usual="" maxlength="200" autocomplete="off";
        }
    }
}
