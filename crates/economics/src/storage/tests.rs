use proptest::prelude::*;

use super::decision::{Other, Verdict, consistent, ranked};
use super::field::{Answer, FIELDS, Kind, field};
use super::rules::Effect;
use super::*;
use crate::attack::Catalogue;
use crate::error::EconomicsError;
use crate::input::Inputs;
use crate::report::walk;

const OTHERS: [Text<'static>; 2] = [
    Text { file: "gateway.toml", text: include_str!("../../../../data/economics/profiles/gateway.toml") },
    Text {
        file: "shared-master.toml",
        text: include_str!("../../../../data/economics/profiles/shared-master.toml"),
    },
];

fn own() -> (Inputs, Rules) {
    let inputs = Inputs::own().unwrap();
    let rules = Rules::own(&inputs).unwrap();
    (inputs, rules)
}

fn read(text: &str) -> Result<Profile, EconomicsError> {
    let (_, rules) = own();
    Profile::read(Text { file: "device.toml", text }, &rules.kinds())
}

/// The worked example with some lines replaced: each pair is a key and its new value.
fn changed(pairs: &[(&str, &str)]) -> String {
    let mut lines: Vec<String> = EXAMPLE.text.lines().map(str::to_owned).collect();
    for (key, value) in pairs {
        let line = lines.iter_mut().find(|line| line.starts_with(&format!("{key} = ")));
        match line {
            Some(line) => *line = format!("{key} = {value}"),
            None => lines.insert(0, format!("{key} = {value}")),
        }
    }
    lines.join("\n")
}

fn profile(pairs: &[(&str, &str)]) -> Profile {
    read(&changed(pairs)).unwrap()
}

fn first(profile: &Profile) -> (String, Verdict) {
    let (inputs, rules) = own();
    consistent(profile, &rules, &inputs).unwrap();
    let ranked = ranked(profile, &rules, &inputs);
    (ranked[0].option.to_owned(), ranked[0].verdict)
}

fn verdict(profile: &Profile, option: &str) -> Verdict {
    let (inputs, rules) = own();
    ranked(profile, &rules, &inputs).iter().find(|one| one.option == option).unwrap().verdict
}

#[test]
fn every_rule_has_a_source_and_can_speak() {
    let (inputs, rules) = own();
    assert!(rules.rules.len() > 30);
    let statements = rules
        .rules
        .iter()
        .map(|rule| &rule.says)
        .chain(rules.risks.iter().map(|risk| &risk.says))
        .chain(rules.regimes.iter().map(|regime| &regime.says))
        .chain(rules.secrets.iter().map(|secret| &secret.why))
        .chain(rules.objections.iter().flat_map(|one| one.answers.iter().map(|(_, says)| says)));
    for says in statements {
        assert!(inputs.sources().get(&says.source).is_some(), "{says:?}");
        assert!(!says.text.is_empty());
    }
    for choice in &rules.choices {
        assert!(rules.regimes.iter().any(|regime| regime.id == choice.regime), "{}", choice.id);
        let risks = rules.risks.iter().filter(|risk| risk.options.contains(&choice.id)).count();
        assert!(risks > 1, "{} has residual risks", choice.id);
    }
    let objections = field("objections").unwrap().words();
    for (word, _) in objections {
        assert!(rules.objections.iter().any(|one| one.id == *word && !one.answers.is_empty()), "{word}");
    }
}

