//! What an element holds: objects, and the form in which they are stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_lc_rs::signature::{EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use touchmark_identity::apdu::se05x::{
    Attributes, CHIP_ID_BYTES, CURVE_NIST_P256, NOT_SET, ObjectType, Origin, PCR_BYTES, Policy, SET, rule,
};
use zeroize::Zeroizing;

use crate::applet::Applet;
use crate::iot::curve::Curve;
use crate::store::from_json;

/// Room for objects, in bytes, counted as [`Object::footprint`] counts.
pub(crate) const MEMORY_BYTES: usize = 48 * 1024;

/// The value of an object. Private keys stay inside the cryptographic library, which wipes them, where it keeps them.
pub(crate) enum Body {
    KeyPair(EcdsaKeyPair),
    /// A private key that was imported without its public half, and does not give it.
    PrivateKey(EcdsaKeyPair),
    /// A public key of any curve, in the order of bytes of its standard.
    PublicKey {
        curve: Curve,
        point: Vec<u8>,
    },
    Ed25519 {
        pair: Ed25519KeyPair,
        seed: Zeroizing<[u8; 32]>,
        gives_public: bool,
    },
    X25519 {
        scalar: Zeroizing<[u8; 32]>,
        gives_public: bool,
    },
    Aes(Zeroizing<Vec<u8>>),
    Hmac(Zeroizing<Vec<u8>>),
    Binary(Vec<u8>),
    Counter {
        bytes: u8,
        value: u64,
        /// How often it can still be written: memory wears out.
        writes: u32,
    },
    Pcr {
        initial: [u8; PCR_BYTES],
        value: [u8; PCR_BYTES],
    },
    UserId(Zeroizing<Vec<u8>>),
    /// A transient object whose value is gone, or is on another logical channel.
    Absent {
        object_type: ObjectType,
        curve: Option<Curve>,
        bytes: u16,
    },
}

/// How often a counter can be written.
pub(crate) const COUNTER_WRITES: u32 = 1_000_000;

pub(crate) struct Object {
    pub(crate) origin: Origin,
    pub(crate) policies: Vec<Policy>,
    /// The authentication object of the session in which it was made; 0 without a session.
    pub(crate) owner: u32,
    /// Of an authentication object: the most failed attempts, 0 without a limit.
    pub(crate) auth: Option<u16>,
    /// The value is on the logical channel alone.
    pub(crate) transient: bool,
    pub(crate) body: Body,
}

/// The objects by their ids.
pub(crate) type Objects = BTreeMap<u32, Arc<Object>>;

impl Object {
    pub(crate) fn object_type(&self) -> ObjectType {
        match self.body {
            Body::KeyPair(_)
            | Body::Ed25519 { gives_public: true, .. }
            | Body::X25519 { gives_public: true, .. } => ObjectType::EC_KEY_PAIR,
            Body::PrivateKey(_) | Body::Ed25519 { .. } | Body::X25519 { .. } => ObjectType::EC_PRIVATE_KEY,
            Body::PublicKey { .. } => ObjectType::EC_PUBLIC_KEY,
            Body::Aes(_) => ObjectType::AES_KEY,
            Body::Hmac(_) => ObjectType::HMAC_KEY,
            Body::Binary(_) => ObjectType::BINARY,
            Body::Counter { .. } => ObjectType::COUNTER,
            Body::Pcr { .. } => ObjectType::PCR,
            Body::UserId(_) => ObjectType::USER_ID,
            Body::Absent { object_type, .. } => object_type,
        }
    }

    /// A durable object that opens no sessions and was made without one.
    pub(crate) fn new(origin: Origin, policies: Vec<Policy>, body: Body) -> Self {
        Self { origin, policies, owner: 0, auth: None, transient: false, body }
    }

    /// The number of bytes of the value; of an EC key, of its curve.
    pub(crate) fn size(&self) -> Option<u16> {
        if let Some(curve) = self.curve() {
            return Some(u16::from(curve.bytes()));
        }
        match &self.body {
            Body::Aes(key) | Body::Hmac(key) | Body::UserId(key) => u16::try_from(key.len()).ok(),
            Body::Binary(data) => u16::try_from(data.len()).ok(),
            Body::Counter { bytes, .. } => Some(u16::from(*bytes)),
            Body::Pcr { value, .. } => u16::try_from(value.len()).ok(),
            Body::Absent { bytes, .. } => Some(*bytes),
            _ => None,
        }
    }

