//! Published attacks as data: `data/economics/attacks.toml`.

use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::error::{EconomicsError, Text};
use crate::input::{Inputs, alike};
use crate::source::Grade;

/// The file that comes with the product.
const OWN: Text<'static> = Text {
    file: "data/economics/attacks.toml",
    text: include_str!("../../../../data/economics/attacks.toml"),
};

/// One published attack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attack {
    /// Its id; its inputs are `attack.<id>.equipment`, `.method`, `.device` and `.sample`.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// The year of publication.
    pub year: u16,
    /// Parts or families that it was shown on.
    #[serde(default)]
    pub parts: Vec<String>,
    /// Where the key was: `software`, `enclave`, `tpm`, `secure-element`, or `shared`.
    pub storage: String,
    /// What the attacker had in the end.
    pub fell: String,
    /// With what equipment.
    pub equipment: String,
    /// In what time.
    pub time: String,
    /// What the attacker has to get at.
    pub reach: Reach,
    /// What the attacker needs.
    pub needs: String,
    /// Whether the key is carried away.
    pub yields: Yields,
    /// The source's id.
    pub source: String,
    /// Another source's id.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub also: String,
    /// How far the source carries.
    pub grade: Grade,
    /// Its number in the list of common vulnerabilities.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cve: String,
    /// Whether there are inputs for its costs.
    #[serde(default)]
    pub costs: bool,
    /// What else there is to say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// What the attacker has to get at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// The device itself.
    Physical,
    /// Software on the device.
    LocalCode,
    /// A connection to it.
    Network,
    /// What is public anyway.
    PublicData,
}

impl Reach {
    /// Whether the attacker has to get hold of each device.
    #[must_use]
    pub fn takes_devices(self) -> bool {
        self == Self::Physical
    }

    /// What people read.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Physical => "the device",
            Self::LocalCode => "software on the device",
            Self::Network => "the network",
            Self::PublicData => "public data",
        }
    }
}

/// What the attacker has in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Yields {
    /// The key, carried away.
    Key,
    /// The use of it, in place.
    Use,
    /// A tool.
    Tool,
}

/// A storage, and the attack that stands for it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stand {
    /// `software`, `enclave`, `tpm`, `secure-element`; `shared` for a secret that is in public data.
    pub id: String,
    /// What people read.
    pub text: String,
    /// The attack's id.
    pub attack: String,
}

/// A class break: from a day on another attack's costs hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Break {
    /// Its id.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// When it was published: `2024-09`.
    pub date: String,
    /// Which storage it hit.
    pub storage: String,
    /// Which parts.
    pub parts: Vec<String>,
    /// The attack whose costs held before.
    pub before: String,
    /// The attack whose costs hold since.
    pub after: String,
    /// What changed.
    pub text: String,
    /// The source's id.
    pub source: String,
    /// How far it carries.
    pub grade: Grade,
}

/// Parts for which no published attack was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoneFound {
    /// The parts.
    pub parts: Vec<String>,
    /// When it was looked for.
    pub date: String,
    /// What that means.
    pub text: String,
    /// The source's id.
    pub source: String,
    /// How far it carries.
    pub grade: Grade,
}

/// All of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalogue {
    /// Attacks.
    pub attacks: Vec<Attack>,
    /// The attack that stands for each storage, the weakest storage first.
    pub stands: Vec<Stand>,
    /// Class breaks.
    pub breaks: Vec<Break>,
    /// Parts for which nothing was found.
    pub none_found: Vec<NoneFound>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct File {
    attack: Vec<Spanned<Attack>>,
    storage: Vec<Spanned<Stand>>,
    r#break: Vec<Spanned<Break>>,
    none_found: Vec<Spanned<NoneFound>>,
}

const STORAGES: [&str; 5] = ["software", "enclave", "tpm", "secure-element", "shared"];

impl Catalogue {
    /// The product's own, over inputs that have its sources and costs.
    ///
    /// # Errors
    /// EC-0001 where the file is wrong, which a test excludes for the product's own inputs.
    pub fn own(inputs: &Inputs) -> Result<Self, EconomicsError> {
        Self::default().overridden(OWN, inputs)
    }