#[test]
fn the_rules_of_the_field() {
    // An element for long lives, sensitive data, physical security.
    assert_eq!(first(&profile(&[])).0, "secure-element");
    let sensor = [("class", "\"sensor\""), ("power", "\"battery\""), ("enclave", "\"none\"")];
    assert_eq!(first(&profile(&sensor)), ("secure-element".to_owned(), Verdict::Fits));
    // A TPM for gateways that need measured boot.
    let gateway = [
        ("class", "\"gateway\""),
        ("os", "\"linux\""),
        ("measured-boot", "true"),
        ("bom-headroom", "\"8 USD/device\""),
    ];
    assert_eq!(first(&profile(&gateway)), ("tpm".to_owned(), Verdict::Fits));
    // Without that need the element stays first.
    let plain = [("class", "\"gateway\""), ("bom-headroom", "\"8 USD/device\"")];
    assert_eq!(first(&profile(&plain)).0, "secure-element");
    // Software for what is thrown away, and only with the watching accepted.
    let disposable = [
        ("class", "\"disposable\""),
        ("lifetime", "\"30 day\""),
        ("data", "\"operational\""),
        ("regulation", "[]"),
    ];
    assert_eq!(first(&profile(&disposable)), ("software".to_owned(), Verdict::FitsWithConditions));
    let unwatched = [disposable.as_slice(), &[("monitoring-accepted", "false")]].concat();
    assert_eq!(verdict(&profile(&unwatched), "software"), Verdict::RuledOut);
    // A server in a datacentre, a prototype, a fleet as it is.
    let server = [("class", "\"server\""), ("reach", "\"datacentre\""), ("data", "\"operational\"")];
    assert_ne!(verdict(&profile(&server), "software"), Verdict::RuledOut);
    let bench = [
        ("class", "\"prototype\""),
        ("regulation", "[]"),
        ("volume", "\"20 device\""),
        ("reach", "\"controlled\""),
        ("lifetime", "\"1 year\""),
    ];
    let bench = changed(&bench).replace("\"250000 device\"", "\"20 device\"");
    assert_eq!(first(&read(&bench).unwrap()).0, "software");
    let fielded = changed(&[("fleet", "\"retrofit-not-possible\"")])
        .replace("stored = \"secure-element\"", "stored = \"flash\"");
    let fielded = read(&fielded).unwrap();
    assert_eq!(verdict(&fielded, "secure-element"), Verdict::RuledOut);
    assert_eq!(verdict(&fielded, "software"), Verdict::FitsWithConditions);
}

#[test]
fn what_is_already_on_the_board_needs_no_retrofit() {
    let fielded = profile(&[("fleet", "\"retrofit-not-possible\"")]);
    assert_ne!(verdict(&fielded, "secure-element"), Verdict::RuledOut);
    assert_eq!(verdict(&fielded, "tpm"), Verdict::RuledOut);
}

#[test]
fn never_software_for_medical_devices_security_systems_and_locks() {
    for class in ["\"medical\"", "\"security-system\"", "\"lock\""] {
        for reach in ["\"public\"", "\"datacentre\"", "\"controlled\""] {
            for fleet in ["\"new\"", "\"retrofit-not-possible\""] {
                let pairs = [
                    ("class", class),
                    ("physical-security", "true"),
                    ("reach", reach),
                    ("fleet", fleet),
                    ("lifetime", "\"1 month\""),
                ];
                assert_eq!(verdict(&profile(&pairs), "software"), Verdict::RuledOut, "{pairs:?}");
            }
        }
    }
}

#[test]
fn an_enclave_raises_the_bar_without_reaching_it() {
    for class in ["sensor", "gateway", "charger", "appliance"] {
        for enclave in ["trustzone", "efuse", "firmware-tpm"] {
            let (class, enclave) = (format!("\"{class}\""), format!("\"{enclave}\""));
            let device = profile(&[("class", class.as_str()), ("enclave", enclave.as_str())]);
            assert_eq!(verdict(&device, "enclave"), Verdict::FitsWithConditions);
        }
    }
}

#[test]
fn prices_of_the_user_move_the_decision() {
    let (inputs, _) = own();
    let device = profile(&[("bom-headroom", "\"1 USD/device\"")]);
    let dear = inputs.given("--set", "part.secure-element.price", "4 USD/device").unwrap();
    let rules = Rules::own(&dear).unwrap();
    let place = |inputs: &Inputs| {
        let all = ranked(&device, &rules, inputs);
        all.iter().find(|one| one.option == "secure-element").unwrap().verdict
    };
    assert_eq!(place(&dear), Verdict::RuledOut);
    assert_eq!(place(&own().0), Verdict::Fits);
}

#[test]
fn a_secret_that_opens_others_fails_whatever_the_chip() {
    let (inputs, rules) = own();
    let master = Profile::read(OTHERS[1], &rules.kinds()).unwrap();
    let decision = decide(&master, &rules, &inputs).unwrap();
    assert!(!decision.shared.passes() && !decision.stands());
    assert_eq!(decision.ranked[0].option, "secure-element");
    assert_eq!(decision.shared.offending[0].secret.name, "fleet master key");
    assert_eq!(decision.shared.offending[0].opens, 100_000.0);
    assert!(!decision.shared.offending[0].kind.remedy.is_empty());
    for stored in ["flash", "enclave", "tpm", "secure-element"] {
        for (kind, shared, passes) in [
            ("signing-key", "1 device", true),
            ("signing-key", "2 device", false),
            ("symmetric-key", "250000 device", false),
            ("ota-symmetric-key", "250000 device", false),
            ("batch-attestation-key", "1000 device", false),
            ("kdf-master", "1 device", false),
            ("mac-derived", "1 device", false),
            ("public-verification-key", "250000 device", true),
        ] {
            let text = EXAMPLE.text.replace(
                "kind = \"signing-key\"\nshared-with = \"1 device\"\nstored = \"secure-element\"",
                &format!("kind = \"{kind}\"\nshared-with = \"{shared}\"\nstored = \"{stored}\""),
            );
            let device = read(&text).unwrap();
            assert_eq!(crate::shared::check(&device, &rules).passes(), passes, "{kind} {shared} {stored}");
        }
    }
}

