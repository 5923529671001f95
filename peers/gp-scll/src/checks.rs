//! What is held against the element, in the order of running.

use scll::cap::InflateCtx;
use scll::error::ScllError;
use scll::model::KeyType;
use scll::report::{CardLifeCycle, DeleteCascade};
use scll::workflow::{
    CreateSsdArgs, DeleteAppletArgs, InstallAppletArgs, LoadPackageArgs, NewKeyset, PutSdKeysArgs,
    SetCardStatusArgs,
};

use crate::{Host, ISSUER, Keys, SCP03, cap};

/// A check takes the element's address.
pub type Check = Box<dyn Fn(&str) -> Result<(), String>>;

/// Load file and module of security domains, resident.
const DOMAIN_ELF: &[u8] = &[0xA0, 0, 0, 0x01, 0x51, 0x53, 0x50];
const DOMAIN_MODULE: &[u8] = &[0xA0, 0, 0, 0x01, 0x51, 0x53, 0x50, 0x41];
/// Load file and module of the notes applet, resident.
const NOTES_ELF: &[u8] = b"\xF0TMNOTE";
const NOTES_MODULE: &[u8] = b"\xF0TMNOTE\x01";
/// What the checks make.
const DOMAIN: &[u8] = b"\xF0DOMAIN\x01";
const NOTES: &[u8] = b"\xF0NOTES\x01";

/// The checks with their names.
pub fn all() -> Vec<(String, Check)> {
    let mut list: Vec<(String, Check)> = Vec::new();
    let mut add = |name: &str, check: fn(&str) -> Result<(), String>| {
        list.push((name.to_owned(), Box::new(check) as Check));
    };
    add("discover", discover);
    add("nothing without a channel", without_channel);
    add("a wrong key is noticed", wrong_key);
    add("an unknown key version is refused", unknown_version);
    for (version, bytes) in [(0x30, 16), (0x31, 24), (0x32, 32)] {
        for level in [0x01, 0x03, 0x13, 0x33] {
            let check = move |address: &str| open(address, version, bytes, level, 0x70);
            list.push((format!("open {version:02X} at level {level:02X}"), Box::new(check)));
        }
    }
    // Without R-MAC and R-ENC; and with challenges that are really random.
    for (version, level, parameter) in [(0x33, 0x03, 0x10), (0x34, 0x33, 0x60)] {
        let check = move |address: &str| open(address, version, 16, level, parameter);
        list.push((format!("open {version:02X} with i {parameter:02X}"), Box::new(check)));
    }
    let mut add = |name: &str, check: fn(&str) -> Result<(), String>| {
        list.push((name.to_owned(), Box::new(check) as Check));
    };
    add("card status", card_status);
    add("inventory", inventory);
    add("issuer's keys: put, use, delete", issuer_keys);
    add("domain: create", create_domain);
    add("domain: create again is refused", create_again);
    add("domain: first keys over its parent's", first_keys);
    add("domain: open with its own keys", own_keys);
    add("domain: rotate and delete key sets", rotate);
    add("domain: delete", delete_domain);
    add("applet: install from a resident file", install);
    add("applet: select through the inventory", installed);
    add("applet: delete", delete_applet);
    add("applet: unknown module is refused", unknown_module);
    add("load is refused", load);
    add("life cycle: initialized, secured", secure);
    add("life cycle: lock and unlock", lock);
    add("life cycle: no step back", no_step_back);
    list
}

/// Fails with a text unless something holds.
fn must(holds: bool, what: impl std::fmt::Debug) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("{what:?}")) }
}

fn text(error: ScllError) -> String {
    error.to_string()
}

fn discover(address: &str) -> Result<(), String> {
    let mut host = Host::connect(address)?;
    let info = host.0.discover(None).map_err(text)?;
    must(info.isd_aid.as_bytes() == ISSUER, &info.isd_aid)?;
    must(info.scp_supported.as_slice() == [SCP03], &info.scp_supported)?;
    for (version, bytes) in [(0x30, 16), (0x31, 24), (0x32, 32)] {
        let set = info.isd_keysets.iter().find(|set| set.kvn == version);
        let set = set.ok_or_else(|| format!("no key version {version:02X} in {:?}", info.isd_keysets))?;
        must(set.keys.len() == 3, set)?;
        must(set.keys.iter().all(|key| key.key_type == KeyType::Aes && key.key_length == bytes), set)?;
    }
    must(info.discovery_warnings.is_empty(), &info.discovery_warnings)
}