    /// This one, with what a user's file says instead: what has the same id is replaced, the rest is added.
    ///
    /// # Errors
    /// EC-0001 with the line and the remedy.
    pub fn overridden(mut self, text: Text<'_>, inputs: &Inputs) -> Result<Self, EconomicsError> {
        let file: File = text.parse()?;
        for one in file.attack {
            let at = one.span().start;
            let attack = one.into_inner();
            source(text, at, &attack.source, inputs)?;
            if !attack.also.is_empty() {
                source(text, at, &attack.also, inputs)?;
            }
            storage(text, at, &attack.storage)?;
            if attack.costs {
                costs(text, at, &attack, inputs)?;
            }
            put(&mut self.attacks, attack, |a, b| a.id == b.id);
        }
        for one in file.storage {
            let at = one.span().start;
            storage(text, at, &one.get_ref().id)?;
            self.with_costs(text, at, &one.get_ref().attack)?;
            put(&mut self.stands, one.into_inner(), |a, b| a.id == b.id);
        }
        for one in file.r#break {
            let at = one.span().start;
            source(text, at, &one.get_ref().source, inputs)?;
            storage(text, at, &one.get_ref().storage)?;
            self.with_costs(text, at, &one.get_ref().before)?;
            self.with_costs(text, at, &one.get_ref().after)?;
            put(&mut self.breaks, one.into_inner(), |a, b| a.id == b.id);
        }
        for one in file.none_found {
            source(text, one.span().start, &one.get_ref().source, inputs)?;
            self.none_found.push(one.into_inner());
        }
        Ok(self)
    }

    fn with_costs(&self, text: Text<'_>, at: usize, id: &str) -> Result<(), EconomicsError> {
        if self.attack(id).is_some_and(|attack| attack.costs) {
            return Ok(());
        }
        let with: Vec<&str> =
            self.attacks.iter().filter(|one| one.costs).map(|one| one.id.as_str()).collect();
        Err(text.wrong(
            at,
            format!("there is no attack `{id}` with costs"),
            format!("take one of: {}", with.join(", ")),
        ))
    }

    /// The attack of this id.
    #[must_use]
    pub fn attack(&self, id: &str) -> Option<&Attack> {
        self.attacks.iter().find(|attack| attack.id == id)
    }

    /// The parts and families that something is known of, each once, by name.
    #[must_use]
    pub fn parts(&self) -> Vec<&str> {
        let attacked = self.attacks.iter().flat_map(|attack| &attack.parts);
        let sound = self.none_found.iter().flat_map(|none| &none.parts);
        let mut parts: Vec<&str> = attacked.chain(sound).map(String::as_str).collect();
        parts.sort_unstable();
        parts.dedup();
        parts
    }

    /// The attacks on a part, by the longest family name that it begins with: `STM32F405` is an `STM32F4`.
    #[must_use]
    pub fn on_part(&self, part: &str) -> Vec<&Attack> {
        let part = plain(part);
        let fit = |attack: &Attack| {
            let families = attack.parts.iter().map(|family| plain(family));
            families.filter(|family| part.starts_with(family)).map(|family| family.len()).max()
        };
        let longest = self.attacks.iter().filter_map(fit).max();
        self.attacks.iter().filter(|attack| longest.is_some() && fit(attack) == longest).collect()
    }

    /// What was not found for a part.
    #[must_use]
    pub fn nothing_on(&self, part: &str) -> Option<&NoneFound> {
        let part = plain(part);
        let fits = |family: &String| part.starts_with(&plain(family));
        self.none_found.iter().find(|none| none.parts.iter().any(fits))
    }

    /// This catalogue with the newest attack that has costs and takes the key of this part standing for its storage.
    ///
    /// # Errors
    /// EC-0003 where nothing is known of such a part.
    pub fn for_part(mut self, part: &str) -> Result<Self, EconomicsError> {
        let on_part = self.on_part(part);
        if on_part.is_empty() && self.nothing_on(part).is_none() {
            let parts = self.attacks.iter().flat_map(|attack| &attack.parts);
            let near = parts
                .max_by(|a, b| alike(&plain(a), &plain(part)).total_cmp(&alike(&plain(b), &plain(part))));
            return Err(EconomicsError::Argument {
                what: format!("no attack on a part \"{part}\" is known"),
                remedy: format!(
                    "did you mean \"{}\"? data/economics/attacks.toml lists the parts",
                    near.map_or("", String::as_str)
                ),
            });
        }
        let taken = on_part.into_iter().filter(|attack| attack.costs && attack.yields == Yields::Key);
        let Some(attack) = taken.max_by_key(|attack| attack.year) else { return Ok(self) };
        let (id, storage) = (attack.id.clone(), attack.storage.clone());
        for stand in self.stands.iter_mut().filter(|stand| stand.id == storage) {
            stand.attack.clone_from(&id);
        }
        Ok(self)
    }
}

/// A part's name without case, blanks and dashes.
fn plain(part: &str) -> String {
    part.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

fn source(text: Text<'_>, at: usize, id: &str, inputs: &Inputs) -> Result<(), EconomicsError> {
    if inputs.sources().get(id).is_some() {
        return Ok(());
    }
    Err(text.wrong(
        at,
        format!("there is no source `{id}`"),
        "name one of `touchmark decide sources`, or add a [[source]] to a file of yours",
    ))
}

fn storage(text: Text<'_>, at: usize, storage: &str) -> Result<(), EconomicsError> {
    if STORAGES.contains(&storage) {
        return Ok(());
    }
    Err(text.wrong(
        at,
        format!("no key is stored in \"{storage}\""),
        format!("take one of: {}", STORAGES.join(", ")),
    ))
}

fn costs(text: Text<'_>, at: usize, attack: &Attack, inputs: &Inputs) -> Result<(), EconomicsError> {
    super::Costs::new(attack, inputs)
        .map(|_| ())
        .map_err(|error| text.wrong(at, error.to_string(), "add the input, or take `costs = true` away"))
}

fn put<T>(all: &mut Vec<T>, one: T, same: impl Fn(&T, &T) -> bool) {
    match all.iter_mut().find(|other| same(other, &one)) {
        Some(other) => *other = one,
        None => all.push(one),
    }
}
