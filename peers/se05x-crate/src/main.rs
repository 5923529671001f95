//! The crate `se05x`, a driver for NXP's parts that is not ours, against the virtual element.
//!
//! `peer-se05x --t1 HOST:PORT` runs its checks in order on a new element that `touchmark element run --t1` serves: the
//! driver speaks T=1 over I2C, whose writes and reads go over TCP. It prints `ok NAME` or `FAIL NAME why` for each
//! check, and ends with 0 if all are ok, else with 1.

mod bus;
mod checks;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [flag, address] = arguments.as_slice() else {
        eprintln!("usage: peer-se05x --t1 HOST:PORT");
        return ExitCode::from(2);
    };
    if flag != "--t1" {
        eprintln!("usage: peer-se05x --t1 HOST:PORT");
        return ExitCode::from(2);
    }
    let mut failed = false;
    for (name, check) in checks::ALL {
        match bus::Bus::connect(address).and_then(|bus| check(bus.driver())) {
            Ok(()) => println!("ok {name}"),
            Err(why) => {
                failed = true;
                println!("FAIL {name} {}", why.replace('\n', " "));
            }
        }
    }
    if failed { ExitCode::from(1) } else { ExitCode::SUCCESS }
}
