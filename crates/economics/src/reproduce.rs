//! The figures of two published articles beside ours: which inputs would give them, and what is wrong with them.
//!
//! Each stated figure is an input with its source (`article.*`), each of ours is computed from it or from our model, and the
//! verdict compares the two. Nothing here feeds another model.

mod attack;
mod implied;
mod key_storage;
#[cfg(test)]
mod tests;

use serde::Serialize;

pub use self::implied::{Implied, Set, Solution};
use crate::EconomicsError;
use crate::cost::Values;
use crate::expr::Expr;
use crate::input::Inputs;
use crate::report::{Draft, Report, Span, Tone};
use crate::unit::Unit;

/// How far two figures may lie apart and still agree: those of the articles are rounded to two digits.
const ROUNDED: f64 = 0.03;

/// One stated figure and ours.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Checked {
    /// The id of the stated figure.
    pub stated_id: String,
    /// The id of ours.
    pub ours_id: String,
    /// What the article states.
    pub stated: f64,
    /// What we compute.
    pub ours: f64,
    /// The unit of both.
    pub unit: &'static str,
    /// Whether they agree, within rounding.
    pub agrees: bool,
}

/// Rows of a table of claims, and the same for programs.
#[derive(Debug, Default)]
struct Claims {
    rows: Vec<Vec<Vec<Span>>>,
    checked: Vec<Checked>,
}

impl Claims {
    /// A stated figure against ours; the words of the verdict are for the case that they agree, and that they do not.
    fn check<U: Unit>(
        &mut self,
        draft: &mut Draft<'_>,
        what: &str,
        (stated, ours): (&Expr<U>, &Expr<U>),
        why: Vec<Span>,
    ) -> Result<(), EconomicsError> {
        let nodes = [stated.node(), ours.node()].map(std::rc::Rc::clone);
        let values = Values::new(nodes.to_vec(), draft.inputs())?;
        let (a, b) = (values.of(stated), values.of(ours));
        let agrees = (a - b).abs() <= ROUNDED * b.abs();
        let verdict = if agrees {
            Span::verdict("agrees", Tone::Good)
        } else {
            Span::verdict("does not agree", Tone::Bad)
        };
        let (stated, ours) = (draft.show(stated), draft.show(ours));
        if let (Span::Figure { id: stated_id }, Span::Figure { id: ours_id }) = (&stated, &ours) {
            let (stated_id, ours_id) = (stated_id.clone(), ours_id.clone());
            self.checked.push(Checked { stated_id, ours_id, stated: a, ours: b, unit: U::NAME, agrees });
        }
        self.rows.push(vec![vec![Span::text(what)], vec![stated], vec![ours], vec![verdict], why]);
        Ok(())
    }

    /// A figure of ours that the article does not state.
    fn implied<U: Unit>(&mut self, draft: &mut Draft<'_>, what: &str, ours: Vec<&Expr<U>>, why: Vec<Span>) {
        let mut cell = Vec::new();
        for (at, one) in ours.into_iter().enumerate() {
            if at > 0 {
                cell.push(Span::text(" to "));
            }
            cell.push(draft.show(one));
        }
        let verdict = Span::verdict("implied", Tone::Neutral);
        self.rows.push(vec![
            vec![Span::text(what)],
            vec![Span::text("not stated")],
            cell,
            vec![verdict],
            why,
        ]);
    }

    fn table(self, draft: &mut Draft<'_>, caption: &str) -> Vec<Checked> {
        draft.table(caption, &["Claim", "Stated", "Ours", "Verdict", "Why"], self.rows);
        self.checked
    }
}

/// Both articles' figures beside ours. `data` holds `checked` ([`Checked`]) and `implied` ([`Implied`]).
///
/// # Errors
/// EC-0002 where an input is missing.
pub fn report(inputs: &Inputs) -> Result<Report, EconomicsError> {
    let mut draft = Draft::new(inputs);
    let mut checked = key_storage::section(&mut draft)?;
    let implied = implied::section(&mut draft)?;
    checked.extend(attack::section(&mut draft)?);
    let summary = vec![Span::text(
        "Neither article gives one dollar figure with a source. Their arithmetic is checked here, what their totals imply is \
         computed, and our model is asked which inputs would give them.",
    )];
    let data = serde_json::json!({"checked": checked, "implied": implied});
    draft.finish("touchmark.decide.reproduce/1", "Two articles' figures beside ours", summary, data)
}