fn without_channel(address: &str) -> Result<(), String> {
    let mut host = Host::connect(address)?;
    host.0.discover(None).map_err(text)?;
    // GET STATUS of the issuer's domain.
    let answer = host.0.transport_mut().exchange(&[0x80, 0xF2, 0x80, 0x02, 2, 0x4F, 0, 0]);
    let answer = answer.map_err(|error| error.to_string())?;
    must(answer == [0x69, 0x82], answer)
}

fn wrong_key(address: &str) -> Result<(), String> {
    let mut host = Host::connect(address)?;
    let keys = host.keys([&[0x11; 16]; 3])?;
    match host.try_open(ISSUER, &keys, 0x30, 0x33) {
        Err(ScllError::CardCryptogramFail) => {}
        other => return Err(format!("{other:?}")),
    }
    // The card has not been told of it, and opens to the right one.
    Host::at_issuer(address).map(drop)
}

fn unknown_version(address: &str) -> Result<(), String> {
    let mut host = Host::connect(address)?;
    let keys = host.test_keys(16)?;
    match host.try_open(ISSUER, &keys, 0x77, 0x33) {
        Err(ScllError::Card { sw: 0x6A88 }) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

fn open(address: &str, version: u8, bytes: u8, level: u8, parameter: u8) -> Result<(), String> {
    let mut host = Host::connect(address)?;
    let keys = host.test_keys(bytes)?;
    let opened = host.open(ISSUER, &keys, version, level)?;
    must(opened.i_param_effective == parameter, &opened)?;
    // More than one command, with and without data, so that counters and chains are used.
    for _ in 0..3 {
        host.0.get_card_status(ISSUER).map_err(text)?;
        let answer = host.0.transmit(&[0x80, 0xCA, 0x00, 0xE0, 0x00]).map_err(text)?;
        must(answer.sw == 0x9000 && answer.rapdu.first() == Some(&0xE0), &answer)?;
    }
    Ok(())
}

fn card_status(address: &str) -> Result<(), String> {
    let (mut host, _) = Host::at_issuer(address)?;
    let status = host.0.get_card_status(ISSUER).map_err(text)?;
    must(status.state == CardLifeCycle::OpReady && status.warnings.is_empty(), &status)
}

fn inventory(address: &str) -> Result<(), String> {
    let (mut host, _) = Host::at_issuer(address)?;
    let report = host.0.get_card_inventory(ISSUER).map_err(text)?;
    must(report.warnings.is_empty() && !report.effective.truncated, &report.effective)?;
    let cards = &report.inventory;
    must(cards.security_domains.len() == 2, &cards.security_domains)?;
    must(
        cards.security_domains.iter().any(|domain| domain.aid.as_bytes() == ISSUER),
        &cards.security_domains,
    )?;
    must(cards.applets.len() == 1, &cards.applets)?;
    let module = |elf: &[u8], module: &[u8]| {
        cards
            .elfs
            .iter()
            .any(|row| row.aid.as_bytes() == elf && row.modules.iter().any(|name| name.as_bytes() == module))
    };
    must(module(DOMAIN_ELF, DOMAIN_MODULE) && module(NOTES_ELF, NOTES_MODULE), &cards.elfs)
}

/// Writes a key set with one value for all three keys, and returns it.
fn put(host: &mut Host, target: &[u8], dek: &Keys, version: u8, key: &[u8]) -> Result<(), String> {
    let new = host.keys([key, key, key])?;
    let report = host
        .0
        .put_sd_keys(&PutSdKeysArgs {
            dek: dek.dek,
            new_keys: NewKeyset { enc: new.enc, mac: new.mac, dek: new.dek, kind: new.kind },
            new_kvn: version,
            target_sd_aid: target,
        })
        .map_err(text)?;
    must(usize::from(report.effective.key_length) == key.len(), &report.effective)
}

fn opens_with(
    address: &str,
    target: &[u8],
    version: u8,
    key: &[u8],
    level: u8,
) -> Result<(Host, Keys), String> {
    let mut host = Host::connect(address)?;
    let keys = host.keys([key, key, key])?;
    host.open(target, &keys, version, level)?;
    Ok((host, keys))
}

fn issuer_keys(address: &str) -> Result<(), String> {
    for (version, key) in [(0x40, vec![0xA1; 16]), (0x41, vec![0xA2; 24]), (0x42, vec![0xA3; 32])] {
        let (mut host, keys) = Host::at_issuer(address)?;
        put(&mut host, ISSUER, &keys, version, &key)?;
        opens_with(address, ISSUER, version, &key, 0x33)?;
        let (mut host, _) = Host::at_issuer(address)?;
        host.0.delete_sd_keyset(version, ISSUER).map_err(text)?;
        match host.0.delete_sd_keyset(version, ISSUER) {
            Err(ScllError::KeyNotFound) => {}
            other => return Err(format!("deleted twice: {other:?}")),
        }
        let mut host = Host::connect(address)?;
        let keys = host.keys([&key, &key, &key])?;
        must(host.try_open(ISSUER, &keys, version, 0x33).is_err(), "opens with a deleted key set")?;
    }
    Ok(())
}

fn create(host: &mut Host) -> Result<(), ScllError> {
    let arguments = CreateSsdArgs {
        parent_sd_aid: ISSUER,
        ssd_aid: DOMAIN,
        elf_aid: DOMAIN_ELF,
        module_aid: DOMAIN_MODULE,
        privileges: [0x80, 0, 0],
        install_params: &[0xC9, 0],
    };
    host.0.create_ssd(&arguments).map(drop)
}

fn create_domain(address: &str) -> Result<(), String> {
    let (mut host, _) = Host::at_issuer(address)?;
    create(&mut host).map_err(text)?;
    let report = host.0.get_card_inventory(ISSUER).map_err(text)?;
    let domains = &report.inventory.security_domains;
    let made = domains.iter().find(|domain| domain.aid.as_bytes() == DOMAIN);
    let made = made.ok_or_else(|| format!("not in {domains:?}"))?;
    must(made.privileges == [0x80, 0, 0], made)?;
    must(made.associated_sd_aid.as_ref().is_some_and(|aid| aid.as_bytes() == ISSUER), made)
}

fn create_again(address: &str) -> Result<(), String> {
    let (mut host, _) = Host::at_issuer(address)?;
    match create(&mut host) {
        Err(ScllError::AidAlreadyExists) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

/// The first key set of the domain that the checks make.
const FIRST: [u8; 16] = [0xB1; 16];
/// The second.
const SECOND: [u8; 32] = [0xB2; 32];

fn first_keys(address: &str) -> Result<(), String> {
    let mut host = Host::connect(address)?;
    let keys = host.test_keys(16)?;
    host.open(DOMAIN, &keys, 0x30, 0x33)?;
    put(&mut host, DOMAIN, &keys, 0x01, &FIRST)
}

fn own_keys(address: &str) -> Result<(), String> {
    for level in [0x01, 0x33] {
        opens_with(address, DOMAIN, 0x01, &FIRST, level)?;
    }
    let mut host = Host::connect(address)?;
    let keys = host.test_keys(16)?;
    let parent = host.try_open(DOMAIN, &keys, 0x30, 0x33);
    must(parent.is_err(), "its parent's keys still open it")
}

fn rotate(address: &str) -> Result<(), String> {
    let (mut host, keys) = opens_with(address, DOMAIN, 0x01, &FIRST, 0x33)?;
    put(&mut host, DOMAIN, &keys, 0x02, &SECOND)?;
    let (mut host, _) = opens_with(address, DOMAIN, 0x02, &SECOND, 0x33)?;
    host.0.delete_sd_keyset(0x01, DOMAIN).map_err(text)?;
    must(opens_with(address, DOMAIN, 0x01, &FIRST, 0x33).is_err(), "opens with a deleted key set")?;
    opens_with(address, DOMAIN, 0x02, &SECOND, 0x33).map(drop)
}

fn delete_domain(address: &str) -> Result<(), String> {
    let (mut host, _) = Host::at_issuer(address)?;
    host.0.delete_ssd(DOMAIN, DeleteCascade::Never).map_err(text)?;
    match host.0.delete_ssd(DOMAIN, DeleteCascade::Never) {
        Err(ScllError::TargetNoLongerExists) => Ok(()),
        other => Err(format!("deleted twice: {other:?}")),
    }
}

fn notes(host: &mut Host, module: &[u8], instance: &[u8]) -> Result<(), ScllError> {
    let arguments = InstallAppletArgs {
        parent_sd_aid: ISSUER,
        package_aid: NOTES_ELF,
        module_aid: module,
        instance_aid: instance,
        privileges: [0, 0, 0],
        system_install_params: &[],
        applet_install_params: &[],
    };
    host.0.install_applet(&arguments).map(drop)
}

fn install(address: &str) -> Result<(), String> {
    let (mut host, _) = Host::at_issuer(address)?;
    notes(&mut host, NOTES_MODULE, NOTES).map_err(text)?;
    match notes(&mut host, NOTES_MODULE, NOTES) {
        Err(ScllError::AidAlreadyExists) => Ok(()),
        other => Err(format!("installed twice: {other:?}")),
    }
}

fn installed(address: &str) -> Result<(), String> {
    let (mut host, _) = Host::at_issuer(address)?;
    let report = host.0.get_card_inventory(ISSUER).map_err(text)?;
    let applets = &report.inventory.applets;
    let row = applets.iter().find(|applet| applet.aid.as_bytes() == NOTES);
    let row = row.ok_or_else(|| format!("not in {applets:?}"))?;
    must(row.life_cycle_state == 0x07 && row.associated_sd_aid.as_bytes() == ISSUER, row)?;
    // Another host finds it by its name, and reads the list of its notes, which is empty.
    let mut host = Host::connect(address)?;
    let mut select = vec![0, 0xA4, 4, 0, NOTES.len() as u8];
    select.extend_from_slice(NOTES);
    select.push(0);
    let exchange = |host: &mut Host, apdu: &[u8]| {
        host.0.transport_mut().exchange(apdu).map_err(|error| error.to_string())
    };
    let answer = exchange(&mut host, &select)?;
    must(answer.ends_with(&[0x90, 0]), answer)?;
    let answer = exchange(&mut host, &[0x80, 0xB2, 0, 0, 0])?;
    must(answer == [0x90, 0], answer)
}

fn delete_applet(address: &str) -> Result<(), String> {
    let (mut host, _) = Host::at_issuer(address)?;
    let arguments = |cascade_elf| DeleteAppletArgs { instance_aid: NOTES, elf_aid: None, cascade_elf };
    host.0.delete_applet(&arguments(DeleteCascade::Never)).map_err(text)?;
    match host.0.delete_applet(&arguments(DeleteCascade::Never)) {
        Err(ScllError::TargetNoLongerExists) => Ok(()),
        other => Err(format!("deleted twice: {other:?}")),
    }
}

fn unknown_module(address: &str) -> Result<(), String> {
    let (mut host, _) = Host::at_issuer(address)?;
    match notes(&mut host, b"\xF0NOBODY", NOTES) {
        Err(ScllError::PackageNotFound) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

fn load(address: &str) -> Result<(), String> {
    let (mut host, _) = Host::at_issuer(address)?;
    let archive = cap::archive();
    let arguments = LoadPackageArgs { target_sd_aid: ISSUER, cap_zip: &archive, lfdb_hash: &[] };
    let mut working = Box::new(InflateCtx::new());
    match host.0.load_package(&arguments, &mut working) {
        Err(ScllError::Card { sw: 0x6A81 }) => {}
        other => return Err(format!("{other:?}")),
    }
    // The channel is as good as before, and nothing has been taken in.
    let report = host.0.get_card_inventory(ISSUER).map_err(text)?;
    let known = report.inventory.elfs.iter().any(|row| row.aid.as_bytes() == cap::PACKAGE);
    must(!known, &report.inventory.elfs)
}

fn set(host: &mut Host, target_state: CardLifeCycle) -> Result<(), String> {
    let arguments = SetCardStatusArgs { target_state, current_state: None, force: false, isd_aid: ISSUER };
    let report = host.0.set_card_status(&arguments).map_err(text)?;
    must(!report.effective.was_no_op, &report.effective)?;
    let now = host.0.get_card_status(ISSUER).map_err(text)?.state;
    must(now == target_state, now)
}

fn secure(address: &str) -> Result<(), String> {
    let (mut host, _) = Host::at_issuer(address)?;
    set(&mut host, CardLifeCycle::Initialized)?;
    set(&mut host, CardLifeCycle::Secured)
}

fn lock(address: &str) -> Result<(), String> {
    let (mut host, _) = Host::at_issuer(address)?;
    set(&mut host, CardLifeCycle::CardLocked)?;
    must(create(&mut host).is_err(), "a locked card made a domain")?;
    set(&mut host, CardLifeCycle::Secured)
}

fn no_step_back(address: &str) -> Result<(), String> {
    let (mut host, _) = Host::at_issuer(address)?;
    // SET STATUS to INITIALIZED, which the crate itself would not send.
    let mut back = vec![0x80, 0xF0, 0x80, 0x07, ISSUER.len() as u8];
    back.extend_from_slice(ISSUER);
    let answer = host.0.transmit(&back).map_err(text)?;
    must(answer.sw == 0x6985, &answer)?;
    let now = host.0.get_card_status(ISSUER).map_err(text)?.state;
    must(now == CardLifeCycle::Secured, now)
}