#[test]
fn a_public_key_is_fine_where_firmware_cannot_write() {
    let (_, rules) = own();
    let device = profile(&[]);
    assert!(crate::shared::check(&device, &rules).replaceable.is_empty());
    let device = read(&EXAMPLE.text.replace("stored = \"otp\"", "stored = \"flash\"")).unwrap();
    let check = crate::shared::check(&device, &rules);
    assert!(check.passes());
    assert_eq!(check.replaceable.len(), 1);
}

#[test]
fn contradictions_name_the_line_and_the_remedy() {
    let (inputs, rules) = own();
    type Pairs = &'static [(&'static str, &'static str)];
    let cases: [(Pairs, &str, &str); 8] = [
        (&[("class", "\"disposable\""), ("lifetime", "\"15 year\"")], "lifetime", "disposable"),
        (&[("class", "\"vehicle-unit\""), ("reach", "\"datacentre\"")], "reach", "datacentre"),
        (&[("tcg", "true")], "tcg", "TCG conformance"),
        (&[("class", "\"lock\"")], "physical-security", "guards nothing"),
        (&[("class", "\"payment-terminal\""), ("data", "\"public\"")], "data", "payment"),
        (&[("class", "\"prototype\"")], "volume", "prototypes"),
        (&[("class", "\"server\""), ("power", "\"harvesting\"")], "power", "harvested"),
        (&[("class", "\"prototype\""), ("fleet", "\"retrofit-not-possible\"")], "fleet", "built again"),
    ];
    for (pairs, key, words) in cases {
        let text = changed(pairs);
        let device = read(&text).unwrap();
        let error = decide(&device, &rules, &inputs).unwrap_err();
        let EconomicsError::File { line, what, remedy, .. } = &error else { panic!("{error}") };
        assert!(text.lines().nth(line - 1).unwrap().starts_with(key), "{error}");
        assert!(what.contains(words) && !remedy.is_empty(), "{error}");
    }
}

#[test]
fn bad_profiles_name_the_line_and_the_remedy() {
    let line_of =
        |text: &str, start: &str| text.lines().position(|line| line.starts_with(start)).unwrap() + 1;
    for (key, value, words) in [
        ("lifetime", "10", "has no unit"),
        ("lifetime", "\"10 parsec\"", "take one of: year, month, day"),
        ("lifetime", "\"10\"", "no number with a unit"),
        ("bom-headroom", "\"-1 USD/device\"", "`bom-headroom` is -1"),
        ("bom-headroom", "\"1 USD\"", "take one of: USD/device"),
        ("volume", "\"0 device\"", "write something from 1"),
        ("volume", "\"nan device\"", "`volume` is NaN"),
        ("class", "\"toaster\"", "take one of: sensor"),
        ("reach", "[\"public\", \"datacentre\"]", "exclude each other"),
        ("tcg", "\"no\"", "neither true nor false"),
        ("regulation", "\"cra\"", "no list"),
        ("regulation", "[\"gdpr\"]", "take one of: cra"),
    ] {
        let text = changed(&[(key, value)]);
        let error = read(&text).unwrap_err().to_string();
        assert!(error.contains(words), "{key} = {value}: {error}");
        assert!(error.contains(&format!("device.toml, line {}:", line_of(&text, key))), "{error}");
    }
    let error = read(&changed(&[("lifetme", "\"3 year\"")])).unwrap_err().to_string();
    assert!(error.contains("did you mean `lifetime`"), "{error}");
    for field in FIELDS.iter().filter(|field| !field.optional) {
        let start = format!("{} = ", field.key);
        let text: String =
            EXAMPLE.text.lines().filter(|line| !line.starts_with(&start)).collect::<Vec<_>>().join("\n");
        let error = read(&text).unwrap_err().to_string();
        assert!(error.contains(&format!("`{}` is missing; add {}", field.key, field.key)), "{error}");
    }
    let bare = EXAMPLE.text.split("[[secret]]").next().unwrap();
    assert!(read(bare).unwrap_err().to_string().contains("no secret is listed"));
    for (from, to, words) in [
        ("kind = \"signing-key\"", "kind = \"lucky-charm\"", "take one of: signing-key"),
        ("kind = \"signing-key\"", "", "a secret has no text `kind`"),
        ("stored = \"otp\"", "stored = \"drawer\"", "nothing is stored in"),
        ("shared-with = \"1 device\"", "shared-with = 1", "no text `shared-with`"),
        ("shared-with = \"250000 device\"", "shared-with = \"250001 device\"", "and there are 250000"),
        ("stored = \"otp\"", "stored = \"otp\"\ncolour = \"red\"", "has no `colour`"),
    ] {
        let error = read(&EXAMPLE.text.replace(from, to)).unwrap_err().to_string();
        assert!(error.contains(words) && error.starts_with("device.toml, line "), "{error}");
    }
}