    /// The durable half of a transient object: all but the value.
    pub(crate) fn without_value(&self) -> Self {
        let (object_type, curve) = (self.object_type(), self.curve());
        Self {
            origin: self.origin,
            policies: self.policies.clone(),
            owner: self.owner,
            auth: self.auth,
            transient: true,
            body: Body::Absent { object_type, curve, bytes: self.size().unwrap_or(0) },
        }
    }

    /// The curve of an EC key.
    pub(crate) fn curve(&self) -> Option<Curve> {
        match &self.body {
            Body::KeyPair(pair) | Body::PrivateKey(pair) => Curve::of(pair),
            Body::PublicKey { curve, .. } => Some(*curve),
            Body::Ed25519 { .. } => Some(Curve::Ed25519),
            Body::X25519 { .. } => Some(Curve::X25519),
            Body::Absent { curve, .. } => *curve,
            Body::Aes(_)
            | Body::Hmac(_)
            | Body::Binary(_)
            | Body::Counter { .. }
            | Body::Pcr { .. }
            | Body::UserId(_) => None,
        }
    }

    /// The attributes, with a version where the applet gives one: 0, as objects have here no other.
    pub(crate) fn attributes(&self, object_id: u32, failed_attempts: u16, applet: Applet) -> Attributes {
        Attributes {
            object_id,
            object_type: self.object_type(),
            authentication: if self.auth.is_some() { SET } else { NOT_SET },
            failed_attempts,
            owner: self.owner,
            max_attempts: self.auth.unwrap_or(0),
            policies: self.policies.clone(),
            origin: self.origin,
            version: applet.binds_reads().then_some(0),
        }
    }

    /// Whether what is derived from the object stays on the card.
    pub(crate) fn keeps_derived(&self) -> bool {
        self.policies.iter().any(|policy| policy.rule & rule::FORBID_DERIVED_OUTPUT != 0)
    }

    /// The memory that the object takes, in bytes: its value, its policies, and a fixed share for the rest.
    pub(crate) fn footprint(&self) -> usize {
        let value = match &self.body {
            Body::KeyPair(_) | Body::PrivateKey(_) => match self.curve() {
                None | Some(Curve::P256) => 160,
                Some(_) => 320,
            },
            Body::PublicKey { curve: Curve::P256, .. } => 80,
            Body::PublicKey { point, .. } => point.len() + 16,
            Body::Ed25519 { .. } | Body::X25519 { .. } => 80,
            Body::Aes(key) | Body::Hmac(key) | Body::UserId(key) => key.len(),
            Body::Binary(bytes) => bytes.len(),
            Body::Counter { .. } | Body::Absent { .. } => 16,
            Body::Pcr { .. } => 2 * PCR_BYTES,
        };
        let policies: usize = self.policies.iter().map(|policy| 9 + policy.extension.len()).sum();
        32 + policies + value
    }
}

/// All that an element keeps without power. Cloning shares the objects; no key is copied.
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) chip_id: [u8; CHIP_ID_BYTES],
    pub(crate) applet: Applet,
    /// How often the element was started.
    pub(crate) boots: u32,
    pub(crate) objects: Objects,
    /// Failed attempts with authentication objects, one after another.
    pub(crate) failed: BTreeMap<u32, u16>,
    pub(crate) settings: Settings,
    /// What exported objects are encrypted and authenticated with, 32 and 16 bytes; made when it is first needed.
    pub(crate) export_keys: Option<Arc<Zeroizing<Vec<u8>>>>,
}

/// What a session of one of the applet's own authentication objects has set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// The persistent transport lock.
    pub(crate) locked: bool,
    /// Commands have to come through the platform's secure channel.
    pub(crate) platform_required: bool,
    /// 0, or which objects are no longer made.
    pub(crate) restricted: u8,
}

