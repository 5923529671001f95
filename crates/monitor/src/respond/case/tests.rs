use proptest::prelude::*;
use touchmark_identity::event::RawDigest;
use touchmark_identity::finding::{Action, Certainty, Kind, Schema};

use super::*;
use crate::respond::policy::{Group, Rule};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000).plus_ms(seconds * 1_000)
}

pub(crate) fn finding(grade: Certainty, revision: u32) -> Finding {
    let identity = IdentityRef { common_name: Some("meter-000017".to_owned()), ..IdentityRef::default() };
    let branch = |id: u32, since: i64| Branch { id, first_seen: Some(at(since)), ..Branch::default() };
    Finding {
        schema: Schema,
        id: FindingId::derive(&identity, Kind::Clone, "continuity.return", RawDigest::of(b"line")),
        revision,
        identity,
        device: Some("meter-000017".to_owned()),
        kind: Kind::Clone,
        grade,
        regime: Regime::Duplication,
        regime_basis: "tpm/declared".to_owned(),
        first_event: at(0),
        detected: at(0),
        rules: vec!["continuity.return".to_owned()],
        branches: vec![branch(0, -1_000), branch(1, -10)],
        original: Some(Original { branch: 0, probability: 0.98 }),
        evidence: Vec::new(),
        benign_causes: Vec::new(),
        events: Vec::new(),
        action: Action::ChallengeBoth,
        says: "two instances".to_owned(),
        closed: None,
    }
}

pub(crate) fn policy() -> Policy {
    let rung = |step, wait_s| Rung { step, wait_s };
    let rule = Rule {
        name: "clones".to_owned(),
        kinds: Vec::new(),
        grade: Certainty::Suspect,
        regime: None,
        group: None,
        suspects: Harmless::Challenge,
        original_percent: 90,
        ladder: vec![
            rung(Step::Challenge, 100),
            rung(Step::ReduceRights, 0),
            rung(Step::RekeyWinner, 100),
            rung(Step::Quarantine, 0),
            rung(Step::WorkOrder, 100),
            rung(Step::Revoke, 0),
        ],
    };
    Policy::new(vec![rule], BTreeMap::new()).unwrap()
}