#[test]
fn rules_of_the_user_replace_ours_and_are_checked() {
    let (inputs, rules) = own();
    let rule = |when: &str, more: &str| {
        format!(
            "[[rule]]\nid = \"software-never\"\ntext = \"x\"\nsource = \"touchmark\"\ngrade = \"assumed\"\nwhen = {when}\n{more}"
        )
    };
    let read = |text: &str| rules.clone().overridden(Text { file: "mine.toml", text }, &inputs);
    let mine =
        read(&rule("{ field = \"class\", is = [\"meter\"] }", "rules-out = [\"software\"]\n")).unwrap();
    assert_eq!(mine.rules.len(), rules.rules.len());
    for (when, more, words) in [
        ("{ field = \"colour\", is = [\"red\"] }", "", "`colour`, which no profile has"),
        ("{ field = \"class\", is = [\"toaster\"] }", "", "take one of: sensor"),
        ("{ field = \"class\" }", "", "not exactly one thing"),
        ("{ field = \"class\", is = [\"meter\"], above = \"1 year\" }", "", "not exactly one thing"),
        ("{ }", "", "neither"),
        ("{ field = \"lifetime\", above = \"2 moon\" }", "", "take one of: year"),
        ("{ field = \"class\", above = \"2 year\" }", "", "take one of: sensor"),
        ("{ field = \"lifetime\", below-input = \"part.tpm.price\" }", "", "and `lifetime` in year"),
        ("{ field = \"bom-headroom\", below-input = \"part.none\" }", "", "no input `part.none`"),
        ("{ field = \"class\", is = [\"meter\"] }", "favours = [\"prayer\"]\n", "no option `prayer`"),
    ] {
        let error = read(&rule(when, more)).unwrap_err().to_string();
        assert!(error.contains(words) && error.starts_with("mine.toml, line 1:"), "{error}");
    }
}

#[test]
fn what_would_change_the_answer_does() {
    let (inputs, rules) = own();
    for text in [EXAMPLE, OTHERS[0], OTHERS[1]] {
        let device = Profile::read(text, &rules.kinds()).unwrap();
        let decision = decide(&device, &rules, &inputs).unwrap();
        assert!(!decision.changes.is_empty(), "{}", text.file);
        for change in &decision.changes {
            let answer = match &change.to {
                Other::Words(words) => Answer::Word(words[0].to_owned()),
                Other::Between(low, high) => {
                    let end = |edge: &Option<super::decision::Edge<'_>>, end: f64| {
                        edge.map_or(end, |edge| edge.bound.value(&inputs))
                    };
                    Answer::Amount(f64::midpoint(end(low, 0.001), end(high, 1e9)))
                }
                Other::With(_) | Other::Without(_) => continue,
            };
            let other = device.with(change.field, answer);
            let again = ranked(&other, &rules, &inputs);
            if !change.first.is_empty() {
                assert_eq!(again[0].option, change.first);
            }
            assert_eq!(again[0].verdict, change.verdict);
        }
    }
}

#[test]
fn objections_get_the_answer_that_fits_the_place() {
    let (inputs, rules) = own();
    let answer = |reach: &str| {
        let device = profile(&[("reach", reach)]);
        let device = device.objecting("obfuscation").unwrap();
        let decision = decide(&device, &rules, &inputs).unwrap();
        assert_eq!(decision.objections.len(), 3);
        decision.objections.iter().find(|(one, _)| one.id == "no-physical-access").unwrap().1.text.clone()
    };
    assert!(answer("\"public\"").contains("another device"));
    assert!(answer("\"datacentre\"").contains("can be right"));
    assert_eq!(profile(&[]).objecting("budget").unwrap_err().code(), "EC-0003");
}