impl State {
    /// A state with these objects.
    pub(crate) fn new(chip_id: [u8; CHIP_ID_BYTES], objects: Objects) -> Self {
        let (failed, settings) = (BTreeMap::new(), Settings::default());
        let applet = Applet::default();
        Self { chip_id, applet, boots: 1, objects, failed, settings, export_keys: None }
    }

    /// Failed attempts with an authentication object since the last good one.
    pub(crate) fn failed(&self, id: u32) -> u16 {
        self.failed.get(&id).copied().unwrap_or(0)
    }

    /// Whether an authentication object opens no session any more.
    pub(crate) fn is_blocked(&self, id: u32) -> bool {
        let most = self.objects.get(&id).and_then(|object| object.auth).unwrap_or(0);
        most != 0 && self.failed(id) >= most
    }

    /// Free bytes.
    pub(crate) fn free_bytes(&self) -> usize {
        let used: usize = self.objects.values().map(|object| object.footprint()).sum();
        MEMORY_BYTES.saturating_sub(used)
    }

    /// The stored form of all but the objects, JSON.
    pub(crate) fn encode_rest(&self) -> Result<Zeroizing<Vec<u8>>, String> {
        self.encode_with(Vec::new(), 0)
    }

    /// The stored form as a whole, as the formats 1 and 2 had it.
    #[cfg(test)]
    pub(crate) fn encode(&self) -> Result<Zeroizing<Vec<u8>>, String> {
        let objects = self.objects.iter().map(|(id, object)| store(*id, self.failed(*id), object));
        let room = self.objects.values().map(|object| 512 + 4 * object.footprint()).sum();
        self.encode_with(objects.collect::<Result<_, _>>()?, room)
    }

    /// The stored form with these objects, which take this room.
    fn encode_with(&self, objects: Vec<StoredObject>, room: usize) -> Result<Zeroizing<Vec<u8>>, String> {
        let stored = StoredState {
            chip_id: self.chip_id,
            applet: self.applet,
            boots: self.boots,
            objects,
            settings: self.settings.clone(),
            export_keys: self.export_keys.as_ref().map(|keys| Hex(Zeroizing::clone(keys))),
        };
        // Large enough that the buffer is not moved, which would leave a copy of the keys behind: hex doubles.
        let mut json = Zeroizing::new(Vec::with_capacity(1024 + room));
        serde_json::to_writer(&mut *json, &stored).map_err(|error| error.to_string())?;
        Ok(json)
    }

    /// The stored form of one of the objects, JSON.
    pub(crate) fn encode_one(&self, id: u32, object: &Object) -> Result<Zeroizing<Vec<u8>>, String> {
        let mut json = Zeroizing::new(Vec::with_capacity(1024 + 4 * object.footprint()));
        let stored = store(id, self.failed(id), object)?;
        serde_json::to_writer(&mut *json, &stored).map_err(|error| error.to_string())?;
        Ok(json)
    }

    /// Reads the stored form of one object into the state, and gives its id.
    pub(crate) fn decode_one(&mut self, json: &[u8]) -> Result<u32, String> {
        let stored: StoredObject = from_json(json)?;
        let (id, object) = load(&stored)?;
        if stored.failed != 0 {
            self.failed.insert(id, stored.failed);
        }
        self.objects.insert(id, Arc::new(object));
        Ok(id)
    }

