//! The power fails in the middle of a change, at each occasion that there is: what was acknowledged is there when the
//! power is back, every key is whole or absent, and no number has gone down.

use touchmark_identity::key::sha256;

use super::act::Before;
use super::{Act, Bench, key, ways};
use crate::store::{KeyStore, StoreError};

/// No act has more occasions than this: a cut that strikes more often never lets the act end.
const MOST_OCCASIONS: u64 = 400;

/// A way to take the power away.
pub trait PowerCut {
    /// Where in an act the power fails, for messages.
    fn what(&self) -> String;

    /// From now on, the power fails at the `nth` occasion, counted from 1.
    fn arm(&mut self, nth: u64);

    /// Carries the act out until its end or the power's.
    ///
    /// # Errors
    /// What the store says; where it can say nothing any more, [`StoreError::Unreachable`].
    fn carry_out(&mut self, mut store: Box<dyn KeyStore>, act: Act, round: u64) -> Result<(), StoreError> {
        act.perform(store.as_mut(), round)
    }

    /// The power is back, and stays. Whether it had failed.
    fn restore(&mut self) -> bool;
}

pub(super) fn run(bench: &mut dyn Bench) -> Result<(), &'static str> {
    let cuts = ways(bench.power_cuts())?;
    let bystander = key("conf-bystander");
    let mut store = bench.open();
    let public = store.generate(&bystander).expect("generate");
    let mut round = 0;
    for mut cut in cuts {
        for act in Act::ALL {
            for nth in 1.. {
                round += 1;
                if !act.is_possible(store.as_mut()) {
                    break;
                }
                let what = format!("{act:?}, {}, occasion {nth}", cut.what());
                assert!(nth <= MOST_OCCASIONS, "{what}: the act never ends");
                let before = Before::prepare(store.as_mut(), act, round);
                cut.arm(nth);
                let told = cut.carry_out(store, act, round);
                let over = !cut.restore();
                store = bench.open();
                before.hold(store.as_mut(), &told, &what);
                assert_eq!(store.public_key(&bystander).expect(&what), public, "{what}: another key changed");
                let signature = store.sign_digest(&bystander, &sha256(what.as_bytes())).expect(&what);
                public.verify(what.as_bytes(), &signature).expect(&what);
                if over {
                    told.expect("an act with power succeeds");
                    assert!(nth > 1, "{what}: the power never failed");
                    break;
                }
            }
        }
    }
    Ok(())
}
