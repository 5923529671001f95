//! The page that says why there is no page.

use maud::html;

use super::frame;
use super::view::Trouble;

/// A page for an error, such as 404 or 500.
#[must_use]
pub fn trouble(view: &Trouble) -> String {
    let title = match view.status {
        404 => "Not found",
        400..=499 => "The request was refused",
        _ => "Something went wrong here",
    };
    let content = html! {
        div.trouble {
            p.status { (view.status) }
            h1 { (title) }
            p.lead { (view.text) }
            p { span.label { "Code" } " " code { (view.code) } }
            p { a href="/" { "Back to the overview" } }
        }
    };
    frame::page(&view.frame, title, &[], &content)
}