    /// Reads the stored form.
    pub(crate) fn decode(json: &[u8]) -> Result<Self, String> {
        let stored: StoredState = from_json(json)?;
        let mut objects = Objects::new();
        let mut failed = BTreeMap::new();
        for object in &stored.objects {
            let (id, loaded) = load(object)?;
            if object.failed != 0 {
                failed.insert(id, object.failed);
            }
            if objects.insert(id, Arc::new(loaded)).is_some() {
                return Err(format!("the object {id:08x} occurs twice"));
            }
        }
        let export_keys = stored.export_keys.map(|keys| Arc::new(keys.0));
        let StoredState { chip_id, applet, boots, settings, .. } = stored;
        Ok(Self { chip_id, applet, boots, objects, failed, settings, export_keys })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredState {
    #[serde(with = "hex::serde")]
    chip_id: [u8; CHIP_ID_BYTES],
    #[serde(default, skip_serializing_if = "is_default")]
    applet: Applet,
    boots: u32,
    objects: Vec<StoredObject>,
    #[serde(default)]
    settings: Settings,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    export_keys: Option<Hex>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredObject {
    #[serde(with = "hex::serde")]
    id: [u8; 4],
    origin: u8,
    #[serde(with = "hex::serde")]
    policies: Vec<u8>,
    #[serde(default, skip_serializing_if = "is_default")]
    owner: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    auth: Option<u16>,
    #[serde(default, skip_serializing_if = "is_default")]
    failed: u16,
    #[serde(default, skip_serializing_if = "is_default")]
    transient: bool,
    body: StoredBody,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
enum StoredBody {
    KeyPair {
        #[serde(default = "p256")]
        curve: u8,
        pkcs8: Hex,
    },
    PrivateKey {
        #[serde(default = "p256")]
        curve: u8,
        pkcs8: Hex,
    },
    PublicKey {
        #[serde(default = "p256")]
        curve: u8,
        point: Hex,
    },
    Ed25519 {
        seed: Hex,
        gives_public: bool,
    },
    X25519 {
        scalar: Hex,
        gives_public: bool,
    },
    Aes {
        key: Hex,
    },
    Hmac {
        key: Hex,
    },
    Binary {
        data: Hex,
    },
    Counter {
        bytes: u8,
        value: u64,
        #[serde(default = "counter_writes")]
        writes: u32,
    },
    Pcr {
        #[serde(with = "hex::serde")]
        initial: [u8; PCR_BYTES],
        #[serde(with = "hex::serde")]
        value: [u8; PCR_BYTES],
    },
    UserId {
        value: Hex,
    },
    Absent {
        object_type: u8,
        curve: Option<u8>,
        bytes: u16,
    },
}

/// The budget of counters in states that were written when there was none.
fn counter_writes() -> u32 {
    COUNTER_WRITES
}

/// The curve of the keys in states that were written when there was no other.
fn p256() -> u8 {
    CURVE_NIST_P256
}

/// Bytes in hex that are wiped from memory after use.
struct Hex(Zeroizing<Vec<u8>>);

impl Serialize for Hex {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&Zeroizing::new(hex::encode(self.0.as_slice())))
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(from)?);
        let bytes = hex::decode(text.as_bytes()).map_err(serde::de::Error::custom)?;
        Ok(Self(Zeroizing::new(bytes)))
    }
}

/// The stored form of one object, as it leaves the card encrypted.
pub(crate) fn encode_object(id: u32, object: &Object) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut json = Zeroizing::new(Vec::with_capacity(1024 + 4 * object.footprint()));
    serde_json::to_writer(&mut *json, &store(id, 0, object)?).map_err(|error| error.to_string())?;
    Ok(json)
}

/// Reads [`encode_object`]'s form.
pub(crate) fn decode_object(json: &[u8]) -> Result<(u32, Object), String> {
    load(&from_json(json)?)
}