/// A case that was given these inputs, each at the second named.
fn after(inputs: &[(i64, Input<'_>)], grade: Certainty) -> (Case, Vec<Act>) {
    let finding = finding(grade, 1);
    let case = Case::open(&policy(), &finding, None).unwrap();
    let (mut case, mut acts) = case.handle(at(0), Input::Finding(&finding));
    for (second, input) in inputs {
        let (next, more) = case.handle(at(*second), input.clone());
        case = next;
        acts.extend(more);
    }
    (case, acts)
}

fn words(acts: &[Act]) -> String {
    let words = acts.iter().filter_map(|act| match &act.request {
        Request::Do(measure) => Some(format!("+{}", measure.as_str())),
        Request::Undo(measure) => Some(format!("-{}", measure.as_str())),
        Request::Revoke(_) => Some("REVOKE".to_owned()),
        Request::Record => None,
    });
    words.collect::<Vec<_>>().join(" ")
}

fn name(state: State) -> &'static str {
    match state {
        State::Watching => "watching",
        State::Climbing { .. } => "climbing",
        State::Waiting { .. } => "waiting",
        State::Held { confirmed: Some(_), .. } => "held",
        State::Held { confirmed: None, .. } => "held-suspect",
        State::Suppressed { confirmed: Some(_) } => "suppressed",
        State::Suppressed { confirmed: None } => "suppressed-suspect",
        State::Ended { how: End::Closed } => "closed",
        State::Ended { how: End::Released } => "released",
        State::Ended { how: End::Revoked } => "revoked",
    }
}

fn in_state(state: &str) -> Case {
    let tick = |second| (second, Input::Tick);
    let decision = |decision| (10, Input::Decision(decision));
    let top = [tick(100), tick(200), tick(300)];
    let (suspect, sure) = (Certainty::Suspect, Certainty::Confirmed);
    let closed = Finding { closed: Some(at(1)), ..finding(sure, 2) };
    let case = match state {
        "watching" => after(&[], suspect).0,
        "climbing" => after(&[], sure).0,
        "waiting" => after(&top, sure).0,
        "held" => after(&[decision(Decision::Hold)], sure).0,
        "held-suspect" => after(&[decision(Decision::Hold)], suspect).0,
        "suppressed" => after(&[(10, Input::Triage(Triage::Suppressed))], sure).0,
        "suppressed-suspect" => after(&[(10, Input::Triage(Triage::Suppressed))], suspect).0,
        "closed" => after(&[(10, Input::Finding(&closed))], sure).0,
        "released" => after(&[decision(Decision::Release)], sure).0,
        "revoked" => {
            let word = after(&[], sure).0.confirm("ada", "meter-000017").unwrap();
            after(&[decision(Decision::Revoke(word))], sure).0
        }
        other => panic!("{other}"),
    };
    assert_eq!(name(case.state()), state);
    case
}

/// Every state and every input: where it leads and what is asked for.
#[test]
fn every_state_and_every_input() {
    let table = "
        watching            stale      watching
        watching            suspect    watching
        watching            confirmed  climbing
        watching            closed     closed              -challenge
        watching            answer     watching
        watching            tick       watching
        watching            proceed    watching
        watching            hold       held-suspect
        watching            resume     watching
        watching            release    released            -challenge
        watching            revoke     watching
        watching            suppress   suppressed-suspect  -challenge
        watching            lift       watching
        climbing            stale      climbing
        climbing            suspect    climbing
        climbing            confirmed  climbing
        climbing            closed     closed              -challenge
        climbing            answer     climbing
        climbing            tick       climbing            +reduce-rights +rekey-winner
        climbing            proceed    climbing            +reduce-rights +rekey-winner
        climbing            hold       held
        climbing            resume     climbing
        climbing            release    released            -challenge
        climbing            revoke     revoked             REVOKE -challenge
        climbing            suppress   suppressed          -challenge
        climbing            lift       climbing
        waiting             stale      waiting
        waiting             suspect    waiting
        waiting             confirmed  waiting
        waiting             closed     closed              -ask-revoke -work-order -rekey-winner -challenge
        waiting             answer     waiting             -rekey-winner -reduce-rights
        waiting             tick       waiting
        waiting             proceed    waiting
        waiting             hold       waiting
        waiting             resume     waiting
        waiting             release    released            -ask-revoke -work-order -quarantine -rekey-winner -reduce-rights -challenge
        waiting             revoke     revoked             REVOKE -ask-revoke -work-order -rekey-winner -challenge
        waiting             suppress   suppressed          -ask-revoke -work-order -quarantine -rekey-winner -reduce-rights -challenge
        waiting             lift       waiting
        held                stale      held
        held                suspect    held
        held                confirmed  held
        held                closed     closed              -challenge
        held                answer     held
        held                tick       held
        held                proceed    climbing            +reduce-rights +rekey-winner
        held                hold       held
        held                resume     climbing
        held                release    released            -challenge
        held                revoke     revoked             REVOKE -challenge
        held                suppress   suppressed          -challenge
        held                lift       held
        held-suspect        stale      held-suspect
        held-suspect        suspect    held-suspect
        held-suspect        confirmed  held
        held-suspect        closed     closed              -challenge
        held-suspect        answer     held-suspect
        held-suspect        tick       held-suspect
        held-suspect        proceed    held-suspect
        held-suspect        hold       held-suspect
        held-suspect        resume     watching
        held-suspect        release    released            -challenge
        held-suspect        revoke     held-suspect
        held-suspect        suppress   suppressed-suspect  -challenge
        held-suspect        lift       held-suspect
        suppressed          stale      suppressed
        suppressed          suspect    suppressed
        suppressed          confirmed  suppressed
        suppressed          closed     closed
        suppressed          answer     suppressed
        suppressed          tick       suppressed
        suppressed          proceed    suppressed
        suppressed          hold       suppressed
        suppressed          resume     suppressed
        suppressed          release    released
        suppressed          revoke     suppressed
        suppressed          suppress   suppressed
        suppressed          lift       climbing            +challenge
        suppressed-suspect  stale      suppressed-suspect
        suppressed-suspect  suspect    suppressed-suspect
        suppressed-suspect  confirmed  suppressed
        suppressed-suspect  closed     closed
        suppressed-suspect  answer     suppressed-suspect
        suppressed-suspect  tick       suppressed-suspect
        suppressed-suspect  proceed    suppressed-suspect
        suppressed-suspect  hold       suppressed-suspect
        suppressed-suspect  resume     suppressed-suspect
        suppressed-suspect  release    released
        suppressed-suspect  revoke     suppressed-suspect
        suppressed-suspect  suppress   suppressed-suspect
        suppressed-suspect  lift       watching            +challenge";
    let inputs = [
        "stale",
        "suspect",
        "confirmed",
        "closed",
        "answer",
        "tick",
        "proceed",
        "hold",
        "resume",
        "release",
        "revoke",
        "suppress",
        "lift",
    ];
    let mut expected: BTreeMap<(&str, &str), (&str, String)> = BTreeMap::new();
    for row in table.lines().filter(|row| !row.trim().is_empty()) {
        let cells: Vec<&str> = row.split_whitespace().collect();
        expected.insert((cells[0], cells[1]), (cells[2], cells[3..].join(" ")));
    }
    for state in ["closed", "released", "revoked"] {
        for input in inputs {
            expected.insert((state, input), (state, String::new()));
        }
    }
    let (suspect, sure) = (finding(Certainty::Suspect, 5), finding(Certainty::Confirmed, 5));
    let stale = finding(Certainty::Confirmed, 1);
    let closed = Finding { closed: Some(at(500)), ..sure.clone() };
    let mut seen = 0;
    for ((state, input_name), (to, acts)) in &expected {
        let case = in_state(state);
        let input = match *input_name {
            "stale" => Input::Finding(&stale),
            "suspect" => Input::Finding(&suspect),
            "confirmed" => Input::Finding(&sure),
            "closed" => Input::Finding(&closed),
            // The instance that is not thought to be the original: it attests.
            "answer" => Input::Answer { branch: 1, verdict: Verdict::Attested },
            "tick" => Input::Tick,
            "proceed" => Input::Decision(Decision::Proceed),
            "hold" => Input::Decision(Decision::Hold),
            "resume" => Input::Decision(Decision::Resume),
            "release" => Input::Decision(Decision::Release),
            "revoke" => Input::Decision(Decision::Revoke(case.confirm("ada", "meter-000017").unwrap())),
            "suppress" => Input::Triage(Triage::Suppressed),
            "lift" => Input::Triage(Triage::Lifted),
            other => panic!("{other}"),
        };
        let (case, done) = case.handle(at(1_000), input);
        assert_eq!((name(case.state()), words(&done)), (*to, acts.clone()), "{state} {input_name}");
        seen += 1;
    }
    assert_eq!(seen, 10 * inputs.len());
}

#[test]
fn the_whole_ladder_in_time_and_order() {
    let (case, acts) = after(
        &[(99, Input::Tick), (100, Input::Tick), (200, Input::Tick), (300, Input::Tick)],
        Certainty::Confirmed,
    );
    assert_eq!(words(&acts), "+challenge +reduce-rights +rekey-winner +quarantine +work-order +ask-revoke");
    assert!(matches!(case.state(), State::Waiting { .. }));
    let numbers: Vec<u32> = acts.iter().map(|act| act.number).collect();
    assert_eq!(numbers, (1..=u32::try_from(acts.len()).unwrap()).collect::<Vec<_>>());
    let reduced = acts.iter().find_map(|act| match &act.request {
        Request::Do(Measure::ReduceRights { branches, .. }) => Some(branches.iter().map(|b| b.id).collect()),
        _ => None,
    });
    assert_eq!(reduced, Some(vec![1]));
}

#[test]
fn who_alone_attests_is_the_original_whatever_the_estimate() {
    let answer = |branch, verdict| (10, Input::Answer { branch, verdict });
    let (case, acts) =
        after(&[answer(1, Verdict::Attested), answer(0, Verdict::SignatureOnly)], Certainty::Confirmed);
    assert_eq!(words(&acts), "+challenge +reduce-rights +rekey-winner");
    let Some(Measure::RekeyWinner(request)) = case.in_force().last() else { panic!("{case:?}") };
    assert_eq!((request.branch.id, request.because.as_str()), (1, "attested"));
    assert_eq!(case.due(), Some(at(110)), "all answered: the wait is cut short");
}

#[test]
fn two_that_attest_leave_it_open() {
    let answer = |branch| (10, Input::Answer { branch, verdict: Verdict::Attested });
    let (_, acts) = after(&[answer(1), answer(0)], Certainty::Confirmed);
    assert_eq!(words(&acts), "+challenge +quarantine +work-order");
    assert!(acts.iter().any(|act| act.says.contains("one chip lent to others")), "{acts:#?}");
}

#[test]
fn a_bad_answer_cannot_be_talked_away() {
    let answer = |verdict| (10, Input::Answer { branch: 1, verdict });
    let (case, _) = after(&[answer(Verdict::Failed), answer(Verdict::Attested)], Certainty::Confirmed);
    assert_eq!(case.answers[&1], Verdict::Failed);
}

#[test]
fn with_a_key_in_software_an_answer_decides_nothing() {
    let finding =
        Finding { regime_basis: "software/declared".to_owned(), ..finding(Certainty::Confirmed, 1) };
    let (case, first) =
        Case::open(&policy(), &finding, None).unwrap().handle(at(0), Input::Finding(&finding));
    assert!(first[0].says.contains("a copy can answer as well"), "{first:#?}");
    // Even a verdict that should not occur does not turn the estimate over.
    let (case, _) = case.handle(at(1), Input::Answer { branch: 1, verdict: Verdict::Attested });
    let (case, acts) = case.handle(at(100), Input::Tick);
    assert_eq!(words(&acts), "+reduce-rights +rekey-winner");
    assert!(matches!(case.in_force().last(), Some(Measure::RekeyWinner(r)) if r.branch.id == 0));
}

#[test]
fn without_an_original_no_instance_is_singled_out() {
    for original in [None, Some(Original { branch: 0, probability: 0.89 })] {
        let finding = Finding { original, ..finding(Certainty::Confirmed, 1) };
        let case = Case::open(&policy(), &finding, None).unwrap();
        let (case, _) = case.handle(at(0), Input::Finding(&finding));
        let (_, acts) = case.handle(at(100), Input::Tick);
        assert_eq!(words(&acts), "+quarantine +work-order");
    }
}

#[test]
fn an_unknown_device_gets_a_work_order_and_no_more() {
    let finding = Finding { device: None, ..finding(Certainty::Confirmed, 1) };
    let case = Case::open(&policy(), &finding, None).unwrap();
    let (case, acts) = case.handle(at(0), Input::Finding(&finding));
    assert_eq!(words(&acts), "+work-order");
    assert!(case.confirm("ada", "").is_err());
}

#[test]
fn a_confirmation_serves_its_own_case_and_the_right_name() {
    let case = in_state("waiting");
    let error = case.confirm("ada", "meter-000018\x1b[2J").unwrap_err();
    assert_eq!(error.code(), "RP-0002");
    assert!(!error.to_string().contains('\x1b'));
    let mut other = finding(Certainty::Confirmed, 1);
    other.id = FindingId::derive(&other.identity, Kind::Replay, "replay.message", RawDigest::of(b"x"));
    let foreign = Case::open(&policy(), &other, None).unwrap().confirm("ada", "meter-000017").unwrap();
    let (case, acts) = case.handle(at(900), Input::Decision(Decision::Revoke(foreign)));
    assert_eq!((name(case.state()), acts), ("waiting", Vec::new()));
}

#[test]
fn a_group_decides_about_installer_duplicates() {
    for (duplicates, reduced) in
        [(Duplicates::Replace, Some(0)), (Duplicates::Reject, Some(1)), (Duplicates::Allow, None)]
    {
        let group =
            Group { names: vec!["meter-*".to_owned()], duplicates: Some(duplicates), ..Group::default() };
        let policy = Policy::new(
            vec![policy().rule_for(&finding(Certainty::Confirmed, 1), None).unwrap().clone()],
            [("g".to_owned(), group)].into(),
        )
        .unwrap();
        let confirmed = Finding { kind: Kind::InstallerDuplicate, ..finding(Certainty::Confirmed, 2) };
        let suspect = Finding { grade: Certainty::Suspect, revision: 1, ..confirmed.clone() };
        let (case, acts) =
            Case::open(&policy, &suspect, None).unwrap().handle(at(0), Input::Finding(&suspect));
        assert_eq!(words(&acts), "+challenge", "a suspicion takes no rights");
        let (case, _) = case.handle(at(1), Input::Finding(&confirmed));
        let found = case.in_force().iter().find_map(|measure| match measure {
            Measure::ReduceRights { branches, .. } => branches.first().map(|b| b.id),
            _ => None,
        });
        assert_eq!(found, reduced, "{duplicates:?}");
        let (case, _) = case.handle(at(2), Input::Answer { branch: 0, verdict: Verdict::Attested });
        let (case, _) = case.handle(at(3), Input::Answer { branch: 1, verdict: Verdict::Attested });
        assert_eq!(case.in_force().len(), 1 + usize::from(reduced.is_some()), "the operator's choice stands");
    }
}

#[test]
fn a_case_is_stored_and_read_back() {
    for state in ["watching", "climbing", "waiting", "held", "suppressed", "released"] {
        let case = in_state(state);
        let text = serde_json::to_string(&case).unwrap();
        assert_eq!(serde_json::from_str::<Case>(&text).unwrap(), case, "{text}");
    }
}

#[test]
fn the_form_of_an_act() {
    let (_, acts) = after(&[], Certainty::Confirmed);
    let id = finding(Certainty::Confirmed, 1).id;
    assert_eq!(
        acts[0].to_line(),
        format!(
            "{{\"schema\":\"touchmark.response/1\",\"finding\":\"{id}\",\"number\":1,\"rule\":\"clones\",\
             \"at\":\"{}\",\"request\":\"do\",\"measure\":\"challenge\",\"device\":\"meter-000017\",\
             \"branches\":[0,1],\"evidence\":true,\
             \"says\":\"evidence of the chip tells its holder from one who has a copy\"}}",
            at(0)
        )
    );
}

#[derive(Debug, Clone)]
enum Move {
    Finding(bool, bool),
    Answer(u32, Verdict),
    Tick,
    Proceed,
    Hold,
    Resume,
    Release,
    Suppress,
    Lift,
}

fn moves() -> impl Strategy<Value = Move> {
    let verdict = prop_oneof![Just(Verdict::Attested), Just(Verdict::SignatureOnly), Just(Verdict::Failed)];
    prop_oneof![
        (any::<bool>(), prop::bool::weighted(0.1)).prop_map(|(sure, closed)| Move::Finding(sure, closed)),
        (0u32..3, verdict).prop_map(|(branch, verdict)| Move::Answer(branch, verdict)),
        Just(Move::Tick),
        Just(Move::Proceed),
        Just(Move::Hold),
        Just(Move::Resume),
        Just(Move::Release),
        Just(Move::Suppress),
        Just(Move::Lift),
    ]
}

proptest! {
    /// Whatever happens: nothing but a challenge before a confirmed revision, no revocation without a person, and what
    /// is in force is what was done and not undone.
    #[test]
    fn the_account_is_always_right(moves in prop::collection::vec(moves(), 0..40)) {
        let first = finding(Certainty::Suspect, 1);
        let mut case = Case::open(&policy(), &first, None).unwrap();
        let (mut sure_before, mut account) = (false, Vec::<Measure>::new());
        for (n, step) in moves.iter().enumerate() {
            let n = u32::try_from(n).unwrap();
            let mut now_finding = finding(Certainty::Suspect, n + 2);
            let input = match step {
                Move::Finding(sure, closed) => {
                    if *sure { now_finding.grade = Certainty::Confirmed; }
                    if *closed { now_finding.closed = Some(at(0)); }
                    sure_before |= *sure && !*closed;
                    Input::Finding(&now_finding)
                }
                Move::Answer(branch, verdict) => Input::Answer { branch: *branch, verdict: *verdict },
                Move::Tick => Input::Tick,
                Move::Proceed => Input::Decision(Decision::Proceed),
                Move::Hold => Input::Decision(Decision::Hold),
                Move::Resume => Input::Decision(Decision::Resume),
                Move::Release => Input::Decision(Decision::Release),
                Move::Suppress => Input::Triage(Triage::Suppressed),
                Move::Lift => Input::Triage(Triage::Lifted),
            };
            let (next, acts) = case.handle(at(i64::from(n) * 60), input);
            case = next;
            for act in acts {
                match act.request {
                    Request::Do(measure) => {
                        let harmless = matches!(measure, Measure::Challenge { .. });
                        prop_assert!(sure_before || harmless, "{:?}", measure);
                        account.push(measure);
                    }
                    Request::Undo(measure) => {
                        let place = account.iter().position(|m| *m == measure);
                        prop_assert!(place.is_some(), "{:?} was not done", measure);
                        account.remove(place.unwrap());
                    }
                    Request::Revoke(request) => prop_assert!(false, "{:?}", request),
                    Request::Record => {}
                }
            }
            prop_assert_eq!(case.in_force(), account.as_slice());
        }
    }
}

#[test]
fn rights_that_outlived_the_finding_can_be_given_back() {
    let (case, _) = after(&[(100, Input::Tick)], Certainty::Confirmed);
    let closed = Finding { closed: Some(at(150)), ..finding(Certainty::Confirmed, 2) };
    let (case, acts) = case.handle(at(150), Input::Finding(&closed));
    assert_eq!((name(case.state()), words(&acts)), ("closed", "-rekey-winner -challenge".to_owned()));
    let (case, acts) = case.handle(at(160), Input::Decision(Decision::Release));
    assert_eq!((name(case.state()), words(&acts)), ("released", "-reduce-rights".to_owned()));
    let (_, acts) = case.handle(at(170), Input::Decision(Decision::Release));
    assert_eq!(words(&acts), "");
}
