//! A profile by asking: each field in turn, then the secrets. What comes out is the text of a profile's file.

use std::io::{BufRead, Write};

use touchmark_economics::storage::Rules;
use touchmark_economics::storage::field::{FIELDS, Field, Kind, STORES};

use crate::failure::Usage;

/// Asks until every answer can be taken.
///
/// # Errors
/// Where the input ends before the last question.
pub(crate) fn profile(
    rules: &Rules,
    input: &mut impl BufRead,
    out: &mut impl Write,
) -> anyhow::Result<String> {
    let mut text = String::new();
    for field in FIELDS {
        if let Some(value) = one(field, input, out)? {
            text.push_str(&format!("{} = {value}\n", field.key));
        }
    }
    writeln!(
        out,
        "\nThe secrets on the device: keys, also public ones that verify something. At least one."
    )?;
    let kinds: Vec<(&str, &str)> =
        rules.secrets.iter().map(|kind| (kind.kind.as_str(), kind.text.as_str())).collect();
    let mut any = false;
    loop {
        let end = if any { " (empty: that was the last)" } else { "" };
        let name = line(&format!("What is it called?{end}"), input, out)?;
        if name.is_empty() {
            if any {
                return Ok(text);
            }
            continue;
        }
        let kind = choice("What kind is it?", &kinds, input, out)?;
        let shared = loop {
            let shared = line("How many devices have the same one, this one included?", input, out)?;
            match shared.trim_end_matches("device").trim().parse::<u64>() {
                Ok(count) if count > 0 => break count,
                _ => writeln!(out, "  Write a whole number: 1 where no other device has it.")?,
            }
        };
        let stored = choice("Where is it stored?", STORES, input, out)?;
        text.push_str(&format!(
            "\n[[secret]]\nname = {}\nkind = \"{kind}\"\nshared-with = \"{shared} device\"\nstored = \"{stored}\"\n",
            quoted(&name)
        ));
        any = true;
    }
}

/// The value of a field as TOML; `None` where it is left out.
fn one(field: &Field, input: &mut impl BufRead, out: &mut impl Write) -> anyhow::Result<Option<String>> {
    if let Kind::Choice(words) = field.kind {
        return choice(field.question, words, input, out).map(|word| Some(format!("\"{word}\"")));
    }
    let hint = match field.kind {
        Kind::Flag => " (yes or no)".to_owned(),
        Kind::Amount { .. } => format!(" (as 5 {})", field.unit()),
        Kind::Choices(words) => {
            for (word, meaning) in words {
                writeln!(out, "  {word}: {meaning}")?;
            }
            " (words set apart by commas, or empty)".to_owned()
        }
        Kind::Choice(_) | Kind::Words => String::new(),
    };
    let left_out = if field.optional { " Empty: not said." } else { "" };
    loop {
        let said = line(&format!("{}{hint}{left_out}", field.question), input, out)?;
        if said.is_empty() && field.optional {
            return Ok(None);
        }
        match field.read(&said) {
            Ok(_) => {
                return Ok(Some(match field.kind {
                    Kind::Flag => (said == "yes").to_string(),
                    Kind::Choices(_) => {
                        let words = said.split(',').map(str::trim).filter(|word| !word.is_empty());
                        format!("[{}]", words.map(quoted).collect::<Vec<_>>().join(", "))
                    }
                    _ => quoted(&said),
                }));
            }
            Err((what, remedy)) => writeln!(out, "  {what}; {remedy}")?,
        }
    }
}

/// One of several words, by its number or by itself.
fn choice(
    question: &str,
    words: &[(&str, &str)],
    input: &mut impl BufRead,
    out: &mut impl Write,
) -> anyhow::Result<String> {
    for (number, (word, meaning)) in words.iter().enumerate() {
        writeln!(out, "  {:>2} {word}: {meaning}", number + 1)?;
    }
    loop {
        let said = line(question, input, out)?;
        let by_number = said.parse::<usize>().ok().and_then(|number| words.get(number.checked_sub(1)?));
        let found = by_number.or_else(|| words.iter().find(|(word, _)| *word == said));
        if let Some((word, _)) = found {
            return Ok((*word).to_owned());
        }
        writeln!(out, "  Write one of the words, or its number.")?;
    }
}

fn line(question: &str, input: &mut impl BufRead, out: &mut impl Write) -> anyhow::Result<String> {
    write!(out, "{question} ")?;
    out.flush()?;
    let mut said = String::new();
    if input.read_line(&mut said)? == 0 {
        return Err(Usage("the input ended before the last question; give a file by --profile".into()).into());
    }
    Ok(said.trim().to_owned())
}

/// A text as TOML has it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use touchmark_economics::error::Text;
    use touchmark_economics::input::Inputs;
    use touchmark_economics::storage::Profile;

    use super::*;

    #[test]
    fn answers_make_a_profile() {
        let inputs = Inputs::own().unwrap();
        let rules = Rules::own(&inputs).unwrap();
        let mut said = String::new();
        for field in FIELDS {
            said.push_str(match field.key {
                "name" => "Hall \"A\" sensor",
                "class" => "toaster\nsensor",
                "lifetime" => "5\n5 year",
                "bom-headroom" => "1 USD/device",
                "volume" => "1000 device",
                "regulation" => "cra, red",
                "power-budget" | "board-space" | "mcu" | "objections" => "",
                "physical-security" | "measured-boot" | "attestation" | "tcg" => "no",
                "monitoring-accepted" => "perhaps\nyes",
                _ => "1",
            });
            said.push('\n');
        }
        said.push_str("\nidentity\nsigning-key\nnone\n1\n7\n\n");
        let mut out = Vec::new();
        let text = profile(&rules, &mut said.as_bytes(), &mut out).unwrap();
        let profile = Profile::read(Text { file: "asked", text: &text }, &rules.kinds()).unwrap();
        assert_eq!(profile.word("class"), Some("sensor"));
        assert_eq!(profile.word("name"), Some("Hall \"A\" sensor"));
        assert_eq!(profile.secrets()[0].stored, "secure-element");
        let out = String::from_utf8(out).unwrap();
        for remedy in ["Write one of the words", "has no number with a unit", "is \"perhaps\""] {
            assert!(out.contains(remedy), "{remedy}: {out}");
        }
        let short = super::profile(&rules, &mut "name\n".as_bytes(), &mut Vec::new());
        assert!(short.unwrap_err().to_string().contains("--profile"));
    }
}