fn store(id: u32, failed: u16, object: &Object) -> Result<StoredObject, String> {
    let secret = |bytes: &[u8]| Hex(Zeroizing::new(bytes.to_vec()));
    let pkcs8 = |pair: &EcdsaKeyPair| {
        pair.to_pkcs8v1()
            .map(|document| secret(document.as_ref()))
            .map_err(|_| "a key cannot be stored".to_owned())
    };
    let curve = || object.curve().map(Curve::id).ok_or_else(|| "a key has no curve".to_owned());
    let body = match &object.body {
        Body::KeyPair(pair) => StoredBody::KeyPair { curve: curve()?, pkcs8: pkcs8(pair)? },
        Body::PrivateKey(pair) => StoredBody::PrivateKey { curve: curve()?, pkcs8: pkcs8(pair)? },
        Body::PublicKey { curve, point } => StoredBody::PublicKey { curve: curve.id(), point: secret(point) },
        Body::Ed25519 { seed, gives_public, .. } => {
            StoredBody::Ed25519 { seed: secret(seed.as_slice()), gives_public: *gives_public }
        }
        Body::X25519 { scalar, gives_public } => {
            StoredBody::X25519 { scalar: secret(scalar.as_slice()), gives_public: *gives_public }
        }
        Body::Aes(key) => StoredBody::Aes { key: secret(key) },
        Body::Hmac(key) => StoredBody::Hmac { key: secret(key) },
        Body::Binary(data) => StoredBody::Binary { data: secret(data) },
        Body::Counter { bytes, value, writes } => {
            StoredBody::Counter { bytes: *bytes, value: *value, writes: *writes }
        }
        Body::Pcr { initial, value } => StoredBody::Pcr { initial: *initial, value: *value },
        Body::UserId(value) => StoredBody::UserId { value: secret(value) },
        Body::Absent { object_type, curve, bytes } => {
            StoredBody::Absent { object_type: object_type.0, curve: curve.map(Curve::id), bytes: *bytes }
        }
    };
    let policies = Policy::encode_set(&object.policies).map_err(|error| error.to_string())?;
    Ok(StoredObject {
        id: id.to_be_bytes(),
        origin: object.origin.0,
        policies,
        owner: object.owner,
        auth: object.auth,
        failed,
        transient: object.transient,
        body,
    })
}

fn load(stored: &StoredObject) -> Result<(u32, Object), String> {
    let id = u32::from_be_bytes(stored.id);
    let unknown = |curve: u8| format!("the object {id:08x} is of the unknown curve {curve:02x}");
    let pair = |curve: u8, pkcs8: &Hex| {
        let algorithm = Curve::from_id(curve).and_then(Curve::signing).ok_or_else(|| unknown(curve))?;
        EcdsaKeyPair::from_pkcs8(algorithm, &pkcs8.0)
            .map_err(|_| format!("the object {id:08x} holds no key of its curve"))
    };
    let bytes32 = |secret: &Hex| {
        let bytes = <[u8; 32]>::try_from(secret.0.as_slice());
        bytes.map(Zeroizing::new).map_err(|_| format!("the object {id:08x} holds no 32 bytes"))
    };
    let body = match &stored.body {
        StoredBody::KeyPair { curve, pkcs8 } => Body::KeyPair(pair(*curve, pkcs8)?),
        StoredBody::PrivateKey { curve, pkcs8 } => Body::PrivateKey(pair(*curve, pkcs8)?),
        StoredBody::PublicKey { curve, point } => {
            let curve = Curve::from_id(*curve).ok_or_else(|| unknown(*curve))?;
            if !curve.is_public_key(&point.0) {
                return Err(format!("the object {id:08x} holds no public key of its curve"));
            }
            Body::PublicKey { curve, point: point.0.to_vec() }
        }
        StoredBody::Ed25519 { seed, gives_public } => {
            let seed = bytes32(seed)?;
            let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice());
            let pair = pair.map_err(|_| format!("the object {id:08x} holds no Ed25519 key"))?;
            Body::Ed25519 { pair, seed, gives_public: *gives_public }
        }
        StoredBody::X25519 { scalar, gives_public } => {
            Body::X25519 { scalar: bytes32(scalar)?, gives_public: *gives_public }
        }
        StoredBody::Aes { key } if matches!(key.0.len(), 16 | 24 | 32) => Body::Aes(key.0.clone()),
        StoredBody::Aes { .. } => return Err(format!("the object {id:08x} holds no AES key")),
        StoredBody::Hmac { key } => Body::Hmac(key.0.clone()),
        StoredBody::Binary { data } => Body::Binary(data.0.to_vec()),
        StoredBody::Counter { bytes, value, writes } => {
            if !(1..=8).contains(bytes) || *value > counter_limit(*bytes) {
                return Err(format!("the counter {id:08x} holds {value} in {bytes} bytes"));
            }
            Body::Counter { bytes: *bytes, value: *value, writes: *writes }
        }
        StoredBody::Pcr { initial, value } => Body::Pcr { initial: *initial, value: *value },
        StoredBody::UserId { value } => Body::UserId(value.0.clone()),
        StoredBody::Absent { object_type, curve, bytes } => {
            let curve = curve.map(|curve| Curve::from_id(curve).ok_or_else(|| unknown(curve))).transpose()?;
            Body::Absent { object_type: ObjectType(*object_type), curve, bytes: *bytes }
        }
    };
    let policies = Policy::parse_set(&stored.policies).map_err(|error| error.to_string())?;
    let StoredObject { owner, auth, transient, .. } = *stored;
    Ok((id, Object { origin: Origin(stored.origin), policies, owner, auth, transient, body }))
}