#[test]
fn reports_lead_everywhere() {
    let (inputs, rules) = own();
    let catalogue = Catalogue::own(&inputs).unwrap();
    for text in [EXAMPLE, OTHERS[0], OTHERS[1]] {
        let device = Profile::read(text, &rules.kinds()).unwrap();
        let report = report(&device, &rules, &catalogue, &inputs).unwrap();
        assert_eq!(walk::orphans(&report), Vec::<String>::new());
        assert_eq!(report.schema, "touchmark.decide.storage/1");
        assert_eq!(report.data["stands"], text.file != "shared-master.toml");
    }
}

fn any_profile() -> impl Strategy<Value = Profile> {
    let (_, rules) = own();
    let base = Profile::read(EXAMPLE, &rules.kinds()).unwrap();
    let choices: Vec<&'static field::Field> =
        FIELDS.iter().filter(|field| matches!(field.kind, Kind::Choice(_) | Kind::Flag)).collect();
    let words = proptest::collection::vec(any::<prop::sample::Index>(), choices.len());
    (words, 0.01..30.0_f64, 0.0..10.0_f64).prop_map(move |(words, lifetime, headroom)| {
        let mut profile = base.clone();
        for (field, at) in choices.iter().zip(words) {
            profile = profile.with(field, Answer::Word(at.get(field.words()).0.to_owned()));
        }
        let profile = profile.with(field("lifetime").unwrap(), Answer::Amount(lifetime));
        profile.with(field("bom-headroom").unwrap(), Answer::Amount(headroom))
    })
}

proptest! {
    #[test]
    fn verdicts_follow_from_what_was_spoken(device in any_profile()) {
        let (inputs, rules) = own();
        let all = ranked(&device, &rules, &inputs);
        prop_assert_eq!(all.len(), 4);
        prop_assert!(all.windows(2).all(|pair| pair[0].verdict <= pair[1].verdict));
        for one in &all {
            let has = |effect: Effect| one.spoken.iter().any(|(spoken, _)| *spoken == effect);
            prop_assert_eq!(one.verdict == Verdict::RuledOut, has(Effect::RulesOut));
            prop_assert_eq!(one.verdict == Verdict::Fits, !has(Effect::RulesOut) && !has(Effect::Requires));
        }
    }

    #[test]
    fn software_keeps_to_its_places(device in any_profile()) {
        let (inputs, rules) = own();
        let all = ranked(&device, &rules, &inputs);
        let software = all.iter().find(|one| one.option == "software").unwrap();
        if software.verdict != Verdict::RuledOut {
            let class = device.word("class").unwrap();
            let reach = device.word("reach").unwrap();
            prop_assert!(!["medical", "security-system", "lock"].contains(&class));
            prop_assert_eq!(device.word("monitoring-accepted"), Some("yes"));
            prop_assert!(
                ["disposable", "prototype"].contains(&class)
                    || ["controlled", "datacentre"].contains(&reach)
                    || device.amount("lifetime").unwrap() < 1.0
                    || device.word("fleet") == Some("retrofit-not-possible")
            );
        }
    }

    #[test]
    fn more_head_room_never_hurts_a_chip(device in any_profile(), more in 0.0..10.0_f64) {
        let (inputs, rules) = own();
        let richer = device.with(
            field("bom-headroom").unwrap(),
            Answer::Amount(device.amount("bom-headroom").unwrap() + more),
        );
        for chip in ["secure-element", "tpm"] {
            let place = |device: &Profile| {
                ranked(device, &rules, &inputs).iter().find(|one| one.option == chip).unwrap().verdict
            };
            prop_assert!(place(&richer) <= place(&device));
        }
    }

    #[test]
    fn any_profile_is_decided_or_refused_with_a_line(device in any_profile()) {
        let (inputs, rules) = own();
        let catalogue = Catalogue::own(&inputs).unwrap();
        match report(&device, &rules, &catalogue, &inputs) {
            Ok(report) => prop_assert_eq!(walk::orphans(&report), Vec::<String>::new()),
            Err(error) => prop_assert_eq!(error.code(), "EC-0001"),
        }
    }

    #[test]
    fn no_text_makes_the_reader_of_profiles_fall(text in "\\PC{0,200}") {
        let _ = read(&text);
    }
}