/// The largest value of a counter of 1 to 8 bytes.
pub(crate) fn counter_limit(bytes: u8) -> u64 {
    u64::MAX.checked_shr(64 - 8 * u32::from(bytes.min(8))).unwrap_or(0)
}

/// The public half of a pair, as a point.
pub(crate) fn public_point(pair: &EcdsaKeyPair) -> &[u8] {
    pair.public_key().as_ref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::ECDSA_P256_SHA256_ASN1_SIGNING;

    fn sample() -> State {
        let pair = || EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        let public = Body::PublicKey { curve: Curve::P256, point: public_point(&pair()).to_vec() };
        let large = EcdsaKeyPair::generate(Curve::P521.signing().unwrap()).unwrap();
        let seed = Zeroizing::new([7; 32]);
        let edwards = Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).unwrap();
        let policies = vec![Policy { authentication: 0, rule: rule::READ, extension: vec![] }];
        let bodies = [
            Body::KeyPair(pair()),
            Body::PrivateKey(pair()),
            public,
            Body::KeyPair(large),
            Body::Ed25519 { pair: edwards, seed, gives_public: true },
            Body::X25519 { scalar: Zeroizing::new([8; 32]), gives_public: false },
            Body::Aes(Zeroizing::new(vec![1; 24])),
            Body::Hmac(Zeroizing::new(vec![2; 5])),
            Body::Binary(vec![1, 2, 3]),
            Body::Counter { bytes: 4, value: 7, writes: 9 },
            Body::Pcr { initial: [1; PCR_BYTES], value: [2; PCR_BYTES] },
            Body::UserId(Zeroizing::new(vec![3; 4])),
        ];
        let mut objects = Objects::new();
        for (id, body) in (1..).zip(bodies) {
            let mut object = Object::new(Origin::EXTERNAL, policies.clone(), body);
            object.owner = id;
            object.auth = (id == 12).then_some(3);
            if id == 4 {
                object = object.without_value();
            }
            objects.insert(id, Arc::new(object));
        }
        let mut state = State::new([9; CHIP_ID_BYTES], objects);
        state.failed.insert(12, 2);
        state.settings.platform_required = true;
        state.applet = Applet::V7_2;
        state.export_keys = Some(Arc::new(Zeroizing::new(vec![5; 48])));
        state
    }

    #[test]
    fn stored_form_round_trip() {
        let json = sample();
        let bytes = json.encode().unwrap();
        let again = State::decode(&bytes).unwrap();
        assert_eq!(again.encode().unwrap().as_slice(), bytes.as_slice());
        assert_eq!(again.objects.len(), 12);
        assert_eq!((again.failed(12), again.is_blocked(12)), (2, false));
        assert!(again.objects[&4].transient && again.settings.platform_required);
        assert_eq!(again.applet, Applet::V7_2);
    }

    #[test]
    fn every_truncation_is_refused() {
        let bytes = sample().encode().unwrap();
        for end in (0..bytes.len()).step_by(7) {
            assert!(State::decode(&bytes[..end]).is_err());
        }
    }

    #[test]
    fn counters_hold_what_their_size_says() {
        assert_eq!(counter_limit(1), 0xFF);
        assert_eq!(counter_limit(4), u64::from(u32::MAX));
        assert_eq!(counter_limit(8), u64::MAX);
        let state = r#"{"chip_id":"090909090909090909090909090909090909","boots":1,"objects":[
            {"id":"00000001","origin":1,"policies":"","body":{"counter":{"bytes":1,"value":256}}}]}"#;
        assert!(State::decode(state.as_bytes()).is_err());
    }
}
